"""Databases of their own for tests, in the session's cluster."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg

from ddns.postgres import OWNER, LocalPostgres

_numbers = itertools.count(1)


def fresh_database(postgres: LocalPostgres, template: str) -> Iterator[str]:
    """Yield the name of a new database made from *template*, and drop it in the end."""
    name = f"t{next(_numbers)}"
    with psycopg.connect(postgres.dsn(OWNER, "postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield name
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
