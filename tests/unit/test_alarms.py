"""What a person is told before names stop to resolve: each alarm, and the moment before it."""

from __future__ import annotations

import pytest
from keys import NOW, ORIGIN, key, parent, secondary
from msgspec.structs import replace

from zone_signer import alarms
from zone_signer.alarms import SILENT, HomeHealth, SignerHealth, ZoneHealth
from zone_signer.phase import Record
from zone_signer.stage import Wait

DAY = 86400
KEY = key("a", "ooo")
ZONE = ZoneHealth(ORIGIN, serial=5, resign_at=NOW + 60, refresh=7 * DAY // 2, keys=[KEY])
SIGNER = SignerHealth("one", NOW, frozenset({b"m"}))


def codes(*zones, signers=(SIGNER,), now=NOW):
    return [one.code for one in alarms.alarms(zones, signers, now)]


def test_a_zone_and_a_signer_in_health_raise_none():
    healthy = replace(ZONE, secondaries=[secondary(5)], parents=[parent(KEY)])

    assert codes(healthy) == []


@pytest.mark.parametrize(
    ("late", "found"),
    [
        (DAY - 1, []),
        (DAY, ["signature-late"]),
        (7 * DAY // 4, ["signature-late"]),
        (7 * DAY // 4 + 1, ["signature-expires"]),
    ],
)
def test_signatures_that_are_a_day_late_and_those_half_way_to_their_end_are_alarms(late, found):
    assert codes(replace(ZONE, resign_at=NOW - late)) == found


def test_a_stuck_step_says_who_must_act():
    waits = [
        Wait("a", 7, Record.DS, None, "the parent shows no DS 7", "you: give it", stuck=True),
        Wait("a", 7, Record.DNSKEY, NOW, "caches", "nobody", stuck=False),
    ]

    (alarm,) = alarms.alarms([replace(ZONE, waits=waits)], [], NOW)

    assert (alarm.code, alarm.about, alarm.since) == ("step-stuck", "ds 7", NOW)
    assert alarm.sentence == "key 7 of a.test. waits: the parent shows no DS 7; who must act: you: give it"


def test_a_ds_of_no_key_is_an_alarm_with_the_record_in_it():
    (alarm,) = alarms.alarms([replace(ZONE, parents=[parent(KEY, key("b", "hhh"))])], [], NOW)

    assert alarm.code == "strange-ds"
    assert f"a.test. IN DS {key('b', 'hhh').tag} 13 2 " in alarm.sentence


def test_a_ds_that_is_none_is_told_all_the_same():
    odd = replace(parent(KEY), ds=(b"\0",))

    (alarm,) = alarms.alarms([replace(ZONE, parents=[odd])], [], NOW)

    assert alarm.sentence.endswith("a.test. IN DS \\# 1 00")


@pytest.mark.parametrize(("age", "found"), [(3599, []), (3600, ["secondary-behind"])])
def test_a_secondary_may_be_behind_for_an_hour(age, found):
    one = secondary(4)

    assert codes(replace(ZONE, secondaries=[one], lagging={one.server: NOW - age})) == found


def test_a_secondary_that_was_asked_before_there_was_something_new_is_not_behind():
    """Its row may be half an hour old, and older where the watcher is away: that says nothing about it."""
    one = secondary(4, NOW - 7200)

    assert codes(replace(ZONE, secondaries=[one], lagging={one.server: NOW - 7201})) == []


@pytest.mark.parametrize(("age", "found"), [(3599, []), (3600, ["server-silent"])])
@pytest.mark.parametrize("field", ["secondaries", "parents"])
def test_a_server_that_does_not_answer_is_missed_after_an_hour(age, found, field):
    one = replace(secondary(5, NOW - age, problem="does not answer"), asked=NOW)

    assert codes(replace(ZONE, **{field: [one]})) == found
    assert codes(replace(ZONE, **{field: [replace(one, problem="")]})) == []


def test_a_server_that_never_answered_is_missed_an_hour_after_the_zone_has_its_first_key():
    never = secondary(None, None, problem="has no address")
    young, old = key("a", "ooo", born=NOW - 3599), key("a", "ooo", born=NOW - 3600)

    assert codes(replace(ZONE, keys=[young], secondaries=[never])) == []
    (alarm,) = alarms.alarms([replace(ZONE, keys=[old], secondaries=[never])], [], NOW)
    assert (alarm.code, alarm.about, alarm.since) == ("server-silent", never.server, NOW - 3600)


@pytest.mark.parametrize(("late", "found"), [(3599, []), (3600, ["step-late"])])
def test_keys_that_nobody_looks_at_are_an_alarm(late, found):
    assert codes(replace(ZONE, step_at=NOW - late)) == found


def test_a_zone_that_cannot_be_signed_says_why():
    (alarm,) = alarms.alarms([replace(ZONE, problem="no vault", problem_since=NOW - 9)], [], NOW)

    assert (alarm.code, alarm.sentence, alarm.since) == ("signing-fails", "a.test. cannot be signed: no vault", NOW - 9)


def test_a_signer_that_is_silent_or_held_is_an_alarm():
    assert codes(signers=[replace(SIGNER, seen_at=NOW - SILENT)]) == []
    assert codes(signers=[replace(SIGNER, seen_at=NOW - SILENT - 1)]) == ["signer-silent"]
    assert codes(signers=[replace(SIGNER, held="the clock jumped")]) == ["signer-held"]


def test_a_master_key_that_not_all_living_signers_hold_is_an_alarm():
    other = SignerHealth("two", NOW, frozenset({b"m", b"n"}))

    assert codes(signers=[SIGNER, other]) == ["master-missing"]
    assert codes(signers=[SIGNER, replace(other, seen_at=NOW - SILENT - 1)]) == ["signer-silent"]


@pytest.mark.parametrize(
    ("state", "told", "until", "found"),
    [
        ("dark", "", NOW + DAY, ["copy-ends"]),
        ("dark", "", NOW + DAY + 1, []),
        ("back", "", NOW, []),
        ("gap", "", None, ["home-unserved"]),
        ("away", "ns1 does not answer.", None, ["home-wrong"]),
        ("away", "", None, []),
        ("leaving-keys", "Publish our keys.", None, []),
    ],
)
def test_a_home_whose_servers_are_gone_is_an_alarm_and_one_on_its_way_is_none(state, told, until, found):
    assert codes(replace(ZONE, home=HomeHealth(state, NOW - 9, told, until))) == found
