"""What each notebook's last section lets one turn by hand, and what the pages keep of it."""

import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from course import pages, writeup
from tests.page_checks import Page, check_run

MOVING = """
import numpy as np
from IPython.display import Image as Animation

import plots

pixels = np.random.default_rng(0).integers(0, 256, (500, 3))
history = [pixels[:3] + step for step in range(4)]
Animation(plots.moving_centroids(pixels, history, title="They move"), alt="They move. Animated")
"""
TURNING = """
import ipywidgets as widgets
import matplotlib.pyplot as plt
from IPython.display import Audio, display


@widgets.interact(K=(2, 6), upload=widgets.FileUpload())
def turn(K, upload):
    print("your sound")
    display(Audio([0.0, 1.0, 0.0], rate=8000))
    plt.subplots()[1].set(title=f"K is {K}", xlabel="step")
"""


@pytest.fixture(scope="module")
def played(checkout):
    """A small notebook with an animation and controls, executed."""
    cells = [
        new_markdown_cell("# Small"),
        new_code_cell(MOVING.strip()),
        new_markdown_cell("## Play"),
        new_code_cell(TURNING.strip()),
    ]
    nbformat.write(new_notebook(cells=cells), checkout / "played.ipynb")
    run = writeup.run("played", checkout)
    assert run.error is None, run.error
    return run


# -- The pages -----------------------------------------------------------------------------------


def test_a_page_shows_the_first_state_and_no_widget(played, tmp_path):
    page = check_run(played, tmp_path)
    text = (tmp_path / "played.html").read_text(encoding="utf-8")
    assert "interactive(" not in text
    assert "VBox(" not in text
    assert "K is 4. Axes: step." in [image["alt"] for image in page.all("img")]
    assert [player["aria-label"] for player in page.all("audio")] == ["your sound"]
    assert (tmp_path / "figures" / "played-2-k-is-4.png").is_file()


def test_paper_shows_it_too(played):
    chapter = pages.chapter(played.notebook, "played")
    assert 'drawing("figures/played-2-k-is-4.png"' in chapter
    assert "*To be heard on the page of this problem:* your sound." in chapter
    assert "interactive(" not in chapter


def test_an_animation_moves_on_the_page_and_stands_on_paper(played, tmp_path):
    writeup.publish([played], tmp_path)
    gif, still = (tmp_path / "figures" / f"played-1-they-move.{kind}" for kind in ("gif", "png"))
    with Image.open(gif) as moving, Image.open(still) as picture:
        moving.seek(moving.n_frames - 1)
        np.testing.assert_array_equal(moving.convert("RGB"), picture)
        width, height = picture.size
    page = Page(tmp_path / "played.html")
    image = page.all("img")[0]
    assert image["src"].startswith("data:image/gif")
    assert (image["alt"], image["width"], image["height"]) == (
        "They move. Animated",
        str(width),
        str(height),
    )
    (source,) = page.all("source")
    assert source["media"] == "(prefers-reduced-motion: reduce), print"
    assert source["srcset"].startswith("data:image/png")
    inches = f"{width / 100:.2f}in"
    assert f'drawing("figures/played-1-they-move.png", {inches}' in pages.chapter(
        played.notebook, "played"
    )


def test_an_old_animation_does_not_stay(played, tmp_path):
    writeup.publish([played], tmp_path)
    writeup.clear(tmp_path)
    assert list((tmp_path / "figures").iterdir()) == []


# -- The notebooks -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_each_notebook_ends_with_play(name):
    notebook = nbformat.read(writeup.ROOT / f"{name}.ipynb", as_version=4)
    headings = [
        heading
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for heading in re.findall(r"(?m)^## (.*)$", cell.source)
    ]
    assert headings[-2:] == ["What you should have seen", "Play"]
    start = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Play"))
    for cell in notebook.cells[start:]:
        assert cell.metadata.tags == ["beyond"]
        assert cell.source.count("\n") < 40
    assert all("widgets" not in cell.source for cell in notebook.cells[:start])
