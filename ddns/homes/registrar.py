"""The registry as a registrar (RFC 8995 §5.5.4): its domain's CA, its own certificate, and those that it gives boxes.

Both keys are derived from the service's secret, so that every desk of a registry has the same and there is no file to
keep. A certificate of this CA gives no right: rights are rows, and the key in it is a gateway's SIG(0) key. So nothing
is compared by certificate either, but by key: each desk signs the same certificates anew.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import hmac

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ddns.dns import names
from ddns.dns.names import Name
from ddns.proof import cms, idevid, jwk
from ddns.proof.jwk import PublicJwk

CMC_RA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")  # id-kp-cmcRA, RFC 6402 §2.10: MASAs look for it
UNNAMED = "nameplate.invalid"
YEARS = 10  # for which a box's certificate holds; it is renewed with the same key, or another
MOST_COMMON_NAME = 64  # characters: ub-common-name of X.520

_CA = b"nameplate registrar ca 1"
_REGISTRAR = b"nameplate registrar 1"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2 §2.4.2)
_SINCE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # before any clock that a box may have
_NEVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)  # RFC 5280 §4.1.2.5
_SERIAL = 16  # octets


class Registrar:
    """The certificates by which boxes know the registry whose server is called *name*; *secret* is `secrets.key`."""

    __slots__ = ("_ca_key", "ca", "certificate", "key")

    def __init__(self, secret: bytes, name: str) -> None:
        shown = name or UNNAMED
        self._ca_key = _derived(secret, _CA)
        self.key = _derived(secret, _REGISTRAR)
        authority = _name(f"{shown} domain CA")
        self.ca = (
            _begun(authority, authority, self._ca_key.public_key(), _serial(self._ca_key), _NEVER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .sign(self._ca_key, SHA256())
        )
        self.certificate = (
            _begun(_name(shown), authority, self.key.public_key(), _serial(self.key), _NEVER)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([CMC_RA, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(shown)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, SHA256())
        )

    def __repr__(self) -> str:
        return f"Registrar({self.certificate.subject.rfc4514_string()})"

    @property
    def keys(self) -> frozenset[bytes]:
        """Return the keys that a voucher may pin: the CA's and the registrar's own, as SubjectPublicKeyInfo."""
        return frozenset(map(idevid.public_octets, (self.ca, self.certificate)))

    def is_mine(self, certificate: x509.Certificate) -> bool:
        """Tell whether *certificate* is one that a desk of this registry shows: of its key, issued by its CA."""
        if idevid.public_octets(certificate) != idevid.public_octets(self.certificate):
            return False
        try:
            certificate.verify_directly_issued_by(self.ca)
        except (*cms.UNREADABLE, InvalidSignature):
            return False
        return True

    def issue(self, key: PublicJwk, home: Name, serial: str, now: int, dice: bytes) -> x509.Certificate:
        """Return a certificate for the box that has *key* as the gateway of *home*, from *now* on for `YEARS` years.

        *serial* is the box's own serial number, empty: it has none. *dice* are 16 octets of chance.
        """
        host = names.to_text(home).rstrip(".")
        begin = dt.datetime.fromtimestamp(now, dt.UTC).replace(microsecond=0)
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= MOST_COMMON_NAME else []
        if serial:
            parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
        return (
            _begun(
                x509.Name(parts), self.ca.subject, jwk.public_key(key), int.from_bytes(dice[:_SERIAL], "big") >> 1 or 1,
                begin + dt.timedelta(days=365 * YEARS), begin - dt.timedelta(days=1),
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=not parts)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, SHA256())
        )  # fmt: skip

    def home_of(self, certificate: x509.Certificate, now: int) -> Name | None:
        """Return the home that a certificate of this CA names; None: it is none of these, or is over at *now*."""
        try:
            certificate.verify_directly_issued_by(self.ca)
            held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (*cms.UNREADABLE, InvalidSignature, x509.ExtensionNotFound):
            return None
        hosts = held.get_values_for_type(x509.DNSName)
        when = dt.datetime.fromtimestamp(now, dt.UTC)
        if len(hosts) != 1 or not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
            return None
        try:
            return names.from_text(f"{hosts[0]}.")
        except names.BadName:
            return None


@functools.lru_cache(maxsize=4)
def of(secret: bytes, name: str) -> Registrar:
    """Return the registrar whose server is called *name*."""
    return Registrar(secret, name)


def only(*certificates: x509.Certificate) -> bytes:
    """Return certificates without anything signed, in DER, as EST answers them (RFC 7030 §4.1.3)."""
    return pkcs7.serialize_certificates(list(certificates), Encoding.DER)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: jwk.PublicKey, serial: int, end: dt.datetime,
    begin: dt.datetime = _SINCE,
) -> x509.CertificateBuilder:  # fmt: skip
    """Return a certificate with what each has, the SubjectKeyIdentifier included (RFC 8995 §5.8.2 wants it)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(common: str) -> x509.Name:
    """Return a name; a longer one than X.520 allows is cut, for nobody is found by it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[-MOST_COMMON_NAME:])])


def _derived(secret: bytes, purpose: bytes) -> ec.EllipticCurvePrivateKey:
    # 64 octets taken modulo the order: no value is likelier than another by more than 2**-256.
    scalar = int.from_bytes(hmac.digest(secret, purpose, hashlib.sha512), "big") % (_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _serial(key: ec.EllipticCurvePrivateKey) -> int:
    """Return a certificate's number that follows from its key, so that it is the same at each desk."""
    digest = hashlib.sha256(idevid.spki(key.public_key())).digest()
    return int.from_bytes(digest[:_SERIAL], "big") >> 1 or 1
