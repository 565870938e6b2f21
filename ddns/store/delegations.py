"""Homes with servers of their own: what their owners wish, what was seen of those servers, and where the signer is.

Law: three write here, each its own columns. People and servers say what is wished and wanted, the watcher what their
servers said, and the signer alone, under the locks of the home and of its registry, where the home is (`hand`). Nothing
is told to the world here: whoever writes a wish has the signer look (`step_at`), and the signer's next turn does it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from ddns.store import notify
from ddns.store.packing import bigints
from ddns.store.pool import rows
from ddns.zone import edition
from ddns.zone.child import Child
from ddns.zone.hand import Continuity, Copy, Hand, State, Theirs, Wish

_HAND = msgspec.msgpack.Decoder(Hand)
_CHILD = msgspec.msgpack.Decoder(Child)
_THEIRS = msgspec.msgpack.Decoder(Theirs)
_ENCODER = msgspec.msgpack.Encoder()
CHANGEABLE = frozenset({State.HOSTED, State.AWAY})  # where another delegation may be accepted: else it is on its way


class Taken(msgspec.Struct, frozen=True):
    """A copy that was taken of their zone *at* some time (seconds since 1970); *ttl* is the greatest in it."""

    copy: Copy
    ttl: int
    at: int


_TAKEN = msgspec.msgpack.Decoder(Taken)


class Delegation(msgspec.Struct, frozen=True):
    """Where a home is, and on its way to; times in seconds since 1970.

    *wanted* is a delegation that was accepted and that the signer has not taken in yet. *theirs* is what was seen of
    its own servers last, of which only what was asked at *since* or later counts; *taken* the copy that there is. What
    its turn *waits* for, *until* when, and what somebody is to be *told*, is as in `ddns.zone.turn.Turn`. *step* is
    when the signer looks again, *ask* when the watcher does, *changed* when somebody wished something last.
    """

    zone: int
    origin: Name
    registry: Name
    wish: Wish
    continuity: Continuity
    state: State
    since: int
    hand: Hand
    wanted: Child | None
    theirs: Theirs | None
    taken: Taken | None
    cds_stamp: int
    csync_stamp: int | None
    waits: str
    until: int | None
    tell: str
    step: int | None
    ask: int | None
    changed: int

    @property
    def their(self) -> Child:
        """Return the delegation to the home's own servers that holds: what a change of it starts from."""
        return self.hand.their if self.wanted is None else self.wanted


_COLUMNS = """delegations.zone, zones.origin, registry.origin, wish, continuity, state,
    coalesce(extract(epoch FROM since)::bigint, 0), hand, wanted, theirs, copied, cds_stamp, csync_stamp, waits,
    extract(epoch FROM until)::bigint, tell, extract(epoch FROM step_at)::bigint, extract(epoch FROM ask_at)::bigint,
    extract(epoch FROM changed_at)::bigint"""
_SELECT = f"""SELECT {_COLUMNS} FROM delegations
    JOIN zones ON zones.id = delegations.zone JOIN zones AS registry ON registry.id = zones.parent"""  # noqa: S608


def _delegation(row: Sequence[Any]) -> Delegation:
    zone, origin, registry, wish, continuity, state, since, hand, wanted, theirs, copied, *rest = row
    return Delegation(
        zone,
        names.from_order_key(origin),
        names.from_order_key(registry),
        Wish(wish),
        Continuity(continuity),
        State(state),
        since,
        Hand() if hand is None else _HAND.decode(hand),
        None if wanted is None else _CHILD.decode(wanted),
        None if theirs is None else _THEIRS.decode(theirs),
        None if copied is None else _TAKEN.decode(copied),
        *rest,
    )


# -- reading


async def read(conn: AsyncConnection[Any], ids: Collection[int]) -> dict[int, Delegation]:
    """Return where those of the homes *ids* are that ever wished to leave; all others are hosted."""
    cursor = await conn.execute(
        f"{_SELECT} WHERE delegations.zone = ANY (%(ids)s)", {"ids": bigints(list(ids))}, prepare=True, binary=True
    )
    return {row[0]: _delegation(row) for row in await rows(cursor)}


async def lock(conn: AsyncConnection[Any], zone: int) -> Delegation | None:
    """Lock the row of one home until the transaction ends, and return it; None: it never wished to leave.

    Whoever holds the zone's row too has locked that first.
    """
    await conn.execute(
        "SELECT zone FROM delegations WHERE zone = %(zone)s FOR NO KEY UPDATE", {"zone": zone}, prepare=True
    )
    return (await read(conn, [zone])).get(zone)


async def listing(conn: AsyncConnection[Any], *, resting: bool = False) -> list[Delegation]:
    """Return all homes that are not simply hosted, in canonical order; *resting*: also those that came back."""
    where = "" if resting else "WHERE (state, wish) <> ('hosted', 'host')"
    cursor = await conn.execute(f"{_SELECT} {where} ORDER BY zones.origin", binary=True)
    return [_delegation(row) for row in await rows(cursor)]


