"""The visible cases as numbers: what a starter kit has in place of the textbook.

`write` asks the textbook each visible case, on the stand-in data, and stores the call, the right
answer and the answers of the known mistakes in one file; `Stored` reads it back. The file holds
JSON and arrays, no code.
"""

import contextlib
import functools
import io
import json
from pathlib import Path
from unittest import mock

import numpy as np

from course import judging, judging_cvae
from course.judging import Baseline, Call, Case
from course.recognise import can_recognise
from course.sandbox import Limits, Sandbox

SEED = 0  # of the visible cases
FILE = Path(__file__).with_name("visible.npz")
FILES = (  # of this folder, that a kit needs beside it
    "__init__.py", "__main__.py", "check.py", "child.py", "digit_classifier.py", "judging.py",
    "judging_cvae.py", "marking.py", "recognise.py", "report.py", "sandbox.py", "visible.py",
    "workload.py",
)  # fmt: skip
WORKLOAD = Call("workload", ("run",), [300])
_NAMED = {"Call": Call, "Case": Case, "Limits": Limits}


class Stored:
    """The visible cases and their answers, as `write` stored them."""

    def __init__(self, path=FILE):
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        stored = _unpacked(json.loads(arrays.pop("header").tobytes()), arrays)
        self._cases = stored["cases"]
        self._right, self._known = stored["right"], stored["known"]
        self._factors = stored["factors"]
        self.says = {tuple(key): says for key, says in stored["says"]}

    def cases(self, seed):
        if seed != SEED:
            raise ValueError(f"a starter kit has the cases of seed {SEED} alone, not {seed}.")
        return self._cases

    def right(self, case):
        return self._right[case.key]

    def known(self, case):
        return self._known[case.key]

    def baseline(self, case):
        """Return work of another kind, and how much longer the textbook takes."""
        return Baseline(FILE.parent, WORKLOAD, self._factors[case.key])


def write(path):
    """Store the visible cases and their answers in a file."""
    from course.answers import Textbook

    textbook = Textbook()
    with (
        mock.patch("data.loaders.folders", list),  # no place to look in: the stand-ins
        contextlib.redirect_stdout(io.StringIO()),
    ):
        cases = textbook.cases(SEED)
    stored = {
        "cases": [case._replace(right=None) for case in cases],
        "right": {case.key: textbook.right(case) for case in cases},
        "known": {
            case.key: [(name, list(answers)) for name, answers in textbook.known(case)]
            for case in cases
            if can_recognise(case)
        },
        "factors": {case.key: _factor(textbook.baseline(case)) for case in cases if case.speed},
        "says": list(textbook.says.items()),
    }
    arrays = {}
    header = json.dumps(_packed(stored, arrays)).encode()
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            header=np.frombuffer(header, np.uint8),
            **{str(number): array for number, array in arrays.values()},
        )


def _factor(textbook, pairs=5):
    """Return how many times as long as the workload the textbook takes."""
    times = {}
    for base in (textbook, Baseline(FILE.parent, WORKLOAD, 1.0)):
        with Sandbox(base.folder, "process") as sandbox:
            call = base.call
            replies = [
                sandbox.call(call.file, call.functions, call.arguments, call.options)
                for _ in range(pairs)
            ]
        times[base.call.file] = min(reply.seconds for reply in replies)
    return times[textbook.call.file] / times[WORKLOAD.file]


def _packed(value, arrays):
    """Return what stands for a value in JSON; arrays are gathered by their id, each once."""
    if isinstance(value, np.ndarray):
        return {"array": arrays.setdefault(id(value), (len(arrays), value))[0]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, functools.partial):
        return {"function": value.func.__name__, "with": _packed(value.keywords, arrays)}
    if callable(value):
        return {"function": value.__name__, "with": {"dict": {}}}
    if isinstance(value, tuple):
        kind = type(value).__name__ if type(value).__name__ in _NAMED else "tuple"
        return {kind: [_packed(part, arrays) for part in value]}
    if isinstance(value, list):
        return [_packed(part, arrays) for part in value]
    if isinstance(value, dict):
        return {"dict": {key: _packed(part, arrays) for key, part in value.items()}}
    return value


def _unpacked(value, arrays):
    if isinstance(value, list):
        return [_unpacked(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    (kind, content), *rest = value.items()
    if kind == "array":
        return arrays[str(content)]
    if kind == "function":
        function = getattr(judging_cvae, content, None) or getattr(judging, content)
        return functools.partial(function, **_unpacked(rest[0][1], arrays))
    if kind == "dict":
        return {key: _unpacked(part, arrays) for key, part in content.items()}
    parts = [_unpacked(part, arrays) for part in content]
    return _NAMED[kind](*parts) if kind in _NAMED else tuple(parts)
