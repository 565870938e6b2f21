"""Registries are found by their homes, and what their homes have in common is not read for it."""

from __future__ import annotations

import pytest

from ddns.dns import names
from ddns.store import children, zones
from ddns.store.children import _REGISTRIES


async def add(admin, name, parent=None):
    return await zones.insert(admin, names.from_text(name), "nsec3", 13, parent)


@pytest.mark.parametrize("homes", [(0, 0, 0), (1, 0, 0), (2, 0, 3), (0, 4, 1)])
async def test_zones_that_have_homes_are_registries(admin, conn, homes):
    expected = []
    for number, count in enumerate(homes):
        registry = await add(admin, f"r{number}.example.")
        for home in range(count):
            await add(admin, f"h{home}.r{number}.example.", registry)
        if count:
            expected.append(registry)

    assert [one.id for one in await children.registries(conn)] == expected


async def test_registries_are_found_without_reading_the_zones(conn):
    cursor = await conn.execute("EXPLAIN " + _REGISTRIES)
    plan = "\n".join(row[0] for row in await cursor.fetchall())

    assert "on zones" in plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
