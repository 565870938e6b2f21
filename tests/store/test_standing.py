"""What a batch for zones that are not in memory asks: one statement gives what the readings of each part give."""

from __future__ import annotations

import itertools
import uuid

import pytest
import signing
from rows import n

from ddns.auth.principal import Grant
from ddns.dns.records import SignedRRset
from ddns.store import credentials, grants, homes, published, standing, unchanged, zones
from ddns.store import signing as signing_rows
from ddns.store.batch import Batch
from ddns.store.line import Line
from ddns.store.requests import Stored
from ddns.zone.edition import Edition

REGISTRY = n("homes.test.")
KINDS = ("home", "suspended", "leased", "pending", "denied", "unsigned", "empty", "removed")


@pytest.fixture
def line(dsn_for):
    """Yield the server's connection for look-ups."""
    line = Line(dsn_for("ddns_server"), "ddns_server")
    yield line
    line.close()


async def a_country(owner):
    """Make a registry with rules for everybody, and homes of all kinds below it; return their ids by what they are."""
    registry = await zones.insert(owner, REGISTRY, "nsec", 15)
    key = await credentials.insert(owner, n("k.test."), "tsig", "hmac-sha256", secret=b"s")
    made = {"registry": registry}
    for kind in KINDS:
        origin = n(f"{kind}.homes.test.")
        zone = made[kind] = await zones.insert(
            owner, origin, "none" if kind == "unsigned" else "nsec3", 13, None if kind == "empty" else registry
        )
        if kind != "empty":
            await homes.insert(owner, zone)
        await grants.insert(owner, key, Grant(zone, origin))
        await signing_rows.mark_pending(owner, {zone: 0})
        await owner.execute("UPDATE signing SET pending = %s WHERE zone = %s", [kind == "pending", zone])
        rrsets = [
            (zone, SignedRRset(name, rdtype, 300, rdatas, sigs))
            for name in (origin, n(f"a\\000b.{kind}.homes.test."), n(f"a.{kind}.homes.test."))
            for rdtype, rdatas, sigs in ((28, (b"6" * 16,), (b"s", b"t")), (1, (b"1", b"", b"3"), ()))
        ]
        await published.publish(owner, [] if kind == "empty" else rrsets, [])
        await zones.advance(owner, [(zone, 7, 3, 4_000_000_000)])
    await owner.execute("UPDATE homes SET state = 'suspended', reason = 'a test' WHERE zone = %s", [made["suspended"]])
    await owner.execute(
        """INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at)
           VALUES (%s, '', 1, sha256(''), '', 60, now())""",
        [made["leased"]],
    )
    rules = [
        Grant(registry, REGISTRY, frozenset({2, 43}), "zone", denied="it is the registry's"),
        Grant(registry, n("x.homes.test."), None, "name", min_assurance="qr", denied="not for you é", homes=True),
        Grant(registry, REGISTRY, frozenset({99}), "subdomain", denied="no", homes=True),
        Grant(registry, n("lock-*.homes.test."), None, "within", denied="lock", homes=True, tenant=1),
        Grant(registry, REGISTRY, frozenset({1, 28}), denied="no", homes=True, addresses=("10.0.0.0/8", "fd00::/8")),
        Grant(made["denied"], n("a.denied.homes.test."), frozenset({1, 16, 28}), "wildcard", denied="never"),
    ]
    for rule in rules:
        await grants.insert(owner, None, rule)
    await owner.execute("UPDATE grants SET counts = '{0,2,7}' WHERE cardinality(types) = 3")
    await owner.execute("UPDATE zones SET basis = 2^53::bigint + 1 WHERE id = %s", [registry])
    assert await zones.remove(owner, made["removed"])
    return made


def names_of(made):
    """Return the names that are looked at in each zone: some have no records."""
    wanted = []
    for kind, zone in made.items():
        under = "" if kind == "registry" else f"{kind}."
        wanted += [(zone, n(f"{label}{under}homes.test.")) for label in ("", "a.", "a\\000b.", "none.")]
    return wanted


async def test_one_statement_gives_what_the_readings_of_each_part_give(owner, conn, line):
    made = await a_country(owner)
    ids, wanted = list(made.values()), names_of(made)

    standings, shown = await standing.ask(line, ids, wanted)

    rows, everybody = await zones.get(conn, ids), await grants.for_everybody(conn, ids)
    cursor = await conn.execute(
        """SELECT zones.id, concat_ws(' ', zones.denial, zones.algorithm, zones.parent, zones.basis, zones.keyset),
                  above.basis
           FROM zones LEFT JOIN zones AS above ON above.id = zones.parent"""
    )
    states = {zone: (state, basis or 0) for zone, state, basis in await cursor.fetchall()}
    assert standings == {
        zone: standing.Standing(row, everybody.get(zone, ()), *states[zone]) for zone, row in rows.items()
    }
    assert shown == await published.read_names(conn, wanted)
    assert standings.keys() == set(ids) - {made["removed"]}
    assert {len(one.everybody) for one in standings.values()} == {0, 1, 4, 5}
    assert len(shown) == 3 * (len(KINDS) - 2)
    assert [kind for kind, zone in made.items() if zone in standings and standings[zone].ready] == [
        "home", "suspended", "denied", "empty",
    ]  # fmt: skip


