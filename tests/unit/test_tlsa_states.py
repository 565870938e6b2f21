"""TLSA records come and go so that no cache holds an RRset that lies (RFC 7671 §8.1), to the second."""

import contextlib

import msgspec
import pytest

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.records import RRset
from ddns.zone import dane, dane_option
from ddns.zone.dane import MARGIN, Phase, Pin, Rule
from ddns.zone.dane_option import BadOption, Record, Service, Verb, Wish

OWNER = names.from_text("_443._tcp.cam.smith.homes.example.")
NOW = 1_800_000_000
OLD, NEW, NEXT = (bytes((3, 1, 1)) + bytes([seed]) * 32 for seed in (1, 2, 3))


def rrset(*rdatas, ttl=300):
    return RRset.of(OWNER, Type.TLSA, ttl, rdatas) if rdatas else None


def judge(before, after, pins=(), *, managed=True, strict=False, revoke=(), now=NOW):
    return dane.judge(
        OWNER, before, after, pins, Rule(strict=strict), managed=managed, revoke=frozenset(revoke), now=now
    )


def published(rdata=NEW, *, ttl=300, serial=7, seen_at=None, since=NOW):
    return Pin(rdata, Phase.PUBLISHED, since, serial, ttl, seen_at)


def safe(rdata=NEW, **fields):
    return msgspec.structs.replace(published(rdata, **fields), phase=Phase.SAFE)


def test_the_first_record_of_a_service_is_established_at_once():
    """Whoever has found none before does not ask for a key."""
    assert judge(None, rrset(OLD)) == dane.Verdict(())


def test_a_record_beside_another_is_published_with_the_longer_ttl():
    """Caches may hold the old RRset for as long as its TTL was."""
    verdict = judge(rrset(OLD, ttl=600), rrset(OLD, NEW, ttl=60))

    assert published(NEW, ttl=600, serial=None) in verdict.pins
    assert verdict.refusal is None


@pytest.mark.parametrize(("asked", "phase"), [(599 + MARGIN, Phase.PUBLISHED), (600 + MARGIN, Phase.SAFE)])
def test_a_published_record_is_safe_two_ttls_after_the_last_server_had_it(asked, phase):
    """RFC 7671 §8.1: at least two TTLs, and counted from when the slowest server showed it."""
    seen_at = NOW + 1000

    (pin,) = dane.settle([published()], lambda serial, _: seen_at if serial == 7 else None, seen_at + asked)

    assert pin.phase == phase
    assert dane.safe_at(pin) == seen_at + 600 + MARGIN


def test_a_ttl_of_decades_does_not_hold_a_roll_up_for_decades():
    """What is remembered lasts no longer either: its absence, and what retires."""
    ever = 2**31 - 1
    (pin,) = judge(rrset(OLD, ttl=ever), rrset(OLD, NEW, ttl=ever)).pins
    (gone,) = judge(rrset(OLD, ttl=ever), None).pins
    (old,) = dane.deployed(OWNER, rrset(OLD, NEW, ttl=ever), (), frozenset((NEW[3:],)), NOW).pins

    assert {pin.ttl, gone.ttl, old.ttl} == {31 * 86400}


def test_a_record_that_a_server_was_not_seen_with_is_never_safe():
    """Time alone settles nothing."""
    pins = dane.settle([published(), published(NEXT, serial=None)], lambda *_: None, NOW + 10**9)

    assert [pin.phase for pin in pins] == [Phase.PUBLISHED, Phase.PUBLISHED]
    assert [dane.safe_at(pin) for pin in pins] == [None, None]


def test_what_was_seen_stays_seen():
    """A server that is away later does not take it back."""
    pins = dane.settle([published(seen_at=NOW)], lambda *_: None, NOW + 1)

    assert pins == (published(seen_at=NOW),)


def test_a_sighting_from_before_the_change_counts_from_the_change():
    """A clock of a server that is behind must not shorten the wait."""
    (pin,) = dane.settle([published()], lambda *_: NOW - 50, NOW)

    assert pin.seen_at == NOW


@pytest.mark.parametrize(("asked", "left"), [(1199 + MARGIN, 1), (1200 + MARGIN, 0)])
def test_a_safe_record_is_established_after_a_while(asked, left):
    """No row is left at rest."""
    assert len(dane.settle([safe(seen_at=NOW)], lambda *_: None, NOW + asked)) == left


