"""Each algorithm module as an autograder meets it: alone in a folder, with few packages at hand.

A fresh process refuses every import but the standard library, the packages that the assignment
allows, and what those need themselves. There a module must be quiet at import, load nothing that
it does not use, and pass checks on random data and against the reference. The checks are sent to
that process as source, so each imports what it needs.
"""

import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED = {"numpy", "scipy", "sklearn", "matplotlib", "PIL", "torch"}
THEIR_OWN = {
    *(
        "joblib",
        "cloudpickle",
        "threadpoolctl",
        "narwhals",
        "packaging",
        "dateutil",
        "six",
        "pyparsing",
    ),
    *("cycler", "kiwisolver", "contourpy", "fontTools", "mpl_toolkits"),
    *("torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec"),
    *("typing_extensions", "filelock"),
}
LOADED = {  # which of the allowed packages importing a module loads
    "kmeans": {"numpy"},
    "gmm": {"numpy"},
    "gda": {"numpy"},
    "pca": {"numpy"},
    "ica": {"numpy"},
    "cvae": {"numpy", "torch"},
}
BLOCKED = ["numba", "tqdm", "pooch", "requests", "torchvision", "pytest", "data", "plots"]


def deny_others(allowed, blocked):
    """Make every other package than these look as if it were not installed."""
    import importlib
    import sys
    from importlib.machinery import PathFinder

    class AllowedFinder(PathFinder):
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            top = fullname.partition(".")[0]
            private = top.startswith("_")  # parts of the interpreter and of compiled packages
            if private or top in allowed | sys.stdlib_module_names:
                return super().find_spec(fullname, path, target)
            return None

    sys.meta_path[sys.meta_path.index(PathFinder)] = AllowedFinder
    for name in blocked:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        raise AssertionError(f"{name} can be imported, so this is no test")


def import_quietly(name, allowed):
    """Import the module; return it and the packages that came with it."""
    import contextlib
    import importlib
    import io
    import random
    import sys

    sys.path.insert(0, ".")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        module = importlib.import_module(name)
        loaded = sorted(set(allowed) & set(sys.modules))

        import numpy as np

        torch = sys.modules.get("torch")

        def states():
            numbers = np.random.get_state()[1].tolist()  # noqa: NPY002
            return random.getstate(), numbers, torch and torch.get_rng_state().tolist()

        for seed in (random.seed, np.random.seed, torch and torch.manual_seed):
            if seed:
                seed(12345)  # a state that no module would set
        before = states()
        importlib.reload(module)
        assert states() == before, "a global random state changed at import"
    assert output.getvalue() == "", f"printed at import: {output.getvalue()}"
    module.hello()
    return module, loaded


# Checks on random data


def check_kmeans(kmeans):
    import numpy as np
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(0)
    data = rng.normal(size=(600, 3)) + 4 * rng.integers(0, 2, size=(600, 3))
    theirs = KMeans(5, init=data[:5], n_init=1, tol=0, max_iter=100).fit(data)
    ours = kmeans.train_kmeans(data, data[:5], num_iterations=100)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(kmeans.assign_clusters(data, ours), theirs.labels_)


def check_gmm(gmm):
    import numpy as np

    from textbook import gmm as textbook

    rng = np.random.default_rng(0)
    data = rng.normal(size=(400, 2)) + 3 * rng.integers(0, 2, size=(400, 1))
    start = np.full(2, 0.5), data[:2], np.stack([4 * np.eye(2)] * 2)
    ours = gmm.train_gmm(data, *start, num_iterations=8)
    for a, b in zip(ours, textbook.train_gmm(data, *start, num_iterations=8)):  # noqa: B905
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def check_gda(gda):
    import numpy as np
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.normal(size=(60, 3)) + y[:, None]
    state = gda.fit_gda(x, y)
    qda = QuadraticDiscriminantAnalysis().fit(x, y)
    np.testing.assert_allclose(gda.predict_proba(x, state), qda.predict_proba(x), rtol=1e-8)
    values = []
    gda.train_gda(x[:10], y[:10], x[10:], callback=lambda iteration, J, state: values.append(J))
    assert np.all(np.diff(values) >= -1e-9 * np.abs(values[0]))


def check_pca(pca):
    import numpy as np
    from sklearn.decomposition import PCA

    for shape in ((50, 6), (8, 30)):
        data = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
        theirs = PCA(5, svd_solver="full").fit(data)
        U, eigenvalues = pca.pca(data, num_components=5)
        np.testing.assert_allclose(eigenvalues, theirs.explained_variance_, rtol=1e-9)
        np.testing.assert_allclose(np.abs(theirs.components_ @ U), np.eye(5), atol=1e-7)


def check_ica(ica):
    import numpy as np

    from textbook import ica as textbook

    rng = np.random.default_rng(0)
    X = ica.normalize(rng.laplace(size=(300, 3)) @ rng.normal(size=(3, 3)))
    rates = (0.1, 0.02)
    W = textbook.ica(X, learning_rates=rates)
    np.testing.assert_allclose(ica.ica(X, learning_rates=rates), W, rtol=1e-9)


