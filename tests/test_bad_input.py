"""Bad input to every public function: the call, the error, and the words that explain it.

`BY_KIND` says what is bad for an argument of that kind wherever it stands, and `ROWS` what is bad
in one function.
"""

import inspect
import math

import numpy as np
import pytest
import torch

from tests.good_calls import (
    CLASSES,
    CODES,
    EYE,
    EYES,
    GOOD,
    IMAGE,
    MIXTURE,
    MODULES,
    PIXELS,
    RNG,
    Q,
    U,
    X,
    Y,
    function_named,
    good_arguments,
    public_functions,
)

NAN, INF = math.nan, math.inf
OBSERVERS = {"verbose", "callback"}  # options that the result does not depend on
ELSEWHERE = {"cvae.save", "cvae.load"}  # bad files: test_cvae.py

# What is bad, by kind. Each entry makes a bad value of a good one; {} stands for the name.


def with_value(array, value):
    """Return a copy of the array with this as its last value."""
    array = array.copy()
    array[(-1,) * array.ndim] = value
    return array


def with_last(tensor, value):
    """Return a copy of the tensor with this as its last value."""
    return torch.from_numpy(with_value(tensor.numpy(), value))


WRONG_KIND = [
    (lambda good: None, TypeError, ["{} must hold real numbers", "object"]),
    (lambda good: good * 1j, TypeError, ["{} must hold real numbers", "complex128", "convert"]),
    (lambda good: np.ma.masked_array(good), TypeError, ["{} is masked", "drop or fill"]),
    (lambda good: [[1.0, 2.0], [3.0]], ValueError, ["{} cannot be read as an array"]),
    (lambda good: good.astype(str), TypeError, ["{} must hold real numbers"]),
    (lambda good: good.astype(object), TypeError, ["{} must hold real numbers", "object"]),
]
NOT_FINITE = [
    (lambda good: with_value(good, NAN), ValueError, ["{} holds nan at index (", "remove"]),
    (lambda good: with_value(good, INF), ValueError, ["{} holds inf at index ("]),
    (lambda good: with_value(good, -INF), ValueError, ["{} holds -inf at index ("]),
]
EMPTY = [(lambda good: good[:0], ValueError, ["{} is empty", "(0,"])]
NOT_SPD = [
    (lambda good: good[:0], ValueError, ["{}", "(0, 3, 3)"]),
    (lambda good: good[0], ValueError, ["{} must have shape (2, 3, 3), got (3, 3)"]),
    (lambda good: good[..., :2], ValueError, ["{} must have shape (2, 3, 3), got (2, 3, 2)"]),
    (lambda good: -good, ValueError, ["{}[0] must be symmetric positive definite", "-1."]),
    (lambda good: 0 * good, ValueError, ["{}[0] must be symmetric positive definite", "0."]),
    (lambda good: good + np.triu(good + 1, 1), ValueError, ["{}[0] must be symmetric"]),
    (lambda good: with_value(good, -1), ValueError, ["{}[1] must be symmetric positive definite"]),
]
NOT_INTEGER = [
    (lambda good, value=value: value, TypeError, ["{} must be an integer, got " + repr(value)])
    for value in (2.5, True, "3", [3])
]
NOT_NUMBER = [
    (lambda good, value=value: value, TypeError, ["{} must be a number, got " + repr(value)])
    for value in (True, "1", None, [1.0], 1j)
]
NOT_REAL = [  # where any array_like will do
    (lambda good: None, TypeError, ["{} must be a tensor or an array", "NoneType"]),
    (lambda good: "no", TypeError, ["{} must be a tensor or an array", "'str'"]),
    (lambda good: np.array([None]), TypeError, ["{} must be a tensor or an array", "object"]),
    (lambda good: [[0.5], [0.5, 1]], TypeError, ["{} must be a tensor or an array", "length"]),
    (lambda good: torch.as_tensor(good) * 1j, TypeError, ["{} must hold real numbers", "complex"]),
]
NOT_TENSOR = [
    (lambda good: None, TypeError, ["{} must be a tensor, got NoneType"]),
    (lambda good: good.tolist(), TypeError, ["{} must be a tensor, got list"]),
    (lambda good: good.numpy(), TypeError, ["{} must be a tensor, got ndarray"]),
    (lambda good: good.int(), TypeError, ["{} must hold floats", "int32"]),
    (lambda good: good * 1j, TypeError, ["{} must hold floats", "complex64"]),
]
NOT_IMAGES = [
    *NOT_REAL,
    (lambda good: good[0, 0], ValueError, ["images", "got", "()"]),
    (lambda good: good[0], ValueError, ["images", "got", "(4,)"]),
    (lambda good: good[:0], ValueError, ["images", "(0, 4)"]),
]
NOT_PIXELS = [
    (lambda good: good * NAN, ValueError, ["{}", "must lie in [0, 1]", "nan"]),
    (lambda good: good - 1, ValueError, ["{}", "must lie in [0, 1]", "got -"]),
    (lambda good: good * 255, ValueError, ["{}", "must lie in [0, 1]", "; divide"]),
    (lambda good: good[:, :3], ValueError, ["must have shape", "(2, 3)"]),
    (lambda good: good[0], ValueError, ["got"]),
    (lambda good: good[0, 0], ValueError, ["got", "()"]),
    (lambda good: good[:0], ValueError, []),  # empty, or fewer than the labels
]
NOT_CODES = [
    (lambda good: with_last(good, NAN), ValueError, ["{} must be finite", "nan"]),
    (lambda good: with_last(good, INF), ValueError, ["{} must be finite", "to inf"]),
    (lambda good: with_last(good, -INF), ValueError, ["{} must be finite", "-inf to"]),
    (lambda good: good[:, :1], ValueError, ["{}", "(2, 1)"]),
    (lambda good: good[:1], ValueError, ["must have", "(1, "]),
    (lambda good: good[0], ValueError, ["{}", ",)"]),
    (lambda good: good[0, 0], ValueError, ["{} must have shape", "()"]),
    (lambda good: good[:0], ValueError, ["(0, "]),
]
NOT_INTEGERS = [
    *NOT_REAL,
    (lambda good: [0.0, 1.0], TypeError, ["{} must hold integers", "float32"]),
    (lambda good: [True, False], TypeError, ["{} must hold integers", "bool"]),
    (lambda good: 1, ValueError, ["{} must have shape (B,)", "()"]),
    (lambda good: [[0, 1]], ValueError, ["{} must have shape (B,)", "(1, 2)"]),
    (lambda good: [], ValueError, ["{} is empty", "(0,)"]),
]
BY_KIND = {
    "numbers": WRONG_KIND,  # infinities allowed
    "array": [*WRONG_KIND, *NOT_FINITE],  # no points allowed
    "points": [*WRONG_KIND, *NOT_FINITE, *EMPTY],
    "covariances": [*WRONG_KIND, *NOT_FINITE, *NOT_SPD],
    "classes": [
        *WRONG_KIND,
        *NOT_FINITE,
        (lambda good: with_value(good, -1), ValueError, ["{} holds -1.0 at index 7", "0 or 1"]),
        (lambda good: with_value(good, 2), ValueError, ["{} holds 2.0 at index 7", "unlabeled_x"]),
        (lambda good: with_value(good, 0.5), ValueError, ["{} holds 0.5 at index 7"]),
        (lambda good: good[1:], ValueError, ["{} must have shape (8,)", "(7,)"]),
        (lambda good: good[:, None], ValueError, ["{} must have shape (8,)", "(8, 1)"]),
        (lambda good: good[:0], ValueError, ["{} must have shape (8,)", "(0,)"]),
    ],
    "count": [*NOT_INTEGER, (lambda good: -1, ValueError, ["{} must be at least 0, got -1"])],
    "size": [
        *NOT_INTEGER,
        (lambda good: 0, ValueError, ["{} must be", "1", "got 0"]),
        (lambda good: -3, ValueError, ["{} must be", "1", "got -3"]),
    ],
    "weight": [
        *NOT_NUMBER,
        (lambda good: -1e-3, ValueError, ["{} must be", "0", "got -0.001"]),
        (lambda good: NAN, ValueError, ["{} must be", "0", "got nan"]),
        (lambda good: INF, ValueError, ["{} must be", "0", "got inf"]),
    ],
    "rate": [
        *NOT_NUMBER,
        (lambda good: 0, ValueError, ["{} must be above 0", "got 0"]),
        (lambda good: -1e-3, ValueError, ["{} must be above 0", "got -0.001"]),
        (lambda good: NAN, ValueError, ["{} must be above 0", "got nan"]),
        (lambda good: INF, ValueError, ["{} must be above 0", "got inf"]),
    ],
    "images": NOT_IMAGES,
    "pixels": [*NOT_IMAGES, *NOT_PIXELS],
    "image tensor": [*NOT_TENSOR, *NOT_PIXELS],
    "codes": [*NOT_TENSOR, *NOT_CODES],
    "noise": [*NOT_TENSOR[1:], *NOT_CODES],  # None draws it
    "prior codes": [*NOT_REAL[1:], *NOT_CODES],
    "integers": NOT_INTEGERS,
    "digits": [
        *NOT_INTEGERS,
        (lambda good: [0, 3], ValueError, ["{} must lie in 0 .. 2, got 3", "num_classes"]),
        (lambda good: [0, -1], ValueError, ["{} must lie in 0 .. 2, got -1"]),
        (lambda good: np.uint16([0, 3]), ValueError, ["{} must lie in 0 .. 2, got 3"]),
    ],
    "object": [],  # anything else; what is bad of it stands in ROWS
    "mixture": [
        (lambda good: None, TypeError, ["{} must be a GMMState(pi, mu, sigma), got NoneType"]),
        (lambda good: good[:2], TypeError, ["{} must be a GMMState(pi, mu, sigma), got tuple"]),
        (lambda good: X, TypeError, ["{} must be a GMMState(pi, mu, sigma), got ndarray"]),
    ],
    "classifier": [
        (lambda good: {"phi": 1}, TypeError, ["{} must be a GDAState(phi, mu, sigma), got dict"]),
        (lambda good: good[:2], TypeError, ["{} must be a GDAState(phi, mu, sigma), got tuple"]),
        (lambda good: X, TypeError, ["{} must be a GDAState(phi, mu, sigma), got ndarray"]),
    ],
}
FIELDS = {
    "mixture": {"pi": "points", "mu": "points", "sigma": "covariances"},
    "classifier": {"phi": "weight", "mu": "array", "sigma": "covariances"},
}


