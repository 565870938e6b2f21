"""Invitations for a list of labels: each once, told again when asked again, and refused by line."""

from __future__ import annotations

import io

import pytest
from rows import n
from waiting import wait_for

from ddns.auth.sealing import Sealer
from ddns.operator import home_policy, homes, inviting, tenants
from ddns.operator.fault import CannotDo
from ddns.store import homes as stored_homes
from ddns.store import invitations, zones
from ddns.store.tenancy import kept

ZONE = n("homes.example.")
SEALER = Sealer(b"k" * 32)
NOW = 1_800_000_000


@pytest.fixture
def registry(admin):
    """Make a registry with one home, smith; return its zone."""

    async def make():
        parent = await zones.insert(admin, ZONE, "none", 13)
        await stored_homes.insert(admin, await zones.insert(admin, n("smith.homes.example."), "none", 13, parent))
        return (await zones.get(admin, [parent]))[parent]

    return wait_for(make())


async def invite(admin, registry, *labels, now=NOW):
    """Return what became of the labels: by label the secret, or why not."""
    done = {}

    def tell(invited, refused):
        done.update({one.home: one for one in invited})
        done.update({one.label: one.reason for one in refused})

    lines = list(enumerate(labels, 1))
    await inviting.invite(admin, SEALER, registry, lines, now + 1000, now, tell)
    return done


async def test_a_list_is_invited_once_and_told_again(admin, registry):
    labels = [f"home-{number}" for number in range(inviting.AT_ONCE + 3)]

    first = await invite(admin, registry, *labels)
    again = await invite(admin, registry, *labels[:5], "new", now=NOW + 1)

    assert len(first) == len(labels)
    assert all(one.new for one in first.values())
    home = n("home-0.homes.example.")
    assert not again[home].new
    assert (again[home].key, again[home].secret, again[home].expires_at) == (
        first[home].key, first[home].secret, NOW + 1000,
    )  # fmt: skip
    assert again[n("new.homes.example.")].new
    assert len(await invitations.listing(admin)) == len(labels) + 1


async def test_no_tenant_is_told_what_another_has_invited(admin, registry):
    await tenants.add(admin, "isp", "")
    await tenants.allow(admin, "isp", ZONE)
    (ours,) = (await invite(admin, registry, "doe")).values()
    await kept(admin, (await tenants.the_tenant(admin, "isp")).id)

    theirs = await invite(admin, registry, "doe", "roe")

    assert (ours.new, theirs[n("roe.homes.example.")].new) == (True, True)
    assert isinstance(theirs["doe"], str)
    assert [one.tenant for one in await invitations.listing(admin)] == [1, 2]


async def test_lines_that_cannot_be_invited_are_refused_and_do_not_stop_the_others(admin, registry):
    await home_policy.reserve(admin, 1, ZONE, ["bank*"])
    await admin.execute(
        "INSERT INTO resting_labels (zone, label, free_at) VALUES (%s, %s, to_timestamp(%s))",
        [registry.id, b"example\0\0homes\0\0old\0\0", NOW + 60],
    )

    done = await invite(admin, registry, "smith", "www", "bank-1", "old", "a b", "doe", "DOE", "x" * 64)

    assert done["smith"] == "the home is there already"
    assert "is reserved" in done["www"]
    assert "cannot be had" in done["bank-1"]
    assert "rests" in done["old"]
    assert done["DOE"] == "line 6 has this label"
    assert done[n("doe.homes.example.")].new
    assert {len(await invitations.listing(admin)), len(done) - 7} == {1}


async def test_an_invitation_that_is_over_gives_way(admin, registry):
    first = await invite(admin, registry, "doe")

    again = await invite(admin, registry, "doe", now=NOW + 1000)

    home = n("doe.homes.example.")
    assert again[home].new
    assert again[home].secret != first[home].secret


async def test_no_more_are_invited_than_the_tenant_may(admin, registry):
    isp = await tenants.add(admin, "isp")
    await tenants.allow(admin, "isp", ZONE)
    await tenants.set_bounds(admin, "isp", {"invitations": 2})
    await kept(admin, isp.id)

    done = await invite(admin, registry, "a", "b", "c")

    assert "may have 2 open invitations" in done["c"]
    cursor = await admin.execute("SELECT DISTINCT tenant FROM invitations")
    assert await cursor.fetchall() == [(isp.id,)]
    with pytest.raises(CannotDo, match="may have 2 open"):
        await homes.invite(admin, SEALER, registry, n("d.homes.example."), NOW + 1, NOW)


async def test_a_policy_without_invitations_takes_none(admin, registry):
    await home_policy.change(admin, 1, ZONE, {"methods": "qr"})

    with pytest.raises(CannotDo, match="enrol by invitation but by qr"):
        await invite(admin, registry, "a")
    with pytest.raises(CannotDo, match="enrol by invitation but by qr"):
        await homes.invite(admin, SEALER, registry, n("d.homes.example."), NOW + 1, NOW)
    await home_policy.change(admin, 1, ZONE, {"methods": "invitation", "least": "qr"})
    with pytest.raises(CannotDo, match="keys of the assurance qr"):
        await invite(admin, registry, "a")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("doe\nsmith\n", [(1, "doe"), (2, "smith")]),
        ("# who\n\ndoe,rest\n", [(3, "doe")]),
        ("name,label\nJane,doe\n", [(2, "doe")]),
        ("label\r\ndoe\r\n", [(2, "doe")]),
        ('"doe"\n', [(1, "doe")]),
    ],
)
def test_a_list_is_csv_with_or_without_a_head(text, lines):
    assert inviting.read(io.StringIO(text, newline="")) == lines


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no labels"), ("label\n", "no labels"), ("a,label\nb,\n", "Line 2 has no label"), ('"a\n', None)],
)
def test_what_is_no_list_is_refused(text, says):
    if says is None:
        assert inviting.read(io.StringIO(text, newline=""))
        return
    with pytest.raises(CannotDo, match=says):
        inviting.read(io.StringIO(text, newline=""))
