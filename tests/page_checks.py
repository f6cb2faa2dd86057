"""What every page of the write-up keeps to, read from its HTML."""

import re
from html.parser import HTMLParser

from course import writeup


class Page(HTMLParser):
    """The elements of a page as (tag, attributes), and the text that a browser would show."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.text, self._hidden = [], "", None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("style", "script", "annotation", "pre", "code"):
            self._hidden = self._hidden or tag  # in code a dollar sign is just that

    def handle_endtag(self, tag):
        if tag == self._hidden:
            self._hidden = None

    def handle_data(self, data):
        if not self._hidden:
            self.text += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


def check_page(path):
    """Assert what holds for any page; return it."""
    page = Page(path)
    assert page.all("html")[0]["lang"] == "en"
    title = re.search(r"<title>(.+?)</title>", path.read_text(encoding="utf-8"))
    assert title and title[1].strip()
    for image in page.all("img"):
        assert len(image["alt"]) > 10, image["alt"]
        assert "alt" not in image or image["alt"].strip()
    for tag, attributes in page.elements:
        source = attributes.get("src")
        assert source is None or source.startswith("data:"), (tag, source[:80])
        assert tag not in ("link", "script", "iframe", "object"), (tag, attributes)
        if tag == "a":
            address = attributes["href"]
            outside = re.match(r"[a-z]+:", address)
            assert outside or address.startswith("#") or (path.parent / file_of(address)).is_file()
    assert "url(http" not in path.read_text(encoding="utf-8")
    assert "$" not in page.text
    assert "\\frac" not in page.text
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    return page


def file_of(address):
    return address.partition("#")[0]


def count_formulas(notebook):
    """Count the formulas that a notebook's prose has, between one dollar sign or two."""
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    prose = re.sub(r"(?s)```.*?```|`[^`]*`", "", prose)
    return len(re.findall(r"(?s)\$\$.+?\$\$|\$[^$]+\$", prose))


def check_run(run, folder):
    """Publish one executed notebook and check its page."""
    writeup.publish([run], folder)
    page = check_page(folder / f"{run.name}.html")
    assert len(page.all("math")) == count_formulas(run.notebook)
    check_page(folder / "index.html")
    return page
