"""What a check is: one row, an identifier, a sentence, where that is written, and a function that judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

import msgspec

from ddns.selftest.facts import Facts

_Item = TypeVar("_Item")


class Level(StrEnum):
    """How much a check counts: *required*; *conditional*, required of a box that does this at all; *recommended*."""

    REQUIRED = "required"
    CONDITIONAL = "conditional"
    RECOMMENDED = "recommended"


class Result(StrEnum):
    """What came of a check."""

    MET = "met"
    MISSED = "missed"
    NOT_SEEN = "not seen"


class Verdict(msgspec.Struct, frozen=True):
    """A result, and for what is missed *why*."""

    result: Result
    why: str = ""


MET, NOT_SEEN = Verdict(Result.MET), Verdict(Result.NOT_SEEN)
Judge = Callable[[Facts], Verdict]


class Check(msgspec.Struct, frozen=True):
    """One row: *sentence* says what a box does that meets it, *source* where that is written."""

    id: str
    methods: tuple[str, ...]
    level: Level
    source: str
    sentence: str
    judge: Judge


def missed(why: str) -> Verdict:
    """Return the verdict that something was missed, and why."""
    return Verdict(Result.MISSED, why)


def each(items: Iterable[_Item], fault: Callable[[_Item], str]) -> Verdict:
    """Return what holds for all *items*: not seen where there is none, missed where *fault* says a word about one."""
    seen = False
    for one in items:
        seen = True
        if why := fault(one):
            return missed(why)
    return MET if seen else NOT_SEEN


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict over several methods: missed once is missed, met once is seen."""
    found = list(verdicts)
    order = (Result.MISSED, Result.MET, Result.NOT_SEEN)
    return min(found, key=lambda one: order.index(one.result), default=NOT_SEEN)
