"""Base64url without padding (RFC 7515 §2), in its one canonical form.

Text whose last character has bits that belong to no octet says the same octets as another text does; taken, it
would give one signed thing two spellings.
"""

from __future__ import annotations

import base64
import binascii
import re

from ddns.proof.bad import BadProof

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def encode(octets: bytes) -> str:
    """Return *octets* as base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def plain(octets: bytes) -> str:
    """Return *octets* as the base64 of key files and certificates, with padding (RFC 4648 §4)."""
    return base64.b64encode(octets).decode("ascii")


def decode(text: str) -> bytes:
    """Return the octets of *text*. Raises `BadProof` for padding, other characters and bits that are left over."""
    if _ALPHABET.fullmatch(text) is None:
        raise BadProof("statement-malformed", "A value is not base64url without padding; mend the program.")
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise BadProof("statement-malformed", "A base64url value is cut short; mend the program.") from None
    if encode(octets) != text:
        raise BadProof("statement-malformed", "A base64url value ends with bits that mean nothing; mend the program.")
    return octets
