"""DNS over TLS: records, handshakes, and what a client may offer. What TCP has been tested for is not repeated."""

from __future__ import annotations

import contextlib
import functools
import gc
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming import ANSWER, KNOWN, MESSAGE, Client, Server, framed
from twins import TWINS, need_twin

from ddns.net import certificate as certificates
from ddns.net import hello
from ddns.net.connections import BURST
from ddns.net.hello import RECORD
from ddns.net.tls import LONGEST, DotListener


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return two certificates."""
    folders = (tmp_path_factory.mktemp(name) for name in ("one", "other"))
    return [certificates.load(*certificates.make(folder, "ns1.example.")) for folder in folders]


@pytest.fixture(params=TWINS)
def begin(request, made):
    """Return what makes a `Server` for TLS that is let go of at the end."""
    need_twin(request.param)
    with contextlib.ExitStack() as stack:

        def begin(**limits: Any) -> Server:
            server = Server(request.param, functools.partial(DotListener, certificate=made[0]), **limits)
            stack.callback(server.end)
            return server

        yield begin


class TlsClient:
    """TLS over a connection, record by record."""

    def __init__(self, server: Server, *protocols: str, session: Any = None, versions: Any = ssl.TLSVersion.TLSv1_3):
        self.tcp: Client = server.connect()
        self.coming, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.context = session[0] if session else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.maximum_version = versions
        if protocols:
            self.context.set_alpn_protocols(list(protocols))
        self.tls = self.context.wrap_bio(self.coming, self.going, session=session[1] if session else None)

    def hello(self) -> bytes:
        """Return the records of the ClientHello."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.going.read()

    def shake(self) -> TlsClient:
        """Do the whole handshake."""
        self.tcp.say(self.hello())
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                break
            self.take()
        self.tcp.say(self.going.read())
        return self

    def take(self) -> None:
        """Take what has come from the server."""
        self.tcp.heard = b""
        self.coming.write(self.tcp.hear(1))

    def records(self, *plain: bytes) -> bytes:
        """Return one record for each of *plain*."""
        for one in plain:
            self.tls.write(one)
        return self.going.read()

    def hear(self, count: int) -> bytes:
        """Return the next *count* octets."""
        out = b""
        while len(out) < count:
            try:
                out += self.tls.read(count - len(out))
            except ssl.SSLWantReadError:
                self.take()
        return out


def test_questions_in_several_records_get_their_answers_in_one(begin):
    """What a message costs over TLS is mostly system calls, and records."""
    client = TlsClient(begin()).shake()
    client.tcp.say(client.records(*[framed(KNOWN)] * 5))

    with pytest.raises(ssl.SSLWantReadError):  # the session tickets
        client.tls.read(1)
    client.take()
    assert client.tls.read(10_000) == framed(ANSWER) * 5


def test_records_are_read_however_they_are_cut(begin):
    """One octet at a time gives the same as all at once, in the handshake too."""
    server = begin()
    client = TlsClient(server)
    server.listener.serve = lambda wire, _source, reply: reply(wire)
    for octet in client.hello():
        client.tcp.say(bytes((octet,)))
    client.shake()

    for octet in client.records(framed(KNOWN), framed(MESSAGE)[:9], framed(MESSAGE)[9:]):
        client.tcp.say(bytes((octet,)))

    expected = framed(ANSWER) + framed(MESSAGE)
    assert client.hear(len(expected)) == expected


def test_a_question_may_come_with_the_end_of_the_handshake(begin):
    """And another with the end of what the client has to say."""
    server = begin()
    client = TlsClient(server)
    client.tcp.say(client.hello())
    client.take()
    client.tls.do_handshake()
    client.tcp.say(client.records(framed(KNOWN)))
    assert client.hear(len(framed(ANSWER))) == framed(ANSWER)

    octets = client.records(framed(KNOWN))
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.tcp.say(octets + client.going.read())

    server.until(lambda: client.tcp.closed or not len(server.connections))
    assert len(client.tcp.hear(len(framed(ANSWER)))) > len(framed(ANSWER))


def test_who_has_asked_all_still_hears_the_answers(begin):
    """A close_notify ends one direction only (RFC 8446 §6.1)."""
    server = begin()
    client = TlsClient(server).shake()
    octets = client.records(framed(MESSAGE))
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.tcp.say(octets + client.going.read())
    assert len(server.connections) == 1

    server.taken[0][1](b"answer")

    client.tcp.heard = b""
    assert len(client.tcp.hear_all()) > len(framed(b"answer"))
    assert len(server.connections) == 0


def test_an_idle_client_is_told_that_the_connection_ends(begin):
    """By TLS too, so that it knows that nothing was cut off (RFC 8446 §6.1)."""
    server = begin(idle=3)
    client = TlsClient(server).shake()
    client.tcp.say(client.records(framed(KNOWN)))
    client.hear(len(framed(ANSWER)))
    client.tcp.heard = b""

    server.clock.pump([1] * 3)

    client.coming.write(client.tcp.hear_all())
    assert client.tls.read(1) == b""


def test_a_handshake_has_a_time_of_its_own(begin):
    server = begin(idle=1000, handshake=5)
    client = TlsClient(server)
    client.tcp.say(client.hello()[:-1])
    assert server.connections.held == len(client.tcp.ours._part)

    server.clock.pump([1] * 5)

    assert len(server.connections) == 0
    assert server.connections.held == 0


def test_a_record_has_a_time_of_its_own_too(begin):
    """And as much of it as has come is counted."""
    server = begin(idle=1000, message=5)
    client = TlsClient(server).shake()
    client.tcp.say(client.records(framed(bytes(4000)))[:3000])
    assert server.connections.held == 3000

    server.clock.pump([1] * 5)

    assert len(server.connections) == 0
    assert server.connections.held == 0


