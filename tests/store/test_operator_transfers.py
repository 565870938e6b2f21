"""`ddns transfer` and the transfer tables of `ddns apply` on a real database."""

from __future__ import annotations

import ipaddress

import psycopg
import pytest

from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.operator import apply, keys, registry_file, transfers, zones
from ddns.operator.fault import CannotDo
from ddns.operator.transfers import Place
from ddns.store import transfers as stored

SEALER = Sealer(bytes(32))
ORIGIN = names.from_text("homes.example.")
KEY = names.from_text("k.example.")
PREFIX = ipaddress.ip_network("192.0.2.0/24")
PLACE = Place("192.0.2.1", 5300)


async def registry(admin) -> None:
    text = zones.new_text(ORIGIN, [names.from_text("ns.example.")], names.from_text("h.example."), [])
    await zones.add(admin, text, "none", 13, "operator:t")
    await keys.add_tsig(admin, SEALER, KEY, "hmac-sha256", Secret(b"s" * 32))


async def rules(admin) -> list[tuple[object, ...]]:
    found = await transfers.listing(admin, ORIGIN)
    return [(one.homes, one.key, one.address) for one in found.rights] + [
        (one.homes, one.address, one.port, one.key) for one in found.targets
    ]


async def test_rules_are_added_once_and_taken_back(admin):
    await registry(admin)

    for new in (True, False):
        assert await transfers.allow(admin, ORIGIN, homes=False, key=KEY, prefix=None) is new
        assert await transfers.allow(admin, ORIGIN, homes=True, key=None, prefix=PREFIX) is new
        assert await transfers.notify(admin, ORIGIN, PLACE, homes=False) is new

    assert await rules(admin) == [(False, KEY, None), (True, None, PREFIX), (False, "192.0.2.1", 5300, None)]
    assert await transfers.notify(admin, ORIGIN, Place("192.0.2.1", 5300, KEY), homes=False)
    assert await transfers.remove(admin, ORIGIN, homes=True, key=None, prefix=PREFIX, place=None) == 1
    assert await transfers.remove(admin, ORIGIN, homes=False, key=None, prefix=None, place=None) == 2
    assert await rules(admin) == []
    with pytest.raises(CannotDo, match="no such rule"):
        await transfers.remove(admin, ORIGIN, homes=False, key=KEY, prefix=None, place=None)


async def test_a_key_must_be_there_and_be_a_shared_secret(admin):
    await registry(admin)

    with pytest.raises(CannotDo, match="There is no key other"):
        await transfers.allow(admin, ORIGIN, homes=False, key=names.from_text("other."), prefix=None)
    with pytest.raises(CannotDo, match="There is no zone x"):
        await transfers.allow(admin, names.from_text("x."), homes=False, key=KEY, prefix=None)


async def test_rules_of_one_zone_are_bounded(admin, monkeypatch):
    await registry(admin)
    monkeypatch.setattr(transfers, "MOST_RULES", 1)
    await transfers.allow(admin, ORIGIN, homes=False, key=KEY, prefix=None)
    await transfers.notify(admin, ORIGIN, PLACE, homes=False)

    with pytest.raises(CannotDo, match="remove some"):
        await transfers.allow(admin, ORIGIN, homes=False, key=None, prefix=PREFIX)
    with pytest.raises(CannotDo, match="remove some"):
        await transfers.notify(admin, ORIGIN, Place("192.0.2.2", 53), homes=False)


@pytest.mark.parametrize(
    ("text", "meant"), [("192.0.2.1", "192.0.2.1/32"), ("2001:db8::/32", "2001:db8::/32"), ("0.0.0.0/0", "0.0.0.0/0")]
)
def test_a_prefix_or_an_address_is_read(text, meant):
    assert str(transfers.read_prefix(text)) == meant


@pytest.mark.parametrize(
    ("text", "complaint"), [("192.0.2.1/24", "write 192.0.2.0/24"), ("here", "no address"), ("", "no address")]
)
def test_what_is_no_prefix_is_refused_with_the_cure(text, complaint):
    with pytest.raises(CannotDo, match=complaint):
        transfers.read_prefix(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("[2001:DB8::1]:5300", ("2001:db8::1", 5300)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
    ],
)
def test_a_place_to_notify_is_read(text, meant):
    place = transfers.read_place(text)

    assert (place.address, place.port) == meant


@pytest.mark.parametrize("text", ["ns.example", "127.0.0.1:0", "127.0.0.1:65536", "2001:db8::1:53:x", ""])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(CannotDo, match="no address to notify"):
        transfers.read_place(text)


