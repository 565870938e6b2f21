"""What a zone that is behind signs next: the names of its journal's oldest entries, as many as make a bounded edition.

Law: of the names of a portion the edition shows what is stored now, of all others what is published; so each edition is
a zone that is whole and valid, and the last one shows all that is stored. However far a zone is behind (a registry
whose homes were imported without a signer), only a portion of it is in memory. Until the last one, an update of
two names may be seen by halves: that is the price.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.dns.names import Name
from ddns.zone.changes import ChangeSet
from zone_signer import store
from zone_signer.leases import Lease
from zone_signer.store import Conn

ENTRIES = 2000  # that are read at a time
OCTETS = 8 << 20  # of them
NAMES = 2000  # in one edition: some 10,000 RRsets in a registry, so that it is kept (`publishing.EDITION_LIMIT`)


class Portion(msgspec.Struct, frozen=True):
    """The *names* that a journal's next entries changed, the last of which is *seq*."""

    seq: int
    names: frozenset[Name]


async def following(conn: Conn, zone: Lease) -> Portion | None:
    """Return what *zone* signs next; None where it is not behind, or where its journal does not tell all."""
    if zone.head == zone.signed_head:
        return None
    entries = await store.journal_since(conn, zone.id, zone.signed_head, ENTRIES, OCTETS)
    return cut(entries, zone.signed_head)


def cut(entries: Sequence[tuple[int, ChangeSet]], signed: int) -> Portion | None:
    """Return the first of *entries*, which begin behind the entry *signed*, that change no more than `NAMES` names.

    None where they do not tell all, or where one alone changes more.
    """
    touched: set[Name] = set()
    end = signed
    for seq, entry in entries:
        if seq != end + 1 or not entry:
            return None  # another kind of signing says that it happened, not what it changed
        new = {one.name for one in entry.changes} - touched
        if len(touched) + len(new) > NAMES:
            break
        touched |= new
        end = seq
    return Portion(end, frozenset(touched)) if touched else None
