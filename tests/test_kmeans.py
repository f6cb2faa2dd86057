"""k-means against the reference, scikit-learn and the textbook, through all of its routes."""

import math
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

import kmeans
import textbook.kmeans
from data import reference

REFERENCE = reference("kmeans")
EPS = np.finfo(np.float64).eps


def blobs(seed, N, d, K):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=3, size=(K, d))
    return centres[rng.integers(K, size=N)] + rng.normal(size=(N, d))


def force(monkeypatch, route):
    """Make the module take that route, whatever was done before; return it as a function."""
    monkeypatch.setattr(kmeans, "_WORTH_COMPILING", 0 if route == "compiled" else np.inf)
    assert (kmeans._route() is kmeans._reassign_arrays) == (route == "arrays")
    return kmeans._route()


@pytest.fixture(params=["compiled", "arrays"])
def both_routes(request, monkeypatch):
    return force(monkeypatch, request.param)


@pytest.fixture(params=["compiled", "arrays", "textbook"])
def implementation(request, monkeypatch):
    if request.param == "textbook":
        return textbook.kmeans
    force(monkeypatch, request.param)
    return kmeans


@pytest.fixture(scope="module")
def centroids(mandrill_pixels):
    return kmeans.train_kmeans(mandrill_pixels, reference_start(mandrill_pixels))


def reference_start(pixels):
    return pixels[REFERENCE["initial_centroid_indices"]]


# The reference


def test_mandrill_errors(mandrill_large, centroids):
    compressed = kmeans.compress_image(mandrill_large, centroids)
    assert compressed.dtype == np.uint8
    expected = textbook.kmeans.compress_image(mandrill_large, centroids)
    np.testing.assert_array_equal(compressed, expected)
    true = kmeans.mean_pixel_error(mandrill_large, compressed)
    assert true == pytest.approx(REFERENCE["mean_pixel_error_float"], abs=1e-9)
    with pytest.warns(RuntimeWarning, match="mean_pixel_error"):
        wrapped = kmeans.euclidean_distance(compressed, mandrill_large).mean()
    assert wrapped == pytest.approx(REFERENCE["mean_pixel_error_uint8_arithmetic"], abs=1e-9)


def test_mandrill_counts(mandrill_pixels, centroids):
    counts = np.bincount(kmeans.assign_clusters(mandrill_pixels, centroids))
    np.testing.assert_array_equal(counts, REFERENCE["final_counts"])


@pytest.mark.parametrize("iteration", ["0", "1", "49"])
def test_mandrill_training_error(mandrill_pixels, iteration, implementation):
    start = reference_start(mandrill_pixels)
    c = implementation.train_kmeans(mandrill_pixels, start, num_iterations=int(iteration))
    labels = implementation.assign_clusters(mandrill_pixels, c)
    error = kmeans.mean_pixel_error(mandrill_pixels, c[labels])
    expected = REFERENCE["training_mean_error_by_iteration"][iteration]
    assert error == pytest.approx(expected, abs=1e-9)


@pytest.mark.usefixtures("both_routes")
def test_mandrill_stops_when_no_label_changes(mandrill_pixels):
    calls, start = [], reference_start(mandrill_pixels)
    kmeans.train_kmeans(mandrill_pixels, start, callback=lambda *call: calls.append(call))
    steps = REFERENCE["first_iteration_0_based_whose_assignments_equal_the_previous_ones"]
    assert [iteration for iteration, _, _ in calls] == list(range(steps + 1))
    for iteration, distortion, c in calls:
        squares = np.sum((mandrill_pixels[:, None] - c) ** 2, axis=2).min(axis=1)
        assert distortion == pytest.approx(squares.mean(), rel=1e-13)
        expected = REFERENCE["training_mean_error_by_iteration"].get(str(iteration))
        if expected is not None:
            assert np.sqrt(squares).mean() == pytest.approx(expected, abs=1e-9)


