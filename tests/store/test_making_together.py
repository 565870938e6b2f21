"""Homes that are asked for over HTTPS at the same time come to be together, and each is answered by itself."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest
from people import p256
from rows import n
from serving_desk import asking

from ddns.auth.principal import Secret
from ddns.dns import names
from ddns.operator import homes
from ddns.operator import zones as operator
from ddns.proof import statements
from ddns.proof.statements import Enrol
from ddns.store import zones
from ddns.web.making_queue import GatherLimits

NOW = 1_800_000_000
REGISTRY = n("homes.example.")
WRONG = Secret(b"w" * 32)

_numbers = itertools.count(1)


class Street:
    """A registry whose desk makes homes by invitations."""

    def __init__(self, admin, owner, at):
        self.admin = admin
        self.owner = owner
        self.at = at
        self.line = at.desk._making

    async def invited(self, label):
        registry = await zones.find(self.admin, REGISTRY)
        home = names.prepend(label.encode(), REGISTRY)
        return await homes.invite(self.admin, self.at.desk.sealer, registry, home, NOW + 9000, NOW)

    def wish(self, one, *, secret=None, key=None):
        """Return a statement that spends the invitation *one*."""
        number = next(_numbers)
        said = Enrol(aud="homes.example.", iat=NOW, exp=NOW + 600, jti=f"jti-{number:020}", method="invitation")
        signed_with = (secret or one.secret).reveal()
        return statements.sign(said, key or p256(5000 + number), (names.to_text(one.key), signed_with))

    async def wishes(self, *labels):
        return [self.wish(await self.invited(label)) for label in labels]

    async def send(self, wish):
        status, headers, told = await self.at.ask("POST", "/v1/enrol", wish, media="application/jose+json")
        return status, told.get("home") or told["code"], headers.get("Retry-After")

    @asynccontextmanager
    async def all_in_line(self, wishes, most=None):
        """Send *wishes* at once; inside, one lot is at work and waits for the registry's row, and all others in line.

        Yielded is the list of their tasks.
        """
        async with self.owner.transaction():
            await self.owner.execute("SELECT 1 FROM zones WHERE parent IS NULL FOR UPDATE")
            sent = [asyncio.ensure_future(self.send(wish)) for wish in wishes]
            while self.line._waiting + sum(one.done() for one in sent) < len(wishes):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            yield sent

    async def together(self, wishes):
        async with self.all_in_line(wishes) as sent:
            pass
        return [one[:2] for one in await asyncio.gather(*sent)]

    async def count(self, what):
        cursor = await self.owner.execute(f"SELECT {what}")
        (found,) = await cursor.fetchone()
        return found


@pytest.fixture
def street(dsn_for, tmp_path, admin, owner):
    @asynccontextmanager
    async def made(**limits):
        async with asking(dsn_for("ddns_web"), tmp_path, NOW, gathering=GatherLimits(**limits)) as at:
            text = operator.new_text(REGISTRY, [n("ns1.example.net.")], n("hostmaster.example.net."), [])
            await operator.add(admin, text, "none", 13, "operator:test")
            yield Street(admin, owner, at)

    return made


async def test_homes_that_are_asked_for_at_the_same_time_share_a_commit(street):
    """Each has its own history, statement and notice; who asks again is answered as before."""
    labels = [f"box{number}" for number in range(8)]
    async with street() as one:
        wishes = await one.wishes(*labels)

        told = await one.together(wishes)

        assert told == [(201, f"{label}.homes.example.") for label in labels]
        assert await one.count("count(DISTINCT xmin::text) FROM homes") <= 2
        assert await one.count("count(*) FROM home_events WHERE event = 'enrol'") == 8
        assert await one.count("count(*) FROM statements WHERE status = 201") == 8
        assert await one.count("count(*) FROM outbox WHERE kind = 'home.enrolled'") == 8
        assert await one.together(wishes) == told
        assert await one.count("count(*) FROM homes") == 8


async def test_a_lot_is_no_greater_than_is_set(street):
    async with street(at_once=3) as one:
        await one.together(await one.wishes(*"abcdefgh"))

        assert await one.count("count(DISTINCT xmin::text) FROM homes") >= 3
        assert await one.count("count(*) FROM homes") == 8


async def test_what_is_wrong_with_one_takes_no_other_with_it(street):
    """A wrong secret is found by reading; an invitation spent twice, and a twin, when it is written."""
    async with street() as one:
        good = await one.wishes("anna", "bert", "carl")
        forged = one.wish(await one.invited("dora"), secret=WRONG)
        invited = await one.invited("emil")
        twice = [one.wish(invited), one.wish(invited)]
        (twin,) = await one.wishes("fritz")

        told = await one.together([good[0], forged, good[1], *twice, twin, good[2], twin])

        assert [told[place] for place in (0, 2, 6)] == [
            (201, f"{label}.homes.example.") for label in ("anna", "bert", "carl")
        ]
        assert told[1] == (409, "invitation-spent")
        assert sorted(told[3:5]) == [(201, "emil.homes.example."), (409, "invitation-spent")]
        assert told[5] == told[7] == (201, "fritz.homes.example.")
        assert await one.count("count(*) FROM homes") == 5
        assert await one.count("count(*) FROM home_events WHERE event = 'enrol'") == 5


async def test_a_tenant_gets_as_many_homes_as_it_may_have(street):
    async with street() as one:
        wishes = await one.wishes(*"abcde")
        await one.owner.execute("UPDATE tenants SET homes_most = 3 WHERE id = 1")

        told = await one.together(wishes)

        assert sorted(status for status, _ in told) == [201, 201, 201, 429, 429]
        assert {code for status, code in told if status == 429} == {"quota-reached"}
        assert await one.count("count(*) FROM homes") == 3


async def test_a_desk_that_ends_in_the_middle_leaves_nothing_half_done(street):
    """Asked again, all of it is done."""
    async with street() as one:
        wishes = await one.wishes(*"abcd")
        async with one.all_in_line(wishes) as sent:
            await one.line.stop()
        await asyncio.gather(*sent, return_exceptions=True)

        assert await one.count("count(*) FROM homes") == 0
        assert await one.count("count(*) FROM statements") == 0
        assert await one.count("count(*) FROM invitations WHERE spent_at IS NOT NULL") == 0
        async with asking(one.at.desk._config.dsn, one.at.folder, NOW) as other:
            again = Street(one.admin, one.owner, other)
            assert await again.together(wishes) == [(201, f"{label}.homes.example.") for label in "abcd"]


async def test_who_goes_away_stops_nothing_that_has_begun(street):
    """His home is made, and he is told so when he asks again; who was still in the line is forgotten."""
    async with street(at_once=2) as one:
        wishes = await one.wishes(*"abcde")
        async with one.all_in_line(wishes) as sent:
            waiting = [place.one.kept.octets for place in one.line._lines[1]]
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)
            begun = [wish for wish in wishes if wish not in waiting]
            assert 1 <= len(begun) <= 2
        while one.line._at_work:
            await asyncio.gather(*one.line._at_work)

        assert await one.count("count(*) FROM homes") == len(begun)
        assert await one.count("count(*) FROM statements WHERE status = 201") == len(begun)
        assert [status for status, _, _ in [await one.send(wish) for wish in begun]] == [201] * len(begun)
        assert await one.count("count(*) FROM homes") == len(begun)


async def test_who_finds_the_line_full_is_told_when_to_come_again(street):
    async with street(waiting=2) as one:
        wishes = await one.wishes(*"abc")
        async with one.all_in_line(wishes) as sent:
            (refused,) = [task for task in sent if task.done()]
            assert refused.result()[:2] == (503, "desk-busy")
            assert int(refused.result()[2]) > 0

        assert sorted([(await task)[0] for task in sent]) == [201, 201, 503]


async def test_who_has_a_home_here_is_heard_while_strangers_wait(street):
    """Strangers' statements have used up what they get of the desk's CPU."""
    async with street() as one:
        mine, strangers = await one.wishes("anna", "bert")
        assert (await one.send(mine))[0] == 201
        one.at.desk.verifying._left = -1e6

        status, code, later = await one.send(strangers)

        assert (status, code) == (503, "desk-busy")
        assert int(later) > 0
        assert (await one.send(mine))[0] == 201
        assert await one.count("count(*) FROM homes") == 1
