"""Peak memory of both clusterings on a million pixels with 64 clusters: `measure(name)`.

Each is measured in a process of its own. Run alone as `python -m benchmarks.memory kmeans`.
"""

import resource
import subprocess
import sys

import numpy as np

import gmm
import kmeans

N, K = 1_000_000, 64


def measure(name):
    """Return the peak memory above the input, in MiB, of "kmeans" or "gmm" in a new process.

    A process starts with its parent's peak as its own, so call this while the parent is small.
    """
    command = [sys.executable, "-m", "benchmarks.memory", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_mib():
    """Return the most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main(name):
    """Print the peak of three steps above what the process held once it had its input."""
    pixels = np.random.default_rng(0).random((N, 3))
    start = pixels[:K].copy()
    before = peak_mib()
    if name == "kmeans":
        kmeans.train_kmeans(pixels, start, num_iterations=3)
    else:
        spread = np.stack([np.eye(3) / 100] * K)
        gmm.train_gmm(pixels, np.full(K, 1 / K), start, spread, num_iterations=3)
    print(peak_mib() - before)


if __name__ == "__main__":
    main(sys.argv[1])
