"""Checks of a box with a code on it, before which its owner's phone stands, and a stranger."""

from __future__ import annotations

from ddns.proof import b64, jwk, jws, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.jws import Signed
from ddns.proof.statements import Enrol
from ddns.selftest.check import MET, NOT_SEEN, Check, Level, Verdict, each, missed
from ddns.selftest.facts import Facts, Wish
from ddns.selftest.transcript import Phoned
from ddns.selftest.web_checks import PAGE

_CODE = f"{PAGE}, Enrol by the code on the box"
_METHOD = ("qr",)
_DONE = 200


def _phoned(facts: Facts, what: str) -> list[Phoned]:
    return [one for one in facts.events if isinstance(one, Phoned) and one.what == what]


def _other_key(facts: Facts) -> Verdict:
    return each(
        _phoned(facts, "other-key"),
        lambda one: "It answered what was sealed for another key." if one.status == _DONE else "",
    )


def _proof(one: Wish) -> Signed | None:
    try:
        return jws.read(b64.decode(one.said.proof)) if isinstance(one.said, Enrol) else None
    except BadProof:
        return None


def _printed(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        proof = _proof(one)
        if proof is None:
            return "Its proof cannot be read."
        key = proof.signatures[0].key
        good = key is not None and jwk.kid(key) == facts.given.printed and jws.verify(proof, 0, key)
        return "" if good else "Its proof is not signed by the printed key."

    return each(facts.enrolments, fault)


def _about(facts: Facts) -> Verdict:
    nonces = {one.nonce for one in _phoned(facts, "challenge")}

    def fault(one: Wish) -> str:
        proof = _proof(one)
        assert proof is not None
        try:
            said = strict_json.members(proof.payload)
        except BadProof as error:
            return error.sentence
        key = jwk.kid(one.keys[0]) if one.keys else ""
        good = said.get("nonce") in nonces and (said.get("key"), said.get("owner")) == (key, facts.given.owner)
        return "" if good and len(said) == len(("nonce", "key", "owner")) else "Its proof is about something else."

    return each([one for one in facts.enrolments if _proof(one) is not None], fault)


def _offered(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert isinstance(one.said, Enrol)
        asked = (one.said.method, one.said.label, one.said.owner)
        return "" if asked == ("qr", facts.given.label, facts.given.owner) else "It asks for what it was not offered."

    return each(facts.enrolments, fault)


def _own_key(facts: Facts) -> Verdict:
    return each(
        [one.keys[0] for one in facts.enrolments if one.keys],
        lambda key: "It enrols the printed key itself." if jwk.kid(key) == facts.given.printed else "",
    )


def _stranger(facts: Facts) -> Verdict:
    return each(
        _phoned(facts, "stranger"),
        lambda one: "It believed what somebody else had signed." if one.status == _DONE else "",
    )


def _asks(facts: Facts) -> Verdict:
    told = [one for one in _phoned(facts, "enrolled") if one.status == _DONE]
    if not told:
        return NOT_SEEN
    mine = [life.key for life in facts.lives if life.how == "enrol"]
    first = [one for one in facts.probes if one.event.at <= told[0].until and any(map(one.is_by, mine))]
    return MET if first else missed("It did not ask by DNS whether its key is known.")


_R = Level.REQUIRED

CHECKS: tuple[Check, ...] = (
    Check("QR-1", _METHOD, _R, _CODE, "answers no question that is sealed for another key", _other_key),
    Check("QR-2", _METHOD, _R, _CODE, "shows that it has the printed key", _printed),
    Check("QR-3", _METHOD, _R, _CODE, "shows it for this nonce, this key and this owner", _about),
    Check("QR-4", _METHOD, _R, _CODE, "asks for what its owner offers, and for nothing else", _offered),
    Check("QR-5", _METHOD, _R, _CODE, "enrols another key than the printed one", _own_key),
    Check("QR-6", _METHOD, _R, _CODE, "believes nobody but its owner where its home is", _stranger),
    Check("QR-7", _METHOD, _R, _CODE, "asks the registry by DNS before it believes that it has a home", _asks),
)
