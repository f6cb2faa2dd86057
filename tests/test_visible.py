"""The cases of a starter kit: what the textbook answers, stored as numbers."""

import re
import zipfile

import numpy as np
import pytest

from course import marking, visible
from course.answers import Textbook
from course.judging import POINTS
from course.marking import mark
from course.sandbox import ROOT
from tests.submissions.mistakes import MISTAKES, write


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("kit") / "visible.npz"
    visible.write(path)
    return path


@pytest.fixture(scope="module")
def stored(path):
    return visible.Stored(path)


def quick(stored, part):
    """Return the keys of a part's cases but for speed and training."""
    cases = stored.cases(visible.SEED)
    return [c.key for c in cases if c.part == part and not c.speed and "training" not in c.name]


@pytest.fixture
def kit(stored, monkeypatch):
    """Grade as in a starter kit, with the stored answers alone."""
    monkeypatch.setattr(marking, "answers", lambda: stored)
    return lambda folder, only: mark(folder, visible.SEED, "process", only)


def test_the_same_is_asked_as_of_a_submission(stored):
    told = [(c.key, c.part, c.points, c.untouched, c.speed) for c in stored.cases(visible.SEED)]
    asked = Textbook().cases(visible.SEED)
    assert told == [(c.key, c.part, c.points, c.untouched, c.speed) for c in asked]
    with pytest.raises(ValueError, match="seed 0 alone, not 1"):
        stored.cases(1)


def test_no_original_is_in_the_file(stored):
    """The sample data of the visible cases are stand-ins, whatever data this machine has."""
    named = [c.name for c in stored.cases(visible.SEED) if re.search("original|stand-in", c.name)]
    assert len(named) == 5 and not any("original" in name for name in named)


def test_the_file_holds_arrays_and_text_alone(path):
    with zipfile.ZipFile(path) as file:
        assert all(name.endswith(".npy") for name in file.namelist())
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "uif" for name in file.files)
        words = file["header"].tobytes().decode()
    assert "lambda" not in words and "np." not in words.replace("(np.", "")


def test_a_correct_solution_passes(kit, stored):
    marks = kit(ROOT / "textbook", [key for part in POINTS for key in quick(stored, part)])
    assert [m for m in marks if m.verdict.code] == []


@pytest.mark.parametrize("row", MISTAKES[::8], ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_mistake_is_named_without_the_textbook(row, kit, stored, tmp_path):
    part, name, base, file, *edits = row
    marks = kit(write(tmp_path / "s", base, (file, *edits)), quick(stored, part))
    assert {m.verdict.mistake for m in marks} - {None} == {name}


def test_speed_is_taken_against_other_work(kit, stored):
    speed = [c.key for c in stored.cases(visible.SEED) if c.speed]
    marks = kit(ROOT / "textbook", speed)
    assert len(marks) == 2 and all(m.score == m.case.points for m in marks)
    assert all(0.2 < m.ratio < marking.FULL_SPEED for m in marks)


def test_training_is_judged_as_elsewhere(kit, stored):
    (key,) = [c.key for c in stored.cases(visible.SEED) if "training" in c.name]
    (mark_,) = kit(ROOT / "textbook", [key])
    assert mark_.verdict.code == 0, mark_.verdict
