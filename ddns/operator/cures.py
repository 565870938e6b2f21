"""What cures a refusal, said to the operator: commands that can be pasted, and who else has to do something."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ddns.auth.grants import Rules
from ddns.auth.principal import Credential, Grant
from ddns.dns import names
from ddns.dns.codes import META_TYPES, SIGNER_TYPES, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.dns.refusals import CATALOGUE
from ddns.dns.spelling import type_to_text
from ddns.store.refusals import Refused
from ddns.store.zones import Zone
from ddns.zone.update import Update

MOST_COMMANDS = 8  # grants that are spelled out one by one; more are better given for a subtree

_LIMITS = {
    "too-many-records": "records_per_update",
    "rrset-too-long": "records_per_rrset",
    "rrset-too-big": "octets_per_rrset",
    "too-many-types": "types_per_name",
    "ttl-too-long": "ttl",
}


def cures(
    refused: Refused,
    today: Refusal | None,
    update: Update | None,
    credential: Credential | None,
    zone: Zone | None,
    everybody: Sequence[Grant],
    nearest: Name | None,
) -> tuple[str, ...]:
    """Return what cures the refusal, and what *today* would refuse the update for, the best first.

    Each is a command in backquotes or a phrase. *nearest* is the zone here that holds the update's name.
    """
    if today is None and refused.verified:
        return ("have the client send the update again: nothing is in its way now",)
    first: tuple[str, ...] = ()
    if today is None or (not refused.verified and today.code != refused.code):
        first = _of(refused.code, refused, None, update, credential, zone, everybody, nearest)
    if today is None:
        return first
    return first + _of(today.code, refused, today, update, credential, zone, everybody, nearest)


def _of(
    code: str,
    refused: Refused,
    today: Refusal | None,
    update: Update | None,
    credential: Credential | None,
    zone: Zone | None,
    everybody: Sequence[Grant],
    nearest: Name | None,
) -> tuple[str, ...]:
    """Return what cures a refusal of this *code*."""
    row = CATALOGUE.get(code)
    key = refused.key or ""
    if code in ("zone-not-granted", "name-not-granted") and update is not None and credential and zone:
        return _grants(update, credential, zone, everybody)
    if code in _LIMITS:
        return (f"ask for less, or set `{_LIMITS[code]}` in `[update]` of the settings and start the service again",)
    if code == "home-suspended" and zone is not None:
        return (f"`ddns home release {_shell(zone.origin)}`, if the reason is gone",)
    if code == "key-revoked":
        return (
            "enrol the gateway again: `ddns home invite LABEL --again`, then `ddns gateway enrol` there",
            f"or add the key anew, with its grants: `ddns key add {shlex.quote(key)} …`",
        )
    if code == "zone-unknown" and nearest is not None:
        return (f"have the client name {names.to_text(nearest)} as the zone: here it holds this name",)
    if code == "assurance-too-low":
        return (f"`ddns key assurance {shlex.quote(key)} LEVEL`, once you are as sure of its holder as the rule asks",)
    if code == "denied-by-rule" and today is not None:
        number = today.text.split(" ", 2)[1]  # "Rule 7 denies …"
        return (
            "have the client leave it out",
            f"or lift the rule: `ddns grant remove --number {number}` (`ddns grant show {number}` says what it is)",
        )
    if code in ("tsig-key-unknown", "sig0-key-unknown"):
        return (f"compare with `ddns key list`; a new key is added with `ddns key add {shlex.quote(key)} …`",)
    return (row.cure,) if row is not None else ()


def _grants(update: Update, credential: Credential, zone: Zone, everybody: Sequence[Grant]) -> tuple[str, ...]:
    """Return the commands that grant just what the update lacks."""
    rules = Rules(credential, zone.id, zone.origin, is_home=zone.home, everybody=everybody)
    missing: dict[Name, set[int]] = {}
    for name, rdtype in update.targets():
        if names.is_subdomain(name, zone.origin) and (rdtype == Type.ANY or rdtype not in META_TYPES | SIGNER_TYPES):
            refusal = rules.decide(name, rdtype).refusal
            if refusal is not None and refusal.code in ("zone-not-granted", "name-not-granted"):
                missing.setdefault(name, set()).add(rdtype)
    key, origin = _shell(credential.name), _shell(zone.origin)
    if not missing:
        return (f"`ddns grant add {key} {origin} --types TYPES`: the update writes nothing, but it asks",)
    if len(missing) > MOST_COMMANDS:
        types = set().union(*missing.values())
        return (
            f"`ddns grant add {key} {origin}{_types(types)}`, which is the whole zone: it lacks {len(missing)} names",
        )
    out = [
        f"`ddns grant add {key} {origin} --rule name --name {_shell(name)}{_types(types)}`"
        for name, types in missing.items()
    ]
    if any(Type.ANY in types for types in missing.values()):
        out.append("or have the client delete single types: a whole name needs a grant of all types")
    return tuple(out)


def _types(types: set[int]) -> str:
    if Type.ANY in types:
        return ""
    return " --types " + ",".join(type_to_text(one) for one in sorted(types))


def _shell(name: Name) -> str:
    return shlex.quote(names.to_text(name))
