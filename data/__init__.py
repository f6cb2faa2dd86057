"""The assignment's data: loaders, stand-ins for what is missing, and the reference numbers.

    from data import load_mandrill
    mandrill = load_mandrill()
    mandrill.small  # uint8 (128, 128, 3)

Each loader looks in the folder that the environment variable COURSEWORK_DATA names, then in this
folder, and then makes a stand-in and says so in one line. `python -m data` fetches the originals.
"""

from data.comparison import compare, reference
from data.loaders import load_audio, load_faces, load_mandrill, load_mnist

__all__ = ["compare", "load_audio", "load_faces", "load_mandrill", "load_mnist", "reference"]
