"""Homes: found by pages, looked at, held with a reason and released, with what happened to them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.homes import knowing
from ddns.operator import holding, looking, search
from ddns.operator.fault import CannotDo
from ddns.operator.looking import Look
from ddns.proof import b64
from ddns.store import home_exports, home_look, home_search
from ddns.store.home_search import Wanted
from ddns.store.pool import Connection
from ddns.web import paging, refusing
from ddns.web.invitation_routes import Moment, read_name, the_registry
from ddns.web.paging import Cursor, Limit, Next
from ddns.web.rights import HOMES_HOLD, HOMES_READ
from ddns.web.routes import Answer, Asked, Means, Refused, Route
from ddns.zone import srp

State = Literal["active", "suspended", "quarantined", "closed"]


class HomeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which homes are looked for: all of what is said."""

    text: Annotated[str, msgspec.Meta(max_length=63, description="How labels begin, as people read them.")] = ""
    state: Literal["", "active", "suspended", "quarantined", "closed"] = ""
    owner: Annotated[str, msgspec.Meta(max_length=36, description="An owner's id.")] = ""
    device: Annotated[str, msgspec.Meta(max_length=64, description="A box's digest, hexadecimal.")] = ""
    since: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="Made after that, seconds since 1970.")] = 0
    zone: Annotated[str, msgspec.Meta(max_length=255, description="In this zone of the registry.")] = ""
    limit: Limit = paging.USUAL
    after: Cursor = ""


class HomeFound(msgspec.Struct, frozen=True):
    """A home in a list."""

    home: str
    unicode: Annotated[str, msgspec.Meta(description="Its label as people read it.")]
    state: State
    reason: str
    kind: str
    owner: str | None
    device: str | None
    since: Moment


class HomeFoundPage(msgspec.Struct, frozen=True):
    """Some homes, in the order of their labels as people read them."""

    homes: list[HomeFound]
    next: Next


class KeyShown(msgspec.Struct, frozen=True):
    """A live key of a home, and where it was used last."""

    name: str
    kind: str
    algorithm: str
    tag: int
    assurance: str
    evidence: str
    since: Moment
    until: Moment | None
    used_at: Moment | None
    used_from: str


class OwnerKeyShown(msgspec.Struct, frozen=True):
    """A live key of a home's owner, by its thumbprint (RFC 7638)."""

    role: str
    thumbprint: str
    since: Moment


class PendingKeyShown(msgspec.Struct, frozen=True):
    """A key that waits for the owner's approval; its gateway shows the same thumbprint (RFC 7638)."""

    thumbprint: str
    tag: int
    algorithm: int
    seen_at: Moment
    until: Moment


class HomeShown(msgspec.Struct, frozen=True):
    """A home, whose it is, its keys, and what waits."""

    home: str
    unicode: str
    state: State
    reason: str
    kind: str
    owner: str | None
    owner_keys: list[OwnerKeyShown]
    device: str | None
    came_by: str
    since: Moment
    serial: int
    published: Annotated[bool, msgspec.Meta(description="False: the last change waits for the signer.")]
    keys: list[KeyShown]
    pending_keys: list[PendingKeyShown]
    claim_due_at: Annotated[Moment | None, msgspec.Meta(description="Somebody claims its box; object before.")]


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a home is to be held, and why."""

    hold: Literal["suspended", "quarantined", "none"]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=400, description="Its owner reads it.")]


class Held(msgspec.Struct, frozen=True):
    """A home that is held, or released; *changed* false: it was so already."""

    home: str
    hold: Literal["suspended", "quarantined", "none"]
    changed: bool


class EventShown(msgspec.Struct, frozen=True):
    """One thing that happened to a home."""

    number: int
    at: Moment
    event: str
    who: str
    before: str
    after: str
    why: str


class History(msgspec.Struct, frozen=True):
    """What happened to a home, in order."""

    events: list[EventShown]
    next: Next


async def find(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return a page of the tenant's homes, or of those of the owner whose token it is."""
    said: HomeQuery = asked.query
    if asked.who.home is not None:
        raise Refused(refusing.right_missing(HOMES_READ))  # a home's token reads that home, by its name
    try:
        owner = search.read_owner(said.owner) or asked.who.owner
        if asked.who.owner not in (None, owner):
            raise Refused(refusing.not_found())
        wanted = Wanted(
            asked.tenant, search.read_text(said.text), said.state, owner,
            search.read_digest(said.device), said.since or None,
            (await the_registry(conn, said.zone)).id if said.zone else None,
        )  # fmt: skip
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error).rstrip("."))) from None
    zone, _, label = (paging.opened(means, asked, "homes") or b"0 ").decode().partition(" ")
    found = await home_search.page(conn, wanted, (label, int(zone)), said.limit + 1)
    shown = found[: said.limit]
    more = len(found) > said.limit
    following = paging.sealed(means, asked, "homes", f"{shown[-1].zone} {shown[-1].shown}".encode()) if more else ""
    return Answer(
        HomeFoundPage(
            [
                HomeFound(
                    names.to_text(one.name), one.shown, _state(one.state), one.reason, one.kind,
                    str(one.owner) if one.owner else None, str(one.device) if one.device else None, one.created_at,
                )
                for one in shown
            ],
            following,
        )
    )  # fmt: skip


