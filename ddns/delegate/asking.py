"""What each listed server of a child says about it, asked directly and over TCP (RFC 9975 §3).

Law: whoever a stranger's delegation names is asked, so all of it is bounded: how many servers, how many addresses of
each, how many questions, how much of an answer, how long; and nobody is asked who sits near us rather than in the
world, unless a setting allows it. It never raises for what a server does: that is a `problem` in what is returned. An
answer counts only where the server is an authority (AA), and nothing is believed here: `ddns.zone.acceptance` judges.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterable

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import msgspec
from msgspec.structs import replace

from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.zone.child import GLUE_TYPES, Child, ServerSaid, glue_addresses, is_public


class Unresolved(Exception):
    """A name that nobody can look up just now."""


# Returns a name's IPv4 and IPv6 addresses, none where it has none; raises `Unresolved`.
Resolve = Callable[[Name], Awaitable[Iterable[str]]]

_APEX = {
    Type.NS: "ns", Type.DNSKEY: "dnskey", Type.CDS: "cds", Type.CDNSKEY: "cdnskey", Type.CSYNC: "csync",
}  # fmt: skip

MOST_RECORDS = 256  # of one answer, in all its sections
_COUNTS = struct.Struct("!4x4H")  # of a header: questions, and the records of each section (RFC 1035 §4.1.1)


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one check; times in seconds.

    *records* and *signatures* are those of one RRset, *octets* those of one answer.
    """

    servers: int = 13
    addresses: int = 8
    at_once: int = 8
    question: float = 3.0
    all: float = 7.0
    records: int = 32
    signatures: int = 16
    octets: int = 16_384


async def ask_all(
    origin: Name,
    child: Child,
    resolve: Resolve,
    now: Callable[[], int],
    *,
    private: bool = False,
    port: int = 53,
    limits: Limits | None = None,
) -> tuple[ServerSaid, ...]:
    """Ask every server of *child* about *origin*, at every address: its glue, or what *resolve* finds.

    *private*: addresses that nobody can reach from afar are asked too. What takes longer than the limits is a problem
    of the server; so is one without an address.
    """
    bounds = limits or Limits()
    places = asyncio.Semaphore(bounds.at_once)
    answers: dict[tuple[Name, str], ServerSaid] = {}

    async def ask(server: Name, address: str) -> None:
        async with places:
            answers[server, address] = await _ask(origin, server, address, port, now, bounds)

    async def find(server: Name) -> None:
        try:
            found = await _addresses(server, child, resolve, bounds)
        except Unresolved:
            answers[server, ""] = ServerSaid(server, "", asked=now(), problem="could not be looked up")
            return
        for address in found or ("",):
            answers[server, address] = ServerSaid(
                server, address, asked=now(), problem="did not answer in time" if found else "has no address"
            )
        near = [one for one in found if not private and not is_public(one)]
        for address in near:
            problem = "is not asked, because nobody can reach it from elsewhere"
            answers[server, address] = replace(answers[server, address], problem=problem)
        async with asyncio.TaskGroup() as group:
            for address in found:
                if address not in near:
                    group.create_task(ask(server, address))

    try:
        async with asyncio.timeout(bounds.all), asyncio.TaskGroup() as group:
            for server in child.servers[: bounds.servers]:
                answers[server, ""] = ServerSaid(
                    server, "", asked=now(), problem="has no address that was found in time"
                )
                group.create_task(find(server))
    except TimeoutError:
        pass
    named = {server for server, address in answers if address}
    said = [one for (server, address), one in answers.items() if address or server not in named]
    said += [
        ServerSaid(server, "", asked=now(), problem="is one server too many")
        for server in child.servers[bounds.servers :]
    ]
    return tuple(sorted(said, key=lambda one: (one.server, one.address)))


async def _addresses(server: Name, child: Child, resolve: Resolve, limits: Limits) -> tuple[str, ...]:
    """Return where *server* is asked: glue first, because that is where resolvers are led."""
    glue = glue_addresses(child).get(server)
    found = glue if glue is not None else tuple(sorted(set(await resolve(server))))
    return found[: limits.addresses]


async def _ask(
    origin: Name, server: Name, address: str, port: int, now: Callable[[], int], limits: Limits
) -> ServerSaid:
    """Ask one server at one address all that there is to ask."""
    said = ServerSaid(server, address, asked=now())
    line = _Line(address, port, limits)
    try:
        return await _questions(said, origin, line, limits)
    except TimeoutError:
        return replace(said, problem="does not answer over TCP in time")
    except ConnectionRefusedError:
        return replace(said, problem="refuses connections over TCP")
    except OSError as error:
        return replace(said, problem=f"cannot be reached over TCP ({error.strerror or type(error).__name__})")
    except EOFError:
        return replace(said, problem="closed the connection without an answer")
    except _Unusable as unusable:
        return replace(said, problem=str(unusable))
    except (dns.exception.DNSException, records.BadRdata, names.BadName, ValueError, struct.error) as error:
        return replace(said, problem=f"answers what cannot be read ({type(error).__name__})")
    finally:
        await line.close()


