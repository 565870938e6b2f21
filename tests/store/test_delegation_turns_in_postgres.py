"""A home leaves for servers of its own and comes back, in a real database; no cache of the world ever finds it bogus.

Two signers take turns throughout. Of every edition it is looked at what it shows, as `handing.Hall` says.
"""

from __future__ import annotations

import pytest
from delegating import DAY, HOUR
from handing import Hall
from lives import Life
from waiting import wait_for

from ddns.zone.hand import Continuity, Serves, State

LEAVES = [State.LEAVING_KEYS, State.LEAVING_DS, State.LEAVING_SERVERS, State.LEAVING_DRAIN, State.AWAY]
RETURNS = [State.RETURNING_KEYS, State.RETURNING_DS, State.RETURNING_SERVERS, State.RETURNING_DRAIN, State.HOSTED]


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for, signers=2)


def went(hall):
    return [state for _, state in hall.states]


async def test_a_home_leaves_and_comes_back_and_nothing_of_it_is_left_behind(life):
    hall = await Hall(life, lags=(lambda _: 0, lambda _: 45)).begin()
    first = await hall.show()

    await hall.leave()
    await hall.until(State.AWAY)
    assert went(hall) == LEAVES
    shown = await hall.show()
    assert (shown.serves, shown.servers, shown.ds) == (Serves.NOTHING, hall.their.servers, hall.their.ds)

    await hall.live(2 * DAY)
    await hall.come_back()
    await hall.until(State.HOSTED)
    assert went(hall) == [*LEAVES, *RETURNS]
    assert await hall.show() == first
    assert (await hall.row()).step is None


@pytest.mark.parametrize("back", [State.LEAVING_KEYS, State.LEAVING_DS, State.LEAVING_SERVERS, State.LEAVING_DRAIN])
async def test_the_owner_may_think_better_of_it_at_any_time(life, back):
    hall = await Hall(life).begin()
    first = await hall.show()

    await hall.leave()
    await hall.until(back)
    await hall.come_back()
    await hall.until(State.HOSTED)
    assert await hall.show() == first

    await hall.leave()
    await hall.until(State.AWAY)


async def test_nothing_is_published_of_servers_that_are_not_as_they_ought_to_be(life):
    hall = await Hall(life, obeys=None).begin()
    first = await hall.show()

    await hall.leave()
    await hall.live(10 * DAY)

    assert went(hall) == [State.LEAVING_KEYS], "they never publish our keys"
    shown = await hall.show()
    assert (shown.ds, shown.servers, shown.serves) == (first.ds, first.servers, Serves.OWN)
    assert any("Publish our keys" in one for one in hall.told)


async def test_a_server_that_still_has_the_home_is_waited_for(life):
    """The second of the registry's servers takes nothing for three days: nobody goes on without it."""
    hall = await Hall(life, lags=(lambda _: 0, lambda at: 0 if at < 1_800_000_600 else 3 * DAY)).begin()

    await hall.leave()
    await hall.until(State.AWAY)

    begun = {state: at for at, state in hall.states}
    assert begun[State.AWAY] - begun[State.LEAVING_DRAIN] > 3 * DAY


async def test_servers_that_are_gone_are_stood_in_for_by_their_last_copy(life):
    hall = await Hall(life, continuity=Continuity.COPY, copies=6 * HOUR).begin()
    await hall.leave()
    await hall.until(State.AWAY)
    await hall.live(DAY)
    away = await hall.show()

    hall.pull(2 * DAY)
    await hall.until(State.DARK, days=1)
    dark = await hall.show()
    assert (dark.serves, dark.ds) == (Serves.COPY, away.ds)
    assert dark.servers != away.servers
    await hall.until(State.BACK, days=3)
    assert (await hall.show()).servers == away.servers
    await hall.until(State.AWAY)
    assert await hall.show() == away

    await hall.come_back()
    await hall.until(State.HOSTED)


async def test_a_copy_is_withdrawn_before_its_signatures_end_and_the_home_comes_back_through_a_gap(life):
    hall = await Hall(life, continuity=Continuity.COPY, copies=6 * HOUR, lasting=5 * DAY).begin()
    await hall.leave()
    await hall.until(State.AWAY)

    hall.pull(30 * DAY)
    await hall.until(State.DARK, days=1)
    await hall.until(State.GAP, days=6)
    assert (await hall.show()).serves is Serves.NOTHING
    await hall.come_back()
    await hall.until(State.HOSTED)
    assert went(hall)[-3:] == [State.GAP, State.BLIND, State.HOSTED]
    assert (await hall.show()).serves is Serves.OWN


async def test_servers_that_come_back_with_other_keys_are_not_mixed_with_the_copy(life):
    hall = await Hall(life, continuity=Continuity.COPY, copies=6 * HOUR, forgetful=3 * DAY).begin()
    await hall.leave()
    await hall.until(State.AWAY)

    hall.pull(4 * DAY)
    await hall.until(State.DARK, days=1)
    await hall.until(State.GAP, days=6)
    await hall.until(State.AWAY)
    await hall.live(2 * DAY)


async def test_a_standby_takes_over_and_hands_back(life):
    hall = await Hall(life, continuity=Continuity.STANDBY).begin()
    first = await hall.show()
    await hall.leave()
    await hall.until(State.AWAY)
    await hall.live(2 * DAY)
    away = await hall.show()
    assert set(away.ds) == {*first.ds, *hall.their.ds}, "the registry is a second signer"

    hall.pull(3 * DAY)
    await hall.until(State.RETURNING_SERVERS, days=1)
    standing = await hall.show()
    assert (standing.serves, standing.ds) == (Serves.OWN, away.ds)
    await hall.until(State.AWAY)
    await hall.live(DAY)
    assert await hall.show() == away


async def test_without_continuity_nothing_is_done_for_servers_that_are_gone(life):
    hall = await Hall(life, continuity=Continuity.NONE, copies=6 * HOUR).begin()
    await hall.leave()
    await hall.until(State.AWAY)
    away = await hall.show()

    hall.pull(3 * DAY)
    await hall.live(2 * DAY)
    assert await hall.state() is State.AWAY
    assert await hall.show() == away
    await hall.come_back()
    await hall.until(State.HOSTED)
    assert State.GAP in went(hall)


@pytest.mark.parametrize(
    ("denial", "registry", "theirs"),
    [("none", "nsec3", True), ("nsec3", "nsec3", False), ("none", "nsec3", False), ("nsec", "nsec", True),
     ("nsec3", "none", True), ("none", "none", False)],
)  # fmt: skip
async def test_a_home_that_is_not_signed_on_one_side_is_insecure_on_its_way(life, denial, registry, theirs):
    hall = await Hall(life, secure=(denial != "none" and registry != "none", theirs)).begin(
        denial=denial, registry_denial=registry
    )
    first = await hall.show()

    await hall.leave()
    await hall.until(State.AWAY)
    away = await hall.show()
    assert away.ds == (hall.their.ds if registry != "none" else ())
    await hall.come_back()
    await hall.until(State.HOSTED)
    assert await hall.show() == first
