"""Enrolment by evidence alone: the box's hardware says how it holds the gateway's key, and nobody invited it.

Law: the key, and each signed wish, are written down before they are sent; the wish that was sent last is sent first
again, for the registry answers it the same. Only where it says that the nonce is over, another token is made.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ddns.dns import names
from ddns.dns.names import ROOT, Name
from ddns.gateway import agent, answered, client, desk, evidence, patience, retry, scanning, state
from ddns.gateway import under_way as kept
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.enrolling import PATH, CannotEnrol
from ddns.gateway.evidence import NoEvidence
from ddns.gateway.key import GatewayKey
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.registrar import Answered
from ddns.gateway.state import Outcome
from ddns.proof import statements
from ddns.proof.statements import Enrol

FILE = "attesting.json"


class Under(msgspec.Struct, frozen=True):
    """An enrolment under way below *registry*, whose statements *where* takes, as *label* (empty: any).

    *source* gives the evidence; *stem* is the key; *statement* is what was sent last, empty: nothing. *tries* were in
    vain.
    """

    registry: str
    where: Desk
    source: str
    stem: str
    label: str = ""
    statement: str = ""
    tries: int = 0


def under_way(folder: Path) -> Under | None:
    """Return the enrolment that is under way in *folder*; None: there is none. Raises `BadState`."""
    return kept.read(folder / FILE, Under)


def begin(folder: Path, registry: Name, where: Desk, source: str, label: str = "") -> None:
    """Make a key in *folder* for a home below *registry*; `go_on` follows. Doing it again gives the same key.

    Raises `CannotEnrol` and `BadState`.
    """
    with state.held(folder):
        known = state.read(folder)
        if known is not None and known.enrolled_at is not None:
            raise CannotEnrol(f"this gateway has {known.home} already; `ddns gateway reset --forget` lets it go")
        wanted = Under(names.to_text(registry), where, source, "", label)
        there = under_way(folder)
        if there is None or _place(there) != _place(wanted):
            stem = GatewayKey.make(ROOT).save(folder) if there is None else there.stem
            kept.write(folder / FILE, msgspec.structs.replace(wanted, stem=stem))


def go_on(
    folder: Path,
    *,
    wait: float = client.WAIT,
    system: Callable[[], float] = time.time,
    dice: Callable[[], float] = random.random,
    pause: Callable[[float], None] = time.sleep,
    again: bool = False,
) -> Outcome:
    """Bring the enrolment that is under way in *folder* to its end, as `enrolling.go_on` does.

    Raises `agent.NotEnrolled`, `BadState` and `CannotEnrol`, where the box gives no evidence.
    """
    ticking = Clock(system)
    with state.held(folder):
        found = under_way(folder)
        if found is None:
            raise agent.NotEnrolled("no enrolment by evidence waits here; give --evidence again")
        there: Under = found
        key = GatewayKey.load(folder, there.stem)

        def attempt() -> tuple[Outcome, int]:
            nonlocal there
            said: Answered | None = _post(there) if there.statement else None
            if said is None or (isinstance(said, Said) and said.code in evidence.STALE):
                nonce = scanning.fresh_nonce(there.where, ticking)
                if isinstance(nonce, str):
                    there = _signed(there, key, nonce, ticking.now)
                    kept.write(folder / FILE, there)
                    said = _post(there)
                else:
                    said = nonce
            status, sentence = judge_said(said, there.where)
            if status == Status.DONE and isinstance(said, Said):
                done = answered.take(folder, said.members, there.where, key, ticking)
                if done is not None:
                    return done, 0
                status, sentence = Status.REFUSED, "What the registry says of the home cannot be read."
            return agent.outcome_of(ticking, status, sentence), said.retry_after if isinstance(said, Said) else 0

        def in_vain() -> None:
            nonlocal there
            there = msgspec.structs.replace(there, tries=there.tries + 1)
            kept.write(folder / FILE, there)

        pauses = retry.waits_long(dice, first=retry.long_wait(there.tries))
        outcome = patience.insist(
            attempt, in_vain, pauses, wait, tries=there.tries if again else 0, system=system, dice=dice, pause=pause
        )  # fmt: skip
        if outcome.status not in (Status.UNREACHABLE, Status.LATER, Status.UNPROVED):
            forget(folder)
        return outcome


def forget(folder: Path) -> None:
    """Take away an enrolment that is under way, and its key. Raises `OSError` and `BadState`."""
    there = under_way(folder)
    if there is None:
        return
    (folder / FILE).unlink()
    kept.drop_key(folder, there.stem)


def _signed(there: Under, key: GatewayKey, nonce: str, now: int) -> Under:
    """Return *there* with a new wish, whose evidence answers *nonce*. Raises `CannotEnrol`."""
    try:
        token = evidence.take(there.source, nonce, key)
    except NoEvidence as error:
        raise CannotEnrol(str(error)) from None
    wish = Enrol(
        aud=there.registry, iat=now, exp=now + statements.MINUTES, jti=secrets.token_urlsafe(16), method="attested",
        label=there.label, evidence=token,
    )  # fmt: skip
    return msgspec.structs.replace(there, statement=statements.sign(wish, key.private).decode())


def _post(there: Under) -> Answered:
    headers = {"Content-Type": statements.MEDIA_TYPE}
    return desk.ask(there.where, "POST", PATH, there.statement.encode(), headers=headers)


def _place(one: Under) -> tuple[object, ...]:
    return one.registry, one.where, one.source, one.label
