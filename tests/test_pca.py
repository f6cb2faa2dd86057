"""PCA against the reference, scikit-learn, the SVD, and the definition written out."""

import tracemalloc

import numpy as np
import pytest
import scipy.linalg
from sklearn.decomposition import PCA

import pca
from data import reference
from tests.conftest import awkward_copies

REFERENCE = reference("pca")


def slow_covariance(data, ddof):
    """The definition, point by point."""
    mean = sum(data) / len(data)
    return sum(np.outer(x - mean, x - mean) for x in data) / (len(data) - ddof)


def slow_distortion(data, U):
    """Eq. (9), point by point and component by component."""
    total = 0.0
    for x in data - np.mean(data, axis=0):
        projection = sum((u @ x) * u for u in U.T)
        total += np.sum((x - projection) ** 2)
    return total / len(data)


def gaussian(seed, N, d):
    return np.random.default_rng(seed).normal(size=(N, d))


def stretched(seed, N, d, smallest=1.0):
    """Points with well separated eigenvalues, far from the origin."""
    rng = np.random.default_rng(seed)
    rank = min(N, d)
    axes = np.linalg.qr(rng.normal(size=(d, rank)))[0]  # (d, rank)
    return (rng.normal(size=(N, rank)) * np.geomspace(10, smallest, rank)) @ axes.T + 100


def with_constant_columns(data):
    data = data.copy()
    data[:, ::2] = 0.1
    return data


DATA = {
    "tall": stretched(0, 50, 6),
    "square": gaussian(1, 7, 7),
    "wide": stretched(2, 8, 30),
    "one column wider than tall": gaussian(3, 6, 7),
    "rank 2, tall": gaussian(4, 50, 2) @ gaussian(5, 2, 6),
    "rank 2, wide": gaussian(6, 8, 2) @ gaussian(7, 2, 30),
    "wide, singular values down to rounding": stretched(8, 20, 60, smallest=1e-14),
    "one feature": gaussian(9, 12, 1),
    "two points": gaussian(10, 2, 7),
    "constant columns, tall": with_constant_columns(gaussian(11, 20, 5)),
    "constant columns, wide": with_constant_columns(gaussian(12, 6, 11)),
    "duplicated points, tall": np.repeat(gaussian(13, 4, 6), 5, axis=0),
    "duplicated points, wide": np.repeat(gaussian(14, 3, 20), 4, axis=0),
    "equal points, tall": np.full((9, 4), 0.1),
    "equal points, wide": np.full((4, 9), 0.1),
    "equal eigenvalues": np.concatenate([np.eye(4), -np.eye(4)]),
    "far from the origin": gaussian(15, 30, 4) + 1e8,
    "integers": np.random.default_rng(16).integers(0, 256, size=(20, 6), dtype=np.uint8),
}
SEPARATED = ("tall", "square", "wide", "one column wider than tall", "one feature", "two points")


@pytest.fixture(scope="module")
def faces(originals):
    return np.load(originals / "face.npy").reshape(2414, -1)  # uint8 (2414, 2016)


@pytest.fixture(scope="module")
def eigenfaces(faces):
    return pca.pca(faces)


# The reference


def test_faces_eigenvalues(eigenfaces):
    _, eigenvalues = eigenfaces
    expected = REFERENCE["first_10_eigenvalues_ddof1"]
    np.testing.assert_allclose(eigenvalues[:10], expected, rtol=1e-8)


@pytest.mark.parametrize("percent", [95, 99])
def test_faces_components_kept(eigenfaces, percent):
    U, eigenvalues = eigenfaces
    kept = pca.num_components_for(eigenvalues, percent / 100)
    assert kept == REFERENCE[f"components_{percent}"]
    assert 1 - kept / len(U) == pytest.approx(REFERENCE[f"reduction_{percent}"], abs=1e-12)


def test_faces_are_rebuilt_to_the_variance_kept(faces, eigenfaces):
    U, eigenvalues = eigenfaces
    left_out = eigenvalues[43:].sum() * 2413 / 2414  # eq. (11) is about 1/N
    assert pca.distortion(faces, U[:, :43]) == pytest.approx(left_out, rel=1e-10)
    mean = faces.mean(axis=0)
    rebuilt = pca.reconstruct(pca.project(faces, U[:, :43], mean), U[:, :43], mean)
    assert np.mean(np.sum((faces - rebuilt) ** 2, axis=1)) == pytest.approx(left_out, rel=1e-10)


def test_faces_eigenfaces_are_orthonormal(eigenfaces):
    U, _ = eigenfaces
    np.testing.assert_allclose(U.T @ U, np.eye(2016), atol=1e-10)


