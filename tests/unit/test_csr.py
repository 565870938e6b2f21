"""Certification requests: keys that can be SIG(0) keys, and attestations as the lamps working group puts them in."""

import pytest
from attesting import BOX, SIGNER, as_cwt, as_jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from makers import certificate, name

from ddns.proof import csr, der, idevid, jwk
from ddns.proof.bad import BadProof

STATEMENT = "1.3.6.1.4.1.99999.7"  # any


def statement(octets, tag=der.OCTET_STRING):
    return der.sequence(der.oid(STATEMENT), der.value(tag, octets))


def request(key=BOX, *statements, subject=None, bundle=None, twice=False):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or name(None, "SN-1"))
    made = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    if bundle is None and not statements:
        return made.public_bytes(Encoding.DER)
    held = bundle or der.sequence(der.sequence(*statements))
    attribute = der.sequence(der.oid(csr.ATTESTATION), der.set_of(*([held] * (1 + twice))))
    info = der.read(made.tbs_certrequest_bytes).children()
    fresh = der.sequence(*[one.raw for one in info[:3]], der.value(0xA0, attribute))
    return der.sequence(fresh, der.sequence(der.oid("1.3.101.112")), der.value(der.BIT_STRING, b"\0" + BOX.sign(fresh)))


@pytest.mark.parametrize("key", [BOX, ec.generate_private_key(ec.SECP256R1())])
def test_a_request_names_a_key_and_a_serial_number(key):
    found = csr.read(request(key))

    assert (found.key, found.serial, found.evidence, found.hosts) == (jwk.of(key), "SN-1", (), ())


def test_a_request_without_a_serial_number_is_read():
    assert csr.read(request(subject=name("x"))).serial == ""


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_a_key_that_cannot_sign_updates_is_refused(key):
    with pytest.raises(BadProof) as caught:
        csr.read(request(key))
    assert caught.value.code == "key-unfit"


def test_tokens_in_it_are_read_whatever_their_type_is_called():
    found = csr.read(request(BOX, statement(as_jwt(), der.UTF8_STRING), statement(as_jwt()), statement(as_cwt())))

    assert len(found.evidence) == 3
    assert all(one.key == jwk.of(BOX) and one.verify(jwk.of(SIGNER)) for one in found.evidence)


def test_statements_are_counted():
    assert len(csr.read(request(BOX, *[statement(as_cwt())] * csr.MOST_STATEMENTS)).evidence) == csr.MOST_STATEMENTS
    with pytest.raises(BadProof, match="1 to 4"):
        csr.read(request(BOX, *[statement(as_cwt())] * (csr.MOST_STATEMENTS + 1)))


@pytest.mark.parametrize(
    "bundle",
    [der.octet_string(b""), der.sequence(), der.sequence(der.sequence()), der.sequence(der.sequence(der.sequence())),
     der.sequence(der.sequence(statement(b"x", der.IA5_STRING))), der.sequence(der.sequence(statement(b"x"))),
     der.sequence(der.sequence(der.sequence(der.integer(1), der.octet_string(b"x"))))],
)  # fmt: skip
def test_an_attestation_of_another_shape_is_refused(bundle):
    with pytest.raises(BadProof) as caught:
        csr.read(request(bundle=bundle))
    assert caught.value.code == "evidence-malformed"


def test_two_attestations_are_refused():
    with pytest.raises(BadProof, match="two"):
        csr.read(request(BOX, statement(as_cwt()), twice=True))


def test_a_request_that_its_key_did_not_sign_wrong_key():
    octets = request()

    with pytest.raises(BadProof, match="not by the key"):
        csr.read(octets[:-1] + bytes([octets[-1] ^ 1]))


def test_a_request_that_ends_early_truncated():
    octets = request(BOX, statement(as_cwt()))

    for size in range(0, len(octets), 3):
        with pytest.raises(BadProof):
            csr.read(octets[:size])


def test_a_request_that_is_too_long_is_not_looked_at():
    with pytest.raises(BadProof, match="longer"):
        csr.read(bytes(csr.MOST + 1))


CHIP = ec.generate_private_key(ec.SECP256R1())
NONCE = b"n" * 43


def chip_says(key=BOX, *, by=CHIP, over=None, parts=None):
    """Return a statement in which a chip's key has signed the nonce and *key*."""
    signed = NONCE + idevid.spki((over or key).public_key())
    made = by.sign(signed) if isinstance(by, ed25519.Ed25519PrivateKey) else by.sign(signed, ec.ECDSA(hashes.SHA256()))
    found = (der.octet_string(NONCE), der.octet_string(made)) if parts is None else parts
    return der.sequence(der.oid(STATEMENT), der.sequence(*found))


def with_chain(said, *along):
    return der.sequence(der.sequence(said), der.sequence(*(one.public_bytes(Encoding.DER) for one in along)))


def certified(key, called="chip"):
    return certificate(name(called), key, name("Chips"), key)


@pytest.mark.parametrize("by", [CHIP, ed25519.Ed25519PrivateKey.generate()], ids=["p256", "ed25519"])
def test_a_chips_signature_says_of_which_type_it_is_and_whose(by):
    ca = ec.generate_private_key(ec.SECP256R1())
    own = certificate(name("chip"), by, name("Chips"), ca)

    (found,) = csr.read(request(bundle=with_chain(chip_says(by=by), certified(ca, "Chips"), own))).evidence

    assert found.claims == {"key-signature": STATEMENT}
    assert (found.nonces, found.key) == ((NONCE.decode(),), jwk.of(BOX))
    assert found.certificates[0] == own.public_bytes(Encoding.DER)  # whose key it is goes first
    assert found.verify(jwk.of(by))
    assert not found.verify(jwk.of(SIGNER))


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (lambda: with_chain(chip_says(over=SIGNER), certified(CHIP)), "evidence-key-wrong"),
        (lambda: with_chain(chip_says(), certified(SIGNER)), "evidence-key-wrong"),
        (lambda: with_chain(chip_says(parts=(der.octet_string(b"x"),)), certified(CHIP)), "evidence-malformed"),
        (lambda: with_chain(chip_says(parts=(der.integer(1), der.integer(2))), certified(CHIP)), "evidence-malformed"),
        (
            lambda: with_chain(chip_says(parts=(der.octet_string(b"\xff"), der.octet_string(b""))), certified(CHIP)),
            "evidence-nonce-wrong",
        ),
        (lambda: with_chain(chip_says(), *[certified(CHIP)] * 9), "evidence-malformed"),
        (lambda: der.sequence(der.sequence(chip_says()), der.sequence(der.integer(1))), "evidence-malformed"),
    ],
    ids=["other-key", "other-signer", "one-part", "numbers", "nonce", "many", "no-certificate"],
)
def test_a_chips_signature_that_is_none_is_refused(bundle, code):
    with pytest.raises(BadProof) as caught:
        csr.read(request(bundle=bundle()))

    assert caught.value.code == code


def test_no_token_pretends_to_be_a_chips_signature():
    (found,) = csr.read(request(BOX, statement(as_jwt(**{"key-signature": STATEMENT})))).evidence

    assert "key-signature" not in found.claims
