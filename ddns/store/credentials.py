"""Credentials: the keys that may sign updates, with the grants that each carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.pq.abc import PGresult

from ddns.auth.principal import DEFAULT_ASSURANCE, Credential, Grant, Secret
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import grants as stored_grants
from ddns.store.line import Line, Statement
from ddns.store.packing import bigints, integers, octets, texts
from ddns.store.pool import rows
from ddns.store.unpacking import unpacked

OpenSecret = Callable[[Name, bytes], Secret]


class Listed(msgspec.Struct, frozen=True):
    """A credential as people list it: without its secret, with its times in seconds since 1970."""

    credential: Credential
    created_at: int
    revoked_at: int | None
    expires_at: int | None = None
    note: str = ""


class Stamped:
    """A credential as it was read, and the *stamp* of its row, which `commit_updates` compares.

    That is the row's `xmin`, which no other version of it has. Whoever changes its grants touches the row, too.
    """

    __slots__ = ("_zones", "credential", "stamp")

    def __init__(self, credential: Credential, stamp: str) -> None:
        self.credential = credential
        self.stamp = stamp
        self._zones: dict[int, Credential] | None = None

    def within(self, zone: int) -> Credential:
        """Return the credential with its grants in *zone* alone."""
        if self._zones is None and all(one.zone == zone for one in self.credential.grants):
            self._zones = {zone: self.credential}  # as most keys have it
        if self._zones is None:
            by_zone: dict[int, list[Grant]] = {}
            for grant in self.credential.grants:
                by_zone.setdefault(grant.zone, []).append(grant)
            self._zones = {
                number: msgspec.structs.replace(self.credential, grants=tuple(granted))
                for number, granted in by_zone.items()
            }
        return self._zones.get(zone, self.credential)


_COLUMNS = """credentials.id, credentials.name, credentials.kind, credentials.algorithm, credentials.tag,
       credentials.public, credentials.secret, credentials.home, credentials.invitation, credentials.assurance,
       credentials.xmin::text"""
_SELECT = f"""
SELECT {_COLUMNS}, grants.credential,
       {stored_grants.COLUMNS}
