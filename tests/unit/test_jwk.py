"""Public keys: JWK and KEY record are two spellings of one key, known by its RFC 7638 thumbprint."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ddns.auth import keys
from ddns.proof import b64, jwk
from ddns.proof.bad import BadProof, refusal_of

RFC8037 = b'{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
RFC7515 = (
    b'{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
    b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
PRIVATE = {
    "P-256": ec.derive_private_key(7, ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(b"\7" * 32),
}


def refused(octets, curves=jwk.ENROLLED):
    with pytest.raises(BadProof) as caught:
        jwk.from_json(octets, curves)
    return caught.value.code


def without(octets, name):
    return json.dumps({key: value for key, value in json.loads(octets).items() if key != name}).encode()


def with_(octets, **more):
    return json.dumps(json.loads(octets) | more).encode()


def test_the_thumbprint_of_rfc_8037_a_3():
    assert jwk.kid(jwk.from_json(RFC8037)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_members_that_are_not_of_the_key_itself_do_not_change_its_thumbprint():
    plain = jwk.from_json(RFC7515)

    assert jwk.from_json(with_(RFC7515, kid="2026", use="sig", alg="ES256")) == plain
    assert len(jwk.thumbprint(plain)) == jwk.THUMBPRINT


@pytest.mark.parametrize("curve", sorted(PRIVATE))
def test_a_key_is_the_same_as_a_jwk_and_as_a_key_record(curve):
    private = PRIVATE[curve]
    key = jwk.of(private)

    assert jwk.to_key_rdata(key) == keys.key_rdata(private)
    assert jwk.from_key_rdata(keys.key_rdata(private)) == key
    assert jwk.from_key_rdata(keys.key_rdata(private, flags=0)) == key
    assert jwk.from_json(jwk.to_json(key)) == key
    assert jwk.of(jwk.public_key(key)) == key


@pytest.mark.parametrize("octets", [RFC8037, RFC7515], ids=["Ed25519", "P-256"])
def test_a_key_that_holds_its_private_half_is_refused(octets):
    assert refused(with_(octets, d="AA")) == "statement-malformed"
    assert refused(with_(octets, k="AA")) == "statement-malformed"


@pytest.mark.parametrize("name", ["kty", "crv", "x", "y"])
def test_a_key_without_one_of_its_members_is_refused(name):
    assert refused(without(RFC7515, name)) in {"key-unfit", "statement-malformed"}


def test_members_that_are_no_text_are_refused():
    assert refused(with_(RFC7515, x=7)) == "statement-malformed"
    assert refused(with_(RFC7515, crv=[])) == "statement-malformed"


def test_a_point_off_its_curve_is_refused():
    key = jwk.from_json(RFC7515)

    assert refused(with_(RFC7515, y=b64.encode(bytes([key.y[0] ^ 1]) + key.y[1:]))) == "key-unfit"
    assert refused(with_(RFC7515, x=b64.encode(bytes(32)), y=b64.encode(bytes(32)))) == "key-unfit"
    assert refused(with_(RFC7515, x=b64.encode(key.x[1:]))) == "key-unfit"


SMALL = [1, 0, 2**255 - 20, jwk._EIGHTH, 2**255 - 19 - jwk._EIGHTH]


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [*SMALL, 2**255 - 19, 2**255 - 18], ids=lambda y: f"{y % 10**6}")
def test_points_of_small_order_and_those_spelt_twice_are_refused(y, sign):
    octets = (y | sign << 255).to_bytes(32, "little")

    assert refused(with_(RFC8037, x=b64.encode(octets))) == "key-unfit"


def test_the_points_of_small_order_are_those_of_the_curve():
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    # Doubling of a point (x, y) of order 8 gives one of order 4, whose y is 0: y² = -x², with the curve's equation
    # -x² + y² = 1 + d·x²·y² that is d·y⁴ + 2·y² - 1 = 0.
    for y in (jwk._EIGHTH, p - jwk._EIGHTH):
        assert (d * pow(y, 4, p) + 2 * y * y - 1) % p == 0


def test_p_384_is_read_only_where_it_is_asked_for():
    key = jwk.of(ec.derive_private_key(7, ec.SECP384R1()))

    assert refused(jwk.to_json(key)) == "key-unfit"
    assert jwk.from_json(jwk.to_json(key), jwk.EVERY) == key


def test_other_curves_and_rsa_records_are_refused():
    with pytest.raises(BadProof):
        jwk.of(ec.derive_private_key(7, ec.SECP521R1()))
    number = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    with pytest.raises(BadProof, match="P-256 or Ed25519"):
        jwk.from_key_rdata(b"\2\0\3\x08\3\1\0\1" + number.to_bytes(256, "big"))
    with pytest.raises(BadProof, match="flags 256"):
        jwk.from_key_rdata(b"\1\0" + keys.key_rdata(PRIVATE["P-256"])[2:])


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "Q+", "Q/8", " QQ", "QQ\n", "é"])
def test_base64url_has_one_spelling(text):
    with pytest.raises(BadProof):
        b64.decode(text)


def test_base64url_of_every_length_comes_back():
    for length in range(70):
        assert b64.decode(b64.encode(bytes(range(length)))) == bytes(range(length))


def test_a_proof_that_is_none_becomes_a_refusal_with_its_code_and_sentence():
    with pytest.raises(BadProof) as caught:
        b64.decode("=")

    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.text) == (caught.value.code, caught.value.sentence)
