"""Answer the server's jobs: most from what is remembered, the others after a look into the database.

Law: nothing is written here. The server holds the zones of its jobs locked and commits what it is told; keys that were
made for a job are not remembered, because that commit may fail. A job that cannot be done says so in its
answer and does not touch its neighbours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
import psycopg

from ddns.dns import names
from ddns.dns.codes import Algorithm
from ddns.zone.jobs import Done, Job, PlainJob, PlainSigned, SignedJob, SignJob
from ddns.zone.plain import MOVING, moves
from zone_signer import keybook, store
from zone_signer import plan as plans
from zone_signer.chain import BrokenChain
from zone_signer.change import Change, Questions
from zone_signer.clockkeeper import ClockRefused
from zone_signer.denial import TYPES, NameTooLong
from zone_signer.first_keys import FirstKeys
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyring import Kept, KeyRing, ZoneKeys
from zone_signer.lookup import Lookup
from zone_signer.plan import BadZone, Plan
from zone_signer.policies import HOME
from zone_signer.policy import Policy
from zone_signer.proving import Prover
from zone_signer.sign import ClockBack, carry_out, check_clock
from zone_signer.vault import SEALED, VaultError

log = logging.getLogger("zone_signer")

REFUSALS = (BadZone, BrokenChain, ClockBack, NameTooLong, VaultError)  # their messages are sentences for people
SLICE = 0.005  # seconds of work before others get their turn
BIG = 300  # names; a job with more is worked out in a thread
POLICIES = 30.0  # seconds after which a batch that is no small one reads the policies anew


class Pool(Protocol):
    """What lends connections: `ddns.store.pool.Pool`."""

    def connection(self) -> AbstractAsyncContextManager[store.Conn]:
        """Lend one."""


class _Task:
    """A job on its way: its keys, what it has worked out, and its answer."""

    __slots__ = ("answer", "change", "job", "keys", "whole")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.keys: ZoneKeys | None = None
        self.change: Change | None = None
        self.whole = isinstance(job, SignJob) and job.whole
        self.answer: Done | None = None

    def is_slow(self, first: KeyPolicy) -> bool:
        """Tell whether to sign it whole takes long: *first* is the policy of keys that are made for it."""
        if self.keys is not None:
            return self.keys.blocks
        return first.vault != SEALED or Algorithm.RSASHA256 in (first.algorithm, getattr(self.job, "algorithm", 0))

    def fail(self, reason: str) -> None:
        self.answer = failed(self.job, reason)


def failed(job: Job, reason: str) -> Done:
    """Return the answer to *job* that says in one sentence why it was not done."""
    kind = PlainSigned if isinstance(job, PlainJob) else SignedJob
    return kind(job.zone, error=reason)


def _attempt(task: _Task, work: Callable[..., None], *arguments: object) -> None:
    """Do *work* for a task that has no answer yet; what goes wrong becomes its answer."""
    if task.answer is not None:
        return
    try:
        work(*arguments)
    except REFUSALS as error:
        task.fail(str(error))
    except Exception:
        log.exception("signer.bug zone=%s", names.to_text(task.job.origin))
        task.fail(f"the signer failed at {names.to_text(task.job.origin)}; its log says where")


class Signer:
    """Signs jobs with the keys of *ring*; reads from *pool*; *clock* gives seconds since 1970.

    *lookup*: reads keys in the thread that needs them; without it the loop does.
    """

    def __init__(
        self,
        ring: KeyRing,
        pool: Pool,
        clock: Callable[[], float] = time.time,
        lookup: Lookup | None = None,
    ) -> None:
        self.prover = Prover(ring, lookup, clock)
        self._lookup = lookup
        self._ring = ring
        self._pool = pool
        self._read_at = -POLICIES
        self._clock = clock

    @property
    def is_held(self) -> bool:
        """Tell whether nothing is signed now because the clock is not believed."""
        try:
            self._clock()
        except ClockRefused:
            return True
        return False

    def at_once(self, jobs: Sequence[Job]) -> tuple[PlainSigned, ...] | None:
        """Answer *jobs* where nothing but keys may be needed; None: `sign` must look further, or say what is wrong.

        This is the way of nearly all updates: a signature for each RRset that changed and one for the SOA. It may be
        called in any thread, which waits where keys are not remembered.
        """
        try:
            now = int(self._clock())
        except ClockRefused:
            return None  # `sign` says so
        remembered = self._ring.get
        plain: list[PlainJob] = []
        known: list[ZoneKeys | None] = []
        for job in jobs:
            if not isinstance(job, PlainJob):
                return None
            plain.append(job)
            known.append(remembered(job.zone, job.origin, job.keyset))
        if None in known and not self._look_up(plain, known, now):
            return None
        done = []
        try:
            for job, keys in zip(plain, known, strict=True):
                if keys is None or now < keys.newest:
                    return None
                done.append(self._plain(job, keys, now))
        except VaultError:
            return None  # a token is away: `sign` says so, job by job
        return tuple(done)

    def _look_up(self, jobs: Sequence[PlainJob], known: list[ZoneKeys | None], now: int) -> bool:
        """Put into *known* the keys of those *jobs* that have none there; tell whether there was an answer."""
        if self._lookup is None:
            return False
        unknown = [at for at, keys in enumerate(known) if keys is None]
        try:
            kept = self._lookup.keys([jobs[at].zone for at in unknown], now)
            for at in unknown:
                job = jobs[at]
                found = kept.get(job.zone)
                if found is not None and found.keyset == job.keyset:
                    known[at] = self._ring.open(job.zone, job.origin, found)
        except (OSError, psycopg.Error, VaultError):
            return False  # `sign` says what is wrong, and with which job
        return True

    def _plain(self, job: PlainJob, keys: ZoneKeys, now: int) -> PlainSigned:
        """Sign a job in which only data changed."""
        origin, policy = job.origin, self._signatures(keys)
        for one in job.rrsets:
            if one.type in MOVING and moves(origin, one.name, one.type):
                return PlainSigned(job.zone, error=f"type {one.type} is not signed without a look at the whole zone")
        inception, expiration = policy.window(origin, 0, now, spread=False)
        sigs = keys.sign(job.rrsets, inception, expiration)
        keys.newest = max(keys.newest, inception)
        return PlainSigned(job.zone, sigs, policy.due(expiration))

    def _signatures(self, keys: ZoneKeys) -> Policy:
        return self._ring.policies.named(keys.policy).signatures

    def _signed(self, job: SignJob, keys: ZoneKeys, plan: Plan, now: int) -> SignedJob:
        policy = self._signatures(keys)
        done = carry_out(plan, keys, policy, now)
        keys.newest = max(keys.newest, now - policy.backdate)
        return SignedJob(job.zone, done.added, plan.drop, plan.old, resign_at=done.resign_at)

    async def sign(self, jobs: Sequence[Job]) -> tuple[Done, ...]:
        """Answer *jobs* in their order."""
        tasks = [_Task(job) for job in jobs]
        try:
            now = int(self._clock())
        except ClockRefused as error:
            return tuple(failed(job, str(error)) for job in jobs)
        try:
            await self._find_keys(tasks, now)
            turn = time.monotonic()
            for task in tasks:
                await self._do(task, self._begin, now)
                if time.monotonic() - turn > SLICE:
                    await asyncio.sleep(0)
                    turn = time.monotonic()
            await self._read(tasks)
            for task in tasks:
                if task.answer is None and task.whole:
                    await self._sign_whole(task, now)
                    if time.monotonic() - turn > SLICE:
                        await asyncio.sleep(0)
                        turn = time.monotonic()
        except (OSError, psycopg.Error) as error:
            log.warning("signer.database_away reason=%s", " ".join(str(error).split()))
            for task in tasks:
                if task.answer is None:
                    task.fail("the signer cannot reach its database")
        for task in tasks:
            if task.answer is None:
                await self._do(task, self._finish, now)
        return tuple(task.answer or failed(task.job, "the signer lost this job") for task in tasks)

    @staticmethod
    async def _do(task: _Task, work: Callable[[_Task, int], None], now: int) -> None:
        """Do *work* for a task here, or in a thread where its keys let everybody wait."""
        if task.keys is not None and task.keys.blocks:
            await asyncio.to_thread(_attempt, task, work, task, now)
        else:
            _attempt(task, work, task, now)

    async def _find_keys(self, tasks: Sequence[_Task], now: int) -> None:
        unknown = []
        for task in tasks:
            if isinstance(task.job, SignJob) and task.job.denial not in TYPES:
                task.fail(f"{names.to_text(task.job.origin)} is not to be signed")
            elif not task.whole:
                task.keys = self._ring.get(task.job.zone, task.job.origin, task.job.keyset)
                if task.keys is None:
                    unknown.append(task)
        if not unknown:
            await self._read_policies()
            return
        zones = [task.job.zone for task in unknown]
        async with self._pool.connection() as conn:
            await self._read_policies(conn)
            found = await store.keys_kept(conn, zones, now)
        for task in unknown:
            _attempt(task, self._open, task, found.get(task.job.zone))

    async def _read_policies(self, conn: store.Conn | None = None) -> None:
        """Read the policies now and then; without the database those that are known hold."""
        tick = time.monotonic()
        if tick < self._read_at + POLICIES:
            return
        self._read_at = tick
        if conn is not None:
            self._ring.policies.learn(await keybook.policies(conn))
            return
        try:
            async with self._pool.connection() as lent:
                self._ring.policies.learn(await keybook.policies(lent))
        except (OSError, psycopg.Error) as error:
            log.warning("signer.policies_stay reason=%s", " ".join(str(error).split()))

    def _open(self, task: _Task, kept: Kept | None) -> None:
        job = task.job
        if kept is None:
            task.fail(f"{names.to_text(job.origin)} has no signing key yet")
        elif kept.keyset != job.keyset:
            task.fail(f"the keys of {names.to_text(job.origin)} are moving; it is signed by the signer's own loop")
        else:
            task.keys = self._ring.open(job.zone, job.origin, kept)

    def _begin(self, task: _Task, now: int) -> None:
        """Work out what the change is; one that needs nothing from the database is signed at once."""
        if task.whole:
            return
        assert task.keys is not None
        check_clock(task.job.origin, task.keys.newest, now)
        if isinstance(task.job, PlainJob):
            task.answer = self._plain(task.job, task.keys, now)
            return
        task.change = Change(task.job, task.keys.records.types)
        asked = task.change.questions()
        if not asked:
            self._finish(task, now)

    async def _read(self, tasks: Sequence[_Task]) -> None:
        """Read for all jobs together until none of them asks any more."""
        while True:
            asking: list[tuple[_Task, SignJob, Questions]] = []
            for task in tasks:
                _attempt(task, self._ask, task, asking)
            if not asking:
                return
            async with self._pool.connection() as conn:
                answers = await store.answers(conn, [(job.zone, job.denial, asked) for _, job, asked in asking])
            for (task, _, asked), answer in zip(asking, answers, strict=True):
                assert task.change is not None
                _attempt(task, task.change.learn, asked, answer)

    @staticmethod
    def _ask(task: _Task, asking: list[tuple[_Task, SignJob, Questions]]) -> None:
        if task.whole or task.change is None or not isinstance(task.job, SignJob):
            return
        asked = task.change.questions()
        if asked.everything:
            task.whole = True
        elif asked:
            asking.append((task, task.job, asked))

    async def _sign_whole(self, task: _Task, now: int) -> None:
        """Sign a zone that is entirely in the job, or one of which a change moves everything."""
        job = task.job
        assert isinstance(job, SignJob)
        records = {}
        published: plans.Published = {}
        if not job.whole:
            async with self._pool.connection() as conn:
                records = (await store.stored(conn, [job.zone])).get(job.zone, {})
                published = (await store.published(conn, [job.zone]))[job.zone]
        records.update({node.name: node.after for node in job.nodes})
        if len(records) > BIG or task.is_slow(self._ring.policies.named(HOME)):
            await asyncio.to_thread(_attempt, task, self._whole, task, records, published, now)
        else:
            _attempt(task, self._whole, task, records, published, now)

    def _whole(self, task: _Task, records: plans.Records, published: plans.Published, now: int) -> None:
        job = task.job
        assert isinstance(job, SignJob)
        first: FirstKeys | None = None
        if job.whole:  # servers make homes and no other zones
            rules = self._ring.policies.named(HOME)
            first = FirstKeys.make(self._ring.vault, job.origin, job.algorithm, rules, now, is_home=True)
            task.keys = first.keys
        assert task.keys is not None
        keys, policy = task.keys, self._signatures(task.keys)
        plan = plans.whole(job.origin, job.denial, records, keys.records, published, policy, now)
        if not job.whole:
            # The server keeps the zone's date of renewal: nothing made here may fall due before it.
            plan = msgspec.structs.replace(plan, spread=False)
        done = carry_out(plan, keys, policy, now)
        keys.newest = max(keys.newest, now - policy.backdate)
        made, ds = (first.sealed, first.ds) if first is not None else ((), ())
        task.answer = SignedJob(job.zone, done.added, plan.drop, plan.old, made, ds, done.resign_at)

    def _finish(self, task: _Task, now: int) -> None:
        assert isinstance(task.job, SignJob)
        assert task.change is not None
        assert task.keys is not None
        task.answer = self._signed(task.job, task.keys, task.change.plan(), now)