def check_cvae(cvae):
    import numpy as np
    import torch

    rng = np.random.default_rng(0)
    x_hat, x = rng.uniform(0.1, 0.9, (5, 6)), rng.uniform(size=(5, 6))
    mu, logvar = rng.normal(size=(2, 5, 2))
    cross_entropy = -np.sum(x * np.log(x_hat) + (1 - x) * np.log(1 - x_hat), axis=1)
    kl = 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar, axis=1)
    loss = cvae.loss_function(*(torch.tensor(a) for a in (x_hat, x, mu, logvar)))
    np.testing.assert_allclose(loss.item(), np.mean(cross_entropy + kl), rtol=1e-12)

    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.eye(3)[labels].repeat(1, 4)  # (60, 12)
    model = cvae.CVAE(input_size=12, latent_size=2, num_classes=3, hidden_units=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batches = [(images[i : i + 20], labels[i : i + 20]) for i in (0, 20, 40)]
    losses = [cvae.train(epoch, model, batches, optimizer, 3).total for epoch in range(20)]
    assert losses[-1] < losses[0] / 2
    assert torch.equal(cvae.generate(model, [0, 1, 2])[:, :3].argmax(1), torch.arange(3))


# Checks against the reference


def compare_kmeans(kmeans, reference, folder):
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(f"{folder}/mandrill-small.tiff")).reshape(-1, 3).astype(float)
    large = np.asarray(Image.open(f"{folder}/mandrill-large.tiff"))
    initial = pixels[reference["initial_centroid_indices"]]
    compressed = kmeans.compress_image(large, kmeans.train_kmeans(pixels, initial))
    error = kmeans.mean_pixel_error(large, compressed)
    np.testing.assert_allclose(error, reference["mean_pixel_error_float"], rtol=0, atol=1e-9)


def compare_gmm(gmm, reference, folder):
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(f"{folder}/mandrill-small.tiff")).reshape(-1, 3).astype(float)
    initial = pixels[reference["initial_mu_indices"]]
    state = gmm.train_gmm(pixels, np.full(5, 0.2), initial, np.stack([1000 * np.eye(3)] * 5))
    np.testing.assert_allclose(
        gmm.log_likelihood(pixels, state), reference["log_likelihood_after_50_steps"], rtol=1e-6
    )
    np.testing.assert_allclose(state.mu, reference["mu"], rtol=0, atol=0.005)


def compare_pca(pca, reference, folder):
    import numpy as np

    _, eigenvalues = pca.pca(np.load(f"{folder}/face.npy").reshape(2414, -1))
    expected = reference["first_10_eigenvalues_ddof1"]
    np.testing.assert_allclose(eigenvalues[:10], expected, rtol=1e-8)
    assert pca.num_components_for(eigenvalues, 0.95) == reference["components_95"]


def compare_ica(ica, reference, folder):
    import numpy as np

    W = ica.ica(ica.normalize(np.loadtxt(f"{folder}/ica_data.dat")))
    np.testing.assert_allclose(W, reference["W"], rtol=0, atol=1e-5)


def compare_cvae(cvae, reference, folder):
    model = cvae.CVAE(input_size=784, latent_size=20, num_classes=10)
    layers = [f"{n} {p.in_features}->{p.out_features}" for n, p in model.named_children()]
    assert layers == reference["layers"]


# The tests


def run_alone(folder, name, *checks):
    """Copy the module into the folder and run the checks there, each with its arguments.

    Returns
    -------
    list of str
        What the import loaded.
    """
    shutil.copy(ROOT / f"{name}.py", folder)
    shutil.copytree(ROOT / "textbook", folder / "textbook")  # for the checks
    functions = [deny_others, import_quietly, *(check for check, *_ in checks)]
    lines = [
        *map(inspect.getsource, functions),
        f"deny_others({ALLOWED | THEIR_OWN | {name, 'textbook'}!r}, {BLOCKED!r})",
        f"module, loaded = import_quietly({name!r}, {ALLOWED!r})",
        *(f"{check.__name__}(module, *{arguments!r})" for check, *arguments in checks),
        "import json; print(json.dumps(loaded))",
    ]
    (folder / "harness.py").write_text("\n\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "harness.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    greeting, *_, loaded = done.stdout.splitlines()  # between them cvae.train tells its losses
    assert greeting == f"Hello from {name}.py!"
    return json.loads(loaded)


@pytest.mark.parametrize("name", LOADED)
def test_a_module_works_alone(tmp_path, name):
    loaded = run_alone(tmp_path, name, (globals()[f"check_{name}"],))
    assert set(loaded) == LOADED[name]


@pytest.mark.parametrize("name", ["kmeans", "gmm", "pca", "ica", "cvae"])
def test_a_module_alone_gives_the_reference(tmp_path, name, originals):
    reference = json.loads((ROOT / "data" / "reference.json").read_text(encoding="utf-8"))[name]
    run_alone(tmp_path, name, (globals()[f"compare_{name}"], reference, str(originals)))
