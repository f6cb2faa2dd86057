"""What a regrade changed: who gained or lost, in which part, and why."""

import argparse
import csv
import io
from pathlib import Path
from typing import NamedTuple

from course.judging import CODES
from course.overview import harmless
from course.report import by_part, number_of, read_record, write_whole

FILE = "results.json"
HEAD = ("name", "part", "old", "new", "change", "why")


class Change(NamedTuple):
    """A part, or a whole submission, that has other points than before."""

    name: str
    part: str  # "1(a)"; "all" for a submission that is in one of the gradings alone
    old: float | None
    new: float | None
    why: tuple  # of lines

    @property
    def gain(self):
        """Points won; 0 where there is nothing to compare with."""
        return 0.0 if None in (self.old, self.new) else self.new - self.old


def changes(old, new):
    """Return the changes between two folders of results, submission by submission.

    Parameters
    ----------
    old, new : path
        As `grade` wrote them.

    Returns
    -------
    list of Change
    """
    folders = {path.parent.name for out in (old, new) for path in results_in(out)}
    return [
        change
        for folder in sorted(folders)
        for change in _changes(folder, *(Path(out, folder, FILE) for out in (old, new)))
    ]


def results_in(out):
    """Return the files of results in a folder."""
    return sorted(Path(out).glob(f"*/{FILE}"))


def _changes(folder, *paths):
    """Yield what became of one submission, by its old and its new results."""
    old, new = map(read_record, paths)
    known = new or old
    name = known["extra_data"].get("student", {"name": folder})["name"] if known else folder
    why = [
        f"the {which} {FILE} cannot be read" if path.exists() else f"not in the {which} grading"
        for which, path, record in zip(("old", "new"), paths, (old, new), strict=True)
        if record is None
    ]
    if old is None or new is None:
        yield Change(name, "all", old and old["score"], new and new["score"], tuple(why))
        return
    other = old["extra_data"]["submission"] != new["extra_data"]["submission"]
    files = ["other files were handed in"] if other else []
    before, after = ({part: score for part, score, *_ in by_part(record)} for record in (old, new))
    for part in sorted(before.keys() | after.keys()):
        one, two = before.get(part), after.get(part)
        if one is None or two is None:
            why = ("marked in one of the gradings alone",)
            yield Change(name, number_of(part), one, two, why)
        elif abs(two - one) > 1e-3:
            why = (*files, *_reasons(part, old, new))
            yield Change(name, number_of(part), one, two, why)


def _reasons(part, old, new):
    """Return a line for each case that has another score or code."""
    tests = [
        {test["name"]: test for test in record["tests"] if test["extra_data"]["part"] == part}
        for record in (old, new)
    ]
    reasons = []
    for case in [*tests[0], *(name for name in tests[1] if name not in tests[0])]:
        one, two = (_said(side.get(case)) for side in tests)
        if one != two:
            reasons.append(f"{case}: {one} -> {two}")
    return reasons


def _said(test):
    """Return the points of a case and its code in words."""
    if test is None:
        return "not asked"
    code, mistake = test["extra_data"]["code"], test["extra_data"]["mistake"]
    return f"{test['score']:g}, {mistake or CODES[code]} ({code})"


def table(found):
    """Return the changes as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEAD)
    for change in found:
        points = ["" if x is None else f"{x:.2f}" for x in (change.old, change.new)]
        texts = harmless(change.name), change.part, *points
        writer.writerow([*texts, f"{change.gain:.2f}", harmless("; ".join(change.why))])
    return file.getvalue()


def made(out):
    """Return how the results in a folder came about: their seeds, graders and isolation."""
    extras = [record["extra_data"] for record in map(read_record, results_in(out)) if record]
    return {
        key: ", ".join(sorted({str(extra[key]) for extra in extras}))
        for key in ("seed", "grader", "isolation")
    }


def main(arguments):
    """Run `python -m course diff`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course diff", description=__doc__)
    parser.add_argument("old", metavar="OLD", help="the folder of results of a grading")
    parser.add_argument("new", metavar="NEW", help="and that of a later one")
    parser.add_argument("--csv", metavar="FILE", help="also write the changes to a table")
    options = parser.parse_args(arguments)
    for out in (options.old, options.new):
        if not results_in(out):
            parser.error(f"{out} has no results: name a folder that grade wrote")
    old, new = made(options.old), made(options.new)
    for which, how in (("old", old), ("new", new)):
        print(f"{which}: {'; '.join(f'{key} {value}' for key, value in how.items())}")
    if old["seed"] != new["seed"]:
        print("Warning: the seeds differ, so the cases do, too.")
    found = changes(options.old, options.new)
    for change in found:
        before, after = ("-" if x is None else f"{x:.2f}" for x in (change.old, change.new))
        print(f"{change.name}  {change.part}  {before} -> {after} ({change.gain:+.2f})")
        print("".join(f"    {reason}\n" for reason in change.why), end="")
    who = [{c.name for c in found if sign * c.gain > 0} for sign in (1, -1)]
    print(f"{len(who[0])} gained, {len(who[1])} lost.")
    if options.csv:
        write_whole(Path(options.csv), table(found))
    return 0
