"""What a TLS server proves itself by: the SHA-256 of its public key, read from its certificate's file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ddns.gateway.state import Pin


class BadPin(ValueError):
    """A file that says nothing to pin; the message names it and the cure."""


def from_file(port: int, path: Path, *, usage: int = 3) -> Pin:
    """Return the pin for *port* from a certificate (PEM or DER) or a public key (PEM). Raises `BadPin`.

    With *usage* 2 it is that of a CA.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise BadPin(f"{path} cannot be read: {error.strerror}") from None
    if b"PRIVATE KEY-----" in octets:
        raise BadPin(f"{path} holds a private key; give the certificate alone, the key stays with its server")
    try:
        if b"-----BEGIN CERTIFICATE-----" in octets:
            key: PublicKeyTypes = x509.load_pem_x509_certificate(octets).public_key()
        elif b"-----BEGIN PUBLIC KEY-----" in octets:
            key = load_pem_public_key(octets)
        else:
            key = x509.load_der_x509_certificate(octets).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadPin(f"{path} is neither a certificate nor a public key that can be read") from None
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    return Pin(port, digest, usage=usage)
