"""Checks of a box that comes with its maker's certificate: by BRSKI (RFC 8995) and EST (RFC 7030)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ddns.proof import cms, idevid, jwk, voucher
from ddns.selftest.check import MET, NOT_SEEN, Check, Judge, Level, Verdict, each, missed
from ddns.selftest.facts import (
    ATTRIBUTES,
    ENROL_STATUS,
    SIMPLEENROLL,
    STANDING,
    VOUCHER,
    VOUCHER_STATUS,
    Asking,
    Certifying,
    Facts,
    media_of,
)
from ddns.selftest.transcript import Exchange, Gained
from ddns.selftest.web_checks import PAGE

_MAKER = f"{PAGE}, Enrol by the maker's certificate"
_METHOD = ("voucher",)
_NONCE = range(8, 33)  # octets

# What may be wrong with a voucher, and how that is said.
TRICKS = {
    "serial": "a voucher for another serial number",
    "nonce": "a voucher that answers another request",
    "expired": "a voucher that has expired",
    "domain": "a voucher that has it trust another registrar",
    "signer": "a voucher that its maker did not sign",
}
LATER = "later"  # no voucher yet


class _Told(msgspec.Struct):
    status: bool


def _signed(facts: Facts) -> Verdict:
    mine = cms.certificate(facts.given.idevid) if facts.given.idevid else None

    def fault(one: Asking) -> str:
        if one.signed is None:
            return one.why
        good = mine is not None and one.signed.verify(mine)
        return "" if good else "A request for a voucher is not signed by the key of its maker's certificate."

    return each(facts.askings, fault)


def _said(facts: Facts) -> list[Asking]:
    return [one for one in facts.askings if one.said is not None]


def _near(facts: Facts) -> Verdict:
    def fault(one: Asking) -> str:
        assert one.said is not None
        near = one.said.proximity_registrar_cert
        return "" if near == facts.given.registrar else "It names another registrar than the one that it sees, or none."

    return each(_said(facts), fault)


def _serial(facts: Facts) -> Verdict:
    def fault(one: Asking) -> str:
        assert one.said is not None
        mine = idevid.read(cms.certificate(facts.given.idevid)).serial
        return "" if one.said.serial_number == mine else f"It says {one.said.serial_number}, and is {mine}."

    return each(_said(facts), fault)


def _nonce(facts: Facts) -> Verdict:
    def fault(one: Asking) -> str:
        assert one.said is not None
        size = len(one.said.nonce or b"")
        return "" if size in _NONCE else f"Its nonce has {size} octets."

    return each(_said(facts), fault)


def _fresh(facts: Facts) -> Verdict:
    kept: dict[bytes, bytes] = {}

    def fault(one: Asking) -> str:
        assert one.said is not None
        body = kept.setdefault(one.said.nonce or b"", one.event.body)
        return "" if body == one.event.body else "Two different requests have one nonce."

    return each(_said(facts), fault)


def _shown(facts: Facts) -> Verdict:
    asked: list[Exchange] = [one.event for one in facts.askings]
    asked += [one.event for one in facts.certifyings]
    return each(
        asked,
        lambda one: "" if one.shown == facts.given.idevid else "It did not show its maker's certificate over TLS.",
    )


def _media(facts: Facts) -> Verdict:
    def fault(one: Asking) -> str:
        media = media_of(one.event)
        return "" if media in voucher.MEDIA else f"It said {media or 'none'}."

    return each(facts.askings, fault)


def _after(facts: Facts, one: Exchange) -> list[Exchange]:
    """Return what the box did between one voucher and asking for the next one."""
    found: list[Exchange] = []
    for later in facts.exchanges:
        if later.at < one.until:
            continue
        if later.path == VOUCHER:
            break
        found.append(later)
    return found


def _refuses(trick: str) -> Judge:
    def judge(facts: Facts) -> Verdict:
        def fault(one: Asking) -> str:
            after = _after(facts, one.event)
            if any(later.path == SIMPLEENROLL for later in after):
                return f"It went on to enrol with {TRICKS[trick]}."
            believed = any(later.path == VOUCHER_STATUS and _is_good(later) for later in after)
            return f"It said that {TRICKS[trick]} is good." if believed else ""

        return each([one for one in facts.askings if one.event.trick == trick], fault)

    return judge


def _is_good(one: Exchange) -> bool | None:
    """Return what a status says; None: it cannot be read."""
    try:
        return msgspec.json.decode(one.body, type=_Told).status
    except msgspec.DecodeError:
        return None


def _tells(*, bad: bool) -> Judge:
    def judge(facts: Facts) -> Verdict:
        def fault(one: Asking) -> str:
            told = [_is_good(later) for later in _after(facts, one.event) if later.path == VOUCHER_STATUS]
            return "" if (not bad) in told else f"It did not tell that a voucher was {'bad' if bad else 'good'}."

        given = [one for one in facts.askings if one.event.status == 200]
        return each([one for one in given if bool(one.event.trick) == bad], fault)

    return judge


def _attributes(facts: Facts) -> Verdict:
    def fault(one: Certifying) -> str:
        asked = any(first.path == ATTRIBUTES and first.at < one.event.at for first in facts.exchanges)
        return "" if asked else "It asked for a certificate without asking what the request should have."

    return each(facts.certifyings, fault)


def _other_key(facts: Facts) -> Verdict:
    def fault(one: Certifying) -> str:
        assert one.said is not None
        mine = idevid.public_octets(cms.certificate(facts.given.idevid))
        same = idevid.spki(jwk.public_key(one.said.key)) == mine
        return "The home's key is that of its maker's certificate." if same else ""

    return each([one for one in facts.certifyings if one.said is not None], fault)


def _request(facts: Facts) -> Verdict:
    def fault(one: Certifying) -> str:
        if one.said is None:
            return one.why
        mine = idevid.read(cms.certificate(facts.given.idevid)).serial
        return "" if one.said.serial in ("", mine) else f"It asks as {one.said.serial}, and is {mine}."

    return each(facts.certifyings, fault)


def _gained(facts: Facts) -> list[Gained]:
    return [one for one in facts.events if isinstance(one, Gained)]


def _later(facts: Facts, path: str) -> Callable[[Gained], list[Exchange]]:
    """Return what gives the requests of *path* that show another certificate than the maker's, after a certificate."""
    return lambda gained: [
        one
        for one in facts.exchanges
        if one.path == path and one.at >= gained.until and one.shown not in (b"", facts.given.idevid)
    ]


