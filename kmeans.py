"""K-means clustering, and image compression with the palette it finds.

The algorithm is Lloyd's: assign every point to its nearest centroid, move every centroid to the
mean of its points, repeat. Two exact shortcuts make it fast.

1. A point is looked at again only when its assignment could have changed. Say that its nearest
   centroid a is closer than any other by a gap g. Each step can narrow the gap by at most the
   distance that a moved plus the largest distance that any centroid moved (triangle inequality).
   ``drift[a]`` sums these; until it exceeds g the assignment stands. (Hamerly, "Making k-means
   even faster", SDM 2010, with one running sum a centroid instead of two bounds a point.)
2. When no assignment changes, the centroids have converged and the remaining steps are skipped.

Which points are due differs from point to point, so a loop suits the search better than arrays
do: with numba, `_reassign_loop` is compiled. Without it, and where points have so many
coordinates that a matrix product wins, `_reassign_arrays` does the same.
"""

import contextlib
import functools
import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_WORTH_COMPILING = 1e7  # distances in a run; numba takes as long to load as NumPy to compute them
_WORTH_SHARING = 4e6  # coordinates compared in a step; below it, starting threads costs more
_LOOP_WIDTH = 32  # coordinates up to which the compiled loop beats a matrix product
_TILE = 256  # points that the compiled loop takes at once, for the processor's vector unit
_BLOCK_SCORES = 1 << 15  # distances that the arrays hold at once: 256 KiB, which fits the cache
_BLOCK_COORDINATES = 1 << 18  # and coordinates: 2 MiB
_THREADS = threading.Lock()  # held by the run that shares its work between threads


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from kmeans.py!")


def euclidean_distance(x, y):
    """Return the Euclidean distance over the last axis, computed in the arrays' own dtype.

    This is the definition the course uses. On unsigned integers, differences and squares wrap
    around (modulo 256 for uint8), so the result is not a distance. The problem set's printed
    errors were computed that way and this function reproduces them; `mean_pixel_error` gives the
    true value.

    Parameters
    ----------
    x, y : array_like, shapes that broadcast, last axis of length d
        The points to compare.

    Returns
    -------
    ndarray, shape (N*,)
        One distance for each pair of points; the leading axes are those of the inputs.

    Raises
    ------
    ValueError
        If the shapes do not broadcast or there is no last axis, or an array is empty or holds NaN
        or infinity.

    Warns
    -----
    RuntimeWarning
        If the arithmetic is done on unsigned integers, or on signed ones of 8 or 16 bits.
    """
    x, y = _finite("x", _real_array("x", x)), _finite("y", _real_array("y", y))
    _check_same_last_axis("x", x, "y", y)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"x and y must broadcast, got shapes {x.shape} and {y.shape}.") from None
    dtype = np.result_type(x, y)
    if dtype.kind == "u" or (dtype.kind == "i" and dtype.itemsize < 4):
        warnings.warn(
            f"euclidean_distance on {dtype} wraps around, so this is not a "
            "distance; call mean_pixel_error, or convert both arrays to float first.",
            RuntimeWarning,
            stacklevel=2,
        )
    return _distance(x, y)


def mean_pixel_error(image, compressed):
    """Return the mean Euclidean distance between corresponding pixels, computed in float64.

    Parameters
    ----------
    image, compressed : array_like, equal shapes (..., d)
        Pixels along the last axis, in intensity levels (0 to 255 for 8-bit images).

    Returns
    -------
    float
        The mean over all pixels of ``||image - compressed||``, in intensity levels.

    Raises
    ------
    ValueError
        If the shapes differ, an array is empty, or a value is NaN, infinite or too large to square.
    """
    image = _finite("image", _real_array("image", image))
    compressed = _finite("compressed", _real_array("compressed", compressed))
    if image.shape != compressed.shape or image.ndim == 0:
        raise ValueError(
            "image and compressed must have the same shape (..., d), "
            f"got {image.shape} and {compressed.shape}."
        )
    return float(_distance(image.astype(np.float64), compressed).mean())


