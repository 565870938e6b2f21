r"""How single words of presentation form are spelled: types, times, names, character-strings (RFC 1035 §5.1).

Law: a token is octets as they stand in the file, escapes kept; one that stood in quotes is a `Quoted`.
"""

from __future__ import annotations

import re

import dns.rdatatype

from ddns.dns import names
from ddns.dns.codes import MAX_NAME, MAX_TTL, META_TYPES, Type
from ddns.dns.names import ROOT, Name

Token = bytes


class BadSpelling(ValueError):
    """A word of presentation form that cannot be read; the message says why."""


class Quoted(bytes):
    """A token that stood in quotes: never a name, a number or a directive."""

    __slots__ = ()


# The mnemonics of types that can be data (IANA's registry as dnspython knows it).
MNEMONICS: dict[int, str] = {
    int(number): number.name.replace("_", "-") for number in dns.rdatatype.RdataType if number not in META_TYPES
}
_NUMBERS: dict[bytes, int] = {number.name.replace("_", "-").encode(): int(number) for number in dns.rdatatype.RdataType}
# Mnemonics that every name server of the last years reads; other types are written as RFC 3597 §5 says.
WIDELY_KNOWN = frozenset(
    {int(number) for number in Type if number not in META_TYPES}
    | {int(dns.rdatatype.from_text(name)) for name in ("CERT", "LOC", "URI", "CAA", "EUI48", "EUI64", "DHCID")}
)

_GENERIC = re.compile(rb"TYPE(0|[1-9][0-9]{0,4})")
_ESCAPE = re.compile(rb"\\([0-9]{3}|[^0-9]|)", re.DOTALL)
_UNITS = {"S": 1, "M": 60, "H": 3600, "D": 86400, "W": 604800}
_TIME = re.compile(r"(?:[0-9]{1,10}[SMHDW])+")
_TIME_PART = re.compile(r"([0-9]+)([SMHDW])")
_LENGTHS = tuple(bytes((length,)) for length in range(64))


def type_from_text(text: bytes) -> int | None:
    """Return the number of a type's mnemonic or of TYPEnnn (RFC 3597 §5), in any case of letters, or None."""
    upper = text.upper()
    known = _NUMBERS.get(upper)
    if known is not None:
        return known
    generic = _GENERIC.fullmatch(upper)
    return int(generic[1]) if generic is not None and int(generic[1]) <= 0xFFFF else None


def type_to_text(rdtype: int) -> str:
    """Return the mnemonic of *rdtype*, or TYPEnnn."""
    known = MNEMONICS.get(rdtype)
    return known if known is not None else dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))


def type_for_file(rdtype: int) -> str:
    """Return the type as master files for any server spell it: TYPEnnn where the mnemonic is young."""
    return MNEMONICS[rdtype] if rdtype in WIDELY_KNOWN else f"TYPE{rdtype}"


def time_from_text(text: str, most: int = MAX_TTL) -> int:
    """Return the seconds of *text*, a number or numbers with units such as `1h30m`, at most *most*.

    Raises `BadSpelling`.
    """
    if text.isascii() and text.isdigit():
        seconds = int(text[:11])
    else:
        upper = text.upper()
        if not _TIME.fullmatch(upper):
            raise BadSpelling(f"{text!r} is no time; write seconds, or units such as 1h30m")
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _TIME_PART.findall(upper))
    if seconds > most:
        raise BadSpelling(f"the time {text} is above {most} seconds (RFC 2181 §8); write less")
    return seconds


def name_from_text(token: Token, origin: Name) -> Name:
    """Return the name that *token* spells, relative to *origin* without a final dot. Raises `BadName`."""
    if token == b"@":
        return origin
    if b"\\" not in token and token.isascii():
        parts = token.lower().split(b".")
        tail = origin
        if not parts[-1]:
            parts.pop()
            tail = ROOT
        if parts and b"" not in parts and max(map(len, parts)) < 64:
            name = b"".join([_LENGTHS[len(part)] + part for part in parts]) + tail
            if len(name) <= MAX_NAME:
                return name
    # Whatever is unusual goes the careful way, which also has the words for what is wrong.
    return names.from_text(token.decode("utf-8", "replace"), origin)


def unescape(token: Token) -> bytes:
    r"""Return the octets of a character-string: `\DDD` and `\X` (RFC 1035 §5.1). Raises `BadSpelling`."""
    return _ESCAPE.sub(_octet, token) if b"\\" in token else bytes(token)


def _octet(match: re.Match[bytes]) -> bytes:
    group = match[1]
    if len(group) == 1:
        return group
    if not group:
        raise BadSpelling(r"an escape is broken; write \ and three digits, or \ and the character itself")
    if int(group) > 255:
        raise BadSpelling(f"the escape \\{group.decode()} is above 255, the greatest octet")
    return bytes((int(group),))


def escape(octets: bytes) -> str:
    """Return *octets* as a quoted character-string."""
    out = []
    for octet in octets:
        if octet in (0x22, 0x5C):
            out.append("\\" + chr(octet))
        elif 0x20 <= octet <= 0x7E:
            out.append(chr(octet))
        else:
            out.append(f"\\{octet:03d}")
    return '"' + "".join(out) + '"'
