"""A whole zone from a master file, checked, and a whole zone written as one.

Law: what `read_zone` returns is a zone that can be served: one SOA and an NS RRset at its apex, no
owner outside it, no CNAME beside other data, one TTL per RRset. Everything else is one sentence with
file, line and cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from ddns.dns import names, records
from ddns.dns.codes import MAX_MESSAGE, SIGNER_TYPES, Type
from ddns.dns.masterfile import BadMasterFile, Include, Reader
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.dns.spelling import type_for_file, type_to_text
from ddns.dns.text import rdata_to_text

MAX_WARNINGS = 20  # ours: more are counted, not listed
_RECORD_OVERHEAD = 12  # octets of a record with a compressed owner around its RDATA
_MOST_DATA = MAX_MESSAGE - 1024  # octets of one RRset; the rest is for header, question, signature and TSIG
_SMALL = 100  # RDATAs that are worth a look for each further one
_SINGLE = frozenset({Type.SOA, Type.CNAME, Type.DNAME})  # RFC 1035 §3.3.13, RFC 2181 §10.1, RFC 6672 §2.4
# What may stand beside a CNAME (RFC 2181 §10.1, RFC 4034 §3 and §4, RFC 3007 §3.1.1).
_BESIDE_CNAME = frozenset({Type.CNAME, Type.RRSIG, Type.NSEC, Type.KEY, Type.SIG, Type.NXT})


class ZoneText(msgspec.Struct, frozen=True):
    """A zone as its master file gives it, in the canonical order of owners.

    *rrsets* hold no signatures. *signatures* maps owner and type to the RDATA of the RRSIGs that cover
    that RRset, where a zone that is signed already is kept as it is. *dropped* counts the DNSSEC records that were left
    out because the zone will be signed here.
    """

    origin: Name
    rrsets: tuple[RRset, ...]
    signatures: dict[tuple[Name, int], tuple[Rdata, ...]]
    dropped: int
    warnings: tuple[str, ...]

    @property
    def serial(self) -> int:
        """Return the serial of the zone's SOA."""
        return records.soa_serial(next(one for one in self.rrsets if one.type == Type.SOA).rdatas[0])

    def published(self) -> Iterator[SignedRRset]:
        """Yield the RRsets with their signatures, as a zone that is not signed here is served."""
        for one in self.rrsets:
            sigs = self.signatures.get((one.name, one.type), ())
            yield SignedRRset(one.name, one.type, one.ttl, one.rdatas, sigs)


class _Known:
    """An RRset while its file is read."""

    __slots__ = ("rdatas", "ttl")

    def __init__(self, ttl: int, rdata: Rdata) -> None:
        self.ttl = ttl
        self.rdatas = [rdata]


class _Gathering:
    """The records of a zone while its file is read."""

    def __init__(self, reader: Reader, origin: Name) -> None:
        self.reader = reader
        self.origin = origin
        self.rrsets: dict[tuple[Name, int], _Known] = {}
        self.signatures: dict[tuple[Name, int], list[Rdata]] = {}
        self.cnames: dict[Name, str] = {}  # where each stands
        self.dropped = 0
        self._warnings: list[str] = []
        self._unlisted = 0

    def take(self, name: Name, rdtype: int, ttl: int, rdata: Rdata) -> None:
        """Take one record that is neither out of the zone nor a signature."""
        if (rdtype == Type.SOA and name != self.origin) or (rdtype == Type.DS and name == self.origin):
            raise self.reader.error(_MISPLACED[rdtype].format(apex=names.to_text(self.origin)))
        known = self.rrsets.get((name, rdtype))
        if known is None:
            self.rrsets[name, rdtype] = _Known(ttl, rdata)
            if rdtype == Type.CNAME:
                self.cnames[name] = f"{self.reader.filename}, line {self.reader.line}"
            return
        if len(known.rdatas) < _SMALL and rdata in known.rdatas:  # larger sets lose their duplicates at the end
            return
        if rdtype in _SINGLE:
            raise self.reader.error(f"there is a second {_shown(name, rdtype)} record; keep one")
        if known.ttl != ttl:
            known.ttl = min(known.ttl, ttl)  # RFC 2181 §5.2 knows one TTL per RRset
            self.warn(f"the TTLs of {_shown(name, rdtype)} differ; all get the least, {known.ttl}")
        known.rdatas.append(rdata)

    def warn(self, sentence: str) -> None:
        """Remember a warning about the place where the reader stands."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(f"{self.reader.filename}, line {self.reader.line}: {sentence}")
        else:
            self._unlisted += 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings, the last one counting those that are not listed."""
        return (*self._warnings, *([f"{self._unlisted} more warnings"] if self._unlisted else []))


