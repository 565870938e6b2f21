"""Tell the parent that a zone asks for another DS: NOTIFY(CDS), to where the parent says that somebody listens.

Law: it is told after all secondaries show what it is told of (RFC 9859 §4.2), once for each change, and retried like
any NOTIFY (§4.2.1, RFC 1996 §3.6). Where to is written by a stranger: one datagram a try, five tries, and nothing to
addresses that are not the Internet's unless the settings allow it. A parent that listens nowhere is no fault: it looks
by itself, or does not.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import Iterator
from typing import Any

import dns.message
import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.transfers import notice
from ddns.watch import reading
from ddns.watch.ask import SILENT, Server
from ddns.watch.limits import WatchLimits
from ddns.watch.resolver import Resolver, Unresolved

DSYNC = 66  # RFC 9859 §2
NOTIFY_SCHEME = 1  # RFC 9859 §2.3
TRIES = 5
LABEL = b"_dsync"
MOST_LOOKUPS = 4  # RFC 9859 §4.1 needs three
MOST_TOLD = 2  # addresses of one target, the second where the first is silent

_HEAD = struct.Struct("!HBH")  # RRtype, scheme, port; the target follows (RFC 9859 §2.1)


class Told(msgspec.Struct, frozen=True):
    """How telling the parent ended: *server* as text, *rcode* None where nobody answered, and what went wrong."""

    server: str
    rcode: int | None = None
    problem: str = ""


async def tell(origin: Name, resolver: Resolver, limits: WatchLimits) -> Told:
    """Find who listens for the parent of *origin*, and tell them that its CDS or CDNSKEY records have changed."""
    try:
        found = await _listener(origin, resolver)
        if found is None:
            return Told("dsync", problem="the parent publishes no DSYNC record for CDS")
        host, port = found
        addresses = await resolver.addresses(host)
    except Unresolved as error:
        return Told("dsync", problem=f"the DSYNC record or its target {error}")
    allowed = [one for one in addresses if limits.private or _is_public(one)]
    told = Told(f"dsync {names.to_text(host)}", problem="has no address")
    if addresses and not allowed:
        told = Told(told.server, problem="is not told: it has no address of the Internet (see [watch] private)")
    for address in allowed[:MOST_TOLD]:
        server = Server(address, port, host)
        rcode = await _notify(server, origin, limits.timeout)
        told = Told(f"dsync {server}", rcode, SILENT if rcode is None else f"answers {rcode}" if rcode else "")
        if rcode is not None:
            break
    return told


def lookup_names(origin: Name, asked: list[tuple[Name, dns.message.Message]]) -> Name | None:
    """Return the next name to ask for DSYNC records, after *asked* with its answers had none (RFC 9859 §4.1).

    First behind the first label; then before the labels of the parent, where the last negative answer shows that it is
    further up; then without labels before `_dsync`. None: there is nothing more to ask.
    """
    labels = names.labels(origin)
    if not asked:
        return _with_label(labels, 1)
    last, answer = asked[-1]
    tried = {name for name, _ in asked}
    apex = reading.apex(answer)
    if apex is not None and names.is_subdomain(origin, apex) and apex != origin:
        cut = len(labels) - names.count_labels(apex)
        further = _with_label(labels, cut)
        if further not in tried and not last.startswith(_label()):
            return further
    behind = last[last.find(_label()) :]
    return None if behind in tried else behind


def listener_in(answer: dns.message.Message) -> tuple[Name, int] | None:
    """Return target and port of the DSYNC record in *answer* that takes NOTIFY about CDS (RFC 9859 §2.3), or None."""
    return next(iter(sorted(_listeners(answer))), None)


def _listeners(answer: dns.message.Message) -> Iterator[tuple[Name, int]]:
    for rrset in answer.answer:
        for rdata in rrset if rrset.rdtype == DSYNC else ():
            octets = rdata.to_wire()
            try:
                rdtype, scheme, port = _HEAD.unpack_from(octets)
                target, end = names.read(octets, _HEAD.size)
            except (struct.error, BadName):
                continue
            if (rdtype, scheme, end) == (Type.CDS, NOTIFY_SCHEME, len(octets)) and port and target != names.ROOT:
                yield target, port


async def _listener(origin: Name, resolver: Resolver) -> tuple[Name, int] | None:
    asked: list[tuple[Name, dns.message.Message]] = []
    while len(asked) < MOST_LOOKUPS and (name := lookup_names(origin, asked)) is not None:
        answer = await resolver.ask(name, DSYNC)
        found = listener_in(answer)
        if found is not None:
            return found
        asked.append((name, answer))
    return None


def _with_label(labels: list[bytes], before: int) -> Name:
    out = b"".join(bytes((len(one),)) + one for one in (*labels[:before], LABEL, *labels[before:])) + b"\0"
    if len(out) > 255:
        raise Unresolved("would have too long a name")
    return out


def _label() -> bytes:
    return bytes((len(LABEL),)) + LABEL


def _is_public(address: str) -> bool:
    there = ipaddress.ip_address(address)
    return there.is_global and not there.is_multicast


class _Answers(asyncio.DatagramProtocol):
    """What a NOTIFY waits for: the RCODE of the answer to *ident* and *origin*."""

    def __init__(self, ident: int, origin: Name) -> None:
        self._wanted = ident, origin
        self.rcode: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:  # noqa: ARG002 - it is connected
        """Take an answer that has id and zone of what was sent."""
        read = notice.answered(data)
        ident, origin = self._wanted
        if read is not None and read[0] == ident and read[2] in (None, origin) and not self.rcode.done():
            self.rcode.set_result(read[1])

    def error_received(self, exc: Exception) -> None:
        """Hear that a port is closed: no answer is what it comes to."""


async def _notify(server: Server, origin: Name, wait: float) -> int | None:
    """Send NOTIFY(CDS) until it is answered, five times at most, and return the RCODE."""
    ident = secrets.randbits(16)
    octets = notice.about(ident, origin, Type.CDS)
    try:
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Answers(ident, origin), remote_addr=(server.address, server.port)
        )
    except OSError:
        return None
    try:
        for tries in range(TRIES):
            transport.sendto(octets)
            done, _ = await asyncio.wait((protocol.rcode,), timeout=wait * 2**tries)
            if done:
                return protocol.rcode.result()
    finally:
        transport.close()
    return None