def test_few_faces_take_the_wide_route_to_the_same_answer(faces):
    few = faces[::60].astype(float)  # (41, 2016)
    U, eigenvalues = pca.pca(few, num_components=10)
    sklearn = PCA(10, svd_solver="full").fit(few)
    np.testing.assert_allclose(eigenvalues, sklearn.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(np.abs(sklearn.components_ @ U), np.eye(10), atol=1e-9)


# The definition


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", DATA)
def test_components_are_orthonormal_eigenvectors(name, ddof):
    data = DATA[name]
    U, eigenvalues = pca.pca(data, ddof=ddof)
    d = data.shape[1]
    S = slow_covariance(data.astype(float), ddof)
    assert U.shape == (d, d)
    assert eigenvalues.shape == (d,)
    np.testing.assert_allclose(U.T @ U, np.eye(d), atol=1e-13)
    # The slow mean is off by a rounding error of the data's magnitude, and S by its square.
    atol = 1e-13 * np.trace(S) + (1e-15 * np.abs(data).max()) ** 2
    np.testing.assert_allclose(S @ U, U * eigenvalues, rtol=0, atol=atol)
    assert np.all(eigenvalues >= 0)
    assert np.all(np.diff(eigenvalues) <= 0)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("name", DATA)
def test_eigenvalues_are_squared_singular_values(name, ddof):
    data = DATA[name].astype(float)
    squares = scipy.linalg.svdvals(data - data.mean(axis=0)) ** 2
    expected = np.zeros(data.shape[1])
    expected[: len(squares)] = squares / (len(data) - ddof)
    eigenvalues = pca.pca(data, ddof=ddof)[1]
    atol = 1e-13 * expected[0] + (1e-15 * np.abs(data).max()) ** 2
    np.testing.assert_allclose(eigenvalues, expected, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("name", DATA)
def test_largest_entry_of_each_component_is_positive(name):
    U, _ = pca.pca(DATA[name])
    assert np.all(U.max(axis=0) >= (1 - 1e-8) * np.abs(U).max(axis=0))
    again, _ = pca.pca(DATA[name])
    np.testing.assert_array_equal(U, again)


@pytest.mark.parametrize("width", [2, 6])
def test_the_sign_does_not_hang_on_rounding(width):
    # The component is (1, -1, 0, ...) / sqrt(2), and rounding decides which entry is the larger.
    for seed in range(20):
        data = np.zeros((5, width))
        data[:, 0] = gaussian(seed, 5, 1)[:, 0]
        data[:, 1] = -data[:, 0]
        U, _ = pca.pca(data)
        np.testing.assert_allclose(U[:2, 0], [np.sqrt(0.5), -np.sqrt(0.5)], atol=1e-14)


@pytest.mark.parametrize("name", SEPARATED)
def test_scikit_learn(name):
    data = DATA[name]
    sklearn = PCA(svd_solver="full").fit(data)
    K = min(len(data) - 1, data.shape[1])  # the last of N centred points adds no direction
    U, eigenvalues = pca.pca(data, num_components=K)
    np.testing.assert_allclose(eigenvalues, sklearn.explained_variance_[:K], rtol=1e-9)
    np.testing.assert_allclose(np.abs(sklearn.components_[:K] @ U), np.eye(K), atol=1e-8)
    scores = pca.project(data, U, data.mean(axis=0))
    np.testing.assert_allclose(
        np.abs(scores), np.abs(sklearn.transform(data)[:, :K]), atol=1e-8 * np.abs(data).max()
    )


@pytest.mark.parametrize("name", ["tall", "wide", "rank 2, wide", "equal points, wide"])
def test_fewer_components_are_the_first_ones(name):
    data = DATA[name]
    d = data.shape[1]
    U, eigenvalues = pca.pca(data)
    rank = np.linalg.matrix_rank(data - data.mean(axis=0))
    for K in sorted({1, 2, d // 2, d - 1, d}):
        few, some = pca.pca(data, num_components=K)
        np.testing.assert_allclose(some, eigenvalues[:K], rtol=1e-12, atol=1e-13 * eigenvalues[0])
        np.testing.assert_allclose(few.T @ few, np.eye(K), atol=1e-13)
        R = min(rank, K)  # beyond the rank any direction does
        np.testing.assert_allclose(few[:, :R], U[:, :R], atol=1e-10)


def test_constant_columns_take_no_part():
    for data in (DATA["constant columns, tall"], DATA["constant columns, wide"]):
        U, eigenvalues = pca.pca(data)
        varying = eigenvalues > 1e-12
        np.testing.assert_allclose(U[::2, varying], 0, atol=1e-14)


@pytest.mark.parametrize("shape", [(10, 4), (4, 10), (9, 1), (7, 7)])
@pytest.mark.parametrize("value", [0.1, 1e8 / 3, -255.7])
def test_equal_points_have_no_variance_at_all(shape, value):
    data = np.full(shape, value)
    U, eigenvalues = pca.pca(data)
    np.testing.assert_array_equal(eigenvalues, 0)
    assert pca.distortion(data, U[:, :1]) == 0


def test_wide_data_make_no_square_matrix():
    data = gaussian(17, 20, 5000)  # 0.8 MB; a (d, d) matrix would take 200
    tracemalloc.start()
    pca.pca(data, num_components=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * data.nbytes


# Equations (9) to (11)


@pytest.mark.parametrize("name", DATA)
def test_distortion_is_the_sum_of_the_left_out_eigenvalues(name):
    data = DATA[name]
    U, eigenvalues = pca.pca(data, ddof=0)
    for K in sorted({1, (len(U) + 1) // 2, len(U)}):
        left_out = eigenvalues[K:].sum()
        error = pca.distortion(data, U[:, :K])
        assert error == pytest.approx(left_out, rel=1e-9, abs=1e-13 * eigenvalues.sum() + 1e-30)


@pytest.mark.parametrize("name", ["tall", "wide", "rank 2, tall", "integers"])
def test_distortion_for_any_orthonormal_columns(name):
    data = DATA[name].astype(float)
    d = data.shape[1]
    S = slow_covariance(data, ddof=0)
    principal, eigenvalues = pca.pca(data, ddof=0)
    for seed in range(5):
        U = np.linalg.qr(gaussian(seed, d, 3))[0]
        error = pca.distortion(data, U)
        assert error == pytest.approx(slow_distortion(data, U), rel=1e-11)  # eq. (9)
        assert error == pytest.approx(eigenvalues.sum() - np.trace(U.T @ S @ U), rel=1e-10)  # (10)
        assert error >= pca.distortion(data, principal[:, :3])  # (11)


# Projecting and rebuilding


@pytest.mark.parametrize("name", DATA)
def test_all_components_rebuild_the_data(name):
    data = DATA[name]
    mean = data.mean(axis=0)
    U, _ = pca.pca(data)
    rebuilt = pca.reconstruct(pca.project(data, U, mean), U, mean)
    np.testing.assert_allclose(rebuilt, data, atol=1e-12 * np.abs(data).max())


def test_one_point_is_projected_as_among_many():
    data = DATA["tall"]
    U, _ = pca.pca(data, num_components=2)
    mean = data.mean(axis=0)
    scores = pca.project(data, U, mean)
    np.testing.assert_allclose(scores, [[u @ (x - mean) for u in U.T] for x in data], atol=1e-12)
    np.testing.assert_allclose(pca.project(data[3], U, mean), scores[3], atol=1e-12)
    rebuilt = pca.reconstruct(scores, U, mean)
    expected = [z[0] * U[:, 0] + z[1] * U[:, 1] + mean for z in scores]
    np.testing.assert_allclose(rebuilt, expected, atol=1e-12)
    np.testing.assert_allclose(pca.reconstruct(scores[3], U, mean), rebuilt[3], atol=1e-12)


def test_scores_are_uncorrelated_with_the_eigenvalues_as_variances():
    data = DATA["tall"]
    U, eigenvalues = pca.pca(data)
    scores = pca.project(data, U, data.mean(axis=0))
    np.testing.assert_allclose(np.cov(scores.T), np.diag(eigenvalues), atol=1e-12 * eigenvalues[0])


# How many components


@pytest.mark.parametrize(
    ("eigenvalues", "fraction", "expected"),
    [
        ([8, 1, 1], 0.79, 1),
        ([8, 1, 1], 0.8, 1),
        ([8, 1, 1], 0.81, 2),
        ([8, 1, 1], 0.9, 2),
        ([8, 1, 1], 1, 3),
        ([8, 2, 0], 1, 2),
        ([1] * 10, 0.3, 3),
        ([1] * 25, 14 / 25, 14),  # although 14/25 rounds up
        ([5], 0.01, 1),
        ([1e308, 1e308, 1e308], 0.5, 2),
        ([3e-320, 1e-320], 0.9, 2),
    ],
)
def test_num_components_for(eigenvalues, fraction, expected):
    assert pca.num_components_for(eigenvalues, fraction) == expected
    assert type(pca.num_components_for(np.array(eigenvalues), np.float64(fraction))) is int


# Layouts, dtypes and scales


@pytest.mark.parametrize("name", ["tall", "wide"])
def test_layouts_and_dtypes(name):
    data = DATA[name]
    mean = data.mean(axis=0)
    U, eigenvalues = pca.pca(data, num_components=3)
    scores, J = pca.project(data, U, mean), pca.distortion(data, U)
    for layout, copy in awkward_copies(data):
        before = np.array(copy)
        single = layout == "float32"
        rtol = 1e-5 if single else 1e-12
        U_copy, eigenvalues_copy = pca.pca(copy, num_components=3)
        scores_copy = pca.project(copy, U_copy, mean)
        rebuilt = pca.reconstruct(scores_copy, U_copy, mean)
        assert {a.dtype for a in (U_copy, eigenvalues_copy, scores_copy, rebuilt)} == {
            np.dtype(np.float32 if single else np.float64)
        }
        np.testing.assert_allclose(eigenvalues_copy, eigenvalues, rtol=rtol, err_msg=layout)
        np.testing.assert_allclose(U_copy, U, atol=rtol, err_msg=layout)
        np.testing.assert_allclose(scores_copy, scores, atol=100 * rtol, err_msg=layout)
        assert pca.distortion(copy, U) == pytest.approx(J, rel=10 * rtol)
        np.testing.assert_array_equal(copy, before, err_msg=layout)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float16])
def test_other_dtypes_are_computed_in_float64(dtype):
    data = np.random.default_rng(18).integers(0, 2, size=(30, 4)).astype(dtype)
    U, eigenvalues = pca.pca(data)
    result = np.dtype(dtype) if np.dtype(dtype).kind == "f" else np.float64
    assert U.dtype == eigenvalues.dtype == result
    exact_U, exact = pca.pca(data.astype(float))
    np.testing.assert_array_equal(U, exact_U.astype(result))
    np.testing.assert_array_equal(eigenvalues, exact.astype(result))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
@pytest.mark.parametrize("name", ["tall", "wide", "rank 2, wide"])
def test_extreme_scales(name, scale):
    data = DATA[name] - DATA[name].mean(axis=0)
    U, eigenvalues = pca.pca(data, num_components=2)
    U_scaled, eigenvalues_scaled = pca.pca(data * scale, num_components=2)
    np.testing.assert_allclose(U_scaled, U, atol=1e-12)
    np.testing.assert_allclose(eigenvalues_scaled / scale / scale, eigenvalues, rtol=1e-12)
    J = pca.distortion(data * scale, U[:, :1])
    assert J / scale / scale == pytest.approx(pca.distortion(data, U[:, :1]), rel=1e-12)
    assert pca.num_components_for(eigenvalues_scaled, 1.0) == 2


@pytest.mark.filterwarnings("error")
def test_components_survive_where_eigenvalues_do_not():
    data = DATA["tall"] - DATA["tall"].min(axis=0)  # no entry negative
    U, _ = pca.pca(data)
    for scale, atol in ((1e-200, 1e-11), (-1e-200, 1e-11), (1e-310, 1e-9)):
        tiny_U, tiny = pca.pca(data * scale)  # the last is subnormal
        np.testing.assert_allclose(tiny_U, U, atol=atol)
        np.testing.assert_array_equal(tiny, 0)
    for call in (pca.pca, lambda x: pca.distortion(x, U[:, :1])):
        with pytest.raises(ValueError, match=r"too large for float64.*divide the data"):
            call(data * 1e200)
    with pytest.raises(ValueError, match=r"too large for float32.*convert it to float64"):
        pca.pca((data * 1e30).astype(np.float32))
    with pytest.raises(ValueError, match="a score is too large"):
        pca.project([1.7e308], [[1.0]], [-1.7e308])
    with pytest.raises(ValueError, match="a coordinate is too large"):
        pca.reconstruct([1.7e308], [[1.0]], [1.7e308])


def test_one_point():
    U, eigenvalues = pca.pca([[3.0, 4.0]], ddof=0)
    np.testing.assert_array_equal(eigenvalues, [0, 0])
    np.testing.assert_allclose(U.T @ U, np.eye(2), atol=1e-15)
    assert pca.distortion([[3.0, 4.0]], U[:, :1]) == 0


# The course's names


def test_names(capsys):
    pca.hello()
    assert capsys.readouterr().out == "Hello from pca.py!\n"
    assert pca.train_PCA is pca.pca
