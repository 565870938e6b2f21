"""What the signer writes to Postgres: records, editions, heads, keys, and a child's DS in its registry's zone.

Law: the caller owns the transaction, and has each zone locked (`leases.lease` or `leases.lock`) before it comes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from ddns.store import published
from ddns.store.packing import bigints, integers, octets, ragged, texts
from ddns.store.signing import insert_keys
from ddns.zone import edition as editions
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.jobs import SealedKey
from zone_signer import clockkeeper, keyrows
from zone_signer.keyrows import Whole
from zone_signer.leases import Lease
from zone_signer.plan import NEVER
from zone_signer.store import Conn

NOTIFY_LIMIT = 7900  # octets of a payload; Postgres takes less than 8000
EDITION_LIMIT = 20_000  # RRsets; a bigger edition is not kept, and whoever is behind reads the zone anew
MOST_EDITIONS = 10_000  # of one zone
FEW_EDITIONS = 100  # of one zone that are kept however old they are
OLD = 7 * 86400  # seconds


class Publication(msgspec.Struct, frozen=True):
    """What one signing run writes for one zone; *serial* is what it had, *to_serial* what it gets.

    Where *changed* is false nothing is published, only noted that the zone is up to its head. Where it is *behind*
    there is more to be signed of it. *ttls* are the greatest TTLs of all that it publishes, where all of it was looked
    at: of any RRset, and of its DNSKEY RRset.
    """

    zone: Lease
    resign_at: int
    changed: bool = False
    to_serial: int = 0
    removed: tuple[SignedRRset, ...] = ()
    added: tuple[SignedRRset, ...] = ()
    gone: tuple[tuple[Name, int], ...] = ()
    keys: tuple[SealedKey, ...] = ()
    behind: bool = False
    ttls: tuple[int, int] | None = None


async def publish(conn: Conn, done: Sequence[Publication], now: int) -> None:
    """Write what signing runs made, and tell the servers when it is committed.

    The keys of zones that waited to be signed are looked at next: whoever had them wait may have asked for others. New
    homes are left out, whose keys are as they ought to be.
    """
    changed = [one for one in done if one.changed]
    made = [(one.zone.id, key) for one in done for key in one.keys]
    if made:
        await insert_keys(conn, made)
    if changed:
        await _remove(conn, changed)
        await _add(conn, changed)
        await _append_editions(conn, changed)
        await conn.execute(
            """UPDATE zones SET edition = new.edition, serial = new.serial
               FROM unnest(%(ids)s, %(editions)s, %(serials)s) AS new(id, edition, serial) WHERE zones.id = new.id""",
            {
                "ids": bigints([one.zone.id for one in changed]),
                "editions": bigints([one.zone.edition + 1 for one in changed]),
                "serials": bigints([one.to_serial for one in changed]),
            },
        )
        await notify_zones(conn, [(one.zone.id, one.zone.edition + 1) for one in changed])
    await conn.execute(
        """UPDATE signing SET signed_head = new.head, pending = new.zone = ANY(%(behind)s),
                              resign_at = to_timestamp(new.due), problem = '', problem_since = NULL,
                              step_at = CASE WHEN pending AND new.zone = ANY(%(looks)s)
                                             THEN least(step_at, to_timestamp(%(now)s)) ELSE step_at END
           FROM unnest(%(ids)s, %(heads)s, %(dues)s) AS new(zone, head, due) WHERE signing.zone = new.zone""",
        {
            "ids": bigints([one.zone.id for one in done]),
            "heads": bigints([one.zone.head for one in done]),
            "behind": bigints([one.zone.id for one in done if one.behind]),
            "dues": bigints([None if one.resign_at >= NEVER else one.resign_at for one in done]),
            "looks": bigints([one.zone.id for one in done if one.zone.edition or one.zone.parent is None]),
            "now": now,
        },
    )
    await keyrows.note_whole(
        conn,
        [
            Whole(one.zone.id, one.to_serial if one.changed else one.zone.serial, *one.ttls)
            for one in done
            if one.ttls is not None
        ],
        now,
    )
    await clockkeeper.note(conn, now)


async def _remove(conn: Conn, changed: Sequence[Publication]) -> None:
    """Remove what goes and what is written anew; a zone that publishes nothing yet has neither."""
    leaving = [
        (one.zone.id, names.order_key(name), rdtype)
        for one in changed
        if one.zone.edition
        for name, rdtype in (*one.gone, *((rrset.name, rrset.type) for rrset in one.added))
    ]
    if leaving:
        await conn.execute(
            """DELETE FROM published_rrsets USING unnest(%(zones)s, %(owners)s, %(types)s) AS leaving(zone, owner, type)
               WHERE published_rrsets.zone = leaving.zone AND published_rrsets.owner = leaving.owner
                 AND published_rrsets.type = leaving.type""",
            {
                "zones": bigints([one[0] for one in leaving]),
                "owners": octets([one[1] for one in leaving]),
                "types": integers([one[2] for one in leaving]),
            },
        )


async def _add(conn: Conn, changed: Sequence[Publication]) -> None:
    await published.fill_all(conn, ((one.zone.id, rrset) for one in changed for rrset in one.added))


async def _append_editions(conn: Conn, changed: Sequence[Publication]) -> None:
    kept = [one for one in changed if len(one.removed) + len(one.added) <= EDITION_LIMIT]
    if not kept:
        return
    await conn.execute(
        """INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
           SELECT zone, number, from_serial, to_serial, removed, added
           FROM unnest(%(zones)s, %(numbers)s, %(froms)s, %(tos)s, %(removed)s, %(added)s)
               AS new(zone, number, from_serial, to_serial, removed, added)""",
        {
            "zones": bigints([one.zone.id for one in kept]),
            "numbers": bigints([one.zone.edition + 1 for one in kept]),
            # The first edition starts from itself (ddns.zone.edition).
            "froms": bigints([one.zone.serial if one.zone.edition else one.to_serial for one in kept]),
            "tos": bigints([one.to_serial for one in kept]),
            "removed": octets([editions.pack(one.removed) for one in kept]),
            "added": octets([editions.pack(one.added) for one in kept]),
        },
    )


async def notify_zones(conn: Conn, done: Iterable[tuple[int, int]]) -> None:
    """Tell the servers which zones are at which edition."""
    payloads: list[str] = []
    for zone, edition in done:
        token = f"{zone}:{edition}"
        if payloads and len(payloads[-1]) + 1 + len(token) <= NOTIFY_LIMIT:
            payloads[-1] += f" {token}"
        else:
            payloads.append(token)
    await conn.execute(
        "SELECT pg_notify('ddns_zones', payload) FROM unnest(%(payloads)s) AS payload", {"payloads": texts(payloads)}
    )


async def delegate(conn: Conn, registry: Lease, added: Sequence[RRset]) -> Lease:
    """Put DS RRsets into a locked registry's records and journal; returns it at its new head."""
    return await change(conn, registry, [RRsetChange(one.name, one.type, None, one) for one in added])


