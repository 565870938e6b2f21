"""The keys of a house's zone while they roll: ordered, stepped by the real signer, and checked after each step."""

from __future__ import annotations

from typing import Any

import dns.dnssec
import dns.name
import dns.rrset
import pytest
import signing
from committing import House

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.store import published, zones
from zone_signer.keyset import APEX_TYPES

# Keys roll when asked, and nobody is watched: a person says what the parent shows.
QUICK = """
INSERT INTO signing_policies (name, scheme, zsk_lifetime, publish_safety, retire_safety, ds_ttl, parent_check, watch,
                              cds)
VALUES (%s, %s, 0, 0, 0, 60, 'manual', 'none', %s)
"""
KEYS = """
SELECT tag, public, dnskey IN ('rumoured', 'omnipresent') AND role <> 'zsk', zrrsig IN ('rumoured', 'omnipresent')
FROM signing_keys WHERE zone = %s AND state <> 'removed'
"""
DS_ON_ITS_WAY = """
SELECT signing_keys.tag, CASE signing_keys.ds WHEN 'rumoured' THEN 'ds-seen' ELSE 'ds-gone' END
FROM key_motions JOIN signing_keys ON signing_keys.id = key_motions.key
WHERE key_motions.zone = %(zone)s AND record = 'ds' AND seen_at IS NULL AND place = 0
  AND NOT EXISTS (SELECT FROM signing_orders WHERE zone = %(zone)s)
"""
MOST_STEPS = 60


class Roll:
    """The keys of a house's zone, and the clock by which they roll; its parent does at once what is asked."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.zone = house.zone

    async def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(await (await self.house.admin.execute(query.encode(), values or None)).fetchall())

    async def use(self, scheme: str, cds: str = "never") -> None:
        """Put the zone under a quick policy of *scheme*."""
        name = scheme.replace("+", "-")
        await self.house.admin.execute(QUICK, [name, scheme, cds])
        await self.house.admin.execute("UPDATE zones SET policy = %s WHERE id = %s", [name, self.zone])
        await self.house.admin.execute("UPDATE signing SET step_at = to_timestamp(0) WHERE zone = %s", [self.zone])

    async def order(self, kind: str, role: str | None = None, tag: int | None = None) -> None:
        await self.house.admin.execute(
            """INSERT INTO signing_orders (zone, kind, role, tag, principal, at)
               VALUES (%s, %s, %s, %s, 'operator:t', to_timestamp(%s))""",
            [self.zone, kind, role, tag, self.house.running.now],
        )

    async def step(self) -> None:
        """Have the signer do what is due, at the next moment at which something is."""
        ((due,),) = await self.ask("SELECT extract(epoch FROM step_at)::float FROM signing WHERE zone = %s", self.zone)
        running = self.house.running
        running.now = max(running.now + 1, due or 0)
        await running.worker.sweep(self.house.admin)
        cursor = await self.house.admin.execute(DS_ON_ITS_WAY, {"zone": self.zone})
        for tag, kind in await cursor.fetchall():
            await self.order(kind, tag=tag)

    async def moving(self) -> bool:
        ((motions, orders),) = await self.ask(
            """SELECT (SELECT count(*) FROM key_motions WHERE zone = %s),
                      (SELECT count(*) FROM signing_orders WHERE zone = %s)""",
            self.zone, self.zone,
        )  # fmt: skip
        return bool(motions or orders)

    async def rest(self) -> None:
        """Go on until nothing moves."""
        for _ in range(MOST_STEPS):
            await self.step()
            if not await self.moving():
                return
        pytest.fail("the keys of the zone do not come to rest")

    async def check(self, zone: int | None = None) -> int:
        """Check that every published RRset has good signatures of all of today's keys and of no others.

        Returns how many signatures that are.
        """
        zone = zone or self.zone
        keys = await self.ask(KEYS, zone)
        apex = {tag for tag, _, signs, _ in keys if signs}
        in_zone = {tag for tag, _, _, signs in keys if signs}
        dnskeys = {tag: public for tag, public, _, _ in keys}
        row = (await zones.get(self.house.admin, [zone]))[zone]
        count = 0
        for one in await published.read_zone(self.house.admin, zone):
            if one.sigs:
                assert _signers(row.origin, one, dnskeys, self.house.running.now) == (
                    apex if one.type in APEX_TYPES else in_zone
                ), (names.to_text(one.name), one.type)
                count += len(one.sigs)
        return count

    async def zone_signers(self) -> set[int]:
        """Return the tags of the keys that sign the zone's data today."""
        return {tag for tag, _, _, signs in await self.ask(KEYS, self.zone) if signs}

    async def tags(self, zone: int | None = None) -> set[int]:
        """Return the tags of the zone's keys but those that were removed."""
        return {tag for tag, *_ in await self.ask(KEYS, zone or self.zone)}


def _signers(origin: bytes, one: SignedRRset, dnskeys: dict[int, bytes], now: float) -> set[int]:
    """Return the tags of the keys that have signed *one*, each of whose signatures is good."""
    apex, owner = dns.name.from_wire(origin, 0)[0], dns.name.from_wire(one.name, 0)[0]
    rrset = dns.rrset.from_rdata_list(owner, one.ttl, [signing.rdata(one.type, octets) for octets in one.rdatas])
    tags = set()
    for octets in one.sigs:
        sig = signing.rdata(Type.RRSIG, octets)
        key = dns.rrset.from_rdata_list(apex, 60, [signing.rdata(Type.DNSKEY, dnskeys[sig.key_tag])])
        dns.dnssec.validate_rrsig(rrset, sig, {apex: key}, now=now)
        tags.add(sig.key_tag)
    return tags
