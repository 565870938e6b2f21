"""A home that leaves and comes back in a real database: real signers take the turns, and the judge of `delegating`
looks at what they published.

Of the world's own machinery only the other side is left: their servers, what they are told, the resolvers. Where the
home is, who serves it and what its registry says of it is read from the database, from what is published there.
"""

from __future__ import annotations

import delegating
from delegating import HOME, OURS, START, World
from lives import Life
from signing import bare, keys_of, ought

from ddns.dns import ds as ds_records
from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset
from ddns.store import delegations, published, zones
from ddns.store.delegations import Taken
from ddns.zone.child import Child
from ddns.zone.hand import Bounds, Continuity, Copy, Serves, Shown, State, Wish
from zone_signer import rrsig

BOUNDS = Bounds(safety=3600, dark_after=3600, back_after=900, look=3600, lag=86_400)
_SOA = b"\2ns\5smith\7example\0\1h\0"


class Hall(World):
    """The home `HOME`, its registry in the database of *life*, and all the world around."""

    def __init__(self, life: Life, **more) -> None:
        super().__init__(bounds=BOUNDS, **more)
        self.life = life
        for worker in life.workers:
            worker._bounds = BOUNDS
        self.zone = self.registry = 0
        self._sweeps = 0
        self._last: tuple = ()

    async def begin(self, *lines: str, denial: str = "nsec3", registry_denial: str = "nsec3") -> Hall:
        life = self.life
        self.registry = (await self._add("homes.test.", registry_denial, "smith 3600 NS ns1.registry.test.")).id
        content = "www 300 A 192.0.2.1", *lines
        self.zone = (await self._add("smith.homes.test.", denial, *content, parent=self.registry)).id
        await life.admin.execute("INSERT INTO homes (zone) VALUES (%s)", (self.zone,))
        life.zones.clear()
        for zone, how in ((self.registry, registry_denial), (self.zone, denial)):
            if how == "none":
                await self._publish_unsigned(zone)
        for _ in range(4):
            await self._sweep()
        rows = await life.admin.execute("SELECT public FROM signing_keys WHERE zone = %s", (self.zone,))
        self._o = (await rows.fetchall())[0][0] if denial != "none" else self._o
        self._names[self._o] = ("o", 13)
        await self._read_ttls()
        await self._see()
        self._shown = await self.show()
        for server in (*self._registry, *self._hosts):
            server._taken.clear()
        row = await zones.get(life.admin, [self.registry, self.zone])
        for server in self._registry:
            server.take((row[self.registry].serial, self._shown), START - 1_000_000)
        for server in self._hosts:
            server.take((row[self.zone].serial, self._shown, None), START - 1_000_000)
        self._last = row[self.registry].serial, row[self.zone].serial, self._shown
        return self

    async def _add(self, origin, denial, *lines, parent=None):
        """Add a zone that names the registry's server."""
        zone = await self.life.zone(origin, *lines, denial=denial, parent=parent)
        await self.life.admin.execute(
            "UPDATE rrsets SET rdatas = %s FROM zones WHERE zones.id = zone AND zone = %s AND type = 2 "
            "AND owner = origin",
            (list(OURS), zone.id),
        )
        return zone

    async def _publish_unsigned(self, zone: int) -> None:
        """Publish what is stored, as servers do with zones that are not signed."""
        await self.life.admin.execute(
            "INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas, sigs) "
            "SELECT zone, owner, type, ttl, rdatas, '{}' FROM rrsets WHERE zone = %s", (zone,),
        )  # fmt: skip
        await self.life.admin.execute("UPDATE zones SET edition = 1, serial = 1 WHERE id = %s", (zone,))
        await self.life.admin.execute("UPDATE signing SET pending = false, signed_head = 1 WHERE zone = %s", (zone,))

    async def _read_ttls(self) -> None:
        home = {(one.name, one.type): one for one in await published.read_zone(self.life.admin, self.zone)}
        above = {one.type: one for one in await self._above()}
        self.delegation_ttl = above[Type.NS].ttl
        self.ds_ttl = above[Type.DS].ttl if Type.DS in above else 0
        self.max_ttl = max(one.ttl for one in home.values())
        self.ns_ttl = home[HOME, Type.NS].ttl
        self.keys_ttl = home[HOME, Type.DNSKEY].ttl if (HOME, Type.DNSKEY) in home else 0
        self._ours_signed = Type.DS in above

    async def _above(self) -> list[SignedRRset]:
        found = await published.read_names(self.life.admin, [(self.registry, HOME)])
        return list(found.get((self.registry, HOME), ()))

    # What happens

    async def leave(self, continuity: Continuity | None = None, glue: tuple[RRset, ...] = ()) -> None:
        their = Child(delegating.THEIRS, glue, (ds_records.of(HOME, self._t),) if self._theirs_signed else ())
        self.their = their
        self.wish = Wish.AWAY
        self.continuity = continuity or self.continuity
        assert await delegations.leave(self.life.admin, self.zone, their, self.continuity, self.now)

    async def come_back(self) -> None:
        self.wish = Wish.HOST
        assert await delegations.wish(self.life.admin, self.zone, Wish.HOST, self.now)

    async def until(self, *states: State, days: int = 60) -> None:
        """Let time pass until the home is in one of *states*."""
        end = self.now + days * 86400
        while (await self.state()) not in states:
            assert self.now < end, f"still {self.hand.state} after {days} days: {self.states} {await self.row()}"
            await self.live(600)

    async def state(self) -> State:
        return (await self.row()).state

    async def row(self) -> delegations.Delegation:
        return (await delegations.read(self.life.admin, [self.zone]))[self.zone]

    async def live(self, seconds: int) -> None:
        """Let *seconds* pass, in steps in which everybody looks and does what is due."""
        end = self.now + seconds
        while self.now < end:
            await self._everybody()
            servers = (*self._registry, *self._hosts, *self._theirs)
            coming = [end, *(at for at, _ in self._events), *(at for one in servers for at, _ in one._taken[-4:])]
            row = await self.row()
            coming += [at for at in (row.step, self.now + 3600) if at is not None]
            upto = min(at for at in coming if at > self.now)
            self._pass(upto)
            self.now = upto
            due = [event for at, event in self._events if at <= self.now]
            self._events = [one for one in self._events if one[0] > self.now]
            for event in due:
                event()
        assert self.problems == []

    async def _everybody(self) -> None:
        """Have the watcher look, the signers do their turns, and the other side what it is told."""
        for _ in range(20):
            await self._see()
            before = await self.row()
            await self._sweep()
            row = await self.row()
            self.hand = row.hand
            if row.tell and row.tell not in self.told:
                self.told.append(row.tell)
            if row.state is not before.state:
                self.states.append((self.now - START, row.state))
            await self._published()
            if row.step is None or row.step > self.now:
                break
        else:
            raise AssertionError(f"twenty turns at one time: {self.states[-20:]}")
        self._obey()
        await self._take_copy()

    async def _sweep(self) -> None:
        self.life.now = self.now
        worker = self.life.workers[self._sweeps % len(self.life.workers)]
        self._sweeps += 1
        done = await worker.sweep(self.life.conn)
        assert done.failed == ()

    async def _published(self) -> None:
        """Have the servers take what was published since."""
        rows = await zones.get(self.life.admin, [self.registry, self.zone])
        shown = await self.show()
        serials = rows[self.registry].serial, rows[self.zone].serial
        if (*serials, shown) == self._last:
            return
        self._last = *serials, shown
        for server in self._registry:
            server.take((serials[0], shown), self.now)
        for server in self._hosts:
            server.take((serials[1], shown, self._copied and self._copied[:2]), self.now)
        await self._judge_home(rows[self.zone])
        registry = rows[self.registry]
        if registry.denial != "none" and not registry.signed_pending:
            keys = await keys_of(self.life.conn, self.registry)
            assert await bare(self.life.conn, self.registry) == await ought(self.life.conn, registry, keys)

    async def show(self) -> Shown:
        """Return what is published of the home, read from what is published."""
        row = (await zones.get(self.life.admin, [self.zone]))[self.zone]
        above = {one.type: one.rdatas for one in await self._above()}
        apex = {one.type: one for one in await published.read_zone(self.life.admin, self.zone) if one.name == HOME}
        serves = Serves.NOTHING if row.held else Serves.COPY if row.presigned else Serves.OWN
        keys = apex[Type.DNSKEY].rdatas if Type.DNSKEY in apex else ()
        assert len(set(keys)) == len(keys)
        foreign = () if serves is Serves.COPY else tuple(one for one in keys if one != self._o)
        return Shown(above.get(Type.DS, ()), above[Type.NS], (), serves, apex[Type.NS].rdatas, foreign)

    async def _judge_home(self, row: zones.Zone) -> None:
        """Look whether the home is signed by its own key throughout, or is their copy as it is."""
        there = await published.read_zone(self.life.admin, self.zone)
        if row.presigned:
            assert {(one.name, one.type): one for one in there} == {
                (one.name, one.type): one for one in self._copied[2]
            }
            return
        if row.denial == "none":
            return
        (tag,) = {rrsig.read(sig, self.now).mark for one in there for sig in one.sigs}
        assert tag == (13, ds_records.tag(self._o))
        if not row.signed_pending:
            keys = await keys_of(self.life.conn, self.zone)
            assert await bare(self.life.conn, self.zone) == await ought(self.life.conn, row, keys)

    # Their side

    async def _take_copy(self) -> None:
        """Take a copy of their zone, now and then, as the watcher does."""
        if not self._copies or not self.alive() or self.now < self._copy_at:
            return
        serial, keys, signers, data, _ = self._theirs[0].shows(self.now)
        copy = Copy(serial, keys, self.now + self._lasting)
        zone = tuple(self._signed(serial, keys))
        ttl = max(self.their_keys_ttl, self.their_ns_ttl, self.their_max_ttl)
        if await delegations.take_copy(self.life.server, self.zone, Taken(copy, ttl, self.now), zone, self.now):
            self._copy_at = self.now + self._copies
            self._copied = copy, (keys, signers, data), zone

    def _signed(self, serial: int, keys):
        """Return their zone, signed by them as far as anybody here looks."""
        sig = (b"theirs",)
        soa = _SOA + serial.to_bytes(4, "big") + bytes(16)
        yield SignedRRset(HOME, Type.SOA, 60, (soa,), sig)
        yield SignedRRset(HOME, Type.NS, 60, delegating.THEIRS, sig)
        yield SignedRRset(HOME, Type.DNSKEY, 60, tuple(sorted(keys)), sig)
        yield SignedRRset(b"\4elsw" + HOME, Type.A, 60, (bytes(4),), sig)

    # What is seen

    async def _see(self) -> None:
        """Write down what the watcher sees, of their servers and of ours."""
        server, now = self.life.server, self.now
        row = (await delegations.read(server, [self.zone])).get(self.zone)
        if row is None:
            await self._sight(self.registry, "secondary", "", None, True)
            await self._sight(self.zone, "secondary", "", None, True)
            return
        if (row.state, row.wish) != (State.HOSTED, Wish.HOST):
            self.hand = row.hand
            await delegations.saw(server, self.zone, self._look(), row.their, now + 900, now)
        await self._sight(self.registry, "secondary", "", None, True)
        for kind in ("secondary", "withdrawn"):
            await self._sight(self.zone, kind, "", None, True)
        for one in self._registry:
            await self._sight(self.registry, "secondary", one.name, one.shows(now)[0], True)
        for one in self._hosts:
            serial, shown, _ = one.shows(now)
            if shown.serves is Serves.NOTHING:
                await self._sight(self.zone, "withdrawn", one.name, None, True)
            else:
                await self._sight(self.zone, "secondary", one.name, serial, True)
                await self._sight(self.zone, "withdrawn", one.name, None, False)
        await delegations.hint(server, [self.zone], now)

    async def _sight(self, zone: int, kind: str, name: str, serial: int | None, answers: bool) -> None:
        await self.life.server.execute(
            """INSERT INTO sightings (zone, kind, server, wanted, asked_at, answered_at, serial, problem)
               VALUES (%(zone)s, %(kind)s, %(name)s, %(name)s <> '', to_timestamp(%(now)s),
                       CASE WHEN %(answers)s THEN to_timestamp(%(now)s) END, %(serial)s, '')
               ON CONFLICT (zone, kind, server) DO UPDATE SET asked_at = excluded.asked_at,
                   answered_at = coalesce(excluded.answered_at, sightings.answered_at),
                   serial = coalesce(excluded.serial, sightings.serial)""",
            {"zone": zone, "kind": kind, "name": name, "serial": serial, "now": self.now, "answers": answers},
        )
