"""Boxes: by what they are known, and the rows of those that have proved themselves.

A certificate is known by its SHA-256, which nobody guesses, for a signature is in it. What could be enumerated (a QR
code's key, a serial number, a UEID) is known by an HMAC under a key of the registry's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from ddns.homes.methods import DeviceIdentity
from ddns.proof import jwk
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signature
from ddns.store import devices

IDEVID = "idevid"
QR = "qr"
SERIAL = "serial"

_PURPOSE = b"nameplate box 1"


def digest(secret: bytes, kind: str, octets: bytes) -> bytes:
    """Return by what a box is known that shows *octets* as its identity of *kind*; *secret* is the registry's."""
    if kind == IDEVID:
        return hashlib.sha256(octets).digest()
    return hmac.digest(secret, b"\0".join((_PURPOSE, kind.encode("ascii"), octets)), "sha256")


def shown_by(secret: bytes, signature: Signature, key: PublicJwk) -> DeviceIdentity:
    """Return the identity of the box that made *signature* with *key*: by its certificate, or by its QR code's key."""
    if signature.x5c:
        return DeviceIdentity(IDEVID, digest(secret, IDEVID, signature.x5c[0]))
    return DeviceIdentity(QR, digest(secret, QR, jwk.to_json(key)))


async def known(conn: AsyncConnection[Any], identity: DeviceIdentity) -> UUID | None:
    """Return the box with this *identity*, if one was enrolled."""
    return await devices.find(conn, identity.kind, identity.digest)


async def known_or_new(
    conn: AsyncConnection[Any], identity: DeviceIdentity, now: int, new_id: Callable[[], UUID], bond: int | None = None
) -> UUID:
    """Return the box with this *identity*, and make its row where it is seen for the first time."""
    found = await known(conn, identity)
    if identity.certificate is not None and (other := await devices.find(conn, IDEVID, identity.certificate)):
        if found is not None:
            return await _taken(conn, other, found)
        await devices.identify(conn, other, identity.kind, identity.digest)
        return other
    if found is None:
        found = await devices.make(conn, new_id(), identity.kind, identity.digest, identity.model, now, bond)
    if identity.certificate is not None:
        await devices.identify(conn, found, IDEVID, identity.certificate)
    return found


async def _taken(conn: AsyncConnection[Any], one: UUID, other: UUID) -> UUID:
    """Return which of two rows of one box, that was met twice in different ways, is somebody's; else the first."""
    states = {box: await devices.lock(conn, box) for box in sorted({one, other})}
    there = states[other]
    mine = states[one]
    return other if there is not None and mine is not None and mine.state == devices.FREE != there.state else one
