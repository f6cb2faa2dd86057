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
The networks and the losses take tensors of floats, the other functions any array_like. TypeError
means the wrong kind; ValueError a wrong shape, NaN, an infinity or a pixel outside [0, 1].
"""

import math
import os
import sys
from numbers import Integral, Real
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
    input_size, latent_size, num_classes, hidden_units : int
        D, m, C and H.
    """

    def __init__(self, *, input_size, latent_size, num_classes, hidden_units=400):
        super().__init__()
        input_size = self.input_size = _check_positive("input_size", input_size)
        latent_size = self.latent_size = _check_positive("latent_size", latent_size)
        num_classes = self.num_classes = _check_positive("num_classes", num_classes)
        hidden_units = _check_positive("hidden_units", hidden_units)
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
        x : float tensor, shape (B, ...) with D pixels an image, values in [0, 1]
        c : float tensor, shape (B, C), one-hot

        Returns
        -------
        mu, logvar : float tensors, shape (B, m)
        """
        x = _check("x", x, ("B", self.input_size), self.fc1.weight, unit=True)  # (B, D)
        c = _check("c", c, (len(x), self.num_classes)).to(x)
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
        """
        mu = _check("mu", mu, ("B", self.latent_size))
        return self._sample(mu, _check("logvar", logvar, mu.shape), noise)

    def _sample(self, mu, logvar, noise):
        noise = torch.randn_like(mu) if noise is None else _check("noise", noise, mu.shape)
        return mu + _exp(0.5 * logvar) * noise  # (B, m)

    def generative_model(self, z, c):
        """Return x_hat, the mean of p(x | z, y): each pixel's probability of being on.

        Parameters
        ----------
        z : float tensor, shape (B, m)
        c : float tensor, shape (B, C), one-hot

        Returns
        -------
        float tensor, shape (B, D), values in [0, 1]
        """
        z = _check("z", z, ("B", self.latent_size), self.fc3.weight)
        return self._decode(z, _check("c", c, (len(z), self.num_classes)).to(z))

    def _decode(self, z, c):
        h = F.relu(self.fc3(torch.cat([z, c], dim=1)))  # (B, H)
        h = F.relu(self.fc4(h))  # (B, H)
        return torch.sigmoid(self.fcout(h))  # (B, D)

    generation_model = generative_model

    def forward(self, x, c, noise=None):
        """Encode, sample, decode: return x_hat (B, D), mu (B, m) and logvar (B, m)."""
        mu, logvar = self.recognition_model(x, c)
        return self._decode(self._sample(mu, logvar, noise), c), mu, logvar


def loss_terms(x_hat, x, mu, logvar):
    """Return the two terms of the negative lower bound (14), image by image.

    Parameters
    ----------
    x_hat, x : float tensors, shape (B, D) or (B, ...), values in [0, 1]
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
    """
    x = _check("x", x, ("B", "D"), unit=True)
    mu = _check("mu", mu, (len(x), "m"))
    return _loss_terms(x_hat, x, mu, _check("logvar", logvar, mu.shape))


def _loss_terms(x_hat, x, mu, logvar):
    # Training that diverges ends here: on a GPU, PyTorch would take the process down for NaN.
    x_hat = _check("x_hat", x_hat, x.shape, x, unit=True)
    reconstruction = F.binary_cross_entropy(x_hat, x, reduction="none").sum(dim=1)
    kl = 0.5 * (mu**2 + _exp(logvar) - 1 - logvar).sum(dim=1)  # eq. (15)
    return reconstruction, kl


def loss_function(x_hat, x, mu, logvar):
    """Return the negative of the lower bound (14), averaged over the batch.

    Takes the arguments of `loss_terms`, whose mean sum this is. Returns a tensor of shape (), in
    nats an image, with one sample of z in place of the expectation.
    """
    reconstruction, kl = loss_terms(x_hat, x, mu, logvar)
    return (reconstruction + kl).mean()


