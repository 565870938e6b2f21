"""Bring bonds and verifiers to what a registry file says: made, changed or withdrawn; others stay as they are.

A vendor's bond is changed in its place, so that what was enrolled by it stays with it. A verifier is withdrawn and
added anew: which rules judged what was said before stays readable.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ddns.operator import tenants, vendors, verifiers
from ddns.operator.apply_people import REGISTRY
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.files import small_octets
from ddns.store import bonds, home_events
from ddns.store import verifiers as stored_verifiers
from ddns.store.bonds import Bond
from ddns.store.home_events import Event
from ddns.store.tenancy import entered
from ddns.store.verifiers import Verifier

_DAY = 86_400
_AGAIN = "changed by ddns apply"


class _BondTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vendor: str
    anchors: str = ""
    tenant: str = REGISTRY
    masa_keys: str = ""
    masa_url: str = ""
    masa_anchors: str = ""
    models: tuple[str, ...] = ()
    assurance: str = vendors.BY_VOUCHER
    until: dt.date | None = None
    withdrawn: str = ""


class _VerifierTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rules: str = ""
    tenant: str = REGISTRY
    keys: str = ""
    anchors: str = ""
    days: int = verifiers.DAYS
    withdrawn: str = ""


class WantedBond(msgspec.Struct, frozen=True):
    """A bond as its table has it, for nobody yet; *withdrawn* is the reason why it shall hold no more, if it shall not.

    It is known by its tenant and its vendor.
    """

    tenant: str
    bond: Bond
    withdrawn: str = ""


class WantedVerifier(msgspec.Struct, frozen=True):
    """A verifier as its table has it, for nobody yet, or the reason why it is *withdrawn*."""

    tenant: str
    verifier: Verifier
    withdrawn: str = ""


def read_bond(folder: Path, table: Mapping[str, Any]) -> WantedBond:
    """Return what a `[[bond]]` table says; its files are looked for in *folder*. Raises `CannotDo`."""
    with _typed():
        given = msgspec.convert(table, _BondTable)
    if given.assurance not in vendors.GIVEN:
        raise CannotDo(f"assurance: a vendor's word gives {' or '.join(vendors.GIVEN)}; write one of these.")
    until = None
    if given.until is not None:
        until = int(dt.datetime.combine(given.until, dt.time(), dt.UTC).timestamp())
    anchors, keys, servers = (
        vendors.read_certificates(small_octets(folder / name), what) if name else ()
        for name, what in (
            (given.anchors, vendors.ISSUERS), (given.masa_keys, vendors.SIGNERS), (given.masa_anchors, vendors.SERVERS),
        )
    )  # fmt: skip
    bond = Bond(0, None, given.vendor, given.models, anchors, keys, given.masa_url, servers, given.assurance, 0, until)
    if given.withdrawn:
        vendors.read_reason(given.withdrawn)
    else:
        bond = msgspec.structs.replace(vendors.checked(msgspec.structs.replace(bond, until=None), 0), until=until)
    return WantedBond(tenants.read_tenant_name(given.tenant), bond, given.withdrawn)


def read_verifier(folder: Path, table: Mapping[str, Any]) -> WantedVerifier:
    """Return what a `[[verifier]]` table says; its files are looked for in *folder*. Raises `CannotDo`."""
    with _typed():
        given = msgspec.convert(table, _VerifierTable)
    tenant = tenants.read_tenant_name(given.tenant)
    if given.withdrawn:
        vendors.read_reason(given.withdrawn)
        return WantedVerifier(tenant, Verifier(0, None, given.name, (), (), b"", 0), given.withdrawn)
    if not given.rules:
        raise CannotDo('A verifier has rules; write rules = "rules.json".')
    keys, anchors = (small_octets(folder / name) if name else b"" for name in (given.keys, given.anchors))
    rules = small_octets(folder / given.rules)
    fresh = verifiers.fresh(None, given.name, rules, keys=keys, anchors=anchors, seconds=given.days * _DAY)
    return WantedVerifier(tenant, fresh)


async def put_bond(conn: Conn, wanted: WantedBond, who: str, now: int) -> str:
    """Bring a bond to what is *wanted*; return `add`, `change`, `remove` or nothing. Raises `CannotDo`."""
    whose = (await tenants.the_tenant(conn, wanted.tenant)).id
    await entered(conn, whose)
    scope, one = vendors.scope(whose), wanted.bond
    held = [
        there for there in await bonds.listing(conn, whose)
        if there.tenant == scope and there.vendor == one.vendor and there.withdrawn_at is None
        and there.vendor_key is None  # what a vendor has signed for is changed by its own statements
    ]  # fmt: skip
    if wanted.withdrawn:
        for there in held:
            await vendors.withdraw(conn, scope, there.id, wanted.withdrawn, who, now)
        return "remove" if held else ""
    if any(_says(there) == _says(one) for there in held):
        return ""
    fresh = vendors.checked(msgspec.structs.replace(one, tenant=scope, since=now), now)
    if not held:
        await vendors.keep(conn, fresh, who, now)
        return "add"
    if len(held) > 1:
        raise CannotDo(f"There are {len(held)} bonds with {one.vendor}; withdraw all but one: ddns vendor withdraw.")
    await bonds.change(conn, msgspec.structs.replace(fresh, id=held[0].id))
    event = Event(
        at=now, event="bond-changed", who=who, before="bonded", after="bonded", why=f"bond {held[0].id}: {_AGAIN}"
    )
    await home_events.append(conn, [event])
    return "change"


async def put_verifier(conn: Conn, wanted: WantedVerifier, who: str, now: int) -> str:
    """Bring a verifier to what is *wanted*; return `add`, `change`, `remove` or nothing. Raises `CannotDo`."""
    whose = (await tenants.the_tenant(conn, wanted.tenant)).id
    await entered(conn, whose)
    scope, one = vendors.scope(whose), wanted.verifier
    held = next(
        (
            there for there in await stored_verifiers.listing(conn, whose)
            if there.tenant == scope and there.name == one.name and there.withdrawn_at is None
        ),
        None,
    )  # fmt: skip
    if wanted.withdrawn:
        if held is not None:
            await verifiers.withdraw(conn, scope, one.name, wanted.withdrawn, who, now)
        return "" if held is None else "remove"
    if held is not None and msgspec.structs.replace(held, id=0, tenant=None) == one:
        return ""
    if held is not None:
        await verifiers.withdraw(conn, scope, one.name, _AGAIN, who, now)
    await verifiers.keep(conn, msgspec.structs.replace(one, tenant=scope), who, now)
    return "add" if held is None else "change"


def _says(one: Bond) -> tuple[object, ...]:
    """Return what a table says of a bond; what the file lists in another order is the same."""
    listed = (one.models, one.anchors, one.masa_keys, one.masa_anchors)
    return (*map(frozenset, listed), one.masa_url, one.assurance, one.until)


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        raise CannotDo(f"{error}; docs/reference/commands.md has an example.") from None
