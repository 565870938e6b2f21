"""The steps of a roll, row by row: when each record may begin to move, and the second in which it settles."""

from __future__ import annotations

import pytest
from keys import (
    GOAL,
    NOW,
    ORIGIN,
    POLICY,
    REGISTRY,
    SPLIT,
    H,
    O,
    R,
    U,
    facts,
    key,
    ksk,
    moving,
    order,
    parent,
    secondary,
    zsk,
)  # fmt: skip
from msgspec.structs import replace

from zone_signer import keys as public
from zone_signer.phase import Record, Role
from zone_signer.rolls import Noticed, advanced, first_phases, newborn, step
from zone_signer.seen import WATCHER

DAY = 86400
D, Z, S = Record.DNSKEY, Record.ZRRSIG, Record.DS


def do(*views, goal=GOAL, orders=(), policy=POLICY, now=NOW, **more):
    return step(facts(**more), views, goal, orders, policy, now)


def moves(*views, **more):
    return [(one.key, one.record, one.before, one.after) for one in do(*views, **more).moves]


# How csk and ksk begin to move


def test_a_zone_at_rest_only_waits():
    taken = do(key("a", "ooo"))

    assert not taken.does()
    assert taken.waits == ()
    assert taken.wake is None


def test_a_new_key_is_published_at_once():
    old, new = key("a", "ooo", stays=False), key("b", "hhh")

    (move,) = do(old, new).moves

    assert (move.key, move.record, move.after, move.ttl) == ("b", D, R, 100)


def test_its_ds_comes_when_every_cache_has_the_key_and_not_before():
    old = key("a", "ooo", stays=False)

    assert moves(old, moving(key("b", "rhh"), D, seen_at=NOW)) == []
    assert moves(old, key("b", "ohh")) == [("b", S, H, R)]


def test_a_csk_signs_when_its_ds_is_in_every_cache():
    old = key("a", "ooo", stays=False)

    assert moves(old, moving(key("b", "ohr"), S, seen_at=NOW)) == []
    assert moves(old, key("b", "oho")) == [("b", Z, H, R), ("a", Z, O, U)]


def test_the_old_ds_goes_then_and_the_old_key_last():
    new = key("b", "ooo")

    assert moves(key("a", "oho", stays=False), new) == [("a", S, O, U)]
    assert moves(moving(key("a", "ohu", stays=False), S, seen_at=NOW), new) == []
    assert moves(key("a", "ohh", stays=False), new) == [("a", D, O, U)]
    assert do(key("a", "hhh", stays=False), new).destroy == ("a",)


def test_the_old_ds_stays_where_the_parent_has_taken_the_new_one_away():
    old, new = key("a", "oho", stays=False), key("b", "ooo")

    assert moves(old, new, parents=(parent(old), parent(old, server="b.nic."))) == [("b", S, O, R)]
    assert moves(old, new, parents=(parent(old), parent(old, new, server="b.nic."))) == [("a", S, O, U)]


def test_a_zsk_signs_when_every_cache_has_it_whatever_the_ds_do():
    views = [ksk("k", "oo"), zsk("y", "oo", stays=False)]

    assert moves(*views, zsk("z", "hh"), goal=SPLIT) == [("z", D, H, R)]
    assert moves(*views, zsk("z", "oh"), goal=SPLIT) == [("z", Z, H, R), ("y", Z, O, U)]


def test_keys_of_both_roles_are_published_in_one_step():
    views = [ksk("k", "oo", stays=False), zsk("z", "oo", stays=False), ksk("l", "hh"), zsk("y", "hh")]

    assert moves(*views, goal=SPLIT) == [("l", D, H, R), ("y", D, H, R)]


# How algorithms come and go


def test_a_new_algorithm_signs_is_published_and_has_a_ds_in_that_order():
    old, goal = key("a", "ooo", stays=False), replace(GOAL, algorithm=15)

    def new(phases):
        return key("b", phases, algorithm=15)

    assert moves(old, new("hhh"), goal=goal) == [("b", Z, H, R)]
    assert moves(old, moving(new("hrh"), Z, seen_at=NOW), goal=goal) == []
    assert moves(old, new("hoh"), goal=goal) == [("b", D, H, R)]
    assert moves(old, moving(new("roh"), D, seen_at=NOW), goal=goal) == []
    assert moves(old, new("ooh"), goal=goal) == [("b", S, H, R)]


