"""Mark one's own work with the visible cases."""

import argparse
import shlex
from pathlib import Path

from course import marking, visible
from course.judging import POINTS
from course.report import number_of

ABSENT = (40, 73)  # codes of what is not there yet: a line will do


def check(folder, *, only=tuple(POINTS), jobs=2):
    """Print what is wrong, and the points by part; return 0 if all pass, else 1."""
    command = f"python -m course check {shlex.quote(str(folder))} --only "
    marks = marking.mark(folder, visible.SEED, "process", only, jobs)
    alike = {}
    for mark in marks:
        if mark.verdict.code:
            alike.setdefault(_what_is_wrong(mark), []).append(mark)
    for (number, code, _), (first, *others) in sorted(alike.items(), key=_absent_last):
        if code in ABSENT:
            said = first.verdict.detail.strip().splitlines()[-1]
            print(f"{number}  {said} ({len(others) + 1} cases)")
            continue
        print(marking.told(first, command + first.case.key))
        if others:
            print(f"The same in {', '.join(mark.case.key for mark in others)}.")
        print()
    passed = sum(mark.verdict.code == 0 for mark in marks)
    print(f"\n{table(marks)}\n")
    score = sum(mark.score for mark in marks)
    print(f"{passed} of {len(marks)} cases pass, {score:.4g} points.")
    return int(passed < len(marks))


def _what_is_wrong(mark):
    """Return what two cases have in common of which it is enough to show one."""
    code, detail, mistake = mark.verdict
    words = detail.strip().splitlines()[-1:] if code in (2, *ABSENT) else [mark.case.key]
    return number_of(mark.case.part), code, mistake or words[-1]


def _absent_last(item):
    return item[0][1] in ABSENT


def table(marks):
    """Return the points by part as text, with the known mistakes."""
    lines = [f"{'part':6} {'points':>6} {'of':>4}"]
    for part in POINTS:
        own = [mark for mark in marks if mark.case.part == part]
        if own:
            score, points = sum(m.score for m in own), sum(m.case.points for m in own)
            named = ", ".join(sorted({m.verdict.mistake for m in own} - {None}))
            lines.append(f"{number_of(part):6} {score:6.2f} {points:4g}   {named}".rstrip())
    return "\n".join(lines)


def add_choices(parser):
    """Add the options that `check` and `grade` share."""
    parser.add_argument(
        "--only",
        default=tuple(POINTS),
        type=_keys,
        metavar="1a,3b",
        help="these parts; or 1a.3, one case",
    )
    parser.add_argument("--jobs", type=_count, default=2, help="files that are run at once")


def _keys(text):
    keys = tuple(text.split(","))
    if unknown := {key for key in keys if key.partition(".")[0] not in POINTS}:
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: choose from {', '.join(POINTS)}"
        )
    if any("." in key for key in keys):
        cases = {case.key for case in marking.answers().cases(visible.SEED)}  # as many as any seed
        if unknown := set(keys) - cases - set(POINTS):
            raise argparse.ArgumentTypeError(f"there is no case {', '.join(sorted(unknown))}")
    return keys


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number of at least 1")
    return int(text)


def main(arguments):
    """Run `python -m course check`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course check", description=__doc__)
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER")
    add_choices(parser)
    options = parser.parse_args(arguments)
    if not Path(options.folder).exists():
        parser.error(f"{options.folder} is not there")
    return check(options.folder, only=options.only, jobs=options.jobs)
