"""The KEY records at a home's apex, as updates find them: the machine of ownership changes them, and nobody else.

What may sign for a home and what stands at its apex are one thing, so an UPDATE that changed the record alone would
part them. One such change means something: the live SIG(0) key of the home takes its own record away and adds one other
key. That is the event `roll-key`, and rights follow in the same transaction. Everything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, errors

from ddns.auth import keys, verdicts
from ddns.auth.keys import BadKey
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.dns.refusal import Refusal
from ddns.homes import carrying, knowing, ownership
from ddns.homes.carrying import Bearing
from ddns.homes.ownership_facts import Asked, Who
from ddns.signing.publish import Signs
from ddns.store import rrsets
from ddns.zone import update as updates
from ddns.zone.changes import RRsetChange
from ddns.zone.update import Update
from ddns.zone.view import View

_KEY = int(Type.KEY)
_IN = int(Class.IN)
_FLAGS = 2  # octets at the beginning of a KEY: two that differ in them alone are the same key


def key_is_the_owners(home: Name) -> Refusal:
    """Return the refusal for another change of the KEY records at a home's apex."""
    return Refusal(
        "key-is-the-owners",
        Rcode.REFUSED,
        f"The KEY at {names.to_text(home)} says who may write the home: put a new key in the place of your own, in an "
        "update that does nothing else, or have the owner replace it.",
        Ede.PROHIBITED,
    )


def refuse_keys(home: Name, changes: Sequence[RRsetChange]) -> Refusal | None:
    """Refuse *changes* of a home that put other KEY records at its apex; another TTL is nobody's matter."""
    for one in changes:
        if one.type == _KEY and one.name == home and _rdatas(one.before) != _rdatas(one.after):
            return key_is_the_owners(home)
    return None


def rolled(update: Update, credential: Credential) -> Rdata | None:
    """Return the KEY that *update* puts in the place of its signer's, where it is about nothing else; None: it is not.

    Whether the outcome is just that is judged under the lock of the home.
    """
    if credential.kind != "sig0" or credential.home is None or credential.name != update.zone:
        return None
    if update.lease is not None or update.dane is not None or update.fault is not None:
        return None
    if any(one.type != _KEY or one.name != update.zone for one in update.operations):
        return None
    added = {one.rdata for one in update.operations if one.rdclass == _IN}
    (new,) = added if len(added) == 1 else (None,)
    return None if new is None or new[_FLAGS:] == credential.public[_FLAGS:] else new


async def roll(
    conn: AsyncConnection[Any], signer: Signs, update: Update, credential: Credential, new: Rdata, now: int,
    new_id: Callable[[], UUID],
) -> int | Refusal:  # fmt: skip
    """Put *new* in the place of *credential*'s key in the open transaction; return the home's zone.

    *now* in seconds since 1970. The caller commits, or rolls a refusal back. The new key itself has not signed: who has
    the old one answers for it, and would lock out nobody but himself.
    """
    home = update.zone
    known = await knowing.about_keys(conn, home, now)
    if known is None or known.home is None or known.zone is None or known.zone.id != credential.home:
        return verdicts.zone_removed(home)
    old = knowing.thumbprint_of(credential.public)
    if known.keys.get(old) != credential.id:
        return verdicts.key_revoked(credential)
    if known.zone.suspended:
        return verdicts.home_suspended(home)
    if known.zone.is_away:
        return verdicts.home_away(home)
    refusal = await _judge(conn, update, known.zone.id, credential, new, signed=known.zone.denial != "none")
    if refusal is not None:
        return refusal
    asked = Asked(event="roll-key", who=Who.GATEWAY, by=old, key=knowing.thumbprint_of(new))
    decision = ownership.decide(known.facts, asked, now)
    if isinstance(decision, Refusal):
        return decision
    bearing = Bearing(digest=None, tenant=known.home.tenant, new_id=new_id, rdata=new)
    try:
        done = await carrying.carry_out(conn, signer, known, asked, decision, bearing, now)
    except errors.UniqueViolation:
        return key_is_the_owners(home)  # a key of that name that is no home's
    return done if isinstance(done, Refusal) else known.zone.id


async def _judge(
    conn: AsyncConnection[Any], update: Update, zone: int, credential: Credential, new: Rdata, *, signed: bool
) -> Refusal | None:
    """Refuse *update* unless its conditions hold, and it does to the KEY records just what a roll does."""
    found = await rrsets.read_names(conn, [(zone, name) for name in update.names])
    view = View({name: found.get((zone, name), ()) for name in update.names})
    refusal = updates.prerequisites(update, view) or updates.prescan(update)
    if refusal is not None:
        return refusal
    try:
        keys.check(new)
    except BadKey as reason:
        return verdicts.key_unfit(reason)
    done = updates.apply(update, view, signed=signed)
    if isinstance(done, Refusal):
        return done
    wanted = {one for one in _rdatas(view.rrset(update.zone, _KEY)) if one[_FLAGS:] != credential.public[_FLAGS:]}
    if [_rdatas(one.after) for one in done.changes] != [frozenset({*wanted, new})]:
        return key_is_the_owners(update.zone)
    return None


def _rdatas(rrset: RRset | None) -> frozenset[Rdata]:
    return frozenset(() if rrset is None else rrset.rdatas)
