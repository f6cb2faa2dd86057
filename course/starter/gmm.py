"""EM for a mixture of Gaussians, problem 1(d): p(x) = sum_k pi_k N(x; mu_k, Sigma_k).

E-step  gamma_nk = pi_k N(x_n; mu_k, Sigma_k) / sum_j pi_j N(x_n; mu_j, Sigma_j)
M-step  N_k = sum_n gamma_nk,  pi_k = N_k / N,  mu_k = sum_n gamma_nk x_n / N_k,
        Sigma_k = sum_n gamma_nk (x_n - mu_k)(x_n - mu_k)^T / N_k

Points are rows of floats, `data` (N, d). Leave the arguments as they are: copy what you change.
Loop over components if you like, never over points: a quarter of 1(d)'s points is for speed. You
may use `scipy.stats.multivariate_normal` and `scipy.special.logsumexp`, and nothing else of SciPy
or scikit-learn.
"""

from typing import NamedTuple

import numpy as np


class GMMState(NamedTuple):
    """The parameters of a Gaussian mixture with K components in d dimensions."""

    pi: np.ndarray  # (K,), how much of the mixture each component is; they sum to one
    mu: np.ndarray  # (K, d), the means
    sigma: np.ndarray  # (K, d, d), the covariances


def train_gmm(train_data, init_pi, init_mu, init_sigma, *, num_iterations=50):
    """Return the mixture after `num_iterations` steps of EM.

    Parameters
    ----------
    train_data : ndarray, shape (N, d)
        The points.
    init_pi, init_mu, init_sigma : ndarray, shapes (K,), (K, d) and (K, d, d)
        The mixture to start from.
    num_iterations : int
        How many steps to take, each an E-step and then an M-step. Take them all.

    Returns
    -------
    GMMState
    """
    raise NotImplementedError("TODO: take the steps, and return a GMMState")


def responsibilities(data, state):
    """Return gamma: how probable each component is for each point (the E-step).

    Some points are so far from every component that all their densities underflow to 0. So stay in
    logarithms, and exponentiate last.

    Parameters
    ----------
    data : ndarray, shape (N, d)
    state : GMMState

    Returns
    -------
    ndarray of float, shape (N, K)
        Each row sums to one.
    """
    raise NotImplementedError("TODO: return gamma, (N, K), without exp of what underflows")


def m_step(data, gamma):
    """Return the parameters that suit the responsibilities best (the M-step).

    Parameters
    ----------
    data : ndarray, shape (N, d)
    gamma : ndarray, shape (N, K)

    Returns
    -------
    GMMState
        Exactly as the formulas say: full covariances, around the means that are returned with them,
        and nothing added to the diagonal.
    """
    raise NotImplementedError("TODO: return GMMState(pi, mu, sigma), (K,), (K, d) and (K, d, d)")


def log_density(data, mu, sigma):
    """Return log N(x_n; mu_k, Sigma_k), equation (4), for each point and component.

    Parameters
    ----------
    data, mu, sigma : ndarray, shapes (N, d), (K, d) and (K, d, d)

    Returns
    -------
    ndarray of float, shape (N, K)
        In nats.
    """
    raise NotImplementedError("TODO: return the logarithms of the densities, (N, K)")


def compress_image(image, gmm_model):
    """Return the picture with each pixel in the mean colour of its most probable component.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        A picture of any size.
    gmm_model : GMMState
        Of colours, in levels of 0 to 255. The most probable component is the one with the largest
        posterior probability, which need not have the nearest mean.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A mean's colour is rounded to the nearest level, not cut off.
    """
    raise NotImplementedError("TODO: return the picture in the means' colours, uint8 (H, W, 3)")


# -- Given ---------------------------------------------------------------------------------------


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gmm.py!")
