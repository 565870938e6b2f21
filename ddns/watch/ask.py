"""One question to one server, answered or not: the only place from which the watcher speaks DNS.

Law: it never raises for what a server does or fails to do; that is a sentence in what it returns. An answer counts
only from the address and port that were asked, with the question and the id that were sent (RFC 5452 §9.1).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name

PAYLOAD = 1232  # octets; what passes every path without fragments (DNS flag day 2020)
SILENT = "does not answer"
_AWAY = (SILENT, "refuses the connection", "cannot be reached")


class Server(msgspec.Struct, frozen=True):
    """Where to ask: an IPv4 or IPv6 *address* as text, and the *name* that led there, None where none did."""

    address: str
    port: int
    name: Name | None = None

    def __str__(self) -> str:
        """Return how logs and people call it: `ns2.example. 192.0.2.7:53`."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        where = f"{host}:{self.port}"
        return where if self.name is None else f"{names.to_text(self.name)} {where}"


class Said(msgspec.Struct, frozen=True):
    """What a server answered, a *message*, or a *problem* in its place: the rest of a sentence about the server."""

    message: dns.message.Message | None = None
    problem: str = ""


async def ask(
    server: Server, name: Name, rdtype: int, *, seconds: float, tcp: bool = False, recursive: bool = False
) -> Said:
    """Ask *server* for *name* and *rdtype*, within *seconds*, by UDP and again by TCP where that is too short.

    *recursive* asks a resolver (RD=1). SOA and address questions need no EDNS; others carry it, with DO.
    """
    large = rdtype not in (Type.SOA, Type.A, Type.AAAA)
    query = dns.message.make_query(
        dns.name.from_wire(name, 0)[0],
        dns.rdatatype.RdataType.make(rdtype),
        flags=dns.flags.RD if recursive else 0,
        use_edns=0 if large else False,
        want_dnssec=large,
        payload=PAYLOAD if large else None,
    )
    try:
        async with asyncio.timeout(seconds):
            return Said(await _exchange(server, query, tcp=tcp))
    except (TimeoutError, dns.exception.Timeout):
        return Said(problem=SILENT)
    except ConnectionRefusedError:
        return Said(problem="refuses the connection")
    except OSError as error:
        return Said(problem=f"cannot be reached ({error.strerror or type(error).__name__})")
    except EOFError:
        return Said(problem="closed the connection")
    except (dns.exception.DNSException, ValueError) as error:
        return Said(problem=f"answers what cannot be read ({type(error).__name__})")


async def _exchange(server: Server, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
    if not tcp:
        backend = dns.asyncbackend.get_backend("asyncio")
        family = dns.inet.af_for_address(server.address)
        # Connected, so that the kernel drops what others send, and tells of a closed port.
        where = (server.address, server.port)
        sock = await backend.make_socket(family, socket.SOCK_DGRAM, destination=where)  # type: ignore[no-untyped-call]
        async with sock:
            answer = await dns.asyncquery.udp(
                query, server.address, port=server.port, sock=sock, ignore_unexpected=True, ignore_errors=True
            )
        if not answer.flags & dns.flags.TC:
            return answer
    return await dns.asyncquery.tcp(query, server.address, port=server.port)


def is_away(problem: str) -> bool:
    """Tell whether *problem* is one of the server itself, whatever it is asked, and not of what it answers."""
    return problem.startswith(_AWAY)


def read_address(text: str, usual: int) -> Server:
    """Read ADDR, ADDR:PORT or [ADDR]:PORT; without a port it is *usual*. Raises `ValueError`."""
    host, port = text, str(usual)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no address; write 192.0.2.7:53 or [2001:db8::1]:53")
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not port.isdecimal() or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return Server(str(ipaddress.ip_address(host)), int(port))
