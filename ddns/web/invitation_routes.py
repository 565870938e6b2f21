"""Invitations: made for one home each, listed until they are spent, withdrawn."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.dns.codes import Rcode, Type
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal
from ddns.gateway.invitation import PORT, Invitation
from ddns.homes import naming
from ddns.homes.labels import Label
from ddns.operator import homes, words
from ddns.store import invitations, rrsets, zones
from ddns.store.pool import Connection
from ddns.store.zones import Zone
from ddns.web import paging, refusing
from ddns.web.paging import Next, Page
from ddns.web.rights import INVITATIONS
from ddns.web.routes import Answer, Asked, Means, Refused, Route

MOST_DAYS = 365
_DAY = 86_400

DomainName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Moment = Annotated[int, msgspec.Meta(description="Seconds since 1970.")]


class InvitationWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invitation that is to be made."""

    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="The registry's zone.")]
    label: Annotated[
        str, msgspec.Meta(max_length=255, description="The home's label; empty: one that the registry makes.")
    ] = ""
    days: Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS, description="How long it holds.")] = homes.INVITATION_DAYS
    again: Annotated[bool, msgspec.Meta(description="Withdraw the invitation of this home that there is.")] = False


class InvitationMade(msgspec.Struct, frozen=True):
    """An invitation that has just been made: a secret until it is spent, told this once."""

    home: str
    invitation: Annotated[str, msgspec.Meta(description="The line that `ddns gateway enrol` takes: `ddns://…`.")]
    expires_at: Moment


class InvitationShown(msgspec.Struct, frozen=True):
    """An invitation that is not spent."""

    home: str
    created_at: Moment
    expires_at: Moment


class InvitationPage(msgspec.Struct, frozen=True):
    """Some of the invitations that are not spent, by home."""

    invitations: list[InvitationShown]
    next: Next


async def make(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Invite a home into one of the tenant's zones."""
    wish: InvitationWish = asked.body
    registry = await the_registry(conn, wish.zone)
    label = await _label(conn, means, asked, registry)
    if isinstance(label, Refusal):
        raise Refused(label)
    home = names.prepend(label.wire, registry.origin)
    invited = await homes.invite(conn, means.sealer, registry, home, asked.now + wish.days * _DAY, asked.now)
    host = await server_of(conn, means, registry)
    line = line_of(means, host, registry, home, invited.key, invited.secret)
    return Answer(InvitationMade(names.to_text(home), line, invited.expires_at), 201)


def line_of(means: Means, host: str, registry: Zone, home: Name, key: Name, secret: Secret) -> str:
    """Return an invitation as the text that a gateway takes, which finds the registry at *host*."""
    return Invitation(
        key, secret.reveal(), home, host, means.place.dns or PORT, registry=registry.origin, tls=means.place.tls,
        web=(host, means.place.web) if means.place.web else None,
    ).to_text()  # fmt: skip


async def listing(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return a page of the invitations that are not spent."""
    page: Page = asked.query
    start = paging.opened(means, asked, "invitations") or b""
    found = await invitations.page(conn, asked.tenant, start, page.limit + 1)
    more = len(found) > page.limit
    found = found[: page.limit]
    following = paging.sealed(means, asked, "invitations", names.order_key(found[-1].label)) if more else ""
    shown = [InvitationShown(names.to_text(one.label), one.created_at, one.expires_at) for one in found]
    return Answer(InvitationPage(shown, following))


async def withdraw(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Withdraw the invitation of a home."""
    if not await homes.withdraw(conn, read_name(asked.path["home"])):
        raise Refused(refusing.not_found())
    return Answer(status=204)


async def the_registry(conn: Connection, text: str) -> Zone:
    """Return the zone *text* that homes may be put into. Raises `Refused` where the tenant has none of that name."""
    registry = await zones.find(conn, read_name(text))
    if registry is None or registry.home:
        raise Refused(Refusal("not-found", Rcode.NXDOMAIN, "You have no zone of that name for homes; check `zone`."))
    return registry


def read_name(text: str) -> Name:
    """Return the domain name *text*. Raises `Refused`."""
    try:
        return names.from_text(text)
    except BadName as error:
        raise Refused(refusing.field_wrong(f"the name {text!r} is none: {error}")) from None


async def _label(conn: Connection, means: Means, asked: Asked, registry: Zone) -> Label | Refusal:
    wish: InvitationWish = asked.body
    if not wish.label:
        return await naming.allocated(conn, asked.tenant, registry, asked.now, means.below)
    if wish.again:  # a refusal brings the old invitation back
        await homes.withdraw(conn, names.prepend(words.read_label(wish.label.lower()), registry.origin))
    return await naming.chosen(conn, asked.tenant, registry, wish.label, asked.now)


async def server_of(conn: Connection, means: Means, registry: Zone) -> str:
    """Return the name by which gateways find the registry: this server's, or else the zone's first name server's."""
    if means.place.name:
        return means.place.name
    found = (await rrsets.read_names(conn, [(registry.id, registry.origin)])).get((registry.id, registry.origin), ())
    servers = next((one.rdatas for one in found if one.type == Type.NS), ())
    return names.to_text(servers[0] if servers else registry.origin).rstrip(".")


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/invitations", summary="Invite a home; the line is told once.", tag="invitations",
        right=INVITATIONS, body=InvitationWish, answers={201: InvitationMade}, within=make,
    ),
    Route(
        method="GET", path="/v1/invitations", summary="List the invitations that are not spent.", tag="invitations",
        right=INVITATIONS, query=Page, answers={200: InvitationPage}, within=listing,
    ),
    Route(
        method="DELETE", path="/v1/invitations/{home}", summary="Withdraw the invitation of a home.",
        tag="invitations", right=INVITATIONS, answers={204: None}, within=withdraw,
    ),
)  # fmt: skip
