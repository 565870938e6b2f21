"""The signer's queue: which zones ask for it, and how it locks them. The queue is a query; nothing else remembers it.

Law: whoever writes anything of a zone holds its row in `zones` locked; several are locked in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.store.packing import bigints
from zone_signer.store import Conn, rows_of

SIGNERS = 8  # that find zones which no other holds; more of them wait for each other now and then
BUSY_WAIT = 500  # milliseconds to wait for a zone that servers keep locking


class Lease(msgspec.Struct, frozen=True):
    """A zone that this transaction holds locked, and where it and its signing stand.

    *step_at* is when its keys are to be looked at, *policy* what its row says. *held*: nobody serves it here;
    *presigned*: what it publishes was signed elsewhere, and is not signed here.
    """

    id: int
    origin: Name
    denial: str
    algorithm: int
    parent: int | None
    head: int
    edition: int
    serial: int
    signed_head: int
    pending: bool
    resign_at: int | None  # seconds since 1970
    keyset: int = 0
    policy: str | None = None
    step_at: int | None = None  # seconds since 1970
    held: bool = False
    presigned: bool = False

    def is_unsigned(self, now: int) -> bool:
        """Tell whether something of the zone is to be signed at *now*: what is new, or what is due."""
        due = self.pending or (self.resign_at is not None and self.resign_at <= now)
        return due and self.denial != "none" and not self.presigned

    def steps(self, now: int) -> bool:
        """Tell whether the zone's keys are to be looked at."""
        return self.step_at is not None and self.step_at <= now


class Orphan(msgspec.Struct, frozen=True):
    """A signed zone whose registry delegates to it without a DS."""

    id: int
    parent: int


_LEASE = """zones.id, zones.origin, zones.denial, zones.algorithm, zones.parent, zones.head, zones.edition,
    zones.serial, signing.signed_head, signing.pending, extract(epoch FROM signing.resign_at)::bigint,
    zones.keyset, zones.policy, extract(epoch FROM signing.step_at)::bigint, zones.held, zones.presigned"""


def _read(rows: Iterable[tuple[Any, ...]]) -> list[Lease]:
    return [Lease(row[0], names.from_order_key(row[1]), *row[2:]) for row in rows]


async def lease(conn: Conn, now: int, limit: int, leave: Sequence[int] = (), still: Sequence[int] = ()) -> list[Lease]:
    """Lock up to *limit* zones that are pending or due, without waiting for any; those of *leave* are left alone.

    Due are those whose signatures or whose keys are; the keys of those of *still* are left alone.

    Only the first that ask are looked at, so that it costs the same whether hundreds of them wait or a million.
    """
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM (
                (SELECT signing.zone FROM signing JOIN zones ON zones.id = signing.zone
                 WHERE pending AND zones.denial <> 'none' AND NOT zones.presigned AND signing.zone <> ALL(%(leave)s)
                 ORDER BY signing.zone LIMIT %(candidates)s)
                UNION
                (SELECT signing.zone FROM signing JOIN zones ON zones.id = signing.zone
                 WHERE resign_at <= to_timestamp(%(now)s) AND zones.denial <> 'none' AND NOT zones.presigned
                   AND signing.zone <> ALL(%(leave)s)
                 ORDER BY resign_at LIMIT %(candidates)s)
                UNION
                (SELECT signing.zone FROM signing
                 WHERE step_at <= to_timestamp(%(now)s) AND signing.zone <> ALL(%(still)s)
                 ORDER BY step_at LIMIT %(candidates)s)) AS asking
            JOIN zones ON zones.id = asking.zone JOIN signing ON signing.zone = zones.id
            ORDER BY zones.id LIMIT %(limit)s FOR UPDATE OF zones SKIP LOCKED""",  # noqa: S608 - our own columns
        {
            "now": now,
            "limit": limit,
            "candidates": limit * SIGNERS,
            "leave": bigints(leave),
            "still": bigints([*leave, *still]),
        },
    )
    return _read(rows)


async def lock(conn: Conn, zones: Sequence[int]) -> dict[int, Lease]:
    """Lock *zones* in the order of their ids, waiting for each; one that is gone is left out."""
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM zones JOIN signing ON signing.zone = zones.id
            WHERE zones.id = ANY(%(zones)s) ORDER BY zones.id FOR UPDATE OF zones""",  # noqa: S608
        {"zones": bigints(zones)},
    )
    return {one.id: one for one in _read(rows)}


async def lock_with_registry(conn: Conn, zone: int) -> dict[int, Lease]:
    """Lock *zone* and, where it is a home, its registry's zone, as `lock` does."""
    rows = await rows_of(conn, "SELECT parent FROM zones WHERE id = %(zone)s", {"zone": zone})
    parent = rows[0][0] if rows else None
    held = await lock(conn, [zone] if parent is None else [zone, parent])
    if zone in held and held[zone].parent != parent:
        return {}  # it went elsewhere meanwhile: whoever asks does so again
    return held