FILE = """
[[key]]
name = "k.example."
algorithm = "hmac-sha256"
secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
[[zone]]
name = "homes.example."
file = "homes.zone"
denial = "none"
{rules}
"""
ZONE = "@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
RULES = """
transfer = { keys = ["k.example."], addresses = ["192.0.2.0/24"], notify = ["192.0.2.1:5300"] }
transfer_homes = { keys = ["k.example."], notify = ["[2001:db8::1]:53"], notify_key = "k.example." }
"""


class Folder:
    def __init__(self, path) -> None:
        self.path = path
        (path / "homes.zone").write_text(ZONE)

    def wanted(self, rules: str = RULES) -> registry_file.Wanted:
        (self.path / "registry.toml").write_text(FILE.format(rules=rules))
        return registry_file.read(self.path / "registry.toml")


async def test_apply_brings_transfers_to_what_the_file_says_and_changes_nothing_twice(admin, tmp_path):
    folder = Folder(tmp_path)

    planned = await apply.apply(admin, SEALER, folder.wanted(), "operator:t", dry_run=True)
    assert sum(one.noun == "transfer" for one in planned.actions) == 5
    done = await apply.apply(admin, SEALER, folder.wanted(), "operator:t")
    again = await apply.apply(admin, SEALER, folder.wanted(), "operator:t")

    assert done.actions == planned.actions
    assert again.actions == []
    assert again.kept["transfer"] == 5
    assert again.notes == []
    assert await rules(admin) == [
        (False, KEY, None), (False, None, PREFIX), (True, KEY, None),
        (False, "192.0.2.1", 5300, None), (True, "2001:db8::1", 53, KEY),
    ]  # fmt: skip


async def test_what_the_table_leaves_out_is_taken_back_and_without_a_table_nothing_is(admin, tmp_path):
    folder = Folder(tmp_path)
    await apply.apply(admin, SEALER, folder.wanted(), "operator:t")

    silent = await apply.apply(admin, SEALER, folder.wanted(""), "operator:t")
    assert silent.actions == []
    done = await apply.apply(admin, SEALER, folder.wanted('transfer = { addresses = ["192.0.2.0/24"] }'), "operator:t")

    assert [(one.verb, one.detail) for one in done.actions] == [
        ("remove", "to k.example."), ("remove", "NOTIFY to 192.0.2.1:5300"),
    ]  # fmt: skip
    assert await rules(admin) == [(False, None, PREFIX), (True, KEY, None), (True, "2001:db8::1", 53, KEY)]


async def test_apply_refuses_a_key_that_nobody_has(admin, tmp_path):
    wanted = Folder(tmp_path).wanted('transfer = { keys = ["nobody."] }')

    with pytest.raises(CannotDo, match=r"number 1 .*the key nobody\. of its transfers"):
        await apply.apply(admin, SEALER, wanted, "operator:t")


async def test_removing_a_zone_takes_its_rules_along(admin, conn):
    await registry(admin)
    await transfers.allow(admin, ORIGIN, homes=False, key=KEY, prefix=None)
    await transfers.notify(admin, ORIGIN, PLACE, homes=False)
    zone = await zones.the_zone(admin, ORIGIN)
    (target,) = await stored.targets(admin)
    await stored.note_notified(conn, [(target.id, zone.id, 1, 0, 1)])
    await stored.note_transferred(conn, zone.id, "192.0.2.1", KEY, "axfr", 1)

    await zones.remove(admin, ORIGIN)

    assert await stored.rights(admin) == []
    assert await stored.targets(admin) == []
    assert await stored.notified(admin) == []
    assert await stored.transferred(admin) == []


async def test_what_ends_after_its_zone_or_target_is_gone_is_dropped(admin, conn):
    await registry(admin)
    zone = await zones.the_zone(admin, ORIGIN)

    await stored.note_notified(conn, [(99, zone.id, 1, 0, 1), (99, 98, 1, None, 1)])
    await stored.note_transferred(conn, 98, "192.0.2.1", KEY, "axfr", 1)

    assert await stored.notified(admin) == []
    assert await stored.transferred(admin) == []


async def test_a_worker_cannot_change_who_may_transfer(admin, conn):
    await registry(admin)
    zone = await zones.the_zone(admin, ORIGIN)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await stored.allow(conn, [stored.NewRight(zone.id, False, KEY, None)])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await stored.put_targets(conn, [stored.NewTarget(zone.id, False, "192.0.2.1", 53, None)])
