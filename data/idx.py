"""Read IDX, the format of the MNIST files.

An IDX file of bytes starts with 0, 0, 8 and the number of axes, then the length of each axis as a
big-endian 32-bit integer, then the values in row-major order. Source: Y. LeCun, C. Cortes,
C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import math
from pathlib import Path

import numpy as np

MOST = 70_000  # items in a file: all of MNIST


def read(path: Path, item_shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or gzipped.

    The header is judged first; then no more is read, or decompressed, than it says.

    Parameters
    ----------
    path : pathlib.Path
        A name that ends in ``.gz`` is decompressed.
    item_shape : tuple of int
        The shape of one item: (28, 28) of an image, () of a label.

    Returns
    -------
    ndarray of uint8, (N, *item_shape), read-only
        At most `MOST` items.

    Raises
    ------
    ValueError
        If the header is not that of such a file, or the size is not what the header says.
    OSError, EOFError, zlib.error
        If the file cannot be read or decompressed.
    """
    num_axes = 1 + len(item_shape)
    magic = bytes([0, 0, 8, num_axes])
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        header = file.read(4 + 4 * num_axes)
        if header[:2] == b"\x1f\x8b":
            raise ValueError("it is gzipped, so its name must end in .gz")
        if header[:4] != magic:
            raise ValueError(f"it starts with {header[:4].hex()!r} instead of {magic.hex()!r}")
        if len(header) < 4 + 4 * num_axes:
            raise ValueError(f"it ends within its header, after {len(header)} bytes")
        shape = tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
        if shape[1:] != item_shape or not 1 <= shape[0] <= MOST:
            wanted = f"1 to {MOST} items of shape {item_shape}"
            raise ValueError(f"its header says {shape}, expected {wanted}")
        size = math.prod(shape)
        content = file.read(size + 1)  # up to the end, where gzip compares its check sum
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content)}"
        raise ValueError(f"its header says {shape}, {size} values; it has {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)
