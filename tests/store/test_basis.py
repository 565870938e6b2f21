"""What updates are judged by beside a zone's row and a key's touches those rows, whoever changes it and however."""

from __future__ import annotations

import craft
import pytest
import signing
from committing import ALL, House

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.store import credentials, grants, homes, standing, zones
from ddns.store import signing as signing_rows
from ddns.store.line import Line

KEY = names.from_text("k.example.")
OTHER = names.from_text("other.example.")
ORIGIN = names.from_text("smith.example.")
REGISTRY = names.from_text("example.")

# What is done, and what it touches: the zone, the registry, the key, the other key.
TOUCHES = {
    "INSERT INTO grants (credential, zone, subtree) VALUES ({key}, {zone}, 'x')": "k",
    "UPDATE grants SET subtree = 'y' WHERE credential = {key}": "k",
    "UPDATE grants SET credential = {other} WHERE credential = {key}": "ko",
    "DELETE FROM grants WHERE credential = {key}": "k",
    "UPDATE credentials SET revoked_at = now() WHERE id = {key}": "k",
    "INSERT INTO grants (zone, subtree, denied) VALUES ({zone}, '', 'no')": "z",
    "INSERT INTO grants (zone, subtree, denied, homes) VALUES ({registry}, '', 'no', true)": "r",
    "UPDATE grants SET denied = 'never' WHERE credential IS NULL AND zone = {zone}": "z",
    "UPDATE grants SET zone = {registry} WHERE credential IS NULL AND zone = {zone}": "zr",
    "DELETE FROM grants WHERE credential IS NULL": "z",
    "UPDATE homes SET state = 'suspended', reason = 'a test' WHERE zone = {zone}": "z",
    "DELETE FROM homes WHERE zone = {zone}": "z",
    "INSERT INTO homes (zone) VALUES ({registry})": "r",
    "UPDATE signing SET pending = true WHERE zone = {zone}": "z",
    "INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at) "
    "VALUES ({zone}, '', 1, sha256(''), '', 60, now())": "z",
    "UPDATE zones SET denial = 'nsec' WHERE id = {zone}": "z",
    "UPDATE zones SET algorithm = 15 WHERE id = {zone}": "z",
    "UPDATE zones SET parent = NULL WHERE id = {zone}": "z",
    "UPDATE zones SET keyset = keyset + 1 WHERE id = {zone}": "z",
    # What updates are not judged by, or what the zone's edition and serial tell.
    "UPDATE zones SET head = head + 1, edition = edition + 1, serial = serial + 1": "",
    "UPDATE signing SET signed_head = 7, resign_at = now() WHERE NOT pending": "",
    "UPDATE signing SET pending = false": "",
    "DELETE FROM leases": "",
}  # fmt: skip


@pytest.fixture
def line(dsn_for):
    """Yield the server's connection for look-ups."""
    line = Line(dsn_for("ddns_server"), "ddns_server")
    yield line
    line.close()


@pytest.mark.parametrize(("statement", "touched"), TOUCHES.items())
async def test_who_changes_what_updates_are_judged_by_touches_its_rows(connected, line, statement, touched):
    owner = await connected("owner")
    registry = await zones.insert(owner, REGISTRY, "nsec3", 13)
    zone = await zones.insert(owner, ORIGIN, "nsec3", 13, registry)
    await homes.insert(owner, zone)
    await grants.insert(owner, None, Grant(zone, craft.name("secret"), denied="it is secret"))
    key, other = [
        await credentials.insert(owner, name, "tsig", "hmac-sha256", secret=b"sealed", grants=granted)
        for name, granted in ((KEY, [Grant(zone, ORIGIN)]), (OTHER, []))
    ]

    async def stamps() -> dict[str, object]:
        found, _ = await standing.ask(line, [zone, registry], [])
        rows = await (await owner.execute("SELECT id, xmin::text FROM credentials WHERE revoked_at IS NULL")).fetchall()
        keys = dict(rows)
        return {"z": found[zone].state, "r": found[zone].registry, "k": keys.get(key), "o": keys.get(other)}

    before = await stamps()
    await owner.execute(statement.format(zone=zone, registry=registry, key=key, other=other).encode())
    after = await stamps()

    assert "".join(what for what in before if before[what] != after[what]) == touched


