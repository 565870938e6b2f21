"""Real signers under libfaketime: one whose clock is wrong signs nothing, and the zone stays what it was: secure."""

import json
import subprocess
import sys
import time

import dns.dnssec
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import psycopg
import pytest
from service import Service, eventually
from tools import need

from ddns import postgres

HOUR, YEAR = 3600, 365 * 86400
JUMPS = {"an-hour-fast": HOUR, "an-hour-slow": -HOUR, "ten-years-fast": 10 * YEAR, "ten-years-slow": -10 * YEAR}
ZONE = "homes.example."
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI="


class Faked:
    """`zone-signer run` beside a service, with a clock that lies as far off as `off` says, at once."""

    def __init__(self, service):
        self.service = service
        self.log = service.folder / "signer.log"
        self._clock = service.folder / "clock"
        self.process = None
        self.set(0)

    def set(self, seconds):
        """Have the clock lie so far off from now on."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._clock)

    def environment(self):
        preload = subprocess.run(
            [need("faketime"), "-m", "-f", "+0", "env"], check=True, capture_output=True, text=True
        ).stdout
        (library,) = [line for line in preload.splitlines() if line.startswith("LD_PRELOAD=")]
        return self.service.environment() | {
            "LD_PRELOAD": library.partition("=")[2],
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zone_signer.cli", "run", "--state", str(self.service.state)],
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def command(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "zone_signer.cli", *words, "--state", str(self.service.state)],
            env=self.environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def held(self):
        """Return why the signer signs nothing, by the machine's right clock."""
        said = json.loads(self.service.signer("clock", "show", "--json"))
        return [one["held"] for one in said["signers"]]


class Beside(Service):
    """A service whose signer is a process of its own."""

    def sql(self, statement):
        with psycopg.connect(postgres.socket_dsn(postgres.running(self.state), postgres.OWNER)) as conn:
            conn.execute(statement)


@pytest.fixture(scope="module")
def house():
    need("faketime")
    service = Beside("--no-signer", "--workers", "1", settings="")
    made = Faked(service)
    try:
        service.start()
        made.start()
        service.ddns("zone", "add", ZONE, "--wait", "60")
        service.ddns("key", "add", "k.example.", "--algorithm", "hmac-sha256", "--secret", SECRET)
        service.ddns("grant", "add", "k.example.", ZONE)
        eventually(lambda: service.signed(ZONE))
        yield made
        service.stop()
    finally:
        made.kill()
        service.remove()


@pytest.fixture
def faked(house):
    """The signer with a clock that is right, and all that there is published."""
    house.set(0)
    update(house.service, "192.0.2.1")
    eventually(lambda: look(house.service)[1] == "192.0.2.1")
    return house


def update(service, address):
    """Have www be at *address*; the answer must be that it is done."""
    ring = dns.tsigkeyring.from_text({"k.example.": SECRET})
    change = dns.update.UpdateMessage(ZONE, keyring=ring, keyalgorithm="hmac-sha256")
    change.replace("www", 60, "A", address)
    assert service.send(change).rcode() == dns.rcode.NOERROR


def look(service):
    """Return the zone's serial and what www is, all of it validated by the keys at the apex, at the right time."""
    origin = dns.name.from_text(ZONE)
    keys = service.answer(ZONE, "DNSKEY", dnssec=True).answer
    anchor = {origin: keys[0]}
    found = {}
    for name, rdtype in ((ZONE, "DNSKEY"), (ZONE, "SOA"), (f"www.{ZONE}", "A")):
        answer = service.answer(name, rdtype, dnssec=True).answer
        if not answer:
            continue
        rrset, sigs = answer
        dns.dnssec.validate(rrset, sigs, anchor, now=time.time())
        found[rdtype] = rrset[0]
    return found["SOA"].serial, found["A"].to_text() if "A" in found else None


def signatures(service):
    return sorted(one.to_text() for one in service.answer(ZONE, "SOA", dnssec=True).answer[1])


@pytest.mark.parametrize("off", [pytest.param(value, id=name) for name, value in JUMPS.items()])
def test_a_signer_whose_clock_jumps_leaves_the_zone_as_it_was_and_goes_on_by_itself(faked, off):
    service = faked.service
    before, made = look(service), signatures(service)

    faked.set(off)
    update(service, "192.0.2.2")

    (said,) = eventually(lambda: [held for held in faked.held() if held])
    assert "clock" in said
    update(service, "192.0.2.3")
    assert (look(service), signatures(service)) == (before, made)
    eventually(lambda: "signer.clock_refused" in faked.log.read_text())

    faked.set(0)

    eventually(lambda: look(service)[1] == "192.0.2.3")
    assert eventually(lambda: faked.held() == [""])
    assert "signer.bug" not in faked.log.read_text()


@pytest.mark.parametrize("off", [pytest.param(value, id=name) for name, value in JUMPS.items()])
def test_a_signer_that_starts_with_a_wrong_clock_signs_nothing_until_it_is_right(faked, off):
    service = faked.service
    before, made = look(service), signatures(service)
    faked.kill()
    faked.set(off)

    done = faked.command("once")
    faked.start()

    assert done.returncode == 1
    assert done.stderr.startswith("zone-signer: the clock is ")
    assert done.stderr.count("\n") == 1
    (said,) = eventually(lambda: [held for held in faked.held() if held])
    assert str(abs(off))[:2] in said or "s behind" in said
    update(service, "192.0.2.2")
    assert (look(service), signatures(service)) == (before, made)

    faked.set(0)

    eventually(lambda: look(service)[1] == "192.0.2.2")


def test_a_person_sees_what_is_wrong_and_says_that_the_clock_is_right(faked):
    """As behind a fast clock that was believed: the true time then lies before what was signed by."""
    service = faked.service
    faked.kill()
    service.sql("UPDATE signer_clock SET high = now() + interval '1 year'")
    faked.start()
    assert "behind the last time that was signed by" in eventually(lambda: "".join(faked.held()))
    shown = service.signer("clock", "show")
    assert "Believed   no: the clock is " in shown
    assert "zone-signer clock accept" in shown
    refused = faked.command("clock", "accept")
    assert (refused.returncode, "say --yes" in refused.stderr) == (1, True)

    said = service.signer("clock", "accept", "--yes")

    assert " is right. Signers whose clocks show that sign again" in said
    eventually(lambda: faked.held() == [""])
    update(service, "192.0.2.7")
    eventually(lambda: look(service)[1] == "192.0.2.7")
    assert "Believed   yes" in service.signer("clock", "show")