def test_the_old_record_may_not_go_before_the_new_one_is_safe():
    """Early it is refused with the time, in time it goes and the new one is established."""
    seen = published(seen_at=NOW)
    unseen = judge(rrset(OLD, NEW), rrset(NEW), [published()])
    early = judge(rrset(OLD, NEW), rrset(NEW), [seen])
    late = judge(rrset(OLD, NEW), rrset(NEW), dane.settle([seen], lambda *_: NOW, NOW + 600 + MARGIN))

    assert early.refusal.code == unseen.refusal.code == "tlsa-not-safe-yet"
    assert (early.refusal.rcode, early.refusal.ede) == (Rcode.REFUSED, Ede.PROHIBITED)
    assert "wait until every server of the zone has the new one" in unseen.refusal.text
    assert "wait until 2027-01-15 08:10:05 UTC" in early.refusal.text
    assert early.pins == (seen,)
    assert late == dane.Verdict((), (NEW,))


def test_replacing_a_record_in_one_change_is_refused_where_it_is_guarded():
    """This is what makes clients fail: the cached RRset has one key, the server another."""
    assert judge(rrset(OLD), rrset(NEW)).refusal.code == "tlsa-not-safe-yet"
    assert judge(rrset(OLD), rrset(NEW), managed=False, strict=True).refusal is not None
    assert judge(rrset(OLD), rrset(NEW), managed=False) == dane.Verdict(())


def test_a_plain_client_is_followed_where_a_roll_is_under_way_but_refused_nothing():
    """It did not ask to be guarded."""
    verdict = judge(rrset(OLD, NEW), rrset(NEXT), [published()], managed=False)

    assert verdict.refusal is None
    assert published(NEXT, serial=None) in verdict.pins
    assert verdict.gone == (NEW,)


def test_a_record_that_was_never_safe_may_go():
    """A roll that is given up, before its key was used."""
    assert judge(rrset(OLD, NEW), rrset(OLD), [published()]) == dane.Verdict((), (NEW,))


def test_all_records_may_go_and_what_caches_hold_is_remembered():
    """Clients that find none ask for none; the next first record has to wait for the caches."""
    none = judge(rrset(OLD), None)
    again = judge(None, rrset(NEW, ttl=60), none.pins, now=NOW + 1)

    assert none.pins == (Pin(b"", Phase.FADING, NOW, None, 300),)
    assert published(NEW, serial=None, since=NOW + 1) in again.pins
    assert dane.settle(dane.numbered(none.pins, 9, NOW), lambda *_: NOW, NOW + 600 + MARGIN) == ()


def test_a_shorter_ttl_is_remembered_while_caches_hold_the_longer_one():
    """A roll right behind it waits for the TTL that was."""
    shortened = judge(rrset(OLD, ttl=86_400), rrset(OLD, ttl=60))
    rolled = judge(rrset(OLD, ttl=60), rrset(OLD, NEW, ttl=60), shortened.pins)

    assert published(NEW, ttl=86_400, serial=None) in rolled.pins


def test_a_revoked_record_goes_at_once_and_its_price_is_said():
    """A key that a thief has is worse than none."""
    alone = judge(rrset(OLD), None, revoke=[OLD[3:]])
    beside = judge(rrset(OLD, NEW), rrset(NEW), [published()], revoke=[OLD[3:]])
    ready = judge(rrset(OLD, NEW), rrset(NEW), [safe()], revoke=[OLD[3:]])

    assert [one.refusal for one in (alone, beside, ready)] == [None, None, None]
    assert "now find no TLSA record" in alone.note
    assert "trust the new keys alone" in beside.note
    assert ready.note == ""


def test_only_what_is_named_is_revoked():
    """Another established record is guarded as ever."""
    assert judge(rrset(OLD, NEXT), rrset(NEW), revoke=[OLD[3:]]).refusal is not None


def test_a_standby_that_is_safe_lets_the_old_key_go_at_once():
    """Published long before it is needed, it makes an emergency a matter of one update."""
    assert judge(rrset(OLD, NEXT), rrset(NEXT)).refusal is None


