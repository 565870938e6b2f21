"""What one turn of a home knows: where it is, what was seen, what is wanted, and what may be concluded. Pure.

Law: `turn` asks here and decides there. Nothing here looks at a state but `noted`, which writes down what was seen.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ddns.dns import names
from ddns.dns.records import Rdata
from ddns.zone.hand import (
    THEIR_DELEGATION,
    Bounds,
    Continuity,
    Hand,
    Ours,
    Sights,
    State,
    Theirs,
    Wish,
    algorithms,
    joint_ds,
    multi,
)

_COPY_TTLS = 2  # a copy is withdrawn so many of its TTLs before its first signature ends


class Wait(msgspec.Struct, frozen=True):
    """Why nothing follows yet: *what* is waited for, *until* when, and what to *tell* whoever can help."""

    what: str
    until: int | None = None
    tell: str = ""


def copy_until(hand: Hand, bounds: Bounds) -> int | None:
    """Return until when the copy may be served, in seconds since 1970; None where there is no copy.

    Every server must have dropped it, and every cache lost it, before the first of its signatures ends.
    """
    if hand.copy is None:
        return None
    return hand.copy.expires - _COPY_TTLS * hand.their_ttl - bounds.safety - bounds.lag


class Stage:
    """What one turn knows; *hand* is the given one with what was seen written down."""

    def __init__(
        self,
        hand: Hand,
        ours: Ours,
        theirs: Theirs | None,
        sights: Sights,
        wish: Wish,
        continuity: Continuity,
        bounds: Bounds,
        now: int,
    ) -> None:
        self.ours = ours
        self.theirs = theirs
        self.sights = sights
        self.wish = wish
        self.continuity = continuity
        self.bounds = bounds
        self.now = now
        self.hand = hand if theirs is None else noted(hand, ours, theirs)
        self.grown = self.hand.their_keys != hand.their_keys

    def to(self, state: State, ds: tuple[Rdata, ...] | None = None, **more: object) -> Hand:
        """Return the hand in another *state*, with other *ds* where they are given."""
        hand = self.hand
        new = hand.ds if ds is None else tuple(sorted(ds))
        settled = hand.settled and set(new) == set(hand.ds)
        led = state in THEIR_DELEGATION or (hand.led and state is not State.HOSTED)
        fresh = replace(hand, state=state, since=self.now, ds=new, settled=settled, led=led)
        return replace(fresh, serial=None, home_serial=None, seen_at=None, **more)

    def seen(self, *, registry: bool = False, home: bool = False, since: int = 0) -> int | None:
        """Return when the last server was first seen with what is published, None while some was not.

        The first time that all were is written down and holds; *since* is what it cannot be before.
        """
        hand = self.hand
        if hand.seen_at is not None or hand.serial is None or hand.home_serial is None:
            return hand.seen_at
        times = [hand.since, since]
        for needed, at in ((registry, self.sights.registry), (home, self.sights.home)):
            if needed and at is None:
                return None
            if needed and at is not None:
                times.append(at)
        self.hand = replace(hand, seen_at=max(times))
        return self.hand.seen_at

    def after(self, seen: int | None, ttl: int, what: str) -> Wait | None:
        """Return what is to be waited for until *ttl* seconds after *seen*; None where that is over."""
        if seen is None:
            return Wait("; ".join(self.sights.missing) or "not all servers were seen with what is published")
        until = seen + ttl + self.bounds.safety
        return Wait(f"caches may hold {what}", until) if self.now < until else None

    @property
    def fit(self) -> bool:
        """Tell whether the home's servers are as they ought to be, and show our keys where they must."""
        theirs = self.theirs
        return theirs is not None and theirs.fault is None and not theirs.silent and self.joint

    @property
    def joint(self) -> bool:
        """Tell whether the home's servers showed our keys when they last answered, or need not."""
        return not multi(self.hand, self.ours) or self.hand.joint_at is not None

    @property
    def joined(self) -> bool:
        """Tell whether no cache holds keys of theirs without ours beside them."""
        hand = self.hand
        if not multi(hand, self.ours):
            return True
        return hand.joint_at is not None and self.now >= hand.joint_at + hand.their_ttl + self.bounds.safety

    @property
    def dark(self) -> bool:
        """Tell whether the home's servers are gone: silent when they were looked at last, and for long enough then.

        While our own network is down nobody looks; that time alone passes does not make them dark.
        """
        at = self.hand.dark_at
        if at is None or self.now < at + self.bounds.dark_after:
            return False
        return self.theirs is None or self.theirs.asked >= at + self.bounds.dark_after

    @property
    def lit(self) -> bool:
        """Tell whether the home's servers have been right for long enough to rely on them."""
        at = self.hand.lit_at
        return at is not None and self.now >= at + self.bounds.back_after

    @property
    def names_ttl(self) -> int:
        """Return how long caches may lead to their servers, once nobody says so any more, in seconds.

        The hosted copy named them too, on the way there.
        """
        return max(self.ours.delegation_ttl, self.ours.ns_ttl, self.hand.their_ttl)

    @property
    def alike(self) -> bool:
        """Tell whether both sides sign with the same algorithms, which they must to be asked beside each other."""
        hand = self.hand
        return not multi(hand, self.ours) or algorithms(hand.their_keys) == algorithms(self.ours.keys)

    @property
    def covers(self) -> bool:
        """Tell whether the hosted copy may be served beside what caches hold of theirs: they know each other."""
        hand = self.hand
        return hand.settled and set(hand.ds) == set(joint_ds(hand, self.ours)) and self.joined and self.ours.loaded

    def unfit(self) -> Wait:
        """Say what their servers lack."""
        if self.theirs is None:
            return Wait("nobody has asked the home's servers yet")
        if self.theirs.silent:
            return Wait("the home's servers do not answer", tell="See that the home's servers run and are reached.")
        if self.theirs.fault is not None:
            return Wait("the home's servers are not as they ought to be", tell=self.theirs.fault.sentence)
        return self.strange()

    def strange(self) -> Wait:
        """Say that their servers lack our keys."""
        return Wait(
            "the home's servers do not show our keys",
            tell=f"Publish our keys in the DNSKEY RRset of {names.to_text(self.ours.origin)} at its servers too.",
        )


def noted(hand: Hand, ours: Ours, theirs: Theirs) -> Hand:
    """Return *hand* with what was seen of the home's servers."""
    if theirs.silent:
        return replace(hand, lit_at=None, dark_at=theirs.asked if hand.dark_at is None else hand.dark_at)
    joint_at = hand.joint_at
    if not set(ours.keys) <= theirs.keys:
        joint_at = None
    elif joint_at is None and theirs.whole:  # one that is silent may have other keys
        joint_at = theirs.asked
    lit_at = hand.lit_at if hand.lit_at is not None else theirs.asked
    noted = replace(
        hand,
        dark_at=None,
        joint_at=joint_at,
        lit_at=lit_at if theirs.fault is None else None,
        their_ttl=max(hand.their_ttl, theirs.ttl),
        their_serial=theirs.serial,
    )
    if theirs.fault is not None or hand.state is State.HOSTED:
        return noted
    keys = theirs.keys - set(ours.keys)
    if hand.state is not State.AWAY:
        keys |= set(hand.their_keys)  # caches may hold what one of them signed
    return replace(noted, their_keys=tuple(sorted(keys)))