async def test_who_makes_a_zone_with_a_home_and_a_key_touches_neither(connected):
    """Nobody has seen them yet: a million homes are imported without."""
    owner = await connected("owner")
    async with owner.transaction():
        zone = await zones.insert(owner, ORIGIN, "nsec3", 13)
        await homes.insert(owner, zone)
        await signing_rows.mark_pending(owner, {zone: 0})
        key = await credentials.insert(
            owner, KEY, "tsig", "hmac-sha256", secret=b"sealed", grants=[Grant(zone, ORIGIN)]
        )

    cursor = await owner.execute("SELECT basis, ctid = '(0,1)' FROM zones")
    assert await cursor.fetchone() == (0, True)
    cursor = await owner.execute("SELECT ctid = '(0,1)' FROM credentials WHERE id = %s", [key])
    assert await cursor.fetchone() == (True,)


async def test_a_denial_at_the_registry_that_comes_meanwhile_is_respected(dsn_for, tmp_path):
    """Of homes that were read before and after another change, too; then all of it goes the short way again."""
    async with House(dsn_for, tmp_path / "house") as house:
        ids = [
            await signing.add(house.admin, f"h{number}.smith.example.", "@ 60 A 192.0.2.1", parent=house.zone)
            for number in range(2)
        ]
        await house.running.worker.sweep(house.admin)
        origins = [names.from_text(f"h{number}.smith.example.") for number in range(2)]
        cursor = await house.admin.execute("SELECT id FROM credentials WHERE name = %s", [names.order_key(ALL)])
        (key,) = await cursor.fetchone()
        for zone, origin in zip(ids, origins, strict=True):
            await homes.insert(house.admin, zone)
            await grants.insert(house.admin, key, Grant(zone, origin, rule="zone"))
        await house.worker.subscriber.resync()
        house.worker.keyring.forget(None)
        address, words = b"\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", b"\0\x10\0\1\0\0\0\x3c\0\3\2hi"
        await house.send(house.signed_for(origins[0], address, 1))
        await grants.insert(
            house.admin, None, Grant(house.zone, ORIGIN, frozenset({99}), "zone", denied="no", homes=True)
        )
        await house.send(house.signed_for(origins[1], address, 2))
        first, second = await house.send(*(house.signed_for(origin, words, 3 + n) for n, origin in enumerate(origins)))
        denial = Grant(house.zone, ORIGIN, frozenset({1}), "zone", denied="not here", homes=True)
        house.signer.meanwhile = lambda: grants.insert(house.admin, None, denial)

        refused, allowed = await house.send(
            house.signed_for(origins[0], address[:-1] + b"\x08", 5), house.signed_for(origins[1], words[:-1] + b"o", 6)
        )
        ran = house.line.ran
        (again,) = await house.send(house.signed_for(origins[1], words[:-1] + b"u", 7))

        assert (first.rcode(), second.rcode()) == (Rcode.NOERROR, Rcode.NOERROR)
        assert (refused.rcode(), allowed.rcode()) == (Rcode.REFUSED, Rcode.NOERROR)
        assert (again.rcode(), house.line.ran) == (Rcode.NOERROR, ran + 1)


async def test_a_batch_that_changes_nothing_is_looked_at_all_the_same(dsn_for, tmp_path):
    """It has no step by which its zone would be compared; a denial that comes meanwhile counts."""
    async with House(dsn_for, tmp_path / "house") as house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        (same,) = await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1"), ident=2))
        await grants.insert(house.admin, None, Grant(house.zone, craft.ORIGIN, frozenset({1}), "zone", denied="no"))
        (denied,) = await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1"), ident=3))

        assert (same.rcode(), denied.rcode()) == (Rcode.NOERROR, Rcode.REFUSED)
