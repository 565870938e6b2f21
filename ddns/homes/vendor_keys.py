"""Whether a key that signed is a vendor's: its CA's, its vouchers', or that of its bond. Such a key says nothing here.

Law: this is asked about keys that have no part in a home, so that a vendor is told that he has no say; nothing that an
owner may do depends on the answer.
"""

from __future__ import annotations

import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from psycopg import AsyncConnection

from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.store import bonds


async def speaks(conn: AsyncConnection[Any], keys: tuple[PublicJwk, ...]) -> bool:
    """Say whether one of *keys* is that of a bond of the transaction's tenant, also of one that holds no more."""
    wanted, spelled = set(keys), {jwk.to_json(key) for key in keys}
    return any(
        bond.vendor_key in spelled or any(_key(octets) in wanted for octets in (*bond.anchors, *bond.masa_keys))
        for bond in await bonds.counting(conn)
    )


@functools.lru_cache(maxsize=1024)
def _key(certificate: bytes) -> PublicJwk | None:
    """Return the key of a certificate in DER; None for one that signs no statements, such as RSA."""
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
        return jwk.of(public) if isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) else None
    except (ValueError, BadProof):
        return None
