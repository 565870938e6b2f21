"""Whether a tenant expects a box that has proved itself, and what it has said of that box before.

Law: this is asked about boxes that were judged already, by a maker's bond or by evidence; who has proved nothing is
told nothing. Being expected gives no right: it may only be missing.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import boxes
from ddns.homes.boxes import SERIAL
from ddns.homes.methods import DeviceIdentity, Proved
from ddns.homes.methods.attested import UEID
from ddns.homes.vendors import Known
from ddns.store import expected, home_policies, tenants
from ddns.store.expected import Expected
from ddns.store.home_policies import HomePolicy

METHODS = ("voucher", "attested")  # those by which a box comes by itself; an invitation expects somebody anyhow


def digest(secret: bytes, kind: str, text: str) -> bytes:
    """Return by what a serial number or UEID is known here; *secret* is the registry's."""
    return boxes.digest(secret, kind, text.encode())


async def about(conn: AsyncConnection[Any], tenant: int, device: DeviceIdentity | None) -> Expected | None:
    """Return what *tenant* has said of the box that has proved to be *device*; None: it expects no such box."""
    if device is None:
        return None
    known = device.serial if device.kind == boxes.IDEVID else device.digest if device.kind == UEID else None
    return None if known is None else await expected.find(conn, tenant, known, device.vendor)


def refuse(policy: HomePolicy, proved: Proved, found: Expected | None) -> Refusal | None:
    """Refuse a box that came by itself and is not expected, where *policy* takes no others (RFC 8995 §5.3)."""
    if policy.expected_only and found is None and proved.method in METHODS:
        return _unexpected()
    return None


async def refuse_vouched(conn: AsyncConnection[Any], tenant: int, secret: bytes, known: Known) -> Refusal | None:
    """Refuse a box before its maker is asked for a voucher, where it would not be taken with it either."""
    for zone, _origin in await tenants.zones(conn, tenant):
        policy = await home_policies.of(conn, tenant, zone)
        if METHODS[0] in policy.methods:
            if not policy.expected_only:
                return None
            serial = digest(secret, SERIAL, known.idevid.serial)
            found = await expected.find(conn, tenant, serial, known.bond.vendor)
            return None if found is not None else _unexpected()
    return None


def _unexpected() -> Refusal:
    return Refusal(
        "box-not-expected", Rcode.REFUSED,
        "This registry takes boxes that it was told of alone, and not this one; ask whoever runs it.", Ede.PROHIBITED,
    )  # fmt: skip
