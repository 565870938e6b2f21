"""When to ask again: after a second or a little more, then after twice that, and so on up to some minutes.

Law: no wait is exact, the first neither, so that many homes that lost their power or their registry together do not
come back in step; and a request that is asked again for longer than a signature is fresh is signed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

FIRST_WAIT = 1.0  # seconds at least; RFC 8961 §4 has no less where nothing is known of the way
LONGEST_WAIT = 300.0  # seconds at least
JITTER = 0.5  # a wait is lengthened by up to this part of itself
FIRST_LONG_WAIT, LONGEST_LONG_WAIT = 30.0, 3600.0  # seconds in the mean, for what may wait for a day
HALF = 0.5  # of such a wait is waited for in any case
BY_STREAM, STREAMS_EVERY = 2, 4  # the try that goes by TCP, counted from 0, and how many later the next one does
BY_STREAM_KNOWN, STREAMS_EVERY_KNOWN = 6, 12  # the same where datagrams have come through before: after a minute
SIGN_ANEW = 60.0  # seconds after which the same wish is signed again: a SIG(0) of ours is good for 300


def waits(dice: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds from each try to the next; *dice* gives numbers from 0 to 1 (RFC 8961 §4: back off)."""
    wait = FIRST_WAIT
    while True:
        yield wait * (1 + JITTER * dice())
        wait = min(2 * wait, LONGEST_WAIT)


def long_wait(tries: int) -> float:
    """Return the seconds that the try after so many is waited for in the mean, where it may take a day."""
    return float(min(FIRST_LONG_WAIT * 2 ** min(tries, 32), LONGEST_LONG_WAIT))


def waits_long(dice: Callable[[], float], first: float = FIRST_LONG_WAIT) -> Iterator[float]:
    """Yield the seconds from each try to the next for what may take a day: an enrolment while the registry is away.

    Half of the wait at least and one and a half of it at most, all of them likely alike: boxes that began together are
    spread over the whole of an hour in the end, and their registry meets no wave when it comes back.
    """
    wait = first
    while True:
        yield wait * (HALF + dice())
        wait = min(2 * wait, LONGEST_LONG_WAIT)


def by_stream(turn: int, *, heard: bool) -> bool:
    """Tell whether the try *turn*, counted from 0, goes by TCP: some paths lose UDP, or datagrams above some size.

    A registry that is busy loses datagrams too, and connections are what it can spare least. So they are few where the
    last answer of the registry was *heard* by UDP: then it is rather busy than out of reach.
    """
    if heard:
        return turn % STREAMS_EVERY_KNOWN == BY_STREAM_KNOWN
    return turn % STREAMS_EVERY == BY_STREAM
