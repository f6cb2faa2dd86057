import numpy as np


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def filter_grad(x, W):
    m = len(x)
    g = sigmoid(np.dot(W, x))
    first = np.zeros((m, m))
    for i in range(m):
        for j in range(m):
            first[i, j] = (1 - 2 * g[i]) * x[j]
    second = np.linalg.inv(W.T)
    return first + second


def unmixer(X):
    M, N = X.shape
    W = np.eye(N)
    anneal = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.02, 0.02, 0.01, 0.01, 0.005, 0.005,
              0.002, 0.002, 0.001, 0.001]  # fmt: skip
    for alpha in anneal:
        for i in range(M):
            W += alpha * filter_grad(X[i], W)
    return W


def unmix(X, W):
    S = np.zeros(X.shape)
    for i in range(len(X)):
        S[i] = W.dot(X[i])
    return S
