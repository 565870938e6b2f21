"""An IDevID (IEEE 802.1AR-2018): the certificate that a maker puts into a box, and what of it counts here.

The serial number is the attribute of the subject (X.520 serialNumber) or that of a hardware module (RFC 4108 §5), not
the number of the certificate. Where a certificate names its issuer's key only by its name, the anchor knows more.
"""

from __future__ import annotations

import hashlib

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from ddns.proof import cms, der
from ddns.proof.bad import BadProof

MOST_SERIAL = 64  # characters: ub-serial-number of X.520
MASA_URL = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.32")  # id-pe-masa-url, RFC 8995 §2.3.2
HARDWARE_MODULE = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")  # id-on-hardwareModuleName, RFC 4108 §5
_MOST_URL = 255  # characters, ours


class IDevID(msgspec.Struct, frozen=True):
    """What a box's own certificate says.

    *issuer* is the key identifier of who issued it, None where the certificate does not say; *masa* is the authority
    in its MASA URL, empty where there is none; *model* is the subject's common name, empty where there is none;
    *digest* is SHA-256 of the whole certificate.
    """

    certificate: x509.Certificate
    serial: str
    model: str
    issuer: bytes | None
    masa: str
    digest: bytes


def read(certificate: x509.Certificate) -> IDevID:
    """Return what *certificate* says. Raises `BadProof` with the code `idevid-malformed`."""
    try:
        extensions = certificate.extensions
        serial = _serial(certificate)
        try:
            issuer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        except x509.ExtensionNotFound:
            issuer = None
        masa = _masa(extensions)
        _ = certificate.issuer
    except BadProof:
        raise
    except cms.UNREADABLE:
        raise BadProof("idevid-malformed", "The certificate of the box has a part that cannot be read.") from None
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return IDevID(certificate, serial, str(names[0].value) if names else "", issuer, masa, digest)


def issuer_of(found: IDevID, anchor: x509.Certificate) -> bytes:
    """Return the key identifier of the issuer, from *anchor*, the issuer's certificate, where the IDevID is silent.

    Then it is the issuer's SubjectKeyIdentifier, or where that is missing too SHA-1 of its key (RFC 5280 §4.2.1.2).
    """
    if found.issuer is not None:
        return found.issuer
    return cms.subject_key_identifier(anchor) or key_identifier(anchor)


def key_identifier(certificate: x509.Certificate) -> bytes:
    """Return method 1 of RFC 5280 §4.2.1.2: SHA-1 of the bits of the key. It names, it does not secure."""
    spki = der.read(public_octets(certificate))
    return hashlib.sha1(spki.children()[1].body[1:], usedforsecurity=False).digest()


def public_octets(certificate: x509.Certificate) -> bytes:
    """Return the key of *certificate* as SubjectPublicKeyInfo in DER."""
    return spki(certificate.public_key())


def spki(key: CertificatePublicKeyTypes) -> bytes:
    """Return *key* as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def reduce_issuer(octets: bytes) -> bytes:
    """Return the bare key identifier of an `idevid-issuer`, of which four forms are seen.

    The field holds the extension's value as an OCTET STRING (RFC 8366 §5.3), or what is in that, or the identifier as
    an OCTET STRING, or the identifier alone.
    """
    bare = octets
    try:
        value = der.read(octets)
        if value.tag == der.OCTET_STRING:
            bare = value.body
            value = der.read(bare)
        if value.tag == der.SEQUENCE:
            return next((part.body for part in value.children() if part.tag == 0x80), octets)
    except der.BadDer:
        return bare
    return bare


def extension_of(issuer: bytes) -> bytes:
    """Return an `idevid-issuer` for a key identifier: the AuthorityKeyIdentifier as an OCTET STRING."""
    return der.octet_string(der.sequence(der.value(0x80, issuer)))


def _serial(certificate: x509.Certificate) -> str:
    """Return the serial number of the box. Raises `BadProof` and `ValueError`."""
    named = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    module = _module_serial(certificate.extensions)
    if len(named) > 1 or (named and module is not None and named[0] != module):
        raise BadProof("idevid-malformed", "The certificate of the box names two serial numbers; one box has one.")
    serial = named[0] if named else module
    if not serial:
        raise BadProof("idevid-malformed", "The certificate of the box has no serialNumber in its subject.")
    if len(serial) > MOST_SERIAL or not serial.isascii() or not serial.isprintable():
        raise BadProof(
            "idevid-malformed", f"The serialNumber of the box is not 1 to {MOST_SERIAL} printable ASCII characters."
        )
    return serial


def _module_serial(extensions: x509.Extensions) -> str | None:
    """Return the serial number in a HardwareModuleName; None where there is none. Raises `ValueError`."""
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for name in names.get_values_for_type(x509.OtherName):
        if name.type_id == HARDWARE_MODULE:
            parts = der.read(name.value).expect(der.SEQUENCE, "a hardware module").children()
            if len(parts) != 2:
                raise der.BadDer("a hardware module has two parts")
            return parts[1].expect(der.OCTET_STRING, "a hardware module's serial").body.decode("ascii", "replace")
    return None


def _masa(extensions: x509.Extensions) -> str:
    """Return the authority in the MASA URL; it is written as a URL or alone. Raises `ValueError`."""
    try:
        held = extensions.get_extension_for_oid(MASA_URL).value
    except x509.ExtensionNotFound:
        return ""
    octets = held.value if isinstance(held, x509.UnrecognizedExtension) else b""
    text = der.read(octets).expect(der.IA5_STRING, "the MASA URL").body.decode("ascii", "replace")
    return authority(text[:_MOST_URL])


def authority(url: str) -> str:
    """Return host and port of a MASA URL, in lower case and without the port that is every URL's."""
    rest = url.strip().lower()
    rest = rest.removeprefix("https://").split("/", 1)[0]
    return rest.removesuffix(":443")
