"""Invitations by the API: made, listed in pages, withdrawn, spent by a real gateway."""

import pytest
from desk import NAME, Desk

from ddns.dns import names
from ddns.gateway.invitation import Invitation


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        yield desk


@pytest.fixture(scope="module")
def token(desk):
    return desk.token("invitations")


def invite(desk, token, **wish):
    return desk.ask_web("POST", "/v1/invitations", {"zone": "homes.example", **wish}, token=token)


def test_an_invitation_says_where_the_registry_is_and_is_told_once(desk, token):
    made = invite(desk, token, label="smith")
    assert made.status == 201, made
    line = Invitation.from_text(made.json["invitation"])

    assert made.json["home"] == names.to_text(line.home) == "smith.homes.example."
    assert (line.host, line.port, line.web) == (NAME, desk.port, (NAME, desk.web))
    listed = desk.ask_web("GET", "/v1/invitations", token=token)
    assert "smith.homes.example." in [one["home"] for one in listed.json["invitations"]]
    assert made.json["invitation"] not in listed.body.decode()
    assert "ddns://" not in listed.body.decode()


def test_a_home_is_invited_once_unless_the_old_invitation_is_to_go(desk, token):
    first = invite(desk, token, label="jones")
    again = invite(desk, token, label="jones")
    anew = invite(desk, token, label="jones", again=True)

    assert (first.status, again.status, anew.status) == (201, 409, 201), (first, again, anew)
    assert first.json["invitation"] != anew.json["invitation"]


def test_a_label_that_nobody_chose_is_made_and_no_two_are_alike(desk, token):
    made = [invite(desk, token).json["home"] for _ in range(3)]

    assert len(set(made)) == 3
    assert all(one.endswith(".homes.example.") for one in made)


@pytest.mark.parametrize("label", ["www", "a.b", "-x", "x" * 64, "\N{CYRILLIC SMALL LETTER A}bc", "\u202e"])
def test_labels_that_homes_may_not_have_are_refused_with_a_reason(desk, token, label):
    made = invite(desk, token, label=label)

    assert made.status in (403, 409, 422), made
    assert made.json["code"].startswith("label-"), made


def test_a_zone_that_is_not_the_tenants_is_not_found(desk, token):
    made = desk.ask_web("POST", "/v1/invitations", {"zone": "elsewhere.example", "label": "x"}, token=token)

    assert (made.status, made.json["code"]) == (404, "not-found")


def test_an_invitation_that_is_withdrawn_is_gone_and_a_second_time_not_there(desk, token):
    invite(desk, token, label="brown")

    assert desk.ask_web("DELETE", "/v1/invitations/brown.homes.example", token=token).status == 204
    assert desk.ask_web("DELETE", "/v1/invitations/brown.homes.example", token=token).status == 404
    listed = desk.ask_web("GET", "/v1/invitations?limit=500", token=token).json["invitations"]
    assert "brown.homes.example." not in [one["home"] for one in listed]


def test_pages_of_invitations_lead_through_all_of_them_once(desk, token):
    for label in ("p1", "p2", "p3"):
        invite(desk, token, label=label)
    seen, after = [], ""
    while True:
        page = desk.ask_web("GET", f"/v1/invitations?limit=2&after={after}", token=token).json
        seen += [one["home"] for one in page["invitations"]]
        if not (after := page["next"]):
            break

    everything = desk.ask_web("GET", "/v1/invitations?limit=500", token=token).json["invitations"]
    assert seen == [one["home"] for one in everything]
    assert {"p1.homes.example.", "p2.homes.example.", "p3.homes.example."} <= set(seen)


def test_two_tenants_do_not_see_each_others_invitations(desk, token):
    desk.ddns("tenant", "add", "acme")
    desk.ddns("tenant", "allow", "acme", "homes.example")
    theirs = desk.token("invitations", tenant="acme")
    invite(desk, token, label="ours")
    made = invite(desk, theirs, label="theirs")

    assert made.status == 201, made
    listed = desk.ask_web("GET", "/v1/invitations?limit=500", token=theirs).json["invitations"]
    assert [one["home"] for one in listed] == ["theirs.homes.example."]
    assert desk.ask_web("DELETE", "/v1/invitations/ours.homes.example", token=theirs).status == 404
    assert desk.ask_web("DELETE", "/v1/invitations/theirs.homes.example", token=token).status == 404
    cursor = desk.ask_web("GET", "/v1/invitations?limit=1", token=token).json["next"]
    assert desk.ask_web("GET", f"/v1/invitations?after={cursor}", token=theirs).json["code"] == "cursor-wrong"


def test_the_registrys_own_token_acts_for_a_tenant_only_with_the_right_to(desk, token):
    acting = desk.token("invitations", "tenants:act")

    listed = desk.ask_web("GET", "/v1/invitations?tenant=acme", token=acting)
    assert [one["home"] for one in listed.json["invitations"]] == ["theirs.homes.example."]
    assert desk.ask_web("GET", "/v1/invitations?tenant=nobody", token=acting).status == 404
    assert desk.ask_web("GET", "/v1/invitations?tenant=acme", token=token).json["code"] == "right-missing"


def test_tenants_are_made_by_the_registry_and_for_no_tenant(desk):
    making = desk.token("tenants", "tenants:act")

    refused = desk.ask_web("POST", "/v1/tenants?tenant=acme", {"name": "other"}, token=making)
    assert (refused.status, refused.json["code"]) == (422, "field-unknown"), refused
    assert desk.ask_web("POST", "/v1/tenants", {"name": "other"}, token=making).status == 201
