"""Signed JSON (RFC 7515): compact, flattened and general are read, general is written.

The algorithm follows from the key, and the header has to agree: there is no `none`, and nothing is verified with a
shared secret but an invitation (`verify_mac`). What a header would have fetched or changed (`jku`, `x5u`, `crit`,
`b64`) is refused. Replays are known by the payload's digest, for an ECDSA signature has a twin.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ddns.proof import b64, jwk, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey, PublicJwk

MOST = 65_536  # octets of one JWS
MOST_HEADER = 16_384  # octets of one protected header: certificates stand in it
MOST_SIGNATURES = 4
MOST_CERTIFICATES = 8  # in `x5c`
MAC = "HS256"

_BY_CURVE = {"P-256": ("ES256",), "P-384": ("ES384",), "Ed25519": ("EdDSA", "Ed25519")}  # RFC 7518, RFC 8037, RFC 9864
_ALGORITHMS = frozenset({MAC}.union(*_BY_CURVE.values()))
_REFUSED = frozenset({"crit", "b64", "jku", "x5u", "zip", "enc"})
_HASHES: dict[str, hashes.HashAlgorithm] = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384()}
_WIDTHS = {"P-256": 32, "P-384": 48}


class Signature(msgspec.Struct, frozen=True):
    """One signature: *protected* is its header as it was signed, in base64url; the rest is what that header says.

    *kid* is empty and *key* None where the header names none. *x5c* holds certificates in DER, the signer's first.
    """

    protected: str
    signature: bytes
    alg: str
    kid: str = ""
    key: PublicJwk | None = None
    typ: str = ""
    x5c: tuple[bytes, ...] = ()


class Signed(msgspec.Struct, frozen=True):
    """What was signed, and by how many."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of the payload, by which a statement is known."""
        return hashlib.sha256(self.payload).digest()


def read(octets: bytes, *, plain: bool = False) -> Signed:
    """Read a JWS in any of its three forms; nothing is verified yet. Raises `BadProof`.

    The payload must be a JSON object with one meaning, unless *plain*.
    """
    if len(octets) > MOST:
        raise _malformed(f"A signed message is longer than {MOST} octets; leave out what is not needed.")
    text = octets.strip()
    found = _read_json(text) if text.startswith(b"{") else _read_compact(text)
    if not plain:
        strict_json.members(found.payload)
    return found


def verify(signed: Signed, index: int, key: PublicJwk) -> bool:
    """Say whether signature *index* was made by *key* over this payload; the curve decides how it is verified."""
    one = signed.signatures[index]
    if one.alg not in _BY_CURVE[key.crv]:
        return False
    public = jwk.public_key(key)
    octets = _signing_input(one.protected, signed.payload)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(one.signature, octets)
            return True
        width = _WIDTHS[key.crv]
        if len(one.signature) != 2 * width:
            return False
        r, s = int.from_bytes(one.signature[:width], "big"), int.from_bytes(one.signature[width:], "big")
        public.verify(encode_dss_signature(r, s), octets, ec.ECDSA(_HASHES[key.crv]))
    except InvalidSignature:
        return False
    return True


def verify_mac(signed: Signed, index: int, secret: bytes) -> bool:
    """Say whether signature *index* is an HS256 under *secret*, an invitation's one-time secret and nothing else."""
    one = signed.signatures[index]
    if one.alg != MAC or one.key is not None or one.x5c:
        return False
    made = hmac.digest(secret, _signing_input(one.protected, signed.payload), "sha256")
    return hmac.compare_digest(made, one.signature)


def sign(payload: bytes, by: Sequence[tuple[dict[str, Any], PrivateKey | bytes]]) -> bytes:
    """Return *payload* signed by each of *by* (header, private key or secret), in general JSON.

    `alg` is put into each header. Raises `BadProof` for a curve that nobody signs with here.
    """
    made = [_signature(payload, header, key) for header, key in by]
    entries = [{"protected": protected, "signature": b64.encode(octets)} for protected, octets in made]
    return json.dumps({"payload": b64.encode(payload), "signatures": entries}, separators=(",", ":")).encode("ascii")


def compact(payload: bytes, header: dict[str, Any], key: PrivateKey | bytes) -> bytes:
    """Return *payload* signed by *key*, in compact form."""
    protected, octets = _signature(payload, header, key)
    return f"{protected}.{b64.encode(payload)}.{b64.encode(octets)}".encode("ascii")


