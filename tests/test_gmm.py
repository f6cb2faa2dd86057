"""Gaussian mixtures against the reference, scikit-learn, SciPy and a slow obvious version."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import gmm
import kmeans
from data import reference
from tests.conftest import awkward_copies

REFERENCE = reference("gmm")
DIMENSIONS = [1, 2, 3, 16, 50]


def problem(seed, N, d, K):
    """Return points of overlapping clusters and a state to start from."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=2, size=(K, d))
    shapes = rng.normal(size=(K, d, d)) / np.sqrt(d)
    labels = rng.integers(K, size=N)
    data = centres[labels] + np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(N, d)))
    data += 0.3 * rng.normal(size=(N, d))
    pi = rng.dirichlet(np.full(K, 5.0))
    mu = centres + 0.5 * rng.normal(size=(K, d))
    return data, gmm.GMMState(pi, mu, np.stack([np.cov(data.T).reshape(d, d)] * K))


def slow_log_joint(data, state):
    return np.column_stack(
        [np.log(p) + multivariate_normal(m, S).logpdf(data) for p, m, S in zip(*state, strict=True)]
    )


def slow_step(data, state):
    """One EM step, written from the formulas with SciPy."""
    log_joint = slow_log_joint(data, state)
    gamma = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    N_k = gamma.sum(axis=0)
    mu = gamma.T @ data / N_k[:, None]
    sigma = np.array([np.cov(data.T, aweights=g, ddof=0).reshape(mu.shape[1], -1) for g in gamma.T])
    return gmm.GMMState(N_k / len(data), mu, sigma)


def assert_states_close(ours, theirs, rtol):
    for name in gmm.GMMState._fields:
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(), err_msg=name)


@pytest.fixture(scope="module")
def fitted(mandrill_pixels):
    history = []
    state = gmm.train_gmm(
        mandrill_pixels,
        np.full(5, 0.2),
        mandrill_pixels[REFERENCE["initial_mu_indices"]],
        np.stack([1000 * np.eye(3)] * 5),
        num_iterations=50,
        callback=lambda t, log_lik: history.append(log_lik),
    )
    return state, history


# The reference


@pytest.mark.parametrize("name", gmm.GMMState._fields)
def test_mandrill_parameters_to_every_printed_digit(fitted, name):
    np.testing.assert_array_equal(np.round(getattr(fitted[0], name), 2), REFERENCE[name])


def test_mandrill_log_likelihoods(mandrill_pixels, fitted):
    state, history = fitted
    assert history[0] == pytest.approx(REFERENCE["log_likelihood_iteration_0"], rel=1e-6)
    expected = REFERENCE["log_likelihood_e_step_of_iteration_49"]
    assert history[49] == pytest.approx(expected, rel=1e-6)
    expected = REFERENCE["log_likelihood_after_50_steps"]
    assert gmm.log_likelihood(mandrill_pixels, state) == pytest.approx(expected, rel=1e-6)


def test_mandrill_errors(mandrill_large, fitted):
    compressed = gmm.compress_image(mandrill_large, fitted[0])
    assert compressed.dtype == np.uint8
    true = kmeans.mean_pixel_error(mandrill_large, compressed)
    assert true == pytest.approx(REFERENCE["mean_pixel_error_float"], abs=1e-9)
    with pytest.warns(RuntimeWarning):
        wrapped = kmeans.euclidean_distance(compressed, mandrill_large).mean()
    assert wrapped == pytest.approx(REFERENCE["mean_pixel_error_uint8_arithmetic"], abs=1e-9)


