"""Downloads, against a real server on this machine; nothing here uses the network."""

import contextlib
import gzip
import hashlib
import os
import resource
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import types
from collections import defaultdict
from http.client import IncompleteRead
from pathlib import Path

import numpy as np
import pytest

import data
import data.__main__
from data import download, loaders
from tests.conftest import ROOT
from tests.data.conftest import IMAGES, LABELS, LARGE, SMALL, left_in, unprivileged, write

BODY = np.random.default_rng(3).bytes(300_000)
HALF, REST = BODY[:150_000], BODY[150_000:]
NAME = "some.bin"
SHA256, BLOBS = hashlib.sha256(BODY).hexdigest(), {download.git_blob_sha1(BODY)}


def http(body=b"", status="200 OK", **headers):
    """Return an answer as it goes over the wire, with no length unless one is given."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", "connection: close", *lines, "\r\n"]).encode() + body


def sends(body, **headers):
    return [http(body, **{"content_length": len(body)} | headers)]


def chunks(body):
    return b"%x\r\n%b\r\n" % (len(body), body)


# Answers: bytes are sent, numbers are seconds of silence, functions are called.
whole = sends(BODY)
gzipped = sends(gzip.compress(BODY), content_encoding="gzip")
chunked = [http(chunks(HALF) + chunks(REST) + chunks(b""), transfer_encoding="chunked")]
page = sends(b"<!DOCTYPE html>\n<title>Please log in</title>")
missing = sends(b"", status="404 Not Found")
broken = sends(b"", status="503 Service Unavailable")
breaks_off = sends(HALF, content_length=len(BODY))
silent = [60]
stalls = [*breaks_off, 60]
trickles = [http(content_length=len(BODY)), *[b"x", 0.02] * 1000]


def redirects_to(path):
    return sends(b"", status="302 Found", location=path)


class Request(socketserver.StreamRequestHandler):
    def handle(self):
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():  # headers
            pass
        with self.server.lock:
            self.server.paths.append(path)
            answers = self.server.answers[path]
            answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else missing
        with contextlib.suppress(OSError):  # the client has had enough
            for part in answer:
                if isinstance(part, bytes):
                    self.wfile.write(part)
                elif callable(part):
                    part()
                elif self.server.over.wait(part):
                    break


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.answers = defaultdict(list)  # path -> what to do at each request; the last is repeated
        self.paths = []  # of the requests that came
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def hasty(monkeypatch):
    """One small file to download, and no pause between two tries."""
    monkeypatch.setattr(download, "SHA256", {NAME: SHA256})
    monkeypatch.setattr(download, "BLOBS", {NAME: BLOBS})
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda seconds: None))


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    "answers",
    [
        [whole],
        [gzipped],
        [chunked],
        [[http(BODY)]],  # the end of the connection is the end of the file
        [redirects_to("/elsewhere/file")],
        [broken, whole],
        [page, whole],
        [breaks_off, whole],
        [missing, sends(HALF), whole],
    ],
)
def test_fetch(tmp_path, server, hasty, answers):
    server.answers[f"/m/{NAME}"] = list(answers)
    server.answers["/elsewhere/file"] = [whole]
    before = os.umask(0o027)
    try:
        path = download.fetch(NAME, tmp_path / "new" / "folder", mirrors=[f"{server.url}/m/"])
    finally:
        os.umask(before)
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == BODY
    assert left_in(path.parent) == [NAME]
    assert path.stat().st_mode & 0o777 == 0o640
    assert len([p for p in server.paths if p.startswith("/m/")]) == len(answers)


@pytest.mark.parametrize(
    ("answer", "words", "limits"),
    [
        (missing, "404 Client Error", {}),
        (broken, "503 Server Error", {}),
        (page, "not the original but 44 bytes that start with b'<!DOCTYPE html>'", {}),
        (sends(BODY[::-1]), "not the original but 300000 bytes", {}),
        (sends(b""), "not the original but 0 bytes", {}),
        (sends(HALF), "not the original but 150000 bytes", {}),
        (breaks_off, "it broke off", {}),
        ([http(chunks(HALF), transfer_encoding="chunked")], "it broke off", {}),
        (sends(gzip.compress(BODY)[:-100], content_encoding="gzip"), "not the original", {}),
        (sends(b"\x1f\x8b" + bytes(100), content_encoding="gzip"), "it broke off", {}),
        (redirects_to(f"/{NAME}"), "Exceeded 30 redirects", {}),
        (redirects_to("/nowhere"), "404 Client Error", {}),
        (silent, "does not answer (ReadTimeout)", {"stall_limit": 0.2}),
        (stalls, "Read timed out", {"stall_limit": 0.8}),
        (trickles, "not done after 0.4 seconds", {"time_limit": 0.4}),  # of 20
    ],
)
def test_failed_fetch_leaves_nothing(tmp_path, server, hasty, answer, words, limits):
    server.answers[f"/{NAME}"] = [answer]
    with pytest.raises(download.DownloadError) as caught:
        download.fetch(NAME, tmp_path, mirrors=[server.url], **limits)
    message = str(caught.value)
    assert words in message
    assert message.startswith("127.0.0.1:")
    assert "\n" not in message
    assert left_in(tmp_path) == []
    if "redirects" not in words:
        assert server.paths.count(f"/{NAME}") == download.TRIES
    assert caught.value.unreachable == ([server.url] if answer is silent else [])


def test_second_mirror(tmp_path, server, hasty):
    server.answers[f"/first/{NAME}"] = [page]
    server.answers[f"/second/{NAME}"] = [broken, whole]
    mirrors = [closed_port(), f"{server.url}/first", f"{server.url}/second"]
    assert download.fetch(NAME, tmp_path, mirrors=mirrors).read_bytes() == BODY
    assert server.paths == [f"/first/{NAME}"] * 3 + [f"/second/{NAME}"] * 2
    assert left_in(tmp_path) == [NAME]


def test_no_network(tmp_path, hasty):
    mirrors = [closed_port(), closed_port()]
    with pytest.raises(download.DownloadError, match=r"does not answer \(ConnectionError\); ") as e:
        download.fetch(NAME, tmp_path, mirrors=mirrors)
    assert e.value.unreachable == mirrors
    with pytest.raises(download.DownloadError, match="no mirror answers"):
        download.fetch(NAME, tmp_path, mirrors=[])
    assert left_in(tmp_path) == []


def test_a_file_that_is_there_is_left_alone(tmp_path, server, hasty):
    server.answers[f"/{NAME}"] = [whole]
    download.fetch(NAME, tmp_path, mirrors=[server.url])
    assert download.fetch(NAME, tmp_path, mirrors=[server.url]) == tmp_path / NAME
    (tmp_path / NAME).write_bytes(b"my own")
    with pytest.raises(download.DownloadError, match="is there, but is not the original: move"):
        download.fetch(NAME, tmp_path, mirrors=[server.url])
    assert (tmp_path / NAME).read_bytes() == b"my own"
    assert server.paths == [f"/{NAME}"]


def test_full_disk(tmp_path, server, hasty):
    """A limit on the size of a file gives the error that a full disk gives, on any machine."""
    server.answers[f"/{NAME}"] = [whole]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(download.DownloadError, match="cannot be saved in .*: File too large"):
            download.fetch(NAME, tmp_path, mirrors=[server.url, server.url])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_in(tmp_path) == []
    assert server.paths == [f"/{NAME}"]  # to try again would not help
    download.fetch(NAME, tmp_path, mirrors=[server.url])


def test_where_nothing_can_be_saved(public, server, hasty):
    write(public / "file", b"")
    public.chmod(0o555)
    with unprivileged(), pytest.raises(download.DownloadError, match="saved in .*: Permission d"):
        download.fetch(NAME, public, mirrors=[server.url])
    with pytest.raises(download.DownloadError, match="cannot be saved in"):
        download.fetch(NAME, public / "file", mirrors=[server.url])
    assert left_in(public) == ["file"]
    assert server.paths == []


# In another process, with another mirror and folder: one download, or `python -m data`.
SET_UP = f"""
import runpy, sys
from pathlib import Path
from data import download, loaders
mirror, folder = sys.argv[1], Path(sys.argv[2])
download.SHA256, download.BLOBS = {{{NAME!r}: {SHA256!r}}}, {{{NAME!r}: {BLOBS}}}
"""
FETCH = f"{SET_UP}download.fetch({NAME!r}, folder, mirrors=[mirror])"
MAIN = f"""{SET_UP}
download.MIRRORS, loaders.FOLDER, sys.argv[1:] = [mirror], folder, []
runpy.run_module("data", run_name="__main__")
"""


def start_process(code, server, folder):
    command = [sys.executable, "-c", code, server.url, str(folder)]
    environment = {k: v for k, v in os.environ.items() if k != "COURSEWORK_DATA"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_download(tmp_path, server, hasty, number):
    server.answers[f"/{NAME}"] = [stalls, whole]
    process = start_process(MAIN, server, tmp_path)
    deadline, size = time.monotonic() + 30, 0
    while not size:  # until it is midway
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(FileNotFoundError):  # the file is made, removed and made again
            size = sum(path.stat().st_size for path in tmp_path.iterdir())
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (out, err) == ("", "")
    if number == signal.SIGKILL:
        assert process.returncode == -number
        assert all(name.startswith("tmp") for name in left_in(tmp_path))  # as in .gitignore
    else:
        assert process.returncode == 128 + number
        assert left_in(tmp_path) == []
    assert download.fetch(NAME, tmp_path, mirrors=[server.url]).read_bytes() == BODY


def test_two_processes_at_once(tmp_path, server):
    both_are_here = threading.Barrier(2, timeout=30)
    together = [*breaks_off, both_are_here.wait, REST]
    server.answers[f"/{NAME}"] = [together]
    processes = [start_process(FETCH, server, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    assert len(server.paths) == 2
    assert left_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == BODY


def test_git_blob_sha1(tmp_path):
    (tmp_path / "file").write_bytes(b"a\r\nb\0")
    command = ["git", "hash-object", "--no-filters", str(tmp_path / "file")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert download.git_blob_sha1(b"a\r\nb\0") == run.stdout.strip()


# MNIST comes through torchvision, here a false one

MNIST_NAMES = [Path(name).name for name in loaders.FILES["train"] + loaders.FILES["test"]]


@pytest.fixture
def torchvision(monkeypatch):
    """Return a function that puts a class in the place of `torchvision.datasets.MNIST`."""

    def install(download_into):
        def mnist(root, download=False):
            assert download
            raw = Path(root) / "MNIST" / "raw"
            raw.mkdir(parents=True)
            download_into(raw)

        monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace())
        monkeypatch.setitem(sys.modules, "torchvision.datasets", types.SimpleNamespace(MNIST=mnist))

    return install


def writes_all(raw):
    assert socket.getdefaulttimeout() == download.STALL_LIMIT
    for name in MNIST_NAMES:
        (raw / name).write_text(name)
        (raw / f"{name}.gz").write_text("packed")


def test_fetch_mnist(tmp_path, torchvision):
    torchvision(writes_all)
    own = tmp_path / "new" / "MNIST" / "raw" / MNIST_NAMES[0]
    write(own, b"my own")
    assert download.fetch_mnist(tmp_path / "new") == own.parent
    assert left_in(tmp_path / "new") == sorted(["MNIST", "raw", *MNIST_NAMES])
    assert own.read_bytes() == b"my own"
    assert all((own.parent / name).read_text() == name for name in MNIST_NAMES[1:])
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (RuntimeError("Error downloading x:\nTried y, got:\nz"), download.DownloadError, "^Error"),
        (TimeoutError("timed out"), download.DownloadError, "^timed out$"),
        (OSError(28, "No space left on device"), download.DownloadError, "No space left"),
        (IncompleteRead(b"12"), download.DownloadError, "IncompleteRead"),
        (EOFError(), download.DownloadError, "^EOFError$"),
        (KeyboardInterrupt("now"), KeyboardInterrupt, "now"),
        (SystemExit(143), SystemExit, "143"),
    ],
)
def test_failed_fetch_of_mnist_leaves_nothing(tmp_path, torchvision, error, expected, words):
    def fails(raw):
        (raw / MNIST_NAMES[0]).write_text("half")
        raise error

    torchvision(fails)
    with pytest.raises(expected, match=words) as caught:
        download.fetch_mnist(tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []
    assert socket.getdefaulttimeout() is None


def test_interrupted_while_mnist_is_moved_into_place(tmp_path, torchvision, monkeypatch):
    def interrupted(source, target, moved=[]):  # noqa: B006
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(target)
        os.rename(source, target)

    torchvision(writes_all)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download.os, "replace", interrupted)
        download.fetch_mnist(tmp_path)
    assert left_in(tmp_path) == sorted(["MNIST", "raw", *MNIST_NAMES[:2]])
    download.fetch_mnist(tmp_path)
    assert all((tmp_path / "MNIST" / "raw" / name).read_text() == name for name in MNIST_NAMES)


def test_torchvision_that_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(download.DownloadError, match=r"^torchvision cannot be imported: \S"):
        download.fetch_mnist(tmp_path)
    assert left_in(tmp_path) == []


# python -m data


def test_everything_is_fetched_once(originals, folder, server, torchvision, monkeypatch, capsys):
    """From next to nothing to all originals; a second run finds them and asks nobody."""
    for name in loaders.FILES["test"]:  # half of MNIST is not enough
        write(loaders.FOLDER / name, (originals / name).read_bytes())
    for name in download.BLOBS:
        server.answers[f"/{name}"] = [sends((originals / name).read_bytes())]
    # The recovered recording may be not the original text.
    recording = download.git_blob_sha1((originals / "ica_data.dat").read_bytes())
    monkeypatch.setitem(download.BLOBS, "ica_data.dat", {recording})
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    raw = originals / "MNIST" / "raw"
    torchvision(lambda work: [(work / name).symlink_to(raw / name) for name in MNIST_NAMES])
    fetched = [f"{name}: fetched" for name in (*download.BLOBS, "MNIST")]
    files = [loaders.FOLDER / name for names in loaders.FILES.values() for name in names]
    for said in (fetched, []):
        assert data.__main__.main([]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out.splitlines() == said + [f"{path}: the original" for path in files]
        assert server.paths == [f"/{name}" for name in download.BLOBS]


@pytest.fixture
def own_hashes(folder, own_files, server, monkeypatch):
    """Somebody's own files in place, and taken for the originals."""
    files = own_files | {name.replace("train", "t10k"): b for name, b in own_files.items()}
    for name, content in files.items():
        write(folder / name, content)
        digest = None if name == "ica_data.dat" else hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(download.SHA256, Path(name).name, digest)
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    return files