def test_what_nobody_uses_retires_two_ttls_after_the_owners_word():
    """The old records go by themselves, a second standby stays."""
    before = rrset(OLD, NEW, NEXT)
    verdict = dane.deployed(OWNER, before, [safe(), published(NEXT)], frozenset({NEW[3:], NEXT[3:]}), NOW)

    assert set(verdict.pins) == {Pin(OLD, Phase.RETIRING, NOW, None, 300), published(NEXT)}
    assert verdict.gone == (NEW,)
    assert dane.due(before, verdict.pins, NOW + 599) == frozenset()
    assert dane.due(before, verdict.pins, NOW + 600) == {OLD}


def test_a_key_that_is_not_safe_cannot_be_in_use():
    """Its owner said so too early, or of another key."""
    assert dane.deployed(OWNER, rrset(OLD, NEW), [published()], frozenset({NEW[3:]}), NOW).refusal is not None
    assert dane.deployed(OWNER, rrset(OLD), [], frozenset({NEW[3:]}), NOW).refusal is not None


def test_a_record_that_retires_can_be_used_again():
    """It has never left the RRset."""
    retiring = Pin(OLD, Phase.RETIRING, NOW, 7, 300)

    back = dane.deployed(OWNER, rrset(OLD, NEW), [retiring], frozenset({OLD[3:]}), NOW + 1)

    assert back.pins == (Pin(NEW, Phase.RETIRING, NOW + 1, None, 300),)


LONG_OLD, LONG_NEW = (bytes((3, 1, 2)) + bytes([seed]) * 64 for seed in (1, 2))


def test_each_kind_of_record_keeps_one_that_caches_hold():
    """A client that believes the strongest digest alone would find the new key, and the server shows the old one."""
    both = rrset(OLD, LONG_OLD)

    swapped = judge(both, rrset(OLD, LONG_NEW))
    early = judge(rrset(OLD, LONG_OLD, LONG_NEW), rrset(OLD, LONG_NEW), [published(LONG_NEW)])
    late = judge(rrset(OLD, LONG_OLD, LONG_NEW), rrset(OLD, LONG_NEW), [safe(LONG_NEW)])

    assert {swapped.refusal.code, early.refusal.code} == {"tlsa-not-safe-yet"}
    assert "no other TLSA record 3 1 2 of _443._tcp.cam" in swapped.refusal.text
    assert "add the next key's record first" in swapped.refusal.text
    assert "wait until every server" in early.refusal.text
    assert late.refusal is None
    assert judge(both, rrset(OLD)).refusal is None  # where none of a kind is left, nobody can be misled by it


def test_a_key_is_in_use_only_when_it_is_safe_in_each_kind():
    kept = frozenset({NEW[3:], LONG_NEW[3:]})
    lacking = dane.deployed(OWNER, rrset(OLD, NEW, LONG_OLD), [safe()], kept, NOW)
    early = dane.deployed(OWNER, rrset(OLD, NEW, LONG_OLD, LONG_NEW), [safe(), published(LONG_NEW)], kept, NOW)
    ready = dane.deployed(OWNER, rrset(OLD, NEW, LONG_OLD, LONG_NEW), [safe(), safe(LONG_NEW)], kept, NOW)
    first = dane.deployed(OWNER, rrset(OLD, NEW, LONG_NEW), [safe(), published(LONG_NEW)], kept, NOW)

    assert "no other TLSA record 3 1 2" in lacking.refusal.text
    assert "no other TLSA record 3 1 2" in early.refusal.text
    assert ready.refusal is None
    assert {pin.rdata for pin in ready.pins if pin.phase == Phase.RETIRING} == {OLD, LONG_OLD}
    assert first.refusal is None


def test_what_retires_stays_while_its_kind_has_only_what_caches_lack():
    before = rrset(OLD, NEW, LONG_OLD, LONG_NEW)
    retiring = [Pin(one, Phase.RETIRING, NOW, 7, 300) for one in (OLD, LONG_OLD)]

    assert dane.due(before, [*retiring, safe(), published(LONG_NEW)], NOW + 600) == {OLD}
    assert dane.due(before, [*retiring, safe(), safe(LONG_NEW)], NOW + 600) == {OLD, LONG_OLD}
    assert dane.due(rrset(OLD, NEW, LONG_OLD), [*retiring, safe()], NOW + 600) == {OLD, LONG_OLD}


