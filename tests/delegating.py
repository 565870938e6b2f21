"""A world in which a home leaves for servers of its own and comes back, and the resolvers who may see any of it.

The judge knows nothing of states: it looks at which servers anybody can be led to, by what is delegated now or by what
a cache still remembers, takes all that these show into the caches, and puts together whatever lies there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keys as builders
from caches import Caches
from msgspec.structs import replace
from rolling import Lag, Server

from ddns.dns import ds as signer
from ddns.dns.names import from_text
from ddns.zone.child import Child, Fault
from ddns.zone.hand import (
    Bounds,
    Continuity,
    Copy,
    Hand,
    Ours,
    Serves,
    Shown,
    Sights,
    State,
    Theirs,
    Wish,
    published,
)
from ddns.zone.turn import numbered, turn
from zone_signer.phase import Role

START = builders.NOW
HOME = from_text("smith.homes.test.")
OURS, THEIRS = (from_text("ns1.registry.test."),), (from_text("ns.smith.example."),)
HOUR, DAY = 3600, 86400


def key(name: str, role: Role = Role.ZSK, algorithm: int = 13) -> bytes:
    return builders.rdata(name, algorithm, role)


class Resolvers(Caches):
    """All caches of the world: what is held, and until when."""

    def __init__(self) -> None:
        super().__init__()
        self._until: dict[tuple[str, object], int] = {}
        self._judged: dict[frozenset, list[str]] = {}

    def bogus(self, at: int) -> list[str]:
        """Return what is wrong, once for what is held together again and again."""
        self._until = {place: until for place, until in self._until.items() if until > at}
        together = frozenset(place for place in self._until if place[0] != "ns")
        if together not in self._judged:
            self._judged[together] = super().bogus(at)
        return self._judged[together]

    def note(self, kind: str, version: object, until: int) -> None:
        """Have some cache hold *version* until then."""
        place = kind, version
        self._until[place] = max(until, self._until.get(place, 0))

    def until(self, kind: str, version: object) -> int:
        return self._until.get((kind, version), 0)

    def held(self, kind: str, at: int) -> set:
        return {version for of, version in self._until if of == kind}


class World:
    """One home, the registry's servers, the hosted copy's, and the home's own.

    *ttls* are in seconds: of the DS, the delegation, the hosted copy's keys, NS and data, their keys, NS and data.
    *outages* are when theirs are away, as (begin, length) after the start, *half* when the second of them is; from an
    outage longer than *forgetful* they come back with another zone key. *obeys* is how long they take to do what they
    are told, None: for ever.
    """

    def __init__(
        self,
        *,
        ttls: Sequence[int] = (HOUR,) * 8,
        lags: Sequence[Lag] = (lambda _: 0,),
        outages: Sequence[tuple[int, int]] = (),
        half: Sequence[tuple[int, int]] = (),
        forgetful: int = 20 * DAY,
        obeys: int | None = HOUR,
        continuity: Continuity = Continuity.NONE,
        bounds: Bounds | None = None,
        secure: tuple[bool, bool] = (True, True),
        copies: int = 0,
        lasting: int = 14 * DAY,
        theirs_algorithm: int = 13,
        forgets_ours: bool = True,
    ) -> None:
        (
            self.ds_ttl, self.delegation_ttl, self.keys_ttl, self.ns_ttl, self.max_ttl,
            self.their_keys_ttl, self.their_ns_ttl, self.their_max_ttl,
        ) = ttls  # fmt: skip
        self.now = START
        self.bounds = bounds or Bounds()
        self.continuity, self.wish = continuity, Wish.HOST
        self.problems: list[str] = []
        self.states: list[tuple[int, State]] = []
        self.told: list[str] = []
        self.caches = Resolvers()
        self._outages, self._half, self._forgetful, self._obeys = sorted(outages), list(half), forgetful, obeys
        self._copies, self._lasting, self._forgets_ours = copies, lasting, forgets_ours
        self._ours_signed, self._theirs_signed = secure
        self._names = {key("o", Role.CSK): ("o", 13)}
        for name, role in (("t", Role.KSK), ("z1", Role.ZSK), ("z2", Role.ZSK)):
            self._names[key(name, role, theirs_algorithm)] = (name, theirs_algorithm)
        self._their = {rdata: named for rdata, named in self._names.items() if named[0] != "o"}
        self._o = key("o", Role.CSK)
        self._t, self._z1, self._z2 = self._their
        self.ours = Ours(
            HOME, OURS, (), (self._o,) if self._ours_signed else (),
            (signer.of(HOME, self._o),) if self._ours_signed else (),
            self.keys_ttl, self.ns_ttl, max(self.keys_ttl, self.ns_ttl, self.max_ttl), self.delegation_ttl, self.ds_ttl,
        )  # fmt: skip
        their_ds = (signer.of(HOME, self._t),) if self._theirs_signed else ()
        self.hand = numbered(Hand(since=START, their=Child(THEIRS, (), their_ds), ds=self.ours.ds), 1, 1)
        self._serial = self._home_serial = self._their_serial = 1
        self._registry = [Server(f"registry{number}", lag) for number, lag in enumerate(lags)]
        self._hosts = [Server(f"host{number}", lag) for number, lag in enumerate(reversed(lags))]
        self._theirs = [Server("theirs0", lambda _: 0), Server("theirs1", lags[-1])]
        self._zone = {"knows": False, "apex": THEIRS, "key": self._z1}
        self._copied: tuple[Copy, tuple] | None = None
        self._doing: set[str] = set()
        self._events: list[tuple[int, Callable[[], None]]] = []
        self._entered: dict[State, list[Callable[[], None]]] = {}
        self._copy_at = START
        for begin, length in self._outages:
            self._events += [(START + begin, lambda: None), (START + begin + length, lambda n=length: self._wake(n))]
        self._events += [(START + at, lambda: None) for begin, length in half for at in (begin, begin + length)]
        self._shown = published(self.hand, self.ours)
        for server in self._registry:
            server.take((1, self._shown), START - 1_000_000)
        for server in self._hosts:
            server.take((1, self._shown, None), START - 1_000_000)
        self._their_edition(START - 1_000_000)

    # What happens

    def at(self, when: int, event: Callable[[], None]) -> None:
        self._events.append((START + when, event))

    def entering(self, state: State, event: Callable[[], None]) -> None:
        """Have *event* happen as soon as the home is in *state*, once."""
        self._entered.setdefault(state, []).append(event)

    def pull(self, length: int) -> None:
        """Have their servers gone for *length* seconds from now on."""
        begin = self.now - START
        self._outages.append((begin, length))
        self._events += [(self.now + length, lambda: self._wake(length))]

    def wishes(self, wish: Wish) -> None:
        self.wish = wish

    def run(self, seconds: int) -> None:
        """Let *seconds* pass, from one moment in which something changes to the next."""
        end = self.now + seconds
        while self.now < end:
            wake = self._turns()
            coming = [end, *([wake] if wake is not None else []), *(at for at, _ in self._events)]
            servers = (*self._registry, *self._hosts, *self._theirs)
            coming += [at for server in servers for at, _ in server._taken[-4:]]
            upto = min(at for at in coming if at > self.now)
            self._pass(upto)
            self.now = upto
            due = [event for at, event in self._events if at <= self.now]
            self._events = [one for one in self._events if one[0] > self.now]
            for event in due:
                event()

    def _turns(self) -> int | None:
        for _ in range(20):
            after = turn(
                self.hand, self.ours, self._look(), self._sights(), self.wish, self.continuity, self.bounds, self.now
            )
            if after.tell and after.tell not in self.told:
                self.told.append(after.tell)
            moved = after.hand.state is not self.hand.state
            stepped = after.wake == self.now
            self.hand = after.hand
            if moved:
                self.states.append((self.now - START, self.hand.state))
                for event in self._entered.pop(self.hand.state, ()):
                    self._events.append((self.now + 1, event))
            if stepped or after.shown != self._shown:
                self._publish(after.shown)
            if not stepped:
                break
        else:
            raise AssertionError(f"twenty turns at one time: {self.states[-20:]}")
        self._obey()
        self._copy()
        return after.wake

    def _publish(self, shown: Shown) -> None:
        self._shown = shown
        self._serial += 1
        self._home_serial += 1
        for server in self._registry:
            server.take((self._serial, shown), self.now)
        for server in self._hosts:
            server.take((self._home_serial, shown, self._copied), self.now)
        self.hand = numbered(self.hand, self._serial, self._home_serial)

    # Their side

    def alive(self) -> bool:
        return not any(START + begin <= self.now < START + begin + length for begin, length in self._outages)

    def _answering(self) -> list[Server]:
        """Return those of their servers that answer."""
        if not self.alive():
            return []
        half = any(START + begin <= self.now < START + begin + length for begin, length in self._half)
        return self._theirs[:1] if half else self._theirs

    def _wake(self, length: int) -> None:
        if length >= self._forgetful:
            self._zone["key"] = self._z2
            self._their_edition(self.now, at_once=True)  # on both servers: what they had has left all caches

    def _their_edition(self, at: int, *, at_once: bool = False) -> None:
        self._their_serial += 1
        keys = {self._t, self._zone["key"]} if self._theirs_signed else set()
        if self._zone["knows"]:
            keys.add(self._o)
        edition = (
            self._their_serial, frozenset(keys), frozenset([self._t] if self._theirs_signed else []),
            frozenset([self._zone["key"]] if self._theirs_signed else []), self._zone["apex"],
        )  # fmt: skip
        for server in self._theirs:
            if at_once:
                server._taken.append((at, edition))
            else:
                server.take(edition, at)

    def _obey(self) -> None:
        """Have their side do, some time later, what it is told or would do by itself."""
        if self._obeys is None:
            return
        state, multi = self.hand.state, self._ours_signed and self._theirs_signed
        wanted = dict(self._zone)
        standby = self.continuity is Continuity.STANDBY
        away = state is State.AWAY and self.wish is Wish.AWAY
        if multi and (state.startswith(("leaving", "returning")) or (away and standby)):
            wanted["knows"] = True
        elif state is State.HOSTED or (away and not standby):
            wanted["knows"] = wanted["knows"] and not self._forgets_ours
        if state is State.RETURNING_SERVERS and self.wish is Wish.HOST:
            wanted["apex"] = OURS
        elif self.wish is Wish.AWAY:
            wanted["apex"] = THEIRS
        for what, value in wanted.items():
            if value != self._zone[what] and what not in self._doing:
                self._doing.add(what)
                self._events.append(
                    (self.now + self._obeys, lambda what=what, value=value: self._do(what, value, state))
                )

    def _do(self, what: str, value: object, told_in: State) -> None:
        self._doing.discard(what)
        if not self.alive() or (value is False and self.hand.state is not told_in):
            return  # who was told that our keys are needed no more looks again before dropping them
        self._zone[what] = value
        self._their_edition(self.now)

    def _copy(self) -> None:
        """Take a copy of theirs, now and then."""
        if self._copies and self.alive() and self.hand.state is State.AWAY and self.now >= self._copy_at:
            serial, keys, signers, data, _ = self._theirs[0].shows(self.now)
            self._copy_at = self.now + self._copies
            self._copied = Copy(serial, keys, self.now + self._lasting), (keys, signers, data)
            self.hand = replace(self.hand, copy=self._copied[0])

    # What is seen

    def _look(self) -> Theirs:
        heard = [server.shows(self.now) for server in self._answering()]
        lame = None if len(heard) == len(self._theirs) else Fault("lame", "One does not answer.")
        if not heard:
            return Theirs(self.now, lame, frozenset(), frozenset(), 0, None, whole=False, silent=True)
        shown = {edition[1] for edition in heard}
        servers = frozenset(name for edition in heard for name in edition[4])
        differs = len(shown) > 1 or servers != set(THEIRS)
        return Theirs(
            self.now, lame or (Fault("differs", "They differ.") if differs else None),
            shown.pop() if len(shown) == 1 else frozenset(), servers,
            max(self.their_keys_ttl, self.their_ns_ttl, self.their_max_ttl), max(edition[0] for edition in heard),
            whole=lame is None, silent=False,
        )  # fmt: skip

    def _sights(self) -> Sights:
        hand = self.hand
        registry = all(server.shows(self.now)[0] >= (hand.serial or 0) for server in self._registry)
        home = all(server.shows(self.now)[0] >= (hand.home_serial or 0) for server in self._hosts)
        return Sights(self.now if registry else None, self.now if home else None, () if registry and home else ("one",))

    # What caches get

    def _pass(self, upto: int) -> None:
        """Have all caches take what they can from now until *upto*, and judge what they hold."""
        note = self.caches.note
        for server in self._registry:
            _, shown = server.shows(self.now)
            note("ds", frozenset(self._named_ds(shown.ds)), upto + self.ds_ttl)
            note("ns", shown.servers, upto + self.delegation_ttl)
        for server in self._hosts:
            _, shown, copied = server.shows(self.now)
            if shown.serves is Serves.OWN:  # also where the delegation is theirs: the registry's servers are these
                mine = {self._o} if self._ours_signed else set()
                self._take(mine | set(shown.foreign), mine, mine, upto, self.keys_ttl, self.max_ttl)
                note("ns", shown.apex, upto + self.ns_ttl)
            elif shown.serves is Serves.COPY:
                copy, (keys, signers, data) = copied
                self._take(keys, signers, data, upto, self.their_keys_ttl, self.their_max_ttl)
                if self._theirs_signed and upto > copy.expires:
                    self.problems.append(f"{self.now - START}: a copy is served after its signatures ended")
        # Until when somebody is led to their servers:
        leads = min(upto, self.caches.until("ns", THEIRS))
        editions = [server.shows(self.now) for server in self._answering()]
        if editions and leads > self.now:
            if any(edition[4] == THEIRS for edition in editions):
                leads = upto  # whoever asks them is told to go on asking them
                note("ns", THEIRS, upto + self.their_ns_ttl)
            for _, keys, signers, data, _ in editions:
                self._take(keys, signers, data, leads, self.their_keys_ttl, self.their_max_ttl)
        self.problems += [f"{self.now - START} {self.hand.state}: {one}" for one in self.caches.bogus(self.now)]

    def _take(self, keys, signers, data, until: int, keys_ttl: int, data_ttl: int) -> None:
        named = tuple(frozenset(self._names[one] for one in some) for some in (keys, signers, data))
        self.caches.note("dnskey", named[:2], until + keys_ttl)
        self.caches.note("data", named[2], until + data_ttl)

    def _named_ds(self, records) -> list[tuple[str, int]]:
        return [self._names[one] for one in (self._o, self._t) if signer.of(HOME, one) in records]