def with_field(field, spoil):
    """Return the function that spoils one field of a state."""
    return lambda good: good._replace(**{field: spoil(getattr(good, field))})


def bad_fields(kind):
    """Yield what is bad in a state: in each of its fields, what is bad for that field's kind."""
    for field, field_kind in FIELDS[kind].items():
        for spoil, error, words in BY_KIND[field_kind]:
            words = [word.replace("{}", "{}." + field) for word in words]
            yield with_field(field, spoil), error, words


for name in FIELDS:
    BY_KIND[name] += bad_fields(name)

# What is bad in one function: the arguments that differ from the good call, the error, the words.

PAIR = RNG.laplace(size=(50, 2))  # two microphones
HUGE = np.full((3, 3), 1e308)
ROWS = [
    ("kmeans.euclidean_distance", {"y": X[:, :2]}, ValueError, ["width", "(8, 3)", "(8, 2)"]),
    ("kmeans.euclidean_distance", {"y": X[:5]}, ValueError, ["x and y", "(8, 3)", "(5, 3)"]),
    ("kmeans.euclidean_distance", {"x": 1.0}, ValueError, ["width", "()"]),
    ("kmeans.mean_pixel_error", {"image": IMAGE[:1]}, ValueError, ["same shape", "(1, 2, 3)"]),
    ("kmeans.mean_pixel_error", {"image": 1, "compressed": 1}, ValueError, ["same shape", "()"]),
    ("kmeans.train_kmeans", {"train_data": X[0]}, ValueError, ["train_data must have", "(3,)"]),
    ("kmeans.train_kmeans", {"train_data": X[None]}, ValueError, ["train_data", "(1, 8, 3)"]),
    ("kmeans.train_kmeans", {"train_data": X[:, :0]}, ValueError, ["train_data is empty"]),
    ("kmeans.train_kmeans", {"initial_centroids": X[0]}, ValueError, ["initial_centroids", "(3,)"]),
    ("kmeans.train_kmeans", {"initial_centroids": X[:2, :2]}, ValueError, ["width", "(2, 2)"]),
    ("kmeans.assign_clusters", {"data": X[0]}, ValueError, ["data must have shape", "(3,)"]),
    ("kmeans.assign_clusters", {"centroids": X[0]}, ValueError, ["centroids must have", "(3,)"]),
    ("kmeans.assign_clusters", {"centroids": X[:, :2]}, ValueError, ["width", "(8, 2)"]),
    ("kmeans.compress_image", {"image": X}, ValueError, ["image", "(H, W, d)", "(8, 3)"]),
    (
        "kmeans.compress_image",
        {"image": IMAGE[..., :0]},
        ValueError,
        ["image is empty", "(2, 2, 0)"],
    ),
    ("kmeans.compress_image", {"centroids": X[:, :2]}, ValueError, ["width", "(8, 2)"]),
    ("gmm.train_gmm", {"train_data": X[0]}, ValueError, ["train_data", "(N, d)", "(3,)"]),
    ("gmm.train_gmm", {"init_pi": [1.0]}, ValueError, ["init_pi", "(2,)", "(1,)"]),
    ("gmm.train_gmm", {"init_pi": [0.5, 0.6]}, UserWarning, ["init_pi sums to 1.1", "divided"]),
    ("gmm.train_gmm", {"init_pi": [0.0, 0.0]}, ValueError, ["init_pi", "0."]),
    ("gmm.train_gmm", {"init_pi": [1.5, -0.5]}, ValueError, ["init_pi", "-0.5"]),
    ("gmm.train_gmm", {"init_pi": [1.5, -0.5]}, ValueError, ["init_pi", "non-negative", "-0.5"]),
    ("gmm.train_gmm", {"init_mu": X[:2, :1]}, ValueError, ["init_mu", "(K, 3)", "(2, 1)"]),
    ("gmm.train_gmm", {"init_mu": X[0]}, ValueError, ["init_mu", "(K, 3)", "(3,)"]),
    ("gmm.train_gmm", {"init_mu": X[:1]}, ValueError, ["init_sigma", "(1, 3, 3)", "(2, 3, 3)"]),
    (
        "gmm.train_gmm",
        {"train_data": X[:1], "reg_covar": 0},
        ValueError,
        ["collapsed", "reg_covar"],
    ),
    ("gmm.log_density", {"mu": X[0]}, ValueError, ["mu", "(K, 3)", "(3,)"]),
    ("gmm.log_density", {"data": X[:, :2]}, ValueError, ["mu", "(K, 2)", "(2, 3)"]),
    ("gmm.log_likelihood", {"data": X[:, :2]}, ValueError, ["state.mu", "(K, 2)"]),
    ("gmm.responsibilities", {"data": X[0]}, ValueError, ["data", "(N, d)", "(3,)"]),
    ("gmm.predict", {"data": X[None]}, ValueError, ["data", "(N, d)", "(1, 8, 3)"]),
    (
        "gmm.predict",
        {"state": MIXTURE._replace(pi=MIXTURE.pi + 1)},
        ValueError,
        ["state.pi", "one"],
    ),
    ("gmm.compress_image", {"image": X}, ValueError, ["image", "(H, W, d)", "(8, 3)"]),
    ("gmm.compress_image", {"image": IMAGE[..., :0]}, ValueError, ["image is empty", "(2, 2, 0)"]),
    ("gmm.compress_image", {"image": IMAGE[..., :2]}, ValueError, ["gmm_model.mu", "(K, 2)"]),
    ("gda.fit_gda", {"x": X[0]}, ValueError, ["x must have shape (N, M)", "(3,)"]),
    ("gda.fit_gda", {"x": X[:, :0]}, ValueError, ["x must have shape (N, M)", "(8, 0)"]),
    ("gda.fit_gda", {"y": 0 * Y}, ValueError, ["labelled 1 among the 8", "train_gda with init="]),
    ("gda.fit_gda", {"x": X[:0], "y": Y[:0]}, ValueError, ["labelled 0 among the 0"]),
    ("gda.fit_gda", {"x": X[:4], "y": Y[:4], "reg_covar": 0}, ValueError, ["class 0", "reg_covar"]),
    ("gda.train_gda", {"labeled_x": X[0]}, ValueError, ["labeled_x", "(N, M)", "(3,)"]),
    ("gda.train_gda", {"unlabeled_x": []}, ValueError, ["unlabeled_x", "np.empty((0, M))"]),
    ("gda.train_gda", {"unlabeled_x": U[:, :2]}, ValueError, ["width M", "(8, 3) and (9, 2)"]),
    ("gda.train_gda", {"labels": 0 * Y, "init": None}, ValueError, ["labelled 1", "init="]),
    ("gda.train_gda", {"unlabeled_weight": 1e308}, ValueError, ["unlabeled_weight", "1e+308"]),
    ("gda.train_gda", {"labeled_x": 1e200 * X}, ValueError, ["labeled_x", "1e+100", "rescale"]),
    (
        "gda.train_gda",
        {"init": CLASSES._replace(phi=1.5)},
        ValueError,
        ["init.phi", "from 0 to 1", "1.5"],
    ),
    ("gda.train_gda", {"init": CLASSES._replace(mu=X[:1])}, ValueError, ["init.mu", "(2, 3)"]),
    (
        "gda.train_gda",
        {"init": CLASSES._replace(sigma=-EYES), "num_iterations": 0},
        ValueError,
        ["init.sigma[0]", "positive definite"],
    ),
    ("gda.e_step", {"unlabeled_x": U[:, :2]}, ValueError, ["state.mu", "(2, 2)", "(2, 3)"]),
    ("gda.m_step", {"Q": Q[1:]}, ValueError, ["Q", "(9, 2)", "(8, 2)"]),
    ("gda.m_step", {"Q": 2 * Q}, ValueError, ["Q[0]", "sum to one"]),
    ("gda.m_step", {"Q": Q + [1.0, -1.0]}, ValueError, ["Q[0]", "non-negative"]),
    ("gda.lower_bound", {"Q": Q[:, :1]}, ValueError, ["Q", "(9, 2)", "(9, 1)"]),
    ("gda.lower_bound", {"Q": 2 * Q}, ValueError, ["Q[0]", "sum to one"]),
    ("gda.objective", {"state": CLASSES._replace(phi=1.5)}, ValueError, ["state.phi", "1.5"]),
    (
        "gda.predict_proba",
        {"x": np.full((1, 3), 1e90), "state": CLASSES._replace(sigma=1e-200 * EYES)},
        ValueError,
        ["log-density is not finite", "rescale the data"],
    ),
    ("gda.predict", {"x": X[0]}, ValueError, ["x must have shape (N, M)", "(3,)"]),
    ("pca.pca", {"data": X[0]}, ValueError, ["data", "(N, d)", "(3,)"]),
    ("pca.pca", {"data": IMAGE}, ValueError, ["data", "(2, 2, 3)", "reshape(len(data), -1)"]),
    ("pca.pca", {"data": X[:, :0]}, ValueError, ["data is empty", "(8, 0)"]),
    ("pca.pca", {"data": X[:1]}, ValueError, ["N = 1", "ddof = 1", "at least 2", "smaller"]),
    ("pca.pca", {"ddof": 8}, ValueError, ["N = 8", "ddof = 8", "at least 9"]),
    ("pca.pca", {"ddof": None}, TypeError, ["ddof", "integer", "None"]),
    ("pca.pca", {"num_components": 4}, ValueError, ["num_components", "1 to 3", "4"]),
    ("pca.num_components_for", {"eigenvalues": [[1.0]]}, ValueError, ["(L,)", "(1, 1)"]),
    ("pca.num_components_for", {"eigenvalues": [1.0, 2.0]}, ValueError, ["descending", "[1. 2.]"]),
    ("pca.num_components_for", {"eigenvalues": [1.0, -1.0]}, ValueError, ["non-negative"]),
    ("pca.num_components_for", {"eigenvalues": [0.0, 0.0]}, ValueError, ["all 0", "no variance"]),
    ("pca.num_components_for", {"fraction": 0.0}, ValueError, ["fraction", "above 0", "0.0"]),
    ("pca.num_components_for", {"fraction": 95}, ValueError, ["fraction", "95", "as 0.95"]),
    ("pca.num_components_for", {"fraction": [0.5]}, ValueError, ["fraction", "one number"]),
    ("pca.project", {"U": EYE[:2]}, ValueError, ["mean", "(2,)", "(3,)"]),
    ("pca.project", {"data": X[:, :2]}, ValueError, ["data", "d = 3", "(8, 2)"]),
    ("pca.project", {"data": 1.0}, ValueError, ["data", "d = 3", "()"]),
    ("pca.project", {"U": EYE[0]}, ValueError, ["U", "(d, K)", "(3,)"]),
    ("pca.project", {"mean": 0.0}, ValueError, ["mean", "(3,)", "()"]),
    ("pca.reconstruct", {"scores": X}, ValueError, ["scores", "K = 2", "(8, 3)"]),
    ("pca.reconstruct", {"mean": [0.0]}, ValueError, ["mean", "(3,)", "(1,)"]),
    ("pca.distortion", {"U": EYE[:2]}, ValueError, ["data", "d = 2", "(8, 3)"]),
    ("pca.distortion", {"data": X[0]}, ValueError, ["data", "(N, d)", "(3,)"]),
    ("pca.distortion", {"U": EYE[:, :0]}, ValueError, ["U is empty", "(3, 0)"]),
    ("ica.sigmoid", {"s": [0.0, NAN]}, ValueError, ["s holds NaN", "remove"]),
    ("ica.normalize", {"mix": 0 * X}, ValueError, ["mix is silent"]),
    ("ica.normalize", {"mix": X[0]}, ValueError, ["mix", "(T, m)", "(3,)"]),
    ("ica.log_likelihood", {"X": X[0]}, ValueError, ["X", "(T, m)", "(3,)"]),
    ("ica.log_likelihood", {"W": np.eye(2)}, ValueError, ["W", "(3, 3)", "(2, 2)"]),
    ("ica.log_likelihood", {"X": HUGE, "W": 2 * EYE}, ValueError, ["W x overflows", "normalize"]),
    ("ica.filter_grad", {"x": X}, ValueError, ["x", "(m,)", "(8, 3)"]),
    ("ica.filter_grad", {"x": X[0, 0]}, ValueError, ["x", "(m,)", "()"]),
    ("ica.filter_grad", {"W": np.eye(2)}, ValueError, ["W", "(3, 3)", "(2, 2)"]),
    ("ica.filter_grad", {"W": np.ones((3, 3))}, ValueError, ["W is singular"]),
    ("ica.filter_grad", {"W": 0 * EYE}, ValueError, ["W is singular"]),
    ("ica.filter_grad", {"x": HUGE[0], "W": 2 * EYE}, ValueError, ["W x overflows"]),
    ("ica.ica", {"X": PAIR[:, 0]}, ValueError, ["X", "(T, m)", "(50,)"]),
    ("ica.ica", {"X": PAIR[None]}, ValueError, ["X", "(T, m)", "(1, 50, 2)"]),
    ("ica.ica", {"X": PAIR[:, :0]}, ValueError, ["X is empty"]),
    ("ica.ica", {"X": PAIR * [1, 0]}, ValueError, ["channel 1 of X is silent"]),
    ("ica.ica", {"X": PAIR * [0, 1] + [0.5, 0]}, ValueError, ["channel 0", "constant at 0.5"]),
    ("ica.ica", {"X": PAIR[:, [0, 1, 0]]}, ValueError, ["linearly dependent", "rank 2 from 50"]),
    ("ica.ica", {"X": PAIR @ [[1, 0, 0.3], [0, 1, 0.7]]}, ValueError, ["dependent", "rank 2"]),
    (
        "ica.ica",
        {"X": (PAIR @ [[1, 0, 0.3], [0, 1, 0.7]]).astype(np.float32)},
        ValueError,
        ["linearly dependent", "rank 2"],
    ),
    (
        "ica.ica",
        {"X": RNG.normal(size=(3, 5))},
        ValueError,
        ["(3, 5)", "linearly dependent", "pass X.T"],
    ),
    ("ica.ica", {"learning_rates": (0.1, 0.0)}, ValueError, ["learning_rates", "above zero", "0"]),
    ("ica.ica", {"learning_rates": (-0.1,)}, ValueError, ["learning_rates", "above zero", "-0.1"]),
    ("ica.ica", {"learning_rates": 0.1}, ValueError, ["learning_rates must be a sequence", "0.1"]),
    ("ica.unmix", {"W": EYE[:2]}, ValueError, ["W", "(3, 3)", "(2, 3)"]),
    ("ica.unmix", {"X": X[0]}, ValueError, ["X", "(T, m)", "(3,)"]),
    ("ica.unmix", {"X": HUGE, "W": 2 * EYE}, ValueError, ["W x overflows", "1e+308"]),
    ("ica.unmix", {"X": np.float32(X), "W": 1e300 * EYE}, ValueError, ["W x overflows", "1e+300"]),
    ("ica.amari_distance", {"W": EYE[:2]}, ValueError, ["W", "(m, m)", "(2, 3)"]),
    ("ica.amari_distance", {"A": np.eye(2)}, ValueError, ["A", "(3, 3)", "(2, 2)"]),
    *(
        ("ica.amari_distance", {"W": np.eye(2), "A": np.eye(2), name: matrix}, ValueError, words)
        for matrix in ([[1, 2], [2, 4]], [[0, 0], [0, 1]], [[0, 1], [0, 2]])
        for name, words in (("W", ["W must be invertible"]), ("A", ["A must be invertible"]))
    ),
]

