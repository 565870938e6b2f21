"""Operators at the desk: homes found, held and released, tenants and policies made and changed; and their walls."""

import pytest
from desk import Desk


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        for label in ("smith", "jones", "m\u00fcller"):
            desk.ddns("home", "add", label)
        desk.ddns("tenant", "add", "isp")
        desk.ddns("tenant", "allow", "isp", "homes.example")
        yield desk


@pytest.fixture(scope="module")
def token(desk):
    return desk.token("homes:read", "homes:write", "homes:hold", "policy", "tenants")


@pytest.fixture(scope="module")
def theirs(desk):
    return desk.token("homes:read", "homes:write", "homes:hold", "policy", tenant="isp")


def test_homes_are_found_by_pages(desk, token):
    first = desk.ask_web("GET", "/v1/homes?limit=2", token=token)
    rest = desk.ask_web("GET", f"/v1/homes?limit=2&after={first.json['next']}", token=token)

    assert (first.status, rest.status) == (200, 200), (first, rest)
    found = [one["unicode"] for one in first.json["homes"] + rest.json["homes"]]
    assert found == ["jones", "m\u00fcller", "smith"]
    assert rest.json["next"] == ""
    some = desk.ask_web("GET", "/v1/homes?text=M%C3%9C&zone=homes.example", token=token)
    assert [one["home"] for one in some.json["homes"]] == ["xn--mller-kva.homes.example."]


@pytest.mark.parametrize(
    "query", ["owner=me", "device=zz", "state=gone", "after=x", "limit=0", "text=xn--zzzzzz99999", "colour=red"]
)
def test_what_cannot_be_looked_for_is_refused(desk, token, query):
    assert desk.ask_web("GET", f"/v1/homes?{query}", token=token).status == 422


def test_a_home_is_held_with_a_reason_and_released_and_its_history_says_so(desk, token):
    address = "/v1/homes/jones.homes.example"

    held = desk.ask_web("PATCH", address, {"hold": "quarantined", "reason": "it sends spam"}, token=token)
    shown = desk.ask_web("GET", address, token=token)
    again = desk.ask_web("PATCH", address, {"hold": "quarantined", "reason": "it sends spam"}, token=token)
    freed = desk.ask_web("PATCH", address, {"hold": "none", "reason": "it does not"}, token=token)
    history = desk.ask_web("GET", f"{address}/history", token=token)

    assert (held.status, held.json["changed"], again.json["changed"], freed.json["changed"]) == (200, True, False, True)
    assert (shown.json["state"], shown.json["reason"]) == ("quarantined", "it sends spam")
    events = [(one["event"], one["why"]) for one in history.json["events"]]
    assert events[-2:] == [("quarantine", "it sends spam"), ("release-hold", "it does not")]
    assert history.json["events"][-1]["who"].startswith("operator:token:")
    assert "it sends spam" in desk.ddns("home", "history", "jones")
    for body in ({"hold": "quarantined"}, {"hold": "quarantined", "reason": ""}, {"hold": "gone", "reason": "x"}):
        assert desk.ask_web("PATCH", address, body, token=token).status == 422


def test_tenants_are_made_bounded_and_suspended(desk, token):
    made = desk.ask_web("POST", "/v1/tenants", {"name": "reseller", "host": "homes.reseller.example"}, token=token)
    again = desk.ask_web("POST", "/v1/tenants", {"name": "reseller"}, token=token)
    changed = desk.ask_web("PATCH", "/v1/tenants/reseller", {"homes": 5, "state": "suspended"}, token=token)
    allowed = desk.ask_web("POST", "/v1/tenants/reseller/zones", {"zone": "homes.example"}, token=token)
    shown = desk.ask_web("GET", "/v1/tenants/reseller", token=token)

    assert (made.status, again.status, changed.status, allowed.status) == (201, 409, 200, 204), (made, again, changed)
    assert shown.json["tenant"]["homes"] == 5
    assert shown.json["tenant"]["state"] == "suspended"
    assert shown.json["zones"] == [{"zone": "homes.example.", "homes": 0}]
    assert desk.ask_web("GET", "/v1/tenants/none", token=token).status == 404
    gone = desk.ask_web("DELETE", "/v1/tenants/reseller/zones/homes.example", token=token)
    assert gone.status == 204
    assert "reseller" in desk.ddns("tenant", "list")


