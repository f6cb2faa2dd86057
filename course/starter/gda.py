"""EM for Gaussian discriminant analysis with missing labels: your answers to problem 2 as code.

The model is p(x, y = j) = phi_j N(x; mu_j, Sigma_j), equations (1) to (4), with phi_1 = phi and
phi_0 = 1 - phi. EM maximises J, equation (6). Your answers to 2(b) to 2(e) are its two steps.

No part of this file is marked. It is for you to see your formulas at work: `gda.ipynb` checks them,
and its last figure needs them. They take the densities from your `gmm.py`.
"""

from typing import NamedTuple

import numpy as np

from gmm import log_density


class GDAState(NamedTuple):
    """The parameters of two Gaussian classes in M dimensions."""

    phi: float  # the probability of class 1
    mu: np.ndarray  # (2, M), the means
    sigma: np.ndarray  # (2, M, M), the covariances


def train_gda(labeled_x, labels, unlabeled_x, *, unlabeled_weight=1.0, num_iterations=50):
    """Return the parameters after `num_iterations` steps of EM, from the fit to the labels alone.

    Parameters
    ----------
    labeled_x, unlabeled_x : ndarray, shapes (l, M) and (u, M)
        The points with a label, and those without.
    labels : ndarray of int, shape (l,)
        0 or 1.
    unlabeled_weight : float
        lambda, how much an unlabelled point counts.
    num_iterations : int
        How many steps to take, each an E-step and then an M-step.

    Returns
    -------
    GDAState
    """
    raise NotImplementedError("TODO: start at fit_gda, take the steps, and return a GDAState")


def fit_gda(x, y):
    """Return the fit to labelled points alone: supervised GDA.

    Parameters
    ----------
    x, y : ndarray, shapes (l, M) and (l,)

    Returns
    -------
    GDAState
    """
    raise NotImplementedError("TODO: return the GDAState of labelled points")


def e_step(unlabeled_x, state):
    """Return Q, your answer to 2(b).

    Parameters
    ----------
    unlabeled_x : ndarray, shape (u, M)
    state : GDAState

    Returns
    -------
    ndarray of float, shape (u, 2)
        Q_ij, the probability of class j for point i; each row sums to one.
    """
    raise NotImplementedError("TODO: return Q, (u, 2), in logarithms until the last step")


def m_step(labeled_x, labels, unlabeled_x, Q, *, unlabeled_weight=1.0):
    """Return the parameters that maximise the bound (8) for a given Q: 2(c), 2(d) and 2(e).

    Parameters
    ----------
    labeled_x, labels, unlabeled_x, unlabeled_weight
        As `train_gda` takes them.
    Q : ndarray, shape (u, 2)

    Returns
    -------
    GDAState
    """
    raise NotImplementedError("TODO: return GDAState(phi, mu, sigma), a number, (2, M), (2, M, M)")


# -- Given ---------------------------------------------------------------------------------------


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gda.py!")
