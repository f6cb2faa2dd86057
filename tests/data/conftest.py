"""Files to load, and an empty place to load them from."""

import contextlib
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
from data import heads, loaders, sounds

SMALL, LARGE = loaders.FILES["mandrill"]
IMAGES, LABELS = loaders.FILES["train"]
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


def tiff_bytes(array, mode=None):
    file = io.BytesIO()
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(file, "TIFF")
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*"))


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


@pytest.fixture
def public():
    """A folder that anybody may look into; tmp_path is its owner's alone."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place).resolve()


@contextlib.contextmanager
def unprivileged():
    """Give up what root may do, to whom nothing is forbidden."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
