"""`report.html` of a student: for the student, and for the reader who gives the manual points."""

import functools
import re
import shutil
from html import escape, unescape
from pathlib import Path

import numpy as np

from course.handed_in import ELSEWHERE
from course.judging import CODES, MANUAL
from course.report import by_part, number_of
from course.sandbox import ROOT
from data import compare, reference

WRITEUP = ROOT / "writeup"
MODEL = "model"  # the folder in OUT that has the model answer's figures
STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
# Whatever a student's text might smuggle in: the page runs nothing and asks for nothing.
TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: file: 'self'"


def page(student, record, pieces, model):
    """Return the report on one student.

    Parameters
    ----------
    student : course.roster.Student
    record : dict
        As `course.report.results` makes it.
    pieces : dict
        What the notebooks hold, by part: see `course.handed_in.pieces`.
    model : dict
        The model answer's figures by part: see `model_figures`.

    Returns
    -------
    str
    """
    marks = {part: (score, points, names) for part, score, points, names in by_part(record)}
    parts = sorted({*marks, *MANUAL})
    body = []
    for part in parts:
        if part[0] not in {other[0] for other in parts[: parts.index(part)]}:
            body.append(f"<h2>Problem {part[0]}</h2>")
        body.append(_part(part, marks, record, pieces.get(part, []), model.get(part, [])))
    if ELSEWHERE in pieces:
        rest = _own(pieces[ELSEWHERE], "In the notebooks, under no such heading")
        body.append(f"<h2>The rest of the notebooks</h2><details><summary>Show</summary>{rest}"
                    "</details>")  # fmt: skip
    extra = record["extra_data"]
    about = ", ".join(filter(None, [student.id, "handed in late" if student.late else ""]))
    return html(
        student.name,
        f"<p class=quiet>{escape(about)}</p>"
        f"<pre class=prose>{escape(record['output'])}</pre>{_table(marks)}{''.join(body)}"
        f"<p class=quiet>Submission {escape(extra['submission'][:12])}, grader "
        f"{escape(extra['grader'])}.</p>",
    )


def html(title, body, policy=POLICY):
    """Return a whole page, without the characters that turn the direction of a text."""
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{escape(title)}</h1>{body}</html>\n"
    )
    return TURNS.sub("", page)


def _table(marks):
    rows = "".join(
        f'<tr><td><a href="#{part}">{number_of(part)}</a></td><td class=n>{score:.2f}</td>'
        f"<td class=n>{points:g}</td><td>{escape(', '.join(names))}</td></tr>"
        for part, (score, points, names) in marks.items()
    )
    links = ", ".join(f'<a href="#{part}">{number_of(part)}</a>' for part in sorted(MANUAL))
    return (
        "<table><tr><th>part</th><th class=n>points</th><th class=n>of</th><th>known mistakes</th>"
        f"</tr>{rows}</table><p>A reader gives {sum(MANUAL.values())} points more: {links}.</p>"
    )


def _part(part, marks, record, own, model):
    """Return the section of a part."""
    if part in marks:
        score, points, _ = marks[part]
        worth = f"{score:.2f} of {points:g}"
        cases = (test for test in record["tests"] if test["extra_data"]["part"] == part)
        body = "".join(map(_case, cases))
    else:
        worth, body = f"by a reader, of {MANUAL[part]}", ""
    body += _numbers(part) + _figures(model)
    if own:
        body += _own(own, f"In the student's notebook, {record['extra_data']['notebooks']}")
    elif part in MANUAL:
        body += f"<p class=quiet>No heading {number_of(part)} in the student's notebooks.</p>"
    return f'<h3 id="{part}">{number_of(part)} <small>{worth}</small></h3>{body}'


def _case(test):
    won = test["status"] == "passed"
    return (
        f"<details class={'won' if won else 'lost'}{'' if won else ' open'}><summary>"
        f"{escape(test['name'])}: {test['score']:g} of {test['max_score']:g}, "
        f"{CODES[test['extra_data']['code']]}</summary><pre>{escape(test['output'])}</pre></details>"
    )


@functools.cache
def _numbers(part):
    """Return a table of what the problem set's write-up has, on the original data."""
    cells = []
    for section in ("kmeans", "gmm", "pca", "ica", "cvae"):
        for name, value in reference(section).items():
            try:
                rows = compare(section, {name: value}, "original")
            except KeyError:  # a note
                continue
            cells += [_number(row, value) for row in rows if row.problem == number_of(part)]
    head = "<tr><th colspan=2>Expected, on the original data</th></tr>"
    return f"<table>{head}{''.join(cells)}</table>" if cells else ""


def _number(row, value):
    label = escape(f"{row.label} ({row.unit})" if row.unit else row.label)
    if not isinstance(value, list) or np.size(value) <= 3:
        return f"<tr><td>{label}</td><td class=n>{escape(row.reference)}</td></tr>"
    text = np.array2string(np.array(value), precision=8, suppress_small=True, max_line_width=40)
    return f"<tr><td colspan=2>{label}<pre class=numbers>{escape(text)}</pre></td></tr>"


def _figures(model):
    if not model:
        return ""
    figures = "".join(
        f'<figure><img loading=lazy src="../{MODEL}/{escape(name)}" alt="{escape(alt)}">'
        f"<figcaption>{escape(alt)}</figcaption></figure>"
        for name, alt in model
    )
    return f"<details class=model><summary>The model answer's figures</summary>{figures}</details>"


def _own(pieces, title):
    shown = {
        "prose": lambda text: f"<pre class=prose>{escape(text)}</pre>",
        "text": lambda text: f"<pre>{escape(text)}</pre>",
        "picture": lambda data: (
            f'<img alt="a figure of the notebook" src="data:image/png;base64,{data}">'
        ),
        "left out": lambda said: f"<p class=quiet>Not shown: {escape(said)}.</p>",
    }
    inside = "".join(shown[kind](content) for kind, content in pieces)
    return f"<div class=own><p class=quiet>{title}</p>{inside}</div>"


def model_figures(out):
    """Copy the model write-up's figures into OUT, if it was made; return (file, alt) by part.

    Its pages say which figure stands under which heading.
    """
    found = {}
    for path in sorted(WRITEUP.glob("*.html")):
        sections = re.split(r'(?<=\s)id="([1-5][a-f])"', path.read_text(encoding="utf-8"))
        for part, text in zip(sections[1::2], sections[2::2], strict=True):
            text = re.split(r'(?<=\s)id="(?=reference-numbers|what-you-should)', text)[0]
            for name, alt in re.findall(
                r'<a href="figures/([\w.-]+)"><img src="[^"]*" alt="([^"]*)"', text
            ):
                (Path(out) / MODEL).mkdir(exist_ok=True)
                shutil.copyfile(WRITEUP / "figures" / name, Path(out) / MODEL / name)
                found.setdefault(part, []).append((name, unescape(alt)))
    return found
