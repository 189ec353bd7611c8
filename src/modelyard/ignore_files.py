"""Ignore files: which files of a directory stay behind when it becomes a snapshot.

`.amlignore` at the root speaks alone. Without one, `.gitignore` files speak as they do to git: each for the directory
it lies in, the deepest first.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Any, Iterable, List, Tuple

from modelyard import errors

AMLIGNORE = ".amlignore"
GITIGNORE = ".gitignore"

# Character classes that git knows and the library does not, for ASCII, which is all that git's cover.
_CLASSES = {
    "[:alpha:]": "a-zA-Z", "[:digit:]": "0-9", "[:alnum:]": "a-zA-Z0-9", "[:upper:]": "A-Z", "[:lower:]": "a-z",
    "[:space:]": " \t", "[:blank:]": " \t", "[:xdigit:]": "0-9a-fA-F",
}  # fmt: skip


class IgnoreRules:
    """The rules that hold in one directory: its own ignore file's, then those of the directories above."""

    def __init__(self, files: Tuple[Tuple[int, List[Any]], ...] = (), is_alone: bool = False) -> None:
        # (how much of a path its patterns don't see, the patterns from the last line to the first), deepest first.
        self._files = files
        self._is_alone = is_alone  # an .amlignore, which no file below adds to

    @classmethod
    def at_root(cls, root: str) -> IgnoreRules:
        file = os.path.join(root, AMLIGNORE)
        return cls(((0, _patterns(file)),), is_alone=True) if os.path.isfile(file) else cls()

    def within(self, directory: str, prefix: str, names: Iterable[str]) -> IgnoreRules:
        """The rules inside `directory`, which holds `names` and has `prefix` as its path in the snapshot."""
        if self._is_alone or GITIGNORE not in names:
            return self
        file = os.path.join(directory, GITIGNORE)
        if not os.path.isfile(file):
            return self
        return IgnoreRules(((len(prefix), _patterns(file)), *self._files))

    def leave_out(self, path: str, is_directory: bool) -> bool:
        """Whether `path` stays behind, whose parent directory does not: the last pattern that matches it decides."""
        for start, patterns in self._files:
            below = path[start:] + ("/" if is_directory else "")
            for pattern in patterns:
                found = pattern.match_file(below)
                if found is not None and _is_whole(found.match, len(below)):
                    return bool(pattern.include)
        return False


def _is_whole(match: Any, length: int) -> bool:
    """Whether the pattern matches the path itself. The library's also match all below a directory that they match,
    by which a later `!directory` would let in what an earlier line keeps out of it."""
    if "ps_d" not in match.re.groupindex:
        return True
    return match.end("ps_d") in (-1, length)


def _patterns(file: str) -> List[Any]:
    try:
        # A library for git's rules; only directories with an ignore file need it, and a run's SDK has none.
        from pathspec import GitIgnoreSpec
    except ImportError:
        raise errors.UserErrorException(
            f"{file} says which files to leave out; reading it needs the pathspec library: pip install 'pathspec>=0.12'"
        ) from None
    with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as text:
        lines = _lines(text.read())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of `re`, on a bracket in a character class
        try:
            spec = GitIgnoreSpec.from_lines(lines)
        except ValueError:  # a line that git too takes for no pattern, such as a lone "!"
            spec = GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(GitIgnoreSpec, line)])
    return [pattern for pattern in reversed(list(spec.patterns)) if pattern.include is not None]


def _is_pattern(kind: Any, line: str) -> bool:
    try:
        kind.from_lines([line])
    except ValueError:
        return False
    return True


def _lines(text: str) -> List[str]:
    found = []
    for line in text.split("\n"):
        line = re.sub(r"((?:^|[^\\])(?:\\\\)*(?:\\ )?) *\r?$", r"\1", line)
        for name, members in _CLASSES.items():
            line = line.replace(name, members)
        if line.endswith("/**/"):
            line += "*/"  # the same to git; the library takes the first for the directory itself
        found.append(line)
    return found
