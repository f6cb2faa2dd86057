"""K-means clustering, problem 1(a), and image compression with the palette that it finds.

Lloyd's algorithm takes two steps in turn, until no label changes:

    assignment  label_n = argmin_k ||x_n - c_k||^2
    update      c_k = the mean of the points with label k

`textbook/kmeans.py` has just that. Here the labels are the same and come faster, since a point is
looked at again only when its label could have changed. Its nearest centroid a is nearer than any
other by a gap, and a step narrows that by no more than a moved plus the farthest that any centroid
moved (triangle inequality): until these sum to the gap, the label holds. (Hamerly, "Making k-means
even faster", SDM 2010, with one running sum a centroid instead of two bounds a point.)

What is not a real number or an option of the right kind raises a TypeError; shapes that disagree,
no points, NaN, infinity and values too large to square raise a ValueError. What is likely a
mistake, but may be meant, gives a UserWarning.
"""

import contextlib
import functools
import inspect
import math
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike


def train_kmeans(
    train_data: ArrayLike,
    initial_centroids: ArrayLike,
    *,
    num_iterations: int = 50,
    verbose: bool = False,
    callback: Callable[[int, float, np.ndarray], object] | None = None,
) -> np.ndarray:
    """Run k-means from the given centroids.

    Parameters
    ----------
    train_data : array_like, shape (N, d)
        The points. They are copied unless they are float64, C-contiguous and writable.
    initial_centroids : array_like, shape (K, d)
        Where the centroids start; K is read from it.
    num_iterations : int
        The number of steps at most. There are fewer when no label changes any more.
    verbose : bool
        Print one line for each call that `callback` would get.
    callback : callable, optional
        Called as ``callback(iteration, distortion, centroids)`` with the centroids that each step
        starts from, counting from 0, and with the last ones. The distortion is the mean squared
        distance from a point to the nearest of them; it never rises. Returning True stops there.

    Returns
    -------
    ndarray, shape (K, d)
        The centroids, in `train_data`'s dtype if that is floating, else float64. A centroid that
        loses all its points stays where it is.
    """
    data, centroids = _check_pair(train_data=train_data, initial_centroids=initial_centroids)
    num_iterations = _check_count("num_iterations", num_iterations)
    _check_callback(callback)
    dtype = data.dtype.newbyteorder("=") if data.dtype.kind == "f" else np.dtype(np.float64)
    _check_start(centroids, len(data), dtype)

    watched = verbose or callback is not None  # the last centroids are then judged as well
    with _Clusters(data, centroids) as clusters:
        for iteration in range(num_iterations + watched):
            clusters.assign(centroids)  # label_n = argmin_k ||x_n - c_k||^2
            if watched:
                J = clusters.distortion(centroids)
                if verbose:
                    print(f"iteration {iteration}: mean squared distance {J:.6g}")
                if callback is not None and callback(iteration, J, centroids.astype(dtype)):
                    break
            if not clusters.changed or iteration == num_iterations:
                break
            centroids = _update_centroids(clusters, centroids)  # c_k = the mean of its points
    return centroids.astype(dtype)


def assign_clusters(data: ArrayLike, centroids: ArrayLike) -> np.ndarray:
    """Return the index of each point's nearest centroid; ties go to the lower one.

    Parameters
    ----------
    data : array_like, shape (N, d)
    centroids : array_like, shape (K, d)

    Returns
    -------
    ndarray of int64, shape (N,)
    """
    data, centroids = _check_pair(data=data, centroids=centroids)
    with _Clusters(data, centroids) as clusters:
        return clusters.assign(centroids)


def _update_centroids(clusters, centroids):
    """Return the means (K, d) of the clusters; one without points keeps its centroid."""
    totals, counts = clusters.sums[:-1, :-2], clusters.sums[:-1, -2:-1]  # (K, d), (K, 1)
    means = (totals + counts * clusters.centre) / np.maximum(counts, 1)  # (K, d)
    return np.where(counts > 0, means, centroids)


