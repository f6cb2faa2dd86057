"""`make`: which interpreter it takes, and what `make writeup` does with wrong settings."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

VERSION = "{}.{}".format(*sys.version_info)
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def project(tmp_path):
    """The Makefile with nothing to install, and packages that say that they ran."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    for name in ("data/__main__.py", "course/__main__.py", "course/writeup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("print(__package__, 'ran')\n")
    return tmp_path


def make(project, *arguments):
    """Run make as from a terminal, not from the make that runs the tests; return its output."""
    inherited = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    command = ["make", *arguments]
    run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def old_python(tmp_path):
    """An interpreter that believes to be Python 3.10."""
    path = tmp_path / "python3.10"
    path.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 10, 0); $2"\n'
    )
    path.chmod(0o755)
    return path


def test_an_old_python_is_refused_and_leaves_no_trace(project, old_python):
    status, output = make(project, f"PYTHON={old_python}", "data")
    assert status == 2
    assert "needs Python 3.11 or newer, not 3.10; name one: make PYTHON=" in output
    assert not (project / ".venv").exists()


def test_an_environment_of_another_python_is_made_anew(project, old_python):
    (project / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "python3.10"):
        (project / ".venv" / "bin" / name).symlink_to(old_python)
    (project / ".venv" / "installed-3.10").touch()
    status, output = make(project, f"PYTHON={sys.executable}", "data")
    assert status == 0, output
    assert output.endswith("data ran\n")
    assert sorted(path.name for path in project.glob(".venv/installed*")) == [
        f"installed-{VERSION}"
    ]

    # From now on a plain `make` takes it, and another old Python leaves it alone.
    assert make(project, "data") == (0, ".venv/bin/python -m data\ndata ran\n")
    assert make(project, f"PYTHON={old_python}", "data")[0] == 2
    assert make(project, "data")[0] == 0

    for link in (project / ".venv" / "bin").glob("python*"):  # its interpreter is gone
        link.unlink()
        link.symlink_to(project / "nowhere")
    plan = make(project, "--dry-run", f"PYTHON={sys.executable}", "data")[1]
    assert f"{sys.executable} -m venv --clear .venv" in plan


@pytest.mark.parametrize(("data_status", "status"), [(0, 0), (1, 0), (2, 2)])
def test_writeup_goes_on_without_originals_but_not_with_a_wrong_folder(
    project, data_status, status
):
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (project / ".venv" / f"installed-{VERSION}").touch()
    (project / "data" / "__main__.py").write_text(f"import sys; sys.exit({data_status})")
    returned, output = make(project, "writeup")
    assert (returned, "course ran" in output) == (status, status == 0)