def test_compression_factor():
    expected = REFERENCE["compression_factor"]
    assert kmeans.compression_factor(512 * 512, 16) == pytest.approx(expected, rel=1e-12)
    assert kmeans.compression_factor(10, 1) == 240 / 24  # no bits a pixel, one colour
    assert kmeans.compression_factor(1000, 5) == 24000 / (3000 + 120)  # 5 colours need 3 bits
    with warnings.catch_warnings(action="error"):
        assert kmeans.compression_factor(16, 16) == 24 * 16 / (16 * 4 + 24 * 16)
    with pytest.warns(UserWarning, match="num_colors is 100, num_pixels only 16"):
        kmeans.compression_factor(16, 100)


# Oracles


@pytest.mark.parametrize("d", [1, 2, 3, 7, 16, 50])
@pytest.mark.parametrize("num_iterations", [0, 1, 2, 7, 100])
@pytest.mark.usefixtures("both_routes")
def test_agrees_with_the_textbook(d, num_iterations, N=400, K=5):
    data = blobs(d + K, N, d, K)
    ours = kmeans.train_kmeans(data, data[:K], num_iterations=num_iterations)
    theirs = textbook.kmeans.train_kmeans(data, data[:K], num_iterations=num_iterations)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    labels = textbook.kmeans.assign_clusters(data, ours)
    np.testing.assert_array_equal(kmeans.assign_clusters(data, ours), labels)


@pytest.mark.parametrize("K", [100, 127, 128, 2000])
@pytest.mark.usefixtures("both_routes")
def test_many_clusters(K):
    test_agrees_with_the_textbook(3, 3, N=5000, K=K)


@pytest.mark.parametrize("d", range(1, 8))
@pytest.mark.usefixtures("both_routes")
def test_agrees_with_the_textbook_to_the_bit_on_whole_numbers(d):
    rng = np.random.default_rng(d)
    for largest in (2, 6, 256):
        data = rng.integers(0, largest, size=(300, d)) + 1e6
        start = np.unique(data, axis=0)[:12]
        ours = kmeans.train_kmeans(data, start, num_iterations=30)
        theirs = textbook.kmeans.train_kmeans(data, start, num_iterations=30)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("d", [1, 2, 3, 16, 50])
@pytest.mark.parametrize("K", [1, 2, 16, 150])
def test_agrees_with_scikit_learn(d, K, implementation):
    data = blobs(d + K, 6000, d, min(K, 16))
    initial = data[:K]
    theirs = KMeans(K, init=initial, n_init=1, tol=0, max_iter=25, algorithm="lloyd").fit(data)
    if np.any(np.bincount(theirs.labels_, minlength=K) == 0):
        pytest.fail("scikit-learn moves empty clusters: pick another seed")
    ours = implementation.train_kmeans(data, initial, num_iterations=25)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.usefixtures("both_routes")
def test_threads_do_not_matter(monkeypatch, num_threads):
    data = blobs(9, 301, 4, 6)
    monkeypatch.setattr(kmeans, "_WORTH_SHARING", 0)
    with threadpool_limits(num_threads):
        ours = kmeans.train_kmeans(data, data[:6], num_iterations=9)
    theirs = textbook.kmeans.train_kmeans(data, data[:6], num_iterations=9)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_workers_have_the_cores_to_themselves():
    with threadpool_limits(3):
        with kmeans._workers(True) as (run, num_threads):
            assert num_threads == 3 and list(run(abs, [-1, 2])) == [1, 2]
            blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
            assert {library["num_threads"] for library in blas} == {1}
            with kmeans._workers(True) as others:
                assert others == (map, 1)
        with kmeans._workers(False) as few, threadpool_limits(1), kmeans._workers(True) as alone:
            assert few == alone == (map, 1)


def test_runs_at_once_leave_the_number_of_blas_threads_as_it_was():
    data = np.random.default_rng(0).normal(size=(100_000, 4))
    kmeans._compiled_loop()  # loads SciPy's BLAS

    def run(_):
        return kmeans.train_kmeans(data, data[:32], num_iterations=3)

    before = threadpool_info()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run, range(9)))
    assert threadpool_info() == before
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-12)


