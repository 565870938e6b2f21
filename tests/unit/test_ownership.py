"""The machine of ownership: each row, each guard by its own refusal, and nothing that the table does not say."""

from itertools import product
from pathlib import Path
from uuid import UUID

import pytest

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import ownership_effects as do
from ddns.homes import ownership_guards as guard
from ddns.homes import ownership_worlds as world
from ddns.homes.ownership import BY_EVENT, RULES, decide
from ddns.homes.ownership_effects import Decision
from ddns.homes.ownership_facts import Asked, Box, Claim, Facts, Home, KeyFact, OwnerKey, Recovery, Release, Who
from ddns.homes.ownership_page import page
from ddns.homes.ownership_worlds import NOW, OURS, OWNER, THEIRS, worlds

ROOT = Path(__file__).parents[2]
WORLDS = list(worlds())
DAY = 86_400


def code(found):
    return found.code if isinstance(found, Refusal) else "allowed"


def having(struct, **changes):
    return type(struct)(**({name: getattr(struct, name) for name in struct.__struct_fields__} | changes))


def allowed(rule, **wanted):
    """Return the first world in which *rule* allows what is asked, and which is as *wanted*."""
    for one, facts, asked in WORLDS:
        if one is rule and all(getattr(facts, name) == value for name, value in wanted.items()):
            found = decide(facts, asked, NOW)
            if isinstance(found, Decision):
                return facts, asked, found
    raise AssertionError(f"{rule.event} is possible in no world")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.event)
def test_each_row_is_possible_and_does_what_it_says_and_all_of_it(rule):
    done = set()
    for one, facts, asked in WORLDS:
        found = decide(facts, asked, NOW) if one is rule else None
        if isinstance(found, Decision):
            done |= {type(effect) for effect in found.effects}
            assert found.notices == rule.notices

    assert done == set(rule.does)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.event)
def test_nobody_does_what_the_table_does_not_give_him(rule):
    facts, _, _ = allowed(rule)
    for who in Who:
        if who not in rule.who:
            found = decide(facts, world.asking(rule.event, who), NOW)
            assert code(found) == ("vendor-has-no-say" if who is Who.VENDOR else "not-yours")


def test_a_vendor_is_refused_in_every_world():
    """Row 24: whatever is asked, and however things are."""
    for _rule, facts, asked in WORLDS:
        assert code(decide(facts, having(asked, who=Who.VENDOR), NOW)) == "vendor-has-no-say"


def test_who_may_not_is_told_the_same_in_every_world():
    told = set()
    for rule, facts, asked in WORLDS:
        if Who.STRANGER not in rule.who:
            found = decide(facts, having(asked, who=Who.STRANGER), NOW)
            told.add((found.code, found.text))

    assert len(told) == 1


@pytest.mark.parametrize(
    ("rule", "home"),
    [(rule, home) for rule, home in product(RULES, Home) if rule.homes and home not in rule.homes],
    ids=lambda one: getattr(one, "event", one),
)
def test_a_home_in_another_state_is_refused(rule, home):
    assert any(one is rule and facts.home is home for one, facts, _ in WORLDS)
    for one, facts, asked in WORLDS:
        if one is rule and facts.home is home:
            held = home in (Home.SUSPENDED, Home.QUARANTINED)
            assert code(decide(facts, asked, NOW)) == ("home-held" if held else "not-in-this-state")


@pytest.mark.parametrize(
    ("rule", "box"),
    [  # a home's own box is never free
        (rule, box)
        for rule, box in product(RULES, Box)
        if rule.boxes and box not in rule.boxes and (box is not Box.FREE or rule.event in world.WITH_BOX)
    ],
    ids=lambda one: getattr(one, "event", one),
)
def test_a_box_in_another_state_is_refused(rule, box):
    assert any(one is rule and facts.box is box for one, facts, _ in WORLDS)
    codes = {Box.OWNED: "box-owned", Box.CLAIMED: "box-claimed", Box.STOLEN: "box-stolen"}
    for one, facts, asked in WORLDS:
        if one is rule and facts.box is box and (not rule.homes or facts.home in rule.homes):
            assert code(decide(facts, asked, NOW)) == codes.get(box, "not-in-this-state")


