"""One good call of every public function, and the kind of each argument.

The tests of bad input spoil these calls; the contract's tests vary what must not matter.
"""

import copy
import inspect

import numpy as np
import torch

import cvae
import gda
import gmm
import ica
import kmeans
import pca

MODULES = {module.__name__: module for module in (kmeans, gmm, gda, pca, ica, cvae)}
RNG = np.random.default_rng(0)
X, U = RNG.normal(size=(8, 3)), RNG.normal(size=(9, 3))
Y = np.array([0.0, 1.0] * 4)
Q = np.full((9, 2), 0.5)
SOUND = np.random.default_rng(1).laplace(size=(200, 3)) @ (np.eye(3) + 0.1)
EYE, EYES = np.eye(3), np.stack([np.eye(3)] * 2)
IMAGE = np.arange(12.0).reshape(2, 2, 3)
MIXTURE = gmm.GMMState(np.array([0.25, 0.75]), X[:2], EYES)
CLASSES = gda.GDAState(0.5, X[:2], EYES)

PIXELS = torch.linspace(0, 1, 8).reshape(2, 4)
CODES, ONE_HOT = torch.ones(2, 2), torch.eye(3)[:2]
MODEL = cvae.CVAE(input_size=4, latent_size=2, num_classes=3, hidden_units=5)
ON_MODEL = {
    "model": ("object", MODEL),
    "images": ("pixels", PIXELS),
    "labels": ("digits", [0, 1]),
}
LOSS = {
    "x_hat": ("image tensor", PIXELS),
    "x": ("image tensor", PIXELS),
    "mu": ("codes", CODES),
    "logvar": ("codes", CODES),
}

ON_MIXTURE = {"data": ("points", X), "state": ("mixture", MIXTURE)}
PROBLEM = {
    "labeled_x": ("array", X),
    "labels": ("classes", Y),
    "unlabeled_x": ("array", U),
    "unlabeled_weight": ("weight", 1.0),
}