FROM credentials
LEFT JOIN grants ON grants.credential = credentials.id
"""  # noqa: S608 - constants
_OWN = 10  # columns of a row that are the credential's own; its stamp and whether there is a grant follow


def _credentials(rows: Iterable[Sequence[Any]], open_secret: OpenSecret | None) -> list[Credential]:
    """Return *rows* of `_SELECT`, of which those of one credential stand together, as values."""
    out: list[Credential] = []
    granted: list[Grant] = []
    last: Sequence[Any] | None = None
    for row in rows:
        if last is not None and row[0] != last[0]:
            out.append(_credential(names.from_order_key(last[1]), last, tuple(granted), open_secret))
            granted = []
        last = row
        if row[_OWN + 1] is not None:
            granted.append(stored_grants.from_row(row[_OWN + 2 :]))
    if last is not None:
        out.append(_credential(names.from_order_key(last[1]), last, tuple(granted), open_secret))
    return out


def _credential(
    name: Name, row: Sequence[Any], granted: tuple[Grant, ...], open_secret: OpenSecret | None
) -> Credential:
    sealed = row[6]
    return Credential(
        id=row[0],
        name=name,
        kind=row[2],
        algorithm=row[3],
        tag=row[4],
        public=row[5] or b"",
        secret=open_secret(name, sealed) if open_secret is not None and sealed is not None else None,
        home=row[7],
        invitation=row[8],
        assurance=row[9],
        grants=granted,
    )


async def by_names(
    conn: AsyncConnection[Any], wanted: Iterable[Name], open_secret: OpenSecret
) -> dict[Name, tuple[Credential, ...]]:
    """Return the live credentials of each name; one without any is not in the result."""
    return {
        name: tuple(one.credential for one in found)
        for name, found in (await stamped(conn, wanted, open_secret)).items()
    }


async def stamped(
    conn: AsyncConnection[Any], wanted: Iterable[Name], open_secret: OpenSecret
) -> dict[Name, tuple[Stamped, ...]]:
    """Return the live credentials of each name with what shows whether they have changed."""
    cursor = await conn.execute(
        _SELECT
        + """
        WHERE credentials.name = ANY (%(names)s) AND credentials.revoked_at IS NULL
        ORDER BY credentials.id, grants.id
        """,
        {"names": octets([names.order_key(name) for name in wanted])},
        prepare=True,
        binary=True,
    )
    read = await cursor.fetchall()
    stamps = {row[0]: row[_OWN] for row in read}
    return _by_name([Stamped(one, stamps[one.id]) for one in _credentials(read, open_secret)])


def _by_name(read: Iterable[Stamped]) -> dict[Name, tuple[Stamped, ...]]:
    found: dict[Name, tuple[Stamped, ...]] = {}
    for one in read:
        name = one.credential.name
        found[name] = (*found[name], one) if name in found else (one,)
    return found


_ASK_STAMPED = Statement(
    b"stamped",
    f"""
    SELECT ROW({_COLUMNS}, ARRAY(
        SELECT ROW({stored_grants.COLUMNS}) FROM grants WHERE grants.credential = credentials.id
    ))
    FROM credentials WHERE credentials.name = ANY ($1) AND credentials.revoked_at IS NULL
    """.encode(),  # noqa: S608 - constants
    ("bytea[]",),
)
_STAMPED = b"qnttibbqqtt(" + stored_grants.KINDS + b")"
_STAMP, _GRANTS = 10, 11  # their places in such a row


async def ask_stamped(line: Line, wanted: Iterable[Name], open_secret: OpenSecret) -> dict[Name, tuple[Stamped, ...]]:
    """Return what `stamped` returns, asked over *line*: a third of the work, for who asks all day long."""
    key = names.order_key
    result = await line.ask(_ASK_STAMPED, [octets([key(name) for name in wanted])])
    read = unpacked(_STAMPED, _cells(result))
    read.sort(key=itemgetter(0))
    granted = stored_grants.from_rows
    return _by_name(
        [Stamped(_credential(row[1], row, granted(row[_GRANTS]), open_secret), row[_STAMP]) for row in read]
    )


def _cells(result: PGresult) -> list[bytes | None]:
    cell = result.get_value
    return [cell(at, 0) for at in range(result.ntuples)]


FEW_GRANTS = 16  # of a key that is read before it is asked for
_ASK_PAGE = Statement(
    b"keys_ahead",
    f"""
    SELECT ROW(id, name) FROM credentials
    WHERE id < $1 AND (home IS NOT NULL OR kind = 'sig0') AND revoked_at IS NULL
          AND NOT EXISTS (SELECT FROM grants WHERE credential = credentials.id OFFSET {FEW_GRANTS})
    ORDER BY id DESC LIMIT $2
    """.encode(),  # noqa: S608 - a constant
    ("int8", "int8"),
)
_LAST = 2**63 - 1


async def ask_page(line: Line, before: int | None, most: int) -> list[tuple[int, Name]]:
    """Return ids and names of the *most* newest live keys of gateways whose id is less than *before*; None: of all.

    Those are the keys of homes, and those that sign with SIG(0); but none with more than `FEW_GRANTS` rules.
    """
    result = await line.ask(_ASK_PAGE, [_LAST if before is None else before, most])
    return [(row[0], row[1]) for row in unpacked(b"qn", _cells(result))]


async def by_ids(
    conn: AsyncConnection[Any],
    ids: Iterable[int],
    open_secret: OpenSecret | None = None,
    zones: Iterable[int] | None = None,
) -> dict[int, Credential]:
    """Return those of *ids* that are live now; without *open_secret* the secrets stay closed.

    With *zones* only the grants in those are read: an operator's key may have thousands.
    """
    cursor = await conn.execute(
        _SELECT.rstrip()
        + ("" if zones is None else " AND grants.zone = ANY (%(zones)s)")
        + """
        WHERE credentials.id = ANY (%(ids)s) AND credentials.revoked_at IS NULL
        ORDER BY credentials.id, grants.id
        """,
        {"ids": bigints(list(ids)), "zones": bigints(list(zones or ()))},
        prepare=True,
        binary=True,
    )
    return {credential.id: credential for credential in _credentials(await rows(cursor), open_secret)}


async def insert(
    conn: AsyncConnection[Any],
    name: Name,
    kind: str,
    algorithm: str,
    *,
    tag: int = 0,
    public: bytes = b"",
    secret: bytes | None = None,
    home: int | None = None,
    invitation: int | None = None,
    grants: Iterable[Grant] = (),
    assurance: str = DEFAULT_ASSURANCE,
    device: UUID | None = None,
    expires_at: int | None = None,
    note: str = "",
) -> int:
    """Store a credential with its *grants*, a TSIG *secret* sealed, and return its id.

    *device* is the box that holds it, *expires_at* (seconds since 1970) when it ends; None: nobody knows, and never.

    Raises `psycopg.errors.UniqueViolation` (tsig_key_twice, sig0_key_twice).
    """
    cursor = await conn.execute(
        """
        INSERT INTO credentials (name, kind, algorithm, tag, public, secret, home, invitation, assurance, device,
                                 expires_at, note)
        VALUES (%(name)s, %(kind)s, %(algorithm)s, %(tag)s, %(public)s, %(secret)s, %(home)s, %(invitation)s,
                %(assurance)s, %(device)s, to_timestamp(%(expires_at)s), %(note)s)
        RETURNING id
        """,
        {
            "name": names.order_key(name),
            "kind": kind,
            "algorithm": algorithm,
            "tag": tag,
            "public": public or None,
            "secret": secret,
            "home": home,
            "invitation": invitation,
            "assurance": assurance,
            "device": device,
            "expires_at": expires_at,
            "note": note,
        },
        prepare=True,
    )
    row = await cursor.fetchone()
    assert row is not None
    made = int(row[0])
    await stored_grants.insert_all(conn, [(made, grant) for grant in grants])
    return made


async def insert_all(
    conn: AsyncConnection[Any], new: Sequence[Credential], sealed: Sequence[bytes | None]
) -> list[int]:
    """Store credentials without invitations and grants; *sealed* are their TSIG secrets. Return their ids.

    Raises `psycopg.errors.UniqueViolation` (tsig_key_twice, sig0_key_twice).
    """
    cursor = await conn.execute(
        """
        INSERT INTO credentials (name, kind, algorithm, tag, public, secret, home, assurance)
        SELECT name, kind, algorithm, tag, public, secret, home, assurance
        FROM unnest(%(names)s, %(kinds)s, %(algorithms)s, %(tags)s, %(publics)s, %(secrets)s, %(homes)s, %(assurances)s)
             AS new (name, kind, algorithm, tag, public, secret, home, assurance)
        RETURNING id, name, public
        """,
        {
            "names": octets([names.order_key(one.name) for one in new]),
            "kinds": texts(one.kind for one in new),
            "algorithms": texts(one.algorithm for one in new),
            "tags": integers([one.tag for one in new]),
            "publics": octets([one.public or None for one in new]),
            "secrets": octets(sealed),
            "homes": bigints([one.home for one in new]),
            "assurances": texts(one.assurance for one in new),
        },
        prepare=True,
        binary=True,
    )
    made = {(name, public or b""): number for number, name, public in await cursor.fetchall()}
    return [made[names.order_key(one.name), one.public] for one in new]


async def assure(conn: AsyncConnection[Any], ids: Iterable[int], assurance: str) -> int:
    """Set the assurance of those of *ids* that are live; return how many they were."""
    cursor = await conn.execute(
        "UPDATE credentials SET assurance = %(assurance)s WHERE id = ANY (%(ids)s) AND revoked_at IS NULL",
        {"ids": bigints(list(ids)), "assurance": assurance},
        prepare=True,
    )
    return cursor.rowcount


async def revoke(conn: AsyncConnection[Any], name: Name) -> int:
    """Revoke every live credential of *name*; return how many they were."""
    cursor = await conn.execute(
        "UPDATE credentials SET revoked_at = now() WHERE name = %(name)s AND revoked_at IS NULL",
        {"name": names.order_key(name)},
        prepare=True,
    )
    return cursor.rowcount


async def revoke_ids(conn: AsyncConnection[Any], ids: Iterable[int]) -> int:
    """Revoke those of *ids* that are live; return how many they were."""
    cursor = await conn.execute(
        "UPDATE credentials SET revoked_at = now() WHERE id = ANY (%(ids)s) AND revoked_at IS NULL",
        {"ids": bigints(list(ids))},
        prepare=True,
    )
    return cursor.rowcount


async def end(conn: AsyncConnection[Any], now: int, most: int) -> list[Name]:
    """Revoke at most *most* keys that end by *now* (seconds since 1970), and return their names."""
    cursor = await conn.execute(
        """
        UPDATE credentials SET revoked_at = expires_at WHERE revoked_at IS NULL AND id IN (
            SELECT id FROM credentials WHERE expires_at <= to_timestamp(%(now)s) AND revoked_at IS NULL
            ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)
        RETURNING name
        """,
        {"now": now, "most": most},
        prepare=True,
    )
    return [names.from_order_key(row[0]) for row in await cursor.fetchall()]


async def revoked_at(conn: AsyncConnection[Any], credential: int) -> int | None:
    """Return when the credential of this id was revoked, in seconds since 1970; None: it was not, or is no more."""
    cursor = await conn.execute(
        "SELECT extract(epoch FROM revoked_at)::bigint FROM credentials WHERE id = %(id)s", {"id": credential}
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def listing(conn: AsyncConnection[Any], *, revoked: bool = False) -> list[Listed]:
    """Return the live credentials by name, and with *revoked* also those that are no more; secrets stay closed."""
    cursor = await conn.execute(
        _SELECT
        + """
        WHERE credentials.revoked_at IS NULL OR %(revoked)s
        ORDER BY credentials.name, credentials.id, grants.id
        """,
        {"revoked": revoked},
        binary=True,
    )
    credentials = _credentials(await cursor.fetchall(), None)
    cursor = await conn.execute(
        """
        SELECT id, extract(epoch FROM created_at)::bigint, extract(epoch FROM revoked_at)::bigint,
               extract(epoch FROM expires_at)::bigint, note
        FROM credentials WHERE id = ANY (%(ids)s)
        """,
        {"ids": bigints([credential.id for credential in credentials])},
        binary=True,
    )
    times = {row[0]: row[1:] for row in await cursor.fetchall()}
    return [Listed(credential, *times[credential.id]) for credential in credentials]
