"""Look at a child as its registry does: what it asks for by CDS and CSYNC, and whether that may be published.

Law: the servers that are delegated to are asked what they wish; the servers that would be delegated to are asked
whether that is right. Nothing is changed here: what comes out is a wish with its evidence, and whoever writes it down
looks again whether the delegation is still the one that was looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from ddns.delegate.asking import Limits, Resolve, ask_all
from ddns.delegate.proving import verify
from ddns.dns.names import Name
from ddns.zone.acceptance import acceptable, askable
from ddns.zone.cds import from_cds
from ddns.zone.child import Asked, Child, Fault, ServerSaid
from ddns.zone.csync import from_csync


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


class Scanner:
    """Asks and judges; *private* and *port* are as in `asking.ask_all`, *now* gives seconds since 1970."""

    def __init__(
        self,
        resolve: Resolve,
        now: Callable[[], int],
        *,
        private: bool = False,
        port: int = 53,
        limits: Limits | None = None,
    ) -> None:
        self._resolve = resolve
        self._now = now
        self._private = private
        self._port = port
        self._limits = limits

    async def ask(self, origin: Name, child: Child) -> tuple[ServerSaid, ...]:
        """Return what the servers of *child* say of *origin*."""
        return await ask_all(
            origin, child, self._resolve, self._now, private=self._private, port=self._port, limits=self._limits
        )

    async def check(self, origin: Name, registry: Name, wanted: Child, *, insecure: bool = False) -> Checked:
        """Tell whether *registry* may publish *wanted* for *origin*; where its form is wrong, nobody is asked."""
        fault = askable(origin, registry, wanted, private=self._private)
        if fault is not None:
            return Checked((), fault)
        said = await self.ask(origin, wanted)
        fault = acceptable(
            origin, registry, wanted, said, verify, self._now(), private=self._private, insecure=insecure
        )
        return Checked(said, fault)

    async def scan(
        self, origin: Name, registry: Name, present: Child, newest: int = 0, serial: int | None = None
    ) -> Scanned:
        """Return what *origin* asks for now; *newest* and *serial* are the stamps of the last CDS and CSYNC followed.

        CDS go first, and alone: what they change is to be seen by all before its servers change too.
        """
        said = await self.ask(origin, present)
        wish = from_cds(origin, present, said, verify, newest, self._now())
        if wish is not None:
            return Scanned(said, Way.CDS, wish)
        wish = from_csync(origin, present, said, verify, serial, self._now())
        if not isinstance(wish, Asked):
            return Scanned(said, None if wish is None else Way.CSYNC, wish)
        checked = await self.check(origin, registry, wish.child)
        return Scanned(said, Way.CSYNC, checked.fault or wish, checked.said)
