"""The server's memory beside a real database: zones in one string, large ones in pieces, the list of them all."""

from __future__ import annotations

import asyncio

import pytest
from asking import UDP, query
from secondary import until
from signing import Running, add, read
from twins import Both
from windows import PARENT, home, registry

from ddns.answer import packed
from ddns.answer.compile import NeedZone
from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.net import loader, register
from ddns.net.subscriber import Subscriber
from ddns.store import editions, published, zones
from ddns.store.line import Line
from ddns.store.pool import Pool
from ddns.zone.edition import Edition


class Server:
    """A worker's memory, *memory* octets of it, and what it answers from there."""

    def __init__(self, dsn_for, memory=1 << 26):
        self.pool = Pool(dsn_for("ddns_server"), "ddns_server", 2)
        self.table = Table(memory=memory)
        self.subscriber = Subscriber(self.table, self.pool, 1000)
        self.responder = Responder(self.table)

    async def __aenter__(self):
        await self.pool.open()
        await self.subscriber.resync()
        return self

    async def __aexit__(self, *_):
        await self.subscriber.close()
        await self.pool.close()

    async def ask(self, name, rdtype="A", *, do=True):
        """Return the answer, read what it takes."""
        message = query(name, rdtype, do=do)
        for _ in range(20):
            answer = self.responder.respond(message, UDP)
            if not isinstance(answer, NeedZone):
                return answer
            loaded = asyncio.get_running_loop().create_future()
            assert self.subscriber.need(answer.zone_id, loaded.set_result, answer.wanted)
            async with asyncio.timeout(30):
                assert await loaded
        raise AssertionError("the question is asked for ever")


async def publish(admin, origin, rrsets, *, denial="nsec3", parent=None):
    """Add a zone that is published as it is."""
    zone = await zones.insert(admin, origin, denial, 13, parent)
    await published.fill(admin, zone, rrsets)
    await zones.advance(admin, [(zone, 1, 1, 1)])
    return zone


async def homes(admin, count, first=1):
    return [await publish(admin, *home(number), denial="none") for number in range(first, first + count)]


async def test_the_database_packs_a_zone_as_the_server_reads_it(admin, conn, dsn_for):
    zero = names.prepend(b"a\0b", PARENT)
    hostile = [
        SignedRRset(zero, Type.TXT, 0, (b"\1x", b"\2yz"), (b"sig", b"sig2")),
        SignedRRset(PARENT, 65535, 2**31 - 1, (b"", b"x" * 60000), ()),
        SignedRRset(PARENT, Type.SOA, 300, (registry(1, "none")[PARENT, Type.SOA].rdatas), (b"s",)),
    ]
    zone = await publish(admin, PARENT, [*registry(3, "nsec3").values(), *hostile[:2]])
    empty = await zones.insert(admin, names.from_text("empty.test."), "none", 13)

    line = Line(dsn_for("ddns_server"), "ddns_server")
    found = await published.read_packed(line, [zone, empty, 999])
    line.close()

    assert set(found) == {zone, empty}
    assert found[zone].edition == 1
    whole = ZoneImage(zone, PARENT, 1, await published.read_zone(conn, zone))
    image = ZoneImage(zone, PARENT, 1, found[zone].octets)
    assert {name: set(node) for name, node in image.nodes.items()} == {
        name: set(node) for name, node in whole.nodes.items()
    }
    assert (image.nsec3._keys, image.hashing) == (whole.nsec3._keys, whole.hashing)
    rows = await published.read_zone(conn, zone)
    pieces = sorted(packed.pack(one, names.order_key(one.name)) for one in rows)
    assert len(found[zone].octets) == sum(map(len, pieces))
    assert all(piece in found[zone].octets for piece in pieces)
    assert found[empty].octets == b""
    assert not ZoneImage(empty, names.from_text("empty.test."), 0, found[empty].octets).ready


async def test_a_zone_with_more_rrsets_than_one_string_may_hold_is_read_page_by_page(admin, dsn_for):
    rrsets = registry(200, "nsec3")
    assert len(rrsets) > published.SMALL
    zone = await publish(admin, PARENT, rrsets.values())
    whole = Table()
    whole.install(ZoneImage(zone, PARENT, 1, rrsets.values()))
    async with Server(dsn_for) as server:
        for name, rdtype in (("h000150.homes.test.", "DS"), ("nobody.homes.test.", "A"), ("a.b.c.homes.test.", "A")):
            assert await server.ask(name, rdtype) == Responder(whole).respond(query(name, rdtype, do=True), UDP)

        await until(lambda: server.table.image(zone).whole)


