"""When people are reminded: at the moments that are written, and late where nothing ran at those."""

import pytest

from ddns.homes import reminders
from ddns.homes.reminders import DAY

FILED = 1_800_000_000
DUE = FILED + 30 * DAY
HALF, SOON = FILED + 15 * DAY, DUE - 3 * DAY


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (FILED, None), (HALF - 1, None), (HALF, SOON), (SOON - 1, SOON), (SOON, DUE), (DUE - 1, DUE), (DUE, None),
        (DUE + DAY, None),
    ],
)  # fmt: skip
def test_a_claim_is_told_of_at_half_time_and_three_days_before_its_end(now, until):
    assert reminders.claim_reminder(FILED, DUE, now) == until


def test_the_shortest_wait_has_both_reminders_in_their_order():
    due = FILED + 7 * DAY
    told = [reminders.claim_reminder(FILED, due, FILED + hours * 3600) for hours in range(7 * 24)]

    assert [one for place, one in enumerate(told) if one is not None and one != told[place - 1]] == [due - 3 * DAY, due]


@pytest.mark.parametrize(
    ("number", "most", "level"),
    [(0, 0, 0), (9, 0, 0), (0, 10, 0), (7, 10, 0), (8, 10, 80), (9, 10, 80), (10, 10, 100), (11, 10, 100), (1, 1, 100)],
)
def test_a_bound_is_near_at_four_fifths(number, most, level):
    assert reminders.quota_level(number, most) == level


@pytest.mark.parametrize(
    ("number", "threshold", "over"), [(5, 0, False), (0, 1, False), (4, 5, False), (5, 5, True), (6, 5, True)]
)
def test_a_threshold_of_nothing_tells_of_nothing(number, threshold, over):
    assert reminders.is_over(number, threshold) is over
