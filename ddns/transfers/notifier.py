"""NOTIFY out of one process of all (RFC 1996): whoever holds the database's lock sends, and another takes over.

What each secondary was told last is stored, and compared with each zone's serial: a zone that changes is due at once,
and all zones are compared when the sending begins, when the targets change, and every ten minutes. At most one NOTIFY
of a zone to a target is under way; what changes meanwhile is told after its answer. What was answered is told once
more: the secondary may have asked a worker that had not shown the change yet, and would wait for the SOA's refresh.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.auth import tsig
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.names import Name
from ddns.net.keyring import Keyring
from ddns.ongoing import Ongoing
from ddns.store import followers, notify, transfers
from ddns.store.ear import Ear
from ddns.store.lasting import Steady, lasting
from ddns.store.pool import Connection, Pool
from ddns.store.transfers import Notice
from ddns.transfers import notice
from ddns.transfers.limits import TransferLimits

log = Logger(namespace="ddns.notify")

DELAY = 0.1  # seconds from a change to its NOTIFY: what follows in them is told with it
AGAIN = 3.0  # seconds from an answer to the NOTIFY that says the same once more, where nothing has changed meanwhile
PAUSE = 0.05  # seconds between two looks at what is due, at least
AT_ONCE = 200  # zones looked at together
MOST_DUE = 10_000  # zones that wait to be looked at; the others are found by comparing all
MOST_UNDER_WAY = 5_000  # NOTIFYs that wait for their answers
SILENT = 50  # NOTIFYs without an answer, one after another, after which a secondary counts as away
PROBES = 5  # NOTIFYs under way to one that is away: it is not to keep others from being told
LONGEST_WAIT = 60.0  # seconds for one answer (RFC 1996 §3.6)
COMPARE = 600.0  # seconds between two comparisons of all zones
FOLLOW = 2.0  # seconds between two attempts to become the sender

Changed = Callable[[AsyncConnection[Any]], Awaitable[None]]
_Pair = tuple[int, int]  # zone and target
_Place = tuple[str, int, int]  # address, port and message id


class _Flight:
    """A NOTIFY that waits for its answer until *until*."""

    __slots__ = ("credential", "is_again", "mac", "origin", "place", "serial", "tries", "until")

    def __init__(self, *, is_again: bool) -> None:
        self.is_again = is_again  # it says what was said before
        self.tries = 0
        self.until = 0.0
        self.serial = 0
        self.origin: Name = names.ROOT
        self.place: _Place = ("", 0, 0)
        self.mac = b""
        self.credential: Credential | None = None


class _Socket(asyncio.DatagramProtocol):
    """What hands on answers, with the address and port that they came from."""

    def __init__(self, answered: Callable[[bytes, str, int], None]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Hand on one datagram."""
        self._answered(data, addr[0], addr[1])

    def error_received(self, exc: Exception) -> None:
        """Hear that a port is closed: no answer is what it comes to."""


