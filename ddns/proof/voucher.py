"""Vouchers and the requests for them (RFC 8366 §5, RFC 8995 §3): by which a maker says whose box this is.

A document is JSON, signed as CMS or as JWS. Members that are not known are left alone, for drafts add some; those that
count here are read into values. Who signed is told, not judged: `ddns.proof.chain` and the bond do that.
"""

from __future__ import annotations

import json
from base64 import b64encode
from binascii import a2b_base64
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.proof import cms, jwk, jws, strict_json
from ddns.proof.bad import BadProof

CMS = "application/voucher-cms+json"  # RFC 8366 §8.3
JWS = "application/voucher-jws+json"
MEDIA = frozenset({CMS, JWS})
MOST = 65_536  # octets of one document with its signature, ours
MOST_TEXT = 255  # characters of a serial number or a domain, ours
MOST_NONCE = 32  # octets, RFC 8366 §5.3
LATENESS = 300  # seconds by which a maker's clock may be ahead of ours

_VOUCHER = "ietf-voucher:voucher"
_REQUEST = "ietf-voucher-request:voucher"


class Assertion(StrEnum):
    """How the maker knows whose box it is (RFC 8366 §5.3)."""

    VERIFIED = "verified"
    LOGGED = "logged"
    PROXIMITY = "proximity"
    AGENT_PROXIMITY = "agent-proximity"


_NUMBERED = dict(enumerate(Assertion))  # examples in the field write the number


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """What a maker says: the box *serial_number* shall trust *pinned_domain_cert*. Times in seconds since 1970."""

    serial_number: str
    created_on: int
    assertion: Assertion
    pinned_domain_cert: bytes = b""
    idevid_issuer: bytes = b""
    nonce: bytes | None = None
    expires_on: int | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a box, or a registrar for it, asks a maker for. *prior* is the box's own request, signed, in a registrar's.

    *challenge* is the digest of what a phone sealed for the box, where one stands beside it.
    """

    serial_number: str
    created_on: int | None = None
    assertion: Assertion | None = None
    nonce: bytes | None = None
    proximity_registrar_cert: bytes = b""
    idevid_issuer: bytes = b""
    prior: bytes = b""
    challenge: bytes = b""


class Signed(msgspec.Struct, frozen=True):
    """Who signed a document: *certificates* that came along, the signer's first if it is there, and the structure."""

    certificates: tuple[x509.Certificate, ...]
    structure: cms.Cms | jws.Signed

    @property
    def signer(self) -> x509.Certificate | None:
        """Return the certificate that the signature names; None where it did not come along."""
        if isinstance(self.structure, cms.Cms):
            return self.structure.signer
        return self.certificates[0] if self.certificates else None

    def verify(self, certificate: x509.Certificate) -> bool:
        """Tell whether the key of *certificate* signed the document."""
        key = certificate.public_key()
        if isinstance(self.structure, cms.Cms):
            return cms.verify(self.structure, key)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        try:
            return jws.verify(self.structure, 0, jwk.of(key))
        except BadProof:
            return False


def read_voucher(octets: bytes, media: str) -> tuple[Voucher, Signed]:
    """Return the voucher in *octets* of the type *media*, and who signed it.

    Raises `BadProof` with `voucher-malformed` for what it says, `evidence-malformed` for what carries it.
    """
    payload, signed = _open(octets, media)
    members = _members(payload, _VOUCHER)
    created, assertion = _time(members, "created-on"), _assertion(members)
    if created is None or assertion is None:
        raise _malformed("created-on or assertion is missing")
    return Voucher(
        serial_number=_serial(members),
        created_on=created,
        assertion=assertion,
        pinned_domain_cert=_octets(members, "pinned-domain-cert"),
        idevid_issuer=_octets(members, "idevid-issuer"),
        nonce=_nonce(members),
        expires_on=_time(members, "expires-on"),
    ), signed


def read_request(octets: bytes, media: str) -> tuple[Request, Signed]:
    """Return the voucher request in *octets* of the type *media*, and who signed it; raises as `read_voucher`."""
    payload, signed = _open(octets, media)
    members = _members(payload, _REQUEST)
    return Request(
        serial_number=_serial(members),
        created_on=_time(members, "created-on"),
        assertion=_assertion(members),
        nonce=_nonce(members),
        proximity_registrar_cert=_octets(members, "proximity-registrar-cert"),
        idevid_issuer=_octets(members, "idevid-issuer"),
        prior=_octets(members, "prior-signed-voucher-request"),
        challenge=_octets(members, "voucher-challenge-nonce"),
    ), signed


def voucher_json(said: Voucher) -> bytes:
    """Return *said* as the JSON of RFC 8366 §5.2."""
    members: dict[str, Any] = {
        "created-on": time_text(said.created_on),
        "assertion": said.assertion.value,
        "serial-number": said.serial_number,
        **_binary("pinned-domain-cert", said.pinned_domain_cert),
        **_binary("idevid-issuer", said.idevid_issuer),
        **_binary("nonce", said.nonce or b""),
    }
    if said.expires_on is not None:
        members["expires-on"] = time_text(said.expires_on)
    return json.dumps({_VOUCHER: members}, separators=(",", ":")).encode()


def request_json(said: Request) -> bytes:
    """Return *said* as the JSON of RFC 8995 §3.3."""
    members: dict[str, Any] = {"serial-number": said.serial_number}
    if said.created_on is not None:
        members["created-on"] = time_text(said.created_on)
    if said.assertion is not None:
        members["assertion"] = said.assertion.value
    members |= {
        **_binary("nonce", said.nonce or b""),
        **_binary("proximity-registrar-cert", said.proximity_registrar_cert),
        **_binary("idevid-issuer", said.idevid_issuer),
        **_binary("prior-signed-voucher-request", said.prior),
        **_binary("voucher-challenge-nonce", said.challenge),
    }
    return json.dumps({_REQUEST: members}, separators=(",", ":")).encode()


