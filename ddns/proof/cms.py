"""CMS SignedData (RFC 5652 §5) of one signer: what carries vouchers and the requests for them (RFC 8366 §5.4).

Only what those use: attached content, signed attributes, ECDSA on P-256 and P-384 or RSA (PKCS #1 v1.5) with SHA-256,
SHA-384 or SHA-512. The PKCS #7 form, version 1 with id-data, is read too: implementations in the field make it.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.proof import der
from ddns.proof.bad import BadProof

MOST_CERTIFICATES = 8  # ours
RSA_BITS = range(2048, 4097)  # ours, as for the keys of updates
RSA_MAX_EXPONENT = 2**32  # ours: a greater one only costs time

DATA = "1.2.840.113549.1.7.1"
VOUCHER_JSON = "1.2.840.113549.1.9.16.1.40"  # id-ct-animaJSONVoucher, RFC 8366 §8.4
CONTENT_TYPES = frozenset({DATA, VOUCHER_JSON})

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA256, _SHA384, _SHA512 = (f"2.16.840.1.101.3.4.2.{number}" for number in (1, 2, 3))
_RSA = "1.2.840.113549.1.1.1"
_ECDSA_SHA256, _ECDSA_SHA384, _ECDSA_SHA512 = (f"1.2.840.10045.4.3.{number}" for number in (2, 3, 4))
_RSA_SHA256, _RSA_SHA384, _RSA_SHA512 = (f"1.2.840.113549.1.1.{number}" for number in (11, 12, 13))

_HASHES: dict[str, hashes.HashAlgorithm] = {
    _SHA256: hashes.SHA256(), _SHA384: hashes.SHA384(), _SHA512: hashes.SHA512(),
}  # fmt: skip
# Which kind of key makes a signature of this name, and by which digest alone; RFC 5754 §3.2 lets RSA leave it open.
_SIGNATURES: dict[str, tuple[type, str | None]] = {
    _ECDSA_SHA256: (ec.EllipticCurvePublicKey, _SHA256),
    _ECDSA_SHA384: (ec.EllipticCurvePublicKey, _SHA384),
    _ECDSA_SHA512: (ec.EllipticCurvePublicKey, _SHA512),
    _RSA: (rsa.RSAPublicKey, None),
    _RSA_SHA256: (rsa.RSAPublicKey, _SHA256),
    _RSA_SHA384: (rsa.RSAPublicKey, _SHA384),
    _RSA_SHA512: (rsa.RSAPublicKey, _SHA512),
}

# What is raised for certificates and requests that cannot be read; a TypeError is one of bits in a name.
UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Cms(msgspec.Struct, frozen=True):
    """A signed *content* as it was read; nothing of it is believed before `verify` said so.

    *certificates* are those that came along, *signer* is the one of them that the signature names, if it is there.
    """

    content: bytes
    content_type: str
    certificates: tuple[x509.Certificate, ...]
    signer: x509.Certificate | None
    attributes: bytes  # the DER of the SET OF that is signed
    digest: str
    signature_algorithm: str
    signature: bytes


def read(octets: bytes) -> Cms:
    """Return the SignedData in *octets*. Raises `BadProof` with the code `evidence-malformed`."""
    try:
        return _read(octets)
    except der.BadDer as error:
        raise BadProof("evidence-malformed", f"The CMS structure cannot be read: {error}.") from None


def verify(cms: Cms, key: object) -> bool:
    """Tell whether *key* made the signature, over this content and no other (RFC 5652 §5.4, §5.6)."""
    kind, digest = _SIGNATURES[cms.signature_algorithm]
    if not isinstance(key, kind) or digest not in {None, cms.digest}:
        return False
    hashing = _HASHES[cms.digest]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(cms.signature, cms.attributes, ec.ECDSA(hashing))
        elif isinstance(key, rsa.RSAPublicKey):
            if key.key_size not in RSA_BITS or key.public_numbers().e > RSA_MAX_EXPONENT:
                return False
            key.verify(cms.signature, cms.attributes, padding.PKCS1v15(), hashing)
    except InvalidSignature:
        return False
    return True


def sign(
    content: bytes, content_type: str, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...],
    private: PrivateKey, at: int,
) -> bytes:  # fmt: skip
    """Return *content* signed by *private*, the key of *certificate*, at the time *at* in seconds since 1970.

    *chain* are the certificates that go along with the signer's own.
    """
    digest, named = _ways_of(private)
    hashing = _HASHES[digest]
    attributes = der.set_of(
        _attribute(_CONTENT_TYPE, der.oid(content_type)),
        _attribute(_SIGNING_TIME, der.time(at)),
        _attribute(_MESSAGE_DIGEST, der.octet_string(hashlib.new(hashing.name, content).digest())),
    )
    if isinstance(private, ec.EllipticCurvePrivateKey):
        signature = private.sign(attributes, ec.ECDSA(hashing))
    else:
        signature = private.sign(attributes, padding.PKCS1v15(), hashing)
    algorithm = der.sequence(der.oid(digest))
    parameters = b"" if isinstance(private, ec.EllipticCurvePrivateKey) else der.value(der.NULL, b"")
    signer = der.sequence(
        der.integer(1),  # by issuer and serial number, RFC 5652 §5.3
        der.sequence(_name_of(certificate), der.integer(certificate.serial_number)),
        algorithm,
        bytes((0xA0,)) + attributes[1:],  # [0] IMPLICIT: what is signed has the tag of SET, RFC 5652 §5.4
        der.sequence(der.oid(named), parameters),
        der.octet_string(signature),
    )
    certificates = b"".join(one.public_bytes(Encoding.DER) for one in (certificate, *chain))
    signed = der.sequence(
        der.integer(1 if content_type == DATA else 3),  # RFC 5652 §5.1
        der.set_of(algorithm),
        der.sequence(der.oid(content_type), der.value(0xA0, der.octet_string(content))),
        der.value(0xA0, certificates),
        der.set_of(signer),
    )
    return der.sequence(der.oid(_SIGNED_DATA), der.value(0xA0, signed))


def _read(octets: bytes) -> Cms:
    """Read the structure. Raises `BadDer` and `BadProof`."""
    kind, body = _parts(der.read(octets).expect(der.SEQUENCE, "the structure"), 2, "the structure")
    if der.read_oid(kind) != _SIGNED_DATA:
        raise der.BadDer("it is not SignedData")
    (signed,) = _parts(body.expect(0xA0, "the content"), 1, "the content")
    fields = list(signed.expect(der.SEQUENCE, "SignedData").children())
    if len(fields) < 4:
        raise der.BadDer("SignedData has no content or no signer")
    if der.read_integer(fields.pop(0)) not in {1, 3}:
        raise der.BadDer("the version of SignedData is not 1 or 3")
    fields.pop(0).expect(der.SET, "the digest algorithms")
    content_type, content = _content(fields.pop(0))
    certificates: tuple[x509.Certificate, ...] = ()
    if fields and fields[0].tag == 0xA0:
        certificates = _certificates(fields.pop(0))
    if fields and fields[0].tag == 0xA1:
        fields.pop(0)  # revocation lists are not looked at
    if len(fields) != 1:
        raise der.BadDer("SignedData does not end with its signers")
    signers = fields[0].expect(der.SET, "the signers").children()
    if len(signers) != 1:
        raise BadProof("evidence-malformed", f"The CMS structure has {len(signers)} signers; it must have one.")
    return _with_signer(content_type, content, certificates, signers[0])


def _content(encapsulated: der.Tlv) -> tuple[str, bytes]:
    """Return the type and the octets of the content. Raises `BadDer` and `BadProof`."""
    parts = encapsulated.expect(der.SEQUENCE, "the content").children()
    content_type = der.read_oid(parts[0]) if parts else ""
    if content_type not in CONTENT_TYPES:
        raise BadProof(
            "evidence-malformed",
            f"The CMS structure has content of type {content_type or '(none)'}; a voucher's is {VOUCHER_JSON}.",
        )
    if len(parts) != 2:
        raise BadProof("evidence-malformed", "The CMS structure has no content; sign with the content attached.")
    (held,) = _parts(parts[1].expect(0xA0, "the content"), 1, "the content")
    return content_type, held.expect(der.OCTET_STRING, "the content").body


def _with_signer(content_type: str, content: bytes, certificates: tuple[x509.Certificate, ...], info: der.Tlv) -> Cms:
    """Return the whole with its one SignerInfo (RFC 5652 §5.3). Raises `BadDer` and `BadProof`."""
    parts = info.expect(der.SEQUENCE, "the signer").children()
    if len(parts) < 5:
        raise der.BadDer("the signer is cut short")
    version, identifier, digests, attributes = parts[:4]
    if attributes.tag != 0xA0:
        raise BadProof(
            "evidence-malformed", "The CMS structure has no signed attributes; RFC 8366 asks for them (section 5.4)."
        )
    if len(parts) not in {6, 7}:
        raise der.BadDer("the signer is cut short")
    if der.read_integer(version) != (3 if identifier.tag == 0x80 else 1):
        raise der.BadDer("the signer's version does not go with how it is named")
    digest, signature_algorithm = _algorithm(digests), _algorithm(parts[4])
    if digest not in _HASHES or signature_algorithm not in _SIGNATURES:
        raise BadProof(
            "evidence-malformed",
            f"The CMS structure is signed by the algorithms {digest} and {signature_algorithm}, which are not taken; "
            "use ECDSA or RSA with SHA-256.",
        )
    signed = bytes((der.SET,)) + attributes.raw[1:]
    _check_attributes(der.read(signed), content_type, hashlib.new(_HASHES[digest].name, content).digest())
    return Cms(
        content, content_type, certificates, _named(identifier, certificates), signed, digest, signature_algorithm,
        parts[5].expect(der.OCTET_STRING, "the signature").body,
    )  # fmt: skip


def _check_attributes(attributes: der.Tlv, content_type: str, digest: bytes) -> None:
    """Compare what is signed with the content that is there (RFC 5652 §11.1, §11.2). Raises `BadDer` and `BadProof`."""
    found: dict[str, der.Tlv] = {}
    for attribute in attributes.children():
        kind, values = _parts(attribute.expect(der.SEQUENCE, "a signed attribute"), 2, "a signed attribute")
        name = der.read_oid(kind)
        if name in found:
            raise der.BadDer("a signed attribute is there twice")
        found[name] = values.expect(der.SET, "the value of a signed attribute")
    if _CONTENT_TYPE not in found or _MESSAGE_DIGEST not in found:
        raise der.BadDer("the signed attributes lack the content's type or digest")
    (named,) = _parts(found[_CONTENT_TYPE], 1, "the content type")
    if der.read_oid(named) != content_type:
        raise BadProof("evidence-malformed", "The CMS structure signs another type of content than it holds.")
    (made,) = _parts(found[_MESSAGE_DIGEST], 1, "the digest")
    if not hmac.compare_digest(made.expect(der.OCTET_STRING, "the digest").body, digest):
        raise BadProof("evidence-malformed", "The CMS structure signs another content than it holds.")


def _certificates(field: der.Tlv) -> tuple[x509.Certificate, ...]:
    """Return the certificates that came along. Raises `BadDer` and `BadProof`."""
    values = field.children()
    if len(values) > MOST_CERTIFICATES:
        raise BadProof("evidence-malformed", f"The CMS structure has more than {MOST_CERTIFICATES} certificates.")
    return tuple(certificate(one.expect(der.SEQUENCE, "a certificate").raw) for one in values)


def certificate(octets: bytes) -> x509.Certificate:
    """Return the certificate in *octets*, whose key can be used. Raises `BadProof` (`evidence-malformed`)."""
    try:
        found = x509.load_der_x509_certificate(octets)
        found.public_key()  # a point that is not on its curve shows itself here
        _ = found.subject, found.issuer, found.extensions
    except UNREADABLE:
        raise BadProof("evidence-malformed", "A certificate that came along cannot be read.") from None
    return found


def _named(identifier: der.Tlv, certificates: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    """Return the certificate that a SignerIdentifier names. Raises `BadDer`."""
    if identifier.tag == 0x80:
        return next((one for one in certificates if subject_key_identifier(one) == identifier.body), None)
    issuer, serial = _parts(identifier.expect(der.SEQUENCE, "the signer's name"), 2, "the signer's name")
    number = der.read_integer(serial)
    return next((one for one in certificates if one.serial_number == number and _name_of(one) == issuer.raw), None)


def subject_key_identifier(one: x509.Certificate) -> bytes | None:
    """Return what a certificate's SubjectKeyIdentifier says; None where it has none."""
    try:
        return one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _name_of(one: x509.Certificate) -> bytes:
    """Return the issuer's name in its own octets, not as they would be written anew."""
    parts = der.read(one.tbs_certificate_bytes).children()
    return parts[3 if parts[0].tag == 0xA0 else 2].raw


def _algorithm(value: der.Tlv) -> str:
    """Return the name in an AlgorithmIdentifier. Raises `BadDer`."""
    parts = value.expect(der.SEQUENCE, "an algorithm").children()
    if not parts:
        raise der.BadDer("an algorithm has no name")
    return der.read_oid(parts[0])


def _attribute(name: str, held: bytes) -> bytes:
    return der.sequence(der.oid(name), der.set_of(held))


def _ways_of(private: PrivateKey) -> tuple[str, str]:
    """Return the digest and the signature's algorithm that go with a key."""
    if isinstance(private, rsa.RSAPrivateKey):
        return _SHA256, _RSA
    return (_SHA384, _ECDSA_SHA384) if private.key_size > 256 else (_SHA256, _ECDSA_SHA256)


def _parts(value: der.Tlv, count: int, what: str) -> tuple[der.Tlv, ...]:
    """Return the *count* values in *value*. Raises `BadDer`."""
    found = value.children()
    if len(found) != count:
        raise der.BadDer(f"{what} has {len(found)} parts, not {count}")
    return found
