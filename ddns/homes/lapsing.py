"""Evidence that is over: the key falls to what it has without, its owner is told, and the home goes on."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import AsyncConnection

from ddns.auth.principal import ASSURANCES
from ddns.dns import names
from ddns.homes.methods import attested
from ddns.store import appraisals, home_events, notify, outbox
from ddns.store.appraisals import Over
from ddns.store.home_events import Event

INVITED = "token"  # what an invitation alone gives


async def lapse(conn: AsyncConnection[Any], now: int, most: int) -> int:
    """Let at most *most* appraisals of the transaction's tenant lapse that are over at *now*; return how many."""
    found = await appraisals.over(conn, now, most)
    if not found:
        return 0
    fallen = [(one, left_to(one)) for one in found]
    await appraisals.lower(conn, fallen)
    await notify.keys_of(conn, {one.name for one in found})
    await home_events.append(
        conn,
        [
            Event(
                at=now, event="evidence-over", who="clock", before=one.assurance, after=left, zone=one.zone,
                name=one.home, owner=one.owner,
            )
            for one, left in fallen
        ],
    )  # fmt: skip
    for one, left in fallen:
        body = {"home": names.to_text(one.home), "key": names.to_text(one.name), "assurance": left}
        await outbox.put(conn, "evidence.over", one.owner, msgspec.json.encode(body), now)
    return len(found)


def left_to(one: Over) -> str:
    """Return the assurance of a key without its evidence: that of its maker's bond, or of its invitation."""
    left = one.bonded or ("open" if one.method == attested.NAME else INVITED)
    return min(left, one.assurance, key=ASSURANCES.index)
