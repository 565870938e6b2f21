"""Everything that a batch of updates writes, in one statement: the server and its client meet once for it.

The same rows could be written by the functions of `rrsets`, `published`, `journal`, `editions`, `zones`,
`requests` and `notify`, one statement each; a batch of one update then costs half as much again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from ddns.store import notify, published, rrsets
from ddns.store.journal import Entry
from ddns.store.packing import bigints, integers, octets, ragged, texts
from ddns.store.requests import Stored
from ddns.zone import edition
from ddns.zone.changes import ChangeSet
from ddns.zone.edition import Edition


class Batch(msgspec.Struct, frozen=True):
    """What is written: *changes* as (zone, change set), *gone* as (zone, name, type) that are published no more.

    *advanced* is (zone, head, edition, serial); *answered* (digest, answer, when it expires in seconds since 1970).
    The RRsets that *editions* add are published, and the other processes told of them.
    """

    changes: Sequence[tuple[int, ChangeSet]]
    gone: Sequence[tuple[int, Name, int]]
    editions: Sequence[Edition]
    advanced: Sequence[tuple[int, int, int, int]]
    entries: Sequence[Entry] = ()
    answered: Sequence[tuple[bytes, Stored, int]] = ()


_WRITE = """
WITH records AS (
    INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
    SELECT zone, owner, type, ttl, rdatas::bytea[]
    FROM unnest(%(r_zones)s, %(r_owners)s, %(r_types)s, %(r_ttls)s, %(r_rdatas)s)
         AS new (zone, owner, type, ttl, rdatas)
    ON CONFLICT (zone, owner, type) DO UPDATE SET ttl = excluded.ttl, rdatas = excluded.rdatas
), shown AS (
    INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs)
    SELECT zone, owner, type, ttl, rdatas::bytea[], sigs::bytea[]
    FROM unnest(%(p_zones)s, %(p_owners)s, %(p_types)s, %(p_ttls)s, %(p_rdatas)s, %(p_sigs)s)
         AS new (zone, owner, type, ttl, rdatas, sigs)
    ON CONFLICT (zone, owner, type) DO UPDATE SET ttl = excluded.ttl, rdatas = excluded.rdatas, sigs = excluded.sigs
), entries AS (
    INSERT INTO journal (zone, seq, principal, credential, digest, change)
    SELECT zone, seq, principal, credential, digest, change
    FROM unnest(%(j_zones)s, %(j_seqs)s, %(j_principals)s, %(j_credentials)s, %(j_digests)s, %(j_changes)s)
         AS entry (zone, seq, principal, credential, digest, change)
), steps AS (
    INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
    SELECT zone, number, from_serial, to_serial, removed, added
    FROM unnest(%(e_zones)s, %(e_numbers)s, %(e_from)s, %(e_to)s, %(e_removed)s, %(e_added)s)
         AS new (zone, number, from_serial, to_serial, removed, added)
), heads AS (
    UPDATE zones SET head = step.head, edition = step.edition, serial = step.serial
    FROM unnest(%(z_ids)s, %(z_heads)s, %(z_editions)s, %(z_serials)s) AS step (id, head, edition, serial)
    WHERE zones.id = step.id
)@answers
SELECT pg_notify('ddns_zones', payload) FROM unnest(%(payloads)s) AS payload
"""
_ANSWERS = """, answers AS (
    INSERT INTO requests (digest, rcode, ede, text, lease, expires_at)
    SELECT digest, rcode, ede, text, lease, to_timestamp(expires)
    FROM unnest(%(q_digests)s, %(q_rcodes)s, %(q_edes)s, %(q_texts)s, %(q_leases)s, %(q_expires)s)
         AS answer (digest, rcode, ede, text, lease, expires)
    ON CONFLICT (expires_at, digest) DO NOTHING
)"""
_WRITE_ANSWERED = _WRITE.replace("@answers", _ANSWERS)
_WRITE_ALONE = _WRITE.replace("@answers", "")  # for who may not say how a request was answered


async def write(conn: AsyncConnection[Any], batch: Batch) -> None:
    """Write *batch* into the open transaction; of several changes of one RRset the last one holds."""
    after: dict[tuple[int, Name, int], RRset | None] = {}
    for zone, change_set in batch.changes:
        for change in change_set.changes:
            after[zone, change.name, change.type] = change.after
    shown = {(one.zone, rrset.name, rrset.type): rrset for one in batch.editions for rrset in one.added}
    await rrsets.delete(conn, [key for key, rrset in after.items() if rrset is None])
    await published.delete(conn, [key for key in dict.fromkeys(batch.gone) if key not in shown])
    written = [(key[0], rrset) for key, rrset in after.items() if rrset is not None]
    for at in range(0, max(len(written), len(shown), 1), rrsets.STATEMENT_ROWS):
        end = at + rrsets.STATEMENT_ROWS
        rest = batch if at == 0 else Batch((), (), (), ())
        rows = list(shown.items())[at:end]
        await conn.execute(
            _WRITE_ANSWERED if rest.answered else _WRITE_ALONE,
            _parameters(written[at:end], [(key[0], one) for key, one in rows], rest),
            prepare=True,
        )


def _parameters(
    records: Sequence[tuple[int, RRset]], shown: Sequence[tuple[int, SignedRRset]], batch: Batch
) -> dict[str, Any]:
    entries, steps, answered = batch.entries, batch.editions, batch.answered
    return {
        "r_zones": bigints([zone for zone, _ in records]),
        "r_owners": octets([names.order_key(one.name) for _, one in records]),
        "r_types": integers([one.type for _, one in records]),
        "r_ttls": integers([one.ttl for _, one in records]),
        "r_rdatas": ragged(one.rdatas for _, one in records),
        "p_zones": bigints([zone for zone, _ in shown]),
        "p_owners": octets([names.order_key(one.name) for _, one in shown]),
        "p_types": integers([one.type for _, one in shown]),
        "p_ttls": integers([one.ttl for _, one in shown]),
        "p_rdatas": ragged(one.rdatas for _, one in shown),
        "p_sigs": ragged(one.sigs for _, one in shown),
        "j_zones": bigints([entry.zone for entry in entries]),
        "j_seqs": bigints([entry.seq for entry in entries]),
        "j_principals": texts(entry.principal for entry in entries),
        "j_credentials": bigints([entry.credential for entry in entries]),
        "j_digests": octets([entry.digest for entry in entries]),
        "j_changes": octets([entry.change.pack() for entry in entries]),
        "e_zones": bigints([one.zone for one in steps]),
        "e_numbers": bigints([one.number for one in steps]),
        "e_from": bigints([one.from_serial for one in steps]),
        "e_to": bigints([one.to_serial for one in steps]),
        "e_removed": octets([edition.pack(one.removed) for one in steps]),
        "e_added": octets([edition.pack(one.added) for one in steps]),
        **_heads(batch.advanced),
        "q_digests": octets([digest for digest, _, _ in answered]),
        "q_rcodes": integers([stored.rcode for _, stored, _ in answered]),
        "q_edes": integers([stored.ede for _, stored, _ in answered]),
        "q_texts": texts(stored.text for _, stored, _ in answered),
        "q_leases": octets([stored.lease for _, stored, _ in answered]),
        "q_expires": bigints([expires for _, _, expires in answered]),
        "payloads": texts(notify.payloads((one.zone, one.number) for one in steps)),
    }


def _heads(advanced: Iterable[tuple[int, int, int, int]]) -> dict[str, Any]:
    rows = list(advanced)
    return {
        f"z_{column}": bigints([row[place] for row in rows])
        for place, column in enumerate(("ids", "heads", "editions", "serials"))
    }
