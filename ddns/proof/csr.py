"""Certification requests (PKCS #10, RFC 2986), with the attestation that may stand in one (the lamps working group's).

The key that asks is the box's SIG(0) key: P-256 or Ed25519. An attestation statement is an EAT, as CWT or as JWT, in an
OCTET STRING or a UTF8String; which kind of statement its type says does not matter here, what it says does. Or it is
the plain signature of a key that hardware holds (`ddns.proof.key_signature`), a SEQUENCE; its type is all that it says.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ddns.proof import cms, der, eat, idevid, jwk, key_signature
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk

MOST = 32_768  # octets, ours
MOST_STATEMENTS = 4  # ours
ATTESTATION = "1.2.840.113549.1.9.16.2.59"  # id-aa-attestation


class Csr(msgspec.Struct, frozen=True):
    """What is asked: a certificate for *key*, which signed the request.

    *serial* is the subject's serialNumber, or empty; *hosts* are the names that it asks for; *evidence* are the tokens
    that came along, not verified yet.
    """

    serial: str
    hosts: tuple[str, ...]
    key: PublicJwk
    evidence: tuple[eat.Evidence, ...]


def read(octets: bytes) -> Csr:
    """Return the request in *octets*. Raises `BadProof` (`evidence-malformed`, `key-unfit`)."""
    if len(octets) > MOST:
        raise _malformed(f"it is longer than {MOST} octets")
    try:
        found = x509.load_der_x509_csr(octets)
        public = found.public_key()
        good = found.is_signature_valid
        serials = found.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        hosts = _hosts(found)
        bundle = _bundle(found.tbs_certrequest_bytes)
    except der.BadDer as error:
        raise _malformed(str(error)) from None
    except BadProof:
        raise
    except cms.UNREADABLE:
        raise _malformed("it is no request that can be read") from None
    if not good:
        raise _malformed("its signature is not by the key that it asks for")
    if not isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise BadProof("key-unfit", "The key of the certification request must be P-256 or Ed25519; make one of these.")
    if len(serials) > 1:
        raise _malformed("its subject has two serial numbers")
    key = jwk.of(public)
    if key.crv not in jwk.ENROLLED:
        raise BadProof("key-unfit", "The key of the certification request must be P-256 or Ed25519; make one of these.")
    serial = str(serials[0].value) if serials else ""
    return Csr(serial, hosts, key, _evidence(bundle, key))


def _hosts(found: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """Return the names of hosts that are asked for. Raises `ValueError` where an extension cannot be read."""
    try:
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(held.get_values_for_type(x509.DNSName))


def _bundle(info: bytes) -> der.Tlv | None:
    """Return the attestation in a CertificationRequestInfo; None: there is none. Raises `BadDer` and `BadProof`."""
    parts = der.read(info).children()
    if len(parts) < 4 or parts[3].tag != 0xA0:
        return None
    held: list[der.Tlv] = []
    for attribute in parts[3].children():
        pair = attribute.expect(der.SEQUENCE, "an attribute").children()
        if len(pair) == 2 and der.read_oid(pair[0]) == ATTESTATION:
            held += pair[1].expect(der.SET, "an attribute's values").children()
    if not held:
        return None
    if len(held) > 1:
        raise _malformed("it has two attestations; it may have one")
    return held[0].expect(der.SEQUENCE, "the attestation")


def _evidence(bundle: der.Tlv | None, key: PublicJwk) -> tuple[eat.Evidence, ...]:
    """Return what the statements of a *bundle* say of *key*. Raises `BadProof`."""
    if bundle is None:
        return ()
    try:
        return tuple(_read_bundle(bundle, key))
    except der.BadDer as error:
        raise _malformed(str(error)) from None


def _read_bundle(bundle: der.Tlv, key: PublicJwk) -> Iterator[eat.Evidence]:
    """Yield what each statement says. Raises `BadDer` and `BadProof`."""
    parts = bundle.children()
    if not 1 <= len(parts) <= 2:
        raise der.BadDer("the attestation has no statements")
    statements = parts[0].expect(der.SEQUENCE, "the attestation's statements").children()
    if not 1 <= len(statements) <= MOST_STATEMENTS:
        raise _malformed(f"it has not 1 to {MOST_STATEMENTS} attestation statements")
    for statement in statements:
        pair = statement.expect(der.SEQUENCE, "an attestation statement").children()
        if len(pair) != 2 or pair[1].tag not in {der.OCTET_STRING, der.UTF8_STRING, der.SEQUENCE}:
            raise _malformed("an attestation statement is no OCTET STRING or UTF8String with an EAT, nor a signature")
        kind = der.read_oid(pair[0])
        if pair[1].tag == der.SEQUENCE:
            yield _signature(kind, pair[1], parts[1:], key)
        else:
            yield _token(pair[1].body)


def _signature(kind: str, statement: der.Tlv, along: tuple[der.Tlv, ...], key: PublicJwk) -> eat.Evidence:
    """Return what the signature of a key in hardware says, with the certificates *along*, its own first.

    Raises `BadDer` and `BadProof`.
    """
    nonce, made = key_signature.read(statement, idevid.spki(jwk.public_key(key)))
    choices = along[0].expect(der.SEQUENCE, "the attestation's certificates").children() if along else ()
    if len(choices) > cms.MOST_CERTIFICATES:
        raise _malformed(f"it has more than {cms.MOST_CERTIFICATES} certificates")
    certificates = [cms.certificate(one.expect(der.SEQUENCE, "a certificate").raw) for one in choices]
    signer = next((one for one in certificates if _made_by(made, one)), None)
    if certificates and signer is None:
        raise BadProof(
            "evidence-key-wrong", "The attestation is not signed by a key in it over this nonce and this request's key."
        )
    first = [one for one in certificates if one == signer]
    octets = tuple(one.public_bytes(Encoding.DER) for one in (*first, *(one for one in certificates if one != signer)))
    return eat.Evidence({key_signature.CLAIM: kind}, (nonce,), key, None, None, None, octets, made)


def _made_by(made: key_signature.KeySignature, certificate: x509.Certificate) -> bool:
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return False
    try:
        return made.verify(jwk.of(public))
    except BadProof:
        return False  # a curve that nobody signs with here


def _token(octets: bytes) -> eat.Evidence:
    """Return the token in a statement: a JWS begins with a letter or a brace, COSE with a tag or an array."""
    return eat.read_jwt(octets) if octets[:1] in {b"{", b"e"} else eat.read_cwt(octets)


def _malformed(why: str) -> BadProof:
    return BadProof("evidence-malformed", f"The certification request cannot be used: {why}.")
