"""The write-up's pages and PDF, on small notebooks made up here."""

import base64
import io
import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from course import cover, pages, writeup
from course.__main__ import main as command_line
from course.describe import describe
from course.gallery import find_figure
from data.comparison import MIME_TYPE
from tests.page_checks import Page, check_page, check_run

PROSE = r"""
# A small problem

What is asked here?

**It needs** nothing. **It takes** no time.

## 1(a) One formula

*Question.* Show that $a < b$ in

$$\ell = \frac{1}{2} \log \det W . \tag{13}$$

What follows?

*Answer.* That $3 \log_2 256 = 24$ "bits", and `code`:

- $x^2 \!\left[ y \right]$
"""
DRAW = r"""
import matplotlib.pyplot as plt

figure, ax = plt.subplots()
ax.plot([3, 2, 1.5], label=r"$\lambda$ = 1")
ax.set(title="It falls & rests", xlabel="step", ylabel="$J$ (nats)")
figure;
"""
SOUND = """
from IPython.display import Audio, display

for i in range(2):
    print(f"microphone {i}")
    display(Audio([0.0, 1.0, 0.0], rate=8000))
print("writeup/track_0.wav: 3 samples")
"""
CODE = """
from IPython.display import Code

Code(filename="textbook/kmeans.py", language="python")
"""
STAND_IN = "using a stand-in, rendered heads. To fetch: python -m data"
COMPARE = """
from data.comparison import Comparison, Row

words = ("1(b)", "kmeans.x", "mean <error>", "levels", "14.6", "14.7", "0.1", "1e-9")
verdicts = ("agrees", "DIFFERS", "stand-in data, not compared")
Comparison(Row(*words, verdict) for verdict in verdicts)
"""


def small_notebook():
    return new_notebook(
        cells=[
            *map(new_markdown_cell, re.split(r"\n\n(?=\*Answer)", PROSE.strip())),  # as for the kit
            new_code_cell(DRAW.strip()),
            new_code_cell("print('a < b')\nprint('1 | 2')"),
            new_code_cell("(16384, 3)"),
            new_code_cell(SOUND.strip()),
            new_code_cell(CODE.strip()),
            new_markdown_cell(
                "## 1(b) Another part\n\n*Question.* Which?\n\nNot a question.\n\nEnd."
            ),
            new_markdown_cell("## Reference numbers\n\nOnly on the page."),
            new_code_cell(COMPARE.strip()),
            new_markdown_cell("## What you should have seen\n\nNothing on paper."),
        ]
    )


@pytest.fixture(scope="module")
def small(checkout):
    """The small notebook, executed."""
    nbformat.write(small_notebook(), checkout / "small.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")  # as on many a server; the notebook shows its figures
        run = writeup.run("small", checkout)
    assert run.error is None, run.error
    return run


@pytest.fixture(scope="module")
def published(small, checkout):
    """The folder of a write-up of the small notebook, twice."""
    folder = checkout / "published"
    folder.mkdir()
    (folder / "track_0.wav").write_bytes(b"RIFF")
    writeup.publish([small, small._replace(name="second")], folder)
    return folder


# -- The pages -----------------------------------------------------------------------------------


def test_a_page_keeps_the_rules_and_draws_every_formula(small, tmp_path):
    (tmp_path / "track_0.wav").write_bytes(b"RIFF")
    page = check_run(small, tmp_path)
    assert len(page.all("math")) == 4


def test_the_cover_keeps_the_rules(published):
    page = check_page(published / "index.html")
    assert {"href": "small.html"} in page.all("a")
    assert {"href": "second.html#1a"} in page.all("a")
    assert {"href": "writeup.pdf"} in page.all("a")
    assert len(page.all("img")) == 2


def test_pages_lead_to_each_other(published):
    first, second = Page(published / "small.html"), Page(published / "second.html")
    assert {"rel": "next", "href": "second.html"} in first.all("a")
    assert not [a for a in first.all("a") if a.get("rel") == "prev"]
    assert {"rel": "prev", "href": "small.html"} in second.all("a")
    assert {"href": "index.html"} in second.all("a")


def test_a_page_lists_its_parts(published):
    page = Page(published / "small.html")
    targets = {a["href"] for a in page.all("a")}
    assert {"#1a", "#1b", "#reference-numbers"} <= targets
    assert {"1a", "1b", "reference-numbers"} <= {h.get("id") for h in page.all("h2")}
    assert len(page.all("h1")) == 1


