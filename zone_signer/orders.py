"""What people ask the signer for: judged by the rules that its steps obey, written down, and watched until it is done.

Law: what cannot be done is refused before anything is written, in one sentence that says what to do instead; the zone's
row is locked from the judgement to the order, so that of two who ask at once the second is told of the first. The step
that carries an order out judges it again: between the two the world may have moved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from zone_signer import keybook, keyrows, leases, rolls
from zone_signer.choosing import WITNESS
from zone_signer.goal import Order
from zone_signer.keybook import Book
from zone_signer.leases import Lease
from zone_signer.phase import Role
from zone_signer.policies import Policies
from zone_signer.seen import WATCHER
from zone_signer.stage import shown_time
from zone_signer.store import Conn, rows_of

BUSY = 10_000  # milliseconds that an order waits for a zone that is just being changed
_PAUSE = 0.05  # seconds between two looks
_URGENT = frozenset({"emergency", "cancel", "resign"})  # are taken while another order waits
ADDRESS = 2  # words of a server's name: the host's and its address


class Refused(Exception):
    """An order that is not written down; the message is one sentence that says why and what to do."""


class Wanted(msgspec.Struct, frozen=True):
    """What somebody asks for; the fields are those of `goal.Order`."""

    kind: str
    role: Role | None = None
    tag: int | None = None
    denial: str | None = None
    server: str | None = None


class Given(msgspec.Struct, frozen=True):
    """An order that is written down; for one to cancel orders that nobody had begun with: those *taken_back*."""

    zone: Lease
    number: int | None
    taken_back: tuple[Order, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What the signer made of an order; *sentence* is why it was refused."""

    done: bool
    sentence: str


async def give(conn: Conn, origin: Name, wanted: Wanted, by: str, now: int) -> Given:
    """Ask the signer of the zone *origin* for something, in the name of *by*.

    Raises `Refused`, and `psycopg.errors.LockNotAvailable` where the zone's row stays locked.
    """
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = {BUSY}")
        book = await _book(conn, origin, now)
        waiting = [one for one in book.orders if one.kind not in WITNESS]
        if wanted.kind == "cancel" and waiting:
            await keyrows.finish_orders(conn, (one.id for one in waiting))
            return Given(book.zone, None, tuple(waiting))
        wanted = _with_server(book, wanted)
        order = Order(0, wanted.kind, wanted.role, wanted.tag, now, wanted.denial, wanted.server, by)
        sentence = refusal(book, order, now) or await _foreign(conn, book, order)
        if sentence:
            raise Refused(sentence)
        number = (
            await rows_of(
                conn,
                """INSERT INTO signing_orders (zone, kind, role, tag, denial, server, principal, at)
                   VALUES (%(zone)s, %(kind)s, %(role)s, %(tag)s, %(denial)s, %(server)s, %(by)s, to_timestamp(%(now)s))
                   RETURNING id""",
                {
                    "zone": book.zone.id, "kind": order.kind, "role": order.role, "tag": order.tag,
                    "denial": order.denial, "server": order.server, "by": by, "now": now,
                },
            )
        )[0][0]  # fmt: skip
        return Given(book.zone, number)


async def outcome(conn: Conn, given: Given, patience: float) -> Outcome | None:
    """Wait up to *patience* seconds for what the signer makes of an order; None: nothing yet."""
    end = time.monotonic() + patience
    while True:
        rows = await rows_of(
            conn,
            """SELECT after, why FROM key_events
               WHERE zone = %(zone)s AND record = 'order' AND evidence LIKE %(evidence)s ORDER BY id DESC LIMIT 1""",
            {"zone": given.zone.id, "evidence": f"%; order {given.number}"},
        )
        if rows:
            return Outcome(rows[0][0] == "done", rows[0][1])
        if not time.monotonic() < end:  # so that it ends for what is no number, too
            return None
        await asyncio.sleep(_PAUSE)


async def _book(conn: Conn, origin: Name, now: int) -> Book:
    found = await leases.find(conn, origin)
    held = await leases.lock(conn, [] if found is None else [found.id])
    known = Policies()
    known.learn(await keybook.policies(conn))
    books = await keybook.glance(conn, list(held.values()), known, now)
    for book in books.values():
        return book
    raise Refused(f"there is no zone {names.to_text(origin)} here; `ddns zone list` shows those that are")


