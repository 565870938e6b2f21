"""The records of its own that a server keeps in a zone here: its certificate's TLSA, its KEY, and where it listens.

Each is what `Keeper` takes: how the log calls the records, what returns those that are wanted, and what writes them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from psycopg import AsyncConnection

from ddns.auth.identity import Identity
from ddns.delegate.limits import DelegationLimits
from ddns.net.keeper import Write
from ddns.net.pins import Pins, Publishing
from ddns.operator import dsync
from ddns.operator import identity as server_key

Kept: TypeAlias = "tuple[str, Callable[[], object], Write]"


def tlsa(publishing: Publishing, digests: Callable[[], object]) -> Kept:
    """Return the TLSA records of the certificates whose *digests* are shown, or will be."""
    return f"TLSA of {publishing.name}", digests, Pins(publishing).publish


def key(name: str, identity: Identity) -> Kept:
    """Return the KEY by which clients verify the answers of the server *name* (RFC 2931)."""

    def publish(conn: AsyncConnection[Any], public: bytes) -> Awaitable[int]:
        return server_key.keep(conn, identity.name, public)

    return f"KEY of {name}", lambda: identity.public, publish


def listening(name: str, identity: Identity, limits: DelegationLimits) -> Kept:
    """Return the DSYNC records that say where NOTIFY and UPDATE about delegations go (RFC 9859)."""
    listens = dsync.records(identity.name, limits.dsync_port, limits.dsync_update)

    def tell(conn: AsyncConnection[Any], wanted: frozenset[bytes]) -> Awaitable[int]:
        return dsync.keep(conn, identity.name, wanted)

    return f"DSYNC to {name}", lambda: listens, tell
