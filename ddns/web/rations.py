"""How often whom is answered: token buckets of addresses without a proof, and of tokens and keys with one.

Who is over its ration is told 429 and when to come again, with chance in it, so that nobody comes in step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import msgspec

from ddns.auth.budget import Buckets
from ddns.net.connections import client_of

LONGEST = 3600  # seconds that a Retry-After says at most
OFFERS = 10  # names that one proof is shown in an hour


class RationLimits(msgspec.Struct, frozen=True):
    """So many requests at once, then so many a second: of one source without a proof, and of one token or key."""

    source_burst: float = 60.0
    source_rate: float = 2.0
    proved_burst: float = 200.0
    proved_rate: float = 50.0
    purses: int = 65_536


class Rations:
    """The purses of all who ask one desk."""

    def __init__(self, limits: RationLimits, clock: Callable[[], float], dice: Callable[[int], bytes]) -> None:
        self._limits = limits
        self._clock = clock
        self._dice = dice
        self._sources = Buckets(limits.source_burst, limits.source_rate, limits.purses)
        self._proved = Buckets(limits.proved_burst, limits.proved_rate, limits.purses)
        self._offers = Buckets(OFFERS, OFFERS / 3600, limits.purses)
        self._good: OrderedDict[str, bytes] = OrderedDict()

    def source(self, host: str) -> int:
        """Let the address *host* pay for one request without a proof; return 0, or after how many seconds it can."""
        if self._sources.take(client_of(host.partition("%")[0]), self._clock()):
            return 0
        return self.later(1 / self._limits.source_rate)

    def before(self, host: str, token: str, digest: bytes) -> int:
        """Say whether a token may be looked up for the address *host*: 0, or after how many seconds it may.

        One that was good lately may be, for others of the same address must not shut it out; a guess may not be where
        the address has used up its ration.
        """
        if self._good.get(token) == digest or self._sources.has(client_of(host.partition("%")[0]), self._clock()):
            return 0
        return self.later(1 / self._limits.source_rate)

    def good(self, token: str, digest: bytes) -> None:
        """Remember that the *token* whose secret has this *digest* was good."""
        self._good[token] = digest
        self._good.move_to_end(token)
        if len(self._good) > self._limits.purses:
            self._good.popitem(last=False)

    def proved(self, who: Hashable) -> int:
        """Let the token or key *who* pay for one request; return 0, or after how many seconds it can."""
        if self._proved.take(who, self._clock()):
            return 0
        return self.later(1 / self._limits.proved_rate)

    def offer(self, who: Hashable) -> int:
        """Let who has proved to be *who* pay for being shown one name; return 0, or after how many seconds it can."""
        if self._offers.take(who, self._clock()):
            return 0
        return self.later(3600 / OFFERS)

    def later(self, seconds: float) -> int:
        """Return a number of seconds to wait, *seconds* or up to as many and ten more, by chance."""
        chance = int.from_bytes(self._dice(2), "big") / 65_536
        return min(LONGEST, max(1, round(seconds + chance * (seconds + 10))))
