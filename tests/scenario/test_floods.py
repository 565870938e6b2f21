"""Floods on a real service that exempts nobody: forged updates, a hostile home, and questions that come too fast."""

import contextlib
import socket
import struct

import dns.flags
import dns.message
import dns.query
import dns.rcode
import messages
import pytest
from registry import keygen
from service import Service, eventually

SETTINGS = "[rrl]\nexempt = []\nanswers = 50\nerrors = 50\n"
ZONE = "flood.example."
HOMES = ("one", "two")
BURST = 5000


@pytest.fixture(scope="module")
def service():
    """Yield a service with a zone in which two homes may write."""
    running = Service("--workers", "1", settings=SETTINGS)
    try:
        running.keys = {home: keygen(running.folder, f"{home}.{ZONE}", "ECDSAP256SHA256") for home in HOMES}
        running.keys["stranger"] = keygen(running.folder, f"stranger.{ZONE}", "ECDSAP256SHA256")
        (running.folder / "zone").write_text(
            "$TTL 300\n@ SOA ns1 h 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n"
        )
        parts = [
            f'[[key]]\nname = "{running.keys[home].name}"\nsig0 = "{running.keys[home].rdata}"\n' for home in HOMES
        ]
        grants = ", ".join(f'{{ key = "{home}.{ZONE}", name = "{home}.{ZONE}" }}' for home in HOMES)
        parts.append(f'[[zone]]\nname = "{ZONE}"\nfile = "zone"\ndenial = "none"\ngrants = [{grants}]\n')
        running.apply("\n".join(parts))
        running.start()
        eventually(lambda: running.values(ZONE, "SOA"))
        yield running
        running.stop()
    finally:
        running.remove()


def from_address(address):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


def update(service, home, last):
    owner = f"{home}.{ZONE}"
    change = [
        messages.record(owner, messages.A, messages.ANY),
        messages.record(owner, messages.A, messages.IN, 300, bytes((10, 0, last >> 8, last & 255))),
    ]
    return service.keys[home].signed(messages.update([messages.question(ZONE)], (), change))


def deliver(service, wire, address):
    """Send as the gateway agent does: UDP, again where nothing comes back, TCP where the answer has TC."""
    with from_address(address) as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", service.port))
        for _ in range(20):
            sock.send(wire)
            with contextlib.suppress(TimeoutError):
                answer = sock.recv(4096)
                if not answer[2] & 2:
                    return answer[3] & 15
                break
    with socket.socket() as stream:
        stream.settimeout(20)
        stream.bind((address, 0))
        stream.connect(("127.0.0.1", service.port))
        stream.sendall(struct.pack("!H", len(wire)) + wire)
        return stream.recv(4096)[5] & 15


@pytest.mark.parametrize("kind", ["unknown", "known", "victim"])
def test_a_flood_of_forged_updates_stops_neither_the_owner_nor_the_questions(service, kind):
    """Unknown keys; known ones with wrong signatures; and these from the owner's own address."""
    number = ["unknown", "known", "victim"].index(kind)
    assert deliver(service, update(service, "one", 256 * number), "127.9.0.1") == dns.rcode.NOERROR
    wire = update(service, "one" if kind != "unknown" else "two", 7)
    if kind == "unknown":
        wire = service.keys["stranger"].signed(messages.update([messages.question(ZONE)]))
    socks = [from_address("127.9.0.1" if kind == "victim" else f"127.77.{at}.1") for at in range(50)]
    try:
        for at in range(BURST):
            octets = bytearray(wire)
            octets[-2:] = struct.pack("!H", at)
            socks[at % 50].sendto(octets, ("127.0.0.1", service.port))

        known = deliver(service, update(service, "one", 256 * number + 1), "127.9.0.1")
        moved = deliver(service, update(service, "one", 256 * number + 2), f"127.9.{number + 1}.1")
    finally:
        for sock in socks:
            sock.close()

    assert (known, moved) == (dns.rcode.NOERROR, dns.rcode.NOERROR)
    assert service.values(f"one.{ZONE}", "A") == [f"10.0.{number}.2"]


def test_a_home_that_floods_good_updates_does_not_keep_another_out(service):
    """Both are served, and what is too much is told to come back or to come by TCP."""
    flood = [update(service, "one", 1000 + at) for at in range(400)]
    with from_address("127.9.0.1") as sock:
        for wire in flood:
            sock.sendto(wire, ("127.0.0.1", service.port))

        assert deliver(service, update(service, "two", 5), "127.10.0.1") == dns.rcode.NOERROR
    assert service.values(f"two.{ZONE}", "A") == ["10.0.0.5"]


def test_questions_that_come_too_fast_get_truncated_answers_or_none(service):
    """One network's flood; another network, TCP and who has a cookie are answered."""
    question = dns.message.make_query(f"ns1.{ZONE}", "A", use_edns=0)
    wire = question.to_wire()
    received = []
    with from_address("127.88.0.1") as sock:
        for _ in range(20):
            for _ in range(50):
                sock.sendto(wire, ("127.0.0.1", service.port))
            sock.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                while True:
                    received.append(sock.recv(4096))
        full = [octets for octets in received if not octets[2] & 2]
        cut = [octets for octets in received if octets[2] & 2]

        assert 0 < len(full) < 500
        assert 0 < len(cut) < 600
        assert all(len(octets) <= len(wire) for octets in cut)

    service.values(ZONE, "SOA")  # the flood has been read
    other = dns.query.udp(question, "127.0.0.1", port=service.port, source="127.89.0.1", timeout=20)
    by_tcp = dns.query.tcp(question, "127.0.0.1", port=service.port, source="127.88.0.1", timeout=20)
    assert [len(answer.answer) for answer in (other, by_tcp)] == [1, 1]
    assert not other.flags & dns.flags.TC
