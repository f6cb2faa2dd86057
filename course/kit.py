"""Write the starter kit: what a student gets, and no line of a solution."""

import argparse
import itertools
import json
import shutil
from pathlib import Path

import nbformat

from course import visible

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
KINDS = {"question", "given", "answer", "beyond"}  # every cell has one of these tags
GIVEN_NUMBERS = {  # of data/reference.json; the others are results
    "initial_centroid_indices",
    "initial_mu_indices",
    "k16_initial_mu_indices",
    "learning_rates",
}


def write(folder):
    """Write the kit into a folder that is not there yet, or is empty; others may read it.

    Parameters
    ----------
    folder : path

    Raises
    ------
    FileExistsError
        If the folder holds something, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there and not empty; name another folder")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / "starter", folder, dirs_exist_ok=True, ignore=unwanted)
    for name in ("plots.py", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for path in sorted(ROOT.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(for_students(notebook), folder / path.name)
    write_data(folder / "data")
    (folder / "course").mkdir()
    for name in visible.FILES:
        shutil.copy(HERE / name, folder / "course")
    visible.write(folder / "course" / "visible.npz")
    for path in (folder, *folder.rglob("*")):  # copies have the modes of their originals
        path.chmod(0o755 if path.is_dir() else 0o644)


def for_students(notebook):
    """Return the notebook with its questions and given cells, and with empty answers.

    Of an answer in code the comment at its top stays, which says what is wanted.
    """
    cells = []
    for cell in notebook.cells:
        kind = kind_of(cell)
        if kind == "beyond":
            continue
        cell = nbformat.from_dict({**cell, "metadata": {}})
        if kind == "answer" and cell.cell_type == "markdown":
            cell.source = "*Your answer.*"
        elif kind == "answer":
            lines = cell.source.split("\n")
            cell.source = "\n".join(itertools.takewhile(lambda line: line[:1] == "#", lines))
        cells.append(cell)
    return nbformat.from_dict({**notebook, "cells": cells})


def kind_of(cell):
    """Return which of `KINDS` a cell is."""
    kinds = KINDS.intersection(cell.metadata.get("tags", ()))
    if len(kinds) != 1:
        raise ValueError(f"cell {cell.id} must have one tag of {', '.join(sorted(KINDS))}")
    return kinds.pop()


def write_data(folder):
    """Copy the package: no originals, and of the reference numbers only where the runs start."""
    folder.mkdir(exist_ok=True)
    for path in (*(ROOT / "data").glob("*.py"), ROOT / "data" / "README.md"):
        shutil.copy(path, folder)
    sections = json.loads((ROOT / "data" / "reference.json").read_text(encoding="utf-8"))
    given = {
        section: {name: number for name, number in numbers.items() if name in GIVEN_NUMBERS}
        for section, numbers in sections.items()
        if not section.startswith("_")
    }
    (folder / "reference.json").write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")


def main(arguments):
    """Run `python -m course starter`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course starter", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="new, or empty")
    folder = parser.parse_args(arguments).folder
    try:
        write(folder)
    except FileExistsError as error:
        parser.error(str(error))
    print(f"{folder}: the starter kit, six modules and five notebooks to fill in.")
    print(f"Read {Path(folder) / 'README.md'}, then hand the folder out as it is.")
    return 0
