"""The key files of BIND's tools, read and written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.auth import keyfile, keys
from ddns.auth.keys import BadKey
from ddns.dns import names

CLIENTS = json.loads((Path(__file__).parents[1] / "vectors" / "update_clients.json").read_text())
PAIRS = [sent for sent in CLIENTS.values() if isinstance(sent, dict) and "private" in sent]
NAME = names.from_text("smith.example.")
KEYS = [
    ec.derive_private_key(4711, ec.SECP256R1()),
    ec.derive_private_key(4711, ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_halves_of_dnssec_keygen_belong_together(pair):
    """The private file's key publishes exactly the public file's record."""
    _, rdata = keyfile.read_public(pair["key"])

    assert keys.key_rdata(keyfile.read_private(pair["private"])) == rdata


@pytest.mark.parametrize("key", KEYS)
def test_what_is_written_is_read(key):
    """Both files, and the name that they go by."""
    rdata = keys.key_rdata(key)

    assert keys.key_rdata(keyfile.read_private(keyfile.private_text(key))) == rdata
    assert keyfile.read_public(keyfile.public_text(NAME, rdata)) == (NAME, rdata)
    assert keyfile.stem(NAME, rdata) == f"Ksmith.example.+{rdata[3]:03d}+{keys.key_tag(rdata):05d}"


@pytest.mark.skipif(shutil.which("nsupdate") is None, reason="nsupdate is not installed")
@pytest.mark.parametrize("key", KEYS)
def test_nsupdate_reads_what_is_written(tmp_path, key):
    """`nsupdate -k` takes the pair."""
    rdata = keys.key_rdata(key)
    stem = tmp_path / keyfile.stem(NAME, rdata)
    Path(f"{stem}.key").write_text(keyfile.public_text(NAME, rdata))
    Path(f"{stem}.private").write_text(keyfile.private_text(key))

    done = subprocess.run(
        ["nsupdate", "-k", f"{stem}.private"], input="quit\n", capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "; only a comment\n",
        "smith.example. IN DNSKEY 257 3 13 AAAA\n",
        "smith.example.\n",
        "smith.example. IN KEY 512 3 13 !!!\n",
        "smith.example. IN KEY 512 3\n",
        "smith.example. IN KEY 512 3 999 AAAA\n",
        "smith.example. IN KEY -1 3 13 AAAA\n",
        "smith..example. IN KEY 512 3 13 AAAA\n",
    ],
)
def test_public_files_that_hold_no_key_say_so(text):
    """One sentence, no traceback."""
    with pytest.raises(BadKey):
        keyfile.read_public(text)


def test_comments_and_a_ttl_are_passed_over():
    """As BIND's tools and people write them."""
    rdata = keys.key_rdata(KEYS[0])
    text = "; This is a key\n\n" + keyfile.public_text(NAME, rdata).replace(" IN ", " 3600 IN ")

    assert keyfile.read_public(text) == (NAME, rdata)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "Private-key-format: v1.3\n",
        "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\n",
        "Private-key-format: v1.3\nAlgorithm:\nPrivateKey: AAAA\n",
        "Private-key-format: v1.3\nAlgorithm: 8 (RSASHA256)\nPrivateKey: AAAA\n",
        "Private-key-format: v1.3\nAlgorithm: 5 (RSASHA1)\nPrivateKey: AAAA\n",
        "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: !!!\n",
        "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: AAAA\n",
        "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: AAAA\n",
    ],
)
def test_private_files_that_hold_no_key_say_so(text):
    """One sentence, which never holds the key."""
    with pytest.raises(BadKey):
        keyfile.read_private(text)
