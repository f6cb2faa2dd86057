from collections import namedtuple

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

GMMState = namedtuple("GMMState", ["pi", "mu", "sigma"])


def joint(x, pi, mu, sigma):
    parts = zip(pi, mu, sigma)
    return np.stack([np.log(p) + multivariate_normal(m, s).logpdf(x) for p, m, s in parts], 1)


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    pi, mu, sigma = init_pi, init_mu, init_sigma
    d = train_data.shape[1]
    for _ in range(num_iterations):
        gamma = softmax(joint(train_data, pi, mu, sigma), axis=1)
        pi = gamma.mean(axis=0)
        mu = np.stack([np.average(train_data, axis=0, weights=g) for g in gamma.T])
        sigma = np.stack([np.cov(train_data.T, aweights=g, ddof=0).reshape(d, d) for g in gamma.T])
    return GMMState(pi, mu, sigma)


def log_likelihood(data, state):
    return logsumexp(joint(data, *state), axis=1).sum()


def compress_image(image, gmm_model):
    pixels = image.reshape(-1, 3).astype(float)
    labels = joint(pixels, gmm_model.pi, gmm_model.mu, gmm_model.sigma).argmax(axis=1)
    return np.around(gmm_model.mu[labels]).reshape(image.shape).astype(np.uint8)
