"""Which zones have something new to ask their parent, and whether it was told: NOTIFY(CDS) in the background.

What was told is a row of `sightings`, of kind `DSYNC`: it holds the CDS and CDNSKEY records themselves, so that the
same ones are told once, whoever watches. Until all secondaries show them nobody is told (RFC 9859 §4.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from twisted.logger import Logger

from ddns.dns import names
from ddns.dns.records import Rdata, serial_newer
from ddns.store.sightings import DSYNC, LIST, SECONDARY, Place, Sighting
from ddns.watch.dsync import tell
from ddns.watch.limits import WatchLimits
from ddns.watch.resolver import Resolver

log = Logger(namespace="ddns.watch")

AT_ONCE = 20  # zones whose parents are being told
AGAIN = 6 * 3600  # seconds after which who did not answer is told again


class Telling:
    """The telling of one watcher; *clock* gives seconds since 1970."""

    def __init__(self, resolver: Resolver, limits: WatchLimits, clock: Callable[[], float]) -> None:
        self._resolver = resolver
        self._limits = limits
        self._clock = clock
        self._new: dict[
            int, tuple[tuple[Rdata, ...], int]
        ] = {}  # what a zone asks, and the serial that showed it first
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ended: list[Sighting] = []

    def consider(self, place: Place, said: Sequence[Sighting], now: int) -> None:
        """Have the parent of *place* told, unless it was, or its secondaries, which *said* so, lack what it asks."""
        if place.home or not place.asks:
            self._new.pop(place.id, None)
            return
        if place.id in self._under_way or len(self._under_way) >= AT_ONCE:
            return
        if any(one.zone == place.id for one in self._ended):
            return  # it is not written down yet
        if any(one.ds == place.asks and (one.answered is not None or one.asked > now - AGAIN) for one in _told(said)):
            return
        asks, serial = self._new.get(place.id, ((), 0))
        if asks != place.asks:
            serial = place.serial
            self._new[place.id] = place.asks, serial
        if all(_shows(one, serial) for one in said if one.kind == SECONDARY and one.server != LIST):
            self._under_way[place.id] = asyncio.ensure_future(self._tell(place, serial))

    def has_ended(self) -> bool:
        """Tell whether `ended` has anything to return."""
        return bool(self._ended)

    def ended(self) -> list[Sighting]:
        """Return, once, what became of those that were told."""
        ended, self._ended = self._ended, []
        return ended

    async def close(self) -> None:
        """Tell nobody any more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, place: Place, serial: int) -> None:
        asked = int(self._clock())
        try:
            told = await tell(place.origin, self._resolver, self._limits)
        except Exception:  # noqa: BLE001 - a bug must not end the watch; it is tried again
            log.failure("watch.telling_failed zone={zone}", zone=names.to_text(place.origin))
            return
        finally:
            del self._under_way[place.id]
        answered = None if told.rcode is None else int(self._clock())
        self._ended.append(
            Sighting(place.id, DSYNC, told.server, asked, answered, serial, place.asks, None, told.problem)
        )
        log.info(
            "watch.told_parent zone={zone} to={to} problem={problem}",
            zone=names.to_text(place.origin),
            to=told.server,
            problem=told.problem or "none",
        )


def _told(said: Sequence[Sighting]) -> list[Sighting]:
    return [one for one in said if one.kind == DSYNC]


def _shows(one: Sighting, serial: int) -> bool:
    return one.serial is not None and (one.serial == serial or serial_newer(one.serial, serial))
