"""Tests of ica.py: against a slow loop, SciPy, finite differences and mixtures that are known."""

import json
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import ica
from benchmarks.bench_ica import plain_loop
from data import sounds
from tests.conftest import awkward_copies

HERE = pathlib.Path(ica.__file__).parent
REFERENCE = json.loads((HERE / "data" / "reference.json").read_text())["ica"]
ROUTES = ("numba", "lapack", "loops")


@pytest.fixture
def take_route(monkeypatch):
    """Return a function that makes `ica.ica` take the named route from now on."""

    def take(name):
        if name == "numba":
            pytest.importorskip("numba")
        elif name == "lapack":
            monkeypatch.setitem(sys.modules, "numba", None)
            monkeypatch.setattr(ica, "_compiled_pass", ica._compiled_pass.__wrapped__)  # no cache
        else:
            monkeypatch.setattr(ica, "_fastest_pass", lambda num_sources: ica._pass_in_loops)
        taken = ica._fastest_pass(5)
        expected = ica._pass_with_lapack if name == "lapack" else ica._pass_in_loops
        assert getattr(taken, "py_func", taken) is expected
        assert hasattr(taken, "py_func") == (name == "numba")

    return take


@pytest.fixture(params=ROUTES)
def route(request, take_route):
    take_route(request.param)
    return request.param


def mixture(seed, m, T, draw="laplace"):
    """Return X (T, m), normalised, and the mixing matrix (m, m) behind it."""
    rng = np.random.default_rng(seed)
    A = np.eye(m) + 0.5 * rng.uniform(-1, 1, (m, m))
    return ica.normalize(getattr(rng, draw)(size=(T, m)) @ A.T), A


def slow_ica(X, learning_rates):
    """Run the ascent number by number, as the formula stands."""
    m = X.shape[1]
    W = [[float(i == j) for j in range(m)] for i in range(m)]
    for learning_rate in learning_rates:
        for x in X:
            inverse = np.linalg.inv(np.array(W))
            y = [sum(W[i][j] * x[j] for j in range(m)) for i in range(m)]
            for i in range(m):
                for j in range(m):
                    slope = 1 - 2 / (1 + np.exp(-y[i]))
                    W[i][j] += learning_rate * (slope * x[j] + inverse[j, i])
    return np.array(W)


# -- the ascent --------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3, 5, 8])
def test_ica_agrees_with_the_slow_loop(route, m):
    X, _ = mixture(m, m, 60)
    expected = slow_ica(X, (0.1, 0.03))
    np.testing.assert_allclose(
        ica.ica(X, learning_rates=(0.1, 0.03)), expected, rtol=1e-11, atol=1e-11
    )


def test_the_benchmark_opponent_does_the_same():
    X, _ = mixture(4, 3, 60)
    np.testing.assert_allclose(
        plain_loop(X, (0.1, 0.03)), ica.ica(X, learning_rates=(0.1, 0.03)), rtol=1e-11
    )


def test_ica_pivots(route):
    # The first step gives W a diagonal of exact zeros: 1 + (1 - 65) / 64, since tanh(65 / 2) = 1.
    X = np.array([[65.0, -65.0], [-3.0, 5.0], [2.0, 1.0]])
    expected = slow_ica(X, (1 / 64,))
    np.testing.assert_allclose(ica.ica(X, learning_rates=(1 / 64,)), expected, rtol=1e-12)


def test_many_sources_agree_with_the_slow_loop():
    m = ica._MAX_COMPILED_SOURCES + 1
    X, _ = mixture(0, m, 2 * m)
    assert ica._fastest_pass(m) is ica._pass_with_lapack
    np.testing.assert_allclose(
        ica.ica(X, learning_rates=(0.05,)), slow_ica(X, (0.05,)), rtol=1e-10, atol=1e-10
    )


