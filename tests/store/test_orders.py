"""What people ask of the signer is refused in a sentence before it is written, or carried out in their name."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from lives import Life
from signing import NOW
from waiting import wait_for

from ddns.dns.names import from_text
from zone_signer import leases, orders
from zone_signer.orders import Outcome, Refused, Wanted
from zone_signer.phase import Role

SECONDARY = "ns2.test. 192.0.2.2:53"
MANUAL = (
    "the policy default of a.test. has the parent's servers asked (parent_check is auto), so nobody need say what they "
    "show"
)
NO_SERVER = "a.test. waits for no server '{}'; its servers are 'a.nic.test. 192.0.2.9:53'"


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def give(life, zone, kind, conn=None, **more):
    return await orders.give(conn or life.admin, zone.origin, Wanted(kind, **more), "operator:me", life.now)


async def kept(life):
    rows = await life.admin.execute("SELECT kind, principal FROM signing_orders ORDER BY id")
    return await rows.fetchall()


async def refused(life, zone, kind, **more):
    """Return the sentence with which an order is refused; nothing is written."""
    before = await kept(life)
    with pytest.raises(Refused) as told:
        await give(life, zone, kind, **more)
    assert await kept(life) == before
    return str(told.value)


@pytest.fixture
def zone(life):
    """A zone with a parent elsewhere, at rest."""
    found = wait_for(life.zone("a.test.", "www 60 A 192.0.2.1"))
    wait_for(life.settle())
    return found


async def test_an_order_is_carried_out_and_says_who_gave_it(life, zone):
    given = await give(life, zone, "roll")
    assert await orders.outcome(life.admin, given, 0) is None
    assert await kept(life) == [("roll", "operator:me")]

    await life.sweep()

    assert await orders.outcome(life.admin, given, 0) == Outcome(done=True, sentence="operator:me said roll")
    assert await kept(life) == []


async def test_an_order_that_the_signer_refuses_after_all_says_why(life, zone):
    """Between the two the world moved: somebody wrote an order without asking."""
    given = await give(life, zone, "roll")
    await life.conn.execute("UPDATE signing SET wish = 'insecure' WHERE zone = %s", (zone.id,))

    await life.sweep()

    found = await orders.outcome(life.admin, given, 0)
    assert found == Outcome(done=False, sentence="the zone is meant to be insecure; it has no keys to roll")


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("roll", {"role": Role.ZSK}, "a.test.: the zone has no zsk; its keys are csk"),
        ("roll", {"tag": 7}, "a.test.: no key in use has the tag 7; zone-signer keys shows them"),
        ("emergency", {"tag": 7}, "a.test.: no key in use has that tag and role; zone-signer keys shows them"),
        ("cancel", {}, "a.test.: nothing rolls that could be called back"),
        ("secure", {}, "a.test. is signed already; zone-signer plan a.test. shows how its keys stand"),
        ("ds-seen", {"tag": 7}, MANUAL),
        ("without", {"server": "ns9.test."}, NO_SERVER.format("ns9.test.")),
        ("without", {"server": ""}, NO_SERVER.format("")),
        ("without", {"server": "a.nic.test."}, "a.test.: nothing waits for that"),
        ("without", {"server": "192.0.2.9"}, "a.test.: nothing waits for that"),
        ("without", {"server": "the watcher"}, NO_SERVER.format("the watcher")),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_before_it_is_written(life, zone, kind, more, sentence):
    assert await refused(life, zone, kind, **more) == sentence


async def test_there_must_be_such_a_zone_and_it_must_be_signed_here(life):
    plain = await life.zone("plain.test.", denial="none")
    new = await life.zone("new.test.")
    nowhere = type("Nowhere", (), {"origin": from_text("nowhere.test.")})

    for kind in ("roll", "emergency", "insecure", "cancel", "resign"):
        assert await refused(life, plain, kind) == (
            "plain.test. is not signed here; `zone-signer secure plain.test.` would sign it"
        )
        assert await refused(life, new, kind) == (
            "new.test. has never been signed yet; a running zone-signer does that first"
        )
        assert await refused(life, nowhere, kind) == (
            "there is no zone nowhere.test. here; `ddns zone list` shows those that are"
        )


async def test_a_zone_that_rolls_is_not_rolled_again_but_in_an_emergency(life, zone):
    await give(life, zone, "roll")
    await life.sweep()
    assert await refused(life, zone, "roll") == (
        "a.test.: a csk is rolling already; zone-signer plan shows where it stands"
    )

    await give(life, zone, "emergency")
    await life.settle()

    assert [key[-1] for key in await life.keys(zone)] == ["active"]


async def test_an_order_that_no_signer_has_done_holds_others_off_and_can_be_taken_back(life, zone):
    first = await give(life, zone, "roll", role=Role.CSK)

    assert await refused(life, zone, "insecure") == (
        "operator:me has asked for roll (csk) of a.test. at 2027-01-16 09:01 UTC, and no signer has done it yet; "
        "wait for that, or take it back: zone-signer cancel a.test."
    )
    taken = await give(life, zone, "cancel")

    assert [one.id for one in taken.taken_back] == [first.number]
    assert taken.number is None
    assert await kept(life) == []
    await give(life, zone, "emergency")
    await give(life, zone, "emergency")
    assert len(await kept(life)) == 2


async def test_of_two_who_ask_at_once_the_second_is_told_of_the_first(life, zone, connected):
    one, two = await connected("ddns_admin"), await connected("zone_signer")

    found = await asyncio.gather(give(life, zone, "roll", one), give(life, zone, "roll", two), return_exceptions=True)

    assert sorted(type(each).__name__ for each in found) == ["Given", "Refused"]
    assert await kept(life) == [("roll", "operator:me")]


async def test_a_zone_that_somebody_holds_is_waited_for_and_then_left_alone(life, zone, connected, monkeypatch):
    monkeypatch.setattr(orders, "BUSY", 50)
    other = await connected("zone_signer")

    async with other.transaction():
        await leases.lock(other, [zone.id])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await give(life, zone, "roll")

    assert await kept(life) == []


async def test_a_server_is_named_as_people_know_it_and_the_roll_goes_on_without_it(life, zone):
    for server in (SECONDARY, "ns2.test. [2001:db8::2]:53"):
        await life.server.execute(
            "INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial) "
            "VALUES (%s, 'secondary', %s, to_timestamp(%s), to_timestamp(%s), 1)",
            (zone.id, server, life.now, life.now),
        )
    await give(life, zone, "roll")
    await life.sweep()
    await life.watch()

    assert await refused(life, zone, "without", server="ns2.test.") == (
        f"ns2.test. has several addresses, name one of: '{SECONDARY}', 'ns2.test. [2001:db8::2]:53'"
    )
    await give(life, zone, "without", server="2001:db8::2")
    await give(life, zone, "without", server="192.0.2.2:53")
    await life.sweep()

    assert await kept(life) == []
    rows = await life.admin.execute(
        "SELECT count(*) FROM key_events WHERE after = 'seen' AND evidence LIKE %s", ("%ns2%",)
    )
    assert (await rows.fetchone())[0] > 0


async def test_what_a_person_says_of_the_parent_counts_only_where_nobody_asks_it(life):
    life.adopts = None
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, parent_check="manual")
    await life.settle(until=NOW + 60)
    (tag,) = await life.tags(zone)

    other = (tag + 1) % 65536
    assert await refused(life, zone, "ds-seen", tag=other) == (
        f"a.test. has no key {other}; zone-signer keys a.test. shows those that it has"
    )
    assert await refused(life, zone, "ds-gone", tag=tag) == "a.test.: nothing waits for that"
    given = await give(life, zone, "ds-seen", tag=tag)
    await life.settle()

    assert (await orders.outcome(life.admin, given, 0)).done
    assert [key[-2:] for key in await life.keys(zone)] == [("omnipresent", "active")]


async def test_a_homes_ds_is_nobodys_to_say_and_a_suspended_home_rests(life):
    registry = await life.zone("homes.test.", "h 300 NS ns")
    home = await life.zone("h.homes.test.", "www 60 A 192.0.2.1", parent=registry.id)
    await life.settle()
    await life.admin.execute("INSERT INTO homes (zone) VALUES (%s)", (home.id,))
    assert await refused(life, home, "ds-seen", tag=1) == (
        "h.homes.test. has its DS in a zone that is here, and the signer places it; nobody need say what it shows"
    )

    await life.admin.execute("UPDATE homes SET state = 'suspended', reason = 'a test'")

    assert await refused(life, home, "roll") == (
        "h.homes.test. is a home that is suspended; `ddns home release` its label first, and say it again"
    )


async def test_a_home_on_its_way_to_its_own_servers_keeps_its_keys_as_they_are(life, owner):
    registry = await life.zone("homes.test.", "h 300 NS ns")
    home = await life.zone("h.homes.test.", "www 60 A 192.0.2.1", parent=registry.id)
    await life.settle()
    await life.admin.execute("INSERT INTO homes (zone) VALUES (%s)", (home.id,))
    await owner.execute(
        "INSERT INTO delegations (zone, wish, state, since, changed_at) "
        "VALUES (%s, 'away', 'leaving-ds', now(), now())",
        (home.id,),
    )

    for kind in ("roll", "emergency", "insecure", "resign"):
        assert "ddns delegation show h.homes.test." in await refused(life, home, kind)


async def test_a_zone_goes_insecure_and_comes_back_with_the_denial_that_is_asked_for(life, zone):
    assert await refused(life, zone, "secure", denial="nsec") == (
        "a.test. is signed already; zone-signer plan a.test. shows how its keys stand"
    )
    await give(life, zone, "insecure")
    await life.sweep()
    assert await refused(life, zone, "insecure") == (
        "a.test. is on its way to lose its signatures already; zone-signer plan a.test. shows when"
    )
    assert await refused(life, zone, "secure", denial="nsec") == (
        "a.test. is published with signatures still, and keeps its nsec3; say it without --denial"
    )
    await life.settle()
    assert (await life.row(zone))[0] == "none"

    await give(life, zone, "secure", denial="nsec")
    await life.settle()

    assert (await life.row(zone))[0] == "nsec"
    assert [key[-1] for key in await life.keys(zone)] == ["active"]


async def test_a_zone_that_turns_back_on_its_way_stays_signed(life, zone):
    (tag,) = await life.tags(zone)
    await give(life, zone, "insecure")
    await life.sweep()

    await give(life, zone, "secure")
    await life.settle()

    assert (await life.row(zone))[0] == "nsec3"
    assert await life.tags(zone) == [tag]


async def test_a_zone_with_another_signers_signatures_is_imported_and_not_signed_over(life):
    plain = await life.zone("plain.test.", "@ 60 DNSKEY 257 3 13 AAAA", denial="none")

    assert await refused(life, plain, "secure") == (
        "plain.test. carries another signer's signatures; `ddns zone import FILE --origin plain.test. --denial nsec3` "
        "signs it"
    )
