"""The one door through which every path from outside goes before it names a file."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.server.kernel.errors import Invalid
from modelyard.wire.trees import path_problem, tree_problem


def check(path: str) -> str:
    """The path itself when it may name a file of a tree. Raises Invalid, saying why not."""
    problem = path_problem(path)
    if problem:
        raise Invalid("bad_path", f"Path {_shown(path)} can't be used: it {problem}.")
    return path


def check_tree(paths: Iterable[str]) -> None:
    """Each path alone, and all of them as files of one tree. Raises Invalid."""
    problem = tree_problem(paths)
    if problem:
        raise Invalid("bad_path", f"These files can't be one tree. {_printable(problem)}")


def _shown(path: str) -> str:
    return repr(path if len(path) <= 200 else path[:200] + "…")


def _printable(text: str) -> str:
    # Lone surrogates come in by JSON escapes and can't go out again as UTF-8.
    return text[:600].encode("utf-8", "backslashreplace").decode("utf-8")
