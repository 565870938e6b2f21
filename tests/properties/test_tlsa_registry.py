"""The worlds of `test_tlsa_clients` around the real registry: its update path, its database, its watcher's books.

Two more servers follow behind ours; what each shows when it is looked at is written where the watcher writes it. The
judge is the same, and knows nothing of all that.
"""

from __future__ import annotations

import asyncio

import craft
import guarding
import pytest
from guarding import Device
from test_tlsa_clients import EVERY, World, certificate
from waiting import wait_for

from ddns.dns.codes import Rcode, Type
from ddns.net.expiry import commit_expiry
from ddns.store import rrsets
from ddns.watch.dane import settle_all
from ddns.zone import dane_option
from ddns.zone.dane_option import Verb, Wish

ROLLS = 25  # in each world
LEASE = 86_400
HERE = craft.name(guarding.OWNER)


class Registered(World):
    """A world whose registry is a real one."""

    PATIENCE = 3000

    def __init__(self, seed, device, loop, **how):
        self.device = device
        self.loop = loop  # the registry's; the world lives in a thread of its own
        self.serials = []
        self.looked = 0
        super().__init__(seed, **how)

    def commit(self, rrset):
        super().commit(rrset)
        self.serials.append(self.until(self.device.row()).serial)

    def change(self, rrset, *, revoke=()):
        before = self.rrset
        old = set(before.rdatas) if before is not None else set()
        new = set(rrset.rdatas) if rrset is not None else set()
        asked = [craft.rr(guarding.OWNER, "TLSA", craft.NONE, 0, one) for one in sorted(old - new)]
        asked += [craft.rr(guarding.OWNER, "TLSA", craft.IN, rrset.ttl, one) for one in sorted(new)]
        revoked = frozenset(certificate(one)[1][3:] for one in revoke)
        wish = Wish(Verb.REVOKE, revoked) if revoked else Wish(Verb.MANAGED)
        reply = self.send(wish, *asked)
        if reply.rcode() != Rcode.NOERROR:
            assert "tlsa-not-safe-yet" in guarding.said(reply)
            self.refused += 1
            return False
        self.catch_up()
        return True

    def deployed(self, key):
        wish = Wish(Verb.DEPLOYED, frozenset({certificate(key)[1][3:]}))
        return self.send(wish, needs=[craft.exists(guarding.OWNER, "TLSA")]).rcode() == Rcode.NOERROR

    def lapse(self, key):
        rdata = certificate(key)[1]
        self.send(Wish(Verb.MANAGED), craft.rr(guarding.OWNER, "TLSA", craft.IN, self.rrset.ttl, rdata), lease=LEASE)
        self.until(self.end_leases())
        self.catch_up()

    def phase(self, key):
        reply = self.send(Wish(Verb.STATE), needs=[craft.exists(guarding.OWNER, "TLSA")])
        for option in reply.options:
            if option.otype == dane_option.OPTION:
                (service,) = dane_option.read_services(option.data)
                phases = {one.data: one.phase for one in service.records}
                found = phases.get(certificate(key)[1][3:11])
                return None if found == "established" else found
        return None

    def stride(self):
        return self.dice.choice((7, 60, 600, 6000))  # what is asked in between is settled all the same

    def tick(self):
        self.until(self.settle())
        self.catch_up()

    # -- the registry

    def until(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def send(self, wish, *operations, needs=(), lease=0):
        self.device.server.now = float(self.now)
        message = self.device.message(*operations, opt=guarding.opt(wish, lease), needs=needs)
        return self.until(self.device.server.send(self.device.sign(message)))[0]

    def catch_up(self):
        """Note what stands there where it is not what stood there."""
        found = self.until(rrsets.read_names(self.device.admin, [(self.device.zone, HERE)]))
        rrset = next((one for one in found.get((self.device.zone, HERE), ()) if one.type == Type.TLSA), None)
        if rrset != self.rrset:
            self.commit(rrset)

    async def settle(self):
        """Look at the servers where it is time to, and do what the watcher does then."""
        asked = self.now - self.now % EVERY
        if asked > self.looked and self.sees:
            self.looked = asked
            shown = [self.serials[-1]]  # when the list was made, and what each of the servers on it has
            for place in range(3):
                shown += [next((serial for had, serial in self.had() if had[place] <= asked), None)]
            await self.device.admin.execute(
                """
                INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial)
                SELECT %(zone)s, 'secondary', server, to_timestamp(%(at)s), to_timestamp(%(at)s), serial
                FROM unnest(ARRAY['', 'a', 'b', 'c'], %(shown)s::bigint[]) AS one (server, serial)
                WHERE EXISTS (SELECT FROM tlsa_rolls WHERE seen_at IS NULL)
                ON CONFLICT (zone, kind, server) DO UPDATE
                SET asked_at = excluded.asked_at, answered_at = excluded.answered_at, serial = excluded.serial
                """,
                {"zone": self.device.zone, "at": asked, "shown": shown},
            )
        async with self.device.server.pool.connection() as conn:
            made = await settle_all(conn, self.device.server.signer, self.now, [self.device.zone])
        self.device.server.subscriber.show(made)

    def had(self):
        """Return when each server got a version and its serial, the newest first."""
        versions = [times for _, times in self.versions]
        return reversed(list(zip(versions, self.serials, strict=True)))

    async def end_leases(self):
        await self.device.admin.execute("UPDATE leases SET ends_at = now() - interval '1 second'")
        async with self.device.server.pool.connection() as conn:
            ended = await commit_expiry(conn, self.device.server.signer, 10, self.now)
        assert ended.records == 1
        self.device.server.subscriber.show(ended.editions)


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    device = Device(dsn_for("ddns_server"), owner, tmp_path)

    async def begin(*, alone):
        await device.begin()
        await device.admin.execute("RESET ROLE")
        if not alone:
            await device.admin.execute(
                "INSERT INTO transfer_rights (zone, homes, address) VALUES (%s, false, '192.0.2.53/32')", (device.zone,)
            )
        return device

    yield begin
    wait_for(device.server.close())


@pytest.mark.parametrize("seed", range(4))
async def test_no_client_ever_refuses_a_device_that_the_real_registry_rolls(make, seed):
    """Twenty-five rolls in each of four worlds, emergencies, ended leases and impatience among them."""
    device, loop = await make(alone=False), asyncio.get_running_loop()

    world = await asyncio.to_thread(lambda: Registered(seed, device, loop).live(ROLLS))

    assert world.rolls == ROLLS
    assert world.mismatches() == []


async def test_the_judge_finds_a_mismatch_where_the_registry_believes_itself_alone(make):
    """Servers lag behind that it does not know of: then its word is worth nothing, and the judge says so."""
    device, loop = await make(alone=True), asyncio.get_running_loop()

    def found():
        world = Registered(3, device, loop, sees=False)
        return any(world.live(rolls).mismatches() for rolls in range(1, 2 * ROLLS))

    assert await asyncio.to_thread(found)
