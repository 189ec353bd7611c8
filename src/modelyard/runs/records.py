"""Journal records out of what a script logs: what may be logged is decided here.

v1's rule: a value is a number or a string; integers over 64 bits are refused. NaN and infinities are kept.
"""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Optional, Tuple

from modelyard import errors

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 63) - 1
_INFINITY = float("inf")

_text = json.encoder.encode_basestring_ascii
_names: Dict[str, str] = {}  # a name's JSON text; scripts log few names many times
_MOST_NAMES = 10_000
_LONGEST_NAME = 255  # characters, as in the yard
_MOST_BYTES = 4 << 20  # of one record; the yard takes journals in chunks of 8 MiB


def scalar(name: str, value: Any, description: str = "", step: Optional[int] = None) -> bytes:
    """The record of one `log` call. Built by hand, because this is called 100,000 times a second."""
    if type(value) is float:
        number = repr(value) if -_INFINITY < value < _INFINITY else _nonfinite(value)
    elif type(value) is int and _INT_MIN <= value <= _INT_MAX:
        number = repr(value)
    else:
        value = _scalar(name, value)
        number = _text(value) if isinstance(value, str) else scalar_text(value)
        if len(number) > _MOST_BYTES:
            raise _too_large(name, len(number))
    key = _names.get(name) or _name(name)
    if step is None and not description:
        return (f'{{"k":"m","n":{key},"v":{number},"t":{int(time.time() * 1000)}}}\n').encode("ascii")
    extra = "" if step is None else f',"s":{_step(name, step)}'
    if description:
        extra += f',"d":{_text(str(description))}'
    return (f'{{"k":"m","n":{key},"v":{number},"t":{int(time.time() * 1000)}{extra}}}\n').encode("ascii")


def scalar_text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if -_INFINITY < value < _INFINITY else _nonfinite(value)
    return repr(value)


def _nonfinite(value: float) -> str:
    return '"NaN","f":1' if value != value else '"Infinity","f":1' if value > 0 else '"-Infinity","f":1'


def listing(name: str, value: Any, description: str = "") -> bytes:
    return _record("l", name, _column(name, value), description)


def row(name: str, columns: Dict[str, Any], description: str = "") -> bytes:
    if not columns:
        raise errors.UserErrorException(f"log_row({name!r}) needs columns: log_row({name!r}, x=1, y=2).")
    return _record("r", name, {str(k): _scalar(f"{name}.{k}", v) for k, v in columns.items()}, description)


def table(name: str, value: Any, description: str = "") -> bytes:
    if not isinstance(value, dict) or not value:
        raise errors.UserErrorException(
            f"log_table({name!r}) takes columns, {{'x': [1, 2], 'y': [3, 4]}}, not {_what(value)}."
        )
    columns = {
        str(k): _column(f"{name}.{k}", v) if _is_many(v) else [_scalar(name, v)] for k, v in value.items()
    }
    lengths = {k: len(v) for k, v in columns.items()}
    if len(set(lengths.values())) > 1:
        raise errors.UserErrorException(f"The columns of table {name!r} differ in length: {lengths}.")
    return _record("t", name, columns, description)


def image(name: str, path: str, description: str = "") -> bytes:
    return _record("i", name, path, description)


# What the data of each document must hold; the shapes are v1's published examples.
_DOCUMENTS = {
    "confusion_matrix": ("class_labels", "matrix"),
    "accuracy_table": (
        "probability_tables",
        "percentile_tables",
        "probability_thresholds",
        "percentile_thresholds",
        "class_labels",
    ),
    "residuals": ("bin_edges", "bin_counts"),
    "predictions": ("bin_averages", "bin_errors", "bin_counts", "bin_edges"),
}


def document(kind: str, name: str, value: Any, description: str = "") -> bytes:
    """A confusion matrix, accuracy table, residuals or predictions: a dictionary or its JSON text."""
    return _record("d", name, check_document(kind, name, value), description)


