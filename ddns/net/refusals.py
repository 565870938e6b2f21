"""The recorder of refusals: what `ddns explain` reads is gathered here and written beside the replies, not before.

Law: nobody waits for it, and nobody can fill the disk or the commit log with it. A refusal is written when
its purse has a token: a purse for each key whose signature was good, one for what was sent in the name of
known keys without proof, one for strangers, of whom no message is kept. Those that are not written are
counted, and the next row says how many they were. Rows are written in batches, at most one a `GATHER`.
No secret passes through here: of a message its EDNS options are left out, a cookie among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import Callable
from itertools import islice

import msgspec
from twisted.logger import Logger

from ddns.auth import sig0, tsig
from ddns.auth.budget import IPV4_PREFIX, Buckets, prefix
from ddns.auth.phrases import rules_in_words
from ddns.auth.principal import Credential
from ddns.auth.sig0 import Sig0Record
from ddns.auth.tsig import TsigRecord
from ddns.dns import names
from ddns.dns import wire as wires
from ddns.dns.asker import Asker
from ddns.dns.codes import HEADER_SIZE, UDP_MIN_PAYLOAD, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.wire import BadMessage
from ddns.net.answers import Answer
from ddns.store import refusals
from ddns.store.pool import Pool
from ddns.store.refusals import Refused
from ddns.zone.phrases import asked
from ddns.zone.request import UPDATE_LEASE
from ddns.zone.update import Update, parse

log = Logger(namespace="ddns.refusals")

GATHER = 0.5  # seconds in which refusals gather before they are written together
REST = 5.0  # seconds of rest after the database did not take them
WAITING = 500  # refusals that may wait to be written
KEYS = 10_000  # keys whose purses are kept
KEY_BURST = 20  # refusals of one key that are written at once
KEY_RATE = 0.1  # and then a second
NAMELESS = 5.0  # refusals a second, in all, in the name of known keys but without proof
BURST = 10  # so many seconds' worth may come at once
PHRASES = 32  # of what was asked, and of what the key held


class JournalBounds(msgspec.Struct, frozen=True):
    """Bounds of the journal: rows and *days* kept (*keep* 0: nothing is written), and *octets* of one message.

    *rate* and *strangers* are refusals a second that one worker writes, of keys that signed and of strangers;
    *prune_every* is in seconds.
    """

    keep: int = 100_000
    days: int = 30
    octets: int = 4096
    rate: float = 20.0
    strangers: float = 1.0
    prune_every: float = 60.0


class RefusalJournal:
    """What one worker refused, on its way into the database; *find* gives the id of the zone of a name."""

    def __init__(
        self, pool: Pool, find: Callable[[Name], int | None], bounds: JournalBounds, clock: Callable[[], float]
    ) -> None:
        self._pool = pool
        self._find = find
        self._bounds = bounds
        self._clock = clock
        self._waiting: list[Refused] = []
        self._untold = 0
        self._keys = Buckets(KEY_BURST, KEY_RATE, KEYS)
        self._signed = Buckets(BURST * bounds.rate, bounds.rate, 1)
        self._named = Buckets(BURST * NAMELESS, NAMELESS, 1)
        self._strangers = Buckets(BURST * bounds.strangers, bounds.strangers, 1)
        self._task: asyncio.Task[None] | None = None
        self._some = asyncio.Event()
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begin to write and to prune."""
        if self._bounds.keep:
            self._task = asyncio.ensure_future(self._work())

    async def close(self) -> None:
        """Write what waits, once, and end."""
        self._closing.set()
        self._some.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    def record(
        self,
        answer: Answer,
        asker: Asker,
        signature: TsigRecord | Sig0Record | None = None,
        update: Update | None = None,
        credential: Credential | None = None,
        *,
        verified: bool = False,
    ) -> None:
        """Take note of a refusal; it is written soon, or counted.

        *credential* is the key that *signature* names, None for a stranger's; *verified*: it really signed. An answer
        that repeats an earlier one has no code and is not noted, nor is an outage, which is no decision.
        """
        if not answer.code or answer.rcode in (Rcode.NOERROR, Rcode.SERVFAIL) or not self._bounds.keep:
            return
        now = self._clock()
        if len(self._waiting) >= WAITING or not self._may(credential, now, verified=verified):
            self._untold += 1
            return
        key: Sig0Record | TsigRecord | None = signature
        noted = Refused(
            now, answer.code, answer.rcode, answer.text, asker.transport.name.lower(), network(asker.source)
        )
        if isinstance(key, TsigRecord):
            algorithm = (key.algorithm or names.to_text(key.algorithm_name))[:64]
            noted = _replace(noted, key=names.to_text(key.name), kind="tsig", algorithm=algorithm)
        elif key is not None:
            noted = _replace(
                noted, key=names.to_text(key.signer), kind="sig0", algorithm=str(key.algorithm), tag=key.tag
            )
        if update is None and credential is not None and key is not None:
            again = parse(key.message)  # the signature was refused before anybody read the update
            update = None if isinstance(again, Refusal) else again
        if update is not None:
            noted = _replace(noted, zone=names.to_text(update.zone))
        if credential is not None and key is not None:
            zone = None if update is None else self._find(update.zone)
            noted = _replace(
                noted,
                verified=verified,
                credential=credential.id,
                held=() if zone is None else rules_in_words(credential, zone, PHRASES),
                asked=() if update is None else tuple(islice(asked(update), PHRASES)),
                size=len(key.message),
                message=kept(key.message, self._bounds.octets),
                digest=tsig.digest(key) if isinstance(key, TsigRecord) else sig0.digest(key),
            )
        self._waiting.append(_replace(noted, untold=self._untold))
        self._untold = 0
        self._some.set()

    def _may(self, credential: Credential | None, now: float, *, verified: bool) -> bool:
        """Take a token from the purse of whoever is refused; False: it is empty."""
        if credential is None:
            return self._strangers.take(None, now)
        if not self._keys.take((credential.id, verified), now):
            return False
        return (self._signed if verified else self._named).take(None, now)

    async def _work(self) -> None:
        pruned = 0.0
        # What is recorded while the last batch is being written is written too before the end.
        while not self._closing.is_set() or self._waiting:
            if not self._closing.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._some.wait(), self._bounds.prune_every)
                await self._pause(GATHER)
            self._some.clear()
            batch, self._waiting = self._waiting, []
            now = self._clock()
            try:
                async with self._pool.connection() as conn:
                    if batch:
                        await refusals.append(conn, batch)
                    if now >= pruned + self._bounds.prune_every:
                        await refusals.prune(conn, self._bounds.keep, int(now) - self._bounds.days * 86400)
                        pruned = now
            except Exception as error:  # noqa: BLE001 - an outage, whatever its name; nothing depends on this journal
                self._untold += len(batch)
                log.warn("refusals.unwritten n={n} reason={reason}", n=len(batch), reason=str(error).strip())
                await self._pause(REST)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def network(source: str) -> str:
    """Return the network of an address, IPv4 /24 or IPv6 /56: enough to see where it came from, less than who."""
    octets = prefix(source)
    if len(octets) == IPV4_PREFIX:
        return f"{ipaddress.IPv4Address(octets + bytes(1))}/24"
    return f"{ipaddress.IPv6Address(octets + bytes(9))}/56"


def kept(message: bytes, most: int) -> bytes | None:
    """Return what is kept of an update's *message*: no additional section, but a lease that it asks for.

    None where that is longer than *most* octets, or where the message does not parse.
    """
    if len(message) > most:
        return None
    try:
        head = wires.header(message)
        end = wires.question(message).end
        lease = b""
        for place, record in enumerate(wires.walk(message, end, head.ancount + head.nscount + head.arcount)):
            if place < head.ancount + head.nscount:
                end = record.end
            elif record.type == Type.OPT:
                options = tuple(one for one in wires.edns(message, record).options if one[0] == UPDATE_LEASE)
                lease = wires.opt(UDP_MIN_PAYLOAD, do=False, options=options) if options else b""
    except BadMessage:
        return None
    counts = struct.pack("!4H", head.qdcount, head.ancount, head.nscount, int(bool(lease)))
    return message[:4] + counts + message[HEADER_SIZE:end] + lease


def _replace(noted: Refused, **changes: object) -> Refused:
    return msgspec.structs.replace(noted, **changes)
