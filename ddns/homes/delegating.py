"""How a home stands in its registry's zone: its first records, its delegation, and the end of it.

Law: the caller holds the registry's zone locked and commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, soa_with_serial
from ddns.signing.publish import Outcome, Signs, ZoneStep, changes_of, publish
from ddns.store import delegations, journal, published, rrsets, signing
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet
from ddns.zone.child import GLUE_TYPES
from ddns.zone.ds import ds_rdata
from ddns.zone.hand import State
from ddns.zone.jobs import Node

KEY_TTL = 3600  # seconds
DELEGATION_TTL = 3600  # seconds, of a home's NS and DS in the registry's zone


def home_records(home: Name, parent_apex: dict[int, RRset], key: bytes | None) -> tuple[RRset, ...]:
    """Return the records of a new home: SOA and NS as in its registry's zone, and its KEY where it has one."""
    soa, servers = parent_apex[Type.SOA], parent_apex[Type.NS]
    out = [
        RRset(home, Type.SOA, soa.ttl, (soa_with_serial(soa.rdatas[0], 1),)),
        RRset(home, Type.NS, servers.ttl, servers.rdatas),
    ]
    if key is not None:
        out.append(RRset(home, Type.KEY, KEY_TTL, (key,)))
    return tuple(out)


class _Around(msgspec.Struct, frozen=True):
    """What there is at the names of *parent* that are *touched*, at those *between* them and its apex, and there."""

    parent: Zone
    touched: tuple[Name, ...]
    between: tuple[Name, ...]
    stored: Mapping[tuple[int, Name], tuple[RRset, ...]]
    shown: tuple[SignedRRset, ...]

    def of(self, name: Name) -> tuple[RRset, ...]:
        return self.stored.get((self.parent.id, name), ())


async def _read(conn: AsyncConnection[Any], parent: Zone, touched: Sequence[Name]) -> _Around:
    above = {up for name in touched for up in names.ancestors(name, parent.origin)[:-1]}
    between = sorted(above - set(touched))
    where = [(parent.id, name) for name in (*touched, *between, parent.origin)]
    stored = await rrsets.read_names(conn, where)
    old = await published.read_names(conn, where)
    shown = tuple(one for key in where for one in old.get(key, ()))
    return _Around(parent, tuple(touched), tuple(between), stored, shown)


async def _publish(
    conn: AsyncConnection[Any], signer: Signs, around: _Around, nodes: Sequence[Node], changes: ChangeSet, who: str
) -> Outcome:
    """Publish *nodes* as one edition of the registry's zone, with its entry in the journal."""
    parent = around.parent
    between = tuple((name, tuple(one.type for one in around.of(name))) for name in around.between)
    step = ZoneStep(parent, tuple(nodes), between, around.of(parent.origin), around.shown)
    outcome = await publish(conn, signer, [step])
    await journal.append(conn, [journal.Entry(parent.id, parent.head + 1, who, None, None, changes)])
    return outcome


async def delegate(
    conn: AsyncConnection[Any],
    signer: Signs,
    parent: Zone,
    children: Sequence[tuple[Name, tuple[bytes, ...], tuple[bytes, ...]]],
) -> Outcome:
    """Put NS and DS of *children* (name, NS RDATA, DS RDATA) into the locked zone *parent*, in one edition.

    Without DS RDATA the delegation is insecure until the signer, back again, places the DS itself.
    """
    around = await _read(conn, parent, [name for name, _servers, _ds in children])
    nodes = []
    for name, servers, ds in children:
        was = around.of(name)
        kept = [one for one in was if one.type not in (Type.NS, Type.DS)]
        new = [RRset(name, Type.NS, DELEGATION_TTL, tuple(sorted(servers)))]
        if ds and parent.denial != "none":
            new.append(RRset(name, Type.DS, DELEGATION_TTL, tuple(sorted(ds))))
        nodes.append(Node(name, was, (*kept, *new)))
    return await _publish(conn, signer, around, nodes, changes_of(nodes), "service")


async def undelegate(
    conn: AsyncConnection[Any], signer: Signs, parent: Zone, zone: int, home: Name, principal: str
) -> tuple[int, ...]:
    """Take NS and DS of *home*, and the addresses of servers of its own, out of the locked zone *parent*.

    In one edition. Return the zones that wait for the signer.
    """
    turning = (await delegations.read(conn, [zone])).get(zone)
    hosts = [] if turning is None else sorted({one.name for one in (*turning.their.glue, *turning.hand.their.glue)})
    around = await _read(conn, parent, [home, *(name for name in hosts if name != home)])
    nodes = []
    for name in around.touched:
        was = around.of(name)
        gone = (Type.NS, Type.DS, *(GLUE_TYPES if hosts else ()))
        nodes.append(Node(name, was, tuple(one for one in was if one.type not in gone)))
    changes = changes_of(nodes)
    if not changes:
        return ()
    return (await _publish(conn, signer, around, nodes, changes, principal)).pending


async def delegate_again(conn: AsyncConnection[Any], signer: Signs, parent: Zone, zone: Zone) -> tuple[int, ...]:
    """Delegate to the home with the hosted *zone* as it is now, in the locked zone *parent*.

    Its DS are those of the keys that the signer wants named. Return the zones that wait for the signer.
    """
    found = await rrsets.read_names(conn, [(zone.id, zone.origin)])
    servers = next(one.rdatas for one in found[zone.id, zone.origin] if one.type == Type.NS)
    named = await signing.named_by_the_parent(conn, zone.id)
    ds = tuple(ds_rdata(zone.origin, key) for key in named) if zone.denial != "none" else ()
    return (await delegate(conn, signer, parent, [(zone.origin, servers, ds)])).pending


async def is_elsewhere(conn: AsyncConnection[Any], zone: Zone) -> bool:
    """Tell whether the home with *zone* has servers of its own, or is on its way there or back."""
    turning = (await delegations.read(conn, [zone.id])).get(zone.id)
    return zone.presigned or (turning is not None and turning.state is not State.HOSTED)
