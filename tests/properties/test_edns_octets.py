"""Any options in any order: every answer can be read and fits, and the quick way for cookies says the same."""

import struct

import dns.message
from asking import query
from hypothesis import given, settings
from hypothesis import strategies as st
from published import image

from ddns.answer.cookied import Cookied, bad_cookie, find
from ddns.answer.cookies import Cookies, Verdict, well_formed
from ddns.answer.options import About, Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import EdnsOption

NOW = 1_900_000_000
SOURCE = "192.0.2.1"
COOKIES = Cookies(b"p" * 32)
GOOD = COOKIES.renew(b"8 octets", SOURCE, NOW)
OLD = COOKIES.renew(b"8 octets", SOURCE, NOW - 2000)
ZONE = """$TTL 300
@ SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
big TXT {filler}
cut NS ns.cut
ns.cut A 192.0.2.11
""".replace("{filler}", " ".join(['"' + "b" * 200 + '"'] * 5))
NAMES = ("www.example.", "big.example.", "x.cut.example.", "nowhere.example.", "example.", "elsewhere.")

option = st.one_of(
    st.tuples(st.just(int(EdnsOption.COOKIE)), st.sampled_from((b"8 octets", GOOD, OLD, GOOD[:-1] + b"x"))),
    st.tuples(st.sampled_from([int(code) for code in EdnsOption]), st.binary(max_size=45)),
    st.tuples(st.integers(0, 65535), st.binary(max_size=300)),
)
transports = st.sampled_from(Transport)


def asked(name, rdtype, options, payload, *, do):
    """Return a question with an OPT of these *options*."""
    data = b"".join(struct.pack("!HH", code, len(octets)) + octets for code, octets in options)
    opt = b"\0" + struct.pack("!HHIH", 41, payload, 0x8000 if do else 0, len(data)) + data
    return query(name, rdtype, edns=False)[:11] + b"\1" + query(name, rdtype, edns=False)[12:] + opt


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from(("A", "TXT", "SOA", "NS", "ANY")),
            st.lists(option, max_size=4),
            st.sampled_from((0, 512, 600, 1100, 1232, 4096)),
            st.booleans(),
            transports,
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_options_get_an_answer_that_fits_and_the_quick_way_gives_the_same(questions, talkative):
    about = About(b"nsid", "id", "v", b"\6report\4test\0", 10.0) if talkative else About()
    options = Options(about, COOKIES, lambda: NOW)
    table = Table(options=options.report)
    table.install(image(ZONE, "example."))
    responder, cookied = Responder(table, options), Cookied(table, COOKIES)

    for name, rdtype, sent, payload, do, transport in questions:
        message = asked(name, rdtype, sent, payload, do=do)
        answer = responder.respond(message, Asker(transport, SOURCE))

        read = dns.message.from_wire(answer)
        assert read.edns == 0
        assert len(answer) <= (65535 if transport.stream else min(max(payload, 512), 1232))
        given_back = [int(one.otype) for one in read.options]
        assert len(set(given_back)) == len(given_back)
        first = next((octets for code, octets in sent if code == EdnsOption.COOKIE), None)
        assert (EdnsOption.COOKIE in given_back) == (first is not None and well_formed(first))
        if first is not None and well_formed(first):
            assert COOKIES.judge(find(answer), SOURCE, NOW) == Verdict.GOOD
            assert find(answer)[:8] == first[:8]
            assert dns.message.from_wire(bad_cookie(answer)).rcode() == 23
        if transport.encrypted and EdnsOption.PADDING in given_back:
            assert len(answer) % 468 == 0
        if transport is Transport.UDP:
            assert table.lookup(message) in (None, answer)
            assert cookied.answer(message, SOURCE, NOW) in (None, answer)
            assert cookied.answer(message, SOURCE, NOW) in (None, answer)


@given(st.binary(max_size=200), st.sampled_from((b"", b"8 octets", GOOD)), st.integers(0, 60))
@settings(max_examples=400, deadline=None)
def test_no_octets_stop_those_who_look_for_cookies(noise, octets, at):
    """Whatever stands in a message: a cookie is found in it or not, and it is answered or not."""
    message = asked("www.example.", "A", [(10, octets)], 1232, do=True)
    message = message[:at] + noise + message[at + len(noise) // 2 :]
    table = Table()
    table.install(image(ZONE, "example."))
    cookied = Cookied(table, COOKIES)

    assert isinstance(find(message), bytes)
    assert cookied.asker(message, SOURCE, NOW).source == SOURCE
    assert cookied.answer(message, SOURCE, NOW) is None
    Responder(table, Options(None, COOKIES, lambda: NOW)).respond(message, Asker(Transport.UDP, SOURCE))


@given(st.binary(max_size=48), st.integers(-(2**31), 2**31), st.booleans())
@settings(max_examples=300, deadline=None)
def test_only_what_was_given_out_is_good(octets, seconds, mine):
    cookie = GOOD if mine else octets
    good = mine and -300 <= seconds <= 3600

    assert (COOKIES.judge(cookie, SOURCE, NOW + seconds) == Verdict.GOOD) == good
