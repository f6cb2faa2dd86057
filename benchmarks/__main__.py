"""Run the comparisons, print them as one Markdown table, and write `benchmarks/results/`."""

import argparse
import contextlib
import os
import platform
import sys
import time
import warnings
from pathlib import Path

from benchmarks import memory

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = ("memory", "kmeans", "gmm", "pca", "ica", "growth", "cvae")
MEMORY_LIMIT = 1024  # MiB
HEAD = ["work", "ours", "opponent", "ratio", "without numba", "fastest runs", "apart", "aim", "met"]


def compare(case, without_numba):
    """Return a row of the table: after one warm-up each, all take turns, and medians count."""
    import numpy as np

    def ours_without_numba():
        with without_numba():
            return case.ours()

    runs = {"ours": case.ours, **case.opponents}
    if case.uses_numba:
        runs["without numba"] = ours_without_numba
    times = {name: [] for name in runs}
    for turn in range(case.repeats + 1):
        answers = {}
        for name, run in runs.items():
            start = time.perf_counter()
            answers[name] = run()
            if turn > 0:
                times[name].append(time.perf_counter() - start)
    median = {name: float(np.median(values)) for name, values in times.items()}
    best = min(case.opponents, key=median.get)
    ratio = median[best] / median["ours"]
    fastest = f"{min(times[best]) / min(times['ours']):.2f}x"
    met, second, aim = ratio >= case.aim, "no numba in it", f"{case.aim:.2g}x"
    if case.uses_numba:
        other = median[best] / median["without numba"]
        met, second = met and other >= case.aim_without_numba, f"{other:.2f}x"
    if case.aim_without_numba:
        aim += f", {case.aim_without_numba:.2g}x without"
    apart = f"{case.apart(answers['ours'], answers[best]):.0e}"
    opponent = f"{milliseconds(median[best])} ({best})"
    ours = milliseconds(median["ours"])
    return [case.work, ours, opponent, f"{ratio:.2f}x", second, fastest, apart, aim, yes(met)]


def compare_cvae():
    """Return the row of the CVAE: three runs each in turn, without a warm-up."""
    import numpy as np

    from benchmarks import bench_cvae

    results = bench_cvae.measure()
    usual, ours = results["usual loop"], results["cvae.fit"]
    seconds = [float(np.median(result["seconds"])) for result in (ours, usual)]
    nats = [float(np.median(result["nats"])) for result in (ours, usual)]
    ratio = seconds[1] / seconds[0]
    fastest = min(usual["seconds"]) / min(ours["seconds"])
    return [
        "cvae: 10 epochs of 10,000, 3 runs", milliseconds(seconds[0]),
        f"{milliseconds(seconds[1])} (usual loop)", f"{ratio:.2f}x", "no numba in it",
        f"{fastest:.2f}x", f"{nats[0]:.2f} against {nats[1]:.2f} nats", "2x, no more nats",
        yes(ratio >= 2 and nats[0] <= nats[1]),
    ]  # fmt: skip


def compare_memory(name):
    """Return the row of a clustering's peak memory."""
    mib = memory.measure(name)
    work = f"train_{name}: {memory.N} x 3, K = {memory.K}, peak memory above the input"
    limit = f"below {MEMORY_LIMIT} MiB"
    return [work, f"{mib:.0f} MiB", "", "", "", "", "", limit, yes(mib < MEMORY_LIMIT)]


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def yes(met):
    return "yes" if met else "**no**"


def markdown(row):
    return f"| {' | '.join(row)} |"


def machine(num_threads):
    """Return the kind of machine and the versions, in words."""
    from importlib.metadata import version

    packages = ("numpy", "scikit-learn", "numba", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    return (
        f"{model}, {os.cpu_count()} cores, threads used: {num_threads}, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}. Load average at the start: {load}."
    )


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--threads", type=int, default=2, help="of BLAS, OpenMP and our own")
    options = parser.parse_args()
    wanted, num_threads = options.names, options.threads
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(NAMES)}")
    names = [name for name in NAMES if name in wanted or not wanted]
    report = [machine(num_threads), "", markdown(HEAD), markdown(["---"] * len(HEAD))]
    print("\n".join(report), flush=True)

    def add(row):
        report.append(markdown(row))
        print(report[-1], flush=True)
        save()

    def save():
        if not wanted:  # part of a table is no result
            RESULTS.mkdir(exist_ok=True)
            path = RESULTS / f"table-threads-{num_threads}.md"
            path.write_text("\n".join(report) + "\n")

    if "memory" in names:  # first, while this process is small
        for name in ("kmeans", "gmm"):
            add(compare_memory(name))
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    from benchmarks import cases, growth

    warnings.simplefilter("ignore", ConvergenceWarning)  # tol=0 never converges
    with threadpool_limits(num_threads):
        for name in names:
            with contextlib.redirect_stdout(sys.stderr):  # the loaders say where data is missing
                todo = list(cases.CASES.get(name, list)())
            for case in todo:
                add(compare(case, cases.without_numba))
        if "growth" in names:
            curves = growth.measure()
            RESULTS.mkdir(exist_ok=True)
            growth.plot(curves, RESULTS / "growth.png")
        if "cvae" in names:
            import torch

            torch.set_num_threads(num_threads)
            add(compare_cvae())
    if "growth" in names:
        report += ["", growth.table(curves)]
        print("\n" + growth.table(curves))
        save()


if __name__ == "__main__":
    main()
