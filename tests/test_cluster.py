"""Grading on a Dask cluster: a real scheduler and workers, processes on this machine."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import pytest
from distributed import Client

from course import __main__ as command_line
from course import cluster, report
from course.sandbox import unpacked

ROOT = Path(__file__).resolve().parent.parent
KEYS = "3b.1,3b.2,3b.4"
COUNT = 6
SLOW = "\nimport time\ntime.sleep(0.7)\n"  # so that a worker dies in the middle of something
WRONG = "\nold = pca\n\ndef pca(data):\n    U, values = old(data)\n    return U[:, ::-1], values\n"


@pytest.fixture
def processes(tmp_path):
    """The address of a scheduler, and two workers of one thread each."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # where the workers find the grader
    file = tmp_path / "scheduler.json"
    started = []

    def start(what, *options):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        command += ["--no-dashboard", "--scheduler-file", str(file)]
        with (tmp_path / f"{what}.log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=log, stderr=log
            )
        started.append(process)

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    for _ in range(2):
        start("worker", "--nthreads", "1", "--no-nanny")
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline, (tmp_path / "scheduler.log").read_text()
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    with Client(address) as client:
        client.wait_for_workers(2, timeout=30)
    yield address, started[1:]
    for process in reversed(started):
        process.kill()
        process.wait()


@pytest.fixture
def submissions(tmp_path):
    """The textbook's PCA, slow to import, and every other time wrong; the last is no zip."""
    paths = []
    for number in range(COUNT):
        folder = tmp_path / "class" / f"student{number}"
        folder.mkdir(parents=True)
        text = (ROOT / "textbook" / "pca.py").read_text()
        (folder / "pca.py").write_text(text + SLOW + (WRONG if number % 2 else ""))
        paths.append(str(folder))
    (tmp_path / "class" / "broken.zip").write_text("no zip")
    return [*paths, str(tmp_path / "class" / "broken.zip")]


def records(out):
    """Return what stands in a folder of results, without what differs from run to run."""
    found = {}
    for path in sorted(out.glob("*/results.json")):
        record = json.loads(path.read_text())
        del record["execution_time"]
        for test in record["tests"]:
            test["output"] = test["output"].replace(str(out), "OUT")
        found[path.parent.name] = record
    return found


def grade(submissions, out, *options):
    arguments = ["grade", *submissions, "--out", str(out), "--seed", "3", "--only", KEYS]
    return command_line.main([*arguments, *options])


def test_a_worker_that_dies_costs_no_result(processes, submissions, tmp_path):
    address, (victim, _) = processes
    out = tmp_path / "there"

    def kill():
        with Client(address) as client:
            (own,) = (at for at, pid in client.run(os.getpid).items() if pid == victim.pid)
            while not (list(out.glob("student*/results.json")) and client.processing()[own]):
                time.sleep(0.05)
        victim.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert grade(submissions, out, "--dask", address) == 0
    killer.join(timeout=0)
    assert not killer.is_alive() and victim.wait() != 0
    assert len(records(out)) == COUNT + 1

    assert grade(submissions, tmp_path / "here", "--jobs", "2") == 0
    assert records(out) == records(tmp_path / "here")
    assert {record["score"] for record in records(out).values()} == {0, 2.1}


def test_a_worker_with_another_grader_is_found(
    processes, submissions, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(report, "grader_version", lambda: "another")
    assert grade(submissions[:1], tmp_path / "out", "--dask", processes[0]) == 1
    assert "a worker has version" in capsys.readouterr().out
    assert not records(tmp_path / "out")


def test_what_is_sent_is_what_was_handed_in(submissions, tmp_path):
    path = tmp_path / "sent.zip"
    path.write_bytes(cluster.packed(submissions[0]))
    assert report.fingerprint(path) == report.fingerprint(submissions[0])
    with unpacked(path) as folder:
        assert [file.name for file in folder.iterdir()] == ["pca.py"]


def test_no_scheduler_is_wrong_usage(submissions, tmp_path, capsys):
    nobody = "tcp://127.0.0.1:9"
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(SystemExit) as stop,
    ):
        grade(submissions[:1], tmp_path / "out", "--dask", nobody)
    assert stop.value.code == 2
    assert f"--dask {nobody}: Timed out" in capsys.readouterr().err
