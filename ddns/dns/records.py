"""RRsets as values, and the RDATA of each type: read from a message, made canonical, taken apart.

Law: the RDATA inside an `RRset` is uncompressed, in the canonical form of RFC 4034 §6.2 (names of
the types listed there in lower case), sorted and without duplicates. Equality is RFC equality.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from ddns.dns import message, names
from ddns.dns.codes import Type
from ddns.dns.names import Name

Rdata = bytes


class BadRdata(ValueError):
    """RDATA from outside that its type does not allow; the message says why."""


# Types whose RDATA holds names that are compressed in messages or lower-cased in canonical form
# (RFC 1035 §3.3, RFC 3597 §4, RFC 4034 §6.2 as corrected by RFC 6840 §5.1): what stands in the RDATA.
# An integer is so many octets, "s" a character-string, "n" a name, "*" the rest, "+" the rest, which is not empty.
_LAYOUTS: dict[int, tuple[int | str, ...]] = {
    Type.NS: ("n",),
    Type.MD: ("n",),
    Type.MF: ("n",),
    Type.CNAME: ("n",),
    Type.SOA: ("n", "n", 20),
    Type.MB: ("n",),
    Type.MG: ("n",),
    Type.MR: ("n",),
    Type.PTR: ("n",),
    Type.MINFO: ("n", "n"),
    Type.MX: (2, "n"),
    Type.RP: ("n", "n"),
    Type.AFSDB: (2, "n"),
    Type.RT: (2, "n"),
    Type.SIG: (18, "n", "+"),
    Type.PX: (2, "n", "n"),
    Type.NXT: ("n", "*"),
    Type.NAPTR: (4, "s", "s", "s", "n"),
    Type.KX: (2, "n"),
    Type.SRV: (6, "n"),
    Type.DNAME: ("n",),
    Type.RRSIG: (18, "n", "+"),
}

# Types whose names in RDATA may be compressed in messages that we send (RFC 1035 §3.3, RFC 3597 §4).
COMPRESSIBLE = frozenset(
    {Type.NS, Type.MD, Type.MF, Type.CNAME, Type.SOA, Type.MB, Type.MG, Type.MR, Type.PTR, Type.MINFO, Type.MX}
)


class RRset(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The records of one owner and type: *ttl* in seconds, *rdatas* as the module's law says."""

    name: Name
    type: int
    ttl: int
    rdatas: tuple[Rdata, ...]

    @classmethod
    def of(cls, name: Name, rdtype: int, ttl: int, rdatas: Iterable[Rdata]) -> RRset:
        """Make an RRset of canonical *rdatas* in any order, duplicates dropped."""
        return cls(name, rdtype, ttl, tuple(sorted(set(rdatas))))


class SignedRRset(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An RRset as it is published: *sigs* holds the RDATA of the RRSIGs that cover it, or nothing."""

    name: Name
    type: int
    ttl: int
    rdatas: tuple[Rdata, ...]
    sigs: tuple[Rdata, ...] = ()


def read_rdata(rdtype: int, wire: bytes, offset: int, length: int) -> Rdata:
    """Return the canonical RDATA of type *rdtype* that stands in *wire* at *offset*, *length* octets.

    Names are decompressed (RFC 1035 §4.1.4; for SRV as RFC 2782 once allowed). Known types must
    parse; unknown ones are opaque (RFC 3597 §3). Raises `BadRdata`.
    """
    end = offset + length
    if rdtype == Type.A:
        if length != 4:
            raise BadRdata("an A record holds 4 octets")
        return wire[offset:end]
    if rdtype == Type.AAAA:
        if length != 16:
            raise BadRdata("an AAAA record holds 16 octets")
        return wire[offset:end]
    layout = _LAYOUTS.get(rdtype)
    if layout is None:
        return message.checked_rdata(rdtype, wire[offset:end], BadRdata)
    out = []
    at = offset
    try:
        for piece in layout:
            if piece == "n":
                # A pointer may lead out of the RDATA, a name's own octets may not.
                name, after = names.read(wire, at)
                if after > end:
                    raise BadRdata("a name runs over the end of the RDATA")
                out.append(name)
                at = after
                continue
            if piece in ("*", "+"):
                size = max(end - at, int(piece == "+"))
            elif piece == "s":
                size = 1 + (wire[at] if at < end else 0)
            else:
                size = int(piece)
            if at + size > end:
                raise BadRdata("the RDATA is too short for its type")
            out.append(wire[at : at + size])
            at += size
    except names.BadName as error:
        raise BadRdata(str(error)) from None
    if at != end:
        raise BadRdata("the RDATA is too long for its type")
    return b"".join(out)


def canonical(rdtype: int, rdata: bytes) -> Rdata:
    """Return uncompressed *rdata* of type *rdtype* in canonical form. Raises `BadRdata`."""
    return read_rdata(rdtype, rdata, 0, len(rdata))


def names_in(rdtype: int, rdata: Rdata) -> list[tuple[int, int]]:
    """Return where names stand in canonical *rdata*, as (start, end) offsets, for the types of RFC 4034 §6.2."""
    out = []
    at = 0
    for piece in _LAYOUTS.get(rdtype, ()):
        if piece == "n":
            end = names.skip(rdata, at)
            out.append((at, end))
            at = end
        elif piece == "s":
            at += 1 + rdata[at]
        elif piece in ("*", "+"):
            break
        else:
            at += int(piece)
    return out


def soa_serial(rdata: Rdata) -> int:
    """Return the serial of a SOA's RDATA."""
    return int(struct.unpack_from("!I", rdata, len(rdata) - 20)[0])


def soa_minimum(rdata: Rdata) -> int:
    """Return the MINIMUM of a SOA's RDATA, in seconds (RFC 2308 §4)."""
    return int(struct.unpack_from("!I", rdata, len(rdata) - 4)[0])


def soa_with_serial(rdata: Rdata, serial: int) -> Rdata:
    """Return the SOA's RDATA with another *serial*."""
    at = len(rdata) - 20
    return rdata[:at] + struct.pack("!I", serial) + rdata[at + 4 :]


def serial_newer(one: int, other: int) -> bool:
    """Tell whether serial *one* is greater than *other* in the arithmetic of RFC 1982 §3.2."""
    return 0 < (one - other) & 0xFFFFFFFF < 0x80000000


def serial_next(serial: int) -> int:
    """Return the serial after *serial*; never 0 (RFC 2136 §4.6 leaves 0 to implementations that mean it)."""
    return (serial + 1) & 0xFFFFFFFF or 1


def pack_rr(name: Name, rdtype: int, ttl: int, rdata: Rdata) -> bytes:
    """Return one uncompressed record of class IN as wire octets."""
    return name + struct.pack("!HHIH", rdtype, 1, ttl, len(rdata)) + rdata
