"""The signer's unix socket: where it is, who may connect, and its end. What is said there is in `conversation`."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from pathlib import Path

from zone_signer.conversation import MAX_CONNECTIONS, Conversation, Desk
from zone_signer.helpers import Helpers
from zone_signer.signer import Signer

LONGEST_PATH = 107  # octets (unix(7))
ACCEPT_AGAIN = 1.0  # seconds until connections are accepted again after that failed

log = logging.getLogger("zone_signer")


class SocketProblem(Exception):
    """A socket that cannot be listened on; the message is one sentence."""


class Service:
    """Listens at *path*; a group of the name *group*, where given, may connect too. *helpers* sign in bulk."""

    def __init__(self, path: Path, signer: Signer, group: str = "", helpers: Helpers | None = None) -> None:
        self._path = path
        self._desk = Desk(signer, helpers)
        self._group = group
        self._listener: socket.socket | None = None

    async def start(self) -> None:
        """Begin to listen. Raises `SocketProblem`."""
        self._listener = self._listen()
        self._accept_on()

    def _accept_on(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # such as too many open files
            log.error("signer.cannot_accept reason=%s", error.strerror or error)  # noqa: TRY400 - it says enough
            loop.remove_reader(self._listener.fileno())
            loop.call_later(ACCEPT_AGAIN, self._accept_on)
            return
        Conversation(self._desk, sock)  # which the loop and the desk hold

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
        listener, self._listener = self._listener, None
        if listener is None:
            return
        asyncio.get_running_loop().remove_reader(listener.fileno())
        listener.close()
        self._path.unlink(missing_ok=True)
        await self._desk.close()
