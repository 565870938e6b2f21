"""How a TLSA record comes and goes so that no client ever holds one that lies (RFC 7671 §8.1). Pure.

Law: a key may be used by a server from when every cache that holds the RRset holds one with that key's record, and not
before. So a record that is added beside others, or while caches remember others, is *published*; it is *safe* when all
servers were seen with it and twice the TTL has passed since; and the last record that every cache has is not taken away
before another is safe. Taking all of them away says nothing false to anybody; it is remembered for as long as caches
may hold what was there, and so is a TTL that was longer.

All this holds for each kind of record by itself, that is, of one usage, selector and matching type: of records that
have the first two in common a client may believe those with the strongest digest alone (RFC 7671 §9), so one of each
kind that there is must be of a key that is used.

A record without a `Pin` is established: whoever has the RRset has it. What is *retiring* stands there still, and its
key is not used any more, by the word of whoever used it. An engine knows digests, not keys: that a server has stopped
using a key only its owner can say. What plain clients do without saying that they want to be guarded is not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.dns.refusal import Refusal
from ddns.zone.dane_option import Record, Service

MARGIN = 5  # seconds more, for clocks that are not quite the same
LONGEST = 31 * 86_400  # seconds for which anybody remembers records, whatever their TTL: resolvers cap it (RFC 8767)
HEAD = 3  # octets before the data: usage, selector, matching type (RFC 6698 §2.1)
ESTABLISHED = "established"  # what a client is told of a record without a phase
SHOWN_OCTETS = 8  # of a record's data; enough to tell its owner which one
USAGES = {0: "PKIX-TA", 1: "PKIX-EE", 2: "DANE-TA", 3: "DANE-EE"}  # RFC 7218 §2.1


class Phase(StrEnum):
    """Where a record is; established ones have no phase."""

    PUBLISHED = "published"  # it stands there; some caches may hold an RRset without it
    SAFE = "safe"  # no cache does: its key may be used
    RETIRING = "retiring"  # it stands there still; nobody uses its key
    FADING = "fading"  # no record of its own: caches may hold the RRset as it was before


class Pin(msgspec.Struct, frozen=True):
    """What is known of one record (*rdata*), or where that is empty, of what caches may still hold of the RRset.

    *since* (seconds since 1970) is when its phase began, by the change that made the zone's *serial* (None until that
    is known); *ttl* (seconds) is the longest of any RRset that caches may hold instead; *seen_at* is when the last of
    the zone's servers was seen with that serial.
    """

    rdata: Rdata
    phase: Phase
    since: int
    serial: int | None
    ttl: int
    seen_at: int | None = None


class Rule(msgspec.Struct, frozen=True):
    """What a zone demands: *strict* guards what plain clients do too; *usages* are those of RFC 7218 §2.1."""

    strict: bool = False
    usages: frozenset[int] = frozenset({2, 3})


DEFAULT = Rule()


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a change: the *pins* from now on, and the records (*gone*) that have none any more.

    With a *refusal* nothing changes. *note* is one sentence for the owner where the change has a price.
    """

    pins: tuple[Pin, ...]
    gone: tuple[Rdata, ...] = ()
    refusal: Refusal | None = None
    note: str = ""


def judge(
    owner: Name,
    before: RRset | None,
    after: RRset | None,
    pins: Sequence[Pin],
    rule: Rule,
    *,
    managed: bool,
    revoke: frozenset[bytes],
    now: int,
) -> Verdict:
    """Judge the change of *owner*'s TLSA RRset from *before* to *after*, given its *pins*.

    *managed*: who changes it wants to be guarded; *revoke* holds the data (RFC 6698 §2.1.4) of records that may go at
    once, because their keys are not to be trusted. New pins have no serial yet: `numbered` gives it to them.
    """
    known = _standing(before, pins)
    was = frozenset(() if before is None else before.rdatas)
    new = frozenset(() if after is None else after.rdatas)
    for rdata in sorted(new - was):
        refusal = _unwanted(owner, rdata, rule)
        if refusal is not None:
            return Verdict(tuple(pins), refusal=refusal)
    guarded = managed or rule.strict
    if not guarded and not known:
        return Verdict((), _dropped(pins, {}))
    taken = frozenset(one for one in was - new if one[HEAD:] not in revoke)
    left = new & was
    if guarded and new and _held(taken, known) and not _held(left, known):
        return Verdict(tuple(pins), refusal=_too_early(owner, known))
    for kind in sorted(_kinds(new)) if guarded else ():
        if _held(_of(kind, taken), known) and not _held(_of(kind, left), known):
            return Verdict(tuple(pins), refusal=_too_early(owner, known, kind))
    out = _followed(before, after, known, now)
    return Verdict(tuple(out.values()), _dropped(pins, out), note=_note(owner, before, new, known, revoke))


def lapsed(before: RRset | None, after: RRset | None, pins: Sequence[Pin], now: int) -> Verdict:
    """Follow a change that nobody asked for, such as the end of a lease; caches hold what was all the same."""
    out = _followed(before, after, _standing(before, pins), now)
    return Verdict(tuple(out.values()), _dropped(pins, out))


