"""Wrong submissions: each is a correct style with one small edit.

A row gives the part, the name that the grader must find, the style, the file, and pairs of what
stands there and what stands there instead.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent

MISTAKES = [
    # 1(a)
    ("1a", "colours-truncated", "loops", "kmeans", "np.round(centroids[dist.argmin(axis=1)])",
     "centroids[dist.argmin(axis=1)]"),
    ("1a", "one-step-too-few", "loops", "kmeans", "range(num_iterations)",
     "range(1, num_iterations)"),
    ("1a", "one-step-too-many", "loops", "kmeans", "range(num_iterations)",
     "range(num_iterations + 1)"),
    ("1a", "stops-early", "loops", "kmeans", "        for k in range(K):\n            members",
     "        before = centers.copy()\n        for k in range(K):\n            members",
     "    return centers\n", "        if np.abs(centers - before).max() < 0.1:\n            break\n"
     "    return centers\n"),
    ("1a", "manhattan-distance", "loops", "kmeans", "np.sqrt((diff * diff).sum(axis=1))",
     "np.abs(diff).sum(axis=1)"),
    ("1a", "medians", "loops", "kmeans", "members.sum(axis=0) / len(members)",
     "np.median(members, axis=0)"),
    ("1a", "means-rounded", "library", "kmeans", "one_hot.T @ train_data / np.maximum(counts, 1)",
     "np.round(one_hot.T @ train_data / np.maximum(counts, 1))"),
    ("1a", "own-start", "loops", "kmeans", "initial_centroids.astype(float)",
     "train_data[np.random.default_rng(3).choice(N, K, replace=False)].astype(float)"),
    ("1a", "returns-labels", "loops", "kmeans", "return centers", "return nearest"),
    ("1a", "input-changed", "loops", "kmeans", "initial_centroids.astype(float)",
     "initial_centroids"),
    ("1a", "uint8-distances", "broadcast", "kmeans", "pixels = image.astype(np.float64)",
     "pixels, centroids = image, np.rint(centroids).astype(np.uint8)"),
    # 1(d)
    ("1d", "sigma-around-old-mean", "loops", "gmm", "diff = train_data - mu[k]",
     "diff = train_data - old_mu[k]"),
    ("1d", "sigma-over-N", "loops", "gmm", "diff) / Nk[k]", "diff) / N"),
    ("1d", "sigma-over-N_k-minus-1", "broadcast", "gmm", "/ Nk[:, None, None]",
     "/ (Nk - 1)[:, None, None]"),
    ("1d", "diagonal-sigma", "library", "gmm", "reshape(d, d) for",
     "reshape(d, d) * np.eye(d) for"),
    ("1d", "added-to-diagonal", "loops", "gmm", "diff) / Nk[k]",
     "diff) / Nk[k] + 1e-6 * np.eye(d)"),
    ("1d", "priors-left-out", "broadcast", "gmm", "np.log(pi) - 0.5", "-0.5"),
    ("1d", "pi-never-updated", "loops", "gmm", "pi[k] = Nk[k] / N", "pass"),
    ("1d", "determinant-left-out", "broadcast", "gmm", "logdet + quad", "quad"),
    ("1d", "hard-assignments", "library", "gmm", "        pi = gamma",
     "        gamma = np.eye(len(pi))[gamma.argmax(axis=1)]\n        pi = gamma"),
    ("1d", "no-log-space", "loops", "gmm",
     "np.exp(logp - logsumexp(logp, axis=1, keepdims=True))",
     "np.exp(logp) / np.exp(logp).sum(axis=1, keepdims=True)"),
    ("1d", "one-step-off", "library", "gmm", "range(num_iterations)", "range(num_iterations - 1)"),
    ("1d", "colours-truncated", "library", "gmm", "np.around(gmm_model.mu[labels])",
     "gmm_model.mu[labels]"),
    ("1d", "nearest-mean", "broadcast", "gmm",
     "log_joint(X, gmm_model.pi, gmm_model.mu, gmm_model.sigma).argmax(axis=1)",
     "((X[:, None] - gmm_model.mu) ** 2).sum(axis=2).argmin(axis=1)"),
    # 3(b)
    ("3b", "not-centred", "loops", "pca", "data - mean", "data"),
    ("3b", "ascending", "loops", "pca", "np.argsort(values)[::-1]", "np.argsort(values)"),
    ("3b", "not-sorted", "library", "pca", "np.argsort(-values)",
     "np.roll(np.argsort(-values), 1)"),
    ("3b", "values-turned-alone", "loops", "pca", "vectors[:, order]", "vectors"),
    ("3b", "components-in-rows", "broadcast", "pca", "vt.T, s", "vt, s"),
    ("3b", "not-of-unit-length", "broadcast", "pca", "vt.T, s", "vt.T * s, s"),
    ("3b", "singular-values", "broadcast", "pca", "s**2 / (len(X) - 1)", "s"),
    ("3b", "square-roots", "loops", "pca", "values[order]", "np.sqrt(values[order])"),
    ("3b", "not-divided-by-N", "loops", "pca", "S = S / N", ""),
    ("3b", "standardised", "loops", "pca", "data - mean", "(data - mean) / data.std(axis=0)"),
    ("3b", "complex-results", "library", "pca", "np.real(values), np.real(vectors)",
     "values.astype(complex), vectors.astype(complex)"),
    # 4(a)
    ("4a", "inverse-not-transposed", "broadcast", "ica", "np.linalg.inv(W).T", "np.linalg.inv(W)"),
    ("4a", "sign-of-1-2g", "loops", "ica", "(1 - 2 * g[i])", "(2 * g[i] - 1)"),
    ("4a", "no-inverse-term", "loops", "ica", "first + second", "first"),
    ("4a", "outer-product-transposed", "loops", "ica", "first[i, j] =", "first[j, i] ="),
    ("4a", "natural-gradient", "broadcast", "ica",
     "(1 - 2 * expit(y))[:, None] * x[None, :] + np.linalg.inv(W).T",
     "W + np.outer(1 - 2 * expit(y), y) @ W"),
    ("4a", "tanh-for-sigmoid", "loops", "ica", "return 1 / (1 + np.exp(-s))", "return np.tanh(s)"),
    ("4a", "unmix-transposed", "broadcast", "ica", "(W @ X.T).T", "X @ W"),
    # 5(c)
    ("5c", "cross-entropy-averaged", "loops", "cvae", 'reduction="sum")', 'reduction="mean")'),
    ("5c", "loss-summed-over-batch", "library", "cvae", "torch.mean(", "torch.sum("),
    ("5c", "squared-error", "loops", "cvae",
     'nn.functional.binary_cross_entropy(x_hat, x, reduction="sum")',
     'nn.functional.mse_loss(x_hat, x, reduction="sum")'),
    ("5c", "kl-sign", "loops", "cvae", "BCE + KLD", "BCE - KLD"),
    ("5c", "kl-without-half", "broadcast", "cvae", "kl = 0.5 * (", "kl = ("),
    ("5c", "kl-missing", "library", "cvae", "kl_divergence(q, prior).sum(1) - log_p", "-log_p"),
    ("5c", "std-is-exp-logvar", "loops", "cvae", "torch.exp(0.5 * logvar)", "torch.exp(logvar)"),
    ("5c", "no-sampling", "library", "cvae", "self.reparametrize(mu, logvar)", "mu"),
    ("5c", "decoder-without-label", "loops", "cvae", "torch.cat((z, c), 1)",
     "torch.cat((z, 0 * c), 1)"),
    ("5c", "outputs-outside", "broadcast", "cvae", ".sigmoid()", ""),
]  # fmt: skip


def write(folder, style, *edits):
    """Write a style into a folder, with edits (file, old, new, old, new, ...) that all fit."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (HERE / style).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for file, *pairs in edits:
            if path.stem == file:
                for old, new in zip(pairs[::2], pairs[1::2], strict=True):
                    if old not in text:
                        raise ValueError(f"{old!r} is not in {path}")
                    text = text.replace(old, new)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder
