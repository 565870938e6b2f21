"""Checks of what a box sends by HTTPS: whom it believes, how it signs its wish, when it comes again."""

from __future__ import annotations

import contextlib
from base64 import b64encode, urlsafe_b64encode

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.proof import b64, jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.statements import Enrol
from ddns.selftest.check import MET, NOT_SEEN, Check, Level, Verdict, each, missed
from ddns.selftest.facts import ENROL, VOUCHER, Facts, Wish
from ddns.selftest.transcript import Exchange, Message
from ddns.selftest.waits import LONGEST

PAGE = "enrolment-protocol.md"
_REGISTRY, _STATEMENT = f"{PAGE}, Who the registry is", f"{PAGE}, A statement"
_INVITATION, _AWAY = f"{PAGE}, Enrol by invitation", f"{PAGE}, When nobody answers"
_MOST = 65_536  # octets
_ALONE, _BOTH = ("invitation",), ("invitation", "owner")
_STATED = ("invitation", "owner", "qr")
_ASKING = ("invitation", "voucher")
_CLOCK = 300  # seconds


def _tls(facts: Facts) -> Verdict:
    return each(
        [one for one in facts.handshakes if one.version],
        lambda one: "" if one.version == "TLSv1.3" else f"It spoke {one.version}.",
    )


def _name(facts: Facts) -> Verdict:
    name = facts.given.web[0]
    return each(
        [one for one in facts.handshakes if one.version],
        lambda one: "" if one.name.rstrip(".").lower() == name else f"It asked for {one.name or 'no name'}.",
    )


def _stranger(facts: Facts) -> Verdict:
    return each(
        [one for one in facts.handshakes if one.stranger],
        lambda one: "It sent a request to a server with another key." if one.spoke else "",
    )


def _pins(facts: Facts) -> Verdict:
    name, port = facts.given.web
    try:
        owner = names.prepend(f"_{port}".encode(), names.prepend(b"_tcp", names.from_text(name)))
    except names.BadName:
        return NOT_SEEN
    asked = [one for one in facts.sent if one.question == (owner, Type.TLSA)]
    return each(
        asked,
        lambda one: (
            ""
            if any(one.is_of(invited) for invited in facts.given.invited)
            else "It asked for the TLSA records without the invitation's signature, so anybody could have answered."
        ),
    )


def _media(facts: Facts) -> Verdict:
    posts = [one.event for one in facts.wishes if isinstance(one.event, Exchange)]

    def fault(one: Exchange) -> str:
        media = one.headers.get("content-type", "")
        return "" if media.partition(";")[0].strip().lower() == statements.MEDIA_TYPE else f"It said {media or 'none'}."

    return each(posts, fault)


def _size(facts: Facts) -> Verdict:
    return each(
        facts.wishes,
        lambda one: "" if len(one.event.body) <= _MOST else f"A statement has {len(one.event.body)} octets.",
    )


def _form(facts: Facts) -> Verdict:
    return each(facts.wishes, lambda one: one.why)