def check_document(kind: str, name: str, value: Any) -> Dict[str, Any]:
    """Raises UserErrorException naming what is missing."""
    where = f"log_{kind}({name!r})"
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise errors.UserErrorException(f"{where} was given text that is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise errors.UserErrorException(f"{where} takes a dictionary or its JSON text, not {_what(value)}.")
    missing = [key for key in ("schema_type", "schema_version", "data") if key not in value]
    if missing:
        raise errors.UserErrorException(f"{where}: the value lacks {', '.join(missing)}.")
    if value["schema_type"] != kind:
        raise errors.UserErrorException(
            f"{where}: schema_type is {value['schema_type']!r}, it must be {kind!r}."
        )
    data = value["data"]
    if not isinstance(data, dict):
        raise errors.UserErrorException(f"{where}: data must be a dictionary, not {_what(data)}.")
    missing = [key for key in _DOCUMENTS[kind] if key not in data]
    if missing:
        raise errors.UserErrorException(f"{where}: data lacks {', '.join(missing)}.")
    if kind == "confusion_matrix":
        labels, matrix = _plain(data["class_labels"]), _plain(data["matrix"])
        size = len(labels) if isinstance(labels, list) else -1
        if (
            not isinstance(matrix, list)
            or [len(r) if isinstance(r, list) else -1 for r in matrix] != [size] * size
        ):
            raise errors.UserErrorException(
                f"{where}: matrix must have a row and a column for each of class_labels."
            )
    return value


def _record(kind: str, name: Any, value: Any, description: Optional[str]) -> bytes:
    plain, is_finite = _finite(_plain(value))
    body = {"k": kind, "n": _checked(name), "v": plain, "t": int(time.time() * 1000)}
    if not is_finite:
        body["f"] = 1
    if description:
        body["d"] = str(description)
    try:
        line = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError) as error:
        raise errors.UserErrorException(f"Metric {name!r} can't be written as JSON: {error}.") from error
    if len(line) > _MOST_BYTES:
        raise _too_large(name, len(line))
    return line


def _too_large(name: str, size: int) -> errors.UserErrorException:
    return errors.UserErrorException(
        f"Metric {name!r} has {size} bytes in one value; at most {_MOST_BYTES} are taken. Write it to a file in "
        "./outputs instead, or upload it with run.upload_file."
    )


def _name(name: str) -> str:
    text = _text(_checked(name))
    if len(_names) < _MOST_NAMES:
        _names[name] = text
    return text


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise errors.UserErrorException(f"A metric is logged under a name, not {name!r}.")
    if len(name) > _LONGEST_NAME or "\0" in name:
        raise errors.UserErrorException(
            f"A metric's name has at most {_LONGEST_NAME} characters and no NUL; {name[:60]!r}… has {len(name)}."
        )
    return name


def _step(name: str, step: Any) -> int:
    whole = _scalar(name, step)
    if isinstance(whole, float) and whole.is_integer():
        whole = int(whole)
    if not isinstance(whole, int):
        raise errors.UserErrorException(f"The step of metric {name!r} must be a whole number, not {step!r}.")
    return whole


def _scalar(name: str, value: Any) -> Any:
    """A plain number or string; numpy and torch scalars are unpacked by their own `item`."""
    if not isinstance(value, (str, int, float)) and hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):  # an array of more than one
            raise errors.UserErrorException(
                f"Metric {name!r} was given {_what(value)} of more than one value. log_list takes many."
            ) from None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise errors.UserErrorException(
                f"Metric {name!r} was given a whole number over 64 bits ({value.bit_length()} bits). "
                "Log it as float(value) or str(value)."
            )
        return int(value)
    try:
        return float(value)  # Decimal, Fraction and their like
    except (TypeError, ValueError):
        raise errors.UserErrorException(
            f"Metric {name!r} must be a number or a string, not {_what(value)}."
        ) from None


def _column(name: str, value: Any) -> List[Any]:
    if not _is_many(value):
        raise errors.UserErrorException(
            f"Metric {name!r} takes a list of numbers or strings, not {_what(value)}."
        )
    return [_scalar(name, one) for one in _plain(value)]


def _is_many(value: Any) -> bool:
    if isinstance(value, (str, bytes, dict)):
        return False
    return hasattr(value, "__iter__") and getattr(value, "ndim", 1) != 0


def _plain(value: Any) -> Any:
    """Arrays and series as lists, at any depth; numpy scalars as numbers."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (str, bytes, int, float)) or value is None:
        return value
    if hasattr(value, "__iter__"):
        return [_plain(v) for v in value]
    return value


def _finite(value: Any) -> Tuple[Any, bool]:
    if isinstance(value, float) and not -_INFINITY < value < _INFINITY:
        return ("NaN" if value != value else "Infinity" if value > 0 else "-Infinity"), False
    if isinstance(value, dict):
        pairs = {k: _finite(v) for k, v in value.items()}
        return {k: v for k, (v, _) in pairs.items()}, all(ok for _, ok in pairs.values())
    if isinstance(value, list):
        items = [_finite(v) for v in value]
        return [v for v, _ in items], all(ok for _, ok in items)
    return value, True


def _what(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
