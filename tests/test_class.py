"""A class: every mark as known beforehand, nothing lost when stopped, pages that run nothing."""

import base64
import csv
import errno
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import types
import zipfile
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from nbformat import v4, writes
from PIL import Image

from course import __main__ as command_line
from course import batch, copies, diff, handed_in, marking, overview, report, roster, student_page
from course.judging import MANUAL, POINTS
from course.sandbox import Reply
from tests.submissions import hostile
from tests.submissions.__main__ import keys_of
from tests.submissions.a_class import FILES, choices, generate, write_file
from tests.submissions.mistakes import MISTAKES, write
from tests.test_browser import browser  # noqa: F401 (a fixture)

ROOT = Path(__file__).resolve().parent.parent
SEED = 1


CHEAP = "in the plane|compress_image|inputs of train|60 random points|filter_grad|unmix:"


def cheap_cases():
    """Return cases on small random data."""
    cases = marking.answers().cases(SEED)
    small = [case for case in cases if not case.speed and re.search(CHEAP, case.name)]
    return [case for case in small if "nothing moves" not in case.name]


# What each submission gets wrong: (part, mistake), and how the names of those cases start.
TWELVE = {
    "loops": None,
    "broadcast": None,
    "library": None,
    "truncates": ("1a", "colours-truncated", "compress_image"),
    "writes into its input": ("1a", "input-changed", "the inputs of train_kmeans"),
    "transposes": ("4a", "unmix-transposed", "unmix:"),
    "sums": ("4a", "sign-of-1-2g", "filter_grad"),
    "does not centre": ("3b", "not-centred", ""),
    "standardises": ("3b", "standardised", ""),
    "without the inverse": ("4a", "no-inverse-term", "filter_grad"),
}


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    """Write a class; return its folder, the choice of cases, and the marks that are right."""
    folder = tmp_path_factory.mktemp("class")
    rows = {(part, name): row for part, name, *row in MISTAKES}
    cases, right = cheap_cases(), {}
    for name, wrong in TWELVE.items():
        right[name] = dict.fromkeys(("1a", "1d", "3b", "4a"), 0.0)
        if wrong is None:
            write(folder / name, name)
        else:
            style, *edits = rows[wrong[:2]]
            write(folder / name, style, edits)
        for case in cases:
            lost = wrong and case.part == wrong[0] and case.name.startswith(wrong[2])
            right[name][case.part] += 0.0 if lost else case.points
    full = right["loops"]
    write(folder / "no pca", "loops")
    (folder / "no pca" / "pca.py").unlink()
    right["no pca"] = full | {"3b": 0.0}
    write(folder / "dies", "loops")
    (folder / "dies" / "kmeans.py").write_text(hostile.module(hostile.BODIES["os._exit"][0]))
    right["dies"] = full | {"1a": 0.0}
    return folder, tuple(case.key for case in cases), right


def rows_of(out):
    """Return `grades.csv` by name, without the seconds, which are never the same."""
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        table = {row.pop("name"): row for row in csv.DictReader(file)}
    for row in table.values():
        assert float(row.pop("seconds")) >= 0
    return table


def grade(folder, out, *rest):
    paths = [str(path) for path in sorted(Path(folder).iterdir())]
    return command_line.main(["grade", *paths, "--out", str(out), "--seed", str(SEED), *rest])


def students_of(folder):
    return roster.students(sorted(Path(folder).iterdir()))


