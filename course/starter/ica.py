"""Independent component analysis by maximum likelihood, problem 4(a).

    l(W) = sum_t ( sum_j log g'(w_j . x_t) + log |det W| ),    g(s) = 1 / (1 + exp(-s))    (13)

The unmixing matrix W, (m, m), has a row w_j for each source. `unmixer` looks for the W of the
largest l by stochastic gradient ascent. (The problem set calls (13) a loss; it is maximised.)
"""

import numpy as np

LEARNING_RATES = (
    *(0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.02, 0.02),
    *(0.01, 0.01, 0.005, 0.005, 0.002, 0.002, 0.001, 0.001),
)


def filter_grad(x, W):
    """Return the gradient with respect to W of one sample's term of (13).

    Parameters
    ----------
    x : ndarray, shape (m,)
        One sample: what each microphone heard at the time.
    W : ndarray, shape (m, m)

    Returns
    -------
    ndarray of float, shape (m, m)
        The derivative for each entry of W. The plain gradient, not the "natural" one.
    """
    raise NotImplementedError("TODO: return the gradient of one sample's term of (13), (m, m)")


def unmix(X, W):
    """Return the sources of all samples.

    Parameters
    ----------
    X : ndarray, shape (T, m)
        One row a sample, one column a microphone.
    W : ndarray, shape (m, m)

    Returns
    -------
    ndarray of float, shape (T, m)
        One row a sample, one column a source.
    """
    raise NotImplementedError("TODO: return the sources, (T, m)")


# -- Given ---------------------------------------------------------------------------------------


def unmixer(X, *, learning_rates=LEARNING_RATES):
    """Return W by stochastic gradient ascent on (13): one sample, one step.

    Parameters
    ----------
    X : ndarray, shape (T, m)
        One row a sample, of amplitude about 1; see `normalize`.
    learning_rates : sequence of float
        One pass over the samples for each.

    Returns
    -------
    ndarray of float, shape (m, m)
    """
    W = np.eye(X.shape[1])  # (m, m)
    for learning_rate in learning_rates:
        for x in X:
            W = W + learning_rate * filter_grad(x, W)
    return W


def sigmoid(s):
    """Return g(s) = 1 / (1 + exp(-s)), without overflow for any s.

    Parameters
    ----------
    s : ndarray, any shape

    Returns
    -------
    ndarray of float, the shape of `s`
    """
    tail = np.exp(-np.abs(s))  # at most 1
    return np.where(s >= 0, 1, tail) / (1 + tail)


def normalize(mix):
    """Return a recording scaled so that its largest absolute value is 0.99.

    Parameters
    ----------
    mix : ndarray, shape (T, m)

    Returns
    -------
    ndarray of float, shape (T, m)
    """
    return 0.99 * mix / np.abs(mix).max()


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from ica.py!")