@pytest.mark.usefixtures("both_routes")
def test_every_step_is_the_full_step_on_large_data():
    data = np.random.default_rng(0).uniform(size=(20000, 3))  # no clusters: slow convergence
    centroids = data[:16]
    for num_iterations in range(12):
        ours = kmeans.train_kmeans(data, data[:16], num_iterations=num_iterations)
        np.testing.assert_allclose(ours, centroids, rtol=1e-12)
        labels = textbook.kmeans.assign_clusters(data, centroids)
        np.testing.assert_array_equal(kmeans.assign_clusters(data, centroids), labels)
        centroids = textbook.kmeans.update_centroids(data, labels, centroids)


# Rounding


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.usefixtures("both_routes")
def test_ties_go_to_the_lower_index(d):
    rng = np.random.default_rng(d)
    for data in (rng.integers(0, 256, size=(5000, d)), rng.integers(0, 9, size=(500, d)) / 10):
        centroids = data[rng.choice(len(data), 100, replace=False)]
        squares = np.sort(((data[:, None] - centroids) ** 2).sum(axis=2), axis=1)
        assert np.any(squares[:, 0] == squares[:, 1])
        labels = textbook.kmeans.assign_clusters(data, centroids)
        np.testing.assert_array_equal(kmeans.assign_clusters(data, centroids), labels)


@pytest.mark.usefixtures("both_routes")
def test_timestamps_with_missing_values():
    rng = np.random.default_rng(0)
    data = 1.7e9 + np.repeat([0.0, 300, 1000], 3300)[:, None] + rng.normal(size=(9900, 1)) * 20
    data = rng.permutation(np.vstack([data, np.zeros((100, 1))]))
    start = np.array([[0.0], [1.7e9 - 50], [1.7e9 + 5], [1.7e9 + 900]])
    seen = []
    ours = kmeans.train_kmeans(data, start, num_iterations=100, callback=lambda *c: seen.append(c))
    distortions = [J for _, J, _ in seen]
    theirs = KMeans(4, init=start, n_init=1, tol=0, max_iter=100).fit(data)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-15, atol=1e-5)
    np.testing.assert_array_equal(kmeans.assign_clusters(data, ours), theirs.labels_)
    assert np.all(np.diff(distortions) <= 0) and len(distortions) < 100


@pytest.mark.usefixtures("both_routes")
def test_clusters_far_apart_have_an_exact_distortion():
    data = np.repeat([[0.0], [1e6]], 500, axis=0) + np.tile([[-0.25], [0.25]], (500, 1))
    seen = []
    kmeans.train_kmeans(data, [[3.0], [1e6 - 3]], callback=lambda t, J, c: seen.append(J))
    assert seen == [9.0625, 0.0625]


@pytest.mark.usefixtures("both_routes")
def test_sums_are_those_of_the_clusters():
    data = blobs(2, 500, 3, 4)
    clusters, centroids = kmeans._Clusters(data, data[:4]), data[:4]
    for _ in range(5):
        labels = clusters.assign(centroids)
        offsets = data - clusters.centre
        r = np.linalg.norm(offsets, axis=1)
        x = np.column_stack([offsets, np.ones(500), r])
        expected = [x[labels == k].sum(axis=0) for k in range(4)]
        np.testing.assert_allclose(clusters.sums[:4], expected, rtol=1e-11)
        centroids = kmeans._update_centroids(clusters, centroids)


@pytest.mark.usefixtures("both_routes")
def test_a_huge_value_leaves_no_trace_in_the_cluster_it_left():
    data = np.vstack([blobs(1, 100, 1, 1), [[1e20], [1.8e20]]])
    calls = []
    kmeans.train_kmeans(data, [[0.0], [2.1e20]], callback=lambda t, J, c: calls.append(c))
    assert calls[1][0] > 1e17  # 1e20 started in the first cluster
    np.testing.assert_allclose(calls[-1], [[data[:100].mean()], [1.4e20]], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1e9, 1e150])
@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.usefixtures("both_routes")
def test_scale_and_shift_move_with_the_data(scale, shift):
    data = blobs(6, 300, 2, 3)
    expected = (kmeans.train_kmeans(data, data[:3]) + shift) * scale
    moved = (data + shift) * scale
    np.testing.assert_allclose(kmeans.train_kmeans(moved, moved[:3]), expected, rtol=1e-9)


