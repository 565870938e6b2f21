"""What a signing run decides before it signs: what must be read, what is signed, when it is due, which serial comes."""

from __future__ import annotations

import msgspec
import pytest
from signing import NOW, POLICY, read, vault

from ddns.dns.codes import Type
from ddns.dns.names import ancestors, from_text
from ddns.dns.records import RRset, SignedRRset, soa_serial
from ddns.zone.jobs import Node, SignJob
from zone_signer import plan as plans
from zone_signer import renewal
from zone_signer.change import Change, Questions
from zone_signer.denial import chain_owner
from zone_signer.keyring import ZoneKeys
from zone_signer.leases import Lease
from zone_signer.plan import BadZone
from zone_signer.policy import DAY, HOUR, Policy, negative_ttl
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import ClockBack, carry_out, check_clock

ORIGIN = from_text("a.test.")
ZONE = read(
    "a.test.",
    "www 60 A 192.0.2.1",
    "x.ent 60 A 192.0.2.1",
    "y.ent 60 A 192.0.2.1",
    "cut 60 NS ns.cut",
    "ns.cut 60 A 192.0.2.1",
    "d 60 DNAME else.test.",
    "below.d 60 A 192.0.2.1",
)


def name(owner):
    return from_text(owner, ORIGIN)


def job(*lines, without=(), denial="nsec3"):
    """Return the job for the names of *lines*, which replace what is there, and of *without*, which go."""
    after = {one: found for one, found in read("a.test.", *lines, serial=2).items() if one != ORIGIN}
    after |= {name(owner): () for owner in without}
    after[ORIGIN] = read("a.test.", serial=2)[ORIGIN]
    nodes = tuple(Node(one, ZONE.get(one, ()), found) for one, found in after.items())
    above = {up for one in after for up in ancestors(one, ORIGIN)} - after.keys()
    types = tuple((one, tuple(rrset.type for rrset in ZONE.get(one, ()))) for one in above)
    return SignJob(1, ORIGIN, denial, 13, nodes, types)


def places(rrsets):
    return {(one.name, one.type) for one in rrsets}


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
@pytest.mark.parametrize(
    ("lines", "signed", "bare"),
    [
        (["www 60 A 192.0.2.9"], {("www", Type.A)}, set()),
        (["www 300 A 192.0.2.1"], {("www", Type.A)}, set()),
        (["ns.cut 60 A 192.0.2.9"], set(), {("ns.cut", Type.A)}),
        (["new.cut 60 A 192.0.2.9", "new.cut 60 TXT x"], set(), {("new.cut", Type.A), ("new.cut", Type.TXT)}),
        (["cut 60 NS ns.cut", "cut 60 NS else.test."], set(), {("cut", Type.NS)}),
        (["cut 60 NS ns.cut", "cut 60 A 192.0.2.5"], set(), {("cut", Type.A)}),
        (["d 60 DNAME other.test."], {("d", Type.DNAME)}, set()),
        (["below.d 60 TXT x", "deep.below.d 60 A 192.0.2.1"], set(), {("below.d", Type.TXT), ("deep.below.d", Type.A)}),
        ([], set(), set()),
    ],
)
def test_where_no_name_type_or_cut_moves_nothing_is_asked(denial, lines, signed, bare):
    change = Change(job(*lines, denial=denial))

    assert change.questions() == Questions()
    plan = change.plan()
    assert places(plan.sign) == {(name(owner), rdtype) for owner, rdtype in signed} | {(ORIGIN, Type.SOA)}
    assert places(plan.bare) == {(name(owner), rdtype) for owner, rdtype in bare}


def hashed(*owners):
    return {chain_owner("nsec3", name(owner), ORIGIN) for owner in owners}


