"""A world in which keys roll: servers that lag, a parent that acts late or never, caches that are judged throughout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import keys as builders
from caches import Caches
from msgspec.structs import replace

from zone_signer import keys as public
from zone_signer.goal import Order, goal_of
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyset import DELETE_CDS, KeySet
from zone_signer.keyview import KeyView
from zone_signer.phase import STRAY, Role
from zone_signer.rolls import advanced, newborn, step
from zone_signer.seen import Sighting
from zone_signer.stage import Facts, Step

START = builders.NOW
Lag = Callable[[int], int]  # how long after its publication at that time a server shows an edition


class Server:
    """A server that takes what is published some time later, and never goes back."""

    def __init__(self, name: str, lag: Lag) -> None:
        self.name = name
        self._lag = lag
        self._taken: list[tuple[int, object]] = []

    def take(self, what: object, at: int) -> int:
        """Take *what*, published at *at*; return when it is shown."""
        shown = self.would_take(at)
        self._taken.append((shown, what))
        return shown

    def since(self, now: int) -> int:
        """Return since when it shows what it shows."""
        return max((at for at, _ in self._taken if at <= now), default=now)

    def would_take(self, at: int) -> int:
        """Return when something published at *at* would be shown."""
        return max(at + self._lag(at), self._taken[-1][0] if self._taken else 0)

    def shows(self, now: int):
        return [what for at, what in self._taken if at <= now][-1]


class World:
    """One zone, its secondaries, its parent and all caches.

    *here*: the parent is our registry. *adopts* is how long a parent elsewhere takes to read CDS (None: never), and
    *pipeline* how long then to publish what they said. *every* is how often the watcher looks, *slicing* how long it
    takes to sign the zone anew. *exact*: the watcher is told the second in which a server changes.
    """

    def __init__(
        self,
        policy: KeyPolicy,
        *,
        algorithm: int = 13,
        lags: Sequence[Lag] = (),
        parent_lags: Sequence[Lag] = (lambda _: 0,),
        here: bool = False,
        parent_signed: bool = True,
        adopts: int | None = 3600,
        pipeline: int = 0,
        every: int = 60,
        slicing: int = 0,
        max_ttl: int = 3600,
        signed: bool = True,
        exact: bool = False,
    ) -> None:
        self.policy = policy
        self.algorithm = algorithm
        self.now = START
        self.wish = "secure" if signed else "insecure"
        self.keys: tuple[KeyView, ...] = ()
        self.orders: list[Order] = []
        self.steps: list[tuple[int, Step]] = []
        self.problems: list[str] = []
        self.refused: list[str] = []
        self.caches = Caches()
        self.denial = "nsec3" if signed else "none"
        self._here, self._adopts, self._every, self._slicing = here, adopts, every, slicing
        self._pipeline = pipeline
        self._lags = [Server(f"ns{number}.", lag) for number, lag in enumerate(lags)]
        self._parents = [Server(f"parent{number}.", lag) for number, lag in enumerate(parent_lags)]
        self._looked: dict[str, Sighting] = {}
        self._whole_at: int | None = None
        self._exact, self._changed = exact, START
        self._made = 0
        self._events: list[tuple[int, Callable[[], None]]] = []
        self.facts = Facts(
            zone=builders.ZONE, origin=builders.ORIGIN, parent=builders.REGISTRY if here else 0,
            dnskey_ttl=policy.signatures.dnskey_ttl, negative_ttl=300, max_ttl=max_ttl, whole=(START, 1), serial=1,
            keyset=0, fresh=signed, parent_signed=parent_signed, parent_serial=1,
            ds_ttl=policy.ds_ttl if here else None,
        )  # fmt: skip
        self._set = KeySet.of(builders.ORIGIN, 0, (), policy, parent_here=here, insecure=False)
        self._parent_ds: frozenset = frozenset()
        self._open(signed=signed)

    def _open(self, *, signed: bool) -> None:
        for name in [] if signed else ["", *(server.name for server in self._lags)]:
            nothing = frozenset(), frozenset()
            self.caches.publish("dnskey", nothing, START - 1, self.policy.signatures.dnskey_ttl, server=name)
            self.caches.publish("data", frozenset(), START - 1, self.facts.max_ttl, server=name)
        for server in self._lags:
            server.take(1, START - 1_000_000)
        self._turn()
        if signed:
            self._publish(self.facts.serial)
        ds = frozenset(self._named(self._set.ds)) if not self._here or self.facts.parent_signed else frozenset()
        self._parent_ds = ds
        for server in self._parents:
            self.caches.publish("ds", ds, START - 1, self.policy.ds_ttl, server=server.name)
            server.take((1, ds), START - 1_000_000)
        self.facts = replace(self.facts, fresh=False)

    # What happens

    def at(self, when: int, event: Callable[[], None]) -> None:
        """Have *event* happen *when* seconds after the start."""
        self._events.append((START + when, event))

    def ask(self, kind: str, **more) -> None:
        """Give an order now."""
        number = len(self.refused) + len(self.orders) + 1 + sum(len(one.done_orders) for _, one in self.steps)
        at = more.get("at", self.now)
        self.orders.append(Order(number, kind, more.get("role"), more.get("tag"), at, server=more.get("server")))

    def run(self, seconds: int) -> None:
        """Let *seconds* pass, from one moment in which something happens to the next."""
        end = self.now + seconds
        for _ in range(50_000):
            wake = self._turn()
            self.problems += [f"{self.now - START}: {one}" for one in self.caches.bogus(self.now)]
            times = [at for at, _ in self._events] + [self.now + 86400] + ([] if wake is None else [wake])
            if self._whole_at is not None:
                times.append(self._whole_at)
            coming = max(min(times), self.now + 1)
            if coming > end:
                self.now = end
                return
            self.now = coming
            due = [one for one in self._events if one[0] <= self.now]
            self._events = [one for one in self._events if one[0] > self.now]
            for _, event in due:
                event()
            if self._whole_at is not None and self._whole_at <= self.now:
                self._whole_at = None
                self._edition()
                self.facts = replace(self.facts, whole=(self.now, self.facts.serial))
        raise AssertionError("the machine does not come to rest")

    def _turn(self) -> int | None:
        for _ in range(40):
            self._look()
            goal = goal_of(self.algorithm, self.wish, self.policy)
            taken = step(self.facts, self.keys, goal, self.orders, self.policy, self.now)
            if not taken.does():
                self.last = taken
                return taken.wake
            self.steps.append((self.now, taken))
            self._carry_out(taken)
        raise AssertionError(f"forty steps at one time: {self.steps[-2:]}")

    def _carry_out(self, taken: Step) -> None:
        self.refused += [one.sentence for one in taken.refused]
        self.orders = [one for one in self.orders if one.id not in taken.done_orders]
        self.wish = taken.wish or self.wish
        self.denial = taken.denial or self.denial
        made = tuple(newborn(new, *self._make(new.role, new.algorithm), self.facts, self.now) for new in taken.make)
        self.keys = advanced(self.keys, taken, self.facts, self.now, made)
        if self.facts.fresh:
            self._set = self._keyset()
        if taken.visible() or not self._keyset().same_zone(self._set):
            self._show()

    def _make(self, role: Role, algorithm: int) -> tuple[str, int, bytes]:
        while True:
            self._made += 1
            name = f"{role}{self._made}-{algorithm}"
            rdata = public.dnskey(256 if role is Role.ZSK else 257, algorithm, hashlib.sha256(name.encode()).digest())
            if public.tag(rdata) not in {key.tag for key in self.keys}:
                return name, public.tag(rdata), rdata

    # What is published

    def _keyset(self) -> KeySet:
        insecure = self.wish == "insecure"
        return KeySet.of(
            builders.ORIGIN, self.facts.keyset, self.keys, self.policy, parent_here=self._here, insecure=insecure
        )

    def _show(self) -> None:
        before, self._set = self._set, self._keyset()
        if self._set.zone != before.zone:
            self.facts = replace(self.facts, whole=None)
            self._whole_at = self.now + self._slicing if self._slicing else None
        self._edition()
        if self._set.zone != before.zone and not self._slicing:
            self.facts = replace(self.facts, whole=(self.now, self.facts.serial))
        if self._here and self._set.ds != before.ds:
            self._parent_shows(frozenset(self._named(self._set.ds)))
        elif self._set.cds != before.cds and self._set.cds and self._adopts is not None:
            self._events.append((self.now + self._adopts, self._adopt))

    def _edition(self) -> None:
        self._changed = self.now
        serial = self.facts.serial + 1
        greatest = max(self.facts.dnskey_ttl, self.policy.signatures.dnskey_ttl)  # a server may show the old one still
        self.facts = replace(self.facts, serial=serial, dnskey_ttl=greatest)
        self._publish(serial)

    def _publish(self, serial: int) -> None:
        named = {key.id: (key.id, key.algorithm) for key in self.keys}
        dnskeys = frozenset(named[key.id] for key in self.keys if key.rdata in self._set.dnskeys)
        signers = frozenset(named[one] for one in self._set.apex)
        zone = frozenset(named[one] for one in self._set.zone)
        whole = self.now + self._slicing
        shown = [("", self.now, self._slicing)]
        for server in self._lags:
            at = server.take(serial, self.now)
            shown.append((server.name, at, server.would_take(whole) - at))
        for name, at, slicing in shown:
            self.caches.publish("dnskey", (dnskeys, signers), at, self.policy.signatures.dnskey_ttl, server=name)
            self.caches.publish("data", zone, at, self.facts.max_ttl, slicing, name)
        self._judge([at for _, at, _ in shown])

    def _judge(self, times: Sequence[int]) -> None:
        """Look for what is bogus now, and have it looked for at each of *times* to come."""
        self.problems += [f"{self.now - START}: {one}" for one in self.caches.bogus(self.now)]
        self._events += [(at, lambda: None) for at in set(times) if at > self.now]

    def _named(self, records: Sequence[bytes]) -> list[tuple[str, int]]:
        return [(key.id, key.algorithm) for key in self.keys if public.ds(builders.ORIGIN, key.rdata) in records]

    def _adopt(self) -> None:
        """Do what the CDS say, as a parent elsewhere."""
        if not self._set.cds:
            return
        wanted = frozenset() if self._set.cds == (DELETE_CDS,) else frozenset(self._named(self._set.cds))
        if self._pipeline:
            self._events.append((self.now + self._pipeline, lambda: self._parent_shows(wanted)))
        else:
            self._parent_shows(wanted)

    def _parent_shows(self, ds: frozenset) -> None:
        if ds == self._parent_ds:
            return
        self._parent_ds = ds
        self._changed = self.now
        serial = self.facts.parent_serial + 1
        self.facts = replace(self.facts, parent_serial=serial)
        times = []
        for server in self._parents:
            at = server.take((serial, ds), self.now)
            times.append(at)
            self.caches.publish("ds", ds, at, self.policy.ds_ttl, server=server.name)
        self._judge(times)

    # What is seen

    def _look(self) -> None:
        """Ask all servers, as the watcher does, unless it has done so a moment ago."""
        secondaries = tuple(self._ask(server, "secondary") for server in self._lags)
        parents = tuple(self._ask(server, "parent") for server in self._parents)
        self.facts = replace(self.facts, secondaries=secondaries, parents=parents)
        if not self._here and self.policy.parent_check == "manual":
            self._witness()

    def _ask(self, server: Server, kind: str) -> Sighting:
        last = self._looked.get(server.name)
        if last is not None and self.now - last.asked < self._every:
            return last
        shown = server.shows(self.now) if server._taken else None
        answered = max(server.since(self.now), self._changed) if self._exact else self.now
        if kind == "secondary":
            said = Sighting(kind, server.name, self.now, answered, serial=shown)
        elif shown is None:
            said = Sighting(kind, server.name, self.now, None, problem="has not answered")
        elif self._here:
            said = Sighting(kind, server.name, self.now, answered, serial=shown[0])
        else:
            records = tuple(
                public.ds(builders.ORIGIN, key.rdata) for key in self.keys if (key.id, key.algorithm) in shown[1]
            )
            said = Sighting(
                kind, server.name, self.now, answered, ds=records, ds_ttl=self.policy.ds_ttl if records else None
            )
        self._looked[server.name] = said
        return said

    def _witness(self) -> None:
        """Say what the parent shows, as a person would who looks at all its servers."""
        if not all(server._taken for server in self._parents):
            return
        shown = [server.shows(self.now)[1] for server in self._parents]
        at = max(server.since(self.now) for server in self._parents) if self._exact else self.now
        for key in self.keys:
            for record, motion in key.motions.items():
                named = (key.id, key.algorithm)
                if record != "ds" or motion.seen_at is not None or any(one.tag == key.tag for one in self.orders):
                    continue
                if key.ds == "rumoured" and all(named in one for one in shown):
                    self.ask("ds-seen", tag=key.tag, at=max(at, motion.since))
                elif key.ds == "unretentive" and not any(named in one for one in shown):
                    self.ask("ds-gone", tag=key.tag, at=max(at, motion.since))

    def staying(self) -> list[KeyView]:
        """Return the keys that caches hold something of."""
        return [key for key in self.keys if any(phase in STRAY for phase in key.phases)]
