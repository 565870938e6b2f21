"""Name servers of nobody: they answer on the loopback as a test says, by UDP and TCP, and remember who asked what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SOA = "{zone} {ttl} IN SOA ns.{zone} host.{zone} {serial} 3600 900 1209600 {minimum}"

Answer = Callable[[dns.message.Message], dns.message.Message | None]


class Nameserver(asyncio.DatagramProtocol):
    """One server at *address* and *port*; *answer* makes its answers, None is silence. An async context manager."""

    def __init__(self, address: str, port: int, answer: Answer) -> None:
        self.address, self.port, self.answer = address, port, answer
        self.heard: list[tuple[str, str, bool]] = []  # name, type, whether by TCP
        self.under_way = self.most = 0
        self.delay = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, self.port))
        self._tcp = await asyncio.start_server(self._stream, self.address, self.port)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def names(self, rdtype: str) -> list[str]:
        """Return which names were asked for with *rdtype*."""
        return [name for name, asked, _ in self.heard if asked == rdtype]

    def datagram_received(self, data: bytes, addr) -> None:
        task = asyncio.ensure_future(self._reply(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, data: bytes, addr) -> None:
        octets = await self._answered(data, tcp=False)
        if octets is not None:
            self._udp.sendto(octets, addr)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            octets = await self._answered(await reader.readexactly(size), tcp=True)
            if octets is not None:
                writer.write(len(octets).to_bytes(2, "big") + octets)
                await writer.drain()
        finally:
            writer.close()

    async def _answered(self, data: bytes, *, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        self.heard.append((str(question.name), dns.rdatatype.to_text(question.rdtype), tcp))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.delay)
        self.under_way -= 1
        reply = self.answer(query)
        return None if reply is None else reply.to_wire(max_size=65535 if tcp else 1232, prefer_truncation=True)


def silent(_query: dns.message.Message) -> None:
    """Answer nothing."""


def says(query: dns.message.Message, *records: str, soa: str = "", aa: bool = True) -> dns.message.Message:
    """Answer with *records*, one RRset a line, or where there are none with the SOA line *soa* as a negative answer."""
    reply = dns.message.make_response(query)
    reply.flags = reply.flags | dns.flags.AA if aa else reply.flags & ~dns.flags.AA
    reply.answer = [rrset(line) for line in records]
    reply.authority = [rrset(soa)] if soa else []
    return dns.message.from_wire(reply.to_wire(max_size=65535))


def refuses(query: dns.message.Message, rcode: dns.rcode.Rcode = dns.rcode.REFUSED) -> dns.message.Message:
    """Answer with an error."""
    reply = dns.message.make_response(query)
    reply.set_rcode(rcode)
    return reply


def rrset(line: str) -> dns.rrset.RRset:
    """Return the record of one line, such as `example. 300 IN A 192.0.2.1`; more data follow behind |."""
    name, ttl, _, rdtype, rest = line.split(None, 4)
    return dns.rrset.from_text_list(name, int(ttl), "IN", rdtype, [one.strip() for one in rest.split("|")])


def serves(zone: str, serial: int, ttl: int = 300, minimum: int = 300) -> Answer:
    """Return what answers for *zone* with *serial*, and REFUSED for anything else."""
    line = SOA.format(zone=zone, ttl=ttl, serial=serial, minimum=minimum)

    def answer(query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        if str(question.name) != zone:
            return refuses(query)
        return says(query, line) if question.rdtype == dns.rdatatype.SOA else says(query, soa=line)

    return answer


class Zonefile:
    """Zones with records as text lines: it answers for them like an authoritative server, or like a resolver."""

    def __init__(self, *zones: str, records: tuple[str, ...] = (), minimum: int = 300) -> None:
        self.zones = zones
        self.minimum = minimum
        self.records = list(records)

    def __call__(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        apexes = [zone for zone in self.zones if question.name.is_subdomain(dns.name.from_text(zone))]
        if not apexes:
            return refuses(query)
        zone = max(apexes, key=len)
        soa = SOA.format(zone=zone, ttl=300, serial=1, minimum=self.minimum)
        found = [
            line
            for line in [*self.records, *([soa] if str(question.name) == zone else [])]
            if line.split()[0] == str(question.name) and line.split()[3] == dns.rdatatype.to_text(question.rdtype)
        ]
        if not found and question.rdtype == 66:
            found = [line for line in self.records if line.split()[0] == str(question.name) and "TYPE66" in line]
        return says(query, *found) if found else says(query, soa=soa)