@pytest.mark.parametrize(
    ("lines", "without", "chain", "below", "subtrees"),
    [
        (["www 60 A 192.0.2.1", "www 60 TXT x"], [], ["www"], [], []),
        (["new 60 A 192.0.2.1"], [], ["new"], [], []),
        (["_443._tcp.www 60 A 192.0.2.1"], [], ["_443._tcp.www", "_tcp.www"], [], []),
        (["z.ent 60 A 192.0.2.1"], [], ["z.ent", "ent"], [], []),
        ([], ["www"], ["www"], ["www"], []),
        ([], ["x.ent"], ["x.ent", "ent"], ["x.ent", "ent"], []),
        (["new 60 NS else.test."], [], ["new"], [], ["new"]),
        (["cut 60 NS ns.cut", f"cut 60 DS 1 13 2 {7:064x}"], [], ["cut"], [], []),
        ([], ["cut"], ["cut"], ["cut"], ["cut"]),
    ],
)
def test_only_what_a_change_needs_is_asked(lines, without, chain, below, subtrees):
    asked = Change(job(*lines, without=without)).questions()

    assert set(asked.chain) == hashed(*chain)
    assert set(asked.below) == {name(owner) for owner in below}
    assert set(asked.subtrees) == {name(owner) for owner in subtrees}
    assert not asked.everything


def test_in_an_nsec_chain_empty_non_terminals_are_nobodys_business():
    asked = Change(job("_443._tcp.www 60 A 192.0.2.1", without=["x.ent"], denial="nsec")).questions()

    assert set(asked.chain) == {name("_443._tcp.www"), name("x.ent")}
    assert asked.below == ()


@pytest.mark.parametrize("ttl", [30, 59])
def test_a_smaller_ttl_of_the_soa_asks_for_everything(ttl):
    one = job("www 60 A 192.0.2.1")
    nodes = tuple(
        msgspec.structs.replace(
            node,
            after=tuple(
                msgspec.structs.replace(rrset, ttl=ttl) if rrset.type == Type.SOA else rrset for rrset in node.after
            ),
        )
        for node in one.nodes
    )

    assert Change(msgspec.structs.replace(one, nodes=nodes)).questions() == Questions(everything=True)


def test_a_dname_at_the_apex_asks_for_everything():
    one = job()
    (apex,) = one.nodes
    dname = RRset(ORIGIN, Type.DNAME, 60, (from_text("else.test."),))
    apex = msgspec.structs.replace(apex, after=(*apex.after, dname))

    assert Change(msgspec.structs.replace(one, nodes=(apex,))).questions() == Questions(everything=True)


def test_a_job_without_its_apex_or_soa_is_refused_in_one_sentence():
    one = job("www 60 A 192.0.2.1")
    bare = tuple(node for node in one.nodes if node.name != ORIGIN)
    with pytest.raises(BadZone, match=r"the job for a\.test\. does not hold its apex"):
        Change(msgspec.structs.replace(one, nodes=bare))

    empty = (*bare, Node(ORIGIN, (), ()))
    with pytest.raises(BadZone, match=r"a\.test\. has no SOA at its apex"):
        Change(msgspec.structs.replace(one, nodes=empty))


def test_a_plan_reads_as_lines():
    plan = plans.whole(ORIGIN, "nsec", ZONE, KeyRecords.of_one(b"\1\1\3\15key", (13, 1)), {}, POLICY, NOW)

    lines = list(plan.lines())

    assert "sign    www.a.test. A" in lines
    assert "sign    www.a.test. NSEC" in lines
    assert "publish cut.a.test. NS" in lines
    assert "publish below.d.a.test. A" in lines
    assert not any(line.startswith("drop") for line in lines)
    strange = msgspec.structs.replace(plan, sign=(), bare=(RRset(ORIGIN, 65281, 1, (b"",)),), drop=((ORIGIN, 1),))
    assert list(strange.lines()) == ["publish a.test. TYPE65281", "drop    a.test. A"]


def test_signatures_begin_an_hour_ago_and_last_twelve_to_fourteen_days():
    windows = [POLICY.window(name(f"h{number}"), Type.A, NOW, spread=True) for number in range(500)]

    assert {inception for inception, _ in windows} == {NOW - HOUR}
    ends = [expiration - NOW for _, expiration in windows]
    assert 12 * DAY < min(ends) < 12 * DAY + DAY // 4
    assert 14 * DAY - DAY // 4 < max(ends) <= 14 * DAY
    assert POLICY.window(name("h"), Type.A, NOW, spread=False) == (NOW - HOUR, NOW + 14 * DAY)


def test_signatures_outlive_three_days_without_the_signer():
    _, expiration = POLICY.window(name("h"), Type.A, NOW, spread=True)

    assert expiration - POLICY.due(expiration) > 3 * DAY


