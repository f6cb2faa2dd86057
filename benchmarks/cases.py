"""What is compared with what: each function yields the cases of one algorithm."""

import contextlib
import functools
from collections.abc import Callable
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

import gmm
import ica
import kmeans
import pca
from benchmarks.bench_ica import plain_loop
from data import load_audio, load_faces, load_mandrill, load_mnist


class Case(NamedTuple):
    """One work, done by us and by each opponent; `apart` compares two answers."""

    work: str
    ours: Callable
    opponents: dict[str, Callable]  # the fastest counts
    apart: Callable
    aim: float
    uses_numba: bool = False
    aim_without_numba: float = 0
    repeats: int = 7


@contextlib.contextmanager
def without_numba():
    """Make our modules do as they do where numba is not installed."""
    with (
        patch.object(kmeans, "_compiled_loop", lambda: None),
        patch.object(ica, "_compiled_pass", side_effect=ImportError),
    ):
        yield


def relative(a, b):
    """Return the largest difference of two arrays, over the largest magnitude in the second."""
    return np.abs(a - b).max() / np.abs(b).max()


def overlapping(N, d, K, spread=2.0):
    """Return N points (N, d) of K overlapping round clusters."""
    rng = np.random.default_rng(0)
    centres = spread * rng.normal(size=(K, d))
    return centres[rng.integers(K, size=N)] + rng.normal(size=(N, d))


def some_rows(data, K):
    return data[np.random.default_rng(1).choice(len(data), K, replace=False)]


def mandrills():
    mandrill = load_mandrill()
    for name in ("small", "large"):
        pixels = getattr(mandrill, name).reshape(-1, 3).astype(np.float64)
        yield f"mandrill-{name} ({mandrill.source})", pixels


def kmeans_cases():
    (small, x), (large, y) = mandrills()
    yield kmeans_case(small, x, 16, 50, aim=2)
    yield kmeans_case(large, y, 16, 20, aim=2)
    yield kmeans_case("64 overlapping clusters", overlapping(100_000, 16, 64), 64, 20)
    yield kmeans_case("one round cluster", overlapping(100_000, 16, 1), 64, 20)
    mnist = load_mnist("train", 20_000)
    digits = mnist.images.reshape(len(mnist.images), -1).astype(np.float64)
    yield kmeans_case(f"MNIST ({mnist.source})", digits, 10, 20)


def kmeans_case(name, data, K, steps, aim=1):
    start = some_rows(data, K)

    def theirs(algorithm):
        model = KMeans(K, init=start, n_init=1, tol=0, max_iter=steps, algorithm=algorithm)
        return model.fit(data).cluster_centers_

    N, d = data.shape
    return Case(
        f"train_kmeans: {name}, {N} x {d}, K = {K}, {steps} steps",
        lambda: kmeans.train_kmeans(data, start, num_iterations=steps),
        {f"KMeans {a}": functools.partial(theirs, a) for a in ("lloyd", "elkan")},
        relative,
        aim,
        uses_numba=True,
    )


def gmm_cases():
    (small, x), (large, y) = mandrills()
    yield gmm_case(small, x, 5, 50, aim=8)
    yield gmm_case(large, y, 5, 20, aim=8)
    yield gmm_case("8 overlapping clusters", overlapping(100_000, 16, 8), 8, 20)
    yield gmm_case("10 overlapping clusters", overlapping(20_000, 50, 10), 10, 10)


def gmm_case(name, data, K, steps, aim=3):
    N, d = data.shape
    start = gmm.GMMState(
        np.full(K, 1 / K), some_rows(data, K), np.stack([np.diag(data.var(axis=0))] * K)
    )

    def theirs():
        model = GaussianMixture(
            K, tol=0, max_iter=steps, reg_covar=0, weights_init=start.pi, means_init=start.mu,
            precisions_init=np.linalg.inv(start.sigma),
        ).fit(data)  # fmt: skip
        return gmm.GMMState(model.weights_, model.means_, model.covariances_)

    return Case(
        f"train_gmm: {name}, {N} x {d}, K = {K}, {steps} steps",
        lambda: gmm.train_gmm(data, *start, num_iterations=steps),
        {"GaussianMixture": theirs},
        lambda ours, theirs: max(map(relative, ours, theirs)),
        aim,
        repeats=5,
    )


def pca_cases():
    faces = load_faces()
    X = faces.images.reshape(len(faces.images), -1).astype(np.float64)
    name = f"pca: faces ({faces.source}), {len(X)} x {X.shape[1]}"
    yield pca_case(name, X, None, 2)
    yield pca_case(name, X, None, 1 / 1.1, svd_solver="covariance_eigh")
    wide = np.random.default_rng(0).normal(size=(200, 10_000))
    yield pca_case("pca: 200 x 10000, 50 components", wide, 50, 2, svd_solver="full")


def pca_case(name, data, num_components, aim, svd_solver="auto"):
    return Case(
        name,
        lambda: pca.pca(data, num_components=num_components)[1],
        {f"PCA {svd_solver}": lambda: PCA(num_components, svd_solver=svd_solver).fit(data)},
        lambda ours, theirs: relative(ours, theirs.explained_variance_),
        aim,
        repeats=5,
    )


def ica_cases():
    audio = load_audio()
    X = ica.normalize(audio.mix)
    yield Case(
        f"ica: audio ({audio.source}), {len(X)} x {X.shape[1]}, {len(ica.LEARNING_RATES)} passes",
        lambda: ica.ica(X),
        {"loop in NumPy": lambda: plain_loop(X, ica.LEARNING_RATES)},
        relative,
        aim=20,
        uses_numba=True,
        aim_without_numba=2,
        repeats=5,
    )


CASES = {"kmeans": kmeans_cases, "gmm": gmm_cases, "pca": pca_cases, "ica": ica_cases}
