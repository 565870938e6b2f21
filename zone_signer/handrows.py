"""What a turn of a home reads beside its keys, and writes: its row, what it was seen to be, who serves it.

Law: the caller owns the transaction, and has home and registry locked. Times are the signer's clock's, in seconds since
1970.
"""

from __future__ import annotations

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.store import notify
from ddns.store.delegations import Delegation
from ddns.store.packing import octets
from ddns.zone import edition as editions
from ddns.zone.hand import Hand, State
from zone_signer.seen import Sighting
from zone_signer.store import Conn, rows_of

_ENCODER = msgspec.msgpack.Encoder()


class Ttls(msgspec.Struct, frozen=True):
    """The greatest TTLs that the registry's servers gave anything of a home since it began to leave, in seconds.

    A TTL that was lowered may still be in caches. The fields are as in `ddns.zone.hand.Ours`.
    """

    keys: int = 0
    ns: int = 0
    greatest: int = 0
    delegation: int = 0
    ds: int = 0

    def with_those(self, other: Ttls) -> Ttls:
        """Return the greater of each."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Ttls(*(max(pair) for pair in zip(mine, theirs, strict=True)))


class Written(msgspec.Struct, frozen=True):
    """What a turn leaves in the row of a home."""

    hand: Hand
    seen: bool
    foreign: tuple[Rdata, ...]
    ttls: Ttls
    waits: str
    until: int | None
    tell: str
    step: int | None


_TTLS = msgspec.msgpack.Decoder(Ttls)


async def ttls(conn: Conn, zone: int) -> Ttls:
    """Return what was written of the TTLs of a home."""
    rows = await rows_of(
        conn, "SELECT ttls FROM delegations WHERE zone = %(zone)s AND ttls IS NOT NULL", {"zone": zone}
    )
    return _TTLS.decode(rows[0][0]) if rows else Ttls()


async def glue(conn: Conn, registry: int, home: Name) -> tuple[RRset, ...]:
    """Return the addresses that the zone *registry* has of hosts at or below *home*."""
    low = names.order_key(home)
    rows = await rows_of(
        conn,
        """SELECT owner, type, ttl, rdatas FROM rrsets
           WHERE zone = %(zone)s AND owner >= %(low)s AND owner < %(high)s AND type IN (1, 28) ORDER BY owner, type""",
        {"zone": registry, "low": low, "high": names.subtree_end(low)},
    )
    return tuple(RRset(names.from_order_key(owner), kind, ttl, tuple(rdatas)) for owner, kind, ttl, rdatas in rows)


async def ns_ttl(conn: Conn, zone: int, origin: Name, late: int) -> int:
    """Return the greatest TTL of the NS at the apex of *zone* in its *late* newest editions and now, in seconds."""
    rows = await rows_of(
        conn,
        "SELECT ttl FROM published_rrsets WHERE zone = %(zone)s AND owner = %(owner)s AND type = %(type)s",
        {"zone": zone, "owner": names.order_key(origin), "type": int(Type.NS)},
    )
    gone = await rows_of(
        conn,
        "SELECT removed FROM editions WHERE zone = %(zone)s ORDER BY number DESC LIMIT %(late)s",
        {"zone": zone, "late": late},
    )
    late_ttls: list[int] = [
        one.ttl for (removed,) in gone for one in editions.unpack(removed) if (one.name, one.type) == (origin, Type.NS)
    ]
    return max([0, *(int(ttl) for (ttl,) in rows), *late_ttls])


async def withdrawn(conn: Conn, zone: int) -> list[Sighting]:
    """Return what the servers that served a held home said of it: who has it no more has answered.

    Server '' is when the list of them was made.
    """
    rows = await rows_of(
        conn,
        """SELECT server, extract(epoch FROM asked_at)::bigint, extract(epoch FROM answered_at)::bigint, problem
           FROM sightings WHERE zone = %(zone)s AND kind = 'withdrawn' AND (wanted OR server = '') ORDER BY server""",
        {"zone": zone},
    )
    return [
        Sighting("withdrawn", server, asked, answered, problem=problem) for server, asked, answered, problem in rows
    ]


async def write(conn: Conn, before: Delegation, done: Written, now: int) -> None:
    """Write down where a home is; whoever watches its own servers asks them anew where that is another place."""
    moved = done.hand.state is not before.state or done.hand.since != before.since or before.wanted is not None
    at_home = done.hand.state is State.HOSTED and done.step is None
    await conn.execute(
        """UPDATE delegations
           SET state = %(state)s, since = to_timestamp(%(since)s), hand = %(hand)s, seen = %(seen)s,
               foreign_keys = %(foreign)s, ttls = %(ttls)s, wanted = CASE WHEN %(taken)s THEN NULL ELSE wanted END,
               waits = %(waits)s, until = to_timestamp(%(until)s), tell = %(tell)s, step_at = to_timestamp(%(step)s),
               ask_at = CASE WHEN %(at_home)s THEN NULL WHEN %(moved)s THEN to_timestamp(%(now)s) ELSE ask_at END
           WHERE zone = %(zone)s""",
        {
            "zone": before.zone,
            "state": str(done.hand.state),
            "since": done.hand.since,
            "hand": _ENCODER.encode(done.hand),
            "seen": done.seen,
            "foreign": octets(done.foreign),
            "ttls": _ENCODER.encode(done.ttls),
            "taken": before.wanted is not None and done.hand.their == before.wanted,
            "waits": done.waits,
            "until": done.until,
            "tell": done.tell,
            "step": done.step,
            "at_home": at_home,
            "moved": moved,
            "now": now,
        },
    )
    if moved:
        await notify.watch(conn)


async def serve(conn: Conn, zone: int, edition: int, was: tuple[bool, bool], be: tuple[bool, bool]) -> None:
    """Have a home be held, and its copy presigned, as *be* says where it *was* otherwise; servers hear of it."""
    if was == be:
        return
    held, presigned = be
    await conn.execute(
        "UPDATE zones SET held = %(held)s, presigned = %(presigned)s WHERE id = %(zone)s",
        {"zone": zone, "held": held, "presigned": presigned},
    )
    if held != was[0]:
        await notify.zones(conn, [(zone, None if held else edition)])
    if not any(be):  # its leases begin anew, which nobody could renew
        await conn.execute(
            """UPDATE leases SET ends_at = greatest(ends_at, now() + seconds * interval '1 second')
               WHERE zone = %(zone)s""",
            {"zone": zone},
        )


async def come_home(conn: Conn, zone: int, now: int) -> None:
    """Have the keys of a home that is hosted again looked at."""
    await conn.execute(
        "UPDATE signing SET step_at = to_timestamp(%(now)s) WHERE zone = %(zone)s", {"zone": zone, "now": now}
    )


_BLIND_TO_OURS = frozenset({State.HOSTED, State.RETURNING_KEYS, State.RETURNING_DRAIN, State.DARK})
_ONCE_SETTLED = frozenset({State.AWAY, State.LEAVING_DS})


def is_seen(hand: Hand) -> bool:
    """Tell whether nothing waits for our own servers to show what is published of a home in *hand*."""
    if hand.state in _BLIND_TO_OURS or (hand.state in _ONCE_SETTLED and hand.settled):
        return True
    return hand.seen_at is not None
