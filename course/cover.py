"""What stands around the notebooks: the cover page, and the first and last pages of the PDF."""

import html
import os
import platform
import re
from collections import Counter
from datetime import date
from importlib import metadata
from pathlib import Path

from course import pages

README = Path(__file__).resolve().parent.parent / "README.md"
TITLE = "Unsupervised learning: the write-up"
LIBRARIES = ("NumPy", "SciPy", "scikit-learn", "Matplotlib", "torch", "numba")
# The figure that stands for a problem: words of its description. Without it, the first one does.
PICTURES = {
    "kmeans_gmm": "Gaussians fitted",
    "gda": "unlabelled points say where",
    "pca": "nine eigenfaces",
    "ica": "The same by frequency",
    "cvae": "Samples from the prior",
}
ABOUT_ERRATA = (
    "The problem set comes with one student's write-up. Its numbers are reproduced here, also where"
    " they mislead:"
)


def cover(runs):
    """Return the cover page as Markdown.

    Parameters
    ----------
    runs : sequence of course.writeup.Run
        In the order of the problems.

    Returns
    -------
    str
    """
    rows = _rows(runs)
    return "\n\n".join(
        [
            "The five problems of a problem set, with derivations, code, figures and results: a"
            f" page each, and all of them as [one PDF](writeup.pdf). {summary(rows)}",
            *(_failure(run) for run in runs if run.error),
            "## The problems",
            pages.raw("html", f'<ol class="problems">{"".join(map(_card, runs))}</ol>'),
            "## The reference numbers",
            pages.table(rows),
            "## What the problem set got wrong",
            f"{ABOUT_ERRATA}\n\n{errata()}",
            "## What was run",
            _what_was_run(runs),
        ]
    )


def paper(runs):
    """Return the whole write-up as Markdown for the PDF.

    Parameters
    ----------
    runs : sequence of course.writeup.Run
        In the order of the problems.

    Returns
    -------
    str
    """
    chapters = []
    for number, run in enumerate(runs, start=1):
        if run.error:
            chapters.append(f"# {number}. {pages.title(run.notebook)}\n\n{_failure(run)}")
        else:
            chapters.append(pages.chapter(run.notebook, run.name).replace("# ", f"# {number}. ", 1))
    rows = _rows(runs)
    new_page = pages.raw("typst", "#pagebreak()")
    new_chapter = pages.raw("typst", "#new-chapter")
    return "\n\n".join(
        [
            "The five problems of a problem set, with derivations, figures and results."
            f" {summary(rows)}",
            pages.raw("typst", "#contents"),
            new_page,
            *(f"{new_chapter}\n\n{chapter}" for chapter in chapters),
            new_chapter,
            f"# The reference numbers\n\n{summary(rows)}\n\n{pages.table_in_pdf(rows)}",
            f"# What the problem set got wrong\n\n{ABOUT_ERRATA}\n\n{errata()}",
            f"# What was run\n\n{_what_was_run(runs)}",
        ]
    )


def summary(rows):
    """Say in a sentence how our numbers compare with the reference."""
    found = []
    for verdict, count in Counter(row.verdict for row in rows).items():
        reason, comma, _ = verdict.partition(", not compared")
        words = {"agrees": "agree", "DIFFERS": "differ"}.get(verdict, verdict)
        found.append(f"{count} {f'not compared ({reason})' if comma else words}")
    return f"Of {len(rows)} reference numbers, {', '.join(found)}." if rows else "No numbers came."


def errata():
    """Return the README's list of what the problem set's write-up got wrong."""
    text = README.read_text(encoding="utf-8")
    return re.search(r"(?s)\n## What the write-up got wrong\n(.*?)\n## ", text)[1].strip()


def _rows(runs):
    rows = [row for run in runs for row in pages.comparisons(run.notebook)]
    return sorted(rows, key=lambda row: row.problem)


def _failure(run):
    headline, _, rest = str(run.error).partition("\n\n")
    return (
        f"**{pages.title(run.notebook)} is missing.** Its notebook stopped at {headline}:"
        f"\n\n{pages.verbatim(rest)}"
    )


def _card(run):
    """Return a problem's place on the cover: picture, title, links to the parts."""
    title = html.escape(pages.title(run.notebook))
    if run.error:
        return f"<li><h3>{title}</h3><p>Not there: its notebook failed.</p></li>"
    drawn = pages.figures(run.notebook, run.name)
    shown = [figure for figure in drawn if PICTURES.get(run.name, "") in figure.description]
    picture = "".join(
        f'<img src="figures/{figure.name}" alt="{html.escape(figure.description)}">'
        for figure in (shown or drawn)[:1]
    )
    parts = "".join(
        f'<li><a href="{run.name}.html#{anchor}">{html.escape(heading)}</a></li>'
        for anchor, heading in pages.parts(run.notebook)
    )
    return f'<li><a href="{run.name}.html">{picture}<h3>{title}</h3></a><ul>{parts}</ul></li>'


def _what_was_run(runs):
    lines = ["| notebook | data | time |", "| --- | --- | ---: |"]
    lines += [
        f"| `{run.name}.ipynb` | {_data(run.notebook)} | {run.seconds:.0f} s |" for run in runs
    ]
    versions = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {metadata.version(library.lower())}")
        except metadata.PackageNotFoundError:  # numba is optional
            continue
    machine = f"{platform.system()} on {platform.machine()} with {os.cpu_count()} cores"
    lines += ["", f"Run on {date.today():%d %B %Y} with {', '.join(versions)}, on {machine}."]
    return "\n".join(lines)


def _data(notebook):
    """Say which data a notebook used; a loader that makes a stand-in prints so."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    stand_ins = re.findall(r"using a stand-in, (.+?)\. To fetch", text)
    if stand_ins:
        return f"stand-in: {'; '.join(dict.fromkeys(stand_ins))}"
    rows = pages.comparisons(notebook)
    if not rows:  # nothing to compare with, so no originals
        return "made by the notebook, or scikit-learn's"
    other = any("stand-in" in row.verdict for row in rows)
    return "others than the originals" if other else "the originals"
