"""The settings at the top of a notebook may be turned: every cell still runs, and says so."""

import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from course.gallery import copy_without_originals
from course.writeup import ROOT, client_for

CELL_TIME_LIMIT = 120  # seconds


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSEWORK_DATA", raising=False)
    monkeypatch.setenv("COURSEWORK_FAST", "1")
    copy_without_originals(tmp_path)
    return tmp_path


def run(checkout, name, **settings):
    """Run a notebook with other settings; return all that it printed."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    for setting, value in settings.items():
        assignment = rf"(?m)^{setting} = [^#\n]*"
        cell.source, count = re.subn(assignment, f"{setting} = {value!r}  ", cell.source)
        assert count == 1, f"{name}.ipynb has no setting {setting}"
    client_for(notebook, checkout, timeout=CELL_TIME_LIMIT).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    )


def assert_nothing_compared(printed):
    assert printed.count("another setting, not compared") == 16
    assert not re.search("agrees|DIFFERS|stand-in data, not compared", printed)


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ({"K": 4, "NUM_COMPONENTS": 2}, "PNG with 4 colours, 2 bits a pixel"),
        ({"K": 64, "NUM_STEPS": 3}, "PNG with 64 colours, 8 bits a pixel"),
    ],
)
def test_other_numbers_of_colours(settings, stored, checkout):
    printed = run(checkout, "kmeans_gmm", **settings)
    assert stored in printed
    assert_nothing_compared(printed)


def test_a_picture_of_ones_own(checkout):
    # Grey and half transparent, with an area of one colour on which a covariance would collapse.
    levels = np.random.default_rng(0).integers(0, 256, (90, 201, 2), dtype=np.uint8)
    levels[:, :120] = 255
    Image.fromarray(levels, "LA").save(checkout / "own.png")
    printed = run(checkout, "kmeans_gmm", PICTURE="own.png", K=5, SEED=1, NUM_STEPS=20)
    assert "compress (90, 201, 3): own.png" in printed
    assert "PNG with 5 colours, 4 bits a pixel" in printed
    assert_nothing_compared(printed)


def test_a_folder_that_cannot_be_written_to(checkout):
    (checkout / "writeup").write_text("in the way of the sounds")
    printed = run(checkout, "ica")
    assert "no WAV files: " in printed
    assert printed.count("stand-in data, not compared") == 2
