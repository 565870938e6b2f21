"""Keys that are minted: shared secrets with one narrow right, made here, shown once, and over at a set time.

Law: a minted key may answer the ACME challenges of one name and of what is below it (RFC 8555 §8.4), and nothing else;
it is the home's, listed with its last use, and revoked alone. Nobody gets a copy of a key that does more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.store import credentials, notify
from ddns.store.zones import Zone

ALGORITHM = "hmac-sha256"
OCTETS = 32  # of a secret: the hash's own length (RFC 8945 §6)
_NAME_OCTETS = 5  # of randomness in a minted key's name: enough that two never meet
DAY = 86_400


class Minted(msgspec.Struct, frozen=True):
    """A minted key, its secret shown once: the credential's id, its name, and when it ends (seconds since 1970)."""

    id: int
    name: Name
    algorithm: str
    secret: Secret
    expires_at: int


async def mint_acme(
    conn: AsyncConnection[Any],
    sealer: Sealer,
    zone: Zone,
    host: Name,
    days: int,
    now: int,
    dice: Callable[[int], bytes],
    note: str = "",
) -> Minted:
    """Mint a key for the ACME challenges of *host*, a name in the home's *zone*, that ends in *days* days.

    *dice* gives so many random octets; *now* in seconds since 1970. The caller owns the transaction.
    """
    name = names.prepend(b"acme-" + dice(_NAME_OCTETS).hex().encode(), zone.origin)
    secret = Secret(dice(OCTETS))
    expires_at = now + days * DAY
    grant = Grant(zone.id, host, frozenset({int(Type.TXT)}), "acme")
    made = await credentials.insert(
        conn, name, "tsig", ALGORITHM, secret=sealer.seal(name, secret), home=zone.id, grants=[grant],
        assurance="token", expires_at=expires_at, note=note or f"acme {names.to_text(host)}",
    )  # fmt: skip
    await notify.keys(conn, name)
    return Minted(made, name, ALGORITHM, secret, expires_at)
