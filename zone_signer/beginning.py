"""Which record begins to move next: every move that a roll could make, in their order, and the law that judges each.

Law: additions settle before removals begin. A csk or ksk is published and signs the DNSKEY RRset before it has a DS,
and both DS stand before the old one goes: the double-DS of RFC 6781 §4.1.2 with a key that is published first, so that
each DS always has its DNSKEY. A zsk is published before it signs (RFC 7583 §3.2.1). A new algorithm signs before it is
published and is published before it has a DS; an old one goes the other way round (RFC 6781 §4.1.4). One kind of move
in one step, so that each edition has one reason. Pure.

What a rule here allows, `safety.fault` may still forbid; a rule alone never makes a move safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from zone_signer import safety, seen
from zone_signer.goal import Goal
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView
from zone_signer.phase import GONE, SHOWN, STRAY, Phase, Record, Role
from zone_signer.settling import ttl_of
from zone_signer.stage import Facts, Move, anchored, unsigned

HIDDEN, RUMOURED, OMNIPRESENT, UNRETENTIVE = Phase.HIDDEN, Phase.RUMOURED, Phase.OMNIPRESENT, Phase.UNRETENTIVE


class Begun(msgspec.Struct, frozen=True):
    """The moves that begin, the zone's denial from then on, and the sentences of the law that forbid others."""

    moves: tuple[Move, ...] = ()
    denial: str | None = None
    forbidden: tuple[str, ...] = ()


class _Situation(msgspec.Struct, frozen=True):
    facts: Facts
    keys: tuple[KeyView, ...]
    goal: Goal
    policy: KeyPolicy

    @property
    def insecure(self) -> bool:
        """Tell whether the zone is meant to lose its last DS."""
        return not self.goal.secure or not self.facts.wants_ds

    def of(self, algorithm: int) -> list[KeyView]:
        return [key for key in self.keys if key.algorithm == algorithm]

    def begin(self, key: KeyView, record: Record, after: Phase, why: str) -> Move:
        ttl = ttl_of(self.facts, record, self.policy)
        if record is Record.DS and after is UNRETENTIVE and not self.facts.parent and not _was_shown(key):
            # The parent was asked for it and may be about to publish it: that nobody shows it proves nothing yet.
            ttl += self.policy.patience
        return Move(key.id, record, key.phase(record), after, ttl, why)


def _was_shown(key: KeyView) -> bool:
    """Tell whether every server of the parent has shown the DS of *key* at some time."""
    motion = key.motions.get(Record.DS)
    return key.ds is OMNIPRESENT or (motion is not None and motion.seen_at is not None)


_Group = tuple[Move, ...]


def begin(facts: Facts, keys: Sequence[KeyView], goal: Goal, policy: KeyPolicy) -> Begun:
    """Return what begins to move now; nothing where all is as it ought to be, or must wait."""
    now = _Situation(facts, tuple(key for key in keys if key.removed is None), goal, policy)
    if seen.ahead(facts.secondaries, facts.serial) or (facts.parent and seen.ahead(facts.parents, facts.parent_serial)):
        return Begun()
    if not goal.secure and not anchored(now.keys):
        return _unsign(now)
    forbidden: list[str] = []
    for kind in _KINDS:
        groups = list(kind(now))
        together = tuple(move for group in groups for move in group)
        for group in (together, *groups) if len(groups) > 1 else groups:
            sentence = _forbids(now, group)
            if sentence is None:
                return Begun(group)
            forbidden.append(sentence)
    return Begun(forbidden=tuple(dict.fromkeys(forbidden)))


def after_moves(keys: Sequence[KeyView], moves: Sequence[Move]) -> tuple[KeyView, ...]:
    """Return *keys* with *moves* made, without their motions: what the law judges."""
    out = {key.id: key for key in keys}
    for move in moves:
        out[move.key] = out[move.key].with_phase(move.record, move.after, None)
    return tuple(out.values())


def _forbids(now: _Situation, moves: Sequence[Move]) -> str | None:
    """Return why *moves* must not be made, or None.

    Where the world already broke the law (a parent took a DS away), nothing more is taken away until it is mended.
    """
    fault = safety.fault(after_moves(now.keys, moves), insecure=now.insecure, before=now.keys)
    if fault is None:
        return None
    broken = safety.fault(now.keys, insecure=now.insecure)
    if broken is not None and all(move.after is RUMOURED and move.before is not OMNIPRESENT for move in moves):
        return None if fault == broken else fault.sentence
    return fault.sentence


def _unsign(now: _Situation) -> Begun:
    """Take away all keys and signatures in one edition, when no cache holds a DS and no parent shows one."""
    if any(one.ds for one in now.facts.parents):
        return Begun(forbidden=("a server of the parent shows a DS still",))
    why = "nobody trusts the zone any more: it is published without signatures"
    moves = [
        now.begin(key, record, UNRETENTIVE, why)
        for key in now.keys
        for record in (Record.DNSKEY, Record.ZRRSIG)
        if key.phase(record) in SHOWN
    ]
    return Begun(tuple(moves), "none" if moves else None)


def _first(now: _Situation) -> Iterator[_Group]:
    """Publish and sign in one step where the zone is unsigned and nobody trusts it."""
    if anchored(now.keys) or not unsigned(now.keys):
        return
    for key in now.keys:
        if key.stays:
            why = "the zone is signed"
            moves = [now.begin(key, Record.DNSKEY, RUMOURED, why)] if key.dnskey is HIDDEN else []
            moves += [now.begin(key, Record.ZRRSIG, RUMOURED, why)] if key.zrrsig is HIDDEN else []
            if moves:
                yield tuple(moves)