async def copy_of(conn: AsyncConnection[Any], zone: int) -> tuple[SignedRRset, ...]:
    """Return the last signed copy of what a home's own servers had; empty: none was taken."""
    cursor = await conn.execute(
        "SELECT copy FROM delegations WHERE zone = %(zone)s AND copy IS NOT NULL", {"zone": zone}, binary=True
    )
    row = await cursor.fetchone()
    return () if row is None else edition.unpack(row[0])


# -- what is wished


async def leave(
    conn: AsyncConnection[Any],
    zone: int,
    child: Child,
    continuity: Continuity,
    now: int,
    theirs: Theirs | None = None,
) -> bool:
    """Have the home *zone* leave for the servers of *child*, which was accepted; *theirs* is what they said then.

    False: it is on its way somewhere, so that its delegation must stay as it is for now. A home that has left takes
    *child* as its delegation from now on. *now* is in seconds since 1970; the caller commits.
    """
    found = await lock(conn, zone)
    if found is not None and found.state not in CHANGEABLE:
        return False
    await conn.execute(
        """
        INSERT INTO delegations (zone, wish, continuity, wanted, theirs, step_at, ask_at, changed_at)
        VALUES (%(zone)s, 'away', %(continuity)s, %(wanted)s, %(theirs)s, to_timestamp(%(now)s), to_timestamp(%(now)s),
                to_timestamp(%(now)s))
        ON CONFLICT (zone) DO UPDATE SET wish = excluded.wish, continuity = excluded.continuity,
            wanted = excluded.wanted, theirs = excluded.theirs, step_at = excluded.step_at, ask_at = excluded.ask_at,
            changed_at = excluded.changed_at
        """,
        {
            "zone": zone,
            "continuity": str(continuity),
            "wanted": _ENCODER.encode(child),
            "theirs": None if theirs is None else _ENCODER.encode(theirs),
            "now": now,
        },
    )
    await _wake(conn)
    return True


async def wish(conn: AsyncConnection[Any], zone: int, wished: Wish, now: int) -> bool:
    """Have a home that ever wished to leave come back, or go on leaving; False: it is hosted and nothing else.

    *now* is in seconds since 1970; the caller commits.
    """
    cursor = await conn.execute(
        """
        UPDATE delegations SET wish = %(wish)s, step_at = to_timestamp(%(now)s), ask_at = to_timestamp(%(now)s),
                               changed_at = to_timestamp(%(now)s)
        WHERE zone = %(zone)s
        """,
        {"zone": zone, "wish": str(wished), "now": now},
    )
    if cursor.rowcount:
        await _wake(conn)
    return cursor.rowcount > 0


async def set_continuity(conn: AsyncConnection[Any], zone: int, continuity: Continuity, now: int) -> bool:
    """Say what is to happen while a home's own servers are gone; False: it never wished to leave.

    *now* is in seconds since 1970; the caller commits.
    """
    cursor = await conn.execute(
        """
        UPDATE delegations SET continuity = %(continuity)s, step_at = to_timestamp(%(now)s),
                               ask_at = to_timestamp(%(now)s), changed_at = to_timestamp(%(now)s)
        WHERE zone = %(zone)s
        """,
        {"zone": zone, "continuity": str(continuity), "now": now},
    )
    if cursor.rowcount:
        await _wake(conn)
    return cursor.rowcount > 0


async def accept(
    conn: AsyncConnection[Any],
    zone: int,
    present: Child,
    child: Child,
    theirs: Theirs,
    now: int,
    *,
    cds_stamp: int | None = None,
    csync_stamp: int | None = None,
) -> bool:
    """Have *child* take the place of *present*, from which it was worked out; *theirs* is what its servers said.

    False, and nothing is written: the home is on its way, or its delegation is another one by now. The stamps are those
    by which older wishes are known. *now* is in seconds since 1970; the caller commits.
    """
    found = await lock(conn, zone)
    if found is None or found.state not in CHANGEABLE or found.their != present:
        return False
    await conn.execute(
        """
        UPDATE delegations
        SET wanted = CASE WHEN %(same)s THEN wanted ELSE %(wanted)s END, theirs = %(theirs)s,
            cds_stamp = greatest(cds_stamp, %(cds)s), csync_stamp = coalesce(%(csync)s, csync_stamp),
            step_at = to_timestamp(%(now)s), ask_at = to_timestamp(%(now)s), changed_at = to_timestamp(%(now)s)
        WHERE zone = %(zone)s
        """,
        {
            "zone": zone,
            "same": child == present,
            "wanted": _ENCODER.encode(child),
            "theirs": _ENCODER.encode(theirs),
            "cds": 0 if cds_stamp is None else cds_stamp,
            "csync": csync_stamp,
            "now": now,
        },
    )
    await _wake(conn)
    return True


