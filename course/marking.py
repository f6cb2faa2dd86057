"""One submission to marks: its functions run in the sandbox, then the answers are judged.

The order is the point: all calls of a file are made and their process is killed before the first
right answer is worked out, so no code of the submission runs while there is one to be found.
"""

import contextlib
import functools
import math
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from course import visible
from course.judging import CODES, POINTS, Case, Verdict
from course.recognise import can_recognise, recognise
from course.sandbox import Limits, Reply, Sandbox, SubmissionError, unpacked

CODE_OF = {
    "exception": 2, "not implemented": 40, "missing": 73, "time": 70, "memory": 71, "died": 72,
}  # fmt: skip
FULL_SPEED, NO_SPEED = (
    4.0,
    12.0,
)  # times the textbook's time: all points up to here, none from there
IN_WORDS = {  # what `child.py` does beyond one call of a function
    "model.fit": "cvae.CVAE is trained with its forward and your loss_function",
    "model.seeded": "cvae.CVAE.forward(images, labels), many times, with known mu and logvar",
}
MAX_PAIRS = 7  # of timings; the best counts
MAX_TIMEOUTS = 2  # of one function; its other cases are not tried then
_timing = threading.Lock()  # one timing case at a time


class Mark(NamedTuple):
    """A case with its verdict: score is of `case.points`, ratio the time over the textbook's."""

    case: Case
    verdict: Verdict
    score: float
    ratio: float | None = None


@functools.cache
def answers():
    """Return where the cases and their answers come from: in a starter kit, a file."""
    if visible.FILE.exists():
        return visible.Stored()
    from course.answers import Textbook

    return Textbook()


def mark(submission, seed, level, only=tuple(POINTS), jobs=2):
    """Return a `Mark` for each case that is asked for.

    Parameters
    ----------
    submission : path
        A folder or zip.
    seed : int
        Of the cases.
    level : str
        Of isolation, see `sandbox`.
    only : sequence of str
        Parts ("1a") or cases ("1a.3").
    jobs : int
        Files that are run at the same time; timing cases run alone.
    """
    cases = [case for case in answers().cases(seed) if case.part in only or case.key in only]
    try:
        with unpacked(submission) as folder:
            return _mark_folder(folder, cases, level, jobs)
    except SubmissionError as error:
        return [Mark(case, Verdict(73, str(error)), 0.0) for case in cases]


def _mark_folder(folder, cases, level, jobs):
    groups = {}
    for case in cases:
        if not case.speed:
            groups.setdefault(case.calls[0].file, []).append(case)
    longest_first = sorted(groups.values(), key=lambda group: group[0].part, reverse=True)
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda group: _mark_group(folder, group, level), longest_first)
        marks = {id(mark.case): mark for group in done for mark in group}
    for case in cases:
        if case.speed:
            with _timing:
                marks[id(case)] = _guarded(case, _time, folder, case, level)
    return [marks[id(case)] for case in cases]


def _mark_group(folder, cases, level):
    """Run the cases of one file, end its process, then judge them."""
    replies, timeouts, sandbox = [], {}, None
    try:
        for case in cases:
            function = case.calls[-1].functions
            if timeouts.get(function, 0) >= MAX_TIMEOUTS:
                why = f"not tried: {function[0]} ran out of time {MAX_TIMEOUTS} times."
                replies.append([Reply("time", why)])
                continue
            try:
                sandbox, answers = _run(folder, case, level, sandbox)
            except Exception as error:  # no process, no disk
                answers = error
            replies.append(answers)
            if isinstance(answers, list) and answers[-1].status == "time":
                timeouts[function] = timeouts.get(function, 0) + 1
    finally:
        if sandbox is not None:
            sandbox.close()
    return [_guarded(case, _judge, case, r) for case, r in zip(cases, replies, strict=True)]


def _run(folder, case, level, sandbox):
    """Make the calls of a case; return the sandbox and the replies, up to the first that fails."""
    replies = []
    for call in case.calls:
        if sandbox is None or sandbox.closed or call.fresh:
            if sandbox is not None:
                sandbox.close()
            sandbox = Sandbox(folder, level)
        arguments = call.arguments
        if callable(arguments):
            try:
                arguments = arguments([reply.result for reply in replies])
            except (TypeError, ValueError, IndexError, AttributeError):
                replies.append(Reply("exception", "what came before could not be used."))
                break
        replies.append(
            sandbox.call(call.file, call.functions, arguments, call.options, call.limits)
        )
        if replies[-1].status != "answer":
            break
    return sandbox, replies


def _guarded(case, function, *arguments):
    """Return the mark; where the grader itself fails, one that costs the student nothing."""
    try:
        return function(*arguments)
    except Exception:
        return Mark(case, Verdict(3, traceback.format_exc()[-2000:]), case.points)


def _judge(case, replies):
    if isinstance(replies, Exception):
        raise replies
    if replies[-1].status != "answer":
        return Mark(case, _without_answer(case, replies[-1]), 0.0)
    results = [reply.result for reply in replies]
    right = answers().right(case)
    verdict = _judge_arguments(case, replies[-1]) if case.untouched else Verdict(0)
    if verdict.code == 0:
        verdict = _compared(case, results, right)
    if can_recognise(case) and verdict.mistake is None:
        with contextlib.suppress(Exception):  # a strange answer has no name
            verdict = _with_mistake(case, verdict, results, right)
    return Mark(case, verdict, case.points if verdict.code == 0 else 0.0)


