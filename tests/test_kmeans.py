"""k-means against the reference, scikit-learn, and a slow obvious version."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

import kmeans
from data import reference
from tests.conftest import awkward_copies

REFERENCE = reference("kmeans")


def slow_kmeans(data, centroids, num_iterations):
    """Lloyd's algorithm, point by point."""
    centroids = np.array(centroids, dtype=float)
    for _ in range(num_iterations):
        labels = np.array([np.argmin([np.sum((x - c) ** 2) for c in centroids]) for x in data])
        for k in range(len(centroids)):
            if np.any(labels == k):
                centroids[k] = np.mean(data[labels == k], axis=0)
    return centroids


def blobs(seed, N, d, K):
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=3, size=(K, d))
    return centres[rng.integers(K, size=N)] + rng.normal(size=(N, d))


@pytest.fixture(params=[0, np.inf], ids=["compiled", "arrays"])
def both_routes(request, monkeypatch):
    """Run the test with the compiled loop and with the one on arrays."""
    monkeypatch.setattr(kmeans, "_WORTH_COMPILING", request.param)


@pytest.fixture(scope="module")
def centroids(mandrill_pixels):
    initial = mandrill_pixels[REFERENCE["initial_centroid_indices"]]
    return kmeans.train_kmeans(mandrill_pixels, initial, num_iterations=50)


# The reference


def test_mandrill_errors(mandrill_large, centroids):
    compressed = kmeans.compress_image(mandrill_large, centroids)
    assert compressed.dtype == np.uint8
    assert compressed.shape == mandrill_large.shape
    true = kmeans.mean_pixel_error(mandrill_large, compressed)
    assert true == pytest.approx(REFERENCE["mean_pixel_error_float"], abs=1e-9)
    with pytest.warns(RuntimeWarning, match="mean_pixel_error"):
        wrapped = kmeans.euclidean_distance(compressed, mandrill_large).mean()
    assert wrapped == pytest.approx(REFERENCE["mean_pixel_error_uint8_arithmetic"], abs=1e-9)


def test_mandrill_counts(mandrill_pixels, centroids):
    counts = np.bincount(kmeans.assign_clusters(mandrill_pixels, centroids))
    np.testing.assert_array_equal(counts, REFERENCE["final_counts"])


@pytest.mark.parametrize("iteration", ["0", "1", "49"])
@pytest.mark.usefixtures("both_routes")
def test_mandrill_training_error(mandrill_pixels, iteration):
    initial = mandrill_pixels[REFERENCE["initial_centroid_indices"]]
    c = kmeans.train_kmeans(mandrill_pixels, initial, num_iterations=int(iteration))
    error = kmeans.mean_pixel_error(mandrill_pixels, c[kmeans.assign_clusters(mandrill_pixels, c)])
    expected = REFERENCE["training_mean_error_by_iteration"][iteration]
    assert error == pytest.approx(expected, abs=1e-9)


@pytest.mark.usefixtures("both_routes")
def test_mandrill_stops_when_no_assignment_changes(mandrill_pixels):
    initial = mandrill_pixels[REFERENCE["initial_centroid_indices"]]
    steps = []
    kmeans.train_kmeans(mandrill_pixels, initial, callback=lambda t, _: steps.append(t))
    key = "first_iteration_0_based_whose_assignments_equal_the_previous_ones"
    assert steps == list(range(REFERENCE[key]))


def test_compression_factor():
    expected = REFERENCE["compression_factor"]
    assert kmeans.compression_factor(512 * 512, 16) == pytest.approx(expected, rel=1e-12)
    assert kmeans.compression_factor(10, 1) == 240 / 24  # no bits a pixel, one colour
    assert kmeans.compression_factor(1000, 5) == 24000 / (3000 + 120)  # 5 colours need 3 bits


# Oracles


