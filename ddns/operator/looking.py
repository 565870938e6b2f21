"""Look at one home, as its operator does: whose it is, how it came, its keys, what waits for it."""

from __future__ import annotations

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import claims, home_look, owners, pending_keys, zones
from ddns.store.home_look import Home, Key
from ddns.store.pending_keys import Pending
from ddns.store.zones import Zone


class Look(msgspec.Struct, frozen=True):
    """A home, its zone and live keys, the live keys of its owner, the keys that wait, and until when a claim does."""

    home: Home
    zone: Zone
    keys: tuple[Key, ...]
    people: tuple[owners.Key, ...]
    pending: tuple[Pending, ...]
    claim_due_at: int | None


async def look(conn: Conn, name: Name, now: int) -> Look:
    """Return what there is to say about a home at *now*, in seconds since 1970. Raises `CannotDo`."""
    home = await home_look.home(conn, name)
    zone = None if home is None else (await zones.get(conn, [home.zone])).get(home.zone)
    if home is None or zone is None:
        raise CannotDo(f"{names.to_text(name)} is no home; `ddns home search` shows those there are.")
    claim = None if home.device is None else await claims.open_on(conn, home.device)
    return Look(
        home,
        zone,
        tuple(await home_look.keys(conn, home.zone)),
        () if home.owner is None else tuple(await owners.keys(conn, home.owner)),
        tuple(await pending_keys.of(conn, home.zone, now)),
        None if claim is None else claim.due_at,
    )
