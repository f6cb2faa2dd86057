"""Gaussian mixtures fitted by EM, and image compression with the component means.

The model is ``p(x) = sum_k pi_k N(x; mu_k, Sigma_k)``. One EM step computes the responsibilities
``gamma_nk = pi_k N(x_n; mu_k, Sigma_k) / sum_j pi_j N(x_n; mu_j, Sigma_j)`` in log space, then

    N_k = sum_n gamma_nk,    pi_k = N_k / N,    mu_k = sum_n gamma_nk x_n / N_k,
    Sigma_k = sum_n gamma_nk (x_n - mu_k)(x_n - mu_k)^T / N_k

(Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.2.2). `_step` is these lines.
`_step_on_products` takes the same step faster when the points have few coordinates: both halves
of the step are linear in the products ``[1, x_i, x_i x_j]``, so each becomes one matrix product.
"""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

_BLOCK_FLOATS = 1 << 17  # floats held at once by a step: 1 MiB, which fits a core's cache
_MAX_PRODUCT_WIDTH = 64  # above this many coordinates their products cost more than they save
_WORTH_SHARING = 1e7  # products in a step; below it, starting threads costs more than it saves
_MAX_SPREAD = 1e6  # squared width of the data over that of a component: digits lost by products
_EPS = np.finfo(np.float64).eps
_THREADS = threading.Lock()  # held by the run that shares its work between threads


class GMMState(NamedTuple):
    """The parameters of a Gaussian mixture with K components in d dimensions.

    Attributes
    ----------
    pi : ndarray, shape (K,)
        Mixing proportions; they sum to one.
    mu : ndarray, shape (K, d)
        Means, in the data's units.
    sigma : ndarray, shape (K, d, d)
        Covariances, in the data's units squared.
    """

    pi: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gmm.py!")


def train_gmm(
    train_data,
    init_pi,
    init_mu,
    init_sigma,
    *,
    num_iterations=50,
    reg_covar=0.0,
    verbose=False,
    callback=None,
):
    """Fit a Gaussian mixture by EM from the given parameters.

    Parameters
    ----------
    train_data : array_like, shape (N, d)
        The points. Not modified.
    init_pi : array_like, shape (K,)
        Initial mixing proportions; non-negative, summing to one.
    init_mu : array_like, shape (K, d)
        Initial means.
    init_sigma : array_like, shape (K, d, d)
        Initial covariances; symmetric positive definite.
    num_iterations : int
        The number of EM steps.
    reg_covar : float
        Added to the diagonal of every new covariance, in the data's units squared. Above zero it
        keeps a component from collapsing, and the likelihood is no longer bound to rise.
    verbose : bool
        Print one line for each step.
    callback : callable, optional
        Called as ``callback(iteration, log_likelihood)`` in each step, counting from 0, with the
        log-likelihood in nats of the parameters that the step started from.

    Returns
    -------
    GMMState
        In `train_data`'s dtype if that is float32 or wider, else float64 (float32 for float16). A
        component that loses all its
        points keeps its mean and covariance, with proportion 0.

    Raises
    ------
    TypeError
        If an array does not hold real numbers or an option is of the wrong kind.
    ValueError
        If shapes disagree, an array is empty or holds NaN, infinity or values too large to square,
        a covariance is not symmetric positive definite, or a component collapses onto too few
        points (the message says which, and names `reg_covar`).
    """
    data = _check_data("train_data", train_data)
    state = _check_state(data, init_pi, init_mu, init_sigma, ("init_pi", "init_mu", "init_sigma"))
    num_iterations = _check_count("num_iterations", num_iterations)
    reg_covar = _check_non_negative("reg_covar", reg_covar)
    # Not float16, in which proportions that sum to one no longer do.
    dtype = np.result_type(data, np.float32) if data.dtype.kind == "f" else np.dtype(np.float64)

    mean = data.mean(axis=0, dtype=np.float64)
    points = data - mean  # (N, d): moments around the mean lose fewer digits
    widths = np.sqrt(np.mean(points**2, axis=0))  # (d,)
    # A standard deviation of this size is the rounding error of the data itself.
    rounding = 32 * _EPS * np.maximum(np.abs(mean), np.abs(points).max(axis=0))  # (d,)
    state = state._replace(mu=state.mu - mean)
    diagonal = np.arange(len(mean))

    def take(step):
        new, log_lik = step(points, state)
        new.sigma[:, diagonal, diagonal] += reg_covar
        return new, log_lik, _products_keep_digits(new.sigma, widths)

    on_products = _products_keep_digits(state.sigma, widths)
    for iteration in range(num_iterations):
        new, log_lik, keep_digits = take(_step_on_products if on_products else _step)
        if on_products and not keep_digits:  # a component shrank so far that they have lost it
            new, log_lik, keep_digits = take(_step)
        state, on_products = new, keep_digits
        _check_no_collapse(state.sigma, rounding)
        if verbose:
            print(f"iteration {iteration}: log-likelihood {log_lik:.6f} nats")
        if callback is not None:
            callback(iteration, log_lik)
    return _in_dtype(state._replace(mu=state.mu + mean), dtype)


