"""The certificate and key of the encrypted transports: read from files, or made here where there are none.

Law: a self-made certificate proves nothing by itself. Clients trust its key because DNSSEC names it (DANE-EE,
RFC 7671 §5.1), or because they were told its digest (RFC 7858 §4.2); neither looks at names or dates.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LARGEST_FILE = 256 * 1024  # octets; a long chain is a tenth of this
RSA_LEAST = 2048  # bits (RFC 9325 §4.5)
UNNAMED = "nameplate.invalid"
NEVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)  # no end (RFC 5280 §4.1.2.5)
SINCE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # before any clock that a device may have

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class BadCertificate(ValueError):
    """A certificate or key that cannot be used; the message is one sentence with the file and the cure."""


class Certificate:
    """A chain, the peer's own certificate first, and its private key. It has no text form, so no log can hold it."""

    __slots__ = ("chain", "digest", "key")

    def __init__(self, chain: tuple[x509.Certificate, ...], key: PrivateKey) -> None:
        self.chain = chain
        self.key = key
        self.digest = hashlib.sha256(_spki(key.public_key())).digest()

    @property
    def pin(self) -> str:
        """Return the digest of the key as clients are told it (RFC 7858 §4.2)."""
        return base64.b64encode(self.digest).decode()


def _spki(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load(certificate: Path, key: Path) -> Certificate:
    """Read a PEM chain and its PEM key. Raises `BadCertificate`."""
    octets = _read(certificate)
    try:
        chain = x509.load_pem_x509_certificates(octets)
    except ValueError:
        raise BadCertificate(f"{certificate} holds no certificate in PEM form.") from None
    try:
        private = load_pem_private_key(_read(key), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadCertificate(f"{key} holds no private key in PEM form without a password.") from None
    if not isinstance(private, PrivateKey) or (isinstance(private, rsa.RSAPrivateKey) and private.key_size < RSA_LEAST):
        raise BadCertificate(f"{key} holds a key that is not for TLS 1.3; use P-256, Ed25519, or RSA of 2048 bits.")
    shown = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if shown != _spki(private.public_key()):
        raise BadCertificate(f"The key in {key} is not that of the first certificate in {certificate}.")
    return Certificate(tuple(chain), private)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadCertificate(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(octets) > LARGEST_FILE:
        raise BadCertificate(f"{path} is longer than {LARGEST_FILE} octets; it should hold one chain or one key.")
    return octets


def make(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the paths of the certificate and key in *folder*, which are made for *name* where they are not there.

    A key that is there keeps its place: its digest may be published. Raises `BadCertificate`.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not key.exists():
            fresh = ec.generate_private_key(ec.SECP256R1())
            _write(key, fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
            certificate.unlink(missing_ok=True)
        if not certificate.exists():
            private = load_pem_private_key(_read(key), None)
            if not isinstance(private, PrivateKey):
                raise BadCertificate(f"{key} holds a key that is not for TLS 1.3; remove it.")
            _write(certificate, _self_signed(private, name).public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise BadCertificate(f"{folder} cannot be written: {error.strerror or error}.") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"{key} holds no private key in PEM form: {error}.") from None
    return certificate, key


def _self_signed(key: PrivateKey, name: str) -> x509.Certificate:
    plain = name.rstrip(".") or UNNAMED
    # A common name holds 64 characters at most (RFC 5280, appendix A.1); clients look at the alternative name.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, plain if len(plain) <= 64 else UNNAMED)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(SINCE)
        .not_valid_after(NEVER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(plain)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256())
    )


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Write a file that is whole or not there."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, octets)
        os.fsync(descriptor)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
