"""A gateway that lost its key shows a new one: an UPDATE at its home's apex, signed with the key that it brings.

The registry then knows the key, and trusts it with nothing: it waits for the owner's word, and the key before it goes
on. Law: anybody can make a key and sign with it, so a good signature proves no more than that somebody has the key, and
gets no refund of what its verification cost; and who sends must be proved to be where it says, by a stream or a cookie,
before it comes here. Whatever is wrong with such a message, it is answered as any message by a key that is unknown.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from uuid import uuid4

from psycopg import OperationalError
from twisted.logger import Logger

from ddns.auth import keys, sig0, verdicts
from ddns.auth.budget import Buckets, Budget
from ddns.auth.keys import BadKey
from ddns.auth.principal import ASSURANCES, Credential
from ddns.auth.sig0 import Sig0Record
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.dns.codes import Class, Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.homes import carrying, knowing, ownership
from ddns.homes.carrying import Bearing
from ddns.homes.ownership_effects import Decision
from ddns.homes.ownership_facts import Asked, Who
from ddns.signing.publish import NO_SIGNER
from ddns.store.pool import Connection, Pool
from ddns.zone.update import Update

log = Logger(namespace="ddns.announcing")

AT_ONCE = 8  # of one worker; each is one short transaction
A_HOME = 10  # announcements an hour, whoever sends them
A_SOURCE = 64  # announcements an hour from one network
HOMES = 65_536  # homes and networks that are remembered
_HOUR = 3600
_NETWORK = {4: 24, 6: 56}  # bits of an address that are kept: what one home is given, as purses have it

# Called once, with why the message is refused: it always is.
Judged = Callable[[Refusal], None]


def announced(update: Update) -> Rdata | None:
    """Return the KEY that *update* puts at its zone's apex in place of all others, where it does nothing else."""
    found: list[Rdata] = []
    if update.prerequisites:
        return None
    for one in update.operations:
        if one.name != update.zone or one.type != Type.KEY:
            return None
        if one.rdclass == Class.IN:
            found.append(one.rdata)
        elif one.rdclass != Class.ANY:
            return None
    return found[0] if len(found) == 1 else None


def not_trusted_yet(home: Name) -> Refusal:
    """Return what is said of a key that waits for its approval."""
    return Refusal(
        "key-not-trusted-yet",
        Rcode.REFUSED,
        f"The registry knows this key now; the owner of {names.to_text(home)} has to approve it before it may write.",
        Ede.PROHIBITED,
    )


class Announcements:
    """New keys that homes' gateways show, for one worker; *clock* gives seconds since 1970."""

    def __init__(self, pool: Pool, budget: Budget, times: sig0.Policy, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._budget = budget
        self._times = times
        self._clock = clock
        self._homes = Buckets(A_HOME, A_HOME / _HOUR, HOMES)
        self._sources = Buckets(A_SOURCE, A_SOURCE / _HOUR, HOMES)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(
        self, asker: Asker, signature: Sig0Record, known: tuple[Credential, ...], update: Update, judged: Judged
    ) -> bool:
        """Take *update* where it shows a key that is not among those *known*, and tell whether it does.

        The asker is proved to be where it says. *judged* is called with the answer, later where the key is good.
        """
        if signature.signer != update.zone or sig0.candidates(signature, known):
            return False
        key = announced(update)
        if key is None:
            return False
        refusal = self._refuse(asker, signature, update.zone, key)
        if refusal is not None or len(self._tasks) >= AT_ONCE:
            judged(refusal or verdicts.SERVER_BUSY)
            return True
        task = asyncio.ensure_future(self._keep(update.zone, key, asker.source, sig0.unknown_key(signature), judged))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Finish what was taken."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _refuse(self, asker: Asker, signature: Sig0Record, home: Name, key: Rdata) -> Refusal | None:
        """Do the cheap checks, then spend, then verify (as for every SIG(0): CVE-2024-1975)."""
        try:
            algorithm, tag = keys.check(key)
        except BadKey as reason:
            return verdicts.key_unfit(reason)
        if (signature.algorithm, signature.tag) != (algorithm, tag):
            return sig0.unknown_key(signature)
        now = self._clock()
        refusal = sig0.in_time(signature, int(now), self._times)
        if refusal is not None:
            return refusal
        if not (self._homes.has(home, now) and self._sources.has(network(asker.source), now)):
            return verdicts.SIG0_RATIONED
        if not self._budget.spend(home, asker.source, now, proved=True):
            return verdicts.SIG0_RATIONED
        shown = Credential(0, home, "sig0", str(algorithm), tag=tag, public=key, assurance=ASSURANCES[0])
        if isinstance(sig0.verify(signature, [shown]), Refusal):
            return sig0.unknown_key(signature)
        self._homes.take(home, now)
        self._sources.take(network(asker.source), now)
        return None

    async def _keep(self, home: Name, key: Rdata, source: str, otherwise: Refusal, judged: Judged) -> None:
        """Have *key* wait for the owner of *home*; *otherwise* is said where there is no such home."""
        try:
            async with self._pool.connection() as conn, conn.transaction():
                said = await keep(conn, home, key, network(source), int(self._clock()))
        except (OperationalError, TimeoutError):
            judged(verdicts.SERVER_BUSY)
        except Exception:  # noqa: BLE001 - a bug: said with its traceback, and nobody else notices
            log.failure("announcing.failed home={home}", home=names.to_text(home))
            judged(verdicts.SERVER_BUSY)
        else:
            judged(said or otherwise)


async def keep(conn: Connection, home: Name, key: Rdata, source: str, now: int) -> Refusal | None:
    """Have *key* wait for the owner of *home*, in the open transaction, and return what is answered.

    None: there is no such home here, or it takes no keys. *source* is the network that it came from.
    """
    known = await knowing.about_keys(conn, home, now)
    if known is None or known.home is None:
        return None
    thumbprint = knowing.thumbprint_of(key)
    if thumbprint in known.facts.pending:
        return not_trusted_yet(home)
    asked = Asked(event="announce-key", who=Who.STRANGER, by=thumbprint, key=thumbprint)
    decision = ownership.decide(known.facts, asked, now)
    if not isinstance(decision, Decision):
        return None
    bearing = Bearing(digest=None, tenant=known.home.tenant, new_id=uuid4, rdata=key, source=source)
    await carrying.carry_out(conn, NO_SIGNER, known, asked, decision, bearing, now)
    return not_trusted_yet(home)


def network(source: str) -> str:
    """Return the network of the address *source* that is remembered: a /24 or a /56."""
    address = ipaddress.ip_address(source.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    place = mapped or address
    return str(ipaddress.ip_network((place, _NETWORK[place.version]), strict=False))
