"""Gaussian mixtures fitted by EM, problem 1(d), and image compression with the component means.

The model is ``p(x) = sum_k pi_k N(x; mu_k, Sigma_k)``. EM takes two steps in turn, and the
likelihood never falls (Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.2.2):

    E-step  gamma_nk = pi_k N(x_n; mu_k, Sigma_k) / sum_j pi_j N(x_n; mu_j, Sigma_j)         (1)
    M-step  N_k = sum_n gamma_nk,    pi_k = N_k / N,    mu_k = sum_n gamma_nk x_n / N_k,     (2)
            Sigma_k = sum_n gamma_nk (x_n - mu_k)(x_n - mu_k)^T / N_k                        (3)

`textbook/gmm.py` has just that. `_e_step` and `_m_step` are the same lines, taken a block of points
at a time; `_step_on_products` takes both at once where that is cheaper. Inside, the points are
columns, (d, N), so that a sum over them runs along the memory.

What is not a real number or an option of the right kind raises a TypeError; shapes that disagree,
no points, NaN, infinity, values too large to square and covariances that are not symmetric positive
definite raise a ValueError. What is likely a mistake, but may be meant, gives a UserWarning.
"""

import contextlib
import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_EPS = np.finfo(np.float64).eps
_OFF_ONE = 1e-5  # by which the sum of float32 proportions may be off
_MAX_CHANGE = 1e-3  # of a component's width, by rounding: costs less than 1e-6 nats a point and d


class GMMState(NamedTuple):
    """The parameters of a Gaussian mixture with K components in d dimensions."""

    pi: np.ndarray  # (K,), the mixing proportions; they sum to one
    mu: np.ndarray  # (K, d), the means, in the data's units
    sigma: np.ndarray  # (K, d, d), the covariances, in the data's units squared


def train_gmm(
    train_data: ArrayLike,
    init_pi: ArrayLike,
    init_mu: ArrayLike,
    init_sigma: ArrayLike,
    *,
    num_iterations: int = 50,
    reg_covar: float = 0.0,
    verbose: bool = False,
    callback: Callable[[int, float, GMMState], object] | None = None,
) -> GMMState:
    """Fit a Gaussian mixture by EM from the given parameters.

    Parameters
    ----------
    train_data : array_like, shape (N, d)
        The points.
    init_pi : array_like, shape (K,)
        Initial mixing proportions; non-negative. They are divided by their sum.
    init_mu : array_like, shape (K, d)
        Initial means.
    init_sigma : array_like, shape (K, d, d)
        Initial covariances; symmetric positive definite.
    num_iterations : int
        The number of EM steps.
    reg_covar : float
        Added to the diagonal of every new covariance, in the data's units squared. Above zero it
        keeps a component from collapsing onto too few points (a ValueError), and the likelihood
        is no longer bound to rise.
    verbose : bool
        Print one line for each call that `callback` would get.
    callback : callable, optional
        Called as ``callback(iteration, log_likelihood, state)`` with the state that each step
        starts from and its log-likelihood in nats, counting from 0, and with the last state.
        Returning True stops there.

    Returns
    -------
    GMMState
        In `train_data`'s dtype if that is float32 or wider, else float64 (float32 for float16). A
        component that loses all its points keeps its mean and covariance, with proportion 0.
    """
    data = _check_rows("train_data", train_data)
    state = _check_initial_state(data, init_pi, init_mu, init_sigma)
    num_iterations = _check_count("num_iterations", num_iterations)
    reg_covar = _check_number("reg_covar", reg_covar, np.finfo(np.float64).max / 2)
    _check_callback(callback)
    dtype = np.result_type(data, np.float32) if data.dtype.kind == "f" else np.dtype(np.float64)

    points = data.T.astype(np.float64, order="C")  # (d, N)
    # A standard deviation of this size is the rounding error of the data itself.
    rounding = 32 * _EPS * np.maximum(points.max(axis=1), -points.min(axis=1))  # (d,)
    centre = points.mean(axis=1)  # (d,)
    points -= centre[:, None]  # products of numbers near zero lose fewer digits
    state = state._replace(mu=state.mu - centre)
    A = _whiteners(state.sigma)  # (K, d, d)
    (N, d), K = data.shape, len(A)
    ridge = reg_covar * np.eye(d)  # (d, d)
    by_formulas, on_products = _costs(K, d, N)
    take_step = _step_on_products if on_products < by_formulas else _step

    watched = bool(verbose) or callback is not None  # the last state is then judged as well
    with _workers(min(by_formulas, on_products) >= _WORTH_SHARING) as team:
        for iteration in range(num_iterations + watched):
            new, log_lik = take_step(points, state, A, ridge, team)
            if verbose:
                print(f"iteration {iteration}: log-likelihood {log_lik:.6f} nats")
            if callback is not None:
                shown = _in_dtype(state._replace(mu=state.mu + centre), A, dtype)
                if callback(iteration, log_lik, shown):
                    break
            if iteration == num_iterations:
                break
            L = _factors(new.sigma)
            _check_no_collapse(L, new.sigma, rounding)
            state, A = new, np.linalg.inv(L)
    return _in_dtype(state._replace(mu=state.mu + centre), A, dtype)


