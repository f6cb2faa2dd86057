import numpy as np
from scipy.special import expit


def filter_grad(x, W):
    y = W @ x
    return (1 - 2 * expit(y))[:, None] * x[None, :] + np.linalg.inv(W).T


def unmixer(X):
    W = np.eye(X.shape[1])
    for alpha in np.repeat([0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001], [3, 3, 2, 2, 2, 2, 2]):
        for x in X:
            W = W + alpha * filter_grad(x, W)
    return W


def unmix(X, W):
    return (W @ X.T).T
