"""Grade submissions one after the other, each result whole or absent."""

import argparse
import shlex
import time
from pathlib import Path

from course import report, sandbox
from course.check import add_choices
from course.judging import POINTS


def name_of(submission):
    """Return the name that a submission's results go by: its folder's, or its zip's."""
    path = Path(submission).resolve()
    return path.name if path.is_dir() else path.stem


def grade(submissions, out, *, seed=1, jobs=2, only=tuple(POINTS)):
    """Grade submissions into a folder; return 0, or 1 if the grader failed on one of them."""
    level, failed = sandbox.available_levels()[0], 0
    for submission in submissions:
        start, name = time.perf_counter(), name_of(submission)
        where = shlex.join([str(submission), "--out", str(out)])
        command = f"grade {where} --seed {seed}"
        try:
            record = report.record_of(
                submission, command, seed=seed, level=level, only=only, jobs=jobs
            )
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


def main(arguments):
    """Run `python -m course grade`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course grade", description=__doc__)
    parser.add_argument("submissions", nargs="+", metavar="SUBMISSION", help="a folder or a zip")
    parser.add_argument("--out", required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument("--seed", type=int, default=1, help="of the hidden cases")
    add_choices(parser)
    options = parser.parse_args(arguments)
    if missing := [path for path in options.submissions if not Path(path).exists()]:
        parser.error(f"{missing[0]} is not there")
    names = [name_of(path) for path in options.submissions]
    if twice := {name for name in names if names.count(name) > 1}:
        parser.error(f"several submissions are named {sorted(twice)[0]}; their results would mix")
    return grade(
        options.submissions, options.out, seed=options.seed, jobs=options.jobs, only=options.only
    )
