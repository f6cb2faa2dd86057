from dataclasses import dataclass

import numpy as np


@dataclass
class GMMState:
    pi: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray


def log_joint(X, pi, mu, sigma):
    d = X.shape[1]
    diff = X[:, None, :] - mu  # (N, K, d)
    quad = np.einsum("nki,kij,nkj->nk", diff, np.linalg.inv(sigma), diff)
    logdet = np.linalg.slogdet(sigma)[1]
    return np.log(pi) - 0.5 * (d * np.log(2 * np.pi) + logdet + quad)


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    X, pi, mu, sigma = train_data, init_pi, init_mu, init_sigma
    for _ in range(num_iterations):
        joint = log_joint(X, pi, mu, sigma)
        joint = joint - joint.max(axis=1, keepdims=True)
        R = np.exp(joint)
        R /= R.sum(axis=1, keepdims=True)
        Nk = R.sum(axis=0)
        pi = Nk / len(X)
        mu = np.einsum("nk,nd->kd", R, X) / Nk[:, None]
        diff = X[:, None, :] - mu
        sigma = np.einsum("nk,nki,nkj->kij", R, diff, diff, optimize=True) / Nk[:, None, None]
    return GMMState(pi, mu, sigma)


def compress_image(image, gmm_model):
    X = image.reshape(-1, image.shape[-1])
    best = log_joint(X, gmm_model.pi, gmm_model.mu, gmm_model.sigma).argmax(axis=1)
    return np.rint(gmm_model.mu)[best].astype("uint8").reshape(image.shape)
