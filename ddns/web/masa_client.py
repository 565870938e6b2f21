"""Asks a vendor's MASA for a voucher, and for its log of a box (RFC 8995 §5.5, §5.8.1).

Law: only the address in a bond is spoken to, never one that a box names; every answer is bounded in octets and time,
redirects are not followed, and no transaction is open meanwhile. The name is resolved once, and the address that was
judged is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl

import msgspec

from ddns.dns import localhost
from ddns.operator.webhooks import Place
from ddns.web import posting

TIME = 10.0  # seconds for all of it
MOST = 65_536  # octets of an answer's body
MOST_HEAD = 16_384  # octets of its status line and headers
AT_ONCE = 4  # requests to one MASA at a time

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r\n)")
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,9})[ \t]*\r$")
_MEDIA = re.compile(rb"(?im)^content-type:[ \t]*([!-~]{1,100}?)[ \t]*(?:;[^\r\n]*)?\r$")
_LOCATION = re.compile(rb"(?im)^location:[ \t]*([!-~]{1,1024})[ \t]*\r$")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r$")


class Said(msgspec.Struct, frozen=True):
    """What a MASA answered: *status* 0 where nothing came, and then *problem* says why; *location* is where it lies."""

    status: int
    media: str = ""
    body: bytes = b""
    problem: str = ""
    location: str = ""


class MasaClient:
    """Speaks to MASAs, to each with few connections at a time. *private*: they may lie at private addresses."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def post(
        self, place: Place, path: str, media: str, accept: str, body: bytes, context: ssl.SSLContext
    ) -> Said:
        """Send *body* to *path* at *place*, and return what was answered; nothing is raised for what others do."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {place.authority}\r\nContent-Type: {media}\r\nAccept: {accept}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return await self._in_turn(place, head.encode("ascii") + body, context)

    async def get(self, place: Place, path: str, accept: str, context: ssl.SSLContext) -> Said:
        """Fetch *path* at *place*, and return what was answered; nothing is raised for what others do."""
        head = f"GET {path} HTTP/1.1\r\nHost: {place.authority}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        return await self._in_turn(place, head.encode("ascii"), context)

    async def _in_turn(self, place: Place, octets: bytes, context: ssl.SSLContext) -> Said:
        turn = self._turns.setdefault(place.authority, asyncio.Semaphore(AT_ONCE))
        try:
            async with asyncio.timeout(TIME), turn:
                return await self._asked(place, octets, context)
        except TimeoutError:
            return Said(0, problem=f"there was no answer within {TIME:.0f} seconds")
        except ssl.SSLCertVerificationError as error:
            return Said(0, problem=f"its certificate is not good: {error.verify_message}")
        except ssl.SSLError as error:
            return Said(0, problem=f"it does not speak TLS as we do: {error.reason or 'the handshake failed'}")
        except OSError as error:
            return Said(0, problem=f"it cannot be reached: {error.strerror or 'the connection ended'}")
        except (EOFError, ValueError, asyncio.LimitOverrunError):
            return Said(0, problem="its answer broke off, or is too long")

    async def _asked(self, place: Place, octets: bytes, context: ssl.SSLContext) -> Said:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(localhost.asked_for(place.host), place.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            return Said(0, problem=f"the name {place.host} leads to no address")
        address = posting.choose([str(one[4][0]) for one in found], private=self._private)
        if address is None:
            return Said(0, problem=f"{place.host} is no host of the public Internet")
        reader, writer = await asyncio.open_connection(
            address, place.port, ssl=context, server_hostname=place.host, limit=MOST_HEAD
        )
        try:
            writer.write(octets)
            await writer.drain()
            return await _read(reader)
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Said:
    """Read one answer. Raises `EOFError` and `ValueError` where it is none, or too long."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None:
        return Said(0, problem="what it answered is not HTTP")
    media = _MEDIA.search(head)
    if _CHUNKED.search(head):
        body = await _chunks(reader)
    elif (length := _LENGTH.search(head)) is not None:
        if int(length[1]) > MOST:
            return Said(0, problem=f"its answer has more than {MOST} octets")
        body = await reader.readexactly(int(length[1]))
    else:
        body = await reader.read(MOST + 1)
        while len(body) <= MOST and (more := await reader.read(MOST + 1)):
            body += more
    if len(body) > MOST:
        return Said(0, problem=f"its answer has more than {MOST} octets")
    made = _LOCATION.search(head)
    return Said(
        int(status[1]), media[1].decode("ascii").lower() if media else "", body,
        location=made[1].decode("ascii") if made else "",
    )  # fmt: skip


def within(place: Place, location: str) -> str:
    """Return the path of a *location* that lies at the same authority as *place*; nothing for any other."""
    if location.startswith("/") and not location.startswith("//"):
        return location
    before = f"https://{place.authority}/"
    return location[len(before) - 1 :] if location.startswith(before) else ""


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a body that comes in chunks (RFC 9112 §7.1), as far as it is looked at."""
    body = b""
    while len(body) <= MOST:
        line = (await reader.readline()).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,6}", line):
            raise ValueError("a chunk has no length")
        size = int(line, 16)
        if size == 0:
            return body
        if size > MOST:
            return bytes(MOST + 1)
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return body
