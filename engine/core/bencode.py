"""Bencoding (BEP 3): integers, byte strings, lists and dictionaries ↔ bytes.

Contract of every decoder here: returns the value, or raises BencodeError with the offset. Strict
decoding takes the canonical form only (keys sorted and unique), which is what makes an info-hash
mean one thing; `strict=False` tolerates unsorted keys, as trackers and peers send them. Leading
zeros, `-0`, depth, size and number of values are checked in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from engine.errors import BencodeError

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"
Encodable: TypeAlias = (
    "int | bytes | str | Sequence[Encodable] | Mapping[bytes, Encodable] | Mapping[str, Encodable]"
)

_ZERO = ord("0")
Handing: TypeAlias = tuple[tuple[bytes, ...], Callable[[Value], None]]
"""The keys of dictionaries that lead to a list, and what takes its items."""

MAX_DEPTH = 64
MAX_DIGITS = 20
"""Digits of an integer or a length: 2^64 fits, and nobody can make us parse a megabyte of them."""
MAX_VALUES = 2_000_000
"""Values in one piece of bencode: 200,000 files fit, while the 16 million empty lists that 32 MiB
hold would cost gigabytes."""


class _Reading:
    """What one decoding, however deep it is in its value, keeps in mind."""

    __slots__ = ("handing", "is_strict", "on_way", "spans", "values_left")

    def __init__(self, is_strict: bool, handing: Handing | None = None) -> None:
        self.is_strict = is_strict
        self.handing = handing
        self.on_way = 0
        """Keys of the way to the list whose items are handed over that lead to where we are."""
        self.values_left = MAX_VALUES
        self.spans: dict[bytes, tuple[int, int]] = {}
        """Where the raw values of the outermost dictionary stand."""


def encode(value: Encodable) -> bytes:
    """Encode canonically. Text becomes UTF-8. Raises TypeError on what bencode has no form for."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Encodable, parts: list[bytes]) -> None:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bool):
        raise TypeError("bencode has no booleans; say 0 or 1")
    if isinstance(value, int):
        parts.append(b"i%de" % value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        parts.append(b"%d:" % len(value))
        parts.append(bytes(value))
    elif isinstance(value, Mapping):
        parts.append(b"d")
        items = {
            key.encode() if isinstance(key, str) else bytes(key): item
            for key, item in value.items()
        }
        for key in sorted(items):
            parts.append(b"%d:%b" % (len(key), key))
            _encode(items[key], parts)
        parts.append(b"e")
    elif isinstance(value, Sequence):
        parts.append(b"l")
        for item in value:
            _encode(item, parts)
        parts.append(b"e")
    else:
        raise TypeError(f"bencode has no form for {type(value).__name__}")


def decode(data: bytes, *, strict: bool = True) -> Value:
    """Decode one value that fills `data` exactly."""
    value, end = decode_prefix(data, strict=strict)
    if end != len(data):
        raise BencodeError(f"{len(data) - end} bytes of rubbish behind the value")
    return value


def decode_dict(data: bytes, *, strict: bool = True) -> dict[bytes, Value]:
    """Decode a dictionary that fills `data` exactly."""
    value = decode(data, strict=strict)
    if not isinstance(value, dict):
        raise BencodeError("not a dictionary")
    return value


def decode_prefix(data: bytes, *, strict: bool = True) -> tuple[Value, int]:
    """Decode the value that `data` begins with; returns it and the offset behind it."""
    return _decode(bytes(data), 0, 0, _Reading(strict))


def decode_with_spans(
    data: bytes, *, strict: bool = True, handing: Handing | None = None
) -> tuple[dict[bytes, Value], dict[bytes, tuple[int, int]]]:
    """Decode a dictionary that fills `data` exactly; also map each of its keys to the (start, end)
    of its raw value.

    An info-hash is taken over these raw bytes, never over a re-encoding (BEP 3). Items that are
    handed over as they are read are kept by nobody here: their list comes out empty.
    """
    reading = _Reading(strict, handing)
    value, end = _decode(bytes(data), 0, 0, reading)
    if end != len(data):
        raise BencodeError(f"{len(data) - end} bytes of rubbish behind the value")
    if not isinstance(value, dict):
        raise BencodeError("not a dictionary")
    return value, reading.spans


def spans(data: bytes, *, strict: bool = True) -> dict[bytes, tuple[int, int]]:
    """The second half of `decode_with_spans`."""
    return decode_with_spans(data, strict=strict)[1]


def _decode(data: bytes, at: int, depth: int, reading: _Reading) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise BencodeError(f"nested deeper than {MAX_DEPTH} at byte {at}")
    reading.values_left -= 1
    if reading.values_left < 0:
        raise BencodeError(f"more than {MAX_VALUES} values")
    kind = data[at : at + 1]
    if kind.isdigit():
        return _string(data, at)
    if kind == b"i":
        end = data.find(b"e", at, at + MAX_DIGITS + 3)
        if end < 0:
            raise BencodeError(f"integer without an end at byte {at}")
        return _integer(data[at + 1 : end], at, sign=True), end + 1
    if kind == b"l":
        return _list(data, at, depth, reading)
    if kind == b"d":
        return _dict(data, at, depth, reading)
    if not kind:
        raise BencodeError(f"ends in the middle, at byte {at}")
    raise BencodeError(f"no bencode at byte {at}: {kind!r}")


def _list(data: bytes, at: int, depth: int, reading: _Reading) -> tuple[list[Value], int]:
    items: list[Value] = []
    at += 1
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at, depth + 1, reading)
        items.append(item)
    return items, at + 1


