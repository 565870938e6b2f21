"""What is written of homes with servers of their own: wishes, what was accepted, what was seen, and the evidence."""

from __future__ import annotations

import msgspec
import psycopg
import pytest
import said
from msgspec.structs import replace
from rows import a, n, signed
from waiting import wait_for

from ddns.store import delegation_checks, delegations, homes, zones
from ddns.store.delegation_checks import Check
from ddns.store.delegations import Taken
from ddns.zone.child import Child, Fault
from ddns.zone.hand import Continuity, Copy, Hand, State, Theirs, Wish

NOW = 1_800_000_000
CHILD = said.child(said.ds("a"))
OTHER = said.child(said.ds("b"))
THEIRS = Theirs.of(said.servers(), None)
TAKEN = Taken(Copy(7, frozenset((said.dnskey("a"),)), NOW + 900), 60, NOW)


@pytest.fixture
def zone(owner):
    async def make():
        registry = await zones.insert(owner, said.REGISTRY, "nsec3", 13)
        made = await zones.insert(owner, said.HOME, "nsec3", 13, registry)
        await homes.insert(owner, made)
        return made

    return wait_for(make())


async def put(owner, zone, state, since=NOW, **hand):
    """Have the home be where only the signer brings it, as the signer does: what was wanted is taken in."""
    octets = msgspec.msgpack.encode(replace(Hand(their=CHILD), state=state, **hand))
    await owner.execute(
        "UPDATE delegations SET state = %s, hand = %s, since = to_timestamp(%s), wanted = NULL, step_at = NULL "
        "WHERE zone = %s",
        (str(state), octets, since, zone),
    )


async def away(owner, zone, **hand):
    await delegations.leave(owner, zone, CHILD, Continuity.COPY, NOW, THEIRS)
    await put(owner, zone, State.AWAY, **hand)


async def row(conn, zone):
    return (await delegations.read(conn, [zone])).get(zone)


async def test_a_home_that_never_wished_to_leave_has_no_row(conn, zone):
    assert await row(conn, zone) is None
    assert await delegations.listing(conn) == []
    assert not await delegations.wish(conn, zone, Wish.HOST, NOW)
    assert not await delegations.set_continuity(conn, zone, Continuity.NONE, NOW)
    assert not await delegations.accept(conn, zone, Child(), CHILD, THEIRS, NOW)
    assert not await delegations.saw(conn, zone, THEIRS, CHILD, NOW, NOW)
    assert not await delegations.take_copy(conn, zone, TAKEN, (), NOW)


@pytest.mark.parametrize("role", ["ddns_server", "ddns_admin"])
async def test_a_home_leaves_and_both_are_to_look_at_once(connected, zone, role):
    conn = await connected(role)

    assert await delegations.leave(conn, zone, CHILD, Continuity.STANDBY, NOW, THEIRS)

    found = await row(conn, zone)
    assert found is not None
    assert (found.origin, found.registry) == (said.HOME, said.REGISTRY)
    assert (found.wish, found.continuity, found.state) == (Wish.AWAY, Continuity.STANDBY, State.HOSTED)
    assert (found.hand, found.their, found.theirs) == (Hand(), CHILD, THEIRS)
    assert (found.step, found.ask, found.changed) == (NOW, NOW, NOW)
    assert await delegations.listing(conn) == [found]


async def test_the_owner_thinks_better_of_it_and_then_of_that(conn, zone):
    await delegations.leave(conn, zone, CHILD, Continuity.COPY, NOW)

    assert await delegations.wish(conn, zone, Wish.HOST, NOW + 5)
    found = await row(conn, zone)
    assert (found.wish, found.step, found.ask, found.changed) == (Wish.HOST, NOW + 5, NOW + 5, NOW + 5)
    assert await delegations.listing(conn) == []
    assert await delegations.listing(conn, resting=True) == [found]

    assert await delegations.set_continuity(conn, zone, Continuity.NONE, NOW + 6)
    assert await delegations.wish(conn, zone, Wish.AWAY, NOW + 7)
    found = await row(conn, zone)
    assert (found.wish, found.continuity, found.their) == (Wish.AWAY, Continuity.NONE, CHILD)


@pytest.mark.parametrize("state", list(State))
async def test_another_delegation_is_taken_only_where_the_home_is_not_on_its_way(conn, owner, zone, state):
    await away(owner, zone)
    await put(owner, zone, state)
    at_rest = state in {State.HOSTED, State.AWAY}

    assert await delegations.leave(conn, zone, OTHER, Continuity.COPY, NOW + 1) == at_rest
    assert (await row(conn, zone)).their == (OTHER if at_rest else CHILD)

    await put(owner, zone, state)
    assert await delegations.accept(conn, zone, CHILD, OTHER, THEIRS, NOW + 2, cds_stamp=9) == at_rest
    found = await row(conn, zone)
    assert (found.their, found.cds_stamp) == ((OTHER, 9) if at_rest else (CHILD, 0))


async def test_what_was_worked_out_from_another_delegation_is_not_taken(conn, owner, zone):
    await away(owner, zone)

    assert not await delegations.accept(conn, zone, OTHER, CHILD, THEIRS, NOW)
    assert await delegations.accept(conn, zone, CHILD, OTHER, THEIRS, NOW)
    # The signer has not taken it in yet: whoever starts from the one before is late.
    assert not await delegations.accept(conn, zone, CHILD, CHILD, THEIRS, NOW)
    assert (await row(conn, zone)).hand.their == CHILD


