"""An executed notebook as a page with MathML, and all of them as one PDF.

Both go the same way: the notebook's cells become blocks (prose, text, figure, players, listing,
table), the blocks become Markdown for pandoc, and pandoc makes HTML of it, or Typst, which makes
the PDF.
"""

import base64
import html
import io
import itertools
import json
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import pypandoc
import typst
from PIL import Image

from course.describe import DPI
from data.comparison import MIME_TYPE, Row

HERE = Path(__file__).resolve().parent
TEXTBOOK = HERE.parent / "textbook"
# What Jupyter reads, and what marks the places that the style sheets know. Left out is what would
# turn plain prose into something else: "(10)" at the start of a line into an item of a list.
MARKDOWN = (
    "markdown-citations-definition_lists-example_lists-fancy_lists-implicit_figures-latex_macros"
    "-line_blocks-pandoc_title_block-raw_tex-subscript-superscript-yaml_metadata_block"
)
# These sections speak to whoever runs the notebook; the PDF has one table of all numbers instead.
NOT_IN_PDF = ("## Settings", "## Reference numbers", "## What you should have seen")


# Where a notebook keeps its widgets, and a cell's output the one that it shows.
WIDGET_STATES = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Block(NamedTuple):
    """A part of a notebook that is shown."""

    kind: str  # prose, code, text, value, figure, players, listing or table
    content: object


class Figure(NamedTuple):
    """A figure that a notebook drew."""

    name: str  # of its file
    png: bytes  # of an animated figure, the last frame
    description: str
    gif: bytes = b""  # of an animated figure

    @property
    def size(self):
        """Width and height in pixels, as a PNG's header has them."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])

    @property
    def inches(self):
        """Width and height as Matplotlib drew it."""
        dpi = 100 if self.gif else DPI  # those of plots.py, and of course/describe.py
        return self.size[0] / dpi, self.size[1] / dpi

    @property
    def files(self):
        """What lies in the folder of figures, by name."""
        moving = {self.name.replace(".png", ".gif"): self.gif} if self.gif else {}
        return {self.name: self.png, **moving}


def title(notebook):
    """Return the heading that a notebook starts with."""
    return notebook.cells[0].source.splitlines()[0].lstrip("# ")


def parts(notebook):
    """Return (anchor, heading) for each heading that has one of the problem set's numbers."""
    sources = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [
        (f"{number}{letter}", heading)
        for heading, number, letter in re.findall(r"(?m)^## ((\d)\(([a-z])\).*)$", sources)
    ]


def figures(notebook, name):
    """Return the figures of an executed notebook, in order."""
    return [block.content for block in _blocks(notebook, name) if block.kind == "figure"]


def page(notebook, name):
    """Return an executed notebook as Markdown for a page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    name : str
        Figures are called after it.

    Returns
    -------
    str
    """
    blocks = list(_blocks(notebook, name))
    blocks[0] = Block("prose", blocks[0].content.partition("\n")[2])  # the title stands elsewhere
    return "\n\n".join(_PAGE[block.kind](block.content) for block in blocks)


def chapter(notebook, name):
    """Return an executed notebook as Markdown for the PDF, without code but the textbook's."""
    written, wanted = [], True
    for block in _blocks(notebook, name):
        if block.kind == "prose" and block.content.startswith("## "):
            wanted = not block.content.startswith(NOT_IN_PDF)
        if wanted:
            written.append(_CHAPTER[block.kind](block.content))
    return "\n\n".join(written)


def write_page(path, markdown, title, *, home=None, before=None, after=None):
    """Write a page that needs nothing but itself.

    Parameters
    ----------
    path : pathlib.Path
        Figures are looked for beside it.
    markdown : str
    title : str
    home : str, optional
        The cover's address. A page with one lists its headings, and shows the way to others.
    before, after : (str, str), optional
        Address and title of the neighbouring pages.
    """
    style = (HERE / "page.css").read_text(encoding="utf-8")
    arguments = [
        *("--standalone", "--mathml", "--columns=1000"),  # tables as narrow as they can be
        *(f"--template={HERE / 'page.html'}", "--variable", f"style={style}"),
        *("--metadata", f"title={title}"),
    ]
    if home:
        arguments += ["--toc", "--toc-depth=3", "--variable", f"home={home}"]
    for direction, neighbour in (("before", before), ("after", after)):
        if neighbour:
            arguments += ["--variable", f"{direction}={neighbour[0]}"]
            arguments += ["--metadata", f"{direction}-title={neighbour[1]}"]
    text = pypandoc.convert_text(markdown, "html5", format=MARKDOWN, extra_args=arguments)
    # The TeX inside each formula is for programs; a browser does not show it.
    text = re.sub(r"(?s)<annotation.*?</annotation>", "", text)

    def embed(match):
        attribute, address, kind = match.groups()
        data = base64.b64encode((path.parent / address).read_bytes()).decode()
        return f'{attribute}="data:image/{kind};base64,{data}"'

    pattern = r'\b(src|srcset)="(figures/[^"]+\.(png|gif))"'
    path.write_text(re.sub(pattern, embed, text), encoding="utf-8")


