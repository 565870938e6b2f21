"""One step in the life of a zone's keys: what to do now, why, and when to look again. Pure.

Law: `step` decides, `advanced` says what the rows will be, and nothing is remembered between two steps but those rows.
A step does one thing: it chooses keys, or writes down what has settled, or begins one kind of move; so it is called
again, in the same transaction, until it has made something visible or only waits. A zone whose step is carried out
twice, late, or by another signer ends the same.

Where this differs from what one might expect: the law of swaps is kept by judging steps, not states (`safety`, S5);
a motion's sighting is written down by a step of its own (`Noticed`); a record that moves without a motion gets one;
what a parent elsewhere shows counts against what was believed; a DS that it was asked for and never showed is gone only
when the policy's patience has passed, for it may be on its way; and before a zone loses its signatures no server of the
parent may show any DS at all, ours or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ddns.dns.records import serial_next
from zone_signer import beginning, choosing, seen, settling
from zone_signer.goal import Goal, Order
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView, Motion
from zone_signer.phase import MOVING, STRAY, Phase, Record, Role
from zone_signer.stage import Facts, Move, NewKey, Noticed, Refused, Step, Wait, anchored, unsigned

CROWDED = 86_400  # seconds until a zone looks again whether others have made room for its roll

__all__ = [
    "Facts", "Move", "NewKey", "Noticed", "Refused", "Step", "Wait", "advanced", "first_phases", "newborn", "step",
]  # fmt: skip


def step(
    facts: Facts, keys: Sequence[KeyView], goal: Goal, orders: Sequence[Order], policy: KeyPolicy, now: int
) -> Step:
    """Return what to do at *now*, in seconds since 1970; *orders* are those that nobody has carried out yet.

    While a step does anything, *wake* is now; one that only waits says what for.
    """
    acting = (
        choosing.choose(facts, keys, goal, orders, policy, now)
        or settling.settle(facts, keys, orders, policy, now)
        or _forget(keys, policy, now)
    )
    if acting is not None:
        return replace(acting, wake=now)
    begun = beginning.begin(facts, keys, goal, policy)
    if begun.moves:
        return Step(moves=begun.moves, denial=begun.denial, wake=now)
    waits, wake = settling.waits(facts, keys, orders, policy, now)
    waits += tuple(_held(facts, keys, goal, begun.forbidden, moving=bool(waits)))
    waits += tuple(_lost(facts, keys))
    due = [at for at in (wake, choosing.next_end(keys, goal, policy), _next_purge(keys, policy)) if at is not None]
    if any(one.until is None for one in waits):
        due.append(now + settling.LOOK_MOST)
    if facts.crowded and choosing.choose(replace(facts, crowded=False), keys, goal, orders, policy, now) is not None:
        due.append(now + CROWDED)
    # A lifetime that is over already waits for a roll under way, which has a wake of its own.
    return Step(waits=waits, wake=min((at for at in due if at > now), default=None))


def _forget(keys: Sequence[KeyView], policy: KeyPolicy, now: int) -> Step | None:
    """Destroy the private halves of keys that no cache holds anything of, and forget those long removed."""
    destroy = tuple(key.id for key in keys if key.is_living and not key.stays and key.is_gone())
    purge = tuple(key.id for key in keys if key.removed is not None and key.removed + policy.purge_after <= now)
    return Step(destroy=destroy, purge=purge) if destroy or purge else None


def _next_purge(keys: Sequence[KeyView], policy: KeyPolicy) -> int | None:
    return min((key.removed + policy.purge_after for key in keys if key.removed is not None), default=None)


def _held(facts: Facts, keys: Sequence[KeyView], goal: Goal, forbidden: Sequence[str], *, moving: bool) -> list[Wait]:
    """Return a wait for what is forbidden although nothing moves: somebody must act, or it stays so for ever."""
    if moving:
        return []
    key = next((one for one in keys if one.is_living), None)
    if key is None:
        return []
    ahead = [*seen.ahead(facts.secondaries, facts.serial)]
    if facts.parent:
        ahead += seen.ahead(facts.parents, facts.parent_serial)
    if ahead:
        what = f"{', '.join(ahead)} shows a serial newer than ours, {facts.serial}: the database is older than they are"
        who = f"you: raise the serial above theirs, then say: zone-signer resign {facts.name} --yes"
        return [Wait(key.id, key.tag, Record.DNSKEY, None, what, who, stuck=True)]
    if not goal.secure and not anchored(keys) and not unsigned(keys):
        shown = sorted({rdata.hex().upper() for one in facts.parents for rdata in one.ds or ()})
        what, who = "; ".join(forbidden), f"you: have the parent take away every DS of {facts.name}: {', '.join(shown)}"
        return [Wait(key.id, key.tag, Record.DS, None, what, who, stuck=True)]
    if forbidden:
        who = f"you: mend what the parent of {facts.name} shows; zone-signer keys {facts.name} shows what it ought to"
        return [Wait(key.id, key.tag, Record.DS, None, "; ".join(forbidden), who, stuck=True)]
    return []


def _lost(facts: Facts, keys: Sequence[KeyView]) -> Iterator[Wait]:
    """Yield a wait for each key that no vault opens: the zone is signed no more, and not even CDS can be."""
    for key in keys:
        if key.id not in facts.lost:
            continue
        what = f"no vault opens key {key.tag}: what it signed is valid until its signatures end, and no longer"
        who = (
            f"you: put its master key or token back; where it is lost for good, zone-signer insecure {facts.name} --yes"
        )
        if key.ds in STRAY:
            who += f", and have the parent take away: {settling.ds_text(facts, key)}"
        yield Wait(key.id, key.tag, Record.DNSKEY, None, what, who, stuck=True)


def advanced(
    keys: Sequence[KeyView],
    step: Step,
    facts: Facts,
    now: int,
    made: Sequence[KeyView] = (),
    serial: int | None = None,
    parent_serial: int | None = None,
) -> tuple[KeyView, ...]:
    """Return what *keys* are after *step* at *now*; *made* are those made for `Step.make` (`newborn`).

    *serial* and *parent_serial* are those under which the step is published. Where they are not known yet, the next
    ones are taken for a visible step: call again with the true ones before the motions are written.
    """
    if serial is None:
        serial = serial_next(facts.serial) if step.visible() else facts.serial
    if parent_serial is None:
        parent_serial = serial_next(facts.parent_serial) if step.visible() else facts.parent_serial
    serials = {Record.DNSKEY: serial, Record.ZRRSIG: serial, Record.DS: parent_serial if facts.parent else None}
    out = {key.id: key for key in (*keys, *made) if key.id not in step.purge}
    for one in step.leave:
        out[one] = replace(out[one], stays=False)
    for one in step.stay:
        out[one] = replace(out[one], stays=True)
    for one in step.compromised:
        out[one] = replace(out[one], compromised=True)
    for one in step.destroy:
        out[one] = replace(out[one], removed=now)
    for sight in step.noticed:
        key = out[sight.key]
        motion = replace(key.motions[sight.record], seen_at=sight.at)
        out[sight.key] = key.with_phase(sight.record, key.phase(sight.record), motion)
    for move in step.moves:
        motion_of = None
        if move.after in MOVING:
            motion_of = Motion(now, facts.place(move.record), serials[move.record], move.ttl)
        out[move.key] = out[move.key].with_phase(move.record, move.after, motion_of)
    return tuple(out.values())


def first_phases(role: Role, facts: Facts) -> tuple[Phase, Phase, Phase]:
    """Return where the key itself, its signatures and its DS are when it is made.

    No cache can hold a zone without the keys that it is published with for the first time; its DS is in the same
    commit where its registry is signed here, and with a parent elsewhere nobody knows.
    """
    if not facts.fresh:
        hidden = Phase.HIDDEN
        return hidden, Phase.NONE if role is Role.KSK else hidden, Phase.NONE if role is Role.ZSK else hidden
    there = Phase.RUMOURED if not facts.parent else Phase.OMNIPRESENT if facts.parent_signed else Phase.HIDDEN
    zrrsig = Phase.NONE if role is Role.KSK else Phase.OMNIPRESENT
    return Phase.OMNIPRESENT, zrrsig, Phase.NONE if role is Role.ZSK else there


def newborn(new: NewKey, key_id: str, tag: int, rdata: bytes, facts: Facts, now: int) -> KeyView:
    """Return the key that was made for *new* at *now*; *rdata* is its DNSKEY."""
    dnskey, zrrsig, ds = first_phases(new.role, facts)
    return KeyView(
        key_id, tag, new.algorithm, new.role, now, stays=True, compromised=False, vault=new.vault,
        dnskey=dnskey, zrrsig=zrrsig, ds=ds, rdata=rdata,
    )  # fmt: skip
