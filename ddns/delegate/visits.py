"""Visits to the servers of homes that have servers of their own, by the one process that watches.

A home on its way is visited often, one that is away now and then, and soon after a NOTIFY. A visit asks all that there
is to ask at once: whether its servers are as they ought to be, and, where it is away, what its CDS and CSYNC ask for.
Law: a visit decides nothing but what the rules of `ddns.zone` let it, and the signer's turn does the rest. Silence is
written down only while somebody else answers: our own network may be what is silent.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from psycopg import OperationalError
from twisted.logger import Logger

from ddns.auth.principal import Credential
from ddns.delegate import copying
from ddns.delegate.asking import Unresolved
from ddns.delegate.evidence import slim
from ddns.delegate.limits import DelegationLimits
from ddns.delegate.scanning import Scanned, Scanner
from ddns.delegate.signals import signals
from ddns.delegate.witness import Witness
from ddns.dns import names
from ddns.dns.names import Name
from ddns.store import credentials, delegation_checks, delegations, notify
from ddns.store.credentials import OpenSecret
from ddns.store.delegation_checks import Check
from ddns.store.delegations import Delegation
from ddns.store.ear import Ear
from ddns.store.lasting import LONGEST_DELAY, Steady, lasting
from ddns.store.pool import Connection
from ddns.watch.ask import read_address
from ddns.watch.resolver import Resolver, configured
from ddns.watch.resolver import Unresolved as NotResolved
from ddns.zone.cds import Signal
from ddns.zone.child import Asked, Fault, ServerSaid
from ddns.zone.hand import Continuity, State, Theirs, Wish

log = Logger(namespace="ddns.delegation")

LONGEST_REST = 60.0  # seconds until it is looked again what is due, whatever was said
MOST_TOLD = 10_000  # verdicts that are remembered, so that the same one is written once


def scanner(limits: DelegationLimits, clock: Callable[[], float], resolver: Resolver | None = None) -> Scanner:
    """Return what asks as *limits* say; *resolver* finds addresses, by default the one that they name."""
    found = resolver or Resolver(configured(limits.resolver), limits.timeout, limits.at_once)

    async def resolve(name: Name) -> tuple[str, ...]:
        try:
            return await found.addresses(name)
        except NotResolved as error:
            raise Unresolved(str(error)) from None

    validator = read_address(limits.validator, 53) if limits.validator else None

    async def signalled(origin: Name, servers: Sequence[Name]) -> Mapping[Name, Signal]:
        return {} if validator is None else await signals(origin, servers, validator, limits.timeout)

    return Scanner(
        resolve, lambda: int(clock()), private=limits.private, port=limits.port,
        signals=None if validator is None else signalled,
    )  # fmt: skip


class Visits:
    """The visits of one watcher; *clock* gives seconds since 1970, *open_secret* opens keys that transfers need."""

    def __init__(
        self, dsn: str, limits: DelegationLimits, clock: Callable[[], float], open_secret: OpenSecret | None = None
    ) -> None:
        self._open_secret = open_secret
        self._dsn = dsn
        self._limits = limits
        self._clock = clock
        resolver = Resolver(configured(limits.resolver), limits.timeout, limits.at_once)
        self._scanner = scanner(limits, clock, resolver)
        self._witness = Witness(limits, resolver)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._writing = asyncio.Lock()  # one transaction at a time on the one connection
        self._copying = asyncio.Lock()
        self._told: dict[tuple[int, str], tuple[str, str]] = {}
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Visit until cancelled, whatever becomes of the database."""
        await lasting(
            self._dsn,
            "ddns_server",
            self._use,
            lambda reason: log.warn("delegation.database_away reason={reason}", reason=reason),
            lambda _: log.failure("delegation.visits_failed"),
        )

    async def _use(self, conn: Connection, steady: Steady) -> None:
        steady()
        try:
            await self._run(conn)
        finally:
            await self._stop()

    async def _run(self, conn: Connection) -> None:
        ear = Ear(conn)
        await conn.execute(f"LISTEN {notify.WATCH}")
        while True:
            self._ended.clear()
            async with self._writing:
                wait = await self.begin(conn)
            # Nobody may use the connection while it is listened to.
            if self._under_way:
                await self._until_one_ended(wait)
            else:
                await ear.wait(wait)

    async def _until_one_ended(self, wait: float) -> None:
        try:
            async with asyncio.timeout(min(wait, 1.0)):
                await self._ended.wait()
        except TimeoutError:
            pass

    async def _stop(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._under_way.clear()

    async def begin(self, conn: Connection) -> float:
        """Begin the visits that are due, as many as there is room for; return for how many seconds none is."""
        now = int(self._clock())
        room = self._limits.at_once - len(self._under_way)
        if room > 0:
            # Those under way are due still: they are read too, and left out.
            for one in await delegations.due_looks(conn, now, self._limits.at_once):
                if one.zone not in self._under_way and len(self._under_way) < self._limits.at_once:
                    task = self._under_way[one.zone] = asyncio.ensure_future(self._visit(conn, one))
                    task.add_done_callback(partial(self._end, one.zone))
        following = await delegations.next_look(conn)
        rest = LONGEST_REST if following is None else min(max(0.0, following - self._clock()), LONGEST_REST)
        return max(rest, 0.2) if not self._under_way else max(rest, 1.0)

    def _end(self, zone: int, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(zone, None)
        self._ended.set()

    async def settled(self) -> None:
        """Wait until no visit is under way."""
        while self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    async def _visit(self, conn: Connection, home: Delegation) -> None:
        """Visit the servers of one home; that it fails must not end the others'."""
        try:
            await self._visited(conn, home)
        except Exception as error:  # noqa: BLE001 - an outage, whatever its name, or a bug: the home is due still
            if isinstance(error, OperationalError):
                log.warn("delegation.database_away reason={reason}", reason=" ".join(str(error).split()))
            else:
                log.failure("delegation.visit_failed zone={zone}", zone=names.to_text(home.origin))
            await asyncio.sleep(LONGEST_DELAY)

    async def _visited(self, conn: Connection, home: Delegation) -> None:
        if home.state is State.HOSTED and home.wish is Wish.HOST:
            async with self._writing, conn.transaction():
                await delegations.saw(conn, home.zone, None, home.their, None, int(self._clock()))
            return
        child = home.their
        said = await self._scanner.ask(home.origin, child)
        fault = await self._scanner.judge(home.origin, child, said)
        theirs = await self._believed(home, said, fault)
        scanned = None
        rests = home.state is State.AWAY and home.wish is Wish.AWAY and home.wanted is None
        # That its NS are not those that are delegated to is what CSYNC is for.
        if rests and theirs is not None and not theirs.silent:
            scanned = await self._scanner.scan(
                home.origin, home.registry, child, home.cds_stamp, home.csync_stamp, said
            )
        async with self._writing:
            await self._write(conn, home, said, theirs, scanned)
        if rests and theirs is not None and theirs.fault is None:
            await self._copy(conn, home, said, theirs)

    async def _copy(self, conn: Connection, home: Delegation, said: Sequence[ServerSaid], theirs: Theirs) -> None:
        """Take a copy of what their servers have, where there is to be one and the last is of another serial."""
        last = None if home.taken is None else home.taken.copy.serial
        if home.continuity is not Continuity.COPY or not home.their.ds or theirs.serial in (None, last):
            return
        name = copying.key_name(home.origin)
        keys: Sequence[Credential] = ()
        if name is not None and self._open_secret is not None:
            async with self._writing:
                keys = (await credentials.by_names(conn, [name], self._open_secret)).get(name, ())
        key = next((one for one in keys if one.kind == "tsig"), None)
        address = next(one.address for one in said if one.authoritative)
        limits, now = self._limits, int(self._clock())
        async with self._copying:  # reading a zone takes the interpreter's time, in whatever thread
            done = await asyncio.to_thread(
                copying.take, home.origin, home.their.ds, address, limits.port, key, limits.copy_octets, now
            )
        fault = done if isinstance(done, Fault) else None
        async with self._writing, conn.transaction():
            if not isinstance(done, Fault):
                await delegations.take_copy(conn, home.zone, *done, now)
            if self._is_news(home.zone, "copy", fault):
                await delegation_checks.append(conn, [_check(home, now, "copy", fault, ())])
        log.info(
            "delegation.copied zone={zone} problem={problem}",
            zone=names.to_text(home.origin), problem="none" if fault is None else fault.sentence,
        )  # fmt: skip

    async def _believed(self, home: Delegation, said: Sequence[ServerSaid], fault: Fault | None) -> Theirs | None:
        """Return what was seen of a home's servers; None where it says more of our own network."""
        theirs = Theirs.of(said, fault)
        if not theirs.silent:
            self._witness.heard(one.address for one in said if one.authoritative)
            return theirs
        if await self._witness.sees({one.address for one in said}):
            return theirs
        log.warn(
            "delegation.nobody_answers zone={zone}: neither its servers nor any other; is our own network up?",
            zone=names.to_text(home.origin),
        )
        return None

    async def _write(
        self,
        conn: Connection,
        home: Delegation,
        said: Sequence[ServerSaid],
        theirs: Theirs | None,
        scanned: Scanned | None,
    ) -> None:
        now = int(self._clock())
        checks = []
        verdict = None if theirs is None else theirs.fault
        if theirs is not None and self._is_news(home.zone, "look", verdict):
            checks.append(_check(home, now, "look", verdict, said))
        async with conn.transaction():
            await delegations.saw(conn, home.zone, theirs, home.their, now + self._rest(home, theirs), now)
            wish = None if scanned is None else scanned.wish
            if scanned is not None and scanned.way is not None and wish is not None:
                way = str(scanned.way)
                if isinstance(wish, Fault):
                    if self._is_news(home.zone, way, wish):
                        checks.append(_check(home, now, way, wish, scanned.checked or scanned.said))
                elif now < home.changed + self._limits.hold:
                    await delegations.look_soon(conn, [home.zone], int(home.changed + self._limits.hold) + 1)
                elif await self._accept(conn, home, scanned, wish, now):
                    checks.append(_check(home, now, way, None, scanned.checked or scanned.said))
            await delegation_checks.append(conn, checks)
        for one in checks:
            log.info(
                "delegation.checked zone={zone} by={by} rule={rule} sentence={sentence}",
                zone=names.to_text(home.origin), by=one.by, rule=one.rule or "none", sentence=one.sentence,
            )  # fmt: skip

    async def _accept(self, conn: Connection, home: Delegation, scanned: Scanned, wish: Asked, now: int) -> bool:
        by_cds = scanned.way == "cds"
        said = scanned.checked or scanned.said
        accepted = await delegations.accept(
            conn, home.zone, home.their, wish.child, Theirs.of(said, None), now,
            cds_stamp=wish.stamp if by_cds else None, csync_stamp=None if by_cds else wish.stamp,
        )  # fmt: skip
        if accepted:
            log.info("delegation.changed zone={zone} by={by}", zone=names.to_text(home.origin), by=str(scanned.way))
        return accepted

    def _is_news(self, zone: int, by: str, fault: Fault | None) -> bool:
        """Tell whether a verdict is another one than the last of its kind, and remember it."""
        verdict = ("", "") if fault is None else (fault.rule, fault.sentence)
        if self._told.get((zone, by)) == verdict:
            return False
        if len(self._told) >= MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[zone, by] = verdict
        return True

    def _rest(self, home: Delegation, theirs: Theirs | None) -> int:
        """Return the seconds until the next visit, which homes spread over time."""
        if home.state is not State.AWAY or home.wish is not Wish.AWAY or home.wanted is not None or theirs is None:
            return max(1, round(self._limits.look))
        every = self._limits.scan_every
        if theirs.fault is not None:
            every = min(every, max(self._limits.look, self._limits.dark_after / 4))
        spread = zlib.crc32(home.origin) % 100 / 1000  # up to a tenth sooner
        return max(1, round(every * (1 - spread)))


def _check(home: Delegation, now: int, by: str, fault: Fault | None, said: Sequence[ServerSaid]) -> Check:
    rule, sentence = (None, "") if fault is None else (fault.rule, fault.sentence)
    return Check(home.zone, now, by, rule, sentence, slim(said))
