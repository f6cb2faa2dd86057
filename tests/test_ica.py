"""ICA and its textbook: SciPy, finite differences, mixtures that are known, and the reference."""

import re
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import ica
import textbook.ica
from data import reference, sounds

REFERENCE = reference("ica")
PASSES = {
    "numpy": lambda: ica._pass_in_numpy,
    "lapack": lambda: ica._pass_with_lapack,
    "loops": lambda: ica._pass_in_loops,
    "numba": lambda: pytest.importorskip("numba") and ica._compiled_pass(),
}
IMPLEMENTATIONS = pytest.mark.parametrize(
    "implementation", [ica, textbook.ica], ids=["module", "textbook"]
)


@pytest.fixture(params=PASSES)
def route(request, monkeypatch):
    """Make `ica.ica` take its steps in each of the ways in turn."""
    run_pass = PASSES[request.param]()
    monkeypatch.setattr(ica, "_fastest_pass", lambda num_steps, num_sources: run_pass)


def mixture(seed, m, T, draw="laplace"):
    """Return X (T, m), normalised, and the mixing matrix (m, m) behind it."""
    rng = np.random.default_rng(seed)
    A = np.eye(m) + 0.5 * rng.uniform(-1, 1, (m, m))
    return ica.normalize(getattr(rng, draw)(size=(T, m)) @ A.T), A


GOOD = mixture(0, 2, 50)[0]
short = pytest.mark.filterwarnings("ignore::UserWarning")  # of no convergence in so few steps


# The ascent


