"""Zones signed by keys that never leave a token (SoftHSM2), judged by unbound and by ldns-verify-zone."""

import subprocess
import sys

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import psycopg
import pytest
import resolving
from ports import free_port
from registry import run, unbound_settings
from service import Service, eventually
from tokens import Token
from tools import need

from ddns import postgres
from zone_signer.hsm import Hsm

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ZONES = {  # scheme and algorithm
    "one.hsm.example.": ("csk", 13),
    "two.hsm.example.": ("ksk+zsk", 13),
    "rsa.hsm.example.": ("ksk+zsk", 8),
    "p384.hsm.example.": ("csk", 14),
    "edwards.hsm.example.": ("csk", 15),
}
ZONE_FILE = """$TTL 300
@ SOA ns1 hostmaster 1 7200 3600 1209600 300
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.1
*.wild A 192.0.2.9
"""
TIMEOUT = 60


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    return Token(tmp_path_factory.mktemp("token"))


@pytest.fixture(scope="module")
def service():
    """A running service without a signer, with zones whose keys are to be made in the token."""
    running = Service("--no-signer", "--workers", "1")
    try:
        (running.folder / "zone").write_text(ZONE_FILE)
        running.start()
        parts = [f'[[key]]\nname = "k."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n']
        for number, (zone, (scheme, algorithm)) in enumerate(ZONES.items()):
            parts.append(
                f'[[signing]]\nname = "hsm{number}"\nscheme = "{scheme}"\nalgorithm = {algorithm}\n'
                'vault = "pkcs11:one"\n'
                f'[[zone]]\nname = "{zone}"\nfile = "zone"\ngrants = [{{ key = "k." }}]\n'
            )
            if number:
                parts.append(f'signing = "hsm{number}"\n')
        running.apply("".join(parts), "--wait", "0")
        # One of them with the commands that the page names.
        running.ddns("signing", "set", "registry", "vault=pkcs11:one")
        running.ddns("signing", "use", "one.hsm.example", "registry")
        yield running
        running.stop()
    finally:
        running.remove()


@pytest.fixture(scope="module")
def signer(service, token):
    """The log of a running signer that has the token."""
    log = service.folder / "signer.log"
    with log.open("wb") as writing:
        process = subprocess.Popen(
            [sys.executable, "-m", "zone_signer.cli", "run", *token.options],
            env=service.environment() | token.environment,
            stdout=writing,
            stderr=writing,
        )
        try:
            for zone in ZONES:
                eventually(lambda zone=zone: service.signed(zone), timeout=TIMEOUT)
            yield log
            process.terminate()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def unbound(service, signer):
    """The port of a resolver that knows nothing but our zones and their DS."""
    port = free_port()
    settings = unbound_settings(service, port, ZONES, ZONES)
    with resolving.unbound(service.folder, settings, port, "one.hsm.example.", "SOA"):
        yield port


def keys_of(service):
    """Return zone, tag, role and vault of every key, by the database."""
    with psycopg.connect(postgres.socket_dsn(postgres.running(service.state), postgres.OWNER)) as conn:
        return conn.execute("SELECT tag, role, algorithm, vault, sealed FROM signing_keys").fetchall()


def test_every_private_half_is_in_the_token_and_none_in_the_database(service, signer, token, monkeypatch):
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    hsm = Hsm(token.module, token.label, token.pin)

    rows = keys_of(service)
    labels = [one.label.split("|") for one in hsm.kept()]
    hsm.close()

    assert len(rows) == 7
    assert {(row[3], len(row[4])) for row in rows} == {("pkcs11:one", 1 + 16 + 3)}
    assert sorted((int(tag), role) for _, tag, role in labels) == sorted((row[0], row[1]) for row in rows)
    assert {zone for zone, _, _ in labels} == set(ZONES)


@pytest.mark.parametrize("zone", ZONES)
def test_a_validator_finds_the_whole_zone_right(service, signer, zone):
    need("ldns-verify-zone")
    tags = {row.key_tag for row in answers(service, zone, "DNSKEY")}

    run("ldns-verify-zone", "-V", "1", service.export(zone))

    assert len(tags) == (2 if ZONES[zone][0] == "ksk+zsk" else 1)
    assert {row.algorithm for row in answers(service, zone, "RRSIG DNSKEY")} == {ZONES[zone][1]}


def answers(service, zone, rdtype):
    """Return what the service answers for DNSKEY: the keys with their tags, or their signatures."""
    response = service.ask(zone, "DNSKEY", dnssec=True, tcp=True)
    if rdtype == "DNSKEY":
        (rrset,) = [one for one in response.answer if one.rdtype == dns.rdatatype.DNSKEY]
        return [Keyed(dns.dnssec.key_id(rdata), rdata.algorithm) for rdata in rrset]
    (rrset,) = [one for one in response.answer if one.rdtype == dns.rdatatype.RRSIG]
    return list(rrset)


class Keyed:
    """A key's tag and algorithm."""

    def __init__(self, key_tag, algorithm):
        self.key_tag = key_tag
        self.algorithm = algorithm


def test_a_resolver_finds_answers_and_denials_secure_also_behind_updates(service, signer, unbound):
    for zone in ZONES:
        for number in range(5):
            update = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({"k.": SECRET}))
            update.replace(f"cam{number}", 60, "AAAA", f"2001:db8::{number}")
            assert service.send(update, tcp=True).rcode() == dns.rcode.NOERROR
    for zone in ZONES:
        eventually(lambda zone=zone: service.ask(f"cam4.{zone}", "AAAA", dnssec=True).answer[1:])
        asked = {"www": "A", "below.wild": "A", "cam0": "AAAA", "cam4": "AAAA", "nobody": "A", "ns1": "TXT"}
        for owner, rdtype in asked.items():
            query = dns.message.make_query(f"{owner}.{zone}", rdtype, want_dnssec=True)
            answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=unbound, timeout=30)

            assert answer.flags & dns.flags.AD, (owner, zone, answer)
            assert answer.rcode() == (dns.rcode.NXDOMAIN if owner == "nobody" else dns.rcode.NOERROR)


def test_the_log_has_neither_the_pin_nor_anything_else_of_the_token(signer, token):
    said = signer.read_text()

    assert token.pin.read_text().strip() not in said
    assert "Traceback" not in said
