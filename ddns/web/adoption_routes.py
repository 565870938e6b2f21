"""A code by which a home that nobody owns gets its owner."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ddns.dns import names
from ddns.operator import adopting
from ddns.store.pool import Connection
from ddns.web.homes_routes import own_home
from ddns.web.invitation_routes import Moment
from ddns.web.rights import HOMES_WRITE
from ddns.web.routes import Answer, Asked, Means, Route


class CodeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the code holds."""

    days: Annotated[int, msgspec.Meta(ge=1, le=adopting.MOST_DAYS)] = adopting.DAYS


class CodeMade(msgspec.Struct, frozen=True):
    """A code that was made: it is told this once."""

    home: str
    code: str
    expires_at: Moment


async def make(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Make a code for a home without an owner, in the place of any before."""
    wish: CodeWish = asked.body
    home = await own_home(conn, asked)
    made = await adopting.make(conn, home, wish.days, asked.who.principal, asked.now)
    return Answer(CodeMade(names.to_text(home), made.code.reveal().decode(), made.until), 201)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/homes/{name}/adoption-code",
        summary="Make a code by which a home that nobody owns gets its owner.", tag="homes", right=HOMES_WRITE,
        body=CodeWish, answers={201: CodeMade}, within=make,
    ),
)  # fmt: skip
