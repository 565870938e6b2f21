"""CBOR (RFC 8949): read strictly, written deterministically (§4.2.1).

Read are definite lengths in their shortest form, maps without a key twice, text in UTF-8, the tags of `TAGS`, and
nothing behind the end; so two readers cannot see two meanings under one signature.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

MOST = 65_536  # octets, ours
DEEPEST = 8  # arrays, maps and tags within one another, ours
MOST_ITEMS = 4096  # ours
SIGN1 = 18  # COSE_Sign1, RFC 9052 §2
CWT = 61  # RFC 8392 §6
TAGS = frozenset({SIGN1, CWT})

_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: "!e", 26: "!f", 27: "!d"}
_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None, 23: None}


class BadCbor(ValueError):
    """Octets that are not CBOR as it is read here; the message is a phrase that says what is wrong."""


class Tag(msgspec.Struct, frozen=True):
    """A tagged value."""

    number: int
    value: Any


def read(octets: bytes) -> Any:
    """Return the one value that *octets* are. Raises `BadCbor`."""
    if len(octets) > MOST:
        raise BadCbor(f"there are more than {MOST} octets")
    reader = _Reader(octets)
    value = reader.value(DEEPEST)
    if reader.at != len(octets):
        raise BadCbor("there are octets behind the end")
    return value


def write(value: Any) -> bytes:
    """Return *value* in the one deterministic form. Raises `TypeError` for what has none here."""
    if value is None or isinstance(value, bool):
        return bytes((0xF6 if value is None else 0xF4 + value,))
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        octets = value.encode()
        return _head(3, len(octets)) + octets
    if isinstance(value, list | tuple):
        return _head(4, len(value)) + b"".join(write(one) for one in value)
    if isinstance(value, dict):
        pairs = sorted((write(key), write(one)) for key, one in value.items())
        return _head(5, len(pairs)) + b"".join(key + one for key, one in pairs)
    if isinstance(value, Tag):
        return _head(6, value.number) + write(value.value)
    raise TypeError(f"{type(value).__name__} is not written as CBOR here")


class _Reader:
    """Walk over octets; *at* is the next one."""

    __slots__ = ("_octets", "_room", "at")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._room = MOST_ITEMS
        self.at = 0

    def value(self, left: int) -> Any:
        """Return the next value, with at most *left* levels in it. Raises `BadCbor`."""
        self._room -= 1
        if self._room < 0:
            raise BadCbor(f"there are more than {MOST_ITEMS} values")
        first = self._take(1)[0]
        major, more = first >> 5, first & 0x1F
        if major == 7:
            return self._simple(more)
        number = self._number(more)
        if major < 2:
            return number if major == 0 else -1 - number
        if major == 2:
            return self._take(number)
        if major == 3:
            try:
                return self._take(number).decode()
            except UnicodeDecodeError:
                raise BadCbor("a text is not UTF-8") from None
        if left == 0:
            raise BadCbor(f"values stand deeper than {DEEPEST} levels")
        if major == 4:
            return [self.value(left - 1) for _ in range(number)]
        if major == 5:
            return self._map(number, left - 1)
        if number not in TAGS:
            raise BadCbor(f"the tag {number} is not taken")
        return Tag(number, self.value(left - 1))

    def _map(self, count: int, left: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in range(count):
            key = self.value(left)
            if isinstance(key, bool) or not isinstance(key, int | str | bytes):
                raise BadCbor("a key is no number, text or octets")
            if key in found:
                raise BadCbor("a key is there twice")
            found[key] = self.value(left)
        return found

    def _simple(self, more: int) -> Any:
        """Return false, true, null or a float."""
        if more in _FLOATS:
            return struct.unpack(_FLOATS[more], self._take(_SIZES[more]))[0]
        if more not in _SIMPLE:
            raise BadCbor("a simple value or a break is not taken")
        return _SIMPLE[more]

    def _number(self, more: int) -> int:
        """Return the number in a head, which stands in its shortest form."""
        if more < 24:
            return more
        if more not in _SIZES:
            raise BadCbor("a length is indefinite, or reserved")
        size = _SIZES[more]
        number = int.from_bytes(self._take(size), "big")
        if number < (24 if size == 1 else 1 << 4 * size):
            raise BadCbor("a number is not in its shortest form")
        return number

    def _take(self, count: int) -> bytes:
        if count > len(self._octets) - self.at:
            raise BadCbor("a value is cut off")
        self.at += count
        return self._octets[self.at - count : self.at]


def _head(major: int, number: int) -> bytes:
    """Return the head of a value; *number* below 2**64."""
    if number < 24:
        return bytes((major << 5 | number,))
    for more, size in _SIZES.items():
        if number < 1 << 8 * size:
            return bytes((major << 5 | more,)) + number.to_bytes(size, "big")
    raise TypeError("numbers of 65 bits are not written as CBOR here")
