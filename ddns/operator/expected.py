"""Boxes that a tenant expects: an inventory that says which may come by themselves, how they are called and whose.

Serial numbers and UEIDs are kept as digests alone. The same list again changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import BinaryIO
from uuid import UUID

import msgspec

from ddns.dns.refusal import Refusal
from ddns.homes import expecting, labels
from ddns.homes.boxes import SERIAL
from ddns.homes.methods.attested import UEID
from ddns.operator import csv_rows
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.vendors import MOST_TEXT
from ddns.store import expected
from ddns.store.expected import Expected

COLUMNS = (SERIAL, UEID, "vendor", "label", "owner", "note")
MOST = 10_000  # boxes of one file
MOST_SERIAL = 64  # characters: ub-serial-number of X.520
MOST_UEID = 128  # characters of one in base64url; RFC 9711 §4.2.1 has 7 to 33 octets
MOST_NOTE = 200


class Box(msgspec.Struct, frozen=True):
    """A box as somebody has written it down, in *line* of a file; one of *serial* and *ueid* names it."""

    serial: str = ""
    ueid: str = ""
    vendor: str = ""
    label: str = ""
    owner: str = ""
    note: str = ""
    line: int = 0


class Refused(msgspec.Struct, frozen=True):
    """A line that is not taken, and why."""

    line: int
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What became of a list of boxes."""

    added: int
    changed: int
    kept: int
    refused: tuple[Refused, ...]


def read(source: BinaryIO) -> list[Box]:
    """Return the boxes in a CSV file. Raises `CannotDo`."""
    found = []
    for line, row in csv_rows.read(source, COLUMNS, (SERIAL, UEID)):
        found.append(Box(**row, line=line))
        if len(found) > MOST:
            raise CannotDo(f"The file has more than {MOST} boxes; make several of it.")
    if not found:
        raise CannotDo(f"The file has no boxes; its first line names the columns, of {', '.join(COLUMNS)}.")
    return found


async def expect(conn: Conn, tenant: int, secret: bytes, boxes: Sequence[Box], now: int) -> Report:
    """Have *tenant* expect *boxes*; *secret* is the registry's. What is wrong with one leaves the others alone."""
    rows: dict[tuple[bytes, str], Expected] = {}
    refused = []
    owners = await expected.owners(conn, tenant, [one for one in map(_uuid, {box.owner for box in boxes}) if one])
    for number, box in enumerate(boxes, 1):
        line = box.line or number
        try:
            row = _row(box, secret, owners)
        except CannotDo as error:
            refused.append(Refused(line, str(error).rstrip(".")))
            continue
        if rows.setdefault((row.digest, row.vendor), row) is not row:
            refused.append(Refused(line, "another line is about this box"))
    added, changed = await expected.put_all(conn, tenant, list(rows.values()), now) if rows else (0, 0)
    return Report(added, changed, len(rows) - added - changed, tuple(refused))


async def forget(conn: Conn, tenant: int, secret: bytes, box: Box) -> bool:
    """Expect a box no more, of whatever vendor where none is said; tell whether it was expected. Raises `CannotDo`.

    A home that it is already stays.
    """
    kind, text = _named(box)
    return bool(await expected.forget(conn, tenant, expecting.digest(secret, kind, text), box.vendor or None))


def _named(box: Box) -> tuple[str, str]:
    """Return by what a box is named. Raises `CannotDo`."""
    kind, text, most = (UEID, box.ueid, MOST_UEID) if box.ueid else (SERIAL, box.serial, MOST_SERIAL)
    if bool(box.serial) == bool(box.ueid):
        raise CannotDo("A box has a serial number, or a UEID where evidence names it by that; write one of them.")
    if not 0 < len(text) <= most or not text.isprintable():
        raise CannotDo(f"A {kind} has 1 to {most} printable characters.")
    return kind, text


def _row(box: Box, secret: bytes, owners: Collection[UUID]) -> Expected:
    kind, text = _named(box)
    if len(box.vendor) > MOST_TEXT or not box.vendor.isprintable():
        raise CannotDo(f"The name of a vendor has up to {MOST_TEXT} printable characters.")
    if box.vendor and kind == UEID:
        raise CannotDo("Evidence names a box by its UEID whoever made it; leave the vendor out.")
    if len(box.note) > MOST_NOTE or not box.note.isprintable():
        raise CannotDo(f"A note has up to {MOST_NOTE} printable characters.")
    label = labels.form(box.label) if box.label else None
    if isinstance(label, Refusal):
        raise CannotDo(label.text)
    owner = _uuid(box.owner)
    if box.owner and (owner is None or owner not in owners):
        raise CannotDo("There is no such owner here; `ddns owner list` has their ids.")
    return Expected(
        expecting.digest(secret, kind, text), kind, box.vendor, "" if label is None else label.shown, owner, box.note
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
