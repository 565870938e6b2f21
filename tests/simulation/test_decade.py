"""A registry's decade in minutes, judged at every moment by all that caches may hold, and by five validators in turn.

`DECADE_SEED` and `DECADE_YEARS` give it another course or another length (docs/howto/develop.md).
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import script
from databases import fresh_database
from decade import DAY, Decade
from examining import ONLINE, WHOLE
from house import REGISTRY
from serving import Listening
from waiting import TEMPLATE

from zone_signer import seen, settling
from zone_signer.proving import Prover
from zone_signer.seen import Seen

SEED = int(os.environ.get("DECADE_SEED", "6781"))
YEARS = int(os.environ.get("DECADE_YEARS", "10"))


@asynccontextmanager
async def running(decade: Decade) -> AsyncIterator[Decade]:
    """Have the servers of *decade* answer, and its database be there."""
    await decade.open()
    try:
        with Listening(decade.listening):
            yield decade
    finally:
        await decade.close()


@pytest.fixture
def decade(postgres, database, tmp_path):
    return Decade(postgres, database, tmp_path, SEED)


@pytest.mark.timeout(1800)
async def test_nothing_is_ever_bogus_in_a_decade_of_rolls(decade):
    async with running(decade):
        await script.begin(decade, YEARS)
        await decade.run(decade.start + YEARS * script.YEAR)

        assert await decade.resting()
        algorithms = {one[2] for ds in decade.above.history for one in ds}
        events = await decade.rows("SELECT count(*) FROM key_events")
    lines = [f"seed {SEED}: {decade.ticks} moments, {decade.publications} editions, {events[0][0]} events of keys"]
    lines += [f"{judge:18} {verdict:9} {times:5}" for (judge, verdict), times in decade.verdicts]
    sys.stdout.write("\n".join(lines) + "\n")
    assert {judge for (judge, verdict), _ in decade.verdicts if verdict == "secure"} == {*WHOLE, *ONLINE}
    if len(script.EVERY_YEAR) <= YEARS:
        assert algorithms == {8, 13, 14, 15}
        assert {judge for (judge, verdict), _ in decade.verdicts if verdict == "insecure"} == {"delv", "unbound-host"}
        assert set(decade.examiner.denied) >= {("delv", "secure"), ("unbound-host", "secure")}


async def test_the_same_seed_tells_the_same_story(postgres, tmp_path):
    stories = []
    for number in range(2):
        databases = fresh_database(postgres, TEMPLATE)
        folder = tmp_path / str(number)
        folder.mkdir()
        decade = Decade(postgres, next(databases), folder, SEED)
        async with running(decade):
            await script.begin(decade, 1)
            await decade.run(decade.start + 100 * DAY)
        next(databases, None)
        asked = Counter()  # what a validator says of a zone on its way depends on which server it asks
        for (judge, _), times in decade.verdicts:
            asked[judge] += times
        stories.append((decade.ticks, decade.publications, decade.told, asked))

    assert stories[0] == stories[1]
    assert len(stories[0][2]) > 3


async def test_every_judge_finds_signatures_that_nobody_renewed(decade):
    """The signers are away for a month, and not for three days."""
    async with running(decade):
        registry = await decade.found()
        await decade.run(decade.start + 10 * DAY)
        assert [decade.examiner.examine(registry, judge, decade.now) for judge in (*WHOLE, *ONLINE)] == [""] * 5

        decade.signers, decade.lenient, decade.asking = False, True, 0.0
        await decade.run(decade.now + 30 * DAY)

        assert any("a signature that is valid from" in one for one in decade.wrong)
        found = {judge for judge in (*WHOLE, *ONLINE) if decade.examiner.examine(registry, judge, decade.now)}
    assert found == {*WHOLE, *ONLINE}


async def test_every_judge_who_knows_a_ds_finds_a_roll_that_does_not_wait_for_the_parent(decade, monkeypatch):
    """What a whole zone's signatures tell is no help here: they are all good, and nobody can get at them."""
    async with running(decade):
        registry = await decade.found()
        await decade.run(decade.start + 10 * DAY)
        monkeypatch.setattr(seen, "ds_shown", lambda _, __, ___, since: Seen(since))
        monkeypatch.setattr(seen, "ds_gone", lambda _, __, ___, since: Seen(since))
        monkeypatch.setattr(settling, "_contradicted", lambda *_: iter(()))
        decade.adopts, decade.lenient, decade.asking = None, True, 0.0
        await decade.order(registry, "roll")
        await decade.run(decade.now + 20 * DAY)

        assert any("no key of" in one for one in decade.wrong)  # what caches may hold
        assert any("no DS names a key" in one for one in decade.wrong)  # dnspython
        found = {judge for judge in (*WHOLE, *ONLINE) if decade.examiner.examine(registry, judge, decade.now)}
    assert found == set(ONLINE)


