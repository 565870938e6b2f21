"""Signals of abuse: complaints about homes, and the homes about which there is something."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ddns.dns import names
from ddns.operator import abuse
from ddns.operator.fault import CannotDo
from ddns.store.pool import Connection
from ddns.web import refusing
from ddns.web.homes_routes import own_home
from ddns.web.invitation_routes import Moment
from ddns.web.rights import HOMES_READ, HOMES_WRITE
from ddns.web.routes import Answer, Asked, Means, Refused, Route

What = Literal["spam", "phishing", "malware", "attack", "impersonation", "other"]


class ComplaintWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A complaint about a home."""

    what: What
    evidence: Annotated[
        str, msgspec.Meta(min_length=1, max_length=abuse.MOST_EVIDENCE, description="What was seen, or where.")
    ]


class ComplaintShown(msgspec.Struct, frozen=True):
    """A complaint that was written down."""

    complaint: int
    at: Moment
    what: What
    evidence: str
    who: str


class ComplaintList(msgspec.Struct, frozen=True):
    """What was said about a home, the newest first."""

    complaints: list[ComplaintShown]


class AbuseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of how many days, and how many homes."""

    days: Annotated[int, msgspec.Meta(ge=1, le=abuse.MOST_DAYS)] = 7
    limit: Annotated[int, msgspec.Meta(ge=1, le=abuse.MOST_SHOWN)] = 100


class SignalShown(msgspec.Struct, frozen=True):
    """A home about which there is something."""

    home: str
    state: str
    complaints: int
    refused: Annotated[int, msgspec.Meta(description="Updates that a rule refused.")]
    last_at: Moment


class SignalList(msgspec.Struct, frozen=True):
    """The homes with signals of abuse, those with the most first."""

    homes: list[SignalShown]


async def complain(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Write a complaint down."""
    wish: ComplaintWish = asked.body
    name = await own_home(conn, asked)
    try:
        number = await abuse.complain(conn, name, wish.what, wish.evidence, asked.who.principal, asked.now)
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error).rstrip("."))) from None
    return Answer(ComplaintShown(number, asked.now, wish.what, wish.evidence.strip(), asked.who.principal), 201)


async def complaints(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return what was said about a home."""
    found = await abuse.complaints(conn, await own_home(conn, asked))
    return Answer(
        ComplaintList(
            [ComplaintShown(one.id, one.at, msgspec.convert(one.what, What), one.evidence, one.who) for one in found]
        )
    )


async def signals(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return the homes with signals of abuse."""
    said: AbuseQuery = asked.query
    found = await abuse.signals(conn, asked.tenant, said.days, asked.now, said.limit)
    return Answer(
        SignalList(
            [SignalShown(names.to_text(one.name), one.state, one.complaints, one.refused, one.last_at) for one in found]
        )
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/abuse", summary="List the homes with signals of abuse.", tag="homes", right=HOMES_READ,
        query=AbuseQuery, answers={200: SignalList}, within=signals,
    ),
    Route(
        method="POST", path="/v1/homes/{name}/complaints", summary="Write down a complaint about a home.", tag="homes",
        right=HOMES_WRITE, body=ComplaintWish, answers={201: ComplaintShown}, within=complain,
    ),
    Route(
        method="GET", path="/v1/homes/{name}/complaints", summary="Read what was said about a home.", tag="homes",
        right=HOMES_READ, answers={200: ComplaintList}, within=complaints,
    ),
)  # fmt: skip