@pytest.mark.parametrize("d", [1, 2, 3, 16, 50])
@pytest.mark.parametrize("num_iterations", [1, 2, 7, 100])
@pytest.mark.usefixtures("both_routes")
def test_agrees_with_the_slow_version(d, num_iterations):
    data = blobs(d, 150, d, 5)
    result = kmeans.train_kmeans(data, data[:5], num_iterations=num_iterations)
    np.testing.assert_allclose(
        result, slow_kmeans(data, data[:5], num_iterations), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("d", [1, 2, 3, 16, 50])
@pytest.mark.parametrize("K", [1, 2, 16, 150])
@pytest.mark.usefixtures("both_routes")
def test_agrees_with_scikit_learn(d, K):
    data = blobs(d + K, 6000, d, min(K, 16))
    initial = data[:K]
    theirs = KMeans(K, init=initial, n_init=1, tol=0, max_iter=25, algorithm="lloyd").fit(data)
    if np.any(np.bincount(theirs.labels_, minlength=K) == 0):
        pytest.fail("scikit-learn moves empty clusters: pick another seed")
    ours = kmeans.train_kmeans(data, initial, num_iterations=25)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.usefixtures("both_routes")
def test_threads_do_not_matter(monkeypatch, num_threads):
    data = blobs(9, 301, 4, 6)
    monkeypatch.setattr(kmeans, "_WORTH_SHARING", 0)
    with threadpool_limits(num_threads):
        result = kmeans.train_kmeans(data, data[:6], num_iterations=9)
    np.testing.assert_allclose(result, slow_kmeans(data, data[:6], 9), rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("both_routes")
def test_every_step_is_the_full_step_on_large_data():
    """The skipped points are exactly those whose assignment holds, in every iteration."""
    data = np.random.default_rng(0).uniform(size=(20000, 3))  # no clusters: slow convergence
    centroids = data[:16]
    for num_iterations in range(12):
        ours = kmeans.train_kmeans(data, data[:16], num_iterations=num_iterations)
        np.testing.assert_allclose(ours, centroids, rtol=1e-11)
        distances = ((data[:, None] - centroids) ** 2).sum(axis=2)
        labels = distances.argmin(axis=1)
        np.testing.assert_array_equal(kmeans.assign_clusters(data, centroids), labels)
        centroids = np.array([data[labels == k].mean(axis=0) for k in range(16)])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_ties_between_whole_numbers_go_to_the_lower_index(d):
    rng = np.random.default_rng(d)
    data = rng.integers(0, 256, size=(5000, d))
    centroids = data[rng.choice(5000, 100, replace=False)]
    squares = ((data[:, None] - centroids) ** 2).sum(axis=2)
    assert np.sum(np.sort(squares, axis=1)[:, 0] == np.sort(squares, axis=1)[:, 1]) > 0
    np.testing.assert_array_equal(kmeans.assign_clusters(data, centroids), squares.argmin(axis=1))


@pytest.mark.usefixtures("both_routes")
def test_equal_centroids_do_not_swap_points_for_ever():
    rng = np.random.default_rng(281)
    data = rng.integers(0, 2, (349, 2)) * 1.0
    steps = []
    initial = data[rng.choice(349, 17, replace=False)]
    kmeans.train_kmeans(data, initial, num_iterations=50, callback=lambda t, _: steps.append(t))
    assert len(steps) < 10


def test_runs_at_once_leave_the_number_of_blas_threads_as_it_was():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    data = np.random.default_rng(0).normal(size=(100_000, 4))

    def run(_):
        return kmeans.train_kmeans(data, data[:32], num_iterations=3)

    before = threadpoolctl.threadpool_info()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run, range(9)))
    assert threadpoolctl.threadpool_info() == before
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-12)


@pytest.mark.usefixtures("both_routes")
def test_callback_gives_the_distortion_and_it_never_rises():
    data = blobs(3, 800, 4, 6)
    seen = []
    kmeans.train_kmeans(data, data[:6], callback=lambda t, J: seen.append(J))
    for t, J in enumerate(seen):
        previous = kmeans.train_kmeans(data, data[:6], num_iterations=t)
        current = kmeans.train_kmeans(data, data[:6], num_iterations=t + 1)
        labels = kmeans.assign_clusters(data, previous)
        assert J == pytest.approx(np.mean(np.sum((data - current[labels]) ** 2, axis=1)))
    assert len(seen) > 3
    assert np.all(np.diff(seen) <= 1e-12)


# What must not matter


@pytest.mark.usefixtures("both_routes")
def test_order_of_the_points_does_not_matter():
    data = blobs(5, 500, 3, 4)
    shuffled = np.random.default_rng(1).permutation(data)
    np.testing.assert_allclose(
        kmeans.train_kmeans(data, data[:4]), kmeans.train_kmeans(shuffled, data[:4]), rtol=1e-11
    )


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1e9, 1e150])
@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.usefixtures("both_routes")
def test_scale_and_shift_move_with_the_data(scale, shift):
    data = blobs(6, 300, 2, 3)
    expected = (kmeans.train_kmeans(data, data[:3]) + shift) * scale
    moved = (data + shift) * scale
    np.testing.assert_allclose(kmeans.train_kmeans(moved, moved[:3]), expected, rtol=1e-9)


