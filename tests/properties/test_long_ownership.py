"""The machine of ownership over long lives: whatever is asked, in whatever order, its invariants hold.

The world here is a brute model: dictionaries that effects change one by one, and facts read from them naively. It
shares no code with what reads facts from the database and writes effects there.
"""

from __future__ import annotations

import itertools
import random
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import ownership_effects as do
from ddns.homes.ownership import BY_EVENT, decide
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
    Waits,
    Who,
)

DAY = 86_400
HOMES, BOXES, OWNERS = (1, 2, 3, 4, 5), tuple(UUID(int=n) for n in (11, 12)), tuple(UUID(int=n) for n in (21, 22))
NAMES = {home: names.from_text(f"h{home}.homes.example.") for home in HOMES}
ABOUT_OWNERS = {event for event, one in BY_EVENT.items() if not one.homes and not one.boxes}
WAITS = Waits()


class Lives(RuleBasedStateMachine):
    """Five names, two boxes, two owners, and the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(100)
        self.now = 1_800_000_000
        self.homes = {home: self.nothing() for home in HOMES}
        self.boxes = {
            box: {"state": Box.UNKNOWN, "release": None, "claim": None, "said": None, "used": False} for box in BOXES
        }
        self.keys = {owner: {self.key(): "owner"} for owner in OWNERS}
        self.recoveries: dict[UUID, list[dict]] = {owner: [] for owner in OWNERS}
        self.barred: dict[tuple[UUID, UUID], int] = {}
        self.happened: list[str] = []

    def nothing(self):
        return {
            "state": Home.NONE, "owner": None, "keys": {}, "pending": {}, "device": None, "closed": None, "rests": None,
        }  # fmt: skip

    def key(self) -> bytes:
        return next(self.numbers).to_bytes(32, "big")

    @initialize()
    def begin(self) -> None:
        """Begin with one home that has an owner and a box."""
        self.ask("enrol", Who.OWNER, 1, box=BOXES[0], owner=OWNERS[0])

    # What is there, read naively.

    def state(self, home) -> Home:
        one = self.homes[home]
        if one["state"] in (Home.ACTIVE, Home.KEYLESS):
            return Home.ACTIVE if one["keys"] else Home.KEYLESS
        return one["state"]

    def box_state(self, box) -> Box:
        if box is None:
            return Box.UNKNOWN
        state = self.boxes[box]["state"]
        return Box.CLAIMED if state is Box.OWNED and self.boxes[box]["claim"] else state

    def holder(self, box):
        return next((home for home in HOMES if box is not None and self.homes[home]["device"] == box), None)

    def facts(self, home, owner, shown, claimant) -> Facts:
        one = self.homes[home] if home else self.nothing()
        whose = one["owner"] if home else owner
        concerned = shown or one["device"]
        held = self.boxes.get(concerned, {"release": None, "claim": None, "said": None})
        mine = self.recoveries.get(whose, [])
        over = sorted(
            (r for r in mine if r["state"] in ("open", "objected")),
            key=lambda r: (r["state"] != "open", r["way"] != "registry", -r["number"]),
        )
        claim = held["claim"]
        return Facts(
            zone=home if one["state"] is not Home.NONE else None,
            name=NAMES.get(home, names.ROOT),
            home=self.state(home) if home else Home.NONE,
            owner=whose,
            keys=tuple(KeyFact(key, device) for key, device in one["keys"].items()),
            pending=tuple(key for key, until in one["pending"].items() if until > self.now),
            device=one["device"],
            home_box=self.box_state(one["device"]),
            shown=shown,
            box=self.box_state(concerned),
            box_zone=self.holder(concerned),
            claim=None if claim is None else Claim(**claim),
            home_claim=self.claim_on(one["device"]),
            release=None if held["release"] is None else Release(**held["release"]),
            recovery=None if not over else self.recovery(over[0]),
            disputed=any(r["state"] == "objected" for r in over),
            owner_keys=tuple(OwnerKey(*pair) for pair in self.keys.get(whose, {}).items()),
            used=claim is not None and held["used"],
            open_claims=sum(b["claim"] is not None and b["claim"]["claimant"] == claimant for b in self.boxes.values()),
            barred=self.barred.get((claimant, concerned), 0) > self.now - WAITS.claim_rest,
            was_ours=concerned is not None and (concerned == one["device"] or held["said"] == home),
            closed_at=one["closed"],
            label_rests=one["rests"] is not None and one["rests"] > self.now,
            waits=WAITS,
        )

    def claim_on(self, box) -> Claim | None:
        claim = None if box is None else self.boxes[box]["claim"]
        return None if claim is None else Claim(**claim)

    def recovery(self, found) -> Recovery:
        return Recovery(
            found["id"], found["way"], found["key"], found["due_at"], found["state"], found["by"],
            tuple(found["operators"]),
        )  # fmt: skip

    # What is asked.

    @rule(
        event=st.sampled_from(sorted(BY_EVENT)), who=st.sampled_from(sorted(Who)), home=st.sampled_from(HOMES),
        box=st.sampled_from((None, *BOXES)), owner=st.sampled_from(OWNERS), flag=st.booleans(), pick=st.integers(0, 7),
    )  # fmt: skip
    def somebody_asks(self, event, who, home, box, owner, flag, pick) -> None:
        """Ask for anything, as anybody."""
        self.ask(event, who, home, box, owner, flag, pick)

    @rule(data=st.data(), home=st.sampled_from(HOMES), box=st.sampled_from((None, *BOXES)), flag=st.booleans())
    def somebody_who_may_asks(self, data, home, box, flag) -> None:
        """Ask for what the rules allow somebody, so that long lives come about."""
        one = data.draw(st.sampled_from(sorted(BY_EVENT)))
        who = data.draw(st.sampled_from(BY_EVENT[one].who))
        owner = self.homes[home]["owner"] or data.draw(st.sampled_from(OWNERS))
        self.ask(one, who, home, box, owner, flag, data.draw(st.integers(0, 7)))

    @rule(days=st.sampled_from((1, 3, 7, 14, 30, 90)))
    def time_goes_by(self, days) -> None:
        """Move the clock."""
        self.now += days * DAY

    @rule(box=st.sampled_from(BOXES))
    def a_box_is_in_use(self, box) -> None:
        """Have a key of the box be used."""
        if self.box_state(box) in (Box.OWNED, Box.CLAIMED):
            self.boxes[box]["used"] = True

    def ask(self, event, who, home, box=None, owner=None, flag=False, pick=0) -> None:
        if event == "enrol" and who is Who.GATEWAY:
            owner = None
        shown = box if event in ("enrol", "take", "replace", "claim", "stolen", "found") else None
        if event == "claim" and shown is None:
            return
        about = None if event in ABOUT_OWNERS else home
        if event == "claim":
            about = self.holder(shown)
        facts = self.facts(about, owner, shown, owner)
        role = {Who.OWNER: "owner", Who.ADMIN: "admin", Who.RECOVERY: "recovery"}.get(who)
        mine = [key for key, has in self.keys.get(facts.owner, {}).items() if has == role]
        by = mine[pick % len(mine)] if mine else b""
        if who is Who.GATEWAY and facts.keys:
            by = facts.keys[0].key
        if role is not None and not mine and event not in ("enrol", "take"):
            return  # nobody has such a key
        if who is Who.GATEWAY and not facts.keys and event != "enrol":
            return
        known = [*facts.pending, *(one.key for one in facts.keys), *(one.key for one in facts.owner_keys)]
        key = known[pick % len(known)] if flag and known else self.key()
        asked = Asked(
            event=event, who=who, by=by, key=key, owner=owner, operator="anna" if flag else "bert", reason="because",
            role=("owner", "admin", "recovery")[pick % 3], same_box=flag and shown is None, until=self.now + DAY,
            bearer=b"\5" * 32, secret=b"\5" * 32, name=names.prepend(b"cam", facts.name),
        )  # fmt: skip
        before = {one: self.box_state(one) for one in BOXES}
        found = decide(facts, asked, self.now)
        if isinstance(found, Refusal):
            return
        assert who is not Who.VENDOR, "I4: a vendor has no say"
        lives = about is not None and facts.home is Home.ACTIVE
        for effect in found.effects:
            self.apply(effect, about, facts, asked)
        self.happened.append(event)
        if about is not None:
            assert self.state(about) is found.home, event
        if facts.shown or facts.device:
            assert self.box_state(facts.shown or facts.device) is found.box, event
        for one, state in before.items():
            if state is Box.STOLEN and self.box_state(one) is not Box.STOLEN:
                assert event == "found", "I7: stolen leaves by found alone"
        if lives and event in ("replace", "approve-key", "roll-key"):
            assert found.home is Home.ACTIVE, "I12: no moment without a key"

    # What happens, effect by effect.

    def apply(self, effect, home, facts, asked) -> None:
        one = self.homes.get(home, {})
        match effect:
            case do.MakeHome():
                one.update(self.nothing() | {"state": Home.ACTIVE})
            case do.PutKey(key, _, device):
                assert key not in one["keys"]
                one["keys"][key] = device
            case do.RevokeKeys(keys):
                for key in keys:
                    del one["keys"][key]
            case do.BindOwner(owner):
                assert one["owner"] is None, "a name has one owner, for ever"
                one["owner"] = owner
            case do.BindDevice(device):
                assert self.holder(device) is None, "I1: a box is in one home"
                one["device"], self.boxes[device]["state"] = device, Box.OWNED
            case do.LetGoDevice(device, box):
                assert one["device"] == device
                one["device"], self.boxes[device]["state"] = None, box
                if facts.home_box is not Box.STOLEN:
                    self.boxes[device]["said"] = home if asked.event == "release" else None
            case do.SetBox(device, box):
                self.boxes[device]["state"] = box
                self.boxes[device]["said"] = home if box is Box.STOLEN else None
            case do.OpenClaim(device, claimant, due_at):
                assert due_at >= self.now + WAITS.claim, "I10: no wait is shorter than the policy's"
                self.boxes[device]["used"] = False
                self.boxes[device]["claim"] = {
                    "id": UUID(int=next(self.numbers)), "claimant": claimant, "key": asked.by, "filed_at": self.now,
                    "due_at": due_at, "noticed_at": self.now,
                }  # fmt: skip
            case do.CloseClaim(claim, state):
                (box,) = [one for one in self.boxes if (self.boxes[one]["claim"] or {}).get("id") == claim]
                if state == "objected":
                    self.barred[self.boxes[box]["claim"]["claimant"], box] = self.now
                if state == "granted":
                    assert self.now >= self.boxes[box]["claim"]["due_at"]
                self.boxes[box]["claim"] = None
            case do.OpenRelease(device, until, bearer, receiver):
                assert (bearer is None) != (receiver is None)
                self.boxes[device]["release"] = {
                    "id": UUID(int=next(self.numbers)), "until": until, "bearer": bearer, "receiver": receiver,
                }  # fmt: skip
            case do.SpendRelease(release):
                (box,) = [one for one in self.boxes if (self.boxes[one]["release"] or {}).get("id") == release]
                self.boxes[box]["release"] = None
            case do.Hold(state, _):
                one["state"] = state
            case do.Unhold():
                one["state"] = Home.ACTIVE
            case do.CloseHome():
                one.update(state=Home.CLOSED, closed=self.now)
            case do.ReopenHome():
                one.update(state=Home.ACTIVE, closed=None)
            case do.RemoveHome():
                rests = one["rests"]
                one.update(self.nothing() | {"rests": rests})
            case do.RestLabel(until):
                assert until >= self.now + WAITS.rest
                one["rests"] = until
            case do.WakeLabel():
                one["rests"] = None
            case do.KeepPending(key, until):
                one["pending"][key] = until
            case do.DropPending():
                one["pending"].clear()
            case do.AddOwnerKey(key, role):
                assert all(key not in keys for keys in self.keys.values())
                self.keys[facts.owner][key] = role
            case do.RevokeOwnerKeys(keys):
                for key in keys:
                    del self.keys[facts.owner][key]
            case do.OpenRecovery(way, key, due_at, by, operator):
                wait = WAITS.registry if way == "registry" else WAITS.recovery
                assert due_at >= self.now + wait, "I10: no wait is shorter than the policy's"
                number = next(self.numbers)
                self.recoveries[facts.owner].append(
                    {
                        "id": UUID(int=number),
                        "number": number,
                        "way": way,
                        "key": key,
                        "due_at": due_at,
                        "by": by,
                        "state": "open",
                        "operators": [operator] if operator else [],
                    }
                )
            case do.CloseRecovery(recovery, state):
                self.over(facts.owner, recovery)["state"] = state
            case do.ConfirmRecovery(recovery, operator):
                self.over(facts.owner, recovery)["operators"].append(operator)
            case do.SettleRecoveries():
                for found in self.recoveries[facts.owner]:
                    if found["state"] == "objected":
                        found["state"] = "settled"
            case do.AddDeviceKey() | do.MintKey():
                assert one["state"] is Home.ACTIVE
            case do.SpendCode():
                assert one["owner"] is not None, "a code is used up by who gets the home"
            case _:
                raise AssertionError(effect)

    def over(self, owner, recovery):
        return next(one for one in self.recoveries[owner] if one["id"] == recovery)

    # What holds at every moment.

    @invariant()
    def a_box_is_in_one_home_and_owned_just_then(self) -> None:
        """I1."""
        for box in BOXES:
            holders = [home for home in HOMES if self.homes[home]["device"] == box]
            assert len(holders) <= 1
            if self.boxes[box]["state"] is not Box.STOLEN:
                assert (self.boxes[box]["state"] is Box.OWNED) == bool(holders)
            if self.boxes[box]["claim"] is not None:
                assert holders, "an open claim is on a box that somebody has"

    @invariant()
    def a_stolen_box_holds_no_key(self) -> None:
        """What was reported stolen writes nothing."""
        for home in HOMES:
            box = self.homes[home]["device"]
            if box is not None and self.boxes[box]["state"] is Box.STOLEN:
                assert box not in self.homes[home]["keys"].values()

    @invariant()
    def an_owner_has_a_key(self) -> None:
        """I5."""
        for owner in OWNERS:
            assert "owner" in self.keys[owner].values()

    @invariant()
    def at_most_one_recovery_is_open(self) -> None:
        """The database has a constraint for it."""
        for owner in OWNERS:
            assert sum(one["state"] == "open" for one in self.recoveries[owner]) <= 1

    @invariant()
    def what_is_closed_has_neither_box_nor_key(self) -> None:
        """A closed home gives no rights."""
        for one in self.homes.values():
            if one["state"] in (Home.CLOSED, Home.NONE):
                assert not one["keys"]
                assert one["device"] is None
                assert not any(until > self.now for until in one["pending"].values())

    @precondition(lambda self: len(self.happened) > 3)
    @invariant()
    def pending_keys_are_few(self) -> None:
        """Strangers fill no tables."""
        for one in self.homes.values():
            assert sum(until > self.now for until in one["pending"].values()) <= 3


EVERY = [value for name, value in vars(Lives).items() if hasattr(value, "hypothesis_stateful_invariant")]
STEPS = 700


def whoever_may(lives, dice) -> None:
    """Ask for something that is possible, found by trying; a rule alone makes short lives."""
    events = dice.choices(sorted(BY_EVENT), k=3)
    count = len(lives.happened)
    for event in sorted(events, key=lives.happened.count):
        for _ in range(40):
            who, home = dice.choice(BY_EVENT[event].who), dice.choice(HOMES)
            owner = lives.homes[home]["owner"] or dice.choice(OWNERS)
            lives.ask(event, who, home, dice.choice((None, *BOXES)), owner, dice.random() < 0.5, dice.randrange(8))
            if len(lives.happened) > count:
                return


def lived(seed: int, steps: int) -> Lives:
    """Return a life of so many *steps*, each followed by every invariant."""
    dice, lives = random.Random(seed), Lives()
    lives.begin()
    for _ in range(steps):
        turn = dice.random()
        if turn < 0.8:
            whoever_may(lives, dice)
        elif turn < 0.81:
            lives.a_box_is_in_use(dice.choice(BOXES))
        else:
            lives.time_goes_by(dice.choice((1, 3, 7, 30, 30)))
        for one in EVERY:
            one(lives)
    return lives


def test_long_lives_in_which_everything_happens():
    """Thousands of steps, each followed by every invariant; and no event of the table is missed."""
    happened: set[str] = set()
    for seed in range(6):
        happened |= set(lived(seed, STEPS).happened)

    assert set(BY_EVENT) - happened == set()


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
