"""What the agent does: enrol once, publish when something changed, say how things stand. Devices' keys: `device`.

Each deed writes down what is wanted, asks the registry, and writes down what was confirmed, in that
order: whoever is interrupted can simply do it again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ddns.auth import tsig
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.dns.names import Name
from ddns.gateway import client, clock, proving, records, reply, server, state, update
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.invitation import Invitation
from ddns.gateway.key import GatewayKey
from ddns.gateway.outcome import Status, judge
from ddns.gateway.reply import Reply, Request, Unproved
from ddns.gateway.state import Device, Entry, Kept, Outcome, Record, State

DOT_PORT = 853  # where updates go over TLS if the registry wants that (RFC 7858 §3.1)
CLEARTEXT = "update-cleartext"  # the registry's code for that
LEARNING = 3.0  # seconds for each of the two questions after the enrolment
LEEWAY = 86_400  # seconds by which a registry's clock may have been set back since it last proved its time


class NotEnrolled(ValueError):
    """The gateway has no home yet."""


def enrol(
    folder: Path, invitation: Invitation, *, wait: float = client.WAIT, system: Callable[[], float] = time.time
) -> Outcome:
    """Spend *invitation* with a key made here; the key exists in *folder* before the registry hears of it.

    Doing it again after an answer got lost is safe: the registry is then asked whether it knows the key. *system* is
    this machine's clock, right or wrong.
    """
    home = names.to_text(invitation.home)
    ticking = Clock(system)
    with state.held(folder):
        known = state.read(folder)
        if known is not None and known.home != home:
            sentence = f"This gateway already belongs to {known.home}; give another folder with --home."
            return outcome_of(ticking, Status.USAGE, sentence)
        if known is not None and known.enrolled_at is not None:
            return outcome_of(ticking, Status.DONE, f"{home} is this gateway's already, with key {_tag(known)}.")
        known, key = with_key(folder, known, invitation)
        answer = _spend(invitation, key, wait, ticking)
        if _wants_tls(answer) and not invitation.tls:
            encrypted = msgspec.structs.replace(invitation, tls=DOT_PORT)
            again = _spend(encrypted, key, wait, ticking)
            if not isinstance(again, Unreachable):
                invitation, answer = encrypted, again
                known = msgspec.structs.replace(known, tls=DOT_PORT)
                state.write(folder, known)
        status, sentence = judge(answer, invitation.host, invitation.port, ticking.system)
        asked = status in (Status.REFUSED, Status.KEY)  # not where somebody else has answered
        if asked and is_known(known, key, wait, ticking):
            status = Status.DONE
        if status != Status.DONE:
            return outcome_of(ticking, status, sentence)
        return settle(folder, known, invitation, wait, ticking, heard=_was_heard(answer))


def with_key(folder: Path, known: State | None, invitation: Invitation) -> tuple[State, GatewayKey]:
    """Return the state in which *folder* has a key for the home of *invitation*, made now where there is none."""
    if known is None or not known.key:
        key = GatewayKey.make(invitation.home)
        stem = key.save(folder)
    else:
        key, stem = GatewayKey.load(folder, known.key), known.key
    home, zone = names.to_text(invitation.home), names.to_text(invitation.zone)
    made = known or State(home, zone, invitation.host, invitation.port, stem)
    made = msgspec.structs.replace(
        made, registry=zone, host=invitation.host, port=invitation.port, key=stem, tls=invitation.tls,
        web=invitation.web,
    )  # fmt: skip
    state.write(folder, made)
    return made, key


def settle(
    folder: Path, known: State, invitation: Invitation | None, wait: float, ticking: Clock, *, heard: bool = False
) -> Outcome:
    """Write down that the home of *known* is this gateway's, and what else its *invitation* lets it learn.

    *heard*: the registry's answer came by UDP.
    """
    if invitation is not None:
        clock.keep(folder, invitation)
        signs = proving.learn(invitation, min(wait, LEARNING), ticking)
        known = msgspec.structs.replace(known, server=signs, proved_at=ticking.now)
    known = msgspec.structs.replace(known, enrolled_at=ticking.now, heard=heard)
    state.write(folder, known)
    sentence = f"{known.home} is this gateway's: the registry accepted its key {_tag(known)}."
    return outcome_of(ticking, Status.DONE, sentence)


def publish(
    folder: Path,
    name: str,
    change: Callable[[Device | None], Device | None],
    *,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
) -> Outcome:
    """Bring the records of *name* to what *change* makes of what was wanted before; None takes them away.

    *name* is relative to the home, or below it in full. Raises `NotEnrolled`, and `BadName` for a name
    that is not the home's. *system* is this machine's clock: where the registry finds it wrong, it is asked for a
    time that it can prove, and the update is signed with that.
    """
    ticking = Clock(system)
    with state.held(folder):
        known = enrolled(folder)
        zone = names.from_text(known.home)
        owner = own_name(name, zone)
        text = names.to_text(owner)
        entry = known.devices.get(text, Entry())
        wanted = change(entry.wanted)
        state.write(folder, with_entry(known, text, Entry(wanted, union(entry.published, wanted))))
        message = update.publish(zone, owner, wanted, entry.published, ident=new_ident(), nonce=new_nonce())
        known, answer = ask(folder, known, zone, message, wait, ticking)
        status, sentence = judge(answer, known.host, known.port, ticking.system)
        if status == Status.DONE and isinstance(answer, Reply):
            until = ticking.now + answer.lease if answer.lease else None
            outcome = outcome_of(ticking, status, _published(text, wanted, until))
            after = None if wanted is None else Entry(wanted, wanted, outcome, until)
        else:
            outcome = outcome_of(ticking, status, sentence)
            kept = entry.wanted if status == Status.NOT_SAFE else wanted  # nobody is to say it again and again
            after = Entry(kept, union(entry.published, wanted), outcome)
        state.write(folder, with_entry(known, text, after))
        return outcome


def record(
    folder: Path,
    choose: Callable[[State], Sequence[Record]],
    *,
    remove: bool,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
) -> Outcome:
    """Publish the records that *choose* makes, or take them away, all in one update; what else there is stays.

    Raises `NotEnrolled`, and whatever *choose* raises.
    """
    ticking = Clock(system)
    with state.held(folder):
        known = enrolled(folder)
        chosen = choose(known)
        zone = names.from_text(known.home)
        on_wire = [(*records.wire(one), one.ttl) for one in chosen]
        state.write(folder, _with_records(known, [Kept(one, wanted=not remove) for one in chosen]))
        added = [] if remove else [(name, rdtype, ttl, rdata) for name, rdtype, rdata, ttl in on_wire]
        removed = [one[:3] for one in on_wire] if remove else []
        message = update.records(zone, added, removed, ident=new_ident(), nonce=new_nonce())
        known, answer = ask(folder, known, zone, message, wait, ticking)
        status, sentence = judge(answer, known.host, known.port, ticking.system)
        if status == Status.DONE:
            what = ", ".join(dict.fromkeys(f"{one.owner} {one.type}" for one in chosen))
            sentence = f"{what} is {'published no more' if remove else 'published'}."
        outcome = outcome_of(ticking, status, sentence)
        gone = remove and status == Status.DONE
        kept = [Kept(one, wanted=not remove, outcome=outcome) for one in chosen]
        state.write(folder, _with_records(known, kept, gone=gone))
        return outcome


def standing(known: State) -> Status:
    """Return DONE where everything that is wanted is published, else how the last attempt ended."""
    if known.enrolled_at is None:
        return Status.FAILED
    entries: list[Entry | Kept] = [*known.devices.values(), *known.records]
    for entry in entries:
        if entry.outcome is None:
            return Status.FAILED
        if entry.outcome.status != Status.DONE:
            return Status(entry.outcome.status)
    return Status.DONE


def own_name(text: str, home: Name) -> Name:
    """Return the name that *text* means in *home*: relative, `@`, or in full with or without the final dot.

    Raises `BadName`.
    """
    whole = names.from_text(text)
    if text.endswith(".") or (text != "@" and names.is_subdomain(whole, home)):
        if not names.is_subdomain(whole, home):
            raise names.BadName(f"{text} is not in {names.to_text(home)}, which is all that this gateway speaks for")
        return whole
    return names.from_text(text, home)


def enrolled(folder: Path) -> State:
    """Return the state of a gateway that has a home. Raises `NotEnrolled`."""
    known = state.read(folder)
    if known is None or known.enrolled_at is None:
        raise NotEnrolled("this gateway has no home yet; run `ddns gateway enrol` with an invitation first")
    return known


def ask(
    folder: Path, known: State, zone: Name, message: bytes, wait: float, ticking: Clock
) -> tuple[State, Reply | Unproved | Unreachable]:
    """Send *message* signed, by TLS where that is asked for, with the registry's time where ours is wrong.

    Return the answer, and the state with what was learned on the way.
    """
    key = GatewayKey.load(folder, known.key)
    answer = _signed_exchange(known, key, zone, message, wait, ticking)
    if _wants_tls(answer) and not known.tls:
        encrypted = msgspec.structs.replace(known, tls=DOT_PORT)
        again = _signed_exchange(encrypted, key, zone, message, wait, ticking)
        if not isinstance(again, Unreachable):
            known, answer = encrypted, again
    if isinstance(answer, Reply) and answer.error == Rcode.BADTIME and _ask_time(folder, known, wait, ticking):
        answer = _signed_exchange(known, key, zone, message, wait, ticking)
        known = msgspec.structs.replace(known, proved_at=ticking.now)
    return msgspec.structs.replace(known, heard=_was_heard(answer)), answer


def _spend(invitation: Invitation, key: GatewayKey, wait: float, ticking: Clock) -> Reply | Unproved | Unreachable:
    """Send the enrolment; where only our clock was wrong, send it once more with the registry's proved time."""
    answer = _enrol_once(invitation, key, ticking, wait)
    if isinstance(answer, Reply) and answer.proved and answer.server_time is not None:
        if not ticking.correct(answer.server_time):
            return answer
        again = _enrol_once(invitation, key, ticking, wait)
        return answer if isinstance(again, Unreachable) else again
    return answer