def typst_source(markdown, title):
    """Return what Typst makes the PDF of."""
    return pypandoc.convert_text(
        markdown,
        "typst",
        format=MARKDOWN,
        extra_args=[
            *("--standalone", "--wrap=none", "--columns=1000", "--syntax-highlighting=idiomatic"),
            *(f"--template={HERE / 'paper.typ'}", "--metadata", f"title={title}"),
        ],
    )


def typeset(source, folder, **options):
    """Set a document of Typst; its figures are looked for in a folder.

    Parameters
    ----------
    source : str
    folder : pathlib.Path
    **options
        Of `typst.compile`, as format="png".

    Returns
    -------
    bytes, or a list of them with one for each page
    """
    return typst.compile(source.encode(), root=folder, ignore_system_fonts=True, **options)


def comparisons(notebook):
    """Return the rows of every comparison with the reference that a notebook shows."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    tables = (output.get("data", {}).get(MIME_TYPE, ()) for output in outputs)
    return [Row(*row) for table in tables for row in table]


def raw(form, text):
    """Return text that pandoc hands on as it is."""
    return f"``````````{{={form}}}\n{text}\n``````````"


def verbatim(text, language=""):
    """Return text to be shown as it is, in letters of one width."""
    return f"``````````{language}\n{text.strip(chr(10))}\n``````````"


def table(rows):
    """Return the reference numbers and ours as a table for a page.

    Parameters
    ----------
    rows : sequence of data.comparison.Row

    Returns
    -------
    str
    """
    cells = []
    for row in rows:
        texts = _cells(row)
        cells.append(f'<tr class="{_verdict_class(row)}">')
        cells.append(f'<th scope="row">{html.escape(texts[0])}</th>')
        for name, text in zip(_HEADS[1:], texts[1:], strict=True):
            cells.append(f'<td data-name="{html.escape(name)}">{html.escape(text)}</td>')
        cells.append("</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
    table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody>"
    return raw("html", f'<table class="numbers">{table}</table>')


def table_in_pdf(rows):
    """Return the same table for the PDF."""
    if not rows:
        return ""
    cells = [json.dumps(text, ensure_ascii=False) for row in rows for text in _cells(row)]
    heads = [json.dumps(name, ensure_ascii=False) for name in _HEADS]
    return raw("typst", f"#numbers(({', '.join(heads)}), ({', '.join(cells)},))")


_HEADS = ("number", "problem set", "ours", "difference", "tolerance", "verdict")


def _cells(row):
    """Return what the table shows of a row."""
    unit = f" ({row.unit})" if row.unit else ""
    label = f"{row.problem} {row.label}{unit}"
    return label, row.reference, row.ours, row.difference, row.tolerance, row.verdict


def _verdict_class(row):
    return {"agrees": "agrees", "DIFFERS": "differs"}.get(row.verdict, "not-compared")


# -- From cells to blocks ------------------------------------------------------------------------


def _blocks(notebook, name):
    """Yield a notebook's blocks; prose is cut before each heading of the second level."""
    number = 0
    widgets = notebook.metadata.get("widgets", {}).get(WIDGET_STATES, {}).get("state", {})
    for cell in _with_prose_joined(notebook.cells):
        if cell.cell_type == "markdown":
            for section in re.split(r"(?m)^(?=## )", cell.source):
                if section.strip():
                    yield Block("prose", section.strip())
        elif cell.cell_type == "code":
            if cell.source.strip():
                yield Block("code", cell.source)
            for block in _outputs(_first_states(cell.outputs, widgets)):
                if block.kind == "figure":
                    number += 1
                    png, description, gif = block.content
                    words = re.findall(r"[a-z0-9]+", description.split(". ")[0].lower())[:8]
                    file = f"{name}-{number}-{'-'.join(words)}.png"
                    block = Block("figure", Figure(file, png, description, gif))
                yield block


