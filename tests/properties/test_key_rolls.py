"""Rolls of keys in worlds as bad as can be: whatever is asked and whoever lags, no cache finds a zone bogus."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rolling import START, World

from zone_signer import beginning, safety, seen, settling
from zone_signer.keypolicy import KeyPolicy
from zone_signer.phase import MOVING, Phase, Record, Role
from zone_signer.policy import Policy
from zone_signer.seen import Seen

DAY = 86400

short = st.sampled_from([0, 1, 59, 600, 3600])
ttls = st.sampled_from([1, 60, 3600, 2 * DAY])


@st.composite
def lags(draw):
    """How long a server lags, and when it stands still and for how long."""
    usual = draw(st.sampled_from([0, 1, 45, 7200]))
    still = draw(st.lists(st.tuples(st.integers(0, 40 * DAY), st.integers(1, 15 * DAY)), max_size=2))

    def lag(at: int) -> int:
        shown = at + usual
        for begin, length in sorted(still):
            if START + begin <= shown < START + begin + length:
                shown = START + begin + length
        return shown - at

    return lag


policies = st.builds(
    KeyPolicy,
    scheme=st.sampled_from(["csk", "ksk+zsk"]),
    algorithm=st.sampled_from([None, 13, 15]),
    csk_lifetime=st.sampled_from([0, 0, 20 * DAY]),
    ksk_lifetime=st.sampled_from([0, 0, 30 * DAY]),
    zsk_lifetime=st.sampled_from([0, 5 * DAY, 10 * DAY]),
    publish_safety=short,
    retire_safety=short,
    ds_ttl=ttls,
    parent_check=st.sampled_from(["auto", "auto", "manual"]),
    purge_after=st.just(5 * DAY),
    vault=st.sampled_from(["sealed", "sealed", "pkcs11:one"]),
    signatures=st.builds(Policy, dnskey_ttl=ttls),
)
kinds = st.sampled_from(["roll", "roll", "emergency", "cancel", "cancel", "insecure", "secure", "policy", "algorithm"])
happenings = st.lists(
    st.tuples(
        st.integers(0, 40 * DAY), kinds, st.sampled_from([None, *Role]), policies, st.sampled_from([8, 13, 14, 15])
    ),
    max_size=6,
)


@st.composite
def worlds(draw):
    here = draw(st.booleans())
    kept = draw(policies)
    world = World(
        kept,
        algorithm=draw(st.sampled_from([13, 15])),
        lags=draw(st.lists(lags(), max_size=3)),
        # A parent's first server shows at once what it publishes; who changes nowhere else unseen cannot be waited for.
        parent_lags=[lambda _: 0, *draw(st.lists(lags(), max_size=1))],
        here=here,
        parent_signed=not here or draw(st.sampled_from([True, True, False])),
        adopts=draw(st.sampled_from([0, 60, DAY, 30 * DAY])),
        pipeline=draw(st.sampled_from([0, 3600, DAY // 2])) if kept.parent_check == "auto" else 0,
        every=draw(st.sampled_from([0, 60, 3600])),
        slicing=draw(st.sampled_from([0, 0, 1, DAY])),
        max_ttl=draw(ttls),
        signed=draw(st.sampled_from([True, True, True, False])),
    )
    # TTLs and the way to ask the parent are the world's; the rest of a policy may change at any time.
    for when, kind, role, policy, algorithm in draw(happenings):
        changed = replace(policy, ds_ttl=kept.ds_ttl, parent_check=kept.parent_check)
        world.at(when, lambda kind=kind, role=role, new=changed, to=algorithm: _happen(world, kind, role, new, to))
    return world


def _happen(world, kind, role, policy, algorithm):
    if kind == "policy":
        world.policy = policy
    elif kind == "algorithm":
        world.algorithm = algorithm
    else:
        world.ask(kind, role=role)


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_no_combination_that_caches_may_hold_is_ever_bogus(world):
    """At every moment of two months of orders, policies that change, lags, outages and parents that take weeks."""
    world.run(60 * DAY)

    assert world.problems == []


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_a_zone_that_is_left_alone_comes_to_what_its_policy_asks_for(world):
    """Once everybody does what they should: the keys of the goal, all of them settled, and no others."""
    world.run(60 * DAY)
    world.policy = replace(world.policy, csk_lifetime=0, ksk_lifetime=0, zsk_lifetime=0)

    world.run(200 * DAY)

    assert not any(phase in MOVING for key in world.keys for phase in key.phases), world.last
    assert world.problems == []
    roles = (Role.CSK,) if world.policy.scheme == "csk" else (Role.KSK, Role.ZSK)
    found = sorted(key.role for key in world.staying())
    assert found == (sorted(roles) if world.wish == "secure" else [])
    assert (world.denial == "none") == (world.wish == "insecure")


def _split(**more) -> KeyPolicy:
    signatures = Policy(dnskey_ttl=3600)
    return KeyPolicy(scheme="ksk+zsk", zsk_lifetime=0, publish_safety=0, retire_safety=0, signatures=signatures, **more)


def _slow(_: int) -> int:
    return 5 * DAY


def _rolled(policy: KeyPolicy, *, algorithm: int = 13, **more) -> World:
    """Return a world after a roll of all keys, to *algorithm*."""
    world = World(policy, **more)
    world.run(5 * DAY)
    if algorithm == world.algorithm:
        world.ask("roll")
    world.algorithm = algorithm
    world.run(60 * DAY)
    return world


def _careless_ds(now):
    for key in now.keys:
        if key.stays and key.ds is Phase.HIDDEN:
            yield (now.begin(key, Record.DS, Phase.RUMOURED, "why not"),)


def _careless_withdrawal(now):
    for key in now.keys:
        if not key.stays and key.dnskey is Phase.OMNIPRESENT:
            yield (now.begin(key, Record.DNSKEY, Phase.UNRETENTIVE, "why not"),)


@pytest.mark.parametrize("algorithm", [13, 15])
def test_an_undisturbed_roll_ends_and_is_never_bogus(algorithm):
    world = _rolled(_split(), algorithm=algorithm, lags=[_slow])

    assert world.problems == []
    assert {(key.algorithm, key.label()) for key in world.staying()} == {(algorithm, "active")}
    assert len([one for _, one in world.steps if one.destroy]) == 2


def test_the_judge_finds_a_roll_that_does_not_wait_for_ttls(monkeypatch):
    monkeypatch.setattr(settling, "ttl_of", lambda *_: 0)
    monkeypatch.setattr(beginning, "ttl_of", lambda *_: 0)

    assert _rolled(_split()).problems


def test_the_judge_finds_a_roll_that_does_not_wait_for_a_secondary(monkeypatch):
    monkeypatch.setattr(settling, "_at_serial", lambda _, __, ___, since: Seen(since))

    assert _rolled(_split(), lags=[_slow]).problems


def test_the_judge_finds_a_roll_that_does_not_wait_for_the_parent(monkeypatch):
    monkeypatch.setattr(seen, "ds_shown", lambda _, __, ___, since: Seen(since))
    monkeypatch.setattr(seen, "ds_gone", lambda _, __, ___, since: Seen(since))
    monkeypatch.setattr(settling, "_contradicted", lambda *_: iter(()))

    assert _rolled(_split(), adopts=30 * DAY).problems


def _called_back(policy: KeyPolicy) -> World:
    """Return a world in which a new algorithm is called back while the parent is about to publish its DS."""
    world = World(policy, adopts=60, pipeline=DAY // 2)
    world.run(5 * DAY)
    world.algorithm = 15
    world.run(7500)
    world.algorithm = 13
    world.run(30 * DAY)
    return world


def test_a_ds_that_is_on_its_way_when_it_is_called_back_finds_its_key_and_without_patience_the_judge_finds_it_bogus():
    patient = _called_back(_split(ds_ttl=60))

    assert patient.problems == []
    assert {(key.algorithm, key.label()) for key in patient.staying()} == {(13, "active")}
    assert _called_back(_split(ds_ttl=60, patience=0)).problems


@pytest.mark.parametrize(
    ("rule", "careless", "algorithm"),
    [("_give_ds", _careless_ds, 15), ("_withdraw", _careless_withdrawal, 13), ("_withdraw", _careless_withdrawal, 15)],
)
def test_the_law_holds_back_what_a_careless_rule_would_do_and_without_it_the_judge_finds_that(
    monkeypatch, rule, careless, algorithm
):
    kinds = tuple(careless if kind.__name__ == rule else kind for kind in beginning._KINDS)
    ordered = tuple(sorted(kinds, key=lambda kind: kind is not careless))
    monkeypatch.setattr(beginning, "_KINDS", ordered)
    kept = _rolled(_split(), algorithm=algorithm)

    monkeypatch.setattr(safety, "fault", lambda *_, **__: None)
    lawless = _rolled(_split(), algorithm=algorithm)

    assert kept.problems == []
    assert lawless.problems
