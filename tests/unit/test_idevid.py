"""IDevIDs (IEEE 802.1AR): which serial number counts, who issued it in four spellings, and paths to an anchor."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from makers import NEVER, NOW, Maker, certificate, name

from ddns.proof import chain, cms, der, idevid
from ddns.proof.bad import BadProof

VECTORS = Path(__file__).parents[1] / "vectors" / "vouchers"
MAKER = Maker()


def module(serial):
    """Return the alternative name of a hardware module (RFC 4108 §5)."""
    held = der.sequence(der.oid("1.3.6.1.4.1.99999.1"), der.octet_string(serial))
    return x509.SubjectAlternativeName([x509.OtherName(idevid.HARDWARE_MODULE, held)])


def test_a_certificate_without_an_end_says_serial_issuer_and_masa():
    made, _ = MAKER.device("SN-0001")
    found = idevid.read(made)

    assert made.not_valid_after_utc == NEVER
    assert (found.serial, found.masa) == ("SN-0001", "masa.maker.example")
    assert found.issuer == cms.subject_key_identifier(MAKER.anchor) == idevid.issuer_of(found, MAKER.anchor)


def test_a_serial_number_in_a_hardware_module_counts_where_the_subject_has_none():
    made, _ = MAKER.device(subject=name("box"), also=[(module(b"HM-7"), False)])

    assert idevid.read(made).serial == "HM-7"


def test_two_serial_numbers_that_differ_are_refused():
    made, _ = MAKER.device("SN-1", also=[(module(b"SN-2"), False)])

    with pytest.raises(BadProof, match="two serial numbers") as caught:
        idevid.read(made)
    assert caught.value.code == "idevid-malformed"
    assert idevid.read(MAKER.device("SN-1", also=[(module(b"SN-1"), False)])[0]).serial == "SN-1"


def test_a_certificate_without_a_serial_number_is_no_idevid():
    with pytest.raises(BadProof, match="no serialNumber"):
        idevid.read(MAKER.device(subject=name("box"))[0])


@pytest.mark.parametrize("serial", ["S" * 65, "S\x01", "Sé"])
def test_a_serial_number_that_cannot_be_printed_or_is_too_long_is_refused(serial):
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial, _ASN1Type.UTF8String, _validate=False)])
    made, _ = MAKER.device(subject=subject)

    with pytest.raises(BadProof, match="printable"):
        idevid.read(made)


def test_a_serial_number_of_64_characters_is_taken():
    assert idevid.read(MAKER.device("S" * 64)[0]).serial == "S" * 64


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://masa.example/.well-known/brski", "masa.example"),
        ("https://MASA.example:443", "masa.example"),
        ("masa.example:9443", "masa.example:9443"),
        ("", ""),
    ],
)
def test_a_masa_is_known_by_its_authority(url, authority):
    assert idevid.read(Maker(url=url).device()[0]).masa == authority


def test_a_masa_extension_that_is_no_text_is_refused():
    made, _ = Maker(url="").device(also=[(x509.UnrecognizedExtension(idevid.MASA_URL, b"\x04\x01x"), False)])

    with pytest.raises(BadProof) as caught:
        idevid.read(made)
    assert caught.value.code == "idevid-malformed"


def test_the_issuer_is_the_same_in_all_forms_that_are_seen():
    bare = bytes(range(20))
    extension = der.sequence(der.value(0x80, bare))

    for form in (idevid.extension_of(bare), extension, der.octet_string(bare), bare):
        assert idevid.reduce_issuer(form) == bare


@pytest.mark.parametrize("octets", [b"", b"\x04", b"\x30\x00", b"\x30\x03\x04\x01x"])
def test_an_issuer_in_another_form_is_itself(octets):
    assert idevid.reduce_issuer(octets) == octets


def test_an_issuer_without_an_identifier_is_known_from_the_anchor():
    made, _ = MAKER.device(aki=False)
    found = idevid.read(made)
    bare = certificate(MAKER.name, MAKER.key, MAKER.name, MAKER.key, ca=True)

    assert found.issuer is None
    assert idevid.issuer_of(found, MAKER.anchor) == cms.subject_key_identifier(MAKER.anchor)
    # RFC 5280 §4.2.1.2 (1) is how the library makes its identifier too.
    assert idevid.issuer_of(found, bare) == cms.subject_key_identifier(MAKER.anchor)


def test_what_another_maker_made_is_read():
    signer = cms.read(b64decode((VECTORS / "request.cms.b64").read_bytes())).signer
    found = idevid.read(signer)

    assert (found.serial, found.issuer) == ("00-D0-E5-F2-00-02", None)
    assert found.masa == "highway-test.example.com:9443"
    assert found.certificate.not_valid_after_utc == datetime(2999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize("aki", [True, False])
def test_a_box_leads_to_its_maker(aki):
    made, _ = MAKER.device(aki=aki)

    assert chain.path(made, (), (MAKER.anchor,), NOW) == (made, MAKER.anchor)


def test_a_box_with_an_rsa_key_leads_to_its_maker():
    maker = Maker(key=rsa.generate_private_key(65537, 2048))
    made, _ = maker.device(key=rsa.generate_private_key(65537, 2048))

    assert chain.path(made, (), (maker.anchor,), NOW)[-1] == maker.anchor


def test_a_path_goes_through_what_came_along():
    key = ec.generate_private_key(ec.SECP256R1())
    middle = certificate(name("Line 1"), key, MAKER.name, MAKER.key, ca=True)
    box = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate(name(None, "SN-1"), box, name("Line 1"), key)

    assert len(chain.path(leaf, (middle,), (MAKER.anchor,), NOW)) == 3
    assert chain.path(leaf, (), (middle,), NOW)[-1] == middle  # a bond may name what stands in between
    with pytest.raises(chain.NoPath):
        chain.path(leaf, (), (MAKER.anchor,), NOW)


def test_a_box_of_another_maker_leads_nowhere_even_if_that_has_the_same_name():
    with pytest.raises(chain.NoPath):
        chain.path(Maker().device()[0], (), (MAKER.anchor,), NOW)


def test_what_is_no_ca_issues_nothing():
    box, key = MAKER.device("SN-1")
    forged = certificate(name(None, "SN-2"), key, box.subject, key)

    with pytest.raises(chain.NoPath):
        chain.path(forged, (box,), (MAKER.anchor,), NOW)


@pytest.mark.parametrize(("shift", "good"), [(-1, False), (0, True), (100, True), (101, False)])
def test_a_certificate_holds_from_its_first_second_to_its_last(shift, good):
    begin = datetime.fromtimestamp(NOW, UTC)
    made, _ = MAKER.device(begin=begin, end=begin + timedelta(seconds=100))

    if good:
        assert chain.path(made, (), (MAKER.anchor,), NOW + shift)
    else:
        with pytest.raises(chain.NoPath):
            chain.path(made, (), (MAKER.anchor,), NOW + shift)


def test_a_key_that_signs_itself_is_its_own_anchor_and_only_while_it_holds():
    key = ec.generate_private_key(ec.SECP256R1())
    alone = certificate(name("MASA"), key, name("MASA"), key, end=datetime.fromtimestamp(NOW, UTC))

    assert chain.path(alone, (), (alone,), NOW) == (alone,)
    with pytest.raises(chain.NoPath):
        chain.path(alone, (), (alone,), NOW + 1)


def test_makers_with_keys_that_802_1ar_does_not_know_lead_nowhere():
    maker = Maker()
    key = ed25519.Ed25519PrivateKey.generate()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ed")])
    builder = x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(5).not_valid_before(datetime.fromtimestamp(0, UTC)).not_valid_after(NEVER)
    anchor = builder.add_extension(x509.BasicConstraints(True, None), True).sign(key, None)
    leaf = (
        x509.CertificateBuilder().subject_name(name(None, "S")).issuer_name(issuer).serial_number(6)
        .public_key(maker.key.public_key()).not_valid_before(datetime.fromtimestamp(0, UTC)).not_valid_after(NEVER)
        .sign(key, None)
    )  # fmt: skip

    with pytest.raises(chain.NoPath):
        chain.path(leaf, (), (anchor,), NOW)
