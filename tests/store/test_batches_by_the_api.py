"""Invitations by the thousand, and policies with a condition, by the API: once, and each tenant its own."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from serving_desk import asking

from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.operator import tenants
from ddns.store import invitations, zones

NOW = 1_800_000_000
ZONE = names.from_text("homes.example.")
BATCH = "/v1/invitations/batches?zone=homes.example"
POLICY = "/v1/policies/homes.example"
LABELS = {"labels": ["adams", "brown", "a_b", "adams"]}
CSV = {"media": "text/csv"}


@pytest.fixture
def served(admin, dsn_for, tmp_path):
    """What gives a desk over a registry's zone, and tokens of the registry and of a tenant."""

    @asynccontextmanager
    async def opened():
        await zones.insert(admin, ZONE, "none", 13)
        isp = await tenants.add(admin, "isp", "")
        await tenants.allow(admin, "isp", ZONE)
        async with asking(dsn_for("ddns_web"), tmp_path, NOW) as desk:
            rights = {"invitations", "policy"}
            yield desk, await desk.token(admin, 1, rights), await desk.token(admin, isp.id, rights)

    return opened


async def test_a_list_is_invited_once_and_asked_again_the_same_lines_are_told_anew(admin, served):
    async with served() as (desk, mine, _theirs):
        status, _, first = await desk.ask("POST", BATCH, LABELS, token=mine, headers={"idempotency-key": "x"})
        _, _, again = await desk.ask("POST", BATCH, LABELS, token=mine, headers={"idempotency-key": "x"})
        _, _, by_csv = await desk.ask("POST", BATCH, b"label\nbrown\nadams\n", token=mine, **CSV)

    assert status == 200, first
    assert [one["home"] for one in first["invitations"]] == ["adams.homes.example.", "brown.homes.example."]
    assert [(one["line"], one["label"]) for one in first["refused"]] == [(3, "a_b"), (4, "adams")]
    assert first["sheets"] == 1
    assert [one["new"] for one in first["invitations"] + again["invitations"]] == [True, True, False, False]
    assert lines(first) == lines(again) == lines(by_csv)
    assert len(await invitations.listing(admin)) == 2
    for line in lines(first).values():
        assert Invitation.from_text(line).registry == ZONE


def lines(batch):
    return {one["home"]: one["invitation"] for one in batch["invitations"]}


async def test_the_answer_is_what_accept_names(served):
    many = {"labels": [f"home-{one:02d}" for one in range(30)]}
    async with served() as (desk, mine, _theirs):
        found = {
            media: await desk.ask("POST", BATCH + more, many, token=mine, headers={"accept": media})
            for media, more in (
                ("text/csv", ""), ("application/pdf", ""), ("image/svg+xml", "&sheet=2"), ("application/json", ""),
            )
        }  # fmt: skip
        beyond = await desk.ask("POST", f"{BATCH}&sheet=3", many, token=mine, headers={"accept": "image/svg+xml"})
        odd = await desk.ask("POST", BATCH, many, token=mine, headers={"accept": "image/png"})

    told = lines(found["application/json"][2])
    table = found["text/csv"][2].decode().splitlines()
    assert (table[0], len(table)) == ("home,invitation,expires_at", 31)
    assert {row.split(",")[0]: row.split(",")[1] for row in table[1:]} == told
    assert found["application/pdf"][2].startswith(b"%PDF-1.4")
    assert found["application/pdf"][2].count(b"/Type /Page ") == 2
    assert found["image/svg+xml"][2].count(b"<path") == 6
    assert b"home-29" in found["image/svg+xml"][2]
    assert found["application/pdf"][1]["Invitations-Sheets"] == "2"
    assert (beyond[0], beyond[2]["code"], odd[0]) == (422, "field-wrong", 406)


