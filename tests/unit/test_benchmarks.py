"""What the benchmarks rely on: the homes they make, how they count, and the table that they print."""

import base64
import json
import math
import random
import socket
from collections import Counter

import flame
import homes
from latency import Latencies
from make_homes import CHUNK, by_rank, import_lines, tasks, zipf
from run.results import newest, table
from storm import presign
from storm.datagrams import Datagrams, address_of
from storm.gateways import address
from storm.resolvers import STRIDE, questions

from ddns.auth import keys, sig0
from ddns.dns import names, wire


def test_homes_are_those_of_the_comparison_harness():
    """Its query files and its updates are about the same names, addresses and keys; these are its values."""

    assert (homes.label(7), homes.label(1_000_000)) == ("h000007", "h1000000")
    assert (homes.ipv4(1), homes.ipv4(12345, 3)) == ("10.55.121.177", "10.45.35.14")
    assert homes.ipv6(70000, 3, 2) == "2001:db8:1170:1::3:2"
    assert homes.key_text(1).startswith("512 3 13 FX2e3/RMkOkyLwzpnNxA1adbQCeuOdhhb0bUZfnW")


def test_an_import_file_has_a_home_a_line_with_the_key_that_signs_its_updates():
    """The key is the public half of the one with which the storm signs."""

    lines = [json.loads(line) for line in import_lines((1000, 998, 2)).splitlines()]

    assert [line["label"] for line in lines] == ["h000999", "h001000"]
    flags, protocol, algorithm, public = lines[0]["key"].split()
    assert (flags, protocol, algorithm) == ("512", "3", "13")
    assert base64.b64decode(public) == homes.key_rdata(homes.private_key(999))[4:]
    assert [record.split()[2] for record in lines[0]["records"].splitlines()] == ["A", "AAAA", "AAAA", "TLSA"]


def test_files_are_made_in_pieces_that_join_in_order():
    """However many processes make them."""

    pieces = list(tasks(2500, 2500))

    assert [size for _, _, size in pieces] == [CHUNK, CHUNK, 500]
    assert [first for _, first, _ in pieces] == [0, CHUNK, 2 * CHUNK]


def test_wanted_names_are_wanted_as_often_as_their_rank_says():
    """Zipf: the second half as often as the first."""

    dice = random.Random(1)
    counts = Counter(zipf(dice, 1000) for _ in range(100_000))

    assert min(counts) == 1
    assert max(counts) <= 1000
    assert 1.5 < counts[1] / counts[2] < 1.9  # log 2 / log 1.5
    assert len({by_rank(rank, 1000) for rank in range(1000)}) == 1000


def test_every_home_comes_back_once_and_in_time():
    """In no order that its name gives away."""

    homes_count = 1100
    come = [one for task in presign.tasks(homes_count, 1050, 50.0, 1, 1_900_000_000) for one in presign.make(task)]

    assert len({number for _, number, _, _ in come}) == 1050
    assert {number for _, number, _, _ in come} <= set(range(1, homes_count + 1))
    assert all(at / 50 <= when < (at + 1) / 50 for at, (when, _, _, _) in enumerate(come))
    record = sig0.cut(next(octets for when, _, kind, octets in come if when > 15 and kind == presign.GOOD))
    assert sig0.in_time(record, 1_900_000_015) is None


def test_one_home_in_a_hundred_has_a_wrong_clock_and_one_a_wrong_key():
    """The first says 1970, of the others half name another key and half cannot have signed."""

    dice = random.Random(1)
    now = 1_900_000_000
    kinds = Counter(presign.kind_of(number) for number in range(1, 1001))
    wires = {number: presign.first_message(number, 1, dice, now) for number in (1, 7, 8, 108)}
    records = {number: sig0.cut(wire) for number, wire in wires.items()}

    assert kinds == {presign.GOOD: 980, presign.CLOCK: 10, presign.KEY: 10}
    assert [sig0.in_time(records[number], now) is None for number in wires] == [True, False, True, True]
    tags = {number: keys.key_tag(homes.key_rdata(homes.private_key(number))) for number in wires}
    assert [records[number].tag == tags[number] for number in wires] == [True, True, False, True]
    assert records[1].signer == names.from_text("h000001.homes.example.")


def test_latencies_are_told_within_two_per_cent():
    """However many there are, in the same memory."""

    some, others = Latencies(), Latencies()
    for milliseconds in range(1, 1001):
        (some if milliseconds % 2 else others).add(milliseconds / 1000)
    some.merge(others)

    assert some.number == 1000
    assert 0.5 <= some.at(0.5) < 0.511
    assert 0.99 <= some.at(0.99) <= 1.0
    assert some.summary()["max_ms"] == 1000.0
    assert math.isnan(Latencies().at(0.5))


