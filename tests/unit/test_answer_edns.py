"""EDNS options in answers: each only to who asked, as its RFC says, and never at the cost of the answer."""

import struct

import dns.edns
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import pytest
from asking import UDP, ede, header, query, rcode, read, tc
from published import image

from ddns.answer.cookied import Cookied, bad_cookie, find
from ddns.answer.cookies import Cookies, Verdict
from ddns.answer.options import About, Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.asker import Asker as Sender
from ddns.dns.asker import Transport
from ddns.dns.codes import Ede, EdnsOption

ZONE = """$TTL 300
@ SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
cut NS ns1.other.
alias CNAME example.
big TXT {filler}
wide TXT {wide}
""".replace("{filler}", " ".join(['"' + "b" * 200 + '"'] * 4)).replace("{wide}", " ".join(['"' + "w" * 232 + '"'] * 5))
AGENT = names.from_text("reports.agent.test.")
NOW = 1_900_000_000
CLIENT = b"12345678"
COOKIES = Cookies(bytes(32))


def option(code, octets=b""):
    return dns.edns.GenericOption(code, octets)


def cookie(octets=CLIENT):
    return option(EdnsOption.COOKIE, octets)


class Server:
    """A responder that has something to say of itself, and the paths beside it."""

    def __init__(self, about=None, cookies=COOKIES):
        self.now = NOW
        self.options = Options(about, cookies, lambda: self.now)
        self.table = Table(options=self.options.report)
        self.table.install(image(ZONE, "example."))
        self.responder = Responder(self.table, self.options)
        self.cookied = Cookied(self.table, cookies or COOKIES)

    def wire(self, message, transport=Transport.UDP, source=UDP.source):
        """Return the answer's octets; the quick paths may only say the same or nothing."""
        answer = self.responder.respond(message, Sender(transport, source))
        if transport == Transport.UDP:
            assert self.table.lookup(message) in (None, answer)
            if self.options.cookies is not None:
                for _ in range(2):  # the first may teach the table the sender's OPT
                    assert self.cookied.answer(message, source, self.now) in (None, answer)
        return answer

    def __call__(self, name="www.example.", rdtype="A", *options, transport=Transport.UDP, **how):
        return read(self.wire(query(name, rdtype, options=options, **how), transport))


FULL = About(nsid=b"ns1", identity="id one", version="v 2", report=AGENT, idle=12.34)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def full():
    return Server(FULL)


def codes(message):
    return [int(one.otype) for one in message.options]


def data(message, code):
    found = [one for one in message.options if one.otype == code]
    return found[0].to_wire() if len(found) == 1 else None


# ---- cookies (RFC 7873) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("www.example.", "NOERROR"),
        ("nowhere.example.", "NXDOMAIN"),
        ("x.cut.example.", "NOERROR"),
        ("elsewhere.", "REFUSED"),
    ],
)
def test_a_client_cookie_is_answered_with_a_whole_one(server, name, code):
    message = server(name, "A", cookie())

    assert rcode(message) == code
    made = data(message, EdnsOption.COOKIE)
    assert (len(made), made[:8]) == (24, CLIENT)
    assert COOKIES.judge(made, UDP.source, NOW) == Verdict.GOOD


def test_a_good_cookie_comes_back_and_an_old_one_is_renewed(server):
    made = data(server("www.example.", "A", cookie()), EdnsOption.COOKIE)

    assert data(server("www.example.", "A", cookie(made)), EdnsOption.COOKIE) == made
    server.now += 1801
    renewed = data(server("www.example.", "A", cookie(made)), EdnsOption.COOKIE)
    assert renewed != made
    assert COOKIES.judge(renewed, UDP.source, server.now) == Verdict.GOOD


@pytest.mark.parametrize("size", [16, 17, 24, 32, 40])
def test_a_bad_cookie_is_like_none_but_for_the_good_one_in_the_answer(server, size):
    """RFC 7873 §5.2.4: with nothing that presses, the question is answered."""
    message = server("www.example.", "A", cookie(bytes(size)))

    assert (rcode(message), len(message.answer)) == ("NOERROR", 1)
    assert COOKIES.judge(data(message, EdnsOption.COOKIE), UDP.source, NOW) == Verdict.GOOD


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 41, 100])
def test_a_cookie_of_another_length_is_a_format_error(server, size):
    """RFC 7873 §5.2.2; a malformed cookie is not answered with one."""
    message = server("www.example.", "A", cookie(bytes(size)))

    assert (rcode(message), message.answer) == ("FORMERR", [])
    assert ede(message) == (Ede.OTHER, "A cookie has 8 octets, or 16 to 40. [question-malformed]")
    assert codes(message) == [EdnsOption.EDE]


