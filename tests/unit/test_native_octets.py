"""The native helpers give what their twins in Python give, or leave it to them."""

from __future__ import annotations

import struct

import craft
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import need_native

from ddns.answer import served
from ddns.auth import sig0, tsig
from ddns.auth.envelope import _open_signed, open_signed
from ddns.auth.principal import Credential, Secret
from ddns.auth.trailer import Trailer, _find, find
from ddns.dns import names, twin
from ddns.dns.names import BadName
from ddns.dns.records import RRset, SignedRRset
from ddns.dns.wire import BadMessage
from ddns.store.packing import _packed, packed
from ddns.zone.limits import DEFAULT, Limits
from ddns.zone.request import Operation, _parse, _walk, _walk_slowly, parse

KEY = Credential(0, names.from_text("k.example."), "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
UPDATE = craft.message(
    craft.add("www", 300, "A", "192.0.2.1"),
    craft.add("www", 300, "AAAA", "2001:db8::1"),
    craft.delete("old.www"),
    craft.delete_record("@", "MX", "10 www"),
)
SIGNED = tsig.sign_request(UPDATE, KEY, 1_800_000_000)[0]
SIGNED_BY_KEY = sig0.sign_request(
    UPDATE, ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32), names.from_text("k.example."), 1_800_000_000
)
OPT = bytes.fromhex("00 0029 04d0 00000000 000c 0002 0008 00001c20 00127500")
PLAIN = craft.message(
    craft.delete("www"),
    craft.delete("WWW", "A"),
    craft.delete_record("www", "TXT", "one two"),
    craft.add("www", 300, "A", "192.0.2.1"),
    craft.add("@", 300, "KEY", "512 3 15 " + "A" * 32 + " " + "A" * 11 + "="),
    craft.add("_443._tcp.www", 300, "TLSA", "3 1 1 " + "ab" * 32),
    additional=[OPT],
)
FEW = Limits(records_per_update=4, ttl=200)


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
    assert open_signed(octets) == _open_signed(octets)
    for limits in (DEFAULT, FEW):
        assert parse(octets, limits) == _parse(octets, limits)


def test_they_run_where_they_were_built():
    need_native()

    assert twin.walk(UPDATE, 12 + len(craft.ORIGIN) + 4, 4) == _walk_slowly(UPDATE, 12 + len(craft.ORIGIN) + 4, 4)
    assert isinstance(find(SIGNED), Trailer)
    assert twin.find_trailer(SIGNED) is not None
    for signed, kind in ((SIGNED, tsig.TsigRecord), (SIGNED_BY_KEY, sig0.Sig0Record)):
        assert isinstance(twin.open_signed(signed, tsig.TsigRecord, tsig.NAMED, sig0.Sig0Record), kind)
    assert twin.read_update(PLAIN, Operation, 6, 300) is not None
    assert twin.read_update(PLAIN, Operation, 5, 300) is None
    assert twin.read_update(PLAIN, Operation, 6, 299) is None
    assert twin.read_update(UPDATE, Operation, 6, 300) is None


@pytest.mark.parametrize("message", [UPDATE, PLAIN, SIGNED, SIGNED_BY_KEY])
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


NAMES = st.sampled_from([craft.ORIGIN, craft.name("www"), craft.name("a.b"), names.from_text("example."), b"\xc0\x0c",
                         b"\3WwW\xc0\x0c", b"\3www\xc0\x12"])  # fmt: skip
RECORDS = st.builds(
    lambda owner, kind, rdclass, ttl, data: owner + struct.pack("!HHIH", kind, rdclass, ttl, len(data)) + data,
    NAMES,
    st.sampled_from([0, 1, 2, 5, 6, 16, 25, 28, 41, 46, 52, 127, 128, 255, 256]),
    st.sampled_from([1, 3, 254, 255]),
    st.sampled_from([0, 0, 60, 2**31 - 1, 2**31]),
    st.sampled_from([b"", b"\0\0\0\1", bytes(16), b"\1a", b"\2a", b"\3\1\1" + bytes(32), b"\3\1\2" + bytes(64)]),
)


@settings(deadline=None)
@given(
    st.lists(RECORDS, max_size=2), st.lists(RECORDS, max_size=6), st.lists(st.one_of(RECORDS, st.just(OPT)), max_size=2)
)
def test_updates_are_read_alike(needs, operations, additional):
    message = craft.message(*operations, needs=needs, additional=additional)

    same(message, 12 + len(craft.ORIGIN) + 4, len(needs) + len(operations) + len(additional))
    same(tsig.sign_request(message, KEY, 1_800_000_000)[0], 0, 0)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8))
def test_names_have_the_same_place_in_the_order(labels):
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(name) <= 255:
        assert names.order_key(name) == names._order_key(name)


