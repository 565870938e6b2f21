"""Answers stay true through any history: a patched image is a fresh one, the hot path is its slow twin."""

from asking import TCP, UDP, query, read
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import Both

from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

ORIGIN = names.from_text("example.")
LABELS = ("a", "b", "*", "c")
OWNERS = [ORIGIN]
for depth in (1, 2, 3):
    OWNERS += [
        names.prepend(label.encode(), below)
        for below in OWNERS
        if names.count_labels(below) == depth
        for label in LABELS
    ]
FEW = [owner for owner in OWNERS if names.count_labels(owner) <= 3]
TYPES = (Type.A, Type.TXT, Type.NS, Type.CNAME, Type.DNAME, Type.DS, Type.MX, Type.NSEC)
FORMS = ({"edns": False}, {"do": False}, {"do": True}, {"do": True, "payload": 512})


def signature(rdtype, last=b"e"):
    return rdtype.to_bytes(2, "big") + bytes(16) + ORIGIN + b"signatur" + last


PARAM = SignedRRset(ORIGIN, Type.NSEC3PARAM, 0, (b"\1\0\0\0\0",), (signature(Type.NSEC3PARAM),))


def soa(serial):
    rdata = records.soa_with_serial(b"\2ns" + ORIGIN + b"\1a" + ORIGIN + bytes(19) + b"\x3c", serial)
    return SignedRRset(ORIGIN, Type.SOA, 300, (rdata,), (signature(Type.SOA),))


@st.composite
def rrsets(draw):
    """One RRset of a small zone; hostile neighbours are welcome."""
    owner, rdtype = draw(st.sampled_from(FEW)), draw(st.sampled_from(TYPES))
    target = draw(st.sampled_from(FEW))
    number = draw(st.integers(0, 3))
    rdata = {
        Type.A: bytes((192, 0, 2, number)),
        Type.TXT: b"\1" + bytes((number,)),
        Type.MX: b"\0\1" + target,
        Type.DS: b"\0\1\x0d\2" + bytes((number,)) * 32,
        Type.NSEC: target + b"\0\1\x40",
    }.get(rdtype, target)
    return SignedRRset(
        owner,
        rdtype,
        300,
        (rdata,),
        tuple(signature(rdtype, last) for last in draw(st.sampled_from(((), (b"1",), (b"1", b"2"))))),
    )


@st.composite
def hashed(draw):
    """One NSEC3 record at a hash that need not be anybody's."""
    label = draw(st.text("0123456789abcdefghijklmnopqrstuv", min_size=32, max_size=32)).encode()
    rdata = b"\1" + bytes((draw(st.integers(0, 1)),)) + b"\0\0\0\x14" + bytes(20) + b"\0\1\x40"
    return SignedRRset(names.prepend(label, ORIGIN), Type.NSEC3, 300, (rdata,), (signature(Type.NSEC3),))


zones = st.lists(st.one_of(rrsets(), hashed()), max_size=14).map(
    lambda many: {(one.name, one.type): one for one in many}
)
histories = st.lists(st.tuples(zones, st.booleans()), min_size=2, max_size=5)
asked = st.lists(
    st.tuples(
        st.sampled_from(OWNERS), st.sampled_from((*TYPES, Type.SOA, Type.ANY, Type.AAAA)), st.sampled_from(FORMS)
    ),
    min_size=3,
    max_size=12,
)


def content(zone, number, *, param):
    extra = [soa(number), PARAM] if param else [soa(number)]
    return {**zone, **{(one.name, one.type): one for one in extra}}


def state(image):
    """Return what an image holds, in an order that does not depend on how it came to be."""
    chains = {"nsec": image.nsec, "nsec3": image.nsec3}
    return {
        "nodes": {name: sorted(node, key=lambda one: one.type) for name, node in image.nodes.items()},
        "bends": image.bends,
        "children": image._children,
        "hashing": image.hashing,
        **{
            name: sorted(
                (key, value)
                for block in zip(chain._keys, chain._values, strict=True)
                for key, value in zip(*block, strict=True)
            )
            if chain
            else []
            for name, chain in chains.items()
        },
    }