def test_original_audio_gives_the_reference(originals, take_route):
    X = ica.normalize(np.loadtxt(originals / "ica_data.dat"))
    np.testing.assert_array_equal(ica.LEARNING_RATES, REFERENCE["learning_rates"])
    results = {}
    for name in ("numba", "lapack"):
        take_route(name)
        results[name] = ica.ica(X)
        np.testing.assert_allclose(results[name], REFERENCE["W"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(results["numba"], results["lapack"], rtol=0, atol=1e-9)


def test_stand_in_audio_is_unmixed():
    sound = sounds.mix_sources()
    W = ica.ica(ica.normalize(sound.mix))
    assert ica.amari_distance(np.eye(5), sound.mixing) > 0.3
    assert ica.amari_distance(W, sound.mixing) < 0.05


@pytest.mark.parametrize("draw", ["laplace", "logistic"])
@pytest.mark.parametrize("seed", range(4))
def test_known_mixtures_are_recovered(seed, draw):
    X, A = mixture(seed, 3, 20_000, draw)
    W = ica.ica(X)
    assert ica.amari_distance(W, A) < 0.05 < ica.amari_distance(np.eye(3), A)
    # Each row of W A picks one source, and no two pick the same.
    P = np.abs(W @ A)
    assert sorted(P.argmax(axis=1)) == [0, 1, 2]


def test_scale_at_which_the_density_fits():
    # Where the gradient is zero, so is its product with W^T: E[y_j tanh(y_j / 2)] = 1.
    X, _ = mixture(5, 2, 20_000, "logistic")
    Y = ica.unmix(X, ica.ica(X))
    np.testing.assert_allclose((Y * np.tanh(Y / 2)).mean(axis=0), 1, atol=0.02)


def test_callback_gets_the_likelihood_after_each_pass(route):
    X, _ = mixture(1, 2, 300)
    rates = (0.1, 0.05, 0.01)
    calls = []
    W = ica.ica(X, learning_rates=rates, callback=lambda *values: calls.append(values))
    assert [iteration for iteration, _ in calls] == [0, 1, 2]
    expected = [ica.log_likelihood(X, ica.ica(X, learning_rates=rates[:n])) for n in (1, 2, 3)]
    np.testing.assert_allclose([value for _, value in calls], expected, rtol=1e-13)
    assert calls[0][1] > ica.log_likelihood(X, np.eye(2))
    np.testing.assert_array_equal(W, ica.ica(X, learning_rates=rates))


def test_verbose_prints_one_line_a_pass(capsys):
    X, _ = mixture(1, 2, 100)
    ica.ica(X, learning_rates=(0.1, 0.05))
    assert capsys.readouterr().out == ""
    ica.ica(X, learning_rates=(0.1, 0.05), verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "pass 1" in lines[1] and "0.05" in lines[1] and "nats" in lines[1]


def test_unmixer_is_ica():
    assert ica.unmixer is ica.ica


# -- layouts, dtypes, side effects -------------------------------------------------------------


@pytest.mark.parametrize("name", ["numba", "lapack"])
def test_layouts_give_the_same_result_and_stay_untouched(name, take_route):
    take_route(name)
    X, _ = mixture(2, 3, 200)
    expected = ica.ica(X, learning_rates=(0.1,))
    for layout, copy in awkward_copies(X):
        if layout == "float32":
            continue  # other numbers: see test_dtypes
        before = np.array(copy)
        np.testing.assert_array_equal(ica.ica(copy, learning_rates=(0.1,)), expected)
        np.testing.assert_array_equal(np.array(copy), before)


def test_dtypes():
    X, _ = mixture(2, 3, 200)
    W = ica.ica(X)
    W32 = ica.ica(X.astype(np.float32))
    assert W.dtype == np.float64 and W32.dtype == np.float32
    np.testing.assert_allclose(W32, W, rtol=1e-4, atol=1e-4)
    assert ica.unmix(X.astype(np.float32), W).dtype == np.float32
    assert ica.normalize(X.astype(np.float32)).dtype == np.float32
    assert ica.sigmoid(np.float32(3)).dtype == np.float32
    levels = np.rint(4 * X).astype(np.int16)
    W = ica.ica(levels, learning_rates=(0.01,))
    assert W.dtype == np.float64
    np.testing.assert_array_equal(W, ica.ica(levels.astype(float), learning_rates=(0.01,)))


def test_global_random_state_is_untouched():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    ica.ica(mixture(0, 2, 50)[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# -- sigmoid, likelihood, gradient -------------------------------------------------------------


def test_sigmoid_agrees_with_scipy():
    # Below -708 the value is subnormal, which SciPy rounds to zero.
    s = np.concatenate([np.linspace(-700, 1000, 3401), [-np.inf, np.inf, 0.0]])
    np.testing.assert_allclose(ica.sigmoid(s), special.expit(s), rtol=1e-15)
    assert ica.sigmoid(0) == 0.5
    assert ica.sigmoid(1000) == 1 and ica.sigmoid(-1000) == 0
    assert 0 < ica.sigmoid(-740) < 1e-300


@settings(deadline=None, max_examples=50)
@given(st.floats(allow_nan=False))
def test_sigmoid_is_symmetric(s):
    np.testing.assert_allclose(ica.sigmoid(s) + ica.sigmoid(-s), 1, rtol=1e-15)


@pytest.mark.parametrize("scale", [1, 1000])
def test_log_likelihood_agrees_with_scipy(scale):
    rng = np.random.default_rng(0)
    X, W = scale * rng.normal(size=(40, 4)), rng.normal(size=(4, 4))
    expected = stats.logistic.logpdf(X @ W.T).sum() + 40 * np.log(abs(np.linalg.det(W)))
    np.testing.assert_allclose(ica.log_likelihood(X, W), expected, rtol=1e-12)


def test_log_likelihood_at_the_ends():
    # log g'(s) is -|s| up to 2 log1p(exp(-|s|)), which is zero to rounding at 1000.
    assert ica.log_likelihood([[1000.0], [-1000.0]], [[1.0]]) == -2000
    assert ica.log_likelihood([[0.0]], [[1.0]]) == pytest.approx(np.log(0.25), rel=1e-15)
    assert ica.log_likelihood([[1.0, 2.0]], [[1.0, 1.0], [1.0, 1.0]]) == -np.inf
    assert ica.log_likelihood(np.full((4, 1), 1e308), [[1.0]]) == -np.inf


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_filter_grad_agrees_with_finite_differences(seed, m):
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(7, m)), np.eye(m) + 0.3 * rng.normal(size=(m, m))
    h = 1e-6

    def slopes(X):
        result = np.empty((m, m))
        for i, j in np.ndindex(m, m):
            step = np.zeros((m, m))
            step[i, j] = h
            rise = ica.log_likelihood(X, W + step) - ica.log_likelihood(X, W - step)
            result[i, j] = rise / (2 * h)
        return result

    np.testing.assert_allclose(ica.filter_grad(X[0], W), slopes(X[:1]), rtol=1e-6, atol=1e-7)
    total = sum(ica.filter_grad(x, W) for x in X)
    np.testing.assert_allclose(total, slopes(X), rtol=1e-6, atol=1e-6)


def test_filter_grad_far_out():
    np.testing.assert_array_equal(
        ica.filter_grad([1000.0, -1000.0], np.eye(2)), [[-999, 1000], [1000, -999]]
    )


def test_unmix_is_a_product_a_sample():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(6, 3)), rng.normal(size=(3, 3))
    np.testing.assert_allclose(ica.unmix(X, W), [W @ x for x in X], rtol=1e-13, atol=1e-14)


def test_normalize():
    mix = np.array([[1, -128], [100, 0]], dtype=np.int8)
    np.testing.assert_allclose(ica.normalize(mix), 0.99 * mix.astype(float) / 128, rtol=1e-15)
    assert np.abs(ica.normalize(np.array([[1e-310, 0], [0, 1e-311]]))).max() == 0.99
    assert np.abs(ica.normalize(np.array([[1e308, 0], [0, -1e307]]))).max() == 0.99


# -- the Amari distance ------------------------------------------------------------------------


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


# -- an ascent that fails ------------------------------------------------------------------------

GOOD = mixture(0, 2, 50)[0]


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
        ica.ica(GOOD, learning_rates=(rate,))


def test_data_that_was_not_normalised_is_reported(route):
    with pytest.raises(ValueError, match=r"(diverged|singular).*normalize"):
        ica.ica(np.rint(32767 * GOOD).astype(np.int16), learning_rates=(0.1, 0.05))
