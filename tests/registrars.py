"""A registrar and boxes for tests of a MASA: requests for vouchers as RFC 8995 §5.2 and §5.5 have them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, certificate, name

from ddns.masa.issuing import REGISTRAR
from ddns.proof import voucher
from ddns.proof.voucher import Assertion, Request


class Registrar:
    """A registrar with a CA above it."""

    def __init__(self, called="Registry", *, cmcra=True):
        ca_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name = name(f"{called} CA")
        self.ca = certificate(ca_name, ca_key, ca_name, ca_key, ca=True, also=[
            (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False),
        ])  # fmt: skip
        usage = [(x509.ExtendedKeyUsage([REGISTRAR]), False)] if cmcra else []
        self.certificate = certificate(name(called), self.key, ca_name, ca_key, also=usage)

    @property
    def octets(self):
        return self.certificate.public_bytes(Encoding.DER)

    def request(self, prior, serial="SN-1", *, nonce=b"n" * 16, media=voucher.CMS, at=NOW, **more):
        """Return the registrar's request around the box's own, *prior*."""
        said = Request(serial_number=serial, created_on=at, nonce=nonce, prior=prior, **more)
        return signed(said, self.certificate, self.key, media, at, (self.ca,))


def signed(said, made, key, media, at, along=()):
    document = voucher.request_json(said)
    if media == voucher.JWS:
        return voucher.write_jws(document, made, key, along)
    return voucher.write_cms(document, made, key, at, along)


def box_request(made, key, near=b"", serial="SN-1", *, nonce=b"n" * 16, media=voucher.CMS, at=NOW, **more):
    """Return a box's own request; *near* is the certificate of the registrar that it sees."""
    said = Request(
        serial_number=serial, created_on=at, assertion=Assertion.PROXIMITY if near else None, nonce=nonce,
        proximity_registrar_cert=near, **more,
    )  # fmt: skip
    return signed(said, made, key, media, at)
