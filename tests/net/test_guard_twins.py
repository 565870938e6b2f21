"""Cookies, response rate limiting and counters: both twins of the UDP reader say, limit and count the same."""

from __future__ import annotations

import contextlib
import socket
import struct
import types

import pytest
from arriving import Probe
from asking import query
from hypothesis import given, settings
from hypothesis import strategies as st
from published import image
from twins import TWINS, answerer

from ddns.answer import counters, siphash
from ddns.answer.cookied import Cookied, find
from ddns.answer.cookies import Cookies, Verdict
from ddns.answer.options import About, Options
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.answer.twin import NATIVE
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.net import udp
from ddns.net.reply import StreamReply, counted

NOW = 1_900_000_000 // 86400 * 86400 + 1000  # yesterday's cookies are still good
CLIENT = b"8 octets"
HOSTS = {"127.0.0.1": ("127.0.0.1", "127.0.0.2", "127.0.9.1"), "::1": ("::1",)}
ZONE = """$TTL 300
@ SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
big TXT {filler}
cut NS ns.cut
ns.cut A 192.0.2.11
""".replace("{filler}", " ".join(['"' + "b" * 200 + '"'] * 5))
NAMES = ("www.example.", "WWW.Example.", "big.example.", "x.cut.example.", "nowhere.example.", "elsewhere.")
FIXED = (b"the first secret", b"the other secret")
AGENT = About(report=names.from_text("reports.agent.test."))


class Server:
    """A reader of one twin on *host*, whose time is *now*, and what it answers to whoever asks from one of `HOSTS`."""

    def __init__(self, twin, host, limits, fixed=(), about=None):
        self.now = float(NOW)
        self.cookies = Cookies(b"s" * 32, fixed)
        self.table = Table(options=Options(about).report)
        self.table.install(image(ZONE, "example."))
        self.responder = Responder(self.table, Options(about, self.cookies, lambda: self.now))
        self.cookied = Cookied(self.table, self.cookies)
        self.rrl = Rrl(limits, self.cookies, counters.Counters())
        answers = answerer(twin, self.table, self.rrl)  # first: without such a twin the test ends here
        self.quick = 0
        with contextlib.ExitStack() as opened:
            self.probe = Probe()
            opened.callback(self.probe.close)
            self.clients = {one: opened.enter_context(bound(one)) for one in HOSTS[host]}
            self.reader = udp.reader(opened.enter_context(bound(host)), answers, self.slow, self.rrl)
            opened.pop_all()

    def slow(self, wire, peer, reply):
        """Do as the worker does."""
        self.quick -= 1
        now = int(self.now)
        answer = self.cookied.answer(wire, peer[0], now)
        reply(answer or self.responder.respond(wire, Asker(Transport.UDP, peer[0])) or b"")

    def ask(self, host, *wires):
        """Return what is answered to *wires* from *host*, which all wait when the reader gets its turn."""
        for wire in wires:
            self.quick += 1
            self.clients[host].sendto(wire, self.reader.bound)
        self.probe.arrived()
        self.reader.doRead()
        self.probe.arrived()
        out = []
        with contextlib.suppress(BlockingIOError):
            while True:
                out.append(self.clients[host].recv(4096))
        return out

    @property
    def numbers(self):
        return self.rrl.counters.numbers

    def close(self):
        self.reader.connectionLost(None)
        self.probe.close()
        for client in self.clients.values():
            client.close()


def bound(host):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((host, 0))
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def servers(*twins, host="127.0.0.1", limits=None, fixed=(), about=None):
    """Yield a server of each of *twins*; the readers' clock is that of the first."""
    made = []
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as closing:
        for twin in twins:
            made.append(Server(twin, host, limits or RrlLimits(answers=0), fixed, about))
            closing.callback(made[-1].close)
        patch.setattr(udp, "time", types.SimpleNamespace(time=lambda: made[0].now))
        yield made


def asked(name, cookie=None, payload=1232, *, do=False, ident=1):
    """Return a question whose OPT record holds *cookie* where there is one."""
    opt = b"" if cookie is None else struct.pack("!HH", 10, len(cookie)) + cookie
    bare = query(name, edns=False, ident=ident)
    opt = b"\0" + struct.pack("!HHIH", 41, payload, 0x8000 if do else 0, len(opt)) + opt
    return bare[:11] + b"\1" + bare[12:] + opt


def shown(server, host):
    """Return cookies of all kinds, as *host* may show them."""
    now, cookies = int(server.now), server.cookies
    fresh = cookies.renew(CLIENT, host, now)
    return [
        None, b"", CLIENT, CLIENT[:7], fresh, fresh[:-1], fresh + b"\0", fresh[:-1] + b"x",
        fresh[:8] + b"\2" + fresh[9:],
        *(cookies.renew(CLIENT, host, now + ago) for ago in (300, 301, -1800, -1801, -3600, -3601)),
        cookies.renew(CLIENT, "198.51.100.1", now), fresh[:9] + b"abc" + fresh[12:], bytes(24),
    ]  # fmt: skip


