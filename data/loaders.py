"""Find, read and check the original files; make a stand-in where they are missing."""

import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import idx

FOLDER = Path(__file__).resolve().parent
MANDRILL_FILES = ("mandrill-small.tiff", "mandrill-large.tiff")
MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


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


def load_mandrill():
    """Load the two mandrill pictures.

    Returns
    -------
    Mandrill
        The stand-in is scikit-learn's sample photograph of a flower, cropped and resized.

    Raises
    ------
    ValueError
        If a file is there but is not the picture it should be.
    """
    paths = find(*MANDRILL_FILES)
    if paths is None:
        _say_stand_in(MANDRILL_FILES, "a photograph of a flower")
        from data import standins

        return Mandrill(*standins.photographs(), "stand-in")
    small = _read(paths[0], _read_picture, np.uint8, (128, 128, 3))
    large = _read(paths[1], _read_picture, np.uint8, (512, 512, 3))
    return Mandrill(small, large, "original")


def load_faces():
    """Load the faces.

    Returns
    -------
    Faces
        The stand-in is rendered: see `data.heads`.

    Raises
    ------
    ValueError
        If the file is there but does not hold the faces. Pickled files are never unpickled.
    """
    paths = find("face.npy")
    if paths is None:
        _say_stand_in(["face.npy"], "rendered heads")
        from data import heads

        return Faces(heads.render_faces().images, "stand-in")
    images = _read(paths[0], _read_npy, np.uint8, (2414, 48, 42))
    return Faces(images, "original")


def load_audio():
    """Load the five microphones' recording.

    Returns
    -------
    Audio
        The stand-in is synthesised: see `data.sounds`.

    Raises
    ------
    ValueError
        If the file is there but does not hold the recording.
    """
    paths = find("ica_data.dat")
    if paths is None:
        _say_stand_in(["ica_data.dat"], "five synthesised sounds")
        from data import sounds

        mixed = sounds.mix_sources()
        return Audio(mixed.mix, mixed.rate, "stand-in")
    return Audio(_read(paths[0], _read_table, np.float64, (53442, 5)), 11025, "original")


def load_mnist(split, limit=None):
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

    Raises
    ------
    TypeError, ValueError
        If an argument is none of the above, or a file is there but is damaged.
    """
    if split not in MNIST_FILES:
        raise ValueError(f'split must be "train" or "test", got {split!r}.')
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, np.integer))):
        raise TypeError(f"limit must be an integer or None, got {limit!r}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
    paths = find_mnist(split)
    if paths is None:
        names = [f"MNIST/raw/{name}" for name in MNIST_FILES[split]]
        _say_stand_in(names, "scikit-learn's digits, enlarged")
        from data import standins

        images, labels = standins.digits(split)
        return MNIST(images[:limit], labels[:limit], "stand-in")
    images = _read(paths[0], lambda p: idx.read(p, 3), np.uint8, (None, 28, 28))
    labels = _read(paths[1], lambda p: idx.read(p, 1), np.uint8, (None,))
    if len(images) != len(labels):
        raise ValueError(
            f"{paths[0]} holds {len(images)} images and {paths[1]} {len(labels)} labels: they do "
            "not belong together. Move both away and run: python -m data"
        )
    if labels.max() > 9:
        n = int(np.argmax(labels > 9))
        raise ValueError(_damaged(paths[1], f"label {labels[n]} at {n} is none of 0 to 9"))
    return MNIST(images[:limit].copy(), labels[:limit].astype(np.int64), "original")


def folders():
    """Return the folders to look in, in order."""
    named = os.environ.get("COURSEWORK_DATA")
    return [Path(os.path.expanduser(named)).resolve(), FOLDER] if named else [FOLDER]


def find(*names, suffixes=("",)):
    """Return the paths of the named files in the first folder that has them all, or None.

    Each name may end in any one of `suffixes`; the first that is there is taken.
    """
    for folder in folders():
        candidates = [[folder / f"{name}{suffix}" for suffix in suffixes] for name in names]
        paths = [next(filter(Path.is_file, paths), None) for paths in candidates]
        if None not in paths:
            return paths
    return None


def find_mnist(split):
    """Return the paths of a split's images and labels, plain or gzipped, or None."""
    return find(*(f"MNIST/raw/{name}" for name in MNIST_FILES[split]), suffixes=("", ".gz"))


def _say_stand_in(names, stand_in):
    places = " or ".join(f"{f}" if f.is_dir() else f"{f} (which is no folder)" for f in folders())
    missing = " with ".join(names)  # all in one folder: half of them is not enough
    print(f"No {missing} in {places}: using a stand-in, {stand_in}. To fetch: python -m data")
    sys.stdout.flush()


def _read(path, reader, dtype, shape):
    """Read a file and check what it holds; say which file it is when something is wrong."""
    try:
        array = reader(path)
    except Exception as error:  # zlib.error, TokenError, MemoryError: decoders raise what they like
        raise ValueError(_damaged(path, f"it cannot be read ({one_line(error)})")) from error
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = f"{np.dtype(dtype)} {shape}".replace("None", "N")
        raise ValueError(_damaged(path, f"expected {wanted}, it holds {array.dtype} {array.shape}"))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(_damaged(path, "it holds NaN or infinity"))
    if array.ndim > 1 and array.min() == array.max():  # labels may all be the same
        raise ValueError(_damaged(path, f"every value in it is {array.flat[0]}"))
    return array


def one_line(error):
    """Return the first line of an error's message, or its name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _damaged(path, what):
    return f"{path} is not the file it should be: {what}. Move it away and run: python -m data"


def _read_picture(path):
    from PIL import Image

    with Image.open(path) as picture:
        return np.array(picture)


def _read_npy(path):
    # Unlike np.load this reads .npy alone, unpickles nothing, and allocates nothing for a header
    # that promises more than the file holds.
    return np.array(np.lib.format.open_memmap(path, mode="r"))


def _read_table(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an empty file is no more than that to NumPy
        return np.loadtxt(path, dtype=np.float64, ndmin=2)
