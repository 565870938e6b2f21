"""A parent is told of new CDS records, where it says that it listens (RFC 9859)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from nameservers import Nameserver, serves
from secondary import until
from watched import NS1, NS3, ORIGIN, World

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.store import published, sightings, zones
from ddns.store.sightings import Sighting
from ddns.watch import dsync


def generic(target: str, port: int) -> str:
    octets = Type.CDS.to_bytes(2, "big") + b"\x01" + port.to_bytes(2, "big") + names.from_text(target)
    return f"\\# {len(octets)} {octets.hex()}"


class Scanner(asyncio.DatagramProtocol):
    """Who listens for NOTIFY(CDS): what it answers, None for silence, and what it heard."""

    def __init__(self, *rcodes: dns.rcode.Rcode | None) -> None:
        self.rcodes = list(rcodes) or [dns.rcode.NOERROR]
        self.heard: list[dns.message.Message] = []

    async def listen(self, address: str = NS3) -> int:
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(address, 0)
        )
        return self.transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr) -> None:
        message = dns.message.from_wire(data)
        self.heard.append(message)
        rcode = self.rcodes.pop(0) if len(self.rcodes) > 1 else self.rcodes[0]
        if rcode is not None:
            reply = dns.message.make_response(message)
            reply.set_rcode(rcode)
            self.transport.sendto(reply.to_wire(), addr)


class Child(World):
    """A zone that asks its parent for another DS, and a parent that publishes where it listens."""

    async def set_up(self, scanner: Scanner, at: str = "homes._dsync.example.") -> Nameserver:
        self.id = await self.zone()
        await self.policy(self.id, watch="targets", parent_check="manual")
        await self.key(self.id, "ds", 0)
        await self.ask(b"\x12\x67\x0d\x02" + b"\xab" * 32)
        port = await scanner.listen()
        return self.resolver(
            f"{at} 60 IN TYPE66 {generic('scanner.example.', port)}", f"scanner.example. 60 IN A {NS3}"
        )

    async def ask(self, cds: bytes) -> None:
        """Publish CDS in the next serial."""
        name = names.from_text(ORIGIN)
        async with self.admin.transaction():
            await published.publish(self.admin, [(self.id, SignedRRset(name, Type.CDS, 60, (cds,), ()))], [])
            row = (await zones.get(self.admin, [self.id]))[self.id]
            await zones.advance(self.admin, [(self.id, row.head + 1, row.edition + 1, row.serial + 1)])

    async def told(self) -> Sighting:
        """Return how telling the parent ended, as soon as it has."""

        async def there() -> Sighting | None:
            await self.look_anew()
            return next(iter((await self.said(self.id, sightings.DSYNC)).values()), None)

        return await until(there)

    def look_and(self, condition: Any) -> Any:
        async def looked() -> Any:
            await self.look_anew()
            return condition()

        return looked


@pytest.fixture
def child(dsn_for, admin, owner, conn):
    return Child(dsn_for, admin, owner, conn, timeout=5.0)


@pytest.mark.parametrize("at", ["homes._dsync.example.", "_dsync.example."])
async def test_a_parent_is_told_of_new_cds_records_where_it_listens(child, at):
    scanner = Scanner()
    async with await child.set_up(scanner, at):
        told = await child.told()

        assert told.problem == ""
        assert [str(one.question[0]) for one in scanner.heard] == ["homes.example. IN CDS"]
        assert (told.serial, told.problem) == (43, "")
        assert told.answered is not None
        assert told.server.startswith(f"dsync scanner.example. {NS3}:")

        for _ in range(3):
            await child.look_anew()
        assert len(scanner.heard) == 1
    scanner.transport.close()


async def test_other_cds_records_are_told_anew(child):
    scanner = Scanner()
    async with await child.set_up(scanner):
        await child.told()
        await child.ask(b"\x03\x2f\x0d\x02" + b"\xcd" * 32)

        await until(child.look_and(lambda: len(scanner.heard) == 2))
    scanner.transport.close()


async def test_nobody_is_told_before_all_secondaries_have_them(child):
    """RFC 9859 §4.2: the parent would look too early, and see the old ones."""
    scanner = Scanner()
    async with await child.set_up(scanner), child.server(NS1, serves(ORIGIN, 42)) as secondary:
        await child.target(child.id, NS1)
        for _ in range(3):
            await child.look_anew()
        assert scanner.heard == []

        secondary.answer = serves(ORIGIN, 43)
        assert (await child.told()).serial == 43
    scanner.transport.close()


async def test_what_is_not_answered_is_sent_again(dsn_for, admin, owner, conn):
    """RFC 1996 §3.6."""
    child = Child(dsn_for, admin, owner, conn)
    scanner = Scanner(None, None, dns.rcode.NOERROR)
    async with await child.set_up(scanner):
        assert (await child.told()).problem == ""
    assert len({one.id for one in scanner.heard}) == 1
    assert len(scanner.heard) >= 3
    scanner.transport.close()


async def test_a_listener_that_is_silent_is_left_in_peace(dsn_for, admin, owner, conn, monkeypatch):
    monkeypatch.setattr(dsync, "TRIES", 2)
    child = Child(dsn_for, admin, owner, conn)
    scanner = Scanner(None)
    async with await child.set_up(scanner):
        told = await child.told()
        assert (told.answered, told.problem) == (None, "does not answer")
        for _ in range(3):
            await child.look_anew()
    assert len(scanner.heard) == 2
    scanner.transport.close()


async def test_the_page_shows_what_became_of_it(child):
    page = Path(__file__).parents[2] / "docs" / "howto" / "see-who-is-behind.md"
    (statement,) = re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
    scanner = Scanner(dns.rcode.REFUSED)
    async with await child.set_up(scanner):
        told = await child.told()
    cursor = await child.owner.execute(statement)
    assert [(row[0], row[1] is not None, row[2]) for row in await cursor.fetchall()] == [
        (told.server, True, "answers 5")
    ]
    scanner.transport.close()


async def test_an_error_is_an_answer_and_is_written_down(child):
    scanner = Scanner(dns.rcode.REFUSED)
    async with await child.set_up(scanner):
        told = await child.told()
    assert (told.answered is not None, told.problem) == (True, "answers 5")
    assert len(scanner.heard) == 1
    scanner.transport.close()


async def test_addresses_that_are_not_the_internets_are_not_told(dsn_for, admin, owner, conn):
    """The record is a stranger's: it is not to lead into our own network."""
    child = Child(dsn_for, admin, owner, conn, private=False)
    scanner = Scanner()
    async with await child.set_up(scanner):
        told = await child.told()
    assert told.server == "dsync scanner.example."
    assert told.problem == "is not told: it has no address of the Internet (see [watch] private)"
    assert scanner.heard == []
    scanner.transport.close()


async def test_a_parent_that_listens_nowhere_is_remembered(child):
    scanner = Scanner()
    async with await child.set_up(scanner, at="elsewhere._dsync.example.") as resolver:
        told = await child.told()
        assert told.problem == "the parent publishes no DSYNC record for CDS"
        asked = resolver.names("TYPE66") + resolver.names("DSYNC")
        await child.look_anew()
        assert (
            resolver.names("TYPE66") + resolver.names("DSYNC") == asked == ["homes._dsync.example.", "_dsync.example."]
        )
    scanner.transport.close()
