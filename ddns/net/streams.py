"""The sockets of all TCP and TLS connections of one worker, behind one descriptor of the reactor.

They have an epoll of their own, which the reactor watches: one turn of the reactor serves all that are ready, and
what asyncio and Twisted cost is paid once a turn instead of once an event. Connections are watched edge by edge,
so that no system call is needed to pause one and to go on.
"""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

TURN = 64  # sockets that are served before the reactor looks at anything else

LISTENING = select.EPOLLIN
READING = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
WRITING = READING | select.EPOLLOUT
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

log = Logger(namespace="ddns.streams")


class Watched(Protocol):
    """A socket that is watched, or rather what is behind it."""

    def ready(self, event: int) -> None:
        """Read or write. *event* is a hint: the socket may have been closed, and its number given to another."""

    def failed(self) -> None:
        """Do what is right where `ready` has raised something."""

    def abort(self) -> None:
        """Close at once."""


@implementer(IReadDescriptor)
class Streams:
    """Tell each socket that is ready, at most `TURN` of them a turn; the others come first in the next."""

    def __init__(self, clock: Any) -> None:
        """Begin without any; *clock* is the reactor, or any other IReactorTime."""
        self._clock = clock
        self.now = clock.seconds()  # when this turn began
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def fileno(self) -> int:
        """Return the descriptor that the reactor watches."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:  # noqa: N802 - Twisted's name
        """Return how Twisted names this reader in its log."""
        return "streams"

    def watch(self, descriptor: int, watched: Watched, events: int = READING) -> None:
        """Tell *watched* when *descriptor* is ready."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = watched

    def again(self, descriptor: int, events: int = READING) -> None:
        """Wait for *events*, also for those that are there already."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch *descriptor* no longer; who calls this closes it, which takes it out of the epoll too."""
        self._watched.pop(descriptor, None)

    def doRead(self) -> None:  # noqa: N802 - Twisted's name
        """Serve those that are ready."""
        find = self._watched.get
        self.now = self._clock.seconds()
        for descriptor, event in self._epoll.poll(0, TURN):
            watched = find(descriptor)
            if watched is not None:
                try:
                    watched.ready(event)
                except Exception:  # noqa: BLE001 - a bug: said with its traceback, nobody else notices
                    log.failure("stream.failed")
                    watched.failed()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802, ARG002 - Twisted's name and shape
        """Let go of everything: the reactor stops."""
        for watched in list(self._watched.values()):
            watched.abort()
        self._epoll.close()
