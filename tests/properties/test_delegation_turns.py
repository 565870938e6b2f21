"""Homes that leave and come back in worlds as bad as can be: no cache ever finds one bogus, whoever lags or is gone."""

from __future__ import annotations

import pytest
from delegating import DAY, HOUR, START, World
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ddns.zone import hand as hands
from ddns.zone import turn as turns
from ddns.zone.hand import Bounds, Continuity, State, Wish
from ddns.zone.turning import Stage, Wait

ttls = st.sampled_from([1, 60, HOUR, DAY])
LONG = 20 * DAY  # an outage after which theirs come back with another key; longer than anything is in a cache


@st.composite
def lags(draw):
    """How long a server lags, and when it stands still and for how long."""
    usual = draw(st.sampled_from([0, 1, 45, 2 * HOUR]))
    still = draw(st.lists(st.tuples(st.integers(0, 60 * DAY), st.integers(1, 4 * DAY)), max_size=2))

    def lag(at: int) -> int:
        shown = at + usual
        for begin, length in sorted(still):
            if START + begin <= shown < START + begin + length:
                shown = START + begin + length
        return shown - at

    return lag


@st.composite
def outages(draw):
    """When their servers are away; between two outages they are there long enough to be seen."""
    out, at = [], 0
    for _ in range(draw(st.integers(0, 4))):
        at += draw(st.sampled_from([HOUR, 5 * HOUR, DAY, 3 * DAY]))
        length = draw(st.sampled_from([60, 2 * HOUR, DAY, 4 * DAY, LONG + DAY]))
        out.append((at, length))
        at += length
    return out


@st.composite
def worlds(draw, **given):
    secure = draw(st.sampled_from([(True, True)] * 4 + [(True, False), (False, True), (False, False)]))
    settled = {
        "ttls": draw(st.lists(ttls, min_size=8, max_size=8)),
        "lags": draw(st.lists(lags(), min_size=1, max_size=2)),
        "outages": draw(outages()),
        "half": draw(outages()),
        "forgetful": LONG,
        "obeys": draw(st.sampled_from([60, HOUR, 2 * DAY, None])),
        "continuity": draw(st.sampled_from(list(Continuity))),
        "bounds": Bounds(
            safety=HOUR, dark_after=draw(st.sampled_from([0, HOUR])), back_after=900, look=HOUR, lag=9 * DAY
        ),
        "secure": secure,
        "copies": draw(st.sampled_from([0, 6 * HOUR, 3 * DAY])),
        "lasting": draw(st.sampled_from([10 * DAY, 14 * DAY])),
        "theirs_algorithm": draw(st.sampled_from([13, 13, 13, 15])),
        "forgets_ours": draw(st.booleans()),
    }
    world = World(**(settled | given))
    at, wish = 0, Wish.HOST
    for pause in draw(st.lists(st.sampled_from([60, HOUR, 3 * HOUR, 9 * HOUR, DAY, 3 * DAY]), min_size=1, max_size=7)):
        at += pause
        wish = Wish.AWAY if wish is Wish.HOST else Wish.HOST
        world.at(at, lambda wish=wish: world.wishes(wish))
    return world


@settings(deadline=None, max_examples=30)
@given(worlds())
def test_no_combination_that_caches_may_hold_is_ever_bogus_and_no_copy_outlives_its_signatures(world):
    """At every moment of a month: DS, keys and data of any age from any server that anybody could be led to."""
    world.run(30 * DAY)

    assert world.problems == []


@settings(deadline=None, max_examples=15)
@given(worlds(outages=[], half=[], obeys=HOUR, theirs_algorithm=13), st.sampled_from([Wish.AWAY, Wish.HOST]))
def test_whoever_does_what_they_are_told_comes_where_they_want_to_be(world, wish):
    world.at(40 * DAY, lambda: world.wishes(wish))
    world.run(80 * DAY)

    assert world.hand.state is (State.AWAY if wish is Wish.AWAY else State.HOSTED)
    assert world.problems == []


DARK = {"continuity": Continuity.COPY, "copies": HOUR, "lasting": 6 * DAY}
STANDBY = {"continuity": Continuity.STANDBY}
SLOW = Bounds(safety=2 * HOUR, dark_after=HOUR, back_after=900, look=2 * HOUR)
WAY = {one for one in State if one is State.AWAY or one.startswith(("hosted", "leaving", "returning"))}
SHORT, GONE = 2 * DAY, LONG + DAY


@pytest.mark.parametrize("more", [DARK, STANDBY, {}], ids=["copy", "standby", "none"])
@pytest.mark.parametrize("length", [SHORT, GONE], ids=["short", "gone"])
@pytest.mark.parametrize("wish", list(Wish))
@pytest.mark.parametrize("pulled", [True, False], ids=["pulled", "thought better"])
@pytest.mark.parametrize("state", [one for one in State if one is not State.HOSTED])
def test_a_home_can_be_pulled_out_or_called_back_in_every_state(state, pulled, wish, length, more):
    """The plug is pulled, or the owner thinks better of it, as soon as each state begins."""
    world = World(
        ttls=[60, HOUR, HOUR, 60, DAY, HOUR, HOUR, DAY], lags=[lambda _: 0, lambda _: 3 * HOUR], bounds=SLOW, **more
    )
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    if state.startswith("returning"):
        world.at(6 * DAY, lambda: world.wishes(Wish.HOST))
    if state in {State.DARK, State.GAP, State.BLIND, State.BACK}:
        world.at(6 * DAY, lambda: world.pull(length))
    if state is State.BLIND:
        world.at(7 * DAY, lambda: world.wishes(Wish.HOST))
    if pulled:
        world.entering(state, lambda: world.pull(length))
    else:
        world.entering(state, lambda: world.wishes(wish))
        world.at(20 * DAY, lambda: world.wishes(Wish.AWAY))

    world.run(40 * DAY)

    assert world.problems == []