def test_files_are_verified(folder, own_hashes, server, capsys):
    """A flipped bit in a picture, zeros amid the faces: what the loaders cannot see."""
    images, labels = folder / IMAGES, folder / LABELS
    write(images.with_name(f"{images.name}.gz"), gzip.compress(images.read_bytes()))
    images.unlink()
    assert data.__main__.main([]) == 0
    unknown = "here, not verified: no hash is known for local copies"
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == f"{folder / 'ica_data.dat'}: {unknown}"
    assert lines[4] == f"{images}.gz: the original"
    assert sum(line.endswith(": the original") for line in lines) == 7

    small, face = bytearray(own_hashes[SMALL]), bytearray(own_hashes["face.npy"])
    small[30_000] ^= 1
    face[200_000:210_000] = bytes(10_000)
    write(folder / SMALL, small)
    write(folder / "face.npy", face)
    write(labels, own_hashes[LABELS][:-1] + b"\7")
    assert data.__main__.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "another" in line] == [
        f"{path}: another file: your own, or damaged"
        for path in (folder / SMALL, folder / "face.npy", labels)
    ]
    assert len(lines) == 8

    write(folder / "face.npy", b"")
    assert data.__main__.main([]) == 1
    line = capsys.readouterr().out.splitlines()[2]
    assert line.startswith(f"{folder / 'face.npy'} is not the file it should be")
    assert server.paths == []


