"""The write-up's figures. Each function draws one and returns it; none of them computes results.

Those called `moving_...` draw one figure many times and return an animated GIF as bytes, for
`IPython.display.Image`.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import PillowWriter

# Okabe and Ito's palette, told apart by colour-blind readers.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")


def images(pictures, titles):
    """Show pictures side by side.

    Parameters
    ----------
    pictures : sequence of ndarray, shape (H, W, 3) uint8 or (H, W)
        Colour pictures, or grey ones in intensity levels 0 to 255.
    titles : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
    """
    height, width = np.shape(pictures[0])[:2]
    dpi = 120 if width > 300 else 72  # 512 pixels get a dot each; few pixels need few dots
    figure, axes = plt.subplots(
        1, len(pictures), figsize=(5 * len(pictures), np.clip(5 * height / width, 1, 12) + 0.3),
        dpi=dpi, squeeze=False, layout="constrained",
    )  # fmt: skip
    for ax, picture, title in zip(axes[0], pictures, titles, strict=True):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(title)
        ax.axis("off")
    return figure


def convergence(values, *, xlabel="iteration", ylabel, title):
    """Draw an objective against the iteration.

    Parameters
    ----------
    values : sequence of float
        One for each iteration, from 0.
    xlabel, ylabel, title : str
        What is counted; what the values are, with their unit.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    ax.plot(np.arange(len(values)), values, color=COLORS[0], marker=".")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.grid(alpha=0.3)
    return figure


def palette(centroids, counts, *, title):
    """Draw colours as swatches, each with its number and its pixels, in rows of sixteen.

    Parameters
    ----------
    centroids : array_like, shape (K, 3)
        Colours in intensity levels, 0 to 255.
    counts : array_like, shape (K,)
        Pixels of each; the swatches are drawn in falling order.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = np.asarray(counts)
    order = np.argsort(-counts, kind="stable")
    columns = min(len(order), 16)
    rows = -(-len(order) // columns)
    sheet = np.ones((rows * columns, 3))  # white where the last row ends early
    sheet[: len(order)] = _as_rgb(centroids)[order]
    size = (max(6, 0.75 * columns), 0.7 * rows + 0.8)
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    ax.imshow(sheet.reshape(rows, columns, 3), aspect="auto")
    for n, k in enumerate(order):
        ink = "black" if sheet[n] @ (0.299, 0.587, 0.114) > 0.5 else "white"
        ax.text(
            n % columns, n // columns, f"{k}\n{counts[k]:,}",
            ha="center", va="center", color=ink, fontsize=9,
        )  # fmt: skip
    ax.set(title=title, xlabel="number of the colour, and how many pixels it has")
    ax.set(xticks=[], yticks=[])
    return figure


def rgb_clusters(pixels, centroids, *, title):
    """Draw pixels in RGB space beside the cluster centres.

    Parameters
    ----------
    pixels : array_like, shape (N, 3)
        Intensity levels, 0 to 255; some 5,000 of them are drawn.
    centroids : array_like, shape (K, 3)
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (left, right) = _rgb_axes(title, ("the pixels", "the cluster centres"))
    _scatter_pixels(left, pixels, alpha=0.6)
    right.scatter(
        *np.transpose(centroids), c=_as_rgb(centroids), s=110, edgecolor="black", depthshade=False
    )
    if len(centroids) <= 32:  # more numbers would hide each other
        # Dark neighbours lie close together: numbers to the left and to the right by turns.
        for place, k in enumerate(np.argsort(np.sum(centroids, axis=1))):
            side, name = (("left", f"   {k}"), ("right", f"{k}   "))[place % 2]
            right.text(*centroids[k], name, ha=side, va="center", fontsize=9)
    return figure


