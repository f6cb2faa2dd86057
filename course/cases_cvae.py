"""The cases of 5c. The layers are the submission's own, so what they must have is judged.

The training cannot be talked up. A process trains the network with the submission's loss and
encodes held-out digits; the grader draws the codes z; a new process, which has never seen those
digits, gets the parameters and decodes. The bound is worked out here, so whatever the networks do
inside, it is a bound (14) on log p(x | y), and a low one in nats means a good model.
"""

import functools
import math

import numpy as np

from course.judging import Call, Case, Verdict, as_array, judge_numbers, numbers, same, unit_rng
from course.sandbox import Limits
from data import load_mnist

D, LATENT, CLASSES, HIDDEN = 784, 20, 10, 400
NAMES = ("mu", "logvar")
SIZES = {"input_size": D, "latent_size": LATENT, "num_classes": CLASSES, "hidden_units": HIDDEN}
DECODE = ("model.generation_model", "model.generative_model")
BATCH_SIZE, LEARNING_RATE = 64, 1e-3
NUM_TRAIN, NUM_TEST, NUM_SAMPLES = 10_000, 500, 400
NUM_SEEN = 40_000  # images in all epochs: 4 of MNIST, 27 of the stand-in
REPEATS = 48
GOOD_BOUND = 0.96  # of the loss of a model that knows each class's mean image and nothing else
GOOD_FIDELITY = 0.2  # of the samples show their class; chance is 0.1


def new_model(seed):
    return Call("cvae", ("model.new",), [seed], SIZES)


def tensor(array):
    return ("tensor", np.asarray(array, dtype=np.float32))


def one_hot(labels):
    return np.eye(CLASSES, dtype=np.float32)[labels]  # (B, C)


def flat(answer):
    array = as_array(answer)
    if array is None or array.ndim < 2:
        return array
    return array.reshape(len(array), math.prod(array.shape[1:]))


def in_shape(name, answer, shape):
    """Judge one output's kind, shape and numbers."""
    array = flat(answer)
    if array is None or array.dtype.kind != "f":
        return Verdict(51 if array is not None else 52, f"{name} must be a tensor of floats.")
    if array.shape != shape:
        return Verdict(52, f"{name} has shape {array.shape}, and {shape} was expected.")
    if not np.isfinite(array).all():
        return Verdict(61, f"{name} holds NaN or infinity.")
    return Verdict(0)


def first_wrong(*verdicts):
    return next((verdict for verdict in verdicts if verdict.code), Verdict(0))


def is_pair(answer, count):
    return isinstance(answer, tuple) and len(answer) == count


def judge_codes(pair, B):
    if not is_pair(pair, 2):
        return Verdict(52, "recognition_model must return mu and logvar.")
    return first_wrong(*(in_shape(n, a, (B, LATENT)) for n, a in zip(NAMES, pair, strict=True)))


def judge_recognition(results, right, B):
    _, first, other_label, other_images = results
    verdict = first_wrong(*(judge_codes(pair, B) for pair in results[1:]))
    if verdict.code:
        return verdict
    if np.allclose(first[0], other_images[0], atol=1e-7):
        return Verdict(53, "mu does not change with the images.")
    if np.allclose(first[0], other_label[0], atol=1e-7):
        return Verdict(53, "mu does not change with the label.", "encoder-without-label")
    return Verdict(0)


def judge_generation(results, right, B):
    _, first, other_label, other_codes = map(flat, results)
    verdict = first_wrong(
        *(in_shape("x_hat", x, (B, D)) for x in (first, other_label, other_codes))
    )
    if verdict.code:
        return verdict
    if first.min() < 0 or first.max() > 1:
        return Verdict(
            53, f"x_hat goes from {first.min():.3g} to {first.max():.3g}; probabilities do not.",
            "outputs-outside",
        )  # fmt: skip
    if np.allclose(first, other_codes, atol=1e-7):
        return Verdict(53, "x_hat does not change with z.", "decoder-without-code")
    if np.allclose(first, other_label, atol=1e-7):
        return Verdict(53, "x_hat does not change with the label.", "decoder-without-label")
    return Verdict(0)