def _step(points, state, A, ridge, team):
    """Return the state after one EM step, and the log-likelihood before it."""
    run, _ = team
    gamma, log_lik = _e_step(points, state, A, run)  # (K, N)
    return _m_step(points, gamma, state, ridge, run), log_lik


def _e_step(points, state, A, run=map):
    """Return the responsibilities (K, N), equation (1), and the log-likelihood."""
    gamma = np.empty((len(A), points.shape[1]))  # (K, N)

    def fill(block):
        gamma[:, block], log_p = _normalise(_log_joint(points[:, block], state, A))
        return log_p.sum()

    blocks = _cache_blocks(points.shape[1], len(points) + len(A))
    return gamma, float(sum(run(fill, blocks)))


def _m_step(points, gamma, state, ridge, run=map):
    """Return the new parameters; a component without points keeps its mean and covariance."""
    d, N = points.shape
    N_k = gamma.sum(axis=1)  # (K,)
    alive = N_k > 0
    n = np.where(alive, N_k, 1)  # (K,)
    mu = np.where(alive[:, None], gamma @ points.T / n[:, None], state.mu)  # (K, d), equation (2)

    def scatter(mu, gamma):  # of one component
        total = np.zeros((d, d))
        for block in _cache_blocks(N, 2 * d):
            y = (points[:, block] - mu[:, None]) * np.sqrt(gamma[block])  # (d, B)
            total += y @ y.T
        return total

    sigma = np.array([*run(scatter, mu, gamma)]) / n[:, None, None] + ridge  # equation (3)
    return GMMState(N_k / N, mu, np.where(alive[:, None, None], sigma, state.sigma))


def responsibilities(data: ArrayLike, state: GMMState) -> np.ndarray:
    """Return the posterior ``gamma_nk`` of each component, float64 (N, K), for points (N, d)."""
    points, state = _check_data_and_state("data", data, "state", state)
    return _e_step(points.T, state, _whiteners(state.sigma))[0].T


