import numpy as np


def train_PCA(data):
    X = data - data.mean(axis=0, keepdims=True)
    u, s, vt = np.linalg.svd(X, full_matrices=False)
    return vt.T, s**2 / (len(X) - 1)