def test_of_several_cookies_the_first_counts(server):
    """RFC 7873 §5.2."""
    message = server("www.example.", "A", cookie(b"a" * 8), cookie(b"bad"), cookie(b"b" * 8))

    assert rcode(message) == "NOERROR"
    assert data(message, EdnsOption.COOKIE)[:8] == b"a" * 8


def test_without_cookies_the_option_is_ignored():
    message = Server(cookies=None)("www.example.", "A", cookie(b"bad"))

    assert (rcode(message), message.options) == ("NOERROR", ())


def bare(*options, **how):
    """Return a query without a question."""
    message = query("example.", options=options, **how)
    return message[:4] + b"\0\0" + message[6:12] + message[12 + len(b"\x07example\0") + 4 :]


def test_a_query_for_nothing_but_a_cookie_is_answered(server):
    """RFC 7873 §5.4: NOERROR to a client's cookie and to a good one, BADCOOKIE to a bad one."""
    first = read(server.wire(bare(cookie())))
    made = data(first, EdnsOption.COOKIE)
    good = read(server.wire(bare(cookie(made))))
    bad = read(server.wire(bare(cookie(bytes(24)))))

    assert [rcode(one) for one in (first, good, bad)] == ["NOERROR", "NOERROR", "BADCOOKIE"]
    assert data(good, EdnsOption.COOKIE) == made
    assert COOKIES.judge(data(bad, EdnsOption.COOKIE), UDP.source, NOW) == Verdict.GOOD
    for one in (first, good, bad):
        assert header(one.to_wire())[2:] == (0, 0, 0, 1)


def test_a_query_for_nothing_at_all_is_a_format_error(server):
    assert rcode(read(server.wire(bare()))) == "FORMERR"
    assert rcode(read(server.wire(bare(cookie(b"short"))))) == "FORMERR"
    assert rcode(read(server.wire(bare(cookie()) + b"x"))) == "FORMERR"
    assert rcode(read(server.wire(bare(edns=False)))) == "FORMERR"
    assert rcode(read(Server(cookies=None).wire(bare(cookie())))) == "FORMERR"


def test_badcookie_gives_those_who_sent_a_cookie_a_good_one(server):
    """RFC 7873 §5.2.3: what is answered under load."""
    for how in ({}, {"do": True, "flags": 0x0100}):
        asked = query("wWw.example.", options=[cookie()], **how)
        instead = bad_cookie(server.wire(asked))
        message = read(instead)
        assert (rcode(message), message.answer) == ("BADCOOKIE", [])
        assert instead[12:25] == asked[12:25]
        assert message.ednsflags & 0xFFFF == (0x8000 if how else 0)
        assert message.flags & 0x0FF0 == (0x0100 if how else 0)
        assert COOKIES.judge(data(message, EdnsOption.COOKIE), UDP.source, NOW) == Verdict.GOOD
        assert len(instead) == len(asked) + 16
    alone = read(bad_cookie(server.wire(bare(cookie()))))
    assert (rcode(alone), alone.question) == ("BADCOOKIE", [])
    assert bad_cookie(server.wire(query("www.example."))) is None
    assert bad_cookie(server.wire(query("www.example.", edns=False))) is None


def test_who_shows_a_good_cookie_is_verified(server):
    made = data(server("www.example.", "A", cookie()), EdnsOption.COOKIE)
    asker = server.cookied.asker

    assert asker(query("x.example.", options=[cookie(made)]), UDP.source, NOW).verified
    assert asker(query("x.example.", options=[option(65001, b"x"), cookie(made)]), UDP.source, NOW).verified
    assert asker(query("x.example.", options=[cookie(made), option(65001, b"x")]), UDP.source, NOW).verified
    assert not asker(query("x.example.", options=[cookie(made)]), "192.0.2.2", NOW).verified
    assert not asker(query("x.example.", options=[cookie()]), UDP.source, NOW).verified
    assert not asker(query("x.example."), UDP.source, NOW).verified
    assert not asker(b"\0" * 12, UDP.source, NOW).verified


