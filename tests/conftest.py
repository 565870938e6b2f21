"""What every test may ask for: a real Postgres with a fresh database, and asyncio tests on Twisted's loop.

A plain `async def test_…` is an asyncio coroutine here and may await the store's functions. What speaks
Twisted returns a Deferred, or is decorated with `pytest_twisted.ensureDeferred`.
"""

from __future__ import annotations

# First of all imports: it installs the reactor that pytest-twisted expects.
from ddns.aio import on_loop  # isort: skip

import functools
import inspect
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import fresh_database
from waiting import TEMPLATE, wait_for

from ddns import schema
from ddns.postgres import FAST, OWNER, LocalPostgres
from ddns.store.pool import Connection, connect

# What is tested is what is installed: programs that tests start must not import the checkout that they may stand in.
os.environ["PYTHONSAFEPATH"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have plain coroutine functions run on asyncio, where psycopg works, not as Deferred coroutines."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _on_loop(item.obj)


def _on_loop(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        return on_loop(test(*args, **kwargs))

    del run.__wrapped__  # else pytest-twisted sees a coroutine function again
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder in memory, where there is one, that root's Postgres may enter."""
    base = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="ddns-tests-", dir=base if os.access(base, os.W_OK) else None))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> Iterator[LocalPostgres]:
    """A cluster for this session that forgets everything at a crash, with a migrated template database."""
    cluster = LocalPostgres(scratch / "cluster", FAST).start()
    try:
        with psycopg.connect(cluster.dsn(OWNER, "postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {TEMPLATE}")
        schema.upgrade(cluster.dsn(OWNER, TEMPLATE))
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def empty_database(postgres: LocalPostgres) -> Iterator[str]:
    """The name of a fresh database without our schema."""
    yield from fresh_database(postgres, "template0")


@pytest.fixture
def database(postgres: LocalPostgres) -> Iterator[str]:
    """The name of a fresh, migrated database."""
    yield from fresh_database(postgres, TEMPLATE)


@pytest.fixture
def dsn_for(postgres: LocalPostgres, database: str) -> Callable[[str], str]:
    """What gives the DSN of a role (one of `schema.ROLES`, or `owner`) on the fresh database."""
    return lambda role: postgres.dsn(OWNER if role == "owner" else role, database)


@pytest.fixture
def dsn(dsn_for: Callable[[str], str]) -> str:
    """The owner's DSN on the fresh database."""
    return dsn_for("owner")


Connect = Callable[[str], Awaitable[Connection]]


@pytest.fixture
def connected(dsn_for: Callable[[str], str]) -> Iterator[Connect]:
    """What connects to the fresh database as a role; the connections are closed after the test."""
    opened: list[Connection] = []

    async def connect_as(role: str) -> Connection:
        conn = await connect(dsn_for(role), OWNER if role == "owner" else role)
        opened.append(conn)
        return conn

    yield connect_as
    for conn in opened:
        wait_for(conn.close())


@pytest.fixture
def conn(connected: Connect) -> Connection:
    """The server's connection (`ddns_server`) to the fresh database."""
    return wait_for(connected("ddns_server"))


@pytest.fixture
def admin(connected: Connect) -> Connection:
    """The command line's connection (`ddns_admin`) to the fresh database."""
    return wait_for(connected("ddns_admin"))


@pytest.fixture
def desk_conn(connected: Connect) -> Connection:
    """The desk's connection (`ddns_web`) to the fresh database: it sees nothing before it has entered a tenant."""
    return wait_for(connected("ddns_web"))


@pytest.fixture
def owner(connected: Connect) -> Connection:
    """The connection of the user who owns the tables."""
    return wait_for(connected("owner"))