def log_density(data: ArrayLike, mu: ArrayLike, sigma: ArrayLike) -> np.ndarray:
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
        ``log N(x_n; mu_k, Sigma_k)`` in nats.
    """
    points = _check_rows("data", data)
    mu, sigma = _check_gaussians("", points, mu, sigma)
    return _log_density(points.T, mu, _whiteners(sigma)).T


def log_likelihood(data: ArrayLike, state: GMMState) -> float:
    """Return ``sum_n log sum_k pi_k N(x_n; mu_k, Sigma_k)`` of points (N, d), in nats."""
    blocks = _log_joint_blocks(*_check_data_and_state("data", data, "state", state))
    return float(sum(_normalise(log_joint)[1].sum() for log_joint in blocks))


def predict(data: ArrayLike, state: GMMState) -> np.ndarray:
    """Return the most probable component, int64 (N,), of points (N, d); ties go to the lower."""
    blocks = _log_joint_blocks(*_check_data_and_state("data", data, "state", state))
    return np.concatenate([log_joint.argmax(axis=0) for log_joint in blocks])


def compress_image(image: ArrayLike, gmm_model: GMMState) -> np.ndarray:
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
    """
    image = _finite("image", image)
    if image.ndim != 3:
        raise ValueError(
            f"image must have shape (H, W, d), got {image.shape}; give a grey picture a last axis "
            "with image[..., None], and several pictures one at a time."
        )
    pixels = image.reshape(-1, image.shape[-1])  # (N, d)
    pixels, state = _check_data_and_state("image", pixels, "gmm_model", gmm_model)
    _warn_if_scaled("image", image)
    _warn_if_scaled("gmm_model.mu", state.mu, beside=image)
    palette = np.rint(state.mu).clip(0, 255).astype(np.uint8)  # (K, d)
    return palette[predict(pixels, state)].reshape(image.shape)  # (H, W, d)


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from gmm.py!")


def _log_joint_blocks(data, state):
    """Yield log pi_k + log N(x_n; mu_k, Sigma_k), (K, B), a block of points at a time."""
    A = _whiteners(state.sigma)
    for block in _cache_blocks(len(data), data.shape[1] + len(A)):
        yield _log_joint(data.T[:, block], state, A)


