"""Doing again what may be done later: by whoever waits for a registry that is away, or for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ddns.gateway import retry
from ddns.gateway.outcome import Status
from ddns.gateway.state import Outcome


def insist(
    attempt: Callable[[], tuple[Outcome, int]],
    in_vain: Callable[[], None],
    pauses: Iterator[float],
    wait: float,
    *,
    tries: int,
    system: Callable[[], float],
    dice: Callable[[], float],
    pause: Callable[[float], None],
) -> Outcome:
    """Return how *attempt* ended, which is made again until it ends for good or the time is over.

    It gives the outcome and the seconds that were asked for before the next; those of *pauses* are waited for at least.
    *in_vain* is called after each that may be made again. *wait* is the time in seconds. A box that has just started
    says how many *tries* it has behind it: then the first one comes at a moment by chance, so that not all that had
    their power back together ask together; 0: at once.
    """
    end = system() + wait
    if tries:
        pause(dice() * min(retry.long_wait(tries), wait / 2))
    while True:
        outcome, after = attempt()
        if outcome.status not in (Status.UNREACHABLE, Status.LATER):
            return outcome
        in_vain()
        left = max(next(pauses), after * (1 + dice()))
        if system() + left >= end:
            return outcome
        pause(left)