def _enrol_once(invitation: Invitation, key: GatewayKey, ticking: Clock, wait: float) -> Reply | Unproved | Unreachable:
    credential = proving.credential_of(invitation)
    message = update.enrol(invitation.zone, invitation.home, key.rdata, ident=new_ident(), nonce=new_nonce())

    def signed() -> tuple[bytes, client.Read]:
        now, started = ticking.now, time.monotonic()
        octets, mac = tsig.sign_request(message, credential, now)
        request = Request(octets, invitation.zone, credential, mac)
        return octets, lambda answer: reply.read(answer, request, now + int(time.monotonic() - started))

    return _send(invitation, signed, wait)


def _ask_time(folder: Path, known: State, wait: float, ticking: Clock) -> bool:
    """Ask the registry what time it is, with the key that is kept for it; tell whether it proved one."""
    found = clock.kept(folder)
    return found is not None and proving.ask_time(known, *found, wait, ticking, known.proved_at - LEEWAY)


def is_known(known: State, key: GatewayKey, wait: float, ticking: Clock) -> bool:
    """Ask whether the registry takes this key's word: an earlier answer may have got lost on its way."""
    zone = names.from_text(known.home)
    message = update.probe(zone, ident=new_ident(), nonce=new_nonce())
    answer = _signed_exchange(known, key, zone, message, wait, ticking)
    return isinstance(answer, Reply) and judge(answer, known.host, known.port, ticking.system)[0] == Status.DONE


