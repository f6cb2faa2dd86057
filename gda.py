"""EM for Gaussian discriminant analysis when only some of the points have labels.

The model is ``p(x, y = j) = phi_j N(x; mu_j, Sigma_j)`` with y in {0, 1}, ``phi_1 = phi`` and
``phi_0 = 1 - phi`` (equations 1 to 4 of the problem set, section 2). Given l labelled and u
unlabelled points, EM maximises the hybrid objective (equation 6)

    J = sum_labelled log p(x, y) + lambda sum_unlabelled log sum_j p(x, y = j).

The E-step sets ``Q_ij = p(y = j | x_i)`` for the unlabelled points. The M-step is supervised GDA
with weights: a labelled point counts 1 for its class, an unlabelled one ``lambda Q_ij`` for each.

    N_k = sum_i w_ik,    phi = N_1 / (l + lambda u),    mu_k = sum_i w_ik x_i / N_k,
    Sigma_k = sum_i w_ik (x_i - mu_k)(x_i - mu_k)^T / N_k
"""

from typing import NamedTuple

import numpy as np
from scipy.special import entr, softmax

try:
    from gmm import log_density
except ImportError as error:
    raise ImportError(
        "gda.py needs gmm.py beside it, for the Gaussian log-density; "
        "copy gmm.py into the folder that holds gda.py."
    ) from error

_EPS = np.finfo(np.float64).eps
_LARGEST = 1e100  # sums of squares of larger numbers may overflow


class GDAState(NamedTuple):
    """The parameters of two-class Gaussian discriminant analysis in M dimensions.

    Attributes
    ----------
    phi : float
        The prior probability P(y = 1).
    mu : ndarray, shape (2, M)
        Class means, in the data's units.
    sigma : ndarray, shape (2, M, M)
        Class covariances, in the data's units squared.
    """

    phi: float
    mu: np.ndarray
    sigma: np.ndarray


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gda.py!")


def fit_gda(x, y, *, reg_covar=0.0):
    """Fit both Gaussians to labelled points by maximum likelihood, in closed form.

    Parameters
    ----------
    x : array_like, shape (l, M)
        The points.
    y : array_like of 0 and 1, shape (l,)
        Their classes.
    reg_covar : float
        Added to the diagonal of both covariances, in the data's units squared. Needed when a
        class has no more than M points.

    Returns
    -------
    GDAState
        In `x`'s dtype if that is floating, else float64. The covariances divide by the count.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or `reg_covar` is no number.
    ValueError
        If shapes disagree, a value is NaN or infinite, a label is neither 0 nor 1, a class has
        no points, or a class's covariance is singular (the message says which class) or out of
        the dtype's range.
    """
    x = _check_points("x", x)
    y = _check_labels("y", y, len(x))
    for k in (0, 1):
        if not np.any(y == k):
            raise ValueError(
                f"no point is labelled {k} among the {len(y)} given; label at least one of each "
                "class, or call train_gda with init=GDAState(phi, mu, sigma)."
            )
    no_x, no_Q = np.empty((0, x.shape[1]), x.dtype), np.empty((0, 2))
    return m_step(x, y, no_x, no_Q, reg_covar=reg_covar)


def train_gda(
    labeled_x,
    labels,
    unlabeled_x,
    *,
    unlabeled_weight=1.0,
    num_iterations=50,
    reg_covar=0.0,
    init=None,
    verbose=False,
    callback=None,
):
    """Fit both Gaussians by EM to labelled and unlabelled points together.

    Parameters
    ----------
    labeled_x : array_like, shape (l, M)
        The points whose class is known. May be empty, (0, M), if `init` is given.
    labels : array_like of 0 and 1, shape (l,)
        Their classes.
    unlabeled_x : array_like, shape (u, M)
        The points whose class is not known. May be empty, (0, M): supervised GDA.
    unlabeled_weight : float
        The lambda of equation 6: an unlabelled point counts as this many points.
    num_iterations : int
        The number of EM steps.
    reg_covar : float
        Added to the diagonal of every new covariance, in the data's units squared. Above zero it
        keeps a class from collapsing, and the objective is no longer bound to rise.
    init : GDAState, optional
        Where EM starts. By default at ``fit_gda(labeled_x, labels, reg_covar=reg_covar)``.
    verbose : bool
        Print one line for each step.
    callback : callable, optional
        Called as ``callback(iteration, objective)`` in each step, counting from 0, with equation
        6 in nats at the parameters that the step started from.

    Returns
    -------
    GDAState
        In the points' dtype if that is floating, else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers or an option is of the wrong kind.
    ValueError
        If shapes disagree, a value is NaN or infinite, a label is neither 0 nor 1, a class has
        no labelled points and `init` is not given, `init` is not a valid state, or a class
        loses all its points or collapses (the message says which, and names `reg_covar`).
    """
    *problem, dtype = _check_problem(labeled_x, labels, unlabeled_x)
    num_iterations = _check_count("num_iterations", num_iterations)
    if init is None:
        state = fit_gda(*problem[:2], reg_covar=reg_covar)
    else:
        state = _check_state("init", init, problem[0].shape[1])

    for iteration in range(num_iterations):
        if verbose or callback is not None:
            J = objective(*problem, state, unlabeled_weight=unlabeled_weight)
            if verbose:
                print(f"iteration {iteration}: objective {J:.6f} nats")
            if callback is not None:
                callback(iteration, J)
        Q = e_step(problem[2], state)  # (u, 2)
        state = m_step(*problem, Q, unlabeled_weight=unlabeled_weight, reg_covar=reg_covar)
    return _in_dtype(state, dtype)