@pytest.mark.parametrize("name", [b"", b"\0\0", b"\x01a", b"\x05a\0", b"\x40" + b"a" * 64 + b"\0"])
def test_what_is_no_name_is_left_to_python(name):
    need_native()

    assert twin.order_key(name) is None


NAMES = st.lists(st.binary(min_size=1, max_size=63), max_size=3).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)
DATAS = st.lists(st.binary(max_size=9), max_size=4).map(tuple)
VALUES = {
    "q": st.integers(-(2**63), 2**63 - 1),
    "i": st.integers(-(2**31), 2**31 - 1),
    "b": st.binary(max_size=40),
    "n": NAMES,
    "t": st.text(st.characters(codec="utf-8"), max_size=20),
    "B": DATAS,
    "R": st.builds(RRset, NAMES, st.integers(0, 65535), st.integers(0, 2**31 - 1), DATAS),
    "S": st.builds(SignedRRset, NAMES, st.integers(0, 65535), st.integers(0, 2**31 - 1), DATAS, DATAS),
}


@settings(deadline=None)
@given(st.data())
def test_parameters_are_packed_alike(data):
    """Octets, numbers, and arrays of any rows."""
    parameters = [data.draw(VALUES["b"]), data.draw(VALUES["q"])]
    for _ in range(data.draw(st.integers(0, 3))):
        kinds = data.draw(st.text(sorted(VALUES), max_size=7))
        rows = data.draw(st.lists(st.tuples(*(VALUES[kind] for kind in kinds)), max_size=5))
        parameters.append((kinds.encode(), rows))
    elements = tuple(range(len(parameters)))

    assert twin.pack_parameters(parameters, elements) in (None, _packed(parameters, elements))
    assert packed(parameters, elements)[:1] == parameters[:1]
    assert [one[8:12] for one in packed(parameters, elements)[2:]] == [
        number.to_bytes(4, "big") for number in elements[2:]
    ]


@pytest.mark.parametrize(
    ("kinds", "row"),
    [(b"q", (2**63,)), (b"i", (2**31,)), (b"b", ("text",)), (b"t", (b"octets",)), (b"t", ("\ud800",)), (b"qq", (1,)),
     (b"B", ([b"a"],)), (b"B", ((1,),)), (b"x", (1,)), (b"q", (None,)), (b"n", ("a",)), (b"n", (b"",)),
     (b"n", (b"\x01a",)), (b"n", (b"\x01a" * 128 + b"\0",)), (b"R", (1,)), (b"S", (RRset(b"\0", 1, 0, ()),)),
     (b"R", (RRset(b"", 1, 0, ()),)), (b"R", (RRset(b"\0", 1, 2**31, ()),))],
)  # fmt: skip
def test_a_row_of_other_values_is_left_to_python(kinds, row):
    need_native()

    assert twin.pack_parameters([(kinds, [row])], (7,)) is None


def test_an_attribute_that_changes_while_it_is_packed_is_left_to_python():
    need_native()

    class Odd:
        name, type, ttl = b"\0", 1, 0
        calls = 0

        @property
        def rdatas(self):
            self.calls += 1
            return (bytes(100 * self.calls),)

    assert twin.pack_parameters([(b"qR", [(1, Odd())])], (7,)) is None


@pytest.mark.parametrize("parameter", [2**63, None, "text", (b"q",), (b"q", ((1,),)), (b"q", [(1,)], 1)])
def test_a_parameter_that_is_none_is_left_to_python(parameter):
    need_native()

    assert twin.pack_parameters([b"", parameter], (0, 7)) is None
    assert twin.pack_parameters([b""], (0, 7)) is None
    assert twin.pack_parameters([b""], (2**32,)) is None


DATA = st.lists(st.binary(max_size=40), min_size=1, max_size=3).map(tuple)
SERVED = st.builds(
    served._serve, st.integers(0, 65535), st.integers(0, 2**32 - 1), DATA, st.one_of(st.just(()), DATA)
)  # fmt: skip


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1), DATA, st.one_of(st.just(()), DATA))
def test_rrsets_lie_in_memory_alike(kind, ttl, data, sigs):
    assert served.serve(kind, ttl, data, sigs) == served._serve(kind, ttl, data, sigs)
    assert served.serve(kind, ttl, iter(data), sigs) == served._serve(kind, ttl, data, sigs)


@given(st.lists(SERVED, max_size=70).map(tuple), st.frozensets(st.integers(0, 65535)))
def test_what_is_stored_is_read_alike_out_of_memory(node, others):
    assert served.stored(craft.ORIGIN, node, others) == served._stored(craft.ORIGIN, node, others)
    for one in node:
        assert served.published(craft.ORIGIN, node, one.type) == served._published(craft.ORIGIN, node, one.type)
    assert served.published(craft.ORIGIN, node, 65536) is None
    some = frozenset({one.type for one in node[::2]})
    assert served.stored(craft.ORIGIN, node, some) == served._stored(craft.ORIGIN, node, some)