def _dict(data: bytes, at: int, depth: int, reading: _Reading) -> tuple[dict[bytes, Value], int]:
    items: dict[bytes, Value] = {}
    last: bytes | None = None
    at += 1
    while data[at : at + 1] != b"e":
        key_at = at
        if not data[at : at + 1].isdigit():
            what = "ends in the middle" if at >= len(data) else "key is not a string"
            raise BencodeError(f"{what}, at byte {at}")
        key, at = _string(data, at)
        if key in items:
            raise BencodeError(f"key {key[:40]!r} twice, at byte {key_at}")
        if reading.is_strict and last is not None and key < last:
            raise BencodeError(f"keys out of order at byte {key_at}: {key[:40]!r}")
        start = at
        if reading.handing is not None and depth == reading.on_way:
            items[key], at = _on_way(data, at, key, reading)
        else:
            items[key], at = _decode(data, at, depth + 1, reading)
        if not depth:
            reading.spans[key] = start, at
        last = key
    return items, at + 1


def _on_way(data: bytes, at: int, key: bytes, reading: _Reading) -> tuple[Value, int]:
    """Decode a value of a dictionary that the way to the handed list leads through."""
    assert reading.handing is not None
    way, take = reading.handing
    depth = reading.on_way + 1
    if depth > len(way) or key != way[depth - 1]:
        return _decode(data, at, depth, reading)
    if depth < len(way) or data[at : at + 1] != b"l":
        reading.on_way += 1
        found = _decode(data, at, depth, reading)
        reading.on_way -= 1
        return found
    reading.values_left -= 1
    at += 1
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at, depth + 1, reading)
        take(item)
    return [], at + 1


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    colon = data.find(b":", at, at + MAX_DIGITS + 1)
    if colon < 0:
        raise BencodeError(f"string without a length at byte {at}")
    length = _integer(data[at:colon], at, sign=False)
    end = colon + 1 + length
    if end > len(data):
        raise BencodeError(f"string of {length} bytes at byte {at} runs past the end")
    return data[colon + 1 : end], end


def _integer(digits: bytes, at: int, *, sign: bool) -> int:
    if digits.isdigit() and digits[0] != _ZERO:
        return int(digits)  # nearly all: they need no closer look
    plain = digits[1:] if sign and digits[:1] == b"-" else digits
    if not plain.isdigit():
        raise BencodeError(f"no integer at byte {at}: {digits[:24]!r}")
    if plain[:1] == b"0" and digits != b"0":
        raise BencodeError(f"integer with a leading zero or -0 at byte {at}")
    return int(digits)
