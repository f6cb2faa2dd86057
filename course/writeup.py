"""`make writeup`: execute every notebook, write pages and PDF, compare with the reference."""

import argparse
import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.output_widget import OutputWidget

from course import cover, pages
from data.comparison import Comparison

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("kmeans_gmm", "gda", "pca", "ica", "cvae")  # problems 1 to 5


class NotebookError(Exception):
    """A notebook did not run to its end; the message names the cell."""


class Run(NamedTuple):
    """What came of one notebook."""

    name: str
    notebook: nbformat.NotebookNode  # with outputs, if it ran to its end
    seconds: float
    error: NotebookError | None


class _QuietOutput(OutputWidget):
    """Keeps what a widget shows, and does not tell the kernel.

    nbclient waits for the kernel on the socket that it would tell it by, and then may wait for ever
    for a reply that is there (https://github.com/jupyter/nbclient/issues/312).
    """

    def sync_state(self):
        pass


def client_for(notebook, folder, **options):
    """Return what executes a notebook in a folder, widgets and all; options of NotebookClient."""
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **options)
    client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = _QuietOutput
    return client


def execute(path, *, cell_time_limit=600, folder=ROOT, progress=None):
    """Run a notebook from top to bottom in a fresh kernel.

    Parameters
    ----------
    path : pathlib.Path
    cell_time_limit : int
        Seconds that one cell may take.
    folder : pathlib.Path
        Where the kernel runs: a checkout or a copy of one.
    progress : callable, optional
        Called about once a second with the number of the cell that runs, from 1, and that of all.

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
    started = [0]
    client = client_for(
        notebook,
        folder,
        timeout=cell_time_limit,
        extra_arguments=["--log-level=ERROR", "--IPKernelApp.extra_extensions=course.describe"],
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )

    environment = {
        **os.environ,
        "TQDM_DISABLE": "1",  # a page would keep every redrawn bar
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }

    async def run():
        task = asyncio.ensure_future(client.async_execute(env=environment))
        while not task.done():
            if progress is not None:
                progress(started[-1] + 1, len(notebook.cells))
            await asyncio.wait([task], timeout=1)
        task.result()

    try:
        asyncio.run(run())
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        number, source = started[-1] + 1, notebook.cells[started[-1]].source.strip()
        message = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()  # without a terminal's colours
        if source not in message:
            message = f"{source}\n\n{message}"
        headline = f"{path.name}, cell {number} of {len(notebook.cells)}"
        raise NotebookError(f"{headline}:\n\n{message}") from error
    return notebook


def main(arguments=(), *, root=ROOT, names=NOTEBOOKS):
    """Write the write-up; return 0 if every notebook ran and no number differs, else 1."""
    argparse.ArgumentParser(prog="python -m course writeup", description=__doc__).parse_args(
        arguments
    )
    folder = root / "writeup"
    clear(folder)
    runs = [run(name, root) for name in names]
    publish(runs, folder)
    rows = Comparison(row for run in runs for row in pages.comparisons(run.notebook))
    print(f"\n{rows}\n\n{cover.summary(rows)}")
    print(f"The write-up is in {folder.name}/index.html and {folder.name}/writeup.pdf")
    return int(any(run.error for run in runs) or any(row.verdict == "DIFFERS" for row in rows))


def clear(folder):
    """Remove what an earlier write-up left, so that no stale page can survive a failure."""
    for pattern in ("*.html", "writeup.pdf", "figures/*.png", "figures/*.gif", "*.wav"):
        for path in folder.glob(pattern):
            path.unlink()
    (folder / "figures").mkdir(parents=True, exist_ok=True)


def run(name, folder):
    """Execute a notebook of the write-up; say how far it is, in a terminal, and how it ended."""
    start = time.perf_counter()
    terminal = sys.stdout.isatty()

    def progress(cell, cells):
        seconds = time.perf_counter() - start
        print(f"\r{name}.ipynb: cell {cell} of {cells}, {seconds:.0f} s", end="", flush=True)

    path, error = folder / f"{name}.ipynb", None
    try:
        notebook = execute(
            path, cell_time_limit=1800, folder=folder, progress=progress if terminal else None
        )
    except NotebookError as failure:
        notebook, error = nbformat.read(path, as_version=4), failure
    seconds = time.perf_counter() - start
    end = "FAILED after" if error else "ran in"
    line = f"{name}.ipynb {end} {seconds:.0f} s"
    print(f"\r{line:60s}" if terminal else line, flush=True)
    if error:
        print(error, flush=True)
    return Run(name, notebook, seconds, error)


def publish(runs, folder):
    """Write figures, pages, cover and PDF of executed notebooks.

    Parameters
    ----------
    runs : sequence of Run
        In the order of the problems.
    folder : pathlib.Path
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    good = [run for run in runs if not run.error]
    for run in good:
        for figure in pages.figures(run.notebook, run.name):
            for file, picture in figure.files.items():
                (folder / "figures" / file).write_bytes(picture)
    ways = [(f"{run.name}.html", pages.title(run.notebook)) for run in good]
    for i, run in enumerate(good):
        pages.write_page(
            folder / f"{run.name}.html",
            pages.page(run.notebook, run.name),
            pages.title(run.notebook),
            home="index.html",
            before=ways[i - 1] if i else None,
            after=ways[i + 1] if i + 1 < len(ways) else None,
        )
    pages.write_page(folder / "index.html", cover.cover(runs), cover.TITLE)
    source = pages.typst_source(cover.paper(runs), cover.TITLE)
    (folder / "writeup.pdf").write_bytes(pages.typeset(source, folder))
