"""PCA and its textbook against the reference, scikit-learn, the SVD, and the definition."""

import sys
import tracemalloc

import numpy as np
import pytest
import scipy.linalg
from sklearn.decomposition import PCA

import pca
import textbook.pca
from data import reference

REFERENCE = reference("pca")


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


FULL_RANK = {
    "tall": stretched(0, 50, 6),
    "square": gaussian(1, 7, 7),
    "wide": stretched(2, 8, 30),
    "one column wider than tall": gaussian(3, 6, 7),
    "one feature": gaussian(9, 12, 1),
    "two points": gaussian(10, 2, 7),
    "far from the origin": gaussian(15, 30, 4) + 1e8,
    "integers": np.random.default_rng(16).integers(0, 256, size=(20, 6), dtype=np.uint8),
}
DATA = {
    **FULL_RANK,
    "rank 2, tall": gaussian(4, 50, 2) @ gaussian(5, 2, 6),
    "rank 2, wide": gaussian(6, 8, 2) @ gaussian(7, 2, 30),
    "wide, singular values down to rounding": stretched(8, 20, 60, smallest=1e-14),
    "constant columns, tall": with_constant_columns(gaussian(11, 20, 5)),
    "constant columns, wide": with_constant_columns(gaussian(12, 6, 11)),
    "duplicated points, tall": np.repeat(gaussian(13, 4, 6), 5, axis=0),
    "duplicated points, wide": np.repeat(gaussian(14, 3, 20), 4, axis=0),
    "equal points, tall": np.full((9, 4), 0.1),
    "equal points, wide": np.full((4, 9), 0.1),
    "equal eigenvalues": np.concatenate([np.eye(4), -np.eye(4)]),
}
on_full_rank = pytest.mark.parametrize("name", FULL_RANK)
on_all_data = pytest.mark.parametrize("name", DATA)


def rounding(data):
    """How far an eigenvalue may be off: by rounding of the variance, and of a distant mean."""
    return 1e-13 * np.var(data.astype(float), axis=0).sum() + (1e-15 * np.abs(data).max()) ** 2


@pytest.fixture(scope="module", params=[pca, textbook.pca], ids=["module", "textbook"])
def implementation(request):
    return request.param


@pytest.fixture(scope="module")
def faces(originals):
    return np.load(originals / "face.npy").reshape(2414, -1)  # uint8 (2414, 2016)


@pytest.fixture(scope="module")
def eigenfaces(implementation, faces):
    return implementation.pca(faces)


# The reference


def test_faces_eigenvalues(eigenfaces):
    _, eigenvalues = eigenfaces
    expected = REFERENCE["first_10_eigenvalues_ddof1"]
    np.testing.assert_allclose(eigenvalues[:10], expected, rtol=1e-8)


@pytest.mark.parametrize("percent", [95, 99])
def test_faces_components_kept(implementation, eigenfaces, percent):
    U, eigenvalues = eigenfaces
    kept = implementation.num_components_for(eigenvalues, percent / 100)
    assert kept == REFERENCE[f"components_{percent}"]
    assert 1 - kept / len(U) == pytest.approx(REFERENCE[f"reduction_{percent}"], abs=1e-12)


def test_faces_are_rebuilt_to_the_variance_kept(implementation, faces, eigenfaces):
    U, eigenvalues = eigenfaces
    U, mean = U[:, :43], faces.mean(axis=0)
    left_out = eigenvalues[43:].sum() * 2413 / 2414  # eq. (11) is about 1/N
    assert implementation.distortion(faces, U) == pytest.approx(left_out, rel=1e-10)
    rebuilt = implementation.reconstruct(implementation.project(faces, U, mean), U, mean)
    assert np.mean(np.sum((faces - rebuilt) ** 2, axis=1)) == pytest.approx(left_out, rel=1e-10)


def test_a_few_eigenfaces_are_the_first_ones(faces, eigenfaces):
    few, some = pca.pca(faces, num_components=20)  # large enough for SciPy's solver
    U, eigenvalues = eigenfaces
    np.testing.assert_allclose(few, U[:, :20], atol=1e-9)
    np.testing.assert_allclose(some, eigenvalues[:20], rtol=1e-12)


# The definition


@on_full_rank
def test_components_are_eigenvectors_of_the_covariance(implementation, name):
    data = FULL_RANK[name]
    U, eigenvalues = implementation.pca(data)
    K = min(data.shape)
    assert U.shape == (data.shape[1], K) and eigenvalues.shape == (K,)
    np.testing.assert_allclose(U.T @ U, np.eye(K), atol=1e-13)
    S = np.cov(data.T).reshape(len(U), len(U))
    np.testing.assert_allclose(S @ U, U * eigenvalues, rtol=0, atol=rounding(data))
    assert np.all(np.diff(eigenvalues) <= 0)