def rgb_gaussians(pixels, pi, mu, sigma, *, title):
    """Draw pixels in RGB space beside the one-sigma ellipsoids of Gaussian components.

    Parameters
    ----------
    pixels : array_like, shape (N, 3)
        Intensity levels, 0 to 255; some 5,000 of them are drawn.
    pi, mu, sigma : array_like, shapes (K,), (K, 3), (K, 3, 3)
        Proportions, means and covariances; the legend gives the first two, of the 15 components
        with the largest proportions.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, (left, right) = _rgb_axes(title, ("the pixels", "one-sigma ellipsoids"))
    _scatter_pixels(left, pixels, alpha=0.6)
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 33), np.linspace(0, np.pi, 17))
    sphere = np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)])  # (3, 17, 33)
    listed = np.sort(np.argsort(-np.asarray(pi), kind="stable")[:15])
    handles = []
    for k, (p, m, S) in enumerate(zip(pi, mu, sigma, strict=True)):
        color = _as_rgb(m)
        x, y, z = np.asarray(m)[:, None, None] + np.tensordot(np.linalg.cholesky(S), sphere, axes=1)
        right.plot_surface(x, y, z, color=color, alpha=0.55, linewidth=0)
        right.plot_wireframe(x, y, z, rstride=4, cstride=4, color="black", linewidth=0.25)
        if k in listed:
            name = rf"{k}: $\pi$ = {p:.2f}, $\mu$ = ({m[0]:.0f}, {m[1]:.0f}, {m[2]:.0f})"
            handles.append(
                plt.Line2D([], [], marker="o", ls="", mfc=color, mec="black", label=name)
            )
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def moving_centroids(pixels, history, *, title):
    """Animate k-means: the cluster centres in the plane of red and blue, with the way they came.

    Parameters
    ----------
    pixels : array_like, shape (N, 3)
        Intensity levels, 0 to 255; some 5,000 of them are drawn.
    history : array_like, shape (steps + 1, K, 3)
        The centres at the start and after each step.
    title : str

    Returns
    -------
    bytes
        An animated GIF. Most of the way is made in the first steps, so later ones are drawn at
        growing distances.
    """
    history = np.asarray(history, dtype=float)
    figure, ax = _color_plane(pixels, title)
    ways = [ax.plot([], [], color="black", linewidth=1)[0] for _ in history[0]]
    dots = ax.scatter(*history[0, :, [0, 2]], s=110, edgecolor="black", linewidths=1.2, zorder=3)

    steps = np.unique(np.geomspace(1, len(history), 25).astype(int)) - 1

    def draw(step):
        for way, path in zip(ways, history[: step + 1].swapaxes(0, 1), strict=True):
            way.set_data(path[:, 0], path[:, 2])
        dots.set_offsets(history[step][:, [0, 2]])
        dots.set_facecolor(_as_rgb(history[step]))
        ax.set_title(f"after {step} of {len(history) - 1} steps")

    return _gif(figure, draw, steps)


def plane_gaussians(pixels, pi, mu, sigma, *, title, panel):
    """Draw Gaussian components in the plane of red and blue, over the pixels.

    The marginal of a Gaussian is the Gaussian of its sub-block, so each ellipse is that of two
    rows and columns of a covariance.

    Parameters
    ----------
    pixels : array_like, shape (N, 3)
        Intensity levels, 0 to 255; some 5,000 of them are drawn.
    pi, mu, sigma : array_like, shapes (K,), (K, 3), (K, 3, 3)
        Proportions, means and covariances. A mean's dot is as large as its proportion; the
        ellipses have one and two standard deviations.
    title, panel : str
        Of the figure; of its only panel.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = _color_plane(pixels, title)
    plane = np.array([0, 2])
    for p, m, S in zip(pi, np.asarray(mu), np.asarray(sigma), strict=True):
        for ellipse in _ellipses(m[plane], S[np.ix_(plane, plane)]):
            ax.plot(*ellipse, color="white", linewidth=3)
            ax.plot(*ellipse, color="black", linewidth=1.2)
        ax.scatter(
            *m[plane], s=30 + 900 * p, color=_as_rgb(m), edgecolor="black", linewidths=1.2, zorder=3
        )
    ax.set_title(panel)
    return figure