async def test_a_cache_finds_a_roll_that_does_not_wait_for_a_secondary(decade, monkeypatch):
    """Every single answer is right; only who has asked one server before and another now is misled."""
    async with running(decade):
        await decade.found("one")
        home = await decade.zone(f"one.{REGISTRY}")
        await decade.run(decade.start + 10 * DAY)
        monkeypatch.setattr(settling, "_at_serial", lambda _, __, ___, since: Seen(since))
        decade.copies[2].until = decade.now + 3 * DAY
        decade.lenient, decade.asking = True, 0.0
        await decade.order(home, "roll")
        await decade.run(decade.now + 5 * DAY)

    assert any(one.startswith(home.text) and "with the keys" in one for one in decade.wrong)  # dnspython
    assert any(one.startswith(home.text) and "no key of" in one for one in decade.wrong)


async def test_denials_by_a_key_that_is_gone_are_found_by_caches_and_by_every_judge_who_asks_for_one(
    decade, monkeypatch
):
    """All that is published is as it ought to be; only who asks for what is not there gets an old key's word."""
    first = []
    keys = Prover._keys

    def for_ever(self, job, now):
        first.append(keys(self, job, now) if not first else first[0])
        return first[0]

    monkeypatch.setattr(Prover, "_keys", for_ever)
    async with running(decade):
        await decade.found("one")
        home = await decade.zone(f"one.{REGISTRY}", denial="compact")
        await decade.run(decade.start + 10 * DAY)
        assert decade.wrong == []
        decade.lenient, decade.asking = True, 0.0
        await decade.order(home, "roll")
        await decade.run(decade.now + 20 * DAY)

        assert any(f"nobody.{home.text}" in one and "with the keys" in one for one in decade.wrong)
        assert any(home.text in one and "made one of the signatures" in one for one in decade.wrong)
        asks = ("unbound-host", "delv")
        found = {judge for judge in asks for _ in range(20) if decade.examiner.examine(home, judge, decade.now)}
    assert found == set(asks)


@pytest.mark.parametrize("lifetime", [0, 400 * DAY], ids=["for-ever", "for-a-year"])
async def test_a_home_that_rolls_below_an_insecure_registry_is_secure_when_that_is_secure_again(decade, lifetime):
    """The DS of the key that has gone must not be there then; that of the new one comes long before its next roll."""
    async with running(decade):
        registry = await decade.found("one")
        home = await decade.zone(f"one.{REGISTRY}")
        await decade.policy(home, csk_lifetime=lifetime)
        await decade.run(decade.start + 10 * DAY)
        await decade.order(registry, "insecure")
        await decade.run(decade.now + 10 * DAY)
        assert home.is_secure(decade.now) is False
        await decade.order(home, "roll")
        await decade.run(decade.now + 10 * DAY)
        await decade.order(registry, "secure", denial="nsec3")
        await decade.run(decade.now + 5 * DAY)
        assert registry.is_secure(decade.now) is True
        await decade.run(decade.now + 5 * DAY)

        assert home.is_secure(decade.now) is True
        assert [decade.examiner.examine(home, judge, decade.now) for judge in (*WHOLE, *ONLINE)] == [""] * 5
