"""COSE_Sign1 (RFC 9052 §4.2) with the payload attached: what carries an EAT as CWT.

The algorithm follows from the key and the protected header has to agree: ES256, ES384, EdDSA. Certificates may come
along in `x5chain` (RFC 9360 §2); they are believed as little as anything else before a path to an anchor is found.
"""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ddns.proof import cbor, jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey, PublicJwk

MOST_CERTIFICATES = 8
ALG, CRIT, KID, X5CHAIN = 1, 2, 4, 33  # RFC 9052 §3.1, RFC 9360 §2

_ALGORITHMS = {"P-256": (-7, -9), "P-384": (-35, -51), "Ed25519": (-8, -19)}  # RFC 9053 §2, RFC 9864 §2
_HASHES: dict[str, hashes.HashAlgorithm] = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384()}
_WIDTHS = {"P-256": 32, "P-384": 48}
_KTY, _CRV, _X, _Y = 1, -1, -2, -3  # RFC 9053 §7
_CURVES = {1: "P-256", 2: "P-384", 6: "Ed25519"}


class Sign1(msgspec.Struct, frozen=True):
    """One signed *payload*; *protected* are the octets of its header as they came. Nothing is verified yet."""

    payload: bytes
    protected: bytes
    signature: bytes
    alg: int
    kid: bytes
    x5chain: tuple[bytes, ...]


def read(octets: bytes) -> Sign1:
    """Return the COSE_Sign1 in *octets*, tagged or not, as CWT or not. Raises `BadProof` (`evidence-malformed`)."""
    try:
        value = cbor.read(octets)
        if isinstance(value, cbor.Tag) and value.number == cbor.CWT:
            value = value.value
        if isinstance(value, cbor.Tag) and value.number == cbor.SIGN1:
            value = value.value
        if not isinstance(value, list) or len(value) != 4:
            raise _malformed("it is no COSE_Sign1")
        protected, free, payload, signature = value
        if not all(isinstance(one, bytes) for one in (protected, payload, signature)) or not isinstance(free, dict):
            raise _malformed("it is no COSE_Sign1 with its payload attached")
        header = cbor.read(protected) if protected else {}
    except cbor.BadCbor as error:
        raise _malformed(str(error)) from None
    if not isinstance(header, dict) or header.keys() & free.keys():
        raise _malformed("a header is no map, or a word stands in both headers")
    if CRIT in header or CRIT in free:
        raise _malformed("its header says crit, which is not taken")
    if type(header.get(ALG)) is not int:
        raise _malformed("its protected header names no algorithm by number")
    kid = header.get(KID, free.get(KID, b""))
    if not isinstance(kid, bytes):
        raise _malformed("its kid is no octets")
    return Sign1(payload, protected, signature, header[ALG], kid, _chain(header.get(X5CHAIN, free.get(X5CHAIN, []))))


def verify(signed: Sign1, key: PublicJwk) -> bool:
    """Tell whether *key* made the signature (RFC 9052 §4.4)."""
    if signed.alg not in _ALGORITHMS[key.crv]:
        return False
    public = jwk.public_key(key)
    octets = _to_be_signed(signed.protected, signed.payload)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signed.signature, octets)
            return True
        width = _WIDTHS[key.crv]
        if len(signed.signature) != 2 * width:
            return False
        r, s = (int.from_bytes(part, "big") for part in (signed.signature[:width], signed.signature[width:]))
        public.verify(encode_dss_signature(r, s), octets, ec.ECDSA(_HASHES[key.crv]))
    except InvalidSignature:
        return False
    return True


def sign(payload: bytes, key: PrivateKey, kid: bytes = b"", x5chain: tuple[bytes, ...] = ()) -> bytes:
    """Return *payload* as a tagged COSE_Sign1 by *key*; *kid* and certificates stand in the protected header."""
    crv = jwk.of(key).crv
    header: dict[int, Any] = {ALG: _ALGORITHMS[crv][0]}
    if kid:
        header[KID] = kid
    if x5chain:
        header[X5CHAIN] = x5chain[0] if len(x5chain) == 1 else list(x5chain)
    protected = cbor.write(header)
    octets = _to_be_signed(protected, payload)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(octets)
    else:
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(_HASHES[crv])))
        signature = r.to_bytes(_WIDTHS[crv], "big") + s.to_bytes(_WIDTHS[crv], "big")
    return cbor.write(cbor.Tag(cbor.SIGN1, [protected, {}, payload, signature]))


def key_of(members: Any) -> PublicJwk:
    """Return the public key in a COSE_Key (RFC 9052 §7, RFC 9053 §7). Raises `BadProof` (`evidence-malformed`)."""
    if not isinstance(members, dict) or -4 in members:
        raise _malformed("a key is no public COSE_Key")
    crv = _CURVES.get(members.get(_CRV, 0)) if type(members.get(_CRV)) is int else None
    x, y = members.get(_X), members.get(_Y, b"")
    kty = members.get(_KTY)
    if crv is None or kty != (1 if crv == "Ed25519" else 2) or not isinstance(x, bytes) or not isinstance(y, bytes):
        raise _malformed("a key is not of a kind that is taken")  # a compressed point has y true or false
    said = {"kty": "OKP" if kty == 1 else "EC", "crv": crv, "x": x, "y": y}
    try:
        return jwk.of(jwk.public_key(msgspec.convert(said, PublicJwk)))
    except (BadProof, msgspec.ValidationError):
        raise _malformed("a key is no point of its curve") from None


def members_of(key: PublicJwk) -> dict[int, Any]:
    """Return *key* as a COSE_Key."""
    number = next(number for number, crv in _CURVES.items() if crv == key.crv)
    if key.crv == "Ed25519":
        return {_KTY: 1, _CRV: number, _X: key.x}
    return {_KTY: 2, _CRV: number, _X: key.x, _Y: key.y}


def _chain(given: Any) -> tuple[bytes, ...]:
    """Return the certificates of an `x5chain`: one as octets, or an array of them."""
    held = [given] if isinstance(given, bytes) else given
    if not isinstance(held, list) or len(held) > MOST_CERTIFICATES or not all(isinstance(one, bytes) for one in held):
        raise _malformed(f"its x5chain is not up to {MOST_CERTIFICATES} certificates")
    return tuple(held)


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure (RFC 9052 §4.4); an empty map is signed as no octets."""
    return cbor.write(["Signature1", b"" if protected == b"\xa0" else protected, b"", payload])


def _malformed(why: str) -> BadProof:
    return BadProof("evidence-malformed", f"The COSE structure cannot be read: {why}.")
