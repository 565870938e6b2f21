"""The rows that the life of a zone's keys is written in, read: keys, motions, orders, sightings, policies.

Law: the caller owns the transaction and has the zones locked. `read` locks their rows in `signing` before it looks at
orders and sightings, so that nothing that is given meanwhile is lost or seems to be ahead of us. What a step changes
is written by `keyrows`. Who only looks (`glance`) owns a snapshot instead, locks nothing, and sees no private half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.store.packing import bigints, octets
from ddns.zone.jobs import SealedKey
from zone_signer import registries
from zone_signer.goal import Goal, Order, goal_of
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyset import KeySet
from zone_signer.keyview import KeyView, Motion
from zone_signer.leases import Lease
from zone_signer.phase import Phase, Record, Role
from zone_signer.plan import is_soa
from zone_signer.policies import Policies, name_of
from zone_signer.policy import DAY, Policy, negative_ttl
from zone_signer.registries import Registry
from zone_signer.seen import WATCHER, Sighting
from zone_signer.stage import Facts
from zone_signer.store import Conn, rows_of

REMEMBERED = 31 * DAY  # for so long the greatest TTL that was published counts
MOST_MOVING = 2000  # homes of one registry that roll at a time because a policy says so; a roll takes half a day


class Book(msgspec.Struct, frozen=True):
    """All that is known of a zone's keys at one moment.

    *apex* is what the zone publishes there, by type; *sealed* are the private halves by the ids of the keys. *active*:
    it is no home that is suspended, or on its way to servers of its own: why that is so is in *away*, a sentence, and
    the keys of those servers that the zone shows are *foreign*. *registry* is None where the parent is elsewhere.
    """

    zone: Lease
    policy: KeyPolicy
    wish: str
    keys: tuple[KeyView, ...]
    sealed: Mapping[str, SealedKey]
    orders: tuple[Order, ...]
    facts: Facts
    apex: Mapping[int, SignedRRset]
    registry: Registry | None
    active: bool
    problem: str
    away: str = ""
    foreign: tuple[Rdata, ...] = ()

    @property
    def goal(self) -> Goal:
        """Return what the keys ought to become. A zone that is published without signatures is to stay so."""
        wish = "insecure" if self.zone.denial == "none" else self.wish
        return goal_of(self.zone.algorithm, wish, self.policy)

    @property
    def is_readable(self) -> bool:
        """Tell whether the SOA that the zone publishes can be read."""
        return (soa := self.apex.get(Type.SOA)) is None or is_soa(soa.rdatas)

    def keyset(self, number: int, keys: Sequence[KeyView]) -> KeySet:
        """Return what *keys* make of the zone under *number*."""
        keyset = KeySet.of(
            self.zone.origin,
            number,
            keys,
            self.policy,
            parent_here=self.registry is not None,
            insecure=not self.goal.secure or not self.facts.wants_ds,
        )
        return msgspec.structs.replace(keyset, dnskeys=tuple(sorted({*keyset.dnskeys, *self.foreign})))


# Columns of `signing_policies`, as the fields of a `KeyPolicy` and of its `Policy` are called.
_RULES = (
    "name", "scheme", "algorithm", "csk_lifetime", "ksk_lifetime", "zsk_lifetime", "lifetime_jitter", "publish_safety",
    "retire_safety", "ds_ttl", "parent_check", "cds", "watch", "patience", "purge_after", "vault",
)  # fmt: skip
_SIGNATURES = ("backdate", "validity", "jitter", "refresh", "dnskey_ttl")


async def policies(conn: Conn) -> list[KeyPolicy]:
    """Return all policies."""
    columns = ", ".join((*_RULES, *_SIGNATURES))
    rows = await rows_of(conn, f"SELECT {columns} FROM signing_policies", {})  # noqa: S608 - our own columns
    found = []
    for row in rows:
        signatures = Policy(**dict(zip(_SIGNATURES, row[len(_RULES) :], strict=True)))
        found.append(KeyPolicy(**dict(zip(_RULES, row, strict=False)), signatures=signatures))
    return found


async def read(conn: Conn, zones: Sequence[Lease], known: Policies, now: int) -> dict[int, Book]:
    """Return what is known of the keys of *zones*, which are locked."""
    return await _read(conn, zones, known, now, looks=False)


async def glance(conn: Conn, zones: Sequence[Lease], known: Policies, now: int) -> dict[int, Book]:
    """Return what is known of the keys of *zones* but their private halves, to who changes nothing.

    The transaction must be a snapshot (REPEATABLE READ), or have the zones locked: here nothing is.
    """
    return await _read(conn, zones, known, now, looks=True)


async def _read(conn: Conn, zones: Sequence[Lease], known: Policies, now: int, *, looks: bool) -> dict[int, Book]:
    ids = [zone.id for zone in zones]
    signing = await _signing(conn, ids, looks=looks)
    keys, sealed = await _keys(conn, ids, looks=looks)
    orders = await _orders(conn, ids)
    apexes = await _apexes(conn, zones)
    homes = [zone for zone in zones if zone.parent is not None]
    places = {*ids, *(zone.parent for zone in homes if zone.parent is not None)}
    # Before the registries, which are not locked where one only looks: their servers would seem to be ahead of them.
    sightings = await _sightings(conn, sorted(places))
    parents = await registries.read(conn, homes, now)
    states = await _states(conn, [zone.id for zone in homes])
    out = {}
    for zone in zones:
        if zone.id not in signing:
            continue
        policy = known.named(name_of(zone.policy, is_home=zone.parent is not None))
        wish, problem, *lasting = signing[zone.id]
        registry = parents.get(zone.id)
        facts = _facts(zone, policy, apexes[zone.id], registry, sightings, lasting, now)
        out[zone.id] = Book(
            zone, policy, wish, tuple(keys[zone.id]), sealed[zone.id], tuple(orders[zone.id]), facts,
            apexes[zone.id], registry, zone.id not in states, problem, *states.get(zone.id, ("", ())),
        )  # fmt: skip
    return out


def _facts(
    zone: Lease,
    policy: KeyPolicy,
    apex: Mapping[int, SignedRRset],
    registry: Registry | None,
    sightings: Mapping[tuple[int, str], list[Sighting]],
    lasting: Sequence[Any],
    now: int,
) -> Facts:
    whole_at, whole_serial, max_ttl, max_ttl_at, dnskey_ttl, dnskey_ttl_at = lasting
    shown = apex.get(Type.DNSKEY)
    soa = apex.get(Type.SOA)
    watched = policy.watch != "none"
    parents: tuple[Sighting, ...] = tuple(sightings[zone.id, "parent"])
    if registry is not None:
        parents = _servers(registry.id, registry.serial, sightings) if watched else ()
    return Facts(
        zone=zone.id,
        origin=zone.origin,
        parent=0 if registry is None else registry.id,
        dnskey_ttl=max(_lasting(dnskey_ttl, dnskey_ttl_at, now), 0 if shown is None else shown.ttl),
        negative_ttl=_negative_ttl(soa),
        max_ttl=_lasting(max_ttl, max_ttl_at, now),
        whole=None if whole_at is None else (whole_at, whole_serial),
        serial=zone.serial,
        keyset=zone.keyset,
        fresh=zone.edition == 0,
        secondaries=_servers(zone.id, zone.serial, sightings) if watched else (),
        parents=parents,
        parent_signed=registry is None or registry.signed,
        parent_serial=0 if registry is None else registry.serial,
        ds_ttl=None if registry is None else registry.ttl,
        crowded=registry is not None and registry.moving >= MOST_MOVING,
    )


def _negative_ttl(soa: SignedRRset | None) -> int:
    return 0 if soa is None or not is_soa(soa.rdatas) else negative_ttl(RRset(soa.name, soa.type, soa.ttl, soa.rdatas))


def _lasting(ttl: int | None, at: int | None, now: int) -> int:
    return 0 if ttl is None or at is None or at + REMEMBERED < now else ttl


def _servers(place: int, serial: int, sightings: Mapping[tuple[int, str], list[Sighting]]) -> tuple[Sighting, ...]:
    """Return the sightings of a zone's secondaries, and of the watcher, who made the list of them.

    Nobody to ask and nobody who asks look alike: so the list is judged as if it was a server that shows all that is
    published. A motion is not seen before the watcher has listed the servers since it began.
    """
    found = sightings[place, "secondary"]
    listed = max((one.asked for one in found if not one.server), default=None)
    problem = "has not looked at the zone's servers yet; it is part of `ddns serve`"
    watcher = Sighting("secondary", WATCHER, listed or 0, listed, serial=serial, problem=problem)
    return (watcher, *(one for one in found if one.server))


async def _signing(conn: Conn, ids: Sequence[int], *, looks: bool) -> dict[int, tuple[Any, ...]]:
    lock = "" if looks else "FOR NO KEY UPDATE"
    rows = await rows_of(
        conn,
        f"""SELECT zone, wish, problem, extract(epoch FROM whole_at)::bigint, whole_serial, max_ttl,
                   extract(epoch FROM max_ttl_at)::bigint, dnskey_ttl, extract(epoch FROM dnskey_ttl_at)::bigint
            FROM signing WHERE zone = ANY(%(ids)s) ORDER BY zone {lock}""",  # noqa: S608 - our own words
        {"ids": bigints(ids)},
    )
    return {zone: tuple(row) for zone, *row in rows}


async def _keys(
    conn: Conn, ids: Sequence[int], *, looks: bool
) -> tuple[dict[int, list[KeyView]], dict[int, dict[str, SealedKey]]]:
    motions: dict[str, dict[Record, Motion]] = defaultdict(dict)
    for key, record, *motion in await rows_of(
        conn,
        """SELECT key::text, record, extract(epoch FROM since)::bigint, place, serial, ttl,
                  extract(epoch FROM seen_at)::bigint
           FROM key_motions WHERE zone = ANY(%(ids)s)""",
        {"ids": bigints(ids)},
    ):
        motions[key][Record(record)] = Motion(*motion)
    keys: dict[int, list[KeyView]] = defaultdict(list)
    sealed: dict[int, dict[str, SealedKey]] = defaultdict(dict)
    sealed_half = "NULL::bytea" if looks else "sealed"
    for zone, *row in await rows_of(
        conn,
        f"""SELECT zone, id::text, algorithm::integer, flags, tag, public, {sealed_half}, role, vault,
                   extract(epoch FROM coalesce(born_at, created_at))::bigint, dnskey, zrrsig, ds, stays, compromised,
                   extract(epoch FROM removed_at)::bigint
            FROM signing_keys WHERE zone = ANY(%(ids)s) ORDER BY zone, id""",  # noqa: S608 - our own words
        {"ids": bigints(ids)},
    ):
        key = SealedKey(*row[:9])
        keys[zone].append(_view(key, motions.get(key.id, {}), *row[9:]))
        if key.sealed is not None:
            sealed[zone][key.id] = key
    return keys, sealed


def _view(
    key: SealedKey,
    motions: Mapping[Record, Motion],
    dnskey: str,
    zrrsig: str,
    ds: str,
    stays: bool,
    compromised: bool,
    removed: int | None,
) -> KeyView:
    return KeyView(
        key.id, key.tag, key.algorithm, Role(key.role), key.born, stays, compromised, key.vault, Phase(dnskey),
        Phase(zrrsig), Phase(ds), motions, rdata=key.public, removed=removed,
    )  # fmt: skip


async def _orders(conn: Conn, ids: Sequence[int]) -> dict[int, list[Order]]:
    rows = await rows_of(
        conn,
        """SELECT zone, id, kind, role, tag, extract(epoch FROM at)::bigint, denial, server, principal
           FROM signing_orders WHERE zone = ANY(%(ids)s) ORDER BY zone, id""",
        {"ids": bigints(ids)},
    )
    found: dict[int, list[Order]] = defaultdict(list)
    for zone, ident, kind, role, *rest in rows:
        found[zone].append(Order(ident, kind, None if role is None else Role(role), *rest))
    return found


async def _apexes(conn: Conn, zones: Sequence[Lease]) -> dict[int, dict[int, SignedRRset]]:
    """Return of each zone what is published at its apex: SOA, DNSKEY, CDS and CDNSKEY."""
    origins = {zone.id: zone.origin for zone in zones}
    rows = await rows_of(
        conn,
        """SELECT shown.zone, shown.type, ttl, rdatas, sigs
           FROM unnest(%(zones)s, %(owners)s) AS asked(zone, owner)
           JOIN published_rrsets AS shown ON shown.zone = asked.zone AND shown.owner = asked.owner
                AND shown.type IN (6, 48, 59, 60)""",
        {"zones": bigints(list(origins)), "owners": octets([names.order_key(one) for one in origins.values()])},
    )
    found: dict[int, dict[int, SignedRRset]] = defaultdict(dict)
    for zone, rdtype, ttl, rdatas, sigs in rows:
        found[zone][rdtype] = SignedRRset(origins[zone], rdtype, ttl, tuple(rdatas), tuple(sigs))
    return found


async def _sightings(conn: Conn, places: Sequence[int]) -> dict[tuple[int, str], list[Sighting]]:
    """Return the sightings of the servers that are to be asked, and when the list of them was made: server ''."""
    rows = await rows_of(
        conn,
        """SELECT zone, kind, server, extract(epoch FROM asked_at)::bigint, extract(epoch FROM answered_at)::bigint,
                  serial, ds, ds_ttl, problem
           FROM sightings
           WHERE zone = ANY(%(places)s) AND (wanted OR server = '') AND kind IN ('secondary', 'parent')
           ORDER BY zone, kind, server""",
        {"places": bigints(places)},
    )
    found: dict[tuple[int, str], list[Sighting]] = defaultdict(list)
    for zone, kind, server, asked, answered, serial, ds, ds_ttl, problem in rows:
        shown = None if ds is None else tuple(ds)
        if kind == "secondary" or server:
            found[zone, kind].append(Sighting(kind, server, asked, answered, serial, shown, ds_ttl, problem))
    return found


async def _states(conn: Conn, homes: Sequence[int]) -> dict[int, tuple[str, tuple[Rdata, ...]]]:
    """Return of the homes whose keys must rest why they must, where they are on their way, and whose keys they show."""
    rows = await rows_of(
        conn,
        """SELECT homes.zone, zones.origin, coalesce(delegations.state, 'hosted'),
                  coalesce(delegations.foreign_keys, '{}')
           FROM homes JOIN zones ON zones.id = homes.zone LEFT JOIN delegations ON delegations.zone = homes.zone
           WHERE homes.zone = ANY(%(homes)s) AND (homes.state <> 'active' OR delegations.state <> 'hosted')""",
        {"homes": bigints(homes)},
    )
    return {zone: (_away(names.from_order_key(origin), state), tuple(foreign)) for zone, origin, state, foreign in rows}


def _away(origin: Name, state: str) -> str:
    if state == "hosted":
        return ""
    text = names.to_text(origin)
    if state == "away":
        return (
            f"{text} has servers of its own, so its keys here rest; bring it home first: ddns delegation return {text}"
        )
    return (
        f"{text} is on its way to servers of its own or back ({state}), so its keys here rest; "
        f"ddns delegation show {text} says what it waits for"
    )


def apex_rdatas(apex: Mapping[int, SignedRRset]) -> dict[int, tuple[Rdata, ...]]:
    """Return what *apex* publishes, by type."""
    return {rdtype: one.rdatas for rdtype, one in apex.items()}
