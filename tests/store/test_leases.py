"""Leases (RFC 9664) on a real database: granted, renewed, ended, and never in the way of anything else."""

from __future__ import annotations

import asyncio
import itertools
import random

import craft
import leasing
import pytest
from leasing import Home, granted
from waiting import wait_for

from ddns.dns.codes import Rcode
from ddns.net.expiry import commit_expiry
from ddns.operator.change import Change, write
from ddns.store import homes, journal, leases, zones
from ddns.zone.changes import ChangeSet, RRsetChange

CAM = craft.add("cam", 300, "A", "192.0.2.1")


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    made = []

    async def begin(*lines, **how):
        home = Home(dsn_for("ddns_server"), owner, tmp_path)
        made.append(home)
        return await home.begin(*lines, **how)

    yield begin
    for home in made:
        wait_for(home.server.close())


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ((3600,), (3600,)),
        ((3600, 86400), (3600, 86400)),
        ((5, 5), (30, 30)),
        ((10**9, 10**9), (86400, 1209600)),
        ((7200, 600), (7200, 7200)),
        ((0,), (0,)),
        ((0, 86400), (0, 86400)),
    ],
)
async def test_the_answer_says_what_was_granted_in_the_form_of_the_request(make, asked, got):
    """RFC 9664 §4: within the registry's bounds, the key's never shorter than the records', 0 stays 0."""
    home = await make()

    reply = await home.update(CAM, leased=asked)

    assert reply.rcode() == Rcode.NOERROR
    assert granted(reply) == got


async def test_a_policy_for_homes_bounds_their_leases(make, owner):
    home = await make()
    registry = await zones.insert(owner, b"\x08registry\0", "none", 13)
    await owner.execute("UPDATE zones SET parent = %s WHERE id <> %s", [registry, registry])
    await owner.execute(
        "INSERT INTO home_policies (tenant, zone, lease_most, key_lease_most) VALUES (1, %s, 600, 900)", [registry]
    )

    assert granted(await home.update(CAM, leased=(3600, 86400))) == (600, 900)
    assert granted(await home.update(CAM, leased=(5, 5))) == (30, 30)
    await owner.execute("UPDATE home_policies SET lease_most = 30, key_lease_most = NULL")
    assert granted(await home.update(CAM, leased=(3600, 86400))) == (30, 86400)


async def test_who_asks_for_no_lease_is_told_of_none(make):
    home = await make()

    assert granted(await home.update(CAM)) is None
    assert await home.passes(10**8) == 0
    assert await home.content() == {"cam 300 A 192.0.2.1"}


async def test_a_refused_update_is_granted_nothing(make):
    home = await make()

    reply = await home.update(craft.add("cam.elsewhere.", 300, "A", "192.0.2.1"), leased=(3600,))

    assert reply.rcode() == Rcode.NOTZONE
    assert granted(reply) is None


@pytest.mark.parametrize("octets", [b"", b"\0\0\1", b"\0\0\1\0\0", b"\0" * 12])
async def test_an_option_of_another_length_is_a_format_error(make, octets):
    home = await make()
    opt = leasing.wire.opt(1232, do=False, options=((leasing.LEASE, octets),))

    (reply,) = await home.server.send(home.signed(CAM, opt=opt))

    assert reply.rcode() == Rcode.FORMERR
    assert await home.content() == set()


async def test_what_is_not_renewed_ends_in_an_edition_of_its_own(make):
    """The record goes, others stay; one serial, one journal entry by the lease, and the table follows."""
    home = await make("door 300 A 192.0.2.9")
    await home.update(CAM, leased=(3600,))
    before = await home.row()

    early = await home.passes(3590)
    late = await home.passes(20)

    assert (early, late) == (0, 1)
    assert await home.content() == {"door 300 A 192.0.2.9"}
    assert await home.is_published()
    row = await home.row()
    assert (row.head, row.edition, row.serial) == (before.head + 1, before.edition + 1, before.serial + 1)
    (entry,) = await journal.since(home.admin, home.zone, before.head, 10)
    assert (entry.principal, entry.credential, entry.digest) == ("lease", None, None)
    assert home.server.table.edition(home.zone) == row.edition


