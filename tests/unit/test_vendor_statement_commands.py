"""A vendor's own commands: what no registry would take is not signed, and no file is written over."""

import json

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from makers import Maker

from ddns.cli import Failure
from ddns.cli.vendor_statement import command

MAKER = Maker()


@pytest.fixture
def say(tmp_path):
    """What runs a command in a folder with a vendor's files, and returns what it prints."""
    keys = {"bond": ed25519.Ed25519PrivateKey.generate(), "odd": ec.generate_private_key(ec.SECP384R1())}
    for name, key in keys.items():
        (tmp_path / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "ca.pem").write_bytes(MAKER.anchor.public_bytes(Encoding.PEM))
    (tmp_path / "masa.pem").write_bytes(MAKER.masa.public_bytes(Encoding.PEM))
    files = {"bond.key", "odd.key", "ca.pem", "masa.pem", "a.jws"}

    def run(*words):
        words = [str(tmp_path / one) if one in files else one for one in words]
        done = CliRunner().invoke(command, words, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    return run


BOTH = ("--registry", "homes.example", "--out", "a.jws")
MAKE = ("make", "Acme", "--anchors", "ca.pem", "--key", "bond.key", *BOTH)


def test_what_is_signed_is_shown_with_the_key_that_was_told(say):
    told = say(*MAKE, "--masa-keys", "masa.pem", "--masa", "masa.acme.example", "--models", "gw-1, gw-2")

    shown = json.loads(say("show", "a.jws", "--json"))

    assert shown["key"] in told
    assert (shown["act"], shown["registry"], shown["models"]) == (
        "vendor.authorize", "homes.example.", ["gw-1", "gw-2"],
    )  # fmt: skip
    assert (shown["masa_url"], shown["until"]) == ("https://masa.acme.example", None)
    assert "models: gw-1\nmodels: gw-2\n" in say("show", "a.jws")


def test_the_end_is_signed_with_its_reason(say):
    say("withdraw", "--reason", "we make no more", "--key", "bond.key", *BOTH)

    assert json.loads(say("show", "a.jws", "--json"))["reason"] == "we make no more"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--masa-keys", "ca.pem"), "make its own"),
        (("--masa", "masa.example"), "what signs them"),
        (("--masa-keys", "masa.pem", "--masa", "http://x"), "HOST:PORT"),
        (("--until", "2001-01-01"), "over already"),
        (("--models", "x" * 101), "64 models"),
        (("--key", "odd.key"), "another key"),
        (("--key", "ca.pem"), "no private key"),
    ],
    ids=["ca", "no-keys", "http", "over", "model", "curve", "no-key"],
)
def test_what_no_registry_would_take_is_not_signed(say, tmp_path, words, why):
    with pytest.raises(Failure, match=why):
        say(*MAKE, *words)

    assert not (tmp_path / "a.jws").exists()


def test_a_file_that_is_there_stays(say, tmp_path):
    (tmp_path / "a.jws").write_text("mine")

    with pytest.raises(Failure, match="there already"):
        say(*MAKE)
    assert (tmp_path / "a.jws").read_text() == "mine"