def test_known_hashes(originals):
    for name in sum(loaders.FILES.values(), ()):
        if name != "ica_data.dat":  # a recovery will do
            assert download.is_original(originals / name) is True
    assert download.is_original(originals / "ica_data.dat") in (True, None)


def test_with_no_network_it_says_so_once_a_file(folder, monkeypatch, capsys, quick_stand_ins):
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr(download, "MIRRORS", [closed_port(), closed_port()])
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    assert data.__main__.main([]) == 1
    out, err = capsys.readouterr()
    first, *others, mnist = [line for line in out.splitlines() if "could not be had" in line]
    assert err == ""
    assert first.startswith(f"{SMALL}: could not be had (127.0.0.1:")
    assert first.count("does not answer (ConnectionError)") == 2
    assert others == [
        f"{name}: could not be had (no mirror answers)"
        for name in (LARGE, "face.npy", "ica_data.dat")
    ]
    assert mnist.startswith("MNIST: could not be had (torchvision cannot be imported: ")
    assert out.count(": using a stand-in, ") == 5


def test_a_read_only_checkout(public, server, torchvision, monkeypatch, capsys, quick_stand_ins):
    torchvision(writes_all)
    monkeypatch.delenv("COURSEWORK_DATA", raising=False)
    monkeypatch.setattr(loaders, "FOLDER", public)
    monkeypatch.setattr(download, "MIRRORS", [server.url])
    public.chmod(0o555)
    with unprivileged():
        assert data.__main__.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        f"{name}: could not be had (it cannot be saved in {public}: Permission denied)"
        for name in (*download.BLOBS, "MNIST")
    ]
    assert len(lines) == 10
    assert server.paths == []


