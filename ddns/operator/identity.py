"""The KEY record of this service's own SIG(0) key, in the zone here that holds the service's name (RFC 2931 §2.4)."""

from __future__ import annotations

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.operator.change import Change, Conn, write
from ddns.operator.fault import CannotDo
from ddns.operator.tlsa import locked_zone_of
from ddns.store import rrsets
from ddns.zone.changes import ChangeSet, RRsetChange

TTL = 3600  # seconds
PRINCIPAL = "service:sig0"


async def keep(conn: Conn, name: Name, public: Rdata) -> int:
    """Publish the KEY *public* at *name* and return the zone's id, 0 where it stands there already.

    Other KEY records of the name stay: they are other servers' or people's. Raises `CannotDo` where no zone here
    can hold the record.
    """
    async with conn.transaction():
        zone = await locked_zone_of(conn, name, "KEY record")
        found = await rrsets.read_names(conn, [(zone.id, name)])
        there = {one.type: one for one in found.get((zone.id, name), ())}
        if Type.CNAME in there:
            raise CannotDo(f"{names.to_text(name)} is an alias, which cannot be a server's name; remove the alias.")
        before = there.get(Type.KEY)
        rdatas = () if before is None else before.rdatas
        if public in rdatas:
            return 0
        after = RRset.of(name, Type.KEY, TTL, sorted({*rdatas, public}))
        await write(conn, [Change(zone, ChangeSet((RRsetChange(name, Type.KEY, before, after),)))], PRINCIPAL)
        return zone.id