@on_full_rank
def test_scikit_learn(implementation, name):
    data = FULL_RANK[name].astype(float)
    sklearn = PCA(svd_solver="full").fit(data)
    U, eigenvalues = implementation.pca(data)
    K = min(len(data) - 1, data.shape[1])  # the last of N centred points adds no direction
    U, eigenvalues = U[:, :K], eigenvalues[:K]
    np.testing.assert_allclose(eigenvalues, sklearn.explained_variance_[:K], rtol=1e-7)
    np.testing.assert_allclose(np.abs(sklearn.components_[:K] @ U), np.eye(K), atol=1e-6)
    scores = implementation.project(data, U, data.mean(axis=0))
    theirs = np.abs(sklearn.transform(data)[:, :K])
    np.testing.assert_allclose(np.abs(scores), theirs, atol=1e-8 * np.abs(data).max())


@pytest.mark.parametrize("d", [1, 2, 5, 17, 40])
@pytest.mark.parametrize("N", [2, 3, 6, 18, 41])
def test_the_module_is_the_textbook_signs_included(N, d):
    data = stretched(N * d, N, d)
    ours, theirs = pca.pca(data), textbook.pca.pca(data)
    assert [a.shape for a in ours] == [a.shape for a in theirs]
    K = min(N - 1, d)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(ours[0][:, :K], theirs[0][:, :K], atol=1e-6)


@pytest.mark.parametrize("ddof", [0, 1, 3])
@on_all_data
def test_all_components_of_any_data(name, ddof):
    data = DATA[name]
    d = data.shape[1]
    if ddof >= len(data):
        return
    U, eigenvalues = pca.pca(data, ddof=ddof, num_components=d)
    np.testing.assert_allclose(U.T @ U, np.eye(d), atol=1e-13)
    S = np.cov(data.T, ddof=ddof).reshape(d, d)
    np.testing.assert_allclose(S @ U, U * eigenvalues, rtol=0, atol=2 * rounding(data))
    assert np.all(eigenvalues >= 0) and np.all(np.diff(eigenvalues) <= 0)
    squares = scipy.linalg.svdvals(data - data.mean(axis=0)) ** 2
    expected = np.zeros(d)
    expected[: len(squares)] = squares / (len(data) - ddof)
    np.testing.assert_allclose(eigenvalues, expected, rtol=1e-10, atol=2 * rounding(data))


