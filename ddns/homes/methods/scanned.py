"""Enrolment by the code that is printed on a box: its key signs our nonce, the key that enrols and the owner's.

Whoever reads the code alone has no rights: he would have to have the private half, which is in the box. Law: the key on
a box proves that somebody stands before it, and nothing about who made it; its maker's certificate is another key.
Where the maker signs a voucher for the owner, it says more: `ddns.homes.methods.scanned_voucher`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import ASSURANCES
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import boxes
from ddns.homes.boxes import QR
from ddns.homes.methods import Proved, Spend, Wish, scanned_voucher, seed_of
from ddns.proof import b64, jwk, jws, nonce, strict_json
from ddns.proof.bad import BadProof, refusal_of
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed

NAME = "qr"


class ScannedMethod:
    """The method `qr`; *secret* is the registry's, by which its nonces are known."""

    name = NAME

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def cheap(self, wish: Wish, now: int, /) -> Refusal | None:
        """Refuse a wish that the key on the box has not signed with a good nonce of ours."""
        if not wish.said.proof:
            return Refusal(
                "qr-proof-missing",
                Rcode.REFUSED,
                "Put into the field proof what the key that is printed on the box has signed.",
                Ede.PROHIBITED,
            )
        try:
            proof, octets = self._proof(wish, now)
            if scanned_voucher.is_there(wish):
                scanned_voucher.request_of(wish, _printed(proof), b64.encode(octets))
        except BadProof as error:
            return refusal_of(error)
        return None

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int, /) -> Proved | Refusal:
        """Return the box, which its key tells from all others, at the tier `qr`, or at its maker's bond's if higher."""
        try:
            proof, octets = self._proof(wish, now)
        except BadProof as error:
            return refusal_of(error)
        key = _printed(proof)
        device = boxes.shown_by(self._secret, proof.signatures[0], key)
        proved = Proved(
            NAME, QR, device=device, spend=Spend(nonce=octets), evidence=b64.decode(wish.said.proof),
            seed=seed_of(self._secret, wish.gateway),
        )  # fmt: skip
        if not scanned_voucher.is_there(wish):
            return proved
        try:
            asked = scanned_voucher.request_of(wish, key, b64.encode(octets))
            known = await scanned_voucher.judge(conn, wish, *asked, now)
        except BadProof as error:
            return refusal_of(error)
        return msgspec.structs.replace(
            proved, assurance=max(QR, known.bond.assurance, key=ASSURANCES.index), bond=known.bond.id,
            evidence=b64.decode(wish.said.voucher),
            device=msgspec.structs.replace(
                device, model=known.idevid.model, certificate=scanned_voucher.certificate_of(known)
            ),
        )  # fmt: skip

    def _proof(self, wish: Wish, now: int) -> tuple[Signed, bytes]:
        """Return what the key on the box signed, and the octets of our nonce in it. Raises `BadProof`."""
        proof = jws.read(b64.decode(wish.said.proof))
        key = proof.signatures[0].key
        if len(proof.signatures) != 1 or key is None or proof.signatures[0].x5c or not jws.verify(proof, 0, key):
            raise _wrong("it has to be signed once, by the key that it shows in jwk")
        if key == wish.gateway or jwk.kid(key) == wish.owned_by:
            raise _wrong("the key on the box has to be another than those that enrol and own the home")
        members = strict_json.members(proof.payload)
        said = members.get("nonce")
        octets = nonce.good(self._secret, said, now) if isinstance(said, str) else None
        if octets is None:
            raise _wrong("it holds no nonce of ours, or one that is over")
        if (members.get("key"), members.get("owner", "")) != (jwk.kid(wish.gateway), wish.owned_by):
            raise _wrong("it is not about the keys that enrol and own this home")
        return proof, octets


def _printed(proof: Signed) -> PublicJwk:
    """Return the key on the box, by which *proof* was verified."""
    key = proof.signatures[0].key
    assert key is not None
    return key


def _wrong(why: str) -> BadProof:
    return BadProof("qr-proof-wrong", f"The box has not shown the key that is printed on it: {why}; scan it again.")
