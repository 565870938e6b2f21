"""Transfers to secondaries: who may have a zone, or the homes of a registry's zone, and whom to notify of changes."""

from __future__ import annotations

import ipaddress

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import compact, keys
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import the_zone
from ddns.settings import address, address_text
from ddns.store import transfers, zones
from ddns.store.transfers import Network, NewRight, NewTarget, Notified, Right, Target, Transferred

MOST_RULES = 1000  # rights, and targets, of one zone: each is looked at for each transfer and change


class Place(msgspec.Struct, frozen=True):
    """Where a secondary listens for NOTIFY, and the key that signs what it is sent."""

    address: str
    port: int
    key: Name | None = None

    @property
    def text(self) -> str:
        """Return the address and port as people write them."""
        return address_text((self.address, self.port))


class Listing(msgspec.Struct, frozen=True):
    """The rules, all or those on one zone, and what is known of the secondaries."""

    rights: list[Right]
    targets: list[Target]
    notified: list[Notified]
    transferred: list[Transferred]
    origins: dict[int, tuple[Name, int]]  # apex and serial of the zones that are spoken of


def read_prefix(text: str) -> Network:
    """Return the address or prefix *text*. Raises `CannotDo`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise CannotDo(f"{text!r} is no address or prefix; write 192.0.2.1 or 2001:db8::/32.") from None
    raise CannotDo(f"{text!r} has bits behind its prefix; write {meant}.")


def read_place(text: str, key: Name | None = None) -> Place:
    """Return ADDR:PORT, or an address alone, which means port 53. Raises `CannotDo`."""
    try:
        host, port = address(text)
    except ValueError:
        port = 0
        host = ""
    if not port:
        raise CannotDo(f"{text!r} is no address to notify; write 192.0.2.1:53 or [2001:db8::1]:53.")
    return Place(str(ipaddress.ip_address(host)), port, key)


async def _check_key(conn: Conn, key: Name) -> None:
    if not any(one.kind == "tsig" for one in await keys.named(conn, key)):
        raise CannotDo(
            f"{names.to_text(key)} is a SIG(0) key; transfers are signed with a shared secret (`ddns key add`)."
        )


async def allow(conn: Conn, origin: Name, *, homes: bool, key: Name | None, prefix: Network | None) -> bool:
    """Let whoever signs with *key*, or asks from *prefix*, have a zone, or with *homes* its homes.

    Tell whether that is new. Raises `CannotDo`.
    """
    if key is not None:
        await _check_key(conn, key)
    zone = await the_zone(conn, origin)
    with compact.told():
        async with conn.transaction():
            await compact.check_transfers(conn, zone, homes=homes)
            if len(await transfers.rights(conn, zone.id)) >= MOST_RULES:
                raise CannotDo(f"The zone {names.to_text(origin)} has {MOST_RULES} transfer rights; remove some.")
            new = await transfers.allow(conn, [NewRight(zone.id, homes, key, prefix)])
            await transfers.tell(conn)
    return new > 0


async def notify(conn: Conn, origin: Name, place: Place, *, homes: bool) -> bool:
    """Have *place* notified of a zone's changes, or with *homes* of its homes'; tell whether that changes anything.

    Raises `CannotDo`.
    """
    if place.key is not None:
        await _check_key(conn, place.key)
    zone = await the_zone(conn, origin)
    with compact.told():
        async with conn.transaction():
            await compact.check_transfers(conn, zone, homes=homes)
            if len(await transfers.targets(conn, zone.id)) >= MOST_RULES:
                raise CannotDo(f"The zone {names.to_text(origin)} has {MOST_RULES} secondaries to notify; remove some.")
            new = await transfers.put_targets(conn, [NewTarget(zone.id, homes, place.address, place.port, place.key)])
            await transfers.tell(conn)
    return new > 0


async def remove(
    conn: Conn, origin: Name, *, homes: bool, key: Name | None, prefix: Network | None, place: Place | None
) -> int:
    """Take back the rules on a zone, or with *homes* on its homes: those given, or all; return how many.

    Raises `CannotDo` where there is none.
    """
    zone = await the_zone(conn, origin)
    everything = key is None and prefix is None and place is None
    async with conn.transaction():
        rights = [
            one.id
            for one in await transfers.rights(conn, zone.id)
            if one.homes == homes
            and (everything or (key is not None and one.key == key) or (prefix is not None and one.address == prefix))
        ]
        targets = [
            one.id
            for one in await transfers.targets(conn, zone.id)
            if one.homes == homes
            and (everything or (place is not None and (one.address, one.port) == (place.address, place.port)))
        ]
        await transfers.remove_rights(conn, rights)
        await transfers.remove_targets(conn, targets)
        await transfers.tell(conn)
    count = len(rights) + len(targets)
    if not count:
        raise CannotDo(f"There is no such rule on {names.to_text(origin)}; `ddns transfer list` shows those there are.")
    return count


async def listing(conn: Conn, origin: Name | None = None) -> Listing:
    """Return all rules, or those on one zone, and the secondaries' state. Raises `CannotDo`."""
    zone = None if origin is None else await the_zone(conn, origin)
    number = None if zone is None else zone.id
    rights = await transfers.rights(conn, number)
    targets = await transfers.targets(conn, number)
    shown = {one.id for one in targets}
    notified = [one for one in await transfers.notified(conn) if one.target in shown]
    taken = await transfers.transferred(conn, number)
    ids = {one.zone for one in notified} | {one.zone for one in taken}
    origins = {one.id: (one.origin, one.serial) for one in (await zones.get(conn, ids)).values()}
    return Listing(rights, targets, notified, taken, origins)
