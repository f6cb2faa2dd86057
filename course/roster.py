"""Who handed in what: submissions as they lie in a folder, as Canvas and Gradescope export them."""

import re
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

METADATA = "submission_metadata.yml"  # Gradescope puts it beside the submission_* folders
RESERVED = (".", "..", "index.html", "grades.csv", "model")  # names that OUT has a use for
CANVAS = re.compile(r"([^_]+)(_LATE)?_(\d+)_\d+_.*")  # doejane_LATE_<student>_<submission>_hw3


class Student(NamedTuple):
    """A submission and whose it is."""

    path: Path
    folder: str  # of the results, in OUT
    name: str
    id: str = ""
    late: bool = False


def students(paths):
    """Return a `Student` for each submission; an export of Gradescope stands for all in it.

    What is neither a folder nor a zip is passed over, and named on the terminal.

    Raises
    ------
    ValueError
        If a path is not there, there is no submission, or two would share a folder of results.
    """
    found, tables = [], {}
    for path in map(Path, paths):
        if not path.exists():
            raise ValueError(f"{path} is not there")
        if (path / METADATA).is_file():
            inside = sorted(path.glob("submission_*"))
            found += [student(one, tables) for one in inside if one.is_dir()]
        elif path.is_dir() or (path.is_file() and _is_zip(path)):
            found.append(student(path, tables))
        elif path.name != METADATA:
            said = f"{printable(str(path))} is passed over: it is neither a folder nor a zip"
            print(said, file=sys.stderr)
    if not found:
        raise ValueError("there is no submission: name folders or zips")
    folders = [one.folder for one in found]
    if twice := {folder for folder in folders if folders.count(folder) > 1}:
        raise ValueError(
            f"several submissions are named {sorted(twice)[0]}; their results would mix"
        )
    return found


def _is_zip(path):
    return path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)  # a broken one is a zip, too


def student(path, tables):
    """Return whose submission this is, by what stands beside it or by its name."""
    path = path.resolve()
    folder = path.name if path.is_dir() else path.stem
    if folder in RESERVED:
        folder += "_"
    if path.parent not in tables:
        tables[path.parent] = gradescope_names(path.parent / METADATA)
    name, number, late = folder, "", None
    if path.name in tables[path.parent]:
        name, number = tables[path.parent][path.name]
    elif path.suffix == ".zip" and (match := CANVAS.fullmatch(path.stem)):
        name, late, number = match.groups()
    return Student(path, folder, printable(name), printable(number), bool(late))


def printable(text):
    """Return a text without line breaks, codes of a terminal and what is no text."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def gradescope_names(path):
    """Return names and ids by submission; a group's are joined."""
    if not path.is_file():
        return {}
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # an export has megabytes of results
    table = {}
    for key, entry in (yaml.load(path.read_text(encoding="utf-8"), loader) or {}).items():
        people = entry.get(":submitters") or []
        names, ids = (
            ", ".join(str(person[field]) for person in people if person.get(field))
            for field in (":name", ":sid")
        )
        table[key] = (names or key, ids)
    return table
