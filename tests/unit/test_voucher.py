"""Vouchers and their requests: both containers, what the field writes differently, and each member by itself."""

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from makers import NOW, Maker, certificate, name

from ddns.proof import cms, jws, voucher
from ddns.proof.bad import BadProof
from ddns.proof.voucher import Assertion, Request, Voucher

VECTORS = Path(__file__).parents[1] / "vectors" / "vouchers"  # of the IETF's anima working group
MAKER = Maker()
BOX, BOX_KEY = MAKER.device("SN-1")
ASKED = Request(
    serial_number="SN-1", created_on=NOW, assertion=Assertion.PROXIMITY, nonce=b"n" * 16,
    proximity_registrar_cert=b"registrar", idevid_issuer=b"issuer", prior=b"prior", challenge=b"c" * 32,
)  # fmt: skip
SAID = Voucher(
    serial_number="SN-1", created_on=NOW, assertion=Assertion.VERIFIED, pinned_domain_cert=b"pinned",
    idevid_issuer=b"issuer", nonce=b"n" * 16, expires_on=NOW + 3600,
)  # fmt: skip


def signed(document, media=voucher.CMS):
    if media == voucher.CMS:
        return voucher.write_cms(document, BOX, BOX_KEY, NOW)
    return voucher.write_jws(document, BOX, BOX_KEY)


def voucher_with(**members):
    """Return a voucher whose JSON has other members; None takes one out."""
    held = json.loads(voucher.voucher_json(SAID))["ietf-voucher:voucher"] | members
    held = {key: one for key, one in held.items() if one is not None}
    return signed(json.dumps({"ietf-voucher:voucher": held}).encode())


@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
def test_what_is_written_is_read_with_its_signer(media):
    said, by = voucher.read_voucher(signed(voucher.voucher_json(SAID), media), media)
    asked, asker = voucher.read_request(signed(voucher.request_json(ASKED), media), media)

    assert (said, asked) == (SAID, ASKED)
    assert by.signer == asker.signer == BOX
    assert by.verify(BOX)
    assert asker.verify(BOX)


@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)])
def test_another_certificate_did_not_sign_wrong_key(media, key):
    other = certificate(name("x"), key, name("x"), key)
    _, by = voucher.read_voucher(signed(voucher.voucher_json(SAID), media), media)

    assert not by.verify(other)


def test_a_certificate_on_a_curve_that_jws_does_not_know_did_not_sign():
    key = ec.generate_private_key(ec.SECP521R1())
    _, by = voucher.read_voucher(signed(voucher.voucher_json(SAID), voucher.JWS), voucher.JWS)

    assert not by.verify(certificate(name("x"), key, name("x"), key))


def test_a_voucher_of_others_in_cms():
    found, by = voucher.read_voucher(b64decode((VECTORS / "voucher.cms.b64").read_bytes()), voucher.CMS)

    assert (found.serial_number, found.assertion, found.created_on) == ("00-D0-E5-F2-00-02", "logged", 1657487298)
    assert found.nonce == bytes.fromhex("e2f4eca694b609ea81ce111da227ccda")  # base64url without padding
    assert cms.certificate(found.pinned_domain_cert).subject.rfc4514_string().startswith("CN=fountain-test.example.com")
    assert by.verify(by.signer)


def test_a_request_of_others_in_cms():
    found, by = voucher.read_request(b64decode((VECTORS / "request.cms.b64").read_bytes()), voucher.CMS)

    assert (found.assertion, found.idevid_issuer, found.prior) == (Assertion.PROXIMITY, b"", b"")
    assert cms.certificate(found.proximity_registrar_cert)
    assert by.verify(by.signer)


def test_a_voucher_of_others_in_jws():
    found, by = voucher.read_voucher((VECTORS / "voucher.jws").read_bytes(), voucher.JWS)

    assert (found.serial_number, found.nonce) == ("0123456789", b64decode("eDs++/FuDHGUnRxN3E14CQ=="))
    assert by.verify(by.signer)