def objective_and_bounds(t, objective, bounds, touches, *, xlabel, title):
    """Draw an objective along a line of parameters and lower bounds that touch it.

    Parameters
    ----------
    t : array_like, shape (n,)
        The parameter that varies.
    objective : array_like, shape (n,)
        In nats.
    bounds : sequence of array_like, shape (n,)
        In nats.
    touches : sequence of (float, float)
        Where each bound meets the objective.
    xlabel, title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ax.plot(t, objective, color=COLORS[7], linewidth=2.5, label="objective J")
    styles = ("--", "-.", ":")
    for step, (bound, touch) in enumerate(zip(bounds, touches, strict=True)):
        color = COLORS[step % len(COLORS)]
        ax.plot(
            t, bound, color=color, linestyle=styles[step % 3], label=f"bound after E-step {step}"
        )
        ax.plot(*touch, marker="o", color=color, markersize=8)
    spread = np.ptp(objective)
    ax.set_ylim(np.min(objective) - 0.1 * spread, np.max(objective) + 0.1 * spread)
    ax.set(xlabel=xlabel, ylabel="nats", title=title)
    ax.legend()
    ax.grid(alpha=0.3)
    return figure


def two_gaussians(labeled_x, labels, unlabeled_x, panels, *, xlabel, ylabel, suptitle):
    """Draw labelled and unlabelled points under the two Gaussians of several states.

    Each Gaussian is shown by its one-sigma and two-sigma ellipses; the black line is where both
    classes are equally probable.

    Parameters
    ----------
    labeled_x : array_like, shape (l, 2)
    labels : array_like of 0 and 1, shape (l,)
    unlabeled_x : array_like, shape (u, 2)
    panels : sequence of (str, (mu, sigma), callable)
        For each panel a title, the class means (2, 2) and covariances (2, 2, 2), and a function
        that takes points (N, 2) and returns the probability of class 1 (N,).
    xlabel, ylabel, suptitle : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    points = tuple(map(np.asarray, (labeled_x, labels, unlabeled_x)))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels), 4.9), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for ax, panel in zip(axes[0], panels, strict=True):
        _draw_two_gaussians(ax, *points, *panel)
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    _two_gaussians_legend(figure, axes[0, 0])
    figure.suptitle(suptitle)
    return figure


def moving_two_gaussians(labeled_x, labels, unlabeled_x, panels, *, xlabel, ylabel, suptitle):
    """Animate what `two_gaussians` draws: its panels one after the other.

    Parameters
    ----------
    labeled_x, labels, unlabeled_x, panels, xlabel, ylabel, suptitle
        As there.

    Returns
    -------
    bytes
        An animated GIF.
    """
    points = tuple(map(np.asarray, (labeled_x, labels, unlabeled_x)))
    figure, ax = plt.subplots(figsize=(6, 5.6), layout="constrained")
    figure.suptitle(suptitle)
    _draw_two_gaussians(ax, *points, *panels[0])
    _two_gaussians_legend(figure, ax)

    def draw(panel):
        ax.clear()
        _draw_two_gaussians(ax, *points, *panel)
        ax.set(xlabel=xlabel, ylabel=ylabel)

    return _gif(figure, draw, panels)


def accuracy_curves(counts, panels, *, suptitle):
    """Draw test accuracy against the number of labels, with a band of one standard error.

    Parameters
    ----------
    counts : sequence of int
        Numbers of labels.
    panels : dict of str to dict
        For each panel's title, the accuracies of each method by its name, shape
        (splits, len(counts)), between 0 and 1.
    suptitle : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.8 * len(panels), 4.9), squeeze=False, layout="constrained"
    )
    for ax, (title, methods) in zip(axes[0], panels.items(), strict=True):
        for (name, accuracies), color, marker in zip(
            methods.items(), COLORS, "osD^vP", strict=False
        ):
            percent = 100 * np.asarray(accuracies)  # (splits, counts)
            mean = percent.mean(axis=0)
            error = percent.std(axis=0, ddof=1) / np.sqrt(len(percent))
            ax.plot(counts, mean, color=color, marker=marker, markersize=5, label=name)
            ax.fill_between(counts, mean - error, mean + error, color=color, alpha=0.18, lw=0)
        ax.set_xscale("log")
        ax.set_xticks(counts, counts)
        ax.minorticks_off()
        ax.set(title=title, xlabel="labelled points", ylabel="test accuracy (%)")
        ax.grid(alpha=0.3)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    figure.suptitle(suptitle)
    return figure


def spectrum(eigenvalues, *, unit, title):
    """Draw eigenvalues in their order, on a logarithmic scale.

    Parameters
    ----------
    eigenvalues : array_like, shape (L,)
        Descending; zeros cannot be drawn on this scale and are left out.
    unit : str
        The eigenvalues' unit.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    eigenvalues = np.asarray(eigenvalues)
    components = np.arange(1, len(eigenvalues) + 1)
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ax.semilogy(components, np.where(eigenvalues > 0, eigenvalues, np.nan), color=COLORS[0])
    ax.set(xlabel="component", ylabel=f"eigenvalue ({unit})", title=title)
    ax.grid(alpha=0.3)
    return figure


