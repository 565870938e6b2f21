"""Everything that a batch of updates writes, in one round trip, if nothing has changed that it was judged by.

The statement calls `commit_updates` (migration 0007) with arrays of rows, packed here as Postgres receives them:
psycopg's own way to write them takes many times as long. What comes together is committed together, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from ddns.store import notify
from ddns.store.batch import Batch
from ddns.store.line import Line, Statement
from ddns.store.packing import Parameter, texts
from ddns.store.requests import SKEW
from ddns.zone import edition

COMMIT = Statement(
    b"commit_updates",
    b"SELECT commit_updates($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    (
        *("bigint", "bigint", "commit_zone[]", "commit_registry[]", "commit_key[]"),
        *("commit_rrset[]", "commit_rrset[]", "commit_place[]"),
        *("commit_shown[]", "commit_shown[]", "commit_place[]"),
        *("commit_step[]", "commit_entry[]", "commit_answer[]", "text[]"),
    ),
)

ANSWERED_TWICE = "request_answered_twice"  # the constraint
OTHERWISE = "DD001"  # the condition (SQLSTATE) whose message says what has changed


class Basis(msgspec.Struct, frozen=True):
    """What a batch was judged by, besides its zones' records: it is written only if all of this still holds.

    *zones* are given as (id, edition, serial, state as `Standing` has it), *registries* as (id, what it says of that),
    *keys* as (id of a credential, its stamp).
    """

    zones: Sequence[tuple[int, int, int, str]]
    registries: Sequence[tuple[int, int]]
    keys: Sequence[tuple[int, str]]


async def commit(line: Line, batch: Batch, basis: Basis, follower: int) -> str:
    """Commit *batch* on *line* if *basis* still holds, and return "" then; else what has changed, and nothing is done.

    Heads in *batch* count from where each zone stands, so do the places of its journal's entries. *follower* is the
    number by which this process follows editions: it needs no notification.
    """
    try:
        return (await line.run(COMMIT, _parameters(batch, basis, follower)) or b"").decode()
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != ANSWERED_TWICE:
            raise
        return "requests"
    except psycopg.DatabaseError as error:
        if error.sqlstate != OTHERWISE:
            raise
        return error.diag.message_primary or ""


def _parameters(batch: Batch, basis: Basis, follower: int) -> list[Parameter]:
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    gone: list[tuple[Any, ...]] = []
    for zone, change_set in batch.changes:
        for change in change_set.changes:
            after = change.after
            if after is None:
                gone.append((zone, change.name, change.type))
            else:
                (new if change.before is None else changed).append((zone, after))
    new_shown: list[tuple[Any, ...]] = []
    changed_shown: list[tuple[Any, ...]] = []
    gone_shown: list[tuple[Any, ...]] = []
    steps: list[tuple[Any, ...]] = []
    stays = {row[0]: row for row in basis.zones}
    entries_of = {zone: count for zone, count, _, _ in batch.advanced}
    for step in batch.editions:
        zone = step.zone
        if not batch.gone and len(step.added) == len(step.removed):
            changed_shown += [(zone, one) for one in step.added]  # nothing else can leave
        else:
            there = {(one.name, one.type) for one in step.removed}
            for one in step.added:
                (changed_shown if (one.name, one.type) in there else new_shown).append((zone, one))
        _, number, serial, state = stays.pop(zone)
        packed = edition.pack(step.removed), edition.pack(step.added)
        steps.append((zone, number, serial, step.to_serial, state, entries_of[zone], *packed))
    if batch.gone:
        put = {(zone, one.name, one.type) for zone, one in (*new_shown, *changed_shown)}
        gone_shown = [place for place in dict.fromkeys(batch.gone) if place not in put]
    return [
        follower,
        min([expires for _, _, expires in batch.answered], default=0) + SKEW,
        (b"qqqt", list(stays.values())),
        (b"qq", list(basis.registries)),
        (b"qt", list(basis.keys)),
        (b"qR", new),
        (b"qR", changed),
        (b"qni", gone),
        (b"qS", new_shown),
        (b"qS", changed_shown),
        (b"qni", gone_shown),
        (b"qqqqtqbb", steps),
        (
            b"qqtqbb",
            [
                (one.zone, one.seq, one.principal, one.credential or 0, one.digest or b"", one.change.pack())
                for one in batch.entries
            ],
        ),
        (
            b"bqqtbq",
            [
                (digest, stored.rcode, stored.ede, stored.text, stored.lease, expires)
                for digest, stored, expires in batch.answered
            ],
        ),
        texts(notify.payloads([(one.zone, one.number) for one in batch.editions])),
    ]
