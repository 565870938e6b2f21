"""Public keys as JSON Web Keys (RFC 7517, RFC 8037) and as KEY records: one key, two spellings.

Owners and gateways sign with P-256 or Ed25519. P-384 is read only where a certificate or a verifier has it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddns.auth.keys import FLAGS_HOST, PROTOCOL_DNSSEC, BadKey
from ddns.auth.keys import check as check_key
from ddns.dns.codes import Algorithm
from ddns.dns.records import Rdata
from ddns.proof import b64, strict_json
from ddns.proof.bad import BadProof

MOST = 1024  # octets of one key in JSON
THUMBPRINT = 32  # octets of a thumbprint: SHA-256
ENROLLED = frozenset({"P-256", "Ed25519"})  # curves of keys that owners and gateways have
EVERY = ENROLLED | {"P-384"}  # and those of certificates and verifiers

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_KEY = struct.Struct("!HBB")  # RFC 2535 §3.1: flags, protocol, algorithm
_SIZES = {"P-256": 32, "P-384": 48, "Ed25519": 32}
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384"}
_ALGORITHMS = {
    "P-256": Algorithm.ECDSAP256SHA256,
    "P-384": Algorithm.ECDSAP384SHA384,
    "Ed25519": Algorithm.ED25519,
}
_CURVE_OF = {algorithm: curve for curve, algorithm in _ALGORITHMS.items()}
_PRIME = 2**255 - 19
_EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7  # y of four points of order 8
# The y of the points of order 1, 2, 4 and 8: under such a key one signature fits many messages (RFC 8032 §8.9 leaves
# the check to who needs that a signature binds).
_SMALL = frozenset({0, 1, _PRIME - 1, _EIGHTH, _PRIME - _EIGHTH})


class PublicJwk(msgspec.Struct, frozen=True):
    """A public key: *x* and *y* are the octets of its coordinates; an Ed25519 key has no *y*."""

    kty: str
    crv: str
    x: bytes
    y: bytes = b""


def from_json(octets: bytes, curves: frozenset[str] = ENROLLED) -> PublicJwk:
    """Return the key of a JWK's JSON. Raises `BadProof` for what is no public key on one of *curves*."""
    return from_members(strict_json.members(octets, MOST), curves)


def from_members(members: dict[str, Any], curves: frozenset[str] = ENROLLED) -> PublicJwk:
    """Return the key of a JWK's members; those that are about its use are not looked at. Raises `BadProof`."""
    if members.keys() & {"d", "k", "p", "q", "dp", "dq", "qi", "oth"}:
        raise BadProof("statement-malformed", "A key holds its private half; make a new key, and send its public half.")
    kty, crv, x, y = (members.get(name, "") for name in ("kty", "crv", "x", "y"))
    if not all(isinstance(value, str) for value in (kty, crv, x, y)):
        raise BadProof("statement-malformed", "A key's members must be text; mend the program.")
    if crv not in curves or kty != ("OKP" if crv == "Ed25519" else "EC") or ("y" in members) != (kty == "EC"):
        raise _unfit()
    return _checked(PublicJwk(kty, crv, b64.decode(x), b64.decode(y)))


def members(key: PublicJwk) -> dict[str, str]:
    """Return *key* as the members of a JWK that RFC 7638 §3.2 requires, in their order."""
    found = {"crv": key.crv, "kty": key.kty, "x": b64.encode(key.x)}
    return found | {"y": b64.encode(key.y)} if key.y else found


def to_json(key: PublicJwk) -> bytes:
    """Return *key* in the one JSON spelling that its thumbprint is made of (RFC 7638 §3)."""
    return json.dumps(members(key), separators=(",", ":")).encode("ascii")


def thumbprint(key: PublicJwk) -> bytes:
    """Return the SHA-256 thumbprint of *key* (RFC 7638 §3), by which owners' keys are known."""
    return hashlib.sha256(to_json(key)).digest()


def kid(key: PublicJwk) -> str:
    """Return the thumbprint of *key* as base64url, as statements name keys."""
    return b64.encode(thumbprint(key))


def from_key_rdata(rdata: Rdata) -> PublicJwk:
    """Return the key of a KEY record whose flags are 0 or 512. Raises `BadProof`."""
    try:
        algorithm, _ = check_key(rdata)
    except BadKey as error:
        raise BadProof("key-unfit", f"The key cannot be used: {error}.") from None
    crv = _CURVE_OF.get(Algorithm(algorithm))
    if crv not in ENROLLED:
        raise _unfit()
    octets = rdata[_KEY.size :]
    if crv == "Ed25519":
        return _checked(PublicJwk("OKP", crv, octets))
    return _checked(PublicJwk("EC", crv, octets[: _SIZES[crv]], octets[_SIZES[crv] :]))


def to_key_rdata(key: PublicJwk) -> Rdata:
    """Return the RDATA of the KEY record, flags 512, that publishes *key* for SIG(0) (RFC 2535 §3, RFC 3445 §4)."""
    return _KEY.pack(FLAGS_HOST, PROTOCOL_DNSSEC, _ALGORITHMS[key.crv]) + key.x + key.y


def of(key: PrivateKey | PublicKey) -> PublicJwk:
    """Return the public half of *key*. Raises `BadProof` for a curve that nobody signs with here."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return of(key.public_key())
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _checked(PublicJwk("OKP", "Ed25519", key.public_bytes(Encoding.Raw, PublicFormat.Raw)))
    crv = _NAMES.get(key.curve.name)
    if crv is None:
        raise _unfit()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return PublicJwk("EC", crv, point[: _SIZES[crv]], point[_SIZES[crv] :])


@functools.lru_cache(maxsize=4096)  # keys; parsing a point costs some 50 µs
def public_key(key: PublicJwk) -> PublicKey:
    """Return *key* as the library verifies with it. Raises `BadProof` where it is no point of its curve."""
    try:
        if key.crv == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(key.x)
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[key.crv], b"\x04" + key.x + key.y)
    except (ValueError, UnsupportedAlgorithm):
        raise BadProof("key-unfit", "A key is no point of its curve; make a new one.") from None


def _checked(key: PublicJwk) -> PublicJwk:
    size = _SIZES[key.crv]
    if len(key.x) != size or (key.kty == "EC" and len(key.y) != size):
        raise BadProof("key-unfit", f"A coordinate of a {key.crv} key has {size} octets; mend the program.")
    if key.crv == "Ed25519":
        y = int.from_bytes(key.x, "little") & (2**255 - 1)
        if y >= _PRIME or y in _SMALL:
            raise BadProof("key-unfit", "The Ed25519 key is a point of small order, or not canonical; make a new one.")
    public_key(key)
    return key


def _unfit() -> BadProof:
    return BadProof("key-unfit", "A key must be P-256 or Ed25519; make one of these.")
