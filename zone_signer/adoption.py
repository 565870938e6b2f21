"""Homes that their registry delegates to without a DS: many of them get theirs in one edition.

That is so after they were brought in while no signer ran, or where what had placed it was lost. While the keys of a
home move, its step places its DS (`stepping`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from zone_signer import keys as public
from zone_signer import leases, publishing, renewal, store
from zone_signer.keyring import KeyRing
from zone_signer.portion import Portion
from zone_signer.publishing import Publication
from zone_signer.signer import REFUSALS
from zone_signer.store import Conn

log = logging.getLogger("zone_signer")


async def adopt(conn: Conn, registry: int, children: Sequence[int], ring: KeyRing, now: int) -> int:
    """Put the DS of *children* into the records of *registry* and publish that, in one edition; returns how many."""
    async with conn.transaction():
        held = await leases.lock(conn, [registry, *children])
        parent = held.pop(registry, None)
        if parent is None:
            return 0
        away = await leases.not_hosted(conn, list(held))
        held = {zone: child for zone, child in held.items() if zone not in away}
        named = await store.named_by_parents(conn, list(held))
        there = await store.stored_at(conn, parent.id, [child.origin for child in held.values()])
        added = [
            RRset.of(child.origin, Type.DS, ns.ttl, [public.ds(child.origin, key) for key in named[child.id]])
            for child in held.values()
            if child.id in named and (ns := _delegation(there.get(child.origin, ()))) is not None
        ]
        if not added:
            return 0
        parent = await publishing.delegate(conn, parent, added)
        done: Publication | None = None
        if not parent.pending and parent.edition and parent.resign_at is not None:
            with contextlib.suppress(*REFUSALS):
                done = await renewal.partial(
                    conn,
                    parent,
                    Portion(parent.head, frozenset(one.name for one in added)),
                    parent.resign_at,
                    ring,
                    now,
                )
        if done is None:
            await publishing.mark_pending(conn, parent.id, parent.head - 1)  # it comes in one of the next steps
        else:
            await publishing.publish(conn, [done], now)
    log.info("zone.delegated zone=%s children=%d", names.to_text(parent.origin), len(added))
    return len(added)


def _delegation(rrsets: tuple[RRset, ...]) -> RRset | None:
    """Return the NS RRset of a delegation that has no DS yet."""
    by_type = {one.type: one for one in rrsets}
    return None if Type.DS in by_type else by_type.get(Type.NS)
