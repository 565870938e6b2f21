"""Every question that the table does not know: read, judged, compiled, written, and remembered where it lasts.

The guards stand in the order in which RFC 1035 §4.1 and RFC 6891 §6.1 lay out a message, and none of
them raises on input. What is no question gets an error or silence. dnspython is not used here.

A question with a TSIG is refused here: who has the keys (`ddns.net.questions`) cuts it off first and signs the
answer (RFC 8945 §5.2, §5.3). A SIG(0) on a question is ignored, as RFC 2931 §3 allows.
"""

from __future__ import annotations

import struct

import msgspec

from ddns.answer.compile import NeedZone, compile_answer
from ddns.answer.render import render
from ddns.answer.table import OPT, OPT_DO, Table
from ddns.dns import names, wire
from ddns.dns.asker import Asker
from ddns.dns.codes import (
    CLASS_IN,
    FLAG_QR,
    FLAG_RD,
    FLAG_TC,
    HEADER_SIZE,
    MAX_LABEL,
    MAX_MESSAGE,
    MAX_NAME,
    META_TYPES,
    UDP_MAX_PAYLOAD,
    UDP_MIN_PAYLOAD,
    Ede,
    Rcode,
    Type,
)
from ddns.dns.wire import BadMessage, Edns

_HEADER = struct.Struct("!6H")
_FLAGS = struct.Struct("!HH")
_OPCODE = 0x7800  # RFC 1035 §4.1.1, in the header's second word
_RECORDS = 16  # ours: bounds the work for one question; OPT, TSIG and SIG(0) are what means something there
_IN = CLASS_IN.to_bytes(2, "big")


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A message as far as it was understood: *end* is the offset behind the question, 12 where it did not parse.

    *client* is the asker's OPT, *signed* tells of a TSIG, *wrong* what is malformed.
    """

    end: int = HEADER_SIZE
    client: Edns | None = None
    signed: bool = False
    wrong: str = ""


class Responder:
    """Answers questions from the zones of *table*."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        self._table = table

    def respond(self, message: bytes, asker: Asker) -> bytes | NeedZone | None:
        """Answer *message*, which *asker* sent; None is silence."""
        size = len(message)
        if size < HEADER_SIZE:
            return None
        _, flags, qdcount, ancount, nscount, arcount = _HEADER.unpack_from(message)
        if flags & FLAG_QR:
            return None  # never answer an answer: two servers would talk for ever
        if flags & _OPCODE:
            return wire.error_reply(message, Rcode.NOTIMP)
        if qdcount != 1:
            return wire.error_reply(message, Rcode.FORMERR)  # RFC 9619 §4
        at = HEADER_SIZE
        while at < size and (length := message[at]):
            if length > MAX_LABEL:  # nothing stands before a question that it could point to
                return wire.error_reply(message, Rcode.FORMERR)
            at += 1 + length
        end = at + 5
        if end > size or at + 1 > HEADER_SIZE + MAX_NAME:
            return wire.error_reply(message, Rcode.FORMERR)
        question = message[HEADER_SIZE : at + 1].lower() + message[at + 1 : end]
        client: Edns | None = None
        if arcount == 1 and not ancount and not nscount:
            client = self._table.opt(message[end:])
        if client is None and (size != end or ancount or nscount or arcount):
            asked = _read(message, end, ancount, nscount, arcount)
            client = asked.client
            refused = _refuse(message, asked)
            if refused is not None:
                return refused
        if question[-2:] != _IN:
            return _error(message, Rcode.REFUSED, client, end, Ede.NOT_SUPPORTED, "Only class IN is served here.")
        rdtype = question[-4] << 8 | question[-3]
        if rdtype in META_TYPES and rdtype != Type.ANY:
            return _meta(message, rdtype, client, end)
        return self._answer(message, question, rdtype, end, client, tcp=asker.transport.stream)

    def _answer(
        self, message: bytes, question: bytes, rdtype: int, end: int, client: Edns | None, *, tcp: bool
    ) -> bytes | NeedZone:
        table = self._table
        do = client is not None and client.do
        name = question[:-4]
        limit = MAX_MESSAGE if tcp else UDP_MIN_PAYLOAD
        tail = b""
        if client is not None:
            tail = OPT_DO if do else OPT
            limit = (MAX_MESSAGE if tcp else min(client.payload, UDP_MAX_PAYLOAD)) - len(tail)
        draft = compile_answer(table.authority, name, rdtype, room=limit - end, do=do, tcp=tcp)
        if draft is None:
            text = "No zone that is served here holds this name."
            return _error(message, Rcode.REFUSED, client, end, Ede.NOT_AUTHORITATIVE, text)
        if isinstance(draft, NeedZone):
            return draft
        if draft.rcode == Rcode.SERVFAIL:
            text = "The zone has not been published yet; ask again later."
            return _error(message, Rcode.SERVFAIL, client, end, Ede.NOT_READY, text)
        answer = render(draft, name, limit, do=do)
        if tcp and answer.flags & FLAG_TC:
            text = "The answer is longer than a message can be."
            return _error(message, Rcode.SERVFAIL, client, end, Ede.OTHER, text)
        if draft.lasting:
            table.remember(question, answer, draft, edns=client is not None, do=do)
        edns = client is not None
        opening = _FLAGS.pack(FLAG_QR | message[2] << 8 & FLAG_RD | answer.flags, 1)
        return b"".join((message[:2], opening, answer.counts(edns=edns), message[HEADER_SIZE:end], answer.body, tail))

    @staticmethod
    def unavailable(message: bytes, text: str) -> bytes | None:
        """Answer that the zone cannot be read just now: SERVFAIL with the reason for people (RFC 8914 §4.15)."""
        if len(message) < HEADER_SIZE or message[2] & 0x80:
            return None
        end, client = HEADER_SIZE, None
        try:
            header = wire.header(message)
            end = wire.question(message).end
            client = _read(message, end, header.ancount, header.nscount, header.arcount).client
        except BadMessage:
            pass
        return _error(message, Rcode.SERVFAIL, client, end, Ede.NOT_READY, text)


