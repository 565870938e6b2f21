"""What an UPDATE message asks for: the wire of RFC 2136 §2 read into values, its own form checked.

The signature record is cut off before. What is wrong with the message as such (its counts, its
records' borders, its zone section) is a `Refusal` at once. What is wrong with a single prerequisite or
operation waits beside the good ones, because RFC 2136 §3 answers in the order zone, prerequisites,
prescan, and because permissions are asked for every record that the message names.
"""

from __future__ import annotations

import struct

import msgspec

from ddns.dns import names, records, twin, wire
from ddns.dns.codes import COOKIE_SIZES, HEADER_SIZE, MAX_TTL, META_TYPES, Class, Ede, EdnsOption, Rcode, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import BadRdata, Rdata
from ddns.dns.refusal import Refusal
from ddns.dns.spelling import type_to_text
from ddns.dns.wire import BadMessage, Edns
from ddns.zone import dane_option
from ddns.zone.dane_option import BadOption, Wish
from ddns.zone.limits import DEFAULT, Limits

UPDATE_LEASE = 2  # RFC 9664 §4, the EDNS option's code
LEASE_SIZES = (4, 8)  # its octets, in the short form and the long one

_IN = int(Class.IN)
_ANY = int(Class.ANY)
_NONE = int(Class.NONE)
_TYPE_ANY = int(Type.ANY)
_OPT = int(Type.OPT)
_HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")

# A record as it stands in the message: owner, type, class, TTL, offset and length of the RDATA.
_Row = tuple[Name, int, int, int, int, int]


