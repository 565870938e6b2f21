"""What each rule of the machine of ownership does: the effects of an event that is allowed, in their order."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from ddns.homes import ownership_effects as do
from ddns.homes import ownership_guards as guard
from ddns.homes.ownership_effects import Effect
from ddns.homes.ownership_facts import Asked, Box, Claim, Facts, Who

_BY_HARDWARE = "attested"

GRANTED = 30 * 86_400  # seconds in which a claimant enrols the box that he was granted


def _revoke(keys: tuple[bytes, ...]) -> tuple[Effect, ...]:
    return (do.RevokeKeys(keys),) if keys else ()


def _all_keys(facts: Facts, but: bytes = b"") -> tuple[bytes, ...]:
    return tuple(one.key for one in facts.keys if one.key != but)


def _keys_in_the_box(facts: Facts) -> tuple[bytes, ...]:
    """Return the keys that the home's box may hold: its own, and those of which nobody knows where they are."""
    return tuple(one.key for one in facts.keys if one.device in (None, facts.device))


def close_claim(facts: Facts, state: str) -> tuple[Effect, ...]:
    """Close the claim that is open on the box that is concerned, if one is."""
    return _close(facts.claim, state)


def _close(claim: Claim | None, state: str) -> tuple[Effect, ...]:
    return (do.CloseClaim(claim.id, state),) if claim is not None else ()


def _spend(facts: Facts) -> tuple[Effect, ...]:
    return (do.SpendRelease(facts.release.id),) if facts.release is not None else ()


def _device(facts: Facts) -> UUID:
    assert facts.device is not None, "a rule about a home's box applies where it has one"
    return facts.device


