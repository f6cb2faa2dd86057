"""The reference numbers, and a table that sets ours beside them."""

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MIME_TYPE = "application/vnd.coursework.comparison+json"  # what `make writeup` collects


class _Number(NamedTuple):
    """What a reference number is, and how far ours may be from it."""

    problem: str
    label: str  # {} is the step, where there is a value for some steps
    unit: str
    tolerance: float
    relative: bool = False  # the tolerance is a share of the reference
    nearest: bool = False  # the reference is of several runs, and ours is held against the nearest

    def say(self, difference: float) -> str:
        """Return a difference, or the tolerance, in words."""
        return f"{difference:.3g}" + (" relative" if self.relative and difference else "")


# The write-up prints the mixture's parameters to two decimals, the audio behind W was recovered to
# 1e-9, and the rest was recomputed. A training run's end depends on the seed: the two recorded runs
# of the CVAE differ by 0.3 nats.
_NUMBERS = {
    "kmeans": {
        "initial_centroid_indices": _Number("1(a)", "pixels where the 16 centroids start", "", 0),
        "training_mean_error_by_iteration": _Number(
            "1(a)", "mean pixel error on mandrill-small, k-means step {}", "levels", 1e-9
        ),
        "first_iteration_0_based_whose_assignments_equal_the_previous_ones": _Number(
            "1(a)", "first k-means step, from 0, that moves no pixel", "", 0
        ),
        "final_counts": _Number("1(a)", "sizes of the 16 clusters", "pixels", 0),
        "mean_pixel_error_uint8_arithmetic": _Number(
            "1(b)", "mean pixel error of k-means, K = 16, uint8 arithmetic", "levels", 1e-9
        ),
        "mean_pixel_error_float": _Number(
            "1(b)", "mean pixel error of k-means, K = 16, float64", "levels", 1e-9
        ),
        "compression_factor": _Number("1(c)", "compression factor of 16 colours", "", 1e-9),
    },
    "gmm": {
        "initial_mu_indices": _Number("1(e)", "pixels where the 5 means start", "", 0),
        "log_likelihood_iteration_0": _Number(
            "1(e)", "log-likelihood at the start, K = 5", "nats", 1e-6, relative=True
        ),
        "log_likelihood_e_step_of_iteration_49": _Number(
            "1(e)", "log-likelihood after 49 EM steps, K = 5", "nats", 1e-6, relative=True
        ),
        "log_likelihood_after_50_steps": _Number(
            "1(e)", "log-likelihood after 50 EM steps, K = 5", "nats", 1e-6, relative=True
        ),
        "pi": _Number("1(e)", "proportions of the mixture", "", 0.005),
        "mu": _Number("1(e)", "means of the mixture", "levels", 0.005),
        "sigma": _Number("1(e)", "covariances of the mixture", "levels²", 0.005),
        "mean_pixel_error_uint8_arithmetic": _Number(
            "1(f)", "mean pixel error of the mixture, K = 5, uint8 arithmetic", "levels", 1e-9
        ),
        "mean_pixel_error_float": _Number(
            "1(f)", "mean pixel error of the mixture, K = 5, float64", "levels", 1e-9
        ),
        "k16_initial_mu_indices": _Number("1(f)", "pixels where the 16 means start", "", 0),
    },
    "pca": {
        "first_10_eigenvalues_ddof1": _Number(
            "3(c)", "first ten eigenvalues, with 1/(N - 1)", "levels²", 1e-8, relative=True
        ),
        "components_95": _Number("3(e)", "components for 95 % of the variance", "", 0),
        "reduction_95": _Number("3(e)", "reduction in dimension at 95 %", "", 1e-8, relative=True),
        "components_99": _Number("3(e)", "components for 99 % of the variance", "", 0),
        "reduction_99": _Number("3(e)", "reduction in dimension at 99 %", "", 1e-8, relative=True),
    },
    "ica": {
        "learning_rates": _Number("4(b)", "learning rates of the 16 passes", "", 0),
        "W": _Number("4(b)", "unmixing matrix W", "", 1e-5),
    },
    "cvae": {
        "layers": _Number("5(c)", "layers of the network", "", 0),
        "plain_loop_test_negative_elbo_nats": _Number(
            "5(c)", "test loss, the nearest of two runs", "nats an image", 1.5, nearest=True
        ),
        "plain_loop_label_fidelity_of_prior_samples": _Number(
            "5(c)", "label fidelity of samples, the nearest of two runs", "", 0.04, nearest=True
        ),
    },
}


class Row(NamedTuple):
    """One reference number beside ours, in words for a reader."""

    problem: str  # as the problem set counts: "1(b)"
    name: str  # as in reference.json: "kmeans.mean_pixel_error_float"
    label: str  # what the number is
    unit: str  # "" if it has none
    reference: str
    ours: str
    difference: str  # the largest, of an array; "" if not compared
    tolerance: str
    verdict: str  # "agrees", "DIFFERS" or why it was not compared


