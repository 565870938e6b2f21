"""What a step writes: keys, motions, events, orders that are done, and where the zone's signing stands.

Law: the caller owns the transaction and has the zone locked. Times are the signer's clock's, in seconds since 1970;
rows that stay as they are are not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ddns.store.packing import bigints, integers, octets, texts
from ddns.zone.jobs import SealedKey
from zone_signer.keybook import REMEMBERED
from zone_signer.keyview import KeyView
from zone_signer.stage import Wait
from zone_signer.store import Conn


class Event(msgspec.Struct, frozen=True):
    """What happened to a key, or to the zone where *key* is None, and why; *evidence* is what was observed."""

    key: KeyView | None
    record: str
    before: str
    after: str
    why: str
    evidence: str = ""


class Whole(msgspec.Struct, frozen=True):
    """A zone of which every RRset has the signatures of today's keys since *serial*; its greatest TTLs, in seconds."""

    zone: int
    serial: int
    max_ttl: int
    dnskey_ttl: int


async def write_keys(
    conn: Conn,
    zone: int,
    before: Sequence[KeyView],
    after: Sequence[KeyView],
    made: Mapping[str, tuple[SealedKey, str | None]],
) -> bool:
    """Bring the keys of *zone* and their motions from *before* to *after*; *made* are new, with what they replace.

    A removed key loses its private half. Tells whether anything is in motion otherwise than before.
    """
    old = {key.id: key for key in before}
    new = {key.id: key for key in after}
    await _insert(conn, zone, [(one, *made[one.id]) for one in after if one.id in made])
    await _update(conn, [one for one in after if one.id in old and one != old[one.id]])
    purged = [ident for ident in old if ident not in new]
    if purged:
        await conn.execute("DELETE FROM signing_keys WHERE id = ANY(%(ids)s::uuid[])", {"ids": texts(purged)})
    was = {(key.id, record): motion for key in before for record, motion in key.motions.items()}
    moving = {(key.id, record): motion for key in after for record, motion in key.motions.items()}
    settled = [place for place in was if place not in moving and place[0] in new]
    if settled:
        await conn.execute(
            """DELETE FROM key_motions USING unnest(%(keys)s, %(records)s) AS settled(key, record)
               WHERE key_motions.key = settled.key::uuid AND key_motions.record = settled.record""",
            {"keys": texts(key for key, _ in settled), "records": texts(record.value for _, record in settled)},
        )
    begun = [(place, motion) for place, motion in moving.items() if was.get(place) != motion]
    if begun:
        await conn.execute(
            """INSERT INTO key_motions (key, record, zone, since, place, serial, ttl, seen_at)
               SELECT key::uuid, record, %(zone)s, to_timestamp(since), place, serial, ttl, to_timestamp(seen)
               FROM unnest(%(keys)s, %(records)s, %(since)s, %(places)s, %(serials)s, %(ttls)s, %(seen)s)
                   AS new(key, record, since, place, serial, ttl, seen)
               ON CONFLICT (key, record) DO UPDATE SET since = excluded.since, place = excluded.place,
                   serial = excluded.serial, ttl = excluded.ttl, seen_at = excluded.seen_at, waits = ''""",
            {
                "zone": zone,
                "keys": texts(key for (key, _), _ in begun),
                "records": texts(record.value for (_, record), _ in begun),
                "since": bigints([motion.since for _, motion in begun]),
                "places": bigints([motion.place for _, motion in begun]),
                "serials": bigints([motion.serial for _, motion in begun]),
                "ttls": bigints([motion.ttl for _, motion in begun]),
                "seen": bigints([motion.seen_at for _, motion in begun]),
            },
        )
    return bool(begun or settled)


