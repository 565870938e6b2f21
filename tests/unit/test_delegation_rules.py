"""Whether a delegation may be published, rule by rule: each alone, at its bound and one below or above."""

from __future__ import annotations

import struct

import pytest
import said
from msgspec.structs import replace
from said import HOME, NOW, NS1, NS2, REGISTRY, apex, cds, child, csync, dnskey, ds, server, servers, sign, soa

from ddns.delegate.proving import verify
from ddns.dns import ds as signer
from ddns.dns.codes import Type
from ddns.dns.names import from_text, prepend
from ddns.dns.records import RRset
from ddns.zone import acceptance, proof
from ddns.zone.acceptance import acceptable, askable
from ddns.zone.cds import DELETE_CDNSKEY, DELETE_CDS, Signal, from_cds, from_signals
from ddns.zone.child import Asked, Fault, ServerSaid, is_public
from ddns.zone.csync import IMMEDIATE, SOAMINIMUM, from_csync, types_of


def rule(fault):
    assert fault is None or fault.sentence.endswith(".")
    return None if fault is None else fault.rule


def judged(wanted=None, heard=None, **more):
    """Return the rule that a delegation breaks."""
    wanted, heard = wanted or child(), servers() if heard is None else heard
    return rule(acceptable(HOME, REGISTRY, wanted, heard, verify, more.pop("now", NOW), **more))


def glue(*addresses: str, name: bytes = NS1) -> RRset:
    octets = [bytes(int(part) for part in one.split(".")) for one in addresses]
    return RRset.of(name, Type.A, 60, octets)


# What is wanted


def test_a_delegation_to_servers_that_answer_alike_and_validate_is_acceptable():
    assert judged() is None


@pytest.mark.parametrize("origin", [REGISTRY, from_text("smith.other.test."), from_text("test.")])
def test_only_what_is_below_the_registry_is_delegated_from_it(origin):
    assert rule(askable(origin, REGISTRY, child())) == "other-name"


def test_a_delegation_needs_a_server():
    assert rule(askable(HOME, REGISTRY, child(servers=(), glue=()))) == "no-server"


@pytest.mark.parametrize("count", [acceptance.MOST_SERVERS, acceptance.MOST_SERVERS + 1])
def test_there_may_be_thirteen_servers(count):
    names = tuple(from_text(f"ns{number}.example.") for number in range(count))

    assert (rule(askable(HOME, REGISTRY, child(servers=names, glue=()))) == "too-many") == (count == 14)


@pytest.mark.parametrize("count", [acceptance.MOST_DS, acceptance.MOST_DS + 1])
def test_there_may_be_eight_ds(count):
    records = tuple(ds("a", digest=2)[:-1] + bytes([number]) for number in range(count))

    assert (rule(askable(HOME, REGISTRY, child(*records))) == "too-many") == (count == 9)


def test_a_server_below_the_child_needs_an_address_and_others_need_none():
    assert rule(askable(HOME, REGISTRY, child(glue=()))) == "no-address"
    assert rule(askable(HOME, REGISTRY, child(servers=(NS2,), glue=()))) is None


def test_glue_is_for_servers_below_the_child_and_for_nothing_else():
    outside = glue("11.0.0.1", name=NS2)
    idle = glue("11.0.0.1", name=prepend(b"www", HOME))
    text = RRset.of(NS1, Type.TXT, 60, [b"\1x"])

    assert rule(askable(HOME, REGISTRY, child(glue=(glue("11.0.0.1"), outside)))) == "glue-outside"
    assert rule(askable(HOME, REGISTRY, child(glue=(glue("11.0.0.1"), idle)))) == "glue-outside"
    assert rule(askable(HOME, REGISTRY, child(glue=(glue("11.0.0.1"), text)))) == "glue-outside"


@pytest.mark.parametrize("count", [acceptance.MOST_ADDRESSES, acceptance.MOST_ADDRESSES + 1])
def test_a_server_may_have_eight_addresses(count):
    wanted = child(glue=(glue(*(f"11.0.0.{number}" for number in range(1, count + 1))),))

    assert (rule(askable(HOME, REGISTRY, wanted)) == "too-many") == (count == 9)


