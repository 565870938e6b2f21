"""How boxes wait for a registry that is away: for an hour at most, and never together."""

from __future__ import annotations

import itertools
import random

import pytest

from ddns.gateway import retry

BOXES = 500
AWAY = 3600  # seconds


def arrivals(seed, away=AWAY):
    """Return when each of 500 boxes, all begun in the same second, comes first after the registry is back."""
    chance = random.Random(seed)
    found = []
    for _ in range(BOXES):
        at = 0.0
        for pause in retry.waits_long(chance.random):
            at += pause
            if at >= away:
                break
        found.append(at - away)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_500_boxes_after_an_hour_come_one_by_one(seed):
    """Row 37: no step in the histogram. Never more than a tenth of them in a minute, and half need ten minutes."""
    late = sorted(arrivals(seed))
    minutes = [sum(1 for one in late if at <= one < at + 60) for at in range(0, 90 * 60, 60)]

    assert sum(minutes) == BOXES, "after an hour and a half all have come"
    assert max(minutes) <= BOXES / 10
    assert late[BOXES // 2] > 600
    assert min(minutes[:20]) > 0, "there is no gap with a wave behind it"


@pytest.mark.parametrize("seed", range(5))
def test_after_a_day_a_million_would_come_at_some_hundreds_a_second(seed):
    """500 boxes in a day's outage stand for a million: their fastest ten minutes are at most twice the mean."""
    late = sorted(arrivals(seed, 86_400))
    windows = [sum(1 for one in late if at <= one < at + 600) for at in range(0, 3600, 60)]

    assert max(windows) <= 2 * BOXES * 600 / 3600
    assert late[-1] <= 1.5 * 3600


def test_waits_double_up_to_an_hour():
    """Half a minute first; in the mean, and with the dice at their ends."""
    middle = list(itertools.islice(retry.waits_long(lambda: 0.5), 9))
    least = list(itertools.islice(retry.waits_long(lambda: 0.0), 9))

    assert middle == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert least == [wait / 2 for wait in middle]
    assert [retry.long_wait(tries) for tries in (0, 1, 6, 7, 10_000)] == [30, 60, 1920, 3600, 3600]


def test_who_goes_on_after_a_reboot_does_not_begin_anew():
    """The waits that are behind it are not run through again."""
    assert next(retry.waits_long(lambda: 0.5, first=retry.long_wait(5))) == 960
