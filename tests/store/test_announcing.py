"""A gateway that lost its key shows a new one: the registry knows it then, and the key before it goes on."""

from __future__ import annotations

import asyncio
import functools

import craft
import dns.message
import pytest
from committing import House
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, sig0
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Rcode
from ddns.homes import holding
from ddns.net import announcing
from ddns.operator import homes
from ddns.store import homes as stored
from ddns.store import keys_of_homes, pending_keys

HOME = n("berg.smith.example.")
EDNS = b"\0\0\x29\x04\xd0" + bytes(6)
OLD, *NEW = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(21, 27))


def put(key: ec.EllipticCurvePrivateKey) -> list[bytes]:
    rdata = keys.key_rdata(key)
    head = HOME + (25).to_bytes(2, "big")
    return [
        head + b"\0\xff" + bytes(6),
        head + b"\0\1" + (300).to_bytes(4, "big") + len(rdata).to_bytes(2, "big") + rdata,
    ]


def announcement(house: House, key: ec.EllipticCurvePrivateKey, *operations: bytes, **more) -> bytes:
    wire = craft.message(*(operations or put(key)), additional=[EDNS], origin=HOME, **more)
    return sig0.sign_request(wire, key, HOME, int(house.worker.now))


async def begun(house: House) -> int:
    row = await house.row()
    done = await homes.add(house.admin, house.running.client, row, HOME, keys.key_rdata(OLD), "operator:test")
    await house.worker.load(done.zone)
    return done.zone


def said(reply: dns.message.Message) -> tuple[int, str]:
    texts = [option.text or "" for option in reply.options if option.otype == 15]
    return reply.rcode(), texts[0] if texts else ""


async def test_the_new_key_waits_and_the_old_one_goes_on(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)
        edition = (await house.row()).edition

        (reply,) = await house.send(announcement(house, NEW[0]))

        assert reply.rcode() == Rcode.REFUSED
        (waiting,) = await pending_keys.of(house.admin, zone, int(house.worker.now))
        assert (waiting.key, waiting.source) == (keys.key_rdata(NEW[0]), "192.0.2.0/24")
        assert waiting.until == int(house.worker.now) + 7 * 86_400
        assert [one.public for one in await keys_of_homes.live(house.admin, zone)] == [keys.key_rdata(OLD)]
        cursor = await house.admin.execute("SELECT event, after FROM home_events WHERE zone = %s ORDER BY id", [zone])
        assert await cursor.fetchall() == [("enrol", "active"), ("announce-key", "active")]
        cursor = await house.admin.execute("SELECT kind FROM outbox WHERE kind <> 'home.enrolled'")
        assert await cursor.fetchall() == [("key.pending",)]
        old = craft.message(HOME + b"\0\x10\0\1" + bytes(4) + b"\0\3\2hi", origin=HOME, ident=9)
        (reply,) = await house.send(sig0.sign_request(old, OLD, HOME, int(house.worker.now)))
        assert reply.rcode() == Rcode.NOERROR
        assert (await house.row()).edition == edition


async def test_said_again_it_is_one_key_and_one_line_of_history(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)

        replies = await house.send(*(announcement(house, NEW[0], ident=ident) for ident in range(3)))

        assert {reply.rcode() for reply in replies} == {Rcode.REFUSED}
        assert len(await pending_keys.of(house.admin, zone, int(house.worker.now))) == 1
        cursor = await house.admin.execute("SELECT count(*) FROM home_events WHERE event = 'announce-key'")
        assert await cursor.fetchone() == (1,)


async def test_no_more_than_three_keys_wait_and_they_do_not_wait_for_ever(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)

        for key in NEW[:4]:
            await house.send(announcement(house, key))

        now = int(house.worker.now)
        assert len(await pending_keys.of(house.admin, zone, now)) == pending_keys.MOST == 3
        assert await pending_keys.of(house.admin, zone, now + 7 * 86_400) == []
        assert await pending_keys.forget(house.admin, now + 7 * 86_400, 100) == 3


@pytest.mark.parametrize(
    "wrong", ["signed by another key", "another name", "more than a KEY", "two keys", "prerequisites", "udp"]
)
async def test_what_is_not_exactly_that_is_a_message_by_an_unknown_key(dsn_for, tmp_path, wrong):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)
        key, other = NEW[:2]
        wire = {
            "signed by another key": sig0.sign_request(
                craft.message(*put(other), origin=HOME), key, HOME, int(house.worker.now)
            ),
            "another name": announcement(
                house, key, *(one.replace(HOME, n("x.berg.smith.example.")) for one in put(key))
            ),
            "more than a KEY": announcement(house, key, *put(key), HOME + b"\0\x10\0\1" + bytes(4) + b"\0\3\2hi"),
            "two keys": announcement(house, key, *put(key), *put(other)),
            "prerequisites": announcement(house, key, needs=[craft.exists("berg")]),
            "udp": announcement(house, key),
        }[wrong]
        replied = asyncio.get_running_loop().create_future()
        transport = Transport.UDP if wrong == "udp" else Transport.TCP

        house.worker.updates.receive(wire, Asker(transport, "192.0.2.1"), functools.partial(replied.set_result))

        async with asyncio.timeout(20):
            reply = dns.message.from_wire(await replied, ignore_trailing=True, keyring={}) if wrong != "udp" else None
        assert reply is None or reply.rcode() in (Rcode.NOTAUTH, Rcode.BADKEY)
        assert await pending_keys.of(house.admin, zone, int(house.worker.now)) == []


async def test_a_home_in_quarantine_or_none_at_all_is_not_told_from_an_unknown_key(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        zone = await begun(house)
        async with house.admin.transaction():
            await holding.hold(house.admin, house.running.client, zone, stored.QUARANTINED, "x", "operator:test", 1)

        (held,) = await house.send(announcement(house, NEW[0]))
        await homes.remove(house.admin, house.running.client, HOME, "operator:test")
        (none,) = await house.send(announcement(house, NEW[0]))

        assert said(held) == said(none)
        assert held.rcode() == Rcode.BADKEY


async def test_a_home_is_announced_to_ten_times_an_hour_at_most(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        await begun(house)

        replies = [
            said((await house.send(announcement(house, NEW[0], ident=ident)))[0])
            for ident in range(announcing.A_HOME + 1)
        ]

        assert len(set(replies[:-1])) == 1
        assert replies[-1] != replies[0]
        assert "key-not-trusted-yet" in replies[0][1]
        assert "key-not-trusted-yet" not in replies[-1][1]
