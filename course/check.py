"""Mark one's own work with the visible cases."""

import argparse
import shlex
from pathlib import Path

from course import report, visible
from course.judging import POINTS


def check(folder, *, only=tuple(POINTS), jobs=2):
    """Print what is wrong, and the points by part; return 0 if all pass, else 1."""
    command = f"check {shlex.quote(str(folder))}"
    record = report.record_of(
        folder, command, seed=visible.SEED, level="process", only=only, jobs=jobs
    )
    wrong = [test for test in record["tests"] if test["status"] != "passed"]
    absent = {}  # files, functions and bodies that are not there yet: one line for all their cases
    for test in wrong:
        if test["extra_data"]["code"] in (40, 73):
            result = test["output"].rpartition("\n\n")[0]  # what follows is how to repeat it
            why = f"{test['number']}  {result.splitlines()[-1]}"
            absent[why] = absent.get(why, 0) + 1
        else:
            print(f"{test['number']}\n{test['output']}\n")
    for why, count in absent.items():
        print(f"{why} ({count} cases)")
    passed = len(record["tests"]) - len(wrong)
    print(f"\n{report.plain_table(record)}\n")
    print(f"{passed} of {len(record['tests'])} cases pass, {record['score']:g} points.")
    return int(bool(wrong))


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
