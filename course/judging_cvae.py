"""How the network of 5c is judged, whatever its layers.

The training cannot be talked up. A process trains the network with the submission's loss and
encodes held-out digits; the grader draws the codes z; a new process, which has never seen those
digits, gets the parameters and decodes. The bound is worked out here, so whatever the networks do
inside, it is a bound (14) on log p(x | y), and a low one in nats means a good model.
"""

import math

import numpy as np

from course.judging import Verdict, as_array, judge_numbers, same

D, LATENT, CLASSES = 784, 20, 10
NAMES = ("mu", "logvar")
REPEATS = 48
GOOD_BOUND = 0.96  # of the loss of a model that knows each class's mean image and nothing else
GOOD_FIDELITY = 0.2  # of the samples show their class; chance is 0.1


# Arguments made of earlier results


def tensor(array):
    return ("tensor", np.asarray(array, dtype=np.float32))


def restored(results):
    """Return the parameters that `fit` gave, for `restore`."""
    return list(results[1][1:])


def drawn_codes(results, where, seed, classes, repeats=1, power=0.5):
    """Return codes z drawn with mu and logvar of an earlier result, and their classes.

    Parameters
    ----------
    where : int
        The result that ends with mu and logvar (B, LATENT).
    classes : tuple
        ("tensor", one-hot vectors (repeats B, CLASSES)).
    repeats : int
        Codes for each image.
    power : float
        The deviation is this power of the variance; 0.5 is right.
    """
    mu, logvar = (flat(part) for part in results[where][-2:])
    if not mu.shape == logvar.shape == (len(mu), LATENT) or mu.dtype.kind != "f":
        raise ValueError(f"mu and logvar must be floats (B, {LATENT})")
    deviation = np.exp(np.minimum(logvar.astype(np.float64), 80)) ** power
    z = np.random.default_rng(seed).normal(mu, deviation, size=(repeats, *mu.shape))
    return [tensor(z.reshape(-1, z.shape[-1])), classes]


# Judges


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
    verdict = first_wrong(*(judge_codes(pair, B) for pair in results[1:]))
    if verdict.code:
        return verdict
    first, other_label, other_images = (flat(mu) for mu, _ in results[1:])
    if np.allclose(first, other_images, atol=1e-7):
        return Verdict(53, "mu does not change with the images.")
    if np.allclose(first, other_label, atol=1e-7):
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
    return verdict if verdict.code else same(outputs[1:], codes, names=NAMES)


def judge_sampling(results, right, B):
    """Tell the scale of the noise from how much x_hat varies."""
    all_x_hat = list(map(flat, (results[1][0], *results[2:])))
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


def judge_training(results, right, test, labels, seen):
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
    bound = cross_entropy(x_hat, test) + divergence(*map(flat, results[2]))
    if not bound < GOOD_BOUND * right:
        return Verdict(
            60, f"after {losses.size} epochs the bound on held-out digits is {bound:.4g} nats an "
            f"image; {GOOD_BOUND * right:.1f} was asked for."
        )  # fmt: skip
    fidelity = share_that_show_their_class(samples, labels, *seen)
    if fidelity < GOOD_FIDELITY:
        return Verdict(60, f"{fidelity:.0%} of the samples show the class that was asked for; "
                           f"{GOOD_FIDELITY:.0%} were expected.")  # fmt: skip
    return Verdict(0, f"{bound:.1f} nats an image, {fidelity:.0%} of the samples show their class.")


def cross_entropy(x_hat, x):
    """Return the mean of -log p(x | x_hat) in nats an image."""
    import torch

    p = torch.tensor(x_hat, dtype=torch.float64).clamp(1e-7, 1 - 1e-7)
    pixels = torch.distributions.Bernoulli(p, validate_args=False)  # x need not be 0 or 1
    return -float(pixels.log_prob(torch.tensor(x, dtype=torch.float64)).sum(dim=1).mean())


def divergence(mu, logvar):
    """Return the mean KL divergence from the prior, eq. (15), in nats an image."""
    from torch import distributions, float64, tensor

    mean, variance = tensor(mu, dtype=float64), tensor(logvar, dtype=float64).exp()
    posterior = distributions.Normal(mean, variance.sqrt(), validate_args=False)
    return float(
        distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    )


_classifiers: dict[int, tuple] = {}  # trained once for all submissions


def share_that_show_their_class(samples, labels, images, image_labels):
    """Return the share of samples in which a classifier of these images reads the label."""
    import torch

    from course.digit_classifier import agreement, train_classifier

    if id(images) not in _classifiers:
        _classifiers[id(images)] = images, train_classifier(images, image_labels, num_steps=150)
    return agreement(
        _classifiers[id(images)][1], torch.from_numpy(samples.astype(np.float32)), labels
    )