class Prerequisite(msgspec.Struct, frozen=True, gc=False):
    """One record of the prerequisite section; what it asks is in its class and type (RFC 2136 §2.4).

    *rdata* matters where the class is the zone's.
    """

    name: Name
    type: int
    rdclass: int
    rdata: Rdata = b""


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One record of the update section: what it does is in its class and type (RFC 2136 §2.5).

    The zone's class adds; class NONE deletes this record; class ANY deletes the RRset, or all of the
    name where the type is ANY too. *ttl* matters where it adds.
    """

    name: Name
    type: int
    rdclass: int
    ttl: int = 0
    rdata: Rdata = b""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """The lease that an update asks for (RFC 9664 §4), in seconds; *key_lease* is None in the short form."""

    lease: int
    key_lease: int | None = None


class Update(msgspec.Struct, frozen=True):
    """An update as it was asked for.

    *prerequisites* and *operations* end before the first malformed one, which *prerequisite_fault* and
    *fault* then refuse. *names* are the names of the zone that a view must hold to judge and apply it,
    the zone's own first. *zone_end* is the offset behind the zone section, for the reply's echo. *dane* is what it
    wishes for TLSA records (`ddns.zone.dane_option`).
    """

    id: int
    flags: int
    zone: Name
    zone_end: int
    prerequisites: tuple[Prerequisite, ...]
    operations: tuple[Operation, ...]
    names: tuple[Name, ...]
    writes: tuple[tuple[Name, int], ...]
    prerequisite_fault: Refusal | None = None
    fault: Refusal | None = None
    edns: Edns | None = None
    lease: Asked | None = None
    dane: Wish | None = None

    def targets(self) -> tuple[tuple[Name, int], ...]:
        """Return what the update writes, as names and types: for permissions; type ANY is a whole name.

        Everything in the update section is there, malformed or outside of the zone too, so that no
        record escapes the question.
        """
        return self.writes


def parse(message: bytes, limits: Limits = DEFAULT) -> Update | Refusal:
    """Read the UPDATE *message*, its TSIG or SIG(0) already cut off."""
    plain = twin.read_update(message, Operation, limits.records_per_update, limits.ttl)
    if plain is None:
        return _parse(message, limits)
    ident, flags, zone, end, operations, mentioned, writes, additional = plain
    if not additional:
        return Update(ident, flags, zone, end, (), operations, mentioned, writes)
    options = _options(message, additional, 0)
    if isinstance(options, Refusal):
        return options
    return Update(ident, flags, zone, end, (), operations, mentioned, writes, None, None, *options)


def _parse(message: bytes, limits: Limits) -> Update | Refusal:
    if len(message) < HEADER_SIZE:
        return _malformed("the message is shorter than a header")
    ident, flags, zones, prerequisites, operations, additional = _HEADER.unpack_from(message)
    if zones != 1:
        return _malformed("its zone section must hold exactly one record")
    try:
        zone = wire.question(message)
        rows = _walk(message, zone.end, prerequisites + operations + additional)
    except (BadName, BadMessage) as reason:
        return _malformed(str(reason))
    options = _options(message, rows, prerequisites + operations)
    if isinstance(options, Refusal):
        return options
    if zone.type != Type.SOA:  # RFC 2136 §3.1.1
        return _malformed("the type in its zone section must be SOA")
    if zone.rdclass != _IN:
        return Refusal(
            "class-unknown", Rcode.NOTAUTH, "Only zones of class IN are served here; name one.", Ede.NOT_AUTHORITATIVE
        )
    if prerequisites + operations > limits.records_per_update:
        return Refusal(
            "too-many-records",
            Rcode.REFUSED,
            f"An update may hold {limits.records_per_update} records; split this one.",
            Ede.PROHIBITED,
        )
    origin = zone.name
    wanted, prerequisite_fault = _prerequisites(message, origin, rows[:prerequisites])
    changes = rows[prerequisites : prerequisites + operations]
    asked, fault = _operations(message, origin, changes, limits)
    mentioned = dict.fromkeys((origin, *(item.name for item in wanted), *(item.name for item in asked)))
    return Update(
        ident,
        flags,
        origin,
        zone.end,
        wanted,
        asked,
        tuple(mentioned),
        tuple(dict.fromkeys([row[:2] for row in changes])),
        prerequisite_fault,
        fault,
        *options,
    )


def _options(message: bytes, rows: list[_Row], before: int) -> tuple[Edns | None, Asked | None, Wish | None] | Refusal:
    """Return the OPT of the additional section, which *before* rows precede, and what its options ask for."""
    try:
        edns = _edns(message, rows, before)
        if edns is not None and edns.version:  # RFC 6891 §6.1.3
            return Refusal("edns-version-unknown", Rcode.BADVERS, "Only version 0 of EDNS is spoken here.")
        return edns, *_asked(edns)
    except BadMessage as reason:
        return _malformed(str(reason))


def _walk(message: bytes, offset: int, count: int) -> list[_Row]:
    """Read *count* records from *offset* to the end of *message*. Raises `BadName` and `BadMessage`."""
    rows = twin.walk(message, offset, count)
    return _walk_slowly(message, offset, count) if rows is None else rows


def _walk_slowly(message: bytes, offset: int, count: int) -> list[_Row]:
    rows = []
    size = len(message)
    read, skip, unpack = names.read, names.skip, _FIXED.unpack_from
    known: dict[bytes, Name] = {}
    for _ in range(count):
        at = skip(message, offset)
        # The same octets later in the message spell the same name: pointers are absolute and point backwards.
        spelled = message[offset:at]
        owner = known.get(spelled)
        if owner is None:
            owner = known[spelled] = read(message, offset)[0]
        if at + 10 > size:
            raise BadMessage("a record runs over the end of the message")
        rdtype, rdclass, ttl, rdlength = unpack(message, at)
        at += 10
        offset = at + rdlength
        if offset > size:
            raise BadMessage("a record's data runs over the end of the message")
        rows.append((owner, rdtype, rdclass, ttl, at, rdlength))
    if offset != size:
        raise BadMessage("octets follow its last record")
    return rows


def _edns(message: bytes, rows: list[_Row], before: int) -> Edns | None:
    """Return the OPT of the additional section, which *before* rows precede (RFC 6891 §6.1.1). Raises `BadMessage`."""
    found = None
    for index, (name, rdtype, rdclass, ttl, at, rdlength) in enumerate(rows):
        if rdtype != _OPT:
            continue
        if index < before:
            raise BadMessage("an OPT record stands outside of its additional section")
        if found is not None or name != names.ROOT:
            raise BadMessage("it holds more than one OPT record, or one that is not the root's")
        found = wire.edns(message, wire.Record(at, name, rdtype, rdclass, ttl, at, rdlength))
        cookies = [octets for code, octets in found.options if code == EdnsOption.COOKIE]
        if cookies and len(cookies[0]) not in COOKIE_SIZES:
            raise BadMessage("a cookie has 8 octets, or 16 to 40")  # RFC 7873 §5.2.2
    return found


def _asked(edns: Edns | None) -> tuple[Asked | None, Wish | None]:
    """Return the lease that *edns* asks for (RFC 9664 §4), and its wish for TLSA records. Raises `BadMessage`."""
    lease: Asked | None = None
    wish: Wish | None = None
    for code, octets in edns.options if edns is not None else ():
        if code == UPDATE_LEASE:
            if lease is not None or len(octets) not in LEASE_SIZES:
                raise BadMessage("its Update Lease option must stand there once and have 4 or 8 octets")
            key_lease = int.from_bytes(octets[4:], "big") if len(octets) > 4 else None
            lease = Asked(int.from_bytes(octets[:4], "big"), key_lease)
        elif code == dane_option.OPTION:
            if wish is not None:
                raise BadMessage("its TLSA option must stand there once")
            try:
                wish = dane_option.read_wish(octets)
            except BadOption as reason:
                raise BadMessage(str(reason)) from None
    return lease, wish


def _prerequisites(message: bytes, origin: Name, rows: list[_Row]) -> tuple[tuple[Prerequisite, ...], Refusal | None]:
    """Check the form of prerequisites (RFC 2136 §3.2.4's first tests of each) up to the first bad one."""
    good: list[Prerequisite] = []
    for name, rdtype, rdclass, ttl, at, rdlength in rows:
        rdata = b""
        if ttl:
            return tuple(good), _bad(name, rdtype, "The prerequisite about", "must have TTL 0")
        if not names.is_subdomain(name, origin):
            return tuple(good), _outside(name, origin)
        # A type that is never data is no fault here: RFC 2136 §3.2.5 asks whether it is there, and it is not.
        if rdclass in (_ANY, _NONE):
            if rdlength:
                return tuple(good), _bad(name, rdtype, "The prerequisite about", "must have no data in this class")
        elif rdclass == _IN:
            try:
                rdata = records.read_rdata(rdtype, message, at, rdlength)
            except BadRdata as reason:
                return tuple(good), _bad(name, rdtype, "The prerequisite about", f"does not parse: {reason}")
        else:
            return tuple(good), _bad(name, rdtype, "The prerequisite about", "must be of class IN, ANY or NONE")
        good.append(Prerequisite(name, rdtype, rdclass, rdata))
    return tuple(good), None


def _operations(
    message: bytes, origin: Name, rows: list[_Row], limits: Limits
) -> tuple[tuple[Operation, ...], Refusal | None]:
    """Run the prescan of RFC 2136 §3.4.1 up to the first operation that it refuses."""
    good: list[Operation] = []
    inside = origin  # the last name that was found to be in the zone
    for name, rdtype, rdclass, ttl, at, rdlength in rows:
        rdata = b""
        if name is not inside and not names.is_subdomain(name, origin):
            return tuple(good), _outside(name, origin)
        inside = name
        if rdtype in META_TYPES and (rdtype != _TYPE_ANY or rdclass != _ANY):
            return tuple(good), _bad(name, rdtype, "The update of", "names a type that is never data")
        if rdclass == _ANY:
            if ttl or rdlength:
                return tuple(good), _bad(name, rdtype, "The deletion of", "must have TTL 0 and no data")
        elif rdclass in (_IN, _NONE):
            if rdclass == _NONE and ttl:
                return tuple(good), _bad(name, rdtype, "The deletion of", "must have TTL 0")
            try:
                rdata = records.read_rdata(rdtype, message, at, rdlength)
            except BadRdata as reason:
                return tuple(good), _bad(name, rdtype, "The update of", f"does not parse: {reason}")
            if limits.ttl < ttl <= MAX_TTL:
                return tuple(good), Refusal(
                    "ttl-too-long",
                    Rcode.REFUSED,
                    f"The TTL of {names.to_text(name)} {type_to_text(rdtype)} may be {limits.ttl} s at most; lower it.",
                    Ede.PROHIBITED,
                )
        else:
            return tuple(good), _bad(name, rdtype, "The update of", "must be of class IN, ANY or NONE")
        good.append(Operation(name, rdtype, rdclass, ttl if ttl <= MAX_TTL else 0, rdata))  # RFC 2181 §8
    return tuple(good), None


def _malformed(reason: str) -> Refusal:
    return Refusal("update-malformed", Rcode.FORMERR, f"The update is malformed: {reason}.")


def _bad(name: Name, rdtype: int, what: str, reason: str) -> Refusal:
    return Refusal(
        "record-malformed",
        Rcode.FORMERR,
        f"{what} {names.to_text(name)} {type_to_text(rdtype)} {reason}.",
    )


def _outside(name: Name, origin: Name) -> Refusal:
    """Refuse a record outside of the zone (RFC 2136 §3.2.4, §3.4.1.3)."""
    return Refusal(
        "name-outside-zone",
        Rcode.NOTZONE,
        f"The name {names.to_text(name)} is not in the zone {names.to_text(origin)}; update the zone that holds it.",
    )
