"""Independent component analysis by maximum likelihood, for blind separation of audio.

The model is that a sample x of m microphones is a linear mixture of m independent sources, each
with the logistic density g'. The unmixing matrix W maximises the log-likelihood

    l(W) = sum_t ( sum_j log g'(w_j . x_t) + log |det W| ),    g(s) = 1 / (1 + exp(-s))    (eq. 13)

(Bell and Sejnowski, "An information-maximization approach to blind separation and blind
deconvolution", Neural Computation 7, 1995). The problem set calls eq. 13 a loss; it is maximised.

`ica` climbs it by plain stochastic gradient ascent, sample after sample, so nothing can be
computed for many samples at once. What makes it fast is that ``1 - 2 g(s) = -tanh(s / 2)``, one
call instead of five, and a short way to the inverse: compiled by numba where numba is installed,
one LAPACK call a sample where it is not. Both give the same W to rounding.
"""

import functools
import math

import numpy as np

LEARNING_RATES = (
    *(0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.02, 0.02),
    *(0.01, 0.01, 0.005, 0.005, 0.002, 0.002, 0.001, 0.001),
)
_MAX_COMPILED_SOURCES = 24  # above this many, LAPACK's blocked inverse is faster than plain loops
_EPS = np.finfo(np.float64).eps


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from ica.py!")


def sigmoid(s):
    """Return the logistic function ``g(s) = 1 / (1 + exp(-s))``, without overflow for any s.

    Parameters
    ----------
    s : array_like, any shape
        Real numbers; infinities are allowed.

    Returns
    -------
    ndarray or scalar, the shape of `s`
        Values in [0, 1], in `s`'s dtype if that is floating, else float64.

    Raises
    ------
    TypeError
        If `s` does not hold real numbers.
    ValueError
        If `s` holds NaN.
    """
    s = _floating(_real_array("s", s))
    if np.isnan(s).any():
        raise ValueError("s holds NaN; remove or replace such values.")
    tail = np.exp(-np.abs(s))  # at most 1
    return np.where(s >= 0, 1, tail)[()] / (1 + tail)


def normalize(mix):
    """Scale a recording so that its largest absolute value is 0.99.

    Parameters
    ----------
    mix : array_like, shape (T, m)
        One row a sample, one column a microphone, in any unit.

    Returns
    -------
    ndarray, shape (T, m)
        ``0.99 mix / max |mix|``, in `mix`'s dtype if that is floating, else float64.

    Raises
    ------
    TypeError
        If `mix` does not hold real numbers.
    ValueError
        If `mix` is not two-dimensional, is empty, holds NaN or infinity, or is silent throughout.
    """
    mix = _floating(_check_samples("mix", mix))
    peak = np.abs(mix).max()
    if peak == 0:
        raise ValueError("mix is silent (all zeros), so it has no scale; pass a recording.")
    return mix / peak * 0.99


def log_likelihood(X, W):
    """Return the log-likelihood of eq. 13: what `ica` maximises.

    Parameters
    ----------
    X : array_like, shape (T, m)
        The microphones' samples.
    W : array_like, shape (m, m)
        The unmixing matrix, one source a row.

    Returns
    -------
    float
        In nats, summed over the samples; minus infinity if W is singular.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, an array is empty or holds NaN or infinity, or W x overflows.
    """
    X = _check_samples("X", X).astype(np.float64)
    W = _check_square("W", W, X.shape[1])
    Y = _unmix(X, W)  # (T, m)
    with np.errstate(over="ignore"):  # a sum below the range of floats is minus infinity
        return float(_log_slope(Y).sum() + len(X) * np.linalg.slogdet(W)[1])


def filter_grad(x, W):
    """Return the gradient of one sample's log-likelihood with respect to W.

    Parameters
    ----------
    x : array_like, shape (m,)
        One sample.
    W : array_like, shape (m, m)

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``(1 - 2 g(W x)) x^T + W^-T``, the derivative of eq. 13 for a single t.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, an array is empty or holds NaN or infinity, or W is singular.
    """
    x = _finite("x", _real_array("x", x)).astype(np.float64)
    if x.ndim != 1:
        raise ValueError(f"x must be one sample of shape (m,), got {x.shape}.")
    W = _check_square("W", W, len(x))
    if _is_singular(W):
        raise ValueError(f"W is singular, so log |det W| has no gradient there; got {W.tolist()}.")
    y = _unmix(x, W)  # (m,)
    return np.outer(1 - 2 * sigmoid(y), x) + np.linalg.inv(W).T


