"""Write the zip that Gradescope wants, and grade one submission in the container it makes of it.

Gradescope unpacks the zip to /autograder/source and runs `setup.sh` once, as root. For each
submission it starts `run_autograder` in /autograder, with half a core, 768 MB and ten minutes, and
then reads results/results.json. So the parts are graded one after the other, and that file is
written whole after each.
"""

import argparse
import json
import zipfile
from pathlib import Path

from course import marking, report, sandbox
from course.judging import POINTS
from course.sandbox import ROOT

MEMORY = 480 << 20  # bytes, for the student's processes; the grader takes up to 200 MiB beside them
ORDER = ("3b", "1a", "1d", "4a", "5c")  # the quickest first
PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib", "pillow", "torch", "psutil")

SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it makes the image.
set -euo pipefail
apt-get update
apt-get install -y python3-venv
python3 -m venv /opt/uv
/opt/uv/bin/pip install uv==0.13.9
# Not below /root: the student's code runs as another user, who must be able to read Python.
export UV_PYTHON_INSTALL_DIR=/opt/python
/opt/uv/bin/uv venv --python 3.11.14 /opt/grader
/opt/uv/bin/uv pip install --python /opt/grader/bin/python --torch-backend cpu \\
  -r /autograder/source/requirements.txt
"""
RUN = """\
#!/usr/bin/env bash
# Gradescope runs this in /autograder for each submission. It stops a run after 600 seconds, and
# then gives no points at all; a run that stops by itself keeps those in results/results.json.
cd "$(dirname "$0")"
export PYTHONPATH=source OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec timeout --signal=KILL 570 /opt/grader/bin/python -c \\
  "from course.gradescope import run; run('.', seed={seed})"
"""
NOT_GRADED = (
    "Not graded: time or memory ran out before this part was done, or the grader failed. If your "
    "code is slow, make it faster and hand it in again; if it is not, tell the staff."
)


def requirements():
    """Return the lines of `requirements.txt` that grading needs."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.partition("==")[0] in PACKAGES) + "\n"


def write_zip(path, seed):
    """Write the zip, the same bytes for the same grader and seed."""
    scripts = {"setup.sh": SETUP, "run_autograder": RUN.format(seed=seed)}
    names = ["course/gradescope.py", *report.grader_files()]
    files = {name: (ROOT / name).read_text(encoding="utf-8") for name in names}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**scripts, "requirements.txt": requirements(), **files}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o755 if name in scripts else 0o644) << 16
            archive.writestr(info, text, zipfile.ZIP_DEFLATED)


def run(root, seed):
    """Grade `root/submission`, and write `root/results/results.json` anew after each part.

    Parameters
    ----------
    root : path
        What Gradescope calls /autograder.
    seed : int
        Of the cases.
    """
    sandbox.MAX_MEMORY = MEMORY
    submission, results = Path(root, "submission"), Path(root, "results", "results.json")
    level, sha, marks = sandbox.available_levels()[0], report.fingerprint(submission), []
    for part in (None, *ORDER):
        if part:  # before the first, the record says that nothing is graded yet
            marks += marking.mark(submission, seed, level, (part,), jobs=1)
        record = record_of(marks, seed, level, sha)
        report.write_whole(results, json.dumps(record, indent=1))


def record_of(marks, seed, level, sha):
    """Return the results so far; a part that is not graded yet is one test without points."""
    again = f"python -m course grade FOLDER --out OUT --seed {seed} --only "
    record = report.results(
        sorted(marks, key=lambda mark: list(POINTS).index(mark.case.part)),
        seed=seed,
        level=level,
        submission=sha,
        command_for=again.__add__,
    )
    for part in POINTS:
        if part not in {mark.case.part for mark in marks}:
            missing = report.entry(part, "not graded", POINTS[part], NOT_GRADED, code=70)
            record["tests"].append(missing)
    return record


def main(arguments):
    """Run `python -m course gradescope`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course gradescope", description=__doc__)
    parser.add_argument("zip", metavar="FILE.zip")
    parser.add_argument("--seed", type=int, default=1, help="of the hidden cases")
    options = parser.parse_args(arguments)
    try:
        write_zip(options.zip, options.seed)
    except OSError as error:
        parser.error(f"{options.zip} cannot be written: {error.strerror}")
    print(f"{options.zip}: upload it to Gradescope as the assignment's autograder.")
    return 0
