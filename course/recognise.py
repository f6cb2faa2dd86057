"""Tell which known mistake gives an answer.

A wrong answer is compared with the answers of known mistakes, to nine digits. A mistake that no
answer shows (a start from points of one's own, an amount that is not known) has a test of its own.
"""

import warnings

import numpy as np

from course.judging import as_array

AGREES = 1e-9  # of the largest number: nine digits are no accident


def can_recognise(case):
    """Tell whether the answer to a case shows a mistake, and is small enough to look for it."""
    if case.part == "5c":
        return "loss_function" in case.calls[-1].functions
    arrays = [a for a in case.calls[-1].arguments if isinstance(a, np.ndarray)]
    return sum(array.size for array in arrays) <= 50_000


def recognise(case, results, right, known, wrong):
    """Return the name of the known mistake that gives this answer, or None.

    Parameters
    ----------
    case : course.judging.Case
        With a right answer from the textbook.
    results : list
        What the submission's calls gave.
    right : object
        The textbook's answer.
    known : iterable of (str, iterable)
        The mistakes that can be made here: a name, and the answers that it gives.
    wrong : bool
        Whether the answer was judged wrong. If not, it is near, and only a known answer that agrees
        to nine digits shows that it is another number by right.
    """
    answer = results[-1]
    if _alike(case, answer, right) or (not wrong and _is_single(answer)):
        return None
    for name, others in known:
        if any(_alike(case, answer, other) for other in others):
            return name
        if wrong and name in _TESTS and _TESTS[name](case, answer, right):
            return name
    return None


def _alike(case, answer, other):
    """Tell whether two answers are the same to nine digits, NaN included."""
    if case.part == "3b":
        return _same_components(case, answer, other)
    if isinstance(other, tuple):
        return (
            isinstance(answer, tuple)
            and len(answer) == len(other)
            and all(_close(a, b) for a, b in zip(answer, other, strict=True))
        )
    return _close(answer, other)


def _same_components(case, answer, other):
    """Compare (U, eigenvalues), whatever the signs, and the scale of 1/N against 1/(N - 1)."""
    U, values = map(as_array, answer[:2]) if _is_pair(answer) else (None, None)
    V, others, N = other
    if U is None or values is None or U.shape != V.shape or values.ndim != 1:
        return False
    K = case.num_components or len(others)
    ratio = (N - 1) / N
    return _close(np.abs(U[:, :K]), np.abs(V[:, :K]), 1e-5) and any(
        _close(values[:K], others[:K] * scale) for scale in (1, ratio, ratio**0.5)
    )


def _is_single(answer):
    """Whether float32 is in the answer, which has no nine digits to tell two numbers apart."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    return any(isinstance(part, np.ndarray) and part.dtype == np.float32 for part in parts)


def _is_pair(answer):
    return isinstance(answer, tuple) and len(answer) >= 2


def _close(a, b, close=AGREES):
    a, b = as_array(a), np.asarray(b)
    if a is None or a.shape != b.shape or a.dtype.kind == "c":
        return False
    if b.dtype == np.uint8 or not b.size:
        return np.array_equal(a, b)
    if np.float32 in (a.dtype, b.dtype):
        close = max(close, 3e-6)
    size = np.abs(b[np.isfinite(b)]).max(initial=0)
    return np.allclose(a, b, rtol=0, atol=close * size, equal_nan=True)


# Mistakes that no line shows


def _own_start(case, answer, right):
    """Centroids of the right shape, each the mean of the points nearest to it."""
    from sklearn.cluster import KMeans

    data, array = case.calls[-1].arguments[0], as_array(answer)
    if "train_kmeans" not in case.calls[-1].functions or array is None:
        return False
    if array.shape != right.shape or not np.isfinite(array).all() or array.dtype.kind == "c":
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step is not enough to converge
        moved = KMeans(len(array), init=array, n_init=1, max_iter=1).fit(data).cluster_centers_
    return np.abs(moved - array).max() < 1e-3 * np.abs(array).max()


def _returns_labels(case, answer, right):
    array, data = as_array(answer), case.calls[-1].arguments[0]
    return array is not None and array.ndim == 1 and len(array) == len(data)


def _added_to_diagonal(case, answer, right):
    """After one step the covariances differ by a multiple of the identity."""
    if case.calls[-1].options.get("num_iterations") != 1 or not isinstance(answer, tuple):
        return False
    sigma = as_array(answer[-1])
    if sigma is None or sigma.shape != right[-1].shape:
        return False
    difference = sigma - right[-1]  # (K, d, d)
    amount = difference[0, 0, 0]
    return amount > 1e-9 and np.allclose(
        difference, amount * np.eye(sigma.shape[1]), atol=1e-3 * amount
    )


def _not_sorted(case, answer, right):
    """The right pairs in another order."""
    if not _is_pair(answer) or as_array(answer[1]) is None or as_array(answer[1]).ndim != 1:
        return False
    U, values = map(as_array, answer[:2])
    if U is None or U.ndim != 2 or U.shape[1] != len(values):
        return False
    order = np.argsort(-values)
    return _same_components(case, (U[:, order], values[order]), right)


def _values_turned_alone(case, answer, right):
    """Descending values beside ascending components."""
    if not _is_pair(answer) or as_array(answer[0]) is None or as_array(answer[0]).ndim != 2:
        return False
    return _same_components(case, (as_array(answer[0])[:, ::-1], answer[1]), right)


def _not_of_unit_length(case, answer, right):
    """Columns in the right directions, of other lengths."""
    if not _is_pair(answer):
        return False
    U, V = as_array(answer[0]), right[0]
    if U is None or U.shape != V.shape or U.dtype.kind == "c" or not np.isfinite(U).all():
        return False
    norms = np.linalg.norm(U, axis=0)
    if norms.min() < 1e-9 or np.abs(norms - 1).max() < 1e-3:
        return False
    return np.allclose(np.abs(np.sum(U / norms * V, axis=0)), 1, atol=1e-4)


def _complex(case, answer, right):
    parts = answer if isinstance(answer, tuple) else (answer,)
    return any(isinstance(a, np.ndarray) and a.dtype.kind == "c" for a in parts)


_TESTS = {
    "own-start": _own_start,
    "added-to-diagonal": _added_to_diagonal,
    "returns-labels": _returns_labels,
    "not-sorted": _not_sorted,
    "values-turned-alone": _values_turned_alone,
    "not-of-unit-length": _not_of_unit_length,
    "complex-results": _complex,
}
