"""Files of two students that are nearly the same, found by `copydetect` if it is installed.

It turns a file into fingerprints that no renaming and no comment changes. What many have written,
such as what the course gives, is nobody's copy; of the rest, two files share nearly all or little.
"""

import collections
import io
import itertools

from course.sandbox import MODULES, SubmissionError, unpacked

LENGTH, WINDOW = 25, 6  # letters of a fingerprint, and of how many one is kept: copydetect's own
MANY = 8  # students
FEWEST = 10  # fingerprints that a file must have of its own
ALIKE = 0.8  # of the fingerprints of two files
MAX_FILE = 200_000  # bytes


def alike(students):
    """Return (folder, folder, file) for files that are nearly the same; none without copydetect."""
    try:
        from copydetect import CodeFingerprint
    except ImportError:
        return []
    owners = {name: collections.defaultdict(set) for name in MODULES}  # by fingerprint
    for student in students:
        for name, text in _files(student.path):
            file = CodeFingerprint(name, LENGTH, WINDOW, fp=io.StringIO(text))
            for fingerprint in file.hashes:
                owners[name][fingerprint].add(student.folder)
    return [(*pair, name) for name in MODULES for pair in _pairs(owners[name].values())]


def _files(submission):
    try:
        with unpacked(submission) as folder:
            paths = [folder / name for name in MODULES if (folder / name).is_file()]
            small = [path for path in paths if path.stat().st_size <= MAX_FILE]
            return [
                (path.name, path.read_text(encoding="utf-8", errors="replace")) for path in small
            ]
    except SubmissionError:
        return []


def _pairs(groups):
    """Return the pairs of owners who share nearly all of their fingerprints."""
    own, shared = collections.Counter(), collections.Counter()
    for group in groups:
        if len(group) <= MANY:
            own.update(group)
            shared.update(itertools.combinations(sorted(group), 2))
    return sorted(
        (one, other)
        for (one, other), common in shared.items()
        if common >= FEWEST and common >= ALIKE * (own[one] + own[other] - common)
    )
