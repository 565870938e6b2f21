"""A question for a transfer, read and judged by its form alone (RFC 5936 §2.1, RFC 1995 §3)."""

from __future__ import annotations

import msgspec

from ddns.dns import names, wire
from ddns.dns.codes import Class, Opcode, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage, Edns

SOA_TAIL = 20  # octets of a SOA's five numbers (RFC 1035 §3.3.13)
MOST_RECORDS = 16  # ours: bounds the work for one question

_TYPES = (Type.AXFR, Type.IXFR)
# What stands in every question for a transfer: the end of the name, the type, class IN.
_AXFR, _IXFR = (b"\0" + rdtype.to_bytes(2, "big") + Class.IN.to_bytes(2, "big") for rdtype in _TYPES)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A question for a transfer of *origin*: *end* is the offset behind the question, *client* the asker's OPT.

    *serial* is what an asker for IXFR has, None for AXFR.
    """

    origin: Name
    type: int
    end: int
    client: Edns | None = None
    serial: int | None = None


def is_transfer(message: bytes) -> bool:
    """Tell whether *message* is a question of class IN for AXFR or IXFR; most are not, and it is told at once."""
    if _AXFR not in message and _IXFR not in message:
        return False
    try:
        header = wire.header(message)
        question = wire.question(message)
    except BadMessage:
        return False
    return (
        header.opcode == Opcode.QUERY
        and header.qdcount == 1
        and question.type in _TYPES
        and question.rdclass == Class.IN
    )


def read(message: bytes) -> tuple[Asked, Refusal | None]:
    """Read *message*, of which `is_transfer` is true, its TSIG cut off; and say what is wrong with it, or None."""
    question = wire.question(message)
    asked = Asked(question.name, question.type, question.end)
    header = wire.header(message)
    client: Edns | None = None
    serial: int | None = None
    if header.ancount or header.nscount != int(question.type == Type.IXFR):
        return asked, _malformed("an IXFR question has one SOA in its authority section, an AXFR question nothing")
    if header.arcount > MOST_RECORDS:
        return asked, _malformed("it carries too many records")
    end = question.end
    try:
        for index, record in enumerate(wire.walk(message, question.end, header.nscount + header.arcount)):
            end = record.end
            if index < header.nscount:
                if record.type != Type.SOA or record.name != question.name or record.rdlength < SOA_TAIL + 2:
                    return asked, _malformed("the authority section of an IXFR question has the SOA that the asker has")
                at = record.end - SOA_TAIL
                serial = int.from_bytes(message[at : at + 4], "big")
            elif record.type == Type.OPT:
                if client is not None or record.name != names.ROOT:
                    return asked, _malformed("there may be one OPT record, named by the root")
                client = wire.edns(message, record)
    except BadMessage as error:
        return asked, _malformed(str(error))
    asked = Asked(question.name, question.type, question.end, client, serial)
    if end != len(message):
        return asked, _malformed("octets stand behind the last record")
    if client is not None and client.version:
        return asked, Refusal("transfer-edns-version", Rcode.BADVERS, "Only version 0 of EDNS is spoken here.")
    return asked, None


def _malformed(reason: str) -> Refusal:
    return Refusal("transfer-malformed", Rcode.FORMERR, f"The question for a transfer is malformed: {reason}.")