def log_density(data, mu, sigma):
    """Return the log-density of every point under every Gaussian.

    Parameters
    ----------
    data : array_like, shape (N, d)
    mu : array_like, shape (K, d)
    sigma : array_like, shape (K, d, d)
        Symmetric positive definite.

    Returns
    -------
    ndarray of float64, shape (N, K)
        ``log N(x_n; mu_k, Sigma_k)`` in nats, from the Cholesky factor of ``Sigma_k``.

    Raises
    ------
    TypeError, ValueError
        As `train_gmm` does for its arrays.
    """
    data = _check_data("data", data)
    mu, sigma = _check_gaussians(data, mu, sigma, ("mu", "sigma"))
    return _log_density(data, mu, _whiteners(sigma))


def log_likelihood(data, state):
    """Return ``sum_n log sum_k pi_k N(x_n; mu_k, Sigma_k)`` in nats.

    Parameters
    ----------
    data : array_like, shape (N, d)
    state : GMMState

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As `train_gmm` does for its arrays.
    """
    data, state = _check_pair("data", data, "state", state)
    whiteners = _whiteners(state.sigma)
    blocks = _blocks(*data.shape)
    return float(sum(_normalise(_log_joint(data[b], state, whiteners)).sum() for b in blocks))


def responsibilities(data, state):
    """Return the posterior probability of every component for every point.

    Parameters
    ----------
    data : array_like, shape (N, d)
    state : GMMState

    Returns
    -------
    ndarray of float64, shape (N, K)
        ``gamma_nk``; each row sums to one.

    Raises
    ------
    TypeError, ValueError
        As `train_gmm` does for its arrays.
    """
    data, state = _check_pair("data", data, "state", state)
    return _responsibilities(data, state)[0]


def predict(data, state):
    """Return the index of each point's most probable component; ties go to the lower index.

    Parameters
    ----------
    data : array_like, shape (N, d)
    state : GMMState

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    TypeError, ValueError
        As `train_gmm` does for its arrays.
    """
    return _predict(*_check_pair("data", data, "state", state))


def compress_image(image, gmm_model):
    """Replace every pixel by its most probable component's mean, rounded to the nearest integer.

    Parameters
    ----------
    image : array_like, shape (H, W, d)
        Pixels in intensity levels, 0 to 255.
    gmm_model : GMMState
        Means outside 0 to 255 are clipped.

    Returns
    -------
    ndarray of uint8, shape (H, W, d)

    Raises
    ------
    TypeError, ValueError
        If `image` is not three-dimensional, or as `train_gmm` does for its arrays.
    """
    image = _finite("image", _real_array("image", image))
    if image.ndim != 3:
        raise ValueError(f"image must have shape (H, W, d), got {image.shape}.")
    pixels = image.reshape(-1, image.shape[-1])  # (N, d)
    pixels, state = _check_pair("image", pixels, "gmm_model", gmm_model)
    palette = np.clip(np.rint(state.mu), 0, 255).astype(np.uint8)  # (K, d)
    return palette[_predict(pixels, state)].reshape(image.shape)


def _predict(data, state):
    whiteners = _whiteners(state.sigma)
    blocks = _blocks(*data.shape)
    return np.concatenate([_log_joint(data[b], state, whiteners).argmax(axis=1) for b in blocks])


def _step(points, state):
    """Take one EM step as the formulas stand; return the new state and the log-likelihood."""
    gamma, log_lik = _responsibilities(points, state)  # (N, K)
    N_k = gamma.sum(axis=0)  # (K,)
    mu, sigma = state.mu.copy(), state.sigma.copy()
    for k in np.flatnonzero(N_k):
        mu[k] = gamma[:, k] @ points / N_k[k]
        sigma[k] = 0
        for rows in _blocks(*points.shape):
            weighted = (points[rows] - mu[k]) * np.sqrt(gamma[rows, k, None])  # (B, d)
            sigma[k] += weighted.T @ weighted
        sigma[k] /= N_k[k]
    return GMMState(N_k / len(points), mu, sigma), log_lik


