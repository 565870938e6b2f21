"""Codes for a home that nobody owns: who signs with one, as the operator gave it to him, is its first owner.

Law: a code is random, shown once, kept as a digest, good for one home, once, and for some days. Who shows another one
is told what any stranger is told.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from psycopg import AsyncConnection

from ddns.store import adoption_codes

OCTETS = 15  # of randomness, which are 24 characters
_GROUP = 6  # characters between two hyphens, for people who read them out


def spelled(octets: bytes) -> str:
    """Return the code that *octets* are: capital letters and digits in groups."""
    text = base64.b32encode(octets).decode()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def digest(code: str) -> bytes:
    """Return what is kept of *code*, however it was typed."""
    return sha256("".join(code.upper().replace("-", " ").split()).encode()).digest()


async def fits(conn: AsyncConnection[Any], zone: int, code: str, now: int) -> bool:
    """Say whether *code* is the one that holds at *now* (seconds since 1970) for the home of *zone*."""
    kept = await adoption_codes.digest_of(conn, zone, now)
    return compare_digest(kept or bytes(32), digest(code)) and kept is not None