# -- what was seen


async def due_looks(conn: AsyncConnection[Any], now: int, most: int) -> list[Delegation]:
    """Return at most *most* homes whose own servers are to be asked at *now* (seconds since 1970), longest due first.

    Nothing is locked.
    """
    cursor = await conn.execute(
        f"{_SELECT} WHERE ask_at <= to_timestamp(%(now)s) ORDER BY ask_at LIMIT %(most)s",
        {"now": now, "most": most},
        prepare=True,
        binary=True,
    )
    return [_delegation(row) for row in await rows(cursor)]


async def next_look(conn: AsyncConnection[Any]) -> int | None:
    """Return when some home's own servers are to be asked next, in seconds since 1970; None: nobody's."""
    cursor = await conn.execute(
        "SELECT extract(epoch FROM ask_at)::bigint FROM delegations WHERE ask_at IS NOT NULL ORDER BY ask_at LIMIT 1",
        prepare=True,
        binary=True,
    )
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def saw(
    conn: AsyncConnection[Any], zone: int, theirs: Theirs | None, asked_of: Child, ask: int | None, now: int
) -> bool:
    """Write down what was seen of the servers of *asked_of*, and when to *ask* them again (None: not of itself).

    Where that is news, the signer looks at *now* (seconds since 1970). False: the home has other servers by now, or is
    no more; then they are to be asked at once, and nothing else is written. *theirs* None: nobody could be asked. The
    caller commits.
    """
    found = await lock(conn, zone)
    if found is None:
        return False
    if found.their != asked_of:
        await conn.execute(
            "UPDATE delegations SET ask_at = to_timestamp(%(now)s) WHERE zone = %(zone)s", {"zone": zone, "now": now}
        )
        return False
    news = theirs is not None and _is_news(theirs, found.theirs, found.since)
    await conn.execute(
        """
        UPDATE delegations
        SET theirs = coalesce(%(theirs)s, theirs), ask_at = to_timestamp(%(ask)s),
            step_at = CASE WHEN %(news)s THEN to_timestamp(%(now)s) ELSE step_at END
        WHERE zone = %(zone)s
        """,
        {
            "zone": zone,
            "theirs": None if theirs is None else _ENCODER.encode(theirs),
            "ask": ask,
            "news": news,
            "now": now,
        },
        prepare=True,
    )
    if news:
        await notify.pending(conn)
    return True


def _is_news(theirs: Theirs, last: Theirs | None, since: int) -> bool:
    return last is None or last.asked < since or replace(theirs, asked=last.asked) != last


async def take_copy(
    conn: AsyncConnection[Any], zone: int, taken: Taken, rrsets: Iterable[SignedRRset], now: int
) -> bool:
    """Keep the copy *rrsets* of what the servers of a home that is away have, proved by its DS.

    False, and nothing is kept: it is not away. *now* is in seconds since 1970; the caller commits.
    """
    cursor = await conn.execute(
        """
        UPDATE delegations SET copied = %(copied)s, copy = %(copy)s, step_at = to_timestamp(%(now)s)
        WHERE zone = %(zone)s AND state = 'away'
        """,
        {"zone": zone, "copied": _ENCODER.encode(taken), "copy": edition.pack(tuple(rrsets)), "now": now},
    )
    if cursor.rowcount:
        await notify.pending(conn)
    return cursor.rowcount > 0


async def look_soon(conn: AsyncConnection[Any], zones: Collection[int], now: int) -> int:
    """Have the watcher ask the own servers of *zones* at *now* (seconds since 1970); return of how many it will."""
    cursor = await conn.execute(
        """
        UPDATE delegations SET ask_at = to_timestamp(%(now)s)
        WHERE zone = ANY (%(zones)s) AND (state, wish) <> ('hosted', 'host')
          AND (ask_at IS NULL OR ask_at > to_timestamp(%(now)s))
        """,
        {"zones": bigints(list(zones)), "now": now},
    )
    await notify.watch(conn)
    return cursor.rowcount


async def hint(conn: AsyncConnection[Any], zones: Collection[int], now: int) -> None:
    """Have the signer look at *zones* at *now*, in seconds since 1970: something was seen of our own servers."""
    cursor = await conn.execute(
        """
        UPDATE delegations SET step_at = to_timestamp(%(now)s)
        WHERE zone = ANY (%(zones)s) AND NOT seen AND (step_at IS NULL OR step_at > to_timestamp(%(now)s))
        """,
        {"zones": bigints(list(zones)), "now": now},
        prepare=True,
    )
    if cursor.rowcount:
        await notify.pending(conn)


async def _wake(conn: AsyncConnection[Any]) -> None:
    """Wake the signer, and the watcher: one statement, because each notification takes the database's lock anew."""
    await conn.execute("SELECT pg_notify('ddns_pending', ''), pg_notify('ddns_watch', '')", prepare=True)
