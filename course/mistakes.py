"""The known mistakes: each is a line of the textbook, written wrong.

A wrong answer is compared with what the textbook answers with such a line in it. Where they agree,
the student is told the mistake in a sentence, and where to look. A mistake that no line shows (a
start from points of one's own, an amount that is not known) has a test in `recognise.py` instead.
"""

import functools
import importlib.resources
import types
from typing import NamedTuple

AMOUNTS = [10.0**n for n in range(-8, 1)]


class Mistake(NamedTuple):
    """A mistake in one file: pairs of a line's text and what a student writes instead."""

    name: str
    parts: tuple  # of the problem set
    file: str
    says: str
    edits: tuple = ()
    amounts: tuple = (None,)  # what {amount} in an edit stands for, one after the other


def _edit(name, part, file, says, *pairs, amounts=(None,)):
    return Mistake(
        name, (part,), file, says, tuple(zip(pairs[::2], pairs[1::2], strict=True)), amounts
    )


_TRUNCATED = ("np.rint(", "np.trunc(")
MISTAKES = [
    # 1(a)
    _edit("colours-truncated", "1a", "kmeans",
          "The colours are truncated: round the centroids before they become uint8.", *_TRUNCATED),
    _edit("one-step-too-few", "1a", "kmeans",
          "One update step too few is taken: num_iterations counts the updates.",
          "range(num_iterations)", "range(num_iterations - 1)"),
    _edit("one-step-too-many", "1a", "kmeans",
          "One update step too many is taken: num_iterations counts the updates.",
          "range(num_iterations)", "range(num_iterations + 1)"),
    _edit("stops-early", "1a", "kmeans",
          "The run stops before the centroids stand still: take all steps, or stop only when no "
          "assignment changes.",
          "range(num_iterations)", "range(min({amount}, num_iterations - 2))",
          amounts=tuple(range(30))),
    _edit("manhattan-distance", "1a", "kmeans",
          "Points go to the nearest centroid by the sum of absolute differences: use squares.",
          "((data - c) ** 2).sum(axis=1)", "np.abs(data - c).sum(axis=1)"),
    _edit("medians", "1a", "kmeans", "Centroids move to the medians of their points: use means.",
          "data[labels == k].mean(axis=0)", "np.median(data[labels == k], axis=0)"),
    _edit("means-rounded", "1a", "kmeans",
          "The centroids are rounded in each step: they are real numbers until a picture is made.",
          "data[labels == k].mean(axis=0)", "np.rint(data[labels == k].mean(axis=0))"),
    Mistake("own-start", ("1a",), "kmeans",
            "The run is one of k-means, but from other points: start from initial_centroids."),
    Mistake("returns-labels", ("1a",), "kmeans",
            "train_kmeans returns a label for each point: return the centroids."),
    Mistake("input-changed", ("1a", "1d", "3b", "4a"), "",
            "The function writes into its arguments: work on a copy (x.copy())."),
    _edit("uint8-distances", "1a", "kmeans",
          "Distances are taken between uint8 numbers, which wrap modulo 256: convert to float.",
          "assign_clusters(pixels, centroids)",
          "assign_clusters(pixels.astype(np.uint8), palette)"),
    # 1(d)
    _edit("sigma-around-old-mean", "1d", "gmm",
          "The covariances are taken around the old means: use the new means of this M-step.",
          "m_step(train_data, responsibilities(train_data, state))",
          "m_step(train_data, responsibilities(train_data, state), state.mu)",
          "def m_step(data, gamma):", "def m_step(data, gamma, old):",
          "zip(gamma.T, mu, strict=True)]", "zip(gamma.T, old, strict=True)]"),
    _edit("sigma-over-N", "1d", "gmm", "The covariances are divided by N: divide by N_k.",
          "/ g.sum()", "/ len(data)"),
    _edit("sigma-over-N_k-minus-1", "1d", "gmm",
          "The covariances are divided by N_k - 1: maximum likelihood divides by N_k.",
          "/ g.sum()", "/ (g.sum() - 1)"),
    _edit("diagonal-sigma", "1d", "gmm",
          "Only the diagonals of the covariances are kept: Sigma_k is a full matrix.",
          "np.array(sigma))", "np.array(sigma) * np.eye(data.shape[1]))"),
    _edit("added-to-diagonal", "1d", "gmm",
          "Something is added to the diagonals of the covariances: the M-step adds nothing.",
          "np.array(sigma))", "np.array(sigma) + {amount} * np.eye(data.shape[1]))",
          amounts=tuple(AMOUNTS)),
    _edit("priors-left-out", "1d", "gmm",
          "The proportions pi are missing in the E-step: gamma_nk is proportional to pi_k N(x_n).",
          "np.log(state.pi) + log_density", "log_density"),
    _edit("pi-never-updated", "1d", "gmm", "The proportions stay as they were: pi_k = N_k / N.",
          "state = m_step(train_data, responsibilities(train_data, state))",
          "state = m_step(train_data, responsibilities(train_data, state))._replace(pi=init_pi)"),
    _edit("determinant-left-out", "1d", "gmm",
          "The determinant is missing in the density: 1 / sqrt(det Sigma_k) differs with k.",
          " + np.linalg.slogdet(2 * np.pi * sigma)[1]", ""),
    _edit("hard-assignments", "1d", "gmm",
          "Each point goes to one component: responsibilities are probabilities, not 0 or 1.",
          "m_step(train_data, responsibilities(train_data, state))",
          "m_step(train_data, np.eye(len(init_pi))"
          "[responsibilities(train_data, state).argmax(axis=1)])"),
    _edit("no-log-space", "1d", "gmm",
          "Densities of far points underflow to 0 / 0: normalise their logarithms (logsumexp).",
          "np.exp(joint - np.logaddexp.reduce(joint, axis=1)[:, None])",
          "np.exp(joint) / np.exp(joint).sum(axis=1)[:, None]"),
    _edit("one-step-off", "1d", "gmm",
          "One EM step too few or too many is taken: num_iterations counts the steps.",
          "range(num_iterations)", "range(num_iterations + {amount})", amounts=(-1, 1)),
    _edit("colours-truncated", "1d", "gmm",
          "The colours are truncated: round the means before they become uint8.", *_TRUNCATED),
    _edit("nearest-mean", "1d", "gmm",
          "Pixels go to the nearest mean: take the component of the largest responsibility.",
          "responsibilities(image.reshape(-1, image.shape[-1]), gmm_model).argmax(axis=1)",
          "np.argmin([((image.reshape(-1, image.shape[-1]) - m) ** 2).sum(axis=1)"
          " for m in gmm_model.mu], axis=0)"),
    # 3(b)
    _edit("not-centred", "3b", "pca", "The data is not centred: take off its mean first.",
          "X = data - data.mean(axis=0)  # (N, d)\n    S", "X = data\n    S"),
    _edit("ascending", "3b", "pca",
          "The components come in ascending order: eigh sorts so; turn values and columns round.",
          "descending = slice(None, -1 - min(X.shape), -1)", "descending = slice(None)"),
    _edit("components-in-rows", "3b", "pca",
          "The components stand in the rows of U: return its transpose.",
          "np.sign(U[largest, np.arange(len(largest))]),",
          "np.sign(U[largest, np.arange(len(largest))])).T,", "return U *", "return (U *"),
    Mistake("not-sorted", ("3b",), "pca",
            "The components are right but not in descending order: sort values and columns alike."),
    Mistake("values-turned-alone", ("3b",), "pca",
            "The eigenvalues are turned round, and the columns of U are not: turn both."),
    Mistake("not-of-unit-length", ("3b",), "pca",
            "The components have the right directions, but not length 1: divide each by its norm."),
    _edit("singular-values", "3b", "pca",
          "Singular values of X are returned: eigenvalues are their squares over N.",
          "))]), eigenvalues", "))]), np.sqrt(eigenvalues * (len(X) - 1))"),
    _edit("square-roots", "3b", "pca",
          "Square roots of the eigenvalues are returned: the eigenvalues are the variances.",
          "))]), eigenvalues", "))]), np.sqrt(eigenvalues)"),
    _edit("not-divided-by-N", "3b", "pca", "X^T X is not divided by N.", " / (len(X) - 1)", ""),
    _edit("standardised", "3b", "pca",
          "The columns are divided by their standard deviations: PCA only centres them.",
          "data - data.mean(axis=0)  # (N, d)\n    S",
          "(data - data.mean(axis=0)) / data.std(axis=0, ddof={amount})\n    S", amounts=(0, 1)),
    Mistake("complex-results", ("3b",), "pca",
            "The results are complex: a symmetric matrix has real eigenvalues, use eigh."),
    # 4(a)
    _edit("inverse-not-transposed", "4a", "ica",
          "The inverse of W is not transposed: the gradient of log |det W| is W^-T.",
          "np.linalg.inv(W).T", "np.linalg.inv(W)"),
    _edit("sign-of-1-2g", "4a", "ica", "The sign is wrong: the slope is 1 - 2 g, not 2 g - 1.",
          "1 - 2 * sigmoid(W @ x)", "2 * sigmoid(W @ x) - 1"),
    _edit("no-inverse-term", "4a", "ica",
          "The term W^-T is missing: it is the gradient of log |det W|.",
          " + np.linalg.inv(W).T", ""),
    _edit("outer-product-transposed", "4a", "ica",
          "The outer product is transposed: (1 - 2 g) is the column, x^T the row.",
          "np.outer(1 - 2 * sigmoid(W @ x), x)", "np.outer(1 - 2 * sigmoid(W @ x), x).T"),
    _edit("natural-gradient", "4a", "ica",
          "This is the natural gradient, multiplied by W^T W: the problem asks for the plain one.",
          "np.outer(1 - 2 * sigmoid(W @ x), x) + np.linalg.inv(W).T",
          "(np.outer(1 - 2 * sigmoid(W @ x), W @ x) + np.eye(len(W))) @ W"),
    _edit("tanh-for-sigmoid", "4a", "ica",
          "tanh stands where the sigmoid g(s) = 1 / (1 + exp(-s)) belongs.",
          "1 - 2 * sigmoid(W @ x)", "{amount}",
          amounts=("1 - 2 * np.tanh(W @ x)", "-np.tanh(W @ x)", "-2 * np.tanh(W @ x)")),
    _edit("unmix-transposed", "4a", "ica", "unmix multiplies by W where y = W x needs X W^T.",
          "return X @ W.T  # (T, m): y", "return X @ W  # (T, m): y"),
    # 5(c)
    _edit("cross-entropy-averaged", "5c", "cvae",
          "The cross-entropy is averaged over the pixels: the bound sums over them.",
          "cross_entropy + kl) / len(x)", "cross_entropy {amount}", amounts=(
              "/ x.numel() + kl / len(x))", "+ kl) / x.numel()", "/ x[0].numel() + kl) / len(x)",
              "/ x.numel() + kl)", "/ x.numel() / len(x) + kl / len(x))")),
    _edit("loss-summed-over-batch", "5c", "cvae",
          "The loss is summed over the batch: average it over the images.",
          "(cross_entropy + kl) / len(x)", "cross_entropy + kl"),
    _edit("squared-error", "5c", "cvae",
          "The loss has a squared error: p(x | z, y) is Bernoulli, use the cross-entropy.",
          "F.binary_cross_entropy(x_hat, x.flatten(1), reduction=\"sum\")", "{amount}", amounts=(
              "((x_hat - x.flatten(1)) ** 2).sum()", "((x_hat - x.flatten(1)) ** 2).mean()",
              "((x_hat - x.flatten(1)) ** 2).mean() * len(x)",
              "((x_hat - x.flatten(1)) ** 2).sum() / 2")),
    _edit("kl-sign", "5c", "cvae", "The KL divergence has the wrong sign: the loss adds it.",
          "kl = -0.5 *", "kl = 0.5 *"),
    _edit("kl-without-half", "5c", "cvae", "The factor 1/2 of the KL divergence is missing.",
          "kl = -0.5 *", "kl = -"),
    _edit("kl-missing", "5c", "cvae", "The KL divergence is missing in the loss.",
          "cross_entropy + kl", "cross_entropy"),
    Mistake("std-is-exp-logvar", ("5c",), "cvae",
            "exp(logvar) is the variance: the standard deviation is exp(logvar / 2)."),
    Mistake("no-sampling", ("5c",), "cvae",
            "forward decodes mu itself: sample z = mu + exp(logvar / 2) eps."),
    Mistake("decoder-without-label", ("5c",), "cvae",
            "The generation model does not use the label: concatenate it to z."),
    Mistake("encoder-without-label", ("5c",), "cvae",
            "The recognition model does not use the label: concatenate it to x."),
    Mistake("decoder-without-code", ("5c",), "cvae", "The generation model does not use z."),
    Mistake("outputs-outside", ("5c",), "cvae",
            "x_hat leaves [0, 1]: end the generation model with a sigmoid."),
]  # fmt: skip
SAYS = {(part, m.name): m.says for m in MISTAKES for part in m.parts}


@functools.cache
def edited(file, edits=(), amount=None):
    """Return a textbook module with these edits, or the textbook as it is."""
    text = importlib.resources.files("textbook").joinpath(f"{file}.py").read_text(encoding="utf-8")
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands {text.count(old)} times in textbook/{file}.py")
        text = text.replace(old, new if amount is None else new.replace("{amount}", str(amount)))
    module = types.ModuleType(f"textbook.{file}")
    module.__package__ = "textbook"
    exec(compile(text, f"textbook/{file}.py", "exec"), module.__dict__)
    return module