def _state(text: str) -> State:
    state: State = msgspec.convert(text, State)
    return state


async def own_home(conn: Connection, asked: Asked) -> Name:
    """Return the home of the path. Raises `Refused` where the tenant has none, or the token is for others."""
    name = read_name(asked.path["name"])
    home = await home_look.home(conn, name)
    who = asked.who
    if (
        home is None
        or (who.home is not None and who.home != home.zone)
        or (who.owner is not None and who.owner != home.owner)
    ):
        raise Refused(refusing.not_found())
    return name


async def show(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return what there is to say about a home."""
    return Answer(_shown(await looking.look(conn, await own_home(conn, asked), asked.now)))


def _shown(found: Look) -> HomeShown:
    home = found.home
    return HomeShown(
        names.to_text(home.name),
        home.label,
        _state(home.state),
        home.reason,
        home.kind,
        str(home.owner) if home.owner else None,
        [OwnerKeyShown(one.role, b64.encode(one.thumbprint), one.since) for one in found.people],
        str(home.device) if home.device else None,
        home.came,
        home.created_at,
        found.zone.serial,
        not found.zone.signed_pending,
        [
            KeyShown(
                names.to_text(one.name), one.kind, one.algorithm, one.tag, one.assurance, one.method, one.created_at,
                one.expires_at, one.used_at, one.used_from,
            )
            for one in found.keys
            if one.kind != srp.POLICY
        ],
        [
            PendingKeyShown(b64.encode(knowing.thumbprint_of(one.key)), one.tag, one.algorithm, one.seen_at, one.until)
            for one in found.pending
        ],
        found.claim_due_at,
    )  # fmt: skip


async def hold(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Hold a home, or release it."""
    wish: Hold = asked.body
    name = await own_home(conn, asked)
    state = holding.RELEASED if wish.hold == "none" else wish.hold
    done = await holding.hold(conn, means.signer, name, state, wish.reason, asked.who.principal, asked.now)
    return Answer(Held(names.to_text(name), wish.hold, done is not None))


async def history(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Return a page of what happened to a home."""
    home = await home_look.home(conn, await own_home(conn, asked))
    if home is None:
        raise Refused(refusing.not_found())
    said: paging.Page = asked.query
    what = f"history {home.zone}"
    start = int(paging.opened(means, asked, what) or b"0")
    found = await home_exports.events(conn, home.zone, start, said.limit + 1)
    shown = found[: said.limit]
    following = paging.sealed(means, asked, what, str(shown[-1].id).encode()) if len(found) > said.limit else ""
    return Answer(
        History(
            [EventShown(one.id, one.at, one.event, one.who, one.before, one.after, one.why) for one in shown], following
        )
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/homes", summary="Find homes, a page at a time.", tag="homes", right=HOMES_READ,
        query=HomeQuery, answers={200: HomeFoundPage}, within=find, own=True,
    ),
    Route(
        method="GET", path="/v1/homes/{name}", summary="Look at a home.", tag="homes", right=HOMES_READ,
        answers={200: HomeShown}, within=show, own=True,
    ),
    Route(
        method="PATCH", path="/v1/homes/{name}", summary="Hold a home, or release it, with a written reason.",
        tag="homes", right=HOMES_HOLD, body=Hold, answers={200: Held}, within=hold,
    ),
    Route(
        method="GET", path="/v1/homes/{name}/history", summary="Read what happened to a home.", tag="homes",
        right=HOMES_READ, query=paging.Page, answers={200: History}, within=history, own=True,
    ),
)  # fmt: skip
