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
do: with numba, `_reassign_loop` is compiled. Without it `_reassign_arrays` does the same.
"""

import contextlib
import functools
import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_WORTH_COMPILING = 3e7  # coordinates compared in a run; below it, loading numba costs more
_WORTH_SHARING = 4e6  # coordinates compared in a step; below it, starting threads costs more
_BLOCK_SCORES = 1 << 15  # distances held at once: 256 KiB, which fits the cache
_LOOP_SCORES = 1 << 13  # the same in the compiled loop, which gains from a closer cache: 64 KiB
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
        The points. Not modified. Memory above the input is two numbers a point, and one copy if
        the input is not float64, C-contiguous and writable.
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

    # The loop is compiled for one kind of array only.
    points = np.require(data, np.float64, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])
    centre = _centre(points)
    start = offsets = centroids - centre  # (K, d)
    labels = np.full(N, K)  # cluster K holds the points that are not assigned yet
    sums = np.zeros((K + 1, d + 1))  # of each cluster's [x - centre, 1], so the last column counts
    expiry = np.full(N, -np.inf)  # the drift up to which a point's label is known to hold
    drift = np.zeros(K + 1)
    # The expanded square of ||x - c|| is off by at most (d + 3) eps / 2 (||x|| + ||c||)^2, and a
    # difference of two such distances by `slack` (||x|| + ||c||).
    slack = math.sqrt(2 * (d + 3) * np.finfo(np.float64).eps)
    if verbose or callback is not None:
        blocks = _blocks(N, _block_size(K, d))
        squares = sum(np.sum((points[rows] - centre) ** 2) for rows in blocks)

    reassign = None
    if N * K * d * num_iterations >= _WORTH_COMPILING:
        reassign, size = _compiled_loop(), _block_size(K, d, _LOOP_SCORES)
    if reassign is None:
        reassign, size = _reassign_arrays, _block_size(K, d)

    def reassign_part(points, labels, expiry):
        change = np.zeros_like(sums)
        moved = reassign(points, centre, weights, slack, size, labels, expiry, drift, change)
        return moved, change

    with _workers(N * K * d >= _WORTH_SHARING) as (run, num_threads):
        parts = [np.array_split(array, num_threads) for array in (points, labels, expiry)]
        for iteration in range(num_iterations):
            weights = _score_weights(offsets)
            moved, changes = zip(*run(reassign_part, *parts), strict=True)
            if not any(moved):
                break
            sums += sum(changes)
            totals, counts = sums[:K, :d], sums[:K, d:]  # (K, d), (K, 1)
            previous, offsets = offsets, offsets.copy()
            np.divide(totals, counts, out=offsets, where=counts > 0)
            shift = np.sqrt(np.sum((offsets - previous) ** 2, axis=1))  # (K,)
            drift[:K] += shift + shift.max()

            if verbose or callback is not None:
                # sum ||x - c||^2 = sum ||x||^2 - sum_k (2 c_k . s_k - n_k ||c_k||^2)
                explained = np.sum(offsets * (2 * totals - counts * offsets))
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
    centre = _centre(data)
    weights = _score_weights(centroids - centre)
    labels = np.empty(len(data), dtype=np.int64)
    for rows in _blocks(len(data), _block_size(*centroids.shape)):
        labels[rows] = _two_nearest(_centred(data[rows], centre), weights)[0]
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


def _centre(data):
    """Return a point (d,) near the mean, on a coarse grid.

    Numbers of few digits, such as pixels, stay exact when it is subtracted, and so do the ties
    between their distances. Any centre will do, so it is worked out from some of the points.
    """
    some = data[:: max(1, len(data) // 1000)].astype(np.float64)
    extent = np.ptp(some, axis=0)  # (d,)
    grid = np.exp2(np.floor(np.log2(np.where(extent > 0, extent, 1))))
    return np.where(extent > 0, np.rint(some.mean(axis=0) / grid) * grid, some[0])


def _centred(points, centre):
    """Return [x - centre, 1] (B, d + 1)."""
    return np.column_stack([points - centre, np.ones(len(points))])


def _reassign_arrays(points, centre, weights, slack, size, labels, expiry, drift, sums):
    """Reassign the points that are due, `size` at a time; return how many changed their cluster.

    Updates `labels` (N,) and `expiry` (N,), and adds to `sums` (K + 1, d + 1) what the clusters
    gain and lose.
    """
    moved, reach = 0, math.sqrt(weights[:, -1].max())  # reach: the largest ||c||
    due = np.flatnonzero(expiry < drift[labels])
    for block in _blocks(len(due), size):
        rows = due[block]
        x, old = _centred(points[rows], centre), labels[rows]  # (B, d + 1), (B,)
        nearest, first, second = _two_nearest(x, weights)
        expiry[rows] = drift[nearest] + second - first - slack * (first + 2 * reach)
        changed = np.flatnonzero(nearest != old)
        new, old, k = nearest[changed], old[changed], np.arange(len(sums))[:, None]
        sums += ((new == k).astype(np.float64) - (old == k)) @ x[changed]
        labels[rows] = nearest
        moved += len(changed)
    return moved


def _reassign_loop(points, centre, weights, slack, size, labels, expiry, drift, sums):
    """Do as `_reassign_arrays` does, to be compiled."""
    (N, d), K, B = points.shape, len(weights), size
    reach = math.sqrt(weights[:, d].max())
    rows, nearest = np.zeros(B, np.int64), np.empty(B, np.int64)
    x, scores = np.ones((B, d + 1)), np.empty((K, B))
    square, first, second = np.zeros(B), np.empty(B), np.empty(B)
    n = moved = 0
    while n < N:
        num_due = 0
        while n < N and num_due < B:
            rows[num_due] = n
            num_due += expiry[n] < drift[labels[n]]  # no branch: who is due is hard to guess
            n += 1
        for i in range(num_due):
            row, total = rows[i], 0.0
            for j in range(d):
                offset = points[row, j] - centre[j]
                x[i, j] = offset
                total += offset * offset
            square[i] = total
        np.dot(weights, x.T, scores)  # (K, B)
        first[:] = np.inf
        second[:] = np.inf
        for k in range(K):
            for i in range(B):
                score = scores[k, i]
                runner_up = score if score > first[i] else first[i]
                second[i] = runner_up if runner_up < second[i] else second[i]
                nearest[i] = k if score < first[i] else nearest[i]
                first[i] = score if score < first[i] else first[i]
        for i in range(B):
            first[i] = math.sqrt(max(first[i] + square[i], 0.0))
            second[i] = math.sqrt(max(second[i] + square[i], 0.0))
        for i in range(num_due):
            row, new = rows[i], nearest[i]
            old = labels[row]
            expiry[row] = drift[new] + second[i] - first[i] - slack * (first[i] + 2 * reach)
            if new != old:
                for j in range(d + 1):
                    sums[old, j] -= x[i, j]
                    sums[new, j] += x[i, j]
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
        # "reassoc" lets the sum over the coordinates use the processor's vector unit.
        loop = njit(nogil=True, error_model="numpy", fastmath={"reassoc"}, cache=cache)(
            _reassign_loop
        )
        point, weights, sums = np.zeros((1, 1)), np.zeros((1, 2)), np.zeros((2, 2))
        label, expiry, centre, drift = np.ones(1, int), np.ones(1), np.zeros(1), np.zeros(2)
        # A first call compiles, or fails where the cache cannot be written or is damaged.
        with contextlib.suppress(Exception):
            loop(point, centre, weights, 0.0, 1, label, expiry, drift, sums)
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


def _block_size(K, d, num_scores=_BLOCK_SCORES):
    """Return a number of points so small that their scores and coordinates stay in cache."""
    return max(1, min(num_scores // K, _BLOCK_COORDINATES // d))


def _blocks(num_rows, size):
    """Return slices of `num_rows` rows, `size` at a time."""
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
