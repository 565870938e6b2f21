"""Ask the signer over its unix socket. Frames and shapes are in `ddns.zone.jobs`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ddns.zone.jobs import MAX_FRAME, Batch, Signed, SignedJob, SignJob

_LENGTH = struct.Struct("!I")
RETRY_AFTER = 0.25  # seconds between two attempts to connect to a signer that is away


class SignerAway(Exception):
    """The signer did not answer in time or is not there: commit unsigned, it signs when it returns."""


class SignerClient:
    """One connection to the signer at *path*; requests are answered in any order.

    *wait* bounds one batch, in seconds. A signer that is away is tried again at most every
    `RETRY_AFTER` seconds, so that it costs waiting updates nothing.
    """

    def __init__(self, path: Path, wait: float) -> None:
        self._path = path
        self._wait = wait
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[SignedJob, ...]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tried = -RETRY_AFTER
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Signed)

    async def sign(self, jobs: Sequence[SignJob]) -> tuple[SignedJob, ...]:
        """Return the answers to *jobs*, in their order. Raises `SignerAway`."""
        try:
            async with asyncio.timeout(self._wait):
                return await self._ask(jobs)
        except (TimeoutError, OSError) as error:
            raise SignerAway(str(error)) from error

    async def _ask(self, jobs: Sequence[SignJob]) -> tuple[SignedJob, ...]:
        writer = await self._connected()
        ident = next(self._ids)
        answer: asyncio.Future[tuple[SignedJob, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = answer
        try:
            frame = self._encoder.encode(Batch(ident, tuple(jobs)))
            writer.write(_LENGTH.pack(len(frame)) + frame)
            await writer.drain()
            return await answer
        finally:
            self._waiting.pop(ident, None)

    async def _connected(self) -> asyncio.StreamWriter:
        if self._writer is not None and not self._writer.is_closing():
            return self._writer
        now = asyncio.get_running_loop().time()
        if now < self._tried + RETRY_AFTER:
            raise OSError("the signer is away")
        self._tried = now
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        self._tried = -RETRY_AFTER
        self._writer = writer
        self._reading = asyncio.ensure_future(self._read(reader, writer))
        return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if size > MAX_FRAME:
                    break
                signed = self._decoder.decode(await reader.readexactly(size))
                waiting = self._waiting.pop(signed.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(signed.jobs)
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError):
            pass
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
                for waiting in self._waiting.values():
                    if not waiting.done():
                        waiting.set_exception(OSError("the signer closed the connection"))

    async def close(self) -> None:
        """End the connection and wait until its reader has ended."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