def variance_kept(eigenvalues, *, marks=(), title):
    """Draw the share of the total variance in the first K components against K.

    Parameters
    ----------
    eigenvalues : array_like, shape (L,)
        All of them, descending.
    marks : sequence of (str, int)
        Numbers of components to mark with a named vertical line.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    shares = np.cumsum(eigenvalues) / np.sum(eigenvalues)  # (L,)
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    ax.semilogx(np.arange(1, len(shares) + 1), 100 * shares, color=COLORS[0])
    styles = zip(marks, COLORS[1:], ("--", ":", "-."), strict=False)
    for (name, K), color, style in styles:
        ax.axvline(K, color=color, linestyle=style, linewidth=2, label=f"{name}: K = {K}")
    if marks:
        ax.legend(loc="lower right")
    ax.set(xlabel="components kept, K", ylabel="variance kept (%)", title=title)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(alpha=0.3)
    return figure


def eigenfaces(mean, components, names, *, cmap, title):
    """Draw the mean face and components as an array of pictures with five columns.

    Every picture has its own scale. That of a component is symmetric, so the middle of the colour
    map is zero: a part of the face that the component leaves as it is.

    Parameters
    ----------
    mean : array_like, shape (H, W)
        Shown first, from its darkest to its brightest pixel.
    components : array_like, shape (K, H, W)
    names : sequence of str, of length K
    cmap : str
        A Matplotlib colour map.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    peaks = [np.abs(u).max() for u in components]
    limits = [(np.min(mean), np.max(mean)), *((-peak, peak) for peak in peaks)]
    return _picture_grid([mean, *components], ["mean", *names], limits, 5, cmap, title)


def faces(pictures, names, *, columns, title, white=255):
    """Draw grey faces, in rows of `columns`.

    Parameters
    ----------
    pictures : sequence of ndarray, shape (H, W)
        Intensity levels; 0 and below are black.
    names : sequence of str, one for each
    columns : int
    title : str
    white : float
        The level from which on a pixel is white.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _picture_grid(pictures, names, [(0, white)] * len(pictures), columns, "gray", title)


def waveforms(groups, rate, *, title):
    """Draw sounds against time, a column for each group and a row for each track.

    Parameters
    ----------
    groups : dict of str to array_like, shape (T, m)
        Tracks by the name of their group; each is drawn relative to its own peak.
    rate : float
        Samples a second.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _track_axes(groups, title)
    for column, (tracks, color) in enumerate(zip(groups.values(), COLORS, strict=False)):
        tracks = np.asarray(tracks, dtype=float)
        seconds = np.arange(len(tracks)) / rate
        for ax, track in zip(axes[:, column], tracks.T, strict=True):
            ax.plot(seconds, track / np.abs(track).max(), color=color, linewidth=0.3)
            ax.set(xlim=(0, len(tracks) / rate), ylim=(-1.05, 1.05))
    figure.supylabel("amplitude / peak of the track")
    return figure


