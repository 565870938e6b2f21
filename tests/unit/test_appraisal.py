"""Rules for evidence: each word of a condition met and missed, how they are joined, and rules that say nothing."""

import json

import pytest

from ddns.proof import appraisal
from ddns.proof.appraisal import BadRules

CLAIMS = {
    "oemid": "b2Vt", "dbgstat": "disabled-permanently", "hwversion": ["1.2", 1], "bootcount": 7, "oemboot": True,
    "measurements": [[258, "bWVhc3VyZWQ"]], "submods": {"radio": {"dbgstat": "enabled"}}, "a/b": "slash",
}  # fmt: skip


def appraised(*conditions, join="all", gives="attested"):
    rules = appraisal.read(json.dumps({join: list(conditions), "gives": gives}).encode())
    return appraisal.appraise(CLAIMS, rules)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"claim": "oemid", "is": ["b2Vt"]}, True),
        ({"claim": "oemid", "is": "b2Vt"}, True),
        ({"claim": "oemid", "is": ["x", "y"]}, False),
        ({"claim": "oemboot", "is": True}, True),
        ({"claim": "oemboot", "is": 1}, False),
        ({"claim": "bootcount", "is": True}, False),
        ({"claim": "nothing", "is": "x"}, False),
        ({"claim": "bootcount", "least": 7}, True),
        ({"claim": "bootcount", "least": 8}, False),
        ({"claim": "oemboot", "least": 0}, False),
        ({"claim": "oemid", "least": 0}, False),
        ({"claim": "measurements", "holds": "bWVhc3VyZWQ"}, True),
        ({"claim": "measurements", "holds": "bWVhc3"}, False),
        ({"claim": "measurements", "holds": 258}, True),
        ({"claim": "submods", "holds": "enabled"}, True),
        ({"claim": "oemboot", "holds": 1}, False),
        ({"claim": "oemid", "there": True}, True),
        ({"claim": "oemid", "there": False}, False),
        ({"claim": "nothing", "there": False}, True),
        ({"claim": "submods/radio/dbgstat", "is": "enabled"}, True),
        ({"claim": "submods/radio/nothing", "is": "enabled"}, False),
        ({"claim": "oemid/deeper", "is": "enabled"}, False),
        ({"claim": "a/b", "is": "slash"}, True),
    ],
    ids=str,
)
def test_each_word_is_met_or_missed(condition, met):
    found = appraised(condition)

    assert found.assurance == ("attested" if met else "")
    assert found.missed == (() if met else (condition["claim"],))


def test_all_names_all_that_is_missed_and_any_needs_one():
    good, bad, worse = {"claim": "oemid", "there": True}, {"claim": "x", "is": 1}, {"claim": "y", "is": 1}

    assert appraised(good, bad, worse).missed == ("x", "y")
    assert appraised(bad, good, join="any").assurance == "attested"
    assert appraised(bad, worse, join="any").missed == ("x", "y")
    assert appraised(good, {"any": [bad, {"all": [good, good]}]}, gives="voucher").assurance == "voucher"


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"all": [], "gives": "attested"}', "list conditions"),
        (b'{"gives": "attested"}', "condition"),
        (b'{"all": [{"claim": "x", "is": 1}]}', "gives"),
        (b'{"all": [{"claim": "x", "is": 1}], "gives": "perfect"}', "gives"),
        (b'{"all": [{"claim": "x"}], "gives": "attested"}', "condition"),
        (b'{"all": [{"claim": "x", "is": 1, "least": 2}], "gives": "attested"}', "condition"),
        (b'{"all": [{"claim": "", "is": 1}], "gives": "attested"}', "condition"),
        (b'{"all": [{"claim": "x", "is": []}], "gives": "attested"}', "is must"),
        (b'{"all": [{"claim": "x", "is": [null]}], "gives": "attested"}', "is must"),
        (b'{"all": [{"claim": "x", "least": 1.5}], "gives": "attested"}', "least"),
        (b'{"all": [{"claim": "x", "least": true}], "gives": "attested"}', "least"),
        (b'{"all": [{"claim": "x", "holds": []}], "gives": "attested"}', "holds"),
        (b'{"all": [{"claim": "x", "there": 1}], "gives": "attested"}', "there"),
        (b'{"all": [{"claim": "x", "like": "y"}], "gives": "attested"}', "like is no word"),
        (b'{"all": [7], "gives": "attested"}', "object"),
        (b'{"all": [{"claim": "x", "is": 1}], "any": [], "gives": "attested"}', "condition"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused_by_name(rules, why):
    with pytest.raises(BadRules, match=why):
        appraisal.read(rules)


def nested(depth):
    condition = {"claim": "oemid", "there": True}
    for _ in range(depth):
        condition = {"all": [condition]}
    return json.dumps(condition | {"gives": "attested"}).encode()


def test_too_deep():
    assert appraisal.read(nested(appraisal.DEEPEST))
    with pytest.raises(BadRules, match="deeper"):
        appraisal.read(nested(appraisal.DEEPEST + 1))


def test_conditions_are_counted():
    one = {"claim": "oemid", "there": True}

    assert appraised(*[one] * (appraisal.MOST_CONDITIONS - 1)).assurance
    with pytest.raises(BadRules, match="more than 64"):
        appraised(*[one] * appraisal.MOST_CONDITIONS)


def test_a_single_condition_may_stand_alone():
    assert (
        appraisal.appraise(CLAIMS, appraisal.read(b'{"claim": "oemid", "there": true, "gives": "qr"}')).assurance
        == "qr"
    )
