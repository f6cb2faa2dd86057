"""The cases of 5c; `judging_cvae.py` says how they are judged."""

import functools

import numpy as np

from course.judging import Call, Case, numbers, unit_rng
from course.judging_cvae import (
    CLASSES,
    LATENT,
    REPEATS,
    D,
    cross_entropy,
    drawn_codes,
    judge_forward,
    judge_generation,
    judge_loss,
    judge_recognition,
    judge_sampling,
    judge_training,
    restored,
    tensor,
)
from course.sandbox import Limits
from data import load_mnist

HIDDEN = 400
SIZES = {"input_size": D, "latent_size": LATENT, "num_classes": CLASSES, "hidden_units": HIDDEN}
DECODE = ("model.generation_model", "model.generative_model")
BATCH_SIZE, LEARNING_RATE = 64, 1e-3
NUM_TRAIN, NUM_TEST, NUM_SAMPLES = 10_000, 500, 400
NUM_SEEN = 40_000  # images in all epochs: 4 of MNIST, 27 of the stand-in


def derived(seed, what):
    """Return a seed of its own, from which the grader's cannot be told."""
    return int(unit_rng(seed, what).integers(2**62))


def new_model(seed):
    return Call("cvae", ("model.new",), [derived(seed, "weights")], SIZES)


def one_hot(labels):
    return np.eye(CLASSES, dtype=np.float32)[labels]  # (B, C)


def digits(seed):
    """Return training digits, and of some held-out ones images in [0, 1], labels, class means."""
    train, test = load_mnist("train", NUM_TRAIN), load_mnist("test")
    rows = unit_rng(seed, "held out").permutation(len(test.images))[:NUM_TEST]
    x = train.images.reshape(len(train.images), -1) / 255.0  # (N, D)
    held_out, labels = test.images[rows].reshape(len(rows), -1) / 255.0, test.labels[rows]
    means = np.stack([x[train.labels == k].mean(axis=0) for k in range(CLASSES)])  # (C, D)
    return train, held_out, labels, means[labels]


def cvae_cases(seed):
    rng, B = unit_rng(seed, "cvae"), 6
    x, z = rng.uniform(size=(2, B, D)), rng.normal(size=(2, B, LATENT))
    c, other = one_hot(np.arange(B)), one_hot(np.arange(B) + 3)

    def encode(x, c):
        return Call("cvae", ("model.recognition_model",), [tensor(x), tensor(c)])

    def decode(z, c):
        return Call("cvae", DECODE, [tensor(z), tensor(c)])

    yield Case("5c", "recognition_model gives mu and logvar of images and labels", 1.5,
               [new_model(seed), encode(x[0], c), encode(x[0], other), encode(x[1], c)],
               functools.partial(judge_recognition, B=B))  # fmt: skip
    yield Case("5c", "generation_model gives pixels in [0, 1] of codes and labels", 1.5,
               [new_model(seed), decode(z[0], c), decode(z[0], other), decode(z[1], c)],
               functools.partial(judge_generation, B=B))  # fmt: skip
    forward = Call("cvae", ("model.forward",), [tensor(x[0]), tensor(c)])
    yield Case("5c", "forward gives x_hat, mu and logvar", 1.0,
               [new_model(seed), forward, encode(x[0], c)],
               functools.partial(judge_forward, B=B))  # fmt: skip

    mu, logvar = rng.normal(size=(B, LATENT)), np.full((B, LATENT), -2.0)
    many = tensor(np.tile(c, (REPEATS, 1)))
    noise = derived(seed, "noise")
    draw = functools.partial(drawn_codes, where=1, seed=noise, classes=many, repeats=REPEATS)
    codes = [functools.partial(draw, power=power) for power in (0.5, 1.0)]
    known = [*map(tensor, (x[0], c, mu, logvar)), REPEATS]
    seeded = Call("cvae", ("model.seeded",), [derived(seed, "sampling"), *known])
    yield Case("5c", "forward samples z = mu + exp(logvar / 2) eps", 1.5,
               [new_model(seed), seeded, *(Call("cvae", DECODE, code) for code in codes)],
               functools.partial(judge_sampling, B=B))  # fmt: skip

    for B, points in ((8, 1.5), (3, 1.5)):
        x_hat, x = rng.uniform(0.02, 0.98, size=(B, D)), rng.uniform(size=(B, D))
        mu, logvar = rng.normal(size=(B, LATENT)), rng.uniform(-2, 1.5, size=(B, LATENT))
        yield numbers("5c", f"loss_function of {B} images", points, "cvae", ("loss_function",),
                      [tensor(a) for a in (x_hat, x, mu, logvar)],
                      judge=judge_loss)  # fmt: skip

    train, test, test_labels, means = digits(seed)
    labels = np.arange(NUM_SAMPLES) % CLASSES
    prior = rng.normal(size=(NUM_SAMPLES, LATENT))
    num_epochs = round(NUM_SEEN / len(train.images))
    settings = [num_epochs, BATCH_SIZE, LEARNING_RATE, CLASSES]
    fit = Call("cvae", ("model.fit",),
               [derived(seed, "training"), train.images, train.labels, *settings],
               limits=Limits(120.0, 3 << 30))  # fmt: skip

    classes = tensor(one_hot(test_labels))
    codes = functools.partial(drawn_codes, where=2, seed=derived(seed, "codes"), classes=classes)
    calls = [
        new_model(seed), fit, encode(test, one_hot(test_labels)),
        new_model(seed)._replace(fresh=True),
        Call("cvae", ("model.restore",), restored),
        Call("cvae", DECODE, codes), decode(prior, one_hot(labels)),
    ]  # fmt: skip
    name = f"training for {num_epochs} epochs on {len(train.images)} {train.source} digits"

    seen = (train.images, train.labels)
    judge = functools.partial(judge_training, test=test, labels=labels, seen=seen)
    # The right answer waits until it is asked for: it needs PyTorch, and that 300 MB of memory.
    yield Case("5c", name, 3.5, calls, judge, lambda module: cross_entropy(means, test))
