"""Which keys a zone is to have: what orders, the goal and lifetimes make of them. Pure.

Law: a key that is made is meant to stay and its predecessor is not, from the same step on; what that does to the world
is decided elsewhere. One key of a role is replaced at a time, unless it is an emergency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from zone_signer.goal import Goal, Order
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView
from zone_signer.phase import SHOWN, Phase, Role
from zone_signer.stage import Facts, NewKey, Refused, Step, shown_time, unsigned

DEFAULT_DENIAL = "nsec3"
WITNESS = frozenset({"ds-seen", "ds-gone", "without"})  # consumed by what they settle
_SHARES = {  # roles that have a record in common
    Role.CSK: frozenset(Role),
    Role.KSK: frozenset({Role.KSK, Role.CSK}),
    Role.ZSK: frozenset({Role.ZSK, Role.CSK}),
}


class _Refusal(msgspec.Struct, frozen=True):
    sentence: str


def choose(
    facts: Facts, keys: Sequence[KeyView], goal: Goal, orders: Sequence[Order], policy: KeyPolicy, now: int
) -> Step | None:
    """Return the next step that changes which keys stay; None where those that stay are right."""
    living = [key for key in keys if key.is_living]
    for order in sorted(orders, key=lambda one: one.id):
        if order.kind in WITNESS:
            continue
        made = _obey(order, living, goal, policy, now)
        if isinstance(made, _Refusal):
            return Step(done_orders=(order.id,), refused=(Refused(order.id, made.sentence),))
        return replace(made, done_orders=(order.id,))
    return _reach(facts, living, goal, policy, now) or _renew(facts, living, goal, policy, now)


def current(keys: Iterable[KeyView], goal: Goal, role: Role) -> KeyView | None:
    """Return the key that stays, fits *goal* and has *role*: the youngest where there are several."""
    fitting = [key for key in keys if key.stays and goal.fits(key) and key.role is role]
    return max(fitting, key=lambda key: (key.born, key.id), default=None)


def is_rolling(keys: Sequence[KeyView], goal: Goal, role: Role) -> bool:
    """Tell whether a key of *role* is being replaced, or one that it shares records with."""
    if any(not key.stays and not key.is_gone() and key.role in _SHARES[role] for key in keys):
        return True
    now = current(keys, goal, role)
    return now is None or now.dnskey is not Phase.OMNIPRESENT or now.zrrsig not in {Phase.NONE, Phase.OMNIPRESENT}


def _obey(order: Order, keys: list[KeyView], goal: Goal, policy: KeyPolicy, now: int) -> Step | _Refusal:
    match order.kind:
        case "secure":
            denial = (order.denial or DEFAULT_DENIAL) if unsigned(keys) and not goal.secure else None
            return Step(wish="secure", denial=denial)
        case "insecure":
            return Step(wish="insecure")
        case "resign":
            return Step(resign=True)
        case "cancel":
            return _cancel(keys, goal, policy, now)
        case "roll":
            return _roll(order, keys, goal)
        case "emergency":
            return _emergency(order, keys, goal)
    return _Refusal(f"nobody here knows what an order to {order.kind} is")


def _roll(order: Order, keys: list[KeyView], goal: Goal) -> Step | _Refusal:
    if not goal.secure:
        return _Refusal("the zone is meant to be insecure; it has no keys to roll")
    roles = _roles(order, keys, goal)
    if isinstance(roles, _Refusal):
        return roles
    making: list[NewKey] = []
    leaving: list[str] = []
    for role in roles:
        old = current(keys, goal, role)
        if old is None or is_rolling(keys, goal, role):
            return _Refusal(f"a {role} is rolling already; zone-signer plan shows where it stands")
        making.append(NewKey(role, goal.algorithm, goal.vault, old.id, f"somebody asked to roll key {old.tag}"))
        leaving.append(old.id)
    return Step(make=tuple(making), leave=tuple(leaving))


def _roles(order: Order, keys: list[KeyView], goal: Goal) -> tuple[Role, ...] | _Refusal:
    if order.tag is not None:
        named = [key for key in keys if key.tag == order.tag and key.stays]
        if not named:
            return _Refusal(f"no key in use has the tag {order.tag}; zone-signer keys shows them")
        return tuple(sorted({key.role for key in named}))
    if order.role is None:
        return goal.roles
    if order.role not in goal.roles:
        return _Refusal(f"the zone has no {order.role}; its keys are {' and '.join(goal.roles)}")
    return (order.role,)


def _emergency(order: Order, keys: list[KeyView], goal: Goal) -> Step | _Refusal:
    """Take every key that is named for known to others; what stays is made anew whether or not a roll is under way."""
    if not goal.secure:
        return _Refusal("the zone is meant to be insecure; it has no keys to roll")
    known = [
        key
        for key in keys
        if (order.tag is None or key.tag == order.tag) and (order.role is None or key.role is order.role)
    ]
    if not known:
        return _Refusal("no key in use has that tag and role; zone-signer keys shows them")
    lost = {key.id for key in known}
    making = []
    for role in goal.roles:
        old = current(keys, goal, role)
        if old is not None and old.id in lost:
            why = f"key {old.tag} is known to others"
            making.append(NewKey(role, goal.algorithm, goal.vault, old.id, why))
    return Step(
        make=tuple(making),
        leave=tuple(key.id for key in known if key.stays),
        compromised=tuple(key.id for key in known if not key.compromised),
    )


def _cancel(keys: list[KeyView], goal: Goal, policy: KeyPolicy, now: int) -> Step | _Refusal:
    """Have the old keys stay and the new ones leave, while the world still has all of the old ones."""
    old = [key for key in keys if not key.stays and not key.is_gone() and not key.compromised]
    if not old:
        return _Refusal("nothing rolls that could be called back")
    if not any(goal.fits(key) for key in old):
        return _Refusal("the policy asks for other keys than the old ones; change the policy back, and they stay")
    back: list[KeyView] = []
    for role in goal.roles:
        kept = [key for key in old if key.role is role and goal.fits(key) and _is_untouched(key)]
        youngest = max(kept, key=lambda key: (key.born, key.id), default=None)
        if youngest is not None:
            back.append(youngest)
    if not back:
        return _Refusal("that is too late: what the old key showed is being taken away; zone-signer plan shows the end")
    for key in back:
        end = policy.ends(key)
        if end is not None and end - policy.lead(key.role) <= now:
            sentence = f"key {key.tag} reaches its lifetime on {shown_time(end)}; give the policy a longer one first"
            return _Refusal(sentence)
    roles = {key.role for key in back}
    leaving = tuple(key.id for key in keys if key.stays and key.role in roles)
    return Step(leave=leaving, stay=tuple(key.id for key in back))


def _is_untouched(key: KeyView) -> bool:
    """Tell whether all that the key shows is still shown."""
    return (
        key.dnskey is Phase.OMNIPRESENT
        and key.zrrsig in {Phase.NONE, Phase.OMNIPRESENT}
        and key.ds is not Phase.UNRETENTIVE
    )


def _reach(facts: Facts, keys: list[KeyView], goal: Goal, policy: KeyPolicy, now: int) -> Step | None:
    """Make what the goal lacks, and have leave what it does not want."""
    wanted: list[str] = []
    making: list[NewKey] = []
    back: list[str] = []
    for role in goal.roles if goal.secure else ():
        kept = current(keys, goal, role) or _revivable(keys, goal, role, policy, now)
        if kept is not None:
            wanted.append(kept.id)
            if not kept.stays:
                back.append(kept.id)
            continue
        if facts.crowded and not unsigned(keys):
            return None
        replaced = next((key for key in keys if key.stays and key.role in _SHARES[role]), None)
        why = f"the zone is to have a {role} of algorithm {goal.algorithm}"
        making.append(NewKey(role, goal.algorithm, goal.vault, None if replaced is None else replaced.id, why))
    leaving = tuple(key.id for key in keys if key.stays and key.id not in wanted)
    if making or leaving or back:
        return Step(make=tuple(making), leave=leaving, stay=tuple(back))
    return None


def _revivable(keys: list[KeyView], goal: Goal, role: Role, policy: KeyPolicy, now: int) -> KeyView | None:
    """Return a key on its way out that is published still and could just as well stay."""
    for key in keys:
        end = policy.ends(key)
        if (
            key.role is role
            and goal.fits(key)
            and key.dnskey in SHOWN
            and (key.zrrsig is Phase.NONE or key.zrrsig in SHOWN)
            and (end is None or end - policy.lead(role) > now)
        ):
            return key
    return None


def _renew(facts: Facts, keys: list[KeyView], goal: Goal, policy: KeyPolicy, now: int) -> Step | None:
    """Make the successor of a key that reaches its lifetime."""
    if facts.crowded:
        return None
    for role in goal.roles if goal.secure else ():
        old = current(keys, goal, role)
        end = None if old is None else policy.ends(old)
        if old is None or end is None or end - policy.lead(role) > now or is_rolling(keys, goal, role):
            continue
        why = f"key {old.tag} reaches its lifetime on {shown_time(end)}"
        return Step(make=(NewKey(role, goal.algorithm, goal.vault, old.id, why),), leave=(old.id,))
    return None


def next_end(keys: Sequence[KeyView], goal: Goal, policy: KeyPolicy) -> int | None:
    """Return when the next successor is to be made because of a lifetime, or None."""
    due = []
    for role in goal.roles if goal.secure else ():
        old = current([key for key in keys if key.is_living], goal, role)
        end = None if old is None else policy.ends(old)
        if end is not None:
            due.append(end - policy.lead(role))
    return min(due, default=None)
