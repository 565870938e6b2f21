"""The DSYNC records of registries' zones: where NOTIFY and UPDATE about the homes in them go (RFC 9859 §3).

Law: only records that lead to this service's own name are ever taken away; others are other servers' or people's.
"""

from __future__ import annotations

import struct

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata, RRset
from ddns.operator.change import Change, Conn, write
from ddns.store import rrsets, zones
from ddns.store.children import registries
from ddns.store.zones import Zone
from ddns.watch.dsync import DSYNC, LABEL, NOTIFY_SCHEME
from ddns.zone.changes import ChangeSet, RRsetChange

TTL = 3600  # seconds
PRINCIPAL = "service:dsync"
_HEAD = struct.Struct("!HBH")  # RRtype, scheme, port (RFC 9859 §2.1)


def records(target: Name, port: int, update: int) -> frozenset[Rdata]:
    """Return what says that *target* listens on *port*; *update* is the number of the scheme UPDATE, 0: none.

    The draft that has it speaks of updates of any type. With a *port* of 0 nothing is said.
    """
    if not port:
        return frozenset()
    wanted = {_HEAD.pack(rdtype, NOTIFY_SCHEME, port) + target for rdtype in (Type.CDS, Type.CSYNC)}
    if update:
        wanted.add(_HEAD.pack(Type.ANY, update, port) + target)
    return frozenset(wanted)


async def keep(conn: Conn, target: Name, wanted: frozenset[Rdata]) -> int:
    """Publish *wanted*, which lead to *target*, in a zone that has homes and lacks them; return its id, 0: none does.

    What led to *target* and is not wanted goes. One zone is written at a time; zones that are signed elsewhere, and
    whose wildcard has no room, are left alone.
    """
    async with conn.transaction():
        for zone in await registries(conn):
            if await _change(conn, zone, target, wanted) is None:
                continue
            locked = (await zones.lock(conn, [zone.id])).get(zone.id)
            change = locked and await _change(conn, locked, target, wanted)
            if locked and change:
                await write(conn, [Change(locked, ChangeSet((change,)))], PRINCIPAL)
                return zone.id
    return 0


async def _change(conn: Conn, zone: Zone, target: Name, wanted: frozenset[Rdata]) -> RRsetChange | None:
    try:
        owner = names.prepend(b"*", names.prepend(LABEL, zone.origin))
    except BadName:
        return None
    if zone.presigned:
        return None
    found = await rrsets.read_names(conn, [(zone.id, owner)])
    before = next((one for one in found.get((zone.id, owner), ()) if one.type == DSYNC), None)
    old = frozenset(() if before is None else before.rdatas)
    new = frozenset(one for one in old if one[_HEAD.size :] != target) | wanted
    if new == old:
        return None
    return RRsetChange(owner, DSYNC, before, RRset.of(owner, DSYNC, TTL, sorted(new)) if new else None)
