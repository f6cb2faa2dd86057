"""What holds for any finite input: a right answer by its invariants, or an error that explains.

Hypothesis draws small arrays of any shape: few points or one, duplicated or all equal, on a grid
or not, and at scales from 1e-150 to 1e150. NumPy's warnings are errors here; our own advice is not.
"""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import cvae
import gda
import gmm
import ica
import kmeans
import pca

pytestmark = pytest.mark.filterwarnings("error", "ignore::UserWarning")  # those are our advice
repeatable = settings(max_examples=200, deadline=None, derandomize=True, database=None)

SCALES = (1e-150, 1e-80, 1e-9, 1.0, 1.0, 1.0, 1e9, 1e80, 1e150)
NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-10, 10, width=32))


@st.composite
def point_sets(draw, max_points=9, max_width=4, scales=SCALES):
    """Draw points (N, d), often with duplicates, and their scale."""
    N, d = draw(st.integers(1, max_points)), draw(st.integers(1, max_width))
    points = draw(arrays(np.float64, (N, d), elements=NUMBERS))
    rows = draw(st.one_of(st.just(range(N)), st.lists(st.integers(0, N - 1), min_size=1)))
    scale = draw(st.sampled_from(scales))
    return points[list(rows)[: 2 * max_points]] * scale, scale


any_points = arrays(  # all of float64
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 3)),
    elements=st.floats(allow_nan=False, allow_infinity=False),
)


def answer_or_error(call, *explanations):
    """Return the call's answer, or None after an error that holds one of the explanations."""
    try:
        return call()
    except ValueError as error:
        assert type(error) is ValueError  # no LinAlgError
        assert any(words in str(error) for words in explanations), str(error)
        return None


def assert_covariances(sigma):
    assert np.isfinite(sigma).all()
    np.testing.assert_array_equal(sigma, sigma.swapaxes(1, 2))
    np.linalg.cholesky(sigma)  # raises unless positive definite


def spread(points):
    return float(np.abs(points - points[0]).max())


# k-means


def check_kmeans(x, initial):
    seen = []
    centroids = kmeans.train_kmeans(
        x, initial, num_iterations=100, callback=lambda t, J, c: seen.append(J)
    )
    labels = kmeans.assign_clusters(x, centroids)
    K, size = len(initial), max(np.abs(x).max(), np.abs(initial).max())
    counts = np.bincount(labels, minlength=K)
    assert counts.sum() == len(x) and len(counts) == K
    for k in np.flatnonzero(counts):  # converged: each centroid is the mean of its points
        expected = x[labels == k].mean(axis=0)
        np.testing.assert_allclose(centroids[k], expected, rtol=0, atol=1e-7 * size)
    unit = size or 1.0
    distances = np.linalg.norm(x[:, None] / unit - centroids / unit, axis=2)  # (N, K)
    assert np.all(distances[np.arange(len(x)), labels] <= distances.min(axis=1) + 1e-7)
    assert np.all(np.isfinite(seen)) and np.all(np.array(seen) >= 0)
    assert np.all(np.diff(seen) <= 1e-13 * size**2)  # what rounding of the squares may add


@repeatable
@given(point_sets(), st.data())
def test_kmeans_converges_to_means_of_nearest_points(drawn, data):
    x, scale = drawn
    K = data.draw(st.integers(1, len(x) + 2))
    from_points = data.draw(st.booleans())
    elsewhere = arrays(np.float64, (K, x.shape[1]), elements=NUMBERS)
    check_kmeans(x, x[np.arange(K) % len(x)] if from_points else data.draw(elsewhere) * scale)


