"""Invite homes by the thousand, from a list of labels: some hundreds in a transaction, and each once.

Law: the list again makes nothing twice. Whoever is invited keeps his invitation, and is told it again; a home that is
there needs none. So a run that ended in the middle goes on where it was.
"""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TextIO

import msgspec

from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.names import BadName, Name
from ddns.dns.refusal import Refusal
from ddns.homes import labels, policies, quotas
from ddns.homes.labels import Label
from ddns.homes.making import Wanted
from ddns.homes.policies import label_rules
from ddns.operator import homes
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import home_policies, invitations, new_homes, rrsets
from ddns.store import naming as stored_naming
from ddns.store.tenancy import current
from ddns.store.zones import Zone

AT_ONCE = 400  # invitations in one transaction
MOST = 100_000  # lines of one file
_MOST_WRITTEN = 256  # characters of a label that are shown where it is refused


class Invited(msgspec.Struct, frozen=True):
    """An invitation of a line: *new*, or one that was open already."""

    line: int
    home: Name
    key: Name
    secret: Secret
    expires_at: int
    new: bool


class Refused(msgspec.Struct, frozen=True):
    """A line without an invitation, and why; *there*: because the home is there already."""

    line: int
    label: str
    reason: str
    there: bool = False


Tell = Callable[[Sequence[Invited], Sequence[Refused]], None]
KeysOf = Callable[[Conn, Sequence[int], Callable[[Name, bytes], Secret]], Awaitable[Mapping[int, tuple[Name, Secret]]]]


def read(stream: TextIO) -> list[tuple[int, str]]:
    """Return the labels of a CSV file, each with its line's number: its column `label`, or else its first one.

    What begins with # is left out. Raises `CannotDo`.
    """
    found: list[tuple[int, str]] = []
    column: int | None = None
    reader = csv.reader(stream)
    try:
        for row in reader:
            cells = [one.strip() for one in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if column is None:
                named = "label" in cells
                column = cells.index("label") if named else 0
                if named:
                    continue
            if column >= len(cells) or not cells[column]:
                raise CannotDo(f"Line {reader.line_num} has no label; write one, or leave the line out.")
            found.append((reader.line_num, cells[column]))
            if len(found) > MOST:
                raise CannotDo(f"The file has more than {MOST} labels; make several of it.")
    except csv.Error as error:
        raise CannotDo(f"Line {reader.line_num} is no CSV ({error}); quote what has commas or line breaks.") from None
    except UnicodeDecodeError:
        raise CannotDo("The file is not UTF-8; write it anew in that encoding.") from None
    if not found:
        raise CannotDo("The file has no labels; write one a line, or a column called label.")
    return found


def _lots(lines: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    rest = iter(lines)
    while lot := list(islice(rest, AT_ONCE)):
        yield lot


async def invite(
    conn: Conn, sealer: Sealer, registry: Zone, lines: Sequence[tuple[int, str]], expires_at: int, now: int, tell: Tell,
    keys_of: KeysOf = invitations.keys_of,
) -> None:  # fmt: skip
    """Invite the homes of *lines* into the zone *registry*; *tell* hears of each lot once it is committed.

    *keys_of* reads the secrets of invitations that are open, as the asker's role may. Raises `CannotDo`, for what none
    of them could be invited; those before stay.
    """
    seen: dict[Name, int] = {}
    for lot in _lots(lines):
        async with conn.transaction():
            done = await _invite(conn, sealer, registry, lot, expires_at, now, seen, keys_of)
        tell(*done)


async def _invite(
    conn: Conn,
    sealer: Sealer,
    registry: Zone,
    lot: Sequence[tuple[int, str]],
    expires_at: int,
    now: int,
    seen: dict[Name, int],
    keys_of: KeysOf,
) -> tuple[list[Invited], list[Refused]]:
    tenant = await current(conn)
    policy = await home_policies.of(conn, tenant, registry.id)
    refusal = policies.admits(policy, "invitation", "token", has_owner=True)
    if refusal is not None:
        raise CannotDo(refusal.text)
    rules = await label_rules(conn, tenant, policy)
    invited: list[Invited] = []
    refused: list[Refused] = []
    wanted: dict[Name, tuple[int, Label]] = {}
    for line, text in lot:
        label = labels.read(text, rules, registry.origin)
        try:
            home = None if isinstance(label, Refusal) else names.prepend(label.wire, registry.origin)
        except BadName as error:
            refused.append(Refused(line, text[:_MOST_WRITTEN], f"the home cannot be named: {error}"))
            continue
        if isinstance(label, Refusal) or home is None:
            refused.append(Refused(line, text[:_MOST_WRITTEN], refusal_text(label)))
        elif home in seen:
            refused.append(Refused(line, text[:_MOST_WRITTEN], f"line {seen[home]} has this label", there=True))
        else:
            seen[home] = line
            wanted[home] = line, label
    standing = await new_homes.standing(conn, wanted)
    unfit = await new_homes.unfit(conn, registry.id, [Wanted(name=home) for home in wanted], now)
    held = {one.label: one for one in await invitations.open_for(conn, wanted, now) if one.tenant == tenant}
    secrets = await keys_of(conn, [one.id for one in held.values()], sealer.open)
    places = [(registry.id, home) for home in wanted]
    occupied = {name for _, name in await rrsets.read_names(conn, places)}
    occupied |= {name for _, name in await rrsets.has_descendants(conn, places)}
    for home, (line, label) in wanted.items():
        known = held.get(home)
        if known is not None and known.id in secrets:
            key, secret = secrets[known.id]
            invited.append(Invited(line, home, key, secret, known.expires_at, new=False))
        elif home in standing:
            refused.append(Refused(line, label.shown, "the home is there already", there=True))
        elif home in occupied:
            refused.append(Refused(line, label.shown, "the registry's zone has records at this name"))
        elif await stored_naming.alike(conn, registry.id, home, label.skeleton, plain=label.plain):
            refused.append(Refused(line, label.shown, "it looks like another home's name"))
        elif unfit.get(home) == "resting":
            refused.append(Refused(line, label.shown, "it was somebody's not long ago, and rests"))
        elif home in unfit:
            refused.append(Refused(line, label.shown, refusal_text(labels.unavailable())))
        elif (full := await quotas.room(conn, tenant, registry.id, now, invitations=1)) is not None:
            refused.append(Refused(line, label.shown, refusal_text(full)))
        else:
            made = await homes.put_invitation(conn, sealer, registry, home, expires_at, now)
            invited.append(Invited(line, home, made.key, made.secret, expires_at, new=True))
    return invited, refused


def refusal_text(refusal: object) -> str:
    """Return what a refusal says, without its full stop."""
    return refusal.text.rstrip(".") if isinstance(refusal, Refusal) else ""
