"""What a worker has counted since it began: datagrams that came, answers by RCODE, and what became of the rest.

Law: all numbers stand in one array, to which both twins of the hot path add, so there is nothing to bring together.
An answer is counted once: by whoever sends it, or by `ddns.answer.rrl` where that decided what is sent.
"""

from __future__ import annotations

from array import array

from ddns.dns.codes import FLAG_TC, HEADER_SIZE, Rcode, Type

# Where the numbers stand. The first are answers by RCODE, up to BADCOOKIE (RFC 7873 §8); native/guard.h says the same.
RCODES = 24
RECEIVED = 24  # datagrams
HANDED = 25  # of these, what the hot path knew no answer to
TRUNCATED = 26  # of the answers, those with TC
DROPPED = 27  # answers that response rate limiting did not let out
SLIPPED = 28  # answers of which it let out a truncated one, or a cookie
STREAMED = 29  # messages that came over TCP, TLS, HTTPS and QUIC
SIZE = 30

_TC = FLAG_TC >> 8
_OPT = b"\0" + Type.OPT.to_bytes(2, "big")
_EXTENDED = 5  # octets before the upper part of an RCODE in an OPT record (RFC 6891 §6.1.3)
_WORDS = {
    "datagrams": RECEIVED,
    "handed_over": HANDED,
    "streamed": STREAMED,
    "truncated": TRUNCATED,
    "dropped": DROPPED,
    "slipped": SLIPPED,
}


class Counters:
    """The numbers of one worker; they only grow, and begin again after 2**64."""

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = array("Q", bytes(8 * SIZE))

    def count(self, answer: bytes) -> None:
        """Count *answer* by its whole RCODE; octets that are no answer do not count.

        The hot path has the RCODE at hand and adds to `numbers` itself.
        """
        if len(answer) < HEADER_SIZE:
            return
        numbers = self.numbers
        rcode = answer[3] & 15
        if answer[10:12] != b"\0\0":
            at = answer.rfind(_OPT)
            if HEADER_SIZE <= at < len(answer) - _EXTENDED:
                rcode |= answer[at + _EXTENDED] << 4
        if rcode < RCODES:
            numbers[rcode] += 1
        if answer[2] & _TC:
            numbers[TRUNCATED] += 1

    def line(self) -> str:
        """Return all that was counted as one line of words and numbers; of the RCODEs those that were used."""
        numbers = self.numbers
        said = [f"{word}={numbers[at]}" for word, at in _WORDS.items()]
        said += [f"{_word(rcode)}={numbers[rcode]}" for rcode in range(RCODES) if numbers[rcode]]
        return " ".join(said)


def _word(rcode: int) -> str:
    try:
        return Rcode(rcode).name.lower()
    except ValueError:
        return f"rcode{rcode}"
