"""`make writeup`: execute every notebook, write HTML, set our numbers beside the reference."""

import html
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

from data.comparison import MIME_TYPE, Comparison, Row

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("kmeans_gmm", "gda", "pca", "ica", "cvae")


class NotebookError(Exception):
    """A notebook did not run to its end; the message names the cell."""


def execute(path, *, cell_time_limit=600, folder=ROOT):
    """Run a notebook from top to bottom in a fresh kernel.

    Parameters
    ----------
    path : pathlib.Path
    cell_time_limit : int
        Seconds that one cell may take.
    folder : pathlib.Path
        Where the kernel runs.

    Returns
    -------
    nbformat.NotebookNode
        The notebook with its outputs.

    Raises
    ------
    NotebookError
        If a cell fails, takes too long, or kills its kernel.
    """
    notebook = nbformat.read(path, as_version=4)
    started = []
    client = NotebookClient(
        notebook,
        timeout=cell_time_limit,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        client.execute(env={**os.environ, "TQDM_DISABLE": "1"})  # a page keeps every redrawn bar
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        index = started[-1]
        source = notebook.cells[index].source.strip()
        raise NotebookError(f"{path.name}, cell {index}:\n\n{source}\n\n{error}") from error
    return notebook


def comparisons(notebook):
    """Return the rows of every comparison with the reference that a notebook shows."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    tables = (output.get("data", {}).get(MIME_TYPE, ()) for output in outputs)
    return [Row(*row) for table in tables for row in table]


def main():
    """Write the write-up; return 0 if every notebook ran and no number differs, else 1."""
    folder = ROOT / "writeup"
    folder.mkdir(exist_ok=True)
    rows, links, failures = Comparison(), [], 0
    for name in NOTEBOOKS:
        start = time.perf_counter()
        try:
            notebook = execute(ROOT / f"{name}.ipynb", cell_time_limit=1800)
        except NotebookError as error:
            failures += 1
            print(f"{name}.ipynb FAILED after {time.perf_counter() - start:.0f} s\n{error}")
            continue
        page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": name}})
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
        rows += comparisons(notebook)
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
        links.append(f'<li><a href="{name}.html">{html.escape(title)}</a></li>')
        print(f"{name}.ipynb ran in {time.perf_counter() - start:.0f} s", flush=True)
    index = (
        '<!doctype html><meta charset="utf-8"><title>Write-up</title><h1>Write-up</h1>'
        f"<ul>{''.join(links)}</ul><h2>Reference numbers</h2>"
        f"{rows._repr_mimebundle_()['text/html']}"
    )
    (folder / "index.html").write_text(index, encoding="utf-8")
    print(f"\n{rows}\n\nThe pages are in {folder.name}/index.html")
    return int(failures > 0 or any(row.verdict == "DIFFERS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