_MISPLACED: dict[int, str] = {
    Type.SOA: "a SOA record stands below the zone's own name; only {apex} has one",
    Type.DS: "a DS record stands at {apex}, the zone's own name; it belongs into the parent's zone",
}


def _shown(name: Name, rdtype: int) -> str:
    return f"{names.to_text(name)} {type_to_text(rdtype)}"


def read_zone(
    stream: BinaryIO, filename: str, origin: Name, *, keep_signatures: bool = False, include: Include | None = None
) -> ZoneText:
    """Read and check the zone *origin* of *stream*.

    With *keep_signatures* its DNSSEC records stay as they are; otherwise they are dropped and counted,
    because the zone will be signed here. Raises `BadMasterFile`.
    """
    reader = Reader(stream, filename, origin, include)
    zone = _Gathering(reader, origin)
    last: Name | None = None
    for name, rdtype, ttl, rdata in reader:
        if name is not last:
            if not names.is_subdomain(name, origin):
                raise reader.error(
                    f"{names.to_text(name)} is outside the zone {names.to_text(origin)}; "
                    "remove the record, or say the origin that the file was written for"
                )
            last = name
        if rdtype in SIGNER_TYPES and not keep_signatures:
            zone.dropped += 1
        elif rdtype == Type.RRSIG:
            zone.signatures.setdefault((name, rdata[0] << 8 | rdata[1]), []).append(rdata)
        else:
            zone.take(name, rdtype, ttl, rdata)
    _check(zone, filename)
    return ZoneText(origin, tuple(_in_order(zone, filename)), _signatures(zone), zone.dropped, zone.warnings)


def read_beside(stream: BinaryIO, filename: str, origin: Name, given: Iterable[RRset], most: int) -> tuple[RRset, ...]:
    """Read the records that stand beside *given* in the zone *origin*; return both, in the order of `ZoneText`.

    *given* are SOA, NS and whatever else the file may not say. More than *most* records are refused, and so are
    DNSSEC records, because the zone is signed here, and files that include others. Raises `BadMasterFile`.
    """
    reader = Reader(stream, filename, origin)
    zone = _Gathering(reader, origin)
    for one in given:
        known = zone.rrsets[one.name, one.type] = _Known(one.ttl, one.rdatas[0])
        known.rdatas = list(one.rdatas)
    fixed = frozenset(zone.rrsets)
    for count, (name, rdtype, ttl, rdata) in enumerate(reader, 1):
        if count > most:
            raise reader.error(f"there are more than {most} records; bring the others in by updates")
        if not names.is_subdomain(name, origin):
            raise reader.error(
                f"{names.to_text(name)} is outside the zone {names.to_text(origin)}; remove the record, "
                "or write its name without a final dot"
            )
        if rdtype in SIGNER_TYPES or (name, rdtype) in fixed:
            raise reader.error(f"{_shown(name, rdtype)} is made by the registry; remove the record")
        zone.take(name, rdtype, ttl, rdata)
    _check(zone, filename)
    return tuple(_in_order(zone, filename))


