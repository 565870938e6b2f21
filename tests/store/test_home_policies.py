"""Policies for homes as data in a real Postgres: changed, refused, written as denials, and each tenant's own."""

from __future__ import annotations

import psycopg
import pytest
from rows import n
from waiting import wait_for

from ddns.homes import naming, policies
from ddns.homes.labels import Label
from ddns.operator import grants, home_policy, tenants
from ddns.operator.fault import CannotDo
from ddns.operator.home_policy import Kind
from ddns.store import grants as stored
from ddns.store import home_policies, homes, invitations, zones
from ddns.store.home_policies import FIELDS, HomePolicy
from ddns.store.tenancy import REGISTRY as OWN
from ddns.store.tenancy import entered

ZONE, SMITH = n("homes.example."), n("smith.homes.example.")
NOW = 1_800_000_000


@pytest.fixture
def registry(admin):
    """Make a registry with one home, smith; return its zone."""

    async def make():
        parent = await zones.insert(admin, ZONE, "none", 13)
        await homes.insert(admin, await zones.insert(admin, SMITH, "none", 13, parent))
        return (await zones.get(admin, [parent]))[parent]

    return wait_for(make())


async def test_without_a_row_a_policy_is_what_a_new_row_says(admin, registry):
    before = (await home_policy.show(admin, OWN, ZONE)).policy

    await admin.execute("INSERT INTO home_policies (tenant, zone) VALUES (1, %s)", [registry.id])

    assert await home_policies.of(admin, OWN, registry.id) == before == HomePolicy()


async def test_every_setting_is_kept_as_it_is_written(admin, registry):
    wanted = {
        "methods": "voucher,qr", "least": "qr", "owner_required": "yes", "expected_only": "yes", "labels": "allocated",
        "label_least": "3", "label_most": "20", "label_style": "hex", "reserved": "Bank*,b", "idn": "greek,latin",
        "rest": "0",
        "lease_most": "1h", "key_lease_most": "2d", "claim_wait": "7d", "recovery_wait": "1d", "registry_wait": "8d",
        "claim_rest": "30d", "names_most": "50", "records_most": "none", "idle": "90d",
    }  # fmt: skip

    assert await home_policy.change(admin, OWN, ZONE, wanted)
    assert not await home_policy.change(admin, OWN, ZONE, wanted)

    assert set(wanted) == set(FIELDS)
    assert await home_policies.of(admin, OWN, registry.id) == HomePolicy(
        ("qr", "voucher"), "qr", True, True, "allocated", 3, 20, "hex", ("b", "bank*"), ("greek", "latin"), 0,
        3600, 172_800, 604_800, 86_400, 691_200, 2_592_000, 50, 0, 7_776_000,
    )  # fmt: skip
    assert await home_policy.change(admin, OWN, ZONE, dict.fromkeys(FIELDS, "default"))
    assert await home_policies.of(admin, OWN, registry.id) == HomePolicy()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"colour": "red"}, "has no colour"), ({"methods": "fax"}, "'fax' is no way to enrol"),
        ({"least": "much"}, "choose open, token"), ({"owner_required": "perhaps"}, "neither yes nor no"),
        ({"labels": "any"}, "choose chosen, allocated or both"), ({"label_least": "0"}, "write 1 to 63"),
        ({"label_most": "64"}, "write 1 to 63"), ({"label_least": "9", "label_most": "8"}, "no label is so long"),
        ({"label_style": "emoji"}, "choose words or hex"), ({"reserved": "a.b"}, "no label"),
        ({"reserved": ["x" * 64]}, "no label"), ({"reserved": 7}, "no list"),
        ({"idn": "klingon"}, "no table of letters"),
        ({"idn": "A B"}, "no name for a table"), ({"rest": "long"}, "no time"), ({"rest": "-1"}, "no time"),
        ({"rest": "11w", "claim_wait": "6d"}, "not between 7d"), ({"recovery_wait": "23h"}, "not between 1d"),
        ({"registry_wait": "6d"}, "not between 7d"), ({"lease_most": "29"}, "not between 30s"),
        ({"rest": "9999d"}, "and 3650d"), ({"names_most": "many"}, "no number"),
        ({"records_most": "1000001"}, "more than"), ({"types": "A,A"}, None), ({"types": "A,A(2)"}, None),
        ({"types": "NONSENSE"}, "no record type"), ({"addresses": "10.0.0.1/8"}, "bits behind its prefix"),
    ],
)  # fmt: skip
async def test_what_a_policy_cannot_be_is_refused_and_changes_nothing(admin, registry, setting, says):
    if says is None:
        assert await home_policy.change(admin, OWN, ZONE, setting)
        return
    with pytest.raises(CannotDo, match=says):
        await home_policy.change(admin, OWN, ZONE, {"rest": "1d", "types": "MX"} | setting)

    assert (await home_policy.show(admin, OWN, ZONE)).policy == HomePolicy()
    assert await grants.listing(admin) == []


