"""Narrow keys of a home: a minted key and a device's key write what they are for, and end by themselves."""

from __future__ import annotations

import secrets

import craft
import pytest
from committing import SEALER, House
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, sig0, tsig
from ddns.auth.principal import Credential
from ddns.dns.codes import Rcode
from ddns.homes import keying, minting
from ddns.homes.keying import NewKey
from ddns.net import uses
from ddns.net.expiry import end_keys
from ddns.operator import homes
from ddns.operator import keys as operator
from ddns.store import credential_uses, zones

HOME, HOST, PRINTER = n("berg.smith.example."), n("www.berg.smith.example."), n("printer.berg.smith.example.")
CHALLENGE = b"\x0f_acme-challenge" + HOST
GATEWAY, DEVICE = (ec.derive_private_key(number, ec.SECP256R1()) for number in (31, 32))


async def begun(house: House) -> zones.Zone:
    row = await house.row()
    done = await homes.add(house.admin, house.running.client, row, HOME, keys.key_rdata(GATEWAY), "operator:test")
    await house.worker.load(done.zone)
    return (await zones.get(house.admin, [done.zone]))[done.zone]


async def minted(house: House, zone: zones.Zone, days: int = 30) -> minting.Minted:
    async with house.admin.transaction():
        return await minting.mint_acme(
            house.admin, SEALER, zone, HOST, days, int(house.worker.now), secrets.token_bytes
        )


def text_at(name: bytes) -> bytes:
    return name + b"\0\x10\0\1" + (60).to_bytes(4, "big") + b"\0\3\2hi"


def by(key: minting.Minted, house: House, *operations: bytes, ident: int = 1) -> bytes:
    credential = Credential(key.id, key.name, "tsig", key.algorithm, secret=key.secret)
    wire = craft.message(*operations, origin=HOME, ident=ident)
    return tsig.sign_request(wire, credential, int(house.worker.now))[0]


@pytest.mark.parametrize("short", [True, False])
async def test_a_minted_key_answers_the_challenges_of_its_name_and_touches_nothing_else(dsn_for, tmp_path, short):
    async with House(dsn_for, tmp_path / "house", short=short) as house:
        key = await minted(house, await begun(house))

        replies = await house.send(
            by(key, house, text_at(CHALLENGE), ident=1),
            by(key, house, text_at(HOST), ident=2),
            by(key, house, text_at(HOME), ident=3),
            by(key, house, text_at(b"\x0f_acme-challenge" + PRINTER), ident=4),
            by(key, house, HOME + b"\0\x19\0\xff" + bytes(6), ident=5),
        )

        assert [one.rcode() for one in replies] == [Rcode.NOERROR, *[Rcode.REFUSED] * 4]


async def test_a_devices_key_changes_its_own_name_alone_and_says_nothing_to_the_registry(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)
        async with house.admin.transaction():
            row = (await zones.lock(house.admin, [zone.id]))[zone.id]
            new = NewKey(keys.key_rdata(DEVICE), "token", name=PRINTER)
            await keying.swap(house.admin, house.running.client, row, [new], [], "operator:test")
        now = int(house.worker.now)

        def signed(name: bytes, ident: int, origin: bytes = HOME) -> bytes:
            wire = craft.message(text_at(name), origin=origin, ident=ident)
            return sig0.sign_request(wire, DEVICE, PRINTER, now)

        await house.worker.load(zone.id)
        replies = await house.send(
            signed(PRINTER, 1), signed(HOST, 2), signed(HOME, 3), signed(HOME, 4, n("smith.example."))
        )

        assert [one.rcode() for one in replies][:3] == [Rcode.NOERROR, Rcode.REFUSED, Rcode.REFUSED]
        assert replies[3].rcode() != Rcode.NOERROR


async def test_a_minted_key_ends_by_itself_and_the_next_message_of_it_is_refused(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        key = await minted(house, await begun(house), days=2)
        (first,) = await house.send(by(key, house, text_at(CHALLENGE)))

        assert await end_keys(house.admin, key.expires_at - 1) == 0
        assert await end_keys(house.admin, key.expires_at) == 1
        assert await end_keys(house.admin, key.expires_at) == 0
        (second,) = await house.send(by(key, house, text_at(CHALLENGE), ident=2))

        assert first.rcode() == Rcode.NOERROR
        assert second.rcode() != Rcode.NOERROR
        listed = {one.credential.name: one for one in await operator.listing(house.admin, revoked=True)}
        assert listed[key.name].revoked_at == listed[key.name].expires_at == key.expires_at


async def test_when_a_key_was_used_last_and_from_where_is_kept_beside_it(dsn_for, tmp_path):
    """Gathered, and written at once: the newest use counts, and the key's own row is left alone."""
    async with House(dsn_for, tmp_path / "house") as house:
        key = await minted(house, await begun(house))
        cursor = await house.admin.execute("SELECT xmin::text FROM credentials WHERE id = %s", [key.id])
        stamp = await cursor.fetchone()
        moments = iter((1000.0, 2000.0, 1500.0))
        gathered = uses.Uses(house.worker.pool, lambda: next(moments))
        gathered.note(key.id, "192.0.2.77")
        gathered.note(key.id, "2001:db8:1:2:3::4")

        assert await gathered.write() == 1
        gathered.note(key.id, "198.51.100.1")
        assert await gathered.write() == 1

        assert (await credential_uses.of(house.admin, [key.id]))[key.id] == credential_uses.Use(
            key.id, 2000, "2001:db8:1::/56"
        )
        cursor = await house.admin.execute("SELECT xmin::text FROM credentials WHERE id = %s", [key.id])
        assert await cursor.fetchone() == stamp


async def test_what_signs_well_is_noted_and_what_does_not_is_not(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        key = await minted(house, await begun(house))
        house.worker.updates._uses = uses.Uses(house.worker.pool, lambda: 5000.0)
        broken = bytearray(by(key, house, text_at(CHALLENGE)))
        broken[-20] ^= 1

        await house.send(bytes(broken))
        nothing = await house.worker.updates._uses.write()
        await house.send(by(key, house, text_at(CHALLENGE), ident=2))

        assert (nothing, await house.worker.updates._uses.write()) == (0, 1)