GOOD = {
    "kmeans.euclidean_distance": {"x": ("points", X), "y": ("points", X)},
    "kmeans.mean_pixel_error": {"image": ("points", IMAGE), "compressed": ("points", IMAGE)},
    "kmeans.train_kmeans": {
        "train_data": ("points", X),
        "initial_centroids": ("points", X[:2]),
        "num_iterations": ("count", 2),
    },
    "kmeans.assign_clusters": {"data": ("points", X), "centroids": ("points", X[:2])},
    "kmeans.compress_image": {"image": ("points", IMAGE), "centroids": ("points", X[:2])},
    "kmeans.compression_factor": {"num_pixels": ("size", 10), "num_colors": ("size", 2)},
    "gmm.train_gmm": {
        "train_data": ("points", X),
        "init_pi": ("points", MIXTURE.pi),
        "init_mu": ("points", MIXTURE.mu),
        "init_sigma": ("covariances", MIXTURE.sigma),
        "num_iterations": ("count", 1),
        "reg_covar": ("weight", 0.1),
    },
    "gmm.log_density": {
        "data": ("points", X),
        "mu": ("points", MIXTURE.mu),
        "sigma": ("covariances", MIXTURE.sigma),
    },
    "gmm.log_likelihood": ON_MIXTURE,
    "gmm.responsibilities": ON_MIXTURE,
    "gmm.predict": ON_MIXTURE,
    "gmm.compress_image": {"image": ("points", IMAGE), "gmm_model": ("mixture", MIXTURE)},
    "gda.fit_gda": {"x": ("array", X), "y": ("classes", Y), "reg_covar": ("weight", 0.1)},
    "gda.train_gda": {
        **PROBLEM,
        "num_iterations": ("count", 1),
        "reg_covar": ("weight", 0.1),
        "init": ("classifier", CLASSES),
    },
    "gda.e_step": {"unlabeled_x": ("array", U), "state": ("classifier", CLASSES)},
    "gda.m_step": {**PROBLEM, "Q": ("array", Q), "reg_covar": ("weight", 0.1)},
    "gda.objective": {**PROBLEM, "state": ("classifier", CLASSES)},
    "gda.lower_bound": {**PROBLEM, "Q": ("array", Q), "state": ("classifier", CLASSES)},
    "gda.predict_proba": {"x": ("array", X), "state": ("classifier", CLASSES)},
    "gda.predict": {"x": ("array", X), "state": ("classifier", CLASSES)},
    "pca.pca": {"data": ("points", X), "ddof": ("count", 1), "num_components": ("size", 2)},
    "pca.num_components_for": {
        "eigenvalues": ("points", np.array([3.0, 1.0])),
        "fraction": ("array", np.array(0.9)),
    },
    "pca.project": {
        "data": ("points", X),
        "U": ("points", EYE[:, :2]),
        "mean": ("points", np.zeros(3)),
    },
    "pca.reconstruct": {
        "scores": ("points", X[:, :2]),
        "U": ("points", EYE[:, :2]),
        "mean": ("points", np.zeros(3)),
    },
    "pca.distortion": {"data": ("points", X), "U": ("points", EYE[:, :2])},
    "ica.sigmoid": {"s": ("numbers", X)},
    "ica.normalize": {"mix": ("points", X)},
    "ica.log_likelihood": {"X": ("points", X), "W": ("points", EYE)},
    "ica.filter_grad": {"x": ("points", X[0]), "W": ("points", EYE)},
    "ica.ica": {
        "X": ("points", SOUND),
        "learning_rates": ("points", np.repeat([0.05, 0.01], 3)),
    },
    "ica.unmix": {"X": ("points", X), "W": ("points", EYE)},
    "ica.amari_distance": {"W": ("points", EYE), "A": ("points", EYE)},
    "cvae.CVAE": {
        "input_size": ("size", 4),
        "latent_size": ("size", 2),
        "num_classes": ("size", 3),
        "hidden_units": ("size", 5),
    },
    "cvae.CVAE.recognition_model": {"x": ("image tensor", PIXELS), "c": ("codes", ONE_HOT)},
    "cvae.CVAE.reparametrize": {
        "mu": ("codes", CODES),
        "logvar": ("codes", CODES),
        "noise": ("noise", CODES),
    },
    "cvae.CVAE.generative_model": {"z": ("codes", CODES), "c": ("codes", ONE_HOT)},
    "cvae.CVAE.forward": {
        "x": ("image tensor", PIXELS),
        "c": ("codes", ONE_HOT),
        "noise": ("noise", CODES),
    },
    "cvae.loss_terms": LOSS,
    "cvae.loss_function": LOSS,
    "cvae.to_var": {"x": ("object", PIXELS), "use_cuda": ("object", False)},
    "cvae.one_hot": {
        "labels": ("digits", [0, 1]),
        "num_classes": ("size", 3),
        "use_cuda": ("object", False),
    },
    "cvae.BatchLoader": {
        "images": ("images", PIXELS),
        "labels": ("integers", [0, 1]),
        "batch_size": ("size", 2),
        "shuffle": ("object", False),
    },
    "cvae.initialise": {
        "model": ("object", MODEL),
        "images": ("pixels", PIXELS),
        "label_scale": ("rate", 1.5),
    },
    "cvae.train": {
        "epoch": ("object", 1),
        "model": ("object", MODEL),
        "train_loader": ("object", [(PIXELS, torch.tensor([0, 1]))]),
        "optimizer": ("object", None),
        "num_classes": ("size", 3),
        "use_cuda": ("object", False),
    },
    "cvae.fit": {
        **ON_MODEL,
        "num_epochs": ("size", 1),
        "batch_size": ("size", 2),
        "learning_rate": ("rate", 1e-3),
    },
    "cvae.evaluate": {
        "model": ("object", MODEL),
        "loader": ("object", [(PIXELS, torch.tensor([0, 1]))]),
        "seed": ("object", 0),
    },
    "cvae.log_likelihood": {**ON_MODEL, "num_samples": ("size", 2), "seed": ("object", 0)},
    "cvae.generate": {
        "model": ("object", MODEL),
        "labels": ("digits", [0, 1]),
        "z": ("prior codes", CODES),
        "seed": ("object", 0),
    },
    "cvae.reconstruct": ON_MODEL,
}


def function_named(name):
    """Return the function of this name, or the method of the model."""
    module, *path = name.split(".")
    return getattr(MODEL if len(path) == 2 else MODULES[module], path[-1])


def good_arguments(name):
    """Return the arguments of the good call, with a new model and optimizer where it takes them."""
    model = copy.deepcopy(MODEL)
    fresh = {"model": model, "optimizer": torch.optim.Adam(model.parameters())}
    return {argument: fresh.get(argument, value) for argument, (_, value) in GOOD[name].items()}


def public_functions(module):
    """Yield the names of a module's functions, classes and methods, and the functions."""
    for name, value in vars(module).items():
        if name[0] == "_" or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(value):
            yield f"{module.__name__}.{value.__name__}", value  # an alias is no second function
        elif inspect.isclass(value) and not issubclass(value, tuple):  # a record checks nothing
            yield f"{module.__name__}.{name}", value
            for method in filter(inspect.isfunction, vars(value).values()):
                if method.__name__[0] != "_":
                    yield f"{module.__name__}.{name}.{method.__name__}", method
