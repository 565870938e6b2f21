"""What lies ahead of one zone: what is to be signed, what its keys will do and when, and what holds them up. Pure.

Law: what is shown here is what the signer would do with the same rows, worked out by the same functions. Nothing is
promised that hangs on somebody: what comes behind them is not *sure*.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ddns.dns import names
from zone_signer import choosing, rolls
from zone_signer.forecast import Planned, forecast
from zone_signer.keybook import Book
from zone_signer.overview import Pace
from zone_signer.policy import DAY
from zone_signer.seen import WATCHER
from zone_signer.stage import Wait, shown_time

YEAR = 366 * DAY


class Outlook(msgspec.Struct, frozen=True):
    """What lies ahead of the zone of *book*: what its keys wait for now, and what is *planned*, in order.

    *later* is when the next successor is made because of a lifetime, where that is behind all that is planned.
    """

    book: Book
    waits: tuple[Wait, ...]
    planned: tuple[Planned, ...]
    later: int | None = None

    @property
    def name(self) -> str:
        """Return the zone's name for people."""
        return names.to_text(self.book.zone.origin)


def outlook(book: Book, pace: Pace, now: int, until: int) -> Outlook:
    """Return what lies ahead of the zone of *book* from *now* to *until*, in seconds since 1970."""
    waits: tuple[Wait, ...] = ()
    planned = list(_signing(book, now, until))
    if book.active:
        following = rolls.step(book.facts, book.keys, book.goal, book.orders, book.policy, now)
        waits = () if following.does() else following.waits
        ahead = forecast(
            book.facts, book.keys, book.goal, book.policy, now, until, pace.settle, pace.parent, book.orders
        )
        planned += ahead if _all_answer(book) else (replace(one, sure=one.sure and one.at <= now) for one in ahead)
    later = choosing.next_end(book.keys, book.goal, book.policy)
    return Outlook(
        book,
        waits,
        tuple(sorted(planned, key=lambda one: one.at)),
        later if later is not None and later > until else None,
    )


def end(book: Book, pace: Pace, now: int) -> Planned | None:
    """Return the last of what happens because of what moves now, or is about to; None: the keys rest.

    What lifetimes will bring some day is left out.
    """
    policy = replace(book.policy, csk_lifetime=0, ksk_lifetime=0, zsk_lifetime=0)
    ahead = forecast(book.facts, book.keys, book.goal, policy, now, now + YEAR, pace.settle, pace.parent, book.orders)
    return replace(ahead[-1], sure=ahead[-1].sure and _all_answer(book)) if ahead else None


def _all_answer(book: Book) -> bool:
    """Tell whether every server that was asked has answered: what hangs on one that does not, nobody can date."""
    servers = (*book.facts.secondaries, *book.facts.parents)
    return not any(one.problem and one.server != WATCHER for one in servers)


def _signing(book: Book, now: int, until: int) -> list[Planned]:
    """Return when signatures are made that no key's life asks for."""
    zone = book.zone
    if zone.denial == "none":
        return []
    if zone.pending or not zone.edition:
        line = "sign what has changed" if zone.edition else "sign the zone and publish it for the first time"
        return [Planned(now, "sign", "", 0, None, line, "it is stored and not published yet", "", sure=True)]
    if zone.resign_at is None or zone.resign_at > until:
        return []
    why = f"the first of them ends at {shown_time(zone.resign_at + book.policy.signatures.refresh)}"
    return [Planned(max(now, zone.resign_at), "renew", "", 0, None, "begin to renew signatures", why, "", sure=True)]
