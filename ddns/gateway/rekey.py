"""New keys for a home that is there: in another box, in the same one after a reset, or in the place of one that rolls.

The owner decides: a `replace` is signed by the new key here and by the owner's phone, a key that is only announced
waits until the owner approves it, and the old key stays live until then. A key that is at hand may roll by itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.gateway import agent, client, clock, desk, enrolling, proving, reply, state, update
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk
from ddns.gateway.enrolling import CannotEnrol, Waiting
from ddns.gateway.key import GatewayKey, write_private
from ddns.gateway.outcome import Status, judge, judge_said
from ddns.gateway.reply import Reply, Request
from ddns.gateway.state import Outcome, State
from ddns.proof import jwk, statements
from ddns.proof.statements import BindOwner, Replace, RollKey

KEY_WAITS = 7 * 86_400  # seconds that the registry keeps an announced key
ANNOUNCED = "key-not-trusted-yet"  # the registry's code: it knows the key now, and waits for the owner


class Place(msgspec.Struct, frozen=True):
    """Where a home's registry is asked: its *zone*, *host* and *port*, and the port for TLS, 0: none."""

    zone: Name
    host: str
    port: int = 53
    tls: int = 0


def begin_replace(
    folder: Path, home: Name | None, place: Place | None, *, system: Callable[[], float] = time.time
) -> State:
    """Make a key for *home*, and the statement that puts it in the place of all others once the owner signs it, too.

    After a reset both *home* and *place* may be None: they are known. `enrolling.go_on` follows. Raises `CannotEnrol`
    and `BadState`.
    """
    now = Clock(system).now
    with state.held(folder):
        there = enrolling.waiting(folder)
        known, was_reset = _fresh(folder, home, place)
        if there is not None and there.phone and there.statement and there.until > now:
            return known
        key = GatewayKey.load(folder, known.key)
        wish = Replace(
            aud=known.registry,
            sub=known.home,
            iat=now,
            exp=now + statements.CARRIED,
            jti=secrets.token_urlsafe(16),
            same_box=was_reset,
        )
        text = statements.sign(wish, key.private).decode()
        enrolling.keep(folder, Waiting("", text, now, wish.exp, phone=True))
        return known


def announce(
    folder: Path,
    home: Name | None,
    place: Place | None,
    *,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
) -> Outcome:
    """Make a key for *home* known to its registry, by an UPDATE that this key itself signs; the owner decides then.

    Raises `CannotEnrol` and `BadState`.
    """
    ticking = Clock(system)
    with state.held(folder):
        known, _ = _fresh(folder, home, place)
        key = GatewayKey.load(folder, known.key)
        zone = names.from_text(known.home)
        message = update.records(
            zone, [(zone, Type.KEY, update.KEY_TTL, key.rdata)], [], ident=agent.new_ident(), nonce=agent.new_nonce(),
            cleared=[(zone, Type.KEY)],
        )  # fmt: skip

        def signed() -> tuple[bytes, client.Read]:
            request = Request(key.sign_request(message, ticking.now), zone)
            return request.message, lambda octets: reply.read(octets, request, ticking.now)

        # By a stream: the registry listens to a stranger's key only where the address is proved.
        answer = client.exchange(known.host, known.tls or known.port, signed, wait, tls=bool(known.tls), by_tcp=True)
        status, sentence = judge(answer, known.host, known.port, ticking.system)
        thumb = jwk.kid(jwk.of(key.private))
        if isinstance(answer, Reply) and answer.code == ANNOUNCED:
            now = ticking.now
            enrolling.keep(folder, Waiting("", "", now, now + KEY_WAITS, phone=True, owner=thumb))
            status = Status.LATER
            sentence = (
                f"The registry knows key {key.tag} of {known.home} now and waits for the owner: "
                f"`ddns phone say approve-key {known.home} --key {thumb}`; then run `ddns gateway enrol`."
            )
        elif status == Status.DONE:
            sentence = f"Key {key.tag} is {known.home}'s already."
            return agent.settle(folder, known, None, wait, ticking)
        return agent.outcome_of(ticking, status, sentence)


