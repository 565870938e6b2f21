"""When to ask again: after a second or a little more, then after twice that, and so on up to some minutes.

Law: no wait is exact, the first neither, so that many homes that lost their power or their registry together do not
come back in step; and a request that is asked again for longer than a signature is fresh is signed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

FIRST_WAIT = 1.0  # seconds at least; RFC 8961 §4 has no less where nothing is known of the way
LONGEST_WAIT = 300.0  # seconds at least
JITTER = 0.5  # a wait is lengthened by up to this part of itself
BY_STREAM, STREAMS_EVERY = 2, 4  # the try that goes by TCP, counted from 0, and how many later the next one does
BY_STREAM_KNOWN, STREAMS_EVERY_KNOWN = 6, 12  # the same where datagrams have come through before: after a minute
SIGN_ANEW = 60.0  # seconds after which the same wish is signed again: a SIG(0) of ours is good for 300


def waits(dice: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds from each try to the next; *dice* gives numbers from 0 to 1 (RFC 8961 §4: back off)."""
    wait = FIRST_WAIT
    while True:
        yield wait * (1 + JITTER * dice())
        wait = min(2 * wait, LONGEST_WAIT)


def by_stream(turn: int, *, heard: bool) -> bool:
    """Tell whether the try *turn*, counted from 0, goes by TCP: some paths lose UDP, or datagrams above some size.

    A registry that is busy loses datagrams too, and connections are what it can spare least. So they are few where the
    last answer of the registry was *heard* by UDP: then it is rather busy than out of reach.
    """
    if heard:
        return turn % STREAMS_EVERY_KNOWN == BY_STREAM_KNOWN
    return turn % STREAMS_EVERY == BY_STREAM
