"""Rules by which evidence is appraised: data that an operator writes, so that no maker and no verifier is in code.

    {"all": [{"claim": "oemid", "is": ["…"]}, {"claim": "dbgstat", "is": ["disabled-since-boot"]}], "gives": "attested"}

A condition names a claim, `submods/radio/dbgstat` one within others, and says what it has to be: `is` one of some
values, `least` a number, `holds` a value somewhere within it, `there` or not. `all` and `any` join conditions.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ddns.auth.principal import ASSURANCES
from ddns.proof import strict_json
from ddns.proof.bad import BadProof

MOST = 16_384  # octets of rules, ours
MOST_CONDITIONS = 64  # ours
DEEPEST = 4  # ours
_MOST_NAME = 128  # characters


class BadRules(ValueError):
    """Rules that cannot be followed; the message says where."""


class Condition(msgspec.Struct, frozen=True):
    """One word about one claim: *word* is `is`, `least`, `holds` or `there`, *wanted* what it is compared with."""

    claim: str
    word: str
    wanted: Any


class Joined(msgspec.Struct, frozen=True):
    """Conditions of which *every* one has to be met, or one at least."""

    every: bool
    parts: tuple[Condition | Joined, ...]


class Rules(msgspec.Struct, frozen=True):
    """What evidence has to say, and the assurance that it *gives*."""

    wanted: Joined
    gives: str


class Result(msgspec.Struct, frozen=True):
    """What came of it: *assurance* is empty where the rules are not met; *missed* names the claims that were not."""

    assurance: str
    missed: tuple[str, ...] = ()


def read(octets: bytes) -> Rules:
    """Return the rules in *octets*, JSON. Raises `BadRules`."""
    try:
        members = strict_json.members(octets, MOST)
    except BadProof as error:
        raise BadRules(error.sentence) from None
    gives = members.pop("gives", None)
    if gives not in ASSURANCES:
        raise BadRules(f"gives must be one of {', '.join(ASSURANCES)}")
    count = [0]
    found = _read(members, DEEPEST, count)
    return Rules(found if isinstance(found, Joined) else Joined(every=True, parts=(found,)), gives)


def appraise(claims: dict[str, Any], rules: Rules) -> Result:
    """Return what *rules* make of *claims*, which are those of `ddns.proof.eat`."""
    missed: list[str] = []
    if _met(claims, rules.wanted, missed):
        return Result(rules.gives)
    return Result("", tuple(dict.fromkeys(missed)))


def asks_for(rules: Rules, claim: str) -> bool:
    """Tell whether *rules* name values that the *claim* has to have, so that they were written with it in mind."""

    def within(part: Condition | Joined) -> bool:
        if isinstance(part, Joined):
            return any(map(within, part.parts))
        return (part.claim, part.word) == (claim, "is")

    return within(rules.wanted)


def _read(members: Any, left: int, count: list[int]) -> Condition | Joined:
    """Return one condition or some that are joined; *count* has how many there were. Raises `BadRules`."""
    if not isinstance(members, dict):
        raise BadRules("a condition is no object")
    count[0] += 1
    if count[0] > MOST_CONDITIONS:
        raise BadRules(f"there are more than {MOST_CONDITIONS} conditions")
    if len(members) == 1 and (word := next(iter(members))) in {"all", "any"}:
        parts = members[word]
        if left == 0:
            raise BadRules(f"conditions stand deeper than {DEEPEST} levels")
        if not isinstance(parts, list) or not parts:
            raise BadRules(f"{word} must list conditions; nothing is nobody's evidence")
        return Joined(word == "all", tuple(_read(one, left - 1, count) for one in parts))
    claim = members.get("claim")
    words = members.keys() - {"claim"}
    if not isinstance(claim, str) or not 0 < len(claim) <= _MOST_NAME or len(words) != 1:
        raise BadRules("a condition has a claim and one of is, least, holds, there; or it is all or any alone")
    word = words.pop()
    wanted = members[word]
    if word == "is":
        wanted = wanted if isinstance(wanted, list) else [wanted]
        if not wanted or not all(isinstance(one, str | int | bool) for one in wanted):
            raise BadRules("is must list texts, numbers, true or false")
    elif word == "least":
        if isinstance(wanted, bool) or not isinstance(wanted, int):
            raise BadRules("least must be a whole number")
    elif word == "holds":
        if not isinstance(wanted, str | int) or isinstance(wanted, bool):
            raise BadRules("holds must be a text or a number")
    elif word != "there":
        raise BadRules(f"{word} is no word of a condition; there are is, least, holds and there")
    elif not isinstance(wanted, bool):
        raise BadRules("there must be true or false")
    return Condition(claim, word, wanted)


def _met(claims: dict[str, Any], wanted: Condition | Joined, missed: list[str]) -> bool:
    """Tell whether *wanted* is met, and put the names of the claims that are not behind *missed*."""
    if isinstance(wanted, Joined):
        if wanted.every:
            return all([_met(claims, one, missed) for one in wanted.parts])  # noqa: C419 - all that is missed is told
        mine: list[str] = []
        met = any(_met(claims, one, mine) for one in wanted.parts)
        missed += [] if met else mine
        return met
    found, there = _find(claims, wanted.claim)
    if wanted.word == "there":
        met = there == wanted.wanted
    elif not there:
        met = False
    elif wanted.word == "is":
        met = any(type(one) is type(found) and one == found for one in wanted.wanted)
    elif wanted.word == "least":
        met = isinstance(found, int) and not isinstance(found, bool) and found >= wanted.wanted
    else:
        met = _holds(found, wanted.wanted)
    if not met:
        missed.append(wanted.claim)
    return met


def _find(claims: dict[str, Any], path: str) -> tuple[Any, bool]:
    """Return the claim at *path*, and whether it is there; a name with a slash in it is found as it is."""
    if path in claims:
        return claims[path], True
    found: Any = claims
    for name in path.split("/"):
        if not isinstance(found, dict) or name not in found:
            return None, False
        found = found[name]
    return found, True


def _holds(found: Any, wanted: Any) -> bool:
    """Tell whether *wanted* stands somewhere within *found*, as a whole value."""
    if isinstance(found, dict):
        return any(_holds(one, wanted) for one in found.values())
    if isinstance(found, list):
        return any(_holds(one, wanted) for one in found)
    return type(found) is type(wanted) and bool(found == wanted)
