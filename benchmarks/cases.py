"""What is compared with what: each function yields the cases of one algorithm."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import gda
import gmm
import ica
import kmeans
import pca
import textbook.gda
import textbook.gmm
import textbook.ica
import textbook.kmeans
import textbook.pca
from benchmarks import first_call
from data import load_audio, load_faces, load_mandrill, load_mnist

KMEANS = {
    f"KMeans {name}": functools.partial(KMeans, algorithm=name) for name in ("lloyd", "elkan")
}
with contextlib.suppress(ImportError):  # scikit-learn-intelex is optional
    from sklearnex.cluster import KMeans as IntelKMeans

    KMEANS["KMeans intelex"] = functools.partial(IntelKMeans, algorithm="lloyd")


class Case(NamedTuple):
    """One work. Its runs are "ours", the opponents, and perhaps "textbook" and "without numba".

    The fastest opponent counts, or the textbook where there is no other. `judge` takes what ours
    and the opponent returned, and says how far they are apart and whether that is good.
    """

    work: str
    runs: dict[str, Callable]
    aim: float
    judge: Callable = lambda ours, theirs: ("", True)
    aim_without_numba: float = 0
    repeats: int = 7
    warm_up: bool = True
    timed_inside: bool = False  # the runs return their seconds


def agree(ours, theirs):
    """Judge arrays, or states of them, by the largest difference over the largest magnitude."""
    ours, theirs = ([x] if isinstance(x, np.ndarray) else x for x in (ours[-1], theirs[-1]))
    pairs = zip(ours, theirs, strict=True)
    apart = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    return f"{apart:.0e}", apart < 1e-6


def without_numba(module, call):
    """Return what does ``call(module)`` as if numba were not installed, on a copy of the module."""
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_alone", module.__file__)
    copy = importlib.util.module_from_spec(spec)
    with hidden("numba"):
        spec.loader.exec_module(copy)

    def run():
        with hidden("numba"):
            return call(copy)

    return run


@contextlib.contextmanager
def hidden(package):
    """Make importing the package an ImportError."""
    found = sys.modules.get(package)
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]
        if found is not None:
            sys.modules[package] = found


def overlapping(N, d, K, spread=2.0):
    """Return N points (N, d) of K overlapping round clusters."""
    rng = np.random.default_rng(0)
    centres = spread * rng.normal(size=(K, d))
    return centres[rng.integers(K, size=N)] + rng.normal(size=(N, d))


def some_rows(data, K):
    return data[np.random.default_rng(1).choice(len(data), K, replace=False)]


def heat():
    """Work so much that what is compiled in a long run is compiled from here on."""
    data = overlapping(100_000, 16, 1)
    for _ in range(10):
        kmeans.train_kmeans(data, some_rows(data, 64), num_iterations=20)
    ica.ica(ica.normalize(np.random.default_rng(0).laplace(size=(20_000, 3))))


def mandrills():
    mandrill = load_mandrill()
    for name in ("small", "large"):
        pixels = getattr(mandrill, name).reshape(-1, 3).astype(np.float64)
        yield f"mandrill-{name} ({mandrill.source})", pixels


def kmeans_cases():
    heat()
    (small, x), (large, y) = mandrills()
    yield kmeans_case(small, x, 16, 50, aim=2)
    yield kmeans_case(large, y, 16, 20, aim=2)
    yield kmeans_case("64 overlapping clusters", overlapping(100_000, 16, 64), 64, 20, aim=2.5)
    yield kmeans_case("one round cluster", overlapping(100_000, 16, 1), 64, 20, aim=1)
    mnist = load_mnist("train", 20_000)
    digits = mnist.images.reshape(len(mnist.images), -1).astype(np.float64)
    yield kmeans_case(f"MNIST ({mnist.source})", digits, 10, 20, aim=1.2)


def kmeans_case(name, data, K, steps, aim):
    start = some_rows(data, K)
    N, d = data.shape

    def call(module):
        return module.train_kmeans(data, start, num_iterations=steps)

    def theirs(model):
        return model(K, init=start, n_init=1, tol=0, max_iter=steps).fit(data).cluster_centers_

    runs = {label: functools.partial(theirs, model) for label, model in KMEANS.items()}
    runs |= {
        "ours": lambda: call(kmeans),
        "textbook": lambda: call(textbook.kmeans),
        "without numba": without_numba(kmeans, call),
    }
    return Case(f"train_kmeans: {name}, {N} x {d}, K = {K}, {steps} steps", runs, aim, agree)


def gmm_cases():
    (small, x), (large, y) = mandrills()
    yield gmm_case(small, x, 5, 50, aim=8)
    yield gmm_case(large, y, 5, 20, aim=8)
    yield gmm_case("8 overlapping clusters", overlapping(100_000, 16, 8), 8, 20, aim=5)
    yield gmm_case("10 overlapping clusters", overlapping(20_000, 50, 10), 10, 10, aim=3)


def gmm_start(data, K):
    """Return equal proportions, some points as means, and the data's variances."""
    return np.full(K, 1 / K), some_rows(data, K), np.stack([np.diag(data.var(axis=0))] * K)


