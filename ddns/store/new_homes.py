"""Many new homes at once: their rows, in a few statements, as `zones`, `homes`, `signing` and `credentials` have them.

Law: the caller owns the transaction, and nobody has seen these homes before it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.store.packing import bigints, integers, octets, texts


class Wanting(Protocol):
    """A home that is wanted."""

    @property
    def name(self) -> Name:
        """Return its full name."""

    @property
    def owner(self) -> UUID | None:
        """Return whose it shall be; None: nobody's yet."""

    @property
    def invitation(self) -> int | None:
        """Return the invitation that it comes by; None: by none; 0: by none, and whoever is invited loses his."""


class Row(msgspec.Struct, frozen=True):
    """A home's zone at its first entry in the journal, and whose home it is.

    *serial* is that of its first edition, 0 where it waits for the signer; *due* is when its first signature falls
    due, in seconds since 1970, 0: never. *shown* is its label as people write it, *skeleton* what it looks like.
    """

    origin: Name
    serial: int
    due: int
    owner: UUID | None = None
    device: UUID | None = None
    kind: str = "gateway"
    shown: str = ""
    skeleton: str = ""


class Key(msgspec.Struct, frozen=True):
    """A home's first SIG(0) key: the home's zone and name, KEY RDATA, algorithm, tag, assurance, and its box."""

    zone: int
    name: Name
    public: Rdata
    algorithm: int
    tag: int
    assurance: str
    device: UUID | None = None


class Appraisal(msgspec.Struct, frozen=True):
    """By what a credential has its assurance: the *evidence*, and who judged it; times in seconds since 1970."""

    credential: int
    method: str
    assurance: str
    evidence: bytes
    at: int
    until: int | None
    bond: int | None
    verifier: int | None


async def standing(conn: AsyncConnection[Any], origins: Iterable[Name]) -> dict[Name, int | None]:
    """Return which of *origins* are zones already, each with the id of the registry's zone that it is a home of."""
    wanted = list(origins)
    cursor = await conn.execute(
        """
        SELECT wanted.place, zones.parent
        FROM unnest(%(origins)s) WITH ORDINALITY AS wanted (origin, place)
        JOIN zones ON zones.origin = wanted.origin
        """,
        {"origins": octets([names.order_key(one) for one in wanted])},
        prepare=True,
        binary=True,
    )
    return {wanted[place - 1]: parent for place, parent in await cursor.fetchall()}


async def unfit(conn: AsyncConnection[Any], registry: int, wanted: Sequence[Wanting], now: int) -> dict[Name, str]:
    """Return which of *wanted* cannot be homes in the zone *registry*: they are `taken`, `resting` or `invited`.

    It sees over the walls between tenants. A label rests for everybody but the owner who had it.
    """
    cursor = await conn.execute(
        """
        SELECT place, why
        FROM labels_unfit(%(registry)s, %(labels)s, %(owners)s::text[]::uuid[], %(invitations)s, to_timestamp(%(now)s))
        """,
        {
            "registry": registry,
            "labels": octets([names.order_key(one.name) for one in wanted]),
            "owners": [None if one.owner is None else str(one.owner) for one in wanted],
            "invitations": bigints([one.invitation for one in wanted]),
            "now": now,
        },
        prepare=True,
    )
    return {wanted[place - 1].name: why for place, why in await cursor.fetchall()}


async def insert(
    conn: AsyncConnection[Any], rows: Sequence[Row], denial: str, algorithm: int, parent: int, now: int
) -> list[int]:
    """Add the zones of new homes in the zone *parent*; return their ids in the same order. Their boxes are owned.

    Raises `psycopg.errors.UniqueViolation` (zone_twice, device_in_two_homes).
    """
    keys = [names.order_key(row.origin) for row in rows]
    cursor = await conn.execute(
        """
        INSERT INTO zones (origin, denial, algorithm, parent, head, edition, serial)
        SELECT origin, %(denial)s, %(algorithm)s, %(parent)s, 1, CASE serial WHEN 0 THEN 0 ELSE 1 END, serial
        FROM unnest(%(origins)s, %(serials)s) AS new (origin, serial)
        RETURNING origin, id
        """,
        {
            "origins": octets(keys),
            "serials": bigints([row.serial for row in rows]),
            "denial": denial,
            "algorithm": algorithm,
            "parent": parent,
        },
        prepare=True,
        binary=True,
    )
    made = dict(await cursor.fetchall())
    ids = [made[key] for key in keys]
    # A statement of its own: what the first one returns would be joined with the rest, each home with all of them.
    await conn.execute(
        """
        WITH wanted AS (
            SELECT zone, serial = 0 AS pending, to_timestamp(nullif(due, 0)) AS due, nullif(owner, '')::uuid AS owner,
                   nullif(device, '')::uuid AS device, kind, shown, skeleton
            FROM unnest(%(zones)s, %(serials)s, %(dues)s, %(owners)s, %(devices)s, %(kinds)s, %(shown)s,
                        %(skeletons)s)
                 AS new (zone, serial, due, owner, device, kind, shown, skeleton)
        ), signed AS (
            INSERT INTO signing (zone, signed_head, pending, resign_at)
            SELECT zone, CASE WHEN pending THEN 0 ELSE 1 END, pending, due FROM wanted
        )
        INSERT INTO homes (zone, owner, device, kind, label_shown, skeleton, changed_at)
        SELECT zone, owner, device, kind, shown, skeleton, to_timestamp(%(now)s) FROM wanted
        """,
        {
            "zones": bigints(ids),
            "serials": bigints([row.serial for row in rows]),
            "dues": bigints([row.due for row in rows]),
            "owners": texts(_text(row.owner) for row in rows),
            "devices": texts(_text(row.device) for row in rows),
            "kinds": texts(row.kind for row in rows),
            "shown": texts(row.shown for row in rows),
            "skeletons": texts(row.skeleton for row in rows),
            "now": now,
        },
        prepare=True,
    )
    boxes = [str(row.device) for row in rows if row.device is not None]
    if boxes:
        await conn.execute(
            "UPDATE devices SET state = 'owned' WHERE id = ANY (%(boxes)s::uuid[])",
            {"boxes": texts(boxes)},
            prepare=True,
        )
    return ids


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)


