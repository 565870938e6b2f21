"""Where updates wait for their turn: who has proved itself first, strangers with what time is left for them.

Judging an update costs thirty times what reading it does, and who sends forged ones need not pay for it. So no
update is judged while datagrams are read: each is put aside, questions are answered in the meantime, and
then `serve` gets as many as a turn has time for.

In the first class are streams, datagrams with a good DNS cookie, and those from an address that has shown a
good signature lately. In the second are strangers, who together get a *share* of the worker's time and
wait in a queue of their own, from which the oldest falls out unread. Within a class the senders take turns,
so that one who floods waits for himself. A stranger that fell out may come by TCP; some are told so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from twisted.logger import Logger

from ddns.answer.cookies import Cookies, Verdict
from ddns.answer.rrl import cookie
from ddns.auth.budget import Buckets
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import FLAG_TC, Rcode
from ddns.net.fair import FairQueue
from ddns.net.reply import Reply

log = Logger(namespace="ddns.admission")

TURN = 0.001  # seconds of updates judged before the reactor looks at anything else
SAVED = 0.25  # seconds for which strangers may save up their share, so that a quiet worker takes a burst at once
SAID = 10.0  # seconds between two lines in the log about what was dropped

Serve = Callable[[bytes, Asker, Reply], None]
Later = Callable[[float, Callable[[], None]], Any]


class Datagram(Protocol):
    """A datagram that was read and waits: *wire*, and how its answer goes back."""

    wire: bytes
    host: str

    def __call__(self, octets: bytes) -> None:
        """Send the answer."""


class AdmissionLimits(msgspec.Struct, frozen=True):
    """Bounds of the waiting room of one worker.

    *waiting* updates in each class, *per_source* of one address; *share* of the worker's time for strangers;
    *known* addresses remembered for *known_for* seconds each, unless more than *doubts* wrong signatures a
    second come from one; *told* strangers a second are told to come by TCP where there is no room for them.
    """

    waiting: int = 2048
    per_source: int = 256
    share: float = 0.2
    known: int = 65536
    known_for: float = 86400.0
    told: int = 500
    doubts: int = 100


class _Message:
    """An update that came over a stream, or a datagram with a good cookie."""

    __slots__ = ("asker", "reply", "wire")

    def __init__(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        self.wire = wire
        self.asker = asker
        self.reply = reply


class Admission:
    """The waiting room of one worker: `put` a datagram or `take` a message, and *serve* gets it.

    *clock* is in seconds since 1970; *later* calls something after so many seconds.
    """

    def __init__(
        self, serve: Serve, limits: AdmissionLimits, cookies: Cookies | None, clock: Callable[[], float], later: Later
    ) -> None:
        self._serve = serve
        self._limits = limits
        self._cookies = cookies
        self._clock = clock
        self._later = later
        self._first: FairQueue[_Message] = FairQueue(limits.waiting, limits.per_source)
        self._second: FairQueue[Datagram] = FairQueue(limits.waiting, limits.per_source)
        self._known: OrderedDict[str, float] = OrderedDict()
        self._doubts = Buckets(limits.doubts, limits.doubts, limits.known)
        self._saved = limits.share * SAVED
        self._counted = clock()
        self._armed = False
        self._told = Buckets(limits.told, limits.told, 1)
        self._dropped = 0
        self._said = 0.0

    def heard(self, host: str, good: bool) -> None:
        """Remember that *host* has shown a good signature, or that somebody there showed another wrong one.

        Where the wrong ones are too many its address is no proof any longer, until the next good one.
        """
        known = self._known
        if not good:
            if host in known and not self._doubts.take(host, self._clock()):
                del known[host]
            return
        if host not in known and len(known) >= self._limits.known:
            known.popitem(last=False)
        known[host] = self._clock()
        known.move_to_end(host)

    def put(self, datagram: Datagram) -> None:
        """Let *datagram* wait for the next `run`. What it costs is what a flood costs."""
        host = datagram.host
        seen = self._known.get(host)
        if seen is not None and self._clock() - seen < self._limits.known_for:
            self._wait(datagram.wire, Asker(Transport.UDP, host, self._has_cookie(datagram)), datagram)
        elif self._has_cookie(datagram):
            self._wait(datagram.wire, Asker(Transport.UDP, host, verified=True), datagram)
        else:
            second = self._second
            if second.is_full(host):
                self._drop(second.make_room(host))
            second.add(host, datagram)

    def take(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        """Let a message wait that did not come as a datagram, or that is known to be good."""
        self._wait(wire, asker, reply)
        self._arm(0)

    def run(self) -> None:
        """Serve what waits for `TURN` seconds, and see to it that the rest is served too."""
        if not self._first and not self._second:
            return
        clock, serve = self._clock, self._serve
        now = clock()
        end = now + TURN
        first = self._first
        while first and clock() < end:
            message = first.take()
            serve(message.wire, message.asker, message.reply)
        limits = self._limits
        start = clock()
        # A clock that was set gives nothing.
        self._saved = min(self._saved + max(0.0, start - self._counted) * limits.share, limits.share * SAVED)
        self._counted = start
        second = self._second
        # Even after a turn that was full, strangers get what is theirs.
        stop = min(start + self._saved, start + TURN)
        while second and clock() < stop:
            datagram = second.take()
            serve(datagram.wire, Asker(Transport.UDP, datagram.host), datagram)
        self._saved -= max(0.0, clock() - start)
        if first or (second and self._saved > 0):
            self._arm(0)
        elif second:
            self._arm(TURN)
        if self._dropped and self._clock() >= self._said + SAID:
            log.warn(
                "updates.dropped n={n} waiting={waiting}", n=self._dropped, waiting=len(self._first) + len(self._second)
            )
            self._dropped = 0
            self._said = self._clock()

    def __len__(self) -> int:
        """Return how many updates wait."""
        return len(self._first) + len(self._second)

    def _wait(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        first = self._first
        if first.is_full(asker.source):
            displaced = first.make_room(asker.source)
            self._dropped += 1
            # Over a stream each message has its answer; a datagram's sender is known and asks again.
            if displaced.asker.transport.stream:
                displaced.reply(wires.error_reply(displaced.wire, Rcode.SERVFAIL))
        first.add(asker.source, _Message(wire, asker, reply))

    def _has_cookie(self, datagram: Datagram) -> bool:
        if self._cookies is None:
            return False
        shown = cookie(datagram.wire)
        if not shown:
            return False
        return self._cookies.judge(shown, datagram.host, int(self._clock())) == Verdict.GOOD

    def _drop(self, datagram: Datagram) -> None:
        self._dropped += 1
        if self._told.take(None, self._clock()):
            datagram(come_by_tcp(datagram.wire))

    def _arm(self, delay: float) -> None:
        if not self._armed:
            self._armed = True
            self._later(delay, self._again)

    def _again(self) -> None:
        self._armed = False
        self.run()


def come_by_tcp(wire: bytes) -> bytes:
    """Return the shortest answer to an update that says: not now, and better by TCP (REFUSED with TC).

    It is no success to a client that does not know what TC means in the answer to an update.
    """
    return truncated(wires.error_reply(wire, Rcode.REFUSED))


def truncated(answer: bytes) -> bytes:
    """Return *answer* with TC: what it says about a datagram need not hold for a stream."""
    return answer[:2] + bytes((answer[2] | FLAG_TC >> 8,)) + answer[3:]