def _with_prose_joined(cells):
    """Yield the cells; prose that was cut into several, for the starter kit, is one text."""
    for kind, group in itertools.groupby(cells, key=lambda cell: cell.cell_type):
        if kind == "markdown":
            yield nbformat.v4.new_markdown_cell("\n\n".join(cell.source for cell in group))
        else:
            yield from group


def _first_states(outputs, widgets):
    """Yield outputs; in the place of a widget, what it shows before anybody touches it."""
    for output in outputs:
        view = output.get("data", {}).get(WIDGET_VIEW)
        yield from _inside(view["model_id"], widgets) if view else [output]


def _inside(model_id, widgets):
    """Yield the outputs that a widget, or one within it, holds."""
    state = widgets[model_id]["state"]
    yield from state.get("outputs", ())
    for child in state.get("children", ()):
        yield from _inside(child.removeprefix("IPY_MODEL_"), widgets)


def _outputs(outputs):
    """Return the blocks of a cell's outputs; text that goes on, and players in a row, are one."""
    blocks = []
    for output in outputs:
        block = _output(output)
        last = blocks[-1] if blocks else Block("", None)
        if block.kind == "players":
            label = "sound"
            if last.kind == "text" and "\n" not in last.content.strip():
                label = blocks.pop().content.strip()
                last = blocks[-1] if blocks else Block("", None)
            block = Block("players", [(label, block.content)])
        if block.kind == last.kind and block.kind in ("text", "players"):
            blocks[-1] = Block(block.kind, last.content + block.content)
        else:
            blocks.append(block)
    return blocks


def _output(output):
    if output.output_type == "stream":
        return Block("text", output.text)
    if output.output_type == "error":
        return Block("text", f"{output.ename}: {output.evalue}\n")
    data = output.data
    if MIME_TYPE in data:
        return Block("table", [Row(*row) for row in data[MIME_TYPE]])
    for kind in ("image/png", "image/gif"):
        if kind in data:
            picture = base64.b64decode(data[kind])
            description = output.metadata.get(kind, {}).get("alt", "A figure.")
            if kind == "image/gif":
                return Block("figure", (_last_frame(picture), description, picture))
            return Block("figure", (picture, description, b""))
    sound = re.search(r'src="(data:audio/[^"]+)"', data.get("text/html", ""))
    if sound:
        return Block("players", sound[1])
    if data.get("text/latex", "").startswith(r"\begin{Verbatim}"):  # IPython.display.Code
        return Block("listing", data["text/plain"].strip())
    return Block("value", data.get("text/plain", ""))


def _last_frame(gif):
    file = io.BytesIO()
    with Image.open(io.BytesIO(gif)) as picture:
        picture.seek(picture.n_frames - 1)
        picture.convert("RGB").save(file, "PNG")
    return file.getvalue()


# -- From blocks to Markdown ---------------------------------------------------------------------


def _prose(source, question, display):
    """Mark what the style sheets and pandoc need to know: parts, questions, displayed formulas."""
    source = re.sub(r"(?m)^(## (\d)\(([a-z])\).*)$", r"\1 {#\2\3}", source)
    source = source.replace(r"\!", "")  # pandoc's Typst makes it six times too wide
    source = re.sub(r"\\big(?![a-z])", "", source)  # both would put spaces around it

    def formula(match):
        tag = re.search(r"\s*\\tag\{(.*?)\}", match[1])  # which pandoc would drop
        return display(match[1].replace(tag[0], ""), tag[1]) if tag else display(match[1], "")

    source = re.sub(r"(?s)\$\$(.+?)\$\$", formula, source)
    # A question ends where its answer starts, if that is in the same cell, else with its paragraph.
    answered = r"(?ms)^\*Question\.\*(?:(?!^#).)*?(?=^\*Answer)"
    unanswered = r"(?ms)^\*Question\.\*.*?(?=\n\n|\Z)"
    pattern = answered if re.search(answered, source) else unanswered
    return re.sub(pattern, lambda match: question(match[0].strip()), source)