def test_a_cookie_is_found_in_updates_too_and_broken_messages_have_none():
    message = dns.message.from_wire(query("example.", "SOA", options=[cookie()]))
    update = b"\x12\x34\x28\0" + message.to_wire()[4:]

    assert find(update) == CLIENT
    assert find(update[:-1]) == b""
    assert find(query("example.", options=[option(EdnsOption.NSID)])) == b""


# ---- the quick way for cookies -------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"do": True}, {"payload": 512}, {"payload": 4096}, {"flags": 0x0120}])
@pytest.mark.parametrize("about", [None, FULL], ids=["plain", "full"])
def test_a_question_with_a_cookie_goes_the_quick_way(how, about):
    server = Server(about)
    made = COOKIES.renew(CLIENT, UDP.source, NOW)

    for octets in (CLIENT, made, bytes(24)):
        message = query("www.example.", options=[cookie(octets)], **how)
        answer = server.wire(message)
        assert server.cookied.answer(message, UDP.source, NOW) == answer
        assert COOKIES.judge(data(read(answer), EdnsOption.COOKIE), UDP.source, NOW) == Verdict.GOOD


def test_what_fits_only_without_a_cookie_is_left_to_the_responder(server):
    """The answer and the cookie must fit into what the asker takes, to the octet."""
    server("wide.example.", "TXT")
    message = query("wide.example.", "TXT", options=[cookie()])
    size = len(server.wire(query("wide.example.", "TXT")))
    assert 1232 - 28 < size <= 1232

    answer = server.wire(message)

    assert tc(read(answer))
    assert data(read(answer), EdnsOption.COOKIE) is not None
    for payload in range(820, 900):
        server.wire(query("big.example.", "TXT", options=[cookie()], payload=payload))


@pytest.mark.parametrize(
    "message",
    [
        query("www.example.", options=[option(EdnsOption.NSID), cookie()]),
        query("www.example.", options=[cookie(), cookie()]),
        query("www.example.", "MX", options=[cookie()]),
        query("www.example.", options=[cookie(bytes(32))]),
        b"\0" * 12 + query("www.example.", options=[cookie()])[-23:],
        query("www.example.", options=[cookie()])[-23:],
    ],
)
def test_everything_else_goes_the_long_way(server, message):
    server("www.example.")
    server.wire(query("www.example.", options=[cookie()]))

    assert server.cookied.answer(message, UDP.source, NOW) is None


# ---- NSID, CHAOS, Report-Channel -----------------------------------------------------------------


def test_nsid_is_told_to_those_who_ask(full, server):
    """RFC 5001 §2.2: what the question's option holds does not matter."""
    for octets in (b"", b"whatever"):
        assert data(full("www.example.", "A", option(EdnsOption.NSID, octets)), EdnsOption.NSID) == b"ns1"
    assert EdnsOption.NSID not in codes(full())
    assert EdnsOption.NSID not in codes(server("www.example.", "A", option(EdnsOption.NSID)))
    assert data(full("elsewhere.", "A", option(EdnsOption.NSID)), EdnsOption.NSID) == b"ns1"


def chaos(name, rdtype="TXT", **how):
    message = dns.message.make_query(name, rdtype, rdclass="CH", **how)
    message.flags = 0
    return message.to_wire()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("id.server.", "id one"),
        ("HOSTNAME.bind.", "id one"),
        ("version.server.", "v 2"),
        ("version.bind.", "v 2"),
    ],
)
def test_the_server_says_who_it_is_where_that_is_set(full, server, name, text):
    """RFC 4892 §2."""
    for rdtype in ("TXT", "ANY"):
        message = read(full.wire(chaos(name, rdtype)))
        assert rcode(message) == "NOERROR"
        assert [str(rdata) for rrset in message.answer for rdata in rrset] == [f'"{text}"']
        assert message.answer[0].rdclass == dns.rdataclass.CH
        assert message.answer[0].ttl == 0
    refused = read(server.wire(chaos(name, use_edns=0)))
    assert rcode(refused) == "REFUSED"
    assert ede(refused)[0] == Ede.NOT_SUPPORTED


