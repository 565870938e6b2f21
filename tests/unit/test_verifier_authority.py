"""A home's own CA, named by a TLSA record of usage 2: everything that it issued is checked (RFC 7671 §5.2)."""

import datetime as dt
import hashlib

import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ddns.verifier import dane, identity

NAME = "cam.smith.homes.test."
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
SERVER, CLIENT = [ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]


class Party:
    """A key and its certificate, issued by another party or by itself."""

    def __init__(self, name, issuer=None, *, ca=None, names=(), usages=None, days=30, since=-1, sign=None, critical=()):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        by = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + dt.timedelta(days=since))
            .not_valid_after(NOW + dt.timedelta(days=days))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(True, ca if ca >= 0 else None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if sign is not None:
            flags = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "crl_sign", "encipher_only", "decipher_only"), False,
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=sign, **flags), critical=True)
        for one in critical:
            builder = builder.add_extension(one, critical=True)
        self.certificate = builder.sign(by.key, hashes.SHA256())
        self.der = self.certificate.public_bytes(Encoding.DER)
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def tlsa(*texts):
    return dns.rrset.from_text(f"_443._tcp.{NAME}", 300, "IN", "TLSA", *texts)


def spki_of(party):
    return f"2 1 1 {hashlib.sha256(party.spki).hexdigest()}"


def judge(shown, *texts, name=NAME, client=False, now=NOW):
    return dane.judge([one.der for one in shown], tlsa(*texts), name, client=client, now=now.timestamp())


@pytest.fixture
def root():
    return Party("Smith's own CA", ca=-1, sign=True, days=3650)


def test_what_the_homes_ca_issued_is_trusted(root):
    """By key or by certificate, with a digest or whole."""
    cam = Party("cam", root, names=["cam.smith.homes.test"], usages=SERVER)
    texts = [
        spki_of(root),
        f"2 0 1 {hashlib.sha256(root.der).hexdigest()}",
        f"2 1 2 {hashlib.sha512(root.spki).hexdigest()}",
        f"2 1 0 {root.spki.hex()}",
        f"2 0 0 {root.der.hex()}",
    ]

    for text in texts:
        verdict = judge([cam, root], text)
        assert verdict.trusted, verdict.sentence
        assert f"TLSA {text[:5]}" in verdict.sentence


def test_a_ca_that_is_not_shown_must_stand_whole_in_the_record(root):
    """RFC 7671 §5.2.2: a digest gives nobody the CA's key."""
    cam = Party("cam", root, names=["cam.smith.homes.test"])

    assert not judge([cam], spki_of(root)).trusted
    assert judge([cam], f"2 0 0 {root.der.hex()}").trusted


def test_certificates_on_the_way_are_found_in_any_order(root):
    """What does not belong there is left alone."""
    middle = Party("the kitchen's CA", root, ca=0)
    cam = Party("cam", middle, names=["*.smith.homes.test"])
    stranger = Party("stranger", ca=-1)

    assert judge([cam, stranger, root, middle], spki_of(root)).trusted
    assert judge([cam, middle], spki_of(middle)).trusted, "the record may name the one in the middle"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({"names": ["tv.smith.homes.test"]}, "is for tv.smith.homes.test, and not for cam.smith.homes.test"),
        ({"names": ["*.homes.test"]}, "is for *.homes.test"),
        ({"names": []}, "is for no name"),
        ({"names": [NAME], "days": -1, "since": -9}, "is not valid now"),
        ({"names": [NAME], "since": 1}, "is not valid now"),
        ({"names": [NAME], "usages": CLIENT}, "is not for TLS servers"),
        ({"names": [NAME], "critical": [x509.NameConstraints([x509.DNSName("x.test")], None)]}, "not understood"),
    ],
)
def test_a_certificate_of_the_homes_ca_that_is_not_the_devices_is_refused(root, kept, said):
    """Unlike with usage 3, its names and dates count."""
    cam = Party("cam", root, **{**kept, "names": [one.rstrip(".") for one in kept["names"]]})

    verdict = judge([cam, root], spki_of(root))

    assert not verdict.trusted
    assert said in verdict.sentence


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ({}, "is no CA's"),
        ({"ca": -1, "sign": False}, "may not sign certificates"),
        ({"ca": -1, "days": -1, "since": -9}, "on the way is not valid now"),
        ({"ca": -1, "critical": [x509.NameConstraints([x509.DNSName("x.test")], None)]}, "not understood"),
    ],
)
def test_what_is_no_ca_issues_nothing(root, kept, said):
    """A device's certificate must not become a CA by being shown."""
    middle = Party("tv", root, **kept)
    cam = Party("cam", middle, names=["cam.smith.homes.test"])

    verdict = judge([cam, middle, root], spki_of(root))

    assert not verdict.trusted
    assert said in verdict.sentence


def test_a_ca_may_bound_how_many_there_are_below_it():
    """RFC 5280 §4.2.1.9."""
    root = Party("root", ca=0)
    middle = Party("middle", root, ca=-1)
    cam = Party("cam", middle, names=["cam.smith.homes.test"])

    assert "more CAs on the way" in judge([cam, middle, root], spki_of(root)).sentence


def test_a_ca_of_the_right_name_with_another_key_issues_nothing(root):
    """Names prove nothing, signatures do."""
    other = Party("Smith's own CA", ca=-1)
    cam = Party("cam", other, names=["cam.smith.homes.test"])

    assert "did not issue" in judge([cam, root], spki_of(root)).sentence
    assert not judge([cam, other], spki_of(root)).trusted


def test_a_client_is_judged_by_its_client_name(root):
    """draft-ietf-dance-client-auth: the device's name, `_device`, whose it is."""
    owner = identity.client(NAME)
    cam = Party("cam", root, names=[owner.rstrip(".")], usages=CLIENT)

    assert owner == "cam._device.smith.homes.test."
    assert identity.client(owner) == owner
    assert judge([cam, root], spki_of(root), name=owner, client=True).trusted
    assert "not for TLS servers" in judge([cam, root], spki_of(root), name=owner).sentence
    with pytest.raises(ValueError, match="names no device"):
        identity.client("test.")