# Oracles


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("K", [1, 4])
def test_steps_agree_with_the_slow_version(d, K):
    data, state = problem(d, 700, d, K)
    expected = state
    for _ in range(3):
        expected = slow_step(data, expected)
    assert_states_close(gmm.train_gmm(data, *state, num_iterations=3), expected, 1e-8)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_agrees_with_scikit_learn(d):
    K = 3
    data, state = problem(100 + d, 3000, d, K)
    model = GaussianMixture(
        K, tol=0, max_iter=10, reg_covar=0, weights_init=state.pi, means_init=state.mu,
        precisions_init=np.linalg.inv(state.sigma),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        model.fit(data)
    ours = gmm.train_gmm(data, *state, num_iterations=10)
    assert_states_close(ours, gmm.GMMState(model.weights_, model.means_, model.covariances_), 1e-6)
    expected = model.score_samples(data).sum()
    assert gmm.log_likelihood(data, ours) == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(
        gmm.responsibilities(data, ours), model.predict_proba(data), atol=1e-6
    )
    np.testing.assert_array_equal(gmm.predict(data, ours), model.predict(data))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_both_kinds_of_step_agree(d):
    data, state = problem(200 + d, 900, d, 3)
    plain, plain_log_lik = gmm._step(data, state)
    products, products_log_lik = gmm._step_on_products(data, state)
    assert_states_close(products, plain, 1e-9)
    assert products_log_lik == pytest.approx(plain_log_lik, rel=1e-12)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_threads_do_not_matter(monkeypatch, num_threads):
    data, state = problem(250, 1000, 3, 3)
    plain, plain_log_lik = gmm._step(data, state)
    monkeypatch.setattr(gmm, "_WORTH_SHARING", 0)
    with threadpool_limits(num_threads):
        shared, shared_log_lik = gmm._step_on_products(data, state)
    assert_states_close(shared, plain, 1e-9)
    assert shared_log_lik == pytest.approx(plain_log_lik, rel=1e-12)


def test_values_whose_squares_overflow_are_refused():
    data, state = problem(260, 40, 2, 2)
    with pytest.raises(ValueError, match="train_data .*squares overflow; divide"):
        gmm.train_gmm(data * 1e200, *state)
    with pytest.raises(ValueError, match="data .*squares overflow; divide"):
        gmm.predict(data * 1e200, state)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_densities_agree_with_scipy(d):
    data, state = problem(300 + d, 200, d, 3)
    log_joint = slow_log_joint(data, state)
    np.testing.assert_allclose(
        gmm.log_density(data, state.mu, state.sigma) + np.log(state.pi), log_joint, rtol=1e-9
    )
    expected = logsumexp(log_joint, axis=1)
    assert gmm.log_likelihood(data, state) == pytest.approx(expected.sum(), rel=1e-12)
    gamma = gmm.responsibilities(data, state)
    np.testing.assert_allclose(gamma, np.exp(log_joint - expected[:, None]), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(gmm.predict(data, state), log_joint.argmax(axis=1))


def test_far_points_do_not_underflow():
    state = gmm.GMMState(np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.ones((2, 1, 1)))
    np.testing.assert_allclose(gmm.responsibilities([[1e6], [-1e6]], state), [[0, 1], [1, 0]])
    assert gmm.log_likelihood([[1e6]], state) == pytest.approx(-0.5 * (1e6 - 1) ** 2, rel=1e-9)


def test_a_narrow_component_keeps_its_digits():
    """A component 1e-7 as wide as the data: differences of products would lose it."""
    rng = np.random.default_rng(4)
    narrow = 5 + 1e-7 * rng.normal(size=(500, 2))
    data = np.concatenate([narrow, rng.normal(size=(500, 2))])
    state = gmm.train_gmm(
        data, [0.5, 0.5], [[5, 5], [0, 0]], [1e-4 * np.eye(2), np.eye(2)], num_iterations=20
    )
    np.testing.assert_allclose(state.sigma[0], np.cov(narrow.T, ddof=0), rtol=1e-6, atol=1e-18)
    np.testing.assert_allclose(state.mu[0], narrow.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_likelihood_never_falls(d, seed):
    data, state = problem(seed, 600, d, 3)
    history = []
    final = gmm.train_gmm(
        data, *state, num_iterations=25, callback=lambda t, value: history.append((t, value))
    )
    assert [t for t, _ in history] == list(range(25))
    values = np.array([value for _, value in history] + [gmm.log_likelihood(data, final)])
    assert np.all(np.diff(values) >= -1e-9 * np.abs(values[1:]))
    assert values[0] == pytest.approx(gmm.log_likelihood(data, state), rel=1e-10)


# What must not matter


def test_order_of_the_points_does_not_matter():
    data, state = problem(1, 500, 3, 3)
    shuffled = np.random.default_rng(2).permutation(data)
    assert_states_close(gmm.train_gmm(shuffled, *state), gmm.train_gmm(data, *state), 1e-8)


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 1.0, 1e3, 1e100])
def test_an_affine_map_of_the_data_maps_the_answer(scale):
    data, state = problem(2, 500, 3, 3)
    rng = np.random.default_rng(3)
    A, b = scale * rng.normal(size=(3, 3)), scale * 10 * rng.normal(size=3)

    def mapped(s):
        sigma = A @ s.sigma @ A.T
        return gmm.GMMState(s.pi, s.mu @ A.T + b, (sigma + sigma.swapaxes(1, 2)) / 2)

    ours = gmm.train_gmm(data @ A.T + b, *mapped(state), num_iterations=20)
    expected = mapped(gmm.train_gmm(data, *state, num_iterations=20))
    for name in gmm.GMMState._fields:
        a, b_ = getattr(ours, name), getattr(expected, name)
        np.testing.assert_allclose(a, b_, rtol=1e-6, atol=1e-8 * np.abs(b_).max(), err_msg=name)


@pytest.mark.parametrize("layout", range(5))
def test_layouts_and_dtypes(layout):
    data, state = problem(5, 400, 3, 3)
    data = np.round(data * 64) / 64  # exact in float32
    name, copy = list(awkward_copies(data))[layout]
    result = gmm.train_gmm(copy, *state, num_iterations=10)
    assert {x.dtype for x in result} == {np.dtype(np.float32 if name == "float32" else np.float64)}
    expected = gmm.train_gmm(data, *state, num_iterations=10)
    assert_states_close(result, expected, 1e-6 if name == "float32" else 1e-10)
    gmm.log_likelihood(copy, result)  # a float32 state is a valid state


def test_float16_gives_a_valid_float32_state():
    data, state = problem(5, 400, 3, 3)
    result = gmm.train_gmm(data.astype(np.float16), *state, num_iterations=5)
    assert {x.dtype for x in result} == {np.dtype(np.float32)}
    gmm.predict(data, result)


def test_inputs_are_untouched_and_not_aliased():
    data, state = problem(6, 300, 3, 3)
    copies = [x.copy() for x in (data, *state)]
    for num_iterations in (0, 2):
        result = gmm.train_gmm(data, *state, num_iterations=num_iterations)
        gmm.predict(data, state)
        for before, after in zip(copies, (data, *state), strict=True):
            np.testing.assert_array_equal(before, after)
        assert not any(np.shares_memory(a, b) for a in result for b in (data, *state))
    np.testing.assert_allclose(gmm.train_gmm(data, *state, num_iterations=0).mu, state.mu)


# Degenerate data


@pytest.mark.parametrize("d", [2, 30])
def test_reg_covar_is_added_to_the_diagonal(d):
    data, state = problem(7, 400, d, 2)
    ours = gmm.train_gmm(data, *state, num_iterations=1, reg_covar=0.7)
    plain = gmm.train_gmm(data, *state, num_iterations=1)
    np.testing.assert_allclose(ours.sigma - plain.sigma, [0.7 * np.eye(d)] * 2, atol=1e-12)


@pytest.mark.parametrize(
    "data",
    [
        np.repeat([[1.0, 2.0], [5.0, 5.0]], 20, axis=0),
        np.column_stack([np.arange(40.0), np.full(40, 1 / 3)]),
        np.column_stack([np.arange(40.0), 2 * np.arange(40.0) + 1]),
        np.full((40, 2), 0.1),
        np.array([[1.0, 2.0]]),
    ],
    ids=["two spots", "a constant column", "a line", "one spot", "one point"],
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_collapse_is_an_error_that_names_the_remedy(data, scale):
    start = (
        [0.5, 0.5],
        scale * np.array([[1.0, 2.0], [5.0, 5.0]]),
        scale**2 * np.stack([np.eye(2)] * 2),
    )
    with pytest.raises(ValueError, match="component [01] has collapsed.*reg_covar"):
        gmm.train_gmm(scale * data, *start)
    state = gmm.train_gmm(scale * data, *start, reg_covar=1e-3 * scale**2)
    assert np.isfinite(gmm.log_likelihood(scale * data, state))


def test_a_component_without_points_keeps_its_shape():
    data = np.random.default_rng(8).normal(size=(200, 2))
    far = np.array([1e3, 1e3])
    state = gmm.train_gmm(data, [0.5, 0.5], [[0, 0], far], [np.eye(2), 0.01 * np.eye(2)])
    assert state.pi[1] == 0
    np.testing.assert_allclose(state.mu[1], far)
    np.testing.assert_allclose(state.sigma[1], 0.01 * np.eye(2))
    np.testing.assert_allclose(state.sigma[0], np.cov(data.T, ddof=0))
    assert np.isfinite(gmm.log_likelihood(data, state))


def test_verbose_prints_a_line_a_step(capsys):
    data, state = problem(9, 50, 2, 2)
    gmm.train_gmm(data, *state, num_iterations=2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["iteration 0", "iteration 1"]
    gmm.hello()
    assert capsys.readouterr().out == "Hello from gmm.py!\n"


def test_compress_image_takes_the_most_probable_mean():
    state = gmm.GMMState(
        np.array([0.5, 0.5]),
        np.array([[10.4, 10.6, 300.0], [100, 100, 100]]),
        np.stack([np.eye(3), 1e5 * np.eye(3)]),
    )
    # Nearer to the first mean, but far more probable under the wide second component.
    result = gmm.compress_image(np.full((1, 2, 3), 40, dtype=np.uint8), state)
    np.testing.assert_array_equal(result, np.full((1, 2, 3), 100))
    near = np.round(state.mu[:1]).reshape(1, 1, 3)
    np.testing.assert_array_equal(gmm.compress_image(near, state), [[[10, 11, 255]]])
