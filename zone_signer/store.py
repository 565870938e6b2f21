"""What the signer reads from Postgres. Which zones it works on is in `leases`, what it writes in `publishing`.

Law: the caller owns the transaction. Names are stored as order keys (`ddns.dns.names.order_key`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncRawCursor

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.store.packing import bigints, integers, octets
from ddns.zone import edition as editions
from ddns.zone.changes import ChangeSet
from ddns.zone.jobs import SealedKey
from zone_signer import rrsig
from zone_signer.change import Answers, Questions
from zone_signer.denial import TYPES
from zone_signer.keyring import Kept
from zone_signer.phase import Role
from zone_signer.policies import name_of
from zone_signer.records_of_keys import KeyRecords

Conn = AsyncConnection[Any]
Item = TypeVar("Item")


async def rows_of(conn: Conn, query: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(query, values, prepare=True)
        return await cursor.fetchall()


def _key(name: Name) -> bytes:
    return names.order_key(name)


# What a zone's keys publish and sign follows from their phases. CDS and CDNSKEY stand as a step has published them, and
# homes have none, so that nothing is looked for at theirs (no index is entered with NULL); the types stand in the
# statement, for the index to be used. Beside its own keys a home on its way to
# servers of its own, or back, shows those of these (RFC 8901 section 2.1.2).
KEPT = """SELECT zones.id, zones.keyset, zones.policy, zones.parent IS NOT NULL, key.id::text, key.algorithm, key.flags,
        key.tag, key.public, key.sealed, key.role, key.vault, key.dnskey IN ('rumoured', 'omnipresent'),
        key.zrrsig IN ('rumoured', 'omnipresent'), shown.sigs, cds.rdatas, cdnskey.rdatas,
        delegations.foreign_keys, zones.denial
    FROM zones JOIN signing_keys AS key ON key.zone = zones.id
        AND (key.dnskey IN ('rumoured', 'omnipresent') OR key.zrrsig IN ('rumoured', 'omnipresent'))
    LEFT JOIN published_rrsets AS shown ON shown.zone = zones.id AND shown.owner = zones.origin AND shown.type = 6
    LEFT JOIN published_rrsets AS cds ON cds.zone = CASE WHEN zones.parent IS NULL THEN zones.id END
        AND cds.owner = zones.origin AND cds.type = 59
    LEFT JOIN published_rrsets AS cdnskey ON cdnskey.zone = CASE WHEN zones.parent IS NULL THEN zones.id END
        AND cdnskey.owner = zones.origin AND cdnskey.type = 60
    LEFT JOIN delegations ON delegations.zone = zones.id
    WHERE zones.id = ANY($1) ORDER BY zones.id, key.tag"""


def kept(rows: Iterable[Sequence[Any]], now: int) -> dict[int, Kept]:
    """Return rows of `KEPT` by zone.

    The *newest* inception is that of the SOA's signatures: they are made with every edition.
    """
    found: dict[int, Kept] = {}
    for zone, group in groupby(rows, key=itemgetter(0)):
        those = list(group)
        _, keyset, policy, home, *_, sigs, cds, cdnskey, foreign, denial = those[0]
        keys = [(SealedKey(*row[4:12]), row[12], row[13]) for row in those]
        records = KeyRecords(
            tuple(sorted({*(key.public for key, shown, _ in keys if shown), *(foreign or ())})),
            tuple(cds or ()),
            tuple(cdnskey or ()),
            frozenset((key.algorithm, key.tag) for key, shown, _ in keys if shown and key.role != Role.ZSK),
            frozenset((key.algorithm, key.tag) for key, _, signs in keys if signs),
        )
        sealed = tuple(key for key, _, _ in keys)
        newest = max([rrsig.read(sig, now).inception for sig in sigs or () if len(sig) >= rrsig.LEAST], default=0)
        found[zone] = Kept(sealed, records, name_of(policy, is_home=home), keyset, newest, denial)
    return found


async def keys_kept(conn: Conn, zones: Sequence[int], now: int) -> dict[int, Kept]:
    """Return what is kept of the keys of each of *zones* that is signed."""
    async with AsyncRawCursor(conn) as cursor:
        await cursor.execute(KEPT, [bigints(zones)], prepare=True, binary=True)
        return kept(await cursor.fetchall(), now)


async def named_by_parents(conn: Conn, zones: Sequence[int]) -> dict[int, list[Rdata]]:
    """Return the DNSKEYs whose DS the parent of each of *zones* ought to have; a zone without any is left out."""
    rows = await rows_of(
        conn,
        """SELECT zone, public FROM signing_keys
           WHERE zone = ANY(%(zones)s) AND ds IN ('rumoured', 'omnipresent') ORDER BY zone, tag""",
        {"zones": bigints(zones)},
    )
    found: dict[int, list[Rdata]] = {}
    for zone, dnskey in rows:
        found.setdefault(zone, []).append(dnskey)
    return found


async def key_listing(conn: Conn) -> list[tuple[Name, SealedKey, str, bool]]:
    """Return every zone's signing keys with their state, and whether the zone is published; all zones in order.

    Removed keys are left out.
    """
    rows = await rows_of(
        conn,
        """SELECT zones.origin, signing_keys.id::text, signing_keys.algorithm, flags, tag, public, coalesce(sealed, ''),
                  role, vault, state, edition > 0
           FROM signing_keys JOIN zones ON zones.id = signing_keys.zone
           WHERE state <> 'removed' ORDER BY zones.origin, tag""",
        {},
    )
    return [(names.from_order_key(row[0]), SealedKey(*row[1:9]), row[9], row[10]) for row in rows]


def _rrsets(rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[Name, tuple[RRset, ...]]]:
    """Return rows of (zone, owner, type, ttl, rdatas), ordered by zone and owner, as RRsets."""
    found: dict[int, dict[Name, tuple[RRset, ...]]] = {}
    for (zone, key), group in groupby(rows, key=lambda row: (row[0], row[1])):
        name = names.from_order_key(key)
        found.setdefault(zone, {})[name] = tuple(RRset(name, row[2], row[3], tuple(row[4])) for row in group)
    return found


def _signed(rows: Iterable[tuple[Any, ...]]) -> list[tuple[int, SignedRRset]]:
    """Return rows of (zone, owner, type, ttl, rdatas, sigs) as RRsets with their zones."""
    found = []
    last, name = b"", names.ROOT
    for zone, key, rdtype, ttl, rdatas, sigs in rows:
        if key != last:
            last, name = key, names.from_order_key(key)
        found.append((zone, SignedRRset(name, rdtype, ttl, tuple(rdatas), tuple(sigs))))
    return found


async def stored(conn: Conn, zones: Sequence[int]) -> dict[int, dict[Name, tuple[RRset, ...]]]:
    """Return all unsigned records of *zones*."""
    return _rrsets(
        await rows_of(
            conn,
            """SELECT zone, owner, type, ttl, rdatas FROM rrsets WHERE zone = ANY(%(zones)s)
               ORDER BY zone, owner, type""",
            {"zones": bigints(zones)},
        )
    )


async def published(conn: Conn, zones: Sequence[int]) -> dict[int, dict[tuple[Name, int], SignedRRset]]:
    """Return all that is published of *zones*."""
    rows = await rows_of(
        conn,
        """SELECT zone, owner, type, ttl, rdatas, sigs FROM published_rrsets WHERE zone = ANY(%(zones)s)
           ORDER BY zone, owner, type""",
        {"zones": bigints(zones)},
    )
    found: dict[int, dict[tuple[Name, int], SignedRRset]] = {zone: {} for zone in zones}
    for zone, one in _signed(rows):
        found[zone][one.name, one.type] = one
    return found


async def stored_at(conn: Conn, zone: int, at: Iterable[Name]) -> dict[Name, tuple[RRset, ...]]:
    """Return the unsigned records of *zone* at some names; a name without any is left out."""
    rows = await rows_of(
        conn,
        """SELECT zone, owner, type, ttl, rdatas FROM rrsets
           WHERE zone = %(zone)s AND owner = ANY(%(owners)s) ORDER BY owner, type""",
        {"zone": zone, "owners": octets([_key(name) for name in at])},
    )
    return _rrsets(rows).get(zone, {})


async def published_at(conn: Conn, zone: int, at: Iterable[Name]) -> list[SignedRRset]:
    """Return what is published of *zone* at some names."""
    rows = await rows_of(
        conn,
        """SELECT zone, owner, type, ttl, rdatas, sigs FROM published_rrsets
           WHERE zone = %(zone)s AND owner = ANY(%(owners)s) ORDER BY owner, type""",
        {"zone": zone, "owners": octets([_key(name) for name in at])},
    )
    return [one for _, one in _signed(rows)]


async def greatest_ttl(conn: Conn, zone: int, late: int) -> int:
    """Return the greatest TTL that *zone* publishes, or took away with the *late* newest editions, in seconds.

    It reads the whole zone.
    """
    rows = await rows_of(
        conn, "SELECT coalesce(max(ttl), 0) FROM published_rrsets WHERE zone = %(zone)s", {"zone": zone}
    )
    gone = await rows_of(
        conn,
        "SELECT removed FROM editions WHERE zone = %(zone)s ORDER BY number DESC LIMIT %(late)s",
        {"zone": zone, "late": late},
    )
    here: int = rows[0][0]
    return max([here, *(one.ttl for (removed,) in gone for one in editions.unpack(removed))])


async def signature_page(
    conn: Conn, zone: int, owner: bytes, rdtype: int, page: int
) -> list[tuple[Name, int, int, list[Rdata]]]:
    """Return name, type, TTL and signatures of the *page* RRsets that *zone* publishes behind a place.

    The place is that of the order key *owner* and *rdtype*. Nothing is locked.
    """
    rows = await rows_of(
        conn,
        """SELECT owner, type, ttl, sigs FROM published_rrsets
           WHERE zone = %(zone)s AND (owner, type) > (%(owner)s, %(type)s::int)
           ORDER BY owner, type LIMIT %(page)s""",
        {"zone": zone, "owner": owner, "type": rdtype, "page": page},
    )
    return [(names.from_order_key(key), kind, ttl, sigs) for key, kind, ttl, sigs in rows]


async def published_places(conn: Conn, zone: int, places: Sequence[tuple[Name, int]]) -> list[SignedRRset]:
    """Return what *zone* publishes at some names and types."""
    rows = await rows_of(
        conn,
        """SELECT zone, owner, type, ttl, rdatas, sigs FROM unnest(%(owners)s, %(types)s) AS asked(owner, type)
           JOIN published_rrsets USING (owner, type) WHERE zone = %(zone)s""",
        {
            "zone": zone,
            "owners": octets([_key(name) for name, _ in places]),
            "types": integers([rdtype for _, rdtype in places]),
        },
    )
    return [one for _, one in _signed(rows)]


# The record at a place and the one before it are the two last that are not behind it. The type stands in the
# statement, for the partial index to be used.
_CHAIN = """SELECT asked.zone, near.owner, {type}, near.ttl, near.rdatas, near.sigs
    FROM unnest(%(zones)s, %(owners)s) AS asked(zone, owner) CROSS JOIN LATERAL (
        SELECT owner, ttl, rdatas, sigs FROM published_rrsets
        WHERE zone = asked.zone AND type = {type} AND owner <= asked.owner ORDER BY owner DESC LIMIT 2) AS near"""
_LAST = """SELECT asked.zone, near.owner, {type}, near.ttl, near.rdatas, near.sigs
    FROM unnest(%(zones)s) AS asked(zone) CROSS JOIN LATERAL (
        SELECT owner, ttl, rdatas, sigs FROM published_rrsets
        WHERE zone = asked.zone AND type = {type} ORDER BY owner DESC LIMIT 1) AS near"""
_BELOW = """SELECT asked.zone, asked.low
    FROM unnest(%(zones)s, %(lows)s, %(highs)s) AS asked(zone, low, high)
    WHERE EXISTS (SELECT FROM {table} AS there WHERE there.zone = asked.zone AND owner > low AND owner < high
        AND type NOT IN (47, 50)
        AND NOT EXISTS (SELECT FROM unnest(%(left_zones)s, %(left_owners)s) AS leaving(zone, owner)
            WHERE leaving.zone = there.zone AND leaving.owner = there.owner))"""
_STORED_BELOW = """SELECT stored.zone, owner, type, ttl, rdatas
    FROM unnest(%(zones)s, %(lows)s, %(highs)s) AS asked(zone, low, high)
    JOIN rrsets AS stored ON stored.zone = asked.zone AND owner > low AND owner < high
    ORDER BY stored.zone, owner, type"""
_PUBLISHED_BELOW = """SELECT stored.zone, owner, type, ttl, rdatas, sigs
    FROM unnest(%(zones)s, %(lows)s, %(highs)s) AS asked(zone, low, high)
    JOIN published_rrsets AS stored ON stored.zone = asked.zone AND owner > low AND owner < high
    WHERE type NOT IN (47, 50)"""

Asked = Sequence[tuple[int, str, Questions]]
_Statement = tuple[str, dict[str, object]]


async def answers(conn: Conn, asked: Asked, *, as_published: bool = False) -> list[Answers]:
    """Answer the questions about several zones (id, denial, what), all in one round trip.

    *as_published*: what is stored is ahead, and what is published is taken for it.
    """
    statements = {
        "nsec3": _chain_statement(_CHAIN, asked, "nsec3"),
        "nsec": _chain_statement(_CHAIN, asked, "nsec"),
        "last nsec3": _chain_statement(_LAST, asked, "nsec3"),
        "last nsec": _chain_statement(_LAST, asked, "nsec"),
        "below": _below_statement(asked, "published_rrsets" if as_published else "rrsets"),
        "stored": None if as_published else _subtree_statement(_STORED_BELOW, asked),
        "published": _subtree_statement(_PUBLISHED_BELOW, asked),
    }
    rows: dict[str, list[tuple[Any, ...]]] = {what: [] for what in statements}
    async with conn.pipeline():
        cursors = {}
        for what, statement in statements.items():
            if statement is not None:
                cursors[what] = conn.cursor(binary=True)
                await cursors[what].execute(*statement, prepare=True)
        for what, cursor in cursors.items():
            rows[what] = await cursor.fetchall()
    chain = _by_zone(_signed(rows["nsec3"] + rows["nsec"]))
    last = dict(_signed(rows["last nsec3"] + rows["last nsec"]))
    below = _by_zone([(zone, names.from_order_key(low)) for zone, low in rows["below"]])
    stored_below = _rrsets(sorted(row[:5] for row in rows["published"]) if as_published else rows["stored"])
    published_below = _by_zone(_signed(rows["published"]))
    return [
        Answers(
            stored_below.get(zone, {}),
            tuple(published_below.get(zone, ())),
            tuple({one.name: one for one in chain.get(zone, ())}.values()),
            last.get(zone),
            frozenset(below.get(zone, ())),
        )
        for zone, _, _ in asked
    ]


def _by_zone(found: Iterable[tuple[int, Item]]) -> dict[int, list[Item]]:
    grouped: dict[int, list[Item]] = {}
    for zone, one in found:
        grouped.setdefault(zone, []).append(one)
    return grouped


def _chain_statement(query: str, asked: Asked, denial: str) -> _Statement | None:
    places = [(zone, _key(owner)) for zone, kind, one in asked if TYPES[kind] == TYPES[denial] for owner in one.chain]
    if not places:
        return None
    zones = sorted({zone for zone, _ in places}) if query is _LAST else [zone for zone, _ in places]
    values: dict[str, object] = {"zones": bigints(zones)}
    if query is _CHAIN:
        values["owners"] = octets([owner for _, owner in places])
    return query.format(type=int(TYPES[denial])), values


def _below_statement(asked: Asked, table: str) -> _Statement | None:
    wanted = [(zone, _key(name)) for zone, _, one in asked for name in one.below]
    if not wanted:
        return None
    leaving = [(zone, _key(name)) for zone, _, one in asked for name in one.leaving]
    left = {
        "left_zones": bigints([zone for zone, _ in leaving]),
        "left_owners": octets([owner for _, owner in leaving]),
    }
    return _BELOW.format(table=table), _ranges(wanted) | left


def _subtree_statement(query: str, asked: Asked) -> _Statement | None:
    wanted = [(zone, _key(name)) for zone, _, one in asked for name in one.subtrees]
    return (query, _ranges(wanted)) if wanted else None


def _ranges(wanted: Sequence[tuple[int, bytes]]) -> dict[str, object]:
    return {
        "zones": bigints([zone for zone, _ in wanted]),
        "lows": octets([low for _, low in wanted]),
        "highs": octets([names.subtree_end(low) for _, low in wanted]),
    }


async def journal_since(conn: Conn, zone: int, seq: int, limit: int, octets: int) -> list[tuple[int, ChangeSet]]:
    """Return the first journal entries of *zone* behind *seq*, in order: up to *limit*, of up to *octets* together."""
    rows = await rows_of(
        conn,
        """SELECT seq, change FROM (
               SELECT seq, change, sum(octet_length(change)) OVER (ORDER BY seq) AS octets FROM (
                   SELECT seq, change FROM journal WHERE zone = %(zone)s AND seq > %(seq)s
                   ORDER BY seq LIMIT %(limit)s) AS next) AS counted
           WHERE octets <= %(octets)s ORDER BY seq""",
        {"zone": zone, "seq": seq, "limit": limit, "octets": octets},
    )
    return [(at, ChangeSet.unpack(change)) for at, change in rows]
