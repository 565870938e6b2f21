"""What nobody needs a token for: whether the desk works, what it can do, and nonces."""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import msgspec

from ddns.proof import nonce
from ddns.store import desks
from ddns.web import openapi
from ddns.web.routes import Answer, Asked, Means, Route

NOW = 600  # seconds for which a nonce is good that is used at once
CARRIED = 7 * 86_400  # the same for one that a phone carries to a gateway without the Internet


class Healthy(msgspec.Struct, frozen=True):
    """The desk answers, and so does its database."""

    status: Annotated[str, msgspec.Meta(description="Always `ok`.")]


class NonceWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the nonce is for: to be signed now, or carried for some days."""

    purpose: Annotated[
        Literal["now", "carried"], msgspec.Meta(description="`now`: ten minutes; `carried`: seven days.")
    ] = "now"


class Nonce(msgspec.Struct, frozen=True):
    """Chance that is ours, to be signed once."""

    nonce: Annotated[str, msgspec.Meta(description="43 characters of base64url.")]
    expires_at: Annotated[int, msgspec.Meta(description="Seconds since 1970.")]


async def health(means: Means, asked: Asked) -> Answer:
    """Say that the desk works: it can ask its database."""
    async with means.transaction(asked.tenant) as conn:
        await desks.works(conn)
    return Answer(Healthy("ok"))


async def document(_means: Means, _asked: Asked) -> Answer:
    """Describe the API."""
    return Answer(_described())


@functools.cache
def _described() -> bytes:
    from ddns.web.table import ROUTES  # noqa: PLC0415 - the table holds this route

    return openapi.octets(ROUTES)


async def fresh_nonce(means: Means, asked: Asked) -> Answer:
    """Give out a nonce; nothing is written down."""
    ends = asked.now + (NOW if asked.body.purpose == "now" else CARRIED)
    return Answer(Nonce(nonce.make(means.secret, ends, means.dice(nonce.DICE)), ends), 201)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/healthz", summary="Say whether the desk and its database work.", tag="service",
        right=None, answers={200: Healthy}, alone=health,
    ),
    Route(
        method="GET", path="/v1/openapi.json", summary="Describe this API.", tag="service",
        right=None, answers={200: None}, alone=document,
    ),
    Route(
        method="POST", path="/v1/nonces", summary="Ask for a nonce to sign.", tag="enrolment",
        right=None, body=NonceWish, answers={201: Nonce}, alone=fresh_nonce,
    ),
)  # fmt: skip
