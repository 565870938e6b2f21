"""Every question that the table does not know: read, judged, compiled, written, and remembered where it lasts.

The guards stand in the order in which RFC 1035 §4.1 and RFC 6891 §6.1 lay out a message, and none of
them raises on input. What is no question gets an error or silence. dnspython is not used here.

A question with a TSIG is refused here: who has the keys (`ddns.net.questions`) cuts it off first and signs the
answer (RFC 8945 §5.2, §5.3). A SIG(0) on a question is ignored, as RFC 2931 §3 allows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from ddns.answer.compile import Draft, NeedZone, compile_answer
from ddns.answer.cookies import Verdict
from ddns.answer.image import ZoneImage
from ddns.answer.links import Missing
from ddns.answer.online import NeedSigned, Proofs, is_compact
from ddns.answer.options import Option, Options, expire, first, opt
from ddns.answer.options import size as size_of
from ddns.answer.render import render
from ddns.answer.served import QUESTION_POINTER, rdatas
from ddns.answer.table import OPT, OPT_DO, Table
from ddns.dns import names, wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import (
    CLASS_IN,
    FLAG_AA,
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
    Class,
    Ede,
    EdnsOption,
    Rcode,
    Type,
)
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage, Edns

_HEADER = struct.Struct("!6H")
_FLAGS = struct.Struct("!HH")
_OPCODE = 0x7800  # RFC 1035 §4.1.1, in the header's second word
_RECORDS = 16  # ours: bounds the work for one question; OPT, TSIG and SIG(0) are what means something there
_IN = CLASS_IN.to_bytes(2, "big")

# What a server says of itself in class CHAOS (RFC 4892 §2), and which setting says it.
_CHAOS = Class.CH.to_bytes(2, "big")
_TEXT = (Type.TXT.to_bytes(2, "big"), Type.ANY.to_bytes(2, "big"))
_IDENTITY, _VERSION = "identity", "version"
_SELF = {
    names.from_text("id.server."): _IDENTITY,
    names.from_text("hostname.bind."): _IDENTITY,
    names.from_text("version.server."): _VERSION,
    names.from_text("version.bind."): _VERSION,
}
ELSEWHERE = Refusal(
    "name-elsewhere", Rcode.REFUSED, "No zone that is served here holds this name.", Ede.NOT_AUTHORITATIVE
)
UNPUBLISHED = Refusal(
    "zone-unpublished", Rcode.SERVFAIL, "The zone has not been published yet; ask again later.", Ede.NOT_READY
)
TOO_LONG = Refusal("answer-too-long", Rcode.SERVFAIL, "The answer is longer than a message can be.")
NO_OPERATION = Refusal(
    "operation-unknown",
    Rcode.NOTIMP,
    "This server answers queries and takes updates; it knows no such operation.",
    Ede.NOT_SUPPORTED,
)
SIGNED = Refusal(
    "question-signed",
    Rcode.REFUSED,
    "The TSIG of this question cannot be checked here; ask without a key.",
    Ede.NOT_SUPPORTED,
)
OTHER_CLASS = Refusal("class-not-served", Rcode.REFUSED, "Only class IN is served here.", Ede.NOT_SUPPORTED)
UNSUPPORTED = Refusal("type-unsupported", Rcode.NOTIMP, "This query type is not supported.", Ede.NOT_SUPPORTED)
NO_DATA = Refusal(
    "type-without-data",
    Rcode.FORMERR,
    "This type never holds data, so it cannot be asked for.",
    Ede.INVALID_QUERY_TYPE,
)
# Query types that mean something elsewhere (RFC 6895 §3.1); transfers are taken before they come here.
_UNSUPPORTED = frozenset({Type.AXFR, Type.IXFR, Type.MAILA, Type.MAILB, Type.TKEY})
_STRING = 255  # RFC 1035 §3.3, octets of a character string
_FIXED = struct.Struct("!HHIH")


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A message as far as it was understood: *end* is the offset behind the question, 12 where it did not parse.

    *client* is the asker's OPT, *signed* tells of a TSIG, *wrong* what is malformed.
    """

    end: int = HEADER_SIZE
    client: Edns | None = None
    signed: bool = False
    wrong: str = ""


