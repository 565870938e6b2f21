"""Processes killed without a word, at any moment: every acknowledged update is still there, and nobody stays behind."""

import base64
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import dns.dnssec
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.zone
import pytest
from registry import anchor
from service import Service, alive, eventually, tree

SECRET = base64.b64encode(b"k" * 32).decode()
ZONES = {"a.example.": "nsec3", "b.example.": "nsec", "c.example.": "none"}
ZONE_FILE = """\
$TTL 60
@ SOA ns1 hostmaster 1 7200 3600 1209600 60
@ NS ns1
ns1 A 127.0.0.1
"""


class Writer(threading.Thread):
    """A client that writes one name after the other until told to stop, and knows what was acknowledged.

    *sent* holds the last value sent to each name, *acknowledged* the last one answered by NOERROR.
    """

    def __init__(self, service, zone):
        super().__init__()
        self.zone = zone
        self.sent = {}
        self.acknowledged = {}
        self.wrong = []
        self._service = service
        self._over = threading.Event()
        self._ring = dns.tsigkeyring.from_text({"k.": SECRET})

    def run(self):
        for number in range(100_000):
            if self._over.is_set():
                return
            owner = f"n{number % 40}.{self.zone}"
            value = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            message = dns.update.UpdateMessage(self.zone, keyring=self._ring, keyname="k.", keyalgorithm="hmac-sha256")
            message.replace(owner, 60, "A", value)
            self.sent[owner] = value
            # The same octets again where no answer came, as a client does: the answer is the stored one.
            wire = message.to_wire()
            while not self._over.is_set():
                answer = self._service.exchange(wire, timeout=1.0)
                if answer is None:
                    time.sleep(0.05)
                    continue
                code = answer[3] & 15
                if code == dns.rcode.NOERROR:
                    self.acknowledged[owner] = value
                    break
                if code == dns.rcode.SERVFAIL:  # an outage, said so: try again
                    time.sleep(0.05)
                    continue
                self.wrong.append(dns.rcode.to_text(code))
                break

    def stop(self):
        """Finish the message in hand and end."""
        self._over.set()
        self.join(60)
        assert not self.is_alive()


@pytest.fixture(scope="module")
def prepared():
    """Yield a service that has the zones and the key, and is not running."""
    made = Service()
    try:
        parts = [f'[[key]]\nname = "k."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n']
        for zone, denial in ZONES.items():
            (made.folder / f"{zone}zone").write_text(ZONE_FILE)
            parts.append(
                f'[[zone]]\nname = "{zone}"\nfile = "{zone}zone"\ndenial = "{denial}"\ngrants = [{{ key = "k." }}]\n'
            )
        made.apply("".join(parts), "--wait", "0")
        yield made
    finally:
        made.remove()


@pytest.fixture
def service(prepared):
    running = Service("--workers", "2", settings="")  # updates go on without the signer after a second
    try:
        subprocess.run(["cp", "-a", prepared.state, running.state], check=True)
        running.start()
        for zone, denial in ZONES.items():
            eventually(lambda zone=zone, denial=denial: running.published(zone, signed=denial != "none"))
        yield running
        running.stop()
    finally:
        running.remove()


@contextlib.contextmanager
def writers(service):
    """Keep one writer per zone busy, and check in the end that what they were told is true."""
    busy = [Writer(service, zone) for zone in ZONES]
    for writer in busy:
        writer.start()
    try:
        yield busy
    finally:
        for writer in busy:
            writer.stop()
    for writer in busy:
        assert not writer.wrong, (writer.zone, writer.wrong)
        assert writer.acknowledged, writer.zone


def nothing_is_lost(service, busy):
    """Check that each name holds what was acknowledged, or what was sent after it without hearing the answer."""
    for writer in busy:
        for owner, value in writer.acknowledged.items():
            allowed = ([value], [writer.sent[owner]])
            eventually(lambda owner=owner, allowed=allowed: service.values(owner, "A") in allowed)


