"""Tests of gda.py: against a slow EM, SciPy, scikit-learn, gmm.py and automatic differentiation."""

import pathlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

import gda
import gmm

HERE = pathlib.Path(gda.__file__).parent


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


def slow_log_joint(x, state):
    """Return log p(x, y = j) (N, 2) from scipy.stats."""
    columns = [
        np.log(prior) + multivariate_normal(mu, sigma).logpdf(x).reshape(-1)
        for prior, mu, sigma in zip((1 - state.phi, state.phi), state.mu, state.sigma, strict=True)
    ]
    return np.column_stack(columns)


def slow_em_step(labeled_x, labels, unlabeled_x, state, weight):
    """Return the parameters after one EM step, point by point as the formulas stand."""
    joint = np.exp(slow_log_joint(unlabeled_x, state))
    points = [(x, 1.0 * (y == 0), 1.0 * (y == 1)) for x, y in zip(labeled_x, labels, strict=True)]
    for x, p in zip(unlabeled_x, joint, strict=True):
        points.append((x, weight * p[0] / p.sum(), weight * p[1] / p.sum()))
    mu, sigma, counts = [], [], []
    for k in (0, 1):
        N_k = sum(point[1 + k] for point in points)
        mean = sum(point[1 + k] * point[0] for point in points) / N_k
        outer = sum(point[1 + k] * np.outer(point[0] - mean, point[0] - mean) for point in points)
        mu.append(mean)
        sigma.append(outer / N_k)
        counts.append(N_k)
    phi = counts[1] / (len(labeled_x) + weight * len(unlabeled_x))
    return gda.GDAState(phi, np.array(mu), np.array(sigma))


def assert_states_close(actual, expected, rtol=1e-9, atol=1e-9):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


# -- the supervised fit ------------------------------------------------------------------------


