"""What is wrong is logged when it begins, every hour while it lasts, and when it is over."""

from __future__ import annotations

from msgspec.structs import replace

from zone_signer import vigil
from zone_signer.alarms import Alarm
from zone_signer.vigil import Vigil

NOW = 1_800_000_000
LATE = Alarm("step-late", "a.test.", "look at a.test.", NOW - 3600)
SILENT = Alarm("server-silent", "a.test.", "ns2 does not answer", NOW - 3600, "ns2")


def test_an_alarm_is_logged_once_then_hourly_then_once_when_it_is_over():
    watch = Vigil()

    lasting = {at: watch.found([LATE], NOW + at) for at in (0, 60, 3599, 3600, 3660)}
    over = {at: watch.found([], NOW + at) for at in (3720, 3780)}

    said = "code=step-late zone=a.test. sentence=look at a.test."
    assert lasting == {
        0: [f"signer.alarm begins {said}"],
        60: [],
        3599: [],
        3600: [f"signer.alarm lasts {said}"],
        3660: [],
    }
    assert over == {3720: [f"signer.alarm over {said}"], 3780: []}


def test_an_alarm_goes_on_although_its_words_change_and_two_servers_are_two_alarms():
    watch = Vigil()
    other = replace(SILENT, about="ns3", sentence="ns3 does not answer")
    watch.found([SILENT], NOW)

    assert watch.found([replace(SILENT, sentence="ns2 refuses", since=NOW), other], NOW + 60) == [
        "signer.alarm begins code=server-silent zone=a.test. sentence=ns3 does not answer"
    ]
    assert watch.found([other], NOW + 120) == ["signer.alarm over code=server-silent zone=a.test. sentence=ns2 refuses"]


def test_what_begins_again_is_new():
    watch = Vigil()
    for at in (0, 60):
        assert len(watch.found([LATE], NOW + at)) == (at == 0)
    watch.found([], NOW + 120)

    assert watch.found([LATE], NOW + 180)[0].startswith("signer.alarm begins ")


def test_an_alarm_about_no_zone_says_so():
    (line,) = Vigil().found([Alarm("signer-held", None, "one signs nothing: no clock", NOW, "one")], NOW)

    assert line == "signer.alarm begins code=signer-held zone=- sentence=one signs nothing: no clock"


def test_of_very_many_alarms_a_hundred_are_logged_and_the_rest_counted():
    watch = Vigil()
    many = [replace(LATE, zone=f"z{number}.test.") for number in range(vigil.MOST + 7)]

    lines = watch.found(many, NOW)

    assert len(lines) == vigil.MOST + 1
    assert lines[-1] == f"signer.alarms more=7 lasting={len(many)} sentence=zone-signer check lists all"
    assert watch.found(many, NOW + 60) == []
    assert len(watch.found(many[: vigil.MOST], NOW + 60)) == 7