async def test_the_database_refuses_waits_that_are_too_short(admin, registry):
    await home_policy.change(admin, OWN, ZONE, {"rest": "1d"})
    for column, least in (("claim_wait", 604_800), ("recovery_wait", 86_400), ("registry_wait", 604_800)):
        await admin.execute(f"UPDATE home_policies SET {column} = %s", [least])
        with pytest.raises(psycopg.errors.CheckViolation):
            await admin.execute(f"UPDATE home_policies SET {column} = %s", [least - 1])


async def test_types_and_addresses_are_denials_that_go_with_the_policy(admin, registry):
    assert await home_policy.change(admin, OWN, ZONE, {"types": "MX,NS,A(4)", "addresses": "10.0.0.0/8,fd00::/8"})

    found = await home_policy.show(admin, OWN, ZONE)
    assert (set(found.types), found.addresses) == ({"NS", "MX", "A(4)"}, ("10.0.0.0/8", "fd00::/8"))
    (smith,) = (await stored.for_everybody(admin, [(await zones.find(admin, SMITH)).id])).values()
    assert {(one.types, one.most, one.addresses) for one in smith} == {
        (frozenset({2, 15}), (), ()),
        (frozenset({1}), ((1, 4),), ()),
        (frozenset({1, 28}), (), ("10.0.0.0/8", "fd00::/8")),
    }
    assert not await home_policy.change(admin, OWN, ZONE, {"types": ["A(4)", "NS", "MX"]})
    assert await home_policy.change(admin, OWN, ZONE, {"types": "none"})
    assert (await home_policy.show(admin, OWN, ZONE)).types == ()
    assert await home_policy.change(admin, OWN, ZONE, {"addresses": "default"})
    assert await grants.listing(admin) == []


async def test_rules_by_hand_are_not_the_policys_nor_the_other_way_round(admin, registry):
    await grants.add(admin, None, ZONE, grants.Terms(types=("MX",), deny="no", homes=True))
    await home_policy.change(admin, OWN, ZONE, {"types": "MX"})

    assert await grants.remove(admin, None, ZONE, grants.Terms()) == 1
    assert (await home_policy.show(admin, OWN, ZONE)).types == ("MX",)


async def test_a_kind_of_device_is_a_denial_within_homes(admin, registry):
    lock = Kind("lock", ("lock", "lock-*"), "attested")

    assert await home_policy.put_kind(admin, OWN, ZONE, lock)
    assert not await home_policy.put_kind(admin, OWN, ZONE, lock)

    assert (await home_policy.show(admin, OWN, ZONE)).kinds == (lock,)
    (smith,) = (await stored.for_everybody(admin, [(await zones.find(admin, SMITH)).id])).values()
    assert {(one.name, one.min_assurance, one.rule) for one in smith} == {
        (n("lock.smith.homes.example."), "attested", "within"),
        (n("lock-*.smith.homes.example."), "attested", "within"),
    }
    assert await home_policy.put_kind(admin, OWN, ZONE, Kind("lock", ("lock",), "qr"))
    assert (await home_policy.show(admin, OWN, ZONE)).kinds == (Kind("lock", ("lock",), "qr"),)
    await home_policy.remove_kind(admin, OWN, ZONE, "lock")
    with pytest.raises(CannotDo, match="no kind of device lock"):
        await home_policy.remove_kind(admin, OWN, ZONE, "lock")
    assert await grants.listing(admin) == []


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Kind("Lock", ("lock",), "qr"), "no name"), (Kind("lock", (), "qr"), "1 to 16 labels"),
        (Kind("lock", ("lock",), "high"), "choose open"), (Kind("lock", ("l*k",), "qr"), "only at the end"),
        (Kind("lock", ("",), "qr"), "no domain name|below the zone"),
        (Kind("lock", ("x" * 64,), "qr"), "no domain name"),
    ],
)  # fmt: skip
async def test_what_is_no_kind_is_refused(admin, registry, kind, says):
    with pytest.raises(CannotDo, match=says):
        await home_policy.put_kind(admin, OWN, ZONE, kind)

    assert await grants.listing(admin) == []


