"""Bonds and verifiers by the API: made and withdrawn as the commands do, each tenant its own, each wish once."""

from contextlib import asynccontextmanager

import pytest
from attesting import SIGNER
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, Maker
from serving_desk import asking

from ddns.operator import tenants
from ddns.proof import jwk
from ddns.store import bonds

MAKER = Maker()
RULES = {"all": [{"claim": "dbgstat", "is": ["disabled-permanently"]}], "gives": "attested"}


def pem(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates).decode()


BOND = {"vendor": "Acme", "anchors": pem(MAKER.anchor), "masa_keys": pem(MAKER.masa), "masa_url": "masa.acme.example"}
VERIFIER = {"name": "lab", "rules": RULES, "keys": {"keys": [jwk.members(jwk.of(SIGNER))]}}


@pytest.fixture
def two(admin, dsn_for, tmp_path):
    """What gives a desk, and tokens of the registry and of a tenant."""

    @asynccontextmanager
    async def opened():
        isp = await tenants.add(admin, "isp", "")
        async with asking(dsn_for("ddns_web"), tmp_path, NOW) as desk:
            mine = await desk.token(admin, 1, {"vendors", "tenants:act"})
            yield desk, mine, await desk.token(admin, isp.id, {"vendors"})

    return opened


async def events(conn):
    cursor = await conn.execute("SELECT event, who FROM home_events ORDER BY id")
    return [(event, who.partition(":")[0]) for event, who in await cursor.fetchall()]


async def test_a_bond_is_made_and_withdrawn_with_a_reason_as_by_the_command(admin, two):
    async with two() as (desk, mine, _theirs):
        status, _, made = await desk.ask("POST", "/v1/bonds", BOND | {"models": ["gw-1"]}, token=mine)
        missing = await desk.ask("DELETE", f"/v1/bonds/{made['id']}", token=mine)
        gone = await desk.ask("DELETE", f"/v1/bonds/{made['id']}?reason=its%20key%20was%20stolen", token=mine)
        again = await desk.ask("DELETE", f"/v1/bonds/{made['id']}?reason=again", token=mine)
        _, _, listed = await desk.ask("GET", "/v1/bonds", token=mine)

    assert (status, made["shared"], made["holds"], made["models"]) == (201, True, True, ["gw-1"])
    assert made["masa_url"] == "https://masa.acme.example"
    assert (missing[0], missing[2]["code"]) == (422, "field-wrong")
    assert (gone[0], gone[2]["holds"], gone[2]["why"]) == (200, False, "its key was stolen")
    assert (again[0], again[2]["code"]) == (409, "cannot-be-done")
    assert [one["id"] for one in listed["bonds"]] == [made["id"]]
    (kept,) = await bonds.listing(admin, 1)
    assert (kept.withdrawn_at, kept.masa_keys) == (NOW, (MAKER.masa.public_bytes(Encoding.DER),))
    assert await events(admin) == [("vendor-bonded", "token"), ("bond-withdrawn", "token")]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"anchors": "x"}, "field-wrong"),
        ({"anchors": ""}, "field-wrong"),
        ({"masa_keys": ""}, "field-wrong"),
        ({"masa_url": "http://masa.example"}, "field-wrong"),
        ({"assurance": "attested"}, "field-wrong"),
        ({"until": NOW}, "field-wrong"),
        ({"models": ["x"] * 65}, "field-wrong"),
        ({"colour": "red"}, "field-unknown"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else str(given),
)
async def test_a_bond_that_makes_no_sense_is_refused_by_name(admin, two, changed, code):
    async with two() as (desk, mine, _theirs):
        status, _, said = await desk.ask("POST", "/v1/bonds", BOND | changed, token=mine)

    assert (status, said["code"]) == (422, code), said
    assert await bonds.listing(admin, 1) == []


async def test_a_wish_with_a_key_is_carried_out_once(admin, two):
    async with two() as (desk, mine, _theirs):
        key = {"idempotency-key": "one"}
        first = await desk.ask("POST", "/v1/bonds", BOND, token=mine, headers=key)
        second = await desk.ask("POST", "/v1/bonds", BOND, token=mine, headers=key)
        other = await desk.ask("POST", "/v1/bonds", BOND | {"vendor": "Other"}, token=mine, headers=key)

    assert (first[0], second[0], second[2]["id"]) == (201, 201, first[2]["id"])
    assert other[2]["code"] == "idempotency-key-reused"
    assert len(await bonds.listing(admin, 1)) == 1


