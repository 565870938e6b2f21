"""Which zones there are, when the database goes away in the middle of a comparison."""

from __future__ import annotations

import psycopg
import pytest

from ddns.answer.table import Table
from ddns.dns import names
from ddns.net.register import Register
from ddns.store import zones
from ddns.store.pool import Pool

ONE, TWO = names.from_text("one.test."), names.from_text("two.test.")


@pytest.mark.parametrize("broken", ["came", "went"])
async def test_a_comparison_that_breaks_off_is_made_up_for_by_the_next(dsn_for, connected, monkeypatch, broken):
    owner = await connected("owner")
    pool = Pool(dsn_for("ddns_server"), "ddns_server", 1)
    table = Table()
    known = Register(table, pool)
    old = await zones.insert(owner, ONE, "none", 13)
    async with pool.connection() as conn:
        await known.update(conn)
        await zones.remove(owner, old)
        new = await zones.insert(owner, TWO, "none", 13)
        with monkeypatch.context() as patched:
            patched.setattr(zones, broken, _gone)
            with pytest.raises(psycopg.OperationalError):
                await known.update(conn)

        await known.update(conn)

    assert (table.find(ONE), table.find(TWO)) == (None, new)


async def _gone(*_: object) -> None:
    raise psycopg.OperationalError("the database is away")