def _log_joint(points, state, A):
    """Return log pi_k + log N(x_n; mu_k, Sigma_k), (K, B)."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is right for a proportion of 0
        return np.log(state.pi)[:, None] + _log_density(points, state.mu, A)


def _log_density(points, mu, A):
    """Return log N(x_n; mu_k, Sigma_k), (K, B)."""
    log_density = np.empty((len(mu), points.shape[1]))  # (K, B)
    for k in range(len(mu)):
        y = A[k] @ (points - mu[k, :, None])  # (d, B), of unit covariance under component k
        np.einsum("db,db->b", y, y, out=log_density[k])
    log_density *= -0.5
    log_density += _log_scale(A)[:, None]
    return log_density


def _log_scale(A):
    """Return -log sqrt((2 pi)^d det Sigma_k), (K,)."""
    log_det = np.log(np.diagonal(A, axis1=1, axis2=2)).sum(axis=1)  # of A_k, not Sigma_k
    return log_det - 0.5 * A.shape[-1] * np.log(2 * np.pi)


def _normalise(log_joint):
    """Return responsibilities (K, B), in place of the log joint densities, and log p(x), (B,)."""
    top = log_joint.max(axis=0)  # (B,), taken out so that nothing underflows
    if not np.isfinite(top).all():
        raise ValueError("a point's log-density is not finite; rescale the data, or widen sigma.")
    log_joint -= top
    np.exp(log_joint, out=log_joint)
    total = log_joint.sum(axis=0)  # (B,)
    log_joint /= total
    return log_joint, top + np.log(total)


def _whiteners(sigma):
    """Return A (K, d, d) with ``A_k Sigma_k A_k^T = I``: the inverse Cholesky factors."""
    return np.linalg.inv(_factors(sigma))


def _factors(sigma):
    """Return the Cholesky factors (K, d, d); zeros where there is none."""
    try:
        return np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:  # it does not say which of them has none
        if len(sigma) == 1:
            return np.zeros_like(sigma)
        return np.concatenate([_factors(covariance[None]) for covariance in sigma])


def _pivots(L):
    """Return the squared diagonals (K, d): the variance that each coordinate adds to the last."""
    return np.diagonal(L, axis1=1, axis2=2) ** 2


# -- What makes it fast ----------------------------------------------------------------------------
#
# Under component k the log joint density is a quadratic in x. With the precision P = Sigma_k^-1,
#
#     log pi_k + log N(x; mu_k, Sigma_k) = c_k + sum_i (P mu_k)_i x_i - 1/2 sum_ij P_ij x_i x_j,
#
# so it is linear in the features f = [1, x_i, x_i x_j (i <= j)], F = (d + 1)(d + 2) / 2 in number.
# One matrix product, W f, gives it for all components, where the formulas whiten each point K
# times. A second, gamma f^T, gives what the M-step needs: N_k, sum gamma x_i, sum gamma x_i x_j.
# The price is digits: Sigma = E[x x^T] - mu mu^T is a difference of two numbers, larger than itself
# by as much as the data are wider than the component. Where that loses too many, `_step` is taken.

_BLOCK_FLOATS = 1 << 17  # numbers held at once, of those that grow with the points: 1 MiB
_PASS = 36  # what a pass over a number costs, in flops of a matrix product
_CALL = 60_000  # and what a call of NumPy costs
_WORTH_SHARING = 1e7  # flops in a step; below it, waking threads costs more than it saves
_MAX_SPREAD = 1e6  # squared width of the data over that of a component, for products to be used
_THREADS = threading.Lock()  # held by the run that shares its work between threads


def _costs(K, d, N):
    """Return about how many flops a step costs by the formulas, and how many on products.

    The formulas whiten a point (2 d^2 flops), take its outer product (d^2, half of it being known
    by symmetry) and pass over it four times, for each component. On products, a feature takes part
    in two products of 2 K flops, and two passes make it and copy it to where BLAS wants it. Where
    points are few, the calls of NumPy cost more: nine a component, or eighty in all.
    """
    F = (d + 1) * (d + 2) // 2
    by_formulas = N * K * d * (3 * d + 4 * _PASS) + 9 * K * _CALL
    return by_formulas, N * F * (4 * K + 2 * _PASS) + 80 * _CALL


def _step_on_products(points, state, A, ridge, team):
    """Do as `_step` does, on products of coordinates."""
    d, N = points.shape
    narrowest = np.einsum("dn,dn->d", points, points) / N / _MAX_SPREAD  # (d,), a variance
    if not np.all(_pivots(_factors(state.sigma)) > narrowest):
        return _step(points, state, A, ridge, team)

    i, j = np.triu_indices(d)
    P = A.swapaxes(1, 2) @ A  # (K, d, d)
    P_mu = np.einsum("kij,kj->ki", P, state.mu)
    with np.errstate(divide="ignore"):  # log 0, as in _log_joint
        constant = np.log(state.pi) + _log_scale(A) - 0.5 * np.sum(P_mu * state.mu, axis=1)
    W = np.column_stack([constant, P_mu, -P[:, i, j] * np.where(i == j, 0.5, 1.0)])  # (K, F)

    def sums_over(part):
        sums, log_lik = np.zeros_like(W), 0.0
        for block in _cache_blocks(part.shape[1], sum(W.shape)):
            f = _features(part[:, block])  # (F, B)
            with np.errstate(invalid="ignore"):  # BLAS multiplies -inf by the zeros of its padding
                log_joint = W @ f  # (K, B)
            gamma, log_p = _normalise(log_joint)
            log_lik += log_p.sum()
            sums += gamma @ f.T
        return sums, log_lik

    run, num_threads = team
    parts = np.array_split(points, num_threads, axis=1)
    sums, log_lik = map(sum, zip(*run(sums_over, parts), strict=True))  # (K, F)

    N_k = sums[:, 0]  # (K,)
    mu, sigma = state.mu.copy(), state.sigma.copy()
    alive = np.flatnonzero(N_k)
    means = sums[alive] / N_k[alive, None]  # of the features, under each component
    mu[alive] = m = means[:, 1 : d + 1]
    moments = means[:, d + 1 :] - m[:, i] * m[:, j]
    sigma[alive[:, None], i, j] = sigma[alive[:, None], j, i] = moments
    sigma[alive] += ridge
    if not np.all(_pivots(_factors(sigma)) > narrowest):
        return _step(points, state, A, ridge, team)
    return GMMState(N_k / N, mu, sigma), float(log_lik)


def _features(points):
    """Return [1, x_i, x_i x_j (i <= j)] for points x (d, B), shape (F, B)."""
    d, B = points.shape
    f = np.empty(((d + 1) * (d + 2) // 2, B))
    x, end = f[1 : d + 1], d + 1
    f[0], x[:] = 1, points
    for i in range(d):
        start, end = end, end + d - i
        np.multiply(x[i:], x[i], out=f[start:end])
    return f


def _cache_blocks(N, width):
    """Return slices that cover N points, so short that `width` numbers a point stay in cache."""
    size = max(128, _BLOCK_FLOATS // width)
    return [slice(start, min(start + size, N)) for start in range(0, N, size)]


@contextlib.contextmanager
def _workers(worthwhile):
    """Yield a map function and its number of threads: as many as BLAS would use, if worthwhile.

    BLAS keeps to one thread meanwhile, since its threads and these would wait for each other.
    """
    blas = _blas() if worthwhile else None
    num_threads = max(library["num_threads"] for library in blas.info()) if blas else 1
    if num_threads == 1 or not _THREADS.acquire(blocking=False):  # another run has the cores
        yield map, 1
        return
    try:
        with blas.limit(limits=1), ThreadPoolExecutor(num_threads) as pool:
            yield pool.map, num_threads
    finally:
        _THREADS.release()


@functools.cache
def _blas():
    """Return what sets the number of BLAS threads; it is false where it finds no BLAS."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