def test_an_old_algorithm_goes_the_other_way_round():
    new, goal = key("b", "ooo", algorithm=15), replace(GOAL, algorithm=15)

    def old(phases):
        return key("a", phases, stays=False)

    assert moves(old("ooo"), new, goal=goal) == [("a", S, O, U)]
    assert moves(old("ooh"), new, goal=goal) == [("a", D, O, U)]
    assert moves(moving(old("uoh"), D, seen_at=NOW), new, goal=goal) == []
    assert moves(old("hoh"), new, goal=goal) == [("a", Z, O, U)]


# How a zone becomes secure and insecure


def test_an_unsigned_zone_is_published_and_signed_in_one_step_and_its_ds_waits_for_both():
    assert moves(key("a", "hhh")) == [("a", D, H, R), ("a", Z, H, R)]
    assert moves(moving(key("a", "orh"), Z, seen_at=NOW)) == []
    assert moves(key("a", "ooh")) == [("a", S, H, R)]


def test_a_zone_goes_insecure_ds_first_and_then_all_in_one_edition():
    goal = replace(GOAL, secure=False)

    assert moves(key("a", "ooo", stays=False), goal=goal) == [("a", S, O, U)]
    taken = do(key("a", "ooh", stays=False), goal=goal, parents=(parent(),))
    assert {(one.record, one.after) for one in taken.moves} == {(D, U), (Z, U)}
    assert taken.denial == "none"


def test_no_signature_goes_while_the_parent_shows_any_ds_even_a_strange_one():
    stranger = key("x", "hhh")

    taken = do(key("a", "ooh", stays=False), goal=replace(GOAL, secure=False), parents=(parent(stranger),))

    assert taken.moves == ()
    (wait,) = taken.waits
    assert wait.stuck
    assert public.ds(ORIGIN, stranger.rdata).hex().upper() in wait.who


def test_a_home_of_an_unsigned_registry_has_no_ds_and_rolls_without_one():
    here = {"parent": REGISTRY, "parent_signed": False}

    assert moves(key("a", "ooh"), **here) == []
    assert moves(key("a", "ooh", stays=False), key("b", "ohh"), **here) == [("b", Z, H, R), ("a", Z, O, U)]
    assert moves(key("a", "ooo"), **here) == [("a", S, O, U)]


def test_an_island_rolls_although_the_parent_never_has_a_ds():
    old = moving(key("a", "oor", stays=False), S)
    new = moving(key("b", "ohr"), S)

    assert moves(old, new) == [("b", Z, H, R), ("a", Z, O, U)]
    signed = moving(key("b", "oor"), S)
    assert moves(moving(key("a", "ohr", stays=False), S), signed) == []
    assert moves(moving(key("a", "ohr", stays=False), S), signed, parents=(parent(),)) == [("a", S, R, U)]


# Settling: RFC 7583, to the second


def settles(view, due, *others, **more):
    """Tell that the only motion of *view* settles at *due* and not a second earlier."""
    early = do(view, *others, now=due - 1, **more)
    assert early.moves == ()
    assert early.wake == due
    assert [one.until for one in early.waits] == [due]
    (move,) = do(view, *others, now=due, **more).moves
    assert move.key == view.id
    return move.after


def test_ipub_is_dprp_and_the_ttl_of_the_dnskey():
    """RFC 7583 §3.2.1: seen everywhere, TTL, and the policy's safety."""
    new = moving(key("b", "rhh"), D, seen_at=NOW + 30)

    assert settles(new, NOW + 30 + 100 + 10, key("a", "ooo", stays=False)) is O


def test_a_dnskey_is_gone_its_ttl_after_the_last_server_stopped_to_show_it():
    old = moving(key("a", "uhh", stays=False), D, seen_at=NOW + 30)

    assert settles(old, NOW + 30 + 100 + 20, key("b", "ooo")) is H


