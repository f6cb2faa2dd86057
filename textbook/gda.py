"""EM for Gaussian discriminant analysis with missing labels, problem 2.

The model is p(x, y = j) = phi_j N(x; mu_j, Sigma_j), with phi_1 = phi and phi_0 = 1 - phi.

    J = sum_labelled log p(x_i, y_i) + lambda sum_unlabelled log sum_j p(x_i, y_i = j)     (6)
    E-step, 2(b)         Q_ij = p(x_i, y_i = j) / sum_k p(x_i, y_i = k)
    M-step, 2(c) to (e)  w_ij = 1 or 0 for a labelled point, lambda Q_ij for an unlabelled one,
                         N_j = sum_i w_ij,  phi = N_1 / (N_0 + N_1),  mu_j = sum_i w_ij x_i / N_j,
                         Sigma_j = sum_i w_ij (x_i - mu_j)(x_i - mu_j)^T / N_j
"""

from collections import namedtuple

import numpy as np

from .gmm import log_density

GDAState = namedtuple("GDAState", "phi mu sigma")  # a number, (2, M), (2, M, M)


def train_gda(labeled_x, labels, unlabeled_x, *, unlabeled_weight=1.0, num_iterations=50):
    state = fit_gda(labeled_x, labels)
    for _ in range(num_iterations):
        Q = e_step(unlabeled_x, state)  # (u, 2)
        state = m_step(labeled_x, labels, unlabeled_x, Q, unlabeled_weight=unlabeled_weight)
    return state


def fit_gda(x, y):
    return m_step(x, y, x[:0], np.empty((0, 2)))


def e_step(unlabeled_x, state):
    joint = np.log([1 - state.phi, state.phi]) + log_density(unlabeled_x, *state[1:])  # (u, 2)
    return np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])  # (u, 2)


def m_step(labeled_x, labels, unlabeled_x, Q, *, unlabeled_weight=1.0):
    x = np.concatenate([labeled_x, unlabeled_x])  # (l + u, M)
    w = np.concatenate([np.eye(2)[labels], unlabeled_weight * Q])  # (l + u, 2)
    N = w.sum(axis=0)  # (2,)
    mu = w.T @ x / N[:, None]  # (2, M)
    sigma = [(w[:, j] * (x - mu[j]).T) @ (x - mu[j]) / N[j] for j in (0, 1)]
    return GDAState(N[1] / N.sum(), mu, np.array(sigma))
