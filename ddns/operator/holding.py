"""Hold a home, with a reason that its owner reads, and release it again: decisions of the machine of ownership."""

from __future__ import annotations

import uuid

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes.carrying import Outcome
from ddns.homes.operating import Operator, with_home
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.signing.client import SignerClient
from ddns.store import home_exports, home_people
from ddns.store.home_exports import Happened
from ddns.store.tenancy import entered

SUSPENDED, QUARANTINED, RELEASED = "suspended", "quarantined", "active"
_EVENTS = {SUSPENDED: "suspend", QUARANTINED: "quarantine", RELEASED: "release-hold"}


async def hold(
    conn: Conn, signer: SignerClient, home: Name, state: str, reason: str, principal: str, now: int
) -> Outcome | None:
    """Make a home `SUSPENDED` or `QUARANTINED`, or `RELEASED` again; return what happened, None: it is so already.

    Suspended, it takes no updates and is served; in quarantine it leaves the DNS, too. The *reason* is written down and
    its owner is told it. *principal* is who says so, as journals name him. Raises `CannotDo`.
    """
    async with conn.transaction():
        there = await home_people.called(conn, home)
        if there is None:
            raise _no_home(home)
        await entered(conn, there.tenant)
        if there.state == state or (state == RELEASED and there.state not in (SUSPENDED, QUARANTINED)):
            return None
        operator = Operator(
            name=principal.removeprefix("operator:"), reason=reason.strip(), tenant=there.tenant, now=now,
            new_id=uuid.uuid4,
        )  # fmt: skip
        done = await with_home(conn, signer, home, _EVENTS[state], operator)
        if isinstance(done, Refusal):
            raise CannotDo(done.text)
    return done


async def history(conn: Conn, home: Name, after: int = 0, most: int = 500) -> list[Happened]:
    """Return what happened to a home after the event of the number *after*, *most* of it. Raises `CannotDo`."""
    there = await home_people.called(conn, home)
    if there is None:
        raise _no_home(home)
    return await home_exports.events(conn, there.zone, after, most)


def _no_home(home: Name) -> CannotDo:
    return CannotDo(f"{names.to_text(home)} is no home; `ddns home search` shows those there are.")
