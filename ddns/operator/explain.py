"""A refusal explained: what was asked, and the decision made again, step by step, with everything as it is now.

Law: the steps are those of an update that arrives (`ddns.net.updates`, `ddns.net.commits`), in their order and by
the same pure functions. Nothing is changed, and what cannot be known any more (a signature is not kept) is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ddns.auth import grants, verdicts
from ddns.auth.phrases import rule_in_words, rules_in_words
from ddns.auth.principal import Credential, Grant, Secret
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import leases as leasing
from ddns.homes.enrol import wanted_key
from ddns.operator.change import Conn
from ddns.operator.cures import cures
from ddns.operator.fault import CannotDo
from ddns.store import credentials, invitations, leases, refusals, rrsets, zones
from ddns.store import grants as stored_grants
from ddns.store.refusals import Listed, Refused
from ddns.store.zones import Zone
from ddns.zone import srp, update
from ddns.zone.lease import Leases
from ddns.zone.limits import Limits
from ddns.zone.phrases import asked
from ddns.zone.update import Update
from ddns.zone.view import View

MOST = 100  # phrases and rules that are shown


class Step(msgspec.Struct, frozen=True):
    """One question of the decision: *verdict* is `holds`, `refused`, `unknown` or, behind a refusal, `not asked`."""

    question: str
    verdict: str
    says: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """What is known of a refusal.

    *asks* are phrases, *held* and *holds* the key's rules then and now, *revoked_at* (seconds since 1970) says when it
    was revoked; *steps* are the decision made now, *today* is what would refuse it. *judged* is False where it cannot
    be judged again, and *steps* then end with the reason.
    """

    listed: Listed
    asks: tuple[str, ...]
    held: tuple[str, ...]
    holds: tuple[str, ...]
    revoked_at: int | None
    steps: tuple[Step, ...]
    judged: bool
    today: Refusal | None
    cures: tuple[str, ...]


class Facts(msgspec.Struct):
    """What was read of today's registry, as far as there was reason to read it."""

    refused: Refused
    update: Update
    limits: Limits
    now: int
    credential: Credential | None = None
    zone: Zone | None = None
    everybody: Sequence[Grant] = ()
    revoked_at: int | None = None


async def listing(
    conn: Conn, limit: int, zone: Name | None, key: Name | None, code: str | None, since: int | None
) -> list[Listed]:
    """Return the newest *limit* refusals that fit; *since* in seconds since 1970."""
    shown = [None if name is None else names.to_text(name) for name in (zone, key)]
    return await refusals.latest(conn, limit, zone=shown[0], key=shown[1], code=code, since=since)


async def explain(conn: Conn, number: int, limits: Limits, now: int) -> Explanation:
    """Explain the refusal of this *number*. Raises `CannotDo` where there is none (any more)."""
    listed = await refusals.get(conn, number)
    if listed is None:
        oldest = await refusals.oldest(conn)
        kept = "there is none yet" if oldest is None else f"those kept begin with {oldest}"
        raise CannotDo(f"There is no refusal {number}; {kept}. `ddns explain` lists the latest.")
    refused = listed.refused
    # Locks and reads are given back: to explain is not to do.
    async with conn.transaction(force_rollback=True):
        again = None if refused.message is None else update.parse(refused.message, limits)
        if again is None or isinstance(again, Refusal):
            return await _unjudged(conn, listed, again)
        facts = Facts(refused, again, limits, now)
        steps, today = await _steps(conn, facts)
        holds: tuple[str, ...] = ()
        if facts.credential is not None and facts.zone is not None:
            holds = rules_in_words(facts.credential, facts.zone.id, MOST)
            holds += tuple(f"everybody: {rule_in_words(rule)}" for rule in facts.everybody[:MOST])
        nearest = await _nearest(conn, again.zone)
        help_ = cures(refused, today, again, facts.credential, facts.zone, facts.everybody, nearest)
        asks = tuple(asked(again, rdata=True))[:MOST]
        return Explanation(listed, asks, refused.held, holds, facts.revoked_at, steps, True, today, help_)


