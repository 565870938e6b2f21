"""`POST /v1/enrol`: a gateway's signed wish for a home, by whichever method its tenant takes."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import enrolment
from ddns.homes.methods import Method, Wish, table
from ddns.homes.methods.invitation import bearer
from ddns.proof import jwk, jws, statements
from ddns.proof.statements import Enrol
from ddns.store import invitation_secrets
from ddns.store.pool import Connection
from ddns.store.statements import Statement
from ddns.web.making_queue import Enrolling
from ddns.web.routes import JOSE, Answer, Asked, Listener, Means, Place, Refused, Route


class Update(msgspec.Struct, frozen=True):
    """Where this server takes what a gateway sends; a port 0 is none."""

    name: Annotated[str, msgspec.Meta(description="The server's name.")]
    dns: Annotated[int, msgspec.Meta(description="The port for DNS over UDP and TCP.")]
    tls: Annotated[int, msgspec.Meta(description="The port for DNS over TLS.")]
    web: Annotated[int, msgspec.Meta(description="The port for HTTPS.")]


class Enrolled(msgspec.Struct, frozen=True):
    """The home that has come to be, and all that its gateway needs to know."""

    home: Annotated[str, msgspec.Meta(description="Its full name; the gateway's key is called so, too.")]
    unicode: Annotated[str, msgspec.Meta(description="Its first label as people write it.")]
    registry: Annotated[str, msgspec.Meta(description="The zone of its registry.")]
    servers: Annotated[list[str], msgspec.Meta(description="The registry's name servers, which take its updates.")]
    assurance: Annotated[str, msgspec.Meta(description="How sure the registry is of who holds the key.")]
    published: Annotated[bool, msgspec.Meta(description="False: it is made, and is published in a moment.")]
    update: Annotated[Update, msgspec.Meta(description="Where it goes on.")]


async def enrol(means: Means, asked: Asked) -> Answer:
    """Make a home for who has proved enough; the same wish again gets the same answer."""
    method, wish, tenant = await read(means, asked)
    signed, said = wish.signed, wish.said
    kept = Statement(signed.digest, jwk.thumbprint(wish.gateway), said.jti, said.act, asked.octets, asked.now, said.exp)
    asked = msgspec.structs.replace(asked, tenant=tenant)

    async def asking(_conn: Connection) -> tuple[Method, Wish]:
        return method, wish

    def told(done: enrolment.Enrolled) -> Answer:
        return Answer(shown(done, means.place), 201)

    answer = await means.enrolments.enrol(Enrolling(asked, signed, kept, asking, told))
    means.verifying.done(asked.source, wish.gateway)
    if wish.owner is not None:
        means.verifying.done(asked.source, wish.owner)
    return answer


async def read(means: Means, asked: Asked, *, accepted: bool = True) -> tuple[Method, Wish, int]:
    """Return the wish in a request, its method, and the tenant whose home it would be. Raises `Refused` and `BadProof`.

    Unless it is *accepted* already, the owner whom it names may have yet to sign.
    """
    with means.verifying.bill(asked.source) as bill:
        signed = jws.read(asked.octets)
        bill.by(signed)
        said = statements.read(signed)
        if not isinstance(said, Enrol):
            raise Refused(
                Refusal("act-elsewhere", Rcode.REFUSED, "Only `enrol` is taken here; send this to /v1/statements.")
            )
        keys = statements.signers(said, signed, accepted=accepted)
        statements.timely(said, asked.now)
        method = table.by_name(means.sealer, means.secret, means.place.name).get(said.method)
        if method is None:
            raise Refused(
                Refusal(
                    "method-not-allowed-here",
                    Rcode.REFUSED,
                    f"Homes here do not enrol by {said.method}; ask the registry for an invitation.",
                    Ede.PROHIBITED,
                )
            )
        wish = Wish(signed, said, keys[0], keys[1] if len(keys) > 1 else None)
        refusal = method.cheap(wish, asked.now)
        if refusal is not None:
            raise Refused(refusal)
    return method, wish, await _tenant(means, asked, wish)


async def _tenant(means: Means, asked: Asked, wish: Wish) -> int:
    """Return whose home it would be: who gave the invitation, where there is one; else whose server was asked."""
    key = bearer(wish.signed)
    if key is None:
        return asked.tenant
    async with means.transaction(0) as conn:
        found = await invitation_secrets.sealed(conn, key)
    return asked.tenant if found is None else found.tenant


def shown(done: enrolment.Enrolled, place: Place) -> Enrolled:
    """Return what a gateway is told of its home."""
    return Enrolled(
        names.to_text(done.home), done.shown, names.to_text(done.registry), list(done.servers), done.assurance,
        done.published, Update(place.name, place.dns, place.tls, place.web),
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/enrol",
        summary="Enrol a gateway: a signed wish, by an invitation or another method, becomes a home.",
        tag="enrolment",
        right=None,
        answers={201: Enrolled},
        alone=enrol,
        media=(JOSE,),
        listener=Listener.BOTH,
    ),
)
