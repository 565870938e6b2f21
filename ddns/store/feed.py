"""Listen to what other processes commit, on a connection of its own that comes back by itself.

What was told while the connection was away is lost: `on_resync` is called after every connect, with True, and every
`RESYNC` seconds, with False, and compares numbers with the tables.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection, Notify

from ddns.dns.names import Name
from ddns.ongoing import Ongoing
from ddns.store import followers, notify
from ddns.store.ear import Ear
from ddns.store.lasting import Steady, lasting
from ddns.store.pool import Connection

log = logging.getLogger(__name__)

RESYNC = 30.0  # seconds

OnZones = Callable[[list[tuple[int, int | None]]], None]
OnKeys = Callable[[Name | None], None]
OnResync = Callable[[bool], Awaitable[None]]


class Feed:
    """Call *on_zones* with (zone, edition) pairs, *on_keys* with a name or None for all, as others commit them.

    *own* tells by its server process whether a commit was ours: who made it knows. *follower* is the number of this
    process among those who follow.
    """

    def __init__(
        self,
        dsn: str,
        role: str,
        on_zones: OnZones,
        on_keys: OnKeys,
        on_resync: OnResync,
        own: Callable[[int], bool] = lambda _backend: False,
        follower: int = 0,
    ) -> None:
        self._own = own
        self._follower = follower
        self._dsn = dsn
        self._role = role
        self._on_zones = on_zones
        self._on_keys = on_keys
        self._on_resync = on_resync
        self._ongoing = Ongoing()

    def start(self) -> None:
        """Begin to listen, in a task of the running loop."""
        use = lasting(
            self._dsn,
            self._role,
            self._use,
            lambda reason: log.warning("feed.away reason=%s", reason),
            lambda error: log.error("feed.failed", exc_info=error),  # the resync after it mends the rest
        )
        self._ongoing.start(use)

    async def close(self) -> None:
        """Listen no more."""
        await self._ongoing.end()

    async def _use(self, conn: Connection, steady: Steady) -> None:
        await followers.enter(conn, self._follower)
        for channel in (notify.ZONES, notify.KEYS):
            await conn.execute(f"LISTEN {channel}")
        await self._on_resync(True)
        steady()
        await self._listen(conn)

    async def _listen(self, conn: AsyncConnection[Any]) -> None:
        clock = asyncio.get_running_loop().time
        ear = Ear(conn)
        resync_at = clock() + RESYNC
        while True:
            while (left := resync_at - clock()) > 0:
                for one in await ear.wait(left):
                    self._tell(one)
            # A connection that is silently broken shows it here.
            await conn.execute("SELECT 1")
            await self._on_resync(False)
            resync_at = clock() + RESYNC

    def _tell(self, one: Notify) -> None:
        if one.channel == notify.ZONES:
            if self._own(one.pid):
                return
            self._on_zones(notify.read_zones(one.payload))
        elif one.channel == notify.KEYS:
            self._on_keys(notify.read_key(one.payload))