async def test_a_name_is_looked_at_in_as_many_zones_as_are_asked_for(owner, line):
    """And may be asked for twice, in a zone whose standing is of no interest."""
    made = await a_country(owner)
    home, other = made["home"], made["denied"]
    name = n("a.home.homes.test.")

    standings, shown = await standing.ask(line, [other], [(home, name), (other, name), (home, name)])

    assert list(standings) == [other]
    assert {key: [one.type for one in found] for key, found in shown.items()} == {(home, name): [1, 28]}


async def test_nothing_is_asked_for_and_nothing_is_there(owner, line):
    made = await a_country(owner)

    assert await standing.ask(line, [], []) == ({}, {})
    assert await standing.ask(line, [-1, 0], [(-1, n("a.")), (made["home"], n("."))]) == ({}, {})
    standings, shown = await standing.ask(line, [made["home"]], [])
    assert (list(standings), shown) == ([made["home"]], {})


async def test_what_is_committed_is_seen_by_the_next_reading(owner, line):
    zone = await signing.add(owner, "smith.example.", "a 300 A 192.0.2.1")
    (before,) = (await standing.ask(line, [zone], []))[0].values()
    await grants.insert(owner, None, Grant(zone, n("smith.example."), denied="no"))
    (after,) = (await standing.ask(line, [zone], []))[0].values()

    assert (before.everybody, after.everybody[0].denied) == ((), "no")
    assert before.state != after.state


async def test_the_plan_finds_every_row_by_an_index(connected):
    """Whatever statistics say of tables that are empty yet; and rows that are asked for by nobody are not sorted."""
    conn = await connected("ddns_server")
    await conn.execute(b"PREPARE look (bigint[], bigint[], bytea[]) AS " + standing.LOOK.sql)
    cursor = await conn.execute("EXPLAIN EXECUTE look ('{1,2}', '{1,2}', ARRAY['a'::bytea, 'b'])")
    plan = "\n".join(row[0] for row in await cursor.fetchall())

    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
    for index in ("zones_pkey", "homes_pkey", "signing_pkey", "grants_to_everybody", "published_rrset_twice"):
        assert index in plan, plan


DENIALS, ALGORITHMS, KEYSETS = ("nsec3", "nsec", "none"), (8, 13, 14, 15), (0, 1, 2**53 + 1)
HOMES = (None, "active", "suspended")


async def zones_of_all_kinds(owner):
    """Make zones of each denial, algorithm, keyset and state of a home, each with a registry and without, at edition 3.

    Returns their ids.
    """
    registry = await zones.insert(owner, REGISTRY, "nsec3", 13)
    made = []
    for denial, algorithm, keyset, home, parent in itertools.product(
        DENIALS, ALGORITHMS, KEYSETS, HOMES, (None, registry)
    ):
        zone = await zones.insert(owner, n(f"h{len(made)}.homes.test."), denial, algorithm, parent)
        await owner.execute("UPDATE zones SET keyset = %s, edition = 3, serial = 7 WHERE id = %s", [keyset, zone])
        if home is not None:
            await homes.insert(owner, zone)
            await owner.execute("UPDATE homes SET state = %s, reason = 'a test' WHERE zone = %s", [home, zone])
        made.append(zone)
    return made


def batch(number, *ids):
    """Return a batch that brings the zones *ids* to edition *number* without records."""
    return Batch(
        (),
        (),
        [Edition(zone, number, number + 3, number + 4, (), ()) for zone in ids],
        [(zone, 0, number, number + 4) for zone in ids],
        answered=[(uuid.uuid4().bytes, Stored(0, 0, ""), 4_000_000_000)],
    )


async def test_what_a_zone_was_judged_by_is_said_in_the_same_words_here_and_in_the_database(owner, line):
    """Of zones that nothing is done to, of one alone and of many in one batch: for every kind of zone."""
    ids = await zones_of_all_kinds(owner)
    found, _ = await standing.ask(line, ids, [])
    stood = [(zone, 3, 7, found[zone].state) for zone in ids]
    moved = [(zone, 4, 8, found[zone].state) for zone in ids]

    looked_at = await unchanged.commit(line, batch(4), unchanged.Basis(stood, (), ()), 1)
    alone = [await unchanged.commit(line, batch(4, one[0]), unchanged.Basis([one], (), ()), 1) for one in stood]
    together = await unchanged.commit(line, batch(5, *ids), unchanged.Basis(moved, (), ()), 1)

    assert (looked_at, set(alone), together) == ("", {""}, "")
    assert {zone.edition for zone in (await zones.get(owner, ids)).values()} == {5}


@pytest.mark.parametrize("alone", [True, False])
async def test_nothing_is_written_for_another_keyset_than_the_zones_row_has(owner, line, alone):
    ids = (await zones_of_all_kinds(owner))[:3]
    found, _ = await standing.ask(line, ids, [])
    await owner.execute("UPDATE zones SET keyset = keyset + 1 WHERE id = %s", [ids[1]])
    some = ids[1:2] if alone else ids

    said = await unchanged.commit(
        line, batch(4, *some), unchanged.Basis([(zone, 3, 7, found[zone].state) for zone in some], (), ()), 1
    )

    assert said == f"zones {ids[1]}"
    assert {zone.edition for zone in (await zones.get(owner, ids)).values()} == {3}
