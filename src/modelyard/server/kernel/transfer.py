"""How what a slice keeps leaves the yard in a file, and comes in from one.

Each slice says in its own `transfer.py` which tables of the file are its own, how its rows become rows of these, and
what becomes of the rows of a file here. The transfer slice above them all knows files, and no slice's tables.

An import goes through the file twice: first it only looks (`Target.is_rehearsal`), so that whatever is wrong with the
file, or in the way here, is known before the first row is written.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NoReturn, Protocol

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import Conflict, Invalid

_NAMED = 100  # how many things of one kind a report names


class Kind(Enum):
    """What a column of the file holds. A list or a mapping is JSON in a column of text."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    JSON = "json"


@dataclass(frozen=True)
class FileTable:
    """One table of the file. Any column may hold nulls; what may not is checked where the row comes in."""

    name: str
    columns: Mapping[str, Kind]

    def row(self, given: Mapping[Any, Any]) -> tuple[Any, ...]:
        return tuple(
            msgspec.json.encode(given[name]).decode() if kind is Kind.JSON and given[name] is not None else given[name]
            for name, kind in self.columns.items()
        )  # fmt: skip

    def mapping(self, row: Sequence[Any]) -> dict[str, Any]:
        """The row's values by column. Raises Invalid for text that should be JSON and is none."""
        found = dict(zip(self.columns, row, strict=True))
        for name, kind in self.columns.items():
            text = found[name]
            if kind is Kind.JSON and text is not None:
                try:
                    found[name] = msgspec.json.decode(text)
                except (msgspec.DecodeError, RecursionError, ValueError) as error:
                    raise bad_file(
                        f"Column {name!r} of table {self.name!r} holds {text[:80]!r}, which is no JSON: {error}."
                    ) from error
            if isinstance(text, str) and "\0" in text:
                raise bad_file(f"Column {name!r} of table {self.name!r} holds a NUL character.")
        return found


def columns_of(table: sa.Table, *leave_out: str) -> dict[str, Kind]:
    """The columns that the file's table has in common with a table of the yard: all but those that mean nothing elsewhere."""
    return {str(c.name): _kind(c) for c in table.columns if c.name not in leave_out}


def _kind(column: sa.Column[Any]) -> Kind:
    for type_, kind in (
        (sa.JSON, Kind.JSON), (sa.Boolean, Kind.BOOLEAN), (sa.Float, Kind.FLOAT), (sa.Integer, Kind.INTEGER),
        (sa.String, Kind.TEXT),
    ):  # fmt: skip
        if isinstance(column.type, type_):
            return kind
    raise TypeError(f"column {column} has no kind in a file")


@dataclass(frozen=True)
class Scope:
    """What leaves. `experiment_ids` and `run_ids` None: everything; else only these, with what belongs to them."""

    workspace_id: str
    experiment_ids: frozenset[str] | None = None
    run_ids: frozenset[str] | None = None
    with_files: bool = True

    @property
    def is_whole(self) -> bool:
        return self.experiment_ids is None and self.run_ids is None


class Out(Protocol):
    """The file that is being written. Slices are asked from the top, so that a lower one knows what those above need of it:
    `run_ids` that left (noted when not everything leaves), `trees` and `blobs`."""

    blobs: dict[str, int]
    trees: set[str]
    run_ids: set[str]

    def rows(self, table: FileTable, rows: Iterable[Sequence[Any]]) -> None:
        """More rows of a table."""

    def arrays(self, table: FileTable, arrays: Mapping[str, Any]) -> None:
        """More rows of a table of numbers, by column; `X_known` beside a column says where it has a value."""

    def content(self, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Bytes that are no blob here become one of the file; answers hash and size."""


class In(Protocol):
    """The file that is being read; whole, of the right types and with the right hashes, but from anybody."""

    blobs: Mapping[str, int]
    trees: set[str]  # told by the artifacts, for the slices above

    def rows(self, table: FileTable) -> Iterator[tuple[Any, ...]]:
        """The rows of a table in the order in which they were written."""

    def arrays(self, table: FileTable) -> Iterator[dict[str, Any]]:
        """The same as arrays by column, a piece at a time, with an `X_known` beside every column of whole numbers."""

    def count(self, table: FileTable) -> int:
        """How many rows the table has."""

    def blob(self, hash_: str) -> Iterator[bytes]:
        """A blob's bytes in pieces."""


class Merge(Enum):
    """What becomes of a thing of the file when the workspace has another of the same name."""

    SKIP = "skip"
    REPLACE = "replace"
    FAIL = "fail"
    RENAME = "rename"


class Fate(Enum):
    """What becomes of one thing of the file."""

    ADDED = "added"
    SAME = "same"
    SKIPPED = "skipped"
    REPLACED = "replaced"
    RENAMED = "renamed"

    @property
    def is_written(self) -> bool:
        return self in (Fate.ADDED, Fate.REPLACED, Fate.RENAMED)


@dataclass
class Tally:
    """What became of the things of one kind; `others` names those that the workspace has with other content."""

    counts: Counter[Fate] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)


