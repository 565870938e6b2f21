"""What is in a token and no zone needs is listed, and removed only when it is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from signing import add
from tokens import Token

from ddns.dns.names import from_text
from ddns.store import signing as signing_rows
from zone_signer import orphans
from zone_signer.hsm import Hsm
from zone_signer.orphans import Kept, Place

TIMEOUT = 30
HERE = from_text("a.test.")


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
def call(dsn_for, token, tmp_path):
    """What runs `zone-signer token` with some words: its status, and what it said."""

    def run(*words, options=token.options):
        done = subprocess.run(
            [sys.executable, "-m", "zone_signer.cli", "token", *words, *options],
            env={**os.environ, "DDNS_DSN": dsn_for("zone_signer"), "DDNS_STATE": str(tmp_path / "state")},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


async def test_a_key_without_a_row_is_listed_and_can_be_removed(admin, connected, hsm, call):
    zone = await add(admin, "a.test.")
    _, needed = hsm.make(HERE, 13)
    _, orphan = hsm.make(HERE, 15)
    await signing_rows.insert_keys(admin, [(zone, needed)])
    label, other = f"a.test.|{needed.tag}|csk", f"a.test.|{orphan.tag}|csk"

    found = await orphans.places(await connected("zone_signer"), hsm)

    assert sorted(found, key=lambda one: one.state or "") == [
        Place(Kept(orphan.id, other), None),
        Place(Kept(needed.id, label), "active"),
    ]
    assert sorted(call("list")[1].splitlines()) == sorted(
        [f"{needed.id} {label} active", f"{orphan.id} {other} no zone needs it"]
    )
    assert {(one["id"], one["state"]) for one in json.loads(call("list", "--json")[1])} == {
        (needed.id, "active"),
        (orphan.id, None),
    }
    assert call("remove", needed.id) == (1, f"zone-signer: the key {needed.id} is active: its zone needs it.\n")
    assert call("remove", orphan.id) == (0, f"{orphan.id} is destroyed.\n")
    assert call("remove", orphan.id) == (
        1, f"zone-signer: there is no key {orphan.id} in the token; zone-signer token list shows those that are.\n"
    )  # fmt: skip
    assert [one.id for one in hsm.kept()] == [needed.id]


async def test_a_key_whose_row_has_lost_its_private_half_is_an_orphan(admin, owner, connected, hsm):
    """It was removed, and the signer was stopped before it destroyed it in the token."""
    zone = await add(admin, "a.test.")
    _, key = hsm.make(HERE, 13)
    await signing_rows.insert_keys(admin, [(zone, key)])
    await owner.execute("UPDATE signing_keys SET state = 'removed', sealed = NULL WHERE id = %s", [key.id])

    (place,) = await orphans.places(await connected("zone_signer"), hsm)

    assert (place.kept.id, place.state) == (key.id, None)


def test_without_a_token_it_says_which_options_are_missing(call, token):
    assert call("list", options=[]) == (2, "zone-signer: say which token with --pkcs11 and --pkcs11-token.\n")
    assert call("list", options=["--pkcs11", str(token.module)]) == (
        2, "zone-signer: --pkcs11 and --pkcs11-token belong together.\n"
    )  # fmt: skip
    assert call("list", options=token.options[:4]) == (
        1, "zone-signer: the token one needs a PIN; give its file with --pkcs11-pin.\n"
    )  # fmt: skip


def test_an_empty_token_says_so(call):
    assert call("list") == (0, "There are no signing keys in the token.\n")