def _typ(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert one.signed is not None
        wrong = [made.typ for made in one.signed.signatures if made.typ != statements.TYP]
        return f"A header has the typ {wrong[0] or 'of nothing'}." if wrong else ""

    return each([one for one in facts.wishes if one.signed is not None], fault)


def _keys(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert one.signed is not None
        by_keys = [made for made in one.signed.signatures if made.alg != jws.MAC]
        if len(by_keys) == len(one.keys) > 0:
            return ""
        return "A signature does not verify by the key that its header shows, or shows none."

    return each([one for one in facts.wishes if one.signed is not None], fault)


def _secret_signs(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        signed = one.signed
        assert signed is not None
        last = len(signed.signatures) - 1
        for invited in facts.given.invited:
            if names.to_text(invited.key) == signed.signatures[last].kid:
                good = jws.verify_mac(signed, last, invited.secret)
                return "" if good else "The last signature is not one by the invitation's secret."
        return "The kid of the last signature is not the name of the invitation's key."

    return each(facts.enrolments, fault)


def _secret_kept(facts: Facts) -> Verdict:
    seen = [one for one in facts.events if isinstance(one, Exchange | Message)]

    def fault(one: Exchange | Message) -> str:
        octets = one.octets if isinstance(one, Message) else b"\n".join(_all(one))
        for invited in facts.given.invited:
            if any(form in octets for form in _forms(invited.secret)):
                return "The secret of the invitation went over the network."
        return ""

    return each(seen, fault)


def _all(one: Exchange) -> list[bytes]:
    texts = [one.path, *one.headers.values()]
    plain = [text.encode("utf-8", "replace") for text in texts]
    with contextlib.suppress(BadProof):
        plain.append(jws.read(one.body).payload)
    return [*plain, one.body]


def _forms(secret: bytes) -> list[bytes]:
    return [
        secret, secret.hex().encode(), secret.hex().upper().encode(), b64encode(secret).rstrip(b"="),
        urlsafe_b64encode(secret).rstrip(b"="),
    ]  # fmt: skip


def _aud(facts: Facts) -> Verdict:
    zone = names.to_text(facts.given.zone)
    return each(
        [one.said for one in facts.wishes if one.said is not None],
        lambda one: "" if one.aud == zone else f"aud is {one.aud}, and not {zone}",
    )


def _label(facts: Facts) -> Verdict:
    homes = {names.to_text(one.home) for one in facts.given.invited}

    def fault(one: Wish) -> str:
        assert isinstance(one.said, Enrol)
        return "" if facts.home_of(one.said.label) in homes else f"label is {one.said.label or 'empty'}."

    return each(facts.enrolments, fault)


def _lasts(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert one.said is not None
        lasts = one.said.exp - one.said.iat
        return "" if 0 < lasts <= one.said.LONGEST else f"Its {one.said.act} holds for {lasts} s."

    return each([one for one in facts.wishes if one.said is not None], fault)


def _clock(facts: Facts) -> Verdict:
    first: dict[bytes, Wish] = {}
    for one in facts.wishes:
        if one.signed is not None:
            first.setdefault(one.signed.digest, one)
    done = {one.signed.digest for one in facts.wishes if one.done and one.signed is not None}

    def fault(one: Wish) -> str:
        assert one.said is not None
        off = one.said.iat - one.event.now
        return "" if abs(off) <= _CLOCK else f"iat is {off} s off."

    return each([one for digest, one in first.items() if digest in done], fault)


def _once(facts: Facts) -> Verdict:
    said: dict[tuple[str, str], bytes] = {}

    def fault(one: Wish) -> str:
        assert one.said is not None and one.signed is not None  # noqa: PT018
        signer = b64.encode(one.keys[0].x) if one.keys else ""
        kept = said.setdefault((signer, one.said.jti), one.signed.digest)
        return "" if kept == one.signed.digest else "Two statements have one jti."

    return each([one for one in facts.wishes if one.said is not None], fault)


def _gets_home(facts: Facts) -> Verdict:
    if not facts.enrolments:
        return NOT_SEEN
    if any(one.done for one in facts.enrolments):
        return MET
    return missed(f"The registry answered {facts.enrolments[-1].event.status}.")


def _nobody(facts: Facts) -> Verdict:
    return each(
        [one.said for one in facts.enrolments if isinstance(one.said, Enrol)],
        lambda one: "It names an owner, whom nobody gave it." if one.owner else "",
    )


def _kind(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        curve = _curve(one.event.body)
        return "" if curve in jwk.ENROLLED else f"Its key is of the curve {curve}."

    return each([one for one in facts.wishes if _curve(one.event.body)], fault)


def _curve(body: bytes) -> str:
    """Return the curve of the first signature's key, whatever else there is; nothing where it cannot be read."""
    try:
        first = msgspec.json.decode(body, type=_Carrier).signatures[0]
        return msgspec.json.decode(b64.decode(first.protected), type=_Header).jwk.crv
    except (msgspec.DecodeError, IndexError, BadProof):
        return ""


class _Key(msgspec.Struct):
    crv: str = ""


class _Header(msgspec.Struct):
    jwk: _Key


class _Protected(msgspec.Struct):
    protected: str


class _Carrier(msgspec.Struct):
    signatures: list[_Protected]


def _busy(facts: Facts) -> list[tuple[Exchange, Exchange | None]]:
    """Return the posts that were told to come again, each with the next one."""
    posts = [one for one in facts.exchanges if one.method == "POST" and one.path in (ENROL, VOUCHER)]
    return [
        (one, next((later for later in posts if later.at >= one.until), None))
        for one in posts
        if one.retry_after and one.status in (202, 429, 503)
    ]


def _retry_after(facts: Facts) -> Verdict:
    def fault(pair: tuple[Exchange, Exchange | None]) -> str:
        first, after = pair
        assert after is not None
        waited = after.at - first.until
        asked = first.retry_after
        return "" if waited >= asked else f"It came again after {waited:.1f} s, and was asked to wait {asked} s."

    return each([one for one in _busy(facts) if one[1] is not None], fault)


def _retry_same(facts: Facts) -> Verdict:
    def fault(pair: tuple[Exchange, Exchange | None]) -> str:
        first, after = pair
        assert after is not None
        if first.path == VOUCHER:
            same = first.body == after.body
        else:  # a signature may be made anew, what counts is the payload
            one, other = Wish(first).signed, Wish(after).signed
            same = one is not None and other is not None and one.digest == other.digest
        return "" if same else "The next try was another request."

    return each([one for one in _busy(facts) if one[1] is not None], fault)


def _retry_soon(facts: Facts) -> Verdict:
    def fault(pair: tuple[Exchange, Exchange | None]) -> str:
        first, after = pair
        if after is None:
            return "It did not come again."
        waited = after.at - first.until
        return "" if waited <= LONGEST else f"It came again only after {waited:.0f} s."

    return each(_busy(facts), fault)


_R, _S = Level.REQUIRED, Level.RECOMMENDED

CHECKS: tuple[Check, ...] = (
    Check("TLS-1", _ALONE, _R, _REGISTRY, "speaks TLS 1.3 to the desk", _tls),
    Check("TLS-2", _ALONE, _S, "RFC 6066 §3", "names the desk in the handshake (SNI)", _name),
    Check("PIN-1", _ALONE, _S, _REGISTRY, "asks for the desk's TLSA records with the invitation's signature", _pins),
    Check("BAD-1", _ALONE, _R, _REGISTRY, "sends nothing to a desk that has another key", _stranger),
    Check("HTTP-1", _ALONE, _R, _STATEMENT, "posts a statement as application/jose+json", _media),
    Check("HTTP-2", _STATED, _R, _STATEMENT, "makes no statement longer than 64 KiB", _size),
    Check("JWS-1", _STATED, _R, _STATEMENT, "makes statements of the form and the members that are known", _form),
    Check("JWS-2", _STATED, _R, _STATEMENT, "has each signature show its whole key, and verify by it", _keys),
    Check("JWS-3", _STATED, _R, _STATEMENT, "says typ nameplate+jws in each header", _typ),
    Check("STM-1", _STATED, _R, _STATEMENT, "addresses its statements to the registry's zone (aud)", _aud),
    Check("STM-2", _STATED, _R, _STATEMENT, "makes no statement that holds for too long (exp)", _lasts),
    Check("STM-3", _ALONE, _S, _STATEMENT, "says what time it is within five minutes (iat)", _clock),
    Check("STM-4", _STATED, _R, _STATEMENT, "says every new statement under a new jti", _once),
    Check("INV-1", _BOTH, _R, _INVITATION, "signs last with the invitation's secret", _secret_signs),
    Check("INV-2", _BOTH, _R, _INVITATION, "keeps the invitation's secret to itself", _secret_kept),
    Check("INV-3", _BOTH, _R, _INVITATION, "asks for the home that it was invited to (label)", _label),
    Check("INV-4", _ALONE, _R, _INVITATION, "names no owner where it was given none", _nobody),
    Check("INV-5", _BOTH, _R, _INVITATION, "gets its home in the end", _gets_home),
    Check("KEY-1", _STATED, _R, _INVITATION, "has a key on P-256 or Ed25519", _kind),
    Check("RETRY-1", _ASKING, _R, _AWAY, "waits at least for what Retry-After says", _retry_after),
    Check("RETRY-2", _ASKING, _R, _AWAY, "sends the same request again after a 202 or 503", _retry_same),
    Check("RETRY-3", _ASKING, _S, _AWAY, f"comes again within {LONGEST} s after the first of these", _retry_soon),
)  # fmt: skip
