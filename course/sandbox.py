"""Run a submission's functions in a process apart, shut in as far as the machine allows.

There are three levels, the strongest that works is taken:

bubblewrap  no network, no other process, no file but the interpreter's and the submission's
user        another user, where the grader is root: no file that is closed to others (0700)
process     the grader's own user: limits on time and memory hold, a determined cheat is not stopped

Whatever the level: own session, clean environment, one BLAS thread, a read-only copy of the
submission without links, and after the last answer everything that was started is killed.
"""

import collections
import contextlib
import errno
import functools
import io
import itertools
import json
import os
import re
import secrets
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
LEVELS = ("bubblewrap", "user", "process")
WARNINGS = {
    "bubblewrap": "",
    "user": "",
    "process": "This level does not stop a determined cheat: the code ran as the grader's user.",
}
MAX_FILES, MAX_BYTES = 2000, 200 << 20  # of a submission, unpacked; a folder counts as a file
MAX_DEPTH = 30  # of its folders
MAX_SCRATCH = 256 << 20  # bytes of files that a submission may write
MAX_HEADER = 1 << 20
MAX_DETAIL = 3000  # characters of what a child says
MAX_ANSWER = 1 << 26  # bytes of arrays in one answer
IMPORT_SECONDS = 20.0  # of processor time, to import a file and what it needs
MAX_MEMORY = 3 << 30  # bytes, whatever a call may use; Gradescope's container has less
PATIENCE = 1.0  # times every limit of time; the tests have less
POLL = 0.02  # seconds between two looks at memory and time
MARK = "COURSEWORK_SANDBOX"  # in the environment of all that a child starts
FIRST_ID, NUM_IDS = 61_184, 4000  # users and groups that no system gives to anybody
# At random, as others may be grading, too; here each comes once before any comes again.
_ids = itertools.cycle(secrets.SystemRandom().sample(range(FIRST_ID, FIRST_ID + NUM_IDS), NUM_IDS))
MODULES = ("kmeans.py", "gmm.py", "pca.py", "ica.py", "cvae.py")
PREFIX = "submission-"  # of the folders that submissions are unpacked to
ODD = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)  # names no file can have here
OURS = (  # what the machine lacks, which is not the zip's fault
    errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO,
)  # fmt: skip


class Limits(NamedTuple):
    """What one call may use."""

    seconds: float = 10.0  # of processor time, and three times that by the clock
    memory: int = 2 << 30  # bytes of all its processes together
    processes: int = 32
    threads: int = 256


class Reply(NamedTuple):
    """What came back: a status, what explains it, and the values."""

    status: str  # answer, exception, not implemented, missing, time, memory, died
    detail: str = ""
    result: object = None
    arguments: tuple = ()  # as the call left them
    seconds: float = float("nan")  # from "go" to the last byte


class Odd(NamedTuple):
    """Stands for a value that is neither a number nor an array."""

    kind: str


class SubmissionError(ValueError):
    """A submission that cannot be unpacked; the message says why."""


@functools.cache
def available_levels():
    """Return the levels that work here, strongest first."""
    works = [level for level in LEVELS[:2] if _possible(level) and _starts(level)]
    return (*works, "process")


def _is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _possible(level):
    return shutil.which("bwrap") is not None if level == "bubblewrap" else _is_root()


def _starts(level):
    with tempfile.TemporaryDirectory() as probe, contextlib.suppress(OSError):
        Path(probe, "probe.py").write_text("def run():\n    return 1.0\n")
        with unpacked(probe) as folder, Sandbox(folder, level) as sandbox:
            return sandbox.call("probe", ["run"], []).status == "answer"
    return False


@functools.cache
def close_the_project():
    """Take the project's files from other users, but for the environment that Python stands in.

    The level "user" calls it: who runs a submission must not read the solutions.
    """
    homes = [Path(sys.prefix), Path(sys.base_prefix)]
    for path in (*ROOT.iterdir(), ROOT):
        if not path.is_symlink():
            holds_python = any(home.is_relative_to(path) for home in homes)
            path.chmod(path.stat().st_mode & 0o700 | (0o011 if holds_python else 0))


