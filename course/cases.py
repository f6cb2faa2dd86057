"""What is asked, part by part: calls of a submission's functions, each with its points.

`make_cases(seed)` gives them all. Where the right answer is numbers, it is what the textbook
answers to the same call, so an edited textbook gives the answer of a known mistake (`mistakes.py`).
What the course leaves open is not asked: the random points are drawn again until no tie, no empty
cluster and no close pair of eigenvalues is among them, with room for a solution that calculates in
float32.
"""

import functools

import numpy as np

from course.cases_cvae import cvae_cases
from course.judging import (
    CLOSE,
    POINTS,
    another_clustering,
    another_mixture,
    judge_components,
    judge_numbers,
    numbers,
    unit_rng,
)
from course.sandbox import Limits
from data import load_audio, load_faces, load_mandrill, reference
from textbook import kmeans


def clusters(rng, N, d, K):
    """Return N points (N, d) around K centres, and K of them to start from."""
    centres = rng.normal(scale=2.0, size=(K, d))
    points = centres[rng.integers(K, size=N)] + rng.normal(size=(N, d))
    return points, points[rng.choice(N, K, replace=False)]


def kmeans_problem(seed, N, d, K, steps):
    """Return points and starting centroids whose run has no tie and no empty cluster.

    After `steps` steps the centroids still move. With None it comes to rest, after more than eight
    steps and some small ones, at which one might have stopped too early.
    """
    for attempt in range(1000):
        points, start = clusters(unit_rng(seed, "kmeans", N, d, K, steps, attempt), N, d, K)
        centroids, moves = start, []
        while len(moves) < (steps or 50) and (not moves or moves[-1] > 0):
            squares = np.array([((points - c) ** 2).sum(axis=1) for c in centroids])  # (K, N)
            two = np.sort(squares, axis=0)[:2]  # (2, N)
            labels = squares.argmin(axis=0)
            room = 1e-5 * np.square(points).max()
            if (two[1] - two[0]).min() < room or len(np.unique(labels)) < K:
                break
            previous, centroids = centroids, kmeans.update_centroids(points, labels, centroids)
            moves.append(np.abs(centroids - previous).max())
        else:
            rests = moves[-1] == 0 and len(moves) > 8 and min(moves[:-2]) < 0.05
            if rests if steps is None else moves[-1] > 1e-2:
                return points, start
    raise RuntimeError(f"no fair k-means problem of {N} x {d}, K = {K}, {steps} steps was found.")


def mixture_problem(seed, N, d, K):
    rng = unit_rng(seed, "gmm", N, d, K)
    points, mu = clusters(rng, N, d, K)
    pi = rng.dirichlet(np.full(K, 5.0))
    sigma = np.stack([np.diag(rng.uniform(1, 3, d)) for _ in range(K)])
    return points, [pi, mu, sigma]


def stretched(seed, N, d, shift=3.0):
    """Return points (N, d) with well separated variances, far from the origin."""
    rng = unit_rng(seed, "pca", N, d)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]  # (d, d)
    scores = np.linalg.qr(rng.normal(size=(N, d)))[0] * np.sqrt(N)  # (N, d)
    return scores * np.geomspace(5, 0.5, d) @ axes.T + shift * rng.normal(size=d)


def picture(seed, H, W):
    return unit_rng(seed, "picture", H, W).integers(0, 256, size=(H, W, 3)).astype(np.uint8)


def kmeans_cases(seed):
    def train(name, points, problem, steps, **rest):
        return numbers("1a", name, points, "kmeans", ("train_kmeans",), list(problem),
                       {"num_iterations": steps}, **rest)  # fmt: skip

    mandrill = load_mandrill()
    pixels = mandrill.small.reshape(-1, 3).astype(np.float64)
    start = pixels[reference("kmeans")["initial_centroid_indices"]]
    loose = functools.partial(judge_numbers, close=1e-3)
    yield train(f"the {mandrill.source} picture, 16 colours, 50 steps", 0.4, (pixels, start), 50,
                judge=loose)  # fmt: skip
    for name, N, d, K, steps in (
        ("in the plane", 300, 2, 4, 3),
        ("in five dimensions", 400, 5, 6, 3),
        ("in one dimension", 120, 1, 3, 3),
        ("in fifty dimensions", 300, 50, 5, 2),
        ("with many clusters", 500, 3, 30, 2),
    ):
        name = f"{N} random points {name}, K = {K}, {steps} steps"
        yield train(name, 0.36, kmeans_problem(seed, N, d, K, steps), steps)
    name = "300 random points in the plane, K = 4, until nothing moves"
    yield train(name, 0.4, kmeans_problem(seed, 300, 2, 4, None), 60)
    problem = kmeans_problem(seed, 300, 2, 4, 3)
    yield train("the inputs of train_kmeans are left alone", 0.4, problem, 3, untouched=True)

    rng = unit_rng(seed, "palette")
    palette = rng.uniform(1, 254, size=(12, 3))
    palette = np.floor(palette) + rng.uniform(0.55, 0.9, size=palette.shape)
    plain = np.full((6, 5, 3), 200, dtype=np.uint8)
    for name, points, image in (
        ("a random picture", 0.9, picture(seed, 20, 30)),
        ("a picture of one colour", 0.6, plain),
    ):
        yield numbers("1a", f"compress_image: {name}, 12 colours", points, "kmeans",
                      ("compress_image",), [image, palette])  # fmt: skip
    rng = unit_rng(seed, "speed")
    data, start = clusters(rng, 20_000, 3, 16)
    # So many points are never without a near tie, which float32 may decide the other way.
    loose = functools.partial(judge_numbers, close=1.5e-2)
    yield train(
        "speed: 20000 points, K = 16", 1.5, (data, start), 40, judge=loose, again=another_clustering
    )


