"""An invitation is spent: a gateway's first UPDATE makes the home, its zone, its key and its delegation.

Everything happens in the caller's one transaction, so a home exists whole or not at all. The only thing
that an invitation allows is to put one KEY at the home that it names.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection, errors

from ddns.auth import keys, verdicts
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import labels, policies
from ddns.homes.making import Collided, NoRegistry, Unmade, Wanted, Why, make
from ddns.signing.client import SignerClient
from ddns.store import home_policies, invitations, zones
from ddns.zone.edition import Edition
from ddns.zone.update import Update


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
    parent = (await zones.get(conn, [invitation.zone])).get(invitation.zone)
    if parent is None:
        return verdicts.invitation_spent()
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
        keys.check(key)
    except keys.BadKey as reason:
        return verdicts.key_unfit(reason)
    policy = await home_policies.of(conn, invitation.tenant, parent.id)
    refused = policies.admits(policy, "invitation", "token", has_owner=invitation.owner is not None)
    if refused is not None:
        return refused
    one = Wanted(
        name=home, key=key, assurance="token", owner=invitation.owner, invitation=invitation.id,
        who=f"tsig:{names.to_text(invited.name)}", credential=invited.id, digest=digest,
    )  # fmt: skip
    try:
        done = await make(conn, signer, parent, [one], now, invitation.tenant)
    except Collided as collided:
        return labels.unavailable() if collided.why is Why.ALIKE else verdicts.home_exists(home)
    except (errors.UniqueViolation, NoRegistry):
        return verdicts.home_exists(home)
    made = done.made[0]
    if isinstance(made, Unmade):
        return made.refusal if made.why is Why.QUOTA else verdicts.home_exists(home)
    return Enrolled(home, done.editions)