class Responder:
    """Answers questions from the zones of *table*, with the EDNS options that *options* chooses.

    *proofs* are what compact zones have had signed.
    """

    __slots__ = ("_options", "_proofs", "_table")

    def __init__(self, table: Table, options: Options | None = None, proofs: Proofs | None = None) -> None:
        self._table = table
        self._options = options or Options()
        self._proofs = Proofs(self._options.now) if proofs is None else proofs

    def respond(self, message: bytes, asker: Asker) -> bytes | NeedZone | NeedSigned | None:
        """Answer *message*, which *asker* sent; None is silence."""
        size = len(message)
        if size < HEADER_SIZE:
            return None
        _, flags, qdcount, ancount, nscount, arcount = _HEADER.unpack_from(message)
        if flags & FLAG_QR:
            return None  # never answer an answer: two servers would talk for ever
        if flags & _OPCODE:
            return self._unknown_opcode(message, asker)
        if qdcount != 1:
            return self._odd_question(message, asker, qdcount)
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
            refused = self._refuse(message, asked, asker)
            if refused is not None:
                return refused
        if question[-2:] != _IN:
            return self._other_class(message, question, client, end, asker)
        rdtype = question[-4] << 8 | question[-3]
        if rdtype in META_TYPES and rdtype != Type.ANY:
            return self._meta(message, rdtype, client, end, asker)
        return self._answer(message, question, rdtype, end, client, asker)

    def _answer(
        self, message: bytes, question: bytes, rdtype: int, end: int, client: Edns | None, asker: Asker
    ) -> bytes | NeedZone | NeedSigned:
        table, choice = self._table, self._options
        tcp = asker.transport is not Transport.UDP
        do = client is not None and client.do
        name = question[:-4]
        most = MAX_MESSAGE if tcp else UDP_MIN_PAYLOAD
        options: tuple[Option, ...] = ()
        bare = client is None or not (client.options or choice.report)  # as most askers are: an OPT without options
        if client is not None:
            if client.options:
                options = choice.choose(client, asker)
            most = (MAX_MESSAGE if tcp else min(client.payload, UDP_MAX_PAYLOAD)) - len(OPT)
        room = most - end if bare else most - size_of(options) - end
        co = client is not None and client.co
        draft = compile_answer(table.authority, name, rdtype, room=room, do=do, tcp=tcp, proofs=self._proofs, co=co)
        if draft is None:
            return self._error(message, ELSEWHERE, client, end, asker)
        if isinstance(draft, NeedZone):
            return draft
        if draft.needs:
            return NeedSigned(tuple(draft.needs))
        if draft.rcode == Rcode.SERVFAIL:
            return self._error(message, UNPUBLISHED, client, end, asker)
        reports: tuple[Option, ...] = ()
        limit = most
        if client is not None and not bare:
            reports = choice.reports(draft.images)
            if client.options and rdtype == Type.SOA:
                options += _expire(client, draft)
            limit = most - size_of(options)
        answer = render(draft, name, limit - size_of(reports) if reports else limit, do=do)
        if reports and (not answer.whole or end + len(answer.body) + size_of(reports) > limit):
            # What nobody asked for leaves nothing out.
            reports = ()
            answer = render(draft, name, limit, do=do)
        if tcp and answer.flags & FLAG_TC:
            return self._error(message, TOO_LONG, client, end, asker)
        if client is None or reports == choice.report:
            table.remember(question, answer, draft, edns=client is not None, do=do)
        tail = b""
        if client is not None:
            tail = (OPT_DO if do else OPT) if bare else opt(client, asker, reports + options, end + len(answer.body))
            if co and _is_any_compact(draft.images):
                tail = opt(client, asker, reports + options, end + len(answer.body), co=True)
        opening = _FLAGS.pack(FLAG_QR | message[2] << 8 & FLAG_RD | answer.flags, 1)
        counts = answer.counts(edns=client is not None)
        return b"".join((message[:2], opening, counts, message[HEADER_SIZE:end], answer.body, tail))

    def come_by_tcp(self, message: bytes, asker: Asker) -> bytes:
        """Answer that the answer is to be had over TCP, where the asker shows that its address is its own."""
        asked = _look(message)
        return self._reply(message, Rcode.NOERROR, asked.client, asked.end, asker, flags=FLAG_AA | FLAG_TC)

    def unavailable(self, message: bytes, asker: Asker, text: str) -> bytes | None:
        """Answer that the zone cannot be read just now: SERVFAIL with *text* for people (RFC 8914 §4.15)."""
        if len(message) < HEADER_SIZE or message[2] & 0x80:
            return None
        asked = _look(message)
        away = Refusal("zone-unreadable", Rcode.SERVFAIL, text, Ede.NOT_READY)
        return self._error(message, away, asked.client, asked.end, asker)

    def acknowledge(self, message: bytes, asker: Asker, refusal: Refusal | None = None) -> bytes:
        """Answer a NOTIFY that was read: NOERROR, or *refusal* (RFC 1996 §4.7); the question is its own."""
        asked = _look(message)
        if refusal is not None:
            return self._error(message, refusal, asked.client, asked.end, asker)
        return self._reply(message, Rcode.NOERROR, asked.client, asked.end, asker, flags=message[2] << 8 & FLAG_AA)

    # ---- what is no question for data ----------------------------------------------------------

    def _unknown_opcode(self, message: bytes, asker: Asker) -> bytes:
        """Answer NOTIMP; what such a message holds nobody knows, so it is looked at with care (RFC 1035 §4.1.1)."""
        return self._error(message, NO_OPERATION, _look(message).client, HEADER_SIZE, asker)

    def _odd_question(self, message: bytes, asker: Asker, qdcount: int) -> bytes:
        """Answer who asks for nothing but a cookie (RFC 7873 §5.4); all others ask one question (RFC 9619 §4)."""
        if qdcount:
            return wire.error_reply(message, Rcode.FORMERR)
        asked = _read(message, HEADER_SIZE, *_HEADER.unpack_from(message)[3:])
        refused = self._refuse(message, asked, asker)
        if refused is not None:
            return refused
        verdict = None if asked.client is None else self._options.verdict(asked.client, asker)
        if verdict is None:
            return self._error(message, _malformed("A query asks one question."), asked.client, HEADER_SIZE, asker)
        rcode = Rcode.BADCOOKIE if verdict == Verdict.BAD else Rcode.NOERROR
        return self._reply(message, rcode, asked.client, HEADER_SIZE, asker)

    def _refuse(self, message: bytes, asked: Asked, asker: Asker) -> bytes | None:
        """Return the answer to a message that is no proper question, or None."""
        client, end = asked.client, asked.end
        if asked.wrong:
            return self._error(message, _malformed(asked.wrong), client, end, asker)
        if client is not None and client.version:
            return wire.error_reply(message, Rcode.BADVERS, client=client, end=end)  # RFC 6891 §6.1.3
        if client is not None and client.options:
            fault = self._options.fault(client, asker)
            if fault:
                return self._error(message, _malformed(fault), client, end, asker)
        if asked.signed:
            return self._error(message, SIGNED, client, end, asker)
        return None

    def _other_class(self, message: bytes, question: bytes, client: Edns | None, end: int, asker: Asker) -> bytes:
        """Say who this server is in class CHAOS (RFC 4892 §3), where it is to be known; refuse everything else."""
        about = self._options.about
        text = ""
        if question[-2:] == _CHAOS and question[-4:-2] in _TEXT:
            text = {_IDENTITY: about.identity, _VERSION: about.version}.get(_SELF.get(question[:-4], ""), "")
        if not text:
            return self._error(message, OTHER_CLASS, client, end, asker)
        return self._reply(message, Rcode.NOERROR, client, end, asker, body=chaos(text), flags=FLAG_AA)

    def _meta(self, message: bytes, rdtype: int, client: Edns | None, end: int, asker: Asker) -> bytes:
        """Answer a question for a type that is never data (RFC 6895 §3.1)."""
        return self._error(message, UNSUPPORTED if rdtype in _UNSUPPORTED else NO_DATA, client, end, asker)

    # ---- replies without a zone's records ------------------------------------------------------

    def _error(self, message: bytes, refusal: Refusal, client: Edns | None, end: int, asker: Asker) -> bytes:
        more = (wire.ede(refusal.ede, refusal.extra_text),)
        return self._reply(message, refusal.rcode, client, end, asker, more=more)

    def _reply(
        self,
        message: bytes,
        rcode: Rcode,
        client: Edns | None,
        end: int,
        asker: Asker,
        *,
        more: tuple[Option, ...] = (),
        body: bytes = b"",
        flags: int = 0,
    ) -> bytes:
        """Return a reply to *message*: the question up to *end* echoed, *body* one answer or nothing, and an OPT.

        An RCODE above 15 and options reach only an asker who sent an OPT (*client*), *more* of them where they fit.
        """
        tail = b""
        if client is not None:
            options = self._options.choose(client, asker)
            most = MAX_MESSAGE if asker.transport.stream else min(client.payload, UDP_MAX_PAYLOAD)
            if end + len(body) + len(OPT) + size_of(options) + size_of(more) <= most:
                options += more
            tail = opt(client, asker, options, end + len(body), rcode >> 4)
        word = wire.reply_flags(message[2] << 8 | message[3], rcode, flags)
        counts = int(end > HEADER_SIZE), int(body != b""), 0, int(client is not None)
        head = _HEADER.pack(message[0] << 8 | message[1], word, *counts)
        return b"".join((head, message[HEADER_SIZE:end], body, tail))


