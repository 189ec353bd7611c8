"""A filter's text as tokens, each with the place where it begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from modelyard.server.kernel.errors import Invalid
from modelyard.server.runs.search.expression import KEYWORDS

MAX_LENGTH = 100_000


class Kind(Enum):
    NAME = "a name"
    TEXT = "a quoted text"
    NUMBER = "a number"
    KEYWORD = "a keyword"
    OPERATOR = "a comparison"
    OPEN = "("
    CLOSE = ")"
    COMMA = ","
    END = "the end"


@dataclass(frozen=True)
class Part:
    """One piece of a dotted name; `quote` is the character it stood in, or empty."""

    text: str
    quote: str = ""


@dataclass(frozen=True)
class Token:
    kind: Kind
    start: int
    text: str  # as written; of a keyword in capitals
    value: str = ""  # of a quoted text, without its quotes
    parts: tuple[Part, ...] = ()  # of a name


_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?(?![\w.])")
_OPERATOR = re.compile(r"<=|>=|!=|<>|==|=|<|>")
_WORD = re.compile(r"[\w/-]+")
_SIGNS = {"(": Kind.OPEN, ")": Kind.CLOSE, ",": Kind.COMMA}
_SHOWN = 30


def tokens(source: str) -> list[Token]:
    """All of them, with one of kind END at the end. Raises Invalid, saying where."""
    if len(source) > MAX_LENGTH:
        raise Invalid(
            "bad_filter", f"The filter has {len(source)} characters; at most {MAX_LENGTH} are read."
        )
    found: list[Token] = []
    at = _SPACE.match(source).end()  # type: ignore[union-attr]  # matches nothing too
    while at < len(source):
        token, end = _token(source, at)
        found.append(token)
        at = _SPACE.match(source, end).end()  # type: ignore[union-attr]  # as above
    found.append(Token(Kind.END, len(source), ""))
    return found


def refused(source: str, at: int, problem: str) -> Invalid:
    """`problem` as an error that points at the place."""
    shown = source[at : at + _SHOWN]
    where = f"at character {at + 1}, {shown!r}" if shown else "at its end"
    return Invalid("bad_filter", f"The filter can't be read {where}: {problem}", position=at)


def _token(source: str, at: int) -> tuple[Token, int]:
    sign = source[at]
    if sign in _SIGNS:
        return Token(_SIGNS[sign], at, sign), at + 1
    if sign == "'":
        value, end = _in_quotes(source, at)
        return Token(Kind.TEXT, at, source[at:end], value), end
    operator = _OPERATOR.match(source, at)
    if operator:
        return Token(Kind.OPERATOR, at, operator[0]), operator.end()
    number = _NUMBER.match(source, at)
    if number:
        return Token(Kind.NUMBER, at, number[0]), number.end()
    if sign in '"`' or (_WORD.match(sign) and sign not in "/-"):
        return _name(source, at)
    raise refused(source, at, f"{sign!r} is no part of a filter. {_hint(sign)}")


def _hint(sign: str) -> str:
    if sign in "&|":
        return "Write AND or OR."
    return "A name with such characters goes in double quotes or backticks, a text in single quotes."


def _name(source: str, at: int) -> tuple[Token, int]:
    parts: list[Part] = []
    end = at
    while True:
        if source[end : end + 1] in ('"', "`"):
            text, after = _in_quotes(source, end)
            parts.append(Part(text, source[end]))
            end = after
        else:
            word = _WORD.match(source, end)
            if word is None:
                raise refused(source, end, "a name goes on after its dot.")
            parts.append(Part(word[0]))
            end = word.end()
        if source[end : end + 1] != ".":
            break
        end += 1
    written = source[at:end]
    if len(parts) == 1 and not parts[0].quote and written.upper() in KEYWORDS:
        return Token(Kind.KEYWORD, at, written.upper()), end
    return Token(Kind.NAME, at, written, parts=tuple(parts)), end


def _in_quotes(source: str, at: int) -> tuple[str, int]:
    """What stands in the quotes that open at `at`, and where they have closed. A doubled quote is one of the text's own."""
    quote = source[at]
    pieces: list[str] = []
    start = at + 1
    while True:
        end = source.find(quote, start)
        if end < 0:
            raise refused(source, at, f"the quote {quote} is not closed.")
        pieces.append(source[start:end])
        if source[end + 1 : end + 2] != quote:
            return quote.join(pieces), end + 1
        start = end + 2
