from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal


class GMMState(NamedTuple):
    pi: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray


def posterior(data, pi, mu, sigma):
    K = len(pi)
    logp = np.zeros((len(data), K))
    for k in range(K):
        logp[:, k] = np.log(pi[k]) + multivariate_normal.logpdf(data, mu[k], sigma[k])
    return np.exp(logp - logsumexp(logp, axis=1, keepdims=True))


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    N, d = train_data.shape
    pi, mu, sigma = init_pi.copy(), init_mu.copy(), init_sigma.copy()
    for it in range(num_iterations):
        gamma = posterior(train_data, pi, mu, sigma)
        Nk = gamma.sum(axis=0)
        old_mu = mu.copy()
        for k in range(len(pi)):
            pi[k] = Nk[k] / N
            mu[k] = (gamma[:, k][:, None] * train_data).sum(axis=0) / Nk[k]
            diff = train_data - mu[k]
            sigma[k] = np.dot((gamma[:, k][:, None] * diff).T, diff) / Nk[k]
    return GMMState(pi, mu, sigma)


def compress_image(image, gmm_model):
    H, W, C = image.shape
    gamma = posterior(image.reshape(-1, C).astype(float), *gmm_model)
    colours = np.round(gmm_model.mu[np.argmax(gamma, axis=1)])
    return colours.astype(np.uint8).reshape(H, W, C)
