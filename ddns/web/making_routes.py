"""Homes made by their operators: one by one, or thousands from the lines of a file."""

from __future__ import annotations

import asyncio
import io
from typing import Annotated

import msgspec

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import naming
from ddns.operator import home_csv, home_import, home_line, homes
from ddns.operator.home_import import Import, Lane
from ddns.store.pool import Connection
from ddns.web import refusing
from ddns.web.invitation_routes import the_registry
from ddns.web.rights import HOMES_WRITE
from ddns.web.routes import Answer, Asked, Means, Refused, Route

LINES = "application/x-ndjson"
MOST = 8 * 1024 * 1024  # octets of one import; a file that is longer comes in parts
SECONDS = 600.0  # that one import may take

_Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="The registry's zone.")]


class HomeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A home that is to be made at once, without an invitation."""

    zone: _Zone
    label: Annotated[
        str, msgspec.Meta(max_length=255, description="Its label; empty: one that the registry makes.")
    ] = ""
    key: Annotated[
        str, msgspec.Meta(max_length=1024, description="Its gateway's KEY record's data: `512 3 13 BASE64`.")
    ] = ""


class HomeMade(msgspec.Struct, frozen=True):
    """A home that has just been made."""

    home: str
    published: Annotated[bool, msgspec.Meta(description="False: it waits for the signer, for a moment.")]


class ImportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the homes of an import go."""

    zone: _Zone


class LineRefused(msgspec.Struct, frozen=True):
    """A line that was not brought in, and why."""

    line: int
    reason: str


class ImportReport(msgspec.Struct, frozen=True):
    """What became of the lines of an import; the same file again makes nothing twice."""

    made: int
    there: Annotated[int, msgspec.Meta(description="Homes that were there before.")]
    refused: int
    unsigned: Annotated[int, msgspec.Meta(description="Homes that wait for the signer.")]
    reasons: Annotated[list[LineRefused], msgspec.Meta(description="The first refused lines.")]


_importing = asyncio.Semaphore(1)  # one at a time in a desk: it is bulk, and others wait for the registry's row


async def make(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Make a home in one of the tenant's zones."""
    wish: HomeWish = asked.body
    registry = await the_registry(conn, wish.zone)
    label = (
        await naming.chosen(conn, asked.tenant, registry, wish.label, asked.now)
        if wish.label
        else await naming.allocated(conn, asked.tenant, registry, asked.now, means.below)
    )
    if isinstance(label, Refusal):
        raise Refused(label)
    home = names.prepend(label.wire, registry.origin)
    try:
        key, _algorithm, _tag = home_line.read_key(wish.key, home)
    except home_line.BadLine as error:
        raise Refused(refusing.field_wrong(str(error))) from None
    made = await homes.add(conn, means.signer, registry, home, key or None, asked.who.principal, asked.tenant)
    return Answer(HomeMade(names.to_text(home), not made.pending), 201)


async def bring_in(means: Means, asked: Asked) -> Answer:
    """Bring in homes, some hundreds at a time; each lot is committed, and what is there already is left as it is."""
    async with means.transaction(asked.tenant) as conn:
        registry = await the_registry(conn, asked.query.zone)
    if _importing.locked():
        raise Refused(refusing.desk_busy(), retry_after=30)
    async with _importing:

        async def lane() -> Lane:
            return Lane(await means.connection(asked.tenant), means.bulk())

        work = Import(registry, asked.who.principal, tenant=asked.tenant)
        octets = io.BytesIO(asked.octets)
        report = await work.run(home_csv.Lines(octets) if asked.media == home_csv.MEDIA else octets, 1, lane)
    reasons = [LineRefused(one.line, one.reason) for one in report.reasons[: home_import.MOST_KEPT]]
    return Answer(ImportReport(report.made, report.there, report.refused, report.unsigned, reasons))


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/homes", summary="Make a home at once, without an invitation.", tag="homes",
        right=HOMES_WRITE, body=HomeWish, answers={201: HomeMade}, within=make,
    ),
    Route(
        method="POST", path="/v1/imports",
        summary="Bring in homes, one JSON object a line or as CSV; again makes none twice.", tag="homes",
        right=HOMES_WRITE, query=ImportQuery, answers={200: ImportReport}, alone=bring_in,
        media=(LINES, home_csv.MEDIA), most=MOST, seconds=SECONDS,
    ),
)  # fmt: skip
