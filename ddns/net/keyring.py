"""The keys that this worker knows by name: a bounded cache before the database's table of credentials.

Names that nobody has are remembered too, apart from the others, so that a flood of unknown keys costs one
look-up a name, gathered into few statements, and pushes no key out. A revocation is heard at once; and the
commit asks again. What nobody told of, because somebody changed the tables by hand, is noticed after `KEPT_FOR`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from twisted.logger import Logger

from ddns.auth import keys
from ddns.auth.principal import Credential
from ddns.auth.sealing import Sealer
from ddns.dns.names import Name
from ddns.store import credentials
from ddns.store.credentials import Stamped
from ddns.store.line import Line

log = Logger(namespace="ddns.keys")

AT_ONCE = 200  # names looked up in one statement
UNKNOWN = 16_384  # names remembered as nobody's; about 200 octets each
KEPT_FOR = 600.0  # seconds; a key with thousands of grants is not read again more often than that
AHEAD_AT_ONCE = 50  # keys of gateways read ahead in one go: about a millisecond of this worker
AHEAD_PAUSE = 0.004  # seconds until the next ones: 20,000 take two seconds, a fifth of which is work

Found = Callable[[tuple[Credential, ...] | None], None]


class Keyring:
    """Credentials by name; *most* bounds how many names are kept, *waiting* how many may be asked for at once.

    They are read over *line*, which is for that alone: it is under way while another one commits.
    """

    def __init__(self, line: Line, sealer: Sealer, most: int, waiting: int) -> None:
        self._line = line
        self._sealer = sealer
        self._most = most
        self._most_waiting = waiting
        self._kept: OrderedDict[Name, tuple[Credential, ...]] = OrderedDict()
        self._stamped: dict[int, Stamped] = {}
        self._unknown: OrderedDict[Name, None] = OrderedDict()
        self._asked: dict[Name, list[Found]] = {}
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None
        self._generation = 0
        self._forgotten = 0  # times that it was everything because somebody said so
        self._compared = 0  # times that it was everything because it may have been old
        self._emptied: float | None = None

    def find(self, name: Name, found: Found, *, proved: bool = True) -> bool:
        """Call *found* with the live credentials called *name*, now or soon; None: the database is away.

        Returns False, and calls nobody, where too many look-ups wait already. Who has not *proved* its address
        gets at most half of the places, so that floods leave some to the others.
        """
        kept = self._kept.get(name)
        if kept is None and name in self._unknown:
            kept = ()
        if kept is not None:
            found(kept)
            return True
        if self._waiting >= self._most_waiting or not (proved or self.has_room()):
            return False
        self._waiting += 1
        self._asked.setdefault(name, []).append(found)
        if self._task is None:
            self._task = asyncio.ensure_future(self._look_up())
        return True

    def has_room(self) -> bool:
        """Tell whether `find` would look a name up for who has not proved its address."""
        return self._waiting < (self._most_waiting + 1) // 2

    def knows(self, name: Name) -> bool:
        """Tell whether `find` would answer at once."""
        return name in self._kept or name in self._unknown

    def forget(self, name: Name | None) -> None:
        """Drop what is known of *name*, or everything."""
        if name is None:
            self._forgotten += 1
            self._forget_all()
        else:
            self._generation += 1
            self._drop(self._kept.pop(name, ()))
            self._unknown.pop(name, None)

    def compare(self, now: float, *, missed: bool) -> bool:
        """Drop everything that may be old *now* (seconds of any clock), what was read so long ago; tell whether it did.

        *missed*: changes may not have been told of meanwhile, so everything may be.
        """
        if self._emptied is None:
            self._emptied = now
        if not missed and 0 <= now - self._emptied < KEPT_FOR:
            return False
        self._emptied = now
        self._compared += 1
        self._forget_all()
        return True

    async def read_ahead(self, most: int) -> None:
        """Read the keys of gateways before anybody asks, the newest first, until *most* names are kept.

        A gateway that comes back after a power cut is then known at once, and its key ready to verify with, as long as
        there is room for it in memory. Whoever asks meanwhile goes first. It ends where everything is forgotten, as
        with each batch of an import: what was read would have been read for nobody. `compare` has it begin again: the
        first time that is while the server starts.
        """
        most = min(most, self._most)
        unprepared = keys.PUBLIC_KEYS_KEPT
        before: int | None = None
        forgotten, compared = self._forgotten, self._compared
        while len(self._kept) < most and forgotten == self._forgotten:
            await asyncio.sleep(AHEAD_PAUSE)
            if self._task is not None:
                continue
            if compared != self._compared:
                before, compared = None, self._compared
            generation = self._generation
            try:
                page = await credentials.ask_page(self._line, before, AHEAD_AT_ONCE)
                wanted = [name for _, name in page if name not in self._kept]
                rows = await credentials.ask_stamped(self._line, wanted, self._sealer.open) if wanted else {}
            except Exception as error:  # noqa: BLE001 - an outage, whatever its name: they are read when they are needed
                log.warn("keys.read_ahead failed reason={reason}", reason=str(error).strip())
                return
            if generation != self._generation:
                continue
            if not page:
                return
            before = page[-1][0]
            for name, read in rows.items():
                if name in self._kept:
                    continue
                self._remember(name, read)
                for one in read:
                    if unprepared and one.credential.public:
                        unprepared -= 1
                        keys.prepare(one.credential.public)

    def stamped(self, credential: int) -> Stamped | None:
        """Return the credential with this id as it was last read; None where it is not known any more."""
        return self._stamped.get(credential)

    def _forget_all(self) -> None:
        self._generation += 1
        self._kept.clear()
        self._stamped.clear()
        self._unknown.clear()

    async def _look_up(self) -> None:
        try:
            while self._asked:
                asked = dict(list(self._asked.items())[:AT_ONCE])
                for name in asked:
                    del self._asked[name]
                generation = self._generation
                rows: dict[Name, tuple[Stamped, ...]] | None = None
                try:
                    rows = await credentials.ask_stamped(self._line, list(asked), self._sealer.open)
                except Exception:  # noqa: BLE001 - an outage, whatever its name: those who wait hear it
                    log.failure("keys.look_up failed")
                for name, waiters in asked.items():
                    read = () if rows is None else rows.get(name, ())
                    known = None if rows is None else tuple(one.credential for one in read)
                    if known is not None and generation == self._generation:
                        self._remember(name, read)
                    for waiter in waiters:
                        self._waiting -= 1
                        waiter(known)
        finally:
            self._task = None

    def _remember(self, name: Name, read: tuple[Stamped, ...]) -> None:
        self._keep(name, tuple(one.credential for one in read))
        self._stamped.update((one.credential.id, one) for one in read)

    def _keep(self, name: Name, known: tuple[Credential, ...]) -> None:
        # The oldest goes: a key in use is back after one look-up.
        if known:
            if len(self._kept) >= self._most:
                self._drop(self._kept.popitem(last=False)[1])
            self._kept[name] = known
        else:
            if len(self._unknown) >= UNKNOWN:
                self._unknown.popitem(last=False)
            self._unknown[name] = None

    def _drop(self, credentials: tuple[Credential, ...]) -> None:
        for one in credentials:
            self._stamped.pop(one.id, None)