async def enrol(conn: AsyncConnection[Any], keys: Sequence[Key]) -> dict[int, int]:
    """Enrol the SIG(0) keys of homes, each for all of its home; return the credentials' ids by the zones'.

    Raises `psycopg.errors.UniqueViolation` (sig0_key_twice).
    """
    if not keys:
        return {}
    cursor = await conn.execute(
        """
        INSERT INTO credentials (name, kind, algorithm, tag, public, home, assurance, device)
        SELECT name, 'sig0', algorithm, tag, public, home, assurance, nullif(device, '')::uuid
        FROM unnest(%(homes)s, %(names)s, %(publics)s, %(algorithms)s, %(tags)s, %(assurances)s, %(devices)s)
             AS new (home, name, public, algorithm, tag, assurance, device)
        RETURNING home, id
        """,
        {
            "homes": bigints([key.zone for key in keys]),
            "names": octets([names.order_key(key.name) for key in keys]),
            "publics": octets([key.public for key in keys]),
            "algorithms": texts(str(key.algorithm) for key in keys),
            "tags": integers([key.tag for key in keys]),
            "assurances": texts(key.assurance for key in keys),
            "devices": texts(_text(key.device) for key in keys),
        },
        prepare=True,
        binary=True,
    )
    made = dict(await cursor.fetchall())
    # A statement of its own: the wall around grants looks for the credential, and one statement does not see its own.
    await conn.execute(
        """
        INSERT INTO grants (credential, zone, subtree, rule)
        SELECT id, home, name, 'zone' FROM credentials WHERE id = ANY (%(made)s)
        """,
        {"made": bigints(list(made.values()))},
        prepare=True,
    )
    return made


async def appraise(conn: AsyncConnection[Any], judged: Sequence[Appraisal]) -> None:
    """Keep by what credentials have their assurance."""
    if not judged:
        return
    await conn.execute(
        """
        INSERT INTO appraisals (credential, method, verifier, bond, evidence, assurance, at, until)
        SELECT credential, method, verifier, bond, evidence, assurance, to_timestamp(at), to_timestamp(until)
        FROM unnest(%(credentials)s, %(methods)s, %(verifiers)s, %(bonds)s, %(evidence)s, %(assurances)s, %(at)s,
                    %(until)s)
             AS new (credential, method, verifier, bond, evidence, assurance, at, until)
        """,
        {
            "credentials": bigints([one.credential for one in judged]),
            "methods": texts(one.method for one in judged),
            "verifiers": bigints([one.verifier for one in judged]),
            "bonds": bigints([one.bond for one in judged]),
            "evidence": octets([one.evidence for one in judged]),
            "assurances": texts(one.assurance for one in judged),
            "at": bigints([one.at for one in judged]),
            "until": bigints([one.until for one in judged]),
        },
        prepare=True,
    )


async def spend_invitations(conn: AsyncConnection[Any], spent: Sequence[tuple[int, int]], now: int) -> bool:
    """Spend invitations, given as (invitation, home's zone); tell whether all were there, unspent and not over.

    A spent one's credential stays live until it expires: see `invitations.spend`.
    """
    if not spent:
        return True
    cursor = await conn.execute(
        """
        UPDATE invitations SET spent_at = to_timestamp(%(now)s), home = made.home
        FROM unnest(%(invitations)s, %(homes)s) AS made (invitation, home)
        WHERE invitations.id = made.invitation AND invitations.spent_at IS NULL
              AND invitations.expires_at > to_timestamp(%(now)s)
        """,
        {
            "invitations": bigints([invitation for invitation, _ in spent]),
            "homes": bigints([home for _, home in spent]),
            "now": now,
        },
        prepare=True,
    )
    return cursor.rowcount == len(spent)


async def withdraw_invitations(conn: AsyncConnection[Any], homes: Iterable[Name]) -> None:
    """Remove the unspent invitations of *homes* with their credentials."""
    labels = [names.order_key(home) for home in homes]
    if labels:
        await conn.execute(
            "DELETE FROM invitations WHERE label = ANY (%(labels)s) AND spent_at IS NULL",
            {"labels": octets(labels)},
            prepare=True,
        )