# -- Checks ----------------------------------------------------------------------------------------


def _check_no_collapse(L, sigma, rounding):
    """Refuse a covariance that is singular but for the rounding errors (d,) of the data."""
    variances = np.diagonal(sigma, axis1=1, axis2=2)  # (K, d)
    limit = np.maximum(rounding**2, 16 * len(rounding) * _EPS * variances)  # (K, d)
    flat = ~np.all(_pivots(L) > np.maximum(limit, np.finfo(np.float64).tiny), axis=1)  # (K,)
    if flat.any():
        raise ValueError(
            f"component {flat.argmax()} has collapsed: its points lie on one spot or in a flat. "
            "Pass a small part of the data's variance as reg_covar, or use fewer components."
        )


def _in_dtype(state, A, dtype):
    """Return a copy of the state in this dtype, if rounding leaves the densities as they are."""
    with np.errstate(all="ignore"):
        copy = GMMState(*(array.astype(dtype) for array in state))
        # What rounding changed, in units of each component's own width.
        shift = A @ (copy.mu - state.mu)[:, :, None]  # (K, d, 1)
        stretch = A @ (copy.sigma - state.sigma) @ A.swapaxes(1, 2)  # (K, d, d)
        change = np.maximum(np.abs(shift), np.abs(stretch)).max()
    if not change < _MAX_CHANGE:  # nor NaN
        mu, sigma = (f"(up to {np.abs(part).max():.4g})" for part in state[1:])
        raise ValueError(
            f"train_data is {dtype}, which cannot hold mu {mu} or sigma {sigma} without changing "
            "the likelihood; convert it to float64."
        )
    return copy


def _check_initial_state(data, pi, mu, sigma):
    """Return the initial state, its proportions summing to one; warn of likely mistakes."""
    state, total = _check_state("init_", data, pi, mu, sigma)
    if not abs(total - 1) < _OFF_ONE:
        warnings.warn(f"init_pi sums to {total:.6g}, not 1, and is divided by that.", stacklevel=3)
    K = len(state.mu)
    distinct = {m.tobytes() + S.tobytes() for m, S in zip(state.mu, state.sigma, strict=True)}
    if len(distinct) < K:
        warnings.warn(
            f"init_mu and init_sigma start only {len(distinct)} of {K} components apart, and what "
            "starts alike stays alike; choose distinct rows of train_data as means.",
            stacklevel=3,
        )
    return state._replace(pi=state.pi / total)


