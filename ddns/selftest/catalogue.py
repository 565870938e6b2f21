"""All checks, and what comes of them: verdicts over the methods that were run, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec

from ddns.selftest import code_checks, update_checks, voucher_checks, web_checks
from ddns.selftest.check import Check, Level, Result, Verdict, worst
from ddns.selftest.facts import Facts
from ddns.selftest.transcript import Transcript

CHECKS: tuple[Check, ...] = (
    *web_checks.CHECKS, *code_checks.CHECKS, *voucher_checks.CHECKS, *update_checks.CHECKS,
)  # fmt: skip


class Exit(IntEnum):
    """How a run ends."""

    MET = 0  # all that is required
    MISSED = 1
    NOT_SEEN = 4  # something required was not seen, and nothing missed


class Told(msgspec.Struct, frozen=True):
    """What came of one check."""

    check: Check
    verdict: Verdict


def judge(transcripts: Sequence[Transcript]) -> list[Told]:
    """Return what comes of every check of the methods that *transcripts* are of, in the order of the catalogue."""
    facts = {one.given.method: Facts(one) for one in transcripts}
    return [
        Told(check, worst(check.judge(facts[method]) for method in check.methods if method in facts))
        for check in CHECKS
        if any(method in facts for method in check.methods)
    ]


def status(told: Sequence[Told]) -> Exit:
    """Return how the run ends: what is only recommended does not count, what is conditional only where it was seen."""
    strict = [one for one in told if one.check.level != Level.RECOMMENDED]
    if any(one.verdict.result == Result.MISSED for one in strict):
        return Exit.MISSED
    unseen = [one for one in strict if one.verdict.result == Result.NOT_SEEN]
    return Exit.NOT_SEEN if any(one.check.level == Level.REQUIRED for one in unseen) else Exit.MET
