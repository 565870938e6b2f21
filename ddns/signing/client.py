"""Ask the signer over its unix socket. Frames and shapes are in `ddns.zone.jobs`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ddns.store.prompt import Prompt
from ddns.zone.jobs import Batch, Frames, FrameTooLong, Signed, SignedJob, SignJob, framed

RETRY_AFTER = 0.25  # seconds between two attempts to connect to a signer that is away

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

    async def sign(self, jobs: Sequence[SignJob]) -> tuple[SignedJob, ...]:
        """Return the answers to *jobs*, in their order. Raises `SignerAway`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._wait
        line = self._line
        if line is None or line.closed:
            try:
                async with asyncio.timeout_at(end):
                    line = await self._connected(loop)
            except (TimeoutError, OSError) as error:
                raise SignerAway(str(error)) from error
        ident = next(self._ids)
        answer = line.ask(ident, _ENCODER.encode(Batch(ident, tuple(jobs), self._bulk)))
        timer = loop.call_at(end, line.late, ident)
        try:
            return await answer
        finally:
            timer.cancel()
            line.forget(ident)

    async def _connected(self, loop: asyncio.AbstractEventLoop) -> _Line:
        now = loop.time()
        if now < self._tried + RETRY_AFTER:
            raise OSError("the signer is away")
        self._tried = now
        _, line = await loop.create_unix_connection(_Line, str(self._path))
        self._tried = -RETRY_AFTER
        if self._line is not None and not self._line.closed:
            line.hang_up()  # somebody else was quicker
            return self._line
        self._line = line
        return line

    async def close(self) -> None:
        """End the connection and wait until it has ended."""
        if self._line is not None:
            self._line.hang_up()
            await self._line.ended


class _Line(asyncio.Protocol):
    """A connection, and who waits for which answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._waiting: dict[int, Prompt[tuple[SignedJob, ...]]] = {}
        self.closed = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, ident: int, body: bytes) -> Prompt[tuple[SignedJob, ...]]:
        """Send the batch *ident*; what is returned gets its answer, or `SignerAway`."""
        answer: Prompt[tuple[SignedJob, ...]] = Prompt(self._loop)
        self._waiting[ident] = answer
        assert self._transport is not None
        self._transport.write(framed(body))
        return answer

    def forget(self, ident: int) -> None:
        """Wait for the answer to *ident* no more."""
        self._waiting.pop(ident, None)

    def late(self, ident: int) -> None:
        """Give up waiting for *ident*."""
        waiting = self._waiting.pop(ident, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(SignerAway("the signer does not answer in time"))

    def data_received(self, data: bytes) -> None:
        """Hand answers to those who wait for them."""
        try:
            for body in self._frames.feed(data):
                signed = _DECODER.decode(body)
                waiting = self._waiting.pop(signed.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(signed.jobs)
        except (FrameTooLong, msgspec.MsgspecError):
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that there is no answer."""
        del exc
        self.closed = True
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(SignerAway("the signer closed the connection"))
        self._waiting.clear()
        if not self.ended.done():
            self.ended.set_result(None)

    def hang_up(self) -> None:
        """End the connection now."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