@short
@pytest.mark.parametrize("m", [1, 2, 3, 5, 8])
def test_every_route_takes_the_textbooks_steps(route, m):
    X, _ = mixture(m, m, 60)
    rates = (0.1, 0.03)
    expected = textbook.ica.ica(X, learning_rates=rates)
    np.testing.assert_allclose(ica.ica(X, learning_rates=rates), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", PASSES)
def test_every_route_steps_from_any_matrix(name):
    rng = np.random.default_rng(7)
    for m in (2, 3, 6):
        W = expected = rng.normal(size=(m, m))
        X = rng.normal(size=(4, m))
        for x in X:
            expected = expected + 0.03 * textbook.ica.filter_grad(x, expected)
        np.testing.assert_allclose(PASSES[name]()(W, X, 0.03), expected, rtol=1e-9)


@short
def test_ica_pivots(route):
    # The first step gives W a diagonal of exact zeros: 1 + (1 - 65) / 64, since tanh(65 / 2) = 1.
    X = np.array([[65.0, -65.0], [-3.0, 5.0], [2.0, 1.0]])
    expected = textbook.ica.ica(X, learning_rates=(1 / 64,))
    np.testing.assert_allclose(ica.ica(X, learning_rates=(1 / 64,)), expected, rtol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["numba", "lapack"])
def test_original_audio_gives_the_reference(originals, name, monkeypatch):
    run_pass = PASSES[name]()
    monkeypatch.setattr(ica, "_fastest_pass", lambda num_steps, num_sources: run_pass)
    np.testing.assert_array_equal(ica.LEARNING_RATES, REFERENCE["learning_rates"])
    W = ica.ica(ica.normalize(np.loadtxt(originals / "ica_data.dat")))
    np.testing.assert_allclose(W, REFERENCE["W"], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_original_audio_gives_the_reference_by_the_textbook(originals):
    np.testing.assert_array_equal(textbook.ica.LEARNING_RATES, REFERENCE["learning_rates"])
    W = textbook.ica.ica(textbook.ica.normalize(np.loadtxt(originals / "ica_data.dat")))
    np.testing.assert_allclose(W, REFERENCE["W"], rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_stand_in_audio_is_unmixed():
    sound = sounds.mix_sources()
    W = ica.ica(ica.normalize(sound.mix))
    assert ica.amari_distance(np.eye(5), sound.mixing) > 0.3
    assert ica.amari_distance(W, sound.mixing) < 0.05


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", ["laplace", "logistic"])
@pytest.mark.parametrize("seed", range(4))
def test_known_mixtures_are_recovered(seed, draw):
    X, A = mixture(seed, 3, 20_000, draw)
    W = ica.ica(X)
    assert ica.amari_distance(W, A) < 0.05 < ica.amari_distance(np.eye(3), A)
    # Each row of W A picks one source, and no two pick the same.
    assert sorted(np.abs(W @ A).argmax(axis=1)) == [0, 1, 2]


def test_scale_at_which_the_density_fits():
    # Where the gradient is zero, so is its product with W^T: E[y_j tanh(y_j / 2)] = 1.
    X, _ = mixture(5, 2, 20_000, "logistic")
    Y = ica.unmix(X, ica.ica(X))
    np.testing.assert_allclose((Y * np.tanh(Y / 2)).mean(axis=0), 1, atol=0.02)


@short
def test_integers_are_computed_in_float64():
    levels = np.rint(4 * mixture(2, 3, 200)[0]).astype(np.int16)
    W = ica.ica(levels, learning_rates=(0.01,))
    assert W.dtype == np.float64
    np.testing.assert_array_equal(W, ica.ica(levels.astype(float), learning_rates=(0.01,)))


def test_names():
    assert ica.unmixer is ica.ica


# Which way to take the steps


@pytest.fixture
def steps_taken(monkeypatch):
    """Return a function that sets how many steps the process has taken before."""
    monkeypatch.setattr(ica, "_steps_taken", 0)
    monkeypatch.setattr(ica, "_compiled_pass", lambda: "compiled")
    return lambda count: monkeypatch.setattr(ica, "_steps_taken", count)


def test_what_loads_slowly_is_used_once_it_repays_itself(steps_taken):
    scipy, compiling = ica._WORTH_SCIPY, ica._WORTH_COMPILING
    assert scipy < compiling
    for before, steps, expected in (
        (0, scipy - 1, ica._pass_in_numpy),
        (0, scipy, ica._pass_with_lapack),
        (scipy - 10, 9, ica._pass_in_numpy),
        (scipy - 10, 10, ica._pass_with_lapack),
        (0, compiling - 1, ica._pass_with_lapack),
        (compiling - 10, 10, "compiled"),
    ):
        steps_taken(before)
        assert ica._fastest_pass(steps, 5) is expected
        assert ica._steps_taken == before + steps
    assert ica._fastest_pass(0, ica._MAX_COMPILED_SOURCES) == "compiled"
    assert ica._fastest_pass(0, ica._MAX_COMPILED_SOURCES + 1) is ica._pass_with_lapack


@short
def test_a_short_run_loads_neither_scipy_nor_numba(steps_taken, monkeypatch):
    for name in ("scipy.linalg", "numba"):
        monkeypatch.setitem(sys.modules, name, None)  # so that importing it fails
    ica.ica(GOOD)
    assert ica._steps_taken == 50 * 16


def test_without_numba_lapack_takes_the_steps(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(ica, "_compiled_pass", ica._compiled_pass.__wrapped__)  # no cache
    monkeypatch.setattr(ica, "_steps_taken", ica._WORTH_COMPILING)
    assert ica._fastest_pass(1, 2) is ica._pass_with_lapack


# Sigmoid, likelihood, gradient


@IMPLEMENTATIONS
def test_sigmoid_agrees_with_scipy(implementation):
    # Below -708 the value is subnormal, which SciPy rounds to zero.
    s = np.concatenate([np.linspace(-700, 1000, 3401), [-np.inf, np.inf, 0.0]])
    np.testing.assert_allclose(implementation.sigmoid(s), special.expit(s), rtol=1e-15)
    assert implementation.sigmoid(0) == 0.5
    assert implementation.sigmoid(1000) == 1 and implementation.sigmoid(-1000) == 0
    assert 0 < implementation.sigmoid(-740) < 1e-300


@IMPLEMENTATIONS
@settings(deadline=None, max_examples=50)
@given(s=st.floats(allow_nan=False))
def test_sigmoid_is_symmetric(implementation, s):
    np.testing.assert_allclose(
        implementation.sigmoid(s) + implementation.sigmoid(-s), 1, rtol=1e-15
    )


@pytest.mark.parametrize(
    ("implementation", "scale"), [(ica, 1), (ica, 1000), (textbook.ica, 1)], ids=str
)
def test_log_likelihood_agrees_with_scipy(implementation, scale):
    rng = np.random.default_rng(0)
    X, W = scale * rng.normal(size=(40, 4)), rng.normal(size=(4, 4))
    expected = stats.logistic.logpdf(X @ W.T).sum() + 40 * np.log(abs(np.linalg.det(W)))
    np.testing.assert_allclose(implementation.log_likelihood(X, W), expected, rtol=1e-12)


def test_log_likelihood_at_the_ends():
    # log g'(s) is -|s| up to 2 log1p(exp(-|s|)), which is zero to rounding at 1000.
    assert ica.log_likelihood([[1000.0], [-1000.0]], [[1.0]]) == -2000
    assert ica.log_likelihood([[0.0]], [[1.0]]) == pytest.approx(np.log(0.25), rel=1e-15)
    assert ica.log_likelihood([[1.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]) == -np.inf
    assert ica.log_likelihood(np.full((4, 1), 1e308), [[1.0]]) == -np.inf


@IMPLEMENTATIONS
@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_filter_grad_agrees_with_finite_differences(implementation, seed, m):
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(7, m)), np.eye(m) + 0.3 * rng.normal(size=(m, m))
    h = 1e-6

    def slopes(X):
        result = np.empty((m, m))
        for entry in np.ndindex(m, m):
            step = np.zeros((m, m))
            step[entry] = h
            rise = ica.log_likelihood(X, W + step) - ica.log_likelihood(X, W - step)
            result[entry] = rise / (2 * h)
        return result

    gradients = [implementation.filter_grad(x, W) for x in X]
    np.testing.assert_allclose(gradients[0], slopes(X[:1]), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(sum(gradients), slopes(X), rtol=1e-6, atol=1e-6)


@IMPLEMENTATIONS
def test_filter_grad_far_out(implementation):
    gradient = implementation.filter_grad(np.array([1000.0, -1000.0]), np.eye(2))
    np.testing.assert_array_equal(gradient, [[-999, 1000], [1000, -999]])


@IMPLEMENTATIONS
def test_unmix_is_a_product_a_sample(implementation):
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
    expected = [W @ x for x in X]
    np.testing.assert_allclose(implementation.unmix(X, W), expected, rtol=1e-13, atol=1e-14)


@IMPLEMENTATIONS
def test_normalize(implementation):
    mix = np.array([[1.0, -128.0], [100.0, 0.0]])
    np.testing.assert_allclose(implementation.normalize(mix), 0.99 * mix / 128, rtol=1e-15)


def test_normalize_at_the_ends_of_a_dtype():
    mix = np.array([[1, -128], [100, 0]], dtype=np.int8)
    np.testing.assert_allclose(ica.normalize(mix), 0.99 * mix.astype(float) / 128, rtol=1e-15)
    assert np.abs(ica.normalize(np.array([[1e-310, 0], [0, 1e-311]]))).max() == 0.99
    assert np.abs(ica.normalize(np.array([[1e308, 0], [0, -1e307]]))).max() == 0.99


# The Amari distance


def random_pair(seed, m=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, m)), rng.normal(size=(m, m)), rng


def test_amari_distance_by_hand():
    # W has rows (1, 0), (0, 1) and A has columns (4, 3) / 5, (0, 1): P = [[.8, 0], [.6, 1]].
    expected = ((1 + 0 + 0.6 + 1 - 2) + (1 + 0.75 + 0 + 1 - 2)) / 4
    distance = ica.amari_distance(np.eye(2), [[4.0, 0.0], [3.0, 1.0]])
    assert distance == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_amari_distance_ignores_order_sign_and_scale(seed):
    W, A, rng = random_pair(seed)
    distance = ica.amari_distance(W, A)
    assert 0.01 < distance < 1
    for _ in range(3):
        W = rng.permutation(W, axis=0) * rng.choice([-1e9, 0.3, 1e-60], (4, 1))
        A = rng.permutation(A, axis=1) * rng.choice([-1e9, 0.3, 1e60], 4)
        np.testing.assert_allclose(ica.amari_distance(W, A), distance, rtol=1e-12)
    perfect = np.linalg.inv(rng.permutation(random_pair(seed)[1], axis=1) * [1, -2, 30, 0.4])
    np.testing.assert_allclose(ica.amari_distance(perfect, random_pair(seed)[1]), 0, atol=1e-12)


def test_amari_distance_range():
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    assert ica.amari_distance(hadamard, np.eye(4)) == pytest.approx(1, rel=1e-14)
    assert ica.amari_distance([[3.0]], [[-2.0]]) == 0


# An ascent that fails


@short
@pytest.mark.parametrize("quiet", [1e-9, 1e-200])
def test_a_quiet_microphone_is_not_a_silent_one(quiet):
    assert np.isfinite(ica.ica(GOOD * [1, quiet], learning_rates=(0.01,))).all()


def test_a_singular_step_is_reported(route):
    # tanh(65 / 2) = 1, so the first step ends at W = 1 + (1 - 65) / 64 = 0 exactly.
    with pytest.raises(ValueError, match=r"singular in pass 0 at learning rate 0.015625.*too high"):
        ica.ica([[65.0], [-65.0]], learning_rates=(1 / 64,))


def test_ending_on_a_singular_matrix_is_reported(route):
    # The first sample leaves W at 65/64. The second, where the tanh is 1 again, takes it to zero.
    with pytest.raises(ValueError, match=r"diverged.*-inf nats.*too high"):
        ica.ica([[1e-300], [65 + 64 / 65]], learning_rates=(1 / 64,))


@pytest.mark.parametrize("rate", [1e4, 1e100, 1e308])
def test_a_rate_too_high_is_reported(route, rate):
    with pytest.raises(ValueError, match=r"(diverged|singular).*too high"):
        ica.ica(GOOD - GOOD.mean(axis=0), learning_rates=(rate,))


def test_data_that_was_not_normalised_is_reported(route):
    with pytest.raises(ValueError, match=r"(diverged|singular).*normalize"):
        ica.ica(np.rint(32767 * GOOD).astype(np.int16), learning_rates=(0.1, 0.05))


def test_a_matrix_too_large_for_its_dtype_is_reported():
    with pytest.raises(ValueError, match="pass 0 .* or too large for float16"):
        ica.ica(1e-3 * GOOD.astype(np.float16), learning_rates=(1e5,))


# An answer of no use


def warning_of(X, **options):
    with pytest.warns(UserWarning) as caught:
        ica.ica(X, **options)
    assert [w.filename for w in caught] == [__file__] * len(caught)
    return str(caught[0].message)


@pytest.mark.parametrize("amplitude", [1e-3, 0.05, 20, 300])
def test_data_of_another_amplitude_are_reported(amplitude):
    X = amplitude * ica.normalize(sounds.mix_sources().mix[:5000])
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises((ValueError, UserWarning)) as raised,
    ):
        ica.ica(X)
    message = str(raised.value)
    assert re.search(r"has not converged|diverged", message)
    assert f"max |X| = {np.abs(X).max():.4g}" in message and "normalize" in message


def test_too_few_steps_are_reported():
    message = warning_of(mixture(1, 2, 2000)[0], learning_rates=(1e-5,))
    assert "has not converged" in message and "pass more or other learning_rates" in message


@pytest.mark.parametrize(
    ("scale", "warns"), [(0.64, False), (0.63, True), (1.34, False), (1.35, True)]
)
def test_where_an_ascent_counts_as_converged(scale, warns):
    # With W = scale, an entry of the mean gradient times W^T is 1 - E[s y tanh(s y / 2)].
    y = stats.logistic.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    distance = abs(1 - np.mean(scale * y * np.tanh(scale * y / 2)))
    assert (distance > 0.5) == warns and 0.48 < distance < 0.52
    with warnings.catch_warnings(record=True, action="always") as caught:
        ica._check_result(y, np.array([[scale]]), [0.1])
    assert len(caught) == warns


@pytest.mark.parametrize("seed", range(3))
def test_sub_gaussian_sources_are_reported_with_their_stability(seed):
    t = np.arange(6000)
    waves = np.column_stack([np.sin(0.05 * t + seed), np.sign(np.sin(0.0131 * t + 0.3))])
    X = ica.normalize(waves @ mixture(seed, 2, 9)[1].T)
    X -= X.mean(axis=0)
    message = warning_of(X)
    assert "sub-Gaussian" in message and "use another method" in message
    # k_j = E[f'(y)] E[y^2] / E[f(y) y] with f = 2 g - 1; the expectations as numbers.
    with warnings.catch_warnings(action="ignore"):
        y = ica.unmix(X, ica.ica(X))
    g = special.expit(y)
    k = 2 * (g * (1 - g)).mean(axis=0) * (y**2).mean(axis=0) / ((2 * g - 1) * y).mean(axis=0)
    stability = float(re.search(r"stability ([\d.]+)", message)[1])
    assert stability == pytest.approx(k.prod(), abs=1e-3) and stability < 0.95


def test_one_sub_gaussian_source_among_peaked_ones_is_found():
    rng = np.random.default_rng(3)
    peaked = rng.laplace(size=(20_000, 2)) ** 3
    sources = np.column_stack([peaked, np.sin(0.05 * np.arange(20_000))])
    A = np.eye(3) + 0.3 * rng.uniform(-1, 1, (3, 3))
    X = 5 * ica.normalize((sources / sources.std(axis=0)) @ A.T)
    with warnings.catch_warnings(action="error"):
        assert ica.amari_distance(ica.ica(X), A) < 0.05


@pytest.mark.parametrize("T", [100, 5000])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_channel_far_from_mean_zero_is_reported(sign, T):
    X = mixture(4, 2, T)[0]
    X = (X - X.mean(axis=0)) / X.std(axis=0) / 2
    limit = 0.3 + 3 / np.sqrt(T)  # three standard errors above what harms
    for share, warns in ((limit - 0.008, False), (limit + 0.008, True)):
        mean = sign * 0.5 * share / np.sqrt(1 - share**2)  # the RMS is sqrt(mean^2 + 1/4)
        with warnings.catch_warnings(record=True, action="always") as caught:
            ica.ica(X + [0, mean])
        messages = [str(w.message) for w in caught if "mean zero" in str(w.message)]
        assert len(messages) == warns
        for message in messages:
            assert f"channel 1 of X has mean {mean:.3g}, {share:.2f} of its RMS" in message


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ica.ica(GOOD.T), r"X must have shape \(T, m\).*got \(2, 50\).*pass X.T"),
        (lambda: ica.ica(GOOD[:, 0]), r"see np.column_stack\), got \(50,\)"),
        (lambda: ica.unmix(GOOD.T, np.eye(2)), r"W .*\(50, 50\) to fit X \(2, 50\).*got \(2, 2\)"),
        (lambda: ica.filter_grad(GOOD, np.eye(2)), r"x must be one sample .*\(50, 2\)"),
        (lambda: ica.amari_distance(np.eye(2), GOOD), r"A .*\(2, 2\) to fit W.* got \(50, 2\)"),
    ],
)
def test_a_mistake_is_explained(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@short
def test_as_many_samples_as_microphones_will_do():
    assert ica.ica(np.array([[1.0, -0.5], [-0.8, 0.3]]), learning_rates=(0.01,)).shape == (2, 2)
