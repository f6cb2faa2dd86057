import numpy as np


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    c = np.copy(initial_centroids)
    for _ in range(num_iterations):
        squares = np.sum((train_data[:, None, :] - c[None, :, :]) ** 2, axis=2)
        labels = np.argmin(squares, axis=1)
        c = np.array(
            [
                train_data[labels == k].mean(0) if (labels == k).any() else c[k]
                for k in range(len(c))
            ]
        )
    return c


def compress_image(image, centroids):
    pixels = image.astype(np.float64)
    squares = ((pixels[:, :, None, :] - centroids) ** 2).sum(-1)
    return (centroids[squares.argmin(-1)] + 0.5).astype(np.uint8)
