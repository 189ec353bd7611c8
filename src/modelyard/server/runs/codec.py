"""Columns of points as few bytes, bit for bit the same when they come back. Pure; needs numpy, so import it late.

A column is one byte that says how it is written, then:

    ints    C  first value, difference: an even sequence of any length
            P  which differences (0, 1 or 2 times), as many first values, then groups of 128 numbers: the smallest of each
               group (8 bytes each), their widths in bits (1 byte each), and the rest over the smallest, bit-packed
    floats  I  whole numbers, as ints          D  decimals: how many digits (1 byte), then times 10^digits as ints
            F  of 32 bits, planes              X  of 64 bits, planes          Y  the same, each xor the one before
    steps   A  all there: ints                 S  some there: a bit for each, then ints with 0 for those that lack

Planes: for each byte of the numbers, from the lowest, how many bytes it takes (4 bytes), then these: compressed by zlib
where that makes it smaller, plain where its size is `count`. Numbers are little-endian. NaN comes back as the one NaN.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

VERSION = 1

_GROUP = 128
_MOST_DIGITS = 9
_EXACT = 2.0**53
_LEVEL = 6


def unpack(
    version: int, count: int, steps: bytes | None, times_ms: bytes, values: bytes
) -> tuple[Ints, Mask, Ints, Floats]:
    """A block's steps (0 where there is none), which there are, times and values; `version` 0 is plain 64-bit numbers."""
    if version == VERSION:
        return *unpack_steps(steps, count), unpack_ints(times_ms, count), unpack_floats(values, count)
    there = np.full(count, steps is not None)
    plain = np.zeros(count, np.int64) if steps is None else np.frombuffer(steps, "<i8").astype(np.int64)
    times = np.frombuffer(times_ms, "<i8").astype(np.int64)
    return plain, there, times, np.frombuffer(values, "<f8").astype(np.float64)


def pack_steps(steps: Ints, present: Mask) -> bytes | None:
    """None where no point has a step."""
    if not present.any():
        return None
    if present.all():
        return b"A" + pack_ints(steps)
    return b"S" + np.packbits(present, bitorder="little").tobytes() + pack_ints(np.where(present, steps, 0))


def unpack_steps(content: bytes | None, count: int) -> tuple[Ints, Mask]:
    if content is None:
        return np.zeros(count, np.int64), np.zeros(count, np.bool_)
    if content[:1] == b"A":
        return unpack_ints(content[1:], count), np.ones(count, np.bool_)
    size = (count + 7) // 8
    bits = np.frombuffer(content, np.uint8, size, 1)
    present = np.unpackbits(bits, count=count, bitorder="little").astype(np.bool_)
    return unpack_ints(content[1 + size :], count), present


def pack_ints(numbers: Ints) -> bytes:
    """At least one number. Differences wrap around, so any 64-bit numbers are fine."""
    first = np.diff(numbers)
    if not len(first) or (first == first[0]).all():
        return b"C" + struct.pack("<qq", numbers[0], first[0] if len(first) else 0)
    candidates = [_packed_groups(numbers), _packed_groups(first), _packed_groups(np.diff(first))]
    times = min(range(3), key=lambda at: len(candidates[at]))
    starts = [numbers[0], first[0]][:times]
    return b"P" + bytes([times]) + struct.pack(f"<{times}q", *starts) + candidates[times]


def unpack_ints(content: bytes, count: int) -> Ints:
    if content[:1] == b"C":
        start, step = struct.unpack_from("<qq", content, 1)
        return np.int64(start) + np.int64(step) * np.arange(count, dtype=np.int64)
    times = content[1]
    starts = struct.unpack_from(f"<{times}q", content, 2)
    numbers = _unpacked_groups(content[2 + 8 * times :], count - times)
    for start in reversed(starts):
        numbers = np.cumsum(np.concatenate((np.array([start], np.int64), numbers)), dtype=np.int64)
    return numbers