def test_iret_is_dsgn_and_dprp_and_the_greatest_ttl():
    """RFC 7583 §3.2.1: the motion's TTL or today's, whichever is greater."""
    old = moving(zsk("y", "ou", stays=False), Z, ttl=150, seen_at=NOW + 30)

    assert settles(old, NOW + 30 + 200 + 20, ksk("k", "oo"), zsk("z", "oo"), goal=SPLIT) is H
    slow = moving(zsk("y", "ou", stays=False), Z, ttl=900, seen_at=NOW + 30)
    assert settles(slow, NOW + 30 + 900 + 20, ksk("k", "oo"), zsk("z", "oo"), goal=SPLIT) is H


def test_a_ttl_of_decades_does_not_keep_keys_for_decades():
    """Who may write in a home may give a record any TTL; nobody keeps it so long (RFC 4035 §5.3.3, RFC 8767)."""
    old = moving(zsk("y", "ou", stays=False), Z, ttl=150, seen_at=NOW + 30)
    month = NOW + 30 + 31 * DAY + 20

    assert settles(old, month, ksk("k", "oo"), zsk("z", "oo"), goal=SPLIT, max_ttl=2**31 - 1) is H
    shown = moving(zsk("x", "rh"), D, ttl=150, seen_at=NOW + 30)
    other = zsk("z", "oo", stays=False)
    assert settles(shown, month - 10, ksk("k", "oo"), other, goal=SPLIT, negative_ttl=2**31 - 1) is O


def test_a_ds_is_everywhere_its_ttl_after_the_last_server_of_the_parent_showed_it():
    """RFC 7583 §3.3.2: DprpP and TTLds."""
    new = moving(key("b", "ohr"), S, ttl=250, seen_at=NOW + 30)

    assert settles(new, NOW + 30 + 300 + 10, key("a", "ooo", stays=False)) is O


def test_a_ds_is_gone_its_ttl_after_the_last_server_of_the_parent_stopped_to_show_it():
    """RFC 7583 §3.3.1: Iret = DprpP + TTLds."""
    old = moving(key("a", "ohu", stays=False), S, ttl=400, seen_at=NOW + 30)

    assert settles(old, NOW + 30 + 400 + 20, key("b", "ooo")) is H


@pytest.mark.parametrize(
    ("view", "shown", "at"),
    [
        (moving(key("b", "rhh"), D, NOW, serial=6), {"secondaries": (secondary(6, NOW + 4),)}, NOW + 4),
        (moving(key("b", "rhh"), D, NOW, serial=6), {"secondaries": ()}, NOW),
        (moving(key("b", "rhh"), D, NOW, serial=6), {"secondaries": (secondary(5, NOW + 4),)}, None),
        (moving(key("b", "rhh"), D, NOW, serial=6), {"secondaries": (secondary(7, NOW + 4),)}, None),
        (moving(key("b", "orh"), Z, NOW), {"whole": None}, None),
        (moving(key("b", "orh"), Z, NOW), {"whole": (NOW - 1, 6)}, None),
        (moving(key("b", "orh"), Z, NOW), {"whole": (NOW + 9, 6)}, NOW + 9),
        (moving(key("b", "orh"), Z), {"whole": (NOW + 9, 6), "secondaries": (secondary(6, NOW + 8),)}, None),
        (moving(key("b", "orh"), Z), {"whole": (NOW + 9, 6), "secondaries": (secondary(6, NOW + 11),)}, NOW + 11),
        (moving(key("b", "oor"), S), {"parents": (parent(key("b", "hhh"), answered=NOW + 3),)}, NOW + 3),
        (moving(key("b", "oor"), S), {"parents": (parent(answered=NOW + 3),)}, None),
        (moving(key("b", "oor"), S), {"parents": ()}, None),
        (moving(key("b", "oou"), S), {"parents": (parent(answered=NOW + 3),)}, NOW + 3),
        (moving(key("b", "oou"), S), {"parents": (parent(key("b", "hhh"), answered=NOW + 3),)}, None),
    ],
)
def test_a_motion_is_seen_when_everybody_who_must_has_shown_it(view, shown, at):
    taken = do(view, key("a", "ooo", stays=False), now=NOW + 12, serial=6, **shown)
    noticed = [(one.key, one.at) for one in taken.noticed]

    assert noticed == ([] if at is None else [("b", at)])


