"""A zone's keys roll into a token and out again, and under another master key; never bogus in any cache."""

from __future__ import annotations

import pytest
from lives import Life
from signing import vault
from tokens import Token
from waiting import wait_for

from zone_signer import resealing
from zone_signer.hsm import Hsm
from zone_signer.keyring import KeyRing
from zone_signer.vault import Vault
from zone_signer.vaults import Vaults
from zone_signer.worker import Worker

TOKEN = "pkcs11:one"


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = Token(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def hsm(token):
    opened = Hsm(token.module, token.label, token.pin)
    yield opened
    opened.close()


@pytest.fixture
def signer(connected):
    return wait_for(connected("zone_signer"))


@pytest.fixture
def life(admin, conn, signer, dsn_for, hsm):
    """A house whose signer has both kinds of vaults."""
    made = Life(admin, signer, conn, dsn_for)
    made.rings = [KeyRing(Vaults([vault()], hsm))]
    made.workers = [Worker(dsn_for("zone_signer"), made.rings[0], lambda: made.now)]
    return made


async def where(life, zone):
    """Return role, algorithm and vault of the keys of a zone that are not removed."""
    rows = await life.admin.execute(
        "SELECT role, algorithm, vault FROM signing_keys WHERE zone = %s AND state <> 'removed' ORDER BY role",
        [zone.id],
    )
    return await rows.fetchall()


@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
async def test_keys_roll_into_a_token_and_out_of_it_again(life, hsm, scheme):
    roles = ["csk"] if scheme == "csk" else ["ksk", "zsk"]
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme=scheme, zsk_lifetime=0)
    await life.settle()
    assert await where(life, zone) == [(role, 13, "sealed") for role in roles]
    assert hsm.kept() == []

    await life.policy(zone, scheme=scheme, zsk_lifetime=0, vault=TOKEN)
    await life.settle()

    inside = {one.label.split("|")[2] for one in hsm.kept()}
    assert await where(life, zone) == [(role, 13, TOKEN) for role in roles]
    assert inside == set(roles)

    await life.policy(zone, scheme=scheme, zsk_lifetime=0, vault="sealed", algorithm=14)
    await life.settle()

    assert await where(life, zone) == [(role, 14, "sealed") for role in roles]
    assert hsm.kept() == []  # destroyed in the token with the step that removed them
    rows = await life.admin.execute(
        "SELECT count(*) FROM signing_keys WHERE zone = %s AND state = 'removed'", [zone.id]
    )
    assert await rows.fetchall() == [(2 * len(roles),)]


async def test_a_token_that_is_away_in_the_midst_of_a_roll_stops_it_until_it_is_back(
    life, hsm, token, tmp_path, dsn_for, caplog
):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, vault=TOKEN)
    await life.settle()
    await life.order(zone, "roll")
    await life.sweep()
    assert len(hsm.kept()) == 2

    token.folder.rename(tmp_path / "away")
    token.folder.mkdir()
    hsm.close()
    life.now = max(life.now + 1, await life.wake()) + 86400
    await life.watch()
    await life.sweep()
    rows = await life.admin.execute("SELECT count(*) FROM signing_keys WHERE stays AND state <> 'removed'")
    assert await rows.fetchall() == [(1,)]  # nothing is given up because it does not answer
    assert "key.lost" not in caplog.text  # nor is it said that it is
    assert "one" in (await life.row(zone))[3]
    moved = await life.events(zone)
    life.now += 30 * 86400  # and however long it is away
    life.workers = [Worker(dsn_for("zone_signer"), life.rings[0], lambda: life.now)]
    await life.look(zone)
    await life.sweep()
    assert await life.events(zone) == moved
    assert "key.lost" not in caplog.text

    token.folder.rmdir()
    (tmp_path / "away").rename(token.folder)
    life.workers = [Worker(dsn_for("zone_signer"), life.rings[0], lambda: life.now)]  # one that has not failed just now
    await life.look(zone)
    await life.settle()
    assert len(hsm.kept()) == 1
    assert (await life.row(zone))[3] == ""


async def test_a_signer_without_the_token_gives_up_no_key_and_leaves_the_zone_to_the_other(life, hsm, dsn_for):
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, vault=TOKEN)
    await life.settle()
    other = Worker(dsn_for("zone_signer"), KeyRing(Vaults([vault()])), lambda: life.now)

    await life.order(zone, "roll")
    done = await other.sweep(life.conn)

    assert "pkcs11:one" in done.failed[0][1]
    assert "is not here; start zone-signer with --pkcs11" in done.failed[0][1]
    rows = await life.admin.execute("SELECT count(*) FROM signing_keys WHERE NOT stays")
    assert await rows.fetchall() == [(0,)]
    life.now += 120
    await life.look(zone)
    await life.settle()
    assert len(hsm.kept()) == 1
    assert len(await life.tags(zone)) == 1


async def test_a_master_key_is_replaced_while_keys_roll(life, signer):
    new = Vault(b"\x07" * 32)
    zone = await life.zone("a.test.", "www 60 A 192.0.2.1")
    await life.policy(zone, scheme="ksk+zsk", zsk_lifetime=0)
    await life.settle()
    await life.order(zone, "roll", role="ksk")
    await life.sweep()

    both = Vaults([new, vault()])
    assert (await resealing.reseal_all(signer, both)).moved == 3
    life.rings[0].vault = both
    await life.settle()
    await life.order(zone, "roll", role="zsk")
    life.rings[0].vault = Vaults([new])
    await life.settle()

    assert await where(life, zone) == [("ksk", 13, "sealed"), ("zsk", 13, "sealed")]
    assert list(await resealing.counts(signer)) == [new.master]