def _prose_on_page(source):
    # MathML has no thin spaces around the names of functions: "3log p" in place of "3 log p".
    names = r"\\(?:log|exp|det|cos|sin|operatorname\{\w+\})"
    source = re.sub(rf"(?<=[\w}}]) *(?={names})", r"\\, ", source)
    follows = r"(?= *\w| *\\(?!lvert|lVert|left|big|,))"
    source = re.sub(rf"({names}(?:_\w)?){follows}", r"\1\\, ", source)
    return _prose(
        source,
        lambda question: f"::: question\n{question}\n:::\n\n",
        lambda tex, tag: f"[$${tex}$$" + f"[({tag})]{{.number}}" * bool(tag) + "]{.display}",
    )


def _prose_in_pdf(source):
    source = re.sub(r"(?s)\n\n\*\*It needs\*\*.*?(?=\n\n|$)", "", source)
    return _prose(
        source,
        lambda question: f"{raw('typst', '#question[')}\n\n{question}\n\n{raw('typst', ']')}\n\n",
        lambda tex, tag: (
            f'`#numbered("({tag})")[`{{=typst}}$${tex}$$`]`{{=typst}}' if tag else f"$${tex}$$"
        ),
    )


def _code(source):
    return (
        raw("html", '<details class="code"><summary>Code</summary>')
        + f"\n\n{verbatim(source, 'python')}\n\n"
        + raw("html", "</details>")
    )


def _text_on_page(text):
    text = html.escape(text.rstrip())
    text = re.sub(r"\bwriteup/([\w.-]+\.wav)", r'<a href="\1">writeup/\1</a>', text)
    return raw("html", f'<pre class="output" tabindex="0">{text}</pre>')


def _figure_on_page(figure):
    width, height = (round(inches * 100) for inches in figure.inches)
    address = f"figures/{list(figure.files)[-1]}"  # the animation, if it is one
    picture = (
        f'<img src="{address}" alt="{html.escape(figure.description)}"'
        f' width="{width}" height="{height}">'
    )
    if figure.gif:
        still = f'media="(prefers-reduced-motion: reduce), print" srcset="figures/{figure.name}"'
        picture = f"<picture><source {still}>{picture}</picture>"
    return raw("html", f'<figure><a href="{address}">{picture}</a></figure>')


def _figure_in_pdf(figure):
    description = json.dumps(figure.description, ensure_ascii=False)
    width = figure.inches[0]
    return raw("typst", f'#drawing("figures/{figure.name}", {width:.2f}in, {description})')


def _players_on_page(players):
    items = "".join(
        f'<li><span>{html.escape(label)}</span><audio controls aria-label="{html.escape(label)}"'
        f' src="{sound}"></audio></li>'
        for label, sound in players
    )
    return raw("html", f'<ul class="players">{items}</ul>')


def _players_in_pdf(players):
    labels = [label for label, _ in players]
    return f"*To be heard on the page of this problem:* {', '.join(labels)}."


def _listing(code, before, after):
    files = [
        path for path in sorted(TEXTBOOK.glob("*.py")) if path.read_text("utf-8").strip() == code
    ]
    name = f"textbook/{files[0].name}" if files else ""
    return f"{before(name)}\n\n{verbatim(code, 'python')}\n\n{after}"


def _listing_on_page(code):
    return _listing(
        code,
        lambda name: raw("html", f'<figure class="listing"><figcaption>{name}</figcaption>'),
        raw("html", "</figure>"),
    )


def _listing_in_pdf(code):
    return _listing(code, lambda name: raw("typst", f'#listing("{name}")['), raw("typst", "]"))


_PAGE = {
    "prose": _prose_on_page,
    "code": _code,
    "text": _text_on_page,
    "value": _text_on_page,
    "figure": _figure_on_page,
    "players": _players_on_page,
    "listing": _listing_on_page,
    "table": table,
}
_CHAPTER = {
    "prose": _prose_in_pdf,
    "code": lambda source: "",
    "text": verbatim,
    "value": lambda text: "",  # a bare expression's value says nothing without its code
    "figure": _figure_in_pdf,
    "players": _players_in_pdf,
    "listing": _listing_in_pdf,
    "table": lambda rows: "",  # one table of all numbers stands at the end
}
