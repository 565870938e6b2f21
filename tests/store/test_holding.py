"""Homes that are held or given up leave the DNS and come back, and keys change with their records, in one commit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from committing import House
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg import errors
from rows import n

from ddns.auth import keys as sig0_keys
from ddns.delegate import changing
from ddns.delegate.scanning import Scanner
from ddns.dns.codes import Type
from ddns.homes import holding, keying
from ddns.homes.keying import NewKey
from ddns.operator import delegation, homes
from ddns.operator.fault import CannotDo
from ddns.signing.publish import NO_SIGNER
from ddns.store import homes as stored
from ddns.store import keys_of_homes, published, rrsets, zones
from ddns.store.home_events import Event, append
from ddns.zone.child import Child
from ddns.zone.ds import ds_rdata
from ddns.zone.wanted import Verb, Wanted

WHO = "operator:test"
HOME = n("berg.smith.example.")
NOW = 1_900_000_000


def some_key() -> bytes:
    return sig0_keys.key_rdata(ec.generate_private_key(ec.SECP256R1()))


async def found_nowhere(_name: bytes) -> tuple[str, ...]:
    return ()


async def made(house: House, key: bytes | None = None) -> int:
    row = await house.row()
    done = await homes.add(house.admin, house.running.client, row, HOME, key or some_key(), WHO)
    assert done.pending == ()
    return done.zone


async def at_the_cut(house: House) -> dict[int, tuple[bytes, ...]]:
    found = await published.read_names(house.admin, [(house.zone, HOME)])
    return {one.type: one.rdatas for one in found.get((house.zone, HOME), ()) if one.type in (Type.NS, Type.DS)}


async def keys_shown(house: House, zone: int, name: bytes = HOME) -> set[bytes]:
    found = await published.read_names(house.admin, [(zone, name)])
    return {rdata for one in found.get((zone, name), ()) if one.type == Type.KEY for rdata in one.rdatas}


async def test_a_home_in_quarantine_leaves_the_dns_and_comes_back_as_it_was(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client
        before = await at_the_cut(house)

        async with conn.transaction():
            pending = await holding.hold(conn, signer, zone, stored.QUARANTINED, "it floods", WHO, NOW)

        assert pending == ()
        assert await at_the_cut(house) == {}
        row = (await zones.get(conn, [zone]))[zone]
        assert (row.held, row.suspended) == (True, True)
        assert await zones.at_or_above(conn, HOME) == [(n("smith.example."), house.zone)]
        stands = await stored.standing(conn, zone)
        assert stands is not None
        assert (stands.state, stands.reason) == ("quarantined", "it floods")

        async with conn.transaction():
            await holding.release(conn, signer, zone, NOW + 1)

        assert await at_the_cut(house) == before
        assert set(before) == {Type.NS, Type.DS}
        row = (await zones.get(conn, [zone]))[zone]
        assert (row.held, row.suspended) == (False, False)
        named = await house.admin.execute("SELECT public FROM signing_keys WHERE zone = %s", [zone])
        assert before[Type.DS] == tuple(ds_rdata(HOME, public) for (public,) in await named.fetchall())


async def test_a_suspended_home_stays_in_the_dns_and_a_stricter_hold_takes_it_out(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client
        shown = []
        for state in (stored.SUSPENDED, stored.QUARANTINED, stored.SUSPENDED):
            async with conn.transaction():
                await holding.hold(conn, signer, zone, state, "why not", WHO, NOW)
            shown.append(bool(await at_the_cut(house)))

        assert shown == [True, False, True]


async def test_a_home_that_is_held_cannot_leave_for_servers_of_its_own(dsn_for, tmp_path):
    """Not even where it was asked for before, and its servers were being looked at when it was held."""
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client
        before = await changing.find(conn, HOME)
        assert before is not None
        async with conn.transaction():
            await holding.hold(conn, signer, zone, stored.QUARANTINED, "it floods", WHO, NOW)
        leaves = Wanted(Verb.LEAVE, Child((n("ns1.example.net."),)))

        async with conn.transaction():
            fault = await changing.write(conn, before, leaves, (), WHO, NOW)
        held = await changing.find(conn, HOME)

        assert fault is not None
        assert held is not None
        assert (fault.rule, held.suspended, held.found) == ("changed", True, None)
        nobody = Scanner(found_nowhere, lambda: NOW)
        with pytest.raises(CannotDo, match="is held"):
            await delegation.leave(conn, nobody, held, leaves.child, None, WHO, NOW, insecure=True)


async def test_a_closed_home_has_no_key_and_is_nowhere_but_its_records_are_kept(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client

        async with conn.transaction():
            await holding.close(conn, signer, zone, WHO, NOW)
            await holding.rest(conn, zone, NOW + 90)

        assert await keys_of_homes.live(conn, zone) == []
        assert (await at_the_cut(house), await keys_shown(house, zone)) == ({}, set())
        assert {one.type for one in (await rrsets.read_names(conn, [(zone, HOME)]))[zone, HOME]} >= {Type.SOA, Type.NS}
        stands = await stored.standing(conn, zone)
        assert stands is not None
        assert (stands.state, stands.closed_at) == ("closed", NOW)

        async with conn.transaction():
            await holding.release(conn, signer, zone, NOW + 1)

        assert set(await at_the_cut(house)) == {Type.NS, Type.DS}
        assert await keys_of_homes.live(conn, zone) == []


async def test_a_key_and_its_record_change_in_one_edition(dsn_for, tmp_path):
    old, new = some_key(), some_key()
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house, old)
        conn, signer = house.admin, house.running.client
        (was,) = await keys_of_homes.live(conn, zone)
        edition = (await zones.get(conn, [zone]))[zone].edition

        async with conn.transaction():
            row = (await zones.lock(conn, [zone]))[zone]
            done = await keying.swap(conn, signer, row, [NewKey(new, "qr")], [was.id], WHO)

        assert done.outcome.pending == ()
        assert await keys_shown(house, zone) == {new}
        assert [(one.public, one.assurance) for one in await keys_of_homes.live(conn, zone)] == [(new, "qr")]
        assert (await zones.get(conn, [zone]))[zone].edition == edition + 1
        shown = [one.to_serial for one in done.outcome.editions]
        assert shown
        assert all(later > earlier for earlier, later in pairwise(shown))


async def test_a_devices_key_stands_at_its_own_name_and_may_write_that_alone(dsn_for, tmp_path):
    device, name = some_key(), n("printer.berg.smith.example.")
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client

        async with conn.transaction():
            row = (await zones.lock(conn, [zone]))[zone]
            done = await keying.swap(conn, signer, row, [NewKey(device, "token", name=name)], [], WHO)

        assert await keys_shown(house, zone, name) == {device}
        cursor = await conn.execute("SELECT rule FROM grants WHERE credential = %s", [done.put[0]])
        assert await cursor.fetchall() == [("self",)]

        async with conn.transaction():
            row = (await zones.lock(conn, [zone]))[zone]
            await keying.swap(conn, signer, row, [], done.put, WHO)

        assert await keys_shown(house, zone, name) == set()
        assert len(await keys_of_homes.live(conn, zone)) == 1


async def test_keys_change_while_the_signer_is_away_and_nothing_is_lost(dsn_for, tmp_path):
    new = some_key()
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn = house.admin
        (was,) = await keys_of_homes.live(conn, zone)

        async with conn.transaction():
            row = (await zones.lock(conn, [zone]))[zone]
            done = await keying.swap(conn, NO_SIGNER, row, [NewKey(new, "token")], [was.id], WHO)

        assert done.outcome.pending == (zone,)
        assert [one.public for one in await keys_of_homes.live(conn, zone)] == [new]


async def test_what_rests_is_given_to_its_owner_alone(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await made(house)
        conn, signer = house.admin, house.running.client
        async with conn.transaction():
            await holding.rest(conn, zone, 4_000_000_000)
        await homes.remove(conn, signer, HOME, WHO)

        with pytest.raises(CannotDo, match="rests"):
            await made(house)


async def test_history_cannot_be_rewritten_even_by_its_owner(owner):
    await append(owner, [Event(at=NOW, event="enrol", who="x", before="none", after="active")])
    for statement in ("UPDATE home_events SET who = ''", "DELETE FROM home_events", "TRUNCATE home_events"):
        with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
            await owner.execute(statement)
