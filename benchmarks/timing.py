"""The one way to time: runs take turns, their first turn does not count."""

import time

import numpy as np

ENOUGH = 10  # seconds of one run, after which it sits out the other turns


def take_turns(runs, repeats, enough=ENOUGH, warm_up=True, pause=0.0):
    """Call each of the runs in turn, again and again.

    Parameters
    ----------
    runs : dict of str to callable
    repeats : int
        How often each is timed, unless it has used up `enough` seconds before.
    enough : float
        A run whose first turn takes as long is not called again, and that turn counts.
    warm_up : bool
        Whether the first turn is left out of the times.
    pause : float
        Seconds before each call, in which the BLAS threads of another library, which wait for more
        work in a busy loop, go to sleep.

    Returns
    -------
    times, answers : dict of str to list
        Seconds, and what the timed calls returned.
    """
    times, answers = {name: [] for name in runs}, {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    for turn in range(repeats + warm_up):
        for name, run in runs.items():
            if spent[name] > enough:
                continue
            time.sleep(pause)
            start = time.perf_counter()
            answer = run()
            seconds = time.perf_counter() - start
            spent[name] += seconds
            if turn > 0 or not warm_up or seconds > enough:
                times[name].append(seconds)
                answers[name].append(answer)
    return times, answers


def medians(times):
    """Return the median of each list of times."""
    return {name: float(np.median(values)) for name, values in times.items()}


def readable(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
