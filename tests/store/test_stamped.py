"""The keys that an update may be signed with, asked over a line: what the careful way's reading gives."""

from __future__ import annotations

import pytest
from rows import n

from ddns.auth.principal import Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.store import credentials, homes, zones
from ddns.store.credentials import _ASK_STAMPED
from ddns.store.line import Line

SEALER = Sealer(bytes(range(32)))
NAMES = [n(f"{label}.keys.test.") for label in ("tsig", "sig0", "two", "revoked", "many", "plain", "a\\000b")]


@pytest.fixture
def line(dsn_for):
    """Yield the server's connection for look-ups."""
    line = Line(dsn_for("ddns_server"), "ddns_server")
    yield line
    line.close()


async def a_bunch(owner):
    """Make keys of all kinds, the grants of one of them written in no order of their ids."""
    registry = await zones.insert(owner, n("homes.test."), "nsec3", 13)
    home = await zones.insert(owner, n("h.homes.test."), "nsec3", 13, registry)
    await homes.insert(owner, home)
    cursor = await owner.execute(
        "INSERT INTO invitations (zone, label, expires_at) VALUES (%s, 'x', now()) RETURNING id", [registry]
    )
    (invitation,) = await cursor.fetchone()
    tsig, sig0, two, revoked, many, plain, odd = NAMES
    made = [
        (tsig, "tsig", {"secret": SEALER.seal(tsig, Secret(b"s" * 32)), "grants": [Grant(home, n("h.homes.test."))]}),
        (sig0, "sig0", {"tag": 65_535, "public": b"p" * 64, "home": home, "invitation": invitation}),
        (two, "sig0", {"tag": 1, "public": b"1", "assurance": "attested"}),
        (two, "sig0", {"tag": 1, "public": b"2", "grants": [Grant(registry, n("x.homes.test."), rule="name")]}),
        (revoked, "sig0", {"public": b"p"}),
        (many, "sig0", {"public": b"p", "grants": [
            Grant(registry, n(f"n{one}.homes.test."), frozenset({1, 28, 16}), "selfsub",
                  most=((1, one + 1), (16, 7)), min_assurance="qr") for one in range(9)
        ] + [Grant(home, n("h.homes.test."), frozenset({1}), denied="not é")]}),
        (plain, "sig0", {"public": b"p"}),
        (odd, "sig0", {"public": b"p"}),
    ]  # fmt: skip
    for name, kind, further in made:
        await credentials.insert(owner, name, kind, "hmac-sha256" if kind == "tsig" else "13", **further)
    await credentials.revoke(owner, revoked)
    # Rows that were written again stand elsewhere.
    await owner.execute("UPDATE grants SET subtree = subtree WHERE id % 2 = 1")
    await owner.execute("UPDATE credentials SET tag = tag WHERE id % 2 = 1")


def plainly(found):
    return {name: [(one.credential, one.stamp) for one in several] for name, several in found.items()}


async def test_a_line_gives_what_the_careful_reading_gives(owner, conn, line):
    await a_bunch(owner)
    wanted = [*NAMES, n("nobody.test."), n(".")]

    asked = plainly(await credentials.ask_stamped(line, wanted, SEALER.open))

    assert asked == plainly(await credentials.stamped(conn, wanted, SEALER.open))
    assert asked.keys() == set(NAMES) - {NAMES[3]}
    assert {name: len(several) for name, several in asked.items() if len(several) > 1} == {NAMES[2]: 2}
    assert sorted({len(one.grants) for several in asked.values() for one, _ in several}) == [0, 1, 10]
    assert await credentials.ask_stamped(line, [], SEALER.open) == {}


async def test_the_plan_finds_every_row_by_an_index(connected):
    conn = await connected("ddns_server")
    await conn.execute(b"PREPARE asked (bytea[]) AS " + _ASK_STAMPED.sql)
    cursor = await conn.execute("EXPLAIN EXECUTE asked (ARRAY['a'::bytea, 'b'])")
    plan = "\n".join(row[0] for row in await cursor.fetchall())

    assert "Seq Scan" not in plan, plan
    assert plan.count("Index") >= 2, plan
