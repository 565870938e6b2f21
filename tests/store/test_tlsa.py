"""The TLSA records of this server's own key: in the zone that holds its name, and nothing of anybody else's."""

from __future__ import annotations

import io

import pytest
from rows import n

from ddns.dns.codes import Type
from ddns.dns.zonefile import read_zone
from ddns.operator import tlsa, zones
from ddns.operator.fault import CannotDo
from ddns.store import journal, rrsets
from ddns.store import zones as stored

ORIGIN, NAME = n("exam.test."), n("ns1.exam.test.")
TEXT = "$TTL 300\n@ SOA ns1 hostmaster 5 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
OWNERS = [tlsa.owner(NAME, 853, "tcp"), tlsa.owner(NAME, 853, "udp")]
OLD, NEW, OTHERS = (bytes([seed]) * 32 for seed in range(3))


async def add(admin, more="", denial="none", origin=ORIGIN):
    text = read_zone(io.BytesIO((TEXT + more).encode()), "exam.zone", origin, keep_signatures=True)
    return (await zones.bring_in(admin, text, "operator:test", denial)).zone


async def digests(conn, zone, owner=OWNERS[0]):
    found = await rrsets.read_names(conn, [(zone, owner)])
    return {rdata for one in found.get((zone, owner), ()) if one.type == Type.TLSA for rdata in one.rdatas}


async def keep(conn, wanted, was=(), name=NAME, owners=OWNERS):
    return await tlsa.keep(conn, name, owners, frozenset(wanted), frozenset(was))


def rdata(digest):
    return bytes((3, 1, 1)) + digest


def test_the_owner_is_the_one_of_rfc_6698():
    assert OWNERS[0] == n("_853._tcp.ns1.exam.test.")


@pytest.mark.parametrize("denial", ["none", "nsec3"])
async def test_the_server_itself_may_publish_and_it_is_journalled_once(admin, conn, denial):
    """With the rights of a worker; a second time nothing is written."""
    zone = await add(admin, denial=denial)

    assert await keep(conn, [OLD]) == zone
    assert await keep(conn, [OLD]) == 0

    assert await digests(admin, zone) == await digests(admin, zone, OWNERS[1]) == {rdata(OLD)}
    entries = await journal.since(admin, zone, 0, 10)
    assert [(one.seq, one.principal) for one in entries] == [(1, "operator:test"), (2, tlsa.PRINCIPAL)]


async def test_a_roll_publishes_both_keys_and_then_takes_the_old_one_away(admin, conn):
    zone = await add(admin)
    await keep(conn, [OLD])

    await keep(conn, [OLD, NEW], [OLD])
    assert await digests(admin, zone) == {rdata(OLD), rdata(NEW)}
    await keep(conn, [NEW], [OLD, NEW])

    assert await digests(admin, zone) == {rdata(NEW)}


async def test_records_of_others_stay(admin, conn):
    """Another server of the same name, or a person, may have put them there."""
    zone = await add(admin, f"_853._tcp.ns1 TLSA 3 1 1 {OTHERS.hex()}\n")

    await keep(conn, [NEW], [OLD])

    assert await digests(admin, zone) == {rdata(OTHERS), rdata(NEW)}


async def test_the_longest_zone_above_the_name_gets_them(admin, conn):
    parent = await add(admin)
    child = await add(admin, origin=NAME)

    await keep(conn, [NEW])

    assert await digests(admin, child) == {rdata(NEW)}
    assert await digests(admin, parent) == set()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (None, "No zone here holds ns1.exam.test."),
        ("ns1 NS ns.elsewhere.test.\n", "is delegated to other servers"),
        ("_853._tcp.ns1 CNAME dane.exam.test.\n", "is an alias"),
    ],
    ids=["no zone", "delegated", "alias"],
)
async def test_where_they_cannot_stand_a_sentence_says_so(admin, conn, more, says):
    if more is not None:
        await add(admin, more)

    with pytest.raises(CannotDo, match=says):
        await keep(conn, [NEW])


async def test_a_zone_that_is_signed_elsewhere_is_left_alone(admin, conn):
    """An unsigned record in a signed zone would be bogus."""
    signature = "SOA 13 2 300 20300101000000 20200101000000 1 exam.test. AAAA"
    zone = await add(admin, f"@ RRSIG {signature}\n")

    with pytest.raises(CannotDo, match="is signed elsewhere"):
        await keep(conn, [NEW])

    assert (await stored.find(admin, ORIGIN)).head == 1
    assert await digests(admin, zone) == set()


async def test_an_rrset_of_mine_that_is_no_longer_wanted_goes_whole(admin, conn):
    zone = await add(admin)
    await keep(conn, [OLD])

    await keep(conn, [], [OLD])

    found = await rrsets.read_names(admin, [(zone, OWNERS[0])])
    assert found.get((zone, OWNERS[0]), ()) == ()
