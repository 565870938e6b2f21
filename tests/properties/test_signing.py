"""A change signed by itself gives the zone that signing everything gives, and every signature of it validates."""

from __future__ import annotations

import struct

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name, from_text
from ddns.dns.records import RRset, SignedRRset
from ddns.zone.jobs import Node, SignJob
from ddns.zone.plain import plain
from zone_signer import plan as plans
from zone_signer.change import Answers, Change, Questions
from zone_signer.denial import TYPES
from zone_signer.keyring import ZoneKeys
from zone_signer.plan import Plan
from zone_signer.policy import Policy
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import carry_out
from zone_signer.vault import Vault

ORIGIN = from_text("z.example.")
NOW = 1_800_000_000
POLICY = Policy()
DENIALS = ["nsec3", "nsec", "compact"]
_KEY, _ = Vault(bytes(32)).make(ORIGIN, 13)
KEYS = ZoneKeys(ORIGIN, [_KEY], KeyRecords.of_one(_KEY.public, (13, _KEY.tag)))

Records = dict[Name, tuple[RRset, ...]]
Published = dict[tuple[Name, int], SignedRRset]


def soa(serial: int, minimum: int) -> RRset:
    numbers = struct.pack("!5I", serial, 3600, 600, 86400, minimum)
    return RRset(ORIGIN, Type.SOA, 300, (from_text("ns.z.example.") + from_text("host.z.example.") + numbers,))


class Zone:
    """A zone as the database holds it: what is stored, what is published, and answers about both."""

    def __init__(self, denial: str, records: Records) -> None:
        self.denial = denial
        self.records = dict(records)
        self.published: Published = {}
        self.asked = 0

    def sign_whole(self) -> None:
        self.publish(self.planned_whole())

    def planned_whole(self, records: Records | None = None) -> Plan:
        return plans.whole(ORIGIN, self.denial, records or self.records, KEYS.records, self.published, POLICY, NOW)

    def publish(self, plan: Plan) -> None:
        for place in plan.drop:
            del self.published[place]
        for one in carry_out(plan, KEYS, POLICY, NOW).added:
            self.published[one.name, one.type] = one

    def job(self, after: Records) -> SignJob:
        """Return the job that a server makes of the names of *after*, each with all its records."""
        nodes = tuple(Node(name, self.records.get(name, ()), rrsets) for name, rrsets in after.items())
        above = {up for name in after for up in names.ancestors(name, ORIGIN) if up != ORIGIN}
        types = tuple((name, tuple(one.type for one in self.records.get(name, ()))) for name in sorted(above))
        return SignJob(1, ORIGIN, self.denial, 13, nodes, types)

    def answer(self, asked: Questions) -> Answers:
        self.asked += 1
        ranges = [(names.order_key(name), names.subtree_end(names.order_key(name))) for name in asked.subtrees]
        inside = {
            name
            for name in {*self.records, *(name for name, _ in self.published)}
            if any(low < names.order_key(name) < high for low, high in ranges)
        }
        ring = sorted(
            (one for (_, rdtype), one in self.published.items() if rdtype == TYPES[self.denial]),
            key=lambda one: names.order_key(one.name),
        )
        near: dict[Name, SignedRRset] = {}
        for owner in asked.chain:
            upto = [one for one in ring if names.order_key(one.name) <= names.order_key(owner)]
            near |= {one.name: one for one in upto[-2:]}
        below = {
            name
            for name in asked.below
            if any(
                names.is_subdomain(one, name) and one != name and one not in asked.leaving
                for one, rrsets in self.records.items()
                if rrsets
            )
        }
        return Answers(
            {name: self.records[name] for name in inside if self.records.get(name)},
            tuple(
                one
                for (name, rdtype), one in self.published.items()
                if name in inside and rdtype not in (Type.NSEC, Type.NSEC3)
            ),
            tuple(near.values()),
            ring[-1] if ring else None,
            frozenset(below),
        )

    def change(self, after: Records) -> None:
        """Sign a change incrementally, check that what it replaces was published, and commit it."""
        job = self.job(after)
        change = Change(job)
        short = plain(job)
        assert short is None or (change.questions(), change.plan()) == (Questions(), Plan(ORIGIN, short.rrsets))
        while asked := change.questions():
            if asked.everything:
                self.publish(self.planned_whole({**self.records, **after}))
                break
            change.learn(asked, self.answer(asked))
        else:
            plan = change.plan()
            for one in plan.old:
                assert self.published[one.name, one.type] == one
            self.publish(plan)
        self.records.update(after)
        self.records = {name: rrsets for name, rrsets in self.records.items() if rrsets}

    def bare(self) -> dict[tuple[Name, int], tuple[int, tuple[bytes, ...], bool]]:
        return {place: (one.ttl, one.rdatas, bool(one.sigs)) for place, one in self.published.items()}

    def validate(self) -> None:
        """Check every signature with dnspython."""
        apex = dns.name.from_wire(ORIGIN, 0)[0]
        dnskeys = {apex: dns.rdataset.from_rdata_list(3600, [_rdata(Type.DNSKEY, one) for one in KEYS.records.dnskeys])}
        for (name, rdtype), one in self.published.items():
            if not one.sigs:
                continue
            owner = dns.name.from_wire(name, 0)[0]
            rrset = dns.rrset.from_rdata_list(owner, one.ttl, [_rdata(rdtype, rdata) for rdata in one.rdatas])
            sigs = dns.rrset.from_rdata_list(owner, one.ttl, [_rdata(Type.RRSIG, sig) for sig in one.sigs])
            dns.dnssec.validate(rrset, sigs, dnskeys, now=NOW)


