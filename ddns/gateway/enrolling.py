"""Enrolment by HTTPS: a signed wish that may wait in its folder until the registry, or the owner's phone, is there.

Law: the key and the signed wish are written down before anybody hears of them, so that whoever is interrupted, by a
power cut too, goes on with the same ones; the registry knows a wish by its digest and does it once. A wish that the
owner has to sign leaves by the owner's phone; this side then only asks whether its key has become known.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ddns.dns import names
from ddns.gateway import agent, client, desk, evidence, patience, proving, retry, scanning, state
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.invitation import Invitation
from ddns.gateway.key import GatewayKey, write_private
from ddns.gateway.outcome import Status, judge, judge_said
from ddns.gateway.reply import Unproved
from ddns.gateway.state import BadState, Outcome, State
from ddns.proof import jwk, statements
from ddns.proof.jwk import PublicJwk
from ddns.proof.statements import Enrol

FILE = "enrolment.json"
REQUEST = "request.jws"  # what a phone is handed, to accept or to carry
PATH = "/v1/enrol"
LOOK = 5.0  # seconds for one question whether the key is known
FIRST_LOOK = 2.0  # seconds; an owner who stands before the box accepts soon
WITHOUT_WEB = "the invitation does not say where the registry takes statements; ask for one made with --web"


class CannotEnrol(ValueError):
    """An enrolment that cannot go this way; the message says why and what to do."""


class Waiting(msgspec.Struct, frozen=True):
    """An enrolment under way: the *invitation*'s line, empty where there is none, and the signed *statement*.

    *phone*: it goes to the registry by the phone of the owner, whose key has the thumbprint *owner* where that is
    known. *since* and *until* (seconds since 1970) are the statement's time; *tries* is how often the registry was
    asked in vain. *cafile* holds certificates. *source* gives evidence of what holds the key, whose nonce is good until
    *fresh*; the statement is empty where it could not be asked for yet.
    """

    invitation: str
    statement: str
    since: int
    until: int
    phone: bool = False
    owner: str = ""
    cafile: str = ""
    tries: int = 0
    source: str = ""
    fresh: int = 0

    def __repr__(self) -> str:
        return f"Waiting(since={self.since})"


def waiting(folder: Path) -> Waiting | None:
    """Return the enrolment that is under way in *folder*, None: there is none. Raises `BadState`."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Waiting)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        raise BadState(f"{folder / FILE} cannot be read; remove it and enrol again with the same invitation") from None


def begin(
    folder: Path,
    invitation: Invitation,
    owner: PublicJwk | None = None,
    *,
    cafile: str = "",
    source: str = "",
    system: Callable[[], float] = time.time,
) -> Outcome | None:
    """Make a key in *folder*, and the wish to have it enrolled by *invitation*, with *owner*'s signature beside it.

    Evidence of what holds the key, where *source* gives any, is asked for by `go_on`: it answers a registry's nonce.

    Return None where `go_on` is to follow, else how it ended already. Doing it again gives the same key, and the same
    wish where it still holds. *system* is this machine's clock. Raises `CannotEnrol` and `BadState`.
    """
    if invitation.web is None:
        raise CannotEnrol(WITHOUT_WEB)
    ticking = Clock(system)
    home = names.to_text(invitation.home)
    with state.held(folder):
        known = state.read(folder)
        if known is not None and known.home != home:
            sentence = f"This gateway already belongs to {known.home}; give another folder with --home."
            return agent.outcome_of(ticking, Status.USAGE, sentence)
        if known is not None and known.enrolled_at is not None:
            return agent.outcome_of(ticking, Status.DONE, f"{home} is this gateway's already.")
        known, _ = agent.with_key(folder, known, invitation)
        wanted, line = jwk.kid(owner) if owner else "", invitation.to_text()
        there = waiting(folder)
        same = there is not None and (there.owner, there.invitation, there.source) == (wanted, line, source)
        if there is None or not same or there.until <= ticking.now:
            if source:
                until = ticking.now + statements.CARRIED
                made = Waiting(line, "", ticking.now, until, bool(wanted), wanted, cafile, source=source)
            else:
                made = _signed(folder, known, invitation, wanted, cafile, ticking.now)
            keep(folder, made)
        elif there.cafile != cafile:
            keep(folder, msgspec.structs.replace(there, cafile=cafile))
    return None


