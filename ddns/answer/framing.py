"""DNS messages in a stream (RFC 1035 §4.2.2): two octets of length before each, and the answers framed alike."""

from __future__ import annotations

from collections.abc import Callable

from ddns.answer.counters import STREAMED, Counters
from ddns.dns.codes import FLAG_TC, HEADER_SIZE

LENGTH = 2  # octets before each message
ROOM = 64 * 1024  # octets of answers after which a framer stops, so that they can go out

_LEAST = LENGTH + HEADER_SIZE
_TC = FLAG_TC >> 8


class PureFramer:
    """Answer the messages of a stream that *lookup* knows, and count them; its native twin is in `ddns.answer.hot`."""

    __slots__ = ("_lookup", "_numbers")

    def __init__(self, lookup: Callable[[bytes], bytes | None], counters: Counters | None = None) -> None:
        self._lookup = lookup
        self._numbers = (counters or Counters()).numbers

    def frames(self, octets: bytes, at: int, /) -> tuple[bytes, int]:
        """Answer the messages in *octets* from the offset *at* on, in their order, as long as they are whole and known.

        Return the framed answers, some `ROOM` octets at most, and the offset behind the last message that was answered.
        """
        lookup, numbers = self._lookup, self._numbers
        size = len(octets)
        out: list[bytes] = []
        room = ROOM
        while size - at >= _LEAST and room > 0:
            end = at + LENGTH + (octets[at] << 8 | octets[at + 1])
            if end > size:
                break
            answer = lookup(octets[at + LENGTH : end])
            if answer is None or answer[2] & _TC:  # a truncated answer is for UDP only
                break
            numbers[STREAMED] += 1
            numbers[answer[3] & 15] += 1
            out += (len(answer).to_bytes(LENGTH, "big"), answer)
            room -= LENGTH + len(answer)
            at = end
        return b"".join(out), at
