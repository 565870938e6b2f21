"""What is said at the signer's socket: frames of `ddns.zone.jobs` in, frames out. Bounded, and it trusts no length.

One connection is answered batch by batch, in order; while a batch is at work nothing more is read from it. A small
batch whose keys are remembered is answered as it arrives, in the same turn of the loop and without a task; a
bulk batch is a helper's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import msgspec

from ddns.zone.jobs import MAX_FRAME, Batch, Frames, FrameTooLong, Signed, SignedJob, framed
from zone_signer.helpers import Helpers
from zone_signer.signer import Signer

log = logging.getLogger("zone_signer")

MAX_CONNECTIONS = 64  # a server's worker has one
SMALL_FRAME = 1024 * 1024  # octets; of bigger frames only a few are in memory at a time
BIG_FRAMES = 2
FRAME_TIMEOUT = 30.0  # seconds for a frame to arrive once it has begun
AT_ONCE = 64  # jobs that are answered in one turn: about 5 ms

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


def _answer(batch: Batch, jobs: tuple[SignedJob, ...]) -> bytes:
    body = _ENCODER.encode(Signed(batch.id, jobs))
    if len(body) > MAX_FRAME:
        long = tuple(SignedJob(job.zone, error="the answer is too long for a frame") for job in batch.jobs)
        body = _ENCODER.encode(Signed(batch.id, long))
    return body


class _Slots:
    """Places for frames that are big; who finds none is called when one is free, in turn."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiting: deque[Conversation] = deque()

    def take(self, connection: Conversation) -> bool:
        """Take a place, or wait for one."""
        if self._free:
            self._free -= 1
            return True
        self._waiting.append(connection)
        return False

    def give(self) -> None:
        """Give a place back; the next who waits has it."""
        if self._waiting:
            self._waiting.popleft().placed()
        else:
            self._free += 1

    def withdraw(self, connection: Conversation) -> None:
        """Forget that *connection* waits."""
        if connection in self._waiting:
            self._waiting.remove(connection)


class Desk:
    """Who answers, and all that is asked of it at a time: *signer*, and *helpers* for what nobody waits for."""

    def __init__(self, signer: Signer, helpers: Helpers | None = None) -> None:
        self.signer = signer
        self.helpers = helpers
        self.big = _Slots(BIG_FRAMES)
        self._conversations: set[Conversation] = set()

    def admit(self, conversation: Conversation) -> bool:
        """Count *conversation*, or tell that there are too many."""
        if len(self._conversations) >= MAX_CONNECTIONS:
            log.warning("signer.too_many_connections most=%d", MAX_CONNECTIONS)
            return False
        self._conversations.add(conversation)
        return True

    def leave(self, conversation: Conversation) -> None:
        """Count *conversation* no more."""
        self._conversations.discard(conversation)

    async def close(self) -> None:
        """End all conversations and what is at work for them, and the helpers."""
        working = [work for one in list(self._conversations) if (work := one.end()) is not None]
        await asyncio.gather(*working, return_exceptions=True)
        if self.helpers is not None:
            await self.helpers.close()


class Conversation(asyncio.Protocol):
    """One server at the socket: its frames, and the batch that is at work."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._arrived: deque[bytes] = deque()  # batches that came while another was at work
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._placed = False  # a big frame of this connection has its place
        self._held = False  # it waits for one, and nothing is read
        self._blocked = False  # the other side does not read its answers
        self._ending = False  # the other side sends no more
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._desk.admit(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what this connection holds; work for nobody ends."""
        del exc
        self._desk.leave(self)
        self._desk.big.withdraw(self)
        if self._placed:  # whether its frame is whole or will never be
            self._placed = False
            self._desk.big.give()
        self._stop_timer()
        self._transport = None
        self.ended.set()
        if self._work is not None:
            self._work.cancel()

    def end(self) -> asyncio.Task[None] | None:
        """End the connection; return what is at work for it and ends as well."""
        if self._transport is not None:
            self._transport.abort()
        if self._work is not None:
            self._work.cancel()
        return self._work

    def data_received(self, data: bytes) -> None:
        """Take octets, and answer what is whole."""
        try:
            arrived = self._frames.feed(data)
        except FrameTooLong as error:
            self._refuse(str(error))
            return
        if arrived:
            self._arrived.extend(arrived)
            self._stop_timer()
        wanted = self._frames.wanted
        if wanted > SMALL_FRAME and not self._placed and not self._held:
            self._placed = self._desk.big.take(self)
            self._held = not self._placed
        if self._work is None:
            self._next()
        self._flow()

    def eof_received(self) -> bool:
        """Finish what is at work, and then end."""
        self._ending = True
        return self._work is not None  # where it is at work its answer is still sent

    def pause_writing(self) -> None:
        """Read no more questions of somebody who does not read the answers."""
        self._blocked = True
        self._flow()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        if self._work is None:
            self._next()
        self._flow()

    def placed(self) -> None:
        """Go on with a big frame, which has its place now."""
        self._placed, self._held = True, False
        self._flow()

    def _next(self) -> None:
        """Answer what has arrived, until something takes longer."""
        while self._arrived and not self._blocked and self._transport is not None:
            body = self._arrived.popleft()
            try:
                batch = _DECODER.decode(body)
            except msgspec.MsgspecError as error:
                self._refuse(str(error))
                return
            if batch.bulk and self._desk.helpers is not None:
                self._work = asyncio.ensure_future(self._answer_by_helper(self._desk.helpers, batch, body))
                return
            jobs = self._desk.signer.at_once(batch.jobs) if len(batch.jobs) <= AT_ONCE else None
            if jobs is None:
                self._work = asyncio.ensure_future(self._answer_later(batch))
                return
            self._reply(_answer(batch, jobs))
        if self._ending and self._transport is not None and not self._arrived:
            self._transport.close()

    async def _answer_later(self, batch: Batch) -> None:
        try:
            jobs = await self._desk.signer.sign(batch.jobs)
        except Exception:
            log.exception("signer.bug")
            jobs = tuple(SignedJob(job.zone, error="the signer failed; its log says where") for job in batch.jobs)
        self._finish(_answer(batch, jobs))

    async def _answer_by_helper(self, helpers: Helpers, batch: Batch, body: bytes) -> None:
        # A zone that is new is locked by nobody; the others keep people waiting.
        answer = await helpers.sign(body, first=not all(job.whole for job in batch.jobs))
        if answer is None:
            self._refuse("no helper signs it")  # and so its asker knows that it is left to the signer's own loop
        else:
            self._finish(answer)

    def _finish(self, answer: bytes) -> None:
        """Send the answer of what took longer, and go on."""
        self._work = None
        if self._transport is not None:
            self._reply(answer)
            self._next()
            self._flow()

    def _reply(self, answer: bytes) -> None:
        if not self._arrived:
            self._release()
        if self._transport is not None:
            self._transport.write(framed(answer))

    def _release(self) -> None:
        if self._placed and self._frames.wanted <= SMALL_FRAME:
            self._placed = False
            self._desk.big.give()

    def _flow(self) -> None:
        """Read on only while nothing is at work and nothing waits; a frame that has begun has its time then."""
        if self._transport is None or self._transport.is_closing():
            return
        busy = self._work is not None or self._held or self._blocked
        if busy == self._transport.is_reading():
            if busy:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if busy or not self._frames.wanted:
            self._stop_timer()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FRAME_TIMEOUT, self._refuse, "it does not end")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, reason: str) -> None:
        log.warning("signer.connection_ended reason=%s", reason)
        if self._transport is not None:
            self._transport.abort()
