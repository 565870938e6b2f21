"""Messages as bytes: the header, the question, the walk over records, OPT, and a compressing writer.

dnspython is not used here: this is what the query path and the order of work of an UPDATE read with.
Everything is bounded by the message's own length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from ddns.dns import names, records
from ddns.dns.codes import CLASS_IN, EDNS_CO, EDNS_DO, EDNS_EDE, HEADER_SIZE, UDP_MIN_PAYLOAD, Rcode, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import COMPRESSIBLE, Rdata

_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
_QUESTION = struct.Struct("!HH")


class BadMessage(ValueError):
    """A message whose octets do not parse: FORMERR."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The header of RFC 1035 §4.1.1; *flags* is its second 16-bit word as sent."""

    id: int
    flags: int
    qdcount: int
    ancount: int
    nscount: int
    arcount: int

    @property
    def opcode(self) -> int:
        """Return the OPCODE."""
        return self.flags >> 11 & 15

    @property
    def is_response(self) -> bool:
        """Tell whether QR is set."""
        return bool(self.flags & 0x8000)


class Question(msgspec.Struct, frozen=True, gc=False):
    """The question: *end* is the offset behind it, so that `wire[12:end]` echoes it as it was asked."""

    name: Name
    type: int
    rdclass: int
    end: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands in the wire: its RDATA is `wire[rdata:rdata + rdlength]`, its end there too."""

    start: int
    name: Name
    type: int
    rdclass: int
    ttl: int
    rdata: int
    rdlength: int

    @property
    def end(self) -> int:
        """Return the offset behind the record."""
        return self.rdata + self.rdlength


class Edns(msgspec.Struct, frozen=True, gc=False):
    """An OPT record (RFC 6891 §6.1): *payload* in octets, at least 512; *options* as (code, octets).

    *co*: the sender takes NXDOMAIN together with a compact denial (RFC 9824 §5.1).
    """

    payload: int
    version: int
    do: bool
    options: tuple[tuple[int, bytes], ...] = ()
    co: bool = False


def header(wire: bytes) -> Header:
    """Read the header. Raises `BadMessage` where *wire* is shorter than 12 octets."""
    if len(wire) < HEADER_SIZE:
        raise BadMessage("the message is shorter than a header")
    return Header(*_HEADER.unpack_from(wire))


def question(wire: bytes, offset: int = HEADER_SIZE) -> Question:
    """Read the question (or the zone section's record, RFC 2136 §2.3) at *offset*. Raises `BadMessage`."""
    try:
        name, at = names.read(wire, offset)
    except BadName as error:
        raise BadMessage(str(error)) from None
    if at + 4 > len(wire):
        raise BadMessage("the question runs over the end of the message")
    rdtype, rdclass = _QUESTION.unpack_from(wire, at)
    return Question(name, rdtype, rdclass, at + 4)


def walk(wire: bytes, offset: int, count: int) -> Iterator[Record]:
    """Yield *count* records from *offset* on. Raises `BadMessage`; checks no RDATA."""
    size = len(wire)
    for _ in range(count):
        start = offset
        try:
            name, at = names.read(wire, offset)
        except BadName as error:
            raise BadMessage(str(error)) from None
        if at + 10 > size:
            raise BadMessage("a record runs over the end of the message")
        rdtype, rdclass, ttl, rdlength = _FIXED.unpack_from(wire, at)
        offset = at + 10 + rdlength
        if offset > size:
            raise BadMessage("a record's data runs over the end of the message")
        yield Record(start, name, rdtype, rdclass, ttl, at + 10, rdlength)


def edns(wire: bytes, record: Record) -> Edns:
    """Read the OPT *record* of *wire* (RFC 6891 §6.1.2). Raises `BadMessage` where its options do not parse."""
    options = []
    at, end = record.rdata, record.end
    while at < end:
        if at + 4 > end:
            raise BadMessage("an EDNS option is cut short")
        code, length = _QUESTION.unpack_from(wire, at)
        at += 4
        if at + length > end:
            raise BadMessage("an EDNS option runs over the end of the OPT record")
        options.append((code, wire[at : at + length]))
        at += length
    return Edns(
        max(record.rdclass, UDP_MIN_PAYLOAD),
        record.ttl >> 16 & 0xFF,
        bool(record.ttl & EDNS_DO),
        tuple(options),
        bool(record.ttl & EDNS_CO),
    )


def opt(
    payload: int, *, do: bool, extended: int = 0, options: tuple[tuple[int, bytes], ...] = (), co: bool = False
) -> bytes:
    """Return an OPT record: *extended* holds the upper eight bits of the RCODE (RFC 6891 §6.1.3)."""
    data = b"".join(_QUESTION.pack(code, len(octets)) + octets for code, octets in options)
    ttl = extended << 24 | (EDNS_DO if do else 0) | (EDNS_CO if co else 0)
    return b"\0" + _FIXED.pack(Type.OPT, payload, ttl, len(data)) + data


def ede(code: int, text: str = "") -> tuple[int, bytes]:
    """Return an extended error as an EDNS option (RFC 8914 §2)."""
    return EDNS_EDE, struct.pack("!H", code) + text.encode()


class Writer:
    """Write one message with name compression (RFC 1035 §4.1.4).

    Start it with the header and the question as echoed (`wire[:end]`); *limit* is the greatest size in
    octets. `add` says whether a whole RRset fitted; what does not fit is not written at all.
    """

    __slots__ = ("buffer", "limit", "offsets", "reserved")

    def __init__(self, start: bytes, qname: Name, limit: int, reserved: int = 0) -> None:
        self.buffer = bytearray(start)
        self.limit = limit - reserved
        self.reserved = reserved
        self.offsets: dict[Name, int] = {}
        at = HEADER_SIZE
        while qname[0]:
            self.offsets[qname] = at
            at += 1 + qname[0]
            qname = names.parent(qname)

    def name(self, name: Name) -> None:
        """Write *name*, compressed against what is already there."""
        buffer, offsets = self.buffer, self.offsets
        while name[0]:
            known = offsets.get(name)
            if known is not None:
                buffer += (0xC000 | known).to_bytes(2, "big")
                return
            if len(buffer) < 0x4000:
                offsets[name] = len(buffer)
            buffer += name[: 1 + name[0]]
            name = names.parent(name)
        buffer.append(0)

    def add(self, name: Name, rdtype: int, ttl: int, rdatas: tuple[Rdata, ...]) -> bool:
        """Write the records of one RRset, all or none. Returns whether they fitted."""
        buffer = self.buffer
        mark = len(buffer)
        for rdata in rdatas:
            self.name(name)
            buffer += _FIXED.pack(rdtype, CLASS_IN, ttl, 0)
            start = len(buffer)
            if rdtype in COMPRESSIBLE:
                at = 0
                for begin, end in records.names_in(rdtype, rdata):
                    buffer += rdata[at:begin]
                    self.name(rdata[begin:end])
                    at = end
                buffer += rdata[at:]
                buffer[start - 2 : start] = (len(buffer) - start).to_bytes(2, "big")
            else:
                buffer += rdata
                buffer[start - 2 : start] = len(rdata).to_bytes(2, "big")
            if len(buffer) > self.limit:
                del buffer[mark:]
                for known in [known for known, at in self.offsets.items() if at >= mark]:
                    del self.offsets[known]
                return False
        return True


def reply_flags(request_flags: int, rcode: int, extra: int = 0) -> int:
    """Return the flags of a reply: QR, the request's OPCODE and RD, *extra* bits, the RCODE's low four bits."""
    return 0x8000 | request_flags & 0x7900 | extra | rcode & 15


def error_reply(
    wire: bytes,
    rcode: Rcode,
    *,
    client: Edns | None = None,
    payload: int = 1232,
    options: tuple[tuple[int, bytes], ...] = (),
    end: int = HEADER_SIZE,
) -> bytes:
    """Return a reply to *wire* with no records: *end* is the offset behind the question that is echoed, or 12.

    An RCODE above 15 or *options* reach only an asker who sent an OPT (*client*).
    """
    ident, flags = struct.unpack_from("!HH", wire)
    tail = opt(payload, do=client.do, extended=rcode >> 4, options=options) if client else b""
    head = _HEADER.pack(ident, reply_flags(flags, rcode), int(end > HEADER_SIZE), 0, 0, int(client is not None))
    return head + wire[HEADER_SIZE:end] + tail
