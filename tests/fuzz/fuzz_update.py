"""Updates: parsed, judged and done to a small zone that has everything; whatever comes, the zone stays a zone."""

import craft
import dns.exception
import dns.rdata

from ddns.dns import names, records
from ddns.dns.codes import META_TYPES, Rcode, Type
from ddns.dns.refusal import Refusal
from ddns.zone import srp
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet
from ddns.zone.limits import DEFAULT
from ddns.zone.view import View

BOUND = 150_000  # calls: 4096 octets hold 370 records, each of which may be parsed by dnspython
ZONE = craft.zone(
    "@ 3600 NS ns2.example.",
    "cam 300 A 192.0.2.1",
    "cam 300 A 192.0.2.2",
    "cam 300 TXT one",
    "alias 300 CNAME cam",
    "*.wild 300 MX 10 cam",
    "d 300 DNAME elsewhere.example.",
    "cut 300 NS ns.cut",
    "cut 300 DS 12345 13 2 " + "ab" * 32,
    "ns.cut 300 A 192.0.2.4",
    "wks 300 WKS 192.0.2.1 6 25",
)
CODES = {
    Rcode.FORMERR, Rcode.NOTAUTH, Rcode.NOTZONE, Rcode.REFUSED, Rcode.NXDOMAIN, Rcode.YXDOMAIN, Rcode.NXRRSET,
    Rcode.YXRRSET, Rcode.BADVERS,
}  # fmt: skip
BESIDE_CNAME = {Type.CNAME, Type.KEY, Type.SIG, Type.NXT, Type.RRSIG, Type.NSEC}


def seeds():
    add, delete, gone = craft.add, craft.delete, craft.delete_record
    key = "512 3 15 " + "A" * 32 + " " + "A" * 11 + "="
    lease = names.ROOT + bytes.fromhex("0029 04d0 00000000 000c 0002 0008 00001c20 00127500".replace(" ", ""))
    return [
        craft.message(add("new", 60, "A", "192.0.2.9")),
        craft.message(delete("cam", "A"), add("cam", 60, "A", "192.0.2.9"), needs=[craft.exists("cam", "A")]),
        craft.message(delete("@"), delete("alias"), add("alias", 60, "TXT", "x")),
        craft.message(gone("@", "NS", "ns.example."), gone("@", "NS", "ns2.example.")),
        craft.message(add("@", 60, "SOA", craft.SOA.format(serial=20)), add("x.cut", 60, "AAAA", "2001:db8::1")),
        craft.message(add("alias", 60, "CNAME", "other"), add("d", 60, "DNAME", "x.example.")),
        craft.message(add("new", 60, "SRV", "1 2 3 cam"), add("new", 60, "NAPTR", '1 2 "u" "s" "" cam')),
        craft.message(
            add("new", 60, "KEY", key), add("alias", 60, "KEY", key), add("wks", 60, "WKS", "192.0.2.1 6 80")
        ),
        craft.message(needs=[craft.equals("cam", "A", "192.0.2.1"), craft.equals("cam", "A", "192.0.2.2")]),
        craft.message(needs=[craft.absent("nobody"), craft.absent("cam", "AAAA"), craft.exists("*.wild", "MX")]),
        craft.message(delete("h"), add("h", 120, "AAAA", "2001:db8::2"), add("h", 120, "KEY", key), additional=[lease]),
        craft.message(craft.rr("new", 65280, craft.IN, 60, b"opaque"), craft.rr("cam", "ANY", craft.ANY)),
    ]


def work(octets):
    update = updates.parse(octets)
    if isinstance(update, Refusal):
        return update, None, None, None
    zone = ZONE if update.zone == craft.ORIGIN else {}
    view = View({owner: zone.get(owner, ()) for owner in update.names})
    refused = updates.prerequisites(update, view) or updates.prescan(update)
    srp.read(update, craft.name("h"))
    if refused is not None:
        return update, refused, None, None
    signed = bool(octets[0] & 1)
    changes = updates.apply(update, view, signed=signed)
    if isinstance(changes, ChangeSet):
        view.apply(changes)
    return update, None, changes, view


def judge(octets, outcome):
    update, refused, changes, view = outcome
    if isinstance(update, Refusal):
        assert update.rcode in CODES
        return
    assert all(names.is_subdomain(owner, update.zone) for owner in update.names)
    assert len(update.prerequisites) + len(update.operations) <= DEFAULT.records_per_update
    for refusal in (refused, changes):
        if isinstance(refusal, Refusal):
            assert refusal.rcode in CODES
            assert refusal.code
            return
    assert ChangeSet.unpack(changes.pack()) == changes
    assert bool(changes) is (view.changes() != ChangeSet())
    for owner in update.names:
        check_node(owner, view.get(owner), update.zone == craft.ORIGIN and owner == craft.ORIGIN)


def check_node(owner, rrsets, apex):
    """Check what must hold of a name's records, whatever was asked for."""
    types = [rrset.type for rrset in rrsets]
    assert len(set(types)) == len(types)
    assert not META_TYPES & set(types)
    if apex:
        assert {Type.SOA, Type.NS} <= set(types)
    else:
        assert Type.SOA not in types
    if Type.CNAME in types:
        assert set(types) <= BESIDE_CNAME
    for rrset in rrsets:
        assert rrset.name == owner
        assert rrset.rdatas == tuple(sorted(set(rrset.rdatas)))
        assert 0 <= rrset.ttl < 2**31
        assert len(rrset.rdatas) == 1 or rrset.type not in (Type.SOA, Type.CNAME, Type.DNAME)
        for rdata in rrset.rdatas:
            assert records.canonical(rrset.type, rdata) == rdata
            try:
                dns.rdata.from_wire(1, rrset.type, rdata, 0, len(rdata))
            except dns.exception.DNSException as error:
                raise AssertionError(f"dnspython cannot read {rrset.type} {rdata.hex()}") from error