def test_marks_are_those_known_beforehand(twelve, tmp_path, monkeypatch, capsys):
    folder, keys, right = twelve
    assert grade(folder, tmp_path / "two", "--jobs", "2", "--only", ",".join(keys)) == 0
    table = rows_of(tmp_path / "two")
    assert set(table) == set(right) and len(table) == 12
    for name, row in table.items():
        parts = {part: float(row[part]) for part in right[name]}
        assert parts == pytest.approx(right[name], abs=0.006), name
        assert float(row["total"]) == pytest.approx(sum(right[name].values()), abs=0.006)
        assert row["5c"] == ""
        if wrong := TWELVE.get(name):
            assert row["remarks"].endswith(f"{report.number_of(wrong[0])}: {wrong[1]}")
    assert table["dies"]["remarks"].startswith("1(a): the process died")
    assert "pca.py was not found" in table["no pca"]["remarks"]
    printed = capsys.readouterr().out
    assert len(re.findall(r"(?m)^.+: [\d.]+ points, \d+ s$", printed)) == 12

    assert grade(folder, tmp_path / "one", "--jobs", "1", "--only", ",".join(keys)) == 0
    assert rows_of(tmp_path / "one") == table

    # The second run marks nothing; a submission that has changed is marked again.
    before = (tmp_path / "two" / "grades.csv").read_bytes()
    marked = []
    monkeypatch.setattr(
        marking, "mark", lambda submission, *rest: marked.append(submission.name) or []
    )
    assert grade(folder, tmp_path / "two", "--only", ",".join(keys)) == 0
    assert marked == [] and (tmp_path / "two" / "grades.csv").read_bytes() == before
    assert "loops: " in (said := capsys.readouterr().out) and "done before" in said
    changed = folder / "loops" / "notes.txt"
    changed.write_text("new")
    assert grade(folder, tmp_path / "two", "--only", ",".join(keys)) == 0
    changed.unlink()
    assert marked == ["loops"]


def test_what_decides_whether_a_result_still_holds(tmp_path, monkeypatch):
    write(tmp_path / "s", "loops")
    (student,) = roster.students([tmp_path / "s"])
    record = batch.mark_one(student.path, "grade s", seed=SEED, only=("3b.2",))
    batch.write_one(tmp_path / "out", student, record)

    def stands(seed=SEED, only=("3b.2",)):
        return batch.finished(tmp_path / "out", student, seed=seed, only=only) is not None

    assert stands() and not stands(seed=2) and not stands(only=("3b",))
    monkeypatch.setattr(report, "grader_version", lambda: "another")
    assert not stands()
    monkeypatch.undo()
    path = tmp_path / "out" / "s" / "results.json"
    whole = path.read_text()
    path.write_text(whole.replace('"code": 0', '"code": 3'))  # what the grader failed on
    assert not stands()
    path.write_text(whole[:-5])
    assert not stands()
    path.write_text(whole)
    assert stands()


def test_bytes_are_marked_as_the_folder_is(tmp_path):
    write(tmp_path / "s", "library")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in (tmp_path / "s").glob("*.py"):
            archive.write(path, f"homework/{path.name}")
    of_bytes, of_folder = (
        batch.mark_one(given, "grade s", seed=SEED, only=("3b.2",))
        for given in (file.getvalue(), tmp_path / "s")
    )
    for record in (of_bytes, of_folder):
        del record["execution_time"]
    assert of_bytes == of_folder


# Stopped in the middle


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """Six small submissions that differ, and a case that costs half a second each."""
    folder = tmp_path_factory.mktemp("six")
    for number in range(6):
        write(folder / f"s{number}", ("loops", "broadcast", "library")[number % 3])
        (folder / f"s{number}" / "name.txt").write_text(str(number))
    return folder


def results_of(out):
    return {path: path.stat().st_mtime_ns for path in out.glob("*/results.json")}


