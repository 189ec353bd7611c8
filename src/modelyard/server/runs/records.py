"""The journal's records (wire/metrics.py), decoded by msgspec into one struct per kind."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

_SHOWN_BYTES = 100  # of a line that is none

NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Record(msgspec.Struct, tag_field="k", gc=False):
    n: _Name
    t: _Int64
    d: str = ""
    f: int = 0


class Number(_Record, tag="m", kw_only=True, gc=False):
    """A number or string, with a step perhaps."""

    v: float | _Int64 | str
    s: _Int64 | None = None


class System(Number, tag="s", kw_only=True, gc=False):
    """A figure of the machine, sampled by the run host."""


class Listing(_Record, tag="l", kw_only=True):
    v: list[Any]


class TableRow(_Record, tag="r", kw_only=True):
    v: dict[str, Any]


class Table(_Record, tag="t", kw_only=True):
    v: dict[str, list[Any]]


class Image(_Record, tag="i", kw_only=True):
    v: str


class Document(_Record, tag="d", kw_only=True):
    v: dict[str, Any]


Other = Listing | TableRow | Table | Image | Document
_decoder = msgspec.json.Decoder(Number | System | Other)


def decode(chunk: bytes) -> tuple[list[Number | System | Other], list[str]]:
    """The records of whole lines, and what is wrong with each line that is none.

    A line that breaks off in the middle is passed over without a word: its writer was killed, or its disk was full,
    before `log` had returned, so nobody was told that it is kept.
    """
    try:
        return _decoder.decode_lines(chunk), []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        pass
    records = []
    problems = []
    for number, line in enumerate(chunk.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            if not isinstance(error, msgspec.ValidationError) and _is_torn(line):
                continue
            shown = line[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
            problems.append(f"Line {number} is no journal record: {error}: {shown}")
    return records, problems


def _is_torn(line: bytes) -> bool:
    return line.startswith(b"{") and not line.rstrip().endswith(b"}")
