"""Wait for what other processes notify, asleep until it comes.

psycopg's own `notifies` looks ten times a second whether it is to break off, and so no process that listens ever
sleeps; with a process for each core that is most of what an idle machine does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from psycopg import AsyncConnection, Notify


class Ear:
    """What is notified on *conn*, which is in autocommit mode and of which nobody else asks `notifies`."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self._conn = conn
        self._heard: deque[Notify] = deque()
        conn.add_notify_handler(self._heard.append)  # what comes while the connection is asked something

    async def wait(self, seconds: float) -> list[Notify]:
        """Return what has been notified, as soon as anything is; nothing when *seconds* are over.

        Raises `psycopg.OperationalError` where the connection has broken.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        self._take()
        while not self._heard and (left := end - clock()) > 0:
            await self._readable(left)
            self._conn.pgconn.consume_input()
            self._take()
        found = list(self._heard)
        self._heard.clear()
        return found

    async def _readable(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._conn.fileno()
        woken: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _set, woken)
        timer = loop.call_later(seconds, _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            loop.remove_reader(descriptor)

    def _take(self) -> None:
        pgconn = self._conn.pgconn
        while (one := pgconn.notifies()) is not None:
            self._heard.append(Notify(one.relname.decode(), one.extra.decode(), one.be_pid))


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