def _check(zone: _Gathering, filename: str) -> None:
    apex = names.to_text(zone.origin)
    servers = zone.rrsets.get((zone.origin, int(Type.NS)))
    if (zone.origin, int(Type.SOA)) not in zone.rrsets:
        raise BadMasterFile(f"{filename}: the zone has no SOA record at {apex}; add one, or say the right origin")
    if servers is None:
        raise BadMasterFile(f"{filename}: the zone has no NS record at {apex}; add one that names its server")
    for name, rdtype in zone.rrsets if zone.cnames else ():
        if name in zone.cnames and rdtype not in _BESIDE_CNAME:
            raise BadMasterFile(
                f"{zone.cnames[name]}: {names.to_text(name)} has a CNAME and also {type_to_text(rdtype)}; "
                "a CNAME stands alone, so remove one of them"
            )
    for server in servers.rdatas:
        addressed = (server, int(Type.A)) in zone.rrsets or (server, int(Type.AAAA)) in zone.rrsets
        if names.is_subdomain(server, zone.origin) and not addressed:
            zone.warn(f"the zone's server {names.to_text(server)} has no address in it")


def _in_order(zone: _Gathering, filename: str) -> Iterator[RRset]:
    """Yield the RRsets in canonical order of owners, then by type."""
    keys: dict[Name, bytes] = {}
    for name, _ in zone.rrsets:
        if name not in keys:
            keys[name] = names.order_key(name)
    for name, rdtype in sorted(zone.rrsets, key=lambda key: (keys[key[0]], key[1])):
        known = zone.rrsets[name, rdtype]
        rrset = RRset.of(name, rdtype, known.ttl, known.rdatas)
        if sum(map(len, rrset.rdatas)) + _RECORD_OVERHEAD * len(rrset.rdatas) > _MOST_DATA:
            raise BadMasterFile(
                f"{filename}: {_shown(name, rdtype)} has more data than one answer can carry; "
                "spread it over several names"
            )
        yield rrset


def _signatures(zone: _Gathering) -> dict[tuple[Name, int], tuple[Rdata, ...]]:
    for name, rdtype in sorted(zone.signatures.keys() - zone.rrsets.keys()):
        zone.warn(f"a signature covers {_shown(name, rdtype)}, which is not in the zone; it is left out")
        del zone.signatures[name, rdtype]
    return {key: tuple(sorted(set(sigs))) for key, sigs in zone.signatures.items()}


class ZoneWriter:
    """Write a zone as a master file that any name server reads, RRset by RRset in canonical order.

    Names are absolute, TTLs and classes are written out, signatures follow what they cover, and the SOA stands
    first: so the RRsets of the apex are held back until the next name comes.
    """

    def __init__(self, origin: Name) -> None:
        self._origin = origin
        self._apex: list[SignedRRset] | None = []

    def add(self, one: SignedRRset) -> list[str]:
        """Return the lines that can be written now that *one* has come."""
        if self._apex is None:
            return _lines(one)
        if one.name == self._origin:
            self._apex.append(one)
            return []
        return self.end() + _lines(one)

    def end(self) -> list[str]:
        """Return the lines that were held back."""
        held, self._apex = self._apex or [], None
        held.sort(key=lambda one: (one.type != Type.SOA, one.type))
        return [line for one in held for line in _lines(one)]


def write_zone(origin: Name, rrsets: Iterable[SignedRRset]) -> Iterator[str]:
    """Yield the lines of a master file with *rrsets*, which come in canonical order; see `ZoneWriter`."""
    writer = ZoneWriter(origin)
    for one in rrsets:
        yield from writer.add(one)
    yield from writer.end()


def _lines(one: SignedRRset) -> list[str]:
    head = f"{names.to_text(one.name)}\t{one.ttl}\tIN\t"
    mnemonic = type_for_file(one.type)
    lines = [f"{head}{mnemonic}\t{rdata_to_text(one.type, rdata)}\n" for rdata in one.rdatas]
    lines += [f"{head}RRSIG\t{rdata_to_text(Type.RRSIG, sig)}\n" for sig in one.sigs]
    return lines
