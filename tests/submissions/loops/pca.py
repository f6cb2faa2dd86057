import numpy as np


def train_PCA(data):
    N, d = data.shape
    mean = np.mean(data, axis=0)
    centred = data - mean
    S = np.zeros((d, d))
    for x in centred:
        S = S + np.outer(x, x)
    S = S / N
    values, vectors = np.linalg.eigh(S)
    order = np.argsort(values)[::-1]
    return vectors[:, order], values[order]
