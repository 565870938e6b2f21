"""Keep the KEY record with which this server signs its answers in the zone here that holds its name.

One worker does it. It looks again now and then: a zone may be added later, or replaced by a file without the record.
"""

from __future__ import annotations

import asyncio

from twisted.logger import Logger

from ddns.auth.identity import Identity
from ddns.dns import names
from ddns.net.subscriber import Subscriber
from ddns.operator import identity
from ddns.operator.fault import CannotDo
from ddns.store.pool import Pool

log = Logger(namespace="ddns.presence")

AGAIN = 15.0  # seconds between two looks
SOON = 5.0  # seconds after which it is tried again where the database was away


class Presence:
    """The published half of *server*'s key."""

    def __init__(self, server: Identity, pool: Pool, subscriber: Subscriber) -> None:
        self._server = server
        self._pool = pool
        self._subscriber = subscriber
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def start(self) -> None:
        """Publish, and keep published."""
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End. The record stays: other workers and a next start sign with the same key."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        done = await self._publish()
        while True:
            await asyncio.sleep(AGAIN if done else SOON)
            done = await self._publish()

    async def _publish(self) -> bool:
        name = names.to_text(self._server.name)
        try:
            async with self._pool.connection() as conn:
                zone = await identity.keep(conn, self._server.name, self._server.public)
            if zone:
                log.info("key.published name={name}", name=name)
                await self._subscriber.catch_up([zone])
        except CannotDo as error:
            self._say(str(error))
        except Exception as error:  # noqa: BLE001 - an outage, whatever its name; it is tried again
            self._say(f"The KEY record of {name} cannot be written now: {error}")
            return False
        return True

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            log.warn("key.not_published: {sentence}", sentence=sentence)
