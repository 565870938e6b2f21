"""Enrolment by a maker's voucher that comes with the wish (RFC 8366; RFC 8572 §4.2 brings one as a file).

The box proves that it is the one that the voucher is for: its own key signs our nonce and the key that enrols. Law: no
state of a box is looked at before that, and the maker's word gives no more than its bond says.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from psycopg import AsyncConnection

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import boxes, registrar, vendors
from ddns.homes.boxes import IDEVID, SERIAL
from ddns.homes.methods import DeviceIdentity, Proved, Spend, Wish, seed_of
from ddns.homes.vendors import Known
from ddns.proof import b64, cms, jwk, jws, nonce, strict_json, voucher
from ddns.proof.bad import BadProof, refusal_of
from ddns.proof.jws import Signed
from ddns.store import bonds

NAME = "voucher"


class VoucherMethod:
    """The method `voucher`; *secret* is the registry's, *name* that of its server."""

    name = NAME

    def __init__(self, secret: bytes, name: str) -> None:
        self._secret = secret
        self._registrar = registrar.of(secret, name)

    def cheap(self, wish: Wish, now: int, /) -> Refusal | None:
        """Refuse a wish without a voucher, or without a box that signs a good nonce and the key that enrols."""
        if not wish.said.voucher or not wish.said.proof:
            return Refusal(
                "voucher-missing", Rcode.REFUSED,
                "Put the maker's voucher into the field voucher, and what the box's own key signed into proof.",
                Ede.PROHIBITED,
            )  # fmt: skip
        try:
            self._proof(wish, now)
        except BadProof as error:
            return refusal_of(error)
        return None

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int) -> Proved | Refusal:
        """Return the box, at the tier of its maker's bond. *conn* has entered the tenant."""
        try:
            proof, octets = self._proof(wish, now)
            certificates = [cms.certificate(one) for one in proof.signatures[0].x5c]
            found = await bonds.counting(conn)
            known = vendors.judge(certificates[0], certificates[1:], found, now)
            given = b64.decode(wish.said.voucher)
            vendors.check_voucher(given, voucher.media_of(given), known, None, self._registrar.keys, now)
        except BadProof as error:
            return refusal_of(error)
        proved = of_box(self._secret, known, given, Spend(nonce=octets))
        return msgspec.structs.replace(proved, seed=seed_of(self._secret, wish.gateway))

    def _proof(self, wish: Wish, now: int) -> tuple[Signed, bytes]:
        """Return what the box signed, and the octets of our nonce in it. Raises `BadProof`."""
        proof = jws.read(b64.decode(wish.said.proof))
        if len(proof.signatures) != 1 or not proof.signatures[0].x5c:
            raise _not_its("it has to be signed once, with the box's certificate in x5c")
        key = cms.certificate(proof.signatures[0].x5c[0]).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not jws.verify(proof, 0, jwk.of(key)):
            raise _not_its("the key of the box's certificate did not sign it")
        members = strict_json.members(proof.payload)
        said = members.get("nonce")
        octets = nonce.good(self._secret, said, now) if isinstance(said, str) else None
        if octets is None:
            raise _not_its("it holds no nonce of ours, or one that is over")
        if members.get("key") != jwk.kid(wish.gateway):
            raise _not_its("it is not about the key that enrols")
        return proof, octets


def of_box(secret: bytes, known: Known, evidence: bytes, spend: Spend) -> Proved:
    """Return what is proved by a box whose maker's word is good: *evidence* is what is remembered of it.

    *secret* is the registry's, under which it knows serial numbers.
    """
    certificate = known.idevid.certificate.public_bytes(Encoding.DER)
    digest = hashlib.sha256(certificate).digest()
    device = DeviceIdentity(
        IDEVID, digest, known.idevid.model, serial=boxes.digest(secret, SERIAL, known.idevid.serial.encode()),
        vendor=known.bond.vendor,
    )  # fmt: skip
    return Proved(
        NAME, known.bond.assurance, device=device, spend=spend, evidence=evidence, bond=known.bond.id
    )  # fmt: skip


def _not_its(why: str) -> BadProof:
    return BadProof("box-proof-wrong", f"The box has not shown that it is the one: {why}.")