@contextlib.contextmanager
def unpacked(submission):
    """Yield a folder with a copy of a submission's files: no links, readable, not too large.

    Parameters
    ----------
    submission : path
        A folder or a zip. Of its folders the one is taken that has most of the five modules, of
        several the shallowest; its top, if none has any.

    Raises
    ------
    SubmissionError
        If it is neither, or holds too much, or only zips.
    """
    submission = Path(submission)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        target = Path(folder, "files")
        target.mkdir()
        if submission.is_dir():
            _copy_folder(submission, target)
        elif _is_zip(submission):
            _unzip(submission, target)
        else:
            raise SubmissionError(f"{submission} is neither a folder nor a zip.")
        files = [path for path in target.rglob("*") if path.is_file()]
        if files and all(path.suffix.lower() == ".zip" for path in files):
            raise SubmissionError(f"{submission} holds only zips; unpack it first.")
        group = _unused_group() if _is_root() else -1
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o750 if path.is_dir() else 0o640)
            os.chown(path, -1, group)
        yield _with_most_modules(target, files)


def _unused_user():
    """Return a user at random who runs nothing, for another grader neither."""
    used = {uid for process in psutil.process_iter(["uids"]) for uid in process.info["uids"] or ()}
    return next(number for number in _ids if number not in used)


def _unused_group():
    """Return a group at random that no unpacked submission has, of another grader neither."""
    used = set()
    for copy in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            used.add(copy.stat().st_gid)
    return next(number for number in _ids if number not in used)


def _with_most_modules(top, files):
    modules = collections.Counter({top: 0})
    modules.update(path.parent for path in files if path.name in MODULES)
    return min(modules, key=lambda folder: (-modules[folder], len(folder.parts), folder))


def _copy_folder(source, target):
    budget = _Budget()
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not _passed_over(Path(folder, name))]
        here = Path(folder).relative_to(source)
        budget.take(0, depth=len(here.parts))
        (target / here).mkdir(exist_ok=True)
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):  # no links, pipes, devices
                budget.take(path.stat().st_size)
                try:
                    shutil.copyfile(path, target / here / name)
                except PermissionError as error:
                    raise SubmissionError(f"{path} cannot be read.") from error


def _passed_over(folder):
    """Whether a folder holds nothing of the student's: a link, .git, __MACOSX, an environment."""
    hidden = folder.name.startswith((".", "__"))
    return hidden or folder.is_symlink() or (folder / "pyvenv.cfg").exists()


def _is_zip(path):
    with open(path, "rb") as file:  # so that an error in opening it is no "no"
        return zipfile.is_zipfile(file)


def _unzip(source, target):
    budget = _Budget()
    try:
        with _archive(source) as archive:
            members = dict(_members(archive, target.resolve(), budget))
            folders = {folder for path in members for folder in path.parents}
            for path in [path for path in members if path not in folders]:
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(members[path]) as packed, open(path, "wb") as file:
                        while part := packed.read(1 << 20):  # the size in the header may be a lie
                            budget.take(len(part), files=0)
                            file.write(part)
                except OSError as error:
                    if error.errno not in ODD:  # such a name costs this file alone
                        raise
    except SubmissionError:
        raise
    except Exception as error:  # zlib, lzma and struct have errors of their own
        if isinstance(error, OSError) and error.errno in OURS:
            raise
        raise SubmissionError(f"{source} cannot be unpacked: {error}") from error


def _archive(source):
    try:
        return zipfile.ZipFile(source)
    except UnicodeDecodeError:  # a name says that it is UTF-8, and is not: then none shall say so
        header = re.compile(rb"(PK(?:\x01\x02..|\x03\x04)...)(.)", re.DOTALL)  # the flag is bit 3
        content = header.sub(lambda m: m[1] + bytes([m[2][0] & ~8]), source.read_bytes())
        return zipfile.ZipFile(io.BytesIO(content))


