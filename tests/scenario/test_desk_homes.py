"""Homes made by the API: one at once, many from lines, each signed and published, and nothing twice."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk
from service import eventually

from ddns.auth import keys


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        eventually(lambda: desk.signed("homes.example."))
        yield desk


@pytest.fixture(scope="module")
def token(desk):
    return desk.token("homes:write", "homes:read")


def key_text():
    rdata = keys.key_rdata(ec.generate_private_key(ec.SECP256R1()))
    return f"{int.from_bytes(rdata[:2], 'big')} {rdata[2]} {rdata[3]} {base64.b64encode(rdata[4:]).decode()}"


def lines(*homes):
    return b"".join(json.dumps(one).encode() + b"\n" for one in homes)


def bring_in(desk, token, body, zone="homes.example", **also):
    headers = {"Content-Type": "application/x-ndjson"}
    return desk.ask_web("POST", f"/v1/imports?zone={zone}", body, token=token, headers=headers, **also)


def test_a_home_is_made_signed_and_published_with_its_key(desk, token):
    key = key_text()
    made = desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "adams", "key": key}, token=token)

    assert (made.status, made.json) == (201, {"home": "adams.homes.example.", "published": True}), made
    [shown] = eventually(lambda: desk.values("adams.homes.example.", "KEY"))
    assert shown.replace(" ", "") == key.replace(" ", "")
    eventually(lambda: desk.signed("adams.homes.example."))
    assert desk.values("adams.homes.example.", "NS") == ["ns1.homes.example."]


def test_a_home_is_made_once_and_a_repeated_wish_gets_the_first_answer(desk, token):
    wish, key = {"zone": "homes.example", "label": "baker"}, {"Idempotency-Key": "baker-1"}
    first = desk.ask_web("POST", "/v1/homes", wish, token=token, headers=key)
    again = desk.ask_web("POST", "/v1/homes", wish, token=token, headers=key)
    other = desk.ask_web("POST", "/v1/homes", wish, token=token)

    assert (first.status, again.status) == (201, 201), (first, again)
    assert first.body == again.body
    assert other.status == 409, other


@pytest.mark.parametrize("key", ["512 3 13 AAAA", "nonsense", "512 3 1 AAAA"])
def test_a_key_that_is_not_fit_is_refused_and_no_home_comes_to_be(desk, token, key):
    made = desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "clark", "key": key}, token=token)

    assert (made.status, made.json["code"]) == (422, "field-wrong"), made
    assert desk.ask_web("GET", "/v1/homes/clark.homes.example/export", token=token).status == 404


def test_lines_are_brought_in_and_the_same_file_again_makes_nothing_twice(desk, token):
    body = lines(
        {"label": "davis", "key": key_text()},
        {"label": "evans", "records": "@ 300 A 192.0.2.7\n"},
        {"label": "bad label"},
        {"label": "davis"},
    )
    first = bring_in(desk, token, body)
    again = bring_in(desk, token, body)

    assert (first.status, first.json["made"], first.json["there"], first.json["refused"]) == (200, 2, 0, 2), first
    assert [one["line"] for one in first.json["reasons"]] == [3, 4]
    assert (again.json["made"], again.json["there"], again.json["refused"]) == (0, 2, 2)
    eventually(lambda: desk.values("evans.homes.example.", "A") == ["192.0.2.7"])
    eventually(lambda: desk.signed("davis.homes.example."))


def test_a_thousand_homes_come_in_one_request(desk, token):
    report = bring_in(desk, token, lines(*({"label": f"h{number}"} for number in range(1000))))

    assert (report.status, report.json["made"], report.json["unsigned"]) == (200, 1000, 0), report
    eventually(lambda: desk.values("h999.homes.example.", "NS") == ["ns1.homes.example."])


def test_an_import_that_is_too_long_is_refused_whole(desk, token):
    report = bring_in(desk, token, b" " * (8 * 1024 * 1024 + 1))

    assert (report.status, report.json["code"]) == (413, "body-too-large")


def test_another_tenants_zone_takes_no_homes_and_homes_of_a_shared_zone_are_their_makers(desk, token):
    desk.ddns("tenant", "add", "acme")
    theirs = desk.token("homes:write", "homes:read", tenant="acme")
    wish = {"zone": "homes.example", "label": "fox"}

    refused = desk.ask_web("POST", "/v1/homes", wish, token=theirs)
    assert (refused.status, refused.json["code"]) == (404, "not-found")
    assert bring_in(desk, theirs, lines({"label": "fox"})).status == 404
    desk.ddns("tenant", "allow", "acme", "homes.example")
    assert desk.ask_web("POST", "/v1/homes", wish, token=theirs).status == 201
    assert bring_in(desk, theirs, lines({"label": "gray"})).json["made"] == 1
    for home in ("fox", "gray"):
        assert desk.ask_web("GET", f"/v1/homes/{home}.homes.example/export", token=theirs).status == 200
        assert desk.ask_web("GET", f"/v1/homes/{home}.homes.example/export", token=token).status == 404
    assert desk.ask_web("GET", "/v1/homes/adams.homes.example/export", token=theirs).status == 404
    there = bring_in(desk, theirs, lines({"label": "adams"})).json
    assert there["made"] == 0


def test_homes_are_found_by_label_and_state_page_by_page(desk, token):
    for label in ("find-a", "find-b", "find-c"):
        desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": label}, token=token)
    seen, after = [], ""
    while True:
        page = desk.ask_web("GET", f"/v1/homes?text=find-&limit=2&after={after}", token=token).json
        seen += [one["home"] for one in page["homes"]]
        if not (after := page["next"]):
            break

    assert seen == [f"find-{one}.homes.example." for one in "abc"]
    assert desk.ask_web("GET", "/v1/homes?text=find-&state=suspended", token=token).json["homes"] == []
    assert desk.ask_web("GET", "/v1/homes?state=odd", token=token).json["code"] == "field-wrong"
    assert desk.ask_web("GET", "/v1/homes?owner=odd", token=token).json["code"] == "field-wrong"
    assert desk.ask_web("GET", "/v1/homes?zone=elsewhere.example", token=token).status == 404


def test_a_home_is_shown_with_its_keys_and_not_to_other_tenants(desk, token):
    key = key_text()
    desk.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "shown", "key": key}, token=token)
    answer = desk.ask_web("GET", "/v1/homes/shown.homes.example", token=token)

    assert answer.status == 200, answer
    assert (answer.json["home"], answer.json["state"]) == ("shown.homes.example.", "active")
    assert [(one["name"], one["kind"]) for one in answer.json["keys"]] == [("shown.homes.example.", "sig0")]
    theirs = desk.token("homes:read", "homes:hold", tenant="acme")
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/history", None),
        ("PATCH", "", {"hold": "suspended", "reason": "x"}),
    ):
        refused = desk.ask_web(method, f"/v1/homes/shown.homes.example{path}", body, token=theirs)
        nobody = desk.ask_web(method, f"/v1/homes/nobody.homes.example{path}", body, token=theirs)
        assert (refused.status, refused.body) == (404, nobody.body)


def test_a_home_is_held_with_a_reason_leaves_the_dns_in_quarantine_and_comes_back(desk, token):
    hold = desk.token("homes:hold", "homes:read")
    wish = {"zone": "homes.example", "label": "held", "key": key_text()}
    assert desk.ask_web("POST", "/v1/homes", wish, token=token).status == 201
    eventually(lambda: desk.values("held.homes.example.", "KEY"))
    home = "/v1/homes/held.homes.example"
    refused = desk.ask_web("PATCH", home, {"hold": "quarantined", "reason": "x"}, token=token)
    assert refused.json["code"] == "right-missing"
    assert desk.ask_web("PATCH", home, {"hold": "quarantined"}, token=hold).json["code"] == "field-wrong"
    assert desk.ask_web("PATCH", home, {"hold": "quarantined", "reason": ""}, token=hold).json["code"] == "field-wrong"

    held = desk.ask_web("PATCH", home, {"hold": "quarantined", "reason": "sends spam"}, token=hold)
    again = desk.ask_web("PATCH", home, {"hold": "quarantined", "reason": "sends spam"}, token=hold)
    assert (held.status, held.json["changed"], again.json["changed"]) == (200, True, False), held
    eventually(lambda: not desk.values("held.homes.example.", "KEY"))
    shown = desk.ask_web("GET", home, token=hold).json
    assert (shown["state"], shown["reason"]) == ("quarantined", "sends spam")

    assert desk.ask_web("PATCH", home, {"hold": "none", "reason": "mended"}, token=hold).json["changed"] is True
    eventually(lambda: desk.values("held.homes.example.", "KEY"))
    events = desk.ask_web("GET", f"{home}/history", token=hold).json["events"]
    assert [one["event"] for one in events] == ["enrol", "quarantine", "release-hold"]
    assert events[1]["why"] == "sends spam"
    assert "token:" in events[1]["who"]
    first = desk.ask_web("GET", f"{home}/history?limit=1", token=hold).json
    rest = desk.ask_web("GET", f"{home}/history?after={first['next']}", token=hold).json
    assert first["events"] + rest["events"] == events
    other = desk.ask_web("GET", f"/v1/homes/shown.homes.example/history?after={first['next']}", token=hold)
    assert other.json["code"] == "cursor-wrong"
