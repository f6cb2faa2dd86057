"""Each notebook is committed clean, and runs from top to bottom on originals and on stand-ins."""

import nbformat
import pytest

from course import writeup
from course.gallery import copy_without_originals

CELL_TIME_LIMIT = 120  # seconds


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
        assert not cell.metadata


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_runs_on_stand_ins(name, checkout, monkeypatch):
    monkeypatch.delenv("COURSEWORK_DATA", raising=False)
    notebook = writeup.execute(
        checkout / f"{name}.ipynb", cell_time_limit=CELL_TIME_LIMIT, folder=checkout
    )
    verdicts = {row.verdict for row in writeup.comparisons(notebook)}
    assert verdicts <= {"stand-in data, not compared"}


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_runs_on_originals_and_agrees(name, checkout, originals, monkeypatch):
    monkeypatch.setenv("COURSEWORK_DATA", str(originals))
    notebook = writeup.execute(
        checkout / f"{name}.ipynb", cell_time_limit=CELL_TIME_LIMIT, folder=checkout
    )
    rows = writeup.comparisons(notebook)
    assert [row for row in rows if row.verdict != "agrees"] == []
    assert rows or name == "gda"  # which needs no originals and has no reference numbers


def test_a_failing_cell_is_named(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in ("x = 1", "x / 0", "x")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "broken.ipynb")
    with pytest.raises(writeup.NotebookError, match=r"broken\.ipynb, cell 1:(?s:.*)ZeroDivision"):
        writeup.execute(tmp_path / "broken.ipynb", folder=tmp_path)


def test_a_slow_cell_is_named(tmp_path):
    cells = [nbformat.v4.new_code_cell("import time; time.sleep(60)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "slow.ipynb")
    with pytest.raises(writeup.NotebookError, match=r"slow\.ipynb, cell 0"):
        writeup.execute(tmp_path / "slow.ipynb", cell_time_limit=2, folder=tmp_path)
