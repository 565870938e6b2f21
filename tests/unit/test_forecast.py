"""What `plan` promises is what happens: the same moves at the same seconds."""

from __future__ import annotations

import re

import pytest
from keys import GOAL, NOW, POLICY, SPLIT, facts, key, ksk, order, parent, secondary, zsk
from msgspec.structs import replace
from rolling import World

from zone_signer.forecast import forecast
from zone_signer.goal import goal_of
from zone_signer.keypolicy import KeyPolicy
from zone_signer.policy import Policy

DAY = 86400


def test_nothing_is_forecast_where_nothing_is_due():
    assert forecast(facts(), [key("a", "ooo")], GOAL, POLICY, NOW, NOW + 400 * DAY) == ()


def test_a_zsk_that_ends_is_replaced_in_the_order_of_rfc_7583_and_nobody_else_need_act():
    policy = replace(POLICY, zsk_lifetime=10 * DAY, lifetime_jitter=0.0)
    views = [ksk("k", "oo"), zsk("z", "oo", born=NOW)]

    planned = forecast(facts(), views, SPLIT, policy, NOW, NOW + 12 * DAY)

    ahead = NOW + 10 * DAY - 110
    assert [(one.at - ahead, one.action, one.key) for one in planned] == [
        (0, "make", "z"),
        (0, "publish", "new-1"),
        (110, "ready", "new-1"),
        (110, "sign with", "new-1"),
        (110, "stop to sign with", "z"),
        (330, "signatures nowhere of", "z"),
        (330, "signatures everywhere of", "new-1"),
        (330, "withdraw", "z"),
        (450, "remove", "z"),
    ]
    assert all(one.sure for one in planned)
    assert "reaches its lifetime" in planned[0].why


def test_what_comes_after_the_parent_had_to_act_is_not_sure():
    planned = forecast(
        facts(parents=(parent(key("a", "ooo")),)),
        [key("a", "ooo")],
        GOAL,
        POLICY,
        NOW,
        NOW + 30 * DAY,
        orders=[order("roll")],
    )

    sure = [one.action for one in planned if one.sure]
    assert sure == ["make", "publish", "ready", "give the DS of"]
    assert planned[-1].action == "remove"


@pytest.mark.parametrize("scheme", ["csk", "ksk+zsk"])
@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("algorithm", [13, 15])
@pytest.mark.parametrize("check", ["auto", "manual"])
def test_with_such_servers_the_real_run_does_the_same_at_the_same_times(scheme, here, algorithm, check):
    policy = KeyPolicy(scheme=scheme, zsk_lifetime=0, parent_check=check, signatures=Policy(dnskey_ttl=600))
    lag = [lambda _: 60]
    world = World(
        policy, lags=lag, parent_lags=lag if here else [lambda _: 0], here=here, every=0, adopts=3600, exact=True
    )
    world.run(5 * DAY)
    asked = [] if algorithm == world.algorithm else None
    if asked is not None:
        asked = [order("roll", number=10_000, at=world.now)]
        world.orders = list(asked)
    world.algorithm = algorithm
    begin, before = world.now, len(world.steps)
    goal = goal_of(algorithm, "secure", policy)
    world._look()
    planned = forecast(world.facts, world.keys, goal, policy, begin, begin + 20 * DAY, orders=asked or ())

    world.run(20 * DAY)

    happened = [
        (at, move.record, move.why)
        for at, taken in world.steps[before:]
        for move in taken.moves
        if move.before is not move.after
    ]
    foreseen = [(one.at, one.record, one.why) for one in planned if one.record is not None]
    assert [(at, record) for at, record, _ in happened] == [(at, record) for at, record, _ in foreseen]


def test_a_server_that_has_not_answered_is_taken_to_do_so_in_a_minute():
    silent = secondary(None, None, problem="timed out")

    planned = forecast(
        facts(secondaries=(silent,)), [key("a", "ooo")], GOAL, POLICY, NOW, NOW + DAY, orders=[order("roll")]
    )

    assert [(one.at - NOW, one.action) for one in planned][:3] == [(0, "make"), (0, "publish"), (170, "ready")]


def test_a_key_that_is_not_made_yet_has_no_tag_in_any_reason():
    policy = replace(POLICY, zsk_lifetime=10 * DAY, lifetime_jitter=0.0)
    views = [ksk("k", "oo"), zsk("z", "oo", born=NOW)]
    tags = {str(view.tag) for view in views}

    planned = forecast(facts(), views, SPLIT, policy, NOW, NOW + 40 * DAY)

    named = {word for one in planned for word in re.findall(r"key ([0-9]+|new-[0-9]+)", one.why)}
    assert {"new-1", "new-2", str(views[1].tag)} <= named
    assert named <= tags | {f"new-{number}" for number in range(1, 5)}
