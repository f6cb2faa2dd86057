"""The calls that the course's own notebooks make, in their order of arguments."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import cvae
import gda
import gmm
import ica
import kmeans
import pca


def picture(size):
    return np.random.default_rng(size).integers(0, 256, size=(size, size, 3), dtype=np.uint8)


def test_handshakes(capsys):
    for greet in (kmeans.hello, gmm.hello, gda.hello, pca.hello, ica.hello, cvae.hello):
        greet()
    pca.hello_world()
    assert capsys.readouterr().out.count("Hello from pca.py!") == 2


def test_kmeans_and_gmm():
    small, large = picture(24), picture(32)
    pixels = small.reshape(-1, 3).astype(float)
    centroids = kmeans.train_kmeans(pixels, pixels[:16], num_iterations=50)
    compressed = kmeans.compress_image(large, centroids)
    with pytest.warns(RuntimeWarning, match="wraps around"):
        kmeans.euclidean_distance(compressed, large).mean()

    sigma = np.stack([1000 * np.eye(3)] * 16)
    with pytest.warns(UserWarning, match=r"init_pi sums to 3\.2"):  # the K = 16 cell divides by 5
        state = gmm.train_gmm(pixels, np.ones(16) / 5, pixels[:16], sigma, num_iterations=3)
    assert state.pi.sum() == pytest.approx(1)
    assert gmm.compress_image(large, state).shape == large.shape
    pi, mu, sigma = state.pi, state.mu, state.sigma
    assert (pi.shape, mu.shape, sigma.shape) == ((16,), (16, 3), (16, 3, 3))


def test_pca_and_ica():
    U, eigenvalues = pca.train_PCA(np.random.default_rng(0).normal(size=(40, 6)))
    assert U.shape == (6, 6) and eigenvalues.shape == (6,)
    X = np.random.default_rng(0).laplace(size=(300, 2)) @ [[1.0, 0.4], [0.2, 1.0]]
    W = ica.unmixer(X)
    assert ica.unmix(X, W).shape == X.shape
    assert ica.filter_grad(X[0], W).shape == W.shape


def test_cvae(capsys):
    use_cuda = False
    torch.manual_seed(0)
    images, labels = torch.rand(40, 1, 28, 28), torch.arange(40) % 10
    loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
    model = cvae.CVAE(input_size=784, latent_size=20, num_classes=10, hidden_units=50)
    if use_cuda:
        model.cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, 3):
        cvae.train(epoch, model, loader, optimizer, 10, use_cuda)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("nats" in line for line in lines)

    z = cvae.to_var(torch.randn(10, 20), use_cuda)
    c = cvae.one_hot(torch.arange(10), 10, use_cuda)
    for generate in (model.generation_model, model.generative_model):
        assert generate(z, c).shape == (10, 784)
    x_hat, mu, logvar = model(images[:10], c)
    assert cvae.loss_function(x_hat, images[:10], mu, logvar).ndim == 0
