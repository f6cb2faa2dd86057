"""The data package: loaders, damaged files, comparison, the downloader and `python -m data`.

The downloader is tested against a real server on this machine; nothing here uses the network.
"""

import contextlib
import gzip
import hashlib
import html
import io
import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections import defaultdict
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.sparse.linalg import svds
from scipy.stats import kurtosis

import data
import data.__main__
from data import download, heads, idx, loaders, sounds
from data.comparison import MIME_TYPE, Comparison, Row
from tests.conftest import ROOT

SMALL, LARGE = "mandrill-small.tiff", "mandrill-large.tiff"
IMAGES, LABELS = "MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"
LOADERS = {
    SMALL: data.load_mandrill,
    LARGE: data.load_mandrill,
    "face.npy": data.load_faces,
    "ica_data.dat": data.load_audio,
    IMAGES: lambda: data.load_mnist("train"),
    LABELS: lambda: data.load_mnist("train"),
}


def idx_bytes(array):
    """Return the IDX file of an array of bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def npy_bytes(array, **kwargs):
    file = io.BytesIO()
    np.save(file, array, **kwargs)
    return file.getvalue()


def tiff_bytes(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "TIFF")
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture(scope="session")
def faces():
    return heads.render_faces()


@pytest.fixture(scope="session")
def audio():
    return sounds.mix_sources()


@pytest.fixture
def quick_stand_ins(monkeypatch, faces, audio):
    """Make the stand-ins that take seconds only once."""
    monkeypatch.setattr(heads, "render_faces", lambda: faces)
    monkeypatch.setattr(sounds, "mix_sources", lambda: audio)


@pytest.fixture(scope="session")
def own_arrays():
    """What the files of somebody who brings their own hold."""
    rng = np.random.default_rng(0)
    return {
        SMALL: rng.integers(0, 256, (128, 128, 3), dtype=np.uint8),
        LARGE: rng.integers(0, 256, (512, 512, 3), dtype=np.uint8),
        "face.npy": rng.integers(0, 256, (2414, 48, 42), dtype=np.uint8),
        "ica_data.dat": rng.integers(-99, 99, (53442, 5)).astype(float),
        IMAGES: rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        LABELS: rng.integers(0, 10, 20, dtype=np.uint8),
    }


@pytest.fixture(scope="session")
def own_files(own_arrays):
    """The files themselves, name -> bytes."""
    table = io.BytesIO()
    np.savetxt(table, own_arrays["ica_data.dat"], fmt="%d")
    as_file = {".tiff": tiff_bytes, ".npy": npy_bytes, ".dat": lambda _: table.getvalue()}
    return {
        name: as_file.get(Path(name).suffix, idx_bytes)(array) for name, array in own_arrays.items()
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that COURSEWORK_DATA names; the package's own folder is empty too."""
    path = tmp_path / "data"
    path.mkdir()
    (tmp_path / "package").mkdir()
    monkeypatch.setenv("COURSEWORK_DATA", str(path))
    monkeypatch.setattr(loaders, "FOLDER", tmp_path / "package")
    return path


# Loaders


def test_importing_the_package_is_light_and_silent():
    heavy = {"pooch", "requests", "tqdm", "PIL", "scipy", "sklearn", "torch", "torchvision"}
    code = f"import sys, data; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def check_records(mandrill, faces, audio, train, test, source):
    """Check what the loaders promise, whatever the data come from."""
    for array, shape, dtype in [
        (mandrill.small, (128, 128, 3), np.uint8),
        (mandrill.large, (512, 512, 3), np.uint8),
        (faces.images, (2414, 48, 42), np.uint8),
        (audio.mix, (53442, 5), np.float64),
        (train.images, (len(train.labels), 28, 28), np.uint8),
        (test.images, (len(test.labels), 28, 28), np.uint8),
        (train.labels, (len(train.images),), np.int64),
        (test.labels, (len(test.images),), np.int64),
    ]:
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.writeable
    assert audio.rate == 11025
    assert {x.source for x in (mandrill, faces, audio, train, test)} == {source}
    assert set(train.labels) == set(test.labels) == set(range(10))


def load_all():
    return (
        data.load_mandrill(),
        data.load_faces(),
        data.load_audio(),
        data.load_mnist("train"),
        data.load_mnist("test"),
    )


def test_originals(originals, capsys):
    mandrill, faces, audio, train, test = load_all()
    check_records(mandrill, faces, audio, train, test, "original")
    assert capsys.readouterr().out == ""
    assert (len(train.labels), len(test.labels)) == (60_000, 10_000)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    # The small mandrill is the large one seen from further away.
    shrunk = mandrill.large.reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), mandrill.small.ravel())[0, 1] > 0.95


def test_stand_ins(folder, capsys, quick_stand_ins):
    mandrill, faces, audio, train, test = load_all()
    check_records(mandrill, faces, audio, train, test, "stand-in")
    assert (len(train.labels), len(test.labels)) == (1500, 297)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert f"in {folder} or {loaders.FOLDER}: using a stand-in" in line
        assert "python -m data" in line
    again = data.load_mandrill(), data.load_mnist("test")
    np.testing.assert_array_equal(again[0].small, mandrill.small)
    np.testing.assert_array_equal(again[1].images, test.images)


def test_stand_in_digits_can_be_told_apart(folder):
    """The nearest class mean on the training part names most digits of the other part."""
    train, test = data.load_mnist("train"), data.load_mnist("test")
    means = np.stack([train.images[train.labels == k].mean(axis=0) for k in range(10)])
    gaps = ((test.images[:, None].astype(float) - means) ** 2).sum(axis=(2, 3))  # (297, 10)
    assert (gaps.argmin(axis=1) == test.labels).mean() > 0.8
    assert train.images.max() == 255
    border = np.ones((28, 28), bool)
    border[4:24, 4:24] = False
    assert not train.images[:, border].any()


def test_own_files(folder, own_files, own_arrays, capsys):
    for name, content in own_files.items():
        write(folder / name, content)
    mandrill, digits = data.load_mandrill(), data.load_mnist("train")
    for name, loaded in {
        SMALL: mandrill.small,
        LARGE: mandrill.large,
        "face.npy": data.load_faces().images,
        "ica_data.dat": data.load_audio().mix,
        IMAGES: digits.images,
        LABELS: digits.labels,
    }.items():
        np.testing.assert_array_equal(loaded, own_arrays[name])
    assert mandrill.source == digits.source == "original"
    assert capsys.readouterr().out == ""


