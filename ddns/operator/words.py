"""Read what operators write: names, record types, denial modes, labels of homes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ddns.dns import names
from ddns.dns.codes import META_TYPES, SIGNER_TYPES
from ddns.dns.names import BadName, Name
from ddns.dns.spelling import type_from_text, type_to_text
from ddns.operator.fault import CannotDo

DENIALS = ("nsec3", "nsec", "compact", "none")
DEFAULT_DENIAL = "nsec3"
ALGORITHMS = (8, 13, 14, 15)
ALGORITHMS_TOLD = "13 (ECDSA P-256), 15 (Ed25519), 14 (ECDSA P-384) or 8 (RSA/SHA-256)"
DEFAULT_ALGORITHM = 13

# Labels that homes may not have: what people and programs take for the registry's own (RFC 2142, RFC 9665 §3).
RESERVED_LABELS = frozenset({b"www", b"mail", b"ns", b"smtp", b"localhost", b"wpad", b"isatap"})
# Names that mean something to resolvers and are never delegated (RFC 6761 and IANA's registry of special-use names).
SPECIAL_NAMES = tuple(
    names.from_text(text)
    for text in (
        "alt", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "resolver.arpa", "service.arpa",
    )
)  # fmt: skip
_LDH = re.compile(rb"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


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


def read_label(text: str) -> bytes:
    """Return *text* as the label of a home: letters, digits and hyphens (RFC 1123 §2.1). Raises `CannotDo`."""
    try:
        label = text.encode("ascii").lower()
    except UnicodeEncodeError:
        raise CannotDo(f"The label {text!r} is not ASCII; write it in its xn-- form.") from None
    if label.startswith(b"_"):
        raise CannotDo(f"The label {text!r} begins with _, which is kept for services (RFC 8552); choose another.")
    if len(label) > 63 or not _LDH.fullmatch(label):
        raise CannotDo(f"{text!r} is no label for a home: write 1 to 63 letters, digits and inner hyphens.")
    if label in RESERVED_LABELS:
        raise CannotDo(f"The label {text!r} is reserved; choose another.")
    if label[2:4] == b"--":
        _check_a_label(text, label)
    return label


def _check_a_label(text: str, label: bytes) -> None:
    """Refuse what looks like an A-label and is none (RFC 5890 §2.3.1, RFC 3492)."""
    try:
        if not label.startswith(b"xn--"):
            raise CannotDo(f"The label {text!r} has hyphens in third and fourth place, which only xn-- labels may.")
        unicode = label[4:].decode("punycode")
        if unicode.isascii() or unicode.encode("punycode").lower() != label[4:]:
            raise CannotDo(f"The label {text!r} is no A-label of a name in another script; encode it anew.")
    except UnicodeError:
        raise CannotDo(f"The label {text!r} does not decode as an A-label; encode it anew.") from None


def refuse_special(name: Name) -> None:
    """Refuse a home at or below a special-use name. Raises `CannotDo`."""
    for special in SPECIAL_NAMES:
        if names.is_subdomain(name, special):
            raise CannotDo(
                f"{names.to_text(name)} is below {names.to_text(special)}, a special-use name that the public DNS "
                "never answers for; give homes names below a domain of your own."
            )
