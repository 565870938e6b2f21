"""Nobody signs with other keys than the zone's row says: every job has the number of its zone's keys."""

from __future__ import annotations

import msgspec
import pytest
from lives import Life
from signing import Running, Update, read, validate
from waiting import wait_for

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.store import zones
from ddns.zone.plain import plain
from zone_signer import keybook
from zone_signer.policies import Policies

ORIGIN = from_text("a.test.")
MOVING = "the keys of a.test. are moving; it is signed by the signer's own loop"


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for)


@pytest.fixture
def running(dsn_for, tmp_path):
    return Running(dsn_for, tmp_path)


def at(*lines):
    return {name: found for name, found in read("a.test.", *lines).items() if name != ORIGIN}


async def job_for(conn, zone, *lines):
    async with conn.transaction():
        return (await Update.make(conn, zone.id, at(*lines))).job


@pytest.mark.parametrize(("lines", "short"), [(["www 60 A 192.0.2.2"], True), (["new 60 A 192.0.2.2"], False)])
async def test_a_job_under_another_number_is_refused_and_said_so(life, conn, running, lines, short):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    now = await job_for(conn, zone, *lines)
    assert now.keyset > 0
    assert (plain(now) is not None) is short
    jobs = [msgspec.structs.replace(now, keyset=now.keyset + step) for step in (-1, 1)]
    running.now = life.now
    async with running:
        signed = await running.client.sign([*jobs, now])
        (refused,) = await running.client.sign(jobs[:1])

    assert [one.error for one in signed] == [MOVING, MOVING, ""]
    assert refused.error == MOVING


async def test_keys_that_were_remembered_before_a_step_sign_nothing_behind_it(life, conn, running):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.settle()
    running.now = life.now
    async with running:
        await running.update(conn, zone.id, at("www 60 A 192.0.2.2"))
        old = await job_for(conn, zone, "www 60 A 192.0.2.3")
        await life.order(zone, "roll")
        await life.sweep()

        (late,) = await running.client.sign([old])
        await running.update(conn, zone.id, at("www 60 A 192.0.2.4"))

    assert late.error == ""  # the number that it was read with has its keys still, and the commit compares it
    assert old.keyset < (await zones.get(conn, [zone.id]))[zone.id].keyset
    await life.judge()


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
async def test_updates_in_mid_roll_give_the_zone_that_signing_everything_gives(life, conn, running, scheme, denial):
    """With CDS at the apex and two algorithms, with one key and with two."""
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1", denial=denial)
    await life.policy(zone, scheme=scheme, zsk_lifetime=0)
    await life.settle()
    await life.admin.execute("UPDATE zones SET algorithm = 15")
    await life.look(zone)
    kinds = set()
    async with running:
        for number in range(60):
            running.now = life.now
            await life.sweep()
            await running.update(conn, zone.id, at(f"www 60 A 192.0.2.{number}", f"n{number % 7} 60 A 192.0.2.1"))
            await running.update(conn, zone.id, {from_text(f"n{(number + 3) % 7}.a.test."): ()})
            apex = {"@": (*read("a.test.", "@ 60 TXT x")[ORIGIN],)} if number % 2 else {"@": read("a.test.")[ORIGIN]}
            await running.update(conn, zone.id, {ORIGIN: apex["@"]})
            await life.judge()
            kinds.add((zone.key(Type.CDS) is not None, len(zone.key(Type.SOA).sigs), len(zone.key(Type.DNSKEY).sigs)))
            await life.watch()
            if not await life.moving():
                break
            life.now = max(life.now + 1, await life.wake())

    assert [key[1] for key in await life.keys(zone)] == [15] * len(scheme.split("+"))
    assert {(False, 1, 1), (False, 2, 1), (False, 2, 2), (True, 2, 2)} <= kinds


async def test_a_home_is_made_with_the_keys_of_the_policy_for_homes(life, conn, running):
    await life.admin.execute("UPDATE signing_policies SET scheme = 'ksk+zsk', algorithm = 15 WHERE name = 'home'")
    registry = await life.zone("homes.test.")
    content = read("h.homes.test.", "www 60 A 192.0.2.1")
    async with running:
        running.now = life.now
        await life.sweep()
        async with conn.transaction():
            home = await zones.insert(conn, from_text("h.homes.test."), "nsec3", 13, registry.id)
            made = await Update.make(conn, home, content)
            whole = msgspec.structs.replace(made.job, whole=True)
            (signed,) = await running.client.sign([whole])

    assert [(key.role, key.algorithm, key.flags, key.born) for key in signed.keys] == [
        ("ksk", 15, 257, life.now),
        ("zsk", 15, 256, life.now),
    ]
    assert [one[2] for one in signed.ds] == [15]
    assert validate(from_text("h.homes.test."), list(signed.added), life.now) > 0


async def test_policies_are_read_as_they_stand(conn, connected):
    signer = await connected("zone_signer")
    known = Policies()
    before = [known.named(name) for name in ("default", "home")]

    known.learn(await keybook.policies(signer))

    after = [known.named(name) for name in ("default", "home")]
    assert [msgspec.structs.replace(one, lifetime_jitter=0.0) for one in after] == [
        msgspec.structs.replace(one, lifetime_jitter=0.0) for one in before
    ]
    assert known.named("gone") == known.named("default")
