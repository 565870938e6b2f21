"""TLSA records that are not plainly established, what zones demand of theirs, and who has shown which serial.

Epoch seconds come in and go out; who holds the zone locked writes. The rules are in `ddns.zone.dane`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import serial_newer
from ddns.store.packing import bigints, octets, texts
from ddns.store.pool import rows
from ddns.zone import dane
from ddns.zone.changes import ChangeSet
from ddns.zone.dane import MARGIN, Phase, Pin, Rule

MOST_FOLLOWED = 1000  # rows of one zone: whoever may write there could else have any number of them remembered

Service = tuple[int, Name]
Pins = tuple[Pin, ...]


class Shown(msgspec.Struct, frozen=True):
    """What one of a zone's servers showed last: a *serial*, *at* some time; *problem* is why it did not answer."""

    server: str
    serial: int | None
    at: int | None
    problem: str


class Facts(msgspec.Struct, frozen=True):
    """What one zone's records are judged by.

    *rule* is None where the zone takes the registry's. *alone*: nobody may transfer it, so no other server has it.
    *anchored*: whether it has a DS above it; None: nobody here knows. *shown* are the servers that are to be asked, as
    the watcher found them at *looked_at* (seconds since 1970); None: it has not looked. *crowded*: as many of its
    records are on their way as may be.
    """

    rule: Rule | None
    alone: bool
    anchored: bool | None
    shown: tuple[Shown, ...] = ()
    looked_at: int | None = None
    crowded: bool = False

    def seen(self, serial: int, since: int) -> int | None:
        """Return when the last of the zone's servers was seen with *serial* (RFC 1982 §3.2), None: not yet.

        Only what they said at *since* or later counts: before, the number may have stood for something else.
        """
        if self.alone:
            return since
        if self.missing(serial, since):
            return None
        return max((since, *(one.at for one in self.shown if one.at is not None)))

    def missing(self, serial: int, since: int) -> tuple[str, ...]:
        """Return what each of the zone's servers lacks that was not seen with *serial*: its name, and why."""
        if self.alone:
            return ()
        if self.looked_at is None or self.looked_at < since:
            return ("nobody has looked yet which servers there are to ask",)
        out = []
        for one in self.shown:
            if one.at is None or one.at < since:
                out.append(f"{one.server} {one.problem or 'has not answered yet'}")
            elif one.serial is None or not (one.serial == serial or serial_newer(one.serial, serial)):
                out.append(f"{one.server} has not shown serial {serial} (last {one.serial})")
        return tuple(out)


async def read(conn: AsyncConnection[Any], wanted: Iterable[Service]) -> dict[Service, Pins]:
    """Return the pins at each (zone, owner); one without any is not in the result."""
    keys = list(dict.fromkeys(wanted))
    if not keys:
        return {}
    cursor = await conn.execute(
        """
        SELECT wanted.place, rolls.rdata, rolls.phase, extract(epoch FROM rolls.since)::bigint, rolls.serial, rolls.ttl,
               extract(epoch FROM rolls.seen_at)::bigint
        FROM unnest(%(zones)s, %(owners)s) WITH ORDINALITY AS wanted (zone, owner, place)
        JOIN tlsa_rolls AS rolls ON rolls.zone = wanted.zone AND rolls.owner = wanted.owner
        ORDER BY wanted.place, rolls.rdata
        """,
        {"zones": bigints([key[0] for key in keys]), "owners": octets([names.order_key(key[1]) for key in keys])},
        prepare=True,
        binary=True,
    )
    found: dict[Service, list[Pin]] = {}
    for place, rdata, phase, since, serial, ttl, seen_at in await rows(cursor):
        found.setdefault(keys[place - 1], []).append(Pin(rdata, Phase(phase), since, serial, ttl, seen_at))
    return {key: tuple(pins) for key, pins in found.items()}


