"""Tests of gda.py and its textbook: against scikit-learn, SciPy and automatic differentiation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.mixture import GaussianMixture

import gda
from textbook import gda as textbook

EMPTY = np.empty((0, 3))


@pytest.fixture(params=[gda, textbook], ids=["gda", "textbook"])
def implementation(request):
    return request.param


def make_problem(seed, num_labels=12, u=40, M=3):
    """Return labelled points, labels and unlabelled points of two overlapping Gaussians."""
    rng = np.random.default_rng(seed)
    mu = rng.normal(size=(2, M)) * 1.5
    A = rng.normal(size=(2, M, M)) + np.eye(M)
    y = np.concatenate([np.arange(num_labels) % 2, rng.integers(0, 2, u)])
    x = mu[y] + np.einsum("nij,nj->ni", A[y], rng.normal(size=(num_labels + u, M)))
    return x[:num_labels], y[:num_labels], x[num_labels:]


def random_Q(seed, u):
    q = np.random.default_rng(seed).uniform(size=u)
    return np.column_stack([1 - q, q])


def scipy_log_joint(x, state):
    """Return log p(x, y = j) (N, 2) from scipy.stats."""
    columns = [
        np.log(prior) + multivariate_normal(mu, sigma).logpdf(x).reshape(-1)
        for prior, mu, sigma in zip((1 - state.phi, state.phi), state.mu, state.sigma, strict=True)
    ]
    return np.column_stack(columns)


def assert_states_close(actual, expected, rtol=1e-9, atol=1e-9):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


X, Y, U = make_problem(16)
GOOD = gda.fit_gda(X, Y)


# -- the supervised fit ------------------------------------------------------------------------


def test_fit_gda_agrees_with_scikit_learn(implementation):
    x, y, new_x = make_problem(0, num_labels=60)
    x, y = x[y <= np.arange(60) % 3], y[y <= np.arange(60) % 3]  # 30 of class 0, 20 of class 1
    state = implementation.fit_gda(x, y)
    qda = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    np.testing.assert_allclose(state.phi, qda.priors_[1], rtol=1e-12)
    np.testing.assert_allclose(state.mu, qda.means_, rtol=1e-12)
    # scikit-learn 1.9 divides by the count, as maximum likelihood does.
    np.testing.assert_allclose(state.sigma, qda.covariance_, rtol=1e-10, atol=1e-12)
    for posterior in (implementation.e_step(new_x, state), gda.predict_proba(new_x, state)):
        np.testing.assert_allclose(posterior, qda.predict_proba(new_x), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(gda.predict(new_x, state), qda.predict(new_x))


def test_reg_covar_is_added_to_the_diagonal():
    x, y, unlabeled_x = make_problem(1)
    plain, regular = gda.fit_gda(x, y), gda.fit_gda(x, y, reg_covar=0.25)
    np.testing.assert_allclose(regular.sigma - plain.sigma, np.tile(0.25 * np.eye(3), (2, 1, 1)))
    np.testing.assert_array_equal(regular.mu, plain.mu)
    step = gda.train_gda(x, y, unlabeled_x, num_iterations=1, reg_covar=0.25)
    expected = textbook.m_step(x, y, unlabeled_x, textbook.e_step(unlabeled_x, regular))
    assert_states_close(step, expected._replace(sigma=expected.sigma + 0.25 * np.eye(3)))


# -- EM --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 40, 3), (40, 0, 1), (30, 300, 10), (90, 9000, 30)])
@pytest.mark.parametrize("weight", [0.0, 0.3, 4.0])
def test_train_gda_agrees_with_the_textbook(shape, weight):
    problem = make_problem(3, *shape)
    expected = textbook.train_gda(*problem, unlabeled_weight=weight, num_iterations=5)
    actual = gda.train_gda(*problem, unlabeled_weight=weight, num_iterations=5)
    assert_states_close(actual, expected)
    Q = gda.e_step(problem[2], actual)
    np.testing.assert_allclose(Q, textbook.e_step(problem[2], actual), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_far_from_the_origin_no_digits_are_lost(offset):
    problem = make_problem(3)
    shifted = (np.round(problem[0], 3) + offset, problem[1], np.round(problem[2], 3) + offset)
    near = (shifted[0] - offset, problem[1], shifted[2] - offset)  # exactly the same points
    state, expected = gda.train_gda(*shifted), gda.train_gda(*near)
    np.testing.assert_allclose(state.mu - offset, expected.mu, atol=1e-15 * offset, rtol=1e-6)
    np.testing.assert_allclose(state.sigma, expected.sigma, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        gda.objective(*shifted, state), gda.objective(*near, expected), rtol=1e-9
    )


def test_no_unlabelled_data_gives_supervised_gda(implementation):
    x, y, unlabeled_x = make_problem(4)
    expected = implementation.fit_gda(x, y)
    trained = implementation.train_gda(x, y, EMPTY)
    assert_states_close(trained, expected, rtol=1e-13, atol=0)
    weightless = implementation.train_gda(x, y, unlabeled_x, unlabeled_weight=0)
    assert_states_close(weightless, expected, rtol=1e-12, atol=1e-13)


def test_an_init_is_forgotten_where_no_posterior_depends_on_it():
    x, y, _ = make_problem(4)
    expected = gda.fit_gda(x, y)
    init = gda.GDAState(0.9, expected.mu + 1, expected.sigma * 2)
    assert_states_close(gda.train_gda(x, y, EMPTY, init=init, num_iterations=1), expected)


@pytest.mark.parametrize("seed", range(5))
def test_no_labelled_data_gives_the_gaussian_mixture(seed):
    x, y, unlabeled_x = make_problem(seed, u=200)
    init = gda.fit_gda(x, y)
    with pytest.warns(Warning, match="converge"):  # tol=0 never does
        mixture = GaussianMixture(
            2, tol=0, reg_covar=0, max_iter=30, weights_init=[1 - init.phi, init.phi],
            means_init=init.mu, precisions_init=np.linalg.inv(init.sigma),
        ).fit(unlabeled_x)  # fmt: skip
    actual = gda.train_gda(EMPTY, [], unlabeled_x, init=init, num_iterations=30)
    expected = mixture.weights_[1], mixture.means_, mixture.covariances_
    assert_states_close(actual, expected, rtol=1e-7, atol=1e-7)
    J = gda.objective(EMPTY, [], unlabeled_x, actual)
    np.testing.assert_allclose(J, mixture.score_samples(unlabeled_x).sum(), rtol=1e-9)


def test_copies_of_unlabelled_points_count_as_weights(implementation):
    x, y, unlabeled_x = make_problem(5)
    twice = np.concatenate([unlabeled_x, unlabeled_x])
    assert_states_close(
        implementation.train_gda(x, y, unlabeled_x, unlabeled_weight=2),
        implementation.train_gda(x, y, twice),
    )
    state = gda.fit_gda(x, y)
    np.testing.assert_allclose(
        gda.objective(x, y, unlabeled_x, state, unlabeled_weight=2),
        gda.objective(x, y, twice, state),
        rtol=1e-12,
    )


def test_swapping_the_labels_swaps_the_classes(implementation):
    x, y, unlabeled_x = make_problem(6)
    state = implementation.train_gda(x, y, unlabeled_x, unlabeled_weight=0.5)
    swapped = implementation.train_gda(x, 1 - y, unlabeled_x, unlabeled_weight=0.5)
    assert_states_close(swapped, (1 - state.phi, state.mu[::-1], state.sigma[::-1]))
    posteriors = implementation.e_step(x, swapped), implementation.e_step(x, state)[:, ::-1]
    np.testing.assert_allclose(*posteriors, atol=1e-9)


def test_unlabelled_data_pins_the_gaussians_down(implementation):
    rng = np.random.default_rng(7)
    mu = np.array([[-3.0, 0.0], [3.0, 0.0]])
    y = np.concatenate([[0, 0, 0, 1, 1, 1], rng.integers(0, 2, 2000)])
    x = mu[y] + rng.normal(size=(len(y), 2))
    few = implementation.fit_gda(x[:6], y[:6])
    many = implementation.train_gda(x[:6], y[:6], x[6:])
    assert np.abs(few.mu - mu).max() > 0.3
    np.testing.assert_allclose(many.mu, mu, atol=0.12)  # standard error 1 / sqrt(1000) = 0.03
    np.testing.assert_allclose(many.sigma, [np.eye(2)] * 2, atol=0.2)


# -- the objective and the bound ---------------------------------------------------------------


def test_objective_and_posterior_agree_with_scipy(implementation):
    x, y, unlabeled_x = make_problem(8)
    state = implementation.fit_gda(x, y)
    log_joint = scipy_log_joint(unlabeled_x, state)
    posterior = implementation.e_step(unlabeled_x, state)
    np.testing.assert_allclose(posterior, softmax(log_joint, axis=1), rtol=1e-9)
    labelled = scipy_log_joint(x, state)[np.arange(len(y)), y].sum()
    J = gda.objective(x, y, unlabeled_x, state, unlabeled_weight=0.7)
    np.testing.assert_allclose(J, labelled + 0.7 * logsumexp(log_joint, axis=1).sum(), rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    u=st.integers(1, 60),
    M=st.integers(1, 4),
    weight=st.sampled_from([0.0, 0.05, 1.0, 3.0]),
)
def test_the_objective_never_falls(seed, u, M, weight):
    problem = make_problem(seed, num_labels=6 * M, u=u, M=M)
    values = []
    gda.train_gda(*problem, unlabeled_weight=weight, callback=lambda _, J, state: values.append(J))
    assert len(values) == 51
    assert np.all(np.diff(values) >= -1e-9 * np.abs(values).max())


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), weight=st.sampled_from([0.0, 0.2, 1.0, 5.0]))
def test_the_bound_never_exceeds_the_objective_and_touches_it(seed, weight):
    problem = make_problem(seed)
    state = gda.fit_gda(*problem[:2])
    J = gda.objective(*problem, state, unlabeled_weight=weight)
    one_hot = np.eye(2)[np.random.default_rng(seed).integers(0, 2, 40)]
    for Q in (random_Q(seed, 40), one_hot, np.full((40, 2), 0.5)):
        bound = gda.lower_bound(*problem, Q, state, unlabeled_weight=weight)
        assert np.isfinite(bound)
        assert bound <= J + 1e-9 * abs(J)
    Q = gda.e_step(problem[2], state)
    bound = gda.lower_bound(*problem, Q, state, unlabeled_weight=weight)
    np.testing.assert_allclose(bound, J, rtol=1e-12)


def test_the_gap_is_the_kl_divergence():
    x, y, unlabeled_x = make_problem(9)
    state, Q = gda.fit_gda(x, y), random_Q(9, 40)
    kl = np.sum(Q * np.log(Q / gda.e_step(unlabeled_x, state)))
    gap = gda.objective(x, y, unlabeled_x, state) - gda.lower_bound(x, y, unlabeled_x, Q, state)
    np.testing.assert_allclose(gap, kl, rtol=1e-9)


def test_terms_with_zero_responsibility_are_zero():
    x, y, unlabeled_x = make_problem(10)
    state = gda.fit_gda(x, y)
    Q = np.eye(2)[np.zeros(40, dtype=int)]  # all in class 0
    expected = (
        scipy_log_joint(x, state)[np.arange(12), y].sum()
        + scipy_log_joint(unlabeled_x, state)[:, 0].sum()
    )
    np.testing.assert_allclose(gda.lower_bound(x, y, unlabeled_x, Q, state), expected, rtol=1e-12)
    # Also where log p is minus infinity: a class of prior 0 with no counts adds nothing.
    certain = state._replace(phi=0.0)
    expected = multivariate_normal(state.mu[0], state.sigma[0]).logpdf(unlabeled_x).sum()
    bound = gda.lower_bound(EMPTY, [], unlabeled_x, Q, certain)
    assert bound == pytest.approx(expected, rel=1e-12)
    assert gda.objective(EMPTY, [], unlabeled_x, certain) == pytest.approx(expected, rel=1e-12)
    assert gda.objective(x, y, unlabeled_x, certain) == -np.inf
    assert gda.lower_bound(EMPTY, [], unlabeled_x, Q[:, ::-1], certain) == -np.inf


# -- the M-step maximises the bound --------------------------------------------------------------


def torch_bound(problem, Q, weight, phi, mu, sigma):
    """Return equation 8 as a differentiable tensor, with torch.distributions' Gaussian."""
    x, y, unlabeled_x = (torch.as_tensor(a) for a in problem)
    Q = torch.as_tensor(Q)
    log_prior = torch.stack([torch.log1p(-phi), torch.log(phi)])
    gaussians = torch.distributions.MultivariateNormal(mu, sigma)
    labelled = (gaussians.log_prob(x[:, None]) + log_prior)[torch.arange(len(y)), y]
    unlabelled = gaussians.log_prob(unlabeled_x[:, None]) + log_prior  # (u, 2)
    return labelled.sum() + weight * (Q * (unlabelled - Q.log())).sum()


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_m_step_is_a_stationary_point_by_automatic_differentiation(
    implementation, seed, weight
):
    problem, Q = make_problem(seed), random_Q(seed, 40)
    state = implementation.m_step(*problem, Q, unlabeled_weight=weight)
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in state]
    bound = torch_bound(problem, Q, weight, *tensors)
    bound.backward()
    np.testing.assert_allclose(
        gda.lower_bound(*problem, Q, state, unlabeled_weight=weight), bound.item(), rtol=1e-12
    )
    for tensor in tensors:
        np.testing.assert_allclose(tensor.grad, np.zeros(tensor.shape), atol=1e-8)
    # The check can fail: away from the M-step the gradient is far from zero.
    moved = [torch.tensor(a * 1.1, dtype=torch.float64, requires_grad=True) for a in state]
    torch_bound(problem, Q, weight, *moved).backward()
    assert all(tensor.grad.abs().max() > 1e-2 for tensor in moved)


