"""What the registry's own operator, and a tenant's, must not be able to do: anything unseen."""

import json

import pytest
from townspeople import code


@pytest.fixture(scope="module")
def smith(homes):
    return homes("operator-smith")


def about(desk, home):
    return json.loads(desk.ddns("home", "export", home))


def test_operator_cannot_hold_a_home_unseen(smith, desk):
    """A hold has a reason, stands in the home's own history, and its owner has a notice of it."""
    token = desk.token("homes:read")
    before = desk.ask_web("GET", "/v1/notices?limit=500", token=token).json["next"]

    desk.ddns("home", "hold", smith.name, "--suspend", "--reason", "spam, complaint 17")

    said = about(desk, smith.name)
    assert (said["state"], said["reason"]) == ("suspended", "spam, complaint 17")
    assert said["events"][-1]["why"] == "spam, complaint 17"
    assert said["events"][-1]["who"].startswith("operator:")
    notices = desk.ask_web("GET", f"/v1/notices?after={before}", token=token).json["notices"]
    assert [one["kind"] for one in notices] == ["home.held"]
    desk.ddns("home", "release", smith.name)
    assert about(desk, smith.name)["events"][-1]["after"] == "active"


def test_operator_cannot_hold_a_home_without_a_reason(smith, desk):
    assert desk.ddns("home", "hold", smith.name, "--suspend", status=2)
    assert about(desk, smith.name)["state"] == "active"


def test_tenants_operator_cannot_exceed_the_rights_of_its_token(smith, desk):
    token = desk.token("homes:read")

    for method, path, body in (
        ("POST", "/v1/homes", {"zone": "homes.example", "label": "beyond"}),
        ("POST", "/v1/tokens", {"rights": ["tokens"]}),
        ("DELETE", "/v1/invitations/operator-smith.homes.example", None),
    ):
        assert code(desk.ask_web(method, path, body, token=token)) == (403, "right-missing")
