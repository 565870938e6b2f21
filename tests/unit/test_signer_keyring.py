"""Opened keys are remembered within a bound, and those that are used stay longest."""

from __future__ import annotations

import threading

import pytest

from ddns.dns.names import from_text
from zone_signer.keyring import Kept, KeyRing
from zone_signer.phase import Role
from zone_signer.records_of_keys import KeyRecords
from zone_signer.vault import Vault

ORIGIN = from_text("a.test.")
VAULT = Vault(bytes(32))
_SEALED = VAULT.make(ORIGIN, 13)[1]
KEPT = Kept((_SEALED,), KeyRecords.of_one(_SEALED.public, (13, _SEALED.tag)), "default", 4, 0)


def ring_of(zones, capacity):
    ring = KeyRing(VAULT, capacity)
    for zone in zones:
        ring.open(zone, ORIGIN, KEPT)
    return ring


def remembered(ring, zones):
    return [zone for zone in zones if ring._zones.get(zone) is not None]


def test_no_more_zones_are_remembered_than_may_be():
    ring = ring_of(range(10), 3)

    assert remembered(ring, range(10)) == [7, 8, 9]


def test_what_was_used_is_spared_once():
    ring = ring_of(range(3), 3)
    ring.get(0, ORIGIN, 4)

    ring.open(3, ORIGIN, KEPT)
    ring.open(4, ORIGIN, KEPT)
    assert remembered(ring, range(5)) == [0, 3, 4]

    ring.open(5, ORIGIN, KEPT)
    assert remembered(ring, range(6)) == [3, 4, 5]


def test_what_was_opened_just_now_is_remembered_whatever_else_is_used():
    ring = ring_of(range(3), 3)
    for zone in range(3):
        ring.get(zone, ORIGIN, 4)

    ring.open(3, ORIGIN, KEPT)

    assert ring.get(3, ORIGIN, 4) is not None
    assert len(remembered(ring, range(4))) == 3


def test_the_keys_of_another_name_are_not_given():
    ring = ring_of([1], 3)

    assert ring.get(1, from_text("b.test."), 4) is None
    assert ring.get(2, ORIGIN, 4) is None


@pytest.mark.parametrize("keyset", [3, 5])
def test_keys_are_given_under_the_number_that_they_were_read_with_and_no_other(keyset):
    ring = ring_of([1], 3)

    assert ring.get(1, ORIGIN, 4) is not None
    assert ring.get(1, ORIGIN, keyset) is None


def test_what_signs_the_apex_and_what_signs_the_rest_are_told_apart():
    ksk, zsk = (VAULT.make(ORIGIN, 13, role)[1] for role in (Role.KSK, Role.ZSK))
    records = KeyRecords((ksk.public, zsk.public), apex=frozenset({(13, ksk.tag)}), zone=frozenset({(13, zsk.tag)}))

    keys = KeyRing(VAULT).opened(ORIGIN, Kept((ksk, zsk), records, "default", 1, 0))

    assert [who.tag for who in keys.at_apex] == [ksk.tag]
    assert [who.tag for who in keys.in_zone] == [zsk.tag]


def test_threads_that_open_and_use_keys_together_keep_the_bound():
    ring = KeyRing(VAULT, 5)

    def work(first):
        for zone in range(first, first + 200):
            ring.open(zone % 23, ORIGIN, KEPT)
            ring.get(zone % 7, ORIGIN, 4)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(remembered(ring, range(23))) == 5
