"""Whether a box has been somebody's before: counts and days, for whoever holds its certificate, and no identities.

A box is asked for by the SHA-256 of its certificate, which holds a signature and which nobody guesses; one that is not
known here, or that never changed hands, has the same empty history.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from ddns.homes.making import EVENT as ENROLLED
from ddns.store import devices
from ddns.store.pool import Connection
from ddns.web import refusing
from ddns.web.routes import Answer, Asked, Means, Refused, Route

_DIGEST = re.compile("[0-9a-f]{64}")


class BoxEvent(msgspec.Struct, frozen=True):
    """Something that happened to a box."""

    event: str
    day: Annotated[str, msgspec.Meta(description="The day, in UTC: `2026-11-22`.")]


class BoxHistory(msgspec.Struct, frozen=True):
    """What happened to a box since it was first enrolled."""

    transfers: Annotated[int, msgspec.Meta(description="How many times it was enrolled again; 0: never, or unknown.")]
    events: list[BoxEvent]


async def history(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Say whether a box is resold."""
    text = asked.path["digest"].lower()
    if not _DIGEST.fullmatch(text):
        raise Refused(refusing.field_wrong("give the SHA-256 of the box's certificate, 64 hexadecimal digits"))
    found = await devices.history(conn, bytes.fromhex(text))
    times = sum(event == ENROLLED for event, _day in found)
    return Answer(BoxHistory(max(0, times - 1), [BoxEvent(*one) for one in found]))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/devices/{digest}/history", summary="Say whether a box is resold, and on which days.",
        tag="devices", right=None, answers={200: BoxHistory}, within=history,
    ),
)  # fmt: skip
