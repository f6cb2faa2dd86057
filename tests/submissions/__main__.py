"""`python -m tests.submissions [SEEDS]`: the grader as a classifier, in a table.

Each known mistake: the points it lost in its own part, and what it was called. Each correct style:
how often it lost a point, over so many seeds (100 if not given), with speed and without training.
"""

import collections
import shutil
import sys
import tempfile
from pathlib import Path

from course import marking
from course.marking import mark
from tests.submissions.mistakes import HERE, MISTAKES, write

ROOT = HERE.parent.parent
MODULES = ("kmeans", "gmm", "pca", "ica", "cvae")
STYLES = (
    "loops", "broadcast", "library", "estimators", "float32", "textbook", "our modules",
)  # fmt: skip


def style(folder, name):
    """Write a correct submission in this style; return its folder."""
    if name == "our modules":
        folder.mkdir()
        for module in MODULES:
            shutil.copy(ROOT / f"{module}.py", folder)
        return folder
    if name == "textbook":
        return shutil.copytree(ROOT / "textbook", folder)
    return write(folder, name)


def keys_of(seed, parts, *, speed):
    """Return the cases of the parts, without the training of 5c."""
    return tuple(
        case.key
        for case in marking.answers().cases(seed)
        if case.part in parts and "training" not in case.name and (speed or not case.speed)
    )


def mistakes_table(folder, seed=1):
    """Print a row for each mistake; return how many were missed, and how many named wrongly."""
    missed = wrong = 0
    print("| part | mistake | points lost | named |\n| --- | --- | --- | --- |")
    for number, (part, name, base, file, *edits) in enumerate(MISTAKES):
        submission = write(folder / str(number), base, (file, *edits))
        marks = mark(submission, seed, "process", keys_of(seed, (part,), speed=False))
        lost = sum(m.case.points - m.score for m in marks)
        names = collections.Counter(m.verdict.mistake for m in marks if m.verdict.mistake)
        missed += lost == 0 or name not in names
        wrong += len(set(names) - {name})
        said = ", ".join(f"{found} ({count})" for found, count in names.items())
        print(f"| {part} | {name} | {lost:.2f} | {said} |", flush=True)
    return missed, wrong


def styles_table(folder, num_seeds):
    """Print a row for each style; return how many points were lost in all."""
    total = 0.0
    print("| style | runs | runs that lost a point | slowest ratio |\n| --- | --- | --- | --- |")
    for name in STYLES:
        submission, unfair, slowest = style(folder / name, name), 0, 0.0
        for seed in range(num_seeds):
            keys = keys_of(seed, ("1a", "1d", "3b", "4a"), speed=True)
            marks = mark(submission, seed, "process", keys)
            lost = sum(m.case.points - m.score for m in marks if m.verdict.code != 73)
            unfair, total = unfair + (lost > 0), total + lost
            slowest = max([slowest, *(m.ratio for m in marks if m.ratio)])
            for m in marks:
                if m.verdict.code not in (0, 73):
                    print(f"{name}, seed {seed}: {m.case.name}: {m.verdict}", file=sys.stderr)
        print(f"| {name} | {num_seeds} | {unfair} | {slowest:.2f} |", flush=True)
    return total


def main():
    """Print both tables; return 0 if nothing was missed, named wrongly or unfair."""
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        missed, wrong = mistakes_table(Path(folder))
        print(f"\n{len(MISTAKES)} mistakes, {missed} missed, {wrong} named wrongly.\n")
        lost = styles_table(Path(folder), num_seeds)
    return int(bool(missed or wrong or lost))


if __name__ == "__main__":
    sys.exit(main())
