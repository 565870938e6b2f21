"""What a zone demands of its TLSA records, and which of them are on their way: for the operator who asks."""

from __future__ import annotations

import time

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import tlsa, zones
from ddns.zone import dane
from ddns.zone.dane import Phase, Pin, Rule


class Rolling(msgspec.Struct, frozen=True):
    """A record at *owner* that is not established: how it stands, and whom it waits for, a sentence each."""

    owner: Name
    pin: Pin
    waits: tuple[str, ...]


async def show(conn: Conn, origin: Name) -> tuple[Rule | None, list[Rolling]]:
    """Return what the zone demands, None: what the service does, and what is on its way. Raises `CannotDo`."""
    zone = await _find(conn, origin)
    facts = (await tlsa.facts(conn, [zone]))[zone]
    found = []
    for owner, pins in (await tlsa.of_zone(conn, zone)).items():
        for pin in dane.settle(pins, facts.seen, int(time.time())):
            waiting = pin.phase in (Phase.PUBLISHED, Phase.FADING) and pin.seen_at is None
            waits: tuple[str, ...] = ()
            if waiting and pin.serial is None:
                waits = ("the signer has not published it yet; zone-signer plan shows why",)
            elif waiting and pin.serial is not None:
                waits = facts.missing(pin.serial, pin.since)
            found.append(Rolling(owner, pin, waits))
    return facts.rule, found


async def demand(conn: Conn, origin: Name, rule: Rule | None) -> None:
    """Have the zone demand *rule* of its TLSA records, None: what the service does. Raises `CannotDo`."""
    await tlsa.put_rule(conn, await _find(conn, origin), rule)


async def _find(conn: Conn, origin: Name) -> int:
    zone = await zones.find(conn, origin)
    if zone is None:
        raise CannotDo(f"There is no zone {names.to_text(origin)} here; ddns zone list shows those that there are.")
    return zone.id
