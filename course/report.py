"""Marks to a record, what `results.json` holds: Gradescope's format."""

import functools
import hashlib
import json
import os
import tempfile
from modulefinder import ModuleFinder
from pathlib import Path

from course import marking
from course.judging import POINTS
from course.marking import FULL_SPEED, NO_SPEED, told
from course.sandbox import MODULES, ROOT, WARNINGS, SubmissionError, unpacked

READ = (  # files that grading reads and does not import
    "course/child.py",
    "data/reference.json",
    *(f"textbook/{name}" for name in MODULES),
)


@functools.cache
def grader_files():
    """Return the project's files that grading needs, as paths from its top."""
    finder = ModuleFinder([str(ROOT)])  # it finds what is imported inside functions, too
    finder.import_hook(__name__)
    imported = [module.__file__ for module in finder.modules.values() if module.__file__]
    files = {*map(Path, imported), *(ROOT / name for name in READ)}
    return sorted(path.relative_to(ROOT).as_posix() for path in files if path.exists())


@functools.cache
def grader_version():
    """Return a name for the grader as it is: a hash of its files."""
    total = hashlib.sha256()
    for name in grader_files():
        total.update(name.encode() + (ROOT / name).read_bytes())
    return total.hexdigest()[:12]


def number_of(part):
    """Return "1(a)" for "1a"."""
    return f"{part[:-1]}({part[-1]})"


def digest(folder):
    """Return the SHA-256 of the files below a folder, names included."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            total.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes())
    return total.hexdigest()


def fingerprint(submission):
    """Return the SHA-256 of a submission: the same for a folder and for its zip."""
    try:
        with unpacked(submission) as folder:
            return digest(folder)
    except SubmissionError:  # no zip, or too large: by its own bytes, or for a folder by its name
        path = Path(submission)
        if not path.is_file():
            return hashlib.sha256(os.fsencode(path.name)).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def record_of(submission, command, *, seed, level, only, jobs):
    """Return the record of one submission; `command` with ``--only KEY`` repeats a case."""
    marks = marking.mark(submission, seed, level, only, jobs)
    return results(
        marks,
        seed=seed,
        level=level,
        submission=fingerprint(submission),
        command_for=lambda key: f"python -m course {command} --only {key}",
    )


def results(marks, *, seed, level, submission, command_for):
    """Return the marks in Gradescope's format.

    Parameters
    ----------
    marks : list of course.marking.Mark
    seed : int
    level : str
        Of isolation.
    submission : str
        SHA-256 of the files that were marked.
    command_for : callable
        Gives the command that repeats a case, of the case's key.

    Returns
    -------
    dict
    """
    tests = [
        entry(
            mark.case.part, mark.case.name, mark.case.points,
            told(mark, command_for(mark.case.key)), code=mark.verdict.code,
            score=round(mark.score, 4), mistake=mark.verdict.mistake,
            ratio=mark.ratio and round(mark.ratio, 3),
        )
        for mark in marks
    ]  # fmt: skip
    total, possible = sum(test["score"] for test in tests), sum(m.case.points for m in marks)
    return {
        "score": round(total, 2),
        "output": f"{total:.2f} of {possible:g} points.\n{in_words(seed, level)}",
        "output_format": "text",
        "tests": tests,
        "extra_data": {
            "seed": seed, "isolation": level, "submission": submission, "grader": grader_version(),
        },
    }  # fmt: skip


def entry(part, name, points, output, *, code, score=0.0, mistake=None, ratio=None):
    """Return one test of a record."""
    return {
        "number": number_of(part),
        "name": name,
        "score": score,
        "max_score": points,
        "status": "passed" if code == 0 else "failed",
        "output": output,
        "output_format": "text",
        "extra_data": {"part": part, "code": code, "mistake": mistake, "ratio": ratio},
    }


def in_words(seed, level):
    """Return how the marks came about, in plain text."""
    lines = [
        f"Cases of seed {seed}. Isolation: {level}.",
        f"Speed: all points up to {FULL_SPEED:g} times the textbook's time, none from "
        f"{NO_SPEED:g} times; the best of several runs counts.",
    ]
    return "\n".join([*lines, *filter(None, [WARNINGS[level]])])


def write_whole(path, text):
    """Write a file whole or not at all, also if the machine stops in the middle."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _sync(folder):
    """Have the disk keep the new name too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_record(path):
    """Return the record in a `results.json`, or None if none is there that can be read."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        _ = record["score"], by_part(record)
        _ = [record["extra_data"][key] for key in ("seed", "isolation", "submission", "grader")]
    except (OSError, ValueError, KeyError, TypeError):  # half a file, or something else
        return None
    return record


def by_part(record):
    """Return (part, score, points, mistakes) for each part of a record, in order."""
    rows = []
    for part in POINTS:
        tests = [test for test in record["tests"] if test["extra_data"]["part"] == part]
        if tests:
            score, points = (sum(test[key] for test in tests) for key in ("score", "max_score"))
            named = {test["extra_data"]["mistake"] for test in tests} - {None}
            rows.append((part, score, points, sorted(named)))
    return rows
