"""Principal component analysis: the directions in which the data varies most.

The components are the eigenvectors of the covariance matrix ``S = X^T X / (N - ddof)`` of the
centred data X (N, d), and the eigenvalues are the variances along them. S is never worked with
where it is the larger of two matrices:

- N >= d: the eigenvectors of ``X^T X`` (d, d) are the components.
- N < d: ``X X^T`` (N, N) has the same non-zero eigenvalues, and if v is an eigenvector of it then
  ``X^T v`` is one of ``X^T X`` (Turk and Pentland, "Eigenfaces for recognition", Journal of
  Cognitive Neuroscience, 1991).
"""

import math

import numpy as np

_MAX_EXPONENT = 1000  # 2.0**1000 and 2.0**-1000 are both normal float64 numbers


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from pca.py!")


def pca(data, *, ddof=1, num_components=None):
    """Return the principal components of the data and the variances along them.

    Parameters
    ----------
    data : array_like, shape (N, d)
        One point a row, in any unit. Centred inside; not modified.
    ddof : int
        The covariance is normalised by ``N - ddof``: 1 gives the unbiased estimate, 0 the S of
        eqs. (9) to (11).
    num_components : int, optional
        How many components to return, 1 to d; all d by default. With N < d and fewer than d
        components no (d, d) matrix is made.

    Returns
    -------
    U : ndarray, shape (d, num_components)
        The components in its columns, orthonormal, by descending eigenvalue. In each, the entry
        of largest magnitude is positive (the first of them, if several tie).
    eigenvalues : ndarray, shape (num_components,)
        The variances along the components, descending and never negative, in the data's unit
        squared. Both are in `data`'s dtype if that is floating, else float64.

    Raises
    ------
    TypeError
        If `data` does not hold real numbers or an option is no integer.
    ValueError
        If `data` is not two-dimensional, is empty, or holds NaN or infinity, if N does not exceed
        `ddof`, if `num_components` is not in 1 to d, or if an eigenvalue overflows the dtype.

    Notes
    -----
    Computed in float64. Rounding moves an eigenvalue by about 1e-16 of the largest one, so a
    component whose eigenvalue is smaller than that is an arbitrary direction orthogonal to those
    before it. Components that share an eigenvalue are an arbitrary basis of their span.
    """
    data = _check_matrix("data", data)
    N, d = data.shape
    ddof = _check_count("ddof", ddof, 0)
    if ddof >= N:
        raise ValueError(
            f"data has N = {N} point(s), but a covariance normalised by N - ddof with ddof = "
            f"{ddof} needs at least {ddof + 1}; give more points, or a smaller ddof."
        )
    K = d if num_components is None else _check_count("num_components", num_components, 1, d)
    dtype = _float_dtype(data)

    X, exponent = _centred(data)  # (N, d)
    if d <= N:
        squares, U = np.linalg.eigh(X.T @ X)  # (d,), (d, d), ascending
        squares, U = squares[::-1][:K], U[:, ::-1][:, :K]
    else:
        squares, V = np.linalg.eigh(X @ X.T)  # (N,), (N, N), ascending
        squares = np.concatenate([squares[::-1], np.zeros(d - N)])[:K]
        U = _orthonormalised(X.T @ V[:, ::-1][:, :K], K)
    variances = np.maximum(squares, 0) / (N - ddof)  # rounding can put a zero below zero
    with np.errstate(over="ignore"):
        eigenvalues = np.ldexp(variances, 2 * exponent).astype(dtype)
    return (U * _signs(U)).astype(dtype, copy=False), _no_overflow("an eigenvalue", eigenvalues)


train_PCA = pca  # the name that the course's notebook calls


def num_components_for(eigenvalues, fraction):
    """Return how many components it takes to keep a fraction of the total variance.

    Parameters
    ----------
    eigenvalues : array_like, shape (L,)
        All the eigenvalues (the total is their sum), descending, as `pca` returns them.
    fraction : float
        The part of the variance to keep, above 0 and at most 1.

    Returns
    -------
    int
        The smallest K with ``v(K) / v(L) >= fraction``, where v(K) is the sum of the first K.
        Differences within rounding, L eps, count as equal.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If `eigenvalues` is not one-dimensional, is empty, not descending, holds NaN, infinity or
        a negative value, or is all zero, or if `fraction` is out of range.
    """
    eigenvalues = _finite_array("eigenvalues", eigenvalues)
    fraction = _finite_array("fraction", fraction)
    if fraction.ndim != 0 or not 0 < fraction <= 1:
        raise ValueError(
            f"fraction must be one number above 0 and at most 1, got {fraction}; "
            "write 95 % as 0.95."
        )
    if eigenvalues.ndim != 1:
        raise ValueError(f"eigenvalues must have shape (L,), got {eigenvalues.shape}.")
    eigenvalues = eigenvalues.astype(np.float64)
    if eigenvalues.min() < 0 or np.any(eigenvalues[1:] > eigenvalues[:-1]):
        raise ValueError(
            "eigenvalues must be non-negative and descending, as pca returns them, got "
            f"{np.array2string(eigenvalues, threshold=9, precision=4)}."
        )
    if eigenvalues[0] == 0:
        raise ValueError("eigenvalues are all 0: there is no variance to keep a fraction of.")
    v = np.cumsum(eigenvalues / eigenvalues[0])  # (L,), in units that cannot overflow
    enough = v >= (fraction - len(v) * np.finfo(np.float64).eps) * v[-1]
    return int(enough.argmax()) + 1


