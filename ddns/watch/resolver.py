"""What names lead to, asked of a resolver: addresses, the servers of a zone, the zone above another.

A resolver remembers, which is right for these and for nothing else: what a server shows is asked of the server itself.
Answers are kept for a while here too, so that a hundred zones with the same servers cost two questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.watch import reading
from ddns.watch.ask import Server, ask, read_address

KEPT = 300.0  # seconds for which an answer is kept
FAILED = 30.0  # seconds until what failed is asked again
MOST_KEPT = 20_000  # answers; the oldest go first
MOST_NAMES = 32  # servers of one zone that are looked at
MOST_ADDRESSES = 16  # of one name

_T = TypeVar("_T")


class Unresolved(Exception):
    """A name that could not be looked up; the message is the rest of a sentence about it."""


class Resolver:
    """Asks *servers*, one after the other; *timeout* seconds each. Of its questions *at_once* are under way."""

    def __init__(self, servers: Sequence[Server], timeout: float, at_once: int) -> None:
        self._servers = tuple(servers)
        self._timeout = timeout
        self._places = asyncio.Semaphore(at_once)
        self._kept: dict[tuple[str, Name], tuple[float, object]] = {}

    async def addresses(self, name: Name) -> tuple[str, ...]:
        """Return the addresses of the host *name*, of both families. Raises `Unresolved`."""
        return await self._remembered("addresses", name, self._addresses)

    async def servers(self, zone: Name) -> tuple[Name, ...]:
        """Return the names in the NS records of *zone*. Raises `Unresolved`."""
        return await self._remembered("servers", zone, self._name_servers)

    async def above(self, origin: Name) -> Name:
        """Return the apex of the zone that delegates *origin*, which is not the root. Raises `Unresolved`."""
        return await self._remembered("above", origin, self._above)

    async def ask(self, name: Name, rdtype: int) -> dns.message.Message:
        """Return the first answer that says something: NOERROR or NXDOMAIN. Raises `Unresolved`."""
        problem = "cannot be looked up: no resolver is known; set [watch] resolver"
        for server in self._servers:
            async with self._places:
                said = await ask(server, name, rdtype, seconds=self._timeout, recursive=True)
            if said.message is None:
                problem = f"cannot be looked up: the resolver {server} {said.problem}"
            elif said.message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return said.message
            else:
                rcode = dns.rcode.to_text(said.message.rcode())
                problem = f"cannot be looked up: the resolver {server} answers {rcode}"
        raise Unresolved(problem)

    async def _addresses(self, name: Name) -> tuple[str, ...]:
        found: list[str] = []
        for rdtype in (Type.A, Type.AAAA):
            message = await self.ask(name, rdtype)
            # What an alias leads to is in the same answer (RFC 1034 §3.6.2).
            found += [one.address for rrset in message.answer if int(rrset.rdtype) == rdtype for one in rrset]
        return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]

    async def _name_servers(self, zone: Name) -> tuple[Name, ...]:
        message = await self.ask(zone, Type.NS)
        apex = dns.name.from_wire(zone, 0)[0]
        found = message.get_rrset(message.answer, apex, dns.rdataclass.IN, dns.rdatatype.NS)
        if found is None:
            raise Unresolved("has no NS records")
        return tuple(sorted(one.target.canonicalize().to_wire() for one in found))[:MOST_NAMES]

    async def _above(self, origin: Name) -> Name:
        name = names.parent(origin)
        apex = reading.apex(await self.ask(name, Type.SOA))
        # A zone's own SOA, or that in a negative answer, tells where the cut is: city.ise.mie.jp is delegated by jp.
        if apex is None or not names.is_subdomain(name, apex):
            raise Unresolved("has a parent that the resolver does not tell of")
        return apex

    async def _remembered(self, kind: str, name: Name, find: Callable[[Name], Awaitable[_T]]) -> _T:
        """Return what *find* finds, or found of late; a failure is remembered too, but not for long."""
        clock = asyncio.get_running_loop().time
        until, outcome = self._kept.get((kind, name), (0.0, None))
        if until <= clock():
            try:
                outcome, kept = await find(name), KEPT
            except Unresolved as error:
                outcome, kept = error, FAILED
            self._kept.pop((kind, name), None)
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[kind, name] = clock() + kept, outcome
        if isinstance(outcome, Unresolved):
            raise Unresolved(str(outcome))
        return cast("_T", outcome)


def configured(text: str) -> tuple[Server, ...]:
    """Return the resolver of the settings (ADDR or ADDR:PORT), or where that is empty those of this machine.

    Raises `ValueError`.
    """
    if text:
        return (read_address(text, 53),)
    try:
        found = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError):
        return ()
    return tuple(Server(str(address), found.port) for address in found.nameservers if isinstance(address, str))
