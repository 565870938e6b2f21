"""The signer's unix socket: frames of `ddns.zone.jobs` in, frames out. It is bounded everywhere and trusts no length.

One connection is answered batch by batch, in order; while a batch is at work nothing more is read from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import struct
from pathlib import Path

import msgspec

from ddns.zone.jobs import MAX_FRAME, Batch, Signed, SignedJob
from zone_signer.signer import Signer

log = logging.getLogger("zone_signer")

MAX_CONNECTIONS = 64  # a server's worker has one
SMALL_FRAME = 1024 * 1024  # octets; of bigger frames only a few are in memory at a time
BIG_FRAMES = 2
FRAME_TIMEOUT = 30.0  # seconds for a frame to arrive once it has begun
LONGEST_PATH = 107  # octets (unix(7))

_LENGTH = struct.Struct("!I")


class SocketProblem(Exception):
    """A socket that cannot be listened on; the message is one sentence."""


class Service:
    """Listens at *path*; a group of the name *group*, where given, may connect too."""

    def __init__(self, path: Path, signer: Signer, group: str = "") -> None:
        self._path = path
        self._signer = signer
        self._group = group
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._big = asyncio.Semaphore(BIG_FRAMES)
        self._decoder = msgspec.msgpack.Decoder(Batch)
        self._encoder = msgspec.msgpack.Encoder()

    async def start(self) -> None:
        """Begin to listen. Raises `SocketProblem`."""
        sock = self._listen()
        self._server = await asyncio.start_unix_server(self._accept, sock=sock)

    def _listen(self) -> socket.socket:
        path = str(self._path)
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise SocketProblem(
                f"the path {path} is too long for a socket; choose one of at most {LONGEST_PATH} octets"
            )
        sock = socket.socket(socket.AF_UNIX)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_stale()
            # Nobody else may connect in the moment before the mode is set.
            before = os.umask(0o177)
            try:
                sock.bind(path)
            finally:
                os.umask(before)
            if self._group:
                shutil.chown(path, group=self._group)
                os.chmod(path, 0o660)  # noqa: PTH101 - the group is there to connect
            sock.listen(MAX_CONNECTIONS)
            sock.setblocking(False)
        except LookupError:
            sock.close()
            raise SocketProblem(f"there is no group {self._group}; make it or choose another") from None
        except OSError as error:
            sock.close()
            raise SocketProblem(f"cannot listen on {path}: {error.strerror or error}") from None
        except SocketProblem:
            sock.close()
            raise
        return sock

    def _remove_stale(self) -> None:
        """Remove the socket of a signer that has ended; a living one keeps it."""
        if not self._path.exists():
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._path))
            except (ConnectionRefusedError, FileNotFoundError):
                self._path.unlink(missing_ok=True)
                return
        raise SocketProblem(f"another signer listens on {self._path}; stop it first or choose another --socket")

    async def close(self) -> None:
        """Stop listening and end all connections; a server whose batch is lost commits it unsigned."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MAX_CONNECTIONS:
            log.warning("signer.too_many_connections most=%d", MAX_CONNECTIONS)
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side has gone, or we are about to
        except (TimeoutError, msgspec.MsgspecError, ValueError) as error:
            log.warning("signer.bad_frame reason=%s", error or type(error).__name__)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if size > MAX_FRAME:
                raise ValueError(f"a frame of {size} octets is too long")
            async with self._big if size > SMALL_FRAME else contextlib.nullcontext():
                async with asyncio.timeout(FRAME_TIMEOUT):
                    batch = self._decoder.decode(await reader.readexactly(size))
                frame = self._encoder.encode(Signed(batch.id, await self._signer.sign(batch.jobs)))
                if len(frame) > MAX_FRAME:
                    long = tuple(SignedJob(job.zone, error="the answer is too long for a frame") for job in batch.jobs)
                    frame = self._encoder.encode(Signed(batch.id, long))
                writer.write(_LENGTH.pack(len(frame)) + frame)
                await writer.drain()