def project(data, U, mean):
    """Return the coordinates of points along the components, ``U^T (x - mean)`` for each.

    Parameters
    ----------
    data : array_like, shape (..., d)
        Points along the last axis: (N, d) for many, (d,) for one.
    U : array_like, shape (d, K)
        Components in columns.
    mean : array_like, shape (d,)
        The mean of the data that U was computed from.

    Returns
    -------
    ndarray, shape (..., K)
        The scores, in `data`'s dtype if that is floating, else float64.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, an array is empty or holds NaN or infinity, or a score overflows.
    """
    data = _finite_array("data", data)
    U, mean = _check_components_and_mean(U, mean)
    _check_width("data", data, "d", len(mean))
    with np.errstate(over="ignore", invalid="ignore"):
        scores = (data - mean.astype(np.float64)) @ U.astype(np.float64)  # (..., K)
        return _no_overflow("a score", scores.astype(_float_dtype(data)))


def reconstruct(scores, U, mean):
    """Return the points with the given scores, ``U z + mean`` for each.

    With all d components it undoes `project`; with fewer it gives the nearest point in the flat
    that they span through the mean.

    Parameters
    ----------
    scores : array_like, shape (..., K)
    U : array_like, shape (d, K)
        Components in columns.
    mean : array_like, shape (d,)
        The mean of the data that U was computed from.

    Returns
    -------
    ndarray, shape (..., d)
        In `scores`' dtype if that is floating, else float64.

    Raises
    ------
    TypeError, ValueError
        As `project` does.
    """
    scores = _finite_array("scores", scores)
    U, mean = _check_components_and_mean(U, mean)
    _check_width("scores", scores, "K", U.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        points = scores.astype(np.float64) @ U.T + mean  # (..., d)
        return _no_overflow("a coordinate", points.astype(_float_dtype(scores)))


def distortion(data, U):
    """Return J, the mean squared distance from the points to their projections, eq. (9).

    Parameters
    ----------
    data : array_like, shape (N, d)
        Centred inside, as eq. (10) supposes.
    U : array_like, shape (d, K)
        Orthonormal columns; any, not only the principal components.

    Returns
    -------
    float
        ``1/N sum_n ||x_n - U U^T x_n||^2``, in the data's unit squared. For the first K components
        this is the sum of the other eigenvalues, eq. (11), if those have ``ddof=0``.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes disagree, an array is empty or holds NaN or infinity, or J overflows.
    """
    data, U = _check_matrix("data", data), _check_components(U).astype(np.float64)
    _check_width("data", data, "d", len(U))
    X, exponent = _centred(data)  # (N, d)
    with np.errstate(over="ignore", invalid="ignore"):
        X -= (X @ U) @ U.T
        J = np.ldexp(np.einsum("nd,nd->", X, X) / len(X), 2 * exponent)
    return float(_no_overflow("the distortion", J))


def _centred(data):
    """Return ``(data - mean) / 2**exponent`` (N, d) in float64, and the exponent.

    Dividing by a power of two is exact, and keeps squares from overflowing or vanishing.
    """
    largest = max(float(data.max()), -float(data.min()))
    exponent = max(-_MAX_EXPONENT, min(math.frexp(largest)[1], _MAX_EXPONENT))
    X = np.multiply(data, math.ldexp(1.0, -exponent), dtype=np.float64)
    # Taking off one of the points first makes a constant column exactly zero, and leaves the mean
    # of data far from the origin less to round.
    X -= X[0].copy()
    X -= X.mean(axis=0)
    return X, exponent


def _orthonormalised(A, K):
    """Return K orthonormal columns (d, K): those of A made so in their order, then others.

    Dividing the columns by their norms would do if none were near zero. Householder's QR returns
    orthonormal columns even for dependent and zero ones, and any K of them.
    """
    d, M = A.shape
    if d == K:
        return np.linalg.qr(A, mode="complete")[0]
    return np.linalg.qr(np.pad(A, [(0, 0), (0, K - M)]))[0]


def _signs(U):
    """Return for each column the sign of its first entry of largest magnitude, to rounding."""
    magnitudes = np.abs(U)
    first = (magnitudes >= (1 - 1e-8) * magnitudes.max(axis=0)).argmax(axis=0)  # (K,)
    return np.copysign(1.0, U[first, np.arange(U.shape[1])])


def _float_dtype(array):
    return array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)


def _no_overflow(what, array):
    if not np.isfinite(array).all():
        raise ValueError(
            f"{what} is too large for {array.dtype}; divide the data by a constant first"
            f"{'' if array.dtype == np.float64 else ', or convert it to float64'}."
        )
    return array


def _check_matrix(name, value):
    array = _finite_array(name, value)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have shape (N, d), one point a row, got {array.shape}; "
            f"flatten images with {name}.reshape(len({name}), -1)."
        )
    return array


def _check_components(U):
    U = _finite_array("U", U)
    if U.ndim != 2:
        raise ValueError(f"U must have shape (d, K), components in columns, got {U.shape}.")
    return U


def _check_components_and_mean(U, mean):
    U, mean = _check_components(U), _finite_array("mean", mean)
    if mean.shape != (len(U),):
        raise ValueError(f"mean must have shape ({len(U)},) to fit U {U.shape}, got {mean.shape}.")
    return U, mean


def _check_width(name, array, symbol, width):
    if array.ndim == 0 or array.shape[-1] != width:
        raise ValueError(
            f"{name} must have {symbol} = {width} columns to fit U (d, K), got shape {array.shape}."
        )


def _finite_array(name, value):
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
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}); give it at least one value.")
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} holds {array[where]} at index {where}; remove or replace such values."
        )
    return array


def _check_count(name, value, minimum, maximum=None):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < minimum or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"
        raise ValueError(f"{name} must be {limits}, got {value}.")
    return int(value)
