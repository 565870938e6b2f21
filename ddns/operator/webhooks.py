"""Webhooks: where programs are told of what happens to homes; added, listed, tried and removed.

The secret with which deliveries are signed is shown once, in the form of Standard Webhooks (`whsec_` and base64), and
kept sealed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.homes import ownership, telling
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import outbox, webhooks
from ddns.store.webhooks import Webhook

MOST = 20  # webhooks of one tenant
MOST_EVENTS = 50
MOST_URL = 500  # characters
EVERYTHING = "*"
PREFIX = "whsec_"
_SECRET = 32  # octets
_LEAST, _MOST = 24, 64  # octets of a secret that somebody else chose, as Standard Webhooks has it
_URL = re.compile(
    r"https://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-~]*)?"
)
# Every kind of notice that there is: those of the machine of ownership, and what else somebody must be told.
KINDS = (
    frozenset(one.kind for rule in ownership.RULES for one in rule.notices)
    | telling.KINDS
    | {"box.taken", "home.complaint", "evidence.over", outbox.TEST}
)

Dice = Callable[[int], bytes]


class Place(msgspec.Struct, frozen=True):
    """Where a webhook is: *host* is a name or an address, *path* what stands in the request's first line."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Return host and port as the header Host has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


class Made(msgspec.Struct, frozen=True):
    """A webhook that has just been made, and its secret, which is told once."""

    id: UUID
    secret: Secret


def read_url(text: str) -> Place:
    """Read the address of a webhook. Raises `CannotDo`."""
    if len(text) > MOST_URL:
        raise CannotDo(f"The address of a webhook has {MOST_URL} characters at most.")
    found = _URL.fullmatch(text)
    port = int(found["port"] or 443) if found is not None else 0
    if found is None or not 0 < port <= 0xFFFF or "#" in text:
        raise CannotDo(
            "A webhook is an address like https://hooks.example/nameplate, without a name or password in it."
        )
    path = found["path"] or "/"
    return Place(found["host"].strip("[]").lower(), port, path if path[0] == "/" else f"/{path}")


def read_events(given: Sequence[str]) -> tuple[str, ...]:
    """Read kinds of notices; none, or `*`: all of them. Raises `CannotDo`."""
    events = tuple(sorted(set(given))) or (EVERYTHING,)
    if len(events) > MOST_EVENTS:
        raise CannotDo(f"A webhook names {MOST_EVENTS} kinds of notices at most, or * for all.")
    for event in events:
        if event != EVERYTHING and event not in KINDS:
            raise CannotDo(f"{event[:60]!r} is no kind of notice; write one like home.enrolled, or * for all.")
    return events


def read_secret(text: str) -> Secret:
    """Return the octets of a secret as Standard Webhooks write it: `whsec_` and base64. Raises `CannotDo`."""
    try:
        octets = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except ValueError:
        octets = b""
    if not _LEAST <= len(octets) <= _MOST:
        raise CannotDo(f"The secret of a webhook is {PREFIX} and {_LEAST} to {_MOST} octets in base64.")
    return Secret(octets)


async def add(
    conn: Conn, sealer: Sealer, tenant: int, url: str, events: Sequence[str], dice: Dice, secret: Secret | None = None
) -> Made:
    """Have notices of *tenant* sent to *url* from now on, signed with *secret*, None: with a new one.

    Raises `CannotDo`.
    """
    read_url(url)
    wanted = read_events(events)
    if await webhooks.count(conn, tenant) >= MOST:
        raise CannotDo(f"There are {MOST} webhooks already; remove one with `ddns webhook remove ID`.")
    ident, secret = UUID(bytes=dice(16), version=4), secret or Secret(dice(_SECRET))
    await webhooks.insert(conn, ident, tenant, url, sealer.seal(seal_name(ident), secret), wanted)
    return Made(ident, Secret((PREFIX + base64.b64encode(secret.reveal()).decode()).encode()))


async def listing(conn: Conn, tenant: int) -> list[Webhook]:
    """Return the webhooks of *tenant*."""
    return await webhooks.listing(conn, tenant)


async def remove(conn: Conn, tenant: int, ident: UUID) -> None:
    """Remove a webhook, and what has not been delivered to it. Raises `CannotDo`."""
    if not await webhooks.remove(conn, tenant, ident):
        raise CannotDo(f"There is no webhook {ident}; `ddns webhook list` shows those there are.")


async def change(
    conn: Conn, sealer: Sealer, tenant: int, ident: UUID, events: Sequence[str], secret: Secret | None
) -> None:
    """Have a webhook be told of *events*, and what is sent to it signed with *secret*; None: with that which it has."""
    sealed = None if secret is None else sealer.seal(seal_name(ident), secret)
    await webhooks.change(conn, tenant, ident, read_events(events), sealed)


async def test(conn: Conn, tenant: int, ident: UUID, now: int) -> int:
    """Have a notice sent to that webhook alone, and return its id; the desk sends it. Raises `CannotDo`."""
    if await webhooks.find(conn, tenant, ident) is None:
        raise CannotDo(f"There is no webhook {ident}; `ddns webhook list` shows those there are.")
    notice = await outbox.put(conn, outbox.TEST, None, b"{}", now)
    await webhooks.deliver(conn, notice, ident, now)
    return notice


def seal_name(ident: UUID) -> Name:
    """Return the name that the secret of a webhook is sealed under."""
    return names.from_text(f"{ident.hex}.webhook.")
