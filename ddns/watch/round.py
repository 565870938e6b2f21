"""One look at many places: all their servers asked at the same time, as far as the bounds go, and written as rows.

Who did not answer three times in this round is not asked again in it: one dead server that a hundred zones share costs
a few waits, not a hundred. Homes whose servers nobody came to ask in time are left to the next round: their owners say
who these are, and no list of theirs may keep the registries waiting.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.store.sightings import LIST, PARENT, SECONDARY, WITHDRAWN, Place, Sighting
from ddns.watch import reading
from ddns.watch.ask import SILENT, Said, Server, ask
from ddns.watch.limits import WatchLimits
from ddns.watch.lists import Listed, Lists
from ddns.watch.reading import Shown

_READ = {PARENT: reading.ds, SECONDARY: reading.serial, WITHDRAWN: reading.withdrawn}
PATIENCE = 3  # questions without an answer after which a server is silent for the rest of the round


class Round:
    """Asks by *lists*; *clock* gives seconds since 1970, *counted* counts questions by how they ended.

    *until* is a time of the running loop: no question about a home is begun behind it, and what is not whole is None.
    """

    def __init__(
        self, lists: Lists, limits: WatchLimits, clock: Callable[[], float], counted: Counter[str], until: float
    ) -> None:
        self._lists = lists
        self._limits = limits
        self._clock = clock
        self._counted = counted
        self._until = until
        self._places = asyncio.Semaphore(limits.at_once)
        self._silent: Counter[tuple[str, int]] = Counter()

    async def secondaries(self, place: Place, known: Mapping[Name, tuple[str, ...]]) -> list[Sighting] | None:
        """Return what each secondary of *place* shows, behind the row that says when the list was made."""
        made = Sighting(place.id, SECONDARY, LIST, int(self._clock()))
        listed = await self._lists.secondaries(place, known)
        return await self._all(place, SECONDARY, listed, made)

    async def withdrawn(self, place: Place, known: Mapping[Name, tuple[str, ...]]) -> list[Sighting] | None:
        """Return which secondaries of *place* serve it no more, behind the row that says when the list was made."""
        made = Sighting(place.id, WITHDRAWN, LIST, int(self._clock()))
        listed = await self._lists.secondaries(place, known)
        return await self._all(place, WITHDRAWN, listed, made)

    async def parents(self, place: Place) -> list[Sighting] | None:
        """Return what each server of the parent of *place* shows."""
        return await self._all(place, PARENT, await self._lists.parents(place))

    async def _all(self, place: Place, kind: str, listed: Listed, *made: Sighting) -> list[Sighting] | None:
        asked = int(self._clock())
        found = await asyncio.gather(*(self._one(place, kind, one) for one in listed.servers))
        shown = [one for one in found if one is not None]
        if len(shown) < len(found):
            return None
        lacking = [Sighting(place.id, kind, name, asked, problem=problem) for name, problem in listed.problems]
        return [*made, *shown, *lacking]

    async def _one(self, place: Place, kind: str, server: Server) -> Sighting | None:
        parent = kind == PARENT
        async with self._places:
            if place.home and asyncio.get_running_loop().time() > self._until:
                return None
            asked = int(self._clock())
            said = await self._ask(server, place.origin, Type.DS if parent else Type.SOA)
        # What is shown now may have been shown for a part of this second only; a TTL that runs from here is longer.
        answered = math.ceil(self._clock())
        shown = Shown(problem=said.problem) if said.message is None else _READ[kind](said.message, place.origin)
        self._counted["silent" if said.problem == SILENT else "bad" if shown.problem else "answered"] += 1
        return Sighting(
            place.id, kind, str(server), asked, None if shown.problem else answered,
            shown.serial, shown.ds, shown.ds_ttl, shown.problem,
        )  # fmt: skip

    async def _ask(self, server: Server, name: Name, rdtype: int) -> Said:
        where = server.address, server.port
        if self._silent[where] >= PATIENCE:
            return Said(problem=SILENT)
        # Our own rate limits are not to make us blind to ourselves: they are none for TCP.
        tcp = self._limits.tcp or self._lists.ours.has(server.address)
        said = await ask(server, name, rdtype, seconds=self._limits.timeout, tcp=tcp)
        if said.message is not None:
            self._silent.pop(where, None)
        elif said.problem == SILENT:
            self._silent[where] += 1
        return said
