"""The gateway's exit statuses, each against a real server that gives a reason for it."""

import json
import re
import socket
import threading

import messages
import pytest
from messages import KeyFile, question, record
from ports import free_port
from service import Service
from test_gateway import WRONG_CLOCK, Home

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, KEY, CLOCK, LATER, UNPROVED = range(9)


@pytest.fixture
def home(registry, tmp_path, request):
    """An enrolled gateway with a home of this test's own."""
    label = re.sub(r"[^a-z]", "", request.node.name)[-20:]
    made = Home(registry, tmp_path / "gateway", f"x{label}")
    assert made("enrol", made.invitation)[0] == DONE
    return made


def moved(home, **changes):
    """Change what the gateway knows of its registry."""
    path = home.folder / "gateway.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_confirmed_is_0(home):
    assert home("publish", "cam", "--address", "192.0.2.1")[0] == DONE


def test_a_folder_that_cannot_be_used_is_1(home):
    (home.folder / "gateway.json").write_text("{")

    assert home("publish", "cam", "--address", "192.0.2.1")[0] == FAILED


def test_wrong_usage_is_2(home):
    assert home("publish", "cam", "--address", "not-an-address")[0] == USAGE


def test_what_policy_forbids_is_3_with_the_code_in_brackets(home):
    home.registry.ddns("home", "suspend", home.name)

    status, said = home("publish", "cam", "--address", "192.0.2.1")

    assert status == REFUSED
    assert said.endswith("[home-suspended]")


def test_silence_is_4(home):
    moved(home, port=free_port())

    assert home("publish", "cam", "--address", "192.0.2.1", wait=1)[0] == UNREACHABLE


def test_a_key_that_was_revoked_is_5(home):
    home.registry.ddns("key", "revoke", home.name)

    status, said = home("publish", "cam", "--address", "192.0.2.1")

    assert status == KEY
    assert "[sig0-key-unknown]" in said


def test_a_wrong_clock_that_nobody_can_prove_is_6(home):
    (home.folder / "clock.json").unlink(missing_ok=True)

    assert home("publish", "cam", "--address", "192.0.2.1", program=("-c", WRONG_CLOCK))[0] == CLOCK


@pytest.fixture
def strict(tmp_path):
    """A registry where one forged SIG(0) from a network uses up that network's ration for minutes."""
    settings = "[sig0]\nsource_burst = 1\nsource_rate = 0.001\n"
    running = Service("--workers", "1", settings=settings)
    try:
        running.ddns("zone", "add", "hash.example", "--ns", "ns1.hash.example", "--denial", "none")
        running.start()
        yield running
        running.stop()
    finally:
        running.remove()


def test_a_ration_that_is_used_up_is_7(strict, tmp_path):
    """The server answers and says later: nothing is wrong with the gateway."""
    home = Home(strict, tmp_path / "gateway", "later")
    assert home("enrol", home.invitation)[0] == DONE
    assert home("publish", "cam", "--address", "192.0.2.1")[0] == DONE
    key = KeyFile(next(home.folder.glob("K*.private")))
    wire = key.signed(messages.update([question(home.name)], [], [record(f"a.{home.name}", 1, 1, 60, bytes(4))]))
    forged = wire[:-1] + bytes([wire[-1] ^ 1])
    strict.exchange(forged)
    with socket.create_connection(("127.0.0.1", strict.port), timeout=30) as stream:  # it has a ration of its own
        stream.sendall(len(forged).to_bytes(2, "big") + forged)
        assert stream.recv(2)

    status, said = home("publish", "cam", "--address", "192.0.2.2", wait=5)

    assert status == LATER, said
    assert "[sig0-rationed]" in said
    assert home("status")[0] == LATER


class Liar:
    """A server that says NOERROR to everything and signs nothing."""

    def __enter__(self):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self._thread = threading.Thread(target=self._lie)
        self._thread.start()
        return self

    def _lie(self):
        while True:
            octets, peer = self._sock.recvfrom(65535)
            if not octets:
                return
            end = octets.index(b"\0", 12) + 5  # behind the zone section
            self._sock.sendto(octets[:2] + b"\xa8\0\0\1" + bytes(6) + octets[12:end], peer)

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._sock.close()


def test_an_answer_that_nobody_signed_is_8(registry, tmp_path):
    """The invitation is not spent, and the gateway does not think so."""
    home = Home(registry, tmp_path / "gateway", "xliar")
    with Liar() as liar:
        line = home.invitation.replace(f":{registry.port}/", f":{liar.port}/")
        assert line != home.invitation
        status, said = home("enrol", line, folder=tmp_path / "other", wait=5)

    assert status == UNPROVED, said
    assert "it is not signed" in said
    assert home("enrol", home.invitation)[0] == DONE