async def test_a_renewal_lengthens_the_lease_and_moves_no_serial(make):
    """The same update again changes nothing that anybody sees (RFC 9664 §5)."""
    home = await make()
    await home.update(craft.delete("cam", "A"), CAM, leased=(3600,))
    before = await home.row()
    await home.passes(3000)

    reply = await home.update(craft.delete("cam", "A"), CAM, leased=(3600,))

    assert granted(reply) == (3600,)
    assert await home.row() == before
    assert await home.passes(3000) == 0
    assert await home.passes(700) == 1


async def test_records_of_one_name_and_type_have_leases_of_their_own(make):
    """Two senders share an RRset; one of them goes away."""
    home = await make()
    await home.update(CAM, leased=(3600,))
    await home.update(craft.add("cam", 300, "A", "192.0.2.2"), leased=(7200,))

    await home.passes(4000)

    assert await home.content() == {"cam 300 A 192.0.2.2"}


async def test_added_again_without_a_lease_a_record_stays(make):
    home = await make()
    await home.update(CAM, leased=(3600,))

    await home.update(CAM)

    assert await home.passes(10**6) == 0
    assert not (await home.row()).leased


async def test_added_again_with_a_lease_a_record_ends(make):
    home = await make("cam 300 A 192.0.2.1")

    await home.update(CAM, leased=(3600,))

    assert await home.passes(3601) == 1


async def test_deleted_and_added_again_a_record_has_no_old_lease(make):
    home = await make()
    await home.update(CAM, leased=(3600,))
    await home.update(craft.delete("cam"))
    await home.update(CAM)

    assert await home.passes(10**6) == 0
    assert await home.content() == {"cam 300 A 192.0.2.1"}


async def test_a_lease_of_zero_withdraws_at_once_and_keeps_the_key_while_its_lease_lasts(make):
    """RFC 9664 §4.2; the KEY keeps the name reserved."""
    home = await make()
    key = craft.add("cam", 300, "KEY", "512 3 13 " + "A" * 86 + "==")
    await home.update(CAM, key, leased=(3600, 86400))

    await home.update(CAM, key, leased=(0, 86400))
    kept = await home.content()
    await home.passes(86401)

    assert {line.split()[2] for line in kept} == {"KEY"}
    assert await home.content() == set()


async def test_a_key_outlives_its_records(make):
    home = await make()
    key = craft.add("cam", 300, "KEY", "512 3 13 " + "A" * 86 + "==")
    await home.update(CAM, key, leased=(3600, 86400))

    await home.passes(3601)

    assert {line.split()[2] for line in await home.content()} == {"KEY"}


async def test_no_ttl_is_longer_than_the_lease(make):
    """Also where somebody else adds to the RRset without one."""
    home = await make()
    await home.update(craft.add("cam", 86400, "A", "192.0.2.1"), leased=(600,))
    short = await home.content()

    await home.update(craft.add("cam", 86400, "A", "192.0.2.2"))

    assert short == {"cam 600 A 192.0.2.1"}
    assert await home.content() == {"cam 600 A 192.0.2.1", "cam 600 A 192.0.2.2"}


async def test_the_zones_own_soa_and_ns_are_never_leased(make):
    home = await make()

    await home.update(craft.add("@", 3600, "NS", "ns2.example."), craft.add("@", 300, "A", "192.0.2.1"), leased=(60,))

    assert await home.passes(100) == 1
    found = {(one.name, one.type) for one in await leasing.rrsets.read_zone(home.admin, home.zone)}
    assert found == {(craft.ORIGIN, 2), (craft.ORIGIN, 6)}


async def test_what_may_not_stand_there_gets_no_lease(make):
    """An address beside a CNAME is skipped (RFC 2136 §3.4.2.2)."""
    home = await make("cam 300 CNAME door")

    await home.update(CAM, leased=(60,))

    assert not (await home.row()).leased


async def test_a_retransmission_hears_the_same_lease(make):
    home = await make()
    octets = home.signed(CAM, opt=leasing.lease(5, 10**9))

    replies = await home.server.send(octets, octets)
    replies += await home.server.send(octets)

    assert [granted(reply) for reply in replies] == [(30, 1209600)] * 3