async def lease_busy(conn: Conn, leave: Sequence[int] = ()) -> list[Lease]:
    """Lock one pending zone that somebody else holds, in turn with them, so that a busy zone is signed as well.

    Raises `psycopg.errors.LockNotAvailable` where its turn does not come soon.
    """
    rows = await rows_of(
        conn,
        """SELECT zones.id FROM zones JOIN signing ON signing.zone = zones.id
           WHERE pending AND zones.denial <> 'none' AND NOT zones.presigned AND signing.zone <> ALL(%(leave)s)
           ORDER BY signing.zone LIMIT 1""",
        {"leave": bigints(leave)},
    )
    if not rows:
        return []
    await conn.execute(f"SET LOCAL lock_timeout = {BUSY_WAIT}")
    found = await lock(conn, [rows[0][0]])
    return [one for one in found.values() if one.denial != "none"]


async def waiting(conn: Conn, now: int) -> list[Lease]:
    """Return the zones of which something is to be signed, without locking any."""
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM zones JOIN signing ON signing.zone = zones.id
            WHERE (pending OR resign_at <= to_timestamp(%(now)s)) AND zones.denial <> 'none' AND NOT zones.presigned
            ORDER BY zones.origin""",  # noqa: S608
        {"now": now},
    )
    return _read(rows)


async def find(conn: Conn, origin: Name) -> Lease | None:
    """Return the zone *origin* without locking it."""
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM zones JOIN signing ON signing.zone = zones.id
            WHERE zones.origin = %(origin)s""",  # noqa: S608
        {"origin": names.order_key(origin)},
    )
    return next(iter(_read(rows)), None)


async def some(conn: Conn, zones: Sequence[int]) -> list[Lease]:
    """Return *zones* (ids) in the order of their names without locking any; one that is gone is left out."""
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM zones JOIN signing ON signing.zone = zones.id
            WHERE zones.id = ANY(%(zones)s) ORDER BY zones.origin""",  # noqa: S608
        {"zones": bigints(zones)},
    )
    return _read(rows)


async def sizes(conn: Conn, zones: Sequence[int], most: int) -> dict[int, int]:
    """Return how many RRsets each of *zones* stores and publishes together; of each kind at most *most* are counted."""
    rows = await rows_of(
        conn,
        """SELECT asked.zone,
                  (SELECT count(*) FROM (SELECT FROM rrsets WHERE zone = asked.zone LIMIT %(most)s) AS n)
                  + (SELECT count(*) FROM (SELECT FROM published_rrsets WHERE zone = asked.zone LIMIT %(most)s) AS n)
           FROM unnest(%(zones)s) AS asked(zone)""",
        {"zones": bigints(zones), "most": most},
    )
    return dict(rows)


# Each home is looked up by itself: a join would make the planner read all of a registry (OFFSET 0 keeps it from one).
_ORPHAN = """SELECT child.id, child.parent FROM zones AS child
    WHERE child.edition > 0 AND child.denial <> 'none' AND child.parent IS NOT NULL
      AND NOT EXISTS (SELECT FROM rrsets WHERE zone = child.parent AND owner = child.origin AND type = 43 OFFSET 0)
      AND EXISTS (SELECT FROM rrsets WHERE zone = child.parent AND owner = child.origin AND type = 2 OFFSET 0)
      AND EXISTS (SELECT FROM zones WHERE zones.id = child.parent AND zones.denial <> 'none' OFFSET 0)
      AND NOT EXISTS (SELECT FROM homes WHERE homes.zone = child.id AND homes.state <> 'active' OFFSET 0)
      AND NOT EXISTS (SELECT FROM delegations WHERE delegations.zone = child.id AND state <> 'hosted' OFFSET 0)
      AND EXISTS (SELECT FROM signing_keys
                  WHERE signing_keys.zone = child.id AND ds IN ('rumoured', 'omnipresent') OFFSET 0)
