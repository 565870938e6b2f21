"""Whether a key that signed is a vendor's: its CA's, its vouchers', or that of its bond. Such a key says nothing here.

Law: this is asked about keys that have no part in a home, so that a vendor is told that he has no say; nothing that an
owner may do depends on the answer. That he tried stands in the home's history, once for each vendor, home and day, so
that he cannot fill it.
"""

from __future__ import annotations

import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from psycopg import AsyncConnection

from ddns.dns.names import Name
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.store import bonds, home_events, home_people, told
from ddns.store.bonds import Bond
from ddns.store.home_events import Event

REFUSED = "vendor-refused"  # the event in a home's history
_DAY = 86_400  # seconds


async def speaks(conn: AsyncConnection[Any], keys: tuple[PublicJwk, ...]) -> bool:
    """Say whether one of *keys* is that of a bond of the transaction's tenant, also of one that holds no more."""
    return await _bond_of(conn, keys) is not None


async def note_refused(
    conn: AsyncConnection[Any], home: Name | None, act: str, keys: tuple[PublicJwk, ...], now: int
) -> None:
    """Write into the history of *home* that a vendor, by one of *keys*, wanted to do *act*; it was refused.

    *now* in seconds since 1970. Of what is about no home here there is nothing to write.
    """
    there = None if home is None else await home_people.called(conn, home)
    bond = None if there is None else await _bond_of(conn, keys)
    if there is None or bond is None:
        return
    if await told.once(conn, "vendor", f"{bond.vendor} {there.zone}", now, now + _DAY):
        event = Event(
            at=now, event=REFUSED, who=f"vendor:{bond.vendor}", before=there.state, after=there.state, zone=there.zone,
            name=there.name, owner=there.owner, why=act,
        )  # fmt: skip
        await home_events.append(conn, [event])


async def _bond_of(conn: AsyncConnection[Any], keys: tuple[PublicJwk, ...]) -> Bond | None:
    wanted, spelled = set(keys), {jwk.to_json(key) for key in keys}
    for bond in await bonds.counting(conn):
        if bond.vendor_key in spelled or any(_key(octets) in wanted for octets in (*bond.anchors, *bond.masa_keys)):
            return bond
    return None


@functools.lru_cache(maxsize=1024)
def _key(certificate: bytes) -> PublicJwk | None:
    """Return the key of a certificate in DER; None for one that signs no statements, such as RSA."""
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
        return jwk.of(public) if isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) else None
    except (ValueError, BadProof):
        return None