def _packed_groups(numbers: Ints) -> bytes:
    if not len(numbers):
        return b""
    groups = -(-len(numbers) // _GROUP)
    padded = np.concatenate((numbers, np.full(groups * _GROUP - len(numbers), numbers[-1], np.int64)))
    table = padded.reshape(groups, _GROUP)
    least = table.min(axis=1)
    over = table.view(np.uint64) - least.view(np.uint64)[:, None]
    most = over.max(axis=1)
    widths = np.array([int(m).bit_length() for m in most], np.uint8)
    parts = [least.astype("<i8").tobytes(), widths.tobytes()]
    for group, width in zip(over, widths.tolist(), strict=True):
        if width:
            bits = np.unpackbits(
                group.astype("<u8").view(np.uint8).reshape(_GROUP, 8), axis=1, bitorder="little"
            )
            parts.append(np.packbits(bits[:, :width], bitorder="little").tobytes())
    return b"".join(parts)


def _unpacked_groups(content: bytes, count: int) -> Ints:
    if not count:
        return np.zeros(0, np.int64)
    groups = -(-count // _GROUP)
    least = np.frombuffer(content, "<i8", groups)
    widths = np.frombuffer(content, np.uint8, groups, 8 * groups)
    over = np.zeros((groups, _GROUP), np.uint64)
    sizes = widths.astype(np.int64) * (_GROUP // 8)
    begins = 9 * groups + np.concatenate(([0], np.cumsum(sizes)[:-1]))
    data = np.concatenate((np.frombuffer(content, np.uint8), np.zeros(8, np.uint8)))
    for width in np.unique(widths[widths > 0]).tolist():
        which = np.flatnonzero(widths == width)
        over[which] = _unpacked_bits(data, begins[which], width)
    numbers: Ints = (over + least.astype(np.int64).view(np.uint64)[:, None]).view(np.int64)
    return numbers.reshape(-1)[:count]


def _unpacked_bits(data: NDArray[np.uint8], begins: Ints, width: int) -> NDArray[np.uint64]:
    """The groups of numbers of `width` bits that begin at these bytes; 8 bytes follow the last."""
    positions = np.arange(_GROUP) * width
    if width <= 56:  # a number lies within 8 bytes from the one in which it begins
        windows = data[(begins[:, None] + (positions >> 3))[:, :, None] + np.arange(8)]
        numbers: NDArray[np.uint64] = windows.view("<u8").reshape(len(begins), _GROUP).astype(np.uint64)
        return (numbers >> (positions & 7).astype(np.uint64)) & np.uint64((1 << width) - 1)
    raw = data[begins[:, None] + np.arange(width * (_GROUP // 8))]
    wide = np.zeros((len(begins), _GROUP, 64), np.uint8)
    wide[:, :, :width] = np.unpackbits(raw, axis=1, bitorder="little").reshape(len(begins), _GROUP, width)
    return np.packbits(wide, axis=2, bitorder="little").view("<u8").reshape(len(begins), _GROUP)


def pack_floats(numbers: Floats) -> bytes:
    """At least one number."""
    numbers = np.where(np.isnan(numbers), np.nan, numbers)
    ready = _as_ints(numbers)
    if ready is not None:
        return ready
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = numbers.astype(np.float32)
    if _same(narrow.astype(np.float64), numbers):
        return b"F" + _planes(narrow.astype("<f4").view(np.uint8).reshape(-1, 4))
    bits = numbers.astype("<f8").view(np.uint64)
    xored = bits.copy()
    xored[1:] ^= bits[:-1]
    plain, after = (_planes(b.view(np.uint8).reshape(-1, 8)) for b in (bits, xored))
    return b"X" + plain if len(plain) <= len(after) else b"Y" + after


def unpack_floats(content: bytes, count: int) -> Floats:
    kind, rest = content[:1], content[1:]
    if kind == b"I":
        return unpack_ints(rest, count).astype(np.float64)
    if kind == b"D":
        return _decimal(unpack_ints(rest[1:], count), rest[0])
    if kind == b"F":
        return _unplaned(rest, count, 4).view("<f4").reshape(-1).astype(np.float64)
    bits = _unplaned(rest, count, 8).view("<u8").reshape(-1)
    if kind == b"Y":
        bits = np.bitwise_xor.accumulate(bits)
    return bits.view("<f8").astype(np.float64)


def _as_ints(numbers: Floats) -> bytes | None:
    """Whole numbers and short decimals, where that is exact."""
    if not (np.abs(numbers) < _EXACT).all():  # NaN and infinities too
        return None
    for digits in range(_MOST_DIGITS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(numbers * 10.0**digits)
        if not (np.abs(scaled) < _EXACT).all():
            return None
        whole = scaled.astype(np.int64)
        if _same(_decimal(whole, digits), numbers):
            return b"I" + pack_ints(whole) if digits == 0 else b"D" + bytes([digits]) + pack_ints(whole)
        if digits == 0 and _same(_decimal(whole, 0) + 0.0, numbers + 0.0):
            return None  # a negative zero among whole numbers: no more digits will mend that
    return None


def _decimal(whole: Ints, digits: int) -> Floats:
    return whole.astype(np.float64) / 10.0**digits


def _same(one: Floats, other: Floats) -> bool:
    return bool((one.view(np.uint64) == other.view(np.uint64)).all())


def _planes(table: NDArray[np.uint8]) -> bytes:
    parts = []
    for column in np.ascontiguousarray(table.T):
        plain = column.tobytes()
        small = zlib.compress(plain, _LEVEL)
        best = small if len(small) < len(plain) else plain
        parts += [struct.pack("<I", len(best)), best]
    return b"".join(parts)


def _unplaned(content: bytes, count: int, width: int) -> NDArray[Any]:
    table = np.empty((count, width), np.uint8)
    at = 0
    for column in range(width):
        (size,) = struct.unpack_from("<I", content, at)
        part = content[at + 4 : at + 4 + size]
        table[:, column] = np.frombuffer(part if size == count else zlib.decompress(part), np.uint8)
        at += 4 + size
    return table
