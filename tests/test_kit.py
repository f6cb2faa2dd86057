"""The starter kit: it runs as handed out and filled in, and holds no line of a solution."""

import ast
import json
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from course import kit, visible
from course.__main__ import main
from course.judging import MANUAL, POINTS
from course.writeup import client_for

MODULES = ("kmeans", "gmm", "gda", "pca", "ica", "cvae")
NOTEBOOKS = ("kmeans_gmm", "gda", "pca", "ica", "cvae")
BOOK_NAMES = {"train_PCA": "pca", "CVAE.generation_model": "CVAE.generative_model"}
GIVEN = {  # functions of the kit that are written out
    *("hello", "euclidean_distance", "ica", "unmixer", "sigmoid", "normalize"),
    *("train", "one_hot", "to_var"),
}
COMMONPLACE = {"ifnotnp.isfinite(array).all():", "os.replace(temporary,path)"}
LEFT_BEHIND = ("textbook", "course.mistakes", "course.cases", "course.cases_cvae", "tests")


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """The kit without the stored cases, which take half a minute and have tests of their own."""
    folder = tmp_path_factory.mktemp("handed_out") / "kit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visible, "write", lambda path: path.touch())
        kit.write(folder)
    return folder


@pytest.fixture(scope="module")
def filled_in(handed_out):
    """The kit with the textbook's bodies."""
    return filled_in_copy(handed_out)


def filled_in_copy(folder):
    copy = folder.with_name("filled_in")
    shutil.copytree(folder, copy)
    for name in MODULES:
        tree = parsed(copy / f"{name}.py")
        book = functions(parsed(kit.ROOT / "textbook" / f"{name}.py"))
        for function, stub in functions(tree).items():
            if is_to_do(stub):
                stub.body = book[BOOK_NAMES.get(function, function)].body
        source = ast.unparse(tree).replace("generative_model", "generation_model")
        (copy / f"{name}.py").write_text(source, encoding="utf-8")
    return copy


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree):
    """Return the functions and methods of a module by name, a method as Class.method."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}": method for name, method in functions(node).items()}
    return found


def is_to_do(function):
    last = function.body[-1]
    return isinstance(last, ast.Raise) and last.exc.func.id == "NotImplementedError"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )


def code_cells(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


# -- As handed out -------------------------------------------------------------------------------

CALL_ALL = """
import importlib, inspect, sys

for name in sys.argv[1:]:
    file, *path = name.split(".")
    function = importlib.import_module(file)
    for part in path:
        function = getattr(function, part)
    if path[-1] == "__init__":
        function = getattr(sys.modules[file], path[0])
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    positional = [None for p in needed if p.kind is not p.KEYWORD_ONLY]
    try:
        function(*positional, **{p.name: None for p in needed if p.kind is p.KEYWORD_ONLY})
    except NotImplementedError as error:
        print(name, error)
"""


def test_every_function_to_do_says_so(handed_out):
    to_do = [
        f"{name}.{function}"
        for name in MODULES
        for function, node in functions(parsed(handed_out / f"{name}.py")).items()
        if is_to_do(node)
    ]
    assert len(to_do) == 22
    printed = run(handed_out, "-c", CALL_ALL, *to_do).stdout.splitlines()
    assert [line.split(" TODO: ")[0] for line in printed] == to_do


def test_the_order_of_arguments_is_the_textbooks(handed_out):
    for name in MODULES:
        book = functions(parsed(kit.ROOT / "textbook" / f"{name}.py"))
        for function, stub in functions(parsed(handed_out / f"{name}.py")).items():
            if is_to_do(stub):
                theirs = book[BOOK_NAMES.get(function, function)]
                assert ast.unparse(stub.args) == ast.unparse(theirs.args), f"{name}.{function}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_have_questions_and_empty_answers(name, handed_out):
    notebook = nbformat.read(handed_out / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "*Answer.*" not in text and "*Your answer.*" in text
    assert not re.search("textbook|callback|compare|verdict|reg_covar|write-up", text)
    for source in code_cells(notebook):
        assert source.strip()
        compile(source, name, "exec")
    # Every question of the project's notebook is there.
    own = nbformat.read(kit.ROOT / f"{name}.ipynb", as_version=4)
    questions = sum(cell.source.count("*Question.*") for cell in own.cells)
    assert text.count("*Question.*") == questions > 0
    assert all(cell.metadata == {} for cell in notebook.cells)


def test_every_student_may_read_the_kit(handed_out):
    modes = {oct(path.stat().st_mode & 0o777) for path in handed_out.rglob("*") if path.is_file()}
    assert modes == {"0o644"}
    folders = (handed_out, handed_out / "data", handed_out / "course")
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o755"}


def test_the_readme_names_the_helpers_that_are_needed(handed_out):
    """Functions to do that are not marked, and that the notebooks or `gda.py` call all the same."""
    text = (handed_out / "README.md").read_text(encoding="utf-8")
    called = {"log_density"}  # by gda.py
    for name in ("kmeans_gmm", "pca", "ica", "cvae"):
        source = "\n".join(code_cells(nbformat.read(handed_out / f"{name}.ipynb", as_version=4)))
        called |= set(re.findall(r"\b(?:kmeans|gmm|pca|ica|cvae)\.([a-z]\w+)", source))
    to_do = {
        function
        for name in MODULES
        for function, node in functions(parsed(handed_out / f"{name}.py")).items()
        if is_to_do(node)
    }
    assert {f for f in called & to_do if f"`{f}`" not in text} == set()


def test_an_answer_keeps_its_comment_and_a_cell_needs_one_tag():
    code = nbformat.v4.new_code_cell("# What is wanted.\n# In nats.\nx = 1  # no\n# no")
    code.metadata.tags = ["answer"]
    prose = nbformat.v4.new_markdown_cell("*Answer.* 42")
    prose.metadata.tags = ["answer", "folded"]
    notebook = nbformat.v4.new_notebook(cells=[code, prose])
    sources = [cell.source for cell in kit.for_students(notebook).cells]
    assert sources == ["# What is wanted.\n# In nats.", "*Your answer.*"]
    prose.metadata.tags = []
    with pytest.raises(ValueError, match=f"cell {prose.id} must have one tag"):
        kit.for_students(notebook)


def test_the_readme_has_the_points_of_every_part(handed_out):
    text = (handed_out / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"\b(\d)\(([a-f])\) (\d+)\b", text)
    assert {problem + part: int(points) for problem, part, points in found} == POINTS | MANUAL
    assert f"| | {sum(POINTS.values())} | {sum(MANUAL.values())} |" in text


def test_the_requirements_are_some_of_the_projects(handed_out):
    ours = (kit.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    theirs = (handed_out / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in theirs if "==" in line} < set(ours)


def test_a_folder_with_something_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "kmeans.py").touch()
    for place in (tmp_path, tmp_path / "kmeans.py"):
        with pytest.raises(SystemExit, match="2"):
            main(["starter", str(place)])
        assert f"{place} is there and not empty; name another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kmeans.py"]


def test_graded_as_handed_out_it_gets_nothing(handed_out, tmp_path):
    record = graded(handed_out, tmp_path)
    assert record["score"] == 0
    assert {test["extra_data"]["code"] for test in marked(record)} == {40}


def graded(folder, out):
    """Return the results of the project's grader."""
    command = ("-m", "course", "grade", str(folder), "--out", str(out))
    done = run(kit.ROOT, *command)
    assert done.returncode == 0, done.stderr
    return json.loads((out / folder.name / "results.json").read_text(encoding="utf-8"))