def _travelled(**more) -> World:
    """Return a world in which a home has left, was gone for a while, and has come back."""
    world = World(ttls=[HOUR] * 8, bounds=SLOW, lags=[lambda _: 0, lambda _: DAY], outages=[(8 * DAY, 4 * DAY)], **more)
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    world.at(20 * DAY, lambda: world.wishes(Wish.HOST))
    world.run(40 * DAY)
    return world


def _impatient(stage, seen, ttl, what):
    return None


def _hasty(stage, seen, ttl, what):
    return None if seen is not None else Wait("not seen")


def _unilateral(hand, ours):
    return hand.their.ds


def _alone(hand, ours):
    return replace(hands.published(hand, ours), foreign=())


YES = property(lambda stage: True)
CARELESS = {
    "that waits for nobody": [(Stage, "after", _impatient)],
    "that waits for no TTL": [(Stage, "after", _hasty)],
    "that does not see whether they know our keys": [(Stage, "joint", YES), (Stage, "joined", YES)],
    "that does not see whether caches know our keys": [(Stage, "joined", YES), (Stage, "after", _hasty)],
    "that publishes the DS of one side": [(turns, "joint_ds", _unilateral)],
    "that publishes the keys of one side": [(turns, "published", _alone)],
    "that withdraws the hosted copy last": [(hands, "SERVED", hands.SERVED | {State.LEAVING_DRAIN})],
}


@pytest.mark.parametrize("rule", CARELESS)
def test_the_judge_finds_a_way_out_and_back(monkeypatch, rule):
    for place, name, careless in CARELESS[rule]:
        monkeypatch.setattr(place, name, careless)

    assert _travelled(obeys=None if "they know" in rule else HOUR).problems


def test_an_undisturbed_way_out_and_back_visits_every_state_in_turn():
    world = _travelled()

    assert [state for _, state in world.states] == [*[one for one in State if one in WAY][1:], State.HOSTED]
    assert world.problems == []


def test_who_has_lost_the_keys_has_the_copy_taken_away_before_new_servers_come():
    world = World(ttls=[HOUR] * 8, bounds=SLOW, **(DARK | {"lasting": 14 * DAY}), forgetful=3 * DAY)
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    world.at(6 * DAY, lambda: world.pull(4 * DAY))
    world.at(8 * DAY, lambda: setattr(world, "continuity", Continuity.NONE))
    world.run(9 * DAY)
    assert [state for _, state in world.states][-3:] == [State.DARK, State.GAP, State.AWAY]

    world.run(5 * DAY)

    assert world.alive()
    assert world.hand.state is State.AWAY
    assert world.problems == []


def test_a_home_without_power_is_served_from_its_copy_and_with_another_key_comes_back_through_a_gap():
    world = World(ttls=[HOUR] * 8, bounds=SLOW, **(DARK | {"lasting": 14 * DAY}), forgetful=3 * DAY)
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    world.at(10 * DAY, lambda: world.pull(4 * DAY))
    world.run(20 * DAY)

    assert [state for _, state in world.states][-4:] == [State.AWAY, State.DARK, State.GAP, State.AWAY]
    assert world.problems == []


def test_a_copy_is_withdrawn_before_its_signatures_end_and_the_judge_finds_one_that_is_not(monkeypatch):
    def outlived():
        world = World(ttls=[HOUR] * 8, bounds=SLOW, **DARK)
        world.at(HOUR, lambda: world.wishes(Wish.AWAY))
        world.at(8 * DAY, lambda: world.pull(11 * DAY))
        world.run(20 * DAY)
        return world

    world = outlived()
    monkeypatch.setattr(turns, "copy_until", lambda hand, bounds: hand.copy and START + 100 * DAY)
    careless = outlived()

    assert State.DARK in [state for _, state in world.states]
    assert world.problems == []
    assert any("after its signatures ended" in one for one in careless.problems)


def test_a_home_whose_servers_are_gone_for_good_comes_back_without_their_help():
    world = World(ttls=[HOUR] * 8, bounds=SLOW)
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    world.at(10 * DAY, lambda: world.pull(100 * DAY))
    world.at(11 * DAY, lambda: world.wishes(Wish.HOST))
    world.run(20 * DAY)

    assert [state for _, state in world.states][-3:] == [State.GAP, State.BLIND, State.HOSTED]
    assert world.problems == []


def test_a_home_that_signs_with_another_algorithm_stays_until_both_sides_agree():
    world = World(theirs_algorithm=15)
    world.at(HOUR, lambda: world.wishes(Wish.AWAY))
    world.run(5 * DAY)

    assert world.hand.state is State.HOSTED
    assert world.told == [
        "Let smith.homes.test. be signed here with algorithm 15 first, or there with ours (RFC 8901 §4)."
    ]
