"""What a server answered to an UPDATE, and how far it may be believed.

Law: to a TSIG-signed request, NOERROR counts only with the server's own TSIG; a complaint without one
is a hint that is taken when nothing better comes. To a SIG(0)-signed request the same holds where the
server's own KEY is known; where it has none (RFC 2931 §3.2 leaves it to servers), the message ID, the zone and the
connected socket must do.
"""

from __future__ import annotations

import re

import msgspec

from ddns.auth import sig0, tsig
from ddns.auth.principal import Credential
from ddns.dns import wire
from ddns.dns.codes import EDNS_EDE, FLAG_TC, HEADER_SIZE, Opcode, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage
from ddns.zone.request import UPDATE_LEASE

_CODE = re.compile(r"\[([a-z0-9][a-z0-9-]{0,62})\]$")
_AUTH_ERRORS = (16, int(Rcode.BADKEY), int(Rcode.BADTIME), int(Rcode.BADTRUNC))  # BADSIG shares 16 with BADVERS


class Request(msgspec.Struct, frozen=True):
    """A signed request: its *message*, the *zone* it is for, and for TSIG the *credential* and the *mac*.

    For SIG(0), *server* is the name and the KEY (RDATA) of who must have signed the answer, where that is known.
    """

    message: bytes
    zone: Name
    credential: Credential | None = None
    mac: bytes = b""
    server: tuple[Name, Rdata] | None = None


class Reply(msgspec.Struct, frozen=True):
    """An answer: *rcode* with its EDNS bits, extended errors as (*code*, *text*), a TSIG or SIG(0) *error* or 0.

    *proved* says that nobody but the server can have made it, *doubtful* that a better answer may follow;
    *server_time* is its clock where the error is BADTIME; *lease* (seconds) what it granted (RFC 9664 §4);
    *by_datagram* that it came by UDP.
    """

    rcode: int
    errors: tuple[tuple[int, str], ...] = ()
    error: int = 0
    proved: bool = False
    doubtful: bool = False
    server_time: int | None = None
    truncated: bool = False
    lease: int = 0
    by_datagram: bool = False

    @property
    def code(self) -> str:
        """Return the registry's code of the refusal, which ends the sentence in brackets; empty: it gave none."""
        for _, text in self.errors:
            found = _CODE.search(text)
            if found:
                return found[1]
        return ""


class Unproved(msgspec.Struct, frozen=True):
    """An answer that says that it was done, and that the registry did not sign: *reason* says what is wrong with it."""

    reason: str


def read(octets: bytes, request: Request, now: int) -> Reply | Unproved | None:
    """Read *octets* as the answer to *request*; None where they are not, `Unproved` where they are not believed."""
    try:
        head = wire.header(octets)
        if not head.is_response or octets[:2] != request.message[:2] or head.opcode != Opcode.UPDATE:
            return None
        at = HEADER_SIZE
        if head.qdcount:
            question = wire.question(octets)
            if head.qdcount > 1 or question.name != request.zone:
                return None
            at = question.end
        rcode = head.flags & 15
        errors: tuple[tuple[int, str], ...] = ()
        lease = 0
        for record in wire.walk(octets, at, head.ancount + head.nscount + head.arcount):
            if record.type == Type.OPT:
                rcode |= (record.ttl >> 24) << 4
                edns = wire.edns(octets, record)
                errors, lease = _errors(edns), _lease(edns)
    except BadMessage:
        return None
    truncated = bool(head.flags & FLAG_TC)
    if request.credential is None:
        error = rcode if rcode in _AUTH_ERRORS else 0
        reply = Reply(rcode, errors, error, doubtful=bool(error), truncated=truncated, lease=lease)
        return reply if request.server is None else _signed(octets, request.message, request.server, now, reply)
    return _proved(octets, request, now, Reply(rcode, errors, truncated=truncated, lease=lease))


def _proved(octets: bytes, request: Request, now: int, reply: Reply) -> Reply | Unproved:
    """Return *reply* with what its TSIG says (RFC 8945 §5.4); a NOERROR that the registry did not sign is none."""
    assert request.credential is not None
    refusal = tsig.verify_reply(octets, request.mac, request.credential, now)
    if refusal is None:
        return msgspec.structs.replace(reply, proved=True)
    record = tsig.cut(octets)
    if isinstance(record, Refusal) or record is None:
        # A server that cannot even look the key up answers without a TSIG.
        return Unproved("it is not signed") if reply.rcode == Rcode.NOERROR and not reply.truncated else _doubted(reply)
    if refusal.code == "reply-signature-wrong":
        return Unproved("it is signed with another key")
    if refusal.error == Rcode.BADTIME:
        theirs = int.from_bytes(record.other[:6], "big") if record.error else record.time
        return msgspec.structs.replace(reply, error=int(Rcode.BADTIME), proved=True, server_time=theirs)
    if reply.rcode == Rcode.NOERROR:
        return Unproved("its signature is not by our key")
    if refusal.error == Rcode.BADTRUNC:
        return msgspec.structs.replace(reply, error=refusal.error, proved=True)
    return _doubted(msgspec.structs.replace(reply, error=refusal.error))


def _signed(octets: bytes, request: bytes, server: tuple[Name, Rdata], now: int, reply: Reply) -> Reply | Unproved:
    """Return *reply* with what the server's SIG(0) says (RFC 2931 §3.1); a NOERROR that it did not sign is none."""
    name, public = server
    refusal = sig0.verify_reply(octets, request, public, name, now)
    if refusal is None:
        return msgspec.structs.replace(reply, proved=True, doubtful=False)
    if reply.rcode != Rcode.NOERROR or reply.truncated:
        # A server signs for nobody whom it has not verified.
        return _doubted(reply)
    return Unproved("it is not signed" if sig0.cut(octets) is None else "it is not signed by the registry's key")


def _doubted(reply: Reply) -> Reply:
    return msgspec.structs.replace(reply, doubtful=True)


def _lease(edns: wire.Edns) -> int:
    """Return the lease that was granted to the records, in seconds; 0: none (RFC 9664 §4)."""
    for code, octets in edns.options:
        if code == UPDATE_LEASE and len(octets) in (4, 8):
            return int.from_bytes(octets[:4], "big")
    return 0


def _errors(edns: wire.Edns) -> tuple[tuple[int, str], ...]:
    """Return the extended errors (RFC 8914 §2); their text goes to terminals, so only what prints stays."""
    out = []
    for code, octets in edns.options:
        if code == EDNS_EDE and len(octets) >= 2:
            text = octets[2:].decode("utf-8", "replace")
            out.append(
                (int.from_bytes(octets[:2], "big"), "".join(c if c.isprintable() else " " for c in text).strip())
            )
    return tuple(out)
