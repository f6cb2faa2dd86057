"""Independent component analysis by maximum likelihood, for blind separation of audio.

The model is that a sample x of m microphones is a linear mixture of m independent sources, each
with the logistic density g'. The unmixing matrix W maximises the log-likelihood

    l(W) = sum_t ( sum_j log g'(w_j . x_t) + log |det W| ),    g(s) = 1 / (1 + exp(-s))    (13)
    gradient for one t:  (1 - 2 g(W x)) x^T + W^-T

(Bell and Sejnowski, "An information-maximization approach to blind separation and blind
deconvolution", Neural Computation 7, 1995). The problem set calls (13) a loss; it is maximised.

`ica` climbs it by plain stochastic gradient ascent, sample after sample, so nothing can be
computed for many samples at once. Three functions take the same steps, equal to rounding: in NumPy
as the formula stands, by three calls of BLAS and LAPACK, and in loops compiled by numba. The faster
ones take longer to load, so each is used once the process has taken enough steps to repay it.

Samples X (T, m) are rows, one column a microphone; W (m, m) has one source a row. Results have the
dtype of floating samples, else float64. Every function raises a TypeError for what holds no real
numbers, and a ValueError for shapes that do not fit, empty arrays, NaN, infinity and overflow;
`ica` also for channels that are constant or linearly dependent, and an ascent that diverges. It
warns of a mean far from zero, an ascent that has not converged, and sub-Gaussian sources.
"""

import contextlib
import functools
import inspect
import math
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

LEARNING_RATES = tuple(
    np.repeat([0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001], [3, 3, 2, 2, 2, 2, 2]).tolist()
)


def ica(
    X: ArrayLike,
    *,
    learning_rates: ArrayLike = LEARNING_RATES,
    verbose: bool = False,
    callback: Callable[[int, float, np.ndarray], object] | None = None,
) -> np.ndarray:
    """Find the unmixing matrix by stochastic gradient ascent on the log-likelihood.

    W starts as the identity. Each pass takes the samples in order, and for each adds the learning
    rate times its gradient (`filter_grad`) at the current W.

    Parameters
    ----------
    X : array_like, shape (T, m)
        The samples, of amplitude about 1 (see `normalize`) and mean zero.
    learning_rates : sequence of float
        One pass for each, in this order; all above zero.
    verbose : bool
        Print one line for each call that `callback` would get.
    callback : callable, optional
        Called as ``callback(iteration, log_likelihood, W)`` before each pass, counting from 0,
        with the W that it starts from and its log-likelihood in nats, and once more with the last
        W. Returning True stops the ascent there.

    Returns
    -------
    ndarray, shape (m, m)
        W. The likelihood does not depend on the order or the signs of its rows.
    """
    X = _check_samples("X", X)
    rates = _check_learning_rates(learning_rates)
    _check_callback(callback)
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)
    X = X.astype(np.float64, order="C")  # a copy, so that numba meets one kind of array
    _check_microphones(X, precision=max(np.finfo(dtype).eps, _EPS))

    W = np.eye(X.shape[1])  # (m, m)
    run_pass = _fastest_pass(num_steps=len(X) * len(rates), num_sources=len(W))
    for iteration in range(len(rates) + 1):
        if verbose or callback is not None:
            objective = _log_likelihood(X, W)
            if verbose:
                print(f"iteration {iteration}: log-likelihood {objective:.3f} nats")
            if callback is not None and callback(iteration, objective, W.astype(dtype)):
                break
        if iteration < len(rates):
            with np.errstate(all="ignore"):  # what overflows is caught in the next line
                W = run_pass(W, X, rates[iteration])
                _check_step(W, dtype, iteration, rates[iteration])
    _check_result(X, W, rates)
    return W.astype(dtype)


unmixer = ica  # the name that the course's notebook calls


def _pass_in_numpy(W: np.ndarray, X: np.ndarray, learning_rate: float) -> np.ndarray:
    """Return W after one pass over X; NaN if it meets a singular W."""
    try:
        for x in X:
            slope = -np.tanh(W @ x / 2)  # (m,), 1 - 2 g(W x)
            W = W + learning_rate * (np.outer(slope, x) + np.linalg.inv(W).T)
    except np.linalg.LinAlgError:
        return np.full_like(W, np.nan)
    return W


