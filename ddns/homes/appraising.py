"""What evidence of hardware is worth: the first verifier whose key signed it decides, by its own rules.

Law: a refusal says what is missed, and never what would have been right. No vendor and no verifier has a name in code.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.proof import appraisal, chain, cms, jwk
from ddns.proof.bad import BadProof
from ddns.proof.eat import Evidence
from ddns.proof.key_signature import CLAIM, KeySignature
from ddns.store.verifiers import Verifier


class Appraised(msgspec.Struct, frozen=True):
    """What a verifier says: the *assurance*, and until when, in seconds since 1970."""

    assurance: str
    verifier: Verifier
    until: int


def appraise(evidence: Evidence, verifiers: Sequence[Verifier], now: int) -> Appraised:
    """Return what *evidence* is worth at *now*, by the first of *verifiers* that signed it.

    Raises `BadProof`: `verifier-unknown`, `evidence-not-enough`. Whether it is fresh and for the right key, others see.
    """
    found = signer(evidence, verifiers, now)
    if found is None:
        raise BadProof("verifier-unknown", "Nobody whose word counts here signed the evidence; ask the registry.")
    rules = appraisal.read(found.rules)
    if isinstance(evidence.structure, KeySignature) and not appraisal.asks_for(rules, CLAIM):
        raise BadProof("evidence-not-enough", f"The evidence does not say enough about the box: look at {CLAIM}.")
    result = appraisal.appraise(evidence.claims, rules)
    if not result.assurance:
        missed = ", ".join(result.missed)[:120]
        raise BadProof("evidence-not-enough", f"The evidence does not say enough about the box: look at {missed}.")
    return Appraised(result.assurance, found, now + found.valid)


def signer(evidence: Evidence, verifiers: Sequence[Verifier], now: int) -> Verifier | None:
    """Return the first of *verifiers* whose key signed, or whose anchors the signer's certificate leads to."""
    live = [one for one in verifiers if one.withdrawn_at is None]
    for one in live:
        if any(evidence.verify(jwk.from_json(key, jwk.EVERY)) for key in one.keys):
            return one
    if not evidence.certificates:
        return None
    leaf, *between = (cms.certificate(octets) for octets in evidence.certificates)
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return None
    try:
        if not evidence.verify(jwk.of(public)):
            return None
    except BadProof:
        return None  # a curve that nobody signs with here
    for one in live:
        try:
            chain.path(leaf, between, [x509.load_der_x509_certificate(octets) for octets in one.anchors], now)
        except chain.NoPath:
            continue
        return one
    return None
