"""What evidence of hardware is worth: the first verifier whose key signed it decides, by its own rules.

Law: freshness (our nonce), the key that it speaks for, its times, its signer and its claims are looked at in this
order, and each has a refusal of its own; none of them says what would have been right.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.proof import appraisal, chain, cms, eat, jwk
from ddns.proof.bad import BadProof
from ddns.proof.eat import Evidence
from ddns.proof.jwk import PublicJwk
from ddns.store.verifiers import Verifier


class Appraised(msgspec.Struct, frozen=True):
    """What a verifier says: the *assurance*, and until when, in seconds since 1970."""

    assurance: str
    verifier: Verifier
    until: int


def appraise(
    evidence: Evidence, key: PublicJwk, nonces: Sequence[str], verifiers: Sequence[Verifier], now: int
) -> Appraised:
    """Return what *evidence* shows of *key* at *now*; it has to hold one of *nonces*, which are ours and good.

    Raises `BadProof`: `evidence-nonce-wrong`, `evidence-key-wrong`, `evidence-expired`, `evidence-not-yet`,
    `verifier-unknown`, `evidence-not-enough`.
    """
    if not set(nonces) & set(evidence.nonces):
        raise BadProof("evidence-nonce-wrong", "The evidence does not answer a nonce of this registry; ask for one.")
    if evidence.key != key:
        raise BadProof("evidence-key-wrong", "The evidence speaks for another key than the one that is enrolled.")
    eat.check_times(evidence, now)
    found = signer(evidence, verifiers, now)
    if found is None:
        raise BadProof("verifier-unknown", "Nobody whose word counts here signed the evidence; ask the registry.")
    result = appraisal.appraise(evidence.claims, appraisal.read(found.rules))
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
