"""The courier: brings notices to webhooks, at least once, signed, and again later where nobody took them.

Law: a delivery is claimed and committed before it is sent, and marked after; no transaction is open while somebody else
is waited for. A courier that is killed leaves its claims to the next one a minute later, which sends the same id again.
Signatures are those of Standard Webhooks: HMAC-SHA256 over id, time and body, so receivers find a library for them.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID

from psycopg import Error as DatabaseError
from twisted.logger import Logger

from ddns import __version__
from ddns.auth.principal import Secret
from ddns.auth.sealing import BadSeal, Sealer
from ddns.operator import webhooks as hooks
from ddns.store import outbox, webhooks
from ddns.store.outbox import Notice
from ddns.store.pool import Connection
from ddns.store.webhooks import Due, Webhook
from ddns.web import posting
from ddns.web.posting import Answered

log = Logger(namespace="ddns.web")

AT_ONCE = 32  # webhooks that are spoken to at a time; each has one delivery at a time
LOOK_EVERY = 2.0  # seconds between two looks while nothing is due
CLAIM = 60  # seconds for which a claimed delivery is nobody else's; well over `posting.TIME`
FIRST_WAIT, LONGEST_WAIT = 60, 6 * 3600  # seconds between two tries, doubling
GIVE_UP = 3 * 86_400  # seconds after which a webhook that takes nothing is stopped
GONE = 410  # it wants to be told no more (RFC 9110 §15.5.11)
_FORGET_EVERY = 3600  # seconds
_FORGET_AT_ONCE = 1000

Transaction = Callable[[int], AbstractAsyncContextManager[Connection]]


def wait_after(tries: int) -> int:
    """Return the seconds between try number *tries* and the next."""
    return min(FIRST_WAIT << min(tries - 1, 16), LONGEST_WAIT)


def body_of(notice: Notice) -> bytes:
    """Return *notice* as it is sent: its kind, when it was, and what there is to say."""
    at = datetime.fromtimestamp(notice.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {"type": notice.kind, "timestamp": at, "data": json.loads(notice.body)}, separators=(",", ":")
    ).encode()


def headers_of(ident: str, body: bytes, secret: Secret, now: int) -> tuple[tuple[str, str], ...]:
    """Return the headers that say which delivery it is, and prove who sends it."""
    signed = hmac.digest(secret.reveal(), f"{ident}.{now}.".encode() + body, hashlib.sha256)
    return (
        ("Content-Type", "application/json"),
        ("User-Agent", f"nameplate/{__version__}"),
        ("webhook-id", ident),
        ("webhook-timestamp", str(now)),
        ("webhook-signature", f"v1,{base64.b64encode(signed).decode()}"),
    )


class Courier:
    """Looks for what is due, and sends it."""

    def __init__(
        self, transaction: Transaction, sealer: Sealer, now: Callable[[], int], *, private: bool,
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._transaction = transaction
        self._sealer = sealer
        self._now = now
        self._private = private
        self._context = context or ssl.create_default_context()
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._forget_at = 0

    async def run(self) -> None:
        """Go on until it is cancelled; what is being sent then is claimed by the next one."""
        try:
            while True:
                started = await self._look()
                if not started:
                    await self._wait()
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def once(self) -> int:
        """Send what is due now and wait for the outcome; return how many deliveries were tried."""
        started = await self._started()
        await asyncio.gather(*self._busy.values())
        return started

    async def _wait(self) -> None:
        """Wait for a webhook that becomes free, and no longer than until the next look."""
        if self._busy:
            await asyncio.wait(self._busy.values(), timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> int:
        try:
            await self._forget()
            return await self._started()
        except (DatabaseError, OSError, TimeoutError) as error:
            log.warn("webhook.waits for the database: {problem}", problem=type(error).__name__)
            return 0

    async def _started(self) -> int:
        free = AT_ONCE - len(self._busy)
        if free <= 0:
            return 0
        async with self._transaction(0) as conn:
            found = await webhooks.due(conn, self._now(), tuple(self._busy), free)
        for one in found:
            task = asyncio.create_task(self._bring(one))
            self._busy[one.webhook] = task
            task.add_done_callback(functools.partial(self._done, one.webhook))
        return len(found)

    def _done(self, webhook: UUID, task: asyncio.Task[None]) -> None:
        if self._busy.get(webhook) is task:
            del self._busy[webhook]

    async def _forget(self) -> None:
        now = self._now()
        if now >= self._forget_at:
            async with self._transaction(0) as conn:
                gone = await outbox.forget(conn, now, _FORGET_AT_ONCE)
            self._forget_at = now if gone == _FORGET_AT_ONCE else now + _FORGET_EVERY

    async def _bring(self, one: Due) -> None:
        try:
            taken = await self._claim(one)
            if taken is None:
                return
            webhook, notice, tries = taken
            answered = await self._send(webhook, notice)
            await self._note(one, notice, tries, answered)
        except (DatabaseError, OSError, TimeoutError) as error:
            # The claim ends by itself, and then somebody sends it again.
            log.warn("webhook.unmarked id={id}: {problem}", id=str(one.webhook), problem=type(error).__name__)

    async def _claim(self, one: Due) -> tuple[Webhook, Notice, int] | None:
        now = self._now()
        async with self._transaction(one.tenant) as conn:
            tries = await webhooks.claim(conn, one, now, now + CLAIM)
            if tries is None:
                return None
            webhook = await webhooks.find(conn, one.tenant, one.webhook)
            notice = await outbox.get(conn, one.notice)
        return None if webhook is None or notice is None else (webhook, notice, tries)

    async def _send(self, webhook: Webhook, notice: Notice) -> Answered:
        try:
            secret = self._sealer.open(hooks.seal_name(webhook.id), webhook.secret)
        except BadSeal:
            return Answered(0, "its secret was sealed with another key; remove it and add it again")
        body = body_of(notice)
        return await posting.post(
            hooks.read_url(webhook.url), headers_of(f"notice-{notice.id}", body, secret, self._now()), body,
            self._context, private=self._private,
        )  # fmt: skip

    async def _note(self, one: Due, notice: Notice, tries: int, answered: Answered) -> None:
        now = self._now()
        async with self._transaction(one.tenant) as conn:
            if answered.taken:
                await webhooks.delivered(conn, one, now)
            elif answered.status == GONE or now - notice.at >= GIVE_UP:
                await webhooks.stop(conn, one, answered.problem)
            else:
                await webhooks.failed(conn, one, now + wait_after(tries), answered.problem)
        outcome = "delivered" if answered.taken else "failed"
        log.info(
            "webhook.{outcome} id={id} notice={notice} try={tries}", outcome=outcome, id=str(one.webhook),
            notice=one.notice, tries=tries,
        )  # fmt: skip
