"""A home leaves for servers of its own, comes back, or is gone for a while: what to do next, and never go bogus. Pure.

Law: at every moment, whatever DS, keys and data any caches of the world hold together, they validate, or the DS say
that nothing need. So both sides know the keys of both, and the DS are those of both, before either can be asked beside
the other (RFC 8901 §2.1.2); and nothing is forgotten before nobody can be led to it, and no cache can hold it. A step
is taken only on what was *seen*: by our own servers, by the registry's, by theirs; and every step towards theirs asks
first whether they are as they ought to be.

Two things are not as one might expect. The hosted copy is withdrawn *before* its data are waited out, not after: until
then the registry's servers answer from it. And where the home's servers are gone and do not know our keys, the way home
leads through a gap in which nobody answers: signatures of two sides that do not know each other must not meet.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ddns.dns import names
from ddns.dns.records import Rdata
from ddns.zone.hand import (
    Bounds,
    Continuity,
    Hand,
    Ours,
    Shown,
    Sights,
    State,
    Theirs,
    Wish,
    algorithms,
    joint_ds,
    multi,
    published,
)
from ddns.zone.turning import Stage, Wait, copy_until


class Turn(msgspec.Struct, frozen=True):
    """What follows: *hand* from now on, and what is *shown* of it.

    *waits* is what the next step waits for, *until* when that is over where only time is in the way, *tell* what
    somebody must do, a sentence; *wake* is when to look again.
    """

    hand: Hand
    shown: Shown
    waits: str = ""
    until: int | None = None
    tell: str = ""
    wake: int | None = None


def turn(
    hand: Hand,
    ours: Ours,
    theirs: Theirs | None,
    sights: Sights,
    wish: Wish,
    continuity: Continuity,
    bounds: Bounds,
    now: int,
) -> Turn:
    """Return what follows *hand* at *now* (seconds since 1970); *theirs* is None where nobody has asked them.

    One turn takes one step at most; where what is shown changes, it is to be published, and `numbered` before the next.
    """
    stage = Stage(hand, ours, theirs, sights, wish, continuity, bounds, now)
    follows = _STATES[hand.state](stage)
    if isinstance(follows, Hand):
        return Turn(follows, published(follows, ours), wake=now)
    due = [at for at in (follows.until, now + bounds.look) if at is not None and at > now]
    rests = stage.hand.state is State.HOSTED and wish is Wish.HOST
    wake = None if rests else min(due)
    return Turn(stage.hand, published(stage.hand, ours), follows.what, follows.until, follows.tell, wake)


def numbered(hand: Hand, serial: int, home_serial: int) -> Hand:
    """Return *hand* with the serials of the registry's zone and of the hosted copy under which it was published."""
    return replace(hand, serial=serial, home_serial=home_serial)


