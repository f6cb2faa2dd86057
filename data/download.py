"""Fetch the original files from public mirrors and verify them.

A file is written beside its target under a temporary name and moved into place only when its hash
is right (by pooch), so what stands under the final name is always whole. The temporary one is
removed whatever happens, unless the process is killed outright; then a `tmp...` stays behind, which
may be deleted by hand. It is not removed by the next run, which cannot know that no other one is
still writing it.
"""

import gzip
import hashlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from data import loaders

# Each mirror is pinned to a commit.
MIRRORS = (
    "https://raw.githubusercontent.com/WensongVincent/eecs545hw/"
    "439797db3a8e440ecb3961c69a6c4ecd90a0e7f7/hw5/HW5_rev0/data",
    "https://raw.githubusercontent.com/oscar10408/"
    "Unsupervised-Learning-Core-K-Means-GMM-and-CVAE-Implementations/"
    "3e53e0bcad953aa93b60b179d23702b04fd9af6b/data",
)
# SHA-256 of each file where it is known, MNIST's unpacked.
SHA256 = {
    "mandrill-small.tiff": "0b79f1dfff4f44bd5ec5931bcef81364620d7fbc4808d6bf37c548176b0b2404",
    "mandrill-large.tiff": "154bbd8996badc090ede0adc192d1fc685c1219d0fcade3d0dfc6452a39cade7",
    "face.npy": "9e216313992962cd2ea0707f0a97b02f189bd8c78e9dc0f584fcaed47037a5c6",
    "ica_data.dat": None,
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# What the mirrors hold, and the SHA-1 of its git blob on either.
BLOBS = {
    "mandrill-small.tiff": {"1b4c9232474a48ab166735c1eb78dd0e87dad23f"},
    "mandrill-large.tiff": {"b93b88da0a43abbd8180ee3c262b2401ff320146"},
    "face.npy": {"905a6df40c99e4d09f90c54371304c5f88cddc73"},
    "ica_data.dat": {
        "4df4305ef5329d2da04d893c64ff9b417c310cfb",
        "a81550b7d61ee2ec4b9525cec399769a1f3db164",
    },
}
TRIES = 3
STALL_LIMIT = 15.0  # seconds without a byte
TIME_LIMIT = 300.0  # seconds for one try


class DownloadError(Exception):
    """A file could not be had; the message says why, in one line.

    Attributes
    ----------
    unreachable : list of str
        The mirrors that did not answer at all.
    """

    def __init__(self, reason, unreachable=()):
        super().__init__(reason)
        self.unreachable = list(unreachable)


def fetch(
    name: str,
    folder: Path,
    *,
    mirrors: Sequence[str] = MIRRORS,
    stall_limit: float = STALL_LIMIT,
    time_limit: float = TIME_LIMIT,
) -> Path:
    """Download one file, unless it is there already.

    Parameters
    ----------
    name : str
        A key of `BLOBS`.
    folder : pathlib.Path
        Where to put it; made if missing.
    mirrors : sequence of str
        Addresses of folders that hold it, tried in order, each `TRIES` times.
    stall_limit, time_limit : float
        Seconds that a try may spend without receiving a byte, and in all.

    Returns
    -------
    pathlib.Path
        The file, verified.

    Raises
    ------
    DownloadError
        If no mirror had it, or it cannot be saved: then nothing is left behind. Also if the folder
        holds another file of that name, which is never replaced.
    """
    target = folder / name
    if target.exists():
        if target.is_file() and is_original(target):
            return target
        raise DownloadError(f"{target} is there, but is not the original: move it away to fetch it")

    def download(url, output, _):
        _stream(url, output, name, stall_limit, time_limit)
        content = Path(output).read_bytes()
        if git_blob_sha1(content) not in BLOBS[name]:
            start = f"{len(content)} bytes that start with {content[:15]!r}"
            raise ValueError(f"what came is not the original but {start}")

    pooch.get_logger().setLevel(logging.ERROR)
    reasons, unreachable = [], []
    for mirror in mirrors:
        source = pooch.create(
            path=folder,
            base_url=mirror,
            registry={name: SHA256[name] and f"sha256:{SHA256[name]}"},
            retry_if_failed=TRIES - 1,
        )
        try:
            return Path(source.fetch(name, downloader=download))
        except (requests.ConnectionError, requests.Timeout) as error:
            unreachable.append(mirror)
            reasons.append(f"{_host(mirror)} does not answer ({type(error).__name__})")
        except (requests.RequestException, ValueError) as error:
            reasons.append(f"{_host(mirror)}: {loaders.one_line(error)}")
        except OSError as error:  # no other mirror would help
            raise _cannot_be_saved(folder, error) from error
    raise DownloadError("; ".join(reasons) or "no mirror answers", unreachable)


def fetch_mnist(folder: Path) -> Path:
    """Download MNIST with torchvision, which is imported only now, and move it into place.

    Parameters
    ----------
    folder : pathlib.Path
        The four files end up in ``folder/MNIST/raw``. Those that are there stay as they are.

    Returns
    -------
    pathlib.Path
        The folder that holds them.

    Raises
    ------
    DownloadError
        If torchvision cannot be imported or none of its mirrors works.
    """
    try:
        from torchvision.datasets import MNIST
    except Exception as error:  # a torchvision that does not fit its torch fails in many ways
        reason = loaders.one_line(error)
        raise DownloadError(f"torchvision cannot be imported: {reason}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=folder)
    except OSError as error:
        raise _cannot_be_saved(folder, error) from error
    patience = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(STALL_LIMIT)  # torchvision itself would wait for ever
        with work:
            MNIST(work.name, download=True)
            target = folder / "MNIST" / "raw"
            target.mkdir(parents=True, exist_ok=True)
            for name in (*loaders.FILES["train"], *loaders.FILES["test"]):
                if not (folder / name).exists():
                    os.replace(Path(work.name) / name, folder / name)
    except (OSError, EOFError, RuntimeError, HTTPException) as error:
        raise DownloadError(loaders.one_line(error)) from error
    finally:
        socket.setdefaulttimeout(patience)
    return target


def is_original(path: Path) -> bool | None:
    """Compare a file with the known hash of the original of its name.

    Parameters
    ----------
    path : pathlib.Path
        One of `SHA256`; a name that ends in ``.gz`` is unpacked.

    Returns
    -------
    bool or None
        None for an `ica_data.dat` that is not what a mirror holds: the mirrors' differ, so others
        may be as good.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read()
    name = path.name.removesuffix(".gz")
    if SHA256[name] is None:
        return git_blob_sha1(content) in BLOBS[name] or None
    return hashlib.sha256(content).hexdigest() == SHA256[name]


def _cannot_be_saved(folder, error):
    cause = error if error.strerror else error.__cause__  # pooch puts its own words over it
    why = getattr(cause, "strerror", None) or type(error).__name__
    return DownloadError(f"it cannot be saved in {folder}: {why}")


def _stream(url, output, name, stall_limit, time_limit):
    """Write the body of `url` to the path `output`, with a progress bar if in a terminal."""
    deadline = time.monotonic() + time_limit
    os.remove(output)  # pooch has made it, for its owner's eyes only; ours obeys the umask
    with (
        requests.get(url, stream=True, timeout=stall_limit) as response,
        open(output, "xb") as file,
        tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        response.raise_for_status()
        bar.total = int(response.headers.get("content-length", 0)) or None
        try:
            # read1 returns what has come, so that a trickle cannot outrun the deadline.
            while chunk := response.raw.read1(1 << 16, decode_content=True):
                if time.monotonic() > deadline:
                    raise requests.RequestException(f"not done after {time_limit:g} seconds")
                file.write(chunk)
                bar.update(len(chunk))
        except HTTPError as error:
            raise requests.RequestException(f"it broke off: {error}") from error


def git_blob_sha1(content: bytes) -> str:
    """Return the name that git gives to a file with this content, as 40 hex digits."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _host(mirror):
    return mirror.split("/")[2]