def test_killed_at_any_moment_nothing_done_is_lost(six, tmp_path):
    out, rng = tmp_path / "out", random.Random(4)
    command = [sys.executable, "-m", "course", "grade", *map(str, sorted(six.iterdir())),
               "--out", str(out), "--only", "3b.2", "--jobs", "1"]  # fmt: skip
    kept, lost = {}, set()
    for _ in range(3):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:  # it is at work: kill it soon
            if re.search(r"\d s$", line):
                break
        time.sleep(rng.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = results_of(out)
        lost |= {path for path in kept if found.get(path) != kept[path]}
        kept = found
        for path in kept:
            json.loads(path.read_text())
    assert kept and not lost
    assert subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
    assert all(results_of(out)[path] == kept[path] for path in kept)
    assert grade(six, tmp_path / "straight", "--only", "3b.2") == 0
    assert rows_of(out) == rows_of(tmp_path / "straight")


def test_a_full_disk_loses_nothing_that_is_done(six, tmp_path, monkeypatch, capsys):
    room, sync = [9], os.fsync  # two submissions take eight: two files each, and their folder

    def full(handle):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(report.os, "fsync", full)
    assert grade(six, tmp_path / "out", "--only", "3b.2", "--jobs", "1") == 1
    said = capsys.readouterr().out
    assert "What is done is kept: the same command goes on." in said
    done = results_of(tmp_path / "out")
    assert len(done) == 2
    assert not list((tmp_path / "out").glob("**/.*")), "half a file was left"
    monkeypatch.undo()
    assert grade(six, tmp_path / "out", "--only", "3b.2", "--jobs", "2") == 0
    assert all(results_of(tmp_path / "out")[path] == when for path, when in done.items())
    assert len(rows_of(tmp_path / "out")) == 6


def test_one_failure_of_the_grader_is_said_and_the_others_are_graded(six, tmp_path, monkeypatch):
    one = batch.mark_one

    def mark(submission, *rest, **options):
        if submission.name == "s1":
            raise RuntimeError("<b>no memory</b>")
        return one(submission, *rest, **options)

    students = students_of(six)[:3]
    assert batch.grade(students, tmp_path / "out", only=("3b.2",), seed=SEED, mark=mark) == 1
    table = rows_of(tmp_path / "out")
    assert table["s1"]["total"] == "" and "no memory" in table["s1"]["remarks"]
    assert table["s0"]["total"] == table["s2"]["total"] == "0.70"
    assert "<b>no memory" not in (tmp_path / "out" / "index.html").read_text()


# Names and exports


def test_exports_of_canvas_and_gradescope(tmp_path):
    canvas, gradescope = tmp_path / "canvas", tmp_path / "export"
    canvas.mkdir()
    for name in ("doejane_LATE_12345_67890_hw3", "roeric_22_67891_my_hw-1", "plain"):
        with zipfile.ZipFile(canvas / f"{name}.zip", "w") as archive:
            archive.writestr("pca.py", "")
    found = {one.folder: one[2:] for one in students_of(canvas)}
    assert found == {
        "doejane_LATE_12345_67890_hw3": ("doejane", "12345", True),
        "roeric_22_67891_my_hw-1": ("roeric", "22", False),
        "plain": ("plain", "", False),
    }
    for number in (1, 2, 3):
        (gradescope / f"submission_{number}").mkdir(parents=True)
    (gradescope / "submission_metadata.yml").write_text(
        "---\nsubmission_1:\n  :submitters:\n  - :name: Ada L.\n    :sid: '007'\n"
        "  - :name: 'Émile: B.'\n    :sid: 8\n  :created_at: 2026-10-01 05:37:58.20 Z\n"
        "submission_2:\n  :submitters: []\n",
        encoding="utf-8",
    )
    expected = [("Ada L., Émile: B.", "007, 8"), ("submission_2", ""), ("submission_3", "")]
    assert [one[2:4] for one in roster.students([gradescope])] == expected
    assert [one[2:4] for one in students_of(gradescope)] == expected  # export/*


NAMES = ["<img src=x onerror=alert(1)>", "=1+1", "@cmd", "a\nb", "x" * 200, "%2e%2e", "'\"`"]


def test_names_can_do_no_harm(tmp_path, capsys):
    folder, out = tmp_path / "class", tmp_path / "out"
    for name in [*NAMES, os.fsdecode(b"not \xff text")]:
        (folder / name).mkdir(parents=True)
    for name in ("..zip", "...zip", "index.html.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("name.txt", name)
    assert grade(folder, out, "--only", "3b.2") == 0
    capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == {"class", "out"}
    assert len(list(out.glob("*/report.html"))) == len(NAMES) + 4
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in text and "&lt;img src=x" in text
    links = re.findall(r'href="([^"]+)/report.html"', text)
    for link in links:
        assert (out / os.fsdecode(unquote_to_bytes(link)) / "report.html").exists(), link
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]


def test_what_is_no_submission_is_passed_over(tmp_path, capsys):
    (tmp_path / "ada").mkdir()
    (tmp_path / "torn.zip").write_bytes(b"no zip")
    for name in ("grades.csv", "index.html"):
        (tmp_path / name).write_text("of another run")
    os.mkfifo(tmp_path / "pipe")
    assert [one.folder for one in students_of(tmp_path)] == ["ada", "torn"]
    said = capsys.readouterr().err
    assert all(f"{name} is passed over" in said for name in ("grades.csv", "index.html", "pipe"))
    with pytest.raises(ValueError, match="there is no submission"):
        roster.students([tmp_path / "grades.csv"])


def test_two_submissions_of_one_name_are_refused(tmp_path, capsys):
    (tmp_path / "a" / "s").mkdir(parents=True)
    (tmp_path / "b" / "s").mkdir(parents=True)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["grade", f"{tmp_path}/a/s", f"{tmp_path}/b/s", "--out", "o"])
    assert stop.value.code == 2
    assert "several submissions are named s" in capsys.readouterr().err


