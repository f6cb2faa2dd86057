"""Grade a class: each result is whole or absent, and a second run does only what is missing."""

import argparse
import contextlib
import errno
import json
import shlex
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from course import copies, handed_in, marking, overview, report, roster, sandbox, student_page
from course.check import add_choices
from course.judging import POINTS

FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the disk
_first = threading.Lock()


def mark_one(submission, command, *, seed, only=tuple(POINTS), jobs=1):
    """Return the record of one submission, what `results.json` will hold.

    Parameters
    ----------
    submission : path or bytes
        A folder, a zip, or what a zip holds.
    command : str
        With ``python -m course`` before it and ``--only KEY`` behind, repeats a case.
    seed : int
    only : sequence of str
        Parts, or keys of cases.
    jobs : int
        Files of the submission that are run at once.

    Returns
    -------
    dict
    """
    with contextlib.ExitStack() as stack:
        if isinstance(submission, bytes):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="handed-in-"))
            content, submission = submission, Path(folder, "submission.zip")
            submission.write_bytes(content)
        with _first:  # both are worked out once, whoever comes first
            level = sandbox.available_levels()[0]
            marking.answers().cases(seed)
        start = time.perf_counter()
        record = report.record_of(submission, command, seed=seed, level=level, only=only, jobs=jobs)
    record["execution_time"] = round(time.perf_counter() - start, 1)
    record["extra_data"]["only"] = list(only)
    return record


def write_one(out, student, record, *, model=None, run_notebooks=False):
    """Write `report.html` and then `results.json`, which says that all is there.

    Parameters
    ----------
    out : path
        The folder of all results.
    student : course.roster.Student
    record : dict
    model : dict, optional
        The model answer's figures, from `course.student_page.model_figures`.
    run_notebooks : bool
        Whether the report shows what the notebooks do when they are run here.
    """
    record["extra_data"].update(_shown(student, run_notebooks))
    try:
        with sandbox.unpacked(student.path) as folder:
            failed = handed_in.run(folder, sandbox.available_levels()[0]) if run_notebooks else []
            pieces = handed_in.pieces(folder, failed)
    except sandbox.SubmissionError as error:
        pieces = {}
        record["extra_data"]["refused"] = str(error)
    folder = Path(out) / student.folder
    folder.mkdir(parents=True, exist_ok=True)
    text = student_page.page(student, record, pieces, model or {})
    report.write_whole(folder / "report.html", text)
    report.write_whole(folder / "results.json", json.dumps(record, indent=1))


def finished(out, student, *, seed, only):
    """Return the record that stands in OUT, or None.

    It counts if it is of the files as they are now, of this grader, seed and choice of cases, and
    the grader did not fail on any of them.
    """
    record = report.read_record(Path(out) / student.folder / "results.json")
    if record is None:
        return None
    extra = record["extra_data"]
    key = extra["submission"], extra["grader"], extra["seed"], extra.get("only")
    wanted = report.fingerprint(student.path), report.grader_version(), seed, list(only)
    return record if key == wanted and not faults(record) else None


def faults(record):
    """Return on how many cases the grader itself failed."""
    return sum(test["extra_data"]["code"] == 3 for test in record["tests"])


def grade(students, out, *, seed=1, jobs=2, only=tuple(POINTS), run_notebooks=False, mark=mark_one):
    """Grade submissions into a folder.

    Parameters
    ----------
    students : sequence of course.roster.Student
    out : path
    seed : int
    jobs : int
        Submissions that are marked at once; of a single one, files.
    only : sequence of str
    run_notebooks : bool
    mark : callable
        Called as `mark_one` is, from as many threads as there are jobs.

    Returns
    -------
    int
        1 if the grader failed on some submission or was stopped, else 0.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if sandbox.available_levels()[0] == "user":
        out.chmod(0o700)  # no submission reads what others got, and were asked
    model = student_page.model_figures(out)
    inside = jobs if len(students) == 1 else 1

    def attend(student):
        """Mark and write, if it is not done yet; return what to say, and the grader's faults."""
        record = finished(out, student, seed=seed, only=only)
        took = "done before"
        if record is None:
            where = shlex.join([str(student.path), "--out", str(out)])
            command = f"grade {where} --seed {seed}"
            record = mark(student.path, command, seed=seed, only=only, jobs=inside)
            took = f"{record['execution_time']:.0f} s"
        if not _shown(student, run_notebooks).items() <= record["extra_data"].items():
            write_one(out, student, record, model=model, run_notebooks=run_notebooks)
        wrong = faults(record)
        note = f"; the grader failed on {wrong} cases" if wrong else ""
        return f"{record['score']:g} points, {took}{note}", wrong

    failures, well = {}, True
    with (
        tqdm(total=len(students), unit="submission", disable=None) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = {pool.submit(attend, student): student for student in students}
        try:
            for future in as_completed(futures):
                folder = futures[future].folder
                if error := future.exception():  # a fault of ours: the others are still graded
                    failures[folder] = repr(error)
                    said, wrong = f"not graded, the grader failed: {error!r}", True
                else:
                    said, wrong = future.result()
                tqdm.write(f"{roster.printable(folder)}: {said}")
                bar.update()
                well = well and not wrong
                if getattr(error, "errno", None) in FULL:
                    raise error
        except (KeyboardInterrupt, OSError) as stop:
            pool.shutdown(wait=False, cancel_futures=True)  # those at work come to their end
            tqdm.write(f"stopped ({stop!r}). What is done is kept: the same command goes on.")
            well = False
    try:
        overview.write(out, students, failures, seed=seed, alike=copies.alike(students))
    except OSError as error:
        tqdm.write(f"grades.csv and index.html are not written: {error!r}. The results are kept.")
        well = False
    return int(not well)


def _shown(student, run_notebooks):
    """Return what a report shows beside the marks."""
    who = {"name": student.name, "id": student.id, "late": student.late}
    return {"student": who, "notebooks": "run here" if run_notebooks else "as handed in"}


def main(arguments):
    """Run `python -m course grade`; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m course grade", description=__doc__)
    parser.add_argument("submissions", nargs="+", metavar="SUBMISSION", help="a folder or a zip")
    parser.add_argument("--out", required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument("--seed", type=int, default=1, help="of the hidden cases")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a scheduler whose workers mark")
    parser.add_argument(
        "--run-notebooks", action="store_true", help="run them for the reports, in the sandbox"
    )
    add_choices(parser)
    options = parser.parse_args(arguments)
    try:
        students = roster.students(options.submissions)
    except ValueError as error:
        parser.error(str(error))
    with contextlib.ExitStack() as stack:
        mark, jobs = mark_one, options.jobs
        if options.dask:
            try:
                from course.cluster import connected

                mark, jobs = stack.enter_context(connected(options.dask))
            except (ImportError, OSError) as error:
                parser.error(f"--dask {options.dask}: {error}")
        return grade(
            students,
            options.out,
            seed=options.seed,
            jobs=jobs,
            only=options.only,
            run_notebooks=options.run_notebooks,
            mark=mark,
        )
