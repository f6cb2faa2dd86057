"""Each notebook is committed clean, and runs from top to bottom on originals and on stand-ins."""

import nbformat
import pytest

from course import cover, gallery, pages, writeup
from course.gallery import copy_without_originals
from tests.page_checks import check_run

CELL_TIME_LIMIT = 120  # seconds
# Of each last section: words of its figures at first, what a hand does, and words of them then.
PLAY = {
    "kmeans_gmm": (
        ["K = 8: ", "after 3 steps"],
        "compress.widget.children[0].value = 5; em.widget.children[0].value = 9",
        ["K = 5: ", "after 9 steps"],
    ),
    "gda": (
        ["after 3 iterations"],
        "boundary.widget.children[0].value, boundary.widget.children[1].value = 9, 0.1",
        ["EM with λ = 0.1. Panels: after 9 iterations"],
    ),
    "pca": (
        ["rebuilt, K = "],
        "components.widget.children[0].value, components.widget.children[1].value = 1, 7",
        ["face 7; rebuilt, K = 1; left out"],
    ),
    "ica": (["Your mix"], 'faders["source 0"].value = -60', ["Your mix"]),
    "cvae": (["class 4 z"], "decode.widget.children[0].value = 7", ["class 7 z"]),
}


@pytest.fixture
def checkout(tmp_path):
    copy_without_originals(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def short_settings(monkeypatch):
    monkeypatch.setenv("COURSEWORK_FAST", "1")


def test_every_notebook_is_in_the_writeup():
    assert {path.stem for path in writeup.ROOT.glob("*.ipynb")} == set(writeup.NOTEBOOKS)


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_committed_without_outputs(name):
    notebook = nbformat.read(writeup.ROOT / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert set(cell.metadata) <= {"tags"}


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_runs_on_stand_ins_and_makes_a_page(name, checkout, monkeypatch):
    monkeypatch.delenv("COURSEWORK_DATA", raising=False)
    notebook = execute(name, checkout)
    drawn = pages.figures(notebook, name)
    shows(drawn, PLAY[name][0])
    animations = [figure.gif for figure in drawn if figure.gif]
    assert len(animations) == (name in ("kmeans_gmm", "gda"))
    assert all(len(gif) < 1_000_000 for gif in animations)
    verdicts = {row.verdict for row in pages.comparisons(notebook)}
    assert verdicts <= {"stand-in data, not compared"}
    check_run(writeup.Run(name, notebook, 1.0, None), checkout / "writeup")
    gallery.find_figure(notebook, name, cover.PICTURES[name])
    for notebook_name, words in gallery.PICTURES.values():
        if notebook_name == name:
            gallery.find_figure(notebook, name, words)


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_runs_on_originals_and_agrees(name, checkout, originals, monkeypatch):
    monkeypatch.setenv("COURSEWORK_DATA", str(originals))
    _, turned, then = PLAY[name]
    path = checkout / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(turned))
    nbformat.write(notebook, path)
    notebook = execute(name, checkout)
    shows(pages.figures(notebook, name), then)
    rows = pages.comparisons(notebook)
    assert [row for row in rows if row.verdict != "agrees"] == []
    assert rows or name == "gda"  # which needs no originals and has no reference numbers


def shows(drawn, words):
    """Assert that the last figures are those described with these words."""
    for figure, expected in zip(drawn[-len(words) :], words, strict=True):
        assert expected in figure.description


def execute(name, checkout):
    path = checkout / f"{name}.ipynb"
    return writeup.execute(path, cell_time_limit=CELL_TIME_LIMIT, folder=checkout)