async def test_updates_of_one_batch_see_each_others_leases(make):
    """Leased, made permanent, and leased again: the last one holds; and the other way round."""
    home = await make()
    ttl = leasing.lease(3600)

    await home.server.send(home.signed(CAM, opt=ttl), home.signed(CAM))
    permanent = (await home.row()).leased
    await home.server.send(home.signed(CAM), home.signed(CAM, opt=ttl))

    assert not permanent
    assert await home.passes(3601) == 1


# -- what stands in the way of an end


async def test_nothing_ends_after_an_outage_before_as_long_again(make, owner):
    """Senders who could not renew get the time that they lost; then it ends."""
    home = await make()
    await home.update(CAM, leased=(3600,))
    await owner.execute("UPDATE lease_clock SET seen_at = now() - interval '2 hours'")

    held = await home.passes(4000)
    again = await home.server.expiry.look()
    await owner.execute("UPDATE lease_clock SET expire_from = expire_from - interval '7100 s'")
    still = await home.server.expiry.look()
    await owner.execute("UPDATE lease_clock SET expire_from = expire_from - interval '200 s'")
    ended = await home.server.expiry.look()

    assert (held, again, still, ended) == (0, 0, 0, 1)


async def test_a_short_outage_has_a_grace_and_a_long_one_an_end(conn, owner):
    held = []
    for minutes in (0, 2, 60, 100 * 24 * 60):
        await owner.execute(
            "UPDATE lease_clock SET expire_from = now(), seen_at = now() - %(minutes)s * interval '1 minute'",
            {"minutes": minutes},
        )
        held.append((await leases.tick(conn, now_of(), gap=60, grace=600, longest=86400)).held)

    assert [round(seconds, -1) for seconds in held] == [0, 600, 3600, 86400]


def now_of():
    return leasing.time.time()


async def test_many_workers_that_look_at_once_after_an_outage_all_wait(connected, owner):
    """The one that writes it down first does not make the others forget it."""
    await owner.execute("UPDATE lease_clock SET seen_at = now() - interval '1 hour'")
    workers = [await connected("ddns_server") for _ in range(6)]

    ticks = await asyncio.gather(*(leases.tick(one, now_of(), gap=60, grace=600, longest=86400) for one in workers))

    assert all(one.sane and one.held > 3500 for one in ticks)


async def test_a_clock_that_is_not_the_workers_is_not_believed(conn, owner):
    """Nor is it written down, so that nothing is wrong when it is right again."""
    await owner.execute("UPDATE lease_clock SET seen_at = now() - interval '30 seconds'")
    before = await (await owner.execute("SELECT seen_at FROM lease_clock")).fetchone()

    ahead = await leases.tick(conn, now_of() - 3600, gap=60, grace=600, longest=86400)
    after = await (await owner.execute("SELECT seen_at FROM lease_clock")).fetchone()
    right = await leases.tick(conn, now_of(), gap=60, grace=600, longest=86400)

    assert (ahead.sane, right) == (False, leases.Tick(sane=True, held=0))
    assert after == before


async def test_after_a_clock_was_set_back_nothing_ends_for_a_day_and_no_lease_is_shorter(make, owner):
    """Nobody knows which of the two times was right; and it is not waited for the one that was wrong."""
    home = await make()
    await owner.execute("UPDATE lease_clock SET seen_at = now() + interval '10 years'")
    await home.update(CAM, leased=(3600,))

    held = await home.passes(3700)
    clock = await leases.tick(owner, now_of(), gap=60, grace=600, longest=86400)
    await home.update(CAM, leased=(3600,))
    await owner.execute("UPDATE lease_clock SET expire_from = now()")

    assert held == 0
    assert 86000 < clock.held <= 86400
    assert await home.passes(3500) == 0
    assert await home.passes(200) == 1


