"""What servers showed when they were asked, and who waits for it: where the watcher writes and the signer reads.

Law: a row keeps the last answer and, beside it, why the last question had none; a server that is not among a zone's any
more is not `wanted`. When a list of servers was made is a row too, of the server '': without it nobody can tell a zone
that has no secondaries from one that nobody has looked at yet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets, ragged, texts

SECONDARY, PARENT, DSYNC, WITHDRAWN = "secondary", "parent", "dsync", "withdrawn"
LIST = ""  # the server whose row says when the list was made
WATCH_LOCK = 0x6E616D65706C6177  # ours: the advisory lock of the one process that watches
MOST_WAITING = 5000  # motions, and zones with TLSA records, that are looked at together
SCANNED = 10_000  # ids of zones that one step of a walk looks at
KEPT = 7 * 86400  # seconds for which what a former server showed is kept


class Sighting(msgspec.Struct, frozen=True):
    """What one server said of *zone*; times in seconds since 1970.

    *kind* is `SECONDARY`, `PARENT`, `DSYNC` (who was told of new CDS records), or `WITHDRAWN`: a secondary that is to
    serve the zone no more, whose answer is that it does not. *answered* is when it gave *serial*, *ds* and *ds_ttl*;
    *problem* is why the last question, *asked*, has no answer.
    """

    zone: int
    kind: str
    server: str
    asked: int
    answered: int | None = None
    serial: int | None = None
    ds: tuple[Rdata, ...] | None = None
    ds_ttl: int | None = None
    problem: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """Servers of *zone* (or, of kind `PARENT`, of its parent) that must show something by which *zones* go on.

    *since* is when the newest of that began, in seconds since 1970.
    """

    zone: int
    kind: str
    since: int
    zones: frozenset[int]


class Place(msgspec.Struct, frozen=True):
    """A zone whose servers are to be asked: its NS names (*servers*), and whom it notifies (*targets*).

    *home*: the registry that delegates it is here, so that nobody asks a parent. *watch*, *check* and *parents* are its
    policy's watch, parent_check and parent_servers. *asks* is what it asks its parent for: CDS and CDNSKEY records.
    *above* are the servers of a home's registry, which its owner does not choose.
    """

    id: int
    origin: Name
    serial: int
    home: bool
    signed: bool
    watch: str
    check: str
    parents: tuple[str, ...]
    servers: tuple[Name, ...] = ()
    targets: tuple[tuple[str, int], ...] = ()
    asks: tuple[Rdata, ...] = ()
    above: tuple[Name, ...] = ()


async def take_watching(conn: AsyncConnection[Any]) -> bool:
    """Become the one process that watches, until *conn* closes; False: another one is."""
    cursor = await conn.execute("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": WATCH_LOCK})
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


# -- who is to be asked


async def waiting(conn: AsyncConnection[Any]) -> list[Waiting]:
    """Return what waits for servers that have not all shown it yet: motions of keys, TLSA records, turns of homes."""
    cursor = await conn.execute(
        """
        (SELECT coalesce(nullif(place, 0), zone), CASE place WHEN 0 THEN 'parent' ELSE 'secondary' END, zone,
                extract(epoch FROM since)::bigint
         FROM key_motions WHERE seen_at IS NULL ORDER BY since LIMIT %(most)s)
        UNION ALL
        (SELECT zone, 'secondary', NULL, extract(epoch FROM max(since))::bigint FROM tlsa_rolls
         WHERE seen_at IS NULL AND phase IN ('published', 'fading') GROUP BY zone ORDER BY max(since) LIMIT %(most)s)
        UNION ALL
        (SELECT place.id, place.kind, turning.zone, extract(epoch FROM turning.since)::bigint
         FROM delegations AS turning JOIN zones AS home ON home.id = turning.zone,
              LATERAL (VALUES (home.parent, 'secondary'),
                              (home.id, CASE WHEN home.held THEN 'withdrawn' ELSE 'secondary' END)) AS place (id, kind)
         WHERE NOT turning.seen ORDER BY turning.since LIMIT %(most)s)
        """,
        {"most": MOST_WAITING},
        prepare=True,
        binary=True,
    )
    found: dict[tuple[int, str], tuple[int, set[int]]] = {}
    for place, kind, told, since in await cursor.fetchall():
        newest, zones = found.setdefault((place, kind), (0, set()))
        if told is not None:
            zones.add(told)
        found[place, kind] = max(newest, since), zones
    return [Waiting(*key, since, frozenset(zones)) for key, (since, zones) in found.items()]


async def resting(conn: AsyncConnection[Any], after: int, limit: int) -> tuple[list[int], int | None]:
    """Return at most *limit* zones behind the id *after* that are looked at now and then, and how far that reaches.

    These are the published zones with a parent elsewhere that are signed or ask their parent for something. None: there
    are no more zones.
    """
    cursor = await conn.execute(
        """
        SELECT id, parent IS NULL AND edition > 0 AND (denial <> 'none' OR EXISTS (
                   SELECT FROM published_rrsets AS asks
                   WHERE asks.zone = zones.id AND asks.owner = zones.origin AND asks.type = ANY (%(types)s)))
        FROM zones WHERE id > %(after)s ORDER BY id LIMIT %(most)s
        """,
        {"after": after, "most": SCANNED, "types": integers([Type.CDS, Type.CDNSKEY])},
        prepare=True,
        binary=True,
    )
    rows = await cursor.fetchall()
    found = [zone for zone, wanted in rows if wanted]
    if len(found) > limit:
        return found[:limit], found[limit - 1]
    return found, rows[-1][0] if len(rows) == SCANNED else None


async def places(conn: AsyncConnection[Any], ids: Collection[int]) -> dict[int, Place]:
    """Return the zones *ids* that are published, each with its servers and what its policy says."""
    cursor = await conn.execute(
        """
        SELECT zones.id, zones.origin, zones.serial, zones.parent IS NOT NULL, zones.denial <> 'none',
               policy.watch, policy.parent_check, policy.parent_servers, apex.type, apex.rdatas
        FROM zones
        JOIN signing_policies AS policy
          ON policy.name = coalesce(zones.policy, CASE WHEN zones.parent IS NULL THEN 'default' ELSE 'home' END)
        LEFT JOIN published_rrsets AS apex
          ON apex.zone = zones.id AND apex.owner = zones.origin AND apex.type = ANY (%(types)s)
        WHERE zones.id = ANY (%(ids)s) AND zones.edition > 0
        """,
        {"ids": bigints(list(ids)), "types": integers([Type.NS, Type.CDS, Type.CDNSKEY])},
        prepare=True,
        binary=True,
    )
    heads: dict[int, Place] = {}
    shown: dict[tuple[int, int], tuple[Rdata, ...]] = {}
    for zone, origin, serial, home, signed, watch, check, parents, rdtype, rdatas in await cursor.fetchall():
        if zone not in heads:
            apex = names.from_order_key(origin)
            heads[zone] = Place(zone, apex, serial, home, signed, watch, check, tuple(parents))
        if rdtype is not None:
            shown[zone, rdtype] = tuple(rdatas)
    targets = await _targets(conn, heads)
    above: dict[int, tuple[Name, ...]] = {}
    for zone, turns, servers in await _registries(conn, [zone for zone, head in heads.items() if head.home]):
        above[zone] = servers
        if turns:
            shown[zone, Type.NS] = servers
    return {
        zone: replace(
            head,
            servers=shown.get((zone, Type.NS), ()),
            targets=targets.get(zone, ()),
            asks=shown.get((zone, Type.CDS), ()) + shown.get((zone, Type.CDNSKEY), ()),
            above=above.get(zone, ()),
        )
        for zone, head in heads.items()
    }


async def _registries(conn: AsyncConnection[Any], homes: Sequence[int]) -> list[tuple[int, bool, tuple[Rdata, ...]]]:
    """Return, for each of *homes*, whether it is on its way, where its own NS may name other people's servers.

    And the servers of its registry.
    """
    if not homes:
        return []
    cursor = await conn.execute(
        """
        SELECT home.id, EXISTS (
                   SELECT FROM delegations AS turning WHERE turning.zone = home.id AND turning.state <> 'hosted'),
               apex.rdatas
        FROM zones AS home JOIN zones AS registry ON registry.id = home.parent
        JOIN published_rrsets AS apex
          ON apex.zone = registry.id AND apex.owner = registry.origin AND apex.type = %(type)s
        WHERE home.id = ANY (%(homes)s)
        """,
        {"homes": bigints(list(homes)), "type": int(Type.NS)},
        prepare=True,
        binary=True,
    )
    return [(zone, turns, tuple(rdatas)) for zone, turns, rdatas in await cursor.fetchall()]


async def _targets(conn: AsyncConnection[Any], ids: Iterable[int]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Return (address, port) of whom each of the zones *ids* notifies of its changes."""
    cursor = await conn.execute(
        """
        SELECT zones.id, host(target.address), target.port FROM zones
        JOIN LATERAL (
            SELECT address, port FROM transfer_targets WHERE transfer_targets.zone = zones.id AND NOT homes
            UNION
            SELECT address, port FROM transfer_targets WHERE transfer_targets.zone = zones.parent AND homes
        ) AS target ON true
        WHERE zones.id = ANY (%(ids)s) ORDER BY zones.id, target.address, target.port
        """,
        {"ids": bigints(list(ids))},
        prepare=True,
        binary=True,
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for zone, address, port in await cursor.fetchall():
        found.setdefault(zone, []).append((address, port))
    return {zone: tuple(there) for zone, there in found.items()}


async def addresses(conn: AsyncConnection[Any], hosts: Collection[Name]) -> dict[Name, tuple[str, ...]]:
    """Return the addresses of those of *hosts* that our own zones have: as records of theirs, or as glue."""
    if not hosts:
        return {}
    above = {name: [names.order_key(one) for one in names.suffixes(name)] for name in hosts}
    wanted = [(names.order_key(name), origin) for name, origins in above.items() for origin in origins]
    cursor = await conn.execute(
        """
        SELECT shown.owner, shown.type, shown.rdatas
        FROM unnest(%(owners)s, %(origins)s) AS wanted (owner, origin)
        JOIN zones ON zones.origin = wanted.origin AND NOT zones.held
        JOIN published_rrsets AS shown
          ON shown.zone = zones.id AND shown.owner = wanted.owner AND shown.type = ANY (%(types)s)
        ORDER BY shown.owner, shown.type, length(wanted.origin) DESC
        """,
        {
            "owners": octets([owner for owner, _ in wanted]),
            "origins": octets([origin for _, origin in wanted]),
            "types": integers([Type.A, Type.AAAA]),
        },
        prepare=True,
        binary=True,
    )
    found: dict[Name, dict[str, None]] = {}
    for owner, _rdtype, rdatas in await cursor.fetchall():
        found.setdefault(names.from_order_key(owner), {}).update(dict.fromkeys(map(_address, rdatas)))
    return {name: tuple(there) for name, there in found.items()}


def _address(rdata: Rdata) -> str:
    return str(ipaddress.ip_address(rdata))


# -- what they said


async def read(conn: AsyncConnection[Any], ids: Collection[int]) -> dict[int, list[Sighting]]:
    """Return what is written down of the servers of the zones *ids* that are theirs, and of whom they told of CDS."""
    cursor = await conn.execute(
        """
        SELECT zone, kind, server, extract(epoch FROM asked_at)::bigint, extract(epoch FROM answered_at)::bigint,
               serial, ds, ds_ttl, problem
        FROM sightings WHERE zone = ANY (%(ids)s) AND (wanted OR kind = %(dsync)s) ORDER BY zone, kind, server
        """,
        {"ids": bigints(list(ids)), "dsync": DSYNC},
        prepare=True,
        binary=True,
    )
    found: dict[int, list[Sighting]] = {}
    for zone, kind, server, asked, answered, serial, ds, ttl, problem in await cursor.fetchall():
        shown = None if ds is None else tuple(ds)
        found.setdefault(zone, []).append(Sighting(zone, kind, server, asked, answered, serial, shown, ttl, problem))
    return found


async def put(conn: AsyncConnection[Any], rows: Sequence[Sighting], now: int) -> None:
    """Write *rows* down, each list of servers whole: those of the same zone and kind that are missing are former ones.

    An answer takes the place of the one before; a question without one leaves it. *now* is in seconds since 1970.
    """
    if not rows:
        return
    given = {
        "zones": bigints([one.zone for one in rows]),
        "kinds": texts(one.kind for one in rows),
        "servers": texts(one.server for one in rows),
        "asked": bigints([one.asked for one in rows]),
        "answered": bigints([one.answered for one in rows]),
        "serials": bigints([one.serial for one in rows]),
        "shown": integers([int(one.ds is not None) for one in rows]),
        "ds": ragged(one.ds or () for one in rows),
        "ttls": bigints([one.ds_ttl for one in rows]),
        "problems": texts(one.problem for one in rows),
        "dsync": DSYNC,
        "list": LIST,
        "kept": now - KEPT,
    }
    async with conn.transaction():
        await conn.execute(
            """
            INSERT INTO sightings AS there
                (zone, kind, server, wanted, asked_at, answered_at, serial, ds, ds_ttl, problem)
            SELECT zone, kind, server, kind <> %(dsync)s AND server <> %(list)s, to_timestamp(asked),
                   to_timestamp(answered), serial, CASE WHEN shown = 1 THEN ds::bytea[] END, ttl, problem
            FROM unnest(%(zones)s, %(kinds)s, %(servers)s, %(asked)s, %(answered)s, %(serials)s, %(shown)s, %(ds)s,
                        %(ttls)s, %(problems)s)
                 AS said (zone, kind, server, asked, answered, serial, shown, ds, ttl, problem)
            WHERE EXISTS (SELECT FROM zones WHERE zones.id = said.zone)
            ON CONFLICT (zone, kind, server) DO UPDATE
            SET wanted = excluded.wanted, asked_at = excluded.asked_at, problem = excluded.problem,
                answered_at = coalesce(excluded.answered_at, there.answered_at),
                serial = CASE WHEN excluded.answered_at IS NULL THEN there.serial ELSE excluded.serial END,
                ds = CASE WHEN excluded.answered_at IS NULL THEN there.ds ELSE excluded.ds END,
                ds_ttl = CASE WHEN excluded.answered_at IS NULL THEN there.ds_ttl ELSE excluded.ds_ttl END
            """,
            given,
            prepare=True,
        )
        await conn.execute(
            """
            WITH said AS (SELECT * FROM unnest(%(zones)s, %(kinds)s, %(servers)s) AS said (zone, kind, server)),
            former AS (
                SELECT there.zone, there.kind, there.server FROM (SELECT DISTINCT zone, kind FROM said) AS list
                JOIN sightings AS there ON there.zone = list.zone AND there.kind = list.kind
                WHERE NOT EXISTS (SELECT FROM said WHERE said.zone = there.zone AND said.kind = there.kind
                                                     AND said.server = there.server)
            ), forgotten AS (
                DELETE FROM sightings AS there USING former
                WHERE there.zone = former.zone AND there.kind = former.kind AND there.server = former.server
                  AND (there.kind = %(dsync)s OR there.asked_at < to_timestamp(%(kept)s))
            )
            UPDATE sightings AS there SET wanted = false FROM former
            WHERE there.zone = former.zone AND there.kind = former.kind AND there.server = former.server
              AND there.wanted AND there.asked_at >= to_timestamp(%(kept)s)
            """,
            given,
            prepare=True,
        )


async def forget_homes(conn: AsyncConnection[Any], but: Collection[int]) -> None:
    """Forget what the servers of homes showed, but for the homes *but*: a home at rest has no rows."""
    await conn.execute(
        """
        DELETE FROM sightings USING zones
        WHERE zones.id = sightings.zone AND zones.parent IS NOT NULL AND zones.id <> ALL (%(but)s)
        """,
        {"but": bigints(list(but))},
        prepare=True,
    )


async def step_soon(conn: AsyncConnection[Any], ids: Collection[int], now: int) -> list[int]:
    """Have the signer look at the zones *ids* now, in seconds since 1970, and return those that others hold.

    These are to be tried again. Whoever signs holds rows of `signing`, in an order that is not ours.
    """
    given = {"ids": bigints(list(ids)), "now": now}
    cursor = await conn.execute(
        """
        WITH free AS (
            SELECT zone FROM signing WHERE zone = ANY (%(ids)s)
              AND (step_at IS NULL OR step_at > to_timestamp(%(now)s))
            ORDER BY zone FOR NO KEY UPDATE SKIP LOCKED
        ), moved AS (
            UPDATE signing SET step_at = to_timestamp(%(now)s) FROM free WHERE signing.zone = free.zone
            RETURNING signing.zone
        )
        SELECT zone FROM signing WHERE zone = ANY (%(ids)s)
          AND (step_at IS NULL OR step_at > to_timestamp(%(now)s)) AND zone NOT IN (SELECT zone FROM moved)
        """,
        given,
        prepare=True,
        binary=True,
    )
    return [row[0] for row in await cursor.fetchall()]
