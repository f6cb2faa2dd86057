"""`python -m course COMMAND`: each command stands in a module of its own."""

import argparse
import importlib
import sys
from pathlib import Path

COMMANDS = {  # its module, and what it does
    "starter": ("kit", "write the starter kit"),
    "check": ("check", "mark your own work with the visible cases"),
    "grade": ("batch", "grade submissions with the cases of a seed"),
    "diff": ("diff", "what a regrade changed"),
    "gradescope": ("gradescope", "write the zip that Gradescope wants"),
    "writeup": ("writeup", "run every notebook, write writeup/"),
}


def main(arguments=None):
    """Run a command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, says) in COMMANDS.items():
        if (Path(__file__).parent / f"{module}.py").exists():  # the starter kit has only some
            commands.add_parser(name, help=says, add_help=False)
    options, rest = parser.parse_known_args(arguments)
    module = importlib.import_module(f"course.{COMMANDS[options.command][0]}")
    return module.main(rest)


if __name__ == "__main__":
    sys.exit(main())