async def replace_ds(conn: Conn, registry: Lease, child: Name, before: RRset | None, after: RRset | None) -> Lease:
    """Put the DS RRset *after* of *child* in place of *before*; None: there is none. As `delegate`."""
    return await change(conn, registry, [RRsetChange(child, Type.DS, before, after)])


async def change(conn: Conn, zone: Lease, changes: Sequence[RRsetChange]) -> Lease:
    """Put *changes*, which must not be none, into the records and the journal of a locked zone.

    Returns it at its new head.
    """
    gone = [one for one in changes if one.before is not None]
    if gone:
        await conn.execute(
            """DELETE FROM rrsets USING unnest(%(owners)s, %(types)s) AS gone(owner, type)
               WHERE zone = %(zone)s AND rrsets.owner = gone.owner AND rrsets.type = gone.type""",
            {
                "zone": zone.id,
                "owners": octets([names.order_key(one.name) for one in gone]),
                "types": integers([one.type for one in gone]),
            },
        )
    added = [one.after for one in changes if one.after is not None]
    if added:
        await conn.execute(
            """INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
               SELECT %(zone)s, owner, type, ttl, rdatas::bytea[]
               FROM unnest(%(owners)s, %(types)s, %(ttls)s, %(rdatas)s) AS new(owner, type, ttl, rdatas)""",
            {
                "zone": zone.id,
                "owners": octets([names.order_key(one.name) for one in added]),
                "types": integers([one.type for one in added]),
                "ttls": integers([one.ttl for one in added]),
                "rdatas": ragged(one.rdatas for one in added),
            },
        )
    head = zone.head + 1
    await conn.execute(
        """INSERT INTO journal (zone, seq, principal, change) VALUES (%(zone)s, %(seq)s, 'service', %(change)s)""",
        {"zone": zone.id, "seq": head, "change": ChangeSet(tuple(changes)).pack()},
    )
    await conn.execute("UPDATE zones SET head = %(head)s WHERE id = %(zone)s", {"zone": zone.id, "head": head})
    return msgspec.structs.replace(zone, head=head)


async def mark_pending(conn: Conn, zone: int, head: int) -> None:
    """Note that a zone's records are ahead of what is published, which shows its journal up to *head*."""
    await conn.execute(
        "UPDATE signing SET pending = true, signed_head = %(head)s WHERE zone = %(zone)s AND NOT pending",
        {"zone": zone, "head": head},
    )


async def prune_editions(conn: Conn, most: int = MOST_EDITIONS) -> int:
    """Forget editions that nobody follows any more; returns how many. Whoever is further behind reads the zone anew.

    Of each zone at most *most* are kept.
    """
    cursor = await conn.execute(
        """DELETE FROM editions USING zones
           WHERE zones.edition > least(%(few)s, %(most)s)
             AND editions.zone = zones.id AND editions.number <= zones.edition - least(%(few)s, %(most)s)
             AND (editions.number <= zones.edition - %(most)s
                  OR (editions.number <= zones.edition - %(few)s AND editions.at < now() - %(old)s::interval))""",
        {"most": most, "few": FEW_EDITIONS, "old": timedelta(seconds=OLD)},
    )
    return cursor.rowcount
