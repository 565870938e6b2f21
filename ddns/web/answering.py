"""Each wish is carried out once: a repeated statement, or Idempotency-Key, is answered as the first time.

Law: the row that remembers is inserted first in the transaction and gets its answer last, so a twin at the same time
waits for it, and a desk that is killed in between has done nothing. What is refused is not remembered: it may be cured.
Answers are kept sealed, for some of them hold a secret that is shown once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal
from ddns.proof.jws import Signed
from ddns.store import keyed_requests, statements
from ddns.store.pool import Connection
from ddns.web import refusing
from ddns.web.routes import Answer, Asked, Means, Refused

KEY_MOST = 128  # characters of an Idempotency-Key
DAY = 86_400  # seconds for which one is remembered
_PERSON = b"nameplate-answer"


class Before(Exception):
    """One of some statements was carried out before: the transaction must be rolled back, and each asked by itself."""


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """An answer as octets."""

    status: int
    media: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def octets_of(answer: Answer) -> bytes:
    """Return the body of *answer* as it is sent."""
    if answer.body is None:
        return b""
    return answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)


async def once(
    conn: Connection,
    means: Means,
    asked: Asked,
    signed: Signed,
    said: statements.Statement,
    work: Callable[[], Awaitable[Answer]],
) -> Answer:
    """Return what *work* answers to the statement *said*, or what it answered before. Raises `Refused`.

    The signatures have been verified; the transaction is that of the statement's tenant.
    """
    digest = signed.digest
    if not await statements.begin(conn, asked.tenant, [said]):
        kept = await statements.find(conn, digest)
        if kept is None or kept.signer != said.signer or not kept.status:
            raise Refused(
                Refusal(
                    "statement-replayed",
                    Rcode.REFUSED,
                    "Another statement with this jti, or these words by another key, was taken before; make a new one.",
                )
            )
        return _opened(means, digest, kept.answer)
    answer = await work()
    await statements.end(conn, [(digest, answer.status, _sealed(means, digest, answer))])
    return answer


async def together(
    conn: Connection,
    means: Means,
    tenant: int,
    said: Sequence[statements.Statement],
    work: Callable[[], Awaitable[Sequence[Answer]]],
) -> Sequence[Answer]:
    """Return what *work* answers to statements that nobody has made before, in their order.

    The signatures of all have been verified; the transaction is that of the *tenant* of them all. Raises `Before`.
    """
    if len(await statements.begin(conn, tenant, said)) < len(said):
        raise Before
    answers = await work()
    await statements.end(
        conn,
        [
            (one.digest, answer.status, _sealed(means, one.digest, answer))
            for one, answer in zip(said, answers, strict=True)
        ],
    )
    return answers


async def keyed(
    conn: Connection, means: Means, asked: Asked, key: str, request: bytes, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Return what *work* answers, or what it answered when *request* (octets) came with this *key* of the token before.

    Raises `Refused` where the key came with another request.
    """
    if not 0 < len(key) <= KEY_MOST or not key.isascii() or not key.isprintable():
        raise Refused(refusing.field_wrong(f"an Idempotency-Key has 1 to {KEY_MOST} printable ASCII characters"))
    token, digest = asked.who.token, hashlib.sha256(request).digest()
    kept = await keyed_requests.begin(conn, asked.tenant, token, key, digest, asked.now, asked.now + DAY)
    if kept is not None:
        if kept.digest != digest or not kept.status:
            raise Refused(refusing.idempotency_key_reused())
        return _opened(means, digest, kept.answer)
    answer = await work()
    await keyed_requests.end(conn, token, key, answer.status, _sealed(means, digest, answer))
    return answer


def _cipher(means: Means) -> AESSIV:
    return AESSIV(hashlib.blake2b(means.secret, person=_PERSON, digest_size=64).digest())


def _sealed(means: Means, digest: bytes, answer: Answer) -> bytes:
    stored = Stored(answer.status, answer.media, answer.headers, octets_of(answer))
    return _cipher(means).encrypt(msgspec.msgpack.encode(stored), [digest])


def _opened(means: Means, digest: bytes, octets: bytes) -> Answer:
    try:
        stored = msgspec.msgpack.decode(_cipher(means).decrypt(octets, [digest]), type=Stored)
    except InvalidTag:
        raise Refused(refusing.our_fault()) from None
    return Answer(stored.body, stored.status, stored.media, stored.headers)