def _sign_first(now: _Situation) -> Iterator[_Group]:
    """Sign with an algorithm that is new to the zone, before it is published."""
    for key in now.keys:
        if key.stays and key.zrrsig is HIDDEN and not any(one.zrrsig in SHOWN for one in now.of(key.algorithm)):
            why = f"signatures of algorithm {key.algorithm} come before its key"
            yield (now.begin(key, Record.ZRRSIG, RUMOURED, why),)


def _publish(now: _Situation) -> Iterator[_Group]:
    """Publish a key: at once, or once there are signatures of its algorithm in every cache."""
    for key in now.keys:
        if not key.stays or key.dnskey is not HIDDEN:
            continue
        those = now.of(key.algorithm)
        if any(one.dnskey in SHOWN for one in those) or any(one.zrrsig is OMNIPRESENT for one in those):
            why = "a key is published before anybody depends on it"
            yield (now.begin(key, Record.DNSKEY, RUMOURED, why),)


def _give_ds(now: _Situation) -> Iterator[_Group]:
    """Have the parent publish a DS, once the key and signatures of its algorithm are in every cache."""
    if now.insecure:
        return
    for key in now.keys:
        if not key.stays or key.ds not in {HIDDEN, UNRETENTIVE} or key.dnskey is not OMNIPRESENT:
            continue
        if any(one.zrrsig is OMNIPRESENT for one in now.of(key.algorithm)):
            yield (now.begin(key, Record.DS, RUMOURED, "every cache has the key, so that a DS may lead to it"),)


def _swap(now: _Situation) -> Iterator[_Group]:
    """Sign with the new key instead of the old one, once every cache has it (and, for a csk, its DS)."""
    trusted = any(key.ds in {OMNIPRESENT, UNRETENTIVE} for key in now.keys)
    for key in now.keys:
        if not key.stays or key.zrrsig is not HIDDEN or key.dnskey is not OMNIPRESENT:
            continue
        if key.role is Role.CSK and trusted and key.ds is not OMNIPRESENT:
            continue
        old = [one for one in now.of(key.algorithm) if one.zrrsig in SHOWN and not one.stays]
        if not old or any(one.zrrsig is not OMNIPRESENT for one in old):
            continue
        why = f"key {key.tag} signs instead of key {old[0].tag}"
        moves = [now.begin(key, Record.ZRRSIG, RUMOURED, why)]
        yield (*moves, *(now.begin(one, Record.ZRRSIG, UNRETENTIVE, why) for one in old))


def _take_ds(now: _Situation) -> Iterator[_Group]:
    """Have the parent take a DS away, once another one is in every cache (or the zone is to have none)."""
    if now.insecure:
        going = [key for key in now.keys if key.ds in SHOWN]
        why = "the zone is to have no DS"
        if going:
            yield tuple(now.begin(key, Record.DS, UNRETENTIVE, why) for key in going)
        return
    facts = now.facts
    elsewhere = () if facts.parent or now.policy.parent_check == "manual" else facts.parents
    standing = any(key.stays and key.ds is OMNIPRESENT for key in now.keys)
    for key in now.keys:
        if key.stays or key.ds not in SHOWN:
            continue
        if standing:
            yield (now.begin(key, Record.DS, UNRETENTIVE, "another key's DS is in every cache"),)
        elif (
            key.ds is RUMOURED and elsewhere and seen.ds_gone(elsewhere, facts.origin, key, _since(key)).at is not None
        ):
            yield (now.begin(key, Record.DS, UNRETENTIVE, "no server of the parent shows it"),)


def _since(key: KeyView) -> int:
    motion = key.motions.get(Record.DS)
    return 0 if motion is None else motion.since


def _withdraw(now: _Situation) -> Iterator[_Group]:
    """Take a key away that signs nothing that any cache holds and has no DS; an algorithm's keys all at once."""
    staying = {key.algorithm for key in now.keys if key.stays}
    for key in now.keys:
        if key.stays or key.dnskey not in SHOWN or key.ds not in GONE or key.foreign:
            continue
        if key.zrrsig in GONE or key.algorithm not in staying:
            yield (now.begin(key, Record.DNSKEY, UNRETENTIVE, "nothing depends on the key any more"),)


def _unsign_with(now: _Situation) -> Iterator[_Group]:
    """Take an old key's signatures away, once another's are in every cache or no cache holds a key of the algorithm."""
    for key in now.keys:
        if key.stays or key.zrrsig not in SHOWN:
            continue
        those = now.of(key.algorithm)
        if any(one.stays and one.zrrsig is OMNIPRESENT for one in those):
            yield (now.begin(key, Record.ZRRSIG, UNRETENTIVE, "another key's signatures are in every cache"),)
        elif not any(one.dnskey in STRAY for one in those):
            why = f"no cache holds a key of algorithm {key.algorithm}"
            yield (now.begin(key, Record.ZRRSIG, UNRETENTIVE, why),)


_KINDS: tuple[Callable[[_Situation], Iterator[_Group]], ...] = (
    _first, _sign_first, _publish, _give_ds, _swap, _take_ds, _withdraw, _unsign_with,
)  # fmt: skip
