"""The way of an UPDATE: who signed it, may they, and then the queue whose batches share one commit.

The order of work is that of RFC 8945 §5.2 and RFC 3007 §3: signature present and well-formed, key known,
rationed, verified, the key's rights, and only then the zone's content. Everything is bounded, and each
message is answered once, after COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from twisted.logger import Logger

from ddns.answer.options import Options
from ddns.answer.table import Table
from ddns.auth import grants, sig0, tsig, verdicts
from ddns.auth.budget import Buckets, Budget
from ddns.auth.envelope import open_signed
from ddns.auth.identity import Identity
from ddns.auth.principal import Credential
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.delegate.receiving import Receiver
from ddns.delegate.scanning import Scanner
from ddns.dns import names
from ddns.dns import wire as wires
from ddns.dns.asker import Asker
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import rolling
from ddns.net.admission import come_by_tcp, is_proved, truncated
from ddns.net.announcing import Announcements
from ddns.net.answers import Answer, answered, sig0_refused
from ddns.net.batches import AWAY, Afterwards, Batches, Request, UpdateLimits
from ddns.net.judging import Verified
from ddns.net.keyring import Keyring
from ddns.net.optimistic import Optimist
from ddns.net.outbox import Together
from ddns.net.refusals import RefusalJournal
from ddns.net.reply import Reply
from ddns.net.services import Services
from ddns.net.subscriber import Subscriber
from ddns.net.uses import Uses
from ddns.signing.client import SignerClient
from ddns.store.line import Line
from ddns.store.lines import Lines
from ddns.store.pool import Pool
from ddns.zone.limits import Limits
from ddns.zone.srp import Registration
from ddns.zone.update import Update, parse

log = Logger(namespace="ddns.updates")

EXPLAINED = 200  # refusals a second that are explained to strangers before their update is read whole
LOOKED_UP = 1000  # names of keys that nobody has, a second, that are looked up for strangers
ROLLS = 12  # new keys an hour that a home's gateway may put in the place of its own: each is told to its owner
HOMES = 65_536  # of which that is remembered
TOLD = 10  # refusals logged a second; ten times as many in a burst

BUSY = Answer.of(verdicts.SERVER_BUSY)
CLEARTEXT = Answer.of(
    Refusal(
        "update-cleartext",
        Rcode.REFUSED,
        "Updates come here only encrypted; send this one by DNS over TLS to port 853.",
        Ede.PROHIBITED,
    )
)
TOO_MANY_KEYS = Answer.of(
    Refusal(
        "key-rolls-rationed",
        Rcode.REFUSED,
        f"A home's key may roll {ROLLS} times an hour; go on with the key that the home has, and wait.",
        Ede.BLOCKED,
    )
)

# What is worth a line in the log; a prerequisite that does not hold is the client's own business.
_TOLD = frozenset({Rcode.FORMERR, Rcode.REFUSED, Rcode.NOTAUTH, Rcode.NOTZONE})


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
        lines: Lines | None = None,
        follower: int = 0,
        afterwards: Afterwards | None = None,
        together: Together = nullcontext,
        go_on: Callable[[Asker, Callable[[], None]], None] = lambda _asker, call: call(),
        scanner: Scanner | None = None,
        hold: float = 0.0,
        uses: Uses | None = None,
    ) -> None:
        """Put it together; *heard* is told from where a signature came, and whether it was good.

        With *lines* batches go the short way where they can; *follower* is this worker's number among those who
        follow editions. *afterwards* has something done at the end of the turn, before the loop is asked for more;
        *go_on* when it is the asker's turn: what had to wait for a key. With a *scanner* homes may change their own
        delegations, once in *hold* seconds. *uses* hears which key signed, and from where.
        """
        self._table = table
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
        self._announcements = Announcements(pool, Budget(bounds.budget), self._sig0_policy, clock)
        self._rolls = Buckets(ROLLS, ROLLS / 3600, HOMES)
        self._uses = uses
        self._heard = heard
        self._go_on = go_on
        self._reading = Line(pool.dsn, pool.role)
        optimist = (
            None
            if lines is None
            else Optimist(
                lines=lines,
                reading=self._reading,
                table=table,
                signer=signer,
                keyring=keyring,
                limits=limits,
                terms=bounds.terms,
                follower=follower,
            )
        )
        self._batches = Batches(
            pool=pool,
            subscriber=subscriber,
            signer=signer,
            keyring=keyring,
            limits=limits,
            bounds=bounds,
            clock=clock,
            finish=self._finish,
            optimist=optimist,
            afterwards=afterwards,
            together=together,
        )
        self._delegations: Receiver[Request] | None = (
            None if scanner is None else Receiver(pool, scanner, self._finish, clock, hold=hold)
        )
        self._told = Buckets(10 * TOLD, TOLD, 1)
        self._strangers = Buckets(LOOKED_UP, LOOKED_UP, 1)
        self._explained = Buckets(EXPLAINED, EXPLAINED, 1)
        self._untold = 0

    async def close(self) -> None:
        """Finish what was taken."""
        if self._delegations is not None:
            await self._delegations.close()
        await self._announcements.close()
        await self._batches.close()
        self._reading.close()

    # -- admission

    def has_room(self) -> bool:
        """Tell whether more should be judged now: see `Batches.has_room`."""
        return self._batches.has_room()

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
            verify = partial(self._verify, wire, asker, signature, known, reply)
            if waits:
                # Hundreds may have been looked up together: each takes its turn, and questions come in between.
                self._go_on(asker, partial(_late, verify, wire, asker, reply))
            else:
                verify()

        waits = False
        if self._keyring.find(name, found, proved=proved):
            waits = True
        else:
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
            tried, proved = sig0.candidates(signature, known), is_proved(asker)
            hopeless = not proved and self._is_hopeless(signature, tried, asker)
            if hopeless and not self._explained.take(None, self._clock()):
                reply(come_by_tcp(wire))
                return
            update = parse(signature.message, self._limits)

            def judged(checked: Credential | Refusal, registration: Registration | None) -> None:
                if isinstance(checked, Credential):
                    self._admit(wire, asker, signature, checked, update, reply, registration)
                    return
                read = update if isinstance(update, Update) else None
                octets = sig0_refused(wire, checked, read, self._options, asker)
                reply(truncated(octets) if checked is verdicts.SIG0_RATIONED and not proved else octets)
                self._log_refused(checked.code, signature.signer, source)
                self._note(Answer.of(checked), asker, signature, update, tried[0] if tried else None)

            if isinstance(update, Refusal) or not (
                proved
                and (
                    self._services.take(asker, signature, known, update, judged)
                    or self._announcements.take(asker, signature, known, update, partial(judged, registration=None))
                )
            ):
                judged(self._verify_sig0(signature, tried, update, asker, now, hopeless=hopeless), None)
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
            self._finish(Request(wire, signature, credential, None, asker, reply), Answer.of(update))
            return
        request = Request(wire, signature, credential, update, asker, reply)
        refusal = self._zone_refusal(update, credential) if registration is None else None
        if refusal is not None:
            self._finish(request, Answer.of(refusal))
        elif self._batches.is_full(credential.id):
            self._finish(request, BUSY)
        else:
            self._enqueue(request, update, now, registration)

    def _verify_sig0(
        self,
        signature: Sig0Record,
        tried: tuple[Credential, ...],
        update: Update | Refusal,
        asker: Asker,
        now: int,
        *,
        hopeless: bool,
    ) -> Credential | Refusal:
        """Do the cheap checks, then verify if there is a budget for it; all but who gains by it have spent.

        That order keeps the costly step for those who could gain by it (CVE-2024-1975). What a key may do is told
        to nobody but its holder, so who has no right in the zone is verified too, and pays.
        """
        if not tried:
            return sig0.unknown_key(signature)
        refusal = sig0.in_time(signature, now, self._sig0_policy)
        if refusal is not None:
            return refusal
        if isinstance(update, Refusal):
            return update
        refusals = [self._zone_refusal(update, credential) for credential in tried]
        if all(refusals) and all(self._zone_of(update, credential) is None for credential in tried):
            return refusals[0] or verdicts.SIG0_RATIONED
        if self._batches.is_full(tried[0].id):
            return verdicts.SERVER_BUSY
        moment, proved = self._clock(), is_proved(asker)
        if hopeless or (proved and not self._budget.could_spend(signature.signer, asker.source, moment, proved=True)):
            return verdicts.SIG0_RATIONED
        good = False
        try:
            checked = sig0.verify(signature, tried)
            good = isinstance(checked, Credential) and not all(refusals)
        finally:
            if good:
                self._budget.remember(signature.signer, asker.source, moment)
            else:
                self._budget.spend(signature.signer, asker.source, moment, proved=proved)
        if isinstance(checked, Refusal):
            self._heard(asker.source, False)
        return checked

    def _is_hopeless(self, signature: Sig0Record, tried: tuple[Credential, ...], asker: Asker) -> bool:
        """Tell before the update is read whether it is a stranger's who would not get as far as a verification."""
        if not tried:
            return True
        if self._budget.could_spend(signature.signer, asker.source, self._clock()):
            return False
        self._heard(asker.source, False)
        return True

    def _enqueue(self, request: Request, update: Update, now: int, registration: Registration | None) -> None:
        signature, credential = request.signature, request.credential
        if isinstance(signature, TsigRecord):
            digest, expires = tsig.digest(signature), signature.expires
        else:
            digest, expires = sig0.digest(signature), signature.expires(now)
        zone = self._zone_of(update, credential) if credential.invitation is None else None
        roll = None if registration is not None or zone is None else rolling.rolled(update, credential)
        if roll is not None and not self._rolls.take(update.zone, self._clock()):
            self._finish(request, TOO_MANY_KEYS)
            return
        request.verified = Verified(update, credential, zone, digest, expires + 1, registration, roll)
        if self._delegations is not None and registration is None and self._is_delegation(update, credential):
            self._delegations.take(request)
        else:
            self._batches.add(request)

    def _is_delegation(self, update: Update, credential: Credential) -> bool:
        """Tell whether a home's own key speaks to the zone above it, where nobody has granted it anything.

        It may say there how the home is delegated, and nothing else (draft-ietf-dnsop-delegation-mgmt-via-ddns).
        """
        if self._delegations is None or credential.home is None or credential.kind != "sig0":
            return False
        zone, above = self._table.find(update.zone), update.zone
        return (
            zone is not None
            and above != credential.name
            and names.is_subdomain(credential.name, above)
            and zone not in credential.zones
        )

    def _zone_of(self, update: Update, credential: Credential) -> int | None:
        """Return the zone of *update*: one that is served here, or the key's own home, which may not be."""
        found = self._table.find(update.zone)
        return credential.home if found is None and update.zone == credential.name else found

    def _zone_refusal(self, update: Update, credential: Credential) -> Refusal | None:
        """Refuse what the zone section and the key's rights forbid, before any content is looked at."""
        if credential.invitation is not None:
            return None  # what an invitation may do is asked under its own lock
        zone = self._zone_of(update, credential)
        if zone is None:
            return verdicts.zone_unknown(update.zone)
        if self._is_delegation(update, credential):
            return None
        # Whether the zone is a home's is known under its lock; here the answer is only "surely not" or "perhaps".
        if grants.enters(credential, zone, update.zone, is_home=True):
            return None
        return grants.permitted(credential, zone, update.zone, (), is_home=True)

    # -- answers

    def _finish(self, request: Request, answer: Answer) -> None:
        octets = answered(request.wire, answer, request.update, self._options, request.asker)
        if isinstance(request.signature, TsigRecord):
            octets = tsig.sign_reply(octets, request.signature, request.credential, int(self._clock()))
        elif self._identity is not None:
            octets = self._identity.sign_reply(octets, request.wire, int(self._clock()))
        if answer.code and answer.rcode in _TOLD:
            self._log_refused(answer.code, request.credential.name, request.asker.source)
        self._note(answer, request.asker, request.signature, request.update, request.credential, verified=True)
        if self._uses is not None:
            self._uses.note(request.credential.id, request.asker.source)
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


def _late(verify: Callable[[], None], wire: bytes, asker: Asker, reply: Reply) -> None:
    """Go on with an update whose key is known by now."""
    try:
        verify()
    except Exception:  # noqa: BLE001 - a bug: said with its traceback, answered SERVFAIL, nobody else notices
        log.failure("update.failed source={source}", source=asker.source)
        reply(wires.error_reply(wire, Rcode.SERVFAIL))