def test_the_last_record_never_retires():
    """Somebody took the others away: it is the one again."""
    retiring = Pin(OLD, Phase.RETIRING, NOW, 7, 300)

    assert dane.due(rrset(OLD), [retiring], NOW + 10**6) == frozenset()
    assert judge(rrset(OLD, NEW), rrset(OLD), [retiring], managed=False) == dane.Verdict((), (OLD,))
    assert judge(rrset(OLD, NEW), rrset(OLD), [retiring]).refusal is not None


def test_nothing_retires_beside_what_caches_do_not_have_yet():
    """A plain client took away what was used, and added something else."""
    pins = [Pin(OLD, Phase.RETIRING, NOW, 7, 300), published()]

    assert dane.due(rrset(OLD, NEW), pins, NOW + 10**6) == frozenset()
    assert dane.due(rrset(OLD, NEW), [pins[0], safe()], NOW + 10**6) == {OLD}


def test_a_lease_that_ends_the_new_record_ends_its_roll():
    """What counts is what stands there, not what is remembered of it."""
    verdict = judge(rrset(OLD), rrset(OLD, NEW), [safe(seen_at=NOW)], now=NOW + 9)

    assert published(NEW, serial=None, since=NOW + 9) in verdict.pins


def test_what_a_lease_ends_is_remembered_like_what_its_owner_takes_away():
    """Caches do not know of leases."""
    gone = dane.lapsed(rrset(NEW), None, [published()], NOW)
    shorter = dane.lapsed(rrset(OLD, ttl=600), rrset(OLD, ttl=20), [], NOW)

    assert gone == dane.Verdict((Pin(b"", Phase.FADING, NOW, None, 300),), (NEW,))
    assert shorter.pins == (Pin(b"", Phase.FADING, NOW, None, 600),)


@pytest.mark.parametrize("usage", range(5))
def test_only_usages_of_the_zone_are_taken(usage):
    """DANE-EE and DANE-TA are by default; what is there already is left alone."""
    odd = bytes((usage, 1, 1)) + bytes(32)
    verdict = judge(None, rrset(odd), managed=False)

    assert (verdict.refusal is None) == (usage in (2, 3))
    assert judge(rrset(odd), rrset(odd, NEW), managed=False).refusal is None


def test_a_client_is_told_where_each_record_is():
    """The first octets of the data, the phase, and from when on it is safe."""
    pins = [published(seen_at=NOW), Pin(b"", Phase.FADING, NOW, 7, 300)]

    told = dane.describe(OWNER, rrset(OLD, NEW), pins)

    assert told == Service(
        OWNER, (Record(OLD[3:11], "established", None), Record(NEW[3:11], "published", NOW + 600 + MARGIN))
    )
    assert dane_option.read_services(dane_option.pack_services([told])) == (told,)


def test_the_serial_of_a_change_is_given_to_its_pins_alone():
    """What waits already keeps the serial that it waits for; what was signed late began when it was."""
    pins = dane.numbered([published(), published(NEXT, serial=None)], 9, NOW + 3)

    assert pins == (published(), published(NEXT, serial=9, since=NOW + 3))


@pytest.mark.parametrize(
    "wish",
    [
        Wish(Verb.MANAGED),
        Wish(Verb.STATE),
        Wish(Verb.REVOKE, frozenset({OLD[3:]})),
        Wish(Verb.DEPLOYED, frozenset({b"", b"x" * 300})),
    ],
)
def test_a_wish_is_read_as_it_was_written(wish):
    """And no beginning of it is anything but a refusal, or another wish of the same kind."""
    octets = dane_option.pack_wish(wish)

    assert dane_option.read_wish(octets) == wish
    for end in range(len(octets)):
        with contextlib.suppress(BadOption):
            assert dane_option.read_wish(octets[:end]).verb == wish.verb


@pytest.mark.parametrize("octets", [b"", b"\0", b"\5", b"\1\0\1x", b"\3", b"\4", b"\4\0", b"\4\0\2x"])
def test_an_option_that_says_nothing_is_refused(octets):
    """It is a format error, not a wish for something else."""
    with pytest.raises(BadOption):
        dane_option.read_wish(octets)