def test_addresses_that_nobody_reaches_from_elsewhere_are_refused_unless_allowed():
    wanted = child(glue=(glue("10.0.0.1"),))
    heard = [server(address="10.0.0.1"), server(NS2, "12.0.0.2")]

    assert judged(wanted, heard) == "private"
    assert judged(wanted, heard, private=True) is None
    assert judged(heard=[server(), server(NS2, "127.0.0.1")]) == "private"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("11.0.0.1", True), ("9.255.255.255", True), ("10.0.0.0", False), ("172.31.255.255", False),
        ("172.32.0.1", True), ("192.168.0.1", False), ("100.64.0.1", False), ("127.0.0.53", False),
        ("169.254.0.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("2a00::1", True), ("::1", False), ("fe80::1", False),
        ("fd00::1", False), ("ff02::1", False), ("::ffff:127.0.0.1", False), ("::ffff:11.0.0.1", True),
        ("64:ff9b::10.0.0.1", False), ("64:ff9b::11.0.0.1", True), ("2002:7f00:1::1", False), ("2002:b00:1::1", True),
    ],
)  # fmt: skip
def test_an_address_is_public_where_everybody_can_reach_it(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(("digest", "fine"), [(1, False), (2, True), (3, False), (4, True)])
def test_a_ds_has_a_digest_that_is_trusted(digest, fine):
    sizes = {1: 20, 2: 32, 3: 32, 4: 48}
    record = ds("a", digest=digest) if fine else ds("a")[:3] + bytes([digest]) + bytes(sizes[digest])

    assert (rule(askable(HOME, REGISTRY, child(record))) == "digest") is not fine
    assert judged(child(record)) == (None if fine else "digest")


@pytest.mark.parametrize("size", [31, 32, 33])
def test_a_digest_has_its_length(size):
    assert signer.is_usable(ds("a")[:4] + bytes(size)) is (size == 32)


def test_a_child_loses_its_ds_only_where_somebody_has_asked_for_that():
    assert judged(child(ds=())) == "unsigned"
    assert judged(child(ds=()), insecure=True) is None


# What the servers say


def test_every_server_is_asked_at_every_address():
    two = child(glue=(glue("11.0.0.1", "11.0.0.9"),))

    assert judged(heard=servers()[:1]) == "lame"
    assert judged(two, servers()) == "lame"
    assert judged(two, [*servers(), server(address="11.0.0.9")]) is None


@pytest.mark.parametrize(
    "lame", [{"problem": "does not answer"}, {"authoritative": False}, {"soa": None}, {"serial": None}]
)
def test_one_server_that_does_not_answer_for_the_child_is_one_too_many(lame):
    assert judged(heard=[server(), server(NS2, "12.0.0.2", **lame)]) == "lame"


def test_servers_show_the_ns_records_that_are_to_be_published():
    one = apex(Type.NS, NS1)

    assert judged(heard=[server(), server(NS2, "12.0.0.2", ns=one)]) == "differs"
    assert judged(heard=servers(ns=one)) == "differs"
    assert judged(heard=servers(ns=None)) == "differs"


def test_servers_show_the_same_keys():
    other = apex(Type.DNSKEY, dnskey("a"), dnskey("b"))

    assert judged(heard=[server(), server(NS2, "12.0.0.2", dnskey=other)]) == "differs"
    assert judged(heard=servers(dnskey=other)) is None


@pytest.mark.parametrize("ttl", [acceptance.LONGEST_KEYS, acceptance.LONGEST_KEYS + 1])
def test_keys_have_a_ttl_of_two_days_at_most(ttl):
    keys = sign(RRset.of(HOME, Type.DNSKEY, ttl, [dnskey("a")]), "a")

    assert (judged(heard=servers(dnskey=keys)) == "ttl") == (ttl == 172_801)


@pytest.mark.parametrize("count", [acceptance.MOST_KEYS, acceptance.MOST_KEYS + 1])
def test_there_may_be_sixteen_keys(count):
    more = [struct.pack("!HBB", 256, 3, 13) + bytes([number]) * 64 for number in range(count - 1)]
    keys = sign(RRset.of(HOME, Type.DNSKEY, 60, [dnskey("a"), *more]), "a")

    assert (judged(heard=servers(dnskey=keys)) == "too-many") == (count == 17)


def test_a_ds_names_a_key_that_signed_the_keys():
    two = apex(Type.DNSKEY, dnskey("a"), dnskey("b"))

    assert judged(child(ds("b"))) == "bogus"
    assert judged(child(ds("b")), servers(dnskey=two)) == "bogus"
    assert judged(child(ds("a"), ds("b"))) is None
    assert judged(heard=servers(dnskey=None)) == "bogus"
    assert judged(heard=servers(dnskey=replace(two, sigs=()))) == "bogus"


@pytest.mark.parametrize(
    ("now", "fine"), [(NOW + 3600, True), (NOW + 3601, False), (NOW - 3600, True), (NOW - 3601, False)]
)
def test_signatures_are_valid_now(now, fine):
    assert judged(now=now) == (None if fine else "bogus")


def test_every_algorithm_of_the_ds_signs_keys_and_data():
    both = RRset.of(HOME, Type.DNSKEY, 60, [dnskey("a"), dnskey("e", 15)])
    half, other = sign(both, "a"), sign(both, "e", algorithm=15)
    keys = replace(half, sigs=(*half.sigs, *other.sigs))
    data = replace(sign(soa(), "a"), sigs=(*sign(soa(), "a").sigs, *sign(soa(), "e", algorithm=15).sigs))
    wanted = child(ds("a"), ds("e", 15))

    assert judged(wanted, servers(dnskey=half, soa=data)) == "bogus"
    assert judged(wanted, servers(dnskey=keys)) == "bogus"
    assert judged(wanted, servers(dnskey=keys, soa=data)) is None


@pytest.mark.parametrize("flags", [0x0001, 0x0181])
def test_a_key_that_is_no_zone_key_or_is_revoked_proves_nothing(flags):
    assert not signer.is_zone_key(struct.pack("!H", flags) + dnskey("a")[2:])
    assert signer.is_zone_key(dnskey("a"))


@pytest.mark.parametrize("bad", [proof.MOST_TRIES - 1, proof.MOST_TRIES])
def test_as_many_signatures_are_tried_as_are_worth_it(bad):
    good = sign(soa(), "a")
    sig = good.sigs[0]
    forged = [sig[:-1] + bytes([(sig[-1] + number) % 256]) for number in range(1, bad + 1)]
    flooded = replace(good, sigs=(*forged, sig))

    found = proof.made_by(HOME, flooded, [dnskey("a")], 13, verify, NOW)

    assert (found == sig) == (bad == 7)


def test_a_signature_for_a_wildcard_proves_nothing_of_a_name():
    wild = sign(RRset.of(prepend(b"*", HOME), Type.TXT, 60, [b"\1x"]), "a")

    assert verify(wild, wild.sigs[0], dnskey("a"), HOME, NOW)
    assert not verify(replace(wild, name=prepend(b"www", HOME)), wild.sigs[0], dnskey("a"), HOME, NOW)


def test_what_cannot_be_read_proves_nothing():
    good = sign(soa(), "a")

    assert not verify(good, b"\0" * 30, dnskey("a"), HOME, NOW)
    assert not verify(replace(good, rdatas=(b"\0",)), good.sigs[0], dnskey("a"), HOME, NOW)
    assert proof.made_by(HOME, replace(good, sigs=(b"", b"\0" * 18)), [dnskey("a")], None, verify, NOW) is None


# CDS

BOTH = {"dnskey": apex(Type.DNSKEY, dnskey("a"), dnskey("b"))}  # the next key is there, the old one signs
ROLL = BOTH | cds(ds("a"), ds("b"), keys=(dnskey("a"), dnskey("b")))


def asked(heard, present=None, newest=0, now=NOW):
    return from_cds(HOME, present or child(), heard, verify, newest, now)


def test_cds_that_all_servers_show_alike_are_followed():
    found = asked(servers(**ROLL))

    assert isinstance(found, Asked)
    assert set(found.child.ds) == {ds("a"), ds("b")}
    assert found.stamp == NOW - 3600
    assert (found.child.servers, found.child.glue) == (child().servers, child().glue)


def test_no_cds_or_cds_of_what_is_published_already_ask_for_nothing():
    assert asked(servers()) is None
    assert asked(servers(**cds(ds("a"), keys=(dnskey("a"),)))) is None


def test_cds_of_a_child_without_a_ds_are_proved_by_nothing():
    assert rule(asked(servers(**ROLL), child(ds=()))) == "unsigned"


@pytest.mark.parametrize("lame", [{"problem": "does not answer"}, {"authoritative": False}])
def test_a_server_that_is_away_does_not_agree(lame):
    assert rule(asked([server(**ROLL), server(NS2, "12.0.0.2", **ROLL | lame)])) == "lame"
    assert rule(asked([server(**ROLL)])) == "lame"


@pytest.mark.parametrize(
    "other",
    [
        BOTH,
        BOTH | cds(ds("a"), keys=(dnskey("a"),)),
        BOTH | {"cds": ROLL["cds"]},
        BOTH | {"cdnskey": ROLL["cdnskey"]},
        BOTH | {"cds": ROLL["cds"], "cdnskey": apex(Type.CDNSKEY, dnskey("b"))},
        BOTH | cds(DELETE_CDS, keys=(DELETE_CDNSKEY,)),
    ],
    ids=["none", "fewer", "no CDNSKEY", "no CDS", "another CDNSKEY", "delete"],
)
def test_cds_and_cdnskey_name_the_same_keys_at_every_server(other):
    """RFC 9975 §3.1; an answer that there is none is an answer."""
    assert rule(asked([server(**ROLL), server(NS2, "12.0.0.2", **other)])) == "differs"
    assert rule(asked([server(**other), server(NS2, "12.0.0.2", **ROLL)])) == "differs"


def test_servers_may_name_a_key_by_different_digests():
    long = BOTH | cds(ds("a", digest=4), ds("b", digest=4), keys=(dnskey("a"), dnskey("b")))

    found = asked([server(**ROLL), server(NS2, "12.0.0.2", **long)])

    assert isinstance(found, Asked)
    assert set(found.child.ds) == {ds("a"), ds("b"), ds("a", digest=4), ds("b", digest=4)}


def test_a_key_that_is_named_by_a_digest_that_is_not_trusted_gets_one_that_is():
    weak = signer.of(HOME, dnskey("b"))[:3] + b"\1" + bytes(20)

    found = asked(servers(**BOTH | cds(ds("a"), weak, keys=(dnskey("a"), dnskey("b")))))

    assert isinstance(found, Asked)
    assert set(found.child.ds) == {ds("a"), ds("b")}


def test_cds_are_signed_by_a_key_that_the_present_ds_name():
    """RFC 7344 §4.1: a key that is in the zone alone may be anybody's who has taken it."""
    stranger = BOTH | cds(ds("b"), keys=(dnskey("b"),), by="b")

    assert rule(asked(servers(**stranger))) == "bogus"
    assert rule(asked(servers(**ROLL), child(ds("c")))) == "bogus"
    assert rule(asked(servers(**ROLL), now=NOW + 3601)) == "bogus"


def test_cds_that_would_break_the_zone_are_not_followed():
    lone = BOTH | cds(ds("b"), keys=(dnskey("b"),))  # nothing is signed by b

    assert rule(asked(servers(**lone))) == "bogus"


@pytest.mark.parametrize(("newest", "fine"), [(NOW - 3600, True), (NOW - 3599, False)])
def test_cds_signed_before_those_that_were_followed_last_are_a_replay(newest, fine):
    found = asked(servers(**ROLL), newest=newest)

    assert isinstance(found, Asked) if fine else rule(found) == "older"


def test_all_servers_asking_for_no_ds_get_none():
    found = asked(servers(**cds(DELETE_CDS, keys=(DELETE_CDNSKEY,))))

    assert isinstance(found, Asked)
    assert found.child.ds == ()


def test_asking_for_a_ds_and_for_none_is_asking_for_nothing():
    heard = servers(**BOTH | cds(ds("a"), DELETE_CDS, keys=(dnskey("a"), DELETE_CDNSKEY)))

    assert rule(asked(heard)) == "differs"


def test_a_cds_of_a_key_that_nobody_has_is_not_followed():
    heard = servers(**BOTH | cds(ds("a"), ds("c"), keys=(dnskey("a"), dnskey("b"))))

    assert rule(asked(heard)) == "differs"


# RFC 9615

FIRST = cds(ds("a"), keys=(dnskey("a"),))
SIGNALS = {NS2: Signal((ds("a"),), (dnskey("a"),))}


def signalled(heard, signals, present=None):
    return from_signals(HOME, present or child(ds=()), heard, signals, verify, NOW)


def test_a_first_ds_is_given_where_the_zone_of_every_server_outside_signals_it():
    found = signalled(servers(**FIRST), SIGNALS)

    assert isinstance(found, Asked)
    assert found.child.ds == (ds("a"),)


def test_without_a_signal_of_the_same_there_is_no_first_ds():
    assert rule(signalled(servers(**FIRST), {})) == "no-signal"
    assert rule(signalled(servers(**FIRST), {NS2: Signal((ds("b"),), (dnskey("b"),))})) == "differs"
    assert rule(signalled([server(**FIRST), server(NS2, "12.0.0.2")], SIGNALS)) == "differs"
    assert rule(signalled([server(**FIRST)], SIGNALS)) == "lame"


def test_signals_are_for_children_without_a_ds_that_have_servers_outside():
    assert signalled(servers(**FIRST), SIGNALS, child()) is None
    assert signalled([server(**FIRST)], {}, child(ds=(), servers=(NS1,))) is None
    assert signalled(servers(), SIGNALS) is None
    assert signalled(servers(**cds(DELETE_CDS, keys=(DELETE_CDNSKEY,))), SIGNALS) is None


def test_a_first_ds_that_would_break_the_zone_is_not_given():
    heard = servers(**FIRST | {"soa": replace(said.sign(soa(), "a"), sigs=())})

    assert rule(signalled(heard, SIGNALS)) == "bogus"


# CSYNC

NS3 = from_text("ns3.smith.homes.test.")
ADDRESS, OTHER = bytes((11, 0, 0, 3)), bytes((11, 0, 0, 4))


def host(*addresses: bytes, name: bytes = NS3):
    return sign(RRset.of(name, Type.A, 60, addresses), "a")


MOVE = {
    "csync": csync(5, IMMEDIATE | SOAMINIMUM, Type.NS, Type.A, Type.AAAA),
    "ns": apex(Type.NS, NS2, NS3),
    "hosts": (host(ADDRESS),),
}


def synchronised(heard, present=None, serial=None):
    return from_csync(HOME, present or child(), heard, verify, serial, NOW)


def test_csync_copies_servers_and_the_addresses_of_those_below_the_child():
    found = synchronised(servers(**MOVE))

    assert isinstance(found, Asked)
    assert set(found.child.servers) == {NS2, NS3}
    assert found.child.glue == (RRset(NS3, Type.A, 60, (ADDRESS,)),)
    assert found.child.ds == child().ds
    assert found.stamp == 5


def test_no_csync_or_one_of_what_is_published_already_asks_for_nothing():
    same = {"csync": csync(5, IMMEDIATE, Type.NS, Type.A), "hosts": (host(bytes((11, 0, 0, 1)), name=NS1),)}

    assert synchronised(servers()) is None
    assert synchronised(servers(**same)) is None


def test_csync_is_for_children_with_a_ds():
    assert rule(synchronised(servers(**MOVE), child(ds=()))) == "unsigned"


def test_csync_of_one_server_is_not_that_of_all():
    assert rule(synchronised([server(**MOVE), server(NS2, "12.0.0.2")])) == "differs"
    assert rule(synchronised([server(**MOVE)])) == "lame"
    assert rule(synchronised([server(**MOVE), server(NS2, "12.0.0.2", **MOVE | {"problem": "is away"})])) == "lame"


@pytest.mark.parametrize(
    "other",
    [
        {"csync": csync(5, IMMEDIATE | SOAMINIMUM, Type.NS)},
        {"csync": csync(5, SOAMINIMUM, Type.NS, Type.A, Type.AAAA)},
        {"csync": csync(6, IMMEDIATE | SOAMINIMUM, Type.NS, Type.A, Type.AAAA)},
        {"ns": apex(Type.NS, NS3)},
        {"hosts": (host(OTHER),)},
        {"hosts": ()},
    ],
    ids=["types", "immediate", "not ripe", "servers", "addresses", "no addresses"],
)
def test_servers_that_show_different_csync_or_data_move_nothing(other):
    """RFC 9975 §3.2; flags, types and data are equal, and every server's serial fits its own CSYNC."""
    assert rule(synchronised([server(**MOVE), server(NS2, "12.0.0.2", **MOVE | other)])) == "differs"


def test_serials_of_csync_may_differ_between_servers_that_have_different_serials():
    late = MOVE | {
        "csync": csync(9, IMMEDIATE | SOAMINIMUM, Type.NS, Type.A, Type.AAAA), "serial": 9, "soa": sign(soa(9), "a"),
    }  # fmt: skip

    found = synchronised([server(**MOVE), server(NS2, "12.0.0.2", **late)])

    assert isinstance(found, Asked)
    assert found.stamp == 5


def test_a_csync_that_is_not_immediate_waits_for_somebody():
    heard = servers(**MOVE | {"csync": csync(5, SOAMINIMUM, Type.NS, Type.A, Type.AAAA)})

    assert rule(synchronised(heard)) == "approval"


@pytest.mark.parametrize(("serial", "ripe"), [(5, True), (6, False)])
def test_a_csync_waits_until_the_zone_has_reached_its_serial(serial, ripe):
    heard = servers(**MOVE | {"csync": csync(serial, IMMEDIATE | SOAMINIMUM, Type.NS, Type.A, Type.AAAA)})

    assert (synchronised(heard) is not None) == ripe


@pytest.mark.parametrize(("last", "older"), [(5, False), (6, True)])
def test_a_csync_older_than_the_last_that_was_followed_is_a_replay(last, older):
    found = synchronised(servers(**MOVE), serial=last)

    assert rule(found) == "older" if older else isinstance(found, Asked)


@pytest.mark.parametrize("bad", [csync(5, IMMEDIATE | 0x4, Type.NS), csync(5, IMMEDIATE, Type.NS, Type.DS)])
def test_a_csync_with_a_flag_or_a_type_that_is_not_known_is_not_followed(bad):
    assert rule(synchronised(servers(**MOVE | {"csync": bad}))) == "unknown"


@pytest.mark.parametrize(
    "bogus",
    [{"ns": replace(MOVE["ns"], sigs=())}, {"hosts": (replace(MOVE["hosts"][0], sigs=()),)}, {"ns": None},
     {"csync": replace(MOVE["csync"], sigs=())}],
    ids=["servers", "addresses", "no servers", "csync"],
)  # fmt: skip
def test_what_is_not_signed_is_not_copied(bogus):
    assert rule(synchronised(servers(**MOVE | bogus))) == "bogus"


def test_a_new_server_below_the_child_comes_with_its_address_or_not_at_all():
    assert rule(synchronised(servers(**MOVE | {"csync": csync(5, IMMEDIATE, Type.NS)}))) == "no-address"


def test_addresses_that_are_not_to_be_copied_stay():
    six = sign(RRset.of(NS1, Type.AAAA, 60, [bytes(15) + b"\1"]), "a")
    found = synchronised(servers(csync=csync(5, IMMEDIATE, Type.AAAA), hosts=(six,)))

    assert isinstance(found, Asked)
    assert {(one.type, one.rdatas) for one in found.child.glue} == {
        (Type.A, (bytes((11, 0, 0, 1)),)), (Type.AAAA, six.rdatas),
    }  # fmt: skip


def test_types_of_a_bitmap_are_read_and_what_is_cut_off_is_left_out():
    assert types_of(bytes((0, 1, 0x60, 1, 1, 0x80))) == {1, 2, 256}
    assert types_of(bytes((0, 4, 0x20))) == {2}
    assert types_of(b"\0") == set()


def test_what_a_server_says_has_names_for_people():
    assert ServerSaid(NS1, "11.0.0.1").who == "ns1.smith.homes.test. 11.0.0.1"
    assert Fault("lame", "It is.").sentence == "It is."
