"""Find, read and check the original files; make a stand-in where they are missing.

A file is judged before it is read, by its size and then by its header, so that one which claims or
unpacks to more than an original holds is refused at once.

Every loader raises ValueError if COURSEWORK_DATA names no folder, or a file is there but is not
what it should be or cannot be read. Nothing is ever unpickled.
"""

import math
import os
import stat
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import idx

FOLDER = Path(__file__).resolve().parent
FILES = {  # what is loaded together
    "mandrill": ("mandrill-small.tiff", "mandrill-large.tiff"),
    "faces": ("face.npy",),
    "audio": ("ica_data.dat",),
    "train": ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
    "test": ("MNIST/raw/t10k-images-idx3-ubyte", "MNIST/raw/t10k-labels-idx1-ubyte"),
}
LARGEST = 1 << 26  # bytes of a file; MNIST's training images take 47 million
CHARACTERS = 32  # for a number in a table; 25 write it to the last digit
LARGEST_TILE = 1024  # pixels; a TIFF's tile is unpacked whole, however small the picture


class Mandrill(NamedTuple):
    """Two pictures of the same mandrill, in intensity levels: train on one, test on the other."""

    small: np.ndarray  # uint8 (128, 128, 3)
    large: np.ndarray  # uint8 (512, 512, 3)
    source: str  # "original" or "stand-in"


class Faces(NamedTuple):
    """Grey faces of 38 people, each under some 60 lights, in intensity levels."""

    images: np.ndarray  # uint8 (2414, 48, 42)
    source: str


class Audio(NamedTuple):
    """What five microphones heard of five sources."""

    mix: np.ndarray  # float64 (53442, 5), one column a microphone
    rate: int  # samples a second
    source: str


class MNIST(NamedTuple):
    """Handwritten digits in intensity levels, and what they say."""

    images: np.ndarray  # uint8 (N, 28, 28)
    labels: np.ndarray  # int64 (N,), 0 to 9
    source: str


def load_mandrill() -> Mandrill:
    """Load the two mandrill pictures.

    Returns
    -------
    Mandrill
        The stand-in is scikit-learn's sample photograph of a flower, cropped and resized.
    """
    paths = find("mandrill")
    if paths is None:
        _say_stand_in("mandrill", "a photograph of a flower")
        from data import standins

        small, large = standins.photographs()
        return Mandrill(small, large, "stand-in")
    small = _read(paths[0], _read_picture, (128, 128))
    large = _read(paths[1], _read_picture, (512, 512))
    return Mandrill(small, large, "original")


def load_faces() -> Faces:
    """Load the faces.

    Returns
    -------
    Faces
        The stand-in is rendered: see `data.heads`.
    """
    paths = find("faces")
    if paths is None:
        _say_stand_in("faces", "rendered heads")
        from data import heads

        return Faces(heads.render_faces().images, "stand-in")
    return Faces(_read(paths[0], _read_npy, (2414, 48, 42)), "original")


def load_audio() -> Audio:
    """Load the five microphones' recording.

    Returns
    -------
    Audio
        The stand-in is synthesised: see `data.sounds`.
    """
    paths = find("audio")
    if paths is None:
        _say_stand_in("audio", "five synthesised sounds")
        from data import sounds

        mixed = sounds.mix_sources()
        return Audio(mixed.mix, mixed.rate, "stand-in")
    return Audio(_read(paths[0], _read_table, (53442, 5)), 11025, "original")


