"""Signing keys move from master key to master key: page by page, stopped anywhere, beside running signers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys

import psycopg
import pytest
from msgspec.structs import replace
from signing import add
from waiting import wait_for

from ddns.dns.names import from_text
from ddns.store import signing as signing_rows
from ddns.zone.jobs import SealedKey
from zone_signer import heartbeat, masters, resealing
from zone_signer.masters import Files
from zone_signer.phase import Role
from zone_signer.vault import Vault, VaultError
from zone_signer.vaults import Vaults

TIMEOUT = 30
NOW = 1_800_000_000
OLD, NEW = Vault(bytes(32)), Vault(bytes(range(32)))
KINDS = [(13, Role.CSK), (15, Role.CSK), (14, Role.KSK), (13, Role.ZSK), (8, Role.ZSK)]


@pytest.fixture
def signer(connected):
    """The signer's connection."""
    return wait_for(connected("zone_signer"))


async def keys_in(conn, zone):
    """Return the keys of a zone as they are stored."""
    cursor = await conn.execute(
        """SELECT id::text, algorithm, flags, tag, public, sealed, role, vault FROM signing_keys
           WHERE zone = %s ORDER BY tag""",
        [zone],
    )
    return [SealedKey(*row) for row in await cursor.fetchall()]


async def sealed_under(admin, vault, zone, origin, count):
    """Make and store *count* keys of a zone under the master key of *vault*; return them."""
    made, taken = [], set()
    for number in range(count):
        _, key = vault.make(from_text(origin), *KINDS[number % len(KINDS)], taken)
        taken.add(key.tag)
        made.append(key)
    await signing_rows.insert_keys(admin, [(zone, key) for key in made])
    return sorted(made, key=lambda key: key.tag)


async def test_every_key_of_every_kind_moves_and_stays_what_it_was(admin, signer):
    zone = await add(admin, "a.test.")
    before = await sealed_under(admin, OLD, zone, "a.test.", 23)

    done = await resealing.reseal_all(signer, Vaults([NEW, OLD]), at_once=5)

    after = await keys_in(signer, zone)
    assert done == resealing.Resealed(23)
    assert [replace(key, sealed=b"") for key in after] == [replace(key, sealed=b"") for key in before]
    for key in after:
        assert NEW.open(from_text("a.test."), key).public == key.public
        with pytest.raises(VaultError):
            OLD.open(from_text("a.test."), key)
    assert await resealing.counts(signer) == {NEW.master: 23}
    assert await resealing.reseal_all(signer, Vaults([NEW, OLD])) == resealing.Resealed(0)


async def test_stopped_after_any_page_all_keys_open_and_the_rest_moves_later(admin, signer):
    zone = await add(admin, "a.test.")
    await sealed_under(admin, OLD, zone, "a.test.", 12)
    both = Vaults([NEW, OLD])

    class Stopped(Exception):
        pass

    class Stopping(Vaults):
        left = 0

        def reseal(self, origin, sealed):
            self.left -= 1
            if self.left < 0:
                raise Stopped
            return super().reseal(origin, sealed)

    for pages in range(4):
        stopping = Stopping([NEW, OLD])
        stopping.left = 3 * pages + 1  # in the midst of a page: nothing of that is kept
        with contextlib.suppress(Stopped):
            await resealing.reseal_all(signer, stopping, at_once=3)
        for key in await keys_in(signer, zone):
            assert both.open(from_text("a.test."), key).tag == key.tag
    await resealing.reseal_all(signer, both, at_once=3)

    assert await resealing.counts(signer) == {NEW.master: 12}


async def test_keys_that_others_hold_are_passed_over_and_moved_the_next_time(admin, signer, connected):
    zone = await add(admin, "a.test.")
    first, *_ = await sealed_under(admin, OLD, zone, "a.test.", 5)
    other = await connected("zone_signer")

    async with other.transaction():
        await other.execute("SELECT FROM signing_keys WHERE id = %s FOR UPDATE", [first.id])
        assert (await resealing.reseal_all(signer, Vaults([NEW, OLD]))).moved == 4
    assert (await resealing.reseal_all(signer, Vaults([NEW, OLD]))).moved == 1


