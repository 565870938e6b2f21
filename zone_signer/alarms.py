"""What a person must know of before names stop to resolve: alarms, from facts that others have read. Pure.

Law: an alarm is about something that will break if nobody acts, comes long before it breaks, and is one sentence with
what to do in it. Who logs alarms remembers them by *code*, *zone* and *about*: once when they begin, hourly after,
once when over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from zone_signer import seen
from zone_signer.keyview import KeyView
from zone_signer.policy import DAY, HOUR
from zone_signer.seen import Sighting
from zone_signer.stage import Wait, shown_time

SILENT = 300  # seconds without a sign of life after which a signer is missed
SECONDARY = HOUR  # how long a secondary may lag behind, or not answer at all
STEP = HOUR  # how late a look at keys may come


class Alarm(msgspec.Struct, frozen=True):
    """One thing that is wrong since *since*, in seconds since 1970; *zone* None where it is about no single one.

    *about* tells alarms of one code and zone apart: a server, a key's record, a signer.
    """

    code: str
    zone: str | None
    sentence: str
    since: int
    about: str = ""


class HomeHealth(msgspec.Struct, frozen=True):
    """Where a home is that has servers of its own: in *state* since *since*, and what somebody was *told* to do.

    *until* is when that ends by itself: in the state dark, when the copy that stands in for its servers is withdrawn.
    Times in seconds since 1970.
    """

    state: str
    since: int
    told: str
    until: int | None


class ZoneHealth(msgspec.Struct, frozen=True):
    """What alarms ask about a zone; times in seconds since 1970, *refresh* and *patience* in seconds.

    *resign_at* is when its earliest signature is due, None where nothing is signed; *step_at* when its keys are looked
    at, None where they rest. *lagging* has the secondaries that do not show *serial*, with the time since when what
    they show is old. *problem* is why its last step or signing failed, since *problem_since*. *home* is None where it
    is no home, or simply hosted.
    """

    origin: Name
    serial: int
    resign_at: int | None
    refresh: int
    step_at: int | None = None
    lagging: Mapping[str, int] = {}
    keys: Sequence[KeyView] = ()
    waits: Sequence[Wait] = ()
    secondaries: Sequence[Sighting] = ()
    parents: Sequence[Sighting] = ()
    problem: str = ""
    problem_since: int | None = None
    home: HomeHealth | None = None


class SignerHealth(msgspec.Struct, frozen=True):
    """The last sign of life of one process that opens keys; *held* is why it signs nothing, *masters* what it holds."""

    name: str
    seen_at: int
    masters: frozenset[bytes]
    held: str = ""


def alarms(zones: Sequence[ZoneHealth], signers: Sequence[SignerHealth], now: int) -> tuple[Alarm, ...]:
    """Return all that is wrong at *now*, zone by zone and then the signers."""
    found = [alarm for zone in zones for alarm in _of_zone(zone, now)]
    return (*found, *_of_signers(signers, now))


def _of_zone(zone: ZoneHealth, now: int) -> Iterator[Alarm]:
    name = names.to_text(zone.origin)
    if zone.resign_at is not None and zone.resign_at + DAY <= now:
        ends = zone.resign_at + zone.refresh
        if ends - now < zone.refresh // 2:
            what = "expired" if ends <= now else "expires"
            sentence = (
                f"the first signature of {name} {what} at {shown_time(ends)} UTC; start a zone-signer that can sign"
            )
            yield Alarm("signature-expires", name, sentence, zone.resign_at)
        else:
            sentence = f"signatures of {name} are due since {shown_time(zone.resign_at)} UTC; start a zone-signer"
            yield Alarm("signature-late", name, sentence, zone.resign_at)
    if zone.problem:
        yield Alarm("signing-fails", name, f"{name} cannot be signed: {zone.problem}", zone.problem_since or now)
    elif zone.step_at is not None and zone.step_at + STEP <= now:
        sentence = (
            f"the keys of {name} are to be looked at since {shown_time(zone.step_at)} UTC; see that a zone-signer runs"
        )
        yield Alarm("step-late", name, sentence, zone.step_at)
    yield from _of_keys(zone, name, now)
    yield from _of_servers(zone, name)
    if zone.home is not None:
        yield from _of_home(zone.home, name, now)


def _of_home(home: HomeHealth, name: str, now: int) -> Iterator[Alarm]:
    """Yield what is wrong with a home whose own servers are gone; on its way it is served, however long that takes."""
    if home.state == "dark" and home.until is not None and home.until <= now + DAY:
        sentence = (
            f"the copy of {name} that stands in for its servers is withdrawn at {shown_time(home.until)} UTC; see that "
            f"they run and are reached, or bring it home: ddns delegation return {name}"
        )
        yield Alarm("copy-ends", name, sentence, home.since)
    elif home.state == "gap":
        sentence = f"nobody serves {name} until caches have lost what its servers had; it comes back by itself"
        yield Alarm("home-unserved", name, sentence, home.since)
    elif home.state == "away" and home.told:
        yield Alarm("home-wrong", name, f"the servers of {name} are not well: {home.told}", home.since)


def _of_keys(zone: ZoneHealth, name: str, now: int) -> Iterator[Alarm]:
    keys = {key.id: key for key in zone.keys}
    for wait in zone.waits:
        if wait.stuck:
            motion = keys[wait.key].motions.get(wait.record) if wait.key in keys else None
            sentence = f"key {wait.tag} of {name} waits: {wait.what}; who must act: {wait.who}"
            about = f"{wait.record} {wait.tag}"
            yield Alarm("step-stuck", name, sentence, now if motion is None else motion.since, about)
    for rdata in seen.strangers(zone.parents, zone.origin, [key for key in zone.keys if key.removed is None]):
        text = f"\\# {len(rdata)} {rdata.hex().upper()}"  # RFC 3597 §5, for what is no DS at all
        if len(rdata) > 3:  # tag, algorithm and digest type (RFC 4034 §5.1)
            text = f"{int.from_bytes(rdata[:2], 'big')} {rdata[2]} {rdata[3]} {rdata[4:].hex().upper()}"
        sentence = f"the parent shows a DS of {name} that is of no key of ours; have it take away: {name} IN DS {text}"
        yield Alarm("strange-ds", name, sentence, now, text)


def _of_servers(zone: ZoneHealth, name: str) -> Iterator[Alarm]:
    """Yield what was seen of servers, not what may be so since somebody looked: the watcher may be away."""
    for one in zone.secondaries:
        since = zone.lagging.get(one.server)
        if since is not None and one.answered is not None and one.answered >= since + SECONDARY:
            sentence = f"{one.server} shows serial {one.serial} of {name}, which is old since {shown_time(since)} UTC"
            yield Alarm("secondary-behind", name, f"{sentence}; the newest is {zone.serial}", since, one.server)
    known = min((key.born for key in zone.keys), default=None)
    for one in (*zone.secondaries, *zone.parents):
        silent = known if one.answered is None else one.answered
        if one.problem and silent is not None and one.asked >= silent + SECONDARY:
            sentence = f"{one.server} {one.problem}, asked about {name} since {shown_time(silent)} UTC"
            yield Alarm("server-silent", name, f"{sentence}; keys roll as far as servers are seen", silent, one.server)


def _of_signers(signers: Sequence[SignerHealth], now: int) -> Iterator[Alarm]:
    for one in signers:
        if one.held:
            yield Alarm("signer-held", None, f"{one.name} signs nothing: {one.held}", one.seen_at, one.name)
        if one.seen_at + SILENT < now:
            sentence = f"{one.name} was last seen at {shown_time(one.seen_at)} UTC; start it"
            yield Alarm("signer-silent", None, sentence, one.seen_at, one.name)
    living = [one for one in signers if one.seen_at + SILENT >= now]
    known = frozenset[bytes]().union(*(one.masters for one in living))
    for one in living:
        lacking = known - one.masters
        if lacking:
            words = ", ".join(sorted(master.hex() for master in lacking))
            sentence = f"{one.name} lacks the master key {words} that other signers hold; copy its file there"
            yield Alarm("master-missing", None, sentence, now, one.name)
