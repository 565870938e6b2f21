"""What is said at the signer's socket: frames of `ddns.zone.jobs` in, frames out. Bounded, and it trusts no length.

Law: one connection is answered batch by batch, in order; while a batch is at work nothing more is read from it. A small
batch whose keys are remembered is answered in the connection's own thread, others in the loop's, and a bulk batch by a
helper.

The thread blocks in the kernel until something arrives: an update alone waits for a few hundred octets each way, and a
loop's turn between them is more than half of what is run besides signing, with caches that have gone cold.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future

import msgspec

from ddns.zone.jobs import (
    MAX_FRAME,
    Batch,
    Done,
    Frames,
    FrameTooLong,
    Job,
    ProofJob,
    Signed,
    SignJob,
    framed,
    whole_frame,
)
from zone_signer.helpers import Helpers
from zone_signer.signer import Signer, failed

log = logging.getLogger("zone_signer")

MAX_CONNECTIONS = 64  # a server's worker has one
SMALL_FRAME = 1024 * 1024  # octets; of bigger frames only a few are in memory at a time
BIG_FRAMES = 2
FRAME_TIMEOUT = 30.0  # seconds for a frame to arrive once it has begun
AT_ONCE = 64  # jobs that are answered in the connection's thread: about 5 ms
READ = 256 * 1024  # octets that are read at once; each connection has a buffer of so many

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


class _Refused(Exception):
    """What ends a connection; the message says why."""


def _answer(batch: Batch, asked: Sequence[Job], jobs: tuple[Done, ...]) -> bytes:
    body = _ENCODER.encode(Signed(batch.id, jobs))
    if len(body) > MAX_FRAME:
        long = tuple(failed(job, "the answer is too long for a frame") for job in asked)
        body = _ENCODER.encode(Signed(batch.id, long))
    return body


class Desk:
    """Who answers, and all that is asked of it at a time: *signer*, and *helpers* for what nobody waits for.

    It belongs to the loop; of what is here only `signer.at_once`, its prover and `big` are for threads.
    """

    def __init__(self, signer: Signer, helpers: Helpers | None = None) -> None:
        self.signer = signer
        self.helpers = helpers
        self.big = threading.BoundedSemaphore(BIG_FRAMES)  # places for frames that are big
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
        ending = list(self._conversations)
        working = [work for one in ending if (work := one.end()) is not None]
        await asyncio.gather(*working, return_exceptions=True)
        for one in ending:
            await one.ended.wait()
        if self.helpers is not None:
            await self.helpers.close()


class Conversation:
    """One server at the socket *sock*: its frames, and the batch that is at work. Made in the loop's thread."""

    def __init__(self, desk: Desk, sock: socket.socket) -> None:
        self._desk = desk
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._work: asyncio.Task[bytes | None] | None = None
        self._ending = False
        self.ended = asyncio.Event()
        sock.setblocking(True)
        if desk.admit(self):
            threading.Thread(target=self._run, name="conversation", daemon=True).start()
        else:
            sock.close()
            self.ended.set()

    def end(self) -> asyncio.Task[bytes | None] | None:
        """Have the connection end; return what is at work for it and ends as well. For the loop's thread."""
        self._ending = True
        with contextlib.suppress(OSError):  # it has ended by itself
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._work is not None:
            self._work.cancel()
        return self._work

    def _left(self) -> None:
        self._sock.close()
        self._desk.leave(self)
        self.ended.set()

    # -- in the thread

    def _run(self) -> None:
        try:
            self._talk()
        except (_Refused, FrameTooLong) as error:
            log.warning("signer.connection_ended reason=%s", error)
        except (OSError, CancelledError):
            pass  # it is broken, or we are ending
        except Exception:
            log.exception("signer.bug")
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everything with it
            self._loop.call_soon_threadsafe(self._left)

    def _talk(self) -> None:
        """Answer batch after batch, until the other side sends no more."""
        buffer = memoryview(bytearray(READ))
        receive = self._sock.recv_into
        while size := receive(buffer):
            if whole_frame(buffer, size):  # the way that nearly all come
                self._reply(buffer[4:size])
            else:
                for body in self._received(buffer, size):
                    self._reply(body)

    def _received(self, buffer: memoryview, size: int) -> Iterator[bytes]:
        """Yield frames, *size* octets of which are in *buffer*, until none has begun. Raises `_Refused`."""
        frames = self._frames
        end = time.monotonic() + FRAME_TIMEOUT
        placed = False
        try:
            while True:
                arrived = frames.feed(bytes(buffer[:size]))
                yield from arrived
                if not frames.wanted:
                    return
                if arrived:
                    end = time.monotonic() + FRAME_TIMEOUT
                if (frames.wanted > SMALL_FRAME) is not placed:
                    if placed:
                        self._desk.big.release()
                    else:
                        self._desk.big.acquire()  # whoever has one gives it back within the time for a frame
                        end = time.monotonic() + FRAME_TIMEOUT
                    placed = not placed
                self._sock.settimeout(max(end - time.monotonic(), 0.001))
                try:
                    size = self._sock.recv_into(buffer)
                except TimeoutError:
                    raise _Refused("a frame does not end") from None
                if not size:
                    raise _Refused("it ended within a frame")
        finally:
            if placed:
                self._desk.big.release()
            self._sock.settimeout(None)

    def _reply(self, body: bytes | memoryview) -> None:
        """Answer one batch. Raises `_Refused`."""
        try:
            batch = _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            raise _Refused(str(error)) from None
        jobs = [job for job in batch.jobs if not isinstance(job, ProofJob)]
        if len(jobs) == len(batch.jobs):
            answer = self._at_once(batch, jobs) or self._later(batch, jobs, bytes(body))
        elif jobs:
            raise _Refused("jobs of two kinds are in one batch")
        else:
            answer = self._proven(batch)
        self._sock.sendall(framed(answer))

    def _proven(self, batch: Batch) -> bytes:
        """Return the answer to a batch of names that are denied: here, because nobody's update is to wait for it."""
        jobs = self._desk.signer.prover.prove([job for job in batch.jobs if isinstance(job, ProofJob)])
        return _ENCODER.encode(Signed(batch.id, jobs))

    def _at_once(self, batch: Batch, asked: Sequence[Job]) -> bytes | None:
        """Return the answer to a batch that needs nothing else; None to one that takes longer."""
        if (batch.bulk and self._desk.helpers is not None) or len(asked) > AT_ONCE:
            return None
        try:
            jobs = self._desk.signer.at_once(asked)
        except Exception:
            log.exception("signer.bug")  # and job by job it is told which it is
            return None
        return None if jobs is None else _answer(batch, asked, jobs)

    def _later(self, batch: Batch, asked: Sequence[Job], body: bytes) -> bytes:
        """Have the loop answer *batch*, and wait for that. Raises `_Refused`, and `CancelledError` where we end."""
        done: Future[bytes | None] = asyncio.run_coroutine_threadsafe(self._in_loop(batch, asked, body), self._loop)
        answer = done.result()
        if answer is None:
            # And so its asker knows that it is left to the signer's own loop.
            raise _Refused("no helper signs it")
        return answer

    # -- in the loop

    async def _in_loop(self, batch: Batch, asked: Sequence[Job], body: bytes) -> bytes | None:
        if self._ending:
            raise asyncio.CancelledError
        self._work = asyncio.current_task()
        try:
            helpers = self._desk.helpers
            # A helper that starts behind a leap of the clock would not know of it.
            if batch.bulk and helpers is not None and not self._desk.signer.is_held:
                # A zone that is new is locked by nobody; the others keep people waiting.
                first = not all(isinstance(job, SignJob) and job.whole for job in asked)
                return await helpers.sign(body, first=first)
            try:
                jobs = await self._desk.signer.sign(asked)
            except Exception:
                log.exception("signer.bug")
                jobs = tuple(failed(job, "the signer failed; its log says where") for job in asked)
            return _answer(batch, asked, jobs)
        finally:
            self._work = None
