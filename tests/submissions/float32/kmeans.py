import numpy as np


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    X = train_data.astype(np.float32)
    C = initial_centroids.astype(np.float32)
    for _ in range(num_iterations):
        labels = ((X[:, None] - C) ** 2).sum(-1).argmin(1)
        for k in range(len(C)):
            if (labels == k).sum():
                C[k] = X[labels == k].mean(0)
    return C


def compress_image(image, centroids):
    X, C = image.reshape(-1, 3).astype(np.float32), centroids.astype(np.float32)
    labels = ((X[:, None] - C) ** 2).sum(-1).argmin(1)
    return np.rint(C[labels]).astype(np.uint8).reshape(image.shape)
