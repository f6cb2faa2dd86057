"""The loaders: where they look, what they refuse, and what it costs them."""

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import data
from data import loaders
from tests.conftest import ROOT
from tests.data.conftest import (
    IMAGES,
    LABELS,
    LARGE,
    LOADERS,
    SMALL,
    idx_bytes,
    npy_bytes,
    tiff_bytes,
    unprivileged,
    write,
)


def write_with_kin(folder, own_files, name):
    """Write the files that are loaded together with one, and itself."""
    for other, content in own_files.items():
        if other.split("-")[0] == name.split("-")[0]:
            write(folder / other, content)


def test_importing_the_package_is_light_and_silent():
    heavy = {"pooch", "requests", "tqdm", "PIL", "scipy", "sklearn", "torch", "torchvision"}
    code = f"import sys, data; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def load_all(source):
    """Load everything and check what the loaders promise, whatever the data come from."""
    mandrill, faces, audio = data.load_mandrill(), data.load_faces(), data.load_audio()
    train, test = data.load_mnist("train"), data.load_mnist("test")
    for array, shape, dtype in [
        (mandrill.small, (128, 128, 3), np.uint8),
        (mandrill.large, (512, 512, 3), np.uint8),
        (faces.images, (2414, 48, 42), np.uint8),
        (audio.mix, (53442, 5), np.float64),
        (train.images, (len(train.labels), 28, 28), np.uint8),
        (test.images, (len(test.labels), 28, 28), np.uint8),
        (train.labels, (len(train.images),), np.int64),
        (test.labels, (len(test.images),), np.int64),
    ]:
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.writeable
    assert audio.rate == 11025
    assert {x.source for x in (mandrill, faces, audio, train, test)} == {source}
    assert set(train.labels) == set(test.labels) == set(range(10))
    return mandrill, train, test


def test_originals(originals, capsys):
    mandrill, train, test = load_all("original")
    assert capsys.readouterr().out == ""
    assert (len(train.labels), len(test.labels)) == (60_000, 10_000)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    # The small mandrill is the large one seen from further away.
    shrunk = mandrill.large.reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    assert np.corrcoef(shrunk.ravel(), mandrill.small.ravel())[0, 1] > 0.95


def test_stand_ins(folder, capsys, quick_stand_ins):
    mandrill, train, test = load_all("stand-in")
    assert (len(train.labels), len(test.labels)) == (1500, 297)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert f"in {folder} or {loaders.FOLDER}: using a stand-in" in line
        assert "python -m data" in line
    np.testing.assert_array_equal(data.load_mandrill().small, mandrill.small)
    images, labels, source = data.load_mnist("test", 3)
    np.testing.assert_array_equal(images, test.images[:3])
    assert (labels.shape, source) == ((3,), "stand-in")


def test_own_files(folder, own_files, own_arrays, capsys):
    for name, content in own_files.items():
        write(folder / name, content)
    mandrill, digits = data.load_mandrill(), data.load_mnist("train")
    for name, loaded in {
        SMALL: mandrill.small,
        LARGE: mandrill.large,
        "face.npy": data.load_faces().images,
        "ica_data.dat": data.load_audio().mix,
        IMAGES: digits.images,
        LABELS: digits.labels,
    }.items():
        np.testing.assert_array_equal(loaded, own_arrays[name])
    assert mandrill.source == digits.source == "original"
    assert capsys.readouterr().out == ""


# Where they look


def test_lookup_order(folder, own_files, own_arrays, monkeypatch):
    pictures = np.flip(own_arrays["face.npy"])
    write(loaders.FOLDER / "face.npy", npy_bytes(pictures))
    np.testing.assert_array_equal(data.load_faces().images, pictures)
    write(folder / "face.npy", own_files["face.npy"])
    np.testing.assert_array_equal(data.load_faces().images, own_arrays["face.npy"])
    monkeypatch.setenv("COURSEWORK_DATA", "")
    np.testing.assert_array_equal(data.load_faces().images, pictures)
    monkeypatch.delenv("COURSEWORK_DATA")
    np.testing.assert_array_equal(data.load_faces().images, pictures)