def test_code_is_folded_and_its_output_is_not(published):
    text = (published / "small.html").read_text(encoding="utf-8")
    folded = re.findall(r'(?s)<details class="code">.*?</details>', text)
    assert len(folded) == 6
    assert 'class="output"' not in "".join(folded)
    assert '<pre class="output" tabindex="0">a &lt; b\n1 | 2</pre>' in text
    assert '<pre class="output" tabindex="0">(16384, 3)</pre>' in text


def test_numbers_of_equations_are_kept(published):
    text = (published / "small.html").read_text(encoding="utf-8")
    assert re.search(r'</math><span\s+class="number">\(13\)</span>', text)


def test_the_whole_question_is_marked_and_no_more(published):
    text = (published / "small.html").read_text(encoding="utf-8")
    first, second = re.findall(r'(?s)<div class="question">(.*?)</div>', text)
    assert "What follows?" in first and "Answer" not in first
    assert "Which?" in second and "Not a question" not in second


def test_sounds_can_be_played_and_wav_files_are_linked(published):
    page = Page(published / "small.html")
    assert [player["aria-label"] for player in page.all("audio")] == [
        "microphone 0",
        "microphone 1",
    ]
    assert {"href": "track_0.wav"} in page.all("a")


def test_the_textbook_is_shown_under_its_name(published):
    text = (published / "small.html").read_text(encoding="utf-8")
    listing = re.search(r'(?s)<figure class="listing">(.*?)</figure>', text)[1]
    assert "<figcaption>textbook/kmeans.py</figcaption>" in listing
    assert "assign_clusters" in listing


def test_figures_are_files_with_names(published):
    name = "small-1-it-falls-rests.png"
    png = (published / "figures" / name).read_bytes()
    assert png.startswith(b"\x89PNG")
    page = Page(published / "small.html")
    assert {"href": f"figures/{name}"} in page.all("a")
    (image,) = page.all("img")
    assert image["alt"].startswith("It falls & rests. Axes: step; J (nats)")
    pixels = pages.Figure(name, png, "").size
    assert pixels == plt.imread(published / "figures" / name).shape[1::-1]
    assert int(image["width"]) == round(pixels[0] * 100 / 150)


def test_the_table_speaks_to_a_reader(published):
    text = (published / "small.html").read_text(encoding="utf-8")
    assert '<th scope="row">1(b) mean &lt;error&gt; (levels)</th>' in text
    assert '<td data-name="problem set">14.6</td><td data-name="ours">14.7</td>' in text
    assert '<td data-name="difference">0.1</td><td data-name="tolerance">1e-9</td>' in text
    rows = re.findall(r'<tr\s+class="([\w-]+)"', text)
    assert rows == ["agrees", "differs", "not-compared"]


def test_summary_counts_verdicts():
    row = pages.Row(*["x"] * 8, "agrees")
    rows = [row, row, row._replace(verdict="DIFFERS")]
    assert cover.summary(rows) == "Of 3 reference numbers, 2 agree, 1 differ."
    rows = [row._replace(verdict="stand-in data, not compared")]
    assert cover.summary(rows) == "Of 1 reference numbers, 1 not compared (stand-in data)."
    assert cover.summary([]) == "No numbers came."


def test_the_errata_are_the_readmes(published):
    readme = cover.README.read_text(encoding="utf-8")
    listed = readme.split("## What the write-up got wrong")[1].split("\n## ")[0]
    assert cover.errata() == listed.strip()
    items = re.findall(r"(?m)^\d\. .*$", listed)
    assert len(items) >= 6
    text = " ".join(Page(published / "index.html").text.split())
    for start in ("Its mean pixel errors, 14.608", "Eq. (13) is called a loss"):
        assert start in text


def test_the_cover_says_what_was_run(published, small):
    text = " ".join(Page(published / "index.html").text.split())
    assert f"NumPy {np.__version__}" in text
    assert re.search(r"Python 3\.\d+\.\d+", text)
    assert f"{small.seconds:.0f} s" in text
    assert "others than the originals" in text


