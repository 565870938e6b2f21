"""The desk of a real service: what it says to people with tokens, to people without, and to programs that err."""

import json
import os
import signal
import socket
import subprocess

import pytest
from desk import Desk
from service import Service, eventually
from tools import need


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        yield desk


@pytest.fixture(scope="module")
def token(desk):
    return desk.token("tokens", "homes:read")


def test_the_desk_says_that_it_works_and_its_answers_are_for_no_cache(desk):
    answer = desk.ask_web("GET", "/healthz")

    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"
    assert "date" in answer.headers
    assert "server" not in answer.headers


def test_a_path_that_is_not_there_is_a_problem_with_a_code_a_sentence_and_a_turn(desk):
    answer = desk.ask_web("GET", "/v1/nothing")

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "urn:nameplate:refusal:not-found",
        "title": "HTTPS API",
        "status": 404,
        "detail": "There is no such thing here; check the address and whose token it is.",
        "code": "not-found",
        "turn": "state",
    }


def test_a_method_that_a_path_does_not_have_is_told_which_it_has(desk):
    answer = desk.ask_web("PUT", "/v1/tokens", {})

    assert (answer.status, answer.json["code"]) == (405, "method-unknown")
    assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_token_is_shown_once_does_what_it_may_and_nothing_after_it_is_revoked(desk, token):
    made = desk.ask_web("POST", "/v1/tokens", {"rights": ["homes:read"], "note": "for the dashboard"}, token=token)
    assert made.status == 201, made
    fresh, about = made.json["token"], made.json["about"]
    listed = desk.ask_web("GET", "/v1/tokens", token=token)

    assert fresh.split(".")[2] not in listed.body.decode()
    assert about["id"] in [one["id"] for one in listed.json["tokens"]]
    refused = desk.ask_web("GET", "/v1/tokens", token=fresh)
    assert (refused.status, refused.json["code"]) == (403, "right-missing")
    assert desk.ask_web("DELETE", f"/v1/tokens/{about['id']}", token=token).status == 204
    refused = desk.ask_web("GET", "/v1/tokens", token=fresh)
    assert (refused.status, refused.json["code"]) == (401, "token-unknown")
    assert refused.headers["www-authenticate"] == "Bearer"


def test_nobody_makes_a_token_with_more_rights_than_his_own(desk, token):
    answer = desk.ask_web("POST", "/v1/tokens", {"rights": ["homes:hold"]}, token=token)

    assert (answer.status, answer.json["code"]) == (403, "right-missing")
    assert "homes:hold" in answer.json["detail"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "token-missing"),
        ("", "token-unknown"),
        ("np1.1-aaaaaaaaaaaaaaaa." + "a" * 43, "token-unknown"),
        ("np1.7-aaaaaaaaaaaaaaaa." + "a" * 43, "token-unknown"),
        ("np1.1-aaaaaaaaaaaaaaaa", "token-unknown"),
        ("x" * 4000, "token-unknown"),
    ],
)
def test_who_has_no_good_token_is_refused_before_the_body_is_read(desk, text, code):
    answer = desk.ask_web("POST", "/v1/tokens", b"{", token=text, headers={"Content-Type": "text/plain"})

    assert (answer.status, answer.json["code"]) == (401, code)


def test_a_token_of_another_secret_with_a_known_id_is_unknown(desk, token):
    scheme, ident, secret = token.split(".")
    wrong = ("b" if secret[0] == "a" else "a") + secret[1:]

    assert desk.ask_web("GET", "/v1/tokens", token=f"{scheme}.{ident}.{wrong}").json["code"] == "token-unknown"


def test_a_token_for_another_network_is_refused_here(desk):
    elsewhere = desk.token("tokens", words=("--network", "192.0.2.0/24"))
    here = desk.token("tokens", words=("--network", "127.0.0.0/8"))

    assert desk.ask_web("GET", "/v1/tokens", token=elsewhere).json["code"] == "token-elsewhere"
    assert desk.ask_web("GET", "/v1/tokens", token=here).status == 200


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b"{", "application/json", 400, "body-malformed"),
        (b'{"rights": ["homes:read"], "rights": ["tokens"]}', "application/json", 400, "body-malformed"),
        (b"[" * 5000, "application/json", 400, "body-malformed"),
        (b'{"rights": ["homes:read"], "colour": 1}', "application/json", 422, "field-unknown"),
        (b'{"rights": []}', "application/json", 422, "field-wrong"),
        (b'{"rights": ["homes:read"], "days": 401}', "application/json", 422, "field-wrong"),
        (b'{"rights": ["homes:read"], "days": 1e400}', "application/json", 422, "field-wrong"),
        (b'{"rights": ["homes:read"]}', "text/plain", 415, "media-type"),
        (b" " * 70_000, "application/json", 413, "body-too-large"),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_name_and_changes_nothing(desk, token, body, media, status, code):
    before = desk.ask_web("GET", "/v1/tokens", token=token).json["tokens"]
    answer = desk.ask_web("POST", "/v1/tokens", body, token=token, headers={"Content-Type": media})

    assert (answer.status, answer.json["code"]) == (status, code)
    after = desk.ask_web("GET", "/v1/tokens", token=token).json["tokens"]
    assert [one["id"] for one in after] == [one["id"] for one in before]