class Comparison(list[Row]):
    """A list of rows that a notebook shows as a table."""

    _HEADINGS = ("problem", "number", "reference", "ours", "difference", "tolerance", "verdict")

    def _lines(self) -> list[tuple[str, ...]]:
        """Return the cells of the table without its head."""
        return [
            (row.problem, f"{row.label} ({row.unit})" if row.unit else row.label, *row[4:])
            for row in self
        ]

    def __repr__(self) -> str:
        lines = [self._HEADINGS, *self._lines()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        lines = [[html.escape(cell) for cell in line] for line in self._lines()]
        body = "".join(f"<tr><td>{'</td><td>'.join(line)}</td></tr>" for line in lines)
        head = f"<tr><th>{'</th><th>'.join(self._HEADINGS)}</th></tr>"
        return {
            "text/plain": repr(self),
            "text/html": f"<table>{head}{body}</table>",
            MIME_TYPE: [list(row) for row in self],
        }


def reference(section: str) -> dict[str, Any]:
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
    if section not in list(_NUMBERS):  # a list, for a section that cannot be hashed
        raise KeyError(f"section must be one of {', '.join(_NUMBERS)}, got {section!r:.80}.")
    path = Path(__file__).resolve().parent / "reference.json"
    return json.loads(path.read_text(encoding="utf-8"))[section]


def compare(
    section: str, ours: Mapping[str, Any], source: str, *, given: bool = True
) -> Comparison:
    """Set our numbers beside the reference.

    Parameters
    ----------
    section : {"kmeans", "gmm", "pca", "ica", "cvae"}
    ours : dict
        Our value, or array of values, for names in that section of the reference. Where the
        reference is a dict (a value for some steps), so is ours. Where it is a list of values from
        runs that differ in their seeds, ours is one value and is held against the nearest.
    source : {"original", "stand-in"}
        The data that ours come from. Only numbers from originals are compared.
    given : bool
        Whether ours come from the problem set's own setting (its K, its picture, its number of
        steps). Numbers from another are shown and not compared.

    Returns
    -------
    Comparison
        A table when shown in a notebook or printed.

    Raises
    ------
    KeyError
        If the reference has no such section, name or step.
    TypeError, ValueError
        If an argument is none of the above, or a value is no number.
    """
    expected = reference(section)
    if not isinstance(ours, Mapping) or not ours:
        raise TypeError(f"ours must be a dict of names and values, got {ours!r:.80}.")
    if not isinstance(source, str) or source not in ("original", "stand-in"):
        raise ValueError(f'source must be "original" or "stand-in", got {source!r:.80}.')
    if not isinstance(given, (bool, np.bool_)):
        raise TypeError(f"given must be True or False, got {given!r:.80}.")
    rows = Comparison()
    for name, value in ours.items():
        if name not in _NUMBERS[section]:
            known = ", ".join(_NUMBERS[section])
            raise KeyError(f"{section} has no number {name!r:.80} to compare; it has {known}.")
        number = _NUMBERS[section][name]
        for key, target, mine in _pairs(f"{section}.{name}", expected[name], value):
            if not given:
                difference, verdict = "", "another setting, not compared"
            elif source == "stand-in":
                difference, verdict = "", "stand-in data, not compared"
            else:
                difference, agrees = _hold(mine, target, number)
                verdict = "agrees" if agrees else "DIFFERS"
            rows.append(
                Row(
                    problem=number.problem,
                    name=f"{section}.{name}[{key}]" if key else f"{section}.{name}",
                    label=number.label.format(key),
                    unit=number.unit,
                    reference=_show(target),
                    ours=_show(mine),
                    difference=difference,
                    tolerance=number.say(number.tolerance) if number.tolerance else "exact",
                    verdict=verdict,
                )
            )
    return rows


def _pairs(name: str, target: Any, value: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (key, target, ours) as arrays, one for each number that deserves a row."""
    if not isinstance(target, dict):
        yield "", np.array(target), _array(name, value, text=np.array(target).dtype.kind == "U")
        return
    if not isinstance(value, Mapping) or set(value) != set(target):
        wanted = ", ".join(map(repr, target))
        raise KeyError(f"{name} takes a dict of values for {wanted}, got {value!r:.80}.")
    for key, number in target.items():
        yield key, np.array(number), _array(f"{name}[{key}]", value[key])


def _array(name: str, value: ArrayLike, text: bool = False) -> np.ndarray:
    """Return our value as an array of real numbers, or of text."""
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be read as an array: {error}") from error
    if array.dtype.kind not in ("U" if text else "uif"):
        kind = "text" if text else "real numbers"
        raise TypeError(f"{name} must hold {kind}, got {value!r:.80}.")
    return array


def _hold(mine: np.ndarray, target: np.ndarray, number: _Number) -> tuple[str, bool]:
    """Return the largest difference in words, and whether it is within the tolerance."""
    if number.nearest and mine.ndim == 0:
        target = target[np.abs(target - mine).argmin()]
    if mine.shape != target.shape:
        return f"shape {mine.shape}, not {target.shape}", False
    if target.dtype.kind == "U":
        count = np.count_nonzero(mine != target)
        return f"{count} of {target.size} differ", count == 0
    differences = np.abs(mine.astype(float) - target)
    if number.relative:
        differences /= np.abs(target)
    largest = differences.max()
    return number.say(largest), bool(largest <= number.tolerance)


def _show(values: np.ndarray) -> str:
    """Show up to three values, or the first and the last of more."""
    flat = [x if isinstance(x, (int, str)) else f"{x:.10g}" for x in values.ravel().tolist()]
    if len(flat) <= 3:
        return ", ".join(map(str, flat))
    size = " x ".join(map(str, values.shape)) + (" values" if values.ndim == 1 else "")
    return f"{flat[0]} ... {flat[-1]} ({size})"
