"""Compact denial and transfers, which exclude each other: a secondary could not say what does not exist.

The database refuses both at once (`0012_compact`); this says so before, and in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import transfers
from ddns.store.zones import Zone
from ddns.zone import compact

_CONSTRAINT = "compact_zone_with_transfers"
WHY = "what such a zone does not hold is signed when somebody asks for it, which no secondary can do"


async def check_denial(conn: Conn, zone: Zone, denial: str) -> None:
    """Refuse to have the locked *zone* deny compactly while it is transferred. Raises `CannotDo`."""
    if denial != compact.DENIAL or zone.denial == compact.DENIAL or not await transfers.is_ruled(conn, zone):
        return
    raise CannotDo(
        f"{names.to_text(zone.origin)} has transfer rules and cannot have compact denial: {WHY}; take them back first "
        "(`ddns transfer list`), or choose nsec3."
    )


async def check_transfers(conn: Conn, zone: Zone, *, homes: bool) -> None:
    """Refuse a transfer rule on *zone*, or with *homes* on its homes, that deny compactly. Raises `CannotDo`."""
    if await transfers.is_compact(conn, zone.id, homes=homes):
        raise cannot_be_transferred(zone.origin, homes=homes)


def cannot_be_transferred(origin: Name, *, homes: bool) -> CannotDo:
    """Return what to tell who wants a zone with compact denial transferred."""
    whose = f"homes of {names.to_text(origin)} have" if homes else f"{names.to_text(origin)} has"
    return CannotDo(f"{whose} compact denial and cannot be transferred: {WHY}; sign with --denial nsec3 first.")


@contextmanager
def told() -> Iterator[None]:
    """Say in words what the database refuses where somebody else was quicker. Raises `CannotDo`."""
    try:
        yield
    except errors.CheckViolation as error:
        if error.diag.constraint_name != _CONSTRAINT:
            raise
        raise CannotDo(f"A zone has either compact denial or transfer rules: {WHY}; choose one of them.") from None
