"""`POST /v1/statements`: one door for all that owners, gateways, boxes and claimants sign, but a wish for a home.

A statement that was taken before is answered as it was then, and nothing is done twice.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import ownership_guards as guard
from ddns.homes import stating, vendor_keys
from ddns.homes.carrying import Outcome
from ddns.homes.minting import Minted
from ddns.homes.stating import Asking
from ddns.proof import b64, jwk, jws, statements
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import AnnounceKey, AnyStatement, Claim, Enrol, Recover, Token
from ddns.store import desks
from ddns.store.pool import Connection
from ddns.store.statements import Statement
from ddns.web import answering, token_routes
from ddns.web.routes import JOSE, Answer, Asked, Listener, Means, Refused, Route
from ddns.web.token_routes import TokenMade

_ID = 16  # octets of a UUID


class MintedKey(msgspec.Struct, frozen=True):
    """A shared secret that was made: it is told this once."""

    name: Annotated[str, msgspec.Meta(description="The key's name, as TSIG says it (RFC 8945).")]
    algorithm: str
    secret: Annotated[str, msgspec.Meta(description="Base64.")]
    expires: Annotated[int, msgspec.Meta(description="Seconds since 1970.")]


class Done(msgspec.Struct, frozen=True):
    """What has happened, and how home and box are now."""

    event: str
    home: Annotated[str, msgspec.Meta(description="The home's full name; empty: it is about none.")]
    state: Annotated[str, msgspec.Meta(description="How the home is; `none` where it is about none.")]
    box: Annotated[str, msgspec.Meta(description="How the box is that it was about.")]
    published: Annotated[bool, msgspec.Meta(description="False: it is done, and is published in a moment.")]
    due: Annotated[int | None, msgspec.Meta(description="Until when is waited, in seconds since 1970.")] = None
    key: MintedKey | None = None


# What somebody may say whom nobody knows: that it was carried out makes nobody known.
FROM_STRANGERS = (AnnounceKey, Claim, Recover)


async def say(means: Means, asked: Asked) -> Answer:
    """Do what is signed; the same statement again gets the same answer."""
    with means.verifying.bill(asked.source) as bill:
        signed = jws.read(asked.octets)
        bill.by(signed)
        said = statements.read(signed)
        if isinstance(said, Enrol):
            raise Refused(
                Refusal("act-elsewhere", Rcode.REFUSED, "A wish for a home is taken at /v1/enrol; send it there.")
            )
        keys = statements.signers(said, signed)
    return await _do(means, asked, signed, said, keys)


async def announce(means: Means, asked: Asked) -> Answer:
    """Have a gateway's new key be known, and trusted with nothing before its owner approves it."""
    with means.verifying.bill(asked.source) as bill:
        signed = jws.read(asked.octets)
        bill.by(signed)
        said = statements.read(signed)
        if not isinstance(said, AnnounceKey):
            raise Refused(
                Refusal(
                    "act-elsewhere", Rcode.REFUSED, "Only `announce-key` is taken here; send this to /v1/statements."
                )
            )
        keys = statements.signers(said, signed)
    return await _do(means, asked, signed, said, keys)


async def _do(means: Means, asked: Asked, signed: Signed, said: AnyStatement, keys: tuple[PublicJwk, ...]) -> Answer:
    statements.timely(said, asked.now)
    tenant = await _tenant(means, asked, said)
    asked = msgspec.structs.replace(asked, tenant=tenant)
    kept = Statement(signed.digest, jwk.thumbprint(keys[0]), said.jti, said.act, asked.octets, asked.now, said.exp)
    try:
        async with means.transaction(tenant) as conn:

            async def work() -> Answer:
                return await _work(conn, means, asked, signed, said, keys)

            answer = await answering.once(conn, means, asked, signed, kept, work)
    except Refused as refused:
        if refused.refusal.code == guard.vendor_has_no_say().code:
            # What was refused is undone, so that it was tried is written down by itself.
            async with means.transaction(tenant) as conn:
                await vendor_keys.note_refused(conn, statements.home_of(said), said.act, keys, asked.now)
        raise
    if not isinstance(said, FROM_STRANGERS):
        means.verifying.done(asked.source, keys[0])
    return answer


async def _tenant(means: Means, asked: Asked, said: AnyStatement) -> int:
    """Return whose transaction it is: the home's tenant's, else whose server was asked; nothing is answered from it."""
    home = statements.home_of(said)
    if home is None:
        return asked.tenant
    async with means.transaction(0) as conn:
        found = await desks.tenant_of(conn, names.order_key(home))
    return asked.tenant if found is None else found


async def _work(
    conn: Connection, means: Means, asked: Asked, signed: Signed, said: AnyStatement, keys: tuple[PublicJwk, ...]
) -> Answer:
    asking = Asking(
        tenant=asked.tenant, now=asked.now, secret=means.secret, new_id=lambda: UUID(bytes=means.dice(_ID), version=4),
        source=asked.source, sealer=means.sealer, dice=means.dice,
    )  # fmt: skip
    if isinstance(said, Token):
        mine = await stating.reader(conn, said, keys, asking)
        if isinstance(mine, Refusal):
            raise Refused(mine)
        return await token_routes.own(conn, means, asked, mine.owner, mine.home)
    done = await stating.answer(conn, means.signer, said, signed, keys, asking)
    if isinstance(done, Refusal):
        raise Refused(done)
    return Answer(_shown(done, said.sub))


def _shown(done: Outcome, home: str) -> Done:
    key = None if done.minted is None else _key(done.minted)
    return Done(done.event, home, str(done.home), str(done.box), not done.pending, done.until, key)


def _key(minted: Minted) -> MintedKey:
    secret = b64.plain(minted.secret.reveal())
    return MintedKey(names.to_text(minted.name), minted.algorithm, secret, minted.expires_at)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/statements",
        summary="Do what an owner, a gateway, a box or a claimant has signed.", tag="statements", right=None,
        answers={200: Done, 201: TokenMade}, alone=say, media=(JOSE,), listener=Listener.BOTH,
    ),
    Route(
        method="POST", path="/v1/keys/announce",
        summary="Show a gateway's new key, which waits for its owner's approval.", tag="statements", right=None,
        answers={200: Done}, alone=announce, media=(JOSE,), listener=Listener.BOTH,
    ),
)  # fmt: skip
