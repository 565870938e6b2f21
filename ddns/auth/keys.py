"""KEY records as keys: the public halves that SIG(0) verifies with, and the private ones that a client signs with.

RFC 2535 §3 gives the record, RFC 3445 narrows it; the key formats are those of DNSKEY (RFC 3110, RFC 6605,
RFC 8080). The zones' own keys are not here: they live in `zone_signer`.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddns.dns.codes import Algorithm
from ddns.dns.records import Rdata

FLAGS_HOST = 512  # what `dnssec-keygen -T KEY -n HOST` writes (RFC 2535 §3.1.2)
ACCEPTED_FLAGS = frozenset({0, FLAGS_HOST})
PROTOCOL_DNSSEC = 3  # RFC 3445 §4
RSA_BITS = range(2048, 4097)  # RFC 5702 allows less; ours
RSA_MAX_EXPONENT = 2**32  # ours: a greater one only costs time
PUBLIC_KEYS_KEPT = 16_384  # parsed keys that stay in memory, some 1.8 KB each; one costs 8 µs to make

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HEAD = struct.Struct("!HBB")
_CURVES: dict[int, tuple[ec.EllipticCurve, int, ec.ECDSA]] = {
    Algorithm.ECDSAP256SHA256: (ec.SECP256R1(), 32, ec.ECDSA(hashes.SHA256())),
    Algorithm.ECDSAP384SHA384: (ec.SECP384R1(), 48, ec.ECDSA(hashes.SHA384())),
}
# OpenSSL is given the digest: it would look for the hash function with every signature.
_DIGESTS: dict[int, tuple[Callable[[bytes], Any], ec.ECDSA]] = {
    Algorithm.ECDSAP256SHA256: (hashlib.sha256, ec.ECDSA(Prehashed(hashes.SHA256()))),
    Algorithm.ECDSAP384SHA384: (hashlib.sha384, ec.ECDSA(Prehashed(hashes.SHA384()))),
}
_RSA_PADDING = padding.PKCS1v15()
_RSA_HASH = hashes.SHA256()


class BadKey(ValueError):
    """A KEY record that cannot sign updates here; the message says why."""


def key_tag(rdata: Rdata) -> int:
    """Return the tag of a KEY's or DNSKEY's RDATA (RFC 4034 appendix B)."""
    padded = rdata if len(rdata) % 2 == 0 else rdata + b"\0"
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return int((total + (total >> 16)) & 0xFFFF)


def check(rdata: Rdata) -> tuple[int, int]:
    """Return the algorithm and the tag of a KEY's RDATA that may be enrolled. Raises `BadKey`."""
    if len(rdata) <= _HEAD.size:
        raise BadKey("the KEY record holds no key")
    flags, protocol, algorithm = _HEAD.unpack_from(rdata)
    if flags not in ACCEPTED_FLAGS:
        raise BadKey(f"the KEY record has flags {flags}; 0 and 512 are accepted")
    if protocol != PROTOCOL_DNSSEC:
        raise BadKey(f"the KEY record has protocol {protocol}; it must be 3")
    public_key(rdata)
    return algorithm, key_tag(rdata)


@functools.lru_cache(maxsize=PUBLIC_KEYS_KEPT)
def public_key(rdata: Rdata) -> PublicKey:
    """Return the key of a KEY's RDATA. Raises `BadKey`."""
    if len(rdata) <= _HEAD.size:
        raise BadKey("the KEY record holds no key")
    algorithm, octets = rdata[3], rdata[_HEAD.size :]
    curve = _CURVES.get(algorithm)
    if curve is not None and len(octets) != 2 * curve[1]:
        raise BadKey(f"a key of algorithm {algorithm} has {2 * curve[1]} octets")
    try:
        if curve is not None:
            return ec.EllipticCurvePublicKey.from_encoded_point(curve[0], b"\x04" + octets)
        if algorithm == Algorithm.ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(octets)
        if algorithm == Algorithm.RSASHA256:
            return _rsa(octets)
    except BadKey:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("the octets of the KEY record are no key of its algorithm") from None
    raise BadKey(f"algorithm {algorithm} is not accepted; use 13 (ECDSA P-256) or 15 (Ed25519)")


def prepare(rdata: Rdata) -> None:
    """Have the key of a KEY's RDATA at hand for `verify`; one that is none is left to that."""
    with suppress(BadKey):
        public_key(rdata)


def verify(rdata: Rdata, signature: bytes, signed: bytes) -> None:
    """Raise `InvalidSignature` unless *signature* over *signed* was made by the key in *rdata*; or `BadKey`."""
    key = public_key(rdata)
    if isinstance(key, ec.EllipticCurvePublicKey):
        _, size, _ = _CURVES[rdata[3]]
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        digest, prehashed = _DIGESTS[rdata[3]]
        key.verify(encode_dss_signature(r, s), digest(signed).digest(), prehashed)
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    else:
        key.verify(signature, signed, _RSA_PADDING, _RSA_HASH)


def key_rdata(key: PrivateKey, flags: int = FLAGS_HOST) -> Rdata:
    """Return the RDATA of the KEY record that publishes *key*'s public half."""
    algorithm = algorithm_of(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return _HEAD.pack(flags, PROTOCOL_DNSSEC, algorithm) + public


def algorithm_of(key: PrivateKey) -> Algorithm:
    """Return the algorithm that *key* signs with. Raises `BadKey` for a curve that the DNS does not know."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Algorithm.ED25519
    for number, (curve, _, _) in _CURVES.items():
        if curve.name == key.curve.name:
            return Algorithm(number)
    raise BadKey(f"keys on the curve {key.curve.name} cannot sign here; use P-256")


def sign(key: PrivateKey, signed: bytes) -> bytes:
    """Return *key*'s signature over *signed* as the DNS carries it (RFC 6605 §4, RFC 8080 §4)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(signed)
    _, size, hashing = _CURVES[algorithm_of(key)]
    r, s = decode_dss_signature(key.sign(signed, hashing))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _rsa(octets: bytes) -> rsa.RSAPublicKey:
    """Read a key of RFC 3110 §2. Raises `BadKey`, and `ValueError` for numbers that are no key."""
    at, length = 1, octets[0]
    if length == 0:
        at, length = 3, int.from_bytes(octets[1:3], "big")
    exponent = int.from_bytes(octets[at : at + length], "big")
    modulus = int.from_bytes(octets[at + length :], "big")
    if exponent > RSA_MAX_EXPONENT:
        raise BadKey("the exponent of the RSA key is too great; use 65537")
    if modulus.bit_length() not in RSA_BITS:
        raise BadKey(f"RSA keys have 2048 to 4096 bits here, this one {modulus.bit_length()}")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