async def _unjudged(conn: Conn, listed: Listed, fault: Refusal | None) -> Explanation:
    """Explain what was not kept whole: a stranger's message, one that is too long, or one that does not parse."""
    refused = listed.refused
    steps: list[Step] = []
    key = None if refused.key is None else names.from_text(refused.key)
    there = () if key is None else (await credentials.by_names(conn, [key], _closed)).get(key, ())
    if refused.code == "update-unsigned":
        steps.append(
            Step("Is it signed?", "refused", "Whatever it asks for, an update without a signature is refused.")
        )
    elif refused.key is not None:
        steps.append(_named(refused, there))
    if fault is not None:
        steps.append(Step("Is the message well-formed?", "refused", fault.text))
    elif steps and steps[-1].verdict == "refused":
        fault = Refusal(refused.code, Rcode(refused.rcode), refused.text)
    elif refused.credential is None:
        steps.append(Step("Can it be judged again?", "unknown", "Of strangers' messages nothing else is kept."))
    else:
        says = f"The message had {refused.size} octets, more than are kept ([refusals] octets), or did not parse."
        steps.append(Step("Can it be judged again?", "unknown", says))
    return Explanation(
        listed, refused.asked, refused.held, (), None, tuple(steps), fault is not None, fault,
        cures(refused, fault, None, there[0] if there else None, None, (), None),
    )  # fmt: skip


def _named(refused: Refused, there: Sequence[Credential]) -> Step:
    """Compare the key that a message names with those of that name."""
    question = f"Is there a key {refused.key}?"
    if not there:
        return Step(question, "refused", "No live key has this name.")
    theirs = _key_in_words(refused.kind or "", refused.algorithm or "", refused.tag)
    ours = [_key_in_words(one.kind, one.algorithm, one.tag if one.kind == "sig0" else None) for one in there]
    if theirs in ours:
        return Step(question, "holds", f"The sender used {theirs}, and so it is enrolled.")
    return Step(question, "refused", f"The sender used {theirs}; enrolled is {', '.join(ours)}.")


def _key_in_words(kind: str, algorithm: str, tag: int | None) -> str:
    if kind == "tsig":
        return f"TSIG {algorithm}"
    return f"SIG(0) algorithm {algorithm}" + ("" if tag is None else f" tag {tag}")


_Question = tuple[str, Callable[[], Refusal | str | None]]


async def _steps(conn: Conn, facts: Facts) -> tuple[tuple[Step, ...], Refusal | None]:
    """Make the decision again; return its steps and what refuses it now."""
    steps = [_signature(facts.refused)]
    questions = await _questions(conn, facts)
    today: Refusal | None = None
    for question, answer in questions:
        if today is not None:
            steps.append(Step(question, "not asked"))
            continue
        found = answer()
        if isinstance(found, Refusal):
            today = found
            steps.append(Step(question, "refused", f"{found.text} [{found.code}]"))
        else:
            steps.append(Step(question, "holds", found or ""))
    return tuple(steps), today


def _signature(refused: Refused) -> Step:
    question = f"Is it signed by the key {refused.key}?"
    if refused.verified:
        return Step(question, "holds", "It was, when it came.")
    says = "It was refused before that was proved; signatures are not kept, so from here on it is taken to be good."
    return Step(question, "unknown", says)


