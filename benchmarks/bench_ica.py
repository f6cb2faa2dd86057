"""ICA on the audio, all 16 passes: `ica.ica` with and without numba, and the same loop in NumPy."""

import numpy as np


def plain_loop(X, learning_rates):
    """Run the ascent as it is usually written: one line of NumPy for each symbol."""
    W = np.eye(X.shape[1])
    for learning_rate in learning_rates:
        for x in X:
            slope = 1 - 2 * sigmoid(W @ x)
            W += learning_rate * (np.outer(slope, x) + np.linalg.inv(W.T))
    return W


def sigmoid(s):
    tail = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, tail) / (1 + tail)