# Pages


def png(height, width):
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint8)).save(file, "PNG")
    return file.getvalue()


def notebook(folder, *cells):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.ipynb").write_text(writes(v4.new_notebook(cells=list(cells))))
    return folder


def drawn(content):
    output = v4.new_output("display_data", {"image/png": base64.b64encode(content).decode()})
    return v4.new_code_cell("plot()", outputs=[output])


def printed(text):
    return v4.new_code_cell("print()", outputs=[v4.new_output("stream", text=text)])


def test_what_a_notebook_shows_stands_under_its_part(tmp_path):
    folder = notebook(
        tmp_path / "s",
        v4.new_markdown_cell("# My homework"),
        printed("before"),
        v4.new_markdown_cell("## 1(b) Colours\nThey are few.\n\n### How\nSo."),
        printed("\x1b[31mfactor\x1b[0m 6"),
        v4.new_markdown_cell("## Problem 3.d"),
        drawn(png(4, 5)),
        v4.new_markdown_cell("## Three a day, 9(z)"),
        printed("after"),
    )
    found = handed_in.pieces(folder)
    assert [piece.content for piece in found["1b"]] == [
        "## 1(b) Colours\nThey are few.",
        "### How\nSo.",
        "factor 6",
    ]
    assert [piece.kind for piece in found["3d"]] == ["prose", "picture"]
    elsewhere = [piece.content for piece in found[handed_in.ELSEWHERE]]
    assert elsewhere == ["# My homework", "before", "## Three a day, 9(z)", "after"]


@pytest.mark.parametrize(
    "content", [b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\0" * 40, b""]
)
def test_what_is_no_picture_is_not_shown(content, tmp_path):
    folder = notebook(tmp_path / "s", v4.new_markdown_cell("## 1(b)"), drawn(content))
    kinds = [piece.kind for piece in handed_in.pieces(folder)["1b"]]
    assert kinds == ["prose", "left out"]


def test_what_is_too_large_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(handed_in, "MAX_PIXELS", 100)
    heading = v4.new_markdown_cell("## 1(b)")
    folder = notebook(tmp_path / "s", heading, drawn(png(20, 20)), printed("long " * 4000))
    _, picture, text = handed_in.pieces(folder)["1b"]
    assert picture.content.startswith("a picture of 20 x 20 pixels")
    assert len(text.content) < 5100 and "characters more" in text.content
    monkeypatch.setattr(handed_in, "MAX_SHOWN", 2000)
    assert "the rest" in handed_in.pieces(folder)[handed_in.ELSEWHERE][-1].content
    monkeypatch.setattr(handed_in, "MAX_READ", 100)
    assert "report.ipynb and what" in handed_in.pieces(folder)[handed_in.ELSEWHERE][0].content


def test_thousands_of_pieces_are_not_all_shown(tmp_path):
    cells = [printed(f"line {number}") for number in range(1500)]
    for name in "ab":
        notebook(tmp_path / "s" / name, *cells)
    found = handed_in.pieces(tmp_path / "s")[handed_in.ELSEWHERE]
    assert len(found) == 2001 and found[-1].content.startswith("the rest, over 2000 pieces")


@pytest.mark.parametrize(("most", "seconds", "ran"), [(1, 60.0, 1), (9, 0.05, 1), (9, 60.0, 3)])
def test_notebooks_are_not_run_for_ever(most, seconds, ran, tmp_path, monkeypatch):
    class Sandbox:  # stands for the sandbox's, and runs nothing
        def __init__(self, folder, level):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def call(self, file, functions, arguments, limits):
            assert limits.seconds <= seconds
            time.sleep(0.06)
            return Reply("answer", result=np.frombuffer(b"run", np.uint8))

    monkeypatch.setattr(handed_in, "Sandbox", Sandbox)
    monkeypatch.setattr(handed_in, "MAX_RUN", most)
    monkeypatch.setattr(handed_in, "MAX_RUNNING", seconds)
    for name in "abc":
        notebook(tmp_path / "s" / name)
    failed = handed_in.run(tmp_path / "s", "process")
    assert sum(path.read_text() == "run" for path in tmp_path.rglob("report.ipynb")) == ran
    assert [piece.content[:10] for piece in failed] == [f"a run of {3 - ran}"] * (ran < 3)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"cells": 5}', '{"nbformat": 4, "cells": [7]}', "\0"]
)
def test_a_notebook_that_is_none_is_named(text, tmp_path):
    (tmp_path / "bad.ipynb").write_text(text)
    (piece,) = handed_in.pieces(tmp_path)[handed_in.ELSEWHERE]
    assert piece.kind == "left out" and piece.content.startswith("bad.ipynb cannot be read")