def train_kmeans(train_data, initial_centroids, *, num_iterations=50, verbose=False, callback=None):
    """Run k-means from the given centroids.

    Parameters
    ----------
    train_data : array_like, shape (N, d)
        The points. Not modified. Memory above the input is one float64 copy and a few numbers a
        point.
    initial_centroids : array_like, shape (K, d)
        Where the centroids start; K is read from it. Not modified.
    num_iterations : int
        The number of update steps at most. Fewer are taken when no assignment changes any more,
        since the rest would change nothing.
    verbose : bool
        Print one line for each step taken.
    callback : callable, optional
        Called as ``callback(iteration, distortion)`` after each step taken, counting from 0. The
        distortion is the mean squared distance from a point to its cluster's new centroid; it
        never rises.

    Returns
    -------
    ndarray, shape (K, d)
        The centroids, in `train_data`'s dtype if that is floating, else float64. A centroid that
        loses all its points stays where it is.

    Raises
    ------
    TypeError
        If an array does not hold real numbers or `num_iterations` is no integer.
    ValueError
        If an array is not two-dimensional, is empty, or holds NaN, infinity or values too large to
        square, if the widths differ, or if `num_iterations` is negative.

    Notes
    -----
    Computed in float64 around the middle of the data. Squared distances come from
    ``||x||^2 - 2 x.c + ||c||^2``, so distances below about 1e-8 of the data's extent are not
    told apart. Ties go to the lower index, up to rounding.
    """
    data, centroids = _check_pair("train_data", train_data, "initial_centroids", initial_centroids)
    num_iterations = _check_count("num_iterations", num_iterations)
    dtype = data.dtype if data.dtype.kind == "f" else np.dtype(np.float64)
    centroids = centroids.astype(np.float64)
    (N, d), K = data.shape, len(centroids)

    points, centre, radius = _centred(data)
    start = offsets = centroids - centre  # (K, d)
    # Rounding of expanded squares can shift a distance by this much; no gap may rely on less.
    margin = 4 * math.sqrt(np.finfo(np.float64).eps * d) * radius
    labels = np.zeros(N, dtype=np.int64)
    sums = np.zeros((K, d + 1))  # of each cluster's points [x, 1], so the last column counts
    sums[0] = np.ones(N) @ points
    expiry = np.full(N, -np.inf)  # the drift up to which a point's label is known to hold
    drift = np.zeros(K)

    reassign = _reassign_arrays
    if d <= _LOOP_WIDTH and N * K * num_iterations >= _WORTH_COMPILING:
        reassign = _compiled_loop() or _reassign_arrays

    def reassign_part(points, labels, expiry):
        change = np.zeros((K, d + 1))
        return reassign(points, offsets, labels, expiry, drift, margin, change), change

    with _workers(N * K * d >= _WORTH_SHARING) as (run, num_threads):
        parts = [np.array_split(array, num_threads) for array in (points, labels, expiry)]
        for iteration in range(num_iterations):
            moved, changes = zip(*run(reassign_part, *parts), strict=True)
            if iteration and not any(moved):
                break
            sums += sum(changes)
            counts = sums[:, d:]  # (K, 1)
            previous, offsets = offsets, offsets.copy()
            np.divide(sums[:, :d], counts, out=offsets, where=counts > 0)
            shift = np.sqrt(np.sum((offsets - previous) ** 2, axis=1))  # (K,)
            drift += shift + shift.max()

            if verbose or callback is not None:
                # sum ||x - c||^2 = sum ||x||^2 - sum_k (2 c_k . s_k - n_k ||c_k||^2)
                squares = np.einsum("nd,nd->", points[:, :d], points[:, :d])
                explained = np.sum(offsets * (2 * sums[:, :d] - counts * offsets))
                distortion = max(0.0, float(squares - explained)) / N
                if verbose:
                    print(f"iteration {iteration}: mean squared distance {distortion:.6g}")
                if callback is not None:
                    callback(iteration, distortion)
    # Adding the centre back could round a centroid that never moved.
    return np.where(offsets == start, centroids, offsets + centre).astype(dtype)


def assign_clusters(data, centroids):
    """Return the index of each point's nearest centroid; ties go to the lower one, up to rounding.

    Parameters
    ----------
    data : array_like, shape (N, d)
    centroids : array_like, shape (K, d)

    Returns
    -------
    ndarray of int64, shape (N,)

    Raises
    ------
    TypeError, ValueError
        As `train_kmeans` does for its arrays.
    """
    data, centroids = _check_pair("data", data, "centroids", centroids)
    points, centre, _ = _centred(data)
    weights = _score_weights(centroids - centre)
    labels = np.empty(len(data), dtype=np.int64)
    for rows in _blocks(len(data), *centroids.shape):
        labels[rows] = _two_nearest(points[rows], weights)[0]
    return labels


