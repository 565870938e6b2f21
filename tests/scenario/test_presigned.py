"""A zone that was signed elsewhere, brought in from its file and served: answers and proofs as the peers give them."""

import contextlib
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import hostile
import pytest
from line import Line
from peers import Peer
from published import read_zone
from service import eventually
from test_answers_beside_peers import explained, known, show, view

ORIGIN = "signed.test."
FILE = Path(__file__).parents[1] / "vectors" / "signed.zone"
QUESTIONS = 900


@pytest.fixture(scope="module")
def served(registry, tmp_path_factory):
    """Yield a line to our server and the three peers, all with the same file."""
    text = f"$ORIGIN {ORIGIN}\n{FILE.read_text()}"
    file = registry.folder / "presigned.zone"
    file.write_text(text)
    registry.ddns("zone", "import", file, "--origin", ORIGIN, "--denial", "none")
    eventually(lambda: registry.ask(ORIGIN, "SOA").answer)
    folder = tmp_path_factory.mktemp("presigned")
    line = Line(registry.port)
    with contextlib.ExitStack() as stack:
        yield line, [stack.enter_context(Peer(name, folder / name, {ORIGIN: file})) for name in ("nsd", "bind", "knot")]
    line.close()


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.AD, dns.flags.CD])
@pytest.mark.parametrize("do", [True, False])
def test_a_zone_that_was_signed_elsewhere_is_served_as_by_the_peers(served, do, flags):
    line, running = served
    questions = hostile.questions(
        read_zone(FILE.read_text(), ORIGIN), ORIGIN, seed=flags, limit=QUESTIONS if do and not flags else QUESTIONS // 9
    )
    unknown = []

    for name, rdtype in questions:
        message = dns.message.make_query(name, rdtype, want_dnssec=do, use_edns=0)
        message.flags = flags
        wire = message.to_wire()
        ours = view(line.exchange(wire))
        theirs = {peer.name: view(peer.ask(wire)) for peer in running}
        for peer, other in theirs.items():
            if other != ours and not known(peer, explained(peer, name, rdtype, ours, theirs)):
                unknown.append((f"{name} {dns.rdatatype.to_text(rdtype)}", peer, show(other), show(ours)))
        assert ours in theirs.values(), (name, rdtype, show(ours))

    assert not unknown, "\n".join(map(str, unknown[:20]))