# For each guard, what has to be otherwise in a world that allows the rule for this guard to fail.
RECOVERING = Recovery(UUID(int=5), "admin", b"\x20" * 32, NOW + DAY, by=b"\x21" * 32)
BROKEN = {
    guard.NO_OWNER: ({"owner": OWNER}, {}),
    guard.SURE_ENOUGH: ({"least": "attested"}, {"assurance": "voucher"}),
    guard.BOX_IS_FREE_OR_OURS: ({"shown": THEIRS, "box": Box.OWNED, "box_zone": 99}, {}),
    guard.SAME_BOX_IS_NOT_STOLEN: (
        {"device": OURS, "home_box": Box.STOLEN, "box": Box.STOLEN, "shown": None}, {"same_box": True}),
    guard.NOT_PROMISED: (
        {"shown": THEIRS, "box": Box.FREE, "release": Release(UUID(int=6), NOW + 1, bearer=b"x" * 32)}, {}),
    guard.ROOM_FOR_PENDING: ({"pending": (b"a", b"b", b"c")}, {}),
    guard.KEY_IS_NEW: ({"keys": (KeyFact(world.GATEWAY_KEY), KeyFact(world.NEW_KEY))}, {}),
    guard.KEY_IS_PENDING: ({"pending": (b"a",)}, {}),
    guard.KEY_IS_LIVE: ({"keys": (KeyFact(b"a"),)}, {}),
    guard.NO_OPEN_CLAIM: ({"claim": Claim(UUID(int=9), OWNER, b"a", NOW, NOW + DAY)}, {}),
    guard.NOT_IN_RECOVERY: ({"recovery": RECOVERING}, {}),
    guard.NOT_DISPUTED: ({"disputed": True}, {}),
    guard.RELEASE_IS_SHORT: ({}, {"until": NOW + 90 * DAY + 1}),
    guard.RELEASE_FITS: ({}, {"secret": b"\x08" * 32}),
    guard.NOT_BARRED: ({"barred": True}, {}),
    guard.FEW_CLAIMS: ({"open_claims": 3}, {}),
    guard.CLAIM_IS_DUE: ({"claim": Claim(UUID(int=9), OWNER, b"a", NOW - DAY, NOW + 1, NOW - DAY)}, {}),
    guard.NOT_USED: ({"used": True}, {}),
    guard.OWNER_WAS_TOLD: ({"claim": Claim(UUID(int=9), OWNER, b"a", NOW - 30 * DAY, NOW, NOW - 30 * DAY + 1)}, {}),
    guard.WAS_USED: ({"used": False}, {}),
    guard.WAS_THIS_HOMES: ({"was_ours": False, "box_zone": 99}, {}),
    guard.REASON_IS_WRITTEN: ({}, {"who": Who.OPERATOR, "reason": " "}),
    guard.FEW_OWNER_KEYS: ({"owner_keys": tuple(OwnerKey(bytes([n]) * 32, "admin") for n in range(50, 58))}, {}),
    guard.OWNER_KEY_IS_NEW: ({"key_known": True}, {}),
    guard.OWNER_KEY_IS_THERE: ({}, {"key": b"z" * 32}),
    guard.ONE_OWNER_KEY_STAYS: ({"owner_keys": (OwnerKey(world.OWNER_KEY, "owner"), OwnerKey(b"b", "admin"))}, {}),
    guard.NOT_HIS_OWN: ({}, {"by": None}),  # by the key that began it, below
    guard.RECOVERY_IS_THERE: ({"recovery": None}, {}),
    guard.RECOVERY_IS_OPEN: ({"recovery": having(RECOVERING, state="objected")}, {}),
    guard.RECOVERY_IS_DUE: ({"recovery": having(RECOVERING, due_at=NOW + 1)}, {}),
    guard.RECOVERY_STANDS: ({"recovery": having(RECOVERING, due_at=NOW, state="objected")}, {}),
    guard.SECOND_OPERATOR: ({"recovery": having(RECOVERING, way="registry", operators=("bert",))}, {}),
    guard.STILL_KEPT: ({"closed_at": NOW - 30 * DAY}, {}),
    guard.KEPT_LONG_ENOUGH: ({"closed_at": NOW - 30 * DAY + 1}, {}),
    guard.NAME_IS_BELOW: ({}, {"name": world.NAME}),
    guard.NAME_IS_WITHIN: ({}, {"name": names.from_text("other.homes.example.")}),
    guard.FEW_MINTED: ({"minted": 20}, {}),
}  # fmt: skip
WHERE = {guard.SAME_BOX_IS_NOT_STOLEN: {"device": OURS}, guard.WAS_THIS_HOMES: {}}


