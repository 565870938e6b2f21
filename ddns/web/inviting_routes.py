"""Invitations by the thousand: a list of labels in, and the lines, a table or printed sheets out.

Law: nothing that was answered is kept. The same list again is answered anew from the sealed secrets of the invitations
that are open, so an answer that was lost on the way costs nobody an invitation, and in another form it is asked for so.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from psycopg import errors

from ddns.dns import names
from ddns.operator import csv_rows, homes, inviting
from ddns.operator.fault import CannotDo
from ddns.operator.inviting import Invited
from ddns.operator.inviting import Refused as LineRefused
from ddns.operator.paper import pdf, qr, sheet, svg
from ddns.store import invitation_secrets
from ddns.web import refusing, typed
from ddns.web.invitation_routes import MOST_DAYS, Moment, line_of, server_of, the_registry
from ddns.web.rights import INVITATIONS
from ddns.web.routes import JSON, Answer, Asked, Means, Refused, Route

SVG, PDF = "image/svg+xml", "application/pdf"
MOST = 10_000  # labels of one batch
MOST_BODY = 1024 * 1024  # octets
SECONDS = 600.0  # that one batch may take
_DAY = 86_400
_LABEL = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class BatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the homes of a batch go, and how long their invitations hold."""

    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="The registry's zone.")]
    days: Annotated[int, msgspec.Meta(ge=1, le=MOST_DAYS, description="How long they hold.")] = homes.INVITATION_DAYS
    sheet: Annotated[
        int, msgspec.Meta(ge=1, le=MOST, description="As SVG: which of the sheets, 24 labels each; as PDF all come.")
    ] = 1


class BatchWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The labels of the homes that are invited."""

    labels: Annotated[list[_LABEL], msgspec.Meta(min_length=1, max_length=MOST)]


class BatchInvited(msgspec.Struct, frozen=True):
    """An invitation of the batch: a secret until it is spent."""

    home: str
    invitation: Annotated[str, msgspec.Meta(description="The line that `ddns gateway enrol` takes: `ddns://…`.")]
    expires_at: Moment
    new: Annotated[bool, msgspec.Meta(description="False: it was open before, and is told again.")]


class BatchRefused(msgspec.Struct, frozen=True):
    """A label without an invitation, and why; *line* is its line, or its place in the list."""

    line: int
    label: str
    reason: str


class Batch(msgspec.Struct, frozen=True):
    """What became of the list; the same list again gives the same invitations."""

    invitations: list[BatchInvited]
    refused: list[BatchRefused]
    sheets: Annotated[int, msgspec.Meta(description="How many sheets it is on paper.")]


_drawing = asyncio.Semaphore(1)  # one batch at a time in a desk: it is bulk


async def invite(means: Means, asked: Asked) -> Answer:
    """Invite the homes of a list, some hundreds a commit, and answer in the form that Accept names."""
    query: BatchQuery = asked.query
    lines = _lines(asked)
    if _drawing.locked():
        raise Refused(refusing.desk_busy(), retry_after=30)
    async with _drawing:
        invited: list[Invited] = []
        refused: list[LineRefused] = []

        def tell(some: Sequence[Invited], others: Sequence[LineRefused]) -> None:
            invited.extend(some)
            refused.extend(others)

        async with means.transaction(asked.tenant) as conn:
            registry = await the_registry(conn, query.zone)
            host = await server_of(conn, means, registry)
        own = await means.connection(asked.tenant)
        try:
            await inviting.invite(
                own, means.sealer, registry, lines, asked.now + query.days * _DAY, asked.now, tell,
                invitation_secrets.keys_of,
            )  # fmt: skip
        except errors.UniqueViolation:
            raise CannotDo("Somebody else invites one of these homes just now; send the list again.") from None
        finally:
            await own.close()
        made = [
            BatchInvited(
                names.to_text(one.home), line_of(means, host, registry, one.home, one.key, one.secret), one.expires_at,
                one.new,
            )
            for one in invited
        ]  # fmt: skip
        sheets = -(-len(made) // sheet.A_SHEET)
        media = next(one for one in (JSON, csv_rows.MEDIA, PDF, SVG) if typed.takes(asked.accept, (one,)))
        if media == JSON:
            return Answer(Batch(made, [BatchRefused(one.line, one.label, one.reason) for one in refused], sheets))
        if media == SVG and query.sheet > max(sheets, 1):
            raise Refused(refusing.field_wrong(f"there are {sheets} sheets"))
        try:
            octets = await asyncio.to_thread(_drawn, made, media, query.sheet)
        except qr.TooLong as error:
            raise CannotDo(f"The invitations do not fit on labels: {error}.") from None
    told = (("Invitations-Refused", str(len(refused))), ("Invitations-Sheets", str(sheets)))
    return Answer(octets, media=media, headers=told)


def _lines(asked: Asked) -> list[tuple[int, str]]:
    """Return the labels that were sent, with their lines. Raises `Refused`."""
    if asked.media == JSON:
        return list(enumerate(asked.body.labels, 1))
    try:
        found = inviting.read(io.StringIO(asked.octets.decode("utf-8-sig"), newline=""))
    except UnicodeDecodeError:
        raise Refused(refusing.body_malformed("it is not UTF-8")) from None
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error))) from None
    if len(found) > MOST:
        raise Refused(refusing.field_wrong(f"a batch has {MOST} labels at most; make several of it"))
    return found


def _drawn(made: Sequence[BatchInvited], media: str, number: int) -> bytes:
    """Return *made* as a table, or on paper: all sheets as PDF, sheet *number* as SVG."""
    if media == csv_rows.MEDIA:
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("home", "invitation", "expires_at"))
        rows.writerows((one.home, one.invitation, one.expires_at) for one in made)
        return text.getvalue().encode()
    first = (number - 1) * sheet.A_SHEET
    chosen = made[first : first + sheet.A_SHEET] if media == SVG else made
    pages = sheet.pages([sheet.invitation(one.home, one.invitation, _day(one.expires_at)) for one in chosen])
    return svg.draw(pages[0] if pages else sheet.Page((), ())).encode() if media == SVG else pdf.draw(pages)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/invitations/batches",
        summary="Invite the homes of a list; the answer is the lines, or sheets to print.", tag="invitations",
        right=INVITATIONS, query=BatchQuery, body=BatchWish, media=(JSON, csv_rows.MEDIA), answers={200: Batch},
        gives=(JSON, csv_rows.MEDIA, SVG, PDF), alone=invite, most=MOST_BODY, seconds=SECONDS,
    ),
)  # fmt: skip