def load_mnist(split: str, limit: int | None = None) -> MNIST:
    """Load handwritten digits, from the files in torchvision's layout.

    Parameters
    ----------
    split : {"train", "test"}
        60,000 or 10,000 images; of the stand-in 1,500 or 297.
    limit : int, optional
        Load only the first so many; all, if there are fewer.

    Returns
    -------
    MNIST
        The stand-in is scikit-learn's handwritten digits, enlarged.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}.')
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, np.integer))):
        raise TypeError(f"limit must be an integer or None, got {limit!r}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
    paths = find(split)
    if paths is None:
        _say_stand_in(split, "scikit-learn's digits, enlarged")
        from data import standins

        images, labels = standins.digits(split)
        return MNIST(images[:limit], labels[:limit], "stand-in")
    images = _read(paths[0], idx.read, (28, 28))
    labels = _read(paths[1], idx.read, ())
    if len(images) != len(labels):
        raise ValueError(
            f"{paths[0]} holds {len(images)} images and {paths[1]} {len(labels)} labels: they do "
            "not belong together. Move both away and run: python -m data"
        )
    if labels.max() > 9:
        n = int(np.argmax(labels > 9))
        raise ValueError(_misfit(paths[1], f"label {labels[n]} at {n} is none of 0 to 9"))
    return MNIST(images[:limit].copy(), labels[:limit].astype(np.int64), "original")


def folders() -> list[Path]:
    """Return the folders to look in, in order."""
    named = os.environ.get("COURSEWORK_DATA")
    if not named:
        return [FOLDER]
    folder = Path(os.path.realpath(os.path.expanduser(named)))
    try:
        os.listdir(folder)
    except OSError as error:
        raise ValueError(
            f"COURSEWORK_DATA={named!r} is no folder to look in ({folder}: {error.strerror}). "
            f"Correct it, or unset it to look in {FOLDER} alone."
        ) from error
    return [folder, FOLDER]


def find(what: str) -> list[Path] | None:
    """Return the paths of the files of a key of `FILES`, from the first folder that has them all.

    None if none has. Those of MNIST may be gzipped.
    """
    for folder in folders():
        paths = [path for name in FILES[what] if (path := _locate(folder / name))]
        if len(paths) == len(FILES[what]):
            return paths
    return None


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _locate(path):
    """Return the path, with .gz behind it if need be, or None; refuse what is there and no file."""
    packed = [path.with_name(f"{path.name}.gz")] if path.name.endswith("ubyte") else []
    for candidate in (path, *packed):
        try:
            mode = candidate.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ValueError(_unreadable(candidate, error)) from error
        if not stat.S_ISREG(mode):  # to open a pipe would wait for ever
            raise ValueError(_misfit(candidate, "it is a folder or a device"))
        return candidate
    return None


def _say_stand_in(what, stand_in):
    missing = " with ".join(FILES[what])  # all in one folder: half of them is not enough
    places = " or ".join(map(str, folders()))
    print(f"No {missing} in {places}: using a stand-in, {stand_in}. To fetch: python -m data")
    sys.stdout.flush()


def _read(path, reader, shape):
    """Read a file and check what it holds; say which file it is when something is wrong."""
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"it has {size} bytes, more than any original")
        array = reader(path, shape)
        if array.ndim > 1 and array.min() == array.max():  # labels may all be the same
            raise ValueError(f"every value in it is {array.flat[0]}")
    except ImportError:  # of Pillow: the file is not to blame
        raise
    except Exception as error:  # zlib.error, MemoryError: decoders raise what they like
        told = isinstance(error, OSError) and error.strerror
        message = _unreadable(path, error) if told else _misfit(path, one_line(error))
        raise ValueError(message) from error
    return array


def _misfit(path, why):
    return f"{path} is not the file it should be ({why}). Move it away and run: python -m data"


def _unreadable(path, error):
    return f"{path} cannot be read ({error.strerror}). Mend that, or move it away."


def _check(array, dtype, shape):
    """Refuse an array of another type or shape; its values need not have been read yet."""
    if array.dtype != dtype or array.shape != shape:
        wanted = f"{np.dtype(dtype)} {shape}"
        raise ValueError(f"expected {wanted}, it holds {array.dtype} {array.shape}")


def _read_picture(path, shape):
    from PIL import ExifTags, Image

    height, width = shape
    with Image.open(path, formats=["TIFF"]) as picture:
        form = f"{picture.mode} {picture.width} x {picture.height}"
        if form != f"RGB {width} x {height}":
            raise ValueError(f"expected RGB {width} x {height}, it is {form}")
        for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength):
            if (tile := picture.tag_v2.get(tag, 0)) > LARGEST_TILE:
                raise ValueError(f"its tiles have sides of {tile} pixels")
        return np.array(picture)


def _read_npy(path, shape):
    # Unlike np.load this reads .npy alone, and unpickles nothing; no value is read before np.array.
    array = np.lib.format.open_memmap(path, mode="r")
    _check(array, np.uint8, shape)
    return np.array(array)


def _read_table(path, shape):
    if (size := path.stat().st_size) > CHARACTERS * math.prod(shape):  # perhaps all in one line
        raise ValueError(f"it has {size} bytes, more than {CHARACTERS} for each of its numbers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an empty file is no more than that to NumPy
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    _check(table, np.float64, shape)
    if not np.isfinite(table).all():
        raise ValueError("it holds NaN or infinity")
    return table