def test_nothing_of_a_student_runs_in_the_reports(tmp_path):
    attack = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"
    folder = notebook(
        write(tmp_path / "s", "loops"),
        v4.new_markdown_cell(f"## 1(b)\n{attack}"),
        printed(attack),
        v4.new_code_cell(
            "", outputs=[v4.new_output("error", ename=attack, evalue="", traceback=[])]
        ),
    )
    (folder / "pca.py").write_text(f"raise ValueError({attack!r})")
    student = roster.Student(folder, "s", attack, attack)
    assert batch.grade([student], tmp_path / "out", only=("3b.2",), seed=SEED) == 0
    for path in (tmp_path / "out" / "s" / "report.html", tmp_path / "out" / "index.html"):
        text = path.read_text(encoding="utf-8")
        head, body = text.split("</title>")
        assert "Content-Security-Policy" in head and "default-src 'none'" in head
        assert "<script>alert" not in text and "<img src=x" not in text
        assert body.count("<script>") == (path.name == "index.html")
        assert not re.search(r"https?://", text)
    assert "report.html" in text and "&lt;script&gt;" in text


def test_notebooks_are_run_in_the_sandbox_when_asked(tmp_path, capsys):
    sources = (
        "print(6 * 7)",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
        "open('mine.txt', 'w').write('x')\nimport pca\nfrom data import load_mandrill",
        "from course import marking",
        "print('after an error')",
    )
    cells = [v4.new_code_cell(source) for source in sources]
    notebook(write(tmp_path / "s", "loops"), v4.new_markdown_cell("## 1(b)"), *cells)
    path = tmp_path / "out" / "s" / "report.html"
    shown = {}
    for options in ([], ["--run-notebooks"], []):
        arguments = ["grade", str(tmp_path / "s"), "--out", str(tmp_path / "out"), *options]
        assert command_line.main([*arguments, "--only", "3b.2"]) == 0
        shown[bool(options)] = path.read_text(encoding="utf-8")
    assert capsys.readouterr().out.count("done before") == 2  # the marks are not made again
    assert "as handed in" in shown[False] and "data:image/png" not in shown[False]
    own = re.search(r"(?s)<div class=own>.*?</div>", shown[True])[0]
    assert "run here" in own and "<pre>42</pre>" in own and "data:image/png" in own
    assert "after an error" in own and "cannot import name" in own
    assert not list((tmp_path / "s").glob("mine.txt"))


