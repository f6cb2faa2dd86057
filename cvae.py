"""Conditional variational autoencoder (CVAE): images x given a class label y and a latent code z.

Two networks share one objective, the evidence lower bound (Kingma and Welling, 2014; Sohn, Lee
and Yan, 2015):

    log p(x | y) >= E_{q(z | x, y)}[log p(x | z, y)] - KL(q(z | x, y) || p(z | y))         (14)

    recognition   q(z | x, y) = N(mu, diag(exp(logvar)))      fc1, fc2, fc_mu, fc_logvar
    generation    p(x | z, y) = Bernoulli(x_hat) a pixel      fc3, fc4, fcout
    prior         p(z | y)    = N(0, I)

Every loss is in nats an image: summed over pixels and latent dimensions, averaged over images.
B is the batch size, D the pixels of an image, m the latent dimensions, C the classes, H the
hidden units. The work is done on the device that holds the model's parameters. Training draws
from PyTorch's default generator, so ``torch.manual_seed`` makes a run repeatable.
"""

import math
import os
import sys
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

try:
    from tqdm import tqdm
except ImportError:  # no progress bar, then
    tqdm = None


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from cvae.py!")


class Loss(NamedTuple):
    """Mean of the negative lower bound and of its two terms, in nats an image."""

    total: float
    reconstruction: float
    kl: float