@repeatable
@given(any_points)
@example(np.array([[1.7e308], [-1.7e308]]))
@example(np.array([[5e-324], [0.0]]))
def test_kmeans_on_any_floats(x):
    initial = x[: (len(x) + 1) // 2]
    centroids = answer_or_error(lambda: kmeans.train_kmeans(x, initial), "too large to square")
    if np.abs(x).max() < 1e153:
        assert centroids is not None
    if centroids is not None:
        assert np.isfinite(centroids).all()
        assert np.all(np.abs(centroids) <= np.abs(x).max(axis=0) * (1 + 1e-12))
        labels = kmeans.assign_clusters(x, centroids)
        assert np.all((labels >= 0) & (labels < len(initial)))


@repeatable
@given(point_sets(scales=(1e-150, 1.0, 100.0, 1e150)), st.integers(1, 5))
def test_compressed_images_hold_palette_colours(drawn, K):
    x, _ = drawn
    palette = x[np.arange(K) % len(x)]
    for compressed in (kmeans.compress_image(x[None], palette), compress_with_gmm(x, palette)):
        if compressed is not None:
            assert compressed.dtype == np.uint8 and compressed.shape == (1, *x.shape)
            rounded = {tuple(color) for color in np.clip(np.rint(palette), 0, 255)}
            assert {tuple(pixel) for pixel in compressed[0].astype(float)} <= rounded


def compress_with_gmm(x, palette):
    K, d = palette.shape
    state = gmm.GMMState(np.full(K, 1 / K), palette, np.stack([np.eye(d)] * K))
    return answer_or_error(lambda: gmm.compress_image(x[None], state), "rescale")


# Gaussian mixtures


def mixture_start(x, K):
    d, width = x.shape[1], spread(x) or np.abs(x).max() or 1.0
    sigma = np.stack([width**2 * np.eye(d)] * K)
    return gmm.GMMState(np.full(K, 1 / K), x[np.arange(K) % len(x)], sigma), width


@repeatable
@given(point_sets(), st.data(), st.sampled_from([0.0, 1e-3, 1.0]))
def test_mixtures_are_mixtures(drawn, data, regular):
    x, _ = drawn
    start, width = mixture_start(x, data.draw(st.integers(1, len(x))))
    reg_covar = regular * width**2
    values = []
    state = answer_or_error(
        lambda: gmm.train_gmm(
            x,
            *start,
            num_iterations=10,
            reg_covar=reg_covar,
            callback=lambda t, value, state: values.append(value),
        ),
        *("reg_covar", "positive definite"),  # the latter where the square of the width is 0
    )
    if reg_covar > 0 and width > 1e-6 * np.abs(x).max():
        assert state is not None  # that is what reg_covar is for
    if state is None:
        return
    assert abs(state.pi.sum() - 1) < 1e-12 and np.all(state.pi >= 0)
    assert_covariances(state.sigma)
    gamma = gmm.responsibilities(x, state)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    best = gamma[np.arange(len(x)), gmm.predict(x, state)]
    np.testing.assert_allclose(best, gamma.max(axis=1), rtol=1e-9)
    assert values[-1] == pytest.approx(gmm.log_likelihood(x, state), rel=1e-9, abs=1e-9 * x.size)
    assert np.isfinite(values).all()
    if reg_covar == 0:  # the likelihood's size is that of a change by N d log width
        assert np.all(np.diff(values) >= -1e-6 * x.size * (1 + abs(np.log(width))))


@repeatable
@given(any_points)
@example(np.array([[1.7e308], [-1.7e308]]))
@example(np.array([[5e-324], [0.0]]))
@example(np.array([[1e160], [-1e160], [0.0]]))
@example(np.array([[1e-160], [-1e-160], [0.0]]))
def test_mixtures_on_any_floats(x):
    sigma = np.stack([np.eye(x.shape[1])] * 2)
    start = ([0.5, 0.5], x[[0, -1]], sigma)
    state = answer_or_error(
        lambda: gmm.train_gmm(x, *start, num_iterations=5, reg_covar=1e-3),
        *("rescale", "reg_covar", "squares overflow"),
    )
    if np.abs(x).max() < 1e3:
        assert state is not None
    if state is not None:
        assert_covariances(state.sigma)
        assert abs(state.pi.sum() - 1) < 1e-12


# Discriminant analysis


@repeatable
@given(point_sets(), st.data(), st.sampled_from([0.0, 1e-3, 1.0]), st.sampled_from([0.0, 0.3, 2.0]))
def test_classes_are_gaussians(drawn, data, regular, weight):
    x, _ = drawn
    num_labels = data.draw(st.integers(0, len(x)))
    labels = data.draw(arrays(np.int64, num_labels, elements=st.integers(0, 1)))
    problem = x[:num_labels], labels, x[num_labels:]
    width = spread(x) or np.abs(x).max() or 1.0
    reg_covar = regular * width**2
    options = {"unlabeled_weight": weight, "reg_covar": reg_covar, "num_iterations": 5}
    state = answer_or_error(
        lambda: gda.train_gda(*problem, **options), "no point is labelled", "reg_covar", "rescale"
    )
    if set(labels) == {0, 1} and regular and 1e-6 * np.abs(x).max() < width < 1e99:
        assert state is not None
    if state is None:
        return
    assert 0 <= state.phi <= 1
    assert_covariances(state.sigma)
    Q = gda.e_step(problem[2], state)
    for proba in (Q, gda.predict_proba(x, state)):
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    J = gda.objective(*problem, state, unlabeled_weight=weight)
    bound = gda.lower_bound(*problem, Q, state, unlabeled_weight=weight)
    assert np.isfinite(J)
    assert bound == pytest.approx(J, rel=1e-9, abs=1e-9)


@repeatable
@given(any_points, st.sampled_from([0.0, 1e-3, 1e150]))
@example(np.array([[1e-160], [-1e-160], [0.0]]), 0.0)
@example(np.array([[1e90], [-1e90], [0.0]]), 0.0)
def test_classes_of_any_floats(x, reg_covar):
    labels = np.arange(len(x)) % 2
    for kind in (np.float64, np.float32):
        points = x.astype(kind) if np.abs(x).max() < 3e38 else x
        explanations = ("no point is labelled", "reg_covar", "rescale")
        state = answer_or_error(
            lambda points=points: gda.train_gda(points, labels, points, reg_covar=reg_covar),
            *explanations,
        )
        if state is not None:
            assert_covariances(state.sigma.astype(float))
            assert np.isfinite(state.mu).all() and 0 <= state.phi <= 1


@repeatable
@given(any_points, st.sampled_from([1e-300, 1e-20, 1.0, 1e300]))
@example(np.array([[1e90, -1e90]]), 1.0)
def test_posteriors_of_any_floats_sum_to_one(x, variance):
    d = x.shape[1]
    mu, sigma = np.stack([np.zeros(d), np.ones(d)]), variance * np.stack([np.eye(d)] * 2)
    Q = answer_or_error(lambda: gda.e_step(x, gda.GDAState(0.3, mu, sigma)), "rescale")
    gamma = answer_or_error(
        lambda: gmm.responsibilities(x, gmm.GMMState([0.3, 0.7], mu, sigma)),
        *("rescale", "squares overflow"),
    )
    for rows in (Q, gamma):
        if rows is not None:
            np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)
            assert np.all(rows >= 0)


