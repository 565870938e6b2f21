"""What a vendor's word is worth: a box's certificate against the bonds that there are, and a voucher against a bond.

Law: nothing here looks at whose a box is. A vendor vouches for a box that enrols for the first time, and for no home.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.proof import chain, cms, idevid, voucher, voucher_rules
from ddns.proof.bad import BadProof
from ddns.proof.idevid import IDevID
from ddns.proof.voucher import Voucher
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
    bond = known.bond
    direct = tuple(x509.load_der_x509_certificate(one) for one in bond.masa_keys)
    # What issues the certificates of boxes leads to no key that signs vouchers: else each box could sign them.
    leading = tuple(one for one in direct if one.public_bytes(Encoding.DER) not in bond.anchors)
    box = known.idevid.certificate
    if not any(signed.verify(one) for one in direct) and not voucher_rules.signed_by(signed, leading, box, now):
        raise voucher_rules.unsigned()
    voucher_rules.check(said, known.idevid.serial, known.issuer, nonce, now)
    if not said.pinned_domain_cert or idevid.public_octets(cms.certificate(said.pinned_domain_cert)) not in pinned:
        raise voucher_rules.other_domain()
    return said


def _unknown() -> BadProof:
    return BadProof(
        "idevid-unknown-issuer", "The maker of this box has no bond with this registry; enrol by invitation."
    )