async def facts(conn: AsyncConnection[Any], zones: Iterable[int]) -> dict[int, Facts]:
    """Return what the records of each of *zones* are judged by."""
    cursor = await conn.execute(
        """
        SELECT zones.id, rules.strict, rules.usages,
               NOT EXISTS (
                   SELECT FROM transfer_rights AS open
                   WHERE (open.zone = zones.id AND NOT open.homes) OR (open.zone = zones.parent AND open.homes)
               ),
               CASE
                   WHEN zones.denial = 'none' AND NOT EXISTS (
                       SELECT FROM published_rrsets AS shown
                       WHERE shown.zone = zones.id AND shown.owner = zones.origin AND cardinality(shown.sigs) > 0
                   ) THEN false
                   WHEN zones.parent IS NOT NULL THEN EXISTS (
                       SELECT FROM published_rrsets AS above
                       WHERE above.zone = zones.parent AND above.owner = zones.origin AND above.type = 43
                   )
               END,
               ARRAY(
                   SELECT ROW(one.server, one.serial, extract(epoch FROM one.answered_at)::bigint, one.problem)
                   FROM sightings AS one
                   WHERE one.zone = zones.id AND one.kind = 'secondary' AND one.wanted AND one.server <> ''
               ),
               (SELECT extract(epoch FROM marker.asked_at)::bigint FROM sightings AS marker
                WHERE marker.zone = zones.id AND marker.kind = 'secondary' AND marker.server = ''),
               (SELECT count(*) FROM (SELECT FROM tlsa_rolls WHERE zone = zones.id LIMIT %(most)s) AS followed)
                   >= %(most)s
        FROM zones LEFT JOIN tlsa_rules AS rules ON rules.zone = zones.id
        WHERE zones.id = ANY (%(zones)s)
        """,
        {"zones": bigints(list(zones)), "most": MOST_FOLLOWED},
        prepare=True,
        binary=True,
    )
    found = {}
    for zone, strict, usages, alone, anchored, shown, looked_at, crowded in await rows(cursor):
        rule = None if strict is None else Rule(strict, frozenset(usages))
        found[zone] = Facts(rule, alone, anchored, tuple(Shown(*one) for one in shown), looked_at, crowded)
    return found


async def write(conn: AsyncConnection[Any], changed: Mapping[Service, tuple[Pins, Pins]]) -> None:
    """Bring the pins at each (zone, owner) from the first of the two to the second."""
    gone = [
        (zone, owner, pin.rdata)
        for (zone, owner), (before, after) in changed.items()
        for pin in before
        if all(other.rdata != pin.rdata for other in after)
    ]
    if gone:
        await conn.execute(
            """
            DELETE FROM tlsa_rolls USING unnest(%(zones)s, %(owners)s, %(rdatas)s) AS gone (zone, owner, rdata)
            WHERE tlsa_rolls.zone = gone.zone AND tlsa_rolls.owner = gone.owner AND tlsa_rolls.rdata = gone.rdata
            """,
            {
                "zones": bigints([one[0] for one in gone]),
                "owners": octets([names.order_key(one[1]) for one in gone]),
                "rdatas": octets([one[2] for one in gone]),
            },
            prepare=True,
        )
    put = [
        (zone, owner, pin) for (zone, owner), (before, after) in changed.items() for pin in after if pin not in before
    ]
    if not put:
        return
    await conn.execute(
        """
        INSERT INTO tlsa_rolls (zone, owner, rdata, phase, since, serial, ttl, seen_at)
        SELECT zone, owner, rdata, phase, to_timestamp(since), serial, ttl, to_timestamp(seen_at)
        FROM unnest(%(zones)s, %(owners)s, %(rdatas)s, %(phases)s, %(since)s, %(serials)s, %(ttls)s, %(seen)s)
             AS new (zone, owner, rdata, phase, since, serial, ttl, seen_at)
        ON CONFLICT (zone, owner, rdata) DO UPDATE
            SET phase = excluded.phase, since = excluded.since, serial = excluded.serial, ttl = excluded.ttl,
                seen_at = excluded.seen_at
        """,
        {
            "zones": bigints([one[0] for one in put]),
            "owners": octets([names.order_key(one[1]) for one in put]),
            "rdatas": octets([one[2].rdata for one in put]),
            "phases": texts(str(one[2].phase) for one in put),
            "since": bigints([one[2].since for one in put]),
            "serials": bigints([one[2].serial for one in put]),
            "ttls": bigints([one[2].ttl for one in put]),
            "seen": bigints([one[2].seen_at for one in put]),
        },
        prepare=True,
    )
    await conn.execute("SELECT pg_notify('ddns_watch', '')", prepare=True)


