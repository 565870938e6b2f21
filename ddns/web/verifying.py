"""How much of a desk's CPU strangers get for having statements read and verified, all sources together.

A signature by a key that was made a moment ago is good, and costs its sender hardly more than the desk. So what counts
is not whether it is good, but whether something that this key signed, from this network, was carried out lately: then
it pays its own ration and nothing else, and strangers cannot keep its owner or gateway waiting. The others share a
purse of CPU time, which is charged with what their statements took. The desk forgets whom it knows when it ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from ddns.net.connections import client_of
from ddns.proof import jwk
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.web import refusing
from ddns.web.rations import Rations
from ddns.web.routes import Refused

Clock = Callable[[], float]


class VerifyLimits(msgspec.Struct, frozen=True):
    """Strangers get *rate* seconds of CPU a second, and *burst* at once; so many pairs are *known* for *known_for*."""

    rate: float = 0.25
    burst: float = 2.0
    known: int = 65_536
    known_for: float = 86_400.0


class Bill:
    """What one statement costs; `by` says whose it is."""

    def __init__(self, at: Verifying, source: bytes) -> None:
        self._at = at
        self._source = source
        self.charged = True

    def by(self, signed: Signed) -> None:
        """Let the signatures of *signed* be verified, which nothing has been yet. Raises `Refused`."""
        self.charged = False  # nor is who is told to come again: strangers whose turn it is would wait for them
        keys = [one.key for one in signed.signatures if one.key is not None]
        if not any(self._at.knows(jwk.thumbprint(key), self._source) for key in keys):
            self._at.admit()
            self.charged = True


class Verifying:
    """The purse of the strangers of one desk, and whom it knows. *cpu* tells this thread's CPU time in seconds."""

    def __init__(self, limits: VerifyLimits, rations: Rations, clock: Clock, cpu: Clock) -> None:
        self._limits = limits
        self._rations = rations
        self._clock = clock
        self._cpu = cpu
        self._left = limits.burst
        self._at = clock()
        self._known: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()

    @contextmanager
    def bill(self, host: str) -> Iterator[Bill]:
        """Charge a statement from the address *host* with what is done inside, where nothing may be waited for."""
        bill, began = Bill(self, _network(host)), self._cpu()
        try:
            yield bill
        finally:
            if bill.charged:
                self._left = max(self._left - (self._cpu() - began), -self._limits.burst)

    def admit(self) -> None:
        """Let a stranger's signatures be verified. Raises `Refused`, with the time when there is something again."""
        now = self._clock()
        self._left = min(self._limits.burst, self._left + max(0.0, now - self._at) * self._limits.rate)
        self._at = now
        if self._left <= 0:
            raise Refused(refusing.desk_busy(), self._rations.later(-self._left / self._limits.rate))

    def knows(self, thumbprint: bytes, network: bytes) -> bool:
        """Tell whether something by the key with this *thumbprint* was carried out lately for the *network*."""
        at = self._known.get((thumbprint, network))
        return at is not None and self._clock() - at < self._limits.known_for

    def done(self, host: str, key: PublicJwk) -> None:
        """Remember that something that *key* had signed was carried out for the address *host*."""
        who = jwk.thumbprint(key), _network(host)
        self._known[who] = self._clock()
        self._known.move_to_end(who)
        if len(self._known) > self._limits.known:
            self._known.popitem(last=False)


def _network(host: str) -> bytes:
    return client_of(host.partition("%")[0])
