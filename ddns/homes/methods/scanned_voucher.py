"""A maker's voucher beside the code on a box (smarkaklink): the maker names the owner, and the box has asked just now.

Law: it all has to be of one box and one owner, or nothing of it counts: the request is signed by a certificate that
leads to a bond, it holds the digest of our nonce, the voucher is signed by that bond's key, it names the owner's key,
and the printed key is none of these.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from psycopg import AsyncConnection

from ddns.homes import vendors
from ddns.homes.methods import Wish
from ddns.homes.vendors import Known
from ddns.proof import b64, cms, idevid, jwk, selfdevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.proof.voucher import Request, Signed
from ddns.store import bonds


def is_there(wish: Wish) -> bool:
    """Tell whether the wish comes with a voucher, or with half of what belongs to one."""
    return bool(wish.said.voucher or wish.said.request)


def request_of(wish: Wish, printed: PublicJwk, nonce: str) -> tuple[Request, Signed]:
    """Return the box's own request, which has to answer *nonce* for the owner of the *wish*. Raises `BadProof`.

    *printed* is the key on the box. Nothing that is kept is looked at.
    """
    if not wish.said.request or not wish.said.voucher:
        raise BadProof(
            "voucher-missing", "Put the box's request into the field request, and what its maker answered into voucher."
        )
    octets = b64.decode(wish.said.request)
    said, signed = voucher.read_request(octets, voucher.media_of(octets))
    signer = signed.signer
    if signer is None or not signed.verify(signer):
        raise BadProof("voucher-signature-wrong", "The request is not signed by the box's own certificate.")
    if idevid.public_octets(signer) == idevid.spki(jwk.public_key(printed)):
        raise _wrong("the printed key is that of the box's certificate, which everybody can read")
    if idevid.read(signer).serial != said.serial_number:
        raise BadProof("voucher-other-serial", "The request names another serial number than the certificate does.")
    if not hmac.compare_digest(said.challenge, hashlib.sha256(nonce.encode("ascii", "replace")).digest()):
        raise _wrong("the request for the voucher does not answer the nonce")
    if not said.proximity_registrar_cert or not _is_owners(said.proximity_registrar_cert, wish):
        raise _wrong("the box asked for a voucher for somebody else than the owner")
    return said, signed


async def judge(conn: AsyncConnection[Any], wish: Wish, said: Request, signed: Signed, now: int) -> Known:
    """Return the box that its maker gives to the owner of the *wish*; *conn* is in the tenant. Raises `BadProof`."""
    assert signed.signer is not None  # `request_of` has verified by it
    between = [one for one in signed.certificates if one != signed.signer]
    known = vendors.judge(signed.signer, between, await bonds.counting(conn), now)
    given = b64.decode(wish.said.voucher)
    pinned = {idevid.public_octets(cms.certificate(said.proximity_registrar_cert))}
    vendors.check_voucher(given, voucher.media_of(given), known, said.nonce, pinned, now)
    return known


def certificate_of(known: Known) -> bytes:
    """Return by what the box is known that showed its maker's certificate."""
    return hashlib.sha256(known.idevid.certificate.public_bytes(Encoding.DER)).digest()


def _is_owners(certificate: bytes, wish: Wish) -> bool:
    """Tell whether *certificate* is of the key that owns the home that is wished for."""
    if wish.owner is not None:
        return selfdevid.is_of(certificate, wish.owner)
    public = cms.certificate(certificate).public_key()
    try:
        return jwk.kid(jwk.of(public)) == wish.owned_by  # type: ignore[arg-type]  # others raise
    except (BadProof, AttributeError):
        return False


def _wrong(why: str) -> BadProof:
    return BadProof("qr-proof-wrong", f"The box's maker does not say whose it is: {why}; scan the box again.")
