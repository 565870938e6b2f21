"""Whom to ask about a zone: its secondaries, and the servers of its parent, every address of each (RFC 7583 §3.1).

Secondaries are those whom it notifies, and the addresses of its NS records: from our own zones where these have them,
else from a resolver. What is this server itself is not asked, but for a DS, where it serves the parent too.
A name without an address is listed as a problem: it stands in the way like a server that is silent, and is named.
Where this machine has no route to an address (many have none for IPv6), another address of the same host speaks for it.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

import msgspec

from ddns.dns import names
from ddns.dns.names import ROOT, Name
from ddns.store.sightings import Place
from ddns.watch.ask import Server, read_address
from ddns.watch.limits import WatchLimits
from ddns.watch.resolver import MOST_ADDRESSES, MOST_NAMES, Resolver, Unresolved
from ddns.zone.child import is_public

NO_ADDRESS = "has no address"
NEAR = "is not asked: it has an address that is not one of the Internet (see [watch] private)"
TOO_MANY = "is more than are asked: have fewer name servers, or fewer addresses of each"
MOST_SERVERS = 64  # of one list; more of them nobody has


class Listed(msgspec.Struct, frozen=True):
    """The *servers* to ask, and *problems*, each a server's name and why it cannot be asked."""

    servers: tuple[Server, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()


class Ours:
    """Tells which addresses are this server's own: those of its listeners."""

    def __init__(self, limits: WatchLimits) -> None:
        self._listening = limits.ours
        self._local: dict[str, bool] = {}

    def has(self, address: str, port: int | None = None) -> bool:
        """Tell whether this server listens at *address*, on *port* where that is given."""
        return any(
            (port is None or there == port)
            and (host == address or (host in {"0.0.0.0", "::"} and self._is_local(address)))  # noqa: S104
            for host, there in self._listening
        )

    def _is_local(self, address: str) -> bool:
        known = self._local.get(address)
        if known is None:
            known = False
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.bind((address, 0))  # only an address of this machine can be bound to
                known = True
            self._local[address] = known
        return known


class Lists:
    """Makes the lists; *resolver* finds what our own zones do not have."""

    def __init__(self, resolver: Resolver, limits: WatchLimits) -> None:
        self._resolver = resolver
        self._limits = limits
        self._own_name = names.from_text(limits.name) if limits.name else None
        self.ours = Ours(limits)

    def hosts(self, place: Place) -> tuple[Name, ...]:
        """Return the names whose addresses `secondaries` needs."""
        if place.watch != "all":
            return ()
        # Whoever may write in a home may give it any number of them: one more than are asked shows that there are more.
        return tuple(one for one in place.servers if one != self._own_name)[: MOST_NAMES + 1]

    async def secondaries(self, place: Place, known: Mapping[Name, tuple[str, ...]]) -> Listed:
        """Return the secondaries of *place*; *known* are addresses that our own zones have."""
        if place.watch == "none":
            return Listed()
        # What a home's owner writes at its apex is not to make us knock at doors in our own network.
        anywhere = not place.home or self._limits.private
        listed = await self._named(self.hosts(place), known, None if anywhere else place.above)
        named = [one for one in listed.servers if not self.ours.has(one.address)]
        there = {(one.address, one.port) for one in named}
        targets = [Server(*one) for one in place.targets if one not in there and not self.ours.has(*one)]
        return Listed((*named, *targets)[:MOST_SERVERS], listed.problems)

    async def parents(self, place: Place) -> Listed:
        """Return the servers of the zone above *place*, or those that its policy names."""
        if place.parents:
            return _written(place.parents)
        try:
            above = await self._resolver.above(place.origin)
            hosts = await self._resolver.servers(above)
        except Unresolved as error:
            return Listed(problems=((f"the parent of {names.to_text(place.origin)}", str(error)),))
        listed = await self._named(hosts, {})
        return Listed(listed.servers[:MOST_SERVERS], listed.problems)

    async def _named(
        self, hosts: Iterable[Name], known: Mapping[Name, tuple[str, ...]], ours: Collection[Name] | None = None
    ) -> Listed:
        """Return *hosts* at their addresses; of those that are none of *ours* only at addresses of the Internet."""
        servers: dict[tuple[str, int], Server] = {}
        problems = []
        for count, host in enumerate(hosts):
            if count == MOST_NAMES:
                problems.append((names.to_text(host), TOO_MANY))
                break
            try:
                found = known.get(host) or await self._resolver.addresses(host)
            except Unresolved as error:
                problems.append((names.to_text(host), str(error)))
                continue
            if not found:
                problems.append((names.to_text(host), NO_ADDRESS))
            if len(found) > MOST_ADDRESSES:
                problems.append((names.to_text(host), TOO_MANY))
                found = found[:MOST_ADDRESSES]
            if ours is not None and host not in ours and not all(is_public(one) for one in found):
                problems.append((names.to_text(host), NEAR))
                found = tuple(one for one in found if is_public(one))
            for address in [one for one in found if _has_route(one)] or found:
                servers.setdefault((address, self._limits.port), Server(address, self._limits.port, host))
        return Listed(tuple(servers.values()), tuple(problems))


def asks_parent(place: Place) -> bool:
    """Tell whether the servers of a parent elsewhere are to be asked for the DS of *place*."""
    return place.signed and not place.home and place.check == "auto" and place.origin != ROOT


def _has_route(address: str) -> bool:
    """Tell whether this machine knows a way to *address*; nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((address, 53))
        return True
    return False


def _written(texts: Iterable[str]) -> Listed:
    servers, problems = [], []
    for text in texts:
        try:
            servers.append(read_address(text, 53))
        except ValueError:
            problems.append((text, "is no address; the policy's parent_servers are written 192.0.2.7:53"))
    return Listed(tuple(servers[:MOST_SERVERS]), tuple(problems))
