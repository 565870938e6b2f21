"""Bring tenants and policies for homes to what a registry file says; what it does not speak of stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import home_policy, tenants, words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.home_policy import Kind
from ddns.store import tenants as stored
from ddns.store import zones
from ddns.store.home_policies import FIELDS
from ddns.store.tenancy import entered

REGISTRY = "registry"  # the tenant whose policies are meant where a table names none


class WantedTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant as its table has it; what is None stays as it is. *zones* are those where it may have homes."""

    name: str
    host: str | None = None
    homes: int | None = None
    invitations: int | None = None
    enrolments_a_day: int | None = None
    refusals_a_week: int | None = None
    complaints_a_week: int | None = None
    zones: tuple[str, ...] = ()


class WantedKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of device as a policy's table has it."""

    name: str
    labels: tuple[str, ...]
    least: str


class WantedPolicy(msgspec.Struct, frozen=True):
    """A policy as its table has it: *settings* are those that it speaks of, *kinds* None where it is silent of them."""

    tenant: str
    zone: Name
    settings: Mapping[str, object]
    kinds: tuple[Kind, ...] | None


def read_policy(table: dict[str, Any]) -> WantedPolicy:
    """Return what a `[[policy]]` table says. Raises `CannotDo`."""
    rest = dict(table)
    zone, tenant, kinds = rest.pop("zone", None), rest.pop("tenant", REGISTRY), rest.pop("kinds", None)
    if not isinstance(zone, str) or not isinstance(tenant, str):
        raise CannotDo('A policy needs the name of its zone: zone = "homes.example."')
    for key in rest:
        if key not in (*FIELDS, *home_policy.RULES):
            raise CannotDo(f"A policy for homes has no {key}; docs/reference/home-policy.md has them.")
    try:
        found = None if kinds is None else msgspec.convert(kinds, tuple[WantedKind, ...])
    except msgspec.ValidationError as error:
        raise CannotDo(f"kinds: {error}; write name, labels and least of each.") from None
    return WantedPolicy(
        tenants.read_tenant_name(tenant),
        words.read_name(zone, "zone"),
        rest,
        None if found is None else tuple(Kind(one.name, one.labels, one.least) for one in found),
    )


async def put_tenant(conn: Conn, wanted: WantedTenant) -> str:
    """Bring a tenant to what is *wanted*; return `add`, `change`, or nothing. Raises `CannotDo`."""
    before = await stored.named(conn, tenants.read_tenant_name(wanted.name))
    if before is None:
        before = await tenants.add(conn, wanted.name, wanted.host or "")
        verb = "add"
    else:
        verb = ""
    bounds = {
        word: most
        for word, most in (
            ("homes", wanted.homes), ("invitations", wanted.invitations), ("enrolments-a-day", wanted.enrolments_a_day),
            ("refusals-a-week", wanted.refusals_a_week), ("complaints-a-week", wanted.complaints_a_week),
        )
        if most is not None
    }  # fmt: skip
    after = await tenants.set_bounds(conn, wanted.name, bounds, wanted.host)
    moved = [await tenants.allow(conn, wanted.name, words.read_name(zone, "zone")) for zone in wanted.zones]
    return verb or ("change" if after != before or any(moved) else "")


async def put_policy(conn: Conn, wanted: WantedPolicy) -> bool:
    """Bring a policy to what is *wanted*; tell whether that changed anything. Raises `CannotDo`."""
    tenant = (await tenants.the_tenant(conn, wanted.tenant)).id
    async with conn.transaction():
        await entered(conn, tenant)
        moved = [await home_policy.change(conn, tenant, wanted.zone, wanted.settings)]
        if wanted.kinds is not None:
            named = {one.name for one in wanted.kinds}
            for one in (await home_policy.show(conn, tenant, wanted.zone)).kinds:
                if one.name not in named:
                    await home_policy.remove_kind(conn, tenant, wanted.zone, one.name)
                    moved.append(True)
            moved += [await home_policy.put_kind(conn, tenant, wanted.zone, kind) for kind in wanted.kinds]
    return any(moved)


async def missing(conn: Conn, wanted: WantedTenant | WantedPolicy) -> list[str]:
    """Return the zones that *wanted* speaks of and that are not there yet."""
    named = (
        [words.read_name(one, "zone") for one in wanted.zones] if isinstance(wanted, WantedTenant) else [wanted.zone]
    )
    return [names.to_text(zone) for zone in named if await zones.find(conn, zone) is None]
