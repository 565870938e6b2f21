"""The parts of a selftest's registry: its trouble happens so often and no more, and nothing that goes by is lost."""

import os
import socket
import socketserver
import struct
import threading
import time

import msgspec
import pytest
from boxes_watched import ANEW, FIRST, GOOD, LOST, NEXT, ONE, OTHER, by_voucher, home, message, thumb, transcript
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding
from ports import free_port, servers_on

from ddns.cli import gateway_selftest
from ddns.cli.masa import command as masa
from ddns.dns import names
from ddns.gateway import pledge
from ddns.homes import registrar
from ddns.proof import idevid, jwk, voucher
from ddns.proof.bad import BadProof
from ddns.selftest.facts import Facts
from ddns.selftest.name_server import NameServer
from ddns.selftest.playing import Play, Trouble
from ddns.selftest.registrar import Maker
from ddns.selftest.steps import STEPS
from ddns.selftest.transcript import MOST, Given, Recorder
from ddns.selftest.voucher_checks import LATER, TRICKS

NOW = int(time.time())


def recorder():
    return Recorder(Given(method="invitation", zone=names.from_text("homes.example."), web=("ns.homes.example", 1)))


def test_trouble_happens_as_often_as_it_should():
    play = Play()
    play.begin(Trouble(stranger=1, busy=2, tricks=("serial", LATER)))

    assert [play.stranger(), play.stranger()] == [True, False]
    assert [play.busy(), play.busy(), play.busy()] == [True, True, False]
    assert not play.lost()
    assert [play.trick(), play.trick(), play.trick()] == ["serial", LATER, ""]


class _Echo(socketserver.BaseRequestHandler):
    def handle(self):
        octets, sock = self.request
        sock.sendto(b"answer to " + octets, self.client_address)


class _EchoStream(socketserver.StreamRequestHandler):
    def handle(self):
        octets = b"answer to " + self.rfile.read(struct.unpack("!H", self.rfile.read(2))[0])
        self.wfile.write(struct.pack("!H", len(octets)) + octets)


@pytest.fixture
def watched():
    """A name server that says everything back, and what stands before it."""
    port = free_port()
    behind = servers_on(port, _Echo, _EchoStream)
    for server in behind:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    play = Play()
    with NameServer("127.0.0.1", ("127.0.0.1", port), recorder(), play) as found:
        yield found, play
    for server in behind:
        server.shutdown()
        server.server_close()


def asked(server, octets):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        sock.connect(("127.0.0.1", server.port))
        sock.send(octets)
        return sock.recv(4096)


def test_what_goes_by_is_passed_on_and_written_down(watched):
    server, _ = watched

    assert asked(server, LOST) == b"answer to " + LOST
    with socket.create_connection(("127.0.0.1", server.port), 60) as sock, sock.makefile("rb") as file:
        for octets in (b"one", b"another"):
            sock.sendall(struct.pack("!H", len(octets)) + octets)
            assert file.read(struct.unpack("!H", file.read(2))[0]) == b"answer to " + octets

    events = server.recorder.transcript().events
    assert [(one.octets, one.answer, one.stream) for one in events] == [
        (LOST, b"answer to " + LOST, False),
        (b"one", b"answer to one", True),
        (b"another", b"answer to another", True),
    ]


def test_an_update_is_lost_and_a_question_is_not(watched):
    server, play = watched
    play.begin(Trouble(lost=1))

    assert asked(server, b"no update at all") == b"answer to no update at all"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", server.port))
        sock.send(LOST)
        assert server.recorder.wait(lambda found: len(found.events) == 2, 60, lambda: False)

    assert server.recorder.transcript().events[-1].answer == b""
    assert asked(server, LOST) == b"answer to " + LOST


def test_it_is_waited_until_it_is_there_and_no_longer_than_said():
    watching = recorder()
    watching.add(message(1, LOST))

    assert watching.wait(lambda found: bool(found.events), 60, lambda: False)
    assert not watching.wait(lambda _: False, 60, lambda: True), "there is no more to come"
    assert not watching.wait(lambda _: False, 0, lambda: False)


def test_what_was_done_before_the_end_is_seen():
    watching = recorder()

    def look():
        watching.add(message(1, LOST))
        return True

    assert watching.wait(lambda found: bool(found.events), 60, look)


def test_a_box_that_does_not_stop_fills_no_memory():
    watching = recorder()
    one = message(1, LOST)
    for _ in range(MOST + 3):
        watching.add(one)

    assert len(watching.transcript().events) == MOST