def test_named_folder_wins_even_if_only_gzipped(folder, own_files, own_arrays):
    for name in (IMAGES, LABELS):
        write(folder / f"{name}.gz", gzip.compress(own_files[name]))
        write(loaders.FOLDER / name, idx_bytes(np.flip(own_arrays[name])))
    digits = data.load_mnist("train")
    np.testing.assert_array_equal(digits.images, own_arrays[IMAGES], strict=True)
    np.testing.assert_array_equal(digits.labels, own_arrays[LABELS])


def test_named_folder_may_be_relative_or_under_home(folder, own_files, monkeypatch, tmp_path):
    write(folder / "face.npy", own_files["face.npy"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("data", "~/data"):
        monkeypatch.setenv("COURSEWORK_DATA", named)
        assert data.load_faces().source == "original"


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("misspelt", "No such file or directory"),
        ("a.file", "Not a directory"),
        ("a.file/in", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 300, "File name too long"),
        ("~nobody-of-this-name/data", "No such file or directory"),
    ],
)
def test_a_named_folder_must_be_one(folder, load, named, why, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "a.file").touch()
    (folder / "loop").symlink_to(folder / "loop")
    monkeypatch.setenv("COURSEWORK_DATA", named)
    with pytest.raises(ValueError) as caught:
        load()
    assert f"COURSEWORK_DATA={named!r} is no folder to look in (" in str(caught.value)
    assert f"{why}). Correct it, or unset it" in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "words"),
    [
        (0o333, 0o444, "COURSEWORK_DATA=.* is no folder"),  # may not be listed
        (0o444, 0o444, "face.npy cannot be read"),  # may not be entered
        (0o555, 0o000, "face.npy cannot be read"),
    ],
)
def test_without_permission(folder, public, monkeypatch, folder_mode, file_mode, words):
    monkeypatch.setenv("COURSEWORK_DATA", str(public))
    write(public / "face.npy", b"")
    (public / "face.npy").chmod(file_mode)
    public.chmod(folder_mode)
    try:
        with unprivileged(), pytest.raises(ValueError, match=rf"{words} .*Permission denied"):
            data.load_faces()
    finally:
        public.chmod(0o700)


@pytest.mark.parametrize("halves", [(SMALL, LARGE), (LARGE, SMALL), (IMAGES, LABELS)])
def test_two_halves_in_two_folders_are_no_pair(folder, own_files, halves, capsys):
    one, other = halves
    write(folder / one, own_files[one])
    assert LOADERS[one]().source == "stand-in"
    write(loaders.FOLDER / other, own_files[other])
    assert LOADERS[one]().source == "stand-in"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(one in line and other in line for line in lines)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.symlink_to(path), "cannot be read (Too many levels of symbolic links)"),
        (lambda path: path.mkdir(), "is not the file it should be (it is a folder or a device)"),
        (os.mkfifo, "is not the file it should be (it is a folder or a device)"),
    ],
)
def test_what_is_no_file(folder, make, words):
    make(folder / "face.npy")
    with pytest.raises(ValueError) as caught:
        data.load_faces()
    assert f"{folder / 'face.npy'} {words}" in str(caught.value)


# Arguments of load_mnist


@pytest.mark.parametrize("limit", [1, np.int64(7), 20, 1000])
def test_limit(folder, own_files, own_arrays, limit):
    write_with_kin(folder, own_files, IMAGES)
    images, labels, _ = data.load_mnist("train", limit)
    np.testing.assert_array_equal(images, own_arrays[IMAGES][:limit])
    np.testing.assert_array_equal(labels, own_arrays[LABELS][:limit])
    assert images.base is None  # the rest of the file is not kept in memory


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("validation",), ValueError, '"train" or "test", got \'validation\''),
        ((["train"],), ValueError, '"train" or "test", got \\[\'train\'\\]'),
        (("train", 0), ValueError, "at least 1, got 0"),
        (("train", 2.0), TypeError, "integer or None, got 2.0"),
        (("train", True), TypeError, "integer or None, got True"),
    ],
)
def test_arguments_of_load_mnist(folder, arguments, error, words):
    with pytest.raises(error, match=words):
        data.load_mnist(*arguments)