@pytest.mark.parametrize("names", [(SMALL, LARGE), (LARGE, SMALL)])
def test_a_lone_mandrill_is_completed(folder, own_hashes, server, monkeypatch, capsys, names):
    """One in the named folder alone is of no use: the package's own folder gets both."""
    alone, other = names
    content = own_hashes[alone]
    monkeypatch.setitem(download.BLOBS, alone, {download.git_blob_sha1(content)})
    (folder / other).rename(loaders.FOLDER / other)
    server.answers[f"/{alone}"] = [sends(content)]
    assert data.__main__.main([]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"{alone}: fetched"
    assert {f"{loaders.FOLDER / name}: the original" for name in names} < set(rest)


def test_wrong_use(folder, monkeypatch, capsys):
    monkeypatch.setenv("COURSEWORK_DATA", "misspelt")
    assert data.__main__.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("COURSEWORK_DATA='misspelt' is no folder to look in (")
    with pytest.raises(SystemExit, match="2"):
        data.__main__.main(["mandrill"])
    assert "unrecognized arguments: mandrill" in capsys.readouterr().err


def test_without_what_downloads_need():
    code = "import sys, runpy; sys.modules['pooch'] = None; runpy.run_module('data')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    need = "python -m data needs pooch. Run: pip install -r requirements.txt\n"
    assert (run.returncode, run.stderr) == (1, need)


def test_no_original_is_in_the_repository():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("not a git repository")
    blobs = set.union(*download.BLOBS.values())
    files = [path for name in run.stdout.split("\0")[:-1] if (path := ROOT / name).is_file()]
    assert len(files) > 20
    assert [path for path in files if download.git_blob_sha1(path.read_bytes()) in blobs] == []
    ignored = [f"data/{name}" for name in (*download.BLOBS, "MNIST/raw/x", "tmpx")]
    run = subprocess.run(
        ["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.split() == ignored
