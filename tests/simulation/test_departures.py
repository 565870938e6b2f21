"""That the decade's judges find a home whose way to its own servers, or back, is not as it ought to be.

The good ways are in the decade itself.
"""

from __future__ import annotations

import departures
import pytest
from decade import DAY, SMITH, Decade
from examining import ONLINE, WHOLE
from test_decade import SEED, running

from ddns.zone import turn
from ddns.zone.hand import Continuity, Hand, Ours, State
from ddns.zone.turning import Stage, Wait


@pytest.fixture
def decade(postgres, database, tmp_path):
    return Decade(postgres, database, tmp_path, SEED)


async def begin(decade: Decade, continuity: Continuity) -> None:
    """Have a home leave, after all was well for some days."""
    await decade.found("smith")
    home = await decade.zone(SMITH)
    await departures.settle(decade, home)
    await decade.run(decade.start + 10 * DAY)
    assert decade.wrong == []
    await departures.leave(continuity)(decade)
    decade.lenient, decade.asking = True, 0.0


def found(decade: Decade) -> set[str]:
    """Return who finds anything wrong with the home now; each looks ten times, because each looks at one server."""
    assert decade.own.held is not None
    judges = (*WHOLE, *ONLINE)
    return {one for one in judges for _ in range(10) if decade.examiner.examine(decade.own.held, one, decade.now)}


async def test_all_are_content_with_a_home_that_leaves_as_it_ought_to(decade):
    async with running(decade):
        await begin(decade, Continuity.COPY)
        await decade.run(decade.now + 5 * DAY)
        assert decade.own.states[-1] is State.AWAY
        assert decade.own.held is not None
        assert set(decade.own.held.shown) == {"own1", "own2"}
        judges = (*WHOLE, *ONLINE)
        assert [decade.examiner.examine(decade.own.held, judge, decade.now) for judge in judges] == [""] * 5
    assert decade.wrong == []
    assert {judge for (judge, verdict), _ in decade.verdicts if verdict == "secure"} == set(judges)


async def test_caches_find_a_home_that_waits_for_none_of_them(decade, monkeypatch):
    """Every single answer is right, whoever is asked; only what was kept of the one side and comes from the other."""
    monkeypatch.setattr(Stage, "after", lambda _, seen, __, ___: Wait("") if seen is None else None)
    monkeypatch.setattr(Stage, "joined", property(lambda stage: stage.hand.joint_at is not None))
    async with running(decade):
        await begin(decade, Continuity.COPY)
        await decade.run(decade.now + 5 * DAY)
        assert decade.own.states[-1] is State.AWAY

    assert any(SMITH in one and "with the keys" in one for one in decade.wrong)  # dnspython
    assert any(SMITH in one and "no key of" in one for one in decade.wrong)


async def test_every_judge_who_knows_a_ds_finds_a_home_whose_ds_is_not_that_of_its_servers(decade, monkeypatch):
    def ours_alone(_: Hand, ours: Ours) -> tuple[bytes, ...]:
        return ours.ds

    monkeypatch.setattr(turn, "joint_ds", ours_alone)
    monkeypatch.setattr(turn, "_ds_away", lambda stage: stage.ours.ds)
    async with running(decade):
        await begin(decade, Continuity.COPY)
        await decade.run(decade.now + 5 * DAY)
        assert decade.own.states[-1] is State.AWAY

        assert any(SMITH in one and "no DS names a key" in one for one in decade.wrong)  # dnspython
        assert any(SMITH in one and "no key of" in one for one in decade.wrong)
        assert found(decade) == set(ONLINE)


async def test_every_judge_finds_a_copy_that_is_served_after_its_signatures_ended(decade, monkeypatch):
    monkeypatch.setattr(turn, "copy_until", lambda *_: 1 << 40)
    async with running(decade):
        await begin(decade, Continuity.COPY)
        await decade.run(decade.now + 5 * DAY)
        await departures.gone(60)(decade)
        await decade.run(decade.now + 40 * DAY)
        assert decade.own.states[-1] is State.DARK

        assert any(SMITH in one and "a signature that is valid from" in one for one in decade.wrong)
        assert found(decade) == {*WHOLE, *ONLINE}
