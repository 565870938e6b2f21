"""The gateway's key: made here, kept readable by its owner only, and usable by BIND's tools."""

import shutil
import socket
import stat
import subprocess

import dns.dnssec
import dns.rdata
import pytest

from ddns.auth import sig0
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.gateway import update
from ddns.gateway.key import BadKey, GatewayKey

HOME = names.from_text("smith.homes.example.")


def test_a_key_survives_its_files(tmp_path):
    """What is saved is loaded, and both files are the owner's only."""
    key = GatewayKey.make(HOME)

    stem = key.save(tmp_path)

    assert stem == f"Ksmith.homes.example.+013+{key.tag:05d}"
    assert GatewayKey.load(tmp_path, stem).rdata == key.rdata
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_tag_is_the_one_that_dnspython_computes():
    """RFC 4034 appendix B."""
    key = GatewayKey.make(HOME)

    assert key.tag == dns.dnssec.key_id(dns.rdata.from_text("IN", "DNSKEY", key.to_text()))


def test_nothing_shows_the_private_half():
    """Not the repr, not the text."""
    key = GatewayKey.make(HOME)
    number = key._private.private_numbers().private_value

    assert str(number) not in repr(key) + key.to_text()
    assert f"{number:x}" not in repr(key) + key.to_text()


def test_its_signature_is_accepted_by_the_registrys_side():
    """SIG(0) over an update, cut and verified."""
    key = GatewayKey.make(HOME)
    wire = key.sign_request(update.probe(HOME, ident=7, nonce=bytes(8)), now=1_800_000_000)
    credential = Credential(1, HOME, "sig0", "13", tag=key.tag, public=key.rdata)

    record = sig0.cut(wire)

    assert sig0.in_time(record, 1_800_000_000) is None
    assert sig0.verify(record, sig0.candidates(record, [credential])) == credential


@pytest.mark.skipif(not shutil.which("dnssec-keygen"), reason="BIND's dnssec-keygen is not here")
def test_a_key_of_dnssec_keygen_can_be_brought_along(tmp_path):
    """The files are BIND's, in both directions."""
    made = subprocess.run(
        [
            "dnssec-keygen",
            "-q",
            "-T",
            "KEY",
            "-n",
            "HOST",
            "-a",
            "ECDSAP256SHA256",
            "-K",
            tmp_path,
            "smith.homes.example",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    stem = made.stdout.strip()

    key = GatewayKey.load(tmp_path, stem)

    assert key.stem == stem
    assert key.to_text().replace(" ", "") in (tmp_path / f"{stem}.key").read_text().replace(" ", "")


@pytest.mark.skipif(not shutil.which("nsupdate"), reason="BIND's nsupdate is not here")
def test_nsupdate_signs_with_the_saved_key(tmp_path):
    """Whoever prefers BIND's client can use the gateway's files as they are."""
    key = GatewayKey.make(HOME)
    stem = key.save(tmp_path)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        server = f"server 127.0.0.1 {sock.getsockname()[1]}\n"
        script = f"{server}zone smith.homes.example\nupdate delete cam.smith.homes.example A\nsend\n"
        command = ["nsupdate", "-t", "1", "-u", "1", "-r", "0", "-k", str(tmp_path / f"{stem}.private")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            process.stdin.write(script)
            process.stdin.close()
            record = sig0.cut(sock.recv(65535))
            process.kill()

    credential = Credential(1, HOME, "sig0", "13", tag=key.tag, public=key.rdata)
    assert sig0.verify(record, sig0.candidates(record, [credential])) == credential


HEAD = "Private-key-format: v1.3\n"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_text("Algorithm: 13\nPrivateKey: AAAA\n"), "no private key of BIND's format"),
        (lambda path: path.write_text(f"{HEAD}Algorithm: 15\nPrivateKey: {'A' * 43}=\n"), "no P-256 key"),
        (lambda path: path.write_text(f"{HEAD}Algorithm: 13\nPrivateKey: AAAA\n"), "damaged"),
        (lambda path: path.write_text(f"{HEAD}Algorithm: 13\n"), "holds no key"),
        (lambda path: path.write_bytes(b"\xff\xfe\0"), "cannot be read"),
    ],
)
def test_a_damaged_key_file_is_refused_by_name(tmp_path, damage, words):
    """One sentence that names the file."""
    stem = GatewayKey.make(HOME).save(tmp_path)
    damage(tmp_path / f"{stem}.private")

    with pytest.raises(BadKey, match=words) as caught:
        GatewayKey.load(tmp_path, stem)

    assert f"{stem}.private" in str(caught.value)


def test_another_keys_file_under_this_name_is_noticed(tmp_path):
    """A backup put back in the wrong place."""
    one, other = GatewayKey.make(HOME).save(tmp_path), GatewayKey.make(HOME).save(tmp_path)
    (tmp_path / f"{other}.private").replace(tmp_path / f"{one}.private")

    with pytest.raises(BadKey, match="another key"):
        GatewayKey.load(tmp_path, one)