def filter_grad(x: ArrayLike, W: ArrayLike) -> np.ndarray:
    """Return the gradient ``(1 - 2 g(W x)) x^T + W^-T`` of (13) for one sample, in float64.

    Parameters
    ----------
    x, W : array_like, shapes (m,) and (m, m)
        One sample, and an unmixing matrix that is not singular.
    """
    x = _finite("x", x).astype(np.float64)
    if x.ndim != 1:
        raise ValueError(f"x must be one sample of shape (m,), a row of X, got {x.shape}.")
    W = _check_square("W", W, f"x {x.shape}", len(x))
    if _is_singular(W):
        raise ValueError(f"W is singular, so log |det W| has no gradient there; got {W.tolist()}.")
    y = _unmix(x, W)  # (m,)
    return np.outer(1 - 2 * sigmoid(y), x) + np.linalg.inv(W).T  # (m, m)


def sigmoid(s: ArrayLike) -> np.ndarray:
    """Return the logistic function ``g(s) = 1 / (1 + exp(-s))``, without overflow for any s."""
    s = _as_floats(_real_array("s", s))
    if np.isnan(s).any():
        raise ValueError("s holds NaN; remove or replace such values.")
    tail = np.exp(-np.abs(s))  # at most 1
    return np.where(s >= 0, 1, tail)[()] / (1 + tail)


def log_likelihood(X: ArrayLike, W: ArrayLike) -> float:
    """Return the log-likelihood (13), which `ica` maximises, in nats; -inf if W is singular."""
    X = _check_samples("X", X).astype(np.float64)
    return _log_likelihood(X, _check_square("W", W, f"X {X.shape}, one row a sample", X.shape[1]))


def _log_likelihood(X: np.ndarray, W: np.ndarray) -> float:
    size = np.abs(_unmix(X, W))  # (T, m)
    with np.errstate(over="ignore"):  # a sum below the range of floats is minus infinity
        log_slopes = -size - 2 * np.log1p(np.exp(-size))  # log g' = log(g (1 - g)), no overflow
        return float(log_slopes.sum() + len(X) * np.linalg.slogdet(W)[1])  # (13)


def normalize(mix: ArrayLike) -> np.ndarray:
    """Return a recording (T, m) scaled so that its largest absolute value is 0.99."""
    mix = _as_floats(_check_samples("mix", mix))
    peak = np.abs(mix).max()
    if peak == 0:
        raise ValueError("mix is silent (all zeros), so it has no scale; pass a recording.")
    return mix / peak * 0.99


def unmix(X: ArrayLike, W: ArrayLike) -> np.ndarray:
    """Return the sources' samples ``y_t = W x_t`` (T, m), one column a source."""
    X = _as_floats(_check_samples("X", X))
    return _unmix(X, _check_square("W", W, f"X {X.shape}, one row a sample", X.shape[1]))


