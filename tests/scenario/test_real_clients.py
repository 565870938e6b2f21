"""nsupdate, knsupdate and dnspython, unchanged, against the real service."""

import contextlib
import os
import socket
import subprocess
import threading

import dns.rcode
import pytest
from registry import ZONES, change, keygen, knsupdate, nsupdate, tsig
from service import eventually
from tools import need

CLIENTS = {
    "nsupdate -y, SHA-256": lambda r, *a: nsupdate(r, tsig("k256"), *a),
    "nsupdate -y, SHA-384": lambda r, *a: nsupdate(r, tsig("k384"), *a),
    "nsupdate -y, SHA-512": lambda r, *a: nsupdate(r, tsig("k512"), *a),
    "nsupdate -k, SHA-256": lambda r, *a: nsupdate(r, ["-k", r.key_file("k256")], *a),
    "nsupdate -v, by TCP": lambda r, *a: nsupdate(r, tsig("k256"), *a, options=["-v"]),
    "knsupdate -y, SHA-256": lambda r, *a: knsupdate(r, tsig("k256"), *a),
    "knsupdate -y, SHA-512": lambda r, *a: knsupdate(r, tsig("k512"), *a),
    "knsupdate -v, by TCP": lambda r, *a: knsupdate(r, tsig("k256"), *a, options=["-v"]),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_client_with_a_tsig_key_adds_and_deletes_a_record(registry, zone, client):
    owner = f"{''.join(filter(str.isalnum, client)).lower()}.{zone}"
    before = registry.serial(zone)

    added = CLIENTS[client](registry, zone, f"update add {owner} 60 A 198.51.100.7")
    seen = registry.values(owner, "A")
    deleted = CLIENTS[client](registry, zone, f"update delete {owner} A")

    assert added[0] == 0, added[1]
    assert seen == ["198.51.100.7"]
    assert deleted[0] == 0, deleted[1]
    assert registry.ask(owner, "A").rcode() == dns.rcode.NXDOMAIN
    assert registry.serial(zone) == before + 2


@pytest.mark.parametrize("options", [[], ["-v"]], ids=["UDP", "TCP"])
@pytest.mark.parametrize("key", ["p256", "ed25519"])
def test_a_gateway_with_its_own_key_changes_its_own_names(registry, key, options):
    owner = registry.keys[key].name
    zone = owner.split(".", 1)[1]

    status, words = nsupdate(
        registry,
        ["-k", registry.path(owner)],
        zone,
        f"update delete {owner} A",
        f"update add {owner} 60 A 198.51.100.8",
        f"update add cam.{owner} 60 AAAA 2001:db8::8",
        options=options,
    )

    assert status == 0, words
    assert registry.values(owner, "A") == ["198.51.100.8"]
    assert registry.values(f"cam.{owner}", "AAAA") == ["2001:db8::8"]


def test_nsupdate_rolls_the_key_of_a_home_and_takes_it_from_nobody(registry):
    """A bare gateway with nsupdate and a key file needs no agent to get a new key; the owner's record stays his."""
    home = "rolls.plain.example."
    new = [keygen(registry.folder, home, algorithm) for algorithm in ("ECDSAP256SHA256", "ED25519")][1]
    paths = [next(registry.folder.glob(f"K{home}+{algorithm}+*.private")) for algorithm in ("013", "015")]
    registry.ddns("home", "add", "rolls", "--zone", "plain.example", "--sig0", paths[0].with_suffix(".key"))
    eventually(lambda: registry.values(home, "KEY"))

    status, words = nsupdate(registry, ["-k", paths[0]], home, f"update delete {home} KEY")
    assert (status, "REFUSED" in words) == (2, True), words
    assert [one.split()[2] for one in registry.values(home, "KEY")] == ["13"]
    status, words = nsupdate(
        registry, ["-k", paths[0]], home, f"update delete {home} KEY", f"update add {home} 300 KEY {new.rdata}"
    )
    assert status == 0, words

    eventually(lambda: [one.split()[2] for one in registry.values(home, "KEY")] == ["15"])
    lines = [f"update add {home} 60 A 192.0.2.7"]
    assert nsupdate(registry, ["-k", paths[0]], home, *lines)[0] == 2
    status, words = nsupdate(registry, ["-k", paths[1]], home, *lines)
    assert status == 0, words
    assert "roll-key" in registry.ddns("home", "history", "rolls", "--zone", "plain.example")
    said = registry.ddns("key", "revoke", home, "--reason", "it was burgled")
    assert "ddns gateway replace" in said
    eventually(lambda: registry.values(home, "KEY") == [])
    assert registry.values(home, "A") == ["192.0.2.7"]


def test_nsupdate_finds_the_zone_by_itself(registry):
    script = f"server 127.0.0.1 {registry.port}\nupdate add self.found.hash.example. 60 A 198.51.100.9\nsend\n"

    done = subprocess.run(
        [need("nsupdate"), *tsig("k256")], input=script, capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stderr
    assert registry.values("self.found.hash.example.", "A") == ["198.51.100.9"]


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("key", ["k256", "k384", "k512"])
def test_dnspython_updates_and_believes_the_signed_answer(registry, key, tcp):
    message = change("hash.example.", key)
    message.replace("python", 60, "A", "198.51.100.10")
    message.add("python", 60, "TYPE65280", r"\# 3 010203")

    answer = registry.send(message, tcp=tcp)

    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.had_tsig
    assert registry.values("python.hash.example.", "A") == ["198.51.100.10"]
    assert registry.values("python.hash.example.", "TYPE65280") == [r"\# 3 010203"]


class Wiretap:
    """A middleman on a port of its own that passes datagrams both ways and keeps what the client sent."""

    def __init__(self, port):
        self.sent = []
        self._server = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pass)

    def _pass(self):
        client = None
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                octets, peer = self._socket.recvfrom(65535)
                if peer == self._server:
                    self._socket.sendto(octets, client)
                else:
                    client = peer
                    self.sent.append(octets)
                    self._socket.sendto(octets, self._server)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        self._thread.join()
        self._socket.close()


def captured(registry, credentials, *lines):
    """Let nsupdate send one update through a wiretap and return the update's octets."""
    with Wiretap(registry.port) as tap:
        script = [f"server 127.0.0.1 {tap.port}", "zone hash.example.", *lines, "send", ""]
        done = subprocess.run(
            [need("nsupdate"), *credentials],
            input="\n".join(script),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    (update,) = {octets for octets in tap.sent if octets[2] >> 3 & 15 == 5}  # one that was late may be sent again
    return update


SIGNERS = {"TSIG": lambda registry: tsig("k256"), "SIG(0)": lambda registry: ["-k", registry.path("gw.hash.example.")]}


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_retransmission_gets_the_same_answer_and_one_serial(registry, signer):
    owner = "again.gw.hash.example."
    before = registry.serial("hash.example.")

    wire = captured(
        registry, SIGNERS[signer](registry), f"prereq nxdomain {owner}", f"update add {owner} 60 A 192.0.2.1"
    )
    answers = [registry.exchange(wire) for _ in range(3)]

    assert {answer[3] & 15 for answer in answers} == {dns.rcode.NOERROR}
    assert {answer[:2] for answer in answers} == {wire[:2]}
    assert registry.serial("hash.example.") == before + 1
    nsupdate(registry, tsig("k256"), "hash.example.", f"update delete {owner}")


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_replay_changes_nothing(registry, signer):
    owner = "replay.gw.hash.example."
    lines = [f"update delete {owner} A", f"update add {owner} 60 A 192.0.2.1"]
    wire = captured(registry, SIGNERS[signer](registry), *lines)
    nsupdate(registry, tsig("k256"), "hash.example.", f"update delete {owner} A", f"update add {owner} 60 A 192.0.2.2")
    before = registry.serial("hash.example.")

    registry.exchange(wire)
    registry.exchange(
        b"\x12\x34" + wire[2:]
    )  # SIG(0) covers the id, TSIG keeps it inside: another id is no other request

    assert registry.values(owner, "A") == ["192.0.2.2"]
    assert registry.serial("hash.example.") == before


def test_the_service_ran_as_an_ordinary_child(registry):
    assert os.getpid() != registry.process.pid
    assert registry.process.poll() is None
    assert "Traceback" not in registry.log.read_text()
