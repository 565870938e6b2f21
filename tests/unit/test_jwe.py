"""The phone's challenge to a box: JWE with ECDH-ES and A256GCM, and what is not taken for one."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.proof import b64, jwe
from ddns.proof.bad import BadProof

# RFC 7518 appendix C: Alice's one-time key, Bob's key.
ALICE = "0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"
BOB = "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"
BOB_X, BOB_Y = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"
DICE = bytes(range(12))
PLAIN = b"a challenge of thirty-two octets"


def private(text):
    """Return the key of a JWK's `d`."""
    return ec.derive_private_key(int.from_bytes(b64.decode(text), "big"), ec.SECP256R1())


def sealed():
    """Return `PLAIN`, sealed by Alice for Bob."""
    return jwe.seal(PLAIN, private(BOB).public_key(), private(ALICE), DICE)


def with_header(text, **changed):
    """Return *text* with members of its header changed; None takes one away."""
    header, *rest = text.split(".")
    members = {**msgspec.json.decode(b64.decode(header)), **changed}
    kept = {name: value for name, value in members.items() if value is not None}
    return ".".join((b64.encode(msgspec.json.encode(kept)), *rest))


def test_the_key_is_derived_as_in_rfc_7518():
    """Appendix C, with its names of both sides and its cipher."""
    numbers = private(BOB).public_key().public_numbers()
    assert (numbers.x, numbers.y) == tuple(int.from_bytes(b64.decode(one), "big") for one in (BOB_X, BOB_Y))
    shared = private(ALICE).exchange(ec.ECDH(), private(BOB).public_key())

    assert b64.encode(jwe.derive(shared, "A128GCM", b"Alice", b"Bob", 128)) == "VqqN6vgjbSBcIijNcacQGg"


def test_what_is_sealed_is_read_by_its_key_alone():
    """And by no other key."""
    text = sealed()

    assert jwe.unseal(text, private(BOB)) == PLAIN
    with pytest.raises(BadProof, match="another key") as raised:
        jwe.unseal(text, private(ALICE))
    assert raised.value.code == "qr-proof-wrong"


def test_another_library_reads_it_and_is_read():
    """joserfc, both ways, its parties' names (apu, apv) included."""
    jose = pytest.importorskip("joserfc.jwe")
    keys = pytest.importorskip("joserfc.jwk")
    key = keys.ECKey.import_key({"kty": "EC", "crv": "P-256", "x": BOB_X, "y": BOB_Y, "d": BOB})

    assert jose.decrypt_compact(sealed(), key).plaintext == PLAIN
    for more in ({}, {"apu": b64.encode(b"Alice"), "apv": b64.encode(b"Bob")}):
        theirs = jose.encrypt_compact({"alg": "ECDH-ES", "enc": "A256GCM", **more}, PLAIN, key)
        assert jwe.unseal(theirs, private(BOB)) == PLAIN


def test_an_empty_text_and_a_long_one():
    """Nothing is something; what would not be read is not written."""
    empty = jwe.seal(b"", private(BOB).public_key(), private(ALICE), DICE)

    assert jwe.unseal(empty, private(BOB)) == b""
    with pytest.raises(BadProof, match="4096"):
        jwe.seal(bytes(4000), private(BOB).public_key(), private(ALICE), DICE)


def test_every_change_is_noticed():
    """Each character of it, each truncation, each part left out or added."""
    text = sealed()
    broken = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text))]
    broken += [text[:size] for size in range(len(text))]
    parts = text.split(".")
    broken += [".".join(parts[:at] + parts[at + 1 :]) for at in range(5)] + [f"{text}.", f".{text}", "....", ""]

    for one in broken:
        with pytest.raises(BadProof):
            jwe.unseal(one, private(BOB))


@pytest.mark.parametrize(
    "changed",
    [
        {"alg": "dir"}, {"alg": "none"}, {"alg": "ECDH-ES+A128KW"}, {"enc": "A128GCM"}, {"enc": None}, {"alg": None},
        {"epk": None}, {"epk": {"kty": "OKP", "crv": "X25519", "x": BOB_X}}, {"zip": "DEF"}, {"crit": ["exp"]},
        {"epk": {"kty": "EC", "crv": "P-384", "x": BOB_X, "y": BOB_Y}}, {"apu": "not base64url!"}, {"jku": "https://x"},
        {"epk": {"kty": "EC", "crv": "P-256", "x": BOB_X, "y": BOB_X}},  # off the curve
        {"epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": BOB_Y}},
        {"epk": {"kty": "EC", "crv": "P-256", "x": b64.encode(bytes(32)), "y": b64.encode(bytes(32))}},
    ],
)  # fmt: skip
def test_another_algorithm_is_not_taken(changed):
    """Nobody can ask for less than what is there."""
    with pytest.raises(BadProof):
        jwe.unseal(with_header(sealed(), **changed), private(BOB))


def test_a_wrapped_key_is_not_taken():
    """ECDH-ES without a wrap has none (RFC 7516 §5.2)."""
    header, _, *rest = sealed().split(".")

    with pytest.raises(BadProof, match="wrapped key"):
        jwe.unseal(".".join((header, "AAAA", *rest)), private(BOB))


def test_padding_is_not_taken():
    """One spelling only."""
    text = sealed()

    assert len(base64.urlsafe_b64decode(text.split(".")[4] + "==")) == 16
    with pytest.raises(BadProof):
        jwe.unseal(f"{text}==", private(BOB))


def test_without_chance_nothing_is_sealed():
    """A nonce of A256GCM has 12 octets."""
    with pytest.raises(ValueError, match="12"):
        jwe.seal(PLAIN, private(BOB).public_key(), private(ALICE), b"")
