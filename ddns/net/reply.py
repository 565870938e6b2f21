"""How an answer goes back to whom it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

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
