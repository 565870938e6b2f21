"""What a device shows of itself at the listener for devices: a certificate whose key TLS proved, and whose box it is.

Law: a state of a box is told to who proved the box's key, and to nobody else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import vendors
from ddns.homes.boxes import IDEVID
from ddns.homes.vendors import Known
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.store import bonds, devices
from ddns.store.pool import Connection
from ddns.web.routes import Asked, Refused


def certificate_of(asked: Asked) -> x509.Certificate:
    """Return the certificate that the device showed. Raises `Refused`."""
    if asked.certificate is None:
        raise Refused(
            Refusal(
                "client-certificate-missing", Rcode.NOTAUTH,
                "Show the certificate of the box in the TLS handshake; its maker has put it there.", Ede.PROHIBITED,
            )
        )  # fmt: skip
    return asked.certificate


async def known_box(conn: Connection, asked: Asked, between: Sequence[x509.Certificate] = ()) -> Known:
    """Return the box that shows itself, known by the bond of its maker. Raises `BadProof`."""
    return vendors.judge(certificate_of(asked), between, await bonds.counting(conn), asked.now)


async def refuse_taken(conn: Connection, known: Known) -> None:
    """Refuse a box that is somebody's, or stolen: a maker's word moves none of these. Raises `Refused`."""
    found = await devices.find(conn, IDEVID, known.idevid.digest)
    box = None if found is None else await devices.lock(conn, found)
    if box is None or box.state == devices.FREE:
        return
    if box.state == devices.STOLEN:
        raise Refused(
            Refusal("box-stolen", Rcode.REFUSED, "This box was reported as stolen; give it back.", Ede.PROHIBITED)
        )
    raise Refused(
        Refusal(
            "box-owned", Rcode.REFUSED,
            "This box has an owner, who has to release it first; its maker cannot do that.", Ede.PROHIBITED,
        )
    )  # fmt: skip


def not_yours() -> Refusal:
    """Return the refusal of a certificate that is not the registry's, or whose key is no home's any more."""
    return Refusal(
        "not-yours", Rcode.REFUSED,
        "Show the certificate that this registry gave the box, while its key is still the home's.", Ede.PROHIBITED,
    )  # fmt: skip


def key_of(certificate: x509.Certificate) -> PublicJwk | None:
    """Return the key of *certificate* if it is one that gateways sign with."""
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return None
    try:
        return jwk.of(public)
    except BadProof:
        return None


def from_base64(octets: bytes) -> bytes:
    """Return the octets of a body in base64, white space left out (RFC 8951 §3.1). Raises `Refused`."""
    try:
        return binascii.a2b_base64(b"".join(octets.split()), strict_mode=True)
    except binascii.Error:
        raise Refused(
            Refusal("body-malformed", Rcode.FORMERR, "The body has to be base64, as RFC 7030 says.")
        ) from None


def to_base64(octets: bytes) -> bytes:
    """Return *octets* in lines of base64."""
    return base64.encodebytes(octets)