def test_what_was_seen_stays_seen_when_a_server_fails_afterwards():
    new = moving(key("b", "rhh"), D, seen_at=NOW + 30)

    assert settles(new, NOW + 140, key("a", "ooo", stays=False), secondaries=(secondary(4),)) is O


def test_a_ds_in_our_registry_is_seen_at_the_registrys_serial():
    new = replace(moving(key("b", "ohr"), S), motions={S: replace(moving(key("b", "ohr"), S).motions[S], serial=9)})
    here = {"parent": REGISTRY, "parent_serial": 9, "ds_ttl": 60}

    lagging = do(new, key("a", "ooo", stays=False), parents=(secondary(8),), **here)
    shown = do(new, key("a", "ooo", stays=False), parents=(secondary(9),), **here)

    assert lagging.noticed == ()
    assert lagging.waits[0].who == "nobody"
    assert [(one.key, one.record, one.at) for one in shown.noticed] == [("b", S, NOW)]


def test_a_ds_that_the_parent_shows_unasked_counts_as_shown():
    old, new = key("a", "ooo", stays=False), moving(key("b", "rhh"), D, seen_at=NOW)

    (move,) = do(old, new, parents=(parent(old, new),)).moves

    assert (move.key, move.record, move.before, move.after) == ("b", S, H, R)


@pytest.mark.parametrize(
    ("view", "others", "again"),
    [
        (moving(key("b", "ohu", stays=False), S, seen_at=NOW - 5), (parent(key("b", "hhh")), parent(server="b.")), U),
        (moving(key("b", "ohu", stays=False), S, seen_at=NOW), (parent(key("b", "hhh")),), None),
        (moving(key("b", "ohr"), S, seen_at=NOW - 5), (parent(), parent(server="b.")), R),
        (moving(key("b", "ohr"), S, seen_at=NOW - 5), (parent(), parent(key("b", "hhh"), server="b.")), None),
    ],
)
def test_a_ds_begins_anew_where_the_parent_comes_to_show_the_contrary(view, others, again):
    other = key("a", "ooo", stays=not view.stays)

    taken = do(
        view, other, now=NOW + 9999, parents=tuple(replace(one, ds=(*one.ds, *parent(other).ds)) for one in others)
    )

    mine = [(one.before, one.after) for one in taken.moves if one.key == "b"]
    assert (mine == [(again, again)]) is (again is not None)


def test_a_ds_that_was_never_shown_may_be_on_its_way_for_as_long_as_the_policy_is_patient():
    old = key("a", "ooo")

    (unseen,) = do(old, moving(key("b", "ohr", stays=False), S)).moves
    (shown,) = do(old, moving(key("b", "ohr", stays=False), S, seen_at=NOW)).moves
    here = {"parent": REGISTRY, "ds_ttl": 300}
    (ours,) = do(old, moving(key("b", "ohr", stays=False), S), parents=(secondary(4),), parent_serial=5, **here).moves

    assert (unseen.after, unseen.ttl) == (U, 300 + POLICY.patience)
    assert (shown.after, shown.ttl) == (U, 300)
    assert (ours.after, ours.ttl) == (U, 300)


def test_a_record_that_moves_without_a_motion_gets_one_from_now_on():
    taken = do(key("a", "oor"))

    (move,) = taken.moves
    assert (move.before, move.after) == (R, R)
    assert not taken.visible()
    (after,) = advanced([key("a", "oor")], taken, facts(), NOW)
    assert after.motions[S].since == NOW


def test_nothing_begins_while_a_secondary_is_ahead_of_us():
    taken = do(key("a", "ooo", stays=False), key("b", "hhh"), secondaries=(secondary(6),))

    assert taken.moves == ()
    assert taken.waits[0].stuck
    assert "zone-signer resign a.test. --yes" in taken.waits[0].who


# Orders


