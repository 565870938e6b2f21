"""Ask the signer over its unix socket. Frames and shapes are in `ddns.zone.jobs`."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ddns.store.prompt import Prompt
from ddns.turns import watch
from ddns.zone.jobs import (
    Batch,
    Done,
    Frames,
    FrameTooLong,
    Job,
    PlainJob,
    PlainSigned,
    ProofJob,
    Proven,
    Signed,
    SignedJob,
    SignJob,
    framed,
    whole_frame,
)
from ddns.zone.plain import complete, plain

RETRY_AFTER = 0.25  # seconds between two attempts to connect to a signer that is away
READ = 256 * 1024  # octets that are read at once

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Signed)


class SignerAway(Exception):
    """The signer did not answer in time or is not there: commit unsigned, it signs when it returns."""


class SignerClient:
    """One connection to the signer at *path*; requests are answered in any order.

    *wait* bounds one batch, in seconds. *bulk*: what others ask goes first (see `Batch`). A signer that is away is
    tried again at most every `RETRY_AFTER` seconds, so that it costs waiting updates nothing.
    """

    def __init__(self, path: Path, wait: float, *, bulk: bool = False) -> None:
        self._path = path
        self._wait = wait
        self._bulk = bulk
        self._ids = itertools.count(1)
        self._line: _Line | None = None
        self._tried = -RETRY_AFTER

    async def sign(self, jobs: Sequence[Job]) -> tuple[SignedJob, ...]:
        """Return the answers to *jobs*, in their order. Raises `SignerAway`."""
        asked = tuple([plain(job) or job if isinstance(job, SignJob) else job for job in jobs])
        answers = await self._ask(asked)
        return tuple([_answer(*both) for both in zip(asked, answers, strict=True)])

    async def prove(self, jobs: Sequence[ProofJob]) -> tuple[Proven, ...]:
        """Return the answers to *jobs*, in their order. Raises `SignerAway`."""
        answers = await self._ask(tuple(jobs))
        proven = tuple([one for one in answers if isinstance(one, Proven)])
        if len(proven) != len(answers) or any(
            not one.error and len(one.sigs) != len(job.asked) for job, one in zip(jobs, proven, strict=True)
        ):
            raise SignerAway("the signer answered something else than it was asked")
        return proven

    async def _ask(self, asked: tuple[Job | ProofJob, ...]) -> tuple[Done | Proven, ...]:
        """Return an answer to each of the jobs *asked*. Raises `SignerAway`."""
        line = self._line
        if line is None or line.closed:
            line = self._connected()
        ident = next(self._ids)
        try:
            answers = await line.ask(ident, _ENCODER.encode(Batch(ident, asked, self._bulk)))
        finally:
            line.forget(ident)
        if len(answers) != len(asked):
            raise SignerAway("the signer answered something else than it was asked")
        return answers

    def _connected(self) -> _Line:
        """Connect, which a unix socket does at once or not at all. Raises `SignerAway`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._tried + RETRY_AFTER:
            raise SignerAway("the signer is away")
        self._tried = now
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise SignerAway(error.strerror or str(error)) from error
        self._tried = -RETRY_AFTER
        self._line = _Line(loop, sock, self._wait)
        return self._line

    async def close(self) -> None:
        """End the connection."""
        if self._line is not None:
            self._line.hang_up("it is closed")


def _answer(job: Job, done: Done | Proven) -> SignedJob:
    if isinstance(done, Proven):
        raise SignerAway("the signer answered something else than it was asked")
    if isinstance(done, PlainSigned):
        if not isinstance(job, PlainJob):
            raise SignerAway("the signer answered something else than it was asked")
        return complete(job, done)
    return done


class _Line:
    """A connection, and who waits for which answer, for *wait* seconds at most.

    All wait equally long, so that one timer is enough: it runs only while somebody waits, and looks who has waited
    too long.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, wait: float) -> None:
        self._loop = loop
        self._sock = sock
        self._descriptor = sock.fileno()
        self._wait = wait
        self._buffer = memoryview(bytearray(READ))
        self._frames = Frames()
        self._unsent = bytearray()
        self._waiting: dict[int, tuple[float, Prompt[tuple[Done | Proven, ...]]]] = {}  # in the order of their ends
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False
        watch(loop, self._descriptor, self._readable)

    def ask(self, ident: int, body: bytes) -> Prompt[tuple[Done | Proven, ...]]:
        """Send the batch *ident*; what is returned gets its answer, or `SignerAway`."""
        loop = self._loop
        end = loop.time() + self._wait
        answer: Prompt[tuple[Done | Proven, ...]] = Prompt(loop=loop)
        self._waiting[ident] = end, answer
        if self._timer is None:
            self._timer = loop.call_at(end, self._look)
        self._send(framed(body))
        return answer

    def forget(self, ident: int) -> None:
        """Wait for the answer to *ident* no more."""
        self._waiting.pop(ident, None)

    def _look(self) -> None:
        """Give up waiting for what is late."""
        now = self._loop.time()
        late = [ident for ident, (end, _) in self._waiting.items() if end <= now]
        answers = [self._waiting.pop(ident)[1] for ident in late]
        ends = (end for end, _ in self._waiting.values())
        first = next(ends, None)
        self._timer = None if first is None else self._loop.call_at(first, self._look)
        for answer in answers:
            _fail(answer, "the signer does not answer in time")

    def _send(self, frame: bytes) -> None:
        if self._unsent:
            self._unsent += frame
            return
        try:
            sent = self._sock.send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.hang_up()
            return
        if sent < len(frame):
            self._unsent += memoryview(frame)[sent:]
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.hang_up()
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)

    def _readable(self) -> None:
        """Hand answers to those who wait for them."""
        buffer = self._buffer
        try:
            size = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self.hang_up()
            return
        try:
            if not self._frames.wanted and whole_frame(buffer, size):
                self._hand_over(_DECODER.decode(buffer[4:size]))
                return
            for body in self._frames.feed(bytes(buffer[:size])):
                self._hand_over(_DECODER.decode(body))
        except (FrameTooLong, msgspec.MsgspecError):
            self.hang_up("the signer said something that is none of its answers")

    def _hand_over(self, signed: Signed) -> None:
        waiting = self._waiting.pop(signed.id, None)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(signed.jobs)

    def hang_up(self, reason: str = "the signer closed the connection") -> None:
        """End the connection now, and tell all who wait that there is no answer."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._descriptor)
        if self._unsent:
            self._loop.remove_writer(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            _fail(answer, reason)


def _fail(answer: Prompt[tuple[Done | Proven, ...]], reason: str) -> None:
    if not answer.done():  # whoever waited was cancelled and has not gone on yet
        answer.set_exception(SignerAway(reason))
