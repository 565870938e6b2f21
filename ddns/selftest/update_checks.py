"""Checks of what a box sends by DNS, of how its keys follow one another, and of what it asks of an owner."""

from __future__ import annotations

from ddns.auth import sig0
from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.proof.jwk import PublicJwk
from ddns.proof.statements import Enrol, Replace
from ddns.selftest.check import MET, NOT_SEEN, Check, Level, Verdict, each, missed
from ddns.selftest.facts import ENROL, Facts, Life, Sent, Wish
from ddns.selftest.transcript import Handed
from ddns.selftest.web_checks import PAGE

COOKIE = 10  # RFC 7873 §4, the EDNS option's code
HURRY = 0.5  # seconds; RFC 8961 §4 has a first wait of a second, and a busy machine may notice the first try late
SAME = 60.0  # seconds for which a message that got no answer is sent again as it is
_EVERY = ("invitation", "owner", "voucher", "qr")
_ALONE, _OWNED, _PHONED = ("invitation",), ("owner",), ("owner", "qr")
_INVITATION, _AWAY = f"{PAGE}, Enrol by invitation", f"{PAGE}, When nobody answers"
_ROLL = f"{PAGE}, Replace, roll, announce"
_SHIP = "ship-a-gateway.md, What to keep, and what to wipe"


def _signed(facts: Facts) -> Verdict:
    def fault(one: Sent) -> str:
        if one.sig0 is None:
            return "An update has no SIG(0)."
        homes = {life.home for life in facts.lives}
        signer = names.to_text(one.sig0.signer)
        return "" if signer in homes else f"An update is signed under {signer}, which is not the home's name."

    return each(facts.updates, fault)


def _verifies(facts: Facts) -> Verdict:
    signed = [one for one in facts.updates if one.sig0 is not None]
    return each(signed, lambda one: "" if facts.by(one) else "A SIG(0) is not by a key that the box enrolled.")


def _window(facts: Facts) -> Verdict:
    def fault(one: Sent) -> str:
        assert one.sig0 is not None
        found = sig0.in_time(one.sig0, one.event.now)
        return found.text if isinstance(found, Refusal) else ""

    return each([one for one in facts.updates if one.sig0 is not None], fault)


def _zone(facts: Facts) -> Verdict:
    def fault(one: Sent) -> str:
        assert one.update is not None
        zone = names.to_text(one.update.zone)
        return "" if zone in {life.home for life in facts.lives} else f"An update is for the zone {zone}."

    return each(facts.updates, fault)


def _within(facts: Facts) -> Verdict:
    def fault(one: Sent) -> str:
        assert one.update is not None
        homes = [names.from_text(life.home) for life in facts.lives]
        for name, _ in one.update.writes:
            if not any(names.is_subdomain(name, home) for home in homes):
                return f"An update writes {names.to_text(name)}."
        return ""

    return each(facts.updates, fault)


def _accepted(facts: Facts) -> Verdict:
    answered = [one for one in facts.updates if one.rcode is not None]
    if any(one.rcode == 0 for one in answered):
        return MET
    return missed(f"The registry answered with RCODE {answered[-1].rcode}.") if answered else NOT_SEEN


def _cookie(facts: Facts) -> Verdict:
    def fault(one: Sent) -> str:
        assert one.update is not None
        edns = one.update.edns
        found = edns is not None and any(code == COOKIE for code, _ in edns.options)
        return "" if found else "An update has no cookie, so the registry takes its address for anybody's."

    return each(facts.updates, fault)


def _lost(facts: Facts) -> list[tuple[Sent, Sent | None]]:
    """Return the updates that got no answer, each with what the box sent next.

    One that is the same as another, which was answered after it came, was answered with it.
    """
    answered = [one for one in facts.updates if one.event.answer]
    lost = [
        one
        for one in facts.updates
        if not one.event.answer
        and not any(other.event.at < one.event.at < other.event.until and _same(one, other) for other in answered)
    ]
    return [(one, next((after for after in facts.updates if after.event.at > one.event.at), None)) for one in lost]


def _same(one: Sent, other: Sent) -> bool:
    assert one.update is not None
    assert other.update is not None
    mine, others = one.update, other.update
    return (mine.zone, mine.writes, mine.operations) == (others.zone, others.writes, others.operations)


