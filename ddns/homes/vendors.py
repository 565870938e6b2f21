"""What a vendor's word is worth: a box's certificate against the bonds that there are, and a voucher against a bond.

Law: nothing here looks at whose a box is. A vendor vouches for a box that enrols for the first time, and for no home.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.proof import chain, cms, idevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.idevid import IDevID
from ddns.proof.voucher import Signed, Voucher
from ddns.store.bonds import Bond


class Known(msgspec.Struct, frozen=True):
    """A box whose certificate leads to a bond: *issuer* is the key identifier of who issued it, *chain* the path."""

    idevid: IDevID
    bond: Bond
    issuer: bytes
    chain: tuple[x509.Certificate, ...]


def judge(certificate: x509.Certificate, between: Sequence[x509.Certificate], bonds: Sequence[Bond], now: int) -> Known:
    """Return the box of *certificate*, which leads over *between* to one of *bonds* at *now*.

    Raises `BadProof`: `idevid-malformed`, `idevid-unknown-issuer`, `bond-withdrawn`, `bond-missing`.
    """
    found = idevid.read(certificate)
    anchors = {octets: x509.load_der_x509_certificate(octets) for bond in bonds for octets in bond.anchors}
    if not anchors:
        raise _unknown()
    try:
        path = chain.path(certificate, between, tuple(anchors.values()), now)
    except chain.NoPath:
        raise _unknown() from None
    anchor = path[-1].public_bytes(Encoding.DER)
    vouching = [bond for bond in bonds if anchor in bond.anchors]
    holding = [bond for bond in vouching if bond.holds(now)]
    if not holding:
        raise BadProof("bond-withdrawn", "The maker of this box vouches for no new boxes here; ask the registry.")
    named = [bond for bond in holding if not bond.models or found.model in bond.models]
    if not named:
        raise BadProof("bond-missing", "The maker's bond does not cover this model; ask the registry.")
    bond = next((one for one in named if idevid.authority(one.masa_url) == found.masa), named[0])
    return Known(found, bond, idevid.issuer_of(found, path[1] if len(path) > 1 else path[0]), path)


def check_voucher(
    octets: bytes, media: str, known: Known, nonce: bytes | None, pinned: Collection[bytes], now: int
) -> Voucher:
    """Return the voucher in *octets* if the bond's MASA says by it that *known* shall trust one of *pinned*.

    *pinned* are keys (SubjectPublicKeyInfo in DER); *nonce* is the one that the box asked with, None: it asked without.
    Raises `BadProof`, with a code for each of what may be wrong.
    """
    said, signed = voucher.read_voucher(octets, media)
    if not _signed_by(signed, known.bond, now):
        raise BadProof("voucher-signature-wrong", "The voucher is not signed by a key that its maker's bond names.")
    if said.serial_number != known.idevid.serial:
        raise BadProof("voucher-other-serial", "The voucher is for a box with another serial number.")
    if said.idevid_issuer and idevid.reduce_issuer(said.idevid_issuer) != known.issuer:
        raise BadProof("voucher-other-serial", "The voucher is for a box that somebody else made.")
    if said.created_on > now + voucher.LATENESS:
        raise BadProof("voucher-not-yet", "The voucher comes from the future; have its maker set the clock.")
    if said.expires_on is not None and said.expires_on <= now:
        raise BadProof("voucher-expired", "The voucher has expired; ask its maker for a new one.")
    if said.nonce != nonce if said.nonce is not None else said.expires_on is None:
        raise BadProof("voucher-nonce-wrong", "The voucher answers another request of the box; ask with a fresh nonce.")
    if not said.pinned_domain_cert or idevid.public_octets(cms.certificate(said.pinned_domain_cert)) not in pinned:
        raise BadProof("voucher-other-domain", "The voucher sends the box to somebody else; ask its maker for another.")
    return said


def _signed_by(signed: Signed, bond: Bond, now: int) -> bool:
    """Tell whether a key of *bond* signed, or one whose certificate came along and leads to one of these.

    What issues the certificates of boxes leads to no such key: else each box could sign vouchers.
    """
    keys = tuple(x509.load_der_x509_certificate(octets) for octets in bond.masa_keys)
    if any(signed.verify(one) for one in keys):
        return True
    issuers = [one for octets, one in zip(bond.masa_keys, keys, strict=True) if octets not in bond.anchors]
    signer = signed.signer
    if signer is None or not signed.verify(signer):
        return False
    try:
        chain.path(signer, [one for one in signed.certificates if one != signer], issuers, now)
    except chain.NoPath:
        return False
    return True


def _unknown() -> BadProof:
    return BadProof(
        "idevid-unknown-issuer", "The maker of this box has no bond with this registry; enrol by invitation."
    )