@pytest.mark.parametrize("seed", range(3))
def test_no_perturbation_beats_the_m_step(seed):
    rng = np.random.default_rng(seed)
    problem, Q = make_problem(seed), random_Q(seed, 40)
    state = gda.m_step(*problem, Q)
    best = gda.lower_bound(*problem, Q, state)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            T = np.eye(3) + scale * rng.normal(size=(2, 3, 3))  # T Sigma T^T stays positive
            other = gda.GDAState(
                np.clip(state.phi + scale * rng.normal(), 0.01, 0.99),
                state.mu + scale * rng.normal(size=(2, 3)),
                T @ state.sigma @ T.swapaxes(1, 2),
            )
            assert gda.lower_bound(*problem, Q, other) < best


# -- predictions, and numbers that are hard -------------------------------------------------------


def test_far_points_do_not_underflow(implementation):
    x, y, _ = make_problem(11)
    state = implementation.fit_gda(x, y)
    far = np.array([[1e4, 0, 0], [0, -1e6, 0]])
    assert np.all(np.exp(scipy_log_joint(far, state)) == 0)  # what log space avoids
    Q = implementation.e_step(far, state)
    np.testing.assert_allclose(Q.sum(axis=1), 1)
    np.testing.assert_array_equal(Q.argmax(axis=1), scipy_log_joint(far, state).argmax(axis=1))
    assert np.isfinite(gda.objective(x, y, far, state))