@pytest.mark.parametrize(
    "verdicts, printed, data",
    [
        (["agrees"], f"No a in b: {STAND_IN}", "stand-in: rendered heads"),
        (["agrees", "DIFFERS"], "", "the originals"),
        (["agrees", "stand-in data, not compared"], "", "others than the originals"),
        ([], "", "made by the notebook, or scikit-learn's"),
    ],
)
def test_which_data(verdicts, printed, data):
    stream = nbformat.v4.new_output("stream", text=printed)
    rows = [[*["x"] * 8, verdict] for verdict in verdicts]
    table = nbformat.v4.new_output("display_data", data={MIME_TYPE: rows})
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[stream, table])])
    assert cover._data(notebook) == data


def test_the_cover_shows_one_figure_of_a_problem_its_best_known(small):
    drawn = [figure("First, of two"), figure("It shows nine eigenfaces"), figure("nine eigenfaces")]
    cells = [new_markdown_cell("# PCA"), new_code_cell("x", outputs=drawn)]
    run = small._replace(name="pca", notebook=new_notebook(cells=cells))
    assert re.findall(r'alt="(.*?)"', cover.cover([run])) == ["It shows nine eigenfaces"]
    cells = [new_markdown_cell("# PCA"), new_code_cell("x", outputs=[drawn[0], drawn[0]])]
    run = run._replace(notebook=new_notebook(cells=cells))
    assert re.findall(r'alt="(.*?)"', cover.cover([run])) == ["First, of two"]


def figure(description, width=300):
    file = io.BytesIO()
    Image.new("RGB", (width, 10)).save(file, "PNG")
    return nbformat.v4.new_output(
        "display_data",
        data={"image/png": base64.b64encode(file.getvalue()).decode()},
        metadata={"image/png": {"alt": description}},
    )


def test_a_figures_name_is_short_and_its_width_that_of_matplotlib():
    cell = new_code_cell("x", outputs=[figure("A B, c d e f g h i j. k", width=330)])
    notebook = new_notebook(cells=[new_markdown_cell("# T"), cell])
    assert [one.name for one in pages.figures(notebook, "n")] == ["n-1-a-b-c-d-e-f-g-h.png"]
    assert 'drawing("figures/n-1-a-b-c-d-e-f-g-h.png", 2.20in, "A B,' in pages.chapter(
        notebook, "n"
    )
    assert 'width="220" height="7"' in pages.page(notebook, "n")


def test_only_a_line_by_itself_names_a_player():
    player = nbformat.v4.new_output(
        "display_data",
        data={"text/html": '<audio><source src="data:audio/wav;base64,AA=="></audio>'},
    )
    lines = nbformat.v4.new_output("stream", text="one\ntwo\n")
    notebook = new_notebook(
        cells=[new_markdown_cell("# T"), new_code_cell("x", outputs=[player, lines, player])]
    )
    text = pages.page(notebook, "n")
    assert re.findall(r'aria-label="(.*?)"', text) == ["sound", "sound"]
    assert "one\ntwo</pre>" in text


def test_rows_are_in_the_problem_sets_order(small):
    cells = [new_code_cell("x", outputs=[comparison("1(e)")])]
    cells.append(new_code_cell("x", outputs=[comparison("1(b)"), comparison("1(a)")]))
    text = cover.cover(
        [small._replace(notebook=new_notebook(cells=[*small.notebook.cells, *cells]))]
    )
    assert re.findall(r'scope="row">(\d\(\w\))', text) == ["1(a)", *["1(b)"] * 4, "1(e)"]


def comparison(problem):
    row = [problem, *["x"] * 7, "agrees"]
    return nbformat.v4.new_output("display_data", data={MIME_TYPE: [row]})


# -- The PDF -------------------------------------------------------------------------------------


def test_the_pdf_has_headings_numbers_and_no_code(published, small):
    runs = [small, small._replace(name="second")]
    source = pages.typst_source(cover.paper(runs), cover.TITLE)
    for heading in ("= 1. A small problem", "== 1(a) One formula", "= 2. A small problem"):
        assert f"\n{heading}\n" in source
    for heading in (
        "= The reference numbers",
        "= What the problem set got wrong",
        "= What was run",
    ):
        assert source.count(f"\n{heading}\n") == 1
    assert source.count("assign_clusters(train_data") == 2  # the textbook's
    assert "matplotlib" not in source
    assert "a < b\n1 | 2" in source
    assert "(16384, 3)" not in source
    assert '#numbered("(13)")[' in source
    assert "#h(-" not in source
    assert source.count("microphone 0, microphone 1.") == 2
    assert 'drawing("figures/small-1-it-falls-rests.png"' in source
    for dropped in ("It needs", "Only on the page", "Nothing on paper"):
        assert dropped not in source
    assert source.count('"14.6", "14.7", "0.1", "1e-9", "agrees"') == 2
    assert source.count("#question[") == 4