def test_handshakes_of_one_client_are_rationed(begin):
    """They cost the CPU far more than a question does."""
    server = begin(handshakes=1)

    assert [server.connect() is not None for _ in range(BURST + 1)] == [True] * BURST + [False]
    assert server.connect("127.0.0.2") is not None


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\n\r\n", framed(KNOWN), b"\x16\x03\x01\xff\xff", b"\x17\x03\x03\0\x01\0", bytes(RECORD)],
    ids=["HTTP", "DNS over TCP", "too long", "no handshake", "nothing"],
)
def test_what_is_not_tls_ends_the_connection(begin, octets):
    server = begin()
    client = server.connect()

    client.say(octets)

    server.until(lambda: len(server.connections) == 0)
    assert client.closed or client.hear(1)[0] == 21  # an alert


def test_a_record_that_was_changed_ends_the_connection(begin):
    """And the client is told (RFC 8446 §5.2)."""
    server = begin()
    client = TlsClient(server).shake()
    octets = bytearray(client.records(framed(KNOWN)))
    octets[-1] ^= 1
    client.tcp.heard = b""

    client.tcp.say(octets)

    client.coming.write(client.tcp.hear_all())
    with pytest.raises(ssl.SSLError, match="alert bad record mac"):
        client.tls.read(1)
    assert server.taken == []


def test_a_record_that_is_too_long_ends_the_connection(begin):
    """Without waiting for the rest of it (RFC 8446 §5.2)."""
    server = begin()
    client = TlsClient(server).shake()

    client.tcp.say(b"\x17\x03\x03" + (LONGEST - RECORD + 1).to_bytes(2, "big"))
    client.tcp.say(bytes(100))

    server.until(lambda: len(server.connections) == 0)


@pytest.mark.parametrize(
    ("protocols", "chosen"), [((), None), (("dot",), "dot"), (("h2", "dot"), "dot"), (("h2", "http/1.1"), "")]
)
def test_who_offers_other_protocols_only_is_refused(begin, protocols, chosen):
    """RFC 7301 §3.2; who offers none is served."""
    server = begin()
    client = TlsClient(server, *protocols)

    if chosen == "":
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            client.shake()
        assert client.tcp.closed
        assert len(server.connections) == 0
    else:
        assert client.shake().tls.selected_alpn_protocol() == chosen


def test_tls_1_2_is_not_spoken(begin):
    client = TlsClient(begin(), versions=ssl.TLSVersion.TLSv1_2)

    with pytest.raises(ssl.SSLError, match="protocol version"):
        client.shake()


def test_a_client_that_comes_back_needs_no_certificate(begin):
    """Resumption by a ticket (RFC 8446 §2.2)."""
    server = begin()
    first = TlsClient(server).shake()
    first.tcp.say(first.records(framed(KNOWN)))
    first.hear(len(framed(ANSWER)))

    again = TlsClient(server, session=(first.context, first.tls.session)).shake()

    assert not first.tls.session_reused
    assert again.tls.session_reused


def test_the_certificate_changes_with_the_next_handshake(begin, made):
    """And not for connections that are open; nothing of it is left in the file system."""
    server = begin()
    before = TlsClient(server).shake()
    gc.collect()  # what others left open may not go meanwhile
    descriptors = len(list(Path("/proc/self/fd").iterdir()))

    server.listener.use(made[1])
    after = TlsClient(server).shake()
    before.tcp.say(before.records(framed(KNOWN)))

    shown = [client.tls.getpeercert(binary_form=True) for client in (before, after)]
    assert shown == [one.chain[0].public_bytes(certificates.Encoding.DER) for one in made]
    assert before.hear(len(framed(ANSWER))) == framed(ANSWER)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors + 2  # the two ends of the new connection


# -- what a client offers, before OpenSSL sees it


def client_hello(*protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    going = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), going, server_hostname="ns1.example").do_handshake()
    return going.read()


def recut(records: bytes, size: int) -> bytes:
    """Return the same handshake message in records of *size* octets."""
    held = records[RECORD:]
    pieces = [held[at : at + size] for at in range(0, len(held), size)]
    return b"".join(records[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("size", [1, 3, 4, 100, 16_384])
def test_what_is_offered_is_read_however_the_message_is_cut(size):
    """A ClientHello may stand in many records (RFC 8446 §5.1)."""
    records = recut(client_hello("h2", "dot"), size)

    assert hello.offered(records) == (b"h2", b"dot")
    assert hello.offered(recut(client_hello(), size)) == ()


def test_a_hello_is_waited_for_until_it_is_whole():
    whole = client_hello("dot")

    for end in range(len(whole)):
        part = whole[RECORD:end]
        assert not hello.offered(whole[:3] + len(part).to_bytes(2, "big") + part)


def test_a_hello_that_is_too_long_is_not_waited_for():
    """OpenSSL will refuse it."""
    piece = b"\x16\x03\x01\x10\0\x01\0\xff\xff" + bytes(4092)

    assert hello.offered(piece) == ()
    assert hello.offered((b"\x16\x03\x01\0\0") * (hello.LARGEST // RECORD + 1)) == ()


@given(st.binary(max_size=300), st.integers(0, 600))
def test_no_hello_whatever_raises(junk, at):
    """Neither junk nor a hello with junk in it."""
    whole = client_hello("dot")

    for octets in (junk, b"\x16\x03\x01" + len(junk).to_bytes(2, "big") + junk, whole[:at] + junk + whole[at:]):
        assert isinstance(hello.offered(octets), tuple | None)
