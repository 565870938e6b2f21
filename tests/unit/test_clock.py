"""When a signer believes its clock: every bound at n and n + 1."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from zone_signer.clock import ACCEPT, SLACK, Bounds, Reading, Trust, judge

NOW = 1_800_000_000
BOUNDS = Bounds()
READING = Reading(system=NOW, monotonic=500.0, database=NOW, synchronized=True)
BEFORE = Reading(system=NOW - 60, monotonic=440.0, database=NOW - 60, synchronized=True)


def test_clocks_that_agree_are_believed():
    assert judge(READING, BEFORE, NOW - 60, 0, BOUNDS) == Trust(NOW)
    assert judge(READING, None, 0, 0, BOUNDS) == Trust(NOW)


@pytest.mark.parametrize(
    ("reading", "last", "high", "word"),
    [
        (READING, BEFORE, NOW + SLACK + 1, "behind the last time that was signed by"),
        (replace(READING, database=NOW - 61), BEFORE, NOW - 60, "61 s ahead of that of the database"),
        (replace(READING, database=NOW + 61), BEFORE, NOW - 60, "61 s behind that of the database"),
        (replace(READING, monotonic=199.0), BEFORE, NOW - 60, "jumped 301 s forward"),
        (replace(READING, monotonic=801.0), BEFORE, NOW - 60, "jumped 301 s back"),
        (replace(READING, synchronized=False), None, NOW - BOUNDS.gap - 1, "nothing says"),
        (replace(READING, synchronized=None), None, NOW - BOUNDS.gap - 1, "nothing says"),
    ],
)
def test_a_clock_beyond_a_bound_is_refused_with_a_sentence(reading, last, high, word):
    trust = judge(reading, last, high, 0, BOUNDS)

    assert trust.now is None
    assert word in trust.refused


@pytest.mark.parametrize(
    ("reading", "last", "high"),
    [
        (READING, BEFORE, NOW + SLACK),
        (replace(READING, database=NOW - 60), BEFORE, NOW - 60),
        (replace(READING, database=NOW + 60), BEFORE, NOW - 60),
        (replace(READING, monotonic=200.0), BEFORE, NOW - 60),
        (replace(READING, monotonic=800.0), BEFORE, NOW - 60),
        (replace(READING, synchronized=False), None, NOW - BOUNDS.gap),
        (READING, None, NOW - 400 * 86400),  # away for a year, and the kernel says that the clock is right
    ],
)
def test_a_clock_at_a_bound_is_believed(reading, last, high):
    assert judge(reading, last, high, 0, BOUNDS) == Trust(NOW)


def test_what_a_person_accepted_holds_for_an_hour():
    wrong = replace(READING, synchronized=False)
    high = NOW - 10 * 365 * 86400

    assert judge(wrong, None, high, NOW + ACCEPT, BOUNDS) == Trust(NOW)
    assert judge(wrong, None, high, NOW, BOUNDS) == Trust(NOW)
    assert judge(wrong, None, high, NOW - 1, BOUNDS).now is None
    assert judge(wrong, None, high, NOW + ACCEPT + 1, BOUNDS).now is None
