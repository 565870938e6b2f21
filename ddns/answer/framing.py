"""DNS messages in a stream (RFC 1035 §4.2.2): two octets of length before each, and the answers framed alike."""

from __future__ import annotations

from collections.abc import Callable

from ddns.dns.codes import FLAG_TC, HEADER_SIZE

LENGTH = 2  # octets before each message
ROOM = 64 * 1024  # octets of answers after which `Frames` stops, so that they can go out

# Answers the whole messages of *octets* from the offset *at* on, in their order, as long as each is known at once.
# Returns the framed answers and the offset behind the last message that was answered.
Frames = Callable[[bytes, int], tuple[bytes, int]]

_LEAST = LENGTH + HEADER_SIZE
_TC = FLAG_TC >> 8


def answering(lookup: Callable[[bytes], bytes | None]) -> Frames:
    """Return the `Frames` that answers what *lookup* knows."""

    def frames(octets: bytes, at: int, /) -> tuple[bytes, int]:
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
            out += (len(answer).to_bytes(LENGTH, "big"), answer)
            room -= len(answer)
            at = end
        return b"".join(out), at

    return frames