async def test_a_tenant_says_and_withdraws_its_own_alone(admin, two):
    async with two() as (desk, mine, theirs):
        _, _, shared = await desk.ask("POST", "/v1/bonds", BOND, token=mine)
        _, _, own = await desk.ask("POST", "/v1/bonds", BOND, token=theirs)
        _, _, acted = await desk.ask("POST", "/v1/bonds?tenant=isp", BOND, token=mine)
        asked = [
            await desk.ask("DELETE", f"/v1/bonds/{ident}?reason=mine", token=token)
            for ident, token in ((shared["id"], theirs), (own["id"], mine), (999_999, theirs), ("x", theirs))
        ]
        _, _, seen = await desk.ask("GET", "/v1/bonds", token=theirs)
        _, _, ours = await desk.ask("GET", "/v1/bonds", token=mine)

    assert (shared["shared"], own["shared"], acted["shared"]) == (True, False, False)
    assert {(status, said["code"], said["detail"]) for status, _, said in asked} == {
        (404, "not-found", "There is no such thing here; check the address and whose token it is.")
    }
    assert [one["id"] for one in seen["bonds"]] == [shared["id"], own["id"], acted["id"]]
    assert [one["id"] for one in ours["bonds"]] == [shared["id"]]
    assert all(one.withdrawn_at is None for one in await bonds.listing(admin, 2))


async def test_a_verifier_counts_and_is_withdrawn_as_by_the_command(admin, two):
    async with two() as (desk, mine, theirs):
        status, _, made = await desk.ask("POST", "/v1/verifiers", VERIFIER, token=mine)
        twice = await desk.ask("POST", "/v1/verifiers", VERIFIER, token=mine)
        own = await desk.ask("POST", "/v1/verifiers", VERIFIER, token=theirs)
        not_theirs = await desk.ask("DELETE", "/v1/verifiers/nobody?reason=x", token=theirs)
        gone = await desk.ask("DELETE", "/v1/verifiers/lab?reason=closed", token=theirs)
        _, _, seen = await desk.ask("GET", "/v1/verifiers", token=theirs)

    assert (status, made["shared"], made["rules"]) == (201, True, RULES)
    assert made["keys"] == [jwk.kid(jwk.of(SIGNER))]
    assert (twice[0], twice[2]["code"]) == (409, "cannot-be-done")
    assert (own[0], own[2]["shared"]) == (201, False)
    assert (not_theirs[0], gone[0]) == (404, 204)
    assert [(one["shared"], one["why"]) for one in seen["verifiers"]] == [(True, ""), (False, "closed")]
    assert [event for event, _ in await events(admin)] == ["verifier-added", "verifier-added", "verifier-withdrawn"]


@pytest.mark.parametrize(
    "changed", [{"rules": {}}, {"keys": {}}, {"keys": None}, {"name": "Lab"}, {"valid": 0}],
    ids=lambda given: "-".join(given) + str(len(str(given))),
)  # fmt: skip
async def test_a_verifier_that_makes_no_sense_is_refused_by_name(two, changed):
    async with two() as (desk, mine, _theirs):
        status, _, said = await desk.ask("POST", "/v1/verifiers", VERIFIER | changed, token=mine)

    assert (status, said["code"]) == (422, "field-wrong"), said


async def test_who_lacks_the_right_is_told_nothing_else(admin, two):
    async with two() as (desk, _mine, _theirs):
        reader = await desk.token(admin, 1, {"homes:read"})
        asked = [
            await desk.ask("POST", "/v1/bonds", {"x": 1}, token=reader),
            await desk.ask("DELETE", "/v1/bonds/1?reason=x", token=reader),
            await desk.ask("POST", "/v1/verifiers", {"x": 1}, token=reader),
            await desk.ask("DELETE", "/v1/verifiers/lab?reason=x", token=reader),
        ]

    assert [(status, said["code"]) for status, _, said in asked] == [(403, "right-missing")] * 4
