"""Other keys for a home: what may sign for it and what stands as KEY in its zone change in one transaction.

Law: after the commit a key that is revoked signs nothing more, and its KEY is gone from the zone; the key in its place
is there since the same moment. A home with servers of its own has its KEY records there, so only rights change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.homes.delegating import KEY_TTL, is_elsewhere
from ddns.signing.publish import Outcome, Signs, ZoneStep, changes_of, publish
from ddns.store import credentials, journal, keys_of_homes, notify, published, rrsets
from ddns.store.zones import Zone
from ddns.zone.jobs import Node

_FLAGS = 2  # octets at the beginning of a KEY: two that differ in them alone are the same key


class NewKey(msgspec.Struct, frozen=True):
    """A SIG(0) key that a home is to have: KEY RDATA that `ddns.auth.keys.check` has taken, its assurance and its box.

    *name* is where it stands; empty: at the home's apex, with rights on all of it. Elsewhere its rights are on that
    name alone.
    """

    key: Rdata
    assurance: str
    device: UUID | None = None
    name: Name = b""
    note: str = ""


class Swapped(msgspec.Struct, frozen=True):
    """The ids of the keys that were put, in their order, and the editions and zones as in `Outcome`."""

    put: tuple[int, ...]
    outcome: Outcome


async def swap(
    conn: AsyncConnection[Any],
    signer: Signs,
    zone: Zone,
    put: Sequence[NewKey],
    revoke: Collection[int],
    who: str,
) -> Swapped:
    """Give the home of the locked *zone* the keys *put*, and take the credentials *revoke* (ids) from it.

    *who* stands in the journal. Raises `psycopg.errors.UniqueViolation` (sig0_key_twice).
    """
    gone = [one for one in await keys_of_homes.live(conn, zone.id) if one.id in revoke]
    await credentials.revoke_ids(conn, [one.id for one in gone])
    made = tuple([await _insert(conn, zone, one) for one in put])
    added = [(one.name or zone.origin, one.key) for one in put]
    taken = [(one.name, one.public) for one in gone if one.kind == "sig0"]
    outcome = Outcome((), (), {})
    if not zone.is_away or not await is_elsewhere(conn, zone):
        outcome = await _publish(conn, signer, zone, added, taken, who)
    await notify.keys_of(conn, {name for name, _ in (*added, *((one.name, b"") for one in gone))})
    return Swapped(made, outcome)


async def _insert(conn: AsyncConnection[Any], zone: Zone, one: NewKey) -> int:
    name = one.name or zone.origin
    grant = Grant(zone.id, name, rule="zone" if name == zone.origin else "self")
    return await credentials.insert(
        conn, name, "sig0", str(one.key[3]), tag=sig0_keys.key_tag(one.key), public=one.key, home=zone.id,
        grants=[grant], assurance=one.assurance, device=one.device, note=one.note,
    )  # fmt: skip


async def _publish(
    conn: AsyncConnection[Any],
    signer: Signs,
    zone: Zone,
    added: Sequence[tuple[Name, Rdata]],
    taken: Sequence[tuple[Name, Rdata]],
    who: str,
) -> Outcome:
    """Publish the KEY records that change, in one edition."""
    touched = sorted({name for name, _ in (*added, *taken)}, key=names.order_key)
    above = {up for name in touched for up in names.ancestors(name, zone.origin)[:-1] if name != zone.origin}
    between = sorted(above - set(touched), key=names.order_key)
    where = [(zone.id, name) for name in dict.fromkeys((*touched, *between, zone.origin))]
    before = await rrsets.read_names(conn, where)
    nodes = []
    for name in touched:
        was = before.get((zone.id, name), ())
        here = [key for at, key in added if at == name], [key for at, key in taken if at == name]
        after = _with_keys(was, name, *here)
        if after != was:
            nodes.append(Node(name, was, after))
    if not nodes:
        return Outcome((), (), {})
    old = await published.read_names(conn, where)
    step = ZoneStep(
        zone,
        tuple(nodes),
        tuple((name, tuple(one.type for one in before.get((zone.id, name), ()))) for name in between),
        before.get((zone.id, zone.origin), ()),
        tuple(one for key in where for one in old.get(key, ())),
    )
    outcome = await publish(conn, signer, [step])
    await journal.append(conn, [journal.Entry(zone.id, zone.head + 1, who, None, None, changes_of(nodes))])
    return outcome


def _with_keys(was: tuple[RRset, ...], name: Name, added: Iterable[Rdata], taken: Iterable[Rdata]) -> tuple[RRset, ...]:
    """Return the records of a name with other KEY records; one that differs in its flags alone is the same key."""
    there = next((one for one in was if one.type == Type.KEY), None)
    gone = {key[_FLAGS:] for key in (*taken, *added)}
    kept = [] if there is None else [one for one in there.rdatas if one[_FLAGS:] not in gone]
    rdatas = tuple(sorted({*kept, *added}))
    rest = [one for one in was if one.type != Type.KEY]
    if rdatas:
        rest.append(RRset(name, Type.KEY, KEY_TTL if there is None else there.ttl, rdatas))
    return tuple(sorted(rest, key=lambda one: one.type))
