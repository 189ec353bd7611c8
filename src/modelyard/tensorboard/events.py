"""TensorBoard's event files, written with the standard library alone.

A file is a row of TFRecords (length, its checksum, data, its checksum), each an `Event` in protocol buffers. Numbers of
fields are those of tensorboard/compat/proto (event, summary, tensor) and plugins/hparams/plugin_data.proto.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, Iterable, List, Union

_FLOAT, _STRING = 1, 7  # of DataType
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types

SUCCESS, FAILURE, RUNNING = 1, 2, 3  # of hparams.Status


class EventFile:
    """Writes one event file into an open binary file."""

    def __init__(self, file: Any, wall_time: float) -> None:
        self._file = file
        self._write(_double(1, wall_time) + _text(3, "brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int, wall_time: float) -> None:
        self._summary(_text(1, tag) + _tag(2, _FIXED32) + struct.pack("<f", _float32(value)), step, wall_time)

    def text(self, tag: str, value: str, step: int, wall_time: float) -> None:
        tensor = _varint(1, _STRING) + _message(2, _message(2, _varint(1, 1))) + _text(8, value)
        self._tensor(tag, "text", b"", tensor, step, wall_time)

    def image(self, tag: str, encoded: bytes, width: int, height: int, step: int, wall_time: float) -> None:
        """A PNG, JPEG or GIF as it is."""
        image = _varint(1, height) + _varint(2, width) + _varint(3, 4) + _message(4, encoded)
        self._summary(_text(1, tag) + _message(4, image), step, wall_time)

    def parameters(self, given: Dict[str, Union[float, str]], began: float, group: str) -> None:
        """The run's row in the HPARAMS tab."""
        start = b"".join(
            _message(1, _text(1, name) + _message(2, _value(value))) for name, value in sorted(given.items())
        )
        start += _text(4, group) + _double(5, began)
        self._hparams("_hparams_/session_start_info", 3, start, began)

    def ended(self, status: int, at: float) -> None:
        self._hparams("_hparams_/session_end_info", 4, _varint(1, status) + _double(2, at), at)

    def _hparams(self, tag: str, field: int, content: bytes, wall_time: float) -> None:
        nothing = _varint(1, _FLOAT) + _message(2, _message(2, _varint(1, 0)))
        self._tensor(tag, "hparams", _message(field, content), nothing, 0, wall_time)

    def _tensor(
        self, tag: str, plugin: str, content: bytes, tensor: bytes, step: int, wall_time: float
    ) -> None:
        metadata = _message(1, _text(1, plugin) + _message(2, content))
        self._summary(_text(1, tag) + _message(8, tensor) + _message(9, metadata), step, wall_time)

    def _summary(self, value: bytes, step: int, wall_time: float) -> None:
        self._write(_double(1, wall_time) + _varint(2, step) + _message(5, _message(1, value)))

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))


def _tag(field: int, kind: int) -> bytes:
    return bytes([field << 3 | kind])  # fields below 16, as all of these are


def _varint(field: int, value: int) -> bytes:
    return _tag(field, _VARINT) + _number(value & (2**64 - 1))  # negative ones as two's complement


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _double(field: int, value: float) -> bytes:
    return _tag(field, _FIXED64) + struct.pack("<d", value)


def _message(field: int, content: bytes) -> bytes:
    return _tag(field, _BYTES) + _number(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8", "replace"))


def _value(value: Union[float, str]) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return _varint(4, int(value))
    return _text(3, value) if isinstance(value, str) else _double(2, float(value))


def _float32(value: float) -> float:
    try:
        struct.pack("<f", value)
    except OverflowError:  # beyond what TensorBoard's scalars hold
        return float("inf") if value > 0 else float("-inf")
    return value


def _table() -> List[int]:
    found = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # Castagnoli's polynomial, reversed
        found.append(crc)
    return found


_CRC = _table()


def crc32c(data: Iterable[int]) -> int:
    crc, table = 0xFFFFFFFF, _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    """A checksum of data that holds checksums is weak, so TFRecord turns and shifts it."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
