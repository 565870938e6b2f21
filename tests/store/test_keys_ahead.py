"""The keys of gateways are read before anybody asks: all of a name, the newest first, and no more than wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n
from waiting import wait_for

from ddns.auth import keys
from ddns.auth.principal import Grant
from ddns.auth.sealing import Sealer
from ddns.dns.names import order_key
from ddns.net.keyring import AHEAD_AT_ONCE, Keyring
from ddns.store import credentials, zones
from ddns.store.line import Line

HOMES = AHEAD_AT_ONCE + 3  # more than one page


@pytest.fixture
def names(conn):
    """Homes with a key each, the first with two, one that is revoked, and an operator's key: their names, by age."""
    return wait_for(populated(conn))


async def populated(conn):
    named = []
    async with conn.transaction():
        for number in range(HOMES):
            home = n(f"h{number}.a.")
            zone = await zones.insert(conn, home, "none", 13)
            for tag in (1, 2) if number == 0 else (1,):
                await credentials.insert(conn, home, "sig0", "13", tag=tag, public=b"%d" % tag, home=zone)
            named.append(home)
        await credentials.insert(conn, n("operator."), "tsig", "hmac-sha256", secret=b"s")
        await conn.execute("UPDATE credentials SET revoked_at = now() WHERE name = %s", [order_key(n("h7.a."))])
    return named


@pytest.fixture
def line(dsn_for):
    """Yield a connection for key look-ups."""
    line = Line(dsn_for("ddns_server"), "ddns_server")
    yield line
    line.close()


async def tags(keyring, name):
    """Return the tags of the keys that are known of *name*, without a look-up."""
    assert keyring.knows(name)
    found = asyncio.get_running_loop().create_future()
    keyring.find(name, found.set_result)
    return [key.tag for key in await found]


def meddle(line: Line, then: Callable[[list[bytes]], None]) -> list[bytes]:
    """Have *then* done after each statement that *line* is asked, with the names of all so far: they are returned."""
    ask = line.ask
    asked: list[bytes] = []

    async def meddling(statement, parameters):
        asked.append(statement.name)
        result = await ask(statement, parameters)
        then(asked)
        return result

    line.ask = meddling
    return asked


async def test_every_key_of_a_home_is_known_before_it_is_asked_for_and_nobody_elses(names, line):
    keyring = Keyring(line, Sealer(bytes(32)), 1000, 10)

    await keyring.read_ahead(1000)

    assert [name for name in names if not keyring.knows(name)] == [names[7]]
    assert not keyring.knows(n("operator."))
    assert await tags(keyring, names[0]) == [1, 2]
    assert await tags(keyring, names[-1]) == [1]


@pytest.mark.parametrize(("most", "wanted"), [(1000, 10), (10, 1000)])
async def test_the_newest_homes_come_first_and_no_more_than_there_is_room_for(names, line, most, wanted):
    keyring = Keyring(line, Sealer(bytes(32)), most, 10)

    await keyring.read_ahead(wanted)

    known = [name for name in names if keyring.knows(name)]
    live = [name for name in names if name != names[7]]
    assert known
    assert known == live[-len(known) :]
    assert len(known) <= max(min(most, wanted), AHEAD_AT_ONCE)
    assert len(known) <= most


async def test_what_is_read_while_keys_change_is_read_again(names, line):
    keyring = Keyring(line, Sealer(bytes(32)), 1000, 10)

    def then(asked: list[bytes]) -> None:
        if asked.count(b"stamped") == 1 and asked[-1] == b"stamped":
            keyring.forget(names[-1])

    asked = meddle(line, then)
    await keyring.read_ahead(1000)

    assert keyring.knows(names[-1])
    assert asked.count(b"stamped") == 3


async def test_it_ends_where_everything_is_forgotten(names, line):
    """As with each batch of an import: else all would be read again and again."""
    keyring = Keyring(line, Sealer(bytes(32)), 1000, 10)
    meddle(line, lambda _asked: keyring.forget(None))

    await keyring.read_ahead(1000)

    assert not any(map(keyring.knows, names))


async def test_it_begins_again_where_what_was_read_may_be_old(names, line):
    """As while the server starts: it compares for the first time as soon as it hears of changes."""
    keyring = Keyring(line, Sealer(bytes(32)), 1000, 10)

    def then(asked: list[bytes]) -> None:
        if len(asked) == 3:  # of the second page
            keyring.compare(0.0, missed=True)

    meddle(line, then)
    await keyring.read_ahead(1000)

    assert [name for name in names if not keyring.knows(name)] == [names[7]]


async def test_keys_of_gateways_without_a_home_are_read_too_unless_they_have_many_rules(conn, line):
    async with conn.transaction():
        zone = await zones.insert(conn, n("registry."), "none", 13)
        for name, number in (("few.", credentials.FEW_GRANTS), ("many.", credentials.FEW_GRANTS + 1)):
            grants = [Grant(zone, n(f"h{at}.registry.")) for at in range(number)]
            await credentials.insert(conn, n(name), "sig0", "13", tag=1, public=b"1", grants=grants)
    keyring = Keyring(line, Sealer(bytes(32)), 1000, 10)

    await keyring.read_ahead(1000)

    assert keyring.knows(n("few."))
    assert not keyring.knows(n("many."))


async def test_a_key_that_was_read_ahead_is_not_made_of_its_octets_when_it_is_needed(conn, line):
    private = ec.generate_private_key(ec.SECP256R1())
    public = keys.key_rdata(private)
    async with conn.transaction():
        await credentials.insert(conn, n("ready."), "sig0", "13", tag=keys.key_tag(public), public=public)
        await credentials.insert(conn, n("broken."), "sig0", "13", tag=1, public=b"no key")
    await Keyring(line, Sealer(bytes(32)), 1000, 10).read_ahead(1000)
    made = keys.public_key.cache_info().misses

    keys.verify(public, keys.sign(private, b"signed"), b"signed")

    assert keys.public_key.cache_info().misses == made


async def test_a_database_that_is_away_is_asked_when_the_keys_are_needed(line, names):
    keyring = Keyring(Line("host=/nowhere", "ddns_server"), Sealer(bytes(32)), 1000, 10)

    await keyring.read_ahead(1000)

    assert not any(map(keyring.knows, names))
