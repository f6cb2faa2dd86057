"""EM for Gaussian discriminant analysis when only some of the points have labels, problem 2.

The model is ``p(x, y = j) = phi_j N(x; mu_j, Sigma_j)`` with y in {0, 1}, ``phi_1 = phi`` and
``phi_0 = 1 - phi``. Given l labelled and u unlabelled points, EM maximises the hybrid objective

    J = sum_labelled log p(x, y) + lambda sum_unlabelled log sum_j p(x, y = j).            (6)

The E-step sets ``Q_ij = p(y = j | x_i)`` for the unlabelled points, 2(b). The M-step is supervised
GDA with weights, 2(c) to 2(e): a labelled point counts ``w_ij = 1`` for its own class, an
unlabelled one ``w_ij = lambda Q_ij`` for each.

    N_j = sum_i w_ij,    phi = N_1 / (N_0 + N_1),    mu_j = sum_i w_ij x_i / N_j,
    Sigma_j = sum_i w_ij (x_i - mu_j)(x_i - mu_j)^T / N_j

States have the points' dtype if that is floating, else float64. An argument of the wrong kind
raises a TypeError. A ValueError tells of shapes that disagree, NaN, labels other than 0 and 1, a
class that loses all its points or collapses onto a flat, and parameters that the dtype cannot hold.
"""

import contextlib
import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class GDAState(NamedTuple):
    """The parameters of two-class Gaussian discriminant analysis in M dimensions."""

    phi: float  # the prior probability P(y = 1)
    mu: np.ndarray  # (2, M), the class means, in the data's units
    sigma: np.ndarray  # (2, M, M), the class covariances, in the data's units squared


def train_gda(
    labeled_x: ArrayLike,
    labels: ArrayLike,
    unlabeled_x: ArrayLike,
    *,
    unlabeled_weight: float = 1.0,
    num_iterations: int = 50,
    reg_covar: float = 0.0,
    init: GDAState | None = None,
    verbose: bool = False,
    callback: Callable[[int, float, GDAState], object] | None = None,
) -> GDAState:
    """Fit both Gaussians by EM to labelled and unlabelled points together.

    Parameters
    ----------
    labeled_x, labels : array_like, shapes (l, M) and (l,)
        The points whose class is known, and which it is, 0 or 1. None, (0, M), need an `init`.
    unlabeled_x : array_like, shape (u, M)
        The points whose class is not known. With none, (0, M), this is supervised GDA.
    unlabeled_weight : float
        The lambda of equation 6: an unlabelled point counts as this many points.
    num_iterations : int
        The number of EM steps.
    reg_covar : float
        Added to the diagonal of every new covariance, in the data's units squared. Above zero it
        keeps a class of M points or fewer from collapsing, but the objective may fall.
    init : GDAState, optional
        Where EM starts. By default at ``fit_gda(labeled_x, labels, reg_covar=reg_covar)``.
    verbose : bool
        Print a line for each call that a callback gets.
    callback : callable, optional
        Called as ``callback(iteration, J, state)``, counted from 0, with the state that each step
        starts from and its equation 6 in nats, and once more at the end. Returning True stops.
    """
    x, y, dtype = _check_problem(labeled_x, labels, unlabeled_x, unlabeled_weight, reg_covar)
    num_iterations = _check_count("num_iterations", num_iterations)
    _check_callback(callback)
    labelled, unlabelled = x[:, : len(y)], x[:, len(y) :]  # (M, l), (M, u)
    if init is not None:
        state = _check_parameters("init", init, len(x))
    else:
        state = _m_step(labelled, y, np.empty((2, 0)), unlabeled_weight, reg_covar)

    watched = bool(verbose) or callback is not None
    for iteration in range(num_iterations + watched):  # watched, the last state has its turn too
        Q, log_joint = _e_step(unlabelled, state)  # both (2, u)
        if watched:
            J = _objective(_log_joint_density(labelled, state), y, log_joint, unlabeled_weight)
            if verbose:
                print(f"iteration {iteration}: objective {J:.6f} nats")
            stop = callback is not None and callback(iteration, J, _rounded_to(state, dtype))
            if stop or iteration == num_iterations:
                break
        state = _m_step(x, y, Q, unlabeled_weight, reg_covar)
    return _rounded_to(state, dtype)