@dataclass
class Target:
    """Where a file comes in, by which rule, and what has become of its things so far."""

    workspace_id: str
    workspace: str
    merge: Merge
    at: float
    exported_at: float
    is_rehearsal: bool = True
    tallies: dict[str, Tally] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)  # of the file -> here, where they differ
    experiment_ids: dict[str, str] = field(default_factory=dict)  # of the file -> here, of all
    model_ids: dict[str, str] = field(default_factory=dict)  # the same
    left: set[str] = field(
        default_factory=set
    )  # runs of the file that the workspace has with other content, and keeps
    ended: int = 0  # runs that were not over when they were exported

    def decide(self, kind: str, name: str, there: bool, same: bool, can_rename: bool = True) -> Fate:
        """What becomes of a thing, by the rule; noted for the report. What is its name alone can't have another."""
        fate = Fate.ADDED
        if there:
            by_rule = {
                Merge.REPLACE: Fate.REPLACED,
                Merge.RENAME: Fate.RENAMED if can_rename else Fate.SKIPPED,
            }
            fate = Fate.SAME if same else by_rule.get(self.merge, Fate.SKIPPED)
        tally = self.tallies.setdefault(kind, Tally())
        tally.counts[fate] += 1
        if there and not same and len(tally.others) < _NAMED:
            tally.others.append(name)
        if fate is Fate.SKIPPED and kind == "run":
            self.left.add(name)
        return fate

    def run_id(self, run_id: str | None) -> str | None:
        return None if run_id is None else self.run_ids.get(run_id, run_id)

    def for_real(self) -> Target:
        """The same after the rehearsal, with what it found out about names."""
        return dataclasses.replace(self, is_rehearsal=False, tallies={})

    def refuse_others(self) -> None:
        """Raises Conflict when the rule is `fail` and something is there with other content."""
        if self.merge is not Merge.FAIL:
            return
        named = [f"{kind} {name!r}" for kind, tally in self.tallies.items() for name in tally.others]
        if named:
            shown = ", ".join(named[:5]) + (", …" if len(named) > 5 else "")
            raise Conflict(
                "import_conflict",
                f"Workspace {self.workspace!r} has {len(named)} of the file's things with other content: {shown}. Nothing was "
                "imported. Choose what becomes of them: --merge skip, replace or rename.",
                others=named,
            )


class Transfer(Protocol):
    """A slice's part of it."""

    @property
    def tables(self) -> Sequence[FileTable]:
        """The tables of the file that are this slice's."""

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        """Write what is in the scope."""

    def come_in(self, given: In, target: Target) -> None:
        """Keep what is new, each thing whole or not at all, so that an import that broke off can be done again.

        Raises Invalid for what can't be kept.
        """


class Ahead:
    """Rows of a table that belong to things in the same order: each time those of the next few things are asked for."""

    def __init__(self, table: FileTable, rows: Iterator[tuple[Any, ...]]) -> None:
        self._table = table
        self._rows = rows
        self._next = next(rows, None)

    def of(self, owners: Container[Any]) -> Iterator[dict[str, Any]]:
        """The next rows, for as long as their first column is one of the owners."""
        while self._next is not None and self._next[0] in owners:
            row = self._next
            self._next = next(self._rows, None)
            yield self._table.mapping(row)

    def end(self) -> None:
        """Raises Invalid when rows are left, whose owner is not in the file or not where it should be."""
        if self._next is not None:
            refuse(
                f"Table {self._table.name!r} has rows of {str(self._next[0])[:80]!r}, which is not there or out of order."
            )


def bad_file(what: str) -> Invalid:
    return Invalid("bad_export", f"The file can't be imported: {what} Nothing was imported.")


def refuse(what: str) -> NoReturn:
    raise bad_file(what)
