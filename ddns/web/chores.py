"""What the clock does: every half minute one desk of all does what is due, tenant by tenant, a bounded piece at a time.

Law: each piece is a transaction of its own, under a lock that one desk can have; a desk that dies in the middle has
done what it had committed, and the next round goes on. *now* is the desk's clock, never the database's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from twisted.logger import Logger

from ddns.homes import due, lapsing, telling
from ddns.ongoing import Ongoing
from ddns.signing.client import SignerClient
from ddns.store import desks, home_people, keyed_requests, pending_keys, statements, tenancy, tokens, told
from ddns.store.pool import Connection
from ddns.web.routes import Means
from ddns.web.transacting import NOBODY

log = Logger(namespace="ddns.chores")

EVERY = 30.0  # seconds between two rounds
AT_ONCE = 200  # rows of one kind in one transaction
PIECES = 50  # transactions of one kind and tenant in one round

Work = Callable[[Connection, Means, int], Awaitable[int]]  # returns how many rows it has dealt with


class Chore(msgspec.Struct, frozen=True):
    """One kind of thing that falls due. *work* deals with *most* of them at most, in the tenant's transaction."""

    name: str
    work: Work
    most: int = AT_ONCE


async def _forget_requests(conn: Connection, _means: Means, now: int) -> int:
    return await keyed_requests.forget(conn, now, AT_ONCE)


async def _forget_nonces(conn: Connection, _means: Means, now: int) -> int:
    return await statements.forget_nonces(conn, now, AT_ONCE)


async def _forget_tokens(conn: Connection, _means: Means, now: int) -> int:
    return await tokens.forget(conn, now, AT_ONCE)


async def _forget_pending(conn: Connection, _means: Means, now: int) -> int:
    return await pending_keys.forget(conn, now, AT_ONCE)


async def _free_labels(conn: Connection, _means: Means, now: int) -> int:
    return await home_people.free_labels(conn, now, AT_ONCE)


async def _let_evidence_lapse(conn: Connection, _means: Means, now: int) -> int:
    return await lapsing.lapse(conn, now, AT_ONCE)


async def _forget_told(conn: Connection, _means: Means, now: int) -> int:
    return await told.forget(conn, now, AT_ONCE)


async def _remind_of_claims(conn: Connection, _means: Means, now: int) -> int:
    return await telling.remind_of_claims(conn, now, AT_ONCE)


async def _tell_of_idle_homes(conn: Connection, _means: Means, now: int) -> int:
    return await telling.tell_of_idle_homes(conn, now, AT_ONCE)


async def _tell_of_signals(conn: Connection, _means: Means, now: int) -> int:
    return await telling.tell_of_signals(conn, await tenancy.current(conn), now)


async def _tell_of_quotas(conn: Connection, _means: Means, now: int) -> int:
    return await telling.tell_of_quotas(conn, await tenancy.current(conn), now)


Happening = Callable[[Connection, SignerClient, int, int, Callable[[], UUID]], Awaitable[int]]


def _event(happening: Happening) -> Work:
    """Return the chore of one event of the machine of ownership, which is one transaction each."""

    async def work(conn: Connection, means: Means, now: int) -> int:
        tenant = await tenancy.current(conn)
        return await happening(conn, means.signer, tenant, now, lambda: UUID(bytes=means.dice(16), version=4))

    return work


CHORES: tuple[Chore, ...] = (
    Chore("requests", _forget_requests),
    Chore("nonces", _forget_nonces),
    Chore("tokens", _forget_tokens),
    Chore("pending-keys", _forget_pending),
    Chore("labels", _free_labels),
    Chore("evidence", _let_evidence_lapse),
    Chore("claims", _event(due.decide_claim), most=1),
    Chore("recoveries", _event(due.finish_recovery), most=1),
    Chore("homes", _event(due.sweep_home), most=1),
    Chore("told", _forget_told),
    Chore("reminders", _remind_of_claims),
    Chore("idle-homes", _tell_of_idle_homes),
    Chore("signals", _tell_of_signals, most=telling.SIGNALS + 1),
    Chore("quotas", _tell_of_quotas),
)


class Chores:
    """Does rounds of *chores* until it is stopped."""

    def __init__(self, means: Means, chores: tuple[Chore, ...] = CHORES) -> None:
        self._means = means
        self._chores = chores
        self._ongoing = Ongoing()

    def start(self) -> None:
        """Begin with the first round."""
        self._ongoing.start(self._run())

    async def stop(self) -> None:
        """End; what is open is rolled back."""
        await self._ongoing.end()

    async def round(self) -> int:
        """Do what is due, for every tenant; return how many rows that were."""
        async with self._means.transaction(NOBODY) as conn:
            tenants = await desks.every_tenant(conn)
        return sum(
            [await self._whole(number, chore, one) for number, chore in enumerate(self._chores) for one in tenants]
        )

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - an outage or a bug: the next round tries again
                log.warn("chores.failed reason={reason}", reason=str(error).strip() or type(error).__name__)
            await asyncio.sleep(EVERY)

    async def _whole(self, number: int, chore: Chore, tenant: int) -> int:
        done = 0
        for _piece in range(PIECES):
            some = await self._piece(number, chore, tenant)
            done += some
            if some < chore.most:
                break
        if done:
            log.info("chores.done what={what} tenant={tenant} rows={rows}", what=chore.name, tenant=tenant, rows=done)
        return done

    async def _piece(self, number: int, chore: Chore, tenant: int) -> int:
        async with self._means.transaction(tenant) as conn:
            if not await desks.alone_with(conn, number):
                return 0
            return await chore.work(conn, self._means, self._means.now())
