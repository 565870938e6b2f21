"""Read what operators write: names, record types, denial modes, labels of homes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.codes import META_TYPES, SIGNER_TYPES
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal
from ddns.dns.spelling import type_from_text, type_to_text
from ddns.homes import labels
from ddns.homes.labels import LabelRules
from ddns.operator.fault import CannotDo

DENIALS = ("nsec3", "nsec", "compact", "none")
DEFAULT_DENIAL = "nsec3"
ALGORITHMS = (8, 13, 14, 15)
ALGORITHMS_TOLD = "13 (ECDSA P-256), 15 (Ed25519), 14 (ECDSA P-384) or 8 (RSA/SHA-256)"
DEFAULT_ALGORITHM = 13


def read_name(text: str, what: str = "name") -> Name:
    """Return the absolute name *text*, its final dot optional. Raises `CannotDo`."""
    try:
        return names.from_text(text)
    except BadName as error:
        raise CannotDo(f"The {what} {text!r} is no domain name: {error}.") from None


def read_denial(text: str) -> str:
    """Return the denial mode *text*. Raises `CannotDo`."""
    if text not in DENIALS:
        raise CannotDo(f"The denial mode {text!r} is not known; choose nsec3, nsec, compact or none.")
    return text


def read_types(texts: Iterable[str]) -> frozenset[int]:
    """Return the numbers of record types that a grant may name. Raises `CannotDo`."""
    found = set()
    for text in texts:
        number = type_from_text(text.strip().encode())
        if number is None:
            raise CannotDo(f"{text.strip()!r} is no record type; write A,AAAA,TXT or TYPE12345.")
        if number in META_TYPES:
            raise CannotDo(f"The type {type_to_text(number)} is no data; leave the types out to grant all of them.")
        if number in SIGNER_TYPES:
            raise CannotDo(f"The type {type_to_text(number)} belongs to the signer and cannot be granted.")
        found.add(number)
    return frozenset(found)


_COUNTED = re.compile(r"([^()]+)\(([0-9]{1,9})\)")


def read_counted_types(texts: Iterable[str], most: int) -> tuple[frozenset[int], tuple[tuple[int, int], ...]]:
    """Return the types that a rule may name, and of those written as `A(2)` how many records, at *most* so many.

    Raises `CannotDo`.
    """
    types: set[int] = set()
    counts: dict[int, int] = {}
    for text in texts:
        counted = _COUNTED.fullmatch(text.strip())
        (number,) = read_types([counted[1] if counted else text])
        if number in types:
            raise CannotDo(f"The type {type_to_text(number)} stands there twice; write it once.")
        types.add(number)
        if counted:
            counts[number] = int(counted[2])
            if not 1 <= counts[number] <= most:
                raise CannotDo(f"{text.strip()}: a type's number of records is 1 to {most}.")
    return frozenset(types), tuple(sorted(counts.items()))


def types_as_written(rule: Grant) -> tuple[str, ...]:
    """Return the types of a rule as `read_counted_types` takes them; none where it is for all."""
    bounds = dict(rule.most)
    return tuple(type_to_text(one) + (f"({bounds[one]})" if one in bounds else "") for one in sorted(rule.types or ()))


def read_label(text: str, rules: LabelRules | None = None) -> bytes:
    """Return *text*, in ASCII or in letters of its own, as the label of a home in the DNS. Raises `CannotDo`.

    *rules* are those of the registry, None: the ones that every registry has.
    """
    label = labels.read(text, rules or LabelRules(), names.ROOT)
    if isinstance(label, Refusal):
        raise CannotDo(label.text)
    return label.wire


def refuse_special(name: Name) -> None:
    """Refuse a home at or below a special-use name. Raises `CannotDo`."""
    for special in labels.SPECIAL_NAMES:
        if names.is_subdomain(name, special):
            raise CannotDo(
                f"{names.to_text(name)} is below {names.to_text(special)}, a special-use name that the public DNS "
                "never answers for; give homes names below a domain of your own."
            )
