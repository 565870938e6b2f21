"""How much a home may hold: an update that makes it more than its policy's bound is refused, whoever signs it.

Who takes names or records away is never refused, also where there are too many from before. What the registry writes
itself at the apex (SOA, NS, KEY) does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.dns.refusal import Refusal
from ddns.store.home_policies import Room
from ddns.zone.changes import RRsetChange
from ddns.zone.view import View

_OURS = frozenset({int(Type.SOA), int(Type.NS), int(Type.KEY)})


def after(room: Room, home: Name, view: View, changes: Sequence[RRsetChange]) -> Room:
    """Return how full *home* is with *changes*, which *view* has not seen yet."""
    left = {one.name: {rrset.type for rrset in view.get(one.name)} for one in changes if one.name != home}
    before = sum(map(bool, left.values()))
    records = 0
    for one in changes:
        if one.name == home and one.type in _OURS:
            continue
        records += _count(one.after) - _count(one.before)
        if one.name != home:
            (left[one.name].discard if one.after is None else left[one.name].add)(one.type)
    number = room.names + sum(map(bool, left.values())) - before
    return msgspec.structs.replace(room, names=number, records=room.records + records)


def refuse(room: Room, then: Room, home: Name) -> Refusal | None:
    """Refuse what makes *home*, as full as *room* says, more full than it may be: as *then* says."""
    for what, most, was, number in (
        ("names below its own", room.names_most, room.names, then.names),
        ("records", room.records_most, room.records, then.records),
    ):
        if most and number > most and number > was:
            return Refusal(
                "home-is-full",
                Rcode.REFUSED,
                f"The home {names.to_text(home)} may have {most} {what}, and this would make it {number}; "
                "delete some in the same update.",
                Ede.PROHIBITED,
            )
    return None


def _count(rrset: RRset | None) -> int:
    return 0 if rrset is None else len(rrset.rdatas)
