"""Conditional variational autoencoder (CVAE): images x given a class label y and a latent code z.

Two networks share one objective, the evidence lower bound (Kingma and Welling, 2014; Sohn, Lee
and Yan, 2015):

    log p(x | y) >= E_{q(z | x, y)}[log p(x | z, y)] - KL(q(z | x, y) || p(z | y))         (14)
    KL = -1/2 sum_j (1 + logvar_j - mu_j^2 - exp(logvar_j))                                (15)

    recognition   q(z | x, y) = N(mu, diag(exp(logvar)))      fc1, fc2, fc_mu, fc_logvar
    generation    p(x | z, y) = Bernoulli(x_hat) a pixel      fc3, fc4, fcout
    prior         p(z | y)    = N(0, I)

Every loss is in nats an image: summed over pixels and latent dimensions, averaged over images.
B is the batch size, D the pixels of an image, m the latent dimensions, C the classes, H the hidden
units. The networks and the losses take tensors of floats. The other functions take any array_like:
`images` (B, ...) of D floats in [0, 1], `labels` (B,) of integers in 0 .. C - 1. A loader yields
pairs of these. Results are on the device of the model's parameters. Training draws from PyTorch's
default generator, so ``torch.manual_seed`` makes a run repeatable; a `seed` gives the same noise on
every device and leaves that generator alone. TypeError means the wrong kind; ValueError a wrong
shape, NaN, an infinity, a pixel outside [0, 1], or training that diverges.
"""

import copy
import inspect
import io
import math
import os
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.optim import Optimizer


