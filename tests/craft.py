"""UPDATE messages by hand, octet for octet, and small zones in presentation form: for tests of the pure parts."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from ddns.dns import names, records
from ddns.dns.codes import Class
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.dns.refusal import Refusal
from ddns.zone import update as updates
from ddns.zone.limits import DEFAULT, Limits
from ddns.zone.view import View

ORIGIN = names.from_text("smith.example.")
_ORIGIN = dns.name.from_text("smith.example.")
IN, NONE, ANY = int(Class.IN), int(Class.NONE), int(Class.ANY)
SOA = "ns.example. admin.example. {serial} 3600 900 1209600 300"

Zone = Mapping[Name, tuple[RRset, ...]]


def name(text: str) -> Name:
    return names.from_text(text, ORIGIN)


def number(rdtype: str) -> int:
    return int(dns.rdatatype.from_text(rdtype))


def rdata(rdtype: str, text: str) -> bytes:
    return dns.rdata.from_text("IN", rdtype, text, origin=_ORIGIN, relativize=False).to_wire()


def rr(owner: str, rdtype: int | str, rdclass: int, ttl: int = 0, data: bytes = b"") -> bytes:
    """Return a record as octets, the owner uncompressed."""
    kind = number(rdtype) if isinstance(rdtype, str) else rdtype
    return name(owner) + struct.pack("!HHIH", kind, rdclass, ttl, len(data)) + data


def add(owner: str, ttl: int, rdtype: str, text: str) -> bytes:
    return rr(owner, rdtype, IN, ttl, rdata(rdtype, text))


def delete(owner: str, rdtype: str = "ANY") -> bytes:
    return rr(owner, rdtype, ANY)


def delete_record(owner: str, rdtype: str, text: str) -> bytes:
    return rr(owner, rdtype, NONE, 0, rdata(rdtype, text))


def exists(owner: str, rdtype: str = "ANY") -> bytes:
    return rr(owner, rdtype, ANY)


def absent(owner: str, rdtype: str = "ANY") -> bytes:
    return rr(owner, rdtype, NONE)


def equals(owner: str, rdtype: str, text: str) -> bytes:
    return rr(owner, rdtype, IN, 0, rdata(rdtype, text))


def message(
    *operations: bytes,
    needs: Iterable[bytes] = (),
    additional: Iterable[bytes] = (),
    origin: Name = ORIGIN,
    ident: int = 4711,
) -> bytes:
    """Return an UPDATE message."""
    needs, additional = list(needs), list(additional)
    head = struct.pack("!6H", ident, 0x2800, 1, len(needs), len(operations), len(additional))
    return b"".join((head, origin, struct.pack("!HH", 6, 1), *needs, *operations, *additional))


def zone(*lines: str, serial: int = 10) -> Zone:
    """Return a zone with a SOA, one NS and the records of *lines*."""
    return rrsets_of(f"@ 3600 SOA {SOA.format(serial=serial)}", "@ 3600 NS ns.example.", *lines)


def rrsets_of(*lines: str) -> Zone:
    """Return the records of *lines*, each `owner ttl type rdata`."""
    found: dict[tuple[Name, int], tuple[int, list[bytes]]] = {}
    for line in lines:
        owner, ttl, rdtype, text = line.split(maxsplit=3)
        kind = number(rdtype)
        data = records.canonical(kind, rdata(rdtype, text))
        found.setdefault((name(owner), kind), (int(ttl), []))[1].append(data)
    out: dict[Name, tuple[RRset, ...]] = {}
    for (owner_name, kind), (seconds, rdatas) in found.items():
        out[owner_name] = (*out.get(owner_name, ()), RRset.of(owner_name, kind, seconds, rdatas))
    return out


def show(content: Zone) -> set[str]:
    """Return the records of a zone as lines like those that `rrsets_of` reads."""
    out = set()
    for rrsets in content.values():
        for rrset in rrsets:
            owner = names.to_text(rrset.name)
            owner = "@" if rrset.name == ORIGIN else owner.removesuffix(".smith.example.")
            kind = dns.rdatatype.to_text(rrset.type)
            for data in rrset.rdatas:
                parsed = dns.rdata.from_wire(dns.rdataclass.IN, rrset.type, data, 0, len(data))
                out.add(f"{owner} {rrset.ttl} {kind} {parsed.to_text()}")
    return out


def work(content: Zone, wire: bytes, *, signed: bool = True, limits: Limits = DEFAULT) -> Zone | Refusal:
    """Do an update to a zone in the order of RFC 2136 §3; return the zone after it, or the refusal."""
    update = updates.parse(wire, limits)
    if isinstance(update, Refusal):
        return update
    view = View({owner: content.get(owner, ()) for owner in update.names})
    refusal = updates.prerequisites(update, view) or updates.prescan(update)
    if refusal is not None:
        return refusal
    changes = updates.apply(update, view, signed=signed, limits=limits)
    if isinstance(changes, Refusal):
        return changes
    view.apply(changes)
    after = {**content, **{owner: view.get(owner) for owner in update.names}}
    return {owner: rrsets for owner, rrsets in after.items() if rrsets}


def changed(content: Zone, *operations: bytes, signed: bool = True) -> tuple[set[str], set[str]]:
    """Return the lines that an update takes away and brings."""
    after = work(content, message(*operations), signed=signed)
    assert not isinstance(after, Refusal), after
    return show(content) - show(after), show(after) - show(content)
