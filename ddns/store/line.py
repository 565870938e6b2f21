"""A connection for the one statement that every batch of updates needs, driven without the library's cursors.

psycopg's cursors cost some 150 µs of Python a statement, which an update that comes alone pays alone. Here the
parameters come packed, the socket stays registered with the loop, and one callback takes the result. One statement is
under way at a time; whoever needs more takes a connection of the pool.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence

import msgspec
import psycopg
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from ddns.store.packing import Parameter, packed
from ddns.store.pool import Connection, connect
from ddns.store.prompt import Prompt
from ddns.turns import watch

READS = 64  # pieces of a long result that are taken in at once: a megabyte, some two milliseconds

_GOOD = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})


class Statement(msgspec.Struct, frozen=True):
    """A statement with `$1`, `$2`… for its parameters, and the names of their *types*; prepared as *name*."""

    name: bytes
    sql: bytes
    types: tuple[str, ...]


class _Prepared(msgspec.Struct, frozen=True):
    """A statement that the server knows: the formats of its parameters, and the oids of their elements, else 0."""

    formats: tuple[Format, ...]
    elements: tuple[int, ...]


class NotSent(Exception):
    """The database cannot be reached, and nothing was asked of it."""


class Line:
    """The connection to *dsn* as *role*, made when it is needed and made again after it broke."""

    def __init__(self, dsn: str, role: str) -> None:
        self._dsn = dsn
        self._role = role
        self._conn: Connection | None = None
        self._descriptor = -1
        self._more = select.poll()  # whether there is more to read
        self._prepared: dict[bytes, _Prepared] = {}
        self._backend = 0  # of the server, at the other end; 0: there is none
        self._results: list[PGresult] = []
        self._waiting: Prompt[list[PGresult]] | None = None
        self._room: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Tell whether a statement is under way."""
        return self._turn.locked()

    def owns(self, backend: int) -> bool:
        """Tell whether the server process *backend* is at the other end: that of a connection that broke is not.

        Its number may be that of a process which somebody else has.
        """
        return backend == self._backend

    async def run(self, statement: Statement, parameters: Sequence[Parameter]) -> bytes | None:
        """Run *statement* in a transaction of its own, and return the first cell of its result in binary.

        When this returns, it is committed. Raises `NotSent`, or `psycopg.Error`; after an `OperationalError` it may
        be committed all the same.
        """
        result = await self.ask(statement, parameters)
        return result.get_value(0, 0) if result.ntuples else None

    async def ask(self, statement: Statement, parameters: Sequence[Parameter]) -> PGresult:
        """Run *statement* as `run` does, and return all of its result, in binary."""
        async with self._turn:
            # What is prepared is so on the connection that is there.
            conn, prepared = self._conn, self._prepared.get(statement.name)
            if conn is None or prepared is None:
                conn, prepared = await self._ready(statement)
            pgconn: PGconn = conn.pgconn
            pgconn.send_query_prepared(
                statement.name, packed(list(parameters), prepared.elements), prepared.formats, Format.BINARY
            )
            return await self._result(pgconn)

    def close(self) -> None:
        """End the connection; what is under way is given up."""
        self._let_go()

    async def _ready(self, statement: Statement) -> tuple[Connection, _Prepared]:
        try:
            conn = self._conn
            if conn is None:
                conn = self._conn = await connect(self._dsn, self._role)
                self._descriptor = conn.fileno()
                self._backend = conn.info.backend_pid
                self._more = select.poll()
                self._more.register(self._descriptor, select.POLLIN)
                watch(asyncio.get_running_loop(), self._descriptor, self._readable)
            prepared = self._prepared.get(statement.name)
            if prepared is None:
                prepared = self._prepared[statement.name] = await self._prepare(conn.pgconn, statement)
        except (OSError, psycopg.Error) as error:
            raise NotSent(str(error).strip()) from error
        return conn, prepared

    async def _prepare(self, pgconn: PGconn, statement: Statement) -> _Prepared:
        oids, elements = [], []
        for name in statement.types:
            pgconn.send_query_params(
                b"SELECT oid, typelem FROM pg_type WHERE oid = to_regtype($1)",
                [name.encode()],
                result_format=Format.TEXT,
            )
            result = await self._result(pgconn)
            oids.append(int(result.get_value(0, 0) or 0) if result.ntuples else 0)
            elements.append(int(result.get_value(0, 1) or 0) if result.ntuples else 0)
        pgconn.send_prepare(statement.name, statement.sql, oids)
        await self._result(pgconn)
        return _Prepared((Format.BINARY,) * len(oids), tuple(elements))

    async def _result(self, pgconn: PGconn) -> PGresult:
        """Wait for the end of what was sent, and return its result. Raises `psycopg.Error`."""
        loop = asyncio.get_running_loop()
        waiting: Prompt[list[PGresult]] = Prompt(loop=loop)
        self._waiting = waiting
        try:
            while not waiting.done() and pgconn.flush():
                await self._writable(loop, pgconn.socket)
            results = await waiting
        except BaseException:
            self._let_go()  # nobody can tell any more which answer belongs to which question
            raise
        finally:
            self._waiting = None
        for result in results:
            if result.status not in _GOOD:
                raise psycopg.errors.error_from_result(result)
        return results[-1]

    async def _writable(self, loop: asyncio.AbstractEventLoop, socket: int) -> None:
        """Wait until there is room for more, or until the connection has failed meanwhile."""
        room = self._room = loop.create_future()
        loop.add_writer(socket, _set, room)
        try:
            await room
        finally:
            self._room = None
            loop.remove_writer(socket)

    def _readable(self) -> None:
        conn = self._conn
        if conn is None:
            return
        pgconn, results = conn.pgconn, self._results
        try:
            for _ in range(READS):
                pgconn.consume_input()
                while not pgconn.is_busy():
                    result = pgconn.get_result()
                    if result is None:
                        if results:
                            self._results = []
                            if self._waiting is not None and not self._waiting.done():
                                self._waiting.set_result(results)  # whoever waits may have asked the next thing by now
                        return
                    results.append(result)
                # A result of megabytes comes in pieces of libpq's buffer: a turn of the loop for each would take long.
                if not self._more.poll(0):
                    return
        except psycopg.Error as error:
            self._broken(error)

    def _broken(self, error: psycopg.Error) -> None:
        self._let_go()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        if self._room is not None:
            _set(self._room)

    def _let_go(self) -> None:
        conn, self._conn = self._conn, None
        self._backend = 0
        self._prepared.clear()
        self._results = []
        if conn is not None:
            # libpq closes the socket of a connection that broke: its number is kept here.
            asyncio.get_running_loop().remove_reader(self._descriptor)
            conn.pgconn.finish()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