def e_step(unlabeled_x, state):
    """Return the posterior probability of each class for every unlabelled point, 2(b).

    Parameters
    ----------
    unlabeled_x : array_like, shape (u, M)
    state : GDAState

    Returns
    -------
    ndarray of float64, shape (u, 2)
        ``Q_ij = phi_j N(x_i; mu_j, Sigma_j) / sum_k phi_k N(x_i; mu_k, Sigma_k)``, normalised in
        log space; each row sums to one.

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does for its arrays.
    """
    return softmax(_log_joint(_check_points("unlabeled_x", unlabeled_x), state), axis=1)


def m_step(labeled_x, labels, unlabeled_x, Q, *, unlabeled_weight=1.0, reg_covar=0.0):
    """Return the parameters that maximise `lower_bound` for the given Q, 2(c) to 2(e).

    Parameters
    ----------
    labeled_x : array_like, shape (l, M)
    labels : array_like of 0 and 1, shape (l,)
    unlabeled_x : array_like, shape (u, M)
    Q : array_like, shape (u, 2)
        For each unlabelled point, how likely each class is; each row sums to one.
    unlabeled_weight, reg_covar : float
        As in `train_gda`. The result maximises the bound only if `reg_covar` is zero.

    Returns
    -------
    GDAState
        In the points' dtype if that is floating, else float64.

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does.
    """
    labeled_x, labels, unlabeled_x, dtype = _check_problem(labeled_x, labels, unlabeled_x)
    Q = _check_responsibilities(Q, len(unlabeled_x))
    unlabeled_weight = _check_number("unlabeled_weight", unlabeled_weight, _LARGEST)
    reg_covar = _check_number("reg_covar", reg_covar, _LARGEST**2)

    x = np.concatenate([labeled_x, unlabeled_x])  # (l + u, M)
    # Real counts above, pseudo-counts below: the formulas do not tell them apart.
    w = np.concatenate([np.eye(2)[labels], unlabeled_weight * Q])  # (l + u, 2)
    N_k = w.sum(axis=0)  # (2,)
    if not N_k.all():
        k = N_k.argmin()
        raise ValueError(
            f"class {k} has no points left: none is labelled {k} and no unlabelled one counts "
            f"towards it (unlabeled_weight is {unlabeled_weight:g}); label at least one point of "
            "it, or start from an init closer to the data."
        )
    phi = N_k[1] / N_k.sum()  # 2(d); the counts sum to l + lambda u
    mu = w.T @ x / N_k[:, None]  # (2, M), 2(c)
    sigma = np.empty((2, x.shape[1], x.shape[1]))
    for k in (0, 1):
        weighted = (x - mu[k]) * np.sqrt(w[:, k, None])  # (l + u, M)
        sigma[k] = weighted.T @ weighted / N_k[k] + reg_covar * np.eye(x.shape[1])  # 2(e)
    _check_no_collapse(sigma, x)
    return _in_dtype(GDAState(float(phi), mu, sigma), dtype)