"""


async def soonest(conn: Conn, leave: Sequence[int] = ()) -> int | None:
    """Return when the keys, or the turn, of some zone are looked at next, those of *leave* left out; None: of none."""
    rows = await rows_of(
        conn,
        """(SELECT extract(epoch FROM step_at)::bigint FROM signing
            WHERE step_at IS NOT NULL AND zone <> ALL(%(leave)s) ORDER BY step_at LIMIT 1)
           UNION ALL
           (SELECT extract(epoch FROM step_at)::bigint FROM delegations
            WHERE step_at IS NOT NULL AND zone <> ALL(%(leave)s) ORDER BY step_at LIMIT 1)""",
        {"leave": bigints(leave)},
    )
    return min((at for (at,) in rows), default=None)


async def turning(conn: Conn, now: int, limit: int, leave: Sequence[int]) -> list[Lease]:
    """Return up to *limit* homes whose turn to their own servers, or back, is due; those of *leave* are left out.

    None is locked: whoever does the turn locks home and registry, and looks again.
    """
    rows = await rows_of(
        conn,
        f"""SELECT {_LEASE} FROM delegations JOIN zones ON zones.id = delegations.zone
            JOIN signing ON signing.zone = zones.id
            WHERE delegations.step_at <= to_timestamp(%(now)s) AND delegations.zone <> ALL(%(leave)s)
            ORDER BY delegations.step_at, zones.id LIMIT %(limit)s""",  # noqa: S608
        {"now": now, "limit": limit, "leave": bigints(leave)},
    )
    return _read(rows)


async def not_hosted(conn: Conn, zones: Sequence[int]) -> frozenset[int]:
    """Return those of the locked *zones* that are on their way to servers of their own, or have them."""
    rows = await rows_of(
        conn,
        "SELECT zone FROM delegations WHERE zone = ANY(%(zones)s) AND state <> 'hosted'",
        {"zones": bigints(zones)},
    )
    return frozenset(zone for (zone,) in rows)


# A zone at rest whose keys are as they ought to be for ever is never looked at. All others are: whose keys end some
# day, or move, or are not of the kind that its policy asks for. A home whose keys came to be while its registry was not
# signed is looked at when that is signed again, and not when its next roll is due: until then nobody could trust it.
# Servers write rows of `signing` in an order of their own: one that is locked is looked at another time.
_FORGOTTEN = """
    WITH forgotten AS MATERIALIZED (
    SELECT signing.zone FROM signing JOIN zones ON zones.id = signing.zone
    JOIN signing_policies AS policy
        ON policy.name = coalesce(zones.policy, CASE WHEN zones.parent IS NULL THEN 'default' ELSE 'home' END)
    WHERE zones.id > %(after)s AND zones.id <= %(last)s AND zones.edition > 0 AND zones.denial <> 'none'
      AND (signing.step_at IS NULL
           AND (CASE policy.scheme WHEN 'csk' THEN policy.csk_lifetime > 0
                                   ELSE policy.ksk_lifetime > 0 OR policy.zsk_lifetime > 0 END
                OR EXISTS (
                    SELECT FROM signing_keys AS key WHERE key.zone = zones.id AND state <> 'removed'
                      AND (NOT stays OR 'rumoured' IN (dnskey, zrrsig, ds) OR 'unretentive' IN (dnskey, zrrsig, ds)
                           OR key.algorithm <> coalesce(policy.algorithm, zones.algorithm)
                           OR key.vault <> policy.vault
                           OR key.role <> ALL (
                               CASE policy.scheme WHEN 'csk' THEN ARRAY['csk'] ELSE ARRAY['ksk', 'zsk'] END)
                           OR (ds = 'hidden' AND zones.parent IS NULL))
                    OFFSET 0))
           OR (signing.step_at IS NULL OR signing.step_at > to_timestamp(%(now)s))
               AND EXISTS (SELECT FROM signing_keys AS key WHERE key.zone = zones.id AND stays AND ds = 'hidden'
                               AND dnskey = 'omnipresent' AND state <> 'removed' OFFSET 0)
               AND NOT EXISTS (SELECT FROM signing_keys AS key WHERE key.zone = zones.id
                                   AND ds IN ('rumoured', 'omnipresent', 'unretentive') OFFSET 0)
               AND EXISTS (SELECT FROM zones AS registry
                           WHERE registry.id = zones.parent AND registry.denial <> 'none'))
    FOR NO KEY UPDATE OF signing SKIP LOCKED)
    UPDATE signing SET step_at = to_timestamp(%(now)s) FROM forgotten WHERE signing.zone = forgotten.zone"""


async def wake_forgotten(conn: Conn, after: int, last: int | None, now: int) -> int:
    """Have the keys of zones behind the id *after* looked at where nobody has said when; return of how many.

    Up to the id *last*; None: up to the end.
    """
    cursor = await conn.execute(
        _FORGOTTEN, {"now": now, "after": after, "last": (1 << 63) - 1 if last is None else last}
    )
    return cursor.rowcount


async def orphans(conn: Conn, only: Sequence[int]) -> list[Orphan]:
    """Return those of *only* that are published homes whose registry delegates to them without a DS."""
    rows = await rows_of(conn, _ORPHAN + "AND child.id = ANY(%(only)s)", {"only": bigints(only)})
    return [Orphan(*row) for row in rows]


async def orphans_behind(conn: Conn, after: int, page: int) -> tuple[list[Orphan], int | None]:
    """Return the orphans among the *page* zones behind the id *after*, and the id of the last of those zones.

    None where there are no more zones behind.
    """
    found = await rows_of(
        conn,
        "SELECT id FROM zones WHERE id > %(after)s ORDER BY id OFFSET %(page)s - 1 LIMIT 1",
        {"after": after, "page": page},
    )
    last = found[0][0] if found else None
    rows = await rows_of(
        conn,
        _ORPHAN + "AND child.id > %(after)s AND child.id <= %(last)s",
        {"after": after, "last": (1 << 63) - 1 if last is None else last},
    )
    return [Orphan(*row) for row in rows], last