def _rdata(rdtype: int, rdata: bytes) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))


LABELS = st.sampled_from([b"a", b"b", b"*", b"\x00x", b"z"])
OWNERS = st.lists(LABELS, min_size=0, max_size=4).map(
    lambda labels: b"".join(bytes([len(one)]) + one for one in labels) + ORIGIN
)
RDATA: dict[int, st.SearchStrategy[bytes]] = {
    Type.A: st.binary(min_size=4, max_size=4),
    Type.TXT: st.binary(min_size=1, max_size=3).map(lambda text: bytes([len(text)]) + text),
    Type.NS: st.sampled_from(["ns.a.z.example.", "ns.b.z.example.", "elsewhere.test."]).map(from_text),
    Type.DS: st.binary(min_size=32, max_size=32).map(lambda digest: b"\x12\x34\x0d\x02" + digest),
    Type.DNAME: st.sampled_from(["elsewhere.test.", "a.z.example."]).map(from_text),
    4711: st.binary(max_size=3),
}


@st.composite
def rrsets_at(draw: st.DrawFn, name: Name) -> tuple[RRset, ...]:
    types = draw(st.lists(st.sampled_from(sorted(RDATA)), unique=True, max_size=3))
    return tuple(
        RRset.of(
            name,
            rdtype,
            draw(st.sampled_from([60, 300])),
            draw(st.lists(RDATA[rdtype], min_size=1, max_size=1 if rdtype == Type.DNAME else 2)),
        )
        for rdtype in types
    )


@st.composite
def apexes(draw: st.DrawFn, serial: int) -> tuple[RRset, ...]:
    others = [one for one in draw(rrsets_at(ORIGIN)) if one.type != Type.DS]
    # A smaller MINIMUM changes the TTL of every denial record, which is rare.
    minimum = draw(st.sampled_from([60, 60, 60, 60, 60, 30]))
    return (soa(serial, minimum), *others)


@st.composite
def zones(draw: st.DrawFn) -> Records:
    owners = draw(st.lists(OWNERS.filter(lambda one: one != ORIGIN), unique=True, max_size=10))
    records = {name: rrsets for name in owners if (rrsets := draw(rrsets_at(name)))}
    records[ORIGIN] = draw(apexes(1))
    return records


@st.composite
def changes(draw: st.DrawFn, serial: int) -> Records:
    owners = draw(st.lists(OWNERS.filter(lambda one: one != ORIGIN), unique=True, min_size=1, max_size=4))
    after = {name: draw(rrsets_at(name)) for name in owners}
    after[ORIGIN] = draw(apexes(serial))
    return after