def test_predictions():
    x, y, unlabeled_x = make_problem(12)
    state = gda.fit_gda(x, y)
    proba = gda.predict_proba(unlabeled_x, state)
    np.testing.assert_allclose(proba, softmax(scipy_log_joint(unlabeled_x, state), 1), rtol=1e-10)
    labels = gda.predict(unlabeled_x, state)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, proba[:, 1] > 0.5)
    tie = gda.GDAState(0.5, np.zeros((2, 1)), np.ones((2, 1, 1)))
    np.testing.assert_array_equal(gda.predict([[0.0], [2.0]], tie), [0, 0])


def test_whole_numbers_are_points_and_truth_values_are_labels():
    x, y, _ = make_problem(13)
    whole = np.round(10 * x).astype(np.uint8)
    state = gda.fit_gda(whole, y.astype(bool))
    assert state.mu.dtype == state.sigma.dtype == np.float64
    assert_states_close(state, gda.fit_gda(whole.astype(float), y), rtol=0, atol=0)


# -- what float32 cannot hold ---------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    flatness=st.floats(-9, 0).map(lambda power: 10**power),
    offset=st.floats(-2, 8).map(lambda power: 10**power),
)
def test_a_float32_state_means_what_the_float64_state_means(seed, flatness, offset):
    x, y, _ = make_problem(seed, num_labels=60)
    x[:, 2] = x[:, 0] + flatness * x[:, 2]
    x = (x + offset).astype(np.float32)
    try:
        state = gda.fit_gda(x, y)
    except ValueError as error:
        assert "float64" in str(error) or "collapsed" in str(error)
        return
    assert state.sigma.dtype == np.float32
    gda.predict(x, state)  # takes what the fit returned
    ours, exact = (
        gda.objective(x, y, EMPTY, s) for s in (state, gda.fit_gda(x.astype(np.float64), y))
    )
    assert ours == pytest.approx(exact, abs=0.01 * len(x))