def go_on(
    folder: Path,
    *,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
    dice: Callable[[], float] = random.random,
    pause: Callable[[float], None] = time.sleep,
    again: bool = False,
) -> Outcome:
    """Bring the enrolment that waits in *folder* to its end, for *wait* seconds at most.

    With *again*, which is for a box that has just started, the first try comes at a moment by chance: not all that had
    their power back together ask together. Raises `BadState` and `agent.NotEnrolled`.
    """
    ticking = Clock(system)
    with state.held(folder):
        found, kept = state.read(folder), waiting(folder)
        if found is None or kept is None:
            raise agent.NotEnrolled("no enrolment waits here; run `ddns gateway enrol` with an invitation")
        known: State = found
        there: Waiting = kept
        pauses = _pauses(there, dice)

        def attempt() -> tuple[Outcome, int]:
            nonlocal there
            if there.phone:
                if there.source and there.fresh <= ticking.now:
                    evident = _with_evidence(folder, known, there, ticking)
                    if isinstance(evident, Outcome):
                        return evident, 0
                    there = evident
                return _look(folder, known, there, ticking), 0
            outcome, after, there = _post(folder, known, there, ticking)
            return outcome, after

        def in_vain() -> None:
            nonlocal there
            there = msgspec.structs.replace(there, tries=there.tries + 1)
            keep(folder, there)

        outcome = patience.insist(
            attempt, in_vain, pauses, wait, tries=there.tries if again else 0, system=system, dice=dice, pause=pause
        )  # fmt: skip
        if outcome.status not in (Status.UNREACHABLE, Status.LATER, Status.UNPROVED):
            done(folder)
        return outcome


def _pauses(there: Waiting, dice: Callable[[], float]) -> Iterator[float]:
    """Yield the waits that follow the tries that *there* has behind it."""
    if there.phone:
        return retry.waits_long(dice, first=FIRST_LOOK)
    return retry.waits_long(dice, first=retry.long_wait(there.tries))


def _with_evidence(folder: Path, known: State, there: Waiting, ticking: Clock) -> Waiting | Outcome:
    """Return *there* with a wish in which evidence answers a new nonce; or why there is none. Raises `CannotEnrol`."""
    invitation = Invitation.from_text(there.invitation)
    where = place(invitation, there.cafile, ticking)
    nonce = where if isinstance(where, client.Unreachable) else scanning.fresh_nonce(where, ticking)
    if not isinstance(nonce, str):
        here = where if isinstance(where, Desk) else Desk(invitation.host, invitation.port)
        return agent.outcome_of(ticking, *judge_said(nonce, here))
    try:
        token = evidence.take(there.source, nonce, GatewayKey.load(folder, known.key))
    except evidence.NoEvidence as error:
        raise CannotEnrol(str(error)) from None
    made = _signed(folder, known, invitation, there.owner, there.cafile, ticking.now, token)
    made = msgspec.structs.replace(
        made, tries=there.tries, source=there.source, fresh=ticking.now + evidence.FRESH, until=there.until
    )
    keep(folder, made)
    return made


def _signed(
    folder: Path, known: State, invitation: Invitation, owner: str, cafile: str, now: int,
    token: statements.Evidence | None = None,
) -> Waiting:  # fmt: skip
    """Make the wish, with *token* as evidence, and sign it with the gateway's key and the invitation's secret."""
    wish = Enrol(
        aud=names.to_text(invitation.zone),
        iat=now,
        exp=now + statements.CARRIED,
        jti=secrets.token_urlsafe(16),
        method="invitation",
        label=names.to_text(invitation.home),
        owner=owner or None,
        evidence=token,
    )
    key = GatewayKey.load(folder, known.key)
    text = statements.sign(wish, key.private, (names.to_text(invitation.key), invitation.secret)).decode()
    return Waiting(invitation.to_text(), text, now, wish.exp, bool(owner), owner, cafile)


