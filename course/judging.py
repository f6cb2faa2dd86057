"""What a case is, its points and codes, and how numbers are judged."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course.sandbox import Limits, Odd

POINTS = {"1a": 6, "1d": 10, "3b": 4, "4a": 6, "5c": 12}  # marked here
MANUAL = {  # marked by a reader
    "1b": 3, "1c": 1, "1e": 3, "1f": 2, "2a": 3, "2b": 2, "2c": 6, "2d": 6, "2e": 3, "3a": 8,
    "3c": 3, "3d": 3, "3e": 2, "4b": 4, "5a": 5, "5b": 8,
}  # fmt: skip
CODES = {
    0: "right",
    2: "an exception",
    3: "the grader's own fault; it costs you nothing",
    40: "not implemented",
    51: "wrong dtype",
    52: "wrong shape",
    53: "wrong values",
    54: "off by a rounding",
    55: "an input was changed",
    60: "not good or not fast enough",
    61: "NaN or infinity",
    62: "wrong likelihood",
    70: "out of time",
    71: "out of memory",
    72: "the process died",
    73: "file or function missing",
}
CLOSE = 1e-4  # of the largest number of an array: float32 will do


class Call(NamedTuple):
    """One call of a function of the submission.

    `arguments` are values, or a function that makes them of the results so far. `fresh` asks for a
    new process first.
    """

    file: str
    functions: tuple  # accepted names; the last is the textbook's
    arguments: list | Callable
    options: dict = {}  # noqa: RUF012 (never changed)
    limits: Limits = Limits()
    fresh: bool = False


class Verdict(NamedTuple):
    """How an answer is judged: one of `CODES`, what explains it, the mistake if it is known."""

    code: int
    detail: str = ""
    mistake: str | None = None


class Case(NamedTuple):
    """Something that is asked."""

    part: str
    name: str
    points: float
    calls: list  # of Call
    judge: Callable  # (results, right answer) -> Verdict
    right: Callable | None = None  # textbook module by name -> right answer; none in a kit
    again: Callable | None = None  # timed against the textbook: see `another_clustering`
    untouched: bool = False  # whether the arguments must come back as they were
    num_components: int | None = None  # how many are judged, in 3b; all if None
    key: str = ""  # "1a.3" is the third case of 1(a)

    @property
    def speed(self):
        """Whether the call is timed."""
        return self.again is not None


class Baseline(NamedTuple):
    """What the time of a speed case is measured against."""

    folder: Path  # of the file that is called
    call: Call
    factor: float  # its time times this is what the textbook takes


# Judges


def same(answer, right, close=CLOSE, names=()):
    """Judge numbers: a tuple part by part, by these names; arrays by dtype, shape, NaN, values."""
    if isinstance(right, tuple):
        if not isinstance(answer, tuple) or len(answer) != len(right):
            return Verdict(52, f"{described(answer)} came, and {len(right)} arrays were expected.")
        for number, (a, r) in enumerate(zip(answer, right, strict=True)):
            verdict = same(a, r, close)
            if verdict.code:
                name = names[number] if names else f"array {number + 1}"
                return verdict._replace(detail=f"{name}: {verdict.detail}")
        return Verdict(0)
    right, array = np.asarray(right), as_array(answer)
    if array is None:
        return Verdict(52, f"{described(answer)} came, and an array {right.shape} was expected.")
    wanted = "u" if right.dtype == np.uint8 else "fiu"
    if array.dtype.kind not in wanted or (wanted == "u" and array.dtype != np.uint8):
        detail = f"dtype {array.dtype} came, and {right.dtype} was expected."
        mistake = "complex-results" if array.dtype.kind == "c" else None
        return Verdict(51, detail, mistake)
    if array.shape != right.shape:
        return Verdict(52, f"shape {array.shape} came, and {right.shape} was expected.")
    if not np.isfinite(array).all():
        return Verdict(61, first_differences(array, right, ~np.isfinite(array)))
    difference, largest = np.abs(array.astype(np.float64) - right), max(np.abs(right).max(), 1e-12)
    allowed, near = (0, 1) if wanted == "u" else (close * largest, 30 * CLOSE * largest)
    if difference.max() <= allowed:
        return Verdict(0)
    return Verdict(
        54 if difference.max() <= near else 53,
        first_differences(array, right, difference > allowed),
    )


def as_array(answer):
    """Return the answer as an array of numbers, or None."""
    if isinstance(answer, tuple):
        try:
            answer = np.array(answer)
        except ValueError:
            return None
    if isinstance(answer, (int, float)):
        answer = np.array(answer, dtype=np.float64)
    numbers = isinstance(answer, np.ndarray) and answer.dtype.kind in "buifc"
    return answer if numbers else None


def described(answer):
    if isinstance(answer, tuple):
        return f"a tuple of {len(answer)}"
    if isinstance(answer, Odd):
        return f"a value of type {answer.kind}"
    return f"an array {answer.shape}" if isinstance(answer, np.ndarray) else repr(answer)


def first_differences(array, right, where):
    """Return in words the first entries that differ."""
    if array.ndim == 0:
        return f"{array:.10g} came, {right:.10g} is right."
    places = np.argwhere(where)  # (differences, axes)

    def line(place):
        return f"at {place.tolist()}: {array[*place]:.10g} came, {right[*place]:.10g} is right"

    lines = [line(place) for place in places[:3]]
    if len(places) > 3:
        size = np.where(where, np.abs(array - right.astype(np.float64)), -1)
        worst = np.unravel_index(np.argmax(np.nan_to_num(size, nan=np.inf)), size.shape)
        lines.append(f"{len(places) - 3} more; the largest difference {line(np.array(worst))}")
    return "; ".join(lines) + f" (of {array.size})."


def judge_numbers(results, right, close=CLOSE, names=()):
    return same(results[-1], right, close, names)


def judge_components(results, right, num_components=None):
    """Judge (U, eigenvalues): either sign of a vector, 1/N or 1/(N - 1)."""
    answer, (U, eigenvalues, N) = results[-1], right
    if not isinstance(answer, tuple) or len(answer) != 2:
        return Verdict(52, f"{described(answer)} came, and U and the eigenvalues were expected.")
    ours, values = map(as_array, answer)
    if ours is None or values is None:
        return Verdict(52, "U and the eigenvalues must be arrays.")
    shapes = Verdict(
        52, f"shapes {ours.shape} and {values.shape} came, {U.shape} and {eigenvalues.shape} were "
        "expected: one component a column."
    )  # fmt: skip
    if ours.ndim != 2 or values.ndim != 1:
        return shapes
    if num_components is None and (ours.shape, values.shape) != (U.shape, eigenvalues.shape):
        return shapes
    if len(ours) != len(U) or ours.shape[1] < (num_components or 1):
        return shapes
    K = num_components or len(eigenvalues)
    ours, values, U, eigenvalues = ours[:, :K], values[:K], U[:, :K], eigenvalues[:K]
    if values.shape != eigenvalues.shape:
        return shapes
    with np.errstate(all="ignore"):
        nearest = min(
            (eigenvalues, eigenvalues * (N - 1) / N),
            key=lambda scaled: np.abs(values / scaled - 1).min(),
        )
    verdict = same(values, nearest, CLOSE)
    if verdict.code:
        return verdict._replace(detail=f"eigenvalues: {verdict.detail}")
    if ours.dtype.kind == "c":
        return same(ours, U, CLOSE)
    signs = np.where(np.sum(ours * U, axis=0) < 0, -1.0, 1.0)  # (K,)
    verdict = same(ours * signs, U, 1e-3)
    return verdict._replace(detail=f"U: {verdict.detail}") if verdict.code else verdict


# Problems of the same kind, for a call that is timed more than once


def another_clustering(arguments, rng):
    """Return the same points and start, shifted, stretched and shuffled, and how to map back.

    No answer to one such problem can be told from having seen another, short of solving it.
    """
    points, start = arguments
    scale, shift = rng.uniform(0.5, 2), 3 * rng.normal(size=points.shape[1])  # (d,)
    order = rng.permutation(len(start))

    def back(answer):
        array = as_array(answer)
        if array is None or array.shape != start.shape:
            return answer
        return ((array - shift) / scale)[np.argsort(order)]

    return [rng.permutation(points) * scale + shift, start[order] * scale + shift], back


def another_mixture(arguments, rng):
    """Do the same with points and a mixture to start from."""
    points, pi, *rest = arguments
    scale, shift = rng.uniform(0.5, 2), 3 * rng.normal(size=points.shape[1])  # (d,)
    order = rng.permutation(len(pi))
    mu, sigma = (part[order] for part in rest)

    def back(answer):
        parts = [as_array(part) for part in answer] if isinstance(answer, tuple) else []
        if [getattr(part, "shape", None) for part in parts] != [pi.shape, mu.shape, sigma.shape]:
            return answer
        state = parts[0], (parts[1] - shift) / scale, parts[2] / scale**2
        return tuple(part[np.argsort(order)] for part in state)

    asked = [rng.permutation(points) * scale + shift, pi[order]]
    return [*asked, mu * scale + shift, sigma * scale**2], back


# Making cases


def unit_rng(seed, *words):
    """Return a generator of its own for each case."""
    return np.random.default_rng([seed, *b" ".join(str(word).encode() for word in words)])


def textbook_answer(file, function, arguments, options):
    """Return the function that asks a textbook, plain or edited, the same."""

    def right(module):
        book = module(file)

        def value(argument):
            if isinstance(argument, tuple) and argument[0] == "state":
                return book.GMMState(*argument[1])
            if isinstance(argument, tuple):
                import torch

                return torch.from_numpy(argument[1])
            return argument

        answer = getattr(book, function)(*map(value, arguments), **options)
        if hasattr(answer, "detach"):
            answer = answer.detach().numpy()
        return tuple(answer) if isinstance(answer, tuple) else answer

    return right


def numbers(part, name, points, file, functions, arguments, options=None, **rest):
    """Return a case whose right answer is the textbook's."""
    options = options or {}
    limits = rest.pop("limits", Limits())
    judge = rest.pop("judge", judge_numbers)
    right = textbook_answer(file, functions[-1], arguments, options)
    return Case(
        part,
        name,
        points,
        [Call(file, functions, arguments, options, limits)],
        judge,
        right,
        **rest,
    )