# Damaged files


def zeros(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


# What is done to a whole file, and what the error must say beside the file's name.
DAMAGE = [
    (SMALL, lambda b: b"", "cannot identify image file"),
    (SMALL, lambda b: b[: len(b) // 2], "image file is truncated"),
    (SMALL, lambda b: b"<!DOCTYPE html><html></html>", "cannot identify image file"),
    (SMALL, lambda b: tiff_bytes(zeros(128, 128)), "expected RGB 128 x 128, it is L 128 x 128"),
    (SMALL, lambda b: tiff_bytes(zeros(64, 32, dtype=np.uint16)), "it is I;16 32 x 64"),
    (LARGE, lambda b: tiff_bytes(zeros(128, 128, 3)), "expected RGB 512 x 512, it is RGB 128 x"),
    (SMALL, lambda b: tiff_bytes(zeros(128, 128, 3), "YCbCr"), "it is YCbCr 128 x 128"),
    (SMALL, lambda b: tiff_bytes(zeros(128, 128, 3), "LAB"), "it is LAB 128 x 128"),
    (SMALL, lambda b: tiff_bytes(zeros(128, 128, 4)), "it is RGBA 128 x 128"),
    (SMALL, lambda b: tiff_bytes(np.full((128, 128, 3), 7, np.uint8)), "every value in it is 7"),
    ("face.npy", lambda b: b"", "expected 8 bytes got 0"),
    ("face.npy", lambda b: b[:50], "header"),
    ("face.npy", lambda b: b[:-1], "mmap length is greater than file size"),
    ("face.npy", lambda b: b.replace(b"(2414, 48, 42), }", b"(2414, 48, 42", 1), "EOF"),
    ("face.npy", lambda b: b.replace(b"(2414, 48, 42)", b"(99999999, 42)", 1), "mmap length"),
    ("face.npy", lambda b: npy_bytes(np.empty(3, object), allow_pickle=True), "Python objects"),
    ("face.npy", lambda b: b"PK\3\4" + b, "the magic string is not correct"),
    ("face.npy", lambda b: npy_bytes(zeros(2414, 42, 48)), "it holds uint8 (2414, 42, 48)"),
    ("face.npy", lambda b: npy_bytes(zeros(2414, 48, 42, dtype=np.int8)), "it holds int8 (2414,"),
    ("face.npy", lambda b: npy_bytes(zeros(2414, 48, 42)), "every value in it is 0"),
    ("ica_data.dat", lambda b: b"", "input contained no data"),
    ("ica_data.dat", lambda b: b[: len(b) // 2], "("),
    ("ica_data.dat", lambda b: b.replace(b"\n", b" 1\n", 1), "number of columns changed"),
    ("ica_data.dat", lambda b: b"x" + b, "could not convert string"),
    ("ica_data.dat", lambda b: b"1 2 3 4 -inf\n" * 53442, "it holds NaN or infinity"),
    ("ica_data.dat", lambda b: b"1 2 3 4\n" * 53442, "it holds float64 (53442, 4)"),
    ("ica_data.dat", lambda b: b"3 3 3 3 3\n" * 53442, "every value in it is 3"),
    (IMAGES, lambda b: b"", "it starts with '' instead of '00000803'"),
    (IMAGES, lambda b: gzip.compress(b), "it is gzipped, so its name must end in .gz"),
    (IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:], "it starts with '00000d03'"),  # float32
    (IMAGES, lambda b: b[:11], "it ends within its header, after 11 bytes"),
    (IMAGES, lambda b: b[:16], "its header says (20, 28, 28), 15680 values; it has 0"),
    (IMAGES, lambda b: b[:-1], "it has 15679"),
    (IMAGES, lambda b: b + b"\0", "it has more"),
    (IMAGES, lambda b: idx_bytes(zeros(0, 28, 28)), "expected 1 to 70000 items of shape (28, 28)"),
    (
        IMAGES,
        lambda b: b[:4] + b"\0\1\x11\x71" + b[8:],
        "header says (70001, 28, 28), expected",
    ),
    (IMAGES, lambda b: b[:4] + b"\0\1\x11\x70" + b[8:], "(70000, 28, 28), 54880000 values; it has"),
    (IMAGES, lambda b: idx_bytes(zeros(20, 14, 14)), "its header says (20, 14, 14), expected"),
    (IMAGES, lambda b: idx_bytes(zeros(20, 28, 28)), "every value in it is 0"),
    (LABELS, lambda b: b[:-1], "it has 19"),
    (LABELS, lambda b: idx_bytes(zeros(0)), "its header says (0,), expected"),
    (LABELS, lambda b: b[:8] + b"\0\1\x09\x0a" + b[12:], "label 10 at 3 is none of 0 to 9"),
]


@pytest.mark.parametrize(
    ("name", "damage", "words"), DAMAGE, ids=[f"{i}-{name}" for i, (name, *_) in enumerate(DAMAGE)]
)
@pytest.mark.filterwarnings("error")
def test_damaged_files_are_named(folder, own_files, name, damage, words):
    write_with_kin(folder, own_files, name)
    assert damage(own_files[name]) != own_files[name]
    write(folder / name, damage(own_files[name]))
    with pytest.raises(ValueError) as caught:
        LOADERS[name]()
    message = str(caught.value)
    assert message.startswith(f"{folder / name} is not the file it should be (")
    assert words in message
    assert message.endswith("). Move it away and run: python -m data")
    assert "\n" not in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:-6],  # within the check sum
        lambda b: b[:5],
        lambda b: b[:40] + bytes(20) + b[60:],
        lambda b: b[:-8] + b"\1\2\3\4" + b[-4:],  # a wrong check sum
        lambda b: gzip.decompress(b),  # not gzipped at all
    ],
)
def test_damaged_gzip(folder, own_files, damage):
    write(folder / LABELS, own_files[LABELS])
    packed = gzip.compress(own_files[IMAGES])
    write(folder / f"{IMAGES}.gz", packed)
    data.load_mnist("train")
    write(folder / f"{IMAGES}.gz", damage(packed))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is not the file it should"):
        data.load_mnist("train")


def test_images_and_labels_must_be_as_many(folder, own_files, own_arrays):
    write_with_kin(folder, own_files, IMAGES)
    write(folder / LABELS, idx_bytes(own_arrays[LABELS][:-1]))
    for limit in (None, 5):
        with pytest.raises(ValueError, match="20 images and .* 19 labels: they do not belong"):
            data.load_mnist("train", limit)


def test_one_digit_or_equal_labels_are_no_damage(folder, own_arrays):
    for count in (1, 20):
        write(folder / IMAGES, idx_bytes(own_arrays[IMAGES][:count]))
        write(folder / LABELS, idx_bytes(np.full(count, 7, np.uint8)))
        assert data.load_mnist("train").labels.tolist() == [7] * count


def test_a_missing_library_is_not_the_files_fault(folder, own_files, monkeypatch):
    write_with_kin(folder, own_files, SMALL)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="PIL"):
        data.load_mandrill()


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(folder, tmp_path):
    trap = np.empty(1, object)
    trap[0] = Trap(tmp_path / "sprung")
    for content in (pickle.dumps(trap[0]), npy_bytes(trap, allow_pickle=True)):
        write(folder / "face.npy", content)
        with pytest.raises(ValueError, match="is not the file it should be"):
            data.load_faces()
    assert not (tmp_path / "sprung").exists()
    np.load(folder / "face.npy", allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # it was armed


@pytest.mark.parametrize("name", [SMALL, "face.npy", IMAGES, LABELS])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's, about what it finds in a TIFF
def test_no_flipped_byte_gets_past_as_another_error(folder, own_files, name):
    """Whatever the damage: the promised array or a ValueError that names the file."""
    write_with_kin(folder, own_files, name)
    whole = LOADERS[name]()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(40):
        content = bytearray(own_files[name])
        for i in rng.integers(min(128, len(content)), size=rng.integers(1, 4)):  # the header
            content[i] = rng.integers(256)
        (folder / name).write_bytes(content)
        try:
            loaded = LOADERS[name]()
        except ValueError as error:
            refused += 1
            assert str(folder / name) in str(error) or str(folder / IMAGES) in str(error)
        else:
            assert [np.shape(a) for a in loaded] == [np.shape(a) for a in whole]
    assert refused > 5


# Files that would fill the memory


def sparse(path, start, size):
    """Write a file of that size with nothing but its start on the disk."""
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)


