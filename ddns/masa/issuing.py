"""What a MASA decides: which request for a voucher is good, whom the voucher names, what the log of a box says.

The order is that of RFC 8995 §5.5: the registrar's signature, the box's own request inside it, that both speak of one
box and one nonce, that the box saw this registrar; then what is known of the box. Pure: records and time come in.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.masa.store import Device, Event
from ddns.proof import chain, cms, idevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.voucher import Assertion, Request, Signed, Voucher

REGISTRAR = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")  # id-kp-cmcRA, RFC 6402 §2.10
LASTS = 86_400  # seconds for which a voucher without a nonce can be used
MOST_EVENTS = 100  # of one answer about a box's log; older ones are said to be left out (RFC 8995 §5.8.1)


class Refused(Exception):
    """A request that gets no voucher; *status* is HTTP's."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Asked(msgspec.Struct, frozen=True):
    """A request that is signed by a registrar as it must be, and by the box where it was there.

    *pinned* is the certificate, in DER, that the box shall trust, *domain* the identifier of its key.
    """

    serial: str
    nonce: bytes | None
    pinned: bytes
    domain: bytes
    issuer: bytes
    box: bytes | None  # SHA-256 of the box's certificate; None: the box did not sign
    near: bool  # the box saw this registrar


def read(octets: bytes, media: str, anchor: x509.Certificate, now: int) -> Asked:
    """Judge a registrar's request; *anchor* is the CA of our boxes. Raises `Refused`."""
    try:
        said, signed = voucher.read_request(octets, media)
        registrar = _signer(signed, "the registrar")
        if not said.prior:
            box, near, challenge = None, False, False
        else:
            box, near, challenge = _box(said, registrar, anchor, now)
    except BadProof as error:
        raise Refused(HTTPStatus.BAD_REQUEST, error.sentence) from None
    if not challenge and not _is_registrar(registrar):
        raise Refused(HTTPStatus.FORBIDDEN, "The certificate that signs the request is not one of a registrar (cmcRA).")
    pinned = _top(registrar, signed.certificates[1:])
    issuer = cms.subject_key_identifier(anchor) or idevid.key_identifier(anchor)
    if said.idevid_issuer and idevid.reduce_issuer(said.idevid_issuer) != issuer:
        raise Refused(HTTPStatus.NOT_FOUND, "The request names another maker's box.")
    return Asked(
        said.serial_number, said.nonce, pinned.public_bytes(Encoding.DER), domain_of(pinned), issuer, box, near
    )


def voucher_for(asked: Asked, device: Device | None, now: int) -> Voucher:
    """Return the voucher for *asked*, given what is known of the box. Raises `Refused`."""
    if device is None or (asked.box is not None and not hmac.compare_digest(asked.box, device.digest)):
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such box here.")
    if device.stopped:
        raise Refused(HTTPStatus.FORBIDDEN, "Vouchers are not given for this box any more.")
    sold = device.sold_to is not None and hmac.compare_digest(device.sold_to, asked.domain)
    if device.sold_to is not None and not sold:
        raise Refused(HTTPStatus.FORBIDDEN, "This box was sold to somebody else; have the sale recorded first.")
    fresh = asked.nonce is not None and asked.box is not None
    if not fresh and not sold:
        # RFC 8995 §5.5.3: without the box's own fresh word only for whom the maker knows as its owner.
        raise Refused(HTTPStatus.FORBIDDEN, "Without the box's own request a voucher is given to its buyer alone.")
    assertion = Assertion.VERIFIED if sold else Assertion.PROXIMITY if asked.near else Assertion.LOGGED
    return Voucher(
        serial_number=asked.serial, created_on=now, assertion=assertion, pinned_domain_cert=asked.pinned,
        idevid_issuer=idevid.extension_of(asked.issuer), nonce=asked.nonce if fresh else None,
        expires_on=None if fresh else now + LASTS,
    )  # fmt: skip


def event_of(asked: Asked, given: Voucher) -> Event:
    """Return the line of the log for a voucher."""
    return Event(given.created_on, asked.domain, given.nonce, given.assertion.value)


def log_json(events: Sequence[Event], count: int) -> dict[str, Any]:
    """Return the log of a box as RFC 8995 §5.8.1 writes it; *count* is how many events there are in all."""
    said: dict[str, Any] = {
        "version": "1",
        "events": [
            {
                "date": voucher.time_text(one.at),
                "domainID": b64encode(one.domain).decode(),
                "nonce": None if one.nonce is None else b64encode(one.nonce).decode(),
                "assertion": one.assertion,
            }
            for one in events
        ],
    }
    left_out = count - len(events)
    if left_out:
        said["truncation"] = {"nonced duplicates": "0", "nonceless duplicates": "0", "arbitrary": str(left_out)}
    return said


def domain_of(certificate: x509.Certificate) -> bytes:
    """Return the identifier of a domain: that of its CA's key (RFC 8995 §5.8.2)."""
    return cms.subject_key_identifier(certificate) or idevid.key_identifier(certificate)


def _box(said: Request, registrar: x509.Certificate, anchor: x509.Certificate, now: int) -> tuple[bytes, bool, bool]:
    """Judge the box's own request: return its certificate's digest, and whether it saw *registrar*, or a phone.

    Raises `Refused` and `BadProof`.
    """
    prior, signed = voucher.read_request(said.prior, voucher.media_of(said.prior))
    certificate = _signer(signed, "the box")
    try:
        chain.path(certificate, signed.certificates[1:], [anchor], now)
    except chain.NoPath:
        raise Refused(HTTPStatus.NOT_FOUND, "The box in the request is another maker's.") from None
    box = idevid.read(certificate)
    if not box.serial == prior.serial_number == said.serial_number:
        raise Refused(
            HTTPStatus.BAD_REQUEST, "The registrar, the box and its certificate name different serial numbers."
        )
    if prior.nonce != said.nonce:
        raise Refused(HTTPStatus.BAD_REQUEST, "The registrar's request has another nonce than the box's.")
    seen = prior.proximity_registrar_cert
    if seen and seen != registrar.public_bytes(Encoding.DER):
        raise Refused(HTTPStatus.FORBIDDEN, "The box saw another registrar than the one that asks.")
    return box.digest, bool(seen), bool(prior.challenge)


def _signer(signed: Signed, who: str) -> x509.Certificate:
    """Return the certificate that signed. Raises `Refused`."""
    found = signed.signer
    if found is None or not signed.verify(found):
        raise Refused(HTTPStatus.FORBIDDEN, f"The signature of {who} does not verify.")
    return found


def _is_registrar(certificate: x509.Certificate) -> bool:
    try:
        return REGISTRAR in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False


def _top(certificate: x509.Certificate, along: Sequence[x509.Certificate]) -> x509.Certificate:
    """Return the highest certificate above *certificate* that came along: what the box is to trust."""
    seen = {certificate}
    while True:
        above = next((one for one in along if one not in seen and _issued(certificate, one)), None)
        if above is None:
            return certificate
        seen.add(above)
        certificate = above


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
        return by.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