async def test_a_suspended_home_loses_nothing_and_can_renew_when_it_is_released(make, owner):
    home = await make()
    await home.update(CAM, leased=(3600,))
    await homes.set_state(owner, home.zone, homes.SUSPENDED, "a test", int(home.server.now))

    held = await home.passes(5000)
    await homes.set_state(owner, home.zone, homes.ACTIVE, "", int(home.server.now))
    await leases.begin_anew(owner, home.zone)  # as who releases it does
    released = await home.passes(0)

    assert (held, released) == (0, 0)
    assert await home.passes(3601) == 1


async def test_a_zone_that_somebody_holds_is_left_for_the_next_time(make, owner, connected):
    """And of two that look at once, one ends it."""
    home = await make()
    await home.update(CAM, leased=(3600,))
    other = await connected("ddns_server")
    async with other.transaction():
        await zones.lock(other, [home.zone])
        busy = await home.passes(3601)

    third = await connected("ddns_server")
    signer = home.server.signer
    ended = await asyncio.gather(commit_expiry(other, signer, 10, 0), commit_expiry(third, signer, 10, 0))

    assert busy == 0
    assert sorted(one.records for one in ended) == [0, 1]


async def test_many_ends_come_in_several_commits(make):
    home = await make()
    many = [craft.add(f"d{number}", 300, "A", "192.0.2.1") for number in range(30)]
    await home.update(*many, leased=(60,))
    before = await home.row()
    home.server.expiry._limits = leasing.ExpiryLimits(at_once=8)

    ended = await home.passes(61)

    assert ended == 30
    assert (await home.row()).edition == before.edition + 4
    assert await home.content() == set()
    assert await home.is_published()


async def test_what_a_command_writes_stays(make, owner):
    """An import makes the zone what its file says, leases or not."""
    home = await make()
    await home.update(CAM, leased=(3600,))
    there = next(one for one in await leasing.rrsets.read_zone(owner, home.zone) if one.name == craft.name("cam"))
    after = leasing.rrsets.RRset(there.name, there.type, 60, there.rdatas)
    async with owner.transaction():
        zone = (await zones.lock(owner, [home.zone]))[home.zone]
        await write(owner, [Change(zone, ChangeSet((RRsetChange(there.name, there.type, there, after),)))], "admin")

    assert await home.passes(10**6) == 0
    assert await home.content() == {"cam 60 A 192.0.2.1"}


async def test_the_leases_of_a_removed_zone_go_with_it(make, owner):
    home = await make()
    await home.update(CAM, leased=(3600,))

    await zones.remove(owner, home.zone)

    assert await leases.listing(owner, home.zone) == []


# -- any order of anything


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_updates_and_any_time_the_zone_is_the_models(make, seed):
    """A record is there while it is permanent or its last lease runs: the model is one dictionary."""
    dice = random.Random(seed)
    home = await make()
    owners, addresses = ("a", "b", "c.d"), ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    model: dict[tuple[str, str], float] = {}
    now = 0
    for _ in range(40):
        kind = dice.choice(["lease", "lease", "lease", "plain", "delete", "delete-one", "withdraw", "time", "time"])
        some = dice.sample(list(itertools.product(owners, addresses)), dice.randint(1, 4))
        adds = [craft.add(owner, 30, "A", address) for owner, address in some]
        if kind == "time":
            passed = dice.choice([10, 40, 100, 4000])
            now += passed
            await home.passes(passed)
            model = {place: end for place, end in model.items() if end > now}
        elif kind == "lease":
            seconds = dice.choice([30, 60, 3600])
            await home.update(*adds, leased=(seconds,))
            model |= dict.fromkeys(some, now + seconds)
        elif kind == "plain":
            await home.update(*adds)
            model |= dict.fromkeys(some, float("inf"))
        elif kind == "delete":
            await home.update(craft.delete(some[0][0]))
            model = {place: end for place, end in model.items() if place[0] != some[0][0]}
        elif kind == "delete-one":
            await home.update(craft.delete_record(some[0][0], "A", some[0][1]))
            model.pop(some[0], None)
        else:
            await home.update(*adds, leased=(0,))
            model = {place: end for place, end in model.items() if place not in some}
        assert await home.content() == {f"{owner} 30 A {address}" for owner, address in model}, kind
    assert await home.is_published()
