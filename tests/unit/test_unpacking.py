"""Rows of Postgres, taken apart: what was packed comes back, from both twins, and what is no row never does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import need_native

from ddns.dns import twin
from ddns.dns.records import SignedRRset
from ddns.store.packing import _pack_rows
from ddns.store.unpacking import _unpacked, unpacked

NULL = b"\xff\xff\xff\xff"
LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=3)
NAMES = LABELS.map(lambda labels: b"".join(bytes((len(one),)) + one for one in labels) + b"\0")
OCTETS = st.binary(max_size=9)
LISTS = st.lists(OCTETS, max_size=3).map(tuple)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
VALUES = {
    "q": st.integers(-(2**63), 2**63 - 1),
    "i": INTEGERS,
    "b": OCTETS,
    "n": NAMES,
    "t": st.text(max_size=9),
    "B": LISTS,
    "S": st.builds(SignedRRset, NAMES, INTEGERS, INTEGERS, LISTS, LISTS),
}
ROWS = st.lists(st.sampled_from(sorted(VALUES)), max_size=5).flatmap(
    lambda kinds: st.tuples(st.just("".join(kinds).encode()), st.tuples(*map(VALUES.__getitem__, kinds)))
)


def record(kinds: bytes, row: tuple[object, ...]) -> bytes:
    """Return *row* as the database sends it in a cell."""
    return _pack_rows(kinds, [row])[4:]


def columns(*values: bytes | None) -> bytes:
    """Return a row of columns of any kind."""
    cells = [NULL if one is None else len(one).to_bytes(4, "big") + one for one in values]
    return len(cells).to_bytes(4, "big") + b"".join([bytes(4) + one for one in cells])


def array(*elements: bytes) -> bytes:
    """Return an array as the database sends it."""
    if not elements:
        return bytes(12)
    head = struct.pack("!iiIii", 1, 0, 0, len(elements), 1)
    return head + b"".join([len(one).to_bytes(4, "big") + one for one in elements])


def natively(kinds: bytes, cells: list[bytes | None]) -> list[tuple[object, ...]] | None:
    need_native()
    return twin.unpack_rows(kinds, cells, SignedRRset)


ALL_KINDS = b"qnz(tI(b))B(S)zq"
FULL = columns(
    b"\xff" * 7 + b"\xfe", b"example\0\0a\0\1b\0\0", b"\1",
    array(
        columns(b"\xc3\xa9", array(b"\0\0\0\1", b"\xff\xff\xff\xff"), array(columns(b"x"), columns(None))),
        columns(None, None, None),
    ),
    array(b"", b"yz"), array(record(b"S", (SignedRRset(b"\1a\0", 1, 60, (b"1234",), (b"sig",)),))), b"\0", None,
)  # fmt: skip
SAID = (
    -2, b"\3a\0b\7example\0", True, (("é", (1, -1), (b"x", None)), (None, None, None)), (b"", b"yz"),
    (SignedRRset(b"\1a\0", 1, 60, (b"1234",), (b"sig",)),), False, None,
)  # fmt: skip


def test_rows_within_rows_become_tuples_and_those_of_one_column_what_stands_in_it():
    assert _unpacked(ALL_KINDS, [FULL, FULL]) == [SAID, SAID]
    assert unpacked(ALL_KINDS, [FULL]) == [SAID]
    assert unpacked(b"(q)(qq)", [columns(array(), None)]) == [((), None)]
    assert unpacked(ALL_KINDS, []) == []


def test_the_native_helper_knows_rows_within_rows():
    assert natively(ALL_KINDS, [FULL, FULL]) == [SAID, SAID]
    assert natively(b"(q)(qq)", [columns(array(), None)]) == [((), None)]


@given(ROWS)
def test_what_was_packed_comes_back(packed):
    kinds, row = packed
    cells = [record(kinds, row)] * 2

    assert _unpacked(kinds, cells) == [row, row]
    assert natively(kinds, cells) == [row, row]


@pytest.mark.parametrize(
    ("kinds", "cell"),
    [
        *((ALL_KINDS, FULL[:size]) for size in range(len(FULL))),
        (ALL_KINDS, FULL + b"\0"),
        (b"q", columns(b"1234")),
        (b"q", columns(b"\0" * 8, b"")),
        (b"qq", columns(b"\0" * 8)),
        (b"q", b"\x80\0\0\0" + columns(b"\0" * 8)[4:]),
        (b"b", None),
        (b"n", columns(b"a" * 300 + b"\0\0")),
        (b"t", columns(b"\xff")),
        (b"B", columns(array(b"a")[:3])),
        (b"B", columns(b"\0\0\0\2" + array(b"a")[4:])),
        (b"B", columns(array(b"a") + b"a")),
        (b"B", columns(array(b"a")[:12] + b"\x7f\xff\xff\xff" + array(b"a")[16:])),
        (b"(b)", columns(array(b"a"))),
        (b"(b", columns(array(columns(b"a")))),
        (b"?", columns(b"a")),
        (b"b", columns(b"a")[:8] + b"\xff\xff\xff\xfe"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused_by_both(kinds, cell):
    with pytest.raises(ValueError, match=r".+"):
        _unpacked(kinds, [cell])
    assert natively(kinds, [cell]) is None
    with pytest.raises(ValueError, match=r".+"):
        unpacked(kinds, [cell])


@pytest.mark.parametrize("key", [b"a", b"a\0", b"a\0\2", b"a\0\0b", b"a" * 64 + b"\0\0", (b"a" * 50 + b"\0\0") * 5])
def test_what_is_no_place_of_a_name_is_left_to_python(key):
    assert natively(b"n", [columns(key)]) is None


@given(st.data())
def test_what_the_native_helper_makes_of_damaged_rows_is_what_its_twin_makes(data):
    octets = bytearray(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cells = [bytes(octets)]

    found = natively(ALL_KINDS, cells)

    if found is not None:
        assert found == _unpacked(ALL_KINDS, cells)


def test_rows_nested_too_deep_are_left_to_python():
    cell, kinds = columns(b"x"), b"b"
    for _ in range(9):
        cell, kinds = columns(array(cell)), b"(" + kinds + b")"

    assert natively(kinds, [cell]) is None
    assert unpacked(kinds, [cell])