def test_homes_of_one_storm_have_addresses_of_their_own():
    """A million of them, all on loopback, none that a resolver uses."""

    seen = {address(number) for number in range(1, 1_000_001, 997)}

    assert len(seen) == len(range(1, 1_000_001, 997))
    assert all(one[0] == 127 and 16 <= one[1] < 32 for one in seen)


def test_datagrams_leave_from_many_addresses_and_answers_are_told_apart():
    """One socket stands for all senders: who is asked sees another address for each, and its answers find them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        datagrams = Datagrams(server.getsockname())
        texts = bytearray(b"headtail")
        for slot in range(3):
            datagrams.source(slot, address(slot + 1))
            datagrams.put(slot, address_of(texts), slot + 1)
            datagrams.tail(slot, address_of(texts) + 4, 4)

        sent = datagrams.send(0, 3)
        heard = [server.recvfrom(100) for _ in range(3)]
        for octets, peer in heard:
            server.sendto(octets.upper(), peer)
        came = datagrams.receive()

        assert (sent, came) == (3, 3)
        assert [octets for octets, _ in heard] == [b"htail", b"hetail", b"heatail"]
        assert [socket.inet_aton(peer[0]) for _, peer in heard] == [address(1), address(2), address(3)]
        assert [datagrams.answer(slot) for slot in range(3)] == [
            (b"HTAIL", address(1)), (b"HETAIL", address(2)), (b"HEATAIL", address(3)),
        ]  # fmt: skip
        assert (datagrams.column(2, 3), datagrams.hosts(3, 3)) == (b"ATA", bytes((1, 2, 3)))
        datagrams.close()


def test_questions_are_made_ahead_and_their_numbers_say_who_asks_with_which_id():
    """Each is a question that parses, about a home or a name beside one."""
    made = questions(1000, 70, random.Random(1))

    seen = [bytes(made[at * STRIDE : at * STRIDE + made[at * STRIDE + STRIDE - 1]]) for at in range(70)]

    assert [int.from_bytes(one[:2], "big") for one in seen] == [at // 32 for at in range(70)]
    assert all(wire.question(one).end == len(one) for one in seen)
    assert all(b"\5homes\7example\0" in one for one in seen)


def line(what, who, value, unit="a CPU s", row="hot", run=1):
    return {"run": run, "row": row, "what": what, "who": who, "value": value, "unit": unit}


def test_the_table_has_medians_with_their_spread_and_ratios_with_their_bounds():
    """A goal that is reached, a floor, and what is below it; less is more where time is meant."""

    said = table(
        [
            *(line("UDP, hot", "ours", value) for value in (130_000, 140_000, 150_000)),
            line("UDP, hot", "knot", 100_000),
            line("UDP, hot", "nsd", 139_999),
            line("TCP", "ours", 50),
            line("TCP", "bind", 100),
            line("update to visible, p50 ms", "ours", 4.0, ""),
            line("update to visible, p50 ms", "bind", 4.0, ""),
            {"run": 1, "row": "dot", "who": "bind", "failed": "no such port"},
        ]
    )

    assert "| UDP, hot, a CPU s | 140k (130k..150k) | - | 100k | 140k |" in said
    assert "| UDP, hot, ours / Knot | 1.4 | 1.3 | 1 | goal |" in said
    assert "| UDP, hot, ours / NSD | 1 | 1.3 | 1 | floor |" in said
    assert "| TCP, ours / BIND | 0.5 | - | 1 | below the floor |" in said
    assert "| update to visible, p50 ms, ours / BIND | 1 | 0.8 | 1.5 | floor |" in said
    assert "- dot, BIND: no such port" in said


def test_a_row_that_is_measured_again_takes_the_place_of_what_was_measured_before():
    """Other rows stay as they are."""

    lines = [line("a", "ours", 1, run=1), line("b", "ours", 2, row="tcp", run=1), line("a", "ours", 3, run=2)]

    assert [one["value"] for one in newest(lines)] == [2, 3]


def test_samples_become_boxes_as_wide_as_their_part():
    """What only waits is left out, and no name can break the picture."""

    found = flame.read("main (ddns/worker.py);<lambda> (ddns/a.py) 3\nmain (ddns/worker.py);epoll_wait (libc.so.6) 9\n")
    drawn = flame.draw(found + Counter({("main (ddns/worker.py)", "b"): 1}), "CPU & time")

    assert "&lt;lambda&gt; (ddns/a.py): 75.0 %, 3 samples" in drawn
    assert "epoll_wait" not in drawn
    assert "CPU &amp; time" in drawn