def marked(record):
    return [test for test in record["tests"] if test["extra_data"]["part"] in POINTS]


# -- Filled in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_run_with_the_textbooks_bodies(name, filled_in, monkeypatch):
    monkeypatch.delenv("COURSEWORK_DATA", raising=False)
    notebook = nbformat.read(filled_in / f"{name}.ipynb", as_version=4)
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    settings.source = re.sub("PASSES = .*", "PASSES = {0.01: 1}", settings.source)  # of 16
    settings.source = re.sub("NUM_EPOCHS = .*", "NUM_EPOCHS = 1", settings.source)  # of 10
    client_for(notebook, filled_in, timeout=60).execute()
    assert any("image/png" in str(cell.get("outputs")) for cell in notebook.cells)


@pytest.mark.slow
def test_a_filled_in_kit_gets_every_point(tmp_path):
    main(["starter", str(tmp_path / "kit")])
    before = run(tmp_path / "kit", "-m", "course", "check")
    assert before.returncode == 1 and "0 of 45 cases pass, 0 points." in before.stdout
    assert "1(a)  NotImplementedError: TODO: take the steps" in before.stdout
    folder = filled_in_copy(tmp_path / "kit")
    after = run(folder, "-m", "course", "check")
    assert after.returncode == 0 and after.stdout.endswith("45 of 45 cases pass, 38 points.\n")
    assert graded(folder, tmp_path / "out")["score"] == sum(POINTS.values())


# -- No solution ---------------------------------------------------------------------------------


def solution_lines():
    """Return the lines of our functions, as `ast` writes them, but those of given ones."""
    solution, given = set(), set()
    for path in [
        kit.ROOT / folder / f"{name}.py" for folder in ("", "textbook") for name in MODULES
    ]:
        for name, function in functions(parsed(path)).items():
            body = function.body[bool(ast.get_docstring(function)) :]
            lines = map(squeezed, "\n".join(map(ast.unparse, body)).splitlines())
            (given if name in GIVEN else solution).update(filter(is_telling, lines))
    return solution - given


def squeezed(text):
    return re.sub(r"\s", "", text).replace('"', "'")


def is_telling(line):
    if line in COMMONPLACE or line.startswith(("raise", "def", "import", "with", "except")):
        return False
    return len(line) >= 24 or bool(re.search(r"@|\b(sum|mean|exp|log)\(", line))


def test_no_line_of_a_solution_leaves(handed_out):
    lines = solution_lines()
    assert len(lines) > 300
    assert squeezed("palette = np.rint(centroids).clip(0, 255).astype(np.uint8)") in lines
    for path in handed_out.rglob("*"):
        if path.suffix in (".py", ".md", ".ipynb", ".json", ".txt"):
            assert lines_in(path) & lines == set(), path


def lines_in(path):
    """Return the lines of a file, squeezed; those of Python also as `ast` writes them."""
    text = path.read_text(encoding="utf-8")
    sources = [text]
    if path.suffix == ".ipynb":
        notebook = nbformat.reads(text, as_version=4)
        sources = [cell.source for cell in notebook.cells]
        sources += map(rewritten, code_cells(notebook))
    elif path.suffix == ".py":
        sources.append(rewritten(text))
    return {squeezed(line) for source in sources for line in source.splitlines()}


def rewritten(source):
    return ast.unparse(ast.parse(source))


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_the_solution_is_not_there(name, handed_out):
    assert f"No module named '{name}'" in run(handed_out, "-c", f"import {name}").stderr
    assert not (handed_out / name.replace(".", "/")).with_suffix(".py").exists()
    assert not (handed_out / name.replace(".", "/")).exists()


def test_results_are_not_there(handed_out):
    text = (handed_out / "data" / "reference.json").read_text(encoding="utf-8")
    names = {name for numbers in json.loads(text).values() for name in numbers}
    assert names == kit.GIVEN_NUMBERS
