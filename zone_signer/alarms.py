"""What a person must know of before names stop to resolve: alarms, from facts that others have read. Pure.

Law: an alarm is about something that will break if nobody acts, comes long before it breaks, and is one sentence with
what to do in it. Who logs alarms remembers them by *code* and *zone*: once when they begin, hourly after, once when
over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import serial_newer
from zone_signer import seen
from zone_signer.keyview import KeyView
from zone_signer.policy import DAY, HOUR
from zone_signer.seen import Sighting
from zone_signer.stage import Wait, shown_time

SILENT = 300  # seconds without a sign of life after which a signer is missed
SECONDARY = HOUR  # how long a secondary may lag behind


class Alarm(msgspec.Struct, frozen=True):
    """One thing that is wrong since *since*, in seconds since 1970; *zone* None where it is about no single one."""

    code: str
    zone: str | None
    sentence: str
    since: int


class ZoneHealth(msgspec.Struct, frozen=True):
    """What alarms ask about a zone; times in seconds since 1970, *refresh* and *patience* in seconds.

    *resign_at* is when its earliest signature is due, None where nothing is signed; *published* when *serial* was.
    *problem* is why its last step or signing failed, since *problem_since*.
    """

    origin: Name
    serial: int
    published: int
    resign_at: int | None
    refresh: int
    keys: Sequence[KeyView] = ()
    waits: Sequence[Wait] = ()
    secondaries: Sequence[Sighting] = ()
    parents: Sequence[Sighting] = ()
    problem: str = ""
    problem_since: int | None = None


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
    for wait in zone.waits:
        if wait.stuck:
            sentence = f"key {wait.tag} of {name} waits: {wait.what}; who must act: {wait.who}"
            yield Alarm("step-stuck", name, sentence, now)
    for rdata in seen.strangers(zone.parents, zone.origin, [key for key in zone.keys if key.removed is None]):
        text = f"{int.from_bytes(rdata[:2], 'big')} {rdata[2]} {rdata[3]} {rdata[4:].hex().upper()}"
        sentence = f"the parent shows a DS of {name} that is of no key of ours; have it take away: {name} IN DS {text}"
        yield Alarm("strange-ds", name, sentence, now)
    for one in zone.secondaries:
        if zone.published + SECONDARY <= now and one.serial is not None and serial_newer(zone.serial, one.serial):
            sentence = f"{one.server} shows serial {one.serial} of {name}, and {zone.serial} is out since"
            yield Alarm("secondary-behind", name, f"{sentence} {shown_time(zone.published)} UTC", zone.published)


def _of_signers(signers: Sequence[SignerHealth], now: int) -> Iterator[Alarm]:
    for one in signers:
        if one.held:
            yield Alarm("signer-held", None, f"{one.name} signs nothing: {one.held}", one.seen_at)
        if one.seen_at + SILENT < now:
            sentence = f"{one.name} was last seen at {shown_time(one.seen_at)} UTC; start it"
            yield Alarm("signer-silent", None, sentence, one.seen_at)
    living = [one for one in signers if one.seen_at + SILENT >= now]
    known = frozenset[bytes]().union(*(one.masters for one in living))
    for one in living:
        lacking = known - one.masters
        if lacking:
            words = ", ".join(sorted(master.hex() for master in lacking))
            sentence = f"{one.name} lacks the master key {words} that other signers hold; copy its file there"
            yield Alarm("master-missing", None, sentence, now)