@pytest.mark.usefixtures("both_routes")
def test_squares_that_lose_digits_near_zero():
    for scale in np.geomspace(1e-162, 1e-158, 9):
        data = np.random.default_rng(0).normal(size=(1000, 2)) * scale
        labels = textbook.kmeans.assign_clusters(data, data[:30])
        np.testing.assert_array_equal(kmeans.assign_clusters(data, data[:30]), labels)


class Rounded(kmeans._Clusters):
    """Clusters around a centre at 0, whose squared distances are wrong as rounding may make them.

    `errors` (K,) says how wrong, in units of the bound, which is worked out here for one point.
    """

    def __init__(self, point, centroids, errors):
        super().__init__(point[None], centroids)
        self.centre, self.errors = np.zeros(len(point)), errors

    def _reassign(self, weights):
        r2 = np.sum(self.points**2)
        D2 = np.sum((self.points - self.centroids) ** 2, axis=1)  # (K,)
        bound = (self.points.size + 2) * EPS * (8 * r2 + 2 * D2)  # (K,)
        return super()._reassign(
            np.column_stack([weights[:, :-1], weights[:, -1] + self.errors * bound])
        )


# Where a point lies, and in how many dimensions: at the centre, and far from it.
PLACES = pytest.mark.parametrize(("d", "r"), [(d, r) for d in (1, 2, 16) for r in (0, 2.0**20)])


def place(d, r):
    """Return a point (d,) at distance r, a direction (d,), and the bound at distance 1 from it."""
    point, direction = np.zeros(d), np.zeros(d)
    point[0], direction[-1] = r, 1.0
    return point, direction, (d + 2) * EPS * (8 * r * r + 2)


@PLACES
@pytest.mark.usefixtures("both_routes")
def test_rounding_swaps_no_labels(d, r):
    point, direction, bound = place(d, r)
    far = math.sqrt(1 + max(bound / 10, 4 * EPS))
    centroids = np.array([point + far * direction, point - direction])
    clusters = Rounded(point, centroids, np.array([-1, 1]))
    assert clusters.assign(centroids) == 1


@PLACES
@pytest.mark.usefixtures("both_routes")
def test_rounding_skips_no_change(d, r):
    """The gap looks wider than it is. The moves close it, but not what it looks like."""
    point, direction, bound = place(d, r)
    far = math.sqrt(1 + 40 * bound)
    gap, middle, least = far - 1, (1 + far) / 2, max((far - 1) / 1000, 2 * EPS)
    moves = [(far, 1), (far - gap / 4, 1 + gap / 4), (middle - least, middle + least)]
    steps = [np.array([point + a * direction, point - b * direction]) for a, b in moves]
    clusters = Rounded(point, steps[0], np.array([1, -1]))
    assert [clusters.assign(centroids).item() for centroids in steps] == [1, 1, 0]


@pytest.mark.usefixtures("both_routes")
def test_a_tie_reached_by_moving_goes_to_the_lower_index():
    """The drift comes to exactly the gap."""
    clusters = kmeans._Clusters(np.zeros((1, 1)), np.array([[3.0], [0.0]]))
    assert clusters.assign(np.array([[3.0], [0.0]])) == 1
    assert clusters.assign(np.array([[1.5], [1.5]])) == 0


@pytest.mark.usefixtures("both_routes")
def test_moves_too_small_for_the_drift_add_up():
    clusters = kmeans._Clusters(np.zeros((1, 1)), np.array([[-99.0], [99.0]]))
    for t in range(-1, 40):  # the first step moves far
        centroids = np.array([[-1 - (40 - t) * EPS], [1 + t * EPS]])
        assert clusters.assign(centroids) == (t < 20)
    assert clusters.drift[0] > 196
    clusters = kmeans._Clusters(np.zeros((1, 1)), np.array([[0.0]]))
    clusters.assign(np.array([[1e-170]]))  # whose square is 0
    assert clusters.drift[0] >= 2e-170


@pytest.mark.usefixtures("both_routes")
def test_equal_centroids_do_not_swap_points_for_ever():
    rng = np.random.default_rng(281)
    data = rng.integers(0, 2, (349, 2)) * 1.0
    steps = []
    initial = data[rng.choice(349, 17, replace=False)]
    with pytest.warns(UserWarning, match="17 rows, 4 of them distinct, for 349 points"):
        kmeans.train_kmeans(data, initial, callback=lambda t, *_: steps.append(t))
    assert len(steps) < 10


