"""K-means, problem 1(a), by Lloyd's algorithm: two steps in turn.

assignment  label_n = argmin_k ||x_n - c_k||^2
update      c_k = the mean of the points with label k
"""

import numpy as np


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    centroids = np.array(initial_centroids, dtype=np.float64)  # (K, d), a copy
    for _ in range(num_iterations):
        labels = assign_clusters(train_data, centroids)  # (N,)
        centroids = update_centroids(train_data, labels, centroids)  # (K, d)
    return centroids


def assign_clusters(data, centroids):
    squares = [((data - c) ** 2).sum(axis=1) for c in centroids]  # K of (N,)
    return np.argmin(squares, axis=0)  # (N,)


def update_centroids(data, labels, centroids):
    centroids = centroids.copy()  # (K, d): a cluster without points keeps its centroid
    for k in np.unique(labels):
        centroids[k] = data[labels == k].mean(axis=0)
    return centroids


def compress_image(image, centroids):
    pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)  # (N, d): uint8 would wrap
    palette = np.rint(centroids).clip(0, 255).astype(np.uint8)  # (K, d)
    return palette[assign_clusters(pixels, centroids)].reshape(image.shape)  # (H, W, d)
