"""The owner's phone before a box with a code on it, which also does what a stranger would do there."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.gateway import pairing, phone, scanning
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.pairing import Challenge, Enrolled
from ddns.gateway.scanning import BoxAway
from ddns.proof import b64, dpp, jwe, jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey
from ddns.selftest.transcript import Handed, Phoned, Recorder

DONE, LATER = 200, 503
BRINGS = 10  # times that a box is told where its home is, until it believes it
PAUSE = 2.0  # seconds between two looks whether the box is there


class Scanner:
    """Scans *code*, goes to the *box*, and asks for a home called *label* below *zone* at *desk*, whose *owner* it is.

    *place* makes what the box is told in the end of what the registry answered.
    """

    def __init__(
        self, code: str, box: tuple[str, int], owner: PrivateKey, desk: Desk, zone: str, label: str,
        place: Callable[[Said], Enrolled],
    ) -> None:  # fmt: skip
        self._uri = dpp.read(code)
        self._box, self._owner, self._desk = box, owner, desk
        self._zone, self._label = zone, label
        self._place = place
        self._done = False
        self._next = 0.0  # seconds of the recorder

    def look(self, recorder: Recorder) -> None:
        """Go to the box, once it answers, and do everything there; nothing is done twice."""
        if self._done or recorder.at < self._next:
            return
        self._next = recorder.at + PAUSE
        ticking = Clock()
        nonce = scanning.fresh_nonce(self._desk, ticking)
        if not isinstance(nonce, str):
            return
        stranger = ec.generate_private_key(ec.SECP256R1())
        try:
            self._ask(recorder, "other-key", stranger.public_key(), nonce, ticking)
            self._done = True
            wish = self._ask(recorder, "challenge", self._uri.public_key, nonce, ticking)
            said = self._accept(recorder, wish) if wish else None
            if said is not None:
                self._bring(recorder, "stranger", stranger, said)
                self._bring_until(recorder, said)
        except BoxAway:
            return

    def _ask(
        self, recorder: Recorder, what: str, sealed_for: ec.EllipticCurvePublicKey, nonce: str, ticking: Clock
    ) -> bytes:
        """Ask the box for its wish; return it, nothing where it refuses. Raises `BoxAway`."""
        asked = Challenge(b64.encode(jwk.to_json(jwk.of(self._owner))), self._zone, nonce, ticking.now, self._label)
        once = ec.generate_private_key(ec.SECP256R1())
        sealed = jwe.seal(msgspec.json.encode(asked), sealed_for, once, secrets.token_bytes(jwe.NONCE))
        status, octets = self._post(
            recorder, what, pairing.CHALLENGE_PATH, sealed.encode(), "application/jose", nonce
        )  # fmt: skip
        return octets if status == DONE else b""

    def _accept(self, recorder: Recorder, wish: bytes) -> Said | None:
        """Sign the wish as the owner, and post it; None: the registry did not do it."""
        at, now = recorder.at, int(time.time())
        said = None
        try:
            answer = phone.post(self._desk, phone.beside(wish, self._owner))
            said = answer if isinstance(answer, Said) else None
        except BadProof:
            pass
        home = str(said.members.get("home", "")) if said is not None else ""
        status = said.status if said is not None else 0
        recorder.add(Handed(at=at, now=now, step=recorder.step, until=recorder.at, body=wish, status=status, home=home))
        return said if home else None

    def _bring_until(self, recorder: Recorder, said: Said) -> None:
        """Bring the box what the registry said, again where it does not believe it yet: it asks the registry first."""
        for _ in range(BRINGS):
            with contextlib.suppress(BoxAway):
                if self._bring(recorder, "enrolled", self._owner, said) != LATER:
                    return
            time.sleep(PAUSE)

    def _bring(self, recorder: Recorder, what: str, signer: PrivateKey, said: Said) -> int:
        """Bring the box what the registry said, signed by its owner or by a stranger; return the status of its answer.

        Raises `BoxAway`.
        """
        octets = jws.sign(msgspec.json.encode(self._place(said)), [jws.shown(signer, pairing.TYP_ENROLLED)])
        return self._post(recorder, what, pairing.ANSWER_PATH, octets, statements.MEDIA_TYPE, "")[0]

    def _post(self, recorder: Recorder, what: str, path: str, body: bytes, media: str, nonce: str) -> tuple[int, bytes]:
        """Post something to the box, write down what came of it, and return that. Raises `BoxAway`."""
        at, now = recorder.at, int(time.time())
        status, octets = scanning.exchange(self._box, path, body, media)
        recorder.add(
            Phoned(
                at=at, now=now, step=recorder.step, until=recorder.at, what=what, status=status, body=octets,
                nonce=nonce,
            )
        )  # fmt: skip
        return status, octets
