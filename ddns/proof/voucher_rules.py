"""When a voucher counts (RFC 8995 §5.6.1): the same rules for a registrar that passes it on and for the box it is for.

Whom it has the box trust is judged by each in its own way: a registrar knows its keys, a box sees a certificate.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ddns.proof import chain, cms, idevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.voucher import Signed, Voucher


def signed_by(signed: Signed, keys: Sequence[x509.Certificate], box: x509.Certificate, now: int) -> bool:
    """Tell whether one of *keys* signed, or one whose certificate came along and leads to one of these.

    What issued the certificate of the *box* leads to no such key: else each box could sign vouchers.
    """
    if any(signed.verify(one) for one in keys):
        return True
    signer = signed.signer
    if signer is None or not signed.verify(signer):
        return False
    try:
        path = chain.path(signer, [one for one in signed.certificates if one != signer], keys, now)
    except chain.NoPath:
        return False
    return not any(issued(box, by) for by in path)


def check(said: Voucher, serial: str, issuer: bytes | None, nonce: bytes | None, now: int) -> None:
    """See that *said* is for the box with *serial*, whose issuer's key is *issuer* (None: it is not known), and now.

    *nonce* is the one that the box asked with, None: it asked without. Raises `BadProof`, with a code for each of what
    may be wrong.
    """
    if said.serial_number != serial:
        raise BadProof("voucher-other-serial", "The voucher is for a box with another serial number.")
    if said.idevid_issuer and issuer is not None and idevid.reduce_issuer(said.idevid_issuer) != issuer:
        raise BadProof("voucher-other-serial", "The voucher is for a box that somebody else made.")
    if said.created_on > now + voucher.LATENESS:
        raise BadProof("voucher-not-yet", "The voucher comes from the future; have its maker set the clock.")
    if said.expires_on is not None and said.expires_on <= now:
        raise BadProof("voucher-expired", "The voucher has expired; ask its maker for a new one.")
    if said.nonce != nonce if said.nonce is not None else said.expires_on is None:
        raise other_nonce()


def other_domain() -> BadProof:
    """Return what is raised for a voucher that has the box trust somebody else."""
    return BadProof("voucher-other-domain", "The voucher sends the box to somebody else; ask its maker for another.")


def other_nonce() -> BadProof:
    """Return what is raised for a voucher that does not answer the request."""
    return BadProof("voucher-nonce-wrong", "The voucher answers another request of the box; ask with a fresh nonce.")


def unsigned() -> BadProof:
    """Return what is raised for a voucher that nobody signed who may."""
    return BadProof("voucher-signature-wrong", "The voucher is not signed by a key that its maker's bond names.")


def issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    """Tell whether the key of *by* issued *certificate*."""
    try:
        certificate.verify_directly_issued_by(by)
    except (*cms.UNREADABLE, InvalidSignature):
        return False
    return True