def test_lookup_order(folder, own_files, own_arrays, monkeypatch):
    pictures = np.flip(own_arrays["face.npy"])
    write(loaders.FOLDER / "face.npy", npy_bytes(pictures))
    np.testing.assert_array_equal(data.load_faces().images, pictures)
    write(folder / "face.npy", own_files["face.npy"])
    np.testing.assert_array_equal(data.load_faces().images, own_arrays["face.npy"])
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("COURSEWORK_DATA")
        else:
            monkeypatch.setenv("COURSEWORK_DATA", unset)
        np.testing.assert_array_equal(data.load_faces().images, pictures)


def test_named_folder_wins_even_if_only_gzipped(folder, own_files, own_arrays):
    for name in own_files:
        if name.startswith("MNIST"):
            write(folder / f"{name}.gz", gzip.compress(own_files[name]))
            write(loaders.FOLDER / name, idx_bytes(np.flip(own_arrays[name])))
    digits = data.load_mnist("train")
    np.testing.assert_array_equal(digits.images, own_arrays[IMAGES], strict=True)
    np.testing.assert_array_equal(digits.labels, own_arrays[LABELS])


def test_named_folder_may_be_relative_or_under_home(folder, own_files, monkeypatch, tmp_path):
    write(folder / "face.npy", own_files["face.npy"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSEWORK_DATA", "data")
    assert data.load_faces().source == "original"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COURSEWORK_DATA", "~/data")
    assert data.load_faces().source == "original"


def test_a_named_folder_that_is_none_shows(folder, monkeypatch, capsys):
    monkeypatch.setenv("COURSEWORK_DATA", str(folder / "misspelt"))
    assert data.load_mandrill().source == "stand-in"
    assert f"{folder / 'misspelt'} (which is no folder) or" in capsys.readouterr().out


@pytest.mark.parametrize("halves", [(SMALL, LARGE), (LARGE, SMALL), (IMAGES, LABELS)])
def test_two_halves_in_two_folders_are_no_pair(folder, own_files, halves, capsys):
    one, other = halves
    write(folder / one, own_files[one])
    assert LOADERS[one]().source == "stand-in"
    write(loaders.FOLDER / other, own_files[other])
    assert LOADERS[one]().source == "stand-in"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(one in line and other in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("validation",), ValueError, '"train" or "test", got \'validation\''),
        (("train", 0), ValueError, "at least 1, got 0"),
        (("train", -3), ValueError, "at least 1, got -3"),
        (("train", 2.0), TypeError, "integer or None, got 2.0"),
        (("train", True), TypeError, "integer or None, got True"),
    ],
)
def test_arguments_of_load_mnist(folder, arguments, error, words):
    with pytest.raises(error, match=words):
        data.load_mnist(*arguments)


# Damaged files


def object_array():
    array = np.empty(3, object)
    return npy_bytes(array, allow_pickle=True)


def npz_bytes():
    file = io.BytesIO()
    np.savez(file, np.arange(3))
    return file.getvalue()


def table_bytes(value=0.0, rows=53442, columns=5):
    """A table whose last row holds `value`."""
    lines = [" ".join("12345"[:columns])] * (rows - 1) + [" ".join([str(value)] * columns)]
    return "\n".join(lines).encode()


