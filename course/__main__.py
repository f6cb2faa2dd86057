"""`python -m course COMMAND`: each command's work stands in a module of its own."""

import argparse
import sys
from pathlib import Path


def main(arguments=None):
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("writeup", help="run every notebook, write writeup/")

    check = commands.add_parser("check", help="mark your own work with the visible cases")
    check.add_argument("folder", nargs="?", default=".", metavar="FOLDER")
    grade = commands.add_parser("grade", help="grade submissions with the cases of a seed")
    grade.add_argument("submissions", nargs="+", metavar="SUBMISSION", help="a folder or a zip")
    grade.add_argument("--out", required=True, metavar="OUT", help="the folder of the results")
    grade.add_argument("--seed", type=int, default=1, help="of the hidden cases")
    for command in (check, grade):
        command.add_argument(
            "--only", default="", metavar="1a,3b", help="these parts alone; 1a.3 is one case"
        )
        command.add_argument("--jobs", type=int, default=2, help="files that are run at once")
    options = parser.parse_args(arguments)

    if options.command == "writeup":
        from course import writeup

        return writeup.main()

    from course import batch
    from course.judging import POINTS

    only = tuple(options.only.split(",")) if options.only else tuple(POINTS)
    if unknown := {key for key in only if key.partition(".")[0] not in POINTS}:
        parser.error(f"--only {', '.join(sorted(unknown))}: choose from {', '.join(POINTS)}")
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    paths = [options.folder] if options.command == "check" else options.submissions
    if missing := [path for path in paths if not Path(path).exists()]:
        parser.error(f"{missing[0]} is not there")
    names = [batch.name_of(path) for path in paths]
    if twice := {name for name in names if names.count(name) > 1}:
        parser.error(f"several submissions are named {sorted(twice)[0]}; their results would mix")
    if options.command == "check":
        return batch.check(options.folder, only=only, jobs=options.jobs)
    return batch.grade(
        options.submissions, options.out, seed=options.seed, jobs=options.jobs, only=only
    )


if __name__ == "__main__":
    sys.exit(main())
