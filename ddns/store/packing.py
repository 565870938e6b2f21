"""Columns of a batch in Postgres' binary formats: arrays as parameters, rows for COPY.

psycopg's own array writer costs about ten times as much for each element, and a ragged `bytea[][]`
does not exist: the RDATA of an RRset travel as the text of an array, one cell of a `text[]`, which
the statement casts to `bytea[]`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from ddns.dns import names, twin

_INT8, _BYTEA, _INT4, _TEXT = 20, 17, 23, 25  # oids of the elements, fixed since the first Postgres
_HEAD = struct.Struct("!iiIii")  # dimensions, any NULL, the element's oid, length, lower bound
_NULL = b"\xff\xff\xff\xff"


class Packed(bytes):
    """An array as Postgres sends and receives it."""


class _Bigints(Packed):
    pass


class _Integers(Packed):
    pass


class _Octets(Packed):
    pass


class _Texts(Packed):
    pass


def _register(kind: type[Packed], array_oid: int) -> None:
    class PackedDumper(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: Any) -> bytes:
            return bytes(obj)

    psycopg.adapters.register_dumper(kind, PackedDumper)


_register(_Bigints, 1016)
_register(_Octets, 1001)
_register(_Integers, 1007)
_register(_Texts, 1009)


def _array(element: int, count: int, body: bytes, nulls: int = 0) -> bytes:
    if not count:
        return struct.pack("!iiI", 0, 0, element)
    return _HEAD.pack(1, nulls, element, count, 1) + body


def bigints(values: Sequence[int | None]) -> _Bigints:
    """Return *values* as a `bigint[]`."""
    if None in values:
        cells = [_NULL if value is None else struct.pack("!iq", 8, value) for value in values]
        return _Bigints(_array(_INT8, len(values), b"".join(cells), 1))
    flat: list[Any] = [8] * (2 * len(values))
    flat[1::2] = values
    return _Bigints(_array(_INT8, len(values), struct.pack("!" + "iq" * len(values), *flat)))


def integers(values: Sequence[int]) -> _Integers:
    """Return *values* as an `integer[]`."""
    flat = [4] * (2 * len(values))
    flat[1::2] = values
    return _Integers(_array(_INT4, len(values), struct.pack(f"!{len(flat)}i", *flat)))


def octets(values: Sequence[bytes | None]) -> _Octets:
    """Return *values* as a `bytea[]`."""
    return _Octets(_array(_BYTEA, len(values), _cells(values), None in values))


def texts(values: Iterable[str]) -> _Texts:
    """Return *values* as a `text[]`."""
    encoded = [value.encode() for value in values]
    return _Texts(_array(_TEXT, len(encoded), _cells(encoded)))


def ragged(values: Iterable[Sequence[bytes]]) -> _Texts:
    """Return the lists of *values* as a `text[]` whose cells the statement casts to `bytea[]`."""
    return texts(
        ["{" + ",".join(['"\\\\x' + octets.hex() + '"' for octets in cell]) + "}" if cell else "{}" for cell in values]
    )


def _cells(values: Sequence[bytes | None]) -> bytes:
    out: list[bytes] = []
    for value in values:
        if value is None:
            out.append(_NULL)
        else:
            out.append(len(value).to_bytes(4, "big"))
            out.append(value)
    return b"".join(out)


# COPY … (FORMAT binary): a signature, rows, a trailer.
COPY_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL: Final = b"\xff\xff"

_ROW = struct.Struct("!hIqI")  # fields; length and value of the zone; length of the owner
_MIDDLE = struct.Struct("!IiIi")  # type and ttl, each with its length


def copy_row(zone: int, owner: bytes, rdtype: int, ttl: int, *lists: Sequence[bytes]) -> bytes:
    """Return a row of (zone, owner, type, ttl, and one `bytea[]` for each of *lists*) for a binary COPY."""
    parts = [_ROW.pack(4 + len(lists), 8, zone, len(owner)), owner, _MIDDLE.pack(4, rdtype, 4, ttl)]
    for values in lists:
        array = _array(_BYTEA, len(values), _cells(values))
        parts.append(len(array).to_bytes(4, "big"))
        parts.append(array)
    return b"".join(parts)


# Rows as values: elements of arrays of composite types. A row is its length, the number of its columns, and each of
# them as oid, length and value.

_BYTEAS = 1001  # the oid of bytea[]
_PAIR = struct.Struct("!ii")
_BIGINT_COLUMN = struct.Struct("!iiq")
_INTEGER_COLUMN = struct.Struct("!iii")


# A parameter: octets as they are, a number as a `bigint`, or the rows of an array of a composite type behind a letter
# for each column: q a bigint, i an integer, b a bytea, n a name as its place in the canonical order, t a text, B a
# bytea[] given as a tuple; R an RRset in four columns, name, type, ttl and rdatas, and S a signed one in five.
Rows = tuple[bytes, list[tuple[Any, ...]]]
Parameter = bytes | int | Rows


def packed(parameters: list[Parameter], elements: tuple[int, ...]) -> list[bytes]:
    """Return *parameters* as Postgres receives them; *elements* are the oids of their arrays' composite types."""
    native = twin.pack_parameters(parameters, elements)
    return _packed(parameters, elements) if native is None else native


def _packed(parameters: list[Parameter], elements: tuple[int, ...]) -> list[bytes]:
    out = []
    for one, element in zip(parameters, elements, strict=True):
        if isinstance(one, bytes):
            out.append(one)
        elif isinstance(one, int):
            out.append(one.to_bytes(8, "big", signed=True))
        else:
            out.append(_array(element, len(one[1]), _pack_rows(*one)))
    return out


_UNSIGNED = (("name", "n"), ("type", "i"), ("ttl", "i"), ("rdatas", "B"))
_RRSETS = {"R": _UNSIGNED, "S": (*_UNSIGNED, ("sigs", "B"))}


def _pack_rows(kinds: bytes, rows: Sequence[tuple[Any, ...]]) -> bytes:
    out = []
    letters = kinds.decode()
    for row in rows:
        columns: list[bytes] = []
        for kind, value in zip(letters, row, strict=True):
            if kind in _RRSETS:
                parts = _RRSETS[kind]
                columns += [_column(one, getattr(value, attribute)) for attribute, one in parts]
            else:
                columns.append(_column(kind, value))
        cells = b"".join(columns)
        out.append(_PAIR.pack(4 + len(cells), len(columns)))
        out.append(cells)
    return b"".join(out)


def _column(kind: str, value: Any) -> bytes:
    if kind == "q":
        return _BIGINT_COLUMN.pack(_INT8, 8, value)
    if kind == "i":
        return _INTEGER_COLUMN.pack(_INT4, 4, value)
    if kind in ("b", "n"):
        octets = names.order_key(value) if kind == "n" else bytes(value)
        return _PAIR.pack(_BYTEA, len(octets)) + octets
    if kind == "t":
        octets = value.encode()
        return _PAIR.pack(_TEXT, len(octets)) + bytes(octets)
    array = _array(_BYTEA, len(value), _cells(value))
    return _PAIR.pack(_BYTEAS, len(array)) + array
