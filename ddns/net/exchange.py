"""One exchange over TCP: what a client has sent is read once, what is known is answered, and sent at once.

The native twin does it from the socket to the socket; the one here does it with what answers framed messages.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Protocol

READ = 4096  # octets that one connection is read before others have their turn: some seventy questions

# Reads once from a socket, answers what is known, sends. Returns how many octets have come where that was all of them;
# else those octets, the offset behind the last message that was answered, and answers that were not sent.
Exchange = Callable[[int], int | tuple[bytes, int, bytes]]


class Framer(Protocol):
    """What answers what is known at once; the native twin has an `Exchange` of its own besides."""

    def frames(self, octets: bytes, at: int, /) -> tuple[bytes, int]:
        """Answer framed messages, as `ddns.answer.framing.PureFramer` does."""


def exchange_of(framer: Framer) -> Exchange:
    """Return the `Exchange` of *framer*, one in Python where it has none."""
    own: Exchange | None = getattr(framer, "exchange", None)
    if own is not None:
        return own
    frames = framer.frames

    def exchange(descriptor: int) -> int | tuple[bytes, int, bytes]:
        octets = os.read(descriptor, READ)
        answers, at = frames(octets, 0)
        sent = 0
        if answers:
            with contextlib.suppress(BlockingIOError):
                sent = os.write(descriptor, answers)
        if at == len(octets) and sent == len(answers):
            return at
        return octets, at, answers[sent:]

    return exchange
