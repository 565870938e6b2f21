"""What the signer does when nothing is left to be signed: it looks for what was missed, and forgets what is old."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import psycopg

from zone_signer import leases, publishing, waking
from zone_signer.adoption import adopt
from zone_signer.keyring import KeyRing
from zone_signer.store import Conn

log = logging.getLogger("zone_signer")

CHILDREN_AT_ONCE = 5000  # DS RRsets in one edition of a registry
HOUSEKEEPING = 3600.0  # seconds between two searches for delegations without DS and for old editions


class Housekeeping:
    """The housekeeping of one signer with the keys of *ring* and its *clock*; of a zone *editions* are kept."""

    def __init__(self, ring: KeyRing, clock: Callable[[], float], editions: int) -> None:
        self._ring = ring
        self._clock = clock
        self._editions = editions
        self._looked = -HOUSEKEEPING
        self._at: int | None = None  # the zone up to which it has looked for delegations without DS; None: it does not

    async def secure(self, conn: Conn, new: Sequence[int]) -> int:
        """Place the DS of zones that are *new*; returns how many."""
        try:
            return await self._delegate(conn, await leases.orphans(conn, new))
        except psycopg.Error as error:
            self._say_refused(error)
            return 0

    async def wake(self, conn: Conn) -> bool:
        """Have the keys of some zones looked at whose policy has changed; tell whether there may be more of them."""
        try:
            return await waking.wake(conn, self._ring.policies, int(self._clock()))
        except psycopg.errors.LockNotAvailable:
            return False  # the timer does it
        except psycopg.Error as error:
            self._say_refused(error)
            return False

    async def look_after(self, conn: Conn) -> int | None:
        """Now and then look for delegations without DS, some zones at a time, and forget old editions.

        Returns how many were secured. Whatever waits to be signed comes first, before it is called again: until None,
        when all has been looked at.
        """
        if self._at is None:
            if time.monotonic() < self._looked + HOUSEKEEPING:
                return None
            self._at = 0
        try:
            found, last = await leases.orphans_behind(conn, self._at, CHILDREN_AT_ONCE)
            await leases.wake_forgotten(conn, self._at, last, int(self._clock()))
            placed = await self._delegate(conn, found)
            self._at = last
            if last is None:
                await publishing.prune_editions(conn, self._editions)
                self._looked = time.monotonic()
        except psycopg.Error as error:
            self._at, self._looked = None, time.monotonic()
            self._say_refused(error)
            return None
        return placed

    @staticmethod
    def _say_refused(error: psycopg.Error) -> None:
        """Log what the database refuses; an outage is raised."""
        if isinstance(error, psycopg.OperationalError):
            raise error
        log.error("signer.refused reason=%s", " ".join(str(error).split()))

    async def _delegate(self, conn: Conn, found: Sequence[leases.Orphan]) -> int:
        by_registry: dict[int, list[int]] = {}
        for orphan in found:
            by_registry.setdefault(orphan.parent, []).append(orphan.id)
        placed = 0
        for registry, children in by_registry.items():
            placed += await adopt(conn, registry, children, self._ring, int(self._clock()))
        return placed
