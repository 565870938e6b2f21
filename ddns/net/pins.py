"""Keep the TLSA records of this server's TLS key in the zone here that holds its name. One worker does it.

What this server has published is written down in its state folder first: after a restart it still knows which
records are its own and may go when the key is rolled. Looking again every minute brings the records back when a zone
is replaced by a file that does not have them, and puts them into a zone that is added later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.logger import Logger

from ddns.dns import names
from ddns.net.subscriber import Subscriber
from ddns.operator import tlsa
from ddns.operator.fault import CannotDo
from ddns.store.pool import Pool

log = Logger(namespace="ddns.pins")

LOOK_EVERY = 1.0  # seconds between two looks at which keys are in use
AGAIN = 60.0  # seconds after which the zone is looked at again though nothing has changed here
RETRY = 5.0  # seconds after which it is looked at again where the records are not published
DIGEST = 64  # characters of a digest in the file


class Publishing(msgspec.Struct, frozen=True):
    """What is published: the server's *name*, its *services* as (port, `tcp` or `udp`), and the *file* of what was."""

    name: str
    services: tuple[tuple[int, str], ...]
    file: str


class Pins:
    """The published digests of this server's keys. *digests* returns those in use now or soon."""

    def __init__(
        self, what: Publishing, digests: Callable[[], frozenset[bytes]], pool: Pool, subscriber: Subscriber
    ) -> None:
        self._digests = digests
        self._pool = pool
        self._subscriber = subscriber
        self._name = names.from_text(what.name)
        self._owners = [tlsa.owner(self._name, port, protocol) for port, protocol in what.services]
        self._file = Path(what.file)
        self._ours = self._read()
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def start(self) -> None:
        """Publish, and keep published."""
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """End. The records stay: other workers and a next start show the same key."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        done: frozenset[bytes] | None = None
        again = 0.0
        loop = asyncio.get_running_loop()
        while True:
            wanted = self._digests()
            if wanted != done or loop.time() >= again:
                again = loop.time() + (AGAIN if await self._publish(wanted) else RETRY)
                done = wanted
            await asyncio.sleep(LOOK_EVERY)

    async def _publish(self, wanted: frozenset[bytes]) -> bool:
        """Bring the zone to *wanted*, and tell whether it is there."""
        try:
            self._write(self._ours | wanted)
            async with self._pool.connection() as conn:
                zone = await tlsa.keep(conn, self._name, self._owners, wanted, self._ours)
            self._write(wanted)
            if zone:
                log.info("tlsa.published name={name} keys={keys}", name=names.to_text(self._name), keys=len(wanted))
                await self._subscriber.catch_up([zone])
        except CannotDo as error:
            self._say(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - an outage, whatever its name; it is tried again
            self._say(f"The TLSA records of {names.to_text(self._name)} cannot be written now: {error}")
            return False
        self._said = ""
        return True

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            log.warn("tlsa.not_published: {sentence}", sentence=sentence)

    def _read(self) -> frozenset[bytes]:
        try:
            return frozenset(bytes.fromhex(one) for one in json.loads(self._file.read_text()) if len(one) == DIGEST)
        except (OSError, ValueError, TypeError):
            return frozenset()

    def _write(self, digests: frozenset[bytes]) -> None:
        if digests != self._ours:
            fresh = self._file.with_name(f".{self._file.name}")
            fresh.write_text(json.dumps(sorted(one.hex() for one in digests)))
            fresh.replace(self._file)
            self._ours = digests
