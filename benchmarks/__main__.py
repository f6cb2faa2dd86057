"""Run the comparisons, print them as one Markdown table, and write `benchmarks/results/`."""

import argparse
import contextlib
import os
import platform
import sys
import warnings
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = ("memory", "first", "kmeans", "gmm", "gda", "pca", "ica", "grid", "growth", "cvae")
MEMORY_LIMIT = 1024  # MiB
HEAD = ["work", "ours", "opponent", "ratio", "textbook", "without numba", "fastest runs"]
HEAD += ["apart", "aim", "met"]


def compare(case):
    """Return the row of a case: all its runs take turns, and medians count."""
    from benchmarks.timing import medians, readable, take_turns

    times, answers = take_turns(case.runs, case.repeats, warm_up=case.warm_up, pause=0.1)
    if case.timed_inside:
        times = answers
    seconds = medians(times)
    ours = seconds["ours"]
    opponents = seconds.keys() - {"ours", "textbook", "without numba"}
    best = min(opponents, key=seconds.get, default="textbook")
    apart, met = case.judge(answers["ours"], answers[best])
    ratio, aim = seconds[best] / ours, f"{case.aim:g}x"
    plain = numbaless = ""
    if "textbook" in seconds:
        plain = f"{readable(seconds['textbook'])}, {seconds['textbook'] / ours:.2f}x"
    if "without numba" in seconds:
        ratio_without = seconds[best] / seconds["without numba"]
        numbaless = f"{ratio_without:.2f}x"
        met = met and ratio_without >= case.aim_without_numba
    if case.aim_without_numba:
        aim += f", {case.aim_without_numba:g}x without"
    return [
        case.work, readable(ours), f"{readable(seconds[best])} ({best})", f"{ratio:.2f}x", plain,
        numbaless, f"{min(times[best]) / min(times['ours']):.2f}x", apart, aim,
        yes(met and ratio >= case.aim),
    ]  # fmt: skip


def compare_grid(name):
    """Return the row of a module's grid, and its worst cells in words."""
    import numpy as np

    from benchmarks import grid
    from benchmarks.timing import readable

    cells = grid.measure(name)
    slow = sum(grid.excess(ours, theirs) > 1 for _, ours, theirs in cells)
    ratio = np.median([theirs / ours for _, ours, theirs in cells])
    worst = sorted(cells, key=lambda cell: grid.excess(*cell[1:]), reverse=True)[:5]
    words = "; ".join(
        f"{' x '.join(map(str, size))}: {readable(ours)} against {readable(theirs)}"
        for size, ours, theirs in worst
    )
    work = f"{name}: {len(cells)} sizes, {slow} slower than the textbook"
    limit = "none above 1.2 x textbook + 0.3 ms"
    row = [work, "", "", f"{ratio:.2f}x", "", "", "", "", limit, yes(slow == 0)]
    return row, f"Nearest to the limit, or furthest above it, of {name}: {words}."


def compare_memory(name):
    """Return the row of a clustering's peak memory."""
    from benchmarks import memory

    mib = memory.measure(name)
    work = f"train_{name}: {memory.N} x 3, K = {memory.K}, peak memory above the input"
    limit = f"below {MEMORY_LIMIT} MiB"
    return [work, f"{mib:.0f} MiB", "", "", "", "", "", "", limit, yes(mib < MEMORY_LIMIT)]


def yes(met):
    return "yes" if met else "**no**"


def markdown(row):
    return f"| {' | '.join(row)} |"


def machine(num_threads):
    """Return the kind of machine and the versions, in words."""
    versions = []
    for name in ("numpy", "scikit-learn", "scikit-learn-intelex", "numba", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    return (
        f"{model}, {os.cpu_count()} cores, threads used: {num_threads}, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}. "
        f"Load average at the start: {load}."
    )


def rows(names):
    """Yield each row of the table, with what is to be said below it or None."""
    if "memory" in names:  # first, while this process is small
        for name in ("kmeans", "gmm"):
            yield compare_memory(name), None
    for name in names:
        if name == "grid":
            from benchmarks import grid

            for module in grid.GRIDS:
                yield compare_grid(module)
        elif name not in ("memory", "growth"):
            from benchmarks import cases

            with contextlib.redirect_stdout(sys.stderr):  # the loaders say where data is missing
                todo = list(cases.CASES[name]())
            for case in todo:
                yield compare(case), None


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--threads", type=int, default=2, help="of BLAS, OpenMP and our own")
    options = parser.parse_args()
    wanted, num_threads = options.names, options.threads
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    names = [name for name in NAMES if name in wanted or not wanted]
    for library in ("OMP", "OPENBLAS", "MKL"):  # read when NumPy and PyTorch are imported
        os.environ[f"{library}_NUM_THREADS"] = str(num_threads)
    warnings.simplefilter("ignore")  # tol=0 never converges, one pass of ICA neither

    table, notes = [machine(num_threads), "", markdown(HEAD), markdown(["---"] * len(HEAD))], []
    print("\n".join(table), flush=True)
    for row, note in rows(names):
        table.append(markdown(row))
        print(table[-1], flush=True)
        notes += ["", note] if note else []
        save(table + notes, wanted, num_threads)
    if "growth" in names:
        from benchmarks import growth

        curves = growth.measure()
        growth.plot(curves, RESULTS / "growth.png")
        notes += ["", growth.table(curves)]
        save(table + notes, wanted, num_threads)
    print("\n".join(notes))


def save(lines, wanted, num_threads):
    if not wanted:  # part of a table is no result
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"table-threads-{num_threads}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
