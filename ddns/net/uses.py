"""When keys were used last, and from where: noted beside the answers, and written together once a minute.

Law: nobody waits for it. What is not written yet when the program dies is lost, and a key that was used is at worst
shown as used a minute earlier than it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from twisted.logger import Logger

from ddns.net.announcing import network
from ddns.ongoing import Ongoing
from ddns.store import credential_uses
from ddns.store.credential_uses import Use
from ddns.store.pool import Pool

log = Logger(namespace="ddns.uses")

GATHER = 60.0  # seconds in which uses gather
MOST = 100_000  # keys whose use waits to be written; of more, those that come later are left out
AT_ONCE = 5000  # uses in one statement


class Uses:
    """The uses of keys that one worker has seen; *clock* gives seconds since 1970."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self._seen: dict[int, tuple[float, str]] = {}
        self._ongoing = Ongoing()

    def start(self) -> None:
        """Write from now on."""
        self._ongoing.start(self._run())

    async def close(self) -> None:
        """Write what has gathered, once, and end."""
        if await self._ongoing.end():
            await self._tried()

    def note(self, credential: int, source: str) -> None:
        """Take note that a key signed a message from the address *source*."""
        seen = self._seen
        if credential in seen or len(seen) < MOST:
            seen[credential] = (self._clock(), source)

    async def write(self) -> int:
        """Write what has gathered; return how many keys that were. Outages raise, and then it is lost."""
        seen, self._seen = self._seen, {}
        uses = [Use(credential, int(at), network(source)) for credential, (at, source) in seen.items()]
        for first in range(0, len(uses), AT_ONCE):
            async with self._pool.connection() as conn:
                await credential_uses.write(conn, uses[first : first + AT_ONCE])
        return len(uses)

    async def _tried(self) -> None:
        try:
            await self.write()
        except Exception:  # noqa: BLE001 - an outage, whatever its name: the next use is written
            log.failure("uses.write failed")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(GATHER)
            await self._tried()
