"""Tenants: made, looked at, bounded, suspended, by tokens of the registry itself."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ddns.dns import names
from ddns.operator import tenants
from ddns.operator.fault import CannotDo
from ddns.store.pool import Connection
from ddns.store.tenants import Tenant
from ddns.web import refusing
from ddns.web.invitation_routes import DomainName, Moment, read_name
from ddns.web.rights import TENANTS
from ddns.web.routes import Answer, Asked, Means, Refused, Route

Bound = Annotated[int, msgspec.Meta(ge=0, le=tenants.MOST, description="0: no bound.")]
Told = Annotated[
    int,
    msgspec.Meta(
        ge=0, le=tenants.MOST, description="So many of one home within a week are told to operators; 0: none are."
    ),
]
TenantName = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern="^[a-z][a-z0-9-]{0,31}$")]


class TenantWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant that is to be."""

    name: TenantName
    host: Annotated[str, msgspec.Meta(max_length=255, description="The server name by which its people come.")] = ""


class TenantShown(msgspec.Struct, frozen=True):
    """A tenant and its bounds."""

    name: str
    state: Literal["active", "suspended"]
    host: str
    homes: Bound
    invitations: Bound
    enrolments_a_day: Bound
    refusals_a_week: Told
    complaints_a_week: Told
    since: Moment


class TenantList(msgspec.Struct, frozen=True):
    """All tenants, the registry itself first."""

    tenants: list[TenantShown]


class ZoneOfTenant(msgspec.Struct, frozen=True):
    """A zone where a tenant may have homes, and how many it has there."""

    zone: str
    homes: int


class TenantLook(msgspec.Struct, frozen=True):
    """A tenant, where it may have homes, and what it has."""

    tenant: TenantShown
    zones: list[ZoneOfTenant]
    homes: int
    invitations: int
    enrolments: Annotated[int, msgspec.Meta(description="Homes made in the last day.")]


class TenantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be changed of a tenant; what is left out stays."""

    state: Literal["active", "suspended"] | None = None
    host: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    homes: Bound | None = None
    invitations: Bound | None = None
    enrolments_a_day: Bound | None = None
    refusals_a_week: Told | None = None
    complaints_a_week: Told | None = None


class ZoneAllowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A zone of the registry where a tenant may have homes."""

    zone: DomainName


def _shown(one: Tenant) -> TenantShown:
    return TenantShown(
        one.name, "suspended" if one.state == "suspended" else "active", one.host, one.homes_most,
        one.invitations_most, one.enrolments_a_day, one.refusals_a_week, one.complaints_a_week, one.created_at,
    )  # fmt: skip


async def listing(conn: Connection, _means: Means, _asked: Asked) -> Answer:
    """Return all tenants."""
    return Answer(TenantList([_shown(one) for one in await tenants.listing(conn)]))


async def add(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Make a tenant."""
    wish: TenantWish = asked.body
    return Answer(_shown(await tenants.add(conn, wish.name, wish.host)), 201)


async def show(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return a tenant with what it has."""
    found = await _look(conn, asked)
    return Answer(
        TenantLook(
            _shown(found.tenant),
            [ZoneOfTenant(names.to_text(zone), number) for zone, number in found.zones],
            found.counts.homes,
            found.counts.invitations,
            found.counts.enrolments,
        )
    )


async def _look(conn: Connection, asked: Asked) -> tenants.Shown:
    try:
        return await tenants.show(conn, asked.path["name"], asked.now)
    except CannotDo:
        raise Refused(refusing.not_found()) from None


async def change(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Change a tenant's bounds, server name or state."""
    wish: TenantChange = asked.body
    await _look(conn, asked)
    name = asked.path["name"]
    bounds = {
        word: most
        for word, most in (
            ("homes", wish.homes), ("invitations", wish.invitations), ("enrolments-a-day", wish.enrolments_a_day),
            ("refusals-a-week", wish.refusals_a_week), ("complaints-a-week", wish.complaints_a_week),
        )
        if most is not None
    }  # fmt: skip
    if wish.state is not None:
        await tenants.set_suspended(conn, name, suspended=wish.state == "suspended")
    await tenants.set_bounds(conn, name, bounds, wish.host)
    return Answer(_shown((await _look(conn, asked)).tenant))


async def allow(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Let a tenant have homes in a zone."""
    await _look(conn, asked)
    await tenants.allow(conn, asked.path["name"], read_name(asked.body.zone))
    return Answer(status=204)


async def disallow(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Let a tenant have no more new homes in a zone."""
    await _look(conn, asked)
    try:
        await tenants.allow(conn, asked.path["name"], read_name(asked.path["zone"]), allowed=False)
    except CannotDo:
        raise Refused(refusing.not_found()) from None
    return Answer(status=204)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/tenants", summary="List the tenants.", tag="tenants", right=TENANTS,
        answers={200: TenantList}, within=listing,
    ),
    Route(
        method="POST", path="/v1/tenants", summary="Make a tenant.", tag="tenants", right=TENANTS, body=TenantWish,
        answers={201: TenantShown}, within=add,
    ),
    Route(
        method="GET", path="/v1/tenants/{name}", summary="Look at a tenant.", tag="tenants", right=TENANTS,
        answers={200: TenantLook}, within=show,
    ),
    Route(
        method="PATCH", path="/v1/tenants/{name}", summary="Bound, suspend or release a tenant.", tag="tenants",
        right=TENANTS, body=TenantChange, answers={200: TenantShown}, within=change,
    ),
    Route(
        method="POST", path="/v1/tenants/{name}/zones", summary="Let a tenant have homes in a zone.", tag="tenants",
        right=TENANTS, body=ZoneAllowed, answers={204: None}, within=allow,
    ),
    Route(
        method="DELETE", path="/v1/tenants/{name}/zones/{zone}", summary="Let a tenant have no new homes in a zone.",
        tag="tenants", right=TENANTS, answers={204: None}, within=disallow,
    ),
)  # fmt: skip
