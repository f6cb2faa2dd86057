"""How the time of a step grows with the size of the data, and a plot of it."""

import matplotlib
import numpy as np

import gmm
import kmeans
import pca
from benchmarks.cases import heat, overlapping
from benchmarks.timing import medians, take_turns

SIZES = {
    "N": [20_000, 40_000, 80_000, 160_000, 320_000],
    "K": [4, 8, 16, 32, 64],
    "d": [2, 4, 8, 16, 32],
}
USUAL = {"N": 80_000, "K": 16, "d": 8}
PCA_WIDTHS = [128, 256, 512, 1024, 2048]
STEPS = 10


def kmeans_job(N, K, d):
    data = overlapping(N, d, 1)  # without clusters, so that the steps do not run out
    return lambda: kmeans.train_kmeans(data, data[:K], num_iterations=STEPS)


def gmm_job(N, K, d):
    data = overlapping(N, d, 1)
    start = np.full(K, 1 / K), data[:K], np.stack([np.eye(d)] * K)
    return lambda: gmm.train_gmm(data, *start, num_iterations=STEPS)


def pca_job(d):
    data = np.random.default_rng(0).normal(size=(2048, d))
    return lambda: pca.pca(data)


def measure():
    """Return for each (work, quantity) the sizes and our medians in ms, a step or a call."""
    heat()
    curves = {}
    for name, job in (("train_kmeans", kmeans_job), ("train_gmm", gmm_job)):
        for quantity, sizes in SIZES.items():
            jobs = {size: job(**{**USUAL, quantity: size}) for size in sizes}
            curves[name, quantity] = sizes, [ms / STEPS for ms in milliseconds(jobs)]
    curves["pca", "d"] = PCA_WIDTHS, milliseconds({d: pca_job(d) for d in PCA_WIDTHS})
    return curves


def milliseconds(jobs):
    times, _ = take_turns(jobs, repeats=5)
    return [1e3 * seconds for seconds in medians(times).values()]


def slope(sizes, times):
    """Return the exponent p of the power law ``times ~ sizes**p`` that fits best."""
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


def table(curves):
    """Return Markdown: one row a curve."""
    lines = ["| work | grows | ms at each size | log-log slope |", "| --- | --- | --- | --- |"]
    for (work, quantity), (sizes, times) in curves.items():
        points = ", ".join(f"{s}: {t:.3g}" for s, t in zip(sizes, times, strict=True))
        lines.append(f"| {work} | {quantity} | {points} | {slope(sizes, times):.2f} |")
    return "\n".join(lines)


def plot(curves, path):
    """Draw one panel a quantity, both axes logarithmic, with the slopes in the legends."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    # Okabe and Ito's colours, told apart by the colour-blind; the markers say it again.
    style = {
        "train_kmeans": ("#0072B2", "o"), "train_gmm": ("#D55E00", "s"), "pca": ("#009E73", "^")
    }  # fmt: skip
    titles = {"N": "N points", "K": "K clusters", "d": "d coordinates"}
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained", sharey=True)
    for axis, (quantity, title) in zip(axes, titles.items(), strict=True):
        for (work, other), (sizes, times) in curves.items():
            if other == quantity:
                colour, marker = style[work]
                label = f"{work}, slope {slope(sizes, times):.2f}"
                axis.loglog(sizes, times, color=colour, marker=marker, label=label)
        rest = ", ".join(f"{q} = {v}" for q, v in USUAL.items() if q != quantity)
        axis.set(xlabel=title, title=f"{title}\n({rest}{'; pca: N = 2048' * (quantity == 'd')})")
        sizes = sorted({s for (_, q), (sizes, _) in curves.items() if q == quantity for s in sizes})
        axis.set_xticks(sizes, [f"{s // 1000}k" if s > 9999 else s for s in sizes], fontsize=8)
        axis.minorticks_off()
        axis.grid(which="major", alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("time of a step, or of pca [ms]")
    figure.savefig(path, dpi=120)
    plt.close(figure)
