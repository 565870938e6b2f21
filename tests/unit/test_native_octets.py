"""The native helpers give what their twins in Python give, or leave it to them."""

from __future__ import annotations

import craft
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import need_native

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.auth.trailer import Trailer, _find, find
from ddns.dns import names, twin
from ddns.dns.names import BadName
from ddns.dns.wire import BadMessage
from ddns.store.packing import Rows, _pack_rows
from ddns.zone.request import _walk, _walk_slowly

KEY = Credential(0, names.from_text("k.example."), "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
UPDATE = craft.message(
    craft.add("www", 300, "A", "192.0.2.1"),
    craft.add("www", 300, "AAAA", "2001:db8::1"),
    craft.delete("old.www"),
    craft.delete_record("@", "MX", "10 www"),
)
SIGNED = tsig.sign_request(UPDATE, KEY, 1_800_000_000)[0]


def said(read, *args):
    """Return what *read* returns or raises."""
    try:
        return read(*args)
    except (BadName, BadMessage) as error:
        return type(error), str(error)


def same(octets: bytes, offset: int, count: int) -> None:
    """Check each reader of a message against its twin."""
    assert said(names.read, octets, offset) == said(names._read, octets, offset)
    assert said(_walk, octets, offset, count) == said(_walk_slowly, octets, offset, count)
    assert find(octets) == _find(octets)


def test_they_run_where_they_were_built():
    need_native()

    assert twin.walk(UPDATE, 12 + len(craft.ORIGIN) + 4, 4) == _walk_slowly(UPDATE, 12 + len(craft.ORIGIN) + 4, 4)
    assert isinstance(find(SIGNED), Trailer)
    assert twin.find_trailer(SIGNED) is not None


@pytest.mark.parametrize("message", [UPDATE, SIGNED])
def test_a_message_is_read_alike_however_it_is_cut_or_changed(message):
    end = 12 + len(craft.ORIGIN) + 4
    for at in range(len(message)):
        same(message[:at], min(end, at), 4)
        for octet in (0, 1, 0x3F, 0x40, 0xC0, 0xFF, message[at] ^ 0x20):
            same(message[:at] + bytes((octet,)) + message[at + 1 :], end, 4)
    for count in (0, 3, 5, 65535):
        same(message, end, count)


@given(st.binary(max_size=300), st.integers(0, 310), st.integers(0, 20))
def test_any_octets_are_read_alike(octets, offset, count):
    same(octets, offset, count)
    same(bytes(4) + octets, offset, count)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8))
def test_names_have_the_same_place_in_the_order(labels):
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(name) <= 255:
        assert names.order_key(name) == names._order_key(name)


@pytest.mark.parametrize("name", [b"", b"\0\0", b"\x01a", b"\x05a\0", b"\x40" + b"a" * 64 + b"\0"])
def test_what_is_no_name_is_left_to_python(name):
    need_native()

    assert twin.order_key(name) is None


VALUES = {
    "q": st.integers(-(2**63), 2**63 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "b": st.binary(max_size=40),
    "t": st.text(st.characters(codec="utf-8"), max_size=20),
    "B": st.lists(st.binary(max_size=9), max_size=4).map(tuple),
}


@given(st.data())
def test_rows_are_packed_alike(data):
    kinds = data.draw(st.text(sorted(VALUES), max_size=7))
    rows = data.draw(st.lists(st.tuples(*(VALUES[kind] for kind in kinds)), max_size=5))

    assert twin.pack_rows(kinds.encode(), rows) in (None, _pack_rows(kinds.encode(), rows))
    assert Rows(kinds.encode(), rows).packed(77)[8:12] == (77).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("kinds", "row"),
    [(b"q", (2**63,)), (b"i", (2**31,)), (b"b", ("text",)), (b"t", (b"octets",)), (b"t", ("\ud800",)), (b"qq", (1,)),
     (b"B", ([b"a"],)), (b"B", ((1,),)), (b"x", (1,)), (b"q", (None,))],
)  # fmt: skip
def test_a_row_of_other_values_is_left_to_python(kinds, row):
    need_native()

    assert twin.pack_rows(kinds, [row]) is None
