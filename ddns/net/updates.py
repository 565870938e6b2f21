"""The way of an UPDATE: who signed it, may they, and then the queue whose batches share one commit.

The order of work is that of RFC 8945 §5.2 and RFC 3007 §3: signature present and well-formed, key known,
rationed, verified, the key's rights, and only then the zone's content. Everything is bounded, and each
message is answered once, after COMMIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from psycopg import OperationalError
from twisted.logger import Logger

from ddns.answer.options import Options
from ddns.answer.table import Table
from ddns.auth import grants, sig0, tsig, verdicts
from ddns.auth.budget import Buckets, Budget, BudgetLimits
from ddns.auth.envelope import open_signed
from ddns.auth.identity import Identity
from ddns.auth.principal import Credential
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.net.admission import come_by_tcp, is_proved, truncated
from ddns.net.answers import Answer, answered, sig0_refused
from ddns.net.commits import Committed, Verified, commit_enrolment, commit_updates
from ddns.net.fair import FairQueue
from ddns.net.keyring import Keyring
from ddns.net.refusals import RefusalJournal
from ddns.net.reply import Reply
from ddns.net.services import Services
from ddns.net.subscriber import Subscriber
from ddns.signing.client import SignerClient
from ddns.store import requests
from ddns.store.pool import Pool
from ddns.zone.lease import Terms
from ddns.zone.limits import Limits
from ddns.zone.srp import Registration
from ddns.zone.update import Update, parse

log = Logger(namespace="ddns.updates")

LINGER = 0.001  # seconds: a batch that follows a shared one waits so long for those who were just answered
EXPLAINED = 200  # refusals a second that are explained to strangers before their update is read whole
LOOKED_UP = 1000  # names of keys that nobody has, a second, that are looked up for strangers
TOLD = 10  # refusals logged a second; ten times as many in a burst
SHARED = 4  # updates that make a batch a shared one


BUSY_KEY = Refusal(
    "server-busy",
    Rcode.SERVFAIL,
    "Too many updates are waiting here; send this one again in a moment.",
    Ede.NOT_READY,
)
BUSY = Answer.of(BUSY_KEY)
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
CLEARTEXT = Answer.of(
    Refusal(
        "update-cleartext",
        Rcode.REFUSED,
        "Updates come here only encrypted; send this one by DNS over TLS to port 853.",
        Ede.PROHIBITED,
    )
)
RATIONED = Refusal(
    "sig0-rationed",
    Rcode.REFUSED,
    "Too many SIG(0) signatures to check from this key or place; send this again in a while.",
    Ede.BLOCKED,
)


# What is worth a line in the log; a prerequisite that does not hold is the client's own business.
_TOLD = frozenset({Rcode.FORMERR, Rcode.REFUSED, Rcode.NOTAUTH, Rcode.NOTZONE})


class UpdateLimits(msgspec.Struct, frozen=True):
    """Bounds of the queue: updates that wait, in all and of one key, updates in one commit, key look-ups, keys.

    *prune_every* (seconds) is how often answers whose signatures have expired are forgotten.
    """

    encrypted: bool = False
    waiting: int = 4096
    per_key: int = 1024
    at_once: int = 200
    lookups: int = 1024
    keys: int = 100_000
    prune_every: float = 60.0
    sig0_window: int = 3900
    allow_sha1: bool = False
    terms: Terms = Terms()
    budget: BudgetLimits = BudgetLimits()


class _Request:
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


class Updates:
    """The admission of updates and their queue, for one worker."""

    def __init__(
        self,
        *,
        pool: Pool,
        table: Table,
        subscriber: Subscriber,
        signer: SignerClient,
        keyring: Keyring,
        identity: Identity | None,
        limits: Limits,
        bounds: UpdateLimits,
        clock: Callable[[], float],
        journal: RefusalJournal | None = None,
        options: Options | None = None,
        heard: Callable[[str, bool], None] = lambda _source, _good: None,
    ) -> None:
        """Put it together; *heard* is told from where a signature came, and whether it was good."""
        self._pool = pool
        self._table = table
        self._subscriber = subscriber
        self._signer = signer
        self._limits = limits
        self._bounds = bounds
        self._clock = clock
        self._keyring = keyring
        self._identity = identity
        self._journal = journal
        self._options = options
        self._budget = Budget(bounds.budget)
        self._tsig_policy = tsig.Policy(sha1=bounds.allow_sha1)
        self._sig0_policy = sig0.Policy(width=bounds.sig0_window)
        # Hosts have purses of their own: they take nothing away from the gateway behind the same address.
        self._services = Services(keyring, Budget(bounds.budget), self._sig0_policy, clock)
        self._heard = heard
        self._queue: FairQueue[_Request] = FairQueue(bounds.waiting, bounds.per_key)
        self._task: asyncio.Task[None] | None = None
        self._pruned = 0.0
        self._told = Buckets(10 * TOLD, TOLD, 1)
        self._strangers = Buckets(LOOKED_UP, LOOKED_UP, 1)
        self._explained = Buckets(EXPLAINED, EXPLAINED, 1)
        self._untold = 0

    async def close(self) -> None:
        """Finish what was taken."""
        while self._task is not None:
            await asyncio.wait([self._task])

    # -- admission

    def receive(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        """Take one UPDATE message; *reply* is called once."""
        if self._bounds.encrypted and not asker.transport.encrypted:
            reply(answered(wire, CLEARTEXT, None, self._options, asker))
            self._note(CLEARTEXT, asker, None, None)
            return
        signature = open_signed(wire)
        if isinstance(signature, Refusal):
            self._refuse_unsigned(wire, signature, asker, reply)
            return
        name = signature.name if isinstance(signature, TsigRecord) else signature.signer

        proved = is_proved(asker)
        pays = not proved and not self._keyring.knows(name)
        if pays and not self._strangers.take(None, self._clock()):
            reply(come_by_tcp(wire))
            return

        def found(known: tuple[Credential, ...] | None) -> None:
            if known is None:
                reply(answered(wire, AWAY, None, self._options, asker))
                return
            if pays and known:
                self._strangers.give_back(None)  # only names that nobody has are to be scarce
            self._verify(wire, asker, signature, known, reply)

        if not self._keyring.find(name, found, proved=proved):
            reply(answered(wire, BUSY, None, self._options, asker))

    def _refuse_unsigned(self, wire: bytes, refusal: Refusal, asker: Asker, reply: Reply) -> None:
        update = parse(wire, self._limits) if refusal.rcode == Rcode.REFUSED else None
        if isinstance(update, Refusal):
            refusal = update  # unsigned and malformed: FORMERR says more
        read = update if isinstance(update, Update) else None
        reply(answered(wire, Answer.of(refusal), read, self._options, asker))
        self._note(Answer.of(refusal), asker, None, update)

    def _verify(
        self,
        wire: bytes,
        asker: Asker,
        signature: TsigRecord | Sig0Record,
        known: tuple[Credential, ...],
        reply: Reply,
    ) -> None:
        now, source = int(self._clock()), asker.source
        if isinstance(signature, TsigRecord):
            credential = tsig.candidate(signature, known)
            refusal = tsig.verify(signature, credential, now, self._tsig_policy)
            if refusal is not None or credential is None:
                assert refusal is not None
                answer = answered(wire, Answer.of(refusal), None, self._options, asker)
                if refusal.rcode != Rcode.FORMERR:
                    answer = tsig.reply(answer, signature, credential, now, refusal)
                reply(answer)
                self._log_refused(refusal.code, signature.name, source)
                self._note(Answer.of(refusal), asker, signature, None, credential)
                return
            update = parse(signature.message, self._limits)
        else:
            if self._is_hopeless(signature, known, asker) and not self._explained.take(None, self._clock()):
                reply(come_by_tcp(wire))
                return
            update = parse(signature.message, self._limits)

            def judged(checked: Credential | Refusal, registration: Registration | None) -> None:
                if isinstance(checked, Credential):
                    self._admit(wire, asker, signature, checked, update, reply, registration)
                    return
                read = update if isinstance(update, Update) else None
                octets = sig0_refused(wire, checked, read, self._options, asker)
                reply(truncated(octets) if checked is RATIONED and not is_proved(asker) else octets)
                self._log_refused(checked.code, signature.signer, source)
                meant = next(iter(sig0.candidates(signature, known)), None)
                self._note(Answer.of(checked), asker, signature, update, meant)

            if isinstance(update, Refusal) or not (
                is_proved(asker) and self._services.take(asker, signature, known, update, judged)
            ):
                judged(self._verify_sig0(signature, known, update, asker, now), None)
            return
        self._admit(wire, asker, signature, credential, update, reply, None)

    def _admit(
        self,
        wire: bytes,
        asker: Asker,
        signature: TsigRecord | Sig0Record,
        credential: Credential,
        update: Update | Refusal,
        reply: Reply,
        registration: Registration | None,
    ) -> None:
        """Queue what was signed well, unless zone and rights tell already that it will be refused."""
        now = int(self._clock())
        if registration is None:
            self._heard(asker.source, True)
        if isinstance(update, Refusal):
            self._finish(_Request(wire, signature, credential, None, asker, reply), Answer.of(update))
            return
        request = _Request(wire, signature, credential, update, asker, reply)
        refusal = self._zone_refusal(update, credential) if registration is None else None
        if refusal is not None:
            self._finish(request, Answer.of(refusal))
        elif self._queue.is_full(credential.id):
            self._finish(request, BUSY)
        else:
            self._enqueue(request, update, now, registration)

    def _verify_sig0(
        self,
        signature: Sig0Record,
        known: tuple[Credential, ...],
        update: Update | Refusal,
        asker: Asker,
        now: int,
    ) -> Credential | Refusal:
        """Do the cheap checks, then spend from the budget, then verify.

        That order keeps the costly step for those who could gain by it (CVE-2024-1975). What a key may do is told
        to nobody but its holder, so who has no right in the zone is verified too, and gets nothing back.
        """
        tried = sig0.candidates(signature, known)
        if not tried:
            return sig0.unknown_key(signature)
        refusal = sig0.in_time(signature, now, self._sig0_policy)
        if refusal is not None:
            return refusal
        if isinstance(update, Refusal):
            return update
        refusals = [self._zone_refusal(update, credential) for credential in tried]
        if all(refusals) and self._table.find(update.zone) is None:
            return refusals[0] or RATIONED
        if self._queue.is_full(tried[0].id):
            return BUSY_KEY
        moment, proved = self._clock(), is_proved(asker)
        if not self._budget.spend(signature.signer, asker.source, moment, proved=proved):
            return RATIONED
        checked = sig0.verify(signature, tried)
        if isinstance(checked, Refusal):
            self._heard(asker.source, False)
        elif not all(refusals):
            self._budget.refund(signature.signer, asker.source, moment, proved=proved)
        return checked

    def _is_hopeless(self, signature: Sig0Record, known: tuple[Credential, ...], asker: Asker) -> bool:
        """Tell before the update is read whether it is a stranger's who would not get as far as a verification."""
        if is_proved(asker):
            return False
        if not sig0.candidates(signature, known):
            return True
        if self._budget.could_spend(signature.signer, asker.source, self._clock()):
            return False
        self._heard(asker.source, False)
        return True

    def _enqueue(self, request: _Request, update: Update, now: int, registration: Registration | None) -> None:
        signature, credential = request.signature, request.credential
        if isinstance(signature, TsigRecord):
            digest, expires = tsig.digest(signature), signature.expires
        else:
            digest, expires = sig0.digest(signature), signature.expires(now)
        zone = self._table.find(update.zone) if credential.invitation is None else None
        request.verified = Verified(update, credential, zone, digest, expires + 1, registration)
        self._queue.add(credential.id, request)
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())

    def _zone_refusal(self, update: Update, credential: Credential) -> Refusal | None:
        """Refuse what the zone section and the key's rights forbid, before any content is looked at."""
        if credential.invitation is not None:
            return None  # what an invitation may do is asked under its own lock
        zone = self._table.find(update.zone)
        if zone is None:
            return verdicts.zone_unknown(update.zone)
        # Whether the zone is a home's is known under its lock; here the answer is only "surely not" or "perhaps".
        if grants.enters(credential, zone, update.zone, is_home=True):
            return None
        return grants.permitted(credential, zone, update.zone, (), is_home=True)

    # -- the queue

    async def _work(self) -> None:
        try:
            shared = False
            while self._queue:
                if shared and len(self._queue) < self._bounds.at_once:
                    # Clients that wait for each answer send again at once; together they cost one commit, not two.
                    await asyncio.sleep(LINGER)
                batch = self._queue.take_many(self._bounds.at_once)
                shared = len(batch) >= SHARED
                enrolments = [one for one in batch if one.verified.zone is None]
                ordinary = [one for one in batch if one.verified.zone is not None]
                if ordinary:
                    await self._commit(ordinary)
                for one in enrolments:
                    await self._commit([one])
                await self._prune()
        finally:
            self._task = None

    async def _commit(self, batch: list[_Request]) -> None:
        try:
            done = await self._committed(batch)
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
            for name in done.keys:
                self._keyring.forget(name)
            behind = self._subscriber.show(done.editions)
            if behind:
                await self._catch_up(behind)
            for one, answer in zip(batch, done.answers, strict=True):
                self._finish(one, answer)
            log.debug("updates.committed n={n} editions={editions}", n=len(batch), editions=len(done.editions))

    async def _committed(self, batch: list[_Request]) -> Committed:
        async with self._pool.connection() as conn:
            if batch[0].verified.zone is None:
                return await commit_enrolment(conn, self._signer, batch[0].verified, int(self._clock()))
            verified = [one.verified for one in batch]
            return await commit_updates(conn, self._signer, verified, self._limits, self._bounds.terms)

    async def _catch_up(self, zones: list[int]) -> None:
        try:
            await self._subscriber.catch_up(zones)
        except Exception:  # noqa: BLE001 - the commit stands; the feed's next comparison brings the table along
            log.failure("zones.catch_up failed")

    async def _prune(self) -> None:
        now = self._clock()
        if now < self._pruned + self._bounds.prune_every:
            return
        self._pruned = now
        try:
            async with self._pool.connection() as conn:
                await requests.prune(conn)
        except Exception:  # noqa: BLE001 - pruning can wait
            log.failure("requests.prune failed")

    # -- answers

    def _fail(self, batch: list[_Request], answer: Answer, error: BaseException | None) -> None:
        if error is not None:
            log.error("updates.away n={n} reason={reason}", n=len(batch), reason=str(error).strip())
        for one in batch:
            self._finish(one, answer)

    def _finish(self, request: _Request, answer: Answer) -> None:
        octets = answered(request.wire, answer, request.update, self._options, request.asker)
        if isinstance(request.signature, TsigRecord):
            octets = tsig.sign_reply(octets, request.signature, request.credential, int(self._clock()))
        elif self._identity is not None:
            octets = self._identity.sign_reply(octets, request.wire, int(self._clock()))
        if answer.code and answer.rcode in _TOLD:
            self._log_refused(answer.code, request.credential.name, request.asker.source)
        self._note(answer, request.asker, request.signature, request.update, request.credential, verified=True)
        request.reply(octets)

    def _note(
        self,
        answer: Answer,
        asker: Asker,
        signature: TsigRecord | Sig0Record | None,
        update: Update | Refusal | None,
        credential: Credential | None = None,
        *,
        verified: bool = False,
    ) -> None:
        """Have the journal take note of a refusal, beside the reply."""
        if self._journal is not None and answer.code:
            read = update if isinstance(update, Update) else None
            self._journal.record(answer, asker, signature, read, credential, verified=verified)

    def _log_refused(self, code: str, key: Name, source: str) -> None:
        """Log a refusal, at most `TOLD` a second: strangers must not fill the disk. *untold* counts the others."""
        if not self._told.take(None, self._clock()):
            self._untold += 1
            return
        log.info(
            "update.refused code={code} key={key} source={source} untold={untold}",
            code=code,
            key=names.to_text(key),
            source=source,
            untold=self._untold,
        )
        self._untold = 0


def _is_outage(error: Exception) -> bool:
    """Tell whether *error* is the database's absence rather than a fault of one update."""
    return isinstance(error, OperationalError | TimeoutError)