# These steps do not check. They take the points as columns, x (M, N), and so do their temporaries.
def _e_step(x, state):
    """Return Q and log p(x_i, y_i = j), both (2, N)."""
    log_joint = _log_joint_density(x, state)  # (2, N)
    Q = np.exp(log_joint - log_joint.max(axis=0))  # (2, N), in which the greater of two is 1
    return Q / Q.sum(axis=0), log_joint  # 2(b)


def _m_step(x, y, Q, unlabeled_weight, reg_covar):
    # Counts and pseudo-counts side by side: the formulas do not tell them apart.
    w = np.concatenate([y == [[0], [1]], unlabeled_weight * Q], axis=1)  # (2, N)
    N_j = w.sum(axis=1)  # (2,)
    _check_no_class_empty(N_j, len(y), unlabeled_weight)
    phi = N_j[1] / N_j.sum()  # 2(d)
    mu = w @ x.T / N_j[:, None]  # (2, M), 2(c)
    sigma = np.zeros((2, 1, 1)) + reg_covar * np.eye(len(x))  # (2, M, M)
    for j, block in _class_blocks(x):
        deviation = x[:, block] - mu[j, :, None]  # (M, B)
        deviation *= np.sqrt(w[j, block] / N_j[j])
        sigma[j] += deviation @ deviation.T  # 2(e)
    _check_no_class_collapsed(mu, sigma, x.shape[1])
    return GDAState(float(phi), mu, sigma)


def _log_joint_density(x, state):
    """Return log p(x_i, y_i = j) = log phi_j + log N(x_i; mu_j, Sigma_j), shape (2, N)."""
    phi, mu, sigma = state
    A = np.linalg.inv(np.linalg.cholesky(sigma))  # (2, M, M): A Sigma A^T = I
    squares = np.empty((2, x.shape[1]))  # (x - mu)^T Sigma^-1 (x - mu)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # log 0 = -inf is right
        for j, block in _class_blocks(x):
            z = A[j] @ (x[:, block] - mu[j, :, None])  # (M, B), of unit covariance
            squares[j, block] = np.einsum("mn,mn->n", z, z)
        scale = np.log(np.diagonal(A, axis1=1, axis2=2) / np.sqrt(2 * np.pi)).sum(axis=1)  # (2,)
        log_joint = (np.log([1 - phi, phi]) + scale)[:, None] - squares / 2
    if not np.isfinite(log_joint.max(axis=0).sum()):
        remedy = "rescale the data, or start from wider covariances"
        raise ValueError(f"a point is so far that its log-density is not finite; {remedy}.")
    return log_joint


def _objective(labelled, y, unlabelled, unlabeled_weight):
    """Return equation 6, given log p(x, y = j) of the labelled and the unlabelled points."""
    chosen = labelled[y, np.arange(len(y))]  # (l,)
    return float(chosen.sum() + unlabeled_weight * np.logaddexp(*unlabelled).sum())


def fit_gda(x: ArrayLike, y: ArrayLike, *, reg_covar: float = 0.0) -> GDAState:
    """Fit both Gaussians to points x (l, M) of known classes y (l,), in closed form."""
    points, dtype = _points_in_columns("x", x)  # (M, l)
    labels = _check_labels("y", y, "x", points.shape[1])
    reg_covar = _check_number("reg_covar", reg_covar, _LARGEST**2)
    return _rounded_to(_m_step(points, labels, np.empty((2, 0)), 0.0, reg_covar), dtype)


def e_step(unlabeled_x: ArrayLike, state: GDAState) -> np.ndarray:
    """Return ``Q_ij = p(y = j | x_i)``, float64 (u, 2), of unlabelled points x (u, M), 2(b)."""
    return _e_step(*_check_points_and_state("unlabeled_x", unlabeled_x, state))[0].T


def m_step(
    labeled_x: ArrayLike,
    labels: ArrayLike,
    unlabeled_x: ArrayLike,
    Q: ArrayLike,
    *,
    unlabeled_weight: float = 1.0,
    reg_covar: float = 0.0,
) -> GDAState:
    """Return the parameters that maximise `lower_bound` for the given Q, 2(c) to 2(e).

    The rows of Q (u, 2) are the class probabilities of the unlabelled points, and sum to one. The
    other arguments are as for `train_gda`; with a `reg_covar`, the maximum is missed.
    """
    x, y, dtype = _check_problem(labeled_x, labels, unlabeled_x, unlabeled_weight, reg_covar)
    Q = _check_responsibilities(Q, x.shape[1] - len(y))  # (2, u)
    return _rounded_to(_m_step(x, y, Q, unlabeled_weight, reg_covar), dtype)