def judge_forward(results, right, B):
    _, outputs, codes = results
    if not is_pair(outputs, 3):
        return Verdict(52, "forward must return x_hat, mu and logvar.")
    shapes = (("x_hat", (B, D)), ("mu", (B, LATENT)), ("logvar", (B, LATENT)))
    verdict = first_wrong(
        *(in_shape(n, a, s) for (n, s), a in zip(shapes, outputs, strict=True)),
        judge_codes(codes, B),
    )
    return verdict if verdict.code else same(outputs[1:], codes)


def judge_sampling(results, right, B):
    """Tell the scale of the noise from how much x_hat varies."""
    all_x_hat = list(map(flat, results[1:]))
    verdict = first_wrong(*(in_shape("x_hat", x_hat, (REPEATS * B, D)) for x_hat in all_x_hat))
    if verdict.code:
        return verdict
    spread, right_spread, wrong_spread = (
        float(x_hat.astype(np.float64).reshape(REPEATS, B, D).var(axis=0).mean())
        for x_hat in all_x_hat
    )
    if min(right_spread, wrong_spread) == 0:
        return Verdict(53, "x_hat does not change with z.", "decoder-without-code")
    if spread <= 1e-3 * right_spread:
        return Verdict(53, "forward gives the same x_hat every time.", "no-sampling")
    ratio = spread / right_spread
    if 0.6 < ratio < 1.7:
        return Verdict(0)
    near_wrong = abs(math.log(spread / wrong_spread)) < math.log(1.7)
    return Verdict(53, f"x_hat varies {ratio:.3g} times as much as it should.",
                   "std-is-exp-logvar" if near_wrong else None)  # fmt: skip


def judge_loss(results, right):
    """Judge the loss, minus a bound on the log-likelihood, in nats an image."""
    loss = as_array(results[-1])
    if loss is not None and loss.size == 1:
        loss = loss.reshape(())  # (1,) trains as well
    verdict = judge_numbers([loss], right, close=1e-5)
    return verdict._replace(code=62) if verdict.code in (53, 54) else verdict


def judge_training(results, right, test, labels, classify):
    losses = as_array(results[1][0]) if isinstance(results[1], tuple) and results[1] else None
    if losses is None:
        return Verdict(52, "the training gave no losses.")
    x_hat, samples = flat(results[5]), flat(results[6])
    verdict = first_wrong(
        judge_codes(results[2], len(test)),  # fewer columns would cost less in the bound
        in_shape("x_hat", x_hat, test.shape),
        in_shape("a sample", samples, (len(labels), D)),
    )
    if verdict.code:
        return verdict
    if not np.isfinite(losses).all():
        return Verdict(61, f"the losses of the epochs are {np.round(losses, 3)}.")
    for name, array in (("x_hat", x_hat), ("a sample", samples)):
        if array.min() < 0 or array.max() > 1:
            return Verdict(53, f"{name} goes from {array.min():.3g} to {array.max():.3g}; a "
                               "probability is in [0, 1].", "outputs-outside")  # fmt: skip
    mu, logvar = (flat(part).astype(np.float64) for part in results[2])
    with np.errstate(over="ignore"):
        kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1).mean()  # eq. (15)
    bound = cross_entropy(x_hat, test) + kl
    baseline = right
    if not bound < GOOD_BOUND * baseline:
        return Verdict(
            60, f"after {losses.size} epochs the bound on held-out digits is {bound:.1f} nats an "
            f"image; {GOOD_BOUND * baseline:.1f} was asked for."
        )  # fmt: skip
    fidelity = classify(samples, labels)
    if fidelity < GOOD_FIDELITY:
        return Verdict(60, f"{fidelity:.0%} of the samples show the class that was asked for; "
                           f"{GOOD_FIDELITY:.0%} were expected.")  # fmt: skip
    return Verdict(0, f"{bound:.1f} nats an image, {fidelity:.0%} of the samples show their class.")


