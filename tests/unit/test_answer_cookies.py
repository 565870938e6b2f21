"""DNS cookies beside the vectors of RFC 9018 appendix A, and what makes one good or bad (RFC 7873 §5.2)."""

import pytest

from ddns.answer.cookies import Cookies, Verdict
from ddns.answer.siphash import siphash24

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
NOW = 1_900_000_000 // 86400 * 86400 + 43200  # noon
DAY = 86400
HOME = "192.0.2.1"
CLIENT = bytes.fromhex("2464c4abcf10c957")


@pytest.fixture
def cookies():
    return Cookies(bytes(32))


def test_siphash_is_that_of_its_paper():
    """Appendix A of the paper, and the first vectors of the reference implementation."""
    key = bytes(range(16))

    assert siphash24(key, bytes(range(15))).hex() == "e545be4961ca29a1"
    assert siphash24(key, b"").hex() == "310e0edd47db6f72"
    assert siphash24(key, bytes(range(7))).hex() == "37d1018bf50002ab"
    assert siphash24(key, bytes(range(8))).hex() == "6224939a79f5f593"


def test_a_new_cookie_is_that_of_rfc_9018_appendix_a_1():
    made = Cookies(b"", (SECRET,)).renew(CLIENT, "198.51.100.100", 1559731985)

    assert made.hex() == "2464c4abcf10c957010000005cf79f111f8130c3eee29480"


def test_an_old_cookie_is_renewed_as_in_rfc_9018_appendix_a_2():
    cookies = Cookies(b"", (SECRET,))
    old = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")

    assert cookies.judge(old, "198.51.100.100", 1559734385) == Verdict.GOOD
    renewed = cookies.renew(old, "198.51.100.100", 1559734385)
    assert renewed.hex() == "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"


def test_reserved_octets_are_hashed_as_they_came_as_in_rfc_9018_appendix_a_3():
    cookies = Cookies(b"", (SECRET,))
    old = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")

    assert cookies.judge(old, "203.0.113.203", 1559728000) == Verdict.GOOD
    renewed = cookies.renew(old, "203.0.113.203", 1559734700)
    assert renewed.hex() == "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"


def test_two_secrets_are_accepted_and_the_first_makes_as_in_rfc_9018_appendix_a_4():
    new, old = bytes.fromhex("445536bcd2513298075a5d379663c962"), bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
    cookies = Cookies(b"", (new, old))
    came = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    source = "2001:db8:220:1:59de:d0f4:8769:82b8"

    assert cookies.judge(came, source, 1559741961) == Verdict.GOOD
    assert cookies.renew(came, source, 1559741961).hex() == "22681ab97d52c298010000005cf7c609a6bb79d16625507a"


@pytest.mark.parametrize("size", range(48))
def test_lengths_other_than_8_and_16_to_40_are_malformed(cookies, size):
    """RFC 7873 §5.2.2."""
    verdict = cookies.judge(bytes(size), HOME, NOW)

    if size == 8:
        assert verdict == Verdict.CLIENT
    else:
        assert verdict == (Verdict.BAD if 16 <= size <= 40 else Verdict.MALFORMED)


@pytest.mark.parametrize("seconds", [0, 1, 1800, 3600, -300])
def test_a_cookie_is_good_for_an_hour_and_five_minutes_before_its_time(cookies, seconds):
    made = cookies.renew(CLIENT, HOME, NOW)

    assert cookies.judge(made, HOME, NOW + seconds) == Verdict.GOOD


@pytest.mark.parametrize("seconds", [3601, -301, DAY, -DAY, 1 << 31])
def test_older_and_more_future_cookies_are_bad(cookies, seconds):
    made = cookies.renew(CLIENT, HOME, NOW)
    assert cookies.judge(made, HOME, NOW) == Verdict.GOOD

    assert cookies.judge(made, HOME, NOW + seconds) == Verdict.BAD


def test_a_good_cookie_comes_back_for_half_an_hour_and_then_a_new_one(cookies):
    made = cookies.renew(CLIENT, HOME, NOW)

    assert cookies.renew(made, HOME, NOW + 1800) == made
    renewed = cookies.renew(made, HOME, NOW + 1801)
    assert renewed != made
    assert renewed[:8] == CLIENT
    assert cookies.judge(renewed, HOME, NOW + 1801) == Verdict.GOOD


def test_every_bit_and_the_address_are_covered(cookies):
    made = cookies.renew(CLIENT, HOME, NOW)

    for bit in range(len(made) * 8):
        other = bytearray(made)
        other[bit // 8] ^= 1 << bit % 8
        assert cookies.judge(bytes(other), HOME, NOW) == Verdict.BAD, bit
    for source in ("192.0.2.2", "2001:db8::1", "::c000:201"):
        assert cookies.judge(made, source, NOW) == Verdict.BAD
    assert cookies.judge(made, HOME, NOW) == Verdict.GOOD
    assert cookies.judge(made, "::ffff:192.0.2.1", NOW) == Verdict.GOOD


def test_an_address_with_a_zone_is_an_address(cookies):
    made = cookies.renew(CLIENT, "fe80::1%eth0", NOW)

    assert cookies.judge(made, "fe80::1%eth0", NOW) == Verdict.GOOD


def test_who_shares_the_secret_accepts_the_cookies_of_others_over_midnight():
    mine, theirs, strangers = Cookies(b"a" * 32), Cookies(b"a" * 32), Cookies(b"b" * 32)
    midnight = NOW // DAY * DAY

    made = mine.renew(CLIENT, HOME, midnight - 1)
    assert theirs.judge(made, HOME, midnight + 3000) == Verdict.GOOD
    ahead = mine.renew(CLIENT, HOME, midnight + 100)
    assert theirs.judge(ahead, HOME, midnight - 100) == Verdict.GOOD
    assert strangers.judge(made, HOME, midnight) == Verdict.BAD


def test_each_day_has_a_secret_of_its_own(cookies):
    made = {cookies.renew(CLIENT, HOME, NOW + day * DAY)[16:] for day in range(5)}

    assert len(made) == 5


def test_a_clock_that_has_just_begun_stops_nothing():
    """A machine without a battery starts in 1970; a cookie may then be of the year before."""
    cookies = Cookies(bytes(32))
    before = CLIENT + b"\1\0\0\0" + (2**32 - 3000).to_bytes(4, "big") + bytes(8)

    assert cookies.judge(before, HOME, 100) == Verdict.BAD
    assert cookies.judge(cookies.renew(before, HOME, 100), HOME, 100) == Verdict.GOOD


def test_another_version_is_bad_and_gets_ours(cookies):
    """RFC 9018 §4.1: version 1 is the only one; a cookie of 32 octets may be good somewhere else."""
    assert cookies.judge(CLIENT + b"\2" + bytes(15), HOME, NOW) == Verdict.BAD
    assert cookies.renew(CLIENT + bytes(32), HOME, NOW) == cookies.renew(CLIENT, HOME, NOW)


def test_what_is_remembered_is_bounded(cookies):
    for client in range(8200):
        made = cookies.renew(client.to_bytes(8, "big"), f"10.0.{client >> 8}.{client & 255}", NOW)
        assert cookies.judge(made, f"10.0.{client >> 8}.{client & 255}", NOW) == Verdict.GOOD

    assert len(cookies.verified) <= 8192
    assert len(cookies._addresses) <= 8192


def test_secrets_have_16_octets_and_are_not_shown():
    with pytest.raises(ValueError, match="16 octets"):
        Cookies(b"", (b"short",))
    assert "e5e9" not in repr(Cookies(SECRET, (SECRET,)))
