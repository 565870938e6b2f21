"""The machine of ownership: names belong to owners, boxes only hold keys, and a vendor has no say.

The table `RULES` is the machine: whoever asks for something has its rule found, his part in it looked up, the states of
home and box compared, the guards asked in their order, and gets a `Decision` or a `Refusal`. Everything is a function
of the facts, of what is asked, and of the time in seconds since 1970. `ddns.homes.carrying` carries decisions out,
each in one transaction; docs/reference/ownership.md is written from here (`python -m ddns.homes.ownership_page`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ddns.dns.refusal import Refusal
from ddns.homes import ownership_effects as do
from ddns.homes import ownership_guards as guard
from ddns.homes import ownership_moves as move
from ddns.homes.ownership_effects import Decision, Effect, Notice
from ddns.homes.ownership_facts import Asked, Box, Facts, Home, Who
from ddns.homes.ownership_guards import Guard

PENDING = 7 * 86_400  # seconds that a key waits for approval

_OWNER, _ADMIN = Who.OWNER, Who.ADMIN
_GATEWAY, _OPERATOR, _CLOCK = Who.GATEWAY, Who.OPERATOR, Who.CLOCK
_LIVE = (Home.ACTIVE, Home.KEYLESS)
_OPEN = (*_LIVE, Home.SUSPENDED)
_HELD = (Home.SUSPENDED, Home.QUARANTINED)
_THEIRS = (Box.OWNED, Box.CLAIMED)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the machine.

    *homes* and *boxes* are the states from which it is possible, empty: it is not about one. *does* names every kind of
    effect that it can have; *wait* and *proof* are words for the page.
    """

    number: int
    event: str
    says: str
    who: tuple[Who, ...]
    proof: str
    homes: tuple[Home, ...] = ()
    boxes: tuple[Box, ...] = ()
    guards: tuple[Guard, ...] = ()
    does: tuple[type[Effect], ...]
    effects: Callable[[Facts, Asked, int], tuple[Effect, ...]]
    notices: tuple[Notice, ...] = ()
    wait: str = ""


def decide(facts: Facts, asked: Asked, now: int) -> Decision | Refusal:
    """Return what happens when *asked* is asked for while things are as in *facts*, or why nothing does."""
    if asked.who is Who.VENDOR:
        return guard.vendor_has_no_say()
    rule = BY_EVENT[asked.event]
    if asked.who not in rule.who:
        return guard.not_yours()
    if rule.homes and facts.home not in rule.homes:
        return guard.wrong_home(facts)
    if rule.boxes and facts.box not in rule.boxes:
        return guard.wrong_box(facts)
    for one in rule.guards:
        if not one.holds(facts, asked, now):
            return one.refusal(facts, asked, now)
    effects = rule.effects(facts, asked, now)
    waits = [one.due_at for one in effects if isinstance(one, do.OpenClaim | do.OpenRecovery)]
    return Decision(
        asked.event, effects, home_after(facts, effects), box_after(facts, effects), rule.notices,
        waits[0] if waits else None,
    )  # fmt: skip


def home_after(facts: Facts, effects: tuple[Effect, ...]) -> Home:
    """Return how the home is after *effects*: whether it has keys is counted, never stored."""
    keys = {one.key for one in facts.keys}
    state = facts.home
    for one in effects:
        if isinstance(one, do.PutKey):
            keys.add(one.key)
        elif isinstance(one, do.RevokeKeys):
            keys -= set(one.keys)
        elif isinstance(one, do.Hold):
            state = one.state
        elif isinstance(one, do.CloseHome):
            state = Home.CLOSED
        elif isinstance(one, do.RemoveHome):
            state = Home.NONE
        elif isinstance(one, do.MakeHome | do.ReopenHome | do.Unhold):
            state = Home.ACTIVE
    if state not in _LIVE:
        return state
    return Home.ACTIVE if keys else Home.KEYLESS


