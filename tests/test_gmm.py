"""Gaussian mixtures against the reference, the textbook, scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import gmm
import kmeans
from data import reference
from textbook import gmm as textbook

REFERENCE = reference("gmm")
DIMENSIONS = [1, 2, 3, 16, 50]
STEPS = {"formulas": gmm._step, "products": gmm._step_on_products}
each_step = pytest.mark.parametrize("take_step", STEPS.values(), ids=STEPS)
each_dimension = pytest.mark.parametrize("d", DIMENSIONS)


@pytest.fixture(params=[gmm, textbook], ids=["gmm", "textbook"])
def implementation(request):
    return request.param


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


def log_joint(data, state):
    """Return log pi_k + log N(x_n; mu_k, Sigma_k), (N, K), from SciPy."""
    return np.column_stack(
        [np.log(p) + multivariate_normal(m, S).logpdf(data) for p, m, S in zip(*state, strict=True)]
    )


def assert_states_close(ours, theirs, rtol):
    for name in gmm.GMMState._fields:
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(), err_msg=name)


def step_with(take_step, data, state, reg_covar=0.0, worthwhile=False):
    """Return what one of the two kinds of step makes of a state, and the log-likelihood."""
    with gmm._workers(worthwhile) as team:
        points, ridge = np.ascontiguousarray(data.T), reg_covar * np.eye(data.shape[1])
        return take_step(points, state, gmm._whiteners(state.sigma), ridge, team)


# The reference


@pytest.fixture(scope="module")
def start(mandrill_pixels):
    mu = mandrill_pixels[REFERENCE["initial_mu_indices"]]
    return mandrill_pixels, np.full(5, 0.2), mu, np.stack([1000 * np.eye(3)] * 5)


def test_mandrill_parameters_to_every_printed_digit(implementation, start):
    state = implementation.train_gmm(*start, num_iterations=50)
    for name in gmm.GMMState._fields:
        np.testing.assert_array_equal(np.round(getattr(state, name), 2), REFERENCE[name])


def test_mandrill_log_likelihoods(start):
    seen = []
    state = gmm.train_gmm(*start, callback=lambda iteration, value, state: seen.append(value))
    assert seen[0] == pytest.approx(REFERENCE["log_likelihood_iteration_0"], rel=1e-6)
    assert seen[49] == pytest.approx(REFERENCE["log_likelihood_e_step_of_iteration_49"], rel=1e-6)
    expected = pytest.approx(REFERENCE["log_likelihood_after_50_steps"], rel=1e-6)
    assert seen[50] == expected and gmm.log_likelihood(start[0], state) == expected


def test_mandrill_errors(implementation, start, mandrill_large):
    state = implementation.train_gmm(*start)
    compressed = implementation.compress_image(mandrill_large, state)
    assert compressed.dtype == np.uint8
    true = kmeans.mean_pixel_error(mandrill_large, compressed)
    assert true == pytest.approx(REFERENCE["mean_pixel_error_float"], abs=1e-9)
    with pytest.warns(RuntimeWarning):
        wrapped = kmeans.euclidean_distance(compressed, mandrill_large).mean()
    assert wrapped == pytest.approx(REFERENCE["mean_pixel_error_uint8_arithmetic"], abs=1e-9)


# Oracles


@each_dimension
@pytest.mark.parametrize("K", [1, 4])
def test_training_agrees_with_the_textbook(d, K):
    data, state = problem(d, 700, d, K)
    ours, theirs = (m.train_gmm(data, *state, num_iterations=3) for m in (gmm, textbook))
    assert_states_close(ours, theirs, 1e-9)


@each_dimension
@each_step
@pytest.mark.parametrize("num_threads", [1, 3])
def test_each_kind_of_step_agrees_with_the_textbook(take_step, d, num_threads):
    data, state = problem(200 + d, 3000, d, 4)
    with threadpool_limits(num_threads):
        ours, log_lik = step_with(take_step, data, state, worthwhile=True)
    assert_states_close(ours, textbook.train_gmm(data, *state, num_iterations=1), 1e-9)
    assert log_lik == pytest.approx(gmm.log_likelihood(data, state), rel=1e-12)


def test_the_cheaper_kind_of_step_is_taken():
    by_products = [(5, 3, 16384), (64, 3, 300), (16, 16, 30000), (64, 64, 30000), (4, 1, 30000)]
    by_formulas = [(1, 1, 30000), (4, 64, 30000), (4, 32, 5000), (4, 3, 30), (8, 200, 30000)]
    for shape in by_products + by_formulas:
        formulas, products = gmm._costs(*shape)
        assert (products < formulas) == (shape in by_products), shape


@each_dimension
def test_agrees_with_scikit_learn(implementation, d):
    K = 3
    data, state = problem(100 + d, 3000, d, K)
    model = GaussianMixture(
        K, tol=0, max_iter=10, reg_covar=0, weights_init=state.pi, means_init=state.mu,
        precisions_init=np.linalg.inv(state.sigma),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        model.fit(data)
    ours = implementation.train_gmm(data, *state, num_iterations=10)
    assert_states_close(ours, gmm.GMMState(model.weights_, model.means_, model.covariances_), 1e-6)
    gamma = implementation.responsibilities(data, ours)
    np.testing.assert_allclose(gamma, model.predict_proba(data), atol=1e-6)
    expected = model.score_samples(data).sum()
    assert gmm.log_likelihood(data, ours) == pytest.approx(expected, rel=1e-8)
    np.testing.assert_array_equal(gmm.predict(data, ours), model.predict(data))


@each_dimension
def test_densities_agree_with_scipy(implementation, d):
    data, state = problem(300 + d, 200, d, 3)
    expected = log_joint(data, state)  # (N, K)
    densities = implementation.log_density(data, state.mu, state.sigma)
    np.testing.assert_allclose(densities + np.log(state.pi), expected, rtol=1e-9)
    log_marginal = logsumexp(expected, axis=1)  # (N,)
    gamma = implementation.responsibilities(data, state)
    posterior = np.exp(expected - log_marginal[:, None])  # (N, K)
    np.testing.assert_allclose(gamma, posterior, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-12)
    assert gmm.log_likelihood(data, state) == pytest.approx(log_marginal.sum(), rel=1e-12)
    np.testing.assert_array_equal(gmm.predict(data, state), expected.argmax(axis=1))


def test_many_points_are_taken_in_blocks_without_a_seam():
    data, state = problem(350, 3 * gmm._BLOCK_FLOATS // 8 + 1, 3, 3)
    expected = log_joint(data, state)
    assert gmm.log_likelihood(data, state) == pytest.approx(logsumexp(expected, axis=1).sum())
    np.testing.assert_array_equal(gmm.predict(data, state), expected.argmax(axis=1))
    gamma = textbook.responsibilities(data, state)
    np.testing.assert_allclose(gmm.responsibilities(data, state), gamma, atol=1e-12)


def test_far_points_do_not_underflow(implementation):
    state = gmm.GMMState(np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.ones((2, 1, 1)))
    data = np.array([[1e6], [-1e6]])
    np.testing.assert_allclose(implementation.responsibilities(data, state), [[0, 1], [1, 0]])
    expected = -0.5 * ((1e6 - 1) ** 2 + 1e12)
    assert gmm.log_likelihood(data, state) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-5, 1e-7])
def test_a_narrow_component_keeps_its_digits(width):
    """Differences of products would lose them."""
    rng = np.random.default_rng(4)
    narrow = 5 + width * rng.normal(size=(500, 2))
    data = np.concatenate([narrow, rng.normal(size=(500, 2))])
    state = [0.5, 0.5], [[5, 5], [0, 0]], [1e3 * width**2 * np.eye(2), np.eye(2)]
    for take_step in STEPS.values():
        step, log_lik = step_with(take_step, data, gmm.GMMState(*map(np.array, state)))
        np.testing.assert_allclose(step.sigma[0], np.cov(narrow.T, ddof=0), rtol=1e-8)
        assert log_lik == pytest.approx(gmm.log_likelihood(data, gmm.GMMState(*state)), rel=1e-9)
    fitted = gmm.train_gmm(data, *state, num_iterations=20)
    np.testing.assert_allclose(fitted.sigma[0], np.cov(narrow.T, ddof=0), rtol=1e-6)
    np.testing.assert_allclose(fitted.mu[0], narrow.mean(axis=0), rtol=1e-12)


@each_dimension
@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_never_falls(implementation, d, seed):
    data, state = problem(seed, 600, d, 3)
    values = [gmm.log_likelihood(data, state)]
    for _ in range(15):
        state = implementation.train_gmm(data, *state, num_iterations=1)
        values.append(gmm.log_likelihood(data, state))
    assert np.all(np.diff(values) >= -1e-9 * np.abs(values[1:]))


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


# What float32 can hold


def test_float16_gives_a_valid_float32_state():
    data, state = problem(5, 400, 3, 3)
    result = gmm.train_gmm(data.astype(np.float16), *state, num_iterations=5)
    assert {x.dtype for x in result} == {np.dtype(np.float32)}
    gmm.predict(data, result)


@pytest.mark.parametrize("apart", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_float32_covariances_are_right_or_refused(apart):
    """Two columns that differ by little make covariances that are singular when rounded."""
    rng = np.random.default_rng(6)
    data = rng.normal(size=(600, 1)) + apart * rng.normal(size=(600, 2))
    data = data.astype(np.float32)
    state = [0.5, 0.5], [[-1, -1], [1, 1]], np.stack([np.cov(data.T)] * 2)
    exact = gmm.train_gmm(data.astype(np.float64), *state, num_iterations=10)
    if apart < 5e-3:
        with pytest.raises(ValueError, match=r"float32, .* sigma .*convert it to float64"):
            gmm.train_gmm(data, *state, num_iterations=10)
    else:
        ours = gmm.train_gmm(data, *state, num_iterations=10)
        expected = gmm.log_likelihood(data, exact)
        assert gmm.log_likelihood(data, ours) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("mean", [1e39, 1e6])
def test_float32_means_are_right_or_refused(mean):
    data = np.random.default_rng(7).normal(size=(60, 2)).astype(np.float32)
    start = [1.0, 0.0], [[0, 0], [mean, mean]], np.stack([0.01 * np.eye(2)] * 2)
    if mean > 1e38:
        with pytest.raises(ValueError, match=r"mu \(up to 1e\+39\).*convert it to float64"):
            gmm.train_gmm(data, *start, num_iterations=2)
    else:
        np.testing.assert_array_equal(gmm.train_gmm(data, *start).mu[1], [mean, mean])


def test_a_float32_mean_must_not_be_rounded_by_much_of_a_width():
    data = np.random.default_rng(7).normal(size=(60, 2)).astype(np.float32)
    far = 1e6 + 0.03  # float32 has steps of 1 / 16 there
    start = [1.0, 0.0], [[0, 0], [far, far]]
    gmm.train_gmm(data, *start, np.stack([1e4 * np.eye(2)] * 2), num_iterations=0)
    with pytest.raises(ValueError, match="convert it to float64"):
        gmm.train_gmm(data, *start, np.stack([np.eye(2)] * 2), num_iterations=0)


# Degenerate data


@each_step
@pytest.mark.parametrize("d", [2, 30])
def test_reg_covar_is_added_to_the_diagonal(take_step, d):
    data, state = problem(7, 400, d, 2)
    (ours, _), (plain, _) = (step_with(take_step, data, state, reg_covar=r) for r in (0.7, 0.0))
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
    mu, sigma = np.array([[1.0, 2.0], [5.0, 5.0]]), np.stack([np.eye(2)] * 2)
    start = [0.5, 0.5], scale * mu, scale**2 * sigma
    with pytest.raises(ValueError, match="component [01] has collapsed.*reg_covar"):
        gmm.train_gmm(scale * data, *start)
    state = gmm.train_gmm(scale * data, *start, reg_covar=1e-3 * scale**2)
    assert np.isfinite(gmm.log_likelihood(scale * data, state))


def test_a_callback_can_stop_before_a_collapse():
    data = np.repeat([[1.0, 2.0], [5.0, 5.0]], 20, axis=0)
    start = [1.0], [[3.0, 3.0]], [np.eye(2)]
    state = gmm.train_gmm(data, *start, callback=lambda iteration, value, state: True)
    np.testing.assert_allclose(state.mu, start[1])


@each_step
@pytest.mark.parametrize("N", [100, 201, 303])
def test_a_component_without_points_keeps_its_shape(take_step, N):
    data = np.random.default_rng(8).normal(size=(N, 2))
    far = np.array([1e3, 1e3])
    state = gmm.GMMState(np.full(2, 0.5), np.array([[0, 0], far]), np.stack([np.eye(2)] * 2))
    for _ in range(3):  # the first step empties it, the others start with log 0
        state, _ = step_with(take_step, data, state, reg_covar=0.5)
        assert state.pi[1] == 0
        np.testing.assert_array_equal(state.mu[1], far)
        np.testing.assert_array_equal(state.sigma[1], np.eye(2))
    expected = np.cov(data.T, ddof=0) + 0.5 * np.eye(2)
    np.testing.assert_allclose(state.sigma[0], expected, atol=1e-12)
    trained = gmm.train_gmm(data, *state, num_iterations=2)
    assert trained.pi[1] == 0
    assert np.isfinite(gmm.log_likelihood(data, trained))
    assert not gmm.responsibilities(data, trained)[:, 1].any()


# What is asked for


def test_proportions_that_do_not_sum_to_one_are_divided_by_their_sum():
    data, state = problem(9, 400, 3, 16)
    with pytest.warns(UserWarning, match=r"init_pi sums to 3\.2, not 1, and is divided"):
        ours = gmm.train_gmm(data, np.ones(16) / 5, *state[1:], num_iterations=2)
    expected = gmm.train_gmm(data, np.ones(16) / 16, *state[1:], num_iterations=2)
    assert_states_close(ours, expected, 1e-12)


def test_components_that_start_alike_give_a_warning():
    data, (pi, mu, sigma) = problem(10, 400, 3, 3)
    mu[2] = mu[0]
    with pytest.warns(UserWarning, match="start only 2 of 3 components apart.*distinct rows"):
        state = gmm.train_gmm(data, pi, mu, sigma, num_iterations=3)
    np.testing.assert_allclose(state.mu[2], state.mu[0])
    sigma[2] *= 2  # no warning: they will part
    state = gmm.train_gmm(data, pi, mu, sigma, num_iterations=3)
    assert np.abs(state.mu[2] - state.mu[0]).max() > 1e-3


@pytest.mark.parametrize("units", [1e-6, 1.0, 1e6])
def test_symmetry_is_judged_in_the_units_of_the_data(units):
    D = np.diag([1, units])
    good, skew = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([[1.0, 0.9], [0.0, 1.0]])
    nearly = good + [[0, 5e-7], [0, 0]]  # rounding to float32 may do this
    gmm.log_density([[0, 0]], [[0, 0]], [D @ nearly @ D])
    for bad in (skew, good + [[0, 5e-6], [0, 0]]):
        with pytest.raises(ValueError, match=r"sigma\[0\] must be sym(?s:.*)\(S \+ S\.T\) / 2"):
            gmm.log_density([[0, 0]], [[0, 0]], [D @ bad @ D])


def test_points_too_far_for_a_density_are_refused():
    state = gmm.GMMState(np.ones(1), np.zeros((1, 1)), np.full((1, 1, 1), 1e-200))
    with pytest.raises(ValueError, match="log-density is not finite; rescale the data"):
        gmm.log_likelihood([[1e100]], state)


def test_compress_image_takes_the_most_probable_mean(implementation):
    mu = np.array([[10.4, 10.6, 300.0], [100, 100, 100]])
    state = gmm.GMMState(np.array([0.5, 0.5]), mu, np.stack([np.eye(3), 1e5 * np.eye(3)]))
    # Nearer to the first mean, but far more probable under the wide second component.
    image = np.full((1, 2, 3), 40, dtype=np.uint8)
    result = implementation.compress_image(image, state)
    np.testing.assert_array_equal(result, np.full((1, 2, 3), 100))
    near = np.round(state.mu[:1]).reshape(1, 1, 3)
    np.testing.assert_array_equal(implementation.compress_image(near, state), [[[10, 11, 255]]])


def test_compress_image_warns_of_a_picture_from_0_to_1():
    state = gmm.GMMState(np.ones(1), np.full((1, 3), 0.5), np.eye(3)[None])
    with pytest.warns(UserWarning, match="image runs from 0 to 0.9167.*multiply it by"):
        gmm.compress_image(np.arange(12).reshape(2, 2, 3) / 12, state)
    gmm.compress_image(np.arange(12).reshape(2, 2, 3) % 2.0, state)  # black and white: no warning