def _signed_exchange(
    known: State, key: GatewayKey, zone: Name, message: bytes, wait: float, ticking: Clock
) -> Reply | Unproved | Unreachable:
    signs = server.ServerKey.from_text(known.server)
    believed = None if signs is None else (signs.name, signs.public)

    def signed() -> tuple[bytes, client.Read]:
        request = Request(key.sign_request(message, ticking.now), zone, server=believed)
        return request.message, lambda octets: reply.read(octets, request, ticking.now)

    return _send(known, signed, wait)


def _send(to: State | Invitation, signed: client.Signed, wait: float) -> Reply | Unproved | Unreachable:
    heard = isinstance(to, State) and to.heard
    return client.exchange(to.host, to.tls or to.port, signed, wait, tls=bool(to.tls), heard=heard)


def _was_heard(answer: Reply | Unproved | Unreachable) -> bool:
    return isinstance(answer, Reply) and answer.by_datagram


def _wants_tls(answer: Reply | Unproved | Unreachable) -> bool:
    """Tell whether the registry takes updates over TLS only. Nobody needs to prove that: it can do no harm."""
    return isinstance(answer, Reply) and answer.code == CLEARTEXT


def _published(name: str, device: Device | None, until: int | None) -> str:
    if device is None:
        return f"{name} is published no more."
    parts = list(device.addresses) or ["no address"]
    ports = ", ".join(str(port) for port in sorted({pin.port for pin in device.pins if pin.port}))
    if ports:
        parts.append(f"TLSA for port {ports}")
    if any(not pin.port for pin in device.pins):
        parts.append("TLSA for what it does as a client")
    if device.lease:
        ends = " (the registry grants no lease)"
        if until is not None:
            ends = f" until {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(until))}, unless it is published again"
        return f"{name} now has {', '.join(parts)}{ends}."
    return f"{name} now has {', '.join(parts)}."


