"""Who the registry's server is: the KEY with which it signs its answers to our SIG(0) (RFC 2931 §3.1).

It is asked for with the invitation's TSIG key, so that only the registry can have given it, and kept. The server's
name is the one that the registry's zone names as its primary (RFC 1035 §3.3.13, MNAME).
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable

import msgspec

from ddns.auth import keys, tsig
from ddns.auth.keys import BadKey
from ddns.auth.principal import Credential
from ddns.dns import names, wire
from ddns.dns.codes import CLASS_IN, HEADER_SIZE, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata, read_rdata
from ddns.dns.wire import BadMessage
from ddns.gateway import client
from ddns.gateway.reply import Reply

_DANE_EE = b"\x03\x01\x01"  # the server's own public key, by its SHA-256 (RFC 7218 §2)
_TLSA = 35  # octets of such a record

# Sends a signed question and reads what comes back: `client.exchange` with all but these two decided.
Ask = Callable[[bytes, client.Read], object]


class ServerKey(msgspec.Struct, frozen=True):
    """The server's *name* and *public*, the RDATA of the KEY that it signs with."""

    name: Name
    public: Rdata

    def to_text(self) -> str:
        """Return what `from_text` reads: the name, a blank, the RDATA in base64."""
        return f"{names.to_text(self.name)} {base64.b64encode(self.public).decode()}"

    @classmethod
    def from_text(cls, text: str) -> ServerKey | None:
        """Read what `to_text` wrote; None where there is nothing, or nothing that is a key."""
        try:
            name, _, public = text.partition(" ")
            key = cls(names.from_text(name), base64.b64decode(public, validate=True))
            keys.check(key.public)
        except (BadName, BadKey, binascii.Error):
            return None
        return key


def learn(ask: Ask, zone: Name, credential: Credential, now: int, ident: Callable[[], int]) -> ServerKey | None:
    """Return the key of the server that is *zone*'s primary, as it says itself, signed; None where it has none.

    *now* is in seconds since 1970, *ident* gives message ids.
    """
    for soa in _values(ask, zone, Type.SOA, credential, now, ident()):
        server = soa[: names.skip(soa, 0)].lower()
        for public in _values(ask, server, Type.KEY, credential, now, ident()):
            try:
                keys.check(public)
            except BadKey:
                continue
            return ServerKey(server, public)
    return None


def pins(
    ask: Ask, name: Name, port: int, credential: Credential, now: int, ident: Callable[[], int]
) -> tuple[str, ...] | None:
    """Return the digests, in hex, of the keys that the TLS server *name* at the TCP *port* has: TLSA 3 1 1 (RFC 6698).

    The answer is the registry's, signed with *credential*; None where it did not come: then nobody knows.
    """
    owner = names.prepend(f"_{port}".encode(), names.prepend(b"_tcp", name))
    found = _answered(ask, owner, Type.TLSA, credential, now, ident())
    if found is None:
        return None
    return tuple(sorted({one[3:].hex() for one in found if one[:3] == _DANE_EE and len(one) == _TLSA}))


def _values(ask: Ask, name: Name, rdtype: int, credential: Credential, now: int, ident: int) -> list[Rdata]:
    """Return the records of *rdtype* at *name* that an answer holds which is signed with *credential*."""
    return _answered(ask, name, rdtype, credential, now, ident) or []


def _answered(ask: Ask, name: Name, rdtype: int, credential: Credential, now: int, ident: int) -> list[Rdata] | None:
    """Return what `_values` does, None where no such answer came."""
    question = struct.pack("!6H", ident, 0, 1, 0, 0, 0) + name + struct.pack("!HH", rdtype, CLASS_IN)
    message, mac = tsig.sign_request(question, credential, now)
    found: list[Rdata] = []

    def read(octets: bytes) -> Reply | None:
        if octets[:2] != message[:2] or tsig.verify_reply(octets, mac, credential, now) is not None:
            return None
        try:
            head = wire.header(octets)
            at = wire.question(octets).end if head.qdcount == 1 else HEADER_SIZE
            found.extend(
                read_rdata(rdtype, octets, record.rdata, record.rdlength)
                for record in wire.walk(octets, at, head.ancount)
                if (record.name, record.type, record.rdclass) == (name, rdtype, CLASS_IN)
            )
        except (BadMessage, BadRdata):
            return None
        return Reply(head.flags & 15, proved=True)

    return found if isinstance(ask(message, read), Reply) else None