def _post(folder: Path, known: State, there: Waiting, ticking: Clock) -> tuple[Outcome, int, Waiting]:
    """Post the wish; where only our clock was wrong, make it anew with the registry's time and post that."""
    invitation = Invitation.from_text(there.invitation)
    where = place(invitation, there.cafile, ticking)
    if isinstance(where, client.Unreachable):
        status, sentence = judge(where, invitation.host, invitation.port, ticking.system)
        return agent.outcome_of(ticking, status, sentence), 0, there
    said: Said | Unproved | client.Unreachable | None = _ask(where, there) if there.statement else None
    if there.source and (said is None or (isinstance(said, Said) and said.code in evidence.STALE)):
        evident = _with_evidence(folder, known, there, ticking)
        if isinstance(evident, Outcome):
            return evident, 0, there
        there = evident
        said = _ask(where, there)
    assert said is not None  # a wish without evidence is signed before it waits
    if isinstance(said, Said) and said.code == "statement-stale" and said.at is not None and ticking.correct(said.at):
        there = _signed(folder, known, invitation, "", there.cafile, ticking.now)
        keep(folder, there)
        said = _ask(where, there)
    status, sentence = judge_said(said, where)
    known = msgspec.structs.replace(known, cafile=where.cafile, pins=where.pins)
    if status == Status.DONE:
        return agent.settle(folder, known, invitation, client.WAIT, ticking), 0, there
    if status == Status.REFUSED and agent.is_known(known, GatewayKey.load(folder, known.key), client.WAIT, ticking):
        return agent.settle(folder, known, invitation, client.WAIT, ticking), 0, there
    after = said.retry_after if isinstance(said, Said) else 0
    return agent.outcome_of(ticking, status, sentence), after, there


def _ask(where: Desk, there: Waiting) -> Said | Unproved | client.Unreachable:
    return desk.ask(where, "POST", PATH, there.statement.encode(), headers={"Content-Type": statements.MEDIA_TYPE})


def _look(folder: Path, known: State, there: Waiting, ticking: Clock) -> Outcome:
    """Ask whether the registry knows the key by now: the owner's phone has posted the wish, or has not yet."""
    if agent.is_known(known, GatewayKey.load(folder, known.key), LOOK, ticking):
        invitation = Invitation.from_text(there.invitation) if there.invitation else None
        known = msgspec.structs.replace(known, cafile=there.cafile)
        return agent.settle(folder, known, invitation, client.WAIT, ticking)
    how = f"hand {folder / REQUEST} to the owner's phone (`ddns phone accept`)"
    if not there.statement:
        how = f"the owner says `ddns phone say approve-key {known.home} --key {there.owner}`"
    sentence = f"The owner has not accepted yet: {how}, and run `ddns gateway enrol` again."
    return agent.outcome_of(ticking, Status.LATER, sentence)


def place(invitation: Invitation, cafile: str, ticking: Clock) -> Desk | client.Unreachable:
    """Return where the registry takes statements, and by what it is known.

    Without *cafile* the registry is asked by DNS which key it has, which it signs with the invitation's; where it has
    published none, this machine's authorities decide. Raises `CannotEnrol`.
    """
    if invitation.web is None:
        raise CannotEnrol(WITHOUT_WEB)
    name, port = invitation.web
    if cafile:
        return desk.believing(invitation.host, port, name, cafile)
    credential = proving.credential_of(invitation)
    found = proving.pins(invitation, credential, invitation.zone, invitation.web, agent.LEARNING, ticking)
    if found is None:
        return client.Unreachable("it did not say by DNS which key its HTTPS server has")
    return Desk(invitation.host, port, name, found)


def keep(folder: Path, there: Waiting) -> None:
    """Write down what waits, and beside it what a phone may be handed. Raises `BadState`."""
    try:
        write_private(folder / FILE, msgspec.json.encode(there) + b"\n")
        if there.statement:
            write_private(folder / REQUEST, there.statement.encode() + b"\n")
    except OSError as error:
        raise BadState(f"{folder / FILE} cannot be written: {error.strerror}") from None


def done(folder: Path) -> None:
    """Take away what waited: it was done, or will never be."""
    for name in (FILE, REQUEST):
        (folder / name).unlink(missing_ok=True)
