"""Real certbot and lego get certificates from a real ACME server (pebble) by DNS-01 through ours.

Each runs the very commands of docs/howto/certificates.md, with the page's addresses and names replaced by this test's.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import re
import shlex
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ports import free_port
from registry import nsupdate, tsig
from service import eventually
from tools import need

PAGE = (Path(__file__).parents[2] / "docs/howto/certificates.md").read_text()
HOST = "cam.hash.example"
KEY = "acme-web.example."


def blocks(section):
    """Return the code blocks of a section of the page, in order."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return [block.strip() for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


class Acme:
    """A pebble of our own that asks our server about names, and the clients' environment."""

    def __init__(self, registry, folder):
        self.registry = registry
        self.folder = folder
        self.port, self.management = free_port(), free_port()
        self.server = f"https://127.0.0.1:{self.port}/dir"
        self.ca = folder / "pebble.pem"
        private = folder / "pebble.key"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pebble")])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.ca.write_bytes(made.public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.ca),
            "privateKey": str(private),
            "httpPort": free_port(),
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        self.settings = folder / "pebble.json"
        self.settings.write_text(json.dumps({"pebble": settings}))
        # Debian's programs, with nothing of ours in their way.
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LANG": "C.UTF-8",
            "REQUESTS_CA_BUNDLE": str(self.ca), "LEGO_CA_CERTIFICATES": str(self.ca),
        }  # fmt: skip

    @contextlib.contextmanager
    def running(self):
        """Run pebble until the block ends; it checks every challenge, at once."""
        words = ["-config", self.settings, "-dnsserver", f"127.0.0.1:{self.registry.port}", "-strict"]
        said = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_VA_ALWAYS_VALID": "0", "PEBBLE_WFE_NONCEREJECT": "0"}
        with (self.folder / "pebble.log").open("wb") as log:
            process = subprocess.Popen([need("pebble"), *words], env=self.environment | said, stdout=log, stderr=log)
            try:
                eventually(self.roots)
                yield self
            finally:
                process.terminate()
                process.wait(10)

    def roots(self):
        """Return the root certificate of this pebble's life; nothing while it is not there."""
        with contextlib.suppress(OSError):
            context = ssl.create_default_context(cafile=self.ca)
            where = f"https://127.0.0.1:{self.management}/roots/0"
            with urllib.request.urlopen(where, context=context, timeout=5) as answer:
                return answer.read()
        return None

    def run(self, text, *more, after=None):
        """Run a command of the page as a shell has it, with more words behind the word *after* (or at the end)."""
        words = shlex.split(text.replace("\\\n", " "))
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            self.environment[name] = value
        at = words.index(after) + 1 if after else len(words)
        words[at:at] = more
        words[0] = need(words[0])
        done = subprocess.run(
            words, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def issued(self, path):
        """Return the certificate in *path*, which OpenSSL finds issued by this pebble for the host."""
        root = self.folder / "root.pem"
        root.write_bytes(self.roots())
        words = ["verify", "-CAfile", root, "-untrusted", path, "-verify_hostname", HOST, path]
        done = subprocess.run([need("openssl"), *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture(scope="module")
def secret(registry):
    """Yield the secret of a key that may put challenges before the host, and nothing else."""
    made = registry.ddns("key", "add", KEY, "--acme", HOST, "--json")
    yield json.loads(made)["secret"]
    registry.ddns("key", "revoke", KEY)


@pytest.fixture
def acme(registry, secret, tmp_path):
    with Acme(registry, tmp_path).running() as running:
        yield running


def filled(acme, secret, text):
    """Return *text* of the page with this test's values."""
    for mine, pages in (
        (f"127.0.0.1:{acme.registry.port}", "192.0.2.1:53"),
        ("127.0.0.1", "192.0.2.1"),
        (f"dns_rfc2136_port = {acme.registry.port}", "dns_rfc2136_port = 53"),
        (secret, "c2VjcmV0…"),
        (HOST, "cam.smith.homes.example"),
        (str(acme.folder / "rfc2136.ini"), "/etc/letsencrypt/rfc2136.ini"),
    ):
        text = text.replace(pages, mine)
    return text


def publish(registry, certificate):
    """Publish the key of a certificate as the host's TLSA record."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki(certificate))
    owner = f"_443._tcp.{HOST}."
    lines = [f"update delete {owner} TLSA", f"update add {owner} 60 TLSA 3 1 1 {digest.finalize().hex()}"]
    status, said = nsupdate(registry, tsig("k256"), "hash.example.", *lines)
    assert status == 0, said


def spki(certificate):
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def verified(registry, folder, path):
    """Tell whether `ddns verify-device` takes the certificate for the host's."""
    ds = folder / "hash.ds"
    ds.write_text(registry.ddns("zone", "ds", "hash.example"))
    words = ["--cert", path, "--anchor", ds, "--server", f"127.0.0.1:{registry.port}"]
    return "is who its registry says" in registry.ddns("verify-device", HOST, *words)


def certbot(acme, secret):
    """Write what certbot asks its user, and the file of the page; return the page's commands."""
    ini, *commands = (filled(acme, secret, text) for text in blocks("certbot"))
    (acme.folder / "rfc2136.ini").write_text(ini + "\n")
    (acme.folder / "rfc2136.ini").chmod(0o600)
    settings = acme.folder / ".config/letsencrypt/cli.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"server = {acme.server}\nconfig-dir = {acme.folder}/etc\nwork-dir = {acme.folder}/work\n"
        f"logs-dir = {acme.folder}/log\nnon-interactive = true\nagree-tos = true\nemail = you@example.com\n"
    )
    return commands


def test_certbot_gets_a_certificate_and_keeps_the_key_of_its_tlsa_record(acme, registry, secret):
    """certbot-dns-rfc2136 finds the zone, writes the challenge and takes it away again."""
    get, renew = certbot(acme, secret)
    path = acme.folder / f"etc/live/{HOST}/fullchain.pem"

    status, said = acme.run(get)
    assert status == 0, said
    first = acme.issued(path)
    publish(registry, first)
    status, said = acme.run(renew, "--force-renewal", "--no-random-sleep-on-renew")
    assert status == 0, said
    second = acme.issued(path)

    assert first.serial_number != second.serial_number
    assert spki(first) == spki(second)
    assert verified(registry, acme.folder, path)
    assert registry.values(f"_acme-challenge.{HOST}.", "TXT") == []


def test_lego_gets_a_certificate_and_keeps_the_key_of_its_tlsa_record(acme, registry, secret):
    """It asks for the zone's SOA by itself; where the server is not at port 53 it cannot look for the record there."""
    get, renew = (filled(acme, secret, text) for text in blocks("lego"))
    path = acme.folder / f".lego/certificates/{HOST}.crt"
    more = ["--server", acme.server, "--dns.resolvers", f"127.0.0.1:{registry.port}", "--dns.disable-cp"]

    status, said = acme.run(get, *more, after="lego")
    assert status == 0, said
    first = acme.issued(path)
    publish(registry, first)
    status, said = acme.run(f"{renew} --days 9999 --no-random-sleep", *more, after="lego")
    assert status == 0, said
    second = acme.issued(path)

    assert first.serial_number != second.serial_number
    assert spki(first) == spki(second)
    assert verified(registry, acme.folder, path)
    assert registry.values(f"_acme-challenge.{HOST}.", "TXT") == []


def test_the_key_gets_no_certificate_for_another_host(acme, registry, secret):
    """A stolen key file is worth one host."""
    get = filled(acme, secret, blocks("lego")[0]).replace(HOST, "tv.hash.example")
    more = ["--server", acme.server, "--dns.resolvers", f"127.0.0.1:{registry.port}", "--dns.disable-cp"]

    status, said = acme.run(get, *more, after="lego")

    assert status != 0
    assert "REFUSED" in said
    assert not list(acme.folder.glob(".lego/certificates/*"))