@given(
    denial=st.sampled_from(DENIALS),
    records=zones(),
    steps=st.tuples(changes(2), changes(3), changes(4), changes(5)),
)
@settings(max_examples=150, deadline=None)
def test_a_change_signed_by_itself_gives_the_zone_that_signing_everything_gives(
    denial: str, records: Records, steps: tuple[Records, ...]
) -> None:
    zone = Zone(denial, records)
    zone.sign_whole()

    for step in steps:
        zone.change(step)
        fresh = Zone(denial, zone.records)
        fresh.sign_whole()

        assert zone.bare() == fresh.bare()
    zone.validate()


@given(denial=st.sampled_from(DENIALS), records=zones(), step=changes(2))
@settings(max_examples=75, deadline=None)
def test_names_that_are_committed_already_are_signed_as_if_they_were_not(
    denial: str, records: Records, step: Records
) -> None:
    """The worker signs what is in the database already; its answers come from the state after the change."""
    zone = Zone(denial, records)
    zone.sign_whole()
    job = zone.job(step)
    zone.records = {name: rrsets for name, rrsets in {**records, **step}.items() if rrsets}

    change = Change(job)
    while (asked := change.questions()) and not asked.everything:
        change.learn(asked, zone.answer(asked))
    zone.publish(zone.planned_whole() if asked else change.plan())

    fresh = Zone(denial, zone.records)
    fresh.sign_whole()
    assert zone.bare() == fresh.bare()


@given(denial=st.sampled_from(DENIALS), other=st.sampled_from(DENIALS), first=zones(), then=zones())
@settings(max_examples=75, deadline=None)
def test_comparing_a_zone_with_another_that_is_published_gives_the_zone(
    denial: str, other: str, first: Records, then: Records
) -> None:
    """An import, or another kind of denial, publishes what differs, and nothing stays that does not belong."""
    zone = Zone(denial, first)
    zone.sign_whole()

    zone.denial, zone.records = other, then
    zone.sign_whole()

    fresh = Zone(other, then)
    fresh.sign_whole()
    assert zone.bare() == fresh.bare()
    zone.validate()
    again = zone.planned_whole()
    assert (again.sign, again.bare, again.drop) == ((), (), ())


@st.composite
def other_data(draw: st.DrawFn, records: Records) -> Records:
    """Return some names of *records* with the same types and, here and there, other data and TTLs."""
    after = {
        name: tuple(
            RRset.of(name, one.type, draw(st.sampled_from([60, 300])), [draw(RDATA[one.type])])
            if one.type in RDATA and draw(st.booleans())
            else one
            for one in rrsets
        )
        for name, rrsets in records.items()
        if name == ORIGIN or draw(st.booleans())
    }
    after[ORIGIN] = tuple(soa(2, draw(st.sampled_from([60, 60, 30]))) if one.type == Type.SOA else one
                          for one in after[ORIGIN])  # fmt: skip
    return after


@given(denial=st.sampled_from(DENIALS), records=zones(), drawn=st.data())
@settings(max_examples=150, deadline=None)
def test_the_short_cut_for_other_data_plans_what_the_law_plans(
    denial: str, records: Records, drawn: st.DataObject
) -> None:
    zone = Zone(denial, records)
    job = zone.job(drawn.draw(other_data(records)))

    short = plain(job)

    moving = {Type.NS, Type.DNAME}
    apex = job.nodes[[node.name for node in job.nodes].index(ORIGIN)]
    if short is None:
        assert (
            any(one.type in moving for node in job.nodes for one in node.before if (node.name, one.type) != (ORIGIN, 2))
            or any(moving & set(types) for _, types in job.above)
            or apex.before[0] != soa(1, int.from_bytes(apex.after[0].rdatas[0][-4:]))
        )
    else:
        change = Change(job)
        assert change.questions() == Questions()
        assert change.plan() == Plan(ORIGIN, short.rrsets)