def test_what_float32_can_hold_is_returned():
    x, y, _ = make_problem(14, num_labels=60)
    x[:, 2] = x[:, 0] + 0.02 * x[:, 2]
    expected = gda.fit_gda(x.astype(np.float32).astype(np.float64), y)
    assert_states_close(gda.fit_gda(x.astype(np.float32), y), expected, rtol=1e-6, atol=1e-6)


def test_what_float32_cannot_hold_is_an_error():
    x, y, unlabeled_x = (a.astype(np.float32) for a in make_problem(14))
    large = GOOD._replace(mu=GOOD.mu + 1e39)
    with pytest.raises(ValueError, match=r"float32 cannot hold mu \(up to 1e\+39\).*float64"):
        gda.train_gda(x, y, unlabeled_x, init=large, num_iterations=0)
    x[:, 2] = x[:, 0] + 1e-4 * x[:, 2]
    with pytest.raises(ValueError, match="float32 cannot hold .* convert the data to float64"):
        gda.fit_gda(x, y)
    assert np.isfinite(gda.fit_gda(x, y, reg_covar=1e-3).sigma).all()


# -- classes that are missing or collapse ---------------------------------------------------------


@pytest.mark.parametrize("missing", [0, 1])
def test_one_class_missing(missing):
    with pytest.raises(ValueError, match=f"no point is labelled {missing} among the 12.*init="):
        gda.train_gda(X, np.full(12, 1 - missing), U)
    # An init supplies what the labels lack.
    state = gda.train_gda(X, np.full(12, 1 - missing), U, init=GOOD)
    assert np.isfinite(state.mu).all()
    with pytest.raises(ValueError, match="no point is labelled 0 among the 0"):
        gda.train_gda(EMPTY, [], U)