def test_the_pdf_is_set(published):
    pdf = published / "writeup.pdf"
    assert pdf.read_bytes().startswith(b"%PDF")
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True).stdout
    for words in ("1. A small problem", "1(a) One formula", "(13)", "textbook/kmeans.py", "14.7"):
        assert words in text


def test_a_formula_too_wide_for_paper_is_made_smaller(tmp_path):
    long = "$$" + " + ".join(f"x_{{{i}}}" for i in range(60)) + "$$"
    with_it = pages.typeset(pages.typst_source(long, "x"), tmp_path)
    assert with_it.startswith(b"%PDF")
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    (tmp_path / "x.pdf").write_bytes(with_it)
    boxes = subprocess.run(
        ["pdftotext", "-bbox", tmp_path / "x.pdf", "-"], capture_output=True, text=True
    ).stdout
    edges = [float(x) for x in re.findall(r'xMax="([\d.]+)"', boxes)]
    assert len(edges) > 10
    assert max(edges) < 595 - 60  # within the margin of an A4 page, in points


# -- Running -------------------------------------------------------------------------------------


@pytest.fixture
def broken(checkout):
    """A checkout with a notebook that fails, and the pages of an earlier success."""
    cells = [
        new_markdown_cell("# Broken"),
        new_code_cell("x = 1"),
        new_code_cell("# divides\nx / 0 < 1"),
        new_code_cell("x"),
    ]
    nbformat.write(new_notebook(cells=cells), checkout / "broken.ipynb")
    nbformat.write(new_notebook(cells=cells[:2]), checkout / "good.ipynb")
    folder = checkout / "writeup"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for stale in (
        "broken.html",
        "broken.wav",
        "index.html",
        "writeup.pdf",
        "figures/broken-1-x.png",
    ):
        (folder / stale).write_text("stale")
    (folder / "mine.txt").write_text("kept")
    return checkout


def test_a_failure_leaves_no_stale_page_and_is_named_on_the_cover(broken, capsys):
    assert writeup.main(root=broken, names=["good", "broken"]) == 1
    folder = broken / "writeup"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"good.html", "index.html", "writeup.pdf", "mine.txt"}
    text = Page(folder / "index.html").text
    raw = (folder / "index.html").read_text(encoding="utf-8")
    assert "broken.ipynb, cell 3 of 4" in text
    assert "x / 0 &lt; 1" in raw and "ZeroDivisionError" in raw and "\x1b" not in raw
    assert "broken.html" not in raw
    assert not [a for a in Page(folder / "good.html").all("a") if "broken" in a["href"]]
    printed = capsys.readouterr().out
    assert re.search(r"(?m)^good\.ipynb ran in \d+ s$", printed)
    assert re.search(r"(?m)^broken\.ipynb FAILED after \d+ s$", printed)
    assert "ZeroDivisionError" in printed
    assert printed.count("x = 1") == 0  # the cell that failed, and no other


def test_all_well_is_status_0_and_a_difference_is_1(small, checkout, capsys, monkeypatch):
    monkeypatch.setattr(writeup, "run", lambda name, folder: small)
    assert writeup.main(root=checkout, names=["small"]) == 1
    assert re.search(r"1\(b\) +mean <error> .* 14\.7 .* DIFFERS\n", capsys.readouterr().out)
    cells = [cell for cell in small.notebook.cells if "Comparison" not in cell.source]
    agreeing = small._replace(notebook=new_notebook(cells=cells))
    monkeypatch.setattr(writeup, "run", lambda name, folder: agreeing)
    assert writeup.main(root=checkout, names=["small"]) == 0


