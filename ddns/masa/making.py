"""A maker's keys and certificates: its CA, the key that signs vouchers, its server's, and those that go into boxes.

All are P-256 and end in the year 9999 (IEEE 802.1AR-2018 §8: an IDevID does not end), but for the server's.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ddns.proof import der, idevid

NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5: no well-defined end
_SERVER_DAYS = 397  # of the server's certificate
_EARLY = timedelta(days=1)  # clocks of boxes are wrong

Held = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def authority(name: str, now: int) -> Held:
    """Make the maker's CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    also = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    )
    subject = _name(f"{name} CA")
    return _signed(subject, key, subject, key, now, NEVER, also), key


def signer(name: str, ca: Held, now: int) -> Held:
    """Make the key that signs vouchers."""
    key = ec.generate_private_key(ec.SECP256R1())
    also = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(True, False, False, False, False, False, False, False, False), True),
        *_identifiers(key, ca),
    )
    return _signed(_name(f"{name} MASA"), key, ca[0].subject, ca[1], now, NEVER, also), key


def server(host: str, ca: Held, now: int) -> Held:
    """Make the certificate of the server at *host*, a name or an address."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        named: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        named = x509.DNSName(host)
    also = (
        (x509.SubjectAlternativeName([named]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        *_identifiers(key, ca),
    )
    end = datetime.fromtimestamp(now, UTC) + timedelta(days=_SERVER_DAYS)
    return _signed(_name(host[:64]), key, ca[0].subject, ca[1], now, end, also), key


def device(serial: str, masa: str, ca: Held, now: int) -> Held:
    """Make the IDevID of the box *serial*; *masa* is where its maker's service answers (RFC 8995 §2.3.2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    url = x509.UnrecognizedExtension(idevid.MASA_URL, der.value(der.IA5_STRING, masa.encode("ascii")))
    also = ((x509.BasicConstraints(ca=False, path_length=None), True), *_identifiers(key, ca), (url, False))
    subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)])
    return _signed(subject, key, ca[0].subject, ca[1], now, NEVER, also), key


def write(folder: Path, stem: str, held: Held, chain: tuple[x509.Certificate, ...] = ()) -> None:
    """Write `STEM.pem` and, for its owner alone, `STEM.key` into *folder*; neither is overwritten."""
    certificate, key = held
    write_key(folder, stem, key)
    public = b"".join(one.public_bytes(Encoding.PEM) for one in (certificate, *chain))
    _write(folder / f"{stem}.pem", public, 0o644)


def write_key(folder: Path, stem: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Write `STEM.key`, for its owner alone; it is not overwritten. Raises `OSError`."""
    _write(folder / f"{stem}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)


def read(folder: Path, stem: str) -> Held:
    """Read what `write` wrote. Raises `OSError` and `ValueError`."""
    certificate = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())
    key = load_pem_private_key((folder / f"{stem}.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{stem}.key holds no key of an elliptic curve")  # noqa: TRY004 - what is wrong is the file
    return certificate, key


def _write(path: Path, octets: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(octets)


def _identifiers(key: ec.EllipticCurvePrivateKey, ca: Held) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return (
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca[1].public_key()), False),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, issuer_key: ec.EllipticCurvePrivateKey,
    now: int, end: datetime, also: tuple[tuple[x509.ExtensionType, bool], ...],
) -> x509.Certificate:  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now, UTC) - _EARLY)
        .not_valid_after(end)
    )
    for value, critical in also:
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, hashes.SHA256())