questions = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(NAMES),
        st.integers(0, 17),
        st.sampled_from((0, 512, 600, 1100, 1152, 1200, 1232, 4096)),
        st.booleans(),
        st.sampled_from((0, 0, 0, 0.2, 1, 2.5, 2000, 86400, -1)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(HOSTS)),
    st.sampled_from(((), FIXED[:1], FIXED)),
    questions,
    st.booleans(),
    st.sampled_from((0, 2, 50)),
)
def test_both_twins_answer_limit_and_count_the_same(host, fixed, steps, talkative, rate):
    """Any cookies at any time, below and over the limits, with and without room in the datagram."""
    about = AGENT if talkative else None
    limits = RrlLimits(answers=rate, errors=2, every=max(rate, 4), exempt=(), slip=2)
    with servers(*TWINS, host=host, limits=limits, fixed=fixed, about=about) as (pure, native):
        for number, (at, name, kind, payload, do, later) in enumerate(steps):
            pure.now = native.now = pure.now + later
            source = HOSTS[host][at % len(HOSTS[host])]
            wire = asked(name, shown(pure, source)[kind], payload, do=do, ident=number)

            for _ in range(3):  # the first teaches the table the name, the second the sender's OPT
                assert pure.ask(source, wire) == native.ask(source, wire)

        pure.numbers[counters.HANDED] = native.numbers[counters.HANDED]  # each learns in its own way whom it knows
        assert pure.numbers == native.numbers


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("twin", TWINS)
def test_a_question_with_a_cookie_is_answered_without_python(twin, host):
    """Its own half as `dig` sends it, and the whole that it got: nothing is handed over once both are known."""
    with servers(twin, host=host) as (server,):
        first = server.ask(host, asked("www.example.", CLIENT))[0]
        whole = find(first)
        for cookie in (CLIENT, whole):
            server.ask(host, *[asked("www.example.", cookie)] * 2)
        server.quick = 0

        answers = server.ask(host, asked("www.example.", CLIENT), asked("WWW.example.", whole))

        assert server.quick == 2
        assert server.cookies.judge(find(answers[0]), host, NOW) == Verdict.GOOD
        assert find(answers[1]) == whole


@pytest.mark.parametrize("twin", TWINS)
def test_who_sends_all_kinds_of_opt_records_keeps_nobody_off_the_hot_path(twin):
    """What is known of senders is forgotten where it is too much, and comes back, cookies or not."""
    with servers(twin) as (server,):
        wires = [asked("www.example.", cookie) for cookie in (None, CLIENT)]
        for payload in range(1, 4200):
            server.table.opt(asked("www.example.", payload=payload)[-11:])
        for wire in wires * 3:
            server.ask("127.0.0.1", wire)
        for payload in range(1, 4200):
            server.table.opt(asked("www.example.", payload=payload)[-11:])
        assert len(server.table.beginnings) == 0
        for wire in wires * 3:
            server.ask("127.0.0.1", wire)
        server.quick = 0

        assert [len(server.ask("127.0.0.1", wire)) for wire in wires] == [1, 1]
        assert server.quick == 2


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("twin", TWINS)
def test_a_cookie_beside_a_name_that_does_not_exist_needs_no_python(twin, do):
    """What is said of such names is put together by both twins, and a cookie changes nothing about that."""
    with servers(twin) as (server,):
        for label in ("one", "two", "three"):
            server.ask("127.0.0.1", asked(f"{label}.example.", CLIENT, do=do))
        server.quick = 0

        wire = asked("four.example.", CLIENT, do=do)
        answer = server.ask("127.0.0.1", wire)

        assert server.quick == 1
        assert answer == [server.responder.respond(wire, Asker(Transport.UDP, "127.0.0.1"))]
        assert answer[0][3] & 15 == 3


@pytest.mark.parametrize("twin", TWINS)
def test_answers_of_the_table_and_others_count_in_the_same_cells(twin):
    """Five answers in all, however they were found, and five more from another address of the network are none."""
    with servers(twin, limits=RrlLimits(answers=5, errors=5, every=0, slip=0, exempt=())) as (server,):
        known, other = asked("www.example."), asked("big.example.", payload=4096)
        server.responder.respond(known, Asker(Transport.UDP, "127.0.0.1"))

        # Five in the first second's cell; then each kind has its account.
        sent = [len(server.ask("127.0.0.1", wire)) for wire in (known, other, known, other, known)]
        server.ask("127.0.0.2", *[known] * 5)

        assert sent == [1] * 5
        assert len(server.ask("127.0.0.2", *[known] * 20)) == 0
        assert (server.numbers[counters.DROPPED], server.rrl.dropped) == (20, 20)


