"""What will happen to the keys of a zone and when, if everybody does what they should: the machine run ahead. Pure.

Law: a forecast is made by `rolls.step` itself on a clock that jumps from one wake to the next, so that it cannot
promise what the machine would not do. Servers are taken to show a step *settle* seconds later, a parent elsewhere to do
what it is asked *parent* seconds later; what comes after a parent or a person had to act is not *sure*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from ddns.dns.records import serial_next
from zone_signer import keys as public
from zone_signer.goal import Goal, Order
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyset import KeySet
from zone_signer.keyview import KeyView
from zone_signer.phase import SHOWN, Phase, Record, Role
from zone_signer.rolls import advanced, newborn, step
from zone_signer.seen import Sighting
from zone_signer.stage import Facts, Move, NewKey, Step

MOST = 1000  # lines: a policy of short lifetimes could fill a book
_TURNS = 100_000
NEW = "new-"  # begins the ids of keys that do not exist yet

_ACTIONS = {
    (Record.DNSKEY, Phase.RUMOURED): ("publish", "Tpub"),
    (Record.DNSKEY, Phase.OMNIPRESENT): ("ready", "Trdy"),
    (Record.DNSKEY, Phase.UNRETENTIVE): ("withdraw", "Tdea"),
    (Record.DNSKEY, Phase.HIDDEN): ("remove", "Trem"),
    (Record.ZRRSIG, Phase.RUMOURED): ("sign with", "Tact"),
    (Record.ZRRSIG, Phase.OMNIPRESENT): ("signatures everywhere of", ""),
    (Record.ZRRSIG, Phase.UNRETENTIVE): ("stop to sign with", "Tret"),
    (Record.ZRRSIG, Phase.HIDDEN): ("signatures nowhere of", "Tdea"),
    (Record.DS, Phase.RUMOURED): ("give the DS of", "Tsbm"),
    (Record.DS, Phase.OMNIPRESENT): ("DS everywhere of", "Tact"),
    (Record.DS, Phase.UNRETENTIVE): ("take away the DS of", "Tret"),
    (Record.DS, Phase.HIDDEN): ("DS nowhere of", "Tdea"),
}


class Planned(msgspec.Struct, frozen=True):
    """One thing that will happen at *at*, in seconds since 1970, to *key* (with *tag*; 0 for one that is not made yet).

    *event* is its name in RFC 7583 §3.2 and §3.3, empty where it has none. *sure*: nobody but us has to act before.
    A key that is made is of *role* and *algorithm*, and *key* is then the one that it replaces.
    """

    at: int
    action: str
    key: str
    tag: int
    record: Record | None
    line: str
    why: str
    event: str
    sure: bool
    role: Role | None = None
    algorithm: int = 0


class _Ahead:
    """The zone, its servers and its parent, run ahead."""

    def __init__(
        self, facts: Facts, keys: Sequence[KeyView], goal: Goal, policy: KeyPolicy, now: int, settle: int, parent: int
    ) -> None:
        self.now = now
        self.sure = True
        self._facts, self._goal, self._policy = facts, goal, policy
        self._keys = tuple(keys)
        self._orders: tuple[Order, ...] = ()
        self._settle, self._parent = settle, parent
        self._made = 0
        self._tags = {key.tag for key in keys}
        self._named: dict[str, str] = {}
        self._published = now  # what was there before is taken to be shown in due time too
        self._asked = now

    def turn(self, orders: Sequence[Order]) -> tuple[Step, int | None]:
        """Do the next step; return it and, when it only waits, when to look again."""
        self._look()
        taken = step(self._facts, self._keys, self._goal, (*orders, *self._orders), self._policy, self.now)
        if not taken.does():
            return taken, self._next(taken)
        self._orders = tuple(one for one in self._orders if one.id not in taken.done_orders)
        if taken.wish is not None:
            self._goal = replace(self._goal, secure=taken.wish == "secure")
        self._carry_out(taken)
        return taken, self.now

    def views(self) -> dict[str, KeyView]:
        """Return the keys by id."""
        return {key.id: key for key in self._keys}

    def _carry_out(self, taken: Step) -> None:
        made = [self._newborn(new) for new in taken.make]
        visible = taken.visible()
        self._keys = advanced(self._keys, taken, self._facts, self.now, made)
        if not visible:
            return
        serial = serial_next(self._facts.serial)
        parent_serial = serial_next(self._facts.parent_serial)
        whole = (self.now, serial) if any(one.record is Record.ZRRSIG for one in taken.moves) else self._facts.whole
        self._facts = replace(self._facts, serial=serial, parent_serial=parent_serial, whole=whole, fresh=False)
        if not any(key.ds in SHOWN for key in self._keys):
            self._facts = replace(self._facts, ds_ttl=None)  # of a DS that is not there nobody knows it
        self._published = self.now
        if any(one.record is Record.DS for one in taken.moves):
            self._asked = self.now

    def _newborn(self, new: NewKey) -> KeyView:
        """Return a key such as will be made, with a tag that no other has."""
        flags = 256 if new.role is Role.ZSK else 257
        self._made += 1
        octets = self._made << 16
        while public.tag(public.dnskey(flags, new.algorithm, octets.to_bytes(8, "big"))) in self._tags:
            octets += 1
        rdata = public.dnskey(flags, new.algorithm, octets.to_bytes(8, "big"))
        self._tags.add(public.tag(rdata))
        self._named[str(public.tag(rdata))] = f"{NEW}{self._made}"
        return newborn(new, f"{NEW}{self._made}", public.tag(rdata), rdata, self._facts, self.now)

    def why(self, sentence: str) -> str:
        """Return *sentence* with keys that do not exist yet called as they are here: nobody knows their tags."""
        return re.sub(r"\bkey ([0-9]+)", lambda found: f"key {self._named.get(found[1], found[1])}", sentence)

    def _look(self) -> None:
        """Have the servers show, as of now, what they are taken to show."""
        facts = self._facts
        if self.now >= self._published + self._settle:
            secondaries = tuple(self._serial(one, facts.serial) for one in facts.secondaries)
            parents = facts.parents
            if facts.parent:
                parents = tuple(self._serial(one, facts.parent_serial) for one in facts.parents)
            self._facts = facts = replace(facts, secondaries=secondaries, parents=parents)
        if facts.parent or not self._awaited() or self.now < self._asked + self._parent:
            return
        self.sure = False
        insecure = not self._goal.secure
        wanted = KeySet.of(facts.origin, 0, self._keys, self._policy, parent_here=False, insecure=insecure).ds
        if self._policy.parent_check == "manual":
            self._orders = tuple(self._witnesses())
            return
        one = Sighting("parent", "the parent", self.now, self.now, ds=wanted)
        self._facts = replace(facts, parents=(replace(one, ds_ttl=_ttl(facts.parents)),))

    def _serial(self, one: Sighting, serial: int) -> Sighting:
        shown = self._published + self._settle
        return replace(one, asked=shown, answered=shown, serial=serial, problem="")

    def _awaited(self) -> list[tuple[KeyView, int]]:
        """Return the keys whose DS a parent elsewhere has not shown, or shows still; and since when."""
        found = [(key, key.motions[Record.DS]) for key in self._keys if Record.DS in key.motions]
        return [(key, motion.since) for key, motion in found if motion.seen_at is None]

    def _witnesses(self) -> Iterable[Order]:
        for number, (key, _) in enumerate(self._awaited()):
            kind = "ds-seen" if key.ds is Phase.RUMOURED else "ds-gone"
            yield Order(-1 - number, kind, None, key.tag, self.now)

    def _next(self, taken: Step) -> int | None:
        """Return when something happens next: not when to look again, but when there is something to be seen."""
        times = [one.until for one in taken.waits if one.until is not None]
        if any(one.until is None for one in taken.waits):
            times += [self._published + self._settle, self._asked + self._parent]
        elif taken.wake is not None:
            times.append(taken.wake)
        return min((at for at in times if at > self.now), default=None)


def forecast(
    facts: Facts,
    keys: Sequence[KeyView],
    goal: Goal,
    policy: KeyPolicy,
    now: int,
    until: int,
    settle: int = 60,
    parent: int = 3600,
    orders: Sequence[Order] = (),
) -> tuple[Planned, ...]:
    """Return what happens from *now* to *until*, in seconds since 1970, in order; at most `MOST` things.

    *settle* is how long all servers take to show a step and *parent* how long a parent elsewhere takes to do what it
    is asked, both in seconds. *orders* are those that wait to be carried out.
    """
    ahead = _Ahead(facts, keys, goal, policy, now, settle, parent)
    left = tuple(orders)
    found: list[Planned] = []
    for _ in range(_TURNS):
        before = ahead.views()
        taken, coming = ahead.turn(left)
        left = tuple(one for one in left if one.id not in taken.done_orders)
        views = before | ahead.views()
        found += (_made(new, ahead) for new in taken.make)
        found += (_moved(move, views[move.key], ahead) for move in taken.moves if move.before is not move.after)
        if coming is None or coming > until or len(found) >= MOST:
            break
        ahead.now = coming
    return tuple(found[:MOST])


def _made(new: NewKey, ahead: _Ahead) -> Planned:
    line = f"make a key ({new.role}, {new.algorithm})"
    return Planned(
        ahead.now,
        "make",
        new.replaces or "",
        0,
        None,
        line,
        ahead.why(new.why),
        "Tgen",
        ahead.sure,
        new.role,
        new.algorithm,
    )


def _moved(move: Move, key: KeyView, ahead: _Ahead) -> Planned:
    action, event = _ACTIONS[move.record, move.after]
    tag = 0 if key.id.startswith(NEW) else key.tag
    which = f"key {tag}" if tag else "the new key"
    line = f"{action} {which} ({key.role}, {key.algorithm})"
    return Planned(
        ahead.now, action, key.id, tag, move.record, line, ahead.why(move.why), event, ahead.sure,
        key.role, key.algorithm,
    )  # fmt: skip


def _ttl(parents: Iterable[Sighting]) -> int | None:
    return max((one.ds_ttl for one in parents if one.ds_ttl is not None), default=None)
