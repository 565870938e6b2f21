"""Malformed messages and noise: the right code or silence, and a service that goes on."""

import contextlib
import random
import socket
import struct

import dns.rcode
import messages
import pytest
from messages import ANY, IN, NONE, TYPE_ANY, A, question, record, tsig_signed
from registry import SECRETS, ZONES

FORMERR, NOTAUTH = dns.rcode.FORMERR, dns.rcode.NOTAUTH
HASH = "hash.example."
ADDRESS = b"\x01\x02\x03\x04"
ZONE = [question(HASH)]
GOOD = record(f"good.{HASH}", A, IN, 60, ADDRESS)

# RFC 2136 §3.1.1: the zone section, and the code that it earns
BAD_ZONES = {
    "no zone": ([], FORMERR),
    "two zones": ([question(HASH), question(HASH)], FORMERR),
    "a zone of type A": ([question(HASH, A)], FORMERR),
    "a zone of class CH": ([question(HASH, rdclass=3)], NOTAUTH),
}
# RFC 2136 §3.2.5: type, class, TTL, data of one prerequisite
BAD_PREREQUISITES = {
    "a TTL": (A, ANY, 1, b""),
    "class ANY with data": (A, ANY, 0, ADDRESS),
    "class NONE with data": (A, NONE, 0, ADDRESS),
    "class CH": (A, 3, 0, b""),
}
# RFC 2136 §3.4.1.3: type, class, TTL, data of one operation, which follows a good one
BAD_OPERATIONS = {
    "add of type ANY": (TYPE_ANY, IN, 60, b"x"),
    "add of type AXFR": (252, IN, 60, b"x"),
    "add of type OPT": (41, IN, 60, b""),
    "add of a short address": (A, IN, 60, ADDRESS[:3]),
    "delete of an RRset with a TTL": (A, ANY, 60, b""),
    "delete of an RRset with data": (A, ANY, 0, ADDRESS),
    "delete of an RRset of type AXFR": (252, ANY, 0, b""),
    "delete of a record with a TTL": (A, NONE, 60, ADDRESS),
    "delete of a record of type ANY": (TYPE_ANY, NONE, 0, b""),
    "an operation of class CH": (A, 3, 60, ADDRESS),
}
MALFORMED = (
    {case: (messages.update(zones, updates=[GOOD]), code) for case, (zones, code) in BAD_ZONES.items()}
    | {
        f"a prerequisite with {case}": (messages.update(ZONE, [record(f"www.{HASH}", *fields)], [GOOD]), FORMERR)
        for case, fields in BAD_PREREQUISITES.items()
    }
    | {
        case: (messages.update(ZONE, updates=[GOOD, record(f"a.{HASH}", *fields)]), FORMERR)
        for case, fields in BAD_OPERATIONS.items()
    }
)


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_update_is_refused_whole(registry, case):
    wire, code = MALFORMED[case]
    before = registry.serial("hash.example.")

    answer = registry.exchange(tsig_signed(wire, "k256.", SECRETS["k256"]))

    assert answer[3] & 15 == code
    assert registry.serial("hash.example.") == before
    assert registry.values("good.hash.example.", "A") == []


def test_a_signed_update_cut_anywhere_changes_nothing_and_stops_nothing(registry):
    wire = tsig_signed(messages.update(ZONE, updates=[GOOD]), "k256.", SECRETS["k256"])
    before = registry.serial("hash.example.")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", registry.port))
        for end in range(len(wire)):
            sock.send(wire[:end])
        sock.settimeout(0.2)
        codes = set()
        with contextlib.suppress(TimeoutError):
            while True:
                codes.add(sock.recv(4096)[3] & 15)

    assert codes <= {FORMERR, dns.rcode.REFUSED}
    assert registry.serial("hash.example.") == before
    assert registry.values("good.hash.example.", "A") == []


def test_noise_stops_nothing(registry):
    noise = random.Random(8)
    before = {zone: registry.serial(zone) for zone in ZONES}

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", registry.port))
        for _ in range(2000):
            octets = bytearray(noise.randbytes(noise.randrange(0, 300)))
            if len(octets) > 12 and noise.random() < 0.7:
                octets[2:12] = struct.pack(
                    "!5H", noise.choice((0, 5 << 11, 4 << 11, 0x8000)), 1, 0, noise.randrange(3), noise.randrange(3)
                )
            sock.send(octets)
    with socket.create_connection(("127.0.0.1", registry.port)) as stream:
        stream.sendall(noise.randbytes(5000))
    with socket.create_connection(("127.0.0.1", registry.port)) as stream:
        stream.sendall(b"\xff\xff")

    assert {zone: registry.serial(zone) for zone in ZONES} == before
    assert registry.values("www.hash.example.", "A") == ["192.0.2.1", "192.0.2.2"]
    assert "Traceback" not in registry.log.read_text()
