"""A path from a certificate to one of some anchors (RFC 5280 §6, IEEE 802.1AR-2018 §8).

The certificates of devices are not those of web servers: they end in the year 9999, and many have no alternative
name, no key identifier and no word of what they are for. So nothing is asked of the leaf but a sound path at *now*.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509 import verification

MOST_BETWEEN = 4  # ours: with leaf and anchor six certificates

_LEAF = verification.ExtensionPolicy.permit_all()
_ISSUER = verification.ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
)


class NoPath(ValueError):
    """A certificate that leads to none of the anchors."""


def path(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: int
) -> tuple[x509.Certificate, ...]:
    """Return the certificates from *leaf* to one of *anchors* as they hold at *now*, in seconds since 1970.

    A leaf that is itself among the anchors is its own path: some makers' signing certificates sign themselves.
    Raises `NoPath`.
    """
    when = datetime.fromtimestamp(now, UTC)
    if leaf in anchors and leaf.not_valid_before_utc <= when <= leaf.not_valid_after_utc:
        return (leaf,)
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(anchors)))
            .time(when)
            .max_chain_depth(MOST_BETWEEN)
            .extension_policies(ca_policy=_ISSUER, ee_policy=_LEAF)
            .build_client_verifier()
        )
        return tuple(verifier.verify(leaf, list(between)).chain)
    except (verification.VerificationError, ValueError, x509.UnsupportedGeneralNameType) as error:
        raise NoPath(str(error)) from None
