"""The sandbox: hostile submissions earn nothing, harm nothing, and leave nothing running."""

import errno
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from course import report, sandbox
from course.marking import mark
from course.sandbox import Limits, Sandbox, SubmissionError, available_levels, unpacked
from tests.submissions import hostile

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "1a.2", "3b.2"  # one case of k-means, and one of a file that nobody has touched


@pytest.fixture(params=sandbox.LEVELS)
def level(request):
    """Each level in turn; one that this machine lacks is skipped, but never in CI."""
    if request.param not in available_levels():
        if os.environ.get("CI") and sys.platform == "linux":
            pytest.fail(f"{request.param} does not work here; .ci/run should have seen to it")
        pytest.skip(f"this machine has no level {request.param}")
    return request.param


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(sandbox, "PATIENCE", 0.2)


@pytest.fixture(autouse=True)
def nothing_left_running(monkeypatch):
    """Mark what this test starts, and look for it at the end; others may be grading meanwhile."""
    own, token = f"test-{os.getpid()}-", sandbox.secrets.token_hex
    monkeypatch.setattr(sandbox.secrets, "token_hex", lambda size: own + token(size))
    yield
    assert [process for process in psutil.process_iter() if is_marked(process, own)] == []


def is_marked(process, own):
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.environ().get(sandbox.MARK, "").startswith(own)
    except (psutil.Error, OSError):
        return False


def submission(folder, body):
    """Write a submission whose k-means is hostile and whose PCA is right."""
    folder.mkdir()
    (folder / "kmeans.py").write_text(hostile.module(body), encoding="utf-8")
    text = (ROOT / "textbook" / "pca.py").read_text(encoding="utf-8")
    (folder / "pca.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", hostile.BODIES)
def test_hostile_code_gets_nothing_and_the_other_file_keeps_its_points(name, level, tmp_path):
    body, codes = hostile.BODIES[name]
    start = time.monotonic()
    kmeans, pca = mark(submission(tmp_path / "s", body), 1, level, SAMPLE, jobs=1)
    assert kmeans.score == 0 and kmeans.verdict.code in codes, kmeans.verdict
    assert pca.score == pca.case.points
    assert time.monotonic() - start < 30


@pytest.fixture(scope="module")
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


STOPPED = [  # what each level stops, as the table in course/README.md says
    *(("bubblewrap", name) for name in hostile.DEEDS),
    *(("user", name) for name in hostile.DEEDS if name != "the network"),
]


@pytest.mark.parametrize(("level", "name"), STOPPED, indirect=["level"])
def test_deeds_are_stopped_where_the_level_says_so(name, level, tmp_path, server):
    outside = tmp_path / "outside.json"
    words = {"root": str(ROOT), "outside": str(outside), "port": server, "parent": os.getpid()}
    body = hostile.DEEDS[name].format(**words)
    kmeans, pca = mark(submission(tmp_path / "s", body), 1, level, SAMPLE, jobs=1)
    assert kmeans.score == 0 and kmeans.verdict.code == 2, kmeans.verdict
    assert pca.score == pca.case.points
    assert not outside.exists()


def test_a_daemon_is_found_and_killed(level, tmp_path):
    kmeans, _ = mark(submission(tmp_path / "s", hostile.DAEMON), 1, level, SAMPLE, jobs=1)
    assert kmeans.verdict.code == 0  # its answer was right


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "import os; os._exit(0)", "1 / 0"])
def test_a_file_that_fails_at_import_costs_its_own_parts_only(code, level, tmp_path):
    folder = submission(tmp_path / "s", "return None")
    (folder / "kmeans.py").write_text(code)
    kmeans, pca = mark(folder, 1, level, SAMPLE, jobs=1)
    assert kmeans.score == 0 and pca.score == pca.case.points


def test_an_endless_function_is_given_up_after_two_cases(tmp_path):
    folder = submission(tmp_path / "s", "while True: pass")
    start = time.monotonic()
    marks = mark(folder, 1, available_levels()[0], tuple(f"1a.{n}" for n in range(2, 8)), jobs=1)
    assert {m.verdict.code for m in marks} == {70}
    assert sum("not tried" in m.verdict.detail for m in marks) == 4
    assert time.monotonic() - start < 20


# What comes in


def test_links_are_not_followed(tmp_path):
    folder = submission(tmp_path / "s", "return None")
    (folder / "secret.py").symlink_to("/etc/passwd")
    (folder / "all").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with unpacked(folder) as copy:
        assert sorted(path.name for path in copy.iterdir()) == ["kmeans.py", "pca.py"]


