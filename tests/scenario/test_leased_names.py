"""Leases and replays at the real service: workers that are killed, and a second server on the same database."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import struct

import dns.edns
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import messages
import psycopg
import pytest
from registry import keygen
from service import Service, eventually

from ddns import postgres

SECRET = base64.b64encode(b"k" * 32).decode()
ZONE = "a.example."
ZONE_FILE = "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ NS ns1\nns1 A 127.0.0.1\n"
REGISTRY = f"""
[[key]]
name = "k."
algorithm = "hmac-sha256"
secret = "{SECRET}"
[[zone]]
name = "{ZONE}"
file = "zone"
denial = "nsec3"
grants = [{{ key = "k." }}]
"""


@pytest.fixture(scope="module")
def service():
    """Yield a service with two workers."""
    # Updates wait for their signatures: those that are kept unsigned come to be published together, in one serial.
    running = Service("--workers", "2", settings="[signer]\nwait = 25.0\n")
    try:
        (running.folder / "zone").write_text(ZONE_FILE)
        running.apply(REGISTRY, "--wait", "0")
        running.start()
        eventually(lambda: running.signed(ZONE))
        yield running
        running.stop()
    finally:
        running.remove()


@contextlib.contextmanager
def second(service):
    """Run another `ddns serve` on the same database, with the same `secrets.key`."""
    folder = postgres.running(service.state)
    other = Service("--workers", "1", "--no-signer", "--dsn", postgres.socket_dsn(folder, postgres.OWNER))
    try:
        other.state.mkdir(mode=0o711)
        shutil.copy(service.state / "secrets.key", other.state)
        other.start()
        yield other
        other.stop()
    finally:
        other.remove()


def change(*lease):
    """Return an update that asks for a lease, as octets of which none will ever differ."""
    ring = dns.tsigkeyring.from_text({"k.": SECRET})
    message = dns.update.UpdateMessage(ZONE, keyring=ring, keyname="k.", keyalgorithm="hmac-sha256")
    options = [dns.edns.GenericOption(2, struct.pack(f"!{len(lease)}I", *lease))] if lease else []
    message.use_edns(0, options=options)
    return message


def granted(octets):
    """Return the lease in an answer, which its sender's key must have signed."""
    answer = dns.message.from_wire(octets, keyring=lambda *_: False)
    assert answer.had_tsig
    assert answer.rcode() == dns.rcode.NOERROR
    return next((struct.unpack("!II", one.data) for one in answer.options if one.otype == 2), None)


def test_a_replay_changes_nothing_after_a_crash_and_at_a_second_server(service):
    """The same octets to every worker, after kill -9 of all of them, and to another `ddns serve`: one answer."""
    message = change(600, 6000)
    message.add("cam", 60, "A", "192.0.2.1")
    octets = message.to_wire()
    said = [granted(service.exchange(octets))]
    gone = change()
    gone.delete("cam")
    assert service.send(gone).rcode() == dns.rcode.NOERROR

    # Each from a port of its own: the kernel spreads them over the workers.
    said += [granted(service.exchange(octets)) for _ in range(6)]
    old = service.pids("worker")
    for worker in old:
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: len(set(service.pids("worker")) - set(old)) == 2)
    service.wait()
    said.append(granted(eventually(lambda: service.exchange(octets))))
    service.kill()
    service.start()
    said.append(granted(service.exchange(octets)))
    serial = service.committed_serial(ZONE)
    with second(service) as other:
        said.append(granted(other.exchange(octets)))
        assert other.values(f"cam.{ZONE}", "A") == []
        assert other.serial(ZONE) == serial

    assert set(said) == {(600, 6000)}
    assert service.values(f"cam.{ZONE}", "A") == []


def test_a_lease_ends_by_itself_and_the_zone_stays_signed(service):
    """With a new serial and a proof that the name is no more, at every worker."""
    message = change(3600, 3600)
    message.add("lamp", 60, "A", "192.0.2.2")
    assert granted(service.exchange(message.to_wire())) == (3600, 3600)
    eventually(lambda: service.values(f"lamp.{ZONE}", "A") == ["192.0.2.2"])
    serial = service.committed_serial(ZONE)

    with psycopg.connect(postgres.socket_dsn(postgres.running(service.state), postgres.OWNER)) as conn:
        conn.execute("UPDATE leases SET ends_at = ends_at - interval '3601 s'")

    eventually(lambda: service.values(f"lamp.{ZONE}", "A") == [], timeout=80)
    eventually(lambda: service.committed_serial(ZONE) == serial + 1)
    answer = service.answer(f"lamp.{ZONE}", "A", dnssec=True)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert any(rrset.rdtype == dns.rdatatype.NSEC3 for rrset in answer.authority)


def test_a_host_registers_a_service_with_a_key_from_binds_tool(service):
    """A home is made and opened to a network; a host that nobody enrolled registers, and is found by its type."""
    home = f"smith.{ZONE}"
    service.ddns("home", "add", "smith")
    service.ddns("home", "services", "smith", "--from", "127.0.0.0/8")
    key = keygen(service.folder, f"pi.{home}", "ECDSAP256SHA256")
    octets = key.signed(registration(home, key.rdata))
    eventually(lambda: service.signed(home))

    by_udp = service.exchange(octets)
    answer = by_tcp(service, octets)

    assert by_udp[3] & 15 != dns.rcode.NOERROR
    assert answer.rcode() == dns.rcode.NOERROR, answer
    assert next(one.data for one in answer.options if one.otype == 2) == struct.pack("!II", 7200, 1209600)
    eventually(lambda: service.values(f"_ipp._tcp.{home}", "PTR") == [f"lp._ipp._tcp.{home}"])
    assert service.values(f"lp._ipp._tcp.{home}", "SRV") == [f"0 0 631 pi.{home}"]
    assert service.values(f"pi.{home}", "A") == ["127.0.0.9"]
    assert f"pi.{home}" in service.ddns("zone", "leases", home)
    assert "127.0.0.0/8" in service.ddns("home", "show", "smith")


def registration(home, key):
    """Return an SRP Update (RFC 9665 §3.2.5.2) for a host and a printer, as octets to be signed."""

    def added(owner, rdtype, text):
        origin = dns.name.from_text(home)
        data = dns.rdata.from_text("IN", rdtype, text, origin=origin, relativize=False).to_wire()
        return messages.record(f"{owner}.{home}", dns.rdatatype.from_text(rdtype), messages.IN, 120, data)

    def cleared(owner):
        return messages.record(f"{owner}.{home}", messages.TYPE_ANY, messages.ANY)

    operations = [
        cleared("pi"),
        added("pi", "A", "127.0.0.9"),
        added("pi", "KEY", key),
        added("_ipp._tcp", "PTR", "lp._ipp._tcp"),
        cleared("lp._ipp._tcp"),
        added("lp._ipp._tcp", "SRV", "0 0 631 pi"),
        added("lp._ipp._tcp", "TXT", '"path=/"'),
    ]
    wire = messages.update([messages.question(home)], (), operations)
    lease = struct.pack("!HHII", 2, 8, 7200, 1209600)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(lease)) + lease
    return wire[:10] + b"\0\1" + wire[12:] + opt


def by_tcp(service, octets):
    """Send octets over a connection and return the answer."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as sock, sock.makefile("rb") as stream:
        sock.sendall(struct.pack("!H", len(octets)) + octets)
        return dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big")))
