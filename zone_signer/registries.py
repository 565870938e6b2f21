"""The registries of homes whose keys are looked at: what each holds and shows of its home."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.records import RRset
from ddns.store.packing import bigints, octets
from zone_signer.leases import Lease
from zone_signer.policy import DAY
from zone_signer.store import Conn, rows_of

HELD_UP = 2 * DAY  # a home whose records have moved for longer (a dead server, a long TTL) must not stop the others


class Registry(msgspec.Struct, frozen=True):
    """The registry's zone of a home: what it holds of it is *there*, by type; *ttl* is that of the published DS.

    *bare*: that is published, and nobody has signed it.
    """

    id: int
    signed: bool
    serial: int
    moving: int  # homes of it whose keys move
    there: Mapping[int, RRset]
    ttl: int | None
    bare: bool = False


async def read(conn: Conn, homes: Sequence[Lease], now: int) -> dict[int, Registry]:
    """Return the registry of each of *homes*, as it is for that home."""
    if not homes:
        return {}
    parents = sorted({home.parent for home in homes if home.parent is not None})
    found = {
        zone: (denial, serial, moving)
        for zone, denial, serial, moving in await rows_of(
            conn,
            """SELECT id, denial, serial,
                      (SELECT count(DISTINCT key_motions.zone) FROM key_motions
                       JOIN zones AS home ON home.id = key_motions.zone
                       WHERE home.parent = zones.id AND coalesce(seen_at, since) >= to_timestamp(%(held_up)s))
               FROM zones WHERE id = ANY(%(parents)s)""",
            {"parents": bigints(parents), "held_up": now - HELD_UP},
        )
    }
    places = {
        "zones": bigints([home.parent for home in homes]),
        "owners": octets([names.order_key(home.origin) for home in homes]),
    }
    there: dict[tuple[int, bytes], dict[int, RRset]] = defaultdict(dict)
    for zone, owner, rdtype, ttl, rdatas in await rows_of(
        conn,
        """SELECT rrsets.zone, rrsets.owner, rrsets.type, ttl, rdatas
           FROM unnest(%(zones)s, %(owners)s) AS asked(zone, owner)
           JOIN rrsets ON rrsets.zone = asked.zone AND rrsets.owner = asked.owner AND rrsets.type IN (2, 43)""",
        places,
    ):
        there[zone, owner][rdtype] = RRset(names.from_order_key(owner), rdtype, ttl, tuple(rdatas))
    shown = {
        (zone, owner): (ttl, bare)
        for zone, owner, ttl, bare in await rows_of(
            conn,
            """SELECT shown.zone, shown.owner, ttl, cardinality(sigs) = 0
               FROM unnest(%(zones)s, %(owners)s) AS asked(zone, owner)
               JOIN published_rrsets AS shown ON shown.zone = asked.zone AND shown.owner = asked.owner
                    AND shown.type = 43""",
            places,
        )
    }
    out = {}
    for home in homes:
        if home.parent is not None and home.parent in found:
            denial, serial, moving = found[home.parent]
            place = home.parent, names.order_key(home.origin)
            ttl, bare = shown.get(place, (None, False))
            out[home.id] = Registry(home.parent, denial != "none", serial, moving, there[place], ttl, bare)
    return out
