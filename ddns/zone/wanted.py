"""Which delegation a child's own UPDATE asks its registry for (draft-ietf-dnsop-delegation-mgmt-via-ddns). Pure.

Law: whoever holds a child's key may change NS and DS at exactly that child, and A and AAAA at or below it, and nothing
else; the whole message, or none of it. What comes out is a wish, which `acceptance` judges like any other. TTLs are the
registry's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from ddns.dns import names
from ddns.dns.codes import Class, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.dns.spelling import type_to_text
from ddns.zone.child import GLUE_TYPES, Child, Fault
from ddns.zone.request import Operation

_AT_CHILD = frozenset({Type.NS, Type.DS})


class Verb(StrEnum):
    """What a child's UPDATE comes to."""

    NOTHING = "nothing"  # all is as it asks already
    LEAVE = "leave"  # it is hosted, or on its way back, and wants servers of its own
    CHANGE = "change"  # it has servers of its own and wants others, or another DS
    RETURN = "return"  # it wants the registry's servers again


class Wanted(msgspec.Struct, frozen=True):
    """What a child wants: *child* is its delegation to servers of its own; *insecure*: it says itself that no DS be."""

    verb: Verb
    child: Child = Child()
    insecure: bool = False


def meant(origin: Name, ours: Child, their: Child | None, operations: Sequence[Operation], ttl: int) -> Wanted | Fault:
    """Return what the UPDATE of the child *origin* means.

    *ours* is its delegation while it is hosted, *their* the one to its own servers, None where it is hosted or comes
    back. *ttl*, in seconds, is that of new glue.
    """
    present = ours if their is None else their
    child = from_update(origin, present, operations, ttl)
    if isinstance(child, Fault):
        return child
    if their is not None and not child.servers:
        return Wanted(Verb.RETURN)  # who has no servers of its own is served by its registry
    if set(child.servers) == set(ours.servers):
        if their is not None:
            return Wanted(Verb.RETURN)
        if set(child.ds) == set(ours.ds):
            return Wanted(Verb.NOTHING)
        return Fault(
            "hosted",
            f"The DS of {names.to_text(origin)} are its registry's affair while it is served here; leave first.",
        )
    if their is None:
        # Who adds a DS beside ours means its own: ours is there as long as it is needed.
        child = msgspec.structs.replace(child, ds=tuple(one for one in child.ds if one not in ours.ds))
    elif child == their:
        return Wanted(Verb.NOTHING)
    cleared = any(
        one.rdclass in (Class.ANY, Class.NONE) and one.name == origin and one.type == Type.DS for one in operations
    )
    return Wanted(Verb.LEAVE if their is None else Verb.CHANGE, child, insecure=cleared and not child.ds)


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
