"""Webhooks, and notices for those who rather ask than be told."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from ddns.operator import webhooks as work
from ddns.store import outbox, webhooks
from ddns.store.pool import Connection
from ddns.web import paging, refusing, rights
from ddns.web.paging import Next, Page
from ddns.web.routes import Answer, Asked, Means, Refused, Route

Kind = Annotated[str, msgspec.Meta(max_length=64, description="A kind of notice as `home.enrolled`, or `*`: all.")]
Ident = Annotated[str, msgspec.Meta(description="A UUID.")]


class WebhookWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook that is to be made."""

    url: Annotated[str, msgspec.Meta(max_length=work.MOST_URL, description="An address with https.")]
    events: Annotated[list[Kind], msgspec.Meta(max_length=work.MOST_EVENTS)] = []


class WebhookMade(msgspec.Struct, frozen=True):
    """A webhook that has just been made; *secret* signs what is sent to it, and is told this once."""

    id: Ident
    secret: str


class WebhookShown(msgspec.Struct, frozen=True):
    """A webhook, without its secret."""

    id: Ident
    url: str
    events: list[str]
    state: Annotated[str, msgspec.Meta(description="`active`, or `stopped`: it took nothing for too long.")]
    waiting: Annotated[int, msgspec.Meta(description="How many notices have not been delivered to it.")]
    problem: Annotated[str, msgspec.Meta(description="What was wrong the last time; empty: nothing.")]


class Webhooks(msgspec.Struct, frozen=True):
    """All webhooks of the tenant."""

    webhooks: list[WebhookShown]


class Trial(msgspec.Struct, frozen=True):
    """A notice is on its way to the webhook; the list says what was wrong with it."""

    notice: int


class NoticeShown(msgspec.Struct, frozen=True):
    """What somebody must be told."""

    id: int
    kind: str
    at: Annotated[int, msgspec.Meta(description="Seconds since 1970.")]
    data: dict[str, Any]


class Notices(msgspec.Struct, frozen=True):
    """Some of the notices, oldest first; *next* is kept by who wants to ask for newer ones later, never empty."""

    notices: list[NoticeShown]
    next: Next


async def add(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Have what happens from now on sent to an address."""
    wish: WebhookWish = asked.body
    made = await work.add(conn, means.sealer, asked.tenant, wish.url, wish.events, means.dice)
    return Answer(WebhookMade(str(made.id), made.secret.reveal().decode()), 201)


async def listing(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return the tenant's webhooks."""
    found = await work.listing(conn, asked.tenant)
    return Answer(
        Webhooks(
            [WebhookShown(str(one.id), one.url, list(one.events), one.state, one.waiting, one.problem) for one in found]
        )
    )


async def remove(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Remove a webhook, and what has not been delivered to it."""
    if not await webhooks.remove(conn, asked.tenant, _ident(asked)):
        raise Refused(refusing.not_found())
    return Answer(status=204)


async def test(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Have a notice sent to that webhook alone."""
    ident = _ident(asked)
    if await webhooks.find(conn, asked.tenant, ident) is None:
        raise Refused(refusing.not_found())
    return Answer(Trial(await work.test(conn, asked.tenant, ident, asked.now)), 202)


async def notices(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return what the token's owner must know; for an operator's token what its tenant must."""
    if asked.who.home is not None and asked.who.owner is None:
        raise Refused(refusing.right_missing(rights.HOMES_READ))  # notices are a person's, not a home's
    page: Page = asked.query
    start = paging.opened(means, asked, "notices")
    after = 0 if start is None else int(start)
    found = await outbox.read(conn, asked.tenant, asked.who.owner, after, page.limit)
    last = found[-1].id if found else after
    return Answer(
        Notices(
            [NoticeShown(one.id, one.kind, one.at, msgspec.json.decode(one.body)) for one in found],
            paging.sealed(means, asked, "notices", str(last).encode()),
        )
    )


def _ident(asked: Asked) -> UUID:
    try:
        return UUID(asked.path["id"])
    except ValueError:
        raise Refused(refusing.not_found()) from None


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/webhooks", summary="Have notices sent to an address; its secret is told once.",
        tag="webhooks", right=rights.WEBHOOKS, body=WebhookWish, answers={201: WebhookMade}, within=add,
    ),
    Route(
        method="GET", path="/v1/webhooks", summary="List the webhooks, with what waits and what was wrong.",
        tag="webhooks", right=rights.WEBHOOKS, answers={200: Webhooks}, within=listing,
    ),
    Route(
        method="DELETE", path="/v1/webhooks/{id}", summary="Remove a webhook and what waits for it.",
        tag="webhooks", right=rights.WEBHOOKS, answers={204: None}, within=remove,
    ),
    Route(
        method="POST", path="/v1/webhooks/{id}/test", summary="Have a notice sent to this webhook alone.",
        tag="webhooks", right=rights.WEBHOOKS, answers={202: Trial}, within=test,
    ),
    Route(
        method="GET", path="/v1/notices", summary="Read what one must be told: an owner, or a tenant's operator.",
        tag="notices", right=rights.HOMES_READ, own=True, query=Page, answers={200: Notices}, within=notices,
    ),
)  # fmt: skip
