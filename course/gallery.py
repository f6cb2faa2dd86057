"""`make gallery`: draw the README's pictures anew, from stand-in data only."""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from course import cover, pages, writeup

# File name: the notebook, and words of its figure's description.
PICTURES = {
    "compression": ("kmeans_gmm", "k-means, 16 colours"),
    "ellipsoids": ("kmeans_gmm", "one-sigma ellipsoids"),
    "boundary": ("gda", "unlabelled points say where"),
    "eigenfaces": ("pca", "eigenface mid-grey is zero"),
    "spectrograms": ("ica", "The same by frequency"),
    "digits": ("cvae", "Samples from the prior"),
}
WIDTH = 640  # pixels


def main():
    """Execute each notebook in a copy without originals and save small pictures; return 0."""
    os.environ.pop("COURSEWORK_DATA", None)
    with tempfile.TemporaryDirectory() as copy:
        copy_without_originals(Path(copy))
        runs = [writeup.run(name, Path(copy)) for name in writeup.NOTEBOOKS]
        if any(run.error for run in runs):
            return 1
        folder = Path(copy) / "writeup"
        writeup.publish(runs, folder)
        source = pages.typst_source(cover.paper(runs), cover.TITLE)
        save("writeup", pages.typeset(source, folder, format="png", ppi=144)[0])
        for picture, (name, words) in PICTURES.items():
            notebook = next(run.notebook for run in runs if run.name == name)
            save(picture, find_figure(notebook, name, words).png)
    return 0


def find_figure(notebook, name, words):
    """Return the first figure of an executed notebook whose description has these words."""
    for figure in pages.figures(notebook, name):
        if words in figure.description:
            return figure
    raise LookupError(f"{name}.ipynb shows no figure described as {words!r}; see PICTURES.")


def save(name, png):
    """Save a picture, made small, in gallery/."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    size = (WIDTH, round(picture.height * WIDTH / picture.width))
    small = picture.resize(size, Image.Resampling.LANCZOS).quantize(128)
    small.save(writeup.ROOT / "gallery" / f"{name}.png", optimize=True)


def copy_without_originals(target):
    """Copy what a notebook needs, but not the original data that data/ may hold."""
    for pattern in ("*.py", "*.ipynb", "data/*.py", "data/*.json", "textbook/*.py", "course/*.py"):
        for path in writeup.ROOT.glob(pattern):
            (target / path.relative_to(writeup.ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy(path, target / path.relative_to(writeup.ROOT))


if __name__ == "__main__":
    sys.exit(main())
