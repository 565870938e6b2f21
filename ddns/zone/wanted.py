"""Which delegation a child's own UPDATE asks its registry for (draft-ietf-dnsop-delegation-mgmt-via-ddns). Pure.

Law: whoever holds a child's key may change NS and DS at exactly that child, and A and AAAA at or below it, and nothing
else; the whole message, or none of it. What comes out is a wish, which `acceptance` judges like any other. TTLs are the
registry's.
"""

from __future__ import annotations

from collections.abc import Iterable

from ddns.dns import names
from ddns.dns.codes import Class, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.dns.spelling import type_to_text
from ddns.zone.child import GLUE_TYPES, Child, Fault
from ddns.zone.request import Operation

_AT_CHILD = frozenset({Type.NS, Type.DS})


def from_update(origin: Name, present: Child, operations: Iterable[Operation], ttl: int) -> Child | Fault:
    """Return the delegation of *origin* after *operations* on the *present* one (RFC 2136 §2.5), or what is wrong.

    Addresses of hosts that are servers no more go with them. *ttl*, in seconds, is that of new glue.
    """
    held: dict[tuple[Name, int], set[Rdata]] = {
        (origin, Type.NS): set(present.servers), (origin, Type.DS): set(present.ds),
    }  # fmt: skip
    ttls = {(rrset.name, rrset.type): rrset.ttl for rrset in present.glue}
    for rrset in present.glue:
        held[rrset.name, rrset.type] = set(rrset.rdatas)
    added: set[Name] = set()
    for one in operations:
        fault = _outside(origin, one)
        if fault is not None:
            return fault
        place = one.name, one.type
        if one.rdclass == Class.IN:
            held.setdefault(place, set()).add(one.rdata)
            added.add(one.name)
        elif one.rdclass == Class.NONE:
            held.get(place, set()).discard(one.rdata)
        elif one.type == Type.ANY:
            for (name, _), rdatas in held.items():
                if name == one.name:
                    rdatas.clear()
        else:
            held.get(place, set()).clear()
    servers = tuple(sorted(held[origin, Type.NS]))
    glue = tuple(
        RRset.of(name, rdtype, ttls.get((name, rdtype), ttl), rdatas)
        for (name, rdtype), rdatas in sorted(held.items())
        if rdtype in GLUE_TYPES and rdatas and (name in servers or name in added)
    )
    return Child(servers, glue, tuple(sorted(held[origin, Type.DS])))


def _outside(origin: Name, one: Operation) -> Fault | None:
    """Return a fault where an operation is about something else than the delegation of *origin*."""
    text = names.to_text(one.name)
    if not names.is_subdomain(one.name, origin):
        return Fault(
            "other-name", f"The key of {names.to_text(origin)} may not change {text}; sign with the key of that."
        )
    deletes_all = one.type == Type.ANY and one.rdclass == Class.ANY
    if deletes_all or one.type in GLUE_TYPES or (one.name == origin and one.type in _AT_CHILD):
        return None
    what = type_to_text(one.type)
    return Fault("other-type", f"{what} at {text} is no part of a delegation; NS, DS and addresses of servers are.")
