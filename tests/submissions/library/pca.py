import numpy as np


def train_PCA(data):
    S = np.atleast_2d(np.cov(data, rowvar=False))
    values, vectors = np.linalg.eig(S)
    values, vectors = np.real(values), np.real(vectors)
    order = np.argsort(-values)
    return vectors[:, order], values[order]