BATCH = torch.tensor([0, 1])
BAD_BATCHES = [
    (PIXELS, [0, 3], ValueError, ["labels must lie in 0 .. 2, got 3"]),
    (PIXELS, [0.0, 1.0], TypeError, ["labels must hold integers", "float32"]),
    (PIXELS, [0], ValueError, ["images and labels", "(2, 4) and (1,)"]),
    (PIXELS, None, TypeError, ["labels must be a tensor or an array"]),
    (None, BATCH, TypeError, ["images must be a tensor or an array"]),
    (1j * PIXELS, BATCH, TypeError, ["images must hold real numbers"]),
    (PIXELS[:, :3], BATCH, ValueError, ["images must have shape (B, 4), got (2, 3)"]),
    (PIXELS[0, 0], BATCH, ValueError, ["images", "()"]),
    (NAN * PIXELS, BATCH, ValueError, ["images must lie in [0, 1], got nan"]),
    (255 * PIXELS, BATCH, ValueError, ["images must lie in [0, 1]", "to 255; divide"]),
    ((255 * PIXELS).byte(), BATCH, ValueError, ["images must lie in [0, 1]", "to 255; divide"]),
]
ROWS += [
    (function, {name: [(images, labels)]}, error, words)
    for function, name in (("cvae.train", "train_loader"), ("cvae.evaluate", "loader"))
    for images, labels, error, words in BAD_BATCHES
]
DOUBLE = [TypeError, ["must be torch.float32 on cpu, got torch.float64 on cpu", ".to()"]]
ROWS += [
    ("cvae.CVAE.recognition_model", {"x": PIXELS.double()}, *DOUBLE),
    ("cvae.CVAE.forward", {"x": PIXELS.double()}, *DOUBLE),
    ("cvae.CVAE.generative_model", {"z": CODES.double()}, *DOUBLE),
    ("cvae.loss_function", {"x_hat": PIXELS.double()}, TypeError, ["x_hat must be torch.float32"]),
    ("cvae.loss_function", {"x_hat": PIXELS[:1]}, ValueError, ["x_hat must have shape (2, 4)"]),
    ("cvae.loss_terms", {"x": PIXELS.byte()}, TypeError, ["x must hold floats", "divide"]),
    (
        "cvae.loss_function",
        {"mu": CODES[:1], "logvar": CODES[:1]},
        ValueError,
        ["mu must have shape (2, m), got (1, 2)"],
    ),
    ("cvae.BatchLoader", {"images": PIXELS[:1]}, ValueError, ["equally many", "(1, 4) and (2,)"]),
    ("cvae.initialise", {"images": (255 * PIXELS).int()}, ValueError, ["mean of images", "divide"]),
    ("cvae.train", {"train_loader": []}, ValueError, ["loader is empty"]),
    ("cvae.to_var", {"x": [1.0]}, TypeError, ["x must be a tensor, got list", "torch.as_tensor"]),
    ("cvae.train", {"num_classes": 4}, ValueError, ["num_classes must be the model's 3, got 4"]),
    ("cvae.evaluate", {"loader": []}, ValueError, ["loader is empty"]),
    ("cvae.log_likelihood", {"labels": [0]}, ValueError, ["equally many", "(2, 4) and (1,)"]),
    ("cvae.reconstruct", {"labels": [0]}, ValueError, ["equally many", "(2, 4) and (1,)"]),
    (
        "cvae.generate",
        {"z": CODES.double() * 1e300},
        ValueError,
        ["z must be finite, got inf"],
    ),
]