def _members(archive, target, budget):
    """Yield the path and the entry of each file that is taken from a zip."""
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")  # some programs on Windows write it so
        path = (target / name).resolve()
        link = stat.S_ISLNK(info.external_attr >> 16)
        if name.endswith("/") or link or not path.is_relative_to(target):
            continue
        folders = path.relative_to(target).parts[:-1]
        if not any(folder.startswith((".", "__")) for folder in folders):
            budget.take(0, depth=len(folders))
            yield path, info


class _Budget:
    files, size = 0, 0

    def take(self, size, files=1, depth=0):
        self.files, self.size = self.files + files, self.size + size
        if self.files > MAX_FILES or self.size > MAX_BYTES:
            raise SubmissionError(
                f"the submission holds more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB."
            )
        if depth > MAX_DEPTH:
            raise SubmissionError(f"its folders go deeper than {MAX_DEPTH}.")


class Sandbox:
    """A process that runs the functions of one submission, until it is closed.

    Parameters
    ----------
    folder : path
        The submission, as `unpacked` gives it.
    level : str
        One of `available_levels`.
    """

    def __init__(self, folder, level):
        self.level, self.mark = level, secrets.token_hex(16)
        self.uid = _unused_user() if level == "user" else None
        self._scratch = scratch = Path(tempfile.mkdtemp(prefix="scratch-"))
        request_end, self._requests = os.pipe()
        self._answers, answer_end = os.pipe()
        shutil.copyfile(ROOT / "course" / "child.py", scratch / "child.py")
        (scratch / "child.py").chmod(0o644)
        options = {}
        if self.uid:
            close_the_project()
            os.chown(scratch, self.uid, -1)
            options = {"user": self.uid, "group": os.stat(folder).st_gid, "extra_groups": []}
        self._process = subprocess.Popen(
            self._command(Path(folder), scratch, request_end, answer_end),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=self._environment(scratch), cwd=scratch, pass_fds=(request_end, answer_end),
            start_new_session=True, **options,
        )  # fmt: skip
        os.close(request_end)
        os.close(answer_end)
        for end in (self._requests, self._answers):
            os.set_blocking(end, False)

    def _environment(self, scratch):
        threads = (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMBA_NUM_THREADS",
        )
        return {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0",
            "HOME": str(scratch), "TMPDIR": str(scratch), MARK: self.mark,
            **dict.fromkeys(threads, "1"),
            **{name: os.environ[name] for name in os.environ if name.startswith("OPENBLAS_CORE")},
        }  # fmt: skip

    def _command(self, folder, scratch, request_end, answer_end):
        files = (str(request_end), str(answer_end))
        if self.level != "bubblewrap":
            python = [sys.executable, "-I", "-B", str(scratch / "child.py")]
            # A user of its own can be counted, whoever left the family.
            most = [str(Limits().processes + Limits().threads)] if self.uid else []
            return [*python, *files, str(folder), *most]
        bound = ["/usr", sys.base_prefix, sys.prefix]
        system = ["/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives"]
        return [
            "bwrap", "--unshare-all", "--die-with-parent", "--new-session",
            "--uid", "65534", "--gid", "65534",
            *(word for path in bound for word in ("--ro-bind", path, path)),
            *(word for path in system for word in ("--ro-bind-try", path, path)),
            "--proc", "/proc", "--dev", "/dev",
            *(word for path in (str(scratch), "/dev/shm")
              for word in ("--size", str(MAX_SCRATCH), "--tmpfs", path)),
            "--ro-bind", str(folder), "/submission",
            "--ro-bind", str(scratch / "child.py"), "/child.py",
            "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(scratch),
            sys.executable, "-I", "-B", "/child.py", *files, "/submission",
        ]  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Kill the process and all that it started, and remove what it wrote."""
        if self._process is None:
            return
        started = self._family()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        while sum(_kill(process) for process in {*started, *self._strays()}):
            time.sleep(0.005)
        self._process.wait()
        self._process = None
        os.close(self._requests)
        os.close(self._answers)
        _remove(self._scratch)
        if self.uid:
            _remove_files_of(self.uid)

    @contextlib.contextmanager
    def paused(self):
        """Stop the process and all that it started for a while, so that they use no processor."""
        stopped = set()
        while processes := {*self._family(), *self._strays()} - stopped:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            stopped |= processes
        try:
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.Error):
                    process.resume()

    def _family(self):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def _strays(self):
        """Yield processes that left the family: found by their user, or by their environment."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if self.uid:
                    if process.uids().real == self.uid:
                        yield process
                elif process.environ().get(MARK) == self.mark:
                    yield process

    def call(self, file, functions, arguments, options=None, limits=None):
        """Call a function of the submission and return the `Reply`.

        Parameters
        ----------
        file : str
            The module, without its ending.
        functions : sequence of str
            The function's names; the first that the module has is called.
        arguments : sequence
            Arrays, tensors as ``("tensor", array)``, states as ``("state", [pi, mu, sigma])``, or
            plain values.
        options : dict, optional
            Keyword arguments.
        limits : Limits, optional
        """
        limits = limits or Limits()
        blobs = []
        request = {
            "file": file,
            "functions": list(functions),
            "arguments": [_spec(value, blobs) for value in arguments],
            "options": {key: _spec(value, blobs) for key, value in (options or {}).items()},
        }
        files = [_npy(array) for array in blobs]
        line = json.dumps({**request, "sizes": [len(file) for file in files]})
        try:
            self._watch = _Watch(self, limits._replace(seconds=IMPORT_SECONDS))
            self._write(line.encode() + b"\n")
            header, values = self._read()
            if header["status"] == "ready":
                self._watch = _Watch(self, limits)
                start = time.perf_counter()
                self._write(b"go\n" + b"".join(files))
                header, values = self._read()
                seconds = time.perf_counter() - start
                if header["status"] == "answer":
                    result, arguments = header["result"], header["arguments"]
                    with _distrust():
                        values = [_unpacked(spec, values) for spec in (result, *arguments)]
                    return Reply("answer", "", values[0], tuple(values[1:]), seconds)
            if header["status"] not in ("exception", "not implemented", "missing"):
                raise _Stopped("died", "the answer could not be read.")
            detail = str(header.get("error", header.get("what", "")))[-MAX_DETAIL:]
            return Reply(header["status"], detail.encode("utf-8", "replace").decode())
        except _Stopped as stop:
            self.close()
            return Reply(*stop.args)
        except BaseException:  # the grader's own trouble: a pipe, an interrupt
            self.close()
            raise

    @property
    def closed(self):
        return self._process is None

    def _write(self, message):
        view = memoryview(message)
        while view:
            self._watch.look()
            try:
                view = view[os.write(self._requests, view[: 1 << 16]) :]
            except BlockingIOError:
                self._wait(self._requests, selectors.EVENT_WRITE)
            except BrokenPipeError:
                raise _Stopped("died", self._last_words()) from None

    def _read(self):
        """Return a header and the arrays that follow it."""
        buffer = bytearray()
        while (end := buffer.find(b"\n")) < 0:
            if len(buffer) > MAX_HEADER:
                raise _Stopped("died", "the answer could not be read.")
            buffer += self._some_bytes()
        rest = buffer[end + 1 :]
        with _distrust():
            header = json.loads(bytes(buffer[:end]))
            header["status"].isalpha()  # an object with a status, or this raises
            sizes = [int(size) for size in header["sizes"]]
            if min(sizes, default=0) < 0 or sum(sizes) > MAX_ANSWER:
                raise ValueError
        while len(rest) < sum(sizes):
            rest += self._some_bytes()
        ends = list(itertools.accumulate(sizes))
        with _distrust():
            return header, [_array(rest[e - n : e]) for n, e in zip(sizes, ends, strict=True)]

    def _some_bytes(self):
        while True:
            self._watch.look()
            try:
                part = os.read(self._answers, 1 << 20)
            except BlockingIOError:
                self._wait(self._answers, selectors.EVENT_READ)
                continue
            if not part:
                raise _Stopped("died", self._last_words())
            return part

    def _wait(self, end, event):
        with selectors.DefaultSelector() as selector:
            selector.register(end, event)
            selector.select(POLL)

    def _last_words(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=1)
            if self.level == "bubblewrap" and code > 128:
                code = 128 - code
            if code < 0:
                return f"the process was ended by {signal.Signals(-code).name}."
            return f"the process ended with exit status {code}."
        return "the process closed its pipe."


