"""Rules in words, as a journal keeps them and people compare them."""

from __future__ import annotations

from ddns.auth.principal import Credential, Grant
from ddns.dns import names
from ddns.dns.spelling import type_to_text

_NARROW = frozenset({"self", "acme"})  # rules of a home's keys that do not speak for it


def rule_in_words(rule: Grant) -> str:
    """Return *rule* as a phrase, such as `rule 7: subdomain cam.homes.example. A,AAAA(2)`."""
    number = f"rule {rule.id}: " if rule.id else ""
    own = rule.rule in ("self", "selfsub")
    words = ["deny" if rule.denied is not None else "", rule.rule, "" if own else names.to_text(rule.name)]
    words.append("of its homes" if rule.homes else "")
    words.append(f"of tenant {rule.tenant}" if rule.tenant is not None else "")
    if rule.types is None:
        words.append("all types")
    else:
        bounds = dict(rule.most)
        words.append(
            ",".join(type_to_text(one) + (f"({bounds[one]})" if one in bounds else "") for one in sorted(rule.types))
        )
    if rule.addresses:
        words.append("in " + ",".join(rule.addresses))
    if rule.min_assurance is not None:
        words.append(
            f"from assurance {rule.min_assurance} on" if rule.denied is None else "below " + rule.min_assurance
        )
    if rule.denied is not None:
        words.append(f"({rule.denied})")
    return number + " ".join(word for word in words if word)


def rules_in_words(credential: Credential, zone: int, most: int) -> tuple[str, ...]:
    """Return the rules of *credential* itself in the zone of this id, *most* of them, and who its owner is."""
    found = [one for one in credential.grants if one.zone == zone]
    out = [rule_in_words(one) for one in found[:most]]
    if len(found) > most:
        out.append(f"and {len(found) - most} more")
    if credential.home == zone and not any(one.rule in _NARROW for one in found):
        out.insert(0, "the home's own key: all of it")
    if credential.invitation is not None:
        out.insert(0, f"invitation {credential.invitation}: one enrolment")
    return tuple(out)
