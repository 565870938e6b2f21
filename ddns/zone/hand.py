"""In whose hands a home is: who serves it, who signs it, and what its registry publishes of it. Values.

Law: `published` is all that the world sees of a `Hand`; `turn` alone says what follows what. The registry's servers are
the hosted copy's too, and answer from it before they refer to anybody; so as long as they serve it, it is asked,
whatever the delegation says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, serial_newer
from ddns.zone.child import Child, Fault, ServerSaid


class State(StrEnum):
    """How far a home is on its way to servers of its own, or back."""

    HOSTED = "hosted"
    LEAVING_KEYS = "leaving-keys"  # both sides publish the keys of both (RFC 8901 §2.1.2)
    LEAVING_DS = "leaving-ds"  # the DS are those of both
    LEAVING_SERVERS = "leaving-servers"  # the delegation is theirs; the hosted copy is served still
    LEAVING_DRAIN = "leaving-drain"  # it is served no more; caches may hold what came from it
    AWAY = "away"
    RETURNING_KEYS = "returning-keys"  # their side publishes our keys too
    RETURNING_DS = "returning-ds"
    RETURNING_SERVERS = "returning-servers"  # the delegation is ours; they serve theirs still
    RETURNING_DRAIN = "returning-drain"  # nobody asks them any more; caches may hold what came from them
    DARK = "dark"  # they are gone; the registry serves the last copy of what they signed
    GAP = "gap"  # nobody serves anything, so that nothing old is left in caches
    BLIND = "blind"  # the same, and the DS are ours: the way home without their help
    BACK = "back"  # the delegation is theirs again; the copy is served still


class Wish(StrEnum):
    """Where the owner wants the home to be."""

    HOST = "host"
    AWAY = "away"


class Continuity(StrEnum):
    """What is to happen while a home's own servers are gone."""

    COPY = "copy"  # the registry serves their last signed copy, as long as its signatures last
    STANDBY = "standby"  # the registry is a second signer, whose keys are in their zone all the time
    NONE = "none"


class Serves(StrEnum):
    """What the registry's servers have of a home."""

    OWN = "own"  # the hosted copy, signed here
    COPY = "copy"  # a copy of theirs, signed by them
    NOTHING = "nothing"  # they refer to the home's servers


class Copy(msgspec.Struct, frozen=True):
    """The last copy of what the home's own servers had, proved by its DS when it was taken.

    *serial* is its SOA's, *keys* its DNSKEY RRset; *expires* is when the first of its signatures ends, in seconds since
    1970.
    """

    serial: int
    keys: frozenset[Rdata]
    expires: int


class Hand(msgspec.Struct, frozen=True):
    """Where a home is; times in seconds since 1970, TTLs in seconds.

    *since* is when that began. *their* is the delegation to its own servers, *their_keys* what else than our keys these
    have in their DNSKEY RRset, *their_ttl* the greatest TTL of anything they show. *ds* are those that the registry
    publishes, *settled*: no cache holds others. *serial* and *home_serial* are those of the registry's zone and of the
    hosted copy that show all this, None until somebody has written them down; *seen_at* is when the last server did.
    *led*: some cache may lead to their servers, or hold what came from them.
    *joint_at* is since when their servers show our keys beside theirs, None where they do not; *lit_at* since when they
    are as they ought to be; *dark_at* since when none of them answers. *their_serial* is the last that they showed.
    """

    state: State = State.HOSTED
    since: int = 0
    their: Child = Child()
    their_keys: tuple[Rdata, ...] = ()
    their_ttl: int = 0
    ds: tuple[Rdata, ...] = ()
    settled: bool = True
    serial: int | None = None
    home_serial: int | None = None
    seen_at: int | None = None
    led: bool = False
    joint_at: int | None = None
    lit_at: int | None = None
    dark_at: int | None = None
    their_serial: int | None = None
    copy: Copy | None = None


class Ours(msgspec.Struct, frozen=True):
    """What the registry has for a home; TTLs in seconds.

    *servers* and *glue* are the delegation to itself, *keys* those that sign the hosted copy's data, *ds* the DS of the
    keys that sign these; both empty where it is not signed, or the registry is not. *keys_ttl* and *ns_ttl* are those
    of the hosted copy's DNSKEY and NS, *max_ttl* the greatest of anything in it; *delegation_ttl* and *ds_ttl* those of
    the NS and the DS in the registry's zone. *loaded*: the hosted copy has what the home is to have.
    """

    origin: Name
    servers: tuple[Name, ...]
    glue: tuple[RRset, ...]
    keys: tuple[Rdata, ...]
    ds: tuple[Rdata, ...]
    keys_ttl: int
    ns_ttl: int
    max_ttl: int
    delegation_ttl: int
    ds_ttl: int
    loaded: bool = True


