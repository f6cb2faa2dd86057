"""Stand-ins made from what scikit-learn carries: a photograph, and small handwritten digits."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

NUM_TRAIN_DIGITS = 1500  # of 1797


def photographs():
    """Return a flower, uint8 (128, 128, 3), and larger, uint8 (512, 512, 3)."""
    photograph = Image.fromarray(load_sample_image("flower.jpg"))  # 640 x 427 pixels
    margin = (photograph.width - photograph.height) // 2
    square = photograph.crop((margin, 0, margin + photograph.height, photograph.height))
    return tuple(np.array(square.resize((n, n), Image.Resampling.LANCZOS)) for n in (128, 512))


def digits(split):
    """Return scikit-learn's digits enlarged from 8 x 8: uint8 (N, 28, 28) and int64 (N,).

    As in MNIST, a digit fills the middle 20 x 20 pixels.
    """
    bunch = load_digits()
    part = slice(None, NUM_TRAIN_DIGITS) if split == "train" else slice(NUM_TRAIN_DIGITS, None)
    small = np.rint(bunch.images[part] * (255 / 16)).astype(np.uint8)  # from 0..16
    images = np.zeros((len(small), 28, 28), np.uint8)
    for image, digit in zip(images, small, strict=True):
        image[4:24, 4:24] = Image.fromarray(digit).resize((20, 20), Image.Resampling.BICUBIC)
    return images, bunch.target[part].astype(np.int64)
