"""A voucher by which a box's maker names its owner, kept from a phone's question until there is a home."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ddns.gateway import under_way
from ddns.proof import b64, jwk, selfdevid

FILE = "vouching.json"


class Vouched(msgspec.Struct, frozen=True):
    """A voucher that was asked for by a phone, with the nonce *asked* and its *certificate*.

    The box's *request* has a *nonce* of its own; *voucher* is empty until the phone has brought it.
    """

    asked: str
    certificate: bytes
    nonce: bytes
    request: bytes
    voucher: bytes = b""


def of(folder: Path, owner: str, asked: str) -> tuple[str, str]:
    """Return request and voucher by which the maker names the *owner* (a JWK in base64url), in base64url, or nothing.

    They count where the phone *asked* with the same nonce as now.     Raises `BadState`.
    """
    there = under_way.read(folder / FILE, Vouched)
    if there is None or not there.voucher or there.asked != asked:
        return "", ""
    if not selfdevid.is_of(there.certificate, jwk.from_json(b64.decode(owner))):
        return "", ""
    return b64.encode(there.request), b64.encode(there.voucher)


def forget(folder: Path) -> None:
    """Take away what was asked for. Raises `OSError`."""
    (folder / FILE).unlink(missing_ok=True)