async def test_stamps_never_go_back_and_may_come_alone(conn, owner, zone):
    await away(owner, zone)

    await delegations.accept(conn, zone, CHILD, CHILD, THEIRS, NOW, cds_stamp=20)
    await delegations.accept(conn, zone, CHILD, CHILD, THEIRS, NOW, cds_stamp=10, csync_stamp=4)

    found = await row(conn, zone)
    assert (found.cds_stamp, found.csync_stamp, found.wanted) == (20, 4, None)


async def test_the_signer_is_woken_by_what_is_news_and_by_nothing_else(conn, owner, zone):
    await away(owner, zone)
    await owner.execute("UPDATE delegations SET theirs = NULL")

    async def looks(theirs):
        await owner.execute("UPDATE delegations SET step_at = NULL")
        assert await delegations.saw(conn, zone, theirs, CHILD, NOW + 300, NOW)
        found = await row(conn, zone)
        assert found.ask == NOW + 300
        return found.step == NOW

    lame = Theirs.of(said.servers(), Fault("lame", "ns1 does not answer."))
    assert await looks(THEIRS)
    assert not await looks(replace(THEIRS, asked=NOW + 60))
    assert await looks(replace(lame, asked=NOW + 120))
    assert not await looks(None)
    assert (await row(conn, zone)).theirs == replace(lame, asked=NOW + 120)

    await put(owner, zone, State.AWAY, since=NOW + 200)
    assert await looks(replace(lame, asked=NOW + 220)), "the first look since the last turn"


async def test_what_other_servers_said_does_not_count(conn, owner, zone):
    await away(owner, zone)
    await delegations.accept(conn, zone, CHILD, OTHER, THEIRS, NOW)

    assert not await delegations.saw(conn, zone, replace(THEIRS, asked=NOW + 9), CHILD, NOW + 300, NOW + 9)

    found = await row(conn, zone)
    assert (found.theirs, found.ask) == (THEIRS, NOW + 9)


async def test_looks_come_when_they_are_due_the_oldest_first(conn, owner, zone):
    assert await delegations.next_look(conn) is None
    await delegations.leave(conn, zone, CHILD, Continuity.COPY, NOW)

    assert await delegations.due_looks(conn, NOW - 1, 10) == []
    assert [one.zone for one in await delegations.due_looks(conn, NOW, 10)] == [zone]
    assert await delegations.due_looks(conn, NOW, 0) == []
    assert await delegations.next_look(conn) == NOW

    await delegations.saw(conn, zone, THEIRS, CHILD, NOW + 300, NOW)
    assert await delegations.look_soon(conn, [zone], NOW + 60) == 1
    assert await delegations.look_soon(conn, [zone], NOW + 90) == 0, "it is due sooner already"
    assert await delegations.next_look(conn) == NOW + 60


async def test_a_copy_is_kept_only_while_the_home_is_away(conn, owner, zone):
    rrsets = (signed(a("www.smith.homes.test.", 1)), signed(a("smith.homes.test.", 2)))
    await delegations.leave(conn, zone, CHILD, Continuity.COPY, NOW)
    assert not await delegations.take_copy(conn, zone, TAKEN, rrsets, NOW)
    assert await delegations.copy_of(conn, zone) == ()

    await put(owner, zone, State.AWAY)
    assert await delegations.take_copy(conn, zone, TAKEN, rrsets, NOW + 3)
    assert await delegations.copy_of(conn, zone) == rrsets
    found = await row(conn, zone)
    assert (found.taken, found.step) == (TAKEN, NOW + 3)

    await put(owner, zone, State.DARK)
    assert not await delegations.take_copy(conn, zone, replace(TAKEN, ttl=9), (), NOW), "it is being served"


async def test_a_hint_is_for_who_waits_to_be_seen(conn, owner, zone):
    await away(owner, zone)

    await delegations.hint(conn, [zone], NOW)
    assert (await row(conn, zone)).step is None

    await owner.execute("UPDATE delegations SET seen = false")
    await delegations.hint(conn, [zone], NOW)
    assert (await row(conn, zone)).step == NOW


async def test_the_evidence_is_read_newest_first_and_outlives_the_home(conn, owner, zone):
    first = Check(zone, NOW, "look", "lame", "ns1 does not answer.", tuple(said.servers()))
    second = Check(zone, NOW + 1, "cds", None, "", ())
    await delegation_checks.append(conn, [first, second])
    await owner.execute("DELETE FROM zones WHERE id = %s", (zone,))

    assert await delegation_checks.newest(conn, zone, 5) == [second, first]
    assert await delegation_checks.newest(conn, zone, 1) == [second]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        await owner.execute("UPDATE delegation_checks SET rule = NULL")


async def test_a_row_goes_with_its_home_and_comes_only_to_one(conn, owner, zone):
    await delegations.leave(conn, zone, CHILD, Continuity.COPY, NOW)
    other = await zones.insert(owner, n("elsewhere.test."), "none", 13)

    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        await delegations.leave(conn, other, CHILD, Continuity.COPY, NOW)
    assert refused.value.diag.constraint_name == "delegation_of_no_home"

    await owner.execute("DELETE FROM zones WHERE id = %s", (zone,))
    assert await row(conn, zone) is None
