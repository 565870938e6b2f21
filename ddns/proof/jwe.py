"""A few octets for one key alone: compact JWE, ECDH-ES with A256GCM on P-256 (RFC 7516 §3.1, RFC 7518 §4.6).

A phone asks a box with it whether it has the key that is printed on it: only who has can read the question. One
algorithm is known, and the header must name it, so that nobody can ask for a weaker one.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ddns.proof import b64
from ddns.proof.bad import BadProof

MOST = 4096  # characters of a compact JWE
NONCE = 12  # octets of chance for A256GCM (RFC 7518 §5.3)

_ALGORITHM, _CIPHER = "ECDH-ES", "A256GCM"
_KEY_BITS = 256
_TAG = 16  # octets
_COORDINATE = 32  # octets
_PARTS = 5  # header, key (none), nonce, ciphertext, tag
_NUMBER = struct.Struct("!I")


class _Point(msgspec.Struct, frozen=True):
    """The sender's one-time key; other members say nothing that is needed (RFC 7517 §4)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header as RFC 7516 §4 has it; `crit`, `zip` and whatever else is not here is refused."""

    alg: Literal["ECDH-ES"]
    enc: Literal["A256GCM"]
    epk: _Point
    apu: str = ""
    apv: str = ""
    cty: str = ""
    kid: str = ""
    typ: str = ""


def seal(plain: bytes, to: ec.EllipticCurvePublicKey, once: ec.EllipticCurvePrivateKey, dice: bytes) -> str:
    """Return *plain* so that only the owner of the P-256 key *to* can read it.

    *once* is a key made for this text alone, *dice* are 12 octets of chance. Raises `BadProof` for what is too long.
    """
    if len(dice) != NONCE:
        raise ValueError(f"a JWE needs {NONCE} octets of chance, not {len(dice)}")
    numbers = once.public_key().public_numbers()
    point = {
        "kty": "EC",
        "crv": "P-256",
        "x": b64.encode(numbers.x.to_bytes(_COORDINATE, "big")),
        "y": b64.encode(numbers.y.to_bytes(_COORDINATE, "big")),
    }
    header = b64.encode(msgspec.json.encode({"alg": _ALGORITHM, "enc": _CIPHER, "epk": point}))
    key = derive(once.exchange(ec.ECDH(), to), _CIPHER, b"", b"", _KEY_BITS)
    sealed = AESGCM(key).encrypt(dice, plain, header.encode())
    text = ".".join((header, "", b64.encode(dice), b64.encode(sealed[:-_TAG]), b64.encode(sealed[-_TAG:])))
    if len(text) > MOST:
        raise _bad(f"it has more than {MOST} characters")
    return text


def unseal(text: str, private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return what was sealed for *private*, a P-256 key. Raises `BadProof` with the code `qr-proof-wrong`."""
    if len(text) > MOST:
        raise _bad(f"it has more than {MOST} characters")
    parts = text.split(".")
    if len(parts) != _PARTS or parts[1]:
        raise _bad("it is no compact JWE without a wrapped key")
    try:
        octets = [b64.decode(part) for part in parts]
        header = msgspec.json.decode(octets[0], type=_Header)
        numbers = [b64.decode(part) for part in (header.epk.x, header.epk.y)]
        sender, receiver = b64.decode(header.apu), b64.decode(header.apv)
    except (BadProof, msgspec.DecodeError):
        raise _bad("its header cannot be read, or asks for another algorithm than ECDH-ES with A256GCM") from None
    if any(len(number) != _COORDINATE for number in numbers) or len(octets[2]) != NONCE or len(octets[4]) != _TAG:
        raise _bad("one of its parts has another length than it must have")
    try:
        point = ec.EllipticCurvePublicNumbers(
            int.from_bytes(numbers[0], "big"), int.from_bytes(numbers[1], "big"), ec.SECP256R1()
        ).public_key()
    except ValueError:
        raise _bad("its key is no point of the curve P-256") from None
    key = derive(private.exchange(ec.ECDH(), point), _CIPHER, sender, receiver, _KEY_BITS)
    try:
        return AESGCM(key).decrypt(octets[2], octets[3] + octets[4], parts[0].encode())
    except InvalidTag:
        raise _bad("it is for another key, or was changed on its way") from None


def derive(shared: bytes, algorithm: str, sender: bytes, receiver: bytes, bits: int) -> bytes:
    """Return a key of *bits*, at most 256, from what both sides know (RFC 7518 §4.6.2, one round of the Concat KDF)."""
    info = b"".join(_NUMBER.pack(len(one)) + one for one in (algorithm.encode(), sender, receiver)) + _NUMBER.pack(bits)
    return hashlib.sha256(_NUMBER.pack(1) + shared + info).digest()[: bits // 8]


def _bad(why: str) -> BadProof:
    return BadProof("qr-proof-wrong", f"The challenge cannot be answered: {why}; scan the code on the box again.")