@pytest.mark.parametrize(("name", "rdtype"), [("authors.bind.", "TXT"), ("id.server.", "A"), ("example.", "SOA")])
def test_nothing_else_is_in_class_chaos(full, name, rdtype):
    assert rcode(read(full.wire(chaos(name, rdtype)))) == "REFUSED"


def test_resolvers_are_told_where_to_report(full, server):
    """RFC 9567 §6.1: unasked, in an OPT only, and not by those who have no agent."""
    for name in ("www.example.", "nowhere.example.", "x.cut.example."):
        assert data(full(name), EdnsOption.REPORT_CHANNEL) == AGENT
    assert full("www.example.", edns=False).edns == -1
    assert EdnsOption.REPORT_CHANNEL not in codes(full("elsewhere."))
    assert codes(server()) == []
    assert codes(Server(About(report=names.ROOT))()) == []


def test_an_agent_in_the_zone_itself_is_not_named():
    """RFC 9567 §4: who cannot reach the zone could not report."""
    server = Server(About(report=names.from_text("reports.example.")))

    assert codes(server()) == []
    assert server.table.lookup(query("www.example.")) is None


def test_what_nobody_asked_for_leaves_nothing_out(full):
    """An answer that fits without the agent's name is sent whole without it; the same by the quick way."""
    size = len(full.wire(query("big.example.", "TXT"))) - 4 - len(AGENT)

    for payload in range(size - 2, size + 40):
        message = full("big.example.", "TXT", payload=payload)
        assert tc(message) == (payload < size)
        assert (EdnsOption.REPORT_CHANNEL in codes(message)) == (payload >= size + 4 + len(AGENT))


# ---- EXPIRE, keepalive, padding ------------------------------------------------------------------


def test_a_primary_tells_when_its_zone_expires(server):
    """RFC 7314 §3.2, §4: in the answer to a question for the SOA, with the SOA's own field."""
    asked = option(EdnsOption.EXPIRE)

    assert data(server("example.", "SOA", asked), EdnsOption.EXPIRE) == struct.pack("!I", 1209600)
    for name, rdtype in (("www.example.", "A"), ("www.example.", "SOA"), ("x.cut.example.", "SOA"), ("a.test.", "SOA")):
        assert EdnsOption.EXPIRE not in codes(server(name, rdtype, asked))
    assert EdnsOption.EXPIRE not in codes(server("alias.example.", "SOA", asked))
    assert EdnsOption.EXPIRE not in codes(server("example.", "SOA"))


def test_the_idle_time_is_told_over_tcp_and_tls_to_those_who_ask(full):
    """RFC 7828 §3.2, in units of 100 ms; RFC 9250 §5.5.2: not over QUIC."""
    asked = option(EdnsOption.KEEPALIVE)

    for transport in (Transport.TCP, Transport.TLS):
        told = data(full("www.example.", "A", asked, transport=transport), EdnsOption.KEEPALIVE)
        assert told == struct.pack("!H", 123)
        assert EdnsOption.KEEPALIVE not in codes(full("www.example.", transport=transport))
    for transport in (Transport.UDP, Transport.HTTPS, Transport.QUIC):
        assert EdnsOption.KEEPALIVE not in codes(full("www.example.", "A", asked, transport=transport))


def test_a_keepalive_that_holds_a_time_is_a_format_error_on_streams_only(server):
    """RFC 7828 §3.2.1 and §3.3.1."""
    asked = option(EdnsOption.KEEPALIVE, b"\0\x64")

    assert rcode(server("www.example.", "A", asked)) == "NOERROR"
    refused = server("www.example.", "A", asked, transport=Transport.TCP)
    assert rcode(refused) == "FORMERR"
    assert ede(refused)[1] == "An edns-tcp-keepalive option of a question is empty. [question-malformed]"


def test_no_idle_time_is_too_long_to_be_told():
    told = Options(About(idle=1e9)).keepalive[1]

    assert told == b"\xff\xff"


