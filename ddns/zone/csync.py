"""What a child asks for by CSYNC: that its parent copies its NS records and their addresses (RFC 7477). Pure.

Law: CSYNC says which types to copy; what is copied is what all of the child's servers show alike, proved by its DS
(RFC 9975 §3.2, RFC 7477 §3). So only a child with a DS can ask this way. What comes out is still only a wish: the new
servers are asked next, and `acceptance` judges them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset, serial_newer
from ddns.zone import proof
from ddns.zone.child import GLUE_TYPES, Asked, Child, Fault, ServerSaid, Verify, same

IMMEDIATE = 0x0001  # RFC 7477 §2.1.1.2
SOAMINIMUM = 0x0002  # RFC 7477 §2.1.1.2
_HEAD = struct.Struct("!IH")  # serial and flags (RFC 7477 §2.1.1)
_COPIED = GLUE_TYPES | {Type.NS}


def from_csync(
    origin: Name, present: Child, said: Sequence[ServerSaid], verify: Verify, serial: int | None, now: int
) -> Asked | Fault | None:
    """Return what the child *origin* asks for, why that is not granted, or None where it asks for nothing new.

    *present* is what is published now, *said* what every one of its servers said at every address; *serial* is that of
    the last CSYNC that was followed, None where there was none.
    """
    if not present.ds:
        return Fault(
            "unsigned", f"{_text(origin)} has no DS, so nothing proves its CSYNC; change its servers otherwise."
        )
    for one in said:
        if one.problem or not one.authoritative:
            return Fault("lame", f"{one.who} {one.problem or f'does not answer for {_text(origin)}'}.")
    missing = sorted(set(present.servers) - {one.server for one in said})
    if missing:
        return Fault("lame", f"{_text(missing[0])} has not been asked; nobody knows an address of it.")
    asked = _asked(origin, present, said, verify, now)
    if asked is None or isinstance(asked, Fault):
        return asked
    stamp, flags, types = asked
    if serial is not None and flags & SOAMINIMUM and serial_newer(serial, stamp):
        return Fault("older", f"The CSYNC of {_text(origin)} is older than the one that was followed last.")
    servers = present.servers
    if Type.NS in types:
        for one in said:
            if not same(one.ns, said[0].ns):
                return Fault("differs", f"{one.who} shows other NS records of {_text(origin)} than {said[0].who}.")
        servers = tuple(sorted(said[0].servers))
    if not servers:
        return Fault("no-server", f"{_text(origin)} shows no NS records.")
    unlike = _unlike(said, servers, types)
    if unlike is not None:
        return Fault("differs", f"{unlike.who} shows other addresses of servers than {said[0].who}.")
    glue = tuple(_glue(origin, present, said, servers, types))
    for server in servers:
        if names.is_subdomain(server, origin) and not any(one.name == server for one in glue):
            return Fault(
                "no-address", f"{_text(server)} is below {_text(origin)} and has no address that is to be copied."
            )
    child = Child(servers, glue, present.ds)
    return None if _content(child) == _content(present) else Asked(child, stamp)


def _asked(
    origin: Name, present: Child, said: Sequence[ServerSaid], verify: Verify, now: int
) -> tuple[int, int, frozenset[int]] | Fault | None:
    """Return the serial, the flags and the types of the CSYNC that all servers show alike, proved; None: none."""
    if not any(one.csync for one in said):
        return None
    found: list[tuple[int, int, frozenset[int]]] = []
    ripe: list[bool] = []
    for one in said:
        if one.csync is None or len(one.csync.rdatas) != 1 or len(one.csync.rdatas[0]) < _HEAD.size:
            return Fault("differs", f"{one.who} does not show the one CSYNC of {_text(origin)} that others show.")
        serial, flags = _HEAD.unpack_from(one.csync.rdatas[0])
        types = types_of(one.csync.rdatas[0][_HEAD.size :])
        for rrset, what in ((one.csync, "CSYNC"), (one.soa, "SOA"), *_copied(one, types)):
            reason = proof.unproved(origin, present.ds, one.dnskey, rrset, what, verify, now)
            if reason:
                return Fault("bogus", f"{one.who} {reason}.")
        # What the serial says is judged by the SOA of the same server (RFC 9975 §3.2).
        ripe.append(not flags & SOAMINIMUM or one.serial == serial or serial_newer(one.serial or 0, serial))
        found.append((serial, flags, types))
    serial, flags, types = found[0]
    if any((one[1] & IMMEDIATE, one[2]) != (flags & IMMEDIATE, types) for one in found) or len(set(ripe)) > 1:
        return Fault("differs", f"The servers of {_text(origin)} show CSYNC records that ask for different things.")
    if any(one[1] & ~(IMMEDIATE | SOAMINIMUM) for one in found) or not types <= _COPIED:
        return Fault("unknown", f"The CSYNC of {_text(origin)} has a flag or a type that is not known here.")
    if not flags & IMMEDIATE:
        return Fault(
            "approval", f"The CSYNC of {_text(origin)} waits for somebody to approve it; that is not done here."
        )
    if not ripe[0]:
        return None  # its time has not come: the zone has not reached the serial yet (RFC 7477 §2.1.1.1)
    oldest = serial
    for other, _, _ in found:
        oldest = other if serial_newer(oldest, other) else oldest
    return oldest, flags, types


def types_of(bitmap: bytes) -> frozenset[int]:
    """Return the types of a bitmap (RFC 4034 §4.1.2); what is cut off is left out."""
    out = set()
    at = 0
    while at + 2 <= len(bitmap):
        window, length = bitmap[at], bitmap[at + 1]
        for offset, octet in enumerate(bitmap[at + 2 : at + 2 + length]):
            out |= {window * 256 + offset * 8 + bit for bit in range(8) if octet & 0x80 >> bit}
        at += 2 + length
    return frozenset(out)


def _copied(one: ServerSaid, types: frozenset[int]) -> Iterator[tuple[SignedRRset | None, str]]:
    """Yield what *types* have copied of what *one* said, and what each is called."""
    if Type.NS in types:
        yield one.ns, "NS"
    for rrset in one.hosts:
        if rrset.type in types:
            yield rrset, f"addresses of {_text(rrset.name)}"


def _glue(
    origin: Name, present: Child, said: Sequence[ServerSaid], servers: Sequence[Name], types: frozenset[int]
) -> Iterator[RRset]:
    """Yield the addresses of *servers* below the child: copied where *types* say so, else as they are (§3.2.2)."""
    for server in servers:
        if not names.is_subdomain(server, origin):
            continue
        for rdtype in sorted(GLUE_TYPES):
            if rdtype in types:
                rrset = _host(said[0], server, rdtype)
                if rrset is not None and rrset.rdatas:
                    yield RRset(server, rdtype, rrset.ttl, rrset.rdatas)
            else:
                yield from (one for one in present.glue if (one.name, one.type) == (server, rdtype))


def _unlike(said: Sequence[ServerSaid], servers: Sequence[Name], types: frozenset[int]) -> ServerSaid | None:
    """Return one that shows other addresses of *servers* than the first, if there is one."""
    for one in said[1:]:
        for server in servers:
            for rdtype in GLUE_TYPES & types:
                if not same(_host(one, server, rdtype), _host(said[0], server, rdtype)):
                    return one
    return None


def _content(child: Child) -> tuple[list[Name], list[tuple[Name, int, tuple[Rdata, ...]]]]:
    """Return what of a delegation CSYNC may change, without TTLs."""
    return sorted(child.servers), sorted((one.name, one.type, one.rdatas) for one in child.glue)


def _host(one: ServerSaid, server: Name, rdtype: int) -> SignedRRset | None:
    return next((rrset for rrset in one.hosts if (rrset.name, rrset.type) == (server, rdtype)), None)


def _text(name: Name) -> str:
    return names.to_text(name)