@pytest.mark.parametrize("layout", range(5))
@pytest.mark.usefixtures("both_routes")
def test_layouts_and_dtypes(layout):
    data = np.round(blobs(7, 400, 3, 4) * 8)  # exact in float32
    name, copy = list(awkward_copies(data))[layout]
    result = kmeans.train_kmeans(copy, data[:4])
    assert result.dtype == (np.float32 if name == "float32" else np.float64)
    np.testing.assert_allclose(result, kmeans.train_kmeans(data, data[:4]), rtol=1e-6)


def test_integers_become_float64():
    data = np.random.default_rng(0).integers(0, 256, size=(300, 3), dtype=np.uint8)
    result = kmeans.train_kmeans(data, data[:4])
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, kmeans.train_kmeans(data.astype(float), data[:4]))


@pytest.mark.usefixtures("both_routes")
def test_inputs_are_untouched_and_not_aliased():
    data = blobs(8, 100, 3, 4)
    initial = data[:4].copy()
    before, initial_before = data.copy(), initial.copy()
    for num_iterations in (0, 3):
        result = kmeans.train_kmeans(data, initial, num_iterations=num_iterations)
        assert not np.shares_memory(result, initial)
        kmeans.assign_clusters(data, initial)
        np.testing.assert_array_equal(data, before)
        np.testing.assert_array_equal(initial, initial_before)


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
    result = kmeans.train_kmeans([[0.0], [4.0]], [[1.0], [5.0], [9.0]])
    np.testing.assert_array_equal(result, [[0.0], [4.0], [9.0]])


@pytest.mark.usefixtures("both_routes")
def test_equal_points_and_equal_centroids():
    data = np.full((50, 3), 7.25)
    result = kmeans.train_kmeans(data, [[1.0, 2, 3], [1, 2, 3]])
    np.testing.assert_array_equal(result, [[7.25] * 3, [1, 2, 3]])  # ties go to the lower index
    np.testing.assert_array_equal(kmeans.assign_clusters(data, result), 0)


def test_one_point_and_no_iteration():
    np.testing.assert_array_equal(kmeans.train_kmeans([[3, 4]], [[0, 0]]), [[3, 4]])
    result = kmeans.train_kmeans([[3, 4]], [[0, 0]], num_iterations=0)
    np.testing.assert_array_equal(result, [[0, 0]])
    assert result.dtype == np.float64


# Images


def test_compress_image_takes_the_nearest_colour_and_rounds():
    image = np.array([[[0, 0, 0], [250, 250, 250]], [[9, 8, 7], [255, 0, 0]]], dtype=np.uint8)
    palette = [[1.5, 2.49, -3.0], [251.0, 249.9, 300.0]]
    expected = [[[2, 2, 0], [251, 250, 255]], [[2, 2, 0], [2, 2, 0]]]
    result = kmeans.compress_image(image, palette)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def test_mean_pixel_error_does_not_wrap():
    a = np.zeros((2, 2, 3), dtype=np.uint8)
    b = np.full((2, 2, 3), 200, dtype=np.uint8)
    assert kmeans.mean_pixel_error(a, b) == pytest.approx(200 * math.sqrt(3))
    assert kmeans.mean_pixel_error(b, a) == pytest.approx(200 * math.sqrt(3))


def test_euclidean_distance_wraps_only_on_unsigned_integers():
    with pytest.warns(RuntimeWarning, match="uint8 wraps around"):
        wrapped = kmeans.euclidean_distance(np.uint8([[1, 0]]), np.uint8([[2, 16]]))
    np.testing.assert_array_equal(wrapped, [np.sqrt(1.0)])  # 255 squared is 1, 240 squared is 0
    with pytest.warns(RuntimeWarning, match="int16 wraps around"):
        kmeans.euclidean_distance(np.int16([[200, 181, 181]]), np.int16([[0, 0, 0]]))
    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    np.testing.assert_allclose(kmeans.euclidean_distance(x, y), np.linalg.norm(x - y, axis=1))
    assert kmeans.euclidean_distance(x.astype(np.int32), y.astype(np.int32)).shape == (2,)


def test_verbose_prints_a_line_a_step(capsys):
    kmeans.train_kmeans([[0.0], [1.0], [5.0]], [[0.0], [1.0]], verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["iteration 0", "iteration 1"]
    kmeans.hello()
    assert capsys.readouterr().out == "Hello from kmeans.py!\n"