class CVAE(nn.Module):
    """Conditional variational autoencoder with two hidden layers each way.

    Its methods take float tensors of the weights' dtype, on their device: images x (B, ...) of D
    pixels in [0, 1], one-hot labels c (B, C), and codes z, means mu, log-variances logvar and
    standard normal noise (B, m). Without noise, it is drawn.

    Parameters
    ----------
    input_size, latent_size, num_classes, hidden_units : int
        D, m, C and H.
    """

    def __init__(
        self, *, input_size: int, latent_size: int, num_classes: int, hidden_units: int = 400
    ) -> None:
        super().__init__()
        D = self.input_size = _check_count("input_size", input_size, 1)
        m = self.latent_size = _check_count("latent_size", latent_size, 1)
        C = self.num_classes = _check_count("num_classes", num_classes, 1)
        H = _check_count("hidden_units", hidden_units, 1)
        self.epochs = 0  # passes over training data that the weights have seen
        self.fc1 = nn.Linear(D + C, H)
        self.fc2 = nn.Linear(H, H)
        self.fc_mu = nn.Linear(H, m)
        self.fc_logvar = nn.Linear(H, m)
        self.fc3 = nn.Linear(m + C, H)
        self.fc4 = nn.Linear(H, H)
        self.fcout = nn.Linear(H, D)

    def recognition_model(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of q(z | x, y), both (B, m)."""
        x = _check("x", x, ("B", self.input_size), self.fc1.weight, unit=True)  # (B, D)
        c = _check("c", c, (len(x), self.num_classes))  # (B, C)
        h = F.relu(self.fc1(torch.cat([x, c.to(x)], dim=1)))  # (B, H)
        h = F.relu(self.fc2(h))  # (B, H)
        return self.fc_mu(h), self.fc_logvar(h)  # (B, m), (B, m)

    def reparametrize(self, mu: Tensor, logvar: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return a sample z = mu + sigma * noise (B, m), differentiable in `mu` and `logvar`."""
        mu = _check("mu", mu, ("B", self.latent_size))
        return self._sample(mu, _check("logvar", logvar, mu.shape), noise)

    def _sample(self, mu: Tensor, logvar: Tensor, noise: Tensor | None) -> Tensor:
        noise = torch.randn_like(mu) if noise is None else _check("noise", noise, mu.shape)
        return mu + _exp(0.5 * logvar) * noise  # (B, m)

    def generative_model(self, z: Tensor, c: Tensor) -> Tensor:
        """Return x_hat (B, D), the mean of p(x | z, y): each pixel's probability of being on."""
        z = _check("z", z, ("B", self.latent_size), self.fc3.weight)
        return self._decode(z, _check("c", c, (len(z), self.num_classes)))

    def _decode(self, z: Tensor, c: Tensor) -> Tensor:
        h = F.relu(self.fc3(torch.cat([z, c.to(z)], dim=1)))  # (B, H)
        h = F.relu(self.fc4(h))  # (B, H)
        return torch.sigmoid(self.fcout(h))  # (B, D)

    generation_model = generative_model  # the course's name

    def forward(self, x: Tensor, c: Tensor, noise: Tensor | None = None) -> tuple[Tensor, ...]:
        """Encode, sample, decode: return x_hat (B, D), mu (B, m) and logvar (B, m)."""
        mu, logvar = self.recognition_model(x, c)
        z = self._sample(mu, logvar, noise)  # (B, m)
        return self._decode(z, c), mu, logvar


def loss_function(x_hat: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Return the negative lower bound (14) of a batch, the mean sum of `loss_terms`: shape ()."""
    reconstruction, kl = loss_terms(x_hat, x, mu, logvar)  # (B,), (B,)
    return (reconstruction + kl).mean()


def loss_terms(x_hat: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two terms of the negative lower bound (14), image by image, with one z for each.

    Parameters
    ----------
    x_hat, x : float tensors, shape (B, D) or (B, ...), values in [0, 1]
        The decoder's means and the images; a grey pixel counts as a probability of being on.
    mu, logvar : float tensors, shape (B, m)

    Returns
    -------
    reconstruction, kl : float tensors, shape (B,)
        The cross-entropy ``-log p(x | z, y)`` and ``KL(q || N(0, I))``, finite where they would
        overflow: PyTorch cuts each logarithm off at -100, and `_exp` bends the exponential.
    """
    x = _check("x", x, ("B", "D"), unit=True)
    mu = _check("mu", mu, (len(x), "m"))
    logvar = _check("logvar", logvar, mu.shape)
    reconstruction, kl = _loss_terms(x_hat, x, mu, logvar)
    if x.requires_grad and not x_hat.requires_grad:
        raise ValueError("x needs a gradient and x_hat does not; pass x_hat first, then x.")
    return reconstruction, kl


def _loss_terms(x_hat: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    # Training that diverges may end here: on a GPU, PyTorch would take the process down for NaN.
    x_hat = _check("x_hat", x_hat, x.shape, x, unit=True)  # (B, D)
    reconstruction = F.binary_cross_entropy(x_hat, x, reduction="none").sum(dim=1)  # (B,)
    kl = -0.5 * (1 + logvar - mu**2 - _exp(logvar)).sum(dim=1)  # (B,), eq. (15)
    return reconstruction, kl


def _exp(a: Tensor, limit: float = 50.0) -> Tensor:
    """Return exp(a), continued beyond `limit` as its tangent: finite, and still increasing."""
    capped = a.clamp(max=limit)
    return torch.exp(capped) * (1 + a - capped)


class Loss(NamedTuple):
    """Mean of the negative lower bound and of its two terms, in nats an image."""

    total: float
    reconstruction: float
    kl: float


def train(
    epoch: int,
    model: CVAE,
    train_loader: Iterable,
    optimizer: Optimizer,
    num_classes: int,
    use_cuda: bool = False,
) -> Loss:
    """Make one pass over the training data; print and return its mean loss while it ran.

    Parameters
    ----------
    epoch : int
        The number of this pass, for messages.
    model : CVAE
        Changed in place; moved to the CUDA device first if `use_cuda`.
    train_loader : iterable of (images, labels)
    optimizer : torch.optim.Optimizer
        Of the model's parameters, or of some of them.
    num_classes, use_cuda : int and bool
    """
    _check_model(model)
    if _check_count("num_classes", num_classes, 1) != model.num_classes:
        raise ValueError(f"num_classes must be the model's {model.num_classes}, got {num_classes}.")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be one of torch.optim, got {type(optimizer).__name__}.")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if held.isdisjoint(map(id, model.parameters())):
        raise ValueError("optimizer holds no parameter of model; make it from model.parameters().")
    model.to(to_var(model.fc1.bias, use_cuda).device)
    loss = _train(epoch, model, train_loader, optimizer)
    print(f"epoch {epoch}: mean loss {loss.total:.2f} nats an image")
    return loss


def _train(epoch: int, model: CVAE, loader: Iterable, optimizer: Optimizer) -> Loss:
    model.train()
    terms = []
    for x, c in _batches(model, loader):  # (b, D), (b, C)
        x_hat, mu, logvar = model(x, c)  # (b, D), (b, m), (b, m)
        reconstruction, kl = _loss_terms(x_hat, x, mu, logvar)  # (b,), (b,)
        optimizer.zero_grad()
        (reconstruction + kl).mean().backward()
        optimizer.step()
        terms.append(torch.stack([reconstruction, kl]).detach())  # (2, b)
    loss = _mean_loss(terms)
    # No reconstruction costs more than 100 nats a pixel: far above that the KL has exploded.
    if not loss.total <= 100 * (model.input_size + model.latent_size):  # also when NaN
        wanted = "training diverges; lower the learning rate"
        raise ValueError(f"the mean loss became {loss.total:.3g} in epoch {epoch}: {wanted}.")
    model.epochs += 1
    return loss


def _mean_loss(terms: list[Tensor]) -> Loss:
    """Return the mean over images of a list of (2, b) tensors."""
    if not terms:
        raise ValueError("the loader is empty, or used up; it must yield at least one batch.")
    reconstruction, kl = torch.cat(terms, dim=1).cpu().double().mean(dim=1).tolist()
    return Loss(reconstruction + kl, reconstruction, kl)


def to_var(x: Tensor, use_cuda: bool) -> Tensor:
    """Return the tensor, moved to the CUDA device if `use_cuda`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor, got {type(x).__name__}; pass torch.as_tensor(x).")
    if use_cuda and not torch.cuda.is_available():
        raise ValueError(f"use_cuda is {use_cuda!r}, but there is no CUDA device; pass False.")
    return x.cuda() if use_cuda else x


def one_hot(labels: ArrayLike, num_classes: int, use_cuda: bool = False) -> Tensor:
    """Return one-hot rows, float32 (B, C), of integer labels (B,) in 0 .. C - 1, as `to_var`."""
    labels = _labels(labels, _check_count("num_classes", num_classes, 1))  # (B,)
    return to_var(F.one_hot(labels, num_classes).float(), use_cuda)  # (B, C)


def fit(
    model: CVAE,
    images: ArrayLike,
    labels: ArrayLike,
    *,
    num_epochs: int,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    verbose: bool = False,
    callback: Callable[[int, float, CVAE], object] | None = None,
) -> list[Loss]:
    """Train a new model by the recipe that this module recommends; return each epoch's loss.

    `initialise`, then passes like those of `train`, with Adam on shuffled batches. The learning
    rate rises for three epochs and falls linearly.

    Parameters
    ----------
    model : CVAE
        Changed in place. One that was trained already is refused; `train` goes on with it.
    images, labels : array_like, as for `BatchLoader`
    num_epochs, batch_size, learning_rate : int, int and float, above 0
    verbose : bool
        Print one line for each epoch.
    callback : callable, optional
        Called after each epoch as ``callback(iteration, objective, model)``: the epoch, from 0,
        its mean loss while it ran, and the model. Returning True stops.
    """
    _check_model(model)
    num_epochs = _check_count("num_epochs", num_epochs, 1)
    learning_rate = _check_rate("learning_rate", learning_rate)
    _check_callback(callback)
    loader = BatchLoader(images, _labels(labels, model.num_classes), batch_size, shuffle=True)
    if model.epochs:
        raise ValueError(f"model had {model.epochs} epochs; go on with train, or fit a new CVAE.")
    initialise(model, loader.images)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses: list[Loss] = []
    for iteration in range(num_epochs):
        warm_up, decay = min((iteration + 1) / 3, 1), 1 - iteration / num_epochs
        optimizer.param_groups[0]["lr"] = learning_rate * warm_up * decay
        losses.append(_train(iteration, model, loader, optimizer))
        objective = losses[-1].total
        if verbose:
            print(f"iteration {iteration}: mean loss {objective:.2f} nats an image")
        if callback is not None and callback(iteration, objective, model):
            break
    return losses


@torch.no_grad()
def evaluate(model: CVAE, loader: Iterable, *, seed: int = 0) -> Loss:
    """Return the mean negative lower bound (14), on average above that of ``-log p(x | y)``."""
    generator = torch.Generator().manual_seed(_check_count("seed", seed))
    terms = []
    for x, c in _batches(model, loader):  # (b, D), (b, C)
        noise = torch.randn(len(x), model.latent_size, generator=generator).to(x)  # (b, m)
        x_hat, mu, logvar = model(x, c, noise)  # (b, D), (b, m), (b, m)
        terms.append(torch.stack(_loss_terms(x_hat, x, mu, logvar)))  # (2, b)
    return _mean_loss(terms)


@torch.no_grad()
def generate(
    model: CVAE, labels: ArrayLike, z: ArrayLike | None = None, *, seed: int = 0
) -> Tensor:
    """Return images x_hat (B, D) of the given classes, for codes z (B, m), drawn if not given."""
    _check_model(model)
    c = one_hot(labels, model.num_classes).to(model.fc3.weight)  # (B, C)
    if z is None:
        generator = torch.Generator().manual_seed(_check_count("seed", seed))
        z = torch.randn(len(c), model.latent_size, generator=generator)  # (B, m)
    return model._decode(_check("z", _tensor("z", z).to(c), (len(c), model.latent_size)), c)


@torch.no_grad()
def reconstruct(model: CVAE, images: ArrayLike, labels: ArrayLike) -> Tensor:
    """Return x_hat (B, D) at the mean of q(z | x, y)."""
    x, c = _to_model(model, images, labels)  # (B, D), (B, C)
    mu, _ = model.recognition_model(x, c)  # (B, m)
    return model._decode(mu, c)


@torch.no_grad()
def log_likelihood(
    model: CVAE, images: ArrayLike, labels: ArrayLike, *, num_samples: int = 100, seed: int = 0
) -> Tensor:
    """Estimate log p(x | y) by importance sampling from q(z | x, y): (B,), in nats.

    The estimate ``log 1/K sum_k p(x | z_k, y) p(z_k) / q(z_k | x, y)`` is on average the lower
    bound (14) for K = `num_samples` = 1, rises with K, and tends to log p(x | y) (Burda, Grosse
    and Salakhutdinov, 2016, eq. 8).
    """
    num_samples = _check_count("num_samples", num_samples, 1)
    generator = torch.Generator().manual_seed(_check_count("seed", seed))
    x, c = _to_model(model, images, labels)  # (B, D), (B, C)
    mu, logvar = model.recognition_model(x, c)  # (B, m), (B, m)
    log_weights = []
    for _ in range(num_samples):
        noise = torch.randn(mu.shape, generator=generator).to(x)  # (B, m)
        z = mu + _exp(0.5 * logvar) * noise  # (B, m)
        reconstruction, _ = _loss_terms(model._decode(z, c), x, mu, logvar)  # (B,)
        log_ratio = 0.5 * (noise**2 + logvar - z**2).sum(dim=1)  # log p(z) - log q(z | x, y)
        log_weights.append(log_ratio - reconstruction)  # (B,)
    return torch.stack(log_weights).logsumexp(dim=0) - math.log(num_samples)


def save(
    path: str | os.PathLike, model: CVAE, optimizer: Optimizer | None = None, *, epoch: int = 0
) -> None:
    """Write a checkpoint, all of it or nothing. A file that is there is replaced in one step.

    With an optimizer, training can resume; on the CPU bit for bit, since the state of PyTorch's
    default generator is kept. `epoch` is the number of epochs done; if 0, the model's own count.
    """
    _check_model(model)
    epoch = _check_count("epoch", epoch) or model.epochs
    state = {"model": model.state_dict(), "epoch": epoch, "generator": torch.get_rng_state()}
    if optimizer is not None:
        state["optimizer"] = optimizer.state_dict()
    temporary = Path(path).with_name(f".{uuid.uuid4().hex}.tmp")  # another one for each call
    try:
        with open(temporary, "xb") as file:
            torch.save(state, file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | os.PathLike, model: CVAE, optimizer: Optimizer | None = None) -> int:
    """Read a checkpoint of `save` into a model built like the saved one; return the epochs done.

    With an optimizer, built likewise, training can resume: PyTorch's default generator is set back
    as well. If the file is damaged or is of other objects, nothing is changed.
    """
    _check_model(model)
    content, whole = io.BytesIO(Path(path).read_bytes()), io.BytesIO()
    trial, stepper = copy.deepcopy((model, optimizer))
    try:  # all of it, first on copies
        with zipfile.ZipFile(content) as archive, zipfile.ZipFile(whole, "w") as checked:
            for name in archive.namelist():
                checked.writestr(name, archive.read(name))  # its checksum is looked at here only
        whole.seek(0)
        state = torch.load(whole, map_location="cpu", weights_only=True)
        epoch = _check_count("epoch", state["epoch"])
        torch.Generator().set_state(state["generator"])
        trial.load_state_dict(state["model"])
        if stepper is not None:
            if "optimizer" not in state:
                raise ValueError("it holds no optimizer; give one to save, or none to load")
            stepper.load_state_dict(copy.deepcopy(state["optimizer"]))
            for parameter in trial.parameters():
                parameter.grad = torch.zeros_like(parameter)
            stepper.step()  # fails on the moments of another kind of optimizer
    except Exception as error:  # a damaged file fails in many ways
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is damaged, or of another kind of model: {reason}.") from error
    model.load_state_dict(state["model"])
    model.epochs = epoch
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])
    return epoch


def hello() -> None:
    """Print a greeting that shows the module was found and imported."""
    print("Hello from cvae.py!")


# -- What makes it fast ----------------------------------------------------------------------------


class BatchLoader:
    """Mini-batches of images held in memory, cut without a Python step for each image.

    Iterating yields images, float (b, D) in [0, 1], with labels (b,). The last b may be smaller.

    Parameters
    ----------
    images : uint8 array_like, shape (N, ...), or float in [0, 1]
        uint8 stays so in memory, and each batch is divided by 255 to float32.
    labels, batch_size : integer array_like, shape (N,), and int
    shuffle : bool
        Draw a new order for each pass.
    """

    def __init__(
        self, images: ArrayLike, labels: ArrayLike, batch_size: int, *, shuffle: bool = False
    ) -> None:
        self.images = _rows(images)  # (N, D)
        self.labels = _labels(labels, images=self.images)  # (N,)
        self.batch_size, self.shuffle = _check_count("batch_size", batch_size, 1), shuffle
        if self.images.dtype == torch.uint8 and self.images.max() == 1:
            raise ValueError("images hold 1 of 255 at most; convert zeros and ones to float.")

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        N = len(self.images)
        order = torch.randperm(N) if self.shuffle else torch.arange(N)  # (N,)
        for rows in order.split(self.batch_size):
            images = self.images[rows]  # (b, D)
            yield images / 255 if images.dtype == torch.uint8 else images, self.labels[rows]


@torch.no_grad()
def initialise(model: CVAE, images: ArrayLike, *, label_scale: float = 1.5) -> None:
    """Set a model's weights anew for images as in `BatchLoader`, better than PyTorch does.

    1. Weights are normal with variance 2 / fan_in and biases 0 (He et al., 2015).
    2. Weights on the label have standard deviation `label_scale` instead, louder than z. So no
       part of the class goes into z, where a z drawn from the prior could contradict the label.
    3. The output layer has weights 0 and as its bias the log-odds of the mean image, so that no
       steps go into learning that borders are black.
    """
    _check_model(model)
    label_scale = _check_rate("label_scale", label_scale)
    pixels = _rows(images, model.input_size)  # (N, D)
    most = 255 if pixels.dtype == torch.uint8 else 1
    mean = pixels.mean(dim=0, dtype=torch.float32) / most  # (D,)
    _check("the mean of images", mean, ("D",), unit=True)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)
    for layer in (model.fc1, model.fc3):
        layer.weight[:, -model.num_classes :].normal_(0, label_scale)
    nn.init.zeros_(model.fcout.weight)
    model.fcout.bias.copy_(torch.logit(mean.clamp(0.001, 0.999)))
    model.epochs = 0


# -- Checks ----------------------------------------------------------------------------------------


def _batches(model: CVAE, loader: Iterable) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each pair of a loader as `_to_model` returns it."""
    if not isinstance(loader, Iterable):  # a Dataset is none
        raise TypeError(f"the loader must yield batches, got {type(loader)}; use a DataLoader.")
    for batch in loader:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise TypeError(f"the loader must yield pairs (images, labels), got {type(batch)}.")
        yield _to_model(model, *batch)


def _to_model(model: CVAE, images: ArrayLike, labels: ArrayLike) -> tuple[Tensor, Tensor]:
    """Return checked x (B, D) and c (B, C) with the dtype and device of the model's weights."""
    _check_model(model)
    weight = model.fc1.weight
    x = _check("images", _rows(images, model.input_size).to(weight.dtype), ("B", "D"), unit=True)
    c = F.one_hot(_labels(labels, model.num_classes, x), model.num_classes)  # (B, C)
    return x.to(weight), c.to(weight)


def _rows(images: ArrayLike, D: int | str = "D") -> Tensor:
    """Return images (B, ...) as (B, D)."""
    tensor = _tensor("images", images)
    return _check_shape("images", tensor.flatten(1) if tensor.dim() > 1 else tensor, ("B", D))


def _labels(labels: ArrayLike, C: int | None = None, images: Tensor | None = None) -> Tensor:
    """Return checked labels (B,) as int64: in 0 .. C - 1, and as many as there are images."""
    numbers = _check_shape("labels", _tensor("labels", labels), ("B",), ", a class number each")
    if numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise TypeError(f"labels must hold integers, got {numbers.dtype}; convert them first.")
    numbers = numbers.long()
    if images is not None and len(images) != len(numbers):
        shapes = f"{tuple(images.shape)} and {tuple(numbers.shape)}"
        raise ValueError(f"images and labels must be equally many, got shapes {shapes}.")
    if C is not None and len(outside := numbers[(numbers < 0) | (numbers >= C)]):
        wanted = f"0 .. {C - 1}, got {outside[0]}"
        raise ValueError(f"labels must lie in {wanted}; count from 0, or raise num_classes.")
    return numbers


def _tensor(name: str, value: ArrayLike) -> Tensor:
    """Return an array_like of real numbers as a tensor."""
    try:
        if np.ma.isMaskedArray(value):
            raise ValueError("its mask would be lost; fill it")
        if hasattr(value, "__array__") and not isinstance(value, Tensor):
            array = np.asarray(value)
            # PyTorch takes no reversed or byte-swapped array, and warns of one that is read-only.
            value = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or an array of numbers: {error}") from error
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}; convert it first.")
    return tensor


def _check(
    name: str, tensor: Tensor, shape: Sequence, like: Tensor | None = None, *, unit: bool = False
) -> Tensor:
    """Return a tensor of finite floats; if `unit`, of pixels in [0, 1], an image a row."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}; convert it.")
    if not tensor.is_floating_point():
        remedy = "divide 8-bit images by 255" if unit else "use .float(), for labels one_hot"
        raise TypeError(f"{name} must hold floats, got {tensor.dtype}; {remedy}.")
    if like is not None and (tensor.dtype, tensor.device) != (like.dtype, like.device):
        wanted, got = (f"{t.dtype} on {t.device}" for t in (like, tensor))
        raise TypeError(f"{name} must be {wanted}, got {got}; convert it with .to().")
    tensor = _check_shape(name, tensor.flatten(1) if unit and tensor.dim() > 1 else tensor, shape)
    low, high = torch.stack(torch.aminmax(tensor.detach())).tolist()  # one wait for the device
    limits = (0, 1) if unit else (-sys.float_info.max, sys.float_info.max)
    if not limits[0] <= low <= high <= limits[1]:  # also when NaN
        wanted = "lie in [0, 1]" if unit else "be finite"
        remedy = "replace such values; if training gave them, lower the learning rate"
        if unit and high < math.inf:
            remedy = "divide 8-bit images by 255, undo other scalings, pass logits to a sigmoid"
        raise ValueError(f"{name} must {wanted}, got {low:g} to {high:g}; {remedy}.")
    return tensor


def _check_shape(name: str, tensor: Tensor, shape: Sequence, what: str = "") -> Tensor:
    """Return the tensor if it has this shape, in which a letter stands for any length above 0."""
    fits = [isinstance(n, str) or n == k for n, k in zip(shape, tensor.shape, strict=False)]
    if len(shape) != tensor.dim() or not all(fits):
        wanted = str(tuple(shape)).replace("'", "") + what
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(tensor.shape)}.")
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(tensor.shape)}); give at least one row.")
    return tensor


def _check_model(model: CVAE) -> None:
    """Refuse what is no model of this module."""
    if not isinstance(getattr(model, "fc_mu", None), nn.Module):
        raise TypeError(f"model must be a CVAE, got {type(model).__name__}; make one first.")


def _check_rate(name: str, value: float) -> float:
    """Return the value as a finite float above 0."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value}.")
    return float(value)


def _check_count(name: str, value: int, minimum: int = 0) -> int:
    """Return the value as an int of at least the minimum."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}.")
    return int(value)


def _check_callback(callback: Callable | None) -> None:
    """Refuse a callback that cannot be called with three arguments."""
    try:
        if callback is not None:
            inspect.signature(callback).bind(0, 0.0, None)
    except ValueError:  # a built-in that does not tell its signature
        pass
    except TypeError as error:
        raise TypeError(f"callback must take (iteration, objective, state): {error}.") from None