def _step_on_products(points, state):
    """Take the same step with the products [1, x_i, x_i x_j (i <= j)] as features.

    A log joint density is a quadratic in x, so ``W @ features`` gives it for every component, and
    ``gamma @ features.T`` gives N_k and the first and second moments.
    """
    N, d = points.shape
    i, j = np.triu_indices(d)
    A = _whiteners(state.sigma)
    P = A.swapaxes(1, 2) @ A  # (K, d, d), the precisions
    P_mu = np.einsum("kij,kj->ki", P, state.mu)
    constant = _log_scale(state.pi, A) - 0.5 * np.sum(P_mu * state.mu, axis=1)
    W = np.column_stack([constant, P_mu, -P[:, i, j] * np.where(i == j, 0.5, 1.0)])  # (K, F)

    def sums_over(part):
        moments, log_lik = np.zeros_like(W), 0.0
        for rows in _blocks(len(part), sum(W.shape) // 2):
            features = _products(part[rows])  # (F, B)
            gamma = W @ features  # (K, B)
            log_lik += _normalise(gamma, axis=0).sum()
            moments += gamma @ features.T  # (K, F)
        return moments, log_lik

    with _workers(N * W.size >= _WORTH_SHARING) as (run, num_threads):
        parts = np.array_split(points, num_threads)
        moments, log_lik = map(sum, zip(*run(sums_over, parts), strict=True))

    N_k = moments[:, 0]
    mu, sigma = state.mu.copy(), state.sigma.copy()
    for k in np.flatnonzero(N_k):
        mu[k] = moments[k, 1 : d + 1] / N_k[k]
        sigma[k, i, j] = sigma[k, j, i] = moments[k, d + 1 :] / N_k[k] - mu[k, i] * mu[k, j]
    return GMMState(N_k / N, mu, sigma), float(log_lik)


def _products(points):
    """Return [1, x_i, x_i x_j (i <= j)] for points x (B, d), shape (F, B)."""
    B, d = points.shape
    features = np.ones((1 + d + d * (d + 1) // 2, B))
    x = features[1 : d + 1]
    x[:] = points.T
    end = d + 1
    for a in range(d):
        start, end = end, end + d - a
        np.multiply(x[a:], x[a], out=features[start:end])
    return features


@contextlib.contextmanager
def _workers(worthwhile):
    """Yield a map function and its number of threads: as many as BLAS would use, if worthwhile.

    BLAS keeps to one thread meanwhile, since its threads and these would wait for each other.
    """
    blas = _blas()
    if blas is None or not _THREADS.acquire(blocking=False):  # another run has the cores
        yield map, 1
        return
    try:
        num_threads = max((library["num_threads"] for library in blas.info()), default=1)
        with blas.limit(limits=1), ThreadPoolExecutor(num_threads) as pool:
            share = worthwhile and num_threads > 1
            yield (pool.map, num_threads) if share else (map, 1)
    finally:
        _THREADS.release()


@functools.cache
def _blas():
    """Return what sets the number of BLAS threads, or None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


def _responsibilities(points, state):
    """Return gamma (N, K) and the log-likelihood."""
    whiteners = _whiteners(state.sigma)
    gamma, log_lik = np.empty((len(points), len(state.pi))), 0.0
    for rows in _blocks(*points.shape):
        gamma[rows] = _log_joint(points[rows], state, whiteners)
        log_lik += _normalise(gamma[rows]).sum()
    return gamma, float(log_lik)


def _normalise(log_joint, axis=1):
    """Turn log joint densities into responsibilities in place; return their log-sum-exp."""
    top = log_joint.max(axis=axis, keepdims=True)
    if not np.isfinite(top).all():
        raise ValueError(
            "a point is so far from every component that its log-density is not finite; "
            "rescale the data, or start from wider covariances."
        )
    log_joint -= top
    np.exp(log_joint, out=log_joint)
    total = log_joint.sum(axis=axis, keepdims=True)
    log_joint /= total
    return top + np.log(total)


def _log_joint(points, state, whiteners):
    """Return log pi_k + log N(x_n; mu_k, Sigma_k), shape (N, K)."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is right for a proportion of 0
        return _log_density(points, state.mu, whiteners) + np.log(state.pi)


def _log_density(points, mu, whiteners):
    log_density = np.empty((len(points), len(mu)))  # (N, K)
    for k, A in enumerate(whiteners):
        y = (points - mu[k]) @ A.T  # (N, d), of unit covariance under component k
        log_density[:, k] = -0.5 * np.einsum("nd,nd->n", y, y)
    return log_density + _log_scale(np.ones(len(mu)), whiteners)


def _log_scale(pi, whiteners):
    """Return log pi_k - log sqrt((2 pi)^d det Sigma_k), shape (K,)."""
    log_det = np.log(np.diagonal(whiteners, axis1=1, axis2=2)).sum(axis=1)  # log det A
    with np.errstate(divide="ignore"):
        return np.log(pi) + log_det - 0.5 * whiteners.shape[-1] * np.log(2 * np.pi)


def _whiteners(sigma):
    """Return A (K, d, d) with ``A_k Sigma_k A_k^T = I``: the inverse Cholesky factors."""
    return np.linalg.inv(np.linalg.cholesky(sigma))


def _blocks(N, width):
    """Return slices that cover N rows, each so short that `width` floats a row stay in cache."""
    size = max(256, _BLOCK_FLOATS // width)
    return [slice(start, min(start + size, N)) for start in range(0, N, size)]


def _pivots(sigma):
    """Return the squared diagonal (d,) of a Cholesky factor; zeros if there is none."""
    try:
        return np.diagonal(np.linalg.cholesky(sigma)) ** 2
    except np.linalg.LinAlgError:
        return np.zeros(len(sigma))


def _products_keep_digits(sigma, widths):
    """Tell whether no component is so narrow that a difference of products would lose it."""
    if len(widths) > _MAX_PRODUCT_WIDTH:
        return False
    try:
        pivots = np.diagonal(np.linalg.cholesky(sigma), axis1=1, axis2=2) ** 2  # (K, d)
    except np.linalg.LinAlgError:
        return False
    return bool(np.all(pivots > widths**2 / _MAX_SPREAD))


def _in_dtype(state, dtype):
    """Return the state in the points' dtype, if that can hold the covariances."""
    with np.errstate(over="ignore"):
        state = GMMState(*(x.astype(dtype) for x in state))
    variances = np.diagonal(state.sigma, axis1=1, axis2=2)  # (K, d)
    if not (np.isfinite(state.sigma).all() and np.all(variances >= np.finfo(dtype).tiny)):
        raise ValueError(
            f"sigma has variances from {variances.min():.4g} to {variances.max():.4g}, outside the "
            f"range of {dtype}; rescale the data, or convert it to float64."
        )
    return state


def _check_no_collapse(sigma, rounding):
    for k, covariance in enumerate(sigma):
        limit = np.maximum(rounding**2, 16 * len(covariance) * _EPS * np.diagonal(covariance))
        if not np.all(_pivots(covariance) > limit):
            raise ValueError(
                f"component {k} has collapsed: its covariance is singular, since its points lie "
                "on one spot or in a flat. Pass reg_covar above zero (a small part of the data's "
                "variance), or use fewer components."
            )


def _check_pair(name, data, state_name, state):
    if not isinstance(state, tuple) or len(state) != 3:
        raise TypeError(
            f"{state_name} must be a GMMState(pi, mu, sigma), got {type(state).__name__}."
        )
    data = _check_data(name, data)
    names = [f"{state_name}.{field}" for field in GMMState._fields]
    return data, _check_state(data, *state, names)


def _check_state(data, pi, mu, sigma, names):
    mu, sigma = _check_gaussians(data, mu, sigma, names[1:])
    pi = _finite(names[0], _real_array(names[0], pi)).astype(np.float64)
    if pi.shape != (len(mu),):
        raise ValueError(f"{names[0]} must have shape ({len(mu)},), got {pi.shape}.")
    if not (np.all(pi >= 0) and abs(pi.sum() - 1) < 1e-5):
        raise ValueError(f"{names[0]} must be non-negative and sum to one, got {pi}.")
    return GMMState(pi, mu, sigma)


def _check_gaussians(data, mu, sigma, names):
    """Return float64 copies of mu (K, d) and sigma (K, d, d), checked against the data."""
    d = data.shape[1]
    mu = _finite(names[0], _real_array(names[0], mu)).astype(np.float64)
    sigma = _finite(names[1], _real_array(names[1], sigma)).astype(np.float64)
    if mu.ndim != 2 or mu.shape[1] != d:
        raise ValueError(f"{names[0]} must have shape (K, {d}) to fit the data, got {mu.shape}.")
    _check_squares(names[0], mu)
    if sigma.shape != (len(mu), d, d):
        raise ValueError(f"{names[1]} must have shape {(len(mu), d, d)}, got {sigma.shape}.")
    for k, covariance in enumerate(sigma):
        asymmetry = np.abs(covariance - covariance.T).max()
        if asymmetry > 1e-6 * np.abs(covariance).max() or not np.all(_pivots(covariance) > 0):
            raise ValueError(
                f"{names[1]}[{k}] must be symmetric positive definite, got "
                f"{np.array2string(covariance, threshold=9, precision=4)}."
            )
    return mu, sigma


def _check_data(name, value):
    data = _finite(name, _real_array(name, value))
    if data.ndim != 2:
        raise ValueError(f"{name} must have shape (N, d), got {data.shape}.")
    return _check_squares(name, data)


def _check_squares(name, array):
    largest = max(float(array.max()), -float(array.min()))
    if largest > np.sqrt(np.finfo(np.float64).max / (16 * array.size)):
        raise ValueError(
            f"{name} holds values up to {largest:.4g}, whose squares overflow; divide the data by "
            "a constant first."
        )
    return array


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
        raise ValueError(f"{name} is empty (shape {array.shape}); give it at least one point.")
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


def _check_non_negative(name, value):
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}.")
    return float(value)
