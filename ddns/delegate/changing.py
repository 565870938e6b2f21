"""A home's delegation as it is, and how another one that was checked is written down: by its key, or by people.

Law: who writes looks again, under the lock, whether all is as it was when servers were asked. Nothing is published
here: the signer's next turn does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.delegate.evidence import slim
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.store import delegation_checks, delegations, published, rrsets, zones
from ddns.store.delegation_checks import Check
from ddns.store.delegations import CHANGEABLE, Delegation
from ddns.zone.child import Child, Fault, ServerSaid
from ddns.zone.hand import Continuity, State, Theirs, Wish
from ddns.zone.wanted import Verb, Wanted


class Home(msgspec.Struct, frozen=True):
    """A home, whose delegation is *ours* while it is hosted; *found* None: it never wished to leave."""

    zone: int
    origin: Name
    registry: Name
    ours: Child
    found: Delegation | None
    suspended: bool

    @property
    def their(self) -> Child | None:
        """Return the delegation to its own servers, None where it is hosted or is to be."""
        return None if self.found is None or self.found.wish is Wish.HOST else self.found.their

    @property
    def continuity(self) -> Continuity:
        """Return what is to happen while its own servers are gone."""
        return Continuity.COPY if self.found is None else self.found.continuity


async def find(conn: AsyncConnection[Any], origin: Name, *, locked: bool = False) -> Home | None:
    """Return the home *origin*, *locked* until the transaction ends where that is wanted; None: it is none."""
    zone = await zones.find(conn, origin)
    if zone is not None and locked:
        zone = (await zones.lock(conn, [zone.id])).get(zone.id)
    if zone is None or zone.parent is None:
        return None
    registry = (await zones.get(conn, [zone.parent]))[zone.parent]
    apex = await rrsets.read_names(conn, [(registry.id, registry.origin)])
    servers = next((one.rdatas for one in apex.get((registry.id, registry.origin), ()) if one.type == Type.NS), ())
    shown = await published.read_names(conn, [(registry.id, origin)])
    ds = next((one.rdatas for one in shown.get((registry.id, origin), ()) if one.type == Type.DS), ())
    found = (await delegations.read(conn, [zone.id])).get(zone.id)
    return Home(zone.id, origin, registry.origin, Child(tuple(sorted(servers)), (), ds), found, zone.suspended)


def refusal(home: Home, wanted: Wanted, hold: float, now: int) -> Fault | None:
    """Return why *wanted* cannot be asked for just now, before anybody is asked; *hold* as in `[delegation]`."""
    found = home.found
    if found is None or wanted.verb in (Verb.NOTHING, Verb.RETURN) or _goes_on(found, wanted):
        return None
    text = names.to_text(home.origin)
    if found.state not in CHANGEABLE:
        return Fault("under-way", f"{text} is on its way ({found.state}); wait until it has arrived, or let it return.")
    if found.state is State.AWAY and now < found.changed + hold:
        rest = int(found.changed + hold - now) + 1
        return Fault("too-soon", f"The delegation of {text} has just been changed; send this again in {rest} s.")
    return None


def _goes_on(found: Delegation, wanted: Wanted) -> bool:
    """Tell whether a home that is on its way back is to go on to the servers that it had."""
    return wanted.verb is Verb.LEAVE and found.state not in CHANGEABLE and wanted.child == found.their


async def write(
    conn: AsyncConnection[Any], before: Home, wanted: Wanted, said: Sequence[ServerSaid], by: str, now: int
) -> Fault | None:
    """Write down what was *wanted* of the home as it was *before*, after its servers *said* what is right.

    *by* is who wanted it. A fault, and nothing is written, where it is not as it was before. The caller commits.
    """
    home = await find(conn, before.origin, locked=True)
    changed = Fault(
        "changed", f"{names.to_text(before.origin)} has changed meanwhile; look at it, and send this again."
    )
    if home is None or home.zone != before.zone or home.their != before.their:
        return changed
    if home.suspended and wanted.verb is not Verb.RETURN:
        return changed  # it is held since: nothing may put it back into the DNS
    done = True
    if wanted.verb is Verb.RETURN:
        done = await delegations.wish(conn, home.zone, Wish.HOST, now)
    elif home.found is not None and _goes_on(home.found, wanted):
        done = await delegations.wish(conn, home.zone, Wish.AWAY, now)
    elif wanted.verb is not Verb.NOTHING:
        theirs = Theirs.of(said, None)
        if home.found is not None and home.found.state is State.AWAY and home.their is not None:
            done = await delegations.accept(conn, home.zone, home.their, wanted.child, theirs, now)
        else:
            done = await delegations.leave(conn, home.zone, wanted.child, home.continuity, now, theirs)
    if not done:
        return changed
    if wanted.verb is not Verb.NOTHING:
        await note(conn, home.zone, by, None, said, now)
    return None


async def note(
    conn: AsyncConnection[Any], zone: int, by: str, fault: Fault | None, said: Sequence[ServerSaid], now: int
) -> None:
    """Keep what a home's servers *said*, and what came of it."""
    rule, sentence = (None, "") if fault is None else (fault.rule, fault.sentence)
    await delegation_checks.append(conn, [Check(zone, now, by, rule, sentence, slim(said))])
