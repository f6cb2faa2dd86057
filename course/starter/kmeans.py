"""K-means, problems 1(a) and 1(b): a few colours that stand for a picture.

Each step is two halves:

    assignment  each point belongs to its nearest centroid
    update      each centroid becomes the mean of its points

Points are rows of floats, `data` (N, d). Leave the arguments as they are: copy what you change.
Loop over clusters if you like, never over points: a quarter of 1(a)'s points is for speed.
"""

import numpy as np


def train_kmeans(train_data, initial_centroids, *, num_iterations=50):
    """Return the centroids after `num_iterations` steps.

    Parameters
    ----------
    train_data : ndarray, shape (N, d)
        The points.
    initial_centroids : ndarray, shape (K, d)
        Where the centroids start.
    num_iterations : int
        How many steps to take. You may stop before, but only if nothing moves any more.

    Returns
    -------
    ndarray of float, shape (K, d)
        The centroids, as they come out: not rounded.
    """
    raise NotImplementedError("TODO: take the steps, and return the centroids (K, d)")


def assign_clusters(data, centroids):
    """Return for each point the number of its nearest centroid (Euclidean distance).

    Parameters
    ----------
    data, centroids : ndarray, shapes (N, d) and (K, d)

    Returns
    -------
    ndarray of int, shape (N,)
        Numbers in 0 .. K - 1.
    """
    raise NotImplementedError("TODO: return the number of each point's nearest centroid, (N,)")


def update_centroids(data, labels, centroids):
    """Return for each cluster the mean of its points.

    Parameters
    ----------
    data : ndarray, shape (N, d)
    labels : ndarray of int, shape (N,)
        The cluster of each point, as `assign_clusters` returns it.
    centroids : ndarray, shape (K, d)
        The present centroids. What becomes of one without points is up to you; NaN is no centroid.

    Returns
    -------
    ndarray of float, shape (K, d)
    """
    raise NotImplementedError("TODO: return the mean of each cluster's points, (K, d)")


def compress_image(image, centroids):
    """Return the picture with each pixel in the colour of its nearest centroid.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        A picture of any size. Convert it before you calculate: uint8 wraps modulo 256.
    centroids : ndarray of float, shape (K, 3)
        Colours, in levels of 0 to 255.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A centroid's colour is rounded to the nearest level, not cut off.
    """
    raise NotImplementedError("TODO: return the picture in the centroids' colours, uint8 (H, W, 3)")


# -- Given ---------------------------------------------------------------------------------------


def euclidean_distance(x, y):
    """Return the Euclidean distance over the last axis, in the arrays' own dtype.

    Parameters
    ----------
    x, y : ndarray, shapes that broadcast, last axis of length d

    Returns
    -------
    ndarray
        One distance for each pair of points; the leading axes are those of the inputs.
    """
    return np.sqrt(np.sum((x - y) ** 2, axis=-1))


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from kmeans.py!")