@pytest.mark.parametrize("denial", ["nsec3", "nsec", "none"])
async def test_a_zone_larger_than_its_part_of_the_memory_is_looked_at_through_a_window(admin, dsn_for, denial):
    rrsets = registry(200, denial)
    zone = await publish(admin, PARENT, rrsets.values(), denial=denial)
    whole = Table()
    whole.install(ZoneImage(zone, PARENT, 1, rrsets.values()))
    asked = [
        ("h000150.homes.test.", "DS"), ("www.h000150.homes.test.", "A"), ("nobody.homes.test.", "A"),
        ("a.b.c.d.e.f.g.homes.test.", "TXT"), ("b.c.d.e.f.g.homes.test.", "TXT"), ("x.w.homes.test.", "TXT"),
        ("homes.test.", "MX"), ("zz.zz.homes.test.", "A"), ("ns.homes.test.", "A"),
    ]  # fmt: skip
    async with Server(dsn_for, memory=200_000) as server:
        for _ in range(2):
            for name, rdtype in asked:
                for do in (True, False):
                    expected = Responder(whole).respond(query(name, rdtype, do=do), UDP)
                    assert await server.ask(name, rdtype, do=do) == expected, (name, rdtype)
                    assert Both(server.table).lookup(query(name, rdtype, do=do)) in (None, expected)

        assert isinstance(server.table.image(zone), Window)
        assert server.table.shelf.octets <= 100_000


async def test_what_was_read_before_an_edition_does_not_come_back_after_it(admin, dsn_for):
    rrsets = registry(200, "nsec3")
    zone = await publish(admin, PARENT, rrsets.values())
    apex = home(7)[0]
    async with Server(dsn_for, memory=200_000) as server:
        await server.ask("homes.test.", "SOA")
        before = rrsets[apex, int(Type.DS)]
        after = SignedRRset(apex, Type.DS, 300, (b"\0\7\x0d\2" + b"n" * 32,), before.sigs)
        await published.publish(admin, [(zone, after)], ())
        await editions.append(admin, [Edition(zone, 2, 1, 2, (before,), (after,))])
        window = server.table.image(zone)

        # This worker has shown the edition already, but the database does not say yet that it is the current one.
        server.table.patch(Edition(zone, 2, 1, 2, (before,), (after,)))
        stale = asyncio.get_running_loop().create_future()
        need = server.responder.respond(query("h000007.homes.test.", "DS", do=True), UDP)
        assert server.subscriber.need(zone, stale.set_result, need.wanted)
        async with asyncio.timeout(30):
            assert await stale is False
        assert apex not in window.nodes

        await zones.advance(admin, [(zone, 2, 2, 2)])
        assert b"n" * 32 in await server.ask("h000007.homes.test.", "DS")


async def test_an_edition_of_another_worker_reaches_what_a_window_shows(admin, dsn_for):
    rrsets = registry(200, "nsec3")
    zone = await publish(admin, PARENT, rrsets.values())
    apex = home(7)[0]
    async with Server(dsn_for, memory=200_000) as server:
        assert b"n" * 32 not in await server.ask("h000007.homes.test.", "DS")
        before = rrsets[apex, int(Type.DS)]
        after = SignedRRset(apex, Type.DS, 300, (b"\0\7\x0d\2" + b"n" * 32,), before.sigs)
        await published.publish(admin, [(zone, after)], ())
        await editions.append(admin, [Edition(zone, 2, 1, 2, (before,), (after,))])
        await zones.advance(admin, [(zone, 2, 2, 2)])

        await server.subscriber.catch_up([zone])

        assert server.table.edition(zone) == 2
        assert b"n" * 32 in await server.ask("h000007.homes.test.", "DS")


async def test_a_home_that_had_to_go_from_memory_is_read_again(admin, dsn_for):
    made = await homes(admin, 60)
    async with Server(dsn_for, memory=40_000) as server:
        for _ in range(2):
            for number in range(1, 61):
                assert bytes((192, 0, 2, 1)) in await server.ask(f"h{number:06d}.homes.test.")

        held = [zone for zone in made if server.table.image(zone) is not None]
        assert 0 < len(held) < 60
        assert server.table.shelf.octets <= 20_000


async def test_zones_that_are_warmed_up_do_not_push_out_each_other(admin, dsn_for, monkeypatch):
    monkeypatch.setattr(loader, "LOAD_AT_ONCE", 4)
    made = await homes(admin, 60)
    async with Server(dsn_for, memory=100_000) as server:
        await server.subscriber.warm_up()

        assert server.table.image(made[0]) is not None
        assert server.table.shelf.octets <= 50_000


