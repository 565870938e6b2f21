"""Every way that home, box and owner may stand to one another, as far as the machine tells them apart.

The page's diagrams are found by asking the machine in each of these worlds, and tests walk the same worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from uuid import UUID

from ddns.dns import names
from ddns.homes.ownership import RULES, Rule
from ddns.homes.ownership_facts import (
    Asked,
    Box,
    Claim,
    Facts,
    Home,
    KeyFact,
    OwnerKey,
    Recovery,
    Release,
    Who,
)

NOW = 1_800_000_000  # seconds since 1970
NAME = names.from_text("smith.homes.example.")
OURS, THEIRS = UUID(int=1), UUID(int=2)  # the home's own box, and another
OWNER, STRANGER = UUID(int=3), UUID(int=4)
GATEWAY_KEY, NEW_KEY = b"\1" * 32, b"\2" * 32
OWNER_KEY, ADMIN_KEY, RECOVERY_KEY, SECOND_KEY = (bytes([number]) * 32 for number in (3, 4, 5, 6))
SECRET = b"\7" * 32
OWNER_KEYS = (
    OwnerKey(OWNER_KEY, "owner"),
    OwnerKey(SECOND_KEY, "owner"),
    OwnerKey(ADMIN_KEY, "admin"),
    OwnerKey(RECOVERY_KEY, "recovery"),
)
BY = {
    Who.OWNER: OWNER_KEY,
    Who.ADMIN: ADMIN_KEY,
    Who.RECOVERY: RECOVERY_KEY,
    Who.GATEWAY: GATEWAY_KEY,
    Who.CLAIMANT: NEW_KEY,
    Who.BEARER: NEW_KEY,
}
DAY = 86_400

_RECOVERIES = (
    (None, False),
    (Recovery(UUID(int=5), "recovery", NEW_KEY, NOW, by=RECOVERY_KEY), False),
    (Recovery(UUID(int=5), "admin", NEW_KEY, NOW + DAY, by=ADMIN_KEY), False),
    (Recovery(UUID(int=5), "admin", NEW_KEY, NOW, "objected", ADMIN_KEY), True),
    (Recovery(UUID(int=5), "registry", NEW_KEY, NOW, operators=("anna",)), True),
    (Recovery(UUID(int=5), "registry", NEW_KEY, NOW, "objected", operators=("anna",)), True),
    (Recovery(UUID(int=5), "registry", NEW_KEY, NOW, "objected", operators=("anna", "bert")), True),
)


def worlds() -> Iterator[tuple[Rule, Facts, Asked]]:
    """Yield each rule with each world, and who may ask by the rule asking; the time is `NOW`."""
    for rule in RULES:
        homes = list(_homes()) if rule.homes or rule.boxes else [Facts(name=NAME, owner=OWNER, owner_keys=OWNER_KEYS)]
        recoveries = _RECOVERIES if not rule.homes else _RECOVERIES[:1]
        for facts, (recovery, disputed), who in product(homes, recoveries, rule.who):
            asked = asking(rule.event, who)
            there = facts if rule.event in WITH_BOX else _alone(facts)
            if rule.event == "claim" and facts.shown is None:
                there = _with(facts, shown=facts.device or OURS)
            yield rule, _with(there, recovery=recovery, disputed=disputed), asked


# Events in which another box than the home's own may be spoken of.
WITH_BOX = frozenset({"enrol", "take", "replace", "claim", "stolen", "found"})


def asking(event: str, who: Who) -> Asked:
    """Return what *who* would ask for by *event*, as well as it can be asked."""
    key = {
        "approve-key": NEW_KEY,
        "revoke-key": GATEWAY_KEY,
        "remove-owner-key": BY.get(who, OWNER_KEY),
    }.get(event, NEW_KEY)
    return Asked(
        event=event,
        who=who,
        by=BY.get(who, b""),
        key=key,
        owner=STRANGER if who in (Who.CLAIMANT, Who.BEARER) else OWNER,
        operator="bert" if who is Who.OPERATOR else "",
        reason="because" if who is Who.OPERATOR else "",
        role="admin",
        until=NOW + DAY,
        bearer=SECRET,
        secret=SECRET,
        name=names.prepend(b"lamp", NAME),
    )


def _homes() -> Iterator[Facts]:
    """Yield homes in every state, with their box and another that shows itself in every state."""
    for home, own in product(Home, (None, Box.OWNED, Box.CLAIMED, Box.STOLEN)):
        if own is not None and home in (Home.NONE, Home.CLOSED):
            continue
        facts = Facts(
            zone=None if home is Home.NONE else 7,
            name=NAME,
            home=home,
            keys=(KeyFact(GATEWAY_KEY, None if own is None else OURS),) if home in _WITH_KEYS else (),
            device=None if own is None else OURS,
            home_box=Box.UNKNOWN if own is None else own,
            home_claim=_claim() if own is Box.CLAIMED else None,
            owner=None if home is Home.NONE else OWNER,
            owner_keys=OWNER_KEYS,
            closed_at=NOW - DAY if home is Home.CLOSED else None,
            label_rests=home is Home.CLOSED,
        )
        for claimed_or_not in _shown(facts):
            for pending, used in product(((), (NEW_KEY,)), (False, True)):
                yield _with(claimed_or_not, pending=pending, used=used)
        if home is Home.CLOSED:
            yield _with(_alone(facts), closed_at=NOW - 30 * DAY)
        if home in (Home.ACTIVE, Home.KEYLESS):
            yield _with(_alone(facts), owner=None, owner_keys=())
        if home in (Home.SUSPENDED, Home.QUARANTINED):
            yield _with(_alone(facts), keys=())


_WITH_KEYS = frozenset({Home.ACTIVE, Home.SUSPENDED, Home.QUARANTINED})


def _shown(facts: Facts) -> Iterator[Facts]:
    """Yield the home as it is, then with each box that may show itself."""
    yield _alone(facts)
    for box, was_ours in product((Box.UNKNOWN, Box.FREE, Box.OWNED, Box.CLAIMED, Box.STOLEN), (False, True)):
        release = Release(UUID(int=6), NOW + DAY, bearer=SECRET) if box is Box.FREE and was_ours else None
        zone = 8 if box in (Box.OWNED, Box.CLAIMED) else None
        claim = _claim() if box is Box.CLAIMED else None
        yield _with(
            facts, shown=THEIRS, box=box, box_zone=zone, was_ours=was_ours, release=release, claim=claim
        )  # fmt: skip


def _alone(facts: Facts) -> Facts:
    """Return the world in which no other box shows itself: what is concerned is the home's own."""
    claim = _claim() if facts.home_box is Box.CLAIMED else None
    zone = facts.zone if facts.device is not None else None
    return _with(
        facts, shown=None, box=facts.home_box, box_zone=zone, claim=claim, release=None,
        was_ours=facts.home_box is Box.STOLEN,
    )  # fmt: skip


def _claim() -> Claim:
    return Claim(UUID(int=9), STRANGER, NEW_KEY, NOW - 30 * DAY, NOW, NOW - 30 * DAY)


def _with(facts: Facts, **changes: object) -> Facts:
    fields = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return Facts(**(fields | changes))