def compress_image(image: ArrayLike, centroids: ArrayLike) -> np.ndarray:
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
    """
    image = _finite("image", image)
    if image.ndim != 3:
        raise ValueError(
            f"image must have shape (H, W, d), got {image.shape}; give a grey picture a last axis "
            "with image[..., None], and several pictures one at a time."
        )
    pixels, centroids = _check_pair(image=image.reshape(-1, image.shape[-1]), centroids=centroids)
    _warn_if_scaled("image", image)
    _warn_if_scaled("centroids", centroids, beside=image)
    palette = np.clip(np.rint(centroids), 0, 255).astype(np.uint8)  # (K, d)
    with _Clusters(pixels, centroids) as clusters:
        return palette[clusters.assign(centroids)].reshape(image.shape)  # (H, W, d)


def compression_factor(num_pixels: int, num_colors: int) -> float:
    """Return how many times smaller a 24-bit image of n pixels becomes with a palette of k colours.

    That is ``24 n / (n ceil(log2 k) + 24 k)``: a colour of the palette costs 24 bits as well.
    """
    num_pixels = _check_count("num_pixels", num_pixels, minimum=1)
    num_colors = _check_count("num_colors", num_colors, minimum=1)
    if num_colors > num_pixels:
        message = f"num_colors is {num_colors}, num_pixels only {num_pixels}; pass pixels first."
        warnings.warn(message, stacklevel=2)
    index_bits = (num_colors - 1).bit_length()
    return 24 * num_pixels / (num_pixels * index_bits + 24 * num_colors)


def mean_pixel_error(image: ArrayLike, compressed: ArrayLike) -> float:
    """Return the mean of ``||image - compressed||`` over all pixels, computed in float64.

    Parameters
    ----------
    image, compressed : array_like, equal shapes (..., d)
        Pixels along the last axis, in intensity levels (0 to 255 for 8-bit images), as is the mean.
    """
    image, compressed = _finite("image", image), _finite("compressed", compressed)
    if image.shape != compressed.shape or image.ndim == 0:
        raise ValueError(
            "image and compressed must have the same shape (..., d), "
            f"got {image.shape} and {compressed.shape}; compare a picture with its own compression."
        )
    _warn_if_scaled("image", image, beside=compressed)
    _warn_if_scaled("compressed", compressed, beside=image)
    return float(_distance(image.astype(np.float64), compressed).mean())


def euclidean_distance(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return the Euclidean distances over the last axis (N*,), computed in the arrays' own dtype.

    This is the definition the course uses. On integers, differences and squares that do not fit
    wrap around (modulo 256 for uint8): a RuntimeWarning says that the result is no distance. The
    problem set's printed errors were computed that way; `mean_pixel_error` gives the true value.

    Parameters
    ----------
    x, y : array_like, shapes (N*, d) that broadcast
    """
    x, y = _finite("x", x), _finite("y", y)
    try:
        fit = x.shape[-1] == y.shape[-1] and np.broadcast_shapes(x.shape, y.shape)
    except (IndexError, ValueError):  # a single number, or shapes that do not broadcast
        fit = False
    if not fit:
        raise ValueError(
            "x and y must broadcast, with the same width d on their last axis, got shapes "
            f"{x.shape} and {y.shape}; x[:, None] pairs each row of x with each of y."
        )
    dtype = np.result_type(x, y)
    if dtype.kind == "b":
        raise TypeError("x and y must hold numbers, got dtype bool; convert them to float first.")
    distance = _distance(x, y)
    if dtype.kind in "iu" and not np.allclose(distance, _distance(x.astype(np.float64), y)):
        message = f"{dtype} wraps around, so this is no distance; call mean_pixel_error instead."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return distance


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from kmeans.py!")


# -- What makes it fast --------------------------------------------------------------------------

