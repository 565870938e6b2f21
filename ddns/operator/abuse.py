"""Abuse by homes: complaints are written down with their evidence, and homes with signals are listed for people.

No home is held because of a number: a false complaint would be a way to shut a neighbour out. People look, and hold
a home with a reason.
"""

from __future__ import annotations

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import abuse, home_people, outbox
from ddns.store.abuse import Complaint, Signal
from ddns.store.tenancy import entered

KINDS = ("spam", "phishing", "malware", "attack", "impersonation", "other")
MOST_EVIDENCE = 2000  # characters
MOST_DAYS = 90
MOST_SHOWN = 500
_DAY = 86400


async def complain(conn: Conn, home: Name, what: str, evidence: str, who: str, now: int) -> int:
    """Write down a complaint about *home*, and tell its tenant's operators; return its number. Raises `CannotDo`."""
    if what not in KINDS:
        raise CannotDo(f"A complaint is about {', '.join(KINDS)}; choose one of them, not {what!r}.")
    said = evidence.strip()
    if not 0 < len(said) <= MOST_EVIDENCE or not all(one.isprintable() or one in "\n\t" for one in said):
        raise CannotDo(f"A complaint needs its evidence, 1 to {MOST_EVIDENCE} characters of text; write it, or a link.")
    async with conn.transaction():
        there = await home_people.called(conn, home)
        if there is None:
            raise _no_home(home)
        await entered(conn, there.tenant)
        number = await abuse.complain(conn, there.zone, what, said, who, now)
        body = msgspec.json.encode({"home": names.to_text(home), "what": what, "complaint": number, "at": now})
        await outbox.put(conn, "home.complaint", None, body, now)
    return number


async def complaints(conn: Conn, home: Name) -> list[Complaint]:
    """Return what was said about *home*, the newest first. Raises `CannotDo`."""
    there = await home_people.called(conn, home)
    if there is None:
        raise _no_home(home)
    return await abuse.complaints(conn, there.zone, MOST_SHOWN)


async def signals(conn: Conn, tenant: int, days: int, now: int, most: int = 100) -> list[Signal]:
    """Return the homes of *tenant* about which there is something in the last *days*, those with the most first."""
    since = now - max(1, min(days, MOST_DAYS)) * _DAY
    return await abuse.signals(conn, tenant, since, max(1, min(most, MOST_SHOWN)))


def _no_home(home: Name) -> CannotDo:
    return CannotDo(f"{names.to_text(home)} is no home; `ddns home search` shows those there are.")
