"""The law of keys, rule by rule: what is fine, and what a validator with some cache would find bogus."""

from __future__ import annotations

import pytest
from keys import NOW, key, ksk, zsk
from msgspec.structs import replace

from zone_signer.safety import fault


def rule(*views, insecure=False, before=None):
    found = fault(views, insecure=insecure, before=before)
    return None if found is None else found.rule


@pytest.mark.parametrize(
    "views",
    [
        [],
        [key("a", "ooo")],
        [key("a", "oor")],
        [ksk("k", "oo"), zsk("z", "oo")],
        [key("a", "ooo"), key("b", "rhh")],
        [key("a", "ooo"), key("b", "ohr")],
        [key("a", "ouo"), key("b", "oro")],
        [key("a", "ohu"), key("b", "ooo")],
        [key("a", "uhh"), key("b", "ooo")],
        [ksk("k", "oo"), zsk("y", "ou"), zsk("z", "or")],
        [key("a", "ooo"), key("b", "hrh", algorithm=15)],
        [key("a", "ooo"), key("b", "roh", algorithm=15)],
        [key("a", "uoh"), key("b", "ooo", algorithm=15)],
        [key("a", "rrh")],  # nobody trusts it
        [key("a", "uuh")],
    ],
)
def test_what_rolls_do_is_lawful(views):
    assert rule(*views) is None


@pytest.mark.parametrize(
    ("views", "broken"),
    [
        ([key("a", "oou")], "S0"),
        ([key("a", "roo")], "S1"),
        ([key("a", "uoo")], "S1"),
        ([key("a", "oou"), key("b", "ror")], "S1"),
        ([key("a", "uoo"), key("b", "oor")], "S1"),
        ([key("a", "ooo"), key("b", "hhr", algorithm=15)], "S1"),
        ([ksk("k", "oo")], "S2"),
        ([ksk("k", "oo"), zsk("z", "ro")], "S2"),
        ([ksk("k", "oo"), zsk("y", "ou"), zsk("z", "rr")], "S2"),
        ([ksk("k", "oo"), zsk("y", "uu"), zsk("z", "or")], "S2"),
        ([key("a", "ooo"), ksk("b", "oo", algorithm=15)], "S2"),
        ([key("a", "ooo"), key("b", "rhh", algorithm=15)], "S3"),
        ([key("a", "uuh"), key("b", "ooo", algorithm=15)], "S3"),
    ],
)
def test_what_some_cache_would_find_bogus_is_not(views, broken):
    assert rule(*views) == broken


def test_a_zone_may_lose_its_last_ds_only_when_that_is_meant():
    assert rule(key("a", "oou"), insecure=True) is None
    assert rule(key("a", "oou"), insecure=False) == "S0"


def test_two_keys_with_one_tag_are_wrong_unless_one_is_removed():
    one, other = key("a", "ooo"), replace(key("b", "hhh"), tag=key("a", "ooo").tag)

    assert rule(one, other) == "S4"
    assert rule(one, replace(other, removed=NOW)) is None


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        ([key("a", "ooh")], [key("a", "oor")], None),
        ([key("a", "roh")], [key("a", "ror")], "S1"),
        ([key("a", "orh")], [key("a", "orr")], "S5"),  # some cache has the zone unsigned
        ([key("a", "ouh"), key("b", "orh")], [key("a", "ouh"), key("b", "orr")], "S5"),  # a swap that may not be one
        ([key("a", "ooh"), key("b", "ohh")], [key("a", "ouh"), key("b", "orr")], "S5"),
        ([key("a", "ouu"), key("b", "oru")], [key("a", "ouu"), key("b", "orr")], None),  # called back: it was true
        ([key("a", "ooo"), key("b", "hoh", algorithm=15)], [key("a", "ooo"), key("b", "roh", algorithm=15)], None),
        ([key("a", "ooo"), key("b", "hrh", algorithm=15)], [key("a", "ooo"), key("b", "rrh", algorithm=15)], "S5"),
        ([key("a", "ooh"), key("b", "rrh", algorithm=15)], [key("a", "oor"), key("b", "rrh", algorithm=15)], "S5"),
        ([key("a", "ooo")], [key("a", "ooo"), key("b", "hhr")], "S5"),
    ],
)
def test_a_ds_or_an_algorithm_enters_only_when_every_cache_has_its_signatures(before, after, broken):
    assert rule(*after, before=before) == broken


def test_a_fault_is_a_sentence_with_the_tag_in_it():
    view = key("a", "uoo")

    found = fault([view], insecure=False)

    assert found is not None
    assert str(view.tag) in found.sentence
