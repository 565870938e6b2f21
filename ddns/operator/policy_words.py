"""Signing policies as people write them: `validity=14d`, `vault=pkcs11:hsm`; and as they are shown.

Law: what the table would refuse is refused here before, in one sentence that says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ddns.operator import words
from ddns.operator.fault import CannotDo
from ddns.settings import address, address_text
from ddns.store.policies import DAY, FIELDS, Policy

UNITS = {"w": 7 * DAY, "d": DAY, "h": 3600, "m": 60, "s": 1}
LONGEST = 20 * 365 * DAY  # seconds; inception and expiration are less than 2**31 s apart (RFC 4034 §3.1.5)
LONGEST_TTL = 30 * DAY
LEAST_REFRESH = 3 * DAY  # a signer may be away for three days, and no signature ends
MOST_SERVERS = 16
ZONES_OWN = "zone"  # what is written for an algorithm that each zone says by itself
USUAL = "default"  # what is written for the value that a new policy has
NEVER = "never"  # what is written for the lifetime of a key that is replaced when somebody asks

LIFETIMES = ("csk_lifetime", "ksk_lifetime", "zsk_lifetime")
_TIMES = frozenset(
    (*LIFETIMES, "backdate", "validity", "jitter", "refresh", "dnskey_ttl", "publish_safety", "retire_safety", "ds_ttl",
     "patience", "purge_after")
)  # fmt: skip
_CHOICES = {
    "scheme": ("csk", "ksk+zsk"),
    "parent_check": ("auto", "manual"),
    "cds": ("rolls", "always", "never"),
    "watch": ("all", "targets", "none"),
}
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_VAULT = re.compile(r"sealed|pkcs11:[a-z0-9-]+")
_TIME = re.compile(r"([0-9]{1,10})(w|d|h|m|s|)")

Value = object


def read_policy_name(text: object) -> str:
    """Return the name of a policy. Raises `CannotDo`."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise CannotDo(
            f"{text!r} is no name for a policy: write a small letter and up to 31 small letters, digits and hyphens."
        )
    return text


def read_settings(texts: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return what `KEY=VALUE` words say. Raises `CannotDo`."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise CannotDo(f"{text!r} sets nothing; write KEY=VALUE, such as zsk_lifetime=90d.")
        key = key.strip().replace("-", "_")
        if key in found:
            raise CannotDo(f"{key} stands there twice; write it once.")
        found[key] = value.strip()
    return found


def read_values(wanted: Mapping[str, Value]) -> dict[str, Any]:
    """Return what is *wanted* of a policy, each as text or as TOML has it, as its row has it. Raises `CannotDo`."""
    values = {}
    for key, value in wanted.items():
        if key not in FIELDS:
            raise CannotDo(f"A signing policy has no {key}; it has {', '.join(FIELDS)}.")
        if value == USUAL:
            values[key] = getattr(Policy("new"), key)
        else:
            values[key] = _READERS.get(key, _read_time)(key, value)
    return values


def changed(policy: Policy, wanted: Mapping[str, Value]) -> Policy:
    """Return *policy* with what is *wanted* of it (see `read_values`). Raises `CannotDo`."""
    made = msgspec.structs.replace(policy, **read_values(wanted))
    _check(made)
    return made


def _check(policy: Policy) -> None:
    for key in LIFETIMES:
        if 0 < (lifetime := getattr(policy, key)) < DAY:
            raise CannotDo(f"A {key} of {shown_time(lifetime)} is too short to replace keys in; write 1d or more.")
    if policy.refresh < LEAST_REFRESH:
        raise CannotDo(
            f"With a refresh of {shown_time(policy.refresh)} signatures would end while a signer is away for three "
            "days; write refresh=3d or more."
        )
    least = policy.jitter + 2 * policy.refresh
    if policy.validity < least:
        raise CannotDo(
            f"A validity of {shown_time(policy.validity)} leaves too little time before signatures are made anew; "
            f"write validity={shown_time(least)} or more, which is jitter and twice refresh, or less of those."
        )


def _read_time(key: str, value: Value) -> int:
    most = LONGEST_TTL if key.endswith("_ttl") else LONGEST
    found = _TIME.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if value == NEVER and key in LIFETIMES:
        return 0
    if found is None:
        raise CannotDo(f"{key}: {value!r} is no time; write 90d, 12h, 30m or a number of seconds.")
    seconds = int(found[1]) * UNITS.get(found[2], 1)
    if seconds > most:
        raise CannotDo(f"{key}: {value} is too long; write at most {shown_time(most)}.")
    return seconds


def _read_choice(key: str, value: Value) -> str:
    if value not in _CHOICES[key]:
        *most, last = _CHOICES[key]
        raise CannotDo(f"{key}: {value!r} is not known; choose {', '.join(most)} or {last}.")
    return str(value)


def _read_algorithm(key: str, value: Value) -> int | None:
    if value == ZONES_OWN:
        return None
    if isinstance(value, bool) or str(value) not in map(str, words.ALGORITHMS):
        raise CannotDo(f"{key}: {value!r} does not sign here; choose {words.ALGORITHMS_TOLD}, or {ZONES_OWN}.")
    return int(str(value))


def _read_part(key: str, value: Value) -> float:
    text = str(value)
    try:
        part = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        part = -1.0
    if isinstance(value, bool) or not 0 <= part <= 0.5:
        raise CannotDo(f"{key}: {value!r} is no part of a lifetime from 0 to 0.5; write 0.1 or 10%.")
    return round(part, 6)


def _read_vault(key: str, value: Value) -> str:
    if not isinstance(value, str) or not _VAULT.fullmatch(value) or len(value) > 64:
        raise CannotDo(
            f"{key}: {value!r} is no vault; write sealed, or pkcs11: and the token's label of small letters, digits "
            "and hyphens."
        )
    return value


def _read_servers(key: str, value: Value) -> tuple[str, ...]:
    texts = [one for one in value.split(",") if one.strip()] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise CannotDo(f"{key}: {value!r} is no list of servers; write 192.0.2.1:53,[2001:db8::1]:53.")
    found: dict[str, None] = {}
    for text in texts:
        try:
            where = address(str(text).strip())
        except ValueError:
            where = ("", 0)
        if not where[1]:
            raise CannotDo(f"{key}: {str(text)!r} is no server; write 192.0.2.1:53 or [2001:db8::1]:53.")
        found[address_text(where)] = None
    if len(found) > MOST_SERVERS:
        raise CannotDo(f"{key}: those are {len(found)} servers; write at most {MOST_SERVERS}.")
    return tuple(found)


_READERS: dict[str, Callable[[str, Value], object]] = {
    "algorithm": _read_algorithm,
    "lifetime_jitter": _read_part,
    "vault": _read_vault,
    "parent_servers": _read_servers,
    **dict.fromkeys(_CHOICES, _read_choice),
}


def shown_time(seconds: int) -> str:
    """Return a time as `read` takes it, in the greatest unit that leaves nothing over."""
    for unit in "dhms":
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return "0"


def shown(policy: Policy, key: str) -> str:
    """Return the value of *key* in *policy* as it is written."""
    value = getattr(policy, key)
    if key in LIFETIMES and not value:
        return NEVER
    if key in _TIMES:
        return shown_time(value)
    if key == "algorithm" and value is None:
        return ZONES_OWN
    if key == "parent_servers":
        return ",".join(value)
    return str(value)