def objective(
    labeled_x: ArrayLike,
    labels: ArrayLike,
    unlabeled_x: ArrayLike,
    state: GDAState,
    *,
    unlabeled_weight: float = 1.0,
) -> float:
    """Return J of equation 6, in nats; minus infinity if a labelled point's class has prior 0."""
    x, y, _ = _check_problem(labeled_x, labels, unlabeled_x, unlabeled_weight)
    log_joint = _log_joint_density(x, _check_parameters("state", state, len(x)))  # (2, l + u)
    return _objective(log_joint[:, : len(y)], y, log_joint[:, len(y) :], unlabeled_weight)


def lower_bound(
    labeled_x: ArrayLike,
    labels: ArrayLike,
    unlabeled_x: ArrayLike,
    Q: ArrayLike,
    state: GDAState,
    *,
    unlabeled_weight: float = 1.0,
) -> float:
    """Return the variational lower bound L of equation 8, in nats, for a problem as in `m_step`.

    It never exceeds `objective`, and equals it when ``Q = e_step(unlabeled_x, state)``. Minus
    infinity if a class with a count has prior probability zero. Where ``Q_ij`` is zero its term is.
    """
    x, y, _ = _check_problem(labeled_x, labels, unlabeled_x, unlabeled_weight)
    log_joint = _log_joint_density(x, _check_parameters("state", state, len(x)))  # (2, l + u)
    Q = _check_responsibilities(Q, x.shape[1] - len(y))  # (2, u)
    counted = unlabeled_weight * Q > 0  # (2, u), leaves out 0 * (-inf)
    q, log_p = Q[counted], log_joint[:, len(y) :][counted]
    labelled = log_joint[y, np.arange(len(y))].sum()  # equation 7
    return float(labelled + unlabeled_weight * (q @ (log_p - np.log(q))))


def predict_proba(x: ArrayLike, state: GDAState) -> np.ndarray:
    """Return ``p(y = j | x)`` for points x (N, M): what `e_step` returns, for any points."""
    return _e_step(*_check_points_and_state("x", x, state))[0].T


def predict(x: ArrayLike, state: GDAState) -> np.ndarray:
    """Return the more probable class, int64 (N,), of points x (N, M); ties go to class 0."""
    return _log_joint_density(*_check_points_and_state("x", x, state)).argmax(axis=0)


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gda.py!")


# -- What makes it fast ---------------------------------------------------------------------------
#
# Points in columns, so that inner loops run over many points and not over a few coordinates; one
# matrix product whitens a block of them, another one sums up their outer products.

_CACHE_FLOATS = 1 << 16  # 512 KiB: a block of coordinates that stays in a core's cache
_ONE_THREAD = 1 << 18  # multiplications; larger products wait for other threads of OpenBLAS