# The variables of the bounds, for N points, K centroids and steps that move these:
#
# centre  (d,)         m, a point amid the data; subtracted before squares are taken.
# weights (K, d + 1)   weights @ [x - m, 1] = ||x - c||^2 - ||x - m||^2.
# labels  (N,)         each point's cluster; K while it has none.
# sums    (K+1, d+2)   of [x - m, 1, ||x - m||] over each cluster's points. A point that changes its
#                      cluster is taken from one row and added to another, so that no step sums all.
# gap     (N,)         how much nearer a point's nearest centroid was than any other, at least.
# drift   (K + 1,)     how far a centroid moved, plus the farthest that any moved, summed over the
#                      steps: a gap narrows by no more than that.
# expiry  (N,)         the drift of its centroid up to which a point's label holds: the drift when
#                      the label was found, plus the gap. A point is due once the drift exceeds it.
# slack                the rounding error of a squared distance, relative.
#
# Rounding. One matrix product gives all squares, as ||x - m||^2 - 2 (x - m).(c - m) + ||c - m||^2.
# Let u = eps / 2, r = ||x - m||, s = ||c - m||, and D the distance. The terms are off by at most
# d u r^2, 2 (d + 1) u r s and (2 d + 1) u s^2, their sum by u (r + s)^2 more, and rounding x - m
# and c - m moves D^2 by 2 u (r + s)^2: in all less than (d + 2) eps (r + s)^2. As s <= r + D, that
# is at most (d + 2) eps (8 r^2 + 2 D^2). With slack = 2 (d + 4) eps, where 4 in place of 2 takes in
# the second order and the rounding of the bounds themselves,
#
#     (1 - slack) computed - 4 slack r^2  <=  D^2  <=  (1 + slack) computed + 4 slack r^2.
#
# The gap is the root of the second nearest's lower end, less that of the nearest's upper end. Where
# it is not positive the differences x - c decide, whose squares are off by (d + 2) u D^2 only. The
# drift is rounded up, by the same slack, in each step.
#
# Routes. Numba takes 1.8 s to compile `_reassign_loop`, or 0.4 s to read what it compiled before,
# and saves 1 to 3 ns of each number (coordinate or distance) that `_reassign_arrays` works on. So
# that does the work until it has worked on as many in this process as would have repaid numba.

_EPS = np.finfo(np.float64).eps
_TINY = np.finfo(np.float64).tiny  # squares below it have lost digits, so all are blurred by it
_WORTH_COMPILING = 5e8  # numbers that the arrays have worked on in this process
_WORTH_SHARING = 4e6  # coordinates compared in a step; below it, starting threads costs more
_BLOCK_SCORES = 1 << 16  # distances held at once: 512 KiB, which fit the cache
_BLOCK_COORDINATES = 1 << 18  # and coordinates: 2 MiB
_TILE_POINTS, _TILE_NUMBERS = 512, 1 << 17  # the same in the compiled loop: no more than 1 MiB
_MANY = np.iinfo(np.int8).max  # clusters; above it rows of them are long, and ranks no longer fit
_THREADS = threading.Lock()  # held by the run that shares its work between threads
_numbers_done = 0  # by the arrays, in this process