def gmm_case(name, data, K, steps, aim):
    N, d = data.shape
    pi, mu, sigma = gmm_start(data, K)

    def call(module):
        return module.train_gmm(data, pi, mu, sigma, num_iterations=steps)

    def theirs():
        model = GaussianMixture(
            K, tol=0, max_iter=steps, reg_covar=0, weights_init=pi, means_init=mu,
            precisions_init=np.linalg.inv(sigma),
        ).fit(data)  # fmt: skip
        return model.weights_, model.means_, model.covariances_

    runs = {
        "ours": lambda: call(gmm),
        "GaussianMixture": theirs,
        "textbook": lambda: call(textbook.gmm),
    }
    return Case(f"train_gmm: {name}, {N} x {d}, K = {K}, {steps} steps", runs, aim, agree)


def gda_problem(num_labels, u, M):
    """Return labelled points, their labels and unlabelled points of two overlapping classes."""
    y = np.arange(num_labels + u) % 2
    x = np.random.default_rng(0).normal(size=(len(y), M)) + 2 * y[:, None] / np.sqrt(M)
    return x[:num_labels], y[:num_labels], x[num_labels:]


def gda_cases():
    problem = gda_problem(100, 20_000, 10)
    runs = {
        "ours": lambda: gda.train_gda(*problem),
        "textbook": lambda: textbook.gda.train_gda(*problem),
    }
    yield Case("train_gda: 100 + 20000 x 10, 50 steps", runs, 2, agree)


def pca_cases():
    faces = load_faces()
    X = faces.images.reshape(len(faces.images), -1).astype(np.float64)
    name = f"pca: faces ({faces.source}), {len(X)} x {X.shape[1]}"
    yield pca_case(name, X, None, 2)
    yield pca_case(name, X, None, 0.95, svd_solver="covariance_eigh")
    wide = np.random.default_rng(0).normal(size=(200, 10_000))
    yield pca_case("pca: 200 x 10000, 50 components", wide, 50, 2, svd_solver="full")


def pca_case(name, data, num_components, aim, svd_solver="auto"):
    def theirs():
        return PCA(num_components, svd_solver=svd_solver).fit(data).explained_variance_

    runs = {
        "ours": lambda: pca.pca(data, num_components=num_components)[1],
        f"PCA {svd_solver}": theirs,
    }
    if num_components is None:  # else its covariance matrix would have no room
        runs["textbook"] = lambda: textbook.pca.pca(data)[1]
    return Case(name, runs, aim, agree)


def ica_cases():
    audio = load_audio()
    X = ica.normalize(audio.mix)
    runs = {
        "ours": lambda: ica.ica(X),
        "textbook": lambda: textbook.ica.ica(X),
        "without numba": without_numba(ica, lambda module: module.ica(X)),
    }
    work = f"ica: audio ({audio.source}), {len(X)} x {X.shape[1]}, {len(ica.LEARNING_RATES)} passes"
    yield Case(work, runs, 30, agree, aim_without_numba=3)


def cvae_cases():
    from benchmarks import bench_cvae  # PyTorch is loaded only now

    def no_worse(ours, theirs):
        ours, theirs = (np.median([bench_cvae.test_loss(w) for w in x]) for x in (ours, theirs))
        return f"{ours:.2f} against {theirs:.2f} nats", ours <= theirs

    work = "cvae: 10 epochs of 10,000, 3 runs"
    yield Case(work, bench_cvae.runs(), 2, no_worse, repeats=3, warm_up=False)


def first_cases():
    _, pixels = next(mandrills())
    small = "mandrill-small, K = "
    for name, size, arguments in (
        ("kmeans", small + "16", (pixels, some_rows(pixels, 16))),
        ("gmm", small + "5", (pixels, *gmm_start(pixels, 5))),
        ("gda", "100 + 5000 x 3", gda_problem(100, 5000, 3)),
    ):
        work = f"first train_{name} of a process: {size}, 50 steps"
        yield Case(work, first_call.runs(name, arguments), 1, timed_inside=True)


CASES = {
    "kmeans": kmeans_cases,
    "gmm": gmm_cases,
    "gda": gda_cases,
    "pca": pca_cases,
    "ica": ica_cases,
    "cvae": cvae_cases,
    "first": first_cases,
}