class Notifier:
    """The watch of one worker: *changed* is called, given a connection, when rights or targets have changed."""

    def __init__(
        self,
        *,
        dsn: str,
        keyring: Keyring,
        changed: Changed,
        limits: TransferLimits,
        clock: Callable[[], float],
    ) -> None:
        self._dsn = dsn
        self._keyring = keyring
        self._changed = changed
        self._limits = limits
        self._clock = clock
        self._pool = Pool(dsn, "ddns_server", 1)
        self._follower = secrets.randbits(63)
        self._ongoing = Ongoing()
        self._wake = asyncio.Event()
        self._forget()

    def _forget(self) -> None:
        self._due: dict[int, float] = {}
        self._anew: set[int] = set()  # zones whose unanswered NOTIFYs are tried again
        self._under_way: dict[_Pair, _Flight] = {}
        self._by_place: dict[_Place, _Pair] = {}
        self._silent: Counter[tuple[str, int]] = Counter()  # by address and port: unanswered since the last answer
        self._to: Counter[tuple[str, int]] = Counter()  # and under way
        self._ended: dict[_Pair, tuple[int, int | None, int]] = {}
        self._again: dict[_Pair, tuple[int, float]] = {}  # the serial that is told once more, and when, the first first
        self._compared: int | None = 0  # comparing all zones: the last id seen; None: done
        self._compare_at = 0.0
        self._sockets: dict[int, asyncio.DatagramTransport] = {}

    def start(self) -> None:
        """Begin to watch, in a task of the running loop."""
        use = lasting(
            self._dsn,
            "ddns_server",
            self._use,
            lambda reason: log.warn("notify.database_away reason={reason}", reason=reason),
            lambda _: log.failure("notify.failed"),
        )
        self._ongoing.start(use)

    async def close(self) -> None:
        """Send no more."""
        await self._ongoing.end()
        await self._pool.close()

    # -- the connection: notifications, and the lock while it lives

    async def _use(self, conn: Connection, steady: Steady) -> None:
        await conn.execute(f"LISTEN {transfers.CHANNEL}")
        await self._changed(conn)
        steady()
        await self._watch(conn)

    async def _watch(self, conn: Connection) -> None:
        """Follow until this process is the one that sends; then send until the connection breaks."""
        ear = Ear(conn)
        while not await transfers.take_sending(conn):
            if await ear.wait(FOLLOW):
                await self._changed(conn)
        log.info("notify.sending")
        self._forget()
        await self._follow(conn)
        self._compare()
        await self._pool.open()
        sending = asyncio.ensure_future(self._send_due())
        try:
            while not sending.done():
                changed = False
                for one in await ear.wait(FOLLOW):
                    if one.channel == notify.ZONES:
                        self._heard(notify.read_zones(one.payload))
                    else:
                        changed = True
                if changed:
                    await self._changed(conn)
                    await self._follow(conn)
                    self._compare()
                await conn.execute("SELECT 1")  # a connection that is silently broken, and its lock, show here
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            for sock in self._sockets.values():
                sock.close()
            await self._pool.close()

    async def _follow(self, conn: Connection) -> None:
        """Listen for editions where anybody is to be told of them: who listens costs every commit a notification."""
        if await transfers.has_targets(conn):
            await conn.execute(f"LISTEN {notify.ZONES}")
            await followers.enter(conn, self._follower)
        else:
            await conn.execute(f"UNLISTEN {notify.ZONES}")
            await followers.leave(conn)

    def _compare(self) -> None:
        self._compared = 0
        self._compare_at = asyncio.get_running_loop().time() + COMPARE
        self._wake.set()

    def _heard(self, tokens: list[tuple[int, int | None]]) -> None:
        at = asyncio.get_running_loop().time() + DELAY
        for zone, edition in tokens:
            if edition is None:
                continue
            if zone not in self._due and len(self._due) >= MOST_DUE:
                self._compare_at = at  # it is found by comparing
                continue
            self._due[zone] = min(at, self._due.get(zone, at))
        self._wake.set()

    # -- the sending

    async def _send_due(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            if now >= self._compare_at and self._compared is None:
                self._compare()
            async with self._pool.connection() as conn:
                await self._note(conn)
                if self._compared is not None and len(self._due) < AT_ONCE:
                    await self._compare_some(conn, self._compared, now)
                for (zone, _), (_, at) in itertools.islice(self._again.items(), AT_ONCE):
                    if at <= now:
                        self._due[zone] = min(now, self._due.get(zone, now))
                ready = [zone for zone, at in self._due.items() if at <= now][:AT_ONCE]
                for zone in ready:
                    del self._due[zone]
                rows = await transfers.notices(conn, ready) if ready else []
            for row in rows:
                await self._consider(row, now)
            if ready:
                self._drop_gone(set(ready), {(row.zone, row.target) for row in rows})
            self._anew.difference_update(ready)
            self._wake.clear()
            if self._ended or self._compared is not None:
                wait = PAUSE
            else:
                again = [at for _, at in itertools.islice(self._again.values(), 1)]
                wait = min([*self._due.values(), *again, self._compare_at]) - clock()
            try:
                async with asyncio.timeout(max(wait, 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(PAUSE)

    def _drop_gone(self, looked_at: set[int], there: set[_Pair]) -> None:
        """Forget what is under way to targets, or of zones, that have been removed."""
        for pair in [pair for pair in self._under_way if pair[0] in looked_at and pair not in there]:
            self._land(pair)
        for pair in [pair for pair in self._again if pair[0] in looked_at and pair not in there]:
            del self._again[pair]

    async def _compare_some(self, conn: Connection, after: int, now: float) -> None:
        """Have the next zones looked at of which somebody has not been told."""
        found = await transfers.untold(conn, after, AT_ONCE)
        for zone in found:
            self._due.setdefault(zone, now)
            self._anew.add(zone)
        self._compared = found[-1] if len(found) == AT_ONCE else None

    async def _note(self, conn: Connection) -> None:
        """Store how NOTIFYs ended; what has changed meanwhile is looked at again."""
        ended, self._ended = self._ended, {}
        if not ended:
            return
        await transfers.note_notified(
            conn, [(target, zone, serial, rcode, tries) for (zone, target), (serial, rcode, tries) in ended.items()]
        )
        now = asyncio.get_running_loop().time()
        for zone, _ in ended:
            self._due[zone] = now

    async def _consider(self, row: Notice, now: float) -> None:
        """Send *row*'s NOTIFY, or send it again, or give it up, or leave it until its time comes."""
        pair = row.zone, row.target
        flight = self._under_way.get(pair)
        if flight is None:
            if pair in self._ended:
                return
            is_told = row.told == row.serial
            serial, at = self._again.get(pair, (None, 0.0))
            if serial == row.serial and is_told and now < at:
                return
            self._again.pop(pair, None)
            is_again = serial == row.serial and is_told
            if is_told and not is_again and (row.answered or row.zone not in self._anew):
                return
            if len(self._under_way) >= MOST_UNDER_WAY:
                self._due[row.zone] = now + self._limits.wait
                return
            where = row.address, row.port
            if self._silent[where] >= SILENT and self._to[where] >= PROBES:
                return  # it is found by comparing, when the secondary is back
            flight = self._under_way[pair] = _Flight(is_again=is_again)
            self._to[where] += 1
        elif now < flight.until:
            self._due[row.zone] = min(flight.until, self._due.get(row.zone, flight.until))
            return
        self._silent[row.address, row.port] += flight.tries > 0
        if flight.tries >= self._limits.tries:
            self._end(pair, flight, None)
            log.warn(
                "notify.unanswered zone={zone} to={to} serial={serial} tries={tries}",
                zone=names.to_text(row.origin),
                to=f"{row.address}#{row.port}",
                serial=flight.serial,
                tries=flight.tries,
            )
            return
        await self._send(row, pair, flight)
        flight.until = now + min(self._limits.wait * 2**flight.tries, LONGEST_WAIT)
        flight.tries += 1
        self._due[row.zone] = min(flight.until, self._due.get(row.zone, flight.until))

    async def _send(self, row: Notice, pair: _Pair, flight: _Flight) -> None:
        """Send one message; a retransmission has a new id, and tells the newest serial."""
        self._by_place.pop(flight.place, None)
        flight.serial = row.serial
        flight.origin = row.origin
        flight.place = row.address, row.port, secrets.randbits(16)
        self._by_place[flight.place] = pair
        octets = notice.message(flight.place[2], row.origin, row.ttl, row.soa)
        flight.credential = None
        if row.key is not None:
            flight.credential = await self._credential(row.key)
            if flight.credential is None:
                log.warn("notify.no_key key={key}", key=names.to_text(row.key))
                return
            octets, flight.mac = tsig.sign_request(octets, flight.credential, int(self._clock()))
        try:
            sock = await self._socket(row.address)
            sock.sendto(octets, (row.address, row.port))
        except OSError as error:
            log.warn("notify.cannot_send to={to} reason={reason}", to=row.address, reason=error)

    async def _credential(self, name: Name) -> Credential | None:
        """Return the live shared secret called *name*, or None."""
        found: asyncio.Future[tuple[Credential, ...] | None] = asyncio.get_running_loop().create_future()

        def known(credentials: tuple[Credential, ...] | None) -> None:
            if not found.done():
                found.set_result(credentials)

        if not self._keyring.find(name, known):
            return None
        return next((one for one in await found or () if one.kind == "tsig"), None)

    async def _socket(self, address: str) -> asyncio.DatagramTransport:
        """Return the socket for addresses like *address*, bound as the settings say."""
        version = 6 if ":" in address else 4
        known = self._sockets.get(version)
        if known is not None:
            return known
        given = [one for one in self._limits.notify_from if (":" in one) == (version == 6)]
        local = given[0] if given else "::" if version == 6 else "0.0.0.0"  # noqa: S104 - it only sends
        made, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self._answered), local_addr=(local, 0)
        )
        self._sockets[version] = made
        return made

    def _answered(self, octets: bytes, address: str, port: int) -> None:
        """Take an answer that comes from whom we asked and has id and zone of what we sent (RFC 1996 §3.6)."""
        read = notice.answered(octets)
        pair = None if read is None else self._by_place.get((address, port, read[0]))
        if read is None or pair is None:
            return
        flight = self._under_way[pair]
        if read[2] not in (None, flight.origin):
            return
        if flight.credential is not None:
            refusal = tsig.verify_reply(octets, flight.mac, flight.credential, int(self._clock()))
            if refusal is not None:
                log.warn("notify.bad_answer from={source} reason={reason}", source=address, reason=refusal.text)
                return
        self._end(pair, flight, read[1])
        if self._silent.pop((address, port), 0) >= SILENT:
            self._compare()

    def _land(self, pair: _Pair) -> _Flight:
        """Forget that a NOTIFY is under way."""
        flight = self._under_way.pop(pair)
        self._by_place.pop(flight.place, None)
        where = flight.place[:2]
        self._to[where] -= 1
        if not self._to[where]:
            del self._to[where]
        return flight

    def _end(self, pair: _Pair, flight: _Flight, rcode: int | None) -> None:
        self._ended[pair] = flight.serial, rcode, flight.tries
        if rcode == 0 and not flight.is_again and len(self._again) < MOST_DUE:
            self._again[pair] = flight.serial, asyncio.get_running_loop().time() + AGAIN
        self._land(pair)
        self._wake.set()
