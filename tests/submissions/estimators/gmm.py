"""The mixture by scikit-learn's estimator; returns a plain tuple."""

import warnings

import numpy as np
from sklearn.mixture import GaussianMixture


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    model = GaussianMixture(
        len(init_pi),
        weights_init=init_pi,
        means_init=init_mu,
        precisions_init=np.linalg.inv(init_sigma),
        max_iter=num_iterations,
        tol=0,
        reg_covar=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train_data)
    return model.weights_, model.means_, model.covariances_


def compress_image(image, gmm_model):
    model = GaussianMixture(len(gmm_model.pi))
    model.weights_, model.means_, model.covariances_ = gmm_model
    precisions = np.linalg.inv(gmm_model.sigma)
    model.precisions_cholesky_ = np.linalg.cholesky(precisions)
    labels = model.predict(image.reshape(-1, image.shape[-1]).astype(float))
    return np.round(gmm_model.mu)[labels].reshape(image.shape).astype(np.uint8)