def _class_blocks(x):
    """Yield (class, slice of points) for both classes and all points."""
    M, N = x.shape
    size, small = max(256, _CACHE_FLOATS // M), _ONE_THREAD // M**2
    if small >= 256:  # so few coordinates that waiting takes longer than the product
        size = min(size, small)
    for start in range(0, N, size):
        for j in (0, 1):
            yield j, slice(start, start + size)


# -- Checks ---------------------------------------------------------------------------------------

_EPS = np.finfo(np.float64).eps
_LARGEST = 1e100  # sums of squares of larger numbers may overflow


def _check_no_class_empty(N_j, num_labels, unlabeled_weight):
    if not N_j.all():
        j = N_j.argmin()
        raise ValueError(
            f"class {j} is empty: no point is labelled {j} among the {num_labels} given, and none "
            f"else counts (unlabeled_weight is {unlabeled_weight:g}); label one, or call train_gda "
            "with init=GDAState(phi, mu, sigma) near the data."
        )


def _check_no_class_collapsed(mu, sigma, N):
    """Refuse what rounding leaves of the variance of points on one spot, or in a flat."""
    spot = ((32 + np.sqrt(N)) * _EPS * mu) ** 2  # (2, M), the squared rounding errors of means
    flat = 16 * mu.shape[1] * _EPS * np.diagonal(sigma, axis1=1, axis2=2)  # (2, M)
    narrow = ~(_unexplained(sigma) > np.maximum(spot, flat))  # (2, M)
    if narrow.any():
        j = narrow.any(axis=1).argmax()
        raise ValueError(
            f"class {j} has collapsed: its points are too few, lie on one spot or in a flat. Pass "
            "reg_covar (a small part of the data's variance), or give more points of this class."
        )


def _unexplained(sigma):
    """Return the variance of each coordinate given those before it, (2, M); 0 where undefined."""
    try:
        return np.diagonal(np.linalg.cholesky(sigma), axis1=1, axis2=2) ** 2
    except np.linalg.LinAlgError:  # one of the two is no covariance
        if len(sigma) == 1:
            return np.zeros(sigma.shape[:2])
        return np.concatenate([_unexplained(sigma[:1]), _unexplained(sigma[1:])])


def _rounded_to(state, dtype):
    """Return a copy of the state in the points' dtype, if it means the same within 0.01 nats."""
    nats = np.full(2, np.inf)  # KL(exact || rounded), unless the rounded sigma is no covariance
    with np.errstate(all="ignore"), contextlib.suppress(np.linalg.LinAlgError):
        mu, sigma = state.mu.astype(dtype), state.sigma.astype(dtype)
        L, R = (np.linalg.cholesky(s.astype(np.float64)) for s in (state.sigma, sigma))
        change = np.concatenate([L, (state.mu - mu)[:, :, None]], axis=2)  # (2, M, M + 1)
        squares = (np.linalg.solve(R, change) ** 2).sum(axis=(1, 2))  # (2,)
        log_ratio = np.log(np.diagonal(R / L, axis1=1, axis2=2)).sum(axis=1)  # (2,)
        nats = (squares - len(mu[0])) / 2 + log_ratio  # (2,)
    if not np.all(nats < 0.01):
        mu, sigma = (f"(up to {np.abs(part).max():.4g})" for part in state[1:])
        raise ValueError(
            f"{dtype} cannot hold mu {mu} or sigma {sigma}, or not tell it from a singular one; "
            "convert the data to float64, rescale it, or pass reg_covar above zero."
        )
    return GDAState(state.phi, mu, sigma)


def _check_problem(labeled_x, labels, unlabeled_x, unlabeled_weight, reg_covar=0.0):
    """Return all points as columns (M, l + u), the labels (l,), and the dtype of the answer."""
    _check_number("unlabeled_weight", unlabeled_weight, _LARGEST)
    _check_number("reg_covar", reg_covar, _LARGEST**2)
    x, dtype = _points_in_columns("labeled_x", labeled_x)  # (M, l)
    y = _check_labels("labels", labels, "labeled_x", x.shape[1])
    more, other_dtype = _points_in_columns("unlabeled_x", unlabeled_x)  # (M, u)
    if len(x) != len(more):
        shapes = f"{x.T.shape} and {more.T.shape}"
        raise ValueError(f"labeled_x and unlabeled_x must have the same width M, got {shapes}.")
    return np.concatenate([x, more], axis=1), y, np.result_type(dtype, other_dtype)


def _check_points_and_state(name, points, state):
    x, _ = _points_in_columns(name, points)
    return x, _check_parameters("state", state, len(x))


def _points_in_columns(name, value):
    """Return the points as columns (M, N) in float64, and the dtype of what is fitted to them."""
    if isinstance(value, GDAState):
        raise TypeError(f"{name} must be points, got a GDAState; the state comes after them.")
    array = _real_array(name, value)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape (N, M), a row for each point, got {array.shape}; reshape it, "
            "to (N, 1) if a point is one number; no points at all are np.empty((0, M))."
        )
    if array.size and (largest := float(np.abs(_finite(name, array)).max())) > _LARGEST:
        raise ValueError(f"{name} holds {largest:g}, above {_LARGEST:g}; rescale the data.")
    dtype = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.dtype(np.float64)
    return np.ascontiguousarray(array.T, dtype=np.float64), dtype


