"""Bulk batches are signed in processes of their own, which come and go, and updates do not wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from signing import MASTER, Running, Update, add, read, validate

from ddns.dns.names import from_text
from ddns.program import program
from ddns.signing.client import SignerAway, SignerClient
from ddns.zone.jobs import Node, SignJob
from zone_signer import helpers
from zone_signer.clockkeeper import Clockkeeper
from zone_signer.helpers import Helpers
from zone_signer.service import Service
from zone_signer.signer import Signer


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "signer.key"
    path.touch(mode=0o600)
    path.write_bytes(MASTER)
    return path


@pytest.fixture
def bulk(dsn_for, tmp_path, key):
    """What makes a signer with at most *most* helpers of *command*, or of the real one, and a client in bulk."""

    def make(most=1, command=()):
        running = Running(dsn_for, tmp_path, time.time())  # that of the processes
        environment = {**os.environ, "DDNS_DSN": dsn_for("zone_signer")}
        there = Helpers(command or program("zone_signer.helper", str(key)), environment, most)
        signer = Signer(running.ring, running.pool, lambda: running.now)
        running.service = Service(running.path, signer, helpers=there)
        return running, SignerClient(running.path, 20.0, bulk=True)

    return make


def homes(count, first=0):
    made = []
    for number in range(first, first + count):
        origin = f"h{number}.test."
        content = read(origin, "cam 60 A 192.0.2.1")
        nodes = tuple(Node(name, (), found) for name, found in content.items())
        made.append(SignJob(0, from_text(origin), "nsec3", 13, nodes, (), whole=True))
    return made


def working():
    """Return the processes of helpers that we have started."""
    tasks = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    pids = [int(pid) for found in tasks for pid in found.split()]
    return [pid for pid in pids if b"zone_signer.helper" in command_line(pid)]


def command_line(pid):
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextlib.asynccontextmanager
async def one_held_up():
    """Have the helper that is there, or comes, do nothing meanwhile."""
    async with asyncio.timeout(30):
        while not working():  # noqa: ASYNC110 - a process tells nobody that it begins
            await asyncio.sleep(0)
    (pid,) = working()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_an_update_is_signed_while_a_helper_signs_hundreds_of_zones(admin, conn, connected, bulk):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    running, client = bulk()
    async with running:
        await running.worker.sweep(await connected("zone_signer"))
        many = asyncio.ensure_future(client.sign(homes(300)))
        async with one_held_up(), conn.transaction():
            changed = {from_text("www.a.test."): read("a.test.", "www 60 A 192.0.2.2")[from_text("www.a.test.")]}
            job = (await Update.make(conn, zone, changed)).job
            (signed,) = await running.client.sign([job])
            assert not many.done()
        assert signed.added

        answers = await many

        await client.close()
    assert [one.error for one in answers] == [""] * 300
    for one, job in ((answers[0], 0), (answers[299], 299)):
        assert validate(from_text(f"h{job}.test."), list(one.added), now=None) == len(one.added)
        assert running.ring.vault.open(from_text(f"h{job}.test."), one.keys[0]).tag == one.keys[0].tag
    assert working() == []


async def test_a_registry_that_is_locked_has_a_helper_of_its_own(admin, conn, connected, bulk):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    running, client = bulk()
    other = SignerClient(running.path, 20.0, bulk=True)
    running.now = time.time()  # helpers have the real clock
    async with running:
        await running.worker.sweep(await connected("zone_signer"))
        many = asyncio.ensure_future(client.sign(homes(600)))
        async with one_held_up(), conn.transaction():
            job = (await Update.make(conn, zone, {from_text("b.a.test."): read("a.test.", "b 60 NS ns.b.test.")[
                from_text("b.a.test.")]})).job  # fmt: skip
            (signed,) = await other.sign([job])
            assert len(working()) == 2
        assert signed.added
        await many
        await client.close()
        await other.close()


async def test_a_helper_that_dies_is_followed_by_another(bulk):
    running, client = bulk()
    async with running:
        await client.sign(homes(1))
        (pid,) = working()
        many = asyncio.ensure_future(client.sign(homes(300)))
        await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)

        answers = await many

        assert [one.error for one in answers] == [""] * 300
        assert pid not in working()
        await client.close()


async def test_without_a_helper_that_lives_the_asker_knows_that_the_signer_is_away(bulk):
    running, client = bulk(command=("/bin/false",))
    async with running:
        with pytest.raises(SignerAway):
            await client.sign(homes(1))
        assert (await running.client.sign(homes(1)))[0].keys  # updates and enrolments go on
        await client.close()


async def test_no_helper_is_started_behind_a_leap_of_the_clock(dsn_for, tmp_path, key, connected):
    """It would not know of the leap: what it would sign by is the clock as it is then."""
    running = Running(dsn_for, tmp_path, time.time())
    there = Helpers(program("zone_signer.helper", str(key)), {**os.environ, "DDNS_DSN": dsn_for("zone_signer")}, 1)
    clock = Clockkeeper(lambda: running.now, lambda: 0.0, lambda _: True)
    running.service = Service(running.path, Signer(running.ring, running.pool, clock), helpers=there)
    async with running:
        client = SignerClient(running.path, 20.0, bulk=True)
        await clock.look(await connected("zone_signer"))
        running.now += 3600
        told = await client.sign(homes(3))
        assert not working()
        running.now -= 3600
        signed = await client.sign(homes(3))
        await client.close()

    assert all("the clock jumped 3600 s forward" in one.error for one in told)
    assert [one.error for one in signed] == [""] * 3


async def test_helpers_that_are_idle_are_let_go(bulk, monkeypatch):
    monkeypatch.setattr(helpers, "IDLE", 0.05)
    running, client = bulk(most=2)
    other = SignerClient(running.path, 20.0, bulk=True)
    async with running:
        await asyncio.gather(client.sign(homes(100)), other.sign(homes(100, 100)))
        assert len(working()) <= 2
        async with asyncio.timeout(30):
            while working():  # noqa: ASYNC110 - a process tells nobody that it ends
                await asyncio.sleep(0.02)
        assert (await client.sign(homes(1)))[0].keys
        await client.close()
        await other.close()
