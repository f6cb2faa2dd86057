"""The class at a glance: `grades.csv` and `index.html`, made of the results that stand in OUT.

The results are read one after the other, and a line of the table is all that is kept of each.
"""

import base64
import collections
import csv
import hashlib
import io
import os
import re
import statistics
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from course.judging import CODES, POINTS
from course.mistakes import SAYS
from course.report import by_part, number_of, read_record, write_whole
from course.roster import printable
from course.student_page import POLICY, html

NUM_SLOWEST = 10
HOSTILE = {71, 72}  # codes that a solution seldom ends with by accident
NOT_THERE = {40, 73}


class Row(NamedTuple):
    """What the table keeps of a submission."""

    folder: str
    name: str
    id: str = ""
    total: float | None = None  # None: not graded
    possible: float = 0.0
    parts: dict = {}  # noqa: RUF012 (never changed): score and points by part
    seconds: float = 0.0
    isolation: str = ""
    mistakes: tuple = ()  # (part, name)
    broken: tuple = ()  # what is not there or stopped, in words
    suspicious: tuple = ()  # what to look at
    notes: tuple = ()
    files: str = ""  # SHA-256
    refused: bool = False  # it could not be unpacked

    @property
    def remarks(self):
        named = [f"{number_of(part)}: {name}" for part, name in self.mistakes]
        return "; ".join([*self.notes, *self.suspicious, *self.broken, *named])


def write(out, students, failures, *, seed, alike=()):
    """Write both files from the results in a folder.

    Parameters
    ----------
    out : path
    students : sequence of course.roster.Student
        Those of this run: names, for the ones that could not be graded.
    failures : dict
        What went wrong in the grader, by the folder of the student.
    seed : int
        Of this run; results of another are marked.
    alike : sequence of (str, str, str)
        Two folders whose files are alike, and what is alike.
    """
    out = Path(out)
    rows = {
        path.parent.name: row_of(path.parent.name, read_record(path), seed)
        for path in out.glob("*/results.json")
    }
    for student in students:
        if student.folder in failures or student.folder not in rows:
            said = f"not graded: {failures.get(student.folder, 'the run was stopped')}"
            rows[student.folder] = Row(student.folder, student.name, student.id, broken=(said,))
    rows = _with_twins([rows[folder] for folder in sorted(rows)], alike)
    write_whole(out / "grades.csv", table(rows))
    write_whole(out / "index.html", page(rows))


def row_of(folder, record, seed):
    """Return the line of one record, or of None, a file that cannot be read."""
    if record is None:
        return Row(folder, printable(folder), broken=("results.json cannot be read",))
    extra = record["extra_data"]
    student = extra.get("student", {"name": folder, "id": "", "late": False})
    parts, mistakes, ended, absent = {}, [], {}, {}
    for part, score, points, names in by_part(record):
        parts[part] = (score, points)
        mistakes += [(part, name) for name in names]
    for test in record["tests"]:
        part, code = test["extra_data"]["part"], test["extra_data"]["code"]
        if code in NOT_THERE:
            said, _, _ = test["output"].partition("\nTo repeat it: ")
            absent[said.splitlines()[-1].rstrip(".")] = None
        elif code in HOSTILE | {3, 70}:
            ended[part, code] = f"{number_of(part)}: {CODES[code]}"
    notes = ["late"] * student["late"] + [f"seed {extra['seed']}"] * (extra["seed"] != seed)
    return Row(
        folder, student["name"], student["id"], record["score"],
        sum(points for _, points in parts.values()), parts,
        record.get("execution_time", 0.0), extra["isolation"], tuple(mistakes),
        (*absent, *(said for (_, code), said in ended.items() if code not in HOSTILE)),
        tuple(said for (_, code), said in ended.items() if code in HOSTILE),
        tuple(notes), extra["submission"], "refused" in extra,
    )  # fmt: skip


def _with_twins(rows, alike):
    """Add to each row the others that it is like."""
    groups, found = collections.defaultdict(list), collections.defaultdict(list)
    for row in rows:
        groups[row.files].append(row)
    for row in rows:
        twins = [other.name for other in groups[row.files] if other is not row]
        if twins and row.total:
            found[row.folder].append(f"the same files as {', '.join(twins)}")
    names = {row.folder: row.name for row in rows}
    for one, other, what in alike:
        found[one].append(f"{what}: much like {names.get(other, other)}")
        found[other].append(f"{what}: much like {names.get(one, one)}")
    return [row._replace(suspicious=(*row.suspicious, *found[row.folder])) for row in rows]


