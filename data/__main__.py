"""Say which originals are here, fetch those that are missing, and verify them all."""

import argparse
import os
import signal
import sys

import data
from data import loaders

try:
    from data import download
except ImportError as error:
    sys.exit(f"python -m data needs {error.name}. Run: pip install -r requirements.txt")

LOADERS = {
    "mandrill": data.load_mandrill,
    "faces": data.load_faces,
    "audio": data.load_audio,
    "train": lambda: data.load_mnist("train"),
    "test": lambda: data.load_mnist("test"),
}
VERDICTS = {
    True: "the original",
    False: "another file: your own, or damaged",
    None: "here, not verified: no hash is known for local copies",
}


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each file; return the exit status."""
    argparse.ArgumentParser(
        prog="python -m data",
        description=__doc__,
        epilog="The exit status is 0 if all are here and none differs from the original, else 1; "
        "it is 2 if COURSEWORK_DATA is no folder.",
    ).parse_args(arguments)
    try:
        loaders.folders()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    _fetch_missing()
    problems = sum(not _verify(what) for what in loaders.FILES)
    return int(problems > 0)


def _fetch_missing():
    """Download into the package's folder what no folder has; say how it went."""
    mirrors = download.MIRRORS
    for name in (*download.BLOBS, "MNIST"):
        try:
            if _is_here(name):
                continue
            if name == "MNIST":
                download.fetch_mnist(loaders.FOLDER)
            else:
                download.fetch(name, loaders.FOLDER, mirrors=mirrors)
            print(f"{name}: fetched")
        except download.DownloadError as error:
            print(f"{name}: could not be had ({error})")
            mirrors = [mirror for mirror in mirrors if mirror not in error.unreachable]
        except ValueError:
            pass  # what is here is broken, as its loader will say


def _is_here(name):
    if name == "MNIST":
        return bool(loaders.find("train") and loaders.find("test"))
    if os.path.lexists(loaders.FOLDER / name):  # perhaps one mandrill without the other
        return True
    return any(name in names and loaders.find(what) for what, names in loaders.FILES.items())


def _verify(what):
    """Load what belongs together, compare it with the hashes; return whether nothing is wrong."""
    try:
        if LOADERS[what]().source == "stand-in":
            return False  # it has said so itself
    except ValueError as error:
        print(error)
        return False
    verified = {path: download.is_original(path) for path in loaders.find(what)}
    for path, original in verified.items():
        print(f"{path}: {VERDICTS[original]}")
    return False not in verified.values()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        # Raise, so that an end on demand removes the temporary file of a download; no traceback.
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