@settings(deadline=None)
@given(
    st.lists(SERVED, max_size=66).map(tuple),
    st.builds(SignedRRset, NAMES, st.integers(0, 65535), st.integers(0, 2**31 - 1), st.one_of(st.just(()), DATA), DATA),
    st.booleans(),
)
def test_an_rrset_takes_its_place_alike(node, rrset, there):
    if there:
        node = (*node[:2], served._serve(rrset.type, 7, (b"old",), ()), *node[2:])

    assert served.placed(node, rrset) == served._placed(node, rrset)


@pytest.mark.parametrize(
    ("node", "rrset"),
    [([], SignedRRset(b"\0", 1, 0, (b"",))), ((), SignedRRset(b"\0", 1, 0, ())),
     ((), SignedRRset(b"\0", -1, 0, (b"",))), ((), SignedRRset(b"\0", "A", 0, (b"",))),
     ((), SignedRRset(b"\0", 1, 0, [b""])), ((None,) * 65, None)],
)  # fmt: skip
def test_what_takes_no_place_is_left_to_python(node, rrset):
    need_native()

    assert twin.placed(served.Served, node, rrset) is None


def test_an_rrset_is_read_where_the_native_helpers_were_built():
    need_native()
    one = served._serve(1, 300, (b"abcd", b"efgh"), (b"signed",))

    assert twin.serve(1, 300, (b"abcd", b"efgh"), (b"signed",)) == (one.split, one.wire)
    assert twin.stored(RRset, b"\0", (one,), frozenset()) == (RRset(b"\0", 1, 300, (b"abcd", b"efgh")),)
    assert twin.published(SignedRRset, b"\0", (one,), 1) == SignedRRset(b"\0", 1, 300, (b"abcd", b"efgh"), (b"signed",))


@pytest.mark.parametrize("cut", range(40))
@pytest.mark.parametrize("split", [-1, 1, 15, 17, 2**40])
def test_octets_that_are_no_rrset_are_left_to_python(cut, split):
    need_native()
    odd = served.Served(1, split, 1, served._serve(1, 300, (b"abcd",), (b"signed",)).wire[:cut])

    assert twin.published(SignedRRset, b"\0", (odd,), 1) is None


@pytest.mark.parametrize(
    "args",
    [(-1, 0, (b"",), ()), (65536, 0, (b"",), ()), (1, -1, (b"",), ()), (1, 2**32, (b"",), ()), (1, 2**64, (b"",), ()),
     (1, 0, (), ()), (1, 0, (1,), ()), (1, 0, (b"",), (b"a" * 65536,))],
)  # fmt: skip
def test_what_is_no_rrset_is_left_to_python(args):
    need_native()

    assert twin.serve(*args) is None


@given(
    st.binary(max_size=70),
    st.binary(min_size=12, max_size=80),
    st.sampled_from([b"\0", craft.ORIGIN]),
    st.binary(max_size=255),
    st.integers(0, 2**48 - 1),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.binary(max_size=9),
)
def test_signatures_are_put_alike(mac, wire, name, algorithm, time, fudge, error, other):
    stamp = tsig._Stamp(time, fudge, error, other)
    signed = mac + wire + tsig._variables(name, algorithm, stamp)

    assert twin.tsig_signed(mac, wire, name, algorithm, time, fudge, error, other) in (None, signed)
    assert tsig._octets(mac, wire, name, algorithm, stamp) == signed
    if wire[10:12] != b"\xff\xff":
        assert tsig._append(wire, name, algorithm, mac, stamp) == tsig._append_slowly(wire, name, algorithm, mac, stamp)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("other", [None, -1, 2**64, "text", b"a" * 65536])
def test_a_signature_of_other_values_is_left_to_python(place, other):
    need_native()
    args = [b"mac", bytes(12), b"\0", b"\0", 1, 2, 3, b""]
    assert twin.tsig_put(*args) is not None
    assert twin.tsig_signed(*args) is not None

    args[place] = other

    assert twin.tsig_put(*args) is None
    assert twin.tsig_signed(*args) is None


def test_a_message_with_room_for_no_record_is_left_to_python():
    need_native()

    assert twin.tsig_put(b"mac", bytes(10) + b"\xff\xff", b"\0", b"\0", 1, 2, 3, b"") is None
    assert twin.tsig_put(b"mac", bytes(11), b"\0", b"\0", 1, 2, 3, b"") is None
