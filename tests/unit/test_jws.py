"""Signed JSON: RFC 7515's and RFC 8037's vectors, another library's word, and what is refused."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws as theirs
from joserfc.jwk import ECKey, OKPKey

from ddns.proof import b64, jwk, jws, strict_json
from ddns.proof.bad import BadProof

A3_KEY = jwk.from_json(
    b'{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
    b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
A3 = (
    b"eyJhbGciOiJFUzI1NiJ9"
    b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    b".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
A4_PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(b64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
A4 = (
    b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    b".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
P256 = ec.derive_private_key(11, ec.SECP256R1())
P384 = ec.derive_private_key(11, ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x0b" * 32)
PAYLOAD = b'{"act":"object","sub":"smith.homes.example."}'


def text(value):
    return b64.encode(json.dumps(value).encode())


def forged(header, payload=PAYLOAD, signature=b"\0" * 64):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{b64.encode(raw)}.{b64.encode(payload)}.{b64.encode(signature)}".encode()


def refused(octets, code="statement-malformed"):
    with pytest.raises(BadProof) as caught:
        jws.read(octets)
    assert caught.value.code == code
    return caught.value.sentence


def test_the_vector_of_rfc_7515_a_3_verifies():
    signed = jws.read(A3)

    assert json.loads(signed.payload)["iss"] == "joe"
    assert jws.verify(signed, 0, A3_KEY)


def test_the_vector_of_rfc_8037_a_4_verifies_and_is_made():
    assert jws.compact(b"Example of Ed25519 signing", {}, A4_PRIVATE) == A4
    assert jws.verify(jws.read(A4, plain=True), 0, jwk.of(A4_PRIVATE))
    assert "JSON" in refused(A4)


@pytest.mark.parametrize("private", [P256, P384, ED], ids=["ES256", "ES384", "EdDSA"])
def test_what_is_signed_verifies_by_its_key_alone(private):
    signed = jws.read(jws.sign(PAYLOAD, [({}, private)]))

    assert signed.payload == PAYLOAD
    assert jws.verify(signed, 0, jwk.of(private))
    for other in (P256, P384, ED, ec.derive_private_key(12, ec.SECP256R1())):
        assert jws.verify(signed, 0, jwk.of(other)) == (other is private)


@pytest.mark.parametrize("private", [P256, ED], ids=["ES256", "EdDSA"])
def test_each_octet_counts(private):
    octets = jws.compact(PAYLOAD, {}, private)
    good = jws.read(octets)
    head, _, _ = octets.split(b".")
    for changed in (PAYLOAD.replace(b"smith", b"smyth"), PAYLOAD + b" "):
        other = jws.read(
            b".".join([head, b64.encode(changed).encode(), b64.encode(good.signatures[0].signature).encode()])
        )
        assert not jws.verify(other, 0, jwk.of(private))
    for cut in (b"", good.signatures[0].signature[:-1], good.signatures[0].signature + b"\0"):
        short = jws.read(b".".join([head, b64.encode(PAYLOAD).encode(), b64.encode(cut).encode()]))
        assert not jws.verify(short, 0, jwk.of(private))


def test_the_header_is_signed_too():
    protected = jws.read(jws.compact(PAYLOAD, {"typ": "nameplate+jws"}, P256)).signatures[0]
    swapped = f"{text({'alg': 'ES256', 'typ': 'other'})}.{b64.encode(PAYLOAD)}.{b64.encode(protected.signature)}"

    assert not jws.verify(jws.read(swapped.encode()), 0, jwk.of(P256))


def test_several_sign_the_same_octets_and_each_is_found_by_its_header():
    signed = jws.read(
        jws.sign(
            PAYLOAD,
            [jws.shown(ED), ({"kid": jwk.kid(jwk.of(P256))}, P256), ({"kid": "smith.homes.example."}, b"secret")],
        )
    )

    assert [one.alg for one in signed.signatures] == ["EdDSA", "ES256", "HS256"]
    assert signed.signatures[0].key == jwk.of(ED)
    assert signed.signatures[1].kid == jwk.kid(jwk.of(P256))
    assert jws.verify(signed, 0, jwk.of(ED))
    assert jws.verify(signed, 1, jwk.of(P256))
    assert jws.verify_mac(signed, 2, b"secret")
    assert not jws.verify_mac(signed, 2, b"Secret")


def test_the_flattened_form_is_read():
    protected, payload, signature = jws.compact(PAYLOAD, {}, ED).decode().split(".")
    flat = json.dumps({"protected": protected, "payload": payload, "signature": signature}).encode()

    assert jws.verify(jws.read(flat), 0, jwk.of(ED))


def test_a_mac_under_a_public_key_is_no_signature():
    key = jwk.of(P256)
    for secret in (jwk.to_json(key), jwk.to_key_rdata(key), b"\x04" + key.x + key.y):
        signed = jws.read(jws.compact(PAYLOAD, {"kid": jwk.kid(key)}, secret))
        assert not jws.verify(signed, 0, key)
    shown = jws.read(jws.compact(PAYLOAD, {"jwk": jwk.members(key)}, b"secret"))
    assert not jws.verify_mac(shown, 0, b"secret")


def test_a_signature_by_a_key_is_no_mac():
    assert not jws.verify_mac(jws.read(jws.compact(PAYLOAD, {}, ED)), 0, b"")


def test_one_signed_thing_has_one_digest_however_it_is_wrapped_and_signed():
    ours = jws.read(jws.compact(PAYLOAD, {}, P256))
    r, s = decode_dss_signature(_der(ours.signatures[0].signature))
    twin = r.to_bytes(32, "big") + (_ORDER - s).to_bytes(32, "big")
    protected = ours.signatures[0].protected
    other = jws.read(f"{protected}.{b64.encode(PAYLOAD)}.{b64.encode(twin)}".encode())

    assert jws.verify(other, 0, jwk.of(P256)), "both signatures are good"
    assert other.signatures != ours.signatures
    assert other.digest == ours.digest


_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _der(raw):
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


@pytest.mark.parametrize("alg", ["none", "None", "", "RS256", "PS256", "ES512", "HS512", "es256", 7, None])
def test_other_algorithms_are_refused_before_anything_is_verified(alg):
    refused(forged({"alg": alg}, signature=b""))


@pytest.mark.parametrize("name", ["crit", "b64", "jku", "x5u", "zip", "enc"])
def test_headers_that_would_fetch_or_change_something_are_refused(name):
    assert name in refused(forged({"alg": "ES256", name: []}))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"{}",
        b'{"payload":"e30","signatures":[]}',
        b'{"payload":"e30","signatures":{}}',
        b'{"payload":"e30","signatures":[7]}',
        b'{"payload":7,"signatures":[{}]}',
        b'{"payload":"e30","signatures":[{"protected":"e30"}]}',
        b"\xff.\xff.\xff",
        A3[:-1],
        A3 + b"=",
        A3.replace(b"-", b"+"),
    ],
)
def test_what_is_cut_or_bent_is_refused(octets):
    refused(octets)


def test_members_that_no_signature_covers_are_refused():
    general = json.loads(jws.sign(PAYLOAD, [({}, ED)]))
    refused(json.dumps(general | {"note": "x"}).encode())
    general["signatures"][0]["header"] = {"kid": "x"}
    assert "covers" in refused(json.dumps(general).encode())


@pytest.mark.parametrize(
    "octets",
    [
        forged(b'{"alg":"ES256","alg":"EdDSA"}'),
        forged({"alg": "ES256"}, b'{"act":"object","act":"release"}'),
        forged({"alg": "ES256"}, b'{"a":{"b":1,"b":2}}'),
        b'{"payload":"e30","payload":"e30","protected":"e30","signature":""}',
    ],
    ids=["header", "payload", "deep", "outside"],
)
def test_a_member_that_is_there_twice_is_refused(octets):
    assert "twice" in refused(octets)


@pytest.mark.parametrize("payload", [b"[]", b"7", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\xff"}', b'{"a":1}x', b""])
def test_payloads_that_are_no_json_object_are_refused(payload):
    refused(forged({"alg": "ES256"}, payload))


def test_depth_length_and_count_are_bounded():
    assert "deeper" in refused(forged({"alg": "ES256"}, b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"))
    refused(forged({"alg": "ES256"}, b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}"))
    assert "longer" in refused(b"a" * (jws.MOST + 1))
    many = [{"protected": text({"alg": "EdDSA"}), "signature": ""}] * (jws.MOST_SIGNATURES + 1)
    assert "signatures" in refused(json.dumps({"payload": b64.encode(PAYLOAD), "signatures": many}).encode())
    assert "x5c" in refused(forged({"alg": "ES256", "x5c": ["AAAA"] * (jws.MOST_CERTIFICATES + 1)}))
    assert strict_json.members(b'{"a":' + b"[" * 15 + b"]" * 15 + b"}")


def test_certificates_are_plain_base64():
    signed = jws.read(forged({"alg": "ES256", "x5c": ["+/8="]}))

    assert signed.signatures[0].x5c == (b"\xfb\xff",)
    refused(forged({"alg": "ES256", "x5c": ["-_8="]}))
    refused(forged({"alg": "ES256", "x5c": [7]}))


def test_a_key_in_the_header_must_be_one():
    refused(forged({"alg": "ES256", "jwk": "x"}))
    with pytest.raises(BadProof, match="private half"):
        jws.read(forged({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # RFC 9864 has a new name for it; both are read
@pytest.mark.parametrize("private", [P256, ED], ids=["ES256", "EdDSA"])
def test_another_library_reads_ours_and_we_read_its(private):
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key = (ECKey if private is P256 else OKPKey).import_key(pem)
    ours_alg, alg = ("ES256", "ES256") if private is P256 else ("EdDSA", "Ed25519")

    ours = json.loads(jws.sign(PAYLOAD, [({"typ": "nameplate+jws"}, private)]))
    assert theirs.deserialize_json(ours, key, algorithms=[ours_alg]).payload == PAYLOAD
    made = theirs.serialize_compact({"alg": alg}, PAYLOAD, key, algorithms=[alg])
    assert jws.verify(jws.read(made.encode()), 0, jwk.of(private))
    assert key.thumbprint() == jwk.kid(jwk.of(private))
