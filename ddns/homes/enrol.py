"""An invitation is spent: a gateway's first UPDATE makes the home, its zone, its key and its delegation.

Everything happens in the caller's one transaction, so a home exists whole or not at all. The only thing
that an invitation allows is to put one KEY at the home that it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth import keys, verdicts
from ddns.auth.principal import Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, soa_with_serial
from ddns.dns.refusal import Refusal
from ddns.signing.client import SignerClient
from ddns.signing.publish import Outcome, ZoneStep, changes_of, publish
from ddns.store import credentials, homes, invitations, journal, notify, published, rrsets, zones
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node
from ddns.zone.update import Update

KEY_TTL = 3600  # seconds
DELEGATION_TTL = 3600  # seconds, of a home's NS and DS in the registry's zone


class Enrolled(msgspec.Struct, frozen=True):
    """A home that has just come to be, and the editions to be shown after the commit."""

    home: Name
    editions: tuple[Edition, ...]


def wanted_key(update: Update, home: Name) -> bytes | Refusal:
    """Return the KEY that *update* puts at *home*, or why an invitation does not allow the update.

    Deleting what may be there first (`update delete HOME KEY`) is tolerated; anything else is refused.
    """
    label = names.to_text(home)
    found: list[bytes] = []
    for one in update.operations:
        if one.name == home and one.type == Type.KEY and one.rdclass == Class.IN:
            found.append(one.rdata)
        elif not (one.name == home and one.type == Type.KEY and one.rdclass == Class.ANY):
            return Refusal(
                "invitation-only-key",
                Rcode.REFUSED,
                f"This invitation lets you add one KEY at {label} and nothing else; publish the rest once you are in.",
                Ede.PROHIBITED,
            )
    if len(found) != 1:
        return Refusal(
            "invitation-one-key",
            Rcode.REFUSED,
            f"Add exactly one KEY record at {label} to spend this invitation.",
            Ede.PROHIBITED,
        )
    return found[0]


async def enrol(
    conn: AsyncConnection[Any],
    signer: SignerClient,
    update: Update,
    invited: Credential,
    digest: bytes,
    now: int,
) -> Enrolled | Refusal:
    """Spend the invitation of *invited* for *update*; the caller commits, or rolls back a refusal.

    *digest* is the signed request's, for the journal; *now* in seconds since 1970.
    """
    assert invited.invitation is not None
    invitation = await invitations.lock_live(conn, invited.invitation, now)
    if invitation is None:
        return verdicts.invitation_spent()
    home = invitation.label
    parent = (await zones.lock(conn, [invitation.zone]))[invitation.zone]
    if update.zone not in (parent.origin, home):
        return Refusal(
            "invitation-other-zone",
            Rcode.NOTAUTH,
            f"Send this update for the zone {names.to_text(parent.origin)}.",
            Ede.NOT_AUTHORITATIVE,
        )
    key = wanted_key(update, home)
    if isinstance(key, Refusal):
        return key
    try:
        algorithm, tag = keys.check(key)
    except keys.BadKey as reason:
        return verdicts.key_unfit(reason)
    if await zones.find(conn, home) is not None:
        return verdicts.home_exists(home)

    child, whole = await _make_home(conn, parent, home, key)
    await credentials.insert(
        conn, name=home, kind="sig0", algorithm=str(algorithm), tag=tag, public=key, home=child.id,
        grants=[Grant(child.id, home, rule="zone")], assurance="token",
    )  # fmt: skip
    await notify.keys(conn, home)
    await invitations.spend(conn, invitation.id, child.id, now)
    principal = f"tsig:{names.to_text(invited.name)}"
    outcome = await publish(conn, signer, [ZoneStep(child, whole, whole=True)])
    await journal.append(
        conn, [journal.Entry(child.id, child.head + 1, principal, invited.id, digest, changes_of(whole))]
    )
    delegated = await delegate(conn, signer, parent, [(home, _names_of(whole, home), outcome.ds.get(child.id, ()))])
    return Enrolled(home, (*outcome.editions, *delegated.editions))


def _names_of(whole: Sequence[Node], home: Name) -> tuple[bytes, ...]:
    return next(one.rdatas for node in whole if node.name == home for one in node.after if one.type == Type.NS)


async def _make_home(conn: AsyncConnection[Any], parent: Zone, home: Name, key: bytes) -> tuple[Zone, tuple[Node, ...]]:
    """Insert the home's zone; return it, locked because it is new, and all its names."""
    apex = {one.type: one for one in (await rrsets.read_names(conn, [(parent.id, parent.origin)])).get(
        (parent.id, parent.origin), ())}  # fmt: skip
    records = home_records(home, apex, key)
    zone_id = await zones.insert(conn, home, parent.denial, parent.algorithm, parent.id)
    await homes.insert(conn, zone_id)
    child = (await zones.lock(conn, [zone_id]))[zone_id]
    return child, (Node(home, (), records),)


def home_records(home: Name, parent_apex: dict[int, RRset], key: bytes | None) -> tuple[RRset, ...]:
    """Return the records of a new home: SOA and NS as in its registry's zone, and its KEY where it has one."""
    soa, servers = parent_apex[Type.SOA], parent_apex[Type.NS]
    out = [
        RRset(home, Type.SOA, soa.ttl, (soa_with_serial(soa.rdatas[0], 1),)),
        RRset(home, Type.NS, servers.ttl, servers.rdatas),
    ]
    if key is not None:
        out.append(RRset(home, Type.KEY, KEY_TTL, (key,)))
    return tuple(out)


async def delegate(
    conn: AsyncConnection[Any],
    signer: SignerClient,
    parent: Zone,
    children: Sequence[tuple[Name, tuple[bytes, ...], tuple[bytes, ...]]],
) -> Outcome:
    """Put NS and DS of *children* (name, NS RDATA, DS RDATA) into the locked zone *parent*, in one edition.

    Without DS RDATA the delegation is insecure until the signer, back again, places the DS itself.
    """
    wanted = [(parent.id, name) for name, _servers, _ds in children]
    between = sorted({up for name, _s, _d in children for up in names.ancestors(name, parent.origin)[:-1]})
    where = [*wanted, *((parent.id, name) for name in between), (parent.id, parent.origin)]
    before = await rrsets.read_names(conn, where)
    old = await published.read_names(conn, where)
    nodes = []
    for name, servers, ds in children:
        was = before.get((parent.id, name), ())
        kept = [one for one in was if one.type not in (Type.NS, Type.DS)]
        new = [RRset(name, Type.NS, DELEGATION_TTL, tuple(sorted(servers)))]
        if ds and parent.denial != "none":
            new.append(RRset(name, Type.DS, DELEGATION_TTL, tuple(sorted(ds))))
        nodes.append(Node(name, was, (*kept, *new)))
    step = ZoneStep(
        parent,
        tuple(nodes),
        tuple((name, tuple(one.type for one in before.get((parent.id, name), ()))) for name in between),
        before.get((parent.id, parent.origin), ()),
        tuple(one for key in where for one in old.get(key, ())),
    )
    outcome = await publish(conn, signer, [step])
    changes: ChangeSet = changes_of(nodes)
    await journal.append(conn, [journal.Entry(parent.id, parent.head + 1, "service", None, None, changes)])
    return outcome
