"""Answers over UDP that do not fit: truncated, or not, as by BIND, Knot and NSD, for whatever size an asker names."""

import contextlib
import socket

import dns.flags
import dns.message
import hostile
import pytest
from asking import UDP
from peers import Peer
from published import image

from ddns.answer.responder import Responder
from ddns.answer.table import Table

ORIGIN = "big.test."
COUNTS = (1, 5, 10, 25, 40, 60, 80, 100)  # A records at a name, 16 octets each; more than 100 BIND does not load
SIZES = (None, 0, 512, 600, 1232, 4096, 65535)
ZONE = hostile.HEAD + "".join(
    f"n{count} A 10.0.{number // 256}.{number % 256}\n" for count in COUNTS for number in range(count)
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Yield what asks ours and the peers, and returns RCODE, AA, TC and the number of answers of each."""
    folder = tmp_path_factory.mktemp("sizes")
    file = folder / "zone"
    file.write_text(f"$ORIGIN {ORIGIN}\n{ZONE}")
    table = Table()
    table.install(image(ZONE, ORIGIN))
    responder = Responder(table)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Peer(name, folder / name, {ORIGIN: file})) for name in ("nsd", "bind", "knot")]
        sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.settimeout(20)

        def ask(wire):
            answers = {"ours": responder.respond(wire, UDP)}
            for peer in running:
                sock.sendto(wire, ("127.0.0.1", peer.port))
                answers[peer.name] = sock.recv(65535)
            return answers

        yield ask


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", SIZES)
def test_what_does_not_fit_is_truncated_as_by_the_peers(asked, count, size):
    query = dns.message.make_query(f"n{count}.{ORIGIN}", "A", use_edns=-1 if size is None else 0, payload=size or 0)

    seen = {}
    for server, wire in asked(query.to_wire()).items():
        answer = dns.message.from_wire(wire)
        truncated = bool(answer.flags & dns.flags.TC)
        records = sum(len(rrset) for rrset in answer.answer)
        seen[server] = answer.rcode(), bool(answer.flags & dns.flags.AA), truncated, 0 if truncated else records
        assert len(wire) <= max(size or 512, 512)

    assert set(seen.values()) == {seen["ours"]}, seen