def zipped(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def test_a_zip_stays_inside_its_folder(tmp_path):
    link = zipfile.ZipInfo("link.py")
    link.external_attr = 0o120777 << 16
    path = zipped(
        tmp_path / "s.zip", ("../outside.py", "1"), ("/tmp/outside.py", "1"), (link, "/etc/passwd"),
        ("hw5/kmeans.py", "x = 1"), ("__MACOSX/hw5/kmeans.py", "junk"),
    )  # fmt: skip
    with unpacked(path) as copy:
        assert [file.name for file in copy.rglob("*.py")] == ["kmeans.py"]
    assert not (tmp_path / "outside.py").exists()


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "MAX_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "bomb.zip", ("kmeans.py", b"0" * (1 << 22)))
    with pytest.raises(SubmissionError, match="more than"), unpacked(bomb):
        pass
    many = zipped(tmp_path / "many.zip", *((f"{n}.py", "") for n in range(sandbox.MAX_FILES + 1)))
    with pytest.raises(SubmissionError, match="more than"), unpacked(many):
        pass
    marks = mark(bomb, 1, "process", SAMPLE)
    assert {m.verdict.code for m in marks} == {73} and sum(m.score for m in marks) == 0


def test_what_cannot_be_unpacked_is_refused(tmp_path):
    broken = zipped(tmp_path / "broken.zip", ("kmeans.py", os.urandom(100) * 100))
    content = bytearray(broken.read_bytes())
    content[41:60] = b"\xff" * 19  # zlib's own error is no ValueError
    broken.write_bytes(content)
    deep = zipped(tmp_path / "deep.zip", ("a/" * 100 + "kmeans.py", ""), ("kmeans.py", ""))
    (tmp_path / "s" / "/".join("a" * 100)).mkdir(parents=True)
    for path in (broken, deep, tmp_path / "s"):
        with pytest.raises(SubmissionError, match="unpacked|deeper"), unpacked(path):
            pass


def test_a_folder_beside_a_readme_is_found_and_an_environment_passed_over(tmp_path):
    folder = submission(tmp_path / "s", "return None")
    for name in (".git/hook.py", "venv/pyvenv.cfg", "venv/lib/junk.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    with unpacked(folder) as copy:
        assert sorted(path.name for path in copy.rglob("*")) == ["kmeans.py", "pca.py"]
    path = zipped(tmp_path / "s.zip", ("README.txt", ""), ("hw5/kmeans.py", ""), (".git/x.py", ""))
    with unpacked(path) as copy:
        assert [file.name for file in copy.iterdir()] == ["kmeans.py"]


def test_names_in_another_encoding_are_no_trouble(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/L\xf6sung.py")).write_text("")
    with unpacked(tmp_path) as copy:
        assert len(report.digest(copy)) == 64


def test_what_is_no_submission_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no zip")
    neither = pytest.raises(SubmissionError, match="neither a folder nor a zip")
    with neither, unpacked(tmp_path / "notes.txt"):
        pass


def five(folder):
    return [(f"{folder}{name}", "x = 1") for name in sandbox.MODULES]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([*five("hw3/"), ("extra/util.py", ""), ("extra/pca.py", "")], "hw3"),
        ([*five("a/hw3/"), ("a/setup.py", "")], "a/hw3"),
        ([*five("hw3\\"), ("hw3\\", "")], "hw3"),
        ([*five("one/more/"), *five("two/")], "two"),
        ([*five(""), *five("old/")], ""),
        ([("src/util.py", ""), ("report.ipynb", "{}")], ""),
        ([("hw3", ""), *five("hw3/")], "hw3"),  # a file of the folder's name
        ([("hw3/" + "x" * 300, ""), ("y" * 300 + "/z", ""), *five("hw3/")], "hw3"),
    ],
)
def test_the_folder_with_most_of_the_modules_is_taken(entries, found, tmp_path):
    with unpacked(zipped(tmp_path / "s.zip", *entries)) as copy:
        assert copy.parts[copy.parts.index("files") + 1 :] == Path(found).parts
        modules = {path.name for path in copy.glob("*.py")}
        assert modules == (set(sandbox.MODULES) if len(entries) > 2 else set())


def test_a_name_that_is_not_the_utf_8_it_claims_to_be_costs_no_other_file(tmp_path):
    path = zipped(tmp_path / "s.zip", ("\u00e9", ""), *five("hw3/"))
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with unpacked(path) as copy:
        assert {file.name for file in copy.iterdir()} == set(sandbox.MODULES)


def test_a_zip_of_zips_is_to_be_unpacked_first(tmp_path):
    one = zipped(tmp_path / "one.zip", ("pca.py", ""))
    outer = zipped(tmp_path / "outer.zip", ("one.zip", one.read_bytes()))
    with pytest.raises(SubmissionError, match="only zips; unpack it first"), unpacked(outer):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO])
def test_what_the_machine_lacks_is_not_the_fault_of_the_zip(number, tmp_path, monkeypatch):
    path = zipped(tmp_path / "s.zip", ("pca.py", ""))

    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zipfile.ZipFile, "open", fails)
    with pytest.raises(OSError) as caught, unpacked(path):
        pass
    assert caught.value.errno == number


