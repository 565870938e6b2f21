"""Opened keys are remembered within a bound, and those that are used stay longest."""

from __future__ import annotations

import threading

from ddns.dns.names import from_text
from zone_signer.keyring import KeyRing
from zone_signer.vault import Vault

ORIGIN = from_text("a.test.")
VAULT = Vault(bytes(32))
SEALED = [VAULT.make(ORIGIN, 13)[1]]


def ring_of(zones, capacity):
    ring = KeyRing(VAULT, capacity)
    for zone in zones:
        ring.open(zone, ORIGIN, SEALED, 0)
    return ring


def remembered(ring, zones):
    return [zone for zone in zones if ring._zones.get(zone) is not None]


def test_no_more_zones_are_remembered_than_may_be():
    ring = ring_of(range(10), 3)

    assert remembered(ring, range(10)) == [7, 8, 9]


def test_what_was_used_is_spared_once():
    ring = ring_of(range(3), 3)
    ring.get(0, ORIGIN)

    ring.open(3, ORIGIN, SEALED, 0)
    ring.open(4, ORIGIN, SEALED, 0)
    assert remembered(ring, range(5)) == [0, 3, 4]

    ring.open(5, ORIGIN, SEALED, 0)
    assert remembered(ring, range(6)) == [3, 4, 5]


def test_what_was_opened_just_now_is_remembered_whatever_else_is_used():
    ring = ring_of(range(3), 3)
    for zone in range(3):
        ring.get(zone, ORIGIN)

    ring.open(3, ORIGIN, SEALED, 0)

    assert ring.get(3, ORIGIN) is not None
    assert len(remembered(ring, range(4))) == 3


def test_the_keys_of_another_name_are_not_given():
    ring = ring_of([1], 3)

    assert ring.get(1, from_text("b.test.")) is None
    assert ring.get(2, ORIGIN) is None


def test_threads_that_open_and_use_keys_together_keep_the_bound():
    ring = KeyRing(VAULT, 5)

    def work(first):
        for zone in range(first, first + 200):
            ring.open(zone % 23, ORIGIN, SEALED, 0)
            ring.get(zone % 7, ORIGIN)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(remembered(ring, range(23))) == 5
