"""Tokens: made with no more rights than the maker's own, listed with their last use, revoked at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from ddns.operator import tokens as work
from ddns.store import tokens
from ddns.store.pool import Connection
from ddns.web import paging, refusing, rights
from ddns.web.paging import Next, Page
from ddns.web.routes import Answer, Asked, Means, Refused, Route

OWN = 900  # seconds that a token lasts which was asked for by a statement

Right = Annotated[str, msgspec.Meta(max_length=32, description="One of the rights that docs/reference/api.md lists.")]
Moment = Annotated[int, msgspec.Meta(description="Seconds since 1970.")]


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to be made."""

    rights: Annotated[list[Right], msgspec.Meta(min_length=1, max_length=len(rights.EVERY))]
    days: Annotated[int, msgspec.Meta(ge=1, le=work.MOST_DAYS)] = work.DAYS
    networks: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=work.MOST_NETWORKS)
    ] = []
    note: Annotated[str, msgspec.Meta(max_length=work.MOST_NOTE)] = ""


class TokenShown(msgspec.Struct, frozen=True):
    """A token, without its secret."""

    id: str
    rights: list[str]
    networks: list[str]
    note: str
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None
    used_at: Annotated[int | None, msgspec.Meta(description="When it was used last, to a minute.")]
    used_from: Annotated[str | None, msgspec.Meta(description="From which address.")]


class TokenMade(msgspec.Struct, frozen=True):
    """A token that has just been made; *token* is its text, which is told this once."""

    token: str
    about: TokenShown


class TokenPage(msgspec.Struct, frozen=True):
    """Some of the tokens, by id."""

    tokens: list[TokenShown]
    next: Next


def shown(token: tokens.Token) -> TokenShown:
    """Return *token* as people and programs see it."""
    return TokenShown(
        token.id, list(token.rights), list(token.networks), token.note, token.created_at, token.expires_at,
        token.revoked_at, token.used_at, token.used_from,
    )  # fmt: skip


async def make(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Make a token of the asker's tenant, with rights that the asker has."""
    wish: TokenWish = asked.body
    beyond = sorted(set(wish.rights) - asked.who.rights)
    if beyond:
        raise Refused(refusing.right_missing(beyond[0]))
    fresh = await work.add(
        conn, asked.tenant, wish.rights, asked.now, means.dice, seconds=wish.days * 86_400, networks=wish.networks,
        note=wish.note,
    )  # fmt: skip
    return Answer(TokenMade(fresh.text.reveal().decode(), shown(fresh.token)), 201)


async def listing(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return a page of the tenant's tokens."""
    page: Page = asked.query
    start = paging.opened(means, asked, "tokens") or b""
    found = await tokens.listing(conn, asked.tenant, start.decode(), page.limit + 1)
    more = len(found) > page.limit
    found = found[: page.limit]
    following = paging.sealed(means, asked, "tokens", found[-1].id.encode()) if more else ""
    return Answer(TokenPage([shown(one) for one in found], following))


async def revoke(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Revoke a token: the next request with it is refused."""
    if not await tokens.revoke(conn, asked.tenant, asked.path["id"], asked.now):
        raise Refused(refusing.not_found())
    return Answer(status=204)


async def own(conn: Connection, means: Means, asked: Asked, owner: UUID | None, home: int | None) -> Answer:
    """Make a token with which a person, or a gateway, reads what is theirs for a quarter of an hour."""
    fresh = await work.add(
        conn, asked.tenant, [rights.HOMES_READ], asked.now, means.dice, seconds=OWN, owner=owner, home=home
    )
    return Answer(TokenMade(fresh.text.reveal().decode(), shown(fresh.token)), 201)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/tokens", summary="Make a token with some of one's own rights; it is told once.",
        tag="tokens", right=rights.TOKENS, body=TokenWish, answers={201: TokenMade}, within=make,
    ),
    Route(
        method="GET", path="/v1/tokens", summary="List the tokens, with where and when each was used last.",
        tag="tokens", right=rights.TOKENS, query=Page, answers={200: TokenPage}, within=listing,
    ),
    Route(
        method="DELETE", path="/v1/tokens/{id}", summary="Revoke a token at once.",
        tag="tokens", right=rights.TOKENS, answers={204: None}, within=revoke,
    ),
)  # fmt: skip