# Numbers that a result's dtype cannot hold are bad input too.
SINGLE = np.float32
ROWS += [
    ("kmeans.euclidean_distance", {"x": 1e200 * X}, ValueError, ["too large", "float64", "divide"]),
    ("kmeans.mean_pixel_error", {"image": 1e200 * IMAGE}, ValueError, ["too large", "divide"]),
    ("kmeans.train_kmeans", {"train_data": 1e200 * X}, ValueError, ["train_data", "too large"]),
    ("kmeans.assign_clusters", {"data": 1e308 * np.sign(X)}, ValueError, ["data", "too large"]),
    ("kmeans.assign_clusters", {"centroids": 1e200 * X}, ValueError, ["centroids", "too large"]),
    ("kmeans.compress_image", {"centroids": 1e200 * X}, ValueError, ["centroids", "too large"]),
    (
        "gmm.train_gmm",
        {"train_data": 1e200 * X},
        ValueError,
        ["train_data", "squares overflow", "divide"],
    ),
    ("gmm.train_gmm", {"init_mu": 1e200 * X[:2]}, ValueError, ["init_mu", "squares overflow"]),
    (
        "gmm.train_gmm",
        {"train_data": SINGLE(1e25 * X)},
        ValueError,
        ["sigma", "float32", "float64"],
    ),
    ("gmm.log_likelihood", {"data": 1e200 * X}, ValueError, ["data", "squares overflow"]),
    ("gda.fit_gda", {"x": SINGLE(1e25 * X)}, ValueError, ["sigma", "float32", "float64"]),
    ("gda.fit_gda", {"x": SINGLE(1e-25 * X), "reg_covar": 0}, ValueError, ["sigma", "float32"]),
    ("pca.pca", {"data": SINGLE(1e25 * X)}, ValueError, ["eigenvalue", "float32", "float64"]),
    ("pca.pca", {"data": 1e200 * X}, ValueError, ["eigenvalue", "float64", "divide"]),
    ("pca.project", {"data": HUGE, "mean": -HUGE[0]}, ValueError, ["score", "too large"]),
    ("pca.reconstruct", {"scores": HUGE[:, :2], "mean": HUGE[0]}, ValueError, ["coordinate"]),
    ("pca.distortion", {"data": 1e200 * X}, ValueError, ["distortion", "too large"]),
]

