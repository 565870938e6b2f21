"""Keys in a token that no row names: what somebody was making or destroying when the power went."""

from __future__ import annotations

from typing import Protocol

import msgspec

from zone_signer.store import Conn, rows_of


class Kept(msgspec.Struct, frozen=True):
    """A private key in a token: *id* of its row, and *label*, which is zone, tag and role."""

    id: str
    label: str


class Token(Protocol):
    """What lists its keys: `hsm.Hsm`."""

    name: str

    def kept(self) -> list[Kept]:
        """Return the private keys that were made here. Raises `VaultError`."""


class Place(msgspec.Struct, frozen=True):
    """A private key in a token, and the *state* of its row; None where there is no row that needs it."""

    kept: Kept
    state: str | None


async def places(conn: Conn, token: Token) -> list[Place]:
    """Return the private keys in the token that were made here, each with what the database says. Raises `VaultError`.

    A key that is being made right now has no row yet.
    """
    kept = token.kept()  # before the rows are read: what is made meanwhile is in neither
    rows = await rows_of(
        conn,
        "SELECT id::text, state FROM signing_keys WHERE vault = %(vault)s AND sealed IS NOT NULL",
        {"vault": token.name},
    )
    states = dict(rows)
    return [Place(one, states.get(one.id)) for one in kept]