async def test_zones_that_are_asked_for_together_are_read_together(admin, dsn_for, monkeypatch):
    """A start under load: what is asked for while a statement runs is read by the next one, not one by one."""
    monkeypatch.setattr(loader, "LOAD_AT_ONCE", 16)
    statements = []
    read_packed = published.read_packed

    async def counting(line, ids):
        statements.append(list(ids))
        if len(statements) == 1:
            ask(made[20:])
        return await read_packed(line, ids)

    def ask(zone_ids):
        for zone in zone_ids:
            for _ in range(2):
                waiting.append(asyncio.get_running_loop().create_future())
                assert server.subscriber.need(zone, waiting[-1].set_result)

    monkeypatch.setattr(published, "read_packed", counting)
    made = await homes(admin, 40)
    waiting = []
    async with Server(dsn_for) as server, asyncio.timeout(30):
        ask(made[:20])
        assert all(await asyncio.gather(*waiting[:40]))
        assert all(await asyncio.gather(*waiting[40:]))

        assert [len(ids) for ids in statements] == [16, 16, 8]
        assert all(server.table.image(zone) is not None for zone in made)


async def test_zones_ahead_fill_the_statements_of_those_that_are_asked_for(admin, dsn_for, monkeypatch):
    monkeypatch.setattr(loader, "LOAD_AT_ONCE", 16)
    statements = []
    read_packed = published.read_packed

    async def counting(line, ids):
        statements.append(list(ids))
        return await read_packed(line, ids)

    monkeypatch.setattr(published, "read_packed", counting)
    made = await homes(admin, 30)
    async with Server(dsn_for) as server, asyncio.timeout(30):
        told = asyncio.get_running_loop().create_future()
        assert server.subscriber.need(made[-1], told.set_result)
        await server.subscriber.warm_up()

        assert await told
        assert [len(ids) for ids in statements] == [16, 14]
        assert statements[0][0] == made[-1]


async def test_a_larger_zone_answers_through_a_window_while_it_is_loaded(admin, dsn_for, monkeypatch):
    rrsets = registry(200, "nsec3")
    zone = await publish(admin, PARENT, rrsets.values())
    pages = asyncio.Event()
    read_page = published.read_page

    async def waiting(*args):
        await pages.wait()
        return await read_page(*args)

    monkeypatch.setattr(published, "read_page", waiting)
    before = rrsets[home(7)[0], int(Type.DS)]
    after = SignedRRset(before.name, Type.DS, 300, (b"\0\7\x0d\2" + b"n" * 32,), before.sigs)
    async with Server(dsn_for) as server, asyncio.timeout(30):
        first = await server.ask("h000150.homes.test.", "DS")
        assert isinstance(server.table.image(zone), Window)
        # Meanwhile the zone goes on.
        await published.publish(admin, [(zone, after)], ())
        await editions.append(admin, [Edition(zone, 2, 1, 2, (before,), (after,))])
        await zones.advance(admin, [(zone, 2, 2, 2)])
        await server.subscriber.catch_up([zone])
        pages.set()
        while not server.table.image(zone).whole:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

        assert server.table.edition(zone) == 2
        assert await server.ask("h000150.homes.test.", "DS") == first
        assert b"n" * 32 in await server.ask("h000007.homes.test.", "DS")


# ---- the list of zones -------------------------------------------------------------------------


async def test_nothing_is_said_of_a_name_before_it_is_known_which_zone_has_it(admin, dsn_for, monkeypatch):
    monkeypatch.setattr(register, "PAGE", 2)
    monkeypatch.setattr(register, "AHEAD", 1)
    made = await homes(admin, 9)
    async with Server(dsn_for) as server:
        known = server.subscriber.register
        first, last = home(1)[0], home(9)[0]
        assert server.table.zone_ids() == set(made[:2])
        assert not known.is_complete
        assert known.is_settled(first)
        assert not known.is_settled(last)
        assert not known.is_settled(b"\3www" + last)

        told = asyncio.get_running_loop().create_future()
        assert server.subscriber.settle(b"\3www" + last, told.set_result)
        async with asyncio.timeout(30):
            assert await told
        assert known.is_settled(b"\3www" + last)
        assert server.table.find(last) == made[-1]

        await known.rest()
        assert known.is_complete
        assert known.is_settled(last)
        assert server.table.zone_ids() == set(made)