def test_progress_in_a_terminal(broken, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    writeup.run("good", broken)
    printed = capsys.readouterr().out
    assert printed.startswith("\rgood.ipynb: cell 1 of 2, 0 s")
    assert re.search(r"\rgood\.ipynb ran in \d+ s *\n$", printed)


def test_a_slow_cell_is_named(checkout):
    cells = [new_markdown_cell("# Slow"), new_code_cell("import time; time.sleep(60)")]
    nbformat.write(new_notebook(cells=cells), checkout / "slow.ipynb")
    with pytest.raises(writeup.NotebookError, match=r"slow\.ipynb, cell 2 of 2"):
        writeup.execute(checkout / "slow.ipynb", cell_time_limit=2, folder=checkout)


def test_a_cell_that_kills_its_kernel_is_named(checkout):
    cells = [new_markdown_cell("# Dead"), new_code_cell("import os; os._exit(1)")]
    nbformat.write(new_notebook(cells=cells), checkout / "dead.ipynb")
    with pytest.raises(
        writeup.NotebookError, match=r"dead\.ipynb, cell 2 of 2:\n\nimport os; os\."
    ):
        writeup.execute(checkout / "dead.ipynb", folder=checkout)


def test_command_line(monkeypatch, capsys):
    monkeypatch.setattr(writeup, "main", lambda arguments: 7)
    assert command_line(["writeup"]) == 7
    with pytest.raises(SystemExit, match="2"):
        command_line(["write"])


def test_gallery_says_which_figure_is_missing(small):
    assert find_figure(small.notebook, "small", "falls").description.startswith("It falls")
    with pytest.raises(LookupError, match=r"small\.ipynb shows no figure described as 'a moon'"):
        find_figure(small.notebook, "small", "a moon")


# -- Descriptions --------------------------------------------------------------------------------


@pytest.fixture
def draw():
    yield plt.subplots
    plt.close("all")


def test_a_curve_is_described_by_its_name_and_ends(draw):
    figure, ax = draw()
    ax.plot([-1, 0, 2], [708.25, 500, 461.3], label=r"$\lambda$ = 1")
    ax.set(title="It\nfalls.", xlabel="step", ylabel="$J$ (nats)")
    ax.legend()
    assert describe(figure) == (
        "It falls. Axes: step; J (nats). Drawn: lambda = 1 from 708.25 at -1 to 461.3 at 2."
        " Legend: lambda = 1."
    )


def test_panels_are_named(draw):
    figure, axes = draw(1, 2)
    for ax, name in zip(axes, ("before", "after"), strict=True):
        ax.set_title(name)
        ax.plot([0, 1, 2])
    assert describe(figure).startswith("before; after. Drawn: from 0 at 0 to 2 at 2. Drawn: ")
    figure.suptitle("Both")
    assert describe(figure) == (
        "Both. Panels: before; after. In before: from 0 at 0 to 2 at 2."
        " In after: from 0 at 0 to 2 at 2."
    )


def test_what_is_no_curve_is_left_out(draw):
    figure, ax = draw()
    ax.plot([0, 1, 0], [0, 1, 0], label="closed")
    ax.plot([0, 5, 5], [0, 1, 0], label="open")
    ax.plot([1, 2], [1, 2], label="two points")
    ax.plot(np.arange(10_000), label="a sound")
    ax.axhline(3, label="across")
    ax.set_title("Lines")
    assert describe(figure) == "Lines. Drawn: open from 0 at 0 to 0 at 5."


def test_long_curves_are_described(draw):
    figure, ax = draw()
    ax.plot(np.arange(9_999))
    ax.set_title("Long")
    assert describe(figure) == "Long. Drawn: from 0 at 0 to 9,998 at 9,998."


def test_colour_bars_third_axes_and_labels_of_the_figure_are_named(draw):
    figure, ax = draw()
    figure.colorbar(ax.imshow(np.eye(2)), ax=ax, label="nats")
    ax.set(title="T", xlabel="theirs")
    figure.supylabel("ours")
    assert describe(figure) == "T. Axes: theirs; ours; nats."
    figure, ax = draw(subplot_kw={"projection": "3d"})
    ax.set(title="Colours", xlabel="red", ylabel="green", zlabel="blue")
    assert describe(figure) == "Colours. Axes: red; green; blue."


def test_legends_of_the_figure_are_told(draw):
    figure, ax = draw()
    figure.legend(handles=[plt.Line2D([], [], label=r"$\pi$ = 0.5")])
    ax.set_title("T")
    assert describe(figure) == "T. Legend: pi = 0.5."
