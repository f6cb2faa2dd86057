import numpy as np


def pca(data):
    X = data.astype(np.float32)
    X = X - X.mean(0)
    values, vectors = np.linalg.eigh(X.T @ X / len(X))
    return np.flip(vectors, 1), np.flip(values)
