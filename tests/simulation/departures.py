"""A home leaves for servers of its own each year, and comes back: another way each time, and whatever goes wrong there.

What is written here is what its owner, and the people who run its servers, do and when. What follows is for the
registry to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ddns.delegate.visits import scanner
from ddns.dns.codes import Type
from ddns.store import delegations
from ddns.zone.hand import Continuity, State, Theirs, Wish

if TYPE_CHECKING:
    from decade import Decade
    from holding import Held

HOUR, DAY = 3600, 86400
Do = Callable[["Decade"], Awaitable[None]]


class Trip(NamedTuple):
    """A year of the home: what is done on which day, which states it must come through, and through which it may."""

    events: tuple[tuple[float, str, Do], ...]
    states: frozenset[State]
    perhaps: frozenset[State] = frozenset()


# What its owner does


async def settle(decade: Decade, home: Held) -> None:
    """Have *home* be the one whose servers those of `decade.own` are."""
    decade.own.held = home
    await decade.rows("INSERT INTO homes (zone) VALUES (%s) RETURNING zone", home.id)


def leave(continuity: Continuity) -> Do:
    async def do(decade: Decade) -> None:
        own = decade.own
        assert own.held is not None
        own.apex, own.ours = own.names, ()
        own.publish(decade.now - HOUR)
        own.live(decade.now)
        registry = decade.named_registry()
        checked = await scanner(decade.delegation, lambda: decade.now).check(own.origin, registry.origin, own.child)
        assert checked.fault is None, checked.fault
        seen = Theirs.of(checked.said, None)
        assert await delegations.leave(decade.admin, own.held.id, own.child, continuity, decade.now, seen)

    return do


async def come_back(decade: Decade) -> None:
    assert decade.own.held is not None
    assert await delegations.wish(decade.admin, decade.own.held.id, Wish.HOST, decade.now)


def continuity(how: Continuity) -> Do:
    async def do(decade: Decade) -> None:
        assert decade.own.held is not None
        assert await delegations.set_continuity(decade.admin, decade.own.held.id, how, decade.now)

    return do


# What becomes of its servers


def gone(days: float, *, half: bool = False, anew: bool = False) -> Do:
    """Have its servers be away, or the second of them; they may come back with another key for their data."""

    async def do(decade: Decade) -> None:
        own, chosen = decade.own, decade.own.copies[1:] if half else decade.own.copies
        for copy in chosen:
            copy.away = True

        async def begin_anew(decade: Decade) -> None:
            own.begin_anew(decade.now)

        async def back(decade: Decade) -> None:
            own.publish(decade.now - HOUR)  # what it signed may have ended meanwhile
            for copy in chosen:
                copy.away = False

        if anew:
            decade.at(round((days - 0.5) * DAY), "", begin_anew)
        decade.at(round(days * DAY), "the home's servers are back", back)

    return do


def rolled(*, over: bool = False) -> Do:
    async def do(decade: Decade) -> None:
        decade.own.roll(decade.now, over=over)

    return do


def _leaves(day: float, continuity: Continuity) -> tuple[float, str, Do]:
    return day, f"the home leaves, continuity {continuity}", leave(continuity)


def _gone(day: float, days: float, **more: bool) -> tuple[float, str, Do]:
    return day, f"its servers are gone for {days} days", gone(days, **more)


def _returns(day: float) -> tuple[float, str, Do]:
    return day, "the home is to come back", come_back


_OUT = (State.LEAVING_KEYS, State.LEAVING_DS, State.LEAVING_SERVERS, State.LEAVING_DRAIN, State.AWAY)
_IN = (State.RETURNING_KEYS, State.RETURNING_DS, State.RETURNING_SERVERS, State.RETURNING_DRAIN, State.HOSTED)
_THERE_AND_BACK = frozenset({*_OUT, *_IN})
_HOME_ALONE = frozenset({*_OUT, State.GAP, State.BLIND, State.HOSTED})
EVERY_YEAR = (
    Trip(
        (_leaves(20, Continuity.COPY), _gone(60, 3), _returns(120)),
        _THERE_AND_BACK | {State.DARK, State.BACK},
    ),
    Trip((_leaves(20, Continuity.STANDBY), _gone(60, 2), _returns(120)), _THERE_AND_BACK),
    Trip((_leaves(20, Continuity.NONE), _gone(20.1, 3, half=True), _gone(60, 2), _returns(120)), _THERE_AND_BACK),
    Trip(
        (
            _leaves(20, Continuity.COPY),
            _gone(60, 5, anew=True),
            # Their NS in the copy would lead to other keys than the copy's as soon as they are back.
            (63, "its keys are lost, so that its copy must not be served", continuity(Continuity.NONE)),
            (70, "the home wants to be stood in for again", continuity(Continuity.COPY)),
            _returns(120),
        ),
        _THERE_AND_BACK | {State.DARK, State.GAP},
    ),
    Trip((_leaves(20, Continuity.NONE), _returns(20.5), _leaves(60, Continuity.NONE), _returns(120)), _THERE_AND_BACK),
    Trip((_leaves(20, Continuity.COPY), _gone(60, 45), _returns(95)), _HOME_ALONE | {State.DARK}),
    # Whoever has not seen yet that they are gone asks them for their keys first.
    Trip((_leaves(20, Continuity.NONE), _gone(60, 12), _returns(61)), _HOME_ALONE, frozenset({State.RETURNING_KEYS})),
    Trip(
        (
            _leaves(20, Continuity.STANDBY),
            (50, "its servers have another KSK beside the first", rolled()),
            (60, "its servers have the other KSK alone", rolled(over=True)),
            _returns(120),
        ),
        _THERE_AND_BACK,
    ),
    Trip(
        (_leaves(20, Continuity.COPY), _gone(60, 1), _gone(61.1, 1), _returns(120)),
        _THERE_AND_BACK | {State.DARK, State.BACK},
    ),
    Trip((_leaves(20, Continuity.COPY), _returns(300)), _THERE_AND_BACK),
)


def events(years: int, year: int) -> Iterator[tuple[int, str, Do]]:
    """Return when what happens, in seconds since the script's beginning; *year* is how many seconds one has."""
    for number in range(years):
        trip = EVERY_YEAR[number % len(EVERY_YEAR)]
        for day, what, do in trip.events:
            yield number * year + round(day * DAY), "", _after_restoring(what, do)
        yield (number + 1) * year - DAY, "", _is_home(trip)


