"""Carry out a plan: make its signatures, and say what the zone's next edition holds. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ddns.dns import names
from ddns.dns.records import SignedRRset
from zone_signer.keyset import APEX_TYPES
from zone_signer.plan import Plan
from zone_signer.policy import Policy
from zone_signer.rrsig import Signatory


class Done(msgspec.Struct, frozen=True):
    """A plan carried out: *added* is published, and the zone's next signature falls due at *resign_at*."""

    added: tuple[SignedRRset, ...]
    resign_at: int


class Keys(Protocol):
    """What signs a zone: `keyring.ZoneKeys`."""

    @property
    def at_apex(self) -> Sequence[Signatory]:
        """Return the keys that sign the RRsets of the types `APEX_TYPES`, which stand at the apex only."""

    @property
    def in_zone(self) -> Sequence[Signatory]:
        """Return the keys that sign all others."""


class ClockBack(Exception):
    """The clock stands before the last signature; the message is one sentence."""


def check_clock(origin: bytes, newest: int, now: int) -> None:
    """Refuse to sign before the *newest* inception: signatures do not go back in time. Raises `ClockBack`."""
    if now < newest:
        raise ClockBack(
            f"the clock is {newest - now} s before the newest signature of {names.to_text(origin)};"
            " set it right, then it is signed"
        )


def carry_out(plan: Plan, keys: Keys, policy: Policy, now: int) -> Done:
    """Sign what *plan* says, each RRset with every one of the *keys* that sign it."""
    added = [SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in plan.bare]
    earliest = plan.wake
    window, spread = policy.window, plan.spread
    at_apex, in_zone = keys.at_apex, keys.in_zone
    inception, expiration = window(plan.origin, 0, now, spread=spread and plan.together)
    first = expiration
    for one in plan.sign:
        name, rdtype, ttl, rdatas = one.name, one.type, one.ttl, one.rdatas
        if spread and not plan.together:
            inception, expiration = window(name, rdtype, now, spread=True)
            first = min(first, expiration)
        signatories = at_apex if rdtype in APEX_TYPES else in_zone
        sigs = tuple([who.sign(name, rdtype, ttl, rdatas, inception, expiration) for who in signatories])
        added.append(SignedRRset(name, rdtype, ttl, rdatas, sigs))
    if plan.sign:
        earliest = min(earliest, policy.due(first))
    return Done(tuple(added), earliest)
