"""Policies for homes as people write them: `least=qr`, `lease_most=1h`, `types=MX(0)`; and as they are shown.

Law: what the table would refuse is refused here before, in one sentence that says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ddns.homes.allocation import STYLES
from ddns.homes.labels import MOST as MOST_LABEL
from ddns.homes.policies import METHODS
from ddns.operator import keys
from ddns.operator.fault import CannotDo
from ddns.operator.policy_words import UNITS, shown_time
from ddns.store.home_policies import ALLOCATED, BOTH, CHOSEN, DAY, FIELDS, HomePolicy

USUAL = "default"  # what is written for the value that a new policy has
NONE = "none"  # what is written for no methods, no tables, no patterns, and for a bound that there is not
MOST_RESERVED = 1000
MOST_TABLES = 32
LONGEST = 10 * 365 * DAY
MOST = 1_000_000  # names or records of one home
# The least that a wait may be: the database refuses less, too.
LEAST = {"claim_wait": 7 * DAY, "recovery_wait": DAY, "registry_wait": 7 * DAY, "lease_most": 30, "key_lease_most": 30}
TIMES = frozenset(
    {"rest", "lease_most", "key_lease_most", "claim_wait", "recovery_wait", "registry_wait", "claim_rest", "idle"}
)
_OPTIONAL = frozenset({"lease_most", "key_lease_most"})
_NUMBERS = frozenset({"names_most", "records_most"})
_LISTS = frozenset({"methods", "reserved", "idn"})
_CHOICES = {"labels": (CHOSEN, ALLOCATED, BOTH), "label_style": STYLES}
_TIME = re.compile(r"([0-9]{1,10})(w|d|h|m|s|)")
_PATTERN = re.compile(r"[^\s.\x00-\x1f]{1,63}")
_TABLE = re.compile(r"[a-z][a-z0-9-]{0,31}")

Value = object


def changed(policy: HomePolicy, wanted: Mapping[str, Value]) -> HomePolicy:
    """Return *policy* with what is *wanted* of it, each as text or as TOML has it. Raises `CannotDo`."""
    values: dict[str, Any] = {}
    for key, value in wanted.items():
        if key not in FIELDS:
            raise CannotDo(f"A policy for homes has no {key}; it has {', '.join(FIELDS)}.")
        values[key] = getattr(HomePolicy(), key) if value == USUAL else _READERS.get(key, _read_time)(key, value)
    made = msgspec.structs.replace(policy, **values)
    if made.label_least > made.label_most:
        raise CannotDo(f"label_least is {made.label_least} and label_most {made.label_most}; no label is so long.")
    return made


def read_list(key: str, value: Value) -> tuple[str, ...]:
    """Return words that stand in a list of TOML or with commas between them, each once. Raises `CannotDo`."""
    if value == NONE:
        return ()
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(one, str) for one in words):
        raise CannotDo(f"{key}: {value!r} is no list; write words with commas between them, or {NONE}.")
    return tuple(dict.fromkeys(one.strip() for one in words if one.strip()))


def read_table_name(text: str) -> str:
    """Return the name of a table of letters. Raises `CannotDo`."""
    if not _TABLE.fullmatch(text):
        raise CannotDo(f"{text!r} is no name for a table: write 1 to 32 of a-z, 0-9 and -, a letter first.")
    return text


def _read_methods(key: str, value: Value) -> tuple[str, ...]:
    found = read_list(key, value)
    for one in found:
        if one not in METHODS:
            raise CannotDo(f"{key}: {one!r} is no way to enrol; choose from {', '.join(METHODS)}, or {NONE}.")
    return tuple(one for one in METHODS if one in found)


def _read_reserved(key: str, value: Value) -> tuple[str, ...]:
    found = tuple(one.lower() for one in read_list(key, value))
    for one in found:
        if not _PATTERN.fullmatch(one) or "[" in one:
            raise CannotDo(f"{key}: {one!r} is no label; write 1 to 63 characters without dots, * for any of them.")
    if len(found) > MOST_RESERVED:
        raise CannotDo(
            f"{key}: those are {len(found)} labels; write at most {MOST_RESERVED}, with * where they are alike."
        )
    return tuple(sorted(dict.fromkeys(found)))


def _read_tables(key: str, value: Value) -> tuple[str, ...]:
    found = tuple(map(read_table_name, read_list(key, value)))
    if len(found) > MOST_TABLES:
        raise CannotDo(f"{key}: those are {len(found)} tables; write at most {MOST_TABLES}.")
    return tuple(sorted(found))


def _read_choice(key: str, value: Value) -> str:
    if value not in _CHOICES[key]:
        *most, last = _CHOICES[key]
        raise CannotDo(f"{key}: {value!r} is not known; choose {', '.join(most)} or {last}.")
    return str(value)


def _read_assurance(_key: str, value: Value) -> str:
    return keys.read_assurance(str(value))


def _read_yes(key: str, value: Value) -> bool:
    found = {"yes": True, "no": False, "true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise CannotDo(f"{key}: {value!r} is neither yes nor no; write one of them.")
    return found


def _read_length(key: str, value: Value) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MOST_LABEL:
        raise CannotDo(f"{key}: {value!r} is no length of a label; write 1 to {MOST_LABEL}.")
    return int(text)


def _read_number(key: str, value: Value) -> int:
    text = "0" if value == NONE else str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > len(str(MOST)):
        raise CannotDo(f"{key}: {value!r} is no number; write 1 to {MOST}, or {NONE}.")
    if int(text) > MOST:
        raise CannotDo(f"{key}: {value} is more than {MOST}; write less, or {NONE}.")
    return int(text)


def _read_time(key: str, value: Value) -> int | None:
    if value == NONE and key in _OPTIONAL:
        return None
    found = _TIME.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise CannotDo(f"{key}: {value!r} is no time; write 90d, 12h, 30m or a number of seconds.")
    seconds = int(found[1]) * UNITS.get(found[2], 1)
    least = LEAST.get(key, 0)
    if not least <= seconds <= LONGEST:
        raise CannotDo(f"{key}: {value} is not between {shown_time(least)} and {shown_time(LONGEST)}.")
    return seconds


_READERS: dict[str, Callable[[str, Value], object]] = {
    "methods": _read_methods,
    "reserved": _read_reserved,
    "idn": _read_tables,
    "least": _read_assurance,
    **dict.fromkeys(("owner_required", "expected_only"), _read_yes),
    "label_least": _read_length,
    "label_most": _read_length,
    **dict.fromkeys(_CHOICES, _read_choice),
    **dict.fromkeys(_NUMBERS, _read_number),
}


def shown(policy: HomePolicy, key: str) -> str:
    """Return the value of *key* in *policy* as it is written."""
    value = getattr(policy, key)
    if value is None or value == () or (key in _NUMBERS and not value):
        return NONE
    if key in TIMES:
        return shown_time(value)
    if key in _LISTS:
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
