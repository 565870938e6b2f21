"""One POST to an address that somebody else chose: over TLS, bounded in time and size, never to where it must not go.

Law: the name is resolved once, each address is judged, and the connection goes to the one that was judged; nobody is
followed anywhere by a redirect. Only the status of the answer is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence

import msgspec

from ddns.dns import localhost
from ddns.operator.webhooks import Place

TIME = 10.0  # seconds for all of it: resolving, connecting, the handshake, and the first line of the answer
_MOST_LINE = 1024  # octets of that line
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r?\n|$)")
# Ways into IPv4 by another name (RFC 4291 §2.5.5, 3056, 4380, 6052, 8215): who means IPv4 writes it so.
_TUNNELS = tuple(map(ipaddress.IPv6Network, ("::/96", "2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Answered(msgspec.Struct, frozen=True):
    """What came of it: the *status* of the answer, or 0 and the *problem* as a sentence."""

    status: int
    problem: str = ""

    @property
    def taken(self) -> bool:
        """Return whether the other side has taken it."""
        return 200 <= self.status < 300


def may_go_to(address: Address) -> bool:
    """Tell whether *address* is of the public Internet: not this host, not a network of ours, not a group."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return may_go_to(mapped)
    if isinstance(address, ipaddress.IPv6Address) and any(address in tunnel for tunnel in _TUNNELS):
        return False
    return address.is_global and not (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
        or address.is_reserved or address.is_unspecified
    )  # fmt: skip


def choose(found: Sequence[str], *, private: bool) -> str | None:
    """Return the first of these addresses that may be spoken to; with *private* any may."""
    for text in found:
        if private or ("%" not in text and may_go_to(ipaddress.ip_address(text))):
            return text
    return None


async def post(
    place: Place, headers: Sequence[tuple[str, str]], body: bytes, context: ssl.SSLContext, *, private: bool
) -> Answered:
    """Send *body* to *place*, and tell what was answered; nothing is raised for what others do."""
    try:
        async with asyncio.timeout(TIME):
            return await _posted(place, headers, body, context, private=private)
    except TimeoutError:
        return Answered(0, f"there was no answer within {TIME:.0f} seconds")
    except ssl.SSLCertVerificationError as error:
        return Answered(0, f"its certificate is not good: {error.verify_message}")
    except ssl.SSLError as error:
        return Answered(0, f"it does not speak TLS as we do: {error.reason or 'the handshake failed'}")
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None)
        return Answered(0, f"it cannot be reached: {reason or 'the connection ended'}")


async def _posted(
    place: Place, headers: Sequence[tuple[str, str]], body: bytes, context: ssl.SSLContext, *, private: bool
) -> Answered:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(localhost.asked_for(place.host), place.port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return Answered(0, f"the name {place.host} leads to no address")
    except UnicodeError:
        return Answered(0, f"{place.host} is no name of a host")
    address = choose([str(one[4][0]) for one in found], private=private)
    if address is None:
        return Answered(0, f"{place.host} is no host of the public Internet, and this registry sends to no other")
    reader, writer = await asyncio.open_connection(
        address, place.port, ssl=context, server_hostname=place.host, limit=_MOST_LINE
    )
    try:
        said = [("Host", place.authority), *headers, ("Content-Length", str(len(body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in said)
        writer.write(f"POST {place.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await writer.drain()
        return _read(await _first_line(reader))
    finally:
        writer.transport.abort()  # what else it wants to say is not heard, and a slow goodbye is not waited for


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than the limit
        return b""


def _read(line: bytes) -> Answered:
    found = _STATUS.match(line)
    if found is None:
        return Answered(0, "what it answered is not HTTP")
    status = int(found[1])
    if 300 <= status < 400:
        return Answered(status, f"it answered {status}, and redirects are not followed; name the address where it is")
    return Answered(status, "" if 200 <= status < 300 else f"it answered {status}")
