"""Enrolment by a one-time invitation: the statement bears an HS256 under its secret, over the same payload (RFC 7515).

Law: an invitation that is unknown, spent, withdrawn, over or somebody else's, and one whose secret is not known to the
asker, are refused in the same words after the same work. Only who holds the secret learns more.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.auth import verdicts
from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal
from ddns.homes.methods import Proved, Spend, Wish
from ddns.proof import jws
from ddns.proof.jws import Signed
from ddns.store import invitation_secrets

_NOBODYS = Secret(bytes(32))  # verified with where there is no invitation: the same work, and never an agreement


class InvitationMethod:
    """The method `invitation`; it opens secrets with *sealer*."""

    name = "invitation"

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def cheap(self, wish: Wish, _now: int, /) -> Refusal | None:
        """Refuse a statement that has not exactly one signature by an invitation's secret, the last one."""
        return None if bearer(wish.signed) is not None else _without_secret()

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int) -> Proved | Refusal:
        """Return the home that the invitation names, at the tier `token`, or the one refusal of all that are not good.

        *conn* has entered the tenant whose invitation it is; *now* in seconds since 1970.
        """
        key = bearer(wish.signed)
        if key is None:
            return _without_secret()
        found = await invitation_secrets.sealed(conn, key)
        sealed = self._sealer.seal(key, _NOBODYS) if found is None else found.secret
        secret = self._sealer.open(key, sealed)
        good = jws.verify_mac(wish.signed, len(wish.signed.signatures) - 1, secret.reveal())
        allowed = await invitation_secrets.allowed(conn, key, now)
        if not good or found is None or allowed is None:
            return verdicts.invitation_spent()
        return Proved(
            self.name,
            "token",
            zone=allowed.zone,
            label=allowed.home,
            owner=allowed.owner,
            spend=Spend(invitation=allowed.id),
        )


def bearer(signed: Signed) -> Name | None:
    """Return the name of the invitation by which *signed* is signed, beside others and as the last; None if by none."""
    macs = [index for index, one in enumerate(signed.signatures) if one.alg == jws.MAC]
    if macs != [len(signed.signatures) - 1] or macs == [0]:
        return None
    try:
        key = names.from_text(signed.signatures[-1].kid)
    except BadName:
        return None
    return None if key == names.ROOT else key


def _without_secret() -> Refusal:
    return Refusal(
        "invitation-missing",
        Rcode.REFUSED,
        "Sign the enrolment with the invitation's secret too, as the last signature and with its key's name as kid.",
        Ede.PROHIBITED,
    )