def compress_image(image, centroids):
    """Replace every pixel by its nearest centroid, rounded to the nearest integer.

    Parameters
    ----------
    image : array_like, shape (H, W, d)
        Pixels in intensity levels, 0 to 255.
    centroids : array_like, shape (K, d)
        The palette, in the same units. Values outside 0 to 255 are clipped.

    Returns
    -------
    ndarray of uint8, shape (H, W, d)

    Raises
    ------
    TypeError, ValueError
        If `image` is not three-dimensional, or as `train_kmeans` does for its arrays.
    """
    image = _finite("image", _real_array("image", image))
    if image.ndim != 3:
        raise ValueError(f"image must have shape (H, W, d), got {image.shape}.")
    pixels, centroids = _check_pair(
        "image", image.reshape(-1, image.shape[-1]), "centroids", centroids
    )
    palette = np.clip(np.rint(centroids), 0, 255).astype(np.uint8)  # (K, d)
    return palette[assign_clusters(pixels, centroids)].reshape(image.shape)


def compression_factor(num_pixels, num_colors):
    """Return how many times smaller a 24-bit image becomes with a palette.

    A pixel costs 24 bits before, and ``ceil(log2(num_colors))`` bits after; the palette itself
    costs 24 bits a colour.

    Parameters
    ----------
    num_pixels, num_colors : int
        Both at least 1.

    Returns
    -------
    float
        ``24 n / (n ceil(log2 k) + 24 k)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or is below 1.
    """
    num_pixels = _check_count("num_pixels", num_pixels, minimum=1)
    num_colors = _check_count("num_colors", num_colors, minimum=1)
    index_bits = (num_colors - 1).bit_length()
    return 24 * num_pixels / (num_pixels * index_bits + 24 * num_colors)


def _distance(x, y):
    with np.errstate(over="ignore"):
        distance = np.sqrt(np.sum((x - y) ** 2, axis=-1))
    if not np.isfinite(distance).all():
        raise ValueError(
            f"a squared distance is too large for {distance.dtype}; divide both arrays by a "
            "constant first, or convert them to a wider type."
        )
    return distance