class CVAE(nn.Module):
    """Conditional variational autoencoder with two hidden layers each way.

    Parameters
    ----------
    input_size, latent_size, num_classes : int
        D, m and C.
    hidden_units : int
        H, the width of each hidden layer.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or is below 1.
    """

    def __init__(self, *, input_size, latent_size, num_classes, hidden_units=400):
        super().__init__()
        self.input_size = _check_count("input_size", input_size)
        self.latent_size = _check_count("latent_size", latent_size)
        self.num_classes = _check_count("num_classes", num_classes)
        hidden_units = _check_count("hidden_units", hidden_units)
        self.fc1 = nn.Linear(input_size + num_classes, hidden_units)
        self.fc2 = nn.Linear(hidden_units, hidden_units)
        self.fc_mu = nn.Linear(hidden_units, latent_size)
        self.fc_logvar = nn.Linear(hidden_units, latent_size)
        self.fc3 = nn.Linear(latent_size + num_classes, hidden_units)
        self.fc4 = nn.Linear(hidden_units, hidden_units)
        self.fcout = nn.Linear(hidden_units, input_size)

    def recognition_model(self, x, c):
        """Return the mean and the log-variance of q(z | x, y).

        Parameters
        ----------
        x : float tensor, shape (B, D) or (B, ...) with D pixels an image
            Values in [0, 1].
        c : float tensor, shape (B, C)
            One-hot labels.

        Returns
        -------
        mu, logvar : float tensors, shape (B, m)

        Raises
        ------
        TypeError, ValueError
            If `x` is not float, leaves [0, 1] or does not have D pixels an image, or if `c` does
            not have shape (B, C).
        """
        x = _check_matrix("x", _rows(x), "input_size", self.input_size)
        _check_unit("x", x, "divide 8-bit images by 255")
        c = _check_matrix("c", c, "num_classes", self.num_classes, rows=len(x))
        h = F.relu(self.fc1(torch.cat([x, c], dim=1)))  # (B, H)
        h = F.relu(self.fc2(h))  # (B, H)
        return self.fc_mu(h), self.fc_logvar(h)  # (B, m), (B, m)

    def reparametrize(self, mu, logvar, noise=None):
        """Return a sample z = mu + sigma * noise, differentiable in `mu` and `logvar`.

        Parameters
        ----------
        mu, logvar : float tensors, shape (B, m)
        noise : float tensor, shape (B, m), optional
            Standard normal numbers; drawn from PyTorch's default generator if not given.

        Returns
        -------
        float tensor, shape (B, m)

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        _check_same_shape("mu", mu, "logvar", logvar)
        if noise is None:
            noise = torch.randn_like(mu)
        _check_same_shape("mu", mu, "noise", noise)
        return mu + _exp(0.5 * logvar) * noise  # (B, m)

    def generative_model(self, z, c):
        """Return x_hat, the mean of p(x | z, y): each pixel's probability of being on.

        Parameters
        ----------
        z : float tensor, shape (B, m)
        c : float tensor, shape (B, C)
            One-hot labels.

        Returns
        -------
        float tensor, shape (B, D), values in [0, 1]

        Raises
        ------
        ValueError
            If `z` does not have m columns or `c` does not have shape (B, C).
        """
        z = _check_matrix("z", z, "latent_size", self.latent_size)
        c = _check_matrix("c", c, "num_classes", self.num_classes, rows=len(z))
        h = F.relu(self.fc3(torch.cat([z, c], dim=1)))  # (B, H)
        h = F.relu(self.fc4(h))  # (B, H)
        return torch.sigmoid(self.fcout(h))  # (B, D)

    generation_model = generative_model

    def forward(self, x, c, noise=None):
        """Encode, sample, decode: return x_hat (B, D), mu (B, m) and logvar (B, m)."""
        mu, logvar = self.recognition_model(x, c)
        return self.generative_model(self.reparametrize(mu, logvar, noise), c), mu, logvar


def loss_terms(x_hat, x, mu, logvar):
    """Return the two terms of the negative lower bound (14), image by image.

    Parameters
    ----------
    x_hat, x : float tensors, shape (B, D), values in [0, 1]
        The decoder's means and the images; a grey pixel counts as a probability of being on.
    mu, logvar : float tensors, shape (B, m)
        Of q(z | x, y).

    Returns
    -------
    reconstruction : float tensor, shape (B,)
        The cross-entropy ``-log p(x | z, y)`` in nats. PyTorch cuts each logarithm off at -100,
        so that an `x_hat` of exactly 0 or 1 gives finite losses and gradients.
    kl : float tensor, shape (B,)
        ``KL(q || N(0, I))`` in nats, eq. (15). For a log-variance above 50 the exponential goes
        on as its tangent, so that it cannot overflow and still pulls the variance down.

    Raises
    ------
    TypeError, ValueError
        If `x_hat` or `x` is not float or leaves [0, 1], or shapes differ.
    """
    x = _rows(x)  # (B, D)
    _check_same_shape("x_hat", x_hat, "x", x)
    _check_same_shape("mu", mu, "logvar", logvar)
    _check_unit("x", x, "divide 8-bit images by 255")
    _check_unit("x_hat", x_hat, "if training gave it, lower the learning rate")
    reconstruction = F.binary_cross_entropy(x_hat, x, reduction="none").sum(dim=1)
    kl = 0.5 * (mu**2 + _exp(logvar) - 1 - logvar).sum(dim=1)  # eq. (15)
    return reconstruction, kl


def loss_function(x_hat, x, mu, logvar):
    """Return the negative of the lower bound (14), averaged over the batch.

    Parameters
    ----------
    x_hat, x, mu, logvar : float tensors
        As for `loss_terms`, whose mean sum this is.

    Returns
    -------
    float tensor, shape ()
        In nats an image, with one sample of z in place of the expectation.
    """
    reconstruction, kl = loss_terms(x_hat, x, mu, logvar)
    return (reconstruction + kl).mean()


def one_hot(labels, num_classes):
    """Return one-hot rows for integer labels.

    Parameters
    ----------
    labels : integer tensor or array_like, shape (B,)
        Each in 0 .. C - 1.
    num_classes : int
        C.

    Returns
    -------
    float32 tensor, shape (B, C), on the labels' device

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If there is no label, `labels` is not one-dimensional, or a label is out of range.
    """
    labels = torch.as_tensor(labels)
    if labels.dim() != 1 or len(labels) == 0:
        raise ValueError(f"labels must have shape (B,) with B >= 1, got {tuple(labels.shape)}.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels must hold integers, got {labels.dtype}; convert them first.")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, got {outside[0].item()}; "
            f"correct it or raise num_classes ({num_classes})."
        )
    return F.one_hot(labels.long(), num_classes).float()  # (B, C)


class BatchLoader:
    """Mini-batches of images held in memory, cut without a Python step for each image.

    Iterating yields pairs of images, float (b, D) in [0, 1], and labels (b,), where b is
    `batch_size` but for the last batch, which takes what is left.

    Parameters
    ----------
    images : uint8 array_like, shape (N, ...), or float in [0, 1]
        uint8 stays so in memory, and each batch is divided by 255 to float32.
    labels : integer array_like, shape (N,)
    batch_size : int
    shuffle : bool
        Draw a new order for each pass from PyTorch's default generator.

    Raises
    ------
    TypeError, ValueError
        If there are no images, the lengths differ, or `batch_size` is no integer or below 1.
    """

    def __init__(self, images, labels, batch_size, *, shuffle=False):
        self.images, self.labels = torch.as_tensor(images), torch.as_tensor(labels)
        if not 0 < len(self.images) == len(self.labels):
            raise ValueError(
                "images and labels must be equally many, and at least one, "
                f"got {len(self.images)} and {len(self.labels)}."
            )
        self.batch_size, self.shuffle = _check_count("batch_size", batch_size), shuffle

    def __len__(self):
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self):
        N = len(self.images)
        order = torch.randperm(N) if self.shuffle else torch.arange(N)  # (N,)
        for rows in order.split(self.batch_size):
            images = _rows(self.images[rows])  # (b, D)
            yield images / 255 if images.dtype == torch.uint8 else images, self.labels[rows]


@torch.no_grad()
def initialise(model, images, *, label_scale=1.5):
    """Set a new model's weights so that training starts ahead of PyTorch's default.

    1. Weights are normal with variance 2 / fan_in and biases 0 (He et al., 2015).
    2. Weights on the label have standard deviation `label_scale` instead, louder than z. So the
       decoder takes the class from the label from the first step on. Otherwise part of it goes
       into z, and a z drawn from the prior can contradict the label.
    3. The output layer has weights 0 and as its bias the log-odds of the mean image, so the
       first x_hat is the mean image and no steps go into learning that borders are black.

    Parameters
    ----------
    model : CVAE
        Changed in place, with numbers from PyTorch's default generator.
    images : uint8 array_like, shape (N, ...), or float in [0, 1]
        The training images.
    label_scale : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If the images are none of the above or not of D pixels, or `label_scale` is not positive.
    """
    if not 0 < label_scale < math.inf:
        raise ValueError(f"label_scale must be above 0 and finite, got {label_scale}.")
    images = _rows(torch.as_tensor(images))  # (N, D)
    images = _check_matrix("images", images, "input_size", model.input_size)
    mean = images.mean(dim=0, dtype=torch.float32)  # (D,)
    mean = mean / 255 if images.dtype == torch.uint8 else mean
    _check_unit("the mean image", mean, "divide 8-bit images by 255")
    for layer in model.children():
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    for layer in (model.fc1, model.fc3):
        layer.weight[:, -model.num_classes :].normal_(0, label_scale)
    nn.init.zeros_(model.fcout.weight)
    model.fcout.bias.copy_(torch.logit(mean.clamp(0.001, 0.999)))


def train(epoch, model, train_loader, optimizer, num_classes, use_cuda=False):
    """Make one pass over the training data, with one optimiser step a batch.

    Parameters
    ----------
    epoch : int
        The number of this pass, for the progress bar and for messages.
    model : CVAE
    train_loader : iterable of (images, labels)
        Float images (B, ...) in [0, 1] and integer labels (B,).
    optimizer : torch.optim.Optimizer
        Of `model`'s parameters.
    num_classes : int
        C.
    use_cuda : bool
        Move the model to the CUDA device first. To use another device, move the model yourself.

    Returns
    -------
    Loss
        Averages over the images of the pass, while the weights were changing.

    Raises
    ------
    TypeError, ValueError
        If images or labels have the wrong shape or values, the loader is empty, there is no CUDA
        device for `use_cuda`, or the loss is no longer finite.
    """
    if use_cuda:
        if not torch.cuda.is_available():
            raise ValueError("use_cuda is True but PyTorch finds no CUDA device; pass False.")
        model.cuda()
    if tqdm is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules):
        train_loader = tqdm(train_loader, f"epoch {epoch}", leave=False)
    model.train()
    terms = []
    for images, labels in train_loader:
        x, c = _to_model(model, images, labels, num_classes)  # (B, D), (B, C)
        x_hat, mu, logvar = model(x, c)
        reconstruction, kl = loss_terms(x_hat, x, mu, logvar)  # (B,), (B,)
        optimizer.zero_grad()
        (reconstruction + kl).mean().backward()
        optimizer.step()
        terms.append(torch.stack([reconstruction, kl]).detach())  # (2, B)
    loss = _mean_loss(terms)
    if not math.isfinite(loss.total):
        raise ValueError(f"the loss became {loss.total} in epoch {epoch}; lower the learning rate.")
    return loss


def fit(
    model,
    images,
    labels,
    *,
    num_epochs,
    batch_size=128,
    learning_rate=3e-3,
    verbose=False,
    callback=None,
):
    """Train a new model by the recipe that this module recommends.

    `initialise`, then `train` with Adam on shuffled batches. The learning rate falls linearly with
    the epoch, after a warm-up: epoch e of E runs at ``min(e / 3, 1) (1 - (e - 1) / E)`` times
    `learning_rate`.

    Parameters
    ----------
    model : CVAE
        Changed in place.
    images, labels
        The training data, as for `BatchLoader`.
    num_epochs, batch_size : int
    learning_rate : float
        Above 0.
    verbose : bool
        Print one line for each epoch.
    callback : callable, optional
        Called as ``callback(epoch, loss)`` after each epoch, counting from 1, with what `train`
        returned.

    Returns
    -------
    list of Loss
        One for each epoch.

    Raises
    ------
    TypeError, ValueError
        As `BatchLoader` and `train` do, and if `num_epochs` or `learning_rate` is not positive.
    """
    num_epochs = _check_count("num_epochs", num_epochs)
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be above 0 and finite, got {learning_rate}.")
    initialise(model, images)
    loader = BatchLoader(images, labels, batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for epoch in range(1, num_epochs + 1):
        warm_up, decay = min(epoch / 3, 1), 1 - (epoch - 1) / num_epochs
        optimizer.param_groups[0]["lr"] = learning_rate * warm_up * decay
        losses.append(train(epoch, model, loader, optimizer, model.num_classes))
        if verbose:
            print(f"epoch {epoch}: {losses[-1].total:.2f} nats an image")
        if callback is not None:
            callback(epoch, losses[-1])
    return losses


@torch.no_grad()
def evaluate(model, loader, *, seed=0):
    """Return the mean negative lower bound (14) over a data set, with one z an image.

    Parameters
    ----------
    model : CVAE
        Not changed.
    loader : iterable of (images, labels)
        As for `train`.
    seed : int
        Of the noise, which is the same on every device and leaves the default generator alone.

    Returns
    -------
    Loss
        Its expected total is an upper bound on the mean of ``-log p(x | y)``.
    """
    generator = torch.Generator().manual_seed(seed)
    terms = []
    for images, labels in loader:
        x, c = _to_model(model, images, labels, model.num_classes)  # (B, D), (B, C)
        noise = torch.randn(len(x), model.latent_size, generator=generator).to(x)  # (B, m)
        x_hat, mu, logvar = model(x, c, noise)
        terms.append(torch.stack(loss_terms(x_hat, x, mu, logvar)))  # (2, B)
    return _mean_loss(terms)


@torch.no_grad()
def log_likelihood(model, images, labels, *, num_samples=100, seed=0):
    """Estimate log p(x | y) by importance sampling from q(z | x, y).

    The estimate ``log 1/K sum_k p(x | z_k, y) p(z_k) / q(z_k | x, y)`` is on average the lower
    bound (14) for K = 1, rises with K, and tends to log p(x | y) (Burda, Grosse and
    Salakhutdinov, 2016, eq. 8).

    Parameters
    ----------
    model : CVAE
    images : float tensor, shape (B, ...), values in [0, 1]
    labels : integer tensor, shape (B,)
    num_samples : int
        K.
    seed : int
        Of the noise.

    Returns
    -------
    float tensor, shape (B,)
        In nats.
    """
    generator = torch.Generator().manual_seed(seed)
    x, c = _to_model(model, images, labels, model.num_classes)  # (B, D), (B, C)
    mu, logvar = model.recognition_model(x, c)
    log_weights = []
    for _ in range(_check_count("num_samples", num_samples)):
        noise = torch.randn(mu.shape, generator=generator).to(x)  # (B, m)
        z = model.reparametrize(mu, logvar, noise)
        reconstruction, _ = loss_terms(model.generative_model(z, c), x, mu, logvar)
        log_ratio = 0.5 * (noise**2 + logvar - z**2).sum(dim=1)  # log p(z) - log q(z | x, y)
        log_weights.append(log_ratio - reconstruction)  # (B,)
    return torch.stack(log_weights).logsumexp(dim=0) - math.log(num_samples)


@torch.no_grad()
def generate(model, labels, z=None, *, seed=0):
    """Return images x_hat of the given classes.

    Parameters
    ----------
    model : CVAE
    labels : integer array_like, shape (B,)
    z : float tensor, shape (B, m), optional
        Latent codes; drawn from the prior N(0, I) with `seed` if not given.
    seed : int

    Returns
    -------
    float tensor, shape (B, D), values in [0, 1]

    Raises
    ------
    TypeError, ValueError
        As `one_hot` does, and if `z` does not have shape (B, m).
    """
    weight = model.fc3.weight
    c = one_hot(labels, model.num_classes).to(weight)  # (B, C)
    if z is None:
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(len(c), model.latent_size, generator=generator)  # (B, m)
    return model.generative_model(torch.as_tensor(z).to(weight), c)


@torch.no_grad()
def reconstruct(model, images, labels):
    """Return x_hat (B, D) at the mean of q(z | x, y), for images and labels as `train` takes."""
    x, c = _to_model(model, images, labels, model.num_classes)  # (B, D), (B, C)
    mu, _ = model.recognition_model(x, c)
    return model.generative_model(mu, c)


def save(path, model, optimizer=None, *, epoch=0):
    """Write a checkpoint, all of it or nothing.

    Parameters
    ----------
    path : str or path-like
        Replaced in one step if it exists.
    model : CVAE
    optimizer : torch.optim.Optimizer, optional
        With it, training can resume. The state of PyTorch's default CPU generator is always kept,
        so that on the CPU it resumes bit for bit.
    epoch : int
        The number of epochs done.
    """
    path = Path(path)
    state = {"model": model.state_dict(), "epoch": epoch, "generator": torch.get_rng_state()}
    if optimizer is not None:
        state["optimizer"] = optimizer.state_dict()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path, model, optimizer=None):
    """Read a checkpoint of `save` into objects built as they were when it was written.

    Parameters
    ----------
    path : str or path-like
    model : CVAE
    optimizer : torch.optim.Optimizer, optional
        To resume training: then PyTorch's default generator is set back as well.

    Returns
    -------
    int
        The number of epochs done.

    Raises
    ------
    ValueError
        If the file is no checkpoint, does not fit the model, or lacks what is asked for.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights, epoch, generator = state["model"], state["epoch"], state["generator"]
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no checkpoint written by cvae.save: {error}") from error
    if optimizer is not None and "optimizer" not in state:
        raise ValueError(f"{path} holds no optimizer; give one to save, or none to load.")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path} is of another model: {error}") from error
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(generator)
    return epoch


