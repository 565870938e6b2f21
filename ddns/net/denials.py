"""Have the signer sign what compact zones say of names that are not in them, for questions that wait for it.

Law: whoever asks for names that nobody has asked for pays with tokens, of its own network's and of the worker's, before
anything is signed; those whose address is proved, by a stream or a cookie, from purses that nobody can empty who only
claims an address, and what a wildcard answers from others than what does not exist. Questions for the same name wait
for one signature. At every bound the question is turned away at
once: nothing that a zone holds waits for this, nor what it says without signatures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from itertools import islice

import msgspec
from twisted.logger import Logger

from ddns.answer.online import Need, NeedSigned, Proofs
from ddns.auth.budget import Buckets, prefix
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.signing.client import SignerAway, SignerClient
from ddns.zone.jobs import ProofJob, Proven

log = Logger(namespace="ddns.denials")

AT_ONCE = 64  # names that the signer is asked for together: some five milliseconds of its time
BURST = 2  # seconds' worth of tokens that a purse holds
PURSES = 65536  # networks that are counted at a time
SAID = 10.0  # seconds between two lines in the log about what the signer refused, or that it is away

Key = tuple[object, bytes, int]


class DenialLimits(msgspec.Struct, frozen=True):
    """How many names are signed a second, for all askers and for *each* network.

    Of those for all, half are for proved addresses, and half of either for what wildcards answer.
    *waiting* bounds the questions that wait, *wait* (seconds) how long, *memory* (octets) what is remembered.
    """

    rate: float = 2000.0
    each: float = 100.0
    waiting: int = 512
    wait: float = 1.0
    memory: int = 16 * 1024 * 1024


class Outcome(Enum):
    """What came of a question's wait."""

    SIGNED = "it can be answered now"
    BUSY = "Too many denials are being signed here; ask again in a moment."
    AWAY = "The signer, which signs what does not exist, is away; ask again in a moment."
    REFUSED = "What does not exist in this zone cannot be signed just now; ask again in a moment."


Waiter = Callable[[Outcome], None]


class _Question:
    """One that waits for the RRsets *left*."""

    __slots__ = ("left", "then")

    def __init__(self, left: set[Key], then: Waiter) -> None:
        self.left = left
        self.then = then


class Denials:
    """What one worker has *signer* sign, into *proofs*; *clock* gives seconds that only grow."""

    def __init__(
        self,
        signer: SignerClient,
        proofs: Proofs,
        limits: DenialLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._signer = signer
        self._proofs = proofs
        self._limits = limits
        self._clock = clock
        self._networks = Buckets(BURST * limits.each, limits.each, PURSES)
        # Of those whose address is proved and of the others, for what wildcards answer and for what is not there.
        self._all = Buckets(max(BURST * limits.rate / 4, 1.0), limits.rate / 4, 4)
        self._waiting = 0
        self._waiters: dict[Key, list[_Question]] = {}
        self._queue: dict[Key, tuple[Need, float]] = {}  # not asked for yet, with the end of their wait, in its order
        self._work: asyncio.Task[None] | None = None
        self._said = -SAID

    def need(self, needed: NeedSigned, asker: Asker, then: Waiter) -> None:
        """Have *needed* signed for a question of *asker*, and call *then*, maybe at once."""
        fresh = {need.key: need for need in needed.needs if need.key not in self._waiters}
        wild = [need.wildcard != b"" for need in fresh.values()]
        if self._waiting >= self._limits.waiting or not self._pay(asker, wild):
            then(Outcome.BUSY)
            return
        self._waiting += 1
        question = _Question({need.key for need in needed.needs}, then)
        end = self._clock() + self._limits.wait
        for key in question.left:
            self._waiters.setdefault(key, []).append(question)
        for key, need in fresh.items():
            self._queue[key] = need, end
        if self._work is None and self._queue:
            self._work = asyncio.ensure_future(self._ask_on())

    async def close(self) -> None:
        """Ask for nothing more, and end the connection."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        await self._signer.close()

    def _pay(self, asker: Asker, wild: Sequence[bool]) -> bool:
        """Pay for so many names, each by a wildcard or not; nothing where there is not enough for all."""
        now = self._clock()
        proved = asker.verified or asker.transport.stream
        network = prefix(asker.source), proved
        paid: list[tuple[Buckets, Hashable]] = []
        for one in wild:
            for purse, owner in ((self._networks, network), (self._all, (proved, one))):
                if not purse.take(owner, now):
                    for other, whose in paid:
                        other.give_back(whose)
                    return False
                paid.append((purse, owner))
        return True

    async def _ask_on(self) -> None:
        try:
            while needs := self._next():
                await self._ask(needs)
        finally:
            self._work = None

    def _next(self) -> list[Need]:
        """Return what is asked for next; what has waited for too long is given up."""
        now = self._clock()
        late = []
        for key, (_, end) in self._queue.items():
            if end > now:
                break
            late.append(key)
        for key in late:
            del self._queue[key]
            self._settle(key, Outcome.AWAY)
        keys = list(islice(self._queue, AT_ONCE))
        return [self._queue.pop(key)[0] for key in keys]

    async def _ask(self, needs: Sequence[Need]) -> None:
        asked: dict[tuple[int, int, object], list[Need]] = {}
        for need in needs:
            asked.setdefault((need.zone_id, need.edition, need.mark), []).append(need)
        groups = list(asked.values())
        outcome = Outcome.AWAY
        try:
            answers = await self._signer.prove([_job(group) for group in groups])
            for group, answer in zip(groups, answers, strict=True):
                self._take(group, answer)
        except SignerAway as error:
            self._say("denials.signer_away reason={reason}", reason=str(error))
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, and the next question tries again
            log.failure("denials.failed")
            outcome = Outcome.REFUSED
        for need in needs:
            self._settle(need.key, outcome)  # who has not been told yet

    def _take(self, group: Sequence[Need], answer: Proven) -> None:
        """Keep what was signed, and have those go on who wait for it."""
        if answer.error:
            origin = names.to_text(group[0].origin)
            self._say("denials.refused zone={zone} reason={reason}", zone=origin, reason=answer.error)
        all_sigs = ((),) * len(group) if answer.error else answer.sigs
        for need, sigs in zip(group, all_sigs, strict=True):
            if sigs:
                self._proofs.put(need, need.made(sigs), answer.until)
            self._settle(need.key, Outcome.SIGNED if sigs else Outcome.REFUSED)

    def _settle(self, key: Key, outcome: Outcome) -> None:
        for question in self._waiters.pop(key, ()):
            if key not in question.left:
                continue  # told already
            question.left.discard(key)
            if outcome is not Outcome.SIGNED:
                question.left.clear()
            if not question.left:
                self._waiting -= 1
                self._tell(question, outcome)

    @staticmethod
    def _tell(question: _Question, outcome: Outcome) -> None:
        try:
            question.then(outcome)
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, nobody else notices
            log.failure("denials.answer_failed")

    def _say(self, line: str, **values: str) -> None:
        now = self._clock()
        if now >= self._said + SAID:
            self._said = now
            log.warn(line, **values)


def _job(group: Sequence[Need]) -> ProofJob:
    first = group[0]
    return ProofJob(first.zone_id, first.origin, first.edition, first.ttl, tuple([need.asked() for need in group]))
