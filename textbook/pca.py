"""Principal component analysis, problem 3(b): the directions in which the data varies most.

    S u_i = lambda_i u_i,  S = X^T X / (N - 1) for the centred X,  lambda_1 >= lambda_2 >= ...
    J = 1/N sum_n ||x_n - U U^T x_n||^2    for the first K components, U = [u_1 ... u_K]    (9)

The problem set defines S with 1/N but prints the eigenvalues of this S; the u_i are the same.
"""

import numpy as np


def pca(data):
    X = data - data.mean(axis=0)  # (N, d)
    S = X.T @ X / (len(X) - 1)  # (d, d)
    eigenvalues, U = np.linalg.eigh(S)  # (d,), (d, d), ascending
    descending = slice(None, -1 - min(X.shape), -1)  # N points span no more than N directions
    eigenvalues, U = eigenvalues[descending], U[:, descending]  # (K,), (d, K)
    largest = np.abs(U).argmax(axis=0)  # (K,)
    return U * np.sign(U[largest, np.arange(len(largest))]), eigenvalues  # u and -u are both right


def num_components_for(eigenvalues, fraction):
    v = np.cumsum(eigenvalues)  # (L,)
    return int(np.argmax(v >= fraction * v[-1])) + 1


def project(data, U, mean):
    return (data - mean) @ U  # (N, K)


def reconstruct(scores, U, mean):
    return scores @ U.T + mean  # (N, d)


def distortion(data, U):
    X = data - data.mean(axis=0)  # (N, d)
    return ((X - X @ U @ U.T) ** 2).sum() / len(X)  # (9)
