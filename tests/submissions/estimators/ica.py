"""ICA with NumPy's matrix class, W changed in place, in a file as Windows writes it."""

import numpy as np

RATES = [0.1] * 3 + [0.05] * 3 + [0.02] * 2 + [0.01] * 2 + [0.005] * 2 + [0.002] * 2 + [0.001] * 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def filter_grad(x, W):
    x, W = np.asmatrix(x).T, np.asmatrix(W)
    return np.asarray((1 - 2 * sigmoid(W * x)) * x.T + W.T.I)


def unmixer(X):
    W = np.eye(X.shape[1])
    for alpha in RATES:
        for xi in X:
            W += alpha * filter_grad(xi, W)
    return W


def unmix(X, W):
    S = np.zeros(X.shape)
    for i in range(len(X)):
        S[i] = W @ X[i]
    return S
