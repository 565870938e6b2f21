"""The keys of zones that are not in memory, read in the thread that needs them.

Law: one question is under way at a time, over a connection of its own, and nobody waits for an answer for longer than
`TIMEOUT`. A loop's task, a lent connection and some turns cost more than the keys themselves: after a power cut every
home comes once, and none is remembered.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Sequence

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from ddns.store.packing import bigints
from ddns.store.pool import parameters
from zone_signer import store
from zone_signer.keyring import Kept

TIMEOUT = 5.0  # seconds for an answer; whoever asked the signer has given up long before
_NAME = b"keys"
_BIGINTS = 1016  # the oid of bigint[], fixed since the first Postgres


class Lookup:
    """Reads from *dsn* as *role*; connects when it is needed, and again after the connection broke."""

    def __init__(self, dsn: str, role: str) -> None:
        self._dsn = dsn
        self._role = role
        self._turn = threading.Lock()
        self._conn: psycopg.Connection[tuple[object, ...]] | None = None

    def keys(self, zones: Sequence[int], now: int) -> dict[int, Kept]:
        """Return what is kept of each of *zones* that has keys. For any thread. Raises `psycopg.Error`."""
        with self._turn:
            try:
                result = self._ask(bigints(zones))
            except BaseException:
                self._let_go()  # nobody can tell any more which answer belongs to which question
                raise
        reader = Transformer()
        reader.set_pgresult(result)
        return store.kept(reader.load_rows(0, result.ntuples, tuple), now)

    def close(self) -> None:
        """End the connection, after whatever is under way."""
        with self._turn:
            self._let_go()

    def _ask(self, zones: bytes) -> PGresult:
        conn = self._conn
        if conn is None:
            conn = self._conn = psycopg.Connection.connect(**parameters(self._dsn, self._role))
            conn.pgconn.send_prepare(_NAME, store.KEPT.encode(), [_BIGINTS])
            _result(conn.pgconn)
        conn.pgconn.send_query_prepared(_NAME, [zones], [Format.BINARY], Format.BINARY)
        return _result(conn.pgconn)

    def _let_go(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.pgconn.finish()


def _result(pgconn: PGconn) -> PGresult:
    """Wait for the end of what was sent, and return its result. Raises `psycopg.Error`."""
    end = time.monotonic() + TIMEOUT
    heard = select.poll()
    heard.register(pgconn.socket, select.POLLIN)
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            if not heard.poll(max(end - time.monotonic(), 0) * 1000):
                raise psycopg.OperationalError("the database does not answer in time")
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
        results.append(result)
    return results[-1]
