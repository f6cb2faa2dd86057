"""A class of any size, put together at random from the styles and the mistakes.

Each file of a submission is a correct one in some style, or one with a mistake, or missing. A file
is all that its part is marked by, so the right marks of a submission are those of its files.
"""

import random
import shutil

from tests.submissions.mistakes import HERE, MISTAKES, write

FILES = {"1a": "kmeans", "1d": "gmm", "3b": "pca", "4a": "ica", "5c": "cvae"}
STYLES = ("loops", "broadcast", "library", "float32")


def choices(part):
    """Return (name, style, edits) for each way in which a part may be handed in."""
    right = [
        (style, style, ()) for style in STYLES if (HERE / style / f"{FILES[part]}.py").exists()
    ]
    wrong = [(name, base, edits) for p, name, base, *edits in MISTAKES if p == part]
    return [*right, *wrong, ("missing", None, ())]


def write_file(folder, part, choice):
    """Write the file of a part into a submission."""
    _, style, edits = choice
    folder.mkdir(parents=True, exist_ok=True)
    if style is not None:
        whole = write(folder / "whole", style, *([edits] if edits else []))
        (whole / f"{FILES[part]}.py").rename(folder / f"{FILES[part]}.py")
        shutil.rmtree(whole)


def generate(folder, size, seed=0):
    """Write submissions into a folder; return the name of each part's choice, by submission.

    In half of the parts the file is a correct one.
    """
    rng, made = random.Random(seed), {}
    for number in range(size):
        name = f"student-{number:03d}"
        made[name] = {}
        (folder / name).mkdir(parents=True)
        (folder / name / "name.txt").write_text(name)  # no two are the same files
        for part in FILES:
            right, wrong = (
                [c for c in choices(part) if (c[0] in STYLES) == is_right]
                for is_right in (True, False)
            )
            choice = rng.choice(right if rng.random() < 0.5 else wrong)
            write_file(folder / name, part, choice)
            made[name][part] = choice[0]
    return made