async def test_the_rest_of_the_list_is_read_without_being_asked_for(admin, dsn_for, monkeypatch):
    monkeypatch.setattr(register, "PAGE", 2)
    monkeypatch.setattr(register, "AHEAD", 1)
    made = await homes(admin, 9)
    async with Server(dsn_for) as server, asyncio.timeout(30):
        while not server.subscriber.register.is_complete:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)

        assert server.table.zone_ids() == set(made)


async def test_zones_that_come_and_go_are_found_by_looking_at_them_alone(admin, dsn_for, monkeypatch):
    made = await homes(admin, 5)
    async with Server(dsn_for) as server:
        for number in range(1, 6):
            await server.ask(f"h{number:06d}.homes.test.")
        await zones.remove(admin, made[1])
        new = await homes(admin, 5, first=10)
        await zones.advance(admin, [(made[2], 2, 2, 2)])
        monkeypatch.setattr(zones, "listed", None)  # all zones are read once, at the start

        await server.subscriber.resync()

        assert server.table.zone_ids() == {made[0], *made[2:], *new}
        assert server.table.edition(made[2]) is None  # its history is not there: it is read when it is asked for
        assert server.table.edition(made[3]) == 1


async def test_a_zone_that_was_committed_late_is_not_missed(admin, dsn_for, connected):
    """Its transaction began before one that was seen, and ended after it."""
    late = await connected("ddns_admin")
    async with Server(dsn_for) as server:
        async with late.transaction():
            slow = await zones.insert(late, names.from_text("slow.test."), "none", 13)
            quick = await zones.insert(admin, names.from_text("quick.test."), "none", 13)
            await server.subscriber.resync()
            assert server.table.zone_ids() == {quick}

        await server.subscriber.resync()

        assert server.table.zone_ids() == {slow, quick}


async def test_a_zone_that_got_the_name_of_another_is_the_one_that_answers(admin, dsn_for):
    (old,) = await homes(admin, 1)
    async with Server(dsn_for) as server:
        await server.ask("h000001.homes.test.")
        await zones.remove(admin, old)
        (new,) = await homes(admin, 1)

        await server.subscriber.resync()

        assert server.table.zone_ids() == {new}
        assert server.table.find(home(1)[0]) == new


async def test_after_a_long_absence_all_zones_are_compared(admin, dsn_for, owner, monkeypatch):
    made = await homes(admin, 5)
    monkeypatch.setattr(register, "PAGE", 2)
    async with Server(dsn_for) as server:
        await server.subscriber.register.rest()
        await zones.remove(admin, made[1])
        await owner.execute("DELETE FROM zones_gone")
        await server.subscriber.resync()
        assert made[1] in server.table.zone_ids()

        monkeypatch.setattr(register, "STALE", -1.0)
        await server.subscriber.resync()

        assert server.table.zone_ids() == {made[0], *made[2:]}


async def test_an_update_of_a_home_that_is_signed_shows_through_a_packed_image(admin, connected, dsn_for, tmp_path):
    """The editions that the signer makes fit on what the database packed."""
    conn = await connected("ddns_server")
    async with Running(dsn_for, tmp_path) as signer:
        zone = await add(admin, "smith.test.", "www 300 A 192.0.2.1", "a.b 300 A 192.0.2.2")
        async with signer.pool.connection() as lent:
            await signer.worker.sweep(lent)
        async with Server(dsn_for) as server:
            assert b"\xc0\0\2\1" in await server.ask("www.smith.test.")
            changed = read("smith.test.", "www 300 A 192.0.2.9", "new.b 300 A 192.0.2.2")
            wanted = {
                name: changed.get(name, ()) for name in (names.from_text("www.smith.test."),
                names.from_text("a.b.smith.test."), names.from_text("new.b.smith.test."))
            }  # fmt: skip
            before = await published.read_zone(conn, zone)
            await signer.update(conn, zone, wanted)
            after = await published.read_zone(conn, zone)
            gone, come = (tuple(one for one in a if one not in b) for a, b in ((before, after), (after, before)))

            assert server.table.patch(Edition(zone, 2, 1, 2, gone, come))

            whole = Table()
            row = (await zones.get(conn, [zone]))[zone]
            whole.install(ZoneImage(zone, row.origin, row.edition, await published.read_zone(conn, zone)))
            for name in ("www", "a.b", "new.b", "b", "none", "x.b"):
                message = query(f"{name}.smith.test.", do=True)
                assert await server.ask(f"{name}.smith.test.") == Responder(whole).respond(message, UDP), name
                assert Both(server.table).lookup(message) in (None, Responder(whole).respond(message, UDP))
