"""A recovery key for paper: 32 letters and digits that somebody writes down, and from which the key is made anew.

16 octets of chance and 4 by which a slip of the pen is seen, in Crockford's base 32, which has no I, L, O or U. The key
follows from the chance by HKDF (RFC 5869) and FIPS 186-5 A.2.1. The page /phone makes the same of it.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHANCE = 16  # octets
_CHECK = 4  # octets
_CHARACTERS = (CHANCE + _CHECK) * 8 // 5
_GROUP = 4  # characters
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("OIL", "011", " -\t\r\n")
_PURPOSE = b"nameplate recovery 1"
_WIDE = 48  # octets that are made a number below the order, so that each is as likely as any other
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SP 800-186 §3.2.1.3)


class BadCode(ValueError):
    """A text that is no recovery code; the message says what is wrong with it."""


def write(chance: bytes) -> str:
    """Return the code of 16 octets of *chance*, in groups of four."""
    all_ = int.from_bytes(chance + _check(chance), "big")
    text = "".join(_LETTERS[all_ >> 5 * place & 31] for place in reversed(range(_CHARACTERS)))
    return "-".join(text[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))


def read(text: str) -> bytes:
    """Return the chance of a code as somebody has typed it. Raises `BadCode`."""
    plain = text.upper().translate(_ALIKE)
    if len(plain) != _CHARACTERS or any(one not in _LETTERS for one in plain):
        raise BadCode("a recovery code has 32 letters and digits, in eight groups of four")
    all_ = 0
    for one in plain:
        all_ = all_ << 5 | _LETTERS.index(one)
    octets = all_.to_bytes(CHANCE + _CHECK, "big")
    if _check(octets[:CHANCE]) != octets[CHANCE:]:
        raise BadCode("there is a slip in this recovery code; compare it with the paper, letter by letter")
    return octets[:CHANCE]


def key_of(chance: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key that follows from 16 octets of *chance*."""
    wide = HKDF(algorithm=hashes.SHA256(), length=_WIDE, salt=b"", info=_PURPOSE).derive(chance)
    return ec.derive_private_key(int.from_bytes(wide, "big") % (_ORDER - 1) + 1, ec.SECP256R1())


def _check(chance: bytes) -> bytes:
    return hashlib.sha256(_PURPOSE + chance).digest()[:_CHECK]