async def _questions(said: ServerSaid, origin: Name, line: _Line, limits: Limits) -> ServerSaid:
    soa = await line.ask(origin, Type.SOA, limits)
    if soa is None:
        raise _Unusable("has no SOA of the zone")
    found: dict[str, SignedRRset | None] = {}
    for rdtype, field in _APEX.items():
        found[field] = await line.ask(origin, rdtype, limits)
    shown = found["ns"]
    below = [name for name in (() if shown is None else shown.rdatas) if names.is_subdomain(name, origin)]
    hosts = [await line.ask(name, rdtype, limits) for name in below[: limits.servers] for rdtype in sorted(GLUE_TYPES)]
    return replace(
        said,
        authoritative=True,
        serial=records.soa_serial(soa.rdatas[0]),
        soa=soa,
        hosts=tuple(one for one in hosts if one is not None),
        **found,
    )


class _Unusable(Exception):
    """What the server answers does not count; the message says why."""


class _Line:
    """A connection to one server over which questions are asked one after the other."""

    def __init__(self, address: str, port: int, limits: Limits) -> None:
        self._address, self._port, self._limits = address, port, limits
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, name: Name, rdtype: int, limits: Limits) -> SignedRRset | None:
        """Return the RRset and its signatures, None where there is none.

        Raises `_Unusable`, and whatever the network and dnspython do.
        """
        query = dns.message.make_query(
            dns.name.from_wire(name, 0)[0], dns.rdatatype.RdataType.make(rdtype), flags=0, want_dnssec=True
        )
        async with asyncio.timeout(self._limits.question):
            fresh = self._stream is None
            try:
                answer = await self._exchange(query)
            except (EOFError, OSError):
                if fresh:
                    raise
                # A server may close a connection after any answer (RFC 7766 §6.2.4).
                await self.close()
                answer = await self._exchange(query)
        return _read(answer, name, rdtype, limits)

    async def _exchange(self, query: dns.message.Message) -> dns.message.Message:
        """Send *query* and return the answer; one that is too long is not even read: parsing it is what costs."""
        if self._stream is None:
            self._stream = await asyncio.open_connection(self._address, self._port)
        reader, writer = self._stream
        octets = query.to_wire()
        writer.write(len(octets).to_bytes(2, "big") + octets)
        await writer.drain()
        size = int.from_bytes(await reader.readexactly(2), "big")
        if size > self._limits.octets:
            raise _Unusable("answers with more octets than are read")
        octets = await reader.readexactly(size)
        if size >= _COUNTS.size and sum(_COUNTS.unpack_from(octets)[1:]) > MOST_RECORDS:
            raise _Unusable("answers with more records than are read")
        answer = dns.message.from_wire(octets)
        if not query.is_response(answer):
            raise _Unusable("answers something else than was asked")
        return answer

    async def close(self) -> None:
        """Close the connection, if there is one; nobody waits until the other side has done so too."""
        if self._stream is not None:
            (_, writer), self._stream = self._stream, None
            writer.close()


def _read(answer: dns.message.Message, name: Name, rdtype: int, limits: Limits) -> SignedRRset | None:
    """Return what *answer* holds of *rdtype* at *name*. Raises `_Unusable`."""
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise _Unusable(f"answers {dns.rcode.to_text(rcode)}")
    if not answer.flags & dns.flags.AA:
        raise _Unusable("answers without being an authority")
    owner = dns.name.from_wire(name, 0)[0]
    found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype))
    if found is None:
        return None
    signatures = answer.get_rrset(
        answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.RRSIG, dns.rdatatype.RdataType.make(rdtype)
    )
    rdatas = _wire(rdtype, found)
    sigs = () if signatures is None else _wire(Type.RRSIG, signatures)
    if len(rdatas) > limits.records or len(sigs) > limits.signatures:
        raise _Unusable("shows more records or signatures than are read")
    return SignedRRset(name, rdtype, found.ttl, rdatas, sigs)


def _wire(rdtype: int, rdatas: Iterable[dns.rdata.Rdata]) -> tuple[bytes, ...]:
    return tuple(sorted({records.canonical(rdtype, rdata.to_wire() or b"") for rdata in rdatas}))
