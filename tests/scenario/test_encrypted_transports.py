"""DNS over TLS, HTTPS and QUIC as real clients speak them, and updates that come only encrypted."""

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest
from messages import IN, question, record, update
from ports import free_port
from quic_client import framed, talk
from registry import SECRETS, SIGNED, Registry, change, run
from registry import A as TYPE_A
from service import eventually
from tools import need

from ddns.net import certificate as certificates
from ddns.verifier import dane

NAME = "ns1.hash.example."
QUESTION = dns.message.make_query("www.hash.example.", "A", id=0, flags=0).to_wire()
TYPE = ["-H", "content-type: application/dns-message"]
SETTINGS = """
[tls]
name = "{name}"
roll = 6
[tcp]
idle = 3.0
message = 1.0
unread = 1.0
[update]
transport = "encrypted"
[signer]
wait = 25.0
"""


class Encrypted(Registry):
    """The registry with all three encrypted transports, which takes updates only by those."""

    def __init__(self):
        super().__init__("--workers", "2", settings=SETTINGS.format(name=NAME))
        self.https = free_port()
        while self.https == self.port + 1:
            self.https = free_port()
        self.tls = free_port()
        self._options = (
            *self._options, "--tls", f"127.0.0.1:{self.tls}", "--https", f"127.0.0.1:{self.https}",
            "--quic", f"0.0.0.0:{self.tls}",
        )  # fmt: skip

    @property
    def files(self):
        """Return the paths of the certificate and key that the service has made itself."""
        return self.state / "tls" / "certificate.pem", self.state / "tls" / "key.pem"

    @property
    def pin(self):
        return certificates.load(*self.files)

    def send_by(self, transport, message):
        """Send a dnspython message by a transport and return the answer."""
        if transport == "tls":
            with client(self.tls) as sock:
                return (
                    dns.query.send_tcp(sock, message.to_wire())
                    and dns.query.receive_tcp(sock, keyring=message.keyring, request_mac=message.mac)[0]
                )
        if transport == "quic":
            message.id = 0  # RFC 9250 §4.2.1
            octets = talk(self.tls, lambda client: answer_to(client, message.to_wire()))
            return dns.message.from_wire(octets, keyring=message.keyring, request_mac=message.mac)
        (self.folder / "message").write_bytes(message.to_wire())
        curl = [need("curl"), "-sfk", *TYPE, "--data-binary", "@message", f"https://127.0.0.1:{self.https}/dns-query"]
        octets = subprocess.run(curl, cwd=self.folder, capture_output=True, timeout=60, check=True).stdout
        return dns.message.from_wire(octets, keyring=message.keyring, request_mac=message.mac)


async def answer_to(client, wire):
    client.write(0, framed(wire))
    await client.until(lambda: 0 in client.ended)
    return client.streams[0][2:]


@pytest.fixture(scope="module")
def service():
    running = Encrypted()
    try:
        running.set_up()
        running.start()
        for zone in SIGNED:
            eventually(lambda zone=zone: running.signed(zone))
        yield running
        running.stop()
    finally:
        running.remove()


