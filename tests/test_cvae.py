"""cvae.py against closed forms, quadrature, torch.distributions and finite differences."""

import math
import os
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import cvae

D, M, C = 24, 3, 4  # pixels, latent dimensions, classes


@pytest.fixture(autouse=True)
def seeded():
    """Seed PyTorch for each test and give its generator back as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def small_model(**sizes):
    defaults = {"input_size": D, "latent_size": M, "num_classes": C, "hidden_units": 16}
    return cvae.CVAE(**(defaults | sizes))


def small_data(n=64):
    """Noisy images that light half of the six pixels of their class; which half is their style."""
    rng = np.random.default_rng(0)
    labels, styles = np.arange(n) % C, rng.integers(0, 2, n)
    images = rng.integers(0, 20, size=(n, D), dtype=np.uint8)
    for k in range(3):
        images[np.arange(n), 6 * labels + 3 * styles + k] += 235
    return images, labels


def fit(model, epochs, *, optimizer=None, rates=None, batch_size=16, first=1):
    loader = cvae.BatchLoader(*small_data(), batch_size, shuffle=True)
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for epoch in range(first, first + epochs):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[epoch - first]
        losses.append(cvae.train(epoch, model, loader, optimizer, C))
    return losses


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# The model


def test_print_shows_the_layers_of_the_write_up():
    model = cvae.CVAE(input_size=784, latent_size=20, num_classes=10)
    layers = [
        (name, (part.in_features, part.out_features)) for name, part in model.named_children()
    ]
    assert layers == [
        ("fc1", (794, 400)),
        ("fc2", (400, 400)),
        ("fc_mu", (400, 20)),
        ("fc_logvar", (400, 20)),
        ("fc3", (30, 400)),
        ("fc4", (400, 400)),
        ("fcout", (400, 784)),
    ]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(batch, dtype):
    model = small_model().to(dtype)
    x = torch.rand(batch, 4, 6, dtype=dtype)
    c = cvae.one_hot(torch.zeros(batch, dtype=torch.long), C).to(dtype)
    x_hat, mu, logvar = model(x, c)
    assert x_hat.shape == (batch, D) and mu.shape == logvar.shape == (batch, M)
    assert x_hat.dtype == mu.dtype == logvar.dtype == dtype
    assert x_hat.min() >= 0 and x_hat.max() <= 1
    loss = cvae.loss_function(x_hat, x, mu, logvar)
    assert loss.shape == () and loss.dtype == dtype


def test_both_networks_are_the_products_they_say():
    model = small_model().double()
    w = {name: p.detach().numpy() for name, p in model.named_parameters()}

    def layer(name, h):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x, c, z = np.random.default_rng(1).random((5, D)), np.eye(C)[[0, 1, 2, 3, 0]], np.ones((5, M))
    h = np.maximum(layer("fc2", np.maximum(layer("fc1", np.hstack([x, c])), 0)), 0)
    mu, logvar = model.recognition_model(torch.tensor(x), torch.tensor(c))
    np.testing.assert_allclose(mu.detach(), layer("fc_mu", h), rtol=1e-12)
    np.testing.assert_allclose(logvar.detach(), layer("fc_logvar", h), rtol=1e-12)
    h = np.maximum(layer("fc4", np.maximum(layer("fc3", np.hstack([z, c])), 0)), 0)
    for decode in (model.generative_model, model.generation_model):
        x_hat = decode(torch.tensor(z), torch.tensor(c))
        np.testing.assert_allclose(x_hat.detach(), sigmoid(layer("fcout", h)), rtol=1e-12)


def test_gradients_reach_every_parameter():
    model = small_model()
    x, c = torch.rand(20, D), cvae.one_hot(torch.arange(20) % C, C)
    x_hat, mu, logvar = model(x, c)
    cvae.loss_function(x_hat, x, mu, logvar).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_reparametrize_has_the_mean_and_variance_asked_for():
    mu, logvar = torch.tensor([-2.0, 0.0, 3.0]), torch.tensor([-3.0, 0.0, 1.5])
    n = 200_000
    z = small_model().reparametrize(mu.expand(n, M), logvar.expand(n, M)).double()
    sigma = torch.exp(0.5 * logvar).double()
    # Five standard errors: sigma / sqrt(n) of the mean, var * sqrt(2 / n) of the variance.
    assert torch.all((z.mean(0) - mu).abs() < 5 * sigma / math.sqrt(n))
    assert torch.all((z.var(0) - sigma**2).abs() < 5 * sigma**2 * math.sqrt(2 / n))
    covariance = torch.cov((z / sigma).T) - torch.eye(M)
    assert covariance.abs().max() < 5 * math.sqrt(2 / n)


def test_reparametrize_takes_noise_and_passes_gradients():
    mu = torch.randn(4, M, dtype=torch.float64, requires_grad=True)
    logvar = torch.randn(4, M, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(4, M, dtype=torch.float64)
    model = small_model()
    np.testing.assert_allclose(
        model.reparametrize(mu, logvar, noise).detach(),
        (mu + torch.exp(logvar / 2) * noise).detach(),
        rtol=1e-14,
    )
    assert torch.autograd.gradcheck(model.reparametrize, (mu, logvar, noise))


def test_sizes_may_be_numpy_integers():
    assert small_model(latent_size=np.int64(7)).fc_mu.out_features == 7


# The loss


def test_loss_is_equation_14_in_float64():
    rng = np.random.default_rng(2)
    x_hat, x = rng.uniform(0.01, 0.99, (7, D)), rng.random((7, D))
    mu, logvar = rng.normal(size=(7, M)), rng.normal(size=(7, M))
    cross_entropy = -(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat))
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
    expected = sum(cross_entropy[i].sum() + kl[i].sum() for i in range(7)) / 7
    for dtype, rtol in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        arguments = [torch.tensor(a, dtype=dtype) for a in (x_hat, x, mu, logvar)]
        assert cvae.loss_function(*arguments).item() == pytest.approx(expected, rel=rtol)


def test_kl_is_that_of_torch_distributions_and_zero_at_the_prior():
    mu, logvar = 3 * torch.randn(50, M).double(), 3 * torch.randn(50, M).double()
    q = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    x = torch.rand(50, D).double()
    _, kl = cvae.loss_terms(x, x, mu, logvar)
    torch.testing.assert_close(kl, expected, rtol=1e-12, atol=0)
    _, kl = cvae.loss_terms(x, x, torch.zeros(50, M), torch.zeros(50, M))
    assert torch.equal(kl, torch.zeros(50))


def test_loss_gradient_by_finite_differences():
    x = torch.rand(3, D, dtype=torch.float64)
    x_hat = torch.empty(3, D, dtype=torch.float64).uniform_(0.1, 0.9).requires_grad_()
    mu = torch.randn(3, M, dtype=torch.float64, requires_grad=True)
    logvar = torch.randn(3, M, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cvae.loss_function, (x_hat, x, mu, logvar))


def test_saturated_pixels_stay_finite():
    x_hat = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]], requires_grad=True)
    x = torch.tensor([[0.0, 1.0, 1.0, 0.0, 0.5, 0.5]])
    loss = cvae.loss_function(x_hat, x, torch.zeros(1, M), torch.zeros(1, M))
    loss.backward()
    assert loss.item() == pytest.approx(300)  # two pixels wrong and two halves, 100 nats each
    assert torch.isfinite(x_hat.grad).all()


@pytest.mark.parametrize("value", [-1e4, -100.0, 100.0, 1e4])
def test_extreme_log_variances_stay_finite_and_are_pulled_back(value):
    model = small_model()
    mu = torch.zeros(2, M, requires_grad=True)
    logvar = torch.full((2, M), value, requires_grad=True)
    x_hat = model.generative_model(model.reparametrize(mu, logvar), torch.eye(C)[:2])
    loss = cvae.loss_function(x_hat, torch.rand(2, D), mu, logvar)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(mu.grad).all() and torch.isfinite(logvar.grad).all()
    assert torch.all(logvar.grad * value > 0)  # a descent step leads back towards 0


# Labels and batches


def test_one_hot():
    expected = np.eye(5, dtype=np.float32)[[3, 0, 4]]
    for labels in ([3, 0, 4], np.uint16([3, 0, 4]), torch.tensor([3, 0, 4], dtype=torch.int32)):
        rows = cvae.one_hot(labels, 5)
        assert rows.dtype == torch.float32
        np.testing.assert_array_equal(rows, expected)


def test_loader_gives_every_image_once_with_its_label():
    images, labels = small_data(50)
    for shuffle in (False, True):
        batches = list(loader := cvae.BatchLoader(images, labels, 16, shuffle=shuffle))
        assert len(loader) == 4 and [len(x) for x, _ in batches] == [16, 16, 16, 2]
        x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
        assert x.dtype == torch.float32 and y.dtype == torch.int64
        got = {(row.tobytes(), int(k)) for row, k in zip(x.numpy(), y, strict=True)}
        rows = (images / np.float32(255)).astype(np.float32)
        assert got == {(row.tobytes(), int(k)) for row, k in zip(rows, labels, strict=True)}
        assert torch.equal(y, torch.tensor(labels)) is not shuffle


def test_loader_flattens_and_leaves_floats_alone():
    images = torch.rand(5, 4, 6)
    ((x, _),) = cvae.BatchLoader(images, torch.arange(5), 8)
    assert torch.equal(x, images.flatten(1))


# Training


@pytest.mark.parametrize("initialise", [False, True])
def test_training_lowers_the_loss_and_reports_its_terms(initialise):
    model = small_model()
    if initialise:
        cvae.initialise(model, small_data()[0])
    losses = fit(model, 30)
    assert losses[-1].total < losses[0].total - 1
    for loss in losses:
        assert loss.total == pytest.approx(loss.reconstruction + loss.kl)
        assert loss.kl >= 0


def test_train_averages_over_images_and_takes_the_steps_of_a_plain_loop():
    images, labels = small_data(10)
    x, c = torch.tensor(images).float() / 255, torch.eye(C)[labels]
    model, oracle = small_model(), small_model()
    oracle.load_state_dict(model.state_dict())
    torch.manual_seed(5)
    loss = cvae.train(
        1,
        model,
        cvae.BatchLoader(images, labels, 4),
        torch.optim.SGD(model.parameters(), lr=0.01),
        C,
    )
    torch.manual_seed(5)
    optimizer, total = torch.optim.SGD(oracle.parameters(), lr=0.01), 0.0
    for rows in (slice(0, 4), slice(4, 8), slice(8, 10)):
        step = cvae.loss_function(*_reorder(oracle(x[rows], c[rows]), x[rows]))
        total += step.item() * len(x[rows])
        optimizer.zero_grad()
        step.backward()
        optimizer.step()
    assert loss.total == pytest.approx(total / 10, rel=1e-6)
    for p, q in zip(model.parameters(), oracle.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def _reorder(output, x):
    x_hat, mu, logvar = output
    return x_hat, x, mu, logvar


def test_train_accepts_a_torch_data_loader_of_pictures():
    x = torch.rand(10, 1, 4, 6)
    loader = DataLoader(TensorDataset(x, torch.arange(10) % C), batch_size=4)
    model = small_model()
    before = model.fcout.bias.clone()
    loss = cvae.train(1, model, loader, torch.optim.Adam(model.parameters()), C, use_cuda=False)
    assert math.isfinite(loss.total) and not torch.equal(before, model.fcout.bias)


def test_train_refuses_an_absent_device_and_a_diverging_run(monkeypatch):
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="use_cuda"):
        cvae.train(1, model, [], optimizer, C, use_cuda=True)
    with pytest.raises(ValueError, match="lower the learning rate"):
        fit(model, 3, optimizer=optimizer)


def test_train_refuses_a_loss_that_overflowed():
    model = small_model()
    torch.nn.init.constant_(model.fc_mu.bias, 1e30)  # whose square is above float32
    loader = cvae.BatchLoader(*small_data(8), 8)
    with pytest.raises(ValueError, match="the loss became inf in epoch 3"):
        cvae.train(3, model, loader, torch.optim.SGD(model.parameters(), lr=0.0), C)


def test_a_batch_of_one_trains():
    model = small_model()
    loader = cvae.BatchLoader(*small_data(1), 1)
    loss = cvae.train(1, model, loader, torch.optim.Adam(model.parameters()), C)
    assert math.isfinite(loss.total)


def test_progress_bar_is_silent_away_from_a_terminal(capsys):
    fit(small_model(), 1)
    assert capsys.readouterr() == ("", "")


def test_trains_at_a_terminal_without_tqdm(monkeypatch):
    monkeypatch.setattr(cvae, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(small_model(), 1)


def test_one_seed_makes_a_run_repeatable():
    runs = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        model = small_model()
        cvae.initialise(model, small_data()[0])
        runs.append((fit(model, 2), torch.cat([p.flatten() for p in model.parameters()])))
    assert runs[0][0] == runs[1][0] and torch.equal(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_initialise_starts_at_the_mean_image_with_a_loud_label():
    images, labels = small_data()
    x, c = torch.tensor(images).float() / 255, cvae.one_hot(labels, C)
    for given in (images, x):
        model = small_model(hidden_units=400)
        cvae.initialise(model, given, label_scale=2.0)
        x_hat, _, _ = model(x, c)
        torch.testing.assert_close(x_hat, x.mean(0).expand_as(x_hat))
        for layer in (model.fc1, model.fc3):
            others, label = layer.weight.split([layer.in_features - C, C], dim=1)
            assert label.std().item() == pytest.approx(2.0, rel=0.1)
            assert others.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.1)


def test_fit_is_its_parts_in_order():
    images, labels = small_data()
    torch.manual_seed(3)
    model, seen = small_model(), []
    losses = cvae.fit(
        model,
        images,
        labels,
        num_epochs=4,
        batch_size=16,
        learning_rate=1e-2,
        callback=lambda epoch, loss: seen.append((epoch, loss)),
    )
    assert seen == list(enumerate(losses, start=1))

    torch.manual_seed(3)
    other = small_model()
    cvae.initialise(other, images)
    optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
    factors = (1 / 3, 2 / 3 * 3 / 4, 2 / 4, 1 / 4)  # warm-up times decay
    by_hand = fit(other, 4, optimizer=optimizer, rates=[1e-2 * factor for factor in factors])
    for loss, expected in zip(losses, by_hand, strict=True):
        assert tuple(loss) == pytest.approx(tuple(expected), rel=1e-4)


# The trained model


@pytest.fixture(scope="module")
def trained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = small_model(hidden_units=32)
        cvae.fit(model, *small_data(), num_epochs=60, batch_size=16, learning_rate=1e-2)
    return model


def test_generation_follows_the_label_whatever_the_noise(trained):
    labels = torch.arange(C).repeat(25)
    images = cvae.generate(trained, labels, seed=3)
    assert images.shape == (100, D) and not images.requires_grad
    blocks = images.reshape(100, C, 6).mean(2)  # (100, C), brightness of each class's pixels
    assert torch.equal(blocks.argmax(1), labels)


def test_generate_takes_codes_or_a_seed(trained):
    z = torch.randn(3, M)
    again = trained.generative_model(z, torch.eye(C)[:3])
    assert torch.equal(cvae.generate(trained, [0, 1, 2], z), again)
    a, b, c = (cvae.generate(trained, [1, 1], seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_reconstruct_decodes_the_mean_code(trained):
    images, labels = small_data(8)
    x = torch.tensor(images).float() / 255
    c = cvae.one_hot(labels, C)
    mu, _ = trained.recognition_model(x, c)
    assert torch.equal(cvae.reconstruct(trained, x, labels), trained.generative_model(mu, c))
    assert (cvae.reconstruct(trained, x, labels) - x).abs().mean() < 0.1


def test_evaluate_is_the_mean_loss_and_leaves_the_default_generator_alone(trained):
    images, labels = small_data(10)
    state = torch.get_rng_state()
    got = cvae.evaluate(trained, cvae.BatchLoader(images, labels, 10), seed=4)
    assert torch.equal(state, torch.get_rng_state())
    x, c = torch.tensor(images).float() / 255, cvae.one_hot(labels, C)
    noise = torch.randn(10, M, generator=torch.Generator().manual_seed(4))
    expected = cvae.loss_function(*_reorder(trained(x, c, noise), x)).item()
    assert got.total == pytest.approx(expected, rel=1e-6)
    assert got == cvae.evaluate(trained, cvae.BatchLoader(images, labels, 10), seed=4)
    in_parts = cvae.evaluate(trained, cvae.BatchLoader(images, labels, 3), seed=4)
    assert in_parts.kl == pytest.approx(got.kl, rel=1e-5)  # the term that has no noise
    assert got.kl > 0.5  # so z is in use


def test_log_likelihood_agrees_with_quadrature_and_bounds_hold():
    model = small_model(latent_size=1).double()
    with torch.no_grad():
        model.fc3.weight[:, 0] *= 8  # so that z matters
    x, labels = torch.rand(3, D).double(), torch.tensor([0, 1, 3])
    grid = torch.linspace(-10, 10, 4001, dtype=torch.float64)[:, None]
    exact = []
    for image, label in zip(x, labels, strict=True):
        x_hat = model.generative_model(grid, cvae.one_hot(label.expand(4001), C))
        log_p = torch.distributions.Bernoulli(x_hat, validate_args=False).log_prob(image).sum(1)
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid[:, 0])
        exact.append(torch.logsumexp(log_p + log_prior, 0) + math.log(20 / 4000))
    exact = torch.stack(exact).detach()
    estimate = cvae.log_likelihood(model, x, labels, num_samples=5_000)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=0.02)
    one = torch.stack(
        [cvae.log_likelihood(model, x, labels, num_samples=1, seed=s) for s in range(400)]
    )
    bound = -torch.tensor([cvae.evaluate(model, [(x, labels)], seed=s).total for s in range(400)])
    gap = one.mean(1).mean() - bound.mean()
    assert abs(gap) < 5 * (one.mean(1).std() + bound.std()) / math.sqrt(400)
    assert bound.mean() < exact.mean()


# Checkpoints


@pytest.mark.parametrize("fused", [False, True])
def test_resumed_training_ends_bit_for_bit_where_an_uninterrupted_run_does(tmp_path, fused):
    def parts():
        model = small_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=fused)
        return model, optimizer

    model, optimizer = parts()
    fit(model, 3, optimizer=optimizer)
    cvae.save(tmp_path / "half.pt", model, optimizer, epoch=3)
    straight = fit(model, 3, optimizer=optimizer, first=4)

    torch.manual_seed(99)  # another process would be in another state
    other, optimizer = parts()
    assert cvae.load(tmp_path / "half.pt", other, optimizer) == 3
    assert fit(other, 3, optimizer=optimizer, first=4) == straight
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_loading_for_use_leaves_the_default_generator_alone(tmp_path, trained):
    cvae.save(tmp_path / "model.pt", trained)
    model = small_model(hidden_units=32)
    state = torch.get_rng_state()
    assert cvae.load(tmp_path / "model.pt", model) == 0
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(cvae.generate(model, [2]), cvae.generate(trained, [2]))


def test_a_failed_save_keeps_the_old_file_and_leaves_no_litter(tmp_path, trained, monkeypatch):
    path = tmp_path / "model.pt"
    cvae.save(path, trained, epoch=1)

    def half_written(_, target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="disk full"):
        cvae.save(path, trained, epoch=2)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    assert cvae.load(path, small_model(hidden_units=32)) == 1


class Payload:
    """A pickle that makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_load_refuses_what_is_no_checkpoint_of_this_model(tmp_path, trained):
    with pytest.raises(FileNotFoundError):
        cvae.load(tmp_path / "absent.pt", trained)
    for name, content in (("empty.pt", b""), ("text.pt", b"not a checkpoint")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="no checkpoint"):
            cvae.load(tmp_path / name, trained)
    torch.save({"model": Payload(tmp_path / "made")}, tmp_path / "object.pt")
    with pytest.raises(ValueError, match="no checkpoint"):
        cvae.load(tmp_path / "object.pt", trained)
    assert not (tmp_path / "made").exists()
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="no checkpoint"):
        cvae.load(tmp_path / "weights.pt", trained)
    cvae.save(tmp_path / "model.pt", trained)
    other = small_model(latent_size=M + 1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match="another model"):
        cvae.load(tmp_path / "model.pt", other)
    for name, value in other.state_dict().items():
        assert torch.equal(value, before[name])
    with pytest.raises(ValueError, match="holds no optimizer"):
        cvae.load(tmp_path / "model.pt", trained, torch.optim.Adam(trained.parameters()))
