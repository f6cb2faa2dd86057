"""Where cases and their answers come from: the textbook. A starter kit has `visible.py` instead."""

import contextlib
import functools
import threading

import numpy as np

from course.cases import make_cases
from course.judging import Baseline
from course.mistakes import MISTAKES, SAYS, edited
from course.sandbox import ROOT, unpacked


class Textbook:
    """The cases of every seed; an answer is worked out once, for a whole class."""

    says = SAYS

    def __init__(self):
        self.cases = functools.cache(make_cases)
        self._answers, self._lock = {}, threading.Lock()  # many submissions share them

    def right(self, case):
        """Return the right answer, or None for a case that has none."""
        if case.right is None:
            return None
        return self._answer(case, (), None)

    def known(self, case):
        """Yield the mistakes that can be made in a case: a name, and the answers that it gives."""
        for mistake in MISTAKES:
            if case.part in mistake.parts and mistake.file == case.calls[-1].file:
                yield mistake.name, self._mistaken(case, mistake)

    def baseline(self, case):
        """Return what a speed case is timed against: the textbook, on the same points."""
        call = case.calls[0]
        return Baseline(_textbook(), call._replace(functions=call.functions[-1:]), 1.0)

    def _mistaken(self, case, mistake):
        for amount in mistake.amounts if mistake.edits else ():
            answer = self._answer(case, mistake.edits, amount)
            if answer is not None:
                yield answer

    def _answer(self, case, edits, amount):
        key = (id(case), edits, amount)
        with self._lock:
            if key not in self._answers:
                answer = _worked_out(case, edits, amount)
                self._answers[key] = case, answer  # the case with it, so that its id stays its own
            return self._answers[key][1]


def _worked_out(case, edits, amount):
    file = case.calls[-1].file
    books = {file: edited(file, edits, amount)}
    try:
        with np.errstate(all="ignore"):
            return case.right(books.__getitem__)
    except (ArithmeticError, IndexError, ValueError):
        if not edits:
            raise
        return None  # the mistake ends in an exception here


@functools.cache
def _textbook():
    stack = contextlib.ExitStack()  # lives as long as the process
    _textbook.stack = stack
    return stack.enter_context(unpacked(ROOT / "textbook"))