async def lapsed(
    conn: AsyncConnection[Any], changes: Iterable[tuple[int, ChangeSet]], serials: Mapping[int, int], now: int
) -> None:
    """Follow what became of TLSA records that no client asked for: leases that end, what commands write.

    *serials* are those of the editions in which it is published; a zone without one is published later.
    """
    touched = [(zone, one) for zone, done in changes for one in done.changes if one.type == Type.TLSA]
    if not touched:
        return
    pins = await read(conn, [(zone, one.name) for zone, one in touched])
    changed: dict[Service, tuple[Pins, Pins]] = {}
    for zone, one in touched:
        before = pins.get((zone, one.name), ())
        after = dane.lapsed(one.before, one.after, before, now).pins
        after = dane.numbered(after, serials.get(zone), now)
        if after != before:
            changed[zone, one.name] = before, after
    await write(conn, changed)


async def ripe(
    conn: AsyncConnection[Any], now: int, looked: Collection[int], behind: Service | None, most: int
) -> list[Service]:
    """Return the (zone, owner) of at most *most* services for which `dane.settle` or `dane.due` may find something.

    Those that wait for their zone's servers are there where these were *looked* at, or there are none. They come in
    order, from *behind* one on; None: from the first.
    """
    zone, owner = (0, b"") if behind is None else (behind[0], names.order_key(behind[1]))
    cursor = await conn.execute(
        """
        SELECT DISTINCT rolls.zone, rolls.owner
        FROM tlsa_rolls AS rolls JOIN zones ON zones.id = rolls.zone
        WHERE (rolls.zone, rolls.owner) > (%(zone)s, %(owner)s) AND CASE
            WHEN rolls.phase = 'retiring' THEN
                rolls.since + 2 * rolls.ttl * interval '1 second' <= to_timestamp(%(now)s)
            WHEN rolls.phase = 'safe' THEN
                rolls.seen_at + (4 * rolls.ttl + %(margin)s) * interval '1 second' <= to_timestamp(%(now)s)
            WHEN rolls.seen_at IS NOT NULL THEN
                rolls.seen_at + (2 * rolls.ttl + %(margin)s) * interval '1 second' <= to_timestamp(%(now)s)
            ELSE rolls.zone = ANY (%(looked)s) OR NOT EXISTS (
                SELECT FROM transfer_rights AS open
                WHERE (open.zone = zones.id AND NOT open.homes) OR (open.zone = zones.parent AND open.homes)
            ) END
        ORDER BY rolls.zone, rolls.owner
        LIMIT %(most)s
        """,
        {"now": now, "margin": MARGIN, "looked": bigints(list(looked)), "zone": zone, "owner": owner, "most": most},
        prepare=True,
        binary=True,
    )
    return [(zone, names.from_order_key(owner)) for zone, owner in await rows(cursor)]


async def of_zone(conn: AsyncConnection[Any], zone: int) -> dict[Name, Pins]:
    """Return all pins of a zone, by owner in canonical order."""
    cursor = await conn.execute(
        "SELECT DISTINCT owner FROM tlsa_rolls WHERE zone = %(zone)s ORDER BY owner", {"zone": zone}, binary=True
    )
    owners = [names.from_order_key(owner) for (owner,) in await rows(cursor)]
    found = await read(conn, [(zone, owner) for owner in owners])
    return {owner: found[zone, owner] for owner in owners if (zone, owner) in found}


async def put_rule(conn: AsyncConnection[Any], zone: int, rule: Rule | None) -> None:
    """Have *zone* demand *rule*; None: what the service does."""
    if rule is None:
        await conn.execute("DELETE FROM tlsa_rules WHERE zone = %(zone)s", {"zone": zone})
        return
    await conn.execute(
        """
        INSERT INTO tlsa_rules (zone, strict, usages) VALUES (%(zone)s, %(strict)s, %(usages)s::smallint[])
        ON CONFLICT (zone) DO UPDATE SET strict = excluded.strict, usages = excluded.usages
        """,
        {"zone": zone, "strict": rule.strict, "usages": sorted(rule.usages, reverse=True)},
    )