def client(port, protocol="dot"):
    """Return a TLS connection that trusts anybody."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30))


def read(sock):
    """Return the next message of a stream, octet by octet where need be; b"" where it has ended."""
    with contextlib.suppress(ConnectionError):
        length = exactly(sock, 2)
        return exactly(sock, struct.unpack("!H", length)[0]) if length else b""
    return b""


def exactly(sock, count):
    octets = b""
    while len(octets) < count:
        piece = sock.recv(count - len(octets))
        if not piece:
            return b""
        octets += piece
    return octets


# -- questions


@pytest.mark.parametrize("words", [["kdig", "+tls"], ["dig", "+tls"]], ids=" ".join)
def test_dns_over_tls_clients_get_their_answers(service, words):
    said = run(words[0], "@127.0.0.1", "-p", service.tls, *words[1:], "www.hash.example.", "A", "+dnssec")

    assert "NOERROR" in said
    assert "192.0.2.1" in said
    assert "RRSIG" in said
    if words[0] == "kdig":
        assert "TLS session (TLS1.3)" in said


def test_a_client_that_was_told_the_key_trusts_it(service):
    """RFC 7858 §4.2: the pin of the key is enough; another one is refused by the client."""
    pinned = ["kdig", "@127.0.0.1", "-p", service.tls, "+tls", "www.hash.example.", "A"]

    assert "NOERROR" in run(*pinned, f"+tls-pin={service.pin.pin}")
    assert "failed" in run(*pinned, f"+tls-pin={base64.b64encode(bytes(32)).decode()}", "+retry=0", status=1)


@pytest.mark.parametrize(
    "words", [["kdig", "+https"], ["kdig", "+https-get"], ["dig", "+https"], ["dig", "+https-get"]], ids=" ".join
)
def test_dns_over_https_clients_get_their_answers(service, words):
    said = run(words[0], "@127.0.0.1", "-p", service.https, *words[1:], "www.hash.example.", "A")

    assert "NOERROR" in said
    assert "192.0.2.1" in said


def test_dns_over_quic_clients_get_their_answers(service):
    said = run("kdig", "@127.0.0.1", "-p", service.tls, "+quic", "www.hash.example.", "A")

    assert "QUIC session" in said
    assert "192.0.2.1" in said


def test_an_answer_by_quic_leaves_from_the_address_that_was_asked(service):
    """The socket is bound to all addresses; 127.0.0.2 is one of them."""
    said = run("kdig", "@127.0.0.2", "-p", service.tls, "+quic", "www.hash.example.", "A")

    assert f"From 127.0.0.2@{service.tls}(UDP)" in said


def test_many_questions_share_one_tls_connection(service):
    with client(service.tls) as sock:
        for ident in range(50):
            sock.sendall(framed(struct.pack("!H", ident) + QUESTION[2:]))
        idents = {struct.unpack("!H", read(sock)[:2])[0] for _ in range(50)}

    assert idents == set(range(50))


# -- TLS itself


def handshake(port, *words):
    """Return what `openssl s_client` says of a handshake."""
    command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *words]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-alpn", "dot"], "ALPN protocol: dot"),
        (["-alpn", "h2,dot"], "ALPN protocol: dot"),
        ([], "No ALPN negotiated"),
        (["-alpn", "h2"], "alert no application protocol"),
        (["-tls1_2"], "alert protocol version"),
    ],
    ids=["dot", "dot among others", "no ALPN", "another protocol", "TLS 1.2"],
)
def test_tls_1_3_and_dot_are_spoken_and_nothing_else(service, words, says):
    """RFC 9103 §8.1, RFC 8310; a client without ALPN is served, as RFC 7858 knows none."""
    said = handshake(service.tls, *words)

    assert says in said
    assert ("New, TLSv1.3" in said) is (says.startswith(("ALPN", "No ALPN")))


def test_https_offers_http_2_and_1_1_and_nothing_else(service):
    assert "ALPN protocol: h2" in handshake(service.https, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in handshake(service.https, "-alpn", "http/1.1")
    assert "alert no application protocol" in handshake(service.https, "-alpn", "dot")


# -- HTTPS itself

WHOLE = base64.urlsafe_b64encode(QUESTION).decode().rstrip("=")
UPDATE = base64.urlsafe_b64encode(update([question("hash.example.")])).decode().rstrip("=")
REQUESTS = {
    "GET": (["?dns=" + WHOLE], 200),
    "HEAD": (["?dns=" + WHOLE, "-I"], 200),
    "POST": (["", *TYPE, "--data-binary", "@question"], 200),
    "an answer for a question": (["", *TYPE, "--data-binary", "@answer"], 400),
    "POST of nothing": (["", *TYPE, "-d", ""], 400),
    "POST of half a header": (["", *TYPE, "-d", "12345678901"], 400),
    "POST of another type": (["", "-H", "content-type: text/plain", "--data-binary", "@question"], 415),
    "POST of a form": (["", "--data-binary", "@question"], 415),
    "POST of too much": (["", *TYPE, "--data-binary", "@big"], 413),
    "GET without a message": ([""], 400),
    "GET of two messages": ([f"?dns={WHOLE}&dns={WHOLE}"], 400),
    "GET with padding": (["?dns=AAAA="], 400),
    "GET of base64": (["?dns=+/+/"], 400),
    "GET of five characters": (["?dns=AAAAA"], 400),
    "GET of an update": (["?dns=" + UPDATE], 405),
    "PUT": (["?dns=" + WHOLE, "-X", "PUT"], 405),
    "another path": (["/more?dns=" + WHOLE], 404),
}


@pytest.mark.parametrize("version", ["--http2", "--http1.1"])
@pytest.mark.parametrize("case", REQUESTS)
def test_http_requests_get_the_status_that_they_deserve(service, case, version):
    """RFC 8484 §4.1, §6; RFC 9110 §15."""
    for name, octets in (("question", QUESTION), ("answer", QUESTION[:2] + b"\x80" + QUESTION[3:])):
        (service.folder / name).write_bytes(octets)
    (service.folder / "big").write_bytes(bytes(65536))
    (path, *words), status = REQUESTS[case]

    said = subprocess.run(
        [need("curl"), "-gsk", version, *words, "-o", "out", "-w", "%{json}",
         f"https://127.0.0.1:{service.https}/dns-query{path}"],
        cwd=service.folder, capture_output=True, timeout=60, check=True,
    ).stdout  # fmt: skip

    seen = json.loads(said)
    assert seen["http_code"] == status
    assert seen["content_type"] == ("application/dns-message" if status == 200 else "text/plain; charset=utf-8")
    assert seen["http_version"] == version.removeprefix("--http")


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("www.hash.example.", "A", "max-age=300"),
        ("hash.example.", "NS", "max-age=3600"),
        ("none.hash.example.", "A", "max-age=300"),  # the SOA's MINIMUM, RFC 2308 §5
        ("elsewhere.test.", "A", "no-store"),
    ],
)
def test_an_answer_may_be_cached_for_its_shortest_ttl(service, name, rdtype, expected):
    """RFC 8484 §5.1; an error is not kept at all."""
    wire = dns.message.make_query(name, rdtype, id=0).to_wire()
    text = base64.urlsafe_b64encode(wire).decode().rstrip("=")

    said = run("curl", "-sk", "-D-", "-o", "/dev/null", f"https://127.0.0.1:{service.https}/dns-query?dns={text}")

    assert f"cache-control: {expected}" in said.lower().splitlines()


# -- QUIC itself

BAD_STREAMS = {
    "a message id": framed(b"\0\1" + QUESTION[2:]),
    "a length that is too great": framed(QUESTION + b"\0")[:-1],
    "two questions": framed(QUESTION) * 2,
    "half a header": framed(QUESTION[:11]),
    "nothing": b"",
    "an answer": framed(QUESTION[:2] + b"\x80" + QUESTION[3:]),
    "edns-tcp-keepalive": framed(
        dns.message.make_query(
            "www.hash.example.", "A", id=0, use_edns=0, options=[dns.edns.GenericOption(11, b"")]
        ).to_wire()
    ),
    "more than a message": bytes(65538),
}
DOQ_PROTOCOL_ERROR = 2


@pytest.mark.parametrize("case", BAD_STREAMS)
def test_what_is_no_question_ends_the_quic_connection(service, case):
    """RFC 9250 §4.2, §4.2.1, §4.3.3, §5.5.2."""

    async def work(client):
        client.write(0, BAD_STREAMS[case])
        await client.until(lambda: client.closed_with is not None)
        return client.closed_with

    assert talk(service.tls, work) == DOQ_PROTOCOL_ERROR


def test_a_stream_of_one_direction_ends_the_quic_connection(service):
    async def work(client):
        client.write(2, framed(QUESTION))
        await client.until(lambda: client.closed_with is not None)
        return client.closed_with

    assert talk(service.tls, work) == DOQ_PROTOCOL_ERROR


def test_streams_are_answered_whatever_the_others_do(service):
    """One is left half written, one is reset, one asks in pieces; sixty others get their answers."""

    async def work(client):
        client.write(0, framed(QUESTION)[:10], end=False)
        client.write(4, framed(QUESTION)[:10], end=False)
        client._quic.reset_stream(4, 3)
        client.write(8, framed(QUESTION)[:20], end=False)
        for number in range(60):
            client.write(12 + 4 * number, framed(QUESTION))
        client.write(8, framed(QUESTION)[20:])
        wanted = {8, *(12 + 4 * number for number in range(60))}
        await client.until(lambda: wanted <= client.ended)
        return {client.streams[stream][4:6] for stream in wanted}

    assert talk(service.tls, work) == {b"\x84\x00"}


def test_a_quic_client_with_another_protocol_is_refused(service):
    with pytest.raises(ConnectionError):
        talk(service.tls, lambda client: client.ping(), alpn="h3")


def test_a_first_datagram_gets_less_than_it_sent(service):
    """Address validation comes before all else (RFC 9000 §8.1): a Retry, and nothing for what is short."""
    version_1 = b"\x00\x00\x00\x01"
    initial = b"\xc0" + version_1 + b"\x08" + bytes(8) + b"\x08" + bytes(8) + b"\x00\x44\x90"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", service.tls))
        sock.settimeout(20)
        sock.send(initial.ljust(1199, b"\0"))
        sock.send(b"\xc0" + b"\x1a\x2a\x3a\x4a" + initial[5:].ljust(1195, b"\0"))
        other_version = sock.recv(2048)
        sock.send(initial.ljust(1200, b"\0"))
        retry = sock.recv(2048)

    assert other_version[1:5] == bytes(4)
    assert retry[0] & 0xF0 == 0xF0
    assert max(len(other_version), len(retry)) < 300


# -- updates


@pytest.mark.parametrize("transport", ["tls", "https", "quic"])
def test_an_update_comes_encrypted(service, transport):
    message = change("hash.example.")
    message.add(f"{transport}.hash.example.", 60, "A", "192.0.2.77")

    answer = service.send_by(transport, message)

    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.had_tsig
    assert service.values(f"{transport}.hash.example.", "A") == ["192.0.2.77"]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_an_update_in_cleartext_is_refused_before_anything_is_verified(service, tcp):
    """The sentence says how to come back; questions are answered as ever."""
    wire = update([question("hash.example.")], updates=[record("clear.hash.example.", TYPE_A, IN, 60, bytes(4))])
    message = dns.message.from_wire(wire)
    message.use_edns(0)

    answer = service.send(message, tcp=tcp)

    assert answer.rcode() == dns.rcode.REFUSED
    (error,) = (one for one in answer.options if one.otype == dns.edns.OptionType.EDE)
    assert error.code == 18
    assert "port 853" in error.text
    assert service.values("clear.hash.example.", "A") == []
    assert service.values("www.hash.example.", "A") == ["192.0.2.1", "192.0.2.2"]


def test_a_wrong_secret_is_refused_encrypted_too(service):
    message = change("hash.example.", secret=SECRETS["k384"])
    message.add("no.hash.example.", 60, "A", "192.0.2.77")

    with pytest.raises(dns.tsig.PeerBadSignature):
        service.send_by("tls", message)


# -- clients that are slow, or worse


def test_clients_that_come_halfway_lose_their_own_connection_and_nobody_elses(service):
    """Silence, half a handshake, half a message, half a request, a reset: all end; others are answered."""
    silent = socket.create_connection(("127.0.0.1", service.tls), timeout=15)
    half = socket.create_connection(("127.0.0.1", service.tls), timeout=15)
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    dribbling = client(service.tls)
    dribbling.sendall(framed(QUESTION)[:9])
    plain = socket.create_connection(("127.0.0.1", service.port), timeout=15)
    plain.sendall(framed(QUESTION)[:1])
    resetting = socket.create_connection(("127.0.0.1", service.port), timeout=15)
    resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    resetting.sendall(framed(QUESTION) * 30)
    resetting.close()
    idle = client(service.tls)
    lingering = client(service.https, "http/1.1")
    lingering.sendall(b"POST /dns-query HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\nbegun")
    counting = client(service.https, "h2")
    counting.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    for _ in range(20):
        assert service.values("www.hash.example.", "A") == ["192.0.2.1", "192.0.2.2"]
        assert "192.0.2.1" in run("kdig", "@127.0.0.1", "-p", service.tls, "+tls", "+short", "www.hash.example.")

    for sock in (silent, half, dribbling, plain, idle, lingering):
        assert read(sock) == b""
        sock.close()
    with counting, contextlib.suppress(ConnectionError):
        while counting.recv(65536):  # HTTP/2 says good bye first
            pass


def test_a_client_that_never_reads_is_cut_off(service):
    """It asks on and on; what it leaves unread is bounded, and its time too."""
    asked = framed(dns.message.make_query("hash.example.", "DNSKEY", want_dnssec=True, id=0).to_wire()) * 200

    def ask_on():
        with socket.create_connection(("127.0.0.1", service.port), timeout=15) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            while True:
                sock.sendall(asked)

    with pytest.raises(ConnectionError):
        ask_on()

    assert service.values("www.hash.example.", "A") == ["192.0.2.1", "192.0.2.2"]


# -- the certificate and its TLSA records


def tlsa(service, port=None, protocol="tcp"):
    answer = service.answer(f"_{port or service.tls}._{protocol}.{NAME}", "TLSA", dnssec=True).answer
    return next((rrset for rrset in answer if rrset.rdtype == dns.rdatatype.TLSA), None)


def shown(service, port):
    with client(port) as sock:
        return sock.getpeercert(binary_form=True)


def test_the_service_publishes_its_own_tlsa_and_a_stranger_trusts_it_by_that(service):
    """Signed in the zone that holds the server's name; one for each transport (RFC 7671 §5.1)."""
    for port, protocol in ((service.tls, "tcp"), (service.https, "tcp"), (service.tls, "udp")):
        eventually(lambda port=port, protocol=protocol: tlsa(service, port, protocol))
    proof = service.answer(f"_{service.tls}._tcp.{NAME}", "TLSA", dnssec=True).answer

    verdict = dane.connect("127.0.0.1", service.tls, NAME, tlsa(service), request=framed(QUESTION))

    assert verdict.trusted, verdict.sentence
    assert verdict.reply[4:6] == b"\x84\x00"
    assert any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in proof)
    assert tlsa(service)[0].to_text() == f"3 1 1 {service.pin.digest.hex()}"


