"""Where a page ended, as text that is good for the same filter and order alone."""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec

from modelyard.server.kernel.errors import Invalid
from modelyard.server.runs.search.expression import order_text, text
from modelyard.server.runs.search.query import Place, Query

_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Written(msgspec.Struct, array_like=True):
    asked: str  # what the page was an answer to
    values: list[float | str | None]
    numbers: list[int]  # which of the values are numbers that JSON has no word for
    start: float
    run_id: str


def write(query: Query, place: Place) -> str:
    words = [_word(value) for value in place.values]
    values = [value if word is None else word for value, word in zip(place.values, words, strict=True)]
    numbers = [i for i, word in enumerate(words) if word is not None]
    written = _Written(_asked(query), values, numbers, place.start, place.run_id)
    return base64.urlsafe_b64encode(msgspec.json.encode(written)).decode("ascii").rstrip("=")


def read(query: Query) -> Place | None:
    """None: from the beginning. Raises Invalid for what is no cursor, or one of another search."""
    if not query.after:
        return None
    try:
        content = base64.b64decode(query.after + "=" * (-len(query.after) % 4), altchars=b"-_", validate=True)
        written = msgspec.json.decode(content, type=_Written)
        values = list(written.values)
        for position in written.numbers:
            values[position] = _WORDS[str(values[position])]
    except (ValueError, KeyError, IndexError, binascii.Error, msgspec.DecodeError):
        raise Invalid(
            "bad_cursor", f"after={query.after[:80]!r} is not a cursor that a page of runs gave as next."
        ) from None
    if written.asked != _asked(query) or len(values) != len(query.order_by):
        raise Invalid(
            "other_cursor",
            "after is the cursor of another search. Ask for its pages with the same filter, order, experiments and view.",
        )
    return Place(values, written.start, written.run_id)


def _word(value: float | str | None) -> str | None:
    return next((w for w, n in _WORDS.items() if value == n or (value != value and n != n)), None)


def _asked(query: Query) -> str:
    parts = [text(query.filter), *map(order_text, query.order_by), query.view.value, str(query.natural)]
    parts += ["everywhere"] if query.experiments is None else sorted(query.experiments)
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:16]