def test_a_roll_makes_a_successor_and_has_the_old_key_leave():
    old = key("a", "ooo")

    taken = do(old, orders=[order("roll")])

    assert [(one.role, one.replaces) for one in taken.make] == [(Role.CSK, "a")]
    assert (taken.leave, taken.done_orders, taken.refused) == (("a",), (1,), ())
    assert str(old.tag) in taken.make[0].why


@pytest.mark.parametrize(
    ("kind", "views", "word", "more"),
    [
        ("roll", [key("a", "ooo", stays=False), key("b", "rhh")], "rolling already", {}),
        ("roll", [key("a", "ooo")], "no key in use has the tag 7", {"tag": 7}),
        ("roll", [key("a", "ooo")], "the zone has no zsk", {"role": Role.ZSK}),
        ("emergency", [key("a", "ooo")], "no key in use", {"tag": 7}),
        ("cancel", [key("a", "ooo")], "nothing rolls", {}),
        ("cancel", [moving(key("a", "ouo", stays=False), Z), moving(key("b", "oro"), Z)], "too late", {}),
        ("cancel", [key("a", "ooo", stays=False, algorithm=8), key("b", "hrh")], "change the policy back", {}),
        ("dance", [key("a", "ooo")], "nobody here knows", {}),
        ("ds-seen", [key("a", "ooo")], "nobody need say it", {"tag": 7}),
        ("without", [key("a", "ooo")], "nothing waits", {"server": "ns2."}),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_a_sentence(kind, views, word, more):
    taken = do(*views, orders=[order(kind, **more)])

    assert taken.done_orders == (1,)
    assert word in taken.refused[0].sentence


def test_an_emergency_takes_the_youngest_too_and_makes_another_though_a_roll_is_under_way():
    taken = do(key("a", "ooo", stays=False), key("b", "rhh"), orders=[order("emergency")])

    assert taken.compromised == ("a", "b")
    assert taken.leave == ("b",)
    assert len(taken.make) == 1


def test_an_emergency_of_the_old_key_alone_needs_no_third_one():
    old = key("a", "ooo", stays=False)

    taken = do(old, key("b", "rhh"), orders=[order("emergency", tag=old.tag)])

    assert (taken.compromised, taken.make, taken.leave) == (("a",), (), ())


def test_a_cancelled_roll_has_the_old_key_stay_and_the_new_ones_records_go():
    old, new = key("a", "ooo", stays=False), key("b", "oho")

    taken = do(old, new, orders=[order("cancel")])
    assert (taken.stay, taken.leave) == (("a",), ("b",))
    back = advanced([old, new], taken, facts(), NOW)
    assert moves(*back) == [("b", S, O, U)]


def test_insecure_and_secure_are_wishes_and_a_zone_without_signatures_gets_its_denial_back():
    assert do(key("a", "ooo"), orders=[order("insecure")]).wish == "insecure"
    again = do(goal=replace(GOAL, secure=False), orders=[order("secure", denial="nsec")])
    assert (again.wish, again.denial) == ("secure", "nsec")
    assert do(goal=replace(GOAL, secure=False), orders=[order("secure")]).denial == "nsec3"
    assert do(key("a", "oou"), goal=replace(GOAL, secure=False), orders=[order("secure")]).denial is None


def test_all_signatures_are_made_anew_when_asked():
    taken = do(key("a", "ooo"), orders=[order("resign")])

    assert taken.resign
    assert taken.visible()


def test_where_people_say_what_the_parent_shows_their_word_counts_from_when_they_gave_it():
    manual = replace(POLICY, parent_check="manual")
    old, new = key("a", "ooo", stays=False), moving(key("b", "ohr"), S, NOW)

    waiting = do(old, new, policy=manual)
    said = do(old, new, policy=manual, orders=[order("ds-seen", tag=new.tag, at=NOW + 50, by="ann")], now=NOW + 60)

    assert f"zone-signer ds-seen a.test. {new.tag}" in waiting.waits[0].who
    assert f"a.test. IN DS {new.tag} 13 2 " in waiting.waits[0].who
    assert [(one.key, one.at) for one in said.noticed] == [("b", NOW + 50)]
    assert "ann said ds-seen" in said.noticed[0].evidence
    assert said.done_orders == (1,)


def test_a_motion_goes_on_without_the_server_that_somebody_names():
    new = moving(key("b", "rhh"), D, NOW, serial=5)
    both = (secondary(4, server="dead."), secondary(5, NOW + 2, server="ns3."))
    without = order("without", server="dead.", at=NOW + 50)

    taken = do(key("a", "ooo", stays=False), new, secondaries=both, orders=[without], now=NOW + 60)

    assert [(one.key, one.at) for one in taken.noticed] == [("b", NOW + 2)]
    assert taken.done_orders == (1,)


# Policies


def test_a_successor_is_made_its_lead_before_the_end_of_a_lifetime():
    policy = replace(POLICY, zsk_lifetime=10 * DAY, lifetime_jitter=0.0)
    views = [ksk("k", "oo"), zsk("z", "oo", born=NOW)]
    due = NOW + 10 * DAY - 110

    early = do(*views, goal=SPLIT, policy=policy, now=due - 1)

    assert not early.does()
    assert early.wake == due
    taken = do(*views, goal=SPLIT, policy=policy, now=due)
    assert [(one.role, one.replaces) for one in taken.make] == [(Role.ZSK, "z")]


def test_lifetimes_are_spread_the_same_way_everywhere():
    policy = replace(POLICY, csk_lifetime=100 * DAY, lifetime_jitter=0.1)
    ends = {policy.ends(key(str(number), "ooo", born=NOW)) for number in range(50)}

    assert len(ends) == 50
    assert all(NOW + 90 * DAY <= end <= NOW + 100 * DAY for end in ends)


def test_no_lifetime_begins_a_roll_where_too_many_zones_move():
    policy = replace(POLICY, csk_lifetime=DAY)
    old = key("a", "ooo", born=NOW - 2 * DAY)

    assert do(old, policy=policy).make
    crowded = do(old, policy=policy, crowded=True)
    assert crowded.make == ()
    assert crowded.wake == NOW + DAY  # a million of them must not ask every hour whether it is their turn
    young = key("a", "ooo", born=NOW)
    assert do(young, policy=replace(policy, csk_lifetime=10 * DAY), crowded=True).wake > NOW + DAY


def test_what_a_policy_asks_for_is_not_forgotten_where_too_many_zones_move():
    other = replace(GOAL, algorithm=15)

    crowded = do(key("a", "ooo"), goal=other, crowded=True)

    assert not crowded.does()
    assert crowded.wake == NOW + DAY
    assert do(key("a", "ooo"), goal=other).make


def test_another_scheme_makes_what_lacks_and_has_leave_what_is_too_many():
    taken = do(key("a", "ooo"), goal=SPLIT)

    assert [one.role for one in taken.make] == [Role.KSK, Role.ZSK]
    assert taken.leave == ("a",)


def test_a_policy_that_is_changed_back_takes_the_old_key_again():
    taken = do(key("a", "ooo", stays=False), key("b", "hrh", algorithm=15))

    assert (taken.make, taken.stay, taken.leave) == ((), ("a",), ("b",))


def test_a_removed_key_is_forgotten_when_its_time_is_over():
    old = key("a", "hhh", stays=False, removed=NOW)
    purge = NOW + POLICY.purge_after

    assert do(old, key("b", "ooo"), now=purge - 1).wake == purge
    assert do(old, key("b", "ooo"), now=purge).purge == ("a",)


# What the rows become


def test_a_visible_step_is_published_under_the_next_serials():
    views = [key("a", "ooo", stays=False), key("b", "hhh")]
    taken = do(*views)

    assert taken.visible()
    assert advanced(views, taken, facts(), NOW)[1].motions[D].serial == 6
    assert advanced(views, taken, facts(), NOW, serial=77)[1].motions[D].serial == 77


def test_what_was_noticed_is_in_the_motion_and_what_has_settled_has_none():
    view = moving(key("b", "rhh"), D, NOW)
    noticed = advanced([view], do(view, key("a", "ooo", stays=False)), facts(), NOW)

    assert noticed[0].motions[D].seen_at == NOW
    assert Noticed("b", D, NOW, "").at == NOW
    (settled, _) = advanced(
        [noticed[0], key("a", "ooo", stays=False)], do(noticed[0], key("a", "ooo", stays=False), now=NOW + 500),
        facts(), NOW + 500,
    )  # fmt: skip
    assert (settled.dnskey, dict(settled.motions)) == (O, {})


@pytest.mark.parametrize(
    ("more", "phases"),
    [
        ({"fresh": True}, (O, O, R)),
        ({"fresh": True, "parent": REGISTRY}, (O, O, O)),
        ({"fresh": True, "parent": REGISTRY, "parent_signed": False}, (O, O, H)),
        ({"fresh": False}, (H, H, H)),
    ],
)
def test_the_first_keys_of_a_zone_are_known_to_all_caches_that_know_the_zone(more, phases):
    assert first_phases(Role.CSK, facts(**more)) == phases


def test_a_fresh_zone_makes_its_keys_and_then_waits():
    fresh = facts(fresh=True, parent=REGISTRY)
    made = step(fresh, (), SPLIT, (), POLICY, NOW).make

    born = [newborn(new, new.role, number, b"", fresh, NOW) for number, new in enumerate(made)]

    assert [key.label() for key in born] == ["active", "active"]
    assert not step(fresh, born, SPLIT, (), POLICY, NOW).does()


# Waits


def test_a_wait_for_a_server_is_nobodys_until_it_is_stuck_and_then_names_the_command():
    views = [key("a", "ooo", stays=False), moving(key("b", "rhh"), D, NOW, serial=5)]
    lagging = {"secondaries": (secondary(4),)}

    patient = do(*views, now=NOW + POLICY.patience, **lagging).waits[0]
    stuck = do(*views, now=NOW + POLICY.patience + 1, **lagging).waits[0]

    assert (patient.who, patient.stuck) == ("nobody", False)
    assert patient.what == "ns2.test. 192.0.2.2:53 has not shown serial 5 (last 4)"
    assert stuck.stuck
    assert "zone-signer step a.test. --without 'ns2.test. 192.0.2.2:53' --yes" in stuck.who


def test_a_server_that_is_away_is_named_in_the_command_and_not_what_ails_it():
    views = [key("a", "ooo", stays=False), moving(key("b", "rhh"), D, NOW, serial=5)]
    away = secondary(4, answered=NOW - 100, problem="does not answer")

    stuck = do(*views, now=NOW + POLICY.patience + 1, secondaries=(secondary(5, server="ns2.test."), away)).waits[0]

    assert stuck.what == "ns2.test. 192.0.2.2:53 does not answer"
    assert "--without 'ns2.test. 192.0.2.2:53' --yes" in stuck.who


def test_where_nobody_looks_at_servers_the_service_is_to_be_started():
    views = [key("a", "ooo", stays=False), moving(key("b", "rhh"), D, NOW, serial=5)]
    idle = secondary(5, answered=None, server=WATCHER, problem="has not looked at the zone's servers yet")

    stuck = do(*views, now=NOW + POLICY.patience + 1, secondaries=(idle,)).waits[0]

    assert "ddns serve" in stuck.who
    assert "--without" not in stuck.who


def test_a_wait_for_the_parent_names_the_record_from_the_start():
    new = moving(key("b", "ohr"), S, NOW)

    (wait,) = do(key("a", "ooo", stays=False), new, parents=(parent(),)).waits

    assert f"shows no DS {new.tag}" in wait.what
    assert public.ds(ORIGIN, new.rdata)[4:].hex().upper() in wait.who
    assert wait.until is None


def test_a_key_that_no_vault_opens_is_told_with_what_to_do():
    lost = key("a", "ooo")

    (wait,) = do(lost, lost=("a",)).waits

    assert wait.stuck
    assert "zone-signer insecure a.test. --yes" in wait.who
    assert public.ds(ORIGIN, lost.rdata)[4:].hex().upper() in wait.who


def test_what_waits_is_looked_at_ever_more_seldom():
    views = [key("a", "ooo", stays=False), moving(key("b", "rhh"), D, NOW, serial=5)]

    looks = [do(*views, now=NOW + age, secondaries=(secondary(4),)).wake - NOW - age for age in (0, 40, 4000, 400_000)]

    assert looks == [1, 10, 1000, 3600]
