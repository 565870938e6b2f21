"""The keys of a device: added, rolled, deployed, revoked, each by the registry's word on what clients know.

Law: a key takes another's place when the registry says that it is safe, and not before (RFC 7671 §8.1). Whoever is
interrupted can do the same again: what stands there already is not added twice, and a wait goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ddns.dns import names
from ddns.dns.codes import Rcode, Type
from ddns.dns.names import Name
from ddns.gateway import agent, client, state, update
from ddns.gateway.clock import Clock
from ddns.gateway.outcome import Status, judge
from ddns.gateway.reply import Reply
from ddns.gateway.state import Device, Entry, Outcome, Pin, State
from ddns.zone import dane_option
from ddns.zone.dane_option import Record, Service, Verb, Wish

STANDBY, NEXT = "standby", "next"
READY = frozenset({"established", "safe"})  # phases in which a key may be used, as the registry calls them
PAUSES = (0.5, 30.0)  # seconds between two questions, at least and at most
_SHOWN = 8  # octets of a record's data that the registry tells


class NotKnown(ValueError):
    """A device, or a key of it, of which this gateway knows nothing; the message says what to do."""


class Stand(msgspec.Struct, frozen=True):
    """How one record stands: *pin* is what this gateway knows of it, None for another's; *record* what stands there."""

    owner: str
    pin: Pin | None
    record: Record | None


class _Talk:
    """One exchange about the device *name*: the folder is held, what is wanted is written down, and what came of it."""

    def __init__(self, folder: Path, name: str, wait: float, system: Callable[[], float]) -> None:
        self.ticking = Clock(system)
        self._folder = folder
        self._wait = wait
        self.known = agent.enrolled(folder)
        self.zone = names.from_text(self.known.home)
        self.owner = agent.own_name(name, self.zone)
        self.text = names.to_text(self.owner)
        self.entry = self.known.devices.get(self.text, Entry())

    def device(self) -> Device:
        """Return what is wanted of the device. Raises `NotKnown`."""
        if self.entry.wanted is None:
            raise NotKnown(f"nothing is known of {self.text} yet; `ddns gateway device add` publishes its first key")
        return self.entry.wanted

    def send(self, message: bytes, wanted: Device) -> tuple[Status, str, Reply | None]:
        """Send *message*, after which *wanted* is what is to be there; return how it ended."""
        between = Entry(wanted, agent.union(self.entry.published, wanted), self.entry.outcome, self.entry.until)
        self._write(between)
        self.known, answer = agent.ask(self._folder, self.known, self.zone, message, self._wait, self.ticking)
        status, sentence = judge(answer, self.known.host, self.known.port, self.ticking.system)
        return status, sentence, answer if isinstance(answer, Reply) else None

    def done(self, wanted: Device, status: Status, sentence: str, reply: Reply | None, note: str) -> Outcome:
        """Write down how it ended, and return it: with *note* where it was done."""
        if status != Status.DONE or reply is None:
            kept = self.entry.wanted if status in (Status.NOT_SAFE, Status.REFUSED) else wanted
            outcome = agent.outcome_of(self.ticking, status, sentence)
            self._write(Entry(kept, agent.union(self.entry.published, wanted), outcome, self.entry.until))
            return outcome
        said = " ".join(text for _, text in reply.errors if text)
        outcome = agent.outcome_of(self.ticking, status, f"{note} {said}".strip())
        until = self.ticking.now + reply.lease if reply.lease else self.entry.until if wanted.lease else None
        self._write(Entry(wanted, wanted, outcome, until))
        return outcome

    def _write(self, entry: Entry) -> None:
        self.known = agent.with_entry(self.known, self.text, entry)
        state.write(self._folder, self.known)


