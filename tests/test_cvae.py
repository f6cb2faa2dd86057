"""cvae.py and its textbook against closed forms, quadrature, torch.distributions and autograd."""

import copy
import math
import os
import re
import threading

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

import cvae
import textbook.cvae

D, M, C = 24, 3, 4  # pixels, latent dimensions, classes


@pytest.fixture(autouse=True)
def seeded():
    """Seed PyTorch for each test and give its generator back as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(params=[cvae, textbook.cvae], ids=["module", "textbook"])
def implementation(request):
    return request.param


def small_model(implementation=cvae, **sizes):
    defaults = {"input_size": D, "latent_size": M, "num_classes": C, "hidden_units": 16}
    return implementation.CVAE(**(defaults | sizes))


def small_data(n=64):
    """Noisy images that light half of the six pixels of their class; which half is their style."""
    rng = np.random.default_rng(0)
    labels, styles = np.arange(n) % C, rng.integers(0, 2, n)
    images = rng.integers(0, 20, size=(n, D), dtype=np.uint8)
    for k in range(3):
        images[np.arange(n), 6 * labels + 3 * styles + k] += 235
    return images, labels


def tensors(n=64, dtype=torch.float32):
    """The small data as x (n, D) and c (n, C)."""
    images, labels = small_data(n)
    return torch.tensor(images).to(dtype) / 255, torch.eye(C, dtype=dtype)[labels]


def adam(model, **options):
    return torch.optim.Adam(model.parameters(), **({"lr": 1e-2} | options))


def train(model, epochs, *, optimizer=None, rates=None, first=1):
    loader = cvae.BatchLoader(*small_data(), 16, shuffle=True)
    optimizer = optimizer or adam(model)
    losses = []
    for epoch in range(first, first + epochs):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[epoch - first]
        losses.append(cvae.train(epoch, model, loader, optimizer, C))
    return losses


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# The model


def test_print_shows_the_layers_of_the_write_up(implementation):
    model = implementation.CVAE(input_size=784, latent_size=20, num_classes=10)
    layers = [f"{n} {part.in_features}->{part.out_features}" for n, part in model.named_children()]
    encoder = ["fc1 794->400", "fc2 400->400", "fc_mu 400->20", "fc_logvar 400->20"]
    assert layers == [*encoder, "fc3 30->400", "fc4 400->400", "fcout 400->784"]


def test_both_networks_are_the_products_they_say(implementation):
    model, (x, c), z = small_model(implementation), tensors(5), torch.randn(5, M)
    w = dict(model.named_parameters())

    def layer(name, h):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    h = layer("fc2", layer("fc1", torch.hstack([x, c])).clamp(min=0)).clamp(min=0)
    expected = layer("fc_mu", h), layer("fc_logvar", h)
    torch.testing.assert_close(model.recognition_model(x, c), expected)
    h = layer("fc4", layer("fc3", torch.hstack([z, c])).clamp(min=0)).clamp(min=0)
    torch.testing.assert_close(model.generative_model(z, c), 1 / (1 + (-layer("fcout", h)).exp()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_loss_and_gradients_are_those_of_torch_distributions(implementation, dtype):
    model, (x, c) = small_model(implementation).to(dtype), tensors(20, dtype)
    torch.manual_seed(1)
    x_hat, mu, logvar = model(x.reshape(20, 4, 6), c)
    loss = implementation.loss_function(x_hat, x.reshape(20, 4, 6), mu, logvar)
    torch.manual_seed(1)
    q = Normal(mu, torch.exp(logvar / 2))
    p = Bernoulli(model.generative_model(q.rsample(), c), validate_args=False)  # grey pixels
    expected = (kl_divergence(q, Normal(0.0, 1.0)).sum(1) - p.log_prob(x).sum(1)).mean()
    assert loss.shape == () and loss.dtype == dtype and x_hat.shape == x.shape
    rtol = 1e-9 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(loss, expected, rtol=rtol, atol=0)
    for parameter in model.parameters():
        ours, theirs = (
            torch.autograd.grad(a, parameter, retain_graph=True)[0] for a in (loss, expected)
        )
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-3 * rtol)
        assert ours.abs().max() > 0


def test_reparametrize_has_the_mean_and_variance_asked_for(implementation):
    mu, logvar = torch.tensor([-2.0, 0.0, 3.0]), torch.tensor([-3.0, 0.0, 1.5])
    n = 200_000
    z = small_model(implementation).reparametrize(mu.expand(n, M), logvar.expand(n, M)).double()
    sigma = torch.exp(0.5 * logvar).double()
    # Five standard errors: sigma / sqrt(n) of the mean, var * sqrt(2 / n) of the variance.
    assert torch.all((z.mean(0) - mu).abs() < 5 * sigma / math.sqrt(n))
    assert torch.all((z.var(0) - sigma**2).abs() < 5 * sigma**2 * math.sqrt(2 / n))
    covariance = torch.cov((z / sigma).T) - torch.eye(M)
    assert covariance.abs().max() < 5 * math.sqrt(2 / n)


def test_the_smallest_network_runs():
    model = small_model(input_size=1, latent_size=1, num_classes=1, hidden_units=1)
    assert model(torch.ones(1, 1), cvae.one_hot([0], 1))[0].shape == (1, 1)


def test_noise_can_be_given():
    model, (x, c), noise = small_model(), tensors(4), torch.randn(4, M)
    x_hat, mu, logvar = model(x, c.double(), noise)  # codes of another dtype are converted
    z = mu + torch.exp(logvar / 2) * noise
    torch.testing.assert_close(model.reparametrize(mu, logvar, noise), z)
    torch.testing.assert_close(x_hat, model.generative_model(z, c))


# The loss


def test_the_kl_term_is_zero_at_the_prior_and_that_of_torch_distributions_far_off():
    mu, logvar, x, zero = 3 * torch.randn(50, M), 3 * torch.randn(50, M), *torch.zeros(2, 50, M)
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(cvae.loss_terms(x, x, mu, logvar)[1], expected)
    assert torch.equal(cvae.loss_terms(x, x, zero, zero)[1], torch.zeros(50))


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
    if value > 0:  # from 50 on, the exponential goes on as its tangent
        a, tangent = torch.tensor([49.0, 50.0, value]).double(), math.exp(50) * (value - 49)
        assert cvae._exp(a).tolist() == pytest.approx([math.exp(49), math.exp(50), tangent])


# Labels and batches


def test_one_hot(implementation):
    labels = torch.tensor([3, 0, 4])
    rows = implementation.one_hot(labels, 5)
    assert rows.dtype == torch.float32 and torch.equal(rows, torch.eye(5)[labels])
    if implementation is cvae:
        for given in ([3, 0, 4], np.uint16([3, 0, 4]), labels.to(torch.int32)):
            assert torch.equal(cvae.one_hot(given, 5, False), rows)


def test_cuda_is_used_when_asked_for(monkeypatch):
    x, model, moved = torch.rand(2, D), small_model(), []
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: moved.append(self) or self)
    for call in (
        lambda use_cuda: cvae.to_var(x, use_cuda),
        lambda use_cuda: cvae.one_hot([0], C, use_cuda),
        lambda use_cuda: cvae.train(1, model, [(x, [0, 1])], adam(model), C, use_cuda),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        call(False)
        with pytest.raises(ValueError, match="use_cuda is True, but there is no CUDA device"):
            call(True)
        assert not moved
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        call(True)
        assert moved.pop() is not None


def test_the_calls_of_the_courses_notebook():
    model = cvae.CVAE(input_size=D, latent_size=M, num_classes=C, hidden_units=16)
    loader = DataLoader(TensorDataset(torch.rand(10, 1, 4, 6), torch.arange(10) % C), batch_size=4)
    before = weights(model)
    cvae.train(1, model, loader, adam(model), C, False)
    assert not torch.equal(weights(model), before)
    c, z = cvae.to_var(torch.eye(C), False), cvae.to_var(torch.randn(C, M), False)
    assert torch.equal(cvae.one_hot(torch.arange(C), C, False), c)
    assert model.generation_model(z, c).data.cpu().numpy().shape == (C, D)


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


@pytest.mark.filterwarnings("error")
def test_loader_flattens_floats_in_any_layout_and_refuses_bytes_of_0_and_1():
    images, labels = np.random.default_rng(0).random((5, 4, 6), np.float32), np.arange(5)
    read_only = np.broadcast_to(images, (1, 5, 4, 6))[0]
    for given in (images, images[::-1].copy()[::-1], images.astype(">f4"), read_only):
        ((x, k),) = cvae.BatchLoader(given, labels.astype(">i2")[::-1], 8)
        np.testing.assert_array_equal(x, images.reshape(5, D))
        np.testing.assert_array_equal(k, labels[::-1])
    for level in (0, 2):  # black, or very dark
        cvae.BatchLoader(level * np.eye(4, dtype=np.uint8), range(4), 1)
    with pytest.raises(ValueError, match="convert zeros and ones to float"):
        cvae.BatchLoader(np.eye(4, dtype=np.uint8), range(4), 2)


# Training


def test_train_takes_the_textbooks_steps_and_averages_over_images():
    images, labels = small_data(10)
    model, plain = small_model(), small_model(textbook.cvae)
    plain.load_state_dict(model.state_dict())
    loader = cvae.BatchLoader(images, labels, 4)  # batches of 4, 4 and 2
    torch.manual_seed(5)
    cvae.train(1, model, loader, torch.optim.SGD(model.parameters(), lr=0.01), C)
    torch.manual_seed(5)
    textbook.cvae.train(1, plain, loader, torch.optim.SGD(plain.parameters(), lr=0.01), C)
    torch.testing.assert_close(weights(model), weights(plain))

    still = torch.optim.SGD([model.fc1.bias], lr=0.0)  # of some parameters
    torch.manual_seed(5)
    got = cvae.train(1, model, loader, still, C)
    torch.manual_seed(5)
    terms = []
    for x, k in loader:
        x_hat, mu, logvar = model(x, torch.eye(C)[k])
        terms.append(torch.stack(cvae.loss_terms(x_hat, x, mu, logvar)))
    expected = torch.cat(terms, dim=1).mean(dim=1)
    assert got[1:] == pytest.approx(expected.tolist(), rel=1e-6)
    assert got.total == got.reconstruction + got.kl


def test_training_lowers_the_loss_and_a_seed_makes_it_repeatable():
    runs = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        runs.append((train(small_model(), 6), torch.rand(1)))
    assert runs[0] == runs[1] and runs[0] != runs[2]
    losses = runs[0][0]
    assert losses[-1].total < losses[0].total - 1 and min(loss.kl for loss in losses) >= 0


def test_each_pass_leaves_a_line(capsys):
    (loss,) = train(small_model(), 1)
    assert capsys.readouterr().out == f"epoch 1: mean loss {loss.total:.2f} nats an image\n"


@pytest.mark.parametrize("rate", [30.0, 1e30])
def test_training_that_diverges_ends_in_an_error(rate):
    model = small_model()
    with pytest.raises(ValueError, match="lower the learning rate"):
        train(model, 3, optimizer=adam(model, lr=rate))
    with pytest.raises(ValueError, match="lower the learning rate"):
        cvae.fit(small_model(), *small_data(), num_epochs=3, learning_rate=rate)


@pytest.mark.parametrize(("beyond", "diverges"), [(-1.0, False), (1.0, True), (1e60, True)])
def test_a_loss_above_100_nats_a_pixel_and_latent_dimension_is_divergence(beyond, diverges):
    model = small_model()
    for layer in (model.fc_mu, model.fc_logvar, model.fc3):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    still, start = adam(model, lr=0.0), train(model, 1, optimizer=adam(model, lr=0.0))[0].total
    kl = 100 * (D + M) + beyond - start
    torch.nn.init.constant_(model.fc_mu.bias[:1], math.sqrt(2 * kl))
    if diverges:
        with pytest.raises(ValueError, match="the mean loss became .* in epoch 3: .*lower the"):
            train(model, 1, optimizer=still, first=3)
    else:
        train(model, 1, optimizer=still)


def test_mistakes_that_would_teach_a_model_nothing_are_refused():
    model, (x, c) = small_model(), tensors(4)
    x_hat, mu, logvar = model(x, c)
    with pytest.raises(ValueError, match="pass x_hat first"):
        cvae.loss_function(x, x_hat, mu, logvar)
    good = {"epoch": 1, "model": model, "train_loader": [(x, [0, 1, 2, 3])], "num_classes": C}
    for argument, bad, words in (
        ("optimizer", adam(small_model()), "optimizer holds no parameter of model"),
        ("optimizer", 1e-3, "optimizer must .* got float"),
        ("num_classes", C + 1, "num_classes must be the model's 4, got 5"),
        ("model", cvae.CVAE, "model must be a CVAE, got type"),
        ("train_loader", [(x + 0.1, [0, 1, 2, 3])], "images must lie in .0, 1., got 0.1 to 1.08"),
        ("train_loader", TensorDataset(x), "got .*TensorDataset.*; use a DataLoader"),
        ("train_loader", DataLoader(TensorDataset(x)), "pairs .images, labels., got .*list"),
        ("train_loader", (x, c), "pairs .images, labels., got .*Tensor"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            cvae.train(**({"optimizer": adam(model)} | good | {argument: bad}))
    assert model.epochs == 0


# The recipe


def test_initialise_starts_at_the_mean_image_with_a_loud_label():
    x, c = tensors()
    for given in (small_data()[0], x):
        model = small_model(hidden_units=400)
        cvae.initialise(model, given, label_scale=2.0)
        x_hat, _, _ = model(x, c)
        torch.testing.assert_close(x_hat, x.mean(0).expand_as(x_hat))
        for name in ("fc1", "fc2", "fc3", "fc4", "fc_mu", "fc_logvar"):
            layer, labels = getattr(model, name), C * (name in ("fc1", "fc3"))
            others, label = layer.weight.split([layer.in_features - labels, labels], dim=1)
            assert others.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.1)
            assert not labels or label.std().item() == pytest.approx(2.0, rel=0.1)
            assert not layer.bias.any()
    cvae.initialise(model, np.repeat([[0.0, 1.0]], D // 2, axis=1))  # black, and white
    odds = np.repeat([-1, 1], D // 2) * math.log(999)
    np.testing.assert_allclose(model.fcout.bias.detach(), odds, rtol=1e-4)


def test_fit_is_its_parts_in_order(capsys):
    data, model, seen = small_data(), small_model(), []
    options = {"num_epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "verbose": True}
    torch.manual_seed(3)
    losses = cvae.fit(model, *data, callback=lambda *call: seen.append(call), **options)
    assert seen == [(e, loss.total, model) for e, loss in enumerate(losses)]
    lines = [f"iteration {e}: mean loss {x.total:.2f} nats an image" for e, x in enumerate(losses)]
    assert capsys.readouterr().out.splitlines() == lines

    torch.manual_seed(3)
    cvae.initialise(model, data[0])
    rates = [1e-2 / 3, 1e-2 * 2 / 3 * 3 / 4, 1e-2 * 2 / 4, 1e-2 / 4]  # warm-up times decay
    for loss, expected in zip(losses, train(model, 4, rates=rates), strict=True):
        assert tuple(loss) == pytest.approx(tuple(expected), rel=1e-4)


def test_fit_stops_when_its_callback_says_so_and_never_starts_with_bad_input(capsys):
    (images, labels), stop = small_data(), lambda epoch, *_: epoch == 1
    losses = cvae.fit(small_model(), images, labels, num_epochs=9, callback=stop)
    assert len(losses) == 2 and capsys.readouterr() == ("", "")
    model = small_model()
    before = weights(model)
    for callback in (5, lambda: None, lambda epoch, loss: None):
        with pytest.raises(TypeError, match="callback must"):
            cvae.fit(model, images, labels, num_epochs=1, callback=callback)
    labels[-1] = C
    with pytest.raises(ValueError, match="labels must lie in 0 .. 3, got 4; count from 0"):
        cvae.fit(model, images, labels, num_epochs=1, batch_size=2)
    assert torch.equal(weights(model), before)


def test_fit_refuses_to_undo_a_training(tmp_path):
    model = small_model()
    train(model, 2)
    cvae.save(tmp_path / "model.pt", model)
    cvae.load(tmp_path / "model.pt", loaded := small_model())
    for trained in (model, loaded, copy.deepcopy(model)):
        before = weights(trained)
        with pytest.raises(ValueError, match="model had 2 epochs; go on with train, or fit a new"):
            cvae.fit(trained, *small_data(), num_epochs=1)
        assert torch.equal(weights(trained), before)
    train(loaded, 1)
    assert loaded.epochs == 3
    cvae.initialise(loaded, small_data()[0])
    cvae.fit(loaded, *small_data(), num_epochs=1)
    assert loaded.epochs == 1


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
    assert torch.equal(cvae.generate(trained, labels, seed=3), images)
    assert not torch.equal(cvae.generate(trained, labels), images)
    z, c = torch.randn(C, M), torch.eye(C)
    again = cvae.generate(trained, range(C), z.double().numpy())
    assert torch.equal(again, trained.generative_model(z, c))


def test_reconstruct_decodes_the_mean_code(trained):
    (x, c), labels = tensors(8), np.arange(8) % C
    images = cvae.reconstruct(trained, x, labels)
    assert torch.equal(images, trained.generative_model(trained.recognition_model(x, c)[0], c))
    assert (images - x).abs().mean() < 0.1


def test_evaluate_is_the_mean_loss_and_leaves_the_default_generator_alone(trained):
    data, (x, c), state = small_data(10), tensors(10), torch.get_rng_state()
    got, again, parts = (
        cvae.evaluate(trained, cvae.BatchLoader(*data, batch_size), seed=4)
        for batch_size in (10, 10, 3)
    )
    assert torch.equal(state, torch.get_rng_state())
    noise = torch.randn(10, M, generator=torch.Generator().manual_seed(4))
    x_hat, mu, logvar = trained(x, c, noise)
    assert got.total == pytest.approx(cvae.loss_function(x_hat, x, mu, logvar).item(), rel=1e-6)
    assert got == again and parts.kl == pytest.approx(got.kl, rel=1e-5)  # which has no noise
    assert got.kl > 0.5  # so z is in use


def test_log_likelihood_agrees_with_quadrature_and_bounds_hold():
    model = small_model(latent_size=1).double()
    with torch.no_grad():
        model.fc3.weight[:, 0] *= 8  # so that z matters
        model.fc_logvar.bias += 1  # and its variance is not 1
    x, labels = torch.rand(3, D).double(), torch.tensor([0, 1, 3])
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)[:, None]
    exact = torch.empty(3, dtype=torch.float64)
    for n, c in enumerate(torch.eye(C)[labels]):
        p = Bernoulli(model.generative_model(z, c.expand(4001, C)).detach(), validate_args=False)
        log_joint = p.log_prob(x[n]).sum(1) + Normal(0.0, 1.0).log_prob(z[:, 0])  # (4001,)
        exact[n] = torch.logsumexp(log_joint, 0) + math.log(20 / 4000)
    estimate = cvae.log_likelihood(model, x, labels, num_samples=5_000)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=0.02)
    one, bound = torch.tensor(
        [
            (
                cvae.log_likelihood(model, x, labels, num_samples=1, seed=seed).mean(),
                -cvae.evaluate(model, [(x, labels)], seed=seed).total,
            )
            for seed in range(400)
        ]
    ).T
    assert abs(one.mean() - bound.mean()) < 5 * (one.std() + bound.std()) / math.sqrt(400)
    assert bound.mean() < exact.mean()


# Checkpoints


@pytest.mark.parametrize("fused", [False, True])
def test_resumed_training_ends_bit_for_bit_where_an_uninterrupted_run_does(tmp_path, fused):
    model, other = small_model(), small_model()
    optimizer = adam(model, fused=fused)
    train(model, 3, optimizer=optimizer)
    cvae.save(tmp_path / "half.pt", model, optimizer)
    straight = train(model, 3, optimizer=optimizer, first=4)

    torch.manual_seed(99)  # another process would be in another state
    optimizer = adam(other, fused=fused)
    assert cvae.load(tmp_path / "half.pt", other, optimizer) == 3
    assert train(other, 3, optimizer=optimizer, first=4) == straight
    assert torch.equal(weights(model), weights(other))


def test_loading_for_use_leaves_the_default_generator_alone(tmp_path, trained):
    for epoch, expected in ({}, 60), ({"epoch": 7}, 7):
        cvae.save(tmp_path / "model.pt", trained, **epoch)
        model = small_model(hidden_units=32)
        state = torch.get_rng_state()
        assert cvae.load(tmp_path / "model.pt", model) == expected
        assert torch.equal(state, torch.get_rng_state())
        assert torch.equal(weights(model), weights(trained))


def test_a_failed_save_keeps_the_old_file_and_leaves_no_litter(tmp_path, trained, monkeypatch):
    path = tmp_path / "model.pt"
    cvae.save(path, trained, epoch=1)

    def half_written(_, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="disk full"):
        cvae.save(path, trained, epoch=2)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    assert cvae.load(path, small_model(hidden_units=32)) == 1


def test_threads_may_save_to_one_path_and_read_it(tmp_path):
    path, errors = tmp_path / "model.pt", []

    def save_and_load(value):
        model, other = small_model(), small_model()
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, value)
        try:
            for _ in range(10):
                cvae.save(path, model, epoch=value)
                epoch = cvae.load(path, other)
                assert set(weights(other).tolist()) == {epoch}  # all of it from one save
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=save_and_load, args=(value,)) for value in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def assert_refused(path, words=None):
    """A failed load names the file, and changes neither model nor optimizer nor generator."""
    optimizer = adam(model := small_model())
    train(model, 1, optimizer=optimizer)

    def everything():
        return model.state_dict(), optimizer.state_dict(), torch.get_rng_state(), model.epochs

    before = copy.deepcopy(everything())
    with pytest.raises(ValueError, match=words) as raised:
        cvae.load(path, model, optimizer)
    assert str(path) in str(raised.value)
    torch.testing.assert_close(everything(), before, rtol=0, atol=0)


@pytest.fixture
def checkpoint(tmp_path):
    """A good checkpoint: its path and what is in it."""
    optimizer = adam(model := small_model())
    train(model, 1, optimizer=optimizer)
    cvae.save(tmp_path / "model.pt", model, optimizer)
    return tmp_path / "model.pt", torch.load(tmp_path / "model.pt")


def test_load_refuses_other_and_damaged_files(checkpoint):
    path, state = checkpoint
    content = path.read_bytes()
    for size in {*range(0, len(content), 1999), 1, len(content) - 1, len(content) - 22}:
        path.write_bytes(content[:size])
        assert_refused(path)
    refused, entries = 0, [m.start() for m in re.finditer(b"PK\x01\x02", content)]
    # Byte 38 of a record's entry in the zip file may call it a folder, and PyTorch believes it.
    for place in (*range(0, len(content), 301), *(entry + 38 for entry in entries)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            cvae.load(path, other := small_model())
        except ValueError:
            refused += 1
        else:  # the bit was one that says nothing, such as padding
            torch.testing.assert_close(other.state_dict(), state["model"], rtol=0, atol=0)
    assert refused > 0
    for other in (b"not a checkpoint", state["model"], [1, 2]):
        torch.save(other, path)
        assert_refused(path)
    with pytest.raises(FileNotFoundError):
        cvae.load(path.with_name("absent.pt"), small_model())


class Payload:
    """A pickle that makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("made",)