class Sights(msgspec.Struct, frozen=True):
    """What was seen of our own servers, asked after `Hand.since`.

    *registry* is when the last of them was seen with the registry's serial, *home* when the last was seen with the
    hosted copy's, or without it where nothing is served; None: not all were. *missing* says who lacks what.
    """

    registry: int | None
    home: int | None
    missing: tuple[str, ...] = ()


class Theirs(msgspec.Struct, frozen=True):
    """What was seen of the home's own servers at *asked*, and judged.

    *fault* is that of `acceptance.answering`. *keys* are the DNSKEYs that all who answer show, *servers* all NS that
    any shows, *ttl* the greatest TTL that any showed, *serial* the newest. *whole*: all of them answer; *silent*: none
    does.
    """

    asked: int
    fault: Fault | None
    keys: frozenset[Rdata]
    servers: frozenset[Name]
    ttl: int
    serial: int | None
    whole: bool
    silent: bool

    @classmethod
    def of(cls, said: Sequence[ServerSaid], fault: Fault | None) -> Theirs:
        """Return what all of *said* comes to; there must be one at least."""
        heard = [one for one in said if one.authoritative]
        shown = {one.keys for one in heard}
        rrsets = [rrset for one in heard for rrset in (one.soa, one.ns, one.dnskey, *one.hosts) if rrset is not None]
        newest: int | None = None
        for one in heard:
            if one.serial is not None and (newest is None or serial_newer(one.serial, newest)):
                newest = one.serial
        return cls(
            asked=min(one.asked for one in said),
            fault=fault,
            keys=shown.pop() if len(shown) == 1 else frozenset(),
            servers=frozenset(server for one in heard for server in one.servers),
            ttl=max((rrset.ttl for rrset in rrsets), default=0),
            serial=newest,
            whole=len(heard) == len(said),
            silent=not heard,
        )


class Bounds(msgspec.Struct, frozen=True):
    """How long things take, in seconds.

    *safety* is waited on top of every TTL, and is longer than servers are left unasked; *dark_after* is how long they
    must be silent to be gone, *back_after* how long right again to be back; *look* is how often to look again.
    """

    safety: int = 3600
    dark_after: int = 3600
    back_after: int = 900
    look: int = 300
    lag: int = 86_400


class Shown(msgspec.Struct, frozen=True):
    """What the registry publishes: in its own zone *ds*, *servers* and *glue*; of the home what it *serves*.

    *apex* are the NS of the hosted copy, *foreign* the keys of others in its DNSKEY RRset.
    """

    ds: tuple[Rdata, ...]
    servers: tuple[Name, ...]
    glue: tuple[RRset, ...]
    serves: Serves
    apex: tuple[Name, ...]
    foreign: tuple[Rdata, ...]


THEIR_DELEGATION = frozenset(
    {
        State.LEAVING_SERVERS, State.LEAVING_DRAIN, State.AWAY, State.RETURNING_KEYS, State.RETURNING_DS, State.BACK,
    }
)  # fmt: skip
SERVED = frozenset(
    {
        State.HOSTED, State.LEAVING_KEYS, State.LEAVING_DS, State.LEAVING_SERVERS,
        State.RETURNING_SERVERS, State.RETURNING_DRAIN,
    }
)  # fmt: skip
COPIED = frozenset({State.DARK, State.BACK})
OURS_ALONE = frozenset({State.HOSTED, State.BLIND})


def published(hand: Hand, ours: Ours) -> Shown:
    """Return what is published of a home in *hand*."""
    theirs = hand.state in THEIR_DELEGATION
    return Shown(
        ds=tuple(sorted(ours.ds if hand.state in OURS_ALONE else hand.ds)),
        servers=tuple(sorted(hand.their.servers if theirs else ours.servers)),
        glue=hand.their.glue if theirs else ours.glue,
        serves=Serves.OWN if hand.state in SERVED else Serves.COPY if hand.state in COPIED else Serves.NOTHING,
        apex=tuple(sorted(hand.their.servers if hand.state is State.LEAVING_SERVERS else ours.servers)),
        foreign=() if hand.state in OURS_ALONE or not multi(hand, ours) else tuple(sorted(hand.their_keys)),
    )


def multi(hand: Hand, ours: Ours) -> bool:
    """Tell whether both sides sign, so that the keys of both must be known (RFC 8901 §2.1.2)."""
    return bool(ours.ds and hand.their.ds)


def joint_ds(hand: Hand, ours: Ours) -> tuple[Rdata, ...]:
    """Return the DS while both sides are asked: those of both, or none where one of them does not sign."""
    return tuple(sorted({*ours.ds, *hand.their.ds})) if multi(hand, ours) else ()


def algorithms(keys: Iterable[Rdata]) -> frozenset[int]:
    """Return the algorithms of DNSKEYs."""
    return frozenset(key[3] for key in keys)