def _enrol_status(facts: Facts) -> Verdict:
    told = _later(facts, ENROL_STATUS)
    return each(
        _gained(facts),
        lambda one: (
            ""
            if any(_is_good(later) for later in told(one))
            else "It did not tell, with the new certificate, that the enrolment was good."
        ),
    )


def _standing(facts: Facts) -> Verdict:
    asked = _later(facts, STANDING)
    return each(_gained(facts), lambda one: "" if asked(one) else "It did not ask which home it has.")


def _gets_home(facts: Facts) -> Verdict:
    if _gained(facts):
        return MET
    if not facts.certifyings:
        return NOT_SEEN
    return missed(f"The registrar answered {facts.certifyings[-1].event.status}.")


_R, _S = Level.REQUIRED, Level.RECOMMENDED

CHECKS: tuple[Check, ...] = (
    Check("PVR-1", _METHOD, _R, "RFC 8995 §5.2", "signs its request for a voucher with its maker's key", _signed),
    Check("PVR-2", _METHOD, _R, "RFC 8995 §5.2", "names this registrar in it (proximity-registrar-cert)", _near),
    Check("PVR-3", _METHOD, _R, "RFC 8995 §5.2", "says the serial number of its certificate in it", _serial),
    Check("PVR-4", _METHOD, _R, "RFC 8366 §5.3", "puts a nonce of 8 to 32 octets into it", _nonce),
    Check("PVR-5", _METHOD, _R, _MAKER, "makes a new nonce for each request that it makes anew", _fresh),
    Check("PVR-6", _METHOD, _R, _MAKER, "shows its maker's certificate over TLS", _shown),
    Check("PVR-7", _METHOD, _R, "RFC 8366 §8.3", "calls the request voucher-cms+json or voucher-jws+json", _media),
    *(
        Check(f"BAD-{number}", _METHOD, _R, _MAKER, f"refuses {TRICKS[trick]}", _refuses(trick))
        for number, trick in enumerate(TRICKS, 2)
    ),
    Check("VST-1", _METHOD, _R, "RFC 8995 §5.7", "tells the registrar that a voucher was bad", _tells(bad=True)),
    Check("VST-2", _METHOD, _R, "RFC 8995 §5.7", "tells the registrar that a voucher was good", _tells(bad=False)),
    Check("EST-1", _METHOD, _R, _MAKER, "asks csrattrs before simpleenroll", _attributes),
    Check("EST-2", _METHOD, _R, _MAKER, "has another key for the home than its maker's", _other_key),
    Check("EST-3", _METHOD, _R, "RFC 7030 §4.2.1", "signs its request for a certificate, for itself", _request),
    Check("EST-4", _METHOD, _R, "RFC 8995 §5.9.4", "tells with the new certificate that it went well", _enrol_status),
    Check("EST-5", _METHOD, _S, _MAKER, "asks which home it has", _standing),
    Check("EST-6", _METHOD, _R, _MAKER, "gets its home in the end", _gets_home),
)  # fmt: skip
