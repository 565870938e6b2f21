"""Boxes: known by digests of what identifies them, of no tenant, and naming nobody."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

Conn = AsyncConnection[Any]

FREE = "free"
OWNED = "owned"
STOLEN = "stolen"


class Device(msgspec.Struct, frozen=True):
    """A box: *state* is free, owned or stolen; *model* what its maker calls it."""

    id: UUID
    state: str
    model: str


async def find(conn: Conn, kind: str, digest: bytes) -> UUID | None:
    """Return the box that is known by this *digest* of this *kind*."""
    cursor = await conn.execute(
        "SELECT device FROM device_identities WHERE kind = %(kind)s AND digest = %(digest)s",
        {"kind": kind, "digest": digest},
        prepare=True,
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def make(conn: Conn, device: UUID, kind: str, digest: bytes, model: str, now: int, bond: int | None) -> UUID:
    """Make the box *device*, which is free, unless there is one with this *digest*; return that one's id."""
    await conn.execute(
        """INSERT INTO devices (id, state, bond, model, first_seen)
           VALUES (%(id)s, 'free', %(bond)s, %(model)s, to_timestamp(%(now)s))""",
        {"id": device, "bond": bond, "model": model, "now": now},
        prepare=True,
    )
    await conn.execute(
        """INSERT INTO device_identities (device, kind, digest) VALUES (%(id)s, %(kind)s, %(digest)s)
           ON CONFLICT ON CONSTRAINT device_known_twice DO NOTHING""",
        {"id": device, "kind": kind, "digest": digest},
        prepare=True,
    )
    found = await find(conn, kind, digest)
    assert found is not None
    return found


async def identify(conn: Conn, device: UUID, kind: str, digest: bytes) -> None:
    """Know the box *device* by one more *digest*; one that is another box's stays that one's."""
    await conn.execute(
        """INSERT INTO device_identities (device, kind, digest) VALUES (%(id)s, %(kind)s, %(digest)s)
           ON CONFLICT ON CONSTRAINT device_known_twice DO NOTHING""",
        {"id": device, "kind": kind, "digest": digest},
        prepare=True,
    )


async def lock(conn: Conn, device: UUID) -> Device | None:
    """Lock a box against everybody who would change whose it is, and return it."""
    cursor = await conn.execute(
        "SELECT id, state, model FROM devices WHERE id = %(id)s FOR NO KEY UPDATE", {"id": device}, prepare=True
    )
    row = await cursor.fetchone()
    return None if row is None else Device(*row)


async def set_state(conn: Conn, device: UUID, state: str) -> None:
    """Have a box be in *state*."""
    await conn.execute(
        "UPDATE devices SET state = %(state)s WHERE id = %(id)s", {"id": device, "state": state}, prepare=True
    )


async def history(conn: Conn, certificate: bytes) -> list[tuple[str, str]]:
    """Return kinds and days of what happened to the box whose *certificate* has this SHA-256, whosever it was."""
    cursor = await conn.execute("SELECT event, day::text FROM device_history(%s)", [certificate])
    return [(row[0], row[1]) for row in await cursor.fetchall()]