async def test_a_tenants_policy_binds_its_own_homes_alone(admin, registry):
    isp = await tenants.add(admin, "isp")
    with pytest.raises(CannotDo, match="has no homes in"):
        await home_policy.show(admin, isp.id, ZONE)
    await tenants.allow(admin, "isp", ZONE)
    async with admin.transaction():
        await entered(admin, isp.id)
        theirs = await zones.insert(admin, n("doe.homes.example."), "none", 13, registry.id)
        await homes.insert(admin, theirs)

    await home_policy.change(admin, isp.id, ZONE, {"types": "MX", "rest": "1d", "lease_most": "1h"})
    await home_policy.put_kind(admin, OWN, ZONE, Kind("lock", ("lock",), "qr"))

    found = await stored.for_everybody(admin, [theirs, (await zones.find(admin, SMITH)).id])
    assert [len(some) for some in found.values()] == [1, 1]
    assert found[theirs][0].types == frozenset({15})
    assert (await home_policy.show(admin, OWN, ZONE)).policy.rest == 90 * 86_400
    assert await home_policies.lease_bounds(admin, found) == {theirs: (3600, None)}


async def test_labels_are_kept_back_and_given_free(admin, registry):
    assert await home_policy.reserve(admin, OWN, ZONE, ["bank*", "city"])
    assert not await home_policy.reserve(admin, OWN, ZONE, ["city"])

    assert (await naming.chosen(admin, OWN, registry, "bank-of-x", NOW)).code == "label-unavailable"
    assert await home_policy.reserve(admin, OWN, ZONE, ["bank*"], free=True)
    assert isinstance(await naming.chosen(admin, OWN, registry, "bank-of-x", NOW), Label)
    assert (await home_policy.show(admin, OWN, ZONE)).policy.reserved == ("city",)


