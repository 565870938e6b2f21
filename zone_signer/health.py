"""The rows that alarms are about, read: of the zones of which something may be wrong, and of all signers.

Law: a million homes that are well cost nothing here, and a million that are not cost no more than the first thousand.
The caller owns a snapshot; nothing is locked, and no private half is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import serial_newer
from ddns.store.packing import bigints
from zone_signer import keybook, leases, overview, rolls
from zone_signer.alarms import STEP, Alarm, HomeHealth, SignerHealth, ZoneHealth, alarms
from zone_signer.keybook import Book
from zone_signer.leases import Lease
from zone_signer.policies import Policies
from zone_signer.policy import DAY
from zone_signer.seen import WATCHER, Sighting
from zone_signer.stage import Wait
from zone_signer.store import Conn, rows_of

MOST = 1000  # zones of each kind of trouble that are looked at
AT_ONCE = 50  # zones that are read together

_DOUBTFUL = """
    (SELECT zone FROM signing JOIN zones ON zones.id = zone
     WHERE resign_at <= to_timestamp(%(late)s) AND denial <> 'none' ORDER BY resign_at LIMIT %(most)s)
    UNION (SELECT zone FROM signing WHERE step_at <= to_timestamp(%(unseen)s) ORDER BY step_at LIMIT %(most)s)
    UNION (SELECT zone FROM signing WHERE problem <> '' ORDER BY zone LIMIT %(most)s)
    UNION (SELECT zone FROM key_motions WHERE seen_at IS NULL AND since <= to_timestamp(%(unseen)s)
           GROUP BY zone ORDER BY min(since) LIMIT %(most)s)
    UNION (SELECT zone FROM sightings JOIN zones ON zones.id = zone
           WHERE wanted AND server <> ''
             AND (problem <> '' OR (kind = 'secondary' AND sightings.serial <> zones.serial)
                  OR (kind = 'parent' AND EXISTS (
                      SELECT FROM unnest(ds) AS one
                      WHERE NOT EXISTS (
                          SELECT FROM signing_keys AS key
                          WHERE key.zone = sightings.zone AND key.removed_at IS NULL
                            AND key.tag = CASE WHEN octet_length(one) > 1
                                               THEN get_byte(one, 0) * 256 + get_byte(one, 1) END))))
           GROUP BY zone ORDER BY zone LIMIT %(most)s)
    UNION (SELECT zone FROM delegations
           WHERE state IN ('dark', 'gap') OR (state = 'away' AND tell <> '') ORDER BY zone LIMIT %(most)s)
"""


class Report(msgspec.Struct, frozen=True):
    """All that is wrong; *more*: in so many zones that not all were looked at."""

    alarms: tuple[Alarm, ...]
    more: bool = False


async def report(conn: Conn, now: int, origin: Name | None = None) -> Report | None:
    """Return what is wrong at *now*, everywhere or with the zone *origin*; None where there is no such zone."""
    known = Policies()
    known.learn(await keybook.policies(conn))
    if origin is None:
        zones, more = await _doubtful(conn, now)
        signers = await _signers(conn, now)
    else:
        found = await leases.find(conn, origin)
        if found is None:
            return None
        zones, more, signers = [found], False, []
    wrong: list[Alarm] = []
    for at in range(0, len(zones), AT_ONCE):
        some = zones[at : at + AT_ONCE]
        books = await keybook.glance(conn, some, known, now)
        troubles = await _problems(conn, [zone.id for zone in some])
        homes = await _homes(conn, [zone.id for zone in some])
        looked = [
            msgspec.structs.replace(
                await _health(conn, books[zone.id], troubles.get(zone.id), now), home=homes.get(zone.id)
            )
            for zone in some
            if zone.id in books
        ]
        wrong += alarms(looked, (), now)
    return Report((*wrong, *alarms((), signers, now)), more)


async def _doubtful(conn: Conn, now: int) -> tuple[list[Lease], bool]:
    rows = await rows_of(conn, _DOUBTFUL, {"late": now - DAY, "unseen": now - STEP, "most": MOST})
    return await leases.some(conn, [zone for (zone,) in rows]), len(rows) >= MOST


async def _problems(conn: Conn, zones: Sequence[int]) -> dict[int, int]:
    rows = await rows_of(
        conn,
        """SELECT zone, extract(epoch FROM problem_since)::bigint FROM signing
           WHERE zone = ANY(%(zones)s) AND problem_since IS NOT NULL""",
        {"zones": bigints(zones)},
    )
    return dict(rows)


async def _homes(conn: Conn, zones: Sequence[int]) -> dict[int, HomeHealth]:
    """Return where those of *zones* are that are homes with servers of their own, or on their way."""
    rows = await rows_of(
        conn,
        """SELECT zone, state, extract(epoch FROM coalesce(since, changed_at))::bigint, tell,
                  extract(epoch FROM until)::bigint
           FROM delegations WHERE zone = ANY(%(zones)s) AND state <> 'hosted'""",
        {"zones": bigints(zones)},
    )
    return {zone: HomeHealth(*row) for zone, *row in rows}


async def _health(conn: Conn, book: Book, problem_since: int | None, now: int) -> ZoneHealth:
    zone = book.zone
    secondaries = _servers(book.facts.secondaries)
    old = {
        one.server: one.serial
        for one in secondaries
        if one.serial is not None and serial_newer(zone.serial, one.serial)
    }
    since = await overview.outdated_since(conn, zone.id, old.values()) if old else {}
    return ZoneHealth(
        origin=zone.origin,
        serial=zone.serial,
        resign_at=None if zone.denial == "none" else zone.resign_at,
        refresh=book.policy.signatures.refresh,
        step_at=zone.step_at,
        lagging={server: since[serial] for server, serial in old.items() if serial in since},
        keys=book.keys,
        waits=_waits(book, now),
        secondaries=secondaries,
        parents=_servers(book.facts.parents) if book.registry is None else (),
        problem=book.problem,
        problem_since=problem_since,
    )


def _servers(sightings: Sequence[Sighting]) -> tuple[Sighting, ...]:
    return tuple(one for one in sightings if one.server != WATCHER)


def _waits(book: Book, now: int) -> tuple[Wait, ...]:
    """Return what the keys of a zone wait for; nothing where the signer has something to do first."""
    if not book.active or not book.zone.edition:
        return ()
    following = rolls.step(book.facts, book.keys, book.goal, book.orders, book.policy, now)
    return () if following.does() else following.waits


async def _signers(conn: Conn, now: int) -> list[SignerHealth]:
    """Return all signers that have not stopped on purpose; how long ago each was seen is what the database says."""
    rows = await rows_of(
        conn,
        """SELECT name, extract(epoch FROM now() - database_at)::bigint, masters, held FROM signers ORDER BY name""",
        {},
    )
    return [SignerHealth(name, now - age, frozenset(masters), held) for name, age, masters, held in rows]
