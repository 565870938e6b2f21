"""Response rate limiting: what counts together, who is exempt, what slips through, and that it is bounded."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from ddns.answer.cookies import Cookies
from ddns.answer.rrl import Rrl, RrlLimits, cookie, truncated
from ddns.dns import wire as wires
from ddns.dns.codes import EdnsOption

HOST = "192.0.2.1"
NOW = 1_900_000_000.0
COOKIES = Cookies(b"s" * 32)


def limiter(**changes: object) -> Rrl:
    rrl = Rrl(RrlLimits(**{"answers": 5, "errors": 3, "every": 20, "window": 4, "exempt": (), **changes}), COOKIES)
    rrl.turn(NOW)
    return rrl


def exchange(
    name: str = "h1.example.", rdtype: str = "A", rcode: int = 0, data: str = "192.0.2.7", zone: str = ""
) -> tuple[bytes, bytes]:
    """Return a question with an OPT, and an answer to it."""
    question = dns.message.make_query(name, rdtype, use_edns=0, payload=1232)
    answer = dns.message.make_response(question)
    answer.set_rcode(rcode)
    if data and rcode == dns.rcode.NOERROR:
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", rdtype, data))
    if zone:
        answer.authority.append(dns.rrset.from_text(zone, 300, "IN", "SOA", "ns. host. 1 2 3 4 5"))
    return question.to_wire(), answer.to_wire()


def offer(
    rrl: Rrl, request: bytes, answer: bytes, *, host: str = HOST, now: float = NOW, times: int = 1
) -> list[bytes | None]:
    """Do as the reader does, *times* over."""
    out: list[bytes | None] = []
    for _ in range(times):
        if not rrl.since <= now < rrl.until:
            rrl.turn(now)
        cell = rrl.cells.get(host) or rrl.enter(host)
        cell[0] -= 1
        out.append(rrl.judge(request, answer, host, now) if cell[0] < 0 else answer)
    return out


def sent(found: list[bytes | None], answer: bytes) -> int:
    return sum(one == answer for one in found)


def test_below_its_rate_a_network_gets_every_answer():
    """The least of the rates is counted without any account."""
    rrl = limiter()
    request, answer = exchange()

    assert offer(rrl, request, answer, times=3) == [answer] * 3
    assert len(rrl) == 2  # an address and its network


def test_a_flood_gets_a_bounded_number_of_answers():
    """Those of the coarse count, those of the account, and from then on only what slips through."""
    rrl = limiter()
    request, answer = exchange()

    found = offer(rrl, request, answer, times=100)

    assert sent(found, answer) == 3 + 5
    assert sent(offer(rrl, request, answer, times=100, now=NOW + 1), answer) == 0


def test_a_network_below_its_rate_again_is_answered_again():
    """After *window* seconds the debt is paid at the latest."""
    rrl = limiter(window=4)
    request, answer = exchange()
    offer(rrl, request, answer, times=1000)

    assert sent(offer(rrl, request, answer, now=NOW + 3), answer) == 0
    assert sent(offer(rrl, request, answer, now=NOW + 5.5, times=3), answer) == 3


@pytest.mark.parametrize(
    ("slip", "each"), [(0, [None, None, None, None]), (1, ["TC"] * 4), (2, [None, "TC", None, "TC"])]
)
def test_every_so_many_answers_over_the_rate_slip_through_truncated(slip, each):
    """As in BIND: 0 none, 1 all, 2 every other one."""
    rrl = limiter(slip=slip)
    request, answer = exchange()
    offer(rrl, request, answer, times=8)

    found = offer(rrl, request, answer, times=4)

    assert [None if one is None else "TC" for one in found] == each
    assert all(one is None or dns.message.from_wire(one).flags & dns.flags.TC for one in found)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (exchange(), exchange(), True),
        (exchange("H1.EXAMPLE."), exchange("h1.example."), True),
        (exchange(), exchange("h2.example."), False),
        (exchange(), exchange(rdtype="AAAA", data="2001:db8::1"), False),
        (exchange("a.example.", rcode=3, zone="example."), exchange("b.example.", rcode=3, zone="example."), True),
        (exchange("a.example.", rcode=3, zone="example."), exchange("a.other.", rcode=3, zone="other."), False),
        (exchange("a.example.", data="", zone="example."), exchange("a.example.", rcode=3, zone="example."), True),
        (exchange("a.example.", rcode=5), exchange("b.other.", "MX", rcode=1), True),
        (exchange(), exchange(rcode=5), False),
    ],
)
def test_what_counts_together(one, other, together):
    """Data by name and type, without regard to case; NXDOMAIN and no data by the zone; all errors."""
    rrl = limiter(every=0, slip=0)
    offer(rrl, *one, times=30)

    assert (sent(offer(rrl, *other), other[1]) == 0) is together


def test_answers_of_all_kinds_have_a_rate_together():
    """Who asks another name each time is limited too."""
    rrl = limiter(slip=0)
    pairs = [exchange(f"h{at}.example.") for at in range(60)]

    assert sum(sent(offer(rrl, *pair), pair[1]) for pair in pairs) == 3 + 20


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::1", True),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.9", False),
    ],
)
@pytest.mark.parametrize("prefix", [24, 25])
def test_networks_share(one, other, same, prefix):
    """IPv4 /24 and IPv6 /56 count as one sender."""
    rrl = limiter(slip=0, ipv4_prefix=prefix)
    request, answer = exchange()
    offer(rrl, request, answer, host=one, times=30)

    expected = same and not (prefix == 25 and other == "192.0.2.254")
    if one.startswith("::ffff"):
        expected = prefix == 25  # what maps IPv4 is compared as such where addresses are parsed
    assert (sent(offer(rrl, request, answer, host=other), answer) == 0) is expected


@pytest.mark.parametrize(
    ("exempt", "host", "limited"),
    [
        (("127.0.0.0/8", "::1/128"), "127.1.2.3", False),
        (("127.0.0.0/8", "::1/128"), "128.1.2.3", True),
        (("127.0.0.0/8", "::1/128"), "::1", False),
        (("127.0.0.0/8", "::1/128"), "2001:db8::1", True),
        (("192.0.2.0/25",), "192.0.2.1", False),
        (("192.0.2.0/25",), "192.0.2.129", True),
        ((), "127.0.0.1", True),
    ],
)
def test_networks_may_be_exempt(exempt, host, limited):
    """Loopback is, unless the settings say otherwise."""
    rrl = limiter(exempt=exempt, slip=0)
    request, answer = exchange()

    assert (sent(offer(rrl, request, answer, host=host, times=100), answer) < 100) is limited


def test_a_rate_of_zero_switches_it_off():
    """All of it, or errors alone."""
    request, answer = exchange()
    refused = exchange(rcode=5)

    assert sent(offer(limiter(answers=0), request, answer, times=500), answer) == 500
    assert sent(offer(limiter(errors=0, every=0), *refused, times=500), refused[1]) == 500


def test_who_shows_a_good_cookie_is_not_limited():
    """Its address is proved; a cookie of another address is none."""
    rrl = limiter(slip=0)
    request, answer = exchange()
    offer(rrl, request, answer, times=100)
    good = COOKIES.renew(b"c" * 8, HOST, int(NOW))
    other = COOKIES.renew(b"c" * 8, "198.51.100.1", int(NOW))

    def asked(shown: bytes) -> bytes:
        return request[:-11] + wires.opt(1232, do=False, options=((EdnsOption.COOKIE, shown),))

    assert cookie(asked(good)) == good
    assert cookie(request) == b""
    assert sent(offer(rrl, asked(good), answer, times=50), answer) == 50
    assert sent(offer(rrl, asked(other), answer, times=50), answer) == 0


def test_who_sent_no_good_cookie_slips_through_with_badcookie_and_one():
    """RFC 7873 §5.2.3 and §5.2.4; its answer held a good cookie already. Updates are answered as before."""
    rrl = limiter(slip=1)
    request, answer = exchange()
    offer(rrl, request, answer, times=100)
    good = COOKIES.renew(b"c" * 8, HOST, int(NOW))
    shown = wires.opt(1232, do=False, options=((EdnsOption.COOKIE, b"c" * 8),))
    given = answer[:-11] + wires.opt(1232, do=False, options=((EdnsOption.COOKIE, good),))

    slipped = offer(rrl, request[:-11] + shown, given)[0]

    assert slipped is not None
    message = dns.message.from_wire(slipped)
    assert message.rcode() == dns.rcode.BADCOOKIE
    assert not message.flags & dns.flags.TC
    assert message.options[0].to_wire() == good
    assert dns.message.from_wire(offer(rrl, request, answer)[0] or b"").flags & dns.flags.TC


def test_a_good_update_is_always_answered():
    """Its signature has been verified; errors count as errors, unless they are as good as truncated already."""
    rrl = limiter(slip=0)
    request = b"\0\1\x28\0" + bytes(8)

    assert sent(offer(rrl, request, b"\0\1\xa8\0" + bytes(8), times=50), b"\0\1\xa8\0" + bytes(8)) == 50
    assert sent(offer(rrl, request, b"\0\1\xa8\5" + bytes(8), times=50), b"\0\1\xa8\5" + bytes(8)) <= 3
    assert sent(offer(rrl, request, b"\0\1\xaa\5" + bytes(8), times=50), b"\0\1\xaa\5" + bytes(8)) == 50


@pytest.mark.parametrize("options", [(), ((EdnsOption.COOKIE, b"c" * 8),)])
@pytest.mark.parametrize("pair", [exchange(), exchange(rcode=5), exchange("a.example.", rcode=3, zone="example.")])
def test_a_truncated_answer_is_never_longer_than_its_question(pair, options):
    """It keeps id, question, RCODE and a plain OPT, and says TC."""
    request = pair[0][:-11] + wires.opt(1232, do=True, options=options)
    answer = dns.message.from_wire(pair[1])

    found = truncated(request, pair[1])

    assert len(found) <= len(request)
    message = dns.message.from_wire(found)
    assert (message.id, message.question, message.rcode()) == (answer.id, answer.question, answer.rcode())
    assert message.flags & dns.flags.TC
    assert (message.edns, message.answer, message.authority) == (0, [], [])


@pytest.mark.parametrize("cut", range(12, 60))
def test_any_octets_are_judged(cut):
    """What the responder would never say is counted as an error, and nothing is raised."""
    rrl = limiter()
    request, answer = exchange()

    for one in offer(rrl, request[:cut], answer[:cut], times=20):
        assert one is None or len(one) <= max(cut, len(request))


def test_the_greatest_amplification():
    """Before: 1232 octets for 28. Over the rate: with slip 1 as many octets as came, with slip 2 half of them."""
    request = b"\0\1\1\0\0\1\0\0\0\0\0\1" + b"\0\0\1\0\1" + wires.opt(1232, do=True)
    answer = b"\0\1\x84\0\0\1\0\1\0\0\0\1" + b"\0\0\1\0\1" + bytes(1232 - 17 - 11) + wires.opt(1232, do=True)
    assert (len(request), len(answer), len(answer) // len(request)) == (28, 1232, 44)

    for slip, factor in ((0, 0), (1, 1), (2, 0.5)):
        rrl = limiter(slip=slip)
        offer(rrl, request, answer, times=100)
        found = offer(rrl, request, answer, times=1000)
        assert sum(len(one) for one in found if one is not None) <= factor * len(request) * 1000


def test_invented_addresses_do_not_grow_it_nor_switch_it_off():
    """Networks for which there is no room share cells."""
    rrl = limiter(table=100, slip=0)
    request, answer = exchange()
    for at in range(3000):
        offer(rrl, request, answer, host=f"10.{at >> 8}.{at & 255}.1")
        offer(rrl, request, answer, host=f"10.{at >> 8}.{at & 255}.2", times=5)

    assert len(rrl) <= 4 * 100 + 1024
    assert sent(offer(rrl, request, answer, times=100), answer) <= 3 + 5


def test_a_clock_that_steps_back_gives_nothing():
    """And does not lock anybody out for longer than the window."""
    rrl = limiter(slip=0)
    request, answer = exchange()
    offer(rrl, request, answer, times=100)

    assert sent(offer(rrl, request, answer, now=NOW - 3600, times=10), answer) == 0
    assert sent(offer(rrl, request, answer, now=NOW - 3590, times=3), answer) == 3
