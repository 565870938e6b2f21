"""Odd questions beside BIND, Knot and NSD, over TCP: RCODE, flags, counts of sections, EDNS, or silence."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import differences
import dns.exception
import dns.message
import dns.rcode
import hostile
import odd_questions
import pytest
from asking import TCP
from line import Line
from peers import Peer, as_read
from published import image

from ddns.answer.cookies import Cookies
from ddns.answer.options import Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table

ODD = {odd.id: odd for odd in odd_questions.table()}
PEERS = ("nsd", "bind", "knot")


def view(wire):
    """Return what is compared: RCODE, flags, opcode, the records of answer and authority, and EDNS."""
    if wire is None:
        return ("silence",)
    head = (wire[3] & 15, f"{wire[2] << 8 | wire[3] & 0xF0:04x}")
    try:
        message = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return (*head, "unreadable")
    sections = tuple(
        frozenset((rrset.name, rrset.rdtype, frozenset(rdata.to_digestable() for rdata in rrset)) for rrset in section)
        for section in (message.answer, message.authority)
    )
    return (dns.rcode.to_text(message.rcode()), head[1], len(message.question), *sections, message.edns)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Ask everybody everything and return the answers by question and server."""
    folder = tmp_path_factory.mktemp("odd")
    file = folder / "zone"
    file.write_text(f"$ORIGIN {odd_questions.ZONE}\n{hostile.PLAIN}")
    table = Table()
    table.install(image(hostile.PLAIN, odd_questions.ZONE))
    responder = Responder(table, Options(cookies=Cookies(b"s" * 16)))
    found = {(odd.id, "ours"): view(responder.respond(odd.wire, TCP)) for odd in ODD.values()}

    def ask(peer):
        line = Line(peer.port, patience=1.0)
        for odd in ODD.values():
            found[odd.id, peer.name] = view(line.exchange(odd.wire))
        line.close()

    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Peer(name, folder / name, {odd_questions.ZONE: file})) for name in PEERS]
        with ThreadPoolExecutor() as threads:
            list(threads.map(ask, running))
    return found


@pytest.mark.parametrize("case", ODD)
def test_an_odd_question_is_answered_as_by_the_peers(answers, case):
    ours = answers[case, "ours"]
    others = [peer for peer in PEERS if answers[case, peer] != ours]

    unexplained = [peer for peer in others if peer not in differences.peers(ODD[case].differs)]
    read = [peer for peer in unexplained if as_read(peer)]
    assert not read, "".join(f"\n{one}: {answers[case, one]}" for one in ("ours", *read))
    assert len(unexplained) < len(PEERS), "ours is alone"