async def _questions(conn: Conn, facts: Facts) -> list[_Question]:
    """Return the questions in the order of the server, each with what answers it: a refusal, or a remark."""
    refused, asks = facts.refused, facts.update
    assert refused.credential is not None
    live = await credentials.by_ids(conn, [refused.credential])
    facts.credential = credential = live.get(refused.credential)
    facts.zone = zone = await zones.find(conn, asks.zone)
    named = Credential(refused.credential, names.from_text(refused.key or "."), refused.kind or "", "")
    facts.revoked_at = await credentials.revoked_at(conn, refused.credential)
    gone = None if credential is not None else verdicts.key_revoked(named)
    is_here: _Question = ("Is the key enrolled?", lambda: gone or _enrolled(credential))
    if credential is None:
        return [is_here, ("May it write what it asks for?", lambda: None), ("Does the zone allow it?", lambda: None)]
    if credential.invitation is not None:
        return [is_here, *await _invited(conn, facts, credential)]
    origin = asks.zone
    served: _Question = (
        f"Is the zone {names.to_text(origin)} here?", lambda: None if zone else verdicts.zone_unknown(origin),
    )  # fmt: skip
    if zone is None:
        return [is_here, served]
    facts.everybody = (await stored_grants.for_everybody(conn, [zone.id])).get(zone.id, ())
    found = await rrsets.read_names(conn, [(zone.id, name) for name in asks.names])
    view = View({name: found.get((zone.id, name), ()) for name in asks.names})
    out: list[_Question] = [is_here, served]
    if zone.home:
        out.append(("Does the home take updates?", lambda: _takes_none(zone)))
    if credential.kind == srp.POLICY:
        held = await leases.read_names(conn, [(zone.id, name) for name in asks.names])
        return out + _registered(facts, credential, zone, view, Leases(held.get(zone.id, {})))
    rules = grants.Rules(credential, zone.id, origin, is_home=zone.home, everybody=facts.everybody)
    wanted = [one.name for one in asks.prerequisites]

    def outcome() -> Refusal | str | None:
        done = update.apply(asks, view, signed=zone.denial != "none", limits=facts.limits)
        if isinstance(done, Refusal):
            return done
        refusal = rules.refuse_outcome(done.changes)
        if refusal is not None:
            return refusal
        number = len(done.changes)
        return f"It would change {number} RRset{'' if number == 1 else 's'}." if number else "It would change nothing."

    return [
        *out,
        ("May the key write what it asks for?", lambda: rules.refuse(asks.targets(), wanted)),
        ("Do the prerequisites hold?", lambda: update.prerequisites(asks, view)),
        ("Is every operation well-formed?", lambda: update.prescan(asks)),
        ("Does the outcome keep to limits and rules?", outcome),
    ]


def _takes_none(home: Zone) -> Refusal | None:
    """Return why a home takes no updates at all."""
    if home.suspended:
        return verdicts.home_suspended(home.origin)
    return verdicts.home_away(home.origin) if home.is_away else None


def _enrolled(credential: Credential | None) -> str | None:
    if credential is None:
        return None
    if credential.kind not in ("tsig", "sig0"):
        return "Services are registered here by a policy; each host brings its own key."
    tag = credential.tag if credential.kind == "sig0" else None
    return f"{_key_in_words(credential.kind, credential.algorithm, tag)}, assurance {credential.assurance}."


async def _invited(conn: Conn, facts: Facts, credential: Credential) -> list[_Question]:
    """Return the questions about an update that spends an invitation (see `ddns.homes.enrol`)."""
    assert credential.invitation is not None
    invitation = await invitations.lock_live(conn, credential.invitation, facts.now)
    if invitation is None:
        spent = verdicts.invitation_spent()
        return [("Is the invitation good?", lambda: spent), ("Does it ask for one key and no more?", lambda: None)]
    taken = await zones.find(conn, invitation.label) is not None

    def one_key() -> Refusal | None:
        key = wanted_key(facts.update, invitation.label)
        return key if isinstance(key, Refusal) else None

    return [
        ("Is the invitation good?", lambda: None),
        ("Is every operation well-formed?", lambda: update.prescan(facts.update)),
        ("Does it ask for one key and no more?", one_key),
        ("Is the home's name free?", lambda: verdicts.home_exists(invitation.label) if taken else None),
    ]


def _registered(facts: Facts, credential: Credential, zone: Zone, view: View, held: Leases) -> list[_Question]:
    """Return the questions about a registration of services (RFC 9665)."""
    host = names.from_text(facts.refused.key or ".")
    registration = srp.read(facts.update, host)

    def is_one() -> Refusal | str | None:
        if isinstance(registration, Refusal):
            return registration
        return None if registration else "It is none by today's rules; it would be judged like any other update."

    def free() -> Refusal | None:
        return srp.taken(registration, view, held) if isinstance(registration, srp.Registration) else None

    return [
        ("Is it a registration of services?", is_one),
        ("May services be registered here?", lambda: leasing.may_register(credential, zone)),
        ("Are its names free, or its own?", free),
    ]


async def _nearest(conn: Conn, name: Name) -> Name | None:
    """Return the apex of the zone here that holds *name*, None where there is none."""
    for origin in names.suffixes(name):
        if await zones.find(conn, origin) is not None:
            return origin
    return None


def _closed(_name: Name, _sealed: bytes) -> Secret:
    return Secret(b"")
