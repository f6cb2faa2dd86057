"""Each notebook in a real JupyterLab in a real browser: every cell runs, every figure appears.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Run by `make test-slow`. Set
COURSEWORK_SCREENSHOTS to a folder to keep a picture of each figure, as the browser shows it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from course import writeup
from course.gallery import copy_without_originals

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