def test_policies_are_changed_in_part_and_hold_at_once(desk, token):
    address = "/v1/policies/homes.example"

    changed = desk.ask_web("PATCH", address, {"reserved": ["bank*"], "types": ["MX"], "rest": 86400}, token=token)
    kinds = desk.ask_web("PUT", f"{address}/kinds/lock", {"labels": ["lock"], "least": "attested"}, token=token)
    letters = desk.ask_web("PUT", "/v1/letters/hebrew", {"letters": ["U+05D0..U+05EA"]}, token=token)

    assert (changed.status, kinds.status, letters.status) == (200, 200, 200), (changed, kinds, letters)
    assert (changed.json["reserved"], changed.json["types"], changed.json["rest"]) == (["bank*"], ["MX"], 86400)
    assert kinds.json["kinds"] == [{"kind": "lock", "labels": ["lock"], "least": "attested"}]
    made = desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "bank-1"}, token=token)
    assert (made.status, made.json["code"]) == (409, "label-unavailable")
    for body in ({"least": "much"}, {"colour": "red"}, {"claim_wait": 1}, {"idn": ["klingon"]}, {"label_least": 0}):
        assert desk.ask_web("PATCH", address, body, token=token).status == 422
    assert desk.ask_web("DELETE", f"{address}/kinds/lock", token=token).status == 204
    assert desk.ask_web("DELETE", f"{address}/kinds/lock", token=token).status == 404
    assert desk.ask_web("GET", "/v1/letters", token=token).json["tables"][-1]["table"] == "hebrew"
    assert desk.ask_web("DELETE", "/v1/letters/hebrew", token=token).status == 204


def test_a_tenant_sees_and_changes_its_own_alone(desk, token, theirs):
    made = desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "doe"}, token=theirs)
    assert made.status == 201, made

    assert [one["unicode"] for one in desk.ask_web("GET", "/v1/homes", token=theirs).json["homes"]] == ["doe"]
    assert "doe" not in [one["unicode"] for one in desk.ask_web("GET", "/v1/homes", token=token).json["homes"]]
    for name in ("smith", "nobody"):
        address = f"/v1/homes/{name}.homes.example"
        answers = [
            desk.ask_web("GET", address, token=theirs),
            desk.ask_web("GET", f"{address}/history", token=theirs),
            desk.ask_web("PATCH", address, {"hold": "suspended", "reason": "mine"}, token=theirs),
        ]
        assert [one.status for one in answers] == [404, 404, 404]
        assert len({one.body for one in answers}) == 1
    assert desk.ask_web("GET", "/v1/tenants", token=theirs).status == 403
    policy = desk.ask_web("PATCH", "/v1/policies/homes.example", {"types": ["TXT"]}, token=theirs)
    assert policy.json["types"] == ["TXT"]
    assert "TXT" not in desk.ask_web("GET", "/v1/policies/homes.example", token=token).json["types"]
    cursor = desk.ask_web("GET", "/v1/homes?limit=1", token=token).json["next"]
    assert desk.ask_web("GET", f"/v1/homes?after={cursor}", token=theirs).status == 422
    assert "active" in desk.ddns("home", "show", "smith")


def test_a_complaint_is_written_down_and_listed(desk, token, theirs):
    address = "/v1/homes/smith.homes.example/complaints"

    made = desk.ask_web("POST", address, {"what": "spam", "evidence": "see https://x.example"}, token=token)

    assert (made.status, made.json["what"]) == (201, "spam"), made
    assert desk.ask_web("GET", address, token=token).json["complaints"][0]["evidence"] == "see https://x.example"
    signals = desk.ask_web("GET", "/v1/abuse", token=token).json["homes"]
    assert [(one["home"], one["complaints"]) for one in signals] == [("smith.homes.example.", 1)]
    assert "spam" in desk.ddns("home", "signals", "smith")
    assert desk.ask_web("POST", address, {"what": "noise", "evidence": "x"}, token=token).status == 422
    assert desk.ask_web("POST", address, {"what": "spam", "evidence": "x"}, token=theirs).status == 404
    assert desk.ask_web("GET", "/v1/abuse", token=theirs).json["homes"] == []