def test_enter_goes_on_once_and_an_end_of_input_never(monkeypatch):
    reading, writing = os.pipe()
    read = os.read
    monkeypatch.setattr(os, "read", lambda _, size: read(reading, size))

    go_on = gateway_selftest._asked_to_go_on()
    os.write(writing, b"\n\n")
    end = time.monotonic() + 60
    answers = []
    while sum(answers) < 2 and time.monotonic() < end:
        answers.append(go_on())
    os.close(writing)

    assert sum(answers) == 2
    assert not go_on()


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maker") / "acme"
    for words in (["init", str(folder)], ["device", "add", str(folder), "SN-1"]):
        assert CliRunner().invoke(masa, words).exit_code == 0
    return Maker(folder, "SN-1")


@pytest.mark.parametrize(
    ("trick", "code"),
    [
        ("serial", "voucher-other-serial"),
        ("nonce", "voucher-nonce-wrong"),
        ("expired", "voucher-expired"),
        ("domain", "voucher-other-domain"),
        ("signer", "voucher-signature-wrong"),
    ],
)
@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
def test_a_bad_voucher_is_bad_in_one_way(maker, trick, code, media):
    boxes = maker.folder / "boxes"
    box = pledge.read_identity(boxes / "SN-1.pem", boxes / "SN-1.key")
    mine, elsewhere = (registrar.of(bytes([n]) * 32, "ns.homes.example") for n in (1, 2))
    said = voucher.Voucher(
        serial_number="SN-1", created_on=NOW, assertion=voucher.Assertion.PROXIMITY, nonce=b"n" * 16,
        pinned_domain_cert=_der(mine.ca), idevid_issuer=idevid.extension_of(box.idevid.issuer),
    )  # fmt: skip
    certificate, key = maker._signer
    document = voucher.voucher_json(said)
    good = (
        voucher.write_jws(document, certificate, key)
        if media == voucher.JWS
        else voucher.write_cms(document, certificate, key, NOW)
    )
    anchors = pledge.read_anchors((maker.folder / "masa.pem").read_bytes())[:1]

    def judge(octets):
        return pledge.judge(octets, media, box, b"n" * 16, anchors, (mine.certificate, mine.ca), NOW)

    assert judge(good).domain == mine.ca
    with pytest.raises(BadProof) as bad:
        judge(maker.spoilt(good, media, trick, _der(elsewhere.ca)))

    assert bad.value.code == code
    assert set(TRICKS) == {"serial", "nonce", "expired", "domain", "signer"}


def _der(certificate):
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("method", STEPS)
def test_each_step_is_over_when_its_part_was_done_and_not_before(method):
    events = sorted(GOOD[method]().values(), key=lambda one: one.at)
    over = []
    for count in range(len(events) + 1):
        seen = Facts(transcript(method, dict(enumerate(_with_steps(method, events[:count])))))
        over.append([step.over(seen) for step in STEPS[method]])

    assert over[0] == [False] * len(STEPS[method])
    assert over[-1] == [True] * len(STEPS[method])
    for place in range(len(STEPS[method])):
        turns = [one[place] for one in over]
        assert turns == sorted(turns), "what was done stays done"


def _with_steps(method, events):
    """Say of each event in which step it was."""
    begins = {"invitation": {20: "publish", 30: "roll", 40: "reset"}, "owner": {20: "publish", 30: "reset"}}
    begins |= {"voucher": {50: "publish", 70: "reset"}, "qr": {20: "publish", 30: "reset"}}
    for one in events:
        step = "enrol"
        for at, name in begins[method].items():
            step = name if one.at >= at else step
        yield msgspec.structs.replace(one, step=step)


def test_keys_live_from_when_the_registry_took_them_until_another_one_comes():
    facts = Facts(transcript("invitation", GOOD["invitation"]()))

    assert [(jwk.kid(one.key), one.how) for one in facts.lives] == [
        (thumb(FIRST), "enrol"),
        (thumb(NEXT), "roll-key"),
        (thumb(ANEW), "enrol"),
    ]
    assert facts.lives[0].until == facts.lives[1].since
    assert facts.lives[1].home == home(ONE)
    assert jwk.kid(jwk.of(OTHER)) not in {jwk.kid(one.key) for one in facts.lives}
    assert [one.how for one in Facts(transcript("voucher", by_voucher())).lives] == ["enrol", "enrol"]