def _malformed(text: str) -> Refusal:
    return Refusal("question-malformed", Rcode.FORMERR, text)


def chaos(text: str) -> bytes:
    """Return the TXT record of class CHAOS that answers with *text*, its owner a pointer to the question."""
    octets = text.encode()[:_STRING]
    rdata = bytes((len(octets),)) + octets
    return QUESTION_POINTER + _FIXED.pack(Type.TXT, Class.CH, 0, len(rdata)) + rdata


def _expire(client: Edns, draft: Draft) -> tuple[Option, ...]:
    """Return the EXPIRE option where it was asked for and the answer is a SOA of ours (RFC 7314 §3.2)."""
    if first(client, EdnsOption.EXPIRE) is None or len(draft.answer) != 1:
        return ()
    served = draft.answer[0][1]
    return (expire(rdatas(served)[0]),) if served.type == Type.SOA else ()


def _look(message: bytes) -> Asked:
    """Return the offset behind the question of *message*, and the OPT of its sender, where they can be read."""
    end, client = HEADER_SIZE, None
    try:
        header = wire.header(message)
        if header.qdcount == 1:
            end = wire.question(message).end
        if header.qdcount <= 1:
            client = _read(message, end, 0, 0, header.ancount + header.nscount + header.arcount).client
    except BadMessage:
        pass
    return Asked(end, client)


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


def _is_any_compact(images: Iterable[ZoneImage]) -> bool:
    """Tell whether one of *images* denies compactly, as far as that is known: of a large zone it need not be."""
    try:
        return any(is_compact(image) for image in images)
    except Missing:
        return False
