"""How zones stand apart from their records: what an update is judged by, and what shows whether that has changed.

Law: it is read in the statement that reads the records, so both are of one moment. If a state still holds at the
commit, so does all that was read with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.store import grants, zones
from ddns.store.line import Line, Statement
from ddns.store.packing import bigints, octets
from ddns.store.unpacking import unpacked
from ddns.store.zones import Zone

Shown = dict[tuple[int, Name], tuple[SignedRRset, ...]]


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A zone's row, the denials for everybody, and the *state* that stands for both.

    It says how the zone is signed, with which keyset, and counts what is not in the row: its rules, its home, leases,
    what waits to be signed. *registry* does so for the rules of the zone's parent, 0 where there is none. *bounded*:
    how much it may hold is bounded, so what it holds has to be counted.
    """

    zone: Zone
    everybody: tuple[Grant, ...]
    state: str
    registry: int
    bounded: bool = False

    @property
    def ready(self) -> bool:
        """Tell whether what is published of the zone is what is stored of it, signed, and nothing else counts."""
        zone = self.zone
        at_rest = not (zone.signed_pending or zone.leased or zone.is_away or self.bounded)
        return zone.denial != "none" and zone.edition > 0 and at_rest


# A zone's denials for everybody are its own, and those of its registry for homes: see `grants.for_everybody`.
_STANDINGS = f"""
SELECT NULL::bigint AS place, ROW(
    concat_ws(' ', zones.denial, zones.algorithm, zones.parent, zones.basis, zones.keyset),
    coalesce(registries.basis, 0),
    coalesce((SELECT names_most > 0 OR records_most > 0 FROM home_policies
              WHERE home_policies.zone = zones.parent AND home_policies.tenant = zones.tenant), false),
    ARRAY(
        SELECT ROW({grants.COLUMNS}) FROM grants
        WHERE credential IS NULL AND zone = ANY (ARRAY[zones.id, zones.parent]) AND homes = (zone <> zones.id)
              AND (grants.tenant IS NULL OR grants.tenant = zones.tenant)
    ), {zones.COLUMNS}) AS found
FROM unnest($1) AS wanted (zone)
JOIN zones ON zones.id = wanted.zone
LEFT JOIN zones AS registries ON registries.id = zones.parent
{zones.BESIDE}
"""  # noqa: S608 - constants
_STANDING = b"tqz(" + grants.KINDS + b")" + zones.KINDS

_RECORDS = """
SELECT place, ROW(ARRAY(
    SELECT ROW(owner, type, ttl, rdatas, sigs) FROM published_rrsets AS shown
    WHERE shown.zone = wanted.zone AND shown.owner = wanted.owner ORDER BY type
))
FROM unnest($2, $3) WITH ORDINALITY AS wanted (zone, owner, place)
"""

LOOK = Statement(
    b"look",
    f"{_STANDINGS} UNION ALL {_RECORDS}".encode(),
    ("bigint[]", "bigint[]", "bytea[]"),
)


async def ask(line: Line, ids: Sequence[int], wanted: Sequence[tuple[int, Name]]) -> tuple[dict[int, Standing], Shown]:
    """Return how the zones *ids* stand, and what is published at each (zone, name) of *wanted*, all of one moment.

    A zone that is no more is not in the result, nor is a name without records; RRsets stand in the order of their
    types. Raises as `Line.run`.
    """
    key = names.order_key
    places = bigints([zone for zone, _ in wanted]), octets([key(name) for _, name in wanted])
    result = await line.ask(LOOK, [bigints(ids), *places])
    cell = result.get_value
    stand: list[bytes | None] = []
    at_names: list[bytes | None] = []
    asked: list[tuple[int, Name]] = []
    for at in range(result.ntuples):
        place = cell(at, 0)
        if place is None:
            stand.append(cell(at, 1))
        else:
            at_names.append(cell(at, 1))
            asked.append(wanted[int.from_bytes(place, "big") - 1])
    standings = {
        row[4]: Standing(Zone(*row[4:]), grants.binding(grants.from_rows(row[3]), row[5]), row[0], row[1], row[2])
        for row in unpacked(_STANDING, stand)
    }
    shown = {key: found for key, (found,) in zip(asked, unpacked(b"(S)", at_names), strict=True) if found}
    return standings, shown
