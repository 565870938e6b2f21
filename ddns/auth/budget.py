"""How much SIG(0) verification whom is given: the answer to CVE-2024-1975 and its like.

A verification costs a thousand times what its message costs the sender, and a sender over UDP may lie
about where it is. So each verification is paid for before it runs, from two token buckets: the source's
and the key's, and only so many may run or wait at once. A good signature gets its tokens back: who has
the key is never slowed down, who guesses is.

Sources are counted as IPv4 /24 and IPv6 /56: a /56 is what a home is given (RFC 6177), and an attacker
with a whole /24 should not have 256 purses. A source that has shown a key's signature before pays for
that key from a purse of its own, so that strangers who name a home's key cannot lock the home out.
All purses are bounded in number; the one that was used least recently is forgotten.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Hashable

import msgspec

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal

IPV4_PREFIX = 3  # octets: /24
IPV6_PREFIX = 7  # octets: /56
_MAPPED = b"\0" * 10 + b"\xff\xff"  # RFC 4291 §2.5.5.2


class Rates(msgspec.Struct, frozen=True):
    """How many verifications may fail: so many at once, then so many a second; and how many may run at a time."""

    source_burst: float = 64
    source_rate: float = 8
    key_burst: float = 16
    key_rate: float = 2
    at_once: int = 256
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

    def give_back(self, owner: Hashable) -> None:
        """Return a token that was taken."""
        known = self._state.get(owner)
        if known is not None:
            self._state[owner] = (min(self._burst, known[0] + 1), known[1])


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """A verification that has been paid for, until `Budget.settle`."""

    source: bytes
    key: Hashable


class Budget:
    """The purses of one worker."""

    __slots__ = ("_keys", "_known", "_rates", "_running", "_sources")

    def __init__(self, rates: Rates | None = None) -> None:
        self._rates = rates = rates or Rates()
        self._sources = Buckets(rates.source_burst, rates.source_rate, rates.purses)
        self._keys = Buckets(rates.key_burst, rates.key_rate, rates.purses)
        self._known: OrderedDict[tuple[Name, bytes], None] = OrderedDict()
        self._running = 0

    @property
    def running(self) -> int:
        """Return how many verifications run or wait."""
        return self._running

    def ask(self, key: Name, source: bytes, now: float) -> Ticket | Refusal:
        """Pay for one verification with the key called *key*, asked for from the address *source* (see `prefix`).

        Who gets a `Ticket` settles it, whatever happens. *now* is in seconds of any steady clock.
        """
        if self._running >= self._rates.at_once:
            return _rationed(key, "too many signatures wait to be checked")
        if not self._sources.take(source, now):
            return _rationed(key, "too many signatures from your network were wrong")
        pair = (key, source)
        purse: Hashable = pair if pair in self._known else key
        if not self._keys.take(purse, now):
            self._sources.give_back(source)
            return _rationed(key, "too many signatures in its name were wrong")
        self._running += 1
        return Ticket(source, purse)

    def settle(self, ticket: Ticket, key: Name, *, good: bool) -> None:
        """End what *ticket* paid for; a *good* signature by *key* gets its tokens back."""
        self._running -= 1
        if not good:
            return
        self._sources.give_back(ticket.source)
        self._keys.give_back(ticket.key)
        pair = (key, ticket.source)
        known = self._known
        if pair in known:
            known.move_to_end(pair)
            return
        if len(known) >= self._rates.purses:
            known.popitem(last=False)
        known[pair] = None


def prefix(address: str) -> bytes:
    """Return the network of a source *address* as one purse counts it; a zone index is ignored."""
    if ":" not in address:
        return socket.inet_pton(socket.AF_INET, address)[:IPV4_PREFIX]
    octets = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if octets.startswith(_MAPPED):
        return octets[len(_MAPPED) : len(_MAPPED) + IPV4_PREFIX]
    return octets[:IPV6_PREFIX]


def _rationed(key: Name, why: str) -> Refusal:
    return Refusal(
        "sig0-rationed",
        Rcode.REFUSED,
        f"The signature by {names.to_text(key)} was not checked: {why}; try again in a few seconds.",
        Ede.BLOCKED,
    )
