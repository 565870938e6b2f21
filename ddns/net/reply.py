"""How an answer goes back to whom it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ddns.answer.counters import Counters

# Called once with the answer's octets; none at all (b"") is silence.
Reply = Callable[[bytes], None]


@runtime_checkable
class StreamReply(Protocol):
    """A reply over a stream, which may consist of several messages (RFC 5936 §2.2)."""

    def __call__(self, octets: bytes) -> None:
        """Send the last message, or the only one."""

    def more(self, octets: bytes) -> None:
        """Send a message that others follow."""

    async def room(self) -> bool:
        """Wait until the client has read most of what it was sent; False: the connection is gone."""

    def abort(self) -> None:
        """Close the connection: what was begun cannot be finished."""


class _Counted:
    """A reply whose answer is counted before it goes."""

    __slots__ = ("_counters", "_reply")

    def __init__(self, reply: StreamReply, counters: Counters) -> None:
        self._reply = reply
        self._counters = counters

    def __call__(self, octets: bytes) -> None:
        self._counters.count(octets)
        self._reply(octets)

    def more(self, octets: bytes) -> None:
        self._counters.count(octets)
        self._reply.more(octets)

    async def room(self) -> bool:
        return await self._reply.room()

    def abort(self) -> None:
        self._reply.abort()


def counted(reply: Reply, counters: Counters) -> Reply:
    """Return what replies as *reply* does, and counts each answer."""
    if isinstance(reply, StreamReply):
        return _Counted(reply, counters)

    def count(octets: bytes) -> None:
        counters.count(octets)
        reply(octets)

    return count
