"""Give a home that nobody owns to somebody: a code that he signs with, once, in the days that it holds."""

from __future__ import annotations

import secrets

import msgspec

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.dns.names import Name
from ddns.homes import adopting
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import adoption_codes, home_events, home_people, homes, zones
from ddns.store.home_events import Event
from ddns.store.tenancy import entered

DAYS = 7
MOST_DAYS = 90
EVENT = "adoption-code"  # in a home's history
_DAY = 86_400


class Code(msgspec.Struct, frozen=True):
    """A code for *home*, which is told once, and until when it holds, in seconds since 1970."""

    home: Name
    code: Secret
    until: int


async def make(conn: Conn, home: Name, days: int, principal: str, now: int) -> Code:
    """Make a code with which *home*, which nobody owns, gets its owner, in the place of any before. Raises `CannotDo`.

    *principal* is who does it, as journals name him; the home's history says so.
    """
    if not 0 < days <= MOST_DAYS:
        raise CannotDo(f"A code is good for 1 to {MOST_DAYS} days.")
    octets = secrets.token_bytes(adopting.OCTETS)
    code, until = adopting.spelled(octets), now + days * _DAY
    async with conn.transaction():
        there = await home_people.called(conn, home)
        if there is None:
            raise CannotDo(f"{names.to_text(home)} is no home; `ddns home search` shows those there are.")
        await entered(conn, there.tenant)
        await zones.lock(conn, [there.zone])
        again = await home_people.of_zone(conn, there.zone)
        if again is None or again.state == homes.CLOSED:
            raise CannotDo(f"{names.to_text(home)} has left; its name rests, and nobody gets it.")
        if again.owner is not None:
            raise CannotDo(
                f"{names.to_text(home)} has an owner; who has lost every key is helped with `ddns owner recover`."
            )
        await adoption_codes.put(conn, again.zone, adopting.digest(code), until, principal)
        event = Event(
            at=now, event=EVENT, who=principal, before=again.state, after=again.state, zone=again.zone, name=again.name,
            device=again.device,
        )  # fmt: skip
        await home_events.append(conn, [event])
    return Code(home, Secret(code.encode()), until)