async def _insert(conn: Conn, zone: int, made: Sequence[tuple[KeyView, SealedKey, str | None]]) -> None:
    if not made:
        return
    await conn.execute(
        """INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed, role, vault, stays, compromised,
                                     dnskey, zrrsig, ds, state, predecessor, born_at)
           SELECT id::uuid, %(zone)s, algorithm, flags, tag, public, sealed, role, vault, true, false, dnskey,
                  zrrsig, ds, state, nullif(predecessor, '')::uuid, to_timestamp(born)
           FROM unnest(%(ids)s, %(algorithms)s, %(flags)s, %(tags)s, %(publics)s, %(sealed)s, %(roles)s, %(vaults)s,
                       %(dnskeys)s, %(zrrsigs)s, %(dss)s, %(states)s, %(predecessors)s, %(born)s)
               AS key(id, algorithm, flags, tag, public, sealed, role, vault, dnskey, zrrsig, ds, state, predecessor,
                      born)""",
        {
            "zone": zone,
            "ids": texts(view.id for view, _, _ in made),
            "algorithms": integers([view.algorithm for view, _, _ in made]),
            "flags": integers([key.flags for _, key, _ in made]),
            "tags": integers([view.tag for view, _, _ in made]),
            "publics": octets([view.rdata for view, _, _ in made]),
            "sealed": octets([key.sealed for _, key, _ in made]),
            "roles": texts(view.role.value for view, _, _ in made),
            "vaults": texts(view.vault for view, _, _ in made),
            "dnskeys": texts(view.dnskey.value for view, _, _ in made),
            "zrrsigs": texts(view.zrrsig.value for view, _, _ in made),
            "dss": texts(view.ds.value for view, _, _ in made),
            "states": texts(view.label() for view, _, _ in made),
            "predecessors": texts(replaced or "" for _, _, replaced in made),
            "born": bigints([view.born for view, _, _ in made]),
        },
    )


async def _update(conn: Conn, changed: Sequence[KeyView]) -> None:
    if not changed:
        return
    await conn.execute(
        """UPDATE signing_keys
           SET stays = new.stays = 1, compromised = new.compromised = 1, dnskey = new.dnskey, zrrsig = new.zrrsig,
               ds = new.ds, state = new.state, removed_at = to_timestamp(new.removed),
               sealed = CASE WHEN new.removed IS NULL THEN sealed END
           FROM unnest(%(ids)s, %(stays)s, %(known)s, %(dnskeys)s, %(zrrsigs)s, %(dss)s, %(states)s, %(removed)s)
               AS new(id, stays, compromised, dnskey, zrrsig, ds, state, removed)
           WHERE signing_keys.id = new.id::uuid""",
        {
            "ids": texts(one.id for one in changed),
            "stays": integers([int(one.stays) for one in changed]),
            "known": integers([int(one.compromised) for one in changed]),
            "dnskeys": texts(one.dnskey.value for one in changed),
            "zrrsigs": texts(one.zrrsig.value for one in changed),
            "dss": texts(one.ds.value for one in changed),
            "states": texts("removed" if one.removed is not None else one.label() for one in changed),
            "removed": bigints([one.removed for one in changed]),
        },
    )


async def append_events(conn: Conn, zone: int, events: Sequence[Event], now: int) -> None:
    """Write down what happened to the keys of *zone*."""
    if not events:
        return
    await conn.execute(
        """INSERT INTO key_events (zone, at, key, tag, record, before, after, why, evidence)
           SELECT %(zone)s, to_timestamp(%(now)s), nullif(key, '')::uuid, nullif(tag, -1), record, before,
                  after, why, evidence
           FROM unnest(%(keys)s, %(tags)s, %(records)s, %(befores)s, %(afters)s, %(whys)s, %(evidence)s)
               WITH ORDINALITY AS new(key, tag, record, before, after, why, evidence, place) ORDER BY place""",
        {
            "zone": zone,
            "now": now,
            "keys": texts("" if one.key is None else one.key.id for one in events),
            "tags": integers([-1 if one.key is None else one.key.tag for one in events]),
            "records": texts(one.record for one in events),
            "befores": texts(one.before for one in events),
            "afters": texts(one.after for one in events),
            "whys": texts(one.why for one in events),
            "evidence": texts(one.evidence for one in events),
        },
    )


async def finish_orders(conn: Conn, done: Iterable[int]) -> None:
    """Take away orders that are carried out, or refused."""
    wanted = list(done)
    if wanted:
        await conn.execute("DELETE FROM signing_orders WHERE id = ANY(%(ids)s)", {"ids": bigints(wanted)})


async def write_waits(conn: Conn, waits: Iterable[Wait]) -> None:
    """Write beside each motion what it waits for, and who must act."""
    told = {(one.key, one.record): one for one in waits}
    if not told:
        return
    await conn.execute(
        """UPDATE key_motions SET waits = new.waits
           FROM unnest(%(keys)s, %(records)s, %(waits)s) AS new(key, record, waits)
           WHERE key_motions.key = new.key::uuid AND key_motions.record = new.record
             AND key_motions.waits <> new.waits""",
        {
            "keys": texts(key for key, _ in told),
            "records": texts(record.value for _, record in told),
            "waits": texts(f"{one.what}; who must act: {one.who}" for one in told.values()),
        },
    )