def refusal(book: Book, order: Order, now: int) -> str:
    """Return why *order* cannot be carried out, in one sentence; empty where it can."""
    name, kind = book.facts.name, order.kind
    if book.away:
        return book.away
    if not book.active:
        return f"{name} is a home that is suspended; `ddns home release` its label first, and say it again"
    waiting = next((one for one in book.orders if one.kind not in WITNESS), None)
    if waiting is not None and kind not in _URGENT and kind not in WITNESS:
        return (
            f"{waiting.by} has asked for {_spoken(waiting)} of {name} at {shown_time(waiting.at)} UTC, and no signer "
            f"has done it yet; wait for that, or take it back: zone-signer cancel {name}"
        )
    if kind == "secure":
        return _not_to_secure(book, order)
    if book.zone.denial == "none":
        return f"{name} is not signed here; `zone-signer secure {name}` would sign it"
    if not book.zone.edition:
        return f"{name} has never been signed yet; a running zone-signer does that first"
    if kind == "insecure" and not book.goal.secure:
        return f"{name} is on its way to lose its signatures already; zone-signer plan {name} shows when"
    return _judged(book, order, now)


def _not_to_secure(book: Book, order: Order) -> str:
    name = book.facts.name
    if book.goal.secure:
        return f"{name} is signed already; zone-signer plan {name} shows how its keys stand"
    if order.denial is not None and book.zone.denial != "none":
        return f"{name} is published with signatures still, and keeps its {book.zone.denial}; say it without --denial"
    return ""


def _judged(book: Book, order: Order, now: int) -> str:
    """Return what a step would say to *order* alone."""
    name = book.facts.name
    if order.kind in {"ds-seen", "ds-gone"}:
        if book.registry is not None:
            return f"{name} has its DS in a zone that is here, and the signer places it; nobody need say what it shows"
        if book.policy.parent_check != "manual":
            return (
                f"the policy {book.policy.name} of {name} has the parent's servers asked (parent_check is auto), so "
                "nobody need say what they show"
            )
        if not any(key.tag == order.tag and key.removed is None for key in book.keys):
            return f"{name} has no key {order.tag}; zone-signer keys {name} shows those that it has"
    following = rolls.step(book.facts, book.keys, book.goal, (order,), book.policy, now)
    sentence = next((one.sentence for one in following.refused), "")
    return f"{name}: {sentence}" if sentence else ""


async def _foreign(conn: Conn, book: Book, order: Order) -> str:
    """Return why a zone that carries another signer's records cannot be signed here as it stands."""
    if order.kind != "secure" or book.zone.denial != "none":
        return ""
    rows = await rows_of(
        conn,
        "SELECT EXISTS (SELECT FROM rrsets WHERE zone = %(zone)s AND owner = %(apex)s AND type = ANY(%(types)s))",
        {
            "zone": book.zone.id,
            "apex": names.order_key(book.zone.origin),
            "types": [int(Type.RRSIG), int(Type.NSEC), int(Type.NSEC3PARAM), int(Type.DNSKEY)],
        },
    )
    name = book.facts.name
    if not rows[0][0]:
        return ""
    return (
        f"{name} carries another signer's signatures; `ddns zone import FILE --origin {name} --denial nsec3` signs it"
    )


def _with_server(book: Book, wanted: Wanted) -> Wanted:
    """Return what is *wanted* with its server as the watcher calls it. Raises `Refused`."""
    if wanted.kind != "without":
        return wanted
    known = _servers(book)
    fitting = [one for one in known if one == wanted.server]
    fitting = fitting or [one for one in known if wanted.server in _words(one)]
    if len(fitting) == 1:
        return Wanted(wanted.kind, server=fitting[0])
    name = book.facts.name
    if fitting:
        raise Refused(f"{wanted.server} has several addresses, name one of: {_listed(fitting)}")
    if known:
        raise Refused(f"{name} waits for no server '{wanted.server}'; its servers are {_listed(known)}")
    raise Refused(f"{name} waits for no server: none is known of it")


def _servers(book: Book) -> list[str]:
    """Return the servers of the zone and its parent; the watcher is none: without it nobody would be asked at all."""
    known = (one.server for one in (*book.facts.secondaries, *book.facts.parents) if one.server != WATCHER)
    return list(dict.fromkeys(known))


def _words(server: str) -> Sequence[str]:
    """Return what people may call a server: its host's name, its address with the port or without."""
    host, *rest = server.split()
    if len(rest) + 1 != ADDRESS:
        return (server,)
    return host, rest[0], rest[0].rpartition(":")[0].strip("[]")


def _listed(servers: Sequence[str]) -> str:
    return ", ".join(f"'{one}'" for one in servers)


def _spoken(order: Order) -> str:
    about = order.role or ("" if order.tag is None else f"key {order.tag}")
    return f"{order.kind} ({about})" if about else order.kind