def union(one: Device | None, other: Device | None) -> Device | None:
    """Return what may stand in the DNS after an attempt of unknown end, so that the next one clears all of it."""
    if one is None or other is None:
        return one or other
    pins = {pin.identity: pin for pin in (*other.pins, *one.pins)}
    return msgspec.structs.replace(one, pins=tuple(sorted(pins.values())))


def with_entry(known: State, name: str, entry: Entry | None) -> State:
    """Return *known* with *entry* for the device *name*; None: without that device."""
    devices = {text: one for text, one in known.devices.items() if text != name}
    if entry is not None:
        devices[name] = entry
    return msgspec.structs.replace(known, devices=dict(sorted(devices.items())))


def _with_records(known: State, changed: Sequence[Kept], *, gone: bool = False) -> State:
    """Return *known* with the records *changed* as they are now, or without them where they have *gone*."""
    mine = {_identity(one.record) for one in changed}
    kept = [one for one in known.records if _identity(one.record) not in mine]
    kept += [] if gone else changed
    return msgspec.structs.replace(known, records=tuple(sorted(kept, key=lambda one: _identity(one.record))))


def _identity(one: Record) -> tuple[str, str, str]:
    """Return what makes a record this one: a TTL does not (RFC 2136 §1.1)."""
    return one.owner, one.type, one.data


def _tag(known: State) -> int:
    return int(known.key.rsplit("+", 1)[1])


def outcome_of(ticking: Clock, status: Status, sentence: str) -> Outcome:
    """Return how an attempt ended; where it was done, it says too how wrong this machine's clock is."""
    if ticking.off and status == Status.DONE:
        way = "behind" if ticking.off > 0 else "ahead of"
        sentence = f"{sentence} This machine's clock is {abs(ticking.off)} s {way} the registry's."
    return Outcome(ticking.now, int(status), sentence)


def new_ident() -> int:
    """Return the id of a new message."""
    return secrets.randbelow(0x10000)


def new_nonce() -> bytes:
    """Return what makes a new message another one than all before it."""
    return secrets.token_bytes(update.NONCE_SIZE)