def add(
    folder: Path,
    name: str,
    pins: Sequence[Pin],
    *,
    addresses: tuple[str, ...] = (),
    ttl: int | None = None,
    lease: int | None = None,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
) -> Outcome:
    """Publish keys of a device beside those that it has: its first ones, or standbys. Addresses replace all so far."""
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        before = talk.entry.wanted or Device()
        there = {pin.identity: pin for pin in before.pins}
        ports = {pin.port for pin in before.pins}
        for pin in pins:
            there.setdefault(pin.identity, msgspec.structs.replace(pin, phase=STANDBY if pin.port in ports else ""))
        wanted = Device(
            addresses or before.addresses,
            tuple(sorted(there.values())),
            before.ttl if ttl is None else ttl,
            before.lease if lease is None else lease,
            guarded=True,
        )
        status, sentence, reply = talk.send(_with_all(talk, wanted), wanted)
        which = ", ".join(dict.fromkeys(_where(pin) for pin in wanted.pins)) or "no key"
        where = f"at {', '.join(wanted.addresses)}" if wanted.addresses else "without an address"
        return talk.done(wanted, status, sentence, reply, f"{talk.text} is published {where}, with {which}.")


def roll(
    folder: Path, name: str, pin: Pin, *, wait: float = client.WAIT, system: Callable[[], float] = time.time
) -> tuple[Outcome, float | None]:
    """Publish the key that takes another's place, unless it stands there; return how it stands with it.

    DONE: it may be used now. NOT_SAFE: not yet; in so many seconds it may be, None: nobody knows yet.
    """
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        before = talk.entry.wanted or Device()
        there = {one.identity: one for one in before.pins}
        mine = there.get(pin.identity)
        others = [one for one in before.pins if one.port == pin.port and one.identity != pin.identity]
        if mine is None or mine.phase != "":
            mine = msgspec.structs.replace(pin, phase=NEXT if others else "")
        given_up = [one for one in others if one.phase == NEXT]  # another that was to be next, and never was used
        kept = [one for one in before.pins if one.identity != pin.identity and one not in given_up]
        wanted = msgspec.structs.replace(before, pins=tuple(sorted([*kept, mine])), guarded=True)
        status, sentence, reply = talk.send(_with_all(talk, wanted, given_up), wanted)
        if status != Status.DONE or reply is None:
            return talk.done(wanted, status, sentence, reply, ""), None
        record = _record(reply.services, talk, mine)
        if record is not None and record.phase in READY:
            note = f"The key {mine.digest[:16]} of {talk.text} may be used now: every client knows it."
            return talk.done(wanted, status, sentence, reply, note), 0.0
        talk.done(wanted, status, sentence, reply, "")
        return _too_early(talk, mine, record)


def look(
    folder: Path, name: str, pin: Pin, *, wait: float = client.WAIT, system: Callable[[], float] = time.time
) -> tuple[Outcome, float | None]:
    """Ask whether a key that `roll` has published may be used now; what it returns is the same."""
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        owner = update.tlsa_name(talk.owner, pin.port)
        message = update.about(
            talk.zone, [owner], Wish(Verb.STATE), ident=agent.new_ident(), nonce=agent.new_nonce()
        )  # fmt: skip
        talk.known, answer = agent.ask(folder, talk.known, talk.zone, message, wait, talk.ticking)
        status, sentence = judge(answer, talk.known.host, talk.known.port, talk.ticking.system)
        if status != Status.DONE or not isinstance(answer, Reply):
            return agent.outcome_of(talk.ticking, status, sentence), None
        record = _record(answer.services, talk, pin)
        if record is None:
            gone = f"The record of the key {pin.digest[:16]} of {talk.text} does not stand there any more."
            return agent.outcome_of(talk.ticking, Status.REFUSED, gone), None
        if record.phase in READY:
            note = f"The key {pin.digest[:16]} of {talk.text} may be used now: every client knows it."
            return agent.outcome_of(talk.ticking, status, note), 0.0
        return _too_early(talk, pin, record)