def spectrograms(groups, rate, *, title, floor=-60):
    """Draw the power of sounds by time and frequency, laid out as `waveforms` does.

    Parameters
    ----------
    groups : dict of str to array_like, shape (T, m)
        Tracks by the name of their group.
    rate : float
        Samples a second.
    title : str
    floor : float
        The darkest colour, in dB below the strongest power of each track.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _track_axes(groups, title)
    for column, tracks in enumerate(groups.values()):
        for ax, track in zip(axes[:, column], np.asarray(tracks, dtype=float).T, strict=True):
            with np.errstate(divide="ignore"):  # silence is minus infinity dB
                _, _, _, image = ax.specgram(
                    track, NFFT=256, noverlap=128, Fs=rate / 1000, xextent=(0, len(track) / rate),
                    cmap="cividis",
                )  # fmt: skip
            strongest = image.get_array().max()
            image.set_data(image.get_array() - strongest)
            image.set_clim(floor, 0)
    figure.supylabel("frequency (kHz)")
    figure.colorbar(image, ax=axes, label="power (dB; 0 is the track's strongest)", aspect=50)
    return figure


def matrices(values, *, title, rows, columns, bar_label):
    """Draw matrices side by side in one colour scale from 0 up, each entry printed in its cell.

    Parameters
    ----------
    values : dict of str to array_like, shape (m, n)
        Non-negative matrices by name; a NaN leaves its cell empty.
    title : str
    rows, columns : sequence of str
        For each matrix, what its rows and its columns are.
    bar_label : str
        What the entries are, with their unit.

    Returns
    -------
    matplotlib.figure.Figure
    """
    top = max(np.nanmax(matrix) for matrix in values.values())
    figure, axes = plt.subplots(
        1, len(values), figsize=(4.6 * len(values) + 1, 4.4), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    for ax, (name, matrix), ylabel, xlabel in zip(
        axes[0], values.items(), rows, columns, strict=True
    ):
        image = ax.imshow(matrix, cmap="cividis", vmin=0, vmax=top)
        for (i, j), value in np.ndenumerate(matrix):
            if np.isnan(value):
                continue
            ink = "black" if value > top / 2 else "white"
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=9)
        ax.set(title=name, xlabel=xlabel, ylabel=ylabel)
        ax.set(xticks=range(np.shape(matrix)[1]), yticks=range(np.shape(matrix)[0]))
    figure.colorbar(image, ax=axes, label=bar_label)
    return figure


def loss_terms(train, test, *, title):
    """Draw a loss and its two terms by epoch, on the training and on the test images.

    Parameters
    ----------
    train, test : array_like, shape (epochs, 3)
        Total, reconstruction and KL in nats an image, after each epoch from the first.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    train, test = np.asarray(train, dtype=float), np.asarray(test, dtype=float)
    epochs = np.arange(1, len(train) + 1)
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    names = ("negative lower bound", "reconstruction", "KL(q || prior)")
    for ax, name, ours, held_out in zip(axes, names, train.T, test.T, strict=True):
        ax.plot(epochs, ours, color=COLORS[0], marker=".", label="training images")
        ax.plot(epochs, held_out, color=COLORS[1], marker=".", ls="--", label="test images")
        ax.set(title=name, xlabel="epoch", ylabel="nats an image")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle(title)
    return figure