def _read(message: bytes, end: int, ancount: int, nscount: int, arcount: int) -> Asked:
    """Read what stands behind the question, with the rules of RFC 6891 §6.1.1 and RFC 8945 §5.1."""
    client: Edns | None = None
    signed = False
    at = end
    if ancount:
        return Asked(end, wrong="A question carries no answers.")
    if nscount + arcount > _RECORDS:
        return Asked(end, wrong="The question carries too many records.")
    try:
        for index, record in enumerate(wire.walk(message, end, nscount + arcount)):
            at = record.end
            if signed:
                return Asked(end, client, wrong="A TSIG must be the last record.")
            if record.type == Type.OPT:
                if index < nscount or record.name != names.ROOT or client is not None:
                    return Asked(
                        end, client, wrong="There may be one OPT record, named by the root, in the additional section."
                    )
                client = wire.edns(message, record)
            elif record.type == Type.TSIG:
                signed = True
    except BadMessage as error:
        return Asked(end, client, wrong=f"The message is malformed: {error}.")
    if at != len(message):
        return Asked(end, client, wrong="Octets stand behind the last record.")
    return Asked(end, client, signed)


def _refuse(message: bytes, asked: Asked) -> bytes | None:
    """Return the answer to a message that is no proper question, or None."""
    client, end = asked.client, asked.end
    if asked.wrong:
        return _error(message, Rcode.FORMERR, client, end, Ede.OTHER, asked.wrong)
    if client is not None and client.version:
        return wire.error_reply(message, Rcode.BADVERS, client=client, end=end)  # RFC 6891 §6.1.3
    if asked.signed:
        text = "The TSIG of this question cannot be checked here; ask without a key."
        return _error(message, Rcode.REFUSED, client, end, Ede.NOT_SUPPORTED, text)
    return None


def _meta(message: bytes, rdtype: int, client: Edns | None, end: int) -> bytes:
    """Answer a question for a type that is never data (RFC 6895 §3.1)."""
    if rdtype in (Type.AXFR, Type.IXFR):
        text = "Zone transfers are not supported yet."
        return _error(message, Rcode.NOTIMP, client, end, Ede.NOT_SUPPORTED, text)
    if rdtype in (Type.MAILA, Type.MAILB, Type.TKEY):
        return _error(message, Rcode.NOTIMP, client, end, Ede.NOT_SUPPORTED, "This query type is not supported.")
    text = "This type never holds data, so it cannot be asked for."
    return _error(message, Rcode.FORMERR, client, end, Ede.INVALID_QUERY_TYPE, text)


def _error(message: bytes, rcode: Rcode, client: Edns | None, end: int, code: Ede, text: str) -> bytes:
    return wire.error_reply(message, rcode, client=client, options=(wire.ede(code, text),), end=end)