@given(histories)
@settings(max_examples=150, deadline=None)
def test_a_patched_image_is_the_image_of_what_it_came_to(history):
    zone, param = history[0]
    before = content(zone, 1, param=param)
    image = ZoneImage(1, ORIGIN, 1, before.values())

    for number, (zone, has_param) in enumerate(history[1:], start=2):
        after = content(zone, number, param=has_param)
        image.patch(step(before, after, number))
        before = after

    assert state(image) == state(ZoneImage(1, ORIGIN, 9, before.values()))


@given(histories, asked)
@settings(max_examples=150, deadline=None)
def test_answers_after_any_history_are_those_of_a_fresh_server(history, questions):
    """Asked before and after each edition, by hot path and responder: the same octets, and dnspython reads them."""
    zone, param = history[0]
    before = content(zone, 1, param=param)
    table = Table(entries=20)
    table.install(ZoneImage(1, ORIGIN, 1, before.values()))
    responder = Responder(table)
    lookup = Both(table).lookup

    for number, (zone, has_param) in enumerate(history, start=2):
        for name, rdtype, form in questions:
            responder.respond(wire(name, rdtype, form), UDP)
        after = content(zone, number, param=has_param)
        assert table.patch(step(before, after, number))
        before = after
        fresh_table = Table()
        fresh_table.install(ZoneImage(1, ORIGIN, number, sorted(before.values(), key=order(table.image(1)))))
        fresh = Responder(fresh_table)
        for name, rdtype, form in questions:
            message = wire(name, rdtype, form)
            expected = fresh.respond(message, UDP)
            assert lookup(message) in (None, expected)
            assert responder.respond(message, UDP) == expected
            assert lookup(message) in (None, expected)
            read(expected)
            read(responder.respond(message, TCP))


def order(image):
    """Load a fresh image in the order in which the patched one holds an owner's RRsets: ANY shows it."""
    places = {(name, served.type): place for name, node in image.nodes.items() for place, served in enumerate(node)}
    return lambda rrset: places.get((rrset.name, rrset.type), 0)


def step(before, after, number):
    return Edition(
        1,
        number,
        number - 1,
        number,
        tuple(one for at, one in before.items() if after.get(at) != one),
        tuple(one for at, one in after.items() if before.get(at) != one),
    )


def wire(name, rdtype, form):
    return query(names.to_text(name), int(rdtype), **form)


HOSTILE = ZoneImage(
    1,
    ORIGIN,
    1,
    [
        soa(1),
        SignedRRset(ORIGIN, Type.NS, 300, (b"\2ns" + ORIGIN,), (signature(Type.NS),)),
        SignedRRset(b"\1a" + ORIGIN, Type.A, 300, (bytes(4),), (signature(Type.A),)),
        SignedRRset(b"\1d" + ORIGIN, Type.DNAME, 300, (b"\1a" + ORIGIN,), (signature(Type.DNAME),)),
        SignedRRset(b"\1c" + ORIGIN, Type.NS, 300, (b"\2ns\1c" + ORIGIN,)),
        SignedRRset(b"\1*\1w" + ORIGIN, Type.CNAME, 300, (b"\1a" + ORIGIN,), (signature(Type.CNAME),)),
    ],
)
BASES = [
    query(name, rdtype, **form)
    for name in ("a.example.", "x.d.example.", "x.c.example.", "x.w.example.", "nowhere.example.", "elsewhere.")
    for rdtype in ("A", "ANY", "DS")
    for form in FORMS
]


@given(
    st.one_of(st.binary(max_size=600), st.sampled_from(BASES)),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
    st.integers(0, 90),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_no_octets_stop_the_responder_or_get_more_than_their_room(message, changes, cut, tcp):
    """Any octets get an answer that dnspython reads, with their id, or silence."""
    table = Table()
    table.install(HOSTILE)
    octets = bytearray(message)
    for at, octet in changes:
        if at < len(octets):
            octets[at] = octet
    wire = bytes(octets if cut > 80 else octets[: max(cut, 12)])

    answer = Responder(table).respond(wire, TCP if tcp else UDP)

    if answer is not None:
        read(answer)
        assert answer[:2] == wire[:2]
        assert len(answer) <= (65535 if tcp else 1232)
    assert Both(table).lookup(wire) in (None, answer)
