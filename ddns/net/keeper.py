"""Keep records of the server's own in a zone here: look again, write, show, and say once what fails.

One worker does it. Looking again brings the records back when a zone is replaced by a file that does not have them,
and puts them into a zone that is added later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.net.subscriber import Subscriber
from ddns.ongoing import Ongoing
from ddns.operator.fault import CannotDo
from ddns.store.pool import Pool

log = Logger(namespace="ddns.keeper")

LOOK_EVERY = 1.0  # seconds between two looks at what is wanted
AGAIN = 60.0  # seconds after which the zone is looked at again though nothing has changed here
RETRY = 5.0  # seconds after which it is looked at again where the records are not published

# Brings a zone to what is wanted and returns its id, 0 where nothing had to be written. Raises `CannotDo`.
Write = Callable[[AsyncConnection[Any], Any], Awaitable[int]]


class Keeper:
    """Has *write* bring the zone to what *wanted* returns; *what* is how the log calls the records."""

    def __init__(
        self, what: str, wanted: Callable[[], object], write: Write, pool: Pool, subscriber: Subscriber
    ) -> None:
        self._what = what
        self._wanted = wanted
        self._write = write
        self._pool = pool
        self._subscriber = subscriber
        self._ongoing = Ongoing()
        self._said = ""

    def start(self) -> None:
        """Publish, and keep published."""
        self._ongoing.start(self._run())

    async def close(self) -> None:
        """End. The records stay: other workers and a next start show the same."""
        await self._ongoing.end()

    async def _run(self) -> None:
        done: object = None
        again = 0.0
        loop = asyncio.get_running_loop()
        while True:
            wanted = self._wanted()
            if wanted != done or loop.time() >= again:
                again = loop.time() + (AGAIN if await self._publish(wanted) else RETRY)
                done = wanted
            await asyncio.sleep(LOOK_EVERY)

    async def _publish(self, wanted: object) -> bool:
        """Bring the zone to *wanted*, and tell whether it is there."""
        try:
            async with self._pool.connection() as conn:
                zone = await self._write(conn, wanted)
            if zone:
                log.info("records.published {what}", what=self._what)
                await self._subscriber.catch_up([zone])
        except CannotDo as error:
            self._say(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - an outage, whatever its name; it is tried again
            self._say(f"{self._what} cannot be written now: {error}")
            return False
        self._said = ""
        return True

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            log.warn("records.not_published: {sentence}", sentence=sentence)