def shown(key: PrivateKey, typ: str = "nameplate+jws") -> tuple[dict[str, Any], PrivateKey]:
    """Return the header and the key with which somebody signs who is not known yet: `jwk` holds the key."""
    return {"typ": typ, "jwk": jwk.members(jwk.of(key))}, key


def _signature(payload: bytes, header: dict[str, Any], key: PrivateKey | bytes) -> tuple[str, bytes]:
    public = None if isinstance(key, bytes) else jwk.of(key)
    full = {"alg": MAC if public is None else _BY_CURVE[public.crv][0], **header}
    protected = b64.encode(json.dumps(full, separators=(",", ":")).encode("utf-8"))
    octets = _signing_input(protected, payload)
    if isinstance(key, bytes):
        return protected, hmac.digest(key, octets, "sha256")
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return protected, key.sign(octets)
    crv = jwk.of(key).crv
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(_HASHES[crv])))
    return protected, r.to_bytes(_WIDTHS[crv], "big") + s.to_bytes(_WIDTHS[crv], "big")


def _signing_input(protected: str, payload: bytes) -> bytes:
    return f"{protected}.{b64.encode(payload)}".encode("ascii")


def _read_compact(text: bytes) -> Signed:
    parts = text.split(b".")
    if len(parts) != 3:
        raise _malformed("A signed message must be JSON, or three parts with dots between; mend the program.")
    try:
        protected, payload, signature = (part.decode("ascii") for part in parts)
    except UnicodeDecodeError:
        raise _malformed("A signed message in compact form must be ASCII; mend the program.") from None
    return Signed(b64.decode(payload), (_read_signature(protected, signature),))


def _read_json(text: bytes) -> Signed:
    found = strict_json.members(text)
    payload = _text(found, "payload")
    if "signatures" not in found:
        _only(found, {"payload", "protected", "signature"})
        return Signed(b64.decode(payload), (_read_signature(_text(found, "protected"), _text(found, "signature")),))
    _only(found, {"payload", "signatures"})
    entries = found["signatures"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_SIGNATURES:
        raise _malformed(f"A signed message has 1 to {MOST_SIGNATURES} signatures; mend the program.")
    signatures = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise _malformed("A signature must be an object; mend the program.")
        _only(entry, {"protected", "signature"})
        signatures.append(_read_signature(_text(entry, "protected"), _text(entry, "signature")))
    return Signed(b64.decode(payload), tuple(signatures))


def _read_signature(protected: str, signature: str) -> Signature:
    header = strict_json.members(b64.decode(protected), MOST_HEADER)
    if refused := sorted(header.keys() & _REFUSED):
        raise _malformed(f"A signature's header has {refused[0]}, which is not taken here; leave it out.")
    alg = _text(header, "alg")
    if alg not in _ALGORITHMS:
        raise _malformed("A signature's algorithm is not taken; sign with ES256 or EdDSA.")
    key = header.get("jwk")
    if key is not None and not isinstance(key, dict):
        raise _malformed("A header's jwk must be an object; mend the program.")
    return Signature(
        protected,
        b64.decode(signature),
        alg,
        _text(header, "kid", ""),
        None if key is None else jwk.from_members(key),
        _text(header, "typ", ""),
        _certificates(header.get("x5c", [])),
    )


def _certificates(given: Any) -> tuple[bytes, ...]:
    """Return the certificates of `x5c` (RFC 7515 §4.1.6): plain base64 of DER."""
    if not isinstance(given, list) or len(given) > MOST_CERTIFICATES or not all(isinstance(one, str) for one in given):
        raise _malformed(f"A header's x5c must list at most {MOST_CERTIFICATES} certificates; mend the program.")
    try:
        return tuple(a2b_base64(one, strict_mode=True) for one in given)
    except ValueError:
        raise _malformed("A certificate in x5c is not base64; mend the program.") from None


def _text(members: dict[str, Any], name: str, default: str | None = None) -> str:
    value = members.get(name, default)
    if not isinstance(value, str):
        raise _malformed(f"A signed message lacks {name}, or it is no text; mend the program.")
    return value


def _only(members: dict[str, Any], allowed: set[str]) -> None:
    """Refuse members beside *allowed*: what a signature does not cover says nothing here."""
    if members.keys() - allowed:
        raise _malformed("A signed message has members that no signature covers; leave them out.")


def _malformed(sentence: str) -> BadProof:
    return BadProof("statement-malformed", sentence)
