"""A NOTIFY as a message, and its answer (RFC 1996)."""

from __future__ import annotations

import struct

from ddns.dns import wire
from ddns.dns.codes import CLASS_IN, FLAG_AA, FLAG_QR, HEADER_SIZE, Opcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, pack_rr
from ddns.dns.wire import BadMessage

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!HH")


def message(ident: int, origin: Name, ttl: int, soa: Rdata) -> bytes:
    """Return the NOTIFY that *origin* has the SOA *soa* now (RFC 1996 §3.7, §4.5)."""
    head = _HEADER.pack(ident, Opcode.NOTIFY << 11 | FLAG_AA, 1, 1, 0, 0)
    question = origin + _QUESTION.pack(Type.SOA, CLASS_IN)
    return head + question + pack_rr(origin, Type.SOA, ttl, soa)


def about(ident: int, child: Name, rdtype: int) -> bytes:
    """Return the NOTIFY to a parent that the records of *rdtype* at *child*'s apex have changed (RFC 9859 §4)."""
    head = _HEADER.pack(ident, Opcode.NOTIFY << 11 | FLAG_AA, 1, 0, 0, 0)
    return head + child + _QUESTION.pack(rdtype, CLASS_IN)


def answered(octets: bytes) -> tuple[int, int, Name | None] | None:
    """Return id, RCODE and zone of the answer to a NOTIFY, or None where *octets* are none (RFC 1996 §3.6, §4.7).

    An answer without a question, as some servers send it, names no zone.
    """
    if len(octets) < HEADER_SIZE:
        return None
    ident, flags = struct.unpack_from("!HH", octets)
    if not flags & FLAG_QR or flags >> 11 & 15 != Opcode.NOTIFY:
        return None
    if octets[4:6] == b"\0\0":
        return ident, flags & 15, None
    try:
        return ident, flags & 15, wire.question(octets).name
    except BadMessage:
        return None
