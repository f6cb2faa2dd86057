"""What every public function keeps, and what the six modules and the textbook have in common.

The good calls of `good_calls.py` are varied in what must not matter, so a new public function is
held to all of this as soon as it has its good call.
"""

import ast
import importlib
import inspect
import itertools
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import gda
import gmm
import ica
import kmeans
from tests.good_calls import GOOD, MODULES, function_named, good_arguments, public_functions

ROOT = Path(__file__).resolve().parent.parent
ASIDE = {
    *("cvae.train", "cvae.fit", "cvae.initialise"),  # change their model: see test_cvae.py
    "cvae.to_var",  # hands on the tensor itself
}
FUNCTIONS = [name for name in GOOD if name not in ASIDE]
KEEP_FLOAT32 = {
    *("kmeans.train_kmeans", "kmeans.euclidean_distance", "gmm.train_gmm"),
    *("gda.fit_gda", "gda.train_gda", "gda.m_step", "pca.pca", "pca.project", "pca.reconstruct"),
    *("ica.sigmoid", "ica.normalize", "ica.ica", "ica.unmix"),
}
TENSORS = {"image tensor", "codes", "noise"}  # kinds of arguments that must be tensors

# Arrays in every layout


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "Fortran-ordered": np.asfortranarray,
    "read-only": read_only,
    "strided": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "reversed": lambda array: array[::-1].copy()[::-1],
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "list": lambda array: array.tolist(),
}


def good_arrays(name, vary=lambda array: array):
    """Return the good arguments of a function, with `vary` applied to each array in them."""

    def varied(value):
        if isinstance(value, tuple):
            return type(value)(*map(varied, value))
        return vary(value) if isinstance(value, np.ndarray) and value.ndim else value

    arguments = good_arguments(name)
    for argument, (kind, _) in GOOD[name].items():
        value = arguments[argument]
        if isinstance(value, torch.Tensor) and kind not in TENSORS:
            value = value.numpy().copy()
        if kind in ("digits", "integers"):
            value = np.array(value)
        arguments[argument] = varied(value)
    return arguments


def leaves(value):
    """Return every array in a value, as NumPy arrays."""
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, dict):
        return leaves(list(value.values()))
    if isinstance(value, torch.Tensor):
        return [value.detach().numpy()]
    return [np.asarray(value)] if isinstance(value, (np.ndarray, np.generic, float)) else []


def assert_same(actual, expected, tolerance=1e-9):
    for ours, theirs in zip(leaves(actual), leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_layout_of_an_array_does_not_matter(name, layout):
    function = function_named(name)
    assert_same(function(**good_arrays(name, LAYOUTS[layout])), function(**good_arrays(name)))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if not name.startswith("cvae")])
