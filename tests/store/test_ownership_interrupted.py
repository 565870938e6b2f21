"""A desk that is killed in the middle leaves nothing half done, and does all of it when it is asked again.

Its backend is ended while it waits in a trigger, at each table that the event writes.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from people import DAY, NOW, Village, kid, p256
from waiting import wait_for

from ddns.proof.statements import (
    AddOwnerKey,
    AnnounceKey,
    ApproveKey,
    Claim,
    Leave,
    MintKey,
    Recover,
    Release,
    Replace,
    Stolen,
)

SMITH = "smith.homes.example."
GATEWAY, OWNER, ADMIN, BOX, NEW, OTHER = (p256(number) for number in range(301, 307))
LOCK = 4711

# What is said, by whom, and which tables it writes besides those of every event.
EVERY = ("statements", "home_events", "outbox")
SAID = {
    "replace": (Replace, (NEW, OWNER), {"sub": SMITH}, ("credentials", "rrsets", "zones", "homes", "devices")),
    "announce-key": (AnnounceKey, (NEW,), {"sub": SMITH}, ("pending_keys",)),
    "approve-key": (
        ApproveKey,
        (OWNER,),
        {"sub": SMITH, "key": kid(OTHER)},
        ("credentials", "journal", "pending_keys"),
    ),
    "release": (Release, (OWNER,), {"sub": SMITH, "until": NOW + DAY, "bearer": "A" * 43}, ("releases", "devices")),
    "claim": (Claim, (NEW, BOX), {}, ("spent_nonces", "owners", "owner_keys", "claims")),
    "stolen": (Stolen, (ADMIN,), {"sub": SMITH}, ("credentials", "devices")),
    "leave": (Leave, (OWNER,), {"sub": SMITH}, ("credentials", "homes", "zones", "resting_labels")),
    "add-owner-key": (AddOwnerKey, (OWNER, NEW), {"role": "recovery"}, ("owner_keys",)),
    "recover": (Recover, (ADMIN, NEW), {}, ("recoveries",)),
    "mint-key": (MintKey, (GATEWAY,), {"sub": SMITH, "name": f"www.{SMITH}"}, ("credentials", "grants")),
}


@pytest.fixture
def village(admin, desk_conn):
    async def make():
        village = await Village(admin, desk_conn).begin()
        await village.home("smith", GATEWAY, OWNER, BOX)
        await village.say(AddOwnerKey, OWNER, ADMIN, role="admin")
        await village.say(AnnounceKey, OTHER, sub=SMITH)
        return village

    return wait_for(make())


async def everything(owner) -> dict[str, str]:
    """Return a checksum of every table."""
    cursor = await owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    sums = {}
    for (table,) in await cursor.fetchall():
        cursor = await owner.execute(
            f"SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {table} t"
        )
        (sums[table],) = await cursor.fetchone()
    return sums


async def stopped(owner) -> int:
    """Return the process of the backend that waits in the trigger, once it does."""
    while True:
        cursor = await owner.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", [LOCK]
        )
        row = await cursor.fetchone()
        if row is not None:
            return row[0]
        await asyncio.sleep(0.005)


async def arm(owner, table: str) -> None:
    await owner.execute(
        f"""CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            'BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NULL; END';
            CREATE TRIGGER stop_here AFTER INSERT OR UPDATE OR DELETE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION wait_here();
            SELECT pg_advisory_lock({LOCK})"""
    )


@pytest.mark.parametrize(("act", "table"), [(act, table) for act in SAID for table in (*EVERY, *SAID[act][3])])
async def test_a_killed_desk_has_done_nothing_and_another_does_it_whole(village, owner, connected, act, table):
    kind, signers, fields, _ = SAID[act]
    if act == "claim":
        fields = {"nonce": village.nonce()}
    octets = village.signed(kind, *signers, **fields)
    before = await everything(owner)
    await arm(owner, table)

    sent = asyncio.create_task(village.send(octets))
    pid = await stopped(owner)
    await owner.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        await sent

    assert await everything(owner) == before
    await owner.execute(
        f"SELECT pg_advisory_unlock({LOCK}); DROP TRIGGER stop_here ON {table}; DROP FUNCTION wait_here"
    )
    village.desk = await connected("ddns_web")
    done = await village.send(octets)
    assert done.event == act
    assert await village.send(octets) == "again"
    await village.check()


async def test_a_program_that_dies_before_the_commit_has_done_nothing(village, owner, connected):
    """Its connection is closed in the middle, as the kernel does for a process that was killed."""
    octets = village.signed(Leave, OWNER, sub=SMITH)
    before = await everything(owner)
    await arm(owner, "outbox")

    sent = asyncio.create_task(village.send(octets))
    pid = await stopped(owner)
    sent.cancel()
    await asyncio.gather(sent, return_exceptions=True)
    await village.desk.close()
    await owner.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    cursor = await owner.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
    while (await cursor.fetchone())[0]:
        cursor = await owner.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])

    assert await everything(owner) == before
