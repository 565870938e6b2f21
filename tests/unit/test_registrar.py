"""The registry as a registrar: what MASAs look for in its certificates, its keys, and what it gives boxes."""

import subprocess
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from makers import NOW, certificate, name
from tools import need

from ddns.dns import names
from ddns.homes import registrar
from ddns.proof import idevid, jwk

SECRET = bytes(range(32))
MINE = registrar.Registrar(SECRET, "ns1.homes.example")
HOME = names.from_text("smith.homes.example.")
DICE = b"\x7f" * 16


def test_each_desk_has_the_same_keys_and_another_registry_others():
    again, other = registrar.Registrar(SECRET, "ns1.homes.example"), registrar.Registrar(bytes(32), "ns1.homes.example")

    assert MINE.keys == again.keys
    assert MINE.is_mine(again.certificate)
    assert not MINE.is_mine(other.certificate)
    assert not MINE.is_mine(MINE.ca)
    assert MINE.ca.serial_number == again.ca.serial_number
    assert len(MINE.keys) == 2


def test_a_certificate_with_the_registrars_key_that_its_ca_did_not_issue_is_not_its_own():
    forged = certificate(name("ns1.homes.example"), MINE.key, name("evil"), MINE.key)

    assert idevid.public_octets(forged) in MINE.keys
    assert not MINE.is_mine(forged)


def test_its_certificate_has_what_a_masa_looks_for():
    usages = set(MINE.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    hosts = MINE.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert usages == {registrar.CMC_RA, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert MINE.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert hosts.get_values_for_type(x509.DNSName) == ["ns1.homes.example"]
    assert MINE.certificate.not_valid_after_utc.year == 9999


def test_openssl_leads_what_it_gives_a_box_to_its_ca(tmp_path):
    key = jwk.of(ec.generate_private_key(ec.SECP256R1()))
    now = int(datetime.now(UTC).timestamp())
    (tmp_path / "ca.pem").write_bytes(MINE.ca.public_bytes(Encoding.PEM))
    for stem, made in (("box", MINE.issue(key, HOME, "SN-1", now, DICE)), ("registrar", MINE.certificate)):
        (tmp_path / f"{stem}.pem").write_bytes(made.public_bytes(Encoding.PEM))
        words = [need("openssl"), "verify", "-x509_strict", "-CAfile", "ca.pem", f"{stem}.pem"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
@pytest.mark.parametrize("serial", ["SN-1", ""])
def test_a_boxs_certificate_names_its_home_and_its_serial_number(key, serial):
    made = MINE.issue(jwk.of(key), HOME, serial, NOW, DICE)

    assert MINE.home_of(made, NOW) == HOME
    assert jwk.of(made.public_key()) == jwk.of(key)
    assert (idevid.read(made).serial if serial else "") == serial


def test_a_home_with_a_long_name_is_named_where_there_is_room():
    long = names.from_text("a" * 60 + ".b" * 10 + ".homes.example.")

    assert MINE.home_of(MINE.issue(jwk.of(MINE.key), long, "", NOW, DICE), NOW) == long


def test_a_certificate_of_somebody_else_or_at_another_time_names_no_home():
    key = jwk.of(ec.generate_private_key(ec.SECP256R1()))
    other = registrar.Registrar(bytes(32), "ns1.homes.example")
    made = MINE.issue(key, HOME, "SN-1", NOW, DICE)

    assert MINE.home_of(other.issue(key, HOME, "SN-1", NOW, DICE), NOW) is None
    assert MINE.home_of(MINE.ca, NOW) is None
    assert MINE.home_of(made, NOW - 86_401) is None
    assert MINE.home_of(made, NOW + 365 * 10 * 86_400) == HOME
    assert MINE.home_of(made, NOW + 365 * 10 * 86_400 + 1) is None


def test_nothing_of_its_keys_is_shown():
    assert repr(MINE) == "Registrar(CN=ns1.homes.example)"


def test_certificates_alone_are_read_by_openssl(tmp_path):
    (tmp_path / "c.p7").write_bytes(registrar.only(MINE.ca, MINE.certificate))
    words = [need("openssl"), "pkcs7", "-inform", "DER", "-in", "c.p7", "-print_certs", "-noout"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.count("subject=") == 2
