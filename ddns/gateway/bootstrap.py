"""Enrolment of a box with its maker's certificate alone (RFC 8995, RFC 7030), step by step, each of them kept.

Law: what is asked is written down before it is asked, so that a box that loses its power goes on with the very same
request, to which the registrar gives the very same answer. Nothing is kept of a registrar whose voucher was not good.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.dns.names import ROOT
from ddns.gateway import agent, answered, client, ldevid, patience, pledge, registrar, retry, state
from ddns.gateway import under_way as kept
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.key import GatewayKey
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.pledge import Identity
from ddns.gateway.registrar import Answered, Registrar
from ddns.gateway.state import Outcome
from ddns.proof import cms, idevid, voucher
from ddns.proof.bad import BadProof

FILE = "brski.json"


class Under(msgspec.Struct, frozen=True):
    """An enrolment under way at the registrar at *host* and *port*.

    *certificate* and *key* are the files of the maker's certificate, *anchor* (PEM) is whom its vouchers are believed
    from. *stem* is the gateway's key; *jws*: the request is made so. *registrar* is the certificate (DER) that the
    *request* with the *nonce* names, *domain* that which the voucher has the box trust; *told*: the registrar knows so.
    *csr* is the certification request, *given* the certificate that answered it. *tries* were made in vain.
    *at* is the time that the voucher proved at least, in seconds since 1970.
    """

    host: str
    port: int
    certificate: str
    key: str
    anchor: str
    stem: str
    jws: bool = False
    registrar: bytes = b""
    nonce: bytes = b""
    request: bytes = b""
    domain: bytes = b""
    told: bool = False
    csr: bytes = b""
    given: bytes = b""
    tries: int = 0
    at: int = 0

    @property
    def media(self) -> str:
        """Return the type of the request for a voucher."""
        return voucher.JWS if self.jws else voucher.CMS


class _Ended(Exception):
    """The attempt ended: how, and after how many seconds another one may be made."""

    def __init__(self, outcome: Outcome, after: int = 0) -> None:
        super().__init__(outcome.sentence)
        self.outcome = outcome
        self.after = after


def under_way(folder: Path) -> Under | None:
    """Return the enrolment that is under way in *folder*; None: there is none. Raises `BadState`."""
    return kept.read(folder / FILE, Under)


def begin(
    folder: Path, host: str, port: int, box: Identity, anchor: bytes, *, jws: bool = False,
    system: Callable[[], float] = time.time,
) -> Outcome | None:  # fmt: skip
    """Make a key in *folder* for a gateway that enrols at the registrar at *host* as the *box* that its maker made.

    Return None where `go_on` is to follow, else how it ended already. Doing it again gives the same key. *anchor* (PEM)
    is whom the maker's vouchers are believed from. Raises `BadState` and `pledge.BadBox`.
    """
    believed = "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in pledge.read_anchors(anchor))
    with state.held(folder):
        known = state.read(folder)
        if known is not None and known.enrolled_at is not None:
            had = ldevid.held(folder)
            if had is not None and (had.host, had.port) == (host, port):
                forget(folder)  # who was interrupted in the end has left it
                return agent.outcome_of(Clock(system), Status.DONE, f"{known.home} is this gateway's already.")
            sentence = f"This gateway has {known.home} already; `ddns gateway reset --forget` lets it go."
            return agent.outcome_of(Clock(system), Status.USAGE, sentence)
        files = [str(one.absolute()) for one in box.files]
        wanted = Under(host, port, files[0], files[1], believed, "", jws)
        there = under_way(folder)
        if there is None or _place(there) != _place(wanted):
            stem = GatewayKey.make(ROOT).save(folder) if there is None else there.stem
            kept.write(folder / FILE, msgspec.structs.replace(wanted, stem=stem))
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
    """Bring the enrolment that is under way in *folder* to its end, for *wait* seconds at most.

    *again* is for a box that has just started, as in `enrolling.go_on`. Raises `BadState`, `agent.NotEnrolled` and
    `pledge.BadBox`.
    """
    with state.held(folder):
        there = under_way(folder)
        if there is None:
            raise agent.NotEnrolled("no enrolment by BRSKI waits here; run `ddns gateway enrol --brski URL`")
        steps = _Steps(folder, there, Clock(system))
        pauses = retry.waits_long(dice, first=retry.long_wait(there.tries))
        outcome = patience.insist(
            steps.attempt, steps.in_vain, pauses, wait, tries=there.tries if again else 0, system=system, dice=dice,
            pause=pause,
        )  # fmt: skip
        if outcome.status not in (Status.UNREACHABLE, Status.LATER, Status.CLOCK):
            forget(folder)
        return outcome


def forget(folder: Path) -> None:
    """Take away an enrolment that is under way, and its key. Raises `OSError` and `BadState`."""
    there = under_way(folder)
    if there is None:
        return
    (folder / FILE).unlink()
    kept.drop_key(folder, there.stem)


def _place(one: Under) -> tuple[object, ...]:
    return one.host, one.port, one.certificate, one.key, one.anchor, one.jws


def _same_key(seen: x509.Certificate, octets: bytes) -> bool:
    return idevid.public_octets(seen) == idevid.public_octets(cms.certificate(octets))


class _Steps:
    """The steps of one enrolment, of which those that were made are left out."""

    def __init__(self, folder: Path, there: Under, ticking: Clock) -> None:
        self._folder = folder
        self._there = there
        self._ticking = ticking
        self._box = pledge.read_identity(Path(there.certificate), Path(there.key))
        self._key = GatewayKey.load(folder, there.stem)
        if there.at > ticking.now:
            ticking.correct(there.at)  # a box without a clock has started anew

    def in_vain(self) -> None:
        """Note a try after which another one may be made."""
        self._now(tries=self._there.tries + 1)

    def attempt(self) -> tuple[Outcome, int]:
        """Go on from where the last attempt came to; return how it ended, and when another one is asked for."""
        try:
            found = registrar.find(self._there.host, self._there.port)
            if isinstance(found, Unreachable):
                place = Desk(self._there.host, self._there.port)
                status, sentence = judge_said(found, place)
                return agent.outcome_of(self._ticking, status, sentence), 0
            if not self._there.domain:
                self._voucher(found)
            self._check(found)
            if not self._there.told:
                self._good(found, found.tell("voucher_status", self._box.files))
                self._now(told=True)
            if not self._there.given:
                self._certificate(found)
            return self._home(found), 0
        except _Ended as ended:
            return ended.outcome, ended.after

    def _voucher(self, at: Registrar) -> None:
        """Ask for the voucher, and judge it; where it is bad, the registrar hears so (RFC 8995 §5.7)."""
        there = self._there
        seen = at.shown[0]
        if not there.request or not _same_key(seen, there.registrar):
            nonce = secrets.token_bytes(pledge.NONCE)
            asked = pledge.request(self._box, seen, nonce, self._ticking.now, there.media)
            self._now(registrar=seen.public_bytes(Encoding.DER), nonce=nonce, request=asked)
            there = self._there
        said = self._good(at, at.voucher(there.request, there.media, self._box.files))
        anchors = pledge.read_anchors(there.anchor.encode())
        try:
            judged = pledge.judge(
                said.octets, said.media, self._box, there.nonce, anchors, at.shown, self._ticking.now
            )  # fmt: skip
        except BadProof as error:
            at.tell("voucher_status", self._box.files, error.sentence)
            raise _Ended(self._of(Status.UNPROVED, f"The voucher is not good. {error.sentence}")) from None
        self._now(domain=judged.domain.public_bytes(Encoding.DER), at=judged.at)
        if judged.at > self._ticking.now:
            self._ticking.correct(judged.at)

    def _check(self, at: Registrar) -> None:
        """See that the registrar is of the domain that the voucher named."""
        if not pledge.leads(at.shown, cms.certificate(self._there.domain), self._ticking.now):
            sentence = f"Who answers at {at.desk.said} is not of the domain that the voucher named; nothing was sent."
            raise _Ended(self._of(Status.UNPROVED, sentence))

    def _certificate(self, at: Registrar) -> None:
        """Ask for the certificate of this gateway's key, and so for its home (RFC 7030 §4.2)."""
        shows = self._box.files
        try:
            said = self._good(at, at.attributes(shows), 200, 204)
            if said.status == 200:
                pledge.check_attributes(said.octets)
            if not self._there.csr:
                self._now(csr=pledge.certification_request(self._box.idevid.serial, self._key.private))
            said = self._good(at, at.enrol("simpleenroll", self._there.csr, shows))
            if said.at is not None and said.at > self._ticking.now + voucher.LATENESS:
                self._ticking.correct(said.at)
            domain = cms.certificate(self._there.domain)
            made = pledge.issued(said.octets, self._key.private, domain, self._ticking.now)
        except BadProof as error:
            at.tell("enrollstatus", shows, error.sentence)
            raise _Ended(self._of(Status.REFUSED, error.sentence)) from None
        self._now(given=made.public_bytes(Encoding.DER))

    def _home(self, at: Registrar) -> Outcome:
        """Come anew with the certificate, say that it went well, and hear which home it is (RFC 8995 §5.9.4)."""
        there = self._there
        certificate = x509.load_der_x509_certificate(there.given)
        with ldevid.shown(self._folder, certificate, self._key) as shows:
            self._good(at, at.tell("enrollstatus", shows))
            members = self._good(at, at.standing(shows)).members
        ldevid.keep(
            self._folder, ldevid.Held(there.host, there.port, there.domain, self._box.idevid.serial), certificate
        )  # fmt: skip
        outcome = answered.take(self._folder, members, Desk(there.host, there.port), self._key, self._ticking)
        if outcome is None:
            ldevid.forget(self._folder)
            raise _Ended(self._of(Status.REFUSED, "What the registry says of the home cannot be read."))
        return outcome

    def _good(self, at: Registrar, said: Answered, *statuses: int) -> Said:
        """Return an answer that did it. Raises `_Ended`."""
        status, sentence = judge_said(said, at.desk)
        if isinstance(said, Said) and said.status in (statuses or (200,)):
            return said
        after = said.retry_after if isinstance(said, Said) else 0
        if status == Status.DONE:
            status, sentence = Status.REFUSED, f"The registrar at {at.desk.said} answered what nobody asked."
        raise _Ended(self._of(status, sentence), after)

    def _of(self, status: Status, sentence: str) -> Outcome:
        return agent.outcome_of(self._ticking, status, sentence)

    def _now(self, **changed: Any) -> None:
        """Write down what changed."""
        self._there = msgspec.structs.replace(self._there, **changed)
        kept.write(self._folder / FILE, self._there)