def test_a_new_key_is_published_first_and_then_shown_and_at_no_time_is_anybody_shut_out(service):
    """RFC 7671 §8.1, on a service that is not restarted; a broken file changes nothing."""
    eventually(lambda: tlsa(service))
    old, kept = service.pin, [path.read_bytes() for path in service.files]
    service.files[0].write_text("broken")
    eventually(lambda: "certificate.kept" in service.log.read_text())
    assert dane.connect("127.0.0.1", service.tls, NAME, tlsa(service)).trusted
    service.files[0].write_bytes(kept[0])
    fresh = certificates.make(service.folder / "fresh", NAME)
    new = certificates.load(*fresh)
    for path, target in zip(fresh, service.files, strict=True):
        path.replace(target)

    expected = new.chain[0].public_bytes(certificates.Encoding.DER)

    def rolled():
        records = tlsa(service)
        seen = {shown(service, service.tls) for _ in range(4)}
        assert all(dane.match(one, records).trusted for one in seen)
        return seen == {expected}

    eventually(rolled)

    async def peer(client):
        return client._quic.tls._peer_certificate

    eventually(lambda: talk(service.tls, peer) == new.chain[0])
    assert {one.cert for one in tlsa(service)} == {old.digest, new.digest}


# -- before anything starts


@pytest.mark.parametrize(
    ("words", "settings", "says"),
    [
        (["--tls", "127.0.0.1:53"], "", "DNS over TLS may not use port 53"),
        (["--quic", "127.0.0.1:53"], "", "DNS over QUIC may not use port 53"),
        ([], '[update]\ntransport = "encrypted"\n', "nothing here listens encrypted"),
        (["--tls", "here"], "", "'here' is no address to listen on"),
        (["--tls", "127.0.0.1:{taken}"], "", "choose another with --tls"),
    ],
    ids=["TLS on port 53", "QUIC on port 53", "only encrypted, and deaf", "no address", "an address that is taken"],
)
def test_what_cannot_work_does_not_start(service, words, settings, says):
    (service.folder / "bad.toml").write_text(settings)
    free = f"127.0.0.1:{free_port()}"

    said = service.ddns(
        "serve", "--config", service.folder / "bad.toml", "--listen", free,
        *(word.format(taken=service.tls) for word in words), status=2 if "here" in words else 1,
    )  # fmt: skip

    assert says in said
    assert len(said.splitlines()) == 1