def one_hot(labels, num_classes):
    """Return one-hot rows for integer labels.

    Parameters
    ----------
    labels : integer array_like, shape (B,), each in 0 .. C - 1
    num_classes : int
        C.

    Returns
    -------
    float32 tensor, shape (B, C), on the labels' device
    """
    labels, num_classes = _labels(labels), _check_positive("num_classes", num_classes)
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        wanted = f"0 .. {num_classes - 1}, got {outside[0]}"
        raise ValueError(f"labels must lie in {wanted}; correct it or raise num_classes.")
    return F.one_hot(labels, num_classes).float()  # (B, C)


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
    """

    def __init__(self, images, labels, batch_size, *, shuffle=False):
        self.images, self.labels = _pair(images, labels)
        self.batch_size, self.shuffle = _check_positive("batch_size", batch_size), shuffle

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
    label_scale : float, above 0
    """
    label_scale = _check_positive("label_scale", label_scale, Real)
    images = _check_shape("images", _rows(_tensor("images", images)), ("N", model.input_size))
    mean = images.mean(dim=0, dtype=torch.float32)  # (D,)
    mean = mean / 255 if images.dtype == torch.uint8 else mean
    _check("the mean of images", mean, ("D",), unit=True)
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
        The number of this pass, for messages.
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
    ValueError
        Also if the loader is empty, there is no CUDA device, or the loss is no longer finite.
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
        reconstruction, kl = _loss_terms(x_hat, x, mu, logvar)  # (B,), (B,)
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
    images, labels : array_like, as for `BatchLoader`
    num_epochs, batch_size : int
    learning_rate : float, above 0
    verbose : bool
        Print one line for each epoch.
    callback : callable, optional
        Called after each epoch as ``callback(epoch, loss)``, with epochs counted from 1.

    Returns
    -------
    list of Loss
        One for each epoch.
    """
    num_epochs = _check_positive("num_epochs", num_epochs)
    learning_rate = _check_positive("learning_rate", learning_rate, Real)
    loader = BatchLoader(images, labels, batch_size, shuffle=True)
    initialise(model, images)
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
        terms.append(torch.stack(_loss_terms(x_hat, x, mu, logvar)))  # (2, B)
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
    images, labels : array_like, as for `train`
    num_samples : int
        K.
    seed : int

    Returns
    -------
    float tensor, shape (B,), in nats
    """
    generator = torch.Generator().manual_seed(seed)
    x, c = _to_model(model, images, labels, model.num_classes)  # (B, D), (B, C)
    mu, logvar = model.recognition_model(x, c)
    log_weights = []
    for _ in range(_check_positive("num_samples", num_samples)):
        noise = torch.randn(mu.shape, generator=generator).to(x)  # (B, m)
        z = mu + _exp(0.5 * logvar) * noise  # (B, m)
        reconstruction, _ = _loss_terms(model._decode(z, c), x, mu, logvar)
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
    z : array_like, shape (B, m), optional
        Latent codes; drawn from the prior N(0, I) with `seed` if not given.
    seed : int

    Returns
    -------
    float tensor, shape (B, D), values in [0, 1]
    """
    weight = model.fc3.weight
    c = one_hot(labels, model.num_classes).to(weight)  # (B, C)
    if z is None:
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(len(c), model.latent_size, generator=generator)  # (B, m)
    z = _check("z", _tensor("z", z).to(weight), (len(c), model.latent_size))
    return model._decode(z, c)


@torch.no_grad()
def reconstruct(model, images, labels):
    """Return x_hat (B, D) at the mean of q(z | x, y), for images and labels as `train` takes."""
    x, c = _to_model(model, images, labels, model.num_classes)  # (B, D), (B, C)
    mu, _ = model.recognition_model(x, c)
    return model._decode(mu, c)


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
    shapes, ours = ({k: v.shape for k, v in s.items()} for s in (weights, model.state_dict()))
    if shapes != ours:
        wrong = sorted(set(shapes.items()) ^ set(ours.items()))[0][0]
        raise ValueError(f"{path} is of another model: {wrong} differs.")
    if optimizer is not None:  # refuses, if it does, before anything is changed
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(generator)
    model.load_state_dict(weights)
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
    weight = model.fc1.weight
    images, labels = _pair(images, labels)
    x = _check("images", images.to(weight.dtype), ("B", model.input_size), unit=True)  # (B, D)
    return x.to(weight), one_hot(labels, num_classes).to(weight)


def _mean_loss(terms):
    """Return the mean over images of a list of (2, B) tensors."""
    if not terms:
        raise ValueError("the loader is empty; it must yield at least one batch.")
    reconstruction, kl = torch.cat(terms, dim=1).cpu().double().mean(dim=1).tolist()
    return Loss(reconstruction + kl, reconstruction, kl)


def _tensor(name, value):
    """Return an array_like of real numbers as a tensor."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor or an array of numbers: {error}") from error
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}; convert it first.")
    return tensor