def image_grid(rows, *, title, row_labels=None, column_labels=None, xlabel=None, ylabel=None):
    """Show grey images as a grid.

    Parameters
    ----------
    rows : array_like, shape (R, C, H, W)
        Brightness, 0 (black) to 1 (white).
    title : str
    row_labels, column_labels : sequences, optional
        Of lengths R and C.
    xlabel, ylabel : str, optional
        What the columns and the rows are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = np.asarray(rows, dtype=float)
    R, C, H, W = rows.shape
    sheet = np.ones((R, C, H + 2, W + 2))  # a white frame around each image
    sheet[:, :, 1:-1, 1:-1] = rows
    sheet = sheet.transpose(0, 2, 1, 3).reshape(R * (H + 2), C * (W + 2))
    width = 0.75 * C + 0.6
    figure, ax = plt.subplots(figsize=(width, 0.75 * R + 0.9), layout="constrained")
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.set_xticks((np.arange(C) + 0.5) * (W + 2) - 0.5, column_labels or [""] * C)
    ax.set_yticks((np.arange(R) + 0.5) * (H + 2) - 0.5, row_labels or [""] * R)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def _as_rgb(colors):
    """Return colours as Matplotlib takes them, 0 to 1."""
    return np.clip(np.asarray(colors, dtype=float) / 255, 0, 1)


def _rgb_axes(title, titles):
    figure, axes = plt.subplots(
        1, 2, figsize=(11, 5.6), subplot_kw={"projection": "3d"}, layout="constrained"
    )
    figure.suptitle(title)
    for ax, name in zip(axes, titles, strict=True):
        ax.set(
            title=name, xlabel="red level", ylabel="green level", zlabel="blue level",
            xlim=(0, 255), ylim=(0, 255), zlim=(0, 255),
        )  # fmt: skip
        ax.set_box_aspect(None, zoom=0.88)  # keeps the z label inside the figure
    return figure, axes


def _some_pixels(pixels):
    pixels = np.asarray(pixels, dtype=float)
    return pixels[:: max(1, len(pixels) // 5000)]  # (about 5000, 3)


def _scatter_pixels(ax, pixels, alpha):
    some = _some_pixels(pixels)
    ax.scatter(*some.T, c=_as_rgb(some), s=4, alpha=alpha, linewidths=0, depthshade=False)


def _color_plane(pixels, title):
    """Return a figure and axes with pixels in the plane of red and blue."""
    figure, ax = plt.subplots(figsize=(6, 5.6), layout="constrained")
    figure.suptitle(title)
    some = _some_pixels(pixels)
    few = _as_rgb(32 * np.rint(some / 32))  # colours with hard edges: a GIF has room for 256
    ax.scatter(some[:, 0], some[:, 2], c=few, s=5, linewidths=0, antialiased=False)
    ax.set(xlabel="red level", ylabel="blue level", xlim=(0, 255), ylim=(0, 255), aspect="equal")
    return figure, ax


def _ellipses(mu, sigma):
    """Return the outlines (2, 2, 100) of a Gaussian in the plane, one and two sigma wide."""
    angles = np.linspace(0, 2 * np.pi, 100)
    circle = np.linalg.cholesky(sigma) @ [np.cos(angles), np.sin(angles)]  # (2, 100)
    return np.asarray(mu)[:, None] + np.multiply.outer([1, 2], circle)


def _draw_two_gaussians(ax, labeled_x, labels, unlabeled_x, title, state, probability):
    """Draw one panel of `two_gaussians`."""
    everything = np.concatenate([labeled_x, unlabeled_x])
    margin = 0.08 * np.ptp(everything, axis=0)
    low, high = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    ax.scatter(*unlabeled_x.T, s=10, color="0.65", linewidths=0, label="unlabelled")
    for k, (mu, sigma) in enumerate(zip(*state, strict=True)):
        ax.scatter(
            *labeled_x[labels == k].T, s=70, marker="os"[k], color=COLORS[k],
            edgecolor="black", zorder=3, label=f"labelled {k}",
        )  # fmt: skip
        for ellipse in _ellipses(mu, sigma):
            ax.plot(*ellipse, color=COLORS[k], linestyle=("-", "--")[k], linewidth=2)
    xs, ys = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    p = probability(np.column_stack([xs.ravel(), ys.ravel()]))  # (40000,)
    ax.contour(xs, ys, np.reshape(p, xs.shape), levels=[0.5], colors="black", linewidths=1.5)
    ax.set(title=title, xlim=(low[0], high[0]), ylim=(low[1], high[1]))


def _two_gaussians_legend(figure, ax):
    handles, names = ax.get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="black", linewidth=1.5))
    figure.legend(handles, [*names, "boundary"], loc="outside lower center", ncols=4)


def _gif(figure, draw, frames):
    """Return a figure as an animated GIF; `draw` turns it into each of the frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.gif"
        writer = PillowWriter(fps=4)
        with writer.saving(figure, path, dpi=100):
            for frame in frames:
                draw(frame)
                writer.grab_frame()
            for _ in range(12):  # the last frame stays
                writer.grab_frame()
        plt.close(figure)
        return path.read_bytes()


def _picture_grid(pictures, names, limits, columns, cmap, title):
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2 * columns, 2.55 * rows + 0.4), squeeze=False, layout="constrained"
    )
    figure.suptitle(title)
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture, name, (low, high) in zip(axes.flat, pictures, names, limits, strict=False):
        ax.imshow(picture, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
        ax.set_title(name, fontsize=11)
    return figure


def _track_axes(groups, title):
    """Return a figure and axes (tracks, groups) with the names of both."""
    num_tracks = np.shape(next(iter(groups.values())))[1]
    size = (11, 1.6 * num_tracks + 0.8) if num_tracks > 1 else (8, 3)
    figure, axes = plt.subplots(
        num_tracks, len(groups), figsize=size,
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    figure.suptitle(title)
    for column, name in enumerate(groups):
        for number, ax in enumerate(axes[:, column]):
            ax.set_title(f"{name} {number}" if num_tracks > 1 else name, fontsize=10)
        axes[-1, column].set_xlabel("time (s)")
    return figure, axes
