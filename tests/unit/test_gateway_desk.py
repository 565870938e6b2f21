"""The registry's desk by HTTPS: whom it is believed to be, and what of its answers is taken."""

import datetime as dt
import http.server
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ddns.gateway import desk
from ddns.gateway.client import Unreachable
from ddns.gateway.desk import Desk, Said
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.reply import Unproved

SINCE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
NEVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def certificate(name, *, authority=False):
    """Return a self-made certificate and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(SINCE)
        .not_valid_after(NEVER)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    made = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers as its server says, and notes what it was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["Host"], body))
        status, headers, octets = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A TLS server that is called registry.example, with `pem`, `answer` and `asked`."""
    pem, secret = certificate("registry.example")
    (tmp_path / "both.pem").write_bytes(pem + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    running.daemon_threads = True
    running.handle_error = lambda *_: None
    running.asked, running.answer, running.pem = [], (200, {}, b"{}"), pem.decode()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def ask(server, **changed):
    own = desk.believing("127.0.0.1", server.server_port, "registry.example", server.pem)
    where = own if not changed else Desk("127.0.0.1", server.server_port, "registry.example", **changed)
    return desk.ask(where, "POST", "/v1/enrol", b"wish", headers={"Content-Type": "application/jose+json"}, wait=20)


def test_the_servers_own_certificate_is_believed_by_its_key(server):
    """Whatever it is called: the name that is asked for stands in Host."""
    answer = ask(server)

    assert isinstance(answer, Said)
    assert answer.status == 200
    assert server.asked == [("/v1/enrol", f"registry.example:{server.server_port}", b"wish")]


@pytest.mark.parametrize("pins", [("00" * 32,), ("00" * 32, "11" * 32)])
def test_another_key_is_not_believed_and_nothing_is_sent(server, pins):
    """TLSA records name other keys: whoever answers is somebody else."""
    assert isinstance(ask(server, pins=pins), Unproved)
    assert server.asked == []


def test_without_pins_a_certificate_has_to_be_vouched_for(server):
    """By this machine's authorities, or by those of the file; here by neither."""
    other, _ = certificate("other.example", authority=True)

    for changed in ({"cafile": ""}, {"cafile": other.decode()}):
        assert isinstance(ask(server, **changed), Unproved)
    assert server.asked == []


def test_an_authoritys_certificate_is_no_servers_key():
    """It vouches for names; a leaf stands for its key."""
    authority, _ = certificate("ca.example", authority=True)
    leaf, _ = certificate("leaf.example")

    by_name = desk.believing("h", 443, "n", authority.decode())
    by_key = desk.believing("h", 443, "n", leaf.decode())

    assert (by_name.pins, by_name.cafile) == ((), authority.decode())
    assert (len(by_key.pins), by_key.cafile) == (1, "")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((201, {}, b"{}"), Status.DONE, "Done"),
        ((302, {"Location": "https://elsewhere.example/"}, b""), Status.REFUSED, "302"),
        ((429, {"Retry-After": "60"}, b""), Status.LATER, "later"),
        ((503, {}, b""), Status.LATER, "later"),
        (
            (409, {"Content-Type": "application/problem+json"}, b'{"code":"invitation-spent","detail":"It is spent"}'),
            Status.REFUSED,
            "It is spent.",
        ),
        (
            (401, {"Content-Type": "application/problem+json"}, b'{"code":"statement-stale","detail":"Old."}'),
            Status.CLOCK,
            "Old.",
        ),
        ((400, {"Content-Type": "application/problem+json"}, b"no JSON"), Status.REFUSED, "400"),
    ],
)
def test_what_an_answer_means(server, answer, status, words):
    """A redirect is followed by nobody; the problem's own sentence is what a person reads."""
    server.answer = answer

    said = ask(server)
    found, sentence = judge_said(said, Desk("registry.example"))

    assert found == status
    assert words in sentence
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("0", 0), ("", 0), ("-5", 0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("9" * 30, 0)]
)
def test_retry_after_is_some_seconds(server, text, seconds):
    """And a day at most, whatever it says."""
    server.answer = (503, {"Retry-After": text} if text else {}, b"")

    assert ask(server).retry_after == seconds


def test_an_answer_without_end_is_given_up(server, monkeypatch):
    """The bound holds for what is read, not for what is announced."""
    monkeypatch.setattr(desk, "MOST", 1000)
    server.answer = (200, {}, bytes(100_000))

    answer = ask(server)

    assert isinstance(answer, Unreachable)
    assert "1000" in answer.reason


def test_who_answers_no_http_or_not_at_all_is_out_of_reach():
    """A refused connection is no proof of anything."""
    answer = desk.ask(Desk("127.0.0.1", 9, "registry.example", pins=("00" * 32,)), "GET", "/", wait=5)

    assert isinstance(answer, Unreachable)
