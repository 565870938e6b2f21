"""Look at a child as its registry does: what it asks for by CDS and CSYNC, and whether that may be published.

Law: the servers that are delegated to are asked what they wish; the servers that would be delegated to are asked
whether that is right. Nothing is changed here: what comes out is a wish with its evidence, and whoever writes it down
looks again whether the delegation is still the one that was looked at. Signatures are checked in a thread, so many of
one visit and no more: whoever made them may wish to keep us busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum

import msgspec

from ddns.delegate import proving
from ddns.delegate.asking import Limits, Resolve, ask_all
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset
from ddns.zone.acceptance import acceptable, answering, askable
from ddns.zone.cds import Signal, from_cds, from_signals
from ddns.zone.child import Asked, Child, Fault, ServerSaid
from ddns.zone.csync import from_csync

MOST_PROOFS = 500  # signatures checked in one judgement, about a quarter of a second

# Returns the proved signals of those servers of a child that have one (RFC 9615).
Signals = Callable[[Name, Sequence[Name]], Awaitable[Mapping[Name, Signal]]]


class Way(StrEnum):
    """How a child asked."""

    CDS = "cds"
    CSYNC = "csync"


class Checked(msgspec.Struct, frozen=True):
    """Whether a delegation may be published: what its servers *said*, and the *fault*, None where there is none."""

    said: tuple[ServerSaid, ...]
    fault: Fault | None


class Scanned(msgspec.Struct, frozen=True):
    """What came of a scan: by which *way* the child asked for what, None where it asked for nothing that is new.

    *said* is what its present servers said, *checked* what those said that it asked for.
    """

    said: tuple[ServerSaid, ...]
    way: Way | None = None
    wish: Asked | Fault | None = None
    checked: tuple[ServerSaid, ...] = ()


class Proofs:
    """The `Verify` of one judgement: what was checked once is not checked again, and not more than *most* are."""

    def __init__(self, most: int = MOST_PROOFS) -> None:
        self._known: dict[tuple[SignedRRset, Rdata, Rdata], bool] = {}
        self._most = most

    def verify(self, rrset: SignedRRset, sig: Rdata, key: Rdata, origin: Name, now: int) -> bool:
        """Tell whether *sig* is good, as `proving.verify` does; what is one too many is not."""
        case = rrset, sig, key
        known = self._known.get(case)
        if known is None:
            if len(self._known) >= self._most:
                return False
            known = self._known[case] = proving.verify(rrset, sig, key, origin, now)
        return known


class Scanner:
    """Asks and judges; *private* and *port* are as in `asking.ask_all`, *now* gives seconds since 1970.

    *signals* finds those of RFC 9615; without it a child that has no DS gets none by its CDS.
    """

    def __init__(
        self,
        resolve: Resolve,
        now: Callable[[], int],
        *,
        private: bool = False,
        port: int = 53,
        limits: Limits | None = None,
        signals: Signals | None = None,
    ) -> None:
        self._resolve = resolve
        self._now = now
        self._private = private
        self._port = port
        self._limits = limits
        self._signals = signals

    async def ask(self, origin: Name, child: Child) -> tuple[ServerSaid, ...]:
        """Return what the servers of *child* say of *origin*."""
        return await ask_all(
            origin, child, self._resolve, self._now, private=self._private, port=self._port, limits=self._limits
        )

    async def judge(self, origin: Name, child: Child, said: Sequence[ServerSaid]) -> Fault | None:
        """Return what is wrong with what the servers of *child* *said*."""
        verify = Proofs().verify
        return await asyncio.to_thread(answering, origin, child, said, verify, self._now(), private=self._private)

    async def check(self, origin: Name, registry: Name, wanted: Child, *, insecure: bool = False) -> Checked:
        """Tell whether *registry* may publish *wanted* for *origin*; where its form is wrong, nobody is asked."""
        fault = askable(origin, registry, wanted, private=self._private)
        if fault is not None:
            return Checked((), fault)
        said = await self.ask(origin, wanted)
        fault = await asyncio.to_thread(
            acceptable, origin, registry, wanted, said, Proofs().verify, self._now(),
            private=self._private, insecure=insecure,
        )  # fmt: skip
        return Checked(said, fault)

    async def scan(
        self,
        origin: Name,
        registry: Name,
        present: Child,
        newest: int = 0,
        serial: int | None = None,
        said: tuple[ServerSaid, ...] | None = None,
    ) -> Scanned:
        """Return what *origin* asks for now; *newest* and *serial* are the stamps of the last CDS and CSYNC followed.

        CDS go first, and alone: what they change is to be seen by all before its servers change too. *said* is what
        its servers said a moment ago, where they were asked.
        """
        if said is None:
            said = await self.ask(origin, present)
        if not present.ds:
            return Scanned(said, *await self._first(origin, present, said))
        verify, now = Proofs().verify, self._now()
        wish = await asyncio.to_thread(from_cds, origin, present, said, verify, newest, now)
        if wish is not None:
            return Scanned(said, Way.CDS, wish)
        wish = await asyncio.to_thread(from_csync, origin, present, said, verify, serial, now)
        if not isinstance(wish, Asked):
            return Scanned(said, None if wish is None else Way.CSYNC, wish)
        checked = await self.check(origin, registry, wish.child)
        return Scanned(said, Way.CSYNC, checked.fault or wish, checked.said)

    async def _first(
        self, origin: Name, present: Child, said: Sequence[ServerSaid]
    ) -> tuple[Way | None, Asked | Fault | None]:
        """Return the first DS that a child without one asks for, as its servers' own zones prove it (RFC 9615)."""
        outside = [one for one in present.servers if not names.is_subdomain(one, origin)]
        if self._signals is None or not outside or not any(one.cds or one.cdnskey for one in said):
            return None, None
        found = await self._signals(origin, outside)
        wish = await asyncio.to_thread(from_signals, origin, present, said, found, Proofs().verify, self._now())
        return None if wish is None else Way.CDS, wish
