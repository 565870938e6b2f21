"""Guards of the machine of ownership: each a rule in words, a test of the facts, and the refusal where it fails.

Everything here is a function of the facts, what is asked, and the time in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest

import msgspec

from ddns.auth.principal import ASSURANCES
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes.ownership_facts import Asked, Box, Facts, Home, Who

MOST_PENDING = 3  # keys that wait for approval, of one home
MOST_OWNER_KEYS = 8
MOST_CLAIMS = 3  # open ones of one claimant
MOST_MINTED = 20  # keys with one narrow right, of one home
LONGEST_RELEASE = 90 * 86_400
LONGEST_REASON = 400
KEPT = 30 * 86_400  # seconds that a closed home's records are kept

Judge = Callable[[Facts, Asked, int], bool]


class Guard(msgspec.Struct, frozen=True):
    """One rule: *says* it in words, *holds* tells whether it is kept, *refusal* is the answer where it is not."""

    says: str
    holds: Judge
    refusal: Callable[[Facts, Asked, int], Refusal]


def _refusal(code: str, sentence: str) -> Refusal:
    return Refusal(code, Rcode.REFUSED, sentence, Ede.PROHIBITED)


def not_yours() -> Refusal:
    """Refuse who may not; the same whether there is such a home or not."""
    return _refusal("not-yours", "The keys that signed may not do this to that home; sign with its owner's key.")


def vendor_has_no_say() -> Refusal:
    """Refuse a vendor, whatever is asked."""
    return _refusal("vendor-has-no-say", "A vendor vouches for new boxes and for nothing else; ask the home's owner.")


def wrong_home(facts: Facts) -> Refusal:
    """Refuse what cannot be done to a home that is as it is."""
    if facts.home in (Home.SUSPENDED, Home.QUARANTINED):
        return _refusal("home-held", "The registry holds this home; speak to the registry, then ask again.")
    return _wrong_state(f"The home is {facts.home}; this cannot be done to it as it is.")


def wrong_box(facts: Facts) -> Refusal:
    """Refuse what cannot be done with a box that is as it is."""
    if facts.box is Box.STOLEN:
        return _refusal("box-stolen", "This box was reported stolen; whoever reported it has to say that it is found.")
    if facts.box is Box.CLAIMED:
        return _refusal("box-claimed", "There is an open claim on this box; wait until it is decided.")
    if facts.box is Box.OWNED:
        return _refusal("box-owned", "This box is somebody's; have its owner release it, or file a claim.")
    return _wrong_state(f"The box is {facts.box}; this cannot be done with it as it is.")


def _wrong_state(sentence: str) -> Refusal:
    return _refusal("not-in-this-state", sentence)


def rank(assurance: str) -> int:
    """Return the place of *assurance* among all, from the least on."""
    return ASSURANCES.index(assurance)


NO_OWNER = Guard(
    "nobody owns it",
    lambda facts, _asked, _now: facts.owner is None,
    lambda _facts, _asked, _now: _wrong_state("The home has an owner already; ask that owner."),
)
SURE_ENOUGH = Guard(
    "the key's assurance is at least the policy's",
    lambda facts, asked, _now: rank(asked.assurance) >= rank(facts.least),
    lambda facts, _asked, _now: _refusal(
        "assurance-below-policy",
        f"Keys of the tier {facts.least} or above are asked for here; show the evidence that gives it.",
    ),
)
BOX_IS_FREE_OR_OURS = Guard(
    "the new box is no other home's, and not stolen",
    lambda facts, _asked, _now: (
        facts.shown is None
        or facts.box in (Box.UNKNOWN, Box.FREE)
        or (facts.box in (Box.OWNED, Box.CLAIMED) and facts.box_zone == facts.zone)
    ),
    lambda facts, _asked, _now: wrong_box(facts),
)
SAME_BOX_IS_NOT_STOLEN = Guard(
    "the box that stays was not reported stolen",
    lambda facts, asked, _now: not asked.same_box or facts.box is not Box.STOLEN,
    lambda facts, _asked, _now: wrong_box(facts),
)
ROOM_FOR_PENDING = Guard(
    f"fewer than {MOST_PENDING} keys are pending, or this one is",
    lambda facts, asked, _now: len(facts.pending) < MOST_PENDING or asked.key in facts.pending,
    lambda _facts, _asked, _now: _refusal(
        "keys-pending", "Enough keys wait for the owner's approval; have one approved, or wait for a week."
    ),
)
KEY_IS_NEW = Guard(
    "the key is none that the home has",
    lambda facts, asked, _now: asked.key not in _live(facts),
    lambda _facts, _asked, _now: _wrong_state("The home has this key already; make a new one."),
)
KEY_IS_PENDING = Guard(
    "the key is pending",
    lambda facts, asked, _now: asked.key in facts.pending,
    lambda _facts, _asked, _now: _wrong_state("No such key is pending; have the gateway announce its key."),
)
KEY_IS_LIVE = Guard(
    "the home has the key, or one of its devices",
    lambda facts, asked, _now: asked.key in (*_live(facts), *facts.device_keys),
    lambda _facts, _asked, _now: _wrong_state("The home has no such key; look at its keys."),
)
NO_OPEN_CLAIM = Guard(
    "no claim on the box is open",
    lambda facts, _asked, _now: facts.claim is None,
    lambda _facts, _asked, _now: _refusal(
        "claim-open", "There is an open claim on the home's box; object to it first, or wait until it is decided."
    ),
)
NOT_IN_RECOVERY = Guard(
    "no recovery of the owner is open",
    lambda facts, _asked, _now: (
        facts.recovery is None or (facts.recovery.state != "open" and facts.recovery.way != "registry")
    ),
    lambda _facts, _asked, _now: _refusal(
        "recovery-open", "A recovery of the owner's keys is under way; object to it, or wait until it is over."
    ),
)
NOT_DISPUTED = Guard(
    "none is disputed (the registry's own way goes on)",
    lambda facts, asked, _now: asked.who is Who.OPERATOR or not facts.disputed,
    lambda _facts, _asked, _now: _refusal(
        "recovery-disputed",
        "Two of the owner's keys contradict one another; the registry has to find out whose they are.",
    ),
)
RELEASE_IS_SHORT = Guard(
    "it ends after now, and within 90 days",
    lambda _facts, asked, now: now < asked.until <= now + LONGEST_RELEASE,
    lambda _facts, _asked, _now: _wrong_state("A release lasts for at most 90 days; give an earlier end, after now."),
)
RELEASE_FITS = Guard(
    "the release is for this bearer or receiver, and not over",
    lambda facts, asked, now: facts.release is not None and now < facts.release.until and _fits(facts, asked),
    lambda _facts, _asked, _now: _refusal(
        "release-wrong", "There is no release of this box for you; ask the seller for one, or for the secret of it."
    ),
)
NOT_BARRED = Guard(
    "none of this claimant's on this box was objected to not long ago",
    lambda facts, _asked, _now: not facts.barred,
    lambda _facts, _asked, _now: _refusal(
        "claim-barred", "The owner has objected to your claim on this box; speak to the seller."
    ),
)
FEW_CLAIMS = Guard(
    f"the claimant has fewer than {MOST_CLAIMS} open claims",
    lambda facts, _asked, _now: facts.open_claims < MOST_CLAIMS,
    lambda _facts, _asked, _now: _refusal(
        "too-many-claims", f"You have {MOST_CLAIMS} open claims; wait until one of them is decided."
    ),
)
CLAIM_IS_DUE = Guard(
    "the waiting time is over",
    lambda facts, _asked, now: facts.claim is not None and now >= facts.claim.due_at,
    lambda _facts, _asked, _now: _wrong_state("The claim is not due yet; wait."),
)
OWNER_WAS_TOLD = Guard(
    "the owner was told a whole waiting time ago",
    lambda facts, _asked, now: (
        facts.claim is not None
        and facts.claim.noticed_at is not None
        and now >= facts.claim.noticed_at + facts.claim.due_at - facts.claim.filed_at
    ),
    lambda _facts, _asked, _now: _wrong_state("The box's owner was not told of the claim long enough ago; wait."),
)
NOT_USED = Guard(
    "no key of the box was used since the claim was filed",
    lambda facts, _asked, _now: not facts.used,
    lambda _facts, _asked, _now: _wrong_state("The box is in use by its owner; the claim is over."),
)
WAS_USED = Guard(
    "a key of the box was used since the claim was filed",
    lambda facts, _asked, _now: facts.used,
    lambda _facts, _asked, _now: _wrong_state("The box was not used since the claim was filed."),
)
WAS_THIS_HOMES = Guard(
    "the box is this home's, or was: it released it, or reported it",
    lambda facts, _asked, _now: (
        facts.was_ours
        if facts.box not in (Box.OWNED, Box.CLAIMED)
        else facts.box_zone is not None and facts.box_zone == facts.zone
    ),
    lambda _facts, _asked, _now: _wrong_state("The box was not this home's last; its last owner has to say so."),
)
NOT_PROMISED = Guard(
    "no release of the new box to somebody else is open",
    lambda facts, asked, now: facts.release is None or now >= facts.release.until or _fits(facts, asked),
    RELEASE_FITS.refusal,
)
REASON_IS_WRITTEN = Guard(
    f"an operator gives a reason of 1 to {LONGEST_REASON} characters",
    lambda _facts, asked, _now: (
        asked.who is not Who.OPERATOR
        or (0 < len(asked.reason.strip()) <= LONGEST_REASON and asked.reason.isprintable())
    ),
    lambda _facts, _asked, _now: _refusal(
        "reason-needed", f"Write a reason of at most {LONGEST_REASON} characters in one line; the owner reads it."
    ),
)
FEW_OWNER_KEYS = Guard(
    f"the owner has fewer than {MOST_OWNER_KEYS} keys",
    lambda facts, _asked, _now: len(facts.owner_keys) < MOST_OWNER_KEYS,
    lambda _facts, _asked, _now: _refusal(
        "too-many-keys", f"An owner has at most {MOST_OWNER_KEYS} keys; take one away first."
    ),
)
OWNER_KEY_IS_NEW = Guard(
    "the new key is nobody's",
    lambda facts, asked, _now: not facts.key_known and asked.key not in (one.key for one in facts.owner_keys),
    lambda _facts, _asked, _now: _refusal("key-known", "This key is in use already; make a new one."),
)
OWNER_KEY_IS_THERE = Guard(
    "the key is the owner's; who is no owner takes only his own away",
    lambda facts, asked, _now: (
        asked.key in (one.key for one in facts.owner_keys) and (asked.who is Who.OWNER or asked.key == asked.by)
    ),
    lambda _facts, _asked, _now: not_yours(),
)
ONE_OWNER_KEY_STAYS = Guard(
    "a key of the role owner is left",
    lambda facts, asked, _now: any(one.role == "owner" and one.key != asked.key for one in facts.owner_keys),
    lambda _facts, _asked, _now: _refusal(
        "last-owner-key", "This is the last key of its owner; add another one first."
    ),
)
NOT_HIS_OWN = Guard(
    "the key did not begin it",
    lambda facts, asked, _now: facts.recovery is not None and facts.recovery.by != asked.by,
    lambda _facts, _asked, _now: _wrong_state(
        "This key began the recovery itself; another of the owner's has to object."
    ),
)
RECOVERY_IS_THERE = Guard(
    "a recovery is not over",
    lambda facts, _asked, _now: facts.recovery is not None,
    lambda _facts, _asked, _now: _wrong_state("No recovery of the owner's keys is open or disputed."),
)
RECOVERY_IS_OPEN = Guard(
    "a recovery is open",
    lambda facts, _asked, _now: facts.recovery is not None and facts.recovery.state == "open",
    lambda _facts, _asked, _now: _wrong_state("No recovery of the owner's keys is open."),
)
RECOVERY_IS_DUE = Guard(
    "the waiting time is over",
    lambda facts, _asked, now: facts.recovery is not None and now >= facts.recovery.due_at,
    lambda _facts, _asked, _now: _wrong_state("The recovery is not due yet; wait."),
)
RECOVERY_STANDS = Guard(
    "nobody objected, or a second operator confirmed the registry's own",
    lambda facts, _asked, _now: (
        facts.recovery is not None
        and (
            facts.recovery.state == "open"
            or (facts.recovery.way == "registry" and len(set(facts.recovery.operators) - {""}) == 2)
        )
    ),
    lambda _facts, _asked, _now: _wrong_state("The recovery was objected to; a second operator has to confirm it."),
)
SECOND_OPERATOR = Guard(
    "it is the registry's own, and another operator began it",
    lambda facts, asked, _now: (
        facts.recovery is not None
        and facts.recovery.way == "registry"
        and bool(asked.operator)
        and asked.operator not in facts.recovery.operators
        and len(set(facts.recovery.operators) - {""}) == 1
    ),
    lambda _facts, _asked, _now: _wrong_state(
        "Another operator than the one who began it has to confirm the recovery."
    ),
)
STILL_KEPT = Guard(
    "it left within the last 30 days, and its label rests",
    lambda facts, _asked, now: facts.closed_at is not None and now < facts.closed_at + KEPT and facts.label_rests,
    lambda _facts, _asked, _now: _wrong_state("The home left too long ago to return; enrol a new one."),
)
KEPT_LONG_ENOUGH = Guard(
    "it left 30 days ago",
    lambda facts, _asked, now: facts.closed_at is not None and now >= facts.closed_at + KEPT,
    lambda _facts, _asked, _now: _wrong_state("The home's records are kept until 30 days after it left."),
)
NAME_IS_BELOW = Guard(
    "the name is below the home",
    lambda facts, asked, _now: asked.name != facts.name and names.is_subdomain(asked.name, facts.name),
    lambda _facts, _asked, _now: _wrong_state("The name must be below the home's own."),
)
NAME_IS_WITHIN = Guard(
    "the name is the home's or below",
    lambda facts, asked, _now: names.is_subdomain(asked.name, facts.name),
    lambda _facts, _asked, _now: _wrong_state("The name must be the home's own, or below it."),
)
FEW_MINTED = Guard(
    f"the home has fewer than {MOST_MINTED} such keys",
    lambda facts, _asked, _now: facts.minted < MOST_MINTED,
    lambda _facts, _asked, _now: _refusal(
        "too-many-keys", f"The home has {MOST_MINTED} keys of this sort; revoke one first."
    ),
)


def _live(facts: Facts) -> tuple[bytes, ...]:
    return tuple(one.key for one in facts.keys)


def _fits(facts: Facts, asked: Asked) -> bool:
    """Say whether the release is for who asks: he shows the bearer's secret, or is the receiver."""
    release = facts.release
    if release is None:
        return False
    if release.bearer is not None:
        return asked.secret is not None and compare_digest(release.bearer, asked.secret)
    return release.receiver is not None and compare_digest(release.receiver, asked.by)
