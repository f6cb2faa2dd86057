"""Grade submissions one after the other, each result whole or absent; and check one's own work."""

import hashlib
import os
import shlex
import time
from pathlib import Path

from course import marking, report, sandbox
from course.judging import POINTS

CHECK_SEED = 0  # its cases are the visible ones


def name_of(submission):
    """Return the name that a submission's results go by: its folder's, or its zip's."""
    path = Path(submission).resolve()
    return path.name if path.is_dir() else path.stem


def digest(folder):
    """Return the SHA-256 of the files below a folder, names included."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            total.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes())
    return total.hexdigest()


def graded(submission, command, *, seed, level, only, jobs):
    """Return the record of one submission; `command` with ``--only KEY`` repeats a case."""
    try:
        with sandbox.unpacked(submission) as folder:
            sha = digest(folder)
    except sandbox.SubmissionError:
        sha = hashlib.sha256(Path(submission).name.encode()).hexdigest()
    marks = marking.mark(submission, seed, level, only, jobs)
    return report.results(
        marks,
        seed=seed,
        level=level,
        submission=sha,
        command_for=lambda key: f"python -m course {command} --only {key}",
    )


def grade(submissions, out, *, seed=1, jobs=2, only=tuple(POINTS)):
    """Grade submissions into a folder; return 0, or 1 if the grader failed on one of them."""
    level, failed = sandbox.available_levels()[0], 0
    for submission in submissions:
        start, name = time.perf_counter(), name_of(submission)
        where = shlex.join([str(submission), "--out", str(out)])
        command = f"grade {where} --seed {seed}"
        try:
            record = graded(submission, command, seed=seed, level=level, only=only, jobs=jobs)
            report.write(Path(out) / name, name, record)
        except Exception as error:  # no disk, or a fault of ours: the others are still graded
            print(f"{name}: not graded, the grader failed: {error!r}", flush=True)
            failed += 1
            continue
        faults = sum(test["extra_data"]["code"] == 3 for test in record["tests"])
        failed += faults > 0
        note = f"; the grader failed on {faults} cases" if faults else ""
        seconds = time.perf_counter() - start
        print(f"{name}: {record['score']:g} points, {seconds:.0f} s{note}", flush=True)
    return int(failed > 0)


def check(folder, *, only=tuple(POINTS), jobs=2):
    """Mark one's own work with the visible cases; return 0 if all pass, else 1."""
    command = f"check {shlex.quote(str(folder))}"
    record = graded(folder, command, seed=CHECK_SEED, level="process", only=only, jobs=jobs)
    wrong = [test for test in record["tests"] if test["status"] != "passed"]
    absent = {}  # files, functions and bodies that are not there yet: one line for all their cases
    for test in wrong:
        if test["extra_data"]["code"] in (40, 73):
            why = f"{test['number']}  {test['output'].splitlines()[3]}"
            absent[why] = absent.get(why, 0) + 1
        else:
            print(f"{test['number']}\n{test['output']}\n")
    for why, count in absent.items():
        print(f"{why} ({count} cases)")
    passed = len(record["tests"]) - len(wrong)
    print(f"\n{report.plain_table(record)}\n")
    print(f"{passed} of {len(record['tests'])} cases pass, {record['score']:g} points.")
    return int(bool(wrong))
