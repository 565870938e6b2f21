"""The KEY at a home's apex by UPDATE: its live key may put one other in its place, and rights follow, and no more."""

from __future__ import annotations

import itertools

import craft
import dns.message
import pytest
from committing import House
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n

from ddns.auth import keys, sig0
from ddns.dns.codes import Rcode, Type
from ddns.homes import holding
from ddns.net.updates import ROLLS
from ddns.operator import homes
from ddns.operator import keys as operator
from ddns.store import homes as stored
from ddns.store import keys_of_homes, rrsets

HOME = n("berg.smith.example.")
EDNS = b"\0\0\x29\x04\xd0" + bytes(6)
OLD, NEW, OTHER = (ec.derive_private_key(number, ec.SECP256R1()) for number in (41, 42, 43))
ANY_KEY = HOME + b"\0\x19\0\xff" + bytes(6)
ALL = HOME + b"\0\xff\0\xff" + bytes(6)
TEXT = HOME + b"\0\x10\0\1" + bytes(4) + b"\0\3\2hi"


def add(key, name: bytes = HOME, ttl: int = 300) -> bytes:
    rdata = keys.key_rdata(key)
    return name + b"\0\x19\0\1" + ttl.to_bytes(4, "big") + len(rdata).to_bytes(2, "big") + rdata


def delete(key) -> bytes:
    rdata = keys.key_rdata(key)
    return HOME + b"\0\x19\0\xfe" + bytes(4) + len(rdata).to_bytes(2, "big") + rdata