# What makes it fast


def due_by_the_rule(data, centroids, num_iterations):
    """Return how many points each step looks at, by the triangle inequality and nothing else."""
    labels, expiry = np.zeros(len(data), int), np.full(len(data), -np.inf)
    drift, previous, numbers = np.zeros(len(centroids)), centroids, []
    for _ in range(num_iterations):
        moves = np.linalg.norm(centroids - previous, axis=1)
        drift += moves + moves.max()
        due = expiry < drift[labels]
        numbers.append(due.sum())
        distances = np.linalg.norm(data[due, None] - centroids, axis=2)
        labels[due] = distances.argmin(axis=1)
        nearest, second = np.sort(distances, axis=1)[:, :2].T
        expiry[due] = drift[labels[due]] + second - nearest
        previous = centroids
        centroids = textbook.kmeans.update_centroids(data, labels, centroids)
    return numbers


def test_points_are_skipped(both_routes, monkeypatch):
    numbers = []

    def counted(*arguments):
        result = both_routes(*arguments)
        numbers.append(result[0])
        return result

    monkeypatch.setattr(kmeans, "_route", lambda: counted)
    data = np.random.default_rng(0).uniform(size=(20000, 3))
    kmeans.train_kmeans(data, data[:16], num_iterations=40)
    assert numbers == pytest.approx(due_by_the_rule(data, data[:16], 40), abs=3)
    assert sum(numbers) < 40 * len(data) / 2


def test_small_work_compiles_nothing(monkeypatch):
    monkeypatch.setattr(kmeans, "_numbers_done", 0)
    monkeypatch.setattr(kmeans, "_compiled_loop", lambda: pytest.fail("compiled"))
    data = np.random.default_rng(0).normal(size=(100, 3))
    kmeans.train_kmeans(data, data[:5], num_iterations=100_000)
    pixels = np.random.default_rng(0).integers(0, 256, size=(16384, 3))
    for _ in range(3):
        kmeans.train_kmeans(pixels, pixels[:16], num_iterations=50)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_long_run_turns_to_the_compiled_loop_on_its_way(num_threads, monkeypatch):
    loop, calls, data = kmeans._compiled_loop(), [], blobs(0, 3000, 4, 8)
    monkeypatch.setattr(kmeans, "_compiled_loop", lambda: lambda *a: calls.append(1) or loop(*a))
    monkeypatch.setattr(kmeans, "_WORTH_SHARING", 0)
    expected = textbook.kmeans.train_kmeans(data, data[:8], num_iterations=9)
    for numbers, expected_calls in ((3000 * 12, 8), (3000 * 12 + 1, 7), (9e9, 0)):
        calls.clear()
        monkeypatch.setattr(kmeans, "_numbers_done", 0)
        monkeypatch.setattr(kmeans, "_WORTH_COMPILING", numbers)
        with threadpool_limits(num_threads):
            ours = kmeans.train_kmeans(data, data[:8], num_iterations=9)
        np.testing.assert_allclose(ours, expected, rtol=1e-12)
        assert len(calls) == expected_calls * num_threads
    assert kmeans._numbers_done > 3000 * 12


def test_no_layout_compiles_the_loop_anew(monkeypatch):
    force(monkeypatch, "compiled")
    data = blobs(0, 50, 3, 4)
    for points in (data, np.asfortranarray(data), data[::-1], data.astype(np.float32)):
        kmeans.train_kmeans(points, points[:4])
        kmeans.assign_clusters(points, points[:4])
    assert len(kmeans._compiled_loop().signatures) == 1


def works(loop):
    row, label, never = np.ones((1, 1)), np.ones(1, np.int64), np.full(1, -np.inf)
    step = row[0], row, np.zeros((1, 2)), np.zeros(2), 1e-15
    return loop(*step, row, label, never)[:3] == (1, True, True)


