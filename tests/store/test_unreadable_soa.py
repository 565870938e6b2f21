"""A zone whose SOA cannot be read is a problem of that zone: it is written down, and all others are signed."""

from __future__ import annotations

import pytest
from lives import DAY, Life
from waiting import wait_for

ODD = [b"", b"\x00", b"\x02ns\x01a\x04test\x00", b"\x02ns" * 30, bytes(21), bytes(23)]
SENTENCE = "the SOA of a.test. cannot be read; import the zone anew"


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


async def spoil(owner, zone, octets, table):
    await owner.execute(f"UPDATE {table} SET rdatas = ARRAY[%s::bytea] WHERE zone = %s AND type = 6", (octets, zone.id))


async def problem(life, zone):
    return (await life.row(zone))[3]


async def state(life, zone):
    """Return edition, pending, and how many keys the zone has."""
    rows = await life.admin.execute(
        "SELECT edition, pending, (SELECT count(*) FROM signing_keys WHERE zone = zones.id) "
        "FROM zones JOIN signing ON zone = zones.id WHERE zones.id = %s", (zone.id,),
    )  # fmt: skip
    return await rows.fetchone()


@pytest.mark.parametrize("octets", ODD, ids=len)
@pytest.mark.parametrize("when", ["pending", "due", "step", "order"])
@pytest.mark.parametrize("table", ["rrsets", "published_rrsets"])
async def test_all_others_are_signed_and_stepped_and_it_is_said_what_is_wrong(life, owner, octets, when, table):
    bad = await life.zone("a.test.", "www 60 A 192.0.2.1")
    good = await life.zone("b.test.", "www 60 A 192.0.2.1")
    await life.settle()
    del life.zones[bad.id]  # what is published of it is not judged
    await spoil(owner, bad, octets, table)
    edition, _, keys = await state(life, good)
    was, _, bad_keys = await state(life, bad)
    if when == "pending":
        await owner.execute("UPDATE signing SET pending = true")
    elif when == "due":
        life.now += 13 * DAY
    elif when == "step":
        await life.look(bad)
        await life.look(good)
    else:
        await life.order(bad, "roll")
        await life.order(good, "roll")

    done = await life.workers[0].sweep(life.conn)

    after, pending, keys_after = await state(life, good)
    assert (await problem(life, good), pending) == ("", False)
    assert after > edition or when in ("pending", "step")
    assert keys_after == keys + (when == "order")
    is_now, pending, keys_now = await state(life, bad)
    if table == "rrsets" and when in ("pending", "due", "order"):  # what is stored is needed for an edition
        assert dict(done.failed) == {"a.test.": SENTENCE}
        assert await problem(life, bad) == SENTENCE
        assert (is_now, keys_now) == (was, bad_keys)
    else:
        assert done.failed == ()  # what was published was mended by another edition, where anybody needed it
        assert await problem(life, bad) == ""
        assert pending is False
        assert (is_now > was) is (table == "published_rrsets")


async def test_what_was_stored_right_again_is_signed(life, owner):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    await owner.execute("CREATE TABLE kept AS SELECT rdatas FROM rrsets WHERE zone = %s AND type = 6", (zone.id,))
    await spoil(owner, zone, b"", "rrsets")
    await life.order(zone, "roll")
    await life.workers[0].sweep(life.conn)
    assert await problem(life, zone) == SENTENCE

    await owner.execute("UPDATE rrsets SET rdatas = kept.rdatas FROM kept WHERE zone = %s AND type = 6", (zone.id,))
    life.workers[0]._resting.clear()  # a minute later
    await life.settle()

    assert await problem(life, zone) == ""
    assert await state(life, zone) == (zone.edition, False, 2)


async def test_a_zone_without_signatures_says_so_too(life, owner):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    await spoil(owner, zone, b"", "published_rrsets")
    await owner.execute("UPDATE zones SET denial = 'none' WHERE id = %s", (zone.id,))
    await life.look(zone)

    done = await life.workers[0].sweep(life.conn)

    assert dict(done.failed) == {"a.test.": SENTENCE}


async def test_what_nobody_has_thought_of_fails_one_zone_and_not_the_sweep(life, owner, caplog):
    """Such as a name that is no order key."""
    bad = await life.zone("a.test.", "www 60 A 192.0.2.1")
    good = await life.zone("b.test.", "www 60 A 192.0.2.1")
    await life.settle()
    edition, _, _ = await state(life, good)
    del life.zones[bad.id]
    await owner.execute("UPDATE published_rrsets SET sigs = ARRAY['\\x00'::bytea] WHERE zone = %s", (bad.id,))
    life.now += 13 * DAY

    done = await life.workers[0].sweep(life.conn)

    assert dict(done.failed) == {"a.test.": "error, see the log"}
    assert "signer.bug zone=a.test." in caplog.text
    assert (await state(life, good))[0] > edition