# The tests


def bad_calls(name):
    """Yield (what is changed, the arguments that differ, the error, the words) for a function."""
    for argument, (kind, good) in GOOD[name].items():
        for number, (spoil, error, words) in enumerate(BY_KIND[kind]):
            words = [word.replace("{}", argument) for word in words]
            yield f"{argument}, {kind} {number}", {argument: spoil(good)}, error, words
    for function, change, error, words in ROWS:
        if function == name:
            yield f"{', '.join(change)} {words}", change, error, words


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", GOOD)
def test_bad_input_is_explained(name):
    function = function_named(name)
    function(**good_arguments(name))  # so that what follows fails for the change only
    failures = []
    for changed, change, error, words in bad_calls(name):
        try:
            function(**(good_arguments(name) | change))
        except Exception as raised:
            missing = [word for word in words if word not in str(raised)]
            if type(raised) is not error or missing:
                failures.append(f"{changed}: {raised!r} is no {error.__name__} with {missing}")
        else:
            failures.append(f"{changed}: no error")
    assert not failures, "\n".join(failures)


def test_every_row_is_of_a_function():
    assert {name for name, *_ in ROWS} <= set(GOOD)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_every_public_function_has_its_rows(module):
    """A new function, or a new argument of an old one, must come with rows."""
    functions = dict(public_functions(module))
    assert functions
    for name in functions.keys() - ELSEWHERE:
        needed = set(inspect.signature(functions[name]).parameters) - OBSERVERS - {"self"}
        assert needed == set(GOOD.get(name, ())), f"rows of {name}"