def test_fit_gda_agrees_with_scikit_learn():
    x, y, new_x = make_problem(0, num_labels=60)
    x, y = x[y <= np.arange(60) % 3], y[y <= np.arange(60) % 3]  # 30 of class 0, 20 of class 1
    state = gda.fit_gda(x, y)
    qda = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    np.testing.assert_allclose(state.phi, qda.priors_[1], rtol=1e-12)
    np.testing.assert_allclose(state.mu, qda.means_, rtol=1e-12)
    # scikit-learn 1.9 divides by the count, as maximum likelihood does.
    np.testing.assert_allclose(state.sigma, qda.covariance_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        gda.predict_proba(new_x, state), qda.predict_proba(new_x), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(gda.predict(new_x, state), qda.predict(new_x))


def test_reg_covar_is_added_to_the_diagonal():
    x, y, _ = make_problem(1)
    plain, regular = gda.fit_gda(x, y), gda.fit_gda(x, y, reg_covar=0.25)
    np.testing.assert_allclose(regular.sigma - plain.sigma, np.tile(0.25 * np.eye(3), (2, 1, 1)))
    np.testing.assert_array_equal(regular.mu, plain.mu)
    x, y, unlabeled_x = make_problem(2)
    step = gda.train_gda(x, y, unlabeled_x, num_iterations=1, reg_covar=0.25)
    start = gda.fit_gda(x, y, reg_covar=0.25)
    expected = slow_em_step(x, y, unlabeled_x, start, 1.0)
    assert_states_close(step, expected._replace(sigma=expected.sigma + 0.25 * np.eye(3)))


# -- EM --------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_train_gda_agrees_with_the_slow_em(weight):
    problem = make_problem(3)
    expected = gda.fit_gda(*problem[:2])
    for _ in range(5):
        expected = slow_em_step(*problem, expected, weight)
    actual = gda.train_gda(*problem, unlabeled_weight=weight, num_iterations=5)
    assert_states_close(actual, expected)


def test_no_unlabelled_data_gives_supervised_gda():
    x, y, unlabeled_x = make_problem(4)
    expected = gda.fit_gda(x, y)
    assert_states_close(gda.train_gda(x, y, np.empty((0, 3))), expected, rtol=1e-13, atol=0)
    weightless = gda.train_gda(x, y, unlabeled_x, unlabeled_weight=0)
    assert_states_close(weightless, expected, rtol=1e-12, atol=1e-13)
    # An init is forgotten after one step, since no posterior depends on it.
    init = gda.GDAState(0.9, expected.mu + 1, expected.sigma * 2)
    assert_states_close(
        gda.train_gda(x, y, np.empty((0, 3)), init=init, num_iterations=1), expected
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_labelled_data_gives_the_gaussian_mixture(seed):
    x, y, unlabeled_x = make_problem(seed, u=200)
    init = gda.fit_gda(x, y)
    pi = np.array([1 - init.phi, init.phi])
    expected = gmm.train_gmm(unlabeled_x, pi, init.mu, init.sigma, num_iterations=30)
    actual = gda.train_gda(np.empty((0, 3)), [], unlabeled_x, init=init, num_iterations=30)
    assert_states_close(actual, (expected.pi[1], expected.mu, expected.sigma))
    J = gda.objective(np.empty((0, 3)), [], unlabeled_x, actual)
    np.testing.assert_allclose(J, gmm.log_likelihood(unlabeled_x, expected), rtol=1e-12)


def test_copies_of_unlabelled_points_count_as_weights():
    x, y, unlabeled_x = make_problem(5)
    twice = np.concatenate([unlabeled_x, unlabeled_x])
    assert_states_close(
        gda.train_gda(x, y, unlabeled_x, unlabeled_weight=2), gda.train_gda(x, y, twice)
    )
    state = gda.fit_gda(x, y)
    np.testing.assert_allclose(
        gda.objective(x, y, unlabeled_x, state, unlabeled_weight=2),
        gda.objective(x, y, twice, state),
        rtol=1e-12,
    )


def test_swapping_the_labels_swaps_the_classes():
    x, y, unlabeled_x = make_problem(6)
    state = gda.train_gda(x, y, unlabeled_x, unlabeled_weight=0.5)
    swapped = gda.train_gda(x, 1 - y, unlabeled_x, unlabeled_weight=0.5)
    assert_states_close(swapped, (1 - state.phi, state.mu[::-1], state.sigma[::-1]))
    np.testing.assert_allclose(
        gda.predict_proba(x, swapped), gda.predict_proba(x, state)[:, ::-1], atol=1e-9
    )


def test_unlabelled_data_pins_the_gaussians_down():
    rng = np.random.default_rng(7)
    mu = np.array([[-3.0, 0.0], [3.0, 0.0]])
    y = np.concatenate([[0, 0, 0, 1, 1, 1], rng.integers(0, 2, 2000)])
    x = mu[y] + rng.normal(size=(len(y), 2))
    few, many = gda.fit_gda(x[:6], y[:6]), gda.train_gda(x[:6], y[:6], x[6:])
    assert np.abs(few.mu - mu).max() > 0.3
    np.testing.assert_allclose(many.mu, mu, atol=0.12)  # standard error 1 / sqrt(1000) = 0.03
    np.testing.assert_allclose(many.sigma, [np.eye(2)] * 2, atol=0.2)


# -- the objective and the bound ---------------------------------------------------------------


def test_objective_agrees_with_scipy():
    x, y, unlabeled_x = make_problem(8)
    state = gda.fit_gda(x, y)
    labelled = slow_log_joint(x, state)[np.arange(len(y)), y].sum()
    unlabelled = np.log(np.exp(slow_log_joint(unlabeled_x, state)).sum(axis=1)).sum()
    J = gda.objective(x, y, unlabeled_x, state, unlabeled_weight=0.7)
    np.testing.assert_allclose(J, labelled + 0.7 * unlabelled, rtol=1e-12)


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
    gda.train_gda(
        *problem, unlabeled_weight=weight, num_iterations=20, callback=lambda _, J: values.append(J)
    )
    values = np.array(values)
    assert len(values) == 20
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
    p = gda.e_step(unlabeled_x, state)
    kl = np.sum(Q * np.log(Q / p))
    gap = gda.objective(x, y, unlabeled_x, state) - gda.lower_bound(x, y, unlabeled_x, Q, state)
    np.testing.assert_allclose(gap, kl, rtol=1e-9)


def test_terms_with_zero_responsibility_are_zero():
    x, y, unlabeled_x = make_problem(10)
    state = gda.fit_gda(x, y)
    Q = np.eye(2)[np.zeros(40, dtype=int)]  # all in class 0
    expected = (
        slow_log_joint(x, state)[np.arange(12), y].sum()
        + slow_log_joint(unlabeled_x, state)[:, 0].sum()
    )
    np.testing.assert_allclose(gda.lower_bound(x, y, unlabeled_x, Q, state), expected, rtol=1e-12)
    # Also where log p is minus infinity: a class of prior 0 with no counts adds nothing.
    certain, no_x = state._replace(phi=0.0), np.empty((0, 3))
    expected = multivariate_normal(state.mu[0], state.sigma[0]).logpdf(unlabeled_x).sum()
    assert gda.lower_bound(no_x, [], unlabeled_x, Q, certain) == pytest.approx(expected, rel=1e-12)
    assert gda.objective(no_x, [], unlabeled_x, certain) == pytest.approx(expected, rel=1e-12)
    assert gda.objective(x, y, unlabeled_x, certain) == -np.inf
    assert gda.lower_bound(no_x, [], unlabeled_x, Q[:, ::-1], certain) == -np.inf


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
def test_the_m_step_is_a_stationary_point_by_automatic_differentiation(seed, weight):
    problem, Q = make_problem(seed), random_Q(seed, 40)
    state = gda.m_step(*problem, Q, unlabeled_weight=weight)
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


# -- numbers that are hard, kinds, and what is left alone ---------------------------------------


def test_far_points_do_not_underflow():
    x, y, _ = make_problem(11)
    state = gda.fit_gda(x, y)
    far = np.array([[1e4, 0, 0], [0, -1e6, 0]])
    assert np.all(np.exp(slow_log_joint(far, state)) == 0)  # what log space avoids
    Q = gda.e_step(far, state)
    np.testing.assert_allclose(Q.sum(axis=1), 1)
    np.testing.assert_array_equal(Q.argmax(axis=1), slow_log_joint(far, state).argmax(axis=1))
    assert np.isfinite(gda.objective(x, y, far, state))


def test_predictions():
    x, y, unlabeled_x = make_problem(12)
    state = gda.fit_gda(x, y)
    proba = gda.predict_proba(unlabeled_x, state)
    p = np.exp(slow_log_joint(unlabeled_x, state))
    np.testing.assert_allclose(proba, p / p.sum(axis=1, keepdims=True), rtol=1e-10)
    labels = gda.predict(unlabeled_x, state)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, proba[:, 1] > 0.5)
    tie = gda.GDAState(0.5, np.zeros((2, 1)), np.ones((2, 1, 1)))
    np.testing.assert_array_equal(gda.predict([[0.0], [2.0]], tie), [0, 0])


def test_float32_is_kept_and_integers_become_float64():
    x, y, unlabeled_x = (a.astype(np.float32) for a in make_problem(13))
    state = gda.train_gda(x, y, unlabeled_x)
    assert state.mu.dtype == state.sigma.dtype == np.float32
    assert isinstance(state.phi, float)
    assert_states_close(state, gda.train_gda(x.astype(float), y, unlabeled_x.astype(float)), 1e-5)
    whole = np.round(10 * x).astype(int)
    assert gda.fit_gda(whole, y.astype(bool)).mu.dtype == np.float64
    assert_states_close(gda.fit_gda(whole, y), gda.fit_gda(whole.astype(float), y))


def test_inputs_are_left_alone():
    problem = make_problem(14)
    init, Q = gda.fit_gda(*problem[:2]), random_Q(14, 40)
    for array in (*problem, Q, init.mu, init.sigma):
        array.flags.writeable = False
    state = gda.train_gda(*problem, init=init, reg_covar=0.1)
    gda.m_step(*problem, Q, reg_covar=0.1)
    gda.lower_bound(*problem, Q, init)
    gda.predict(problem[0], init)
    still = gda.train_gda(*problem, init=init, num_iterations=0)
    assert_states_close(still, init, rtol=0, atol=0)
    assert not np.shares_memory(still.mu, init.mu)
    assert state.mu.flags.writeable


def test_verbose_and_callback_report_each_step(capsys):
    problem = make_problem(15)
    seen = []
    gda.train_gda(*problem, num_iterations=3, verbose=True, callback=lambda *a: seen.append(a))
    state = gda.fit_gda(*problem[:2])
    for iteration, J in seen:
        np.testing.assert_allclose(J, gda.objective(*problem, state), rtol=1e-12)
        state = gda.m_step(*problem, gda.e_step(problem[2], state))
        assert iteration in range(3)
    assert [iteration for iteration, _ in seen] == [0, 1, 2]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert f"{seen[2][1]:.6f}" in lines[2]
    gda.train_gda(*problem, num_iterations=3)
    assert capsys.readouterr().out == ""


# -- classes that are missing or collapse ---------------------------------------------------------

X, Y, U = make_problem(16)
GOOD = gda.fit_gda(X, Y)
EMPTY = np.empty((0, 3))


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


def test_a_class_without_points_is_an_error():
    with pytest.raises(ValueError, match=r"class 1 has no points left.*unlabeled_weight is 0"):
        gda.train_gda(X, np.zeros(12), U, init=GOOD, unlabeled_weight=0)
    with pytest.raises(ValueError, match="class 1 has no points left"):
        gda.train_gda(EMPTY, [], U, init=GOOD._replace(phi=0.0))
    with pytest.raises(ValueError, match="class 0 has no points left"):
        gda.train_gda(EMPTY, [], EMPTY, init=GOOD)
