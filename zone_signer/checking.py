"""Whether a signature is of a key: the public side of what `vault` and tokens do. Pure."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ddns.dns.codes import Algorithm
from ddns.dns.records import Rdata
from zone_signer import keys


def verifies(dnskey: Rdata, octets: bytes, signature: bytes) -> bool:
    """Tell whether *signature* over *octets* is of the private half of *dnskey*."""
    public = dnskey[keys.HEAD :]
    try:
        match Algorithm(dnskey[3]):
            case Algorithm.ED25519:
                Ed25519PublicKey.from_public_bytes(public).verify(signature, octets)
            case Algorithm.RSASHA256:
                size = public[0]
                e, n = int.from_bytes(public[1 : 1 + size], "big"), int.from_bytes(public[1 + size :], "big")
                RSAPublicNumbers(e, n).public_key().verify(signature, octets, PKCS1v15(), hashes.SHA256())
            case Algorithm.ECDSAP256SHA256:
                point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + public)
                point.verify(_der(signature), octets, ECDSA(hashes.SHA256()))
            case Algorithm.ECDSAP384SHA384:
                point = EllipticCurvePublicKey.from_encoded_point(SECP384R1(), b"\x04" + public)
                point.verify(_der(signature), octets, ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _der(signature: bytes) -> bytes:
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
