"""What zone algebra reads: the unsigned records of the names that matter, and nothing else.

Law: a view is asked only for names that it was given; another name is a bug of ours and a `KeyError`,
never "no such name". It is the working copy of one batch: `apply` moves it on, and it remembers how
each name was at first.
"""

from __future__ import annotations

from collections.abc import Mapping

from ddns.dns import twin
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.plain import step


class View:
    """The records of some names of one zone; a name without records has an empty tuple."""

    __slots__ = ("_changed", "_first", "_now")

    def __init__(self, nodes: Mapping[Name, tuple[RRset, ...]]) -> None:
        self._first = nodes
        self._now = dict(nodes)
        self._changed: dict[tuple[Name, int], RRsetChange] = {}

    def get(self, name: Name) -> tuple[RRset, ...]:
        """Return the RRsets at *name* as they are now."""
        return self._now[name]

    def was(self, name: Name) -> tuple[RRset, ...]:
        """Return the RRsets at *name* as they were when the view was made."""
        return self._first[name]

    def plain_step(self, changes: ChangeSet, origin: Name, serial: int) -> tuple[int, tuple[RRset, ...]] | None:
        """Return what `ddns.zone.plain.step` says of *changes*, which are those of this view."""
        return step(changes.changes, self._first, self._now, origin, serial)

    def rrset(self, name: Name, rdtype: int) -> RRset | None:
        """Return the RRset of *rdtype* at *name* as it is now, or None."""
        for rrset in self._now[name]:
            if rrset.type == rdtype:
                return rrset
        return None

    def apply(self, changes: ChangeSet) -> None:
        """Move on to how the zone is after *changes*."""
        if not twin.move_on(self._now, self._changed, changes.changes, RRsetChange):
            self._apply(changes)

    def _apply(self, changes: ChangeSet) -> None:
        now, changed = self._now, self._changed
        for change in changes.changes:
            name, rdtype, after = change.name, change.type, change.after
            kept = [rrset for rrset in now[name] if rrset.type != rdtype]
            if after is not None:
                kept.append(after)
            now[name] = tuple(kept)
            place = name, rdtype
            earlier = changed.get(place)
            changed[place] = change if earlier is None else RRsetChange(name, rdtype, earlier.before, after)

    def changes(self) -> ChangeSet:
        """Return what differs from when the view was made: all that was applied, folded into one."""
        return ChangeSet(tuple([one for one in self._changed.values() if one.before != one.after]))