def gmm_cases(seed):
    def train(name, points, data, state, steps, close=CLOSE, **rest):
        judge = functools.partial(judge_numbers, close=close, names=("pi", "mu", "sigma"))
        return numbers("1d", name, points, "gmm", ("train_gmm",), [data, *state],
                       {"num_iterations": steps}, judge=judge, **rest)  # fmt: skip

    mandrill = load_mandrill()
    pixels = mandrill.small.reshape(-1, 3).astype(np.float64)
    mu = pixels[reference("gmm")["initial_mu_indices"]]
    state = [np.full(5, 0.2), mu, np.stack([1000.0 * np.eye(3)] * 5)]
    name = f"the {mandrill.source} picture, 5 components, 50 steps"
    yield train(name, 1.0, pixels, state, 50, close=2e-3)
    for name, N, d, K, steps in (
        ("in the plane, one step", 200, 2, 3, 1),
        ("in the plane", 300, 2, 3, 4),
        ("in five dimensions", 400, 5, 4, 3),
        ("in one dimension", 150, 1, 2, 3),
        ("in fifty dimensions", 1500, 50, 2, 2),
        ("with many components", 1200, 2, 12, 3),
    ):
        name = f"{N} random points {name}, K = {K}, steps: {steps}"
        yield train(name, 0.6, *mixture_problem(seed, N, d, K), steps)
    data, state = mixture_problem(seed, 200, 2, 2)
    far = np.concatenate([data, data[:20] + 600.0])
    yield train("some points are so far that their densities underflow", 0.6, far, state, 1)
    data, state = mixture_problem(seed, 200, 2, 3)
    yield train("the inputs of train_gmm are left alone", 0.6, data, state, 2, untouched=True)

    rng = unit_rng(seed, "components")
    mu = np.floor(rng.uniform(1, 254, size=(6, 3))) + rng.uniform(0.55, 0.9, size=(6, 3))
    sigma = np.stack([np.diag(10.0 ** rng.uniform(2, 4, 3)) for _ in range(6)])
    state = ("state", [rng.dirichlet(np.full(6, 2.0)), mu, sigma])
    for name, points, image in (
        ("a random picture", 1.2, picture(seed, 20, 30)),
        ("a picture of one colour", 0.5, np.full((6, 5, 3), 120, dtype=np.uint8)),
    ):
        yield numbers("1d", f"compress_image: {name}, 6 components", points, "gmm",
                      ("compress_image",), [image, state])  # fmt: skip
    data, state = mixture_problem(seed, 20_000, 3, 5)
    yield train(
        "speed: 20000 points, K = 5", 2.5, data, state, 60, close=2e-3, again=another_mixture
    )


def pca_cases(seed):
    def train(name, points, data, num_components=None, **rest):
        judge = functools.partial(judge_components, num_components=num_components)
        case = numbers("3b", name, points, "pca", ("train_PCA", "pca"), [data], judge=judge, **rest)
        return case._replace(
            right=lambda module: (*case.right(module), len(data)), num_components=num_components
        )

    for N, d in ((60, 4), (200, 10), (50, 1), (300, 50)):
        yield train(f"{N} random points in {d} dimensions", 0.7, stretched(seed, N, d))
    faces = load_faces()
    some = faces.images[:, ::2, ::2].reshape(len(faces.images), -1).astype(np.float64)
    yield train(f"the {faces.source} faces at half size, ten components", 0.8, some, 10)
    case = train("the inputs of train_PCA are left alone", 0.4, stretched(seed, 40, 5))
    yield case._replace(untouched=True)


def ica_cases(seed):
    rng = unit_rng(seed, "ica")
    for m, points in ((2, 0.7), (3, 0.7), (5, 0.6)):
        arguments = [rng.normal(size=m), np.eye(m) + 0.4 * rng.normal(size=(m, m))]
        yield numbers("4a", f"filter_grad: one sample of {m} microphones", points, "ica",
                      ("filter_grad",), arguments)  # fmt: skip
    audio = load_audio()
    X = 0.99 * audio.mix[10_000:12_000] / np.abs(audio.mix).max()
    yield numbers("4a", f"unmixer: 2000 samples of the {audio.source} audio, 16 passes", 1.2, "ica",
                  ("unmixer", "ica"), [X], limits=Limits(60.0))  # fmt: skip
    for T, m in ((300, 2), (400, 3)):
        X = rng.laplace(size=(T, m)) @ (np.eye(m) + 0.5 * rng.uniform(-1, 1, (m, m))) / 8
        yield numbers("4a", f"unmixer: {T} random samples of {m} microphones", 0.6, "ica",
                      ("unmixer", "ica"), [X], limits=Limits(60.0))  # fmt: skip
    for m, points in ((3, 0.6), (5, 0.6)):
        arguments = [rng.normal(size=(30, m)), rng.normal(size=(m, m))]
        yield numbers("4a", f"unmix: 30 samples of {m} microphones", points, "ica", ("unmix",),
                      arguments)  # fmt: skip
    arguments = [rng.laplace(size=(60, 2)) / 8]
    yield numbers("4a", "the inputs of unmixer are left alone", 0.4, "ica", ("unmixer", "ica"),
                  arguments, untouched=True)  # fmt: skip


def make_cases(seed, parts=tuple(POINTS)):
    """Return the cases of these parts, the same for the same seed."""
    makers = {
        "1a": kmeans_cases, "1d": gmm_cases, "3b": pca_cases, "4a": ica_cases, "5c": cvae_cases,
    }  # fmt: skip
    return [
        case._replace(key=f"{part}.{number}")
        for part in parts
        for number, case in enumerate(makers[part](seed), start=1)
    ]
