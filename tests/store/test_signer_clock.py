"""A signer whose clock leaps, goes back or disagrees signs and steps nothing, says why, and goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from lives import Life
from signing import Update, add, read, validate, vault
from waiting import wait_for

from ddns.dns.names import from_text
from ddns.store import published, zones
from ddns.store.pool import Pool
from zone_signer import clockkeeper, heartbeat, vigil
from zone_signer.clock import ACCEPT, SLACK
from zone_signer.clockkeeper import UNKNOWN, Clockkeeper, ClockRefused, kernel_says
from zone_signer.keyring import KeyRing
from zone_signer.lookup import Lookup
from zone_signer.signer import Signer
from zone_signer.vaults import Vaults
from zone_signer.worker import Worker

HOUR, YEAR = 3600, 365 * 86400
JUMPS = [HOUR, -HOUR, 10 * YEAR, -10 * YEAR]
ORIGIN = from_text("a.test.")


class Clocks:
    """The machine's clocks: the true time, and how far the system's lies *off* it. None of them goes by itself."""

    def __init__(self):
        self.true = time.time()
        self.off = 0.0
        self.synchronized = None
        self.readings = 0

    def system(self):
        self.readings += 1
        return self.true + self.off

    def steady(self):
        return self.true - 1_000_000  # since the machine was started

    def keeper(self):
        return Clockkeeper(self.system, self.steady, lambda _: self.synchronized)


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def signer(connected):
    return wait_for(connected("zone_signer"))


class House:
    """A signer with a clock of its own: what answers servers, and its own loop."""

    def __init__(self, clocks, dsn):
        self.clock = clocks.keeper()
        self.ring = KeyRing(vault())
        self.dsn = dsn
        self.pool = Pool(dsn, "zone_signer", 2)
        self.lookup = Lookup(dsn, "zone_signer")
        self.signer = Signer(self.ring, self.pool, self.clock, self.lookup)
        self.worker = Worker(dsn, self.ring, self.clock)


@pytest.fixture
def house(clocks, dsn_for):
    made = House(clocks, dsn_for("zone_signer"))
    wait_for(made.pool.open())
    yield made
    made.lookup.close()
    wait_for(made.pool.close())


async def one(conn, query, *values):
    return (await (await conn.execute(query, values)).fetchone())[0]


async def high(conn):
    return await one(conn, "SELECT extract(epoch FROM high)::float FROM signer_clock")


async def update(house, conn, zone, address):
    """Do an update as a server does it; return why the signer did not sign it, in which case it is kept."""
    async with conn.transaction():
        name = from_text("www.a.test.")
        step = await Update.make(conn, zone, {name: read("a.test.", f"www 60 A {address}")[name]})
        (signed,) = await house.signer.sign([step.job])
        await step.commit(None if signed.error else signed)
    return signed.error


async def secure(conn, zone, now):
    """Check that all that is published validates at *now*."""
    shown = await published.read_zone(conn, zone)
    assert validate(ORIGIN, shown, int(now)) >= len(shown) > 0


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_clock_that_jumps_while_it_runs_signs_nothing_until_it_is_right_again(
    admin, conn, signer, house, clocks, jump
):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    assert await house.clock.look(signer) == ""
    await house.worker.sweep(signer)
    before = (await zones.get(admin, [zone]))[zone]
    await admin.execute(
        "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (%s, 'roll', 'a person', now())", (zone,)
    )

    events = await one(admin, "SELECT count(*) FROM key_events")

    clocks.off = jump  # and nobody has looked since

    word = "forward" if jump > 0 else "back"
    said = await update(house, conn, zone, "192.0.2.2")
    assert said.startswith(f"the clock jumped {abs(jump)} s {word}; set it right, or")
    assert house.signer.at_once([]) is None
    assert house.signer.is_held
    with pytest.raises(ClockRefused, match=f"jumped {abs(jump)} s {word}"):
        await house.worker.sweep(signer)
    assert await house.clock.look(signer)  # nor does a look make it better
    assert await update(house, conn, zone, "192.0.2.3")
    after = (await zones.get(admin, [zone]))[zone]
    assert (after.edition, after.keyset, after.signed_pending) == (before.edition, before.keyset, True)
    assert after.head == before.head + 2  # updates are kept
    assert await one(admin, "SELECT count(*) FROM signing_keys") == 1
    assert await one(admin, "SELECT count(*) FROM key_events") == events
    await secure(admin, zone, clocks.true)
    assert abs(await high(admin) - clocks.true) <= 1

    clocks.off = 0.0

    assert await house.clock.look(signer) == ""
    await house.worker.sweep(signer)
    assert (await zones.get(admin, [zone]))[zone].edition > before.edition
    assert await one(admin, "SELECT count(*) FROM signing_keys") == 2  # the roll has begun
    assert await update(house, conn, zone, "192.0.2.4") == ""
    await secure(admin, zone, clocks.true)


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_clock_that_is_wrong_at_the_start_signs_nothing(admin, conn, signer, house, clocks, jump):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    clocks.off = jump

    with pytest.raises(ClockRefused, match=UNKNOWN):
        await house.worker.sweep(signer)  # nobody has looked at all
    word = "ahead of" if jump > 0 else "behind"
    assert f"the clock is {abs(jump)} s {word} that of the database" in await house.clock.look(signer)
    with pytest.raises(ClockRefused, match="that of the database"):
        await house.worker.sweep(signer)
    assert await update(house, conn, zone, "192.0.2.2")
    assert await published.read_zone(admin, zone) == []
    assert await one(admin, "SELECT high = '-infinity' FROM signer_clock")

    clocks.off = 0.0
    assert await house.clock.look(signer) == ""
    await house.worker.sweep(signer)
    await secure(admin, zone, clocks.true)


async def test_a_jump_that_the_databases_clock_made_too_is_one(admin, signer, house, clocks):
    """Where both are on one machine. The true time is what is faked here: it was long ago, and then it is now."""
    clocks.true -= 2 * HOUR
    clocks.off = 2 * HOUR
    await house.clock.look(signer)
    clocks.true += 60
    assert await house.clock.look(signer) == ""
    clocks.off += HOUR
    clocks.true -= HOUR  # the two that can be compared agree; the one that nobody sets does not

    assert "the clock jumped 3600 s forward" in await house.clock.look(signer)


@pytest.mark.parametrize(("away", "synchronized", "believed"), [
    (2.9, None, True), (2.9, False, True), (3.1, None, False), (3.1, False, False), (3.1, True, True),
    (4000, True, True),
])  # fmt: skip
async def test_a_signer_that_was_away_for_long_wants_to_be_sure_of_the_time(
    admin, owner, signer, house, clocks, away, synchronized, believed
):
    await owner.execute("UPDATE signer_clock SET high = to_timestamp(%s)", (clocks.true - away * 86400,))
    clocks.synchronized = synchronized

    said = await house.clock.look(signer)

    assert (said == "") is believed
    if not believed:
        assert said.endswith("synchronized; set it right, or where it is right say: zone-signer clock accept")
        until = await clockkeeper.accept(signer, int(clocks.true))
        assert until == int(clocks.true) + ACCEPT
        assert await house.clock.look(signer) == ""
        clocks.true += ACCEPT + 60
        assert house.clock() == clocks.true  # and an hour later nobody doubts it


@pytest.mark.parametrize("behind", [SLACK - 1, SLACK + 2])
async def test_time_does_not_go_back_behind_what_any_signer_signed_by(admin, owner, signer, house, clocks, behind):
    await owner.execute("UPDATE signer_clock SET high = to_timestamp(%s)", (clocks.true + behind,))

    said = await house.clock.look(signer)

    assert (said == "") is (behind < SLACK)
    if said:
        assert "behind the last time that was signed by" in said


async def test_who_accepts_the_clock_takes_back_what_was_signed_by_a_later_time(admin, owner, signer, house, clocks):
    await owner.execute("UPDATE signer_clock SET high = to_timestamp(%s)", (clocks.true + YEAR,))
    assert await house.clock.look(signer)

    await clockkeeper.accept(signer, int(clocks.true))

    assert await house.clock.look(signer) == ""
    assert abs(await high(admin) - clocks.true) <= 1
    other = house.clock.__class__(lambda: clocks.true + 2 * ACCEPT, clocks.steady, lambda _: True)
    assert "ahead of that of the database" in await other.look(signer)  # it was said of one time, not of all


async def test_an_accepted_jump_counts_no_more_and_the_next_one_does(admin, signer, house, clocks):
    await house.clock.look(signer)
    clocks.true -= 1000  # as a virtual machine sees it that was halted
    clocks.off += 1000
    assert "jumped 1000 s forward" in house.clock.refused()
    assert "jumped 1000 s forward" in await house.clock.look(signer)

    await clockkeeper.accept(signer, int(clocks.system()))

    assert await house.clock.look(signer) == ""
    assert house.clock() == clocks.system()
    clocks.off += 301
    with pytest.raises(ClockRefused, match="jumped 301 s forward"):
        house.clock()


async def test_the_latest_time_is_written_by_steps_and_never_goes_back(admin, signer, clocks, dsn_for, conn):
    life = Life(admin, signer, conn, dsn_for)
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.sweep()
    assert await high(admin) == life.now
    life.now += 100
    await life.order(zone, "roll")
    await life.sweep()
    assert await high(admin) == life.now
    await clockkeeper.note(signer, life.now - 50)
    assert await high(admin) == life.now


async def test_nobody_waits_for_who_just_writes_the_latest_time(admin, signer, connected):
    other = await connected("zone_signer")
    async with signer.transaction():
        await clockkeeper.note(signer, 1000)
        await other.execute("SET lock_timeout = 1")
        await clockkeeper.note(other, 2000)
    assert await high(admin) == 1000
    await clockkeeper.note(other, 2000)
    assert await high(admin) == 2000


async def test_signs_of_life_say_why_a_signer_is_held_and_that_it_is_no_more(
    admin, house, clocks, monkeypatch, signer, caplog
):
    monkeypatch.setattr(heartbeat, "SOON", 0.01)
    beating = asyncio.create_task(heartbeat.beat(house.pool, "one", Vaults([vault()]), house.clock))

    async def held():
        return [signer.held for signer in await heartbeat.signers(admin)]

    async def until(condition):
        async with asyncio.timeout(30):
            while not condition(await held()):  # noqa: ASYNC110 - rows tell nobody that they change
                await asyncio.sleep(0.01)

    await until(lambda found: found == [""])
    clocks.off = -HOUR
    # Long before the next sign of life is due:
    await until(lambda found: found and "is 3600 s behind the last time" in found[0])
    clocks.off = 0.0
    await until(lambda found: found == [""])
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating
    assert await held() == []
    assert "signer.clock_refused reason=the clock" in caplog.text
    assert "signer.clock_believed" in caplog.text


async def test_the_signers_own_loop_goes_on_by_itself_when_the_clock_is_right_again(
    admin, house, clocks, signer, monkeypatch
):
    monkeypatch.setattr("zone_signer.worker.HELD", 0.01)
    await house.clock.look(signer)
    clocks.off = 10.0 * YEAR
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    read_before = clocks.readings
    working = asyncio.create_task(house.worker.run())
    async with asyncio.timeout(30):
        while clocks.readings < read_before + 10:  # noqa: ASYNC110 - it has tried again and again
            await asyncio.sleep(0.01)
    assert await published.read_zone(admin, zone) == []
    await admin.execute("LISTEN ddns_zones")

    clocks.off = 0.0

    async for _ in admin.notifies(timeout=30, stop_after=1):
        pass
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    await secure(admin, zone, clocks.true)


async def test_by_a_wrong_clock_no_zone_is_told_to_be_late(admin, house, clocks, signer, monkeypatch, caplog):
    monkeypatch.setattr(vigil, "EVERY", 0.01)
    await house.clock.look(signer)
    await add(admin, "a.test.", "www 60 A 192.0.2.1")
    await house.worker.sweep(signer)
    clocks.off = 10.0 * YEAR
    watching = asyncio.create_task(vigil.watch(house.pool, house.clock))
    read_before = clocks.readings
    async with asyncio.timeout(30):
        while clocks.readings < read_before + 10:  # noqa: ASYNC110 - it has looked again and again
            await asyncio.sleep(0.01)
    assert "signer.alarm" not in caplog.text

    clocks.off, clocks.true = 0.0, clocks.true + 14 * 86400
    async with asyncio.timeout(30):
        while "code=signature-" not in caplog.text:  # noqa: ASYNC110 - as it does by one that is right
            await asyncio.sleep(0.01)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def test_without_its_database_a_signer_goes_on_with_what_it_believed(admin, house, clocks, signer):
    await house.clock.look(signer)
    clocks.true += 86400

    assert house.clock() == clocks.true


def test_the_kernel_says_nothing_of_a_clock_that_is_not_its_own():
    assert kernel_says(time.time()) in (True, False, None)
    assert kernel_says(time.time() + HOUR) is None
