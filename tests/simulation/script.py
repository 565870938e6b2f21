"""What happens in a registry's decade: rolls of every kind, and everything that goes wrong around them.

Each year has its own; `chance` says on which day. What needs keys that rest, people try again the next day.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator

import departures
from decade import DAY, SMITH, Decade, Event
from holding import Held
from house import REGISTRY

from ddns.zone.hand import State
from zone_signer.keyring import KeyRing
from zone_signer.resealing import reseal_all
from zone_signer.vault import Vault
from zone_signer.vaults import Vaults

YEAR = 365 * DAY
HOMES = ("one", "two", "ed", "walk", "plain", "trip", "smith")
SAVED = "the database is saved"  # which is done only while no home is on its way
PATIENCE = 1500  # times that people try what needs keys that rest, or roll
Do = Callable[[Decade], Awaitable[None]]
Planned = tuple[str, Do]


async def begin(decade: Decade, years: int) -> None:
    """Set up the registry, its homes, and a script for *years*.

    There is a home for each kind of keys, one without, and one that will lose its signatures.
    """
    registry = await decade.found(*HOMES)
    homes = {
        "one": await decade.zone(_home("one")),
        "two": await decade.zone(_home("two")),
        "ed": await decade.zone(_home("ed"), algorithm=15),
        "walk": await decade.zone(_home("walk"), denial="nsec"),
        "plain": await decade.zone(_home("plain"), denial="none"),
        "trip": await decade.zone(_home("trip")),
        "smith": await decade.zone(SMITH),
    }
    await departures.settle(decade, homes["smith"])
    long = {"lifetime_jitter": 0.0, "validity": 60 * DAY, "jitter": 8 * DAY, "refresh": 20 * DAY}
    await decade.policy(registry, zsk_lifetime=0, ds_ttl=14400, lifetime_jitter=0.0)
    await decade.policy(homes["one"], csk_lifetime=YEAR, lifetime_jitter=0.0)
    await decade.policy(homes["two"], scheme="ksk+zsk", ksk_lifetime=500 * DAY, zsk_lifetime=120 * DAY, **long)
    await decade.policy(homes["ed"], **long)
    await decade.policy(homes["walk"], csk_lifetime=2 * YEAR, **long)
    await decade.policy(homes["smith"], csk_lifetime=200 * DAY, **long)
    await decade.policy(homes["trip"], csk_lifetime=2 * YEAR, **long)
    decade.events = sorted(_events(decade, years), key=lambda event: event.at)
    decade.at(5 * DAY, "all is secure from now on", _settled)


async def _settled(decade: Decade) -> None:
    for name in (REGISTRY, *(_home(one) for one in HOMES if one != "plain")):
        decade.named(name).meant = "secure"


def _home(label: str) -> str:
    return f"{label}.{REGISTRY}"


def _events(decade: Decade, years: int) -> Iterator[Event]:
    """Return the script, each year's events on days that chance says; after the last comes the first again."""
    chance, start = decade.chance, decade.start
    for year in range(years):
        place_of_year = year % len(EVERY_YEAR)
        events = EVERY_YEAR[place_of_year]
        days = 340 // len(events)
        # The last year keeps its order: what comes behind the registry's time without signatures is quick.
        for place, (what, do) in enumerate(chance.sample(events, len(events)) if place_of_year < LAST else events):
            day = 8 + place * days + chance.randrange(days // 2)
            yield Event(start + year * YEAR + day * DAY + chance.randrange(DAY), what, do)
    for after, what, do in departures.events(years, YEAR):
        yield Event(start + after, what, do)


# Orders


def _roll(zone: str, role: str | None = None) -> Planned:
    async def do(decade: Decade) -> None:
        decade.adopts = decade.chance.choice((2 * 3600, DAY, 5 * DAY))
        await decade.order(decade.named(zone), "roll", role=role)

    return _when_at_rest(f"{zone} rolls {role or 'its key'}", do)


def _emergency(label: str | None) -> Planned:
    zone = REGISTRY if label is None else _home(label)

    async def do(decade: Decade) -> None:
        decade.adopts = 3600
        await decade.order(decade.named(zone), "emergency")

    return _when_at_rest(f"somebody has the key of {zone}", do)


def _cancelled(label: str) -> Planned:
    async def do(decade: Decade) -> None:
        zone = decade.named(_home(label))
        await decade.order(zone, "roll")

        async def cancel(decade: Decade) -> None:
            await decade.order(zone, "cancel")

        decade.at(decade.chance.randrange(60, 6 * 3600), f"{_home(label)} had better keep its key", cancel)

    return _when_at_rest(f"{_home(label)} rolls", do)


def _algorithm(zone: str, algorithm: int) -> Planned:
    async def do(decade: Decade) -> None:
        decade.adopts = decade.chance.choice((3600, DAY))
        await decade.algorithm(decade.named(zone), algorithm)

    return _when_at_rest(f"{zone} is to be signed with algorithm {algorithm}", do)


def _scheme(zone: str, scheme: str) -> Planned:
    async def do(decade: Decade) -> None:
        decade.adopts = 3600
        await decade.policy(decade.named(zone), scheme=scheme)

    return _when_at_rest(f"{zone} gets {scheme}", do)


def _policy(label: str, scheme: str) -> Planned:
    async def do(decade: Decade) -> None:
        await decade.policy(decade.named(_home(label)), scheme=scheme, dnskey_ttl=7200, zsk_lifetime=200 * DAY)

    return _when_at_rest(f"{_home(label)} gets {scheme} and a DNSKEY TTL of two hours", do)


def _denial(label: str | None, denial: str) -> Planned:
    zone = REGISTRY if label is None else _home(label)

    async def do(decade: Decade) -> None:
        assert await decade.denial(decade.named(zone), denial)

    return _when_at_rest(f"{zone} gets {denial}", do)


def _update(label: str) -> Planned:
    async def do(decade: Decade) -> None:
        zone = decade.named(_home(label))
        value = decade.chance.randrange(1, 255)
        ttl = decade.chance.choice((60, 300, 7200))
        await decade.update(zone, f"www {ttl} A 198.51.100.{value}", f"new{value} 60 A 198.51.100.{value}")

    return f"{_home(label)} has another address", do


# Insecure and back


def _trip(label: str) -> Planned:
    async def do(decade: Decade) -> None:
        zone = decade.named(_home(label))
        zone.meant = "moving"
        await decade.order(zone, "insecure")
        decade.at(6 * DAY, f"{zone.text} is insecure", _meaning("insecure", zone))
        decade.at(20 * DAY, f"{zone.text} is to be secure again", _secure(zone))
        decade.at(30 * DAY, f"{zone.text} is secure", _meaning("secure", zone))

    return _when_at_rest(f"{_home(label)} is to be insecure", do)


def _all_insecure() -> Planned:
    async def do(decade: Decade) -> None:
        decade.adopts = DAY
        registry = decade.named(REGISTRY)
        homes = [decade.named(_home(one)) for one in HOMES if one != "plain"]
        for one in (registry, *homes):
            one.meant = "moving"
        await decade.order(registry, "insecure")
        decade.at(8 * DAY, "the registry's zone is insecure", _meaning("insecure", registry, *homes))
        decade.at(20 * DAY, "the registry's zone is to be secure again", _secure(registry))
        decade.at(35 * DAY, "the registry's zone is secure", _meaning("secure", registry, *homes))

    return _when_at_rest(f"{REGISTRY} is to be insecure", do)


def _secure(zone: Held) -> Do:
    async def do(decade: Decade) -> None:
        for one in decade.held.values():
            if one is zone or one.parent is zone:
                one.meant = "moving" if one.meant == "insecure" and one.text != _home("plain") else one.meant
        await decade.order(zone, "secure", denial="nsec3")

    return do


def _meaning(meant: str, *zones: Held) -> Do:
    async def do(_: Decade) -> None:
        for zone in zones:
            zone.meant = meant

    return do


# What goes wrong


def _away() -> Planned:
    async def do(decade: Decade) -> None:
        decade.signers = False

        async def back(decade: Decade) -> None:
            decade.signers = True

        decade.at(3 * DAY, "the signers are back", back)

    return _while_rolling("all signers are away", do)


def _dead(name: str, days: int) -> Planned:
    async def do(decade: Decade) -> None:
        copy = next(one for one in decade.copies if one.name == name)
        copy.away, copy.until = True, decade.now + days * DAY

        async def back(_: Decade) -> None:
            copy.away = False

        decade.at(days * DAY, f"{name} is back", back)

    return _while_rolling(f"{name} is dead for {days} days", do)


def _slow(name: str, days: int) -> Planned:
    async def do(decade: Decade) -> None:
        copy = next(one for one in decade.copies if one.name == name)
        copy.until = decade.now + days * DAY

    return _while_rolling(f"{name} gets no transfers for {days} days", do)


def _silent() -> Planned:
    async def do(decade: Decade) -> None:
        decade.parent_answers, decade.adopts = False, None

        async def back(decade: Decade) -> None:
            decade.parent_answers, decade.adopts = True, 3600

        decade.at(30 * DAY, "the parent answers again", back)

    return _while_rolling("the parent is silent for a month", do)


def _deaf() -> Planned:
    async def do(decade: Decade) -> None:
        decade.adopts = None
        await decade.order(decade.named(REGISTRY), "roll")
        for day in (12, 24):
            decade.at(day * DAY, "a person gives the parent its DS", Decade.tell_parent)

    return _when_at_rest("the parent reads no CDS any more", do)


def _clock(by: int, *, restarted: bool = False) -> Planned:
    """Have the signers' clock be wrong for a day; one that has just started has nothing to compare it with."""

    async def do(decade: Decade) -> None:
        decade.skew = by
        if restarted:
            decade.start_signers()
        before = decade.refused

        async def right(decade: Decade) -> None:
            assert decade.refused > before, "the signers believed a clock that was wrong"
            decade.skew = 0

        decade.at(DAY, "the clock is right again", right)

    return f"the signers' clock is wrong by {by / 3600:.0f} hours", do


def _masters() -> Planned:
    async def do(decade: Decade) -> None:
        new = Vault(decade.chance.randbytes(32))
        vaults = Vaults([new, *decade.masters])
        done = await reseal_all(decade.signer, vaults)
        assert done.moved
        assert not done.failed
        decade.masters = [new]
        decade.ring = KeyRing(Vaults(decade.masters))

    return "another master key", do


def _restored() -> Planned:
    async def do(decade: Decade) -> None:
        await decade.save()
        decade.restoring = True
        zone = decade.named(_home("two"))
        decade.at(DAY // 2, "a change that will be lost", _update("two")[1])
        decade.at(DAY, "the database is that of yesterday", Decade.restore)
        decade.at(DAY + 600, "people raise the serials", Decade.raise_serials)
        decade.at(4 * DAY, f"{zone.text} is changed again", _update("two")[1])
        decade.at(6 * DAY, "the restored database has caught up", _restored_is_over)

    return _when_at_rest(SAVED, do)


async def _restored_is_over(decade: Decade) -> None:
    decade.restoring = False


# When


def _when_at_rest(what: str, do: Do) -> Planned:
    return "", _when(what, do, resting=True)


def _while_rolling(what: str, do: Do) -> Planned:
    """Do it in the middle of the next roll, of whichever zone."""
    return "", _when(what, do, resting=False)


def _when(what: str, do: Do, *, resting: bool) -> Do:
    async def attempt(decade: Decade, left: int) -> None:
        still = decade.turning is None or decade.turning.state is State.AWAY or what != SAVED
        if await decade.resting() is resting and still:
            decade.tell(what)
            await do(decade)
        else:
            assert left, f"it never came to this: {what}"
            decade.at(decade.chance.randrange(3600, DAY), "", functools.partial(attempt, left=left - 1))

    return functools.partial(attempt, left=PATIENCE)


# What happens in each year; of most years in an order that is by chance.
EVERY_YEAR: tuple[tuple[Planned, ...], ...] = (
    (_roll(REGISTRY), _roll(_home("ed")), _away(), _update("one"), _policy("walk", "ksk+zsk"), _slow("ns3", 2)),
    (
        _algorithm(REGISTRY, 15),
        _denial("walk", "compact"),
        _algorithm(_home("ed"), 14),
        _dead("ns2", 7),
        _masters(),
        _clock(7200),
    ),
    (_scheme(REGISTRY, "ksk+zsk"), _trip("trip"), _denial("walk", "nsec3"), _roll(_home("ed")), _update("ed")),
    (
        _roll(REGISTRY, "zsk"),
        _denial("walk", "compact"),
        _roll(REGISTRY, "ksk"),
        _roll(_home("walk"), "zsk"),
        _silent(),
        _away(),
        _emergency("one"),
        _cancelled("ed"),
    ),
    (
        _algorithm(REGISTRY, 14),
        _scheme(_home("one"), "ksk+zsk"),
        _algorithm(_home("walk"), 15),
        _algorithm(_home("ed"), 8),
        _clock(-2 * DAY),
    ),
    (_emergency(None), _restored(), _denial("walk", "nsec"), _masters(), _dead("ns3", 7), _update("two")),
    (
        _algorithm(REGISTRY, 8),
        _denial("walk", "compact"),
        _trip("trip"),
        _roll(_home("two"), "ksk"),
        _away(),
        _slow("ns2", 2),
        _clock(10 * YEAR, restarted=True),
    ),
    (_scheme(REGISTRY, "csk"), _algorithm(_home("ed"), 13), _denial(None, "nsec"), _deaf(), _update("one")),
    (
        _algorithm(REGISTRY, 13),
        _denial(None, "compact"),
        _policy("walk", "csk"),
        _away(),
        _scheme(_home("one"), "csk"),
        _update("ed"),
    ),
    (_roll(REGISTRY), _all_insecure(), _roll(_home("ed")), _denial(None, "nsec3"), _update("trip")),
)
LAST = len(EVERY_YEAR) - 1