@pytest.mark.parametrize(
    ("rule", "one"), [(rule, one) for rule in RULES for one in rule.guards], ids=lambda one: getattr(one, "event", "")
)
def test_each_guard_refuses_by_itself_and_without_it_nothing_does(rule, one):
    facts, asked, _ = allowed(rule, **WHERE.get(one, {}))
    in_facts, in_asked = BROKEN[one]
    if one is guard.NOT_HIS_OWN:
        in_asked = {"by": facts.recovery.by}
    if one is guard.REASON_IS_WRITTEN and Who.OPERATOR not in rule.who:
        raise AssertionError(f"{rule.event} asks for a reason of nobody")
    facts, asked = having(facts, **in_facts), having(asked, **in_asked)

    expected = one.refusal(facts, asked, NOW)
    assert decide(facts, asked, NOW) == expected
    assert not one.holds(facts, asked, NOW)
    later = [other for other in rule.guards if other is not one and not other.holds(facts, asked, NOW)]
    assert all(rule.guards.index(other) > rule.guards.index(one) for other in later)


def test_every_guard_is_used():
    every = {value for value in vars(guard).values() if isinstance(value, guard.Guard)}

    assert every == {one for rule in RULES for one in rule.guards} == set(BROKEN)


def claimed(now, filed, due, told):
    facts, asked, _ = allowed(BY_EVENT["grant-claim"])
    return code(decide(having(facts, claim=Claim(UUID(int=9), OWNER, b"a", filed, due, told)), asked, now))


def test_a_claim_is_granted_at_its_second_and_not_one_before():
    assert claimed(NOW, NOW - 30 * DAY, NOW, NOW - 30 * DAY) == "allowed"
    assert claimed(NOW - 1, NOW - 30 * DAY, NOW, NOW - 30 * DAY) == "not-in-this-state"


def test_a_claim_of_which_the_owner_was_told_late_or_never_waits_on():
    assert claimed(NOW, NOW - 30 * DAY, NOW, None) == "not-in-this-state"
    assert claimed(NOW, NOW - 30 * DAY, NOW, NOW - 30 * DAY + 1) == "not-in-this-state"
    assert claimed(NOW + 1, NOW - 30 * DAY, NOW, NOW - 30 * DAY + 1) == "allowed"


def test_a_release_ends_at_its_second_and_lasts_for_90_days_at_most():
    facts, asked, _ = allowed(BY_EVENT["take"])
    assert code(decide(facts, asked, facts.release.until - 1)) == "allowed"
    assert code(decide(facts, asked, facts.release.until)) == "release-wrong"

    facts, asked, _ = allowed(BY_EVENT["release"])
    assert code(decide(facts, having(asked, until=NOW + 90 * DAY), NOW)) == "allowed"
    assert code(decide(facts, having(asked, until=NOW), NOW)) == "not-in-this-state"


def test_a_release_is_for_its_receiver_or_for_who_knows_the_secret():
    facts, asked, _ = allowed(BY_EVENT["take"])
    to_a_key = having(facts, release=Release(UUID(int=6), NOW + DAY, receiver=asked.by))

    assert code(decide(to_a_key, having(asked, secret=None), NOW)) == "allowed"
    assert code(decide(to_a_key, having(asked, by=b"q" * 32), NOW)) == "release-wrong"
    assert code(decide(facts, having(asked, secret=None), NOW)) == "release-wrong"
    assert code(decide(having(facts, release=None), asked, NOW)) == "release-wrong"


def test_a_home_can_return_until_30_days_have_gone_by_and_is_swept_from_then_on():
    back, asked, _ = allowed(BY_EVENT["return"])
    sweep = world.asking("sweep", Who.CLOCK)
    for after, returns in ((30 * DAY - 1, True), (30 * DAY, False)):
        now = back.closed_at + after
        assert (code(decide(back, asked, now)) == "allowed") == returns
        assert (code(decide(back, sweep, now)) == "allowed") != returns
    assert code(decide(having(back, label_rests=False), asked, NOW)) == "not-in-this-state"


