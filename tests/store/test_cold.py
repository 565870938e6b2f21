"""Questions for zones that are not in memory: who waits, who comes first, who is given up, how they are answered."""

from __future__ import annotations

import asyncio

import pytest
from asking import UDP, query
from test_scale import Server, homes

from ddns.answer.cookied import Cookied
from ddns.answer.cookies import Cookies
from ddns.dns import names
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import EdnsOption
from ddns.net import loader
from ddns.net.cold import Cold
from ddns.store import published

PEER = ("192.0.2.1", 5300)
NOW = 1_900_000_000


@pytest.fixture
def statements(monkeypatch):
    """Yield the ids of the zones that each statement has read so far."""
    made = []
    read_packed = published.read_packed

    async def counting(line, ids):
        made.append(list(ids))
        return await read_packed(line, ids)

    monkeypatch.setattr(published, "read_packed", counting)
    return made


def cold(server, served, cookied=None, *, complete=True):
    def careful(wire, peer, reply):
        served.append(wire)
        reply(server.responder.respond(wire, Asker(Transport.UDP, peer[0])))

    return Cold(server.table, server.subscriber, lambda: complete, server.table.lookup, cookied, lambda: NOW, careful)


async def asked(one, wire):
    told = asyncio.get_running_loop().create_future()
    one.take(wire, PEER, told.set_result)
    async with asyncio.timeout(30):
        return await told


async def test_a_question_waits_for_its_zone_and_is_then_answered_the_short_way(admin, dsn_for):
    """Octet for octet as it would be with care, with a cookie too."""
    cookies = Cookies(b"s" * 32)
    first, *others = await homes(admin, 3)
    async with Server(dsn_for) as server:
        origins = [names.to_text(server.table.origin(zone)) for zone in (first, *others)]
        served = []
        cookied = Cookied(server.table, cookies)
        one = cold(server, served, cookied)
        await asked(one, query(origins[0]))  # their OPT records are known from then on
        with_cookie = query(origins[0])[:-2] + b"\0\x0c\0\x0a\0\x08clientis"
        cookied.answer(with_cookie, PEER[0], NOW)
        served.clear()

        plain = query(origins[1])
        answer = await asked(one, plain)
        wire = query(origins[2])[:-2] + b"\0\x0c\0\x0a\0\x08clientis"
        renewed = await asked(one, wire)

        assert served == []
        assert answer == server.responder.respond(plain, UDP)
        assert wires.edns(
            renewed, list(wires.walk(renewed, wires.question(renewed).end, renewed[7] + 1))[-1]
        ).options == ((EdnsOption.COOKIE, cookies.renew(b"clientis", PEER[0], NOW)),)
        assert server.table.image(others[1]) is not None


@pytest.mark.parametrize(
    "wire",
    [
        bytes(12),
        b"\0\1\0\0\0\1\0\0\0\0\0\0",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\5ab\0",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\5ab\0de\0\0\1\0\1",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        b"\0\1\x80\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1",
        b"\0\1\0\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1",
        b"\0\1\0\0\0\1\0\0\0\0\0\0" + b"\1a" * 128 + b"\0\0\1\0\1",
    ],
)
async def test_what_is_no_question_for_a_zone_that_must_be_read_is_served_at_once(dsn_for, wire):
    async with Server(dsn_for) as server:
        served = []

        await asked(cold(server, served), wire)

        assert served == [wire]


async def test_while_not_all_zones_are_known_nobody_waits_here(admin, dsn_for):
    """The zone that is nearest may be one that is not known yet."""
    (zone,) = await homes(admin, 1)
    async with Server(dsn_for) as server:
        served = []
        wire = query(names.to_text(server.table.origin(zone)))

        cold(server, served, complete=False).take(wire, PEER, lambda _octets: None)

        assert served == [wire]


async def test_who_asked_last_comes_first(admin, dsn_for, monkeypatch, statements):
    """Who asked earlier has perhaps asked somebody else by now."""
    monkeypatch.setattr(loader, "LOAD_AT_ONCE", 4)
    made = await homes(admin, 10)
    async with Server(dsn_for) as server, asyncio.timeout(30):
        waiting = []
        for zone in (*made, made[2]):
            waiting.append(asyncio.get_running_loop().create_future())
            assert server.subscriber.need(zone, waiting[-1].set_result)

        assert all(await asyncio.gather(*waiting))

        assert statements == [[made[at] for at in (2, 9, 8, 7)], [made[at] for at in (6, 5, 4, 3)], made[1::-1]]


async def test_who_has_waited_for_too_long_is_given_up_and_nothing_is_read_for_it(
    admin, dsn_for, monkeypatch, statements
):
    """By then a resolver has asked again."""
    monkeypatch.setattr(loader, "PATIENCE", -1.0)
    (zone,) = await homes(admin, 1)
    async with Server(dsn_for) as server, asyncio.timeout(30):
        told = asyncio.get_running_loop().create_future()
        assert server.subscriber.need(zone, told.set_result)

        assert await told is None
        assert statements == []
        assert server.table.image(zone) is None
