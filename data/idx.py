"""Read IDX, the format of the MNIST files.

An IDX file of bytes starts with 0, 0, 8 and the number of axes, then the length of each axis as a
big-endian 32-bit integer, then the values in row-major order. Source: Y. LeCun, C. Cortes,
C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import math

import numpy as np


def read(path, num_axes):
    """Read an IDX file of unsigned bytes, plain or gzipped.

    Parameters
    ----------
    path : pathlib.Path
        A name that ends in ``.gz`` is decompressed.
    num_axes : int
        How many axes the file must have.

    Returns
    -------
    ndarray of uint8, read-only
        With the shape that the header gives.

    Raises
    ------
    ValueError
        If the header is not that of such a file, or the size is not what the header says.
    OSError, EOFError, zlib.error
        If the file cannot be read or decompressed.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read()
    header_size = 4 + 4 * num_axes
    magic = bytes([0, 0, 8, num_axes])
    if content[:4] != magic:
        raise ValueError(f"it starts with {content[:4].hex()!r} instead of {magic.hex()!r}")
    if len(content) < header_size:
        raise ValueError(f"it ends within its header, after {len(content)} bytes")
    shape = [int(n) for n in np.frombuffer(content, ">u4", num_axes, offset=4)]
    if 0 in shape:
        raise ValueError(f"its header says {shape}: it is empty")
    size = header_size + math.prod(shape)
    if len(content) != size:
        raise ValueError(f"its header says {shape}, {size} bytes in all; it has {len(content)}")
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)
