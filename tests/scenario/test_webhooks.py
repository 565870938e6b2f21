"""Webhooks of a real service: added by command and by API, tried, told of what happens, and read as notices."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from desk import SETTINGS, Desk
from receiving import self_signed
from service import eventually


class Receiver(ThreadingHTTPServer):
    """What keeps each request that comes, over TLS."""

    def __init__(self, pem):
        self.heard = []
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"https://localhost:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        pass


class Trusting(Desk):
    """A desk that believes one more authority."""

    pem = None

    def environment(self):
        return {**super().environment(), "SSL_CERT_FILE": str(self.pem)}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    pem = self_signed(tmp_path_factory.mktemp("receiver"))
    one = Receiver(pem)
    one.pem = pem
    yield one
    one.shutdown()
    one.server_close()


@pytest.fixture(scope="module")
def desk(receiver):
    trusting = Trusting(settings=SETTINGS + "private = true\n")
    trusting.pem = receiver.pem
    with trusting.running() as desk:
        yield desk


def test_a_webhook_is_added_tried_and_removed_by_command(desk, receiver):
    made = json.loads(desk.ddns("webhook", "add", receiver.url, "--json"))

    assert desk.ddns("webhook", "test", made["id"]).strip() == "It arrived."
    headers, body = receiver.heard[-1]
    secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["type"] == "webhook.test"
    assert receiver.url in desk.ddns("webhook", "list")
    assert "removed" in desk.ddns("webhook", "remove", made["id"])
    assert "no webhook" in desk.ddns("webhook", "test", made["id"], status=1)


def test_one_where_nobody_answers_is_said_so(desk):
    made = json.loads(desk.ddns("webhook", "add", "https://localhost:1/", "--json"))

    assert "It did not arrive: it cannot be reached" in desk.ddns("webhook", "test", made["id"], status=1)
    assert "it cannot be reached" in desk.ddns("webhook", "list")
    desk.ddns("webhook", "remove", made["id"])


def test_the_api_does_what_the_commands_do(desk, receiver):
    token = desk.token("webhooks", "homes:read")
    made = desk.ask_web("POST", "/v1/webhooks", {"url": receiver.url, "events": ["webhook.test"]}, token=token)
    assert made.status == 201, made
    ident = made.json["id"]
    before = len(receiver.heard)

    trial = desk.ask_web("POST", f"/v1/webhooks/{ident}/test", token=token)

    assert trial.status == 202, trial
    eventually(lambda: len(receiver.heard) > before)
    listed = desk.ask_web("GET", "/v1/webhooks", token=token)
    assert [(one["id"], one["state"]) for one in listed.json["webhooks"]] == [(ident, "active")]
    assert made.json["secret"] not in listed.body.decode()
    page = desk.ask_web("GET", "/v1/notices?limit=500", token=token)
    assert page.json["notices"][-1]["id"] == trial.json["notice"]
    after = desk.ask_web("GET", f"/v1/notices?after={page.json['next']}", token=token)
    assert after.json["notices"] == []
    assert desk.ask_web("DELETE", f"/v1/webhooks/{ident}", token=token).status == 204


@pytest.mark.parametrize("path", ["/v1/webhooks/x", "/v1/webhooks/00000000-0000-4000-8000-000000000000"])
def test_a_webhook_that_is_not_there_or_anothers_is_not_found(desk, path):
    token = desk.token("webhooks")

    for method, where in (("DELETE", path), ("POST", f"{path}/test")):
        refused = desk.ask_web(method, where, token=token)
        assert (refused.status, refused.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("url", ["http://a.example/", "https://user:pw@a.example/", "https://a.example/#x"])
def test_what_is_no_address_is_refused_with_a_sentence(desk, url):
    refused = desk.ask_web("POST", "/v1/webhooks", {"url": url}, token=desk.token("webhooks"))

    assert (refused.status, refused.json["code"]) == (409, "cannot-be-done")
    assert "https://hooks.example/nameplate" in refused.json["detail"]


def test_a_token_without_the_right_reads_and_makes_none(desk, receiver):
    token = desk.token("homes:read")

    for method, path, body in (("GET", "/v1/webhooks", None), ("POST", "/v1/webhooks", {"url": receiver.url})):
        refused = desk.ask_web(method, path, body, token=token)
        assert (refused.status, refused.json["code"]) == (403, "right-missing")
