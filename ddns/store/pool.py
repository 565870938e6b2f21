"""Connections to Postgres in one of our roles, and a few of them kept ready.

The pool is ours because the library's backs off without bound when Postgres is away: minutes after it is
back nobody has noticed. Here a checkout either has a connection that works, makes one, or raises at once.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

Connection = AsyncConnection[Any]

CONNECT_TIMEOUT = 10  # seconds
UNACKNOWLEDGED = 30_000  # milliseconds until a silent network counts as broken

# Every statement here finds its rows by a key. Plans are made once for all parameters, and no statistics of an
# empty table may talk the planner into reading all of one that has grown since. The lock of a zone is enough, and
# what was committed before it was ours must be seen.
_SETTINGS = {
    "default_transaction_isolation": "read\\ committed",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# A worker that lost its mind must not keep homes locked; commands may think as long as they like.
_SERVER_SETTINGS = {"idle_in_transaction_session_timeout": "60s"}


async def connect(dsn: str, role: str) -> Connection:
    """Connect to *dsn* as *role*, with autocommit: by login where *dsn* names that user, else by SET ROLE.

    Raises `psycopg.OperationalError`.
    """
    return await AsyncConnection.connect(**parameters(dsn, role))


def parameters(dsn: str, role: str) -> dict[str, Any]:
    """Return what connects to *dsn* as *role*."""
    given = conninfo_to_dict(dsn)
    settings = {**_SETTINGS, **(_SERVER_SETTINGS if role in ("ddns_server", "ddns_web") else {})}
    if given.get("user") != role:
        settings["role"] = role
    options = " ".join(f"-c {setting}={value}" for setting, value in settings.items())
    return {
        "conninfo": dsn,
        "autocommit": True,
        "options": f"{given.get('options') or ''} {options}".strip(),
        "application_name": f"nameplate {role}",
        "client_encoding": "utf8",
        "connect_timeout": int(given.get("connect_timeout") or CONNECT_TIMEOUT),
        "tcp_user_timeout": UNACKNOWLEDGED,
    }


async def rows(cursor: AsyncCursor[Any]) -> list[Any]:
    """Return all rows of *cursor*.

    In a pipeline others are let go first, so that questions asked together (`asyncio.gather`) travel together.
    """
    if cursor.connection.pgconn.pipeline_status:
        await asyncio.sleep(0)
    return await cursor.fetchall()


class Pool:
    """At most *size* connections to *dsn* as *role*, made when they are needed."""

    def __init__(self, dsn: str, role: str, size: int) -> None:
        self._dsn = dsn
        self._role = role
        self._idle: list[Connection] = []
        self._backends: dict[Connection, int] = {}
        self._places = asyncio.Semaphore(size)
        self._open = False

    @property
    def dsn(self) -> str:
        """Return which database this is."""
        return self._dsn

    @property
    def role(self) -> str:
        """Return as whom it is used."""
        return self._role

    def owns(self, backend: int) -> bool:
        """Tell whether the server process *backend* is at the other end of one of these connections."""
        return backend in self._backends.values()

    async def open(self) -> None:
        """Make the first connection. Raises `psycopg.OperationalError`, and may then be called again."""
        self._idle.append(await self._connect())
        self._open = True

    async def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back."""
        self._open = False
        while self._idle:
            await self._close(self._idle.pop())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection that works, in autocommit; open a transaction on it where you need one."""
        async with self._places:
            conn = await self._take()
            try:
                yield conn
            finally:
                await self._give_back(conn)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection on which every statement sees the database of one moment; it cannot write."""
        async with self.connection() as conn, conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield conn

    async def _take(self) -> Connection:
        while self._idle:
            conn = self._idle.pop()
            if await _works(conn):
                return conn
            await self._close(conn)
        return await self._connect()

    async def _connect(self) -> Connection:
        conn = await connect(self._dsn, self._role)
        self._backends[conn] = conn.info.backend_pid
        return conn

    async def _close(self, conn: Connection) -> None:
        # Its number may soon be that of a process that somebody else has.
        self._backends.pop(conn, None)
        await conn.close()

    async def _give_back(self, conn: Connection) -> None:
        # One that was cancelled in the middle of something is not worth mending.
        if self._open and not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(conn)
        else:
            await self._close(conn)


async def _works(conn: Connection) -> bool:
    """Tell whether an idle connection still works; asks the server only where it has said something meanwhile."""
    if conn.closed:
        return False
    said = select.poll()
    said.register(conn.fileno(), select.POLLIN)
    if not said.poll(0):
        return True
    try:
        await conn.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