def test_a_small_zone_is_renewed_in_one_go_and_a_big_one_in_slices():
    assert POLICY.horizon(NOW, 1000) == NOW + 2 * DAY
    assert POLICY.horizon(NOW, 1001) == NOW + 6 * HOUR


def test_small_zones_that_are_signed_together_fall_due_evenly_over_two_days():
    """However many records each has: a million homes must not come in the first hours."""
    key, _ = vault().make(ORIGIN, 15)
    slots = [0] * 8
    for number in range(400):
        origin = from_text(f"h{number}.test.")
        zone = read(f"h{number}.test.", "www 60 A 192.0.2.1", "x 60 A 192.0.2.1")
        keys = ZoneKeys(origin, [key], KeyRecords.of_one(key.public, (15, key.tag)))
        plan = plans.whole(origin, "nsec3", zone, keys.records, {}, POLICY, NOW)
        done = carry_out(plan, keys, POLICY, NOW)
        slots[(done.resign_at - POLICY.due(NOW + POLICY.validity - POLICY.jitter) - 1) // (POLICY.jitter // 8)] += 1

    assert min(slots) > 20
    assert max(slots) < 100


@pytest.mark.parametrize(("ttl", "expected"), [(30, 30), (60, 60), (61, 60)])
def test_denial_records_live_as_long_as_rfc_9077_says(ttl, expected):
    soa = next(one for one in ZONE[ORIGIN] if one.type == Type.SOA)

    assert negative_ttl(msgspec.structs.replace(soa, ttl=ttl)) == expected


def test_a_clock_may_be_an_hour_late_and_no_more():
    newest = NOW - POLICY.backdate

    check_clock(ORIGIN, newest, newest)
    with pytest.raises(ClockBack, match=r"the clock is 1 s before the newest signature of a\.test\."):
        check_clock(ORIGIN, newest, newest - 1)


LEASE = Lease(1, ORIGIN, "nsec3", 13, None, 5, 3, 100, 5, True, None)


@pytest.mark.parametrize(
    ("edition", "published", "asked", "changed", "serial"),
    [
        (0, 0, 0, True, 1),
        (0, 0, 7, True, 7),
        (3, 100, 7, True, 101),
        (3, 100, 7, False, 100),
        (3, 100, 200, True, 200),
        (3, 100, 200, False, 200),
        (3, 100, 100, True, 101),
        (3, 0xFFFFFFFF, 7, True, 7),
        (3, 0xFFFFFFFF, 0xFFFFFFFF, True, 1),
        (3, 100, 100 + 2**31, True, 101),
    ],
)
def test_the_next_serial_is_one_more_or_what_was_asked_for_where_that_is_newer(
    edition, published, asked, changed, serial
):
    soa = next(one for one in read("a.test.", serial=asked)[ORIGIN] if one.type == Type.SOA)
    zone = msgspec.structs.replace(LEASE, edition=edition, serial=published)

    assert soa_serial(renewal.next_soa(zone, soa, changed=changed).rdatas[0]) == serial


def test_a_signature_by_another_key_is_made_anew_and_others_stay():
    keys = KeyRecords.of_one(b"k", (13, 7))
    first = plans.whole(ORIGIN, "nsec3", ZONE, keys, {}, Policy(), NOW)
    by = {tag: b"\0\1\15\2" + bytes(4) + _times(NOW) + tag.to_bytes(2, "big") + ORIGIN for tag in (7, 8)}
    published = {
        (one.name, one.type): SignedRRset(
            one.name, one.type, one.ttl, one.rdatas, (by[8 if one.type == Type.SOA else 7],)
        )
        for one in first.sign
    } | {(one.name, one.type): SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in first.bare}

    plan = plans.whole(ORIGIN, "nsec3", ZONE, keys, published, Policy(), NOW)

    assert places(plan.sign) == {(ORIGIN, Type.SOA)}
    assert places(plan.old) == {(ORIGIN, Type.SOA)}
    assert (plan.bare, plan.drop) == ((), ())
    assert plan.wake == POLICY.due(NOW + 10 * DAY)


def _times(now):
    return (now + 10 * DAY).to_bytes(4, "big") + (now - HOUR).to_bytes(4, "big")