def test_members_that_are_not_known_are_left_alone():
    found, _ = voucher.read_voucher(voucher_with(**{"est-domain": "est.example", "extensions": ["x"]}), voucher.CMS)

    assert found == SAID


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2027-01-15T08:00:00.720Z", 1_800_000_000),
        ("2027-01-15T09:30:00+01:30", 1_800_000_000),
        ("2027-01-15t08:00:00z", 1_800_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ],
)
def test_times_are_read_as_the_field_writes_them(text, at):
    assert voucher.read_voucher(voucher_with(**{"created-on": text}), voucher.CMS)[0].created_on == at


@pytest.mark.parametrize("text", ["2027-01-15", "2027-01-15T08:00:00", "yesterday", "2027-13-15T08:00:00Z", 7])
def test_other_times_are_refused(text):
    with pytest.raises(BadProof, match="created-on") as caught:
        voucher.read_voucher(voucher_with(**{"created-on": text}), voucher.CMS)
    assert caught.value.code == "voucher-malformed"


@pytest.mark.parametrize(
    ("written", "nonce"),
    [
        (b64encode(bytes(16)).decode(), bytes(16)),
        ("-_-_", b"\xfb\xff\xbf"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("AA", b"\0"),
        ("no base64!", b"no base64!"),
    ],
)
def test_a_nonce_is_base64_of_either_alphabet_or_any_text(written, nonce):
    assert voucher.read_voucher(voucher_with(nonce=written), voucher.CMS)[0].nonce == nonce


@pytest.mark.parametrize("size", [32, 33])
def test_a_nonce_has_at_most_32_octets(size):
    octets = voucher_with(nonce=b64encode(bytes(size)).decode())

    if size == 32:
        assert voucher.read_voucher(octets, voucher.CMS)[0].nonce == bytes(32)
    else:
        with pytest.raises(BadProof, match="32 octets"):
            voucher.read_voucher(octets, voucher.CMS)


@pytest.mark.parametrize(("written", "read"), [(0, Assertion.VERIFIED), (2, Assertion.PROXIMITY), ("logged", "logged")])
def test_an_assertion_is_a_word_or_its_number(written, read):
    assert voucher.read_voucher(voucher_with(assertion=written), voucher.CMS)[0].assertion == read


@pytest.mark.parametrize(
    "members",
    [
        {"assertion": "hearsay"},
        {"assertion": 9},
        {"assertion": True},
        {"assertion": []},
        {"assertion": None},
        {"created-on": None},
        {"serial-number": None},
        {"serial-number": ""},
        {"serial-number": "S" * 256},
        {"serial-number": 7},
        {"pinned-domain-cert": "%"},
        {"pinned-domain-cert": {}},
        {"nonce": ""},
    ],
)
def test_a_member_that_is_missing_or_of_another_kind_is_refused(members):
    with pytest.raises(BadProof) as caught:
        voucher.read_voucher(voucher_with(**members), voucher.CMS)
    assert caught.value.code == "voucher-malformed"


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"{}", b"\xff", b'{"ietf-voucher:voucher": []}', voucher.request_json(ASKED),
        b'{"ietf-voucher:voucher": {}, "x": 1}', b"[" * 10_000,
        b'{"ietf-voucher:voucher": {"serial-number": "A", "serial-number": "B"}}',
    ],
)  # fmt: skip
def test_another_document_is_no_voucher(document):
    with pytest.raises(BadProof) as caught:
        voucher.read_voucher(signed(document), voucher.CMS)
    assert caught.value.code == "voucher-malformed"


@pytest.mark.parametrize("media", [*sorted(voucher.MEDIA), "application/json"])
@pytest.mark.parametrize("octets", [b"", b"x", b"{}", b"\x30\x00", bytes(voucher.MOST + 1)])
def test_octets_that_hold_no_signed_document_are_refused(octets, media):
    with pytest.raises(BadProof) as caught:
        voucher.read_voucher(octets, media)
    assert caught.value.code == "evidence-malformed"


def test_a_jws_of_two_is_no_voucher():
    octets = jws.sign(voucher.voucher_json(SAID), [({}, BOX_KEY), ({}, MAKER.key)])
    with pytest.raises(BadProof, match="several signatures"):
        voucher.read_voucher(octets, voucher.JWS)


def test_a_jws_without_certificates_has_no_signer():
    octets = jws.sign(voucher.voucher_json(SAID), [({}, BOX_KEY)])
    _, by = voucher.read_voucher(octets, voucher.JWS)

    assert by.signer is None
    assert by.verify(BOX)
