"""When people are reminded, and of how much: decided by numbers and the time alone, in seconds since 1970.

Whoever asks late, because nothing ran at the right moment, gets the reminder that is due by then, and no older one.
"""

from __future__ import annotations

DAY = 86_400
SOON = 3 * DAY  # before a claim is granted, its box's owner is reminded the last time
WEEK = 7 * DAY
NEAR = 80  # per cent of a bound


def claim_reminder(filed_at: int, due_at: int, now: int) -> int | None:
    """Return until when the box's owner, reminded of an open claim at *now*, is not again; None: he is not now.

    He is at half of the waiting time, and three days before its end.
    """
    half, soon = (filed_at + due_at) // 2, due_at - SOON
    if now < min(half, soon) or now >= due_at:
        return None
    return soon if now < soon else due_at


def quota_level(number: int, most: int) -> int:
    """Return how near *number* is to the bound *most*: 100 per cent, 80, or 0 below that; 0 is no bound."""
    if not most:
        return 0
    if number >= most:
        return 100
    return NEAR if number * 100 >= most * NEAR else 0


def is_over(number: int, threshold: int) -> bool:
    """Say whether *number* is as much as operators want to be told of; a *threshold* of 0: they do not."""
    return 0 < threshold <= number