def _hosted(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.HOST:
        return Wait("")
    theirs = stage.theirs
    if theirs is None or theirs.fault is not None or theirs.silent:
        return stage.unfit()
    stage.hand = replace(stage.hand, their_keys=tuple(sorted(theirs.keys - set(stage.ours.keys))))
    if not stage.alike:
        return _unlike(stage)
    return stage.to(State.LEAVING_KEYS, stage.ours.ds, settled=True)


def _unlike(stage: Stage) -> Wait:
    wanted = ", ".join(str(one) for one in sorted(algorithms(stage.hand.their_keys)))
    text = names.to_text(stage.ours.origin)
    return Wait(
        "both sides sign with different algorithms",
        tell=f"Let {text} be signed here with algorithm {wanted} first, or there with ours (RFC 8901 §4).",
    )


def _leaving_keys(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.HOST:
        return _called_back(stage)
    if stage.grown:
        return stage.to(State.LEAVING_KEYS)
    if not stage.alike:
        return _unlike(stage)
    if not stage.fit:
        return stage.unfit()
    ttl = max(stage.ours.keys_ttl, stage.hand.their_ttl)
    seen = stage.seen(home=True)
    if seen is not None and stage.hand.joint_at is not None:
        seen = max(seen, stage.hand.joint_at)
    return stage.after(seen, ttl, "our keys without theirs") or stage.to(
        State.LEAVING_DS, joint_ds(stage.hand, stage.ours)
    )


def _called_back(stage: Stage) -> Hand:
    """Return what follows where the owner has thought better of it before the delegation was theirs."""
    if stage.hand.led:
        return stage.to(State.RETURNING_SERVERS)
    return stage.to(State.HOSTED, stage.ours.ds, settled=True)


def _leaving_ds(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.HOST:
        return _called_back(stage)
    if stage.grown:
        return stage.to(State.LEAVING_KEYS)
    if not stage.fit:
        return stage.unfit()
    if not stage.hand.settled:
        wait = stage.after(stage.seen(registry=True), stage.ours.ds_ttl, "our DS without theirs")
        if wait is not None:
            return wait
    if not stage.joined:
        return stage.strange()
    return stage.to(State.LEAVING_SERVERS, settled=True)


def _leaving_servers(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.HOST or stage.dark:
        return stage.to(State.RETURNING_SERVERS)
    if not stage.fit:
        return stage.unfit()
    ttl = max(stage.ours.delegation_ttl, stage.ours.ns_ttl)
    seen = stage.seen(registry=True, home=True)
    return stage.after(seen, ttl, "our servers' names") or stage.to(State.LEAVING_DRAIN)


def _leaving_drain(stage: Stage) -> Hand | Wait:
    if stage.dark and stage.covers:
        return stage.to(State.RETURNING_SERVERS)
    if stage.wish is Wish.HOST:
        return stage.to(State.RETURNING_KEYS)
    wait = stage.after(stage.seen(home=True), stage.ours.max_ttl, "what the hosted copy had")
    return wait or stage.to(State.AWAY, _ds_away(stage))


def _ds_away(stage: Stage) -> tuple[Rdata, ...]:
    """Return the DS of a home that is away: its own, and for a standby ours too once its servers know us."""
    hand = stage.hand
    standby = stage.continuity is Continuity.STANDBY and multi(hand, stage.ours) and stage.alike
    return joint_ds(hand, stage.ours) if standby and hand.joint_at is not None else hand.their.ds


def _away(stage: Stage) -> Hand | Wait:
    hand = stage.hand
    ds = _ds_away(stage)
    if set(ds) != set(hand.ds):
        return stage.to(State.AWAY, ds)
    if not hand.settled and stage.after(stage.seen(registry=True), stage.ours.ds_ttl, "other DS") is None:
        stage.hand = hand = replace(hand, settled=True)
    if stage.dark:
        if stage.covers and stage.continuity is Continuity.STANDBY:
            return stage.to(State.RETURNING_SERVERS)
        if stage.wish is Wish.HOST:
            return stage.to(State.GAP)
        return _darkened(stage)
    if stage.wish is Wish.HOST:
        if not stage.alike:
            return _unlike(stage)
        return stage.to(State.RETURNING_KEYS)
    if hand.dark_at is not None:
        return Wait("the home's servers do not answer", hand.dark_at + stage.bounds.dark_after)
    if stage.continuity is Continuity.STANDBY and not stage.joint:
        return stage.strange()
    if stage.theirs is not None and stage.theirs.fault is not None:
        return stage.unfit()
    return Wait("")


def _darkened(stage: Stage) -> Hand | Wait:
    """Say what becomes of a home whose servers are gone."""
    hand, now = stage.hand, stage.now
    until = copy_until(hand, stage.bounds)
    gone = Wait("the home's servers are gone", tell="See that the home's servers run and are reached.")
    if stage.continuity is Continuity.NONE or hand.copy is None or until is None or now >= until:
        return gone
    if hand.copy.serial == hand.their_serial:
        return stage.to(State.DARK)
    # What they had last is not what the copy has: caches may hold keys and data that do not go together with it.
    wait = stage.after(hand.dark_at, hand.their_ttl, "what the home's servers had after the copy was taken")
    return wait or stage.to(State.DARK)


def _dark(stage: Stage) -> Hand | Wait:
    hand, theirs = stage.hand, stage.theirs
    until = copy_until(hand, stage.bounds)
    if until is None or hand.copy is None or stage.now >= until or stage.continuity is not Continuity.COPY:
        return stage.to(State.GAP)
    if stage.lit and theirs is not None and theirs.fault is None:
        # With other keys than those of the copy they cannot be asked beside it.
        return stage.to(State.BACK if theirs.keys == hand.copy.keys else State.GAP)
    if stage.wish is Wish.HOST and stage.dark:
        return stage.to(State.GAP)
    return msgspec.structs.replace(stage.unfit(), until=until)


def _gap(stage: Stage) -> Hand | Wait:
    hand, ours = stage.hand, stage.ours
    longest = max(hand.their_ttl, ours.max_ttl)
    if stage.wish is Wish.AWAY or not stage.dark:
        wait = stage.after(stage.seen(registry=True, home=True), longest, "what was served here")
        return wait or stage.to(State.AWAY, hand.their.ds)
    if not ours.loaded:
        return Wait("the hosted copy is not there yet")
    # Nobody is led to them any more once their names are out of caches; then what came from them runs out.
    ttl = stage.names_ttl + longest
    wait = stage.after(stage.seen(registry=True, home=True), ttl, "what the home's servers had")
    return wait or stage.to(State.BLIND, ours.ds)


def _blind(stage: Stage) -> Hand | Wait:
    wait = stage.after(stage.seen(registry=True), stage.ours.ds_ttl, "other DS than ours")
    return wait or stage.to(State.HOSTED, stage.ours.ds, settled=True)


def _back(stage: Stage) -> Hand | Wait:
    until = copy_until(stage.hand, stage.bounds)
    if until is None or stage.now >= until:
        return stage.to(State.AWAY)
    if stage.dark:
        return stage.to(State.DARK)
    return stage.after(stage.seen(registry=True), stage.names_ttl, "our servers' names") or stage.to(State.AWAY)


def _returning_keys(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.AWAY:
        return stage.to(State.LEAVING_DRAIN)
    if stage.dark:
        return stage.to(State.GAP)
    if not stage.alike:
        return _unlike(stage)
    if not stage.ours.loaded:
        return Wait("the hosted copy is not there yet")
    if not stage.fit:
        return stage.unfit()
    if not stage.joined:
        return stage.after(stage.hand.joint_at, stage.hand.their_ttl, "their keys without ours") or Wait("")
    return stage.to(State.RETURNING_DS, joint_ds(stage.hand, stage.ours))


def _returning_ds(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.AWAY:
        return stage.to(State.LEAVING_DRAIN)
    if stage.dark and not stage.hand.settled:
        return stage.to(State.GAP)
    wait = stage.after(stage.seen(registry=True), stage.ours.ds_ttl, "their DS without ours")
    if wait is not None:
        return wait
    stage.hand = replace(stage.hand, settled=True)
    if stage.covers:
        return stage.to(State.RETURNING_SERVERS)
    return stage.to(State.GAP) if stage.dark else stage.unfit()


def _returning_servers(stage: Stage) -> Hand | Wait:
    hand, theirs = stage.hand, stage.theirs
    if stage.wish is Wish.AWAY:
        if stage.fit and stage.joined and stage.lit and stage.alike:
            return stage.to(State.LEAVING_KEYS)  # they may have made other keys meanwhile
        return stage.unfit() if not stage.fit else Wait("the home's servers are to be right for a while")
    if theirs is None or (not theirs.silent and not theirs.servers <= set(stage.ours.servers)):
        stage.hand = replace(hand, seen_at=None)
        names_ours = ", ".join(names.to_text(one) for one in stage.ours.servers)
        return Wait(
            "the home's servers still name themselves",
            tell=f"Set the NS of {names.to_text(stage.ours.origin)} at its own servers to {names_ours}.",
        )
    seen = stage.seen(registry=True, home=True, since=theirs.asked)
    return stage.after(seen, stage.names_ttl, "their servers' names") or stage.to(State.RETURNING_DRAIN)


def _returning_drain(stage: Stage) -> Hand | Wait:
    if stage.wish is Wish.AWAY and stage.fit and stage.alike:
        return stage.to(State.LEAVING_KEYS)
    wait = stage.after(stage.hand.since, stage.hand.their_ttl, "what the home's servers had")
    return wait or stage.to(State.HOSTED, stage.ours.ds, settled=True)


_STATES: dict[State, Callable[[Stage], Hand | Wait]] = {
    State.HOSTED: _hosted,
    State.LEAVING_KEYS: _leaving_keys,
    State.LEAVING_DS: _leaving_ds,
    State.LEAVING_SERVERS: _leaving_servers,
    State.LEAVING_DRAIN: _leaving_drain,
    State.AWAY: _away,
    State.RETURNING_KEYS: _returning_keys,
    State.RETURNING_DS: _returning_ds,
    State.RETURNING_SERVERS: _returning_servers,
    State.RETURNING_DRAIN: _returning_drain,
    State.DARK: _dark,
    State.GAP: _gap,
    State.BLIND: _blind,
    State.BACK: _back,
}
