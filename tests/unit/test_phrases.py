"""What updates ask for and what rules say, in words that people read and a journal keeps."""

import craft
import pytest

from ddns.auth.phrases import rule_in_words, rules_in_words
from ddns.auth.principal import Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.zone.phrases import MOST_RDATA, asked
from ddns.zone.update import parse

A, AAAA = int(Type.A), int(Type.AAAA)


def phrases(*operations, needs=(), rdata=False):
    return list(asked(parse(craft.message(*operations, needs=needs)), rdata=rdata))


@pytest.mark.parametrize(
    ("record", "short", "long"),
    [
        (craft.add("cam", 60, "A", "192.0.2.1"), "add cam.smith.example. A", "add cam.smith.example. 60 A 192.0.2.1"),
        (craft.delete("cam", "A"), "delete cam.smith.example. A", "delete cam.smith.example. A"),
        (craft.delete("cam"), "delete cam.smith.example. of all types", "delete cam.smith.example. of all types"),
        (
            craft.delete_record("cam", "A", "192.0.2.1"),
            "delete cam.smith.example. A (one record)",
            "delete cam.smith.example. A 192.0.2.1",
        ),
    ],
)
def test_an_operation_is_a_phrase_with_name_and_type(record, short, long):
    assert phrases(record) == [short]
    assert phrases(record, rdata=True) == [long]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (craft.exists("cam"), "needs cam.smith.example. in use"),
        (craft.absent("cam"), "needs cam.smith.example. not in use"),
        (craft.exists("cam", "A"), "needs cam.smith.example. A"),
        (craft.absent("cam", "A"), "needs no cam.smith.example. A"),
        (craft.equals("cam", "A", "192.0.2.1"), "needs cam.smith.example. A 192.0.2.1"),
    ],
)
def test_a_prerequisite_is_a_phrase_with_what_it_needs(record, says):
    assert phrases(needs=[record], rdata=True) == [says]


def test_what_stands_behind_a_malformed_operation_is_named_too():
    wrong = craft.rr("b", "A", craft.IN, 60, b"\1")

    assert phrases(craft.delete("a", "A"), wrong, craft.delete("c", "A")) == [
        "delete a.smith.example. A", "write b.smith.example. A", "write c.smith.example. A",
    ]  # fmt: skip


def test_long_data_is_cut():
    (phrase,) = phrases(craft.add("a", 60, "TXT", f'"{"x" * 200}"'), rdata=True)

    assert phrase.endswith("x…")
    assert len(phrase) == len("add a.smith.example. 60 TXT ") + MOST_RDATA


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Grant(1, craft.ORIGIN, rule="zone", id=7), "rule 7: zone smith.example. all types"),
        (Grant(1, craft.name("a"), frozenset({A, AAAA}), most=((A, 2),)), "subdomain a.smith.example. A(2),AAAA"),
        (Grant(1, craft.name("a"), rule="self"), "self all types"),
        (Grant(1, craft.name("a"), min_assurance="qr"), "subdomain a.smith.example. all types from assurance qr on"),
        (
            Grant(1, craft.ORIGIN, frozenset({A}), "zone", denied="Not here", homes=True, min_assurance="qr"),
            "deny zone smith.example. of its homes A below qr (Not here)",
        ),
    ],
)
def test_a_rule_is_a_phrase_with_number_names_and_types(rule, says):
    assert rule_in_words(rule) == says


def test_the_rules_of_a_key_are_those_of_the_zone_and_no_more_than_fit():
    rules = tuple(Grant(zone, craft.name(f"n{n}"), id=n) for zone in (1, 2) for n in range(5))
    key = Credential(1, names.from_text("k."), "tsig", "hmac-sha256", home=1, grants=rules)

    said = rules_in_words(key, 1, 3)

    assert said[0] == "the home's own key: all of it"
    assert said[1:] == (
        "subdomain n0.smith.example. all types", "rule 1: subdomain n1.smith.example. all types",
        "rule 2: subdomain n2.smith.example. all types", "and 2 more",
    )  # fmt: skip


def test_an_invitation_says_that_it_is_one():
    key = Credential(1, names.from_text("k."), "tsig", "hmac-sha256", invitation=9)

    assert rules_in_words(key, 1, 3) == ("invitation 9: one enrolment",)
