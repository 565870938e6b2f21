"""Zones: which there are, how far each has come, and the lock that a change of one needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.pool import rows

REMOVALS_KEPT = 7 * 86400  # seconds for which the database knows of a removed zone (migration 0008)


class Zone(msgspec.Struct, frozen=True):
    """A zone's row with what its home and its signing say.

    *head* is the last sequence number in its journal, *edition* the number of what is published (0: nothing
    yet), *serial* the SOA serial published. *home*: it belongs to a home, which may be *suspended*: held
    in whatever way, so that it takes no updates.
    *signed_pending*: its records are ahead of what is published. *leased*: some of its records have a lease.
    *keyset* is another number whenever who signs what in it is another. *held*: it is published and served by nobody
    here, because its home has servers of its own; *presigned*: what is published is a copy that those have signed.
    *tenant* is whose home it is, 1: the registry's own.
    """

    id: int
    origin: Name
    denial: str
    algorithm: int
    parent: int | None
    head: int
    edition: int
    serial: int
    home: bool = False
    suspended: bool = False
    signed_pending: bool = False
    leased: bool = False
    keyset: int = 0
    held: bool = False
    presigned: bool = False
    tenant: int = 1

    @property
    def is_away(self) -> bool:
        """Tell whether the zone's home has servers of its own, so that nothing of it is changed here."""
        return self.held or self.presigned

    @property
    def shown_serial(self) -> int | None:
        """Return the serial in which all of its records are published; None: the signer is behind."""
        return None if self.signed_pending else self.serial


# The columns of a `Zone`, what they are to `ddns.store.unpacking`, and what stands beside the zone's row.
COLUMNS = """zones.id, zones.origin, zones.denial, zones.algorithm::integer, zones.parent, zones.head, zones.edition,
       zones.serial, homes.zone IS NOT NULL, coalesce(homes.state <> 'active', false),
       coalesce(signing.pending, false), EXISTS (SELECT FROM leases WHERE leases.zone = zones.id),
       zones.keyset, zones.held, zones.presigned, zones.tenant"""
KINDS = b"qntiqqqqzzzzqzzq"
BESIDE = """
LEFT JOIN homes ON homes.zone = zones.id
LEFT JOIN signing ON signing.zone = zones.id
"""
_SELECT = f"SELECT {COLUMNS} FROM zones {BESIDE}"  # noqa: S608 - constants


def _zone(row: Sequence[Any]) -> Zone:
    return Zone(row[0], names.from_order_key(row[1]), *row[2:])


async def lock(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Zone]:
    """Lock the zones *ids* in the order of their ids until the transaction ends, and return them as they are then.

    What is no more is missing in the result.
    """
    wanted = {"ids": bigints(sorted(set(ids)))}
    # The lock does not stand in the way of rows that only refer to the zone. It is a statement of its own: joined rows
    # of a locking statement would be those from before the wait for the lock.
    await conn.execute(
        "SELECT id FROM zones WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE", wanted, prepare=True
    )
    return await get(conn, wanted["ids"])


async def get(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, Zone]:
    """Return the zones *ids* that there are."""
    wanted = ids if isinstance(ids, bytes) else bigints(list(ids))
    cursor = await conn.execute(_SELECT + "WHERE zones.id = ANY (%(ids)s)", {"ids": wanted}, prepare=True, binary=True)
    return {row[0]: _zone(row) for row in await rows(cursor)}