def ica(X, *, learning_rates=LEARNING_RATES, verbose=False, callback=None):
    """Find the unmixing matrix by stochastic gradient ascent on the log-likelihood.

    W starts as the identity. Each pass takes the samples in order, and for each adds the learning
    rate times its gradient (`filter_grad`) at the current W.

    Parameters
    ----------
    X : array_like, shape (T, m)
        The microphones' samples, of amplitude about 1 (see `normalize`). Not modified.
    learning_rates : sequence of float
        One pass for each, in this order; all above zero.
    verbose : bool
        Print one line for each pass.
    callback : callable, optional
        Called as ``callback(iteration, log_likelihood)`` after each pass, counting from 0, with
        the log-likelihood in nats of the W that the pass ended with.

    Returns
    -------
    ndarray, shape (m, m)
        W, one source a row, in `X`'s dtype if that is floating, else float64. The likelihood does
        not depend on the order or the signs of the rows; they follow from the start.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If `X` is not two-dimensional, is empty, holds NaN or infinity, or has a constant or silent
        channel or linearly dependent ones; if a learning rate is not above zero; or if the ascent
        fails, since W becomes singular or diverges.

    Notes
    -----
    Computed in float64. With numba the first call in a process takes about a second longer, for
    compiling.
    """
    X = _floating(_check_samples("X", X))
    learning_rates = _check_learning_rates(learning_rates)
    dtype = X.dtype
    X = X.astype(np.float64, order="C")  # a copy, so numba meets one type of array only
    _check_microphones(X, precision=max(np.finfo(dtype).eps, _EPS))
    W = np.eye(X.shape[1])

    run_pass = _fastest_pass(len(W))
    for iteration, learning_rate in enumerate(learning_rates):
        with np.errstate(all="ignore"):  # what overflows is caught on the next line
            W = run_pass(W, X, learning_rate)
        if not np.isfinite(W).all():
            raise ValueError(
                f"W became singular in pass {iteration} at learning rate {learning_rate:g}: the "
                "rate is too high for this data. Lower learning_rates, or scale X with normalize."
            )
        if verbose or callback is not None:
            objective = log_likelihood(X, W)
            if verbose:
                print(f"pass {iteration}, rate {learning_rate:g}: {objective:.3f} nats")
            if callback is not None:
                callback(iteration, objective)
    _check_no_divergence(X, W, learning_rates)
    return W.astype(dtype)


unmixer = ica


def unmix(X, W):
    """Return the sources' samples ``y_t = W x_t``.

    Parameters
    ----------
    X : array_like, shape (T, m)
    W : array_like, shape (m, m)

    Returns
    -------
    ndarray, shape (T, m)
        One column a source. Their scale is the one at which the logistic density fits best.

    Raises
    ------
    TypeError, ValueError
        As `log_likelihood` does.
    """
    X = _floating(_check_samples("X", X))
    return _unmix(X, _check_square("W", W, X.shape[1]))


def amari_distance(W, A):
    """Return how far W is from unmixing A, whatever the order, signs and scales of the sources.

    The rows of W and the columns of A are scaled to unit length, since these scales are
    arbitrary. With ``P = |W A|`` the distance is

        (sum_i (sum_j P_ij / max_j P_ij - 1) + sum_j (sum_i P_ij / max_i P_ij - 1)) / (2 m (m - 1))

    Parameters
    ----------
    W : array_like, shape (m, m)
        An unmixing matrix, one source a row.
    A : array_like, shape (m, m)
        A mixing matrix, one source a column. To compare with an unmixing matrix, pass its inverse.

    Returns
    -------
    float
        From 0, where ``W A`` is a scaled permutation, to 1, where all its entries are equally
        large. Always 0 for m = 1.

    Raises
    ------
    TypeError
        If a matrix does not hold real numbers.
    ValueError
        If a matrix is not square, is singular, holds NaN or infinity, or the shapes differ.

    References
    ----------
    Amari, Cichocki and Yang, "A new learning algorithm for blind signal separation", NIPS 1995.
    """
    W = _check_square("W", W)
    A = _check_square("A", A, len(W))
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


def _unmix(X, W):
    """Return W x for one sample (m,) or each of many (T, m)."""
    with np.errstate(over="ignore", invalid="ignore"):
        Y = (X @ W.T).astype(X.dtype, copy=False)
    if not np.isfinite(Y).all():
        raise ValueError(
            f"W x overflows: max |X| = {np.abs(X).max():.4g}, max |W| = {np.abs(W).max():.4g}; "
            "scale X with normalize."
        )
    return Y


