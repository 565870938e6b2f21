"""Who reads all of a server's memory finds no signing key in it: only the signer's process ever has one."""

import hashlib
import re
from pathlib import Path

import dns.rcode
import dns.tsigkeyring
import dns.update
import psycopg
import pytest
from service import Service, eventually

from ddns import postgres
from ddns.zone.jobs import SealedKey
from zone_signer.vault import Vault

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ZONE = """$TTL 300
@ SOA ns1 hostmaster 1 7200 3600 1209600 300
@ NS ns1
ns1 A 127.0.0.1
"""


@pytest.fixture(scope="module")
def service():
    running = Service("--workers", "2")
    try:
        (running.folder / "zone").write_text(ZONE)
        parts = [f'[[key]]\nname = "k."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n']
        for name, algorithm in (("one.test.", 13), ("two.test.", 15)):
            parts.append(
                f'[[zone]]\nname = "{name}"\nfile = "zone"\nalgorithm = {algorithm}\ngrants = [{{ key = "k." }}]\n'
            )
        running.apply("".join(parts))
        running.start()
        for name in ("one.test.", "two.test."):
            eventually(lambda name=name: running.signed(name))
        yield running
        running.stop()
    finally:
        running.remove()


def memory(pid):
    """Yield all that process *pid* may read of its own memory."""
    there = Path(f"/proc/{pid}")
    with (there / "maps").open() as maps, (there / "mem").open("rb", buffering=0) as mem:
        for line in maps:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if rights[0] != "r" or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            try:
                mem.seek(int(start, 16))
                yield mem.read(int(end, 16) - int(start, 16))
            except (OSError, OverflowError):  # a device, or gone meanwhile
                continue


def found(pid, patterns):
    """Return the names of *patterns* that are in the memory of process *pid*."""
    there = set()
    for piece in memory(pid):
        there |= {name for name, octets in patterns.items() if octets in piece}
    return there


def test_no_process_but_the_signers_ever_holds_a_signing_key_or_the_master_key(service):
    for number in range(30):
        for zone in ("one.test.", "two.test."):
            update = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({"k.": SECRET}))
            update.replace(f"cam{number}", 60, "AAAA", f"2001:db8::{number}")
            assert service.send(update, tcp=True).rcode() == dns.rcode.NOERROR
    master = (service.state / "signer.key").read_bytes()
    with psycopg.connect(postgres.socket_dsn(postgres.running(service.state), postgres.OWNER)) as conn:
        rows = conn.execute(
            """SELECT zones.origin, signing_keys.id::text, signing_keys.algorithm, flags, tag, public, sealed
               FROM signing_keys JOIN zones ON zones.id = signing_keys.zone"""
        ).fetchall()
    private = {"master": master, "master turned around": master[::-1]}
    public = {}
    for _, *row in rows:
        key = SealedKey(*row)
        origin = {13: b"\3one\4test\0", 15: b"\3two\4test\0"}[key.algorithm]
        scalar = Vault(master)._secret(origin, key)
        private |= {f"key {key.algorithm}": scalar, f"key {key.algorithm} turned around": scalar[::-1]}
        if key.algorithm == 15:  # what Ed25519 computes with (RFC 8032 §5.1.5)
            private["key 15 spread"] = hashlib.sha512(scalar).digest()[:32]
        public[f"public {key.algorithm}"] = key.public[4:]

    assert len(rows) == 2
    for pid in (service.process.pid, *service.pids("worker")):
        assert found(pid, private) == set()
    for pid in service.pids("worker"):
        assert found(pid, public) == set(public), "the search does not find what is there"
    (signer,) = service.pids("signer")
    assert found(signer, private) >= {"key 13 turned around", "key 15"}, "the search would not find a key"