@pytest.mark.skipif("user" not in available_levels(), reason="needs root")
def test_no_user_is_shared_with_a_process_and_no_group_with_a_copy(tmp_path, monkeypatch):
    folder, first = submission(tmp_path / "s", "return None"), sandbox.FIRST_ID
    with subprocess.Popen(["sleep", "60"], user=first) as other, unpacked(folder) as copy:
        taken = copy.stat().st_gid
        monkeypatch.setattr(sandbox, "_ids", itertools.cycle([taken, taken + 1]))
        with unpacked(folder) as another:
            assert another.stat().st_gid == taken + 1
        monkeypatch.setattr(sandbox, "_ids", itertools.cycle([first, first + 1]))
        with Sandbox(copy, "user") as box:
            assert box.uid == first + 1
        assert other.poll() is None  # nobody has killed it
        other.kill()


# What comes back


def answer(folder, body):
    (folder / "answer.py").write_text(f"import numpy as np\ndef run(x=None, **o):\n    {body}\n")
    return folder


def run(folder, body, *arguments, level="process", **options):
    with unpacked(answer(folder, body)) as copy, Sandbox(copy, level) as box:
        return box.call("answer", ["run"], list(arguments), **options)


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.float32(2), np.eye(2, dtype=bool)]
)
def test_arrays_come_back_as_they_are(array, tmp_path):
    reply = run(tmp_path, "return x, [x, 1.5, None]", np.asarray(array))
    first, (second, number, nothing) = reply.result
    assert reply.status == "answer" and (number, nothing) == (1.5, None)
    for copy in (first, second, reply.arguments[0]):
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)


def test_fortran_order_and_changed_arguments_come_back(tmp_path):
    reply = run(tmp_path, "x[0] = 7; return np.asfortranarray(x)", np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(reply.result, [[7, 7, 7], [3, 4, 5]])
    np.testing.assert_array_equal(reply.arguments[0], reply.result)


def test_an_npy_is_taken_for_numbers_of_the_size_it_has_only():
    for array in (np.array([{}]), np.array(["text"]), np.zeros(2, dtype="i4,f8")):
        file = io.BytesIO()
        np.save(file, array)
        with pytest.raises(ValueError):
            sandbox._array(file.getvalue())
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    with pytest.raises(ValueError):
        sandbox._array(file.getvalue().replace(b"(3,)", b"(9,)"))


def forged(header, content=b""):
    """Return a body that writes a message of its own to the grader."""
    line = json.dumps({"status": "answer", "arguments": [], "sizes": [len(content)], **header})
    message = line.encode() + b"\n" + content
    return f"import os, sys, time; os.write(int(sys.argv[2]), {message!r}); time.sleep(1)"


def npy(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    "body",
    [
        "return 10**400",
        forged({"sizes": [float("inf")]}),
        forged({"sizes": [-1]}),
        forged({"status": []}),
        forged({"status": "ready", "sizes": []}) + "; import signal; os.kill(os.getpid(), 9)",
        *(
            forged({"result": {"array": 0}}, npy(header))
            for header in (
                '{"descr": """',  # a TokenError
                f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**70}, 0)}}\n",
                "(" * 9000,
            )
        ),
    ],
)
def test_a_message_that_cannot_be_read_is_the_childs_fault(body, tmp_path):
    assert run(tmp_path, body).status == "died"


def test_bytes_that_trickle_do_not_stop_the_clock(tmp_path):
    body = (
        "import os, sys, time\n    while True: os.write(int(sys.argv[2]), b' '); time.sleep(2e-3)"
    )
    assert run(tmp_path, body, limits=Limits(seconds=2.0)).status == "time"


def test_what_is_said_can_be_written_to_a_file(tmp_path):
    reply = run(tmp_path, "raise ValueError(chr(0xd800) + 'x' * 9999)")
    assert reply.status == "exception" and len(reply.detail.encode()) <= 3000


@pytest.mark.parametrize("level", ["user", "process"], indirect=True)
def test_a_deep_scratch_folder_is_removed(level, tmp_path):
    body = "import os\n    for n in range(1500): os.mkdir('a'); os.chdir('a')"
    with unpacked(answer(tmp_path, body)) as copy, Sandbox(copy, level) as box:
        assert box.call("answer", ["run"], []).status == "answer"
        scratch = box._scratch
    assert not scratch.exists()


def test_memory_and_processor_time_are_watched(tmp_path):
    limits = Limits(seconds=60.0, memory=400 << 20)
    assert run(tmp_path, "return np.ones(1 << 27).sum()", limits=limits).status == "memory"
    limits = Limits(seconds=2.0)  # times the patience of these tests
    reply = run(tmp_path, "while True: pass", limits=limits)
    assert reply.status == "time"  # by the processor's clock, or on a busy machine by the other


def test_an_exception_tells_where(tmp_path):
    reply = run(tmp_path, "return 1 / 0")
    assert reply.status == "exception"
    assert "answer.py" in reply.detail and "ZeroDivisionError" in reply.detail
    assert run(tmp_path, "raise NotImplementedError('TODO')").status == "not implemented"
