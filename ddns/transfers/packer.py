"""Records packed into the messages of one transfer, with name compression (RFC 5936 §2.2, §3.4).

Law: a message is closed once it has grown past what compression pointers reach, or before a record that would
not fit; so owners and targets are compressed in all of it, and a reader's memory stays small. Only the first
message has the question. This is the hot loop of a transfer: a million records pass here.
"""

from __future__ import annotations

import struct

from ddns.dns import records
from ddns.dns.codes import CLASS_IN, FLAG_AA, HEADER_SIZE, MAX_MESSAGE, Type
from ddns.dns.names import Name
from ddns.dns.records import COMPRESSIBLE, Rdata
from ddns.dns.wire import reply_flags

FULL = 0x4000  # octets: pointers reach no further (RFC 1035 §4.1.4)

_FIXED = struct.Struct("!HHI")
_HEADER = struct.Struct("!6H")
_TYPE_RRSIG = int(Type.RRSIG)
_ONE_NAME = frozenset({int(Type.NS), int(Type.CNAME), int(Type.PTR)})
_RDATA_HEAD = 10  # octets of type, class, TTL and RDLENGTH


class TooLong(ValueError):
    """A record that no message can hold."""


class Packer:
    """The answer to *question* (a message: its id, flags and question are taken up), in messages without TSIG.

    *end* is the offset behind the question, *opt* the OPT record of the first message, or nothing; *reserved* are the
    octets that each message leaves for its signature. What is finished waits in *done* to be taken.
    """

    __slots__ = ("_buffer", "_count", "_flags", "_ident", "_most", "_opt", "_pointers", "_questions", "done", "records")

    def __init__(self, question: bytes, end: int, origin: Name, opt: bytes = b"", reserved: int = 0) -> None:
        self._ident = int.from_bytes(question[:2], "big")
        self._flags = reply_flags(int.from_bytes(question[2:4], "big"), 0, FLAG_AA)
        self._most = MAX_MESSAGE - reserved - len(opt)
        self._opt = opt
        self._buffer = bytearray(HEADER_SIZE)
        self._buffer += question[HEADER_SIZE:end]
        self._questions = 1
        self._count = 0
        self._pointers: dict[Name, bytes] = {}
        self.done: list[bytes] = []
        self.records = 0
        # Where the asker spelt the zone's name in capitals, our records shall not be spelt so.
        if question[HEADER_SIZE : end - 4] == origin:
            at, name = HEADER_SIZE, origin
            while name[0]:
                self._pointers[name] = (0xC000 | at).to_bytes(2, "big")
                at += 1 + name[0]
                name = name[1 + name[0] :]

    def add(self, name: Name, rdtype: int, ttl: int, rdatas: list[Rdata] | tuple[Rdata, ...]) -> None:
        """Write records of one owner and type. Raises `TooLong`."""
        fixed = _FIXED.pack(rdtype, CLASS_IN, ttl)
        room = self._most - _RDATA_HEAD - len(name)
        compressible = rdtype in COMPRESSIBLE
        for rdata in rdatas:
            size = len(self._buffer)
            if size >= FULL or size + len(rdata) > room:
                self._close(room, rdata)
            buffer = self._buffer
            pointer = self._pointers.get(name)
            if pointer is None:
                self._name(name)
            else:
                buffer += pointer
            if not compressible:
                buffer += fixed + len(rdata).to_bytes(2, "big") + rdata
            elif rdtype in _ONE_NAME and rdata in self._pointers:
                buffer += fixed + b"\0\2" + self._pointers[rdata]
            else:
                self._compressed(rdtype, fixed, rdata)
            self._count += 1

    def add_signed(
        self, name: Name, rdtype: int, ttl: int, rdatas: list[Rdata] | tuple[Rdata, ...],
        sigs: list[Rdata] | tuple[Rdata, ...],
    ) -> None:  # fmt: skip
        """Write an RRset and the RRSIGs that cover it. Raises `TooLong`."""
        self.add(name, rdtype, ttl, rdatas)
        if sigs:
            self.add(name, _TYPE_RRSIG, ttl, sigs)

    def finish(self) -> None:
        """Close the last message."""
        if self._count or self._questions:
            self._flush()

    def _close(self, room: int, rdata: Rdata) -> None:
        if self._count:
            self._flush()
        if len(self._buffer) + len(rdata) > room:
            raise TooLong(f"a record with {len(rdata)} octets of data fits into no message")

    def _flush(self) -> None:
        buffer, opt = self._buffer, self._opt
        _HEADER.pack_into(
            buffer, 0, self._ident, self._flags, self._questions, self._count, 0, int(bool(opt))
        )  # fmt: skip
        self.done.append(bytes(buffer + opt))
        self.records += self._count
        self._buffer = bytearray(HEADER_SIZE)
        self._pointers = {}
        self._questions = self._count = 0
        self._opt = b""

    def _name(self, name: Name) -> None:
        buffer, pointers = self._buffer, self._pointers
        at = len(buffer)
        while name[0]:
            pointer = pointers.get(name)
            if pointer is not None:
                buffer += pointer
                return
            if at < FULL:
                pointers[name] = (0xC000 | at).to_bytes(2, "big")
            step = 1 + name[0]
            buffer += name[:step]
            at += step
            name = name[step:]
        buffer.append(0)

    def _compressed(self, rdtype: int, fixed: bytes, rdata: Rdata) -> None:
        buffer = self._buffer
        buffer += fixed + b"\0\0"
        start = len(buffer)
        at = 0
        for begin, end in records.names_in(rdtype, rdata):
            buffer += rdata[at:begin]
            self._name(rdata[begin:end])
            at = end
        buffer += rdata[at:]
        buffer[start - 2 : start] = (len(buffer) - start).to_bytes(2, "big")