def cross_entropy(x_hat, x):
    """Return the mean of -log p(x | x_hat) in nats an image."""
    p = np.clip(x_hat.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1).mean())


@functools.cache
def digits():
    """Return training images and labels, held-out images in [0, 1] and labels, and the baseline."""
    train, test = load_mnist("train", NUM_TRAIN), load_mnist("test", NUM_TEST)
    x = train.images.reshape(len(train.images), -1) / 255.0  # (N, D)
    held_out = test.images.reshape(len(test.images), -1) / 255.0
    means = np.stack([x[train.labels == k].mean(axis=0) for k in range(CLASSES)])  # (C, D)
    return train, held_out, test.labels, cross_entropy(means[test.labels], held_out)


@functools.cache
def classifier():
    from course.digit_classifier import agreement, train_classifier

    train = digits()[0]
    network = train_classifier(train.images, train.labels, num_steps=150)

    def classify(samples, labels):
        import torch

        return agreement(network, torch.from_numpy(samples.astype(np.float32)), labels)

    return classify


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
    noise = rng.normal(size=(REPEATS, B, LATENT))
    many = np.tile(c, (REPEATS, 1))
    scales = np.exp(logvar / 2), np.exp(logvar)
    codes = [(mu + scale * noise).reshape(-1, LATENT) for scale in scales]
    seeded = Call("cvae", ("model.seeded",), [seed, *map(tensor, (x[0], c, mu, logvar)), REPEATS])
    yield Case("5c", "forward samples z = mu + exp(logvar / 2) eps", 1.5,
               [new_model(seed), seeded, *(decode(code, many) for code in codes)],
               functools.partial(judge_sampling, B=B))  # fmt: skip

    for B, points in ((8, 1.5), (3, 1.5)):
        x_hat, x = rng.uniform(0.02, 0.98, size=(B, D)), rng.uniform(size=(B, D))
        mu, logvar = rng.normal(size=(B, LATENT)), rng.uniform(-2, 1.5, size=(B, LATENT))
        yield numbers("5c", f"loss_function of {B} images", points, "cvae", ("loss_function",),
                      [tensor(a) for a in (x_hat, x, mu, logvar)],
                      judge=judge_loss)  # fmt: skip

    train, test, test_labels, baseline = digits()
    labels = np.arange(NUM_SAMPLES) % CLASSES
    prior, noise = rng.normal(size=(NUM_SAMPLES, LATENT)), rng.normal(size=(len(test), LATENT))
    num_epochs = round(NUM_SEEN / len(train.images))
    fit = Call("cvae", ("model.fit",),
               [seed, train.images, train.labels, num_epochs, BATCH_SIZE, LEARNING_RATE, CLASSES],
               limits=Limits(120.0, 3 << 30))  # fmt: skip

    def code(results):
        mu, logvar = (flat(part).astype(np.float64) for part in results[2])
        return [
            tensor(mu + np.exp(np.minimum(logvar, 40) / 2) * noise),
            tensor(one_hot(test_labels)),
        ]

    calls = [
        new_model(seed), fit, encode(test, one_hot(test_labels)),
        new_model(seed)._replace(fresh=True),
        Call("cvae", ("model.restore",), lambda results: list(results[1][1:])),
        Call("cvae", DECODE, code), decode(prior, one_hot(labels)),
    ]  # fmt: skip
    name = f"training for {num_epochs} epochs on {len(train.images)} {train.source} digits"

    def judge(results, right):
        return judge_training(results, right, test, labels, classifier())

    yield Case("5c", name, 3.5, calls, judge, lambda module: baseline)
