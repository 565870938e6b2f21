"""How far each zone is signed, and its signing keys as a server may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets, texts
from ddns.zone.jobs import SealedKey


async def mark_pending(conn: AsyncConnection[Any], zones: Mapping[int, int]) -> None:
    """Say that the records of *zones* are ahead of what is published.

    With each comes its head before the commit that is not signed: the journal up to there is published, unless the zone
    was pending already.
    """
    await conn.execute(
        """
        UPDATE signing SET pending = true, signed_head = behind.head
        FROM unnest(%(zones)s, %(heads)s) AS behind (zone, head)
        WHERE signing.zone = behind.zone AND NOT pending
        """,
        {"zones": bigints(list(zones)), "heads": bigints(list(zones.values()))},
        prepare=True,
    )


async def set_state(conn: AsyncConnection[Any], states: Sequence[tuple[int, int, int]]) -> None:
    """Say that zones are signed as of a head, given as (zone, head, when the first signature falls due).

    0 means that nothing falls due. A zone whose journal is ahead of that head stays pending.
    """
    if not states:
        return
    zones, heads, due = zip(*states, strict=True)
    await conn.execute(
        """
        UPDATE signing
        SET signed_head = state.head, resign_at = to_timestamp(nullif(state.due, 0)),
            pending = signing.pending AND zones.head > state.head
        FROM unnest(%(zones)s, %(heads)s, %(due)s) AS state (zone, head, due)
        JOIN zones ON zones.id = state.zone
        WHERE signing.zone = state.zone
        """,
        {"zones": bigints(zones), "heads": bigints(heads), "due": bigints(due)},
        prepare=True,
    )


async def keys_public(conn: AsyncConnection[Any], zone: int) -> list[tuple[int, int, int, bytes]]:
    """Return tag, algorithm, flags and DNSKEY RDATA of the keys of *zone*, the oldest first; those removed left out."""
    cursor = await conn.execute(
        """
        SELECT tag, algorithm, flags, public FROM signing_keys WHERE zone = %(zone)s AND state <> 'removed'
        ORDER BY created_at, tag
        """,
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    return [(tag, algorithm, flags, public) for tag, algorithm, flags, public in await cursor.fetchall()]


async def named_by_the_parent(conn: AsyncConnection[Any], zone: int) -> list[Rdata]:
    """Return the DNSKEY RDATA of the keys of *zone* whose DS its parent ought to have: several while they roll."""
    cursor = await conn.execute(
        """
        SELECT public FROM signing_keys WHERE zone = %(zone)s AND ds IN ('rumoured', 'omnipresent')
        ORDER BY created_at, tag
        """,
        {"zone": zone},
        prepare=True,
        binary=True,
    )
    return [public for (public,) in await cursor.fetchall()]


class Trust(msgspec.Struct, frozen=True):
    """What the world may know of how a zone is signed.

    *signed*: some cache may hold a key of it or a signature. *anchored*: some cache, or its parent, may hold a DS, so
    that nobody would believe the zone without signatures. *leaving*: it is meant to become insecure. *moving*: some of
    its keys have not settled.
    """

    signed: bool
    anchored: bool
    leaving: bool
    moving: bool


async def trust(conn: AsyncConnection[Any], zone: int) -> Trust:
    """Return what the world may know of how *zone* is signed."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (
                   SELECT FROM signing_keys WHERE zone = %(zone)s
                   AND (dnskey NOT IN ('none', 'hidden') OR zrrsig NOT IN ('none', 'hidden'))),
               EXISTS (SELECT FROM signing_keys WHERE zone = %(zone)s AND ds NOT IN ('none', 'hidden')),
               EXISTS (SELECT FROM signing WHERE zone = %(zone)s AND wish = 'insecure'),
               EXISTS (SELECT FROM key_motions WHERE zone = %(zone)s)
        """,
        {"zone": zone},
        prepare=True,
    )
    row = await cursor.fetchone()
    return Trust(*row) if row else Trust(signed=False, anchored=False, leaving=False, moving=False)


async def insert_keys(conn: AsyncConnection[Any], keys: Sequence[tuple[int, SealedKey]]) -> None:
    """Store the first keys of zones that nobody has seen yet, given as (zone, key).

    So no cache can hold such a zone without them. The DS of a home goes into the same commit where its registry is
    signed, and nowhere where it is not; of a parent elsewhere nobody knows. `zone_signer.rolls.first_phases` says the
    same for what the signer publishes first.
    """
    if not keys:
        return
    await conn.execute(
        """
        INSERT INTO signing_keys
            (id, zone, algorithm, flags, tag, public, sealed, role, vault, born_at, dnskey, zrrsig, ds, state)
        SELECT key.id::uuid, key.zone, key.algorithm, key.flags, key.tag, key.public, key.sealed, key.role, key.vault,
               to_timestamp(nullif(key.born, 0)), 'omnipresent',
               CASE key.role WHEN 'ksk' THEN 'none' ELSE 'omnipresent' END,
               CASE WHEN key.role = 'zsk' THEN 'none' ELSE shown.ds END,
               CASE WHEN key.role = 'ksk' AND shown.ds = 'hidden' THEN 'ready' ELSE 'active' END
        FROM unnest(%(ids)s, %(zones)s, %(algorithms)s, %(flags)s, %(tags)s, %(publics)s, %(sealed)s, %(roles)s,
                    %(vaults)s, %(born)s)
             AS key (id, zone, algorithm, flags, tag, public, sealed, role, vault, born)
        JOIN zones ON zones.id = key.zone
        LEFT JOIN zones AS registry ON registry.id = zones.parent,
        LATERAL (SELECT CASE WHEN registry.id IS NULL THEN 'rumoured' WHEN registry.denial = 'none' THEN 'hidden'
                             ELSE 'omnipresent' END AS ds) AS shown
        """,
        {
            "ids": texts(key.id for _, key in keys),
            "zones": bigints([zone for zone, _ in keys]),
            "algorithms": integers([key.algorithm for _, key in keys]),
            "flags": integers([key.flags for _, key in keys]),
            "tags": integers([key.tag for _, key in keys]),
            "publics": octets([key.public for _, key in keys]),
            "sealed": octets([key.sealed for _, key in keys]),
            "roles": texts(key.role for _, key in keys),
            "vaults": texts(key.vault for _, key in keys),
            "born": bigints([key.born for _, key in keys]),
        },
        prepare=True,
    )


async def signer_connected(conn: AsyncConnection[Any]) -> bool:
    """Tell whether a signer is connected to this database: every user may see what connections call themselves."""
    cursor = await conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'nameplate zone_signer')
        """
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
