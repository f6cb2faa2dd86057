"""The zip for Gradescope: what is in it, and runs in a folder that stands for /autograder."""

import contextlib
import json
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from course import __main__ as command_line
from course import gradescope, report, sandbox
from course.judging import CODES, POINTS

ROOT = Path(__file__).resolve().parent.parent
SEED = 3
MEMORY, SECONDS = 768 << 20, 600  # what Gradescope gives
SPY = """
def train_kmeans(data, centroids, *, num_iterations=50):
    names = {{}}
    exec(open({path!r}).read(), names)
    return names["train_kmeans"](data, centroids, num_iterations=num_iterations)
"""
SLEEPER = "import time\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def zip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "autograder.zip"
    assert command_line.main(["gradescope", str(path), "--seed", str(SEED)]) == 0
    return path


@pytest.fixture
def autograder(zip_file):
    """A folder as Gradescope makes it, which others may read; none of the student's files yet."""
    with tempfile.TemporaryDirectory(prefix="autograder-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ("submission", "results", "tmp", "bin"):
            (root / name).mkdir()
        (root / "tmp").chmod(0o1777)
        (root / "submission_metadata.json").write_text('{"id": 1, "users": []}')
        for tool in ("bash", "dirname", "rm", "timeout"):  # all that is needed, and no bwrap
            (root / "bin" / tool).symlink_to(shutil.which(tool))
        with zipfile.ZipFile(zip_file) as archive:
            archive.extractall(root / "source")
        script = (root / "source" / "run_autograder").read_text()
        assert "/opt/grader/bin/python" in script
        run = root / "run_autograder"
        run.write_text(script.replace("/opt/grader/bin/python", sys.executable))
        run.chmod(0o755)
        yield root


def start(root):
    """Start `run_autograder` as Gradescope does."""
    environment = {"PATH": str(root / "bin"), "TMPDIR": str(root / "tmp")}
    log = (root / "results" / "stdout").open("w")
    return subprocess.Popen(
        [root / "run_autograder"], cwd=root, env=environment, stdout=log, stderr=log
    )


def hand_in(root, **texts):
    """Put files into the submission: the textbook's, with what is appended to it."""
    for name, text in texts.items():
        book = (ROOT / "textbook" / f"{name}.py").read_text()
        (root / "submission" / f"{name}.py").write_text(f"{book}\n\n{text}")


def results(root):
    """Return the record, after a look at whether it is what Gradescope's specification allows."""
    record = json.loads((root / "results" / "results.json").read_text())
    assert set(record) == {"score", "output", "output_format", "tests", "extra_data"}
    assert record["score"] == pytest.approx(sum(test["score"] for test in record["tests"]))
    assert record["output_format"] == "text" and isinstance(record["output"], str)
    for test in record["tests"]:
        assert set(test) == {
            "number", "name", "score", "max_score", "status", "output", "output_format",
            "extra_data",
        }  # fmt: skip
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] in ("passed", "failed") and test["output_format"] == "text"
        assert all(isinstance(test[key], str) for key in ("number", "name", "output"))
        assert test["extra_data"]["code"] in CODES
    points = dict.fromkeys(POINTS, 0.0)
    for test in record["tests"]:
        points[test["extra_data"]["part"]] += test["max_score"]
    assert points == pytest.approx(POINTS)  # whatever is graded, all 38 points are there
    return record


def not_graded(record):
    return {t["extra_data"]["part"] for t in record["tests"] if t["name"] == "not graded"}


def scores(record):
    points = dict.fromkeys(POINTS, 0.0)
    for test in record["tests"]:
        points[test["extra_data"]["part"]] += test["score"]
    return points


# The zip


def test_the_zip_holds_what_grading_needs_and_no_more(zip_file):
    with zipfile.ZipFile(zip_file) as archive:
        files = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert {name for name in files if "/" not in name} == {
        "setup.sh", "run_autograder", "requirements.txt",
    }  # fmt: skip
    assert {name for name, mode in files.items() if mode & stat.S_IXUSR} == {
        "setup.sh", "run_autograder",
    }  # fmt: skip
    assert {name for name in files if name.startswith("data/")} == {
        f"data/{name}" for name in (
            "__init__.py", "comparison.py", "heads.py", "idx.py", "loaders.py", "reference.json",
            "sounds.py", "standins.py",
        )
    }  # fmt: skip
    assert {name for name in files if name.startswith("textbook/")} == {
        f"textbook/{name}.py" for name in ("__init__", "cvae", "gmm", "ica", "kmeans", "pca")
    }
    assert files.keys() >= set(report.grader_files())
    course = {name.removeprefix("course/") for name in files if name.startswith("course/")}
    assert course >= {"__init__.py", "child.py", "marking.py", "gradescope.py"}
    assert not course & {"writeup.py", "pages.py", "gallery.py", "batch.py", "__main__.py"}
    assert all(name.endswith(".py") for name in course)


