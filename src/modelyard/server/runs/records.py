"""The journal's records (wire/metrics.py), decoded by msgspec into one struct per kind."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from modelyard.server.kernel.errors import Invalid

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Record(msgspec.Struct, tag_field="k", gc=False):
    n: _Name
    t: _Int64
    d: str = ""
    f: int = 0


class Number(_Record, tag="m", kw_only=True, gc=False):
    """A number or string, with a step perhaps."""

    v: float | int | str
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


def decode(chunk: bytes) -> list[Number | System | Other]:
    """The records of whole lines. Raises Invalid naming the first line that is none; then nothing counts.

    A line that breaks off in the middle is passed over: its writer was killed, or its disk was full, before `log` had
    returned, so nobody was told that it is kept.
    """
    try:
        return _decoder.decode_lines(chunk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        pass
    records = []
    for number, line in enumerate(chunk.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            if not isinstance(error, msgspec.ValidationError) and _is_torn(line):
                continue
            raise Invalid(
                "bad_journal_line",
                f"Line {number} of this chunk is no journal record: {error}. Nothing of the chunk was taken in.",
                line=number,
            ) from None
    return records


def _is_torn(line: bytes) -> bool:
    return line.startswith(b"{") and not line.rstrip().endswith(b"}")
