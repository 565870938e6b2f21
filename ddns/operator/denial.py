"""Another way for a signed zone to say what it does not have, with the records that it has, in one edition."""

from __future__ import annotations

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator import compact
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import check_denied_otherwise, locked
from ddns.store import journal, notify, signing, zones
from ddns.zone.changes import ChangeSet
from ddns.zone.compact import DENIAL

WAYS = ("nsec3", "nsec", DENIAL)


async def change(conn: Conn, origin: Name, denial: str, principal: str) -> tuple[int, bool]:
    """Have the zone *origin* deny in the way *denial*, one of `WAYS`, from its next edition on.

    Return its id, and whether that is another way than before. Raises `CannotDo`.
    """
    with compact.told():
        async with conn.transaction():
            zone = await locked(conn, origin)
            name = names.to_text(origin)
            if zone.denial == "none":
                raise CannotDo(f"{name} is not signed here; say `zone-signer secure {name}` first.")
            if zone.denial == denial:
                return zone.id, False
            if zone.is_away:
                raise CannotDo(
                    f"{name} has servers of its own, which deny as they like; say it again when it is hosted here."
                )
            await compact.check_denial(conn, zone, denial)
            await check_denied_otherwise(conn, zone, denial)
            await zones.set_denial(conn, zone.id, denial, zone.algorithm)
            await journal.append(conn, [journal.Entry(zone.id, zone.head + 1, principal, None, None, ChangeSet(()))])
            await zones.advance(conn, [(zone.id, zone.head + 1, zone.edition, zone.serial)])
            await signing.mark_pending(conn, {zone.id: zone.head})
            await notify.pending(conn)
            return zone.id, True
