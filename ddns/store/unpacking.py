"""Rows that a statement gives in one cell each (`SELECT ROW(…)`), as values: taken apart in one go.

The counterpart of `ddns.store.packing`: psycopg's own way costs a good part of a microsecond for each column of each
row, so the statements that are asked all day long put what they found into few cells. All of it in one cell would
cost the database more: what it needs to write a cell is given back with its row.
"""

from __future__ import annotations

import struct
from typing import Any

from ddns.dns import names, twin
from ddns.dns.records import SignedRRset

Row = tuple[Any, ...]

_ARRAY = struct.Struct("!iiIii")  # dimensions, any NULL, the element's oid, length, lower bound
_NUMBERS = {"q": struct.Struct("!q"), "i": struct.Struct("!i")}
_SIGNED = "niiBB"  # the columns of an RRset: name, type, ttl, rdatas, sigs


def unpacked(kinds: bytes, cells: list[bytes | None]) -> list[Row]:
    """Return the rows in *cells*, as Postgres sends values of the type `record`, each as a tuple.

    There is a letter in *kinds* for each column: q a bigint, i an integer, z a boolean, b a bytea, t a text, n a name
    by its place in the canonical order, I an integer[] and B a bytea[] as tuples, and S a signed RRset, which stands in
    five columns. Kinds in parentheses are those of an array of rows, which becomes a tuple; one of a single column
    becomes a tuple of what stands in it. NULL is None. Raises `ValueError`.
    """
    rows = twin.unpack_rows(kinds, cells, SignedRRset)
    return _unpacked(kinds, cells) if rows is None else rows


def _unpacked(kinds: bytes, cells: list[bytes | None]) -> list[Row]:
    try:
        return [_row(kinds.decode(), one) for one in cells]
    except (IndexError, TypeError, struct.error) as error:
        raise ValueError(f"these are not rows of {kinds.decode()}: {error}") from error


def _elements(octets: bytes) -> list[bytes | None]:
    """Return the elements of an array of one dimension, or of none."""
    if octets[:4] == bytes(4):
        return []
    dimensions, _, _, count, _ = _ARRAY.unpack_from(octets)
    if dimensions != 1:
        raise ValueError(f"an array of {dimensions} dimensions")
    out: list[bytes | None] = []
    at = _ARRAY.size
    for _ in range(count):
        value, at = _cell(octets, at)
        out.append(value)
    if at != len(octets):
        raise ValueError("an array that is longer than its elements")
    return out


def _cell(octets: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the value behind its length at *at*, and where it ends."""
    size = int.from_bytes(octets[at : at + 4], "big", signed=True)
    at += 4
    if size < -1 or at + max(size, 0) > len(octets):
        raise ValueError("a value that does not end")
    return (None, at) if size < 0 else (octets[at : at + size], at + size)


def _row(kinds: str, octets: bytes | None) -> Row:
    if octets is None:
        raise ValueError("no row")
    columns: list[bytes | None] = []
    (count,) = struct.unpack_from("!i", octets)
    at = 4
    for _ in range(count):
        value, at = _cell(octets, at + 4)  # behind its oid
        columns.append(value)
    if at != len(octets):
        raise ValueError("a row that is longer than its columns")
    columns.reverse()
    out: list[Any] = []
    place = 0
    while place < len(kinds):
        kind = kinds[place]
        if kind == "(":
            end = _closing(kinds, place)
            inner, value = kinds[place + 1 : end], columns.pop()
            rows = None if value is None else tuple([_row(inner, one) for one in _elements(value)])
            out.append(tuple([row[0] for row in rows]) if rows and len(inner) == 1 else rows)
            place = end
        elif kind == "S":
            out.append(SignedRRset(*[_value(one, columns.pop()) for one in _SIGNED]))
        else:
            out.append(_value(kind, columns.pop()))
        place += 1
    if columns:
        raise ValueError("columns of which nothing is known")
    return tuple(out)


def _closing(kinds: str, place: int) -> int:
    depth = 0
    for at in range(place, len(kinds)):
        depth += (kinds[at] == "(") - (kinds[at] == ")")
        if not depth:
            return at
    raise ValueError("a parenthesis that is not closed")


def _value(kind: str, octets: bytes | None) -> Any:
    if octets is None or kind == "b":
        return octets
    if kind in _NUMBERS:
        return _NUMBERS[kind].unpack(octets)[0]
    if kind == "z":
        return octets != b"\0"
    if kind == "n":
        return names.from_order_key(octets)
    if kind == "t":
        return octets.decode()
    if kind in ("I", "B"):
        return tuple([_value("i" if kind == "I" else "b", one) for one in _elements(octets)])
    raise ValueError(f"a column of the kind {kind}")