class _Stopped(Exception):
    """The call ended without an answer: (status, why)."""


@contextlib.contextmanager
def _distrust():
    """What cannot be read is the child's doing, whatever the parsers of JSON and .npy raise."""
    try:
        yield
    except Exception as error:
        raise _Stopped("died", "the answer could not be read.") from error


class _Watch:
    """Looks at what a sandbox uses from the moment it is made."""

    def __init__(self, sandbox, limits):
        self.sandbox, self.limits = sandbox, limits
        self.start, self.used = time.monotonic(), self.processor_seconds()
        self.looked = self.start

    def processor_seconds(self):
        total = 0.0
        for process in self.sandbox._family():
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:2])
        return total

    def look(self):
        """Raise if a limit is exceeded; look only now and then, however often it is asked."""
        limits, seconds, now = self.limits, PATIENCE * self.limits.seconds, time.monotonic()
        if now - self.looked < POLL:
            return
        self.looked = now
        if now - self.start > 3 * seconds:
            raise _Stopped("time", f"no answer after {3 * seconds:g} seconds.")
        if self.processor_seconds() - self.used > seconds:
            raise _Stopped("time", f"{seconds:g} seconds of processor time were used up.")
        memory, threads, family = 0, 0, self.sandbox._family()
        for process in family:
            with contextlib.suppress(psutil.Error):
                memory += process.memory_info().rss
                threads += process.num_threads()
        allowed = min(limits.memory, MAX_MEMORY)
        if memory > allowed:
            raise _Stopped("memory", f"more than {allowed >> 20} MiB of memory were used.")
        if len(family) > limits.processes or threads > limits.threads:
            raise _Stopped("died", f"it was stopped at {len(family)} processes, {threads} threads.")


