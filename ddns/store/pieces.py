"""Parts of a large zone as it is published: what stands at a few names, and a few links of its chain of denial.

Names that nobody has are asked for all day long, so both are found in one statement, of one moment.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.answer.image import Hashing
from ddns.answer.window import hashed_owner
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.store.line import Line, Statement
from ddns.store.packing import Parameter, octets
from ddns.store.published import PACKED


class Node(msgspec.Struct, frozen=True, gc=False):
    """What stands at a name: its RRsets, packed, None for none; and then whether any name is *below* it."""

    packed: bytes | None
    below: bool


class Pieces(msgspec.Struct, frozen=True):
    """What was found at one moment, in the *edition* of the zone then; None: the zone is no more.

    *links* are RRsets of the chain, packed: each the one at or before what was asked for, the last one where none is
    before, None where there is no chain.
    """

    edition: int | None
    nodes: tuple[Node, ...]
    links: tuple[bytes | None, ...]


_NODES = f"""
SELECT 0 AS kind, wanted.place, content.packed, content.packed IS NULL AND EXISTS (
    SELECT FROM published_rrsets AS below
    WHERE below.zone = $1 AND below.owner > wanted.owner AND below.owner < wanted.beyond
      AND below.type <> {Type.NSEC3:d}) AS below
FROM unnest($2, $3) WITH ORDINALITY AS wanted (owner, beyond, place)
CROSS JOIN LATERAL (
    SELECT string_agg(int4send(octet_length(rrset)) || rrset, '') AS packed FROM (
        SELECT {PACKED} AS rrset FROM published_rrsets AS shown
        WHERE shown.zone = $1 AND shown.owner = wanted.owner AND shown.type <> {Type.NSEC3:d}
    ) AS rrsets
) AS content
"""  # noqa: S608 - constants


def _links(condition: str) -> str:
    last = f"""
        SELECT int4send(octet_length(rrset)) || rrset AS packed FROM (
            SELECT {PACKED} AS rrset, owner FROM published_rrsets AS shown
            WHERE shown.zone = $1 AND {condition}"""  # noqa: S608 - constants
    return f"""
SELECT 1, wanted.place, link.packed, false
FROM unnest($4) WITH ORDINALITY AS wanted (key, place)
LEFT JOIN LATERAL (
    SELECT packed FROM (
        ({last} AND shown.owner <= wanted.key ORDER BY shown.owner DESC LIMIT 1) AS before)
        UNION ALL
        ({last} ORDER BY shown.owner DESC LIMIT 1) AS last)
    ) AS either LIMIT 1
) AS link ON true
"""  # noqa: S608 - constants


def _statement(name: bytes, condition: str, *types: str) -> Statement:
    return Statement(
        name,
        f"""
        SELECT kind, packed, below, (SELECT edition FROM zones WHERE id = $1 AND NOT held)
        FROM ({_NODES} UNION ALL {_links(condition)}) AS piece
        ORDER BY kind, place
        """.encode(),  # noqa: S608 - constants
        ("bigint", "bytea[]", "bytea[]", "bytea[]", *types),
    )


# Of two chains of one zone, as while its parameters change, only the records of the one that is in use count.
_NSEC3 = _statement(
    b"read_pieces_nsec3",
    f"""shown.type = {Type.NSEC3:d} AND EXISTS (
                SELECT FROM unnest(shown.rdatas) AS rdata
                WHERE substring(rdata FROM 1 FOR 1) = '\\x01' AND substring(rdata FROM 3 FOR octet_length($5)) = $5)""",  # noqa: S608 - constants
    "bytea",
)
_NSEC = _statement(b"read_pieces_nsec", f"shown.type = {Type.NSEC:d}")


async def read(
    line: Line, zone: int, origin: Name, hashing: Hashing | None, nodes: Sequence[Name], links: Sequence[bytes]
) -> Pieces:
    """Return what *zone*, whose apex is *origin*, has at *nodes*, and its *links*; at least one must be wanted.

    Links are named by hashes of the NSEC3 chain *hashing*, or without it by order keys of names. NSEC3 records stand
    at no name. Raises as `Line.ask`.
    """
    keys = [names.order_key(name) for name in nodes]
    parameters: list[Parameter] = [zone, octets(keys), octets([names.subtree_end(key) for key in keys])]
    if hashing is None:
        result = await line.ask(_NSEC, [*parameters, octets(links)])
    else:
        owners = [names.order_key(hashed_owner(digest, origin)) for digest in links]
        chain = hashing.iterations.to_bytes(2, "big") + bytes((len(hashing.salt),)) + hashing.salt
        result = await line.ask(_NSEC3, [*parameters, octets(owners), chain])
    cell = result.get_value
    edition = cell(0, 3)
    return Pieces(
        None if edition is None else int.from_bytes(edition, "big"),
        tuple([Node(cell(at, 1), cell(at, 2) == b"\1") for at in range(len(keys))]),
        tuple([cell(at, 1) for at in range(len(keys), result.ntuples)]),
    )