def _compared(case, results, right):
    """Return the verdict; an answer so strange that it cannot be judged is wrong."""
    try:
        return case.judge(results, right)
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        return Verdict(52, f"the answer cannot be compared with the right one: {error}")


def _with_mistake(case, verdict, results, right):
    """Add the known mistake. A right answer may hide one that is smaller than the tolerance."""
    name = recognise(case, results, right, answers().known(case), verdict.code != 0)
    if name is None:
        return verdict
    detail = verdict.detail or "the values are near, but those of a known mistake are nearer."
    return verdict._replace(code=verdict.code or 53, detail=detail, mistake=name)


def _without_answer(case, reply):
    file, function = case.calls[0].file, case.calls[-1].functions[0]
    detail = reply.detail
    if reply.status == "missing":
        detail = (
            f"{detail} was not found" + ("" if detail.endswith(".py") else f" in {file}.py") + "."
        )
    return Verdict(CODE_OF[reply.status], detail or f"{function} is not implemented.")


def _judge_arguments(case, reply):
    for number, (before, after) in enumerate(
        zip(case.calls[-1].arguments, reply.arguments, strict=False)
    ):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after):
            detail = f"argument {number + 1} was changed by the call."
            return Verdict(55, detail, "input-changed")
    return Verdict(0)


def _time(folder, case, level):
    """Time the submission and the baseline in turn; the best ratio counts if all answers are right.

    Each pair asks another problem of the same kind, so that no answer can be remembered, and what
    the submission started stands still while the baseline runs.
    """
    call, best, results = case.calls[0], math.inf, []
    rng = np.random.default_rng()  # unknown to the submission; no mark depends on it
    base = answers().baseline(case)
    with Sandbox(base.folder, level) as usual, Sandbox(folder, level) as own:
        theirs = _timed(usual, base.call)  # the first call is slower
        limits = Limits(max(2.0, NO_SPEED * base.factor * theirs))
        for _ in range(MAX_PAIRS):
            arguments, back = case.again(call.arguments, rng)
            reply = own.call(call.file, call.functions, arguments, call.options, limits)
            if reply.status != "answer":
                break
            results.append(back(reply.result))
            with own.paused():
                best = min(best, reply.seconds / (base.factor * _timed(usual, base.call)))
            if best <= FULL_SPEED:
                break
    for result in results:
        verdict = _compared(case, [result], answers().right(case))
        if verdict.code:
            return Mark(case, verdict, 0.0, best)
    if reply.status == "time" and best == math.inf:
        return Mark(case, Verdict(60, f"{reply.detail} {_says_speed(NO_SPEED)}"), 0.0)
    if reply.status not in ("answer", "time"):
        return Mark(case, _without_answer(case, reply), 0.0)
    credit = math.log(NO_SPEED / best) / math.log(NO_SPEED / FULL_SPEED)
    credit = round(min(1.0, max(0.0, credit)), 2)
    verdict = Verdict(0 if credit == 1 else 60, _says_speed(best))
    return Mark(case, verdict, credit * case.points, best)


def _timed(sandbox, call):
    reply = sandbox.call(call.file, call.functions, call.arguments, call.options)
    if reply.status != "answer":
        raise RuntimeError(f"the baseline was not timed: {reply.status}, {reply.detail}")
    return reply.seconds


def _says_speed(ratio):
    return (
        f"It took {ratio:.2g} times as long as the model solution (the best of several runs). All "
        f"points up to {FULL_SPEED:g} times, none from {NO_SPEED:g} times."
    )


def told(mark, command):
    """Return what the student is told, in plain text.

    Parameters
    ----------
    mark : Mark
    command : str
        Repeats this case.
    """
    case, verdict = mark.case, mark.verdict
    lines = [f"Asked, {case.key}: {case.name}", f"  {_call_in_words(case)}"]
    lines.append(f"Result: {CODES[verdict.code]}.")
    if verdict.detail:
        lines.append(verdict.detail.strip())
    if verdict.mistake:
        lines.append(f"A known mistake: {answers().says[case.part, verdict.mistake]}")
    if verdict.code:
        lines.append(f"To repeat it: {command}")
    return "\n".join(lines)


def _call_in_words(case):
    call = case.calls[min(1, len(case.calls) - 1)]  # in 5c the first makes the model
    arguments = [] if callable(call.arguments) else call.arguments
    words = [_in_words(argument) for argument in arguments]
    words += [f"{key}={value}" for key, value in call.options.items()]
    if call.functions[0] in IN_WORDS:
        return IN_WORDS[call.functions[0]]
    return f"{call.file}.{call.functions[0].replace('model.', 'CVAE.')}({', '.join(words)})"


def _in_words(argument):
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype} {argument.shape}"
    if isinstance(argument, tuple):
        kind, value = argument
        return f"tensor {value.shape}" if kind == "tensor" else "GMMState(pi, mu, sigma)"
    return repr(argument)
