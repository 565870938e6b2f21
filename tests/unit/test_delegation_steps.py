"""Each step of a home on its way out and back: what it waits for, to the second, and what is published meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from said import HOME, NS1, NS2, child, dnskey, ds, server, servers

from ddns.dns.names import from_text
from ddns.zone.child import Fault
from ddns.zone.hand import (
    Bounds,
    Continuity,
    Copy,
    Hand,
    Ours,
    Serves,
    Sights,
    State,
    Theirs,
    Wish,
    published,
)
from ddns.zone.turn import numbered, turn

NOW = 1_800_000_000
BOUNDS = Bounds(safety=7, dark_after=50, back_after=30, look=1_000_000, lag=11)
HERE = (from_text("ns.registry.test."),)
OURS = Ours(
    HOME, HERE, (), (dnskey("o"),), (ds("o"),), keys_ttl=100, ns_ttl=200, max_ttl=400, delegation_ttl=300, ds_ttl=500
)
THEIR_TTL = 1000
BOTH = tuple(sorted((ds("o"), ds("a"))))
FIT = Theirs(
    NOW, None, frozenset({dnskey("o"), dnskey("a")}), frozenset({NS1, NS2}), THEIR_TTL, 9, whole=True, silent=False
)
ALONE = replace(FIT, keys=frozenset({dnskey("a")}))
OBEDIENT = replace(FIT, servers=frozenset(HERE), fault=Fault("differs", "They name us."))
SILENT = Theirs(NOW, Fault("lame", "They are away."), frozenset(), frozenset(), 0, None, whole=False, silent=True)
SEEN = Sights(NOW, NOW)


def at(state: State, **more) -> Hand:
    """Return a home in *state* since long ago, published, with their keys known to both."""
    known = {
        "since": NOW - 10_000, "their": child(), "their_keys": (dnskey("a"),), "their_ttl": THEIR_TTL, "ds": BOTH,
        "joint_at": NOW - 5_000, "lit_at": NOW - 5_000, "their_serial": 9, "led": True,
    }  # fmt: skip
    return numbered(Hand(state, **(known | more)), 5, 5)


def step(
    hand, theirs=FIT, *, wish=Wish.AWAY, later=0, sights=SEEN, ours=OURS, continuity=Continuity.COPY, seen_first=True
):
    """Return what follows: what is seen is seen at NOW, and the turn is *later* seconds after."""
    if seen_first and later:
        hand = turn(hand, ours, theirs, sights, wish, continuity, BOUNDS, NOW).hand
    return turn(hand, ours, theirs, sights, wish, continuity, BOUNDS, NOW + later)


TIMED = [
    (State.LEAVING_KEYS, FIT, Wish.AWAY, {}, THEIR_TTL, State.LEAVING_DS),
    (State.LEAVING_DS, FIT, Wish.AWAY, {"settled": False}, OURS.ds_ttl, State.LEAVING_SERVERS),
    (State.LEAVING_SERVERS, FIT, Wish.AWAY, {}, OURS.delegation_ttl, State.LEAVING_DRAIN),
    (State.LEAVING_DRAIN, FIT, Wish.AWAY, {}, OURS.max_ttl, State.AWAY),
    (State.RETURNING_KEYS, FIT, Wish.HOST, {"joint_at": NOW}, THEIR_TTL, State.RETURNING_DS),
    (State.RETURNING_DS, FIT, Wish.HOST, {"settled": False}, OURS.ds_ttl, State.RETURNING_SERVERS),
    (State.RETURNING_SERVERS, OBEDIENT, Wish.HOST, {}, THEIR_TTL, State.RETURNING_DRAIN),
    (State.RETURNING_DRAIN, FIT, Wish.HOST, {"since": NOW}, THEIR_TTL, State.HOSTED),
    (State.GAP, FIT, Wish.AWAY, {}, THEIR_TTL, State.AWAY),
    (State.GAP, SILENT, Wish.HOST, {"dark_at": NOW - 60}, 2 * THEIR_TTL, State.BLIND),
    (State.BLIND, SILENT, Wish.HOST, {}, OURS.ds_ttl, State.HOSTED),
    (State.BACK, FIT, Wish.AWAY, {"copy": Copy(9, frozenset(), NOW + 9_000_000)}, THEIR_TTL, State.AWAY),
]


@pytest.mark.parametrize(("state", "theirs", "wish", "more", "ttl", "after"), TIMED)
def test_a_step_waits_for_the_longest_ttl_since_the_last_server_was_seen(state, theirs, wish, more, ttl, after):
    hand, due = at(state, **more), ttl + BOUNDS.safety

    early = step(hand, theirs, wish=wish, later=due - 1)
    late = step(hand, theirs, wish=wish, later=due)

    assert (early.hand.state, early.until, early.wake) == (state, NOW + due, NOW + due)
    assert (late.hand.state, late.hand.since, late.hand.serial, late.wake) == (after, NOW + due, None, NOW + due)


@pytest.mark.parametrize(("state", "theirs", "wish", "more", "ttl", "after"), TIMED)
def test_a_step_waits_for_every_server_that_has_not_been_seen(state, theirs, wish, more, ttl, after):
    missing = Sights(None, None, ("ns2.registry.test. shows another serial",))

    unseen = step(at(state, **more), theirs, wish=wish, later=100 * ttl, sights=missing)
    unnumbered = step(replace(at(state, **more), serial=None), theirs, wish=wish, later=100 * ttl)

    if state in {State.RETURNING_KEYS, State.RETURNING_DRAIN}:  # these wait for their servers alone
        assert unseen.hand.state is after
        return
    assert unseen.hand.state is state
    assert unseen.waits == "ns2.registry.test. shows another serial"
    assert unnumbered.hand.state is state


@pytest.mark.parametrize(
    ("state", "wish", "more"),
    [(one, wish, more) for one, theirs, wish, more, _, _ in TIMED[:6] if one is not State.LEAVING_DRAIN],
)
@pytest.mark.parametrize(
    "unfit", [replace(FIT, fault=Fault("bogus", "They are bogus.")), ALONE], ids=["bogus", "without our keys"]
)
def test_no_step_beside_theirs_is_taken_while_they_are_not_as_they_ought_to_be(state, wish, more, unfit):
    if unfit is not ALONE and state is State.RETURNING_DS:
        return  # what they show is theirs to mend; our keys are known to them
    turned = step(at(state, **more), unfit, wish=wish, later=100_000)

    assert turned.hand.state is state
    assert turned.tell


PUBLISHED = {
    State.HOSTED: (OURS.ds, HERE, Serves.OWN, False),
    State.LEAVING_KEYS: (BOTH, HERE, Serves.OWN, True),
    State.LEAVING_DS: (BOTH, HERE, Serves.OWN, True),
    State.LEAVING_SERVERS: (BOTH, (NS1, NS2), Serves.OWN, True),
    State.LEAVING_DRAIN: (BOTH, (NS1, NS2), Serves.NOTHING, True),
    State.AWAY: (BOTH, (NS1, NS2), Serves.NOTHING, True),
    State.RETURNING_KEYS: (BOTH, (NS1, NS2), Serves.NOTHING, True),
    State.RETURNING_DS: (BOTH, (NS1, NS2), Serves.NOTHING, True),
    State.RETURNING_SERVERS: (BOTH, HERE, Serves.OWN, True),
    State.RETURNING_DRAIN: (BOTH, HERE, Serves.OWN, True),
    State.DARK: (BOTH, HERE, Serves.COPY, True),
    State.GAP: (BOTH, HERE, Serves.NOTHING, True),
    State.BLIND: (OURS.ds, HERE, Serves.NOTHING, False),
    State.BACK: (BOTH, (NS1, NS2), Serves.COPY, True),
}


@pytest.mark.parametrize("state", State)
def test_what_is_published_follows_from_the_state(state):
    shown = published(at(state), OURS)
    records, names, serves, knows = PUBLISHED[state]

    assert (shown.ds, shown.servers, shown.serves) == (tuple(sorted(records)), tuple(sorted(names)), serves)
    assert shown.foreign == ((dnskey("a"),) if knows else ())
    assert shown.glue == (child().glue if names != HERE else ())
    assert shown.apex == ((NS1, NS2) if state is State.LEAVING_SERVERS else HERE)


def test_a_hosted_home_leaves_once_its_servers_are_right_and_rests_otherwise():
    hosted = numbered(Hand(their=child()), 1, 1)

    assert step(hosted, None, wish=Wish.HOST).wake is None
    assert step(hosted, None).waits == "nobody has asked the home's servers yet"
    assert step(hosted, SILENT).tell == "See that the home's servers run and are reached."
    assert step(hosted, replace(FIT, fault=Fault("lame", "One is away."))).tell == "One is away."
    left = step(hosted, ALONE).hand
    assert (left.state, left.their_keys, left.ds) == (State.LEAVING_KEYS, (dnskey("a"),), (ds("o"),))


def test_an_unsigned_side_is_left_without_ds_and_without_its_keys():
    bare = replace(OURS, ds=(), keys=())
    hand = at(State.LEAVING_KEYS, ds=(), joint_at=None)

    assert published(hand, bare).foreign == ()
    assert step(hand, ALONE, ours=bare, later=THEIR_TTL + 7).hand.ds == ()
    assert step(at(State.LEAVING_DRAIN, ds=()), ALONE, ours=bare, later=407).hand.ds == (ds("a"),)


@pytest.mark.parametrize(
    ("state", "wish", "after"),
    [
        (State.LEAVING_KEYS, Wish.HOST, State.RETURNING_SERVERS),
        (State.LEAVING_DS, Wish.HOST, State.RETURNING_SERVERS),
        (State.LEAVING_SERVERS, Wish.HOST, State.RETURNING_SERVERS),
        (State.LEAVING_DRAIN, Wish.HOST, State.RETURNING_KEYS),
        (State.RETURNING_KEYS, Wish.AWAY, State.LEAVING_DRAIN),
        (State.RETURNING_DS, Wish.AWAY, State.LEAVING_DRAIN),
        (State.RETURNING_SERVERS, Wish.AWAY, State.LEAVING_KEYS),
        (State.RETURNING_DRAIN, Wish.AWAY, State.LEAVING_KEYS),
    ],
)
def test_whoever_thinks_better_of_it_is_turned_round_with_nothing_forgotten(state, wish, after):
    turned = step(at(state), wish=wish).hand

    assert (turned.state, turned.ds) == (after, BOTH)


def test_a_home_that_is_away_is_asked_back_with_its_own_ds():
    turned = step(at(State.AWAY, ds=(ds("a"),)), wish=Wish.HOST).hand

    assert (turned.state, turned.ds) == (State.RETURNING_KEYS, (ds("a"),))


@pytest.mark.parametrize("state", [State.LEAVING_KEYS, State.LEAVING_DS])
def test_a_home_that_never_led_to_its_own_servers_is_hosted_again_at_once(state):
    turned = step(at(state, led=False), wish=Wish.HOST).hand

    assert (turned.state, turned.ds) == (State.HOSTED, (ds("o"),))


@pytest.mark.parametrize("state", [State.LEAVING_KEYS, State.LEAVING_DS])
def test_another_key_of_theirs_begins_the_way_out_again(state):
    more = replace(FIT, keys=FIT.keys | {dnskey("b")})
    turned = step(at(state), more, later=100_000, seen_first=False).hand

    assert (turned.state, turned.their_keys) == (State.LEAVING_KEYS, tuple(sorted((dnskey("a"), dnskey("b")))))


def test_their_servers_are_to_name_ours_before_they_are_forgotten():
    turned = step(at(State.RETURNING_SERVERS), FIT, wish=Wish.HOST, later=100_000)

    assert turned.hand.state is State.RETURNING_SERVERS
    assert turned.tell == "Set the NS of smith.homes.test. at its own servers to ns.registry.test.."


# When they are gone


@pytest.mark.parametrize("later", [49, 50])
def test_servers_are_gone_when_they_were_silent_for_long_enough(later):
    copied = at(State.AWAY, copy=Copy(9, frozenset(), NOW + 9_000_000), ds=(ds("a"),), dark_at=NOW)

    turned = step(copied, replace(SILENT, asked=NOW + later), later=later, seen_first=False)

    assert (turned.hand.state is State.DARK) == (later == 50)
    assert turned.hand.ds == (ds("a"),)


@pytest.mark.parametrize("asked", [49, 50])
def test_servers_that_nobody_has_looked_at_since_are_not_gone_by_time_alone(asked):
    """Our own network may have been down, so that nothing was written down."""
    copied = at(State.AWAY, copy=Copy(9, frozenset(), NOW + 9_000_000), ds=(ds("a"),), dark_at=NOW)

    turned = step(copied, replace(SILENT, asked=NOW + asked), later=5000, seen_first=False)

    assert (turned.hand.state is State.DARK) == (asked == 50)


def test_a_copy_that_is_not_what_they_had_last_waits_until_caches_have_lost_that():
    stale = at(State.AWAY, copy=Copy(8, frozenset(), NOW + 9_000_000), ds=(ds("a"),), dark_at=NOW)
    looked = replace(SILENT, asked=NOW + 60)

    assert step(stale, looked, later=THEIR_TTL + 6, seen_first=False).hand.state is State.AWAY
    assert step(stale, looked, later=THEIR_TTL + 7, seen_first=False).hand.state is State.DARK


@pytest.mark.parametrize("left", [2 * THEIR_TTL + 7 + 11, 2 * THEIR_TTL + 7 + 12])
def test_a_copy_is_served_only_while_every_cache_loses_it_before_its_signatures_end(left):
    dying = Copy(9, frozenset(), NOW + left)
    away = at(State.AWAY, copy=dying, dark_at=NOW - 60, ds=(ds("a"),))

    assert (step(away, SILENT).hand.state is State.DARK) == (left == 2019)
    assert (step(at(State.DARK, copy=dying, dark_at=NOW - 60), SILENT).hand.state is State.DARK) == (left == 2019)
    assert (step(at(State.BACK, copy=dying)).hand.state is State.BACK) == (left == 2019)


@pytest.mark.parametrize("continuity", [Continuity.NONE, Continuity.STANDBY])
def test_without_a_copy_or_a_wish_for_one_nothing_is_served(continuity):
    gone = {"dark_at": NOW - 60, "ds": (ds("a"),)}

    assert step(at(State.AWAY, **gone), SILENT).hand.state is State.AWAY
    with_copy = at(State.AWAY, copy=Copy(9, frozenset(), NOW + 9_000_000), **gone)
    assert step(with_copy, SILENT, continuity=Continuity.NONE).hand.state is State.AWAY


def test_a_standby_serves_its_own_copy_once_caches_know_both_sides():
    gone = at(State.AWAY, dark_at=NOW - 60)

    ready = step(gone, SILENT, continuity=Continuity.STANDBY)
    strange = step(replace(gone, joint_at=None), SILENT, continuity=Continuity.STANDBY)
    young = step(replace(gone, joint_at=NOW - THEIR_TTL - 6), SILENT, continuity=Continuity.STANDBY)
    unsettled = step(replace(gone, settled=False), SILENT, continuity=Continuity.STANDBY, sights=Sights(None, None))

    assert ready.hand.state is State.RETURNING_SERVERS
    assert [one.hand.state for one in (strange, young, unsettled)] == [State.AWAY] * 3


def test_a_standby_has_the_ds_of_both_from_when_their_zone_knows_our_keys():
    alone = at(State.AWAY, ds=(ds("a"),), joint_at=None)

    assert step(alone, ALONE, continuity=Continuity.STANDBY).tell.startswith("Publish our keys in the DNSKEY RRset")
    assert step(alone, FIT, continuity=Continuity.STANDBY).hand.ds == BOTH
    assert step(at(State.AWAY), ALONE, continuity=Continuity.STANDBY).hand.ds == (ds("a"),)
    assert step(at(State.AWAY), FIT, continuity=Continuity.COPY).hand.ds == (ds("a"),)


@pytest.mark.parametrize("later", [29, 30])
def test_they_are_back_when_they_were_right_for_long_enough(later):
    copy = Copy(9, FIT.keys, NOW + 9_000_000)
    same, other = (
        at(State.DARK, copy=copy, lit_at=None),
        at(State.DARK, copy=replace(copy, keys=ALONE.keys), lit_at=None),
    )

    assert step(same, later=later).hand.state is (State.BACK if later == 30 else State.DARK)
    assert step(other, later=later).hand.state is (State.GAP if later == 30 else State.DARK)


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.LEAVING_SERVERS, State.RETURNING_SERVERS),
        (State.LEAVING_DRAIN, State.RETURNING_SERVERS),
        (State.BACK, State.DARK),
        (State.RETURNING_KEYS, State.GAP),
        (State.RETURNING_DS, State.RETURNING_SERVERS),
    ],
)
def test_wherever_they_vanish_the_registry_goes_on_as_well_as_it_safely_can(state, after):
    wish = Wish.HOST if state.startswith("returning") else Wish.AWAY
    copy = Copy(9, frozenset(), NOW + 9_000_000)

    turned = step(at(state, dark_at=NOW - 60, copy=copy), SILENT, wish=wish, later=100_000, seen_first=False)
    if state is State.RETURNING_DS:
        turned = step(turned.hand, SILENT, wish=wish, later=200_000)

    assert turned.hand.state is after


def test_a_home_that_is_called_back_while_its_servers_are_gone_goes_through_the_gap():
    gone = {"dark_at": NOW - 60, "ds": (ds("a"),)}
    copied = at(State.DARK, copy=Copy(9, frozenset(), NOW + 9_000_000), **gone)

    assert step(at(State.AWAY, **gone), SILENT, wish=Wish.HOST).hand.state is State.GAP
    assert step(copied, SILENT, wish=Wish.HOST).hand.state is State.GAP


def test_nothing_is_served_before_the_hosted_copy_is_there():
    empty = replace(OURS, loaded=False)

    assert step(at(State.RETURNING_KEYS), ours=empty, wish=Wish.HOST).waits == "the hosted copy is not there yet"
    assert (
        step(at(State.GAP, dark_at=NOW - 60), SILENT, ours=empty, wish=Wish.HOST, later=100_000).hand.state is State.GAP
    )


# What their servers say


@pytest.mark.parametrize(
    ("theirs", "since"), [(replace(FIT, asked=NOW), NOW), (replace(FIT, whole=False), None), (ALONE, None)]
)
def test_only_if_all_of_them_show_our_keys_is_it_so(theirs, since):
    assert step(at(State.AWAY, joint_at=None), theirs).hand.joint_at == since


@pytest.mark.parametrize(
    ("theirs", "since"),
    [(FIT, NOW - 5000), (replace(FIT, whole=False), NOW - 5000), (SILENT, NOW - 5000), (ALONE, None)],
)
def test_one_that_falls_silent_takes_nothing_back_and_one_that_shows_other_keys_does(theirs, since):
    assert step(at(State.AWAY), theirs, continuity=Continuity.STANDBY).hand.joint_at == since


def test_what_all_their_servers_say_comes_to_one():
    heard = servers()
    summed = Theirs.of(heard, None)

    assert (summed.keys, summed.servers, summed.ttl, summed.serial) == ({dnskey("a")}, {NS1, NS2}, 60, 5)
    assert (summed.whole, summed.silent) == (True, False)
    mixed = Theirs.of([server(), server(NS2, "12.0.0.2", authoritative=False, serial=None)], Fault("lame", "One."))
    assert (mixed.keys, mixed.whole, mixed.silent) == ({dnskey("a")}, False, False)
    assert Theirs.of([server(authoritative=False)], Fault("lame", "All.")).silent
    assert Theirs.of([server(serial=5), server(NS2, serial=4)], None).serial == 5