def _unmix(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return W x for one sample (m,) or each of many (T, m)."""
    with np.errstate(over="ignore", invalid="ignore"):
        Y = (X @ W.T).astype(X.dtype, copy=False)
    if not np.isfinite(Y).all():
        raise ValueError(
            f"W x overflows: max |X| = {np.abs(X).max():.4g}, max |W| = {np.abs(W).max():.4g}; "
            "scale X with normalize."
        )
    return Y


def amari_distance(W: ArrayLike, A: ArrayLike) -> float:
    """Return how far W is from unmixing A, whatever the order, signs and scales of the sources.

    The rows of W and the columns of A are scaled to unit length, since these scales are
    arbitrary. With ``P = |W A|`` the distance is

        (sum_i (sum_j P_ij / max_j P_ij - 1) + sum_j (sum_i P_ij / max_i P_ij - 1)) / (2 m (m - 1))

    (Amari, Cichocki and Yang, "A new learning algorithm for blind signal separation", NIPS 1995):
    0 where ``W A`` is a scaled permutation, 1 where all its entries are equally large.

    Parameters
    ----------
    W, A : array_like, shape (m, m)
        An unmixing matrix, one source a row, and a mixing matrix, one source a column; neither
        singular. To compare two unmixing matrices, pass the inverse of one.
    """
    W = _check_square("W", W)
    A = _check_square("A", A, f"W {W.shape}", len(W))
    for name, matrix, columns in (("W", W, W.T), ("A", A, A)):
        if not columns.any(axis=0).all() or _is_singular(_unit_columns(columns)):
            raise ValueError(f"{name} must be invertible, got {matrix.tolist()}.")
    W, A = _unit_columns(W.T).T, _unit_columns(A)
    m = len(W)
    if m == 1:
        return 0.0
    P = np.abs(W @ A)  # (m, m)
    rows = (P / P.max(axis=1, keepdims=True)).sum() - m
    columns = (P / P.max(axis=0, keepdims=True)).sum() - m
    return float((rows + columns) / (2 * m * (m - 1)))


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from ica.py!")


# -- What makes it fast --------------------------------------------------------------------------

_WORTH_SCIPY = 20_000  # steps that cost more in NumPy than loading SciPy does (0.1 to 0.4 s)
_WORTH_COMPILING = 300_000  # steps that cost more in LAPACK than loading and compiling do (1 s)
_MAX_COMPILED_SOURCES = 20  # above this many, LAPACK's blocked inverse is faster than plain loops
_steps_taken = 0  # in this process


def _fastest_pass(num_steps: int, num_sources: int) -> Callable:
    """Return the function to take these steps with, which repay its loading with those before."""
    global _steps_taken
    _steps_taken += num_steps
    if _steps_taken >= _WORTH_COMPILING and num_sources <= _MAX_COMPILED_SOURCES:
        with contextlib.suppress(ImportError):  # numba is optional
            return _compiled_pass()
    return _pass_with_lapack if _steps_taken >= _WORTH_SCIPY else _pass_in_numpy


def _pass_with_lapack(W: np.ndarray, X: np.ndarray, learning_rate: float) -> np.ndarray:
    """Do what `_pass_in_numpy` does by one call each for the inverse and the two products."""
    from scipy.linalg.blas import dgemv, dger
    from scipy.linalg.lapack import dgesv

    scaled_identity = np.asfortranarray(learning_rate * np.eye(len(W)))
    for x in X:
        _, _, step, info = dgesv(W.T, scaled_identity)  # W^T step = lr I, so step = lr W^-T
        if info:
            return np.full_like(W, np.nan)
        step += W
        # W + lr W^-T - lr tanh(W x / 2) x^T, written over step
        W = dger(-learning_rate, np.tanh(dgemv(0.5, W, x)), x, a=step, overwrite_a=True)
    return W


@functools.cache
def _compiled_pass() -> Callable:
    import numba

    return numba.njit(_pass_in_loops)


def _pass_in_loops(W: np.ndarray, X: np.ndarray, learning_rate: float) -> np.ndarray:
    """Do what `_pass_in_numpy` does in scalar loops: arrays take numba several times as long."""
    m = len(W)
    W = W.copy()
    A = np.empty((m, 2 * m))
    for t in range(len(X)):
        # Gauss-Jordan elimination with partial pivoting turns A = [W | I] into [I | W^-1].
        for i in range(m):
            for j in range(m):
                A[i, j] = W[i, j]
                A[i, m + j] = 1.0 if i == j else 0.0
        for k in range(m):
            pivot = k
            for i in range(k + 1, m):
                if abs(A[i, k]) > abs(A[pivot, k]):
                    pivot = i
            if A[pivot, k] == 0:
                return np.full_like(W, np.nan)
            for j in range(k, 2 * m):
                A[k, j], A[pivot, j] = A[pivot, j], A[k, j]
            scale = 1 / A[k, k]
            for j in range(k, 2 * m):
                A[k, j] *= scale
            for i in range(m):
                if i != k:
                    factor = A[i, k]
                    for j in range(k, 2 * m):
                        A[i, j] -= factor * A[k, j]

        for i in range(m):
            y = 0.0
            for j in range(m):
                y += W[i, j] * X[t, j]
            slope = -math.tanh(y / 2)  # 1 - 2 g(y_i)
            for j in range(m):
                W[i, j] += learning_rate * (slope * X[t, j] + A[j, m + i])
    return W


# -- Checks --------------------------------------------------------------------------------------

_EPS = np.finfo(np.float64).eps
_FAR_MEAN = 0.3  # of a channel's RMS; with more, W separates visibly worse
_UNCONVERGED = 0.5  # an entry of the mean relative gradient; 0.09 after the course's audio


def _check_microphones(X: np.ndarray, precision: float) -> None:
    """Raise if a channel is constant, or the channels are linearly dependent up to rounding."""
    T, m = X.shape
    if T < m:
        raise ValueError(
            f"X must have shape (T, m), one row a sample, got {X.shape}: with T < m channels are "
            "linearly dependent; pass X.T if the microphones are its rows, else more samples."
        )
    for channel in np.flatnonzero(X.min(axis=0) == X.max(axis=0)):
        value = X[0, channel]
        raise ValueError(
            f"channel {channel} of X is {f'constant at {value:g}' if value else 'silent'}, so no "
            "source can be told from it; leave that column out."
        )
    units = _unit_columns(X)
    rank = np.linalg.matrix_rank(units, tol=32 * precision)
    if rank < m:
        raise ValueError(
            f"the {m} channels of X are linearly dependent (rank {rank} from {T} samples), so the "
            "likelihood has no maximum; leave out channels that repeat others, or add samples."
        )
    means = math.sqrt(T) * np.abs(units.mean(axis=0))  # (m,), over the channels' RMS
    worst = means.argmax()
    if means[worst] - 3 / math.sqrt(T) > _FAR_MEAN:  # by three standard errors
        _warn(
            f"channel {worst} of X has mean {X[:, worst].mean():.3g}, {means[worst]:.2f} of its "
            "RMS, but the model's sources have mean zero; subtract X.mean(axis=0) first."
        )


def _check_step(W: np.ndarray, dtype: np.dtype, iteration: int, rate: float) -> None:
    if not np.isfinite(W.astype(dtype)).all():
        raise ValueError(
            f"W became singular in pass {iteration} at learning rate {rate:g}, or too large for "
            f"{dtype}: the rate is too high for X; lower learning_rates, or scale X with normalize."
        )


def _check_result(X: np.ndarray, W: np.ndarray, rates: list[float]) -> None:
    """Warn if W is of no use; raise if the ascent went down by over a nat a sample and source."""
    Y = _unmix(X, W)  # (T, m)
    slopes = np.tanh(Y / 2)  # (T, m), 2 g(y) - 1
    with np.errstate(all="ignore"):
        products = slopes.T @ Y / len(Y)  # (m, m)
        gradient = np.eye(len(W)) - products  # the mean of filter_grad times W^T; 0 at a maximum
        curvatures = ((1 - slopes**2) / 2).mean(axis=0)  # (m,)
        # Separated sources are a maximum if k_i k_j > 1 for all pairs. A Gaussian one has k = 1, a
        # more peaked one more. (Cardoso, "Blind signal separation: statistical principles", 1998).
        k = np.sort(curvatures * (Y**2).mean(axis=0) / np.diag(products))  # (m,)
    worst = np.abs(gradient).max()
    if worst <= _UNCONVERGED:
        if len(k) > 1 and k[0] * k[1] < 1:
            _warn(
                f"sources come out sub-Gaussian (stability {k[0] * k[1]:.3f}, below 1), and the "
                "logistic density cannot separate such; use another method, as FastICA."
            )
        return
    peak, before, after = np.abs(X).max(), _log_likelihood(X, np.eye(len(W))), _log_likelihood(X, W)
    if not after > before - X.size:
        raise ValueError(
            f"the ascent diverged: the log-likelihood went from {before:.4g} to {after:.4g} nats, "
            f"so learning_rates (up to {max(rates):g}) are too high for X (max |X| = {peak:.4g}); "
            "lower them, or scale X with normalize."
        )
    _warn(
        f"the ascent has not converged: an entry of the mean gradient times W^T is {worst:.3g}, "
        f"where a maximum has 0. max |X| = {peak:.4g}; scale X with normalize if that is far from "
        "1, else pass more or other learning_rates."
    )


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)  # at the line that called ica


def _check_learning_rates(values: ArrayLike) -> list[float]:
    rates = _finite("learning_rates", values).astype(np.float64)
    if rates.ndim != 1:
        raise ValueError(f"learning_rates must be a sequence, one number a pass, got {values!r}.")
    if not np.all(rates > 0):
        raise ValueError(f"learning_rates must all be above zero, got {rates[rates <= 0][0]:g}.")
    return rates.tolist()


def _check_samples(name: str, value: ArrayLike) -> np.ndarray:
    samples = _finite(name, value)
    if samples.ndim != 2:
        raise ValueError(
            f"{name} must have shape (T, m), one row a sample and one column a microphone (see "
            f"np.column_stack), got {samples.shape}."
        )
    return samples


def _check_square(name: str, value: ArrayLike, mate: str = "", m: int | None = None) -> np.ndarray:
    """Return the value as a float64 matrix (m, m), as large as its mate if there is one."""
    matrix = _finite(name, value).astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or m not in (None, len(matrix)):
        expected = "(m, m)" if m is None else f"({m}, {m}) to fit {mate}"
        raise ValueError(f"{name} must have shape {expected}, got {matrix.shape}.")
    return matrix


def _is_singular(W: np.ndarray) -> bool:
    """Tell whether an inverse of W would have no correct digit."""
    singular_values = np.linalg.svd(W, compute_uv=False)
    return bool(singular_values[-1] <= max(_EPS * singular_values[0], np.finfo(np.float64).tiny))


def _unit_columns(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix (rows, m) with its columns scaled to unit length."""
    matrix = matrix / np.abs(matrix).max(axis=0)  # so that no square overflows or underflows
    return matrix / np.linalg.norm(matrix, axis=0)


def _as_floats(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _check_callback(callback: Callable | None) -> None:
    """Refuse a callback that cannot be called with three arguments."""
    try:
        if callback is not None:
            inspect.signature(callback).bind(0, 0.0, None)
    except ValueError:  # a built-in that does not tell its signature
        pass
    except TypeError as error:
        raise TypeError(f"callback must take (iteration, objective, state): {error}.") from None


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
