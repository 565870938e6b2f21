"""Where updates wait for their turn: who has proved itself first, strangers with what time is left for them.

Judging an update costs many times what reading it does, and who sends forged ones need not pay for it. So no
update is judged while datagrams are read: each is put aside, questions are answered in the meantime, and
then `serve` gets as many as a turn has time for.

First come streams and datagrams with a good DNS cookie, and in turn with them those from an address that has
shown a good signature lately; then strangers, who together get a *share* of the worker's time, and all of it that
nobody else uses. What is spent on a good signature is not taken from their share: after a power cut a whole country has
new addresses. All are bounded, in all and for each sender, and within a class the senders take turns, so that one who
floods waits for himself; an update that waits or is under way already does not begin twice. One for which there is no
room is told to come by TCP, where nobody can claim another's address: that costs a few microseconds, and the answer is
shorter than the update.

While most of what strangers send is good, silence tells them to come again a little later instead: a connection would
prove what nobody doubts, and cost everybody more than waiting does. Then who came last is served first, and lost is who
has waited longest: served in their order all would be answered so late that all ask again, each time for nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.logger import Logger

from ddns.answer.cookies import Cookies, Verdict
from ddns.answer.rrl import cookie
from ddns.auth.budget import Buckets
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import FLAG_QR, FLAG_TC, Opcode, Rcode
from ddns.net.fair import FairQueue
from ddns.net.reply import Reply

log = Logger(namespace="ddns.admission")

TURN = 0.004  # seconds of updates judged before the reactor looks at anything else; what is judged shares a commit
CROWDED = 0.001  # the same while senders are sent away, so that reading keeps pace with them
STRANGERS = 0.0005  # seconds of that for strangers who show no good signature
LEAST = 0.0002  # seconds that strangers must have saved up to be served before the worker sleeps
SAVED = 0.25  # seconds for which strangers may save up their share, so that a quiet worker takes a burst at once
PAUSE = 0.002  # seconds until it is looked again whether more may be judged
IDLE = 9  # times the seconds in which the worker slept go to strangers: they leave a tenth of what nobody else wants
LOOKED_AT = 0.5  # seconds spent on strangers by which it is told whether most of what they send is good
ALONG = 16  # copies of an update under way that wait for its answer, besides datagrams from where it came
SAID = 10.0  # seconds between two lines in the log about what was dropped

_COME_BY_TCP = (FLAG_QR | Opcode.UPDATE << 11 | FLAG_TC | Rcode.REFUSED).to_bytes(2, "big") + bytes(8)

Serve = Callable[[bytes, Asker, Reply], None]
Later = Callable[[float, Callable[[], None]], Any]


class AdmissionLimits(msgspec.Struct, frozen=True):
    """Bounds of the waiting room of one worker.

    *waiting* updates in each of three classes, *per_source* of one address; *share* of the worker's time for strangers;
    *known* addresses remembered for *known_for* seconds each, unless more than *doubts* wrong signatures a
    second come from one.
    """

    waiting: int = 4096
    per_source: int = 256
    share: float = 0.2
    known: int = 65536
    known_for: float = 86400.0
    doubts: int = 100


class _Message:
    """An update that waits or is under way; called with its answer, which all get who sent the same octets since."""

    __slots__ = ("_along", "_under_way", "asker", "reply", "wire")

    def __init__(self, wire: bytes, asker: Asker, reply: Reply, under_way: dict[tuple[str, bytes], _Message]) -> None:
        self.wire = wire
        self.asker = asker
        self.reply = reply
        self._along: list[Reply] = []
        self._under_way = under_way

    @property
    def key(self) -> tuple[str, bytes]:
        """Return what is the same when it is sent again."""
        return self.asker.source, self.wire

    def __call__(self, octets: bytes) -> None:
        """Answer all who wait for it."""
        if self._under_way.get(self.key) is self:
            del self._under_way[self.key]
        self.reply(octets)
        for reply in self._along:
            reply(octets)

    def again(self, asker: Asker, reply: Reply) -> None:
        """Hear that it was sent again: a datagram is answered once, to where it came from last, a stream always."""
        if not asker.transport.stream and not self.asker.transport.stream:
            self.reply = reply
        elif len(self._along) < ALONG:
            self._along.append(reply)
        elif asker.transport.stream:
            reply(wires.error_reply(self.wire, Rcode.SERVFAIL))


class Admission:
    """The waiting room of one worker: what is `put` or `take`n there, *serve* gets.

    *clock* is in seconds since 1970; *later* calls something after so many seconds; *busy* counts the seconds in which
    this worker has run, by default all; while it is not *ready*, because too much that is judged waits for its commit,
    nobody is served: who waits here costs nothing, and who is judged in vain costs others their turn. While there is no
    *room*, because too many keys are being looked up, no stranger is.
    """

    def __init__(
        self,
        serve: Serve,
        limits: AdmissionLimits,
        cookies: Cookies | None,
        clock: Callable[[], float],
        later: Later,
        busy: Callable[[], float] | None = None,
        ready: Callable[[], bool] = lambda: True,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._serve = serve
        self._limits = limits
        self._cookies = cookies
        self._clock = clock
        self._later = later
        # Streams have bounds of their own, so one address gets more room here.
        self._proved: FairQueue[_Message] = FairQueue(limits.waiting, max(limits.per_source, limits.waiting // 4))
        self._first: FairQueue[_Message] = FairQueue(limits.waiting, limits.per_source)
        self._second: FairQueue[_Message] = FairQueue(limits.waiting, limits.per_source)
        self._under_way: dict[tuple[str, bytes], _Message] = {}
        # Updates that have begun, and go on in their turn: of the first two classes, and of strangers.
        self._begun: deque[Callable[[], None]] = deque()
        self._begun_second: deque[Callable[[], None]] = deque()
        self._known: OrderedDict[str, float] = OrderedDict()
        self._doubts = Buckets(limits.doubts, limits.doubts, limits.known)
        self._saved = limits.share * SAVED
        self._counted = clock()
        self._busy = busy or clock
        self._ready = ready
        self._room = room
        self._good = False  # whether a good signature has been shown since this was last asked
        self._spent = self._spent_well = 0.0  # seconds on strangers lately, and those on good signatures among them
        self._ran = self._busy()
        self._armed = False
        self._crowded = False
        self._sent_away = 0
        self._said = 0.0
        self._serving = False
        self._ended: list[Callable[[], None]] = []

    def afterwards(self, call: Callable[[], None]) -> bool:
        """Have *call* done at the end of this `run`; False: none is under way."""
        if self._serving:
            self._ended.append(call)
        return self._serving

    def heard(self, host: str, good: bool) -> None:
        """Remember that *host* has shown a good signature, or that somebody there showed another wrong one.

        Where the wrong ones are too many its address is no proof any longer, until the next good one.
        """
        known = self._known
        self._good |= good
        if not good:
            if host in known and not self._doubts.take(host, self._clock()):
                del known[host]
            return
        if host not in known and len(known) >= self._limits.known:
            known.popitem(last=False)
        known[host] = self._clock()
        known.move_to_end(host)

    def has_room(self, wire: bytes, host: str) -> Asker | None:
        """Return as whom *host* may wait who sent the datagram *wire*; None: there is no room for it.

        What this costs is what a flood costs.
        """
        if self._cookies is not None:
            shown = cookie(wire)
            if shown and self._cookies.judge(shown, host, int(self._clock())) == Verdict.GOOD:
                return Asker(Transport.UDP, host, verified=True)
        queue = self._first if self._is_known(host) else self._second
        makes_room = queue is self._second and self.is_trusting
        if queue.has_most(host) if makes_room else queue.is_full(host):
            self._crowded = True
            self._sent_away += 1
            return None
        return Asker(Transport.UDP, host)

    @property
    def is_trusting(self) -> bool:
        """Tell whether most of what strangers sent lately was good: then nobody has to prove its address."""
        return self._spent_well > self._spent / 2

    def put(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        """Let a datagram wait for the next `run`: *asker* is from `has_room`."""
        host = asker.source
        begun = self._under_way.get((host, wire))
        if begun is not None:
            begun.again(asker, reply)
        elif not is_proved(asker):
            queue = self._first if self._is_known(host) else self._second
            before = queue.last(host)
            if before is not None and before.wire == wire:
                before.again(asker, reply)
                if self.is_trusting:
                    queue.renew(host)
            else:
                queue.make_room()  # only now, so that for one who only sends again nobody is lost
                queue.add(host, _Message(wire, asker, reply, self._under_way))
        elif not self._proved.is_full(host):
            self._proved.add(host, _Message(wire, asker, reply, self._under_way))
        else:
            self._sent_away += 1
            reply(wires.error_reply(wire, Rcode.SERVFAIL))

    def take(self, wire: bytes, asker: Asker, reply: Reply) -> None:
        """Let a message that came over a stream wait, and see to it that it is served."""
        self.put(wire, asker, reply)
        self._arm(0)

    def go_on(self, asker: Asker, call: Callable[[], None]) -> None:
        """Have *call* done in its turn: with it an update of *asker*'s goes on that had to wait for something."""
        first = is_proved(asker) or self._is_known(asker.source)
        (self._begun if first else self._begun_second).append(call)
        self._arm(0)

    def attend(self) -> None:
        """Serve what waits, where that has not been seen to: whoever reads calls this afterwards."""
        if not self._armed:
            self.run()

    def run(self) -> None:
        """Serve what waits for `TURN` seconds, and see to it that the rest is served too."""
        if not self:
            return
        self._serving = True
        try:
            self._run()
        finally:
            self._serving = False
            ended, self._ended = self._ended, []
            for call in ended:
                call()

    def _run(self) -> None:
        clock = self._clock
        now = clock()
        end = now + (CROWDED if self._crowded else TURN)
        self._crowded = False
        begun, proved, first = self._begun, self._proved, self._first
        ready = self._ready
        while (begun or proved or first) and clock() < end and ready():
            if begun:
                begun.popleft()()  # before any is begun: so they are no more than keys that may be looked up at a time
                continue
            for queue in (proved, first):
                if queue:
                    self._begin(queue.take())
        if self._begun_second or self._second:
            self._serve_strangers(end)
        waiting = begun or proved or first
        if self and not ready():
            self._arm(PAUSE)
        elif waiting or ((self._begun_second or (self._second and self._room())) and self._saved > LEAST):
            self._arm(0)
        elif self:
            self._arm(STRANGERS)
        if self._sent_away and not self._said <= now < self._said + SAID:
            log.warn("updates.sent_away n={n} waiting={waiting}", n=self._sent_away, waiting=len(self))
            self._sent_away = 0
            self._said = now

    def _serve_strangers(self, end: float) -> None:
        """Serve strangers until *end*, and until those who show no good signature have had what is theirs.

        They get it even after a turn that was full.
        """
        clock, ready, room, limits = self._clock, self._ready, self._room, self._limits
        begun, second = self._begun_second, self._second
        start = now = clock()
        trusting = self.is_trusting
        if trusting:
            # What is begun shows only later that it is good: a turn's worth of it may go ahead.
            most = limits.share * SAVED
        else:
            # A clock that was set gives nothing.
            elapsed, ran = max(0.0, start - self._counted), self._busy()
            idle = max(0.0, elapsed - (ran - self._ran))
            self._saved = min(self._saved + elapsed * limits.share + idle * IDLE, limits.share * SAVED)
            self._counted, self._ran = start, ran
            most = min(self._saved, STRANGERS)
        stop, spent = max(end, start + STRANGERS), 0.0
        while spent < most and now < stop and ready():
            self._good = False
            if begun:
                begun.popleft()()
            elif second and room():
                self._begin(second.take(last=trusting))
            else:
                break
            before, now = now, clock()
            took = max(0.0, now - before)
            self._spent += took
            if self._good:
                self._spent_well += took
            else:
                spent += took
        self._saved -= min(spent, self._saved) if trusting else spent
        if self._spent > LOOKED_AT:
            self._spent, self._spent_well = self._spent / 2, self._spent_well / 2

    def _begin(self, message: _Message) -> None:
        """Serve *message*; what is sent again until it is answered waits along."""
        if len(self._under_way) < self._limits.waiting:
            self._under_way[message.key] = message
        self._serve(message.wire, message.asker, message)

    def __len__(self) -> int:
        """Return how many updates wait."""
        begun = len(self._begun) + len(self._begun_second)
        return begun + len(self._proved) + len(self._first) + len(self._second)

    def _is_known(self, host: str) -> bool:
        seen = self._known.get(host)
        return seen is not None and self._clock() - seen < self._limits.known_for

    def _arm(self, delay: float) -> None:
        if not self._armed:
            self._armed = True
            self._later(delay, self._again)

    def _again(self) -> None:
        self._armed = False
        self.run()


def is_proved(asker: Asker) -> bool:
    """Tell whether the sender is at the address that its message came from."""
    return asker.verified or asker.transport.stream


def come_by_tcp(wire: bytes) -> bytes:
    """Return the shortest answer to an update that says: not now, and better by TCP (REFUSED with TC).

    It is no success to a client that does not know what TC means in the answer to an update.
    """
    return wire[:2] + _COME_BY_TCP


def truncated(answer: bytes) -> bytes:
    """Return *answer* with TC: what it says about a datagram need not hold for a stream."""
    return answer[:2] + bytes((answer[2] | FLAG_TC >> 8,)) + answer[3:]