def _labels(labels):
    """Return checked labels (B,) as int64."""
    labels = _check_shape("labels", _tensor("labels", labels), ("B",))
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels must hold integers, got {labels.dtype}; convert them first.")
    return labels.long()


def _pair(images, labels):
    """Return images (B, ...) and labels (B,) as tensors, equally many."""
    images, labels = _tensor("images", images), _labels(labels)
    if images.shape[:1] != labels.shape:
        shapes = f"shapes {tuple(images.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"images and labels must be equally many, got {shapes}.")
    return images, labels


def _check(name, tensor, shape, like=None, *, unit=False):
    """Return a tensor of finite floats; if `unit`, of pixels in [0, 1], an image a row."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}; convert it.")
    if not tensor.is_floating_point():
        remedy = "divide 8-bit images by 255" if unit else "convert it with .float()"
        raise TypeError(f"{name} must hold floats, got {tensor.dtype}; {remedy}.")
    if like is not None and (tensor.dtype, tensor.device) != (like.dtype, like.device):
        wanted, got = (f"{t.dtype} on {t.device}" for t in (like, tensor))
        raise TypeError(f"{name} must be {wanted}, got {got}; convert it with .to().")
    tensor = _check_shape(name, _rows(tensor) if unit else tensor, shape)
    low, high = torch.stack(torch.aminmax(tensor.detach())).tolist()  # one wait for the device
    limits = (0, 1) if unit else (-sys.float_info.max, sys.float_info.max)
    if not limits[0] <= low <= high <= limits[1]:  # also when NaN
        wanted = "lie in [0, 1]" if unit else "be finite"
        remedy = "if training gave it, lower the learning rate"
        if unit and high < math.inf:
            remedy = "divide 8-bit images by 255"
        raise ValueError(f"{name} must {wanted}, got {low:g} to {high:g}; {remedy}.")
    return tensor


def _check_shape(name, tensor, shape):
    """Return the tensor if it has this shape, in which a letter stands for any length above 0."""
    fits = [isinstance(n, str) or n == k for n, k in zip(shape, tensor.shape, strict=False)]
    if len(shape) != tensor.dim() or not all(fits):
        wanted = str(tuple(shape)).replace("'", "")
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(tensor.shape)}.")
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(tensor.shape)}); give at least one row.")
    return tensor


def _check_positive(name, value, kind=Integral):
    """Return a size as an int, or for ``kind=Real`` a number as a float."""
    if isinstance(value, bool) or not isinstance(value, kind):
        noun = "an integer" if kind is Integral else "a number"
        raise TypeError(f"{name} must be {noun}, got {value!r}.")
    if not 0 < value < math.inf:
        bound = "at least 1" if kind is Integral else "above 0 and finite"
        raise ValueError(f"{name} must be {bound}, got {value}.")
    return int(value) if kind is Integral else float(value)
