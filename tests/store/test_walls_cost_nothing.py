"""Row-level security binds the desk alone: what the other roles ask all day long is planned as if it were not there."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from ddns.store import credentials, standing, zones

UPDATE_ALONE = """
UPDATE zones SET head = head + 1, edition = edition + 1, serial = 7
WHERE id = $1 AND edition = 1 AND serial = 6 AND concat_ws(' ', denial, algorithm, parent, basis) = ''
RETURNING head
"""
KEYS = """
SELECT ARRAY(SELECT asked.id FROM unnest($1) AS asked (id) LEFT JOIN credentials ON credentials.id = asked.id
             WHERE (credentials.xmin::text = '' AND credentials.revoked_at IS NULL) IS NOT TRUE),
       EXISTS (SELECT FROM followers WHERE followers.worker <> 1)
"""
LOCK = "SELECT id FROM zones WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE"
DUE = """
SELECT leases.zone FROM leases WHERE leases.ends_at <= now()
AND NOT EXISTS (SELECT FROM homes WHERE homes.zone = leases.zone AND homes.state <> 'active')
"""
HOT = {
    "an update's writing": (UPDATE_ALONE, ["bigint"]),
    "an update's keys": (KEYS, ["bigint[]"]),
    "a lock": (LOCK, ["bigint[]"]),
    "a zone": (zones._SELECT + "WHERE zones.id = ANY ($1)", ["bigint[]"]),
    "how zones stand": (standing.LOOK.sql.decode(), list(standing.LOOK.types)),
    "keys with their stamps": (credentials._ASK_STAMPED.sql.decode(), list(credentials._ASK_STAMPED.types)),
    "keys ahead": (credentials._ASK_PAGE.sql.decode(), list(credentials._ASK_PAGE.types)),
    "leases that end": (DUE, []),
    "a home": ("INSERT INTO homes (zone) SELECT unnest($1)", ["bigint[]"]),
}
WALLED = "SELECT relname FROM pg_class WHERE relrowsecurity ORDER BY relname"


def plan(dsn: str, text: str, kinds: list[str]) -> list[str]:
    with psycopg.connect(dsn) as conn:
        conn.execute("SET plan_cache_mode = force_generic_plan")
        conn.execute("SET enable_seqscan = off")
        asked = f"({', '.join(kinds)})" if kinds else ""
        conn.execute(f"PREPARE asked {asked} AS {text}".encode())
        given = f"({', '.join('NULL' for _ in kinds)})" if kinds else ""
        return [row[0] for row in conn.execute(f"EXPLAIN (VERBOSE, COSTS OFF) EXECUTE asked {given}".encode())]


@pytest.mark.parametrize("role", ["ddns_server", "ddns_admin"])
def test_plans_of_other_roles_are_the_same_with_and_without_walls(dsn_for, role):
    asked = {what: one for what, one in HOT.items() if role == "ddns_server" or "update's" not in what}
    with_walls = {what: plan(dsn_for(role), *one) for what, one in asked.items()}
    with psycopg.connect(dsn_for("owner"), autocommit=True) as conn:
        tables = [row[0] for row in conn.execute(WALLED)]
        for table in tables:
            conn.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(table)))

    without = {what: plan(dsn_for(role), *one) for what, one in asked.items()}

    assert with_walls == without
    assert {"zones", "homes", "credentials", "grants"} <= set(tables)


def test_the_desk_is_planned_with_walls(dsn_for):
    assert any("ddns.tenant" in line for line in plan(dsn_for("ddns_web"), *HOT["a zone"]))
