"""How motions settle: what every server has shown, and what has then left every cache. Pure.

Law: a motion settles its TTL and a safety after the last server had shown it, and not a second earlier: RFC 7583
§3.2.1 (Ipub = Dprp + TTLkey, Iret = Dsgn + Dprp + TTLsig), §3.3.1 and §3.3.2 (DprpP + TTLds). Their propagation delays
are not configured but observed. What was seen once is written down (`Noticed`), so that a server that is asked again
does not put the end off, and one that fails afterwards does not undo it.

A parent elsewhere has a will of its own. Where its servers come to show the contrary of what is believed of a DS, that
is begun anew; and while a DS there settles, it is looked at every hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from zone_signer import keys as public
from zone_signer import seen
from zone_signer.choosing import WITNESS
from zone_signer.goal import Order
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView, Motion
from zone_signer.phase import MOVING, Phase, Record
from zone_signer.seen import Seen, Sighting
from zone_signer.stage import Facts, Move, Noticed, Refused, Step, Wait, shown_time

NOBODY = "nobody"
_SETTLED = {Phase.RUMOURED: Phase.OMNIPRESENT, Phase.UNRETENTIVE: Phase.HIDDEN}
_LOOKS = 4  # a motion that waits for a server is looked at again after a quarter of its age
LOOK_LEAST, LOOK_MOST = 1, 3600  # seconds
LONGEST = 31 * 86_400  # seconds for which anybody remembers a record: resolvers cap TTLs at a week or so (RFC 8767)


class _Moving(msgspec.Struct, frozen=True):
    """A motion, its key and record, and what has been observed of it."""

    key: KeyView
    record: Record
    motion: Motion
    seen: Seen
    due: int | None  # when it has left every cache; None while some server has not shown it

    @property
    def phase(self) -> Phase:
        return self.key.phase(self.record)


def settle(facts: Facts, keys: Sequence[KeyView], orders: Sequence[Order], policy: KeyPolicy, now: int) -> Step | None:
    """Return the step that writes down what was observed and what has settled; None where there is nothing new."""
    moves = [*_unwritten(facts, keys, policy), *_contradicted(facts, keys, policy)]
    anew = {(move.key, move.record) for move in moves}
    noticed: list[Noticed] = []
    for one in _moving(facts, keys, orders, policy):
        if (one.key.id, one.record) in anew:
            continue
        if one.seen.at is not None and one.motion.seen_at is None:
            noticed.append(Noticed(one.key.id, one.record, one.seen.at, _evidence(one, orders)))
        if one.due is not None and one.due <= now:
            after = _SETTLED[one.phase]
            evidence = f"shown everywhere at {shown_time(one.seen.at or one.motion.since)} UTC"
            why = f"no cache lacks it since {shown_time(one.due)} UTC"
            if after is Phase.HIDDEN:
                why = f"no cache holds it since {shown_time(one.due)} UTC"
            moves.append(Move(one.key.id, one.record, one.phase, after, 0, why, evidence))
    done, refused = _witnesses(facts, keys, orders, policy, noticed)
    if moves or noticed or done:
        return Step(moves=tuple(moves), noticed=tuple(noticed), done_orders=done, refused=refused)
    return None


def waits(
    facts: Facts, keys: Sequence[KeyView], orders: Sequence[Order], policy: KeyPolicy, now: int
) -> tuple[tuple[Wait, ...], int | None]:
    """Return what each motion waits for, and when to look again."""
    out: list[Wait] = []
    wake: list[int] = []
    for one in _moving(facts, keys, orders, policy):
        if one.due is not None:
            what = f"some cache may hold what was there before until {shown_time(one.due)} UTC"
            if one.phase is Phase.UNRETENTIVE:
                what = f"some cache may hold it until {shown_time(one.due)} UTC"
            out.append(Wait(one.key.id, one.key.tag, one.record, one.due, what, NOBODY, stuck=False))
            wake.append(one.due)
            if one.record is Record.DS and not facts.parent:
                wake.append(now + LOOK_MOST)
            continue
        age = now - one.motion.since
        stuck = age > policy.patience
        who = _who(facts, one, policy, stuck=stuck)
        what = "; ".join(one.seen.missing) or "signatures are still being made"
        out.append(Wait(one.key.id, one.key.tag, one.record, None, what, who, stuck))
        wake.append(now + min(LOOK_MOST, max(LOOK_LEAST, age // _LOOKS)))
    return tuple(out), min(wake, default=None)


def ttl_of(facts: Facts, record: Record, policy: KeyPolicy) -> int:
    """Return the TTL, in seconds, of what caches may hold instead of *record* when it begins to move."""
    match record:
        case Record.DNSKEY:
            # Policies may change it in mid-roll; the absence of a first DNSKEY is cached too (RFC 2308 §5).
            return max(facts.dnskey_ttl, policy.signatures.dnskey_ttl, min(facts.negative_ttl, LONGEST))
        case Record.ZRRSIG:
            # A TTL of decades must not keep keys for decades: what is signed is not kept longer than its signature is
            # good (RFC 4035 §5.3.3), and the rest no longer than resolvers keep anything.
            return min(facts.max_ttl, max(LONGEST, policy.signatures.validity))
        case Record.DS:
            if facts.parent:
                return policy.ds_ttl if facts.ds_ttl is None else facts.ds_ttl
            return seen.ds_ttl(facts.parents, policy.ds_ttl)


def ds_text(facts: Facts, key: KeyView) -> str:
    """Return the DS record of *key* as one gives it to a parent."""
    rdata = public.ds(facts.origin, key.rdata)
    return f"{facts.name} IN DS {key.tag} {key.algorithm} {rdata[3]} {rdata[4:].hex().upper()}"


def _moving(facts: Facts, keys: Sequence[KeyView], orders: Sequence[Order], policy: KeyPolicy) -> Iterator[_Moving]:
    for key in keys:
        for record in Record:
            motion = key.motions.get(record)
            if motion is None or key.phase(record) not in MOVING:
                continue
            at = Seen(motion.seen_at)
            if motion.seen_at is None:
                at = _seen(facts, key, record, motion, orders, policy)
            due = None
            if at.at is not None:
                safety = policy.publish_safety
                if record is Record.ZRRSIG or key.phase(record) is Phase.UNRETENTIVE:
                    safety = policy.retire_safety
                due = at.at + max(motion.ttl, ttl_of(facts, record, policy)) + safety
            yield _Moving(key, record, motion, at, due)


def _seen(
    facts: Facts, key: KeyView, record: Record, motion: Motion, orders: Sequence[Order], policy: KeyPolicy
) -> Seen:
    without = {one.server for one in orders if one.kind == "without" and one.at >= motion.since}
    watched = policy.watch != "none"
    secondaries = _but(facts.secondaries, without) if watched else ()
    match record:
        case Record.DNSKEY:
            return _at_serial(secondaries, motion.serial, facts.serial, motion.since)
        case Record.ZRRSIG:
            if facts.whole is None or facts.whole[0] < motion.since:
                return Seen(None)
            return _at_serial(secondaries, facts.whole[1], facts.serial, facts.whole[0])
        case Record.DS if facts.parent:
            parents = _but(facts.parents, without) if watched else ()
            return _at_serial(parents, motion.serial, facts.parent_serial, motion.since)
        case Record.DS:
            return _at_parent(facts, key, motion, orders, policy, without)


def _at_serial(sightings: Sequence[Sighting], serial: int | None, newest: int, since: int) -> Seen:
    if serial is None:
        return Seen(None, ("nobody has written down its serial",))
    lying = seen.ahead(sightings, newest)
    if lying:
        return Seen(None, tuple(f"{one} shows a serial newer than ours, {newest}" for one in lying))
    return seen.at_serial(sightings, serial, since)


def _at_parent(
    facts: Facts, key: KeyView, motion: Motion, orders: Sequence[Order], policy: KeyPolicy, without: set[str | None]
) -> Seen:
    coming = key.ds is Phase.RUMOURED
    if policy.parent_check == "manual":
        kind = "ds-seen" if coming else "ds-gone"
        said = [one.at for one in orders if one.kind == kind and one.tag == key.tag and one.at >= motion.since]
        missing = f"nobody has said that the parent {'shows' if coming else 'no longer shows'} the DS {key.tag}"
        return Seen(min(said)) if said else Seen(None, (missing,))
    judge = seen.ds_shown if coming else seen.ds_gone
    return judge(_but(facts.parents, without), facts.origin, key, motion.since)


def _but(sightings: Sequence[Sighting], without: set[str | None]) -> tuple[Sighting, ...]:
    return tuple(one for one in sightings if one.server not in without)


def _evidence(one: _Moving, orders: Sequence[Order]) -> str:
    said = [
        f"{order.by or 'somebody'} said {order.kind} {order.server or order.tag}"
        for order in orders
        if order.kind in WITNESS and order.at >= one.motion.since
    ]
    return "; ".join([f"shown by the last server at {shown_time(one.seen.at or 0)} UTC", *said])


def _unwritten(facts: Facts, keys: Sequence[KeyView], policy: KeyPolicy) -> Iterator[Move]:
    """Yield a move to the same phase for each record that moves without a motion: its time begins now."""
    for key in keys:
        for record in Record:
            phase = key.phase(record)
            if phase in MOVING and record not in key.motions:
                why = "nobody has written down since when"
                yield Move(key.id, record, phase, phase, ttl_of(facts, record, policy), why)


def _contradicted(facts: Facts, keys: Sequence[KeyView], policy: KeyPolicy) -> Iterator[Move]:
    """Yield a move for each DS of which a parent elsewhere shows the contrary of what is believed.

    These are facts, not decisions: it publishes a DS that nobody asked for, or one that was gone, or has none any more
    that was everywhere. One server is enough to hold what is shown, and all are needed to believe that it is not.
    """
    if facts.parent or policy.parent_check == "manual":
        return
    ttl = ttl_of(facts, Record.DS, policy)
    for key in keys:
        if not key.is_living or not key.is_sep or not key.rdata:
            continue
        motion = key.motions.get(Record.DS)
        seen_at = None if motion is None else motion.seen_at
        later = [one for one in facts.parents if seen_at is None or (one.answered or 0) > seen_at]
        shown = ", ".join(seen.ds_shown_by(later, facts.origin, key))
        denied = "" if shown else ", ".join(seen.ds_denied(later, facts.origin, key))
        if key.ds is Phase.HIDDEN and shown:
            why = "the parent shows it although nobody asked it to"
            yield Move(key.id, Record.DS, key.ds, Phase.RUMOURED, ttl, why, shown)
        elif key.ds is Phase.OMNIPRESENT and key.stays and denied:
            yield Move(key.id, Record.DS, key.ds, Phase.RUMOURED, ttl, "the parent shows it no longer", denied)
        elif motion is None or seen_at is None:
            continue
        elif key.ds is Phase.UNRETENTIVE and shown:
            yield Move(key.id, Record.DS, key.ds, key.ds, max(ttl, motion.ttl), "the parent shows it again", shown)
        elif key.ds is Phase.RUMOURED and denied:
            yield Move(key.id, Record.DS, key.ds, key.ds, max(ttl, motion.ttl), "the parent shows it no longer", denied)


def _witnesses(
    facts: Facts, keys: Sequence[KeyView], orders: Sequence[Order], policy: KeyPolicy, noticed: Sequence[Noticed]
) -> tuple[tuple[int, ...], tuple[Refused, ...]]:
    """Return the witnesses that are needed no more, and those that nobody asked for."""
    done: list[int] = []
    refused: list[Refused] = []
    now_seen = {(one.key, one.record) for one in noticed}
    for order in orders:
        if order.kind not in WITNESS:
            continue
        about = [
            (key.id, record)
            for key in keys
            for record, motion in key.motions.items()
            if motion.seen_at is None and motion.since <= order.at and _concerns(order, key, record)
        ]
        if order.kind != "without" and (facts.parent or policy.parent_check != "manual"):
            refused.append(Refused(order.id, "the parent's servers are asked by themselves here; nobody need say it"))
        elif not about:
            refused.append(Refused(order.id, "nothing waits for that"))
        elif not all(one in now_seen for one in about):
            continue
        done.append(order.id)
    return tuple(done), tuple(refused)


def _concerns(order: Order, key: KeyView, record: Record) -> bool:
    if order.kind == "without":
        return True
    phase = Phase.RUMOURED if order.kind == "ds-seen" else Phase.UNRETENTIVE
    return record is Record.DS and key.tag == order.tag and key.ds is phase


def _who(facts: Facts, one: _Moving, policy: KeyPolicy, *, stuck: bool) -> str:
    if one.record is Record.DS and not facts.parent:
        return _who_at_parent(facts, one.key, policy)
    if not stuck or not one.seen.missing:
        return NOBODY
    servers = {sighting.server for sighting in (*facts.secondaries, *facts.parents)}
    # Each sentence about what is missing begins with the server's name; one name may begin another.
    first = max((server for server in servers if one.seen.missing[0].startswith(f"{server} ")), key=len, default="")
    if not first:
        return NOBODY
    if first == seen.WATCHER:
        return "you: start `ddns serve`, whose workers ask the zone's servers, or see in its log why they do not"
    return f"whoever runs {first}; to go on without it, say: zone-signer step {facts.name} --without '{first}' --yes"


def _who_at_parent(facts: Facts, key: KeyView, policy: KeyPolicy) -> str:
    record = ds_text(facts, key)
    coming = key.ds is Phase.RUMOURED
    task = f"have the parent publish: {record}" if coming else f"have the parent take away: {record}"
    if policy.parent_check == "manual":
        return f"you: {task}; then say: zone-signer {'ds-seen' if coming else 'ds-gone'} {facts.name} {key.tag}"
    if policy.cds == "never":
        return f"you: {task}"
    return f"the parent, if it reads CDS; if not, you: {task}"
