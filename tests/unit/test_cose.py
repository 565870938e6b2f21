"""COSE_Sign1: the example of RFC 9052 appendix C.2.1, an independent library both ways, and what is refused."""

import cwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ddns.proof import cbor, cose, jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk

KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
EXAMPLE = bytes.fromhex(
    "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4"
    "d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
)
ELEVEN = PublicJwk(
    "EC", "P-256", bytes.fromhex("bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"),
    bytes.fromhex("20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"),
)  # fmt: skip


def theirs(key, alg, *, private):
    if private:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, alg=alg, kid=b"01")


def parts(octets):
    return list(cbor.read(octets).value)


def with_parts(octets, **changed):
    names = ("protected", "free", "payload", "signature")
    held = dict(zip(names, parts(octets), strict=True)) | changed
    return cbor.write([held[name] for name in names])


def test_the_example_of_the_standard_is_verified():
    found = cose.read(EXAMPLE)

    assert (found.payload, found.kid) == (b"This is the content.", b"11")
    assert cose.verify(found, ELEVEN)


@pytest.mark.parametrize("alg", KEYS)
def test_an_independent_library_verifies_what_we_sign(alg):
    key = KEYS[alg]
    octets = cose.sign(cbor.write({1: "box"}), key, kid=b"01")

    assert cwt.COSE.new().decode(octets, theirs(key, alg, private=False)) == cbor.write({1: "box"})


@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("tagged", [True, False])
def test_we_verify_what_an_independent_library_signs(alg, tagged):
    key = KEYS[alg]
    octets = cwt.encode({1: "box", 10: b"n" * 32}, theirs(key, alg, private=True), tagged=tagged)
    found = cose.read(octets)

    assert cose.verify(found, jwk.of(key))
    assert not cose.verify(found, ELEVEN)


@pytest.mark.parametrize("alg", KEYS)
def test_other_content_or_another_header_under_the_same_signature_does_not_verify(alg):
    key, public = KEYS[alg], jwk.of(KEYS[alg])
    octets = cose.sign(b"content", key)

    assert cose.verify(cose.read(octets), public)
    assert not cose.verify(cose.read(with_parts(octets, payload=b"Content")), public)
    header = cbor.read(parts(octets)[0]) | {cose.KID: b"x"}
    assert not cose.verify(cose.read(with_parts(octets, protected=cbor.write(header))), public)
    assert not cose.verify(cose.read(with_parts(octets, signature=b"")), public)


def test_the_algorithm_follows_from_the_key():
    octets = with_parts(EXAMPLE, protected=cbor.write({cose.ALG: -8}))

    assert not cose.verify(cose.read(octets), ELEVEN)


@pytest.mark.parametrize(
    "changed",
    [
        {"payload": None},
        {"protected": b"\xa0"},
        {"protected": b""},
        {"protected": b"\x80"},
        {"protected": b"\xa1\x01"},
        {"protected": cbor.write({1: "ES256"})},
        {"protected": cbor.write({1: True})},
        {"protected": cbor.write({1: -7, cose.CRIT: [1]})},
        {"free": {cose.CRIT: [1]}},
        {"free": {1: -7}},
        {"free": []},
        {"free": {4: "11"}},
        {"free": {33: "x"}},
        {"free": {33: [b"x"] * 9}},
        {"signature": "x"},
    ],
)
def test_a_structure_of_another_shape_is_refused(changed):
    with pytest.raises(BadProof) as caught:
        cose.read(with_parts(EXAMPLE, **changed))
    assert caught.value.code == "evidence-malformed"


def test_a_structure_that_ends_early_truncated():
    for size in range(len(EXAMPLE)):
        with pytest.raises(BadProof):
            cose.read(EXAMPLE[:size])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_certificates_come_along_alone_or_as_an_array(count):
    chain = tuple(bytes([number]) for number in range(count))

    assert cose.read(cose.sign(b"x", KEYS["ES256"], x5chain=chain)).x5chain == chain


@pytest.mark.parametrize("alg", KEYS)
def test_keys_come_back(alg):
    public = jwk.of(KEYS[alg])

    assert cose.key_of(cose.members_of(public)) == public


@pytest.mark.parametrize(
    "changed",
    [{-1: 4}, {-1: True}, {1: 1}, {-2: b""}, {-2: "x"}, {-3: True}, {-3: bytes(32)}, {-4: b"private"}],
    ids=str,
)
def test_a_key_that_is_none_is_refused(changed):
    with pytest.raises(BadProof):
        cose.key_of(cose.members_of(ELEVEN) | changed)


@pytest.mark.parametrize("given", [None, [], b"", 7])
def test_a_key_that_is_no_map_is_refused(given):
    with pytest.raises(BadProof):
        cose.key_of(given)
