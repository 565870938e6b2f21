"""Names without an entry of their own: what is said from pieces is what a responder says that has never been asked.

Zones have a real chain, NSEC or NSEC3 with any salt, with delegations, aliases, wildcards and names between; the chain
may lack a link or have an opt-out span, and the zone may be packed in memory. Editions change all of it. Both twins
are asked.
"""

from asking import UDP, query
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import TWINS, answerer

from ddns.answer.denial import hash_name
from ddns.answer.image import Hashing, ZoneImage
from ddns.answer.packed import pack
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

ORIGIN = names.from_text("home.example.")
CHILD = names.from_text("b.home.example.")
LABELS = (b"a", b"b", b"c", b"*", b"zero\0x", b"l" * 40)
OWNERS = [names.prepend(label, ORIGIN) for label in LABELS]
OWNERS += [names.prepend(label, owner) for owner in OWNERS for label in LABELS[:4]]
ASKED = [*OWNERS, *(names.prepend(label, owner) for owner in OWNERS for label in (b"x", b"nowhere", b"*")), ORIGIN]
ASKED += [names.prepend(b"q", names.prepend(b"long" * 9, owner)) for owner in (ORIGIN, *OWNERS[:3])]
TYPES = (Type.A, Type.TXT, Type.NS, Type.CNAME, Type.DNAME, Type.DS, Type.MX)
QUESTIONS = (*TYPES, Type.ANY, Type.RRSIG, Type.NSEC, Type.SOA, Type.AAAA)
FORMS = ({"edns": False}, {"do": False}, {"do": True}, {"do": True, "payload": 512}, {"do": True, "payload": 700})
HASHINGS = (None, Hashing(0, b""), Hashing(0, b"salt"), Hashing(3, b"\0" * 8))


def signature(rdtype):
    return rdtype.to_bytes(2, "big") + bytes(16) + ORIGIN + b"s" * 64


def rrset(owner, rdtype, *rdatas):
    return SignedRRset(owner, rdtype, 300, rdatas, (signature(rdtype),))


@st.composite
def contents(draw, origin=ORIGIN):
    """The RRsets of a zone without those of its chain."""
    found = {}
    for owner in draw(st.lists(st.sampled_from([one for one in OWNERS if one.endswith(origin)]), max_size=8)):
        rdtype = draw(st.sampled_from(TYPES))
        target = draw(st.sampled_from(OWNERS))
        rdata = {
            Type.A: b"\xc0\0\2\1",
            Type.TXT: b"\1x",
            Type.MX: b"\0\1" + target,
            Type.DS: b"\0\1\x0d\2" + bytes(32),
        }.get(rdtype, target)
        found[owner, rdtype] = rrset(owner, rdtype, rdata)
    return found


def published(content, serial, hashing, flaws, origin=ORIGIN):
    """Return the RRsets of an edition; *flaws* says whether names of no record are left out, and which link is lost."""
    opt_out, lost = flaws
    soa = records.soa_with_serial(b"\2ns" + origin + b"\5admin\7example\0" + bytes(19) + b"\x3c", serial)
    found = {**content, (origin, Type.SOA): rrset(origin, Type.SOA, soa)}
    there = {owner for owner, _ in found}
    if hashing is not None:
        rdata = b"\1\0" + hashing.iterations.to_bytes(2, "big") + bytes((len(hashing.salt),)) + hashing.salt
        found[origin, Type.NSEC3PARAM] = rrset(origin, Type.NSEC3PARAM, rdata)
        if not opt_out:
            there |= {above for owner in there for above in names.ancestors(owner, origin)}
        hashes = sorted({hash_name(owner, hashing) for owner in there} | {hash_name(origin, hashing)})
        for at, key in enumerate(hashes):
            rdata = rdata[:1] + bytes((opt_out,)) + rdata[2 : 5 + len(hashing.salt)]
            owner = b"\x20" + _base32(key) + origin
            after = hashes[(at + 1) % len(hashes)]
            found[owner, Type.NSEC3] = rrset(owner, Type.NSEC3, rdata + b"\x14" + after + b"\0\1\x40")
    else:
        chain = sorted(there, key=names.order_key)
        for at, owner in enumerate(chain):
            found[owner, Type.NSEC] = rrset(owner, Type.NSEC, chain[(at + 1) % len(chain)] + b"\0\1\x40")
    links = sorted(at for at in found if at[1] in (Type.NSEC, Type.NSEC3))
    if lost is not None:
        del found[links[lost % len(links)]]
    return found


def _base32(key):
    number = int.from_bytes(key, "big")
    return bytes(b"0123456789abcdefghijklmnopqrstuv"[number >> shift & 31] for shift in range(155, -1, -5))


flaws = st.tuples(st.booleans(), st.one_of(st.none(), st.none(), st.integers(0, 40)))
editions = st.lists(st.tuples(contents(), st.sampled_from(HASHINGS), flaws), min_size=1, max_size=4)
questions = st.lists(
    st.tuples(st.sampled_from(ASKED), st.sampled_from(QUESTIONS), st.sampled_from(FORMS), st.booleans()),
    min_size=6,
    max_size=24,
)
children = st.lists(st.sampled_from(("install", "evict", "forget", "nothing", "nothing")), min_size=4, max_size=4)


@given(editions, contents(CHILD), questions, children, st.booleans())
@settings(max_examples=150, deadline=None)
def test_pieces_say_what_a_responder_says_that_was_never_asked(history, below, asked, moves, packed):
    table = Table()
    responder = Responder(table)
    twins = [answerer(twin, table, Rrl(RrlLimits())).lookup for twin in TWINS]
    child = published(below, 1, HASHINGS[1], (False, None), CHILD).values()
    before = {}
    for number, ((content, hashing, flawed), move) in enumerate(zip(history, moves, strict=False), start=1):
        after = published(content, number, hashing, flawed)
        if number == 1:
            octets = b"".join(pack(one, names.order_key(one.name)) for one in after.values())
            table.install(ZoneImage(1, ORIGIN, 1, octets if packed else after.values()))
        else:
            assert table.patch(step(before, after, number))
        before = after
        if move == "install":
            table.install(ZoneImage(2, CHILD, 1, child))
        elif move == "evict":
            table.evict(2)
        elif move == "forget":
            table.forget(2)
        never_asked = fresh(table, after, number, child)
        for message in [wire(*one) for one in asked]:
            expected = never_asked.respond(message, UDP)
            for _ in range(2):
                known = [lookup(message) for lookup in twins]
                assert known[0] in (None, expected)
                assert known[1] == known[0]
                assert responder.respond(message, UDP) == expected


def fresh(table, content, number, child):
    """Return a responder over the same zones that remembers nothing."""
    other = Table()
    for origin, image in table.zones.items():
        if isinstance(image, int):
            other.known(origin, image)
        elif origin == CHILD:
            other.install(ZoneImage(2, CHILD, 1, child))
        else:
            other.install(ZoneImage(1, ORIGIN, number, sorted(content.values(), key=order(image))))
    return Responder(other)


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


def wire(name, rdtype, form, upper):
    message = query(names.to_text(name), int(rdtype), **form)
    return message[:12] + message[12 : 12 + len(name)].upper() + message[12 + len(name) :] if upper else message