# PCA


@repeatable
@given(st.one_of(point_sets().map(lambda drawn: drawn[0]), any_points), st.data())
@example(np.array([[1.7e308], [-1.7e308]]), None)
@example(np.array([[5e-324], [0.0]]), None)
def test_components_are_an_orthonormal_basis(x, data):
    N, d = x.shape
    ddof = min(1, N - 1)
    K = data.draw(st.integers(1, d)) if data else d
    size = np.abs(x).max()
    answer = answer_or_error(lambda: pca.pca(x, ddof=ddof, num_components=K), "too large")
    assert answer is not None or size > 1e150
    if answer is None:
        return
    U, eigenvalues = answer
    assert U.shape == (d, K) and eigenvalues.shape == (K,)
    np.testing.assert_allclose(U.T @ U, np.eye(K), atol=1e-12)
    assert np.all(eigenvalues >= 0) and np.all(np.diff(eigenvalues) <= 0)
    unit = size or 1.0
    variances = (x / unit).var(axis=0, ddof=ddof).sum()
    assert (eigenvalues / unit / unit).sum() <= variances * (1 + 1e-9) + 1e-12
    J = pca.distortion(x, U)
    kept = (eigenvalues / unit / unit).sum() * (N - ddof) / N
    if size > 1e-140:  # below, the eigenvalues are no normal numbers
        assert J / unit / unit + kept == pytest.approx(variances * (N - ddof) / N, abs=1e-9)
    if eigenvalues[0] > 0:
        assert 1 <= pca.num_components_for(eigenvalues, 0.95) <= K
    if K == d and size < 1e300:
        rebuilt = pca.reconstruct(pca.project(x, U, x[0]), U, x[0])
        np.testing.assert_allclose(rebuilt, x, rtol=0, atol=1e-12 * size)


# ICA

WRONG_SOUND = ("silent", "constant at", "linearly dependent", "too high", "overflows")