SPOILED = [  # an entry of a checkpoint, and what is put into its place
    ("model", lambda good: "weights"),
    ("model", lambda good: good | {"fc1.bias": torch.ones(3)}),
    ("model", lambda good: good | {"fc9.bias": torch.ones(3)}),
    ("epoch", lambda good: -1),
    ("epoch", lambda good: Payload()),
    ("generator", lambda good: good[:100]),
    ("optimizer", lambda good: [1, 2]),
    ("optimizer", lambda good: torch.optim.SGD([torch.zeros(1)]).state_dict()),
    ("optimizer", lambda good: good | {"state": {0: {"momentum_buffer": torch.zeros(16, 28)}}}),
    (
        "optimizer",
        lambda good: good | {"state": {0: good["state"][0] | {"exp_avg": torch.ones(3)}}},
    ),
]


@pytest.mark.parametrize(("entry", "spoil"), SPOILED)
def test_load_refuses_what_is_no_checkpoint_of_this_model(checkpoint, entry, spoil, monkeypatch):
    path, state = checkpoint
    monkeypatch.chdir(path.parent)
    torch.save(state | {entry: spoil(state[entry])}, path)
    assert_refused(path)
    assert not os.path.exists("made")
    del state[entry]
    torch.save(state, path)
    assert_refused(path, "holds no optimizer; give one to save" if entry == "optimizer" else entry)
