"""What the watcher does for TLSA records: it settles what was seen, lets go what has retired, and forgets the rest."""

from __future__ import annotations

import guarding
import pytest
from guarding import Device, add
from test_tlsa_rolls import WAIT, transferred
from waiting import wait_for

from ddns.store import journal, leases
from ddns.watch import dane
from ddns.zone.dane_option import Verb


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    made = []

    async def begin(*lines):
        device = Device(dsn_for("ddns_server"), owner, tmp_path)
        made.append(device)
        return await device.begin(*lines)

    yield begin
    for device in made:
        wait_for(device.server.close())


async def settle(device, *looked):
    """Have the watcher settle what it can now; return how many editions that made."""
    async with device.server.pool.connection() as conn:
        made = await dane.settle_all(conn, device.server.signer, int(device.server.now), looked)
    device.server.subscriber.show(made)
    return len(made)


async def rolling(make):
    device = await make()
    await device.change(add(1))
    await device.change(add(2))
    return device


async def test_nothing_is_remembered_of_a_roll_that_is_over_for_long(make):
    """Seen at its commit, safe after two TTLs, established after two more."""
    device = await rolling(make)
    phases = []
    for seconds in (0, WAIT, 2 * 300):
        device.server.now += seconds
        assert await settle(device) == 0
        phases.append([phase for _, phase in await device.rows()])

    assert phases == [["published"], ["safe"], []]


async def test_what_the_owner_does_not_use_any_more_leaves_by_itself(make):
    """Two TTLs after the owner's word, in an edition of its own, by the service's name."""
    device = await rolling(make)
    device.server.now += WAIT
    await device.say(Verb.DEPLOYED, keys=(2,))
    row = await device.row()
    device.server.now += 2 * 300 - 1
    early = await settle(device)
    device.server.now += 1
    late = await settle(device)
    (entry,) = await journal.since(device.admin, device.zone, row.head, 10)

    assert (early, late) == (0, 1)
    assert await device.keys() == {2}
    assert entry.principal == "service:tlsa"
    assert (await device.row()).serial == row.serial + 1
    assert await device.is_published()
    assert await device.rows() == []


async def test_a_record_that_leaves_takes_its_lease_along(make):
    """Else the sweeper would look for it again and again."""
    device = await make()
    await device.change(add(1))
    await device.update(add(1), add(2), leased=(86_400,))
    await device.say(Verb.DEPLOYED, keys=(2,))
    device.server.now += 2 * 86_400
    await settle(device)

    assert await device.keys() == {2}
    held = await leases.read_names(device.admin, [(device.zone, guarding.craft.name(guarding.OWNER))])
    assert [place[2][3] for place in held[device.zone]] == [2]


async def test_a_zone_that_others_serve_waits_until_they_were_looked_at(make):
    """The loop settles those zones that it has just asked about."""
    device = await make()
    await transferred(device)
    await device.change(add(1))
    await device.change(add(2))
    await settle(device)
    unseen = await device.state()
    await transferred(device, (await device.row()).serial)
    await settle(device, device.zone)
    device.server.now += WAIT
    await settle(device)

    assert unseen[2] == "published"
    assert [phase for _, phase in await device.rows()] == ["safe"]


async def test_more_services_than_fit_in_one_transaction_are_all_settled(make, monkeypatch):
    """And those that cannot be settled yet stand in nobody's way."""
    monkeypatch.setattr(dane, "AT_ONCE", 2)
    device = await make()
    owners = [f"_{port}._tcp.cam" for port in range(1, 8)]
    for number in (1, 2):
        await device.change(*[add(number, owner=owner, ttl=3600 if owner < "_3" else 300) for owner in owners])
    device.server.now += WAIT

    await settle(device)

    found = await device.admin.execute("SELECT phase, count(*) FROM tlsa_rolls GROUP BY phase ORDER BY phase")
    assert await found.fetchall() == [("published", 2), ("safe", 5)]