def test_where_numba_has_no_place_for_its_cache_the_loop_is_compiled_all_the_same(monkeypatch):
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    kmeans._blas()
    assert works(kmeans._compiled_loop.__wrapped__())
    assert kmeans._blas.cache_info().currsize == 0  # the loop may have brought another BLAS


def test_a_damaged_cache_is_passed_by(monkeypatch, tmp_path):
    config = pytest.importorskip("numba.core.config")
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert works(kmeans._compiled_loop.__wrapped__())
    kept = [path for path in tmp_path.rglob("*.nb*") if path.is_file()]
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    for path in kept:
        path.write_bytes(path.read_bytes()[:-100])
    assert works(kmeans._compiled_loop.__wrapped__())


def test_without_numba_the_arrays_do_all(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert kmeans._compiled_loop.__wrapped__() is None
    monkeypatch.setattr(kmeans, "_compiled_loop", lambda: None)
    monkeypatch.setattr(kmeans, "_WORTH_COMPILING", 0)
    assert kmeans._route() is kmeans._reassign_arrays


@pytest.mark.usefixtures("both_routes")
def test_the_type_of_the_numbers():
    data = np.round(blobs(7, 400, 3, 4) * 8)  # exact in all of them
    expected = kmeans.train_kmeans(data, data[:4])
    assert expected.dtype == np.float64
    for dtype, result in ((">f8", "f8"), ("f4", "f4"), ("f2", "f2"), ("i8", "f8"), ("i1", "f8")):
        ours = kmeans.train_kmeans(data.astype(dtype), data[:4])
        assert ours.dtype == np.dtype(result)
        np.testing.assert_array_equal(ours, expected.astype(result))


# Degenerate data


@pytest.mark.usefixtures("both_routes")
def test_an_empty_cluster_keeps_its_centroid():
    data = np.array([[0.1], [1.0], [2.0]])
    far = 1 / 3 + 1e6
    result = kmeans.train_kmeans(data, np.array([[0.0], [far], [2.0]]))
    assert result[1, 0] == far
    np.testing.assert_allclose(result[[0, 2]], [[0.55], [2.0]])


@pytest.mark.usefixtures("both_routes")
def test_more_clusters_than_points_leaves_the_rest_where_they_are():
    with pytest.warns(UserWarning, match="initial_centroids has 3 rows, .* for 2 points; the"):
        result = kmeans.train_kmeans([[0.0], [4.0]], [[1.0], [5.0], [9.0]])
    np.testing.assert_array_equal(result, [[0.0], [4.0], [9.0]])


@pytest.mark.usefixtures("both_routes")
def test_equal_points_and_equal_centroids():
    data = np.full((50, 3), 7.25)
    with pytest.warns(UserWarning, match="2 rows, 1 of them distinct") as caught:
        result = kmeans.train_kmeans(data, [[0.0, 2, 3], [-0.0, 2, 3]])
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]
    np.testing.assert_array_equal(result, [[7.25] * 3, [0, 2, 3]])  # ties go to the lower index
    np.testing.assert_array_equal(kmeans.assign_clusters(data, result), 0)


@pytest.mark.filterwarnings("error")
def test_one_point_and_no_iteration():
    np.testing.assert_array_equal(kmeans.train_kmeans([[3, 4]], [[0, 0]]), [[3, 4]])
    result = kmeans.train_kmeans([[3, 4]], [[0, 0]], num_iterations=0)
    np.testing.assert_array_equal(result, [[0, 0]])
    assert result.dtype == np.float64


def test_a_centroid_that_the_points_type_cannot_hold_is_refused():
    data = np.zeros((3, 1), np.float16)
    with pytest.raises(ValueError, match="initial_centroids holds values up to 1e\\+06.*float16"):
        kmeans.train_kmeans(data, [[0.0], [-1e6]])
    largest = np.float64(np.finfo(np.float16).max)
    data[:] = largest  # the sum overflows
    result = kmeans.train_kmeans(data, [[0.0], [-largest]])
    np.testing.assert_array_equal(result, [[largest], [-largest]])


