"""Makers of boxes for tests: a CA that gives boxes their IDevIDs, and a MASA's key that signs vouchers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ddns.proof import der, idevid, voucher

NOW = 1_800_000_000
NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 §4.1.2.5: no well-defined end


def name(common, serial=None):
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else []
    if serial is not None:
        parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
    return x509.Name(parts)


def certificate(subject, key, issuer, issuer_key, *, ca=False, number=None, end=NEVER, begin=None, also=()):
    """Return a certificate of *subject*; *also* are extensions (value, critical)."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(number or x509.random_serial_number())
        .not_valid_before(begin or datetime.fromtimestamp(NOW, UTC) - timedelta(days=400))
        .not_valid_after(end)
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    for value, critical in also:
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, hashes.SHA256())


class Maker:
    """One maker: *anchor* is its CA, *masa* the certificate that its vouchers are verified with."""

    def __init__(self, called="Maker", key=None, url="masa.maker.example"):
        self.url = url
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = name(f"{called} CA")
        self.anchor = certificate(self.name, self.key, self.name, self.key, ca=True, also=[
            (x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False),
        ])  # fmt: skip
        self.masa_key = ec.generate_private_key(ec.SECP256R1())
        self.masa = certificate(name(f"{called} MASA"), self.masa_key, self.name, self.key)

    def device(self, serial="SN-0001", key=None, *, aki=True, also=(), subject=None, end=NEVER, begin=None):
        """Return the IDevID of a new box, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions = [*also]
        if aki:
            named = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            extensions.append((named, False))
        if self.url:
            url = x509.UnrecognizedExtension(idevid.MASA_URL, der.value(der.IA5_STRING, self.url.encode()))
            extensions.append((url, False))
        made = certificate(
            name(None, serial) if subject is None else subject,
            key, self.name, self.key, also=extensions, end=end, begin=begin,
        )  # fmt: skip
        return made, key

    def voucher(self, request, pinned, *, at=NOW, media=voucher.CMS, **changes):
        """Return a signed voucher that answers *request*; *changes* are fields that it says otherwise."""
        fields = {
            "serial_number": request.serial_number,
            "created_on": at,
            "assertion": voucher.Assertion.LOGGED,
            "pinned_domain_cert": pinned,
            "idevid_issuer": request.idevid_issuer,
            "nonce": request.nonce,
        }
        document = voucher.voucher_json(voucher.Voucher(**(fields | changes)))
        if media == voucher.JWS:
            return voucher.write_jws(document, self.masa, self.masa_key)
        return voucher.write_cms(document, self.masa, self.masa_key, at)