def _kill(process):
    """Kill a process; tell whether it is still there."""
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            process.kill()
            return True
    return False


def _remove(path):
    """Remove a file or a folder, which may be deeper than Python's own removal can go."""
    subprocess.run(["rm", "-rf", "--", path], stderr=subprocess.DEVNULL)


def _remove_files_of(uid):
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        for path in Path(folder).glob("*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_uid == uid:
                    _remove(path)


def _spec(value, blobs):
    """Return what stands for an argument in a request; arrays are appended to the blobs."""
    if isinstance(value, tuple) and value[0] == "tensor":
        blobs.append(value[1])
        return {"tensor": len(blobs) - 1}
    if isinstance(value, tuple) and value[0] == "state":
        blobs.extend(value[1])
        return {"state": list(range(len(blobs) - len(value[1]), len(blobs)))}
    if isinstance(value, np.ndarray):
        blobs.append(value)
        return {"array": len(blobs) - 1}
    return value


def _npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def _array(content):
    """Return the array of an untrusted .npy file: numbers only, of the size that it promises."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("not version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    data = content[file.tell() :]
    if dtype.kind not in "buifc" or len(data) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError("not an array of numbers")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    widest = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}.get(dtype.kind, dtype)
    with np.errstate(over="ignore"):  # what a long double holds beyond float64 becomes infinity
        return array.astype(min(dtype.newbyteorder("="), widest, key=lambda kind: kind.itemsize))


def _unpacked(spec, arrays, depth=0):
    """Return the value that a reply's JSON stands for."""
    if "value" in spec:
        value = spec["value"]
        return value if value is None or isinstance(value, bool) else float(value)
    if "array" in spec:
        array, arrays[spec["array"]] = arrays[spec["array"]], None
        if array is None:
            raise ValueError("an array that was sent once stands twice")
        return array
    if "parts" in spec and depth < 4:
        return tuple(_unpacked(part, arrays, depth + 1) for part in spec["parts"])
    return Odd(str(spec["type"])[:100])