def test_pages_lead_through_all_tokens_once_and_a_cursor_is_good_for_its_list_alone(desk):
    mine = desk.token("tokens")
    for _ in range(3):
        desk.ask_web("POST", "/v1/tokens", {"rights": ["tokens"]}, token=mine)
    seen, after = [], ""
    while True:
        page = desk.ask_web("GET", f"/v1/tokens?limit=2&after={after}", token=mine).json
        seen += [one["id"] for one in page["tokens"]]
        after = page["next"]
        if not after:
            break

    everything = desk.ask_web("GET", "/v1/tokens?limit=500", token=mine).json["tokens"]
    assert seen == [one["id"] for one in everything]
    assert len(seen) == len(set(seen)) > 3
    assert desk.ask_web("GET", "/v1/tokens?after=AAAA", token=mine).json["code"] == "cursor-wrong"
    assert desk.ask_web("GET", "/v1/tokens?limit=0", token=mine).json["code"] == "field-wrong"
    assert desk.ask_web("GET", "/v1/tokens?colour=1", token=mine).json["code"] == "field-unknown"


def test_a_wish_with_an_idempotency_key_is_done_once(desk, token):
    key = {"Idempotency-Key": "the-first"}
    first = desk.ask_web("POST", "/v1/tokens", {"rights": ["tokens"], "note": "once"}, token=token, headers=key)
    again = desk.ask_web("POST", "/v1/tokens", {"rights": ["tokens"], "note": "once"}, token=token, headers=key)
    other = desk.ask_web("POST", "/v1/tokens", {"rights": ["tokens"], "note": "two"}, token=token, headers=key)

    assert (first.status, again.status, first.body) == (201, 201, again.body)
    assert (other.status, other.json["code"]) == (422, "idempotency-key-reused")
    listed = desk.ask_web("GET", "/v1/tokens?limit=500", token=token).json["tokens"]
    assert [one["note"] for one in listed].count("once") == 1
    assert "two" not in [one["note"] for one in listed]


def test_nonces_are_given_to_everybody_and_none_twice(desk):
    given = [desk.ask_web("POST", "/v1/nonces", {}).json for _ in range(3)]
    carried = desk.ask_web("POST", "/v1/nonces", {"purpose": "carried"})

    assert len({one["nonce"] for one in given}) == 3
    assert all(len(one["nonce"]) == 43 for one in given)
    assert carried.status == 201
    assert carried.json["expires_at"] - given[0]["expires_at"] > 6 * 86_400


def test_what_is_no_http_is_answered_with_a_problem_too(desk):
    with desk.context().wrap_socket(socket.create_connection(("127.0.0.1", desk.web))) as raw:
        raw.sendall(b"HELLO\r\n\r\n")
        said = b""
        while part := raw.recv(4096):
            said += part

    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "request-malformed"


def test_curl_finds_the_desk_by_its_certificate_alone_and_tls_1_2_does_not_get_in(desk):
    words = [
        need("curl"),
        "-sS",
        "--cacert",
        desk.certificate,
        "--connect-to",
        f"nameplate.invalid::127.0.0.1:{desk.web}",
    ]
    name = "https://ns1.homes.example/healthz"
    words[-1] = f"ns1.homes.example:443:127.0.0.1:{desk.web}"

    assert json.loads(subprocess.run([*words, name], check=True, capture_output=True).stdout) == {"status": "ok"}
    assert subprocess.run([*words, "--tls-max", "1.2", name], capture_output=True, check=False).returncode == 35


def test_the_desk_s_certificate_is_published_for_dane(desk):
    records = eventually(lambda: desk.values(f"_{desk.web}._tcp.ns1.homes.example.", "TLSA"))
    spki = subprocess.run(
        f"openssl x509 -in {desk.certificate} -pubkey -noout | openssl pkey -pubin -outform DER | openssl sha256 -r",
        shell=True,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()[0]

    assert records == [f"3 1 1 {spki}"]


def test_a_desk_that_dies_is_started_again_and_names_are_answered_meanwhile(desk):
    [pid] = desk.pids("desk")
    os.kill(pid, signal.SIGKILL)

    assert desk.values("homes.example.", "SOA")
    eventually(lambda: desk.pids("desk") not in ([], [pid]))

    def works():
        try:
            return desk.ask_web("GET", "/healthz").status == 200
        except OSError:
            return False

    eventually(works)


def test_who_asks_too_often_is_told_when_to_come_again():
    with Desk(settings="[web]\nsource_burst = 5\nsource_rate = 0.01\n") as with_rations:
        with_rations.set_up()
        Service.start(with_rations)  # a look at whether the desk works would count
        eventually(lambda: with_rations.log.read_text().count("desk.ready"))
        mine = with_rations.token("tokens")
        assert with_rations.ask_web("GET", "/v1/tokens", token=mine).status == 200
        answers = [with_rations.ask_web("GET", "/healthz") for _ in range(8)]

        assert [one.status for one in answers] == [200] * 5 + [429] * 3
        assert all(100 <= int(one.headers["retry-after"]) <= 3600 for one in answers[5:])
        assert answers[5].json["retry_after"] == int(answers[5].headers["retry-after"])
        assert with_rations.ask_web("GET", "/v1/tokens", token=mine).status == 200
