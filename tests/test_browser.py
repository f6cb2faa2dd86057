"""In a real browser: each notebook in JupyterLab, and each page of the write-up.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Run by `make test-slow`. Set
COURSEWORK_SCREENSHOTS to a folder to keep a picture of each figure, as the browser shows it.
"""

import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course import pages, writeup
from course.gallery import copy_without_originals
from tests.page_checks import count_formulas

pytestmark = pytest.mark.slow
TIME_LIMIT = 600  # seconds for a notebook
TOKEN = "coursework"

RUN_ALL = """
const done = arguments[arguments.length - 1];
const app = window.jupyterapp;
app.restored
  .then(() => app.commands.execute("docmanager:open", {path: arguments[0], factory: "Notebook"}))
  .then(widget => Promise.all([widget.context.ready, widget.sessionContext.ready]))
  .then(() => app.commands.execute("notebook:run-all-cells"))
  .then(() => done("ran"), error => done("error: " + error));
"""
SHOW_PLAY = """
const notebook = window.jupyterapp.shell.currentWidget.content;
notebook.scrollToItem(notebook.widgets.length - 1, "start");
"""
# Turns the first slider of the last cell, and waits for another figure; gives the milliseconds.
TURN = """
const [key, done] = arguments;
const cell = [...document.querySelectorAll(".jp-CodeCell")].at(-1);
const figure = () => cell.querySelector(".jp-OutputArea-output img")?.src;
const handle = cell.querySelector(".noUi-handle");
const [before, start] = [figure(), performance.now()];
const look = () => {
  const elapsed = performance.now() - start;
  if (figure() && figure() !== before) done(elapsed);
  else if (elapsed > 10_000) done(null);
  else requestAnimationFrame(look);
};
handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
look();
"""
OUTPUTS = """
const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
return JSON.stringify(cells.map(cell => cell.toJSON()));
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on a copy of the checkout; yields its address."""
    folder = tmp_path_factory.mktemp("lab")
    copy_without_originals(folder)
    environment = {**os.environ, "COURSEWORK_FAST": "1"}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=8899"),
        *(f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"),
        *("--LabApp.news_url=None", f"--ServerApp.root_dir={folder}"),
    ]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://localhost:8899/api/status?token={TOKEN}", timeout=5)
                break
            except OSError:
                assert server.poll() is None, (folder / "lab.log").read_text()
                time.sleep(0.5)
        yield "http://localhost:8899/lab"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"),
        *("--disable-background-networking", "--no-first-run", "--disable-sync"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    session = webdriver.Chrome(options=options, service=service)
    session.set_script_timeout(TIME_LIMIT)
    yield session
    session.quit()


@pytest.mark.parametrize("name", writeup.NOTEBOOKS)
def test_runs_in_jupyterlab(name, lab, browser):
    browser.get(f"{lab}?token={TOKEN}&reset")
    for _ in range(240):
        if browser.execute_script("return Boolean(window.jupyterapp)"):
            break
        time.sleep(0.5)
    assert browser.execute_async_script(RUN_ALL, f"{name}.ipynb") == "ran"
    cells = json.loads(browser.execute_script(OUTPUTS))
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 3
    for cell in code:
        source = "".join(cell["source"])
        assert cell["execution_count"], f"never ran:\n{source}"
        for output in cell["outputs"]:
            assert output["output_type"] != "error", f"failed:\n{source}\n{output}"
            text = "".join(output.get("text", ""))
            assert text.count("\n") < 100, f"spills {text.count(chr(10))} lines:\n{source}"
    figures = sum("image/png" in o.get("data", {}) for cell in code for o in cell["outputs"])
    assert figures >= 4
    browser.execute_script(SHOW_PLAY)
    time.sleep(2)
    key = "ArrowDown" if name == "ica" else "ArrowRight"
    times = [browser.execute_async_script(TURN, key) for _ in range(5)]
    assert None not in times
    median = statistics.median(times)
    print(f"{name}: {median:.0f} ms from a control's move to another figure")
    assert median < 1000  # 200 is the aim where nothing else runs
    keep_screenshots(browser, name)


def keep_screenshots(browser, name):
    """Save what the browser shows, screen by screen, if COURSEWORK_SCREENSHOTS names a folder."""
    named = os.environ.get("COURSEWORK_SCREENSHOTS")
    if not named:
        return
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    scroller = "document.querySelector('.jp-Notebook .jp-WindowedPanel-outer')"
    for number in range(60):
        browser.execute_script(f"{scroller}.scrollTop = {number * 800}")
        time.sleep(0.5)
        browser.save_screenshot(folder / f"{name}-{number:02d}.png")
        if browser.execute_script(
            f"const s = {scroller}; return s.scrollTop + s.clientHeight >= s.scrollHeight - 5"
        ):
            return


# -- The write-up's pages ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A write-up made from stand-ins in the short settings; yields its folder and its runs."""
    checkout = tmp_path_factory.mktemp("writeup")
    copy_without_originals(checkout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSEWORK_FAST", "1")
        patch.delenv("COURSEWORK_DATA", raising=False)
        runs = {name: writeup.run(name, checkout) for name in writeup.NOTEBOOKS}
    writeup.publish(list(runs.values()), checkout / "writeup")
    return checkout / "writeup", runs


def show(browser, path, width, scheme):
    """Open a page in a window of a given width; return what the browser asked for and said."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    for log in ("performance", "browser"):
        browser.get_log(log)  # of the page before
    browser.get(path.as_uri())
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return requests, browser.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("name", ["index", *writeup.NOTEBOOKS])
def test_a_page_in_a_browser(name, width, scheme, published, browser):
    folder, runs = published
    path = folder / f"{name}.html"
    requests, errors = show(browser, path, width, scheme)
    assert errors == []
    assert [url for url in requests if url != path.as_uri() and not url.startswith("data:")] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    text = browser.execute_script("return document.body.innerText")
    code = browser.execute_script(
        "return [...document.querySelectorAll('pre')].map(pre => pre.innerText)"
    )
    for part in code:
        text = text.replace(part, "")
    assert "$" not in text
    assert "\\frac" not in text
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().width)"
    )
    assert all(formula > 0 for formula in drawn)
    broken = browser.execute_script(
        "return [...document.images].filter(image => !image.naturalWidth).map(image => image.alt)"
    )
    assert broken == []
    background, ink = (
        browser.execute_script(f"return getComputedStyle(document.documentElement).{property}")
        for property in ("backgroundColor", "color")
    )
    assert (brightness(background) > brightness(ink)) == (scheme == "light")
    if name != "index":
        assert len(drawn) == count_formulas(runs[name].notebook)
        assert len(browser.find_elements("tag name", "audio")) == 11 * (name == "ica")
        assert len(browser.find_elements("css selector", "main > figure > a img")) == len(
            pages.figures(runs[name].notebook, name)
        )
    keep_page(browser, f"{name}-{width}-{scheme}.png", width)


def brightness(color):
    return sum(int(level) for level in re.findall(r"\d+", color)[:3])


def keep_page(browser, name, width):
    """Save the whole page as a picture, if COURSEWORK_SCREENSHOTS names a folder."""
    named = os.environ.get("COURSEWORK_SCREENSHOTS")
    if named:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip}
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", options)
        Path(named).mkdir(parents=True, exist_ok=True)
        (Path(named) / name).write_bytes(base64.b64decode(picture["data"]))
