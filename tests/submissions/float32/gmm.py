from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp


class GMMState(NamedTuple):
    pi: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray


def joint(X, pi, mu, sigma):
    out = np.empty((len(X), len(pi)), np.float32)
    for k in range(len(pi)):
        L = np.linalg.cholesky(sigma[k])
        y = np.linalg.solve(L, (X - mu[k]).T)
        log_det = 2 * np.log(np.diag(L)).sum() + X.shape[1] * np.log(2 * np.pi)
        out[:, k] = np.log(pi[k]) - 0.5 * ((y**2).sum(0) + log_det)
    return out


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    X, pi, mu, sigma = (a.astype(np.float32) for a in (train_data, init_pi, init_mu, init_sigma))
    for _ in range(num_iterations):
        log = joint(X, pi, mu, sigma)
        gamma = np.exp(log - logsumexp(log, axis=1)[:, None])
        N_k = gamma.sum(0)
        pi, mu = N_k / len(X), gamma.T @ X / N_k[:, None]
        sigma = np.stack(
            [(g[:, None] * (X - m)).T @ (X - m) / n for g, m, n in zip(gamma.T, mu, N_k)]
        )
    return GMMState(pi, mu, sigma)


def compress_image(image, gmm_model):
    labels = joint(image.reshape(-1, 3).astype(np.float32), *gmm_model).argmax(1)
    return np.rint(gmm_model.mu[labels]).astype(np.uint8).reshape(image.shape)