@repeatable
@given(st.one_of(point_sets(max_width=3).map(lambda drawn: drawn[0]), any_points))
def test_unmixing_is_the_inverse_of_mixing(X):
    rates = (0.1, 0.02)
    W = answer_or_error(lambda: ica.ica(X, learning_rates=rates), *WRONG_SOUND)
    if W is None:
        return
    m = X.shape[1]
    assert W.shape == (m, m) and np.isfinite(W).all()
    mixing = np.linalg.inv(W)
    np.testing.assert_allclose(mixing @ W, np.eye(m), atol=1e-6)
    np.testing.assert_allclose(
        ica.unmix(X, W) @ mixing.T, X, rtol=0, atol=1e-6 * np.abs(X).max() * np.abs(mixing).max()
    )
    assert ica.amari_distance(W, mixing) < 1e-5
    assert np.isfinite(ica.log_likelihood(X, W))
    assert np.isfinite(ica.filter_grad(X[0], W)).all()


@repeatable
@given(any_points, st.data())
def test_likelihoods_and_gradients_of_any_floats(X, data):
    m = X.shape[1]
    W = data.draw(arrays(np.float64, (m, m), elements=st.floats(-1e308, 1e308)))
    Y = answer_or_error(lambda: ica.unmix(X, W), "overflows")
    value = answer_or_error(lambda: ica.log_likelihood(X, W), "overflows")
    gradient = answer_or_error(lambda: ica.filter_grad(X[0], W), "overflows", "singular")
    for array in (Y, gradient):
        assert array is None or np.isfinite(array).all()
    assert value is None or not np.isnan(value)
    distance = answer_or_error(lambda: ica.amari_distance(W, np.eye(m)), "invertible")
    assert distance is None or 0 <= distance <= 1 + 1e-12


@repeatable
@given(any_points)
def test_normalised_sound_peaks_at_99_percent(mix):
    X = answer_or_error(lambda: ica.normalize(mix), "silent")
    if X is None:
        assert not mix.any()
    else:
        assert np.abs(X).max() == pytest.approx(0.99, rel=1e-12)


@repeatable
@given(arrays(np.float64, st.integers(0, 9), elements=st.floats(allow_nan=False)))
def test_sigmoid_rises_from_0_to_1(s):
    g = ica.sigmoid(np.sort(s))
    assert g.shape == s.shape
    assert np.all((g >= 0) & (g <= 1)) and np.all(np.diff(g) >= 0)


# The autoencoder

unit_floats = st.floats(0, 1, width=32)


@repeatable
@given(
    st.integers(1, 4),
    st.data(),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([0.0, 1.0, 1e4]),
)
def test_the_loss_is_finite_and_so_is_its_gradient(B, data, mu_scale, logvar_scale):
    D, m = 3, 2
    x, x_hat = (data.draw(arrays(np.float32, (B, D), elements=unit_floats)) for _ in range(2))
    draw = arrays(np.float32, (B, m), elements=st.floats(-1, 1, width=32))
    mu, logvar = data.draw(draw) * mu_scale, data.draw(draw) * logvar_scale
    tensors = [torch.tensor(a, dtype=torch.float32) for a in (x_hat, x, mu, logvar)]
    for tensor in tensors:
        tensor.requires_grad_()
    reconstruction, kl = cvae.loss_terms(*tensors)
    assert torch.all(reconstruction >= 0) and torch.all(kl >= -1e-5)
    loss = cvae.loss_function(*tensors)
    loss.backward()
    assert torch.isfinite(loss)
    for tensor in (tensors[0], *tensors[2:]):
        assert torch.isfinite(tensor.grad).all()


@settings(repeatable, max_examples=40)
@given(st.integers(1, 5), st.data())
def test_training_on_any_images_keeps_the_model_finite(N, data):
    D, C = 3, 2
    images = data.draw(arrays(np.float32, (N, D), elements=unit_floats))
    labels = data.draw(arrays(np.int64, N, elements=st.integers(0, C - 1)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = cvae.CVAE(input_size=D, latent_size=2, num_classes=C, hidden_units=4)
        losses = cvae.fit(model, images, labels, num_epochs=2, batch_size=2)
    assert all(np.isfinite(loss).all() and loss.kl >= -1e-5 for loss in losses)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    for pictures in (cvae.generate(model, labels), cvae.reconstruct(model, images, labels)):
        assert torch.all((pictures >= 0) & (pictures <= 1))
    assert np.isfinite(cvae.evaluate(model, cvae.BatchLoader(images, labels, 2))).all()
