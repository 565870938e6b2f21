"""Everything of a home, for its owner to take along."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ddns.dns import names
from ddns.dns.names import BadName
from ddns.operator import exporting
from ddns.store import homes, zones
from ddns.store.pool import Connection
from ddns.web import refusing, rights
from ddns.web.routes import JSON, Answer, Asked, Means, Refused, Route

ZONE_FILE = "text/dns"  # RFC 4027


class Exported(msgspec.Struct, frozen=True):
    """A home with all that is its own."""

    home: str
    zone: Annotated[str, msgspec.Meta(description="Its records, as a master file that any name server reads.")]
    signed_zone: Annotated[str, msgspec.Meta(description="The same with signatures, as it is published.")]
    about: Annotated[dict[str, Any], msgspec.Meta(description="Its state, keys, history and signed statements.")]


async def export(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return everything of a home."""
    try:
        home = names.from_text(asked.path["name"])
    except BadName:
        raise Refused(refusing.not_found()) from None
    zone = await zones.find(conn, home)
    standing = None if zone is None else await homes.standing(conn, zone.id)
    if zone is None or standing is None:
        raise Refused(refusing.not_found())
    if asked.who.home is not None and asked.who.home != zone.id:
        raise Refused(refusing.not_found())
    if asked.who.owner is not None and asked.who.owner != standing.owner:
        raise Refused(refusing.not_found())
    await zones.lock(conn, [zone.id])  # what is read next is of one moment: who writes holds this lock
    found = await exporting.export(conn, home)
    if ZONE_FILE in asked.accept:
        return Answer(found.zone.encode(), media=ZONE_FILE)
    return Answer(Exported(names.to_text(home), found.zone, found.signed, found.about))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/homes/{name}/export", summary="Take everything of a home along, or its zone file.",
        tag="homes", right=rights.HOMES_READ, own=True, answers={200: Exported}, gives=(JSON, ZONE_FILE), within=export,
    ),
)  # fmt: skip