def test_a_report_has_the_expected_numbers_and_the_model_figures(tmp_path, monkeypatch):
    (tmp_path / "writeup" / "figures").mkdir(parents=True)
    (tmp_path / "writeup" / "figures" / "pca-1-faces.png").write_bytes(png(3, 3))
    (tmp_path / "writeup" / "pca.html").write_text(
        '<a href="#3d" id="toc-3d">x</a><h2 id="3c">c</h2><h2 id="3d">d</h2><figure>'
        '<a href="figures/pca-1-faces.png"><img src="data:x" alt="Nine &quot;faces&quot;."></a>'
    )
    monkeypatch.setattr(student_page, "WRITEUP", tmp_path / "writeup")
    (tmp_path / "s").mkdir()
    students = roster.students([tmp_path / "s"])
    assert batch.grade(students, tmp_path / "out", only=("3b.2",), seed=SEED) == 0
    text = (tmp_path / "out" / "s" / "report.html").read_text(encoding="utf-8")
    section = re.search(r'(?s)<h3 id="3d">.*?<h3', text)[0]
    assert 'src="../model/pca-1-faces.png" alt="Nine &quot;faces&quot;."' in section
    assert (tmp_path / "out" / "model" / "pca-1-faces.png").exists()
    assert "5.997803539" in re.search(r'(?s)<h3 id="1c">.*?<h3', text)[0]
    parts = re.findall(r'<h3 id="(..)">', text)
    assert parts == sorted({"3b", *MANUAL})


def test_the_class_page_counts(tmp_path):
    def row(number, **known):
        parts = {"1d": (known.pop("score", 10.0), 10.0)}
        name = f"s{number}"
        return overview.Row(name, name, str(number), parts["1d"][0], 10.0, parts, number, **known)

    rows = [row(n) for n in range(37)]
    rows += [row(n, score=4.0, mistakes=(("1d", "sigma-around-old-mean"),)) for n in range(37, 40)]
    rows += [row(40, score=0.0, suspicious=("1(d): the process died",))]
    text = overview.page(rows)
    assert "3 of 41: 1(d) sigma around old mean" in text
    assert "Totals: mean 9.32, median 10.00 of 10 points." in text
    assert re.findall(r'<text x="[\d.]+" y="(?!156)[^"]+">(\d+)</text>', text) == ["1", "3", "37"]
    assert "9.32 of 10" in text and "<td class=n>37</td><td class=n>1</td>" in text
    text = overview.page([row(0, score=4.0), row(1, score=7.0), row(2, score=0.0, refused=True)])
    assert "2 of 3 submissions are graded, 1 could not be unpacked" in text
    assert "mean 5.50, median 5.50" in text  # of an even number, between the two in the middle


def test_what_is_not_written_yet_is_named_by_its_own_words(tmp_path):
    write(tmp_path / "a\nb", "loops")  # the command that repeats a case has two lines
    (tmp_path / "a\nb" / "pca.py").write_text(
        "def pca(*arguments):\n    raise NotImplementedError('TODO: 3(b)')\n"
    )
    (tmp_path / "torn.zip").write_bytes(b"PK, and no more")
    assert grade(tmp_path, tmp_path / "out", "--only", "3b.2") == 0
    table = rows_of(tmp_path / "out")
    assert table["a?b"]["remarks"] == "NotImplementedError: TODO: 3(b)"
    assert table["torn"]["remarks"].endswith("torn.zip is neither a folder nor a zip")
    assert "1 could not be unpacked" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("content", ["", '{"score": 1', "[]", "3", '{"score": 1, "tests": []}'])
def test_a_broken_result_is_listed_and_made_again(content, six, tmp_path, capsys):
    out, other = tmp_path / "out", tmp_path / "other"
    for folder in (out, other):
        (folder / "s0").mkdir(parents=True)
        (folder / "s0" / "results.json").write_text(content)
    (other / "s9").mkdir()
    (other / "s9" / "results.json").write_text(content)
    students = students_of(six)[:1]
    assert batch.finished(out, students[0], seed=SEED, only=("3b.2",)) is None
    assert batch.grade(students, other, only=("3b.2",), seed=SEED) == 0
    table = rows_of(other)
    assert table["s0"]["total"] == "0.70"
    assert table["s9"]["remarks"] == "results.json cannot be read"
    assert command_line.main(["diff", str(out), str(other)]) == 0
    said = capsys.readouterr().out
    assert "s0  all  - -> 0.70 (+0.00)\n    the old results.json cannot be read\n" in said
    assert "    not in the old grading\n    the new results.json cannot be read\n" in said


