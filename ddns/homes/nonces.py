"""A nonce of the registry answers for one thing that happens, and is spent with it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from psycopg import AsyncConnection

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.proof import nonce
from ddns.store import statements


async def spend(conn: AsyncConnection[Any], octets: bytes | None) -> Refusal | None:
    """Spend the nonce of these *octets* in the caller's transaction; None or a nonce that is spent: it is refused."""
    if octets is not None and await statements.spend_nonce(conn, sha256(octets).digest(), nonce.ends(octets)):
        return None
    return Refusal(
        "nonce-wrong",
        Rcode.REFUSED,
        "The nonce is not ours, over or used; ask for another one and have the box sign that.",
        Ede.PROHIBITED,
    )
