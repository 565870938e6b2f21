"""A child's UPDATE about its own delegation (draft-ietf-dnsop-delegation-mgmt-via-ddns), from its key to the commit.

Law: the signature was good before anything comes here, and its key is that of the home that it is called by. All of the
message, or none of it: NOERROR after COMMIT; REFUSED with the rule's sentence, and nothing has changed; SERVFAIL where
nobody can tell in time, and the same message may come again. What is checked from outside takes seconds, so it stands
in nobody's way: so many at a time, one for each home, and copies of one wait along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec.structs import replace
from psycopg import OperationalError, Rollback
from twisted.logger import Logger

from ddns.auth import verdicts
from ddns.auth.principal import Credential, Principal
from ddns.delegate import changing
from ddns.delegate.changing import Home
from ddns.delegate.scanning import Scanner
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.net.answers import Answer
from ddns.net.batches import AWAY, FAILED
from ddns.net.judging import DONE, Verified, repeated, to_store
from ddns.net.repeats import Repeats
from ddns.store import credentials, requests
from ddns.store.pool import Pool
from ddns.zone.child import Fault, ServerSaid
from ddns.zone.update import Update, prescan
from ddns.zone.wanted import Verb, Wanted, meant

log = Logger(namespace="ddns.delegation")

AT_ONCE = 8  # checks from outside that one worker has under way
SECONDS = 8.0  # for one of them
TTL = 3600  # seconds, of new glue

BUSY = Refusal(
    "delegation-busy",
    Rcode.SERVFAIL,
    "Servers of this home, or of too many others, are being checked; send the same message again in a moment.",
    Ede.NOT_READY,
)
SLOW = Refusal(
    "delegation-slow",
    Rcode.SERVFAIL,
    "The servers of this home took too long to answer; send the same message again.",
    Ede.NETWORK_ERROR,
)
PREREQUISITES = Refusal(
    "delegation-prerequisite",
    Rcode.REFUSED,
    "An update of a delegation is checked as a whole and takes no prerequisites; leave them out.",
    Ede.PROHIBITED,
)
_RULES = {
    "other-name": Refusal("delegation-other-name", Rcode.REFUSED, "", Ede.PROHIBITED),
    "other-type": Refusal("delegation-other-type", Rcode.REFUSED, "", Ede.PROHIBITED),
    "no-server": Refusal("delegation-no-server", Rcode.REFUSED, "", Ede.PROHIBITED),
    "too-many": Refusal("delegation-too-many", Rcode.REFUSED, "", Ede.PROHIBITED),
    "glue-outside": Refusal("delegation-glue-outside", Rcode.REFUSED, "", Ede.PROHIBITED),
    "no-address": Refusal("delegation-no-address", Rcode.REFUSED, "", Ede.PROHIBITED),
    "private": Refusal("delegation-private", Rcode.REFUSED, "", Ede.PROHIBITED),
    "digest": Refusal("delegation-digest", Rcode.REFUSED, "", Ede.PROHIBITED),
    "unsigned": Refusal("delegation-unsigned", Rcode.REFUSED, "", Ede.PROHIBITED),
    "lame": Refusal("delegation-lame", Rcode.REFUSED, "", Ede.NETWORK_ERROR),
    "differs": Refusal("delegation-differs", Rcode.REFUSED, "", Ede.INVALID_DATA),
    "ttl": Refusal("delegation-ttl", Rcode.REFUSED, "", Ede.INVALID_DATA),
    "bogus": Refusal("delegation-bogus", Rcode.REFUSED, "", Ede.DNSSEC_BOGUS),
    "hosted": Refusal("delegation-hosted", Rcode.REFUSED, "", Ede.PROHIBITED),
    "under-way": Refusal("delegation-under-way", Rcode.REFUSED, "", Ede.PROHIBITED),
    "too-soon": Refusal("delegation-too-soon", Rcode.REFUSED, "", Ede.PROHIBITED),
    "changed": Refusal("delegation-changed", Rcode.REFUSED, "", Ede.PROHIBITED),
}


def refused(fault: Fault) -> Refusal:
    """Return the refusal that says *fault*."""
    return replace(_RULES[fault.rule], text=fault.sentence)


class Taken(Protocol):
    """A request whose signature was good."""

    verified: Verified
    credential: Credential


Item = TypeVar("Item", bound=Taken)


class Receiver(Generic[Item]):
    """The delegation updates of one worker; *finish* is called once for each, with its answer.

    *hold* is the shortest time between two changes of one home, and *seconds* the longest for one check.
    """

    def __init__(
        self,
        pool: Pool,
        scanner: Scanner,
        finish: Callable[[Item, Answer], None],
        clock: Callable[[], float],
        *,
        hold: float,
        seconds: float = SECONDS,
    ) -> None:
        self._pool = pool
        self._scanner = scanner
        self._finish = finish
        self._clock = clock
        self._hold = hold
        self._seconds = seconds
        self._repeats: Repeats[Item] = Repeats()
        self._under_way: dict[Name, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Give up what is under way: nothing of it has changed, and whoever sent it sends it again."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, item: Item) -> None:
        """Take one request."""
        verified = item.verified
        answer = self._repeats.answer(verified.digest, self._clock())
        if answer is not None:
            self._finish(item, answer)
            return
        if self._repeats.joins(verified.digest, item):
            return
        home = item.credential.name
        if home in self._under_way or len(self._under_way) >= AT_ONCE:
            self._finish(item, Answer.of(BUSY))
            return
        self._repeats.begin(verified.digest)
        self._under_way[home] = asyncio.ensure_future(self._work(item))

    async def _work(self, item: Item) -> None:
        answer, stored = Answer.of(SLOW), False
        try:
            answer, stored = await self._answer(item.verified, item.credential)
        except (OperationalError, OSError) as error:
            log.warn("updates.away n=1 reason={reason}", reason=str(error).strip())
            answer = AWAY
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, answered SERVFAIL, nobody else notices
            log.failure("delegation.update_failed key={key}", key=names.to_text(item.credential.name))
            answer = FAILED
        finally:
            del self._under_way[item.credential.name]
            self._end(item, answer, stored=stored)

    def _end(self, item: Item, answer: Answer, *, stored: bool) -> None:
        verified = item.verified
        self._finish(item, answer)
        again = repeated(to_store(answer)) if stored and answer is not DONE else answer
        if stored:
            self._repeats.remember(verified.digest, again, verified.expires)
        for one in self._repeats.end(verified.digest):
            self._finish(one, again)

    async def _answer(self, one: Verified, credential: Credential) -> tuple[Answer, bool]:
        """Return the answer, and whether it is stored for those who send the same."""
        async with self._pool.connection() as conn:
            known = await requests.known(conn, [(one.digest, one.expires)])
            if one.digest in known:
                return repeated(known[one.digest]), True
            home = await changing.find(conn, credential.name)
        if home is None or home.registry != one.update.zone or home.zone != credential.home:
            return await self._refuse(one, None, verdicts.zone_removed(credential.name))
        wanted = _wanted(one.update, home)
        if isinstance(wanted, Refusal):
            return await self._refuse(one, None, wanted)
        fault = changing.refusal(home, wanted, self._hold, int(self._clock()))
        said: tuple[ServerSaid, ...] = ()
        if fault is None and wanted.verb in (Verb.LEAVE, Verb.CHANGE):
            try:
                async with asyncio.timeout(self._seconds):
                    checked = await self._scanner.check(
                        home.origin, home.registry, wanted.child, insecure=wanted.insecure
                    )
            except TimeoutError:
                return Answer.of(SLOW), False
            fault, said = checked.fault, checked.said
            if fault is not None and fault.rule == "lame" and any(one.problem.endswith("in time") for one in said):
                async with self._pool.connection() as conn:
                    await changing.note(conn, home.zone, "update", fault, said, int(self._clock()))
                return Answer.of(SLOW), False  # they may be quicker the next time
        if fault is not None:
            return await self._refuse(one, home, refused(fault), fault, said)
        return await self._write(one, credential, home, wanted, said)

    async def _write(
        self, one: Verified, credential: Credential, home: Home, wanted: Wanted, said: tuple[ServerSaid, ...]
    ) -> tuple[Answer, bool]:
        by = f"update {Principal(credential).label}"
        answer = DONE
        async with self._pool.connection() as conn, conn.transaction() as transaction:
            fault = await changing.write(conn, home, wanted, said, by, int(self._clock()))
            # Behind the lock: what another worker answered, and whether the key is good still, is known now.
            known = await requests.known(conn, [(one.digest, one.expires)])
            live = await credentials.by_ids(conn, [credential.id])
            if one.digest in known:
                answer = repeated(known[one.digest])
            elif not live:
                answer = Answer.of(verdicts.key_revoked(credential))
            elif fault is not None:
                answer = Answer.of(refused(fault))
            else:
                await requests.remember(conn, [(one.digest, to_store(answer), one.expires)])
            if answer is not DONE:
                raise Rollback(transaction)
        if answer is DONE:
            log.info("delegation.changed zone={zone} by={by}", zone=names.to_text(home.origin), by=by)
        return answer, answer is DONE

    async def _refuse(
        self,
        one: Verified,
        home: Home | None,
        refusal: Refusal,
        fault: Fault | None = None,
        said: tuple[ServerSaid, ...] = (),
    ) -> tuple[Answer, bool]:
        answer = Answer.of(refusal)
        async with self._pool.connection() as conn, conn.transaction():
            if home is not None and fault is not None and said:
                await changing.note(conn, home.zone, "update", fault, said, int(self._clock()))
            await requests.remember(conn, [(one.digest, to_store(answer), one.expires)])
        return answer, True


def _wanted(update: Update, home: Home) -> Wanted | Refusal:
    """Return what *update* means for *home*, as it is now."""
    if home.suspended:
        return verdicts.home_suspended(home.origin)
    if update.prerequisites or update.prerequisite_fault is not None:
        return update.prerequisite_fault or PREREQUISITES
    malformed = prescan(update)
    if malformed is not None:
        return malformed
    wanted = meant(home.origin, home.ours, home.their, update.operations, TTL)
    return refused(wanted) if isinstance(wanted, Fault) else wanted
