import numpy as np
from sklearn.metrics import pairwise_distances


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    centroids = initial_centroids
    for _ in range(num_iterations):
        labels = pairwise_distances(train_data, centroids).argmin(axis=1)
        one_hot = np.eye(len(centroids))[labels]
        counts = one_hot.sum(axis=0)[:, None]
        centroids = np.where(counts > 0, one_hot.T @ train_data / np.maximum(counts, 1), centroids)
    return centroids


def compress_image(image, centroids):
    labels = pairwise_distances(image.reshape(-1, 3).astype(float), centroids).argmin(axis=1)
    return np.round(centroids).astype(np.uint8)[labels].reshape(image.shape)