@pytest.mark.parametrize(
    ("who", "way", "wait"),
    [(Who.RECOVERY, "recovery", 3 * DAY), (Who.ADMIN, "admin", 3 * DAY), (Who.OPERATOR, "registry", 14 * DAY)],
)
def test_a_recovery_waits_as_long_as_its_way_asks(who, way, wait):
    facts = Facts(owner=OWNER, owner_keys=world.OWNER_KEYS)
    found = decide(facts, world.asking("recover", who), NOW)

    assert found.until == NOW + wait
    (opened,) = found.effects
    assert (opened.way, opened.due_at) == (way, NOW + wait)
    assert opened.key == world.NEW_KEY


def finished(way, **more):
    recovery = Recovery(UUID(int=5), way, world.NEW_KEY, NOW, **more)
    facts = Facts(owner=OWNER, owner_keys=world.OWNER_KEYS, recovery=recovery, disputed=bool(more))
    return decide(facts, world.asking("finish-recovery", Who.CLOCK), NOW)


def test_what_a_recovery_takes_away_depends_on_who_spoke():
    gone = {way: set(finished(way).effects[1].keys) for way in ("recovery", "admin", "registry")}
    owners = {world.OWNER_KEY, world.SECOND_KEY}

    assert gone["recovery"] == owners | {world.RECOVERY_KEY}, "a recovery key is used up"
    assert gone["admin"] == owners
    assert gone["registry"] == owners | {world.RECOVERY_KEY, world.ADMIN_KEY}


def test_an_objection_stops_keys_and_asks_the_registry_for_a_second_word():
    assert code(finished("admin", state="objected")) == "not-in-this-state"
    assert code(finished("registry", state="objected", operators=("anna",))) == "not-in-this-state"
    assert code(finished("registry", state="objected", operators=("anna", "anna"))) == "not-in-this-state"
    assert code(finished("registry", state="objected", operators=("anna", "bert"))) == "allowed"
    assert do.SettleRecoveries() in finished("registry", operators=("anna",)).effects


def test_a_replaced_box_is_free_and_a_stolen_one_stays_stolen():
    rule = BY_EVENT["replace"]
    for state, after in ((Box.OWNED, Box.FREE), (Box.CLAIMED, Box.FREE), (Box.STOLEN, Box.STOLEN)):
        _, _, found = allowed(rule, home_box=state, device=OURS, shown=THEIRS)
        assert do.LetGoDevice(OURS, after) in found.effects


def test_the_new_key_is_there_before_the_old_ones_go():
    """I10 of the invariants: no moment without a key."""
    for event in ("replace", "approve-key", "roll-key"):
        _, _, found = allowed(BY_EVENT[event], keys=(KeyFact(world.GATEWAY_KEY),))
        kinds = [type(one) for one in found.effects]
        assert kinds.index(do.PutKey) < kinds.index(do.RevokeKeys)
        assert found.home is Home.ACTIVE


def test_announcing_changes_nothing_but_that_the_key_is_known():
    facts, asked, found = allowed(BY_EVENT["announce-key"])

    assert found.effects == (do.KeepPending(asked.key, NOW + 7 * DAY),)
    assert found.home is facts.home


def test_a_reason_is_one_line_of_at_most_400_characters():
    facts, asked, _ = allowed(BY_EVENT["suspend"])
    for reason, good in (("x" * 400, True), ("x" * 401, False), ("", False), ("a\nb", False), ("é", True)):
        assert (code(decide(facts, having(asked, reason=reason), NOW)) == "allowed") == good


def test_a_gateway_can_neither_release_nor_close_nor_add_people():
    own = {rule.event for rule in RULES if Who.GATEWAY in rule.who}

    assert own == {"enrol", "bind-owner", "announce-key", "roll-key", "device-key", "mint-key"}


def test_what_an_administrator_and_a_recovery_key_may_do_is_no_more_than_written():
    admin = {rule.event for rule in RULES if Who.ADMIN in rule.who}
    recovery = {rule.event for rule in RULES if Who.RECOVERY in rule.who}

    assert admin == {
        "replace", "approve-key", "revoke-key", "object", "stolen", "recover", "object-recovery", "remove-owner-key",
    }  # fmt: skip
    assert recovery == {"recover", "remove-owner-key"}


def test_the_page_is_the_machines():
    written = (ROOT / "docs/reference/ownership.md").read_text()

    assert written == page(), "write it anew: python -m ddns.homes.ownership_page > docs/reference/ownership.md"


def test_asking_for_an_event_that_is_none_is_a_bug_of_ours():
    with pytest.raises(KeyError):
        decide(Facts(), Asked(event="seize", who=Who.OWNER), NOW)