class _Clusters(contextlib.ExitStack):
    """The points and their labels, kept up to date while the centroids move; exit ends threads."""

    def __init__(self, data, centroids):
        super().__init__()
        # The loop is compiled for one kind of array only.
        self.points = np.require(data, np.float64, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])
        (N, d), K = self.points.shape, len(centroids)
        some = self.points[:: max(1, N // 256)]
        self.centre = np.sort(some, axis=0)[len(some) // 2]  # (d,): a median, so few are far away
        self.centroids, self.slack = centroids, 2 * (d + 4) * _EPS
        self.drift, self.route = np.zeros(K + 1), None
        self.labels, self.expiry = np.empty(N, np.int64), np.empty(N)
        self._forget()

    def _forget(self):
        """Start over with points that have no cluster."""
        K, d = self.centroids.shape
        self.labels[:], self.expiry[:] = K, -np.inf
        self.sums, self.most = np.zeros((K + 1, d + 2)), np.zeros(K)

    def assign(self, centroids):
        """Return each point's nearest centroid (N,); `changed` then says if any is another."""
        moves = np.sqrt(((centroids - self.centroids) ** 2).sum(axis=1) + _TINY)  # (K,)
        self.drift[:-1] = (1 + self.slack) * (self.drift[:-1] + moves + moves.max())
        self.centroids, offsets = centroids, centroids - self.centre  # (K, d)
        weights = np.column_stack([-2 * offsets, (offsets**2).sum(axis=1)])  # (K, d + 1)
        self.changed = self._reassign(weights)
        # A cluster's lengths summed to `most` at most. Once they sum to a thousandth of that, say
        # because a point at 1e30 left, the sums have lost three digits and are made anew.
        if (1024 * self.sums[:-1, -1] < self.most).any():
            self._forget()
            self._reassign(weights)
        self.most = np.maximum(self.most, self.sums[:-1, -1])  # (K,)
        return self.labels

    def _reassign(self, weights):
        """Reassign the points, shared between threads; return whether any changed its cluster."""
        global _numbers_done
        if self.route is not _route():  # at first, and when the compiled loop takes over
            self.close()
            self.route = _route()
            worthwhile = self.points.size * len(self.centroids) >= _WORTH_SHARING
            self.run, num_threads = self.enter_context(_workers(worthwhile))
            arrays = self.points, self.labels, self.expiry
            self.parts = [np.array_split(array, num_threads) for array in arrays]
        centroids = self.centre, self.centroids, weights, self.drift, self.slack
        results = self.run(functools.partial(self.route, *centroids), *self.parts)
        due, changed, sums = zip(*results, strict=True)
        self.sums += sum(sums)
        if self.route is _reassign_arrays:
            _numbers_done += sum(due) * sum(self.centroids.shape)
        return any(changed)

    def distortion(self, centroids):
        """Return the mean squared distance from a point to the centroid of its label."""
        N, d = self.points.shape
        blocks = _blocks(N, max(1, _BLOCK_COORDINATES // d))
        squares = (np.sum((self.points[b] - centroids[self.labels[b]]) ** 2) for b in blocks)
        return float(sum(squares)) / N


def _route():
    """Return what reassigns points: the function on arrays, or the compiled one once that pays."""
    worthwhile = _numbers_done >= _WORTH_COMPILING and _compiled_loop() is not None
    return _reassign_compiled if worthwhile else _reassign_arrays


def _reassign_arrays(centre, centroids, weights, drift, slack, points, labels, expiry):
    """Update the labels and expiry of the points that are due, a block at a time.

    Returns how many were due, whether any changed its cluster, and what the sums gain by it.
    """
    K, d = centroids.shape
    sums, any_moved = np.zeros((K + 1, d + 2)), False
    due = np.flatnonzero(expiry < drift[labels])
    for block in _blocks(len(due), max(64, min(_BLOCK_SCORES // K, _BLOCK_COORDINATES // d))):
        rows = due[block]  # (B,)
        x, old = points[rows], labels[rows]  # (B, d), (B,)
        x -= centre
        square = np.einsum("bd,bd->b", x, x)  # (B,)
        W = weights[:, :-1]  # (K, d)
        scores = (x @ W.T).T if K > _MANY else W @ x.T  # (K, B), the longer axis along the memory
        scores += weights[:, -1:]
        nearest, first, second = _two_nearest(scores)
        gap = _gap(first + square, second + square, slack, 4 * slack * square + _TINY)  # (B,)
        close = np.flatnonzero(gap <= 0)
        for part in _blocks(len(close), max(1, _BLOCK_COORDINATES // centroids.size)):
            some = close[part]  # compared by differences
            squares = ((points[rows[some], None] - centroids) ** 2).sum(axis=2).T  # (K, B)
            nearest[some], first, second = _two_nearest(squares)
            gap[some] = _gap(first, second, slack, _TINY)
        expiry[rows] = drift[nearest] + gap
        moved = np.flatnonzero(nearest != old)
        if moved.size:
            any_moved = True
            labels[rows] = nearest
            r = np.sqrt(square[moved])
            x = np.column_stack([x[moved], np.ones_like(r), r])  # (B, d + 2)
            _transfer(sums, x, old[moved], nearest[moved])
    return due.size, any_moved, sums


def _two_nearest(scores):
    """Return each column's least score's index, and its two least, (B,); spoils scores (K, B)."""
    K, columns = len(scores), np.arange(scores.shape[1])
    if K > _MANY:
        nearest = scores.argmin(axis=0)
        first = scores[nearest, columns]
    else:  # argmin as well, but vectorised along B: the first row that attains the minimum
        first = scores.min(axis=0)
        rank = np.arange(K, 0, -1, dtype=np.int8)[:, None]
        nearest = K - ((scores == first) * rank).max(axis=0).astype(np.int64)
    scores[nearest, columns] = np.inf
    return nearest, first, scores.min(axis=0)


def _transfer(sums, x, old, new):
    """Take the rows of x from the rows `old` of the sums and add them to the rows `new`."""
    if len(sums) > _MANY:
        np.subtract.at(sums, old, x)
        np.add.at(sums, new, x)
    else:  # as a matrix product, which few clusters make cheap
        signs, columns = np.zeros((len(sums), len(x))), np.arange(len(x))
        signs[old, columns], signs[new, columns] = -1, 1
        sums += signs @ x


def _gap(first, second, slack, blur):
    """Return the gap of two squared distances, at least; 0 or less if it cannot be told."""
    low, high = (1 - slack) * second - blur, (1 + slack) * first + blur
    return np.sqrt(np.maximum(low, 0)) - np.sqrt(np.maximum(high, 0))


def _reassign_compiled(*arguments):
    """Do as `_reassign_arrays` does, and leave it no more than the points too close to call."""
    due, all_told, any_moved, sums = _compiled_loop()(*arguments)
    if not all_told:
        _, others_moved, others = _reassign_arrays(*arguments)
        any_moved, sums = any_moved or others_moved, sums + others
    return due, any_moved, sums


def _reassign_loop(centre, centroids, weights, drift, slack, points, labels, expiry):
    """Do as `_reassign_arrays` does, but leave due, and say so, whom the product cannot tell."""
    (N, d), K = points.shape, len(centroids)
    B = max(32, min(_TILE_POINTS, _TILE_NUMBERS // max(K, d)))
    rows, nearest = np.zeros(B, np.int64), np.zeros(B, np.int64)
    x, scores, sums = np.ones((B, d + 1)), np.empty((K, B)), np.zeros((K + 1, d + 2))
    square, first, second, gap = np.zeros(B), np.empty(B), np.empty(B), np.empty(B)
    n, due, all_told, any_moved = 0, 0, True, False
    while n < N:
        num = 0
        while n < N and num < B:
            stop = min(N, n + B - num)
            for i in range(n, stop):
                # No branch, since who is due is hard to guess; unsigned, since numba takes negative
                # indices to count from the end and looks out for them.
                rows[np.uint64(num)] = i
                num += expiry[i] < drift[np.uint64(labels[i])]
            n = stop
        for i in range(num):
            row, total = rows[i], 0.0
            for j in range(d):
                x[i, j] = points[row, j] - centre[j]
                total += x[i, j] ** 2
            square[i] = total
        np.dot(weights, x.T, scores)  # (K, B)
        first[:] = np.inf
        second[:] = np.inf
        for k in range(K):
            for i in range(B):
                score, best = scores[k, i], first[i]
                second[i] = min(second[i], max(score, best))
                nearest[i] = k if score < best else nearest[i]
                first[i] = min(score, best)
        for i in range(B):
            blur = 4 * slack * square[i] + _TINY
            low = (1 - slack) * (second[i] + square[i]) - blur
            high = (1 + slack) * (first[i] + square[i]) + blur
            gap[i] = math.sqrt(max(low, 0.0)) - math.sqrt(max(high, 0.0))
        for i in range(num):
            row = rows[i]
            if gap[i] <= 0:
                expiry[row] = -np.inf
                all_told = False
                continue
            old, new = labels[row], nearest[i]
            expiry[row] = drift[new] + gap[i]
            if new != old:
                for j in range(d + 1):
                    sums[old, j] -= x[i, j]
                    sums[new, j] += x[i, j]
                length = math.sqrt(square[i])
                sums[old, d + 1] -= length
                sums[new, d + 1] += length
                labels[row] = new
                any_moved = True
        due += num
    return due, all_told, any_moved, sums


@functools.cache
def _compiled_loop():
    """Return `_reassign_loop` compiled, or None without numba."""
    try:
        from numba import njit
    except ImportError:
        return None
    row, one = np.zeros((1, 1)), np.zeros(1)
    example = one, row, np.zeros((1, 2)), np.zeros(2), 0.0, row, np.ones(1, np.int64), one
    for cache in (True, False):
        # The first fails where the cache has no place, cannot be written, or is damaged.
        with contextlib.suppress(Exception):
            # "reassoc" lets the sum over the coordinates use the processor's vector unit.
            compiled = njit(nogil=True, error_model="numpy", fastmath={"reassoc"}, cache=cache)
            loop = compiled(_reassign_loop)
            loop(*example)
            _blas.cache_clear()  # it brings SciPy's BLAS, whose threads count as well
            return loop
    return None


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


def _blocks(num_rows, size):
    """Return slices of `num_rows` rows, `size` at a time."""
    return [slice(start, start + size) for start in range(0, num_rows, size)]


# -- Checks --------------------------------------------------------------------------------------


def _distance(x, y):
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.sqrt(np.sum((x - y) ** 2, axis=-1))
    if not np.isfinite(distance).all():
        dtype = np.result_type(x, y)
        raise ValueError(f"a squared distance is too large for {dtype}; divide or widen both.")
    return distance


def _check_pair(**pair):
    """Return matrices of equal width whose distances cannot overflow; the second in float64."""
    pair = {name: _finite(name, value) for name, value in pair.items()}
    for name, array in pair.items():
        if array.ndim != 2:
            raise ValueError(
                f"{name} must have shape (rows, d), got {array.shape or array}; pass the points "
                "themselves, one a row: reshape(-1, d) makes rows of an image or of a point."
            )
        largest = max(float(array.max()), -float(array.min()))
        if largest > math.sqrt(np.finfo(np.float64).max / (16 * array.shape[1])):
            raise ValueError(f"{name} holds {largest:.4g}, too large to square; divide the data.")
    (name, array), (other_name, other) = pair.items()
    if array.shape[1] != other.shape[1]:
        raise ValueError(
            f"{name} and {other_name} must have the same width d on their last axis, got shapes "
            f"{array.shape} and {other.shape}; pass one point a row."
        )
    return array, other.astype(np.float64, order="C")


def _check_start(centroids, num_points, dtype):
    """Refuse initial centroids that the result's dtype cannot hold; warn of likely mistakes."""
    largest = np.abs(centroids).max()
    if largest > np.finfo(dtype).max:
        raise ValueError(
            f"initial_centroids holds values up to {largest:.4g}, too large for train_data's "
            f"{dtype}; convert train_data to float64 first."
        )
    K, distinct = len(centroids), len({row.tobytes() for row in centroids + 0.0})  # no -0.0
    if min(distinct, num_points) < K:
        remedy = "the points go first" if K > num_points else "draw from np.unique(data, axis=0)"
        counts = f"{K} rows, {distinct} of them distinct, for {num_points} points"
        warnings.warn(f"initial_centroids has {counts}; {remedy}.", stacklevel=3)


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


def _check_callback(callback: Callable | None) -> None:
    """Refuse a callback that cannot be called with three arguments."""
    try:
        if callback is not None:
            inspect.signature(callback).bind(0, 0.0, None)
    except ValueError:  # a built-in that does not tell its signature
        pass
    except TypeError as error:
        raise TypeError(f"callback must take (iteration, objective, state): {error}.") from None