def test_the_same_grader_and_seed_give_the_same_bytes(zip_file, tmp_path):
    gradescope.write_zip(tmp_path / "again.zip", SEED)
    assert (tmp_path / "again.zip").read_bytes() == zip_file.read_bytes()


def test_a_zip_that_cannot_be_written_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["gradescope", str(tmp_path / "nowhere" / "autograder.zip")])
    assert stop.value.code == 2 and "cannot be written" in capsys.readouterr().err


def test_what_is_installed_is_pinned(zip_file):
    with zipfile.ZipFile(zip_file) as archive:
        lines = archive.read("requirements.txt").decode().splitlines()
        setup = archive.read("setup.sh").decode()
    assert {line.partition("==")[0] for line in lines} == set(gradescope.PACKAGES)
    assert set(lines) <= set((ROOT / "requirements.txt").read_text().splitlines())
    assert all(line.partition("==")[2] for line in lines)
    assert "uv==" in setup and "--torch-backend cpu" in setup


@pytest.mark.parametrize("name", ["setup.sh", "run_autograder"])
def test_the_scripts_are_bash(name, zip_file):
    with zipfile.ZipFile(zip_file) as archive:
        script = archive.read(name)
    assert script.startswith(b"#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n"], input=script, check=True)


# A run


def test_the_grader_has_no_pytorch_beside_that_of_the_student():
    code = f"import sys; from course import marking; marking.answers().cases({SEED}); "
    code += "sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.fixture
def as_root():
    if "user" not in sandbox.available_levels():
        pytest.skip("Gradescope runs as root, and this is another user")


def test_a_run_gives_a_record_and_keeps_the_solutions_to_itself(autograder, as_root):
    path = autograder / "source" / "textbook" / "kmeans.py"
    hand_in(autograder, pca="", kmeans=SPY.format(path=str(path)))
    assert start(autograder).wait(timeout=120) == 0, (autograder / "results/stdout").read_text()
    record = results(autograder)
    assert record["extra_data"]["isolation"] == "user" and not_graded(record) == set()
    assert record["extra_data"]["grader"] == report.grader_version()  # the same, so comparable
    spied = [t for t in record["tests"] if "PermissionError" in t["output"]]
    assert len(spied) >= 8 and {t["score"] for t in spied} == {0}
    assert scores(record) == pytest.approx({"1a": 1.5, "1d": 0, "3b": 4, "4a": 0, "5c": 0})
    assert [t["number"] for t in record["tests"]] == sorted(t["number"] for t in record["tests"])


def test_a_run_that_is_stopped_keeps_what_was_graded(autograder, as_root):
    hand_in(autograder, pca="", cvae=SLEEPER, ica=SLEEPER, gmm=SLEEPER, kmeans=SLEEPER)
    script = autograder / "run_autograder"
    limit = "timeout --signal=KILL 570 "
    assert limit in script.read_text() and 570 < SECONDS
    script.write_text(script.read_text().replace(limit, "timeout --signal=KILL 20 "))
    begun = time.monotonic()
    start(autograder).wait(timeout=60)
    assert time.monotonic() - begun < 30
    record = results(autograder)
    assert scores(record) == pytest.approx({"1a": 0, "1d": 0, "3b": 4, "4a": 0, "5c": 0})
    assert not_graded(record) == set(POINTS) - {"3b"}


@pytest.mark.slow
@pytest.mark.parametrize("style", ["loops", "library"])
def test_a_correct_solution_gets_all_points_within_the_memory(style, autograder, as_root):
    shutil.copytree(
        ROOT / "tests" / "submissions" / style, autograder / "submission", dirs_exist_ok=True
    )
    run, most = start(autograder), 0
    while run.poll() is None:
        used = 0
        with contextlib.suppress(psutil.Error):
            grader = psutil.Process(run.pid)
            for process in (grader, *grader.children(recursive=True)):
                used += process.memory_info().rss
        most = max(most, used)
        time.sleep(0.05)
    record = results(autograder)
    assert record["score"] == 38, [t for t in record["tests"] if t["status"] == "failed"]
    assert most < MEMORY
