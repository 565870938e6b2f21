"""A box as a pledge (RFC 8995): its maker's certificate, its request for a voucher, and what it makes of the answer.

Law: whoever answers at the registrar's address is nobody until the voucher says that the box shall trust them: it is
signed for this box, in answer to this very request, by whom the box was made to believe.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7
from cryptography.x509.oid import NameOID

from ddns.proof import chain, cms, der, idevid, voucher, voucher_rules
from ddns.proof.bad import BadProof
from ddns.proof.idevid import IDevID
from ddns.proof.voucher import Assertion, Request

NONCE = 16  # octets of chance; RFC 8366 §5.3 has 8 to 32
_EC_KEY, _P256 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class BadBox(ValueError):
    """Files of a box that cannot be used; the message names them and the cure."""


class Identity(msgspec.Struct, frozen=True):
    """What a maker put into the box: its certificate (*idevid*), those *above* it, its *key*, and both *files*."""

    idevid: IDevID
    above: tuple[x509.Certificate, ...]
    key: PrivateKey
    files: tuple[Path, Path]

    def __repr__(self) -> str:
        return f"Identity({self.idevid.serial!r})"


class Judged(msgspec.Struct, frozen=True):
    """A voucher that is good: the certificate of the *domain* that the box trusts, and *at*, what time it is at least.

    *at* is later than the box's clock where that was behind the maker's (seconds since 1970).
    """

    domain: x509.Certificate
    at: int


def read_identity(certificate: Path, key: Path) -> Identity:
    """Read a box's certificate, with its chain behind it, and its key from files in PEM. Raises `BadBox`, `OSError`."""
    try:
        first, *above = x509.load_pem_x509_certificates(certificate.read_bytes())
        found = idevid.read(first)
    except BadProof as error:
        raise BadBox(f"{certificate}: {error.sentence}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadBox(f"{certificate} holds no certificate in PEM; the maker of the box put one there") from None
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadBox(f"{key} holds no private key in PEM without a password") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadBox(f"{key} holds another key than IEEE 802.1AR has: P-256, P-384 or RSA")
    if idevid.spki(private.public_key()) != idevid.public_octets(first):
        raise BadBox(f"{key} is not the key of the certificate in {certificate}")
    return Identity(found, tuple(above), private, (certificate, key))


def read_anchors(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates by which a maker's vouchers are known. Raises `BadBox`."""
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise BadBox("the anchor holds no certificate in PEM; it is that of the key that signs the vouchers") from None
    return found


def request(
    box: Identity, seen: x509.Certificate, nonce: bytes, now: int, media: str = voucher.CMS, challenge: bytes = b""
) -> bytes:
    """Return the box's request for a voucher at the registrar, or before the phone, that shows *seen* (RFC 8995 §5.2).

    *challenge* is the digest of what a phone sealed for the box. *now* in seconds since 1970. Raises `BadBox`.
    """
    document = voucher.request_json(
        Request(
            serial_number=box.idevid.serial, created_on=now, assertion=Assertion.PROXIMITY, nonce=nonce,
            proximity_registrar_cert=seen.public_bytes(Encoding.DER), challenge=challenge,
        )
    )  # fmt: skip
    if media == voucher.CMS:
        return voucher.write_cms(document, box.idevid.certificate, box.key, now, box.above)
    if not isinstance(box.key, ec.EllipticCurvePrivateKey):
        raise BadBox("a box with an RSA key asks for its voucher as CMS; leave --jws out")
    return voucher.write_jws(document, box.idevid.certificate, box.key, box.above)


def judge(
    octets: bytes, media: str, box: Identity, nonce: bytes, anchors: Sequence[x509.Certificate],
    shown: Sequence[x509.Certificate], now: int,
) -> Judged:  # fmt: skip
    """Return what a voucher has the *box* trust, which asked with *nonce* who shows the certificates *shown*.

    A voucher with the nonce was signed after the box asked: where the clock of the box is behind, it is set by that.
    Raises `BadProof`, with a code for each of what may be wrong.
    """
    said, signed = voucher.read_voucher(octets, media)
    at = max(now, said.created_on) if said.nonce == nonce else now
    if not voucher_rules.signed_by(signed, anchors, box.idevid.certificate, at):
        raise BadProof("voucher-signature-wrong", "The voucher is not signed by whom the box was made to believe.")
    if said.nonce != nonce:
        raise voucher_rules.other_nonce()
    voucher_rules.check(said, box.idevid.serial, box.idevid.issuer, nonce, at)
    if not said.pinned_domain_cert:
        raise voucher_rules.other_domain()
    domain = cms.certificate(said.pinned_domain_cert)
    if not leads(shown, domain, at):
        raise voucher_rules.other_domain()
    return Judged(domain, at)


def leads(shown: Sequence[x509.Certificate], domain: x509.Certificate, now: int) -> bool:
    """Tell whether who shows the certificates *shown* is of the *domain*: its key is theirs, or issued theirs."""
    if not shown:
        return False
    if idevid.public_octets(shown[0]) == idevid.public_octets(domain):
        return True
    try:
        chain.path(shown[0], list(shown[1:]), [domain], now)
    except chain.NoPath:
        return False
    return True


def check_attributes(octets: bytes) -> None:
    """See that what a registrar wants of a certification request (RFC 9908) can be had. Raises `BadProof`."""
    try:
        wanted = der.read(octets).expect(der.SEQUENCE, "the attributes").children()
        for one in wanted:
            if one.tag != der.SEQUENCE:
                continue
            kind, values = one.children()[:2]
            curves = [der.read_oid(each) for each in values.children() if each.tag == der.OBJECT_IDENTIFIER]
            if der.read_oid(kind) == _EC_KEY and curves and _P256 not in curves:
                raise BadProof("key-unfit", "The registrar takes no P-256 key, which is what this gateway signs with.")
    except (der.BadDer, ValueError) as error:
        if isinstance(error, BadProof):
            raise
        raise BadProof("evidence-malformed", "What the registrar wants of a request cannot be read.") from None


def certification_request(serial: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the request for a certificate of *key* for the box *serial* (PKCS #10, RFC 2986), in DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)] if serial else [])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.DER)


def issued(octets: bytes, key: ec.EllipticCurvePrivateKey, domain: x509.Certificate, now: int) -> x509.Certificate:
    """Return the certificate for *key* in what EST answered (RFC 7030 §4.2.3), if the *domain* issued it.

    Raises `BadProof`.
    """
    try:
        found = pkcs7.load_der_pkcs7_certificates(octets)
    except cms.UNREADABLE:
        raise BadProof("evidence-malformed", "What the registrar answered holds no certificate.") from None
    mine = next((one for one in found if idevid.public_octets(one) == idevid.spki(key.public_key())), None)
    if mine is None or not leads([mine, *(one for one in found if one != mine)], domain, now):
        raise BadProof(
            "evidence-malformed", "The certificate that came is not for this gateway's key, or not of the domain."
        )
    return mine
