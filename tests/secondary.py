"""One worker's transfers on a real port beside a real database, and what asks it for zones."""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
import time
from typing import Any, Self

import dns.asyncquery
import dns.name
import dns.tsig
import dns.versioned
import dns.zone
from twisted.internet import reactor as installed

from ddns.answer.framing import PureFramer
from ddns.answer.options import About, Options
from ddns.auth import tsig
from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset, soa_with_serial
from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.keyring import Keyring
from ddns.net.streams import Streams
from ddns.net.tcp import TcpListener
from ddns.store import credentials, editions, published, transfers, zones
from ddns.store.line import Line
from ddns.store.pool import Pool
from ddns.store.transfers import NewRight
from ddns.transfers.limits import TransferLimits
from ddns.transfers.transfers import Transfers
from ddns.zone.edition import Edition

reactor: Any = installed
SEALER = Sealer(bytes(range(32)))
SECRET = Secret(b"s" * 32)
KEY = names.from_text("secondary.")
KEYS = {
    name: dns.tsig.Key(name, SECRET.reveal(), algorithm)
    for name, algorithm in (("secondary.", "hmac-sha256"), ("other.", "hmac-sha512"))
}


def soa(origin: bytes, serial: int, sigs: tuple[bytes, ...] = ()) -> SignedRRset:
    tail = struct.pack("!5I", 1, 3600, 900, 1209600, 300)
    rdata = soa_with_serial(b"\x02ns" + origin + b"\x01h" + origin + tail, serial)
    return SignedRRset(origin, Type.SOA, 3600, (rdata,), sigs)


def ns(origin: bytes) -> SignedRRset:
    return SignedRRset(origin, Type.NS, 3600, (b"\x02ns" + origin,))


class Primary:
    """The transfers of one worker, answering on *port*; use it as an async context manager."""

    def __init__(self, dsn_for: Any, admin: Any, connections: ConnectionLimits | None = None, **limits: Any) -> None:
        self.connections = Connections(connections or ConnectionLimits(), reactor)
        self.admin = admin
        self.pool = Pool(dsn_for("ddns_server"), "ddns_server", 2)
        self.line = Line(dsn_for("ddns_server"), "ddns_server")
        self.keyring = Keyring(self.line, SEALER, 100, 100)
        self.zones: dict[bytes, int] = {}
        self.transfers = Transfers(
            dsn=dsn_for("ddns_server"),
            keyring=self.keyring,
            served=self.zones.get,
            limits=TransferLimits(**limits),
            policy=tsig.STRICT,
            options=Options(About(nsid=b"ns1")),
            clock=time.time,
        )
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.pool.open()
        await self.transfers.start()
        for name, key in KEYS.items():
            owner = names.from_text(name)
            algorithm = key.algorithm.to_text(omit_final_dot=True)
            await credentials.insert(self.admin, owner, "tsig", algorithm, secret=SEALER.seal(owner, SECRET))
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self._streams = Streams(reactor)
        TcpListener(sock, PureFramer(lambda _wire: None), self.serve, self.connections, self._streams)
        reactor.addReader(self._streams)
        return self

    async def __aexit__(self, *_: object) -> None:
        reactor.removeReader(self._streams)
        self._streams.connectionLost(None)
        await self.transfers.close()
        self.line.close()
        await self.pool.close()

    def serve(self, wire: bytes, source: str, reply: Any) -> None:
        assert self.transfers.take(wire, Asker(Transport.TCP, source), reply)

    async def add(self, origin: bytes, rrsets: list[SignedRRset], serial: int = 1, parent: int | None = None) -> int:
        """Publish a zone that `secondary.` may transfer."""
        zone = await zones.insert(self.admin, origin, "none", 13, parent)
        first = [soa(origin, serial), ns(origin), *rrsets]
        async with self.admin.transaction():
            await published.fill(self.admin, zone, first)
            await zones.advance(self.admin, [(zone, 1, 1, serial)])
            await editions.append(self.admin, [Edition(zone, 1, serial, serial, (), tuple(first))])
        self.zones[origin] = zone
        await self.allow(zone, KEY)
        return zone

    async def allow(self, zone: int, key: bytes | None = None, address: Any = None, *, homes: bool = False) -> None:
        await transfers.allow(self.admin, [NewRight(zone, homes, key, address)])
        await self.transfers.reload(self.admin)

    async def publish(
        self, zone: int, removed: tuple[SignedRRset, ...], added: tuple[SignedRRset, ...], serial: int | None = None
    ) -> int:
        """Publish one edition, SOAs put in; return its serial."""
        async with self.admin.transaction():
            row = (await zones.get(self.admin, [zone]))[zone]
            after = (row.serial + 1) & 0xFFFFFFFF or 1 if serial is None else serial
            old = (await published.read_names(self.admin, [(zone, row.origin)]))[zone, row.origin]
            before = next(one for one in old if one.type == Type.SOA)
            new = soa(row.origin, after, (b"\0\x06" + bytes(16) + row.origin + after.to_bytes(4, "big"),))
            gone = {(one.name, one.type) for one in removed} - {(one.name, one.type) for one in added}
            await published.publish(
                self.admin, [(zone, one) for one in (new, *added)], [(zone, *place) for place in gone]
            )
            await editions.append(
                self.admin,
                [Edition(zone, row.edition + 1, row.serial, after, (before, *removed), (new, *added))],
            )
            await zones.advance(self.admin, [(zone, row.head + 1, row.edition + 1, after)])
        return after

    async def transfer(
        self, zone: dns.versioned.Zone | dns.zone.Zone, *, key: str | None = "secondary.", source: str | None = None
    ) -> None:
        """Bring dnspython's *zone* up to date: AXFR where it is empty, else IXFR."""
        query, _serial = dns.xfr.make_query(zone, keyring=None if key is None else KEYS[key])
        await dns.asyncquery.inbound_xfr(
            "127.0.0.1", zone, query, port=self.port, timeout=10, lifetime=30, source=source
        )


async def ask(port: int, octets: bytes, most: int = 1) -> list[bytes]:
    """Send *octets* over TCP, and return up to *most* messages, fewer where the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    out = []
    try:
        writer.write(len(octets).to_bytes(2, "big") + octets)
        for _ in range(most):
            size = int.from_bytes(await reader.readexactly(2), "big")
            out.append(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()
    return out


async def until(condition: Any) -> Any:
    """Return what *condition*, a function or coroutine function, gives as soon as it is true."""
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        await asyncio.sleep(0.01)