def enrol(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Make the home, with its key, its owner and its box."""
    bound: tuple[Effect, ...] = ()
    if asked.owner is not None:
        bound += (do.BindOwner(asked.owner),)
    if facts.shown is not None:
        bound += (do.BindDevice(facts.shown),)
    return (do.MakeHome(), do.PutKey(asked.key, asked.assurance, facts.shown), *bound, *_spend(facts))


def bind_owner(_facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Give the home its owner; what an operator had made for that is of no more use."""
    assert asked.owner is not None, "an owner's key signed"
    return (do.BindOwner(asked.owner), do.SpendCode())


def replace(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Put the new key in the place of all others; the old box stays, gives way to the new one, or is let go."""
    stays = asked.same_box or (facts.shown is not None and facts.shown == facts.device)
    device = facts.device if stays else facts.shown
    put: tuple[Effect, ...] = (do.PutKey(asked.key, asked.assurance, device),)
    out = (*put, *_revoke(_all_keys(facts, but=asked.key)), *((do.DropPending(),) if facts.pending else ()))
    if stays:
        return (*out, *_close(facts.home_claim, "used"))
    if facts.device is not None:
        stolen = facts.home_box is Box.STOLEN
        out += (do.LetGoDevice(facts.device, Box.STOLEN if stolen else Box.FREE), *_close(facts.home_claim, "void"))
    if facts.shown is not None:
        out += (do.BindDevice(facts.shown), *_spend(facts))
    return out


def approve(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Put the pending key in the place of all others."""
    device = None if facts.home_box is Box.STOLEN else facts.device  # a key that is approved is in no stolen box
    put = do.PutKey(asked.key, asked.assurance, device)
    return (put, *_revoke(_all_keys(facts, but=asked.key)), do.DropPending())


def roll(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Put the new key in the place of the one that signed, at its tier; but hardware has to be shown anew."""
    old = next(one for one in facts.keys if one.key == asked.by)
    kept = asked.assurance if old.assurance == _BY_HARDWARE else max(old.assurance, asked.assurance, key=guard.rank)
    return (do.PutKey(asked.key, kept, old.device), do.RevokeKeys((old.key,)))


def release(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Let the box go, with its keys, to whom the release names."""
    device = _device(facts)
    opened = do.OpenRelease(device, asked.until, asked.bearer, asked.receiver)
    return (*_revoke(_keys_in_the_box(facts)), do.LetGoDevice(device, Box.FREE), opened)


def claim(facts: Facts, asked: Asked, now: int) -> tuple[Effect, ...]:
    """File the claim."""
    assert facts.shown is not None, "the box has shown itself"
    assert asked.owner is not None, "the claimant's key signed"
    return (do.OpenClaim(facts.shown, asked.owner, now + facts.waits.claim),)


def grant(facts: Facts, _asked: Asked, now: int) -> tuple[Effect, ...]:
    """Let the box go, with its keys, to the claimant."""
    device, claim = _device(facts), facts.claim
    assert claim is not None, "it was due"
    return (
        *_revoke(_keys_in_the_box(facts)),
        do.LetGoDevice(device, Box.FREE),
        do.CloseClaim(claim.id, "granted"),
        do.OpenRelease(device, now + GRANTED, None, claim.key),
    )


def stolen(facts: Facts, _asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Let nobody have the box, nor its keys do anything."""
    device = facts.device if facts.shown is None else facts.shown
    assert device is not None, "the box is this home's, or was"
    revoked = _revoke(_keys_in_the_box(facts)) if device == facts.device else ()
    return (*revoked, *close_claim(facts, "void"), *_spend(facts), do.SetBox(device, Box.STOLEN))


def found(facts: Facts, _asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Give the home's own box back; one that it has replaced meanwhile is free."""
    if facts.device is not None and facts.shown in (None, facts.device):
        return (do.SetBox(facts.device, Box.OWNED),)
    assert facts.shown is not None, "this home reported a box"
    return (do.SetBox(facts.shown, Box.FREE),)


def finish(facts: Facts, _asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Give the owner the new key; which ones it replaces depends on who spoke: the registry's word ends all others."""
    recovery = facts.recovery
    assert recovery is not None, "it was due"
    gone = {"recovery": ("owner", "recovery"), "admin": ("owner",), "registry": ("owner", "admin", "recovery")}
    old = tuple(one.key for one in facts.owner_keys if one.role in gone[recovery.way])
    settled = (do.SettleRecoveries(),) if facts.disputed else ()
    revoked = (do.RevokeOwnerKeys(old),) if old else ()
    return (do.AddOwnerKey(recovery.key, "owner"), *revoked, do.CloseRecovery(recovery.id, "done"), *settled)


def recover(facts: Facts, asked: Asked, now: int) -> tuple[Effect, ...]:
    """Wait for objections, for as long as who asks has to."""
    way = {Who.RECOVERY: "recovery", Who.ADMIN: "admin", Who.OPERATOR: "registry"}[asked.who]
    wait = facts.waits.registry if way == "registry" else facts.waits.recovery
    return (do.OpenRecovery(way, asked.key, now + wait, asked.by, asked.operator),)


def close_recovery(state: str) -> Callable[[Facts, Asked, int], tuple[Effect, ...]]:
    """Return what ends a recovery, or disputes it."""

    def effects(facts: Facts, _asked: Asked, _now: int) -> tuple[Effect, ...]:
        assert facts.recovery is not None, "a recovery is not over"
        settled = (do.SettleRecoveries(),) if state == "void" and facts.disputed else ()
        return (do.CloseRecovery(facts.recovery.id, state), *settled)

    return effects


def confirm(facts: Facts, asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Note the second operator."""
    assert facts.recovery is not None, "a recovery is not over"
    return (do.ConfirmRecovery(facts.recovery.id, asked.operator),)


def leave(facts: Facts, _asked: Asked, now: int) -> tuple[Effect, ...]:
    """Close the home and let its label rest."""
    out: tuple[Effect, ...] = (do.CloseHome(), *_revoke(_all_keys(facts)))
    if facts.pending:
        out += (do.DropPending(),)
    if facts.device is not None:
        out += (do.LetGoDevice(facts.device, Box.STOLEN if facts.home_box is Box.STOLEN else Box.FREE),)
    return (*out, do.RestLabel(now + max(facts.waits.rest, guard.KEPT)))


def nothing(_facts: Facts, _asked: Asked, _now: int) -> tuple[Effect, ...]:
    """Change nothing of what there is."""
    return ()