async def find(conn: AsyncConnection[Any], origin: Name) -> Zone | None:
    """Return the zone whose apex is *origin*."""
    cursor = await conn.execute(
        _SELECT + "WHERE zones.origin = %(origin)s", {"origin": names.order_key(origin)}, prepare=True, binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else _zone(row)


async def listing(conn: AsyncConnection[Any]) -> list[Zone]:
    """Return all zones in canonical order."""
    cursor = await conn.execute(_SELECT + "ORDER BY zones.origin", binary=True)
    return [_zone(row) for row in await cursor.fetchall()]


async def numbers(conn: AsyncConnection[Any]) -> list[tuple[int, Name, int]]:
    """Return id, apex and the number of the published edition of every zone."""
    cursor = await conn.execute("SELECT id, origin, edition FROM zones", binary=True)
    key = names.from_order_key
    return [(zone, key(origin), edition) for zone, origin, edition in await cursor.fetchall()]


async def listed(conn: AsyncConnection[Any], after: Name | None, limit: int) -> list[tuple[Name, int]]:
    """Return (apex, id) of at most *limit* zones behind the apex *after* in canonical order; None: from the start.

    Zones that are held are served by nobody here: they are not listed, neither here nor below.
    """
    cursor = await conn.execute(
        """
        SELECT origin, id FROM zones WHERE origin >= %(first)s AND NOT held ORDER BY origin LIMIT %(limit)s
        """,
        {"first": b"" if after is None else names.order_key(after) + b"\0", "limit": limit},
        prepare=True,
        binary=True,
    )
    return _apexes(await cursor.fetchall())


def _apexes(rows: Iterable[Sequence[Any]]) -> list[tuple[Name, int]]:
    """Return rows of (apex as order key, id) as values; most zones stand below the same one."""
    out = []
    above, suffix = b"", b""
    length = -1
    for key, zone in rows:
        cut = key.rfind(b"\0\0", 0, -2) + 2
        if cut < 2 or b"\0" in key[cut:-2]:
            out.append((names.from_order_key(key), zone))
            continue
        if cut != length or not key.startswith(above):
            above, length = key[:cut], cut
            suffix = names.from_order_key(above)
        out.append((bytes((len(key) - cut - 2,)) + key[cut:-2] + suffix, zone))
    return out


async def at_or_above(conn: AsyncConnection[Any], name: Name) -> list[tuple[Name, int]]:
    """Return (apex, id) of the zones served here whose apex is *name* or above it."""
    cursor = await conn.execute(
        "SELECT origin, id FROM zones WHERE origin = ANY (%(origins)s) AND NOT held",
        {"origins": octets([names.order_key(one) for one in names.suffixes(name)])},
        prepare=True,
        binary=True,
    )
    return _apexes(await cursor.fetchall())


async def apexes(conn: AsyncConnection[Any], ids: Sequence[int]) -> list[tuple[Name, int]]:
    """Return (apex, id) of those of the zones *ids* that are served here."""
    cursor = await conn.execute(
        "SELECT origin, id FROM zones WHERE id = ANY (%(ids)s) AND NOT held",
        {"ids": bigints(ids)},
        prepare=True,
        binary=True,
    )
    return _apexes(await cursor.fetchall())


async def changed(conn: AsyncConnection[Any], held: Sequence[tuple[int, int]]) -> list[tuple[int, int | None]]:
    """Return, of the zones *held*, given as (id, edition), those that have another edition, with it.

    None: it is removed, or not served here any more.
    """
    cursor = await conn.execute(
        """
        SELECT known.id, zones.edition
        FROM unnest(%(ids)s, %(editions)s) AS known (id, edition)
        LEFT JOIN zones ON zones.id = known.id AND NOT zones.held
        WHERE zones.edition IS DISTINCT FROM known.edition
        """,
        {"ids": bigints([zone for zone, _ in held]), "editions": bigints([edition for _, edition in held])},
        prepare=True,
        binary=True,
    )
    return list(await cursor.fetchall())


async def moment(conn: AsyncConnection[Any]) -> int:
    """Return a mark of this moment for `came` and `went`: the oldest transaction that is still under way."""
    cursor = await conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text", prepare=True)
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def came(
    conn: AsyncConnection[Any], since: int, after: tuple[int, int], limit: int
) -> tuple[list[tuple[Name, int]], tuple[int, int]]:
    """Return (apex, id) of zones that may have come since the mark *since*, and where to go on.

    At most *limit*, behind the place *after*, (0, 0) at first. What was committed before the mark and is newer than
    it in number is among them; nothing that came since is missing.
    """
    cursor = await conn.execute(
        """
        SELECT origin, id, born::text FROM zones
        WHERE born >= %(since)s::text::xid8 AND (born, id) > (%(born)s::text::xid8, %(id)s)
          AND born < pg_snapshot_xmax(pg_current_snapshot()) AND NOT held
        ORDER BY born, id LIMIT %(limit)s
        """,
        {"since": str(since), "born": str(after[0]), "id": after[1], "limit": limit},
        prepare=True,
        binary=True,
    )
    found = await cursor.fetchall()
    place = (int(found[-1][2]), found[-1][1]) if found else after
    return _apexes(row[:2] for row in found), place


async def went(conn: AsyncConnection[Any], since: int) -> list[int]:
    """Return the ids of zones that may have been removed since the mark *since*, as far back as `REMOVALS_KEPT`."""
    cursor = await conn.execute(
        "SELECT zone FROM zones_gone WHERE gone >= %(since)s::text::xid8",
        {"since": str(since)},
        prepare=True,
        binary=True,
    )
    return [row[0] for row in await cursor.fetchall()]


async def children(conn: AsyncConnection[Any], parent: int) -> list[Zone]:
    """Return the homes that the registry's zone *parent* delegates, in canonical order."""
    cursor = await conn.execute(
        _SELECT + "WHERE zones.parent = %(parent)s ORDER BY zones.origin", {"parent": parent}, prepare=True, binary=True
    )
    return [_zone(row) for row in await cursor.fetchall()]


async def insert(
    conn: AsyncConnection[Any], origin: Name, denial: str, algorithm: int, parent: int | None = None
) -> int:
    """Add a zone without records and return its id. Raises `psycopg.errors.UniqueViolation` (zone_twice)."""
    return (await insert_all(conn, [(origin, denial, algorithm, parent)]))[0]


async def insert_all(conn: AsyncConnection[Any], zones: Sequence[tuple[Name, str, int, int | None]]) -> list[int]:
    """Add zones given as (origin, denial, algorithm, parent), and return their ids in the same order."""
    keys = [names.order_key(zone[0]) for zone in zones]
    cursor = await conn.execute(
        """
        WITH made AS (
            INSERT INTO zones (origin, denial, algorithm, parent)
            SELECT origin, denial, algorithm, parent
            FROM unnest(%(origins)s, %(denials)s, %(algorithms)s, %(parents)s)
                 AS wanted (origin, denial, algorithm, parent)
            RETURNING id, origin
        ), signed AS (
            INSERT INTO signing (zone) SELECT id FROM made
        )
        SELECT origin, id FROM made
        """,
        {
            "origins": octets(keys),
            "denials": texts(zone[1] for zone in zones),
            "algorithms": integers([zone[2] for zone in zones]),
            "parents": bigints([zone[3] for zone in zones]),
        },
        prepare=True,
        binary=True,
    )
    made = dict(await cursor.fetchall())
    return [made[key] for key in keys]


async def advance(conn: AsyncConnection[Any], steps: Sequence[tuple[int, int, int, int]]) -> None:
    """Set head, edition and serial of zones, given as (id, head, edition, serial)."""
    if not steps:
        return
    ids, heads, editions, serials = zip(*steps, strict=True)
    await conn.execute(
        """
        UPDATE zones SET head = step.head, edition = step.edition, serial = step.serial
        FROM unnest(%(ids)s, %(heads)s, %(editions)s, %(serials)s) AS step (id, head, edition, serial)
        WHERE zones.id = step.id
        """,
        {"ids": bigints(ids), "heads": bigints(heads), "editions": bigints(editions), "serials": bigints(serials)},
        prepare=True,
    )


async def remove(conn: AsyncConnection[Any], zone: int) -> bool:
    """Remove a zone with all that belongs to it but its journal; tell whether there was one.

    Raises `psycopg.errors.ForeignKeyViolation` (registry_removed_before_its_homes) where it still delegates homes.
    """
    cursor = await conn.execute("DELETE FROM zones WHERE id = %(zone)s", {"zone": zone}, prepare=True)
    return cursor.rowcount > 0


async def set_denial(conn: AsyncConnection[Any], zone: int, denial: str, algorithm: int) -> None:
    """Have a locked *zone* signed another way from its next edition on; its keys are looked at by then.

    A key of another algorithm is not put in place of the one before at once: the signer rolls.
    """
    await conn.execute(
        """
        WITH rolled AS (
            UPDATE signing SET step_at = to_timestamp(0) FROM zones
            WHERE signing.zone = %(zone)s AND zones.id = signing.zone
              AND zones.algorithm <> %(algorithm)s AND %(denial)s <> 'none'
        )
        UPDATE zones SET denial = %(denial)s, algorithm = %(algorithm)s WHERE id = %(zone)s
        """,
        {"zone": zone, "denial": denial, "algorithm": algorithm},
        prepare=True,
    )
