"""Enrolment by evidence of hardware: an attestation token over our nonce that speaks for the key that enrols.

It is a method of its own, and it may stand beside another: then the home gets what both show, at the higher tier.
Law: a token is read and compared with the wish before anything is looked up; who verifies it, by which rules, is data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import ASSURANCES
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import appraising, boxes
from ddns.homes.methods import DeviceIdentity, Method, Proved, Spend, Wish, seed_of
from ddns.proof import b64, csr, eat, nonce
from ddns.proof.bad import BadProof, refusal_of
from ddns.proof.eat import Evidence
from ddns.proof.jwk import PublicJwk
from ddns.store import verifiers

NAME = "attested"
PKCS10 = "application/pkcs10"
UEID = "ueid"


class AttestedMethod:
    """The method `attested`; *secret* is the registry's, by which its nonces are known."""

    name = NAME

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def cheap(self, wish: Wish, now: int, /) -> Refusal | None:
        """Refuse a wish without evidence, or with evidence that cannot be for it."""
        if wish.said.evidence is None:
            return Refusal(
                "evidence-missing", Rcode.REFUSED, "Put the evidence of the box's hardware into the field evidence.",
                Ede.PROHIBITED,
            )  # fmt: skip
        try:
            for token in _tokens(wish):
                check(self._secret, token, wish.gateway, now)
        except BadProof as error:
            return refusal_of(error)
        return None

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int) -> Proved | Refusal:
        """Return the tier that a verifier gives, and the box where the token names it."""
        try:
            proved = await judge(conn, self._secret, _tokens(wish), wish.gateway, now)
        except BadProof as error:
            return refusal_of(error)
        return msgspec.structs.replace(proved, seed=seed_of(self._secret, wish.gateway))


class Beside:
    """Another method, and evidence where the wish has some: what both prove, and the nonce is spent with it."""

    def __init__(self, method: Method, secret: bytes) -> None:
        self._method = method
        self._attested = AttestedMethod(secret)

    @property
    def name(self) -> str:
        """Return the name of the other method."""
        return self._method.name

    def cheap(self, wish: Wish, now: int, /) -> Refusal | None:
        """Refuse what either refuses."""
        refusal = self._method.cheap(wish, now)
        if refusal is None and wish.said.evidence is not None:
            refusal = self._attested.cheap(wish, now)
        return refusal

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int) -> Proved | Refusal:
        """Return what both prove."""
        proved = await self._method.prove(conn, wish, now)
        if isinstance(proved, Refusal) or wish.said.evidence is None:
            return proved
        more = await self._attested.prove(conn, wish, now)
        return more if isinstance(more, Refusal) else joined(proved, more)


def joined(proved: Proved, more: Proved) -> Proved:
    """Return *proved* with what evidence shows besides: the higher tier, and by whose word."""
    spend = msgspec.structs.replace(proved.spend, nonce=more.spend.nonce)
    device = proved.device or more.device
    if ASSURANCES.index(more.assurance) <= ASSURANCES.index(proved.assurance):
        return msgspec.structs.replace(proved, spend=spend, device=device)
    return msgspec.structs.replace(
        proved, assurance=more.assurance, evidence=more.evidence, until=more.until, verifier=more.verifier,
        spend=spend, device=device,
    )  # fmt: skip


def check(secret: bytes, token: Evidence, key: PublicJwk, now: int) -> bytes:
    """Return the octets of our nonce in *token*, which has to speak for *key* and hold at *now*. Raises `BadProof`."""
    mine = [octets for one in token.nonces if (octets := nonce.good(secret, one, now)) is not None]
    if not mine:
        raise BadProof("evidence-nonce-wrong", "The evidence does not answer a nonce of this registry; ask for one.")
    if token.key != key:
        raise BadProof("evidence-key-wrong", "The evidence speaks for another key than the one that is enrolled.")
    eat.check_times(token, now)
    return mine[0]


async def judge(
    conn: AsyncConnection[Any], secret: bytes, tokens: Sequence[Evidence], key: PublicJwk, now: int
) -> Proved:
    """Return what *tokens* show of *key*: each has to be good, and the one that gives most counts.

    *conn* has entered the tenant. Raises `BadProof`.
    """
    if not tokens:
        raise BadProof("evidence-missing", "The certification request holds no attestation; put one in.")
    known = await verifiers.counting(conn)
    best: Proved | None = None
    for token in tokens:
        octets = check(secret, token, key, now)
        found = appraising.appraise(token, known, now)
        one = Proved(
            NAME, found.assurance, device=_box(secret, token), spend=Spend(nonce=octets),
            evidence=hashlib.sha256(token.payload).digest(), until=found.until, verifier=found.verifier.id,
        )  # fmt: skip
        if best is None or ASSURANCES.index(one.assurance) > ASSURANCES.index(best.assurance):
            best = one
    assert best is not None
    return best


def _tokens(wish: Wish) -> tuple[Evidence, ...]:
    """Return the tokens in the wish. Raises `BadProof`."""
    held = wish.said.evidence
    octets = b64.decode(held.value)
    if held.type != PKCS10:
        return (eat.read(octets, held.type),)
    request = csr.read(octets)
    if request.key != wish.gateway:
        raise BadProof("evidence-key-wrong", "The certification request is for another key than the one that enrols.")
    return request.evidence


def _box(secret: bytes, token: Evidence) -> DeviceIdentity | None:
    """Return the box that the token names by its UEID (RFC 9711 §4.2.1), if it does."""
    ueid = token.claims.get("ueid")
    if not isinstance(ueid, str) or not ueid:
        return None
    return DeviceIdentity(UEID, boxes.digest(secret, UEID, ueid.encode()))