class Home:
    """A home beside the zone of `House`, with the key OLD."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._idents = iter(range(100, 1000))

    async def begin(self) -> Home:
        house = self.house
        done = await homes.add(
            house.admin, house.running.client, await house.row(), HOME, keys.key_rdata(OLD), "operator:test"
        )
        self.zone = done.zone
        await house.worker.load(done.zone)
        return self

    async def send(self, *operations: bytes, key=OLD, **more) -> tuple[int, str]:
        wire = craft.message(*operations, additional=[EDNS], origin=HOME, ident=next(self._idents), **more)
        (reply,) = await self.house.send(sig0.sign_request(wire, key, HOME, int(self.house.worker.now)))
        return said(reply)

    async def apex(self) -> set[bytes]:
        found = (await rrsets.read_names(self.house.admin, [(self.zone, HOME)])).get((self.zone, HOME), ())
        return {rdata for one in found if one.type == Type.KEY for rdata in one.rdatas}

    async def live(self) -> set[bytes]:
        return {one.public for one in await keys_of_homes.live(self.house.admin, self.zone)}

    async def events(self) -> list[str]:
        cursor = await self.house.admin.execute(
            "SELECT event FROM home_events WHERE zone = %s ORDER BY id", [self.zone]
        )
        return [row[0] for row in await cursor.fetchall()]


def said(reply: dns.message.Message) -> tuple[int, str]:
    texts = [option.text or "" for option in reply.options if option.otype == 15]
    return reply.rcode(), texts[0] if texts else ""


@pytest.mark.parametrize("short", [True, False], ids=["short", "careful"])
@pytest.mark.parametrize("way", ["any", "own"])
async def test_the_live_key_puts_another_in_its_place_and_is_nobody_then(dsn_for, tmp_path, way, short):
    """Trap of two truths: record and rights change in one transaction, with a line of history and a notice."""
    async with House(dsn_for, tmp_path / "house", short=short) as house:
        home = await Home(house).begin()

        done = await home.send({"any": ANY_KEY, "own": delete(OLD)}[way], add(NEW))

        assert done == (Rcode.NOERROR, "")
        assert await home.apex() == await home.live() == {keys.key_rdata(NEW)}
        assert await home.events() == ["enrol", "roll-key"]
        cursor = await house.admin.execute("SELECT kind FROM outbox WHERE kind <> 'home.enrolled'")
        assert await cursor.fetchall() == [("key.rolled",)]
        assert (await home.send(TEXT))[0] == Rcode.BADKEY
        assert (await home.send(TEXT, key=NEW))[0] == Rcode.NOERROR


REFUSED = {
    "taken away": [ANY_KEY],
    "its own taken away": [delete(OLD)],
    "one more": [add(NEW)],
    "two new ones": [ANY_KEY, add(NEW), add(OTHER)],
    "with something else": [ANY_KEY, add(NEW), TEXT],
    "added and taken away": [add(NEW), ANY_KEY],
    "the whole apex": [ALL],
    "other flags": [ANY_KEY, HOME + b"\0\x19\0\1" + bytes(4) + b"\0\x44" + b"\0\0" + keys.key_rdata(OLD)[2:]],
}


@pytest.mark.parametrize("short", [True, False], ids=["short", "careful"])
async def test_every_other_change_of_the_key_is_refused_and_changes_nothing(dsn_for, tmp_path, short):
    async with House(dsn_for, tmp_path / "house", short=short) as house:
        home = await Home(house).begin()

        answers = {what: await home.send(*operations) for what, operations in REFUSED.items()}

        assert {what: (rcode, text.split(":")[0]) for what, (rcode, text) in answers.items()} == dict.fromkeys(
            REFUSED, (Rcode.REFUSED, "The KEY at berg.smith.example. says who may write the home")
        )
        assert await home.apex() == await home.live() == {keys.key_rdata(OLD)}
        assert await home.events() == ["enrol"]


async def test_what_leaves_the_key_as_it_is_goes_on(dsn_for, tmp_path):
    """A client that sends its KEY again, or deletes and adds the same, is done; so is a KEY elsewhere in the home."""
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()

        assert await home.send(ANY_KEY, add(OLD), TEXT) == (Rcode.NOERROR, "")
        assert await home.send(add(OLD, ttl=60)) == (Rcode.NOERROR, "")
        assert await home.send(add(NEW, b"\3cam" + HOME)) == (Rcode.NOERROR, "")

        assert await home.apex() == {keys.key_rdata(OLD)}


async def test_a_lease_takes_no_key_from_the_apex(dsn_for, tmp_path):
    """RFC 9664: who leases his own KEY anew would otherwise lose the record when it ends, and keep his rights."""
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        lease = b"\0\0\x29\x04\xd0" + bytes(4) + b"\0\x0c" + b"\0\2\0\x08" + (60).to_bytes(4, "big") * 2
        wire = craft.message(add(OLD), TEXT, additional=[lease], origin=HOME, ident=9)

        (reply,) = await house.send(sig0.sign_request(wire, OLD, HOME, int(house.worker.now)))

        assert reply.rcode() == Rcode.NOERROR
        cursor = await house.admin.execute("SELECT type FROM leases WHERE zone = %s", [home.zone])
        assert await cursor.fetchall() == [(Type.TXT,)]


async def test_prerequisites_hold_for_a_roll_and_a_weak_key_is_none(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        weak = HOME + b"\0\x19\0\1" + bytes(4) + b"\0\x08" + b"\2\0\3\1abcd"

        unmet, _ = await home.send(ANY_KEY, add(NEW), needs=[b"\3cam" + HOME + b"\0\xff\0\xff" + bytes(6)])
        unfit = await home.send(ANY_KEY, weak)

        assert unmet == Rcode.NXDOMAIN
        assert unfit[0] == Rcode.REFUSED
        assert "cannot be enrolled" in unfit[1]
        assert await home.apex() == {keys.key_rdata(OLD)}


async def test_the_operator_revokes_a_homes_keys_with_their_records_and_its_owner_reads_why(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        added = await operator.add_sig0(house.admin, house.running.client, HOME, keys.key_rdata(NEW), "operator:test")
        assert added.home
        assert await home.apex() == await home.live() == {keys.key_rdata(OLD), keys.key_rdata(NEW)}

        done = await operator.revoke(
            house.admin, house.running.client, HOME, "it was burgled", "operator:test", int(house.worker.now)
        )

        assert (done.count, done.home) == (2, True)
        assert await home.apex() == await home.live() == set()
        assert await home.events() == ["enrol", "revoke-key", "revoke-key"]
        cursor = await house.admin.execute(
            "SELECT DISTINCT convert_from(body, 'UTF8')::json ->> 'reason' FROM outbox WHERE kind = 'key.revoked'"
        )
        assert await cursor.fetchall() == [("it was burgled",)]
        assert (await home.send(TEXT))[0] in (Rcode.BADKEY, Rcode.REFUSED)


async def test_a_home_that_is_held_rolls_no_key(dsn_for, tmp_path):
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        async with house.admin.transaction():
            await holding.hold(house.admin, house.running.client, home.zone, stored.SUSPENDED, "x", "operator:test", 1)

        rcode, text = await home.send(ANY_KEY, add(NEW))

        assert (rcode, "is suspended" in text) == (Rcode.REFUSED, True)
        assert await home.live() == {keys.key_rdata(OLD)}


async def test_so_many_rolls_an_hour_and_no_more(dsn_for, tmp_path):
    """Each is a line of history and a notice to the owner: a gateway gone mad must not fill either."""
    async with House(dsn_for, tmp_path / "house") as house:
        home = await Home(house).begin()
        ring = [OLD, *(ec.derive_private_key(number, ec.SECP256R1()) for number in range(50, 51 + ROLLS))]

        answers = [await home.send(ANY_KEY, add(new), key=old) for old, new in itertools.pairwise(ring)]

        assert [rcode for rcode, _ in answers] == [Rcode.NOERROR] * ROLLS + [Rcode.REFUSED]
        assert await home.apex() == await home.live() == {keys.key_rdata(ring[ROLLS])}
