"""Keys that are not in memory: read in one statement for a batch, by index, and found again after an outage."""

from __future__ import annotations

import psycopg
import pytest
from signing import MASTER, NOW, Running, Update, add, read, validate

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.store import published
from ddns.zone.plain import complete, plain
from zone_signer import lookup as lookups
from zone_signer import store
from zone_signer.keyring import KeyRing
from zone_signer.lookup import Lookup
from zone_signer.signer import Signer
from zone_signer.vault import Vault


class CountingLookup(Lookup):
    """A look-up that counts how often it asked, and for how many zones."""

    def __init__(self, dsn):
        super().__init__(dsn, "zone_signer")
        self.asked = []

    def keys(self, zones, now):
        self.asked.append(len(zones))
        return super().keys(zones, now)


@pytest.fixture
def running(dsn_for, tmp_path):
    return Running(dsn_for, tmp_path)


@pytest.fixture
def lookup(dsn_for):
    made = CountingLookup(dsn_for("zone_signer"))
    yield made
    made.close()


async def homes(admin, conn, connected, running, count):
    """Return the jobs of *count* signed homes whose address changes."""
    ids = [await add(admin, f"h{number}.test.", "@ 60 A 192.0.2.1") for number in range(count)]
    await running.worker.sweep(await connected("zone_signer"))
    jobs = []
    for number, zone in enumerate(ids):
        origin = from_text(f"h{number}.test.")
        async with conn.transaction():
            after = {origin: read(f"h{number}.test.", "@ 60 A 192.0.2.2")[origin]}
            jobs.append(plain((await Update.make(conn, zone, after)).job))
    return jobs


def signer(lookup, ring=None, now=NOW):
    return Signer(ring or KeyRing(Vault(MASTER)), None, lambda: now, lookup)


async def test_the_keys_of_a_batch_are_one_statement_and_then_remembered(admin, conn, connected, running, lookup):
    jobs = await homes(admin, conn, connected, running, 5)
    cold = signer(lookup)

    for wanted in ([1], [1, 4], [1, 4]):
        signed = cold.at_once(jobs[:1] if wanted == [1] else jobs)

        assert [len(one.sigs) for one in signed] == [2] * len(signed)
        assert lookup.asked == wanted

    for job, one in zip(jobs, signed, strict=True):
        fresh = complete(job, one).added
        places = {(rrset.name, rrset.type) for rrset in fresh}
        others = [old for old in await published.read_zone(conn, job.zone) if (old.name, old.type) not in places]
        assert validate(job.origin, [*others, *fresh]) == len(others) + len(fresh)


async def test_updates_of_homes_that_are_not_remembered_need_no_connection_of_the_pool(admin, conn, connected, running):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    async with running:
        await running.worker.sweep(await connected("zone_signer"))
        running.ring.forget(zone)
        lent = running.pool.lent

        signed = await running.update(
            conn, zone, {from_text("www.a.test."): read("a.test.", "www 60 A 192.0.2.2")[from_text("www.a.test.")]}
        )

        assert {one.type for one in signed.added} == {Type.A, Type.SOA}
        assert running.pool.lent == lent


async def test_a_connection_that_broke_is_made_again(admin, conn, owner, connected, running, lookup):
    jobs = await homes(admin, conn, connected, running, 1)
    assert signer(lookup).at_once(jobs)
    await owner.execute(
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'nameplate zone_signer'"
    )

    assert signer(lookup).at_once(jobs) is None  # and the loop's way says what is wrong
    assert signer(lookup).at_once(jobs)


async def test_a_database_that_does_not_answer_is_not_waited_for_forever(
    admin, conn, owner, connected, running, lookup, monkeypatch
):
    jobs = await homes(admin, conn, connected, running, 1)
    assert signer(lookup).at_once(jobs)
    monkeypatch.setattr(lookups, "TIMEOUT", 0.05)
    async with owner.transaction():
        await owner.execute("LOCK signing_keys IN ACCESS EXCLUSIVE MODE")

        assert signer(lookup).at_once(jobs) is None
        with pytest.raises(psycopg.OperationalError, match="does not answer in time"):
            lookup.keys([jobs[0].zone], NOW)

    monkeypatch.undo()
    assert signer(lookup).at_once(jobs)


async def test_what_cannot_be_signed_at_once_is_left_to_whoever_says_why(admin, conn, connected, running, lookup):
    (job,) = await homes(admin, conn, connected, running, 1)

    assert signer(lookup, KeyRing(Vault(bytes(32)))).at_once([job]) is None  # another master key
    assert signer(lookup, now=NOW - 7200).at_once([job]) is None  # a clock before the last signature
    assert signer(lookup).at_once([type(job)(job.zone + 1, job.origin, job.rrsets)]) is None  # no keys
    assert signer(lookup).at_once([type(job)(job.zone, from_text("b.test."), job.rrsets)]) is None  # another's


async def test_keys_are_found_by_index(connected):
    conn = await connected("zone_signer")
    await conn.execute(f"PREPARE kept (bigint[]) AS {store.KEPT}")

    plan = "\n".join(row[0] for row in await (await conn.execute("EXPLAIN EXECUTE kept ('{1,2}')")).fetchall())

    assert "Seq Scan" not in plan
    assert plan.count("Index") >= 3


async def test_nothing_is_looked_for_that_homes_never_have(admin, connected):
    """A million of them are looked up after a power cut."""
    registry = await add(admin, "homes.test.", "h 300 NS ns")
    home = await add(admin, "h.homes.test.", "www 60 A 192.0.2.1", parent=registry)
    conn = await connected("zone_signer")
    await conn.execute("SET enable_hashjoin = off")
    await conn.execute(f"PREPARE kept (bigint[]) AS {store.KEPT}")

    for zone, reads in ((home, False), (registry, True)):
        await admin.execute(
            "INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed) "
            "VALUES (gen_random_uuid(), %s, 13, 257, 1, '', '')",
            [zone],
        )
        cursor = await conn.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE kept ('{{{zone}}}')")
        ((report,),) = await cursor.fetchall()
        found = {
            node["Alias"]: node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes(report[0]["Plan"])
        }
        assert found["shown"]
        assert (found["cds"] > 0, found["cdnskey"] > 0) == (reads, reads)


def nodes(plan):
    """Yield the nodes of a plan that read a table."""
    if "Alias" in plan:
        yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)