def box_after(facts: Facts, effects: tuple[Effect, ...]) -> Box:
    """Return how the box that is concerned is after *effects*."""
    concerned, state = facts.shown or facts.device, facts.box
    for one in effects:
        if isinstance(one, do.BindDevice) and one.device == concerned:
            state = Box.OWNED
        elif isinstance(one, do.LetGoDevice | do.SetBox) and one.device == concerned:
            state = one.box
        elif isinstance(one, do.OpenClaim):
            state = Box.CLAIMED
        elif isinstance(one, do.CloseClaim) and state is Box.CLAIMED:
            state = Box.OWNED
    return state


def owner_before(facts: Facts) -> str:
    """Return how an owner's keys are: settled, recovering, or disputed."""
    if facts.recovery is not None and facts.recovery.state == "open":
        return "recovering"
    return "disputed" if facts.disputed else "settled"


def owner_after(facts: Facts, effects: tuple[Effect, ...]) -> str:
    """Return how an owner's keys are after *effects*."""
    state = owner_before(facts)
    for one in effects:
        if isinstance(one, do.OpenRecovery):
            state = "recovering"
        elif isinstance(one, do.CloseRecovery):
            state = "disputed" if one.state == "objected" else "settled"
    return state


RULES: tuple[Rule, ...] = (
    Rule(
        number=1, event="enrol", says="a home comes to be", who=(_GATEWAY, _OWNER),
        proof="the gateway's key and the owner's sign (a policy may do without an owner), and a method's proof",
        homes=(Home.NONE,), boxes=(Box.UNKNOWN, Box.FREE), guards=(guard.NOT_PROMISED, guard.SURE_ENOUGH),
        does=(do.MakeHome, do.PutKey, do.BindOwner, do.BindDevice, do.SpendRelease), effects=move.enrol,
        notices=(Notice("home.enrolled"),),
    ),
    Rule(
        number=2, event="bind-owner", says="a home that nobody owns gets its owner", who=(_GATEWAY, Who.BEARER),
        proof="the gateway's key and the new owner's sign; or the new owner's, over an operator's code",
        homes=_LIVE, guards=(guard.NO_OWNER,), does=(do.BindOwner, do.SpendCode), effects=move.bind_owner,
        notices=(Notice("owner.bound"),),
    ),
    Rule(
        number=3, event="replace", says="a new gateway takes the old one's place, or the same one after a reset",
        who=(_OWNER, _ADMIN), proof="the new gateway's key signs beside the owner's or an administrator's",
        homes=_LIVE,
        guards=(
            guard.KEY_IS_NEW, guard.BOX_IS_FREE_OR_OURS, guard.SAME_BOX_IS_NOT_STOLEN, guard.NOT_PROMISED,
            guard.SURE_ENOUGH,
        ),
        does=(do.PutKey, do.RevokeKeys, do.DropPending, do.CloseClaim, do.LetGoDevice, do.BindDevice, do.SpendRelease),
        effects=move.replace, notices=(Notice("gateway.replaced"),),
    ),
    Rule(
        number=4, event="announce-key", says="a gateway that lost its key shows a new one",
        who=(Who.STRANGER, _GATEWAY), proof="the new key signs, by UPDATE or by HTTPS",
        homes=_OPEN, guards=(guard.KEY_IS_NEW, guard.ROOM_FOR_PENDING),
        does=(do.KeepPending,), effects=lambda _facts, asked, now: (do.KeepPending(asked.key, now + PENDING),),
        notices=(Notice("key.pending"),), wait="7 days; the old key goes on until the new one is approved",
    ),
    Rule(
        number=5, event="approve-key", says="the new key takes the place of all others",
        who=(_OWNER, _ADMIN, _OPERATOR), proof="the owner's key or an administrator's signs, or an operator says so",
        homes=_LIVE, guards=(guard.REASON_IS_WRITTEN, guard.KEY_IS_PENDING, guard.KEY_IS_NEW),
        does=(do.PutKey, do.RevokeKeys, do.DropPending), effects=move.approve, notices=(Notice("key.approved"),),
    ),
    Rule(
        number=6, event="revoke-key", says="a key is taken away", who=(_OWNER, _ADMIN, _OPERATOR),
        proof="the owner's key or an administrator's signs, or an operator says so",
        homes=(*_LIVE, *_HELD), guards=(guard.REASON_IS_WRITTEN, guard.KEY_IS_LIVE),
        does=(do.RevokeKeys,), effects=lambda _facts, asked, _now: (do.RevokeKeys((asked.key,)),),
        notices=(Notice("key.revoked"),),
    ),
    Rule(
        number=7, event="roll-key", says="a gateway changes its key", who=(_GATEWAY,),
        proof="the old key and the new one sign",
        homes=(Home.ACTIVE,), guards=(guard.KEY_IS_NEW,), does=(do.PutKey, do.RevokeKeys), effects=move.roll,
        notices=(Notice("key.rolled"),),
    ),
    Rule(
        number=8, event="release", says="a box goes to its buyer, and the name stays", who=(_OWNER,),
        proof="the owner's key signs",
        homes=_LIVE, boxes=_THEIRS,
        guards=(guard.NO_OPEN_CLAIM, guard.NOT_IN_RECOVERY, guard.NOT_DISPUTED, guard.RELEASE_IS_SHORT),
        does=(do.RevokeKeys, do.LetGoDevice, do.OpenRelease), effects=move.release,
        notices=(Notice("box.released"),), wait="until the end that the release names, 90 days at most",
    ),
    Rule(
        number=9, event="take", says="the buyer enrols the box in a home of his own", who=(Who.BEARER, _OWNER),
        proof="the bearer shows the secret, or the receiver's key signs; and the box's own proof",
        homes=(Home.NONE,), boxes=(Box.FREE,), guards=(guard.RELEASE_FITS, guard.SURE_ENOUGH),
        does=(do.MakeHome, do.PutKey, do.BindOwner, do.BindDevice, do.SpendRelease), effects=move.enrol,
        notices=(Notice("home.enrolled"),),
    ),
    Rule(
        number=10, event="claim", says="somebody who has a box claims it from a silent seller", who=(Who.CLAIMANT,),
        proof="the claimant's owner key and the box's own key sign, over the registry's nonce",
        boxes=(Box.OWNED,), guards=(guard.NOT_BARRED, guard.FEW_CLAIMS),
        does=(do.OpenClaim,), effects=move.claim, notices=(Notice("claim.filed"),),
        wait="30 days, or as the policy says, and a week at least",
    ),
    Rule(
        number=11, event="object", says="the owner objects", who=(_OWNER, _ADMIN),
        proof="the owner's key or an administrator's signs",
        homes=(*_LIVE, *_HELD), boxes=(Box.CLAIMED,),
        does=(do.CloseClaim,), effects=lambda facts, _asked, _now: move.close_claim(facts, "objected"),
        notices=(Notice("claim.objected", "claimant"),),
    ),
    Rule(
        number=12, event="use", says="the owner's box is in use", who=(_CLOCK,),
        proof="a key of the box was used after the claim was filed",
        boxes=(Box.CLAIMED,), guards=(guard.WAS_USED,),
        does=(do.CloseClaim,), effects=lambda facts, _asked, _now: move.close_claim(facts, "used"),
        notices=(Notice("claim.used", "claimant"),),
    ),
    Rule(
        number=13, event="grant-claim", says="nobody objected: the claimant may enrol the box", who=(_CLOCK,),
        proof="the waiting time is over",
        homes=_LIVE, boxes=(Box.CLAIMED,), guards=(guard.CLAIM_IS_DUE, guard.NOT_USED, guard.OWNER_WAS_TOLD),
        does=(do.RevokeKeys, do.LetGoDevice, do.CloseClaim, do.OpenRelease), effects=move.grant,
        notices=(Notice("claim.granted"), Notice("claim.granted", "claimant")),
        wait="30 days for the claimant to enrol the box",
    ),
    Rule(
        number=14, event="stolen", says="a box is reported stolen", who=(_OWNER, _ADMIN),
        proof="the owner's key or an administrator's signs",
        homes=(*_LIVE, *_HELD), boxes=(*_THEIRS, Box.FREE), guards=(guard.WAS_THIS_HOMES,),
        does=(do.RevokeKeys, do.CloseClaim, do.SpendRelease, do.SetBox), effects=move.stolen,
        notices=(Notice("box.stolen"),),
    ),
    Rule(
        number=15, event="found", says="a stolen box is back", who=(_OWNER,), proof="the owner's key signs",
        homes=_OPEN, boxes=(Box.STOLEN,), guards=(guard.WAS_THIS_HOMES,),
        does=(do.SetBox,), effects=move.found, notices=(Notice("box.found"),),
    ),
    Rule(
        number=16, event="suspend", says="the registry takes no updates for a home, which stays in the DNS",
        who=(_OPERATOR,), proof="an operator writes a reason",
        homes=(*_LIVE, Home.QUARANTINED), guards=(guard.REASON_IS_WRITTEN,),
        does=(do.Hold,), effects=lambda _facts, asked, _now: (do.Hold(Home.SUSPENDED, asked.reason),),
        notices=(Notice("home.held"),),
    ),
    Rule(
        number=16, event="quarantine", says="the registry takes a home out of the DNS",
        who=(_OPERATOR,), proof="an operator writes a reason",
        homes=_OPEN, guards=(guard.REASON_IS_WRITTEN,),
        does=(do.Hold,), effects=lambda _facts, asked, _now: (do.Hold(Home.QUARANTINED, asked.reason),),
        notices=(Notice("home.held"),),
    ),
    Rule(
        number=16, event="release-hold", says="the home is as it was", who=(_OPERATOR,),
        proof="an operator writes a reason",
        homes=_HELD, guards=(guard.REASON_IS_WRITTEN,), does=(do.Unhold,),
        effects=lambda _facts, _asked, _now: (do.Unhold(),), notices=(Notice("home.released"),),
    ),
    Rule(
        number=17, event="add-owner-key", says="an owner adds a key: his own, an administrator's, or one for recovery",
        who=(_OWNER,), proof="the owner's key and the new one sign",
        guards=(guard.NOT_IN_RECOVERY, guard.NOT_DISPUTED, guard.FEW_OWNER_KEYS, guard.OWNER_KEY_IS_NEW),
        does=(do.AddOwnerKey,), effects=lambda _facts, asked, _now: (do.AddOwnerKey(asked.key, asked.role),),
        notices=(Notice("owner.key-added"),),
    ),
    Rule(
        number=18, event="remove-owner-key", says="a key of an owner goes", who=(_OWNER, _ADMIN, Who.RECOVERY),
        proof="the owner's key signs, or the key itself",
        guards=(
            guard.OWNER_KEY_IS_THERE, guard.NOT_IN_RECOVERY, guard.NOT_DISPUTED, guard.ONE_OWNER_KEY_STAYS,
        ),
        does=(do.RevokeOwnerKeys,), effects=lambda _facts, asked, _now: (do.RevokeOwnerKeys((asked.key,)),),
        notices=(Notice("owner.key-removed"),),
    ),
    Rule(
        number=19, event="recover", says="a new key is to take the place of an owner's lost ones",
        who=(Who.RECOVERY, _ADMIN, _OPERATOR),
        proof="the recovery key or an administrator's signs, then the new one; or an operator writes a reason",
        guards=(
            guard.REASON_IS_WRITTEN, guard.NOT_IN_RECOVERY, guard.NOT_DISPUTED, guard.OWNER_KEY_IS_NEW,
        ),
        does=(do.OpenRecovery,), effects=move.recover, notices=(Notice("owner.recovery"),),
        wait="3 days, 14 by the registry, or as the policy says; nothing changes until then",
    ),
    Rule(
        number=19, event="confirm-recovery", says="a second operator confirms what was objected to", who=(_OPERATOR,),
        proof="another operator writes a reason", guards=(guard.REASON_IS_WRITTEN, guard.SECOND_OPERATOR),
        does=(do.ConfirmRecovery,), effects=move.confirm, notices=(Notice("owner.recovery"),),
    ),
    Rule(
        number=19, event="drop-recovery", says="the registry finds that the owner's keys stay as they are",
        who=(_OPERATOR,), proof="an operator writes a reason",
        guards=(guard.REASON_IS_WRITTEN, guard.RECOVERY_IS_THERE), does=(do.CloseRecovery, do.SettleRecoveries),
        effects=move.close_recovery("void"), notices=(Notice("owner.recovery-dropped"),),
    ),
    Rule(
        number=20, event="object-recovery", says="somebody else of the owner's objects: the owner is disputed",
        who=(_OWNER, _ADMIN), proof="the owner's key or an administrator's signs, not the one that began it",
        guards=(guard.RECOVERY_IS_OPEN, guard.NOT_HIS_OWN), does=(do.CloseRecovery,),
        effects=move.close_recovery("objected"),
        notices=(Notice("owner.recovery-objected"), Notice("owner.recovery-objected", "operator")),
    ),
    Rule(
        number=21, event="finish-recovery", says="nobody objected: the new key is the owner's", who=(_CLOCK,),
        proof="the waiting time is over", guards=(guard.RECOVERY_IS_DUE, guard.RECOVERY_STANDS),
        does=(do.AddOwnerKey, do.RevokeOwnerKeys, do.CloseRecovery, do.SettleRecoveries), effects=move.finish,
        notices=(Notice("owner.recovered"),),
    ),
    Rule(
        number=22, event="leave", says="an owner closes his home", who=(_OWNER,), proof="the owner's key signs",
        homes=_LIVE, guards=(guard.NO_OPEN_CLAIM, guard.NOT_IN_RECOVERY, guard.NOT_DISPUTED),
        does=(do.CloseHome, do.RevokeKeys, do.DropPending, do.LetGoDevice, do.RestLabel), effects=move.leave,
        notices=(Notice("home.left"),), wait="30 days to return; the label rests for 90, or as the policy says",
    ),
    Rule(
        number=22, event="return", says="a home that left comes back", who=(_OWNER,), proof="the owner's key signs",
        homes=(Home.CLOSED,), guards=(guard.STILL_KEPT,), does=(do.ReopenHome, do.WakeLabel),
        effects=lambda _facts, _asked, _now: (do.ReopenHome(), do.WakeLabel()), notices=(Notice("home.returned"),),
    ),
    Rule(
        number=23, event="sweep", says="what a home left behind goes", who=(_CLOCK,), proof="30 days are over",
        homes=(Home.CLOSED,), guards=(guard.KEPT_LONG_ENOUGH,), does=(do.RemoveHome,),
        effects=lambda _facts, _asked, _now: (do.RemoveHome(),),
    ),
    Rule(
        number=25, event="bond-withdrawn", says="a vendor vouches for no new boxes any more", who=(_OPERATOR,),
        proof="an operator writes a reason", guards=(guard.REASON_IS_WRITTEN,), does=(), effects=move.nothing,
        notices=(Notice("bond.withdrawn", "operator"),),
    ),
    Rule(
        number=26, event="device-key", says="a device of the home gets a key for its own name",
        who=(_GATEWAY, _OWNER), proof="the gateway's key or the owner's signs, and the device's beside it",
        homes=(Home.ACTIVE,), guards=(guard.NAME_IS_BELOW,), does=(do.AddDeviceKey,),
        effects=lambda _facts, asked, _now: (do.AddDeviceKey(asked.key, asked.name),),
        notices=(Notice("device.key-added"),),
    ),
    Rule(
        number=27, event="mint-key", says="a key that answers ACME challenges and does nothing else",
        who=(_GATEWAY, _OWNER), proof="the gateway's key or the owner's signs",
        homes=(Home.ACTIVE,), guards=(guard.NAME_IS_WITHIN, guard.FEW_MINTED), does=(do.MintKey,),
        effects=lambda _facts, asked, _now: (do.MintKey(asked.name),), notices=(Notice("key.minted"),),
        wait="until the end that it is made with, 400 days at most",
    ),
)  # fmt: skip
BY_EVENT = {rule.event: rule for rule in RULES}