def test_who_grades_as_another_user_closes_the_results(tmp_path, monkeypatch):
    monkeypatch.setattr(batch.sandbox, "available_levels", lambda: ("user", "process"))
    (tmp_path / "out").mkdir(mode=0o755)
    assert batch.grade([], tmp_path / "out", seed=SEED) == 0
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_no_text_of_a_student_turns_a_page():
    turns = "".join(map(chr, (0x202A, 0x202E, 0x2066, 0x2069, 0x200F, 0x61C)))
    text = student_page.html(f"a{turns}b", f"<p>c{turns}d</p>")
    assert "<p>cd</p>" in text and "<title>ab</title>" in text


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1", "'=1"),
        ("late; =1;+1", "late; '=1;'+1"),
        ("-1", "-1"),
        ("+2.5", "+2.5"),
        ("-1+1", "'-1+1"),
        ("a-1; b=2", "a-1; b=2"),
    ],
)
def test_cells_that_look_like_formulas_are_texts(cell, written):
    assert overview.harmless(cell) == written


def test_files_that_are_nearly_the_same_are_found(tmp_path, monkeypatch):
    class CodeFingerprint:  # stands for copydetect's
        def __init__(self, name, k, win_size, fp):
            self.hashes = set(fp)

    module = types.SimpleNamespace(CodeFingerprint=CodeFingerprint)
    monkeypatch.setitem(sys.modules, "copydetect", module)
    given = [f"given {line}\n" for line in range(30)]
    for number in range(10):
        (tmp_path / f"s{number}").mkdir()
        own = [f"{number % 9} or {line}\n" for line in range(12)]  # the last has copied
        (tmp_path / f"s{number}" / "gmm.py").write_text("".join(given + own + [f"{number}"]))
    (tmp_path / "none.zip").write_bytes(b"no zip")
    assert copies.alike(students_of(tmp_path)) == [("s0", "s9", "gmm.py")]
    assert batch.grade(students_of(tmp_path), tmp_path / "out", seed=SEED, only=("3b.2",)) == 0
    table = rows_of(tmp_path / "out")
    assert table["s0"]["remarks"].startswith("gmm.py: much like s9")
    monkeypatch.setitem(sys.modules, "copydetect", None)  # not installed
    assert copies.alike(students_of(tmp_path)) == []


# Two gradings


def test_diff_says_who_gained_and_why(tmp_path, capsys):
    rows = {(part, name): row for part, name, *row in MISTAKES}
    _, *edits = rows["3b", "not-centred"]
    for name in ("=ada", "bob"):
        write(tmp_path / "old" / name, "loops", *([edits] if name == "=ada" else []))
        write(tmp_path / "new" / name, "loops")
    write(tmp_path / "new" / "eve", "loops")
    for name in ("old", "new"):
        assert grade(tmp_path / name, tmp_path / f"{name}-out", "--only", "3b.2,3b.3") == 0
    capsys.readouterr()
    old, new, file = (str(tmp_path / name) for name in ("old-out", "new-out", "changes.csv"))
    assert command_line.main(["diff", old, new, "--csv", file]) == 0
    said = capsys.readouterr().out
    assert "=ada  3(b)  0.00 -> 1.40 (+1.40)\n    other files were handed in\n" in said
    assert ": 0, not-centred (53) -> 0.7, right (0)\n" in said
    assert "bob" not in said and "eve  all  - -> 1.40" in said
    assert said.endswith("1 gained, 0 lost.\n")
    with open(file, newline="", encoding="utf-8") as table:
        ada, eve = csv.DictReader(table)
    assert (ada["name"], ada["part"], ada["change"]) == ("'=ada", "3(b)", "1.40")
    assert eve["why"] == "not in the old grading"
    how = f"seed {SEED}; grader {report.grader_version()}; isolation "
    assert said.startswith(f"old: {how}") and f"\nnew: {how}" in said and "Warning" not in said
    record = json.loads((tmp_path / "new-out" / "bob" / "results.json").read_text())
    record["extra_data"]["seed"] = 7
    (tmp_path / "new-out" / "bob" / "results.json").write_text(json.dumps(record))
    assert command_line.main(["diff", old, new]) == 0
    said = capsys.readouterr().out
    assert f"new: seed {SEED}, 7;" in said and "Warning: the seeds differ" in said
    assert diff.changes(tmp_path / "new-out", tmp_path / "new-out") == []
    with pytest.raises(SystemExit) as stop:
        command_line.main(["diff", old, str(tmp_path / "old")])
    assert stop.value.code == 2 and "has no results" in capsys.readouterr().err


