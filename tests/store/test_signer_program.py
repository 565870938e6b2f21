"""`zone-signer` as a program: its commands, its sentences, its start and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from signing import add, read, validate

from ddns.dns.names import from_text
from ddns.store import published, zones

TIMEOUT = 30


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def call(dsn_for, state):
    """What runs `zone-signer` with some words and returns what it did; the database is the fresh one."""

    def run(*words, **environment):
        return subprocess.run(
            [sys.executable, "-m", "zone_signer.cli", *words],
            env={**os.environ, "DDNS_DSN": dsn_for("zone_signer"), "DDNS_STATE": str(state), **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run


@contextlib.contextmanager
def served(dsn, state, **environment):
    """Yield a running `zone-signer run` that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zone_signer.cli", "run"],
        env={**os.environ, "DDNS_DSN": dsn, "DDNS_STATE": str(state), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


async def eventually_published(conn, zone, edition):
    """Wait until a zone is at *edition*."""
    await conn.execute("LISTEN ddns_zones")
    while (await zones.get(conn, [zone]))[zone].edition < edition:
        async for _ in conn.notifies(timeout=10, stop_after=1):
            pass


async def test_once_signs_what_waits_and_says_so(admin, call, state):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")

    done = call("once")

    assert (done.returncode, done.stdout) == (0, "1 editions published, 0 delegations secured.\n")
    assert validate(from_text("a.test."), (await published.read_zone(admin, zone)), now=None)
    assert (state / "signer.key").stat().st_mode & 0o777 == 0o600
    assert call("once").stdout == "0 editions published, 0 delegations secured.\n"


async def test_plan_does_nothing(admin, call, state):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")

    assert call("plan", "--records").returncode == 0

    assert (await published.read_zone(admin, zone)) == []
    assert not (state / "signer.key").exists()


@pytest.mark.parametrize(
    ("words", "environment", "status", "sentence"),
    [
        (["once", "--dsn", "host=/nowhere dbname=x"], {}, 1, r".*/nowhere.*"),
        (["once", "--master-key", "/dev/null/key"], {}, 1, r"the master key /dev/null/key cannot be made: .*"),
        (["run", "--socket", "/dev/null/sock"], {}, 1, r"cannot listen on /dev/null/sock: .*"),
        (["fly"], {}, 2, r"No such command 'fly'\."),
        (["once", "--fast"], {}, 2, r"No such option.*--fast.*"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call, words, environment, status, sentence):
    done = call(*words, **environment)

    assert done.returncode == status
    assert re.fullmatch(f"zone-signer: {sentence}\n", done.stderr), done.stderr


async def test_a_master_key_that_was_lost_stops_the_start_in_one_sentence(admin, call, state):
    await add(admin, "a.test.")
    call("once")
    (state / "signer.key").unlink()

    for command in ("run", "once"):
        done = call(command)

        assert done.returncode == 1
        assert done.stderr == (
            f"zone-signer: the master key {state}/signer.key is missing; put back its copy, for without it no signing"
            " key opens.\n"
        )


async def test_once_ends_with_a_failure_where_a_zone_was_not_signed(admin, call):
    await add(admin, ".".join("l" * 60 for _ in range(3)) + "." + "m" * 45 + ".test.")

    done = call("once")

    assert done.returncode == 1
    assert done.stdout == "0 editions published, 0 delegations secured.\n"
    assert done.stderr.endswith("zone-signer: 1 of the zones could not be signed.\n")


async def test_run_signs_as_soon_as_it_is_told_and_ends_cleanly(admin, dsn_for, state, tmp_path):
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(TIMEOUT)
    with served(dsn_for("zone_signer"), state, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
        assert told.recv(100) == b"READY=1"
        assert (state / "run" / "signer.sock").is_socket()

        zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
        await admin.execute("NOTIFY ddns_pending")
        await eventually_published(admin, zone, 1)

        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert told.recv(100) == b"STOPPING=1"
        assert "zone.signed zone=a.test. edition=1 serial=1" in process.stderr.read()
    told.close()
    assert not (state / "run" / "signer.sock").exists()


async def test_a_signer_that_was_killed_leaves_nothing_half_done(admin, dsn_for, state):
    ids = [(await add(admin, f"z{number}.test.", "www 60 A 192.0.2.1")) for number in range(60)]
    with served(dsn_for("zone_signer"), state) as process:
        process.kill()
    with served(dsn_for("zone_signer"), state):
        for zone in ids:
            await eventually_published(admin, zone, 1)

    for number, zone in enumerate(ids):
        shown = await published.read_zone(admin, zone)
        assert validate(from_text(f"z{number}.test."), shown, now=None) == len(shown)
    found = await zones.get(admin, ids)
    assert all(zone.edition == 1 and not zone.signed_pending for zone in found.values())


async def test_a_big_zone_is_signed_while_the_socket_is_answered(admin, dsn_for, state):
    """Nobody who asks the socket waits for the whole of a zone with thousands of names."""
    lines = [f"h{number} 60 A 192.0.2.{number % 250}" for number in range(4000)]
    content = read("big.test.", *lines)
    assert len(content) == 4001
    zone = await add(admin, "big.test.", *lines)
    waited = []
    frame = b"\x00\x00\x00\x03\x92\x07\x90"  # a batch without jobs
    with served(dsn_for("zone_signer"), state):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(TIMEOUT)
            asking.connect(str(state / "run" / "signer.sock"))
            for _ in range(20):
                before = os.times().elapsed
                asking.sendall(frame)
                assert asking.recv(len(frame), socket.MSG_WAITALL) == frame
                waited.append(os.times().elapsed - before)
        await eventually_published(admin, zone, 1)

    assert max(waited) < 1.0
    # Beside the addresses and the chain: SOA, NS, DNSKEY, NSEC3PARAM, and CDS and CDNSKEY for a parent elsewhere.
    assert len(await published.read_zone(admin, zone)) == 4000 + 4001 + 6


def test_the_socket_is_where_the_server_looks_for_it(tmp_path):
    from zone_signer import settings  # noqa: PLC0415

    assert settings.socket_path(None, tmp_path) == tmp_path / "run" / "signer.sock"
    assert settings.socket_path(Path("/x"), tmp_path) == Path("/x")
