"""Nonces that cost no row until they are spent: 32 octets, of which the last 16 prove that we made the rest.

A nonce is the second at which it ends (4 octets), 12 octets of chance, and the first half of an HMAC-SHA-256 over both
under a key of the registry's. It is ASCII wherever it is carried, as RFC 9711 §4.1 wants of an `eat_nonce` in JSON, and
as long as that section allows.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from ddns.proof import b64
from ddns.proof.bad import BadProof

DICE = 12  # octets of chance
SIZE = 32  # octets in all; 43 characters
LAST = 2**32 - 1  # the last second that can be said, in 2106

_PURPOSE = b"nameplate nonce 1"
_ENDS = struct.Struct("!I")
_PROOF = 16  # octets
_TEXT = 43  # characters


def make(secret: bytes, ends: int, dice: bytes) -> str:
    """Return a nonce that is good up to the second *ends* (since 1970), made of *dice*, 12 octets of chance."""
    if len(dice) != DICE:
        raise ValueError(f"a nonce needs {DICE} octets of chance, not {len(dice)}")
    if not 0 <= ends <= LAST:
        raise ValueError("a nonce ends between 1970 and 2106")
    head = _ENDS.pack(ends) + dice
    return b64.encode(head + _proof(secret, head))


def good(secret: bytes, text: str, now: int) -> bytes | None:
    """Return the 32 octets of the nonce *text* if it was made under *secret* and is not over at *now*, else None.

    Whether it was spent is not known here: that is remembered by the SHA-256 of the octets, until `ends`.
    """
    if len(text) != _TEXT:
        return None
    try:
        octets = b64.decode(text)
    except BadProof:
        return None
    head = octets[:-_PROOF]
    if not hmac.compare_digest(octets[-_PROOF:], _proof(secret, head)) or ends(octets) < now:
        return None
    return octets


def ends(octets: bytes) -> int:
    """Return the last second (since 1970) at which the nonce of *octets* is good."""
    return int(_ENDS.unpack_from(octets)[0])


def _proof(secret: bytes, head: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + head, hashlib.sha256)[:_PROOF]
