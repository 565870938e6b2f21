"""A phone's own certificate (SelfDevID): by it a maker's voucher names the owner's key, as it names a registrar's CA.

It is signed by that key, and says nothing but the key: who compares, compares keys.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ddns.proof import b64, cms, idevid, jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk

_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5
_SERIAL = 16  # octets


def make(key: ec.EllipticCurvePrivateKey, now: int, dice: bytes) -> x509.Certificate:
    """Return the certificate of *key* from *now* (seconds since 1970) on; *dice* are 16 octets of chance."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, jwk.kid(jwk.of(key)))])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(dice[:_SERIAL], "big") >> 1 or 1)
        .not_valid_before(datetime.fromtimestamp(now, UTC) - timedelta(days=1))
        .not_valid_after(_NEVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def is_of(octets: bytes, key: PublicJwk) -> bool:
    """Tell whether the certificate in *octets* (DER) is one of *key*."""
    try:
        return idevid.public_octets(cms.certificate(octets)) == idevid.spki(jwk.public_key(key))
    except BadProof:
        return False


def read(text: str) -> x509.Certificate:
    """Return the certificate in *text*, base64url. Raises `BadProof`."""
    return cms.certificate(b64.decode(text))
