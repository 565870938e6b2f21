"""Processes that sign in bulk what nobody waits for, so that updates are answered meanwhile.

A helper is started when there is work for it, speaks the frames of `ddns.zone.jobs` over its standard input, yields
the processor to everything else, and is let go when it has been idle. It ends by itself when we do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Mapping, Sequence

from ddns.zone.jobs import Frames, FrameTooLong, framed

log = logging.getLogger("zone_signer")

IDLE = 20.0  # seconds after which a helper is let go
ATTEMPTS = 2  # at a batch whose helper ended before it was done
ENDING = 5.0  # seconds that a helper has to end


class Helpers:
    """At most *most* processes of *command*, in the environment *environment*."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], most: int) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._free = asyncio.Semaphore(most)
        self._first = asyncio.Semaphore(1)
        self._idle: deque[_Helper] = deque()
        self._ending: set[asyncio.Task[None]] = set()

    async def sign(self, body: bytes, *, first: bool) -> bytes | None:
        """Return the answer to the batch *body*, both without their length; None where no helper lives to give it.

        It waits until a helper is free. One more is there for who goes *first*: who asks holds a zone locked.
        """
        async with self._first if first else self._free:
            for _ in range(ATTEMPTS):
                answer = await self._ask(body)
                if answer is not None:
                    return answer
            return None

    async def _ask(self, body: bytes) -> bytes | None:
        helper = self._take()
        if helper is None:
            try:
                helper = await _Helper.start(self._command, self._environment)
            except OSError as error:
                log.error("signer.no_helper reason=%s", error.strerror or error)  # noqa: TRY400 - it says enough
                return None
        try:
            answer = await helper.ask(body)
        except BaseException:
            self._end(helper)
            raise
        if answer is None:
            log.error("signer.helper_ended pid=%d", helper.process.pid)
            self._end(helper)
        else:
            self._idle.append(helper)
            helper.timer = asyncio.get_running_loop().call_later(IDLE, self._let_go, helper)
        return answer

    def _take(self) -> _Helper | None:
        while self._idle:
            helper = self._idle.pop()  # the one that was at work last: the others may be let go
            if helper.timer is not None:
                helper.timer.cancel()
            if not helper.closed:
                return helper
            self._end(helper)
        return None

    def _let_go(self, helper: _Helper) -> None:
        if helper in self._idle:
            self._idle.remove(helper)
            self._end(helper)

    def _end(self, helper: _Helper) -> None:
        ending = asyncio.ensure_future(helper.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End all helpers; those at work lose it."""
        while self._idle:
            helper = self._idle.pop()
            if helper.timer is not None:
                helper.timer.cancel()
            self._end(helper)
        await asyncio.gather(*self._ending, return_exceptions=True)


class _Helper(asyncio.Protocol):
    """One process, and our end of its line."""

    process: asyncio.subprocess.Process

    def __init__(self) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._answer: asyncio.Future[bytes | None] | None = None

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> _Helper:
        """Start a process. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(*command, stdin=theirs.fileno(), env=environment)
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        _, helper = await asyncio.get_running_loop().create_connection(cls, sock=ours)
        helper.process = process
        return helper

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self, body: bytes) -> bytes | None:
        """Return the answer to *body*, or None where the process ends."""
        if self.closed or self._transport is None:
            return None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(framed(body))
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Hand an answer to who waits for it."""
        try:
            bodies = self._frames.feed(data)
        except FrameTooLong:
            bodies = []
            if self._transport is not None:
                self._transport.abort()
        for body in bodies:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that there is no answer."""
        del exc
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def end(self) -> None:
        """Close the line, on which the process ends; one that does not is killed."""
        if self._transport is not None:
            self._transport.abort()
        try:
            async with asyncio.timeout(ENDING):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
