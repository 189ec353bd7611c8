"""Event files, written without TensorBoard."""

from __future__ import annotations

import io
import struct

from modelyard.tensorboard.events import EventFile, crc32c


def records(content: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        (length,) = struct.unpack("<Q", content[at : at + 8])
        found.append(content[at + 12 : at + 12 + length])
        at += 12 + length + 4
    assert at == len(content)
    return found


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_a_file_begins_with_its_version_and_holds_a_record_an_event() -> None:
    file = io.BytesIO()
    written = EventFile(file, 1.5)
    written.scalar("loss", 1e300, -1, 2.5)
    first, second = records(file.getvalue())
    assert b"brain.Event:2" in first
    assert b"loss" in second
    assert struct.pack("<f", float("inf")) in second  # more than a scalar of TensorBoard holds
