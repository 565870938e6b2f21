"""What is written down of the registry's servers by whoever watches them."""

from __future__ import annotations

from collections.abc import Sequence

from holding import Held
from serving import Copy

from ddns.store import sightings
from ddns.watch import reading


def looked(held: Held, kind: str, copies: Sequence[Copy], now: int) -> list[sightings.Sighting]:
    """Return what *copies* say of a zone at *now*, behind the row that says when their list was made."""
    read = reading.withdrawn if kind == sightings.WITHDRAWN else reading.serial
    rows = [sightings.Sighting(held.id, kind, sightings.LIST, now, now)]
    for copy in copies:
        answer = copy.ask(held.origin, "SOA")
        rows.append(sighting(held.id, kind, copy, now, None if answer is None else read(answer, held.origin)))
    return rows


def sighting(zone: int, kind: str, copy: Copy, now: int, said: reading.Shown | None) -> sightings.Sighting:
    """Return the row of one server, which said this, or nothing."""
    server = f"{copy.name}. {copy.address}:{copy.port}"
    if said is None or said.problem:
        problem = "has not answered" if said is None else said.problem
        return sightings.Sighting(zone, kind, server, now, problem=problem)
    return sightings.Sighting(zone, kind, server, now, now, said.serial, said.ds, said.ds_ttl)
