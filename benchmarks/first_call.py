"""The first call of a new process, with empty compile caches, ours against the textbook's.

The process has imported NumPy and holds its input; the clock runs while it imports the module, with
all that the call needs, and calls it once. `python -m benchmarks.first_call MODULE INPUT` is such a
process.
"""

import functools
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def runs(name, arguments):
    """Return "ours" and "textbook", each of which starts a process and returns its seconds."""
    return {
        "ours": functools.partial(first_call, name, arguments),
        "textbook": functools.partial(first_call, f"textbook.{name}", arguments),
    }


def first_call(module, arguments):
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        np.savez(given, *arguments)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.first_call", module, str(given)],
            env=os.environ | {"NUMBA_CACHE_DIR": folder},
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
    return float(done.stdout)


def main(module, given):
    with np.load(given) as arrays:
        arguments = [arrays[name] for name in arrays.files]
    start = time.perf_counter()
    function = "train_" + module.rpartition(".")[2]
    getattr(importlib.import_module(module), function)(*arguments, num_iterations=50)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