def _log_slope(s):
    """Return log g'(s) = log(g(s) (1 - g(s))), written so that nothing overflows."""
    size = np.abs(s)
    return -size - 2 * np.log1p(np.exp(-size))


def _fastest_pass(num_sources):
    if num_sources <= _MAX_COMPILED_SOURCES:
        try:
            return _compiled_pass()
        except ImportError:  # numba is optional
            pass
    return _pass_with_lapack


@functools.cache
def _compiled_pass():
    import numba

    return numba.njit(_pass_in_loops)


def _pass_with_lapack(W, X, learning_rate):
    """Return W after one pass over X; NaN if it meets a singular W."""
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


def _pass_in_loops(W, X, learning_rate):
    """Do what `_pass_with_lapack` does in scalar loops, which numba compiles in a second.

    (With array expressions instead, compiling takes several times as long.)
    """
    m = len(W)
    W = W.copy()
    A = np.empty((m, 2 * m))
    y = np.empty(m)
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
            y[i] = 0.0
            for j in range(m):
                y[i] += W[i, j] * X[t, j]
        for i in range(m):
            slope = -math.tanh(y[i] / 2)  # 1 - 2 g(y_i)
            for j in range(m):
                W[i, j] += learning_rate * (slope * X[t, j] + A[j, m + i])
    return W


def _is_singular(W):
    """Tell whether an inverse of W would have no correct digit."""
    singular_values = np.linalg.svd(W, compute_uv=False)
    return bool(singular_values[-1] <= max(_EPS * singular_values[0], np.finfo(np.float64).tiny))


def _check_no_divergence(X, W, learning_rates):
    """Raise if the ascent went down by more than a nat a sample and source."""
    before, after = log_likelihood(X, np.eye(len(W))), log_likelihood(X, W)
    if not after > before - X.size:
        raise ValueError(
            f"the ascent diverged: the log-likelihood went from {before:.4g} to {after:.4g} nats. "
            f"The learning rates (up to {max(learning_rates):g}) are too high for data with "
            f"max |X| = {np.abs(X).max():.4g}; lower learning_rates, or scale X with normalize."
        )


def _check_microphones(X, precision):
    """Raise if a channel is constant, or the channels are linearly dependent up to rounding."""
    for channel in np.flatnonzero(X.min(axis=0) == X.max(axis=0)):
        value = X[0, channel]
        raise ValueError(
            f"channel {channel} of X is {f'constant at {value:g}' if value else 'silent'}, so no "
            "source can be told from it; leave that column out."
        )
    rank = np.linalg.matrix_rank(_unit_columns(X), tol=32 * precision)
    if rank < X.shape[1]:
        raise ValueError(
            f"the {X.shape[1]} channels of X are linearly dependent (rank {rank} from {len(X)} "
            "samples), so the likelihood has no maximum; leave out channels that repeat others, "
            "or pass more samples."
        )


def _check_learning_rates(values):
    rates = _finite("learning_rates", _real_array("learning_rates", values)).astype(np.float64)
    if rates.ndim != 1:
        raise ValueError(f"learning_rates must be a sequence, one number a pass, got {values!r}.")
    if not np.all(rates > 0):
        raise ValueError(f"learning_rates must all be above zero, got {rates[rates <= 0][0]:g}.")
    return rates.tolist()


def _check_samples(name, value):
    X = _finite(name, _real_array(name, value))
    if X.ndim != 2:
        raise ValueError(f"{name} must have shape (T, m), one row a sample, got {X.shape}.")
    return X


def _unit_columns(matrix):
    """Return the matrix (rows, m) with its columns scaled to unit length."""
    matrix = matrix / np.abs(matrix).max(axis=0)  # so that no square overflows or underflows
    return matrix / np.linalg.norm(matrix, axis=0)


def _check_square(name, value, m=None):
    matrix = _finite(name, _real_array(name, value)).astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or m not in (None, len(matrix)):
        expected = "(m, m)" if m is None else f"({m}, {m})"
        raise ValueError(f"{name} must have shape {expected}, got {matrix.shape}.")
    return matrix


def _floating(array):
    return array if array.dtype.kind == "f" else array.astype(np.float64)


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
    return array


def _finite(name, array):
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}).")
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {array[where]} at index {where}; remove or replace such values."
        )
    return array
