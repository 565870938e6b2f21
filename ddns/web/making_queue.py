"""Homes that are asked for at the same time come to be together: their enrolments share a transaction and its commit.

Law: each is answered by itself, after COMMIT, and is a statement and a line of history of its own. What many do not
bring about together each does alone, so nobody's fault is another's. While one lot of a tenant's is at work the next
one gathers; who goes away leaves the line, or has his home made and its answer remembered if the work has begun.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import msgspec
from psycopg import errors
from twisted.logger import Logger

from ddns.dns.refusal import Refusal
from ddns.homes import enrolment, labels
from ddns.homes.enrolment import Enrolled, Judged, Ready
from ddns.homes.making import Collided, NoRegistry
from ddns.homes.methods import Method, Wish
from ddns.proof.bad import BadProof
from ddns.proof.jws import Signed
from ddns.store.pool import Connection
from ddns.store.statements import Statement
from ddns.store.tenancy import entered
from ddns.web import answering, refusing
from ddns.web.routes import Answer, Asked, Means, Refused

log = Logger(namespace="ddns.web")

AGAIN = 4  # times that an enrolment is begun anew where somebody was quicker with a name that was made here
LATER = 5  # seconds after which who finds the line full may come again

_QUICKER = (Collided, NoRegistry, errors.UniqueViolation, errors.DeadlockDetected)

Asking = Callable[[Connection], Awaitable[tuple[Method, Wish]]]


class GatherLimits(msgspec.Struct, frozen=True):
    """So many enrolments *at_once* share a transaction, which waits for them for *gather* seconds; *waiting* in all.

    *seconds* is how long one transaction may take.
    """

    at_once: int = 32
    gather: float = 0.005
    waiting: int = 256
    seconds: float = 10.0


class Enrolling(msgspec.Struct, frozen=True):
    """An enrolment whose signatures are good: as it is remembered, what it wants of whom, and how it is answered.

    *asking* tells the method and the wish; it may read in the transaction, and raises `Refused` or `BadProof`.
    """

    asked: Asked
    signed: Signed
    kept: Statement
    asking: Asking
    told: Callable[[Enrolled], Answer]


class _Place(msgspec.Struct, frozen=True, eq=False):
    """A place in the line."""

    one: Enrolling
    done: asyncio.Future[Answer]


class MakingQueue:
    """The lines of one desk, one for each tenant."""

    def __init__(self, means: Means, limits: GatherLimits) -> None:
        self._means = means
        self._limits = limits
        self._lines: OrderedDict[int, list[_Place]] = OrderedDict()
        self._at_work: set[asyncio.Task[None]] = set()
        self._waiting = 0

    async def enrol(self, one: Enrolling) -> Answer:
        """Return the answer to *one* once its home is made. Raises `Refused` and `BadProof`."""
        if self._waiting >= self._limits.waiting:
            raise Refused(refusing.desk_busy(), LATER)
        tenant = one.asked.tenant
        place = _Place(one, asyncio.get_running_loop().create_future())
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = []
            task = asyncio.ensure_future(self._serve(tenant, line))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        line.append(place)
        self._waiting += 1
        try:
            return await place.done
        finally:
            self._waiting -= 1
            if place in line:
                line.remove(place)

    async def stop(self) -> None:
        """Give up what is at work; it is rolled back."""
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        for line in self._lines.values():
            for place in line:
                place.done.cancel()

    async def _serve(self, tenant: int, line: list[_Place]) -> None:
        """Work until the line of *tenant* is empty."""
        await asyncio.sleep(self._limits.gather)
        while line:
            lot, line[:] = line[: self._limits.at_once], line[self._limits.at_once :]
            try:
                await self._lot(tenant, lot)
            finally:
                for one in lot:
                    one.done.cancel()  # of those who have no answer: the desk ends
        del self._lines[tenant]

    async def _lot(self, tenant: int, lot: Sequence[_Place]) -> None:
        rest = list(lot)
        if len(lot) > 1:
            try:
                async with asyncio.timeout(self._limits.seconds):
                    rest = await self._together(tenant, lot)
            except Exception as error:  # noqa: BLE001 - whatever it is, only whose fault it is shall have it
                log.debug("enrolments.apart reason={reason}", reason=type(error).__name__)
        await asyncio.gather(*map(self._alone, rest))

    async def _together(self, tenant: int, lot: Sequence[_Place]) -> list[_Place]:
        """Make the homes of *lot* in one transaction, and return who is left: those who would be refused."""
        means, made = self._means, list[_Place]()
        answers: Sequence[Answer] = ()
        async with means.transaction(tenant) as conn:
            judged: list[Judged] = []
            for one in lot:
                found = await self._judged(conn, one.one)
                if found is not None:
                    made.append(one)
                    judged.append(found)
            if made:
                answers = await answering.together(
                    conn, means, tenant, [one.one.kept for one in made], lambda: self._carry_out(conn, made, judged)
                )
        for one, answer in zip(made, answers, strict=True):
            if not one.done.done():
                one.done.set_result(answer)
        return [one for one in lot if one not in made]

    async def _judged(self, conn: Connection, one: Enrolling) -> Judged | None:
        """Return what can be made of *one*, as far as reading tells; why nothing can it is told when it is alone."""
        means, asked = self._means, one.asked
        try:
            method, wish = await one.asking(conn)
            found = await enrolment.judge(conn, method, wish, asked.tenant, asked.now, means.dice)
        except (Refused, BadProof):
            await entered(conn, asked.tenant)  # wherever it was when it was refused; the transaction goes on for others
            return None
        return found if isinstance(found, Judged) else None

    async def _carry_out(self, conn: Connection, lot: Sequence[_Place], judged: Sequence[Judged]) -> Sequence[Answer]:
        """Make the homes of *lot*, those of one registry's zone at a time, in the order in which zones are locked."""
        means, asked = self._means, lot[0].one.asked
        ready: list[tuple[int, Ready]] = []
        for place, found in enumerate(judged):
            one = await enrolment.prepare(conn, found, asked.tenant, lot[place].one.asked.now, means.dice)
            if isinstance(one, Refusal):
                raise Refused(one)
            ready.append((place, one))
        answers: dict[int, Answer] = {}
        ready.sort(key=lambda one: one[1].judged.registry.id)
        for _, group in groupby(ready, key=lambda one: one[1].judged.registry.id):
            mine = list(group)
            done = await enrolment.carry_out(conn, means.signer, [one for _, one in mine], asked.tenant, asked.now)
            for (place, _), home in zip(mine, done, strict=True):
                if isinstance(home, Refusal):
                    raise Refused(home)
                answers[place] = lot[place].one.told(home)
        return [answers[place] for place in range(len(lot))]

    async def _alone(self, place: _Place) -> None:
        """Carry out one enrolment in a transaction of its own, or answer it as before."""
        if place.done.done():
            return
        try:
            async with asyncio.timeout(self._limits.seconds):
                answer = await self._once(place.one)
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            _fail(place, error)
        else:
            if not place.done.done():
                place.done.set_result(answer)

    async def _once(self, one: Enrolling) -> Answer:
        means, asked = self._means, one.asked
        for _ in range(AGAIN):
            try:
                async with means.transaction(asked.tenant) as conn:

                    async def work() -> Answer:
                        method, wish = await one.asking(conn)
                        done = await enrolment.enrol(
                            conn, means.signer, method, wish, asked.tenant, asked.now, means.dice
                        )
                        if isinstance(done, Refusal):
                            raise Refused(done)
                        return one.told(done)

                    return await answering.once(conn, means, asked, one.signed, one.kept, work)
            except _QUICKER:
                continue
        raise Refused(labels.unavailable())


def _fail(place: _Place, error: Exception) -> None:
    if not place.done.done():
        place.done.set_exception(error)