def signed_zones_are_whole(service):
    """Check that each signed zone validates from its DS: what was committed unsigned has been signed meanwhile."""
    for zone, denial in ZONES.items():
        if denial == "none":
            continue
        text = service.export(zone).read_text()
        published = dns.zone.from_text(text, zone, relativize=False)
        keys = published.find_rdataset(zone, "DNSKEY")
        words = anchor(service, zone)[1]
        parent = dns.rdata.from_text("IN", "DS", " ".join(words))
        assert any(dns.dnssec.make_ds(zone, key, parent.digest_type) == parent for key in keys)
        for name, node in published.items():
            for rdataset in node:
                if rdataset.rdtype == dns.rdatatype.RRSIG:
                    continue
                signatures = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.RRSIG, rdataset.rdtype)
                assert signatures is not None, (name, rdataset)
                dns.dnssec.validate((name, rdataset), (name, signatures), {dns.name.from_text(zone): keys})


@pytest.mark.parametrize("role", ["worker", "signer", "postgres"])
def test_nothing_acknowledged_is_lost_when_a_process_is_killed_again_and_again(service, role):
    dice = random.Random(role)

    with writers(service) as busy:
        for _ in range(3):
            time.sleep(dice.uniform(0.3, 1.0))
            victims = eventually(lambda: service.pids(role))
            os.kill(dice.choice(victims), signal.SIGKILL)
            eventually(lambda: service.pids(role))
        time.sleep(1.0)

    nothing_is_lost(service, busy)
    eventually(lambda: not is_pending(service), timeout=60)
    signed_zones_are_whole(service)


def is_pending(service):
    """Tell whether a zone has changes that are not published yet."""
    return any("pending" in service.ddns("zone", "show", zone).lower() for zone in ZONES)


def test_updates_go_on_while_the_signer_is_away_and_are_signed_when_it_returns(service):
    (signer,) = eventually(lambda: service.pids("signer"))

    with writers(service) as busy:
        time.sleep(0.5)
        os.kill(signer, signal.SIGSTOP)
        time.sleep(3.0)
        os.kill(signer, signal.SIGCONT)
        time.sleep(1.0)

    nothing_is_lost(service, busy)
    eventually(lambda: not is_pending(service), timeout=60)
    signed_zones_are_whole(service)


def test_a_killed_supervisor_leaves_no_process_and_loses_nothing(service):
    with writers(service) as busy:
        time.sleep(1.0)
        service.kill()
        service.start()
        time.sleep(1.0)

    nothing_is_lost(service, busy)
    signed_zones_are_whole(service)


def test_a_clean_stop_in_the_middle_of_updates_loses_nothing(service):
    with writers(service) as busy:
        time.sleep(1.0)
        service.stop()
        service.start()
        time.sleep(0.5)

    nothing_is_lost(service, busy)


def test_all_processes_killed_at_once_lose_nothing(service):
    with writers(service) as busy:
        time.sleep(1.0)
        family = tree(service.process.pid)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        service.process.wait(60)
        eventually(lambda: not any(map(alive, family)))
        service.start()
        time.sleep(1.0)

    nothing_is_lost(service, busy)
    signed_zones_are_whole(service)


def test_serials_never_go_back_over_restarts(service):
    seen = {zone: service.committed_serial(zone) for zone in ZONES}
    ring = dns.tsigkeyring.from_text({"k.": SECRET})

    for number in range(3):
        for zone in ZONES:
            message = dns.update.UpdateMessage(zone, keyring=ring, keyname="k.", keyalgorithm="hmac-sha256")
            message.replace("n", 60, "TXT", f'"{number}"')
            assert service.send(message).rcode() == dns.rcode.NOERROR
            eventually(lambda zone=zone: service.committed_serial(zone) > seen[zone])
            seen[zone] = service.committed_serial(zone)
        service.kill()
        service.start()
        for zone in ZONES:
            assert service.serial(zone) >= seen[zone]