def objective(labeled_x, labels, unlabeled_x, state, *, unlabeled_weight=1.0):
    """Return the hybrid objective J of equation 6, in nats.

    Parameters
    ----------
    labeled_x : array_like, shape (l, M)
    labels : array_like of 0 and 1, shape (l,)
    unlabeled_x : array_like, shape (u, M)
    state : GDAState
    unlabeled_weight : float
        The lambda of equation 6.

    Returns
    -------
    float
        Minus infinity if a labelled point's class has prior probability zero.

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does.
    """
    labeled_x, labels, unlabeled_x, _ = _check_problem(labeled_x, labels, unlabeled_x)
    unlabeled_weight = _check_number("unlabeled_weight", unlabeled_weight, _LARGEST)
    log_marginal = np.logaddexp.reduce(_log_joint(unlabeled_x, state), axis=1)  # (u,)
    labelled = _labelled_term(labeled_x, labels, state)
    return float(labelled + unlabeled_weight * log_marginal.sum())


def lower_bound(labeled_x, labels, unlabeled_x, Q, state, *, unlabeled_weight=1.0):
    """Return the variational lower bound L of equation 8, in nats.

    It never exceeds `objective`, and equals it when ``Q = e_step(unlabeled_x, state)``.

    Parameters
    ----------
    labeled_x : array_like, shape (l, M)
    labels : array_like of 0 and 1, shape (l,)
    unlabeled_x : array_like, shape (u, M)
    Q : array_like, shape (u, 2)
        Any distribution over the classes for each unlabelled point. Where ``Q_ij`` is zero its
        term is zero, the limit of ``q log q``.
    state : GDAState
    unlabeled_weight : float
        The lambda of equation 8.

    Returns
    -------
    float
        Minus infinity if a class with a count has prior probability zero.

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does.
    """
    labeled_x, labels, unlabeled_x, _ = _check_problem(labeled_x, labels, unlabeled_x)
    Q = _check_responsibilities(Q, len(unlabeled_x))
    unlabeled_weight = _check_number("unlabeled_weight", unlabeled_weight, _LARGEST)
    w, log_joint = unlabeled_weight * Q, _log_joint(unlabeled_x, state)  # (u, 2)
    counted = w > 0  # leaves out 0 * (-inf)
    # sum Q log(p / Q) = sum Q log p + entropy(Q)
    unlabelled = w[counted] @ log_joint[counted] + unlabeled_weight * entr(Q).sum()
    return float(_labelled_term(labeled_x, labels, state) + unlabelled)


def predict_proba(x, state):
    """Return the posterior probability of each class, ``p(y = j | x)``, for every point.

    Parameters
    ----------
    x : array_like, shape (N, M)
    state : GDAState

    Returns
    -------
    ndarray of float64, shape (N, 2)
        Each row sums to one.

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does for its arrays.
    """
    return e_step(_check_points("x", x), state)


def predict(x, state):
    """Return each point's more probable class; ties go to class 0.

    Parameters
    ----------
    x : array_like, shape (N, M)
    state : GDAState

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    TypeError, ValueError
        As `train_gda` does for its arrays.
    """
    return _log_joint(_check_points("x", x), state).argmax(axis=1)


def _labelled_term(labeled_x, labels, state):
    """Return the sum over the labelled points of log p(x, y), equation 7."""
    return _log_joint(labeled_x, state)[np.arange(len(labels)), labels].sum()


def _log_joint(x, state):
    """Return log p(x_i, y_i = j) = log phi_j + log N(x_i; mu_j, Sigma_j), shape (N, 2)."""
    phi, mu, sigma = _check_state("state", state, x.shape[1])
    if len(x) == 0:
        return np.empty((0, 2))
    with np.errstate(divide="ignore"):  # log 0 = -inf is right for a prior of 0
        log_joint = np.log([1 - phi, phi]) + log_density(x, mu, sigma)
    if not np.isfinite(log_joint.max(axis=1)).all():
        raise ValueError(
            "a point is so far from both classes that its log-density is not finite; "
            "rescale the data, or start from wider covariances."
        )
    return log_joint


def _in_dtype(state, dtype):
    """Return the state in the points' dtype, if that can hold the covariances."""
    with np.errstate(over="ignore"):
        mu, sigma = state.mu.astype(dtype), state.sigma.astype(dtype)
    variances = np.diagonal(sigma, axis1=1, axis2=2)  # (2, M)
    if not (np.isfinite(sigma).all() and np.all(variances >= np.finfo(dtype).tiny)):
        raise ValueError(
            f"sigma has variances from {variances.min():.4g} to {variances.max():.4g}, outside the "
            f"range of {dtype}; rescale the data, or convert it to float64."
        )
    return GDAState(state.phi, mu, sigma)


