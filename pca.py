"""Principal component analysis: the directions in which the data varies most.

    S u_i = lambda_i u_i,    S = X^T X / (N - ddof) for the centred X (N, d)

The components u_i are the eigenvectors of the covariance S, and the eigenvalues lambda_i are the
variances along them. With fewer points than dimensions, the smaller ``X X^T`` (N, N) gives both: it
has the same non-zero eigenvalues, and if v is an eigenvector of it then ``X^T v`` is one of
``X^T X`` (Turk and Pentland, "Eigenfaces for recognition", J. of Cognitive Neuroscience, 1991).

Results have the dtype of floating data, else float64. Every function raises a TypeError for what
holds no real numbers or is no integer where one is due, and a ValueError for shapes that do not
fit, empty arrays, NaN, infinity, options out of range, and results too large for their dtype.
"""

import math

import numpy as np
from numpy.typing import ArrayLike


@np.errstate(over="ignore", invalid="ignore")  # `_as_dtype_of` refuses what overflows
def pca(
    data: ArrayLike, *, ddof: int = 1, num_components: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal components of the data and the variances along them.

    Parameters
    ----------
    data : array_like, shape (N, d)
        One point a row, in any unit. Centred inside; not modified.
    ddof : int
        The covariance is normalised by ``N - ddof``: 1 gives the eigenvalues that the problem set
        prints, 0 the S of its eqs. (9) to (11), which has 1/N.
    num_components : int, optional
        How many, K, from 1 to d. By default ``min(N, d)``: N points span no more directions.

    Returns
    -------
    U : ndarray, shape (d, K)
        Orthonormal components in columns. In each, the entry of largest magnitude is positive
        (the first of them, if several tie). Components whose eigenvalues agree within rounding,
        about 1e-16 of the largest, are an arbitrary basis of their span.
    eigenvalues : ndarray, shape (K,)
        The variances along them, descending and never negative, in the data's unit squared.
    """
    data = _check_points(data)
    N, d = data.shape
    ddof = _check_count("ddof", ddof)
    if ddof >= N:
        raise ValueError(
            f"data has N = {N}, but ddof = {ddof} needs at least {ddof + 1}; pass a smaller ddof."
        )
    K = min(N, d) if num_components is None else _check_num_components(num_components, d)

    X, exponent = _centred_and_scaled(data)  # (N, d)
    if d <= N:
        squares, U = _leading_eigenvectors(X.T @ X, K)  # (K,), (d, K)
    else:
        squares, V = _leading_eigenvectors(X @ X.T, min(N, K))  # at most N; V (N, min(N, K))
        squares = np.pad(squares, (0, K - len(squares)))  # (K,)
        # QR makes orthonormal columns even of those that are near zero, and of the K - N missing.
        U = np.linalg.qr(np.pad(X.T @ V, [(0, 0), (0, K - len(V.T))]))[0]  # (d, K)
    variances = np.maximum(squares, 0) / (N - ddof)  # rounding can put a zero below zero
    eigenvalues = _as_dtype_of(data, "an eigenvalue", np.ldexp(variances, 2 * exponent))
    return (U * _signs(U)).astype(eigenvalues.dtype, copy=False), eigenvalues


train_PCA = pca  # the name that the course's notebook calls


def num_components_for(eigenvalues: ArrayLike, fraction: float) -> int:
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
    """
    eigenvalues = _finite("eigenvalues", eigenvalues).astype(np.float64)
    share = _finite("fraction", fraction)
    if share.ndim != 0 or not 0 < share <= 1:
        raise ValueError(
            f"fraction must be one number above 0 up to 1, as 0.95 for 95 %, got {fraction!r:.60}."
        )
    if eigenvalues.ndim != 1 or (eigenvalues < 0).any() or (np.diff(eigenvalues) > 0).any():
        raise ValueError(
            "eigenvalues must be non-negative and descending, of shape (L,), as pca returns them, "
            f"got {np.array2string(eigenvalues.ravel(), threshold=9, precision=4)}, shape "
            f"{eigenvalues.shape}."
        )
    if eigenvalues[0] == 0:
        raise ValueError("eigenvalues are all 0: there is no variance to keep a fraction of.")
    v = np.cumsum(eigenvalues / eigenvalues[0])  # (L,), in units that cannot overflow
    enough = v >= (share - len(v) * np.finfo(np.float64).eps) * v[-1]
    return int(enough.argmax()) + 1


@np.errstate(over="ignore", invalid="ignore")
def project(data: ArrayLike, U: ArrayLike, mean: ArrayLike) -> np.ndarray:
    """Return the coordinates of points along the components, ``U^T (x - mean)`` for each.

    Parameters
    ----------
    data : array_like, shape (..., d)
        Points along the last axis: (N, d) for many, (d,) for one.
    U, mean : array_like, shapes (d, K) and (d,)
        Components in columns, and the mean of the data that they were computed from.

    Returns
    -------
    ndarray, shape (..., K)
    """
    data, mean = _finite("data", data), _finite("mean", mean).astype(np.float64)
    U = _check_components("data", data, "d", U, mean)
    return _as_dtype_of(data, "a score", (data - mean) @ U)  # (..., K)


@np.errstate(over="ignore", invalid="ignore")
def reconstruct(scores: ArrayLike, U: ArrayLike, mean: ArrayLike) -> np.ndarray:
    """Return the points with the given scores, ``U z + mean`` for each.

    With all d components it undoes `project`; with fewer it gives the nearest point in their flat.

    Parameters
    ----------
    scores, U, mean : array_like, shapes (..., K), (d, K) and (d,)
        As `project` returns and takes them.

    Returns
    -------
    ndarray, shape (..., d)
    """
    scores, mean = _finite("scores", scores), _finite("mean", mean).astype(np.float64)
    U = _check_components("scores", scores, "K", U, mean)
    return _as_dtype_of(scores, "a coordinate", scores @ U.T + mean)  # (..., d)


@np.errstate(over="ignore", invalid="ignore")
def distortion(data: ArrayLike, U: ArrayLike) -> float:
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
    """
    data = _check_points(data)
    U = _check_components("data", data, "d", U)
    error = np.abs(U.T @ U - np.eye(U.shape[1])).max()
    if not error < 0.01:  # well above the rounding of float16
        raise ValueError(
            f"U must have orthonormal columns, but U^T U is off by up to {error:.3g}; pass "
            "components as pca returns them, or np.linalg.qr(U)[0]."
        )
    X, exponent = _centred_and_scaled(data)  # (N, d)
    X -= (X @ U) @ U.T
    J = np.ldexp(np.vdot(X, X) / len(X), 2 * exponent)  # (9)
    return float(_as_dtype_of(X, "the distortion", J))


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from pca.py!")


hello_world = hello  # the name that the course's notebook calls


# -- What makes it fast --------------------------------------------------------------------------


def _centred_and_scaled(data: np.ndarray) -> tuple[np.ndarray, int]:
    """Return ``X = (data - mean) / 2**exponent`` (N, d) in float64, and the exponent.

    The exponent is 0 unless squares would overflow or vanish; dividing by a power of two is exact.
    """
    # Taking off one of the points first makes a constant column exactly zero, and leaves the mean
    # of data far from the origin less to round.
    X = np.subtract(data, data[0], dtype=np.float64)  # (N, d)
    X -= X.mean(axis=0)
    if 1e-100 < np.linalg.norm(X) < 1e100:
        return X, 0
    exponent = math.frexp(np.abs(_as_dtype_of(X, "the spread of data", X)).max())[1]
    return np.ldexp(X, -exponent), exponent


_WORTH_SCIPY = 1500  # eigenvalues of a matrix; below it, loading SciPy (0.1 to 0.4 s) costs more


def _leading_eigenvectors(S: np.ndarray, K: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the K largest eigenvalues of the symmetric S (n, n), descending, and their vectors."""
    n = len(S)
    if n >= _WORTH_SCIPY and K <= n // 8:  # so few that they cost half of what all do
        from scipy.linalg import eigh

        values, vectors = eigh(S, subset_by_index=(n - K, n - 1), check_finite=False)
    else:
        values, vectors = np.linalg.eigh(S)  # (n,), (n, n), ascending
    return values[::-1][:K], vectors[:, ::-1][:, :K]


def _signs(U: np.ndarray) -> np.ndarray:
    """Return for each column the sign of its first entry of largest magnitude, to rounding."""
    magnitudes = np.abs(U)
    first = (magnitudes >= (1 - 1e-8) * magnitudes.max(axis=0)).argmax(axis=0)  # (K,)
    return np.copysign(1.0, U[first, np.arange(U.shape[1])])


# -- Checks --------------------------------------------------------------------------------------


def _as_dtype_of(data: np.ndarray, what: str, array: np.ndarray) -> np.ndarray:
    """Return the array in the dtype of floating data, else in float64, if that can hold it."""
    array = array.astype(data.dtype if data.dtype.kind == "f" else np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{what} is too large for {array.dtype}; divide the data by a constant first"
            f"{'' if array.dtype == np.float64 else ', or convert it to float64'}."
        )
    return array


def _check_points(value: ArrayLike) -> np.ndarray:
    data = _finite("data", value)
    if data.ndim != 2:
        raise ValueError(
            f"data must have shape (N, d), one point a row, got {data.shape}; "
            "flatten images with data.reshape(len(data), -1)."
        )
    return data


def _check_components(
    name: str, array: np.ndarray, symbol: str, U: ArrayLike, mean: np.ndarray | None = None
) -> np.ndarray:
    """Return U in float64 if it fits the mean and the array, whose last axis is its d or K."""
    U = _finite("U", U).astype(np.float64)
    if U.ndim != 2:
        raise ValueError(f"U must have shape (d, K), components in columns, got {U.shape}.")
    if mean is not None and mean.shape != (len(U),):
        hint = "; transpose U" if mean.shape == U.shape[1:] else ""
        wanted = f"shape ({len(U)},) to fit U {U.shape}"
        raise ValueError(f"mean must have {wanted}, got {mean.shape}{hint}.")
    width = U.shape["dK".index(symbol)]
    if array.shape[-1:] != (width,):
        raise ValueError(
            f"{name} must have {symbol} = {width} columns to fit U (d, K) = {U.shape}, got shape "
            f"{array.shape}; flatten each point to a row, or transpose."
        )
    return U


def _check_num_components(value: int, d: int) -> int:
    if isinstance(value, (float, np.floating)):
        raise TypeError(
            f"num_components must be an integer, got {value!r}; num_components_for makes one of it."
        )
    if _check_count("num_components", value, 1) > d:
        raise ValueError(f"num_components must be 1 to {d}, the columns of data, got {value}.")
    return int(value)


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