def test_float32_is_kept_by_what_is_fitted_and_by_what_maps_points(name):
    function = function_named(name)
    ours = function(**good_arrays(name, lambda array: array.astype(np.float32)))
    same_numbers = good_arrays(name, lambda array: array.astype(np.float32).astype(np.float64))
    assert_same(ours, function(**same_numbers), tolerance=1e-4)
    dtypes = {leaf.dtype for leaf in leaves(ours) if leaf.ndim and leaf.dtype.kind == "f"}
    assert dtypes <= {np.dtype(np.float32 if name in KEEP_FLOAT32 else np.float64)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_inputs_are_untouched_and_never_shared(name):
    for options in ({}, {"num_iterations": 0}):
        if options.keys() <= GOOD[name].keys():
            arguments = good_arguments(name) | options
            before = [leaf.copy() for leaf in leaves(arguments)]
            answer = function_named(name)(**arguments)
            for leaf, copy in zip(leaves(arguments), before, strict=True):
                np.testing.assert_array_equal(leaf, copy)
            for result, leaf in itertools.product(leaves(answer), leaves(arguments)):
                assert not np.shares_memory(result, leaf)


def test_no_global_random_state_is_touched_by_the_numpy_modules():
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    for name in FUNCTIONS:
        if not name.startswith("cvae"):
            function_named(name)(**good_arguments(name))
    assert state() == before


# Callbacks: one rule


class Training(NamedTuple):
    """A function that takes steps: `run(n, **options)` takes n, `objective(state)` judges one."""

    run: object
    objective: object
    falls: bool = False


POINTS = np.random.default_rng(1).normal(size=(60, 3)) + np.repeat([[0.0], [2], [4]], 20, axis=0)
MIXTURE = np.full(3, 1 / 3), POINTS[[0, 20, 40]], np.stack([np.eye(3)] * 3)
PROBLEM = POINTS[15:25], np.repeat([0, 1], 5), POINTS
SOUND = np.random.default_rng(2).laplace(size=(80, 3)) @ (np.eye(3) + 0.3) / 4
RATES = [0.01, 0.01, 0.005, 0.005]


def distortion(centroids):
    squares = ((POINTS[:, None] - centroids) ** 2).sum(axis=2)  # (N, K)
    return squares.min(axis=1).mean()


TRAININGS = {
    "kmeans": Training(
        lambda n, **options: kmeans.train_kmeans(POINTS, POINTS[:3], num_iterations=n, **options),
        distortion,
        falls=True,
    ),
    "gmm": Training(
        lambda n, **options: gmm.train_gmm(POINTS, *MIXTURE, num_iterations=n, **options),
        lambda state: gmm.log_likelihood(POINTS, state),
    ),
    "gda": Training(
        lambda n, **options: gda.train_gda(*PROBLEM, num_iterations=n, **options),
        lambda state: gda.objective(*PROBLEM, state),
    ),
    "ica": Training(
        lambda n, **options: ica.ica(SOUND, learning_rates=RATES[:n], **options),
        lambda W: ica.log_likelihood(SOUND, W),
    ),
}
STEPS = 4
# Four steps converge nowhere, and ica says so.
pytestmark = pytest.mark.filterwarnings("ignore:the ascent has not converged")
each_training = pytest.mark.parametrize("name", TRAININGS)


@each_training
def test_a_callback_sees_every_state_from_the_start_to_the_last(name):
    training, calls = TRAININGS[name], []
    final = training.run(STEPS, callback=lambda *call: calls.append(call))
    assert [iteration for iteration, _, _ in calls] == list(range(STEPS + 1))
    for iteration, objective, state in calls:
        if iteration or name != "ica":  # which takes no empty sequence of rates
            assert_same(state, training.run(iteration))
        assert isinstance(objective, float)
        assert objective == pytest.approx(training.objective(state), rel=1e-9)
    assert_same(calls[-1][2], final, tolerance=0)
    objectives = [objective for _, objective, _ in calls]
    assert np.all(np.diff(objectives) <= 0 if training.falls else np.diff(objectives) >= 0)


@each_training
def test_a_callback_that_returns_true_stops_there(name):
    training, calls = TRAININGS[name], []

    def stop(iteration, objective, state):
        calls.append(iteration)
        return iteration == 2

    assert_same(training.run(STEPS, callback=stop), training.run(2))
    assert calls == [0, 1, 2]


@each_training
def test_what_a_callback_does_to_its_state_changes_nothing(name):
    def spoil(iteration, objective, state):
        for leaf in leaves(state):
            if leaf.flags.writeable and leaf.ndim:
                leaf[...] = np.nan

    training = TRAININGS[name]
    assert_same(training.run(STEPS, callback=spoil), training.run(STEPS))


@each_training
@pytest.mark.parametrize("callback", [3, "print", lambda: None, lambda iteration, value: None])
def test_a_callback_that_cannot_be_called_so_is_refused(name, callback):
    with pytest.raises(TypeError, match="^callback must"):
        TRAININGS[name].run(STEPS, callback=callback)


@each_training
def test_verbose_prints_a_line_for_each_state(name, capsys):
    TRAININGS[name].run(STEPS, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"iteration {t}" for t in range(STEPS + 1)
    ]
    TRAININGS[name].run(STEPS)
    assert capsys.readouterr().out == ""


# The modules


@pytest.mark.parametrize("name", MODULES)
def test_hello_names_the_module(name, capsys):
    MODULES[name].hello()
    assert capsys.readouterr().out == f"Hello from {name}.py!\n"


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_type_hints_and_docstrings(name):
    for label, function in public_functions(MODULES[name]):
        if inspect.isclass(function):
            label, function = f"{label}.__init__", function.__init__
        signature = inspect.signature(function)
        bare = [p for p in signature.parameters.values() if p.annotation is p.empty]
        assert [p.name for p in bare if p.name != "self"] == [], label
        if not label.endswith("__init__"):
            assert signature.return_annotation is not signature.empty, label
            assert inspect.getdoc(function), label


def test_helpers_that_stand_in_several_modules_are_the_same_text():
    texts = {}
    for module in MODULES.values():
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if own and name.startswith("_"):
                texts.setdefault(name, []).append(inspect.getsource(function))
    steps = {"_e_step", "_m_step"}  # each of its own model
    shared = {name for name, copies in texts.items() if len(copies) > 1} - steps
    assert {"_real_array", "_finite", "_check_count"} <= shared
    assert {name for name in shared if len(set(texts[name])) > 1} == set()


# The textbook

LENGTHS = {"kmeans": 45, "gmm": 45, "gda": 45, "pca": 45, "ica": 45, "cvae": 70}


@pytest.mark.parametrize("name", LENGTHS)
def test_the_textbook_is_short_and_imports_little(name):
    text = (ROOT / "textbook" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LENGTHS[name]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            packages = {alias.name.partition(".")[0] for alias in node.names}
            assert packages <= {"numpy", "torch"} - ({"torch"} if name != "cvae" else {"numpy"})
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.partition(".")[0] in ("collections", *["torch"] * (name == "cvae"))


@pytest.mark.parametrize("name", LENGTHS)
def test_the_textbook_has_the_modules_names_and_order_of_arguments(name):
    textbook, module = importlib.import_module(f"textbook.{name}"), MODULES[name]
    pairs = [(textbook, module)]
    if name == "cvae":
        pairs.append((textbook.CVAE, module.CVAE))
    for plain, fast in pairs:
        for label, function in vars(plain).items():
            if not inspect.isfunction(function) or function.__module__ != textbook.__name__:
                continue
            twin = vars(fast).get(label) or vars(fast).get(f"_{label}")
            assert twin is not None, label
            ours, theirs = (inspect.signature(f).parameters for f in (function, twin))
            positional = [p for p in ours.values() if p.kind is not p.KEYWORD_ONLY]
            assert [p.name for p in positional] == list(theirs)[: len(positional)] or (
                twin.__name__ != label  # a private step may keep more than the formula needs
            )
            for option in set(ours) - {p.name for p in positional}:
                assert np.all(ours[option].default == theirs[option].default), (label, option)
