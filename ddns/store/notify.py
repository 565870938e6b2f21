"""What is told to the other processes when the transaction commits. A hint: the numbers in the tables are the truth.

NOTIFY takes a lock of the whole database at COMMIT: call each function here at most once in a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import AsyncConnection

from ddns.dns.names import Name
from ddns.store.packing import texts

ZONES = "ddns_zones"
KEYS = "ddns_keys"
PENDING = "ddns_pending"
WATCH = "ddns_watch"
MAX_PAYLOAD = 7900  # octets; Postgres allows 7999
ALL_KEYS = "*"
MOST_NAMED = 100  # names of keys that are told one by one; of more, all are said to have changed


async def zones(conn: AsyncConnection[Any], published: Iterable[tuple[int, int | None]]) -> None:
    """Tell that zones are at an edition, given as (zone, number); None: the zone is removed."""
    lines = payloads(published)
    if lines:
        await conn.execute(
            "SELECT pg_notify('ddns_zones', payload) FROM unnest(%(payloads)s) AS payload",
            {"payloads": texts(lines)},
            prepare=True,
        )


def payloads(published: Iterable[tuple[int, int | None]]) -> list[str]:
    """Return what tells of *published* in as few notifications as its length allows."""
    out: list[str] = []
    line = ""
    for zone, number in published:
        token = f"{zone}:{'-' if number is None else number}"
        if len(line) + 1 + len(token) > MAX_PAYLOAD:
            out.append(line)
            line = token
        else:
            line = f"{line} {token}" if line else token
    if line:
        out.append(line)
    return out


async def keys(conn: AsyncConnection[Any], name: Name | None) -> None:
    """Tell that the credentials of *name*, or None: of any name, or their grants, have changed."""
    payload = ALL_KEYS if name is None else name.hex()
    await conn.execute("SELECT pg_notify('ddns_keys', %(payload)s)", {"payload": payload}, prepare=True)


async def keys_of(conn: AsyncConnection[Any], names: Iterable[Name]) -> None:
    """Tell that the credentials of each of *names* have changed."""
    told = sorted({name.hex() for name in names})
    if told:
        await conn.execute(
            "SELECT pg_notify('ddns_keys', payload) FROM unnest(%(payloads)s) AS payload",
            {"payloads": texts(told if len(told) <= MOST_NAMED else [ALL_KEYS])},
            prepare=True,
        )


async def pending(conn: AsyncConnection[Any]) -> None:
    """Wake the signer."""
    await conn.execute("SELECT pg_notify('ddns_pending', '')", prepare=True)


async def watch(conn: AsyncConnection[Any]) -> None:
    """Wake the watcher: something new waits for what servers show."""
    await conn.execute("SELECT pg_notify('ddns_watch', '')", prepare=True)


def read_zones(payload: str) -> list[tuple[int, int | None]]:
    """Read what `zones` sent; tokens that do not parse are nobody's."""
    out: list[tuple[int, int | None]] = []
    for token in payload.split():
        zone, _, number = token.partition(":")
        if zone.isdecimal() and (number == "-" or number.isdecimal()):
            out.append((int(zone), None if number == "-" else int(number)))
    return out


def read_key(payload: str) -> Name | None:
    """Read what `keys` sent; None: any name."""
    try:
        return None if payload == ALL_KEYS else bytes.fromhex(payload)
    except ValueError:
        return None
