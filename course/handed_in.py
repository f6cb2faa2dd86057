"""What a student's own notebooks wrote, printed and drew, under the headings of the problem set.

Nothing in a notebook is trusted: whatever cannot be read is left out and named. Only plain text
and pictures that are PNG files are taken, up to a size.
"""

import base64
import io
import itertools
import re
import shutil
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course.judging import MANUAL, POINTS
from course.sandbox import ROOT, Limits, Sandbox, unpacked
from data import loaders

PART = re.compile(r"\b([1-5])(?:\s*\(([a-f])\)|\.?([a-f])\b)")  # 1(b), 1 (b), 1b or 1.b
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of a terminal
ELSEWHERE = ""
MAX_READ = 30 << 20  # bytes of all notebooks of a submission
MAX_PIECES = 2000  # of a submission
MAX_TEXT = 5000  # characters of one output
MAX_PICTURE, MAX_PIXELS = 3 << 20, 20_000_000  # bytes and pixels of one picture
MAX_SHOWN = 12 << 20  # bytes of all that is shown of a submission
RUNNING = Limits(seconds=1800.0, memory=4 << 30)  # of one notebook
MAX_RUN, MAX_RUNNING = 10, 3600.0  # notebooks of a submission that are run, and seconds of all


class Piece(NamedTuple):
    """Something that stands under a heading."""

    kind: str  # "prose", "text", "picture" or "left out"
    content: str  # of a picture: base64


def pieces(folder, first=()):
    """Return a list of `Piece` for each part that the notebooks below a folder have.

    Parameters
    ----------
    folder : path
        The submission, as `sandbox.unpacked` gives it.
    first : sequence of Piece
        What else is to be said, of notebooks that `run` could not run.

    Returns
    -------
    dict
        By part, as "1b"; what stands under no such heading is in ``ELSEWHERE``.
    """
    found = {ELSEWHERE: list(first)} if first else {}
    unread, room, left = MAX_READ, MAX_SHOWN, MAX_PIECES
    for path in sorted(Path(folder).rglob("*.ipynb")):
        unread -= path.stat().st_size
        if unread < 0:
            said = f"{path.name} and what follows, as all notebooks have over {MAX_READ >> 20} MiB"
            found.setdefault(ELSEWHERE, []).append(Piece("left out", said))
            return found
        try:
            inside = list(itertools.islice(_read(path), left + 1))
        except Exception as error:  # JSON, nbformat and a hostile author have errors of their own
            said = f"{path.name} cannot be read: {type(error).__name__}"
            inside = [(ELSEWHERE, Piece("left out", said))]
        for part, piece in inside:
            room, left = room - len(piece.content), left - 1
            if room < 0 or left < 0:
                said = f"the rest, over {MAX_PIECES} pieces or {MAX_SHOWN >> 20} MiB"
                found.setdefault(ELSEWHERE, []).append(Piece("left out", said))
                return found
            found.setdefault(part, []).append(piece)
    return found


def run(folder, level):
    """Run the notebooks of a copy of a submission in the sandbox, and keep their outputs there.

    Beside them stand the data, and what the course gives where a student left it out.

    Parameters
    ----------
    folder : pathlib.Path
        From `sandbox.unpacked`. Its notebooks are replaced.
    level : str
        Of isolation.

    Returns
    -------
    list of Piece
        One for each notebook that could not be run, and one for those beyond ``MAX_RUN`` and
        ``MAX_RUNNING``; they stay as they were handed in.
    """
    from course import kit

    notebooks = [path.relative_to(folder) for path in sorted(folder.rglob("*.ipynb"))]
    shutil.copyfile(ROOT / "course" / "in_kernel.py", folder / "in_kernel.py")
    for path in ("plots.py", "course/__init__.py", "course/digit_classifier.py"):
        _copy(ROOT / path, folder / path)
    if not (folder / "data" / "__init__.py").exists():
        kit.write_data(folder / "data")
    for name, files in loaders.FILES.items():
        for path, file in zip(loaders.find(name) or (), files, strict=False):
            _copy(path, folder / "data" / Path(file).parent / path.name)
    failed = []
    with unpacked(folder) as ready:  # once more, for the rights of what was copied
        seconds = MAX_RUNNING
        for number, name in enumerate(notebooks):
            if number == MAX_RUN or seconds <= 0:
                said = (
                    f"a run of {len(notebooks) - number} notebooks, as at most {MAX_RUN} are run, "
                    f"and for {MAX_RUNNING / 60:g} minutes in all"
                )
                failed.append(Piece("left out", said))
                break
            limits = RUNNING._replace(seconds=min(RUNNING.seconds, seconds))
            start = time.monotonic()
            with Sandbox(ready, level) as sandbox:
                reply = sandbox.call("in_kernel", ("run",), [str(name)], limits=limits)
            seconds -= time.monotonic() - start
            if isinstance(reply.result, np.ndarray):
                (folder / name).write_bytes(reply.result.tobytes())
            else:
                said = f"{name} did not run to its end ({reply.detail[-200:] or reply.status})"
                failed.append(Piece("left out", said))
    return failed


def _copy(source, target):
    """Copy a file to where there is none."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _read(path):
    """Yield (part, piece) in the order of a notebook."""
    import nbformat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cells without an id
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    part, depth = ELSEWHERE, 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for section in re.split(r"(?m)^(?=#{1,6} )", str(cell.source)):
                if heading := re.match(r"(#{1,6}) (.*)", section):
                    part, depth = _placed(heading[2], len(heading[1]), part, depth)
                if section.strip():
                    yield part, Piece("prose", section.strip()[:MAX_TEXT])
        elif cell.cell_type == "code":
            for output in cell.outputs:
                if piece := _shown(output):
                    yield part, piece


def _placed(heading, level, part, depth):
    """Return the part that a heading begins, and its level; a deeper heading stays in its part."""
    if number := PART.search(heading):
        named = number[1] + (number[2] or number[3])
        if named in POINTS or named in MANUAL:
            return named, level
    return (ELSEWHERE, 0) if level <= depth else (part, depth)


def _shown(output):
    """Return what is shown of a cell's output, or None."""
    if output.output_type == "stream":
        return _text(output.text)
    if output.output_type == "error":
        return _text(f"{output.ename}: {output.evalue}")
    if "image/png" in output.data:
        return _picture(output.data["image/png"])
    return _text(output.data.get("text/plain", ""))


def _text(text):
    text = COLOURS.sub("", str(text)).strip("\n")
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}\n... and {len(text) - MAX_TEXT} characters more"
    return Piece("text", text) if text.strip() else None


def _picture(encoded):
    """Return a picture, if it is a PNG file of a size that a browser can bear."""
    from PIL import Image

    try:
        png = base64.b64decode(str(encoded))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
                width, height = image.size
                image.verify()
    except Exception as error:  # a broken file raises whatever it broke
        return Piece("left out", f"a picture that is no PNG file ({type(error).__name__})")
    if len(png) > MAX_PICTURE or width * height > MAX_PIXELS:
        said = f"a picture of {width} x {height} pixels and {len(png) >> 10} KiB"
        return Piece("left out", said)
    return Piece("picture", base64.b64encode(png).decode())