async def test_who_has_spent_or_lost_an_invitation_is_not_told_it_again(admin, served):
    async with served() as (desk, mine, _theirs):
        await desk.ask("POST", BATCH, LABELS, token=mine)
        await admin.execute(
            "UPDATE invitations SET spent_at = now() WHERE label = %s", [names.order_key(home("adams"))]
        )
        gone = await desk.ask("DELETE", "/v1/invitations/brown.homes.example", token=mine)
        _, _, again = await desk.ask("POST", BATCH, {"labels": ["adams", "brown"]}, token=mine)

    assert gone[0] == 204
    assert [(one["home"], one["new"]) for one in again["invitations"]] == [
        ("adams.homes.example.", True), ("brown.homes.example.", True),
    ]  # fmt: skip


def home(label):
    return names.prepend(label.encode(), ZONE)


async def test_a_tenant_is_told_nobody_elses_invitation(served):
    async with served() as (desk, mine, theirs):
        _, _, ours = await desk.ask("POST", BATCH, {"labels": ["adams"]}, token=mine)
        status, _, said = await desk.ask("POST", BATCH, {"labels": ["adams", "clark"]}, token=theirs)

    assert status == 200, said
    assert lines(ours)["adams.homes.example."] not in lines(said).values()
    assert "clark.homes.example." in lines(said)


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        ({"labels": []}, "application/json", "field-wrong"),
        ({"labels": ["x"] * 10_001}, "application/json", "field-wrong"),
        ({"labels": ["x"], "colour": "red"}, "application/json", "field-unknown"),
        (b"", "text/csv", "field-wrong"),
        (b"\xff", "text/csv", "body-malformed"),
        (b"x\n" * 10_001, "text/csv", "field-wrong"),
    ],
    ids=["none", "too-many", "unknown", "empty-file", "latin", "long-file"],
)
async def test_a_list_that_makes_no_sense_is_refused(admin, served, body, media, code):
    async with served() as (desk, mine, _theirs):
        _, _, said = await desk.ask("POST", BATCH, body, token=mine, media=media)

    assert said["code"] == code
    assert await invitations.listing(admin) == []


async def test_a_policy_is_changed_only_as_it_was_read_where_that_is_asked_for(served):
    async with served() as (desk, mine, theirs):
        _, headers, _ = await desk.ask("GET", POLICY, token=mine)
        tag = headers["ETag"]
        other = (await desk.ask("GET", POLICY, token=theirs))[1]["ETag"]
        first = await desk.ask("PATCH", POLICY, {"rest": 60}, token=mine, headers={"if-match": tag})
        late = await desk.ask("PATCH", POLICY, {"rest": 70}, token=mine, headers={"if-match": tag})
        kind = {"labels": ["lock"], "least": "attested"}
        late_kind = await desk.ask("PUT", f"{POLICY}/kinds/lock", kind, token=mine, headers={"if-match": tag})
        fresh = first[1]["ETag"]
        good = await desk.ask("PUT", f"{POLICY}/kinds/lock", kind, token=mine, headers={"if-match": f'"x", {fresh}'})
        late_gone = await desk.ask("DELETE", f"{POLICY}/kinds/lock", token=mine, headers={"if-match": fresh})
        anyhow = await desk.ask("PATCH", POLICY, {"rest": 80}, token=mine, headers={"if-match": "*"})
        plain = await desk.ask("PATCH", POLICY, {"rest": 90}, token=mine)
        _, headers, shown = await desk.ask("GET", POLICY, token=mine)

    assert (first[0], good[0], anyhow[0], plain[0]) == (200, 200, 200, 200)
    assert [(one[0], one[2]["code"]) for one in (late, late_kind, late_gone)] == [
        (412, "policy-changed-meanwhile")
    ] * 3  # fmt: skip
    assert len({tag, fresh, good[1]["ETag"], headers["ETag"]}) == 4
    assert (plain[1]["ETag"], shown["rest"]) == (headers["ETag"], 90)
    assert other == tag  # it names what the policy says, and no tenant


async def test_of_two_who_change_one_state_at_once_one_is_refused(served):
    async with served() as (desk, mine, _theirs):
        tag = (await desk.ask("GET", POLICY, token=mine))[1]["ETag"]
        done = await asyncio.gather(
            *(desk.ask("PATCH", POLICY, {"rest": 60 + one}, token=mine, headers={"if-match": tag}) for one in range(4))
        )

    assert sorted(one[0] for one in done) == [200, 412, 412, 412]