def _again(facts: Facts) -> Verdict:
    def fault(pair: tuple[Sent, Sent | None]) -> str:
        one, after = pair
        return "" if after is not None and _same(one, after) else "An update that got no answer was not sent again."

    return each(_lost(facts), fault)


def _sent_again(facts: Facts) -> list[tuple[Sent, Sent | None]]:
    return [one for one in _lost(facts) if one[1] is not None and _same(one[0], one[1])]


def _same_octets(facts: Facts) -> Verdict:
    def fault(pair: tuple[Sent, Sent | None]) -> str:
        one, after = pair
        assert after is not None
        late = after.event.at - one.event.at > SAME
        return "" if late or after.event.octets == one.event.octets else "It was made anew for the next try."

    return each(_sent_again(facts), fault)


def _no_hurry(facts: Facts) -> Verdict:
    def fault(pair: tuple[Sent, Sent | None]) -> str:
        one, after = pair
        assert after is not None
        waited = after.event.at - one.event.at
        return "" if waited >= HURRY else f"It was sent again after {waited * 1000:.0f} ms."

    return each(_sent_again(facts), fault)


def _done(wishes: list[Wish]) -> list[Wish]:
    return [one for one in wishes if one.done and len(one.keys) > 1]


def _roll_signed(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert one.said is not None
        there = [life for life in facts.lives if life.home == one.said.sub and life.since < one.event.until]
        if len(one.keys) != 2:
            return f"{len(one.keys)} keys signed it."
        current = max(there, key=lambda life: life.since, default=None)
        return "" if current is not None and current.key == one.keys[0] else "The first signature is not the old key's."

    return each(facts.rolls, fault)


def _roll_fresh(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        before = [life.key for life in facts.lives if life.since < one.event.until]
        return "The next key is one that was there before." if one.keys[-1] in before else ""

    return each(_done(facts.rolls), fault)


def _roll_used(facts: Facts) -> Verdict:
    def fault(life: Life) -> str:
        later = [one for one in facts.updates if one.event.at > life.since and _at_home(one, life)]
        if not later:
            return ""
        return "" if any(one.is_by(life.key) for one in later) else "Updates after the roll are not by the next key."

    rolled = [life for life in facts.lives if life.how == "roll-key"]
    used = [life for life in rolled if any(one.event.at > life.since and _at_home(one, life) for one in facts.updates)]
    return each(used, fault)


def _old_silent(facts: Facts) -> Verdict:
    def fault(life: Life) -> str:
        late = [one for one in facts.updates if one.event.at > life.until and one.is_by(life.key)]
        return "A key signs on although another one has taken its place." if late else ""

    return each([life for life in facts.lives if life.until != float("inf")], fault)


def _at_home(one: Sent, life: Life) -> bool:
    return one.update is not None and names.to_text(one.update.zone) == life.home


def _begun_anew(facts: Facts) -> list[Life]:
    """Return the keys that came after a reset: those of an enrolment or a replacement that is not the first."""
    return [life for life in facts.lives if life.how in ("enrol", "replace")][1:]


def _reset_new(facts: Facts) -> Verdict:
    """Judge what begins anew: all enrolments and replacements that were done, but the first."""
    seen: set[PublicJwk] = set()
    fresh: list[bool] = []
    for _, act, keys in facts.begun:
        if act in ("enrol", "replace"):
            fresh.append(keys[0] not in seen)
        seen.update(keys)
    return each(fresh[1:], lambda new: "" if new else "After the reset it came with a key that it had before.")


def _reset_silent(facts: Facts) -> Verdict:
    begun = _begun_anew(facts)
    if not begun:
        return NOT_SEEN
    since = begun[0].since
    before = [life for life in facts.lives if life.since < since]
    late = [one for one in facts.sent if one.event.at > since and any(one.is_by(life.key) for life in before)]
    return missed("A key from before the reset signs on.") if late else MET


def _owner_named(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert isinstance(one.said, Enrol)
        return "" if one.said.owner == facts.given.owner else "owner is not the thumbprint of the owner's key."

    return each(facts.enrolments, fault)


def _owner_handed(facts: Facts) -> Verdict:
    alone = [one for one in facts.exchanges if one.method == "POST" and one.path == ENROL]
    if alone:
        return missed("It posted what its owner has not signed.")
    return MET if any(isinstance(one.event, Handed) for one in facts.wishes) else NOT_SEEN


def _owner_asks(facts: Facts) -> Verdict:
    mine = [life for life in facts.lives if life.how == "enrol"]
    if not mine:
        return NOT_SEEN
    asked = [one for one in facts.probes if any(one.is_by(life.key) for life in mine)]
    return MET if asked else missed("It did not ask by DNS whether its key is known.")


def _replaces(facts: Facts) -> list[Wish]:
    return [one for one in facts.wishes if isinstance(one.said, Replace)]


def _replace_home(facts: Facts) -> Verdict:
    homes = {life.home for life in facts.lives if life.how == "enrol"}

    def fault(one: Wish) -> str:
        assert isinstance(one.said, Replace)
        return "" if one.said.sub in homes else f"It asks for {one.said.sub}, and not for its home."

    return each(_replaces(facts), fault)


def _replace_same(facts: Facts) -> Verdict:
    def fault(one: Wish) -> str:
        assert isinstance(one.said, Replace)
        return "" if one.said.same_box else "It does not say same_box, and counts as another box."

    return each(_replaces(facts), fault)


def _readable(facts: Facts) -> Verdict:
    return each(facts.sent, lambda one: "" if one.question is not None else "A message cannot be read.")


_R, _C, _S = Level.REQUIRED, Level.CONDITIONAL, Level.RECOMMENDED

CHECKS: tuple[Check, ...] = (
    Check("DNS-1", _EVERY, _R, "RFC 1035 §4.1", "sends messages that can be read", _readable),
    Check("UPD-1", _EVERY, _R, _INVITATION, "signs updates with SIG(0), under its home's name", _signed),
    Check("UPD-2", _EVERY, _R, _INVITATION, "signs with the key that it enrolled", _verifies),
    Check("UPD-3", _EVERY, _R, "refusals.md, sig0-time-wrong and sig0-window-wide",
          "signs for a time that is now, and for 3900 s at most", _window),
    Check("UPD-4", _EVERY, _R, "RFC 2136 §2.3", "names its own home in the zone section", _zone),
    Check("UPD-5", _EVERY, _R, "RFC 2136 §3.4.1", "writes nothing that is not below its home's name", _within),
    Check("UPD-6", _EVERY, _R, _INVITATION, "gets something published", _accepted),
    Check("UPD-7", _EVERY, _S, "RFC 7873 §5.1", "sends a DNS cookie", _cookie),
    Check("AWAY-1", _ALONE, _R, _AWAY, "sends an update again that got no answer", _again),
    Check("AWAY-2", _ALONE, _S, _AWAY, "sends the same octets again, for the first minute", _same_octets),
    Check("AWAY-3", _ALONE, _S, "RFC 8961 §4", "lets about a second go by before it does", _no_hurry),
    Check("ROLL-1", _ALONE, _C, _ROLL, "has the old key sign a roll first, and the next key second", _roll_signed),
    Check("ROLL-2", _ALONE, _C, _ROLL, "rolls to a key that is new", _roll_fresh),
    Check("ROLL-3", _ALONE, _C, _ROLL, "signs updates with the next key after a roll", _roll_used),
    Check("ROLL-4", _ALONE, _C, _ROLL, "uses no key again whose place another one has taken", _old_silent),
    Check("RESET-1", _EVERY, _R, _SHIP, "has a new key after a factory reset", _reset_new),
    Check("RESET-2", _EVERY, _R, _SHIP, "uses no key again from before a factory reset", _reset_silent),
    Check("OWN-1", _OWNED, _R, _INVITATION, "names its owner's key in the statement", _owner_named),
    Check("OWN-2", _OWNED, _R, _INVITATION, "leaves it to its owner's phone to post it", _owner_handed),
    Check("OWN-3", _OWNED, _R, _INVITATION, "asks by DNS whether its key is known", _owner_asks),
    Check("OWN-4", _PHONED, _R, _ROLL, "asks for its own home after a reset (replace)", _replace_home),
    Check("OWN-5", _PHONED, _S, _ROLL, "says that it is the same box (same_box)", _replace_same),
)  # fmt: skip
