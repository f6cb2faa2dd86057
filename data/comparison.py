"""The reference numbers, and a table that sets ours beside them."""

import html
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

MIME_TYPE = "application/vnd.coursework.comparison+json"  # what `make writeup` collects

# How near is near enough, as (relative, absolute). The write-up prints the mixture's parameters
# to two decimals, the audio behind W was recovered to 1e-9, and the rest was recomputed.
_TOLERANCES = {
    "kmeans": (0, 1e-9),
    "gmm": (1e-6, 0),
    "gmm.pi": (0, 0.005),
    "gmm.mu": (0, 0.005),
    "gmm.sigma": (0, 0.005),
    "gmm.mean_pixel_error_uint8_arithmetic": (0, 1e-9),
    "gmm.mean_pixel_error_float": (0, 1e-9),
    "pca": (1e-8, 0),
    "ica": (0, 1e-5),
    "cvae": (0, 0),
    # A training run's end depends on the seed: the two recorded runs differ by 0.3 nats.
    "cvae.plain_loop_test_negative_elbo_nats": (0, 1.5),
    "cvae.plain_loop_label_fidelity_of_prior_samples": (0, 0.04),
}


class Row(NamedTuple):
    """One reference number beside ours."""

    name: str
    reference: str
    ours: str
    verdict: str  # "agrees", "DIFFERS" or "stand-in data, not compared"


class Comparison(list):
    """A list of rows that a notebook shows as a table."""

    def __repr__(self):
        widths = [max(map(len, column)) for column in zip(Row._fields, *self, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (Row._fields, *self)
        )

    def _repr_mimebundle_(self, **kwargs):
        cells = [[html.escape(cell) for cell in row] for row in self]
        body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells)
        head = f"<tr><th>{'</th><th>'.join(Row._fields)}</th></tr>"
        return {
            "text/plain": repr(self),
            "text/html": f"<table>{head}{body}</table>",
            MIME_TYPE: [list(row) for row in self],
        }


def reference(section):
    """Return a section of `reference.json`.

    Parameters
    ----------
    section : {"kmeans", "gmm", "pca", "ica", "cvae"}

    Returns
    -------
    dict
        Names and numbers; ``note`` says what they were measured on.

    Raises
    ------
    KeyError
        If there is no such section.
    """
    path = Path(__file__).resolve().parent / "reference.json"
    sections = json.loads(path.read_text(encoding="utf-8"))
    if section not in sections:
        known = ", ".join(name for name in sections if not name.startswith("_"))
        raise KeyError(f"no section {section!r} in reference.json; it has {known}")
    return sections[section]


def compare(section, ours, source):
    """Set our numbers beside the reference.

    Parameters
    ----------
    section : str
        A section of the reference.
    ours : dict
        Our value, or array of values, for names in that section. Where the reference is a dict
        (a value for some iterations), so is ours. Where it is a list of values from runs that
        differ in their seeds, ours is one value and is held against the nearest.
    source : {"original", "stand-in"}
        The data that ours come from. Only numbers from originals are compared.

    Returns
    -------
    Comparison
        A table when shown in a notebook or printed.

    Raises
    ------
    KeyError
        If the reference has no such section or name.
    ValueError
        If `source` is neither.
    """
    if source not in ("original", "stand-in"):
        raise ValueError(f'source must be "original" or "stand-in", got {source!r}.')
    expected = reference(section)
    rows = Comparison()
    for name, value in ours.items():
        if name not in expected:
            raise KeyError(f"the reference section {section!r} has no {name!r}")
        for label, target, mine in _pairs(f"{section}.{name}", expected[name], value):
            relative, absolute = _TOLERANCES.get(f"{section}.{name}", _TOLERANCES[section])
            if source != "original":
                verdict = "stand-in data, not compared"
            elif _agrees(mine, target, relative, absolute):
                verdict = "agrees"
            else:
                verdict = "DIFFERS"
            rows.append(Row(label, _show(target), _show(mine), verdict))
    return rows


def _pairs(name, target, mine):
    """Yield (label, target, ours), one for each number that deserves a row."""
    if isinstance(target, dict):
        for key, number in target.items():
            yield f"{name}[{key}]", number, mine[key]
    else:
        yield name, target, mine


def _agrees(mine, target, relative, absolute):
    if isinstance(target, str) or (isinstance(target, list) and isinstance(target[0], str)):
        return mine == target
    mine, target = np.asarray(mine, dtype=float), np.asarray(target, dtype=float)
    if mine.ndim == 0 and target.ndim == 1:
        return bool(np.isclose(mine, target, rtol=relative, atol=absolute).any())
    same_shape = mine.shape == target.shape
    return same_shape and np.allclose(mine, target, rtol=relative, atol=absolute)


def _show(value):
    """Show a number in full, an array by its first values."""
    if isinstance(value, (str, bool)):
        return str(value)
    if isinstance(value, (list, tuple)) and isinstance(value[0], str):
        return f"{value[0]}, ... ({len(value)} in all)"
    numbers = np.asarray(value)
    if numbers.ndim == 0:
        return str(numbers.item())
    first = ", ".join(f"{x:.10g}" for x in numbers.ravel()[:3])
    return first if numbers.size <= 3 else f"{first}, ... {numbers.shape}"
