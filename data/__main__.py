"""`python -m data`: say which originals are here, fetch those that are missing, verify them all."""

import signal
import sys

import data
from data import download, loaders


def main():
    """Print a line for each file; return 0 if every original is here and whole, else 1."""
    mirrors = download.MIRRORS
    for name in (*download.MANIFEST, "MNIST"):
        try:
            if (path := _where(name)) is not None:
                print(f"{name}: here, {path}")
            elif name == "MNIST":
                print(f"{name}: fetched, {download.fetch_mnist(loaders.FOLDER)}")
            else:  # a mandrill may be there without the other one
                how = "here" if (loaders.FOLDER / name).exists() else "fetched"
                print(f"{name}: {how}, {download.fetch(name, loaders.FOLDER, mirrors=mirrors)}")
        except download.DownloadError as error:
            print(f"{name}: could not be had ({error})")
            mirrors = [mirror for mirror in mirrors if mirror not in error.unreachable]

    problems = 0
    for load in (
        data.load_mandrill,
        data.load_faces,
        data.load_audio,
        lambda: data.load_mnist("train"),
        lambda: data.load_mnist("test"),
    ):
        try:
            problems += load().source != "original"  # says so itself
        except ValueError as error:
            problems += 1
            print(error)
    return int(problems > 0)


def _where(name):
    """Return the path of an original that is here, with those that belong to it, or None."""
    if name == "MNIST":
        paths = [loaders.find_mnist(split) for split in loaders.MNIST_FILES]
        return paths[0][0].parent if all(paths) else None
    names = loaders.MANDRILL_FILES if name in loaders.MANDRILL_FILES else (name,)
    paths = loaders.find(*names)
    return paths and paths[names.index(name)]


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        # Raise, so that an end on demand removes the temporary file of a download; no traceback.
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
