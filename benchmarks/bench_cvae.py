"""Ten epochs on 10,000 images: `cvae.fit` against the loop that tutorials use.

The usual loop takes images one by one from a `Subset` of a picture data set, through `ToTensor`
and a `DataLoader`, in batches of 32, and steps with Adam at 1e-3 from PyTorch's own initial
weights. Both train the same model in the same process on as many threads, on the same images for
as many epochs, and both are judged by the same `cvae.evaluate` on the test images.
"""

import time

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset

import cvae
from data import load_mnist

try:
    from torchvision.transforms.functional import to_tensor
except (ImportError, RuntimeError):  # not installed, or built for another PyTorch

    def to_tensor(picture):
        """Do to a grey picture what torchvision's ToTensor does."""
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))  # (H, W)
        return pixels[:, :, None].permute(2, 0, 1).contiguous().float().div(255)  # (1, H, W)


class Pictures(Dataset):
    """Do for each image what ``torchvision.datasets.MNIST(transform=ToTensor())`` does."""

    def __init__(self, images, labels):
        self.images, self.labels = torch.as_tensor(images), torch.as_tensor(labels)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, n):
        return to_tensor(Image.fromarray(self.images[n].numpy())), int(self.labels[n])


def usual_loop(model, images, labels, num_epochs):
    """Train `model` on the first 10,000 images, the way that the assignment's notebook does."""
    subset = Subset(Pictures(images, labels), range(min(10_000, len(images))))
    loader = DataLoader(subset, batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, num_epochs + 1):
        cvae.train(epoch, model, loader, optimizer, model.num_classes)


def our_loop(model, images, labels, num_epochs):
    """Train `model` on the first 10,000 images by this project's recipe."""
    cvae.fit(model, images[:10_000], labels[:10_000], num_epochs=num_epochs)


def measure(num_epochs=10, seeds=(0, 1, 2)):
    """Time both, in turn, once for each seed.

    Returns
    -------
    dict
        For "usual loop" and "cvae.fit", the lists of seconds and of test losses in nats an image.
    """
    train, test = load_mnist("train"), load_mnist("test")
    test_loader = cvae.BatchLoader(test.images, test.labels, 1000)
    results = {}
    for seed in seeds:
        for name, loop in (("usual loop", usual_loop), ("cvae.fit", our_loop)):
            torch.manual_seed(seed)
            model = cvae.CVAE(input_size=784, latent_size=20, num_classes=10)
            start = time.perf_counter()
            loop(model, train.images, train.labels, num_epochs)
            seconds = time.perf_counter() - start
            result = results.setdefault(name, {"seconds": [], "nats": []})
            result["seconds"].append(seconds)
            result["nats"].append(cvae.evaluate(model, test_loader).total)
    return results


def main():
    """Print the seconds, the test losses and the ratio of the medians."""
    results = measure()
    for name, result in results.items():
        seconds = ", ".join(f"{s:.1f}" for s in result["seconds"])
        nats = ", ".join(f"{n:.2f}" for n in result["nats"])
        print(f"cvae  {name:10}  {seconds} s   test loss {nats} nats")
    usual, ours = (np.median(results[name]["seconds"]) for name in ("usual loop", "cvae.fit"))
    print(f"cvae  ratio of medians {usual / ours:.2f}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