def _check_labels(name, value, points_name, N):
    """Return the labels as int64 (N,)."""
    remedy = (
        f"A label is 0 or 1: map two classes to these, as in ({name} == {{}}).astype(int); "
        "a point without a label belongs in unlabeled_x."
    )
    try:
        labels = _real_array(name, value)
        if labels.size:
            _finite(name, labels)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} {remedy.format(repr('b'))}") from None
    if labels.shape != (N,):
        raise ValueError(
            f"{name} must have shape ({N},), one for each row of {points_name}, got "
            f"{labels.shape}; ravel() flattens a column, and argmax(axis=1) one-hot rows."
        )
    bad = (labels != 0) & (labels != 1)
    if bad.any():
        where = f"{labels[bad][0]} at index {bad.argmax()}"
        raise ValueError(f"{name} holds {where}. {remedy.format(labels.max())}")
    return labels.astype(np.int64)


def _check_responsibilities(value, u) -> np.ndarray:
    """Return Q in float64, a column for each point, (2, u)."""
    Q = _real_array("Q", value).astype(np.float64)
    if Q.shape != (u, 2):
        raise ValueError(f"Q must have shape ({u}, 2), a row for each point, got {Q.shape}.")
    if u:
        _finite("Q", Q)
    bad = (Q < 0).any(axis=1) | (np.abs(Q.sum(axis=1) - 1) > 1e-5)
    if bad.any():
        where, row = bad.argmax(), Q[bad][0]
        raise ValueError(f"Q[{where}] must be non-negative and sum to one, got {row}.")
    return Q.T


def _check_parameters(name, state, M):
    """Return a float64 copy of the state, checked against M."""
    if not isinstance(state, tuple) or len(state) != 3:
        raise TypeError(f"{name} must be a GDAState(phi, mu, sigma), got {type(state).__name__}.")
    phi = _check_number(f"{name}.phi", state[0], 1)
    mu = _finite(f"{name}.mu", state[1]).astype(np.float64)
    sigma = _finite(f"{name}.sigma", state[2]).astype(np.float64)
    for part, array, shape in (("mu", mu, (2, M)), ("sigma", sigma, (2, M, M))):
        if array.shape != shape:
            raise ValueError(f"{name}.{part} must have shape {shape}, got {array.shape}.")
    width = np.sqrt(np.diagonal(sigma, axis1=1, axis2=2).clip(min=0))  # (2, M)
    with np.errstate(over="ignore"):  # measured in widths, so that units do not matter
        limit = 1e-6 * width[:, None] * width[:, :, None]  # (2, M, M)
        skew = np.abs(sigma - sigma.swapaxes(1, 2)) > limit
    bad = skew.any(axis=(1, 2)) | ~(_unexplained(sigma) > 0).all(axis=1)  # (2,)
    if bad.any():
        j, got = bad.argmax(), np.array2string(sigma[bad][0], threshold=9, precision=4)
        raise ValueError(f"{name}.sigma[{j}] must be symmetric positive definite, got {got}.")
    return GDAState(phi, mu, sigma)


def _real_array(name: str, value: ArrayLike) -> np.ndarray:
    """Return the value as an array of real numbers."""
    if np.ma.isMaskedArray(value):
        raise TypeError(f"{name} is masked, and the mask would be lost; drop or fill such values.")
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}; convert it to float.")
    return array


def _finite(name: str, value: ArrayLike) -> np.ndarray:
    """Return the value as a non-empty array of finite real numbers."""
    array = _real_array(name, value)
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}); give it at least one value.")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(np.argwhere(~finite)[0].tolist())
        raise ValueError(f"{name} holds {array[where]} at index {where}; remove or replace it.")
    return array


def _check_count(name: str, value: int, minimum: int = 0) -> int:
    """Return the value as an int of at least the minimum."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)


def _check_number(name: str, value: float, largest: float) -> float:
    """Return the value as a float from 0 to the largest."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0 <= value <= largest:
        raise ValueError(f"{name} must be from 0 to {largest:g}, got {value}.")
    return float(value)


def _check_callback(callback: Callable | None) -> None:
    """Refuse a callback that cannot be called with three arguments."""
    try:
        if callback is not None:
            inspect.signature(callback).bind(0, 0.0, None)
    except ValueError:  # a built-in that does not tell its signature
        pass
    except TypeError as error:
        raise TypeError(f"callback must take (iteration, objective, state): {error}.") from None