def deployed(owner: Name, rrset: RRset, pins: Sequence[Pin], kept: frozenset[bytes], now: int) -> Verdict:
    """Take the owner's word that from now on only keys are used whose records have their data in *kept*.

    All other records retire: `due` says when they may be taken away. Refused where no record that is kept is safe, of
    any kind that caches hold.
    """
    known = _standing(rrset, pins)
    staying = frozenset(one for one in rrset.rdatas if one[HEAD:] in kept)
    if not any(one not in known or known[one].phase != Phase.PUBLISHED for one in staying):
        return Verdict(tuple(pins), refusal=_too_early(owner, known))
    everything = frozenset(rrset.rdatas)
    for kind in sorted(_kinds(everything)):
        there = _of(kind, everything)
        early = frozenset(one for one in there if one in known and known[one].phase == Phase.PUBLISHED)
        if not (there - early or there) & staying:
            return Verdict(tuple(pins), refusal=_too_early(owner, known, kind))
    out = {b"": known[b""]} if b"" in known else {}
    for rdata in rrset.rdatas:
        before = known.get(rdata)
        if rdata not in staying:
            retires = before is not None and before.phase == Phase.RETIRING
            pin = Pin(rdata, Phase.RETIRING, now, None, min(rrset.ttl, LONGEST))
            out[rdata] = before if before is not None and retires else pin
        elif before is not None and before.phase == Phase.PUBLISHED:
            out[rdata] = before
    return Verdict(tuple(out.values()), _dropped(pins, out))


def settle(pins: Sequence[Pin], seen: Callable[[int, int], int | None], now: int) -> tuple[Pin, ...]:
    """Return the pins as they are at *now*; one that is missing has become established, or is forgotten.

    *seen* says of a serial, and since when it has stood for this, when the last of the zone's servers was seen with it
    or a newer one, None: not yet.
    """
    out = []
    for pin in pins:
        one = pin
        if one.seen_at is None and one.serial is not None and one.phase in (Phase.PUBLISHED, Phase.FADING):
            at = seen(one.serial, one.since)
            if at is not None:
                one = msgspec.structs.replace(one, seen_at=max(at, one.since))
        at = safe_at(one)
        if at is not None and at <= now:
            if one.phase == Phase.FADING:
                continue
            if one.phase == Phase.PUBLISHED:
                one = msgspec.structs.replace(one, phase=Phase.SAFE)
            if one.phase == Phase.SAFE and now >= at + 2 * one.ttl:
                continue
        out.append(one)
    return tuple(out)


def safe_at(pin: Pin) -> int | None:
    """Return from when on no cache holds an RRset without the record (RFC 7671 §8.1), in seconds; None until seen."""
    return None if pin.seen_at is None else pin.seen_at + 2 * pin.ttl + MARGIN


def due(rrset: RRset | None, pins: Sequence[Pin], now: int) -> frozenset[Rdata]:
    """Return the records whose time to retire is over: twice the TTL after nobody used their keys any more.

    None is, unless what would be left has a record that every cache holds; nor is one whose kind has others, none of
    which every cache holds.
    """
    known = _standing(rrset, pins)
    there = frozenset(() if rrset is None else rrset.rdatas)
    if not _held(there, known):
        return frozenset()
    over = frozenset(
        one.rdata for one in known.values() if one.phase == Phase.RETIRING and now >= one.since + 2 * one.ttl
    )
    held_up = {kind for kind in _kinds(there) if _of(kind, there - over) and not _held(_of(kind, there), known)}
    return frozenset(one for one in over if one[:HEAD] not in held_up)


def numbered(pins: Sequence[Pin], serial: int | None, now: int) -> tuple[Pin, ...]:
    """Return *pins* with the zone's *serial* where they had none, that is, where the change that made it made them.

    They begin *now*, when it is about to be seen: what a signer does late is seen late. None: it has not done it yet.
    """
    if serial is None:
        return tuple(pins)
    return tuple(
        pin if pin.serial is not None else msgspec.structs.replace(pin, serial=serial, since=max(pin.since, now))
        for pin in pins
    )


def describe(owner: Name, rrset: RRset | None, pins: Sequence[Pin]) -> Service:
    """Return what a client is told of *owner*'s records; "established" is a phase here."""
    known = _standing(rrset, pins)
    out = []
    for rdata in () if rrset is None else rrset.rdatas:
        pin = known.get(rdata)
        phase = ESTABLISHED if pin is None else str(pin.phase)
        out.append(Record(rdata[HEAD : HEAD + SHOWN_OCTETS], phase, None if pin is None else safe_at(pin)))
    return Service(owner, tuple(out))


