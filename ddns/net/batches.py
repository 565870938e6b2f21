"""Verified updates on their way into the database: a queue in which keys take turns, and batches that share a commit.

Everything is bounded, and each request is finished once, after COMMIT (RFC 2136 §3.5). While one batch is at the
signer or in the commit, the next one gathers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

import msgspec
from psycopg import OperationalError
from twisted.logger import Logger

from ddns.auth.budget import BudgetLimits
from ddns.auth.principal import Credential
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.net.answers import Answer
from ddns.net.commits import commit_enrolment, commit_roll, commit_updates
from ddns.net.fair import FairQueue
from ddns.net.judging import DONE, TOO_OLD, Committed, Verified, repeated, to_store
from ddns.net.keyring import Keyring
from ddns.net.optimistic import Attempt, Optimist
from ddns.net.outbox import Together
from ddns.net.repeats import Repeats
from ddns.net.reply import Reply
from ddns.net.subscriber import Subscriber
from ddns.signing.client import SignerClient
from ddns.signing.publish import NO_SIGNER, Signs
from ddns.store import requests
from ddns.store.pool import Pool
from ddns.store.prompt import Prompt
from ddns.zone.dane import DEFAULT as DEFAULT_RULE
from ddns.zone.dane import Rule
from ddns.zone.lease import Terms
from ddns.zone.limits import Limits
from ddns.zone.update import Update

log = Logger(namespace="ddns.updates")

LINGER = 0.001  # seconds: a batch that follows a shared one waits so long for those who were just answered
SHARED = 4  # updates that make a batch a shared one
UNDER_WAY = 3  # batches of other zones at work while more than a batch waits: read, signed, or committed


AWAY = Answer.of(
    Refusal(
        "database-away",
        Rcode.SERVFAIL,
        "The registry's database is away; send the same message again in a moment.",
        Ede.NOT_READY,
    )
)
FAILED = Answer.of(
    Refusal("server-failed", Rcode.SERVFAIL, "This update failed here and nothing was changed; tell the registry.")
)


# Has something done when this turn's messages have been taken in, before the loop looks for more; False: not in a turn.
Afterwards = Callable[[Callable[[], None]], bool]


class UpdateLimits(msgspec.Struct, frozen=True):
    """Bounds of the queue: updates that wait, in all and of one key, updates in one commit, key look-ups, keys.

    *prune_every* (seconds) is how often answers whose signatures have expired are forgotten; *rule* is what zones
    demand of their TLSA records that say nothing else.
    """

    encrypted: bool = False
    waiting: int = 4096
    per_key: int = 1024
    at_once: int = 100
    lookups: int = 1024
    keys: int = 100_000
    prune_every: float = 60.0
    sig0_window: int = 3900
    allow_sha1: bool = False
    terms: Terms = Terms()
    rule: Rule = DEFAULT_RULE
    budget: BudgetLimits = BudgetLimits()


class Request:
    """A request whose signature was good: what came, from where, with whose key, and how to answer.

    *update* is None where the message is no update that can be read; *verified* is set when it is queued.
    """

    __slots__ = ("asker", "credential", "reply", "signature", "update", "verified", "wire")

    verified: Verified

    def __init__(
        self,
        wire: bytes,
        signature: TsigRecord | Sig0Record,
        credential: Credential,
        update: Update | None,
        asker: Asker,
        reply: Reply,
    ) -> None:
        self.wire = wire
        self.signature = signature
        self.credential = credential
        self.update = update
        self.asker = asker
        self.reply = reply


class Batches:
    """The queue of one worker. *finish* is called once for each request, with its answer."""

    def __init__(
        self,
        *,
        pool: Pool,
        subscriber: Subscriber,
        signer: SignerClient,
        keyring: Keyring,
        limits: Limits,
        bounds: UpdateLimits,
        clock: Callable[[], float],
        finish: Callable[[Request, Answer], None],
        optimist: Optimist | None = None,
        afterwards: Afterwards | None = None,
        together: Together = nullcontext,
    ) -> None:
        """Put it together; answers that are given while *together* is entered may leave at its end."""
        self._optimist = optimist
        self._pool = pool
        self._subscriber = subscriber
        self._signer = signer
        self._keyring = keyring
        self._limits = limits
        self._bounds = bounds
        self._clock = clock
        self._finish = finish
        self._queue: FairQueue[Request] = FairQueue(bounds.waiting, bounds.per_key)
        self._afterwards = afterwards
        self._together = together
        self._task: asyncio.Task[None] | None = None
        # What the task waits for when there is nothing to do, and whether it works or is about to.
        self._rest: Prompt[None] | None = None
        self._busy = False
        self._closing = False
        self._repeats: Repeats[Request] = Repeats()
        self._pruned = 0.0
        self._under_way: dict[asyncio.Task[None], frozenset[int | None]] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what was taken."""
        self._closing = True
        if self._rest is not None or self._queue:
            self._begin()
        while self._task is not None:
            await asyncio.wait([self._task])
        looking = list(self._looking)
        for one in looking:
            one.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def is_full(self, key: int) -> bool:
        """Tell whether there is no room for another update of the credential with the id *key*."""
        return self._queue.is_full(key)

    def has_room(self) -> bool:
        """Tell whether so few wait that more should be judged: a few commits' worth, so that none waits for long."""
        return len(self._queue) < UNDER_WAY * self._bounds.at_once

    def add(self, request: Request) -> None:
        """Take *request*, whose `verified` is set, where `is_full` says that there is room."""
        digest = request.verified.digest
        if request.verified.zone is not None:
            answer = self._repeats.answer(digest, self._clock())
            if answer is not None:
                self._finish(request, answer)
                return
            if self._repeats.joins(digest, request):
                return
            self._repeats.begin(digest)
        self._queue.add(request.credential.id, request)
        if not self._busy:
            self._busy = True
            if self._afterwards is None or not self._afterwards(self._begin):
                asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Have the task go on in this turn, where it waits for something to do."""
        self._busy = True
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.set_result(None)
        elif self._task is None:
            self._task = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._empty()
                self._busy = False
                if self._closing:
                    return
                rest = self._rest = Prompt(loop=loop)
                await rest
        finally:
            self._busy = False
            self._task = self._rest = None

    async def _empty(self) -> None:
        """Settle batch after batch until none waits and none is under way."""
        shared = False
        while self._queue or self._under_way:
            if not self._queue:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                continue
            if shared and len(self._queue) < self._bounds.at_once:
                # Clients that wait for each answer send again at once; together they cost one commit, not two.
                await asyncio.sleep(LINGER)
            batch = self._queue.take_many(self._bounds.at_once)
            shared = len(batch) >= SHARED
            zones = frozenset([one.verified.zone for one in batch])
            await self._until_free(zones)
            if len(self._queue) < self._bounds.at_once or any(one.verified.alone for one in batch):
                await self._settle(batch)
            else:
                task = asyncio.ensure_future(self._settle(batch))
                self._under_way[task] = zones
                task.add_done_callback(self._settled)
            if self._clock() >= self._pruned + self._bounds.prune_every:
                await self._prune()

    async def _until_free(self, zones: frozenset[int | None]) -> None:
        """Wait until no batch under way has any of *zones*, and not too many are: what is judged must be the latest."""
        while self._under_way and (
            len(self._under_way) >= UNDER_WAY
            or None in zones
            or any(not zones.isdisjoint(theirs) for theirs in self._under_way.values())
        ):
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _settled(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("updates.batch_failed reason={reason}", reason=repr(task.exception()))

    async def _settle(self, batch: list[Request]) -> None:
        ordinary = [one for one in batch if not one.verified.alone]
        alone = [one for one in batch if one.verified.alone] if len(ordinary) < len(batch) else ()
        try:
            if ordinary:
                await self._shortly(ordinary)
            for one in alone:
                await self._commit([one])
        finally:
            # Whatever went wrong, the same message is taken anew when it comes again.
            for one in batch:
                if one.verified.zone is not None:
                    self._repeats.end(one.verified.digest)

    async def _shortly(self, batch: list[Request]) -> None:
        """Commit *batch* the short way as far as that goes, and the rest the careful way."""
        if self._optimist is None:
            await self._commit(batch)
            return
        try:
            tried = await self._optimist.commit([one.verified for one in batch])
        except Exception as error:  # noqa: BLE001 - an outage is answered; a bug is said, and the careful way tried
            if _is_outage(error):
                self._fail(batch, AWAY, error)
                # It may be committed, and nobody else would tell this worker.
                zones = dict.fromkeys(one.verified.zone for one in batch if one.verified.zone is not None)
                looking = asyncio.ensure_future(self._catch_up(list(zones)))
                self._looking.add(looking)
                looking.add_done_callback(self._looking.discard)
                return
            log.failure("updates.optimist failed")
            tried = Attempt()
        if tried.done is not None:
            if len(tried.taken) == len(batch):
                await self._speak(batch, tried.done)
                return
            await self._speak([batch[place] for place in tried.taken], tried.done)
            taken = frozenset(tried.taken)
            batch = [one for place, one in enumerate(batch) if place not in taken]
        if batch:
            await self._commit(batch, NO_SIGNER if tried.unsigned else self._signer)

    async def _commit(self, batch: list[Request], signer: Signs | None = None) -> None:
        try:
            done = await self._committed(batch, signer or self._signer)
        except OSError as error:
            self._fail(batch, AWAY, error)
        except Exception as error:  # noqa: BLE001 - one bad update must not take its neighbours along
            if _is_outage(error):
                self._fail(batch, AWAY, error)
            elif len(batch) > 1:
                for one in batch:
                    await self._commit([one])
            else:
                log.failure("update.failed key={key}", key=names.to_text(batch[0].credential.name))
                self._fail(batch, FAILED, None)
        else:
            await self._speak(batch, done)

    async def _speak(self, batch: list[Request], done: Committed) -> None:
        """Show what is committed, and answer."""
        for name in done.keys:
            self._keyring.forget(name)
        behind = [*self._subscriber.show(done.editions), *done.behind]
        if behind:
            await self._catch_up(behind)
        with self._together() if len(batch) > 1 else nullcontext():
            for one, answer in zip(batch, done.answers, strict=True):
                self._end(one, answer, stored=answer.code != TOO_OLD.code)

    def _end(self, request: Request, answer: Answer, *, stored: bool) -> None:
        """Answer *request*, and those who sent the same; *stored*: the database has this answer for all who follow."""
        self._finish(request, answer)
        verified = request.verified
        if verified.zone is None:
            return
        again = repeated(to_store(answer)) if stored and answer is not DONE else answer
        if stored:
            self._repeats.remember(verified.digest, again, verified.expires)
        for one in self._repeats.end(verified.digest):
            self._finish(one, again)

    async def _committed(self, batch: list[Request], signer: Signs) -> Committed:
        async with self._pool.connection() as conn:
            if batch[0].verified.zone is None:
                return await commit_enrolment(conn, self._signer, batch[0].verified, int(self._clock()))
            if batch[0].verified.roll is not None:
                return await commit_roll(conn, signer, batch[0].verified, int(self._clock()))
            verified = [one.verified for one in batch]
            return await commit_updates(
                conn, signer, verified, self._limits, self._bounds.terms, rule=self._bounds.rule, clock=self._clock
            )

    async def _catch_up(self, zones: list[int]) -> None:
        try:
            await self._subscriber.catch_up(zones)
        except Exception:  # noqa: BLE001 - the commit stands; the feed's next comparison brings the table along
            log.failure("zones.catch_up failed")

    async def _prune(self) -> None:
        self._pruned = self._clock()
        try:
            async with self._pool.connection() as conn:
                await requests.prune(conn)
        except Exception:  # noqa: BLE001 - pruning can wait
            log.failure("requests.prune failed")

    def _fail(self, batch: list[Request], answer: Answer, error: BaseException | None) -> None:
        if error is not None:
            log.error("updates.away n={n} reason={reason}", n=len(batch), reason=str(error).strip())
        for one in batch:
            self._end(one, answer, stored=False)


def _is_outage(error: Exception) -> bool:
    """Tell whether *error* is the database's absence rather than a fault of one update."""
    return isinstance(error, OperationalError | TimeoutError)