def deployed(folder: Path, name: str, *, wait: float = client.WAIT, system: Callable[[], float] = time.time) -> Outcome:
    """Tell the registry that the next keys are used and those before them are not, so that their records retire."""
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        before = talk.device()
        ports = {pin.port for pin in before.pins if pin.phase == NEXT}
        if not ports:
            sentence = f"No key of {talk.text} is being rolled; `ddns gateway device roll` begins."
            return agent.outcome_of(talk.ticking, Status.USAGE, sentence)
        out = [pin for pin in before.pins if pin.port in ports and pin.phase == ""]
        kept = [
            msgspec.structs.replace(pin, phase="") if pin.phase == NEXT else pin
            for pin in before.pins
            if pin not in out
        ]  # fmt: skip
        wanted = msgspec.structs.replace(before, pins=tuple(sorted(kept)))
        data = frozenset(bytes.fromhex(pin.digest) for pin in kept if pin.port in ports)
        owners = [update.tlsa_name(talk.owner, port) for port in sorted(ports)]
        message = update.about(
            talk.zone, owners, Wish(Verb.DEPLOYED, data), ident=agent.new_ident(), nonce=agent.new_nonce()
        )
        status, sentence, reply = talk.send(message, before)
        if status != Status.DONE:
            return talk.done(before, status, sentence, reply, "")
        retires = ", ".join(pin.digest[:16] for pin in out) or "none"
        return talk.done(wanted, status, sentence, reply, f"The keys before it retire by themselves: {retires}.")


def revoke(
    folder: Path, name: str, digest: str, *, wait: float = client.WAIT, system: Callable[[], float] = time.time
) -> Outcome:
    """Take away at once the records of the key whose digest begins with *digest*: a thief may have it.

    Raises `NotKnown`.
    """
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        before = talk.device()
        known = {pin.identity: pin for one in (talk.entry.published, before) if one is not None for pin in one.pins}
        gone = [pin for pin in known.values() if pin.digest.startswith(digest.lower())]
        if len({pin.digest for pin in gone}) != 1:
            how = "no key" if not gone else "more than one key"
            raise NotKnown(f"{how} of {talk.text} begins with {digest}; `ddns gateway device state` shows them")
        ports = {pin.port for pin in gone}
        left = [pin for pin in before.pins if pin not in gone]
        used = {pin.port for pin in left if pin.phase == ""}
        left = [
            msgspec.structs.replace(pin, phase="") if pin.phase == NEXT and pin.port in ports - used else pin
            for pin in left
        ]
        wanted = msgspec.structs.replace(before, pins=tuple(sorted(left)))
        wish = Wish(Verb.REVOKE, frozenset(bytes.fromhex(pin.digest) for pin in gone))
        message = update.records(
            talk.zone, (), [_named(update.tlsa(talk.owner, pin, 0)) for pin in gone],
            ident=agent.new_ident(), nonce=agent.new_nonce(), options=(dane_option.pack(wish),),
        )  # fmt: skip
        status, sentence, reply = talk.send(message, before)
        if status != Status.DONE:
            return talk.done(before, status, sentence, reply, "")
        note = f"The key {gone[0].digest[:16]} of {talk.text} is published no more."
        return talk.done(wanted, status, sentence, reply, note)