# Three hundred


@pytest.mark.slow
def test_three_hundred_get_the_marks_that_each_of_their_files_gets(tmp_path):
    real = {c.key for c in marking.answers().cases(SEED) if re.search("original|stand-in", c.name)}
    keys = tuple(key for key in keys_of(SEED, tuple(POINTS), speed=False) if key not in real)
    right = {}
    for part in FILES:
        full = sum(
            c.points for c in marking.answers().cases(SEED) if c.key in keys and c.part == part
        )
        for number, choice in enumerate(choices(part)):
            write_file(tmp_path / "files" / f"{part}-{number}", part, choice)
            own = tuple(key for key in keys if key.startswith(part))
            marks = marking.mark(tmp_path / "files" / f"{part}-{number}", SEED, "process", own)
            right[part, choice[0]] = score = sum(mark.score for mark in marks)
            named = {mark.verdict.mistake for mark in marks} - {None}
            if choice[0] == "missing":
                assert score == 0
            elif choice[2]:
                assert score < full and named == {choice[0]}
            else:
                assert score == pytest.approx(full) and not named
    made = generate(tmp_path / "class", 300)
    students = students_of(tmp_path / "class")
    for jobs, size in ((2, 300), (1, 30)):
        out = tmp_path / f"out-{jobs}"
        assert batch.grade(students[:size], out, seed=SEED, jobs=jobs, only=keys) == 0
        table = rows_of(out)
        assert list(table) == list(made)[:size]
        for name, row in table.items():
            expected = {part: right[part, choice] for part, choice in made[name].items()}
            found = {part: float(row[part]) for part in expected}
            assert found == pytest.approx(expected, abs=0.006), name
        before = (out / "grades.csv").read_bytes()
        assert batch.grade(students[:size], out, seed=SEED, jobs=jobs, only=keys) == 0
        assert (out / "grades.csv").read_bytes() == before


@pytest.mark.slow
def test_the_pages_work_from_a_file_in_a_narrow_window(tmp_path, monkeypatch, browser):  # noqa: F811
    (tmp_path / "writeup" / "figures").mkdir(parents=True)
    (tmp_path / "writeup" / "figures" / "one.png").write_bytes(png(3, 30))
    (tmp_path / "writeup" / "pca.html").write_text(
        '<h2 id="3d">d</h2><a href="figures/one.png"><img src="data:x" alt="A figure."></a>'
    )
    monkeypatch.setattr(student_page, "WRITEUP", tmp_path / "writeup")
    attack = "<script>document.title = 'broken in'</script>"
    notebook(
        write(tmp_path / "class" / "b", "loops"),
        v4.new_markdown_cell(f"## 3(d)\n{attack}"),
        drawn(png(5, 900)),
    )
    write(tmp_path / "class" / "a", "loops", ("pca", "data - mean", "data"))
    (tmp_path / "class" / "a much longer name than the others, without a file").mkdir()
    assert grade(tmp_path / "class", tmp_path / "out", "--only", "3b.2") == 0

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 400, "height": 2000, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get((tmp_path / "out" / "index.html").as_uri())
    names = (
        "return [...document.querySelectorAll('table.all tbody tr')].map(r => r.cells[0].innerText)"
    )
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(names)[0] == "a" and browser.execute_script(wide) <= 400
    heads = browser.find_elements("css selector", "table.all th button")
    for _ in range(2):  # up, then down
        browser.execute_script("arguments[0].click()", heads[2])
        order = browser.execute_script(names)
    assert order[0] == "b"
    browser.get((tmp_path / "out" / "b" / "report.html").as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    browser.execute_script("document.images[0].scrollIntoView()")
    time.sleep(1)
    loaded = "return [...document.images].map(image => image.naturalWidth)"
    assert browser.execute_script(loaded) == [30, 900]
    assert browser.execute_script(wide) <= 400 and browser.title == "b"
    assert browser.get_log("browser") == []