@on_all_data
def test_fewer_components_are_the_first_ones(name):
    data = DATA[name].astype(float)
    d = data.shape[1]
    U, eigenvalues = pca.pca(data, num_components=d)
    gaps = -np.diff(eigenvalues, append=0)
    told_apart = gaps > 1e-9 * eigenvalues[0]  # other components are a basis of their span
    for K in sorted({1, max(1, d // 2), min(data.shape), d}):
        few, some = pca.pca(data, num_components=K)
        np.testing.assert_allclose(some, eigenvalues[:K], rtol=1e-12, atol=rounding(data))
        np.testing.assert_allclose(few.T @ few, np.eye(K), atol=1e-13)
        if told_apart[:K].all():
            np.testing.assert_allclose(few, U[:, :K], atol=1e-8)
    assert [a.shape[-1] for a in pca.pca(data)] == [min(data.shape)] * 2


@on_all_data
def test_largest_entry_of_each_component_is_positive(implementation, name):
    U, _ = implementation.pca(DATA[name])
    assert np.all(U.max(axis=0) >= (1 - 1e-8) * np.abs(U).max(axis=0))
    np.testing.assert_array_equal(U, implementation.pca(DATA[name])[0])


@pytest.mark.parametrize("width", [2, 6])
def test_the_sign_does_not_hang_on_rounding(width):
    # The component is (1, -1, 0, ...) / sqrt(2), and rounding decides which entry is the larger.
    for seed in range(20):
        data = np.zeros((5, width))
        data[:, 0] = gaussian(seed, 5, 1)[:, 0]
        data[:, 1] = -data[:, 0]
        U, _ = pca.pca(data)
        np.testing.assert_allclose(U[:2, 0], [np.sqrt(0.5), -np.sqrt(0.5)], atol=1e-14)


def test_entries_that_differ_by_more_than_rounding_are_no_tie():
    for smaller in (1 - 1e-7, 1 - 1e-4):
        U, _ = pca.pca(np.outer([-1.0, 0, 1], [-smaller, 1]))
        assert U[0, 0] < 0 < U[1, 0]


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


def test_a_small_spread_far_from_the_origin_is_kept():
    data = gaussian(19, 50, 3)
    data -= data.mean(axis=0)
    far = data + 1e8
    exact = pca.pca((far - 1e8).astype(np.longdouble))[1]  # the difference is exact
    np.testing.assert_allclose(pca.pca(far)[1].astype(float), exact.astype(float), rtol=1e-14)


# Large matrices


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (40, 40)])
def test_the_solver_for_few_components_finds_the_same(shape, monkeypatch):
    data = stretched(20, *shape)
    U, eigenvalues = pca.pca(data)
    monkeypatch.setattr(pca, "_WORTH_SCIPY", 40)
    for K in (1, 5):
        few, some = pca.pca(data, num_components=K)
        np.testing.assert_allclose(some, eigenvalues[:K], rtol=1e-12)
        np.testing.assert_allclose(few, U[:, :K], atol=1e-10)
    repeated = np.concatenate([np.eye(40), -np.eye(40)])  # all eigenvalues equal
    few, some = pca.pca(repeated, num_components=5)
    np.testing.assert_allclose(few.T @ few, np.eye(5), atol=1e-13)
    np.testing.assert_allclose(some, 2 / 79, rtol=1e-13)


def test_scipy_is_asked_only_where_it_pays(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)  # so that importing it fails
    pca.pca(gaussian(21, 90, 80), num_components=1)
    monkeypatch.setattr(pca, "_WORTH_SCIPY", 80)
    pca.pca(gaussian(21, 90, 80), num_components=11)  # more than an eighth
    pca.pca(gaussian(21, 90, 79), num_components=1)
    with pytest.raises(ImportError):
        pca.pca(gaussian(21, 90, 80), num_components=10)


@pytest.mark.parametrize("num_components", [None, 5, 30])  # of 20 that the points span
def test_wide_data_make_no_square_matrix(num_components):
    data = gaussian(17, 20, 5000)  # 0.8 MB; a (d, d) matrix would take 200
    tracemalloc.start()
    pca.pca(data, num_components=num_components)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * data.nbytes


# Equations (9) to (11)


@on_all_data
def test_distortion_is_the_sum_of_the_left_out_eigenvalues(implementation, name):
    data = DATA[name]
    U, eigenvalues = pca.pca(data, ddof=0, num_components=data.shape[1])
    for K in sorted({1, (len(U) + 1) // 2, len(U)}):
        error = implementation.distortion(data, U[:, :K])
        assert error == pytest.approx(eigenvalues[K:].sum(), rel=1e-9, abs=rounding(data) + 1e-30)


@pytest.mark.parametrize("name", ["tall", "wide", "rank 2, tall", "integers"])
def test_distortion_for_any_orthonormal_columns(implementation, name):
    data = DATA[name].astype(float)
    X = data - data.mean(axis=0)
    principal, eigenvalues = pca.pca(data, ddof=0)
    for seed in range(5):
        U = np.linalg.qr(gaussian(seed, data.shape[1], 3))[0]
        error = implementation.distortion(data, U)
        others = scipy.linalg.null_space(U.T)  # (d, d - 3), the directions that U leaves out
        assert error == pytest.approx(np.sum((X @ others) ** 2) / len(X), rel=1e-11)  # (9)
        along = np.sum((X @ U) ** 2) / len(X)
        assert error == pytest.approx(eigenvalues.sum() - along, rel=1e-10)  # (10)
        assert error >= implementation.distortion(data, principal[:, :3])  # (11)


# Projecting and rebuilding


@on_all_data
def test_all_components_rebuild_the_data(implementation, name):
    data = DATA[name]
    mean = data.mean(axis=0)
    U, _ = pca.pca(data)
    rebuilt = implementation.reconstruct(implementation.project(data, U, mean), U, mean)
    np.testing.assert_allclose(rebuilt, data, atol=1e-12 * np.abs(data).max())


def test_one_point_is_projected_as_among_many(implementation):
    data = DATA["tall"]
    U, mean = pca.pca(data, num_components=2)[0], data.mean(axis=0)
    scores = implementation.project(data, U, mean)
    np.testing.assert_allclose(scores, [[u @ (x - mean) for u in U.T] for x in data], atol=1e-12)
    np.testing.assert_allclose(implementation.project(data[3], U, mean), scores[3], atol=1e-12)
    rebuilt = implementation.reconstruct(scores, U, mean)
    expected = [z[0] * U[:, 0] + z[1] * U[:, 1] + mean for z in scores]
    np.testing.assert_allclose(rebuilt, expected, atol=1e-12)
    np.testing.assert_allclose(implementation.reconstruct(scores[3], U, mean), rebuilt[3])


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
        ([5], 0.01, 1),
    ],
)
def test_num_components_for(implementation, eigenvalues, fraction, expected):
    assert implementation.num_components_for(eigenvalues, fraction) == expected
    assert type(implementation.num_components_for(np.array(eigenvalues), fraction)) is int


@pytest.mark.parametrize(
    ("eigenvalues", "fraction", "expected"),
    [
        ([1] * 10, 0.3, 3),
        ([1] * 25, 14 / 25, 14),  # although 14/25 rounds up
        ([1] * 25, 14 / 25 + 1e-13, 15),
        ([1e308, 1e308, 1e308], 0.5, 2),
        ([3e-320, 1e-320], 0.9, 2),
    ],
)
def test_num_components_for_up_to_rounding(eigenvalues, fraction, expected):
    assert pca.num_components_for(eigenvalues, np.float64(fraction)) == expected


# Dtypes and scales


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.bool_, np.float16, np.longdouble])
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