@pytest.mark.parametrize("name", ["www.example.", "nowhere.example.", "big.example.", "elsewhere."])
@pytest.mark.parametrize("transport", [Transport.TLS, Transport.HTTPS, Transport.QUIC])
def test_encrypted_answers_are_padded_to_those_who_padded(full, transport, name):
    """RFC 7830 §4; blocks of 468 octets (RFC 8467 §4.1), errors too."""
    for octets in (b"", bytes(100)):
        message = query(name, "TXT", options=[option(EdnsOption.PADDING, octets), cookie()])
        answer = full.wire(message, transport)
        assert len(answer) % 468 == 0
        assert set(data(read(answer), EdnsOption.PADDING)) <= {0}
    assert EdnsOption.PADDING not in codes(full(name, "TXT", transport=transport))


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_nothing_is_padded_where_everybody_can_read(full, transport):
    message = full("www.example.", "A", option(EdnsOption.PADDING, bytes(8)), transport=transport)

    assert EdnsOption.PADDING not in codes(message)


def test_an_answer_of_just_a_block_is_padded_with_nothing(server):
    """The octets of the padding option itself count, also where it holds none."""
    asked = [option(EdnsOption.PADDING)]
    sizes = {len(server.wire(query("a" * size + ".elsewhere.", options=asked), Transport.TLS)) for size in range(1, 64)}

    assert sizes == {468}


# ---- the rest ------------------------------------------------------------------------------------


def test_all_options_together_are_answered_together(full):
    asked = [option(code) for code in (3, 9, 11, 12, 65001, 8)] + [cookie()]
    message = full("example.", "SOA", *asked, transport=Transport.TLS)

    assert sorted(codes(message)) == sorted(
        [
            EdnsOption.REPORT_CHANNEL, EdnsOption.NSID, EdnsOption.KEEPALIVE, EdnsOption.COOKIE, EdnsOption.EXPIRE,
            EdnsOption.PADDING,
        ]
    )  # fmt: skip


@pytest.mark.parametrize("payload", [0, 512, 4096])
def test_an_error_for_the_longest_name_fits_and_its_reason_where_there_is_room(payload):
    server = Server(About(nsid=b"n" * 140))
    name = ".".join(["a" * 63] * 3 + ["b" * 61]) + "."
    message = server.wire(query(name, options=[option(EdnsOption.NSID), cookie()], payload=payload))

    assert len(message) <= max(payload, 512)
    assert rcode(read(message)) == "REFUSED"
    assert (EdnsOption.EDE in codes(read(message))) == (payload > 512)
    assert EdnsOption.COOKIE in codes(read(message))


def test_an_option_that_is_asked_for_twice_is_answered_once(full):
    message = full("www.example.", "A", *[option(EdnsOption.NSID)] * 5)

    assert codes(message).count(EdnsOption.NSID) == 1


def test_the_co_flag_is_cleared_by_who_denies_with_whole_proofs(server):
    """RFC 9824 §5.1: it is set in answers of compact denial only."""
    message = query("nowhere.example.", do=True)
    asked = message[:-4] + b"\xc0\0" + message[-2:]

    assert read(server.wire(asked)).ednsflags & 0xFFFF == 0x8000


def test_an_unknown_version_gets_no_options(full):
    """RFC 6891 §6.1.3: what the options of another version mean is not known."""
    message = bytearray(query("www.example.", options=[cookie(), option(EdnsOption.NSID)]))
    at = bytes(message).index(b"\0\0\x29\x04\xd0")
    message[at + 6] = 1

    answer = read(full.wire(bytes(message)))

    assert (rcode(answer), answer.options, answer.answer) == ("BADVERS", (), [])


@pytest.mark.parametrize("opcode", [1, 2, 3, 6, 15])
def test_unknown_operations_say_why_to_those_who_sent_an_opt(full, opcode):
    message = bytearray(query("www.example.", options=[cookie()]))
    message[2] |= opcode << 3

    answer = full.wire(bytes(message))

    assert header(answer)[1] >> 11 & 15 == opcode
    assert header(answer)[2:] == (0, 0, 0, 1)
    assert b"it knows no such operation" in answer
    for cut in range(12, len(message)):
        assert full.wire(bytes(message[:cut]))[3] & 15 == 4


def test_a_sender_of_many_kinds_of_opt_does_not_keep_others_from_the_hot_path(server):
    for payload in range(512, 512 + 4200):
        server.responder.respond(query("www.example.", payload=payload), UDP)
    message = query("www.example.", payload=60000)
    server.responder.respond(message, UDP)

    assert server.table.lookup(message) is not None
    assert len(server.table._clients) <= 4096