def test_what_are_no_points_is_refused_with_a_remedy():
    for data in (np.zeros((4, 4, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match="train_data must have shape.*reshape"):
            kmeans.train_kmeans(data, [[0.0, 0, 0]])
    with pytest.raises(ValueError, match="initial_centroids must have .* got 16; pass the p"):
        kmeans.train_kmeans(np.zeros((4, 3)), 16)
    with pytest.raises(ValueError, match=r"^image must have shape \(H, W, d\), got \(4, 3\); give"):
        kmeans.compress_image(np.zeros((4, 3)), np.zeros((1, 3)))


# Images


def test_compress_image_takes_the_nearest_colour_and_rounds():
    image = np.array([[[0, 0, 0], [250, 250, 250]], [[9, 8, 7], [255, 0, 0]]], dtype=np.uint8)
    palette = [[1.5, 2.49, -3.0], [251.0, 249.9, 300.0]]
    expected = [[[2, 2, 0], [251, 250, 255]], [[2, 2, 0], [2, 2, 0]]]
    result = kmeans.compress_image(image, palette)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


LEVELS = np.arange(12).reshape(2, 2, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_picture_scaled_from_0_to_1_gets_a_warning(dtype):
    scaled = (LEVELS / 11).astype(dtype)
    for call, name in (
        (lambda: kmeans.compress_image(scaled, scaled[0]), "image"),
        (lambda: kmeans.compress_image(scaled, LEVELS[0]), "image"),
        (lambda: kmeans.compress_image(LEVELS, scaled[0]), "centroids"),
        (lambda: kmeans.mean_pixel_error(LEVELS, scaled), "compressed"),
        (lambda: kmeans.mean_pixel_error(scaled, LEVELS), "image"),
    ):
        with pytest.warns(UserWarning, match=f"^{name} runs from 0 to") as caught:
            call()
        assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


@pytest.mark.filterwarnings("error")
def test_a_dark_picture_gets_none():
    kmeans.compress_image(LEVELS // 11, [[0.5] * 3])  # levels 0 and 1
    kmeans.compress_image(LEVELS // 11 * 1.0, [[0.0] * 3])
    kmeans.compress_image(LEVELS / 10, [[1.5] * 3])  # above 1
    kmeans.compress_image(LEVELS / 11 - 0.1, [[1.5] * 3])  # below 0
    kmeans.mean_pixel_error(LEVELS / 11, LEVELS / 12)


def test_mean_pixel_error_does_not_wrap():
    a, b = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    for pair in ((a, b), (b, a)):
        assert kmeans.mean_pixel_error(*pair) == pytest.approx(200 * math.sqrt(3))


@pytest.mark.parametrize(
    ("dtype", "x", "y"),
    [
        ("uint8", [1, 0], [2, 16]),
        ("uint64", [0], [2**33]),
        ("int8", [17], [0]),
        ("int16", [257], [0]),
        ("int32", [2**16 + 1], [0]),
        ("int64", [-(2**62)], [2**62]),
        ("int64", [2**32], [0]),
    ],
)
def test_euclidean_distance_says_when_it_wraps(dtype, x, y):
    with pytest.warns(RuntimeWarning, match=f"{dtype} wraps around") as caught:
        distance = kmeans.euclidean_distance(np.array([x], dtype), np.array([y], dtype))
    assert distance != np.linalg.norm(np.subtract(y, x, dtype=float))
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]


@pytest.mark.filterwarnings("error")
def test_euclidean_distance_without_wrapping():
    wrapped = np.sqrt(np.sum((np.uint8([[9, 5]]) - np.uint8([[7, 2]])) ** 2))
    assert kmeans.euclidean_distance(np.uint8([[9, 5]]), np.uint8([[7, 2]])) == wrapped
    for dtype in (float, np.int64, np.int32, np.int16):
        x, y = np.arange(6).reshape(2, 3).astype(dtype), np.ones((2, 3), dtype)
        np.testing.assert_allclose(kmeans.euclidean_distance(x, y), np.linalg.norm(x - y, axis=1))
    with pytest.raises(ValueError, match="a squared distance is too large for int16"):
        kmeans.euclidean_distance(np.int16([[200]]), np.int16([[0]]))  # the root of a negative
    with pytest.raises(TypeError, match="x and y .*bool"):
        kmeans.euclidean_distance([[True]], [[False]])