async def write_zone(conn: Conn, zone: int, *, keyset: int, denial: str) -> None:
    """Give *zone* the number of its keys, and how it is signed."""
    await conn.execute(
        """UPDATE zones SET keyset = %(keyset)s, denial = %(denial)s
           WHERE id = %(zone)s AND (keyset, denial) IS DISTINCT FROM (%(keyset)s, %(denial)s)""",
        {"zone": zone, "keyset": keyset, "denial": denial},
    )


async def look_again(conn: Conn, when: Mapping[int, int | None]) -> None:
    """Say when each zone's keys are looked at again; None: when somebody says so."""
    if not when:
        return
    await conn.execute(
        """UPDATE signing SET step_at = to_timestamp(new.at)
           FROM unnest(%(zones)s, %(whens)s) AS new(zone, at)
           WHERE signing.zone = new.zone AND step_at IS DISTINCT FROM to_timestamp(new.at)""",
        {"zones": bigints(list(when)), "whens": bigints(list(when.values()))},
    )


async def write_wish(conn: Conn, zone: int, wish: str) -> None:
    """Write down whether *zone* is to keep its signatures."""
    await conn.execute(
        "UPDATE signing SET wish = %(wish)s WHERE zone = %(zone)s AND wish <> %(wish)s", {"zone": zone, "wish": wish}
    )


async def note_parts(conn: Conn, zone: int) -> None:
    """Say that *zone* has keys since now that have not signed all of it yet."""
    await conn.execute(
        "UPDATE signing SET whole_at = NULL, whole_serial = NULL WHERE zone = %(zone)s AND whole_at IS NOT NULL",
        {"zone": zone},
    )


async def note_whole(conn: Conn, done: Sequence[Whole], now: int) -> None:
    """Say that zones are signed by today's keys throughout, and what their greatest TTLs are.

    A greater TTL that was published before counts for a while: it may still be in caches, or on a server that lags.
    Where a zone was not whole before, its keys are looked at.
    """
    if not done:
        return
    await conn.execute(
        """UPDATE signing
           SET whole_at = coalesce(whole_at, to_timestamp(%(now)s)),
               whole_serial = CASE WHEN whole_at IS NULL THEN new.serial ELSE whole_serial END,
               step_at = CASE WHEN whole_at IS NULL AND step_at IS NOT NULL
                              THEN least(step_at, to_timestamp(%(now)s)) ELSE step_at END,
               max_ttl = CASE WHEN max_ttl > new.greatest AND max_ttl_at >= to_timestamp(%(old)s)
                              THEN max_ttl ELSE new.greatest END,
               max_ttl_at = CASE WHEN max_ttl > new.greatest AND max_ttl_at >= to_timestamp(%(old)s)
                                 THEN max_ttl_at ELSE to_timestamp(%(now)s) END,
               dnskey_ttl = CASE WHEN dnskey_ttl > new.of_keys AND dnskey_ttl_at >= to_timestamp(%(old)s)
                                 THEN dnskey_ttl ELSE new.of_keys END,
               dnskey_ttl_at = CASE WHEN dnskey_ttl > new.of_keys AND dnskey_ttl_at >= to_timestamp(%(old)s)
                                    THEN dnskey_ttl_at ELSE to_timestamp(%(now)s) END
           FROM unnest(%(zones)s, %(serials)s, %(ttls)s, %(dnskeys)s) AS new(zone, serial, greatest, of_keys)
           WHERE signing.zone = new.zone""",
        {
            "now": now,
            "old": now - REMEMBERED,
            "zones": bigints([one.zone for one in done]),
            "serials": bigints([one.serial for one in done]),
            "ttls": integers([one.max_ttl for one in done]),
            "dnskeys": integers([one.dnskey_ttl for one in done]),
        },
    )


async def write_problem(conn: Conn, zone: int, sentence: str, now: int) -> None:
    """Write down why *zone* is not signed, or that there is no problem any more (an empty sentence)."""
    await conn.execute(
        """UPDATE signing
           SET problem = %(problem)s,
               problem_since = CASE WHEN %(problem)s <> '' THEN coalesce(problem_since, to_timestamp(%(now)s)) END
           WHERE zone = %(zone)s AND problem <> %(problem)s""",
        {"zone": zone, "problem": sentence, "now": now},
    )
