"""Fixtures that several test files share."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.loaders import folders

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def originals():
    """The folder of the original data files; the test is skipped where there is none.

    With COURSEWORK_REQUIRE_ORIGINALS set, as in CI, a missing original is a failure instead.
    """
    folder = folders()[0]
    names = ("mandrill-small.tiff", "mandrill-large.tiff", "face.npy", "ica_data.dat", "MNIST/raw")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        message = f"{', '.join(missing)} not in {folder}"
        if os.environ.get("COURSEWORK_REQUIRE_ORIGINALS"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def mandrill_pixels(originals):
    """The small mandrill's pixels, float64 (16384, 3)."""
    with Image.open(originals / "mandrill-small.tiff") as picture:
        return np.asarray(picture).reshape(-1, 3).astype(np.float64)


@pytest.fixture(scope="session")
def mandrill_large(originals):
    """The large mandrill, uint8 (512, 512, 3)."""
    with Image.open(originals / "mandrill-large.tiff") as picture:
        return np.array(picture)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout that has no original data."""
    from course.gallery import copy_without_originals  # brings pandoc and Typst, which few need

    folder = tmp_path_factory.mktemp("checkout")
    copy_without_originals(folder)
    return folder


def awkward_copies(array):
    """Yield (name, copy) with the same values in layouts that a caller may bring."""
    fortran = np.asfortranarray(array)
    read_only = array.copy()
    read_only.flags.writeable = False
    spread = np.repeat(array, 2, axis=0)[::2]
    yield "fortran-ordered", fortran
    yield "read-only", read_only
    yield "non-contiguous", spread
    yield "float32", array.astype(np.float32)
    yield "list", array.tolist()
