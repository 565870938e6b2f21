"""`ddns verify-device` against the real service and real TLS servers; openssl and delv judge beside it."""

import contextlib
import datetime as dt
import hashlib
import json
import re
import socket
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ports import free_port
from registry import anchor, nsupdate, tsig
from tools import need

ZONE = "hash.example."
NAMES = ["name", "owner", "verdict", "reasons", "chain", "tlsa", "connected", "assurance", "until"]


class Party:
    """A key with its certificate, in files."""

    def __init__(self, folder, name, issuer=None, *, names=(), days=30):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        by = issuer or self
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - dt.timedelta(days=60))
            .not_valid_after(end)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        else:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(by.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()
        self.cert = folder / f"{name}.pem"
        self.chain = folder / f"{name}.chain.pem"
        self.cert.write_text(self.pem)
        self.chain.write_text(self.pem + (issuer.pem if issuer else ""))
        self.private = folder / f"{name}.key"
        self.private.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def tlsa(self, kind, wrong=0):
        """Return the text of a TLSA record of this party's; *wrong* is a bit of the digest that is flipped."""
        selected = self.certificate.public_bytes(Encoding.DER)
        if kind[2] == "1":
            selected = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = {"1": hashlib.sha256, "2": hashlib.sha512}[kind[4]](selected).digest()
        return f"{kind} {digest[0] ^ wrong:02x}{digest[1:].hex()}"


@contextlib.contextmanager
def serving(party, *, whole):
    """Run OpenSSL's TLS server with the party's key on a port of its own."""
    port = free_port()
    words = ["-accept", f"127.0.0.1:{port}", "-cert", party.cert, "-key", party.private, "-quiet", "-www"]
    if whole:
        words += ["-cert_chain", party.chain]
    with (party.cert.parent / "s_server.log").open("wb") as log:
        process = subprocess.Popen(
            [need("openssl"), "s_server", *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            for _ in range(400):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
def anchors(registry, tmp_path):
    """Write what is trusted, in our form and in delv's."""
    ours, theirs = tmp_path / "hash.ds", tmp_path / "anchors"
    ours.write_text(registry.ddns("zone", "ds", ZONE))
    owner, ds = anchor(registry, ZONE)
    theirs.write_text(f'trust-anchors {{ "{owner}" static-ds {" ".join(ds[:3])} "{"".join(ds[3:])}"; }};\n')
    return ours, theirs


@pytest.fixture
def publish(registry):
    """Publish a device's address and TLSA records by nsupdate."""

    def publish(owner, *records, address=None):
        lines = [f"update delete {owner} TLSA", *(f"update add {owner} 60 TLSA {text}" for text in records)]
        if address is not None:
            lines += [f"update add {address} 60 A 127.0.0.1"]
        status, said = nsupdate(registry, tsig("k256"), ZONE, *lines)
        assert status == 0, said

    return publish


@pytest.fixture
def verify(registry, anchors):
    """Run the command as a process and return its exit status and what it said, read as JSON where it is that."""

    def verify(name, *words, file=0, port=None):
        done = subprocess.run(
            [sys.executable, "-m", "ddns.cli", "verify-device", name, "--anchor", anchors[file],
             "--server", f"127.0.0.1:{port or registry.port}", *map(str, words)],
            env=registry.environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr

    return verify


def openssl_trusts(port, name, records):
    """Tell whether OpenSSL's own DANE takes the server (no name checks with usage 3 alone, RFC 7671 §5.1)."""
    words = ["-connect", f"127.0.0.1:{port}", "-dane_tlsa_domain", name.rstrip("."), "-dane_ee_no_namechecks"]
    for text in records:
        words += ["-dane_tlsa_rrdata", text]
    done = subprocess.run(
        [need("openssl"), "s_client", *words], input="", capture_output=True, text=True, timeout=30, check=False
    )
    return "Verification: OK" in done.stdout and re.search(r"DANE TLSA \d \d \d", done.stdout) is not None


def delv_proves(registry, anchors, owner):
    """Tell whether delv validates the TLSA records from the same DS down."""
    words = ["-p", str(registry.port), "-a", anchors[1], f"+root={ZONE}", owner, "TLSA"]
    done = subprocess.run([need("delv"), "@127.0.0.1", *words], capture_output=True, text=True, timeout=60, check=False)
    return "; fully validated" in done.stdout


# What is published, what is shown, and whether that is to be trusted.
CASES = {
    "its key": (lambda cam, ca: [cam.tlsa("3 1 1")], {}, True),
    "its certificate": (lambda cam, ca: [cam.tlsa("3 0 2")], {}, True),
    "its key beside another": (lambda cam, ca: [ca.tlsa("3 1 1"), cam.tlsa("3 1 1")], {}, True),
    "its key, expired and of another name": (lambda cam, ca: [cam.tlsa("3 1 1")], {"days": -3, "names": ["x"]}, True),
    "one bit flipped": (lambda cam, ca: [cam.tlsa("3 1 1", wrong=1)], {}, False),
    "the home's CA": (lambda cam, ca: [ca.tlsa("2 1 1")], {}, True),
    "the home's CA, not shown": (lambda cam, ca: [ca.tlsa("2 1 1")], {"whole": False}, False),
    "the home's CA, expired": (lambda cam, ca: [ca.tlsa("2 1 1")], {"days": -3}, False),
    "the home's CA, another name": (lambda cam, ca: [ca.tlsa("2 1 1")], {"names": ["tv.hash.example"]}, False),
    "a weak digest beside a strong wrong one": (
        lambda cam, ca: [cam.tlsa("3 1 1"), ca.tlsa("3 1 2")], {}, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_openssls_and_the_proof_is_delvs(registry, anchors, publish, verify, tmp_path, case):
    """Two strangers who have no line of code with us look at the same device."""
    records, kept, trusted = CASES[case]
    label = "v" + "".join(filter(str.isalnum, case)).lower()
    name = f"{label}.{ZONE}"
    ca = Party(tmp_path, "ca")
    cam = Party(tmp_path, "cam", ca, names=kept.get("names", [name.rstrip(".")]), days=kept.get("days", 30))
    published = records(cam, ca)

    with serving(cam, whole=kept.get("whole", True)) as port:
        owner = f"_{port}._tcp.{name}"
        publish(owner, *published, address=name)
        status, found = verify(name, "--port", port, "--json")
        theirs = openssl_trusts(port, name, published)

    assert (status == 0, found["verdict"]) == (trusted, "trusted" if trusted else "untrusted"), found
    assert theirs == trusted
    assert delv_proves(registry, anchors, owner)
    assert found["connected"]


def test_the_json_is_stable_and_the_words_say_the_same(registry, publish, verify, tmp_path):
    """Programs rely on the names, people on the sentences."""
    cam = Party(tmp_path, "cam", names=["cam"])
    name = f"vjson.{ZONE}"

    with serving(cam, whole=False) as port:
        publish(f"_{port}._tcp.{name}", cam.tlsa("3 1 1"), address=name)
        _, found = verify(name, "--port", port, "--json")
        _, said = verify(name, "--port", port, file=1)

    assert list(found) == NAMES
    assert [(one["name"], one["type"]) for one in found["chain"]] == [
        ("hash.example", "DNSKEY"), (f"_{port}._tcp.vjson.hash.example", "TLSA"),
    ]  # fmt: skip
    assert set(found["chain"][0]) == {"name", "type", "zone", "tag"}
    assert set(found["tlsa"][0]) == {"usage", "selector", "matching", "digest", "matches"}
    assert found["tlsa"][0]["matches"] is True
    assert found["until"] > time.time()
    assert found["assurance"] is None
    assert said.splitlines()[0] == "vjson.hash.example is who its registry says."
    assert all(f"  {reason}" in said.splitlines() for reason in found["reasons"])


def test_a_client_is_known_by_what_it_showed(publish, verify, tmp_path):
    """Its records stand below `_device` (draft-ietf-dance-client-auth, the second format)."""
    cam, tv = Party(tmp_path, "cam", names=["cam"]), Party(tmp_path, "tv", names=["tv"])
    publish(f"vclient._device.{ZONE}", cam.tlsa("3 1 1"))

    its_own = verify(f"vclient.{ZONE}", "--client", "--cert", cam.cert, "--json")
    anothers = verify(f"vclient.{ZONE}", "--client", "--cert", tv.cert, "--json")
    without = verify(f"vclient.{ZONE}", "--client")

    assert (its_own[0], its_own[1]["owner"]) == (0, f"vclient._device.{ZONE}")
    assert not its_own[1]["connected"]
    assert (anothers[0], anothers[1]["verdict"]) == (1, "untrusted")
    assert without[0] == 2
    assert "--cert" in without[1]


def test_a_servers_certificate_at_hand_is_judged_without_a_connection(publish, verify, tmp_path):
    """As a monitor has it."""
    cam = Party(tmp_path, "cam", names=["cam"])
    publish(f"_443._tcp.vhand.{ZONE}", cam.tlsa("3 1 1"))

    assert verify(f"vhand.{ZONE}", "--cert", cam.cert)[0] == 0


def test_a_name_without_records_is_not_trusted(verify):
    """Nothing vouches for it."""
    status, found = verify(f"vnobody.{ZONE}", "--json")

    assert (status, found["verdict"], found["chain"][0]["type"]) == (1, "untrusted", "DNSKEY")
    assert "has no TLSA record" in found["reasons"][0]


def test_another_registrys_anchor_proves_nothing(publish, verify, anchors, tmp_path):
    """What you trust is yours to say."""
    anchors[0].write_text("hash.example. 3600 IN DS 12345 13 2 " + "ab" * 32)

    status, found = verify(f"vhand.{ZONE}", "--json")

    assert (status, found["verdict"]) == (1, "untrusted")
    assert found["reasons"] == ["No key of hash.example is the one that its DS names."]


def test_silence_says_nothing_about_a_device(registry, publish, verify, tmp_path):
    """The server is away, or the device: 4, and not 1."""
    cam = Party(tmp_path, "cam", names=["cam"])
    publish(f"_{free_port()}._tcp.vsilent.{ZONE}", cam.tlsa("3 1 1"))
    port = free_port()
    publish(f"_{port}._tcp.vsilent.{ZONE}", cam.tlsa("3 1 1"))

    no_server = verify(f"vsilent.{ZONE}", "--timeout", 0.5, "--json", port=free_port())
    no_device = verify(f"vsilent.{ZONE}", "--port", port, "--connect", "127.0.0.1", "--json")
    no_address = verify(f"vsilent.{ZONE}", "--port", port, "--json")

    assert [(one[0], one[1]["verdict"]) for one in (no_server, no_device, no_address)] == [(4, "unknown")] * 3
    assert "has no address that is proved" in no_address[1]["reasons"][-1]


def test_the_registry_says_how_sure_it_is_of_the_key(registry, publish, verify, tmp_path):
    """The key that speaks for the name is the nearest one at or above it."""
    cam = Party(tmp_path, "cam", names=["cam"])
    publish(f"_443._tcp.cam.gw.{ZONE}", cam.tlsa("3 1 1"))
    registry.ddns("key", "assurance", f"gw.{ZONE}", "voucher")

    known = verify(f"cam.gw.{ZONE}", "--cert", cam.cert, "--registry", "--json")
    said = verify(f"cam.gw.{ZONE}", "--cert", cam.cert, "--registry")
    unknown = verify(f"vhand.{ZONE}", "--cert", cam.cert, "--registry", "--json")

    assert known[1]["assurance"] == "voucher"
    assert "assurance of who holds its key: voucher" in said[1]
    assert unknown[1]["assurance"] is None
    registry.ddns("key", "assurance", f"gw.{ZONE}", "manual")


@pytest.mark.parametrize("place", ["ns1.example", "192.0.2.1:0", "192.0.2.1:99999", "[::1", "[ns1]:53"])
def test_whom_to_ask_is_said_by_an_address(registry, anchors, place):
    """A name would have to be looked up by somebody who is believed."""
    said = registry.ddns("verify-device", f"vhand.{ZONE}", "--anchor", anchors[0], "--server", place, status=2)

    assert "is no" in said


@pytest.mark.parametrize("text", ["", "nonsense", "a. DS 1 13 2 00\nb. DS 1 13 2 00\n", "a. DS 1 13 2 0011\n"])
def test_an_anchor_that_cannot_be_read_is_wrong_usage(verify, anchors, text):
    """It must be one zone's, and whole."""
    anchors[0].write_text(text)

    status, said = verify(f"vhand.{ZONE}")

    assert status == 2
    assert "hash.ds" in said
