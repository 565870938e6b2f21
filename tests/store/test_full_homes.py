"""A home holds no more names and records than its policy lets it have, whichever way its updates are committed."""

from __future__ import annotations

import craft
import pytest
from committing import House
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, sig0
from ddns.dns.codes import Rcode
from ddns.operator import home_policy, homes

HOME = n("berg.smith.example.")
EDNS = b"\0\0\x29\x04\xd0" + bytes(6)
KEY = ec.derive_private_key(61, ec.SECP256R1())


class Home:
    def __init__(self, house):
        self.house = house
        self._idents = iter(range(1000))

    async def begin(self):
        house = self.house
        done = await homes.add(
            house.admin, house.running.client, await house.row(), HOME, keys.key_rdata(KEY), "operator:test"
        )
        await house.worker.load(done.zone)
        return self

    async def send(self, *operations):
        """Send an update of the home and return (response code, sentence)."""
        wire = craft.message(*operations, additional=[EDNS], origin=HOME, ident=next(self._idents))
        (reply,) = await self.house.send(sig0.sign_request(wire, KEY, HOME, int(self.house.worker.now)))
        texts = [option.text or "" for option in reply.options if option.otype == 15]
        return reply.rcode(), texts[0] if texts else ""

    async def bounds(self, **wanted):
        await home_policy.change(self.house.admin, 1, craft.ORIGIN, wanted)


def a(label, last, rdclass=craft.IN):
    return craft.rr(f"{label}.berg", "A", rdclass, 60 if rdclass == craft.IN else 0, bytes((192, 0, 2, last)))


def gone(label):
    return craft.delete(f"{label}.berg")


@pytest.mark.parametrize("short", [True, False], ids=["short", "careful"])
async def test_names_and_records_are_bounded_at_n_and_not_before(dsn_for, tmp_path, short):
    async with House(dsn_for, tmp_path / "house", short=short) as house:
        home = await Home(house).begin()
        assert await home.send(a("one", 1)) == (Rcode.NOERROR, "")  # before there is a bound

        await home.bounds(names_most="2", records_most="3")

        assert await home.send(a("two", 1)) == (Rcode.NOERROR, "")
        rcode, text = await home.send(a("three", 1))
        assert (rcode, text.split(";")[0]) == (
            Rcode.REFUSED, "The home berg.smith.example. may have 2 names below its own, and this would make it 3"
        )  # fmt: skip
        assert await home.send(gone("one"), a("three", 1)) == (Rcode.NOERROR, "")
        assert await home.send(a("two", 2)) == (Rcode.NOERROR, "")
        rcode, text = await home.send(a("two", 3))
        assert (rcode, "may have 3 records, and this would make it 4" in text) == (Rcode.REFUSED, True)
        assert await home.send(a("two", 1, craft.NONE), a("two", 3)) == (Rcode.NOERROR, "")


async def test_a_home_that_is_too_full_may_lose_things_and_a_bound_that_is_lifted_binds_no_more(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        assert (await home.send(*(a(f"d{number}", 1) for number in range(4))))[0] == Rcode.NOERROR
        await home.bounds(names_most="1")

        assert await home.send(gone("d0")) == (Rcode.NOERROR, "")
        assert (await home.send(gone("d1"), a("d8", 1)))[0] == Rcode.NOERROR
        assert (await home.send(a("d9", 1)))[0] == Rcode.REFUSED
        await home.bounds(names_most="none")
        assert await home.send(a("d9", 1)) == (Rcode.NOERROR, "")


async def test_updates_of_one_batch_share_the_room(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        await home.bounds(names_most="3")
        wires = [craft.message(a(f"d{number}", 1), additional=[EDNS], origin=HOME, ident=number) for number in range(6)]

        replies = await house.send(*(sig0.sign_request(one, KEY, HOME, int(house.worker.now)) for one in wires))

        assert sorted(reply.rcode() for reply in replies) == [Rcode.NOERROR] * 3 + [Rcode.REFUSED] * 3
