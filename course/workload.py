"""Work that has nothing to do with the problem set: what a kit's times are taken against."""

import numpy as np


def run(rounds):
    """Pass over arrays and sort them, so many times; return a number."""
    x, total = np.linspace(-1, 1, 60_000).reshape(-1, 3), 0.0  # (20000, 3)
    for _ in range(rounds):
        x = np.cos(3 * x)
        total += np.sort(x @ x.T[:, :16], axis=1)[:, 0].sum()
    return float(total)