def _check_no_collapse(sigma, x):
    # A standard deviation of this size is the rounding error of the data itself.
    rounding = 32 * _EPS * np.abs(x).max(axis=0)  # (M,)
    for k, covariance in enumerate(sigma):
        limit = np.maximum(rounding**2, 16 * len(covariance) * _EPS * np.diagonal(covariance))
        try:
            pivots = np.diagonal(np.linalg.cholesky(covariance)) ** 2  # (M,)
        except np.linalg.LinAlgError:
            pivots = np.zeros(len(covariance))
        if not np.all(pivots > limit):
            raise ValueError(
                f"class {k} has collapsed: its covariance is singular, since its points are too "
                "few, lie on one spot or in a flat. Pass reg_covar above zero (a small part of "
                "the data's variance), or give more points of this class."
            )


def _check_problem(labeled_x, labels, unlabeled_x):
    """Return the three arrays checked, the points in float64, and the dtype of the answer."""
    labeled_x = _check_points("labeled_x", labeled_x)
    labels = _check_labels("labels", labels, len(labeled_x))
    unlabeled_x = _check_points("unlabeled_x", unlabeled_x)
    if labeled_x.shape[1] != unlabeled_x.shape[1]:
        raise ValueError(
            "labeled_x and unlabeled_x must have the same width M, got shapes "
            f"{labeled_x.shape} and {unlabeled_x.shape}."
        )
    dtype = np.result_type(labeled_x, unlabeled_x)
    if dtype.kind != "f":
        dtype = np.dtype(np.float64)
    return labeled_x.astype(np.float64), labels, unlabeled_x.astype(np.float64), dtype


def _check_points(name, value):
    array = _real_array(name, value)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape (N, M), got {array.shape}; no points at all are "
            "np.empty((0, M))."
        )
    if float(np.abs(array).max(initial=0)) > _LARGEST:
        raise ValueError(f"{name} holds values above {_LARGEST:g}; rescale the data.")
    return array


def _check_labels(name, value, N):
    labels = _real_array(name, value)
    if labels.shape != (N,):
        raise ValueError(f"{name} must have shape ({N},), one a point, got {labels.shape}.")
    bad = (labels != 0) & (labels != 1)
    if bad.any():
        i = bad.argmax()
        raise ValueError(
            f"{name} holds {labels[i]} at index {i}, but a label is 0 or 1; "
            "a point without a label belongs in unlabeled_x."
        )
    return labels.astype(np.int64)


def _check_responsibilities(value, u):
    Q = _real_array("Q", value).astype(np.float64)
    if Q.shape != (u, 2):
        raise ValueError(f"Q must have shape ({u}, 2), a row for each point, got {Q.shape}.")
    bad = (Q < 0).any(axis=1) | (np.abs(Q.sum(axis=1) - 1) > 1e-5)
    if bad.any():
        i = bad.argmax()
        raise ValueError(f"Q[{i}] must be non-negative and sum to one, got {Q[i]}.")
    return Q


def _check_state(name, state, M):
    """Return a float64 copy of the state, checked against M."""
    if not isinstance(state, tuple) or len(state) != 3:
        raise TypeError(f"{name} must be a GDAState(phi, mu, sigma), got {type(state).__name__}.")
    phi = _check_number(f"{name}.phi", state[0], 1)
    mu = _check_points(f"{name}.mu", state[1]).astype(np.float64)
    sigma = _real_array(f"{name}.sigma", state[2]).astype(np.float64)
    for part, array, shape in (("mu", mu, (2, M)), ("sigma", sigma, (2, M, M))):
        if array.shape != shape:
            raise ValueError(f"{name}.{part} must have shape {shape}, got {array.shape}.")
    try:
        log_density(mu, mu, sigma)
    except ValueError as error:  # sigma[k] is not symmetric positive definite
        raise ValueError(f"{name}.{error}") from None
    return GDAState(phi, mu, sigma)


def _real_array(name, value):
    if np.ma.isMaskedArray(value):
        raise TypeError(f"{name} is masked, and the mask would be lost; drop or fill such values.")
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it to float first."
        )
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {array[where]} at index {where}; remove or replace such values."
        )
    return array


def _check_count(name, value):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value}.")
    return int(value)


def _check_number(name, value, largest):
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0 <= value <= largest:
        raise ValueError(f"{name} must be from 0 to {largest:g}, got {value}.")
    return float(value)
