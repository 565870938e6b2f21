"""What is shown before anybody accepts: where a box may enrol, and which name its home would get.

Law: who asks for a name has to prove as much as who enrols, and is told no more: why a name cannot be had follows from
public rules, or is not said. Nothing is kept for anybody, nothing is spent, and no proof asks often.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import enrolment
from ddns.homes.methods import Method, Proved, Wish, scanned
from ddns.store import registries as stored
from ddns.store.pool import Connection
from ddns.web import enrol_routes, refusing
from ddns.web.routes import JOSE, Answer, Asked, Listener, Means, Refused, Route


class OfferQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name than the one that is wished for, to see whether it can be had."""

    label: Annotated[str, msgspec.Meta(max_length=252, description="Empty: the one in the wish, or any.")] = ""


class Offered(msgspec.Struct, frozen=True):
    """The name that the home would get now; it is not kept for anybody."""

    home: Annotated[str, msgspec.Meta(description="Its full name.")]
    unicode: Annotated[str, msgspec.Meta(description="Its first label as people write it.")]
    registry: Annotated[str, msgspec.Meta(description="The zone of its registry.")]


class RegistryShown(msgspec.Struct, frozen=True):
    """A zone of homes in which the code on a box is enough."""

    zone: str
    labels: Annotated[str, msgspec.Meta(description="Who names a home: `chosen`, `allocated` or `both`.")]


class Registries(msgspec.Struct, frozen=True):
    """The zones of those by whose server name it was asked, by name."""

    registries: list[RegistryShown]


async def offer(means: Means, asked: Asked) -> Answer:
    """Say which name a wish would get, that its gateway has signed, and its owner has perhaps not yet."""
    method, wish, tenant = await enrol_routes.read(means, asked, accepted=False)
    if asked.query.label:
        wish = msgspec.structs.replace(wish, said=msgspec.structs.replace(wish.said, label=asked.query.label))
    async with means.transaction(tenant) as conn:
        _pay(means, asked, await _proved(conn, method, wish, asked.now))
        found = await enrolment.judge(conn, method, wish, tenant, asked.now, means.dice)
    if isinstance(found, Refusal):
        raise Refused(found)
    origin = found.registry.origin
    home = names.prepend(found.label.wire, origin)
    return Answer(Offered(names.to_text(home), found.label.shown, names.to_text(origin)))


async def _proved(conn: Connection, method: Method, wish: Wish, now: int) -> Proved:
    proved = await method.prove(conn, wish, now)
    if isinstance(proved, Refusal):
        raise Refused(proved)
    return proved


def _pay(means: Means, asked: Asked, proved: Proved) -> None:
    """Have who proved something pay for one offer: an invitation, a box, or else the address. Raises `Refused`."""
    who: tuple[str, object] = ("source", asked.source)
    if proved.spend.invitation is not None:
        who = ("invitation", proved.spend.invitation)
    elif proved.device is not None:
        who = (proved.device.kind, proved.device.digest)
    wait = means.rations.offer(who)
    if wait:
        raise Refused(refusing.too_many_requests(), wait)


async def registries(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Return the zones in which a box may enrol by its code."""
    found = await stored.taking(conn, asked.tenant, scanned.NAME)
    return Answer(Registries([RegistryShown(names.to_text(zone), who) for zone, who in found]))


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/labels/offer", summary="See which name a signed wish for a home would get.",
        tag="enrolment", right=None, query=OfferQuery, answers={200: Offered}, alone=offer, media=(JOSE,),
        listener=Listener.BOTH,
    ),
    Route(
        method="GET", path="/v1/registries", summary="List the zones in which a box enrols by the code on it.",
        tag="enrolment", right=None, answers={200: Registries}, within=registries,
    ),
)  # fmt: skip
