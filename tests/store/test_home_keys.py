"""The keys and the DS of homes that are made while keys roll, and under a policy of two keys: right at once."""

from __future__ import annotations

import io
import json

import pytest
from committing import House
from keysets import MOST_STEPS, Roll
from rows import n

from ddns.dns.codes import Type
from ddns.operator import homes
from ddns.operator.home_import import Import, Lane
from ddns.signing.client import SignerClient
from ddns.store import published, zones
from ddns.store.pool import connect
from ddns.zone.ds import ds_rdata

WHO = "operator:test"


async def add(house: House, label: str) -> int:
    """Make a home in the house's zone, as `ddns home add` does; return the id of its zone."""
    registry = await house.row()
    made = await homes.add(house.admin, house.running.client, registry, n(f"{label}.smith.example."), None, WHO)
    assert made.pending == ()
    return made.zone


async def bring_in(house: House, label: str, dsn: str) -> int:
    """Make a home in the house's zone, as `ddns home import` does; return the id of its zone."""

    async def lane() -> Lane:
        return Lane(await connect(dsn, "ddns_admin"), SignerClient(house.running.path, 20.0, bulk=True))

    line = json.dumps({"label": label, "records": "@ 300 A 192.0.2.1"}).encode() + b"\n"
    report = await Import(await house.row(), WHO).run(io.BytesIO(line), 1, lane)
    assert (report.made, report.unsigned, report.refused) == (1, 0, 0)
    found = await zones.find(house.admin, n(f"{label}.smith.example."))
    assert found is not None
    return found.id


async def check(house: House, roll: Roll, zone: int, keys: int) -> None:
    """Check a home's signatures and those of its registry, and that the DS there are those of its SEP keys."""
    assert await roll.check(zone) > 3
    assert await roll.check() > 20
    row = (await zones.get(house.admin, [zone]))[zone]
    named = await roll.ask(
        "SELECT public, ds, dnskey FROM signing_keys WHERE zone = %s AND ds IN ('rumoured', 'omnipresent')", zone
    )
    shown = (await published.read_names(house.admin, [(house.zone, row.origin)]))[house.zone, row.origin]
    (ds,) = [one for one in shown if one.type == Type.DS]
    assert set(ds.rdatas) == {ds_rdata(row.origin, public) for public, _, _ in named}
    assert {(phase, dnskey) for _, phase, dnskey in named} == {("omnipresent", "omnipresent")}
    assert len(await roll.tags(zone)) == keys
    assert row.keyset == 0
    assert ds.sigs


@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
async def test_homes_are_made_while_the_keys_of_their_registry_roll(dsn_for, tmp_path, scheme):
    """At each step of the roll, by the command and from a file; with the keys that the policy of homes asks for."""
    async with House(dsn_for, tmp_path / "house") as house:
        roll = Roll(house)
        await house.admin.execute("UPDATE signing_policies SET scheme = %s WHERE name = 'home'", [scheme])
        await roll.use(scheme)
        for number in range(MOST_STEPS):
            await roll.step()
            ids = await add(house, f"c{number}"), await bring_in(house, f"f{number}", dsn_for("ddns_admin"))
            for zone in ids:
                await check(house, roll, zone, len(scheme.split("+")))
            if not await roll.moving():
                break

        assert not await roll.moving()
        assert number > 2


async def test_a_home_of_an_unsigned_registry_has_no_ds_and_nobody_waits_for_one(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house", denial="none") as house:
        roll = Roll(house)

        ids = await add(house, "h1"), await bring_in(house, "h2", dsn_for("ddns_admin"))

        for zone in ids:
            assert await roll.tags(zone) == set()
            row = (await zones.get(house.admin, [zone]))[zone]
            assert (row.denial, row.edition, row.signed_pending) == ("none", 1, False)
