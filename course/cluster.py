"""Mark submissions on a Dask cluster: they go there as bytes and come back as records.

Dask does the rest: a worker that is free gets the next submission, and what a worker that died had
begun is begun again on another. The scheduler and each worker need the same checkout as this one.
"""

import contextlib
import io
import zipfile

from distributed import Client

from course import report
from course.batch import mark_one
from course.sandbox import SubmissionError, unpacked

PATIENCE = 60  # seconds until the first worker must be there


@contextlib.contextmanager
def connected(address):
    """Yield `mark_one` as it runs on a cluster, and how many submissions that marks at once.

    Parameters
    ----------
    address : str
        Of the scheduler, such as "tcp://HOST:8786".

    Raises
    ------
    OSError
        If no scheduler answers there, or it has no worker.
    """
    with Client(address) as client:
        client.wait_for_workers(1, timeout=PATIENCE)

        def mark(submission, command, **options):
            try:
                content = packed(submission)
            except (SubmissionError, UnicodeEncodeError):  # too large, or names that no zip holds
                return mark_one(submission, command, **options)
            record = client.submit(mark_one, content, command, pure=False, **options).result()
            theirs, ours = record["extra_data"]["grader"], report.grader_version()
            if theirs != ours:
                raise RuntimeError(
                    f"a worker has version {theirs} of the grader, and here is {ours}: give all "
                    "workers this checkout and start them again"
                )
            return record

        yield mark, sum(client.nthreads().values())


def packed(submission):
    """Return the files of a submission, a folder or a zip, as a zip in bytes."""
    buffer = io.BytesIO()
    with unpacked(submission) as folder, zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
