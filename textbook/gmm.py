"""EM for a mixture of Gaussians, problem 1(d): p(x) = sum_k pi_k N(x; mu_k, Sigma_k).

E-step  gamma_nk = pi_k N(x_n; mu_k, Sigma_k) / sum_j pi_j N(x_n; mu_j, Sigma_j)
M-step  N_k = sum_n gamma_nk,  pi_k = N_k / N,  mu_k = sum_n gamma_nk x_n / N_k,
        Sigma_k = sum_n gamma_nk (x_n - mu_k)(x_n - mu_k)^T / N_k
"""

from collections import namedtuple

import numpy as np

GMMState = namedtuple("GMMState", "pi mu sigma")  # (K,), (K, d), (K, d, d)


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    state = GMMState(init_pi, init_mu, init_sigma)
    for _ in range(num_iterations):
        state = m_step(train_data, responsibilities(train_data, state))
    return state


def responsibilities(data, state):  # the E-step, in logarithms so that nothing underflows
    joint = np.log(state.pi) + log_density(data, state.mu, state.sigma)  # (N, K)
    return np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])  # (N, K)


def m_step(data, gamma):
    N_k = gamma.sum(axis=0)  # (K,)
    mu = gamma.T @ data / N_k[:, None]  # (K, d)
    sigma = [g * (data - m).T @ (data - m) / g.sum() for g, m in zip(gamma.T, mu, strict=True)]
    return GMMState(N_k / len(data), mu, np.array(sigma))


def log_density(data, mu, sigma):
    squares = []
    for m, S in zip(mu, sigma, strict=True):
        y = np.linalg.solve(np.linalg.cholesky(S), (data - m).T)  # (d, N)
        squares.append((y**2).sum(axis=0))  # (N,): (x - mu)^T Sigma^-1 (x - mu)
    return -0.5 * (np.transpose(squares) + np.linalg.slogdet(2 * np.pi * sigma)[1])  # (N, K)


def compress_image(image, gmm_model):
    labels = responsibilities(image.reshape(-1, image.shape[-1]), gmm_model).argmax(axis=1)  # (N,)
    palette = np.rint(gmm_model.mu).clip(0, 255).astype(np.uint8)  # (K, d)
    return palette[labels].reshape(image.shape)  # (H, W, d)
