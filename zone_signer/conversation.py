"""What is said at the signer's socket: frames of `ddns.zone.jobs` in, frames out. Bounded, and it trusts no length.

One connection is answered batch by batch, in order; while a batch is at work nothing more is read from it. A small
batch whose keys are remembered is answered as it arrives, in the same turn of the loop and without a task; a
bulk batch is a helper's.

The socket is read by a callback of the loop's own and not through a transport: an update alone waits for a few hundred
octets each way, and what lies in between is run with cold caches.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque

import msgspec

from ddns.zone.jobs import MAX_FRAME, Batch, Done, Frames, FrameTooLong, Signed, SignJob, framed, whole_frame
from zone_signer.helpers import Helpers
from zone_signer.signer import Signer, failed

log = logging.getLogger("zone_signer")

MAX_CONNECTIONS = 64  # a server's worker has one
SMALL_FRAME = 1024 * 1024  # octets; of bigger frames only a few are in memory at a time
BIG_FRAMES = 2
FRAME_TIMEOUT = 30.0  # seconds for a frame to arrive once it has begun
AT_ONCE = 64  # jobs that are answered in one turn: about 5 ms
READ = 256 * 1024  # octets that are read at once

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


def _answer(batch: Batch, jobs: tuple[Done, ...]) -> bytes:
    body = _ENCODER.encode(Signed(batch.id, jobs))
    if len(body) > MAX_FRAME:
        long = tuple(failed(job, "the answer is too long for a frame") for job in batch.jobs)
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
        self.buffer = memoryview(bytearray(READ))  # of whoever reads just now
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


class Conversation:
    """One server at the socket *sock*: its frames, and the batch that is at work."""

    def __init__(self, desk: Desk, sock: socket.socket) -> None:
        self._desk = desk
        self._sock = sock
        self._descriptor = sock.fileno()
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._arrived: deque[bytes] = deque()  # batches that came while another was at work
        self._unsent = bytearray()
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._placed = False  # a big frame of this connection has its place
        self._held = False  # it waits for one, and nothing is read
        self._ending = False  # the other side sends no more
        self.ended = asyncio.Event()
        sock.setblocking(False)
        if desk.admit(self):
            self._flow()
        else:
            self._end()

    def _end(self) -> None:
        """Give back what this connection holds; work for nobody ends."""
        if self.ended.is_set():
            return
        self.ended.set()
        self._read(on=False)
        if self._unsent:
            self._loop.remove_writer(self._descriptor)
        self._stop_timer()
        self._sock.close()
        self._desk.leave(self)
        self._desk.big.withdraw(self)
        if self._placed:  # whether its frame is whole or will never be
            self._placed = False
            self._desk.big.give()
        if self._work is not None:
            self._work.cancel()

    def end(self) -> asyncio.Task[None] | None:
        """End the connection; return what is at work for it and ends as well."""
        self._end()
        return self._work

    def _readable(self) -> None:
        buffer = self._desk.buffer
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()
            return
        if not self._frames.wanted and whole_frame(buffer, size):
            body = buffer[4:size]  # the way that nearly all come, which leaves everything as it was
            batch = self._at_once(body)
            if batch is not None:
                self._later(batch, bytes(body))
                self._flow()
        elif size:
            self._received(bytes(buffer[:size]))
        else:
            self._ending = True  # what is at work is still answered
            self._next()
            self._flow()

    def _received(self, octets: bytes) -> None:
        """Take octets, and answer what is whole."""
        try:
            arrived = self._frames.feed(octets)
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
        self._next()
        self._flow()

    def placed(self) -> None:
        """Go on with a big frame, which has its place now."""
        self._placed, self._held = True, False
        self._flow()

    def _at_once(self, body: bytes | memoryview) -> Batch | None:
        """Answer a batch in this turn; one that takes longer is returned."""
        try:
            batch = _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            self._refuse(str(error))
            return None
        if (batch.bulk and self._desk.helpers is not None) or len(batch.jobs) > AT_ONCE:
            return batch
        try:
            jobs = self._desk.signer.at_once(batch.jobs)
        except Exception:
            log.exception("signer.bug")  # and job by job it is told which it is
            return batch
        if jobs is None:
            return batch
        self._reply(_answer(batch, jobs))
        return None

    def _later(self, batch: Batch, body: bytes) -> None:
        helpers = self._desk.helpers
        if batch.bulk and helpers is not None:
            self._work = asyncio.ensure_future(self._answer_by_helper(helpers, batch, body))
        else:
            self._work = asyncio.ensure_future(self._answer_later(batch))

    def _next(self) -> None:
        """Answer what has arrived, until something takes longer."""
        while self._arrived and self._work is None and not self._unsent and not self.ended.is_set():
            body = self._arrived.popleft()
            batch = self._at_once(body)
            if batch is not None:
                self._later(batch, body)
        if self._ending and self._work is None and not self._arrived and not self._unsent:
            self._end()

    async def _answer_later(self, batch: Batch) -> None:
        try:
            jobs = await self._desk.signer.sign(batch.jobs)
        except Exception:
            log.exception("signer.bug")
            jobs = tuple(failed(job, "the signer failed; its log says where") for job in batch.jobs)
        self._finish(_answer(batch, jobs))

    async def _answer_by_helper(self, helpers: Helpers, batch: Batch, body: bytes) -> None:
        # A zone that is new is locked by nobody; the others keep people waiting.
        answer = await helpers.sign(body, first=not all(isinstance(job, SignJob) and job.whole for job in batch.jobs))
        if answer is None:
            self._refuse("no helper signs it")  # and so its asker knows that it is left to the signer's own loop
        else:
            self._finish(answer)

    def _finish(self, answer: bytes) -> None:
        """Send the answer of what took longer, and go on."""
        self._work = None
        if not self.ended.is_set():
            self._reply(answer)
            self._next()
            self._flow()

    def _reply(self, answer: bytes) -> None:
        if self._placed and not self._arrived:
            self._release()
        frame = framed(answer)
        try:
            sent = self._sock.send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._end()
            return
        if sent < len(frame):
            self._unsent += memoryview(frame)[sent:]
            self._loop.add_writer(self._descriptor, self._writable)
            self._flow()

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            self._next()
            self._flow()

    def _release(self) -> None:
        if self._placed and self._frames.wanted <= SMALL_FRAME:
            self._placed = False
            self._desk.big.give()

    def _flow(self) -> None:
        """Read on only while nothing is at work and nothing waits; a frame that has begun has its time then."""
        if self.ended.is_set():
            return
        # Who does not read the answers is asked for no more questions.
        busy = self._work is not None or self._held or self._ending or bool(self._unsent)
        self._read(on=not busy)
        if busy or not self._frames.wanted:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self._loop.call_later(FRAME_TIMEOUT, self._refuse, "it does not end")

    def _read(self, *, on: bool) -> None:
        if on and not self._reading:
            self._loop.add_reader(self._descriptor, self._readable)
        elif self._reading and not on:
            self._loop.remove_reader(self._descriptor)
        self._reading = on

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, reason: str) -> None:
        log.warning("signer.connection_ended reason=%s", reason)
        self._end()
