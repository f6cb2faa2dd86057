"""An IPython extension: every Matplotlib figure that a notebook shows carries a description.

The write-up loads it into the kernels that it starts. There, and only there, a figure is still an
object with titles, labels and curves; the page gets nothing but pixels. The description goes where
Jupyter's own tools look for one, into the output's metadata.
"""

DPI = 150  # of the figures: sharp on a dense screen and on paper


def load_ipython_extension(ipython):
    """Describe each figure that is shown, and draw it with enough dots."""
    ipython.display_formatter.mimebundle_formatter.for_type_by_name(
        "matplotlib.figure",
        "Figure",
        lambda figure: ({}, {"image/png": {"alt": describe(figure)}}),
    )
    ipython.config.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "dpi": DPI}


def describe(figure):
    """Say in words what a figure shows: its title, its panels and axes, and where its curves go.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str
        Its first sentence is the title, or the titles of the panels.
    """
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    bars = [ax for ax in figure.axes if ax not in panels]
    names = _distinct(ax.get_title() for ax in panels)
    title = figure.get_suptitle()
    sentences = [title or "; ".join(names)]
    if title and names:
        sentences.append(f"Panels: {'; '.join(names)}")
    labels = _distinct(
        [
            *(ax.get_xlabel() for ax in panels),
            figure.get_supylabel(),
            *(ax.get_ylabel() for ax in panels),
            *(ax.get_zlabel() for ax in panels if hasattr(ax, "get_zlabel")),
            *(ax.get_ylabel() for ax in bars),
        ]
    )
    if labels:
        sentences.append(f"Axes: {'; '.join(labels)}")
    for ax in panels:
        curves = [_course(line) for line in ax.get_lines() if _is_curve(line, ax)]
        if curves:
            where = f"In {ax.get_title()}" if title and ax.get_title() else "Drawn"
            sentences.append(f"{where}: {'; '.join(curves)}")
    legends = [*figure.legends, *(ax.get_legend() for ax in panels if ax.get_legend())]
    entries = _distinct(text.get_text() for legend in legends for text in legend.get_texts())
    if entries:
        sentences.append(f"Legend: {'; '.join(entries)}")
    return ". ".join(_plain(sentence) for sentence in sentences) + "."


def _is_curve(line, ax):
    """Tell a curve from a dot, a line across the panel, a closed outline and a sound."""
    xy = line.get_xydata()
    across = line.get_transform() != ax.transData
    return not across and 2 < len(xy) < 10_000 and abs(xy[0] - xy[-1]).max() > 1e-9


def _course(line):
    """Say where a curve starts and ends."""
    name = "" if line.get_label().startswith("_") else f"{line.get_label()} "
    (x0, y0), (x1, y1) = line.get_xydata()[[0, -1]]
    return f"{name}from {y0:,.5g} at {x0:,.5g} to {y1:,.5g} at {x1:,.5g}"


def _distinct(texts):
    return list(dict.fromkeys(text for text in texts if text))


def _plain(text):
    """Take the signs of TeX and the line breaks out of a text."""
    return " ".join(text.replace("$", "").replace("\\", "").split()).rstrip(".")
