"""When everybody has shown something: serials, DS records, and servers that say nothing."""

from __future__ import annotations

import hashlib
import struct

import pytest
from keys import NOW, ORIGIN, key, parent, secondary

from zone_signer import seen
from zone_signer.seen import Seen, Sighting

KEY, OTHER = key("a", "ooo"), key("b", "ooo")


def test_what_nobody_need_show_was_seen_when_it_began():
    assert seen.at_serial((), 5, NOW) == Seen(NOW)


def test_it_is_seen_when_the_last_server_has_shown_it():
    shown = (secondary(5, NOW + 3), secondary(6, NOW + 9, "ns3.test. 192.0.2.3:53"))

    assert seen.at_serial(shown, 5, NOW) == Seen(NOW + 9)


@pytest.mark.parametrize(
    ("last", "serial", "shown"),
    [(5, 5, True), (6, 5, True), (4, 5, False), (0, 2**32 - 1, True), (2**32 - 1, 0, False), (None, 5, False)],
)
def test_a_serial_is_shown_from_it_on_in_the_arithmetic_of_rfc_1982(last, serial, shown):
    assert (seen.at_serial((secondary(last),), serial, NOW).at is not None) is shown


def test_an_answer_from_before_does_not_count_and_one_at_that_second_does():
    assert seen.at_serial((secondary(5, NOW - 1),), 5, NOW).at is None
    assert seen.at_serial((secondary(5, NOW),), 5, NOW).at == NOW


def test_a_server_that_is_missing_is_named_with_what_is_wrong():
    silent = secondary(None, None, problem="timed out")

    found = seen.at_serial((secondary(4), silent), 5, NOW)

    assert found == Seen(
        None, ("ns2.test. 192.0.2.2:53 has not shown serial 5 (last 4)", "ns2.test. 192.0.2.2:53 timed out")
    )


def test_what_was_shown_counts_although_the_server_fails_to_answer_later():
    shown = Sighting("secondary", "ns2.", asked=NOW + 60, answered=NOW + 5, serial=5, problem="timed out")

    assert seen.at_serial((shown,), 5, NOW) == Seen(NOW + 5)


def test_a_ds_is_shown_when_all_servers_of_the_parent_have_it():
    both = (parent(KEY), parent(OTHER, server="b.nic."))

    assert seen.ds_shown((parent(KEY), parent(KEY, OTHER, answered=NOW + 7)), ORIGIN, KEY, NOW) == Seen(NOW + 7)
    assert seen.ds_shown(both, ORIGIN, KEY, NOW) == Seen(None, (f"b.nic. shows no DS {KEY.tag}",))


def test_a_ds_is_gone_when_no_server_of_the_parent_has_it():
    assert seen.ds_gone((parent(OTHER), parent()), ORIGIN, KEY, NOW) == Seen(NOW)
    assert seen.ds_gone((parent(OTHER), parent(KEY)), ORIGIN, KEY, NOW).at is None
    assert seen.ds_gone((secondary(5),), ORIGIN, KEY, NOW).at is None


def test_a_parent_that_nobody_asked_has_shown_nothing():
    nobody = Seen(None, ("nobody has asked the parent yet",))

    assert seen.ds_shown((), ORIGIN, KEY, NOW) == nobody
    assert seen.ds_gone((), ORIGIN, KEY, NOW) == nobody


def test_digests_of_types_2_and_4_are_of_the_key_and_others_are_not():
    head = struct.pack("!HB", KEY.tag, KEY.algorithm)

    assert seen.is_ds_of(ORIGIN, KEY, head + b"\2" + hashlib.sha256(ORIGIN + KEY.rdata).digest())
    assert seen.is_ds_of(ORIGIN, KEY, head + b"\4" + hashlib.sha384(ORIGIN + KEY.rdata).digest())
    assert not seen.is_ds_of(ORIGIN, KEY, head + b"\1" + hashlib.sha1(ORIGIN + KEY.rdata).digest())
    assert not seen.is_ds_of(ORIGIN, OTHER, head + b"\2" + hashlib.sha256(ORIGIN + KEY.rdata).digest())
    assert not seen.is_ds_of(ORIGIN, KEY, head)


def test_the_ttl_is_the_greatest_that_the_parent_said_or_the_default():
    assert seen.ds_ttl((parent(KEY, ttl=60), parent(KEY, ttl=600), parent()), 5) == 600
    assert seen.ds_ttl((parent(),), 5) == 5


def test_servers_that_deny_a_ds_or_show_a_strange_one_or_are_ahead_are_told():
    assert seen.ds_denied((parent(KEY), parent(server="b.nic."), parent(answered=None)), ORIGIN, KEY) == ("b.nic.",)
    assert seen.ds_shown_by((parent(KEY), parent(server="b.nic.")), ORIGIN, KEY) == ("a.nic.test. 192.0.2.9:53",)
    assert seen.strangers((parent(KEY, OTHER),), ORIGIN, [KEY]) == tuple(parent(OTHER).ds)
    assert seen.ahead((secondary(5), secondary(6, server="ns3."), secondary(None)), 5) == ("ns3.",)