def _after_restoring(what: str, do: Do) -> Do:
    """Wait for the end of a restoration: what a database has forgotten, others have seen."""

    async def attempt(decade: Decade) -> None:
        if decade.restoring:
            decade.at(6 * HOUR, "", attempt)
        else:
            decade.tell(what)
            await do(decade)

    return attempt


def _is_home(trip: Trip) -> Do:
    async def do(decade: Decade) -> None:
        states = decade.own.states
        decade.own.states = []
        came_through = f"the home came through {[str(one) for one in states]}"
        assert trip.states <= set(states) <= trip.states | trip.perhaps, came_through
        assert states[-1] is State.HOSTED

    return do


# What its people are asked


async def hear(decade: Decade) -> None:
    """Have them hear what their registry asks of them; they do it in their own time."""
    own = decade.own
    if own.held is None:
        return
    found = {one.zone: one for one in await delegations.listing(decade.admin, resting=True)}
    one = found.get(own.held.id)
    if one is None:
        return
    if one.state is not (own.states[-1] if own.states else State.HOSTED):
        own.states.append(one.state)
        decade.tell(f"{own.held.text} is {one.state}")
    decade.turning = None if (one.state, one.wish) == (State.HOSTED, Wish.HOST) else one
    registry = decade.named_registry()
    servers = registry.shown["ns1"][registry.origin, int(Type.NS)].rdatas
    wanted = own.wanted(one.state, one.wish, one.continuity, await _keys(decade, own.held.id), servers)
    for what, value in wanted.items():
        decade.at(own.begins(what), "", _does(what, value))


def _does(what: str, value: tuple[bytes, ...]) -> Do:
    async def do(decade: Decade) -> None:
        decade.own.does(what, value, decade.now)

    return do


async def _keys(decade: Decade, zone: int) -> tuple[bytes, ...]:
    """Return the keys with which the registry signs a zone, as `ddns delegation show` prints them."""
    found = await decade.rows(
        "SELECT public FROM signing_keys WHERE zone = %s AND state = 'active' ORDER BY public", zone
    )
    return tuple(public for (public,) in found)