async def test_letters_of_ones_own_are_taken_where_the_policy_says_so(admin, registry):
    spans = home_policy.read_spans(["U+05D0..U+05DF # alef", "", "U+05E0..U+05EA"])
    await home_policy.put_letters(admin, OWN, "hebrew", spans)
    assert (await naming.chosen(admin, OWN, registry, "שלום", NOW)).code == "label-not-allowed"

    await home_policy.change(admin, OWN, ZONE, {"idn": "latin,hebrew"})

    label = await naming.chosen(admin, OWN, registry, "שלום", NOW)
    assert (label.wire, label.shown) == (b"xn--9dbne9b", "שלום")
    assert (await home_policy.letters(admin, OWN))["hebrew"].spans == ((0x5D0, 0x5EA),)
    with pytest.raises(CannotDo, match="takes the letters of hebrew"):
        await home_policy.remove_letters(admin, OWN, "hebrew")
    await home_policy.change(admin, OWN, ZONE, {"idn": "default"})
    await home_policy.remove_letters(admin, OWN, "hebrew")
    with pytest.raises(CannotDo, match="no table of letters hebrew"):
        await home_policy.remove_letters(admin, OWN, "hebrew")
    for change in (
        home_policy.put_letters(admin, OWN, "latin", spans),
        home_policy.remove_letters(admin, OWN, "latin"),
    ):
        with pytest.raises(CannotDo, match="comes with this program"):
            await change


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["# nothing"], "no letters"), (["U+0430", "a"], "mixes scripts"), (["zz"], "Line 1: 'zz'"),
        (["U+0062..U+0061"], "ends before it begins"), (["U+110000"], "no code point"), (["U+D800"], "no code point"),
        ([f"U+{0x4E00 + 2 * one:04X}" for one in range(501)], "at most 500"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_letters_is_refused(lines, says):
    with pytest.raises(CannotDo, match=says):
        home_policy.read_spans(lines)


# -- names


async def test_a_name_that_somebody_has_or_may_be_taken_for_cannot_be_had_and_which_is_not_said(admin, registry):
    """Taken, invited, at rest, in use by the registry, like another home's: one answer."""
    await admin.execute("UPDATE homes SET label_shown = 'scope', skeleton = 'scope'")
    await invitations.insert(admin, registry.id, n("jones.homes.example."), NOW + 60)
    await invitations.insert(admin, registry.id, n("late.homes.example."), NOW)
    for label, free_at in ((b"old", NOW + 60), (b"older", NOW)):
        await admin.execute(
            "INSERT INTO resting_labels (zone, label, free_at) VALUES (%s, %s, to_timestamp(%s))",
            [registry.id, b"example\0\0homes\0\0" + label + b"\0\0", free_at],
        )
    await home_policy.change(admin, OWN, ZONE, {"idn": "latin,cyrillic"})
    await admin.execute(
        "INSERT INTO rrsets (zone, owner, type, ttl, rdatas) VALUES (%s, %s, 1, 60, '{0}')",
        [registry.id, b"example\0\0homes\0\0docs\0\0a\0\0"],
    )

    answers = {
        text: await naming.chosen(admin, OWN, registry, text, NOW)
        for text in ("smith", "jones", "old", "docs", "\u0455\u0441\u043e\u0440\u0435", "late", "older", "scope", "doe")
    }

    refused = [one for one in answers.values() if not isinstance(one, Label)]
    assert {one.code for one in refused} == {"label-unavailable"}
    assert len({one.text for one in refused}) == 1
    assert [text for text, one in answers.items() if isinstance(one, Label)] == ["late", "older", "scope", "doe"]


async def test_a_name_is_made_for_who_asks_for_none_and_is_longer_where_that_is_taken(admin, registry):
    first = await naming.allocated(admin, OWN, registry, NOW, lambda below: 0)
    await homes.insert(admin, await zones.insert(admin, n(f"{first.shown}.homes.example."), "none", 13, registry.id))

    second = await naming.allocated(admin, OWN, registry, NOW, lambda below: 0)

    assert (first.shown.count("-"), second.shown.count("-")) == (1, 2)


async def test_a_policy_says_who_names_homes(admin, registry):
    await home_policy.change(admin, OWN, ZONE, {"labels": "allocated", "label_style": "hex"})
    assert (await naming.chosen(admin, OWN, registry, "doe", NOW)).code == "label-not-allowed"
    assert len((await naming.allocated(admin, OWN, registry, NOW, lambda below: 7)).shown) == 6

    await home_policy.change(admin, OWN, ZONE, {"labels": "chosen"})

    assert isinstance(await naming.chosen(admin, OWN, registry, "doe", NOW), Label)
    assert (await naming.allocated(admin, OWN, registry, NOW, lambda below: 7)).code == "label-not-allowed"


@pytest.mark.parametrize(
    ("policy", "asked", "code"),
    [
        (HomePolicy(), ("invitation", "token", False), None),
        (HomePolicy(), ("qr", "qr", True), "method-not-allowed-here"),
        (HomePolicy(methods=()), ("invitation", "token", True), "method-not-allowed-here"),
        (HomePolicy(methods=("qr",), least="voucher"), ("qr", "qr", True), "assurance-below-policy"),
        (HomePolicy(methods=("qr",), least="voucher"), ("qr", "voucher", True), None),
        (HomePolicy(owner_required=True), ("invitation", "token", False), "owner-key-needed"),
        (HomePolicy(owner_required=True), ("invitation", "token", True), None),
    ],
)
def test_a_policy_says_how_homes_enrol(policy, asked, code):
    method, assurance, has_owner = asked
    refused = policies.admits(policy, method, assurance, has_owner=has_owner)

    assert (None if refused is None else refused.code) == code