@pytest.mark.filterwarnings("error")
def test_what_a_dtype_cannot_hold_is_refused():
    data = DATA["tall"] - DATA["tall"].min(axis=0)
    U, _ = pca.pca(data)
    for far in (data * 1e200, [[1.7e308] * 6, [-1.7e308] * 6], np.outer([0, 1, 1], [1.7e308] * 6)):
        for call in (pca.pca, lambda x: pca.distortion(x, U[:, :1])):
            with pytest.raises(ValueError, match=r"too large for float64.*divide the data"):
                call(far)
    with pytest.raises(ValueError, match=r"too large for float32.*convert it to float64"):
        pca.pca((data * 1e30).astype(np.float32))
    with pytest.raises(ValueError, match="a score is too large"):
        pca.project([1.7e308], [[1.0]], [-1.7e308])
    with pytest.raises(ValueError, match="a score is too large for float32"):
        pca.project(np.float32([1]), [[1.0]], [1e39])
    with pytest.raises(ValueError, match="a coordinate is too large"):
        pca.reconstruct([1.7e308], [[1.0]], [1.7e308])


@pytest.mark.filterwarnings("error")
def test_equal_points_may_be_as_large_as_numbers_are():
    U, eigenvalues = pca.pca(np.full((3, 2), 1.7e308))
    np.testing.assert_array_equal(eigenvalues, 0)
    np.testing.assert_allclose(U.T @ U, np.eye(2), atol=1e-15)


def test_one_point():
    U, eigenvalues = pca.pca([[3.0, 4.0]], ddof=0)
    np.testing.assert_array_equal(eigenvalues, [0])
    np.testing.assert_allclose(np.linalg.norm(U), 1)
    assert pca.distortion([[3.0, 4.0]], U) == 0


# What users get wrong (the rest is in test_bad_input.py)

TALL = DATA["tall"]
MEAN = TALL.mean(axis=0)
FRAME = pca.pca(TALL, num_components=2)[0]  # (6, 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pca.pca(TALL, num_components=0.95), "integer, got 0.95; num_components_for"),
        (lambda: pca.pca(TALL, num_components=7), "num_components must be 1 to 6, .* got 7"),
        (lambda: pca.project(TALL, FRAME.T, MEAN), r"mean .*fit U \(2, 6\).*\(6,\); transpose U"),
        (lambda: pca.project(TALL, FRAME, MEAN[0]), r"mean .*\(6,\) to fit .*, got \(\)\.$"),
        (lambda: pca.project(TALL, FRAME, None), "mean must hold real numbers"),
        (lambda: pca.project(TALL.reshape(-1, 2, 3), FRAME, MEAN), r"data .*\(50, 2, 3\); flatten"),
        (lambda: pca.distortion(TALL, 1.01 * FRAME), r"U must have .* up to 0.0201; pass"),
        (lambda: pca.distortion(TALL, 1e308 * FRAME), "U must have orthonormal .* up to inf"),
        (lambda: pca.num_components_for(3.0, 0.95), r"eigenvalues .*\(L,\).* \[3.\], shape \(\)"),
        (lambda: pca.num_components_for(0.95, [9.0, 8.0]), r"fraction .* got \[9.0, 8.0\]"),
    ],
)
def test_a_mistake_is_explained(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_columns_rounded_to_float16_are_orthonormal_enough():
    rounded = FRAME.astype(np.float16)
    assert pca.distortion(TALL, rounded) == pytest.approx(pca.distortion(TALL, FRAME), rel=1e-2)


def test_the_courses_names(capsys):
    pca.hello_world()
    assert capsys.readouterr().out == "Hello from pca.py!\n"
    assert pca.train_PCA is pca.pca
