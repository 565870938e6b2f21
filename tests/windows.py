"""A published zone in place of the database, read through a window as the server does it."""

import struct

from ddns.answer import packed
from ddns.answer.compile import NeedZone
from ddns.answer.image import ZoneImage
from ddns.answer.window import Window, hashed_owner
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset
from zone_signer.keyring import ZoneKeys
from zone_signer.plan import whole
from zone_signer.policy import Policy
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import carry_out
from zone_signer.vault import Vault

TURNS = 200  # more than any question may take
NOW = 1_800_000_000
PARENT = names.from_text("homes.test.")
SOA = b"\2ns" + PARENT + b"\1a" + PARENT + struct.pack("!5I", 1, 3600, 600, 86400, 60)
KEY, _ = Vault(bytes(32)).make(PARENT, 13)


class Source:
    """The zone *origin*, whose RRsets are *published*, given by (name, type)."""

    def __init__(self, origin, published):
        self.origin = origin
        self.published = published
        self.read = 0

    def apex(self):
        return [one for (name, _), one in self.published.items() if name == self.origin]

    def node(self, name):
        """Return what stands at *name*, packed, and whether anything stands below it."""
        self.read += 1
        key = names.order_key(name)
        here = [one for one in self.published.values() if one.type != Type.NSEC3]
        found = [packed.pack(one, key) for one in here if one.name == name]
        below = any(one.name != name and names.is_subdomain(one.name, name) for one in here)
        return b"".join(found) or None, below

    def link(self, hashing, wanted):
        """Return the RRset of the chain at or before *wanted*, or the last one."""
        self.read += 1
        if hashing is None:
            chain = [one for one in self.published.values() if one.type == Type.NSEC]
        else:
            wanted = names.order_key(hashed_owner(wanted, self.origin))
            start = hashing.iterations.to_bytes(2, "big") + bytes((len(hashing.salt),)) + hashing.salt
            chain = [
                one
                for one in self.published.values()
                if one.type == Type.NSEC3 and any(rdata[0] == 1 and rdata[2:].startswith(start) for rdata in one.rdatas)
            ]
        keys = sorted((names.order_key(one.name), one) for one in chain)
        before = [pair for pair in keys if pair[0] <= wanted]
        for key, one in (before or keys)[-1:]:
            return packed.pack(one, key)
        return None

    def give(self, window, wanted):
        """Give *window* what is *wanted*."""
        for name in wanted.names:
            octets, below = self.node(name)
            window.take_node(name, octets, below=below)
        for link in wanted.links:
            window.take_link(link, self.link(window.hashing, link))


def answer(responder, table, source, message, asker, room=1 << 30):
    """Return what *responder* answers once it has read of *source* what it needs, and in how many turns."""
    for turn in range(TURNS):
        done = responder.respond(message, asker)
        if not isinstance(done, NeedZone):
            return done, turn
        window = table.image(done.zone_id)
        assert isinstance(window, Window)
        assert done.wanted is not None
        source.give(window, done.wanted)
        window.trim(room)
    raise AssertionError("the question is asked for ever")


def unpacked(origin, published, edition=1):
    """Return the image of what is *published*, read as the database sends it."""
    octets = b"".join(packed.pack(one, names.order_key(one.name)) for one in published.values())
    return ZoneImage(1, origin, edition, octets)


def home(number, address=b"\xc0\0\2\1"):
    """Return the apex of a home, and what it publishes, without signatures."""
    apex = names.prepend(b"h%06d" % number, PARENT)
    sets = [(apex, Type.SOA, SOA), (apex, Type.NS, b"\2ns" + apex), (apex, Type.A, address)]
    sets += [(names.prepend(b"cam", apex), Type.AAAA, bytes(16))]
    return apex, [SignedRRset(name, rdtype, 300, (rdata,)) for name, rdtype, rdata in sets]


def registry(homes, denial):
    """Return what the signed zone of a registry with *homes* delegations publishes, by name and type."""
    records = {PARENT: (RRset.of(PARENT, Type.SOA, 300, [SOA]), RRset.of(PARENT, Type.NS, 300, [b"\2ns" + PARENT]))}
    records[b"\2ns" + PARENT] = (RRset.of(b"\2ns" + PARENT, Type.A, 300, [bytes(4)]),)
    for number in range(homes):
        apex = home(number)[0]
        ds = struct.pack("!HBB", number, 13, 2) + bytes(32)
        records[apex] = (RRset.of(apex, Type.NS, 300, [b"\2ns" + apex]), RRset.of(apex, Type.DS, 300, [ds]))
        glue = b"\2ns" + apex
        records[glue] = (RRset.of(glue, Type.A, 300, [bytes(4)]),)
    deep = names.from_text("a.b.c.d.e.f.g.homes.test.")
    records[deep] = (RRset.of(deep, Type.TXT, 300, [b"\1x"]),)
    wild = names.from_text("*.w.homes.test.")
    records[wild] = (RRset.of(wild, Type.TXT, 300, [b"\1y"]),)
    if denial == "none":
        every = [one for found in records.values() for one in found]
        return {(one.name, one.type): SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in every}
    keys = ZoneKeys(PARENT, [KEY], KeyRecords.of_one(KEY.public, (KEY.algorithm, KEY.tag)))
    plan = whole(PARENT, denial, records, keys.records, {}, Policy(), NOW)
    return {(one.name, one.type): one for one in carry_out(plan, keys, Policy(), NOW).added}