def test_a_certificate_that_cannot_be_read_stops_the_start(service):
    """Rather than a worker that dies again and again."""
    (service.folder / "bad.toml").write_text('[tls]\ncertificate = "/nowhere/a.pem"\nkey = "/nowhere/b.pem"\n')

    said = service.ddns(
        "serve", "--config", service.folder / "bad.toml", "--listen", f"127.0.0.1:{free_port()}",
        "--tls", f"127.0.0.1:{free_port()}", "--state", service.folder / "other", status=1,
    )  # fmt: skip

    assert "/nowhere/a.pem cannot be read: No such file or directory." in said


@pytest.mark.parametrize("told", [True, False], ids=["by the invitation", "by the refusal"])
def test_a_gateway_speaks_to_such_a_registry_over_tls(service, tmp_path, told):
    """Its invitation says where, or the refusal has it try the port that everybody knows."""
    label = f"secret{'ab'[told]}"
    where = ["--zone", "hash.example", "--server", f"127.0.0.1:{service.port}"]
    printed = service.ddns("home", "invite", label, *where, *(["--tls", service.tls] if told else []))
    line = re.search(r"ddns://\S+", printed)[0]
    program = (
        f"import sys; from ddns.gateway import agent; agent.DOT_PORT = {service.tls};"
        "from ddns.cli import main; main(sys.argv[1:])"
    )

    def gateway(*words):
        command = [sys.executable, "-c", program, "gateway", *words, "--wait", "40"]
        environment = os.environ | {"DDNS_GATEWAY": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    enrolled = gateway("enrol", line)
    eventually(lambda: service.signed(f"{label}.hash.example."))  # by the other worker too
    published = gateway("publish", "cam", "--address", "192.0.2.77")

    assert enrolled.returncode == 0, enrolled.stderr
    assert published.returncode == 0, published.stderr
    assert service.values(f"cam.{label}.hash.example.", "A") == ["192.0.2.77"]
