"""K-means by scikit-learn's estimator; draws a figure when it is imported."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

plt.figure()
plt.plot([0, 1])
plt.show()


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    model = KMeans(
        len(initial_centroids), init=initial_centroids, n_init=1, max_iter=num_iterations, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step is enough for those who ask for one
        return model.fit(train_data).cluster_centers_


def compress_image(image, centroids):
    pixels = image.reshape(-1, image.shape[-1]).astype(float)
    nearest = pairwise_distances_argmin(pixels, centroids)
    return np.round(centroids)[nearest].reshape(image.shape).astype(np.uint8)
