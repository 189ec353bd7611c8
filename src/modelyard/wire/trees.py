"""What a tree of files is on the wire: which paths it may hold, and how its id follows from its files.

The one place for both rules: the server refuses by them, the SDK checks by them before it uploads and before it
writes what it downloads.
"""

from __future__ import annotations

import re
from typing import Iterable, List, Set

from modelyard.wire.artifacts import FileEntry

MAX_PATH_LENGTH = 1024
MAX_PART_BYTES = 255  # what ext4, XFS, APFS and NTFS take for one name

# Control characters, and the marks that make a name read otherwise than it is (line separators, bidi overrides).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_DRIVE_OR_SCHEME = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.\-]*:(/|$)")
# A name that another decoding would turn into a dot, a separator, NUL or one more `%`.
_ENCODED = re.compile(r"%(?:2[eEfF5]|5[cC]|00|[cC]0)")
# What nearly every path is, so that only the others are looked at part by part.
_ORDINARY = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9_\-]{0,99}/)*[A-Za-z0-9_\-]{1,99}(?:\.[A-Za-z0-9_\-]{1,99})?"
)
_NO_PART = frozenset(("", ".", ".."))


def path_problem(path: str) -> str:
    """Why `path` can't name a file of a tree, as the end of a sentence; empty when it can."""
    if len(path) <= MAX_PATH_LENGTH and _ORDINARY.fullmatch(path):
        return ""
    if not path:
        return "is empty"
    if len(path) > MAX_PATH_LENGTH:
        return f"is longer than {MAX_PATH_LENGTH} characters"
    if path[0] == "/":
        return "is absolute"
    if "\\" in path:
        return "holds a backslash"
    if _CONTROL.search(path):
        return "holds a control character"
    if ":" in path and _DRIVE_OR_SCHEME.match(path):
        return "begins with a drive or a URL scheme"
    if "%" in path and _ENCODED.search(path):
        return "holds a percent-encoded dot, slash or percent sign"
    return _parts_problem(path)


def _parts_problem(path: str) -> str:
    is_ascii = path.isascii()
    if not is_ascii:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return "is not valid Unicode"
    for part in path.split("/"):
        if part in _NO_PART:
            return "has an empty, '.' or '..' part"
        if part[-1] in ". ":
            return "has a part that ends in a dot or a space"
        if (len(part) if is_ascii else len(part.encode("utf-8"))) > MAX_PART_BYTES:
            return f"has a part longer than {MAX_PART_BYTES} bytes"
    return ""


def tree_problem(paths: Iterable[str]) -> str:
    """Why these paths can't be files of one tree, as a sentence; empty when they can.

    Each is checked alone; then no two may be equal, or be a file and a directory at once. Paths that differ only in
    case are fine: who writes a tree to a file system that can't tell them apart finds out there.
    """
    files: Set[str] = set()
    directories: Set[str] = set()
    last_parent = ""
    for path in paths:
        problem = path_problem(path)
        if problem:
            return f"Path {path!r} {problem}."
        if path in files:
            return f"Path {path!r} is there twice."
        files.add(path)
        parent = path.rpartition("/")[0]
        if parent == last_parent:
            continue
        last_parent = parent
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for path in files & directories:
        return f"Path {path!r} is both a file and a directory."
    return ""


def manifest(entries: Iterable[FileEntry]) -> bytes:
    """The canonical text of a tree: a line `hash size x|- path` per file, sorted by the path's UTF-8 bytes."""
    lines = [
        "{} {} {} {}\n".format(e.hash, e.size, "x" if e.executable else "-", e.path).encode(
            "utf-8", "surrogatepass"
        )
        for e in sorted(entries, key=lambda e: e.path.encode("utf-8", "surrogatepass"))
    ]
    return b"".join(lines)


def parse_manifest(text: bytes) -> List[FileEntry]:
    """The files of a canonical text, in its order."""
    entries = []
    for line in text.decode("utf-8").split("\n")[:-1]:
        hash_, size, mode, path = line.split(" ", 3)
        entries.append(FileEntry(path, hash_, int(size), mode == "x"))
    return entries


def tree_id(entries: Iterable[FileEntry]) -> str:
    """SHA-256 of the canonical text, so equal trees have equal ids."""
    import hashlib  # OpenSSL takes 10 ms to load, and most scripts only check paths

    return hashlib.sha256(manifest(entries)).hexdigest()