def huge_npy(path):
    header = io.BytesIO()
    shape = (3_000_000, 48, 42)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    sparse(path, header.getvalue(), 6_048_000_128)


def huge_npy_header(path):
    """Version 2 has four bytes for the length of the header: here 4 GB."""
    sparse(path, b"\x93NUMPY\2\0\xf0\xff\xff\xff{", 4_300_000_000)


def long_line(path):
    sparse(path, b"1 2 3 4 5", 400_000_000)


def gzip_bomb(path, num_items, size):
    """Zeros behind a header, in many gzip members of 16 MiB: 16 KB for each."""
    start = bytes([0, 0, 8, 3]) + np.array([num_items, 28, 28], ">u4").tobytes()
    path.write_bytes(gzip.compress(start) + gzip.compress(bytes(1 << 24)) * (size >> 24))


def tiff_bomb(path, side, tile):
    """A TIFF of that many pixels a side in one deflated tile of zeros."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(tile * 3)) for _ in range(tile)) + packer.flush()
    tags = {  # width, length, bits, deflate, RGB, samples, chunky, tile width and length, where
        256: side, 257: side, 258: 8, 259: 8, 262: 2, 277: 3, 284: 1, 322: tile, 323: tile,
        324: 8, 325: len(packed),
    }  # fmt: skip
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    entries[2] = struct.pack("<HHII", 258, 3, 3, 8 + len(packed))
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, 8 + len(packed) + 6)
        + packed
        + struct.pack("<3H", 8, 8, 8)
        + struct.pack("<H", len(tags))
        + b"".join(entries)
        + bytes(4)
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak")
@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("face.npy", huge_npy, "it has 6048000128 bytes, more than any original"),
        ("face.npy", lambda path: sparse(path, b"", (1 << 26) + 1), "it has 67108865 bytes, more"),
        ("face.npy", huge_npy_header, "it has 4300000000 bytes, more than any original"),
        ("ica_data.dat", long_line, "it has 400000000 bytes, more than any original"),
        (
            "ica_data.dat",
            lambda path: sparse(path, b"1", 9_000_000),
            "more than 32 for each of",
        ),
        (IMAGES, lambda path: gzip_bomb(path, 60_000, 1 << 32), "it has more"),
        (IMAGES, lambda path: gzip_bomb(path, 5_000_000, 1 << 32), "(5000000, 28, 28), expected"),
        (SMALL, lambda path: tiff_bomb(path, 8192, 8192), "it is RGB 8192 x 8192"),
        (SMALL, lambda path: tiff_bomb(path, 128, 8192), "its tiles have sides of 8192 pixels"),
    ],
)
def test_bombs_are_refused_by_size_and_header(folder, own_files, name, make, words):
    write_with_kin(folder, own_files, name)
    if name == IMAGES:
        (folder / name).unlink()
        make(folder / f"{name}.gz")
    else:
        make(folder / name)
    code = rf"""
import data, re
try:
    data.{"load_mnist('train')" if name == IMAGES else LOADERS[name].__name__ + "()"}
except ValueError as error:
    print(error)
print(re.search(r"VmHWM:\s*(\d+)", open("/proc/self/status").read())[1])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    message, peak = run.stdout.splitlines()
    assert words in message
    assert int(peak) < 200_000  # KB; Python, NumPy and Pillow take 40,000


def test_a_tiled_picture_is_read(folder, own_files, own_arrays):
    """What the bombs are made with is no reason to refuse a picture."""
    write_with_kin(folder, own_files, SMALL)
    tiff_bomb(folder / SMALL, 128, 128)
    with pytest.raises(ValueError, match="every value in it is 0"):
        data.load_mandrill()
