import numpy as np


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    N, K = len(train_data), len(initial_centroids)
    centers = initial_centroids.astype(float)
    for it in range(num_iterations):
        dist = np.zeros((N, K))
        for k in range(K):
            diff = train_data - centers[k]
            dist[:, k] = np.sqrt((diff * diff).sum(axis=1))
        nearest = dist.argmin(axis=1)
        for k in range(K):
            members = train_data[nearest == k]
            if len(members) > 0:
                centers[k] = members.sum(axis=0) / len(members)
    return centers


def compress_image(image, centroids):
    H, W, C = image.shape
    flat = image.reshape(H * W, C).astype(float)
    dist = np.zeros((H * W, len(centroids)))
    for k in range(len(centroids)):
        dist[:, k] = np.linalg.norm(flat - centroids[k], axis=1)
    colours = np.round(centroids[dist.argmin(axis=1)])
    return colours.astype(np.uint8).reshape(H, W, C)
