"""Attestation tokens: JWT and CWT of independent libraries say the same here, and each lack has its own refusal."""

import cwt
import pytest
from attesting import BOX, IN_CBOR, NONCE, NOW, PEM, SIGNER, as_cwt, as_jwt

from ddns.proof import b64, cbor, cose, eat, jwk, jws
from ddns.proof.bad import BadProof


def test_a_token_in_json_and_one_in_cbor_say_the_same():
    in_json, in_cbor = eat.read(as_jwt(), eat.JWT), eat.read(as_cwt(), eat.CWT)

    for found in (in_json, in_cbor):
        assert found.verify(jwk.of(SIGNER))
        assert not found.verify(jwk.of(BOX))
        assert (found.nonces, found.key) == ((NONCE,), jwk.of(BOX))
        assert (found.expires, found.begins, found.issued) == (NOW + 600, None, NOW)
    del in_json.claims["cnf"], in_cbor.claims["cnf"], in_cbor.claims["eat_nonce"], in_json.claims["eat_nonce"]
    assert in_json.claims == in_cbor.claims


def test_a_token_of_an_independent_library_in_cbor_is_read():
    key = cwt.COSEKey.from_pem(PEM, alg="ES256", kid=b"01")
    found = eat.read_cwt(cwt.encode(dict(IN_CBOR), key, tagged=True))

    assert found.verify(jwk.of(SIGNER))
    assert found.claims["dbgstat"] == "disabled-permanently"


def test_a_nonce_in_cbor_may_be_the_text_or_what_the_text_says():
    assert eat.read_cwt(as_cwt({10: b64.decode(NONCE)})).nonces == (NONCE,)
    assert eat.read_cwt(as_cwt({10: [b"another-nonce", NONCE.encode()]})).nonces == ("another-nonce", NONCE)
    assert eat.read_jwt(as_jwt(eat_nonce=["another-nonce", NONCE])).nonces == ("another-nonce", NONCE)
    assert eat.read_jwt(as_jwt(eat_nonce=None)).nonces == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"eat_nonce": 7}, {"eat_nonce": ["n"] * 9}, {"exp": "soon"}, {"exp": True}, {"exp": -1}, {"iat": 2**60},
        {"cnf": {}}, {"cnf": "key"}, {"cnf": {"jwk": {"kty": "EC"}}}, {"cnf": {"jwk": {"kty": "oct", "k": "AAAA"}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_claim_in_json_of_another_kind_is_refused(changed):
    with pytest.raises(BadProof) as caught:
        eat.read_jwt(as_jwt(**changed))
    assert caught.value.code == "evidence-malformed"


@pytest.mark.parametrize(
    "changed",
    [{10: "text"}, {10: [b"n"] * 9}, {4: "soon"}, {8: {}}, {8: {1: {}}}, {8: 7}, {263: 3, "dbgstat": "enabled"}],
    ids=str,
)
def test_a_claim_in_cbor_of_another_kind_is_refused(changed):
    with pytest.raises(BadProof) as caught:
        eat.read_cwt(as_cwt(changed))
    assert caught.value.code == "evidence-malformed"


@pytest.mark.parametrize("octets", [b"", b"{}", b"a.b.c", b"\xa0", b"[]", bytes(70_000)])
@pytest.mark.parametrize("media", [eat.JWT, eat.CWT, "application/eat-ucs+json"])
def test_octets_that_are_no_token_are_refused(octets, media):
    with pytest.raises(BadProof) as caught:
        eat.read(octets, media)
    assert caught.value.code == "evidence-malformed"


def test_claims_that_are_no_map_are_refused():
    for payload in (b"\x80", b"\xff"):
        with pytest.raises(BadProof):
            eat.read_cwt(cose.sign(payload, SIGNER))


def test_a_token_signed_by_two_is_refused():
    octets = jws.sign(b"{}", [({}, SIGNER), ({}, BOX)])

    with pytest.raises(BadProof, match="several"):
        eat.read_jwt(octets)


def test_an_unsigned_token_is_refused_alg_none():
    head = b64.encode(b'{"alg":"none"}')

    with pytest.raises(BadProof):
        eat.read_jwt(f"{head}.{b64.encode(b'{}')}.".encode())


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": NOW}, "evidence-expired"),
        ({"exp": NOW + 1}, None),
        ({"exp": None}, None),
        ({"nbf": NOW + 300}, None),
        ({"nbf": NOW + 301}, "evidence-not-yet"),
        ({"iat": NOW + 301}, "evidence-not-yet"),
    ],
    ids=str,
)
def test_a_token_holds_from_its_first_second_to_its_last(claims, code):
    found = eat.read_jwt(as_jwt(**claims))

    if code is None:
        eat.check_times(found, NOW)
        return
    with pytest.raises(BadProof) as caught:
        eat.check_times(found, NOW)
    assert caught.value.code == code


def test_a_tag_within_a_claim_is_what_it_tags():
    assert eat.read_cwt(as_cwt({300: cbor.Tag(cbor.CWT, b"x")})).claims["300"] == b64.encode(b"x")
