"""A home leaves for servers of its own and comes back, in a real database; no cache of the world ever finds it bogus.

Two signers take turns throughout. Of every edition it is looked at what it shows, as `handing.Hall` says.
"""

from __future__ import annotations

import pytest
from delegating import DAY, HOME, HOUR
from handing import BOUNDS, Hall
from lives import Life
from msgspec.structs import replace
from waiting import wait_for

from ddns.dns import ds as ds_records
from ddns.store import delegations, zones
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