def write_cms(
    document: bytes, certificate: x509.Certificate, private: cms.PrivateKey, at: int,
    chain: tuple[x509.Certificate, ...] = (),
) -> bytes:  # fmt: skip
    """Return *document* signed as CMS at the time *at*, with *certificate* and *chain* along (RFC 8366 §5.4)."""
    return cms.sign(document, cms.VOUCHER_JSON, certificate, chain, private, at)


def write_jws(
    document: bytes, certificate: x509.Certificate, private: ec.EllipticCurvePrivateKey,
    chain: tuple[x509.Certificate, ...] = (),
) -> bytes:  # fmt: skip
    """Return *document* signed as JWS in general JSON, with *certificate* and *chain* along in `x5c`."""
    along = [b64encode(one.public_bytes(Encoding.DER)).decode() for one in (certificate, *chain)]
    return jws.sign(document, [({"typ": "voucher-jws+json", "x5c": along}, private)])


def media_of(octets: bytes) -> str:
    """Return in which form a document came: CMS is a SEQUENCE in DER, all else has to be JWS."""
    return CMS if octets[:1] == b"\x30" else JWS


def time_text(at: int) -> str:
    """Return *at*, in seconds since 1970, as RFC 3339 writes it in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _open(octets: bytes, media: str) -> tuple[bytes, Signed]:
    """Return the payload, and who signed it. Raises `BadProof`."""
    if len(octets) > MOST:
        raise BadProof("evidence-malformed", f"The document is longer than {MOST} octets; send the voucher alone.")
    if media == CMS:
        structure = cms.read(octets)
        first = () if structure.signer is None else (structure.signer,)
        rest = tuple(one for one in structure.certificates if one != structure.signer)
        return structure.content, Signed(first + rest, structure)
    if media != JWS:
        raise BadProof("evidence-malformed", f"A voucher or a request for one is sent as {CMS} or {JWS}.")
    try:
        signed = jws.read(octets)
    except BadProof as error:
        raise BadProof("evidence-malformed", error.sentence) from None
    if len(signed.signatures) != 1:
        raise BadProof("evidence-malformed", "The JWS has several signatures; a voucher has one.")
    return signed.payload, Signed(tuple(cms.certificate(one) for one in signed.signatures[0].x5c), signed)


def _members(payload: bytes, name: str) -> dict[str, Any]:
    """Return the members of the one document in *payload*. Raises `BadProof`."""
    try:
        found = strict_json.members(payload)
    except BadProof as error:
        raise BadProof("voucher-malformed", error.sentence) from None
    held = found.get(name)
    if len(found) != 1 or not isinstance(held, dict):
        raise _malformed(f"it does not hold exactly one {name}")
    return held


def _text(members: dict[str, Any], name: str) -> str | None:
    """Return the text under *name*; None where there is none. Raises `BadProof`."""
    held = members.get(name)
    if held is not None and (not isinstance(held, str) or not held):
        raise _malformed(f"{name} is not a text")
    return held


def _serial(members: dict[str, Any]) -> str:
    found = _text(members, "serial-number")
    if found is None or len(found) > MOST_TEXT:
        raise _malformed("serial-number is missing or too long")
    return found


def _assertion(members: dict[str, Any]) -> Assertion | None:
    held = members.get("assertion")
    if held is None:
        return None
    try:
        return _NUMBERED[held] if isinstance(held, int) and not isinstance(held, bool) else Assertion(held)
    except (KeyError, ValueError, TypeError):
        raise _malformed("assertion is none that is known") from None


def _octets(members: dict[str, Any], name: str) -> bytes:
    """Return what stands in base64 under *name*; nothing where it is missing. Raises `BadProof`."""
    held = _text(members, name)
    if held is None:
        return b""
    found = _decoded(held)
    if found is None:
        raise _malformed(f"{name} is not base64")
    return found


def _nonce(members: dict[str, Any]) -> bytes | None:
    """Return the nonce; in the field it is base64 of either alphabet, or any text. Raises `BadProof`."""
    held = _text(members, "nonce")
    if held is None:
        return None
    found = _decoded(held)
    if found is None:
        found = held.encode()
    if not 0 < len(found) <= MOST_NONCE:
        raise _malformed(f"the nonce has not 1 to {MOST_NONCE} octets")
    return found


def _decoded(text: str) -> bytes | None:
    """Return the octets of base64 in either alphabet, with padding or without; None if it is none of these."""
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        return None


def _time(members: dict[str, Any], name: str) -> int | None:
    """Return the time under *name* (RFC 6991: date-and-time) in seconds since 1970. Raises `BadProof`."""
    held = _text(members, name)
    if held is None:
        return None
    try:
        found = datetime.fromisoformat(held.upper())
        if found.tzinfo is None or "T" not in held.upper():
            raise _malformed(f"{name} is not a time with its offset")
        return int(found.timestamp())
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadProof):
            raise
        raise _malformed(f"{name} is not a time as RFC 3339 writes it") from None


def _binary(name: str, octets: bytes) -> dict[str, str]:
    return {name: b64encode(octets).decode()} if octets else {}


def _malformed(why: str) -> BadProof:
    return BadProof("voucher-malformed", f"The voucher, or the request for one, cannot be used: {why}.")
