"""Updates while keys roll: no update is ever committed with signatures of other keys than the zone's row says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import craft
import msgspec
import pytest
import signing
from committing import House, read
from keysets import MOST_STEPS, Roll

from ddns.dns.codes import Rcode, Type
from ddns.dns.records import RRset
from ddns.signing.publish import ZoneStep, publish
from ddns.store import published, rrsets, zones
from ddns.store.line import Parameter, Statement
from ddns.zone.jobs import Node


@pytest.fixture(params=[True, False], ids=["short", "careful"])
def short(request) -> bool:
    return request.param


def heard(house: House) -> list[str]:
    """Return what the database says from now on to what goes the short way: nothing where it is committed."""
    said: list[str] = []
    if house.line is not None:
        run = house.line.run

        async def listened(statement: Statement, parameters: Sequence[Parameter]) -> bytes | None:
            answer = await run(statement, parameters)
            said.append((answer or b"").decode())
            return answer

        house.line.run = listened  # type: ignore[method-assign]
    return said


async def update(house: House, number: int) -> None:
    """Change data, add a name and take one away, in three updates of one batch."""
    replies = await house.send(
        house.signed(craft.delete("a", "A"), craft.add("a", 300, "A", f"198.51.100.{number % 250}"), ident=10 * number),
        house.signed(craft.add(f"n{number}", 300, "TXT", "new"), ident=10 * number + 1),
        house.signed(craft.delete(f"n{number - 1}"), ident=10 * number + 2),
    )
    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}


async def whole(house: House, roll: Roll) -> None:
    """Check that what is published is what signing everything anew would publish, and by whom it is signed."""
    row = await house.row()
    assert not row.signed_pending
    assert await roll.check() > 10
    keys = await signing.keys_of(house.admin, house.zone)
    assert await signing.bare(house.admin, house.zone) == await signing.ought(house.admin, row, keys)


@pytest.mark.parametrize(
    ("denial", "schemes", "roles"),
    [("nsec3", ("csk",), ("csk",)), ("nsec", ("ksk+zsk", "csk"), ("zsk", "ksk")), ("nsec3", ("ksk+zsk",), ("zsk",))],
    ids=["csk", "csk to ksk+zsk and back", "zsk"],
)
async def test_updates_go_on_while_keys_roll_and_are_signed_by_todays_keys(
    dsn_for, tmp_path, short, denial, schemes, roles
):
    """Before, while and after each step, whichever way they go; each is done once, and none is left unsigned."""
    async with House(dsn_for, tmp_path / "house", short=short, denial=denial) as house:
        roll, said = Roll(house), heard(house)
        first, keysets, number = await roll.tags(), set(), 1
        asked = [lambda scheme=scheme: roll.use(scheme) for scheme in schemes[:1]]
        asked += [lambda role=role: roll.order("roll", role) for role in roles]
        asked += [lambda scheme=scheme: roll.use(scheme) for scheme in schemes[1:]]
        for ask in asked:
            await ask()
            for _ in range(MOST_STEPS):
                house.signer.meanwhile = roll.step
                await update(house, number)
                await roll.check()
                await roll.step()
                await update(house, number + 1)
                await whole(house, roll)
                keysets.add((await house.row()).keyset)
                number += 2
                if not await roll.moving():
                    break

        journal = (await house.rows())["journal"]
        assert not await roll.moving()
        assert not first & await roll.tags()
        assert len(keysets) > 3
        assert len(journal) == 1 + 3 * (number - 1) - 1  # of the first name there is nothing to take away
        if short:
            assert said.count("") > 1
            assert said.count(f"zones {house.zone}") > 1


async def test_what_another_signer_remembers_is_not_what_signs(dsn_for, tmp_path):
    """It answers this worker, and has not heard that another signer has rolled: nor has the worker."""
    folder = tmp_path / "other"
    folder.mkdir()
    async with House(dsn_for, tmp_path / "house") as house, signing.Running(dsn_for, folder) as other:
        roll = Roll(house)
        await roll.use("csk")
        await roll.rest()
        house.signer.client = other.client
        other.now = house.running.now
        await house.worker.subscriber.catch_up([house.zone])
        await update(house, 1)
        old, before = await roll.tags(), (await house.row()).keyset
        await roll.order("roll", "csk")
        for _ in range(MOST_STEPS):
            if not old & await roll.zone_signers():
                break
            await roll.step()
        other.now = house.running.now
        await house.worker.subscriber.catch_up([house.zone])  # it has the records, not how the zone stands
        ran, asked, lent = house.line.ran, house.signer.asked, house.worker.pool.lent

        (reply,) = await house.send(house.signed(craft.add("a", 300, "A", "192.0.2.77"), ident=4))

        assert (await house.row()).keyset > before
        assert reply.rcode() == Rcode.NOERROR
        assert (house.line.ran - ran, house.signer.asked - asked, house.worker.pool.lent - lent) == (1, 2, 1)
        await whole(house, roll)


async def test_of_two_workers_neither_commits_what_the_keys_of_before_have_signed(dsn_for, tmp_path):
    """Both judge at once, and the keys change while the signer signs; what one has done, the other adds to."""
    async with House(dsn_for, tmp_path / "house") as house:
        roll = Roll(house)
        await roll.use("csk")
        await roll.order("roll", "csk")
        other = await house.another()
        for number in range(1, MOST_STEPS):
            house.signer.meanwhile = roll.step
            address, words = craft.add("a", 300, "A", f"198.51.100.{number}"), craft.add("a", 300, "TXT", f"t{number}")
            here = house.signed(craft.delete("a", "TXT"), address, craft.delete("a", "A"), address, ident=number)
            there = house.signed(craft.delete("a", "TXT"), words, ident=1000 + number)

            replies = await asyncio.gather(house.worker.send(here), other.send(there))

            assert {read(reply).rcode() for (reply,) in replies} == {Rcode.NOERROR}
            await whole(house, roll)
            await roll.step()
            await whole(house, roll)
            if not await roll.moving():
                break

        assert not await roll.moving()
        assert (await house.row()).keyset >= 3
        assert len((await house.rows())["journal"]) == 1 + 2 * number


async def test_an_update_under_a_number_that_the_database_does_not_have_waits_for_the_signers_own_loop(
    dsn_for, tmp_path
):
    """The signer signs nothing then; the change is durable, and is published by the keys of the day."""
    async with House(dsn_for, tmp_path / "house") as house:
        roll = Roll(house)
        records = (await rrsets.read_names(house.admin, [(house.zone, craft.ORIGIN)]))[house.zone, craft.ORIGIN]
        new = Node(craft.name("new"), (), (RRset(craft.name("new"), Type.A, 60, (b"\xc0\0\2\1",)),))
        plain = Node(craft.name("a"), *await _other_address(house))
        for number, node in enumerate((new, plain), 1):
            async with house.admin.transaction():
                zone = (await zones.lock(house.admin, [house.zone]))[house.zone]
                moved = msgspec.structs.replace(zone, keyset=zone.keyset + 1)
                outcome = await publish(
                    house.admin, house.running.client, [ZoneStep(moved, (node,), apex=records, accepted=0)]
                )

            assert (outcome.editions, outcome.pending) == ((), (house.zone,))
            assert (await house.row()).signed_pending
            await house.running.worker.sweep(house.admin)
            await whole(house, roll)
            assert (await house.row()).edition == 1 + number


async def _other_address(house: House) -> tuple[tuple[RRset, ...], tuple[RRset, ...]]:
    name = craft.name("a")
    before = (await rrsets.read_names(house.admin, [(house.zone, name)]))[house.zone, name]
    changed = tuple(RRset(name, one.type, 60, (bytes(4),)) if one.type == Type.A else one for one in before)
    return before, changed


async def test_an_update_costs_what_it_did_before_the_keys_rolled(dsn_for, tmp_path):
    """One statement, one question to the signer, and none of its own to the database."""
    async with House(dsn_for, tmp_path / "house") as house:
        roll = Roll(house)
        await roll.use("ksk+zsk")
        await roll.rest()
        await house.worker.subscriber.catch_up([house.zone])
        await update(house, 1)
        await update(house, 2)
        before = house.line.ran, house.signer.asked, house.worker.pool.lent, house.running.pool.lent

        (reply,) = await house.send(house.signed(craft.add("a", 60, "A", "192.0.2.77"), ident=1))

        after = house.line.ran, house.signer.asked, house.worker.pool.lent, house.running.pool.lent
        assert reply.rcode() == Rcode.NOERROR
        assert [then - now for now, then in zip(before, after, strict=True)] == [1, 1, 0, 0]
        shown = (await published.read_names(house.admin, [(house.zone, craft.name("a"))]))[house.zone, craft.name("a")]
        assert {len(one.sigs) for one in shown} == {1}