def table(rows):
    """Return `grades.csv`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "id", "total", *POINTS, "seconds", "isolation", "remarks"])
    for row in rows:
        scores = [f"{row.parts[part][0]:.2f}" if part in row.parts else "" for part in POINTS]
        total = "" if row.total is None else f"{row.total:.2f}"
        writer.writerow(
            map(
                harmless,
                [
                    row.name,
                    row.id,
                    total,
                    *scores,
                    f"{row.seconds:.1f}",
                    row.isolation,
                    row.remarks,
                ],
            )
        )
    return file.getvalue()


def harmless(cell):
    """Keep a spreadsheet from taking a text for a formula; to some, a semicolon ends a cell."""
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", cell):
        return cell
    return re.sub(r"(^|;\s*)(?=[=+\-@\t\r])", r"\1'", cell)


# The page

SORT = """
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.parentNode, body = head.closest("table").tBodies[0];
  const up = head.ariaSort !== "ascending", key = row => row.cells[head.cellIndex].dataset.key
    ?? row.cells[head.cellIndex].textContent;
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = up ? "ascending" : "descending";
  const sign = up ? 1 : -1, compare = new Intl.Collator(undefined, {numeric: true}).compare;
  body.append(...[...body.rows].sort((a, b) => sign * compare(key(a), key(b))));
};
"""


def page(rows):
    """Return `index.html`."""
    graded = [row for row in rows if row.total is not None and not row.refused]
    refused = sum(row.refused for row in rows)
    apart = f", {refused} could not be unpacked and are in no figure" if refused else ""
    sections = [
        f"<p>{len(graded)} of {len(rows)} submissions are graded{apart}. "
        "<a href=grades.csv>grades.csv</a> has the table for a spreadsheet.</p>",
        _histogram(graded),
        _by_part(graded),
        _mistakes(graded),
        _list("Suspicious", "What a solution seldom does by accident, and files that are alike. It "
              "proves nothing: look.", [r for r in rows if r.suspicious],
              lambda row: "; ".join(row.suspicious)),
        _list("Broken", "Files or functions that are not there, calls that ran out of time, and "
              "faults of the grader.", [r for r in rows if r.broken],
              lambda row: "; ".join(row.broken)),
        _list("Slowest", "What took longest to grade.",
              sorted(graded, key=lambda row: -row.seconds)[:NUM_SLOWEST],
              lambda row: f"{row.seconds:.0f} s"),
        _everybody(rows),
    ]  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(SORT.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'"
    return html("The class", f"{''.join(sections)}<script>{SORT}</script>", policy)


def _link(row):
    return f'<a href="{quote(os.fsencode(row.folder))}/report.html">{escape(row.name)}</a>'


def _histogram(rows):
    """Return a histogram of the totals, in at most twenty bars."""
    if not rows:
        return ""
    possible = max(row.possible for row in rows)
    width = max(1, -(-possible // 19))
    counts = collections.Counter(min(row.total, possible - 1e-9) // width for row in rows)
    highest, bars, step = max(counts.values()), [], 34
    num_bars = int(-(-possible // width))
    for number in range(num_bars):
        height = 120 * counts[number] / highest
        x = step * number
        bars.append(f'<rect x="{x + 2}" y="{140 - height:.1f}" width="{step - 4}" height="'
                    f'{height:.1f}"/><text x="{x}" y="156">{width * number:g}</text>')  # fmt: skip
        if counts[number]:
            middle = x + step / 2
            bars.append(f'<text x="{middle}" y="{135 - height:.1f}">{counts[number]}</text>')
    bars.append(f'<text x="{step * num_bars}" y="156">{possible:g}</text>')
    mean = sum(row.total for row in rows) / len(rows)
    middle = statistics.median(row.total for row in rows)
    said = f"Totals: mean {mean:.2f}, median {middle:.2f} of {possible:g} points."
    wide = step * num_bars + 40
    return (
        f'<h2>Points</h2><svg viewBox="-20 0 {wide} 160" width="{wide}" role="img" aria-label="'
        f'Histogram. {said}">{"".join(bars)}</svg><p>{said}</p>'
    )


def _by_part(rows):
    lines = []
    for part in POINTS:
        marks = [row.parts[part] for row in rows if part in row.parts]
        if marks:
            points = max(points for _, points in marks)
            mean = sum(score for score, _ in marks) / len(marks)
            full = sum(score > points - 0.005 for score, points in marks)
            none = sum(score == 0 for score, _ in marks)
            lines.append(
                f"<tr><td>{number_of(part)}</td><td class=n>{mean:.2f} of {points:g}</td>"
                f'<td><meter value="{mean:.3f}" max="{points:g}"></meter></td>'
                f"<td class=n>{full}</td><td class=n>{none}</td></tr>"
            )
    head = "<th>part</th><th class=n>mean</th><th></th><th class=n>all points</th><th class=n>none"
    return f"<h2>By part</h2><table><tr>{head}</th></tr>{''.join(lines)}</table>"


def _mistakes(rows):
    found = collections.defaultdict(list)
    for row in rows:
        for mistake in row.mistakes:
            found[mistake].append(row)
    lines = "".join(
        f"<details><summary>{len(who)} of {len(rows)}: {number_of(part)} "
        f"{name.replace('-', ' ')}</summary>"
        f"<p>{escape(SAYS[part, name])}</p><p>{', '.join(map(_link, who))}</p></details>"
        for (part, name), who in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    )
    return f"<h2>Known mistakes</h2>{lines or '<p>None was recognised.</p>'}"


def _list(title, about, rows, say):
    lines = "".join(f"<tr><td>{_link(row)}</td><td>{escape(say(row))}</td></tr>" for row in rows)
    body = f"<table>{lines}</table>" if rows else "<p>None.</p>"
    return f"<h2>{title}</h2><p class=quiet>{about}</p>{body}"


def _everybody(rows):
    heads = ["name", "id", "total", *map(number_of, POINTS), "seconds", "isolation", "remarks"]
    numbers = range(2, 4 + len(POINTS))
    head = "".join(
        f"<th{' class=n' if place in numbers else ''}><button>{name}</button></th>"
        for place, name in enumerate(heads)
    )
    lines = []
    for row in rows:
        scores = [row.parts[part][0] if part in row.parts else None for part in POINTS]
        figures = "".join(
            "<td class=n></td>" if x is None else f"<td class=n>{x:.{digits}f}</td>"
            for x, digits in ((row.total, 2), *((score, 2) for score in scores), (row.seconds, 1))
        )
        lines.append(
            f'<tr><td data-key="{escape(row.name)}">{_link(row)}</td><td>{escape(row.id)}</td>'
            f"{figures}<td>{escape(row.isolation)}</td><td>{escape(row.remarks)}</td></tr>"
        )
    return (
        f"<h2>Everybody</h2><div class=wide><table class=all><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
