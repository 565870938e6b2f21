"""How much SIG(0) verification whom is given: the answer to CVE-2024-1975 and its like.

A verification costs the server far more than its message costs the sender, and a sender over UDP may lie
about where it is. So each one runs only where it could be paid for, from three token buckets: the source's, the key's
and the worker's own. A good signature costs nothing: who has the key is never slowed down, who guesses is. A worker
verifies one signature at a time, so nobody else can have spent the tokens meanwhile.

Sources are counted as IPv4 /24 and IPv6 /56: a /56 is what a home is given (RFC 6177 §2), and an attacker
with a whole /24 should not have 256 purses. A source that has shown a key's signature lately pays for that
key from a purse of its own and not from the worker's, so that strangers who name a home's key, from
anywhere, cannot lock the home out. Who has proved its address (a stream, a DNS cookie) pays from purses that
nobody can empty who only claims that address. All purses are bounded in number; the one that was used least
recently is forgotten.
"""

from __future__ import annotations

import functools
import ipaddress
from collections import OrderedDict
from collections.abc import Hashable

import msgspec

from ddns.dns.names import Name

IPV4_PREFIX = 3  # octets: /24
IPV6_PREFIX = 7  # octets: /56


class BudgetLimits(msgspec.Struct, frozen=True):
    """How many verifications may fail: so many in a burst, then so many a second.

    *known_for* (seconds) is how long a source is remembered for a good signature; *purses* bounds each table.
    """

    source_burst: float = 64
    source_rate: float = 8
    key_burst: float = 16
    key_rate: float = 2
    worker_burst: float = 500
    worker_rate: float = 250
    known_for: float = 86400
    purses: int = 65536


class Buckets:
    """Token buckets by owner: *burst* tokens at most, *rate* new ones a second, *most* buckets kept."""

    __slots__ = ("_burst", "_most", "_rate", "_state")

    def __init__(self, burst: float, rate: float, most: int) -> None:
        self._burst = burst
        self._rate = rate
        self._most = most
        self._state: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._state)

    def take(self, owner: Hashable, now: float) -> bool:
        """Take one token of *owner*'s at *now*; False, and nothing taken, where there is none."""
        state = self._state
        known = state.get(owner)
        if known is None:
            tokens = self._burst
            if len(state) >= self._most:
                state.popitem(last=False)
        else:
            tokens, then = known
            # A clock that stepped back gives nothing and takes nothing.
            tokens = min(self._burst, tokens + max(0.0, now - then) * self._rate)
            state.move_to_end(owner)
        enough = tokens >= 1
        state[owner] = (tokens - 1 if enough else tokens, now)
        return enough

    def has(self, owner: Hashable, now: float) -> bool:
        """Tell whether *owner* could take a token at *now*."""
        known = self._state.get(owner)
        return known is None or min(self._burst, known[0] + max(0.0, now - known[1]) * self._rate) >= 1

    def give_back(self, owner: Hashable) -> None:
        """Return a token that was taken."""
        known = self._state.get(owner)
        if known is not None:
            self._state[owner] = (min(self._burst, known[0] + 1), known[1])


class Budget:
    """The purses of one worker; times are in seconds of one clock."""

    __slots__ = ("_keys", "_known", "_limits", "_sources", "_worker")

    def __init__(self, limits: BudgetLimits) -> None:
        self._limits = limits
        self._sources = Buckets(limits.source_burst, limits.source_rate, limits.purses)
        self._keys = Buckets(limits.key_burst, limits.key_rate, limits.purses)
        self._worker = Buckets(limits.worker_burst, limits.worker_rate, 2)  # of those who proved their address or not
        self._known: OrderedDict[tuple[Name, bytes], float] = OrderedDict()

    def spend(self, key: Name, source: str, now: float, *, proved: bool = False) -> bool:
        """Pay for one verification of a signature by *key* from the address *source*; False: there is not enough.

        *proved*: the sender is at that address.
        """
        network = prefix(source)
        known = self._is_known(key, network, now)
        from_source, from_key = _purses(key, network, known=known, proved=proved)
        if not self._sources.take(from_source, now):
            return False
        if not self._keys.take(from_key, now):
            self._sources.give_back(from_source)
            return False
        if not known and not self._worker.take(proved, now):
            self._sources.give_back(from_source)
            self._keys.give_back(from_key)
            return False
        return True

    def could_spend(self, key: Name, source: str, now: float, *, proved: bool = False) -> bool:
        """Tell whether `spend` would pay; if not, nothing must be verified, and what comes before need not be done."""
        network = prefix(source)
        known = self._is_known(key, network, now)
        from_source, from_key = _purses(key, network, known=known, proved=proved)
        return (
            self._keys.has(from_key, now)
            and self._sources.has(from_source, now)
            and (known or self._worker.has(proved, now))
        )

    def remember(self, key: Name, source: str, now: float) -> None:
        """Remember that *source* has shown a good signature by *key*."""
        pair = (key, prefix(source))
        known = self._known
        if pair not in known and len(known) >= self._limits.purses:
            known.popitem(last=False)
        known[pair] = now
        known.move_to_end(pair)

    def _is_known(self, key: Name, network: bytes, now: float) -> bool:
        shown = self._known.get((key, network))
        return shown is not None and now - shown < self._limits.known_for


def _purses(key: Name, network: bytes, *, known: bool, proved: bool) -> tuple[Hashable, Hashable]:
    """Return whose purses pay for a verification: the source's and the key's."""
    from_source: Hashable = (network, proved) if proved else network
    return from_source, (key, from_source) if known or proved else key


@functools.lru_cache(maxsize=4096)
def prefix(source: str) -> bytes:
    """Return the network of an address as one purse counts it; a scope (`%eth0`) does not matter."""
    if ":" not in source:
        return bytes(map(int, source.split(".")[:IPV4_PREFIX]))  # as below, and ten times as fast
    address = ipaddress.ip_address(source)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:IPV6_PREFIX] if mapped is None else mapped.packed[:IPV4_PREFIX]
    return address.packed[:IPV4_PREFIX]
