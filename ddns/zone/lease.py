"""Update Lease (RFC 9664): what an update asks for and gets, and which records of a zone go away by themselves.

A lease belongs to one record: owner, type and data. Law: a record is leased by the last update that added
it with the option, and permanent by the last one that added it without; what is gone has no lease. A KEY
has the key lease, so that a name stays its owner's after its records have ended. The zone's own SOA, NS and
KEY are never leased: a home's KEY says who may write it, and goes by no clock. The TTL of an RRset is never longer
than a lease in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ddns.dns.codes import Class, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.request import Asked, Operation
from ddns.zone.view import View

_IN = int(Class.IN)
_NONE = int(Class.NONE)
_KEY = int(Type.KEY)
_APEX = frozenset({int(Type.SOA), int(Type.NS), _KEY})

Place = tuple[Name, int, Rdata]


class Terms(msgspec.Struct, frozen=True):
    """What may be leased, in seconds: bounds for records and for keys, and what is given where none is asked for."""

    minimum: int = 30
    default: int = 7200
    maximum: int = 86_400
    key_minimum: int = 30
    key_default: int = 1_209_600
    key_maximum: int = 1_209_600

    def within(self, lease: int | None, key_lease: int | None) -> Terms:
        """Return these terms with leases and leases of keys of no more than so many seconds, None: as they are."""
        most = min(self.maximum, lease or self.maximum)
        key_most = min(self.key_maximum, key_lease or self.key_maximum)
        return Terms(
            min(self.minimum, most), min(self.default, most), most,
            min(self.key_minimum, key_most), min(self.key_default, key_most), key_most,
        )  # fmt: skip


DEFAULT = Terms()


class Granted(msgspec.Struct, frozen=True):
    """What an update got: *lease* and *key_lease* in seconds, 0 to withdraw; *wide* where the asker named both."""

    lease: int
    key_lease: int
    wide: bool = True

    def option(self) -> bytes:
        """Return the octets of the answer's option, in the form of the request's (RFC 9664 §4)."""
        return struct.pack("!II", self.lease, self.key_lease) if self.wide else struct.pack("!I", self.lease)

    def of(self, rdtype: int) -> int:
        """Return the lease of a record of *rdtype*."""
        return self.key_lease if rdtype == _KEY else self.lease


class Held(msgspec.Struct, frozen=True, gc=False):
    """How long a record was leased, in *seconds*, and the *host* whose registration it is part of (RFC 9665)."""

    seconds: int
    host: Name | None = None


def grant(asked: Asked | None, terms: Terms) -> Granted:
    """Return what *asked* gets, brought into bounds; None asks for the defaults.

    The key lease is never shorter than the lease (RFC 9664 §4.2), and 0 stays 0.
    """
    if asked is None:
        return Granted(terms.default, max(terms.default, terms.key_default))
    lease = min(max(asked.lease, terms.minimum), terms.maximum) if asked.lease else 0
    if asked.key_lease is None:
        return Granted(lease, lease, wide=False)
    key = min(max(asked.key_lease, terms.key_minimum), terms.key_maximum) if asked.key_lease else 0
    return Granted(lease, max(key, lease))


def shaped(operations: Iterable[Operation], granted: Granted, origin: Name) -> tuple[Operation, ...]:
    """Return *operations* as the lease has them: TTLs within it; what is leased for no time is taken away."""
    out = []
    for one in operations:
        if one.rdclass == _IN and not (one.name == origin and one.type in _APEX):
            seconds = granted.of(one.type)
            if not seconds:
                one = Operation(one.name, one.type, _NONE, 0, one.rdata)  # noqa: PLW2901
            elif one.ttl > seconds:
                one = Operation(one.name, one.type, _IN, seconds, one.rdata)  # noqa: PLW2901
        out.append(one)
    return tuple(out)


class Leases:
    """The leases of one zone while a batch is judged: *held* are those of the names that the batch mentions."""

    __slots__ = ("_caps", "_dropped", "_held", "_put")

    def __init__(self, held: Mapping[Place, Held]) -> None:
        self._held = dict(held)
        self._put: dict[Place, Held] = {}
        self._dropped: dict[Place, None] = {}
        self._caps: dict[Name, int] = {}

    def of_host(self, host: Name) -> list[Place]:
        """Return the records that are part of *host*'s registration."""
        return [place for place, held in self._held.items() if held.host == host]

    def is_registered(self, place: Place) -> bool:
        """Tell whether a record is part of some host's registration (RFC 9665)."""
        held = self._held.get(place)
        return held is not None and held.host is not None

    def cap(self, host: Name, seconds: int, changes: ChangeSet, view: View) -> ChangeSet:
        """Let nothing of *host*'s but its keys last longer than *seconds* from now (RFC 9665 §5).

        Return *changes*, which *view* has not seen yet, and with them the TTLs that were longer.
        """
        self._caps[host] = seconds
        done = {(one.name, one.type): one for one in changes.changes}
        for place, held in list(self._held.items()):
            if held.host != host or held.seconds <= seconds or place[1] == _KEY:
                continue
            capped = self._held[place] = Held(seconds, host)
            if place in self._put:
                self._put[place] = capped
            where = place[:2]
            before = view.rrset(*where)
            after = done[where].after if where in done else before
            cut = None if after is None else self._within(RRsetChange(*where, before, after))
            if cut is not None and cut.after != before:
                done[where] = cut
            else:
                done.pop(where, None)
        return ChangeSet(tuple(done.values()))

    def settle(
        self,
        origin: Name,
        operations: Sequence[Operation],
        changes: ChangeSet,
        view: View,
        granted: Granted | None,
        host: Name | None = None,
    ) -> ChangeSet:
        """Take in an update whose *operations* do *changes* to *view*, which has not seen them; return what it does.

        *granted* is None for an update without a lease. An RRset's TTL is brought within its shortest lease.
        """
        after = {(one.name, one.type): one.after for one in changes.changes}
        for one in operations:
            if one.rdclass != _IN:
                continue
            where = (one.name, one.type)
            rrset = after[where] if where in after else view.rrset(*where)
            if rrset is None or one.rdata not in rrset.rdatas:
                continue  # it may not stand there (RFC 2136 §3.4.2.2)
            if granted is None or (one.name == origin and one.type in _APEX):
                self._drop((*where, one.rdata))
            else:
                self._take((*where, one.rdata), Held(granted.of(one.type), host))
        for place in list(self._held):
            if place[:2] in after:
                rrset = after[place[:2]]
                if rrset is None or place[2] not in rrset.rdatas:
                    self._drop(place)
        return ChangeSet(tuple(kept for one in changes.changes if (kept := self._within(one)) is not None))

    def puts(self) -> dict[Place, Held]:
        """Return the leases that begin anew now."""
        return self._put

    def dropped(self) -> tuple[Place, ...]:
        """Return the records that had a lease and have none any more."""
        return tuple(self._dropped)

    def caps(self) -> dict[Name, int]:
        """Return the hosts whose records last so many seconds more at most."""
        return self._caps

    def __bool__(self) -> bool:
        return bool(self._put or self._dropped or self._caps)

    def _take(self, place: Place, held: Held) -> None:
        self._held[place] = self._put[place] = held
        self._dropped.pop(place, None)

    def _drop(self, place: Place) -> None:
        if self._held.pop(place, None) is not None:
            self._put.pop(place, None)
            self._dropped[place] = None

    def _within(self, change: RRsetChange) -> RRsetChange | None:
        """Return *change* with a TTL within the leases of its records; None where nothing is left of it."""
        after = change.after
        if after is None:
            return change
        name, rdtype = change.name, change.type
        leases = [held.seconds for one in after.rdatas if (held := self._held.get((name, rdtype, one))) is not None]
        if not leases or after.ttl <= min(leases):
            return change
        cut = RRset(name, rdtype, min(leases), after.rdatas)
        return None if cut == change.before else RRsetChange(name, rdtype, change.before, cut)
