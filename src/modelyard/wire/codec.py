"""Turns wire dataclasses into JSON values and back, with the standard library only.

Lenient as the wire asks: unknown keys are ignored, a missing key takes the field's default.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import typing
from typing import Any, Callable, Dict, Type, TypeVar, Union

T = TypeVar("T")
_Decoder = Callable[[Any, str], Any]


class DecodeError(ValueError):
    """A JSON value does not fit the wire type; the message names the path, e.g. `$.tags`."""


def to_json(value: Any) -> Any:
    """The JSON value (dict, list, str, number, None) of a wire dataclass or container of them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    return value


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON of a wire value. NaN and infinities are refused, as JSON has no word for them."""
    return json.dumps(to_json(value), separators=(",", ":"), allow_nan=False).encode("utf-8")


def loads(kind: Type[T], data: Union[bytes, str]) -> T:
    """Decode JSON text as `kind`. Raises DecodeError."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DecodeError(f"not JSON: {error}") from error
    return from_json(kind, value)


def from_json(kind: Type[T], value: Any) -> T:
    """Build `kind` from a JSON value. Raises DecodeError naming the path that does not fit."""
    decode: _Decoder = _decoder(kind)  # type: ignore[arg-type]  # a type is hashable; mypy has no word for it
    return decode(value, "$")  # type: ignore[no-any-return]  # the table of decoders is untyped


@functools.lru_cache(maxsize=None)
def _decoder(kind: Any) -> _Decoder:
    if kind is Any:
        return lambda value, _path: value
    if dataclasses.is_dataclass(kind):
        return _dataclass_decoder(kind)
    origin = getattr(kind, "__origin__", None)
    if origin is Union:
        return _optional_decoder(kind)
    if origin in (list, typing.List):
        return _list_decoder(kind.__args__[0])
    if origin in (dict, typing.Dict):
        return _dict_decoder(kind.__args__[1])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum_decoder(kind)
    return _scalar_decoder(kind)


def _dataclass_decoder(kind: Any) -> _Decoder:
    hints = typing.get_type_hints(kind)
    fields = [(f.name, hints[f.name]) for f in dataclasses.fields(kind)]
    required = {
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    decoders: Dict[str, _Decoder] = {}

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise DecodeError(f"{path}: expected an object, got {type(value).__name__}")
        if not decoders:  # filled at first use, so that a type may mention itself
            decoders.update((name, _decoder(hint)) for name, hint in fields)
        missing = required - value.keys()
        if missing:
            raise DecodeError("{}: missing {}".format(path, ", ".join(sorted(missing))))
        return kind(**{n: decoders[n](value[n], path + "." + n) for n, _ in fields if n in value})

    return decode


def _optional_decoder(kind: Any) -> _Decoder:
    inner = [_decoder(a) for a in kind.__args__ if a is not type(None)]
    nullable = type(None) in kind.__args__

    def decode(value: Any, path: str) -> Any:
        if value is None and nullable:
            return None
        for one in inner:
            try:
                return one(value, path)
            except DecodeError:
                if one is inner[-1]:
                    raise
        raise DecodeError(f"{path}: must not be null")

    return decode


def _list_decoder(item: Any) -> _Decoder:
    one = _decoder(item)

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise DecodeError(f"{path}: expected a list, got {type(value).__name__}")
        return [one(v, f"{path}[{i}]") for i, v in enumerate(value)]

    return decode


def _dict_decoder(item: Any) -> _Decoder:
    one = _decoder(item)

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise DecodeError(f"{path}: expected an object, got {type(value).__name__}")
        return {k: one(v, path + "." + k) for k, v in value.items()}

    return decode


def _enum_decoder(kind: Any) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(str(m.value) for m in kind)
            raise DecodeError(f"{path}: {value!r} is not one of {allowed}") from None

    return decode


def _scalar_decoder(kind: Any) -> _Decoder:
    def decode(value: Any, path: str) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool)):
            return value
        raise DecodeError(f"{path}: expected {kind.__name__}, got {type(value).__name__}")

    return decode
