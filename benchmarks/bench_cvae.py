"""Ten epochs on 10,000 images: `cvae.fit` against the loop that tutorials use.

The usual loop trains the textbook's network. It takes images one by one from a `Subset` of a
picture data set, through `ToTensor` and a `DataLoader`, in batches of 32, and steps with Adam at
1e-3 from PyTorch's own initial weights. Both train on the same images for as many epochs, and both
are judged by the same `cvae.evaluate` on the test images.
"""

import functools
import itertools

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset

import cvae
from data import load_mnist
from textbook import cvae as textbook

try:
    from torchvision.transforms.functional import to_tensor
except (ImportError, RuntimeError):  # not installed, or built for another PyTorch

    def to_tensor(picture):
        """Do to a grey picture what torchvision's ToTensor does."""
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))  # (H, W)
        return pixels[:, :, None].permute(2, 0, 1).contiguous().float().div(255)  # (1, H, W)


NUM_EPOCHS, NUM_IMAGES = 10, 10_000
SIZES = {"input_size": 784, "latent_size": 20, "num_classes": 10}


class Pictures(Dataset):
    """Do for each image what ``torchvision.datasets.MNIST(transform=ToTensor())`` does."""

    def __init__(self, images, labels):
        self.images, self.labels = torch.as_tensor(images), torch.as_tensor(labels)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, n):
        return to_tensor(Image.fromarray(self.images[n].numpy())), int(self.labels[n])


def usual_loop(train):
    """Train as the assignment's notebook does, and return the weights."""
    model = textbook.CVAE(**SIZES)
    subset = Subset(Pictures(train.images, train.labels), range(min(NUM_IMAGES, len(train.images))))
    loader = DataLoader(subset, batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(NUM_EPOCHS):
        textbook.train(epoch, model, loader, optimizer, SIZES["num_classes"])
    return model.state_dict()


def our_loop(train):
    """Train by this project's recipe, and return the weights."""
    model = cvae.CVAE(**SIZES)
    cvae.fit(model, train.images[:NUM_IMAGES], train.labels[:NUM_IMAGES], num_epochs=NUM_EPOCHS)
    return model.state_dict()


def runs():
    """Return both runs, each of which takes the next seed when it is called."""
    train = load_mnist("train")

    def seeded(loop, seeds):
        torch.manual_seed(next(seeds))
        return loop(train)

    loops = {"ours": our_loop, "usual loop": usual_loop}
    return {name: functools.partial(seeded, f, itertools.count()) for name, f in loops.items()}


def test_loss(weights):
    """Return the loss on the test images, in nats an image."""
    test, model = load_mnist("test"), cvae.CVAE(**SIZES)
    model.load_state_dict(weights)
    return cvae.evaluate(model, cvae.BatchLoader(test.images, test.labels, 1000)).total
