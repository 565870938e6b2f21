"""Find homes among a million: by the beginning of their names, by state, owner, box or age; a page at a time."""

from __future__ import annotations

import base64
import binascii
import re
from uuid import UUID

import idna
import msgspec

from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import home_search
from ddns.store.home_search import MOST, Found, Wanted

STATES = ("active", "suspended", "quarantined", "closed")
_DIGEST = 32  # octets
_LDH = re.compile("[a-z0-9-]*")


class Page(msgspec.Struct, frozen=True):
    """Some homes in order, and where the next page begins; empty: there are no more."""

    found: tuple[Found, ...]
    after: str


async def page(conn: Conn, wanted: Wanted, after: str = "", most: int = 100) -> Page:
    """Return *most* of the homes that are *wanted*, behind the place *after* that a page before ended with.

    Raises `CannotDo`.
    """
    most = max(1, min(most, MOST))
    found = await home_search.page(conn, wanted, read_place(after), most + 1)
    shown = found[:most]
    return Page(tuple(shown), write_place(shown[-1]) if len(found) > most else "")


def read_place(text: str) -> tuple[str, int]:
    """Return the label and the zone behind which a page begins. Raises `CannotDo`."""
    if not text:
        return "", 0
    try:
        zone, _, label = base64.urlsafe_b64decode(text.encode("ascii")).decode().partition(" ")
        return label, int(zone)
    except (ValueError, binascii.Error):
        raise CannotDo(f"{text!r} is no place in a search; copy it as the page before had it.") from None


def write_place(home: Found) -> str:
    """Return the place behind *home*."""
    return base64.urlsafe_b64encode(f"{home.zone} {home.shown}".encode()).decode()


def read_text(text: str) -> str:
    """Return the beginning of a label as homes have it: small letters, in letters of its own. Raises `CannotDo`."""
    try:
        if text.lower().startswith("xn--") and len(text) > 4:
            return idna.ulabel(text.lower())
        small = text.lower() if text.isascii() else idna.uts46_remap(text[:63], std3_rules=True, transitional=False)
        if not small.isascii() or _LDH.fullmatch(small):
            return small
    except (idna.IDNAError, UnicodeError):
        pass
    raise CannotDo(f"No name of a home begins with {text[:63]!r}; write letters, digits and hyphens.")


def read_state(text: str) -> str:
    """Return a state of homes, or nothing. Raises `CannotDo`."""
    if text and text not in STATES:
        raise CannotDo(f"The state {text!r} is not known; choose {', '.join(STATES)}.")
    return text


def read_owner(text: str) -> UUID | None:
    """Return the id of an owner. Raises `CannotDo`."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise CannotDo(f"{text!r} is no owner; an id looks like 123e4567-e89b-12d3-a456-426614174000.") from None


def read_digest(text: str) -> bytes | None:
    """Return the digest by which a box is known, 64 hexadecimal digits. Raises `CannotDo`."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b"?"
    if text and len(found) != _DIGEST:
        raise CannotDo(f"{text!r} is no digest of a box's certificate; write its SHA-256, 64 hexadecimal digits.")
    return found or None