def _followed(before: RRset | None, after: RRset | None, pins: dict[Rdata, Pin], now: int) -> dict[Rdata, Pin]:
    """Return the pins that there are when *after* stands where *before* stood."""
    was = frozenset(() if before is None else before.rdatas)
    new = frozenset(() if after is None else after.rdatas)
    fading = pins.get(b"")
    ttls = [rrset.ttl for rrset in (before, after) if rrset is not None]
    remembered = 0 if fading is None else fading.ttl
    out = {rdata: pin for rdata, pin in pins.items() if rdata in new}
    if was or fading is not None:
        longest = min(max(remembered, *ttls, 0), LONGEST)
        out |= {rdata: Pin(rdata, Phase.PUBLISHED, now, None, longest) for rdata in sorted(new - was)}
    if before is not None and (after is None or after.ttl < before.ttl):
        fading = Pin(b"", Phase.FADING, now, None, min(max(before.ttl, remembered), LONGEST))
    return _rested(new, out if fading is None else out | {b"": fading})


def _standing(rrset: RRset | None, pins: Sequence[Pin]) -> dict[Rdata, Pin]:
    """Return the pins of what stands there: a lease may have ended a record that a roll is about.

    Where only records are left that retire, somebody has taken the others away; then they retire no more.
    """
    there = frozenset(() if rrset is None else rrset.rdatas)
    return _rested(there, {pin.rdata: pin for pin in pins if not pin.rdata or pin.rdata in there})


def _rested(there: frozenset[Rdata], pins: dict[Rdata, Pin]) -> dict[Rdata, Pin]:
    """Return *pins* without what has come to rest with the records that are *there*."""
    phases = {rdata: pin.phase for rdata, pin in pins.items() if rdata}
    if there and all(phases.get(rdata) == Phase.RETIRING for rdata in there):
        return {rdata: pin for rdata, pin in pins.items() if not rdata}
    if all(phases.get(rdata) == Phase.SAFE for rdata in there):
        return {rdata: pin for rdata, pin in pins.items() if not rdata}
    return pins


def _held(rdatas: frozenset[Rdata], pins: dict[Rdata, Pin]) -> frozenset[Rdata]:
    """Return those of *rdatas* that every cache with the RRset holds and that are there to stay."""
    return frozenset(one for one in rdatas if one not in pins or pins[one].phase == Phase.SAFE)


def _kinds(rdatas: frozenset[Rdata]) -> frozenset[bytes]:
    """Return usage, selector and matching type of *rdatas*, as three octets each."""
    return frozenset(one[:HEAD] for one in rdatas)


def _of(kind: bytes, rdatas: frozenset[Rdata]) -> frozenset[Rdata]:
    return frozenset(one for one in rdatas if one[:HEAD] == kind)


def _dropped(pins: Sequence[Pin], left: dict[Rdata, Pin]) -> tuple[Rdata, ...]:
    return tuple(pin.rdata for pin in pins if pin.rdata not in left)


def _unwanted(owner: Name, rdata: Rdata, rule: Rule) -> Refusal | None:
    usage = rdata[0]
    if usage in rule.usages:
        return None
    wanted = " or ".join(f"{one} ({USAGES[one]})" for one in sorted(rule.usages, reverse=True) if one in USAGES)
    return Refusal(
        "tlsa-usage",
        Rcode.REFUSED,
        f"TLSA records of {names.to_text(owner)} may have usage {wanted}, not {usage}; publish one of these.",
        Ede.PROHIBITED,
    )


def _too_early(owner: Name, pins: dict[Rdata, Pin], kind: bytes = b"") -> Refusal:
    """Refuse to take away, or to do without, what caches need, of one *kind* or of any."""
    times = [safe_at(pin) for pin in pins.values() if pin.phase == Phase.PUBLISHED and pin.rdata.startswith(kind)]
    known = [at for at in times if at is not None]
    if known and len(known) == len(times):
        cure = f"wait until {datetime.fromtimestamp(min(known), UTC):%Y-%m-%d %H:%M:%S} UTC"
    elif times:
        cure = "wait until every server of the zone has the new one, and twice its TTL"
    else:
        cure = "add the next key's record first"
    which = " ".join(("TLSA record", *map(str, kind)))
    return Refusal(
        "tlsa-not-safe-yet",
        Rcode.REFUSED,
        f"Caches may still hold no other {which} of {names.to_text(owner)} than the old one; {cure}.",
        Ede.PROHIBITED,
    )


def _note(
    owner: Name, before: RRset | None, new: frozenset[Rdata], pins: dict[Rdata, Pin], revoke: frozenset[bytes]
) -> str:
    """Say what it costs that records were revoked, where no record is left that caches have."""
    was = frozenset(() if before is None else before.rdatas)
    if before is None or _held(new & was, pins) or not any(one[HEAD:] in revoke for one in was - new):
        return ""
    text = names.to_text(owner)
    for_how_long = f"for up to {before.ttl} s after every server of the zone has this change"
    if not new:
        return f"Clients now find no TLSA record of {text}; those that remember the old ones use them {for_how_long}."
    return f"Clients that ask for {text} now trust the new keys alone; others may trust the old ones {for_how_long}."