def standing(
    folder: Path, name: str, *, wait: float = client.WAIT, system: Callable[[], float] = time.time
) -> tuple[Outcome, tuple[Stand, ...]]:
    """Ask the registry how each record of the device stands. Raises `NotKnown`."""
    with state.held(folder):
        talk = _Talk(folder, name, wait, system)
        device = talk.device()
        found: list[Stand] = []
        for port in sorted({pin.port for pin in device.pins}):
            owner = update.tlsa_name(talk.owner, port)
            message = update.about(
                talk.zone, [owner], Wish(Verb.STATE), ident=agent.new_ident(), nonce=agent.new_nonce()
            )
            talk.known, answer = agent.ask(folder, talk.known, talk.zone, message, wait, talk.ticking)
            status, sentence = judge(answer, talk.known.host, talk.known.port, talk.ticking.system)
            nothing = isinstance(answer, Reply) and answer.rcode == Rcode.NXRRSET
            if status != Status.DONE and not nothing:
                return agent.outcome_of(talk.ticking, status, sentence), ()
            services = answer.services if isinstance(answer, Reply) else ()
            found += _stands(owner, [pin for pin in device.pins if pin.port == port], services)
        ready = all(one.record is not None and one.record.phase in (*READY, "retiring") for one in found)
        word = "All of it is what clients know." if ready else "Some of it is not what every client knows yet."
        return agent.outcome_of(talk.ticking, Status.DONE if ready else Status.NOT_SAFE, word), tuple(found)


def known_device(known: State, name: str) -> Device | None:
    """Return what is wanted of the device *name*. Raises `BadName`."""
    owner = agent.own_name(name, names.from_text(known.home))
    return known.devices.get(names.to_text(owner), Entry()).wanted


def _with_all(talk: _Talk, wanted: Device, removed: Sequence[Pin] = ()) -> bytes:
    """Return the message that adds the keys of *wanted* to what stands there, and takes those *removed* away."""
    records = [update.tlsa(talk.owner, pin, wanted.ttl) for pin in wanted.pins]
    cleared = []
    if wanted.addresses:
        cleared = [(talk.owner, int(Type.A)), (talk.owner, int(Type.AAAA))]
        records += [update.address(talk.owner, text, wanted.ttl) for text in wanted.addresses]
    return update.records(
        talk.zone,
        records,
        [_named(update.tlsa(talk.owner, pin, 0)) for pin in removed],
        ident=agent.new_ident(),
        nonce=agent.new_nonce(),
        cleared=cleared,
        options=(dane_option.pack(Wish(Verb.MANAGED)), *update.lease_option(wanted.lease)),
    )


def _named(record: tuple[Name, int, int, bytes]) -> tuple[Name, int, bytes]:
    name, rdtype, _, rdata = record
    return name, rdtype, rdata


def _record(services: Sequence[Service], talk: _Talk, pin: Pin) -> Record | None:
    owner, begin = update.tlsa_name(talk.owner, pin.port), bytes.fromhex(pin.digest)[:_SHOWN]
    its = next((one.records for one in services if one.owner == owner), ())
    return next((one for one in its if one.data == begin), None)


def _stands(owner: Name, pins: Sequence[Pin], services: Sequence[Service]) -> list[Stand]:
    """Return how the records at *owner* stand: this gateway's own, there or not, and others that stand there."""
    left = [record for one in services if one.owner == owner for record in one.records]
    text = names.to_text(owner)
    out = []
    for pin in pins:
        begin = bytes.fromhex(pin.digest)[:_SHOWN]
        record = next((one for one in left if one.data == begin), None)
        if record is not None:
            left.remove(record)
        out.append(Stand(text, pin, record))
    return [*out, *(Stand(text, None, record) for record in left)]


def _too_early(talk: _Talk, pin: Pin, record: Record | None) -> tuple[Outcome, float | None]:
    """Return the outcome of a roll whose key may not be used yet, and for how long."""
    if record is None or record.safe_at is None:
        when = "not before every server of the zone has shown it, and twice its TTL behind that"
        left = None
    else:
        when = f"not before {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(record.safe_at))}"
        left = max(0.0, float(record.safe_at - talk.ticking.now))
    sentence = f"The key {pin.digest[:16]} of {talk.text} is published, and not safe to use yet: {when}."
    return agent.outcome_of(talk.ticking, Status.NOT_SAFE, sentence), left


def _where(pin: Pin) -> str:
    what = "the CA" if pin.usage == 2 else "a key"
    return f"{what} for port {pin.port}" if pin.port else f"{what} for what it does as a client"