def test_collapse_names_the_class_and_reg_covar():
    flat = X.copy()
    flat[Y == 1, 2] = flat[Y == 1, 0]  # class 1 lies in a plane
    with pytest.raises(ValueError, match=r"class 1 has collapsed.*reg_covar"):
        gda.fit_gda(flat, Y)
    assert np.isfinite(gda.fit_gda(flat, Y, reg_covar=1e-3).mu).all()
    few = np.array([0, 2, 4, 6, 8, 1])  # five points of class 0, one of class 1
    with pytest.raises(ValueError, match=r"class 1 has collapsed.*reg_covar"):
        gda.train_gda(X[few], Y[few], U)
    # During EM: class 1 starts on a repeated point and narrows onto it.
    spot = np.concatenate([U, np.zeros((5, 3))])
    narrow = GOOD._replace(mu=np.stack([GOOD.mu[0], np.zeros(3)]))
    narrow.sigma[1] = 1e-6 * np.eye(3)
    with pytest.raises(ValueError, match=r"class 1 has collapsed.*reg_covar"):
        gda.train_gda(EMPTY, [], spot, init=narrow)
    assert np.isfinite(gda.train_gda(EMPTY, [], spot, init=narrow, reg_covar=1e-3).mu).all()


@pytest.mark.parametrize("N", [10, 1000, 100_000])
@pytest.mark.parametrize("place", [0.1, 1e5 / 7, 1e9 + 0.1])
def test_points_on_one_spot_collapse_however_many_and_wherever(N, place):
    x = np.full((N, 1), place)
    x[::2, 0] += np.random.default_rng(0).uniform(size=N // 2)
    with pytest.raises(ValueError, match="class 1 has collapsed"):
        gda.fit_gda(x, np.arange(N) % 2)


@pytest.mark.parametrize(("N", "limit"), [(100, 42), (10_000, 132)])
def test_the_narrowest_class_is_as_wide_as_a_mean_is_wrong(N, limit):
    eps, y = np.finfo(np.float64).eps, np.arange(N) % 2
    side = np.where(np.arange(N) % 4 < 2, -1.0, 1.0)
    for width, collapses in ((limit - 2, True), (limit + 2, False)):
        x = np.where(y, 1 + width * eps * side, 2 + side)[:, None]  # class 1 is 1 -+ width eps
        if collapses:
            with pytest.raises(ValueError, match="class 1 has collapsed"):
                gda.fit_gda(x, y)
        else:
            assert gda.fit_gda(x, y).sigma[1] == pytest.approx((width * eps) ** 2, rel=0.1)


@pytest.mark.parametrize("M", [2, 10])
def test_a_class_in_a_flat_collapses_and_a_nearly_flat_one_does_not(M):
    rng, y = np.random.default_rng(17), np.arange(400) % 2
    for power, collapses in ((-9, True), (-6, False)):  # the limit is the root of 16 M eps
        x = rng.normal(size=(400, M))
        x[:, -1] = x[:, :-1].sum(axis=1) + 10.0**power * x[:, -1]
        if collapses:
            with pytest.raises(ValueError, match="class 0 has collapsed"):
                gda.fit_gda(x, y)
        else:
            assert np.isfinite(gda.objective(x, y, x[:0], gda.fit_gda(x, y)))


def test_a_class_without_points_is_an_error():
    with pytest.raises(ValueError, match=r"class 1 is empty.*unlabeled_weight is 0"):
        gda.train_gda(X, np.zeros(12), U, init=GOOD, unlabeled_weight=0)
    with pytest.raises(ValueError, match="class 1 is empty"):
        gda.train_gda(EMPTY, [], U, init=GOOD._replace(phi=0.0))
    with pytest.raises(ValueError, match="class 0 is empty"):
        gda.train_gda(EMPTY, [], EMPTY, init=GOOD)


# -- plausible mistakes ---------------------------------------------------------------------------

SKEW = np.array([[[1, 9e5], [0, 1e12]], [[1, 0], [0, 1e12]]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gda.train_gda(X, Y + 1, U), "labels holds 2 at index 1.*map two classes"),
        (
            lambda: gda.train_gda(X, 3 + 5 * Y, U),
            r"holds 3 at.*map two.*\(labels == 8\).astype\(int",
        ),
        (lambda: gda.fit_gda(X, 2 * Y - 1), r"y holds -1 at index 0.*\(y == 1\).astype\(int\)"),
        (lambda: gda.fit_gda(X, np.full(12, 7)), "y holds 7 at index 0.*0 or 1"),
        (lambda: gda.fit_gda(X, np.arange(12) % 3), "y holds 2 at index 2.*two classes"),
        (lambda: gda.fit_gda(X, np.where(X[:, 0] > 0, np.nan, Y)), "nan.*belongs in unlabeled_x"),
        (lambda: gda.fit_gda(X, np.array(["cat", "dog"])[Y]), "map two classes to these"),
        (lambda: gda.fit_gda(X, [None, *Y[1:]]), "belongs in unlabeled_x"),
        (lambda: gda.fit_gda(X, np.eye(2)[Y]), r"\(12, 2\).*argmax\(axis=1\) one-hot rows"),
        (lambda: gda.fit_gda(X, Y[:, None]), r"\(12, 1\).*ravel\(\) flattens a column"),
        (lambda: gda.fit_gda(Y, X), r"x must have shape \(N, M\), a row for each point.*reshape"),
        (lambda: gda.fit_gda(X.T, Y), r"y must have shape \(3,\), one for each row of x"),
        (lambda: gda.predict(GOOD, X), "x must be points, got a GDAState; the state comes after"),
        (lambda: gda.lower_bound(X, Y, U, GOOD, random_Q(0, 40)), "state must be a GDAState"),
        (lambda: gda.fit_gda(X, Y, reg_covar=1e250), r"reg_covar must be from 0 to 1e\+200"),
        (lambda: gda.m_step(X, Y, U, random_Q(0, 40).T), r"Q.*a row for each point.*\(2, 40\)"),
        (
            lambda: gda.predict(X[:, :2], gda.GDAState(0.5, X[:2, :2], SKEW)),
            r"state.sigma\[0\] must be symmetric",
        ),
    ],
)
def test_a_mistake_is_explained(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e6])
def test_a_covariance_may_be_as_lopsided_as_rounding_makes_it(unit):
    scale = np.array([1.0, unit])
    sigma = np.array([[2.0, 0.9], [0.9 + 1e-7, 1.0]]) * scale * scale[:, None]
    state = gda.GDAState(0.5, X[:2, :2] * scale, np.stack([sigma, np.diag(scale**2)]))
    gda.predict(X[:, :2] * scale, state)
    sigma[1, 0] *= 1 + 1e-5
    with pytest.raises(ValueError, match=r"state.sigma\[0\] must be symmetric"):
        gda.predict(X[:, :2] * scale, state._replace(sigma=np.stack([sigma, sigma.T])))
