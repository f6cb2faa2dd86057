"""Conditional variational autoencoder, problem 5(c): images x of a class y, from a code z.

    recognition  q(z | x, y) = N(mu, diag(sigma^2)),  sigma = exp(logvar / 2)
    generation   p(x | z, y) = Bernoulli(x_hat), pixel by pixel
    prior        p(z | y) = N(0, I)
    log p(x | y) >= E_q[log p(x | z, y)] - KL(q(z | x, y) || p(z | y))                     (14)

B is the number of images in a batch, D of pixels in an image, m of entries of z, C of classes. (The
problem set's (14) has the divergence from p(z | x, y) by mistake; 5(b) has the right one.)
"""

import torch
import torch.nn.functional as F
from torch import nn


class CVAE(nn.Module):
    """The network: an image and its class to a code, and a code and a class to an image.

    Parameters
    ----------
    input_size, latent_size, num_classes, hidden_units : int
        D, m, C, and the width of a hidden layer.
    """

    def __init__(self, *, input_size, latent_size, num_classes, hidden_units=400):
        super().__init__()
        raise NotImplementedError("TODO: make the layers; which ones is up to you")

    def recognition_model(self, x, c):
        """Return the mean and the logarithm of the variance of q(z | x, y).

        Parameters
        ----------
        x : tensor, shape (B, D) or (B, 1, 28, 28)
            Images, in [0, 1].
        c : tensor, shape (B, C)
            Their classes, one-hot.

        Returns
        -------
        mu, logvar : tensors, shape (B, m)
            Any real numbers, so no activation after the last layer.
        """
        raise NotImplementedError("TODO: return mu and logvar, both (B, m)")

    def reparametrize(self, mu, logvar):
        """Return a sample of N(mu, diag(sigma^2)) through which gradients pass into both.

        Parameters
        ----------
        mu, logvar : tensors, shape (B, m)

        Returns
        -------
        tensor, shape (B, m)
            z, with fresh noise in each call.
        """
        raise NotImplementedError("TODO: return z, (B, m)")

    def generation_model(self, z, c):
        """Return the mean of p(x | z, y).

        Parameters
        ----------
        z, c : tensors, shapes (B, m) and (B, C)

        Returns
        -------
        tensor, shape (B, D)
            x_hat, the probability of each pixel to be on, in [0, 1].
        """
        raise NotImplementedError("TODO: return x_hat, (B, D), in [0, 1]")

    def forward(self, x, c):
        """Encode, sample, decode.

        Parameters
        ----------
        x, c : tensors
            As `recognition_model` takes them.

        Returns
        -------
        x_hat, mu, logvar : tensors, shapes (B, D), (B, m) and (B, m)
        """
        raise NotImplementedError("TODO: return x_hat, mu and logvar")


def loss_function(x_hat, x, mu, logvar):
    """Return minus the bound (14), in nats an image, with one z in place of the expectation.

    Parameters
    ----------
    x_hat : tensor, shape (B, D)
        Probabilities. `F.binary_cross_entropy` does not fail where one is 0 or 1.
    x : tensor, shape (B, D) or (B, 1, 28, 28)
        The images, in [0, 1].
    mu, logvar : tensors, shape (B, m)
        For the divergence, equation (15).

    Returns
    -------
    tensor, shape ()
        Summed over pixels and over entries of z, averaged over the images.
    """
    raise NotImplementedError("TODO: return the loss, minus (14), a tensor of shape ()")


# -- Given ---------------------------------------------------------------------------------------


def train(epoch, model, train_loader, optimizer, num_classes, use_cuda=False):
    """Make one pass over the training data; print its mean loss.

    Parameters
    ----------
    epoch : int
        The number of this pass, for the message.
    model : CVAE
        Changed in place.
    train_loader : iterable of (images, labels)
        A step for each pair.
    optimizer : torch.optim.Optimizer
        Of the model's parameters.
    num_classes : int
        C.
    use_cuda : bool
        Whether the model is on the CUDA device, and the batches go there.
    """
    total = count = 0
    for x, labels in train_loader:
        x = to_var(x, use_cuda)
        x_hat, mu, logvar = model(x, one_hot(labels, num_classes, use_cuda))
        loss = loss_function(x_hat, x, mu, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, count = total + loss.item() * len(x), count + len(x)
    print(f"epoch {epoch}: mean loss {total / count:.2f} nats an image")


def one_hot(labels, num_classes, use_cuda=False):
    """Return one-hot rows for integer labels.

    Parameters
    ----------
    labels : tensor of int64, shape (B,)
    num_classes : int
        C.
    use_cuda : bool
        Move the rows to the CUDA device.

    Returns
    -------
    tensor of float32, shape (B, C)
    """
    return to_var(F.one_hot(labels, num_classes).float(), use_cuda)


def to_var(x, use_cuda):
    """Return the tensor, moved to the CUDA device if `use_cuda`."""
    return x.cuda() if use_cuda else x


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from cvae.py!")
