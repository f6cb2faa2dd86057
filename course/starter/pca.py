"""Principal component analysis, problem 3(b): the directions in which the data varies most.

S u_i = lambda_i u_i,  where S is the covariance of the data and lambda_1 >= lambda_2 >= ...
"""

import numpy as np


def train_PCA(data):
    """Return the principal components and their eigenvalues.

    Parameters
    ----------
    data : ndarray, shape (N, d)
        The points, one a row; more of them than dimensions. They need not be centred. Leave the
        array as it is.

    Returns
    -------
    U : ndarray of float, shape (d, d)
        The eigenvectors of S, of unit length, one a column. Either sign is right.
    eigenvalues : ndarray of float, shape (d,)
        In falling order; column i of U belongs to number i. S may have 1/N or 1/(N - 1). All are
        real, as S is symmetric.
    """
    raise NotImplementedError("TODO: return U, (d, d), and the eigenvalues, (d,), largest first")


# -- Given ---------------------------------------------------------------------------------------


def hello():
    """Print a greeting that shows the module was found and imported."""
    print("Hello from pca.py!")


hello_world = hello