def _exp(a, limit=50.0):
    """Return exp(a), continued beyond `limit` as its tangent: finite, and still increasing."""
    capped = a.clamp(max=limit)
    return torch.exp(capped) * (1 + a - capped)


def _rows(images):
    """Return images (B, ...) as (B, D)."""
    return images.flatten(1) if images.dim() > 1 else images


def _to_model(model, images, labels, num_classes):
    """Return checked x (B, D) and c (B, C) with the dtype and device of the model's weights."""
    images, weight = torch.as_tensor(images), model.fc1.weight
    c = one_hot(labels, num_classes)
    if len(c) != len(images):
        raise ValueError(f"images and labels must be equally many, got {len(images)} and {len(c)}.")
    return _rows(images).to(weight), c.to(weight)


def _mean_loss(terms):
    """Return the mean over images of a list of (2, B) tensors."""
    if not terms:
        raise ValueError("the loader is empty; it must yield at least one batch.")
    reconstruction, kl = torch.cat(terms, dim=1).cpu().double().mean(dim=1).tolist()
    return Loss(reconstruction + kl, reconstruction, kl)


def _check_unit(name, tensor, remedy):
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(tensor.shape)}); give at least one image.")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floats in [0, 1], got {tensor.dtype}; {remedy}.")
    low, high = torch.aminmax(tensor.detach())
    if not (low >= 0 and high <= 1):  # also when NaN
        raise ValueError(f"{name} must lie in [0, 1], got {low:g} to {high:g}; {remedy}.")


def _check_same_shape(name, tensor, other_name, other):
    if tensor.shape != other.shape:
        raise ValueError(
            f"{name} and {other_name} must have the same shape, "
            f"got {tuple(tensor.shape)} and {tuple(other.shape)}."
        )


def _check_matrix(name, tensor, width_name, width, rows=None):
    rows = len(tensor) if rows is None else rows
    if tensor.shape != (rows, width):
        raise ValueError(
            f"{name} must have shape ({rows}, {width}), since {width_name} is {width}, "
            f"got {tuple(tensor.shape)}."
        )
    return tensor


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    return int(value)
