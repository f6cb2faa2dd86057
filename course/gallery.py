"""`make gallery`: draw the README's pictures anew, from stand-in data only."""

import base64
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from course import writeup

# File name: the notebook, and which of its figures.
PICTURES = {
    "compression": ("kmeans_gmm", 3),
    "ellipsoids": ("kmeans_gmm", 5),
    "boundary": ("gda", 2),
    "eigenfaces": ("pca", 3),
    "spectrograms": ("ica", 2),
    "digits": ("cvae", 2),
}
WIDTH = 640  # pixels


def figures(notebook):
    """Return the figures that an executed notebook shows, as PIL images, in order."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    encoded = (output.get("data", {}).get("image/png") for output in outputs)
    return [Image.open(io.BytesIO(base64.b64decode(png))) for png in encoded if png]


def main():
    """Execute each notebook in a copy without originals and save small pictures; return 0."""
    os.environ.pop("COURSEWORK_DATA", None)
    folder = writeup.ROOT / "gallery"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as copy:
        copy_without_originals(Path(copy))
        drawn = {}
        for picture, (name, number) in PICTURES.items():
            if name not in drawn:
                drawn[name] = figures(writeup.execute(Path(copy) / f"{name}.ipynb", folder=copy))
            figure = drawn[name][number].convert("RGB")
            size = (WIDTH, round(figure.height * WIDTH / figure.width))
            small = figure.resize(size, Image.Resampling.LANCZOS).quantize(128)
            small.save(folder / f"{picture}.png", optimize=True)
    return 0


def copy_without_originals(target):
    """Copy what a notebook needs, but not the original data that data/ may hold."""
    for pattern in ("*.py", "*.ipynb", "data/*.py", "data/*.json", "textbook/*.py", "course/*.py"):
        for path in writeup.ROOT.glob(pattern):
            (target / path.relative_to(writeup.ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy(path, target / path.relative_to(writeup.ROOT))


if __name__ == "__main__":
    sys.exit(main())
