"""Boxes that a tenant expects: listed, written down by JSON or CSV, forgotten."""

from __future__ import annotations

import io
from typing import Annotated

import msgspec

from ddns.operator import csv_rows, expected
from ddns.operator.expected import Box
from ddns.operator.fault import CannotDo
from ddns.operator.vendors import MOST_TEXT
from ddns.store import expected as stored
from ddns.store.pool import Connection
from ddns.web import paging, refusing
from ddns.web.paging import Next, Page
from ddns.web.rights import DEVICES
from ddns.web.routes import JSON, Answer, Asked, Means, Refused, Route

MOST_BODY = 4 * 1024 * 1024  # octets: 10,000 boxes with their notes
MOST_REFUSED = 100  # lines that are told
_DIGEST = 32  # octets

Moment = Annotated[int, msgspec.Meta(description="Seconds since 1970.")]
Serial = Annotated[
    str, msgspec.Meta(max_length=expected.MOST_SERIAL, description="The serial number in its own certificate.")
]
Ueid = Annotated[
    str, msgspec.Meta(max_length=expected.MOST_UEID, description="Or the UEID by which evidence names it (RFC 9711).")
]
Vendor = Annotated[str, msgspec.Meta(max_length=MOST_TEXT, description="Whose bond it has to come by; empty: any.")]


class DeviceWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A box that is to be expected: by its serial number or its UEID."""

    serial: Serial = ""
    ueid: Ueid = ""
    vendor: Vendor = ""
    label: Annotated[
        str, msgspec.Meta(max_length=255, description="How its home is to be called; empty: as others are.")
    ] = ""
    owner: Annotated[str, msgspec.Meta(max_length=36, description="The id of who will own it; empty: nobody yet.")] = ""
    note: Annotated[str, msgspec.Meta(max_length=expected.MOST_NOTE)] = ""


class DeviceWishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Boxes that are to be expected; those that are already, stay, with what is said of them now."""

    devices: Annotated[list[DeviceWish], msgspec.Meta(min_length=1, max_length=expected.MOST)]


class DeviceRefused(msgspec.Struct, frozen=True):
    """A line, or the place in the list, that was not taken, and why."""

    line: int
    reason: str


class DevicesReport(msgspec.Struct, frozen=True):
    """What became of the list; the same again changes nothing."""

    added: int
    changed: int
    kept: int
    refused: int
    reasons: Annotated[list[DeviceRefused], msgspec.Meta(description="The first refused lines.")]


class DeviceShown(msgspec.Struct, frozen=True):
    """A box that is expected. By what it is known nobody can be told: only a digest is kept."""

    kind: Annotated[str, msgspec.Meta(description="`serial` or `ueid`.")]
    vendor: str
    label: str
    owner: str
    note: str
    added_at: Moment
    came_at: Annotated[Moment | None, msgspec.Meta(description="When it became a home here first.")]


class DevicePage(msgspec.Struct, frozen=True):
    """Some of the boxes that are expected."""

    devices: list[DeviceShown]
    next: Next


class DeviceNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A box, by its serial number or its UEID."""

    serial: Serial = ""
    ueid: Ueid = ""
    vendor: Annotated[str, msgspec.Meta(max_length=MOST_TEXT, description="Of this vendor alone; empty: of any.")] = ""


async def listing(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return a page of the boxes that are expected."""
    page: Page = asked.query
    start = paging.opened(means, asked, "devices") or b""
    found = await stored.page(conn, asked.tenant, start[:_DIGEST], start[_DIGEST:].decode(), page.limit + 1)
    more, found = len(found) > page.limit, found[: page.limit]
    place = found[-1].digest + found[-1].vendor.encode() if more else b""
    return Answer(
        DevicePage(
            [
                DeviceShown(
                    one.kind, one.vendor, one.label, "" if one.owner is None else str(one.owner), one.note,
                    one.added_at, one.came_at,
                )
                for one in found
            ],
            paging.sealed(means, asked, "devices", place) if more else "",
        )
    )  # fmt: skip


async def expect(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Expect the boxes of a list."""
    try:
        boxes = (
            [Box(**msgspec.structs.asdict(one)) for one in asked.body.devices]
            if asked.media == JSON
            else expected.read(io.BytesIO(asked.octets))
        )
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error))) from None
    report = await expected.expect(conn, asked.tenant, means.secret, boxes, asked.now)
    reasons = [DeviceRefused(one.line, one.reason) for one in report.refused[:MOST_REFUSED]]
    return Answer(DevicesReport(report.added, report.changed, report.kept, len(report.refused), reasons))


async def forget(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Expect a box no more."""
    try:
        there = await expected.forget(conn, asked.tenant, means.secret, Box(**msgspec.structs.asdict(asked.query)))
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error))) from None
    if not there:
        raise Refused(refusing.not_found())
    return Answer(status=204)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/devices", summary="List the boxes that are expected, without what they are known by.",
        tag="devices", right=DEVICES, query=Page, answers={200: DevicePage}, within=listing,
    ),
    Route(
        method="POST", path="/v1/devices", summary="Expect boxes, as JSON or CSV; again changes nothing.",
        tag="devices", right=DEVICES, body=DeviceWishes, media=(JSON, csv_rows.MEDIA), answers={200: DevicesReport},
        within=expect, most=MOST_BODY,
    ),
    Route(
        method="DELETE", path="/v1/devices", summary="Expect a box no more; a home that it is already stays.",
        tag="devices", right=DEVICES, query=DeviceNamed, answers={204: None}, within=forget,
    ),
)  # fmt: skip