def _check_data_and_state(name, data, state_name, state):
    """Return the data as an array, and a float64 copy of the state."""
    if not isinstance(state, tuple) or len(state) != 3:
        raise TypeError(
            f"{state_name} must be a GMMState(pi, mu, sigma), got {type(state).__name__}; pass "
            "what train_gmm returns, after the data."
        )
    points = _check_rows(name, data)
    checked, total = _check_state(f"{state_name}.", points, *state)
    if not abs(total - 1) < _OFF_ONE:
        raise ValueError(f"{state_name}.pi must sum to one, got {state[0]}; divide it by its sum.")
    return points, checked


def _check_state(prefix, points, pi, mu, sigma):
    """Return a float64 copy of the state, and the sum of its proportions."""
    mu, sigma = _check_gaussians(prefix, points, mu, sigma)
    name, K = f"{prefix}pi", len(mu)
    pi = _finite(name, pi).astype(np.float64)
    if pi.shape != (K,):
        raise ValueError(f"{name} must have shape ({K},), one number a component, got {pi.shape}.")
    total = pi.sum()
    if pi.min() < 0 or not total > 0:
        raise ValueError(f"{name} must be non-negative and sum to one, got {pi}; try 1 / {K} each.")
    return GMMState(pi, mu, sigma), total


def _check_gaussians(prefix, points, mu, sigma):
    """Return float64 copies of mu (K, d) and sigma (K, d, d), checked against the points."""
    name, d = f"{prefix}sigma", points.shape[1]
    mu = _check_rows(f"{prefix}mu", mu, width=d).astype(np.float64)
    sigma = _finite(name, sigma).astype(np.float64)
    if sigma.shape != (len(mu), d, d):
        raise ValueError(
            f"{name} must have shape {(len(mu), d, d)}, got {sigma.shape}, for the rows of "
            f"{prefix}mu; np.stack([S] * K) repeats a covariance, np.diag makes one of variances."
        )
    widths = np.sqrt(np.abs(np.diagonal(sigma, axis1=1, axis2=2)))  # (K, d)
    asymmetry = np.abs(sigma - sigma.swapaxes(1, 2))  # (K, d, d)
    skew = np.any(asymmetry > 1e-6 * widths[:, :, None] * widths[:, None], axis=(1, 2))  # (K,)
    bad = skew | ~np.all(_pivots(_factors(sigma)) > 0, axis=1)  # (K,)
    if bad.any():
        k = bad.argmax()
        remedy = "pass (S + S.T) / 2" if skew[k] else "add a small multiple of np.eye(d)"
        raise ValueError(
            f"{name}[{k}] must be symmetric positive definite, got "
            f"{np.array2string(sigma[k], threshold=9, precision=4)}; {remedy}."
        )
    return mu, sigma


def _check_rows(name, value, width=None):
    """Return the value as rows of coordinates, if their squares do not overflow."""
    points = _finite(name, value)
    if points.ndim != 2 or width not in (None, points.shape[1]):
        shape = "(N, d)" if width is None else f"(K, {width}), as wide as the data"
        raise ValueError(
            f"{name} must have shape {shape}, got {points.shape}; each row is a point, so a "
            "picture needs reshape(-1, 3), single numbers reshape(-1, 1)."
        )
    largest = max(float(points.max()), -float(points.min()))
    if largest > np.sqrt(np.finfo(np.float64).max / (16 * points.size)):
        raise ValueError(f"{name} holds {largest:.4g}, whose squares overflow; divide the data.")
    return points


def _warn_if_scaled(name, array, beside=255):
    """Warn of fractions from 0 to 1, beside levels from 0 to 255 or where they belong."""
    if 0 <= array.min() and array.max() <= 1 < np.max(beside) and np.any(array % 1):
        message = f"{name} runs from {array.min():.4g} to {array.max():.4g}, levels from 0 to 255"
        warnings.warn(f"{message}; multiply it by 255 first.", stacklevel=3)


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