@pytest.mark.parametrize("twin", TWINS)
def test_everything_is_counted_once(twin):
    """What came, what was handed over, the answers by RCODE, and what was limited."""
    with servers(twin, limits=RrlLimits(answers=8, errors=8, every=0, slip=2, exempt=())) as (server,):
        known = asked("www.example.")
        server.responder.respond(known, Asker(Transport.UDP, "127.0.0.1"))

        server.ask("127.0.0.1", b"short", *[known] * 3, asked("elsewhere."), asked("www.example.", b"1"))
        server.now += 10
        server.ask("127.0.0.1", *[known] * 20)

        numbers = server.numbers
        assert numbers[counters.RECEIVED] == 26
        assert numbers[counters.HANDED] == 2
        assert (numbers[0], numbers[1], numbers[5]) == (3 + 16 + 2, 1, 1)
        assert (numbers[counters.DROPPED], numbers[counters.SLIPPED], numbers[counters.TRUNCATED]) == (2, 2, 2)
        assert server.rrl.counters.line() == (
            "datagrams=26 handed_over=2 streamed=0 truncated=2 dropped=2 slipped=2 noerror=21 formerr=1 refused=1"
        )


def test_where_networks_find_no_room_both_twins_share_cells():
    """A full table of addresses does not switch the limit off."""
    limits = RrlLimits(answers=2, errors=2, every=0, slip=0, exempt=(), table=1)
    with servers(*TWINS, limits=limits) as (pure, native):
        known = asked("www.example.")
        for server in (pure, native):
            server.responder.respond(known, Asker(Transport.UDP, "127.0.0.1"))
        for host in HOSTS["127.0.0.1"] * 2:
            answers = len(pure.ask(host, *[known] * 40))

            assert answers == len(native.ask(host, *[known] * 40)) <= 2 + 2
            assert max(len(pure.rrl), len(native.rrl)) <= 5 + 1024


@pytest.mark.parametrize("twin", TWINS)
def test_the_secret_of_a_day_ends_with_it(twin):
    """Over midnight yesterday's cookie is good for its hour, and gives way to one of today after half of it."""
    with servers(twin) as (server,):
        server.now = NOW // 86400 * 86400 - 10.0
        wire = asked("www.example.", CLIENT)
        before = find([server.ask("127.0.0.1", wire) for _ in range(3)][-1][0])
        whole = asked("www.example.", before)

        for later, kept in ((20, True), (1780, True), (1, False), (90000, False)):
            server.now += later
            answer = [server.ask("127.0.0.1", whole) for _ in range(3)][-1][0]
            assert (find(answer) == before) is kept
            assert server.cookies.judge(find(answer), "127.0.0.1", int(server.now)) == Verdict.GOOD


@settings(max_examples=300)
@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=80))
def test_both_twins_hash_the_same(key, message):
    """SipHash-2-4 of any octets."""
    assert siphash.siphash24(key, message) == siphash.pure_siphash24(key, message)


def test_the_native_hash_takes_keys_of_16_octets_only():
    """As there are no others."""
    if NATIVE is not None:
        for size in (0, 15, 17):
            with pytest.raises(ValueError, match="16 octets"):
                NATIVE.siphash24(bytes(size), b"")


@pytest.mark.parametrize("twin", TWINS)
def test_messages_of_a_stream_are_counted_with_their_answers(twin):
    """Those that are known at once; the first that is not is not taken."""
    with servers(twin) as (server,):
        known = asked("www.example.")
        server.responder.respond(known, Asker(Transport.UDP, "127.0.0.1"))
        framed = [len(wire).to_bytes(2, "big") + wire for wire in (known, known, asked("big.example."))]

        _, at = answerer(twin, server.table, server.rrl).frames(b"".join(framed), 0)

        assert at == 2 * len(framed[0])
        assert (server.numbers[counters.STREAMED], server.numbers[0], sum(server.numbers)) == (2, 2, 4)


class Transfer:
    """A reply of several messages."""

    def __init__(self):
        self.sent = []

    def __call__(self, octets):
        self.sent.append(octets)

    def more(self, octets):
        self.sent.append(octets)

    async def room(self):
        return True

    def abort(self):
        self.sent.append("aborted")


def test_a_counted_reply_can_do_what_it_could_before():
    """A transfer sends several messages, an HTTPS client gets one."""
    found, inner, single = counters.Counters(), Transfer(), []
    transfer = counted(inner, found)
    answer = b"\0\1\x84\0" + bytes(8)

    transfer.more(answer)
    transfer(answer)
    transfer.abort()
    plain = counted(single.append, found)
    plain(answer)
    plain(b"")

    assert isinstance(transfer, StreamReply)
    assert not isinstance(plain, StreamReply)
    assert (inner.sent, single) == ([answer, answer, "aborted"], [answer, b""])
    assert found.numbers[0] == 3