async def test_a_damaged_key_is_told_and_stops_no_other(admin, signer):
    zone = await add(admin, "a.test.")
    first, *_ = await sealed_under(admin, OLD, zone, "a.test.", 5)
    await signer.execute(
        "UPDATE signing_keys SET sealed = overlay(sealed PLACING '!' FROM octet_length(sealed)) WHERE id = %s",
        [first.id],
    )

    done = await resealing.reseal_all(signer, Vaults([NEW, OLD]), at_once=2)

    assert done.moved == 4
    assert done.failed == (
        f"key {first.tag} of a.test. was damaged or belongs elsewhere; put back the database's copy",
    )


async def test_keys_without_a_private_half_and_keys_in_tokens_are_left_alone(admin, signer, owner):
    zone = await add(admin, "a.test.")
    first, second, *_ = await sealed_under(admin, OLD, zone, "a.test.", 5)
    await owner.execute("UPDATE signing_keys SET state = 'removed', sealed = NULL WHERE id = %s", [first.id])
    await owner.execute("UPDATE signing_keys SET vault = 'pkcs11:one', sealed = '\\x03' WHERE id = %s", [second.id])

    assert await resealing.any_sealed(signer) is not None
    assert await resealing.reseal_all(signer, Vaults([NEW, OLD])) == resealing.Resealed(3)
    assert await resealing.counts(signer) == {NEW.master: 3}


async def test_signs_of_life_say_who_lives_and_what_it_holds(admin, signer, owner):
    await heartbeat.put(signer, "one", NOW, [NEW.master, OLD.master])
    await heartbeat.put(signer, "two", NOW - 5, [OLD.master], "its clock is wrong")
    await heartbeat.put(signer, "two", NOW + 5, [NEW.master])
    await owner.execute("UPDATE signers SET database_at = now() - interval '301 s' WHERE name = 'one'")

    assert await heartbeat.signers(signer) == [
        heartbeat.Signer("one", NOW, (NEW.master, OLD.master), living=False),
        heartbeat.Signer("two", NOW + 5, (NEW.master,), living=True),
    ]
    await heartbeat.leave(signer, "one")
    assert [one.name for one in await heartbeat.signers(signer)] == ["two"]
    cursor = await admin.execute("SELECT held FROM signers")
    assert await cursor.fetchall() == [("",)]


# -- the commands


@pytest.fixture
def path(tmp_path):
    """The master key of a signer in a state folder of its own, `OLD`."""
    file = tmp_path / "state" / "signer.key"
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_bytes(bytes(32))
    return file


