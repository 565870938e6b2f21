"""What the agent does: enrol once, publish when something changed, say how things stand.

Each deed writes down what is wanted, asks the registry, and writes down what was confirmed, in that
order: whoever is interrupted can simply do it again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.dns.names import Name
from ddns.gateway import client, clock, reply, server, state, update
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.invitation import Invitation
from ddns.gateway.key import GatewayKey
from ddns.gateway.outcome import Status, judge
from ddns.gateway.reply import Reply, Request, Unproved
from ddns.gateway.state import Device, Entry, Outcome, State

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
            return _outcome(ticking, Status.USAGE, sentence)
        if known is not None and known.enrolled_at is not None:
            return _outcome(ticking, Status.DONE, f"{home} is this gateway's already, with key {_tag(known)}.")
        if known is None:
            key = GatewayKey.make(invitation.home)
            stem = key.save(folder)
        else:
            key, stem = GatewayKey.load(folder, known.key), known.key
        zone = names.to_text(invitation.zone)
        known = State(home, zone, invitation.host, invitation.port, stem, tls=invitation.tls)
        state.write(folder, known)
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
        if asked and _is_known(known, key, wait, ticking):
            status = Status.DONE
        if status != Status.DONE:
            return _outcome(ticking, status, sentence)
        clock.keep(folder, invitation)
        signs = _learn(invitation, min(wait, LEARNING), ticking)
        known = msgspec.structs.replace(
            known, enrolled_at=ticking.now, proved_at=ticking.now, server=signs, heard=_was_heard(answer)
        )
        state.write(folder, known)
        return _outcome(ticking, status, f"{home} is this gateway's: the registry accepted its key {key.tag}.")


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
        known = state.read(folder)
        if known is None or known.enrolled_at is None:
            raise NotEnrolled("this gateway has no home yet; run `ddns gateway enrol` with an invitation first")
        zone = names.from_text(known.home)
        owner = own_name(name, zone)
        text = names.to_text(owner)
        entry = known.devices.get(text, Entry())
        wanted = change(entry.wanted)
        state.write(folder, _with(known, text, Entry(wanted, _union(entry.published, wanted))))
        key = GatewayKey.load(folder, known.key)
        message = update.publish(zone, owner, wanted, entry.published, ident=_ident(), nonce=_nonce())
        answer = _signed_exchange(known, key, zone, message, wait, ticking)
        if _wants_tls(answer) and not known.tls:
            encrypted = msgspec.structs.replace(known, tls=DOT_PORT)
            again = _signed_exchange(encrypted, key, zone, message, wait, ticking)
            if not isinstance(again, Unreachable):
                known, answer = encrypted, again
        if isinstance(answer, Reply) and answer.error == Rcode.BADTIME and _ask_time(folder, known, wait, ticking):
            answer = _signed_exchange(known, key, zone, message, wait, ticking)
            known = msgspec.structs.replace(known, proved_at=ticking.now)
        known = msgspec.structs.replace(known, heard=_was_heard(answer))
        status, sentence = judge(answer, known.host, known.port, ticking.system)
        if status == Status.DONE and isinstance(answer, Reply):
            until = ticking.now + answer.lease if answer.lease else None
            outcome = _outcome(ticking, status, _published(text, wanted, until))
            after = None if wanted is None else Entry(wanted, wanted, outcome, until)
        else:
            outcome = _outcome(ticking, status, sentence)
            after = Entry(wanted, _union(entry.published, wanted), outcome)
        state.write(folder, _with(known, text, after))
        return outcome


def standing(known: State) -> Status:
    """Return DONE where everything that is wanted is published, else how the last attempt ended."""
    if known.enrolled_at is None:
        return Status.FAILED
    for entry in known.devices.values():
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
    credential = Credential(0, invitation.key, "tsig", invitation.algorithm, secret=Secret(invitation.secret))
    message = update.enrol(invitation.zone, invitation.home, key.rdata, ident=_ident(), nonce=_nonce())

    def signed() -> tuple[bytes, client.Read]:
        now, started = ticking.now, time.monotonic()
        octets, mac = tsig.sign_request(message, credential, now)
        request = Request(octets, invitation.zone, credential, mac)
        return octets, lambda answer: reply.read(answer, request, now + int(time.monotonic() - started))

    return _send(invitation, signed, wait)


def _ask_time(folder: Path, known: State, wait: float, ticking: Clock) -> bool:
    """Ask the registry what time it is, and believe what it proves; tell whether it did.

    The question is signed for 1970, so that it gets BADTIME whatever the time is and can never do anything else.
    """
    found = clock.kept(folder)
    if found is None:
        return False
    credential, zone = found
    octets, mac = tsig.sign_request(update.probe(zone, ident=_ident(), nonce=_nonce()), credential, 0)
    request = Request(octets, zone, credential, mac)
    answer = _send(known, lambda: (octets, lambda answer: reply.read(answer, request, 0)), wait)
    if not isinstance(answer, Reply) or not answer.proved or answer.server_time is None:
        return False
    return ticking.correct(answer.server_time, known.proved_at - LEEWAY)


def _learn(invitation: Invitation, wait: float, ticking: Clock) -> str:
    """Return the `ServerKey` of the registry as text; nothing where it has none or does not say."""
    credential = Credential(0, invitation.key, "tsig", invitation.algorithm, secret=Secret(invitation.secret))

    def ask(message: bytes, read: client.Read) -> object:
        return _send(invitation, lambda: (message, read), wait)

    found = server.learn(ask, invitation.zone, credential, ticking.now, _ident)
    return "" if found is None else found.to_text()


def _is_known(known: State, key: GatewayKey, wait: float, ticking: Clock) -> bool:
    """Ask whether the registry takes this key's word: an earlier answer may have got lost on its way."""
    zone = names.from_text(known.home)
    message = update.probe(zone, ident=_ident(), nonce=_nonce())
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
    ports = ", ".join(str(port) for port in sorted({pin.port for pin in device.pins}))
    if ports:
        parts.append(f"TLSA for port {ports}")
    if device.lease:
        ends = " (the registry grants no lease)"
        if until is not None:
            ends = f" until {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(until))}, unless it is published again"
        return f"{name} now has {', '.join(parts)}{ends}."
    return f"{name} now has {', '.join(parts)}."


def _union(one: Device | None, other: Device | None) -> Device | None:
    """Return what may stand in the DNS after an attempt of unknown end, so that the next one clears all of it."""
    if one is None or other is None:
        return one or other
    return Device(one.addresses, tuple(sorted({*one.pins, *other.pins})), one.ttl, one.lease)


def _with(known: State, name: str, entry: Entry | None) -> State:
    devices = {text: one for text, one in known.devices.items() if text != name}
    if entry is not None:
        devices[name] = entry
    return msgspec.structs.replace(known, devices=dict(sorted(devices.items())))


def _tag(known: State) -> int:
    return int(known.key.rsplit("+", 1)[1])


def _outcome(ticking: Clock, status: Status, sentence: str) -> Outcome:
    if ticking.off and status == Status.DONE:
        way = "behind" if ticking.off > 0 else "ahead of"
        sentence = f"{sentence} This machine's clock is {abs(ticking.off)} s {way} the registry's."
    return Outcome(ticking.now, int(status), sentence)


def _ident() -> int:
    return secrets.randbelow(0x10000)


def _nonce() -> bytes:
    return secrets.token_bytes(update.NONCE_SIZE)