def roll(folder: Path, *, wait: float = desk.WAIT, system: Callable[[], float] = time.time) -> Outcome:
    """Put a new key in the place of the one that this gateway has; both sign, and the old one is dead from then on.

    Raises `agent.NotEnrolled`, `CannotEnrol` and `BadState`.
    """
    ticking = Clock(system)
    with state.held(folder):
        known = agent.enrolled(folder)
        where = _desk(folder, known, ticking)
        old = GatewayKey.load(folder, known.key)
        new = _rolling(folder, known) or GatewayKey.make(old.name)
        stem = new.save(folder)  # before anybody hears of it
        write_private(folder / ROLLING, stem.encode() + b"\n")

        def made(now: int) -> RollKey:
            return RollKey(
                aud=known.registry, sub=known.home, iat=now, exp=now + statements.MINUTES, jti=secrets.token_urlsafe(16)
            )

        answer: desk.Said | reply.Unproved | Unreachable = Unreachable("nobody was asked")
        for _ in range(2):
            octets = statements.sign(made(ticking.now), old.private, new.private)
            answer = desk.ask(
                where, "POST", "/v1/statements", octets, headers={"Content-Type": statements.MEDIA_TYPE}, wait=wait
            )
            stale = isinstance(answer, desk.Said) and answer.code == "statement-stale" and answer.at is not None
            if not (stale and isinstance(answer, desk.Said) and answer.at and ticking.correct(answer.at)):
                break
        status, sentence = judge_said(answer, where)
        rolled = msgspec.structs.replace(known, key=stem)
        if status != Status.DONE and agent.is_known(rolled, new, enrolling.LOOK, ticking):
            status = Status.DONE  # an earlier answer got lost on its way
        if status == Status.DONE:
            state.write(folder, rolled)
            for end in (".private", ".key"):
                (folder / f"{known.key}{end}").unlink(missing_ok=True)
            sentence = f"Key {new.tag} has taken the place of {old.tag} at {known.home}."
        if status in (Status.DONE, Status.REFUSED):
            (folder / ROLLING).unlink(missing_ok=True)
        return agent.outcome_of(ticking, status, sentence)


def bind(folder: Path, *, system: Callable[[], float] = time.time) -> Path:
    """Write the statement that gives a home without an owner its first, once the owner signs it, too; return its file.

    Raises `agent.NotEnrolled`.
    """
    with state.held(folder):
        known = agent.enrolled(folder)
        now = Clock(system).now
        wish = BindOwner(
            aud=known.registry, sub=known.home, iat=now, exp=now + statements.MINUTES, jti=secrets.token_urlsafe(16)
        )
        path = folder / BINDING
        write_private(path, statements.sign(wish, GatewayKey.load(folder, known.key).private) + b"\n")
        return path


ROLLING = "rolling"  # the file that names the next key while it is on its way
BINDING = "owner.jws"


def _rolling(folder: Path, known: State) -> GatewayKey | None:
    """Return the key of a roll that was interrupted, so that it goes on with the same one."""
    try:
        stem = (folder / ROLLING).read_text().strip()
    except FileNotFoundError:
        return None
    return GatewayKey.load(folder, stem) if stem != known.key else None


def _fresh(folder: Path, home: Name | None, place: Place | None) -> tuple[State, bool]:
    """Return the state of a gateway that has a key and is not enrolled, and whether it was reset before.

    Raises `CannotEnrol`.
    """
    known = state.read(folder)
    if known is not None and known.enrolled_at is not None:
        raise CannotEnrol(f"this gateway has {known.home} and a key for it; `ddns gateway reset` wipes them first")
    wanted = None if home is None else names.to_text(home)
    if known is None:
        if home is None or wanted is None or place is None:
            raise CannotEnrol("say which home it is, and with --server where its registry is")
        stem = GatewayKey.make(home).save(folder)
        known = State(wanted, names.to_text(place.zone), place.host, place.port, stem, tls=place.tls)
        state.write(folder, known)
        return known, False
    if wanted is not None and wanted != known.home:
        raise CannotEnrol(f"this gateway belongs to {known.home}; give another folder with --home")
    was_reset = not known.key
    if place is not None:
        known = msgspec.structs.replace(
            known, registry=names.to_text(place.zone), host=place.host, port=place.port, tls=place.tls
        )
    if not known.key:
        known = msgspec.structs.replace(known, key=GatewayKey.make(names.from_text(known.home)).save(folder))
    state.write(folder, known)
    return known, was_reset


def _desk(folder: Path, known: State, ticking: Clock) -> Desk:
    """Return where the registry takes statements, by the key that it proves, or that it had. Raises `CannotEnrol`."""
    if known.web is None:
        raise CannotEnrol("nobody has said where the registry takes statements; give its address with --desk")
    name, port = known.web
    if known.cafile:
        return desk.believing(known.host, port, name, known.cafile)
    kept = clock.kept(folder)
    found = None if kept is None else proving.pins(known, *kept, known.web, agent.LEARNING, ticking)
    return Desk(known.host, port, name, known.pins if found is None else found)