@pytest.fixture
def call(dsn_for, path):
    """What runs `zone-signer master` with some words: its status, and what it said."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "zone_signer.cli", "master", *words],
            env={**os.environ, "DDNS_DSN": dsn_for("zone_signer"), "DDNS_STATE": str(path.parent)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def rotated_long_ago(path):
    """Have the master key at *path* seal since yesterday."""
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 86400))


async def test_a_master_key_is_added_rotated_and_retired(admin, signer, call, path):
    zone = await add(admin, "a.test.")
    await sealed_under(admin, OLD, zone, "a.test.", 7)

    status, said = call("add", "-")
    new = Files(path).load()[1].master.hex()
    assert (status, said.splitlines()[0]) == (0, f"{new} is in {path}.{new}.")
    rows = json.loads(call("show", "--json")[1])
    assert [(row["id"], row["here"], row["keys"], row["signers"]) for row in rows] == [
        (OLD.master.hex(), "seals and opens", 7, []),
        (new, "waits to seal", 0, []),
    ]
    assert call("rotate") == (0, "7 signing keys were sealed anew.\n")
    assert call("rotate") == (0, "0 signing keys were sealed anew.\n")
    assert call("show")[1].splitlines() == [
        f"{new} seals and opens; seals 7 signing keys; held by no running signer",
        f"{OLD.master.hex()} opens; seals 0 signing keys; held by no running signer",
    ]
    status, said = call("retire", OLD.master.hex())
    assert status == 1
    assert "may still be on their way into the database; say it again after " in said
    rotated_long_ago(path)
    status, said = call("retire", OLD.master.hex())
    assert (status, said) == (
        0, f"{OLD.master.hex()} is gone from here; do the same at every other signer, and with its copies.\n"
    )  # fmt: skip
    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == ["signer.key"]
    (vault,) = Files(path).load()
    for key in await keys_in(signer, zone):
        assert vault.open(from_text("a.test."), key).tag == key.tag


async def test_nothing_is_rotated_while_a_running_signer_lacks_the_new_master_key(admin, signer, call, path, owner):
    zone = await add(admin, "a.test.")
    await sealed_under(admin, OLD, zone, "a.test.", 2)
    new = masters.add(path).master
    await heartbeat.put(signer, "here", NOW, [OLD.master, new])
    await heartbeat.put(signer, "elsewhere", NOW, [OLD.master])

    status, said = call("rotate")

    assert status == 1
    assert said.startswith(f"zone-signer: elsewhere does not hold the master key {new.hex()}: put its file beside")
    assert await resealing.counts(signer) == {OLD.master: 2}
    assert Files(path).load()[0].master == OLD.master
    await owner.execute("UPDATE signers SET database_at = now() - interval '301 s' WHERE name = 'elsewhere'")
    assert call("rotate") == (0, "2 signing keys were sealed anew.\n")


async def test_a_master_key_is_not_retired_while_anybody_needs_it(admin, signer, call, path):
    zone = await add(admin, "a.test.")
    await sealed_under(admin, OLD, zone, "a.test.", 2)
    new = masters.add(path).master
    masters.put_first(path, new)
    rotated_long_ago(path)
    old = OLD.master.hex()

    assert call("retire", old)[1] == (
        f"zone-signer: 2 signing keys are under {old}; say zone-signer master rotate first.\n"
    )
    await heartbeat.put(signer, "elsewhere", NOW, [OLD.master, new])
    assert call("retire", old)[1] == (
        f"zone-signer: elsewhere still seals with {old}; say zone-signer master rotate there.\n"
    )
    assert call("retire", new.hex())[1].startswith(f"zone-signer: {new.hex()} is the master key that seals; add")
    assert {one.master for one in Files(path).load()} == {OLD.master, new}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rotate", "0123456789abcdef"], "there is no master key 0123456789abcdef here; zone-signer master show lists"),
        (["rotate", "abc"], "abc is not the id of a master key, which has 16 hexadecimal digits."),
        (["retire", "0123456789abcdef"], "there is no master key 0123456789abcdef beside"),
        (["add", "/nowhere/key"], "/nowhere/key cannot be read: No such file or directory."),
        (["add", "FILE"], "a master key has 32 octets, and this has 5; make one with - for FILE."),
        (["add", "OPEN"], "/open.key is open to others; make it yours alone with chmod 600."),
        (["add", "HERE"], f"the master key {OLD.master.hex()} is here already."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call, path, tmp_path, words, sentence):
    rotated_long_ago(path)
    files = {"FILE": tmp_path / "short.key", "OPEN": tmp_path / "open.key", "HERE": path}
    for file in (files["FILE"], files["OPEN"]):
        file.write_bytes(b"short")
        file.chmod(0o600 if file == files["FILE"] else 0o644)

    status, said = call(*[str(files.get(word, word)) for word in words])

    assert status == 1
    assert said.count("\n") == 1
    assert sentence in said


def test_of_two_that_wait_one_must_be_named(call, path):
    one, two = sorted(masters.add(path).master.hex() for _ in range(2))

    assert call("rotate") == (1, f"zone-signer: {one} and {two} wait; name one: zone-signer master rotate ID.\n")
    assert call("rotate", two) == (0, "0 signing keys were sealed anew.\n")
    assert Files(path).load()[0].master.hex() == two


@contextlib.contextmanager
def running(dsn, state):
    """Yield a running `zone-signer run` that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "zone_signer.cli", "run"],
        env={**os.environ, "DDNS_DSN": dsn, "DDNS_STATE": str(state)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_a_running_signer_tells_what_it_holds_and_takes_its_row_away_when_it_stops(admin, dsn_for, path):
    with running(dsn_for("zone_signer"), path.parent) as process:
        found = await eventually(lambda: heartbeat.signers(admin))
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0

    (one,) = found
    assert one.name.endswith(f":{path.parent / 'run' / 'signer.sock'}")
    assert (one.masters, one.living) == ((OLD.master,), True)
    assert await heartbeat.signers(admin) == []


async def eventually(ask):
    """Return the first answer that is not empty."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if found := await ask():
                return found
            await asyncio.sleep(0.02)


async def test_a_server_can_neither_read_signs_of_life_nor_sealed_keys(admin, connected):
    server = await connected("ddns_server")

    for table in ("signers", "signing_keys"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await server.execute(f"SELECT * FROM {table}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await server.execute("SELECT sealed FROM signing_keys")