def _centred(data):
    """Return the points [x - centre, 1] (N, d + 1), the centre (d,) and the largest |x - centre|.

    The centre is about the mean, on a coarse grid. Numbers of few digits, such as pixels, stay
    exact when it is subtracted, and so do the ties between their distances. Any centre will do,
    so it is worked out from some of the points.
    """
    some = data[:: max(1, len(data) // 1000)].astype(np.float64)
    extent = np.ptp(some, axis=0)  # (d,)
    grid = np.exp2(np.floor(np.log2(np.where(extent > 0, extent, 1))))
    centre = np.where(extent > 0, np.rint(some.mean(axis=0) / grid) * grid, some[0])
    points = np.zeros((len(data), data.shape[1] + 1))
    np.subtract(data, centre, out=points[:, :-1])
    radius = max(points.max(), -points.min())
    points[:, -1] = 1
    return points, centre, radius


def _reassign_arrays(points, centroids, labels, expiry, drift, margin, sums):
    """Reassign the points that are due; return how many changed their cluster.

    Updates `labels` (N,) and `expiry` (N,), and adds to `sums` (K, d + 1) what the clusters gain
    and lose.
    """
    K, moved = len(centroids), 0
    weights = _score_weights(centroids)
    due = np.flatnonzero(expiry < drift[labels])
    for block in _blocks(len(due), *centroids.shape):
        rows = due[block]
        x, old = points.take(rows, axis=0), labels[rows]  # (B, d + 1), (B,)
        nearest, first, second = _two_nearest(x, weights)
        expiry[rows] = drift[nearest] + second - first - margin
        changed = np.flatnonzero(nearest != old)
        new, old, k = nearest[changed], old[changed], np.arange(K)[:, None]
        sums += ((new == k).astype(np.float64) - (old == k)) @ x[changed]
        labels[rows] = nearest
        moved += len(changed)
    return moved


def _reassign_loop(points, centroids, labels, expiry, drift, margin, sums):
    """Do as `_reassign_arrays` does, one tile of points after another, to be compiled."""
    N, (K, d) = len(points), centroids.shape
    rows, nearest = np.empty(_TILE, np.int64), np.empty(_TILE, np.int64)
    x, square, gap = np.empty((d, _TILE)), np.empty(_TILE), np.empty(_TILE)
    first, second = np.empty(_TILE), np.empty(_TILE)  # the two smallest squared distances
    n = moved = 0
    while n < N:
        size = 0
        while n < N and size < _TILE:
            rows[size] = n
            size += expiry[n] < drift[labels[n]]  # no branch: which points are due is hard to guess
            n += 1
        for j in range(d):
            for i in range(size):
                x[j, i] = points[rows[i], j]
        first[:] = np.inf
        second[:] = np.inf
        for k in range(K):
            for i in range(size):
                square[i] = (x[0, i] - centroids[k, 0]) ** 2
            for j in range(1, d):
                for i in range(size):
                    square[i] += (x[j, i] - centroids[k, j]) ** 2
            for i in range(size):
                runner_up = square[i] if square[i] > first[i] else first[i]
                second[i] = runner_up if runner_up < second[i] else second[i]
                nearest[i] = k if square[i] < first[i] else nearest[i]
                first[i] = square[i] if square[i] < first[i] else first[i]
        for i in range(size):
            gap[i] = math.sqrt(second[i]) - math.sqrt(first[i])
        for i in range(size):
            row, new = rows[i], nearest[i]
            old = labels[row]
            expiry[row] = drift[new] + gap[i] - margin
            if new != old:
                for j in range(d + 1):
                    sums[old, j] -= points[row, j]
                    sums[new, j] += points[row, j]
                labels[row] = new
                moved += 1
    return moved


@functools.cache
def _compiled_loop():
    """Return `_reassign_loop` compiled, or None without numba."""
    try:
        from numba import njit
    except ImportError:
        return None
    for cache in (True, False):
        loop = njit(nogil=True, error_model="numpy", cache=cache)(_reassign_loop)
        one = np.zeros(1)
        # A first call compiles, or fails where the cache cannot be written or is damaged.
        with contextlib.suppress(Exception):
            loop(np.ones((1, 2)), np.ones((1, 1)), np.zeros(1, int), one, one, 0.0, np.ones((1, 2)))
            return loop
    return None


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


def _score_weights(centroids):
    """Return W (K, d + 1) with ``W [x, 1] = ||c||^2 - 2 c.x``, the distance² less ||x||²."""
    return np.column_stack([-2 * centroids, np.sum(centroids**2, axis=1)])


def _two_nearest(points, weights):
    """Return for points [x, 1] the nearest centroid and the two smallest distances, all (B,)."""
    K, B = len(weights), len(points)
    scores = weights @ points.T  # (K, B)
    first = scores.min(axis=0)
    # The first row that attains the minimum: argmin(axis=0), but vectorised along B.
    rank = np.arange(K, 0, -1, dtype=np.min_scalar_type(-K - 1))[:, None]
    nearest = K - ((scores == first) * rank).max(axis=0).astype(np.int64)  # (B,)
    scores[nearest, np.arange(B)] = np.inf
    squares = np.einsum("bd,bd->b", points[:, :-1], points[:, :-1])
    second = scores.min(axis=0)
    return nearest, *np.sqrt(np.maximum([first + squares, second + squares], 0))


def _blocks(num_rows, K, d):
    """Return slices of `num_rows` rows, so short that scores and coordinates stay in cache."""
    size = max(1, min(_BLOCK_SCORES // K, _BLOCK_COORDINATES // d))
    return [slice(start, start + size) for start in range(0, num_rows, size)]


def _check_pair(name, array, other_name, other):
    """Return both as finite, non-empty matrices of equal width whose distances cannot overflow."""
    array = _finite(name, _real_array(name, array))
    other = _finite(other_name, _real_array(other_name, other))
    for label, value in ((name, array), (other_name, other)):
        if value.ndim != 2:
            raise ValueError(f"{label} must have shape (rows, d), got {value.shape}.")
        largest = max(float(value.max()), -float(value.min()))
        if largest > math.sqrt(np.finfo(np.float64).max / (16 * value.shape[1])):
            raise ValueError(
                f"{label} holds values up to {largest:.4g}, too large to square; divide "
                f"{name} and {other_name} by a constant first."
            )
    _check_same_last_axis(name, array, other_name, other)
    return array, other


def _check_same_last_axis(name, array, other_name, other):
    if array.ndim == 0 or other.ndim == 0 or array.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"{name} and {other_name} must have the same width d on their last axis, "
            f"got shapes {array.shape} and {other.shape}."
        )


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


def _check_count(name, value, minimum=0):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)
