"""The signer's unix socket: frames of `ddns.zone.jobs` in, frames out. It is bounded everywhere and trusts no length.

One connection is answered batch by batch, in order; while a batch is at work nothing more is read from it. A small
batch whose keys are remembered is answered as it arrives, in the same turn of the loop and without a task.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from collections import deque
from pathlib import Path

import msgspec

from ddns.zone.jobs import MAX_FRAME, Batch, Frames, FrameTooLong, Signed, SignedJob, framed
from zone_signer.signer import Signer

log = logging.getLogger("zone_signer")

MAX_CONNECTIONS = 64  # a server's worker has one
SMALL_FRAME = 1024 * 1024  # octets; of bigger frames only a few are in memory at a time
BIG_FRAMES = 2
FRAME_TIMEOUT = 30.0  # seconds for a frame to arrive once it has begun
AT_ONCE = 64  # jobs that are answered in one turn: about 5 ms
LONGEST_PATH = 107  # octets (unix(7))


class SocketProblem(Exception):
    """A socket that cannot be listened on; the message is one sentence."""


class Service:
    """Listens at *path*; a group of the name *group*, where given, may connect too."""

    def __init__(self, path: Path, signer: Signer, group: str = "") -> None:
        self._path = path
        self._signer = signer
        self._group = group
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.big = _Slots(BIG_FRAMES)

    async def start(self) -> None:
        """Begin to listen. Raises `SocketProblem`."""
        sock = self._listen()
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), sock=sock)

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
        working = [work for one in self._connections if (work := one.end()) is not None]
        await asyncio.gather(*working, return_exceptions=True)

    def admit(self, connection: _Connection) -> bool:
        """Count *connection*, or tell that there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            log.warning("signer.too_many_connections most=%d", MAX_CONNECTIONS)
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: _Connection) -> None:
        """Count *connection* no more."""
        self._connections.discard(connection)

    @property
    def signer(self) -> Signer:
        """Return who answers."""
        return self._signer


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


def _answer(batch: Batch, jobs: tuple[SignedJob, ...]) -> bytes:
    body = _ENCODER.encode(Signed(batch.id, jobs))
    if len(body) > MAX_FRAME:
        long = tuple(SignedJob(job.zone, error="the answer is too long for a frame") for job in batch.jobs)
        body = _ENCODER.encode(Signed(batch.id, long))
    return framed(body)


class _Slots:
    """Places for frames that are big; who finds none is called when one is free, in turn."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiting: deque[_Connection] = deque()

    def take(self, connection: _Connection) -> bool:
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

    def withdraw(self, connection: _Connection) -> None:
        """Forget that *connection* waits."""
        if connection in self._waiting:
            self._waiting.remove(connection)


class _Connection(asyncio.Protocol):
    """One server at the socket: its frames, and the batch that is at work."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._arrived: deque[bytes] = deque()  # batches that came while another was at work
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._placed = False  # a big frame of this connection has its place
        self._held = False  # it waits for one, and nothing is read
        self._blocked = False  # the other side does not read its answers
        self._ending = False  # the other side sends no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._service.admit(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._service.leave(self)
        self._service.big.withdraw(self)
        self._release()
        self._stop_timer()
        self._transport = None
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
            self._placed = self._service.big.take(self)
            self._held = not self._placed
        if self._work is None:
            self._next()
        self._flow()

    def eof_received(self) -> bool:
        self._ending = True
        return self._work is not None  # where it is at work its answer is still sent

    def pause_writing(self) -> None:
        self._blocked = True
        self._flow()

    def resume_writing(self) -> None:
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
            jobs = self._service.signer.at_once(batch.jobs) if len(batch.jobs) <= AT_ONCE else None
            if jobs is None:
                self._work = asyncio.ensure_future(self._answer_later(batch))
                return
            self._reply(batch, jobs)
        if self._ending and self._transport is not None and not self._arrived:
            self._transport.close()

    async def _answer_later(self, batch: Batch) -> None:
        try:
            jobs = await self._service.signer.sign(batch.jobs)
        except asyncio.CancelledError:
            return
        self._work = None
        if self._transport is not None:
            self._reply(batch, jobs)
            self._next()
            self._flow()

    def _reply(self, batch: Batch, jobs: tuple[SignedJob, ...]) -> None:
        if not self._arrived:
            self._release()
        if self._transport is not None:
            self._transport.write(_answer(batch, jobs))

    def _release(self) -> None:
        if self._placed and self._frames.wanted <= SMALL_FRAME:
            self._placed = False
            self._service.big.give()

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
        log.warning("signer.bad_frame reason=%s", reason)
        if self._transport is not None:
            self._transport.abort()