# What is done to a whole file, and what the error must say beside the file's name.
DAMAGE = [
    (SMALL, lambda b: b"", "cannot be read"),
    (SMALL, lambda b: b[: len(b) // 2], "cannot be read"),
    (SMALL, lambda b: b[:20], "cannot be read"),
    (LARGE, lambda b: b[: len(b) // 2], "cannot be read"),
    (SMALL, lambda b: b"<!DOCTYPE html><html></html>", "cannot be read"),
    (SMALL, lambda b: npy_bytes(np.zeros((128, 128, 3), np.uint8)), "cannot be read"),
    (SMALL, lambda b: tiff_bytes(np.eye(128, dtype=np.uint8)), "holds uint8 (128, 128)"),
    (SMALL, lambda b: tiff_bytes(np.eye(64, dtype=np.uint16)), "holds uint16 (64, 64)"),
    (LARGE, lambda b: tiff_bytes(np.zeros((128, 128, 3), np.uint8)), "holds uint8 (128, 128, 3)"),
    (SMALL, lambda b: tiff_bytes(np.full((128, 128, 3), 7, np.uint8)), "every value in it is 7"),
    ("face.npy", lambda b: b"", "cannot be read"),
    ("face.npy", lambda b: b[:50], "cannot be read"),
    ("face.npy", lambda b: b[:-1], "cannot be read"),
    ("face.npy", lambda b: b"not an array", "cannot be read"),
    ("face.npy", lambda b: b.replace(b"(2414,", b"(2414 ", 1), "cannot be read"),
    ("face.npy", lambda b: b.replace(b"(2414, 48, 42), }", b"(2414, 48, 42", 1), "cannot be read"),
    ("face.npy", lambda b: b.replace(b"(2414, 48, 42)", b"(99999999, 42)", 1), "cannot be read"),
    ("face.npy", lambda b: object_array(), "Python objects"),
    ("face.npy", lambda b: pickle.dumps([1, 2, 3]), "cannot be read"),
    ("face.npy", lambda b: npz_bytes(), "cannot be read"),
    ("face.npy", lambda b: npy_bytes(np.zeros((2414, 42, 48), np.uint8)), "(2414, 42, 48)"),
    ("face.npy", lambda b: npy_bytes(np.zeros((2414, 48, 42), np.int8)), "holds int8 (2414,"),
    ("face.npy", lambda b: npy_bytes(np.zeros((2414, 48, 42), np.uint8)), "every value in it is 0"),
    ("ica_data.dat", lambda b: b"", "cannot be read"),
    ("ica_data.dat", lambda b: b[: len(b) // 2], ""),
    ("ica_data.dat", lambda b: b.replace(b"\n", b" 1\n", 1), "cannot be read"),
    ("ica_data.dat", lambda b: b"x" + b, "cannot be read"),
    ("ica_data.dat", lambda b: bytes(range(256)) * 9, "cannot be read"),
    ("ica_data.dat", lambda b: table_bytes(np.nan), "NaN or infinity"),
    ("ica_data.dat", lambda b: table_bytes(-np.inf), "NaN or infinity"),
    ("ica_data.dat", lambda b: table_bytes(columns=4), "holds float64 (53442, 4)"),
    ("ica_data.dat", lambda b: table_bytes(rows=100), "holds float64 (100, 5)"),
    ("ica_data.dat", lambda b: b"3 3 3 3 3\n" * 53442, "every value in it is 3"),
    (IMAGES, lambda b: b"", "starts with '' instead of '00000803'"),
    (IMAGES, lambda b: b"<html>" + b, "instead of '00000803'"),
    (IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:], "starts with '00000d03'"),  # float32
    (IMAGES, lambda b: b[:11], "ends within its header, after 11 bytes"),
    (IMAGES, lambda b: b[:16], "its header says [20, 28, 28], 15696 bytes in all; it has 16"),
    (IMAGES, lambda b: b[:-1], "it has 15695"),
    (IMAGES, lambda b: b + b"\0", "it has 15697"),
    (IMAGES, lambda b: b[:4] + b"\xff" * 12 + b[16:], "its header says [4294967295,"),
    (IMAGES, lambda b: idx_bytes(np.zeros((0, 28, 28), np.uint8)), "it is empty"),
    (IMAGES, lambda b: idx_bytes(np.zeros((20, 0, 28), np.uint8)), "it is empty"),
    (IMAGES, lambda b: idx_bytes(np.zeros((20, 14, 14), np.uint8)), "(N, 28, 28), it holds uint8"),
    (IMAGES, lambda b: idx_bytes(np.zeros((20, 28, 28), np.uint8)), "every value in it is 0"),
    (LABELS, lambda b: idx_bytes(np.zeros((20, 28, 28), np.uint8)), "starts with '00000803'"),
    (LABELS, lambda b: b[:7], "ends within its header, after 7 bytes"),
    (LABELS, lambda b: b[:-1], "it has 27"),
    (LABELS, lambda b: idx_bytes(np.zeros(0, np.uint8)), "it is empty"),
    (
        LABELS,
        lambda b: idx_bytes(np.r_[np.zeros(15), 10, 0, 0, 0, 0].astype(np.uint8)),
        "10 at 15",
    ),
]


@pytest.mark.parametrize(
    ("name", "damage", "words"), DAMAGE, ids=[f"{i}-{name}" for i, (name, *_) in enumerate(DAMAGE)]
)
@pytest.mark.filterwarnings("error")
def test_damaged_files_are_named(folder, own_files, name, damage, words):
    kin = [other for other in own_files if other.split("-")[0] == name.split("-")[0]]
    for other in kin:
        write(folder / other, own_files[other])
    assert damage(own_files[name]) != own_files[name]
    write(folder / name, damage(own_files[name]))
    with pytest.raises(ValueError) as caught:
        LOADERS[name]()
    message = str(caught.value)
    assert message.startswith(f"{folder / name} is not the file it should be: ")
    assert words in message
    assert message.endswith("Move it away and run: python -m data")
    assert "\n" not in message


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(folder, tmp_path):
    trap = np.empty(1, object)
    trap[0] = Trap(tmp_path / "sprung")
    for content in (pickle.dumps(trap[0]), npy_bytes(trap, allow_pickle=True)):
        write(folder / "face.npy", content)
        with pytest.raises(ValueError, match="cannot be read"):
            data.load_faces()
    assert not (tmp_path / "sprung").exists()
    np.load(folder / "face.npy", allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # it was armed


@pytest.mark.parametrize("name", [SMALL, "face.npy", IMAGES, LABELS])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's, about what it finds in a TIFF
def test_no_flipped_byte_gets_past_as_another_error(folder, own_files, name):
    """Whatever the damage: the promised array or a ValueError that names the file."""
    for other, content in own_files.items():
        if other.split("-")[0] == name.split("-")[0]:
            write(folder / other, content)
    whole = LOADERS[name]()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(40):
        content = bytearray(own_files[name])
        for i in rng.integers(min(128, len(content)), size=rng.integers(1, 4)):  # the header
            content[i] = rng.integers(256)
        (folder / name).write_bytes(content)
        try:
            loaded = LOADERS[name]()
        except ValueError as error:
            refused += 1
            assert str(folder / name) in str(error) or str(folder / IMAGES) in str(error)
        else:
            assert [np.shape(a) for a in loaded] == [np.shape(a) for a in whole]
    assert refused > 5


def test_images_and_labels_must_be_as_many(folder, own_files, own_arrays):
    write(folder / IMAGES, own_files[IMAGES])
    write(folder / LABELS, idx_bytes(own_arrays[LABELS][:-1]))
    for limit in (None, 5):
        with pytest.raises(ValueError, match="20 images and .* 19 labels: they do not belong"):
            data.load_mnist("train", limit)


# IDX


def test_idx_reads_plain_and_gzipped_alike(tmp_path):
    array = np.random.default_rng(2).integers(0, 256, (7, 3, 5), dtype=np.uint8)
    (tmp_path / "plain").write_bytes(idx_bytes(array))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(idx.read(tmp_path / "plain", 3), array, strict=True)
    np.testing.assert_array_equal(idx.read(tmp_path / "packed.gz", 3), array, strict=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:-6],  # within the check sum
        lambda b: b[:5],
        lambda b: b[:40] + bytes(20) + b[60:],
        lambda b: b[:-8] + b"\1\2\3\4" + b[-4:],  # a wrong check sum
        lambda b: gzip.decompress(b),  # not gzipped at all
    ],
)
def test_damaged_gzip(folder, own_files, damage):
    write(folder / LABELS, own_files[LABELS])
    packed = gzip.compress(own_files[IMAGES])
    write(folder / f"{IMAGES}.gz", packed)
    data.load_mnist("train")
    write(folder / f"{IMAGES}.gz", damage(packed))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz .*cannot be read"):
        data.load_mnist("train")


@pytest.mark.parametrize("limit", [1, np.int64(7), 20, 1000])
def test_limit(folder, own_files, own_arrays, limit):
    write(folder / IMAGES, own_files[IMAGES])
    write(folder / LABELS, own_files[LABELS])
    images, labels, _ = data.load_mnist("train", limit)
    np.testing.assert_array_equal(images, own_arrays[IMAGES][:limit])
    np.testing.assert_array_equal(labels, own_arrays[LABELS][:limit])
    assert images.base is None  # the rest of the file is not kept in memory


def test_limit_of_the_stand_in(folder):
    images, labels, source = data.load_mnist("test", 3)
    assert (images.shape, labels.shape, source) == ((3, 28, 28), (3,), "stand-in")


def test_equal_labels_are_no_damage(folder, own_files):
    write(folder / IMAGES, own_files[IMAGES])
    write(folder / LABELS, idx_bytes(np.full(20, 7, np.uint8)))
    assert set(data.load_mnist("train").labels) == {7}


# Reference and comparison


def verdicts(section, ours, source="original"):
    return [row.verdict for row in data.compare(section, ours, source)]


@pytest.mark.parametrize(
    ("section", "name", "change", "verdict"),
    [
        ("kmeans", "mean_pixel_error_float", lambda x: x + 5e-10, "agrees"),
        ("kmeans", "mean_pixel_error_float", lambda x: x + 5e-9, "DIFFERS"),
        ("kmeans", "mean_pixel_error_float", lambda x: np.float64(x), "agrees"),
        ("kmeans", "mean_pixel_error_float", lambda x: np.nan, "DIFFERS"),
        ("kmeans", "final_counts", np.array, "agrees"),
        ("kmeans", "final_counts", lambda x: np.array(x)[::-1], "DIFFERS"),
        ("kmeans", "final_counts", lambda x: x[:-1], "DIFFERS"),
        ("kmeans", "final_counts", lambda x: [x], "DIFFERS"),
        ("gmm", "log_likelihood_after_50_steps", lambda x: x * (1 + 9e-7), "agrees"),
        ("gmm", "log_likelihood_after_50_steps", lambda x: x * (1 + 2e-6), "DIFFERS"),
        ("gmm", "mean_pixel_error_float", lambda x: x * (1 + 9e-7), "DIFFERS"),
        ("gmm", "mu", lambda x: np.array(x) + 0.0049, "agrees"),
        ("gmm", "mu", lambda x: np.array(x) + 0.006, "DIFFERS"),
        ("gmm", "pi", lambda x: np.array(x) - 0.006, "DIFFERS"),
        ("gmm", "sigma", lambda x: np.array(x) - 0.006, "DIFFERS"),
        ("pca", "components_95", lambda x: x, "agrees"),
        ("pca", "components_95", lambda x: x + 1, "DIFFERS"),
        ("pca", "first_10_eigenvalues_ddof1", lambda x: np.array(x) * 2413 / 2414, "DIFFERS"),
        ("ica", "W", lambda x: np.array(x) + 9e-6, "agrees"),
        ("ica", "W", lambda x: np.array(x).T, "DIFFERS"),
        ("cvae", "layers", list, "agrees"),
        ("cvae", "layers", lambda x: x[::-1], "DIFFERS"),
        ("cvae", "plain_loop_test_negative_elbo_nats", lambda x: max(x) + 1.4, "agrees"),
        ("cvae", "plain_loop_test_negative_elbo_nats", lambda x: min(x) - 1.6, "DIFFERS"),
        ("cvae", "plain_loop_label_fidelity_of_prior_samples", lambda x: 0.81, "DIFFERS"),
    ],
)
def test_compare(section, name, change, verdict):
    ours = {name: change(data.reference(section)[name])}
    assert verdicts(section, ours) == [verdict]
    assert verdicts(section, ours, "stand-in") == ["stand-in data, not compared"]


def test_compare_takes_a_dict_apart():
    name = "training_mean_error_by_iteration"
    ours = data.reference("kmeans")[name]
    ours["49"] += 1
    rows = data.compare("kmeans", {name: ours}, "original")
    assert [row.name for row in rows] == [f"kmeans.{name}[{i}]" for i in (0, 1, 49)]
    assert [row.verdict for row in rows] == ["agrees", "agrees", "DIFFERS"]
    assert rows[2].reference == "19.490192368507554"
    assert rows[2].ours == "20.490192368507554"


def test_unknown_names():
    with pytest.raises(KeyError, match=r"'lda'.*kmeans, gmm, pca, ica, cvae"):
        data.reference("lda")
    with pytest.raises(KeyError, match="'pca' has no 'components_90'"):
        data.compare("pca", {"components_90": 1}, "original")


def test_callers_cannot_change_the_reference():
    data.reference("pca").clear()
    assert data.reference("pca")["components_95"] == 43


def test_comparison_shows_as_a_table():
    rows = data.compare("pca", {"components_95": 43, "components_99": 170}, "original")
    assert repr(rows).splitlines() == [
        "name               reference  ours  verdict",
        "pca.components_95  43         43    agrees",
        "pca.components_99  167        170   DIFFERS",
    ]
    assert repr(Comparison()) == "name  reference  ours  verdict"
    tricky = Comparison([Row("<b>&", '"', "<script>", "agrees")])
    bundle = tricky._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(tricky)
    cells = [html.escape(cell) for cell in tricky[0]]
    assert f"<td>{'</td><td>'.join(cells)}</td>" in bundle["text/html"]
    assert "<script>" not in bundle["text/html"]
    assert [Row(*row) for row in json.loads(json.dumps(bundle[MIME_TYPE]))] == tricky
    assert "(5, 5)" in data.compare("ica", {"W": np.eye(5)}, "original")[0].ours


# The downloader, against a server on this machine

BODY = np.random.default_rng(3).bytes(300_000)
HALF = BODY[:150_000]
NAME = "some.bin"
MANIFEST = {NAME: (hashlib.sha256(BODY).hexdigest(), {download.git_blob_sha1(BODY)})}


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with self.server.lock:
            answers = self.server.answers[self.path]
            answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else missing
            self.server.paths.append(self.path)
        with contextlib.suppress(OSError):  # the client has had enough
            answer(self)

    def start(self, status=200, **headers):
        self.send_response(status)
        self.send_header("connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *args):
        pass


def missing(request):
    request.start(404, content_length=0)


def broken(request):
    request.start(503, content_length=0)


def sends(body, **headers):
    def answer(request):
        request.start(**{"content_length": len(body), "content_type": "text/html"} | headers)
        request.wfile.write(body)

    return answer


whole = sends(BODY)
page = sends(b"<!DOCTYPE html>\n<title>Please log in</title>")


def gzipped(request):
    sends(gzip.compress(BODY), content_encoding="gzip")(request)


def chunked(request, body=BODY, end=b"0\r\n\r\n"):
    request.start(transfer_encoding="chunked")
    for start in range(0, len(body), 100_000):
        chunk = body[start : start + 100_000]
        request.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    request.wfile.write(end)


def unmeasured(request):
    """Say no length: the end of the connection is the end of the file."""
    request.start()
    request.wfile.write(BODY)


def silent(request):
    request.close_connection = True
    request.server.over.wait()


def stalls(request):
    request.start(content_length=len(BODY))
    request.wfile.write(HALF)
    request.wfile.flush()
    request.server.over.wait()


def trickles(request):
    request.start(content_length=len(BODY))
    for i in range(len(BODY)):
        request.wfile.write(BODY[i : i + 1])
        if request.server.over.wait(0.02):
            break


def redirects_to(path):
    return lambda request: request.start(302, location=path, content_length=0)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.answers = defaultdict(list)  # path -> what to do at each request; the last is repeated
        self.paths = []  # of the requests that came
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def hasty(monkeypatch):
    """A manifest of one small file, and no pause between two tries."""
    monkeypatch.setattr(download, "MANIFEST", MANIFEST)
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda seconds: None))


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "answers",
    [
        [whole],
        [gzipped],
        [chunked],
        [unmeasured],
        [redirects_to("/elsewhere/file")],
        [broken, whole],
        [page, whole],
        [sends(HALF, content_length=len(BODY)), whole],
        [missing, sends(HALF), whole],
    ],
)
def test_fetch(tmp_path, server, hasty, answers):
    server.answers[f"/m/{NAME}"] = list(answers)
    server.answers["/elsewhere/file"] = [whole]
    before = os.umask(0o027)
    try:
        path = download.fetch(NAME, tmp_path / "new" / "folder", mirrors=[f"{server.url}/m/"])
    finally:
        os.umask(before)
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == [NAME]
    assert path.stat().st_mode & 0o777 == 0o640
    assert len([p for p in server.paths if p.startswith("/m/")]) == len(answers)


@pytest.mark.parametrize(
    ("answer", "words", "limits"),
    [
        (missing, "404 Client Error", {}),
        (broken, "503 Server Error", {}),
        (page, "not the original but 44 bytes that start with b'<!DOCTYPE html>'", {}),
        (sends(BODY[::-1]), "not the original but 300000 bytes", {}),
        (sends(b""), "not the original but 0 bytes", {}),
        (sends(HALF), "not the original but 150000 bytes", {}),
        (sends(HALF, content_length=len(BODY)), "it broke off", {}),
        (lambda request: chunked(request, HALF, end=b""), "it broke off", {}),
        (sends(gzip.compress(BODY)[:-100], content_encoding="gzip"), "not the original", {}),
        (sends(b"\x1f\x8b" + bytes(100), content_encoding="gzip"), "it broke off", {}),
        (redirects_to(f"/{NAME}"), "Exceeded 30 redirects", {}),
        (redirects_to("/nowhere"), "404 Client Error", {}),
        (silent, "does not answer (ReadTimeout)", {"stall_limit": 0.2}),
        (stalls, "Read timed out", {"stall_limit": 0.8}),
        (trickles, "not done after 0.4 seconds", {"time_limit": 0.4}),  # of 100 minutes
    ],
)
def test_failed_fetch_leaves_nothing(tmp_path, server, hasty, answer, words, limits):
    server.answers[f"/{NAME}"] = [answer]
    with pytest.raises(download.DownloadError) as caught:
        download.fetch(NAME, tmp_path, mirrors=[server.url], **limits)
    message = str(caught.value)
    assert words in message
    assert message.startswith("127.0.0.1:")
    assert "\n" not in message
    assert left_in(tmp_path) == []
    if "redirects" not in words:
        assert server.paths.count(f"/{NAME}") == download.TRIES
    assert caught.value.unreachable == ([server.url] if answer is silent else [])


def test_second_mirror(tmp_path, server, hasty):
    server.answers[f"/first/{NAME}"] = [page]
    server.answers[f"/second/{NAME}"] = [broken, whole]
    mirrors = [closed_port(), f"{server.url}/first", f"{server.url}/second"]
    assert download.fetch(NAME, tmp_path, mirrors=mirrors).read_bytes() == BODY
    assert server.paths == [f"/first/{NAME}"] * 3 + [f"/second/{NAME}"] * 2
    assert left_in(tmp_path) == [NAME]


def test_no_network(tmp_path, hasty):
    mirrors = [closed_port(), closed_port()]
    with pytest.raises(download.DownloadError, match=r"does not answer \(ConnectionError\); ") as e:
        download.fetch(NAME, tmp_path, mirrors=mirrors)
    assert e.value.unreachable == mirrors
    with pytest.raises(download.DownloadError, match="no mirror answers"):
        download.fetch(NAME, tmp_path, mirrors=[])
    assert left_in(tmp_path) == []


def test_a_file_that_is_there_is_left_alone(tmp_path, server, hasty):
    server.answers[f"/{NAME}"] = [whole]
    download.fetch(NAME, tmp_path, mirrors=[server.url])
    assert download.fetch(NAME, tmp_path, mirrors=[server.url]) == tmp_path / NAME
    (tmp_path / NAME).write_bytes(b"my own")
    with pytest.raises(download.DownloadError, match="is there, but is not the original: move"):
        download.fetch(NAME, tmp_path, mirrors=[server.url])
    assert (tmp_path / NAME).read_bytes() == b"my own"
    assert server.paths == [f"/{NAME}"]


def test_full_disk(tmp_path, server, hasty):
    """A limit on the size of a file gives the error that a full disk gives, on any machine."""
    server.answers[f"/{NAME}"] = [whole]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(download.DownloadError, match="cannot be saved in .*: File too large"):
            download.fetch(NAME, tmp_path, mirrors=[server.url, server.url])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_in(tmp_path) == []
    assert server.paths == [f"/{NAME}"]  # to try again would not help
    download.fetch(NAME, tmp_path, mirrors=[server.url])


def test_read_only_folder(server, hasty):
    with tempfile.TemporaryDirectory() as place:  # tmp_path lies where only its owner may look
        folder = Path(place) / "folder"
        folder.mkdir()
        folder.chmod(0o555)
        Path(place).chmod(0o755)
        is_root = os.geteuid() == 0
        if is_root:  # to whom nothing is forbidden
            os.seteuid(65534)
        try:
            with pytest.raises(download.DownloadError, match="cannot be saved in .*: Permission"):
                download.fetch(NAME, folder, mirrors=[server.url])
        finally:
            if is_root:
                os.seteuid(0)
        assert left_in(folder) == []
        with pytest.raises(download.DownloadError, match="cannot be saved in"):
            write(Path(place) / "file", b"")
            download.fetch(NAME, Path(place) / "file", mirrors=[server.url])
    assert server.paths == []


# `python -m data` with another mirror, folder and manifest.
DRIVER = f"""
import runpy, sys
from pathlib import Path
from data import download, loaders
download.MIRRORS = [sys.argv[1]]
loaders.FOLDER = Path(sys.argv[2])
download.MANIFEST = {MANIFEST}
sys.argv[1:] = []
runpy.run_module("data", run_name="__main__")
"""
FETCH = (
    DRIVER.rsplit("\n", 3)[0] + f"\ndownload.fetch({NAME!r}, sys.argv[2], mirrors=[sys.argv[1]])"
)


def start_process(code, server, folder):
    environment = {k: v for k, v in os.environ.items() if k != "COURSEWORK_DATA"}
    return subprocess.Popen(
        [sys.executable, "-c", code, server.url, str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_download(tmp_path, server, hasty, number):
    server.answers[f"/{NAME}"] = [stalls, whole]
    process = start_process(DRIVER, server, tmp_path)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in tmp_path.iterdir()):  # until it is midway
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("", "")
    if number == signal.SIGKILL:
        assert process.returncode == -number
        assert all(name.startswith("tmp") for name in left_in(tmp_path))  # as in .gitignore
    else:
        assert process.returncode == 128 + number
        assert left_in(tmp_path) == []
    assert download.fetch(NAME, tmp_path, mirrors=[server.url]).read_bytes() == BODY


def test_two_processes_at_once(tmp_path, server):
    both_are_here = threading.Barrier(2, timeout=30)

    def together(request):
        request.start(content_length=len(BODY))
        request.wfile.write(HALF)
        request.wfile.flush()
        both_are_here.wait()
        request.wfile.write(BODY[len(HALF) :])

    server.answers[f"/{NAME}"] = [together]
    processes = [start_process(FETCH, server, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    assert len(server.paths) == 2
    assert left_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == BODY


@pytest.mark.parametrize("content", [b"", b"hello\n", b"a\r\nb\0", BODY])
def test_git_blob_sha1(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    command = ["git", "hash-object", "--no-filters", str(tmp_path / "file")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert download.git_blob_sha1(content) == run.stdout.strip()


# MNIST comes through torchvision, here a false one

MNIST_NAMES = [name for names in loaders.MNIST_FILES.values() for name in names]


@pytest.fixture
def torchvision(monkeypatch):
    """Return a function that puts a class in the place of `torchvision.datasets.MNIST`."""

    def install(download_into):
        def MNIST(root, download=False):
            assert download
            raw = Path(root) / "MNIST" / "raw"
            raw.mkdir(parents=True)
            download_into(raw)

        datasets = types.ModuleType("torchvision.datasets")
        datasets.MNIST = MNIST
        package = types.ModuleType("torchvision")
        package.datasets = datasets
        monkeypatch.setitem(sys.modules, "torchvision", package)
        monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)

    return install


def writes_all(raw):
    assert socket.getdefaulttimeout() == download.STALL_LIMIT
    for name in MNIST_NAMES:
        (raw / name).write_text(name)
        (raw / f"{name}.gz").write_text("packed")


def test_fetch_mnist(tmp_path, torchvision):
    torchvision(writes_all)
    own = tmp_path / "new" / "MNIST" / "raw" / MNIST_NAMES[0]
    write(own, b"my own")
    assert download.fetch_mnist(tmp_path / "new") == own.parent
    assert left_in(tmp_path / "new") == sorted(["MNIST", "raw", *MNIST_NAMES])
    assert own.read_bytes() == b"my own"
    assert all((own.parent / name).read_text() == name for name in MNIST_NAMES[1:])
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (RuntimeError("Error downloading x:\nTried y, got:\nz"), download.DownloadError, "^Error"),
        (TimeoutError("timed out"), download.DownloadError, "^timed out$"),
        (OSError(28, "No space left on device"), download.DownloadError, "No space left"),
        (IncompleteRead(b"12"), download.DownloadError, "IncompleteRead"),
        (EOFError(), download.DownloadError, "^EOFError$"),
        (KeyboardInterrupt("now"), KeyboardInterrupt, "now"),
        (SystemExit(143), SystemExit, "143"),
    ],
)
def test_failed_fetch_of_mnist_leaves_nothing(tmp_path, torchvision, error, expected, words):
    def breaks_off(raw):
        (raw / MNIST_NAMES[0]).write_text("half")
        raise error

    torchvision(breaks_off)
    with pytest.raises(expected, match=words) as caught:
        download.fetch_mnist(tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []
    assert socket.getdefaulttimeout() is None


def test_interrupted_while_mnist_is_moved_into_place(tmp_path, torchvision, monkeypatch):
    def interrupted(source, target, moved=[]):  # noqa: B006
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(target)
        os.rename(source, target)

    torchvision(writes_all)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download.os, "replace", interrupted)
        download.fetch_mnist(tmp_path)
    assert left_in(tmp_path) == sorted(["MNIST", "raw", *MNIST_NAMES[:2]])
    download.fetch_mnist(tmp_path)
    assert all((tmp_path / "MNIST" / "raw" / name).read_text() == name for name in MNIST_NAMES)


def test_torchvision_that_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(download.DownloadError, match=r"^torchvision cannot be imported: \S"):
        download.fetch_mnist(tmp_path)
    assert left_in(tmp_path) == []


# python -m data


def test_everything_is_fetched_once(originals, folder, server, torchvision, monkeypatch, capsys):
    """From next to nothing to all originals; a second run finds them and asks nobody."""
    for name in loaders.MNIST_FILES["test"]:  # half of MNIST is not enough
        (folder / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
        (folder / "MNIST" / "raw" / name).symlink_to(originals / "MNIST" / "raw" / name)
    manifest = dict(download.MANIFEST)
    for name in manifest:
        content = (originals / name).read_bytes()
        server.answers[f"/{name}"] = [sends(content)]
        if manifest[name][0] is None:  # the recovered recording is not the original text
            manifest[name] = (None, {download.git_blob_sha1(content)})
    monkeypatch.setattr(download, "MANIFEST", manifest)
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    torchvision(
        lambda raw: [(raw / n).symlink_to(originals / "MNIST" / "raw" / n) for n in MNIST_NAMES]
    )
    for how in ("fetched", "here"):
        assert data.__main__.main() == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out.splitlines() == [
            *(f"{name}: {how}, {loaders.FOLDER / name}" for name in manifest),
            f"MNIST: {how}, {loaders.FOLDER / 'MNIST' / 'raw'}",
        ]
        assert server.paths == [f"/{name}" for name in manifest]
    check_records(*load_all(), "original")


def test_with_no_network_it_says_so_once_a_file(
    folder, hasty, monkeypatch, capsys, quick_stand_ins
):
    names = ("one.bin", "two.bin", "three.bin")
    monkeypatch.setattr(download, "MANIFEST", dict.fromkeys(names, MANIFEST[NAME]))
    monkeypatch.setattr(download, "MIRRORS", [closed_port(), closed_port()])
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    assert data.__main__.main() == 1
    out, err = capsys.readouterr()
    first, second, third, mnist, *rest = out.splitlines()
    assert err == ""
    assert first.startswith("one.bin: could not be had (127.0.0.1:")
    assert first.count("does not answer (ConnectionError)") == 2
    assert second == "two.bin: could not be had (no mirror answers)"
    assert third == "three.bin: could not be had (no mirror answers)"
    assert mnist.startswith("MNIST: could not be had (torchvision cannot be imported: ")
    assert len(rest) == 5
    assert all(": using a stand-in, " in line for line in rest)


def test_damaged_local_files_are_reported(
    folder, own_files, server, monkeypatch, capsys, quick_stand_ins
):
    for name, content in own_files.items():
        write(folder / name, content)
        write(folder / name.replace("train", "t10k"), content)
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    assert data.__main__.main() == 0
    write(folder / "face.npy", b"")
    capsys.readouterr()
    assert data.__main__.main() == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"{folder / 'face.npy'} is not the file it should be")
    assert server.paths == []


@pytest.mark.parametrize("names", [(SMALL, LARGE), (LARGE, SMALL)])
def test_a_lone_mandrill_is_completed(folder, own_files, server, hasty, monkeypatch, capsys, names):
    """One in the named folder alone is of no use: the package's own folder gets both."""
    hashes = {n: (None, {download.git_blob_sha1(own_files[n])}) for n in loaders.MANDRILL_FILES}
    monkeypatch.setattr(download, "MANIFEST", hashes)
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    monkeypatch.setattr(download, "fetch_mnist", lambda folder: folder)
    for loader in ("load_faces", "load_audio", "load_mnist"):
        monkeypatch.setattr(data, loader, lambda *args: types.SimpleNamespace(source="original"))
    write(folder / names[0], own_files[names[0]])
    write(loaders.FOLDER / names[1], own_files[names[1]])
    server.answers[f"/{names[0]}"] = [sends(own_files[names[0]])]
    assert data.__main__.main() == 0
    assert set(capsys.readouterr().out.splitlines()[:2]) == {
        f"{names[0]}: fetched, {loaders.FOLDER / names[0]}",
        f"{names[1]}: here, {loaders.FOLDER / names[1]}",
    }
    assert data.load_mandrill().source == "original"


def test_no_original_is_in_the_repository():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("not a git repository")
    blobs = set.union(*(blobs for _, blobs in download.MANIFEST.values()))
    files = [path for name in run.stdout.split("\0")[:-1] if (path := ROOT / name).is_file()]
    assert len(files) > 20
    assert [path for path in files if download.git_blob_sha1(path.read_bytes()) in blobs] == []
    ignored = [f"data/{name}" for name in (*download.MANIFEST, "MNIST/raw/x", "tmpx")]
    run = subprocess.run(
        ["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.split() == ignored


# Stand-ins made from nothing


def test_faces_shape_dtype_and_people(faces):
    assert faces.images.shape == (2414, 48, 42)
    assert faces.images.dtype == np.uint8
    assert faces.person.shape == (2414,)
    assert faces.light.shape == (2414, 3)
    np.testing.assert_array_equal(np.unique(faces.person), np.arange(38))
    assert set(np.bincount(faces.person)) == {63, 64}
    np.testing.assert_allclose(np.linalg.norm(faces.light, axis=1), 1, atol=1e-6)
    for person in range(38):  # no lamp is used twice on one person
        lights = faces.light[faces.person == person]
        assert len(np.unique(lights, axis=0)) == len(lights)
    assert len(np.unique(faces.images.reshape(2414, -1), axis=0)) > 2400


def test_faces_are_deterministic(faces):
    np.testing.assert_array_equal(heads.render_faces().images, faces.images)


def test_lit_side_is_the_lamps_side(faces):
    """Under a lamp well off to one side, the picture's half on that side is the brighter one."""
    halves = faces.images.reshape(2414, 48, 2, 21).mean(axis=(1, 3))
    for sign in (-1, 1):
        # The lamps furthest behind reach the rim of the head at most: those pictures are black.
        aside = (sign * faces.light[:, 0] > 0.5) & (faces.light[:, 2] > -0.5)
        assert aside.sum() > 300
        left, right = halves[aside].T
        assert np.all(sign * (right - left) > 0)


def test_frontal_pictures_read_as_faces(faces):
    """Eyes and mouth are darker than the cheeks; each face is nearly its own mirror image."""
    frontal = faces.images[faces.light[:, 2] > 0.999].astype(float)
    assert len(frontal) == 38
    cheeks = frontal[:, 18:26, 6:14].mean(axis=(1, 2))
    pupils = frontal[:, 9:16, 7:15].min(axis=(1, 2))
    mouth = frontal[:, 33:40, 19:23].min(axis=(1, 2))
    assert np.all(pupils < 0.6 * cheeks)
    assert np.all(mouth < 0.75 * cheeks)
    for face in frontal:
        assert np.corrcoef(face.ravel(), face[:, ::-1].ravel())[0, 1] > 0.6


def test_shadows_are_attached(faces):
    """A cheek that faces away from a side lamp gets the ambient light only."""
    right = (faces.light[:, 0] > 0.9) & (np.abs(faces.light[:, 1]) < 0.1)
    cheek = np.s_[:, 20:26, 4:10]
    dark = faces.images[right][cheek].mean(axis=(1, 2))
    frontal = faces.images[faces.light[:, 2] > 0.999][cheek].mean(axis=(1, 2))
    assert len(dark) >= 38
    assert dark.max() < 0.15 * frontal.min()


@pytest.mark.parametrize("azimuth", [-100, -60, 0, 30, 80])
def test_shading_of_a_ball_is_lamberts(azimuth):
    """A ball's normal is its radius, and a convex body casts no shadow on its lit side."""
    pixel, radius = 2 / 84, 0.9
    y, x = np.mgrid[47.5:-48:-1, -41.5:42] * pixel
    z = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
    angle = np.radians(azimuth)
    light = np.array([np.sin(angle) * 0.8, 0.6, np.cos(angle) * 0.8])
    shade = heads._shade(z[None], heads._normals(z[None], pixel), light, pixel)[0]
    expected = heads.AMBIENT + np.maximum(np.stack([x, y, z], axis=-1) @ light / radius, 0)
    middle = np.hypot(x, y) < 0.75
    np.testing.assert_allclose(shade[middle], expected[middle], atol=0.02)
    assert azimuth == 0 or np.any(expected[middle] == heads.AMBIENT)  # some of it is in shadow


def test_length_of_a_cast_shadow():
    """A wall of height H hides the lamp over H / tan(elevation) of flat ground."""
    ground = np.zeros((1, 96, 84))
    wall, height, pixel = 60, 0.2, 2 / 84
    ground[0, :, wall:] = height
    light = np.array([np.cos(0.7), 0.0, np.sin(0.7)])  # from the right, 0.7 rad above the ground
    seen = heads._visible(ground, light, pixel)[0]
    half = (height - heads.PENUMBRA / 2) / np.tan(0.7) / pixel  # pixels to where it is half hidden
    hidden = seen[48, :wall] < 0.5
    assert hidden.sum() == pytest.approx(half, abs=1)
    assert np.all(hidden[-hidden.sum() :])  # at the foot of the wall
    assert np.all(seen[:, wall:] == 1)
    assert np.all(heads._visible(ground, np.array([0.0, 0.0, 1.0]), pixel) == 1)


def test_unshaded_skin_is_linear_in_the_light(faces):
    """Where nothing is in shadow, grey = albedo (ambient + n.l): a linear fit leaves rounding."""
    checked = 0
    for person in range(38):
        own = faces.person == person
        forehead = faces.images[own][:, 5:7, 20:22].mean(axis=(1, 2))
        light = faces.light[own]
        near = light[:, 2] > 0.85  # no cast shadow reaches the forehead
        design = np.column_stack([light[near], np.ones(near.sum())])
        coefficients = np.linalg.lstsq(design, forehead[near], rcond=None)[0]
        np.testing.assert_allclose(design @ coefficients, forehead[near], atol=2.5)
        checked += near.sum()
    assert checked > 500


def test_first_eigenfaces_are_lighting(faces):
    """The light direction alone, the person unknown, predicts the first three scores."""
    data = faces.images.reshape(2414, -1).astype(float)
    centred = data - data.mean(axis=0)
    left, sizes, _ = svds(centred, 3, rng=0)  # in rising order
    scores = (left * sizes)[:, ::-1]  # (2414, 3)
    x, y, z = faces.light.T
    design = np.column_stack([np.ones(2414), x, y, z, x * x, x * y, x * z, y * y, y * z])
    fitted = design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    explained = 1 - ((scores - fitted) ** 2).sum(axis=0) / (scores**2).sum(axis=0)
    assert np.all(explained > 0.85)
    # The level of light, then left against right, then above against below.
    correlation = np.corrcoef(scores.T, faces.light.T)[:3, 3:]
    np.testing.assert_array_equal(np.abs(correlation[:, [2, 0, 1]]).argmax(axis=1), [0, 1, 2])
    assert np.all(np.abs(correlation[[0, 1, 2], [2, 0, 1]]) > 0.85)


def test_people_differ(faces):
    frontal = faces.images[faces.light[:, 2] > 0.999].reshape(38, -1).astype(float)
    distance = np.sqrt(((frontal[:, None] - frontal) ** 2).mean(axis=2))
    assert distance[~np.eye(38, dtype=bool)].min() > 5  # grey levels, root mean square


def test_audio_shape_and_dtype(audio):
    assert audio.sources.shape == audio.mix.shape == (53442, 5)
    assert audio.sources.dtype == audio.mix.dtype == np.float64
    assert audio.mixing.shape == (5, 5)
    assert audio.rate == 11025
    assert len(sounds.SOURCES) == 5
    np.testing.assert_allclose(audio.mix, audio.sources @ audio.mixing.T, rtol=1e-12)
    np.testing.assert_allclose(audio.sources.std(axis=0), 1, rtol=1e-4)


def test_audio_is_deterministic(audio):
    np.testing.assert_array_equal(sounds.mix_sources().mix, audio.mix)


def test_callers_cannot_change_the_mixing_matrix():
    sounds.mix_sources().mixing[:] = 0
    assert np.all(sounds.mix_sources().mixing != 0)


def test_mixing_is_invertible_and_mixes(audio):
    assert np.linalg.cond(audio.mixing) < 10
    share = np.abs(audio.mixing) / np.abs(audio.mixing).sum(axis=1, keepdims=True)
    assert share.max() < 0.5  # no microphone hears mostly one source
    assert share.min() > 0.04  # and each hears all of them


def test_sources_are_super_gaussian_and_nearly_uncorrelated(audio):
    assert np.all(kurtosis(audio.sources) > 3)
    off_diagonal = np.corrcoef(audio.sources.T)[~np.eye(5, dtype=bool)]
    assert np.abs(off_diagonal).max() < 0.03


def test_every_source_sounds_throughout(audio):
    """No silence of a second: the samples come in order, and the last passes must hear them all."""
    power = (audio.sources[:44100].reshape(4, 11025, 5) ** 2).mean(axis=1)  # (4, 5)
    assert power.min() > 0.1


def test_sources_have_spectra_of_their_own(audio):
    power = np.abs(np.fft.rfft(audio.sources, axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(audio.sources), 1 / audio.rate)  # Hz
    centroid = dict(zip(sounds.SOURCES, frequency @ power / power.sum(axis=0), strict=True))
    assert centroid["voice"] < 1000 < centroid["surf"] < 2500 < centroid["bird"]
    edges = np.arange(0, 5500, 100)
    band = np.stack([power[(frequency >= f) & (frequency < f + 100)].sum(axis=0) for f in edges])
    similarity = np.corrcoef(np.sqrt(band).T)
    assert similarity[~np.eye(5, dtype=bool)].max() < 0.95
